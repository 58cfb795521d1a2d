/*-------------------------------------------------------------------------
 *
 * infer.c
 *		What tables would read what lies under a server's url.
 *
 * infer() shows what sample.c found under a prefix, and the column that each
 * key would be; IMPORT FOREIGN SCHEMA inferred makes a table of each folder
 * (fdw.c).  What keys and folders are called is theirs who write them, so
 * names are made of it that are safe to use without quotes, and anything else
 * is quoted.  No value of a record comes this far.
 *
 *-------------------------------------------------------------------------
 */
#include "fdw/fdw.h"

#include "catalog/heap.h"
#include "catalog/pg_type.h"
#include "common/keywords.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

PG_FUNCTION_INFO_V1(infer);

/*
 * Folders of which tables are made.  More are no tables but a way to lay out
 * one (dates, people), and nobody wants a table of each.
 */
#define MOST_FOLDERS 1000

/*
 * A name made of a text in UTF-8, which needs no quotes: lower-case letters
 * and digits of ASCII, and one _ for whatever stands between them.  It is none
 * of the words that SQL or the server keep for themselves.
 */
static char *
make_name(const char *text, const char *otherwise)
{
	char		name[NAMEDATALEN];
	int			len = 0;
	int			keyword;
	bool		other = false;

	for (const char *p = text; *p != '\0' && len < NAMEDATALEN - 2; p++)
	{
		char		c = pg_ascii_tolower((unsigned char) *p);
		bool		digit = c >= '0' && c <= '9';
		bool		plain = digit || (c >= 'a' && c <= 'z') || c == '_';

		if (plain)
		{
			/* no name starts with a digit */
			if (len == 0 ? digit : other)
				name[len++] = '_';
			name[len++] = c;
		}
		other = !plain;
	}
	name[len] = '\0';
	if (strspn(name, "_") == (size_t) len)
		return pstrdup(otherwise);
	keyword = ScanKeywordLookup(name, &ScanKeywords);
	if (SystemAttributeByName(name) != NULL ||
		(keyword >= 0 && (ScanKeywordCategories[keyword] == RESERVED_KEYWORD ||
						  ScanKeywordCategories[keyword] == TYPE_FUNC_NAME_KEYWORD)))
		return psprintf("%s_", name);
	return pstrdup(name);
}

/* A name that is taken, and the last number that was put behind it; 1: none. */
typedef struct TakenName
{
	char		name[NAMEDATALEN];	/* the hash key */
	int			last;
} TakenName;

/* No names, yet. */
static HTAB *
open_names(void)
{
	HASHCTL		ctl = {.keysize = NAMEDATALEN,.entrysize = sizeof(TakenName),.hcxt = CurrentMemoryContext};

	return hash_create("stedi names", 64, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/* The same with a number behind it where others have the name; noted in taken. */
static char *
make_other_name(const char *text, const char *otherwise, HTAB *taken)
{
	char	   *base = make_name(text, otherwise);
	char	   *name = base;
	bool		found;
	TakenName  *entry = hash_search(taken, base, HASH_ENTER, &found);
	TakenName  *other = entry;

	while (found)
	{
		char		number[16];

		snprintf(number, sizeof(number), "_%d", ++entry->last);
		name = psprintf("%.*s%s", (int) (NAMEDATALEN - 1 - strlen(number)), base, number);
		other = hash_search(taken, name, HASH_ENTER, &found);
	}
	other->last = 1;
	return name;
}

/* A text in UTF-8 in the encoding of the database, if that has it and gives it back. */
static char *
to_database(const char *text)
{
	StediSlice	slice = {text, strlen(text)};
	int			len;
	char	   *converted = stedi_text_convert(slice, &len);

	if (converted != NULL && strcmp(pg_server_to_any(converted, len, PG_UTF8), text) != 0)
		return NULL;
	return converted;
}

/* Does a column of that name read the key without an option? */
static bool
reads_by_name(const StediSampledKey *key)
{
	const char *column = key->column;
	const char *text = key->text;

	/* the name is ASCII, in lower case */
	while (*column != '\0' && *column == (char) pg_ascii_tolower((unsigned char) *text))
		column++, text++;
	return *column == '\0' && *text == '\0';
}

/* Could a column read the key, whatever its values are? */
static bool
has_column(const StediSampledKey *key)
{
	const char *name = key->is_text ? to_database(key->text) : NULL;

	return name != NULL && stedi_option_takes_key(name);
}

/* Give each key that a column can read the name of one. */
static void
name_columns(StediSample *sample)
{
	HTAB	   *taken = open_names();

	for (int i = 0; i < sample->n_keys; i++)
	{
		StediSampledKey *key = sample->keys[i];

		CHECK_FOR_INTERRUPTS();
		if (OidIsValid(key->type) && has_column(key))
			key->column = make_other_name(key->text, "key", taken);
	}
}

/* What is remarkable of a key, in words that quote nothing; NULL: nothing. */
static const char *
key_note(const StediSampledKey *key)
{
	if (!key->is_text)
		return "the key is no text";
	if (!has_column(key))
		return "option \"key\" of a column cannot name it";
	if (key->no_text)
		return "a string of it is no text";
	if (key->two_values)
		return "a record has it twice, with different values";
	if (!OidIsValid(key->type))
		return "no type reads all of its values";
	if (key->n_records == key->counts[STEDI_JSON_NULL])
		return key->many_cases ? "only null so far; written in different cases" : "only null so far";
	return key->many_cases ? "written in different cases" : NULL;
}

/* Say how much was sampled; what: "" or the table that came of it. */
static void
tell_sample(const StediSample *sample, const char *what)
{
	StringInfoData detail;

	initStringInfo(&detail);
	if (sample->n_whole < sample->n_objects)
		appendStringInfo(&detail, ngettext("Of %d object the beginning alone was read: what lies further down may be otherwise.",
										   "Of %d objects the beginning alone was read: what lies further down may be otherwise.",
										   (unsigned long) (sample->n_objects - sample->n_whole)),
						 sample->n_objects - sample->n_whole);
	if (sample->n_rejected > 0)
		appendStringInfo(&detail, "%sMore that could not be read: %lld.", detail.len > 0 ? " " : "", (long long) sample->n_rejected);
	if (sample->n_left_out > 0)
		appendStringInfo(&detail, "%sKeys too long, or too many, to be told apart were met %lld times.",
						 detail.len > 0 ? " " : "", (long long) sample->n_left_out);
	ereport(NOTICE,
			errmsg_plural("%ssampled %lld record of %d of %d objects",
						  "%ssampled %lld records of %d of %d objects",
						  (unsigned long) sample->n_records, what,
						  (long long) sample->n_records, sample->n_objects, sample->n_listed),
			detail.len > 0 ? errdetail("%s", detail.data) : 0);
}

/*
 * infer(server name, prefix text)
 *		-> (key text, records bigint, one bigint a JSON type, type regtype,
 *		column_name name, key_option boolean, note text)
 */
Datum
infer(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const StediOptions *opts;
	StediSample *sample;
	Oid			serverid;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("argument \"server\" must not be null"));
	serverid = stedi_option_find_server(NameStr(*PG_GETARG_NAME(0)));
	opts = stedi_option_get_prefix(serverid, PG_ARGISNULL(1) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(1)));
	InitMaterializedSRF(fcinfo, 0);
	sample = stedi_sample_read(opts, stedi_list_get(opts, GetUserId(), NULL));
	name_columns(sample);
	for (int i = 0; i < sample->n_keys; i++)
	{
		const StediSampledKey *key = sample->keys[i];
		const char *note = key_note(key);
		Datum		values[STEDI_N_JSON_TYPES + 6];
		bool		nulls[STEDI_N_JSON_TYPES + 6] = {false};
		int			n = 2 + STEDI_N_JSON_TYPES;

		values[0] = stedi_text_name(key->text);
		values[1] = Int64GetDatum(key->n_records);
		for (int type = 0; type < STEDI_N_JSON_TYPES; type++)
			values[2 + type] = Int64GetDatum(key->counts[type]);
		if (key->column != NULL)
		{
			values[n] = ObjectIdGetDatum(key->type);
			values[n + 1] = CStringGetTextDatum(key->column);
			values[n + 2] = BoolGetDatum(!reads_by_name(key));
		}
		else
			nulls[n] = nulls[n + 1] = nulls[n + 2] = true;
		nulls[n + 3] = note == NULL;
		if (note != NULL)
			values[n + 3] = CStringGetTextDatum(note);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	tell_sample(sample, "");
	PG_RETURN_NULL();
}

/* The folder of a key below the url; len is 0 where it lies in none. */
static StediSlice
first_folder(const char *key, const char *prefix)
{
	StediSlice	folder = {key + strlen(prefix), 0};
	const char *end = strchr(folder.data, '/');

	if (end != NULL)
		folder.len = end - folder.data;
	return folder;
}

/* What a table of all that lies under the url would be called. */
static const char *
url_name(const StediOptions *opts)
{
	const char *slash = strrchr(opts->url, '/');

	return slash[1] == '\0' ? "objects" : slash + 1;
}

/* A folder that a table can have as its prefix, all of it and nothing else; else NULL. */
static StediFolder *
make_folder(Oid serverid, const char *root, StediSlice name, HTAB *taken)
{
	char	   *utf8 = pnstrdup(name.data, name.len);

	/* a folder without a name: its keys begin with a / */
	char	   *prefix = name.len == 0 ? pstrdup("/") : to_database(utf8);
	StediFolder *folder = palloc0(sizeof(StediFolder));

	folder->table = make_other_name(utf8, "objects", taken);
	folder->listing = palloc0(sizeof(StediListing));
	if (prefix == NULL)
		return NULL;
	folder->prefix = prefix;
	folder->opts = stedi_option_get_prefix(serverid, prefix);
	if (strcmp(pg_server_to_any(folder->opts->prefix, strlen(folder->opts->prefix), PG_UTF8),
			   psprintf("%s%s/", root, utf8)) != 0)
		return NULL;
	return folder;
}

/* An error where so many are too many. */
static void
check_folders(const StediOptions *opts, long n)
{
	if (n < MOST_FOLDERS)
		return;
	ereport(ERROR,
			errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			errmsg("more than %d folders lie under \"%s\": these are no tables", MOST_FOLDERS, opts->url),
			errhint("Name a folder in option \"url\" of a server of its own, or make one foreign table of all: stedi.infer shows what it would be."));
}

List *
stedi_infer_folders(Oid serverid)
{
	const StediOptions *opts = stedi_option_get(serverid, InvalidOid);
	const char *root = pg_server_to_any(opts->prefix, strlen(opts->prefix), PG_UTF8);
	const StediListing *listing = stedi_list_get(opts, GetUserId(), NULL);
	StediSlice	before = {NULL, 0};
	StediFolder *folder = NULL;
	StediFolder *all;
	List	   *folders = NIL;
	HTAB	   *taken = open_names();
	int			n_without = 0;

	for (int i = 0; i < listing->n_objects; i++)
	{
		const StediObject *object = &listing->objects[i];
		StediSlice	name = first_folder(object->key, root);

		CHECK_FOR_INTERRUPTS();
		if (name.data[name.len] != '/')
		{
			n_without++;
			continue;
		}

		/* in the order of the keys, what is in one folder stands together */
		if (before.data == NULL || name.len != before.len || memcmp(name.data, before.data, name.len) != 0)
		{
			check_folders(opts, hash_get_num_entries(taken));
			before = name;
			folder = make_folder(serverid, root, name, taken);
			if (folder != NULL)
				folders = lappend(folders, folder);
			else
				ereport(WARNING,
						errmsg("no foreign table is made of folder \"%s\": option \"prefix\" cannot name it",
							   stedi_text_show(pnstrdup(name.data, name.len))));
		}
		if (folder != NULL)
			stedi_listing_add(folder->listing, object->key, object->etag, object->size, object->modified);
	}
	if (n_without == 0)
		return folders;
	if (before.data != NULL)
	{
		ereport(WARNING,
				errmsg_plural("%d object lies beside the folders, and no foreign table is made of it",
							  "%d objects lie beside the folders, and no foreign table is made of them",
							  n_without, n_without),
				errhint("A foreign table without option \"prefix\" reads all that lies under the url of the server, folders and all."));
		return folders;
	}
	all = palloc0(sizeof(StediFolder));
	all->table = make_other_name(url_name(opts), "objects", taken);
	all->opts = opts;
	all->listing = stedi_listing_copy(listing);
	return list_make1(all);
}

/* A column, as CREATE FOREIGN TABLE has it. */
static void
append_column(StringInfo command, const StediSampledKey *key)
{
	appendStringInfo(command, "%s %s", quote_identifier(key->column),
					 format_type_extended(key->type, -1, FORMAT_TYPE_FORCE_QUALIFY));
	if (!reads_by_name(key))
		appendStringInfo(command, " OPTIONS (key %s)", quote_literal_cstr(to_database(key->text)));
}

char *
stedi_infer_table(const StediFolder *folder, const char *server_name)
{
	StediSample *sample = stedi_sample_read(folder->opts, folder->listing);
	StringInfoData command;
	bool		first = true;

	if (sample->n_records == 0)
	{
		ereport(WARNING,
				errmsg("no foreign table \"%s\" is made: %d of %d objects were sampled, and no record could be read",
					   folder->table, sample->n_objects, sample->n_listed),
				errhint("Leave it out with EXCEPT (%s).", quote_identifier(folder->table)));
		return NULL;
	}
	name_columns(sample);
	initStringInfo(&command);
	appendStringInfo(&command, "CREATE FOREIGN TABLE %s (", quote_identifier(folder->table));
	for (int i = 0; i < sample->n_keys; i++)
	{
		if (sample->keys[i]->column == NULL)
			continue;
		appendStringInfoString(&command, first ? "" : ", ");
		append_column(&command, sample->keys[i]);
		first = false;
	}
	appendStringInfo(&command, ") SERVER %s", quote_identifier(server_name));
	if (folder->prefix != NULL)
		appendStringInfo(&command, " OPTIONS (prefix %s)", quote_literal_cstr(folder->prefix));
	tell_sample(sample, psprintf("foreign table \"%s\": ", folder->table));
	return command.data;
}
