/*-------------------------------------------------------------------------
 *
 * expect.c
 *		What rows of the five tables are expected to be like.
 *
 * An expectation is a named condition that rows of a table are to meet.  A row
 * of which the condition is not true, NULL included, violates it.  By the
 * expectation's action, then
 *
 *	 warn	the row is counted
 *	 drop	it does not get into the table, nor into what derives from that:
 *			readings when they are read, pairs when they are made
 *	 fail	the run ends in an error
 *
 * All are evaluated on rows that consent covers, and on no others.  Customers
 * are never dropped: consent alone decides who is in.
 *
 * The expectations are in the target's bookkeeping, with what the last run
 * counted.  Those that drop rows are in stedi_state, too, beside the
 * definition of the landing tables: when they have changed since, a run does
 * not go on from there.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "storage/storage.h"
#include "run/expect.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

const char *const stedi_zone_expect_actions[ZONE_N_ACTIONS + 1] = {"warn", "drop", "fail", NULL};

/* What a process counts that is alone. */
#define LEADER 0

static const char *
name_of(const ZoneExpectations *expectations, const ZoneExpectation *expectation)
{
	return (const char *) expectations + expectation->name;
}

ZoneAction
stedi_zone_expect_action(const char *word)
{
	int			action = 0;

	while (action < ZONE_N_ACTIONS && strcmp(word, stedi_zone_expect_actions[action]) != 0)
		action++;
	return action;
}

ZoneTableId
stedi_zone_expect_table(const char *name)
{
	int			id = 0;

	while (id < ZONE_N_TABLES && strcmp(name, stedi_zone_tables[id].name) != 0)
		id++;
	return id;
}

/* Lay the entries out in one piece, in the run's context. */
static ZoneExpectations *
lay_out(const ZoneRun *run, List *entries)
{
	int			n = list_length(entries);
	Size		end = offsetof(ZoneExpectations, list) + n * sizeof(ZoneExpectation);
	Size		size = end;
	ZoneExpectations *expectations;
	ListCell   *lc;

	foreach(lc, entries)
	{
		const ZoneEntry *entry = lfirst(lc);

		size += strlen(entry->name) + strlen(entry->condition) + 2;
	}
	expectations = MemoryContextAllocZero(run->cxt, size);
	expectations->size = size;
	foreach(lc, entries)
	{
		const ZoneEntry *entry = lfirst(lc);
		ZoneExpectation *expectation = &expectations->list[expectations->n++];

		expectation->id = entry->id;
		expectation->action = entry->action;
		expectation->met = -1;
		expectation->name = end;
		end += strlen(strcpy((char *) expectations + end, entry->name)) + 1;
		expectation->condition = end;
		end += strlen(strcpy((char *) expectations + end, entry->condition)) + 1;
	}
	return expectations;
}

/* See that a table's conditions can be evaluated, and where. */
static void
check_conditions(ZoneExpectations *expectations, ZoneTableId id)
{
	for (int action = 0; action < ZONE_N_ACTIONS; action++)
	{
		ZoneSieve  *sieve = stedi_zone_sieve_open(expectations, id, ZONE_ACTIONS(action), LEADER);

		if (sieve != NULL && action == ZONE_ACTION_DROP)
			expectations->serial |= !stedi_zone_sieve_is_parallel_safe(sieve);
		stedi_zone_sieve_close(sieve);
	}
}

bool
stedi_zone_expect_may(ZoneTableId id, ZoneAction action)
{
	return action != ZONE_ACTION_DROP ||
		(id != ZONE_CUSTOMER_TRUSTED && id != ZONE_CUSTOMER_CURATED);
}

void
stedi_zone_expect_check(const ZoneRun *run, ZoneEntry *entry)
{
	check_conditions(lay_out(run, list_make1(entry)), entry->id);
}

/* For list_sort: by table, and by name. */
static int
compare_entries(const ListCell *a, const ListCell *b)
{
	const ZoneEntry *one = lfirst(a);
	const ZoneEntry *other = lfirst(b);

	return one->id != other->id ? (int) one->id - (int) other->id : strcmp(one->name, other->name);
}

/* What is written down. */
static List *
read_entries(const ZoneRun *run)
{
	List	   *entries = NIL;
	ZoneQueryRows rows;
	Datum		values[4];
	bool		nulls[4];

	stedi_zone_store_query(run, &rows, "SELECT table_name, name, condition, action"
						   " FROM {books}.stedi_expectation",
						   "tttt");
	while (stedi_zone_query_fetch(&rows, lengthof(values), values, nulls))
	{
		ZoneEntry  *entry = palloc(sizeof(ZoneEntry));
		bool		known = !nulls[0] && !nulls[1] && !nulls[2] && !nulls[3];

		if (known)
		{
			entry->id = stedi_zone_expect_table(TextDatumGetCString(values[0]));
			entry->name = TextDatumGetCString(values[1]);
			entry->condition = TextDatumGetCString(values[2]);
			entry->action = stedi_zone_expect_action(TextDatumGetCString(values[3]));
			known = entry->id < ZONE_N_TABLES && entry->action < ZONE_N_ACTIONS &&
				stedi_zone_expect_may(entry->id, entry->action);
		}
		if (!known)
			ereport(ERROR,
					errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("table \"stedi_expectation\" in schema \"%s\" has a row that is no "
						   "expectation",
						   run->store.name),
					errhint("Delete it, and set the expectation with stedi.expect."));
		entries = lappend(entries, entry);
	}
	stedi_zone_query_close(&rows);
	list_sort(entries, compare_entries);
	return entries;
}

/* Those that drop rows, as a text to be compared with the next run's. */
static char *
tell_dropping(const ZoneRun *run, const ZoneExpectations *expectations)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; expectations != NULL && i < expectations->n; i++)
		if (expectations->list[i].action == ZONE_ACTION_DROP)
			appendStringInfo(&text, ZONE_DROPPING "%s: %s",
							 stedi_zone_tables[expectations->list[i].id].name,
							 (const char *) expectations + expectations->list[i].condition);
	return MemoryContextStrdup(run->cxt, text.data);
}

void
stedi_zone_expect_read(ZoneRun *run)
{
	List	   *entries = read_entries(run);

	run->expectations = NULL;
	if (entries != NIL)
	{
		stedi_zone_book_check_writers(run, ZONE_BOOK_EXPECTATION);
		run->expectations = lay_out(run, entries);
		for (int id = 0; id < ZONE_N_TABLES; id++)
			if (run->wanted[id])
				check_conditions(run->expectations, id);
	}
	run->dropping = tell_dropping(run, run->expectations);
}

bool
stedi_zone_expect_drops(const ZoneRun *run, ZoneTableId id)
{
	for (int i = 0; run->expectations != NULL && i < run->expectations->n; i++)
		if (run->expectations->list[i].id == id &&
			run->expectations->list[i].action == ZONE_ACTION_DROP)
			return true;
	return false;
}

/* A kept relation's columns as a table has them: where each is in the relation. */
static void
find_columns(TupleDesc table, TupleDesc relation, int *place)
{
	for (int i = 0; i < table->natts; i++)
	{
		place[i] = 0;
		while (place[i] < relation->natts &&
			   namestrcmp(&TupleDescAttr(relation, place[i])->attname,
						  NameStr(TupleDescAttr(table, i)->attname)) != 0)
			place[i]++;
		if (place[i] == relation->natts)
			elog(ERROR, "a relation lacks a column of its table");
	}
}

/* The row in the slot, as the table would store it: -0 is 0. */
static void
take_row(TupleTableSlot *slot, TupleDesc table, const int *place, Datum *values, bool *nulls)
{
	slot_getallattrs(slot);
	for (int i = 0; i < table->natts; i++)
	{
		values[i] = slot->tts_values[place[i]];
		nulls[i] = slot->tts_isnull[place[i]];
		if (!nulls[i] && TupleDescAttr(table, i)->atttypid == FLOAT8OID)
			values[i] = Float8GetDatum(DatumGetFloat8(values[i]) + 0.0);
	}
}

/* Rows of one kept relation to another store, but for those that are dropped; how many. */
static int64
sift(ZoneSieve *sieve, EphemeralNamedRelation from, Tuplestorestate *to)
{
	TupleDesc	table = stedi_zone_sieve_columns(sieve);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(from->md.tupdesc, &TTSOpsMinimalTuple);
	Datum		values[ZONE_ROW_COLUMNS];
	bool		nulls[ZONE_ROW_COLUMNS];
	int			place[ZONE_ROW_COLUMNS];
	int64		n_dropped = 0;

	find_columns(table, from->md.tupdesc, place);
	tuplestore_select_read_pointer(from->reldata, 0);
	tuplestore_rescan(from->reldata);
	while (tuplestore_gettupleslot(from->reldata, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		take_row(slot, table, place, values, nulls);
		if (stedi_zone_sieve_passes(sieve, values, nulls))
			tuplestore_puttupleslot(to, slot);
		else
			n_dropped++;
	}
	ExecDropSingleTupleTableSlot(slot);
	return n_dropped;
}

void
stedi_zone_expect_keep(ZoneRun *run, ZoneTableId id, const char *name, const char *sql)
{
	ZoneSieve  *sieve = stedi_zone_sieve_open(run->expectations, id,
											  ZONE_ACTIONS(ZONE_ACTION_DROP), LEADER);
	MemoryContext caller;
	EphemeralNamedRelation made;
	Tuplestorestate *store;

	if (sieve == NULL)
	{
		stedi_zone_query_keep(run, name, sql);
		return;
	}
	stedi_zone_query_keep(run, psprintf("%s_made", name), sql);
	made = llast(run->kept);
	caller = MemoryContextSwitchTo(run->cxt);
	store = tuplestore_begin_heap(false, false, ZONE_KEPT_MEMORY);
	MemoryContextSwitchTo(caller);
	run->report[id].unexpected += sift(sieve, made, store);
	stedi_zone_query_register(run, name, store, made->md.tupdesc);
	stedi_zone_sieve_close(sieve);
}

/* A row of a table, as the sieve takes it: all columns, in the table's own order. */
static void
open_rows(ZoneTableRows *rows, Oid relid, const ZoneSieve *sieve)
{
	TupleDesc	tupdesc = stedi_zone_sieve_columns(sieve);
	const char **columns = palloc(tupdesc->natts * sizeof(char *));

	for (int i = 0; i < tupdesc->natts; i++)
		columns[i] = NameStr(TupleDescAttr(tupdesc, i)->attname);
	stedi_zone_table_open(rows, relid, columns, tupdesc->natts);
}

/* Keep the relation "unexpected_row": the places of rows that do not pass. */
static void
keep_unexpected(ZoneRun *run, ZoneSieve *sieve, Oid relid)
{
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	Tuplestorestate *store = tuplestore_begin_heap(false, false, ZONE_KEPT_MEMORY);
	TupleDesc	tupdesc = CreateTemplateTupleDesc(2);
	ZoneTableRows rows;

	TupleDescInitEntry(tupdesc, 1, "part", OIDOID, -1, 0);
	TupleDescInitEntry(tupdesc, 2, "place", TIDOID, -1, 0);
	MemoryContextSwitchTo(caller);
	open_rows(&rows, relid, sieve);
	while (stedi_zone_table_next(&rows))
	{
		Datum		values[2];
		bool		nulls[2] = {false};

		if (stedi_zone_sieve_passes(sieve, rows.values, rows.nulls))
			continue;
		values[0] = ObjectIdGetDatum(rows.slot->tts_tableOid);
		values[1] = PointerGetDatum(&rows.slot->tts_tid);
		tuplestore_putvalues(store, tupdesc, values, nulls);
	}
	stedi_zone_table_close(&rows);
	stedi_zone_query_register(run, "unexpected_row", store, tupdesc);
}

int64
stedi_zone_expect_prune(ZoneRun *run, ZoneTableId id)
{
	ZoneExpectations *counted = run->expectations;
	const char *covered = stedi_rule_covered(id);
	ZoneSieve  *sieve;
	int64		n_uncovered;
	int64		n_rows;

	/* pairs are made anew, of what stays */
	if (covered == NULL || !stedi_zone_expect_drops(run, id))
		return 0;

	/*
	 * customers who have withdrawn since are not to be counted, and would go
	 * in any case
	 */
	n_uncovered = stedi_zone_delete_where(run, id, psprintf("NOT %s", covered));

	/*
	 * the counts are of records that are read, not of rows that stay of
	 * earlier ones
	 */
	counted = memcpy(palloc(counted->size), counted, counted->size);
	sieve = stedi_zone_sieve_open(counted, id, ZONE_ACTIONS(ZONE_ACTION_DROP), LEADER);
	keep_unexpected(run, sieve, run->relid[id]);
	stedi_zone_sieve_close(sieve);
	n_rows = stedi_zone_delete(run, id, "unexpected_row");
	stedi_zone_query_drop(run);
	if (n_uncovered + n_rows > 0)
		stedi_zone_stats_renew(run, id, n_uncovered + n_rows);
	if (n_rows > 0)
		ereport(NOTICE,
				errmsg_plural("%lld row of %s does not meet what is expected of it and was removed",
							  "%lld rows of %s do not meet what is expected of them and were "
							  "removed",
							  (unsigned long) n_rows, (long long) n_rows,
							  stedi_zone_tables[id].name));
	return n_uncovered + n_rows;
}

/* Count who meets what in a table that is as the run leaves it. */
static void
count_rows(ZoneRun *run, ZoneTableId id)
{
	ZoneExpectations *expectations = run->expectations;
	ZoneSieve  *sieve = stedi_zone_sieve_open(expectations, id,
											  ZONE_ACTIONS(ZONE_ACTION_WARN) |
											  ZONE_ACTIONS(ZONE_ACTION_FAIL),
											  LEADER);
	ZoneTableRows rows;

	if (sieve != NULL)
	{
		stedi_progress_phase(STEDI_PHASE_COMPARING, run->relid[id]);
		open_rows(&rows, OidIsValid(run->staged[id]) ? run->staged[id] : run->relid[id], sieve);
		while (stedi_zone_table_next(&rows))
			(void) stedi_zone_sieve_passes(sieve, rows.values, rows.nulls);
		stedi_zone_table_close(&rows);
		stedi_zone_sieve_close(sieve);
	}
}

static int64
count_violated(const ZoneExpectation *expectation)
{
	uint64		n = 0;

	for (int i = 0; i < ZONE_MAX_PROCESSES; i++)
		n += expectation->violated[i];
	return (int64) n;
}

/*
 * The error.  Its hint tells how withdrawals take effect although the
 * expectation fails: they must not wait until the landing zone is corrected.
 */
static void
fail(const ZoneRun *run, const ZoneExpectation *expectation, int64 n)
{
	const char *table = stedi_zone_tables[expectation->id].name;
	const char *name = name_of(run->expectations, expectation);
	const char *call = expectation->id == ZONE_CUSTOMER_TRUSTED ?
	psprintf("lower the action to 'warn' and run %s",
			 stedi_zone_query_call(run, "materialize", "")) :
	psprintf("call %s, which takes their rows out of all five tables and does not ask about %s",
			 stedi_zone_query_call(run, "materialize_customer_trusted", ""), table);

	ereport(ERROR,
			errcode(ERRCODE_CHECK_VIOLATION),
			errmsg_plural("%lld row of %s does not meet expectation \"%s\"",
						  "%lld rows of %s do not meet expectation \"%s\"",
						  (unsigned long) n, (long long) n, table, name),
			errdetail("Nothing was changed; those who have withdrawn their consent since the last "
					  "run are still in the tables."),
			errhint("Correct the landing zone, or the expectation. Until then, %s.", call));
}

/*
 * Report once a run what each expectation found: first the warnings, then the
 * error of the first table that has one.
 */
static void
tell(const ZoneRun *run)
{
	const ZoneExpectation *failed = NULL;

	for (int i = 0; i < run->expectations->n; i++)
	{
		const ZoneExpectation *expectation = &run->expectations->list[i];
		const char *table = stedi_zone_tables[expectation->id].name;
		const char *name = name_of(run->expectations, expectation);
		int64		n = count_violated(expectation);

		if (n == 0)
			continue;
		if (expectation->action == ZONE_ACTION_WARN)
			ereport(NOTICE,
					errmsg_plural("%lld row of %s does not meet expectation \"%s\"",
								  "%lld rows of %s do not meet expectation \"%s\"",
								  (unsigned long) n, (long long) n, table, name));
		else if (expectation->action == ZONE_ACTION_DROP)
			ereport(NOTICE,
					errmsg_plural("%lld row was left out of %s: "
								  "it does not meet expectation \"%s\"",
								  "%lld rows were left out of %s: "
								  "they do not meet expectation \"%s\"",
								  (unsigned long) n, (long long) n, table, name));
		else if (failed == NULL)
			failed = expectation;
	}
	if (failed != NULL)
		fail(run, failed, count_violated(failed));
}

/* Write down what was counted. */
static void
put_counts(const ZoneRun *run, const ZoneExpectation *expectation)
{
	static Oid	types[] = {TEXTOID, TEXTOID, INT8OID, INT8OID, INT8OID};
	Datum		values[lengthof(types)];
	int64		violated = count_violated(expectation);

	values[0] = CStringGetTextDatum(stedi_zone_tables[expectation->id].name);
	values[1] = CStringGetTextDatum(name_of(run->expectations, expectation));
	values[2] = Int64GetDatum(run->report[expectation->id].rows -
							  (expectation->action == ZONE_ACTION_DROP ? 0 : violated));
	values[3] = Int64GetDatum(violated);
	values[4] = Int64GetDatum(run->number);
	(void) stedi_zone_store_with(run,
								 "UPDATE {books}.stedi_expectation"
								 " SET met = $3, violated = $4, run = $5"
								 " WHERE table_name = $1 AND name = $2",
								 lengthof(types), types, values, NULL);
}

void
stedi_zone_expect_settle(ZoneRun *run)
{
	if (run->expectations == NULL)
		return;
	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (run->wanted[id])
			count_rows(run, id);
	tell(run);
	for (int i = 0; i < run->expectations->n; i++)
		if (run->wanted[run->expectations->list[i].id])
			put_counts(run, &run->expectations->list[i]);
}
