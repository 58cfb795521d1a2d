/*
 * Records that are framed and decoded at once are those that are framed first
 * and decoded then: in random streams, changed and whole, in all kinds of
 * pieces.  Guards src/record/plain.c and src/record/simd.h.
 */
#include <stdlib.h>

#include "alike.h"
#include "record/simd.h"
#include "record/record.h"
#include "tap.h"

#define N_STREAMS 12000
#define N_WINDOWS 50000
#define ROOM 4096

static const char *const key_names[] = {"user", "timestamp", "x", "y", "z", "serialnumber", "a", ""};

#define N_KEYS ((int) (sizeof(key_names) / sizeof(key_names[0])))

static StediSlice keys[N_KEYS];

typedef struct Text
{
	size_t		len;
	char		data[ROOM];
} Text;

static uint64_t seed = 20220618;

/* A random number below n; the same ones in every run. */
static size_t
below(size_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (size_t) (seed >> 33) % n;
}

static void
add(Text *to, const char *bytes)
{
	size_t		len = strlen(bytes);

	if (to->len + len > ROOM)
		abort();
	memcpy(to->data + to->len, bytes, len);
	to->len += len;
}

/* A string of any length, so that its end stands in any place of a window. */
static void
add_string(Text *to)
{
	static const char *const pieces[] = {
		"Craig.Wu@test.com", "a", "98ec1419-44b7-4016-a584-777f96115cce", "{}[],:", "\xc3\xa9", "\xe2\x82\xac",
		"\xf0\x9f\x98\x80", "\x7f", "0123456789012345", "                                ",
	};

	add(to, "\"");
	for (size_t n = below(4); n > 0; n--)
		add(to, pieces[below(below(2) ? 2 : 10)]);
	add(to, "\"");
}

static void
add_digits(Text *to, size_t n)
{
	char		digit[] = {(char) ('1' + below(9)), '\0'};

	for (; n > 0; n--)
	{
		add(to, digit);
		digit[0] = (char) ('0' + below(10));
	}
}

static void
add_number(Text *to)
{
	add(to, below(2) ? "-" : "");
	if (below(3))
		add_digits(to, 1 + below(below(3) ? 4 : 22));
	else
		add(to, "0");
	if (below(2))
	{
		add(to, ".");
		add_digits(to, 1 + below(below(3) ? 2 : 20));
	}
	if (below(12) == 0)
		add(to, below(2) ? "e5" : "E-07");
}

/* A value; one of some is not plain. */
static void
add_value(Text *to, bool plain)
{
	static const char *const words[] = {"true", "false", "null", "\"\""};
	static const char *const others[] = {"\"\\u0041\\n\"", "\"\\\\\"", "[1,{\"x\":2}]", "{\n\"a\":1}", "{}", "\"\\ud83d\""};

	switch (below(plain ? 7 : 8))
	{
		case 0:
		case 1:
			add_string(to);
			break;
		case 2:
			add(to, words[below(4)]);
			break;
		case 7:
			add(to, others[below(6)]);
			break;
		default:
			add_number(to);
	}
}

/* How the records of a stream are written. */
typedef struct Style
{
	const char *open;
	const char *colon;
	const char *comma;
	const char *close;
	const char *between;
	bool		plain;
} Style;

static void
add_record(Text *to, const Style *style, size_t n_members, size_t order)
{
	static const char *const names[] = {
		"\"user\"", "\"timestamp\"", "\"x\"", "\"y\"", "\"z\"", "\"serialNumber\"", "\"a\"", "\"\"", "\"A\"", "\"X\"",
		"\"distanceFromObject\"", "\"\xc3\xa9\"", "\"aKeyOfTwentyNineCharacters_29\"", "\"aKeyOfThirtyCharacters_____30\"",
		"\"aKeyThatIsLongerThanAllTheOthersAndThanAWindow\"", "\"\\u0061\"",
	};

	add(to, style->open);
	for (size_t i = 0; i < n_members; i++)
	{
		/* now and then a key in another's place, or one that was there */
		size_t		name = below(8) ? (order + i * 3) % 15 : below(style->plain ? 15 : 16);

		add(to, i ? style->comma : "");
		add(to, names[name]);
		add(to, below(30) ? style->colon : "\t : ");
		add_value(to, style->plain);
		add(to, below(30) ? "" : " ");
	}
	add(to, style->close);
}

static void
random_stream(Text *to, bool plain)
{
	static const char *const colons[] = {":", ":", ": ", ": ", " : ", ":\n", ":  "};
	static const char *const commas[] = {",", ",", ", ", ", ", " ,", ",\n  ", ",\r\n\t"};
	static const char *const betweens[] = {"\n", "\n", "\r\n", "", ",", ",\n", "\n\n", " ", " , "};
	static const char *const starts[] = {"", "", "", "[", "\xef\xbb\xbf", "\n", "[\n  "};
	Style		style = {below(4) ? "{" : "{\n ", colons[below(7)], commas[below(7)], below(4) ? "}" : " \n}",
	betweens[below(9)], plain};
	const char *start = starts[below(7)];
	size_t		order = below(15);
	size_t		n_members = below(6);

	to->len = 0;
	add(to, start);
	for (size_t n = 1 + below(5); n > 0; n--)
	{
		add_record(to, &style, below(5) ? n_members : below(6), below(5) ? order : below(15));
		add(to, n > 1 ? style.between : "\n");
	}
	add(to, start[0] == '[' ? "]" : "");
}

/* Change a stream in one place. */
static void
mutate(Text *stream)
{
	static const char marks[] = "{}[],:\"\"\\\n \t019.-+eEu\f\x01\x80\xc3\xef\xfftfn";
	size_t		at = below(stream->len + 1);
	size_t		n = 1 + below(below(2) ? 3 : 20);
	char	   *p = stream->data + at;

	if (n > stream->len - at)
		n = stream->len - at;
	switch (below(5))
	{
		case 0:					/* another byte */
			if (n > 0)
				*p = below(3) ? marks[below(sizeof(marks) - 1)] : (char) below(256);
			break;
		case 1:					/* a bit */
			if (n > 0)
				*p = (char) (*p ^ (1 << below(8)));
			break;
		case 2:					/* bytes left out */
			memmove(p, p + n, stream->len - at - n);
			stream->len -= n;
			break;
		case 3:					/* bytes twice */
			if (stream->len + n > ROOM)
				break;
			memmove(p + n, p, stream->len - at);
			stream->len += n;
			break;
		case 4:					/* a byte put in */
			if (stream->len == ROOM)
				break;
			memmove(p + 1, p, stream->len - at);
			*p = marks[below(sizeof(marks) - 1)];
			stream->len++;
			break;
	}
}

/* How many records are right; told apart one by one, or counted at once where they may be. */
static int
count_records(StediDecoder *decoder, const Text *stream, size_t step, bool at_once,
			  StediFramer *framer)
{
	StediFrameStatus status = STEDI_FRAME_MORE;
	size_t		done = 0;
	size_t		have = 0;
	bool		last = false;
	int			n = 0;

	stedi_frame_init(framer);
	while (status != STEDI_FRAME_END)
	{
		char	   *buf = padded_copy(stream->data + done, have - done);
		StediField	fields[N_KEYS];
		StediSlice	record;
		size_t		counted = 0;
		size_t		used;
		bool		decoded;
		int			where;

		if (at_once)
			n += (int) stedi_decode_count(decoder, framer, buf, have - done, ROOM, &counted, fields);
		status = stedi_decode_next(decoder, framer, buf + counted, have - done - counted, last,
								   &record, &used, fields, &decoded);
		if (status == STEDI_FRAME_RECORD &&
			(decoded || stedi_decode_record(decoder, record, fields, &where) == STEDI_REASON_NONE))
			n++;
		done += counted + used;
		free(buf);
		if (status != STEDI_FRAME_MORE)
			continue;
		last = have == stream->len;
		have = stream->len - have < step ? stream->len : have + step;
	}
	return n;
}

/* They are as many when they are counted at once, and end in the same place. */
static void
test_counts(void)
{
	static Text stream;
	StediDecoder decoder;
	StediFramer framer;
	StediFramer slow;
	bool		alike = true;
	int			total = 0;

	stedi_decode_init(&decoder, keys, N_KEYS);
	for (int i = 0; i < N_STREAMS && alike; i++)
	{
		size_t		step = below(2) ? ROOM : 1 + below(200);
		int			n;

		random_stream(&stream, below(2));
		for (size_t changes = below(3); changes > 0; changes--)
			mutate(&stream);
		n = count_records(&decoder, &stream, step, true, &framer);
		total += n;
		alike = n == count_records(&decoder, &stream, step, false, &slow) &&
			framer.offset == slow.offset && framer.line == slow.line;
		if (!alike)
			note("in chunks of %zu: %.*s", step, (int) stream.len, stream.data);
	}
	stedi_decode_release(&decoder);
	ok(alike && total > N_STREAMS, "%d records of random streams: counted alike", total);
}

/* A record that is too long is left, and so is what follows. */
static void
test_count_stops(void)
{
	static const char bytes[] = "{\"x\":1}\n{\"x\":2}{\"x\":33}\n{\"x\":4}\n";
	char	   *buf = padded_copy(bytes, strlen(bytes));
	StediField	fields[N_KEYS];
	StediDecoder decoder;
	StediFramer framer;
	size_t		used;
	size_t		n;

	stedi_decode_init(&decoder, keys, N_KEYS);
	stedi_frame_init(&framer);
	n = stedi_decode_count(&decoder, &framer, buf, strlen(bytes), 7, &used, fields);
	ok(n == 2 && used == 15 && framer.offset == 15 && framer.line == 2, "counted up to a record that is too long");
	stedi_decode_release(&decoder);
	free(buf);
}

static void
test_streams(void)
{
	static const char *const kinds[] = {"plain streams", "streams", "changed plain streams", "changed streams"};
	static Text stream;

	for (int kind = 0; kind < 4; kind++)
	{
		StediDecoder decoder;
		bool		alike = true;
		int			n_records = 0;
		int			n_decoded = 0;

		stedi_decode_init(&decoder, keys, N_KEYS);
		for (int i = 0; i < N_STREAMS && alike; i++)
		{
			Alike		way = {{.step = ROOM}, 0, 0};

			random_stream(&stream, kind % 2 == 0);
			for (size_t n = kind < 2 ? 0 : 1 + below(3); n > 0; n--)
				mutate(&stream);
			alike = alike_object(&decoder, stream.data, stream.len, &way);
			n_records += way.n_records;
			n_decoded += way.n_decoded;

			/* in pieces, and at times with too small a buffer */
			way.reading.step = 1 + below(below(2) ? 200 : 20);
			way.reading.late = below(2);
			way.reading.limit = below(4) ? 0 : 20 + below(100);
			alike = alike && alike_object(&decoder, stream.data, stream.len, &way);
		}
		stedi_decode_release(&decoder);
		ok(alike, "%d random %s: read alike", N_STREAMS, kinds[kind]);
		ok(n_records > N_STREAMS && n_decoded > n_records / (kind % 2 ? 4 : 2),
		   "random %s: %d of %d records were decoded at once", kinds[kind], n_decoded, n_records);
	}
}

/* A plain record is decoded at once, wherever its pieces stand; count them. */
static void
test_at_once(void)
{
	static const char *const streams[] = {
		"{\"user\":\"Craig.Wu@test.com\",\"timestamp\":1655564455341,\"x\":1.0,\"y\":-1.0,\"z\":0.0}\n"
		"{\"user\":\"Craig.Wu@test.com\",\"timestamp\":1655564455342,\"x\":0.0,\"y\":0.0,\"z\":0.0}\n",
		"{\"user\": \"Craig.Wu@test.com\", \"timestamp\": 1655564455341, \"x\": 1.0, \"y\": -1.0, \"z\": 0.0}\n"
		"{\"z\": 0, \"timestamp\": 1655564455342, \"x\": 0.0, \"y\": 1.5e3, \"user\": null}\n",
		"{\"sensorReadingTime\":1655564172120,\"serialNumber\":\"98ec1419-44b7-4016-a584-777f96115cce\","
		"\"distanceFromObject\":246}{\"sensorReadingTime\":1655564172121,\"serialNumber\":\"\","
		"\"distanceFromObject\":247}",
		"[{\n  \"user\" : \"J\xc3\xbcrgen\",\r\n  \"x\" :\t12345678901234567890.5\n},\n{}]",
		"\xef\xbb\xbf{ }\n{\"x\":true,\"y\":false,\"z\":-0}",
		"{\"x\":1,\"y\":2}\n{\"x\": 1, \"y\":   2 }",
		"{\"x\": 1, \"y\": 2}\n{\"x\":1,\"y\":\n2}",
		"{\"x\":\n1,\"y\":2}\n{\"x\":\n1,\"y\":\t2}",
		"{\"x\":1,\"X\":1}{\"aKeyThatIsLongerThanAllTheOthersAndThanAWindow\":1}",
	};

	for (int n_keys = 0; n_keys <= N_KEYS; n_keys += N_KEYS)
	{
		for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
		{
			StediDecoder decoder;
			size_t		len = strlen(streams[i]);
			Alike		way = {{.step = len}, 0, 0};
			bool		alike;

			stedi_decode_init(&decoder, keys, n_keys);
			alike = alike_object(&decoder, streams[i], len, &way);
			ok(alike && way.n_records == 2 && way.n_decoded == 2, "stream %zu, %d keys: both at once", i, n_keys);
			for (way.reading.step = 1; way.reading.step < len && alike; way.reading.step++)
			{
				way.reading.late = way.reading.step % 2;
				alike = alike_object(&decoder, streams[i], len, &way);
			}
			ok(alike, "stream %zu, %d keys: in all pieces", i, n_keys);
			stedi_decode_release(&decoder);
		}
	}
}

/* More keys than are remembered, and keys that come and go. */
static void
test_many_keys(void)
{
	static Text stream;
	StediDecoder decoder;
	bool		alike = true;

	stedi_decode_init(&decoder, keys, N_KEYS);
	for (int i = 0; i < 3000 && alike; i++)
	{
		Alike		way = {{.step = ROOM}, 0, 0};
		size_t		n_names = below(3) ? 10 : 200;
		char		member[64];

		stream.len = 0;
		for (int record = 0; record < 3; record++)
		{
			add(&stream, "{");
			for (size_t n = below(30); n > 0; n--)
			{
				sprintf(member, "\"%zu\":%zu,", below(n_names), n);
				add(&stream, member);
			}
			add(&stream, "\"x\":1}");
		}
		alike = alike_object(&decoder, stream.data, stream.len, &way) && way.n_decoded == 3;
	}
	ok(alike, "more keys than are remembered");
	stedi_decode_release(&decoder);
}

/* The words of simd.h, byte by byte. */
static void
test_windows(void)
{
	static const char marks[] = "\"\\ !\x1f\x7f\x80\xff/09:a";
	bool		right = true;

	for (int i = 0; i < N_WINDOWS && right; i++)
	{
		char		a[SIMD_TEXT];
		char		b[SIMD_TEXT];
		uint32_t	stops = 0;
		uint32_t	same = 0;
		uint32_t	digits = 0;

		for (int k = 0; k < SIMD_TEXT; k++)
		{
			unsigned char c = a[k] = i % 2 ? (char) below(256) : marks[below(sizeof(marks) - 1)];

			b[k] = below(4) ? a[k] : (char) (a[k] ^ (1 << below(8)));
			stops |= (uint32_t) (c < 0x20 || c > 0x7f || c == '"' || c == '\\') << k;
			same |= (uint32_t) (a[k] == b[k]) << k;
			digits |= (uint32_t) (k < SIMD_DIGITS && c >= '0' && c <= '9') << k;
		}
		right = simd_text_stops(a) == stops && simd_same(a, b) == same && simd_digits(a) == digits &&
			(stops == 0 || ((stops >> simd_first(stops)) & 1) == 1);
	}
	ok(right, "%d random windows", N_WINDOWS);
}

int
main(void)
{
	for (int i = 0; i < N_KEYS; i++)
	{
		keys[i].data = key_names[i];
		keys[i].len = strlen(key_names[i]);
	}
	test_windows();
	test_at_once();
	test_many_keys();
	test_streams();
	test_counts();
	test_count_stops();
	return done_testing();
}
