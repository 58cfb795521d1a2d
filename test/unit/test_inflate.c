/*
 * Compressed bytes come out whole at every chunk size, and anything that is
 * cut off, padded or changed is called damaged.  Guards src/record/inflate.c.
 */
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "record/record.h"
#include "tap.h"

#define ROOM 65536

typedef struct Bytes
{
	char		data[ROOM];
	size_t		len;
} Bytes;

static Bytes plain;				/* what everything below decompresses to */

static void
add(Bytes *to, const void *data, size_t len)
{
	if (to->len + len > sizeof(to->data))
		abort();
	memcpy(to->data + to->len, data, len);
	to->len += len;
}

static void
add_gzip(Bytes *to, const char *data, size_t len, const char *name)
{
	z_stream	z;
	gz_header	header;

	memset(&z, 0, sizeof(z));
	memset(&header, 0, sizeof(header));
	if (deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	if (name)
	{
		/* the optional parts: FNAME, FCOMMENT, FEXTRA, FHCRC */
		header.name = (unsigned char *) name;
		header.comment = (unsigned char *) "a comment";
		header.extra = (unsigned char *) "extra";
		header.extra_len = 5;
		header.hcrc = 1;
		deflateSetHeader(&z, &header);
	}
	z.next_in = (unsigned char *) data;
	z.avail_in = len;
	z.next_out = (unsigned char *) to->data + to->len;
	z.avail_out = sizeof(to->data) - to->len;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		abort();
	to->len += z.total_out;
	deflateEnd(&z);
}

static void
add_zstd(Bytes *to, const char *data, size_t len)
{
	ZSTD_CCtx  *cctx = ZSTD_createCCtx();
	size_t		n;

	ZSTD_CCtx_setParameter(cctx, ZSTD_c_checksumFlag, 1);
	n = ZSTD_compress2(cctx, to->data + to->len, sizeof(to->data) - to->len, data, len);
	if (ZSTD_isError(n))
		abort();
	to->len += n;
	ZSTD_freeCCtx(cctx);
}

/*
 * Decompress, giving in_step bytes at a time and taking at most out_step.
 * Every piece is in memory of its own, so that ASan sees a step too far.  The
 * last one is announced as such, or, with late_last, by an empty one; and then
 * each of them is followed by an empty one that is not the last.
 */
static StediInflateStatus
run(const char *bytes, size_t len, size_t in_step, size_t out_step, bool late_last,
	Bytes *result)
{
	StediInflate *inflate = stedi_inflate_open(stedi_inflate_detect(bytes, len));
	StediInflateStatus status = STEDI_INFLATE_OK;
	size_t		pos = 0;
	bool		empty = false;
	int			idle = 0;

	result->len = 0;
	while (status == STEDI_INFLATE_OK)
	{
		size_t		n = empty ? 0 : len - pos < in_step ? len - pos : in_step;
		bool		last = late_last ? pos == len && !empty : pos + n == len;
		char	   *in = malloc(n ? n : 1);
		char	   *out = malloc(out_step);
		size_t		used;
		size_t		made;

		memcpy(in, bytes + pos, n);
		status = stedi_inflate_next(inflate, n ? in : NULL, n, last, &used,
									out, out_step, &made);
		if (used > n || made > out_step)
			abort();
		pos += used;
		add(result, out, made);
		free(in);
		free(out);
		idle = used || made ? 0 : idle + 1;
		if (idle > 4)
			abort();
		empty = late_last && !empty;
	}
	if (status == STEDI_INFLATE_END && pos != len)
		abort();
	stedi_inflate_close(inflate);
	return status;
}

static bool
is_plain(const Bytes *result, size_t times)
{
	size_t		i;

	if (result->len != plain.len * times)
		return false;
	for (i = 0; i < times; i++)
		if (memcmp(result->data + i * plain.len, plain.data, plain.len) != 0)
			return false;
	return true;
}

static void
test_chunks(const char *name, const Bytes *packed, size_t times)
{
	bool		whole = true;
	size_t		step;
	Bytes	   *result = malloc(sizeof(Bytes));

	for (step = 1; step <= packed->len && whole; step++)
	{
		whole = run(packed->data, packed->len, step, ROOM, false, result) == STEDI_INFLATE_END
			&& is_plain(result, times);
		whole = whole && run(packed->data, packed->len, step, 7, true, result) == STEDI_INFLATE_END
			&& is_plain(result, times);
		if (!whole)
			note("in chunks of %zu", step);
	}
	ok(whole, "%s: given in chunks of 1 to %zu bytes", name, packed->len);

	whole = true;
	for (step = 1; step <= plain.len * times + 1 && whole; step++)
	{
		whole = run(packed->data, packed->len, packed->len, step, false, result) == STEDI_INFLATE_END
			&& is_plain(result, times);
		whole = whole && run(packed->data, packed->len, 3, step, true, result) == STEDI_INFLATE_END
			&& is_plain(result, times);
		if (!whole)
			note("in chunks of %zu", step);
	}
	ok(whole, "%s: taken in chunks of 1 to %zu bytes", name, plain.len * times + 1);
	free(result);
}

/* ends: the lengths at which a member ends, 0 after the last. */
static void
test_damage(const char *name, const Bytes *packed, const size_t *ends)
{
	Bytes	   *bad = malloc(sizeof(Bytes));
	Bytes	   *result = malloc(sizeof(Bytes));
	bool		right = true;
	size_t		i;

	for (i = 4; i < packed->len && right; i++)
	{
		bool		whole = false;
		const size_t *end;
		size_t		in_step;

		for (end = ends; *end; end++)
			whole |= (i == *end);
		run(packed->data, i, ROOM, ROOM, false, bad);
		for (in_step = 1; in_step < 64 && right; in_step = in_step * 5 + 1)
		{
			right = run(packed->data, i, in_step, 11, in_step == 6, result)
				== (whole ? STEDI_INFLATE_END : STEDI_INFLATE_BAD);

			/* and what can be had before the cut is had, room or not */
			right = right && result->len == bad->len
				&& memcmp(result->data, bad->data, bad->len) == 0;
		}
		if (!right)
			note("after %zu bytes", i);
	}
	ok(right, "%s: cut off after every byte", name);

	/*
	 * A flipped bit is found, by a checksum if by nothing else, except where
	 * it has no meaning (a file name, a time): then the bytes are the same.
	 */
	right = true;
	for (i = 0; i < packed->len * 8 && right; i++)
	{
		StediInflateStatus status;

		memcpy(bad, packed, sizeof(Bytes));
		bad->data[i / 8] ^= 1 << (i % 8);
		if (stedi_inflate_detect(bad->data, bad->len) == STEDI_CODEC_PLAIN)
			continue;
		status = run(bad->data, bad->len, 13, 17, false, result);
		right = status == STEDI_INFLATE_BAD
			|| (status == STEDI_INFLATE_END && result->len % plain.len == 0
				&& is_plain(result, result->len / plain.len));
		if (!right)
			note("bit %zu of byte %zu", i % 8, i / 8);
	}
	ok(right, "%s: every bit flipped in turn", name);

	memcpy(bad, packed, sizeof(Bytes));
	add(bad, "\0", 1);
	is_int(run(bad->data, bad->len, ROOM, ROOM, false, result), STEDI_INFLATE_BAD,
		   "%s: a zero after the end", name);
	add(bad, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 19);
	is_int(run(bad->data, bad->len, 5, ROOM, false, result), STEDI_INFLATE_BAD,
		   "%s: zeros after the end", name);
	bad->len = packed->len;
	add(bad, "{\"a\": 1}\n", 9);
	is_int(run(bad->data, bad->len, ROOM, ROOM, false, result), STEDI_INFLATE_BAD,
		   "%s: plain text after the end", name);
	ok(result->len > 0, "%s: and what came before it is given out", name);
	free(bad);
	free(result);
}

static void
test_detect(void)
{
	static const struct
	{
		const char *bytes;
		size_t		len;
		StediCodec	codec;
		const char *what;
	}			cases[] = {
		{"", 0, STEDI_CODEC_PLAIN, "nothing"},
		{"{\"a\":1}", 7, STEDI_CODEC_PLAIN, "a record"},
		{"\xef\xbb\xbf{}", 5, STEDI_CODEC_PLAIN, "a byte order mark"},
		{"\x1f", 1, STEDI_CODEC_PLAIN, "half of gzip's magic"},
		{"\x1f\x8b", 2, STEDI_CODEC_GZIP, "gzip's magic alone"},
		{"\x1f\x8b\x08\x00", 4, STEDI_CODEC_GZIP, "gzip"},
		{"\x28\xb5\x2f\xfd", 4, STEDI_CODEC_ZSTD, "zstd"},
		{"\x28\xb5\x2f", 3, STEDI_CODEC_PLAIN, "three bytes of zstd's magic"},
		{"\x50\x2a\x4d\x18", 4, STEDI_CODEC_ZSTD, "a skippable frame, first kind"},
		{"\x5f\x2a\x4d\x18", 4, STEDI_CODEC_ZSTD, "a skippable frame, last kind"},
		{"\x60\x2a\x4d\x18", 4, STEDI_CODEC_PLAIN, "one beyond it"},
		{"P*M", 3, STEDI_CODEC_PLAIN, "three bytes of it"},
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_int(stedi_inflate_detect(cases[i].bytes, cases[i].len), cases[i].codec,
			   "detect: %s", cases[i].what);
}

static void
test_states(const Bytes *gzip)
{
	StediInflate *inflate;
	char		out[16];
	size_t		used;
	size_t		made;

	ok(stedi_inflate_open(STEDI_CODEC_PLAIN) == NULL, "plain bytes need no state");
	stedi_inflate_close(NULL);

	inflate = stedi_inflate_open(STEDI_CODEC_GZIP);
	is_int(stedi_inflate_next(inflate, NULL, 0, false, &used, out, 16, &made),
		   STEDI_INFLATE_OK, "gzip: no bytes yet");
	is_int(stedi_inflate_next(inflate, gzip->data, 5, false, &used, out, 0, &made),
		   STEDI_INFLATE_OK, "gzip: no room");
	is_int(used + made, 0, "gzip: and nothing was moved");
	is_int(stedi_inflate_next(inflate, NULL, 0, true, &used, out, 16, &made),
		   STEDI_INFLATE_BAD, "gzip: no bytes at all");
	is_int(stedi_inflate_next(inflate, gzip->data, gzip->len, true, &used, out, 16, &made),
		   STEDI_INFLATE_BAD, "gzip: damaged once is damaged");
	stedi_inflate_close(inflate);

	inflate = stedi_inflate_open(STEDI_CODEC_ZSTD);
	for (used = 0; used < 40; used++)
	{
		size_t		n;

		if (stedi_inflate_next(inflate, NULL, 0, false, &n, out, 16, &made) != STEDI_INFLATE_OK)
			break;
	}
	is_int(used, 40, "zstd: asked again and again with no bytes");
	is_int(stedi_inflate_next(inflate, NULL, 0, true, &used, out, 16, &made),
		   STEDI_INFLATE_BAD, "zstd: no bytes at all");
	stedi_inflate_close(inflate);
}

/* A megabyte of one letter: more output than input, by far. */
static void
test_bomb(StediCodec codec, const char *name)
{
	char	   *letters = malloc(1 << 20);
	Bytes	   *packed = calloc(1, sizeof(Bytes));
	StediInflate *inflate = stedi_inflate_open(codec);
	StediInflateStatus status = STEDI_INFLATE_OK;
	size_t		pos = 0;
	size_t		total = 0;
	bool		right = true;

	memset(letters, 'x', 1 << 20);
	if (codec == STEDI_CODEC_GZIP)
		add_gzip(packed, letters, 1 << 20, NULL);
	else
		add_zstd(packed, letters, 1 << 20);

	while (status == STEDI_INFLATE_OK)
	{
		char		out[1000];
		size_t		used;
		size_t		made;

		status = stedi_inflate_next(inflate, packed->data + pos, packed->len - pos, true,
									&used, out, sizeof(out), &made);
		pos += used;
		total += made;
		right = right && (made == 0 || (out[0] == 'x' && out[made - 1] == 'x'));
	}
	is_int(status, STEDI_INFLATE_END, "%s: %zu bytes that hold a megabyte", name, packed->len);
	ok(right && total == 1 << 20, "%s: all of it came", name);
	stedi_inflate_close(inflate);
	free(letters);
	free(packed);
}

int
main(void)
{
	Bytes	   *gzip = calloc(1, sizeof(Bytes));
	Bytes	   *gzips = calloc(1, sizeof(Bytes));
	Bytes	   *zstd = calloc(1, sizeof(Bytes));
	Bytes	   *zstds = calloc(1, sizeof(Bytes));
	size_t		ends[8] = {0};
	int			i;

	/* Compresses a little, not to nothing: codes and literals both occur. */
	for (i = 0; i < 12; i++)
	{
		char		line[80];

		snprintf(line, sizeof(line), "{\"user\": \"u%d@x.test\", \"x\": -%d.%04d}\n",
				 i * 7, i, (i * 7919) % 10000);
		add(&plain, line, strlen(line));
	}

	test_detect();

	add_gzip(gzip, plain.data, plain.len, NULL);
	test_chunks("gzip", gzip, 1);
	test_damage("gzip", gzip, ends);

	/* several members; an empty one among them, which is no end */
	add_gzip(gzips, plain.data, plain.len, "a name");
	ends[0] = gzips->len;
	add_gzip(gzips, "", 0, NULL);
	ends[1] = gzips->len;
	add_gzip(gzips, plain.data, plain.len, NULL);
	test_chunks("gzip members", gzips, 2);
	test_damage("gzip members", gzips, ends);

	memset(ends, 0, sizeof(ends));
	add_zstd(zstd, plain.data, plain.len);
	test_chunks("zstd", zstd, 1);
	test_damage("zstd", zstd, ends);

	/* a skippable frame first, then frames, an empty one among them */
	add(zstds, "\x53\x2a\x4d\x18\x05\0\0\0skip!", 13);
	ends[0] = zstds->len;
	add_zstd(zstds, plain.data, plain.len);
	ends[1] = zstds->len;
	add_zstd(zstds, "", 0);
	ends[2] = zstds->len;
	add(zstds, "\x50\x2a\x4d\x18\0\0\0\0", 8);
	ends[3] = zstds->len;
	add_zstd(zstds, plain.data, plain.len);
	test_chunks("zstd frames", zstds, 2);
	test_damage("zstd frames", zstds, ends);

	/* one kind does not follow the other */
	add(zstd, gzip->data, gzip->len);
	is_int(run(zstd->data, zstd->len, ROOM, ROOM, false, gzips), STEDI_INFLATE_BAD,
		   "gzip after zstd");

	test_states(gzip);
	test_bomb(STEDI_CODEC_GZIP, "gzip");
	test_bomb(STEDI_CODEC_ZSTD, "zstd");

	free(gzip);
	free(gzips);
	free(zstd);
	free(zstds);
	return done_testing();
}
