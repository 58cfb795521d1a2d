/*-------------------------------------------------------------------------
 *
 * write.c
 *		Rows to a table: made new, changed, or swapped.
 *
 * Rows always go into new storage, which is out of the reach of the tables'
 * owner while it is filled.  A new table takes it over at once.  A table that
 * exists keeps its OID, and with it privileges, views, indexes, policies and
 * publications.  It is changed by its difference from the new storage, with
 * DELETE and INSERT, so that every reader's snapshot holds.  Only full_refresh
 * puts the new storage in the place of the old: swap.c does that at the end
 * of the run, for all tables in one short phase.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "storage/storage.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/heap.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/toasting.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/*
 * The index by which the rows of one person or device are found.  Rows are
 * written person by person, so a small summary of each range of pages tells
 * where they are, at a fifth of the cost of a btree.  A range holds about
 * 10,000 rows; the summary is made for as many keys as that is likely to have.
 */
#define LOOKUP_PAGES 128
#define LOOKUP_KEYS 700

/* The storage that is filled: beside the table, or its own. */
static const char *
staged_name(const ZoneRun *run, ZoneTableId id)
{
	if (!OidIsValid(run->staged[id]))
		return stedi_zone_query_table(run, id);
	return stedi_zone_query_relation(run->staged[id]);
}

void
stedi_zone_write_drop(ZoneRun *run, ZoneTableId id)
{
	ZoneUser	user;

	stedi_zone_hold_release(run, run->staged[id]);
	stedi_zone_store_enter(run, &user);
	stedi_zone_query_run(psprintf("DROP TABLE %s", staged_name(run, id)));
	stedi_zone_store_leave(&user);
	run->staged[id] = InvalidOid;
}

/*
 * Delete the rows that are there too often, then insert those that are
 * missing: in that order, as a changed row would violate a unique index
 * otherwise.  Rows are compared as GROUP BY compares them (NULL is NULL, -0 is
 * 0), and counted, so that this holds for tables in which a row may occur
 * twice.
 */
static void
write_difference(ZoneRun *run, ZoneTableId id)
{
	ZoneReport *report = &run->report[id];
	const char *columns = stedi_zone_tables[id].column_names;
	const char *name = stedi_zone_query_table(run, id);
	const char *staged = staged_name(run, id);
	const char *covered = stedi_zone_keeps_rows(run) ? stedi_rule_covered(id) : NULL;

	stedi_progress_phase(STEDI_PHASE_COMPARING, run->relid[id]);
	stedi_zone_query_keep(run, "difference",
						  psprintf("SELECT %s, sum(n) AS surplus FROM ("
								   " SELECT %s, 1 AS n FROM %s"
								   " UNION ALL SELECT %s, -1 FROM %s) u"
								   " GROUP BY %s HAVING sum(n) <> 0",
								   columns, columns, staged, columns, name, columns));
	if (covered != NULL)
	{
		int64		n_kept;

		/* consent's sets are made of the tables as they are to be */
		stedi_zone_left_keep(run, id, "difference", "left_behind");
		covered = stedi_zone_query_expand(run,
										  psprintf("(%s IN (SELECT key FROM left_behind) AND %s)",
												   stedi_zone_tables[id].key, covered));
		n_kept = stedi_zone_query_count(psprintf("SELECT FROM difference WHERE surplus < 0 AND %s",
												 covered));
		stedi_zone_query_keep(run, "kept_difference",
							  psprintf("SELECT * FROM difference WHERE surplus > 0 OR NOT %s",
									   covered));
		stedi_zone_table_report_kept(id, n_kept);
		report->rows += n_kept;
	}
	stedi_progress_phase(STEDI_PHASE_WRITING, run->relid[id]);
	stedi_zone_query_keep(run, "gone_place",
						  psprintf("SELECT part, place FROM ("
								   "  SELECT t.tableoid AS part, t.ctid AS place, d.surplus,"
								   "    row_number() OVER (PARTITION BY d.a_row) AS copy"
								   "  FROM %s t JOIN (SELECT ROW(%s)::%s AS a_row, surplus"
								   "    FROM %s WHERE surplus < 0) d ON t = d.a_row) c"
								   " WHERE copy <= -surplus",
								   name, columns, name,
								   covered != NULL ? "kept_difference" : "difference"));
	report->rows_out += stedi_zone_delete(run, id, "gone_place");
	stedi_zone_query_drop(run);
	report->rows_in =
		stedi_zone_query_run(psprintf("INSERT INTO %s (%s) SELECT %s"
									  " FROM difference, generate_series(1, surplus)",
									  name, columns, columns));
	if (covered != NULL)
	{
		stedi_zone_query_drop(run);
		stedi_zone_query_drop(run);
	}
	stedi_zone_query_drop(run);
	stedi_zone_write_drop(run, id);
}

/*
 * Make the table.  A row may occur twice, so there is no key; a publication
 * needs one to delete by.
 */
static void
make_table(ZoneRun *run, ZoneTableId id)
{
	const char *name = stedi_zone_query_table(run, id);

	stedi_zone_query_run(psprintf("CREATE TABLE %s (%s)", name, stedi_zone_tables[id].columns));
	run->relid[id] = get_relname_relid(stedi_zone_tables[id].name, run->target);
	stedi_zone_query_run(psprintf("ALTER TABLE %s REPLICA IDENTITY FULL", name));
	stedi_zone_hold_table(run, id, ShareRowExclusiveLock);
}

/* Let the owner of the five tables read storage that is the bookkeeping owner's. */
static void
grant_storage(const ZoneRun *run, Oid storage)
{
	if (run->owner != run->store.owner)
		stedi_zone_query_run(psprintf("GRANT SELECT ON TABLE %s TO %s",
									  stedi_zone_query_relation(storage),
									  quote_identifier(GetUserNameFromId(run->owner, false))));
}

/* The options of a relation as the catalog has them, a copy; 0: there are none. */
static Datum
options_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Datum		options;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	options = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
	options = isnull ? (Datum) 0 : PointerGetDatum(DatumGetArrayTypePCopy(options));
	ReleaseSysCache(tuple);
	return options;
}

/*
 * New storage to take the table's place, made as make_new_heap() does, but out
 * of reach of the tables' owner until then: code of that role must not write
 * into pages that are being formed, nor take its name.
 */
static Oid
make_successor(ZoneRun *run, ZoneTableId id)
{
	Oid			relid = run->relid[id];
	Relation	relation = table_open(relid, ShareRowExclusiveLock);
	Form_pg_class form = relation->rd_rel;
	ZoneUser	user;
	Oid			successor;

	stedi_zone_store_enter(run, &user);
	successor = heap_create_with_catalog(psprintf("stedi_staged_%u", relid), run->store.schema,
										 form->reltablespace, InvalidOid, InvalidOid, InvalidOid,
										 run->store.owner, form->relam, RelationGetDescr(relation),
										 NIL, RELKIND_RELATION, form->relpersistence, false, false,
										 ONCOMMIT_NOOP, options_of(relid), false, true, true,
										 relid, NULL);
	CommandCounterIncrement();
	LockRelationOid(successor, ShareRowExclusiveLock);
	if (OidIsValid(form->reltoastrelid))
		NewHeapCreateToastTable(successor, options_of(form->reltoastrelid), ShareRowExclusiveLock,
								form->reltoastrelid);
	CommandCounterIncrement();
	grant_storage(run, successor);
	stedi_zone_store_leave(&user);
	table_close(relation, NoLock);
	(void) stedi_zone_hold(run, successor);
	return successor;
}

/* New storage to compare the table with: not logged, as it goes with the run. */
static Oid
make_counterpart(ZoneRun *run, ZoneTableId id)
{
	char	   *name = psprintf("stedi_staged_%u", run->relid[id]);
	ZoneUser	user;
	Oid			storage;

	stedi_zone_unlogged_note();
	stedi_zone_store_enter(run, &user);
	stedi_zone_query_run(psprintf("CREATE UNLOGGED TABLE %s (%s) USING heap",
								  quote_qualified_identifier(run->store.name, name),
								  stedi_zone_tables[id].columns));
	storage = get_relname_relid(name, run->store.schema);
	grant_storage(run, storage);
	stedi_zone_store_leave(&user);
	(void) stedi_zone_hold(run, storage);
	return storage;
}

/*
 * May the table's rows be put into new storage?  Rows that come that way fire
 * no trigger, meet no check or foreign key, and are not in the logical log.  So
 * a table that has any of these, or whose changes are followed, is changed by
 * DELETE and INSERT, as is one with partitions or parents, or of another
 * access method.  Indexes are made anew for storage that is swapped in; a new
 * table has none, unless an event trigger made it.
 */
static bool
may_fill(Oid relid, bool is_new)
{
	int64		n_obstacles;
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;
	bool		plain;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	form = (Form_pg_class) GETSTRUCT(tuple);
	plain = form->relkind == RELKIND_RELATION &&
		form->relpersistence != RELPERSISTENCE_TEMP &&
		form->relam == HEAP_TABLE_AM_OID && form->relchecks == 0 &&
		!(is_new && form->relhasindex) &&
		!form->relhastriggers && !form->relhasrules && !form->relhassubclass &&
		!form->relispartition;
	ReleaseSysCache(tuple);
	if (!plain)
		return false;
	stedi_zone_query_values(psprintf("SELECT (SELECT count(*) FROM pg_publication p"
									 "  WHERE p.puballtables OR EXISTS (SELECT FROM"
									 "  pg_get_publication_tables(p.pubname) t WHERE t.relid = %u))"
									 " + (SELECT count(*) FROM pg_replication_slots"
									 "  WHERE slot_type = 'logical'"
									 " AND database = current_database())",
									 relid), 1, &n_obstacles);
	return n_obstacles == 0;
}

Oid
stedi_zone_write_begin(ZoneRun *run, ZoneTableId id)
{
	ZoneReport *report = &run->report[id];
	bool		fill;

	run->is_new[id] = !OidIsValid(run->relid[id]);
	if (run->is_new[id])
		make_table(run, id);
	if (run->renew && OidIsValid(run->source[id].relid))
	{
		run->mode[id] = ZONE_MODE_RENEW;
		return run->staged[id] = make_counterpart(run, id);
	}
	fill = may_fill(run->relid[id], run->is_new[id]);
	run->mode[id] = fill && run->is_new[id] ? ZONE_MODE_FULL :
		fill && run->full_refresh && !stedi_zone_keeps_rows(run) ? ZONE_MODE_SWAP :
		ZONE_MODE_DIFFERENCE;
	if (run->mode[id] == ZONE_MODE_SWAP)
		stedi_zone_query_values(psprintf("SELECT count(*) FROM %s",
										 stedi_zone_query_table(run, id)), 1, &report->rows_out);
	run->staged[id] = run->mode[id] == ZONE_MODE_DIFFERENCE ? make_counterpart(run, id) :
		make_successor(run, id);
	return run->staged[id];
}

void
stedi_zone_write_query(ZoneRun *run, ZoneTableId id, const char *query)
{
	Relation	relation = table_open(run->staged[id], RowExclusiveLock);
	XLogRecPtr	redo = GetRedoRecPtr();
	ZoneHeap   *heap = stedi_zone_heap_open(relation, NULL, NULL);
	SPIExecuteOptions options = {0};
	int			result;

	stedi_progress_phase(STEDI_PHASE_WRITING, run->relid[id]);
	stedi_zone_pin_settings();
	options.dest = stedi_zone_heap_receiver(heap);
	result = SPI_execute_extended(query, &options);
	if (result < 0)
		elog(ERROR, "SPI_execute_extended returned %s", SPI_result_code_string(result));
	run->report[id].rows = stedi_zone_heap_close(heap);
	stedi_zone_heap_settle(relation, redo, run->report[id].rows);
	table_close(relation, NoLock);
	CommandCounterIncrement();
}

/* A brin index is for heaps; other storage may have none. */
static bool
is_heap(Oid relid)
{
	Relation	relation = table_open(relid, AccessShareLock);
	bool		answer = relation->rd_rel->relam == HEAP_TABLE_AM_OID;

	table_close(relation, NoLock);
	return answer;
}

void
stedi_zone_write_end(ZoneRun *run, ZoneTableId id)
{
	ZoneReport *report = &run->report[id];
	const char *lookup = stedi_zone_tables[id].lookup;

	if (run->mode[id] == ZONE_MODE_RENEW)
		return;
	report->mode = run->mode[id] == ZONE_MODE_DIFFERENCE && !run->is_new[id] ? "difference" :
		"full";
	if (run->mode[id] == ZONE_MODE_DIFFERENCE)
		write_difference(run, id);
	else
		report->rows_in = report->rows;
	if (run->mode[id] == ZONE_MODE_FULL)
		stedi_zone_swap_table(run, id);
	if (run->is_new[id] && lookup != NULL && is_heap(run->relid[id]))
	{
		stedi_progress_phase(STEDI_PHASE_INDEXING, run->relid[id]);
		stedi_zone_hold_release(run, run->relid[id]);
		stedi_zone_query_run(psprintf("CREATE INDEX ON %s USING brin (%s text_bloom_ops"
									  " (n_distinct_per_range = %d))"
									  " WITH (pages_per_range = %d, autosummarize = on)",
									  stedi_zone_query_table(run, id), lookup,
									  LOOKUP_KEYS, LOOKUP_PAGES));
		(void) stedi_zone_hold(run, run->relid[id]);
		stedi_progress_resume();
	}
	if (run->is_new[id])
		stedi_zone_table_comment_columns(run, id);
	if (run->is_new[id] || run->rule_changed ||
		(run->match_changed && id == ZONE_MACHINE_LEARNING_CURATED))
		stedi_zone_query_run(psprintf("COMMENT ON TABLE %s IS %s", stedi_zone_query_table(run, id),
									  quote_literal_cstr(stedi_zone_table_comment(run, id))));
	if (run->mode[id] != ZONE_MODE_SWAP && (report->rows_in > 0 || report->rows_out > 0))
		stedi_zone_stats_renew(run, id, report->rows_out);
}
