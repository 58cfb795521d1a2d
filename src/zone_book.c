/*-------------------------------------------------------------------------
 *
 * zone_book.c
 *		What is kept in the target schema from run to run.
 *
 *	 stedi_rule			the rules that the tables follow: one row
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
 * Ordinary tables of the target's owner, no members of the extension and
 * without OIDs in them, so that dumps and DROP EXTENSION keep them.  They
 * hold no value of any record: people and devices are in them as hashes under
 * the key, which the owner alone can read.
 *
 *-------------------------------------------------------------------------
 */
#include "zone.h"

#include "catalog/pg_type.h"
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
	const char *comment;
	const char *more;			/* a statement on a new one; or NULL */
	bool		precious;		/* never made anew over one that is there */
	const char *added;			/* a column behind these that 1.0 did not
								 * have; or NULL */
} BookTable;

/* In the order of ZoneBook. */
static const BookTable books[ZONE_N_BOOKS] = {
	{
		"stedi_rule",
		"consent text, match text, since timestamp with time zone",
		"The rules that the five tables of this schema follow, kept by stedi.materialize. Change them with materialize(..., consent => ...), not here.",
		NULL, false, NULL
	},
	{
		"stedi_run",
		"run bigint, started timestamp with time zone, finished timestamp with time zone,"
		" table_name text, mode text, consent text, objects_listed bigint,"
		" objects_read bigint, bytes_read bigint, records_read bigint, superseded bigint, no_consent bigint,"
		" before_consent bigint, unknown_owner bigint, ambiguous bigint, forgotten bigint, duplicates bigint,"
		" unchanged bigint, kept bigint, rejected bigint, rows_in bigint, rows_out bigint, rows bigint, head text",
		"What each run of stedi.materialize reported, one row a table.",
		NULL, false, "unexpected bigint"
	},
	{
		"stedi_state",
		"run bigint, as_of bigint, complete boolean, definition text, forgotten bigint, entries bigint, rows bigint[]",
		"How the last run of stedi.materialize left the five tables of this schema: complete says that a next run may go on from there.",
		NULL, false, NULL
	},
	{
		"stedi_object",
		"table_name text, key text, etag text, size bigint,"
		" last_modified timestamp with time zone, records bigint, rejects bigint,"
		" first_reading timestamp with time zone, last_reading timestamp with time zone,"
		" due bigint, vanished boolean, people bytea, devices bytea",
		"The landing objects that the five tables of this schema were made from; people and devices are sorted hashes under stedi_key of whom the records name (NULL: of anybody), due is the epoch millisecond at which the next date in a customer record comes into force.",
		/* hashes do not compress */
		"ALTER TABLE %s ALTER people SET STORAGE EXTERNAL, ALTER devices SET STORAGE EXTERNAL",
		false, NULL
	},
	{
		"stedi_device",
		"device bigint, standing text, owned_since bigint",
		"Devices, by hash under stedi_key, that nobody or more than one customer holds, that were handed on, or whose holder is forgotten.",
		NULL, false, NULL
	},
	{
		"stedi_key",
		"key bytea",
		"The key of the hashes by which this schema's bookkeeping knows people. Whoever has it can tell whether somebody is meant: grant it to nobody, and do not lose it.",
		"INSERT INTO %s VALUES (decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'))",
		true, NULL
	},
	{
		"stedi_forgotten",
		"who bytea, name bigint, proof bytea, reason text, since timestamp with time zone,"
		" lifted timestamp with time zone, pending boolean",
		"Who is to be forgotten, by keyed hash; kept by stedi.forget and stedi.unforget.",
		NULL,
		true, NULL
	},
	{
		"stedi_history",
		"entry bigint, run bigint, at timestamp with time zone, who bytea, what text,"
		" object text, byte_offset bigint, rows_removed bigint, rows_added bigint, hash bytea",
		"Whose consent came and went, by keyed hash, each entry with the hash of the one before in its own: see stedi.verify_history.",
		NULL,
		true, NULL
	},
	{
		"stedi_expectation",
		"table_name text, name text, condition text, action text, met bigint, violated bigint, run bigint",
		"What rows of the five tables are expected to be like, and how many were in the run named; kept by stedi.expect and stedi.unexpect.",
		NULL,
		true, NULL
	},
};

const char *
stedi_zone_book_name(ZoneBook book)
{
	return books[book].name;
}

/* The rule that the table's COMMENT names, where the bookkeeping is lost. */
static const char *
rule_from_comment(ZoneRun *run)
{
	char	   *comment;

	if (!OidIsValid(run->relid[ZONE_CUSTOMER_TRUSTED]))
		return NULL;
	comment = stedi_zone_query_text(run, psprintf("SELECT obj_description(%u, 'pg_class')",
												  run->relid[ZONE_CUSTOMER_TRUSTED]));
	if (comment != NULL && strstr(comment, "consent => 'granted'") != NULL)
		return "granted";
	return "since_consent";
}

/*
 * To whom but its owner a bookkeeping table, or a column of it, is granted, as
 * by default privileges; NULL: nobody.  which: a condition on the privileges.
 */
static char *
others_granted(ZoneRun *run, const BookTable *book, const char *which)
{
	return stedi_zone_query_text(run,
								 psprintf("SELECT string_agg(DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'"
										  "   ELSE quote_ident(pg_get_userbyid(grantee)) END, ', ')"
										  " FROM pg_class c, LATERAL (SELECT (aclexplode(c.relacl)).* UNION ALL"
										  "   SELECT (aclexplode(attacl)).* FROM pg_attribute WHERE attrelid = c.oid) a"
										  " WHERE c.relnamespace = %u AND c.relname = %s AND grantee <> c.relowner AND %s",
										  run->target, quote_literal_cstr(book->name), which));
}

/*
 * Make a bookkeeping table that is missing, or is not what it should be.
 * False when it was made anew.
 */
static bool
make_book(ZoneRun *run, const BookTable *book)
{
	const char *name = quote_qualified_identifier(run->target_name, book->name);
	Oid			relid = stedi_zone_lock_table(run, book->name, ShareRowExclusiveLock);
	const char *wanted = book->added == NULL ? book->columns :
	psprintf("%s, %s", book->columns, book->added);
	char	   *grantees;

	if (OidIsValid(relid))
	{
		char	   *columns = stedi_zone_query_columns(run, relid);

		if (columns != NULL && strcmp(columns, wanted) == 0)
			return true;
		if (columns != NULL && strcmp(columns, book->columns) == 0)
		{
			stedi_zone_query_run(psprintf("ALTER TABLE %s ADD %s", name, book->added));
			return true;
		}
		if (book->precious)
			ereport(ERROR,
					errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("table \"%s\" in schema \"%s\" has other columns than stedi.materialize gave it",
						   book->name, run->target_name),
					errdetail("It should have: %s.", wanted),
					errhint("Restore it from a backup; what it holds cannot be made anew."));
		ereport(NOTICE,
				errmsg("table \"%s\" in schema \"%s\" is not as stedi.materialize left it, and is made anew",
					   book->name, run->target_name));
		stedi_zone_query_run(psprintf("DROP TABLE %s", name));
	}
	stedi_zone_query_run(psprintf("CREATE TABLE %s (%s)", name, wanted));
	stedi_zone_query_run(psprintf("ALTER TABLE %s REPLICA IDENTITY FULL", name));
	stedi_zone_query_run(psprintf("COMMENT ON TABLE %s IS %s", name,
								  quote_literal_cstr(book->comment)));
	if (book->more != NULL)
		stedi_zone_query_run(psprintf(book->more, name));
	grantees = others_granted(run, book, "true");
	if (grantees != NULL)
		stedi_zone_query_run(psprintf("REVOKE ALL ON TABLE %s FROM %s", name, grantees));
	return false;
}

/* The key of the hashes, and the seed of those that are no secret's. */
static void
read_key(ZoneRun *run)
{
	Datum		key = (Datum) 0;
	bool		isnull = true;

	if (stedi_zone_query_run(stedi_zone_query_expand(run, "SELECT key FROM {target}.stedi_key")) == 1)
		key = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (isnull || VARSIZE_ANY_EXHDR(DatumGetByteaPP(key)) < ZONE_KEY_LEN)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("table \"%s\" in schema \"%s\" does not hold one key",
					   books[ZONE_BOOK_KEY].name, run->target_name),
				errhint("Restore it from a backup; who is to be forgotten depends on it."));
	memcpy(run->key, VARDATA_ANY(DatumGetByteaPP(key)), ZONE_KEY_LEN);
	memcpy(&run->seed, run->key, sizeof(run->seed));
	SPI_freetuptable(SPI_tuptable);
}

/*
 * What the last run's tables were made by: the landing tables, and then, where
 * there were any, the expectations that drop rows.
 */
static void
split_definition(ZoneRun *run, char *definition)
{
	char	   *dropping = strstr(definition, ZONE_DROPPING);

	run->dropping_before = "";
	if (dropping != NULL)
	{
		run->dropping_before = MemoryContextStrdup(run->cxt, dropping);
		*dropping = '\0';
	}
	run->definition_before = definition;
}

/* How the last run left the tables; *forgotten: how many are to be. */
static void
read_state(ZoneRun *run, int64 *forgotten)
{
	int64		n = stedi_zone_query_run(stedi_zone_query_expand(run,
																 "SELECT run, as_of, complete, definition, forgotten, rows"
																 " FROM {target}.stedi_state"));
	HeapTuple	tuple = n > 0 ? SPI_tuptable->vals[0] : NULL;
	Datum		values[6];
	bool		nulls[6];
	bool		known = (n == 1);

	*forgotten = 0;
	for (int i = 0; known && i < lengthof(values); i++)
	{
		values[i] = SPI_getbinval(tuple, SPI_tuptable->tupdesc, i + 1, &nulls[i]);
		known = !nulls[i];
	}
	if (known)
	{
		ArrayType  *rows = DatumGetArrayTypeP(values[5]);

		run->number = DatumGetInt64(values[0]) + 1;
		run->before_ms = DatumGetInt64(values[1]);
		run->complete = DatumGetBool(values[2]);
		split_definition(run, MemoryContextStrdup(run->cxt, TextDatumGetCString(values[3])));
		*forgotten = DatumGetInt64(values[4]);
		if (ARR_NDIM(rows) == 1 && ARR_DIMS(rows)[0] == ZONE_N_TABLES && !ARR_HASNULL(rows))
			memcpy(run->rows_before, ARR_DATA_PTR(rows), sizeof(run->rows_before));
		else
			run->complete = false;
	}
	else
		stedi_zone_query_values(stedi_zone_query_expand(run,
														"SELECT greatest((SELECT max(run) FROM {target}.stedi_run),"
														" (SELECT max(run) FROM {target}.stedi_history), 0) + 1"),
								1, &run->number);
	SPI_freetuptable(SPI_tuptable);
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

	stedi_zone_query_open(&rows, stedi_zone_query_expand(run, "SELECT who, proof FROM {target}.stedi_forgotten"));
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
	bool		complete =
	stedi_zone_query_count(stedi_zone_query_expand(run,
												   "SELECT FROM {target}.stedi_forgotten WHERE lifted IS NULL")) >= wanted;

	if (complete && have_proof(run))
		return;
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			complete ?
			errmsg("the key by which the forgotten of schema \"%s\" are known is lost", run->target_name) :
			errmsg("the list of the forgotten of schema \"%s\" is not complete any more", run->target_name),
			errhint("Restore tables \"%s\" and \"%s\" from a backup.",
					books[ZONE_BOOK_FORGOTTEN].name, books[ZONE_BOOK_KEY].name));
}

void
stedi_zone_book_make(ZoneRun *run, ZoneBook book)
{
	(void) make_book(run, &books[book]);
}

char *
stedi_zone_book_writers(ZoneRun *run, ZoneBook book)
{
	return others_granted(run, &books[book], "privilege_type IN ('INSERT', 'UPDATE')");
}

void
stedi_zone_book_open(ZoneRun *run)
{
	bool		were_there[ZONE_N_BOOKS];
	int64		forgotten;
	char	   *grantees;

	for (int book = 0; book < ZONE_N_BOOKS; book++)
		were_there[book] = make_book(run, &books[book]);
	read_key(run);
	read_state(run, &forgotten);
	check_forgotten(run, forgotten);
	grantees = others_granted(run, &books[ZONE_BOOK_KEY], "true");
	if (grantees != NULL)
		ereport(WARNING,
				errmsg("table \"%s\" in schema \"%s\" is granted to others than its owner",
					   books[ZONE_BOOK_KEY].name, run->target_name),
				errdetail("It is granted to: %s.", grantees),
				errhint("Whoever reads it can tell who is meant in the bookkeeping: REVOKE ALL ON TABLE %s.%s FROM %s;",
						quote_identifier(run->target_name), books[ZONE_BOOK_KEY].name, grantees));
	if (!were_there[ZONE_BOOK_KEY] || !were_there[ZONE_BOOK_STATE] ||
		!were_there[ZONE_BOOK_OBJECT] || !were_there[ZONE_BOOK_DEVICE])
		run->complete = false;
}

/* The consent rule that is written down, or that the tables themselves tell. */
static const char *
stored_rule(ZoneRun *run, bool *lost)
{
	const char *stored;
	bool		any = false;

	for (int id = 0; id < ZONE_N_TABLES; id++)
		any |= OidIsValid(run->relid[id]);

	/* anything but one row with one of the two words is as good as nothing */
	stored = stedi_zone_query_text(run, stedi_zone_query_expand(run,
																"SELECT min(consent) FROM {target}.stedi_rule"
																" HAVING count(*) = 1 AND min(consent) IN ('granted', 'since_consent')"));
	*lost = (stored == NULL && any);
	if (!*lost)
		return stored;
	stored = rule_from_comment(run);
	if (stored == NULL)
		stored = "since_consent";
	if (run->asked == NULL)
		ereport(WARNING,
				errmsg("the consent rule of schema \"%s\" is not written down any more; going on with '%s'",
					   run->target_name, stored),
				errhint("To follow another rule, say consent => 'granted' or consent => 'since_consent'."));
	return stored;
}

void
stedi_zone_book_rule(ZoneRun *run)
{
	const char *asked = run->asked;
	bool		lost;
	const char *stored = stored_rule(run, &lost);
	char	   *match;

	if (asked != NULL && stored != NULL && strcmp(asked, stored) != 0 && !run->all)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("the tables of schema \"%s\" follow the consent rule '%s'",
					   run->target_name, stored),
				errhint("To change the rule of all five tables at once, call %s.",
						stedi_zone_query_call(run, "materialize",
											  psprintf(", consent => '%s'", asked))));
	run->consent = asked != NULL ? asked : stored != NULL ? stored : "granted";
	run->since = strcmp(run->consent, "since_consent") == 0;
	run->rule_changed = stored == NULL || lost || strcmp(stored, run->consent) != 0;
	run->had_rule = stored != NULL;

	/*
	 * machine_learning_curated stays as it was joined, until it is joined
	 * anew
	 */
	match = stedi_zone_query_text(run, stedi_zone_query_expand(run, "SELECT match FROM {target}.stedi_rule"));
	if (!run->wanted[ZONE_MACHINE_LEARNING_CURATED])
		run->match_time = match != NULL && strcmp(match, "time") == 0;
	run->match_changed = match == NULL || run->match_time != (strcmp(match, "time") == 0);
	if (run->rule_changed || run->match_changed)
	{
		stedi_zone_query_run(stedi_zone_query_expand(run, "DELETE FROM {target}.stedi_rule"));
		stedi_zone_query_run(psprintf("INSERT INTO %s.stedi_rule VALUES (%s, %s, pg_catalog.now())",
									  quote_identifier(run->target_name),
									  quote_literal_cstr(run->consent),
									  run->match_time ? "'time'" : "'customer'"));
	}
}

/* A time of epoch milliseconds, as a Datum; NULL when there is none. */
static Datum
time_datum(int64 ms, bool *isnull)
{
	TimestampTz time = 0;

	*isnull = !stedi_time_from_ms(ms, &time);
	return TimestampTzGetDatum(time);
}

void
stedi_zone_book_put_object(ZoneRun *run, ZoneTableId id, const StediObject *object,
						   const ZoneSketch *sketch)
{
	static Oid	types[] = {TEXTOID, TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, INT8OID, INT8OID,
	TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, BYTEAOID, BYTEAOID};
	Datum		values[lengthof(types)];
	bool		isnull[lengthof(types)] = {false};
	char		nulls[lengthof(types)];

	if (run->put_object == NULL)
	{
		run->put_object = SPI_prepare(stedi_zone_query_expand(run,
															  "INSERT INTO {target}.stedi_object VALUES"
															  " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, false, $11, $12)"),
									  lengthof(types), types);
		if (run->put_object == NULL)
			elog(ERROR, "SPI_prepare returned %s", SPI_result_code_string(SPI_result));
	}
	values[0] = CStringGetTextDatum(stedi_zone_tables[id].landing);
	values[1] = stedi_tuple_name(object->key);
	values[2] = stedi_tuple_name(object->etag);
	values[3] = Int64GetDatum(object->size);
	values[4] = TimestampTzGetDatum(object->modified);
	values[5] = Int64GetDatum((int64) object->n_records);
	values[6] = Int64GetDatum((int64) object->n_rejects);
	values[7] = time_datum(sketch->first_ms, &isnull[7]);
	values[8] = time_datum(sketch->last_ms, &isnull[8]);
	values[9] = Int64GetDatum(sketch->due_ms);
	isnull[9] = sketch->due_ms == PG_INT64_MAX;
	values[10] = PointerGetDatum(sketch->people);
	isnull[10] = sketch->people == NULL;
	values[11] = PointerGetDatum(sketch->devices);
	isnull[11] = sketch->devices == NULL;
	for (int i = 0; i < lengthof(types); i++)
		nulls[i] = isnull[i] ? 'n' : ' ';
	if (SPI_execute_plan(run->put_object, values, nulls, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert into stedi_object");
}

/* Run a statement on the objects $2 of landing table $1, unless there are none. */
static void
on_objects(const ZoneRun *run, ZoneTableId id, List *names, const char *template)
{
	static Oid	types[] = {TEXTOID, TEXTARRAYOID};
	Datum		values[2];
	Datum	   *elements = palloc(Max(list_length(names), 1) * sizeof(Datum));
	int			n = 0;
	ListCell   *lc;

	if (names == NIL)
		return;
	foreach(lc, names)
		elements[n++] = CStringGetTextDatum(lfirst(lc));
	values[0] = CStringGetTextDatum(stedi_zone_tables[id].landing);
	values[1] = PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT));
	(void) stedi_zone_query_with(stedi_zone_query_expand(run, template),
								 lengthof(types), types, values, NULL);
}

void
stedi_zone_book_forget_objects(const ZoneRun *run, ZoneTableId id, List *names)
{
	on_objects(run, id, names,
			   "DELETE FROM {target}.stedi_object WHERE table_name = $1 AND key = ANY ($2)");
}

void
stedi_zone_book_mark_objects(const ZoneRun *run, ZoneTableId id, List *names, bool vanished)
{
	on_objects(run, id, names, vanished ?
			   "UPDATE {target}.stedi_object SET vanished = true WHERE table_name = $1 AND key = ANY ($2)" :
			   "UPDATE {target}.stedi_object SET vanished = false WHERE table_name = $1 AND key = ANY ($2)");
}

void
stedi_zone_book_clear_objects(const ZoneRun *run, ZoneTableId id)
{
	stedi_zone_query_run(psprintf("DELETE FROM %s.stedi_object WHERE table_name = %s%s",
								  quote_identifier(run->target_name),
								  quote_literal_cstr(stedi_zone_tables[id].landing),
								  stedi_zone_keeps_vanished(run, id) ? " AND NOT vanished" : ""));
}

/* Add the report to those of the runs before. */
static void
put_report(const ZoneRun *run, ZoneTableId id)
{
	static Oid	types[3 + ZONE_N_REPORTED] = {INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[lengthof(types)];
	bool		isnull[lengthof(types)] = {false};
	char		nulls[lengthof(types)];
	StringInfoData sql;

	for (int i = 6; i < lengthof(types); i++)
		types[i] = INT8OID;
	types[lengthof(types) - 2] = TEXTOID;	/* head */
	values[0] = Int64GetDatum(run->number);
	values[1] = TimestampTzGetDatum(run->report[id].started);
	values[2] = TimestampTzGetDatum(run->report[id].finished);
	stedi_zone_report_values(run, id, values + 3, isnull + 3);
	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s.stedi_run VALUES (", quote_identifier(run->target_name));
	for (int i = 0; i < lengthof(types); i++)
	{
		appendStringInfo(&sql, i == 0 ? "$%d" : ", $%d", i + 1);
		nulls[i] = isnull[i] ? 'n' : ' ';
	}
	appendStringInfoChar(&sql, ')');
	(void) stedi_zone_query_with(sql.data, lengthof(types), types, values, nulls);
}

/* How the run leaves the tables. */
static void
put_state(const ZoneRun *run)
{
	static Oid	types[] = {INT8OID, INT8OID, BOOLOID, TEXTOID, INT8ARRAYOID, INT8OID};
	Datum		values[lengthof(types)];
	Datum		rows[ZONE_N_TABLES];

	for (int id = 0; id < ZONE_N_TABLES; id++)
		rows[id] = Int64GetDatum(run->wanted[id] ? run->report[id].rows : run->rows_before[id]);
	values[0] = Int64GetDatum(run->number);
	values[1] = Int64GetDatum(run->now_ms);
	values[2] = BoolGetDatum(run->all);
	values[3] = CStringGetTextDatum(psprintf("%s%s", run->definition, run->dropping));
	values[4] = PointerGetDatum(construct_array(rows, ZONE_N_TABLES, INT8OID, sizeof(int64),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[5] = Int64GetDatum(run->n_entries);
	stedi_zone_query_run(stedi_zone_query_expand(run, "DELETE FROM {target}.stedi_state"));
	(void) stedi_zone_query_with(stedi_zone_query_expand(run,
														 "INSERT INTO {target}.stedi_state VALUES ($1, $2, $3, $4,"
														 " (SELECT count(*) FROM {target}.stedi_forgotten WHERE lifted IS NULL), $6, $5)"),
								 lengthof(types), types, values, NULL);
}

void
stedi_zone_book_run(ZoneRun *run)
{
	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (run->wanted[id])
			put_report(run, id);
	if (run->all)
	{
		/* what forget and unforget have asked for is done */
		stedi_zone_query_run(stedi_zone_query_expand(run,
													 "DELETE FROM {target}.stedi_forgotten WHERE lifted IS NOT NULL"));
		stedi_zone_query_run(stedi_zone_query_expand(run,
													 "UPDATE {target}.stedi_forgotten SET pending = false WHERE pending"));
	}
	put_state(run);
}

void
stedi_zone_book_settle(ZoneRun *run)
{
	static Oid	types[] = {INT8OID, INT8OID, INT8ARRAYOID, BOOLOID};
	Datum		values[lengthof(types)];
	Datum		rows[ZONE_N_TABLES];

	for (int id = 0; id < ZONE_N_TABLES; id++)
		rows[id] = Int64GetDatum(run->rows_before[id] - run->report[id].rows_out);
	values[0] = Int64GetDatum(run->number);
	values[1] = Int64GetDatum(run->n_entries);
	values[2] = PointerGetDatum(construct_array(rows, ZONE_N_TABLES, INT8OID, sizeof(int64),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));

	/*
	 * a rule that was lost is a guess, of which a next run must not make a
	 * certainty; nor is bookkeeping whole that was lost and made anew
	 */
	values[3] = BoolGetDatum(run->complete && !run->rule_changed && !run->match_changed);
	(void) stedi_zone_query_with(stedi_zone_query_expand(run,
														 "UPDATE {target}.stedi_state SET run = $1, entries = $2, rows = $3, complete = $4,"
														 " forgotten = (SELECT count(*) FROM {target}.stedi_forgotten WHERE lifted IS NULL)"),
								 lengthof(types), types, values, NULL);
}
