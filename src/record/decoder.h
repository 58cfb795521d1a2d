/*-------------------------------------------------------------------------
 *
 * decoder.h
 *		What the files of the decoder share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_RECORD_DECODER_H
#define STEDI_RECORD_DECODER_H

#include "record/record.h"

/* field.c */

/* Which of the wanted keys is this one?  -1: none. */
extern int	stedi_field_find_key(const StediDecoder *decoder, StediSlice key);

/*
 * Give a field its value.  TWO_KEYS when it already has a different one: the
 * field is UNREADABLE then.
 */
extern StediReason stedi_field_set(StediField *field, StediFieldKind kind,
								   StediSlice text);

/* Is it UTF-8 from end to end, as JSON must be? */
extern bool stedi_field_is_utf8(StediSlice text);

/* The length of the UTF-8 character at p, or 0 where there is none. */
extern size_t stedi_field_utf8_len(const unsigned char *p, size_t room);

/* plain.c */

/*
 * Decode the plain record that starts with the { at p.  Returns its
 * end, or NULL when it is not plain, or not whole.  *newlines grows by the
 * line ends in it.  STEDI_BYTES_PADDING bytes behind end can be read.
 */
extern const char *stedi_plain_record(StediDecoder *decoder, const char *p,
									  const char *end, StediField *fields,
									  uint64_t *newlines);

/*
 * The end of the plain records from p on that are max_len bytes at most and
 * stand on a line each; p where there is none.  *n and *newlines grow by them
 * and their line ends.
 */
extern const char *stedi_plain_run(StediDecoder *decoder, const char *p,
								   const char *end, size_t max_len,
								   StediField *fields, uint64_t *newlines, size_t *n);
extern void stedi_plain_forget(StediDecoder *decoder);

/* json.c */

extern StediReason stedi_json_record(StediDecoder *decoder, StediSlice record,
									 StediField *fields, int *where);
extern void stedi_json_release(StediDecoder *decoder);

/* The same, when what cJSON has of strings with escapes is wiped. */
extern void stedi_json_wipe(StediDecoder *decoder);

#endif							/* STEDI_RECORD_DECODER_H */
