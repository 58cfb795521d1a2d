/*
 * A record's fields are read alike by both decoders, and what is no JSON is
 * refused.  Guards src/record/decode.c, src/record/plain.c and
 * src/record/json.c.
 */
#include <cjson/cJSON.h>
#include <stdlib.h>

#include "alike.h"
#include "record/decoder.h"
#include "padded.h"
#include "tap.h"

#define N_RANDOM 40000
#define ROOM 8192

enum
{
	KEY_A, KEY_B, KEY_EMAIL, KEY_ACCENT, KEY_EMPTY, N_KEYS
};

static const char *const key_names[] = {"a", "b", "email", "\xc3\xa9", ""};
static StediSlice keys[N_KEYS];

typedef StediReason (*DecodeFn) (StediDecoder *, StediSlice, StediField *, int *);

typedef struct Text
{
	size_t		len;
	char		data[ROOM + STEDI_BYTES_PADDING];	/* ends in a NUL, which is
													 * not counted */
} Text;

static void
add_bytes(Text *to, const char *bytes, size_t len)
{
	if (to->len + len >= ROOM)
		abort();
	memcpy(to->data + to->len, bytes, len);
	to->len += len;
	to->data[to->len] = '\0';
}

static void
add(Text *to, const char *bytes)
{
	add_bytes(to, bytes, strlen(bytes));
}

static StediSlice
slice(const char *data, size_t len)
{
	StediSlice	slice = {data, len};

	return slice;
}

/*
 * Write what was read: key=value for each field that is not missing, then the
 * reason.  'x' is a string, @x is nested, ? is unreadable.
 */
static void
show(const StediField *fields, StediReason reason, int where, Text *out)
{
	out->len = 0;
	out->data[0] = '\0';
	for (int i = 0; i < N_KEYS; i++)
	{
		static const char *const marks[] = {"", "", "'", "", "", "", "@", "?"};
		const StediField *field = &fields[i];

		if (field->kind == STEDI_FIELD_MISSING)
			continue;
		add(out, key_names[i]);
		add(out, "=");
		add(out, marks[field->kind]);
		if (field->kind == STEDI_FIELD_TRUE)
			add(out, "true");
		else if (field->kind == STEDI_FIELD_FALSE)
			add(out, "false");
		else if (field->kind == STEDI_FIELD_NULL)
			add(out, "null");
		else if (field->kind != STEDI_FIELD_UNREADABLE)
			add_bytes(out, field->text.data, field->text.len);
		add(out, field->kind == STEDI_FIELD_STRING ? "' " : " ");
	}
	if (reason != STEDI_REASON_NONE)
	{
		add(out, ": ");
		add(out, stedi_reason_text(reason));
		if (where >= 0)
		{
			add(out, ", ");
			add(out, key_names[where]);
		}
	}
	else if (where != -1)
		add(out, ": a key, and no trouble");
	while (out->len > 0 && out->data[out->len - 1] == ' ')
		out->data[--out->len] = '\0';
}

/* Does the decoder hold together? */
static bool
is_sound(const StediDecoder *decoder)
{
	const StediKnownKey *end = decoder->known + sizeof(decoder->known) / sizeof(decoder->known[0]);

	for (const StediKnownKey *known = decoder->known; known < end; known++)
	{
		size_t		len = known->len - (known->len > 0 && known->text[known->len - 1] == ' ');
		StediSlice	key = {known->text + 1, len - 3};

		if (known->next < decoder->known || known->next >= end)
			return false;
		if (known->mask == UINT64_MAX)
			continue;
		if (known->len > STEDI_KNOWN_TEXT || len < 3 ||
			known->mask != (UINT64_C(1) << known->len) - 1 || known->text[0] != '"' ||
			memcmp(known->text + len - 2, "\":", 2) != 0 ||
			stedi_field_find_key(decoder, key) != known->wanted)
			return false;
	}
	return true;
}

/* How many keys does it know? */
static int
count_known(const StediDecoder *decoder)
{
	int			n = 0;

	for (int i = 0; i < STEDI_KNOWN_KEYS; i++)
		n += (decoder->known[i].mask != UINT64_MAX);
	return n;
}

/*
 * Decode a record that stands in memory of its own, and write what was read.
 */
static StediReason
decode(DecodeFn fn, StediDecoder *decoder, const char *bytes, size_t len, Text *out)
{
	char	   *copy = padded_copy(bytes, len);
	StediSlice	record = {copy, len};
	StediField	fields[N_KEYS];
	int			where = 99;
	StediReason reason;

	memset(fields, 0x55, sizeof(fields));
	reason = fn(decoder, record, fields, &where);
	show(fields, reason, where, out);
	if (!is_sound(decoder))
		add(out, " (and the decoder is not sound)");
	free(copy);
	return reason;
}

/* Both decoders, the first one twice, say this of a record?  And as a stream? */
static bool
says(const char *bytes, size_t len, const char *want)
{
	static Text out;
	StediDecoder decoder;
	bool		right = true;

	stedi_decode_init(&decoder, keys, N_KEYS);
	for (int i = 0; i < 3 && right; i++)
	{
		decode(i < 2 ? stedi_decode_record : stedi_json_record, &decoder, bytes, len, &out);
		right = strcmp(out.data, want) == 0;
		if (!right)
			note("%s, \"%.*s\":\n#      got: %s\n# expected: %s", i < 2 ? "decode.c" : "json.c",
				 (int) len, bytes, out.data, want);
	}
	for (size_t step = len < 200 ? 1 : len; step <= len && right; step++)
	{
		Alike		way = {{.step = step,.late = step % 2}, 0, 0};

		right = alike_object(&decoder, bytes, len, &way);
	}
	stedi_decode_release(&decoder);
	return right;
}

#define SYNTAX ": not valid JSON"
#define TWO_KEYS ": two keys match and their values differ, "
#define ZERO ": text contains \\u0000, "
#define NOT_UTF8 ": not valid text in the encoding of the database"
#define ENCODING ": not valid text in the encoding of the database, "

typedef struct Case
{
	const char *what;
	const char *record;
	const char *want;
} Case;

static const Case cases[] = {
	/* kinds */
	{"an empty record", "{}", ""},
	{"an empty record with space", "{ \t\r\n}", ""},
	{"a string", "{\"a\":\"x y\"}", "a='x y'"},
	{"an empty string", "{\"a\":\"\"}", "a=''"},
	{"a number", "{\"a\":-12.50e+3}", "a=-12.50e+3"},
	{"a number beyond 2^53, as written", "{\"a\":9007199254740993}", "a=9007199254740993"},
	{"true", "{\"a\":true}", "a=true"},
	{"false", "{\"a\":false}", "a=false"},
	{"null", "{\"a\":null}", "a=null"},
	{"an object", "{\"a\":{\"b\": 1}}", "a=@{\"b\": 1}"},
	{"an array, as written", "{\"a\":[ 1 ,\"\\u0041\"]}", "a=@[ 1 ,\"\\u0041\"]"},
	{"the four that are not the same", "{\"a\":null,\"b\":\"\",\"email\":\"null\"}", "a=null b='' email='null'"},
	{"space everywhere", "{ \"a\" : 1 ,\r\n\t\"b\"\n:\n\"x\"\n}", "a=1 b='x'"},
	{"unwanted keys", "{\"x\":1,\"a\":2,\"aa\":3,\"\\u0061a\":4,\"y\":{\"a\":5}}", "a=2"},
	{"an empty key", "{\"\":1}", "=1"},
	{"characters of many bytes", "{\"\xc3\xa9\":\"\xe2\x82\xac\xf0\x9f\x98\x80\"}", "\xc3\xa9='\xe2\x82\xac\xf0\x9f\x98\x80'"},
	{"bytes that are no character", "{\"a\":\"\xff\xc3\"}", "a='\xff\xc3' " NOT_UTF8},
	{"nor in what nobody wants", "{\"x\xc3\":1,\"a\":2}", "a=2 " NOT_UTF8},
	{"nor nested, a surrogate", "{\"x\":[\"\xed\xa0\x80\"],\"a\":2}", "a=2 " NOT_UTF8},
	{"nor longer than need be", "{\"x\":\"\xc0\xaf\",\"a\":2}", "a=2 " NOT_UTF8},
	{"nor of three bytes, which two would do", "{\"x\":\"\xe0\x9f\xbf\",\"a\":2}", "a=2 " NOT_UTF8},
	{"nor of four, which three would do", "{\"x\":\"\xf0\x8f\xbf\xbf\",\"a\":2}", "a=2 " NOT_UTF8},
	{"nor beyond U+10FFFF", "{\"x\":\"\xf4\x90\x80\x80\",\"a\":2}", "a=2 " NOT_UTF8},
	{"nor cut off by the quote", "{\"x\":\"\xe2\x82\",\"a\":2}", "a=2 " NOT_UTF8},
	{"the largest and smallest of each length", "{\"a\":\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"}",
	"a='\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf'"},
	{"DEL is no control character", "{\"a\":\"\x7f\"}", "a='\x7f'"},

	/* case */
	{"ASCII letters in either case", "{\"A\":1,\"EmAiL\":2}", "a=1 email=2"},
	{"other letters are not folded", "{\"\xc3\x89\":1}", ""},
	{"what differs by one bit is not folded", "{\"@\":1,\"!\":2}", ""},

	/* escapes */
	{"every escape", "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\"}",
	"a='\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac'"},
	{"a surrogate pair", "{\"a\":\"\\ud83d\\uDE00\"}", "a='\xf0\x9f\x98\x80'"},
	{"the first and the last pair", "{\"a\":\"\\uD800\\uDC00\\udbff\\udfff\"}", "a='\xf0\x90\x80\x80\xf4\x8f\xbf\xbf'"},
	{"around the surrogates", "{\"a\":\"\\ud7ff\\ue000\\uffff\"}", "a='\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf'"},
	{"an escape in a key", "{\"\\u0045m\\u0041il\":1}", "email=1"},
	{"an escape in an unwanted key", "{\"\\n\":1,\"a\":2}", "a=2"},
	{"an escape in an unwanted value", "{\"x\":\"\\n\",\"a\":2}", "a=2"},
	{"escapes in several", "{\"a\":\"\\n\",\"\\u0062\":\"\\t\",\"email\":\"\\\\\"}", "a='\n' b='\t' email='\\'"},
	{"a backslash and no escape", "{\"a\":\"\\\\u0041\"}", "a='\\u0041'"},
	{"a quoted backslash, then u0000", "{\"a\":\"\\\\u0000\"}", "a='\\u0000'"},
	{"\\u0001", "{\"a\":\"\\u0001\"}", "a='\x01'"},

	/* what is no text */
	{"\\u0000", "{\"a\":\"x\\u0000\",\"b\":1}", "a=? b=1 " ZERO "a"},
	{"\\u0000, unwanted", "{\"x\":\"\\u0000\",\"b\":1}", "b=1"},
	{"\\u0000, nested", "{\"a\":[\"\\u0000\"]}", "a=@[\"\\u0000\"]"},
	{"\\u0000 in a key", "{\"a\\u0000\":1,\"b\":2}", "b=2"},
	{"a high surrogate alone", "{\"a\":\"\\ud83d\",\"b\":1}", "a=? b=1 " ENCODING "a"},
	{"a low surrogate alone", "{\"b\":1,\"a\":\"x\\ude00\"}", "a=? b=1 " ENCODING "a"},
	{"two high surrogates", "{\"a\":\"\\ud83d\\ud83d\\ude00\"}", "a=? " ENCODING "a"},
	{"a pair the wrong way round", "{\"a\":\"\\ude00\\ud83d\"}", "a=? " ENCODING "a"},
	{"a high surrogate, then a letter", "{\"a\":\"\\ud83dx\"}", "a=? " ENCODING "a"},
	{"a high surrogate, then another escape", "{\"a\":\"\\ud83d\\n\\ude00\"}", "a=? " ENCODING "a"},
	{"a high surrogate, then \\u0041", "{\"a\":\"\\udbff\\u0041\"}", "a=? " ENCODING "a"},
	{"a surrogate alone, unwanted", "{\"x\":\"\\ud83d\",\"a\":1}", "a=1"},
	{"a surrogate alone, nested", "{\"a\":{\"\\ud83d\":1}}", "a=@{\"\\ud83d\":1}"},
	{"a surrogate alone in a key", "{\"\\ud83d\":1,\"a\":2}", "a=2"},
	{"the first trouble is the one told", "{\"b\":\"\\u0000\",\"a\":\"\\ud83d\"}", "a=? b=? " ZERO "b"},
	{"a pair behind a pair is no trouble", "{\"a\":\"\\ud83d\\ude00\\ud83d\\ude00x\"}", "a='\xf0\x9f\x98\x80\xf0\x9f\x98\x80x'"},

	/* two keys */
	{"two keys that agree", "{\"a\":1,\"b\":2,\"a\":1}", "a=1 b=2"},
	{"they agree in another case", "{\"a\":\"x\",\"A\":\"x\"}", "a='x'"},
	{"they agree by an escape", "{\"a\":\"x\",\"a\":\"\\u0078\"}", "a='x'"},
	{"they agree by an escape in the key", "{\"a\":\"x\",\"\\u0041\":\"x\"}", "a='x'"},
	{"empty strings agree", "{\"a\":\"\",\"a\":\"\"}", "a=''"},
	{"nulls agree", "{\"a\":null,\"a\":null}", "a=null"},
	{"truths agree", "{\"a\":true,\"a\":true}", "a=true"},
	{"nested ones agree", "{\"a\":[1],\"a\":[1]}", "a=@[1]"},
	{"unwanted ones need not agree", "{\"x\":1,\"x\":2,\"a\":1}", "a=1"},
	{"two keys that differ", "{\"a\":1,\"b\":3,\"a\":2}", "a=? b=3 " TWO_KEYS "a"},
	{"they differ in another case", "{\"b\":1,\"B\":2}", "b=? " TWO_KEYS "b"},
	{"they differ by an escape", "{\"a\":\"x\",\"a\":\"\\u0079\"}", "a=? " TWO_KEYS "a"},
	{"they differ by an escape in the key", "{\"a\":1,\"\\u0061\":2}", "a=? " TWO_KEYS "a"},
	{"they differ in their length", "{\"a\":\"x\",\"a\":\"xy\"}", "a=? " TWO_KEYS "a"},
	{"1 is written otherwise than 1.0", "{\"a\":1,\"a\":1.0}", "a=? " TWO_KEYS "a"},
	{"1 is no \"1\"", "{\"a\":1,\"a\":\"1\"}", "a=? " TWO_KEYS "a"},
	{"null is no \"\"", "{\"a\":null,\"a\":\"\"}", "a=? " TWO_KEYS "a"},
	{"null is no value", "{\"a\":1,\"a\":null}", "a=? " TWO_KEYS "a"},
	{"true is not false", "{\"a\":true,\"a\":false}", "a=? " TWO_KEYS "a"},
	{"[1] is no \"[1]\"", "{\"a\":[1],\"a\":\"[1]\"}", "a=? " TWO_KEYS "a"},
	{"three, the last like the first", "{\"a\":1,\"a\":2,\"a\":1}", "a=? " TWO_KEYS "a"},
	{"three, the last two alike", "{\"a\":1,\"a\":2,\"a\":2}", "a=? " TWO_KEYS "a"},
	{"two keys twice", "{\"b\":1,\"a\":1,\"a\":2,\"b\":2}", "a=? b=? " TWO_KEYS "a"},
	{"one of two is no text", "{\"a\":\"x\",\"a\":\"\\u0000\"}", "a=? " ZERO "a"},
	{"the first of two is no text", "{\"a\":\"\\ud83d\",\"a\":\"x\"}", "a=? " ENCODING "a"},
	{"both are no text", "{\"a\":\"\\u0000\",\"a\":\"\\u0000\"}", "a=? " ZERO "a"},

	/* not JSON, and what is known all the same */
	{"nothing", "", SYNTAX},
	{"space first", " {}", SYNTAX},
	{"space behind", "{} ", SYNTAX},
	{"no object", "[]", SYNTAX},
	{"a {", "{", SYNTAX},
	{"a comma alone", "{,}", SYNTAX},
	{"a trailing comma", "{\"a\":1,}", "a=1 " SYNTAX},
	{"a comma first", "{,\"a\":1}", SYNTAX},
	{"two commas", "{\"a\":1,,\"b\":2}", "a=1 " SYNTAX},
	{"no comma", "{\"a\":1 \"b\":2}", "a=1 " SYNTAX},
	{"another mark for the comma", "{\"a\":\"x\";\"b\":2}", "a='x' " SYNTAX},
	{"no colon", "{\"a\" 1}", SYNTAX},
	{"another mark for the colon", "{\"a\"=1}", SYNTAX},
	{"two colons", "{\"a\"::1}", SYNTAX},
	{"no value", "{\"a\":}", SYNTAX},
	{"space for a value", "{\"a\": }", SYNTAX},
	{"no value at all", "{\"a\"}", SYNTAX},
	{"a key without quotes", "{a:1}", SYNTAX},
	{"a key in single quotes", "{'a':1}", SYNTAX},
	{"a number as a key", "{1:1}", SYNTAX},
	{"a tab in a key", "{\"a\t\":1}", SYNTAX},
	{"a bad escape in a key", "{\"\\a\":1}", SYNTAX},
	{"two } behind", "{\"a\":1}}", "a=1 " SYNTAX},
	{"a record behind", "{\"a\":1}{}", "a=1 " SYNTAX},
	{"an empty record with junk behind", "{}x", SYNTAX},
	{"] for }", "{\"a\":\"x\"]", "a='x' " SYNTAX},
	{"cut off behind a value", "{\"a\":1,\"b\":\"x\"", "a=1 b='x' " SYNTAX},
	{"cut off behind a comma", "{\"a\":1,", "a=1 " SYNTAX},
	{"cut off in a key", "{\"a\":1,\"b", "a=1 " SYNTAX},
	{"cut off behind a key", "{\"a\":1,\"b\"", "a=1 " SYNTAX},
	{"cut off behind a colon", "{\"a\":1,\"b\":", "a=1 " SYNTAX},
	{"cut off in a string", "{\"a\":1,\"b\":\"x", "a=1 " SYNTAX},
	{"cut off in an escape", "{\"a\":1,\"b\":\"x\\u00", "a=1 " SYNTAX},
	{"cut off in an array", "{\"a\":1,\"b\":[2", "a=1 " SYNTAX},
	{"cut off in an object", "{\"a\":1,\"b\":{\"x\":2", "a=1 " SYNTAX},
	{"cut off in a number: it may go on", "{\"a\":1,\"b\":165556", "a=1 " SYNTAX},
	{"cut off behind a number and a space", "{\"a\":1,\"b\":165556\n", "a=1 b=165556 " SYNTAX},
	{"cut off behind a word: it may go on", "{\"a\":1,\"b\":true", "a=1 " SYNTAX},
	{"cut off behind null", "{\"a\":1,\"b\":null", "a=1 " SYNTAX},
	{"cut off in a word", "{\"a\":1,\"b\":fals", "a=1 " SYNTAX},
	{"cut off behind an array", "{\"a\":1,\"b\":[2]", "a=1 b=@[2] " SYNTAX},
	{"a number that runs into something", "{\"a\":1,\"b\":12x}", "a=1 " SYNTAX},
	{"a word that runs into something", "{\"a\":1,\"b\":nullx}", "a=1 " SYNTAX},
	{"a string that does", "{\"a\":1,\"b\":\"x\"y}", "a=1 b='x' " SYNTAX},
	{"a number and a space that do", "{\"a\":1,\"b\":12 x}", "a=1 b=12 " SYNTAX},
	{"a key again, cut off", "{\"a\":1,\"a\":2", "a=1 " SYNTAX},
	{"two keys differ before it", "{\"a\":1,\"a\":2,", "a=? " SYNTAX},
	{"\\u0000 before it", "{\"a\":\"\\u0000\",\"b\":1,", "a=? b=1 " SYNTAX},
	{"an escape before it", "{\"a\":\"\\u0041\",\"b\":1,", "a='A' b=1 " SYNTAX},
};

static void
test_cases(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ok(says(cases[i].record, strlen(cases[i].record), cases[i].want), "%s", cases[i].what);
}

/* Is a value JSON: wanted, unwanted, nested, and again behind others? */
static bool
takes(const char *value, bool json)
{
	static const char *const frames[] = {
		"{\"a\":%s}", "{\"a\": %s , \"b\":1}", "{\"x\":%s}", "{\"x\":\"y\",\"X\":%s,\"b\":1}",
		"{\"\\u0061\":%s}", "{\"a\":[%s]}", "{\"a\":[1,%s ,2]}", "{\"x\":{\"y\":%s}}",
		"{\"x\":{\"y\":1,\"z\":[[{\"z\":%s}]]}}",
	};
	bool		right = true;

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
	{
		static Text out;
		StediDecoder decoder;
		char		record[512];
		size_t		len;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		len = snprintf(record, sizeof(record), frames[i], value);
#pragma GCC diagnostic pop
		stedi_decode_init(&decoder, keys, N_KEYS);
		for (int k = 0; k < 3; k++)
		{
			StediReason reason = decode(k < 2 ? stedi_decode_record : stedi_json_record,
										&decoder, record, len, &out);

			if ((reason != STEDI_REASON_SYNTAX) == json)
				continue;
			note("%s: %s", record, out.data);
			right = false;
		}
		stedi_decode_release(&decoder);
	}
	return right;
}

static void
test_strictness(void)
{
	static const char *const json[] = {
		"0", "-0", "10", "-1", "1.0", "0.0", "1.50", "1e5", "1E5", "1e+5", "1E-05", "-0.0e-0",
		"1e999999999999", "123456789012345678901234567890", "true", "false", "null",
		"\"\"", "\"x\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u00e9\\uABCD\\uabcd\"", "\"\x7f\"",
		"\"'\"", "\"\xc3\xa9\"", "\"//\"", "\"/* */\"", "[]", "[ ]", "{}", "{ }", "[[],[]]", "{\"\":\"\"}",
		"[1,\"x\",null,true,false,{},[]]", "{\"a\":{\"a\":[{}]}}", "{\"a\":1,\"a\":2}",
		"[ 1 , 2 ]", "{ \"x\" : 1 , \"y\" : 2 }", "\t1", "\r\n1\n", " \"x\" ", "[\n1\n]",
	};
	static const char *const none[] = {
		/* numbers */
		"01", "-01", "00", "1.", "-1.", "0.e1", ".5", "-.5", "+1", "-", "--1", "1e", "1e+", "1E-", "e5",
		"1.5.5", "1e5.5", "1e5e5", "1-1", "1+1", "0x1F", "1_000", "1,000.", "1 000", "1f", "1L", "- 1",
		"NaN", "nan", "Infinity", "-Infinity", "inf", "\xd9\xa1",
		/* words */
		"TRUE", "True", "tru", "truee", "nul", "NULL", "None", "nil", "undefined", "x", "true false", "nulltrue",
		/* strings */
		"'x'", "`x`", "\"", "\"x", "x\"", "\"x\"\"y\"", "\"x\" \"y\"", "\"x\"+\"y\"", "\"\\\"", "\"\\x41\"",
		"\"\\'\"", "\"\\a\"", "\"\\v\"", "\"\\0\"", "\"\\ \"", "\"\\\n\"", "\"\\N\"", "\"\\U0041\"", "\"\\u\"",
		"\"\\u1\"", "\"\\u12\"", "\"\\u123\"", "\"\\u123g\"", "\"\\ug123\"", "\"\\u 123\"", "\"\\u+123\"",
		"\"\\u00\xc3\xa9\"", "\"\t\"", "\"\n\"", "\"\r\"", "\"\x01\"", "\"\x1f\"", "\"\b\"", "\"\f\"",
		/* nesting */
		"[", "]", "{", "[1,]", "[,]", "[,1]", "[1,,2]", "[1 2]", "[1;2]", "[1:2]", "[1}", "{1]", "{1}",
		"{\"a\":1]", "{\"a\"}", "{\"a\":}", "{\"a\",1}", "{\"a\" 1}", "{\"a\":1,}", "{,\"a\":1}", "{\"a\":1,,}",
		"{\"a\":1 \"b\":2}", "{a:1}", "{'a':1}", "{1:1}", "{null:1}", "{[]:1}", "[]]", "{}}", "[[]", "{{}}",
		"{\"a\":1}x", "[1]x",
		/* what stands between */
		"\f1", "1\f", "\v1", "1\v", "\xc2\xa0" "1", "\xef\xbb\xbf" "1", "\b1", "1\x1f", "/**/1",
		"1//", "#1", "1;", "(1)", "=1", "1=", ":1", "1:1", "\\1", "@1", "\x7f" "1",
	};

	for (size_t i = 0; i < sizeof(json) / sizeof(json[0]); i++)
		ok(takes(json[i], true), "JSON: no. %zu of the table", i);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		ok(takes(none[i], false), "not JSON: no. %zu of the table", i);
}

/* A NUL byte is no byte of JSON, wherever it stands. */
static void
test_zero_bytes(void)
{
	static const char record[] = "{\"a\":\"x\\n\",\"b\":[1,{\"c\":true}]}";
	char		changed[sizeof(record)];
	bool		refused = true;

	for (size_t i = 0; i < sizeof(record) - 1; i++)
	{
		static Text out;
		StediDecoder decoder;

		memcpy(changed, record, sizeof(record));
		changed[i] = '\0';
		stedi_decode_init(&decoder, keys, N_KEYS);
		refused = refused &&
			decode(stedi_decode_record, &decoder, changed, sizeof(record) - 1, &out) == STEDI_REASON_SYNTAX;
		stedi_decode_release(&decoder);
	}
	ok(refused, "a NUL byte in every place is refused");
	ok(says("{\"a\":1}\0", 8, "a=1 " SYNTAX), "a NUL byte behind a record is refused");
	ok(says("{\"a\":\"\0\"}", 9, SYNTAX), "a NUL byte in a string is refused");
}

/* A record of n levels: {"x": and arrays or objects. */
static size_t
nest(char *to, const char *open, const char *close, int n)
{
	char	   *p = to;

	p += sprintf(p, "{\"x\":");
	for (int i = 1; i < n; i++)
		p += sprintf(p, "%s", open);
	p += sprintf(p, "1");
	for (int i = 1; i < n; i++)
		p += sprintf(p, "%s", close);
	p += sprintf(p, ",\"b\":1}");
	return p - to;
}

static void
test_depth(void)
{
	char	   *record = malloc(1 << 21);
	size_t		len;

	len = nest(record, "[", "]", STEDI_MAX_DEPTH);
	ok(says(record, len, "b=1"), "arrays as deep as the framer lets through");
	len = nest(record, "{\"x\":", "}", STEDI_MAX_DEPTH);
	ok(says(record, len, "b=1"), "objects as deep as the framer lets through");
	len = nest(record, "[", "]", STEDI_DEEPEST);
	ok(says(record, len, "b=1"), "arrays as deep as any framer lets through");
	len = nest(record, "{\"x\":", "}", STEDI_DEEPEST);
	ok(says(record, len, "b=1"), "objects as deep as any framer lets through");
	len = nest(record, "[{\"x\":", "}]", STEDI_DEEPEST / 2);
	ok(says(record, len, "b=1"), "and both in turn");
	len = nest(record, "[", "]", 100000);
	ok(says(record, len, SYNTAX), "arrays deeper than any stack");
	len = nest(record, "{\"x\":", "}", 100000);
	ok(says(record, len, SYNTAX), "objects deeper than any stack");
	memset(record, '[', 1 << 20);
	memcpy(record, "{\"x\":", 5);
	ok(says(record, 1 << 20, SYNTAX), "and not closed");
	free(record);
}

/* Decode records one after the other: is each read as if it stood alone? */
static bool
reads_alone(StediDecoder *decoder, const char *record)
{
	static Text got;
	static Text want;
	StediDecoder fresh;
	size_t		len = strlen(record);

	stedi_decode_init(&fresh, keys, N_KEYS);
	decode(stedi_json_record, &fresh, record, len, &want);
	stedi_decode_release(&fresh);
	decode(stedi_decode_record, decoder, record, len, &got);
	if (strcmp(got.data, want.data) == 0)
		return true;
	note("%.200s:\n#      got: %.200s\n# expected: %.200s", record, got.data, want.data);
	return false;
}

static void
test_order(void)
{
	static const char *const records[][2] = {
		{"the first record", "{\"a\":1,\"x\":2,\"b\":3,\"email\":4}"},
		{"the same keys", "{\"a\":5,\"x\":6,\"b\":7,\"email\":8}"},
		{"the other way round", "{\"email\":1,\"b\":2,\"x\":3,\"a\":4}"},
		{"two change places", "{\"email\":1,\"x\":2,\"b\":3,\"a\":4}"},
		{"a new key in the middle", "{\"email\":1,\"y\":9,\"x\":2,\"b\":3,\"a\":4}"},
		{"a key is missing", "{\"email\":1,\"y\":9,\"b\":3,\"a\":4}"},
		{"the first one is missing", "{\"y\":9,\"b\":3,\"a\":4}"},
		{"the last one is missing", "{\"y\":9,\"b\":3}"},
		{"none is left", "{}"},
		{"one more than before", "{\"y\":9,\"b\":3,\"a\":4}"},
		{"in another case", "{\"Y\":9,\"B\":3,\"A\":4}"},
		{"the case of one changes", "{\"Y\":9,\"b\":3,\"A\":4}"},
		{"a key in the other's place", "{\"Y\":9,\"a\":3,\"B\":4}"},
		{"keys that begin alike", "{\"aa\":1,\"a\":2,\"aaa\":3}"},
		{"and others", "{\"a\":1,\"aa\":2,\"aaaa\":3}"},
		{"an empty key", "{\"\":1,\"a\":2}"},
		{"an empty key again", "{\"\":3,\"a\":4}"},
		{"an empty key no more", "{\"b\":3,\"a\":4}"},
		{"the same key twice", "{\"b\":3,\"b\":3}"},
		{"the same key twice, differing", "{\"b\":3,\"b\":4}"},
		{"a record that is not plain", "{\"b\":3,\"\\u0061\":4}"},
		{"a plain one behind it", "{\"b\":3,\"a\":4}"},
		{"one that is wrong in the middle", "{\"b\":3,\"x\":4,\"a\":05}"},
		{"a right one behind it", "{\"b\":3,\"x\":4,\"a\":5}"},
	};
	const char *names[] = {"a", "b", "email", "x", "X", "aa", "A"};
	StediDecoder decoder;
	bool		right = true;

	stedi_decode_init(&decoder, keys, N_KEYS);
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++)
		ok(reads_alone(&decoder, records[i][1]), "key order: %s", records[i][0]);

	/* what is known is only a guess, so nothing else shows that there is some */
	stedi_decode_init(&decoder, keys, N_KEYS);
	for (int i = 0; i < 2; i++)
	{
		reads_alone(&decoder, "{\"b\":1,\"x\":2,\"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\":3}");
		is_int(count_known(&decoder), 2, "key order: two keys are remembered, a long one is not");
	}
	reads_alone(&decoder, "{\"b\":1,\"a\":2}");
	is_int(count_known(&decoder), 3, "key order: and a third");

	/* up to four keys of seven, in every order, after every other */
	for (int i = 0; i < 7 * 7 * 7 * 7 * 5 && right; i++)
	{
		char		record[128] = "{";
		int			rest = i * 1009 % (7 * 7 * 7 * 7 * 5);
		int			n = rest % 5;

		for (rest /= 5; n > 0; n--, rest /= 7)
			sprintf(record + strlen(record), "\"%s\":%d%s", names[rest % 7], n, n > 1 ? "," : "");
		strcat(record, "}");
		right = reads_alone(&decoder, record);
	}
	ok(right, "key order: every order after every other");
	stedi_decode_release(&decoder);
}

/* A record of n keys of len letters, the wanted ones in the places given. */
static void
many_keys(Text *record, int n, int len, int place_a, int place_b)
{
	char		name[4096];

	record->len = 0;
	add(record, "{");
	for (int i = 0; i < n; i++)
	{
		sprintf(name, "%s\"%0*d\":%d", i ? "," : "", len, i, i);
		if (i == place_a)
			sprintf(name, "%s\"A\":%d", i ? "," : "", i);
		if (i == place_b)
			sprintf(name, "%s\"b\":%d", i ? "," : "", i);
		add(record, name);
	}
	add(record, "}");
}

static void
test_many_keys(void)
{
	static const struct
	{
		const char *what;
		int			n;
		int			len;
	}			shapes[] = {
		{"63 keys", 63, 4},
		{"64 keys", 64, 4},
		{"65 keys", 65, 4},
		{"200 keys", 200, 4},
		{"keys of 2048 bytes in all", 8, 256},
		{"keys of 2049 bytes in all", 3, 683},
		{"long keys", 20, 300},
		{"a key of 2048 bytes", 1, 2048},
		{"keys of 2049 bytes", 3, 2049},
	};
	static Text record;

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
	{
		StediDecoder decoder;
		int			n = shapes[i].n;
		bool		right = true;

		stedi_decode_init(&decoder, keys, N_KEYS);
		for (int k = 0; k < 6 * n && right; k++)
		{
			/* each place in turn and twice, at times a short record between */
			many_keys(&record, n, shapes[i].len, k / 2 % n, k % 5 ? n - 1 - k / 3 % n : -1);
			right = reads_alone(&decoder, record.data);
			if (k % 7 == 0)
			{
				many_keys(&record, (n + 1) / 2, shapes[i].len, -1, k % n);
				right = right && reads_alone(&decoder, record.data);
			}
		}
		ok(right, "%s", shapes[i].what);
		stedi_decode_release(&decoder);
	}
}

static void
test_find_key(void)
{
	StediDecoder decoder;
	static const struct
	{
		const char *what;
		const char *record;
		StediReason reason;
	}			records[] = {
		{"a record", "{\"a\":1}", STEDI_REASON_NONE},
		{"a record that is not plain", "{\"\\u0061\":1}", STEDI_REASON_NONE},
		{"not JSON", "{\"a\":01}", STEDI_REASON_SYNTAX},
	};

	stedi_decode_init(&decoder, keys, N_KEYS);
	is_int(stedi_field_find_key(&decoder, keys[KEY_EMAIL]), KEY_EMAIL, "find_key: as wanted");
	is_int(stedi_field_find_key(&decoder, slice("EMAIL!", 5)), KEY_EMAIL, "find_key: in capitals");
	is_int(stedi_field_find_key(&decoder, slice("EMAIL!", 6)), -1, "find_key: longer");
	is_int(stedi_field_find_key(&decoder, slice("emai", 4)), -1, "find_key: shorter");
	is_int(stedi_field_find_key(&decoder, slice(NULL, 0)), KEY_EMPTY, "find_key: empty");

	/* a scan that wants no key at all, count(*) say, still judges records */
	stedi_decode_init(&decoder, keys, 0);
	for (int i = 0; i < 3; i++)
	{
		size_t		len = strlen(records[i].record);
		char	   *copy = padded_copy(records[i].record, len);
		StediField	none;
		int			where;

		is_int(stedi_decode_record(&decoder, slice(copy, len), &none, &where), records[i].reason,
			   "no key is wanted: %s", records[i].what);
		free(copy);
	}
	stedi_decode_release(&decoder);
	stedi_decode_release(&decoder);
	ok(decoder.strings == NULL, "released twice");
}

/* The grammar of RFC 8259 once more: the end of what stands at p, or NULL. */
static const char *grammar_value(const char *p);

static const char *
grammar_space(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

static const char *
grammar_string(const char *p)
{
	if (*p++ != '"')
		return NULL;
	while (*p != '"')
	{
		if ((unsigned char) *p < 0x20)
			return NULL;
		if (*p++ != '\\')
			continue;
		if (*p == '\0' || strchr("\"\\/bfnrtu", *p) == NULL)
			return NULL;
		if (*p++ == 'u')
		{
			if (strspn(p, "0123456789abcdefABCDEF") < 4)
				return NULL;
			p += 4;
		}
	}
	return p + 1;
}

static const char *
grammar_number(const char *p)
{
	static const char digits[] = "0123456789";
	size_t		n;

	p += *p == '-';
	n = strspn(p, digits);
	if (n == 0 || (n > 1 && *p == '0'))
		return NULL;
	p += n;
	if (*p == '.')
	{
		n = strspn(p + 1, digits);
		if (n == 0)
			return NULL;
		p += n + 1;
	}
	if (*p == 'e' || *p == 'E')
	{
		p++;
		p += (*p == '-' || *p == '+');
		n = strspn(p, digits);
		if (n == 0)
			return NULL;
		p += n;
	}
	return p;
}

static const char *
grammar_members(const char *p, char close)
{
	p = grammar_space(p);
	if (*p == close)
		return p + 1;
	for (;; p++)
	{
		if (close == '}')
		{
			p = grammar_string(grammar_space(p));
			p = p ? grammar_space(p) : NULL;
			if (p == NULL || *p++ != ':')
				return NULL;
		}
		p = grammar_value(grammar_space(p));
		p = p ? grammar_space(p) : NULL;
		if (p == NULL || *p == close)
			return p ? p + 1 : NULL;
		if (*p != ',')
			return NULL;
	}
}

static const char *
grammar_value(const char *p)
{
	static const char *const words[] = {"true", "false", "null"};

	for (int i = 0; i < 3; i++)
		if (strncmp(p, words[i], strlen(words[i])) == 0)
			return p + strlen(words[i]);
	if (*p == '{' || *p == '[')
		return grammar_members(p + 1, *p == '{' ? '}' : ']');
	return *p == '"' ? grammar_string(p) : grammar_number(p);
}

/*
 * cJSON refuses surrogates alone and numbers of 64 bytes, which are JSON, and
 * ends a string at \u0000.
 */
static bool
is_too_much_for_cjson(const char *record)
{
	for (const char *p = record; *p != '\0'; p++)
		if (strncmp(p, "ud", 2) == 0 || strncmp(p, "uD", 2) == 0 ||
			strncmp(p, "u0000", 5) == 0 || strspn(p, "+-.0123456789eE") > 60)
			return true;
	return false;
}

/* Does cJSON read the same fields?  (Of two keys that differ, it has both.) */
static bool
cjson_agrees(const cJSON *object, const StediField *fields, const StediDecoder *decoder)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, object)
	{
		StediSlice	key = {item->string, strlen(item->string)};
		int			found = stedi_field_find_key(decoder, key);
		const StediField *field = &fields[found];
		bool		same = false;

		if (found < 0 || field->kind == STEDI_FIELD_UNREADABLE)
			continue;
		switch (field->kind)
		{
			case STEDI_FIELD_NULL:
				same = cJSON_IsNull(item);
				break;
			case STEDI_FIELD_TRUE:
				same = cJSON_IsTrue(item);
				break;
			case STEDI_FIELD_FALSE:
				same = cJSON_IsFalse(item);
				break;
			case STEDI_FIELD_NESTED:
				same = cJSON_IsObject(item) || cJSON_IsArray(item);
				break;
			case STEDI_FIELD_NUMBER:
				same = cJSON_IsNumber(item) && strtod(field->text.data, NULL) == item->valuedouble;
				break;
			case STEDI_FIELD_STRING:
				same = cJSON_IsString(item) && strlen(item->valuestring) == field->text.len &&
					memcmp(item->valuestring, field->text.data, field->text.len) == 0;
				break;
			default:
				break;
		}
		if (!same)
			return false;
	}
	return true;
}

static uint64_t seed = 20220618;

/* A random number below n; the same ones in every run. */
static size_t
below(size_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (size_t) (seed >> 33) % n;
}

/* A surrogate without the other is found where cJSON finds one. */
static void
test_surrogates(void)
{
	static const char *const pieces[] = {
		"\\ud83d", "\\uDBFF", "\\uda00", "\\ude00", "\\uDFFF", "\\uDc00", "\\ud7ff", "\\ue000",
		"\\u00d8", "\\\\", "\\n", "x", "ud83d", "de00",
	};
	static Text record;
	StediDecoder decoder;
	bool		alike = true;
	int			n_lone = 0;

	stedi_decode_init(&decoder, keys, N_KEYS);
	for (int i = 0; i < N_RANDOM && alike; i++)
	{
		StediField	fields[N_KEYS];
		StediReason reason;
		cJSON	   *object;
		int			where;

		record.len = 0;
		add(&record, "{\"a\":\"");
		for (int n = below(6); n > 0; n--)
			add(&record, pieces[below(i % 2 ? 6 : 14)]);
		add(&record, "\"}");
		reason = stedi_decode_record(&decoder, slice(record.data, record.len), fields, &where);
		object = cJSON_Parse(record.data);
		alike = reason == (object ? STEDI_REASON_NONE : STEDI_REASON_ENCODING) &&
			(object == NULL || cjson_agrees(object, fields, &decoder));
		if (!alike)
			note("%s: %s", record.data, stedi_reason_text(reason));
		cJSON_Delete(object);
		n_lone += (reason == STEDI_REASON_ENCODING);
	}
	stedi_decode_release(&decoder);
	ok(alike, "%d random strings with surrogates: as cJSON has them", N_RANDOM);
	ok(n_lone > N_RANDOM / 10 && n_lone < N_RANDOM * 9 / 10, "some of them without the other");
}

static const char *
pick_space(void)
{
	static const char *const spaces[] = {"", "", "", "", " ", "\t", "\r\n", "  "};

	return spaces[below(8)];
}

static void
random_value(Text *to, bool plain)
{
	static const char *const values[] = {
		"1", "0", "-0", "-12.5e3", "1655564444103", "9223372036854775808", "0.1", "1E2", "true", "false",
		"null", "\"\"", "\"x\"", "\"1\"", "\"a@b.test\"", "\"\xc3\xa9\"", "\"{}\"",
		/* not plain */
		"\"\\u0041\"", "\"\\n\\\\\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "\"\\u0000\"", "[]",
		"[1,{\"a\":2}]", "{\"a\":\"\\\"\"}", "{ }",
	};

	add(to, values[below(plain ? 17 : 26)]);
}

static void
random_record(Text *to, bool plain)
{
	static const char *const names[] = {
		"\"a\"", "\"b\"", "\"email\"", "\"\xc3\xa9\"", "\"\"", "\"A\"", "\"Email\"", "\"x\"",
		"\"timestamp\"", "\"\\u0061\"", "\"\\n\"",
	};

	to->len = 0;
	add(to, "{");
	add(to, pick_space());
	for (int n = below(6); n > 0; n--)
	{
		add(to, names[below(plain ? 9 : 11)]);
		add(to, pick_space());
		add(to, ":");
		add(to, pick_space());
		random_value(to, plain);
		add(to, pick_space());
		if (n > 1)
			add(to, ",");
		if (n > 1)
			add(to, pick_space());
	}
	add(to, "}");
}

/* Change a record in one place. */
static void
mutate(Text *record)
{
	static const char marks[] = "{}[],:\"\\\n \t019.-+eEu\f\x01truefalsenull";
	size_t		at = below(record->len);
	size_t		n = 1 + below(4);

	if (n > record->len - at)
		n = record->len - at;
	switch (below(4))
	{
		case 0:
			record->data[at] = marks[below(sizeof(marks) - 1)];
			break;
		case 1:
			record->data[at] = (char) (1 + below(255));
			break;
		case 2:					/* bytes left out */
			memmove(record->data + at, record->data + at + n, record->len - at - n + 1);
			record->len -= n;
			break;
		case 3:					/* bytes twice */
			memmove(record->data + at + n, record->data + at, record->len - at + 1);
			record->len += n;
			break;
	}
}

/* Is one record, random or nearly so, read alike by all there are? */
static bool
read_alike(StediDecoder *guessing, const Text *record, bool *accepted)
{
	static Text got;
	static Text want;
	StediDecoder decoder;
	StediField	fields[N_KEYS];
	StediReason reason;
	int			where;
	const char *grammar_end;
	Alike		way = {{.step = ROOM}, 0, 0};
	bool		alike;

	stedi_decode_init(&decoder, keys, N_KEYS);
	reason = stedi_json_record(&decoder, slice(record->data, record->len), fields, &where);
	show(fields, reason, where, &want);
	decode(stedi_decode_record, guessing, record->data, record->len, &got);
	alike = strcmp(got.data, want.data) == 0 &&
		alike_object(guessing, record->data, record->len, &way);
	if (!alike)
		note("decode.c: %s\n# json.c: %s", got.data, want.data);

	grammar_end = record->data[0] == '{' ? grammar_value(record->data) : NULL;
	*accepted = (reason != STEDI_REASON_SYNTAX);
	if (*accepted != (grammar_end == record->data + record->len))
	{
		note("the grammar says otherwise: %s", want.data);
		alike = false;
	}
	if (*accepted && !is_too_much_for_cjson(record->data))
	{
		cJSON	   *object = cJSON_Parse(record->data);

		if (object == NULL || !cjson_agrees(object, fields, &decoder))
		{
			note("cJSON says otherwise: %s", want.data);
			alike = false;
		}
		cJSON_Delete(object);
	}
	stedi_decode_release(&decoder);
	if (!alike)
		note("record: %s", record->data);
	return alike;
}

static void
test_random(void)
{
	static Text record;
	static const char *const kinds[] = {"plain records", "records", "changed plain records", "changed records"};

	for (int kind = 0; kind < 4; kind++)
	{
		StediDecoder guessing;
		bool		alike = true;
		int			n_accepted = 0;

		stedi_decode_init(&guessing, keys, N_KEYS);
		for (int i = 0; i < N_RANDOM && alike; i++)
		{
			bool		accepted;

			random_record(&record, kind % 2 == 0);
			for (int n = kind < 2 ? 0 : 1 + below(2); n > 0 && record.len > 0; n--)
				mutate(&record);
			alike = read_alike(&guessing, &record, &accepted);
			n_accepted += accepted;
		}
		stedi_decode_release(&guessing);
		ok(alike, "%d random %s: read alike", N_RANDOM, kinds[kind]);
		if (kind < 2)
			is_int(n_accepted, N_RANDOM, "random %s: all of them JSON", kinds[kind]);
		else
			ok(n_accepted > N_RANDOM / 20 && n_accepted < N_RANDOM / 2,
			   "random %s: some of them JSON", kinds[kind]);
	}
}

/* The allocation that fails, counted down; and what is not yet freed. */
static int	until_failure;
static int	n_living;

static void *
failing_malloc(size_t size)
{
	if (until_failure > 0 && --until_failure == 0)
		return NULL;
	n_living++;
	return malloc(size);
}

static void
counting_free(void *pointer)
{
	n_living -= pointer != NULL;
	free(pointer);
}

/*
 * Every allocation fails in turn.  Then the record is refused for that, fields
 * are those of a good day or none, and the next record is read as ever.
 */
static void
test_out_of_memory(void)
{
	static const char *const records[] = {
		"{\"a\":\"\\u0041\"}",
		"{\"\\u0061\":1,\"b\":\"x\"}",
		"{\"x\":1,\"\\u0062\":\"\\n\",\"a\":\"y\",\"email\":\"\\ud83d\\ude00\"}",
		"{\"\\n\":1,\"a\":[\"\\n\"],\"b\":true,\"email\":\"\\\\\"}",
		"{\"a\":\"\\n\",\"a\":\"\\n\",\"\\u0061\":\"\\u000a\"}",
	};
	cJSON_Hooks hooks = {failing_malloc, counting_free};
	StediDecoder decoder;

	cJSON_InitHooks(&hooks);
	stedi_decode_init(&decoder, keys, N_KEYS);
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++)
	{
		char	   *copy = padded_copy(records[i], strlen(records[i]));
		StediSlice	record = {copy, strlen(records[i])};
		static Text good;
		static Text again;
		StediField	bad[N_KEYS];
		StediField	fields[N_KEYS];
		StediReason reason = STEDI_REASON_OUT_OF_MEMORY;
		int			n = 0;
		int			where;
		bool		right = true;

		until_failure = 0;
		is_int(decode(stedi_decode_record, &decoder, record.data, record.len, &good),
			   STEDI_REASON_NONE, "out of memory, record %zu: good", i);
		while (reason != STEDI_REASON_NONE && right)
		{
			StediDecoder other;

			until_failure = ++n;
			reason = stedi_decode_record(&decoder, record, bad, &where);
			right = reason == STEDI_REASON_OUT_OF_MEMORY || until_failure > 0;
			if (!right)
				note("allocation %d fails: %s", n, stedi_reason_text(reason));

			until_failure = 0;
			stedi_decode_init(&other, keys, N_KEYS);
			stedi_decode_record(&other, record, fields, &where);
			for (int k = 0; k < N_KEYS; k++)
				if (bad[k].kind != STEDI_FIELD_UNREADABLE && bad[k].kind != STEDI_FIELD_MISSING &&
					(bad[k].kind != fields[k].kind || bad[k].text.len != fields[k].text.len ||
					 memcmp(bad[k].text.data, fields[k].text.data, bad[k].text.len) != 0))
					right = false;
			stedi_decode_release(&other);
			decode(stedi_decode_record, &decoder, record.data, record.len, &again);
			right = right && strcmp(again.data, good.data) == 0;
		}
		ok(right && n > 2, "out of memory, record %zu: at %d allocations", i, n - 1);
		free(copy);
	}
	stedi_decode_release(&decoder);
	is_int(n_living, 0, "out of memory: all is freed");
	cJSON_InitHooks(NULL);
}

int
main(void)
{
	for (int i = 0; i < N_KEYS; i++)
	{
		keys[i].data = key_names[i];
		keys[i].len = strlen(key_names[i]);
	}
	test_cases();
	test_strictness();
	test_zero_bytes();
	test_depth();
	test_find_key();
	test_order();
	test_many_keys();
	test_surrogates();
	test_random();
	test_out_of_memory();
	return done_testing();
}
