/*-------------------------------------------------------------------------
 *
 * source.c
 *		The objects of a scan -> the bytes of the present one, in its buffer.
 *
 * Objects are drawn one by one, from those that all processes of the scan
 * share or from the listing, and opened in a folder or fetched ahead from S3.
 * What is compressed is known by its first bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "scan/state.h"

#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* Stored bytes of a compressed object that are read at once. */
#define PACKED_ROOM (256 * 1024)

/*
 * Bytes that are read, or made of compressed ones, at once: a cancel is
 * answered in between, however large the buffer has grown.
 */
#define MOST_AT_ONCE (4 * 1024 * 1024)

/*
 * Bytes that an object may hold whatever its size when compressed.  A small
 * file of lines that are all alike is no attack, and this much no harm.
 */
#define INFLATED_FREE (UINT64CONST(64) * 1024 * 1024)

/* List the objects, unless that is done. */
void
stedi_scan_list(StediScan *scan)
{
	MemoryContext caller;
	const StediListing *listing;

	if (scan->listing != NULL)
		return;
	caller = MemoryContextSwitchTo(scan->scan_cxt);
	listing = stedi_list_get(scan->opts, scan->userid, &scan->list_requests);

	/* the one that is kept may go before we end */
	scan->listing = stedi_listing_copy(listing);
	scan->stats.objects_listed = listing->n_objects;
	scan->stats.objects_skipped = listing->n_skipped;
	MemoryContextSwitchTo(caller);
}

/* Tell others of the reading that begins. */
void
stedi_scan_start_progress(StediScan *scan, StediProgress *progress)
{
	stedi_progress_start(progress, STEDI_PHASE_READING, scan->opts->relid,
						 scan->listing->n_objects, scan->listing->total_size);
	if (!scan->rescanned)
		stedi_progress_report(progress);
	scan->progress = progress;
}

/* It has ended, for this process. */
void
stedi_scan_stop_progress(StediScan *scan)
{
	stedi_progress_stop(scan->progress);
	scan->progress = NULL;
}

const StediScanStats *
stedi_scan_stats(const StediScan *scan)
{
	StediScan  *mine = unconstify(StediScan *, scan);

	mine->stats.requests = scan->list_requests + scan->others_requests;
	if (scan->fetch != NULL)
		mine->stats.requests += stedi_fetch_stats(scan->fetch)->n_gets +
			stedi_fetch_stats(scan->fetch)->n_lists;
	return &scan->stats;
}

/* Does the query want none of the object's records, by its key? */
static bool
scan_prunes(StediScan *scan, StediObject *object)
{
	MemoryContext caller;

	if (scan->prune_cxt == NULL)
		return false;
	CHECK_FOR_INTERRUPTS();
	MemoryContextReset(scan->prune_cxt);
	caller = MemoryContextSwitchTo(scan->prune_cxt);
	object->pruned = !stedi_prune_keeps(scan->tests, scan->n_tests, object);
	MemoryContextSwitchTo(caller);
	scan->stats.objects_pruned += object->pruned;
	return object->pruned;
}

/*
 * Take the next object that no process has taken and that the query wants; NULL
 * when there is none.
 */
static StediObject *
scan_draw(StediScan *scan)
{
	for (;;)
	{
		StediObject *object;
		int			next;

		if (scan->shared != NULL)
			next = stedi_scan_draw(scan);
		else
			next = scan->next_object < scan->listing->n_objects ?
				scan->next_object++ : scan->listing->n_objects;
		if (next >= scan->listing->n_objects)
			return NULL;
		object = &scan->listing->objects[next];
		if (!scan_prunes(scan, object))
			return object;
	}
}

/* Keep fetch.c supplied with objects to fetch ahead. */
static void
scan_fetch_ahead(StediScan *scan)
{
	StediObject *object;
	MemoryContext caller;

	while (stedi_fetch_has_room(scan->fetch) && (object = scan_draw(scan)) != NULL)
	{
		/*
		 * what this scan has read before, or knows already, is to stay the
		 * same
		 */
		stedi_fetch_add(scan->fetch, object, !scan->rescanned && !object->again);
		caller = MemoryContextSwitchTo(scan->scan_cxt);
		scan->ahead = lappend(scan->ahead, object);
		MemoryContextSwitchTo(caller);
	}
}

/* The next stored bytes of the present object; 0 at its end. */
static Size
scan_read_source(StediScan *scan, char *dest, Size room)
{
	Size		len;

	if (scan->source_ended)
		return 0;
	if (scan->fetch == NULL)
		len = stedi_local_read(scan->local, dest, room);
	else
	{
		len = stedi_fetch_read(scan->fetch, dest, room);
		scan_fetch_ahead(scan);
	}
	scan->over = scan->worker && stedi_scan_is_over(scan);
	scan->source_ended = (len == 0 || scan->over);
	scan->stats.bytes += len;
	stedi_progress_add(scan->progress, 0, len);
	return len;
}

/*
 * decode.c looks a little behind the bytes that there are.  What it finds is of
 * no consequence, but is not to be left to chance.
 */
static void
scan_pad_buffer(StediScan *scan)
{
	memset(scan->buffer + scan->buffer_len, 0, STEDI_BYTES_PADDING);
}

/* Read the first bytes and set up what they ask for. */
static void
scan_detect_codec(StediScan *scan)
{
	StediCodec	codec;

	/* no more than fits into packed, where it may have to go */
	while (scan->buffer_len < STEDI_CODEC_MAGIC_LEN && !scan->source_ended)
		scan->buffer_len += scan_read_source(scan, scan->buffer + scan->buffer_len,
											 Min(scan->buffer_room, PACKED_ROOM) - scan->buffer_len);
	codec = stedi_inflate_detect(scan->buffer, scan->buffer_len);
	if (codec == STEDI_CODEC_PLAIN)
	{
		scan->bytes_ended = scan->source_ended;
		scan_pad_buffer(scan);
		return;
	}

	scan->inflate = stedi_inflate_open(codec);
	if (scan->inflate == NULL)
		ereport(ERROR,
				errcode(ERRCODE_OUT_OF_MEMORY),
				errmsg("out of memory"));
	if (scan->packed == NULL)
		scan->packed = MemoryContextAlloc(scan->scan_cxt, PACKED_ROOM);
	memcpy(scan->packed, scan->buffer, scan->buffer_len);
	scan->packed_len = scan->buffer_len;
	scan->buffer_len = 0;
	scan_pad_buffer(scan);
}

bool
stedi_scan_next_object(StediScan *scan)
{
	if (scan->fetch != NULL)
	{
		scan_fetch_ahead(scan);
		if (scan->ahead == NIL)
			return false;
		scan->object = linitial(scan->ahead);
		scan->ahead = list_delete_first(scan->ahead);
	}
	else
		scan->object = scan_draw(scan);
	if (scan->object == NULL)
		return false;
	if (scan->progress == NULL)
		stedi_scan_start_progress(scan, &scan->alone);
	if (scan->fetch == NULL)
	{
		MemoryContext caller;

		caller = MemoryContextSwitchTo(scan->object_cxt);
		scan->local = stedi_local_open(scan->opts, scan->object);
		MemoryContextSwitchTo(caller);
	}
	scan->object->n_records = scan->object->n_rejects = 0;
	scan->buffer_pos = scan->buffer_len = 0;
	scan->packed_pos = scan->packed_len = 0;
	scan->source_ended = scan->bytes_ended = scan->damaged = false;
	scan->n_packed = scan->n_inflated = 0;
	stedi_frame_init(&scan->framer);
	scan->framer.max_depth = scan->opts->max_depth;
	scan_detect_codec(scan);
	return true;
}

void
stedi_scan_close_object(StediScan *scan)
{
	if (scan->local != NULL)
		stedi_local_close(scan->local);
	scan->local = NULL;
	if (scan->fetch != NULL && !scan->source_ended)
		stedi_fetch_leave(scan->fetch);
	stedi_inflate_close(scan->inflate);
	scan->inflate = NULL;
	scan->object = NULL;
	MemoryContextReset(scan->object_cxt);
}

/* A few bytes may stand for any number of others: does this go too far? */
static void
scan_check_ratio(const StediScan *scan)
{
	uint64		most = INFLATED_FREE + scan->n_packed * (uint64) scan->opts->max_inflate_ratio;

	if (scan->n_inflated <= most)
		return;
	ereport(ERROR,
			errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			errmsg("could not read object \"%s\": it holds more than option \"max_inflate_ratio\" (%d) allows",
				   stedi_text_show(scan->object->key), scan->opts->max_inflate_ratio),
			errdetail("Of its first %llu compressed bytes came %llu.",
					  (unsigned long long) scan->n_packed, (unsigned long long) scan->n_inflated),
			errhint("Look at the object; if it is meant to be so, raise option \"max_inflate_ratio\" of foreign table \"%s\".",
					get_rel_name(scan->opts->relid)));
}

/* Decompress into the buffer until there is something, or the end. */
static void
scan_fill_inflated(StediScan *scan)
{
	Size		before = scan->buffer_len;

	while (scan->buffer_len == before && !scan->bytes_ended)
	{
		StediInflateStatus status;
		size_t		used;
		size_t		len;

		CHECK_FOR_INTERRUPTS();
		if (scan->packed_pos == scan->packed_len && !scan->source_ended)
		{
			scan->packed_pos = 0;
			scan->packed_len = scan_read_source(scan, scan->packed, PACKED_ROOM);
		}
		status = stedi_inflate_next(scan->inflate,
									scan->packed + scan->packed_pos,
									scan->packed_len - scan->packed_pos,
									scan->source_ended, &used,
									scan->buffer + scan->buffer_len,
									Min(scan->buffer_room - scan->buffer_len, MOST_AT_ONCE),
									&len);
		scan->packed_pos += used;
		scan->buffer_len += len;
		scan->n_packed += used;
		scan->n_inflated += len;
		scan_check_ratio(scan);
		switch (status)
		{
			case STEDI_INFLATE_OK:
				break;
			case STEDI_INFLATE_BAD:
				scan->damaged = true;
				/* FALLTHROUGH */
			case STEDI_INFLATE_END:
				scan->bytes_ended = true;
				break;
			case STEDI_INFLATE_OUT_OF_MEMORY:
				ereport(ERROR,
						errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("out of memory"));
		}
	}
	/* what is left behind a damaged place is read all the same, to be counted */
	while (scan->damaged && !scan->source_ended && scan->most_bytes == 0)
		(void) scan_read_source(scan, scan->packed, PACKED_ROOM);
}

bool
stedi_scan_fill(StediScan *scan)
{
	if (scan->buffer_pos > 0)
	{
		memmove(scan->buffer, scan->buffer + scan->buffer_pos,
				scan->buffer_len - scan->buffer_pos);
		scan->buffer_len -= scan->buffer_pos;
		scan->buffer_pos = 0;
	}
	if (scan->buffer_len == scan->buffer_room)
	{
		if (scan->buffer_room > scan->opts->max_record_size)
			return false;
		scan->buffer_room = Min(scan->buffer_room * 2, scan->opts->max_record_size + 1);
		scan->buffer = repalloc(scan->buffer, scan->buffer_room + STEDI_BYTES_PADDING);
	}

	if (scan->inflate != NULL)
		scan_fill_inflated(scan);
	else
	{
		scan->buffer_len += scan_read_source(scan, scan->buffer + scan->buffer_len,
											 Min(scan->buffer_room - scan->buffer_len, MOST_AT_ONCE));
		scan->bytes_ended = scan->source_ended;
	}
	scan_pad_buffer(scan);
	return true;
}

void
stedi_scan_rescan(StediScan *scan)
{
	if (scan->listing == NULL)
		return;
	scan->rescanned |= scan->started;
	if (scan->object != NULL)
		stedi_scan_close_object(scan);
	stedi_scan_stop_progress(scan);
	scan->n_steps = scan->next_step = 0;
	if (scan->fetch != NULL)
		stedi_fetch_reset(scan->fetch);
	scan->next_object = 0;
	scan->over = false;
	list_free(scan->ahead);
	scan->ahead = NIL;
	scan->contributed = false;
	scan->warned_rejects = Max(scan->warned_rejects, scan->stats.rejected);
	scan->stats.rejected = 0;
	scan->stats.records = scan->stats.returned = scan->stats.filtered = 0;
	memset(scan->stats.standings, 0, sizeof(scan->stats.standings));
	scan->stats.older = scan->stats.n_other_unit = 0;
	scan->stats.finished = false;
	for (int i = 0; i < scan->listing->n_objects; i++)
	{
		scan->listing->objects[i].n_records = scan->listing->objects[i].n_rejects = 0;
		scan->listing->objects[i].read = scan->listing->objects[i].pruned = false;
	}
}
