/*-------------------------------------------------------------------------
 *
 * readings.h
 *		The readings of those who consent -> rows, in several processes.
 *
 * 	 readings/read.c ---> readings/spill.c --> readings/sort.c -> readings/build.c -> storage/heap.c
 * 	 the readings	  by person, in	   by time,		  rows, pairs	  pages
 * 	 that are kept	  partitions	   each once
 * 		|
 * 		+-----------> readings/sketches.c: whom the objects name
 *
 * readings/load.c runs these, in as many processes as the settings give.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_READINGS_H
#define STEDI_READINGS_H

#include "base/progress.h"
#include "zone/zone.h"

#include "port/atomics.h"
#include "storage/buffile.h"
#include "storage/fileset.h"

/* A reading that is kept, between scan and table. */
typedef struct ZoneReading
{
	uint32		member;			/* whose: in the set that it is divided by */
	uint32		nulls;			/* bit i: values[i] is NULL, and 0 */
	TimestampTz time;
	int64		values[FLEXIBLE_ARRAY_MEMBER];	/* bits of x, y, z; the
												 * distance */
} ZoneReading;

#define ZONE_READING_SIZE(n_values) \
	(offsetof(ZoneReading, values) + (n_values) * sizeof(int64))

/* Readings in memory, which grows as they come. */
typedef struct ZoneReadings
{
	char	   *rows;			/* owned */
	Size		room;
	Size		row_size;
	uint64		n_rows;
} ZoneReadings;

/* load.c */

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

/* What one process leaves behind. */
typedef struct ZoneLoadProcess
{
	uint32		n_chunks;		/* read: in its file */
	uint64		n_unchanged;	/* read: records passed over, of people whose
								 * rows stay */
	uint64		n_unexpected[ZONE_N_BUILDS];	/* left out; of readings: when
												 * they are read */
	uint64		n_older_rows[ZONE_N_BUILDS];	/* built: of readings, those
												 * older than the consent */
	uint64		n_older;		/* read: of both, those older than the consent */
	uint64		n_rows[ZONE_N_BUILDS];
	uint64		us[ZONE_N_BUILDS];	/* time spent on each */
} ZoneLoadProcess;

typedef struct ZoneLoadShared
{
	bool		building;		/* the second phase */
	ZoneStream	stream;			/* read: which */
	Oid			landing;		/* read: the foreign table */
	Oid			storage[ZONE_N_BUILDS]; /* build: or InvalidOid */
	FileSet		fileset;
	uint32		n_members;		/* by which readings are divided */
	int			n_partitions;
	uint32		n_files[ZONE_N_STREAMS];	/* 0: not read */
	uint32		n_chunks[ZONE_N_STREAMS][ZONE_MAX_PROCESSES];
	pg_atomic_uint32 next_partition;
	StediProgress progress;		/* build */
	ZoneLoadProcess processes[ZONE_MAX_PROCESSES];
} ZoneLoadShared;

/* The pieces that processes share, also their keys in shared memory. */
enum
{
	ZONE_PIECE_SHARED,			/* ZoneLoadShared */
	ZONE_PIECE_SCAN,			/* StediScanShared; read */
	ZONE_PIECE_SET,				/* read: the consent set of the stream */
	ZONE_PIECE_PEOPLE,			/* build: the set that members are of */
	ZONE_PIECE_DEVICES,			/* build: the set of devices; none: no step
								 * readings */
	ZONE_PIECE_HOLDER,			/* read: uint32, device -> member; none: the
								 * same */
	ZONE_PIECE_SEEN,			/* read: bool, member -> has readings; or none */
	ZONE_PIECE_ANEW,			/* read: bool, member -> wanted of objects
								 * that are read again, too; none: all are */
	ZONE_PIECE_ROWS,			/* build: uint32, member -> rows of all tables */
	ZONE_PIECE_DEVICE_OF,		/* build: uint32, member -> device; none: the
								 * same */
	ZONE_PIECE_EXPECTATIONS,	/* ZoneExpectations; or none */
	ZONE_N_PIECES
};

typedef struct ZoneProcess
{
	void	   *pieces[ZONE_N_PIECES];	/* NULL: none */
	Size		sizes[ZONE_N_PIECES];	/* the leader's */
	int			number;			/* 0: the leader */
} ZoneProcess;

/* The file of a process's long rows of a table. */
#define ZONE_LONG_NAME "long.%d.%d"

/* read.c */

/* A landing table while it is read. */
typedef struct ZoneReader
{
	Relation	relation;
	StediScan  *scan;
	StediTest	test;
	int			time_attno;
	int			value_attno[3];
} ZoneReader;

/* Open the landing table of a stream. */
extern void stedi_zone_read_open(ZoneReader *reader, const ZoneProcess *process,
								 ZoneStream stream, Oid landing);

/* Spill the readings that are kept, of the objects that this process draws. */
extern void stedi_zone_read_stream(ZoneReader *reader, ZoneProcess *process);
extern void stedi_zone_read_close(ZoneReader *reader);

/* sketches.c */

typedef struct ZoneNamesFile ZoneNamesFile;

/* Begin the file of a process, in the current context. */
extern ZoneNamesFile *stedi_zone_names_create(FileSet *fileset, ZoneStream stream, int process);

/* Add what an object's records name: a StediSketchDone. */
extern void stedi_zone_names_add(void *file, const StediObject *object, int number,
								 const StediSketch *sketch);
extern void stedi_zone_names_finish(ZoneNamesFile *file);

/* For the leader: write all objects of the listing down, which holds their counts. */
extern void stedi_zone_names_write(ZoneRun *run, ZoneTableId id, FileSet *fileset,
								   ZoneStream stream, int n_files, const StediListing *listing);

/* spill.c */

typedef struct ZoneSpill ZoneSpill;

/* Begin the file of a process, in the current context. */
extern ZoneSpill *stedi_zone_spill_create(FileSet *fileset, const char *stream, int process,
										  int n_partitions, Size row_size);

/* Room for one more reading; to be filled in before the next call. */
extern ZoneReading *stedi_zone_spill_add(ZoneSpill *spill, int partition);

/* End the file; how many chunks it has, which who reads it must know. */
extern uint32 stedi_zone_spill_finish(ZoneSpill *spill);

/* Open the files of all processes, in the current context. */
extern ZoneSpill *stedi_zone_spill_open(FileSet *fileset, const char *stream, int n_files,
										const uint32 *n_chunks, int n_partitions,
										Size row_size);

/* Bytes that so many chunks take. */
extern uint64 stedi_zone_spill_size(uint64 n_chunks);

/* Bytes that a partition's readings take, at most. */
extern uint64 stedi_zone_spill_bound(const ZoneSpill *spill, int partition);

/*
 * Read a partition, or of n_passes parts of it the one that this pass takes:
 * readings of one time are in one part.
 */
extern void stedi_zone_spill_read(const ZoneSpill *spill, int partition,
								  int pass, int n_passes, ZoneReadings *readings);
extern void stedi_zone_spill_close(ZoneSpill *spill);

/* sort.c */

/* Readings by member, each member's sorted by time, duplicates left out. */
typedef struct ZoneSorted
{
	ZoneReadings readings;
	uint32		first_member;
	uint32		n_members;
	ZoneReading **order;		/* owned */
	uint64		order_room;
	uint64	   *starts;			/* of member - first_member, in order */
	uint64	   *ends;			/* likewise; behind it are its duplicates */
	uint32		members_room;
} ZoneSorted;

/* Sort the readings of these members. */
extern void stedi_zone_sort(ZoneSorted *sorted, uint32 first_member, uint32 n_members);

/* A member's key, as a text to be freed. */
extern Datum stedi_zone_member_key(const StediConsentSet *set, uint32 member);

/* build.c */

/* Write the tables' rows of the partitions that this process draws. */
extern void stedi_zone_build_tables(ZoneProcess *process);

#endif							/* STEDI_READINGS_H */
