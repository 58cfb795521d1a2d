/*-------------------------------------------------------------------------
 *
 * audit.c
 *		The five tables against the rules, worked out anew.
 *
 * For whoever has to answer for the tables: doc/rules.md a further time, in
 * SQL of its own, from the landing zone on.  It shares the scan with what
 * writes the tables, and no thought: neither its queries nor its consent
 * sets.  Where the two differ, one of them is wrong, or somebody else wrote.
 *
 *	 customer_record -> standing, decider -> insider, device
 *	 movement + insider			 -> movement_due -> reader
 *	 device + insider + reader	 -> holding
 *	 step + holding				 -> step_due
 *
 * Everything is a relation that spills to a temporary file, or a query's sort
 * or hash table within work_mem.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "run/run.h"
#include "commands/commands.h"

/* The arguments. */
enum
{
	ARG_TARGET,
	ARG_LANDING,
};

PG_FUNCTION_INFO_V1(audit);

/*
 * What all records of an e-mail say of it together; is_out by rule 3, that
 * one of them is undated or of the future, or 4, that a reject may be newer
 * than all of them.
 */
static const char *const standing_query =
"SELECT email, newest, coalesce(undated, false) OR"
"   (n_rejects > 0 AND (undated_reject OR newest IS NULL OR newest_reject >= newest)) AS is_out"
" FROM (SELECT email,"
"   max(lastupdatedate) FILTER (WHERE NOT rejected) AS newest,"
"   bool_or(lastupdatedate IS NULL OR lastupdatedate > {now}) FILTER (WHERE NOT rejected) AS undated,"
"   count(*) FILTER (WHERE rejected) AS n_rejects,"
"   max(lastupdatedate) FILTER (WHERE rejected) AS newest_reject,"
"   bool_or(lastupdatedate IS NULL) FILTER (WHERE rejected) AS undated_reject"
"   FROM customer_record WHERE email IS NOT NULL GROUP BY email) s";

/* Rule 1: the record that decides. */
static const char *const decider_query =
"SELECT DISTINCT ON (email) customername, email, phone, birthday, serialnumber, registrationdate,"
"   lastupdatedate, sharewithresearchasofdate, sharewithpublicasofdate, sharewithfriendsasofdate,"
"   coalesce(sharewithresearchasofdate > 0 AND sharewithresearchasofdate <= {now}, false) AS in_force,"
"   object, byte_offset"
" FROM customer_record WHERE NOT rejected"
" ORDER BY email, lastupdatedate DESC NULLS LAST,"
"   coalesce(sharewithresearchasofdate > 0 AND sharewithresearchasofdate <= {now}, false),"
"   sharewithresearchasofdate DESC NULLS FIRST, serialnumber DESC NULLS FIRST,"
"   registrationdate DESC NULLS FIRST, customername DESC NULLS FIRST, phone DESC NULLS FIRST,"
"   birthday DESC NULLS FIRST, sharewithpublicasofdate DESC NULLS FIRST,"
"   sharewithfriendsasofdate DESC NULLS FIRST";

/* Customers who are in, as customer_trusted must have them. */
static const char *const insider_query =
"SELECT d.customername, d.email, d.phone, stedi.birthday(d.birthday) AS birthday, d.serialnumber,"
"   stedi.epoch_ms(d.registrationdate) AS registrationdate,"
"   stedi.epoch_ms(d.lastupdatedate) AS lastupdatedate,"
"   stedi.epoch_ms(d.sharewithresearchasofdate) AS sharewithresearchasofdate,"
"   stedi.epoch_ms(d.sharewithpublicasofdate) AS sharewithpublicasofdate,"
"   stedi.epoch_ms(d.sharewithfriendsasofdate) AS sharewithfriendsasofdate"
" FROM decider d JOIN standing s ON s.email = d.email"
" WHERE d.in_force AND NOT s.is_out";

static const char *const not_forgotten =
" AND NOT EXISTS (SELECT FROM {books}.stedi_forgotten f WHERE f.lifted IS NULL"
"   AND f.who = stedi.keyed_hash((SELECT key FROM {books}.stedi_key), d.email))"
" AND d.email NOT IN (SELECT y.email FROM formerly y"
"   JOIN {books}.stedi_forgotten f ON f.who = y.who WHERE f.lifted IS NULL)";

/* stedi 1.0 knew people by another form of the e-mail that one of their records has. */
static const char *const spelling_query =
"SELECT DISTINCT email, landed AS spelling FROM customer_record"
" WHERE email IS NOT NULL AND landed ~ '[^ -~]'";

/* Of each device and customer: is it theirs, or was it once? */
static const char *const claim_query =
"SELECT serialnumber, email, bool_or(holds) AS holds FROM ("
"     SELECT serialnumber, email, true AS holds FROM decider"
"     UNION ALL"
"     SELECT r.serialnumber, r.email, CASE WHEN r.rejected"
"         THEN r.lastupdatedate IS NULL OR s.newest IS NULL OR r.lastupdatedate >= s.newest"
"         ELSE r.lastupdatedate IS NULL OR r.lastupdatedate > {now} END"
"     FROM customer_record r JOIN standing s ON s.email = r.email) c"
"   WHERE serialnumber <> '' GROUP BY serialnumber, email";

/* Devices that one customer holds; handed_on: another has held it. */
static const char *const device_query =
"SELECT serialnumber, min(email) FILTER (WHERE holds) AS holder, count(*) > 1 AS handed_on"
" FROM claim GROUP BY serialnumber HAVING count(*) FILTER (WHERE holds) = 1";

/* Whose steps count: those of customer_curated, from when on a device is theirs. */
static const char *const holding_query =
"SELECT d.serialnumber, d.holder, i.sharewithresearchasofdate,"
"   CASE WHEN d.handed_on THEN coalesce(i.registrationdate, 'infinity')"
"        ELSE '-infinity' END AS owned_since"
" FROM device d JOIN insider i ON i.email = d.holder JOIN reader r ON r.email = d.holder";

/* Readings; %s: and those of the table itself, or nothing. */
static const char *const movement_query =
"SELECT DISTINCT m.email, m.\"timestamp\", m.x, m.y, m.z"
" FROM (SELECT email, stedi.epoch_ms(\"timestamp\") AS \"timestamp\", x, y, z FROM movement%s) m"
" JOIN insider i ON i.email = m.email"
" WHERE NOT {since_rule} OR m.\"timestamp\" >= i.sharewithresearchasofdate";

static const char *const kept_movements =
" UNION ALL SELECT email COLLATE \"C\", \"timestamp\", x, y, z FROM {accelerometer_trusted}";

static const char *const step_query =
"SELECT DISTINCT s.sensorreadingtime, s.serialnumber, s.distancefromobject, h.holder"
" FROM (SELECT stedi.epoch_ms(sensorreadingtime) AS sensorreadingtime, serialnumber,"
"     distancefromobject FROM step%s) s"
" JOIN holding h ON h.serialnumber = s.serialnumber"
" WHERE s.sensorreadingtime >= h.owned_since"
"   AND (NOT {since_rule} OR s.sensorreadingtime >= h.sharewithresearchasofdate)";

static const char *const kept_steps =
" UNION ALL SELECT sensorreadingtime, serialnumber COLLATE \"C\", distancefromobject"
"   FROM {step_trainer_curated}";

#define CUSTOMER_ROW \
	"customername COLLATE \"C\", email COLLATE \"C\", phone COLLATE \"C\", birthday, " \
	"serialnumber COLLATE \"C\", registrationdate, lastupdatedate, " \
	"sharewithresearchasofdate, sharewithpublicasofdate, sharewithfriendsasofdate"

/* What each table must hold: its columns, and from where. */
static const struct
{
	const char *columns;
	const char *due;
}			expected[ZONE_N_TABLES] = {
	{CUSTOMER_ROW, "insider"},
	{"email COLLATE \"C\", \"timestamp\", x, y, z", "movement_due"},
	{CUSTOMER_ROW, "(SELECT i.* FROM insider i JOIN reader r ON r.email = i.email) i"},
	{"sensorreadingtime, serialnumber COLLATE \"C\", distancefromobject", "step_due"},
	{"serialnumber COLLATE \"C\", sensorreadingtime, distancefromobject, x, y, z",
		"(SELECT s.serialnumber, s.sensorreadingtime, s.distancefromobject, m.x, m.y, m.z"
		" FROM step_due s JOIN movement_due m ON m.\"timestamp\" = s.sensorreadingtime"
	"   AND (m.email = s.holder OR {match_time})) m"},
};

/*
 * Two multisets: rows of the table count for, rows that must be there count
 * against.  Equal rows are one group, NULL is NULL and -0 is 0.
 */
static const char *const compare_query =
"SELECT '%1$s'::text, CASE WHEN surplus > 0 THEN 'not covered' ELSE 'missing' END,"
"   to_jsonb(d) - 'surplus'"
" FROM (SELECT %2$s, sum(n) AS surplus"
"   FROM (SELECT %3$s, 1 AS n FROM {%1$s} UNION ALL SELECT %3$s, -1 FROM %4$s) u"
"   GROUP BY %2$s HAVING sum(n) <> 0) d,"
"   generate_series(1, abs(surplus))";

static void
compare_table(const ZoneSession *session, ZoneTableId id)
{
	const ZoneTable *table = &stedi_zone_tables[id];
	const char *due = expected[id].due;

	/*
	 * readings that an expectation drops are not due; pairs are yet to be
	 * asked about
	 */
	if (id == ZONE_MACHINE_LEARNING_CURATED && stedi_zone_expect_drops(session->run, id))
	{
		stedi_zone_expect_keep(session->run, id, "pair_due",
							   stedi_zone_query_expand(session->run, psprintf("SELECT * FROM %s", due)));
		due = "pair_due";
	}
	stedi_zone_session_answer(session, psprintf(compare_query, table->name, table->column_names,
												expected[id].columns, due));
}

/* Is anybody forgotten?  Then it must be known by what key. */
static bool
forgets(const ZoneSession *session)
{
	if (!stedi_zone_session_has_book(session, ZONE_BOOK_FORGOTTEN) ||
		stedi_zone_session_text(session, "SELECT 'yes' FROM {books}.stedi_forgotten"
								" WHERE lifted IS NULL LIMIT 1") == NULL)
		return false;
	if (!stedi_zone_session_has_book(session, ZONE_BOOK_KEY) ||
		stedi_zone_session_text(session, "SELECT 'yes' FROM {books}.stedi_key"
								" HAVING count(key) = 1") == NULL)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("who is forgotten in schema \"%s\" cannot be told: the key in table \"stedi_key\" is gone",
					   session->run->target_name),
				errhint("Restore that table from a backup."));
	return true;
}

/* Has a run kept readings of objects of this landing table that are no more? */
static bool
keeps_vanished(const ZoneSession *session, ZoneTableId id)
{
	return stedi_zone_session_has_book(session, ZONE_BOOK_OBJECT) &&
		stedi_zone_session_text(session, psprintf("SELECT 'yes' FROM {books}.stedi_object"
												  " WHERE vanished AND table_name = '%s' LIMIT 1",
												  stedi_zone_tables[id].landing)) != NULL;
}

/* What the table's rows are expected to be like: where nothing is, it may not be written down. */
static void
read_expectations(const ZoneSession *session)
{
	if (stedi_zone_session_has_book(session, ZONE_BOOK_EXPECTATION))
		stedi_zone_expect_read(session->run);
}

/* Keep the answer of a template's query. */
static void
keep(const ZoneSession *session, const char *name, const char *template)
{
	stedi_zone_query_keep(session->run, name, stedi_zone_query_expand(session->run, template));
}

/* The same of readings that are due in a table, but for those that an expectation drops. */
static void
keep_due(const ZoneSession *session, const char *name, ZoneTableId id, const char *template)
{
	stedi_zone_expect_keep(session->run, id, name, stedi_zone_query_expand(session->run, template));
}

void
stedi_zone_audit_people(const ZoneSession *session)
{
	ZoneRecordWish wish = {.rejects = true,.places = true};

	stedi_zone_record_keep(session->run, "customer_record", ZONE_CUSTOMER_TRUSTED, &wish);
	stedi_zone_audit_judge(session);
}

void
stedi_zone_audit_judge(const ZoneSession *session)
{
	bool		any_forgotten = forgets(session);

	if (any_forgotten)
		stedi_zone_former_keep(session->run, "formerly", spelling_query);
	keep(session, "standing", standing_query);
	keep(session, "decider", decider_query);
	if (any_forgotten)
		stedi_zone_store_keep(session->run, "insider", psprintf("%s%s", insider_query, not_forgotten));
	else
		keep(session, "insider", insider_query);
	keep(session, "claim", claim_query);
	keep(session, "device", device_query);
}

/*
 * Of readings whose objects are no more, the table alone tells: where a run
 * has kept such, what is in the table counts as read.
 */
static void
read_readings(const ZoneSession *session)
{
	ZoneRecordWish wish = {0};

	stedi_zone_record_keep(session->run, "movement", ZONE_ACCELEROMETER_TRUSTED, &wish);
	keep_due(session, "movement_due", ZONE_ACCELEROMETER_TRUSTED,
			 psprintf(movement_query,
					  keeps_vanished(session, ZONE_ACCELEROMETER_TRUSTED) ? kept_movements : ""));
	keep(session, "reader", "SELECT DISTINCT email FROM movement_due");
	keep(session, "holding", holding_query);
	stedi_zone_record_keep(session->run, "step", ZONE_STEP_TRAINER_CURATED, &wish);
	keep_due(session, "step_due", ZONE_STEP_TRAINER_CURATED,
			 psprintf(step_query,
					  keeps_vanished(session, ZONE_STEP_TRAINER_CURATED) ? kept_steps : ""));
}

/*
 * audit(target regnamespace, landing regnamespace)
 *		-> (table_name text, problem text, contents jsonb)
 */
Datum
audit(PG_FUNCTION_ARGS)
{
	static const bool all[ZONE_N_TABLES] = {true, true, true, true, true};
	ZoneSession session;

	stedi_zone_session_need_argument(fcinfo, ARG_TARGET, "target");
	stedi_zone_session_begin(&session, fcinfo, PG_GETARG_OID(ARG_TARGET), ARG_LANDING, all);
	for (int id = 0; id < ZONE_N_TABLES; id++)
		stedi_zone_session_need_table(&session, id);
	stedi_zone_session_need_rule(&session);
	read_expectations(&session);
	stedi_zone_audit_people(&session);
	read_readings(&session);
	for (int id = 0; id < ZONE_N_TABLES; id++)
		compare_table(&session, id);
	stedi_zone_session_end(&session);
	return (Datum) 0;
}
