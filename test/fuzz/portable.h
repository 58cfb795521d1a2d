/*-------------------------------------------------------------------------
 *
 * portable.h
 *		src/record/plain.c once more, as it is where simd.h knows no instructions.
 *
 * Included before anything else when that is compiled a second time, and by
 * the target that holds the two against each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_FUZZ_PORTABLE_H
#define STEDI_FUZZ_PORTABLE_H

#ifdef STEDI_PORTABLE
#define stedi_plain_record portable_plain_record
#define stedi_plain_run portable_plain_run
#define stedi_plain_forget portable_plain_forget
#define stedi_value_is_number portable_value_is_number
#include "record/decoder.h"
#else

extern const char *portable_plain_record(StediDecoder *decoder, const char *p,
										 const char *end, StediField *fields,
										 uint64_t *newlines);
extern void portable_plain_forget(StediDecoder *decoder);
extern bool portable_value_is_number(StediSlice text);
#endif

#endif							/* STEDI_FUZZ_PORTABLE_H */
