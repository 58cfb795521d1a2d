/*-------------------------------------------------------------------------
 *
 * audit.c
 *		The five tables compared with the rules, worked out anew.
 *
 * It implements doc/rules.md a second time, in SQL of its own, from the
 * landing zone on.  It shares the scan with what writes the tables, but
 * neither queries nor consent sets.  Where the two differ, one of them is
 * wrong, or rows were written by other means than a run.
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
#include "run/expect.h"
#include "run/run.h"

/* The arguments. */
enum
{
	ARG_TARGET,
	ARG_LANDING,
};

PG_FUNCTION_INFO_V1(audit);

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
 * Compare two multisets: a row of the table counts 1, a row that must be there
 * -1.  Equal rows are one group; NULL is NULL and -0 is 0.
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
	 * readings that an expectation drops are not due; pairs have not been
	 * checked yet
	 */
	if (id == ZONE_MACHINE_LEARNING_CURATED && stedi_zone_expect_drops(session->run, id))
	{
		stedi_zone_expect_keep(session->run, id, "pair_due",
							   stedi_zone_query_expand(session->run,
													   psprintf("SELECT * FROM %s", due)));
		due = "pair_due";
	}
	stedi_zone_session_answer(session, psprintf(compare_query, table->name, table->column_names,
												expected[id].columns, due));
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

/* The same of readings that are due in a table, but for those that an expectation drops. */
static void
keep_due(const ZoneSession *session, const char *name, ZoneTableId id, const char *template)
{
	stedi_zone_expect_keep(session->run, id, name, stedi_zone_query_expand(session->run, template));
}

/*
 * Readings whose objects have vanished are in the table alone: where a run has
 * kept such readings, what is in the table counts as read.
 */
static void
read_readings(const ZoneSession *session)
{
	ZoneRecordWish wish = {0};

	stedi_zone_record_keep(session->run, "movement", ZONE_ACCELEROMETER_TRUSTED, &wish);
	keep_due(session, "movement_due", ZONE_ACCELEROMETER_TRUSTED,
			 psprintf(movement_query,
					  keeps_vanished(session, ZONE_ACCELEROMETER_TRUSTED) ? kept_movements : ""));
	stedi_zone_query_keep_template(session->run, "reader",
								   "SELECT DISTINCT email FROM movement_due");
	stedi_zone_query_keep_template(session->run, "holding", holding_query);
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
