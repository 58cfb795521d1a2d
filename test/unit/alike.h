/*-------------------------------------------------------------------------
 *
 * alike.h
 *		Does stedi_decode_next do what framing first and decoding then does?
 *
 * The slow way, stedi_frame_next and stedi_json_record, is the judge.  Both
 * read an object in the same pieces, and after each call must agree on all
 * that they say and on all that they keep.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_ALIKE_H
#define STEDI_ALIKE_H

#include "record/decoder.h"
#include "padded.h"
#include "reading.h"
#include "tap.h"

#define ALIKE_MAX_KEYS 8

/* How an object arrives, and what came of it. */
typedef struct Alike
{
	Reading		reading;
	int			n_records;
	int			n_decoded;		/* of these, at once */
} Alike;

static inline bool
alike_fields(const StediField *got, const StediField *want, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (got[i].kind != want[i].kind)
			return false;
		if (got[i].kind == STEDI_FIELD_MISSING || got[i].kind == STEDI_FIELD_UNREADABLE)
			continue;
		if (got[i].text.len != want[i].text.len ||
			(got[i].text.len > 0 && memcmp(got[i].text.data, want[i].text.data, got[i].text.len) != 0))
			return false;
	}
	return true;
}

static inline bool
alike_framers(const StediFramer *got, const StediFramer *want, StediFrameStatus status)
{
	if (got->offset != want->offset || got->line != want->line ||
		got->in_array != want->in_array || got->after_record != want->after_record ||
		got->open != want->open || got->given_up != want->given_up ||
		got->cutting != want->cutting)
		return false;
	if (got->open &&
		(got->junk != want->junk || got->in_string != want->in_string ||
		 got->escaped != want->escaped || got->scanned != want->scanned ||
		 got->newlines != want->newlines || got->depth != want->depth || got->last != want->last))
		return false;
	if (status == STEDI_FRAME_BAD && got->reason != want->reason)
		return false;
	return (status != STEDI_FRAME_BAD && status != STEDI_FRAME_RECORD) ||
		(got->record_offset == want->record_offset && got->record_line == want->record_line);
}

/* Decode a record that was framed in both ways. */
static inline bool
alike_record(StediDecoder *decoder, StediSlice record, StediField *fields, bool decoded,
			 StediSlice slow_record)
{
	StediDecoder slow;
	StediField	slow_fields[ALIKE_MAX_KEYS];
	StediReason reason = STEDI_REASON_NONE;
	StediReason slow_reason;
	int			where = -1;
	int			slow_where;
	bool		alike;

	if (!decoded)
		reason = stedi_decode_record(decoder, record, fields, &where);
	stedi_decode_init(&slow, decoder->keys, decoder->n_keys);
	slow_reason = stedi_json_record(&slow, slow_record, slow_fields, &slow_where);
	alike = reason == slow_reason && where == slow_where &&
		alike_fields(fields, slow_fields, decoder->n_keys);
	if (!alike)
		note("decoded otherwise: %s, %s", stedi_reason_text(reason), stedi_reason_text(slow_reason));
	stedi_decode_release(&slow);
	return alike;
}

/* One call in both ways, of the bytes not yet consumed. */
static inline bool
alike_call(StediDecoder *decoder, StediFramer *framer, StediFramer *slow,
		   const char *bytes, size_t len, bool last, Alike *way,
		   StediFrameStatus *status, size_t *used)
{
	char	   *buf = padded_copy(bytes, len);
	char	   *slow_buf = malloc(len ? len : 1);
	StediSlice	record = {buf, 0};
	StediSlice	slow_record = {slow_buf, 0};
	StediField	fields[ALIKE_MAX_KEYS];
	StediFrameStatus slow_status;
	size_t		slow_used = 0;
	bool		decoded = false;
	bool		alike;

	memcpy(slow_buf, bytes, len);
	memset(fields, 0x55, sizeof(fields));
	*status = stedi_decode_next(decoder, framer, buf, len, last, &record, used, fields, &decoded);
	slow_status = stedi_frame_next(slow, slow_buf, len, last, &slow_record, &slow_used);
	alike = *status == slow_status && *used == slow_used && alike_framers(framer, slow, *status);
	if (alike && (*status == STEDI_FRAME_RECORD || *status == STEDI_FRAME_BAD))
		alike = record.len == slow_record.len && record.data - buf == slow_record.data - slow_buf;
	if (!alike)
		note("framed otherwise, at byte %d: status %d of %zu bytes, %d of %zu", (int) slow->offset,
			 *status, *used, slow_status, slow_used);
	if (alike && *status == STEDI_FRAME_RECORD)
	{
		way->n_records++;
		way->n_decoded += decoded;
		alike = alike_record(decoder, record, fields, decoded, slow_record);
	}
	else if (decoded)
		alike = false;
	free(buf);
	free(slow_buf);
	return alike;
}

/* Read an object in both ways.  The decoder may know keys of others. */
static inline bool
alike_object(StediDecoder *decoder, const char *bytes, size_t len, Alike *way)
{
	StediFramer framer;
	StediFramer slow;
	StediFrameStatus status = STEDI_FRAME_MORE;
	size_t		done = 0;
	size_t		have = 0;
	bool		last = false;

	stedi_frame_init(&framer);
	stedi_frame_init(&slow);
	if (way->reading.max_depth > 0)
		framer.max_depth = slow.max_depth = way->reading.max_depth;
	way->n_records = way->n_decoded = 0;
	while (status != STEDI_FRAME_END)
	{
		size_t		used;

		if (!alike_call(decoder, &framer, &slow, bytes + done, have - done, last, way,
						&status, &used))
		{
			note("in chunks of %zu: %.*s", way->reading.step, (int) len, bytes);
			return false;
		}
		done += used;
		if (status != STEDI_FRAME_MORE)
			continue;
		if (way->reading.limit > 0 && have - done == way->reading.limit)
		{
			if (framer.junk)
			{
				stedi_frame_cut_junk(&framer, have - done);
				stedi_frame_cut_junk(&slow, have - done);
				done = have;
			}
			else
			{
				stedi_frame_give_up(&framer, STEDI_REASON_TOO_LONG);
				stedi_frame_give_up(&slow, STEDI_REASON_TOO_LONG);
			}
			continue;
		}
		last = reading_goes_on(&way->reading, len, done, &have);
	}
	return done == len;
}

#endif							/* STEDI_ALIKE_H */
