/*-------------------------------------------------------------------------
 *
 * list_near.c
 *		A prefix with nothing under it -> the one that may be meant.
 *
 * From the server's url on, folder by folder, down to the first that is not
 * there: the name that is most like it comes with the statement that sets it,
 * or else what is there in its place.  That is worth a request or two, and never
 * another error: an account that may list its own prefixes only gets the same
 * hint without names.
 *
 * Folders may be called as somebody likes.  They are told to whoever has the
 * rights of the user whom they are read as, and to nobody who reads through a
 * view or a function of that user's.
 *
 *-------------------------------------------------------------------------
 */
#include "stedi.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/varlena.h"

/* Folders that a message names. */
#define MOST_NAMED 8

/* How many letters may be wrong, and not more than half of them. */
#define MOST_WRONG 3

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

/* The name that is most like another; NULL when none is. */
static const char *
find_nearest(List *names, const char *name)
{
	const char *nearest = NULL;
	int			limit = Min(MOST_WRONG, (int) strlen(name) / 2);
	ListCell   *lc;

	foreach(lc, names)
	{
		const char *candidate = lfirst(lc);
		int			distance = varstr_levenshtein_less_equal(name, (int) strlen(name),
															 candidate, (int) strlen(candidate),
															 1, 1, 1, limit, true);

		if (distance > limit)
			continue;
		nearest = candidate;
		limit = distance - 1;	/* the next one has to be better */
	}
	return nearest;
}

/* Say what there is, and what to set. */
static char *
make_hint(const StediOptions *opts, List *names, const char *before, const char *nearest,
		  const char *behind)
{
	StringInfoData hint;
	int			n = 0;
	ListCell   *lc;

	initStringInfo(&hint);
	if (nearest != NULL)
	{
		char	   *meant = psprintf("%s%s%s%s", before, nearest, behind[0] != '\0' ? "/" : "", behind);

		appendStringInfo(&hint, "Perhaps you meant prefix \"%s\"", meant);
		if (OidIsValid(opts->relid))
			appendStringInfo(&hint, ": %s %s", stedi_cure_table(opts, "prefix", meant), OR_ELSE);
		else
			appendStringInfoChar(&hint, '.');
		return hint.data;
	}
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

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* The folders right below a prefix that can be named, sorted. */
static List *
find_folders(const StediOptions *opts, StediFetch *fetch, const char *prefix)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, fetch != NULL ? bucket_folders(fetch, prefix) : stedi_local_folders(opts, prefix))
		if (is_sayable(lfirst(lc)))
		names = lappend(names, lfirst(lc));
	list_sort(names, compare_names);
	return names;
}

/* See stedi.h. */
char *
stedi_list_near(const StediOptions *opts, Oid userid, StediFetch *fetch)
{
	const char *base = stedi_option_get(opts->serverid, InvalidOid)->prefix;
	const char *wanted = opts->prefix + strlen(base);
	const char *p = wanted;
	const char *check = OidIsValid(opts->relid) ? CHECK : CHECK_SERVER;

	/* who asked, whatever function or view that was through */
	if (!has_privs_of_role(GetOuterUserId(), userid) || !is_sayable(wanted))
		return pstrdup(check);
	while (*p != '\0')
	{
		const char *end = strchr(p, '/');
		char	   *name = pnstrdup(p, end - p);
		List	   *names = find_folders(opts, fetch, pnstrdup(opts->prefix, p - opts->prefix));

		if (names == NIL)
			break;
		if (!is_member(names, name))
			return make_hint(opts, names, pnstrdup(wanted, p - wanted), find_nearest(names, name),
							 pnstrdup(end + 1, Max(strlen(end + 1), 1) - 1));
		p = end + 1;
	}
	return pstrdup(check);
}
