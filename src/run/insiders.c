/*-------------------------------------------------------------------------
 *
 * insiders.c
 *		Who is in and whose a device is, worked out a second time.
 *
 * doc/rules.md, "Customers" and "Devices", in another way than zone/rules.c.
 * The audit compares the tables with it, and withdrawals use it where a run
 * cannot read all objects.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "run/run.h"

/*
 * Of each e-mail, what all its records say together; is_out by rule 3 (one of
 * them is undated or of the future) or 4 (a reject may be newer than all of
 * them).
 */
static const char *const standing_query =
"SELECT email, newest, coalesce(undated, false) OR"
"   (n_rejects > 0 AND (undated_reject OR newest IS NULL OR newest_reject >= newest)) AS is_out"
" FROM (SELECT email,"
"   max(lastupdatedate) FILTER (WHERE NOT rejected) AS newest,"
"   bool_or(lastupdatedate IS NULL OR lastupdatedate > {now})"
" FILTER (WHERE NOT rejected) AS undated,"
"   count(*) FILTER (WHERE rejected) AS n_rejects,"
"   max(lastupdatedate) FILTER (WHERE rejected) AS newest_reject,"
"   bool_or(lastupdatedate IS NULL) FILTER (WHERE rejected) AS undated_reject"
"   FROM customer_record WHERE email IS NOT NULL GROUP BY email) s";

/* Rule 1: the record that decides. */
static const char *const decider_query =
"SELECT DISTINCT ON (email) customername, email, phone, birthday, serialnumber, registrationdate,"
"   lastupdatedate, sharewithresearchasofdate, sharewithpublicasofdate, sharewithfriendsasofdate,"
"   coalesce(sharewithresearchasofdate > 0"
" AND sharewithresearchasofdate <= {now}, false) AS in_force,"
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

/* Are customers forgotten?  Then the key must be known. */
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
				errmsg("who is forgotten in schema \"%s\" cannot be told: "
					   "the key in table \"stedi_key\" is gone",
					   session->run->target_name),
				errhint("Restore that table from a backup."));
	return true;
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
	stedi_zone_query_keep_template(session->run, "standing", standing_query);
	stedi_zone_query_keep_template(session->run, "decider", decider_query);
	if (any_forgotten)
		stedi_zone_store_keep(session->run, "insider",
							  psprintf("%s%s", insider_query, not_forgotten));
	else
		stedi_zone_query_keep_template(session->run, "insider", insider_query);
	stedi_zone_query_keep_template(session->run, "claim", claim_query);
	stedi_zone_query_keep_template(session->run, "device", device_query);
}
