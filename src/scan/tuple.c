/*-------------------------------------------------------------------------
 *
 * tuple.c
 *		Fields to values: one converter a type.
 *
 * doc/rules.md says what each type takes.  A value that does not fit is a
 * reason, never an error: the converters check before they call an input
 * function, and only functions of built-in types are called, which throw
 * nothing that stedi_compat_input does not catch.
 *
 *-------------------------------------------------------------------------
 */
#include "scan/row.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/float.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

/*
 * Text up to this length is made in the column's own room, which saves an
 * allocation a record: e-mails and serial numbers have some 30 bytes.
 */
#define SHORT_TEXT 256

typedef struct Column Column;

typedef StediReason (*Converter) (Column *column, const StediField *field, Datum *value);

struct Column
{
	uint64		record;			/* the last one that it was converted of */
	StediSource source;
	int			field;			/* RECORD: in the decoder's fields */
	bool		wanted;
	Converter	convert;		/* RECORD */
	text	   *room;			/* text: SHORT_TEXT bytes */
	const StediClock *clock;	/* borrowed: of times */
	bool		takes_text;		/* what option "null_values" names is a text */
	int32		typmod;
	Oid			typioparam;
	FmgrInfo	input;			/* of types that read text themselves */
};

struct StediTuple
{
	Column	   *columns;		/* one an attribute */
	int		   *wanted;			/* the attributes of those that are wanted */
	int			n_wanted;
	uint64		record;			/* how many have begun */
	StediSlice *keys;
	int			n_keys;

	/* option "null_values" */
	const StediOptions *opts;	/* borrowed */
};

/*
 * Is it ASCII, without a zero?  Then it is text in UTF-8.
 */
static inline bool
is_ascii(StediSlice text)
{
	const uint64 highs = UINT64CONST(0x8080808080808080);
	const uint64 ones = UINT64CONST(0x0101010101010101);
	uint64		found = 0;
	size_t		pos = 0;

	for (; pos + sizeof(uint64) <= text.len; pos += sizeof(uint64))
	{
		uint64		bytes;

		memcpy(&bytes, text.data + pos, sizeof(uint64));
		found |= bytes | (bytes - ones);
	}
	for (; pos < text.len; pos++)
		found |= (unsigned char) text.data[pos] | ((unsigned char) text.data[pos] - UINT64CONST(1));
	return (found & highs) == 0;
}

static StediReason
convert_text(Column *column, const StediField *field, Datum *value)
{
	StediSlice	text = field->text;
	char	   *copy;
	int			len;

	if (field->kind != STEDI_FIELD_STRING && field->kind != STEDI_FIELD_NUMBER)
		return STEDI_REASON_WRONG_KIND;
	if (GetDatabaseEncoding() == PG_UTF8)
	{
		/* the usual case: checked and copied once */
		if (!is_ascii(text) &&
			!pg_verify_mbstr(PG_UTF8, text.data, (int) text.len, true))
			return STEDI_REASON_ENCODING;
		if (text.len <= SHORT_TEXT)
		{
			SET_VARSIZE(column->room, text.len + VARHDRSZ);
			memcpy(VARDATA(column->room), text.data, text.len);
			*value = PointerGetDatum(column->room);
		}
		else
			*value = PointerGetDatum(cstring_to_text_with_len(text.data, (int) text.len));
	}
	else
	{
		copy = stedi_text_convert(text, &len);
		if (copy == NULL)
			return STEDI_REASON_ENCODING;
		*value = PointerGetDatum(cstring_to_text_with_len(copy, len));
	}
	if (column->typmod >= (int32) VARHDRSZ &&
		pg_mbstrlen_with_len(VARDATA_ANY(DatumGetPointer(*value)),
							 VARSIZE_ANY_EXHDR(DatumGetPointer(*value))) >
		column->typmod - (int32) VARHDRSZ)
		return STEDI_REASON_OUT_OF_RANGE;
	return STEDI_REASON_NONE;
}

static StediReason
convert_int8(Column *column, const StediField *field, Datum *value)
{
	int64_t		number;
	StediReason reason = stedi_value_int64(field, &number);

	*value = Int64GetDatum(number);
	return reason;
}

/* A time of the zone, where it is no number of epoch ms. */
static StediReason
convert_time8(Column *column, const StediField *field, Datum *value)
{
	int64		ms;
	StediReason reason = stedi_time_read_ms(column->clock, field, &ms);

	*value = Int64GetDatum(ms);
	return reason;
}

static StediReason
convert_int4(Column *column, const StediField *field, Datum *value)
{
	int64_t		number;
	StediReason reason = stedi_value_int64(field, &number);

	if (reason == STEDI_REASON_NONE && (number < PG_INT32_MIN || number > PG_INT32_MAX))
		reason = STEDI_REASON_OUT_OF_RANGE;
	*value = Int32GetDatum((int32) number);
	return reason;
}

static StediReason
convert_int2(Column *column, const StediField *field, Datum *value)
{
	int64_t		number;
	StediReason reason = stedi_value_int64(field, &number);

	if (reason == STEDI_REASON_NONE && (number < PG_INT16_MIN || number > PG_INT16_MAX))
		reason = STEDI_REASON_OUT_OF_RANGE;
	*value = Int16GetDatum((int16) number);
	return reason;
}

static StediReason
convert_float8(Column *column, const StediField *field, Datum *value)
{
	double		number;
	StediReason reason = stedi_value_double(field, &number);

	*value = Float8GetDatum(number);
	return reason;
}

static StediReason
convert_bool(Column *column, const StediField *field, Datum *value)
{
	bool		truth;
	StediReason reason = stedi_value_bool(field, &truth);

	*value = BoolGetDatum(truth);
	return reason;
}

static StediReason
convert_timestamptz(Column *column, const StediField *field, Datum *value)
{
	int64_t		number;
	int64		us;
	TimestampTz time;
	StediReason reason;

	/*
	 * whole milliseconds reach the end of the type; microseconds since 1970
	 * do not
	 */
	if (column->clock->unit == STEDI_UNIT_MS &&
		stedi_value_int64(field, &number) == STEDI_REASON_NONE)
	{
		if (!stedi_time_from_ms(number, &time))
			return STEDI_REASON_OUT_OF_RANGE;
	}
	else
	{
		reason = stedi_time_read_us(column->clock, field, &us);
		if (reason != STEDI_REASON_NONE)
			return reason;
		if (!stedi_time_from_us(us, &time))
			return STEDI_REASON_OUT_OF_RANGE;
	}
	*value = TimestampTzGetDatum(time);
	if (column->typmod >= 0)
		*value = DirectFunctionCall2(timestamptz_scale, *value,
									 Int32GetDatum(column->typmod));
	return STEDI_REASON_NONE;
}

static StediReason
convert_date(Column *column, const StediField *field, Datum *value)
{
	int32_t		days;
	StediReason reason = stedi_value_date(field, &days);

	*value = DateADTGetDatum(stedi_time_date(days));
	return reason;
}

/* The types whose input functions we call: numeric, real, uuid, jsonb. */
static StediReason
convert_input(Column *column, char *text, Datum *value)
{
	if (text == NULL)
		return STEDI_REASON_ENCODING;
	return stedi_compat_input(&column->input, text, column->typioparam,
							  column->typmod, value) ?
		STEDI_REASON_NONE : STEDI_REASON_NOT_A_VALUE;
}

static StediReason
convert_number(Column *column, const StediField *field, Datum *value)
{
	if (field->kind != STEDI_FIELD_NUMBER && field->kind != STEDI_FIELD_STRING)
		return STEDI_REASON_WRONG_KIND;
	if (!stedi_value_is_number(field->text))
		return STEDI_REASON_NOT_A_NUMBER;
	return convert_input(column, pnstrdup(field->text.data, field->text.len), value);
}

static StediReason
convert_uuid(Column *column, const StediField *field, Datum *value)
{
	int			len;

	if (field->kind != STEDI_FIELD_STRING)
		return STEDI_REASON_WRONG_KIND;
	return convert_input(column, stedi_text_convert(field->text, &len), value);
}

static StediReason
convert_jsonb(Column *column, const StediField *field, Datum *value)
{
	int			len;
	char	   *text = stedi_text_convert(field->text, &len);

	if (text != NULL && field->kind == STEDI_FIELD_STRING)
	{
		StringInfoData quoted;

		initStringInfo(&quoted);
		escape_json(&quoted, text);
		text = quoted.data;
	}
	return convert_input(column, text, value);
}

static const struct
{
	Oid			type;
	Converter	convert;
}			converters[] = {
	{TEXTOID, convert_text},
	{VARCHAROID, convert_text},
	{INT8OID, convert_int8},
	{INT4OID, convert_int4},
	{INT2OID, convert_int2},
	{FLOAT8OID, convert_float8},
	{FLOAT4OID, convert_number},
	{NUMERICOID, convert_number},
	{BOOLOID, convert_bool},
	{TIMESTAMPTZOID, convert_timestamptz},
	{DATEOID, convert_date},
	{UUIDOID, convert_uuid},
	{JSONBOID, convert_jsonb},
};

/* Set up a column that a key of the record fills. */
static void
open_record_column(Column *column, const StediOptions *opts, Form_pg_attribute attr)
{
	Oid			input;
	bool		plain = opts->clock.unit == STEDI_UNIT_MS && opts->clock.zone == NULL;
	const StediLandingColumn *known = stedi_schema_column(stedi_schema_find(get_rel_name(opts->relid)),
														  NameStr(attr->attname));

	column->clock = &opts->clock;

	for (int i = 0; i < lengthof(converters); i++)
		if (converters[i].type == attr->atttypid)
			column->convert = converters[i].convert;
	if (column->convert == NULL)
		ereport(ERROR,
				errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				errmsg("column \"%s\" of a landing table cannot have type %s",
					   NameStr(attr->attname), format_type_be(attr->atttypid)),
				errhint("Use text, varchar, smallint, integer, bigint, real, double precision, numeric, boolean, timestamptz, date, uuid or jsonb."));
	if (!plain && column->convert == convert_int8 && known != NULL && known->need >= STEDI_NEED_TIME)
		column->convert = convert_time8;
	if (column->convert == convert_text)
		column->room = palloc(VARHDRSZ + SHORT_TEXT);
	getTypeInputInfo(attr->atttypid, &input, &column->typioparam);
	fmgr_info(input, &column->input);
	column->typmod = attr->atttypmod;
}

/* What a virtual column shows has one type each. */
static void
check_virtual_column(StediSource source, Form_pg_attribute attr)
{
	bool		is_text = (source == STEDI_SOURCE_OBJECT || source == STEDI_SOURCE_ETAG);

	if (attr->atttypid != (is_text ? TEXTOID : INT8OID))
		ereport(ERROR,
				errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				errmsg("column \"%s\" must have type %s for its option \"source\"",
					   NameStr(attr->attname), is_text ? "text" : "bigint"));
}

/* Find or make the key that a column reads; its number. */
static int
add_key(StediTuple *tuple, const char *key)
{
	StediSlice	added = {key, strlen(key)};
	int			i;

	/* two columns may read one key */
	for (i = 0; i < tuple->n_keys; i++)
		if (tuple->keys[i].len == added.len && memcmp(tuple->keys[i].data, key, added.len) == 0)
			return i;
	tuple->keys[i] = added;
	tuple->n_keys++;
	return i;
}

StediTuple *
stedi_tuple_open(const StediOptions *opts, TupleDesc tupdesc, const bool *wanted)
{
	StediTuple *tuple = palloc0(sizeof(StediTuple));

	tuple->opts = opts;
	tuple->columns = palloc0(tupdesc->natts * sizeof(Column));
	tuple->wanted = palloc(tupdesc->natts * sizeof(int));
	tuple->keys = palloc0(tupdesc->natts * sizeof(StediSlice));
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(tupdesc, i);
		Column	   *column = &tuple->columns[i];
		StediColumn given;

		column->field = -1;
		if (!wanted[i] || attr->attisdropped)
			continue;
		column->wanted = true;
		tuple->wanted[tuple->n_wanted++] = i;
		given = stedi_option_get_column(opts->relid, attr->attnum, NameStr(attr->attname));
		column->source = given.source;
		if (given.source != STEDI_SOURCE_RECORD)
		{
			check_virtual_column(given.source, attr);
			continue;
		}
		open_record_column(column, opts, attr);
		column->field = add_key(tuple, given.key);
		column->takes_text = column->convert == convert_text || column->convert == convert_jsonb;
	}
	return tuple;
}

/* Is the field what option "null_values" names, in a column that is no text? */
static inline bool
is_null_value(const StediTuple *tuple, const Column *column, const StediField *field)
{
	if (likely(tuple->opts->n_null_values == 0) || column->takes_text ||
		field->kind != STEDI_FIELD_STRING)
		return false;
	for (int i = 0; i < tuple->opts->n_null_values; i++)
		if (field->text.len == tuple->opts->null_values[i].len &&
			memcmp(field->text.data, tuple->opts->null_values[i].data, field->text.len) == 0)
			return true;
	return false;
}

bool
stedi_tuple_is_null(const StediTuple *tuple, int attno, const StediField *field)
{
	return field->kind == STEDI_FIELD_MISSING || field->kind == STEDI_FIELD_NULL ||
		is_null_value(tuple, &tuple->columns[attno], field);
}

const StediClock *
stedi_tuple_clock(const StediTuple *tuple, int attno)
{
	return tuple->columns[attno].convert == convert_time8 ? tuple->columns[attno].clock : NULL;
}

const StediSlice *
stedi_tuple_keys(const StediTuple *tuple, int *n_keys)
{
	*n_keys = tuple->n_keys;
	return tuple->keys;
}

int
stedi_tuple_n_wanted(const StediTuple *tuple)
{
	return tuple->n_wanted;
}

int
stedi_tuple_field(const StediTuple *tuple, int attno)
{
	return tuple->columns[attno].field;
}

bool
stedi_tuple_takes_bytes(const StediTuple *tuple, int attno)
{
	const Column *column = &tuple->columns[attno];

	return column->wanted && column->source == STEDI_SOURCE_RECORD &&
		column->convert == convert_text && column->typmod < (int32) VARHDRSZ &&
		GetDatabaseEncoding() == PG_UTF8;
}

/* A column that the scan makes. */
static Datum
virtual_value(StediSource source, const StediPlace *place)
{
	switch (source)
	{
		case STEDI_SOURCE_OBJECT:
			return stedi_text_name(place->object->key);
		case STEDI_SOURCE_ETAG:
			return stedi_text_name(place->object->etag);
		case STEDI_SOURCE_LINE:
			return Int64GetDatum((int64) place->line);
		default:
			Assert(source == STEDI_SOURCE_OFFSET);
			return Int64GetDatum((int64) place->offset);
	}
}

/* Convert a column of the record that began last, unless that is done. */
static inline StediReason
convert_column(StediTuple *tuple, Column *column, const StediField *fields,
			   const StediPlace *place, Datum *value, bool *isnull)
{
	const StediField *field;
	StediReason reason;

	if (column->record == tuple->record)
		return STEDI_REASON_NONE;
	column->record = tuple->record;
	if (column->source != STEDI_SOURCE_RECORD)
	{
		*value = virtual_value(column->source, place);
		*isnull = false;
		return STEDI_REASON_NONE;
	}
	field = &fields[column->field];
	if (field->kind == STEDI_FIELD_MISSING || field->kind == STEDI_FIELD_NULL ||
		is_null_value(tuple, column, field))
		reason = STEDI_REASON_NONE;
	else if (field->kind == STEDI_FIELD_UNREADABLE)
		reason = STEDI_REASON_TWO_KEYS; /* decode.c has reported it better */
	else
	{
		/* an indirect call for all but the most frequent */
		reason = column->convert == convert_float8 ? convert_float8(column, field, value) :
			column->convert(column, field, value);
		if (likely(reason == STEDI_REASON_NONE))
		{
			*isnull = false;
			return STEDI_REASON_NONE;
		}
	}
	*value = (Datum) 0;
	*isnull = true;
	return reason;
}

void
stedi_tuple_begin(StediTuple *tuple)
{
	tuple->record++;
}

StediReason
stedi_tuple_column(StediTuple *tuple, int attno, const StediField *fields,
				   const StediPlace *place, Datum *values, bool *nulls)
{
	Assert(tuple->columns[attno].wanted);
	return convert_column(tuple, &tuple->columns[attno], fields, place,
						  &values[attno], &nulls[attno]);
}

StediReason
stedi_tuple_columns(StediTuple *tuple, const StediField *fields, const StediPlace *place,
					Datum *values, bool *nulls, int *attno)
{
	for (int i = 0; i < tuple->n_wanted; i++)
	{
		int			which = tuple->wanted[i];
		StediReason reason = convert_column(tuple, &tuple->columns[which], fields, place,
											&values[which], &nulls[which]);

		if (unlikely(reason != STEDI_REASON_NONE))
		{
			*attno = which;
			return reason;
		}
	}
	return STEDI_REASON_NONE;
}
