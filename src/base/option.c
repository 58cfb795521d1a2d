/*-------------------------------------------------------------------------
 *
 * option.c
 *		The options of servers, user mappings, foreign tables and columns.
 *
 * One table says all there is to know of each option; the validator, the
 * resolver (stedi_option_get) and stedi.options() follow it.  The validator
 * checks form and privilege and never touches the network or the disk, so
 * that a dump restores offline.
 *
 *-------------------------------------------------------------------------
 */
#include "base/base.h"

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

typedef enum OptionKind
{
	KIND_URL,					/* where the landing zone is */
	KIND_ENDPOINT,				/* scheme://host[:port] */
	KIND_REGION,				/* becomes part of a host's name */
	KIND_TEXT,
	KIND_SECRET,				/* text that no message shows */
	KIND_PREFIX,
	KIND_PATTERN,
	KIND_BOOL,
	KIND_INT,
	KIND_SIZE,					/* bytes, with unit */
	KIND_CHOICE,
	KIND_ZONE,					/* of times */
	KIND_WORDS,					/* texts with commas between them */
	/* what takes the right to read the server's files */
	KIND_FILE,					/* absolute path of one of them */
	KIND_CREDENTIALS,			/* a choice; only the first one is free */
	KIND_PROFILE,				/* text */
	KIND_PERMIT,				/* a boolean; only false is free */
} OptionKind;

typedef struct Option
{
	const char *name;
	Oid			catalog;
	OptionKind	kind;
	const char *initial;		/* default, as written; NULL: none */
	int64		min;			/* KIND_INT, KIND_SIZE */
	int64		max;
	const char *choices[7];		/* KIND_CHOICE, KIND_CREDENTIALS */
	const char *help;
} Option;

static const Option options[] = {
	/* servers */
	{"url", ForeignServerRelationId, KIND_URL, NULL, 0, 0, {0},
	"where the landing zone is: s3://bucket[/prefix] or file:///folder (required)"},
	{"region", ForeignServerRelationId, KIND_REGION, "us-east-1", 0, 0, {0},
	"the AWS region that requests are signed for"},
	{"endpoint", ForeignServerRelationId, KIND_ENDPOINT, NULL, 0, 0, {0},
	"scheme://host[:port] of an S3 server other than AWS"},
	{"url_style", ForeignServerRelationId, KIND_CHOICE, NULL, 0, 0, {"path", "virtual"},
	"bucket in the path or in the host name; default virtual on AWS, path with an endpoint"},
	{"allow_http", ForeignServerRelationId, KIND_BOOL, "false", 0, 0, {0},
	"let an endpoint be http://, which anybody on the way can read and change"},
	{"allow_link_local", ForeignServerRelationId, KIND_PERMIT, "false", 0, 0, {0},
	"let endpoint and proxy be at addresses where clouds tell their hosts' secrets; for superusers and pg_read_server_files"},
	{"requester_pays", ForeignServerRelationId, KIND_BOOL, "false", 0, 0, {0},
	"accept the charges of a requester-pays bucket"},
	{"proxy", ForeignServerRelationId, KIND_ENDPOINT, NULL, 0, 0, {0},
	"scheme://host[:port] of a proxy; the environment's proxy is never used"},
	{"ca_file", ForeignServerRelationId, KIND_FILE, NULL, 0, 0, {0},
	"a PEM file of the authorities that are trusted, in place of the system's"},
	{"connections", ForeignServerRelationId, KIND_INT, "8", 1, 64, {0},
	"objects fetched at the same time by one scan"},
	{"connect_timeout", ForeignServerRelationId, KIND_INT, "10000", 1, 600000, {0},
	"milliseconds to wait for a connection"},
	{"stall_timeout", ForeignServerRelationId, KIND_INT, "60", 1, 3600, {0},
	"seconds without a byte after which a transfer is given up"},
	{"max_tries", ForeignServerRelationId, KIND_INT, "8", 1, 100, {0},
	"how often a request is sent, unless it gets on, before its trouble is an error"},
	{"retry_timeout", ForeignServerRelationId, KIND_INT, "120", 0, 3600, {0},
	"seconds in which a request that does not get on is sent again"},
	{"checksum", ForeignServerRelationId, KIND_BOOL, "false", 0, 0, {0},
	"compare every object with the checksum that the server tells of it"},
	{"page_size", ForeignServerRelationId, KIND_INT, "1000", 1, 1000, {0},
	"keys asked for in one listing request"},
	{"max_objects", ForeignServerRelationId, KIND_INT, "1000000", 1, 50000000, {0},
	"the most objects that a listing may have"},
	/* user mappings */
	{"credentials", UserMappingRelationId, KIND_CREDENTIALS, "static", 0, 0,
		{"static", "environment", "profile", "web_identity", "container", "instance"},
	"where keys come from: this mapping, or what the database server itself has"},
	{"profile", UserMappingRelationId, KIND_PROFILE, NULL, 0, 0, {0},
	"with credentials profile: its name in the files of AWS's tools"},
	{"access_key_id", UserMappingRelationId, KIND_TEXT, NULL, 0, 0, {0},
	"access key of the S3 account"},
	{"secret_access_key", UserMappingRelationId, KIND_SECRET, NULL, 0, 0, {0},
	"its secret"},
	{"session_token", UserMappingRelationId, KIND_SECRET, NULL, 0, 0, {0},
	"session token of temporary credentials"},
	{"anonymous", UserMappingRelationId, KIND_BOOL, "false", 0, 0, {0},
	"send unsigned requests, for a public bucket"},
	/* foreign tables */
	{"prefix", ForeignTableRelationId, KIND_PREFIX, "", 0, 0, {0},
	"the objects of the table: all under this folder of the server's url, or the one of this key"},
	{"pattern", ForeignTableRelationId, KIND_PATTERN, NULL, 0, 0, {0},
	"of these, the objects whose key below the prefix matches: *, ?, [...], and ** for any folders"},
	{"allow_empty", ForeignTableRelationId, KIND_BOOL, "false", 0, 0, {0},
	"no objects are no rows, in place of an error"},
	{"on_error", ForeignTableRelationId, KIND_CHOICE, "reject", 0, 0, {"reject", "stop"},
	"what a record that cannot be read does: it is set aside, or ends the query"},
	{"reject_limit", ForeignTableRelationId, KIND_INT, NULL, 1, PG_INT64_MAX, {0},
	"with on_error reject: more rejects than this end the query"},
	{"max_record_size", ForeignTableRelationId, KIND_SIZE, "16MB", 1024, 512 * 1024 * 1024, {0},
	"the longest record that is read; 1kB to 512MB"},
	{"max_depth", ForeignTableRelationId, KIND_INT, "256", 1, STEDI_DEEPEST, {0},
	"the deepest nesting of a record that is read"},
	{"max_inflate_ratio", ForeignTableRelationId, KIND_INT, "200", 1, 1000000, {0},
	"how many times its size a compressed object may hold; its first 64 MB are free of that"},
	{"time_unit", ForeignTableRelationId, KIND_CHOICE, "ms", 0, 0, {"s", "ms", "us"},
	"the unit of times that are numbers"},
	{"time_zone", ForeignTableRelationId, KIND_ZONE, NULL, 0, 0, {0},
	"the zone of ISO 8601 times without an offset, as Europe/Berlin or +01:00; default none: they are rejected"},
	{"null_values", ForeignTableRelationId, KIND_WORDS, NULL, 0, 0, {0},
	"strings that are null in columns other than text, varchar and jsonb, with commas between them, as \"\", NaN"},
	/* IMPORT FOREIGN SCHEMA landing */
	{"customer_prefix", NamespaceRelationId, KIND_PREFIX, "customers", 0, 0, {0},
	"option prefix of customer_landing"},
	{"accelerometer_prefix", NamespaceRelationId, KIND_PREFIX, "accelerometer", 0, 0, {0},
	"option prefix of accelerometer_landing"},
	{"step_trainer_prefix", NamespaceRelationId, KIND_PREFIX, "step_trainer", 0, 0, {0},
	"option prefix of step_trainer_landing"},
	/* their columns */
	{"key", AttributeRelationId, KIND_TEXT, NULL, 0, 0, {0},
	"the JSON key of the column; default its name, matched without regard to case"},
	{"source", AttributeRelationId, KIND_CHOICE, NULL, 0, 0, {"object", "etag", "line", "offset"},
	"a column made by the scan: the record's object, its ETag, the record's line (from 1) or byte offset (from 0)"},
};

PG_FUNCTION_INFO_V1(stedi_fdw_validator);
PG_FUNCTION_INFO_V1(options_list);

static const char *
catalog_name(Oid catalog)
{
	switch (catalog)
	{
		case ForeignServerRelationId:
			return "server";
		case UserMappingRelationId:
			return "user mapping";
		case ForeignTableRelationId:
			return "foreign table";
		case AttributeRelationId:
			return "column";
		case NamespaceRelationId:
			return "schema import";
		default:
			return "foreign-data wrapper";
	}
}

/*
 * What to do about a name that is no option of this catalog: the one that may
 * be meant, or the object whose option it is; and those that there are.
 */
static char *
hint_name(const char *name, Oid catalog)
{
	const char *names[lengthof(options) + 1] = {NULL};
	int			n = 0;
	StringInfoData hint;

	initStringInfo(&hint);
	for (int i = 0; i < lengthof(options); i++)
	{
		if (options[i].catalog == catalog)
			names[n++] = options[i].name;
		else if (strcmp(options[i].name, name) == 0)
			appendStringInfo(&hint, "Option \"%s\" belongs to a %s. ", name, catalog_name(options[i].catalog));
	}
	if (n == 0)
	{
		appendStringInfo(&hint, "A %s has no options.", catalog_name(catalog));
		return hint.data;
	}
	if (hint.len == 0 && stedi_near_find(name, names) != NULL)
		appendStringInfo(&hint, "Perhaps you meant option \"%s\". ", stedi_near_find(name, names));
	appendStringInfo(&hint, "Options of a %s are: ", catalog_name(catalog));
	for (int i = 0; i < n; i++)
		appendStringInfo(&hint, "%s%s", i > 0 ? ", " : "", names[i]);
	appendStringInfoChar(&hint, '.');
	return hint.data;
}

static const Option *
find_option(const char *name, Oid catalog)
{
	for (int i = 0; i < lengthof(options); i++)
		if (options[i].catalog == catalog && strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

/* Say that a value will not do, and what would. */
static void
bad_value(const Option *option, const char *value, const char *wanted)
{
	/* what has an @ may hold a password, misplaced as it is */
	if (option->kind == KIND_SECRET || strpbrk(value, "@\r\n") != NULL)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("invalid value for option \"%s\"", option->name),
				errhint("%s", wanted));
	ereport(ERROR,
			errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("invalid value for option \"%s\": \"%s\"", option->name, value),
			errhint("%s", wanted));
}

static bool
parse_option_bool(const Option *option, const char *value)
{
	bool		result;

	if (!parse_bool(value, &result))
		bad_value(option, value, "Give true or false.");
	return result;
}

/* An integer, or a size with its unit. */
static int64
parse_option_int(const Option *option, const char *value)
{
	int64_t		result;

	if (!stedi_form_int(value, option->kind == KIND_SIZE, option->min, option->max, &result))
		bad_value(option, value,
				  option->kind == KIND_SIZE ?
				  psprintf("Give a size of " INT64_FORMAT " to " INT64_FORMAT " bytes, for example 64MB.",
						   option->min, option->max) :
				  psprintf("Give an integer from " INT64_FORMAT " to " INT64_FORMAT ".",
						   option->min, option->max));
	return result;
}

static int
parse_option_choice(const Option *option, const char *value)
{
	int			choice = stedi_form_choice(value, option->choices);

	if (choice < 0)
	{
		StringInfoData names;

		initStringInfo(&names);
		for (int i = 0; option->choices[i] != NULL; i++)
			appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", option->choices[i]);
		bad_value(option, value, stedi_near_hint(value, option->choices,
												 psprintf("Give one of: %s.", names.data)));
	}
	return choice;
}

/* The texts of a list, each in double quotes or not; *n: how many, -1: it is none. */
static StediSlice *
parse_words(const char *value, int *n)
{
	StediSlice *words = palloc((strlen(value) + 1) * sizeof(StediSlice));
	const char *utf8 = pg_server_to_any(value, strlen(value), PG_UTF8);

	*n = 0;
	for (const char *p = utf8;; p++)
	{
		StediSlice	word;
		bool		quoted;

		p += strspn(p, " ");
		quoted = (*p == '"');
		word.data = p + quoted;
		word.len = strcspn(word.data, quoted ? "\"" : ",\"");
		p = word.data + word.len + (quoted && word.data[word.len] == '"');
		p += strspn(p, " ");
		while (!quoted && word.len > 0 && word.data[word.len - 1] == ' ')
			word.len--;
		if (quoted ? word.data[word.len] != '"' : word.len == 0)
			break;
		words[(*n)++] = word;
		if (*p == '\0')
			return words;
		if (*p != ',')
			break;
	}
	*n = -1;
	return NULL;
}

static void
check_words(const Option *option, const char *value)
{
	int			n;

	(void) parse_words(value, &n);
	if (n < 0)
		bad_value(option, value, "Give strings with commas between them, \"\" for the empty one, for example: \"\", NaN.");
}

static void
check_zone(const Option *option, const char *value)
{
	if (stedi_time_zone(value) == NULL)
		bad_value(option, value, "Give a name of view pg_timezone_names with no number in it, for example Europe/Berlin or UTC, or an offset from UTC, for example +01:00.");
}

/* A form found the value right, or says what is wanted. */
static void
check_form(const Option *option, const char *value, const char *wanted)
{
	if (wanted != NULL)
		bad_value(option, value, wanted);
}

/*
 * file:// lets its users read the server's files, as file_fdw does: the
 * privilege is checked when the url is set.  Whoever may use the server
 * then reads what lies under that folder, and nothing else.
 */
static void
check_url(const Option *option, const char *value)
{
	StediUrl	parts;

	check_form(option, value, stedi_form_url(value));
	stedi_form_split_url(value, &parts);
	if (parts.local && !has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("permission denied to set option \"url\" to a folder of the server"),
				errdetail("Only superusers and members of role pg_read_server_files may read the server's files."));
}

/*
 * What lets its users have what the database server has: its files, and what
 * others tell it alone.
 */
static void
check_privilege(const Option *option, const char *value)
{
	if (has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		return;
	ereport(ERROR,
			errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			option->kind == KIND_CREDENTIALS ?
			errmsg("permission denied to set option \"%s\" to \"%s\"", option->name, value) :
			errmsg("permission denied to set option \"%s\"", option->name),
			errdetail("Only superusers and members of role pg_read_server_files may use the files and the credentials of the database server."));
}

static void
check_value(const Option *option, const char *value)
{
	switch (option->kind)
	{
		case KIND_FILE:
			check_form(option, value, stedi_form_file(value));
			check_privilege(option, value);
			break;
		case KIND_CREDENTIALS:
			if (parse_option_choice(option, value) != 0)
				check_privilege(option, value);
			break;
		case KIND_PROFILE:
			check_form(option, value, stedi_form_text(value));
			check_privilege(option, value);
			break;
		case KIND_URL:
			check_url(option, value);
			break;
		case KIND_ENDPOINT:
			check_form(option, value, stedi_form_endpoint(value));
			break;
		case KIND_REGION:
			check_form(option, value, stedi_form_region(value));
			break;
		case KIND_PERMIT:
			if (parse_option_bool(option, value))
				check_privilege(option, value);
			break;
		case KIND_TEXT:
		case KIND_SECRET:
			check_form(option, value, stedi_form_text(value));
			break;
		case KIND_PREFIX:
			break;
		case KIND_PATTERN:
			check_form(option, value, stedi_glob_form(pg_server_to_any(value, strlen(value), PG_UTF8)));
			break;
		case KIND_BOOL:
			(void) parse_option_bool(option, value);
			break;
		case KIND_INT:
		case KIND_SIZE:
			(void) parse_option_int(option, value);
			break;
		case KIND_CHOICE:
			(void) parse_option_choice(option, value);
			break;
		case KIND_ZONE:
			check_zone(option, value);
			break;
		case KIND_WORDS:
			check_words(option, value);
			break;
	}
}

/* The value of an option that is given, or NULL. */
static const char *
given_value(List *given, const char *name)
{
	ListCell   *lc;

	foreach(lc, given)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return NULL;
}

const char *
stedi_option_given(List *given, const char *name)
{
	return given_value(given, name);
}

/* Keys come from one place. */
static void
check_mapping(List *given)
{
	const char *credentials = given_value(given, "credentials");
	const char *value = given_value(given, "anonymous");
	bool		key = given_value(given, "access_key_id") != NULL;
	bool		secret = given_value(given, "secret_access_key") != NULL;
	bool		token = given_value(given, "session_token") != NULL;
	bool		anonymous = false;

	if (value != NULL)
		(void) parse_bool(value, &anonymous);
	if (given_value(given, "profile") != NULL &&
		(credentials == NULL || strcmp(credentials, "profile") != 0))
		ereport(ERROR,
				errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				errmsg("option \"profile\" goes with option \"credentials\" set to \"profile\""));
	if (credentials != NULL && strcmp(credentials, "static") != 0)
	{
		if (anonymous || key || secret || token)
			ereport(ERROR,
					errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					errmsg("a user mapping with option \"credentials\" set to \"%s\" has no keys of its own",
						   credentials),
					errhint("Drop option \"credentials\", or options \"access_key_id\", \"secret_access_key\", \"session_token\" and \"anonymous\"."));
	}
	else if (anonymous ? (key || secret || token) : key != secret || (token && !key))
		ereport(ERROR,
				errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				errmsg("a user mapping needs both of options \"access_key_id\" and \"secret_access_key\", or option \"anonymous\" alone"));
}

/* What the options of one object must have between them. */
static void
check_together(List *given, Oid catalog)
{
	if (catalog == ForeignServerRelationId && given_value(given, "url") == NULL)
		ereport(ERROR,
				errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				errmsg("option \"url\" is required for servers of foreign-data wrapper \"%s\"",
					   STEDI_FDW_NAME),
				errhint("For example: OPTIONS (url 's3://my-bucket'), or OPTIONS (url 'file:///srv/landing')."));
	if (catalog == UserMappingRelationId)
		check_mapping(given);
	if (catalog == AttributeRelationId && list_length(given) > 1)
		ereport(ERROR,
				errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				errmsg("a column cannot have both of options \"key\" and \"source\""));
}

/* Each by itself. */
static void
check_options(List *given, Oid catalog)
{
	ListCell   *lc;

	foreach(lc, given)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		const Option *option = find_option(def->defname, catalog);

		if (option == NULL)
			ereport(ERROR,
					errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					errmsg("invalid option \"%s\"", def->defname),
					errhint("%s", hint_name(def->defname, catalog)));
		check_value(option, defGetString(def));
	}
}

/*
 * stedi_fdw_validator(options text[], catalog oid)
 */
Datum
stedi_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *given = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);

	check_options(given, catalog);
	check_together(given, catalog);
	PG_RETURN_VOID();
}

void
stedi_option_check_import(List *given)
{
	check_options(given, NamespaceRelationId);
}

/* The value of an option: as given, or its default. */
static const char *
option_value(List *given, const char *name, Oid catalog)
{
	const char *value = given_value(given, name);

	return value != NULL ? value : find_option(name, catalog)->initial;
}

static bool
option_bool(List *given, const char *name, Oid catalog)
{
	return parse_option_bool(find_option(name, catalog),
							 option_value(given, name, catalog));
}

/* 0 when not given and without default. */
static int64
option_int(List *given, const char *name, Oid catalog)
{
	const char *value = option_value(given, name, catalog);

	return value == NULL ? 0 : parse_option_int(find_option(name, catalog), value);
}

/* A folder's path, and a / behind it, unless it is empty or has one. */
static char *
folder_prefix(StediSlice folder)
{
	bool		needs_slash = folder.len > 0 && folder.data[folder.len - 1] != '/';

	return psprintf("%.*s%s", (int) folder.len, folder.data, needs_slash ? "/" : "");
}

/* Fill in what the url says. */
static void
resolve_url(StediOptions *opts, const char *url)
{
	StediUrl	parts;

	stedi_form_split_url(url, &parts);
	opts->url = pnstrdup(parts.whole.data, parts.whole.len);
	opts->local = parts.local;
	if (opts->local)
		opts->root = pnstrdup(parts.root.data, parts.root.len);
	else
		opts->bucket = pnstrdup(parts.bucket.data, parts.bucket.len);
	opts->prefix = folder_prefix(parts.folder);
}

static char *
amazon_endpoint(const char *region)
{
	return psprintf("https://s3.%s.amazonaws.com%s", region,
					strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

static void
resolve_server(StediOptions *opts, List *given)
{
	const Oid	catalog = ForeignServerRelationId;
	const char *style = option_value(given, "url_style", catalog);

	resolve_url(opts, option_value(given, "url", catalog));
	opts->region = option_value(given, "region", catalog);
	opts->endpoint = option_value(given, "endpoint", catalog);
	opts->amazon = opts->endpoint == NULL;
	opts->virtual_hosted = style == NULL ? opts->endpoint == NULL
		: strcmp(style, "virtual") == 0;
	if (opts->amazon)
		opts->endpoint = amazon_endpoint(opts->region);
	opts->allow_http = option_bool(given, "allow_http", catalog);
	opts->allow_link_local = option_bool(given, "allow_link_local", catalog);
	opts->requester_pays = option_bool(given, "requester_pays", catalog);
	opts->proxy = option_value(given, "proxy", catalog);
	opts->ca_file = option_value(given, "ca_file", catalog);
	opts->connections = (int) option_int(given, "connections", catalog);
	opts->connect_timeout = (int) option_int(given, "connect_timeout", catalog);
	opts->stall_timeout = (int) option_int(given, "stall_timeout", catalog);
	opts->max_tries = (int) option_int(given, "max_tries", catalog);
	opts->retry_timeout = (int) option_int(given, "retry_timeout", catalog);
	opts->checksum = option_bool(given, "checksum", catalog);
	opts->page_size = (int) option_int(given, "page_size", catalog);
	opts->max_objects = (int) option_int(given, "max_objects", catalog);
}

/* How values are to be read. */
static void
resolve_values(StediOptions *opts, List *given)
{
	const Oid	catalog = ForeignTableRelationId;
	const char *zone = option_value(given, "time_zone", catalog);
	const char *nulls = option_value(given, "null_values", catalog);

	opts->clock.unit = STEDI_UNIT_S +
		parse_option_choice(find_option("time_unit", catalog), option_value(given, "time_unit", catalog));
	if (zone != NULL)
	{
		/* it may be gone with another server's tz database */
		check_zone(find_option("time_zone", catalog), zone);
		opts->clock.zone = stedi_time_zone(zone);
	}
	if (nulls != NULL)
		opts->null_values = parse_words(nulls, &opts->n_null_values);
}

static void
resolve_table(StediOptions *opts, List *given)
{
	const Oid	catalog = ForeignTableRelationId;
	const char *url_prefix = opts->prefix;
	StediSlice	folder = stedi_form_folder(option_value(given, "prefix", catalog), opts->local);

	opts->prefix = psprintf("%s%s", url_prefix, folder_prefix(folder));
	opts->pattern = option_value(given, "pattern", catalog);
	if (folder.len > 0 && folder.data[folder.len - 1] != '/' && opts->pattern == NULL)
		opts->object = psprintf("%s%.*s", url_prefix, (int) folder.len, folder.data);
	opts->allow_empty = option_bool(given, "allow_empty", catalog);
	opts->on_error = strcmp(option_value(given, "on_error", catalog), "stop") == 0 ?
		STEDI_ON_ERROR_STOP : STEDI_ON_ERROR_REJECT;
	opts->reject_limit = option_int(given, "reject_limit", catalog);
	opts->max_record_size = (Size) option_int(given, "max_record_size", catalog);
	opts->max_depth = (int) option_int(given, "max_depth", catalog);
	opts->max_inflate_ratio = (int) option_int(given, "max_inflate_ratio", catalog);
	resolve_values(opts, given);
}

/* Of a server and the options of a table over it. */
static StediOptions *
resolve(Oid serverid, Oid relid, List *given)
{
	StediOptions *opts = palloc0(sizeof(StediOptions));

	opts->serverid = serverid;
	opts->relid = relid;
	resolve_server(opts, GetForeignServer(serverid)->options);
	resolve_table(opts, given);
	return opts;
}

StediOptions *
stedi_option_get(Oid serverid, Oid relid)
{
	return resolve(serverid, relid, OidIsValid(relid) ? GetForeignTable(relid)->options : NIL);
}

StediOptions *
stedi_option_get_prefix(Oid serverid, const char *prefix)
{
	return resolve(serverid, InvalidOid,
				   list_make1(makeDefElem("prefix", (Node *) makeString(pstrdup(prefix)), -1)));
}

Oid
stedi_option_find_server(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, false);
	AclResult	allowed = object_aclcheck(ForeignServerRelationId, server->serverid,
										  GetUserId(), ACL_USAGE);

	if (allowed != ACLCHECK_OK)
		stedi_cure_denied(OBJECT_FOREIGN_SERVER, server->serverid, "USAGE", GetUserId());
	if (strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, STEDI_FDW_NAME) != 0)
		ereport(ERROR,
				errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("server \"%s\" is not of foreign-data wrapper \"%s\"", name, STEDI_FDW_NAME));
	return server->serverid;
}

/* Would the validator take it as option "key"? */
bool
stedi_option_takes_key(const char *key)
{
	return stedi_form_text(key) == NULL;
}

StediOptions *
stedi_option_in_region(const StediOptions *opts, const char *region)
{
	StediOptions *moved = palloc(sizeof(StediOptions));

	*moved = *opts;
	moved->region = region;
	if (opts->amazon)
		moved->endpoint = amazon_endpoint(region);
	return moved;
}

StediOptions *
stedi_option_get_table(Oid relid)
{
	return stedi_option_get(GetForeignTable(relid)->serverid, relid);
}

bool
stedi_option_is_landing(Oid relid)
{
	if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE)
		return false;
	return strcmp(GetForeignDataWrapper(GetForeignServer(GetForeignTable(relid)->serverid)->fdwid)->fdwname,
				  STEDI_FDW_NAME) == 0;
}

AttrNumber
stedi_option_find_column(Oid relid, const char *column, Oid type)
{
	AttrNumber	attnum = get_attnum(relid, column);

	if (attnum == InvalidAttrNumber || get_atttype(relid, attnum) != type)
		ereport(ERROR,
				errcode(ERRCODE_DATATYPE_MISMATCH),
				errmsg("landing table \"%s\" needs a column \"%s\" of type %s",
					   get_rel_name(relid), column, format_type_be(type)),
				errhint("IMPORT FOREIGN SCHEMA landing makes the tables that materialize reads."));
	return attnum;
}

StediColumn
stedi_option_get_column(Oid relid, AttrNumber attnum, const char *attname)
{
	List	   *given = OidIsValid(relid) ? GetForeignColumnOptions(relid, attnum) : NIL;
	const char *source = option_value(given, "source", AttributeRelationId);
	const char *key = option_value(given, "key", AttributeRelationId);
	StediColumn column = {STEDI_SOURCE_RECORD, NULL};

	if (source != NULL)
		column.source = STEDI_SOURCE_OBJECT +
			parse_option_choice(find_option("source", AttributeRelationId), source);
	else
	{
		const char *name = key != NULL ? key : attname;
		const char *utf8 = pg_server_to_any(name, strlen(name), PG_UTF8);
		char	   *lower = pstrdup(utf8);	/* as records have it */

		for (char *p = lower; *p != '\0'; p++)
			*p = pg_ascii_tolower((unsigned char) *p);
		column.key = lower;
	}
	return column;
}

/*
 * options() -> (option, belongs_to, initial, description)
 */
Datum
options_list(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < lengthof(options); i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false};

		values[0] = CStringGetTextDatum(options[i].name);
		values[1] = CStringGetTextDatum(catalog_name(options[i].catalog));
		nulls[2] = options[i].initial == NULL || options[i].initial[0] == '\0';
		if (!nulls[2])
			values[2] = CStringGetTextDatum(options[i].initial);
		values[3] = CStringGetTextDatum(options[i].help);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}
