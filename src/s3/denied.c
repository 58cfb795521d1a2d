/*-------------------------------------------------------------------------
 *
 * denied.c
 *		A file or folder that may not be read: who may not, and what is in the way.
 *
 * The operating system says "Permission denied" of a whole path.  Here its
 * parts are tried one by one, to name the first that refuses, and the right
 * that is missing.  Parts are named as the server's url and the object's key
 * have them, never as symbolic links are resolved: the url is known to
 * whoever looks into pg_foreign_server, where links lead is not.
 *
 * The operating system's user is named to members of pg_read_server_files.
 *
 *-------------------------------------------------------------------------
 */
#include "s3/s3.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/acl.h"

/* What refuses. */
typedef struct Refusal
{
	char	   *path;			/* NULL: nothing that can be told by its mode */
	const char *right;			/* that is missing there */
	bool		above;			/* it is outside of the url's folder */
} Refusal;

static bool
may_not(const char *path, int mode)
{
	return access(path, mode) != 0 && errno == EACCES;
}

/* The first part of the path that refuses. */
static Refusal
find_refusal(const char *path, size_t root_len)
{
	Refusal		refusal = {NULL, "", false};
	struct stat st;

	for (size_t i = 0; path[i] != '\0'; i++)
	{
		char	   *folder;

		if (path[i] != '/')
			continue;
		folder = pnstrdup(path, Max(i, 1));
		if (may_not(folder, X_OK))
		{
			refusal.path = folder;
			refusal.right = "search folder";
			refusal.above = i < root_len;
			return refusal;
		}
		pfree(folder);
	}
	if (stat(path, &st) != 0)
		return refusal;
	if (S_ISDIR(st.st_mode) && may_not(path, X_OK))
		refusal.right = "search folder";
	else if (may_not(path, R_OK))
		refusal.right = S_ISDIR(st.st_mode) ? "list folder" : "read file";
	else
		return refusal;
	refusal.path = pstrdup(path);
	return refusal;
}

/* What gives the right, as a shell takes it; NULL where it would need care. */
static char *
make_command(const Refusal *refusal, const char *user)
{
	if (refusal->path[strcspn(refusal->path, "'\r\n")] != '\0')
		return NULL;
	return psprintf("setfacl %s u:%s:%s '%s'", refusal->above ? "-m" : "-R -m", user,
					refusal->above ? "x" : "rX", refusal->path);
}

/* Detail and hint for whoever may know as whom the server runs. */
static void
explain_in_full(const Refusal *refusal)
{
	struct passwd *entry = getpwuid(geteuid());
	char	   *user = entry != NULL ? pstrdup(entry->pw_name) : psprintf("%u", (unsigned) geteuid());
	char	   *command;

	if (refusal->path == NULL)
	{
		errdetail("The database server runs as user \"%s\" of the operating system, which the permissions of files and folders would let.",
				  user);
		errhint("Look for what else the operating system forbids, such as SELinux, AppArmor, or ProtectHome of systemd.");
		return;
	}
	errdetail("The database server runs as user \"%s\" of the operating system, which may not %s \"%s\".",
			  user, refusal->right, refusal->path);
	command = make_command(refusal, user);
	if (command != NULL)
		errhint("Give it that right, for example by: %s", command);
	else
		errhint("Give it that right.");
}

/* See s3.h. */
int
stedi_local_explain(const StediOptions *opts, const char *key)
{
	Refusal		refusal;
	char	   *path;

	if (geterrcode() != ERRCODE_INSUFFICIENT_PRIVILEGE)
		return key == NULL ? errhint("Check option \"url\" of the server.") : 0;
	path = key == NULL ? pstrdup(opts->root) : psprintf("%s/%s", opts->root, key);
	for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
		path[len - 1] = '\0';
	refusal = find_refusal(path, strlen(opts->root));
	if (has_privs_of_role(GetOuterUserId(), ROLE_PG_READ_SERVER_FILES))
		explain_in_full(&refusal);
	else if (refusal.path != NULL)
	{
		errdetail("The user of the operating system as which the database server runs may not %s \"%s\".",
				  refusal.right, refusal.path);
		errhint("Have an administrator of the database server give it that right.");
	}
	else
		errhint("Ask an administrator of the database server.");
	return 0;
}
