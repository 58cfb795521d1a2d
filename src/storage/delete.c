/*-------------------------------------------------------------------------
 *
 * delete.c
 *		Rows taken out of the five tables, and proof that they are gone.
 *
 * Triggers and rules of the owner can keep a row from being deleted, or put
 * it back.  A run that then reported a customer as removed would be wrong.  So
 * where there is a trigger or a rule, what was meant to go is compared with
 * what is left, and the run ends in an error that names them.
 *
 *-------------------------------------------------------------------------
 */
#include "storage/storage.h"

#include "catalog/pg_inherits.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* The table and its parts, as a list for IN. */
static const char *
parts_of(Oid relid)
{
	StringInfoData parts;
	ListCell   *lc;

	initStringInfo(&parts);
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
		appendStringInfo(&parts, "%s%u", parts.len > 0 ? ", " : "", lfirst_oid(lc));
	return parts.data;
}

/*
 * The triggers and the like by which the owner's code can run on the table and
 * its parts when rows go or come; NULL: none.
 */
static char *
hooks_of(const ZoneRun *run, Oid relid)
{
	const char *parts = parts_of(relid);

	return stedi_zone_query_text(run,
								 psprintf("SELECT string_agg(hook, ', ' ORDER BY hook) FROM ("
										  " SELECT format('trigger %%I on %%s',"
										  " tgname, tgrelid::regclass) AS hook"
										  " FROM pg_trigger WHERE tgrelid IN (%s)"
										  " AND NOT tgisinternal AND tgenabled <> 'D'"
										  " UNION SELECT format('rule %%I on %%s',"
										  " rulename, ev_class::regclass)"
										  " FROM pg_rewrite WHERE ev_class IN (%s)"
										  " AND ev_enabled <> 'D'"
										  " UNION SELECT format('index %%s', indexrelid::regclass)"
										  " FROM pg_index WHERE indrelid IN (%s)"
										  " AND (indexprs IS NOT NULL OR indpred IS NOT NULL)"
										  " UNION SELECT format('constraint %%I on %%s',"
										  " conname, conrelid::regclass)"
										  " FROM pg_constraint WHERE conrelid IN (%s)"
										  " AND contype IN ('c', 'x')) h",
										  parts, parts, parts, parts));
}

static void
fail(const ZoneRun *run, ZoneTableId id, int64 n)
{
	StringInfoData hooks;

	initStringInfo(&hooks);
	for (int i = 0; i < ZONE_N_TABLES; i++)
	{
		char	   *found = OidIsValid(run->relid[i]) ? hooks_of(run, run->relid[i]) : NULL;

		if (found != NULL)
			appendStringInfo(&hooks, "%s%s", hooks.len > 0 ? ", " : "", found);
	}
	ereport(ERROR,
			errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			errmsg_plural("%lld row that had to be taken out of table \"%s\" is still there",
						  "%lld rows that had to be taken out of table \"%s\" are still there",
						  (unsigned long) n, (long long) n, stedi_zone_tables[id].name),
			hooks.len > 0 ? errdetail("The tables have: %s.", hooks.data) : 0,
			errhint("A trigger or rule must neither keep rows from being deleted nor put them "
					"back: drop or disable it."));
}

/* Can code of the owner run while the run writes one of the tables? */
static bool
is_hooked(const ZoneRun *run)
{
	bool		found = run->expectations != NULL;

	for (int id = 0; id < ZONE_N_TABLES && !found; id++)
		found = OidIsValid(run->relid[id]) && hooks_of(run, run->relid[id]) != NULL;
	return found;
}

/* How many rows of the table are like those that had to go. */
static int64
count_like(const ZoneRun *run, ZoneTableId id, const char *meant)
{
	return stedi_zone_query_count(psprintf("SELECT FROM %s t WHERE t IN (SELECT a_row FROM %s)",
										   stedi_zone_query_table(run, id),
										   meant));
}

/*
 * Keep the rows that have to go until the run ends, and how many like them may
 * be there then: in run->meant.
 */
static ZoneMeant *
keep_meant(ZoneRun *run, ZoneTableId id, const char *places, int64 n_meant)
{
	const char *name = stedi_zone_query_table(run, id);
	MemoryContext caller;
	ZoneMeant  *meant;

	stedi_zone_query_keep(run, psprintf("meant_%d", list_length(run->meant)),
						  psprintf("SELECT t AS a_row FROM %s t"
								   " JOIN %s g ON t.ctid = g.place AND t.tableoid = g.part",
								   name, places));
	caller = MemoryContextSwitchTo(run->cxt);
	meant = palloc0(sizeof(ZoneMeant));
	meant->id = id;

	/*
	 * those that are kept for a while are dropped in their order: not this
	 * one
	 */
	meant->rows = llast(run->kept);
	run->kept = list_delete_last(run->kept);
	run->meant = lappend(run->meant, meant);
	MemoryContextSwitchTo(caller);
	meant->n_left = count_like(run, id, meant->rows->md.name) - n_meant;
	return meant;
}

static void
check_meant(const ZoneRun *run, const ZoneMeant *meant)
{
	int64		n_more = count_like(run, meant->id, meant->rows->md.name) - meant->n_left;

	if (n_more > 0)
		fail(run, meant->id, n_more);
}

int64
stedi_zone_delete(ZoneRun *run, ZoneTableId id, const char *places)
{
	const char *name = stedi_zone_query_table(run, id);
	int64		n_meant =
	stedi_zone_query_count(psprintf("SELECT DISTINCT part, place FROM %s", places));
	ZoneMeant  *meant = NULL;
	int64		n_stayed;
	int64		n;

	if (n_meant == 0)
		return 0;
	if (is_hooked(run))
		meant = keep_meant(run, id, places, n_meant);
	n = stedi_zone_query_run(psprintf("DELETE FROM %s t USING %s g"
									  " WHERE t.ctid = g.place AND t.tableoid = g.part",
									  name, places));
	n_stayed = n == n_meant ? 0 :
		stedi_zone_query_count(psprintf("SELECT FROM %s t"
										" JOIN %s g ON t.ctid = g.place AND t.tableoid = g.part",
										name, places));
	if (n_stayed > 0)
		fail(run, id, n_stayed);
	if (meant != NULL)
		check_meant(run, meant);
	stedi_zone_summary_forget(run, id, places);

	/* rows that others took along on the way are gone, too */
	return n_meant;
}

int64
stedi_zone_delete_where(ZoneRun *run, ZoneTableId id, const char *template)
{
	int64		n;

	stedi_zone_query_keep_template(run, "gone_place",
								   psprintf("SELECT t.tableoid AS part, t.ctid AS place"
											" FROM {%s} t WHERE %s",
											stedi_zone_tables[id].name, template));
	n = stedi_zone_delete(run, id, "gone_place");
	stedi_zone_query_drop(run);
	return n;
}

void
stedi_zone_delete_check(ZoneRun *run)
{
	ListCell   *lc;

	foreach(lc, run->meant)
	{
		ZoneMeant  *meant = lfirst(lc);

		/* storage that is swapped in is made of what was read */
		if (!OidIsValid(run->staged[meant->id]))
			check_meant(run, meant);
		if (SPI_unregister_relation(meant->rows->md.name) != SPI_OK_REL_UNREGISTER)
			elog(ERROR, "could not unregister relation %s", meant->rows->md.name);
		tuplestore_end(meant->rows->reldata);
	}
	run->meant = NIL;
}
