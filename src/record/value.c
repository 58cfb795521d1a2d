/*-------------------------------------------------------------------------
 *
 * value.c
 *		What a field says: a number, a truth, a time.
 *
 * Backend-free (see record.h).  doc/rules.md says what each type takes.
 * Integers are read from their digits, never by way of a double, so that
 * they are exact beyond 2^53.
 *
 *-------------------------------------------------------------------------
 */
#include "record/simd.h"
#include "record/field.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_MS 1000
#define SECONDS_PER_DAY 86400

/*
 * Times from 2000 up to 2100, epoch ms.  Nothing of a landing zone is older,
 * and nothing in it can be younger for long.  Taken as seconds, milli-, micro-
 * and nanoseconds, the numbers of these times are far from one another.  No
 * clock is asked: a record must be judged alike in every run.
 */
#define EARLIEST_MS INT64_C(946684800000)
#define LATEST_MS INT64_C(4102444800000)

/* Digits of the greatest int64_t; any number of so many fits a uint64_t. */
#define INT64_DIGITS 19

/* Digits that an int64_t has room for, whatever they are. */
#define SAFE_DIGITS 18

/* Digits that a double holds for certain, and powers of ten that it holds. */
#define EXACT_DIGITS 15
#define EXACT_POWER 22

/* A number longer than this is copied to the heap before strtod sees it. */
#define SHORT_NUMBER 128

/* The text of a number: NUMBER, or a STRING that holds one. */
static StediReason
number_text(const StediField *field, StediSlice *text)
{
	if (field->kind != STEDI_FIELD_NUMBER && field->kind != STEDI_FIELD_STRING)
		return STEDI_REASON_WRONG_KIND;
	*text = field->text;
	if (field->kind == STEDI_FIELD_STRING && !stedi_value_is_number(*text))
		return STEDI_REASON_NOT_A_NUMBER;
	return STEDI_REASON_NONE;
}

/* The exponent at p, cut to what can matter. */
static long
read_exponent(const char *p, const char *end)
{
	const long	limit = 100000000;
	bool		negative = false;
	long		value = 0;

	if (p < end && (*p == '+' || *p == '-'))
		negative = (*p++ == '-');
	for (; p < end; p++)
		if (value < limit)
			value = value * 10 + (*p - '0');
	return negative ? -value : value;
}

/* The number that the digits from p to end are; false when there are others. */
static inline bool
read_whole(const char *p, const char *end, uint64_t *value)
{
	uint64_t	sum = 0;

	/* eight at a time: neighbours are joined to pairs, fours, and the whole */
	for (; end - p >= 8; p += 8)
	{
		uint64_t	x = simd_word(p) ^ UINT64_C(0x3030303030303030);

		if (((x | (x + UINT64_C(0x0606060606060606))) & UINT64_C(0xf0f0f0f0f0f0f0f0)) != 0)
			return false;
		x = x * 10 + (x >> 8);
		x = (x & UINT64_C(0x00ff00ff00ff00ff)) * 100 + ((x >> 16) & UINT64_C(0x00ff00ff00ff00ff));
		x = (x & UINT64_C(0x0000ffff0000ffff)) * 10000 + ((x >> 32) & UINT64_C(0xffff));
		sum = sum * 100000000 + (x & UINT64_C(0xffffffff));
	}
	for (; p < end; p++)
	{
		unsigned	digit = (unsigned char) *p - '0';

		if (digit > 9)
			return false;
		sum = sum * 10 + digit;
	}
	*value = sum;
	return true;
}

/*
 * The integer number * 10^shift, or why it is none.  The text obeys JSON's
 * grammar.  Zeros at either end are not looked at, whatever their number.
 */
static StediReason
scaled_integer(StediSlice text, long shift, int64_t *value)
{
	const char *p = text.data;
	const char *end = text.data + text.len;
	bool		negative = (*p == '-');
	bool		fraction = false;
	uint64_t	sum;
	long		zeros = 0;		/* seen, not yet multiplied in */
	long		digits = 0;		/* in sum, which is wrong when too many */

	p += negative;
	if (end - p + shift <= SAFE_DIGITS && read_whole(p, end, &sum))
	{
		for (; shift > 0; shift--)
			sum *= 10;
		*value = negative ? -(int64_t) sum : (int64_t) sum;
		return STEDI_REASON_NONE;
	}
	sum = 0;
	for (; p < end; p++)
	{
		if (*p == '.')
		{
			fraction = true;
			continue;
		}
		if (*p == 'e' || *p == 'E')
		{
			shift += read_exponent(p + 1, end);
			break;
		}
		if (fraction)
			shift--;
		if (*p == '0')
		{
			if (digits > 0)
				zeros++;
			continue;
		}
		digits += zeros + 1;
		for (; zeros > 0 && digits <= INT64_DIGITS; zeros--)
			sum *= 10;
		zeros = 0;
		sum = sum * 10 + (*p - '0');
	}
	*value = 0;
	if (digits == 0)
		return STEDI_REASON_NONE;
	shift += zeros;
	if (shift < 0)
		return STEDI_REASON_NOT_AN_INTEGER;
	if (digits + shift > INT64_DIGITS)
		return STEDI_REASON_OUT_OF_RANGE;
	for (; shift > 0; shift--)
		sum *= 10;
	if (sum > (uint64_t) INT64_MAX + negative)
		return STEDI_REASON_OUT_OF_RANGE;
	*value = negative ? (int64_t) (0 - sum) : (int64_t) sum;
	return STEDI_REASON_NONE;
}

/* The same, rounded down. */
static StediReason
floor_integer(StediSlice text, long shift, int64_t *value)
{
	const char *p = text.data;
	const char *end = text.data + text.len;
	bool		negative = (*p == '-');
	bool		inexact = false;
	uint64_t	sum = 0;
	long		whole;			/* digits of the integer part */
	long		n = 0;			/* digits read */
	const char *digits = p + negative;

	for (p = digits; p < end && *p >= '0' && *p <= '9'; p++)
		;
	whole = p - digits;
	for (; p < end; p++)
		if (*p == 'e' || *p == 'E')
		{
			shift += read_exponent(p + 1, end);
			end = p;
		}
	whole += shift;
	for (p = digits; p < end; p++)
	{
		if (*p == '.')
			continue;
		if (n++ >= whole)
			inexact |= (*p != '0');
		else if (sum > (UINT64_MAX - 9) / 10)
			return STEDI_REASON_OUT_OF_RANGE;
		else
			sum = sum * 10 + (*p - '0');
	}
	for (; n < whole && sum > 0; n++)
	{
		if (sum > UINT64_MAX / 10)
			return STEDI_REASON_OUT_OF_RANGE;
		sum *= 10;
	}
	if (sum > (uint64_t) INT64_MAX - inexact)
		return STEDI_REASON_OUT_OF_RANGE;
	*value = negative ? -(int64_t) sum - inexact : (int64_t) sum;
	return STEDI_REASON_NONE;
}

StediReason
stedi_value_int64(const StediField *field, int64_t *value)
{
	StediSlice	text;
	StediReason reason = number_text(field, &text);

	if (reason != STEDI_REASON_NONE)
		return reason;
	return scaled_integer(text, 0, value);
}

/* strtod on a copy that ends in a NUL. */
static StediReason
slow_double(StediSlice text, double *value)
{
	char		room[SHORT_NUMBER];
	char	   *copy = room;

	if (text.len >= sizeof(room))
	{
		copy = malloc(text.len + 1);
		if (copy == NULL)
			return STEDI_REASON_OUT_OF_MEMORY;
	}
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	errno = 0;
	*value = strtod(copy, NULL);
	if (copy != room)
		free(copy);

	/* as float8in: what is rounded to nothing or to infinity does not fit */
	if (errno == ERANGE && (*value == 0.0 || isinf(*value)))
		return STEDI_REASON_OUT_OF_RANGE;
	return STEDI_REASON_NONE;
}

StediReason
stedi_value_double(const StediField *field, double *value)
{
	static const double powers[EXACT_POWER + 1] = {
		1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
		1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
	};
	StediSlice	text;
	StediReason reason = number_text(field, &text);
	const char *p;
	const char *end;
	const char *point = NULL;
	bool		negative;
	uint64_t	sum = 0;
	unsigned	digit;

	if (reason != STEDI_REASON_NONE)
		return reason;

	/* few digits and a small power: one division gives the nearest double */
	p = text.data;
	end = p + text.len;
	negative = (*p == '-');
	p += negative;
	if (end - p > EXACT_DIGITS + 1)
		return slow_double(text, value);
	for (; p < end && (digit = (unsigned char) *p - '0') <= 9; p++)
		sum = sum * 10 + digit;
	if (p < end && *p == '.')
	{
		point = ++p;
		for (; p < end && (digit = (unsigned char) *p - '0') <= 9; p++)
			sum = sum * 10 + digit;
	}
	if (p < end || (point == NULL && text.len - negative > EXACT_DIGITS))
		return slow_double(text, value);
	*value = (double) sum;
	if (point != NULL)
		*value /= powers[end - point];
	if (negative)
		*value = -*value;
	return STEDI_REASON_NONE;
}

StediReason
stedi_value_bool(const StediField *field, bool *value)
{
	if (field->kind != STEDI_FIELD_TRUE && field->kind != STEDI_FIELD_FALSE)
		return STEDI_REASON_WRONG_KIND;
	*value = (field->kind == STEDI_FIELD_TRUE);
	return STEDI_REASON_NONE;
}

/* Read exactly n digits at *p. */
static bool
read_digits(const char **p, const char *end, int n, int *value)
{
	*value = 0;
	if (end - *p < n)
		return false;
	for (; n > 0; n--, (*p)++)
	{
		if (**p < '0' || **p > '9')
			return false;
		*value = *value * 10 + (**p - '0');
	}
	return true;
}

/* Is c the next byte?  Then it is taken. */
static bool
read_mark(const char **p, const char *end, char c)
{
	if (*p == end || **p != c)
		return false;
	(*p)++;
	return true;
}

/* YYYY-MM-DD at *p, as days since 1970-01-01 of the Gregorian calendar. */
static bool
read_date(const char **p, const char *end, int32_t *days)
{
	static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int			year;
	int			month;
	int			day;
	bool		leap;
	int			shifted;

	if (!read_digits(p, end, 4, &year) || !read_mark(p, end, '-') ||
		!read_digits(p, end, 2, &month) || !read_mark(p, end, '-') ||
		!read_digits(p, end, 2, &day))
		return false;
	leap = (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
	if (year < 1 || month < 1 || month > 12 || day < 1 ||
		day > month_days[month - 1] || (month == 2 && day == 29 && !leap))
		return false;

	/* years that start in March: the leap day is their last */
	shifted = year - (month <= 2);
	*days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 +
		(153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1 - 719468;
	return true;
}

/* The offset that ends an ISO 8601 time, in seconds east of UTC. */
static bool
read_offset(const char **p, const char *end, int *seconds)
{
	int			sign;
	int			hours;
	int			minutes = 0;

	*seconds = 0;
	if (read_mark(p, end, 'Z') || read_mark(p, end, 'z'))
		return true;
	if (read_mark(p, end, '+'))
		sign = 1;
	else if (read_mark(p, end, '-'))
		sign = -1;
	else
		return false;
	if (!read_digits(p, end, 2, &hours))
		return false;
	if (*p < end)
	{
		(void) read_mark(p, end, ':');
		if (!read_digits(p, end, 2, &minutes))
			return false;
	}
	if (hours > 15 || minutes > 59)
		return false;
	*seconds = sign * (hours * 3600 + minutes * 60);
	return true;
}

/* The digits behind the point of the seconds, as microseconds, rounded. */
static bool
read_fraction(const char **p, const char *end, int64_t *us)
{
	int64_t		unit = US_PER_SECOND;
	const char *start = *p;

	*us = 0;
	for (; *p < end && **p >= '0' && **p <= '9'; (*p)++)
	{
		unit /= 10;
		if (unit > 0)
			*us += (**p - '0') * unit;
		else if (*p - start == 6 && **p >= '5')
			(*us)++;
	}
	return *p > start;
}

/* YYYY-MM-DDThh:mm[:ss[.f]] and an offset, which *local says is not there; NULL: it must be. */
static bool
read_time(const char *p, const char *end, bool *local, int64_t *value)
{
	int32_t		days;
	int			hour;
	int			minute;
	int			second = 0;
	int			offset = 0;
	int64_t		us = 0;

	if (!read_date(&p, end, &days) ||
		!(read_mark(&p, end, 'T') || read_mark(&p, end, 't') || read_mark(&p, end, ' ')) ||
		!read_digits(&p, end, 2, &hour) || !read_mark(&p, end, ':') ||
		!read_digits(&p, end, 2, &minute))
		return false;
	if (read_mark(&p, end, ':'))
	{
		if (!read_digits(&p, end, 2, &second))
			return false;
		if (read_mark(&p, end, '.') && !read_fraction(&p, end, &us))
			return false;
	}
	if (local != NULL)
		*local = (p == end);
	if (hour > 23 || minute > 59 || second > 60 ||
		(!(local != NULL && *local) && !read_offset(&p, end, &offset)) || p != end)
		return false;
	*value = ((int64_t) days * SECONDS_PER_DAY + hour * 3600 + minute * 60 +
			  second - offset) * US_PER_SECOND + us;
	return true;
}

StediReason
stedi_value_time(const StediField *field, int64_t *value)
{
	return stedi_value_time_of(field, STEDI_UNIT_MS, NULL, value);
}

/* Digits from a unit to one 10^digits as fine: US is what we make. */
static int
digits_between(StediTimeUnit from, StediTimeUnit to)
{
	return 3 * ((int) to - (int) from);
}

StediReason
stedi_value_time_of(const StediField *field, StediTimeUnit unit, bool *local, int64_t *value)
{
	StediSlice	text;
	StediReason reason = number_text(field, &text);

	if (reason == STEDI_REASON_WRONG_KIND)
		return reason;
	if (local != NULL)
		*local = false;
	if (reason == STEDI_REASON_NONE && unit != STEDI_UNIT_MS)
		return floor_integer(text, digits_between(unit, STEDI_UNIT_US), value);
	if (reason == STEDI_REASON_NONE)
	{
		reason = scaled_integer(text, digits_between(unit, STEDI_UNIT_US), value);
		return reason == STEDI_REASON_NOT_AN_INTEGER ? STEDI_REASON_NOT_A_TIME : reason;
	}
	text = field->text;
	return read_time(text.data, text.data + text.len, local, value) ?
		STEDI_REASON_NONE : STEDI_REASON_NOT_A_TIME;
}

int64_t
stedi_value_whole_ms(int64_t us)
{
	return us / US_PER_MS - (us % US_PER_MS < 0);
}

StediReason
stedi_value_ms_of(const StediField *field, StediTimeUnit unit, bool *local, int64_t *value)
{
	StediSlice	text;
	StediReason reason = number_text(field, &text);

	if (reason == STEDI_REASON_NONE)
	{
		if (local != NULL)
			*local = false;
		return unit == STEDI_UNIT_MS ? scaled_integer(text, 0, value) :
			floor_integer(text, digits_between(unit, STEDI_UNIT_MS), value);
	}
	reason = stedi_value_time_of(field, unit, local, value);
	if (reason == STEDI_REASON_NONE)
		*value = stedi_value_whole_ms(*value);
	return reason;
}

bool
stedi_value_other_unit(int64_t ms, StediTimeUnit unit, StediTimeUnit *other, int64_t *latest)
{
	if (ms >= EARLIEST_MS && ms < LATEST_MS)
		return false;
	for (int i = STEDI_UNIT_S; i < STEDI_N_UNITS; i++)
	{
		int64_t		factor = 1;
		int64_t		time;

		for (int k = digits_between((StediTimeUnit) (i < (int) unit ? i : (int) unit),
									(StediTimeUnit) (i < (int) unit ? (int) unit : i)); k > 0; k--)
			factor *= 10;
		/* a coarser one says it of the whole of its second, say */
		if (i < (int) unit && ms >= 0 && ms < LATEST_MS / factor)
			time = (ms + 1) * factor - 1;
		else if (i > (int) unit)
			time = ms / factor;
		else
			continue;
		if (time < EARLIEST_MS || time >= LATEST_MS)
			continue;
		*other = (StediTimeUnit) i;
		*latest = time;
		return true;
	}
	return false;
}

StediReason
stedi_value_date(const StediField *field, int32_t *value)
{
	const char *p = field->text.data;
	const char *end = field->text.data + field->text.len;

	if (field->kind != STEDI_FIELD_STRING)
		return STEDI_REASON_WRONG_KIND;
	return read_date(&p, end, value) && p == end ?
		STEDI_REASON_NONE : STEDI_REASON_NOT_A_TIME;
}
