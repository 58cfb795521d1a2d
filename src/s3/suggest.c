/*-------------------------------------------------------------------------
 *
 * suggest.c
 *		A prefix with nothing under it -> the one that may be meant.
 *
 * From the server's url on, folder by folder, down to the first that is not
 * there: the name that is most like it comes with the statement that sets it,
 * or else what is there in its place.  Many landing zones have a folder
 * "landing" beside others of what was made of it ("trusted", "curated"), in each
 * kind's folder or around them all: it is that one that is meant.  That is worth
 * a few requests, and never another error: an account that may list its own
 * prefixes only gets the same hint without names.
 *
 * Folders may be called as somebody likes.  They are told to whoever has the
 * rights of the user whom they are read as, and to nobody who reads through a
 * view or a function of that user's.
 *
 *-------------------------------------------------------------------------
 */
#include "s3/s3.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

/* Folders that a message names. */
#define MOST_NAMED 8

/* Folders that are looked into to find the one that is meant. */
#define MOST_ASKED 6

/* What a folder of landing data is called where others are beside it. */
#define LANDING "landing"

#define CHECK "Check option \"prefix\" of the foreign table and option \"url\" of its server, " \
	"or set option \"allow_empty\" of the table to true."
#define CHECK_SERVER "Check the prefix, and option \"url\" of the server."
#define OR_ELSE "Or check option \"url\" of the server; or set option \"allow_empty\" of the table to true."

/* Can a message have the name, and a statement say it? */
static bool
is_sayable(const char *name)
{
	if (name[0] == '\0' || name[0] == '_' || name[0] == '.' ||
		!pg_verify_mbstr(PG_UTF8, name, strlen(name), true))
		return false;
	for (const char *p = name; *p != '\0'; p++)
		if ((unsigned char) *p < ' ' || *p == 0x7f ||
			(IS_HIGHBIT_SET(*p) && GetDatabaseEncoding() != PG_UTF8))
			return false;
	return true;
}

/* Note a folder.  Never throws: expat's frames are below us. */
static bool
on_folder(void *arg, const StediS3Entry *entry)
{
	StringInfo	names = arg;	/* with room for all of the page */
	size_t		size = strlen(entry->key) + 1;

	if (names->len + (int) size > names->maxlen)
		return false;
	memcpy(names->data + names->len, entry->key, size);
	names->len += (int) size;
	return true;
}

/* The names of the folders below a prefix of a bucket; NIL where they cannot be told. */
static List *
bucket_folders(StediFetch *fetch, const char *prefix)
{
	List	   *folders = NIL;
	StringInfoData keys;
	StediS3Page page;
	char	   *xml;
	Size		len;

	if (!stedi_fetch_folders(fetch, prefix, &xml, &len))
		return NIL;
	initStringInfo(&keys);
	enlargeStringInfo(&keys, (int) len);	/* they are shorter than the page */
	if (!stedi_s3xml_folders(xml, len, on_folder, &keys, &page))
		return NIL;
	for (char *key = keys.data; key < keys.data + keys.len; key += strlen(key) + 1)
	{
		size_t		key_len = strlen(key);

		if (key_len > strlen(prefix) && strncmp(key, prefix, strlen(prefix)) == 0)
			folders = lappend(folders, pnstrdup(key + strlen(prefix), key_len - strlen(prefix) - 1));
	}
	return folders;
}

static bool
is_member(List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
		if (strcmp(lfirst(lc), name) == 0)
		return true;
	return false;
}

/* What is looked through to find a folder. */
typedef struct Search
{
	const StediOptions *opts;
	StediFetch *fetch;			/* NULL: a local folder */
	const char *base;			/* prefix of the url: paths are below it */
	int			n_asked;
} Search;

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* The folders right below a path that can be named, sorted. */
static List *
find_folders(Search *search, const char *path)
{
	char	   *prefix = psprintf("%s%s", search->base, path);
	List	   *names = NIL;
	ListCell   *lc;

	if (++search->n_asked > MOST_ASKED)
		return NIL;
	foreach(lc, search->fetch != NULL ? bucket_folders(search->fetch, prefix) :
			stedi_local_folders(search->opts, prefix))
		if (is_sayable(lfirst(lc)))
		names = lappend(names, lfirst(lc));
	list_sort(names, compare_names);
	return names;
}

/* A name without "landing" at either end of it; NULL when that is not there. */
static char *
without_landing(const char *name)
{
	int			len = strlen(name);
	int			n = strlen(LANDING);

	if (len > n + 1 && pg_strncasecmp(name, LANDING, n) == 0 && strchr("_-. ", name[n]) != NULL)
		return pstrdup(name + n + 1);
	if (len > n + 1 && pg_strcasecmp(name + len - n, LANDING) == 0 &&
		strchr("_-. ", name[len - n - 1]) != NULL)
		return pnstrdup(name, len - n - 1);
	return NULL;
}

/* The name but itself that is most like another; NULL when none is. */
static const char *
find_nearest(List *names, const char *name, bool landing)
{
	const char *nearest = NULL;
	StediNear	near;
	ListCell   *lc;

	stedi_near_begin(&near, name, (int) strlen(name) / 2);
	foreach(lc, names)
	{
		const char *candidate = lfirst(lc);
		const char *compared = landing ? without_landing(candidate) : candidate;

		if (compared == NULL || strcmp(candidate, name) == 0)
			continue;
		stedi_near_offer(&near, compared);
		if (near.found == compared)
			nearest = candidate;
	}
	return nearest;
}

/* The only name but itself; NULL when there are more. */
static const char *
find_only(List *names, const char *name)
{
	const char *only = NULL;
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			continue;
		if (only != NULL)
			return NULL;
		only = lfirst(lc);
	}
	return only;
}

/* The one that is called landing; NULL when none is. */
static const char *
find_landing(List *names)
{
	ListCell   *lc;

	foreach(lc, names)
		if (pg_strcasecmp(lfirst(lc), LANDING) == 0)
		return lfirst(lc);
	return NULL;
}

/*
 * The path of the landing data that a name is likely to mean, of these folders
 * below a path; NULL when none is like it.
 */
static char *
find_meant(Search *search, const char *before, List *names, const char *name)
{
	const char *found = find_nearest(names, name, true);
	const char *landing;
	List	   *below;

	if (found != NULL)
		return psprintf("%s%s", before, found);
	found = find_nearest(names, name, false);
	if (found != NULL)
	{
		landing = find_landing(find_folders(search, psprintf("%s%s/", before, found)));
		return psprintf("%s%s%s%s", before, found, landing ? "/" : "", landing ? landing : "");
	}
	landing = find_landing(names);
	if (landing != NULL)
	{
		below = find_folders(search, psprintf("%s%s/", before, landing));
		found = is_member(below, name) ? name : find_nearest(below, name, false);
		if (found != NULL)
			return psprintf("%s%s/%s", before, landing, found);
	}

	/* a folder of the project, around all? */
	found = find_only(names, name);
	if (found != NULL)
	{
		before = psprintf("%s%s/", before, found);
		below = find_folders(search, before);
		if (!is_member(below, name))
			return find_meant(search, before, below, name);
		landing = find_landing(find_folders(search, psprintf("%s%s/", before, name)));
		return psprintf("%s%s%s%s", before, name, landing ? "/" : "", landing ? landing : "");
	}
	return NULL;
}

/* Say what to set. */
static char *
hint_meant(const StediOptions *opts, const char *meant)
{
	if (!OidIsValid(opts->relid))
		return psprintf("Perhaps you meant prefix \"%s\".", meant);
	return psprintf("Perhaps you meant prefix \"%s\": %s %s", meant,
					stedi_cure_table(opts, "prefix", meant), OR_ELSE);
}

/* Say what there is. */
static char *
hint_names(const StediOptions *opts, List *names, const char *before)
{
	StringInfoData hint;
	int			n = 0;
	ListCell   *lc;

	initStringInfo(&hint);
	appendStringInfoString(&hint, "What is there:");
	foreach(lc, names)
	{
		if (n++ == MOST_NAMED)
		{
			appendStringInfoString(&hint, ", and others");
			break;
		}
		appendStringInfo(&hint, "%s \"%s%s\"", n > 1 ? "," : "", before, (char *) lfirst(lc));
	}
	appendStringInfoChar(&hint, '.');
	if (OidIsValid(opts->relid))
		appendStringInfo(&hint, " Name one: %s %s", stedi_cure_table(opts, "prefix", "..."), OR_ELSE);
	return hint.data;
}

/* A path without empty parts, and without a / at its end. */
static char *
without_empty_parts(const char *path)
{
	char	   *clean = palloc(strlen(path) + 1);
	int			len = 0;

	for (const char *p = path; *p != '\0'; p++)
		if (*p != '/' || (len > 0 && clean[len - 1] != '/'))
			clean[len++] = *p;
	while (len > 0 && clean[len - 1] == '/')
		len--;
	clean[len] = '\0';
	return clean;
}

/*
 * What a path means whose part name is not there, or has nothing in it: behind
 * it comes the rest.
 */
static char *
find_path(Search *search, const char *before, List *names, const char *name, const char *behind)
{
	if (behind[0] == '\0')
		return find_meant(search, before, names, name);
	if (find_nearest(names, name, false) == NULL)
		return NULL;
	return psprintf("%s%s/%s", before, find_nearest(names, name, false), behind);
}

/* See s3.h. */
char *
stedi_suggest_near(const StediOptions *opts, Oid userid, StediFetch *fetch)
{
	Search		search = {.opts = opts,.fetch = fetch};
	const char *wanted;
	const char *p;
	const char *check = OidIsValid(opts->relid) ? CHECK : CHECK_SERVER;
	char	   *clean;

	search.base = stedi_option_get(opts->serverid, InvalidOid)->prefix;
	wanted = p = opts->prefix + strlen(search.base);

	/* who asked, whatever function or view that was through */
	if (!has_privs_of_role(GetOuterUserId(), userid) || !is_sayable(wanted))
		return pstrdup(check);

	/* each / counts in a bucket, and people write some out of habit */
	clean = without_empty_parts(wanted);
	if (clean[0] != '\0' && strlen(clean) + 1 < strlen(wanted) &&
		is_member(find_folders(&search, ""), pnstrdup(clean, strcspn(clean, "/"))))
		return hint_meant(opts, clean);
	while (*p != '\0')
	{
		const char *end = strchr(p, '/');
		char	   *name = pnstrdup(p, end - p);
		char	   *before = pnstrdup(wanted, p - wanted);
		char	   *behind = pnstrdup(end + 1, Max(strlen(end + 1), 1) - 1);
		List	   *names = find_folders(&search, before);
		bool		there = is_member(names, name);
		char	   *meant;

		if (names == NIL)
			break;

		/* all of it may be there, and empty */
		if (!there || end[1] == '\0')
		{
			meant = find_path(&search, before, names, name, behind);
			if (meant != NULL)
				return hint_meant(opts, meant);
			if (!there)
				return hint_names(opts, names, before);
		}
		p = end + 1;
	}
	return pstrdup(check);
}

/* See s3.h. */
void
stedi_suggest_warn_beside(const StediOptions *opts, Oid userid, const StediListing *listing)
{
	const char *prefix;
	char	   *name = OidIsValid(opts->relid) ? get_rel_name(opts->relid) : NULL;
	char	   *meant;
	int			n = 0;

	/* who has written a pattern has said what is meant */
	if (name == NULL || opts->pattern != NULL || !(stedi_schema_find(name) != NULL) ||
		!has_privs_of_role(GetOuterUserId(), userid))
		return;
	prefix = pg_server_to_any(opts->prefix, strlen(opts->prefix), PG_UTF8);
	for (int i = 0; i < listing->n_objects; i++)
		if (strncmp(listing->objects[i].key, prefix, strlen(prefix)) == 0 &&
			strncmp(listing->objects[i].key + strlen(prefix), LANDING "/", strlen(LANDING "/")) == 0)
			n++;
	if (n == 0 || n == listing->n_objects)
		return;
	meant = psprintf("%s" LANDING, opts->prefix +
					 strlen(stedi_option_get(opts->serverid, InvalidOid)->prefix));
	ereport(WARNING,
			errmsg("foreign table \"%s\" reads folder \"%s\" and what lies beside it", name, meant),
			errdetail("Beside it lie %d of %d objects. These may be copies that were made of it, and know of no withdrawal.",
					  listing->n_objects - n, listing->n_objects),
			errhint("Perhaps you meant prefix \"%s\": %s Or say that all of it is meant: %s",
					meant, stedi_cure_table(opts, "prefix", meant), stedi_cure_table(opts, "pattern", "**")));
}
