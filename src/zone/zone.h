/*-------------------------------------------------------------------------
 *
 * zone.h
 *		The target of a run, and statements on it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_ZONE_H
#define STEDI_ZONE_H

#include "zone/state.h"

/* settings.c */

/* Settings by which queries mean what they say, until the nest level ends. */
extern void stedi_zone_pin_settings(void);

/* sql.c */

/*
 * Fill in a template: {target} and {landing} the schemas, {now} epoch ms,
 * {books} the schema of the bookkeeping; {since_rule}, {match_time} and
 * {cascades} true or false; {of_affected} and {of_verdict} the conditions that
 * people and devices (w) meet that the run looks at; {customer_trusted} and so
 * on the tables as they are to be read in this run; {customer_landing} the name
 * of that table as a literal; {person_set} and {device_set} the consent sets.
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

/* The name of one of the five tables, likewise; it need not exist.  Palloc'd. */
extern const char *stedi_zone_query_table(const ZoneRun *run, ZoneTableId id);

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

/* The same of the query that a template makes. */
extern void stedi_zone_query_keep_template(ZoneRun *run, const char *name, const char *template);

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

/* hold.c */

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

/*
 * Lock a table, and see that it belongs to the owner given: its OID, or
 * InvalidOid when it is not there, as when it was dropped while we waited for
 * the lock.
 */
extern Oid	stedi_zone_lock_table(const ZoneRun *run, const char *schema, const char *name,
								  Oid owner, LOCKMODE mode);

/* The owner of a table; an error when it is something else. */
extern Oid	stedi_zone_table_owner(const ZoneRun *run, Oid relid, const char *name);

/* An error unless a table belongs to that role. */
extern void stedi_zone_check_owner(const ZoneRun *run, Oid relid, const char *schema,
								   const char *name, Oid owner);

/* vanished.c */

/* Does the run leave readings of vanished objects of this source where they are? */
extern bool stedi_zone_keeps_vanished(const ZoneRun *run, ZoneTableId id);

/* And are there any such objects? */
extern bool stedi_zone_keeps_rows(const ZoneRun *run);

/* rows.c */

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

/* report.c */

extern void stedi_zone_report_begin(ZoneRun *run);

/* A row of stedi.report, without elapsed. */
extern void stedi_zone_report_values(const ZoneRun *run, ZoneTableId id, Datum *values,
									 bool *nulls);
extern void stedi_zone_report_add(StediScanStats *sum, const StediScanStats *stats);
extern void stedi_zone_report_put(ReturnSetInfo *rsinfo, const ZoneRun *run, ZoneTableId id);

/* What the scan of the landing table found, in the words of the report. */
extern void stedi_zone_table_report_readings(ZoneRun *run, ZoneTableId id);

extern void stedi_zone_table_report_customers(ZoneRun *run);

/*
 * Say how many of the rows that the run has made are older than their
 * customer's consent: report->older, or counted among those of a relation
 * (a template), unless that is NULL.
 */
extern void stedi_zone_table_report_older(ZoneRun *run, ZoneTableId id, const char *rows);

/* Say how many rows stay whose objects have vanished. */
extern void stedi_zone_table_report_kept(ZoneTableId id, int64 n_rows);

/* landing.c */

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
 *					places: byte_offset bigint; details: line, byte_offset,
 *					length bigint, reason text (of a reject), record jsonb;
 *					else text, or else bytes
 *	 name_object	object integer, key text, etag text
 *
 * Texts compare byte by byte.  Nothing is warned of, and on_error does not
 * apply.
 */
extern void stedi_zone_record_keep(ZoneRun *run, const char *name, ZoneTableId id,
								   const ZoneRecordWish *wish);

#endif							/* STEDI_ZONE_H */
