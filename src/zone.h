/*-------------------------------------------------------------------------
 *
 * zone.h
 *		What the files that materialise the zone tables share.
 *
 *	 commands/materialize.c			the SQL functions: in what order
 *	 zone/target.c	who may, and as whom
 *	 zone/sql.c	SQL with names filled in, run through SPI
 *	 zone/rows.c	a table's rows, one after the other
 *	 books/key.c		hashes of people, under the target's key
 *	 books/schema.c	in which schema the bookkeeping is, and whose
 *	 books/grant.c	who may read it
 *	 books/adopt.c	bookkeeping of others, brought there
 *	 books/book.c	what is kept from run to run: the tables
 *	 books/save.c	what a run writes into them
 *	 zone/hold.c	relations that are held open
 *	 books/objects.c	landing objects: new, changed, vanished, to be read
 *	 run/customers.c	customer objects -> customer records, all that matter
 *	 run/people.c	customer records -> who is in, which device is whose
 *	 run/expect.c	expectations: kept, counted, enforced
 *	 zone/condition.c	their conditions, on a table's rows
 *
 * A run rebuilds the tables, from all objects:
 *
 *	 zone/tables.c	the five tables: their rows, and what they lose
 *	 readings/load.c	landing readings -> rows, in several processes; see
 *					readings/readings.h
 *	 storage/write.c	rows -> a table: made, changed or swapped
 *	 storage/delete.c	rows out of a table, with proof
 *	 storage/summary.c what an index knows of rows that go
 *
 * or renews them: then it reads what is new, and takes everything else from
 * the tables as they are:
 *
 *	 run/affected.c	whose readings have to be looked at
 *	 storage/find.c	where their rows are
 *	 run/renew.c	what has changed -> the tables' rows of whom it touches
 *	 storage/statistics.c	what statistics know of rows that go
 *
 * or, where an object cannot be read, at least takes out who has withdrawn:
 *
 *	 run/withdraw.c	a run, or else its withdrawals
 *	 run/uncovered.c	what consent covers no more -> out of all tables
 *
 * and says what it did:
 *
 *	 run/changes.c	who came and went
 *	 books/history.c	the history of that
 *	 zone/report.c	the report
 *	 commands/forget.c	somebody is forgotten, and that undone
 *
 * Others look at what there is, and change nothing:
 *
 *	 zone/session.c	the frame of such a look: who may, as whom, as of when
 *	 zone/landing.c	landing records with their places -> what SQL can read
 *	 commands/audit.c	the five tables against the rules, worked out anew
 *	 commands/lineage.c	the objects and records that a table's rows came from
 *	 commands/subject.c	everything that is held on one person
 *	 commands/quality.c	what is in the landing zone, and what is wrong there
 *	 run/holders.c	devices with more than one holder
 *
 * All of it runs as the owner of the target tables, in a security-restricted
 * operation, inside one transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_ZONE_H
#define STEDI_ZONE_H

#include "stedi.h"

#include "access/tupdesc.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

typedef enum ZoneTableId
{
	ZONE_CUSTOMER_TRUSTED,
	ZONE_ACCELEROMETER_TRUSTED,
	ZONE_CUSTOMER_CURATED,
	ZONE_STEP_TRAINER_CURATED,
	ZONE_MACHINE_LEARNING_CURATED,
	ZONE_N_TABLES
} ZoneTableId;

typedef struct ZoneTable
{
	const char *name;
	const char *columns;		/* as format_type() writes them: checked
								 * against */
	const char *column_names;	/* quoted, in the same order */
	const char *landing;		/* the landing table that feeds it; NULL: none */
	const char *function;		/* the SQL function that makes it alone */
	const char *lookup;			/* the column that a new one has an index on */
	const char *key;			/* whose a row is: the column of the person or
								 * device */
	const char *time;			/* when it was taken, quoted; NULL: never */
	const char *comment;
} ZoneTable;

extern const ZoneTable stedi_zone_tables[ZONE_N_TABLES];

/* One row of the report.  Counts below are -1 where they do not apply. */
typedef struct ZoneReport
{
	const char *mode;
	int64		superseded;
	int64		no_consent;
	int64		before_consent;
	int64		unknown_owner;
	int64		ambiguous;
	int64		forgotten;
	int64		unexpected;
	int64		without_readings;
	int64		duplicates;
	int64		unchanged;
	int64		kept;
	int64		older;			/* rows made: older than the consent */
	int64		rows_in;
	int64		rows_out;
	int64		rows;
	TimestampTz started;
	TimestampTz finished;
	int64		elapsed;		/* us: what the table took of the run */
} ZoneReport;

/*
 * The columns of the report that are written down: all but elapsed.  That was
 * the last one in 1.0, and stands before the ZONE_N_ADDED of 1.1: unexpected,
 * without_readings.
 */
#define ZONE_N_REPORTED 23
#define ZONE_N_ADDED 2

/* What is to become of the rows of objects that have vanished. */
typedef enum ZoneVanished
{
	ZONE_VANISHED_ASK,			/* they go, unless these are many */
	ZONE_VANISHED_REMOVE,
	ZONE_VANISHED_KEEP,			/* readings stay */
} ZoneVanished;

typedef enum ZoneObjectState
{
	ZONE_OBJECT_NEW,
	ZONE_OBJECT_CHANGED,
	ZONE_OBJECT_SAME,
} ZoneObjectState;

/* A listed object, beside what the bookkeeping says of it. */
typedef struct ZoneObject
{
	ZoneObjectState state;
	bool		due;			/* a date in it has come into force */
	bool		came_back;		/* it had vanished, and its rows were kept */
	bool		wanted;			/* to be read */
	bool		read;			/* it was */
	bool		written;		/* into the bookkeeping */
	bool		unreadable;		/* see run/withdraw.c */
} ZoneObject;

typedef struct ZoneName
{
	const char *name;			/* in the encoding of the database */
	int			object;
} ZoneName;

/* A landing table that feeds one of the five. */
typedef struct ZoneSource
{
	Oid			relid;			/* InvalidOid: none does, in this run */
	StediScanStats stats;		/* of what was read; listed: of all */

	/* set by stedi_zone_object_compare */
	StediListing *listing;
	ZoneObject *objects;		/* of each that is listed */
	ZoneName   *names;			/* sorted */
	List	   *vanished;		/* names, also of those kept before */
	int			n_booked;
	int			n_vanished;		/* since the last run */
	int			n_changed;
	int64		first_ms;		/* of readings in objects that are the same */
	int64		last_ms;
} ZoneSource;

/* What is kept of an object that was read. */
typedef struct ZoneSketch
{
	bytea	   *people;			/* NULL: none are kept */
	bytea	   *devices;
	int64		first_ms;		/* PG_INT64_MAX: no reading */
	int64		last_ms;
	int64		due_ms;			/* PG_INT64_MAX: never */
} ZoneSketch;

/* How a table gets its rows. */
typedef enum ZoneMode
{
	ZONE_MODE_FULL,				/* it is new, and filled itself */
	ZONE_MODE_SWAP,				/* new storage takes the place of the old */
	ZONE_MODE_DIFFERENCE,		/* it is changed to be like the new storage */
	ZONE_MODE_RENEW,			/* some people's rows are */
} ZoneMode;

/* The bookkeeping tables. */
typedef enum ZoneBook
{
	ZONE_BOOK_RULE,
	ZONE_BOOK_RUN,
	ZONE_BOOK_STATE,
	ZONE_BOOK_OBJECT,
	ZONE_BOOK_DEVICE,
	ZONE_BOOK_KEY,
	ZONE_BOOK_FORGOTTEN,
	ZONE_BOOK_HISTORY,
	ZONE_BOOK_EXPECTATION,
	ZONE_N_BOOKS
} ZoneBook;

/* The schema that a target's bookkeeping is in. */
typedef struct ZoneStore
{
	Oid			schema;			/* InvalidOid: there is none yet */
	const char *name;			/* in the run's context */
	Oid			owner;			/* as whom statements on it run */
	bool		ours;			/* it is out of reach of the tables' owner */
} ZoneStore;

/* Who ran, to be put back. */
typedef struct ZoneUser
{
	Oid			role;
	int			security;
	int			nest_level;		/* of settings; 0: they are as they were */
} ZoneUser;

/* Rows that had to go, where code of the tables' owner could keep them. */
typedef struct ZoneMeant
{
	ZoneTableId id;
	EphemeralNamedRelation rows;	/* of one column: a_row; owned */
	int64		n_left;			/* rows like them that may be there */
} ZoneMeant;

#define ZONE_KEY_LEN 32

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

typedef struct ZoneSieve ZoneSieve;
typedef struct ZoneLoad ZoneLoad;
typedef struct ZoneCustomers ZoneCustomers;
typedef struct ZoneFormer ZoneFormer;

typedef struct ZoneRun
{
	/* what was asked for: set by commands/materialize.c before anything else */
	Oid			target;
	const char *function;		/* that was called, with its schema: for
								 * messages */
	const char *target_name;
	const char *landing_name;
	const char *asked;			/* the rule; NULL: as before */
	const char *consent;		/* the rule; NULL until stedi_zone_book_rule */
	bool		since;			/* the rule is since_consent */
	bool		match_time;
	ZoneVanished vanished;
	bool		full_refresh;
	bool		dry_run;
	bool		wanted[ZONE_N_TABLES];	/* tables to be rebuilt */
	bool		all;			/* all five */
	bool		landing_given;	/* landing_name was; else it is the target's,
								 * until stedi_zone_book_landing */
	bool		landing_known;	/* it is settled */
	bool		landing_changed;	/* it is not what is written down */
	bool		read_only;		/* a look: all queries share one snapshot */
	int64		now_ms;			/* transaction time */

	/* the target as it is */
	Oid			owner;
	Oid			relid[ZONE_N_TABLES];	/* InvalidOid: not there yet */
	Oid			staged[ZONE_N_TABLES];	/* new storage beside it */
	ZoneMode	mode[ZONE_N_TABLES];
	bool		is_new[ZONE_N_TABLES];
	bool		cascades;		/* a row that goes may take others along:
								 * there are foreign keys or triggers */
	bool		rule_changed;	/* consent: all COMMENTs name it */
	bool		had_rule;
	bool		match_changed;	/* that of machine_learning_curated, too */

	List	   *held;			/* relations that are open until the run ends;
								 * owned */
	List	   *meant;			/* ZoneMeant: rows that went; owned */

	/* the bookkeeping: where it is */
	ZoneStore	store;
	const char *adopted[ZONE_N_BOOKS];	/* columns of what is being brought
										 * over; NULL: it is not there */
	bool		books_lost;		/* some were made anew */

	/* what it says: set by stedi_zone_book_open */
	char		key[ZONE_KEY_LEN];
	uint64		seed;			/* of the hashes of names, from the key */
	int64		number;			/* the run's */
	bool		complete;		/* a run may go on from the one before */
	int64		before_ms;		/* the now of that one */
	const char *definition_before;
	const char *dropping_before;
	int			form_before;	/* of e-mails in the tables */
	int64		rows_before[ZONE_N_TABLES];
	const char *definition;		/* of the landing tables */
	const char *dropping;		/* the expectations that drop rows */
	ZoneExpectations *expectations; /* NULL: there are none */
	SPIPlanPtr	put_object;

	/* what is to be done */
	bool		renew;			/* what has changed; else rebuild */
	Oid			reading;		/* the landing table that is listed or read at
								 * this moment; InvalidOid: none */
	ZoneSource	source[ZONE_N_TABLES];
	StediHashes affected;		/* renew: people whose records have changed */
	StediConsentSet *set;		/* renew: by which readings are read */
	int64		n_shared;		/* devices with more than one holder */
	bool		shares_more;	/* than before the run */
	bool	   *anew;			/* renew: its members whose rows are all made
								 * anew */
	MemoryContext cxt;			/* lives as long as the run */
	List	   *kept;			/* tuplestores of stedi_zone_query_keep; owned */
	ZoneCustomers *customers;	/* while their records are read */
	ZoneFormer *former;			/* the same: who is forgotten by a former form */
	ZoneLoad   *load;			/* readings; NULL: none are read */

	/* what came out */
	int64		shared_out;		/* us of the present table's time that others
								 * have been given */
	const char *head;			/* of the history, in hex; NULL: none */
	int64		n_entries;		/* that it has */
	ZoneReport	report[ZONE_N_TABLES];
} ZoneRun;

/* commands/materialize.c */

/* Find the target's tables and their owner, and see that the caller may. */
extern void stedi_zone_check_target(ZoneRun *run);

/*
 * Find the landing tables that the wanted tables are made from, and lock them;
 * their OIDs are in the tallies.  As the owner.
 */
extern void stedi_zone_check_landing(ZoneRun *run);

/* Settings that queries could mean other things by. */
extern void stedi_zone_pin_settings(void);

/* zone/target.c */

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

/* zone/try.c */

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

/* zone/sql.c */

/*
 * Fill in a template: {target} and {landing} the schemas, {now} epoch ms,
 * {books} the schema of the bookkeeping, {since_rule}, {match_time} and {cascades} true or false, {of_affected} and {of_verdict}
 * what holds of people and devices (w) that the run looks at, {customer_trusted} and so on the
 * tables as they are to be read in this run, {customer_landing} the name of
 * that table as a literal, {person_set} and {device_set} the consent sets.
 * Palloc'd.
 */
extern char *stedi_zone_query_expand(const ZoneRun *run, const char *template);

/*
 * The call of one of our functions on this target, for a hint; more is what
 * follows its first arguments.  Palloc'd.
 */
extern char *stedi_zone_query_call(const ZoneRun *run, const char *function,
								   const char *more);

/* Run a statement; the number of rows it processed. */
extern int64 stedi_zone_query_run(const char *sql);

/* Run a query of one row of bigints (NULL: 0) into values[n]. */
extern void stedi_zone_query_values(const char *sql, int n, int64 *values);

/* How many rows a query has. */
extern int64 stedi_zone_query_count(const char *sql);

/*
 * Run a query of one text value, copied to the run's context; NULL when it
 * is that or there is no row.
 */
extern char *stedi_zone_query_text(const ZoneRun *run, const char *sql);

/* A table's columns as ZoneTable has them: names and types. */
extern char *stedi_zone_query_columns(const ZoneRun *run, Oid relid);

/* The same without types. */
extern char *stedi_zone_query_names(const ZoneRun *run, Oid relid);

/* A relation's name with its schema, quoted.  Palloc'd. */
extern const char *stedi_zone_query_relation(Oid relid);

/*
 * Memory that a kept relation takes, in kB.  Each is read once or twice from
 * end to end, for which a temporary file does as well.
 */
#define ZONE_KEPT_MEMORY 4096

/*
 * Keep a query's rows under a name that later queries can read; spills to
 * temporary files beyond work_mem.
 */
extern void stedi_zone_query_keep(ZoneRun *run, const char *name, const char *sql);

/*
 * Run a statement with parameters, whose values get into no plan and no log;
 * how many rows it processed.  nulls may be NULL, or has an 'n' for each NULL.
 */
extern uint64 stedi_zone_query_with(const char *sql, int n, const Oid *types,
									const Datum *values, const char *nulls);

/* The same of a query with a parameter, $1, of type text[]; keys NULL: with none. */
extern void stedi_zone_query_keep_of(ZoneRun *run, const char *name, const char *sql,
									 ArrayType *keys);

/* The same of a set of hashes, as bigints in a column of that name. */
extern void stedi_zone_query_keep_hashes(ZoneRun *run, const char *name,
										 const StediHashes *hashes);

extern void stedi_zone_query_register(ZoneRun *run, const char *name,
									  Tuplestorestate *store, TupleDesc tupdesc);

/* The consent set of a query's rows, in the run's context. */
extern StediConsentSet *stedi_zone_query_set(const ZoneRun *run, const char *template,
											 bool fold_keys);

/* A query's rows, one after the other: values are good until the next. */
typedef struct ZoneQueryRows
{
	Portal		portal;
	SPITupleTable *table;
	uint64		n;
	uint64		next;
} ZoneQueryRows;

/*
 * types: a letter a column, t text, l bigint, L bigint[], i integer, b bytea,
 * B boolean, z timestamptz; an error when the answer has others.  NULL: not
 * checked.
 */
extern void stedi_zone_query_open(ZoneQueryRows *rows, const char *sql, const char *types);
extern bool stedi_zone_query_fetch(ZoneQueryRows *rows, int n, Datum *values, bool *nulls);
extern void stedi_zone_query_close(ZoneQueryRows *rows);

/*
 * After the abort of the subtransaction in which they were made: keep the
 * first n, and leave the others' memory, whose files have gone, to the run's.
 */
extern void stedi_zone_query_abandon(ZoneRun *run, int n);

/* Let go of the one kept last, or of all. */
extern void stedi_zone_query_drop(ZoneRun *run);
extern void stedi_zone_query_forget(ZoneRun *run);

/* run/people.c */

/*
 * Read the customer records and keep the relations "person" (one row an
 * e-mail) and "device" (one row a serial number that somebody holds).
 */
extern void stedi_zone_person_read(ZoneRun *run);

/* The members of the consent sets of people and of devices: queries. */
extern const char *const stedi_zone_person_rows;
extern const char *const stedi_zone_device_rows;

/* run/expect.c */

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

/* zone/condition.c */

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

/* zone/tables.c */
extern void stedi_zone_table_build(ZoneRun *run, ZoneTableId id);

/* What the scan of the landing table found, in the words of the report. */
extern void stedi_zone_table_report_readings(ZoneRun *run, ZoneTableId id);
extern void stedi_zone_table_report_customers(ZoneRun *run);

/*
 * Say how many of the rows that the run has made are older than their
 * customer's consent: report->older, or counted among those of a relation
 * (a template), unless that is NULL.
 */
extern void stedi_zone_table_report_older(ZoneRun *run, ZoneTableId id, const char *rows);

/* run/lack.c: columns that no customer record has a value for */

typedef struct ZoneLack ZoneLack;

/* Of the landing table; attno, 0-based, is of stedi_schema_customers.  In cxt. */
extern ZoneLack *stedi_zone_lack_begin(MemoryContext cxt, Oid relid, const int *attno);

/* Note a record, or reject: which of stedi_schema_customers it lacks. */
extern void stedi_zone_lack_note(ZoneLack *lack, const bool *nulls, StediSlice record);

/* Warn of what was in none; all_read: the run has read every record. */
extern void stedi_zone_lack_warn(const ZoneLack *lack, const StediOptions *opts, bool all_read);

/* The table's COMMENT, which names the rules; palloc'd. */
extern char *stedi_zone_table_comment(const ZoneRun *run, ZoneTableId id);

/* COMMENT ON the columns of a table that is new. */
extern void stedi_zone_table_comment_columns(const ZoneRun *run, ZoneTableId id);

/*
 * What holds of a row of a table of readings that consent covers, in a query
 * of a run that rebuilds; NULL for other tables.
 */
extern const char *stedi_zone_table_covered(ZoneTableId id);

/* Say how many rows stay whose objects have vanished. */
extern void stedi_zone_table_report_kept(ZoneTableId id, int64 n_rows);

/* Take out of a table that is not rebuilt what is no longer covered. */
extern void stedi_zone_table_prune(ZoneRun *run, ZoneTableId id);

/* storage/write.c */

/* The setting: ms. */
extern int	stedi_swap_timeout;

/*
 * Decide how the table gets its rows, and make the storage that they are to
 * be put into: its OID.  Then fill it, with a query or otherwise (the
 * report's rows say how many), and end it, which completes the report.
 */
extern Oid	stedi_zone_write_begin(ZoneRun *run, ZoneTableId id);
extern void stedi_zone_write_query(ZoneRun *run, ZoneTableId id, const char *query);
extern void stedi_zone_write_end(ZoneRun *run, ZoneTableId id);

/*
 * Renew the table's statistics, of which those of rows that went must not
 * stay behind.
 */
extern void stedi_zone_write_analyze(const ZoneRun *run, ZoneTableId id, int64 rows_out);

/* Put the new storage in place: the end of a run. */
extern void stedi_zone_write_swap(ZoneRun *run);

/* Drop storage that the table was compared with. */
extern void stedi_zone_write_drop(ZoneRun *run, ZoneTableId id);

/* books/schema.c */

/*
 * Find the target's bookkeeping: run->store, whose schema is InvalidOid when
 * there is none.  run->owner is that of the five tables, if there are any.
 */
extern void stedi_zone_store_find(ZoneRun *run);

/* The owner of a relation; InvalidOid when it is not there. */
extern Oid	stedi_zone_store_relation_owner(Oid relid);

/* Make it, or bring it over, and see to its name and privileges.  As the owner. */
extern void stedi_zone_store_open(ZoneRun *run);

/* Be the bookkeeping's owner, and whoever was before. */
extern void stedi_zone_store_enter(const ZoneRun *run, ZoneUser *before);
extern void stedi_zone_store_leave(const ZoneUser *before);

/* What zone/sql.c has, of templates, as the bookkeeping's owner. */
extern int64 stedi_zone_store_run(const ZoneRun *run, const char *template);
extern uint64 stedi_zone_store_with(const ZoneRun *run, const char *template, int n,
									const Oid *types, const Datum *values, const char *nulls);
extern void stedi_zone_store_query(const ZoneRun *run, ZoneQueryRows *rows,
								   const char *template, const char *types);
extern void stedi_zone_store_values(const ZoneRun *run, const char *template, int n,
									int64 *values);
extern char *stedi_zone_store_text(const ZoneRun *run, const char *template);
extern void stedi_zone_store_keep(ZoneRun *run, const char *name, const char *template);

/* books/grant.c */

/*
 * Who may read the bookkeeping, and so owns the five tables; InvalidOid:
 * nothing says so.  Of several, the owner of the tables, or any.
 */
extern Oid	stedi_zone_grant_reader(const ZoneRun *run);

/*
 * Let the owner of the five tables read the bookkeeping, and no owner before,
 * nor anybody to whom that one granted it.  As the bookkeeping's owner.
 */
extern void stedi_zone_grant(const ZoneRun *run);

/* books/adopt.c */

/* Keep the rows of bookkeeping that is not ours, and drop it.  As its owner. */
extern void stedi_zone_adopt_take(ZoneRun *run, const ZoneStore *from);

/* Put them where they belong.  As the bookkeeping's owner. */
extern void stedi_zone_adopt_put(ZoneRun *run);

/* zone/hold.c */

/*
 * Hold a relation open, on which there is a lock, until the run ends.  It must
 * not be closed by the caller.
 */
extern Relation stedi_zone_hold(ZoneRun *run, Oid relid);

/* Lock, check and hold one of the five tables, with all its parts. */
extern void stedi_zone_hold_table(ZoneRun *run, ZoneTableId id, LOCKMODE mode);

/* Let go of one relation, or of all. */
extern void stedi_zone_hold_release(ZoneRun *run, Oid relid);
extern void stedi_zone_hold_release_all(ZoneRun *run);

/* The five tables still have their names; else an error. */
extern void stedi_zone_hold_check(const ZoneRun *run);

/* A column of one of the five tables has the type that it should; else an error. */
extern void stedi_zone_check_column(Form_pg_attribute column);

/* storage/delete.c */

/*
 * Take the rows out of a table that a kept relation has the places of (part,
 * place): how many.  An error when some are still there.
 */
extern int64 stedi_zone_delete(ZoneRun *run, ZoneTableId id, const char *places);

/* The same of the rows t of which a template holds. */
extern int64 stedi_zone_delete_where(ZoneRun *run, ZoneTableId id, const char *template);

/* At the end of a run: an error when rows that went have come back. */
extern void stedi_zone_delete_check(ZoneRun *run);

/* storage/summary.c */

/* Take the summaries away of ranges that these rows were in. */
extern void stedi_zone_summary_forget(ZoneRun *run, ZoneTableId id, const char *places);

/* Make summaries where there are none, if that brings nobody back. */
extern void stedi_zone_summary_renew(ZoneRun *run);

/* readings/load.c */

/* Read the landing table that feeds this table. */
extern void stedi_zone_load_read(ZoneRun *run, ZoneTableId id);

/* Keep the relation "reader": the e-mails of those who have movements. */
extern void stedi_zone_load_keep_readers(ZoneRun *run);

/*
 * Keep the relation "has_rows" (who, n): how many rows people have in all five
 * tables; empty when that was not counted.
 */
extern void stedi_zone_load_keep_rows(ZoneRun *run);

/* Build the tables of what was read, and that of the pairs. */
extern void stedi_zone_load_build(ZoneRun *run, bool pairs);

/* zone/report.c */
extern void stedi_zone_report_begin(ZoneRun *run);

/* A row of stedi.report, without elapsed. */
extern void stedi_zone_report_values(const ZoneRun *run, ZoneTableId id, Datum *values, bool *nulls);
extern void stedi_zone_report_add(StediScanStats *sum, const StediScanStats *stats);
extern void stedi_zone_report_put(ReturnSetInfo *rsinfo, const ZoneRun *run, ZoneTableId id);

/* books/book.c */
extern const char *stedi_zone_book_name(ZoneBook book);

/* Make the bookkeeping tables, and read how the last run left the target. */
extern void stedi_zone_book_open(ZoneRun *run);

/* Make one of them, where it is not there. */
extern void stedi_zone_book_make(ZoneRun *run, ZoneBook book);

/*
 * Find one of them where the bookkeeping is, and lock it: its OID; InvalidOid
 * when it is not there, or was not what it should be and could be dropped.
 * Else an error.  As the bookkeeping's owner.
 */
extern Oid	stedi_zone_book_find(ZoneRun *run, ZoneBook book, LOCKMODE mode);

/*
 * Make one of them with the rows of a kept relation, whose columns are given.
 * An error when it has rows that no run has written, unless they can be made
 * anew.  As the bookkeeping's owner.
 */
extern void stedi_zone_book_receive(ZoneRun *run, ZoneBook book, const char *columns,
									const char *from);

/* An error when others than its owner may write into it. */
extern void stedi_zone_book_check_writers(ZoneRun *run, ZoneBook book);

/* books/save.c */

/* Settle run->consent and run->match_time. */
extern void stedi_zone_book_rule(ZoneRun *run);

/* Settle run->landing_name: as given, or as it is written down. */
extern void stedi_zone_book_landing(ZoneRun *run);

/*
 * Lock a table, and see that it belongs to the owner given: its OID, or
 * InvalidOid when it is not there, as when it was dropped while we waited for
 * the lock.
 */
extern Oid	stedi_zone_lock_table(const ZoneRun *run, const char *schema, const char *name,
								  Oid owner, LOCKMODE mode);

/* Write an object down that was read, and is not there. */
extern void stedi_zone_book_put_object(ZoneRun *run, ZoneTableId id, const StediObject *object,
									   const ZoneSketch *sketch);

/* Strike objects out by their names, mark them, or strike out all. */
extern void stedi_zone_book_forget_objects(const ZoneRun *run, ZoneTableId id, List *names);
extern void stedi_zone_book_mark_objects(const ZoneRun *run, ZoneTableId id, List *names,
										 bool vanished);
extern void stedi_zone_book_clear_objects(const ZoneRun *run, ZoneTableId id);

/* Write down what the run reports of the tables that it was to make. */
extern void stedi_zone_book_reports(const ZoneRun *run);

/* The same, and how it leaves the tables. */
extern void stedi_zone_book_run(ZoneRun *run);

/* The same after rows were taken out of what the last run left. */
extern void stedi_zone_book_settle(ZoneRun *run);

/* books/objects.c */

/* What a definition says of the landing tables, without the rules before it. */
extern const char *stedi_zone_object_definition(const char *definition);

/* Set run->definition. */
extern void stedi_zone_object_define(ZoneRun *run);

/* Why what the last run wrote down of objects no longer tells what they hold; NULL: it does. */
extern const char *stedi_zone_object_redefined(const ZoneRun *run);

/* List the sources' objects and set their states; an error when too many have vanished. */
extern void stedi_zone_object_compare(ZoneRun *run);

/*
 * Bytes of a hash that are kept of the names in objects: who is a customer is
 * told by them, exactly; whether an object of readings is worth reading need
 * not be.
 */
#define ZONE_CUSTOMER_NAME_WIDTH 8
#define ZONE_READING_NAME_WIDTH 4
#define ZONE_NAME_WIDTH(id) \
	((id) == ZONE_CUSTOMER_TRUSTED ? ZONE_CUSTOMER_NAME_WIDTH : ZONE_READING_NAME_WIDTH)

/* Does the run leave readings of vanished objects of this source where they are? */
extern bool stedi_zone_keeps_vanished(const ZoneRun *run, ZoneTableId id);

/* And are there any such objects? */
extern bool stedi_zone_keeps_rows(const ZoneRun *run);

/* The objects that are wanted and were not read: a listing in the current context. */
extern StediListing *stedi_zone_object_choose(const ZoneRun *run, ZoneTableId id);

/* Want all of a source's objects; or those that are new or have changed. */
extern void stedi_zone_object_want_all(ZoneRun *run, ZoneTableId id);
extern void stedi_zone_object_want_new(ZoneRun *run, ZoneTableId id);

/*
 * Want those besides that may name one of these people or devices (NULL:
 * none); how many.
 */
extern int	stedi_zone_object_want(ZoneRun *run, ZoneTableId id, const StediHashes *people,
								   const StediHashes *devices);

/*
 * Want those besides that have rejects: of readings it is not written down
 * whom these name.
 */
extern void stedi_zone_object_want_rejects(ZoneRun *run, ZoneTableId id);

/* The listed object of that key, which there is. */
extern ZoneObject *stedi_zone_object_find(ZoneRun *run, ZoneTableId id, const char *key);

/*
 * Objects of a chosen listing are about to be read: strike out what was
 * written down of them, and then write down what was found.  An object that
 * is read again, as it was, stays as it is.
 */
extern void stedi_zone_object_begin(ZoneRun *run, ZoneTableId id, const StediListing *chosen);
extern void stedi_zone_object_write(ZoneRun *run, ZoneTableId id, const StediObject *object,
									const ZoneSketch *sketch);

/* Of which objects the names are asked for. */
typedef enum ZoneNames
{
	ZONE_NAMES_ALL,				/* of all that are written down */
	ZONE_NAMES_GONE,			/* that have changed since, or vanished */
	ZONE_NAMES_KEPT,			/* that have vanished, and whose readings stay */
	ZONE_NAMES_LEFT,			/* of these, since the last run */
	ZONE_NAMES_UNREADABLE,		/* that are listed, and cannot be read */
} ZoneNames;

/*
 * Add the hashes of whom they named (people, devices: NULL: not asked for), as
 * packing left them.  True when one named too many to tell.
 */
extern bool stedi_zone_object_names(ZoneRun *run, ZoneTableId id, ZoneNames which,
									StediHashes *people, StediHashes *devices);

/* Write down which objects are no more, and which are back. */
extern void stedi_zone_object_settle(ZoneRun *run, ZoneTableId id);

/* zone/rows.c */

#define ZONE_ROW_COLUMNS 10

/* The rows of a table, as they are now; columns by name. */
typedef struct ZoneTableRows
{
	const char *const *columns; /* borrowed */
	int			n_columns;
	int			n_eager;		/* of these, what _next sets: all, unless told
								 * otherwise after opening */
	List	   *relids;			/* still to be read */
	struct SnapshotData *snapshot;

	/* the table or partition that is read; NULL: none */
	Relation	relation;
	struct TableScanDescData *scan;
	struct TupleTableSlot *slot;
	int			attno[ZONE_ROW_COLUMNS];
	Oid			types[ZONE_ROW_COLUMNS];
	int			n_attributes;	/* that have to be looked at */

	/* the present row's, good until the next */
	Datum		values[ZONE_ROW_COLUMNS];
	bool		nulls[ZONE_ROW_COLUMNS];
} ZoneTableRows;

extern void stedi_zone_table_open(ZoneTableRows *rows, Oid relid, const char *const *columns,
								  int n_columns);
extern bool stedi_zone_table_next(ZoneTableRows *rows);

/* Set the columns that _next has not. */
extern void stedi_zone_table_rest(ZoneTableRows *rows);
extern void stedi_zone_table_close(ZoneTableRows *rows);

/* Keep values of a row, which may lie outside of it; sets values. */
extern void stedi_zone_table_put(Tuplestorestate *store, TupleDesc tupdesc, Datum *values,
								 bool *nulls);

/* The hash of the e-mail in the present row, which a run that goes on needs; else an error. */
extern uint64 stedi_zone_table_person(const ZoneRun *run, const ZoneTableRows *rows, int column);

/* The hash of a text column of the present row; 0: there is nothing in it. */
extern uint64 stedi_zone_table_hash(const ZoneRun *run, const ZoneTableRows *rows, int column);

/* run/customers.c */

/*
 * Read the customer records and keep the relation "customer_record": all of
 * them; or, in a run that renews, all those that say something of the people
 * in run->affected, which this sets, and of the devices in the relation
 * "verdict".
 */
extern void stedi_zone_customer_read(ZoneRun *run);

/* books/key.c */

typedef struct ZoneHasher ZoneHasher;

/*
 * Hash with HMAC-SHA256.  A hasher belongs to the resource owner, which ends it
 * after an error.
 */
extern ZoneHasher *stedi_zone_key_begin(void);
extern void stedi_zone_key_end(ZoneHasher *hasher);
extern bytea *stedi_zone_key_hash(ZoneHasher *hasher, StediSlice key, StediSlice text);

/* The same of text in the encoding of the database, hashed in UTF-8. */
extern bytea *stedi_zone_key_hash_text(ZoneHasher *hasher, StediSlice key, StediSlice text);

/* What the bookkeeping knows of somebody who is to be forgotten; palloc'd. */
typedef struct ZoneForgotten
{
	bytea	   *who;			/* the keyed hash of the e-mail */
	int64		name;			/* its hash, to look it up */
	bytea	   *proof;			/* the keyed hash of who */
} ZoneForgotten;

/* The same of an e-mail in its normal form, with the run's key. */
extern ZoneForgotten stedi_zone_key_forgotten(const ZoneRun *run, ZoneHasher *hasher, StediSlice email);

/* books/former.c: targets whose e-mails have another form than those of today */

/* Begin to look for people who are forgotten by a former form of their e-mail. */
extern void stedi_zone_former_begin(ZoneRun *run);

/* A record of somebody: the e-mail as it landed, and in its form. */
extern void stedi_zone_former_note(ZoneRun *run, StediSlice landed, const text *email);

/* All records are read: who was met is forgotten by the form of today. */
extern void stedi_zone_former_settle(ZoneRun *run);

/* The same at once, of an e-mail as it was given. */
extern void stedi_zone_former_replace(ZoneRun *run, StediSlice given, const text *email);

/*
 * Keep the relation `name` (email, who): the keyed hashes by which stedi 1.0 knew
 * people.  template: a query of e-mails in their form, and in a spelling.
 */
extern void stedi_zone_former_keep(ZoneRun *run, const char *name, const char *template);

/*
 * A template of a query: how the e-mails in array $1 are spelled in the tables;
 * they themselves among these.  palloc'd.
 */
extern char *stedi_zone_former_spellings(const ZoneRun *run);

/* Bring over the rows that a run which rebuilds leaves in the tables. */
extern void stedi_zone_former_rows(ZoneRun *run);

/* commands/alike.c: e-mails that look alike */

/*
 * The hash of how an e-mail that names somebody looks; and a query for how many
 * rows of a relation %1$s (form, skeleton: such hashes) look like another's, of
 * it or of relation "customer_hash".
 */
extern uint64 stedi_zone_alike_hash(const ZoneRun *run, StediSlice email);
extern const char *const stedi_zone_alike_query;

/* run/changes.c */

/* In a run that rebuilds: before the tables change, when the people are known. */
extern void stedi_zone_change_begin(ZoneRun *run);

/* When they have changed: write the history. */
extern void stedi_zone_change_end(ZoneRun *run);

/* books/history.c */

/*
 * Add to the history, of a query: e-mail, what, object (its number, or NULL),
 * byte offset, rows removed, rows added.  Sets run->head.
 */
extern void stedi_zone_history_write(ZoneRun *run, const char *query);

/* run/affected.c */

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

/* storage/find.c */

/* The keys that a query has (its column key), if they are few; else NULL. */
extern ArrayType *stedi_zone_find_few(const char *query);

/*
 * Keep the relation `name`: rows of a table with their places (part, place,
 * its columns, all_of_key).  All of the keys in the relation `keys` (key), and
 * those of the relation `pairs` (key, time); either may be NULL.
 */
extern void stedi_zone_find(ZoneRun *run, ZoneTableId id, const char *name,
							const char *keys, const char *pairs);

/* storage/statistics.c */

/* Values of rows that go, which the table's statistics hold. */
typedef struct ZoneHeld
{
	bool		unknown;		/* they may hold any */
	List	   *columns;		/* names */
	List	   *values;			/* of each, as text */
} ZoneHeld;

/* What they hold of the rows that relation `gone` (part, place) names. */
extern void stedi_zone_stats_hold(ZoneRun *run, ZoneTableId id, const char *gone, ZoneHeld *held);

/* When the rows have gone: is one of the values nobody else's? */
extern bool stedi_zone_stats_are_stale(ZoneRun *run, ZoneTableId id, const ZoneHeld *held);

/* run/renew.c */

/*
 * Take the rows out of a table that relation `gone` (part, place) names, put
 * those of `come` in (its columns; NULL: none), and report it.
 */
extern void stedi_zone_renew_rows(ZoneRun *run, ZoneTableId id, const char *gone, const char *come);

/* Bring the five tables up to date with what has changed since the last run. */
extern void stedi_zone_renew(ZoneRun *run);

/* zone/session.c */

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

/* zone/landing.c */

/* E-mails or serial numbers, sorted by their bytes. */
typedef struct ZoneKeys
{
	StediSlice *keys;			/* owned */
	int			n;
} ZoneKeys;

/* The values of a query's one column, in the run's context. */
extern ZoneKeys *stedi_zone_record_keys(const ZoneRun *run, const char *template);

/* Which records of a landing table to keep, and what of them. */
typedef struct ZoneRecordWish
{
	bool		rejects;		/* rejects too, with what can be read of them */
	bool		details;		/* places and contents too, for few records */
	bool		places;			/* byte_offset too */
	const ZoneKeys *keys;		/* of these e-mails or devices; NULL: of all */
	const StediListing *listing;	/* of these objects; NULL: of all */
	const int64 *time;			/* of this epoch ms; NULL: of any */
	ResourceOwner owner;		/* whose what is kept is; NULL: the present
								 * one's */
	int		   *reading;		/* set after an error: the number of the
								 * object that was being read; -1: none.  Or
								 * NULL */
} ZoneRecordWish;

/*
 * Keep the records of the landing table that feeds a zone table, as a relation
 * of that name, and the objects as one of that name with _object behind it:
 *
 *	 name			object integer, rejected boolean, the columns that the zone
 *					has of it (times in epoch ms, e-mails in their normal form);
 *					places: byte_offset bigint; details: line, byte_offset, length bigint, reason text (of
 *					a reject), record jsonb; else text, or else bytes
 *	 name_object	object integer, key text, etag text
 *
 * Texts compare byte by byte.  Nothing is warned of, and on_error does not
 * apply.
 */
extern void stedi_zone_record_keep(ZoneRun *run, const char *name, ZoneTableId id,
								   const ZoneRecordWish *wish);

/* run/holders.c */

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

/* commands/audit.c */

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

/* run/withdraw.c */

/*
 * Do the steps.  When a landing object cannot be read, they are undone; who
 * has withdrawn goes all the same, if anybody has: with a WARNING in place of
 * the error.  Not in a dry run, nor where there are no tables.
 */
extern void stedi_zone_withdraw_run(ZoneRun *run, ZoneSteps steps, void *arg);

/* Is the error that a landing object, or a prefix, cannot be read? */
extern bool stedi_zone_withdraw_is_unreadable(const ZoneRun *run, const ErrorData *error);

/* run/uncovered.c */

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

#endif							/* STEDI_ZONE_H */
