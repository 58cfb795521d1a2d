/*-------------------------------------------------------------------------
 *
 * condition.h
 *		Expectations of rows of the five tables, and their conditions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_ZONE_CONDITION_H
#define STEDI_ZONE_CONDITION_H

#include "zone/tables.h"

#include "access/tupdesc.h"

/* The most processes that take part in a load. */
#define ZONE_MAX_PROCESSES 64

/* What becomes of rows that violate an expectation. */
typedef enum ZoneAction
{
	ZONE_ACTION_WARN,			/* they are counted */
	ZONE_ACTION_DROP,			/* they are left out */
	ZONE_ACTION_FAIL,			/* the run ends in an error */
	ZONE_N_ACTIONS
} ZoneAction;

/* The same as a set of them. */
#define ZONE_ACTIONS(action) (1 << (action))

typedef struct ZoneExpectation
{
	ZoneTableId id;
	ZoneAction	action;
	Size		name;			/* where this text begins, from the begin of
								 * the ZoneExpectations */
	Size		condition;		/* likewise */
	int64		met;			/* rows of the table; -1: not counted */
	uint64		violated[ZONE_MAX_PROCESSES];	/* by process */
} ZoneExpectation;

/* A target's expectations: one flat piece, for processes to share. */
typedef struct ZoneExpectations
{
	Size		size;			/* with the texts behind the list */
	bool		serial;			/* what drops rows is not parallel safe */
	int			n;
	ZoneExpectation list[FLEXIBLE_ARRAY_MEMBER];
} ZoneExpectations;

/* The conditions of a table's expectations, ready to be evaluated. */
typedef struct ZoneSieve ZoneSieve;

/*
 * Make the conditions of a table's expectations ready, of those with one of
 * the actions (ZONE_ACTIONS); NULL: there are none.  In the current context.
 * What is found goes to the counts of that process.  Sieves are closed in the
 * reverse order, as they hold settings.
 */
extern ZoneSieve *stedi_zone_sieve_open(ZoneExpectations *expectations, ZoneTableId id,
										int actions, int process);
extern void stedi_zone_sieve_close(ZoneSieve *sieve);

/* The columns of the table. */
extern TupleDesc stedi_zone_sieve_columns(const ZoneSieve *sieve);

/* May other processes evaluate the conditions? */
extern bool stedi_zone_sieve_is_parallel_safe(const ZoneSieve *sieve);

/*
 * Does a row, of the table's columns in their order, meet all of them?  Counts
 * each that it violates.  An error in a condition is reported without what it
 * says, which may hold values of the row.
 */
extern bool stedi_zone_sieve_passes(ZoneSieve *sieve, const Datum *values, const bool *nulls);

#endif							/* STEDI_ZONE_CONDITION_H */
