/*-------------------------------------------------------------------------
 *
 * renew.c
 *		What has changed in the landing zone, to the rows of the people whom
 *		it touches.
 *
 *	 customers	affected people --> change: who came, went, or is otherwise
 *	 readings	renewed: all rows of some people (devices) are made anew;
 *				of all others, what new objects bring is added
 *	 curated	who has readings, of those touched
 *	 pairs		likewise renewed, or added to
 *
 * For each table, the relations "come_..." and "gone_..." hold the rows to
 * add and to take out: INSERT and DELETE of these is all that is done to it.
 * The result is what a rebuild would give; stedi.audit and the property test
 * compare the two.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "storage/storage.h"
#include "readings/readings.h"
#include "run/expect.h"
#include "run/run.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

/*
 * One changed row in so many makes new statistics worthwhile, as for
 * autovacuum.
 */
#define MANY_ROWS 10

/* The rows of customer_trusted that those affected are to have. */
static const char *const after_query =
"SELECT p.who, customername, email, phone, stedi.birthday(birthday) AS birthday, serialnumber,"
" stedi.epoch_ms(registrationdate) AS registrationdate,"
" stedi.epoch_ms(lastupdatedate) AS lastupdatedate,"
" stedi.epoch_ms(sharewithresearchasofdate) AS sharewithresearchasofdate,"
" stedi.epoch_ms(sharewithpublicasofdate) AS sharewithpublicasofdate,"
" stedi.epoch_ms(sharewithfriendsasofdate) AS sharewithfriendsasofdate"
" FROM person p WHERE granted AND {of_affected}";

/* Those that they have, and what becomes of each. */
static const char *const change_query =
"SELECT coalesce(b.who, a.who) AS who, b.part, b.place, b.email AS email_before, a.email,"
" b.serialnumber AS serial_before, a.serialnumber AS serial,"
" b.sharewithresearchasofdate AS since_before, a.sharewithresearchasofdate AS since,"
" b.email IS NOT NULL AS was_in, a.email IS NOT NULL AS is_in,"
" (b.customername, b.email, b.phone, b.birthday, b.serialnumber,"
" b.registrationdate, b.lastupdatedate,"
"  b.sharewithresearchasofdate, b.sharewithpublicasofdate, b.sharewithfriendsasofdate)"
" IS DISTINCT FROM"
" (a.customername, a.email, a.phone, a.birthday, a.serialnumber,"
" a.registrationdate, a.lastupdatedate,"
"  a.sharewithresearchasofdate, a.sharewithpublicasofdate, a.sharewithfriendsasofdate) AS differs"
" FROM (SELECT b.who, b.part, b.place, t.* FROM before b JOIN {customer_trusted} t"
"   ON t.ctid = b.place AND t.tableoid = b.part) b"
" FULL JOIN after a ON a.who = b.who AND a.email = b.email";

/* When a customer's readings have to be judged anew. */
#define JUDGED_ANEW \
	"(was_in <> is_in OR ({since_rule} AND since_before IS DISTINCT FROM since)" \
	" OR ({cascades} AND differs))"

static const char *const touched_query =
"SELECT email FROM come_accelerometer UNION SELECT key FROM gone_accelerometer"
" UNION SELECT coalesce(email_before, email) FROM change WHERE differs";

/* Of whom there are readings now, of those whose have all been looked at. */
static const char *const reader_query =
"SELECT email FROM come_accelerometer UNION"
" SELECT f.email FROM found_accelerometer f LEFT JOIN gone_accelerometer g"
"   ON g.part = f.part AND g.place = f.place WHERE f.all_of_key AND g.place IS NULL";

static const char *const curated_before_query =
"SELECT tableoid AS part, ctid AS place, * FROM {customer_curated} WHERE %s";

static const char *const curated_after_query =
"SELECT * FROM {customer_trusted} t WHERE %s"
" AND (email IN (SELECT email FROM has_readings)"
"   OR (email NOT IN (SELECT key FROM renewed_person)"
" AND email IN (SELECT email FROM curated_before)))";

static const char *const curated_change_query =
"SELECT b.part, b.place, coalesce(b.email, a.email) AS email, b.serialnumber AS serial_before,"
" a.serialnumber AS serial, b.email IS NOT NULL AS was_in, a.email IS NOT NULL AS is_in,"
" (b.customername, b.phone, b.birthday, b.serialnumber, b.registrationdate, b.lastupdatedate,"
"  b.sharewithresearchasofdate, b.sharewithpublicasofdate, b.sharewithfriendsasofdate)"
" IS DISTINCT FROM"
" (a.customername, a.phone, a.birthday, a.serialnumber, a.registrationdate, a.lastupdatedate,"
"  a.sharewithresearchasofdate, a.sharewithpublicasofdate, a.sharewithfriendsasofdate)"
"   OR (b.email IS NULL) <> (a.email IS NULL) AS differs"
" FROM curated_before b FULL JOIN curated_after a ON a.email = b.email";

/* Devices whose readings have to be judged anew. */
static const char *const device_query =
"SELECT serial AS key FROM ("
" SELECT unnest(ARRAY[serial_before, serial]) AS serial FROM change"
"   WHERE " JUDGED_ANEW " OR serial_before IS DISTINCT FROM serial"
" UNION SELECT unnest(ARRAY[serial_before, serial]) FROM curated_change"
"   WHERE was_in <> is_in OR serial_before IS DISTINCT FROM serial OR ({cascades} AND differs)"
" UNION SELECT serialnumber FROM device WHERE device IN (SELECT claimed FROM claimed)) d"
" WHERE serial <> ''";

/* Who holds the devices whose pairs are made anew, and these devices. */
static const char *const paired_query =
"SELECT email, serialnumber FROM {customer_curated} WHERE serialnumber <> ''"
" AND (email IN (SELECT key FROM renewed_person)"
" OR serialnumber IN (SELECT key FROM renewed_device))";

static const char *const repaired_query =
"SELECT key FROM renewed_device UNION SELECT serialnumber FROM paired";

static const char *const whole_pairs_query =
"SELECT s.serialnumber, s.sensorreadingtime, s.distancefromobject, a.x, a.y, a.z"
" FROM paired_step s JOIN paired c ON c.serialnumber = s.serialnumber"
" JOIN paired_movement a ON a.email = c.email AND a.\"timestamp\" = s.sensorreadingtime";

/* What came, of those whose pairs are added to, with both of their names. */
static const char *const new_movement_query =
"SELECT c.serialnumber, a.* FROM come_accelerometer a"
" JOIN {customer_curated} c ON c.email = a.email"
" WHERE c.serialnumber <> '' AND c.serialnumber NOT IN (SELECT key FROM repaired)";

static const char *const new_step_query =
"SELECT c.email, s.* FROM come_step s JOIN {customer_curated} c ON c.serialnumber = s.serialnumber"
" WHERE s.serialnumber NOT IN (SELECT key FROM repaired)";

static const char *const added_pairs_query =
"SELECT s.serialnumber, s.sensorreadingtime, s.distancefromobject, a.x, a.y, a.z"
" FROM new_movement a"
" JOIN (SELECT serialnumber, sensorreadingtime, distancefromobject FROM come_step"
"   UNION SELECT serialnumber, sensorreadingtime, distancefromobject FROM old_step) s"
"   ON s.serialnumber = a.serialnumber AND s.sensorreadingtime = a.\"timestamp\""
" UNION"
" SELECT s.serialnumber, s.sensorreadingtime, s.distancefromobject, a.x, a.y, a.z FROM new_step s"
" JOIN (SELECT email, \"timestamp\", x, y, z FROM come_accelerometer"
"   UNION SELECT email, \"timestamp\", x, y, z FROM old_movement) a"
"   ON a.email = s.email AND a.\"timestamp\" = s.sensorreadingtime";

/*
 * How many rows have gone from a table along with those of one before it, as
 * foreign keys and triggers take them; these are not found any more.
 */
static int64
count_cascaded(ZoneRun *run, ZoneTableId id)
{
	int64		n_gone = 0;
	const char *table = stedi_zone_query_table(run, id);

	for (int before = 0; run->cascades && before < (int) id; before++)
		n_gone += run->report[before].rows_out;
	if (n_gone == 0)
		return 0;
	n_gone = run->rows_before[id] - stedi_zone_query_count(psprintf("SELECT FROM %s", table));
	return Max(n_gone, 0);
}

void
stedi_zone_renew_rows(ZoneRun *run, ZoneTableId id, const char *gone, const char *come)
{
	const char *columns = stedi_zone_tables[id].column_names;
	ZoneReport *report = &run->report[id];
	int64		n_cascaded = count_cascaded(run, id);
	ZoneHeld	held;

	stedi_progress_phase(STEDI_PHASE_WRITING, run->relid[id]);
	stedi_zone_stats_hold(run, id, gone, &held);
	report->rows_out = n_cascaded + stedi_zone_delete(run, id, gone);
	report->rows_in = come == NULL ? 0 :
		stedi_zone_query_run(psprintf("INSERT INTO %s (%s) SELECT %s FROM %s",
									  stedi_zone_query_table(run, id), columns, columns, come));
	report->rows = run->rows_before[id] + report->rows_in - report->rows_out;
	if (n_cascaded > 0 || stedi_zone_stats_are_stale(run, id, &held) ||
		report->rows_in + report->rows_out > run->rows_before[id] / MANY_ROWS)
		stedi_zone_stats_renew(run, id, report->rows_out);
}

/* The keys that a query gives, in the run's context. */
static List *
query_keys(ZoneRun *run, const char *sql, StediHashes *hashes)
{
	List	   *keys = NIL;
	ZoneQueryRows rows;
	Datum		key;
	bool		isnull;

	stedi_zone_query_open(&rows, sql, "t");
	while (stedi_zone_query_fetch(&rows, 1, &key, &isnull))
	{
		MemoryContext caller;
		text	   *copy;

		if (isnull)
			continue;
		caller = MemoryContextSwitchTo(run->cxt);
		copy = DatumGetTextPCopy(key);
		keys = lappend(keys, copy);
		(void) stedi_hashes_add(hashes,
								stedi_consent_name_hash(run->seed, stedi_text_slice(copy), false));
		MemoryContextSwitchTo(caller);
	}
	stedi_zone_query_close(&rows);
	return keys;
}

/* Of whom the records have changed, and what that makes of customer_trusted. */
static void
renew_customers(ZoneRun *run)
{
	stedi_zone_person_read(run);

	/* a customer whose records have vanished has no name any more */
	stedi_zone_object_settle(run, ZONE_CUSTOMER_TRUSTED);
	stedi_zone_query_keep_template(run, "after", after_query);
	stedi_zone_query_keep_template(run, "change", change_query);
	stedi_zone_query_keep_template(run, "gone_customer",
								   "SELECT part, place FROM change WHERE was_in AND differs");
	stedi_zone_query_keep_template(run, "come_customer",
								   "SELECT a.* FROM after a JOIN change c ON c.who = a.who"
								   " WHERE c.differs");
	stedi_zone_renew_rows(run, ZONE_CUSTOMER_TRUSTED, "gone_customer", "come_customer");
	stedi_zone_table_report_customers(run);
}

/* A stream of readings: its table, and what its relations are called. */
typedef struct Stream
{
	ZoneTableId id;
	const char *suffix;
	const char *renewed;
	const char *equal;			/* f and s have the same values */
} Stream;

static const Stream accelerometer = {
	ZONE_ACCELEROMETER_TRUSTED, "accelerometer", "renewed_person",
	"f.x IS NOT DISTINCT FROM s.x AND f.y IS NOT DISTINCT FROM s.y AND f.z IS NOT DISTINCT FROM s.z"
};
static const Stream step = {
	ZONE_STEP_TRAINER_CURATED, "step", "renewed_device",
	"f.distancefromobject IS NOT DISTINCT FROM s.distancefromobject"
};

/* Read the objects that are wanted into new storage: its name; NULL: there are none. */
static const char *
stage(ZoneRun *run, ZoneTableId id)
{
	if (run->set == NULL)
		return NULL;
	stedi_zone_load_read(run, id);
	stedi_zone_load_build(run, false);
	run->load = NULL;
	return stedi_zone_query_relation(run->staged[id]);
}

/* A time of epoch milliseconds as a literal. */
static const char *
time_literal(int64 ms)
{
	return psprintf("stedi.epoch_ms(" INT64_FORMAT ")", ms);
}

/*
 * What holds of times from which there may be rows already.  Rows that stay
 * without an object are of any time.
 */
static const char *
of_known_time(const ZoneRun *run, const ZoneSource *source, const char *time)
{
	if (stedi_zone_keeps_rows(run))
		return "true";
	if (source->first_ms > source->last_ms)
		return "false";
	return psprintf("%s BETWEEN %s AND %s", time, time_literal(source->first_ms),
					time_literal(source->last_ms));
}

/*
 * Find the rows to compare with what was read: all rows of those whose
 * readings are made anew; and of all others, the rows of a time from which
 * there are other objects.
 */
static void
find_rows(ZoneRun *run, const Stream *stream, const char *staged)
{
	const ZoneTable *table = &stedi_zone_tables[stream->id];
	const ZoneSource *source = &run->source[stream->id];
	bool		overlaps = staged != NULL &&
	(source->first_ms <= source->last_ms || stedi_zone_keeps_rows(run));

	if (overlaps)
		stedi_zone_query_keep(run, psprintf("candidate_%s", stream->suffix),
							  psprintf("SELECT DISTINCT %s AS key, %s AS \"time\" FROM %s"
									   " WHERE %s AND %s NOT IN (SELECT key FROM %s)",
									   table->key, table->time, staged,
									   of_known_time(run, source, table->time),
									   table->key, stream->renewed));
	stedi_zone_find(run, stream->id, psprintf("found_%s", stream->suffix), stream->renewed,
					overlaps ? psprintf("candidate_%s", stream->suffix) : NULL);
}

/*
 * The rows of the table that go, and those that come.  Rows that are not in the
 * landing zone go, unless their objects have vanished and leave them behind;
 * these stay as far as consent covers them.
 */
static void
compare_rows(ZoneRun *run, const Stream *stream, const char *staged)
{
	const ZoneTable *table = &stedi_zone_tables[stream->id];
	const char *covered = psprintf("r.kept AND r.since IS NOT NULL AND (NOT %s OR f.%s >= r.since)"
								   " AND (r.owned_since IS NULL OR f.%s >= r.owned_since)",
								   run->since ? "true" : "false", table->time, table->time);
	const char *missing = staged == NULL ? "true" : "s.key IS NULL";
	const char *joined = staged == NULL ? "" :
	psprintf(" LEFT JOIN (SELECT %s AS key, %s AS at, * FROM %s) s ON f.%s = s.key AND f.%s = s.at"
			 " AND %s",
			 table->key, table->time, staged, table->key, table->time, stream->equal);
	const char *surplus = psprintf("SELECT f.part, f.place, f.%s AS key, %s FROM found_%s f"
								   " JOIN %s r ON r.key = f.%s%s"
								   " WHERE f.all_of_key AND %s",
								   table->key,
								   psprintf("f.%s", stream->id == ZONE_ACCELEROMETER_TRUSTED ?
											"\"timestamp\", f.x, f.y, f.z" :
											"sensorreadingtime, f.distancefromobject"),
								   stream->suffix, stream->renewed, table->key, joined, missing);

	stedi_zone_query_keep(run, psprintf("gone_%s", stream->suffix),
						  psprintf("%s AND NOT (%s)", surplus, covered));
	if (run->vanished == ZONE_VANISHED_KEEP)
		stedi_zone_table_report_kept(stream->id,
									 stedi_zone_query_count(psprintf("%s AND %s",
																	 surplus, covered)));
	stedi_zone_query_keep(run, psprintf("come_%s", stream->suffix), staged == NULL ?
						  psprintf("SELECT %s FROM found_%s WHERE false",
								   table->column_names, stream->suffix) :
						  psprintf("SELECT %s FROM %s EXCEPT SELECT %s FROM found_%s",
								   table->column_names, staged, table->column_names,
								   stream->suffix));
}

/* Renew a table of readings. */
static void
renew_readings(ZoneRun *run, const Stream *stream)
{
	const char *staged = stage(run, stream->id);

	stedi_progress_phase(STEDI_PHASE_COMPARING, run->relid[stream->id]);
	find_rows(run, stream, staged);
	compare_rows(run, stream, staged);
	if (staged != NULL)
		stedi_zone_write_drop(run, stream->id);
	else
		run->report[stream->id].unchanged = run->report[stream->id].unexpected =
			run->report[stream->id].kept = 0;
	stedi_zone_renew_rows(run, stream->id, psprintf("gone_%s", stream->suffix),
						  psprintf("come_%s", stream->suffix));
	if (staged == NULL)
		stedi_zone_table_report_readings(run, stream->id);
	run->report[stream->id].older = 0;
	stedi_zone_table_report_older(run, stream->id, run->source[stream->id].stats.older > 0 ?
								  psprintf("come_%s", stream->suffix) : NULL);
	if (stream->id == ZONE_STEP_TRAINER_CURATED)
		stedi_zone_share_warn(run);
}

/* Whose movements have to be judged anew. */
static void
renew_movements(ZoneRun *run)
{
	StediHashes renewed;
	List	   *keys;

	stedi_hashes_begin(&renewed);
	keys = query_keys(run, stedi_zone_query_expand(run,
												   "SELECT coalesce(email_before, email)"
												   " FROM change WHERE " JUDGED_ANEW),
					  &renewed);
	stedi_zone_survey(run, ZONE_ACCELEROMETER_TRUSTED, &renewed, keys);
	renew_readings(run, &accelerometer);
}

/* Who has readings. */
static void
renew_curated(ZoneRun *run)
{
	ArrayType  *few;
	const char *touched;

	stedi_progress_phase(STEDI_PHASE_COMPARING, run->relid[ZONE_CUSTOMER_CURATED]);
	stedi_zone_query_keep_template(run, "touched", touched_query);
	few = stedi_zone_find_few("SELECT email AS key FROM touched");
	touched = few != NULL ? "email = ANY ($1)" : "email IN (SELECT email FROM touched)";
	stedi_zone_query_keep_template(run, "has_readings", reader_query);
	stedi_zone_query_keep_of(run, "curated_before",
							 stedi_zone_query_expand(run, psprintf(curated_before_query, touched)),
							 few);
	stedi_zone_query_keep_of(run, "curated_after",
							 stedi_zone_query_expand(run, psprintf(curated_after_query, touched)),
							 few);
	stedi_zone_query_keep_template(run, "curated_change", curated_change_query);
	stedi_zone_query_keep_template(run, "gone_curated",
								   "SELECT part, place FROM curated_change"
								   " WHERE was_in AND differs");
	stedi_zone_query_keep_template(run, "come_curated",
								   "SELECT a.* FROM curated_after a JOIN curated_change c"
								   " ON c.email = a.email WHERE c.differs");
	stedi_zone_renew_rows(run, ZONE_CUSTOMER_CURATED, "gone_curated", "come_curated");
}

static void
renew_steps(ZoneRun *run)
{
	StediHashes renewed;
	List	   *keys;

	stedi_hashes_begin(&renewed);
	keys = query_keys(run, stedi_zone_query_expand(run, device_query), &renewed);
	stedi_zone_survey(run, ZONE_STEP_TRAINER_CURATED, &renewed, keys);
	renew_readings(run, &step);
}

/* Rows that are there already and may be the other half of a new pair. */
static void
find_partners(ZoneRun *run, const Stream *stream, const char *name, const char *of,
			  const char *key, const char *time)
{
	stedi_zone_query_keep(run, psprintf("pair_%s", stream->suffix),
						  psprintf("SELECT DISTINCT %s AS key, %s AS \"time\" FROM %s WHERE %s",
								   key, time, of,
								   of_known_time(run, &run->source[stream->id], time)));
	stedi_zone_find(run, stream->id, name, NULL, psprintf("pair_%s", stream->suffix));
}

/* The pairs of what came with one another and with what was there. */
static void
add_pairs(ZoneRun *run)
{
	stedi_zone_query_keep_template(run, "new_movement", new_movement_query);
	stedi_zone_query_keep_template(run, "new_step", new_step_query);
	find_partners(run, &step, "old_step", "new_movement", "serialnumber", "\"timestamp\"");
	find_partners(run, &accelerometer, "old_movement", "new_step", "email", "sensorreadingtime");
	stedi_zone_expect_keep(run, ZONE_MACHINE_LEARNING_CURATED, "added_pair", added_pairs_query);
}

/* Make the pairs of some devices anew, and add those of the others. */
static void
renew_pairs(ZoneRun *run)
{
	const ZoneTable *table = &stedi_zone_tables[ZONE_MACHINE_LEARNING_CURATED];

	stedi_progress_phase(STEDI_PHASE_COMPARING, run->relid[ZONE_MACHINE_LEARNING_CURATED]);
	stedi_zone_query_keep_template(run, "paired", paired_query);
	stedi_zone_query_keep_template(run, "repaired", repaired_query);
	stedi_zone_find(run, ZONE_MACHINE_LEARNING_CURATED, "found_pair", "repaired", NULL);
	stedi_zone_find(run, ZONE_ACCELEROMETER_TRUSTED, "paired_movement",
					"(SELECT email AS key FROM paired) p", NULL);
	stedi_zone_find(run, ZONE_STEP_TRAINER_CURATED, "paired_step",
					"(SELECT serialnumber AS key FROM paired) p", NULL);
	run->report[ZONE_MACHINE_LEARNING_CURATED].unexpected = 0;
	stedi_zone_expect_keep(run, ZONE_MACHINE_LEARNING_CURATED, "whole_pair", whole_pairs_query);
	add_pairs(run);
	stedi_zone_query_keep(run, "gone_pair",
						  psprintf("SELECT f.part, f.place, f.serialnumber AS key,"
								   " f.sensorreadingtime, f.distancefromobject, f.x, f.y, f.z"
								   " FROM found_pair f"
								   " LEFT JOIN whole_pair s ON s.serialnumber = f.serialnumber"
								   " AND s.sensorreadingtime = f.sensorreadingtime AND %s AND %s"
								   " WHERE s.serialnumber IS NULL", accelerometer.equal,
								   step.equal));
	stedi_zone_query_keep(run, "come_pair",
						  psprintf("SELECT %s FROM whole_pair EXCEPT SELECT %s FROM found_pair"
								   " UNION ALL SELECT %s FROM added_pair",
								   table->column_names, table->column_names, table->column_names));
	stedi_zone_renew_rows(run, ZONE_MACHINE_LEARNING_CURATED, "gone_pair", "come_pair");
}

/*
 * Pairs by time alone join the readings of all people, and so are made anew as
 * a whole, as are those of another rule.
 */
static void
renew_machine_learning(ZoneRun *run)
{
	if (!run->match_time && !run->match_changed)
	{
		renew_pairs(run);
		return;
	}
	stedi_zone_query_keep_template(run, "gone_pair", "SELECT NULL::text AS key WHERE false");
	stedi_zone_query_keep_template(run, "come_pair",
								   "SELECT NULL::text AS serialnumber WHERE false");
	stedi_zone_rebuild_pairs(run);
}

void
stedi_zone_renew(ZoneRun *run)
{
	static void (*const steps[ZONE_N_TABLES]) (ZoneRun *run) =
	{
		renew_customers, renew_movements, renew_curated, renew_steps, renew_machine_learning
	};

	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		ZoneReport *report = &run->report[id];

		report->started = GetCurrentTimestamp();
		report->mode = "incremental";
		steps[id] (run);
		report->finished = GetCurrentTimestamp();
		report->elapsed = report->finished - report->started;
	}
}
