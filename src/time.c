/*-------------------------------------------------------------------------
 *
 * time.c
 *		Epoch milliseconds, as landing records have them, and PostgreSQL's
 *		dates and times.
 *
 *-------------------------------------------------------------------------
 */
#include "stedi.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

/* From 1970-01-01, where the epoch begins, to 2000-01-01, where PostgreSQL's does. */
#define EPOCH_DAYS (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)
#define EPOCH_MS ((int64) EPOCH_DAYS * SECS_PER_DAY * 1000)
#define US_PER_MS 1000

PG_FUNCTION_INFO_V1(epoch_ms_from_timestamptz);
PG_FUNCTION_INFO_V1(epoch_ms_to_timestamptz);
PG_FUNCTION_INFO_V1(birthday);

/* compared in milliseconds, where nothing overflows */
bool
stedi_time_from_ms(int64 ms, TimestampTz *value)
{
	if (ms < MIN_TIMESTAMP / US_PER_MS + EPOCH_MS ||
		ms > (END_TIMESTAMP - 1) / US_PER_MS + EPOCH_MS)
		return false;
	*value = (ms - EPOCH_MS) * US_PER_MS;
	return true;
}

bool
stedi_time_from_us(int64 us, TimestampTz *value)
{
	if (us < PG_INT64_MIN + EPOCH_MS * US_PER_MS)
		return false;
	*value = us - EPOCH_MS * US_PER_MS;
	return IS_VALID_TIMESTAMP(*value);
}

int32
stedi_time_date(int32 days)
{
	return days - EPOCH_DAYS;
}

int64
stedi_time_ms(TimestampTz value)
{
	return value / US_PER_MS - (value % US_PER_MS < 0) + EPOCH_MS;
}

/*
 * epoch_ms(timestamptz) -> bigint: milliseconds since 1970, rounded down
 */
Datum
epoch_ms_from_timestamptz(PG_FUNCTION_ARGS)
{
	TimestampTz given = PG_GETARG_TIMESTAMPTZ(0);

	if (TIMESTAMP_NOT_FINITE(given))
		ereport(ERROR,
				errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				errmsg("an infinite timestamp has no epoch milliseconds"));
	PG_RETURN_INT64(stedi_time_ms(given));
}

/*
 * epoch_ms(bigint) -> timestamptz: the way back, exact
 */
Datum
epoch_ms_to_timestamptz(PG_FUNCTION_ARGS)
{
	TimestampTz value;

	if (!stedi_time_from_ms(PG_GETARG_INT64(0), &value))
		ereport(ERROR,
				errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				errmsg("epoch milliseconds out of range for type timestamp with time zone"));
	PG_RETURN_TIMESTAMPTZ(value);
}

/*
 * birthday(text) -> date; NULL where PostgreSQL's date refuses the text
 */
Datum
birthday(PG_FUNCTION_ARGS)
{
	FmgrInfo	input;
	Datum		value;

	fmgr_info(F_DATE_IN, &input);
	if (!stedi_compat_input(&input, text_to_cstring(PG_GETARG_TEXT_PP(0)),
							DATEOID, -1, &value))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(value);
}
