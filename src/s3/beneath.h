/*-------------------------------------------------------------------------
 *
 * beneath.h
 *		Files below a folder, whoever exchanges what there; without a backend.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_S3_BENEATH_H
#define STEDI_S3_BENEATH_H

#include <stdbool.h>

typedef enum StediBeneathFor
{
	STEDI_BENEATH_READ,			/* a file; of a pipe it does not wait */
	STEDI_BENEATH_FOLDER,		/* the names in a folder */
	STEDI_BENEATH_LOOK,			/* fstat alone, whatever it is */
} StediBeneathFor;

/*
 * Open a folder by its path, to open others below it: a descriptor, or -1 with
 * errno.  EPERM: on its path is a symbolic link that others than root could
 * exchange.  The second is the walk that needs nothing of Linux.
 */
extern int	stedi_beneath_root(const char *path);
extern int	stedi_beneath_root_walk(const char *path);

/*
 * Open what has that path below the folder, likewise.  EXDEV: ".." or a
 * symbolic link leads out of it.  EAGAIN: what is on the path is exchanged too
 * fast.  root_path is that of the folder, which absolute links may begin with.
 */
extern int	stedi_beneath_open(int root, const char *root_path, const char *path,
							   StediBeneathFor purpose);
extern int	stedi_beneath_walk(int root, const char *root_path, const char *path,
							   StediBeneathFor purpose);

#endif							/* STEDI_S3_BENEATH_H */
