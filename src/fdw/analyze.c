/*-------------------------------------------------------------------------
 *
 * analyze.c
 *		A sample of a landing table for ANALYZE, without its values.
 *
 * pg_statistic holds most common values and histogram bounds, and landing
 * records are not yet filtered by consent.  So the sample holds pseudonyms:
 * text of equal length, numbers and times moved a little.  Each is a function
 * of the value and of a key that lasts for one ANALYZE, so that equal values
 * stay equal and the planner learns of widths, NULLs, distinct values and,
 * roughly, of distributions, but of no value.
 *
 *-------------------------------------------------------------------------
 */
#include "fdw/fdw.h"

#include "catalog/pg_type.h"
#include "commands/vacuum.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/sampling.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/*
 * Numbers move by up to the range of the sample over NOISE_DIVISOR; where
 * that is little, by up to MIN_NOISE or that part of the largest: half an
 * hour, for epoch milliseconds.
 */
#define NOISE_DIVISOR 64
#define MIN_NOISE 8.0
#define MIN_NOISE_PART 1e-6

typedef struct Sample
{
	TupleDesc	tupdesc;
	int			n_rows;
	Datum	  **values;			/* [row][column] */
	bool	  **nulls;
	uint64		key;
} Sample;

static uint64
keyed_hash(const void *bytes, Size len, uint64 key)
{
	return hash_bytes_extended(bytes, (int) len, key);
}

/* Bytes that stand for others: hexadecimal digits, as many. */
static void
fill_pseudonym(char *dest, const char *bytes, Size len, uint64 key)
{
	static const char digits[] = "0123456789abcdef";
	uint64		hash = keyed_hash(bytes, len, key);

	for (Size i = 0; i < len; i++)
	{
		if (i % 16 == 0 && i > 0)
			hash = keyed_hash(&hash, sizeof(hash), key);
		dest[i] = digits[(hash >> (4 * (i % 16))) & 15];
	}
}

static Datum
text_pseudonym(Datum value, uint64 key)
{
	text	   *given = DatumGetTextPP(value);
	Size		len = VARSIZE_ANY_EXHDR(given);
	text	   *result = palloc(len + VARHDRSZ);

	SET_VARSIZE(result, len + VARHDRSZ);
	fill_pseudonym(VARDATA(result), VARDATA_ANY(given), len, key);
	return PointerGetDatum(result);
}

static Datum
uuid_pseudonym(Datum value, uint64 key)
{
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));

	for (int i = 0; i < UUID_LEN; i += sizeof(uint64))
	{
		uint64		hash = keyed_hash(DatumGetUUIDP(value), UUID_LEN, key + i);

		memcpy(result->data + i, &hash, sizeof(uint64));
	}
	return UUIDPGetDatum(result);
}

/* A JSON string as long as the value is in its binary form. */
static Datum
jsonb_pseudonym(Datum value, uint64 key)
{
	Jsonb	   *given = DatumGetJsonbP(value);
	JsonbValue	string;

	string.type = jbvString;
	string.val.string.len = (int) Min(VARSIZE(given), 64 * 1024);
	string.val.string.val = palloc(string.val.string.len);
	fill_pseudonym(string.val.string.val, (char *) given, string.val.string.len, key);
	return JsonbPGetDatum(JsonbValueToJsonb(&string));
}

/* A value of a type that is ordered as numbers are, as a double. */
static double
number_of(Oid type, Datum value)
{
	switch (type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		case INT8OID:
			return (double) DatumGetInt64(value);
		case FLOAT4OID:
			return DatumGetFloat4(value);
		case FLOAT8OID:
			return DatumGetFloat8(value);
		case NUMERICOID:
			return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, value));
		case DATEOID:
			return DatumGetDateADT(value);
		default:
			Assert(type == TIMESTAMPTZOID);
			return (double) DatumGetTimestampTz(value);
	}
}

/* The way back, kept within the type. */
static Datum
datum_of(Oid type, double number)
{
	switch (type)
	{
		case INT2OID:
			return Int16GetDatum((int16) Max(Min(rint(number), PG_INT16_MAX), PG_INT16_MIN));
		case INT4OID:
			return Int32GetDatum((int32) Max(Min(rint(number), PG_INT32_MAX), PG_INT32_MIN));
		case INT8OID:
			/* 2^63 - 1024 is the largest double that fits */
			return Int64GetDatum((int64) Max(Min(rint(number), 9223372036854774784.0),
											 -9223372036854775808.0));
		case FLOAT4OID:
			return Float4GetDatum((float4) number);
		case FLOAT8OID:
			return Float8GetDatum(number);
		case NUMERICOID:
			return DirectFunctionCall1(float8_numeric, Float8GetDatum(number));
		case DATEOID:
			return DateADTGetDatum((DateADT) Max(Min(rint(number), DATE_END_JULIAN - POSTGRES_EPOCH_JDATE - 1),
												 -POSTGRES_EPOCH_JDATE));
		default:
			return TimestampTzGetDatum((TimestampTz) Max(Min(rint(number), (double) END_TIMESTAMP / 2),
														 (double) MIN_TIMESTAMP));
	}
}

/*
 * How far a number moves: up to width either way, and never not at all.
 * Whole numbers move by whole ones, others also by less than 1.
 */
static double
noise(uint64 hash, double width, bool whole)
{
	double		part = (double) (hash >> 11) / (double) (UINT64CONST(1) << 53);
	double		distance = whole ? 1 + floor(part * width)
	: (part + 1.0 / NOISE_DIVISOR) * width / MIN_NOISE;

	return (hash & 1) ? distance : -distance;
}

/* Move the numbers of a column, equal ones alike. */
static void
move_numbers(Sample *sample, int attno, Oid type)
{
	double		smallest = 0;
	double		largest = 0;
	double		width;
	bool		any = false;

	for (int row = 0; row < sample->n_rows; row++)
	{
		double		number;

		if (sample->nulls[row][attno])
			continue;
		number = number_of(type, sample->values[row][attno]);
		if (!isfinite(number))
			continue;
		smallest = any ? Min(smallest, number) : number;
		largest = any ? Max(largest, number) : number;
		any = true;
	}
	width = Max(Max((largest / 2 - smallest / 2) / (NOISE_DIVISOR / 2), MIN_NOISE),
				fabs(largest) * MIN_NOISE_PART);
	for (int row = 0; row < sample->n_rows; row++)
	{
		double		number;

		CHECK_FOR_INTERRUPTS();
		if (sample->nulls[row][attno])
			continue;
		number = number_of(type, sample->values[row][attno]);
		if (!isfinite(number))
			number = largest;	/* beyond a double, as a numeric may be */
		number += noise(keyed_hash(&number, sizeof(number), sample->key + attno), width,
						type != FLOAT4OID && type != FLOAT8OID && type != NUMERICOID);
		sample->values[row][attno] = datum_of(type, isfinite(number) ? number : largest / 2);
	}
}

/* Put pseudonyms in place of a column's values. */
static void
hide_column(Sample *sample, int attno)
{
	Oid			type = TupleDescAttr(sample->tupdesc, attno)->atttypid;
	Datum		(*pseudonym) (Datum value, uint64 key) = NULL;

	switch (type)
	{
		case BOOLOID:
			return;				/* two values tell of nobody */
		case TEXTOID:
		case VARCHAROID:
			pseudonym = text_pseudonym;
			break;
		case UUIDOID:
			pseudonym = uuid_pseudonym;
			break;
		case JSONBOID:
			pseudonym = jsonb_pseudonym;
			break;
		default:
			move_numbers(sample, attno, type);
			return;
	}
	for (int row = 0; row < sample->n_rows; row++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!sample->nulls[row][attno])
			sample->values[row][attno] = pseudonym(sample->values[row][attno],
												   sample->key + attno);
	}
}

/* Copy a row into the sample's place for it. */
static void
keep_row(Sample *sample, int row, const Datum *values, const bool *nulls)
{
	for (int i = 0; i < sample->tupdesc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(sample->tupdesc, i);

		sample->nulls[row][i] = nulls[i];
		if (!nulls[i])
			sample->values[row][i] = attr->attbyval ? values[i] :
				PointerGetDatum(attr->attlen == -1 ?
								(struct varlena *) PG_DETOAST_DATUM_COPY(values[i]) :
								memcpy(palloc(attr->attlen), DatumGetPointer(values[i]), attr->attlen));
	}
}

/* Read every record, and keep targrows of them, each as likely as the others. */
static double
read_sample(Sample *sample, StediScan *scan, int targrows)
{
	int			natts = sample->tupdesc->natts;
	Datum	   *values = palloc(natts * sizeof(Datum));
	bool	   *nulls = palloc(natts * sizeof(bool));
	ReservoirStateData reservoir;
	double		n_read = 0;
	double		to_skip = -1;

	reservoir_init_selection_state(&reservoir, targrows);
	while (stedi_scan_next(scan, values, nulls) == STEDI_SCAN_ROW)
	{
		int			row = -1;

		if (sample->n_rows < targrows)
		{
			row = sample->n_rows++;
			sample->values[row] = palloc(natts * sizeof(Datum));
			sample->nulls[row] = palloc(natts * sizeof(bool));
		}
		else
		{
			if (to_skip < 0)
				to_skip = reservoir_get_next_S(&reservoir, n_read, targrows);
			if (to_skip <= 0)
				row = (int) (targrows * sampler_random_fract(&reservoir.randstate));
			to_skip -= 1;
			for (int i = 0; row >= 0 && i < natts; i++)
				if (!sample->nulls[row][i] && !TupleDescAttr(sample->tupdesc, i)->attbyval)
					pfree(DatumGetPointer(sample->values[row][i]));
		}
		if (row >= 0)
			keep_row(sample, row, values, nulls);
		n_read++;
	}
	return n_read;
}

int
stedi_analyze_sample(Relation relation, int elevel, HeapTuple *rows, int targrows,
					 double *totalrows, double *totaldeadrows)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "stedi sample",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(cxt);
	TupleDesc	tupdesc = RelationGetDescr(relation);
	Sample		sample = {.tupdesc = tupdesc};
	bool	   *wanted = palloc(tupdesc->natts * sizeof(bool));
	StediScan  *scan;

	memset(wanted, true, tupdesc->natts * sizeof(bool));
	sample.values = palloc0(targrows * sizeof(Datum *));
	sample.nulls = palloc0(targrows * sizeof(bool *));
	if (!pg_strong_random(&sample.key, sizeof(sample.key)))
		ereport(ERROR,
				errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("could not generate random values"));
	scan = stedi_scan_open(RelationGetRelid(relation), GetUserId(), tupdesc, wanted, 0);
	*totalrows = read_sample(&sample, scan, targrows);
	*totaldeadrows = 0;
	ereport(elevel,
			errmsg("\"%s\": foreign table has " UINT64_FORMAT " records; %d in the sample, as pseudonyms",
				   RelationGetRelationName(relation),
				   stedi_scan_stats(scan)->records, sample.n_rows));
	stedi_scan_close(scan);

	for (int i = 0; i < tupdesc->natts; i++)
		if (!TupleDescAttr(tupdesc, i)->attisdropped)
			hide_column(&sample, i);
	MemoryContextSwitchTo(caller);
	for (int row = 0; row < sample.n_rows; row++)
	{
		CHECK_FOR_INTERRUPTS();
		rows[row] = heap_form_tuple(tupdesc, sample.values[row], sample.nulls[row]);
	}
	MemoryContextDelete(cxt);
	return sample.n_rows;
}
