/*-------------------------------------------------------------------------
 *
 * local.c
 *		A local folder in place of a bucket.
 *
 * For tests, for landing zones that are mounted, and for trying things out.
 * A file's key is its path below the folder, which must be UTF-8 as keys are
 * on S3.  Its ETag is made of its size, time and inode, so that a file which
 * is another one when its turn comes is noticed, as it is on S3.
 *
 * Whoever set the folder may read the server's files; whoever uses it may
 * not, and gets what lies below it.  So every path is resolved before it is
 * opened, and a symbolic link (or a .. in the prefix) that leads out of the
 * folder is an error.
 *
 * A file is a virtual one (File), owned by StediLocal's context: unlike a
 * transient file it outlives the subtransaction that happened to open it,
 * which a cursor may.
 *
 *-------------------------------------------------------------------------
 */
#include "stedi.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define ETAG_LEN 64

struct StediLocal
{
	const StediObject *object;	/* borrowed */
	File		file;			/* owned; -1: closed */
	off_t		pos;
	MemoryContextCallback release;
};

/* What a walk through the folder has at hand. */
typedef struct LocalWalk
{
	const StediOptions *opts;
	const char *root;			/* resolved; "" when it is / */
	StediListing *listing;
	MemoryContext listing_cxt;
	StediProgress *progress;
} LocalWalk;

/* A folder being walked, and the ones around it. */
typedef struct LocalFolder
{
	const struct LocalFolder *parent;
	dev_t		dev;
	ino_t		ino;
} LocalFolder;

/* The ETag of a file: three numbers, in the quotes that S3's have. */
static void
make_etag(const struct stat *st, char *etag)
{
	long long	mtime_ns = (long long) st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;

	snprintf(etag, ETAG_LEN, "\"%llx-%llx-%llx\"",
			 (long long) st->st_size, mtime_ns, (long long) st->st_ino);
}

/*
 * The resolved path of the folder, without a / at its end, in the current
 * context.
 */
static char *
resolve_root(const StediOptions *opts)
{
	char		resolved[PATH_MAX];
	struct stat st;

	if (strlen(opts->root) >= MAXPGPATH || realpath(opts->root, resolved) == NULL ||
		stat(resolved, &st) != 0)
		ereport(ERROR,
				errcode_for_file_access(),
				errmsg("could not open folder \"%s\": %m", opts->root),
				errhint("Check option \"url\" of the server."));
	if (!S_ISDIR(st.st_mode))
		ereport(ERROR,
				errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("could not open folder \"%s\": it is not a folder", opts->root),
				errhint("Check option \"url\" of the server."));
	return pstrdup(strcmp(resolved, "/") == 0 ? "" : resolved);
}

/*
 * The resolved path of what has this key, in the current context; NULL when
 * there is nothing.
 */
static char *
resolve_key(const StediOptions *opts, const char *root, const char *key)
{
	char	   *path = psprintf("%s/%s", root, key);
	char		resolved[PATH_MAX];
	size_t		root_len = strlen(root);

	if (realpath(path, resolved) == NULL)
	{
		if (errno == ENOENT || errno == ENOTDIR)
			return NULL;
		ereport(ERROR,
				errcode_for_file_access(),
				errmsg("could not find object \"%s\" of folder \"%s\": %m", stedi_tuple_show(key), opts->root));
	}
	if (strncmp(resolved, root, root_len) != 0 ||
		(resolved[root_len] != '/' && resolved[root_len] != '\0'))
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("object \"%s\" is not inside folder \"%s\"", stedi_tuple_show(key), opts->root),
				errdetail("A symbolic link or \"..\" leads out of it."));
	return pstrdup(resolved);
}

/* The names in a folder, in the current context; none when it is gone. */
static List *
read_names(const StediOptions *opts, const char *path)
{
	List	   *names = NIL;
	DIR		   *dir = AllocateDir(path);
	struct dirent *entry;

	if (dir == NULL && errno == ENOENT)
		return NIL;
	while ((entry = ReadDir(dir, path)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;

		/* of those that are passed over, memory is taken as well */
		stedi_list_check_room(opts, list_length(names));
		names = lappend(names, pstrdup(entry->d_name));
	}
	FreeDir(dir);
	return names;
}

static void walk_folder(LocalWalk *walk, const LocalFolder *parent,
						const char *path, const char *prefix);

/* Add a file to the listing. */
static void
add_file(LocalWalk *walk, const char *key, const struct stat *st)
{
	MemoryContext old = MemoryContextSwitchTo(walk->listing_cxt);
	char		etag[ETAG_LEN];

	make_etag(st, etag);
	stedi_list_check_room(walk->opts, walk->listing->n_objects);
	stedi_list_add(walk->listing, key, etag, st->st_size,
				   time_t_to_timestamptz(st->st_mtim.tv_sec) + st->st_mtim.tv_nsec / 1000);
	stedi_progress_add(walk->progress, 1, 0);
	MemoryContextSwitchTo(old);
}

/* One name in a folder: a file, a folder, a link to one of them, or neither. */
static void
walk_name(LocalWalk *walk, const LocalFolder *folder, const char *path,
		  const char *prefix, const char *name)
{
	char	   *key;
	char	   *target;
	struct stat st;

	CHECK_FOR_INTERRUPTS();
	if (name[0] == '_' || name[0] == '.')
	{
		walk->listing->n_skipped++;
		return;
	}
	if (!pg_verify_mbstr(PG_UTF8, name, strlen(name), true))
		ereport(ERROR,
				errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				errmsg("could not list folder \"%s/%s\": a name in it is not UTF-8",
					   walk->opts->root, stedi_tuple_show(prefix)));
	key = psprintf("%s%s", prefix, name);
	target = psprintf("%s/%s", path, name);
	if (lstat(target, &st) == 0 && S_ISLNK(st.st_mode))
	{
		target = resolve_key(walk->opts, walk->root, key);
		if (target == NULL)
			ereport(ERROR,
					errcode(ERRCODE_UNDEFINED_FILE),
					errmsg("could not find object \"%s\" of folder \"%s\": the symbolic link leads nowhere",
						   stedi_tuple_show(key), walk->opts->root));
	}
	if (lstat(target, &st) != 0)
	{
		if (errno == ENOENT)
			return;				/* renamed or removed meanwhile */
		ereport(ERROR,
				errcode_for_file_access(),
				errmsg("could not find object \"%s\" of folder \"%s\": %m", stedi_tuple_show(key), walk->opts->root));
	}
	if (S_ISDIR(st.st_mode))
		walk_folder(walk, folder, target, psprintf("%s/", key));
	else if (S_ISREG(st.st_mode))
		add_file(walk, key, &st);
	else
		walk->listing->n_skipped++;
	pfree(key);
	pfree(target);
}

/* Everything in the folder with this resolved path; keys start with prefix. */
static void
walk_folder(LocalWalk *walk, const LocalFolder *parent, const char *path,
			const char *prefix)
{
	LocalFolder folder = {.parent = parent};
	struct stat st;
	ListCell   *lc;

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return;
	folder.dev = st.st_dev;
	folder.ino = st.st_ino;
	for (; parent != NULL; parent = parent->parent)
		if (parent->dev == folder.dev && parent->ino == folder.ino)
			ereport(ERROR,
					errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("could not list folder \"%s/%s\": it is inside itself",
						   walk->opts->root, stedi_tuple_show(prefix)),
					errdetail("A symbolic link leads back to a folder around it."));
	foreach(lc, read_names(walk->opts, path))
		walk_name(walk, &folder, path, prefix, lfirst(lc));
}

/* Add the files under opts->prefix to the listing, in any order. */
void
stedi_local_list(const StediOptions *opts, StediListing *listing, StediProgress *progress)
{
	MemoryContext cxt = CurrentMemoryContext;
	MemoryContext walk_cxt = AllocSetContextCreate(cxt, "stedi local walk",
												   ALLOCSET_DEFAULT_SIZES);
	LocalWalk	walk = {.opts = opts,.listing = listing,.listing_cxt = cxt,.progress = progress};
	const char *prefix;
	char	   *path;

	MemoryContextSwitchTo(walk_cxt);
	walk.root = resolve_root(opts);
	prefix = pg_server_to_any(opts->prefix, strlen(opts->prefix), PG_UTF8);
	path = resolve_key(opts, walk.root, prefix);
	if (path != NULL)
		walk_folder(&walk, NULL, path, prefix);
	MemoryContextSwitchTo(cxt);
	MemoryContextDelete(walk_cxt);
}

/* See stedi.h.  None where the folder cannot be read. */
List *
stedi_local_folders(const StediOptions *opts, const char *prefix)
{
	char	   *path = resolve_key(opts, resolve_root(opts),
								   pg_server_to_any(prefix, strlen(prefix), PG_UTF8));
	List	   *folders = NIL;
	struct stat st;
	ListCell   *lc;

	if (path == NULL || access(path, R_OK | X_OK) != 0)
		return NIL;
	foreach(lc, read_names(opts, path))
	{
		if (stat(psprintf("%s/%s", path, (char *) lfirst(lc)), &st) == 0 && S_ISDIR(st.st_mode))
			folders = lappend(folders, lfirst(lc));
	}
	return folders;
}

/* An object that is not the one that was listed. */
static void
report_changed(const StediObject *object)
{
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("could not read object \"%s\": it has changed since it was listed",
				   stedi_tuple_show(object->key)),
			errhint("Run the query again."));
}

/* Is the open file still the one that was listed? */
static void
check_same(const StediLocal *local)
{
	int			fd = FileGetRawDesc(local->file);
	struct stat st;
	char		etag[ETAG_LEN];

	if (fd < 0 || fstat(fd, &st) != 0)
		ereport(ERROR,
				errcode_for_file_access(),
				errmsg("could not read object \"%s\": %m", stedi_tuple_show(local->object->key)));
	make_etag(&st, etag);
	if (!S_ISREG(st.st_mode) || strcmp(etag, local->object->etag) != 0)
		report_changed(local->object);
}

static void
local_release(void *arg)
{
	stedi_local_close(arg);
}

/* See stedi.h.  Made in the current context, which closes it when it is reset. */
StediLocal *
stedi_local_open(const StediOptions *opts, const StediObject *object)
{
	StediLocal *local = palloc0(sizeof(StediLocal));
	char	   *path = resolve_key(opts, resolve_root(opts), object->key);

	if (path == NULL)
		report_changed(object);
	local->object = object;
	local->file = -1;
	local->release.func = local_release;
	local->release.arg = local;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &local->release);

	/* What came in its place may be a pipe: do not wait for its other end. */
	local->file = PathNameOpenFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | PG_BINARY);
	if (local->file < 0)
	{
		if (errno == ENOENT || errno == ELOOP)
			report_changed(object);
		ereport(ERROR,
				errcode_for_file_access(),
				errmsg("could not open object \"%s\": %m", stedi_tuple_show(object->key)));
	}
	check_same(local);
	(void) posix_fadvise(FileGetRawDesc(local->file), 0, 0, POSIX_FADV_SEQUENTIAL);
	pfree(path);
	return local;
}

/* See stedi.h. */
Size
stedi_local_read(StediLocal *local, char *dest, Size room)
{
	int			n;

	CHECK_FOR_INTERRUPTS();
	n = FileRead(local->file, dest, (int) Min(room, (Size) INT_MAX), local->pos, STEDI_WAIT_READ);
	if (n < 0)
		ereport(ERROR,
				errcode_for_file_access(),
				errmsg("could not read object \"%s\": %m", stedi_tuple_show(local->object->key)));
	check_same(local);
	local->pos += n;
	return n;
}

/* See stedi.h.  Harmless when called twice. */
void
stedi_local_close(StediLocal *local)
{
	if (local->file >= 0)
		FileClose(local->file);
	local->file = -1;
}
