/*-------------------------------------------------------------------------
 *
 * scan.c
 *		Read the objects under a prefix as rows.
 *
 *	 list.c ---> fetch.c  --> inflate.c -> frame.c --> decode.c -> filter.c -> tuple.c
 *	 objects	 local.c	  bytes		   records	   fields	   kept?	   values
 *				 bytes
 *
 * The files of scan/state.h alone know more than one stage: source.c goes as far
 * as bytes, records.c as far as records, this one on from there.  The FDW,
 * ANALYZE, stedi.rejects and the zone functions all read through
 * stedi_scan_next().  A record that the consent test drops does not leave this
 * file: no caller sees its values, and no message has them.
 *
 * The bytes of the present object pass through one buffer.  It starts small,
 * grows to hold the record in progress, and never beyond max_record_size.
 *
 *-------------------------------------------------------------------------
 */
#include "scan/state.h"

#include "miscadmin.h"
#include "nodes/memnodes.h"
#include "utils/memutils.h"

/* Room to begin with: a few thousand records, and within the L2 cache. */
#define BUFFER_START (256 * 1024)

/* Bytes in which records are counted without looking for a cancel. */
#define COUNTED_AT_ONCE (4 * 1024 * 1024)

/* Free what is not PostgreSQL's memory.  Never throws. */
static void
scan_release(void *arg)
{
	StediScan  *scan = arg;

	stedi_decode_release(&scan->decoder);
	stedi_inflate_close(scan->inflate);
	scan->inflate = NULL;
}

/* Of a table's options, or of those that are given (opts), where there is none. */
static StediScan *
scan_open(Oid relid, const StediOptions *opts, Oid userid, TupleDesc tupdesc,
		  const bool *wanted, int flags)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "stedi scan",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(cxt);
	StediScan  *scan = palloc0(sizeof(StediScan));
	bool	   *all = palloc(tupdesc->natts * sizeof(bool));
	int			n_keys;
	const StediSlice *keys;

	scan->scan_cxt = cxt;
	scan->release.func = scan_release;
	scan->release.arg = scan;
	MemoryContextRegisterResetCallback(cxt, &scan->release);
	scan->object_cxt = AllocSetContextCreate(cxt, "stedi object",
											 ALLOCSET_DEFAULT_SIZES);
	scan->record_cxt = AllocSetContextCreate(cxt, "stedi record",
											 ALLOCSET_DEFAULT_SIZES);
	if (opts == NULL)
		scan->opts = stedi_option_get_table(relid);
	else
	{
		scan->opts = palloc(sizeof(StediOptions));
		*scan->opts = *opts;
	}
	scan->userid = userid;
	scan->tupdesc = tupdesc;
	scan->flags = flags;
	memset(all, true, tupdesc->natts * sizeof(bool));
	scan->tuple = stedi_tuple_open(scan->opts, tupdesc,
								   (scan->flags & STEDI_SCAN_JUDGE) ? all : wanted);
	if (scan->flags & STEDI_SCAN_JUDGE)
		scan->judge = stedi_judge_open(scan->opts, tupdesc, scan->tuple);
	scan->converts = stedi_tuple_n_wanted(scan->tuple) > 0;
	keys = stedi_tuple_keys(scan->tuple, &n_keys);
	stedi_decode_init(&scan->decoder, keys, n_keys);
	for (int i = 0; i < scan->opts->n_null_values; i++)
		if (scan->opts->null_values[i].len == 3 &&
			memcmp(scan->opts->null_values[i].data, "NaN", 3) == 0)
			scan->decoder.nan_is_null = true;
	for (int i = 0; i < STEDI_SCAN_AHEAD; i++)
		scan->steps[i].fields = palloc0(Max(n_keys, 1) * sizeof(StediField));
	scan->fields = scan->steps[0].fields;
	scan->buffer_room = Min(BUFFER_START, scan->opts->max_record_size + 1);
	scan->buffer = palloc(scan->buffer_room + STEDI_BYTES_PADDING);
	MemoryContextSwitchTo(caller);
	return scan;
}

StediScan *
stedi_scan_open(Oid relid, Oid userid, TupleDesc tupdesc, const bool *wanted,
				int flags)
{
	return scan_open(relid, NULL, userid, tupdesc, wanted, flags);
}

StediScan *
stedi_scan_open_records(const StediOptions *opts, Oid userid)
{
	return scan_open(InvalidOid, opts, userid, CreateTemplateTupleDesc(0), NULL,
					 STEDI_SCAN_GIVE_REJECTS);
}

void
stedi_scan_set_most(StediScan *scan, uint64 n_records, uint64 n_bytes)
{
	scan->most_records = n_records;
	scan->most_bytes = n_bytes;
}

void
stedi_scan_set_tests(StediScan *scan, StediTest *tests, int n_tests)
{
	scan->tests = tests;
	scan->n_tests = n_tests;
	scan->n_record_tests = n_tests;
	for (int i = 0; i < n_tests; i++)
	{
		StediTest  *test = &tests[i];

		if (test->by_object)
		{
			scan->n_record_tests--;
			continue;
		}
		test->field = stedi_tuple_field(scan->tuple, test->attno);
		if (test->kind == STEDI_TEST_CONSENT)
		{
			test->time_field = stedi_tuple_field(scan->tuple, test->time_attno);
			test->clock = stedi_tuple_clock(scan->tuple, test->time_attno);
		}
		else if (!stedi_tuple_takes_bytes(scan->tuple, test->attno))
			test->field = -1;
	}
	if (scan->n_record_tests < n_tests)
		scan->prune_cxt = AllocSetContextCreate(scan->scan_cxt, "stedi prune",
												ALLOCSET_SMALL_SIZES);
}

void
stedi_scan_set_sketch(StediScan *scan, StediSketchDone done, void *arg)
{
	MemoryContext caller = MemoryContextSwitchTo(scan->scan_cxt);

	scan->sketch = palloc(sizeof(StediSketch));
	stedi_sketch_begin(scan->sketch, scan->tests[0].set);
	scan->sketch_done = done;
	scan->sketch_arg = arg;
	MemoryContextSwitchTo(caller);
}

void
stedi_scan_set_listing(StediScan *scan, const StediListing *listing)
{
	MemoryContext caller = MemoryContextSwitchTo(scan->scan_cxt);

	scan->listing = stedi_listing_copy(listing);
	scan->stats.objects_listed = listing->n_objects;
	scan->stats.objects_skipped = listing->n_skipped;
	MemoryContextSwitchTo(caller);
}

/* Get ready to read. */
static void
scan_start(StediScan *scan)
{
	MemoryContext caller = MemoryContextSwitchTo(scan->scan_cxt);

	stedi_scan_list(scan);
	if (scan->shared != NULL)
		scan->opts->connections = Max(scan->opts->connections /
									  stedi_scan_processes(scan), 1);
	if (!scan->opts->local)
		scan->fetch = stedi_fetch_open(scan->opts, scan->userid);
	if (scan->fetch != NULL && scan->worker)
		stedi_fetch_until(scan->fetch, stedi_scan_is_over, scan);
	scan->started = true;
	MemoryContextSwitchTo(caller);
}

/* Note that a column is why the present record is set aside. */
static void
scan_note_column(StediScan *scan, StediReason reason, int attno)
{
	stedi_scan_note_reject(scan, reason, NameStr(TupleDescAttr(scan->tupdesc, attno)->attname));
}

/* Convert every wanted column; the first trouble is the one reported. */
static inline StediReason
scan_columns(StediScan *scan)
{
	StediReason first;
	int			attno;

	if (!scan->converts)
		return STEDI_REASON_NONE;
	first = stedi_tuple_columns(scan->tuple, scan->fields, &scan->place,
								scan->values, scan->nulls, &attno);
	if (likely(first == STEDI_REASON_NONE))
		return first;
	scan_note_column(scan, first, attno);

	/* a caller that wants rejects wants what can be read of them */
	if (scan->flags & STEDI_SCAN_GIVE_REJECTS)
		while (stedi_tuple_columns(scan->tuple, scan->fields, &scan->place,
								   scan->values, scan->nulls, &attno) != STEDI_REASON_NONE)
			;
	return first;
}

/* Decode the present record and see whether it will do as a whole. */
static StediReason
scan_decode(StediScan *scan)
{
	int			where;
	StediReason reason = STEDI_REASON_NONE;

	if (!scan->decoded)
		reason = stedi_decode_record(&scan->decoder, scan->record, scan->fields, &where);
	if (reason != STEDI_REASON_NONE)
	{
		const char *column = NULL;

		for (int attno = 0; where >= 0 && column == NULL && attno < scan->tupdesc->natts; attno++)
			if (stedi_tuple_field(scan->tuple, attno) == where)
				column = NameStr(TupleDescAttr(scan->tupdesc, attno)->attname);
		stedi_scan_note_reject(scan, reason, column);
	}
	else if (scan->judge != NULL)
	{
		int			attno;

		reason = scan_columns(scan);
		if (reason != STEDI_REASON_NONE)
			return reason;
		reason = stedi_judge_record(scan->judge, scan->fields, &attno);
		if (reason != STEDI_REASON_NONE)
			scan_note_column(scan, reason, attno);
	}
	return reason;
}

/* The consent test: undecoded, and before anything else sees the record. */
static bool
scan_test_consent(StediScan *scan, StediTest *test)
{
	const StediField *time = &scan->fields[test->time_field];
	static const StediField no_time = {.kind = STEDI_FIELD_NULL};
	bool		older;
	StediStanding standing;

	test->hash = scan->steps[scan->next_step - 1].hash;
	standing = stedi_filter_consent(test, &scan->fields[test->field],
									stedi_tuple_is_null(scan->tuple, test->time_attno, time) ? &no_time : time,
									&older);
	scan->stats.standings[standing]++;
	scan->stats.older += older;
	if (scan->sketch != NULL)
	{
		stedi_sketch_add_time(scan->sketch, test->time);
		if (test->hash != 0 && test->found)
			stedi_sketch_add_member(scan->sketch, stedi_consent_number(test->set, test->place));
		else
			stedi_sketch_add_other(scan->sketch, test->hash);
	}
	return standing == STEDI_STANDING_GRANTED;
}

/* Any other test: the reason is why its column cannot be read. */
static inline StediReason
scan_test_column(StediScan *scan, StediTest *test, bool *keeps)
{
	StediReason reason;

	/* equal text is equal bytes: nothing need be made of most records */
	if (test->field >= 0 && stedi_filter_decides(test, &scan->fields[test->field], keeps))
		reason = STEDI_REASON_NONE;
	else
	{
		reason = stedi_tuple_column(scan->tuple, test->attno, scan->fields, &scan->place,
									scan->values, scan->nulls);
		if (reason != STEDI_REASON_NONE)
		{
			scan_note_column(scan, reason, test->attno);
			return reason;
		}
		*keeps = stedi_filter_keeps(test, scan->values[test->attno], scan->nulls[test->attno]);
	}
	if (!*keeps)
		scan->stats.filtered++;
	return reason;
}

/*
 * Put the record to the tests.  *keeps says what came out; the reason is
 * other than NONE when a column that a test needs cannot be read.
 */
static inline StediReason
scan_test(StediScan *scan, bool *keeps)
{
	StediReason reason = STEDI_REASON_NONE;

	*keeps = true;
	for (int i = 0; i < scan->n_tests && *keeps && reason == STEDI_REASON_NONE; i++)
	{
		StediTest  *test = &scan->tests[i];

		if (test->by_object)
			continue;
		if (test->kind == STEDI_TEST_CONSENT)
			*keeps = scan_test_consent(scan, test);
		else
			reason = scan_test_column(scan, test, keeps);
	}
	return reason;
}

/* Forget the record before. */
static inline void
scan_begin_record(StediScan *scan)
{
	CHECK_FOR_INTERRUPTS();
	if (unlikely(!scan->record_cxt->isReset))
		MemoryContextReset(scan->record_cxt);
	if (scan->converts)
		stedi_tuple_begin(scan->tuple);
}

/*
 * A record, or stretch of bytes (not framed), was rejected: count it, and fill
 * in what can be read of it for a caller who wants rejects.
 */
static bool
scan_give_reject(StediScan *scan, bool framed)
{
	StediReject reject = scan->reject;

	stedi_scan_count_reject(scan);
	if (!(scan->flags & STEDI_SCAN_GIVE_REJECTS))
		return false;

	/* of bytes that are no record, too: it may have begun as one */
	if (!framed && scan->record.len > 0)
	{
		int			where;

		(void) stedi_decode_record(&scan->decoder, scan->record, scan->fields, &where);
	}
	else if (!framed)
		memset(scan->fields, 0, scan->decoder.n_keys * sizeof(StediField));
	(void) scan_columns(scan);
	scan->reject = reject;
	return true;
}

/* Read records until there is one for the caller; in record_cxt. */
static StediScanResult
scan_next(StediScan *scan)
{
	for (;;)
	{
		StediScanResult result;
		StediReason reason;
		bool		keeps;

		scan_begin_record(scan);
		result = stedi_scan_next_record(scan);
		if (result == STEDI_SCAN_END)
		{
			scan->stats.finished = !scan->over;
			stedi_scan_stop_progress(scan);
			return STEDI_SCAN_END;
		}
		scan->stats.records++;
		scan->object->n_records++;

		if (unlikely(result == STEDI_SCAN_REJECT))
		{
			if (scan_give_reject(scan, false))
				return STEDI_SCAN_REJECT;
			continue;
		}
		reason = scan_decode(scan);
		if (likely(reason == STEDI_REASON_NONE))
			reason = scan_test(scan, &keeps);
		if (likely(reason == STEDI_REASON_NONE))
		{
			if (!keeps)
				continue;
			reason = scan_columns(scan);
		}
		if (likely(reason == STEDI_REASON_NONE))
		{
			scan->stats.returned++;
			return STEDI_SCAN_ROW;
		}
		if (scan_give_reject(scan, true))
			return STEDI_SCAN_REJECT;
	}
}

/* Get ready to read on into values and nulls. */
static void
scan_continue(StediScan *scan, Datum *values, bool *nulls)
{
	if (!scan->started)
		scan_start(scan);
	scan->values = values;
	scan->nulls = nulls;

	/* those that are not wanted; the others are set for each row */
	memset(nulls, true, scan->tupdesc->natts * sizeof(bool));
}

StediScanResult
stedi_scan_next(StediScan *scan, Datum *values, bool *nulls)
{
	MemoryContext caller;
	StediScanResult result;

	scan_continue(scan, values, nulls);
	caller = MemoryContextSwitchTo(scan->record_cxt);
	result = scan_next(scan);
	MemoryContextSwitchTo(caller);
	return result;
}

/*
 * Count the plain records that come next in the buffer, of which nothing is
 * asked but that they are records.
 */
static void
scan_count_plain(StediScan *scan)
{
	size_t		used;
	size_t		n;

	n = stedi_decode_count(&scan->decoder, &scan->framer, scan->buffer + scan->buffer_pos,
						   Min(scan->buffer_len - scan->buffer_pos, COUNTED_AT_ONCE),
						   scan->opts->max_record_size, &used, scan->fields);
	scan->buffer_pos += used;
	scan->object->n_records += n;
	scan->stats.records += n;
	scan->stats.returned += n;
}

uint64
stedi_scan_count(StediScan *scan, Datum *values, bool *nulls)
{
	uint64		before = scan->stats.returned;
	bool		all = scan->n_record_tests == 0 && scan->judge == NULL && !scan->converts;
	MemoryContext caller;

	scan_continue(scan, values, nulls);
	caller = MemoryContextSwitchTo(scan->record_cxt);
	while (scan_next(scan) == STEDI_SCAN_ROW)
	{
		/* where one is plain, the next are likely to be */
		if (all && scan->decoded)
			scan_count_plain(scan);
	}
	MemoryContextSwitchTo(caller);
	return scan->stats.returned - before;
}

void
stedi_scan_close(StediScan *scan)
{
	if (!scan->worker)
		stedi_scan_collect(scan);
	if (!scan->worker)
		stedi_scan_warn(scan);
	if (scan->object != NULL)
		stedi_scan_close_object(scan);
	stedi_scan_stop_progress(scan);
	MemoryContextDelete(scan->scan_cxt);
}

const StediPlace *
stedi_scan_place(const StediScan *scan)
{
	return &scan->place;
}

int
stedi_scan_object(const StediScan *scan)
{
	return scan->object == NULL ? -1 : (int) (scan->object - scan->listing->objects);
}

StediSlice
stedi_scan_record(const StediScan *scan)
{
	return scan->record;
}

const StediListing *
stedi_scan_listing(const StediScan *scan)
{
	return scan->listing;
}
