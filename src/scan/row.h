/*-------------------------------------------------------------------------
 *
 * row.h
 *		A record -> a row: which are kept, and as what.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_SCAN_ROW_H
#define STEDI_SCAN_ROW_H

#include "base/base.h"
#include "consent/consent.h"
#include "s3/s3.h"

/* tuple.c */

typedef struct StediTuple StediTuple;

/* Where a record is: what virtual columns show. */
typedef struct StediPlace
{
	const StediObject *object;
	uint64		line;			/* from 1 */
	uint64		offset;			/* from 0, in decompressed bytes */
} StediPlace;

/*
 * A converter of fields to the columns of opts' table (or of no table), of
 * which wanted[attno] says whether they are used.  In the current context; an
 * error when a wanted column has a type that no record can fill.  opts must
 * live as long.
 */
extern StediTuple *stedi_tuple_open(const StediOptions *opts, TupleDesc tupdesc, const bool *wanted);

/*
 * Is the field missing or null for the column?  A string of option "null_values"
 * is, unless the column is text: of two columns that read one key, each decides.
 */
extern bool stedi_tuple_is_null(const StediTuple *tuple, int attno, const StediField *field);

/*
 * How a bigint column of the zone's times is read; NULL: as a number that is
 * its epoch ms.
 */
extern const StediClock *stedi_tuple_clock(const StediTuple *tuple, int attno);

/* The keys that its columns read, for the decoder; field i goes with keys[i]. */
extern const StediSlice *stedi_tuple_keys(const StediTuple *tuple, int *n_keys);

/* The field of a column (0-based attribute), or -1 for a virtual one. */
extern int	stedi_tuple_field(const StediTuple *tuple, int attno);

/* How many columns are wanted. */
extern int	stedi_tuple_n_wanted(const StediTuple *tuple);

/* Does a text column show the bytes of its field, whatever they are? */
extern bool stedi_tuple_takes_bytes(const StediTuple *tuple, int attno);

/*
 * The next record: each column is converted once of it, by either of the two
 * functions below.  Never throws.
 */
extern void stedi_tuple_begin(StediTuple *tuple);

/*
 * Convert one wanted column; NONE, or why the value does not fit, and it is
 * NULL.  By-reference values are in the current context or the tuple's own,
 * good until the next record.
 */
extern StediReason stedi_tuple_column(StediTuple *tuple, int attno,
									  const StediField *fields,
									  const StediPlace *place,
									  Datum *values, bool *nulls);

/*
 * Convert the wanted columns up to the first that does not fit: then why, and
 * *attno; another call goes on behind it.
 */
extern StediReason stedi_tuple_columns(StediTuple *tuple, const StediField *fields,
									   const StediPlace *place,
									   Datum *values, bool *nulls, int *attno);

/* required.c */

typedef struct StediJudge StediJudge;

/*
 * What the zone cannot do without, by the name of the landing table; in the
 * current context.  A table of another name has no such rules.
 */
extern StediJudge *stedi_judge_open(const StediOptions *opts, TupleDesc tupdesc,
									const StediTuple *tuple);

/* After OTHER_UNIT: which. */
extern StediTimeUnit stedi_judge_other_unit(const StediJudge *judge);

/*
 * A rejected record's lastUpdateDate may be of another unit: then it is older
 * than what is newer than all that it may mean.  Sets *updated to the latest of
 * these; false: it is no time in any unit, as if it could not be read.
 */
extern bool stedi_judge_latest(Datum *updated, StediTimeUnit unit);

/* NONE, or why the zone cannot use the record and *attno, for want of what. */
extern StediReason stedi_judge_record(StediJudge *judge,
									  const StediField *fields, int *attno);

/* filter.c */

/* How planner and executor speak of a pushed-down test. */
typedef enum StediTestKind
{
	STEDI_TEST_COMPARE,			/* column op value */
	STEDI_TEST_ANY,				/* column op ANY (array) */
	STEDI_TEST_NULL,			/* column IS NULL */
	STEDI_TEST_NOT_NULL,		/* column IS NOT NULL */
	STEDI_TEST_CONSENT,			/* stedi.consents(set, who, time) */
} StediTestKind;

typedef struct StediTest
{
	StediTestKind kind;
	bool		by_object;		/* of the column that shows the object: see
								 * prune.c */
	int			attno;			/* 0-based; CONSENT: who */
	int			time_attno;		/* CONSENT */

	/* COMPARE, ANY */
	FmgrInfo	function;
	Oid			collation;
	bool		column_first;	/* column op value, or value op column */

	/* the value, set by stedi_filter_set_value before the first record */
	bool		isnull;
	Datum	   *values;			/* COMPARE: one; ANY: the array's elements */
	bool	   *nulls;
	int			n_values;
	StediSlice *texts;			/* the values, when bytes decide; else NULL */
	const StediConsentSet *set; /* CONSENT */

	/* where it looks, set by stedi_scan_set_tests */
	int			field;			/* of attno; -1: no bytes decide */
	int			time_field;		/* CONSENT */
	const StediClock *clock;	/* CONSENT: stedi_tuple_clock */

	/*
	 * CONSENT: whom the last record named, as it was written; found: who is
	 * the set's member at place
	 */
	uint64		hash;			/* set before each record; 0: not known */
	int64		time;			/* of the reading, epoch ms */
	uint64		who_hash;
	uint32		place;
	bool		found;
	uint8		who_len;		/* 0: not kept */
	char		who[64];
} StediTest;

/* Give a test its value, copied into the current context. */
extern void stedi_filter_set_value(StediTest *test, Oid type, Datum value, bool isnull);

/* Does the test keep this value?  Not for CONSENT. */
extern bool stedi_filter_keeps(StediTest *test, Datum value, bool isnull);

/*
 * The same for = and <> of text on the undecoded field, where the value is
 * text whose bytes are those of the field: false when it is not certain what
 * the column says.  Never throws.
 */
extern bool stedi_filter_decides(const StediTest *test, const StediField *field,
								 bool *keeps);

/*
 * For records that come soon: what stedi_consent_hash and _fetch are for.
 * Never throw.
 */
extern uint64 stedi_filter_hash(const StediTest *test, const StediField *who);
extern void stedi_filter_fetch(const StediTest *test, uint64 hash);

/*
 * The consent test on the fields of who and when, undecoded: nothing of a
 * record that it drops becomes a Datum.  It leaves the hash of whom the record
 * names (0: nobody) and its time in the test.
 */
extern StediStanding stedi_filter_consent(StediTest *test,
										  const StediField *who,
										  const StediField *reading_time,
										  bool *older);

/* prune.c */

/* Do the tests on the object keep it?  In the current context. */
extern bool stedi_prune_keeps(StediTest *tests, int n_tests, const StediObject *object);

/* How many of a listing they keep, and the bytes of these. */
extern void stedi_prune_count(const StediListing *listing, StediTest *tests, int n_tests,
							  int *n_objects, double *bytes);

#endif							/* STEDI_SCAN_ROW_H */
