/*-------------------------------------------------------------------------
 *
 * rows.c
 *		The rows of one of the five tables, one after the other.
 *
 * A run reads two or three columns of hundreds of thousands of rows, and
 * their hashes.  A table scan does so at a fraction of the cost of a query.
 *
 *-------------------------------------------------------------------------
 */
#include "zone/zone.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_inherits.h"
#include "executor/tuptable.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

void
stedi_zone_table_open(ZoneTableRows *rows, Oid relid, const char *const *columns, int n_columns)
{
	Assert(n_columns <= ZONE_ROW_COLUMNS);
	memset(rows, 0, sizeof(*rows));
	rows->columns = columns;
	rows->n_columns = rows->n_eager = n_columns;

	/* a partitioned table's rows are in its partitions */
	rows->relids = find_all_inheritors(relid, AccessShareLock, NULL);
	rows->snapshot = RegisterSnapshot(GetLatestSnapshot());
}

/* Rows are read from storage alone: they could not be missed elsewhere in silence. */
static void
check_part(Relation relation)
{
	if (relation->rd_tableam == NULL)
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("part \"%s\" of a zone table is not a plain table",
					   RelationGetRelationName(relation)));
}

/* Where a column is, counted from 0; an error when its type is another than it should be. */
static int
find_column(Relation relation, const char *name)
{
	TupleDesc	tupdesc = RelationGetDescr(relation);

	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(tupdesc, i);

		if (column->attisdropped || namestrcmp(&column->attname, name) != 0)
			continue;
		stedi_zone_check_column(column);
		return i;
	}
	ereport(ERROR,
			errcode(ERRCODE_UNDEFINED_COLUMN),
			errmsg("table \"%s\" has no column \"%s\"", RelationGetRelationName(relation), name));
}

/* Begin to read the next table that has storage; false when there is none. */
static bool
open_next(ZoneTableRows *rows)
{
	while (rows->relids != NIL)
	{
		Oid			relid = linitial_oid(rows->relids);

		rows->relids = list_delete_first(rows->relids);
		rows->relation = table_open(relid, NoLock);
		if (rows->relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		{
			table_close(rows->relation, NoLock);
			rows->relation = NULL;
			continue;
		}
		check_part(rows->relation);
		rows->n_attributes = 0;
		for (int i = 0; i < rows->n_columns; i++)
		{
			rows->attno[i] = find_column(rows->relation, rows->columns[i]);
			rows->types[i] =
				TupleDescAttr(RelationGetDescr(rows->relation), rows->attno[i])->atttypid;
			if (i < rows->n_eager)
				rows->n_attributes = Max(rows->n_attributes, rows->attno[i] + 1);
		}
		rows->slot = table_slot_create(rows->relation, NULL);
		rows->scan = table_beginscan(rows->relation, rows->snapshot, 0, NULL);
		return true;
	}
	return false;
}

/* The present table has been read. */
static void
close_present(ZoneTableRows *rows)
{
	table_endscan(rows->scan);
	ExecDropSingleTupleTableSlot(rows->slot);
	table_close(rows->relation, NoLock);
	rows->relation = NULL;
}

bool
stedi_zone_table_next(ZoneTableRows *rows)
{
	CHECK_FOR_INTERRUPTS();
	for (;;)
	{
		if (rows->relation == NULL && !open_next(rows))
			return false;
		if (table_scan_getnextslot(rows->scan, ForwardScanDirection, rows->slot))
			break;
		close_present(rows);
	}
	slot_getsomeattrs(rows->slot, rows->n_attributes);
	for (int i = 0; i < rows->n_eager; i++)
	{
		rows->values[i] = rows->slot->tts_values[rows->attno[i]];
		rows->nulls[i] = rows->slot->tts_isnull[rows->attno[i]];
	}
	return true;
}

void
stedi_zone_table_rest(ZoneTableRows *rows)
{
	for (int i = rows->n_eager; i < rows->n_columns; i++)
		rows->values[i] = slot_getattr(rows->slot, rows->attno[i] + 1, &rows->nulls[i]);
}

void
stedi_zone_table_close(ZoneTableRows *rows)
{
	if (rows->relation != NULL)
		close_present(rows);
	UnregisterSnapshot(rows->snapshot);
}

void
stedi_zone_table_put(Tuplestorestate *store, TupleDesc tupdesc, Datum *values, bool *nulls)
{
	for (int i = 0; i < tupdesc->natts; i++)
		if (!nulls[i] && TupleDescAttr(tupdesc, i)->attlen == -1 &&
			VARATT_IS_EXTERNAL(DatumGetPointer(values[i])))
			values[i] = PointerGetDatum(PG_DETOAST_DATUM(values[i]));
	tuplestore_putvalues(store, tupdesc, values, nulls);
}

uint64
stedi_zone_table_person(const ZoneRun *run, const ZoneTableRows *rows, int column)
{
	uint64		hash = stedi_zone_table_hash(run, rows, column);

	if (hash == 0)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("table \"%s\" has a row without an e-mail, which no run has written",
					   RelationGetRelationName(rows->relation)),
				errdetail("Whose readings have to be taken out could not be told by it."),
				errhint("Call %s, which makes the tables anew.",
						stedi_zone_query_call(run, "materialize", ", full_refresh => true")));
	return hash;
}

uint64
stedi_zone_table_hash(const ZoneRun *run, const ZoneTableRows *rows, int column)
{
	StediSlice	name;

	if (rows->nulls[column])
		return 0;
	name = stedi_text_slice(DatumGetTextPP(rows->values[column]));
	return name.len > 0 ? stedi_consent_name_hash(run->seed, name, false) : 0;
}
