/*-------------------------------------------------------------------------
 *
 * reading.h
 *		How an object arrives: in which pieces, and how much of it is kept.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_READING_H
#define STEDI_READING_H

#include <stdbool.h>
#include <stddef.h>

typedef struct Reading
{
	size_t		step;			/* bytes at a time, or, where n_sizes > 0: */
	const unsigned char *sizes; /* as many as these say in turn; 0: all */
	size_t		n_sizes;
	size_t		turn;
	bool		late;			/* its end is told when nothing is left */
	size_t		limit;			/* bytes kept at most, as by scan.c; 0: all */
	int			max_depth;		/* of a record; 0: the default */
} Reading;

/*
 * The next piece: *have bytes have come then, of len, of which done are used.
 * Returns whether it is the last.
 */
static inline bool
reading_goes_on(Reading *reading, size_t len, size_t done, size_t *have)
{
	bool		last = reading->late && *have == len;
	size_t		step = reading->step;

	if (reading->n_sizes > 0)
		step = reading->sizes[reading->turn++ % reading->n_sizes];
	*have = step == 0 || len - *have < step ? len : *have + step;
	if (reading->limit > 0 && *have > done + reading->limit)
		*have = done + reading->limit;
	return last || (!reading->late && *have == len);
}

#endif							/* STEDI_READING_H */
