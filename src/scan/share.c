/*-------------------------------------------------------------------------
 *
 * share.c
 *		One scan in several processes.
 *
 * The processes of a parallel scan read one listing, the leader's, and draw
 * its objects from a shared counter, the largest first, so that no
 * process is left alone with a large one in the end.  What each finds is added up here:
 * its figures, and what is known of each object, which one of them has read.
 *
 * It all lies in one piece of dynamic shared memory, without pointers:
 *
 *	 StediScanShared | SharedObject[n_objects] | keys and ETags
 *
 *-------------------------------------------------------------------------
 */
#include "scan/state.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/spin.h"

typedef struct SharedObject
{
	Size		key_pos;		/* from the start; NUL-terminated */
	Size		etag_pos;
	int64		size;
	TimestampTz modified;
	bool		again;
	int			drawn;			/* objects[i].drawn: the number of the object
								 * that is drawn as the i-th */

	/* written by the process that has drawn it */
	bool		read;
	bool		pruned;
	uint64		n_records;
	uint64		n_rejects;
} SharedObject;

struct StediScanShared
{
	/* set by the leader */
	int			n_processes;	/* at most */
	int			n_objects;
	int			n_skipped;
	int64		total_size;
	bool		rescanned;		/* it was read before, in whichever process */

	/* changed by all */
	pg_atomic_uint32 next_object;
	pg_atomic_uint32 over;		/* the leader wants no more */
	pg_atomic_uint64 n_rejected;
	slock_t		mutex;			/* for sum */
	StediScanStats sum;			/* of those who have contributed */
	StediProgress progress;

	SharedObject objects[FLEXIBLE_ARRAY_MEMBER];
};

/* The bytes that a listing takes. */
Size
stedi_share_size(const StediListing *listing)
{
	Size		size = offsetof(StediScanShared, objects) +
	(Size) listing->n_objects * sizeof(SharedObject);

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

/* For qsort_arg: the larger first, and of equal ones the first. */
static int
compare_sizes(const void *a, const void *b, void *arg)
{
	const SharedObject *objects = arg;
	int			one = *(const int *) a;
	int			other = *(const int *) b;

	CHECK_FOR_INTERRUPTS();
	if (objects[one].size != objects[other].size)
		return objects[one].size > objects[other].size ? -1 : 1;
	return one < other ? -1 : 1;
}

/* Say in which order the objects are drawn. */
static void
put_order(StediScanShared *shared)
{
	int		   *order = palloc_extended(Max(shared->n_objects, 1) * sizeof(int),
										MCXT_ALLOC_HUGE);

	for (int i = 0; i < shared->n_objects; i++)
		order[i] = i;
	qsort_arg(order, shared->n_objects, sizeof(int), compare_sizes, shared->objects);
	for (int i = 0; i < shared->n_objects; i++)
		shared->objects[i].drawn = order[i];
	pfree(order);
}

void
stedi_share_init(StediScanShared *shared, const StediListing *listing, int n_processes,
				 bool rescanned)
{
	Size		pos = offsetof(StediScanShared, objects) +
	(Size) listing->n_objects * sizeof(SharedObject);

	memset(shared, 0, offsetof(StediScanShared, objects));
	shared->n_processes = n_processes;
	shared->rescanned = rescanned;
	shared->n_objects = listing->n_objects;
	shared->n_skipped = listing->n_skipped;
	shared->total_size = listing->total_size;
	pg_atomic_init_u32(&shared->next_object, 0);
	pg_atomic_init_u32(&shared->over, 0);
	pg_atomic_init_u64(&shared->n_rejected, 0);
	SpinLockInit(&shared->mutex);
	for (int i = 0; i < listing->n_objects; i++)
	{
		SharedObject *object = &shared->objects[i];

		CHECK_FOR_INTERRUPTS();
		memset(object, 0, sizeof(*object));
		object->key_pos = put_string(shared, &pos, listing->objects[i].key);
		object->etag_pos = put_string(shared, &pos, listing->objects[i].etag);
		object->size = listing->objects[i].size;
		object->modified = listing->objects[i].modified;
		object->again = listing->objects[i].again;
	}
	put_order(shared);
}

/* Nothing is drawn yet; objects read, bytes and requests stay counted. */
void
stedi_share_restart(StediScanShared *shared)
{
	StediScanStats *sum = &shared->sum;
	StediScanStats before = *sum;

	pg_atomic_write_u32(&shared->next_object, 0);
	pg_atomic_write_u32(&shared->over, 0);
	pg_atomic_write_u64(&shared->n_rejected, 0);
	memset(sum, 0, sizeof(*sum));
	sum->objects_pruned = before.objects_pruned;
	sum->objects_read = before.objects_read;
	sum->bytes = before.bytes;
	sum->requests = before.requests;
	shared->rescanned = true;
	for (int i = 0; i < shared->n_objects; i++)
	{
		shared->objects[i].n_records = shared->objects[i].n_rejects = 0;
		shared->objects[i].read = shared->objects[i].pruned = false;
	}
}

/* The listing, in the current context; its strings are shared's. */
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
		listing->objects[i].again = shared->objects[i].again;
	}
	return listing;
}

void
stedi_scan_add_other_unit(StediScanStats *sum, const StediScanStats *stats)
{
	if (stats->n_other_unit == 0)
		return;
	if (sum->n_other_unit == 0 || stats->other_object < sum->other_object ||
		(stats->other_object == sum->other_object && stats->other_offset < sum->other_offset))
	{
		sum->other_object = stats->other_object;
		sum->other_offset = stats->other_offset;
	}
	sum->n_other_unit += stats->n_other_unit;
	sum->other_units |= stats->other_units;
}

/* Add a process's figures, and those of the objects that it has drawn. */
void
stedi_share_add(StediScanShared *shared, const StediScanStats *stats,
				const StediListing *listing)
{
	StediScanStats *sum = &shared->sum;

	SpinLockAcquire(&shared->mutex);
	sum->objects_pruned += stats->objects_pruned;
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
	stedi_scan_add_other_unit(sum, stats);
	SpinLockRelease(&shared->mutex);
	for (int i = 0; i < listing->n_objects; i++)
	{
		const StediObject *object = &listing->objects[i];

		if (object->n_records == 0 && object->n_rejects == 0 && !object->read && !object->pruned)
			continue;
		shared->objects[i].n_records = object->n_records;
		shared->objects[i].n_rejects = object->n_rejects;
		shared->objects[i].read = object->read;
		shared->objects[i].pruned = object->pruned;
	}
}

/* The figures of all. */
void
stedi_share_sum(StediScanShared *shared, StediScanStats *stats, StediListing *listing)
{
	SpinLockAcquire(&shared->mutex);
	*stats = shared->sum;
	SpinLockRelease(&shared->mutex);
	stats->objects_listed = shared->n_objects;
	stats->objects_skipped = shared->n_skipped;
	stats->finished = true;
	for (int i = 0; i < listing->n_objects; i++)
	{
		listing->objects[i].n_records = shared->objects[i].n_records;
		listing->objects[i].n_rejects = shared->objects[i].n_rejects;
		listing->objects[i].read = shared->objects[i].read;
		listing->objects[i].pruned = shared->objects[i].pruned;
		if (!shared->objects[i].read && !shared->objects[i].pruned)
			stats->finished = false;
	}
}

int
stedi_scan_draw(StediScan *scan)
{
	StediScanShared *shared = scan->shared;
	uint32		n_objects = (uint32) shared->n_objects;
	uint32		next;

	/* an S3 scan asks at every read: do not count on for ever */
	if (pg_atomic_read_u32(&shared->next_object) >= n_objects)
		return shared->n_objects;
	next = pg_atomic_fetch_add_u32(&shared->next_object, 1);
	return next < n_objects ? shared->objects[next].drawn : shared->n_objects;
}

uint64
stedi_scan_share_reject(StediScan *scan)
{
	return pg_atomic_add_fetch_u64(&scan->shared->n_rejected, 1);
}

bool
stedi_scan_is_over(void *arg)
{
	StediScan  *scan = arg;

	return pg_atomic_read_u32(&scan->shared->over) != 0;
}

int
stedi_scan_processes(const StediScan *scan)
{
	return scan->shared->n_processes;
}

void
stedi_share_end(StediScanShared *shared)
{
	pg_atomic_write_u32(&shared->over, 1);
}

uint64
stedi_share_rejected(StediScanShared *shared)
{
	return pg_atomic_read_u64(&shared->n_rejected);
}

bool
stedi_share_is_rescanned(const StediScanShared *shared)
{
	return shared->rescanned;
}

StediProgress *
stedi_share_progress(StediScanShared *shared)
{
	return &shared->progress;
}
