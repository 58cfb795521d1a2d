/*-------------------------------------------------------------------------
 *
 * book.c
 *		What is kept of a target from run to run.
 *
 *	 stedi_rule			the rules that the tables follow, and the landing
 *						schema that they are made from: one row
 *	 stedi_run			one row a run and table: the report
 *	 stedi_state		how the last run left the tables: one row
 *	 stedi_object		the landing objects that the tables were made from
 *	 stedi_device		devices of which it takes more than their holder's
 *						consent to know whose readings are
 *	 stedi_key			the key of all hashes of people: one row
 *	 stedi_forgotten	who is to be forgotten, by keyed hash
 *	 stedi_history		whose consent came and went, likewise
 *	 stedi_expectation	what rows are expected to be like, and how many were
 *
 * books/schema.c says in which schema they are, and whose.  People and devices
 * are in them as hashes under the key.  Other values of records are: in
 * stedi_object the times of an object's first and last reading, which tell
 * objects that need not be read, and the next date at which a customer record
 * comes into force; in stedi_device the time since which a device that was
 * handed on is its holder's.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "run/run.h"

#include "catalog/pg_type.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

typedef struct BookTable
{
	const char *name;
	const char *columns;
	const char *valid;			/* what holds of each row that a run writes */
	const char *comment;
	const char *storage;		/* a statement on a new one; or NULL */
	const char *initial;		/* another, that gives it its rows; or NULL */
	bool		precious;		/* never made anew over one that is there */
	bool		needed;			/* without it, everything is read anew */
	const char *added;			/* columns behind these that 1.0 did not have;
								 * or NULL */
} BookTable;

/* In the order of ZoneBook. */
static const BookTable books[ZONE_N_BOOKS] = {
	{
		.name = "stedi_rule",
		.columns = "consent text, match text, since timestamp with time zone",
		.added = "landing text",
		.valid = "consent IN ('granted', 'since_consent') AND match IN ('customer', 'time')",
		.comment = "The rules that the five tables follow, and the schema of their landing tables. Change them with stedi.materialize(..., consent => ...), not here.",
	},
	{
		.name = "stedi_run",
		.columns = "run bigint, started timestamp with time zone, finished timestamp with time zone,"
		" table_name text, mode text, consent text, objects_listed bigint,"
		" objects_read bigint, bytes_read bigint, records_read bigint, superseded bigint, no_consent bigint,"
		" before_consent bigint, unknown_owner bigint, ambiguous bigint, forgotten bigint, duplicates bigint,"
		" unchanged bigint, kept bigint, rejected bigint, rows_in bigint, rows_out bigint, rows bigint, head text",
		.added = "unexpected bigint, without_readings bigint",
		.valid = "run IS NOT NULL AND table_name IS NOT NULL",
		.comment = "What each run of stedi.materialize reported, one row a table.",
	},
	{
		.name = "stedi_state",
		.columns = "run bigint, as_of bigint, complete boolean, definition text, forgotten bigint, entries bigint, rows bigint[]",
		.valid = "run IS NOT NULL AND as_of IS NOT NULL AND complete IS NOT NULL AND definition IS NOT NULL"
		" AND forgotten IS NOT NULL AND entries IS NOT NULL AND rows IS NOT NULL",
		.comment = "How the last run of stedi.materialize left the five tables: complete says that a next run may go on from there.",
		.needed = true,
	},
	{
		.name = "stedi_object",
		.columns = "table_name text, key text, etag text, size bigint,"
		" last_modified timestamp with time zone, records bigint, rejects bigint,"
		" first_reading timestamp with time zone, last_reading timestamp with time zone,"
		" due bigint, vanished boolean, people bytea, devices bytea",
		.valid = "table_name IS NOT NULL AND key IS NOT NULL AND etag IS NOT NULL AND size IS NOT NULL"
		" AND vanished IS NOT NULL",
		.comment = "The landing objects that the five tables were made from. people and devices are sorted hashes under stedi_key of whom the records name (NULL: of anybody); first_reading and last_reading are times of readings, and due is the epoch millisecond at which the next date in a customer record comes into force.",
		/* hashes do not compress */
		.storage = "ALTER TABLE %s ALTER people SET STORAGE EXTERNAL, ALTER devices SET STORAGE EXTERNAL",
		.needed = true,
	},
	{
		.name = "stedi_device",
		.columns = "device bigint, standing text, owned_since bigint",
		.valid = "device IS NOT NULL AND standing IN ('unknown', 'ambiguous', 'forgotten', 'granted', 'none')",
		.comment = "Devices, by hash under stedi_key, that nobody or more than one customer holds, that were handed on, or whose holder is forgotten; owned_since is the epoch millisecond since which a device that was handed on is its holder's.",
		.needed = true,
	},
	{
		.name = "stedi_key",
		.columns = "key bytea",
		.valid = "octet_length(key) >= 32",
		.comment = "The key of the hashes by which this bookkeeping knows people. Whoever has it can tell whether somebody is meant: grant it to nobody, and do not lose it.",
		.initial = "INSERT INTO %s VALUES (decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'))",
		.precious = true,
		.needed = true,
	},
	{
		.name = "stedi_forgotten",
		.columns = "who bytea, name bigint, proof bytea, reason text, since timestamp with time zone,"
		" lifted timestamp with time zone, pending boolean",
		.valid = "who IS NOT NULL AND name IS NOT NULL AND proof IS NOT NULL",
		.comment = "Who is to be forgotten, by keyed hash; kept by stedi.forget and stedi.unforget.",
		.precious = true,
	},
	{
		.name = "stedi_history",
		.columns = "entry bigint, run bigint, at timestamp with time zone, who bytea, what text,"
		" object text, byte_offset bigint, rows_removed bigint, rows_added bigint, hash bytea",
		/* what was changed is for stedi.verify_history to find */
		.valid = "true",
		.comment = "Whose consent came and went, by keyed hash, each entry with the hash of the one before in its own: see stedi.verify_history.",
		.precious = true,
	},
	{
		.name = "stedi_expectation",
		.columns = "table_name text, name text, condition text, action text, met bigint, violated bigint, run bigint",
		.valid = "table_name IS NOT NULL AND name IS NOT NULL AND condition IS NOT NULL"
		" AND action IN ('warn', 'drop', 'fail')",
		.comment = "What rows of the five tables are expected to be like, and how many were in the run named; kept by stedi.expect and stedi.unexpect.",
		.precious = true,
	},
};

const char *
stedi_zone_book_name(ZoneBook book)
{
	return books[book].name;
}

/* The table with its schema, quoted. */
static const char *
full_name(const ZoneRun *run, const BookTable *book)
{
	return quote_qualified_identifier(run->store.name, book->name);
}

/*
 * To whom a bookkeeping table, or a column of it, is granted, but to its owner
 * and to that of the five tables; NULL: to nobody.  which: a condition on the
 * privileges.
 */
static char *
others_granted(ZoneRun *run, const BookTable *book, const char *which)
{
	return stedi_zone_query_text(run,
								 psprintf("SELECT string_agg(DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'"
										  "   ELSE quote_ident(pg_get_userbyid(grantee)) END, ', ')"
										  " FROM pg_class c, LATERAL (SELECT (aclexplode(c.relacl)).* UNION ALL"
										  "   SELECT (aclexplode(attacl)).* FROM pg_attribute WHERE attrelid = c.oid) a"
										  " WHERE c.relnamespace = %u AND c.relname = %s AND grantee NOT IN (c.relowner, %u)"
										  " AND %s",
										  run->store.schema, quote_literal_cstr(book->name), run->owner, which));
}

/* Add columns, given as in CREATE TABLE, to a table. */
static void
add_columns(const char *table, const char *columns)
{
	char	   *rest = pstrdup(columns);

	for (char *column; (column = strsep(&rest, ",")) != NULL;)
		stedi_zone_query_run(psprintf("ALTER TABLE %s ADD %s", table, column));
}

/* All columns that the table should have. */
static const char *
wanted_columns(const BookTable *book)
{
	return book->added == NULL ? book->columns : psprintf("%s, %s", book->columns, book->added);
}

/* Why the table is not one of ours; NULL: it is, but for columns that 1.0 did not have. */
static const char *
find_fault(ZoneRun *run, const BookTable *book, Oid relid, bool *is_old)
{
	char	   *columns = stedi_zone_query_columns(run, relid);

	*is_old = false;
	if (get_rel_relkind(relid) != RELKIND_RELATION)
		return "It is not a plain table.";
	if (columns != NULL && strcmp(columns, wanted_columns(book)) == 0)
		return NULL;
	if (columns != NULL && strcmp(columns, book->columns) == 0)
	{
		*is_old = true;
		return NULL;
	}
	return psprintf("It should have: %s.", wanted_columns(book));
}

static void
refuse(const ZoneRun *run, const BookTable *book, const char *fault)
{
	ereport(ERROR,
			errcode(ERRCODE_DATATYPE_MISMATCH),
			errmsg("table \"%s\" in schema \"%s\" has other columns than stedi.materialize gave it",
				   book->name, run->store.name),
			errdetail("%s", fault),
			errhint("Restore it from a backup; what it holds cannot be made anew."));
}

/* Is it one that every target has, and that nobody can make anew? */
static bool
is_lost_for_good(ZoneBook book)
{
	return book == ZONE_BOOK_KEY || book == ZONE_BOOK_FORGOTTEN || book == ZONE_BOOK_HISTORY;
}

void
stedi_zone_book_check_writers(ZoneRun *run, ZoneBook book)
{
	char	   *writers = others_granted(run, &books[book], "privilege_type IN ('INSERT', 'UPDATE')");

	if (writers != NULL)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("others than its owner can write into table \"%s\" in schema \"%s\"",
					   books[book].name, run->store.name),
				errdetail("Functions in its conditions run with the privileges of the owner of the five tables."),
				errhint("REVOKE INSERT, UPDATE ON TABLE %s FROM %s;", full_name(run, &books[book]), writers));
}

Oid
stedi_zone_book_find(ZoneRun *run, ZoneBook book, LOCKMODE mode)
{
	Oid			relid = get_relname_relid(books[book].name, run->store.schema);
	const char *fault;
	bool		is_old;

	if (!OidIsValid(relid))
		return InvalidOid;

	/* whoever may make tables in a target of 1.0 must not stand in its way */
	if (!run->store.ours && !is_lost_for_good(book) &&
		stedi_zone_store_relation_owner(relid) != run->store.owner)
		return InvalidOid;
	relid = stedi_zone_lock_table(run, run->store.name, books[book].name, run->store.owner, mode);
	if (!OidIsValid(relid))
		return InvalidOid;
	fault = find_fault(run, &books[book], relid, &is_old);
	if (fault == NULL)
		return relid;
	if (books[book].precious || run->read_only)
		refuse(run, &books[book], fault);
	ereport(NOTICE,
			errmsg("table \"%s\" in schema \"%s\" is not as stedi.materialize left it, and is made anew",
				   books[book].name, run->store.name));
	stedi_zone_query_run(psprintf("DROP TABLE %s", full_name(run, &books[book])));
	return InvalidOid;
}

/* Make the table, empty.  As the bookkeeping's owner. */
static void
create_book(ZoneRun *run, const BookTable *book)
{
	const char *name = full_name(run, book);
	const char *owner = quote_identifier(GetUserNameFromId(run->owner, false));
	char	   *grantees;

	stedi_zone_query_run(psprintf("CREATE TABLE %s (%s, CONSTRAINT %s CHECK ((%s) IS TRUE))",
								  name, wanted_columns(book),
								  quote_identifier(psprintf("%s_valid", book->name)), book->valid));
	stedi_zone_query_run(psprintf("ALTER TABLE %s REPLICA IDENTITY FULL", name));
	stedi_zone_query_run(psprintf("COMMENT ON TABLE %s IS %s", name,
								  quote_literal_cstr(book->comment)));

	if (book->storage != NULL)
		stedi_zone_query_run(psprintf(book->storage, name));

	/* what default privileges gave away */
	grantees = others_granted(run, book, "true");
	if (grantees != NULL)
		stedi_zone_query_run(psprintf("REVOKE ALL ON TABLE %s FROM %s", name, grantees));
	if (run->owner != run->store.owner)
	{
		stedi_zone_query_run(psprintf("REVOKE ALL ON TABLE %s FROM %s", name, owner));
		stedi_zone_query_run(psprintf("GRANT SELECT ON TABLE %s TO %s WITH GRANT OPTION", name, owner));
	}
}

void
stedi_zone_book_make(ZoneRun *run, ZoneBook book)
{
	const char *name = full_name(run, &books[book]);
	ZoneUser	user;
	Oid			relid;

	stedi_zone_store_enter(run, &user);
	relid = stedi_zone_book_find(run, book, ShareRowExclusiveLock);
	if (!OidIsValid(relid))
	{
		create_book(run, &books[book]);
		if (books[book].initial != NULL)
			stedi_zone_query_run(psprintf(books[book].initial, name));
		run->books_lost |= books[book].needed;
	}
	else
	{
		bool		is_old;

		(void) find_fault(run, &books[book], relid, &is_old);
		if (is_old)
			add_columns(name, books[book].added);
	}
	stedi_zone_store_leave(&user);
}

void
stedi_zone_book_receive(ZoneRun *run, ZoneBook book, const char *columns, const char *from)
{
	const BookTable *table = &books[book];

	create_book(run, table);
	if (stedi_zone_query_count(psprintf("SELECT FROM %s WHERE (%s) IS NOT TRUE", from, table->valid)) == 0)
	{
		stedi_zone_query_run(psprintf("INSERT INTO %s (%s) SELECT %s FROM %s",
									  full_name(run, table), columns, columns, from));
		return;
	}
	if (table->precious)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("table \"%s\" of schema \"%s\" has rows that no run has written",
					   table->name, run->target_name),
				errhint("Restore it from a backup; what it holds cannot be made anew."));
	ereport(NOTICE,
			errmsg("table \"%s\" of schema \"%s\" has rows that no run has written, and is made anew",
				   table->name, run->target_name));
	run->books_lost |= table->needed;
}

/* The key of the hashes, and the seed of those that are no secret's. */
static void
read_key(ZoneRun *run)
{
	Datum		key = (Datum) 0;
	Datum		other;
	bool		isnull = true;
	bool		other_isnull;
	ZoneQueryRows rows;

	stedi_zone_store_query(run, &rows, "SELECT key FROM {books}.stedi_key", "b");
	if (stedi_zone_query_fetch(&rows, 1, &key, &isnull))
		isnull |= stedi_zone_query_fetch(&rows, 1, &other, &other_isnull);
	if (isnull || VARSIZE_ANY_EXHDR(DatumGetByteaPP(key)) < ZONE_KEY_LEN)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("table \"%s\" in schema \"%s\" does not hold one key",
					   books[ZONE_BOOK_KEY].name, run->store.name),
				errhint("Restore it from a backup; who is to be forgotten depends on it."));
	memcpy(run->key, VARDATA_ANY(DatumGetByteaPP(key)), ZONE_KEY_LEN);
	memcpy(&run->seed, run->key, sizeof(run->seed));
	stedi_zone_query_close(&rows);
}

/*
 * What the last run's tables were made by: the landing tables, the form of
 * e-mails, and then, where there were any, the expectations that drop rows.
 */
static void
split_definition(ZoneRun *run, char *definition)
{
	char	   *dropping = strstr(definition, ZONE_DROPPING);
	char	   *form;

	run->dropping_before = "";
	if (dropping != NULL)
	{
		run->dropping_before = MemoryContextStrdup(run->cxt, dropping);
		*dropping = '\0';
	}
	form = strstr(definition, ZONE_FORM);
	if (form != NULL)
	{
		run->form_before = atoi(form + strlen(ZONE_FORM));
		*form = '\0';
	}
	run->definition_before = definition;
}

/* How the last run left the tables; *forgotten: how many are to be. */
static void
read_state(ZoneRun *run, int64 *forgotten)
{
	Datum		values[6];
	bool		nulls[6];
	bool		known;
	ZoneQueryRows rows;

	*forgotten = 0;
	run->form_before = STEDI_EMAIL_FORM;
	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (OidIsValid(run->relid[id]))
			run->form_before = 1;

	/* anything but one row is as good as nothing */
	stedi_zone_store_query(run, &rows,
						   "SELECT run, as_of, complete, definition, forgotten, rows FROM {books}.stedi_state"
						   " WHERE (SELECT count(*) FROM {books}.stedi_state) = 1", "llBtlL");
	known = stedi_zone_query_fetch(&rows, lengthof(values), values, nulls);
	for (int i = 0; known && i < lengthof(values); i++)
		known = !nulls[i];
	if (known)
	{
		ArrayType  *n_rows = DatumGetArrayTypeP(values[5]);

		run->number = DatumGetInt64(values[0]) + 1;
		run->before_ms = DatumGetInt64(values[1]);
		run->complete = DatumGetBool(values[2]);
		split_definition(run, MemoryContextStrdup(run->cxt, TextDatumGetCString(values[3])));
		*forgotten = DatumGetInt64(values[4]);
		if (ARR_NDIM(n_rows) == 1 && ARR_DIMS(n_rows)[0] == ZONE_N_TABLES && !ARR_HASNULL(n_rows))
			memcpy(run->rows_before, ARR_DATA_PTR(n_rows), sizeof(run->rows_before));
		else
			run->complete = false;
	}
	else
		stedi_zone_store_values(run,
								"SELECT greatest((SELECT max(run) FROM {books}.stedi_run),"
								" (SELECT max(run) FROM {books}.stedi_history), 0) + 1", 1, &run->number);
	stedi_zone_query_close(&rows);
}

/* Are all of the list's hashes of the key that there is? */
static bool
have_proof(const ZoneRun *run)
{
	const StediSlice key = {run->key, ZONE_KEY_LEN};
	ZoneHasher *hasher = stedi_zone_key_begin();
	bool		proven = true;
	ZoneQueryRows rows;
	Datum		values[2];
	bool		nulls[2];

	stedi_zone_store_query(run, &rows, "SELECT who, proof FROM {books}.stedi_forgotten", "bb");
	while (stedi_zone_query_fetch(&rows, lengthof(values), values, nulls))
		proven &= !nulls[0] && !nulls[1] &&
			DatumGetBool(DirectFunctionCall2(byteaeq, values[1],
											 PointerGetDatum(stedi_zone_key_hash(hasher, key,
																				 stedi_text_slice(DatumGetByteaPP(values[0]))))));
	stedi_zone_query_close(&rows);
	stedi_zone_key_end(hasher);
	return proven;
}

/*
 * A list of the forgotten that was emptied, or that nobody can read any more
 * for want of its key, would let people in again.
 */
static void
check_forgotten(const ZoneRun *run, int64 wanted)
{
	int64		n_listed;
	bool		complete;

	stedi_zone_store_values(run, "SELECT count(*) FROM {books}.stedi_forgotten WHERE lifted IS NULL",
							1, &n_listed);
	complete = n_listed >= wanted;
	if (complete && have_proof(run))
		return;
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			complete ?
			errmsg("the key by which the forgotten of schema \"%s\" are known is lost", run->target_name) :
			errmsg("the list of the forgotten of schema \"%s\" is not complete any more", run->target_name),
			errhint("Restore tables \"%s\" and \"%s\" of schema \"%s\" from a backup.",
					books[ZONE_BOOK_FORGOTTEN].name, books[ZONE_BOOK_KEY].name, run->store.name));
}

void
stedi_zone_book_open(ZoneRun *run)
{
	int64		forgotten;
	char	   *grantees;

	stedi_zone_store_open(run);
	for (int book = 0; book < ZONE_N_BOOKS; book++)
		stedi_zone_book_make(run, book);
	read_key(run);
	read_state(run, &forgotten);
	check_forgotten(run, forgotten);
	grantees = others_granted(run, &books[ZONE_BOOK_KEY], "true");
	if (grantees != NULL)
		ereport(WARNING,
				errmsg("table \"%s\" in schema \"%s\" is granted to others than the owner of the five tables",
					   books[ZONE_BOOK_KEY].name, run->store.name),
				errdetail("It is granted to: %s.", grantees),
				errhint("Whoever reads it can tell who is meant in the bookkeeping: REVOKE ALL ON TABLE %s.%s FROM %s;",
						quote_identifier(run->store.name), books[ZONE_BOOK_KEY].name, grantees));
	run->complete &= !run->books_lost;
}
