/*-------------------------------------------------------------------------
 *
 * beneath.c
 *		Open what lies below a folder, and nothing else.
 *
 * Backend-free (see record.h).  Whoever may write in the folder may exchange
 * any part of a path at any moment.  So no name is looked at first and opened
 * afterwards: each way starts from the descriptor of the folder and goes on by
 * descriptors.  Two ways do this:
 *
 *	 the kernel	openat2 with RESOLVE_BENEATH, one call
 *	 the walk	component by component; links are read and taken apart here
 *
 * The walk has the rule.  The kernel's way is a shortcut: what it opens, the
 * walk would open, and what it refuses the walk is asked for.
 *
 * The rule below the folder: a symbolic link that leads to a place below the
 * folder is followed, be it relative or absolute; one that leads out is EXDEV.
 *
 * The rule of the folder's own path: a link on it is followed where only root
 * can exchange it, as /var/run; any other link is EPERM.  Else whoever may
 * write beside the folder could put a link to any other in its place.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE 1			/* O_PATH */

#include "s3/openat.h"
#include "s3/beneath.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Links on one way, as Linux allows. */
#define MOST_LINKS 40

/* Components on one way, all that links and ".." bring along counted. */
#define MOST_STEPS 4096

/*
 * How often a component is looked at again that was another kind of file by
 * the time that it was opened.
 */
#define MOST_TRIES 32

/* What is left of a way while links are put into it. */
#define REST_SIZE (2 * PATH_MAX)

typedef struct Walk
{
	/* whole walk */
	int			top;			/* borrowed */
	const char *top_path;		/* NULL: the way of a folder's own path */
	int			flags;			/* to open the last component with */

	/* where it is */
	int			here;			/* owned, unless it is top */
	char		done[REST_SIZE];	/* how it came here, without links */
	char		rest[REST_SIZE];	/* what is still to go: "", or it begins
									 * with a /, but at the start */
	int			n_links;
	int			n_steps;
} Walk;

/* What to open a file with, by what it is for. */
static int
open_flags(StediBeneathFor purpose)
{
	switch (purpose)
	{
		case STEDI_BENEATH_FOLDER:
			return O_RDONLY | O_DIRECTORY;
		case STEDI_BENEATH_LOOK:
			return BENEATH_LOOK;
		default:
			/* it may have become a pipe: do not wait for its other end */
			return O_RDONLY | O_NONBLOCK | O_NOCTTY;
	}
}

/* As openat, again where a signal broke it off: a network's file system may. */
static int
open_at(int folder, const char *name, int flags)
{
	int			fd;

	do
		fd = openat(folder, name, flags | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	return fd;
}

/* Close, and keep errno. */
static void
close_quietly(int fd)
{
	int			saved = errno;

	close(fd);
	errno = saved;
}

static bool
fail(int error)
{
	errno = error;
	return false;
}

static void
leave(Walk *walk)
{
	if (walk->here != walk->top)
		close_quietly(walk->here);
	walk->here = walk->top;
}

/* Go on from the top: by that path, and then by what was still to go. */
static bool
start_again(Walk *walk, const char *path)
{
	char		rest[REST_SIZE];
	int			len = snprintf(rest, sizeof(rest), "%s%s", path, walk->rest);

	if (len < 0 || (size_t) len >= sizeof(rest))
		return fail(ENAMETOOLONG);
	memcpy(walk->rest, rest, (size_t) len + 1);
	walk->done[0] = '\0';
	leave(walk);
	return true;
}

/* One folder up: on the way that led here, not by what the file system says. */
static bool
go_up(Walk *walk)
{
	char		path[REST_SIZE];
	char	   *slash;

	memcpy(path, walk->done, sizeof(path));
	slash = strrchr(path, '/');
	if (slash == NULL)
	{
		/* / is its own parent, any other top is not to be left */
		return walk->top_path == NULL ? true : fail(EXDEV);
	}
	*slash = '\0';
	return start_again(walk, path);
}

/* The part of an absolute path below a folder, or NULL. */
static const char *
part_below(const char *path, const char *folder)
{
	size_t		len = strlen(folder);

	while (len > 0 && folder[len - 1] == '/')
		len--;
	if (strncmp(path, folder, len) != 0 || (path[len] != '/' && path[len] != '\0'))
		return NULL;
	return path + len;
}

/*
 * May a link on the folder's own path be followed?  Where root alone can write
 * in the folder that has it, or may remove what root owns, nobody else can
 * exchange it.
 */
static bool
is_roots(const Walk *walk, const char *name)
{
	struct stat folder;
	struct stat link;

	return fstat(walk->here, &folder) == 0 && folder.st_uid == 0 &&
		((folder.st_mode & (S_IWGRP | S_IWOTH)) == 0 || (folder.st_mode & S_ISVTX) != 0) &&
		fstatat(walk->here, name, &link, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISLNK(link.st_mode) && link.st_uid == 0;
}

/* Put what a link says in its place. */
static bool
follow(Walk *walk, const char *target)
{
	char		real[PATH_MAX];
	char		rest[REST_SIZE];
	const char *below;
	int			len;

	if (++walk->n_links > MOST_LINKS)
		return fail(ELOOP);
	if (target[0] != '/')
	{
		len = snprintf(rest, sizeof(rest), "%s%s", target, walk->rest);
		if (len < 0 || (size_t) len >= sizeof(rest))
			return fail(ENAMETOOLONG);
		memcpy(walk->rest, rest, (size_t) len + 1);
		return true;
	}
	if (walk->top_path == NULL)
		return start_again(walk, target);

	/* words only: the way is walked from the top, whatever they say */
	below = part_below(target, walk->top_path);
	if (below == NULL && realpath(walk->top_path, real) != NULL)
		below = part_below(target, real);
	return below != NULL ? start_again(walk, below) : fail(EXDEV);
}

/* Take the next component off the way; false at its end. */
static bool
next_name(Walk *walk, char *name, bool *last)
{
	char	   *start = walk->rest + strspn(walk->rest, "/");
	size_t		len = strcspn(start, "/");
	char	   *behind = start + len;

	if (len == 0)
		return false;
	if (len > NAME_MAX)
		len = NAME_MAX + 1;		/* the system will refuse it */
	memcpy(name, start, len);
	name[len] = '\0';
	*last = *behind == '\0';
	memmove(walk->rest, behind, strlen(behind) + 1);
	return true;
}

/*
 * Open one component, which is neither "." nor "..": a descriptor, or -1.
 * When it is a link, *is_link, and what it says is in target.
 */
static int
open_name(const Walk *walk, const char *name, int flags, bool *is_link, char *target)
{
	for (int i = 0; i < MOST_TRIES; i++)
	{
		ssize_t		len = readlinkat(walk->here, name, target, PATH_MAX - 1);
		struct stat st;
		int			fd;

		*is_link = len >= 0;
		if (*is_link)
		{
			target[len] = '\0';
			return -1;
		}
		if (errno != EINVAL)
			return -1;
		fd = open_at(walk->here, name, flags | O_NOFOLLOW);
		if (fd >= 0)
		{
			/* looking at a link is no error, but no way to go on either */
			if (fstat(fd, &st) == 0 && !S_ISLNK(st.st_mode))
				return fd;
			close(fd);
			continue;
		}

		/* a link has come in its place, or it is no folder */
		if (errno == ENOTDIR && readlinkat(walk->here, name, target, PATH_MAX - 1) < 0 &&
			errno == EINVAL)
		{
			errno = ENOTDIR;
			return -1;
		}
		if (errno != ENOTDIR && errno != ELOOP && errno != EMLINK)
			return -1;
	}
	errno = EAGAIN;
	return -1;
}

/* Go to a folder that was opened. */
static bool
go_into(Walk *walk, int fd, const char *name)
{
	size_t		len = strlen(walk->done);

	leave(walk);
	walk->here = fd;
	if (len + strlen(name) + 2 > sizeof(walk->done))
		return fail(ENAMETOOLONG);
	walk->done[len] = '/';
	strcpy(walk->done + len + 1, name);
	return true;
}

/* One step of the way: false at an error.  *opened is what the last one opened. */
static bool
step(Walk *walk, const char *name, bool last, int *opened)
{
	char		target[PATH_MAX];
	bool		is_link = false;
	int			fd;

	if (++walk->n_steps > MOST_STEPS)
		return fail(ELOOP);
	if (strcmp(name, ".") == 0)
		return true;
	if (strcmp(name, "..") == 0)
		return go_up(walk);
	fd = open_name(walk, name, last ? walk->flags : BENEATH_LOOK | O_DIRECTORY, &is_link, target);
	if (is_link)
	{
		if (walk->top_path == NULL && !is_roots(walk, name))
			return fail(EPERM);
		return follow(walk, target);
	}
	if (fd < 0)
		return false;
	if (!last)
		return go_into(walk, fd, name);
	*opened = fd;
	return true;
}

/* Walk a path from the top; a descriptor, or -1. */
static int
walk_path(int top, const char *top_path, const char *path, int flags)
{
	Walk		walk = {.top = top,.top_path = top_path,.flags = flags,.here = top};
	char		name[NAME_MAX + 2];
	int			opened = -1;
	bool		last;
	bool		ok = true;

	if (strlen(path) >= PATH_MAX)
	{
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(walk.rest, path);
	while (ok && opened < 0 && next_name(&walk, name, &last))
		ok = step(&walk, name, last, &opened);

	/* it ended at "." or "..", or in front of a / */
	if (ok && opened < 0)
		opened = open_at(walk.here, ".", flags);
	leave(&walk);
	return opened;
}

int
stedi_beneath_root_walk(const char *path)
{
	int			top = open_at(AT_FDCWD, "/", BENEATH_LOOK | O_DIRECTORY);
	int			root;

	if (top < 0)
		return -1;
	root = walk_path(top, NULL, path, BENEATH_LOOK | O_DIRECTORY);
	close_quietly(top);
	return root;
}

int
stedi_beneath_root(const char *path)
{
	int			root = beneath_openat2(AT_FDCWD, path, BENEATH_LOOK | O_DIRECTORY, BENEATH_NO_LINKS);

	return root >= 0 ? root : stedi_beneath_root_walk(path);
}

int
stedi_beneath_walk(int root, const char *root_path, const char *path, StediBeneathFor purpose)
{
	return walk_path(root, root_path, path, open_flags(purpose));
}

int
stedi_beneath_open(int root, const char *root_path, const char *path, StediBeneathFor purpose)
{
	const char *below = path + strspn(path, "/");
	int			fd = beneath_openat2(root, *below == '\0' ? "." : below, open_flags(purpose), BENEATH_STAY);

	if (fd >= 0 || errno == ENOENT || errno == ENOTDIR || errno == EACCES)
		return fd;
	return stedi_beneath_walk(root, root_path, path, purpose);
}
