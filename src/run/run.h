/*-------------------------------------------------------------------------
 *
 * run.h
 *		The steps of a run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_RUN_H
#define STEDI_RUN_H

#include "zone/zone.h"

/* customers.c */

/*
 * Read the customer records and keep the relation "customer_record": all of
 * them; or, in a run that renews, all those that say something of the people
 * in run->affected, which this sets, and of the devices in the relation
 * "verdict".
 */
extern void stedi_zone_customer_read(ZoneRun *run);

/* lack.c */

typedef struct ZoneLack ZoneLack;

/* Of the landing table; attno, 0-based, is of stedi_schema_customers.  In cxt. */
extern ZoneLack *stedi_zone_lack_begin(MemoryContext cxt, Oid relid, const int *attno);

/* Note a record, or reject: which of stedi_schema_customers it lacks. */
extern void stedi_zone_lack_note(ZoneLack *lack, const bool *nulls, StediSlice record);

/* Warn of what was in none; all_read: the run has read every record. */
extern void stedi_zone_lack_warn(const ZoneLack *lack, const StediOptions *opts, bool all_read);

/* people.c */

/*
 * Read the customer records and keep the relations "person" (one row an
 * e-mail) and "device" (one row a serial number that somebody holds).
 */
extern void stedi_zone_person_read(ZoneRun *run);

/* The members of the consent sets of people and of devices: queries. */
extern const char *const stedi_zone_person_rows;
extern const char *const stedi_zone_device_rows;

/* holders.c */

/* Set run->n_shared, before and after the bookkeeping of devices is written. */
extern void stedi_zone_share_count(ZoneRun *run);

/* Warn of shared devices, when the step readings have been read. */
extern void stedi_zone_share_warn(const ZoneRun *run);

/*
 * Keep the relation "shared" (serialnumber, holders, records, key, byte_offset)
 * of the relations that audit_people keeps; the hashes of the serial numbers.
 */
extern StediHashes *stedi_zone_share_keep(ZoneRun *run);

/* Answer a row of stedi.quality for each, and for their readings. */
extern void stedi_zone_share_answer(const ZoneSession *session, int64 n_readings);

/* expect.c */

/* How a line of run->dropping begins, in which it lies behind run->definition. */
#define ZONE_DROPPING "\nexpect "

/* And the line between them, with the number of the form of e-mails; none: 1. */
#define ZONE_FORM "\ne-mails of form "

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

/* affected.c */

/*
 * Find the people (or devices) whose rows in the table of these readings are
 * to be made anew: the relation "renewed_person" or "renewed_device" (key,
 * kept, since, owned_since).  They are those of the hashes given, and those
 * named by objects that have changed or vanished.  Wants the objects that hold
 * readings of theirs, and makes run->set and run->anew if any object is wanted.
 */
extern void stedi_zone_survey(ZoneRun *run, ZoneTableId id, const StediHashes *renewed,
							  List *gone_keys);

/*
 * Keep the relation `name` (key): of the keys in the rows of a relation, those
 * that objects name which have vanished and leave their readings behind.
 */
extern void stedi_zone_survey_left(ZoneRun *run, ZoneTableId id, const char *rows, const char *name);

/* renew.c */

/*
 * Take the rows out of a table that relation `gone` (part, place) names, put
 * those of `come` in (its columns; NULL: none), and report it.
 */
extern void stedi_zone_renew_rows(ZoneRun *run, ZoneTableId id, const char *gone, const char *come);

/* Bring the five tables up to date with what has changed since the last run. */
extern void stedi_zone_renew(ZoneRun *run);

/* changes.c */

/* In a run that rebuilds: before the tables change, when the people are known. */
extern void stedi_zone_change_begin(ZoneRun *run);

/* When they have changed: write the history. */
extern void stedi_zone_change_end(ZoneRun *run);

/* withdraw.c */

/*
 * Do the steps.  When a landing object cannot be read, they are undone; who
 * has withdrawn goes all the same, if anybody has: with a WARNING in place of
 * the error.  Not in a dry run, nor where there are no tables.
 */
extern void stedi_zone_withdraw_run(ZoneRun *run, ZoneSteps steps, void *arg);

/* Is the error that a landing object, or a prefix, cannot be read? */
extern bool stedi_zone_withdraw_is_unreadable(const ZoneRun *run, const ErrorData *error);

/* uncovered.c */

/* What withdrawals alone came to.  All zeros before. */
typedef struct ZoneWithdrawal
{
	bool		known;			/* it is known who is out */
	int			n_unreadable;	/* customer objects */
	int64		n_out;			/* people who went */
	int64		n_later;		/* who consent, from a later date on */
	int64		n_rows;			/* that went */
	int64		n_updated[ZONE_N_TABLES];	/* rows of the latter */
} ZoneWithdrawal;

/*
 * Take out of all tables what consent covers no more, as far as customer
 * objects can be read, report it, and write it down.  Settles the rule as it is.
 */
extern void stedi_zone_uncovered_remove(ZoneRun *run, ZoneWithdrawal *withdrawal);

#endif							/* STEDI_RUN_H */
