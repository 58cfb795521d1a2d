/*
 * Compressed bytes give the same, in whatever pieces they come and go: all of
 * it when they are whole, a part when they are not; and what was compressed
 * comes back.  Guards src/record/inflate.c.
 */
#include <zlib.h>
#include <zstd.h>

#include "fuzz.h"





#define HEADER 8

/* No more than that is taken out; the rest is for the caller to bound. */
#define MOST 16384

typedef struct Inflated
{
	StediInflateStatus status;
	bool		full;			/* ended at MOST */
	size_t		len;
	char		bytes[MOST];
} Inflated;

/* Inflate in pieces: so many bytes in, and so much room, in turn; 0: all. */
static void
inflate_all(StediCodec codec, const char *in, size_t in_len, const uint8_t *sizes, size_t n_sizes,
			bool late, Inflated *out)
{
	StediInflate *inflate = stedi_inflate_open(codec);
	size_t		done = 0;
	size_t		have = 0;
	size_t		turn = 0;
	int			idle = 0;
	bool		last = false;

	CLAIM(inflate != NULL);
	out->len = 0;
	out->full = false;
	do
	{
		size_t		step = sizes[turn++ % n_sizes];
		size_t		room = sizes[turn++ % n_sizes];
		char	   *piece;
		char	   *to;
		size_t		used = SIZE_MAX;
		size_t		made = SIZE_MAX;

		if (room == 0 || room > MOST - out->len)
			room = MOST - out->len;
		if (have == done)
		{
			last = late && have == in_len;
			have = step == 0 || step > in_len - have ? in_len : have + step;
			last = last || (!late && have == in_len);
		}
		piece = exact_copy(in + done, have - done);
		to = malloc(room);
		out->status = stedi_inflate_next(inflate, piece, have - done, last, &used, to, room, &made);
		CLAIM(used <= have - done && made <= room);
		memcpy(out->bytes + out->len, to, made);
		free(piece);
		free(to);
		done += used;
		out->len += made;
		out->full = (out->len == MOST);

		/* a step that does nothing waits for bytes: twice means for ever */
		idle = used == 0 && made == 0 && have > done ? idle + 1 : 0;
		CLAIM(idle < 2);
	} while (out->status == STEDI_INFLATE_OK && !out->full);
	CLAIM(out->full || out->status != STEDI_INFLATE_END || done == in_len);
	if (out->status == STEDI_INFLATE_BAD)
	{
		char		byte;
		size_t		used;
		size_t		made;

		/* and stays so */
		CLAIM(stedi_inflate_next(inflate, in, 0, false, &used, &byte, 1, &made) == STEDI_INFLATE_BAD);
		CLAIM(used == 0 && made == 0);
	}
	stedi_inflate_close(inflate);
}

/* Are both the same, or the one's start what came before the trouble? */
static void
claim_same(const Inflated *one, const Inflated *other)
{
	CLAIM(memcmp(one->bytes, other->bytes, one->len < other->len ? one->len : other->len) == 0);
	if (one->full || other->full)
		return;
	CLAIM(one->status == other->status);
	CLAIM(one->status == STEDI_INFLATE_BAD || one->len == other->len);
}

/* Where memory ends at some call, so does inflating, and it stays so. */
static void
inflate_starved(StediCodec codec, const char *in, size_t in_len, int n_calls)
{
	char		to[64];
	size_t		done = 0;
	size_t		used;
	size_t		made;
	StediInflateStatus status = STEDI_INFLATE_OK;
	StediInflate *inflate;

	fuzz_calls_to_starve = 1 + n_calls;
	inflate = stedi_inflate_open(codec);
	CLAIM((inflate == NULL) == (n_calls == 0));
	for (int turn = 0; inflate != NULL && status == STEDI_INFLATE_OK && turn < 100; turn++)
	{
		status = stedi_inflate_next(inflate, in + done, in_len - done, true, &used, to, sizeof(to), &made);
		done += used;
	}
	if (status == STEDI_INFLATE_OUT_OF_MEMORY)
		CLAIM(stedi_inflate_next(inflate, in, 0, true, &used, to, sizeof(to), &made) == status);
	fuzz_calls_to_starve = -1;
	stedi_inflate_close(inflate);
}

/* Compress into a member, or a frame, behind what is there. */
static size_t
compress_piece(StediCodec codec, int level, const char *bytes, size_t len, char *to, size_t room)
{
	z_stream	z;

	if (codec == STEDI_CODEC_ZSTD)
	{
		size_t		made = ZSTD_compress(to, room, bytes, len, level);

		CLAIM(!ZSTD_isError(made));
		return made;
	}
	memset(&z, 0, sizeof(z));
	CLAIM(deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	z.next_in = (unsigned char *) bytes;
	z.avail_in = (unsigned) len;
	z.next_out = (unsigned char *) to;
	z.avail_out = (unsigned) room;
	CLAIM(deflate(&z, Z_FINISH) == Z_STREAM_END);
	deflateEnd(&z);
	return room - z.avail_out;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t at_once[] = {0};
	static Inflated whole;
	static Inflated pieces;
	static char packed[MOST];
	const char *bytes = (const char *) data + HEADER;
	size_t		len = size - HEADER;
	size_t		first;
	size_t		n;
	char	   *copy;
	StediCodec	codec;

	if (size < HEADER || len > MOST / 4)
		return 0;

	/* as it is, whatever it is; plain bytes are nobody's to inflate */
	copy = exact_copy(bytes, len);
	codec = stedi_inflate_detect(copy, len);
	free(copy);
	if (codec == STEDI_CODEC_PLAIN)
	{
		CLAIM(stedi_inflate_open(codec) == NULL);
		stedi_inflate_close(NULL);
	}
	else
	{
		inflate_all(codec, bytes, len, at_once, 1, false, &whole);
		inflate_all(codec, bytes, len, data + 1, HEADER - 1, data[0] & 1, &pieces);
		claim_same(&whole, &pieces);
		if (data[0] & 8)
			inflate_starved(codec, bytes, len, data[1] % 4);
	}

	/* compressed, in two members, and back */
	if (data[0] & 2)
	{
		codec = data[0] & 4 ? STEDI_CODEC_ZSTD : STEDI_CODEC_GZIP;
		first = len * (data[0] >> 4) / 15;
		n = compress_piece(codec, 1, bytes, first, packed, sizeof(packed));
		n += compress_piece(codec, 3, bytes + first, len - first, packed + n, sizeof(packed) - n);
		CLAIM(stedi_inflate_detect(packed, n) == codec);
		inflate_all(codec, packed, n, data + 1, HEADER - 1, data[0] & 1, &pieces);
		CLAIM(pieces.status == STEDI_INFLATE_END && pieces.len == len && memcmp(pieces.bytes, bytes, len) == 0);

		/* cut off, it is not whole, but for an end between the members */
		if (n > 8)
		{
			inflate_all(codec, packed, n - 1 - data[1] % 8, data + 1, HEADER - 1, data[0] & 1, &pieces);
			CLAIM(pieces.len <= len && memcmp(pieces.bytes, bytes, pieces.len) == 0);
		}
	}
	return 0;
}
