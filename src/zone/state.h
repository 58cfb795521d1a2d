/*-------------------------------------------------------------------------
 *
 * state.h
 *		A run: what was asked for, the target, the books, the counts.
 *
 * 	 zone/		the tables and the rules, and statements on them
 * 	 books/		what is kept from run to run
 * 	 storage/	rows into the tables, and out of them
 * 	 readings/	landing readings to rows, in several processes
 * 	 run/		the steps of a run, and of a look that changes nothing
 * 	 commands/	the SQL functions: which steps, in what order
 *
 * doc/architecture.md follows a run through these folders.  All of it runs as
 * the owner of the target tables, in a security-restricted operation, inside
 * one transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_ZONE_STATE_H
#define STEDI_ZONE_STATE_H

#include "consent/consent.h"
#include "zone/condition.h"
#include "zone/source.h"

#include "access/tupdesc.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

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

/* How a table gets its rows. */
typedef enum ZoneMode
{
	ZONE_MODE_FULL,				/* it is new, and filled itself */
	ZONE_MODE_SWAP,				/* new storage takes the place of the old */
	ZONE_MODE_DIFFERENCE,		/* it is changed to be like the new storage */
	ZONE_MODE_RENEW,			/* some people's rows are */
} ZoneMode;

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

typedef struct ZoneLoad ZoneLoad;
typedef struct ZoneCustomers ZoneCustomers;
typedef struct ZoneFormer ZoneFormer;

/* How a line of run->dropping begins, in which it lies behind run->definition. */
#define ZONE_DROPPING "\nexpect "

/* And the line between them, with the number of the form of e-mails; none: 1. */
#define ZONE_FORM "\ne-mails of form "

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
	const char *head;			/* of the history, in hex; NULL: none */
	int64		n_entries;		/* that it has */
	ZoneReport	report[ZONE_N_TABLES];
} ZoneRun;

#endif							/* STEDI_ZONE_STATE_H */
