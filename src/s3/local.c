/*-------------------------------------------------------------------------
 *
 * local.c
 *		A local folder in place of a bucket.
 *
 * For tests, for landing zones that are mounted, and for trying things out.
 * A file's key is its path below the folder, which must be UTF-8 as keys are
 * on S3.  Its ETag is made of its size, its two times (of the contents and of
 * any change at all) and its inode, so that a file which is another one when
 * its turn comes, or in the next run, is noticed, as it is on S3.  The second
 * time cannot be set: without it, a file that is overwritten by one of its size
 * with the first time kept (cp -p, tar, rsync) would seem to be the same.
 *
 * Whoever set the folder may read the server's files; whoever uses it may
 * not, and gets what lies below it.  So nothing is opened by a name that was
 * looked at before: beneath.c opens everything from the descriptor of the
 * folder, and refuses a symbolic link (or a .. in the prefix) that leads out.
 *
 * A file's descriptor is our own, which StediLocal's context closes: PostgreSQL
 * would open a virtual one again by its name when it runs short of them, and a
 * transient one would not outlive the subtransaction that happened to open it,
 * which a cursor may.
 *
 *-------------------------------------------------------------------------
 */
#include "s3/beneath.h"
#include "s3/s3.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define ETAG_LEN 96

struct StediLocal
{
	const StediObject *object;	/* borrowed */
	int			fd;				/* owned; -1: closed */
	off_t		pos;
	MemoryContextCallback release;
};

/* The folder of a url, and one below it whose names are being read. */
typedef struct LocalRoot
{
	const StediOptions *opts;	/* borrowed */
	int			fd;				/* owned; -1: closed */
	DIR		   *dir;			/* owned; NULL: none */
	MemoryContextCallback release;
} LocalRoot;

/* What a walk through the folder has at hand. */
typedef struct LocalWalk
{
	LocalRoot  *root;
	StediListing *listing;
	MemoryContext listing_cxt;
	StediGlob  *glob;			/* NULL: all keys are wanted */
	size_t		base_len;		/* of the prefix that the pattern is below */
	StediProgress *progress;
} LocalWalk;

/* A folder being walked, and the ones around it. */
typedef struct LocalFolder
{
	const struct LocalFolder *parent;
	dev_t		dev;
	ino_t		ino;
} LocalFolder;

/* What a folder has besides files. */
typedef struct LocalNames
{
	List	   *folders;
	List	   *links;
} LocalNames;

static long long
nanoseconds(const struct timespec *time)
{
	return (long long) time->tv_sec * 1000000000 + time->tv_nsec;
}

/* The ETag of a file: four numbers, in the quotes that S3's have. */
static void
make_etag(const struct stat *st, char *etag)
{
	snprintf(etag, ETAG_LEN, "\"%llx-%llx-%llx-%llx\"", (long long) st->st_size,
			 nanoseconds(&st->st_mtim), nanoseconds(&st->st_ctim), (long long) st->st_ino);
}

/* Harmless when done before.  Never throws. */
static void
close_root(LocalRoot *root)
{
	if (root->dir != NULL)
	{
		closedir(root->dir);
		ReleaseExternalFD();
	}
	root->dir = NULL;
	if (root->fd >= 0)
	{
		close(root->fd);
		ReleaseExternalFD();
	}
	root->fd = -1;
}

static void
root_release(void *arg)
{
	close_root(arg);
}

/* Open the folder of the url.  The current context closes it, at the latest. */
static LocalRoot *
open_root(const StediOptions *opts)
{
	LocalRoot  *root = palloc0(sizeof(LocalRoot));

	root->opts = opts;
	root->fd = -1;
	root->release.func = root_release;
	root->release.arg = root;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &root->release);
	ReserveExternalFD();
	root->fd = stedi_beneath_root(opts->root);
	if (root->fd >= 0)
		return root;
	ReleaseExternalFD();
	if (errno == ENOTDIR)
		ereport(ERROR,
				errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("could not open folder \"%s\": it is not a folder", opts->root),
				errhint("Check option \"url\" of the server."));
	if (errno == EPERM)
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("could not open folder \"%s\": a symbolic link leads there that others than root can exchange",
					   opts->root),
				errhint("Name the folder itself, without a link on its path, in option \"url\" of the server."));
	ereport(ERROR,
			errcode_for_file_access(),
			errmsg("could not open folder \"%s\": %m", opts->root),
			stedi_local_explain(opts, NULL));
	return NULL;				/* not reached */
}

/*
 * Open what has this key: a descriptor that is the caller's to close, and
 * counted nowhere; -1 when there is nothing.
 */
static int
open_key(const LocalRoot *root, const char *key, StediBeneathFor purpose)
{
	const char *folder = root->opts->root;
	int			fd = stedi_beneath_open(root->fd, folder, key, purpose);

	if (fd >= 0 || errno == ENOENT || errno == ENOTDIR)
		return fd;
	if (errno == EXDEV)
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("object \"%s\" is not inside folder \"%s\"", stedi_text_show(key), folder),
				errdetail("A symbolic link or \"..\" leads out of it."));
	if (errno == EAGAIN)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("could not find object \"%s\" of folder \"%s\": it is being exchanged",
					   stedi_text_show(key), folder),
				errhint("Run the query again."));
	ereport(ERROR,
			errcode_for_file_access(),
			errmsg("could not find object \"%s\" of folder \"%s\": %m", stedi_text_show(key), folder),
			stedi_local_explain(root->opts, key));
	return -1;					/* not reached */
}

/* Look at what has this key; false when there is nothing. */
static bool
look_at_key(const LocalRoot *root, const char *key, struct stat *st)
{
	int			fd = open_key(root, key, STEDI_BENEATH_LOOK);
	int			result;

	if (fd < 0)
		return false;
	result = fstat(fd, st);
	close(fd);
	return result == 0;
}

/* An error of the folder with this prefix; errno says why. */
static void
report_folder(const LocalRoot *root, const char *prefix)
{
	ereport(ERROR,
			errcode_for_file_access(),
			errmsg("could not list folder \"%s/%s\": %m", root->opts->root, stedi_text_show(prefix)),
			stedi_local_explain(root->opts, prefix[0] != '\0' ? prefix : NULL));
}

/* Begin to read the names in the folder with this prefix; false when it is gone. */
static bool
open_dir(LocalRoot *root, const char *prefix)
{
	int			fd = open_key(root, prefix, STEDI_BENEATH_FOLDER);

	if (fd < 0)
		return false;
	root->dir = fdopendir(fd);
	if (root->dir == NULL)
	{
		close(fd);
		report_folder(root, prefix);
	}
	ReserveExternalFD();
	return true;
}

static void
close_dir(LocalRoot *root)
{
	closedir(root->dir);
	ReleaseExternalFD();
	root->dir = NULL;
}

/* The next name in it, good until the next call; NULL at the end. */
static const char *
next_name(LocalRoot *root, const char *prefix)
{
	struct dirent *entry;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		errno = 0;
		entry = readdir(root->dir);
		if (entry == NULL && errno != 0)
			report_folder(root, prefix);
		if (entry == NULL)
			return NULL;
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return entry->d_name;
	}
}

static void walk_folder(LocalWalk *walk, const LocalFolder *parent, const char *prefix);

/* Add a file to the listing, unless the pattern leaves it out. */
static void
add_file(LocalWalk *walk, const char *key, const struct stat *st)
{
	MemoryContext old;
	char		etag[ETAG_LEN];

	if (walk->glob != NULL && !stedi_glob_matches(walk->glob, key + walk->base_len))
	{
		walk->listing->n_unmatched++;
		return;
	}
	old = MemoryContextSwitchTo(walk->listing_cxt);
	make_etag(st, etag);
	stedi_listing_check_room(walk->root->opts, walk->listing->n_objects);
	stedi_listing_add(walk->listing, key, etag, st->st_size,
					  time_t_to_timestamptz(st->st_mtim.tv_sec) + st->st_mtim.tv_nsec / 1000);
	stedi_progress_add(walk->progress, 1, 0);
	MemoryContextSwitchTo(old);
}

/*
 * One name in the folder that is being read: a file is added, a folder or a
 * link noted for later.
 */
static void
walk_name(LocalWalk *walk, const char *prefix, const char *name, LocalNames *names)
{
	LocalRoot  *root = walk->root;
	List	  **noted;
	char	   *key;
	struct stat st;

	if (name[0] == '_' || name[0] == '.')
	{
		walk->listing->n_skipped++;
		return;
	}
	if (!pg_verify_mbstr(PG_UTF8, name, strlen(name), true))
		ereport(ERROR,
				errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				errmsg("could not list folder \"%s/%s\": a name in it is not UTF-8",
					   root->opts->root, stedi_text_show(prefix)));
	key = psprintf("%s%s", prefix, name);
	if (fstatat(dirfd(root->dir), name, &st, AT_SYMLINK_NOFOLLOW) != 0)
	{
		if (errno == ENOENT)
			return;				/* renamed or removed meanwhile */
		ereport(ERROR,
				errcode_for_file_access(),
				errmsg("could not find object \"%s\" of folder \"%s\": %m", stedi_text_show(key), root->opts->root),
				stedi_local_explain(root->opts, key));
	}
	noted = S_ISDIR(st.st_mode) ? &names->folders : S_ISLNK(st.st_mode) ? &names->links : NULL;
	if (noted != NULL)
	{
		/* of those that are passed over, memory is taken as well */
		stedi_listing_check_room(root->opts, list_length(*noted));
		*noted = lappend(*noted, key);
		return;
	}
	if (S_ISREG(st.st_mode))
		add_file(walk, key, &st);
	else
		walk->listing->n_skipped++;
	pfree(key);
}

/* A folder of that key, unless nothing in it can match. */
static void
walk_subfolder(LocalWalk *walk, const LocalFolder *parent, const char *key)
{
	char	   *prefix = psprintf("%s/", key);

	if (walk->glob == NULL || stedi_glob_may_begin(walk->glob, prefix + walk->base_len))
		walk_folder(walk, parent, prefix);
	pfree(prefix);
}

/* A link that leads to a file, to a folder, or to neither. */
static void
walk_link(LocalWalk *walk, const LocalFolder *parent, const char *key)
{
	struct stat st;

	if (!look_at_key(walk->root, key, &st))
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_FILE),
				errmsg("could not find object \"%s\" of folder \"%s\": the symbolic link leads nowhere",
					   stedi_text_show(key), walk->root->opts->root));
	if (S_ISDIR(st.st_mode))
		walk_subfolder(walk, parent, key);
	else if (S_ISREG(st.st_mode))
		add_file(walk, key, &st);
	else
		walk->listing->n_skipped++;
}

/*
 * Everything in the folder with this prefix.  It is read to its end before the
 * folders in it are, so one descriptor is enough however deep they are.
 */
static void
walk_folder(LocalWalk *walk, const LocalFolder *parent, const char *prefix)
{
	LocalRoot  *root = walk->root;
	LocalFolder folder = {.parent = parent};
	LocalNames	names = {NIL, NIL};
	struct stat st;
	const char *name;
	ListCell   *lc;

	check_stack_depth();
	if (!open_dir(root, prefix))
		return;
	if (fstat(dirfd(root->dir), &st) != 0)
		report_folder(root, prefix);
	folder.dev = st.st_dev;
	folder.ino = st.st_ino;
	for (; parent != NULL; parent = parent->parent)
		if (parent->dev == folder.dev && parent->ino == folder.ino)
			ereport(ERROR,
					errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("could not list folder \"%s/%s\": it is inside itself",
						   root->opts->root, stedi_text_show(prefix)),
					errdetail("A symbolic link leads back to a folder around it."));
	while ((name = next_name(root, prefix)) != NULL)
		walk_name(walk, prefix, name, &names);
	close_dir(root);
	foreach(lc, names.links)
		walk_link(walk, &folder, lfirst(lc));
	foreach(lc, names.folders)
		walk_subfolder(walk, &folder, lfirst(lc));
	list_free_deep(names.links);
	list_free_deep(names.folders);
}

/* Add the files under opts->prefix to the listing, in any order. */
void
stedi_local_list(const StediOptions *opts, StediListing *listing, StediProgress *progress)
{
	MemoryContext cxt = CurrentMemoryContext;
	MemoryContext walk_cxt = AllocSetContextCreate(cxt, "stedi local walk",
												   ALLOCSET_DEFAULT_SIZES);
	LocalWalk	walk = {.listing = listing,.listing_cxt = cxt,.progress = progress};
	const char *prefix;
	struct stat st;

	MemoryContextSwitchTo(walk_cxt);
	walk.root = open_root(opts);
	walk.glob = stedi_listing_glob(opts);
	prefix = pg_server_to_any(opts->prefix, strlen(opts->prefix), PG_UTF8);
	walk.base_len = strlen(prefix);
	walk_folder(&walk, NULL, prefix);
	if (opts->object != NULL && listing->n_objects + listing->n_skipped == 0)
	{
		const char *key = pg_server_to_any(opts->object, strlen(opts->object), PG_UTF8);

		if (look_at_key(walk.root, key, &st) && S_ISREG(st.st_mode))
			add_file(&walk, key, &st);
	}
	MemoryContextSwitchTo(cxt);
	MemoryContextDelete(walk_cxt);
}

/* Is what has this key a folder?  False as well where that cannot be told. */
static bool
is_folder(const LocalRoot *root, const char *key)
{
	int			fd = stedi_beneath_open(root->fd, root->opts->root, key, STEDI_BENEATH_LOOK);
	struct stat st;
	bool		folder;

	if (fd < 0)
		return false;
	folder = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
	close(fd);
	return folder;
}

/* See s3.h.  None where the folder cannot be read. */
List *
stedi_local_folders(const StediOptions *opts, const char *prefix)
{
	LocalRoot  *root = open_root(opts);
	const char *key = pg_server_to_any(prefix, strlen(prefix), PG_UTF8);
	List	   *folders = NIL;
	const char *name;
	int			fd = stedi_beneath_open(root->fd, opts->root, key, STEDI_BENEATH_FOLDER);

	if (fd >= 0)
	{
		close(fd);
		if (open_dir(root, key))
		{
			while ((name = next_name(root, key)) != NULL)
			{
				stedi_listing_check_room(opts, list_length(folders));
				if (is_folder(root, psprintf("%s%s", key, name)))
					folders = lappend(folders, pstrdup(name));
			}
		}
	}
	close_root(root);
	return folders;
}

/* An object that is not the one that was listed. */
static void
report_changed(const StediObject *object)
{
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("could not read object \"%s\": it has changed since it was listed",
				   stedi_text_show(object->key)),
			errhint("Run the query again."));
}

/* Is the open file still the one that was listed? */
static void
check_same(const StediLocal *local)
{
	struct stat st;
	char		etag[ETAG_LEN];

	if (fstat(local->fd, &st) != 0)
		ereport(ERROR,
				errcode_for_file_access(),
				errmsg("could not read object \"%s\": %m", stedi_text_show(local->object->key)));
	make_etag(&st, etag);
	if (!S_ISREG(st.st_mode) || strcmp(etag, local->object->etag) != 0)
		report_changed(local->object);
}

static void
local_release(void *arg)
{
	stedi_local_close(arg);
}

/* See s3.h.  Made in the current context, which closes it when it is reset. */
StediLocal *
stedi_local_open(const StediOptions *opts, const StediObject *object)
{
	StediLocal *local = palloc0(sizeof(StediLocal));
	LocalRoot  *root = open_root(opts);

	local->object = object;
	local->fd = -1;
	local->release.func = local_release;
	local->release.arg = local;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &local->release);
	if (!AcquireExternalFD())
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				errmsg("could not open object \"%s\": too many files are open", stedi_text_show(object->key)),
				errhint("Have fewer scans at the same time, or raise \"max_files_per_process\" of the server."));
	local->fd = stedi_beneath_open(root->fd, opts->root, object->key, STEDI_BENEATH_READ);
	if (local->fd < 0)
	{
		ReleaseExternalFD();
		if (errno == ENOENT || errno == ENOTDIR || errno == EAGAIN)
			report_changed(object);
		if (errno == EXDEV)
			ereport(ERROR,
					errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("object \"%s\" is not inside folder \"%s\"", stedi_text_show(object->key), opts->root),
					errdetail("A symbolic link or \"..\" leads out of it."));
		ereport(ERROR,
				errcode_for_file_access(),
				errmsg("could not open object \"%s\": %m", stedi_text_show(object->key)),
				stedi_local_explain(opts, object->key));
	}
	close_root(root);
	check_same(local);
	(void) posix_fadvise(local->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return local;
}

/* See s3.h. */
Size
stedi_local_read(StediLocal *local, char *dest, Size room)
{
	ssize_t		n;

	do
	{
		CHECK_FOR_INTERRUPTS();
		pgstat_report_wait_start(STEDI_WAIT_READ);
		n = pread(local->fd, dest, Min(room, (Size) INT_MAX), local->pos);
		pgstat_report_wait_end();
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		ereport(ERROR,
				errcode_for_file_access(),
				errmsg("could not read object \"%s\": %m", stedi_text_show(local->object->key)));
	check_same(local);
	local->pos += n;
	return n;
}

/* See s3.h.  Harmless when called twice. */
void
stedi_local_close(StediLocal *local)
{
	if (local->fd >= 0)
	{
		close(local->fd);
		ReleaseExternalFD();
	}
	local->fd = -1;
}
