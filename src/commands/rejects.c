/*-------------------------------------------------------------------------
 *
 * rejects.c
 *		SQL functions over the records that a landing table does not show.
 *
 * rejects() reads the objects again and stores nothing. customer_records()
 * shows every record that decides about a customer, including rejected ones,
 * as far as they can be read.
 *
 *-------------------------------------------------------------------------
 */
#include "scan/scan.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(rejects);
PG_FUNCTION_INFO_V1(customer_records);

/* Open a landing table that the caller may read. */
static Relation
open_landing_table(Oid relid)
{
	Relation	relation = try_table_open(relid, AccessShareLock);

	if (relation == NULL)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_TABLE),
				errmsg("relation with OID %u does not exist", relid));
	if (!stedi_option_is_landing(relid))
		ereport(ERROR,
				errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("\"%s\" is not a foreign table of foreign-data wrapper \"%s\"",
					   RelationGetRelationName(relation), STEDI_FDW_NAME),
				errhint("Landing tables are made by IMPORT FOREIGN SCHEMA landing or CREATE "
						"FOREIGN TABLE."));
	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		stedi_cure_denied(OBJECT_FOREIGN_TABLE, relid, "SELECT", GetUserId());
	return relation;
}

/* Begin to read a landing table with its rejects, all columns judged. */
static StediScan *
open_judged_scan(Relation relation)
{
	TupleDesc	tupdesc = RelationGetDescr(relation);
	bool	   *wanted = palloc(tupdesc->natts * sizeof(bool));

	memset(wanted, true, tupdesc->natts * sizeof(bool));
	return stedi_scan_open(RelationGetRelid(relation), GetUserId(), tupdesc, wanted,
						   STEDI_SCAN_JUDGE | STEDI_SCAN_GIVE_REJECTS);
}

/*
 * rejects(landing_table regclass)
 *		-> (object text, line bigint, byte_offset bigint, reason text, record bytea)
 */
Datum
rejects(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Relation	relation = open_landing_table(PG_GETARG_OID(0));
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "stedi reject",
												  ALLOCSET_DEFAULT_SIZES);
	StediScan  *scan;
	Datum	   *row;
	bool	   *row_nulls;
	StediScanResult result;

	InitMaterializedSRF(fcinfo, 0);
	scan = open_judged_scan(relation);
	row = palloc(RelationGetDescr(relation)->natts * sizeof(Datum));
	row_nulls = palloc(RelationGetDescr(relation)->natts * sizeof(bool));
	while ((result = stedi_scan_next(scan, row, row_nulls)) != STEDI_SCAN_END)
	{
		const StediReject *reject = stedi_scan_reject(scan);
		MemoryContext caller;
		Datum		values[5];
		bool		nulls[5] = {false};
		bytea	   *record;

		if (result != STEDI_SCAN_REJECT)
			continue;
		caller = MemoryContextSwitchTo(row_cxt);
		record = palloc(reject->record.len + VARHDRSZ);
		SET_VARSIZE(record, reject->record.len + VARHDRSZ);
		memcpy(VARDATA(record), reject->record.data, reject->record.len);
		values[0] = stedi_text_name(reject->place.object->key);
		values[1] = Int64GetDatum((int64) reject->place.line);
		values[2] = Int64GetDatum((int64) reject->place.offset);
		values[3] = CStringGetTextDatum(stedi_scan_reason(reject));
		values[4] = PointerGetDatum(record);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(row_cxt);
	}
	stedi_scan_close(scan);
	table_close(relation, AccessShareLock);
	PG_RETURN_NULL();
}

/*
 * customer_records(landing_table regclass) -> one row a record, rejected ones
 * with what of them can be read; email in its normal form, NULL when there is
 * none.
 */
Datum
customer_records(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Relation	relation = open_landing_table(PG_GETARG_OID(0));
	int			attno[STEDI_N_CUSTOMER_COLUMNS];
	StediTimeUnit unit = stedi_option_get_table(RelationGetRelid(relation))->clock.unit;
	StediScan  *scan;
	Datum	   *row;
	bool	   *row_nulls;
	StediScanResult result;

	for (int i = 0; i < STEDI_N_CUSTOMER_COLUMNS; i++)
		attno[i] = stedi_option_find_column(RelationGetRelid(relation),
											stedi_schema_customers[i].name,
											stedi_schema_customers[i].type) - 1;
	InitMaterializedSRF(fcinfo, 0);
	scan = open_judged_scan(relation);
	row = palloc(RelationGetDescr(relation)->natts * sizeof(Datum));
	row_nulls = palloc(RelationGetDescr(relation)->natts * sizeof(bool));
	while ((result = stedi_scan_next(scan, row, row_nulls)) != STEDI_SCAN_END)
	{
		Datum		values[STEDI_N_CUSTOMER_COLUMNS + 2];
		bool		nulls[STEDI_N_CUSTOMER_COLUMNS + 2];
		bool		rejected = (result == STEDI_SCAN_REJECT);

		for (int i = 0; i < STEDI_N_CUSTOMER_COLUMNS; i++)
		{
			values[i] = row[attno[i]];
			nulls[i] = row_nulls[attno[i]];
			if (rejected && !nulls[i] &&
				strcmp(stedi_schema_customers[i].name, "lastupdatedate") == 0)
				nulls[i] = !stedi_judge_latest(&values[i], unit);
		}
		values[STEDI_N_CUSTOMER_COLUMNS] = BoolGetDatum(rejected);
		nulls[STEDI_N_CUSTOMER_COLUMNS] = false;
		values[STEDI_N_CUSTOMER_COLUMNS + 1] =
			BoolGetDatum(rejected && stedi_scan_may_hide(stedi_scan_reject(scan)));
		nulls[STEDI_N_CUSTOMER_COLUMNS + 1] = false;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	stedi_scan_close(scan);
	table_close(relation, AccessShareLock);
	PG_RETURN_NULL();
}
