/*
 * Numbers and times are read exactly, and what is none is refused.  Guards
 * src/record/value.c.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "record/record.h"
#include "tap.h"

#define N_INTEGERS 200000
#define N_DOUBLES 200000
#define N_TIMES 50000

#define OK STEDI_REASON_NONE
#define FRACTION STEDI_REASON_NOT_AN_INTEGER
#define RANGE STEDI_REASON_OUT_OF_RANGE
#define NO_NUMBER STEDI_REASON_NOT_A_NUMBER
#define NO_TIME STEDI_REASON_NOT_A_TIME

static uint64_t seed = 20220618;

/* A random number below n; the same ones in every run. */
static size_t
below(size_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (size_t) (seed >> 33) % n;
}

/* A field whose text is in memory of its own, so that ASan sees a byte too far. */
static StediField
make_field(StediFieldKind kind, const char *text, size_t len)
{
	StediField	field;
	char	   *copy = malloc(len ? len : 1);

	memcpy(copy, text, len);
	field.kind = kind;
	field.text.data = copy;
	field.text.len = len;
	return field;
}

static void
free_field(StediField *field)
{
	free((void *) field->text.data);
}

static bool
is_number(const char *text)
{
	StediSlice	slice = {text, strlen(text)};

	return stedi_value_is_number(slice);
}

static StediReason
read_int64(StediFieldKind kind, const char *text, int64_t *value)
{
	StediField	field = make_field(kind, text, strlen(text));
	StediReason reason;

	*value = -99;
	reason = stedi_value_int64(&field, value);
	free_field(&field);
	return reason;
}

static StediReason
read_double(StediFieldKind kind, const char *text, double *value)
{
	StediField	field = make_field(kind, text, strlen(text));
	StediReason reason;

	*value = -99;
	reason = stedi_value_double(&field, value);
	free_field(&field);
	return reason;
}

static StediReason
read_time(StediFieldKind kind, const char *text, int64_t *value)
{
	StediField	field = make_field(kind, text, strlen(text));
	StediReason reason;

	*value = -99;
	reason = stedi_value_time(&field, value);
	free_field(&field);
	return reason;
}

static StediReason
read_date(const char *text, size_t len, int32_t *value)
{
	StediField	field = make_field(STEDI_FIELD_STRING, text, len);
	StediReason reason;

	*value = -99;
	reason = stedi_value_date(&field, value);
	free_field(&field);
	return reason;
}

static const struct
{
	const char *text;
	StediReason reason;
	int64_t		value;
}			integers[] = {
	{"0", OK, 0},
	{"-0", OK, 0},
	{"0.0", OK, 0},
	{"-0.000e5", OK, 0},
	{"5", OK, 5},
	{"-5", OK, -5},
	{"5.0", OK, 5},
	{"5.000000000000000000000000000000", OK, 5},
	{"5e0", OK, 5},
	{"5E+0", OK, 5},
	{"5e-0", OK, 5},
	{"1.5e1", OK, 15},
	{"10e-1", OK, 1},
	{"1e-1", FRACTION, 0},
	{"0.1", FRACTION, 0},
	{"0.10e1", OK, 1},
	{"0.001e3", OK, 1},
	{"0.0015e3", FRACTION, 0},
	{"120e-2", FRACTION, 0},
	{"1200e-2", OK, 12},
	{"-1200e-2", OK, -12},
	{"1655564376361.0", OK, INT64_C(1655564376361)},
	{"1.655564376361e12", OK, INT64_C(1655564376361)},
	{"1.655564376361E12", OK, INT64_C(1655564376361)},
	{"1.655564376361e11", FRACTION, 0},
	{"9007199254740993", OK, INT64_C(9007199254740993)},
	{"9007199254740993.0e0", OK, INT64_C(9007199254740993)},
	{"1e18", OK, INT64_C(1000000000000000000)},
	{"1e19", RANGE, 0},
	{"-1e19", RANGE, 0},
	{"10000000000000000000e-1", OK, INT64_C(1000000000000000000)},
	{"12345678901234567890e-1", OK, INT64_C(1234567890123456789)},
	{"12345678901234567891e-1", FRACTION, 0},
	{"9223372036854775807", OK, INT64_MAX},
	{"9223372036854775808", RANGE, 0},
	{"-9223372036854775808", OK, INT64_MIN},
	{"-9223372036854775809", RANGE, 0},
	{"9223372036854775807.0", OK, INT64_MAX},
	{"9223372036854775807.5", FRACTION, 0},
	{"922337203685477580.7e1", OK, INT64_MAX},
	{"9.223372036854775807e18", OK, INT64_MAX},
	{"9.223372036854775808e18", RANGE, 0},
	{"-9.223372036854775808e18", OK, INT64_MIN},
	{"9999999999999999999", RANGE, 0},
	{"18446744073709551615", RANGE, 0},
	{"18446744073709551616", RANGE, 0},
	{"18446744073709551621", RANGE, 0}, /* 2^64 + 5 */
	{"100000000000000000000", RANGE, 0},
	{"123456789012345678901234567890", RANGE, 0},
	{"0.123456789012345678901234567890e40", RANGE, 0},
	{"0.123456789012345678901234567890e19", FRACTION, 0},
	{"1e999999999999", RANGE, 0},
	{"-1e999999999999", RANGE, 0},
	{"1e-999999999999", FRACTION, 0},
	{"0e999999999", OK, 0},
	{"0e999999999999999999999999999999", OK, 0},
	{"0e-999999999999999999999999999999", OK, 0},
	{"1e9999999999999999999999999999999999999999", RANGE, 0},
	{"1e4294967296", RANGE, 0},
	{"1e18446744073709551616", RANGE, 0},
	{"1e000000000000000000000000000000000000000018", OK, INT64_C(1000000000000000000)},
};

static void
test_int64(void)
{
	for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++)
	{
		const char *text = integers[i].text;
		int64_t		value;
		int64_t		from_string;
		StediReason reason = read_int64(STEDI_FIELD_NUMBER, text, &value);

		is_int(reason, integers[i].reason, "integer %s: %s", text, stedi_reason_text(integers[i].reason));
		if (reason == OK)
			is_int(value, integers[i].value, "integer %s", text);
		ok(read_int64(STEDI_FIELD_STRING, text, &from_string) == reason && from_string == value,
		   "integer \"%s\": the same", text);
	}
}

/* Zeros in their thousands, at either end of a number. */
static void
test_many_zeros(void)
{
	static char zeros[1001];
	static char text[4096];
	int64_t		value;

	memset(zeros, '0', 1000);
	sprintf(text, "5.%s", zeros);
	ok(read_int64(STEDI_FIELD_NUMBER, text, &value) == OK && value == 5, "5 and 1000 zeros behind the point");
	sprintf(text, "5%se-1000", zeros);
	ok(read_int64(STEDI_FIELD_NUMBER, text, &value) == OK && value == 5, "5 and 1000 zeros, e-1000");
	sprintf(text, "5%se-1001", zeros);
	is_int(read_int64(STEDI_FIELD_NUMBER, text, &value), FRACTION, "5 and 1000 zeros, e-1001");
	sprintf(text, "5%s", zeros);
	is_int(read_int64(STEDI_FIELD_NUMBER, text, &value), RANGE, "5 and 1000 zeros");
	sprintf(text, "5%s1e-1001", zeros);
	is_int(read_int64(STEDI_FIELD_NUMBER, text, &value), FRACTION, "5, 1000 zeros and a 1, e-1001");
	sprintf(text, "0.%s5e1001", zeros);
	ok(read_int64(STEDI_FIELD_NUMBER, text, &value) == OK && value == 5, "0., 1000 zeros and a 5, e1001");
	sprintf(text, "-0.%s5e1000", zeros);
	is_int(read_int64(STEDI_FIELD_NUMBER, text, &value), FRACTION, "-0., 1000 zeros and a 5, e1000");
	sprintf(text, "0.%s", zeros);
	ok(read_int64(STEDI_FIELD_NUMBER, text, &value) == OK && value == 0, "0. and 1000 zeros");
	sprintf(text, "1e%s5", zeros);
	ok(read_int64(STEDI_FIELD_NUMBER, text, &value) == OK && value == 100000, "an exponent with 1000 zeros first");
}

/* What the number of these digits times 10^exponent is, digit by digit. */
static StediReason
expect_integer(bool negative, const char *digits, long exponent, int64_t *value)
{
	char		text[512];
	size_t		len;

	while (*digits == '0')
		digits++;
	len = strlen(digits);
	if (len == 0)
	{
		*value = 0;
		return OK;
	}
	for (; exponent < 0 && len > 0 && digits[len - 1] == '0'; exponent++)
		len--;
	if (exponent < 0)
		return FRACTION;
	if (len + exponent > 19)
		return RANGE;
	memcpy(text, digits, len);
	memset(text + len, '0', exponent);
	text[len + exponent] = '\0';
	if (len + exponent == 19 &&
		strcmp(text, negative ? "9223372036854775808" : "9223372036854775807") > 0)
		return RANGE;
	*value = (int64_t) (negative ? -strtoull(text, NULL, 10) : strtoull(text, NULL, 10));
	return OK;
}

/* Digits, many of them zeros. */
static void
random_digits(char *to, int n)
{
	size_t		zeros = below(3);

	for (int i = 0; i < n; i++)
		to[i] = zeros && below(3) < zeros ? '0' : (char) ('0' + below(10));
	to[n] = '\0';
}

static void
test_random_integers(void)
{
	bool		right = true;
	int			reasons[STEDI_REASON_MISSING + 1] = {0};

	for (int i = 0; i < N_INTEGERS && right; i++)
	{
		char		whole[64];
		char		fraction[64] = "";
		char		digits[128];
		char		text[256];
		bool		negative = below(2);
		long		exponent = 0;
		int			n = 1 + (int) below(below(4) ? 20 : 40);
		int64_t		value;
		int64_t		want = -99;
		StediReason reason;
		StediReason want_reason;

		random_digits(whole, n);
		if (n > 1 && whole[0] == '0')
			whole[0] = '9';
		if (below(2))
			random_digits(fraction, 1 + (int) below(25));
		sprintf(text, "%s%s%s%s", negative ? "-" : "", whole, *fraction ? "." : "", fraction);
		if (below(2))
		{
			exponent = (long) below(60) - 30;
			sprintf(text + strlen(text), "%c%s%ld", below(2) ? 'e' : 'E',
					exponent >= 0 && below(2) ? "+" : "", exponent);
		}
		sprintf(digits, "%s%s", whole, fraction);

		want_reason = expect_integer(negative, digits, exponent - (long) strlen(fraction), &want);
		reason = read_int64(STEDI_FIELD_NUMBER, text, &value);
		reasons[reason]++;
		right = reason == want_reason && (reason != OK || value == want);
		if (!right)
			note("%s: %s, %lld\n# expected: %s, %lld", text, stedi_reason_text(reason), (long long) value,
				 stedi_reason_text(want_reason), (long long) want);
	}
	ok(right, "%d random integers", N_INTEGERS);
	ok(reasons[OK] > N_INTEGERS / 10 && reasons[FRACTION] > N_INTEGERS / 10 &&
	   reasons[RANGE] > N_INTEGERS / 10, "of each kind enough");

	/* around the ends of the range, and of powers of ten, written in full */
	right = true;
	for (int i = 0; i < 2000 && right; i++)
	{
		char		text[64];
		int64_t		want = (int64_t) ((UINT64_C(1) << (i % 64)) + (i / 64) - 15);
		int64_t		value;

		sprintf(text, "%lld", (long long) want);
		right = read_int64(STEDI_FIELD_STRING, text, &value) == OK && value == want;
	}
	ok(right, "integers around powers of two");
}

/* Digits and nothing else, as strtoll reads them: up to the last that fits. */
static void
test_plain_integers(void)
{
	bool		right = true;

	for (int i = 0; i < N_INTEGERS && right; i++)
	{
		char		text[64];
		int			n = 1 + i % 19;
		bool		negative = below(2);
		int64_t		want;
		int64_t		value;

		text[0] = '-';
		random_digits(text + negative, n);
		if (n > 1 && text[negative] == '0')
			text[negative] = '1';
		errno = 0;
		want = strtoll(text, NULL, 10);
		if (errno != 0)
			right = read_int64(STEDI_FIELD_NUMBER, text, &value) == RANGE;
		else
			right = read_int64(i % 2 ? STEDI_FIELD_NUMBER : STEDI_FIELD_STRING, text, &value) == OK &&
				value == want;
		if (right && n <= 15)
			right = read_time(STEDI_FIELD_NUMBER, text, &value) == OK && value == want * 1000;

		/* another byte in one place: a NUL ends the copy, and is not tried */
		text[below(strlen(text))] = (char) (1 + below(255));
		if (right && strspn(text + (text[0] == '-'), "0123456789") < strlen(text) - (text[0] == '-') &&
			strpbrk(text, ".eE") == NULL)
			right = read_int64(STEDI_FIELD_STRING, text, &value) == NO_NUMBER;
		if (!right)
			note("%s: %lld", text, (long long) value);
	}
	ok(right, "%d random integers without a point", N_INTEGERS);
}

/* Does a text read as strtod reads it, to the bit? */
static bool
as_strtod(const char *text)
{
	double		want;
	double		value;
	bool		out_of_range;
	StediReason reason = read_double(STEDI_FIELD_NUMBER, text, &value);

	errno = 0;
	want = strtod(text, NULL);
	out_of_range = errno == ERANGE && (want == 0.0 || isinf(want));
	if (out_of_range ? reason == RANGE : reason == OK && memcmp(&value, &want, sizeof(want)) == 0)
		return true;
	note("%s: %a, %s; strtod: %a", text, value, stedi_reason_text(reason), want);
	return false;
}

static void
test_doubles(void)
{
	static const char *const texts[] = {
		"0", "-0", "0.0", "-0.0", "-0e5", "0e999999999", "0e-999999999", "1", "-1", "0.1", "0.3", "-12.5",
		"1e22", "1e23", "123456789012345", "1234567890123456", "12345678901234567", "0.123456789012345",
		"9007199254740993", "9007199254740992.5", "900719925474099.25", "999999999999999", "9999999999999999",
		"0.00000000000001", "0.000000000000001", "0.0000000000000001", "1.7976931348623157e308",
		"2.2250738585072014e-308", "2.2250738585072011e-308", "4.9406564584124654e-324", "5e-324", "3e-324",
		"1e-310", "-1e-323", "1655564376361.125", "8.41e21", "9214843084008499", "0.500000000000000166533453694",
	};
	static const char *const too_much[] = {
		"1e400", "-1e400", "1e309", "1.7976931348623159e308", "1e999999999999", "1e-400", "-1e-400", "2e-324",
		"1e-999999999999",
	};
	static char text[4096];
	double		value;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		ok(as_strtod(texts[i]), "double %s", texts[i]);
		is_int(read_double(STEDI_FIELD_STRING, texts[i], &value), OK, "double \"%s\"", texts[i]);
	}
	for (size_t i = 0; i < sizeof(too_much) / sizeof(too_much[0]); i++)
		is_int(read_double(STEDI_FIELD_NUMBER, too_much[i], &value), RANGE, "double %s: out of range", too_much[i]);

	read_double(STEDI_FIELD_NUMBER, "-0.0", &value);
	ok(value == 0.0 && signbit(value), "-0.0 keeps its sign");

	/* of every length, on the stack and on the heap */
	for (int digits = 1; digits <= 300; digits++)
	{
		memset(text, '3', digits);
		text[digits] = '\0';
		if (digits > 2)
			text[1] = '.';
		if (!as_strtod(text))
			break;
	}
	ok(as_strtod(text), "doubles of 1 to 300 bytes");
	memset(text, '0', 4000);
	memcpy(text, "0.", 2);
	strcpy(text + 4000, "25e4000");
	ok(as_strtod(text), "a double of 4007 bytes");
	text[4000] = '\0';
	ok(as_strtod(text), "a zero of 4000 bytes");
	memset(text, '9', 400);
	text[400] = '\0';
	is_int(read_double(STEDI_FIELD_NUMBER, text, &value), RANGE, "400 nines are out of range");
}

static void
test_random_doubles(void)
{
	bool		right = true;

	for (int i = 0; i < N_DOUBLES && right; i++)
	{
		char		text[512] = "";
		char		digits[256];
		double		any;
		uint64_t	bits;
		int			n = 1 + (int) below(i % 100 ? 18 : 200);

		switch (i % 4)
		{
			case 0:				/* few digits, as sensors send them */
				sprintf(text, "%s%d.%0*d", below(2) ? "-" : "", (int) below(1000), 1 + (int) below(9), (int) below(10));
				break;
			case 1:				/* digits around the point */
				random_digits(digits, n);
				if (digits[0] == '0')
					digits[0] = '1';
				sprintf(text, "%s.%s", digits, digits + below(n));
				break;
			case 2:				/* any double, as short as can be or not */
				bits = (uint64_t) below(UINT32_MAX) << 33 ^ (uint64_t) below(UINT32_MAX) << 16 ^ below(65536);
				memcpy(&any, &bits, sizeof(any));
				if (!isfinite(any))
					continue;
				sprintf(text, "%.*g", 1 + (int) below(20), any);
				break;
			case 3:				/* digits and an exponent */
				random_digits(digits, n);
				if (digits[0] == '0')
					digits[0] = '1';
				sprintf(text, "-0.%se%d", digits, (int) below(700) - 350);
				break;
		}
		right = as_strtod(text);
	}
	ok(right, "%d random doubles", N_DOUBLES);
}

/* A string that holds a number holds nothing else; other kinds hold none. */
static void
test_refusals(void)
{
	static const char *const texts[] = {
		"", " ", " 5", "5 ", "5\n", "+5", "05", "5.", ".5", "-", "5e", "5e+", "0x5", "1,5", "1 000", "NaN",
		"Infinity", "-inf", "five", "5a", "5;", "--5", "5-", "\xc2\xa0" "5", "\xd9\xa5", "true", "null", "\"5\"",
	};
	static const StediFieldKind kinds[] = {
		STEDI_FIELD_MISSING, STEDI_FIELD_NULL, STEDI_FIELD_TRUE, STEDI_FIELD_FALSE, STEDI_FIELD_NESTED,
		STEDI_FIELD_UNREADABLE,
	};
	StediSlice	nothing = {NULL, 0};
	int64_t		integer;
	double		number;
	int32_t		days;
	bool		truth;

	ok(!stedi_value_is_number(nothing), "nothing at all is no number");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		bool		refused = read_int64(STEDI_FIELD_STRING, texts[i], &integer) == NO_NUMBER;

		refused = refused && read_double(STEDI_FIELD_STRING, texts[i], &number) == NO_NUMBER;
		refused = refused && read_time(STEDI_FIELD_STRING, texts[i], &integer) == NO_TIME;
		refused = refused && read_date(texts[i], strlen(texts[i]), &days) == NO_TIME;
		refused = refused && !is_number(texts[i]);
		ok(refused, "no number and no time: no. %zu of the table", i);
	}

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
	{
		StediField	field = {kinds[i], {NULL, 0}};

		is_int(stedi_value_int64(&field, &integer), STEDI_REASON_WRONG_KIND, "kind %d is no integer", kinds[i]);
		is_int(stedi_value_double(&field, &number), STEDI_REASON_WRONG_KIND, "kind %d is no double", kinds[i]);
		is_int(stedi_value_time(&field, &integer), STEDI_REASON_WRONG_KIND, "kind %d is no time", kinds[i]);
		is_int(stedi_value_date(&field, &days), STEDI_REASON_WRONG_KIND, "kind %d is no date", kinds[i]);
	}

	for (int kind = STEDI_FIELD_MISSING; kind <= STEDI_FIELD_UNREADABLE; kind++)
	{
		StediField	field = make_field(kind, "true", 4);
		bool		is_truth = (kind == STEDI_FIELD_TRUE || kind == STEDI_FIELD_FALSE);

		truth = (kind != STEDI_FIELD_TRUE);
		is_int(stedi_value_bool(&field, &truth), is_truth ? OK : STEDI_REASON_WRONG_KIND, "truth: kind %d", kind);
		if (is_truth)
			ok(truth == (kind == STEDI_FIELD_TRUE), "truth: the right one");
		free_field(&field);
	}
}

static const struct
{
	const char *text;
	StediReason reason;
	int64_t		value;
}			times[] = {

	/* milliseconds since 1970 */
	{"0", OK, 0},
	{"1655564444103", OK, INT64_C(1655564444103000)},
	{"1655564444103.0", OK, INT64_C(1655564444103000)},
	{"1655564444103.5", OK, INT64_C(1655564444103500)},
	{"1655564444103.123", OK, INT64_C(1655564444103123)},
	{"1655564444103.123000", OK, INT64_C(1655564444103123)},
	{"1655564444103.1234", NO_TIME, 0},
	{"1.655564444103e12", OK, INT64_C(1655564444103000)},
	{"1.655564444103123e12", OK, INT64_C(1655564444103123)},
	{"-1", OK, -1000},
	{"-0.001", OK, -1},
	{"-0.0001", NO_TIME, 0},
	{"1e-3", OK, 1},
	{"9223372036854775.807", OK, INT64_MAX},
	{"9223372036854775.808", RANGE, 0},
	{"-9223372036854775.808", OK, INT64_MIN},
	{"9223372036854776", RANGE, 0},
	{"1e300", RANGE, 0},
	{"1e999999999999", RANGE, 0},

	/* ISO 8601 */
	{"1970-01-01T00:00:00Z", OK, 0},
	{"1970-01-01T00:00Z", OK, 0},
	{"1970-01-01t00:00:00z", OK, 0},
	{"1970-01-01 00:00:00Z", OK, 0},
	{"2022-06-18T15:00:44.103Z", OK, INT64_C(1655564444103000)},
	{"2022-06-18T15:00:44.103+00:00", OK, INT64_C(1655564444103000)},
	{"2022-06-18T15:00:44.103-00:00", OK, INT64_C(1655564444103000)},
	{"2022-06-18T17:00:44.103+02:00", OK, INT64_C(1655564444103000)},
	{"2022-06-18T17:00:44.103+0200", OK, INT64_C(1655564444103000)},
	{"2022-06-18T17:00:44.103+02", OK, INT64_C(1655564444103000)},
	{"2022-06-18T20:30:44.103+05:30", OK, INT64_C(1655564444103000)},
	{"2022-06-18T11:30:44.103-03:30", OK, INT64_C(1655564444103000)},
	{"2022-06-19T06:59:44.103+15:59", OK, INT64_C(1655564444103000)},
	{"2022-06-17T23:01:44.103-15:59", OK, INT64_C(1655564444103000)},
	{"1970-01-01T00:00:00.1Z", OK, 100000},
	{"1970-01-01T00:00:00.000001Z", OK, 1},
	{"1970-01-01T00:00:00.0000014Z", OK, 1},
	{"1970-01-01T00:00:00.0000015Z", OK, 2},
	{"1970-01-01T00:00:00.00000149999999999999999999999Z", OK, 1},
	{"1970-01-01T00:00:00.9999995Z", OK, 1000000},
	{"1969-12-31T23:59:59.999999Z", OK, -1},
	{"1970-01-01T00:00:00+00:01", OK, -60000000},
	{"2016-12-31T23:59:59Z", OK, INT64_C(1483228799000000)},
	{"2016-12-31T23:59:60Z", OK, INT64_C(1483228800000000)},
	{"2016-12-31T23:59:60.5Z", OK, INT64_C(1483228800500000)},
	{"2016-12-31T23:59:61Z", NO_TIME, 0},
	{"2000-02-29T00:00:00Z", OK, INT64_C(951782400000000)},
	{"1900-02-29T00:00:00Z", NO_TIME, 0},
	{"0001-01-01T00:00:00Z", OK, INT64_C(-62135596800000000)},
	{"9999-12-31T23:59:59.999999Z", OK, INT64_C(253402300799999999)},
	{"0000-01-01T00:00:00Z", NO_TIME, 0},
	{"2022-06-18T24:00:00Z", NO_TIME, 0},
	{"2022-06-18T23:60:00Z", NO_TIME, 0},
	{"2022-06-31T00:00:00Z", NO_TIME, 0},

	/* without an offset, nobody knows when that was */
	{"2022-06-18T15:00:44", NO_TIME, 0},
	{"2022-06-18T15:00:44.103", NO_TIME, 0},
	{"2022-06-18 15:00", NO_TIME, 0},
	{"2022-06-18", NO_TIME, 0},

	/* not as it is written */
	{"2022-06-18T15:00:44.Z", NO_TIME, 0},
	{"2022-06-18T15:00:44,5Z", NO_TIME, 0},
	{"2022-06-18T15:00:44 Z", NO_TIME, 0},
	{"2022-06-18T15:00:44ZZ", NO_TIME, 0},
	{"2022-06-18T15:00:44Z ", NO_TIME, 0},
	{" 2022-06-18T15:00:44Z", NO_TIME, 0},
	{"2022-06-18  15:00:44Z", NO_TIME, 0},
	{"2022-06-18T15Z", NO_TIME, 0},
	{"2022-06-18T15:00.5Z", NO_TIME, 0},
	{"2022-06-18T15:0:44Z", NO_TIME, 0},
	{"2022-06-18T15:00:4Z", NO_TIME, 0},
	{"2022-06-18T150044Z", NO_TIME, 0},
	{"20220618T150044Z", NO_TIME, 0},
	{"2022-06-18T15:00:44+2", NO_TIME, 0},
	{"2022-06-18T15:00:44+02:", NO_TIME, 0},
	{"2022-06-18T15:00:44+02:0", NO_TIME, 0},
	{"2022-06-18T15:00:44+02:000", NO_TIME, 0},
	{"2022-06-18T15:00:44+02:60", NO_TIME, 0},
	{"2022-06-18T15:00:44+16:00", NO_TIME, 0},
	{"2022-06-18T15:00:44+-2:00", NO_TIME, 0},
	{"2022-06-18T15:00:44Z+02:00", NO_TIME, 0},
	{"2022-06-18T15:00:44 UTC", NO_TIME, 0},
	{"2022-06-18T15:00:44\xe2\x88\x92" "02:00", NO_TIME, 0},
	{"-2022-06-18T15:00:44Z", NO_TIME, 0},
	{"+2022-06-18T15:00:44Z", NO_TIME, 0},
	{"22-06-18T15:00:44Z", NO_TIME, 0},
	{"12022-06-18T15:00:44Z", NO_TIME, 0},
	{"now", NO_TIME, 0},
	{"infinity", NO_TIME, 0},
};

static void
test_times(void)
{
	static const char text[] = "2022-06-18T15:00:44.103+02:00";
	bool		refused = true;
	int64_t		value;

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
	{
		bool		number = is_number(times[i].text);
		StediReason reason = read_time(STEDI_FIELD_STRING, times[i].text, &value);

		is_int(reason, times[i].reason, "time \"%s\": %s", times[i].text, stedi_reason_text(times[i].reason));
		if (reason == OK)
			is_int(value, times[i].value, "time \"%s\"", times[i].text);
		if (number)
			ok(read_time(STEDI_FIELD_NUMBER, times[i].text, &value) == reason &&
			   (reason != OK || value == times[i].value), "time %s", times[i].text);
	}

	for (size_t i = 0; i < sizeof(text) - 1; i++)
	{
		char		changed[sizeof(text)];

		/* a year alone is a number; an offset's minutes may be left out */
		bool		is_time = ((i >= 1 && i <= 4) || i == 26);

		memcpy(changed, text, sizeof(text));
		changed[i] = '\0';
		refused = read_time(STEDI_FIELD_STRING, changed, &value) == (is_time ? OK : NO_TIME);
		for (int c = 1; c < 256; c++)
		{
			if (c >= '0' && c <= '9')
				continue;
			changed[i] = (char) c;
			if (c != text[i] && read_time(STEDI_FIELD_STRING, changed, &value) == OK &&
				!(i == 10 && strchr("t ", c)) && !(i == 23 && c == '-'))
				refused = false;
		}
		if (!refused)
		{
			note("byte %zu", i);
			break;
		}
	}
	ok(refused, "a time cut off or changed in every place");
}

static void
test_random_times(void)
{
	bool		right = true;

	for (int i = 0; i < N_TIMES && right; i++)
	{
		/* between the years 2 and 9998, at an offset of some minutes */
		int64_t		second = -INT64_C(62104060800) + (int64_t) (below(1 << 30) * UINT64_C(293) + below(293));
		int			us = (int) below(1000000);
		int			offset = (int) below(2 * 16 * 60 - 1) - (16 * 60 - 1);
		time_t		there = second + offset * 60;
		struct tm	tm;
		char		text[128];
		int64_t		value;

		gmtime_r(&there, &tm);
		snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06d%c%02d:%02d",
				 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, us,
				 offset < 0 ? '-' : '+', abs(offset) / 60, abs(offset) % 60);
		right = read_time(STEDI_FIELD_STRING, text, &value) == OK && value == second * 1000000 + us;
		if (!right)
			note("%s: %lld, expected %lld us", text, (long long) value, (long long) second * 1000000 + us);
	}
	ok(right, "%d random times", N_TIMES);
}

/* Every day of the years 1 to 9999, counted one by one, and those that are none. */
static void
test_days(void)
{
	static const int lengths[] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0};
	char		text[] = "YYYY-MM-DD";
	StediField	field = {STEDI_FIELD_STRING, {text, 10}};
	int32_t		want = -719162; /* 0001-01-01 */
	int32_t		value;
	bool		right = true;

	for (int year = 1; year <= 9999 && right; year++)
	{
		bool		leap = year % 400 == 0 || (year % 100 != 0 && year % 4 == 0);

		for (int i = 0, rest = year; i < 4; i++, rest /= 10)
			text[3 - i] = (char) ('0' + rest % 10);
		for (int month = 0; month <= 13 && right; month++)
		{
			int			length = lengths[month] + (leap && month == 2);

			text[5] = (char) ('0' + month / 10);
			text[6] = (char) ('0' + month % 10);
			for (int day = length > 0 ? 0 : 1; day <= (length > 0 ? length + 1 : 1) && right; day++)
			{
				bool		is_day = day >= 1 && day <= length;

				text[8] = (char) ('0' + day / 10);
				text[9] = (char) ('0' + day % 10);
				right = stedi_value_date(&field, &value) == (is_day ? OK : NO_TIME) &&
					(!is_day || value == want);
				want += is_day;
			}
		}
	}
	if (!right)
		note("%s: %d, expected %d", text, value, want);
	ok(right, "every day of the years 1 to 9999");
	is_int(want, 2932897, "which are as many as they should be");
}

static void
test_dates(void)
{
	static const char *const none[] = {
		"0000-01-01", "2022-00-01", "2022-13-01", "2022-99-01", "2022-01-00", "2022-01-32", "2022-01-99", "2022-02-29",
		"2022-04-31", "1900-02-29", "2100-02-29", "2000-02-30", "2022-6-18", "2022-06-1", "2022-06-018", "22-06-18",
		"12022-06-18", "-2022-06-18", "+2022-06-18", "20220618", "2022/06/18", "2022-0618", "202206-18", "18-06-2022",
		"2022-06", "2022", "2022-06-18 ", " 2022-06-18", "2022-06-18T00:00:00Z", "2022-06-18Z", "2022-06-1x",
		"2022-x6-18", "x022-06-18", "2022-06--1", "today", "infinity", "0", "1655564444103",
	};
	static const struct
	{
		const char *text;
		int32_t		days;
	}			dates[] = {
		{"1970-01-01", 0},
		{"1969-12-31", -1},
		{"2000-02-29", 11016},
		{"2000-03-01", 11017},
		{"2022-06-18", 19161},
		{"1900-03-01", -25508},
		{"0001-01-01", -719162},
		{"0004-02-29", -718008},
		{"9999-12-31", 2932896},
	};
	StediField	number = make_field(STEDI_FIELD_NUMBER, "2022", 4);
	int32_t		value;

	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++)
	{
		is_int(read_date(dates[i].text, 10, &value), OK, "date %s", dates[i].text);
		is_int(value, dates[i].days, "date %s: its day", dates[i].text);
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		is_int(read_date(none[i], strlen(none[i]), &value), NO_TIME, "no date: \"%s\"", none[i]);
	is_int(read_date("2022-06-18\0", 11, &value), NO_TIME, "no date: with a NUL behind it");
	is_int(stedi_value_date(&number, &value), STEDI_REASON_WRONG_KIND, "no date: a number");
	free_field(&number);
}

/* Numbers of each unit, and what is finer rounded down. */
static void
test_units(void)
{
	static const struct
	{
		const char *text;
		StediTimeUnit unit;
		StediReason reason;
		int64_t		ms;
	}			cases[] = {
		{"1681484376", STEDI_UNIT_S, STEDI_REASON_NONE, INT64_C(1681484376000)},
		{"1681484376.3619999", STEDI_UNIT_S, STEDI_REASON_NONE, INT64_C(1681484376361)},
		{"-0.0001", STEDI_UNIT_S, STEDI_REASON_NONE, -1},
		{"-1.5", STEDI_UNIT_S, STEDI_REASON_NONE, -1500},
		{"1.681484376e9", STEDI_UNIT_S, STEDI_REASON_NONE, INT64_C(1681484376000)},
		{"16814843760e-1", STEDI_UNIT_S, STEDI_REASON_NONE, INT64_C(1681484376000)},
		{"1e-400", STEDI_UNIT_S, STEDI_REASON_NONE, 0},
		{"0e999999999", STEDI_UNIT_S, STEDI_REASON_NONE, 0},
		{"9223372036854775", STEDI_UNIT_S, STEDI_REASON_NONE, INT64_C(9223372036854775000)},
		{"9223372036854776", STEDI_UNIT_S, STEDI_REASON_OUT_OF_RANGE, 0},
		{"1e400", STEDI_UNIT_S, STEDI_REASON_OUT_OF_RANGE, 0},
		{"1681484376361999", STEDI_UNIT_US, STEDI_REASON_NONE, INT64_C(1681484376361)},
		{"-1", STEDI_UNIT_US, STEDI_REASON_NONE, -1},
		{"1681484376361", STEDI_UNIT_MS, STEDI_REASON_NONE, INT64_C(1681484376361)},
		{"1681484376361.5", STEDI_UNIT_MS, STEDI_REASON_NOT_AN_INTEGER, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		StediField	field = {STEDI_FIELD_NUMBER, {cases[i].text, strlen(cases[i].text)}};
		int64_t		ms = 0;

		is_int(stedi_value_ms_of(&field, cases[i].unit, NULL, &ms), cases[i].reason, "%s of unit %d", cases[i].text, cases[i].unit);
		if (cases[i].reason == STEDI_REASON_NONE)
			is_int(ms, cases[i].ms, "%s of unit %d, in ms", cases[i].text, cases[i].unit);
	}
}

/* Which numbers of a unit can only be of another one. */
static void
test_other_units(void)
{
	const int64_t first = INT64_C(946684800);
	const int64_t last = INT64_C(4102444800);
	const struct
	{
		int64_t		ms;
		StediTimeUnit unit;
		int			other;		/* -1: none */
		int64_t		latest;
	}			cases[] = {
		{first * 1000, STEDI_UNIT_MS, -1, 0},
		{last * 1000, STEDI_UNIT_MS, -1, 0},
		{first - 1, STEDI_UNIT_MS, -1, 0},
		{first, STEDI_UNIT_MS, STEDI_UNIT_S, first * 1000 + 999},
		{last - 1, STEDI_UNIT_MS, STEDI_UNIT_S, last * 1000 - 1},
		{last, STEDI_UNIT_MS, -1, 0},
		{first * 1000000, STEDI_UNIT_MS, STEDI_UNIT_US, first * 1000},
		{last * 1000000, STEDI_UNIT_MS, -1, 0},
		{first * 1000000000, STEDI_UNIT_MS, STEDI_UNIT_NS, first * 1000},
		{first * 1000000, STEDI_UNIT_S, STEDI_UNIT_MS, first * 1000},
		{first, STEDI_UNIT_US, STEDI_UNIT_MS, first * 1000 + 999},
		{first / 1000 + 1, STEDI_UNIT_US, STEDI_UNIT_S, (first / 1000 + 2) * 1000000 - 1},
		{-first, STEDI_UNIT_MS, -1, 0},
		{INT64_MAX, STEDI_UNIT_MS, -1, 0},
		{INT64_MIN, STEDI_UNIT_MS, -1, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		StediTimeUnit other = STEDI_N_UNITS;
		int64_t		latest = 0;
		bool		found = stedi_value_other_unit(cases[i].ms, cases[i].unit, &other, &latest);

		is_int(found ? (int) other : -1, cases[i].other, "case %zu: the other unit", i);
		is_int(latest, cases[i].latest, "case %zu: the latest time", i);
	}
}

int
main(void)
{
	test_int64();
	test_many_zeros();
	test_random_integers();
	test_plain_integers();
	test_doubles();
	test_random_doubles();
	test_refusals();
	test_units();
	test_other_units();
	test_times();
	test_random_times();
	test_dates();
	test_days();
	return done_testing();
}
