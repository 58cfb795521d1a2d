/*-------------------------------------------------------------------------
 *
 * sketches.c
 *		The sketches of a landing table's objects, from the processes that
 *		read them to the bookkeeping.
 *
 * They go through a temporary file, as there may be many: one entry an
 * object.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "readings/readings.h"

#include "utils/memutils.h"

struct ZoneNamesFile
{
	BufFile    *file;
};

/* An entry, before its packed names and its ETag. */
typedef struct Entry
{
	int			object;			/* its number in the listing */
	int			len;			/* of the packed names; -1: none are kept */

	/* of the version that was read, which may be later than the listing */
	int			etag_len;		/* it comes behind the packed names */
	int64		size;
	TimestampTz modified;

	/* its readings */
	int64		first_ms;
	int64		last_ms;
} Entry;

static void
file_name(char *name, ZoneStream stream, int process)
{
	snprintf(name, NAMEDATALEN, "names.%s.%d", stedi_zone_streams[stream].name, process);
}

ZoneNamesFile *
stedi_zone_names_create(FileSet *fileset, ZoneStream stream, int process)
{
	ZoneNamesFile *file = palloc(sizeof(ZoneNamesFile));
	char		name[NAMEDATALEN];

	file_name(name, stream, process);
	file->file = BufFileCreateFileSet(fileset, name);
	return file;
}

void
stedi_zone_names_add(void *file, const StediObject *object, int number,
					 const StediSketch *sketch)
{
	bytea	   *packed = stedi_sketch_pack(sketch, ZONE_READING_NAME_WIDTH);
	Entry		entry = {0};

	entry.object = number;
	entry.etag_len = (int) strlen(object->etag);
	entry.size = object->size;
	entry.modified = object->modified;
	entry.len = packed != NULL ? (int) VARSIZE(packed) : -1;
	entry.first_ms = sketch->first_ms;
	entry.last_ms = sketch->last_ms;
	BufFileWrite(((ZoneNamesFile *) file)->file, &entry, sizeof(entry));
	if (packed != NULL)
	{
		BufFileWrite(((ZoneNamesFile *) file)->file, packed, VARSIZE(packed));
		pfree(packed);
	}
	BufFileWrite(((ZoneNamesFile *) file)->file, unconstify(char *, object->etag), entry.etag_len);
}

void
stedi_zone_names_finish(ZoneNamesFile *file)
{
	BufFileExportFileSet(file->file);
	BufFileClose(file->file);
}

/* Read len bytes of an entry, with a 0 behind them. */
static char *
read_bytes(BufFile *file, int len)
{
	char	   *bytes = palloc(len + 1);

	if (BufFileRead(file, bytes, len) != (size_t) len)
		elog(ERROR, "unexpected end of a temporary file");
	bytes[len] = '\0';
	return bytes;
}

/* Write down the objects of one process. */
static void
write_file(ZoneRun *run, ZoneTableId id, BufFile *file, const StediListing *listing)
{
	Entry		entry;

	while (BufFileRead(file, &entry, sizeof(entry)) == sizeof(entry))
	{
		bytea	   *packed = NULL;
		ZoneSketch	sketch = {.due_ms = PG_INT64_MAX};

		StediObject object = listing->objects[entry.object];
		char	   *etag;

		if (entry.len >= 0)
			packed = (bytea *) read_bytes(file, entry.len);
		object.etag = etag = read_bytes(file, entry.etag_len);
		object.size = entry.size;
		object.modified = entry.modified;
		sketch.people = id == ZONE_ACCELEROMETER_TRUSTED ? packed : NULL;
		sketch.devices = id == ZONE_STEP_TRAINER_CURATED ? packed : NULL;
		sketch.first_ms = entry.first_ms;
		sketch.last_ms = entry.last_ms;
		stedi_zone_object_write(run, id, &object, &sketch);
		pfree(etag);
		if (packed != NULL)
			pfree(packed);
	}
}

void
stedi_zone_names_write(ZoneRun *run, ZoneTableId id, FileSet *fileset, ZoneStream stream,
					   int n_files, const StediListing *listing)
{
	for (int i = 0; i < n_files; i++)
	{
		char		name[NAMEDATALEN];
		BufFile    *file;

		file_name(name, stream, i);
		file = BufFileOpenFileSet(fileset, name, O_RDONLY, false);
		write_file(run, id, file, listing);
		BufFileClose(file);
	}
}
