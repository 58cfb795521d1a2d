/*-------------------------------------------------------------------------
 *
 * build.c
 *		The readings of a partition to rows of the zone tables.
 *
 * A person's movements and step readings are in one partition, both sorted by
 * time: a pass along the two finds the pairs.
 *
 *-------------------------------------------------------------------------
 */
#include "storage/storage.h"
#include "readings/readings.h"

#include "access/table.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* Readings that a process holds; a larger partition is built in parts. */
#define BUILD_MEMORY (UINT64CONST(64) * 1024 * 1024)

/* The first member of a partition, or of those behind the last. */
static inline uint32
first_of(int partition, uint32 n_members, int n_partitions)
{
	return (uint32) (((uint64) partition * n_members + n_partitions - 1) / n_partitions);
}

/* A table while it is built: where its rows go, and what they are made of. */
typedef struct Builder
{
	Relation	relation;		/* NULL: it is not built */
	ZoneHeap   *heap;
	ZoneSieve  *sieve;			/* of pairs that are dropped; or NULL */
	uint64		n_unexpected;	/* these */
	uint64		n_older;		/* rows older than their customer's consent */
	Datum		values[6];		/* of the zone table's columns */
	bool		nulls[6];
} Builder;

static void
open_builder(Builder *builder, ZoneProcess *process, int which)
{
	ZoneLoadShared *shared = process->pieces[ZONE_PIECE_SHARED];
	char		long_name[NAMEDATALEN];

	memset(builder, 0, sizeof(*builder));
	if (!OidIsValid(shared->storage[which]))
		return;
	builder->relation = table_open(shared->storage[which], RowExclusiveLock);
	snprintf(long_name, sizeof(long_name), ZONE_LONG_NAME, which, process->number);
	builder->heap = stedi_zone_heap_open(builder->relation, &shared->fileset, long_name);

	/* readings that are dropped have not come so far */
	if (which == ZONE_BUILD_PAIRS)
		builder->sieve = stedi_zone_sieve_open(process->pieces[ZONE_PIECE_EXPECTATIONS],
											   stedi_zone_load_tables[which],
											   ZONE_ACTIONS(ZONE_ACTION_DROP), process->number);
}

static inline void
set_column(Builder *builder, int column, Datum value, bool isnull)
{
	builder->values[column] = value;
	builder->nulls[column] = isnull;
}

/* Set the columns from first on to the x, y and z of a reading. */
static inline void
set_movement(Builder *builder, int first, const ZoneReading *reading)
{
	for (int i = 0; i < 3; i++)
		set_column(builder, first + i, Int64GetDatum(reading->values[i]),
				   (reading->nulls >> i) & 1);
}

static inline void
set_distance(Builder *builder, int column, const ZoneReading *reading)
{
	set_column(builder, column, Int32GetDatum((int32) reading->values[0]), reading->nulls & 1);
}

static void
put_accelerometer(Builder *builder, Datum email, ZoneReading **readings, uint64 n)
{
	set_column(builder, 0, email, false);
	for (uint64 i = 0; i < n; i++)
	{
		set_column(builder, 1, TimestampTzGetDatum(readings[i]->time), false);
		set_movement(builder, 2, readings[i]);
		stedi_zone_heap_put(builder->heap, builder->values, builder->nulls);
	}
}

static void
put_step_trainer(Builder *builder, Datum serial, ZoneReading **readings, uint64 n)
{
	set_column(builder, 1, serial, false);
	for (uint64 i = 0; i < n; i++)
	{
		set_column(builder, 0, TimestampTzGetDatum(readings[i]->time), false);
		set_distance(builder, 2, readings[i]);
		stedi_zone_heap_put(builder->heap, builder->values, builder->nulls);
	}
}

/*
 * Each step reading with each movement of the same time; both are sorted.  How
 * many pairs, without those that are dropped.
 */
static uint64
put_pairs(Builder *builder, Datum serial, ZoneReading **steps, uint64 n_steps,
		  ZoneReading **movements, uint64 n_movements)
{
	uint64		first = 0;
	uint64		n_pairs = 0;

	set_column(builder, 0, serial, false);
	for (uint64 i = 0; i < n_steps; i++)
	{
		TimestampTz time = steps[i]->time;

		while (first < n_movements && movements[first]->time < time)
			first++;
		set_column(builder, 1, TimestampTzGetDatum(time), false);
		set_distance(builder, 2, steps[i]);
		for (uint64 k = first; k < n_movements && movements[k]->time == time; k++)
		{
			set_movement(builder, 3, movements[k]);
			if (builder->sieve != NULL &&
				!stedi_zone_sieve_passes(builder->sieve, builder->values, builder->nulls))
			{
				builder->n_unexpected++;
				continue;
			}
			n_pairs++;
			stedi_zone_heap_put(builder->heap, builder->values, builder->nulls);
		}
	}
	return n_pairs;
}

/* A member's readings in a sorted partition. */
static inline ZoneReading **
readings_of(const ZoneSorted *sorted, uint32 member, uint64 *n)
{
	uint32		i = member - sorted->first_member;

	*n = sorted->ends[i] - sorted->starts[i];
	return sorted->order + sorted->starts[i];
}

/*
 * How many of these readings, which are sorted, are older than the consent of
 * the person.
 */
static uint64
count_older(const StediConsentSet *set, uint32 member, ZoneReading **readings, uint64 n)
{
	TimestampTz since;
	uint64		n_older = 0;

	if (!stedi_time_from_ms(stedi_consent_since(set, member), &since))
		return 0;
	while (n_older < n && readings[n_older]->time < since)
		n_older++;
	return n_older;
}

/* Write one table's rows of the members whose readings these are. */
static void
build_table(ZoneProcess *process, Builder *builder, int which, ZoneSorted *sorted)
{
	const uint32 *device_of = process->pieces[ZONE_PIECE_DEVICE_OF];
	uint32	   *rows = process->pieces[ZONE_PIECE_ROWS];
	const ZoneSorted *own = &sorted[which == ZONE_BUILD_ACCELEROMETER ? ZONE_ACCELEROMETER :
									ZONE_STEP_TRAINER];
	const StediConsentSet *set = process->pieces[which == ZONE_BUILD_ACCELEROMETER ?
												 ZONE_PIECE_PEOPLE : ZONE_PIECE_DEVICES];

	for (uint32 i = 0; i < own->n_members; i++)
	{
		uint32		member = own->first_member + i;
		uint64		n;
		ZoneReading **readings = readings_of(own, member, &n);
		uint32		whose = member;
		Datum		key;

		CHECK_FOR_INTERRUPTS();
		if (n == 0)
			continue;
		if (which != ZONE_BUILD_ACCELEROMETER && device_of != NULL)
			whose = device_of[member];
		key = stedi_zone_member_key(set, whose);
		if (which != ZONE_BUILD_PAIRS)
			builder->n_older += count_older(set, whose, readings, n);
		if (which == ZONE_BUILD_ACCELEROMETER)
			put_accelerometer(builder, key, readings, n);
		else if (which == ZONE_BUILD_STEP_TRAINER)
			put_step_trainer(builder, key, readings, n);
		else
		{
			uint64		n_movements;
			ZoneReading **movements = readings_of(&sorted[ZONE_ACCELEROMETER], member,
												  &n_movements);

			n = put_pairs(builder, key, readings, n, movements, n_movements);
		}
		if (rows != NULL)
			rows[member] += n;
		pfree(DatumGetPointer(key));
	}
}

/* Add the time since *start, which becomes now. */
static void
add_time(uint64 *us, instr_time * start)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, *start);
	*us += INSTR_TIME_GET_MICROSEC(now);
	INSTR_TIME_SET_CURRENT(*start);
}

/* Build a partition, or one of n_passes parts of it. */
static void
build_part(ZoneProcess *process, ZoneSpill **spills, ZoneSorted *sorted, Builder *builders,
		   int partition, int pass, int n_passes)
{
	ZoneLoadShared *shared = process->pieces[ZONE_PIECE_SHARED];
	ZoneLoadProcess *mine = &shared->processes[process->number];
	uint32		first = first_of(partition, shared->n_members, shared->n_partitions);
	uint32		behind = first_of(partition + 1, shared->n_members, shared->n_partitions);
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	for (int stream = 0; stream < ZONE_N_STREAMS; stream++)
	{
		if (spills[stream] == NULL)
			continue;
		stedi_zone_spill_read(spills[stream], partition, pass, n_passes,
							  &sorted[stream].readings);
		stedi_zone_sort(&sorted[stream], first, behind - first);
		/* a stream's table has the stream's number */
		add_time(&mine->us[stream], &start);
	}
	for (int which = 0; which < ZONE_N_BUILDS; which++)
	{
		if (builders[which].relation == NULL)
			continue;
		build_table(process, &builders[which], which, sorted);
		add_time(&mine->us[which], &start);
	}
}

/* See readings.h.  Partitions are drawn until there are none. */
void
stedi_zone_build_tables(ZoneProcess *process)
{
	ZoneLoadShared *shared = process->pieces[ZONE_PIECE_SHARED];
	ZoneSpill  *spills[ZONE_N_STREAMS] = {NULL};
	ZoneSorted	sorted[ZONE_N_STREAMS] = {0};
	Builder		builders[ZONE_N_BUILDS];
	int			partition;

	for (int stream = 0; stream < ZONE_N_STREAMS; stream++)
		if (shared->n_files[stream] > 0)
		{
			const ZoneStreamColumns *of = &stedi_zone_streams[stream];

			spills[stream] = stedi_zone_spill_open(&shared->fileset, of->name,
												   shared->n_files[stream],
												   shared->n_chunks[stream],
												   shared->n_partitions,
												   ZONE_READING_SIZE(of->n_values));
		}
	for (int which = 0; which < ZONE_N_BUILDS; which++)
		open_builder(&builders[which], process, which);

	while ((partition = pg_atomic_fetch_add_u32(&shared->next_partition, 1)) <
		   shared->n_partitions)
	{
		uint64		bytes = 0;
		int			n_passes;

		for (int stream = 0; stream < ZONE_N_STREAMS; stream++)
			if (spills[stream] != NULL)
				bytes += stedi_zone_spill_bound(spills[stream], partition);
		n_passes = (int) (bytes / BUILD_MEMORY) + 1;
		for (int pass = 0; pass < n_passes; pass++)
			build_part(process, spills, sorted, builders, partition, pass, n_passes);
		stedi_progress_add(&shared->progress, 0, bytes);
	}

	for (int which = 0; which < ZONE_N_BUILDS; which++)
	{
		if (builders[which].relation == NULL)
			continue;
		shared->processes[process->number].n_rows[which] =
			stedi_zone_heap_close(builders[which].heap);
		shared->processes[process->number].n_unexpected[which] = builders[which].n_unexpected;
		shared->processes[process->number].n_older_rows[which] = builders[which].n_older;
		stedi_zone_sieve_close(builders[which].sieve);
		table_close(builders[which].relation, NoLock);
	}
	for (int stream = 0; stream < ZONE_N_STREAMS; stream++)
		if (spills[stream] != NULL)
			stedi_zone_spill_close(spills[stream]);
	stedi_progress_stop(&shared->progress);
}
