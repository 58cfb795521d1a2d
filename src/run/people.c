/*-------------------------------------------------------------------------
 *
 * people.c
 *		Customer records to people and devices: who is in, whose it is.
 *
 * doc/rules.md, "Customers" and "Devices", in SQL. Every record is seen,
 * withdrawn and rejected ones too: else an older consent would count.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "run/run.h"

#include "executor/spi.h"

/* Warn of n rejects, each of which may be a withdrawal. */
static void
warn_of_rejects(ZoneRun *run, int64 n, const char *one, const char *many)
{
	if (n > 0)
		ereport(WARNING,
				errmsg_plural(one, many, (unsigned long) n, (long long) n),
				errdetail("Whether that withdraws a consent is not known."),
				errhint("See SELECT * FROM stedi.rejects(%s).",
						stedi_zone_query_expand(run, "{customer_landing}")));
}

/* Count the customers' records. */
static void
report_records(ZoneRun *run)
{
	ZoneReport *report = &run->report[ZONE_CUSTOMER_TRUSTED];
	const StediScanStats *stats = &run->source[ZONE_CUSTOMER_TRUSTED].stats;
	int64		counts[6];

	stedi_zone_query_values(stedi_zone_query_expand(run, stedi_rule_people_counts),
							lengthof(counts), counts);
	report->superseded = counts[0];
	report->no_consent = counts[1];
	report->forgotten = counts[2];
	report->kept = counts[3];
	report->unchanged = (int64) (stats->records - stats->rejected) -
		(counts[0] + counts[1] + counts[2] + counts[3]);
	warn_of_rejects(run, counts[4],
					"%lld rejected customer record has no e-mail that can be read",
					"%lld rejected customer records have no e-mail that can be read");
	warn_of_rejects(run, counts[5],
					"%lld rejected stretch of customer bytes may hold more than one record",
					"%lld rejected stretches of customer bytes may hold more than one record");
}

void
stedi_zone_person_read(ZoneRun *run)
{
	stedi_zone_former_begin(run);
	stedi_zone_customer_read(run);
	stedi_zone_former_settle(run);
	stedi_zone_store_keep(run, "forgotten",
						  "SELECT name FROM {books}.stedi_forgotten WHERE lifted IS NULL");
	stedi_progress_phase(STEDI_PHASE_DECIDING, run->source[ZONE_CUSTOMER_TRUSTED].relid);
	stedi_zone_query_keep_template(run, "person", stedi_rule_people);
	stedi_zone_query_keep_template(run, "device", stedi_rule_devices);
	stedi_zone_share_count(run);
	stedi_zone_store_run(run, run->renew ?
						 "DELETE FROM {books}.stedi_device"
						 " WHERE device IN (SELECT verdict FROM verdict)" :
						 "DELETE FROM {books}.stedi_device");
	stedi_zone_store_run(run, stedi_rule_device_exceptions);
	stedi_zone_share_count(run);
	report_records(run);
}
