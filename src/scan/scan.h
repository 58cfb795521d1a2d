/*-------------------------------------------------------------------------
 *
 * scan.h
 *		Read the objects under a prefix as rows.
 *
 * 	 list.c ---> fetch.c  --> inflate.c -> frame.c --> decode.c -> filter.c -> tuple.c
 * 	 objects	 local.c	  bytes		   records	   fields	   kept?	   values
 * 				 bytes
 *
 * Data moves down this line only.  scan.c joins the stages; fdw.c, ANALYZE and
 * the zone functions all read through stedi_scan_next().
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_SCAN_H
#define STEDI_SCAN_H

#include "scan/row.h"

/* scan.c */

typedef struct StediScan StediScan;

typedef enum StediScanResult
{
	STEDI_SCAN_END,
	STEDI_SCAN_ROW,
	STEDI_SCAN_REJECT,			/* only with STEDI_SCAN_GIVE_REJECTS */
} StediScanResult;

/* flags of stedi_scan_open */
#define STEDI_SCAN_JUDGE		0x01	/* judge all columns, by the zone's
										 * rules */
#define STEDI_SCAN_GIVE_REJECTS 0x02	/* return rejects, too */
#define STEDI_SCAN_WARN			0x04	/* and do with them as the table's
										 * options say all the same */

/*
 * What a scan did.  For every record framed:
 * records = returned + filtered + unconsented + rejected.
 */
typedef struct StediScanStats
{
	uint64		objects_listed;
	uint64		objects_skipped;
	uint64		objects_pruned; /* for a clause on the object */
	uint64		objects_read;
	uint64		bytes;
	uint64		requests;
	uint64		records;
	uint64		returned;
	uint64		filtered;
	uint64		rejected;
	uint64		standings[STEDI_N_STANDINGS];	/* what the consent test said */
	uint64		older;			/* of those granted: older than the consent */
	uint64		n_other_unit;	/* rejects for a time of another unit */
	int			other_units;	/* bits: which */
	int			other_object;	/* the first of them: object's number */
	uint64		other_offset;	/* and byte offset */
	bool		finished;		/* read to the end of the last object */
} StediScanStats;

/* What is known of a rejected record; borrowed until the next call. */
typedef struct StediReject
{
	StediPlace	place;
	StediReason reason;
	const char *column;			/* NULL: the record as a whole */
	StediSlice	record;
} StediReject;

/*
 * Read the foreign table relid as userid.  wanted[natts] says which columns
 * are used.  Lives in a child of the current context.
 */
extern StediScan *stedi_scan_open(Oid relid, Oid userid, TupleDesc tupdesc,
								  const bool *wanted, int flags);

/*
 * Read the records under opts->prefix for their bytes (stedi_scan_record), as
 * no table's: it has no columns, and gives rejects.
 */
extern StediScan *stedi_scan_open_records(const StediOptions *opts, Oid userid);

/* Begin to read no further record of an object behind so many records or bytes. */
extern void stedi_scan_set_most(StediScan *scan, uint64 n_records, uint64 n_bytes);
extern void stedi_scan_set_tests(StediScan *scan, StediTest *tests, int n_tests);

/* Read these objects, in place of all; before anything is read.  Copied. */
extern void stedi_scan_set_listing(StediScan *scan, const StediListing *listing);

/*
 * Draw a sketch of each object, of the records that come to the consent test,
 * which there is; done is called when the object has been read to its end,
 * with its number in the listing.
 */
typedef void (*StediSketchDone) (void *arg, const StediObject *object, int number,
								 const StediSketch *sketch);

extern void stedi_scan_set_sketch(StediScan *scan, StediSketchDone done, void *arg);

/*
 * Store the next kept row in values/nulls.  By-reference values are good
 * until the next call.
 */
extern StediScanResult stedi_scan_next(StediScan *scan, Datum *values, bool *nulls);

/*
 * How many times stedi_scan_next would say ROW until it says END; values and
 * nulls are room for what the tests read.  Not with STEDI_SCAN_GIVE_REJECTS.
 */
extern uint64 stedi_scan_count(StediScan *scan, Datum *values, bool *nulls);

/* Where the present record is; borrowed until the next call. */
extern const StediPlace *stedi_scan_place(const StediScan *scan);

/* The number of the object that is being read, in the listing; -1: none. */
extern int	stedi_scan_object(const StediScan *scan);

/* Its bytes, as decompressed; borrowed likewise. */
extern StediSlice stedi_scan_record(const StediScan *scan);

/* After STEDI_SCAN_REJECT, when values/nulls hold what could be read. */
extern const StediReject *stedi_scan_reject(const StediScan *scan);

extern void stedi_scan_rescan(StediScan *scan);
extern void stedi_scan_close(StediScan *scan);
extern const StediScanStats *stedi_scan_stats(const StediScan *scan);
extern const StediListing *stedi_scan_listing(const StediScan *scan);

/*
 * A scan in several processes; what they share lies in dynamic shared memory.
 * They draw objects from one listing, the leader's, and an S3 scan's
 * connections are divided among them.  reject_limit holds for all together;
 * only the leader warns of rejects.
 */
typedef struct StediScanShared StediScanShared;

/* Bytes that it takes; lists the objects, unless that is done. */
extern Size stedi_scan_shared_size(StediScan *scan);

/*
 * Fill it in from the leader's scan, which takes part: n_processes at most do,
 * the leader included.  A scan that has begun starts over.
 */
extern void stedi_scan_share(StediScan *scan, StediScanShared *shared, int n_processes);

/* By the leader, while nobody else takes part: begin once more. */
extern void stedi_scan_share_again(StediScan *scan);

/*
 * Take part: before the first stedi_scan_next, in a scan of the same table,
 * columns and flags.  shared outlives the scan.
 */
extern void stedi_scan_join(StediScan *scan, StediScanShared *shared);

/*
 * By the leader: whatever the others have not returned yet is not wanted.  A
 * worker would else wait on for bytes, and the leader for the worker.  Never
 * throws.
 */
extern void stedi_scan_end_share(StediScan *scan);

/* Add the figures of this process to those of the others, once.  Never throws. */
extern void stedi_scan_contribute(StediScan *scan);

/*
 * When the others have ended: the leader, who contributes now if not before,
 * takes the sum of all as its own stats and listing, and is alone from here
 * on.  Never throws.
 */
extern void stedi_scan_collect(StediScan *scan);

/* Why, in words; palloc'd.  Quotes no value. */
extern char *stedi_scan_reason(const StediReject *reject);

/* May the rejected bytes hold other records than the one they began with? */
extern bool stedi_scan_may_hide(const StediReject *reject);

#endif							/* STEDI_SCAN_H */
