/*-------------------------------------------------------------------------
 *
 * customers.c
 *		The customer records that matter to the run.
 *
 * A run that rebuilds reads all records.  A run that renews reads the objects
 * that are new or have changed, and those in which a date has come into force.
 * The people whom these name are *affected*.  All other records of these people
 * have to be known, too; and of each device that they name or named, everyone
 * whom it was ever said to belong to, with all of their records.  The
 * bookkeeping has the names that each object holds.  They tell which objects to
 * read, until nothing is missing.
 *
 * Most changes need none of that.  A customer's row in customer_trusted is what
 * the customer's newest record says.  When the new records are whole and name
 * the same device, and that device is no other customer's, the row *stands in*
 * for all older records: a withdrawal then reads one object, and no other.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "run/customers.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* For qsort and bsearch by who. */
static int
compare_before(const void *a, const void *b)
{
	uint64		one = ((const ZoneBefore *) a)->who;
	uint64		other = ((const ZoneBefore *) b)->who;

	return (one > other) - (one < other);
}

static ZoneBefore *
find_before(const ZoneCustomers *customers, uint64 who)
{
	ZoneBefore	wanted = {.who = who};

	if (customers->n_before == 0)
		return NULL;
	return bsearch(&wanted, customers->before, customers->n_before, sizeof(ZoneBefore),
				   compare_before);
}

/* Keep a row of customer_trusted as a record that stands in for those older. */
static void
keep_row(ZoneRun *run, const ZoneTableRows *rows, uint64 who)
{
	ZoneCustomers *customers = run->customers;
	ZoneBefore *before;
	Datum		values[N_RECORD_COLUMNS];
	bool		nulls[N_RECORD_COLUMNS] = {false};

	for (int i = 0; i < STEDI_N_CUSTOMER_COLUMNS; i++)
	{
		nulls[i] = rows->nulls[i];
		values[i] = rows->values[i];
		if (nulls[i])
			continue;
		if (rows->types[i] == TIMESTAMPTZOID)
			values[i] = Int64GetDatum(stedi_time_ms(DatumGetTimestampTz(values[i])));
		else if (rows->types[i] == DATEOID)
			values[i] = CStringGetTextDatum(stedi_birthday_text(DatumGetDateADT(values[i])));
	}
	if (customers->n_before == customers->before_room)
	{
		customers->before_room = Max(64, customers->before_room * 2);
		customers->before = customers->before == NULL ?
			MemoryContextAlloc(run->cxt, customers->before_room * sizeof(ZoneBefore)) :
			repalloc_huge(customers->before, customers->before_room * sizeof(ZoneBefore));
	}
	before = &customers->before[customers->n_before++];
	memset(before, 0, sizeof(*before));
	before->who = who;
	before->device = stedi_zone_table_hash(run, rows, CUSTOMER_SERIAL);
	before->updated = nulls[CUSTOMER_UPDATED] ? PG_INT64_MAX :
		DatumGetInt64(values[CUSTOMER_UPDATED]);
	values[RECORD_REJECTED] = values[RECORD_MAY_HIDE] = BoolGetDatum(false);
	values[RECORD_WHO] = Int64GetDatum((int64) who);
	values[RECORD_DEVICE] = Int64GetDatum((int64) before->device);
	nulls[RECORD_OBJECT] = nulls[RECORD_PLACE] = true;
	values[RECORD_STANDS_IN] = BoolGetDatum(true);
	stedi_zone_table_put(customers->rows, customers->tupdesc, values, nulls);

	values[0] = Int64GetDatum((int64) who);
	values[1] = ObjectIdGetDatum(RelationGetRelid(rows->relation));
	values[2] = PointerGetDatum(&rows->slot->tts_tid);
	nulls[0] = nulls[1] = nulls[2] = false;
	tuplestore_putvalues(customers->places, customers->places_desc, values, nulls);
}

/* Find the rows of customer_trusted of those affected. */
static void
find_rows(ZoneRun *run)
{
	ZoneCustomers *customers = run->customers;
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "stedi row",
												  ALLOCSET_DEFAULT_SIZES);
	const char *columns[STEDI_N_CUSTOMER_COLUMNS];
	ZoneTableRows rows;

	for (int i = 0; i < STEDI_N_CUSTOMER_COLUMNS; i++)
		columns[i] = stedi_schema_customers[i].name;
	stedi_zone_table_open(&rows, run->relid[ZONE_CUSTOMER_TRUSTED], columns,
						  STEDI_N_CUSTOMER_COLUMNS);
	while (stedi_zone_table_next(&rows))
	{
		MemoryContext caller = MemoryContextSwitchTo(row_cxt);
		uint64		who = stedi_zone_table_person(run, &rows, CUSTOMER_EMAIL);

		if (stedi_hashes_has(&run->affected, who))
			keep_row(run, &rows, who);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(row_cxt);
	}
	stedi_zone_table_close(&rows);
	MemoryContextDelete(row_cxt);
	if (customers->n_before > 1)
		qsort(customers->before, customers->n_before, sizeof(ZoneBefore), compare_before);
}

/*
 * People of whom it is not enough to read the new records: those in objects
 * that have changed or vanished, and those of forget and unforget.
 */
static void
note_gone(ZoneRun *run)
{
	ZoneCustomers *customers = run->customers;
	StediHashes gone;
	ZoneQueryRows rows;
	Datum		name;
	bool		isnull;

	stedi_hashes_begin(&gone);
	(void) stedi_zone_object_names(run, ZONE_CUSTOMER_TRUSTED, ZONE_NAMES_GONE, &gone,
								   &customers->claimed);
	stedi_zone_store_query(run, &rows, "SELECT name FROM {books}.stedi_forgotten"
						   " WHERE pending AND name IS NOT NULL",
						   "l");
	while (stedi_zone_query_fetch(&rows, 1, &name, &isnull))
		(void) stedi_hashes_add(&gone, (uint64) DatumGetInt64(name));
	stedi_zone_query_close(&rows);
	for (uint32 slot = 0; slot < gone.n_slots; slot++)
		if (STEDI_HASHES_AT(&gone, slot) != 0)
		{
			(void) stedi_hashes_add(&run->affected, STEDI_HASHES_AT(&gone, slot));
			(void) stedi_hashes_add(&customers->needed, STEDI_HASHES_AT(&gone, slot));
		}
}

/* Devices that are not simply their holder's. */
static void
read_exceptional(ZoneRun *run)
{
	ZoneQueryRows rows;
	Datum		device;
	bool		isnull;

	stedi_zone_store_query(run, &rows,
						   "SELECT device FROM {books}.stedi_device WHERE device IS NOT NULL", "l");
	while (stedi_zone_query_fetch(&rows, 1, &device, &isnull))
		(void) stedi_hashes_add(&run->customers->exceptional, (uint64) DatumGetInt64(device));
	stedi_zone_query_close(&rows);
}

/*
 * Find those affected of whom all records must be read, as no row can stand
 * in.
 */
static void
choose_needed(ZoneRun *run)
{
	ZoneCustomers *customers = run->customers;

	for (uint64 i = 0; i < customers->n_claims; i++)
	{
		const ZoneClaim *claim = &customers->claims[i];
		ZoneBefore *before = find_before(customers, claim->who);

		if (before == NULL)
			continue;
		before->seen = true;
		if (!claim->fresh || claim->rejected || claim->device == 0 ||
			claim->updated > run->now_ms || claim->updated == before->updated ||
			claim->device != before->device ||
			stedi_hashes_has(&customers->exceptional, claim->device))
			before->needed = true;
	}
	for (uint32 slot = 0; slot < run->affected.n_slots; slot++)
	{
		uint64		who = STEDI_HASHES_AT(&run->affected, slot);
		const ZoneBefore *before = who != 0 ? find_before(customers, who) : NULL;

		if (who != 0 && (before == NULL || before->needed || !before->seen))
			(void) stedi_hashes_add(&customers->needed, who);
	}
}

/*
 * Add the devices of those affected, and who else has a claim to these
 * devices; false when that adds nothing.
 */
static bool
follow_claims(ZoneRun *run)
{
	ZoneCustomers *customers = run->customers;
	bool		added = false;

	for (uint64 i = 0; i < customers->n_claims; i++)
	{
		const ZoneClaim *claim = &customers->claims[i];

		CHECK_FOR_INTERRUPTS();
		if (claim->device == 0)
			continue;
		if (stedi_hashes_has(&customers->needed, claim->who) &&
			stedi_hashes_has(&run->affected, claim->who))
			added |= stedi_hashes_add(&customers->claimed, claim->device);
		if (stedi_hashes_has(&customers->claimed, claim->device))
			added |= stedi_hashes_add(&customers->needed, claim->who);
	}
	return added;
}

/* Copy what matters of the records read, and the rows that stand in. */
static void
keep_records(ZoneRun *run)
{
	ZoneCustomers *customers = run->customers;
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	Tuplestorestate *kept = tuplestore_begin_heap(true, false, ZONE_KEPT_MEMORY);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(customers->tupdesc, &TTSOpsMinimalTuple);

	MemoryContextSwitchTo(caller);
	tuplestore_rescan(customers->records);
	for (uint64 i = 0; tuplestore_gettupleslot(customers->records, true, false, slot); i++)
	{
		uint64		who = customers->claims[i].who;

		CHECK_FOR_INTERRUPTS();
		if (stedi_hashes_has(&customers->needed, who) || stedi_hashes_has(&run->affected, who) ||
			(customers->claims[i].rejected && customers->claims[i].fresh))
			tuplestore_puttupleslot(kept, slot);
	}
	tuplestore_rescan(customers->rows);
	while (tuplestore_gettupleslot(customers->rows, true, false, slot))
	{
		bool		isnull;
		uint64		who = (uint64) DatumGetInt64(slot_getattr(slot, RECORD_WHO + 1, &isnull));

		CHECK_FOR_INTERRUPTS();
		if (stedi_hashes_has(&customers->needed, who))
			continue;
		(void) stedi_hashes_add(&customers->verdict,
								(uint64) DatumGetInt64(slot_getattr(slot, RECORD_DEVICE + 1,
																	&isnull)));
		tuplestore_puttupleslot(kept, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(customers->records);
	tuplestore_end(customers->rows);
	customers->records = kept;
}

/* Read what has changed, and whatever else has to be known for it. */
static void
read_changes(ZoneRun *run)
{
	ZoneCustomers *customers = run->customers;
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);

	stedi_hashes_begin(&run->affected);
	stedi_hashes_begin(&customers->needed);
	stedi_hashes_begin(&customers->claimed);
	stedi_hashes_begin(&customers->verdict);
	stedi_hashes_begin(&customers->exceptional);
	customers->rows = tuplestore_begin_heap(true, false, ZONE_KEPT_MEMORY);
	customers->places = tuplestore_begin_heap(true, false, ZONE_KEPT_MEMORY);
	customers->places_desc = CreateTemplateTupleDesc(3);
	TupleDescInitEntry(customers->places_desc, 1, "who", INT8OID, -1, 0);
	TupleDescInitEntry(customers->places_desc, 2, "part", OIDOID, -1, 0);
	TupleDescInitEntry(customers->places_desc, 3, "place", TIDOID, -1, 0);
	MemoryContextSwitchTo(caller);

	note_gone(run);
	stedi_zone_object_want_new(run, ZONE_CUSTOMER_TRUSTED);
	stedi_zone_customer_objects(run);
	if (run->affected.n > 0)
	{
		read_exceptional(run);
		find_rows(run);
		choose_needed(run);
		do
		{
			while (follow_claims(run))
				;
			stedi_zone_object_want(run, ZONE_CUSTOMER_TRUSTED, &customers->needed,
								   &customers->claimed);
			stedi_zone_customer_objects(run);
		} while (follow_claims(run));
	}
	keep_records(run);
	for (uint32 slot = 0; slot < customers->claimed.n_slots; slot++)
		if (STEDI_HASHES_AT(&customers->claimed, slot) != 0)
			(void) stedi_hashes_add(&customers->verdict,
									STEDI_HASHES_AT(&customers->claimed, slot));
	stedi_zone_query_keep_hashes(run, "affected", &run->affected);
	stedi_zone_query_keep_hashes(run, "claimed", &customers->claimed);
	stedi_zone_query_keep_hashes(run, "verdict", &customers->verdict);
	stedi_zone_query_register(run, "before", customers->places, customers->places_desc);
}

void
stedi_zone_customer_read(ZoneRun *run)
{
	ZoneCustomers *customers = stedi_zone_customer_begin(run);

	if (run->renew)
		read_changes(run);
	else
	{
		stedi_zone_object_want_all(run, ZONE_CUSTOMER_TRUSTED);
		stedi_zone_customer_objects(run);
	}
	stedi_zone_lack_warn(customers->lack, customers->opts, !run->renew);
	table_close(customers->relation, NoLock);
	stedi_zone_query_register(run, "customer_record", customers->records, customers->tupdesc);
}
