/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *		What the fuzz targets share: how they are called, and what they claim.
 *
 * A target is one file that defines LLVMFuzzerTestOneInput.  Its input starts
 * with a few bytes, the same number for all of a target's, that choose how the
 * rest is read; the rest is what a stranger might have written.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_FUZZ_H
#define STEDI_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record/record.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* starve.c: from that call of a library on, there is no memory; -1: there is. */
extern int	fuzz_calls_to_starve;

/* Something that must hold, whatever the input: the program ends where it does not. */
#define CLAIM(claim) \
	do { \
		if (!(claim)) \
		{ \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim); \
			abort(); \
		} \
	} while (0)

/* Bytes in memory of their own, so that ASan sees one too far; to be freed. */
static inline char *
exact_copy(const void *bytes, size_t len)
{
	char	   *copy = malloc(len > 0 ? len : 1);

	CLAIM(copy != NULL);
	if (len > 0)
		memcpy(copy, bytes, len);
	return copy;
}

/* The same as a string, up to the first NUL in it; to be freed. */
static inline char *
exact_string(const void *bytes, size_t len)
{
	size_t		text_len = strnlen(bytes, len);
	char	   *copy = malloc(text_len + 1);

	CLAIM(copy != NULL);
	memcpy(copy, bytes, text_len);
	copy[text_len] = '\0';
	return copy;
}

static inline bool
same_text(StediSlice a, StediSlice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

#endif							/* STEDI_FUZZ_H */
