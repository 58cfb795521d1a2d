/*-------------------------------------------------------------------------
 *
 * inflate.c
 *		gzip, zstd -> bytes.
 *
 * The only user of zlib and libzstd.  What they are given comes from a bucket
 * and may be anything; whether it is whole is judged here, what is in it by
 * frame.c.
 *
 * gzip files may be put one after the other, and writers that append do so;
 * zstd frames likewise, with skippable ones among them.  Anything else after
 * a member's end, zeros included, is damage: a landing object that somebody
 * padded or cut and glued should be looked at, not read halfway.
 *
 * Backend-free (see record.h): nothing here throws, and memory comes from
 * malloc through the two libraries, to be freed by stedi_inflate_close.  A
 * zstd frame that wants too large a window is refused as damaged, so what a
 * hostile object can make us allocate is bounded.  How many bytes come of
 * how few is for the caller to judge.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "record/record.h"

/*
 * The largest window of a zstd frame, as a power of two: libzstd's own default
 * for streams, and what `zstd --ultra -22` and --long ask for.  It is what a
 * hostile object can make us allocate, beyond the buffer of the scan.
 */
#define INFLATE_ZSTD_WINDOW_LOG 27

/* windowBits for inflateInit2: the largest window, 16 added for gzip alone */
#define INFLATE_GZIP_BITS (15 + 16)

struct StediInflate
{
	StediCodec	codec;
	bool		at_end;			/* of a member, and not into the next */
	bool		pending;		/* the last call ended for want of room */
	StediInflateStatus trouble; /* BAD or OUT_OF_MEMORY stay; else OK */

	/* owned: the one that codec names */
	z_stream	gzip;
	ZSTD_DStream *zstd;
};

/* What one step of a library came to. */
typedef enum InflateStep
{
	INFLATE_WENT_ON,
	INFLATE_MEMBER_END,
	INFLATE_FAILED,
	INFLATE_NO_MEMORY,
} InflateStep;

/* Which codec, if any, an object that starts with these bytes was put through. */
StediCodec
stedi_inflate_detect(const char *bytes, size_t len)
{
	const unsigned char *b = (const unsigned char *) bytes;

	if (len >= 2 && b[0] == 0x1f && b[1] == 0x8b)
		return STEDI_CODEC_GZIP;	/* RFC 1952, 2.3.1 */

	/* RFC 8878, 3.1.1 and 3.1.2: a frame, or a skippable one */
	if (len >= 4 && memcmp(bytes, "\x28\xb5\x2f\xfd", 4) == 0)
		return STEDI_CODEC_ZSTD;
	if (len >= 4 && (b[0] & 0xf0) == 0x50 && memcmp(bytes + 1, "\x2a\x4d\x18", 3) == 0)
		return STEDI_CODEC_ZSTD;

	return STEDI_CODEC_PLAIN;
}

StediInflate *
stedi_inflate_open(StediCodec codec)
{
	StediInflate *state;

	if (codec == STEDI_CODEC_PLAIN)
		return NULL;

	state = calloc(1, sizeof(StediInflate));
	if (state == NULL)
		return NULL;

	state->codec = codec;
	if (codec == STEDI_CODEC_GZIP)
	{
		if (inflateInit2(&state->gzip, INFLATE_GZIP_BITS) == Z_OK)
			return state;
	}
	else
	{
		state->zstd = ZSTD_createDStream();
		if (state->zstd != NULL &&
			!ZSTD_isError(ZSTD_DCtx_setParameter(state->zstd, ZSTD_d_windowLogMax,
												 INFLATE_ZSTD_WINDOW_LOG)))
			return state;
		ZSTD_freeDStream(state->zstd);	/* takes NULL */
	}
	free(state);
	return NULL;
}

void
stedi_inflate_close(StediInflate *state)
{
	if (state == NULL)
		return;
	if (state->codec == STEDI_CODEC_GZIP)
		inflateEnd(&state->gzip);
	else
		ZSTD_freeDStream(state->zstd);
	free(state);
}

/* zlib counts in unsigned int. */
static unsigned int
inflate_at_most(size_t len)
{
	return len > UINT_MAX ? UINT_MAX : (unsigned int) len;
}

/* Take one step; what it used and made goes into *in_used and *out_len. */
static InflateStep
inflate_step_gzip(StediInflate *state, const char *in, size_t in_len, size_t *in_used,
				  char *out, size_t room, size_t *out_len)
{
	z_stream   *z = &state->gzip;
	unsigned int avail_in = inflate_at_most(in_len);
	unsigned int avail_out = inflate_at_most(room);
	int			rc;

	/* After a member, the next one's header is checked like the first one's. */
	if (state->at_end && inflateReset(z) != Z_OK)
		return INFLATE_FAILED;

	z->next_in = (unsigned char *) in;	/* zlib does not write there */
	z->avail_in = avail_in;
	z->next_out = (unsigned char *) out;
	z->avail_out = avail_out;

	rc = inflate(z, Z_NO_FLUSH);

	*in_used = avail_in - z->avail_in;
	*out_len = avail_out - z->avail_out;

	switch (rc)
	{
		case Z_OK:
		case Z_BUF_ERROR:		/* no progress; harmless */
			return INFLATE_WENT_ON;
		case Z_STREAM_END:
			return INFLATE_MEMBER_END;
		case Z_MEM_ERROR:
			return INFLATE_NO_MEMORY;
		default:
			return INFLATE_FAILED;
	}
}

static InflateStep
inflate_step_zstd(StediInflate *state, const char *in, size_t in_len, size_t *in_used,
				  char *out, size_t room, size_t *out_len)
{
	ZSTD_inBuffer from = {in, in_len, 0};
	ZSTD_outBuffer to = {out, room, 0};
	size_t		rc;

	rc = ZSTD_decompressStream(state->zstd, &to, &from);

	*in_used = from.pos;
	*out_len = to.pos;

	if (!ZSTD_isError(rc))
		return rc == 0 ? INFLATE_MEMBER_END : INFLATE_WENT_ON;
	if (ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation)
		return INFLATE_NO_MEMORY;
	return INFLATE_FAILED;
}

StediInflateStatus
stedi_inflate_next(StediInflate *state, const char *in, size_t in_len, bool last,
				   size_t *in_used, char *out, size_t room, size_t *out_len)
{
	*in_used = 0;
	*out_len = 0;

	if (state->trouble != STEDI_INFLATE_OK)
		return state->trouble;

	for (;;)
	{
		size_t		in_left = in_len - *in_used;
		size_t		room_left = room - *out_len;
		const char *from = in_left > 0 ? in + *in_used : "";
		size_t		used = 0;
		size_t		made = 0;
		InflateStep step;

		/*
		 * With nothing to read, only output that found no room before can
		 * come.  libzstd counts calls without progress and fails in the end,
		 * so it is not asked in vain.
		 */
		if (in_left == 0 && !state->pending)
		{
			if (!last)
				return STEDI_INFLATE_OK;
			if (state->at_end)
				return STEDI_INFLATE_END;
			return state->trouble = STEDI_INFLATE_BAD;
		}
		if (room_left == 0)
			return STEDI_INFLATE_OK;

		if (state->codec == STEDI_CODEC_GZIP)
			step = inflate_step_gzip(state, from, in_left, &used,
									 out + *out_len, room_left, &made);
		else
			step = inflate_step_zstd(state, from, in_left, &used,
									 out + *out_len, room_left, &made);
		*in_used += used;
		*out_len += made;

		if (step == INFLATE_FAILED)
			return state->trouble = STEDI_INFLATE_BAD;
		if (step == INFLATE_NO_MEMORY)
			return state->trouble = STEDI_INFLATE_OUT_OF_MEMORY;

		/* Both libraries move on when they have bytes and room; never spin. */
		if (in_left > 0 && used == 0 && made == 0)
			return state->trouble = STEDI_INFLATE_BAD;

		/* A step that ends inside a member and fills the room may hold more. */
		state->at_end = (step == INFLATE_MEMBER_END);
		state->pending = (!state->at_end && made == room_left);
	}
}
