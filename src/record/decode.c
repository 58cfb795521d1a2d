/*-------------------------------------------------------------------------
 *
 * decode.c
 *		Decode records into the fields that a scan wants.
 *
 * Backend-free (see record.h).  Records are decoded in one of two ways.
 * plain.c takes a plain record, which nearly all are, where it stands in the
 * buffer, and finds its end by decoding it.  At the first byte that is not
 * plain the record is framed by frame.c, and json.c, which starts over, takes
 * everything.  What both ways accept they must read alike; the unit tests
 * hold them together.
 *
 *-------------------------------------------------------------------------
 */
#include "record/decoder.h"

#include <string.h>

void
stedi_decode_init(StediDecoder *decoder, const StediSlice *keys, int n_keys)
{
	memset(decoder, 0, sizeof(*decoder));
	decoder->keys = keys;
	decoder->n_keys = n_keys;
	stedi_plain_forget(decoder);
}

void
stedi_decode_release(StediDecoder *decoder)
{
	stedi_json_release(decoder);
}

StediFrameStatus
stedi_decode_next(StediDecoder *decoder, StediFramer *framer,
				  const char *buf, size_t len, bool last,
				  StediSlice *record, size_t *used,
				  StediField *fields, bool *decoded)
{
	StediFrameStatus status;
	size_t		skipped;

	*decoded = false;
	if (stedi_frame_begin(framer, buf, len, &skipped))
	{
		uint64_t	newlines = 0;
		const char *stop;

		if (decoder->strings != NULL)
			stedi_json_release(decoder);
		stop = stedi_plain_record(decoder, buf + skipped, buf + len, fields, &newlines);
		if (stop != NULL)
		{
			record->data = buf + skipped;
			record->len = stop - record->data;
			stedi_frame_take(framer, record->len, newlines);
			*used = skipped + record->len;
			*decoded = true;
			return STEDI_FRAME_RECORD;
		}
	}
	status = stedi_frame_next(framer, buf + skipped, len - skipped, last, record, used);
	*used += skipped;
	return status;
}

size_t
stedi_decode_count(StediDecoder *decoder, StediFramer *framer,
				   const char *buf, size_t len, size_t max_len,
				   size_t *used, StediField *fields)
{
	const char *end = buf + len;
	const char *p = buf;
	size_t		total = 0;
	size_t		n;

	do
	{
		const char *start;
		size_t		skipped;
		uint64_t	newlines = 0;

		n = 0;
		if (stedi_frame_begin(framer, p, end - p, &skipped))
		{
			start = p + skipped;
			p = stedi_plain_run(decoder, start, end, max_len, fields, &newlines, &n);
			if (n > 0)
				stedi_frame_take(framer, p - start, newlines);
		}
		else
			p += skipped;
		total += n;
	} while (n > 0);
	*used = p - buf;
	return total;
}

StediReason
stedi_decode_record(StediDecoder *decoder, StediSlice record,
					StediField *fields, int *where)
{
	const char *end = record.data + record.len;
	uint64_t	newlines = 0;

	*where = -1;
	stedi_json_release(decoder);
	if (record.len > 0 && *record.data == '{' &&
		stedi_plain_record(decoder, record.data, end, fields, &newlines) == end)
		return STEDI_REASON_NONE;

	/* not plain, or not right: json.c knows which, and what can be saved */
	return stedi_json_record(decoder, record, fields, where);
}
