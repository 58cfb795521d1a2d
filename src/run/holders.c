/*-------------------------------------------------------------------------
 *
 * holders.c
 *		Devices with more than one holder, whose readings are all out.
 *
 * Faulty serial numbers are common: many customers with one and the same.  The
 * tables are empty then, and this is a reason worth reporting.  A serial
 * number identifies the holder of the device, who may be out.  So it is never
 * shown; the place of the first record that has it is.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "run/run.h"

#include "utils/builtins.h"

/* The devices, and where each is named first. */
static const char *const shared_query =
"SELECT c.serialnumber, c.holders, r.records, o.key, r.first[2] AS byte_offset"
" FROM (SELECT serialnumber, count(*) FILTER (WHERE holds) AS holders FROM claim"
"     GROUP BY serialnumber HAVING count(*) FILTER (WHERE holds) > 1) c"
" JOIN (SELECT serialnumber, count(*) AS records, min(ARRAY[object::bigint, byte_offset]) AS first"
"     FROM customer_record GROUP BY serialnumber) r ON r.serialnumber = c.serialnumber"
" JOIN customer_record_object o ON o.object = r.first[1]";

/* Rows of the answer of quality. */
static const char *const device_rows =
"SELECT 'customer_landing'::text, 'serialnumber'::text, records, NULL::bigint, holders,"
" NULL::text, NULL::text,"
"   format('device with more than one holder, first named in object \"%s\" at byte offset %s',"
" key, byte_offset)"
" FROM shared ORDER BY holders DESC, records DESC, key COLLATE \"C\", byte_offset";

static const char *const reading_row =
"SELECT 'step_trainer_landing'::text, 'serialnumber'::text, " INT64_FORMAT "::bigint,"
" NULL::bigint, NULL::bigint,"
"   NULL::text, NULL::text, 'of a device with more than one holder'::text";

void
stedi_zone_share_count(ZoneRun *run)
{
	int64		before = run->n_shared;

	stedi_zone_store_values(run, "SELECT count(*) FROM {books}.stedi_device"
							" WHERE standing = 'ambiguous'",
							1, &run->n_shared);
	run->shares_more = run->n_shared > before;
}

/*
 * A run that goes on from the one before reports them when there are more than
 * before, or when readings were left out for them.
 */
void
stedi_zone_share_warn(const ZoneRun *run)
{
	int64		n_readings =
	(int64) run->source[ZONE_STEP_TRAINER_CURATED].stats.standings[STEDI_STANDING_AMBIGUOUS];

	if (run->n_shared == 0 || (run->renew && !run->shares_more && n_readings == 0))
		return;
	ereport(WARNING,
			errmsg_plural("%lld device has more than one holder: %s",
						  "%lld devices have more than one holder: %s",
						  (unsigned long) run->n_shared, (long long) run->n_shared,
						  psprintf(ngettext("%lld step reading is left out",
											"%lld step readings are left out",
											(unsigned long) n_readings), (long long) n_readings)),
			errdetail("Whose readings these are is not certain.%s",
					  run->renew ? " They are counted in the objects that this run has read." : ""),
			errhint("See SELECT * FROM %s WHERE column_name = 'serialnumber';",
					stedi_zone_query_call(run, "quality", "")));
}

StediHashes *
stedi_zone_share_keep(ZoneRun *run)
{
	StediHashes *hashes = MemoryContextAllocZero(run->cxt, sizeof(StediHashes));
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	ZoneQueryRows rows;
	Datum		serial;
	bool		isnull;

	stedi_hashes_begin(hashes);
	MemoryContextSwitchTo(caller);
	stedi_zone_query_keep(run, "shared", shared_query);
	stedi_zone_query_open(&rows, "SELECT serialnumber FROM shared WHERE serialnumber IS NOT NULL",
						  "t");
	while (stedi_zone_query_fetch(&rows, 1, &serial, &isnull))
		(void) stedi_hashes_add(hashes,
								stedi_consent_name_hash(run->seed,
														stedi_text_slice(DatumGetTextPP(serial)),
														false));
	stedi_zone_query_close(&rows);
	return hashes;
}

void
stedi_zone_share_answer(const ZoneSession *session, int64 n_readings)
{
	stedi_zone_session_answer(session, device_rows);
	if (n_readings > 0)
		stedi_zone_session_answer(session, psprintf(reading_row, n_readings));
}
