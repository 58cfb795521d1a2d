/*-------------------------------------------------------------------------
 *
 * spill.c
 *		Readings, divided by person among partitions, in temporary files.
 *
 * Readings of one person lie scattered over the landing zone; duplicates and
 * pairs are found among those of one person.  So readings are first spilled to
 * as many partitions as it takes for one to fit into memory.  Each person
 * belongs to one of them.
 *
 * A process writes one file.  It consists of chunks, each with rows of one
 * partition, and ends with a directory of the chunks.  A process that reads a
 * partition reads its chunks in all files.
 *
 *-------------------------------------------------------------------------
 */
#include "readings/readings.h"

#include "miscadmin.h"
#include "utils/memutils.h"

/* What BufFile writes at once, so that nothing is copied twice. */
#define CHUNK_SIZE BLCKSZ

typedef struct Chunk
{
	uint32		partition;
	uint32		n_rows;
	/* then the rows */
} Chunk;

StaticAssertDecl(sizeof(Chunk) == MAXALIGN(sizeof(Chunk)), "rows start aligned");

struct ZoneSpill
{
	Size		row_size;
	int			rows_per_chunk;
	int			n_partitions;

	/* writing */
	BufFile    *file;
	char	   *chunks;			/* one a partition */
	uint32	   *directory;		/* the chunks in the file: of which partition? */
	uint32		n_chunks;
	uint32		room;

	/* reading */
	int			n_files;
	BufFile   **files;
	uint32	  **chunks_of;		/* a file's chunks, by partition */
	uint64	  **ends_of;		/* of each partition's, in these */
};

static ZoneSpill *
make_spill(int n_partitions, Size row_size)
{
	ZoneSpill  *spill = palloc0(sizeof(ZoneSpill));

	spill->row_size = row_size;
	spill->rows_per_chunk = (CHUNK_SIZE - sizeof(Chunk)) / row_size;
	spill->n_partitions = n_partitions;
	return spill;
}

static void
file_name(char *name, const char *stream, int process)
{
	snprintf(name, NAMEDATALEN, "%s.%d", stream, process);
}

ZoneSpill *
stedi_zone_spill_create(FileSet *fileset, const char *stream, int process,
						int n_partitions, Size row_size)
{
	ZoneSpill  *spill = make_spill(n_partitions, row_size);
	char		name[NAMEDATALEN];

	file_name(name, stream, process);
	spill->file = BufFileCreateFileSet(fileset, name);
	/* chunks that are not full are written whole: not what memory had before */
	spill->chunks = palloc_extended((Size) n_partitions * CHUNK_SIZE,
									MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < n_partitions; i++)
	{
		Chunk	   *chunk = (Chunk *) (spill->chunks + (Size) i * CHUNK_SIZE);

		chunk->partition = i;
		chunk->n_rows = 0;
	}
	spill->room = 1024;
	spill->directory = palloc(spill->room * sizeof(uint32));
	return spill;
}

/* Write a partition's chunk, which is then empty. */
static void
write_chunk(ZoneSpill *spill, Chunk *chunk)
{
	if (spill->n_chunks == spill->room)
	{
		spill->room *= 2;
		spill->directory = repalloc_huge(spill->directory, spill->room * sizeof(uint32));
	}
	spill->directory[spill->n_chunks++] = chunk->partition;
	BufFileWrite(spill->file, chunk, CHUNK_SIZE);
	chunk->n_rows = 0;
}

ZoneReading *
stedi_zone_spill_add(ZoneSpill *spill, int partition)
{
	Chunk	   *chunk = (Chunk *) (spill->chunks + (Size) partition * CHUNK_SIZE);

	if (chunk->n_rows == spill->rows_per_chunk)
		write_chunk(spill, chunk);
	return (ZoneReading *) ((char *) (chunk + 1) + spill->row_size * chunk->n_rows++);
}

uint32
stedi_zone_spill_finish(ZoneSpill *spill)
{
	uint32		n_chunks;

	for (int i = 0; i < spill->n_partitions; i++)
	{
		Chunk	   *chunk = (Chunk *) (spill->chunks + (Size) i * CHUNK_SIZE);

		if (chunk->n_rows > 0)
			write_chunk(spill, chunk);
	}
	BufFileWrite(spill->file, spill->directory, spill->n_chunks * sizeof(uint32));
	BufFileExportFileSet(spill->file);
	BufFileClose(spill->file);
	n_chunks = spill->n_chunks;
	pfree(spill->chunks);
	pfree(spill->directory);
	pfree(spill);
	return n_chunks;
}

static void
read_exactly(BufFile *file, void *dest, Size len)
{
	if (BufFileRead(file, dest, len) != len)
		elog(ERROR, "a temporary file of readings is cut off");
}

/* Read a file's directory, and sort its chunks by partition. */
static void
read_directory(ZoneSpill *spill, int file, uint32 n_chunks)
{
	uint32	   *directory = palloc_extended(Max(n_chunks, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	uint32	   *chunks = palloc_extended(Max(n_chunks, 1) * sizeof(uint32), MCXT_ALLOC_HUGE);
	uint64	   *ends = palloc0(spill->n_partitions * sizeof(uint64));
	uint64		sum = 0;

	if (BufFileSeekBlock(spill->files[file], n_chunks) != 0)
		elog(ERROR, "a temporary file of readings is cut off");
	read_exactly(spill->files[file], directory, n_chunks * sizeof(uint32));
	for (uint32 i = 0; i < n_chunks; i++)
		ends[directory[i]]++;
	for (int i = 0; i < spill->n_partitions; i++)
	{
		uint64		n = ends[i];

		ends[i] = sum;
		sum += n;
	}
	for (uint32 i = 0; i < n_chunks; i++)
		chunks[ends[directory[i]]++] = i;
	pfree(directory);
	spill->chunks_of[file] = chunks;
	spill->ends_of[file] = ends;
}

/* The first of a partition's chunks of a file. */
static inline uint64
first_chunk(const ZoneSpill *spill, int file, int partition)
{
	return partition > 0 ? spill->ends_of[file][partition - 1] : 0;
}

ZoneSpill *
stedi_zone_spill_open(FileSet *fileset, const char *stream, int n_files,
					  const uint32 *n_chunks, int n_partitions, Size row_size)
{
	ZoneSpill  *spill = make_spill(n_partitions, row_size);

	spill->n_files = n_files;
	spill->files = palloc(n_files * sizeof(BufFile *));
	spill->chunks_of = palloc(n_files * sizeof(uint32 *));
	spill->ends_of = palloc(n_files * sizeof(uint64 *));
	for (int i = 0; i < n_files; i++)
	{
		char		name[NAMEDATALEN];

		file_name(name, stream, i);
		spill->files[i] = BufFileOpenFileSet(fileset, name, O_RDONLY, false);
		read_directory(spill, i, n_chunks[i]);
	}
	return spill;
}

uint64
stedi_zone_spill_size(uint64 n_chunks)
{
	return n_chunks * CHUNK_SIZE;
}

uint64
stedi_zone_spill_bound(const ZoneSpill *spill, int partition)
{
	uint64		n_chunks = 0;

	for (int i = 0; i < spill->n_files; i++)
		n_chunks += spill->ends_of[i][partition] - first_chunk(spill, i, partition);
	return stedi_zone_spill_size(n_chunks);
}

/* Does a pass take readings of that time? */
static inline bool
takes_time(TimestampTz time, int pass, int n_passes)
{
	const uint64 odd = UINT64CONST(0x9E3779B97F4A7C15); /* spreads bits upwards */

	return n_passes == 1 || (((uint64) time * odd) >> 32) % n_passes == (uint64) pass;
}

/* Read the chunk at the file's place. */
static void
read_chunk(const ZoneSpill *spill, BufFile *file, int pass, int n_passes,
		   ZoneReadings *readings)
{
	Chunk		chunk;
	char	   *rows;
	Size		end;

	read_exactly(file, &chunk, sizeof(chunk));
	end = (readings->n_rows + chunk.n_rows) * spill->row_size;
	if (end > readings->room)
	{
		readings->room = Max(end, readings->room * 2);
		readings->rows = readings->rows == NULL ?
			palloc_extended(readings->room, MCXT_ALLOC_HUGE) :
			repalloc_huge(readings->rows, readings->room);
	}
	rows = readings->rows + readings->n_rows * spill->row_size;
	read_exactly(file, rows, chunk.n_rows * spill->row_size);
	for (uint32 i = 0; i < chunk.n_rows; i++)
	{
		char	   *row = rows + i * spill->row_size;

		if (!takes_time(((ZoneReading *) row)->time, pass, n_passes))
			continue;
		if (n_passes > 1)
			memmove(readings->rows + readings->n_rows * spill->row_size, row, spill->row_size);
		readings->n_rows++;
	}
}

void
stedi_zone_spill_read(const ZoneSpill *spill, int partition, int pass, int n_passes,
					  ZoneReadings *readings)
{
	readings->row_size = spill->row_size;
	readings->n_rows = 0;
	for (int i = 0; i < spill->n_files; i++)
	{
		for (uint64 k = first_chunk(spill, i, partition); k < spill->ends_of[i][partition]; k++)
		{
			CHECK_FOR_INTERRUPTS();
			if (BufFileSeekBlock(spill->files[i], spill->chunks_of[i][k]) != 0)
				elog(ERROR, "a temporary file of readings is cut off");
			read_chunk(spill, spill->files[i], pass, n_passes, readings);
		}
	}
}

void
stedi_zone_spill_close(ZoneSpill *spill)
{
	for (int i = 0; i < spill->n_files; i++)
	{
		BufFileClose(spill->files[i]);
		pfree(spill->chunks_of[i]);
		pfree(spill->ends_of[i]);
	}
	pfree(spill->files);
	pfree(spill->chunks_of);
	pfree(spill->ends_of);
	pfree(spill);
}
