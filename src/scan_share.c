/*-------------------------------------------------------------------------
 *
 * scan_share.c
 *		One scan in several processes.
 *
 * The processes of a parallel scan read one listing, the leader's, and draw
 * its objects from a shared counter.  What each finds is added up here: its
 * figures, and what is known of each object, which one of them has read.
 *
 * It all lies in one piece of dynamic shared memory, without pointers:
 *
 *	 StediScanShared | SharedObject[n_objects] | keys and ETags
 *
 *-------------------------------------------------------------------------
 */
#include "stedi.h"

#include "port/atomics.h"
#include "storage/spin.h"

typedef struct SharedObject
{
	Size		key_pos;		/* from the start; NUL-terminated */
	Size		etag_pos;
	int64		size;
	TimestampTz modified;
	uint64		n_records;		/* of the process that read it */
	uint64		n_rejects;
	bool		read;
} SharedObject;

struct StediScanShared
{
	/* set by the leader */
	int			n_processes;	/* at most */
	int			n_objects;
	int			n_skipped;
	int64		total_size;

	/* changed by all */
	pg_atomic_uint32 next_object;
	pg_atomic_uint64 n_rejected;
	slock_t		mutex;			/* for the rest */
	StediScanStats sum;
	bool		unfinished;		/* somebody ended early */

	SharedObject objects[FLEXIBLE_ARRAY_MEMBER];
};

Size
stedi_share_size(const StediListing *listing)
{
	Size		size = offsetof(StediScanShared, objects) +
	listing->n_objects * sizeof(SharedObject);

	for (int i = 0; i < listing->n_objects; i++)
		size += strlen(listing->objects[i].key) + strlen(listing->objects[i].etag) + 2;
	return size;
}

/* Copy a string to *pos, which moves behind it; where it is. */
static Size
put_string(StediScanShared *shared, Size *pos, const char *string)
{
	Size		start = *pos;
	Size		len = strlen(string) + 1;

	memcpy((char *) shared + start, string, len);
	*pos += len;
	return start;
}

void
stedi_share_init(StediScanShared *shared, const StediListing *listing, int n_processes)
{
	Size		pos = offsetof(StediScanShared, objects) +
	listing->n_objects * sizeof(SharedObject);

	memset(shared, 0, offsetof(StediScanShared, objects));
	shared->n_processes = n_processes;
	shared->n_objects = listing->n_objects;
	shared->n_skipped = listing->n_skipped;
	shared->total_size = listing->total_size;
	pg_atomic_init_u32(&shared->next_object, 0);
	pg_atomic_init_u64(&shared->n_rejected, 0);
	SpinLockInit(&shared->mutex);
	for (int i = 0; i < listing->n_objects; i++)
	{
		SharedObject *object = &shared->objects[i];

		memset(object, 0, sizeof(*object));
		object->key_pos = put_string(shared, &pos, listing->objects[i].key);
		object->etag_pos = put_string(shared, &pos, listing->objects[i].etag);
		object->size = listing->objects[i].size;
		object->modified = listing->objects[i].modified;
	}
}

void
stedi_share_restart(StediScanShared *shared)
{
	pg_atomic_write_u32(&shared->next_object, 0);
	pg_atomic_write_u64(&shared->n_rejected, 0);
	memset(&shared->sum, 0, sizeof(shared->sum));
	shared->unfinished = false;
}

StediListing *
stedi_share_listing(StediScanShared *shared)
{
	StediListing *listing = palloc0(sizeof(StediListing));

	listing->n_objects = shared->n_objects;
	listing->n_skipped = shared->n_skipped;
	listing->total_size = shared->total_size;
	listing->objects = palloc_extended(Max(shared->n_objects, 1) * sizeof(StediObject),
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < shared->n_objects; i++)
	{
		listing->objects[i].key = (char *) shared + shared->objects[i].key_pos;
		listing->objects[i].etag = (char *) shared + shared->objects[i].etag_pos;
		listing->objects[i].size = shared->objects[i].size;
		listing->objects[i].modified = shared->objects[i].modified;
	}
	return listing;
}

int
stedi_share_draw(StediScanShared *shared)
{
	uint32		next = pg_atomic_fetch_add_u32(&shared->next_object, 1);

	/* few enough processes look past the end for the counter not to wrap */
	return (int) Min(next, (uint32) shared->n_objects);
}

uint64
stedi_share_add_reject(StediScanShared *shared)
{
	return pg_atomic_add_fetch_u64(&shared->n_rejected, 1);
}

int
stedi_share_processes(const StediScanShared *shared)
{
	return shared->n_processes;
}

/* See stedi.h.  An object's figures are changed only by who has drawn it. */
void
stedi_share_add(StediScanShared *shared, const StediScanStats *stats,
				const StediListing *listing)
{
	StediScanStats *sum = &shared->sum;

	SpinLockAcquire(&shared->mutex);
	sum->objects_read += stats->objects_read;
	sum->bytes += stats->bytes;
	sum->requests += stats->requests;
	sum->records += stats->records;
	sum->returned += stats->returned;
	sum->filtered += stats->filtered;
	sum->rejected += stats->rejected;
	for (int i = 0; i < STEDI_N_STANDINGS; i++)
		sum->standings[i] += stats->standings[i];
	sum->older += stats->older;
	if (!stats->finished)
		shared->unfinished = true;
	SpinLockRelease(&shared->mutex);
	for (int i = 0; i < listing->n_objects; i++)
	{
		const StediObject *object = &listing->objects[i];

		if (object->n_records == 0 && object->n_rejects == 0 && !object->read)
			continue;
		shared->objects[i].n_records = object->n_records;
		shared->objects[i].n_rejects = object->n_rejects;
		shared->objects[i].read = object->read;
	}
}

void
stedi_share_sum(StediScanShared *shared, StediScanStats *stats, StediListing *listing)
{
	SpinLockAcquire(&shared->mutex);
	*stats = shared->sum;
	stats->finished = !shared->unfinished;
	SpinLockRelease(&shared->mutex);
	stats->objects_listed = shared->n_objects;
	stats->objects_skipped = shared->n_skipped;
	for (int i = 0; i < listing->n_objects; i++)
	{
		listing->objects[i].n_records = shared->objects[i].n_records;
		listing->objects[i].n_rejects = shared->objects[i].n_rejects;
		listing->objects[i].read = shared->objects[i].read;
	}
}
