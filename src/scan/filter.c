/*-------------------------------------------------------------------------
 *
 * filter.c
 *		Is a record kept?  The tests that were pushed into the scan.
 *
 * A comparison calls the operator's own function, so that it means what it
 * means anywhere else in PostgreSQL.  The consent test reads the undecoded
 * fields and comes first, so that of a record that it drops no other test
 * sees anything.
 *
 *-------------------------------------------------------------------------
 */
#include "scan/row.h"

#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* Is text equal for this test exactly when its bytes are? */
static bool
is_bytewise(const StediTest *test)
{
	return (test->function.fn_oid == F_TEXTEQ || test->function.fn_oid == F_TEXTNE) &&
		OidIsValid(test->collation) && get_collation_isdeterministic(test->collation);
}

/* The values as bytes, in the current context. */
static void
set_texts(StediTest *test)
{
	test->texts = palloc0(Max(test->n_values, 1) * sizeof(StediSlice));
	for (int i = 0; i < test->n_values; i++)
		if (!test->nulls[i])
			test->texts[i] = stedi_text_slice(PG_DETOAST_DATUM_PACKED(test->values[i]));
}

void
stedi_filter_set_value(StediTest *test, Oid type, Datum value, bool isnull)
{
	int16		len;
	bool		byval;
	char		align;

	test->isnull = isnull;
	test->who_len = 0;
	test->n_values = 0;
	test->texts = NULL;
	test->set = NULL;
	if (isnull)
		return;
	get_typlenbyvalalign(type, &len, &byval, &align);
	value = datumCopy(value, byval, len);
	if (test->kind == STEDI_TEST_CONSENT)
		test->set = stedi_consent_get(value);
	else if (test->kind == STEDI_TEST_ANY)
	{
		ArrayType  *array = DatumGetArrayTypeP(value);

		get_typlenbyvalalign(ARR_ELEMTYPE(array), &len, &byval, &align);
		deconstruct_array(array, ARR_ELEMTYPE(array), len, byval, align,
						  &test->values, &test->nulls, &test->n_values);
	}
	else
	{
		test->values = palloc(sizeof(Datum));
		test->nulls = palloc0(sizeof(bool));
		test->values[0] = value;
		test->n_values = 1;
	}
	if (is_bytewise(test))
		set_texts(test);
}

bool
stedi_filter_keeps(StediTest *test, Datum value, bool isnull)
{
	if (test->kind == STEDI_TEST_NULL || test->kind == STEDI_TEST_NOT_NULL)
		return isnull == (test->kind == STEDI_TEST_NULL);
	if (isnull)
		return false;			/* the operators are strict */
	for (int i = 0; i < test->n_values; i++)
	{
		Datum		left = test->column_first ? value : test->values[i];
		Datum		right = test->column_first ? test->values[i] : value;

		if (!test->nulls[i] &&
			DatumGetBool(FunctionCall2Coll(&test->function, test->collation, left, right)))
			return true;
	}
	return false;
}

bool
stedi_filter_decides(const StediTest *test, const StediField *field, bool *keeps)
{
	bool		equal = (test->function.fn_oid == F_TEXTEQ);

	if (test->texts == NULL)
		return false;
	*keeps = false;
	if (field->kind == STEDI_FIELD_MISSING || field->kind == STEDI_FIELD_NULL)
		return true;
	if (field->kind != STEDI_FIELD_STRING && field->kind != STEDI_FIELD_NUMBER)
		return false;
	for (int i = 0; i < test->n_values && !*keeps; i++)
		if (!test->nulls[i])
			*keeps = equal == (field->text.len == test->texts[i].len &&
							   memcmp(field->text.data, test->texts[i].data,
									  field->text.len) == 0);
	return true;
}

/* Are the records' texts those of the database, byte for byte? */
static inline bool
is_same_encoding(void)
{
	return GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII;
}

uint64
stedi_filter_hash(const StediTest *test, const StediField *who)
{
	/* of the record's own bytes, in UTF-8, as the set's hashes are */
	if (test->set == NULL ||
		(who->kind != STEDI_FIELD_STRING && who->kind != STEDI_FIELD_NUMBER))
		return 0;
	return stedi_consent_hash(test->set, who->text);
}

void
stedi_filter_fetch(const StediTest *test, uint64 hash)
{
	if (hash != 0 && test->set != NULL)
		stedi_consent_fetch(test->set, hash);
}

/*
 * Find whom a record names.  Neighbours often name the same, so the last one
 * is kept.
 */
static bool
find_member(StediTest *test, StediSlice who)
{
	StediSlice	key = who;

	if (test->who_len > 0 && test->who_len == who.len &&
		memcmp(test->who, who.data, who.len) == 0)
	{
		test->hash = test->who_hash;
		return test->found;
	}
	if (!is_same_encoding())
	{
		int			len;

		/* the set's members are in the encoding of the database */
		key.data = stedi_text_convert(who, &len);
		if (key.data == NULL)
			return false;
		key.len = len;
	}
	test->found = stedi_consent_find(test->set, key, &test->hash, &test->place);
	test->who_hash = test->hash;
	test->who_len = who.len <= sizeof(test->who) ? who.len : 0;
	memcpy(test->who, who.data, test->who_len);
	return test->found;
}

/* The time of a reading; false: there is none. */
static inline bool
read_time(const StediTest *test, const StediField *field, int64 *ms)
{
	int64_t		value;

	if (test->clock != NULL)
		return stedi_time_read_ms(test->clock, field, ms) == STEDI_REASON_NONE;
	if (stedi_value_int64(field, &value) != STEDI_REASON_NONE)
		return false;
	*ms = value;
	return true;
}

StediStanding
stedi_filter_consent(StediTest *test, const StediField *who,
					 const StediField *reading_time, bool *older)
{
	int64		ms;

	*older = false;
	if (test->set == NULL ||
		(who->kind != STEDI_FIELD_STRING && who->kind != STEDI_FIELD_NUMBER) ||
		!read_time(test, reading_time, &ms))
	{
		test->hash = 0;
		return STEDI_STANDING_UNKNOWN;
	}
	test->time = ms;
	if (test->hash == 0)
		test->hash = stedi_filter_hash(test, who);
	if (!find_member(test, who->text))
		return STEDI_STANDING_UNKNOWN;
	return stedi_consent_standing(test->set, test->place, ms, older);
}
