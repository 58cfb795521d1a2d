/*-------------------------------------------------------------------------
 *
 * openat.h
 *		What systems differ in when a file below a folder is opened.
 *
 * Only beneath.c includes this file, which compiles without postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_S3_OPENAT_H
#define STEDI_S3_OPENAT_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

/*
 * To pass through a folder, or to look at a file, without the right to read
 * it.  Where the system has no such way, that right is needed.
 */
#if defined(O_PATH)
#define BENEATH_LOOK O_PATH
#elif defined(O_SEARCH)
#define BENEATH_LOOK O_SEARCH
#else
#define BENEATH_LOOK (O_RDONLY | O_NONBLOCK | O_NOCTTY)
#endif

/* How far the kernel may follow links. */
typedef enum BeneathRule
{
	BENEATH_STAY,				/* below the folder that it starts from */
	BENEATH_NO_LINKS,
} BeneathRule;

/* Linux has openat2 from 5.6 on; ENOSYS where there is none.  Never throws. */
#ifdef SYS_openat2

#include <linux/openat2.h>

static inline int
beneath_openat2(int folder, const char *path, int flags, BeneathRule rule)
{
	struct open_how how;
	int			fd;

	memset(&how, 0, sizeof(how));
	how.flags = (uint64_t) (flags | O_CLOEXEC);
	how.resolve = RESOLVE_NO_MAGICLINKS |
		(rule == BENEATH_STAY ? RESOLVE_BENEATH : RESOLVE_NO_SYMLINKS);
	do
		fd = (int) syscall(SYS_openat2, folder, path, &how, sizeof(how));
	while (fd < 0 && errno == EINTR);
	return fd;
}

#else

static inline int
beneath_openat2(int folder, const char *path, int flags, BeneathRule rule)
{
	(void) folder;
	(void) path;
	(void) flags;
	(void) rule;
	errno = ENOSYS;
	return -1;
}

#endif

#endif							/* STEDI_S3_OPENAT_H */
