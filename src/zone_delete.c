/*-------------------------------------------------------------------------
 *
 * zone_delete.c
 *		Rows taken out of the five tables, and proof that they are gone.
 *
 * Triggers and rules of the owner can keep a row from being deleted, or put it
 * back.  A run that then said that somebody is out would be wrong.  So what was
 * meant to go is compared with what is left, wherever there is a trigger or a
 * rule, and the run ends in an error that names them.
 *
 *-------------------------------------------------------------------------
 */
#include "zone.h"

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

/* The triggers and rules of the owner on the table and its parts; NULL: there are none. */
static char *
hooks_of(const ZoneRun *run, Oid relid)
{
	const char *parts = parts_of(relid);

	return stedi_zone_query_text(run,
								 psprintf("SELECT string_agg(hook, ', ' ORDER BY hook) FROM ("
										  " SELECT format('trigger %%I on %%s', tgname, tgrelid::regclass) AS hook"
										  " FROM pg_trigger WHERE tgrelid IN (%s) AND NOT tgisinternal AND tgenabled <> 'D'"
										  " UNION SELECT format('rule %%I on %%s', rulename, ev_class::regclass)"
										  " FROM pg_rewrite WHERE ev_class IN (%s) AND ev_enabled <> 'D') h",
										  parts, parts));
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
			errhint("A trigger or rule must neither keep rows from being deleted nor put them back: drop or disable it."));
}

static int64
count_rows(const ZoneRun *run, ZoneTableId id)
{
	return stedi_zone_query_count(psprintf("SELECT FROM %s",
										   quote_qualified_identifier(run->target_name, stedi_zone_tables[id].name)));
}

/* Can code of the owner run when a row of one of the tables goes? */
static bool
is_hooked(ZoneRun *run)
{
	for (int id = 0; run->hooks == ZONE_HOOKS_UNKNOWN && id < ZONE_N_TABLES; id++)
		if (OidIsValid(run->relid[id]) && hooks_of(run, run->relid[id]) != NULL)
			run->hooks = ZONE_HOOKS_SOME;
	if (run->hooks == ZONE_HOOKS_UNKNOWN)
		run->hooks = ZONE_HOOKS_NONE;
	return run->hooks == ZONE_HOOKS_SOME;
}

/* See zone.h. */
int64
stedi_zone_delete(ZoneRun *run, ZoneTableId id, const char *places)
{
	const char *name = quote_qualified_identifier(run->target_name, stedi_zone_tables[id].name);
	int64		n_meant = stedi_zone_query_count(psprintf("SELECT DISTINCT part, place FROM %s", places));
	int64		n_before = 0;
	int64		n_stayed;
	int64		n;

	if (n_meant == 0)
		return 0;
	if (is_hooked(run))
		n_before = count_rows(run, id);
	n = stedi_zone_query_run(psprintf("DELETE FROM %s t USING %s g WHERE t.ctid = g.place AND t.tableoid = g.part",
									  name, places));
	if (is_hooked(run))
	{
		n_stayed = count_rows(run, id) - (n_before - n_meant);
		if (n_stayed > 0)
			fail(run, id, n_stayed);
		/* rows that others took along on the way are gone, too */
		n = n_meant;
	}
	else if (n < n_meant)
	{
		n_stayed = stedi_zone_query_count(psprintf("SELECT FROM %s t JOIN %s g ON t.ctid = g.place AND t.tableoid = g.part",
												   name, places));
		if (n_stayed > 0)
			fail(run, id, n_stayed);
	}
	stedi_zone_summary_forget(run, id, places);
	return n;
}

/* See zone.h. */
int64
stedi_zone_delete_where(ZoneRun *run, ZoneTableId id, const char *template)
{
	int64		n;

	stedi_zone_query_keep(run, "gone_place",
						  stedi_zone_query_expand(run,
												  psprintf("SELECT t.tableoid AS part, t.ctid AS place FROM {%s} t WHERE %s",
														   stedi_zone_tables[id].name, template)));
	n = stedi_zone_delete(run, id, "gone_place");
	stedi_zone_query_drop(run);
	return n;
}

/* See zone.h. */
void
stedi_zone_delete_note(ZoneRun *run, ZoneTableId id)
{
	if (is_hooked(run))
		run->counted[id] = count_rows(run, id) + 1;
}

/* See zone.h. */
void
stedi_zone_delete_check(ZoneRun *run)
{
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		int64		n_more;

		if (run->counted[id] == 0 || OidIsValid(run->staged[id]))
			continue;
		n_more = count_rows(run, id) + 1 - run->counted[id];
		if (n_more > 0)
			fail(run, id, n_more);
	}
}
