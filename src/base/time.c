/*-------------------------------------------------------------------------
 *
 * time.c
 *		Epoch milliseconds, as landing records have them, and PostgreSQL's
 *		dates and times.
 *
 *-------------------------------------------------------------------------
 */
#include "base/base.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* From 1970-01-01, where the epoch begins, to 2000-01-01, where PostgreSQL's does. */
#define EPOCH_DAYS (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)
#define EPOCH_MS ((int64) EPOCH_DAYS * SECS_PER_DAY * 1000)
#define US_PER_MS 1000

PG_FUNCTION_INFO_V1(epoch_ms_from_timestamptz);
PG_FUNCTION_INFO_V1(epoch_ms_to_timestamptz);

/*
 * What a clock of the zone showed, as microseconds since 1970 -> the time.
 * False where it showed that twice or never, as at the ends of summer time.
 */
static bool
find_time(pg_tz *zone, int64 shown, int64 *us)
{
	const int64 us_per_day = USECS_PER_DAY;
	pg_time_t	found[2];
	int			n = 0;

	/* the offsets of the days before and after are all that there can be */
	for (int side = -1; side <= 1; side += 2)
	{
		pg_time_t	second = (pg_time_t) floor((double) shown / USECS_PER_SEC);
		pg_time_t	near_by = second + side * (us_per_day / USECS_PER_SEC);
		struct pg_tm *tm = pg_localtime(&near_by, zone);
		pg_time_t	time;

		if (tm == NULL)
			return false;
		time = second - tm->tm_gmtoff;
		tm = pg_localtime(&time, zone);
		if (tm != NULL && time + tm->tm_gmtoff == second && (n == 0 || found[0] != time))
			found[n++] = time;
	}
	if (n != 1)
		return false;
	*us = shown - (int64) floor((double) shown / USECS_PER_SEC) * USECS_PER_SEC +
		(int64) found[0] * USECS_PER_SEC;
	return true;
}

StediReason
stedi_time_read_us(const StediClock *clock, const StediField *field, int64 *us)
{
	bool		local = false;
	int64_t		value;
	StediReason reason = stedi_value_time_of(field, clock->unit, clock->zone != NULL ? &local : NULL,
											 &value);

	*us = value;
	if (reason == STEDI_REASON_NONE && local && !find_time(clock->zone, value, us))
		return STEDI_REASON_NOT_A_TIME;
	return reason;
}

StediReason
stedi_time_read_ms(const StediClock *clock, const StediField *field, int64 *ms)
{
	bool		local = false;
	int64_t		value;
	int64		us;
	StediReason reason;

	if (clock->zone == NULL && field->kind == STEDI_FIELD_STRING &&
		!stedi_value_is_number(field->text))
		return STEDI_REASON_NOT_A_NUMBER;
	reason = stedi_value_ms_of(field, clock->unit, clock->zone != NULL ? &local : NULL, &value);
	*ms = value;
	if (reason != STEDI_REASON_NONE || !local)
		return reason;
	reason = stedi_time_read_us(clock, field, &us);
	*ms = stedi_value_whole_ms(us);
	return reason;
}

/*
 * A zone by its name in the tz database, or by an offset as ISO 8601 has it.
 * PostgreSQL takes FOO+3, too, and means by +3 what lies to the west.
 */
pg_tz *
stedi_time_zone(const char *name)
{
	int			hours;
	int			minutes = 0;
	int			len = 0;
	pg_tz	   *zone;
	const char *canonical;

	if (strcmp(name, "Z") == 0)
		name = "UTC";
	if (*name == '+' || *name == '-')
	{
		if (strspn(name + 1, "0123456789:") != strlen(name + 1) ||
			(sscanf(name + 1, "%2d:%2d%n", &hours, &minutes, &len) != 2 || len != 5))
			return NULL;
		if (name[6] != '\0' || hours > 15 || minutes > 59)
			return NULL;
		return pg_tzset_offset((hours * SECS_PER_HOUR + minutes * SECS_PER_MINUTE) *
							   (*name == '+' ? -1 : 1));
	}
	if (strlen(name) > TZ_STRLEN_MAX)
		return NULL;
	zone = pg_tzset(name);
	if (zone == NULL || !pg_tz_acceptable(zone))
		return NULL;
	canonical = pg_get_timezone_name(zone);
	for (const char *p = name; *p != '\0'; p++)
		if (strchr("0123456789<>,", *p) != NULL)
		{
			/* a file's name has letters in lower case, and no such form has */
			while (*canonical >= ' ' && (*canonical < 'a' || *canonical > 'z'))
				canonical++;
			return *canonical != '\0' ? zone : NULL;
		}
	return zone;
}

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
