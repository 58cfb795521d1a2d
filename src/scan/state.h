/*-------------------------------------------------------------------------
 *
 * state.h
 *		What the files of a scan share: its state.
 *
 *	 share.c		what several processes of a scan share
 *	 reject.c		what becomes of records that are set aside
 *	 source.c		objects to bytes
 *	 parallel.c		one scan in several processes
 *	 records.c		bytes to records
 *	 scan.c			records to rows
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_SCAN_STATE_H
#define STEDI_SCAN_STATE_H

#include "scan/scan.h"

/*
 * Records that are decoded ahead of the present one, where consent is asked
 * for: while they are, the memory that their probes of the set need is on its
 * way.  Enough for that, and few enough to stay in the L1 cache.
 */
#define STEDI_SCAN_AHEAD 32

/* A step of the decoder: a record, or what came instead. */
typedef struct StediScanStep
{
	StediFrameStatus status;
	bool		decoded;		/* RECORD: fields are those of the record */
	StediSlice	record;
	uint64		line;
	uint64		offset;
	uint64		hash;			/* of whom it names; see filter.c */
	StediField *fields;
} StediScanStep;

struct StediScan
{
	/* whole scan: in scan_cxt, set once by stedi_scan_open */
	MemoryContext scan_cxt;
	MemoryContext object_cxt;	/* reset by scan_close_object */
	MemoryContext record_cxt;	/* values; reset by scan_begin_record */
	MemoryContext prune_cxt;	/* reset for each object; NULL: none is pruned */
	StediOptions *opts;
	Oid			userid;
	int			flags;
	TupleDesc	tupdesc;		/* borrowed */
	StediTuple *tuple;
	StediJudge *judge;			/* NULL: none */
	StediTest  *tests;			/* borrowed */
	int			n_tests;
	int			n_record_tests; /* of these, not by_object */
	bool		converts;		/* some column is wanted */
	StediSketch *sketch;		/* of the present object; NULL: not drawn */
	StediSketchDone sketch_done;
	void	   *sketch_arg;
	StediListing *listing;		/* a copy; NULL until it is needed */
	uint64		most_records;	/* read of each object; 0: all */
	uint64		most_bytes;		/* likewise, decompressed */
	bool		started;		/* a row was asked for */
	bool		rescanned;		/* and rows from the start again, by whichever
								 * process */
	StediFetch *fetch;			/* NULL: a local folder, or not started */

	/* with other processes: set by stedi_scan_share or _join */
	StediScanShared *shared;	/* borrowed; NULL: we are alone */
	bool		worker;			/* another process leads */
	bool		contributed;	/* to shared's sums */
	bool		over;			/* the rest is not wanted */

	/* for others to see */
	StediProgress alone;		/* of a scan that is not shared */
	StediProgress *progress;	/* that, or shared's; NULL: not reading */

	/* the bytes of the present object */
	int			next_object;	/* of the listing, when we are alone */
	List	   *ahead;			/* of StediObject: handed to fetch.c, not yet
								 * read */
	StediObject *object;		/* NULL: none is open */
	StediLocal *local;
	char	   *buffer;
	Size		buffer_room;
	Size		buffer_pos;		/* consumed */
	Size		buffer_len;		/* filled */
	bool		source_ended;	/* no more stored bytes */
	bool		bytes_ended;	/* no more decompressed bytes */
	bool		damaged;		/* and that was not their end */
	char	   *packed;			/* stored bytes of a compressed object */
	Size		packed_pos;
	Size		packed_len;
	uint64		n_packed;		/* of these, used so far */
	uint64		n_inflated;		/* bytes that came of them */
	StediFramer framer;

	/* the present record */
	StediDecoder decoder;
	StediScanStep steps[STEDI_SCAN_AHEAD];	/* those but the last are plain
											 * records */
	int			n_steps;
	int			next_step;
	StediField *fields;			/* of the present step */
	bool		decoded;		/* and they are right */
	StediPlace	place;
	StediSlice	record;
	Datum	   *values;			/* those that are done */
	bool	   *nulls;
	StediReject reject;

	/* counts */
	StediScanStats stats;
	uint64		list_requests;
	uint64		others_requests;	/* of processes that shared the scan */
	uint64		warned_rejects; /* of the passes before a rescan */

	/* made by other libraries: freed by scan_release, whatever happens */
	StediInflate *inflate;
	MemoryContextCallback release;
};

/* share.c: what lies in shared memory; only _init and _listing may throw */

/* The bytes that a listing takes. */
extern Size stedi_share_size(const StediListing *listing);
extern void stedi_share_init(StediScanShared *shared, const StediListing *listing,
							 int n_processes, bool rescanned);

/* Nothing is drawn yet; objects read, bytes and requests stay counted. */
extern void stedi_share_restart(StediScanShared *shared);

/* The listing, in the current context; its strings are shared's. */
extern StediListing *stedi_share_listing(StediScanShared *shared);

/* Add a process's figures, and those of the objects that it has drawn. */
extern void stedi_share_add(StediScanShared *shared, const StediScanStats *stats,
							const StediListing *listing);

/* The figures of all. */
extern void stedi_share_sum(StediScanShared *shared, StediScanStats *stats,
							StediListing *listing);

/* The leader wants no more. */
extern void stedi_share_end(StediScanShared *shared);
extern uint64 stedi_share_rejected(StediScanShared *shared);
extern bool stedi_share_is_rescanned(const StediScanShared *shared);
extern StediProgress *stedi_share_progress(StediScanShared *shared);

/* The number of an object that no process has drawn; n_objects when there is none. */
extern int	stedi_scan_draw(StediScan *scan);

/* Count a reject; how many all processes have. */
extern uint64 stedi_scan_share_reject(StediScan *scan);

/* Does the leader want no more?  arg is a worker's scan. */
extern bool stedi_scan_is_over(void *arg);

/* How many processes may take part. */
extern int	stedi_scan_processes(const StediScan *scan);

/* Add what is known of times of another unit. */
extern void stedi_scan_add_other_unit(StediScanStats *sum, const StediScanStats *stats);

/* reject.c */

/* Count the reject; an error where the table's options say so. */
extern void stedi_scan_count_reject(StediScan *scan);

/* Warn of what was set aside, if anything was. */
extern void stedi_scan_warn(StediScan *scan);

/* source.c */

/* List the objects, unless that is done. */
extern void stedi_scan_list(StediScan *scan);

/*
 * Tell others of the reading that begins, which is counted there; and of its
 * end, for this process, if that was not told before: never throws.
 */
extern void stedi_scan_start_progress(StediScan *scan, StediProgress *progress);
extern void stedi_scan_stop_progress(StediScan *scan);

/* Open the next object; false when there is none. */
extern bool stedi_scan_next_object(StediScan *scan);

/* The present object is read to its end, or given up; what it had is read no further. */
extern void stedi_scan_close_object(StediScan *scan);

/*
 * Get more bytes behind those that are left.  False when the record in
 * progress fills the largest buffer that we allow.
 */
extern bool stedi_scan_fill(StediScan *scan);

/* records.c */

/* Note why the present record, or stretch of bytes, is set aside. */
extern void stedi_scan_note_reject(StediScan *scan, StediReason reason, const char *column);

/*
 * Find the next record, over the ends of objects.  ROW: it is in
 * scan->record, and decoded if it is plain; REJECT: bytes that are none, see
 * scan->reject.
 */
extern StediScanResult stedi_scan_next_record(StediScan *scan);

#endif							/* STEDI_SCAN_STATE_H */
