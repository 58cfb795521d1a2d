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
