/*-------------------------------------------------------------------------
 *
 * save.c
 *		What a run writes into the bookkeeping: rules, objects, reports, state.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

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

/* The consent rule that is written down, or that the tables themselves tell. */
static const char *
stored_rule(ZoneRun *run, bool *lost)
{
	const char *stored;
	bool		any = false;

	for (int id = 0; id < ZONE_N_TABLES; id++)
		any |= OidIsValid(run->relid[id]);

	/* anything but one row with one of the two words counts as none */
	stored = stedi_zone_store_text(run, "SELECT min(consent) FROM {books}.stedi_rule"
								   " HAVING count(*) = 1"
								   " AND min(consent) IN ('granted', 'since_consent')");
	*lost = (stored == NULL && any);
	if (!*lost)
		return stored;
	stored = rule_from_comment(run);
	if (stored == NULL)
		stored = "since_consent";
	if (run->asked == NULL)
		ereport(WARNING,
				errmsg("the consent rule of schema \"%s\" is not written down any more; "
					   "going on with '%s'",
					   run->target_name, stored),
				errhint("To follow another rule, "
						"say consent => 'granted' or consent => 'since_consent'."));
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
	match = stedi_zone_store_text(run, "SELECT match FROM {books}.stedi_rule");
	if (!run->wanted[ZONE_MACHINE_LEARNING_CURATED])
		run->match_time = match != NULL && strcmp(match, "time") == 0;
	run->match_changed = match == NULL || run->match_time != (strcmp(match, "time") == 0);
	if (run->rule_changed || run->match_changed || run->landing_changed)
	{
		static Oid	types[] = {TEXTOID, TEXTOID, TEXTOID};
		Datum		values[lengthof(types)];

		values[0] = CStringGetTextDatum(run->consent);
		values[1] = CStringGetTextDatum(run->match_time ? "time" : "customer");
		values[2] = CStringGetTextDatum(run->landing_name);
		stedi_zone_store_run(run, "DELETE FROM {books}.stedi_rule");
		(void) stedi_zone_store_with(run, "INSERT INTO {books}.stedi_rule"
									 " VALUES ($1, $2, pg_catalog.now(), $3)",
									 lengthof(types), types, values,
									 run->landing_known ? NULL : "  n");
	}
}

void
stedi_zone_book_landing(ZoneRun *run)
{
	char	   *stored = stedi_zone_store_text(run, "SELECT min(landing) FROM {books}.stedi_rule"
											   " HAVING count(*) = 1");

	run->landing_known = true;
	run->landing_changed = stored == NULL || strcmp(stored, run->landing_name) != 0;
	if (!run->landing_changed || stored == NULL)
		return;
	if (!run->landing_given)
	{
		if (!OidIsValid(get_namespace_oid(stored, true)))
			ereport(ERROR,
					errcode(ERRCODE_UNDEFINED_SCHEMA),
					errmsg("schema \"%s\", which the tables of schema \"%s\" are made from, "
						   "does not exist",
						   stored, run->target_name),
					errhint("Name the schema of the landing tables once, "
							"with stedi.materialize(%s, landing => '...', full_refresh => true).",
							quote_literal_cstr(quote_identifier(run->target_name))));
		run->landing_name = stored;
		run->landing_changed = false;
		return;
	}
	if (run->full_refresh)
		return;
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("the tables of schema \"%s\" are made from schema \"%s\", not \"%s\"",
				   run->target_name, stored, run->landing_name),
			errhint("Leave landing out. To make them from schema \"%s\" from now on, call %s.",
					run->landing_name,
					stedi_zone_query_call(run, "materialize", ", full_refresh => true")));
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
	ZoneUser	user;
	Datum		values[lengthof(types)];
	bool		isnull[lengthof(types)] = {false};
	char		nulls[lengthof(types)];

	stedi_zone_store_enter(run, &user);
	if (run->put_object == NULL)
	{
		const char *insert =
		"INSERT INTO {books}.stedi_object VALUES"
		" ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, false, $11, $12)";

		run->put_object = SPI_prepare(stedi_zone_query_expand(run, insert),
									  lengthof(types), types);
		if (run->put_object == NULL)
			elog(ERROR, "SPI_prepare returned %s", SPI_result_code_string(SPI_result));
	}
	values[0] = CStringGetTextDatum(stedi_zone_tables[id].landing);
	values[1] = stedi_text_name(object->key);
	values[2] = stedi_text_name(object->etag);
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
	stedi_zone_store_leave(&user);
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
	(void) stedi_zone_store_with(run, template, lengthof(types), types, values, NULL);
}

void
stedi_zone_book_forget_objects(const ZoneRun *run, ZoneTableId id, List *names)
{
	on_objects(run, id, names,
			   "DELETE FROM {books}.stedi_object WHERE table_name = $1 AND key = ANY ($2)");
}

void
stedi_zone_book_mark_objects(const ZoneRun *run, ZoneTableId id, List *names, bool vanished)
{
	on_objects(run, id, names, vanished ?
			   "UPDATE {books}.stedi_object SET vanished = true"
			   " WHERE table_name = $1 AND key = ANY ($2)" :
			   "UPDATE {books}.stedi_object SET vanished = false"
			   " WHERE table_name = $1 AND key = ANY ($2)");
}

void
stedi_zone_book_clear_objects(const ZoneRun *run, ZoneTableId id)
{
	stedi_zone_store_run(run, psprintf("DELETE FROM {books}.stedi_object WHERE table_name = %s%s",
									   quote_literal_cstr(stedi_zone_tables[id].landing),
									   stedi_zone_keeps_vanished(run, id) ?
									   " AND NOT vanished" : ""));
}

/* Add the report to those of the runs before. */
static void
put_report(const ZoneRun *run, ZoneTableId id)
{
	static Oid	types[3 + ZONE_N_REPORTED] = {INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID,
	TEXTOID, TEXTOID};
	Datum		values[lengthof(types)];
	bool		isnull[lengthof(types)] = {false};
	char		nulls[lengthof(types)];
	StringInfoData sql;

	for (int i = 6; i < lengthof(types); i++)
		types[i] = INT8OID;
	types[lengthof(types) - ZONE_N_ADDED - 1] = TEXTOID;	/* head */
	values[0] = Int64GetDatum(run->number);
	values[1] = TimestampTzGetDatum(run->report[id].started);
	values[2] = TimestampTzGetDatum(run->report[id].finished);
	stedi_zone_report_values(run, id, values + 3, isnull + 3);
	initStringInfo(&sql);
	appendStringInfoString(&sql, "INSERT INTO {books}.stedi_run VALUES (");
	for (int i = 0; i < lengthof(types); i++)
	{
		appendStringInfo(&sql, i == 0 ? "$%d" : ", $%d", i + 1);
		nulls[i] = isnull[i] ? 'n' : ' ';
	}
	appendStringInfoChar(&sql, ')');
	(void) stedi_zone_store_with(run, sql.data, lengthof(types), types, values, nulls);
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
	/* until all five have e-mails of one form, no form is written down */
	values[3] = CStringGetTextDatum(psprintf("%s" ZONE_FORM "%d%s", run->definition,
											 run->all ? STEDI_EMAIL_FORM : run->form_before,
											 run->dropping));
	values[4] = PointerGetDatum(construct_array(rows, ZONE_N_TABLES, INT8OID, sizeof(int64),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[5] = Int64GetDatum(run->n_entries);
	stedi_zone_store_run(run, "DELETE FROM {books}.stedi_state");
	(void) stedi_zone_store_with(run,
								 "INSERT INTO {books}.stedi_state VALUES ($1, $2, $3, $4,"
								 " (SELECT count(*) FROM {books}.stedi_forgotten"
								 " WHERE lifted IS NULL), $6, $5)",
								 lengthof(types), types, values, NULL);
}

void
stedi_zone_book_reports(const ZoneRun *run)
{
	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (run->wanted[id])
			put_report(run, id);
}

void
stedi_zone_book_run(ZoneRun *run)
{
	stedi_zone_book_reports(run);
	if (run->all)
	{
		/* what forget and unforget have asked for is done */
		stedi_zone_store_run(run, "DELETE FROM {books}.stedi_forgotten WHERE lifted IS NOT NULL");
		stedi_zone_store_run(run, "UPDATE {books}.stedi_forgotten SET pending = false"
							 " WHERE pending");
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
	 * a rule that was lost is a guess, which a next run must not take for
	 * certain; nor is bookkeeping complete that was lost and made anew
	 */
	values[3] = BoolGetDatum(run->complete && !run->rule_changed && !run->match_changed);
	(void) stedi_zone_store_with(run,
								 "UPDATE {books}.stedi_state"
								 " SET run = $1, entries = $2, rows = $3, complete = $4,"
								 " forgotten = (SELECT count(*) FROM {books}.stedi_forgotten"
								 " WHERE lifted IS NULL)",
								 lengthof(types), types, values, NULL);
}
