/*-------------------------------------------------------------------------
 *
 * field.h
 *		Fields and their values, and why a record is rejected.
 *
 * Backend-free (see record.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_RECORD_FIELD_H
#define STEDI_RECORD_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Some bytes of a buffer that the caller owns; not NUL-terminated. */
typedef struct StediSlice
{
	const char *data;			/* borrowed */
	size_t		len;
} StediSlice;

/*
 * Why a record, or a stretch of bytes that should have been one, is set
 * aside.  stedi_reason_text() has the words; they quote no value.
 */
typedef enum StediReason
{
	STEDI_REASON_NONE = 0,
	/* framing: frame.c, inflate.c, scan.c */
	STEDI_REASON_NOT_AN_OBJECT, /* bytes between records that are no record */
	STEDI_REASON_CUT_OFF,		/* the object ends inside a record */
	STEDI_REASON_ARRAY_OPEN,	/* the object ends inside its array */
	STEDI_REASON_LINE_IN_STRING,	/* a line ends inside a string */
	STEDI_REASON_NOT_CLOSED,	/* the next record starts before this one ends */
	STEDI_REASON_TOO_DEEP,		/* nested beyond the framer's max_depth */
	STEDI_REASON_TOO_LONG,		/* longer than max_record_size */
	STEDI_REASON_DAMAGED,		/* the compressed bytes are not right */
	/* syntax: decode.c, json.c */
	STEDI_REASON_SYNTAX,		/* not JSON */
	STEDI_REASON_TWO_KEYS,		/* two keys of a column, which differ */
	STEDI_REASON_ZERO_CHARACTER,	/* \u0000 in a wanted string */
	STEDI_REASON_OUT_OF_MEMORY,
	/* value: value.c, tuple.c */
	STEDI_REASON_ENCODING,		/* not text in the encoding */
	STEDI_REASON_WRONG_KIND,	/* e.g. an object for a number */
	STEDI_REASON_NOT_A_NUMBER,
	STEDI_REASON_NOT_AN_INTEGER,
	STEDI_REASON_OUT_OF_RANGE,
	STEDI_REASON_NOT_A_TIME,
	STEDI_REASON_NOT_A_VALUE,	/* refused by the type's input function */
	STEDI_REASON_OTHER_UNIT,
	STEDI_REASON_MISSING,		/* a column that the zone cannot do without */
} StediReason;

/* A short English phrase, static; never NULL. */
extern const char *stedi_reason_text(StediReason reason);

typedef enum StediFieldKind
{
	STEDI_FIELD_MISSING = 0,
	STEDI_FIELD_NULL,
	STEDI_FIELD_STRING,			/* text: what stands between the quotes,
								 * unescaped */
	STEDI_FIELD_NUMBER,			/* text: as written, by the grammar of JSON */
	STEDI_FIELD_TRUE,
	STEDI_FIELD_FALSE,
	STEDI_FIELD_NESTED,			/* an object or an array; text: as written */
	STEDI_FIELD_UNREADABLE,		/* two keys that differ, or no text: see the
								 * reason */
} StediFieldKind;

typedef struct StediField
{
	StediFieldKind kind;
	StediSlice	text;			/* borrowed from the record or the decoder */
} StediField;

/* plain.c */

/* Does text obey JSON's grammar of numbers, from end to end? */
extern bool stedi_value_is_number(StediSlice text);

/* value.c */

extern StediReason stedi_value_int64(const StediField *field, int64_t *value);
extern StediReason stedi_value_double(const StediField *field, double *value);
extern StediReason stedi_value_bool(const StediField *field, bool *value);

/* The units of times that are numbers. */
typedef enum StediTimeUnit
{
	STEDI_UNIT_S,
	STEDI_UNIT_MS,
	STEDI_UNIT_US,
	STEDI_UNIT_NS,
	STEDI_N_UNITS
} StediTimeUnit;

/* microseconds since 1970-01-01 00:00:00 UTC; from epoch ms or ISO 8601 with an offset */
extern StediReason stedi_value_time(const StediField *field, int64_t *value);

/*
 * The same of numbers of a unit, which may be S, MS or US.  local is NULL, or
 * ISO 8601 may lack its offset: then *local says that, and *value is what a
 * clock showed.
 */
extern StediReason stedi_value_time_of(const StediField *field, StediTimeUnit unit,
									   bool *local, int64_t *value);

/*
 * Milliseconds, likewise.  What is finer is rounded down; but numbers of
 * milliseconds must be whole.
 */
extern StediReason stedi_value_ms_of(const StediField *field, StediTimeUnit unit,
									 bool *local, int64_t *value);

/* Of microseconds, the milliseconds, rounded down. */
extern int64_t stedi_value_whole_ms(int64_t us);

/*
 * Epoch ms that are a number of a unit: can only another unit make a time of
 * it?  Then which, and the latest time, in epoch ms, that it may mean.
 */
extern bool stedi_value_other_unit(int64_t ms, StediTimeUnit unit,
								   StediTimeUnit *other, int64_t *latest);

/* days since 1970-01-01; from YYYY-MM-DD */
extern StediReason stedi_value_date(const StediField *field, int32_t *value);

#endif							/* STEDI_RECORD_FIELD_H */
