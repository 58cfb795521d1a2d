/*-------------------------------------------------------------------------
 *
 * padded.h
 *		Bytes in memory of their own, with the padding that plain.c wants.
 *
 * Just as much as record.h says, so that ASan sees a byte too far; and filled
 * with something else each time, of which no answer may depend.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_PADDED_H
#define STEDI_PADDED_H

#include <stdlib.h>
#include <string.h>

#include "record/record.h"

/* To be freed by the caller. */
static inline char *
padded_copy(const char *bytes, size_t len)
{
	static const char *const fillings[] = {
		"\"", "}", "0", " ", "\xbf", "x\":1}", ",\"a\":2}\n", "\"}{\"a\":3,\"", ".0,\"b\":true}", "\n{}", "",
	};
	static size_t turn = 0;
	const char *filling = fillings[turn++ % (sizeof(fillings) / sizeof(fillings[0]))];
	size_t		filling_len = strlen(filling) + (*filling == '\0');
	char	   *copy = malloc(len + STEDI_BYTES_PADDING);

	memcpy(copy, bytes, len);
	for (size_t i = 0; i < STEDI_BYTES_PADDING; i++)
		copy[len + i] = filling[i % filling_len];
	return copy;
}

#endif							/* STEDI_PADDED_H */
