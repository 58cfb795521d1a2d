/*-------------------------------------------------------------------------
 *
 * share.c
 *		One scan in several processes.
 *
 * The processes of a parallel scan read one listing, the leader's, and draw
 * its objects from a shared counter, the largest first, so that nobody is
 * left alone with a large one in the end.  What each finds is added up here:
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
	int			drawn;			/* not of this one: which is the how-manieth
								 * to be drawn */

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
static Size
share_size(const StediListing *listing)
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

static void
share_init(StediScanShared *shared, const StediListing *listing, int n_processes)
{
	Size		pos = offsetof(StediScanShared, objects) +
	(Size) listing->n_objects * sizeof(SharedObject);

	memset(shared, 0, offsetof(StediScanShared, objects));
	shared->n_processes = n_processes;
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

/* Nobody has drawn anything; objects read, bytes and requests stay counted. */
static void
share_restart(StediScanShared *shared)
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
static StediListing *
share_listing(StediScanShared *shared)
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

/* Add a process's figures, and those of the objects that it has drawn. */
static void
share_add(StediScanShared *shared, const StediScanStats *stats,
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
static void
share_sum(StediScanShared *shared, StediScanStats *stats, StediListing *listing)
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

Size
stedi_scan_shared_size(StediScan *scan)
{
	stedi_scan_list(scan);
	return share_size(scan->listing);
}

void
stedi_scan_share(StediScan *scan, StediScanShared *shared, int n_processes)
{
	stedi_scan_list(scan);
	stedi_scan_rescan(scan);
	share_init(shared, scan->listing, n_processes);
	shared->rescanned = scan->rescanned;
	scan->shared = shared;
	stedi_scan_start_progress(scan, &shared->progress);
}

void
stedi_scan_share_again(StediScan *scan)
{
	scan->warned_rejects = Max(scan->warned_rejects, pg_atomic_read_u64(&scan->shared->n_rejected));
	stedi_scan_rescan(scan);
	scan->rescanned = true;
	share_restart(scan->shared);
	stedi_scan_start_progress(scan, &scan->shared->progress);
}

void
stedi_scan_join(StediScan *scan, StediScanShared *shared)
{
	MemoryContext caller = MemoryContextSwitchTo(scan->scan_cxt);

	scan->listing = share_listing(shared);
	scan->shared = shared;
	scan->rescanned = shared->rescanned;
	scan->progress = &shared->progress;
	scan->worker = true;
	MemoryContextSwitchTo(caller);
	stedi_progress_join(scan->progress);
}

void
stedi_scan_end_share(StediScan *scan)
{
	if (scan->shared != NULL)
		pg_atomic_write_u32(&scan->shared->over, 1);
}

void
stedi_scan_contribute(StediScan *scan)
{
	if (scan->shared == NULL || scan->contributed)
		return;
	share_add(scan->shared, stedi_scan_stats(scan), scan->listing);
	scan->contributed = true;
}

void
stedi_scan_collect(StediScan *scan)
{
	uint64		n_requests = stedi_scan_stats(scan)->requests;

	if (scan->shared == NULL)
		return;
	stedi_scan_contribute(scan);
	share_sum(scan->shared, &scan->stats, scan->listing);
	scan->others_requests += scan->stats.requests - n_requests;
	scan->rescanned = true;		/* by now, whoever reads reads again */
	stedi_scan_stop_progress(scan);
	scan->shared = NULL;
}
