/*-------------------------------------------------------------------------
 *
 * people.c
 *		Customer records to people and devices: who is in, whose it is.
 *
 * doc/rules.md, "Customers" and "Devices", in SQL.  Every record is seen,
 * withdrawn and rejected ones too: an older consent would win otherwise.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "run/run.h"

#include "executor/spi.h"

/*
 * The set of people: since when they consent, and their standing.  A
 * customer who consents but is not in customer_trusted is not (yet) one.
 */
const char *const stedi_zone_person_rows =
"SELECT p.email AS who, p.sharewithresearchasofdate AS since, NULL::bigint AS owned_since,"
"   CASE WHEN p.forgotten THEN 'forgotten'"
"        WHEN p.granted AND t.email IS NOT NULL THEN 'granted' ELSE 'none' END AS standing"
" FROM person p LEFT JOIN (SELECT DISTINCT email FROM {customer_trusted}) t ON t.email = p.email";

/* The set of devices: their holder's consent. */
const char *const stedi_zone_device_rows =
"SELECT d.serialnumber AS who, d.sharewithresearchasofdate AS since, d.owned_since,"
"   CASE WHEN d.ambiguous THEN 'ambiguous'"
"        WHEN d.forgotten THEN 'forgotten'"
"        WHEN NOT d.granted THEN 'none'"
"        WHEN c.email IS NOT NULL THEN 'granted' ELSE 'without_readings' END AS standing"
" FROM device d LEFT JOIN (SELECT DISTINCT email, serialnumber FROM {customer_curated}) c"
"   ON c.email = d.email AND c.serialnumber = d.serialnumber"
" WHERE d.email IS NOT NULL";

/*
 * One row an e-mail.  newest: the deciding record's place among those that
 * could be read; out_by_reject is rule 4, undated rule 3.  n_read counts the
 * records, n_readable also a row that stands in for older ones.
 */
static const char *const person_query =
"WITH several AS ("
"  SELECT email FROM customer_record WHERE NOT rejected GROUP BY email HAVING count(*) > 1),"
" readable AS ("
"  SELECT r.*, row_number() OVER (PARTITION BY email COLLATE \"C\" ORDER BY"
"      lastupdatedate DESC NULLS LAST,"
"      (sharewithresearchasofdate > 0 AND sharewithresearchasofdate <= {now}) IS TRUE,"
"      sharewithresearchasofdate DESC,"
"      serialnumber COLLATE \"C\" DESC, registrationdate DESC,"
"      customername COLLATE \"C\" DESC, phone COLLATE \"C\" DESC,"
"      birthday COLLATE \"C\" DESC, sharewithpublicasofdate DESC,"
"      sharewithfriendsasofdate DESC) AS rank,"
"    count(*) OVER w AS n_readable,"
"    count(*) FILTER (WHERE NOT stands_in) OVER w AS n_read,"
"    max(lastupdatedate) OVER w AS newest,"
"    bool_or(lastupdatedate IS NULL OR lastupdatedate > {now}) OVER w AS undated"
"  FROM customer_record r WHERE NOT rejected AND email IN (SELECT email FROM several)"
"  WINDOW w AS (PARTITION BY email COLLATE \"C\")"
/* nearly all have one record, which need not be sorted */
"  UNION ALL"
"  SELECT r.*, 1, 1, (NOT stands_in)::integer, lastupdatedate,"
"    lastupdatedate IS NULL OR lastupdatedate > {now}"
"  FROM customer_record r WHERE NOT rejected"
"    AND NOT EXISTS (SELECT FROM several s WHERE s.email = r.email)),"
" rejected AS ("
"  SELECT email, min(who) AS who, bool_or(lastupdatedate IS NULL) AS undated, max(lastupdatedate) AS newest"
"  FROM customer_record WHERE rejected AND email IS NOT NULL GROUP BY email),"
" judged AS ("
"  SELECT coalesce(d.email, j.email) AS email, d.customername, d.phone, d.birthday,"
"    d.serialnumber, d.registrationdate, d.lastupdatedate, d.sharewithresearchasofdate,"
"    d.sharewithpublicasofdate, d.sharewithfriendsasofdate,"
"    coalesce(d.who, j.who) AS who, d.device, d.object, d.place, d.stands_in IS TRUE AS stands_in,"
"    coalesce(d.n_readable, 0) AS n_readable, coalesce(d.n_read, 0) AS n_read, d.newest,"
"    d.email IS NULL OR (j.email IS NOT NULL AND"
"      (j.undated OR d.newest IS NULL OR j.newest >= d.newest)) AS out_by_reject,"
"    (d.sharewithresearchasofdate > 0 AND d.sharewithresearchasofdate <= {now}"
"      AND NOT d.undated AND (j.email IS NULL OR"
"        NOT (j.undated OR j.newest >= d.newest))) IS TRUE AS consents,"
"    coalesce(d.who, j.who) IN (SELECT name FROM forgotten) AS forgotten"
"  FROM (SELECT * FROM readable WHERE rank = 1) d FULL JOIN rejected j ON d.email = j.email)"
" SELECT *, consents AND NOT forgotten AS granted FROM judged";

/*
 * One row a serial number that somebody names; email NULL: nobody holds it.
 * claim: each record's word on who has it, now or once; of a person's only
 * record, the person's row has it.
 */
static const char *const device_query =
"WITH claim AS ("
"  SELECT serialnumber, device, email COLLATE \"C\" AS email,"
"    lastupdatedate IS NULL OR lastupdatedate > {now} AS holds"
"  FROM customer_record WHERE serialnumber <> '' AND NOT rejected"
"    AND email IN (SELECT email FROM person WHERE n_readable > 1)"
"  UNION ALL"
"  SELECT r.serialnumber, r.device, r.email COLLATE \"C\","
"    r.lastupdatedate IS NULL OR p.newest IS NULL OR r.lastupdatedate >= p.newest"
"  FROM customer_record r JOIN person p ON p.email = r.email"
"  WHERE r.serialnumber <> '' AND r.rejected"
"  UNION ALL"
"  SELECT serialnumber, device, email COLLATE \"C\", true FROM person WHERE serialnumber <> ''),"
" whose AS ("
"  SELECT serialnumber, min(device) AS device, min(email) FILTER (WHERE holds) AS email,"
"    max(email) FILTER (WHERE holds) AS last_holder,"
"    min(email) AS first_claimant, max(email) AS last_claimant"
"  FROM claim GROUP BY serialnumber)"
" SELECT w.serialnumber, w.device, w.email, w.email <> w.last_holder AS ambiguous, p.granted,"
"   p.forgotten, p.sharewithresearchasofdate,"
"   CASE WHEN w.first_claimant <> w.last_claimant"
"        THEN coalesce(p.registrationdate, 9223372036854775807) END AS owned_since"
" FROM whose w LEFT JOIN person p ON p.email = w.email WHERE {of_verdict}";

/*
 * superseded, no_consent, forgotten, kept, and rejects without an e-mail and
 * of unknown contents
 */
static const char *const count_query =
"SELECT (SELECT sum(n_read - CASE WHEN out_by_reject OR stands_in THEN 0 ELSE 1 END)::bigint"
"   FROM person WHERE {of_affected}),"
" (SELECT count(*) FROM person WHERE NOT granted AND NOT forgotten AND NOT out_by_reject AND {of_affected}),"
" (SELECT count(*) FROM person WHERE forgotten AND NOT out_by_reject AND {of_affected}),"
" (SELECT count(*) FROM person WHERE granted AND NOT stands_in AND {of_affected}),"
" (SELECT count(*) FROM customer_record WHERE rejected AND email IS NULL),"
" (SELECT count(*) FROM customer_record WHERE may_hide_others)";

/* Devices of which it takes more than their holder's consent to know whose readings are. */
static const char *const exception_query =
"INSERT INTO {books}.stedi_device SELECT device,"
"   CASE WHEN email IS NULL THEN 'unknown' WHEN ambiguous THEN 'ambiguous'"
"        WHEN forgotten THEN 'forgotten' WHEN granted THEN 'granted' ELSE 'none' END, owned_since"
" FROM device WHERE email IS NULL OR ambiguous OR forgotten OR owned_since IS NOT NULL";

/* Warn of n rejects that may be a withdrawal, for all we know. */
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

	stedi_zone_query_values(stedi_zone_query_expand(run, count_query), lengthof(counts), counts);
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
	stedi_zone_store_keep(run, "forgotten", "SELECT name FROM {books}.stedi_forgotten WHERE lifted IS NULL");
	stedi_progress_phase(STEDI_PHASE_DECIDING, run->source[ZONE_CUSTOMER_TRUSTED].relid);
	stedi_zone_query_keep(run, "person", stedi_zone_query_expand(run, person_query));
	stedi_zone_query_keep(run, "device", stedi_zone_query_expand(run, device_query));
	stedi_zone_share_count(run);
	stedi_zone_store_run(run, run->renew ?
						 "DELETE FROM {books}.stedi_device WHERE device IN (SELECT verdict FROM verdict)" :
						 "DELETE FROM {books}.stedi_device");
	stedi_zone_store_run(run, exception_query);
	stedi_zone_share_count(run);
	report_records(run);
}
