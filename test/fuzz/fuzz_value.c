/*
 * Numbers, truths and times are read as C's own functions read them, and what
 * they refuse has its reason.  Guards src/record/value.c.
 */
#include <errno.h>
#include <math.h>
#include <time.h>

#include "fuzz.h"

#include "portable.h"

#define HEADER 1

/* The number of RFC 8259, section 6, as it says. */
static bool
is_number(const char *p)
{
	p += (*p == '-');
	if (*p == '0')
		p++;
	else if (*p >= '1' && *p <= '9')
		p += strspn(p, "0123456789");
	else
		return false;
	if (*p == '.')
	{
		size_t		n = strspn(++p, "0123456789");

		if (n == 0)
			return false;
		p += n;
	}
	if (*p == 'e' || *p == 'E')
	{
		size_t		n;

		p++;
		p += (*p == '+' || *p == '-');
		n = strspn(p, "0123456789");
		if (n == 0)
			return false;
		p += n;
	}
	return *p == '\0';
}

/* Is the integer that was read the one of the text?  Digits alone, or near it. */
static void
claim_integer(const char *text, int64_t value)
{
	char		written[32];
	double		approximate = strtod(text, NULL);

	CLAIM(fabs((double) value - approximate) <= fabs(approximate) * 1e-15);
	if (strspn(text, "-0123456789") == strlen(text) && strcmp(text, "-0") != 0)
	{
		snprintf(written, sizeof(written), "%lld", (long long) value);
		CLAIM(strcmp(written, text) == 0);
	}
}

static void
claim_number(const StediField *field, const char *text)
{
	int64_t		integer;
	int64_t		time;
	double		number;
	double		expected;
	StediReason reason;

	reason = stedi_value_int64(field, &integer);
	if (reason == STEDI_REASON_NONE)
		claim_integer(text, integer);
	else if (reason == STEDI_REASON_OUT_OF_RANGE)
		CLAIM(fabs(strtod(text, NULL)) >= 9.2e18);
	else
		CLAIM(reason == STEDI_REASON_NOT_AN_INTEGER && strpbrk(text, ".eE") != NULL);

	if (stedi_value_time(field, &time) == STEDI_REASON_NONE && reason == STEDI_REASON_NONE)
		CLAIM(time == integer * 1000);

	errno = 0;
	expected = strtod(text, NULL);
	reason = stedi_value_double(field, &number);
	if (errno == ERANGE && (expected == 0 || isinf(expected)))
		CLAIM(reason == STEDI_REASON_OUT_OF_RANGE);
	else
		CLAIM(reason == STEDI_REASON_NONE && memcmp(&number, &expected, sizeof(number)) == 0);
}

/* Is a date that was read written as the text is? */
static void
claim_date(const char *text, int32_t days)
{
	time_t		seconds = (time_t) days * 86400;
	char		written[64];
	struct tm	parts;

	CLAIM(gmtime_r(&seconds, &parts) != NULL);
	snprintf(written, sizeof(written), "%04d-%02d-%02d", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
	CLAIM(strcmp(written, text) == 0);
}

/* Does a time that was read come to its text, by way of timegm? */
static void
claim_time(const char *text, int64_t us)
{
	struct tm	parts = {0};
	int			n = 0;
	int			hours = 0;
	int			minutes = 0;
	double		fraction = 0;
	char		mark;
	int64_t		expected;

	CLAIM(sscanf(text, "%4d-%2d-%2d%c%2d:%2d%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday, &mark,
				 &parts.tm_hour, &parts.tm_min, &n) == 6);
	text += n;
	if (*text == ':')
	{
		CLAIM(sscanf(text, ":%2d%n", &parts.tm_sec, &n) == 1);
		text += n;
		if (*text == '.')
		{
			n = (int) strspn(text + 1, "0123456789") + 1;
			fraction = strtod(text, NULL);
			/* strtod would take an exponent: there is none */
			CLAIM(text[n] != 'e' && text[n] != 'E');
			text += n;
		}
	}
	if (*text == '+' || *text == '-')
	{
		CLAIM(sscanf(text + 1, strchr(text, ':') != NULL ? "%2d:%2d" : "%2d%2d", &hours, &minutes) >= 1);
		if (*text == '-')
		{
			hours = -hours;
			minutes = -minutes;
		}
	}
	else
		CLAIM((*text == 'Z' || *text == 'z') && text[1] == '\0');
	parts.tm_year -= 1900;
	parts.tm_mon -= 1;
	expected = ((int64_t) timegm(&parts) - hours * 3600 - minutes * 60) * 1000000 + (int64_t) (fraction * 1e6);
	CLAIM(llabs((long long) (us - expected)) <= 1);
}

/* In any unit, and with a clock's time: the times agree, and another unit is one that makes a time. */
static void
claim_units(const StediField *field, const char *text, bool numeric, StediTimeUnit unit)
{
	static const double us_of[] = {1e6, 1e3, 1};
	StediTimeUnit other;
	int64_t		us;
	int64_t		ms;
	int64_t		again;
	bool		local;
	bool		local_ms;
	StediReason reason = stedi_value_time_of(field, unit, &local, &us);
	StediReason reason_ms = stedi_value_ms_of(field, unit, &local_ms, &ms);

	if (reason == STEDI_REASON_NONE)
	{
		int64_t		whole = stedi_value_whole_ms(us);

		CLAIM((__int128) whole * 1000 <= us && us < (__int128) whole * 1000 + 1000);
		if (reason_ms == STEDI_REASON_NOT_AN_INTEGER)
			CLAIM(numeric && unit == STEDI_UNIT_MS && us % 1000 != 0);
		else
			CLAIM(reason_ms == STEDI_REASON_NONE && ms == whole && local_ms == local);
	}
	if (reason == STEDI_REASON_NONE && numeric)
	{
		double		expected = strtod(text, NULL) * us_of[unit];

		CLAIM(!local && fabs((double) us - expected) <= 1 + fabs(expected) * 1e-15);
	}
	if (reason == STEDI_REASON_NONE && local)
	{
		size_t		len = strlen(text);
		char	   *with_zone = exact_string((const uint8_t *) text, len + 1);
		StediField	there = *field;

		with_zone[len] = 'Z';
		there.text.data = with_zone;
		there.text.len = len + 1;
		CLAIM(stedi_value_time_of(field, unit, NULL, &again) == STEDI_REASON_NOT_A_TIME);
		CLAIM(stedi_value_time(&there, &again) == STEDI_REASON_NONE && again == us);
		free(with_zone);
	}
	if (reason_ms == STEDI_REASON_NONE && stedi_value_other_unit(ms, unit, &other, &again))
		CLAIM(other != unit && !stedi_value_other_unit(again, other, &other, &us));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	StediField	field;
	StediSlice	slice;
	char	   *text;
	char	   *copy;
	int64_t		integer;
	int64_t		time;
	int32_t		days;
	double		number;
	bool		truth;
	bool		numeric;

	if (size < HEADER)
		return 0;
	text = exact_string(data + HEADER, size - HEADER);
	slice.len = strlen(text);
	copy = exact_copy(text, slice.len);
	slice.data = copy;
	field.text = slice;
	field.kind = data[0] % (STEDI_FIELD_UNREADABLE + 1);

	numeric = is_number(text);
	CLAIM(stedi_value_is_number(slice) == numeric);
	CLAIM(portable_value_is_number(slice) == numeric);

	/* a decoder gives a NUMBER no other text */
	if (field.kind == STEDI_FIELD_NUMBER && !numeric)
		field.kind = STEDI_FIELD_STRING;
	if (field.kind == STEDI_FIELD_NUMBER || field.kind == STEDI_FIELD_STRING)
	{
		if (numeric)
			claim_number(&field, text);
		else
		{
			CLAIM(stedi_value_int64(&field, &integer) == STEDI_REASON_NOT_A_NUMBER);
			CLAIM(stedi_value_double(&field, &number) == STEDI_REASON_NOT_A_NUMBER);
			if (stedi_value_time(&field, &time) == STEDI_REASON_NONE)
				claim_time(text, time);
		}
	}
	else
	{
		CLAIM(stedi_value_int64(&field, &integer) == STEDI_REASON_WRONG_KIND);
		CLAIM(stedi_value_double(&field, &number) == STEDI_REASON_WRONG_KIND);
		CLAIM(stedi_value_time(&field, &time) == STEDI_REASON_WRONG_KIND);
	}
	claim_units(&field, text, numeric, (data[0] >> 5) % (STEDI_UNIT_US + 1));
	if (stedi_value_date(&field, &days) == STEDI_REASON_NONE)
	{
		CLAIM(field.kind == STEDI_FIELD_STRING);
		claim_date(text, days);
	}
	if (stedi_value_bool(&field, &truth) == STEDI_REASON_NONE)
		CLAIM(field.kind == (truth ? STEDI_FIELD_TRUE : STEDI_FIELD_FALSE));
	else
		CLAIM(field.kind != STEDI_FIELD_TRUE && field.kind != STEDI_FIELD_FALSE);
	free(copy);
	free(text);
	return 0;
}
