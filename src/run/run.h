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

/* target.c */

/*
 * A run on a schema, from the landing tables in that of argument landing_arg
 * (NULL: the one remembered, or the same; -1: there is no such argument).  In
 * the current context.
 */
extern ZoneRun *stedi_zone_begin_run(FunctionCallInfo fcinfo, Oid target, int landing_arg);

/*
 * Do the steps as the tables' owner, connected to SPI; undone if the run is a
 * dry one.  Waits for other runs on the target.
 */
typedef void (*ZoneSteps) (ZoneRun *run, void *arg);

extern void stedi_zone_run(ZoneRun *run, ZoneSteps steps, void *arg);

/*
 * Lock the five tables, those that there are, against other writers, not
 * readers, and see that they have the columns they should.  As their owner.
 */
extern void stedi_zone_lock_tables(ZoneRun *run);

/* An error when a table is published from which no row can be deleted. */
extern void stedi_zone_check_published(ZoneRun *run);

/* Find the target's tables and their owner, and see that the caller may. */
extern void stedi_zone_check_target(ZoneRun *run);

/*
 * Find the landing tables that the wanted tables are made from, and lock them;
 * their OIDs are in the tallies.  As the owner.
 */
extern void stedi_zone_check_landing(ZoneRun *run);

/* try.c */

typedef struct ZoneCall
{
	ZoneSteps	steps;
	void	   *arg;
} ZoneCall;

/*
 * Do the steps in a subtransaction, which is undone when they fail, or in any
 * case.  Their error, in the run's context; NULL: none.
 */
extern ErrorData *stedi_zone_try(ZoneRun *run, ZoneSteps steps, void *arg, bool undo);

/* Steps that do those of a ZoneCall with an SPI connection of their own. */
extern void stedi_zone_connected(ZoneRun *run, void *call);

/* Does the error end the call: a cancel, a timeout, want of memory or disk? */
extern bool stedi_zone_ends_call(const ErrorData *error);

/* Is the error that a landing object, or a prefix, cannot be read? */
extern bool stedi_zone_withdraw_is_unreadable(const ZoneRun *run, const ErrorData *error);

/* session.c */

/*
 * A look at a target: from begin to end, all that is read of the database is
 * as of one moment, whatever runs meanwhile.
 */
typedef struct ZoneSession
{
	ZoneRun    *run;			/* read_only; run->relid says what is there */
	ReturnSetInfo *answer;		/* borrowed: where the rows go */

	/* to be put back */
	Oid			caller;
	int			security;
	int			nest_level;
} ZoneSession;

/* An error when an argument of that name is NULL. */
extern void stedi_zone_session_need_argument(FunctionCallInfo fcinfo, int arg,
											 const char *name);

/*
 * Begin a look at a schema, which answers the call of a set-returning
 * function, whose argument landing_arg names the landing schema.  wanted is
 * by ZoneTableId: those whose landing tables are to be read.
 */
extern void stedi_zone_session_begin(ZoneSession *session, FunctionCallInfo fcinfo,
									 Oid target, int landing_arg,
									 const bool *wanted);

/* An error when the table is not there. */
extern void stedi_zone_session_need_table(const ZoneSession *session, ZoneTableId id);

/* Settle the rule and the match, as they are written down; else an error. */
extern void stedi_zone_session_need_rule(ZoneSession *session);

/* Is that bookkeeping table there?  An error when it is not the owner's. */
extern bool stedi_zone_session_has_book(const ZoneSession *session, ZoneBook book);

/* The one text value of a template's query, in the run's context; NULL: none. */
extern char *stedi_zone_session_text(const ZoneSession *session, const char *template);

/* Add the rows of a template's query to the answer. */
extern void stedi_zone_session_answer(const ZoneSession *session, const char *template);

/* Back to the caller's own rights and settings. */
extern void stedi_zone_session_end(ZoneSession *session);

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
 * e-mail) and "device" (one row a serial number that a customer holds).
 */
extern void stedi_zone_person_read(ZoneRun *run);

/* insiders.c */

/*
 * Keep, of the landing zone as it is now, the relations "insider": customers
 * who are in, as customer_trusted must have them; and "device": those that one
 * customer holds (serialnumber, holder, handed_on); and "claim": of each device
 * and customer who ever named it, whether the customer holds it.
 */
extern void stedi_zone_audit_people(const ZoneSession *session);

/*
 * The same of the records in the relation "customer_record"; and "decider",
 * the record that decides of each customer, with its object and byte_offset.
 */
extern void stedi_zone_audit_judge(const ZoneSession *session);

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

/* history.c */

/*
 * Add to the history, of a query: e-mail, what, object (its number, or NULL),
 * byte offset, rows removed, rows added.  Sets run->head.
 */
extern void stedi_zone_history_write(ZoneRun *run, const char *query);

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

/* rebuild.c */

/* Make the wanted tables anew; what consent covers no more goes from the others. */
extern void stedi_zone_rebuild(ZoneRun *run);

/* Make machine_learning_curated anew, of the tables as they are. */
extern void stedi_zone_rebuild_pairs(ZoneRun *run);

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
 * Do the steps.  When a landing object cannot be read, they are undone; if
 * customers have withdrawn, their rows go all the same, with a WARNING in
 * place of the error.  Not in a dry run, nor where there are no tables.
 */
extern void stedi_zone_withdraw_run(ZoneRun *run, ZoneSteps steps, void *arg);

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
