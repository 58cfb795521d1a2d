/*-------------------------------------------------------------------------
 *
 * progress.h
 *		What others see of this session in stedi.running(): see progress.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_PROGRESS_H
#define STEDI_PROGRESS_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"

typedef enum StediPhase
{
	STEDI_PHASE_WAITING = 1,	/* for another run, or a table's readers */
	STEDI_PHASE_LISTING,
	STEDI_PHASE_READING,		/* a landing table */

	/* of a run alone */
	STEDI_PHASE_DECIDING,		/* who is in, and whose devices are whose */
	STEDI_PHASE_COMPARING,		/* what was read with what is there */
	STEDI_PHASE_BUILDING,		/* rows of readings */
	STEDI_PHASE_WRITING,		/* rows into a table */
	STEDI_PHASE_INDEXING,
	STEDI_PHASE_ANALYZING,
	STEDI_PHASE_RECORDING,		/* objects, history and the run itself */
	STEDI_PHASE_SWAPPING,		/* new storage into the place of the old */
} StediPhase;

/*
 * Work under way, of one process or, in shared memory, of several.  All zeros
 * before it starts.
 */
typedef struct StediProgress
{
	/* set by stedi_progress_start */
	int			leader;			/* who did: a pid; 0: nobody is told */
	bool		in_run;			/* it is part of a run of materialize */
	StediPhase	phase;
	Oid			relid;			/* InvalidOid: of no table in particular */
	TimestampTz began;			/* the run, or this work */
	TimestampTz started;		/* this work */
	int64		objects_total;	/* 0: not known, or it is not counted in these */
	int64		bytes_total;	/* likewise */

	/* what is done */
	pg_atomic_uint64 objects;
	pg_atomic_uint64 bytes;
} StediProgress;

/*
 * Start work, and tell of it; nobody is told while another command reports its
 * own progress.  Another process that joins in tells of it from then on, as the
 * one that started it may have done its part first.  Adding to it is cheap
 * enough for each read.  Stopping takes it back, of this process; within a run
 * it stays until the next phase.  progress may be NULL in these two: nobody is
 * told.  None of the four throws.
 */
extern void stedi_progress_start(StediProgress *progress, StediPhase phase, Oid relid,
								 int64 objects_total, int64 bytes_total);
extern void stedi_progress_join(StediProgress *progress);
extern void stedi_progress_add(StediProgress *progress, uint64 objects, uint64 bytes);
extern void stedi_progress_stop(StediProgress *progress);

/* The setting. */
extern bool stedi_report_phases;

/* A NOTICE of what was started, if setting stedi.report_phases wants it. */
extern void stedi_progress_report(const StediProgress *progress);

/* A run begins or ends, with or without an error; they may nest.  Never throw. */
extern void stedi_progress_begin_run(void);
extern void stedi_progress_end_run(void);

/* Start, and report, a phase of a run that is not counted; without a run: nothing. */
extern void stedi_progress_phase(StediPhase phase, Oid relid);

/* Tell of that phase again, after a command that tells of its own progress. */
extern void stedi_progress_resume(void);

#endif							/* STEDI_PROGRESS_H */
