/*-------------------------------------------------------------------------
 *
 * landing.c
 *		Landing records with their places -> relations that SQL can read.
 *
 * A landing table shows the place of a record only where it has a column for
 * it, and shows no rejects.  This file reads the table through the scan, with
 * both, and keeps the records in a tuplestore, which spills to a temporary
 * file.
 *
 *-------------------------------------------------------------------------
 */
#include "zone/zone.h"

#include "access/table.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* What every kept relation begins with. */
enum
{
	COLUMN_OBJECT,
	COLUMN_REJECTED,
	COLUMN_LINE,
	COLUMN_OFFSET,
	COLUMN_LENGTH,
	COLUMN_REASON,
	COLUMN_RECORD,
	COLUMN_TEXT,
	COLUMN_BYTES,
	N_COMMON_COLUMNS
};

typedef struct Column
{
	const char *name;
	Oid			type;
} Column;

static const Column common_columns[N_COMMON_COLUMNS] = {
	{"object", INT4OID},
	{"rejected", BOOLOID},
	{"line", INT8OID},
	{"byte_offset", INT8OID},
	{"length", INT8OID},
	{"reason", TEXTOID},
	{"record", JSONBOID},
	{"text", TEXTOID},
	{"bytes", BYTEAOID},
};

static const Column object_columns[] = {
	{"object", INT4OID},
	{"key", TEXTOID},
	{"etag", TEXTOID},
};

/* The place of lastupdatedate in the columns of customers. */
#define CUSTOMER_UPDATED 6

/* One more than the landing table has: see column_of. */
#define MAX_COLUMNS (N_COMMON_COLUMNS + STEDI_N_CUSTOMER_COLUMNS + 1)

/* The reading of one landing table. */
typedef struct Reading
{
	const StediLandingTable *table;
	int			n_columns;		/* that are kept of it */
	bool		of_email;		/* whose a record is: an e-mail */
	const ZoneRecordWish *wish;
	StediScan  *scan;
	StediTimeUnit unit;			/* of the landing table's times */
	int			attno[MAX_COLUMNS]; /* of the table's columns; 0-based */
	Datum	   *row;			/* what the scan gives */
	bool	   *row_nulls;
	FmgrInfo	jsonb_input;
	Datum		values[MAX_COLUMNS];	/* what is kept of it */
	bool		nulls[MAX_COLUMNS];
} Reading;

static void
describe_column(TupleDesc tupdesc, int number, const char *name, Oid type)
{
	TupleDescInitEntry(tupdesc, number, name, type, -1, 0);
	if (type == TEXTOID)
		TupleDescInitEntryCollation(tupdesc, number, C_COLLATION_OID);
}

/*
 * A column that is kept of the landing table.  Behind those of customers, the
 * e-mail comes once more, as it landed.
 */
static const StediLandingColumn *
column_of(const Reading *reading, int i)
{
	return &reading->table->columns[i < reading->table->n_columns ? i : 0];
}

static TupleDesc
describe_records(const Reading *reading)
{
	TupleDesc	tupdesc = CreateTemplateTupleDesc(N_COMMON_COLUMNS + reading->n_columns);

	for (int i = 0; i < N_COMMON_COLUMNS; i++)
		describe_column(tupdesc, i + 1, common_columns[i].name, common_columns[i].type);
	for (int i = 0; i < reading->n_columns; i++)
		describe_column(tupdesc, N_COMMON_COLUMNS + i + 1,
						i == reading->table->n_columns ? "landed" :
						i == 0 && reading->of_email ? "email" : column_of(reading, i)->name,
						column_of(reading, i)->type);
	return tupdesc;
}

static TupleDesc
describe_objects(void)
{
	TupleDesc	tupdesc = CreateTemplateTupleDesc(lengthof(object_columns));

	for (int i = 0; i < lengthof(object_columns); i++)
		describe_column(tupdesc, i + 1, object_columns[i].name, object_columns[i].type);
	return tupdesc;
}

static int
compare_keys(const void *a, const void *b)
{
	const StediSlice *x = a;
	const StediSlice *y = b;
	int			order = memcmp(x->data, y->data, Min(x->len, y->len));

	return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

ZoneKeys *
stedi_zone_record_keys(const ZoneRun *run, const char *template)
{
	ZoneKeys   *keys = MemoryContextAllocZero(run->cxt, sizeof(ZoneKeys));
	int			result = SPI_execute(stedi_zone_query_expand(run, template), true, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute returned %s", SPI_result_code_string(result));
	keys->keys = MemoryContextAlloc(run->cxt, Max(SPI_processed, 1) * sizeof(StediSlice));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *key = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);

		if (key == NULL)
			continue;
		keys->keys[keys->n].data = MemoryContextStrdup(run->cxt, key);
		keys->keys[keys->n++].len = strlen(key);
	}
	SPI_freetuptable(SPI_tuptable);
	qsort(keys->keys, keys->n, sizeof(StediSlice), compare_keys);
	return keys;
}

/* Take over the columns, whose values are the scan's. */
static void
put_columns(Reading *reading, bool rejected)
{
	Datum	   *values = reading->values + N_COMMON_COLUMNS;
	bool	   *nulls = reading->nulls + N_COMMON_COLUMNS;

	for (int i = 0; i < reading->n_columns; i++)
	{
		values[i] = reading->row[reading->attno[i]];
		nulls[i] = reading->row_nulls[reading->attno[i]];
	}
	if (rejected && reading->table->columns == stedi_schema_customers && !nulls[CUSTOMER_UPDATED])
		nulls[CUSTOMER_UPDATED] = !stedi_judge_latest(&values[CUSTOMER_UPDATED], reading->unit);
	if (reading->of_email && !nulls[0])
	{
		values[0] =
			PointerGetDatum(stedi_consent_normalize(stedi_text_slice(DatumGetTextPP(values[0]))));
		nulls[0] = DatumGetPointer(values[0]) == NULL;
	}
}

/* Is it one of the records that are wished for? */
static bool
is_wanted(const Reading *reading)
{
	const ZoneRecordWish *wish = reading->wish;
	const Datum *values = reading->values + N_COMMON_COLUMNS;
	const bool *nulls = reading->nulls + N_COMMON_COLUMNS;

	if (wish->keys != NULL)
	{
		StediSlice	who;

		if (nulls[0])
			return false;
		who = stedi_text_slice((struct varlena *) DatumGetPointer(values[0]));
		if (bsearch(&who, wish->keys->keys, wish->keys->n, sizeof(StediSlice),
					compare_keys) == NULL)
			return false;
	}
	return wish->time == NULL ||
		(column_of(reading, 1)->role == STEDI_COLUMN_WHEN && !nulls[1] &&
		 DatumGetInt64(values[1]) == *wish->time);
}

static void
put_value(Reading *reading, int column, Datum value)
{
	reading->values[column] = value;
	reading->nulls[column] = false;
}

/*
 * Where the record is and what it says: as jsonb, where it is right and jsonb
 * takes it; else as it stands.
 */
static void
put_details(Reading *reading, bool rejected)
{
	const StediPlace *place = stedi_scan_place(reading->scan);
	StediSlice	record = stedi_scan_record(reading->scan);
	int			len;
	char	   *text = stedi_text_convert(record, &len);
	Datum		value;

	put_value(reading, COLUMN_LINE, Int64GetDatum((int64) place->line));
	put_value(reading, COLUMN_LENGTH, Int64GetDatum((int64) record.len));
	if (rejected)
		put_value(reading, COLUMN_REASON,
				  CStringGetTextDatum(stedi_scan_reason(stedi_scan_reject(reading->scan))));
	if (text == NULL)
	{
		bytea	   *bytes = palloc(record.len + VARHDRSZ);

		SET_VARSIZE(bytes, record.len + VARHDRSZ);
		memcpy(VARDATA(bytes), record.data, record.len);
		put_value(reading, COLUMN_BYTES, PointerGetDatum(bytes));
	}
	else if (!rejected &&
			 stedi_compat_input(&reading->jsonb_input, text, JSONBOID, -1, &value))
		put_value(reading, COLUMN_RECORD, value);
	else
		put_value(reading, COLUMN_TEXT, PointerGetDatum(cstring_to_text_with_len(text, len)));
}

/* The record that was read last, if it is wished for. */
static bool
put_record(Reading *reading, bool rejected)
{
	const StediObject *objects = stedi_scan_listing(reading->scan)->objects;

	memset(reading->nulls, true, sizeof(reading->nulls));
	put_columns(reading, rejected);
	if (!is_wanted(reading))
		return false;
	put_value(reading, COLUMN_OBJECT,
			  Int32GetDatum((int32) (stedi_scan_place(reading->scan)->object - objects)));
	put_value(reading, COLUMN_REJECTED, BoolGetDatum(rejected));
	if (reading->wish->details || reading->wish->places)
		put_value(reading, COLUMN_OFFSET,
				  Int64GetDatum((int64) stedi_scan_place(reading->scan)->offset));
	if (reading->wish->details)
		put_details(reading, rejected);
	return true;
}

/* Read it all into the store. */
static void
read_records(Reading *reading, Tuplestorestate *store, TupleDesc tupdesc)
{
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "stedi landing record",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller;
	StediScanResult result;

	while ((result = stedi_scan_next(reading->scan, reading->row,
									 reading->row_nulls)) != STEDI_SCAN_END)
	{
		if (result == STEDI_SCAN_REJECT && !reading->wish->rejects)
			continue;
		caller = MemoryContextSwitchTo(row_cxt);
		if (put_record(reading, result == STEDI_SCAN_REJECT))
			tuplestore_putvalues(store, tupdesc, reading->values, reading->nulls);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(row_cxt);
	}
	MemoryContextDelete(row_cxt);
}

/*
 * The file belongs to the wish's owner, which may outlive the subtransaction.
 */
static Tuplestorestate *
begin_store(const ZoneRun *run, const ZoneRecordWish *wish)
{
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	ResourceOwner owner = CurrentResourceOwner;
	Tuplestorestate *store;

	if (wish->owner != NULL)
		CurrentResourceOwner = wish->owner;
	store = tuplestore_begin_heap(false, false, ZONE_KEPT_MEMORY);
	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(caller);
	return store;
}

/* The objects of a scan, as a relation. */
static void
keep_objects(ZoneRun *run, const char *name, const ZoneRecordWish *wish,
			 const StediListing *listing)
{
	TupleDesc	tupdesc = describe_objects();
	Tuplestorestate *store = begin_store(run, wish);

	for (int i = 0; i < listing->n_objects; i++)
	{
		Datum		values[lengthof(object_columns)];
		bool		nulls[lengthof(object_columns)] = {false};

		values[0] = Int32GetDatum(i);
		values[1] = stedi_text_name(listing->objects[i].key);
		values[2] = stedi_text_name(listing->objects[i].etag);
		tuplestore_putvalues(store, tupdesc, values, nulls);
		pfree(DatumGetPointer(values[1]));
		pfree(DatumGetPointer(values[2]));
	}
	stedi_zone_query_register(run, psprintf("%s_object", name), store, tupdesc);
}

void
stedi_zone_record_keep(ZoneRun *run, const char *name, ZoneTableId id, const ZoneRecordWish *wish)
{
	Reading		reading = {.table = stedi_schema_find(stedi_zone_tables[id].landing),.wish = wish};
	Relation	relation = table_open(run->source[id].relid, AccessShareLock);
	TupleDesc	landing = RelationGetDescr(relation);
	TupleDesc	tupdesc;
	Tuplestorestate *store = begin_store(run, wish);
	bool	   *wanted = palloc(landing->natts * sizeof(bool));

	reading.of_email = column_of(&reading, 0)->need == STEDI_NEED_EMAIL;
	reading.n_columns = reading.table->n_columns +
		(reading.table->columns == stedi_schema_customers ? 1 : 0);
	tupdesc = describe_records(&reading);
	for (int i = 0; i < reading.n_columns; i++)
		reading.attno[i] = stedi_option_find_column(RelationGetRelid(relation),
													column_of(&reading, i)->name,
													column_of(&reading, i)->type) - 1;
	reading.unit = stedi_option_get_table(RelationGetRelid(relation))->clock.unit;
	fmgr_info(F_JSONB_IN, &reading.jsonb_input);
	reading.row = palloc(landing->natts * sizeof(Datum));
	reading.row_nulls = palloc(landing->natts * sizeof(bool));
	memset(wanted, true, landing->natts * sizeof(bool));
	reading.scan = stedi_scan_open(RelationGetRelid(relation), GetUserId(), landing, wanted,
								   STEDI_SCAN_JUDGE | STEDI_SCAN_GIVE_REJECTS);
	if (wish->listing != NULL)
		stedi_scan_set_listing(reading.scan, wish->listing);
	PG_TRY();
	{
		read_records(&reading, store, tupdesc);
	}
	PG_CATCH();
	{
		if (wish->reading != NULL)
			*wish->reading = stedi_scan_object(reading.scan);
		if (wish->owner != NULL)
			tuplestore_end(store);
		PG_RE_THROW();
	}
	PG_END_TRY();
	stedi_zone_query_register(run, name, store, tupdesc);
	keep_objects(run, name, wish, stedi_scan_listing(reading.scan));
	stedi_scan_close(reading.scan);
	table_close(relation, NoLock);
}
