/*-------------------------------------------------------------------------
 *
 * expect.h
 *		The expectations of a target, in a run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_RUN_EXPECT_H
#define STEDI_RUN_EXPECT_H

#include "run/run.h"

/* An expectation as it is written down. */
typedef struct ZoneEntry
{
	ZoneTableId id;
	ZoneAction	action;
	char	   *name;
	char	   *condition;
} ZoneEntry;

/* The words for actions, by ZoneAction; NULL behind the last. */
extern const char *const stedi_zone_expect_actions[ZONE_N_ACTIONS + 1];

/* The action of that word; ZONE_N_ACTIONS: there is none. */
extern ZoneAction stedi_zone_expect_action(const char *word);

/* The table of that name; ZONE_N_TABLES: there is none. */
extern ZoneTableId stedi_zone_expect_table(const char *name);

/* May this action be taken on rows of this table? */
extern bool stedi_zone_expect_may(ZoneTableId id, ZoneAction action);

/* An error unless the condition can be evaluated on rows of its table. */
extern void stedi_zone_expect_check(const ZoneRun *run, ZoneEntry *entry);

/*
 * Read a target's expectations: sets run->expectations and run->dropping.  The
 * conditions of tables that are wanted are analysed, so that what cannot be
 * evaluated any more is an error now; of the others none is ever evaluated.
 */
extern void stedi_zone_expect_read(ZoneRun *run);

/* Do any of them drop rows of this table? */
extern bool stedi_zone_expect_drops(const ZoneRun *run, ZoneTableId id);

/*
 * Keep rows of a query, which has the table's columns, that are not dropped;
 * the report counts the others.
 */
extern void stedi_zone_expect_keep(ZoneRun *run, ZoneTableId id, const char *name, const char *sql);

/*
 * Take rows out of a table that are to stay without an object, and that an
 * expectation drops which was not there when they came; how many.
 */
extern int64 stedi_zone_expect_prune(ZoneRun *run, ZoneTableId id);

/*
 * When the tables are as the run leaves them: count who meets what, say it, and
 * write it down; an error where an expectation fails.
 */
extern void stedi_zone_expect_settle(ZoneRun *run);

#endif							/* STEDI_RUN_EXPECT_H */
