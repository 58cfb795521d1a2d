/*-------------------------------------------------------------------------
 *
 * records.c
 *		The bytes of a scan's objects -> its records, framed and decoded.
 *
 * Where consent is asked for, some records are decoded ahead of the present
 * one, so that the memory that their consent tests read is fetched meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "scan/state.h"

/* Note why the present record, or stretch of bytes, is set aside. */
void
stedi_scan_note_reject(StediScan *scan, StediReason reason, const char *column)
{
	scan->reject.place = scan->place;
	scan->reject.reason = reason;
	scan->reject.column = column;
	scan->reject.record = scan->record;
}

/* A record, or a stretch of bytes, at that place of the object. */
static void
scan_set_record(StediScan *scan, StediSlice record, uint64 line, uint64 offset)
{
	scan->record = record;
	scan->place.object = scan->object;
	scan->place.line = line;
	scan->place.offset = offset;
}

/* Set aside the present record, which is too long, and the object's rest. */
static void
scan_give_up(StediScan *scan)
{
	stedi_scan_note_reject(scan, STEDI_REASON_TOO_LONG, NULL);
	stedi_frame_give_up(&scan->framer, STEDI_REASON_TOO_LONG);
}

/* The end of the bytes: is there something left to say of the object? */
static bool
scan_end_object(StediScan *scan)
{
	if (scan->damaged)
	{
		StediSlice	nothing = {scan->buffer, 0};

		scan->damaged = false;
		scan_set_record(scan, nothing, scan->framer.line, scan->framer.offset);
		stedi_scan_note_reject(scan, STEDI_REASON_DAMAGED, NULL);
		return true;
	}
	scan->object->read = true;
	scan->stats.objects_read++;
	stedi_progress_add(scan->progress, 1, 0);
	if (scan->sketch != NULL)
	{
		scan->sketch_done(scan->sketch_arg, scan->object,
						  (int) (scan->object - scan->listing->objects), scan->sketch);
		stedi_sketch_clear(scan->sketch);
	}
	stedi_scan_close_object(scan);
	return false;
}

/* The consent test, if there is one: it comes first. */
static inline StediTest *
scan_consent_test(const StediScan *scan)
{
	return scan->n_tests > 0 && scan->tests[0].kind == STEDI_TEST_CONSENT ?
		&scan->tests[0] : NULL;
}

/*
 * Take the next steps, and fetch what their consent tests will look at.  A
 * step that needs anything done is the last one.
 */
static void
scan_look_ahead(StediScan *scan)
{
	StediTest  *test = scan_consent_test(scan);
	int			n_ahead = test != NULL ? STEDI_SCAN_AHEAD : 1;
	StediSlice	before = {NULL, 0};
	StediScanStep *step;

	scan->n_steps = scan->next_step = 0;
	do
	{
		size_t		used;

		step = &scan->steps[scan->n_steps++];
		step->status = stedi_decode_next(&scan->decoder, &scan->framer,
										 scan->buffer + scan->buffer_pos,
										 scan->buffer_len - scan->buffer_pos,
										 scan->bytes_ended, &step->record, &used,
										 step->fields, &step->decoded);
		scan->buffer_pos += used;
		step->line = scan->framer.record_line;
		step->offset = scan->framer.record_offset;
		step->hash = 0;
		if (test != NULL && step->status == STEDI_FRAME_RECORD && step->decoded)
		{
			StediSlice	who = step->fields[test->field].text;

			/* neighbours often name the same */
			if (before.len > 0 && who.len == before.len &&
				memcmp(who.data, before.data, who.len) == 0)
				step->hash = step[-1].hash;
			else
				step->hash = stedi_filter_hash(test, &step->fields[test->field]);
			before = who;
		}
	} while (scan->n_steps < n_ahead &&
			 step->status == STEDI_FRAME_RECORD && step->decoded &&
			 step->record.len <= scan->opts->max_record_size);
	if (test != NULL)
		for (int i = 0; i < scan->n_steps; i++)
			stedi_filter_fetch(test, scan->steps[i].hash);
}

/* Leave the present object when it has been read far enough. */
static void
scan_leave_object(StediScan *scan)
{
	if (scan->object == NULL ||
		(scan->object->n_records < scan->most_records && scan->framer.offset < scan->most_bytes))
		return;
	scan->damaged = false;
	stedi_scan_close_object(scan);
}

/* Bytes that are no record. */
static void
take_bad(StediScan *scan, const StediScanStep *step)
{
	scan_set_record(scan, step->record, step->line, step->offset);
	if (scan->damaged && scan->buffer_pos == scan->buffer_len)
	{
		/* cut short by the damage, and reported as that */
		scan->damaged = false;
		scan->framer.in_array = false;
		scan->framer.reason = STEDI_REASON_DAMAGED;
	}
	stedi_scan_note_reject(scan, scan->framer.reason, NULL);
}

/* What fills the largest buffer that we allow, and has no end in it. */
static void
take_full_buffer(StediScan *scan, StediScanStep *step)
{
	step->record.data = scan->buffer;
	step->record.len = scan->buffer_len;
	scan_set_record(scan, step->record, step->line, step->offset);
	if (!scan->framer.junk)
	{
		scan_give_up(scan);
		return;
	}
	stedi_frame_cut_junk(&scan->framer, step->record.len);
	scan->buffer_pos = scan->buffer_len;
	stedi_scan_note_reject(scan, scan->framer.reason, NULL);
}

StediScanResult
stedi_scan_next_record(StediScan *scan)
{
	for (;;)
	{
		StediScanStep *step;

		if (scan->next_step == scan->n_steps)
		{
			if (scan->most_records > 0)
				scan_leave_object(scan);
			if (scan->object == NULL && !stedi_scan_next_object(scan))
				return STEDI_SCAN_END;
			if (scan->over)
				return STEDI_SCAN_END;
			scan_look_ahead(scan);
		}
		step = &scan->steps[scan->next_step++];
		scan->fields = step->fields;
		scan->decoded = step->decoded;
		switch (step->status)
		{
			case STEDI_FRAME_RECORD:
				scan_set_record(scan, step->record, step->line, step->offset);
				if (step->record.len <= scan->opts->max_record_size)
					return STEDI_SCAN_ROW;
				scan_give_up(scan);
				return STEDI_SCAN_REJECT;

			case STEDI_FRAME_BAD:
				take_bad(scan, step);
				return STEDI_SCAN_REJECT;

			case STEDI_FRAME_MORE:
				if (stedi_scan_fill(scan))
					break;
				take_full_buffer(scan, step);
				return STEDI_SCAN_REJECT;

			case STEDI_FRAME_END:
				if (scan_end_object(scan))
					return STEDI_SCAN_REJECT;
				break;
		}
	}
}
