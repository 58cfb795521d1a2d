/*-------------------------------------------------------------------------
 *
 * frame.c
 *		Find the records in the bytes of an object.
 *
 * Backend-free (see record.h).  doc/rules.md says what a record is, and where
 * reading goes on after bytes that are none.  A record is found by matching
 * its braces, strings skipped, so that records may stand one a line, back to
 * back or over many lines.  Whether it is JSON is not asked here: a record
 * that is balanced and wrong inside is decode.c's to refuse, and costs only
 * itself.
 *
 * The framer's state covers the bytes it has looked at, so a record that
 * arrives in pieces is looked at once.
 *
 *-------------------------------------------------------------------------
 */
#include "record/record.h"

#include <string.h>

/* U+FEFF in UTF-8: where files are put together, each may begin with one. */
#define BYTE_ORDER_MARK_START ((char) 0xEF)
static const char byte_order_mark[] = {BYTE_ORDER_MARK_START, (char) 0xBB, (char) 0xBF};

void
stedi_frame_init(StediFramer *framer)
{
	memset(framer, 0, offsetof(StediFramer, arrays));
	framer->max_depth = STEDI_MAX_DEPTH;
	framer->line = 1;
}

/* What begins at the framer's place: a record, or junk. */
static void
frame_begin(StediFramer *framer, bool junk)
{
	framer->open = true;
	framer->junk = junk;
	framer->in_string = false;
	framer->escaped = false;
	framer->scanned = 0;
	framer->newlines = 0;
	framer->depth = 0;
	framer->last = '\0';
	framer->record_offset = framer->offset;
	framer->record_line = framer->line;
}

static uint64_t
count_newlines(const char *buf, size_t len)
{
	const char *end = buf + len;
	uint64_t	n = 0;

	while (buf < end && (buf = memchr(buf, '\n', end - buf)) != NULL)
	{
		buf++;
		n++;
	}
	return n;
}

/* Consume len bytes that hold newlines line ends, and close what was open. */
static void
frame_finish(StediFramer *framer, size_t len, uint64_t newlines)
{
	framer->offset += len;
	framer->line += newlines;
	framer->open = false;
	framer->after_record = true;
}

/*
 * The length of the byte-order mark at buf, or 0: there is none.  *wait is set
 * when it takes more bytes to tell.
 */
static size_t
frame_skip_mark(const char *buf, size_t len, bool last, bool *wait)
{
	size_t		have = len < sizeof(byte_order_mark) ? len : sizeof(byte_order_mark);

	if (memcmp(buf, byte_order_mark, have) != 0)
		return 0;
	if (have == sizeof(byte_order_mark))
		return have;
	*wait = !last;
	return 0;
}

/*
 * Pass over what may stand between records.  Returns how many bytes that is;
 * framer->open tells whether something begins behind them.  *wait is set when
 * it takes more bytes to tell.
 */
static size_t
frame_skip_separators(StediFramer *framer, const char *buf, size_t len,
					  bool last, bool *wait)
{
	size_t		pos = 0;

	*wait = false;
	for (; pos < len; pos++)
	{
		char		c = buf[pos];
		bool		begins = false;
		bool		junk = false;
		size_t		mark;

		switch (c)
		{
			case '\n':
				framer->line++;
				break;
			case ' ':
			case '\t':
			case '\r':
				break;
			case BYTE_ORDER_MARK_START:
				mark = frame_skip_mark(buf + pos, len - pos, last, wait);
				begins = junk = (mark == 0 && !*wait);
				if (mark > 0)
					pos += mark - 1;
				break;
			case ',':
				begins = junk = !framer->after_record;
				framer->after_record = false;
				break;
			case '[':
				begins = junk = framer->in_array;
				framer->in_array = true;
				framer->after_record = false;
				break;
			case ']':
				begins = junk = !framer->in_array;
				framer->in_array = false;
				framer->after_record = false;
				break;
			default:
				begins = true;
				junk = (c != '{');
		}
		if (begins)
		{
			framer->offset += pos;
			frame_begin(framer, junk);
			return pos;
		}
		if (*wait)
			break;
	}
	framer->offset += pos;
	return pos;
}

/* May a { follow here, by the grammar of JSON? */
static bool
frame_allows_object(const StediFramer *framer)
{
	int			level = framer->depth - 1;

	if (framer->last == ':' || framer->last == '[')
		return true;
	return framer->last == ',' && level >= 0 &&
		((framer->arrays[level / 64] >> (level % 64)) & 1) != 0;
}

/* Go one level down; false when that is too deep. */
static bool
frame_push(StediFramer *framer, bool array)
{
	int			level = framer->depth;
	uint64_t	bit;

	if (level >= framer->max_depth)
		return false;
	bit = UINT64_C(1) << (level % 64);
	if (array)
		framer->arrays[level / 64] |= bit;
	else
		framer->arrays[level / 64] &= ~bit;
	framer->depth++;
	return true;
}

/*
 * Skip the inside of a string from pos on.  Returns the position of the
 * quote that ends it, or of a line end, or len when neither is there yet.
 */
static size_t
frame_skip_string(StediFramer *framer, const char *buf, size_t pos, size_t len)
{
	bool		escaped = framer->escaped;

	for (; pos < len; pos++)
	{
		char		c = buf[pos];

		if (c == '\n')
			break;
		if (escaped)
			escaped = false;
		else if (c == '\\')
			escaped = true;
		else if (c == '"')
			break;
	}
	framer->escaped = escaped;
	return pos;
}

/* Set aside buf[0 .. len) for a reason. */
static StediFrameStatus
frame_bad(StediFramer *framer, const char *buf, size_t len, uint64_t newlines,
		  StediReason reason, StediSlice *record)
{
	record->data = buf;
	record->len = len;
	framer->reason = reason;
	frame_finish(framer, len, newlines);
	return STEDI_FRAME_BAD;
}

/*
 * Take the { or [ at buf[pos] of the record that starts at buf[0].  MORE when
 * the record goes on behind it.
 */
static StediFrameStatus
frame_take_bracket(StediFramer *framer, const char *buf, size_t pos, size_t len,
				   StediSlice *record)
{
	if (buf[pos] == '{' && pos > 0 && buf[pos - 1] == '\n' && !frame_allows_object(framer))
		return frame_bad(framer, buf, pos - 1, framer->newlines - 1,
						 STEDI_REASON_NOT_CLOSED, record);
	if (!frame_push(framer, buf[pos] == '['))
	{
		framer->given_up = true;
		return frame_bad(framer, buf, len, count_newlines(buf, len),
						 STEDI_REASON_TOO_DEEP, record);
	}
	return STEDI_FRAME_MORE;
}

/*
 * At buf[pos], in the record that starts at buf[0], may be a byte-order mark:
 * another file begins there.  False when there is none; else *status is BAD,
 * or MORE when it takes more bytes to tell.
 */
static bool
frame_take_mark(StediFramer *framer, const char *buf, size_t pos, size_t len,
				StediSlice *record, StediFrameStatus *status)
{
	bool		wait = false;

	if (frame_skip_mark(buf + pos, len - pos, false, &wait) > 0)
	{
		*status = frame_bad(framer, buf, pos, framer->newlines,
							STEDI_REASON_NOT_CLOSED, record);
		return true;
	}
	framer->scanned = pos;
	*status = STEDI_FRAME_MORE;
	return wait;
}

/*
 * Scan on in the record that starts at buf[0].  On RECORD and BAD, *record is
 * what was consumed.
 */
static StediFrameStatus
frame_scan_record(StediFramer *framer, const char *buf, size_t len,
				  StediSlice *record)
{
	StediFrameStatus status;
	size_t		pos = framer->scanned;

	for (; pos < len; pos++)
	{
		char		c = buf[pos];

		if (framer->in_string)
		{
			pos = frame_skip_string(framer, buf, pos, len);
			if (pos == len)
				break;
			if (buf[pos] == '\n')
				return frame_bad(framer, buf, pos, framer->newlines,
								 STEDI_REASON_LINE_IN_STRING, record);
			framer->in_string = false;
			framer->last = '"';
			continue;
		}

		switch (c)
		{
			case '"':
				framer->in_string = true;
				framer->escaped = false;
				continue;
			case '\n':
				framer->newlines++;
				continue;
			case ' ':
			case '\t':
			case '\r':
				continue;
			case BYTE_ORDER_MARK_START:
				if (frame_take_mark(framer, buf, pos, len, record, &status))
					return status;
				break;
			case '{':
			case '[':
				status = frame_take_bracket(framer, buf, pos, len, record);
				if (status != STEDI_FRAME_MORE)
					return status;
				break;
			case ']':
				if (framer->depth > 1)
					framer->depth--;
				break;
			case '}':
				if (--framer->depth > 0)
					break;
				record->data = buf;
				record->len = pos + 1;
				frame_finish(framer, pos + 1, framer->newlines);
				return STEDI_FRAME_RECORD;
		}
		framer->last = c;
	}
	framer->scanned = pos;
	return STEDI_FRAME_MORE;
}

/* The same for junk: it ends with its line. */
static StediFrameStatus
frame_scan_junk(StediFramer *framer, const char *buf, size_t len, bool last,
				StediSlice *record)
{
	const char *newline = NULL;

	if (len > framer->scanned)
		newline = memchr(buf + framer->scanned, '\n', len - framer->scanned);
	if (newline != NULL)
		len = newline - buf;
	else if (!last)
	{
		framer->scanned = len;
		return STEDI_FRAME_MORE;
	}
	return frame_bad(framer, buf, len, 0, STEDI_REASON_NOT_AN_OBJECT, record);
}

bool
stedi_frame_begin(StediFramer *framer, const char *buf, size_t len, size_t *used)
{
	bool		wait;

	*used = 0;
	if (framer->given_up || framer->cutting)
		return false;
	if (framer->open)
		return !framer->junk && framer->scanned == 0;

	/* nearly always it is a line end, or nothing */
	if (len > 1 && buf[0] == '\n' && buf[1] == '{')
	{
		framer->line++;
		framer->offset++;
		*used = 1;
	}
	else if (len == 0 || buf[0] != '{')
	{
		*used = frame_skip_separators(framer, buf, len, false, &wait);
		return framer->open && !framer->junk;
	}
	frame_begin(framer, false);
	return true;
}

void
stedi_frame_take(StediFramer *framer, size_t len, uint64_t newlines)
{
	frame_finish(framer, len, newlines);
}

StediFrameStatus
stedi_frame_next(StediFramer *framer, const char *buf, size_t len, bool last,
				 StediSlice *record, size_t *used)
{
	StediFrameStatus status;
	size_t		skipped = 0;

	if (framer->given_up)
	{
		framer->offset += len;
		framer->line += count_newlines(buf, len);
		*used = len;
		return last ? STEDI_FRAME_END : STEDI_FRAME_MORE;
	}

	if (framer->cutting)
	{
		const char *newline = len > 0 ? memchr(buf, '\n', len) : NULL;

		/* the line end itself is left for the next call */
		*used = newline != NULL ? (size_t) (newline - buf) : len;
		framer->offset += *used;
		framer->cutting = (newline == NULL && !last);
		if (*used > 0 || framer->cutting)
			return STEDI_FRAME_MORE;
	}

	if (!framer->open)
	{
		bool		wait;

		skipped = frame_skip_separators(framer, buf, len, last, &wait);
		*used = skipped;
		if (!framer->open)
		{
			if (!last || wait)
				return STEDI_FRAME_MORE;
			if (!framer->in_array)
				return STEDI_FRAME_END;
			framer->in_array = false;
			frame_begin(framer, false);
			return frame_bad(framer, buf + skipped, 0, 0,
							 STEDI_REASON_ARRAY_OPEN, record);
		}
	}

	if (framer->junk)
		status = frame_scan_junk(framer, buf + skipped, len - skipped, last, record);
	else
		status = frame_scan_record(framer, buf + skipped, len - skipped, record);
	if (status == STEDI_FRAME_MORE && last)
	{
		/* inside the array, too, perhaps: one reject tells of the end */
		framer->in_array = false;
		status = frame_bad(framer, buf + skipped, len - skipped, framer->newlines,
						   STEDI_REASON_CUT_OFF, record);
	}

	*used = skipped;
	if (status != STEDI_FRAME_MORE)
		*used += record->len;
	return status;
}

void
stedi_frame_give_up(StediFramer *framer, StediReason reason)
{
	framer->reason = reason;
	framer->open = false;
	framer->given_up = true;
}

void
stedi_frame_cut_junk(StediFramer *framer, size_t len)
{
	framer->reason = STEDI_REASON_NOT_AN_OBJECT;
	frame_finish(framer, len, 0);
	framer->cutting = true;
}

const char *
stedi_reason_text(StediReason reason)
{
	switch (reason)
	{
		case STEDI_REASON_NONE:
			return "nothing is wrong";
		case STEDI_REASON_NOT_AN_OBJECT:
			return "not a JSON object";
		case STEDI_REASON_CUT_OFF:
			return "the landing object ends inside the record";
		case STEDI_REASON_ARRAY_OPEN:
			return "the landing object ends inside its array";
		case STEDI_REASON_LINE_IN_STRING:
			return "the line ends inside a string";
		case STEDI_REASON_NOT_CLOSED:
			return "the next record starts before this one is closed";
		case STEDI_REASON_TOO_DEEP:
			return "nested deeper than option \"max_depth\" allows";
		case STEDI_REASON_TOO_LONG:
			return "longer than option \"max_record_size\" allows";
		case STEDI_REASON_DAMAGED:
			return "the compressed bytes are damaged or cut off";
		case STEDI_REASON_SYNTAX:
			return "not valid JSON";
		case STEDI_REASON_TWO_KEYS:
			return "two keys match and their values differ";
		case STEDI_REASON_ZERO_CHARACTER:
			return "text contains \\u0000";
		case STEDI_REASON_OUT_OF_MEMORY:
			return "out of memory";
		case STEDI_REASON_ENCODING:
			return "not valid text in the encoding of the database";
		case STEDI_REASON_WRONG_KIND:
			return "a JSON value of another kind";
		case STEDI_REASON_NOT_A_NUMBER:
			return "not a number";
		case STEDI_REASON_NOT_AN_INTEGER:
			return "not an integer";
		case STEDI_REASON_OUT_OF_RANGE:
			return "out of range";
		case STEDI_REASON_NOT_A_TIME:
			return "not a date or time";
		case STEDI_REASON_NOT_A_VALUE:
			return "not a value of the column's type";
		case STEDI_REASON_OTHER_UNIT:
			return "a time of another unit than option \"time_unit\" says";
		case STEDI_REASON_MISSING:
			return "missing or empty";
	}
	return "unknown reason";
}
