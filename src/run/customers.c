/*-------------------------------------------------------------------------
 *
 * customers.c
 *		Customer objects to the customer records that matter to the run.
 *
 * A run that rebuilds reads all.  One that renews reads the objects that are
 * new or have changed, and those in which a date has come into force.  The
 * people whom these name are *affected*.  Of each of them all other records
 * have to be known, too, and of each device that they name or named all whom
 * it was ever said to belong to, with all of their records: the objects that
 * may hold them are told by the names that are kept of each, and read until
 * nothing is missing.
 *
 * Most changes need none of that.  Somebody who is in customer_trusted stands
 * there as the newest record says.  When the new ones are whole, name the same
 * device, and that device is nobody else's, the row in the table *stands in*
 * for all older records: a withdrawal is one object to read, and no other.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "run/run.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* The columns of the relation "customer_record" behind those of customers. */
enum
{
	RECORD_REJECTED = STEDI_N_CUSTOMER_COLUMNS,
	RECORD_MAY_HIDE,
	RECORD_WHO,					/* hash of the e-mail; 0: none */
	RECORD_DEVICE,				/* hash of the serial number; 0: none */
	RECORD_OBJECT,				/* its number in the listing */
	RECORD_PLACE,				/* byte offset there */
	RECORD_STANDS_IN,			/* it is the table's row, not a record */
	N_RECORD_COLUMNS
};

enum
{
	CUSTOMER_EMAIL = 0,			/* places in stedi_schema_customers */
	CUSTOMER_SERIAL = 4,
	CUSTOMER_REGISTERED = 5,
	CUSTOMER_UPDATED = 6,
	CUSTOMER_RESEARCH = 7,
};

/* What of a record tells whom else the run must look at. */
typedef struct ZoneClaim
{
	uint64		who;
	uint64		device;
	int64		updated;		/* PG_INT64_MAX: not dated */
	bool		rejected;
	bool		fresh;			/* its object is new, or has changed */
} ZoneClaim;

/* A row of customer_trusted of somebody who is affected. */
typedef struct ZoneBefore
{
	uint64		who;
	uint64		device;
	int64		updated;
	bool		needed;			/* it cannot stand in */
	bool		seen;			/* a new record names who */
} ZoneBefore;

struct ZoneCustomers
{
	Relation	relation;
	const StediOptions *opts;	/* of the landing table */
	ZoneLack   *lack;
	int			attno[STEDI_N_CUSTOMER_COLUMNS];
	TupleDesc	tupdesc;		/* of the records */
	Tuplestorestate *records;
	ZoneClaim  *claims;			/* owned; one a record */
	uint64		n_claims;
	uint64		claims_room;

	/* the object that is read */
	int			object;			/* its number in the scan's listing */
	StediHashes people;
	StediHashes devices;
	int64		due_ms;

	/* renewing */
	StediHashes needed;			/* people of whom every record must be known */
	StediHashes claimed;		/* devices of which every claim must */
	StediHashes verdict;		/* those, and devices of rows that stand in */
	StediHashes exceptional;	/* devices that are not simply their holder's */
	ZoneBefore *before;			/* sorted by who */
	uint64		n_before;
	uint64		before_room;
	Tuplestorestate *rows;		/* those of before, as records */
	Tuplestorestate *places;	/* and where they are */
	TupleDesc	places_desc;
};

static TupleDesc
make_record_desc(void)
{
	static const struct
	{
		const char *name;
		Oid			type;
	}			more[] = {
		{"rejected", BOOLOID},
		{"may_hide_others", BOOLOID},
		{"who", INT8OID},
		{"device", INT8OID},
		{"object", INT4OID},
		{"place", INT8OID},
		{"stands_in", BOOLOID},
	};
	TupleDesc	tupdesc = CreateTemplateTupleDesc(N_RECORD_COLUMNS);

	for (int i = 0; i < N_RECORD_COLUMNS; i++)
		if (i < STEDI_N_CUSTOMER_COLUMNS)
			TupleDescInitEntry(tupdesc, i + 1, stedi_schema_customers[i].name,
							   stedi_schema_customers[i].type, -1, 0);
		else
			TupleDescInitEntry(tupdesc, i + 1, more[i - STEDI_N_CUSTOMER_COLUMNS].name,
							   more[i - STEDI_N_CUSTOMER_COLUMNS].type, -1, 0);
	return tupdesc;
}

static ZoneCustomers *
begin_customers(ZoneRun *run)
{
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	ZoneCustomers *customers = palloc0(sizeof(ZoneCustomers));
	Oid			relid = run->source[ZONE_CUSTOMER_TRUSTED].relid;

	for (int i = 0; i < STEDI_N_CUSTOMER_COLUMNS; i++)
		customers->attno[i] = stedi_option_find_column(relid, stedi_schema_customers[i].name,
													   stedi_schema_customers[i].type) - 1;
	customers->relation = table_open(relid, AccessShareLock);
	customers->opts = stedi_option_get_table(relid);
	customers->lack = stedi_zone_lack_begin(run->cxt, relid, customers->attno);
	customers->tupdesc = make_record_desc();
	customers->records = tuplestore_begin_heap(true, false, ZONE_KEPT_MEMORY);
	stedi_hashes_begin(&customers->people);
	stedi_hashes_begin(&customers->devices);
	run->customers = customers;
	MemoryContextSwitchTo(caller);
	return customers;
}

/* The present object has been read: write down what is known of it. */
static void
finish_object(ZoneRun *run, const StediObject *object)
{
	ZoneCustomers *customers = run->customers;
	ZoneSketch	sketch = {.first_ms = PG_INT64_MAX,.last_ms = PG_INT64_MAX};

	sketch.people = stedi_hashes_pack(&customers->people, ZONE_CUSTOMER_NAME_WIDTH);
	sketch.devices = stedi_hashes_pack(&customers->devices, ZONE_CUSTOMER_NAME_WIDTH);
	sketch.due_ms = customers->due_ms;
	stedi_zone_object_write(run, ZONE_CUSTOMER_TRUSTED, object, &sketch);
	pfree(sketch.people);
	pfree(sketch.devices);
	stedi_hashes_clear(&customers->people);
	stedi_hashes_clear(&customers->devices);
	customers->due_ms = PG_INT64_MAX;
}

/* Objects up to that number have been read. */
static void
finish_objects(ZoneRun *run, const StediListing *listing, int next)
{
	while (run->customers->object < next)
		finish_object(run, &listing->objects[run->customers->object++]);
}

/* Note a record, and what of it is kept of its object. */
static void
note_claim(ZoneRun *run, const StediObject *object, const ZoneObject *known, const ZoneClaim *claim,
		   const Datum *values, const bool *nulls)
{
	ZoneCustomers *customers = run->customers;
	bool		affects = known->state != ZONE_OBJECT_SAME;

	for (int i = CUSTOMER_UPDATED; i <= CUSTOMER_RESEARCH && !claim->rejected; i++)
	{
		int64		date = nulls[i] ? 0 : DatumGetInt64(values[i]);

		if (date > run->now_ms)
			customers->due_ms = Min(customers->due_ms, date);
		else if (date > run->before_ms && known->due)
			affects = true;
	}
	if (claim->who != 0)
		(void) stedi_hashes_add(&customers->people, claim->who);
	if (claim->device != 0)
		(void) stedi_hashes_add(&customers->devices, claim->device);
	if (!run->renew)
		return;
	if (affects && !object->again && claim->who != 0)
		(void) stedi_hashes_add(&run->affected, claim->who);
	if (customers->n_claims == customers->claims_room)
	{
		customers->claims_room = Max(1024, customers->claims_room * 2);
		customers->claims = customers->claims == NULL ?
			MemoryContextAlloc(run->cxt, customers->claims_room * sizeof(ZoneClaim)) :
			repalloc_huge(customers->claims, customers->claims_room * sizeof(ZoneClaim));
	}
	customers->claims[customers->n_claims++] = *claim;
}

/* A record, or what can be read of a rejected one. */
static void
put_record(ZoneRun *run, StediScan *scan, bool rejected, Datum *row, bool *row_nulls)
{
	ZoneCustomers *customers = run->customers;
	const StediPlace *place = stedi_scan_place(scan);
	const ZoneObject *known =
	stedi_zone_object_find(run, ZONE_CUSTOMER_TRUSTED, place->object->key);
	ZoneClaim	claim = {.rejected = rejected};
	Datum		values[N_RECORD_COLUMNS];
	bool		nulls[N_RECORD_COLUMNS] = {false};
	StediSlice	landed = {NULL, 0};
	text	   *email = NULL;

	for (int i = 0; i < STEDI_N_CUSTOMER_COLUMNS; i++)
	{
		values[i] = row[customers->attno[i]];
		nulls[i] = row_nulls[customers->attno[i]];
	}
	stedi_zone_lack_note(customers->lack, nulls, stedi_scan_record(scan));
	if (!nulls[CUSTOMER_EMAIL])
	{
		landed = stedi_text_slice(DatumGetTextPP(values[CUSTOMER_EMAIL]));
		email = stedi_consent_normalize(landed);
	}
	nulls[CUSTOMER_EMAIL] = email == NULL;
	values[CUSTOMER_EMAIL] = PointerGetDatum(email);
	if (email != NULL)
	{
		stedi_zone_former_note(run, landed, email);
		claim.who = stedi_consent_name_hash(run->seed, stedi_text_slice(email), false);
		if (!nulls[CUSTOMER_SERIAL])
		{
			StediSlice	serial = stedi_text_slice(DatumGetTextPP(values[CUSTOMER_SERIAL]));

			if (serial.len > 0)
				claim.device = stedi_consent_name_hash(run->seed, serial, false);
		}
	}
	if (rejected && !nulls[CUSTOMER_UPDATED])
		nulls[CUSTOMER_UPDATED] = !stedi_judge_latest(&values[CUSTOMER_UPDATED],
													  customers->opts->clock.unit);
	claim.updated = nulls[CUSTOMER_UPDATED] ? PG_INT64_MAX :
		DatumGetInt64(values[CUSTOMER_UPDATED]);
	claim.fresh = known->state != ZONE_OBJECT_SAME;
	note_claim(run, place->object, known, &claim, values, nulls);

	values[RECORD_REJECTED] = BoolGetDatum(rejected);
	values[RECORD_MAY_HIDE] =
		BoolGetDatum(rejected && stedi_scan_may_hide(stedi_scan_reject(scan)));
	values[RECORD_WHO] = Int64GetDatum((int64) claim.who);
	values[RECORD_DEVICE] = Int64GetDatum((int64) claim.device);
	values[RECORD_OBJECT] =
		Int32GetDatum((int32) (known - run->source[ZONE_CUSTOMER_TRUSTED].objects));
	values[RECORD_PLACE] = Int64GetDatum((int64) place->offset);
	values[RECORD_STANDS_IN] = BoolGetDatum(false);
	tuplestore_putvalues(customers->records, customers->tupdesc, values, nulls);
	if (email != NULL)
		pfree(email);
}

/* Read the objects that are wanted and have not been read. */
static void
read_objects(ZoneRun *run)
{
	ZoneCustomers *customers = run->customers;
	TupleDesc	tupdesc = RelationGetDescr(customers->relation);
	StediListing *chosen = stedi_zone_object_choose(run, ZONE_CUSTOMER_TRUSTED);
	bool	   *wanted = palloc(tupdesc->natts * sizeof(bool));
	Datum	   *row = palloc(tupdesc->natts * sizeof(Datum));
	bool	   *row_nulls = palloc(tupdesc->natts * sizeof(bool));
	StediScan  *scan;
	StediScanResult result;

	if (chosen->n_objects == 0 && run->renew)
		return;
	memset(wanted, true, tupdesc->natts * sizeof(bool));
	stedi_zone_object_begin(run, ZONE_CUSTOMER_TRUSTED, chosen);
	scan = stedi_scan_open(RelationGetRelid(customers->relation), GetUserId(), tupdesc, wanted,
						   STEDI_SCAN_JUDGE | STEDI_SCAN_GIVE_REJECTS | STEDI_SCAN_WARN);
	stedi_scan_set_listing(scan, chosen);
	customers->object = 0;
	customers->due_ms = PG_INT64_MAX;
	run->reading = RelationGetRelid(customers->relation);
	while ((result = stedi_scan_next(scan, row, row_nulls)) != STEDI_SCAN_END)
	{
		const StediListing *listing = stedi_scan_listing(scan);

		finish_objects(run, listing, (int) (stedi_scan_place(scan)->object - listing->objects));
		put_record(run, scan, result == STEDI_SCAN_REJECT, row, row_nulls);
	}
	run->reading = InvalidOid;
	finish_objects(run, stedi_scan_listing(scan), chosen->n_objects);
	stedi_zone_report_add(&run->source[ZONE_CUSTOMER_TRUSTED].stats, stedi_scan_stats(scan));
	stedi_scan_close(scan);
}

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
 * People of whom it is not enough to see the new records: those of objects
 * that have changed or vanished, and those whom forget or unforget has named.
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

/* Who of those affected must be known in full, as no row can stand in? */
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
 * The devices of those affected, and who else has a claim to these; false
 * when that adds nothing.
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
	read_objects(run);
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
			read_objects(run);
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
	ZoneCustomers *customers = begin_customers(run);

	if (run->renew)
		read_changes(run);
	else
	{
		stedi_zone_object_want_all(run, ZONE_CUSTOMER_TRUSTED);
		read_objects(run);
	}
	stedi_zone_lack_warn(customers->lack, customers->opts, !run->renew);
	table_close(customers->relation, NoLock);
	stedi_zone_query_register(run, "customer_record", customers->records, customers->tupdesc);
}
