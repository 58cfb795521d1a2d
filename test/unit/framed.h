/*-------------------------------------------------------------------------
 *
 * framed.h
 *		What frame.c finds in an object, and what doc/rules.md says is there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_FRAMED_H
#define STEDI_FRAMED_H

#include <stdlib.h>
#include <string.h>

#include "record/record.h"
#include "reading.h"
#include "tap.h"

/* An object of one byte fewer fits in any case. */
#define MAX_ITEMS 2049

/* A record (reason NONE) or a reject. */
typedef struct Item
{
	StediReason reason;
	uint64_t	offset;
	uint64_t	line;
	size_t		len;
} Item;

typedef struct Outcome
{
	int			n;
	const char *breach;			/* of the contract in record.h; NULL if none */
	Item		items[MAX_ITEMS];
} Outcome;

static inline void
add_item(Outcome *out, StediReason reason, uint64_t offset, uint64_t line, size_t len)
{
	if (out->n == MAX_ITEMS)
		abort();
	out->items[out->n].reason = reason;
	out->items[out->n].offset = offset;
	out->items[out->n].line = line;
	out->items[out->n].len = len;
	out->n++;
}

static inline uint64_t
count_lines(const char *bytes, size_t from, size_t to)
{
	uint64_t	n = 0;

	for (; from < to; from++)
		n += bytes[from] == '\n';
	return n;
}

/*
 * Frame an object that arrives in pieces, as scan.c does: what is not consumed
 * is kept, and moved to where the next call finds it.  Each time it is in
 * memory of its own, so that ASan sees a byte too far.
 */
static inline void
framed_run(const char *bytes, size_t len, Reading reading, Outcome *out)
{
	StediFramer framer;
	StediFrameStatus status = STEDI_FRAME_MORE;
	size_t		done = 0;
	size_t		have = 0;
	uint64_t	line = 1;
	bool		last = false;

	stedi_frame_init(&framer);
	if (reading.max_depth > 0)
		framer.max_depth = reading.max_depth;
	out->n = 0;
	out->breach = NULL;
	while (status != STEDI_FRAME_END && out->breach == NULL)
	{
		size_t		n = have - done;
		char	   *buf = malloc(n ? n : 1);
		StediSlice	record = {NULL, 0};
		size_t		used = SIZE_MAX;
		bool		cutting = framer.cutting;

		memcpy(buf, bytes + done, n);
		status = stedi_frame_next(&framer, buf, n, last, &record, &used);
		if (used > n)
			abort();
		if (status == STEDI_FRAME_RECORD || status == STEDI_FRAME_BAD)
		{
			if (record.data + record.len != buf + used)
				out->breach = "a record does not end at the consumed bytes";
			if (framer.record_offset != done + (record.data - buf))
				out->breach = "a record is not at its offset";
			add_item(out, status == STEDI_FRAME_RECORD ? STEDI_REASON_NONE : framer.reason,
					 framer.record_offset, framer.record_line, record.len);
		}
		free(buf);
		/* the rest of its line belongs to junk that was cut */
		if (cutting && used > 0 && bytes[done] != '\n')
			out->items[out->n - 1].len += used;
		line += count_lines(bytes, done, done + used);
		done += used;
		if (framer.offset != done)
			out->breach = "the framer's offset is not that of the next byte";
		if (framer.line != line)
			out->breach = "the framer's line is not that of the next byte";

		if (status != STEDI_FRAME_MORE)
			continue;
		if (last && !(cutting && used > 0))
			out->breach = "more bytes are asked for at the end";
		if (reading.limit > 0 && have - done == reading.limit)
		{
			if (framer.junk)
			{
				add_item(out, STEDI_REASON_NOT_AN_OBJECT, framer.record_offset, framer.record_line,
						 reading.limit);
				stedi_frame_cut_junk(&framer, have - done);
				done = have;
				continue;
			}
			add_item(out, STEDI_REASON_TOO_LONG, framer.record_offset, framer.record_line,
					 reading.limit);
			stedi_frame_give_up(&framer, STEDI_REASON_TOO_LONG);
			continue;
		}
		last = reading_goes_on(&reading, len, done, &have);
	}
	if (out->breach == NULL && done != len)
		out->breach = "it ended before the object did";

	/* the last reject of an object that was given up covers the rest of it */
	if (framer.given_up && out->n > 0)
		out->items[out->n - 1].len = len - out->items[out->n - 1].offset;
}

/* Is there a byte-order mark? */
static inline bool
is_mark(const char *bytes, size_t len, size_t pos)
{
	return len - pos >= 3 && memcmp(bytes + pos, "\xef\xbb\xbf", 3) == 0;
}

/*
 * The end of the record at start, found by the words of doc/rules.md in the
 * whole object at once; *reason when it is a reject.
 */
static inline size_t
expect_record(const char *bytes, size_t len, size_t start, int max_depth, StediReason *reason)
{
	static char nesting[STEDI_DEEPEST];
	int			depth = 0;
	size_t		pos;

	for (pos = start; pos < len; pos++)
	{
		char		c = bytes[pos];
		size_t		before = pos;

		if (c == '"')
		{
			for (pos++; pos < len && bytes[pos] != '"' && bytes[pos] != '\n'; pos++)
				if (bytes[pos] == '\\' && pos + 1 < len && bytes[pos + 1] != '\n')
					pos++;
			if (pos >= len)
				break;
			*reason = STEDI_REASON_LINE_IN_STRING;
			if (bytes[pos] == '\n')
				return pos;
		}
		else if (c == '{' || c == '[')
		{
			*reason = STEDI_REASON_NOT_CLOSED;
			if (c == '{' && pos > start && bytes[pos - 1] == '\n')
			{
				while (memchr(" \t\r\n", bytes[before - 1], 4) != NULL)
					before--;
				c = bytes[before - 1];
				if (c != ':' && c != '[' && (c != ',' || nesting[depth - 1] != '['))
					return pos - 1;
			}
			*reason = STEDI_REASON_TOO_DEEP;
			if (depth == max_depth)
				return len;
			nesting[depth++] = bytes[pos];
		}
		else if (is_mark(bytes, len, pos))
		{
			*reason = STEDI_REASON_NOT_CLOSED;
			return pos;
		}
		else if (c == '}' && depth == 1)
		{
			*reason = STEDI_REASON_NONE;
			return pos + 1;
		}
		else if ((c == '}' || c == ']') && depth > 1)
			depth--;
	}
	*reason = STEDI_REASON_CUT_OFF;
	return len;
}

/* What is in an object, by the words of doc/rules.md, when nothing is too long. */
static inline void
framed_expect(const char *bytes, size_t len, int max_depth, Outcome *out)
{
	size_t		pos = 0;
	size_t		end;
	bool		in_array = false;
	bool		after_record = false;
	StediReason reason = STEDI_REASON_NONE;

	out->n = 0;
	out->breach = NULL;
	for (; pos < len; pos = end)
	{
		char		c = bytes[pos];

		end = pos + 1;
		if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
			continue;
		if (is_mark(bytes, len, pos))
		{
			end = pos + 3;
			continue;
		}
		if ((c == ',' && after_record) || (c == '[' && !in_array) || (c == ']' && in_array))
		{
			in_array = (c == ',') ? in_array : (c == '[');
			after_record = false;
			continue;
		}
		if (c == '{')
			end = expect_record(bytes, len, pos, max_depth, &reason);
		else
		{
			reason = STEDI_REASON_NOT_AN_OBJECT;
			while (end < len && bytes[end] != '\n')
				end++;
		}
		add_item(out, reason, pos, 1 + count_lines(bytes, 0, pos), end - pos);
		after_record = true;
		if (reason == STEDI_REASON_CUT_OFF || reason == STEDI_REASON_TOO_DEEP)
			return;
	}
	if (in_array)
		add_item(out, STEDI_REASON_ARRAY_OPEN, len, 1 + count_lines(bytes, 0, len), 0);
}

/* Are two outcomes the same?  If not, say where. */
static inline bool
is_same(const Outcome *got, const Outcome *want)
{
	if (got->breach != NULL)
	{
		note("%s", got->breach);
		return false;
	}
	for (int i = 0; i < got->n || i < want->n; i++)
	{
		const Item *a = &got->items[i];
		const Item *b = &want->items[i];

		if (i < got->n && i < want->n && a->reason == b->reason &&
			a->offset == b->offset && a->line == b->line && a->len == b->len)
			continue;
		if (i < got->n)
			note("item %d, got: \"%s\" at byte %d, line %d, %zu bytes", i,
				 stedi_reason_text(a->reason), (int) a->offset, (int) a->line, a->len);
		if (i < want->n)
			note("item %d, expected: \"%s\" at byte %d, line %d, %zu bytes", i,
				 stedi_reason_text(b->reason), (int) b->offset, (int) b->line, b->len);
		return false;
	}
	return true;
}

/* Do the items cover the object in order, but for separators, each byte once? */
static inline bool
is_covered(const char *bytes, size_t len, const Outcome *out)
{
	size_t		pos = 0;

	for (int i = 0; i <= out->n; i++)
	{
		size_t		stop = i < out->n ? out->items[i].offset : len;

		if (stop < pos || stop > len)
			return false;
		for (; pos < stop; pos++)
			if (is_mark(bytes, stop, pos))
				pos += 2;
			else if (bytes[pos] == '\0' || strchr(" \t\r\n,[]", bytes[pos]) == NULL)
				return false;
		if (i < out->n)
		{
			if (out->items[i].line != 1 + count_lines(bytes, 0, stop))
				return false;
			pos += out->items[i].len;
		}
	}
	return pos == len;
}

#endif							/* STEDI_FRAMED_H */
