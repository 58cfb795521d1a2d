/*-------------------------------------------------------------------------
 *
 * fdw.h
 *		What the planner, ANALYZE and IMPORT see of a landing zone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_FDW_H
#define STEDI_FDW_H

#include "scan/scan.h"

#include "nodes/pathnodes.h"

/* plan.c */

struct ForeignScan;

/* Does the scan decide all clauses on a foreign table of ours? */
extern bool stedi_plan_decides_all(const RelOptInfo *baserel);

/* A path that reads the objects with that many workers; 0: with none. */
extern ForeignPath *stedi_plan_make_path(PlannerInfo *root, RelOptInfo *baserel,
										 int n_workers);

/*
 * The tests that the planner put into a plan, in the current context, and
 * the columns that it reads: wanted[natts] is set.  The values of the tests
 * come from the plan's fdw_exprs: value_of[i] is the index there, or -1.
 */
extern StediTest *stedi_plan_get_tests(const struct ForeignScan *plan, int natts,
									   bool *wanted, int *n_tests, int **value_of);

/* Is the plan's qual of that number one on the object? */
extern bool stedi_plan_is_object_qual(const struct ForeignScan *plan, int number);

extern void stediGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel,
								   Oid foreigntableid);
extern void stediGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel,
								 Oid foreigntableid);

/* The plan of a path that reads rows. */
extern struct ForeignScan *stedi_plan_make(RelOptInfo *baserel, Oid foreigntableid,
										   List *tlist, List *scan_clauses,
										   Plan *outer_plan);

/* count.c */

/*
 * The plan of a path that counts, from outer_plan, which scans what is
 * counted.  stedi_plan_counts tells it from others.
 */
extern struct ForeignScan *stedi_plan_count(ForeignPath *best_path, List *tlist,
											Plan *outer_plan);
extern bool stedi_plan_counts(const struct ForeignScan *plan);

extern void stediGetForeignUpperPaths(PlannerInfo *root, UpperRelationKind stage,
									  RelOptInfo *input_rel, RelOptInfo *output_rel,
									  void *extra);

/* import.c */

/* The CREATE FOREIGN TABLE of each of them, with the options of the import. */
extern List *stedi_import_landing(List *given, const char *server_name);

/* analyze.c */

/* An AcquireSampleRowsFunc: a sample whose values are pseudonyms. */
extern int	stedi_analyze_sample(Relation relation, int elevel, HeapTuple *rows,
								 int targrows, double *totalrows,
								 double *totaldeadrows);

/* sample.c */

typedef enum StediJsonType
{
	STEDI_JSON_NULL,
	STEDI_JSON_BOOLEAN,
	STEDI_JSON_INTEGER,			/* a number without point and exponent */
	STEDI_JSON_NUMBER,
	STEDI_JSON_STRING,
	STEDI_JSON_OBJECT,
	STEDI_JSON_ARRAY,
	STEDI_N_JSON_TYPES
} StediJsonType;

/* A key of some sampled records; letters in either case are the same. */
typedef struct StediSampledKey
{
	const char *text;			/* in UTF-8, as it was first written */
	bool		is_text;		/* else no column can read it */
	bool		many_cases;		/* it is written in other cases, too */
	bool		two_values;		/* some record has it twice, with other values */
	bool		no_text;		/* some string of it is no text */
	int64		n_records;		/* that have it */
	int64		counts[STEDI_N_JSON_TYPES]; /* of these, by the type of its
											 * (first) value */
	Oid			type;			/* reads all of them; InvalidOid: none does */
	const char *column;			/* infer.c: its name; NULL: there is none */
} StediSampledKey;

typedef struct StediSample
{
	StediSampledKey **keys;		/* in the order of their first appearance */
	int			n_keys;
	int64		n_records;
	int64		n_rejected;		/* more that could not be read */
	int64		n_left_out;		/* members of too many, or too long, keys */
	int			n_objects;		/* that were read, in part at least */
	int			n_whole;		/* to their end */
	int			n_listed;
} StediSample;

/*
 * Sample objects of a listing that opts made, as the current user.  In the
 * current context.
 */
extern StediSample *stedi_sample_read(const StediOptions *opts, const StediListing *listing);

/* infer.c */

/* A folder below a server's url, and the table that it would be. */
typedef struct StediFolder
{
	const char *table;			/* its name */
	const char *prefix;			/* NULL: all under the url */
	const StediOptions *opts;	/* of the table */
	StediListing *listing;
} StediFolder;

/* List of StediFolder, in the current context.  Warns of what no table can read. */
extern List *stedi_infer_folders(Oid serverid);

/* The CREATE FOREIGN TABLE of one; NULL, and a warning, when nothing there can be read. */
extern char *stedi_infer_table(const StediFolder *folder, const char *server_name);

#endif							/* STEDI_FDW_H */
