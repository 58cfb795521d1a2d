/*-------------------------------------------------------------------------
 *
 * zone_stats.c
 *		What a table's statistics know of rows that go.
 *
 * ANALYZE keeps values: the most common ones, and bounds of histograms.  One
 * of somebody whose rows go must not stay.  To make the statistics of a large
 * table anew takes longer than to take a person out of it, so that is done
 * where they do hold such a value, or may.
 *
 *-------------------------------------------------------------------------
 */
#include "zone.h"

#include "access/table.h"
#include "catalog/pg_class.h"
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
								 psprintf("SELECT string_agg(format('(%%L, t.%%I::text)', attname, attname), ', ')"
										  " FROM pg_attribute WHERE attrelid = %u AND attnum > 0 AND NOT attisdropped",
										  run->relid[id]));
}

/* Statistics that are not looked into: of partitions, or of several columns. */
static bool
has_others(Oid relid)
{
	Relation	relation = table_open(relid, AccessShareLock);
	bool		others = relation->rd_rel->relkind != RELKIND_RELATION ||
	relation->rd_rel->relhassubclass || RelationGetStatExtList(relation) != NIL;

	table_close(relation, NoLock);
	return others;
}

bool
stedi_zone_stats_hold(ZoneRun *run, ZoneTableId id, const char *gone)
{
	const char *name = quote_qualified_identifier(run->target_name, stedi_zone_tables[id].name);
	int64		n_gone = stedi_zone_query_count(psprintf("SELECT FROM %s", gone));

	if (n_gone == 0)
		return false;
	if (n_gone > MOST_ROWS || has_others(run->relid[id]))
		return true;
	return stedi_zone_query_count(psprintf("SELECT FROM pg_stats s"
										   " CROSS JOIN LATERAL unnest(coalesce(s.most_common_vals::text::text[], '{}')"
										   "   || coalesce(s.histogram_bounds::text::text[], '{}')) AS held (value)"
										   " JOIN (SELECT v.* FROM %s g JOIN %s t ON t.ctid = g.place AND t.tableoid = g.part"
										   "   CROSS JOIN LATERAL (VALUES %s) AS v (attname, value)) r"
										   "  ON r.attname = s.attname AND r.value = held.value"
										   " WHERE s.schemaname = %s AND s.tablename = %s LIMIT 1",
										   gone, name, column_values(run, id),
										   quote_literal_cstr(run->target_name),
										   quote_literal_cstr(stedi_zone_tables[id].name))) > 0;
}
