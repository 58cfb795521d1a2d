/*-------------------------------------------------------------------------
 *
 * alike.c
 *		E-mails that look alike but belong to different people.
 *
 *-------------------------------------------------------------------------
 */
#include "commands/commands.h"

#include "mb/pg_wchar.h"

/* Same skeleton, another normal form: in the table itself, or of a customer. */
const char *const stedi_zone_alike_query =
"SELECT count(*)::text FROM %1$s WHERE skeleton IN ("
"   SELECT skeleton FROM (SELECT skeleton, form FROM %1$s UNION ALL"
"     SELECT skeleton, form FROM customer_hash) a"
"   GROUP BY skeleton HAVING min(form) <> max(form))";

uint64
stedi_zone_alike_hash(const ZoneRun *run, StediSlice email)
{
	text	   *form = stedi_consent_normalize(email);
	StediSlice	skeleton = stedi_text_slice(form);
	char	   *room = palloc(skeleton.len + 1);
	uint64		hash;

	/* in another encoding there is little that looks like ASCII */
	if (GetDatabaseEncoding() == PG_UTF8)
		skeleton = stedi_email_skeleton(skeleton, room);
	hash = stedi_consent_name_hash(run->seed, skeleton, false);
	pfree(room);
	pfree(form);
	return hash;
}
