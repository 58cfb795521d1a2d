/*-------------------------------------------------------------------------
 *
 * statistics.c
 *		What a table's statistics know of rows that go.
 *
 * ANALYZE keeps values of rows: the most common ones, and bounds of
 * histograms.  A value of a customer whose rows go must not stay there, unless
 * rows of others have it, too.  To analyze a large table takes longer than to
 * take a person out of it.  So that is done only where the statistics do hold
 * such a value, or may.
 *
 *-------------------------------------------------------------------------
 */
#include "storage/storage.h"

#include "access/table.h"
#include "catalog/heap.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* More rows than that are not looked up one by one. */
#define MOST_ROWS 10000

/* The columns of a table, each with its value as a text: rows of a VALUES. */
static char *
column_values(const ZoneRun *run, ZoneTableId id)
{
	return stedi_zone_query_text(run,
								 psprintf("SELECT string_agg("
										  "format('(%%L, t.%%I::text)', attname, attname), ', ')"
										  " FROM pg_attribute WHERE attrelid = %u AND attnum > 0"
										  " AND NOT attisdropped",
										  run->relid[id]));
}

/* Statistics that are not looked into: of partitions, several columns, or expressions. */
static bool
has_others(Oid relid)
{
	Relation	relation = table_open(relid, AccessShareLock);
	bool		others = relation->rd_rel->relkind != RELKIND_RELATION ||
	relation->rd_rel->relhassubclass || RelationGetStatExtList(relation) != NIL;

	table_close(relation, NoLock);
	return others ||
		stedi_zone_query_count(psprintf("SELECT FROM pg_index WHERE indrelid = %u"
										" AND indexprs IS NOT NULL", relid)) > 0;
}

void
stedi_zone_stats_hold(ZoneRun *run, ZoneTableId id, const char *gone, ZoneHeld *held)
{
	const char *name = stedi_zone_query_table(run, id);
	const char *table = psprintf("s.schemaname = %s AND s.tablename = %s",
								 quote_literal_cstr(run->target_name),
								 quote_literal_cstr(stedi_zone_tables[id].name));
	int64		n_gone = stedi_zone_query_count(psprintf("SELECT FROM %s", gone));
	ZoneQueryRows rows;
	Datum		values[2];
	bool		nulls[2];

	memset(held, 0, sizeof(*held));
	if (n_gone == 0)
		return;
	held->unknown = n_gone > MOST_ROWS || has_others(run->relid[id]);
	if (held->unknown)
		return;
	stedi_zone_query_open(&rows,
						  psprintf("SELECT DISTINCT r.attname, r.value"
								   " FROM (SELECT v.* FROM %s g"
								   " JOIN %s t ON t.ctid = g.place AND t.tableoid = g.part"
								   "   CROSS JOIN LATERAL (VALUES %s) AS v (attname, value)) r"
								   " JOIN (SELECT s.attname,"
								   " unnest(coalesce(s.most_common_vals::text::text[], '{}')"
								   "   || coalesce(s.histogram_bounds::text::text[], '{}'))"
								   " AS value FROM pg_stats s WHERE %s) h"
								   "  ON h.attname = r.attname AND h.value = r.value",
								   gone, name, column_values(run, id), table), "tt");
	while (stedi_zone_query_fetch(&rows, lengthof(values), values, nulls))
	{
		held->columns = lappend(held->columns, TextDatumGetCString(values[0]));
		held->values = lappend(held->values, TextDatumGetCString(values[1]));
	}
	stedi_zone_query_close(&rows);
}

bool
stedi_zone_stats_are_stale(ZoneRun *run, ZoneTableId id, const ZoneHeld *held)
{
	ListCell   *column;
	ListCell   *value;

	if (held->unknown)
		return true;
	forboth(column, held->columns, value, held->values)
	{
		Oid			type = TEXTOID;
		Datum		wanted = CStringGetTextDatum(lfirst(value));

		/* a customer who is in has it, too: nearly always found at once */
		if (stedi_zone_query_with(psprintf("SELECT FROM %s WHERE %s::text = $1 LIMIT 1",
										   stedi_zone_query_table(run, id),
										   quote_identifier(lfirst(column))),
								  1, &type, &wanted, NULL) == 0)
			return true;
	}
	return false;
}

/* Remove a table's statistics, those of its indexes and of several columns, too. */
static void
remove_statistics(Oid relid)
{
	Relation	relation = table_open(relid, NoLock);
	ListCell   *lc;

	RemoveStatistics(relid, 0);
	foreach(lc, RelationGetIndexList(relation))
		RemoveStatistics(lfirst_oid(lc), 0);
	foreach(lc, RelationGetStatExtList(relation))
	{
		RemoveStatisticsDataById(lfirst_oid(lc), false);
		RemoveStatisticsDataById(lfirst_oid(lc), true);
	}
	table_close(relation, NoLock);
}

void
stedi_zone_stats_renew(const ZoneRun *run, ZoneTableId id, int64 rows_out)
{
	/* ANALYZE writes pg_class in place: no rollback of a dry run undoes that */
	if (run->dry_run)
		return;

	/*
	 * ANALYZE leaves the statistics of an empty table as they are: they must
	 * go first
	 */
	if (rows_out > 0)
	{
		ListCell   *lc;

		foreach(lc, find_all_inheritors(run->relid[id], ShareUpdateExclusiveLock, NULL))
			remove_statistics(lfirst_oid(lc));
		CommandCounterIncrement();
	}
	stedi_progress_phase(STEDI_PHASE_ANALYZING, run->relid[id]);
	stedi_zone_query_run(psprintf("ANALYZE %s", stedi_zone_query_table(run, id)));
	stedi_progress_resume();
}
