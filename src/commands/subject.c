/*-------------------------------------------------------------------------
 *
 * subject.c
 *		Everything that is held on one person.
 *
 * It answers a request for access: the rows of the five tables; the landing
 * records as they landed, with rejected ones where it can be read whom they
 * name; and the bookkeeping that has the person by a hash.
 *
 * The e-mail is a row of relation "subject".  So it is in the text of no
 * statement, and in no message.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "run/run.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

/* The arguments. */
enum
{
	ARG_TARGET,
	ARG_EMAIL,
	ARG_LANDING,
};

PG_FUNCTION_INFO_V1(subject);

/* Rows of a zone table that has e-mails. */
static const char *const person_row_query =
"SELECT '%1$s'::text, NULL::text, NULL::bigint, to_jsonb(t)"
" FROM {%1$s} t JOIN subject s ON s.email = stedi.normalize_email(t.email COLLATE \"C\")";

/* Rows of one that has serial numbers alone. */
static const char *const device_row_query =
"SELECT '%1$s'::text, NULL::text, NULL::bigint, to_jsonb(t)"
" FROM {%1$s} t JOIN device d ON d.serialnumber = t.serialnumber COLLATE \"C\""
" WHERE d.own";

/* Landing records: as jsonb, or why not, and as they stand. */
static const char *const record_query =
"SELECT '%1$s'::text, o.key, r.byte_offset, coalesce(r.record, jsonb_strip_nulls("
"   jsonb_build_object('reject', r.reason, 'text', r.text, 'hex', encode(r.bytes, 'hex'))))"
" FROM %2$s r JOIN %2$s_object o ON o.object = r.object";

/* Bookkeeping that names people by a keyed hash, of whatever form. */
static const char *const book_query =
"SELECT '%1$s'::text, NULL::text, NULL::bigint, to_jsonb(b)"
" FROM {books}.%1$s b WHERE b.who IN (SELECT stedi.keyed_hash(k.key, s.email)"
"   FROM {books}.stedi_key k, subject s UNION ALL SELECT who FROM formerly)";

/* How the person's e-mail is spelled. */
static const char *const spelling_query =
"SELECT email, given AS spelling FROM subject UNION SELECT email, landed FROM customer_record";

/* The devices that the person's rows of a table say are theirs. */
static const char *const table_devices =
" UNION SELECT t.serialnumber COLLATE \"C\" FROM {%1$s} t"
"   JOIN subject s ON s.email = stedi.normalize_email(t.email COLLATE \"C\")";

/*
 * The devices that the person holds or once held; own: unless customer_curated
 * says that another customer holds them, whose the rows of the zone are then.
 */
static const char *const device_query =
"SELECT DISTINCT serialnumber, %s AS own"
" FROM (SELECT serialnumber FROM customer_record%s%s) d"
" WHERE serialnumber <> ''";

static const char *const own_device =
"EXISTS (SELECT FROM {customer_curated} c JOIN subject s"
"     ON s.email = stedi.normalize_email(c.email COLLATE \"C\")"
"   WHERE c.serialnumber COLLATE \"C\" = d.serialnumber)"
" OR NOT EXISTS (SELECT FROM {customer_curated} c"
"   WHERE c.serialnumber COLLATE \"C\" = d.serialnumber)";

static bool
has_table(const ZoneSession *session, ZoneTableId id)
{
	return OidIsValid(session->run->relid[id]);
}

/* Keep the relation "subject": the e-mail in its normal form, and as given. */
static void
keep_subject(ZoneRun *run, text *email, text * given)
{
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	Tuplestorestate *store = tuplestore_begin_heap(false, false, ZONE_KEPT_MEMORY);
	TupleDesc	tupdesc = CreateTemplateTupleDesc(2);
	Datum		values[2] = {PointerGetDatum(email), PointerGetDatum(given)};
	bool		nulls[2] = {false, false};

	TupleDescInitEntry(tupdesc, 1, "email", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, 2, "given", TEXTOID, -1, 0);
	TupleDescInitEntryCollation(tupdesc, 1, C_COLLATION_OID);
	TupleDescInitEntryCollation(tupdesc, 2, C_COLLATION_OID);
	tuplestore_putvalues(store, tupdesc, values, nulls);
	MemoryContextSwitchTo(caller);
	stedi_zone_query_register(run, "subject", store, tupdesc);
}

/* The customer's records, and the devices that they and the tables name. */
static void
read_person(const ZoneSession *session)
{
	ZoneRecordWish wish = {.rejects = true,.details = true};
	ZoneRun    *run = session->run;
	const char *more[2] = {"", ""};

	wish.keys = stedi_zone_record_keys(run, "SELECT email FROM subject");
	stedi_zone_record_keep(run, "customer_record", ZONE_CUSTOMER_TRUSTED, &wish);
	stedi_zone_record_keep(run, "movement", ZONE_ACCELEROMETER_TRUSTED, &wish);
	if (has_table(session, ZONE_CUSTOMER_TRUSTED))
		more[0] = psprintf(table_devices, "customer_trusted");
	if (has_table(session, ZONE_CUSTOMER_CURATED))
		more[1] = psprintf(table_devices, "customer_curated");
	stedi_zone_query_keep_template(run, "device",
								   psprintf(device_query,
											has_table(session, ZONE_CUSTOMER_CURATED) ?
											own_device : "true", more[0], more[1]));
	wish.keys = stedi_zone_record_keys(run, "SELECT serialnumber FROM device");
	stedi_zone_record_keep(run, "step", ZONE_STEP_TRAINER_CURATED, &wish);
}

/* Answer with what the tables have, then the landing zone, then the books. */
static void
answer(const ZoneSession *session)
{
	static const char *const row_queries[ZONE_N_TABLES] = {
		person_row_query, person_row_query, person_row_query, device_row_query, device_row_query,
	};
	static const char *const records[ZONE_N_TABLES] = {
		"customer_record", "movement", NULL, "step", NULL,
	};
	static const ZoneBook books[] = {ZONE_BOOK_FORGOTTEN, ZONE_BOOK_HISTORY};

	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (has_table(session, id))
			stedi_zone_session_answer(session, psprintf(row_queries[id],
														stedi_zone_tables[id].name));
	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (records[id] != NULL)
			stedi_zone_session_answer(session, psprintf(record_query,
														stedi_zone_tables[id].landing,
														records[id]));
	if (!stedi_zone_session_has_book(session, ZONE_BOOK_KEY))
		return;
	stedi_zone_former_keep(session->run, "formerly", spelling_query);
	for (int i = 0; i < lengthof(books); i++)
		if (stedi_zone_session_has_book(session, books[i]))
			stedi_zone_session_answer(session,
									  psprintf(book_query, stedi_zone_book_name(books[i])));
}

/*
 * subject(target regnamespace, email text, landing regnamespace)
 *		-> (source text, object text, byte_offset bigint, record jsonb)
 */
Datum
subject(PG_FUNCTION_ARGS)
{
	static const bool all[ZONE_N_TABLES] = {true, true, true, true, true};
	ZoneSession session;
	text	   *email;

	stedi_zone_session_need_argument(fcinfo, ARG_TARGET, "target");
	stedi_zone_session_need_argument(fcinfo, ARG_EMAIL, "email");
	email = stedi_consent_normalize(stedi_text_slice(PG_GETARG_TEXT_PP(ARG_EMAIL)));
	if (email == NULL)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("argument \"email\" must not be empty"));
	stedi_zone_session_begin(&session, fcinfo, PG_GETARG_OID(ARG_TARGET), ARG_LANDING, all);
	keep_subject(session.run, email, PG_GETARG_TEXT_PP(ARG_EMAIL));
	read_person(&session);
	answer(&session);
	stedi_zone_session_end(&session);
	return (Datum) 0;
}
