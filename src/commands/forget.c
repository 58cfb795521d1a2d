/*-------------------------------------------------------------------------
 *
 * forget.c
 *		The SQL functions that forget a person, and undo that.
 *
 * forget writes the person down by keyed hash and takes their rows out of all
 * five tables, in one transaction.  From then on every run finds the person
 * among the forgotten, whatever the landing zone says.  The bookkeeping marks
 * them *pending*: the next run judges their devices anew.
 *
 * The e-mail is a parameter of every statement, never a part of one.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "storage/storage.h"
#include "run/run.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(forget);
PG_FUNCTION_INFO_V1(unforget);

/*
 * The reasons for which a person has to be forgotten: article 17 (1) of the
 * GDPR, a to f.
 */
static const char *const reasons[] = {
	"not_needed", "consent_withdrawn", "objection", "unlawful", "legal_obligation", "child", NULL
};

/* Whom a call is about. */
typedef struct Subject
{
	ZoneRun    *run;
	text	   *email;			/* in its normal form */
	ZoneForgotten entry;		/* of the list of the forgotten */
	ArrayType  *emails;			/* it, alone */
	int64		n_found;		/* rows, and records of landing objects */
} Subject;

/* The rows of theirs in tables of customers, and their devices. */
static const char *const gone_customer_query =
"SELECT tableoid AS part, ctid AS place FROM {customer_trusted}"
" WHERE email IN (SELECT key FROM forgotten_person)";
static const char *const gone_curated_query =
"SELECT tableoid AS part, ctid AS place FROM {customer_curated}"
" WHERE email IN (SELECT key FROM forgotten_person)";
static const char *const device_query =
"SELECT serialnumber AS key FROM {customer_trusted}"
" WHERE email IN (SELECT key FROM forgotten_person) AND serialnumber <> ''"
" UNION SELECT serialnumber FROM {customer_curated}"
" WHERE email IN (SELECT key FROM forgotten_person) AND serialnumber <> ''";

/*
 * Pairs by time alone join the readings of all people: a person's are those of
 * their devices, and of equal pairs one for each of their movements.
 */
static const char *const mixed_pair_query =
"SELECT tableoid AS part, ctid AS place FROM {machine_learning_curated}"
" WHERE serialnumber IN (SELECT key FROM forgotten_device)"
" UNION ALL"
" SELECT part, place FROM ("
"  SELECT m.tableoid AS part, m.ctid AS place, row_number() OVER (PARTITION BY"
"    m.serialnumber, m.sensorreadingtime, m.distancefromobject, m.x, m.y, m.z) AS n"
"  FROM {machine_learning_curated} m"
"  JOIN their_reading g ON g.\"timestamp\" = m.sensorreadingtime AND g.x IS NOT DISTINCT FROM m.x"
"    AND g.y IS NOT DISTINCT FROM m.y AND g.z IS NOT DISTINCT FROM m.z"
"  WHERE m.serialnumber NOT IN (SELECT key FROM forgotten_device)) p WHERE n = 1";

static void
keep(Subject *subject, const char *name, const char *template)
{
	stedi_zone_query_keep_of(subject->run, name, stedi_zone_query_expand(subject->run, template),
							 subject->emails);
}

/* A statement on $1 = who, $2 = name, $3 and $4 = proof; how many rows it processed. */
static uint64
execute(const Subject *subject, const char *template, const char *word)
{
	static Oid	types[] = {BYTEAOID, INT8OID, TEXTOID, BYTEAOID};
	Datum		values[lengthof(types)];
	char		nulls[] = "  n ";

	values[0] = PointerGetDatum(subject->entry.who);
	values[1] = Int64GetDatum(subject->entry.name);
	values[2] = (Datum) 0;
	values[3] = PointerGetDatum(subject->entry.proof);
	if (word != NULL)
	{
		values[2] = CStringGetTextDatum(word);
		nulls[2] = ' ';
	}
	return stedi_zone_store_with(subject->run, template, lengthof(types), types, values, nulls);
}

/* Find out whom the call is about, when the key is known. */
static void
find_subject(Subject *subject, ZoneRun *run, const text *given)
{
	ZoneHasher *hasher;
	Datum		email;

	subject->run = run;
	subject->n_found = 0;
	subject->email = stedi_consent_normalize(stedi_text_slice((const struct varlena *) given));
	if (subject->email == NULL)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("argument \"email\" names nobody"),
				errdetail("Nothing is left of it in the normal form of e-mails."));
	hasher = stedi_zone_key_begin();
	subject->entry = stedi_zone_key_forgotten(run, hasher, stedi_text_slice(subject->email));
	stedi_zone_key_end(hasher);
	stedi_zone_former_replace(run, stedi_text_slice((const struct varlena *) given),
							  subject->email);
	email = PointerGetDatum(subject->email);
	subject->emails = construct_array(&email, 1, TEXTOID, -1, false, TYPALIGN_INT);
}

/* What both functions begin with. */
static void
begin_steps(ZoneRun *run)
{
	stedi_zone_lock_tables(run);
	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (!OidIsValid(run->relid[id]))
			ereport(ERROR,
					errcode(ERRCODE_UNDEFINED_TABLE),
					errmsg("table \"%s\" does not exist in schema \"%s\"",
						   stedi_zone_tables[id].name, run->target_name),
					errhint("Make the five tables with %s.",
							stedi_zone_query_call(run, "materialize", "")));
	stedi_zone_book_open(run);
	stedi_zone_book_landing(run);
	stedi_zone_check_published(run);
	stedi_zone_book_rule(run);
}

/* Take all their rows out. */
static void
remove_rows(Subject *subject)
{
	ZoneRun    *run = subject->run;

	keep(subject, "forgotten_person", stedi_zone_former_spellings(run));
	keep(subject, "gone_customer", gone_customer_query);
	keep(subject, "forgotten_device", device_query);

	/*
	 * table by table: rows that go may take those of the next table along;
	 * pairs by time are found by movements, so they are found before these go
	 */
	stedi_zone_find(run, ZONE_ACCELEROMETER_TRUSTED, "their_reading", "forgotten_person", NULL);
	stedi_zone_renew_rows(run, ZONE_CUSTOMER_TRUSTED, "gone_customer", NULL);
	stedi_zone_find(run, ZONE_ACCELEROMETER_TRUSTED, "gone_movement", "forgotten_person", NULL);
	stedi_zone_renew_rows(run, ZONE_ACCELEROMETER_TRUSTED, "gone_movement", NULL);
	keep(subject, "gone_curated", gone_curated_query);
	stedi_zone_renew_rows(run, ZONE_CUSTOMER_CURATED, "gone_curated", NULL);
	stedi_zone_find(run, ZONE_STEP_TRAINER_CURATED, "gone_step", "forgotten_device", NULL);
	stedi_zone_renew_rows(run, ZONE_STEP_TRAINER_CURATED, "gone_step", NULL);
	if (run->match_time || run->match_changed)
		keep(subject, "gone_pair", mixed_pair_query);
	else
		stedi_zone_find(run, ZONE_MACHINE_LEARNING_CURATED, "gone_pair", "forgotten_device", NULL);
	stedi_zone_renew_rows(run, ZONE_MACHINE_LEARNING_CURATED, "gone_pair", NULL);
	stedi_zone_delete_check(run);
}

/* Write the history's entry: rows are those that the reports say. */
static void
write_entry(Subject *subject, const char *what)
{
	ZoneRun    *run = subject->run;
	int64		removed = 0;

	for (int id = 0; id < ZONE_N_TABLES; id++)
		removed += run->report[id].rows_out;
	keep(subject, "forgotten_name", "SELECT unnest($1) AS email");
	stedi_zone_history_write(run,
							 psprintf("SELECT email, '%s'::text, NULL::integer,"
									  " NULL::bigint, " INT64_FORMAT "::bigint, 0::bigint"
									  " FROM forgotten_name", what, removed));
}

/* A row of the answer. */
static void
put_answer(Subject *subject, ReturnSetInfo *answer, const char *source, Datum name, int64 rows)
{
	Datum		values[3];
	bool		nulls[3] = {false};

	subject->n_found += rows;
	values[0] = CStringGetTextDatum(source);
	values[1] = name;
	values[2] = Int64GetDatum(rows);
	tuplestore_putvalues(answer->setResult, answer->setDesc, values, nulls);
}

/*
 * Say which landing objects still name the person, or a device of theirs, and
 * with how many records.  Objects that are known not to are not read.  The
 * records stay, as the relation of that name.
 */
static void
answer_objects(Subject *subject, ReturnSetInfo *answer, ZoneTableId id, const char *name,
			   const ZoneKeys *keys)
{
	ZoneRun    *run = subject->run;
	bool		devices = (id == ZONE_STEP_TRAINER_CURATED);
	ZoneRecordWish wish = {.rejects = true,.keys = keys};
	StediHashes names;
	ZoneQueryRows rows;
	Datum		values[2];
	bool		nulls[2];

	stedi_hashes_begin(&names);
	for (int i = 0; i < keys->n; i++)
		(void) stedi_hashes_add(&names, stedi_consent_name_hash(run->seed, keys->keys[i], false));
	if (keys->n > 0)
	{
		stedi_zone_object_want_new(run, id);
		stedi_zone_object_want_rejects(run, id);
	}
	if (run->form_before != STEDI_EMAIL_FORM)
		stedi_zone_object_want_all(run, id);
	(void) stedi_zone_object_want(run, id, devices ? NULL : &names, devices ? &names : NULL);
	wish.listing = stedi_zone_object_choose(run, id);
	stedi_zone_record_keep(run, name, id, &wish);
	stedi_zone_query_open(&rows, psprintf("SELECT o.key, count(*) FROM %s c"
										  " JOIN %s_object o ON o.object = c.object"
										  " GROUP BY o.key ORDER BY o.key", name, name), "tl");
	while (stedi_zone_query_fetch(&rows, lengthof(values), values, nulls))
		put_answer(subject, answer, "object", values[0], DatumGetInt64(values[1]));
	stedi_zone_query_close(&rows);
}

/* Say where their records are. */
static void
answer_landing(Subject *subject, ReturnSetInfo *answer)
{
	ZoneRun    *run = subject->run;
	ZoneKeys   *person = stedi_zone_record_keys(run, "SELECT key FROM forgotten_person");

	run->vanished = ZONE_VANISHED_REMOVE;	/* however many have */
	stedi_zone_object_compare(run);
	answer_objects(subject, answer, ZONE_CUSTOMER_TRUSTED, "their_record", person);
	answer_objects(subject, answer, ZONE_ACCELEROMETER_TRUSTED, "their_movement", person);

	/*
	 * devices that they hold or once held, no matter who has them now: as
	 * subject has it
	 */
	answer_objects(subject, answer, ZONE_STEP_TRAINER_CURATED, "their_step",
				   stedi_zone_record_keys(run, "SELECT key FROM forgotten_device"
										  " UNION SELECT serialnumber FROM their_record"
										  " WHERE serialnumber <> ''"));
}

/* Nothing names the person: perhaps the e-mail is spelled otherwise. */
static void
report_unknown(const Subject *subject)
{
	ereport(NOTICE,
			errmsg("no row of schema \"%s\" and no landing record has that e-mail",
				   subject->run->target_name),
			errdetail("Whoever lands under it is kept out from now on."),
			errhint("Check how it is spelled: another character that looks the same makes another "
					"e-mail. %s tells whether there are such.",
					stedi_zone_query_call(subject->run, "quality", "")));
}

/* A subject, and where to answer what the landing zone has of them. */
typedef struct LandingAnswer
{
	Subject    *subject;
	ReturnSetInfo *answer;
} LandingAnswer;

static void
landing_steps(ZoneRun *run, void *arg)
{
	const LandingAnswer *landing = arg;
	int			n_kept = list_length(run->kept);

	answer_landing(landing->subject, landing->answer);
	while (list_length(run->kept) > n_kept)
		stedi_zone_query_drop(run);
}

/*
 * The same, in a subtransaction: the rows are removed even when the landing
 * zone cannot be read.
 */
static void
try_answer_landing(Subject *subject, ReturnSetInfo *answer)
{
	LandingAnswer landing = {subject, answer};
	int			n_kept = list_length(subject->run->kept);
	ErrorData  *error = stedi_zone_try(subject->run, landing_steps, &landing, false);

	if (error == NULL)
	{
		if (subject->n_found == 0)
			report_unknown(subject);
		return;
	}
	stedi_zone_query_abandon(subject->run, n_kept);
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		ReThrowError(error);
	ereport(WARNING,
			errmsg("not all landing objects are named that still hold records of the person"),
			errdetail("The landing zone could not be read: %s.", error->message),
			errhint("Their rows are removed. "
					"Call stedi.forget once more to have the objects named."));
}

static void
forget_steps(ZoneRun *run, void *arg)
{
	FunctionCallInfo fcinfo = arg;
	ReturnSetInfo *answer = (ReturnSetInfo *) fcinfo->resultinfo;
	Subject		subject;
	const char *reason = text_to_cstring(PG_GETARG_TEXT_PP(2));

	begin_steps(run);
	for (int id = 0; id < ZONE_N_TABLES; id++)
		run->wanted[id] = true;
	stedi_zone_check_landing(run);
	find_subject(&subject, run, PG_GETARG_TEXT_PP(1));
	if (execute(&subject,
				"UPDATE {books}.stedi_forgotten SET lifted = NULL, pending = true, reason = $3"
				" WHERE who = $1 AND name = $2", reason) == 0)
		(void) execute(&subject,
					   "INSERT INTO {books}.stedi_forgotten"
					   " VALUES ($1, $2, $4, $3, pg_catalog.now(), NULL, true)",
					   reason);
	remove_rows(&subject);
	write_entry(&subject, "forgotten");
	stedi_zone_book_settle(run);
	for (int id = 0; id < ZONE_N_TABLES; id++)
		put_answer(&subject, answer, "table", CStringGetTextDatum(stedi_zone_tables[id].name),
				   run->report[id].rows_out);
	try_answer_landing(&subject, answer);
	stedi_zone_query_forget(run);
}

/*
 * forget(target regnamespace, email text, reason text, landing regnamespace)
 *		-> setof (source text, name text, rows bigint)
 */
Datum
forget(PG_FUNCTION_ARGS)
{
	ZoneRun    *run;
	char	   *reason;

	stedi_zone_session_need_argument(fcinfo, 0, "target");
	stedi_zone_session_need_argument(fcinfo, 1, "email");
	stedi_zone_session_need_argument(fcinfo, 2, "reason");
	reason = text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (stedi_form_choice(reason, reasons) < 0)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("invalid value for argument \"reason\""),	/* it may be the e-mail */
				errhint("%s", stedi_near_hint(reason, reasons,
											  "Give one of: not_needed, consent_withdrawn, "
											  "objection, unlawful, legal_obligation, child.")));
	InitMaterializedSRF(fcinfo, 0);
	run = stedi_zone_begin_run(fcinfo, PG_GETARG_OID(0), 3);
	stedi_zone_run(run, forget_steps, fcinfo);
	return (Datum) 0;
}

static void
unforget_steps(ZoneRun *run, void *arg)
{
	FunctionCallInfo fcinfo = arg;
	Subject		subject;

	begin_steps(run);
	find_subject(&subject, run, PG_GETARG_TEXT_PP(1));
	fcinfo->isnull = execute(&subject,
							 "UPDATE {books}.stedi_forgotten"
							 " SET lifted = pg_catalog.now(), pending = true"
							 " WHERE who = $1 AND name = $2 AND lifted IS NULL", NULL) == 0;
	if (fcinfo->isnull)
		return;
	write_entry(&subject, "unforgotten");
	stedi_zone_book_settle(run);
	stedi_zone_query_forget(run);
}

/*
 * unforget(target regnamespace, email text) -> boolean: was the person
 * forgotten?
 */
Datum
unforget(PG_FUNCTION_ARGS)
{
	bool		found;

	stedi_zone_session_need_argument(fcinfo, 0, "target");
	stedi_zone_session_need_argument(fcinfo, 1, "email");
	stedi_zone_run(stedi_zone_begin_run(fcinfo, PG_GETARG_OID(0), -1), unforget_steps, fcinfo);
	found = !fcinfo->isnull;
	fcinfo->isnull = false;
	PG_RETURN_BOOL(found);
}
