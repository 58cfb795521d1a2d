/*-------------------------------------------------------------------------
 *
 * records.c
 *		Customer objects to customer records.
 *
 * Each record goes to the relation "customer_record", rejects with what can be
 * read of them.  Of each object, the names that it holds and the next date that
 * comes into force in it are written down, for later runs.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "run/customers.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

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

ZoneCustomers *
stedi_zone_customer_begin(ZoneRun *run)
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

void
stedi_zone_customer_objects(ZoneRun *run)
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
