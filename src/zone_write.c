/*-------------------------------------------------------------------------
 *
 * zone_write.c
 *		A query's rows to a table: made new, changed, or swapped.
 *
 * A table that exists keeps its OID, and with it privileges, views, indexes,
 * policies and publications.  It is changed by the difference, with DELETE
 * and INSERT, so that every reader's snapshot holds.  Only full_refresh
 * fills new storage, which stedi_zone_write_swap puts in place at the end of the
 * run, all tables in one short phase.
 *
 *-------------------------------------------------------------------------
 */
#include "zone.h"

#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/cluster.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* Between two tries for a lock that readers hold. */
#define SWAP_RETRY_MS 10

static const char *
own_name(const ZoneRun *run, ZoneTableId id)
{
	return quote_qualified_identifier(run->target_name, stedi_zone_tables[id].name);
}

/*
 * Delete what is there too often, then insert what is missing: in that order,
 * or a changed row would meet its old self in a unique index.  Rows are
 * compared as GROUP BY compares them (NULL is NULL, -0 is 0), and counted, so
 * that this holds for tables in which a row may occur twice.
 */
static void
write_difference(ZoneRun *run, ZoneTableId id, const char *query)
{
	ZoneReport *report = &run->report[id];
	const char *columns = stedi_zone_tables[id].column_names;
	const char *name = own_name(run, id);

	stedi_zone_query_keep(run, "difference",
						  psprintf("SELECT %s, sum(n) AS surplus FROM ("
								   " SELECT *, 1 AS n FROM (%s) q(%s)"
								   " UNION ALL SELECT %s, -1 FROM %s) u"
								   " GROUP BY %s HAVING sum(n) <> 0",
								   columns, query, columns, columns, name, columns));
	report->rows_out =
		stedi_zone_query_run(psprintf("DELETE FROM %s WHERE (tableoid, ctid) IN ("
									  " SELECT part, place FROM ("
									  "  SELECT t.tableoid AS part, t.ctid AS place, d.surplus,"
									  "    row_number() OVER (PARTITION BY d.a_row) AS copy"
									  "  FROM %s t JOIN (SELECT ROW(%s)::%s AS a_row, surplus"
									  "    FROM difference WHERE surplus < 0) d ON t = d.a_row) c"
									  " WHERE copy <= -surplus)",
									  name, name, columns, name));
	report->rows_in =
		stedi_zone_query_run(psprintf("INSERT INTO %s (%s) SELECT %s"
									  " FROM difference, generate_series(1, surplus)",
									  name, columns, columns));
	stedi_zone_query_drop(run);
	stedi_zone_query_values(psprintf("SELECT count(*) FROM %s", name), 1, &report->rows);
	report->mode = "difference";
}

/* Fill new storage for the table; its place is taken at the end. */
static void
write_staged(ZoneRun *run, ZoneTableId id, const char *query)
{
	ZoneReport *report = &run->report[id];
	Relation	relation = table_open(run->relid[id], ShareRowExclusiveLock);
	char	   *count = psprintf("SELECT count(*) FROM %s", own_name(run, id));

	stedi_zone_query_values(count, 1, &report->rows_out);
	run->staged[id] = make_new_heap(run->relid[id], relation->rd_rel->reltablespace,
									relation->rd_rel->relam,
									relation->rd_rel->relpersistence,
									ShareRowExclusiveLock);
	table_close(relation, NoLock);
	CommandCounterIncrement();
	report->rows = stedi_zone_query_run(psprintf("INSERT INTO %s %s",
												 quote_qualified_identifier(run->target_name,
																			get_rel_name(run->staged[id])),
												 query));
	report->rows_in = report->rows;
	report->mode = "full";
}

/* Make the table. */
static void
write_new(ZoneRun *run, ZoneTableId id, const char *query)
{
	ZoneReport *report = &run->report[id];
	const char *name = own_name(run, id);

	stedi_zone_query_run(psprintf("CREATE TABLE %s (%s)", name, stedi_zone_tables[id].columns));
	run->relid[id] = get_relname_relid(stedi_zone_tables[id].name, run->target);

	/*
	 * a row may occur twice, so there is no key; a publication needs one to
	 * delete by
	 */
	stedi_zone_query_run(psprintf("ALTER TABLE %s REPLICA IDENTITY FULL", name));
	report->rows = stedi_zone_query_run(psprintf("INSERT INTO %s %s", name, query));
	report->rows_in = report->rows;
	report->rows_out = 0;
	report->mode = "full";
}

/*
 * May new storage be put under the table?  Rows that come that way meet no
 * trigger, check or foreign key, and no subscriber, so a table that has any
 * is changed by the difference, as is one with partitions or parents.
 */
static bool
may_swap(Oid relid)
{
	int64		n_publications;
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;
	bool		plain;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	form = (Form_pg_class) GETSTRUCT(tuple);
	plain = form->relkind == RELKIND_RELATION && form->relchecks == 0 &&
		!form->relhastriggers && !form->relhasrules && !form->relhassubclass &&
		!form->relispartition;
	ReleaseSysCache(tuple);
	if (!plain)
		return false;
	stedi_zone_query_values(psprintf("SELECT count(*) FROM pg_publication p"
									 " WHERE p.puballtables OR EXISTS (SELECT FROM"
									 " pg_get_publication_tables(p.pubname) t WHERE t.relid = %u)",
									 relid), 1, &n_publications);
	return n_publications == 0;
}

void
stedi_zone_write(ZoneRun *run, ZoneTableId id, const char *query)
{
	bool		is_new = !OidIsValid(run->relid[id]);

	if (is_new)
		write_new(run, id, query);
	else if (run->full_refresh && may_swap(run->relid[id]))
		write_staged(run, id, query);
	else
		write_difference(run, id, query);

	if (is_new || run->rule_changed ||
		(run->match_changed && id == ZONE_MACHINE_LEARNING_CURATED))
		stedi_zone_query_run(psprintf("COMMENT ON TABLE %s IS %s", own_name(run, id),
									  quote_literal_cstr(stedi_zone_table_comment(run, id))));
	if (!OidIsValid(run->staged[id]) &&
		(run->report[id].rows_in > 0 || run->report[id].rows_out > 0))
		stedi_zone_write_analyze(run, id, run->report[id].rows_out);
}

void
stedi_zone_write_analyze(const ZoneRun *run, ZoneTableId id, int64 rows_out)
{
	/* ANALYZE writes pg_class in place: no rollback of a dry run undoes that */
	if (run->dry_run)
		return;

	/* an empty table is not analyzed anew: what is there of it must go first */
	if (rows_out > 0)
	{
		Relation	relation = table_open(run->relid[id], ShareUpdateExclusiveLock);
		ListCell   *lc;

		RemoveStatistics(run->relid[id], 0);
		foreach(lc, RelationGetStatExtList(relation))
		{
			RemoveStatisticsDataById(lfirst_oid(lc), false);
			RemoveStatisticsDataById(lfirst_oid(lc), true);
		}
		table_close(relation, NoLock);
		CommandCounterIncrement();
	}
	stedi_zone_query_run(psprintf("ANALYZE %s", own_name(run, id)));
}

/* Say who holds locks on the table: pid, role and application of each. */
static char *
lock_holders(ZoneRun *run, Oid relid)
{
	return stedi_zone_query_text(run,
								 psprintf("SELECT string_agg(format('process %%s (role %%s%%s)', a.pid, a.usename,"
										  " nullif(', application ' || a.application_name, ', application ')), ', ')"
										  " FROM (SELECT DISTINCT l.pid FROM pg_locks l WHERE l.relation = %u"
										  "  AND l.granted AND l.pid <> pg_backend_pid()) h"
										  " JOIN pg_stat_activity a ON a.pid = h.pid", relid));
}

/* Lock all tables that are to be swapped, or none; then *missed says which. */
static bool
try_lock_all(const ZoneRun *run, Oid *missed)
{
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		if (!OidIsValid(run->staged[id]) ||
			ConditionalLockRelationOid(run->relid[id], AccessExclusiveLock))
			continue;
		*missed = run->relid[id];
		while (--id >= 0)
			if (OidIsValid(run->staged[id]))
				UnlockRelationOid(run->relid[id], AccessExclusiveLock);
		return false;
	}
	return true;
}

/*
 * Lock the tables against readers without standing in their way while we
 * wait: neither by a lock that is queued for, which would block every reader
 * that comes after, nor by those of the other tables.
 */
static void
lock_for_swap(ZoneRun *run)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   stedi_swap_timeout);
	Oid			missed;

	while (!try_lock_all(run, &missed))
	{
		CHECK_FOR_INTERRUPTS();
		if (GetCurrentTimestamp() >= deadline)
		{
			char	   *holders = lock_holders(run, missed);

			ereport(ERROR,
					errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					errmsg("could not put the new contents of table \"%s\" in place: it is in use",
						   get_rel_name(missed)),
					holders != NULL ? errdetail("In use by %s.", holders) : 0,
					errhint("Wait until its readers are done, raise stedi.swap_timeout, or run without full_refresh, which waits for no reader."));
		}
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 SWAP_RETRY_MS, STEDI_WAIT_LOCK);
		ResetLatch(MyLatch);
	}
}

void
stedi_zone_write_swap(ZoneRun *run)
{
	if (run->dry_run)
		return;
	lock_for_swap(run);
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		Relation	relation;

		if (!OidIsValid(run->staged[id]))
			continue;

		/* a cursor of our own session holds no lock against us */
		relation = table_open(run->relid[id], NoLock);
		CheckTableNotInUse(relation, "stedi.materialize");
		table_close(relation, NoLock);
		finish_heap_swap(run->relid[id], run->staged[id],
						 false, /* not a system catalog */
						 false, /* TOAST goes with its heap */
						 true,	/* check constraints */
						 true,	/* internal */
						 RecentXmin, ReadNextMultiXactId(),
						 get_rel_persistence(run->relid[id]));
		run->staged[id] = InvalidOid;
		stedi_zone_write_analyze(run, id, run->report[id].rows_out);
	}
}
