/*
 * Records and rejects are the same at every chunk size, are what doc/rules.md
 * says they are, and leave no byte out.  Guards src/record/frame.c.
 */
#include <stdlib.h>

#include "alike.h"
#include "record/record.h"
#include "framed.h"
#include "tap.h"

#define ROOM 2048				/* bytes of a mutated object */
#define N_MUTATIONS 20000

static Outcome whole;			/* the object given at once */
static Outcome other;			/* what is compared with it */

static void
run(const char *bytes, size_t len, size_t step, bool late, size_t limit, Outcome *out)
{
	Reading		reading = {.step = step,.late = late,.limit = limit};

	framed_run(bytes, len, reading, out);
}

static void
expect(const char *bytes, size_t len, Outcome *out)
{
	framed_expect(bytes, len, STEDI_MAX_DEPTH, out);
}

/* Is it framed alike where it is decoded at once? */
static bool
decodes_alike(const char *bytes, size_t len, size_t step, bool late, size_t limit)
{
	static const StediSlice keys[] = {{"a", 1}, {"b", 1}};
	StediDecoder decoder;
	Alike		way = {{.step = step,.late = late,.limit = limit}, 0, 0};
	bool		alike;

	stedi_decode_init(&decoder, keys, 2);
	alike = alike_object(&decoder, bytes, len, &way);
	stedi_decode_release(&decoder);
	return alike;
}

/* The object as whole has it, at every chunk size. */
static void
test_chunks(const char *what, const char *bytes, size_t len)
{
	bool		same = true;

	for (size_t step = 1; step <= len + 1 && same; step++)
	{
		for (int late = 0; late < 2 && same; late++)
		{
			run(bytes, len, step, late, 0, &other);
			same = is_same(&other, &whole) && decodes_alike(bytes, len, step, late, 0);
			if (!same)
				note("in chunks of %zu%s", step, late ? ", the end told late" : "");
		}
	}
	ok(same, "%s: in chunks of 1 to %zu", what, len + 1);
}

static void
test_object(const char *what, const char *bytes, size_t len)
{
	expect(bytes, len, &other);
	run(bytes, len, len, false, 0, &whole);
	ok(is_same(&whole, &other) && is_covered(bytes, len, &whole), "%s: by the rules", what);
	test_chunks(what, bytes, len);
}

typedef struct Want
{
	StediReason reason;
	const char *text;
} Want;

typedef struct Case
{
	const char *what;
	const char *bytes;
	Want		want[6];		/* up to the first without a text */
} Case;

#define RECORD(text) {STEDI_REASON_NONE, text}
#define JUNK(text) {STEDI_REASON_NOT_AN_OBJECT, text}
#define CUT_OFF(text) {STEDI_REASON_CUT_OFF, text}
#define IN_STRING(text) {STEDI_REASON_LINE_IN_STRING, text}
#define NOT_CLOSED(text) {STEDI_REASON_NOT_CLOSED, text}
#define ARRAY_OPEN {STEDI_REASON_ARRAY_OPEN, ""}

#define BOM "\xef\xbb\xbf"

static const Case cases[] = {
	/* nothing */
	{"no byte", "", {{0}}},
	{"a line end", "\n", {{0}}},
	{"blank lines", " \t\r\n\n\r\n  ", {{0}}},
	{"an empty array", "[]", {{0}}},
	{"empty arrays", "[ ]\n[\r\n]", {{0}}},

	/* records */
	{"without a last newline", "{\"a\":1}", {RECORD("{\"a\":1}")}},
	{"with a last newline", "{\"a\":1}\n", {RECORD("{\"a\":1}")}},
	{"lines", "{\"a\":1}\n{\"b\":2}\n{}\n", {RECORD("{\"a\":1}"), RECORD("{\"b\":2}"), RECORD("{}")}},
	{"CRLF", "{\"a\":1}\r\n{\"b\":2}\r\n", {RECORD("{\"a\":1}"), RECORD("{\"b\":2}")}},
	{"blank lines between", "\n\n{\"a\":1}\n\n \t\n{\"b\":2}\n\n", {RECORD("{\"a\":1}"), RECORD("{\"b\":2}")}},
	{"back to back", "{\"a\":1}{\"b\":2}{}", {RECORD("{\"a\":1}"), RECORD("{\"b\":2}"), RECORD("{}")}},
	{"indented", "  {\"a\":1}\n\t{\"b\":2}", {RECORD("{\"a\":1}"), RECORD("{\"b\":2}")}},
	{"a CR alone is no line end", "{\"a\":1}\rx\r{\"b\":2}\n{}", {RECORD("{\"a\":1}"), JUNK("x\r{\"b\":2}"), RECORD("{}")}},
	{"pretty-printed", "{\n  \"a\": 1,\n  \"b\": [\n    2\n  ]\n}\n{\n}\n",
	{RECORD("{\n  \"a\": 1,\n  \"b\": [\n    2\n  ]\n}"), RECORD("{\n}")}},
	{"pretty-printed, CRLF", "{\r\n\"a\":{\r\n}\r\n}\r\n{}", {RECORD("{\r\n\"a\":{\r\n}\r\n}"), RECORD("{}")}},
	{"an object in column one, behind a colon", "{\"a\":\n{\"b\":1}}\n{}", {RECORD("{\"a\":\n{\"b\":1}}"), RECORD("{}")}},
	{"in an array's first place", "{\"a\":[\n\n{\"b\":1}]}\n{}", {RECORD("{\"a\":[\n\n{\"b\":1}]}"), RECORD("{}")}},
	{"in an array, behind a comma", "{\"a\":[1 , \n{\"b\":1}]}", {RECORD("{\"a\":[1 , \n{\"b\":1}]}")}},

	/* strings */
	{"brackets in strings", "{\"}]\":\"{[\"}\n{\"{\":\"}\"}", {RECORD("{\"}]\":\"{[\"}"), RECORD("{\"{\":\"}\"}")}},
	{"escaped quotes", "{\"\\\"}\":\"\\\\\"}{\"a\":\"\\\\\\\"}\"}", {RECORD("{\"\\\"}\":\"\\\\\"}"), RECORD("{\"a\":\"\\\\\\\"}\"}")}},
	{"\\u escapes", "{\"a\":\"\\u007d\\u0022\\ud83d\\ude00\"}\n{}", {RECORD("{\"a\":\"\\u007d\\u0022\\ud83d\\ude00\"}"), RECORD("{}")}},
	{"characters of many bytes", "{\"\xc3\xa9\":\"\xe2\x82\xac\xf0\x9f\x98\x80\"}\n{}",
	{RECORD("{\"\xc3\xa9\":\"\xe2\x82\xac\xf0\x9f\x98\x80\"}"), RECORD("{}")}},
	{"a control character in a string", "{\"a\":\"\t\r\x01\"}\n{}", {RECORD("{\"a\":\"\t\r\x01\"}"), RECORD("{}")}},

	/* arrays and commas */
	{"an array", "[{\"a\":1},{\"b\":2}]", {RECORD("{\"a\":1}"), RECORD("{\"b\":2}")}},
	{"an array over lines", "[\n  {\"a\":1},\n  {\"b\":2}\n]\n", {RECORD("{\"a\":1}"), RECORD("{\"b\":2}")}},
	{"an array without commas", "[{\"a\":1}\n{\"b\":2}]", {RECORD("{\"a\":1}"), RECORD("{\"b\":2}")}},
	{"arrays", "[{\"a\":1}][{\"b\":2},]\n[]", {RECORD("{\"a\":1}"), RECORD("{\"b\":2}")}},
	{"an array among lines", "{}\n[{\"a\":1}]\n{}", {RECORD("{}"), RECORD("{\"a\":1}"), RECORD("{}")}},
	{"commas", "{},{} , \n{},", {RECORD("{}"), RECORD("{}"), RECORD("{}")}},
	{"a comma too many", "{},,{}\n{}", {RECORD("{}"), JUNK(",{}"), RECORD("{}")}},
	{"a comma first", ",{}\n,{}", {JUNK(",{}"), RECORD("{}")}},
	{"a comma first in an array", "[,{}\n{}]", {JUNK(",{}"), RECORD("{}")}},
	{"a comma behind an array", "[{}],\n{}", {RECORD("{}"), JUNK(","), RECORD("{}")}},
	{"an array in the array", "[[{\"a\":1}]\n,{\"b\":2}]", {JUNK("[{\"a\":1}]"), RECORD("{\"b\":2}")}},
	{"arrays in arrays", "[[{}]]", {JUNK("[{}]]"), ARRAY_OPEN}},
	{"a ] alone", "]\n{}]{}\n{}", {JUNK("]"), RECORD("{}"), JUNK("]{}"), RECORD("{}")}},
	{"an array not closed", "[{\"a\":1},\n{\"b\":2}\n\n", {RECORD("{\"a\":1}"), RECORD("{\"b\":2}"), ARRAY_OPEN}},
	{"[ alone", "\n [", {ARRAY_OPEN}},
	{"junk, then the end in the array", "[{}\nx", {RECORD("{}"), JUNK("x"), ARRAY_OPEN}},

	/* byte-order marks */
	{"a byte-order mark", BOM "{\"a\":1}\n", {RECORD("{\"a\":1}")}},
	{"a byte-order mark and a line end", BOM "\n[{}]", {RECORD("{}")}},
	{"a byte-order mark alone", BOM, {{0}}},
	{"a byte of it", "\xef", {JUNK("\xef")}},
	{"two bytes of it", "\xef\xbb", {JUNK("\xef\xbb")}},
	{"two bytes of it and a record", "\xef\xbb{}\n{}", {JUNK("\xef\xbb{}"), RECORD("{}")}},
	{"one byte of it is wrong", "\xef\xbb\xbe{}\n{}", {JUNK("\xef\xbb\xbe{}"), RECORD("{}")}},
	{"two byte-order marks", BOM BOM "{}\n{}", {RECORD("{}"), RECORD("{}")}},
	{"a byte-order mark further on", "{}\n" BOM "{}\n{}", {RECORD("{}"), RECORD("{}"), RECORD("{}")}},
	{"a byte-order mark behind a line end", "\n" BOM "{}\n", {RECORD("{}")}},
	{"files put together, no line end", BOM "{\"a\":1}" BOM "{\"b\":2}", {RECORD("{\"a\":1}"), RECORD("{\"b\":2}")}},
	{"files put together, pretty-printed, CRLF", BOM "{\r\n\"a\":1\r\n}\r\n" BOM "{\r\n}\r\n", {RECORD("{\r\n\"a\":1\r\n}"), RECORD("{\r\n}")}},
	{"arrays put together", BOM "[{},{}]\n" BOM "[{}]" BOM "\n", {RECORD("{}"), RECORD("{}"), RECORD("{}")}},
	{"byte-order marks in an array", BOM "[" BOM "{}," BOM "{} " BOM "]", {RECORD("{}"), RECORD("{}")}},
	{"a byte-order mark before a comma", "{}" BOM ",{}", {RECORD("{}"), RECORD("{}")}},
	{"a byte-order mark before junk", "{}\n" BOM "x\n{}", {RECORD("{}"), JUNK("x"), RECORD("{}")}},
	{"a byte-order mark in junk", "x" BOM "{}\n{}", {JUNK("x" BOM "{}"), RECORD("{}")}},
	{"byte-order marks in strings", "{\"a" BOM "\":\"" BOM "\"}\n{}", {RECORD("{\"a" BOM "\":\"" BOM "\"}"), RECORD("{}")}},
	{"a file cut in a record, and the next", "{\"a\":1," BOM "{\"b\":2}", {NOT_CLOSED("{\"a\":1,"), RECORD("{\"b\":2}")}},
	{"the same with a line end", "{\"a\":\n" BOM "{\"b\":2}\n{}", {NOT_CLOSED("{\"a\":\n"), RECORD("{\"b\":2}"), RECORD("{}")}},
	{"a part of a byte-order mark in a record", "{\"a\":1\xef\xbb}\n{}", {RECORD("{\"a\":1\xef\xbb}"), RECORD("{}")}},
	{"a part of one at the end of a record cut off", "{\"a\":1\xef\xbb", {CUT_OFF("{\"a\":1\xef\xbb")}},

	/* junk */
	{"a word", "null\n{}", {JUNK("null"), RECORD("{}")}},
	{"a number and a record", "5 {\"a\":1}\n{}", {JUNK("5 {\"a\":1}"), RECORD("{}")}},
	{"junk behind a record", "{}x\n{}  \"{}\"  \r\n{}", {RECORD("{}"), JUNK("x"), RECORD("{}"), JUNK("\"{}\"  \r"), RECORD("{}")}},
	{"lines of junk", "x\ny\n\nz", {JUNK("x"), JUNK("y"), JUNK("z")}},
	{"a stray }", "}\n{}}\n{}", {JUNK("}"), RECORD("{}"), JUNK("}"), RECORD("{}")}},
	{"a comma behind junk", "x\n,{}", {JUNK("x"), RECORD("{}")}},
	{"brackets in junk", "x [\n{}\n]", {JUNK("x ["), RECORD("{}"), JUNK("]")}},
	{"a form feed is no space", "{}\f\n{}\v{}", {RECORD("{}"), JUNK("\f"), RECORD("{}"), JUNK("\v{}")}},

	/* records that are none */
	{"a line ends in a string", "{\"a\":\"x\n{\"b\":2}\n", {IN_STRING("{\"a\":\"x"), RECORD("{\"b\":2}")}},
	{"a line ends in a string, CRLF", "{\"a\":\"x\r\n{\"b\":2}\r\n", {IN_STRING("{\"a\":\"x\r"), RECORD("{\"b\":2}")}},
	{"a line ends in an escape", "{\"a\":\"x\\\n{\"b\":\"\\\\\"}", {IN_STRING("{\"a\":\"x\\"), RECORD("{\"b\":\"\\\\\"}")}},
	{"a line ends in a key", "{\"a\":1,\n\"b\n{}", {IN_STRING("{\"a\":1,\n\"b"), RECORD("{}")}},
	{"a quote too many", "{\"a\":1\"}\n{}", {IN_STRING("{\"a\":1\"}"), RECORD("{}")}},
	{"the rest of a line cut in a string", "{\"a\":\"x\ny\",\"b\":1}\n{}", {IN_STRING("{\"a\":\"x"), JUNK("y\",\"b\":1}"), RECORD("{}")}},
	{"the next record starts, behind a value", "{\"a\":1\n{\"b\":2}\n", {NOT_CLOSED("{\"a\":1"), RECORD("{\"b\":2}")}},
	{"the next record starts, behind a comma", "{\"a\":1,\n{\"b\":2}\n", {NOT_CLOSED("{\"a\":1,"), RECORD("{\"b\":2}")}},
	{"the next record starts, behind a key", "{\"a\"\n{\"b\":2}\n", {NOT_CLOSED("{\"a\""), RECORD("{\"b\":2}")}},
	{"the next record starts, behind a {", "{\n{\"b\":2}\n", {NOT_CLOSED("{"), RECORD("{\"b\":2}")}},
	{"the next record starts, CRLF", "{\"a\":1,\r\n{\"b\":2}\r\n", {NOT_CLOSED("{\"a\":1,\r"), RECORD("{\"b\":2}")}},
	{"the next record starts, behind blank lines", "{\"a\":{\n\n\n{\"b\":2}\n", {NOT_CLOSED("{\"a\":{\n\n"), RECORD("{\"b\":2}")}},
	{"the next record starts, in an array", "{\"a\":[1\n{\"b\":2}\n", {NOT_CLOSED("{\"a\":[1"), RECORD("{\"b\":2}")}},
	{"the next record starts, behind an array", "{\"a\":[1],\n{\"b\":2}\n", {NOT_CLOSED("{\"a\":[1],"), RECORD("{\"b\":2}")}},
	{"twice", "{\"a\":1\n{\"b\":2\n{\"c\":3}", {NOT_CLOSED("{\"a\":1"), NOT_CLOSED("{\"b\":2"), RECORD("{\"c\":3}")}},
	{"the next record starts, indented", "{\"a\":1\n {\"b\":2}\n", {CUT_OFF("{\"a\":1\n {\"b\":2}\n")}},
	{"a { in the middle of a line", "{\"a\":1 {\"b\":2}}\n{}", {RECORD("{\"a\":1 {\"b\":2}}"), RECORD("{}")}},
	{"cut off behind {", "{}\n{", {RECORD("{}"), CUT_OFF("{")}},
	{"cut off in a string", "{\"a\":\"x", {CUT_OFF("{\"a\":\"x")}},
	{"cut off in an escape", "{\"a\":\"x\\", {CUT_OFF("{\"a\":\"x\\")}},
	{"cut off in a character", "{\"a\":\"\xe2\x82", {CUT_OFF("{\"a\":\"\xe2\x82")}},
	{"cut off over lines", "{}\n{\"a\":\n1,\n\n", {RECORD("{}"), CUT_OFF("{\"a\":\n1,\n\n")}},
	{"cut off in the array: one reject", "[{},\n{\"a\":1", {RECORD("{}"), CUT_OFF("{\"a\":1")}},
	{"only a } ends a record", "{\"a\":1]\n}{}", {RECORD("{\"a\":1]\n}"), RECORD("{}")}},
	{"] for }, then the next record", "{\"a\":1]\n{}", {NOT_CLOSED("{\"a\":1]"), RECORD("{}")}},
	{"] for }, in an array", "[{\"a\":1]\n", {CUT_OFF("{\"a\":1]\n")}},
	{"} for ]", "{\"a\":[1}\n,\"b\":2}\n{}", {RECORD("{\"a\":[1}\n,\"b\":2}"), RECORD("{}")}},
	{"] for } inside", "{\"a\":{\"b\":[]]}{}", {RECORD("{\"a\":{\"b\":[]]}"), RECORD("{}")}},
};

#define N_CASES ((int) (sizeof(cases) / sizeof(cases[0])))

/* Write what a case wants as an outcome: its texts, found one behind the other. */
static void
find_texts(const Case *c, Outcome *out)
{
	size_t		len = strlen(c->bytes);
	size_t		pos = 0;

	out->n = 0;
	out->breach = NULL;
	for (int i = 0; i < 6 && c->want[i].text != NULL; i++)
	{
		const char *text = c->want[i].text;

		if (*text == '\0')
			pos = len;
		while (pos < len && strncmp(c->bytes + pos, text, strlen(text)) != 0)
			pos++;
		add_item(out, c->want[i].reason, pos, 1 + count_lines(c->bytes, 0, pos), strlen(text));
		pos += strlen(text);
	}
}

static void
test_cases(void)
{
	for (int i = 0; i < N_CASES; i++)
	{
		size_t		len = strlen(cases[i].bytes);

		find_texts(&cases[i], &other);
		run(cases[i].bytes, len, len, false, 0, &whole);
		ok(is_same(&whole, &other), "%s", cases[i].what);
		test_object(cases[i].what, cases[i].bytes, len);
	}
}

/* Nested so deep: opening, then n - 1 times inside, then what closes it. */
static size_t
nest(char *to, const char *open, int n)
{
	char	   *p = to;

	p += sprintf(p, "{}\n");
	p += sprintf(p, "{\"a\":");
	for (int i = 1; i < n; i++)
		p += sprintf(p, "%s", open);
	p += sprintf(p, "1");
	for (int i = 1; i < n; i++)
		p += sprintf(p, "%s", *open == '[' ? "]" : "}");
	p += sprintf(p, "}\n{}\n");
	return p - to;
}

static void
test_depth(void)
{
	static const char *const opens[] = {"[", "{\"a\":", "[\n\n"};
	static char bytes[4096];

	for (int i = 0; i < 3; i++)
	{
		size_t		len = nest(bytes, opens[i], STEDI_MAX_DEPTH);

		test_object("256 levels", bytes, len);
		is_int(whole.n, 3, "256 levels: three records");
		is_int(whole.items[1].reason, STEDI_REASON_NONE, "256 levels: all right");

		len = nest(bytes, opens[i], STEDI_MAX_DEPTH + 1);
		test_object("257 levels", bytes, len);
		is_int(whole.n, 2, "257 levels: the rest of the object is skipped");
		is_int(whole.items[1].reason, STEDI_REASON_TOO_DEEP, "257 levels: too deep");
		is_int(whole.items[1].offset + whole.items[1].len, len, "257 levels: to the end");
	}
}

/* What scan.c does when a record does not fit its buffer. */
static void
test_give_up(void)
{
	static const struct
	{
		const char *what;
		const char *bytes;
		int			n;
		uint64_t	offset;		/* of the reject that ends it, 0 for none */
		uint64_t	line;
	}			objects[] = {
		{"records that just fit", "{\"a\":12345}\n{\"b\":12345}\n", 2, 0, 0},
		{"a record too long", "{}\n{\n\"a\":123456}\n{}\n\n{}", 2, 3, 2},
		{"a record not closed", "{}\n\n {\"a\":1, \n \n \n {}\n{}\n", 2, 5, 3},
		{"a string not closed", "[{},\n{\"a\":\"xxxxxxxxxxxxxx\n{}", 2, 5, 2},
		{"junk too long", "{}\n{}\nxxxxxxxxxxxxxxx\n{}\n", 4, 0, 0},
		{"space may be long", "{}\n                  \n\n            {}", 2, 0, 0},
	};

	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
	{
		const char *bytes = objects[i].bytes;
		size_t		len = strlen(bytes);
		const Item *final;
		bool		same = true;

		run(bytes, len, len, false, 11, &whole);
		final = &whole.items[whole.n - 1];
		is_int(whole.n, objects[i].n, "%s: %d items", objects[i].what, objects[i].n);
		is_int(final->reason, objects[i].line ? STEDI_REASON_TOO_LONG : STEDI_REASON_NONE,
			   "%s: the last one's reason", objects[i].what);
		ok(objects[i].line == 0 ||
		   (final->offset == objects[i].offset && final->line == objects[i].line),
		   "%s: its place", objects[i].what);
		ok(whole.breach == NULL && is_covered(bytes, len, &whole),
		   "%s: all is covered", objects[i].what);
		for (size_t step = 1; step <= len && same; step++)
		{
			run(bytes, len, step, step % 2, 11, &other);
			same = is_same(&other, &whole) && decodes_alike(bytes, len, step, step % 2, 11);
		}
		ok(same, "%s: in chunks", objects[i].what);
	}
}

/* Every byte where a record could start, and all of them in one line of junk. */
static void
test_every_byte(void)
{
	char		bytes[300];
	size_t		len;
	bool		right = true;

	for (int c = 0; c < 256 && right; c++)
	{
		len = sprintf(bytes, "{}\n?z\n{}");
		bytes[3] = (char) c;
		expect(bytes, len, &other);
		run(bytes, len, len, false, 0, &whole);
		right = is_same(&whole, &other) && is_covered(bytes, len, &whole);
		for (size_t step = 1; step <= len && right; step++)
		{
			run(bytes, len, step, false, 0, &other);
			right = is_same(&other, &whole);
		}
		if (c != '\0' && strchr("{[", c) == NULL)
			right = right && whole.n == 3 &&
				whole.items[1].reason == STEDI_REASON_NOT_AN_OBJECT;
		if (!right)
			note("byte %d", c);
	}
	ok(right, "every byte where a record could start");

	len = 0;
	bytes[len++] = 'x';
	for (int c = 0; c < 256; c++)
		if (c != '\n')
			bytes[len++] = (char) c;
	len += sprintf(bytes + len, "\n{}");
	test_object("a line of every byte", bytes, len);
	is_int(whole.n, 2, "a line of every byte: a reject and a record");

	len = sprintf(bytes, "{\"a\":\"?\",?:?}\n{\"b\":2}\n");
	right = true;
	for (int c = 0; c < 256 && right; c++)
	{
		for (int i = 0; i < 4 && right; i++)
		{
			static const int places[] = {1, 6, 9, 11};
			char		changed[sizeof(bytes)];

			memcpy(changed, bytes, len);
			changed[places[i]] = (char) c;
			expect(changed, len, &other);
			run(changed, len, len, false, 0, &whole);
			right = is_same(&whole, &other) && is_covered(changed, len, &whole);
			for (size_t step = 1; step <= len && right; step++)
			{
				run(changed, len, step, true, 0, &other);
				right = is_same(&other, &whole);
			}
			if (!right)
				note("byte %d in place %d", c, places[i]);
		}
	}
	ok(right, "every byte in a record");
}

static uint64_t seed = 20220618;

/* A random number below n; the same ones in every run. */
static size_t
below(size_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (size_t) (seed >> 33) % n;
}

/* Change an object in one place. */
static size_t
mutate(char *bytes, size_t len)
{
	static const char marks[] = "{}[],:\"\\\n\r \t1x\xef\0{}\n\"";
	size_t		at = below(len + 1);
	size_t		n = below(12);
	char		c = below(8) ? marks[below(sizeof(marks) - 1)] : (char) below(256);

	if (below(100) == 0)
		n = 300;				/* too deep, perhaps */
	switch (below(4))
	{
		case 0:					/* another byte */
			if (at < len)
				bytes[at] = c;
			return len;
		case 1:					/* bytes left out */
			if (n > len - at)
				n = len - at;
			memmove(bytes + at, bytes + at + n, len - at - n);
			return len - n;
		case 2:					/* bytes put in */
			n = n < 300 ? n / 6 + 1 : n;
			if (len + n > ROOM)
				return len;
			memmove(bytes + at + n, bytes + at, len - at);
			memset(bytes + at, n == 300 ? '[' : c, n);
			return len + n;
		default:				/* cut off */
			return below(3) ? len : at;
	}
}

static void
test_mutations(void)
{
	static const char *const objects[] = {
		"{\"a\":1,\"b\":\"x\"}\n{\"a\":2,\"b\":\"y\\\"\"}\n{\"a\":3,\"b\":null}\n",
		"[{\"a\":1},\n {\"b\":[1,{\"c\":2}]},\n {}]\n",
		"{\r\n  \"a\": {\r\n    \"b\": [\r\n{\"c\": \"\xe2\x82\xac\"}]\r\n  }\r\n}\r\n{}\r\n",
		BOM "{\"a\":1}{\"b\":2},{\"c\":\"\\\\\"} , {\"d\":4}\n\n[{\"e\":5}]",
		"{\"a\":\n{\"b\":[1,\n{\"c\":2},\n{\"d\":3}]}}\n{\"e\":[\n[\n{\"f\":4}]]}\n",
		BOM "{\"a\":1}\n" BOM "[{\"b\":\"" BOM "\"}]" BOM BOM "{\n\"c\":3\n}\r\n" BOM "{\"d\":4}",
	};
	char		bytes[ROOM];
	bool		ruled = true;
	bool		covered = true;
	bool		same = true;
	int			reasons[STEDI_REASON_MISSING + 1] = {0};

	for (int i = 0; i < N_MUTATIONS && ruled && covered && same; i++)
	{
		const char *object = objects[i % (sizeof(objects) / sizeof(objects[0]))];
		size_t		len = strlen(object);
		size_t		step;

		memcpy(bytes, object, len);
		for (size_t n = below(6) + 1; n > 0; n--)
			len = mutate(bytes, len);

		expect(bytes, len, &other);
		run(bytes, len, len, i % 2, 0, &whole);
		ruled = is_same(&whole, &other);
		covered = is_covered(bytes, len, &whole);
		for (int k = 0; k < whole.n; k++)
			reasons[whole.items[k].reason]++;

		step = below(4) ? below(9) + 1 : below(len + 1) + 1;
		run(bytes, len, step, i % 3 == 0, 0, &other);
		same = is_same(&other, &whole) && decodes_alike(bytes, len, step, i % 3 == 0, 0);
		if (!ruled || !covered || !same)
			note("mutation %d in chunks of %zu:\n%.*s", i, step, (int) len, bytes);
	}
	ok(ruled, "%d mutations: by the rules", N_MUTATIONS);
	ok(covered, "%d mutations: every byte once, in order", N_MUTATIONS);
	ok(same, "%d mutations: in chunks", N_MUTATIONS);
	for (int reason = STEDI_REASON_NONE; reason <= STEDI_REASON_TOO_DEEP; reason++)
		ok(reasons[reason] >= 50, "the mutations show \"%s\"", stedi_reason_text(reason));
}

/* An object of nothing at all, given in nothings; and bytes after one. */
static void
test_states(void)
{
	StediFramer framer;
	StediSlice	record;
	size_t		used;

	stedi_frame_init(&framer);
	is_int(stedi_frame_next(&framer, "", 0, false, &record, &used), STEDI_FRAME_MORE,
		   "no bytes yet");
	is_int(stedi_frame_next(&framer, "[", 1, false, &record, &used), STEDI_FRAME_MORE, "a [");
	is_int(stedi_frame_next(&framer, "", 0, false, &record, &used), STEDI_FRAME_MORE, "nothing");
	is_int(stedi_frame_next(&framer, "", 0, true, &record, &used), STEDI_FRAME_BAD, "the end");
	is_int(framer.reason, STEDI_REASON_ARRAY_OPEN, "in the array");
	is_int(stedi_frame_next(&framer, "", 0, true, &record, &used), STEDI_FRAME_END, "told once");
	is_int(stedi_frame_next(&framer, "", 0, true, &record, &used), STEDI_FRAME_END, "and the end again");

	stedi_frame_init(&framer);
	stedi_frame_give_up(&framer, STEDI_REASON_TOO_LONG);
	is_int(stedi_frame_next(&framer, "", 0, false, &record, &used), STEDI_FRAME_MORE,
		   "given up, no bytes yet");
	is_int(stedi_frame_next(&framer, "{}\n{}", 5, true, &record, &used), STEDI_FRAME_END,
		   "given up: the end");
	is_int(used, 5, "given up: all is used");
	is_int(framer.line, 2, "given up: lines are counted");
}

static void
test_reasons(void)
{
	bool		right = true;

	for (int i = STEDI_REASON_NONE; i <= STEDI_REASON_MISSING; i++)
	{
		const char *text = stedi_reason_text(i);

		right = right && text[0] != '\0' && text[strlen(text) - 1] != '.';
		for (int j = STEDI_REASON_NONE; j < i; j++)
			right = right && strcmp(text, stedi_reason_text(j)) != 0;
	}
	ok(right, "every reason has words of its own");
	ok(strcmp(stedi_reason_text(STEDI_REASON_MISSING + 1), "unknown reason") == 0,
	   "and what is none, too");
}

int
main(void)
{
	test_cases();
	test_depth();
	test_give_up();
	test_every_byte();
	test_states();
	test_reasons();
	test_mutations();
	return done_testing();
}
