/*-------------------------------------------------------------------------
 *
 * storage.h
 *		Rows into the five tables, and out of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_STORAGE_H
#define STEDI_STORAGE_H

#include "zone/zone.h"

#include "storage/fileset.h"
#include "tcop/dest.h"

/* heap.c */

typedef struct ZoneHeap ZoneHeap;

/*
 * Begin to write rows, in the current context, into storage that this
 * transaction has made.  A process among several says where its long rows go,
 * under a name of its own; fileset NULL: there are no others.
 */
extern ZoneHeap *stedi_zone_heap_open(Relation relation, FileSet *fileset, const char *long_name);

/* Add a row: values of the columns, but for dropped ones. */
extern void stedi_zone_heap_put(ZoneHeap *heap, Datum *values, bool *nulls);

/* Write what is left; the number of rows put. */
extern uint64 stedi_zone_heap_close(ZoneHeap *heap);

/* A receiver that adds a query's rows; in the current context. */
extern DestReceiver *stedi_zone_heap_receiver(ZoneHeap *heap);

/* For the leader, when all processes are done: the rows that pages did not take. */
extern void stedi_zone_heap_insert_long(Relation relation, FileSet *fileset,
										const char *long_name);

/*
 * See that the storage will be on disk; redo is what GetRedoRecPtr() said
 * before the first page was written.
 */
extern void stedi_zone_heap_settle(Relation relation, XLogRecPtr redo, uint64 n_rows);

/* comment.c */

/* The table's COMMENT, which names the rules; palloc'd. */
extern char *stedi_zone_table_comment(const ZoneRun *run, ZoneTableId id);

/* COMMENT ON the columns of a table that is new. */
extern void stedi_zone_table_comment_columns(const ZoneRun *run, ZoneTableId id);

/* unlogged.c */

/*
 * This transaction makes unlogged storage: if it aborts, flush the log before
 * the storage is deleted.
 */
extern void stedi_zone_unlogged_note(void);

/* swap.c */

/* The setting stedi.swap_timeout: ms. */
extern int	stedi_swap_timeout;

/*
 * Put the new storage in the place of the table's own.  The locks on both are
 * released for it, and what was checked of them is checked again.
 */
extern void stedi_zone_swap_table(ZoneRun *run, ZoneTableId id);

/* Do that for all tables that have new storage: the end of a run. */
extern void stedi_zone_swap_all(ZoneRun *run);

/* write.c */

/*
 * Decide how the table gets its rows, and make the storage that they are to
 * be put into: its OID.  Then fill it, with a query or otherwise (the
 * report's rows say how many), and end it, which completes the report.
 */
extern Oid	stedi_zone_write_begin(ZoneRun *run, ZoneTableId id);
extern void stedi_zone_write_query(ZoneRun *run, ZoneTableId id, const char *query);
extern void stedi_zone_write_end(ZoneRun *run, ZoneTableId id);

/* Drop storage that the table was compared with. */
extern void stedi_zone_write_drop(ZoneRun *run, ZoneTableId id);

/* delete.c */

/*
 * Take the rows out of a table that a kept relation has the places of (part,
 * place): how many.  An error when some are still there.
 */
extern int64 stedi_zone_delete(ZoneRun *run, ZoneTableId id, const char *places);

/* The same of the rows t of which a template holds. */
extern int64 stedi_zone_delete_where(ZoneRun *run, ZoneTableId id, const char *template);

/* At the end of a run: an error when rows that went have come back. */
extern void stedi_zone_delete_check(ZoneRun *run);

/* summary.c */

/* Take the summaries away of ranges that these rows were in. */
extern void stedi_zone_summary_forget(ZoneRun *run, ZoneTableId id, const char *places);

/*
 * Make summaries where there are none, if they cannot hold keys of rows that
 * went.
 */
extern void stedi_zone_summary_renew(ZoneRun *run);

/* find.c */

/* The keys that a query has (its column key), if they are few; else NULL. */
extern ArrayType *stedi_zone_find_few(const char *query);

/*
 * Keep the relation `name`: rows of a table with their places (part, place,
 * its columns, all_of_key).  All of the keys in the relation `keys` (key), and
 * those of the relation `pairs` (key, time); either may be NULL.
 */
extern void stedi_zone_find(ZoneRun *run, ZoneTableId id, const char *name,
							const char *keys, const char *pairs);

/* statistics.c */

/* Values of rows that go, which the table's statistics hold. */
typedef struct ZoneHeld
{
	bool		unknown;		/* they may hold any */
	List	   *columns;		/* names */
	List	   *values;			/* of each, as text */
} ZoneHeld;

/* What they hold of the rows that relation `gone` (part, place) names. */
extern void stedi_zone_stats_hold(ZoneRun *run, ZoneTableId id, const char *gone, ZoneHeld *held);

/*
 * When the rows have gone: do the statistics hold a value that no row has any
 * more?
 */
extern bool stedi_zone_stats_are_stale(ZoneRun *run, ZoneTableId id, const ZoneHeld *held);

/* Renew the table's statistics.  None of rows that went may stay behind. */
extern void stedi_zone_stats_renew(const ZoneRun *run, ZoneTableId id, int64 rows_out);

/* left.c */

/*
 * Keep the relation `name` (key): of the keys in the rows of a relation, those
 * that objects name which have vanished and leave their readings behind.
 */
extern void stedi_zone_left_keep(ZoneRun *run, ZoneTableId id, const char *rows, const char *name);

#endif							/* STEDI_STORAGE_H */
