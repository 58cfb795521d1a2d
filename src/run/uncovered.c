/*-------------------------------------------------------------------------
 *
 * uncovered.c
 *		Rows that consent does not cover any more, taken out by the customer
 *		records alone.
 *
 * Of a customer whom the records show to be out, all rows go; of one who
 * consents from a later date on, the older rows.
 *
 *	 customer objects -> customer_record -> insider, device (run/insiders.c)
 *	 tables + insider, device -> gone_... -> DELETE
 *
 * A customer object that cannot be read lets no customer in.  The customers
 * whom it named when it was last read stay as they are, unless a newer record
 * says otherwise: their rows in customer_trusted count as records.
 *
 * Nothing is written down of objects, so that the next run still finds them
 * new or changed.  That run judges all customers anew of whom rows have gone,
 * whatever the objects say by then: they are *pending*, as after
 * stedi.unforget.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "storage/storage.h"
#include "run/expect.h"
#include "run/run.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/*
 * The most customer objects that are tried and cannot be read: each may take
 * as long as retry_timeout.  After that, others that have not changed since the
 * last run, and so bring nothing new, count as unreadable without a try.
 */
#define MOST_UNREADABLE 8

/* A record of the relation of one reading; its objects are counted from %d on. */
static const char *const batch_query =
"SELECT object + %d AS object, rejected, byte_offset, email, customername, phone, birthday,"
" serialnumber,"
"   registrationdate, lastupdatedate, sharewithresearchasofdate, sharewithpublicasofdate,"
"   sharewithfriendsasofdate, landed FROM %s";

#define ROW_MS(column) "(extract(epoch FROM " column ") * 1000)::bigint"

/* The row of a customer whom an unreadable object names, as a record. */
static const char *const stand_in_query =
"SELECT NULL::integer, false, NULL::bigint, email COLLATE \"C\", customername COLLATE \"C\","
"   phone COLLATE \"C\", birthday::text COLLATE \"C\", serialnumber COLLATE \"C\","
"   " ROW_MS("registrationdate") ", " ROW_MS("lastupdatedate") ", "
ROW_MS("sharewithresearchasofdate") ", " ROW_MS("sharewithpublicasofdate") ", "
ROW_MS("sharewithfriendsasofdate") ", email COLLATE \"C\" AS landed"
" FROM {customer_trusted} t WHERE (tableoid, ctid) IN (SELECT part, place FROM named)";

/* These alone; %s: that query. */
static const char *const all_stand_in_query =
"SELECT * FROM (%s) r (object, rejected, byte_offset, email, customername, phone, birthday,"
" serialnumber,"
"   registrationdate, lastupdatedate, sharewithresearchasofdate, sharewithpublicasofdate,"
"   sharewithfriendsasofdate, landed)";

/* Who is in, but from a later date on. */
static const char *const later_query =
"SELECT i.* FROM {customer_trusted} t JOIN insider i ON i.email = t.email COLLATE \"C\""
" WHERE {since_rule} AND i.sharewithresearchasofdate > t.sharewithresearchasofdate";

static const char *const gone_customer_query =
"SELECT tableoid AS part, ctid AS place, email COLLATE \"C\" AS email FROM {customer_trusted} t"
" WHERE NOT EXISTS (SELECT FROM insider i WHERE i.email = t.email COLLATE \"C\")";

/* Whose movements are looked at; %s: the query of those who are out. */
static const char *const person_query =
"SELECT email COLLATE \"default\" AS key"
" FROM (SELECT email FROM gone_customer WHERE email IS NOT NULL"
"   UNION SELECT email FROM later%s) p";

static const char *const curated_person =
" UNION SELECT email COLLATE \"C\" FROM {customer_curated} c WHERE email IS NOT NULL"
" AND NOT EXISTS (SELECT FROM insider i WHERE i.email = c.email COLLATE \"C\")";

static const char *const gone_movement_query =
"SELECT part, place, email AS key FROM found_movement f WHERE NOT EXISTS (SELECT FROM later l"
"   WHERE l.email = f.email COLLATE \"C\" AND f.\"timestamp\" >= l.sharewithresearchasofdate)";

/* Customers who are out, or have no reading left. */
static const char *const gone_curated_query =
"SELECT tableoid AS part, ctid AS place, email COLLATE \"C\" AS email FROM {customer_curated} c"
" WHERE NOT EXISTS (SELECT FROM insider i WHERE i.email = c.email COLLATE \"C\")"
"   OR (email COLLATE \"C\" IN (SELECT email FROM later) AND NOT EXISTS ("
"     SELECT FROM found_movement f WHERE f.email = c.email COLLATE \"C\" AND NOT EXISTS ("
"       SELECT FROM gone_movement g WHERE g.part = f.part AND g.place = f.place)))";

/* Who stays there, with that later date. */
static const char *const later_curated_query =
"SELECT email COLLATE \"C\" AS email FROM {customer_curated} c"
" WHERE email COLLATE \"C\" IN (SELECT email FROM later)"
" AND NOT EXISTS (SELECT FROM gone_curated g WHERE g.part = c.tableoid AND g.place = c.ctid)";

/* Devices of which readings are, or may be, covered no more: all, or those before a time. */
static const char *const device_query =
"SELECT * FROM (SELECT c.serialnumber AS key, c.email COLLATE \"C\" AS email,"
"     i.email IS NULL OR g.place IS NOT NULL"
" OR d.holder IS DISTINCT FROM c.email COLLATE \"C\" AS is_out,"
"     greatest(CASE WHEN {since_rule} THEN i.sharewithresearchasofdate END,"
"       CASE WHEN d.handed_on THEN coalesce(i.registrationdate, 'infinity') END) AS bound,"
"     d.handed_on OR l.email IS NOT NULL AS is_bounded"
"   FROM {customer_curated} c LEFT JOIN insider i ON i.email = c.email COLLATE \"C\""
"   LEFT JOIN device d ON d.serialnumber = c.serialnumber COLLATE \"C\""
"   LEFT JOIN later l ON l.email = i.email"
"   LEFT JOIN gone_curated g ON g.part = c.tableoid AND g.place = c.ctid"
"   WHERE c.serialnumber <> '') d"
" WHERE is_out OR is_bounded";

/* Of found_..., %s. */
static const char *const gone_of_device_query =
"SELECT part, place, serialnumber AS key FROM %s f WHERE NOT EXISTS (SELECT FROM touched_device d"
"   WHERE d.key = f.serialnumber COLLATE \"C\" AND NOT d.is_out"
" AND (d.bound IS NULL OR f.sensorreadingtime >= d.bound))";

/*
 * A customer who stays has the row that their consent's new date is in; %s:
 * the table.
 */
static const char *const later_update =
"UPDATE %s t SET customername = l.customername, phone = l.phone, birthday = l.birthday,"
"   serialnumber = l.serialnumber, registrationdate = l.registrationdate,"
" lastupdatedate = l.lastupdatedate,"
"   sharewithresearchasofdate = l.sharewithresearchasofdate,"
"   sharewithpublicasofdate = l.sharewithpublicasofdate,"
"   sharewithfriendsasofdate = l.sharewithfriendsasofdate"
" FROM later l WHERE l.email = t.email COLLATE \"C\"";

/* For the history; %s: more rows that went, by e-mail; %s: who has two new rows. */
static const char *const entry_query =
"WITH counted AS (SELECT email, count(*) AS n FROM ("
"   SELECT email FROM gone_customer UNION ALL SELECT email FROM later%s) u GROUP BY email)"
" SELECT p.email::text, p.what, d.object, d.byte_offset, coalesce(n.n, 0), p.added FROM ("
"   SELECT email, 'withdrawn'::text AS what, 0::bigint AS added FROM gone_customer"
"     WHERE email IS NOT NULL"
"   UNION ALL SELECT email, 'date_changed', 1%s FROM later l) p"
" LEFT JOIN counted n ON n.email = p.email LEFT JOIN decider d ON d.email = p.email"
" ORDER BY p.email";

static const char *const pending_query =
"SELECT key COLLATE \"C\" FROM touched_person%s";

static const char *const pending_devices =
" UNION SELECT email FROM touched_device WHERE key IN (SELECT key FROM gone_step)";

/* Customer records that are to be kept as a relation of that name. */
typedef struct Reading
{
	const char *name;
	ZoneRecordWish wish;
} Reading;

static void
keep_records(ZoneRun *run, void *arg)
{
	const Reading *reading = arg;

	stedi_zone_record_keep(run, reading->name, ZONE_CUSTOMER_TRUSTED, &reading->wish);
}

/*
 * Read customer objects from the number first up to end, and keep their records
 * as a relation of that name.  Number of the one that cannot be read; -1: all
 * were read.
 */
static int
try_read(ZoneRun *run, const char *name, int first, int end)
{
	const StediListing *listing = run->source[ZONE_CUSTOMER_TRUSTED].listing;
	StediListing *chosen = palloc0(sizeof(StediListing));
	int			at = -1;
	Reading		reading = {.name = name,.wish = {.rejects = true,.places = true,.listing = chosen,
			.owner = CurrentResourceOwner,.reading = &at
	}};
	ErrorData  *error;

	for (int i = first; i < end; i++)
		stedi_listing_add(chosen, listing->objects[i].key, listing->objects[i].etag,
						  listing->objects[i].size, listing->objects[i].modified);
	error = stedi_zone_try(run, keep_records, &reading, false);
	if (error == NULL)
		return -1;
	if (at < 0 || !stedi_zone_withdraw_is_unreadable(run, error))
		ReThrowError(error);
	FreeErrorData(error);
	return first + at;
}

/*
 * Read the customer objects that can be read: their records, as the rows of
 * this query; NULL: they are in the relation "customer_record".
 */
static char *
read_records(ZoneRun *run, int *n_unreadable)
{
	ZoneSource *source = &run->source[ZONE_CUSTOMER_TRUSTED];
	int			n_objects = source->listing->n_objects;
	StringInfoData records;
	int			n_batches = 0;
	int			first = 0;

	*n_unreadable = 0;
	initStringInfo(&records);
	run->reading = source->relid;
	while (first < n_objects)
	{
		char	   *name = first == 0 ? "customer_record" :
		psprintf("customer_record_%d", n_batches);
		int			bad = try_read(run, name, first, n_objects);
		int			end = bad < 0 ? n_objects : bad;

		if (bad < 0 && first == 0)
		{
			run->reading = InvalidOid;
			return NULL;
		}
		if (bad >= 0)
		{
			name = psprintf("customer_record_%d", n_batches);
			while (end > first && (bad = try_read(run, name, first, end)) >= 0)
				end = bad;
			++*n_unreadable;
		}
		if (end > first)
		{
			appendStringInfoString(&records, n_batches++ > 0 ? " UNION ALL " : "");
			appendStringInfo(&records, batch_query, first, name);
		}
		if (end < n_objects)
			source->objects[end].unreadable = true;
		first = end + 1;
		for (; *n_unreadable >= MOST_UNREADABLE && first < n_objects &&
			 source->objects[first].state == ZONE_OBJECT_SAME &&
			 !source->objects[first].due; first++)
		{
			source->objects[first].unreadable = true;
			++*n_unreadable;
		}
	}
	run->reading = InvalidOid;
	return records.data;
}

/*
 * Keep the relation "named" (part, place): the rows of customer_trusted of
 * those whom the unreadable objects named when they were last read.
 */
static void
keep_named(ZoneRun *run)
{
	static const char *const columns[] = {"email"};
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	Tuplestorestate *store = tuplestore_begin_heap(true, false, ZONE_KEPT_MEMORY);
	TupleDesc	tupdesc = CreateTemplateTupleDesc(2);
	StediHashes people;
	bool		anybody;
	ZoneTableRows rows;

	TupleDescInitEntry(tupdesc, 1, "part", OIDOID, -1, 0);
	TupleDescInitEntry(tupdesc, 2, "place", TIDOID, -1, 0);
	stedi_hashes_begin(&people);
	MemoryContextSwitchTo(caller);
	anybody = stedi_zone_object_names(run, ZONE_CUSTOMER_TRUSTED, ZONE_NAMES_UNREADABLE, &people,
									  NULL) ||
		run->source[ZONE_CUSTOMER_TRUSTED].n_booked == 0;
	stedi_zone_table_open(&rows, run->relid[ZONE_CUSTOMER_TRUSTED], columns, lengthof(columns));
	while (stedi_zone_table_next(&rows))
	{
		Datum		values[2];
		bool		nulls[2] = {false};

		if (!anybody && !stedi_hashes_has(&people, stedi_zone_table_hash(run, &rows, 0)))
			continue;
		values[0] = ObjectIdGetDatum(RelationGetRelid(rows.relation));
		values[1] = PointerGetDatum(&rows.slot->tts_tid);
		tuplestore_putvalues(store, tupdesc, values, nulls);
	}
	stedi_zone_table_close(&rows);
	stedi_zone_query_register(run, "named", store, tupdesc);
}

/* Who is in, and whose a device is, as far as customer objects can be read. */
static void
judge_people(ZoneRun *run, int *n_unreadable)
{
	const ZoneSession session = {.run = run};
	char	   *records = read_records(run, n_unreadable);

	stedi_progress_phase(STEDI_PHASE_DECIDING, run->source[ZONE_CUSTOMER_TRUSTED].relid);
	if (records != NULL)
	{
		keep_named(run);
		stedi_zone_query_keep_template(run, "customer_record", records[0] == '\0' ?
									   psprintf(all_stand_in_query, stand_in_query) :
									   psprintf("%s UNION ALL %s", records, stand_in_query));
	}
	stedi_zone_audit_judge(&session);
}

/* Find all rows that go, before the first does. */
static void
find_rows(ZoneRun *run)
{
	bool		curated = OidIsValid(run->relid[ZONE_CUSTOMER_CURATED]);

	stedi_progress_phase(STEDI_PHASE_COMPARING, InvalidOid);
	stedi_zone_query_keep_template(run, "later", later_query);
	stedi_zone_query_keep_template(run, "gone_customer", gone_customer_query);
	stedi_zone_query_keep_template(run, "touched_person",
								   psprintf(person_query, curated ? curated_person : ""));
	if (OidIsValid(run->relid[ZONE_ACCELEROMETER_TRUSTED]))
	{
		stedi_zone_find(run, ZONE_ACCELEROMETER_TRUSTED, "found_movement", "touched_person", NULL);
		stedi_zone_query_keep_template(run, "gone_movement", gone_movement_query);
	}
	if (!curated)
		return;
	stedi_zone_query_keep_template(run, "gone_curated", gone_curated_query);
	stedi_zone_query_keep_template(run, "later_curated", later_curated_query);
	stedi_zone_query_keep_template(run, "touched_device", device_query);
	if (OidIsValid(run->relid[ZONE_STEP_TRAINER_CURATED]))
	{
		stedi_zone_find(run, ZONE_STEP_TRAINER_CURATED, "found_step",
						"(SELECT DISTINCT key FROM touched_device) k", NULL);
		stedi_zone_query_keep_template(run, "gone_step",
									   psprintf(gone_of_device_query, "found_step"));
	}
	if (OidIsValid(run->relid[ZONE_MACHINE_LEARNING_CURATED]) && !run->match_time)
	{
		stedi_zone_find(run, ZONE_MACHINE_LEARNING_CURATED, "found_pair",
						"(SELECT DISTINCT key FROM touched_device) k", NULL);
		stedi_zone_query_keep_template(run, "gone_pair",
									   psprintf(gone_of_device_query, "found_pair"));
	}
}

/*
 * Pairs by time alone join the readings of all people: they are made anew, of
 * the rows that are left.
 */
static void
pair_anew(ZoneRun *run)
{
	bool		wanted = run->wanted[ZONE_MACHINE_LEARNING_CURATED];

	run->wanted[ZONE_MACHINE_LEARNING_CURATED] = true;
	run->full_refresh = false;
	stedi_zone_expect_read(run);
	stedi_zone_rebuild_pairs(run);
	run->wanted[ZONE_MACHINE_LEARNING_CURATED] = wanted;
}

/* Take them out. */
static void
remove_rows(ZoneRun *run, ZoneWithdrawal *withdrawal)
{
	static const char *const gone[ZONE_N_TABLES] = {
		"gone_customer", "gone_movement", "gone_curated", "gone_step", "gone_pair"
	};

	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		ZoneReport *report = &run->report[id];

		report->started = report->finished = GetCurrentTimestamp();
		report->rows = OidIsValid(run->relid[id]) ? run->rows_before[id] : 0;
		if (!OidIsValid(run->relid[id]))
			continue;
		if (id != ZONE_MACHINE_LEARNING_CURATED || !run->match_time)
			stedi_zone_renew_rows(run, id, gone[id], NULL);
		else if (withdrawal->n_rows > 0)
			pair_anew(run);
		withdrawal->n_rows += report->rows_out;

		/* those who stay have the record in which the later date is */
		if (id == ZONE_CUSTOMER_TRUSTED || id == ZONE_CUSTOMER_CURATED)
			withdrawal->n_updated[id] =
				stedi_zone_query_run(psprintf(later_update, stedi_zone_query_table(run, id)));
		report->finished = GetCurrentTimestamp();
		report->elapsed = report->finished - report->started;
	}
}

/* Let the next run that makes all tables judge these people anew. */
static void
mark_pending(ZoneRun *run, bool devices)
{
	static Oid	types[] = {BYTEAOID, INT8OID, BYTEAOID};
	ZoneHasher *hasher = stedi_zone_key_begin();
	static const char *const update = "UPDATE {books}.stedi_forgotten SET pending = true"
	" WHERE who = $1 AND name = $2 AND proof = $3";
	static const char *const insert = "INSERT INTO {books}.stedi_forgotten VALUES"
	" ($1, $2, $3, 'consent_withdrawn', pg_catalog.now(), pg_catalog.now(), true)";
	ZoneQueryRows rows;
	Datum		email;
	bool		isnull;

	stedi_zone_query_open(&rows, psprintf(pending_query, devices ? pending_devices : ""), "t");
	while (stedi_zone_query_fetch(&rows, 1, &email, &isnull))
	{
		ZoneForgotten entry;
		Datum		values[lengthof(types)];

		if (isnull)
			continue;
		entry = stedi_zone_key_forgotten(run, hasher, stedi_text_slice(DatumGetTextPP(email)));
		values[0] = PointerGetDatum(entry.who);
		values[1] = Int64GetDatum(entry.name);
		values[2] = PointerGetDatum(entry.proof);
		if (stedi_zone_store_with(run, update, lengthof(types), types, values, NULL) == 0)
			(void) stedi_zone_store_with(run, insert, lengthof(types), types, values, NULL);
	}
	stedi_zone_query_close(&rows);
	stedi_zone_key_end(hasher);
}

/* Write down who went, and how the tables are left. */
static void
write_down(ZoneRun *run, const ZoneWithdrawal *withdrawal)
{
	bool		curated = OidIsValid(run->relid[ZONE_CUSTOMER_CURATED]);
	StringInfoData counted;

	stedi_progress_phase(STEDI_PHASE_RECORDING, InvalidOid);
	initStringInfo(&counted);
	if (OidIsValid(run->relid[ZONE_ACCELEROMETER_TRUSTED]))
		appendStringInfoString(&counted, " UNION ALL SELECT key COLLATE \"C\" FROM gone_movement");
	if (curated)
		appendStringInfoString(&counted, " UNION ALL SELECT email FROM gone_curated"
							   " UNION ALL SELECT email FROM later_curated");
	for (int id = ZONE_STEP_TRAINER_CURATED; curated && id < ZONE_N_TABLES; id++)
		if (OidIsValid(run->relid[id]) && (id == ZONE_STEP_TRAINER_CURATED || !run->match_time))
			appendStringInfo(&counted, " UNION ALL SELECT d.email FROM %s g"
							 " JOIN touched_device d ON d.key = g.key COLLATE \"C\"",
							 id == ZONE_STEP_TRAINER_CURATED ? "gone_step" : "gone_pair");
	stedi_zone_history_write(run, psprintf(entry_query, counted.data, curated ?
										   " + (SELECT count(*) FROM later_curated k"
										   " WHERE k.email = l.email)" : ""));
	mark_pending(run, curated && OidIsValid(run->relid[ZONE_STEP_TRAINER_CURATED]));
	stedi_zone_book_settle(run);
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		run->report[id].mode = "withdrawals";
		run->report[id].rows_in = withdrawal->n_updated[id];
		run->report[id].rows_out += withdrawal->n_updated[id];

		/* what was read says nothing about the tables */
		run->source[id].relid = InvalidOid;
	}
	stedi_zone_book_reports(run);
}

/*
 * Is the customers' landing table the one that the tables were made from?  Else
 * a customer who is in no record of it has not withdrawn.
 */
static bool
is_defined_as_before(const ZoneRun *run)
{
	const char *customers = stedi_zone_object_definition(run->definition);
	const char *before = run->definition_before;
	const char *found = before == NULL ? NULL :
	strstr(stedi_zone_object_definition(before), customers);
	char		end;

	if (found == NULL)
		return before == NULL;
	end = found[strlen(customers)];
	return (found == before || found[-1] == '\n') && (end == '\0' || end == '\n');
}

/* The target as it is, and the customer objects. */
static bool
begin_steps(ZoneRun *run)
{
	bool		wanted = run->wanted[ZONE_MACHINE_LEARNING_CURATED];

	stedi_zone_lock_tables(run);
	for (int id = 1; id < ZONE_N_TABLES; id++)
		if (OidIsValid(run->relid[id]) && !OidIsValid(run->relid[id - 1]))
			return false;
	if (!OidIsValid(run->relid[ZONE_CUSTOMER_TRUSTED]))
		return false;
	stedi_zone_book_open(run);
	stedi_zone_book_landing(run);
	stedi_zone_check_landing(run);
	for (int id = ZONE_CUSTOMER_TRUSTED + 1; id < ZONE_N_TABLES; id++)
		run->source[id].relid = InvalidOid;
	stedi_zone_check_published(run);

	/* a change of the rules waits for a whole run */
	run->asked = NULL;
	run->wanted[ZONE_MACHINE_LEARNING_CURATED] = false;
	stedi_zone_book_rule(run);
	run->wanted[ZONE_MACHINE_LEARNING_CURATED] = wanted;
	stedi_zone_object_define(run);

	/* e-mails of another form are not those of the records */
	if (!is_defined_as_before(run) || run->form_before != STEDI_EMAIL_FORM)
		return false;
	for (int id = 0; id < ZONE_N_TABLES && !run->complete; id++)
		if (OidIsValid(run->relid[id]))
			run->rows_before[id] =
				stedi_zone_query_count(psprintf("SELECT FROM %s", stedi_zone_query_table(run, id)));
	stedi_zone_object_compare(run);
	stedi_zone_report_begin(run);
	return true;
}

void
stedi_zone_uncovered_remove(ZoneRun *run, ZoneWithdrawal *withdrawal)
{
	if (!begin_steps(run))
		return;
	judge_people(run, &withdrawal->n_unreadable);
	find_rows(run);
	withdrawal->known = true;
	withdrawal->n_out = stedi_zone_query_count("SELECT FROM gone_customer");
	withdrawal->n_later = stedi_zone_query_count("SELECT FROM later");
	remove_rows(run, withdrawal);
	stedi_zone_delete_check(run);
	if (withdrawal->n_rows > 0 || withdrawal->n_later > 0)
		write_down(run, withdrawal);
	stedi_zone_query_forget(run);
}
