/*-------------------------------------------------------------------------
 *
 * report.c
 *		What a run says of itself: a row of stedi.report a table.
 *
 *-------------------------------------------------------------------------
 */
#include "zone/zone.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

void
stedi_zone_report_begin(ZoneRun *run)
{
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		ZoneReport *report = &run->report[id];

		report->superseded = report->no_consent = report->before_consent = -1;
		report->unknown_owner = report->ambiguous = report->forgotten = -1;
		report->duplicates = report->unchanged = report->kept = report->unexpected = -1;
		report->without_readings = -1;
	}
}

/* Add what a scan found; the objects listed are known from elsewhere. */
void
stedi_zone_report_add(StediScanStats *sum, const StediScanStats *stats)
{
	sum->objects_read += stats->objects_read;
	sum->bytes += stats->bytes;
	sum->records += stats->records;
	sum->returned += stats->returned;
	sum->rejected += stats->rejected;
	sum->older += stats->older;
	for (int i = 0; i < STEDI_N_STANDINGS; i++)
		sum->standings[i] += stats->standings[i];
}

void
stedi_zone_report_values(const ZoneRun *run, ZoneTableId id, Datum *values, bool *nulls)
{
	const ZoneReport *report = &run->report[id];
	const StediScanStats *stats = OidIsValid(run->source[id].relid) ? &run->source[id].stats : NULL;
	const int64 counts[] = {
		stats != NULL ? (int64) stats->objects_listed : -1,
		stats != NULL ? (int64) stats->objects_read : -1,
		stats != NULL ? (int64) stats->bytes : -1,
		stats != NULL ? (int64) stats->records : -1,
		report->superseded, report->no_consent, report->before_consent,
		report->unknown_owner, report->ambiguous, report->forgotten,
		report->duplicates, report->unchanged, report->kept,
		stats != NULL ? (int64) stats->rejected : -1,
		report->rows_in, report->rows_out, report->rows,
	};
	int			n = 0;

	StaticAssertStmt(lengthof(counts) + 4 + ZONE_N_ADDED == ZONE_N_REPORTED,
					 "a column of the report is missing");
	values[n++] = CStringGetTextDatum(stedi_zone_tables[id].name);
	values[n++] = CStringGetTextDatum(report->mode);
	values[n++] = CStringGetTextDatum(run->consent);
	for (int i = 0; i < lengthof(counts); i++, n++)
	{
		values[n] = Int64GetDatum(counts[i]);
		nulls[n] = counts[i] < 0;
	}
	nulls[n] = run->head == NULL;
	values[n++] = run->head != NULL ? CStringGetTextDatum(run->head) : (Datum) 0;
	nulls[n] = report->unexpected < 0;
	values[n++] = Int64GetDatum(report->unexpected);
	nulls[n] = report->without_readings < 0;
	values[n] = Int64GetDatum(report->without_readings);
}

void
stedi_zone_report_put(ReturnSetInfo *rsinfo, const ZoneRun *run, ZoneTableId id)
{
	Datum		values[ZONE_N_REPORTED + 1];
	bool		nulls[ZONE_N_REPORTED + 1] = {false};
	Interval   *elapsed = palloc0(sizeof(Interval));
	const int	first_added = ZONE_N_REPORTED - ZONE_N_ADDED;

	stedi_zone_report_values(run, id, values, nulls);
	elapsed->time = run->report[id].elapsed;

	/* where the objects are of 1.0, the answer ends with elapsed */
	memmove(values + first_added + 1, values + first_added, ZONE_N_ADDED * sizeof(Datum));
	memmove(nulls + first_added + 1, nulls + first_added, ZONE_N_ADDED * sizeof(bool));
	values[first_added] = IntervalPGetDatum(elapsed);
	nulls[first_added] = false;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

void
stedi_zone_table_report_kept(ZoneTableId id, int64 n_rows)
{
	if (n_rows > 0)
		ereport(NOTICE,
				errmsg_plural("%s keeps %lld row that is in no landing object any more",
							  "%s keeps %lld rows that are in no landing object any more",
							  (unsigned long) n_rows, stedi_zone_tables[id].name,
							  (long long) n_rows));
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
	report->duplicates =
		(int64) stats->returned - report->unchanged - report->unexpected - report->kept;
}

void
stedi_zone_table_report_older(ZoneRun *run, ZoneTableId id, const char *rows)
{
	int64		n_older = run->report[id].older;
	const char *older = id == ZONE_ACCELEROMETER_TRUSTED ?
	"SELECT FROM %s r JOIN {customer_trusted} c ON c.email = r.email"
	" WHERE r.\"timestamp\" < c.sharewithresearchasofdate" :
	"SELECT FROM %s r JOIN {customer_curated} c ON c.serialnumber = r.serialnumber"
	" WHERE r.sensorreadingtime < c.sharewithresearchasofdate";

	if (rows != NULL && !run->since)
		n_older = stedi_zone_query_count(stedi_zone_query_expand(run, psprintf(older, rows)));
	if (n_older > 0)
		ereport(NOTICE,
				errmsg_plural("%s keeps %lld reading that is older than its customer's consent",
							  "%s keeps %lld readings that are older than their customer's consent",
							  (unsigned long) n_older,
							  stedi_zone_tables[id].name, (long long) n_older),
				errhint("The rule consent => 'since_consent' leaves them out."));
}

void
stedi_zone_table_report_customers(ZoneRun *run)
{
	ZoneReport *report = &run->report[ZONE_CUSTOMER_TRUSTED];
	int64		n_refused;

	report->before_consent = report->unknown_owner = report->ambiguous = 0;
	report->without_readings = report->duplicates = 0;

	/* of the rows that the run has made */
	stedi_zone_query_values(psprintf("SELECT count(*) FROM person"
									 " WHERE granted AND birthday IS NOT NULL"
									 " AND stedi.birthday(birthday) IS NULL AND %s",
									 run->renew ?
									 "who IN (SELECT who FROM change WHERE is_in AND differs)" :
									 "true"), 1, &n_refused);
	if (n_refused > 0)
		ereport(NOTICE,
				errmsg_plural("%lld birthday in customer_trusted is NULL, as it is no date",
							  "%lld birthdays in customer_trusted are NULL, as they are no dates",
							  (unsigned long) n_refused, (long long) n_refused));
}
