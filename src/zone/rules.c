/*-------------------------------------------------------------------------
 *
 * rules.c
 *		doc/rules.md in SQL: who is in, whose a device is, and which rows follow.
 *
 * Templates of queries, which sql.c fills in.  They see every customer record,
 * withdrawn and rejected ones too: else an older consent would count.
 * run/insiders.c has the same rules, worked out in another way.
 *
 *-------------------------------------------------------------------------
 */
#include "zone/tables.h"

/* What holds of a reading that consent covers. */
#define MOVEMENT_COVERED "stedi.consents({person_set}, email, stedi.epoch_ms(\"timestamp\"))"
#define STEP_COVERED "stedi.consents({device_set}, serialnumber, stedi.epoch_ms(sensorreadingtime))"

const char *const stedi_rule_customer_trusted =
"SELECT customername, email, phone, stedi.birthday(birthday) AS birthday, serialnumber,"
" stedi.epoch_ms(registrationdate), stedi.epoch_ms(lastupdatedate),"
" stedi.epoch_ms(sharewithresearchasofdate), stedi.epoch_ms(sharewithpublicasofdate),"
" stedi.epoch_ms(sharewithfriendsasofdate) FROM person WHERE granted";

const char *const stedi_rule_customer_curated =
"SELECT " ZONE_CUSTOMER_COLUMN_NAMES " FROM {customer_trusted} t"
" WHERE EXISTS (SELECT FROM {reader} r WHERE r.email = t.email)";

/*
 * Where rows stay whose objects have vanished: customers with such rows have
 * readings, too.
 */
const char *const stedi_rule_customer_curated_kept =
"SELECT " ZONE_CUSTOMER_COLUMN_NAMES " FROM {customer_trusted} t"
" WHERE EXISTS (SELECT FROM {reader} r WHERE r.email = t.email) OR email IN ("
"   SELECT email FROM {accelerometer_trusted} WHERE " MOVEMENT_COVERED ")";

const char *const stedi_rule_pairs =
"SELECT s.serialnumber, s.sensorreadingtime, s.distancefromobject, a.x, a.y, a.z"
" FROM {step_trainer_curated} s"
" JOIN {customer_curated} c ON c.serialnumber = s.serialnumber"
" JOIN {accelerometer_trusted} a ON a.email = c.email AND a.\"timestamp\" = s.sensorreadingtime";

const char *const stedi_rule_pairs_by_time =
"SELECT s.serialnumber, s.sensorreadingtime, s.distancefromobject, a.x, a.y, a.z"
" FROM {step_trainer_curated} s"
" JOIN {accelerometer_trusted} a ON a.\"timestamp\" = s.sensorreadingtime";

/*
 * By table t, what a run that does not make it anew takes out: the condition
 * of such rows.
 */
const char *const stedi_rule_prunes[ZONE_N_TABLES] = {
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

/*
 * The set of people: since when they consent, and their standing.  A
 * customer who consents but is not in customer_trusted is not (yet) one.
 */
const char *const stedi_rule_person_set =
"SELECT p.email AS who, p.sharewithresearchasofdate AS since, NULL::bigint AS owned_since,"
"   CASE WHEN p.forgotten THEN 'forgotten'"
"        WHEN p.granted AND t.email IS NOT NULL THEN 'granted' ELSE 'none' END AS standing"
" FROM person p LEFT JOIN (SELECT DISTINCT email FROM {customer_trusted}) t ON t.email = p.email";

/* The set of devices: their holder's consent. */
const char *const stedi_rule_device_set =
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
const char *const stedi_rule_people =
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
"  SELECT email, min(who) AS who, bool_or(lastupdatedate IS NULL) AS undated,"
" max(lastupdatedate) AS newest"
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
 * One row a serial number that a record names; email NULL: no customer holds
 * it. claim: what each record says of who has it, now or once; a person's only
 * record is in the person's row.
 */
const char *const stedi_rule_devices =
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
const char *const stedi_rule_people_counts =
"SELECT (SELECT sum(n_read - CASE WHEN out_by_reject OR stands_in THEN 0 ELSE 1 END)::bigint"
"   FROM person WHERE {of_affected}),"
" (SELECT count(*) FROM person"
" WHERE NOT granted AND NOT forgotten AND NOT out_by_reject AND {of_affected}),"
" (SELECT count(*) FROM person WHERE forgotten AND NOT out_by_reject AND {of_affected}),"
" (SELECT count(*) FROM person WHERE granted AND NOT stands_in AND {of_affected}),"
" (SELECT count(*) FROM customer_record WHERE rejected AND email IS NULL),"
" (SELECT count(*) FROM customer_record WHERE may_hide_others)";

/* Devices of which it takes more than their holder's consent to know whose readings are. */
const char *const stedi_rule_device_exceptions =
"INSERT INTO {books}.stedi_device SELECT device,"
"   CASE WHEN email IS NULL THEN 'unknown' WHEN ambiguous THEN 'ambiguous'"
"        WHEN forgotten THEN 'forgotten' WHEN granted THEN 'granted' ELSE 'none' END, owned_since"
" FROM device WHERE email IS NULL OR ambiguous OR forgotten OR owned_since IS NOT NULL";

const char *
stedi_rule_covered(ZoneTableId id)
{
	return id == ZONE_ACCELEROMETER_TRUSTED ? MOVEMENT_COVERED :
		id == ZONE_STEP_TRAINER_CURATED ? STEP_COVERED : NULL;
}
