/*-------------------------------------------------------------------------
 *
 * tables.c
 *		The five tables: their columns, their rows, and what they lose.
 *
 * doc/rules.md, "The five tables", in SQL.  Each table has a query for its
 * rows, and a statement that takes out what a run of another step no longer
 * covers.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "storage/storage.h"
#include "readings/readings.h"
#include "run/run.h"

#include "access/table.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#define CUSTOMER_COLUMNS \
	"customername text, email text, phone text, birthday date, serialnumber text, " \
	"registrationdate timestamp with time zone, lastupdatedate timestamp with time zone, " \
	"sharewithresearchasofdate timestamp with time zone, " \
	"sharewithpublicasofdate timestamp with time zone, " \
	"sharewithfriendsasofdate timestamp with time zone"

#define CUSTOMER_COLUMN_NAMES \
	"customername, email, phone, birthday, serialnumber, registrationdate, lastupdatedate, " \
	"sharewithresearchasofdate, sharewithpublicasofdate, sharewithfriendsasofdate"

const ZoneTable stedi_zone_tables[ZONE_N_TABLES] = {
	{
		"customer_trusted", CUSTOMER_COLUMNS, CUSTOMER_COLUMN_NAMES,
		"customer_landing", "materialize_customer_trusted", NULL, "email", NULL,
		"Customers whose newest record consents to research; one row a customer (e-mail in lower case)"
	},
	{
		"accelerometer_trusted",
		"email text, \"timestamp\" timestamp with time zone, x double precision, y double precision, z double precision",
		"email, \"timestamp\", x, y, z",
		"accelerometer_landing", "materialize_accelerometer_trusted", "email", "email", "\"timestamp\"",
		"Accelerometer readings of the customers in customer_trusted"
	},
	{
		"customer_curated", CUSTOMER_COLUMNS, CUSTOMER_COLUMN_NAMES,
		NULL, "materialize_customer_curated", NULL, "email", NULL,
		"Customers of customer_trusted who have readings in accelerometer_trusted"
	},
	{
		"step_trainer_curated",
		"sensorreadingtime timestamp with time zone, serialnumber text, distancefromobject integer",
		"sensorreadingtime, serialnumber, distancefromobject",
		"step_trainer_landing", "materialize_step_trainer_curated", "serialnumber", "serialnumber", "sensorreadingtime",
		"Step trainer readings of the devices of customer_curated; serialnumber is a pseudonym, not anonymity"
	},
	{
		"machine_learning_curated",
		"serialnumber text, sensorreadingtime timestamp with time zone, distancefromobject integer, x double precision, y double precision, z double precision",
		"serialnumber, sensorreadingtime, distancefromobject, x, y, z",
		NULL, "materialize_machine_learning_curated", "serialnumber", "serialnumber", "sensorreadingtime",
		"Each step reading with each accelerometer reading of the same customer at the same time: a row is a pair; serialnumber is a pseudonym, not anonymity"
	},
};

/* What psql's \\d+ says of the columns, which mean the same wherever they are. */
static const struct
{
	const char *column;
	const char *comment;
}			column_comments[] =

{
	{"customername", "name as landed; personal"},
	{"email", "e-mail in its normal form, as stedi.normalize_email gives it: who it is; personal"},
	{"phone", "telephone as landed; personal"},
	{"birthday", "date of birth; NULL where it landed as no date; personal"},
	{"serialnumber", "the step trainer: a pseudonym of its holder"},
	{"registrationdate", "when the customer registered"},
	{"lastupdatedate", "when the record was written that decides"},
	{"sharewithresearchasofdate", "since when research may use the readings"},
	{"sharewithpublicasofdate", "since when the public may; NULL: never"},
	{"sharewithfriendsasofdate", "since when friends may; NULL: never"},
	{"timestamp", "when the phone measured it"},
	{"x", "acceleration along x, as landed"},
	{"y", "acceleration along y, as landed"},
	{"z", "acceleration along z, as landed"},
	{"sensorreadingtime", "when the step trainer measured it"},
	{"distancefromobject", "distance that the step trainer measured, as landed"},
};

/* What holds of a reading that consent covers. */
#define MOVEMENT_COVERED "stedi.consents({person_set}, email, stedi.epoch_ms(\"timestamp\"))"
#define STEP_COVERED "stedi.consents({device_set}, serialnumber, stedi.epoch_ms(sensorreadingtime))"

static const char *const customer_trusted_rows =
"SELECT customername, email, phone, stedi.birthday(birthday) AS birthday, serialnumber,"
" stedi.epoch_ms(registrationdate), stedi.epoch_ms(lastupdatedate),"
" stedi.epoch_ms(sharewithresearchasofdate), stedi.epoch_ms(sharewithpublicasofdate),"
" stedi.epoch_ms(sharewithfriendsasofdate) FROM person WHERE granted";

static const char *const customer_curated_rows =
"SELECT " CUSTOMER_COLUMN_NAMES " FROM {customer_trusted} t"
" WHERE EXISTS (SELECT FROM {reader} r WHERE r.email = t.email)";

/* Where rows stay whose objects have vanished, those who have such have readings, too. */
static const char *const customer_curated_kept_rows =
"SELECT " CUSTOMER_COLUMN_NAMES " FROM {customer_trusted} t"
" WHERE EXISTS (SELECT FROM {reader} r WHERE r.email = t.email) OR email IN ("
"   SELECT email FROM {accelerometer_trusted} WHERE " MOVEMENT_COVERED ")";

static const char *const machine_learning_curated_rows =
"SELECT s.serialnumber, s.sensorreadingtime, s.distancefromobject, a.x, a.y, a.z"
" FROM {step_trainer_curated} s"
" JOIN {customer_curated} c ON c.serialnumber = s.serialnumber"
" JOIN {accelerometer_trusted} a ON a.email = c.email AND a.\"timestamp\" = s.sensorreadingtime";

static const char *const machine_learning_by_time_rows =
"SELECT s.serialnumber, s.sensorreadingtime, s.distancefromobject, a.x, a.y, a.z"
" FROM {step_trainer_curated} s"
" JOIN {accelerometer_trusted} a ON a.\"timestamp\" = s.sensorreadingtime";

/* What a run of other steps takes out of each table t: what holds of such rows. */
static const char *const prunes[ZONE_N_TABLES] = {
	"NOT EXISTS (SELECT FROM person p WHERE p.email = t.email AND p.granted)",

	"NOT " MOVEMENT_COVERED,

	"NOT EXISTS (SELECT FROM {customer_trusted} c"
	"   JOIN (SELECT DISTINCT email FROM {accelerometer_trusted}) a ON a.email = c.email"
	"   WHERE c.email = t.email"
	"   AND c.serialnumber IS NOT DISTINCT FROM t.serialnumber"
	"   AND c.sharewithresearchasofdate = t.sharewithresearchasofdate)",

	"NOT " STEP_COVERED,

	"NOT EXISTS ("
	" SELECT FROM {step_trainer_curated} s"
	" JOIN {customer_curated} c ON c.serialnumber = s.serialnumber"
	" JOIN {accelerometer_trusted} a ON a.\"timestamp\" = s.sensorreadingtime"
	"   AND (a.email = c.email OR {match_time})"
	" WHERE s.serialnumber = t.serialnumber AND s.sensorreadingtime = t.sensorreadingtime"
	"   AND s.distancefromobject IS NOT DISTINCT FROM t.distancefromobject"
	"   AND a.x IS NOT DISTINCT FROM t.x AND a.y IS NOT DISTINCT FROM t.y"
	"   AND a.z IS NOT DISTINCT FROM t.z)",
};

/* The query whose rows the table holds, unless it is made of readings. */
static const char *
rows_query(const ZoneRun *run, ZoneTableId id)
{
	switch (id)
	{
		case ZONE_CUSTOMER_TRUSTED:
			return customer_trusted_rows;
		case ZONE_CUSTOMER_CURATED:
			if (stedi_zone_keeps_rows(run) && OidIsValid(run->relid[ZONE_ACCELEROMETER_TRUSTED]))
				return customer_curated_kept_rows;
			return customer_curated_rows;
		default:
			return run->match_time ? machine_learning_by_time_rows
				: machine_learning_curated_rows;
	}
}

const char *
stedi_zone_table_covered(ZoneTableId id)
{
	return id == ZONE_ACCELEROMETER_TRUSTED ? MOVEMENT_COVERED :
		id == ZONE_STEP_TRAINER_CURATED ? STEP_COVERED : NULL;
}

void
stedi_zone_table_report_kept(ZoneTableId id, int64 n_rows)
{
	if (n_rows > 0)
		ereport(NOTICE,
				errmsg_plural("%s keeps %lld row that is in no landing object any more",
							  "%s keeps %lld rows that are in no landing object any more",
							  (unsigned long) n_rows, stedi_zone_tables[id].name, (long long) n_rows));
}

char *
stedi_zone_table_comment(const ZoneRun *run, ZoneTableId id)
{
	const char *text = stedi_zone_tables[id].comment;

	if (id == ZONE_MACHINE_LEARNING_CURATED && run->match_time)
		text = "Each step reading with each accelerometer reading of anybody at the same time: a row may pair one person's steps with another's movements; serialnumber is a pseudonym, not anonymity";
	return psprintf("%s. Made by stedi.materialize with consent => '%s'.", text, run->consent);
}

void
stedi_zone_table_comment_columns(const ZoneRun *run, ZoneTableId id)
{
	StringInfoData statements;
	Relation	relation = table_open(run->relid[id], AccessShareLock);
	const char *table = quote_qualified_identifier(run->target_name, stedi_zone_tables[id].name);

	initStringInfo(&statements);
	for (int i = 0; i < RelationGetDescr(relation)->natts; i++)
	{
		const char *column = NameStr(TupleDescAttr(RelationGetDescr(relation), i)->attname);

		for (int j = 0; j < (int) lengthof(column_comments); j++)
			if (strcmp(column, column_comments[j].column) == 0)
				appendStringInfo(&statements, "COMMENT ON COLUMN %s.%s IS %s;", table, quote_identifier(column),
								 quote_literal_cstr(column_comments[j].comment));
	}
	table_close(relation, NoLock);
	stedi_zone_query_run(statements.data);
}

void
stedi_zone_table_report_readings(ZoneRun *run, ZoneTableId id)
{
	ZoneReport *report = &run->report[id];
	const StediScanStats *stats = &run->source[id].stats;

	report->superseded = 0;
	report->unknown_owner = (int64) stats->standings[STEDI_STANDING_UNKNOWN];
	report->no_consent = (int64) stats->standings[STEDI_STANDING_NONE];
	report->without_readings = (int64) stats->standings[STEDI_STANDING_WITHOUT_READINGS];
	report->ambiguous = (int64) (stats->standings[STEDI_STANDING_AMBIGUOUS] +
								 stats->standings[STEDI_STANDING_HANDED_ON]);
	report->forgotten = (int64) stats->standings[STEDI_STANDING_FORGOTTEN];
	report->before_consent = (int64) (stats->standings[STEDI_STANDING_BEFORE] + stats->older);
	report->duplicates = (int64) stats->returned - report->unchanged - report->unexpected - report->kept;
}

void
stedi_zone_table_report_older(ZoneRun *run, ZoneTableId id, const char *rows)
{
	int64		n_older = run->report[id].older;

	if (rows != NULL && !run->since)
		n_older = stedi_zone_query_count(stedi_zone_query_expand(run, psprintf(id == ZONE_ACCELEROMETER_TRUSTED ?
																			   "SELECT FROM %s r JOIN {customer_trusted} c ON c.email = r.email"
																			   " WHERE r.\"timestamp\" < c.sharewithresearchasofdate" :
																			   "SELECT FROM %s r JOIN {customer_curated} c ON c.serialnumber = r.serialnumber"
																			   " WHERE r.sensorreadingtime < c.sharewithresearchasofdate", rows)));
	if (n_older > 0)
		ereport(NOTICE,
				errmsg_plural("%s keeps %lld reading that is older than its customer's consent",
							  "%s keeps %lld readings that are older than their customer's consent",
							  (unsigned long) n_older,
							  stedi_zone_tables[id].name, (long long) n_older),
				errhint("The rule consent => 'since_consent' leaves them out."));
	if (id == ZONE_STEP_TRAINER_CURATED)
		stedi_zone_share_warn(run);
}

void
stedi_zone_table_report_customers(ZoneRun *run)
{
	ZoneReport *report = &run->report[ZONE_CUSTOMER_TRUSTED];
	int64		n_refused;

	report->before_consent = report->unknown_owner = report->ambiguous = 0;
	report->without_readings = report->duplicates = 0;

	/* of the rows that the run has made */
	stedi_zone_query_values(psprintf("SELECT count(*) FROM person WHERE granted AND birthday IS NOT NULL"
									 " AND stedi.birthday(birthday) IS NULL AND %s",
									 run->renew ? "who IN (SELECT who FROM change WHERE is_in AND differs)" :
									 "true"), 1, &n_refused);
	if (n_refused > 0)
		ereport(NOTICE,
				errmsg_plural("%lld birthday in customer_trusted is NULL, as it is no date",
							  "%lld birthdays in customer_trusted are NULL, as they are no dates",
							  (unsigned long) n_refused, (long long) n_refused));
}

/* Make the rows of a table that is made of others. */
static void
build_by_query(ZoneRun *run, ZoneTableId id)
{
	bool		drops = stedi_zone_expect_drops(run, id);
	const char *query;

	(void) stedi_zone_write_begin(run, id);
	query = stedi_zone_query_expand(run, rows_query(run, id));
	if (id == ZONE_MACHINE_LEARNING_CURATED)
		run->report[id].unexpected = 0;
	if (drops)
	{
		stedi_zone_expect_keep(run, id, "expected_row", query);
		query = psprintf("SELECT %s FROM expected_row", stedi_zone_tables[id].column_names);
	}
	stedi_zone_write_query(run, id, query);
	stedi_zone_write_end(run, id);
}

/*
 * Make the rows.  In a run of all five tables, those of the readings are
 * built together, once all is read.
 */
static void
build_rows(ZoneRun *run, ZoneTableId id)
{
	bool		reads = (id == ZONE_ACCELEROMETER_TRUSTED || id == ZONE_STEP_TRAINER_CURATED);
	bool		last = (id == ZONE_MACHINE_LEARNING_CURATED && run->load != NULL);
	bool		pairs = last && !run->match_time && !stedi_zone_keeps_rows(run);

	if (reads)
		stedi_zone_load_read(run, id);
	if (id == ZONE_ACCELEROMETER_TRUSTED && run->all)
		stedi_zone_load_keep_readers(run);
	if ((reads && !run->all) || last)
		stedi_zone_load_build(run, pairs);
	if (!reads && !pairs)
		build_by_query(run, id);
}

void
stedi_zone_table_build(ZoneRun *run, ZoneTableId id)
{
	build_rows(run, id);
	if (id == ZONE_CUSTOMER_TRUSTED)
		stedi_zone_table_report_customers(run);
	if (id == ZONE_MACHINE_LEARNING_CURATED && run->match_time)
		ereport(WARNING,
				errmsg("machine_learning_curated pairs readings by their time alone"),
				errdetail("A row can pair one person's steps with another's movements."),
				errhint("Use match => 'customer', unless you need what the original job made."));
}

void
stedi_zone_table_prune(ZoneRun *run, ZoneTableId id)
{
	int64		n_rows = stedi_zone_delete_where(run, id, prunes[id]);

	if (n_rows == 0)
		return;
	stedi_zone_write_analyze(run, id, n_rows);
	ereport(NOTICE,
			errmsg_plural("%lld row of %s is no longer covered and was removed",
						  "%lld rows of %s are no longer covered and were removed",
						  (unsigned long) n_rows, (long long) n_rows,
						  stedi_zone_tables[id].name));
}
