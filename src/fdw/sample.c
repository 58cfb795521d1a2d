/*-------------------------------------------------------------------------
 *
 * sample.c
 *		Some records of a prefix -> the keys that they have, and of which types.
 *
 * Of each value it is tried which column types read it, by tuple.c, as a scan
 * would.  So what is proposed reads all of the sample, whatever its values
 * are.  No value is kept beyond its record, and none leaves this file.
 *
 *-------------------------------------------------------------------------
 */
#include "record/decoder.h"
#include "fdw/fdw.h"

#include <float.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "common/shortest_dec.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

/*
 * How much is sampled: so many objects that what changed in the course of time
 * is likely to be among them, and so few bytes that it takes a second or two.
 * Within these, objects are read to their end, as what a type fails on often
 * lies far down.  Each has an equal share of what those before it have left;
 * only its last record may go beyond that.
 */
#define MOST_OBJECTS 32
#define MOST_BYTES (INT64CONST(128) * 1024 * 1024)

/* No table has more columns, and no more keys are told apart. */
#define MOST_KEYS MaxHeapAttributeNumber

/* Bytes of a key; pg_attribute, where a column's options lie, stores nothing out of line. */
#define MOST_KEY_LEN 1024

/*
 * Characters of a decimal number that a double holds for certain: with neither
 * point nor sign all of them are digits.
 */
#define EXACT_LEN DBL_DIG

/* The column types, in the order in which they are preferred. */
enum
{
	READS_BOOL, READS_INT8, READS_FLOAT8, READS_NUMERIC, READS_UUID, READS_DATE,
	READS_TIMESTAMPTZ, READS_TEXT, READS_JSONB, N_TYPES
};

static const Oid types[N_TYPES] = {
	BOOLOID, INT8OID, FLOAT8OID, NUMERICOID, UUIDOID, DATEOID, TIMESTAMPTZOID, TEXTOID, JSONBOID
};

#define BIT(type) (1 << (type))

/*
 * Those that may be proposed for values of a kind.  More would read a string
 * of digits or true; what a producer wrote as a string stays one.
 */
static const int proposed[STEDI_N_JSON_TYPES] = {
	[STEDI_JSON_NULL] = BIT(N_TYPES) - 1,
	[STEDI_JSON_BOOLEAN] = BIT(READS_BOOL) | BIT(READS_JSONB),
	[STEDI_JSON_INTEGER] = BIT(READS_INT8) | BIT(READS_FLOAT8) | BIT(READS_NUMERIC) |
	BIT(READS_TEXT) | BIT(READS_JSONB),
	[STEDI_JSON_NUMBER] = BIT(READS_FLOAT8) | BIT(READS_NUMERIC) | BIT(READS_TEXT) | BIT(READS_JSONB),
	[STEDI_JSON_STRING] = BIT(READS_UUID) | BIT(READS_DATE) | BIT(READS_TIMESTAMPTZ) |
	BIT(READS_TEXT) | BIT(READS_JSONB),
	[STEDI_JSON_OBJECT] = BIT(READS_JSONB),
	[STEDI_JSON_ARRAY] = BIT(READS_JSONB),
};

/* What a key is found by: its letters in lower case, or its bytes if it is no text. */
typedef struct KeyName
{
	const char *data;
	size_t		len;
	bool		is_text;
} KeyName;

/* A key, while records are read. */
typedef struct Entry
{
	KeyName		name;			/* the hash key; data is owned */
	StediSampledKey *key;		/* owned */
	int			reads;			/* bits: types that read all values so far */
	uint64		last_record;	/* the last one that has it, and */
	StediField	field;			/* what it has there */
} Entry;

typedef struct Sampler
{
	/* whole sample: in the caller's context */
	MemoryContext cxt;
	StediSample *sample;
	HTAB	   *entries;
	Entry	  **order;			/* as the keys appeared */
	StediTuple *tuple;			/* one column a type */
	MemoryContext record_cxt;	/* reset by sample_record */

	/* made by cJSON: freed by release_members, whatever happens */
	StediMembers members;
	MemoryContextCallback release;
} Sampler;

static uint32
hash_name(const void *key, Size size)
{
	const KeyName *name = key;

	return hash_bytes((const unsigned char *) name->data, (int) name->len);
}

static int
match_names(const void *a, const void *b, Size size)
{
	const KeyName *one = a;
	const KeyName *other = b;

	return one->is_text == other->is_text && one->len == other->len &&
		memcmp(one->data, other->data, one->len) == 0 ? 0 : 1;
}

/* Free what is cJSON's.  Never throws. */
static void
release_members(void *arg)
{
	stedi_json_release_members(&((Sampler *) arg)->members);
}

/* A converter with one column of each type, of no table. */
static StediTuple *
open_types(const StediOptions *opts)
{
	TupleDesc	tupdesc = CreateTemplateTupleDesc(N_TYPES);
	bool		wanted[N_TYPES];

	for (int i = 0; i < N_TYPES; i++)
	{
		TupleDescInitEntry(tupdesc, (AttrNumber) (i + 1), psprintf("%d", i), types[i], -1, 0);
		wanted[i] = true;
	}
	return stedi_tuple_open(opts, tupdesc, wanted);
}

static Sampler *
open_sampler(const StediOptions *opts)
{
	Sampler    *sampler = palloc0(sizeof(Sampler));
	HASHCTL		ctl = {
		.keysize = sizeof(KeyName),.entrysize = sizeof(Entry),
		.hash = hash_name,.match = match_names,.hcxt = CurrentMemoryContext
	};

	sampler->cxt = CurrentMemoryContext;
	sampler->release.func = release_members;
	sampler->release.arg = sampler;
	MemoryContextRegisterResetCallback(sampler->cxt, &sampler->release);
	sampler->record_cxt = AllocSetContextCreate(sampler->cxt, "stedi sampled record",
												ALLOCSET_DEFAULT_SIZES);
	sampler->sample = palloc0(sizeof(StediSample));
	sampler->entries = hash_create("stedi sampled keys", 64, &ctl,
								   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	sampler->order = palloc(MOST_KEYS * sizeof(Entry *));
	sampler->tuple = open_types(opts);
	return sampler;
}

/* Which type of JSON is it?  An integer is one that is written as such. */
static StediJsonType
json_type(const StediField *value)
{
	switch (value->kind)
	{
		case STEDI_FIELD_NULL:
			return STEDI_JSON_NULL;
		case STEDI_FIELD_TRUE:
		case STEDI_FIELD_FALSE:
			return STEDI_JSON_BOOLEAN;
		case STEDI_FIELD_STRING:
			return STEDI_JSON_STRING;
		case STEDI_FIELD_NESTED:
			return *value->text.data == '{' ? STEDI_JSON_OBJECT : STEDI_JSON_ARRAY;
		default:
			for (size_t i = 0; i < value->text.len; i++)
				if (strchr(".eE", value->text.data[i]) != NULL)
					return STEDI_JSON_NUMBER;
			return STEDI_JSON_INTEGER;
	}
}

/* Does a double say what the number says, as PostgreSQL shows it? */
static bool
is_exact(StediSlice text, double value, Numeric exact)
{
	char		shown[DOUBLE_SHORTEST_DECIMAL_LEN];
	Datum		back;

	if (text.len <= EXACT_LEN && memchr(text.data, 'e', text.len) == NULL &&
		memchr(text.data, 'E', text.len) == NULL)
		return true;
	double_to_shortest_decimal_buf(value, shown);
	back = DirectFunctionCall3(numeric_in, CStringGetDatum(shown), ObjectIdGetDatum(InvalidOid),
							   Int32GetDatum(-1));
	return DatumGetBool(DirectFunctionCall2(numeric_eq, back, NumericGetDatum(exact)));
}

/* Is a string one that this type is for?  Others it may read all the same. */
static bool
is_of_type(StediSlice text, int type)
{
	if (type == READS_UUID)
		return text.len == 36 && text.data[8] == '-' && text.data[13] == '-' &&
			text.data[18] == '-' && text.data[23] == '-';
	if (type == READS_TIMESTAMPTZ)
		return !stedi_value_is_number(text);
	return true;
}

/*
 * Of the types, those that are certain to read a value, without a trial: most
 * values are of few digits.
 */
static int
certain_readers(const StediField *value)
{
	if (value->kind != STEDI_FIELD_NUMBER || value->text.len > EXACT_LEN ||
		memchr(value->text.data, 'e', value->text.len) != NULL ||
		memchr(value->text.data, 'E', value->text.len) != NULL)
		return 0;
	return BIT(READS_FLOAT8) | BIT(READS_NUMERIC) | BIT(READS_TEXT) | BIT(READS_JSONB);
}

/* Of these types, those that read the value. */
static int
find_readers(Sampler *sampler, const StediField *value, int among)
{
	StediField	fields[N_TYPES];
	Datum		values[N_TYPES];
	bool		nulls[N_TYPES];
	StediPlace	nowhere = {0};
	int			certain = certain_readers(value);
	int			readers = among & certain;

	if (value->kind == STEDI_FIELD_NULL)
		return among;
	stedi_tuple_begin(sampler->tuple);
	for (int type = 0; type < N_TYPES; type++)
	{
		/* what text shows, a string of jsonb can hold */
		if (type == READS_JSONB && value->kind == STEDI_FIELD_STRING &&
			(readers & BIT(READS_TEXT)) != 0)
			readers |= among & BIT(READS_JSONB);
		if ((among & ~readers & BIT(type)) == 0 ||
			(value->kind == STEDI_FIELD_STRING && !is_of_type(value->text, type)))
			continue;
		fields[type] = *value;
		if (stedi_tuple_column(sampler->tuple, type, fields, &nowhere, values, nulls) == STEDI_REASON_NONE)
			readers |= BIT(type);
	}
	if ((readers & ~certain & BIT(READS_FLOAT8)) != 0 &&
		((readers & BIT(READS_NUMERIC)) == 0 ||
		 !is_exact(value->text, DatumGetFloat8(values[READS_FLOAT8]),
				   DatumGetNumeric(values[READS_NUMERIC]))))
		readers &= ~BIT(READS_FLOAT8);
	return readers;
}

/* The entry of a key; NULL when it is one of too many, or too long. */
static Entry *
find_entry(Sampler *sampler, const StediMember *member)
{
	StediSample *sample = sampler->sample;
	char		lower[MOST_KEY_LEN];
	KeyName		name = {lower, member->key.len, member->key_reason == STEDI_REASON_NONE};
	bool		full = sample->n_keys == MOST_KEYS;
	bool		found;
	Entry	   *entry;
	MemoryContext caller;
	char	   *copy;

	if (name.len > MOST_KEY_LEN)
		return NULL;
	for (size_t i = 0; i < name.len; i++)
		lower[i] = name.is_text ? pg_ascii_tolower((unsigned char) member->key.data[i]) : member->key.data[i];
	entry = hash_search(sampler->entries, &name, full ? HASH_FIND : HASH_ENTER, &found);
	if (found || full)
		return entry;

	/* until it has memory of its own, nothing may throw but to end it all */
	caller = MemoryContextSwitchTo(sampler->cxt);
	copy = palloc(name.len + 1);
	memcpy(copy, lower, name.len);
	entry->name.data = copy;
	entry->key = palloc0(sizeof(StediSampledKey));
	entry->key->text = pnstrdup(member->key.data, member->key.len);
	entry->key->is_text = name.is_text;
	entry->reads = BIT(N_TYPES) - 1;
	entry->last_record = 0;
	sampler->order[sample->n_keys++] = entry;
	MemoryContextSwitchTo(caller);
	return entry;
}

static void
check_memory(StediReason reason)
{
	if (reason == STEDI_REASON_OUT_OF_MEMORY)
		ereport(ERROR,
				errcode(ERRCODE_OUT_OF_MEMORY),
				errmsg("out of memory"));
}

/* Note a member of the present record. */
static void
sample_member(Sampler *sampler, const StediMember *member)
{
	StediSample *sample = sampler->sample;
	StediJsonType type = json_type(&member->value);
	Entry	   *entry;

	CHECK_FOR_INTERRUPTS();
	check_memory(member->key_reason);
	check_memory(member->reason);
	entry = find_entry(sampler, member);
	if (entry == NULL)
	{
		sample->n_left_out++;
		return;
	}
	entry->key->many_cases |= memcmp(entry->key->text, member->key.data, member->key.len) != 0;
	if (entry->last_record < sample->n_records)
	{
		entry->last_record = sample->n_records;
		entry->field.kind = STEDI_FIELD_MISSING;
		entry->key->n_records++;
		entry->key->counts[type]++;
	}
	if (member->reason != STEDI_REASON_NONE)
		entry->key->no_text = true;
	else if (entry->field.kind != STEDI_FIELD_MISSING)
		entry->key->two_values |=
			stedi_field_set(&entry->field, member->value.kind, member->value.text) != STEDI_REASON_NONE;
	else
	{
		entry->field = member->value;
		entry->reads = find_readers(sampler, &member->value, entry->reads & proposed[type]);
	}
}

/* Note a record. */
static void
sample_record(Sampler *sampler, StediSlice record)
{
	StediMember member;
	MemoryContext caller;

	MemoryContextReset(sampler->record_cxt);
	caller = MemoryContextSwitchTo(sampler->record_cxt);
	sampler->sample->n_records++;
	stedi_json_members(&sampler->members, record);
	while (stedi_json_next_member(&sampler->members, &member))
		sample_member(sampler, &member);
	Assert(sampler->members.whole);
	MemoryContextSwitchTo(caller);
}

/* Some objects of a listing: the first one, the last one, and others between them. */
static StediListing *
choose_objects(const StediListing *listing)
{
	StediListing *chosen = palloc0(sizeof(StediListing));
	const StediObject **filled = palloc_extended(Max(listing->n_objects, 1) * sizeof(StediObject *),
												 MCXT_ALLOC_HUGE);
	int			n_filled = 0;
	int			n;

	for (int i = 0; i < listing->n_objects; i++)
		if (listing->objects[i].size > 0)
			filled[n_filled++] = &listing->objects[i];
	n = Min(n_filled, MOST_OBJECTS);
	for (int i = 0; i < n; i++)
	{
		const StediObject *object = filled[n == 1 ? 0 : (int64) i * (n_filled - 1) / (n - 1)];

		stedi_listing_add(chosen, object->key, object->etag, object->size, object->modified);
	}
	pfree(filled);
	return chosen;
}

/* The type to propose: InvalidOid when none reads all. */
static Oid
choose_type(const Entry *entry)
{
	const StediSampledKey *key = entry->key;

	if (key->two_values || key->no_text)
		return InvalidOid;

	/* whatever may come */
	if (key->n_records == key->counts[STEDI_JSON_NULL])
		return JSONBOID;
	for (int type = 0; type < N_TYPES; type++)
		if ((entry->reads & BIT(type)) != 0)
			return types[type];
	return InvalidOid;
}

/* Give the object that was begun its share of what those before it have left. */
static void
give_share(StediScan *scan, int64 bytes_before, int object, int n_objects)
{
	stedi_scan_set_most(scan, PG_UINT64_MAX,
						Max((MOST_BYTES - bytes_before) / Max(n_objects - object, 1), 1));
}

/* Read the records of a scan of the chosen objects. */
static void
read_records(Sampler *sampler, StediScan *scan, int n_objects)
{
	const StediPlace *place = stedi_scan_place(scan);
	const StediObject *present = NULL;
	int64		bytes_before = 0;	/* of the objects before the present one */
	int64		bytes = 0;		/* of that */
	StediScanResult result;
	Datum		no_values[1];	/* of no columns */
	bool		no_nulls[1];

	give_share(scan, 0, 0, n_objects);
	while ((result = stedi_scan_next(scan, no_values, no_nulls)) != STEDI_SCAN_END)
	{
		if (place->object != present)
		{
			present = place->object;
			bytes_before += bytes;
			give_share(scan, bytes_before, (int) (present - stedi_scan_listing(scan)->objects), n_objects);
		}
		bytes = (int64) (place->offset + stedi_scan_record(scan).len);
		if (result == STEDI_SCAN_ROW)
			sample_record(sampler, stedi_scan_record(scan));
		else
			sampler->sample->n_rejected++;
	}
	for (int i = 0; i < n_objects; i++)
		sampler->sample->n_whole += stedi_scan_listing(scan)->objects[i].read;
}

StediSample *
stedi_sample_read(const StediOptions *opts, const StediListing *listing)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext cxt = AllocSetContextCreate(caller, "stedi sample", ALLOCSET_DEFAULT_SIZES);
	Sampler    *sampler;
	StediSample *sample;
	StediListing *chosen;
	StediScan  *scan;

	MemoryContextSwitchTo(cxt);
	sampler = open_sampler(opts);
	sample = sampler->sample;
	chosen = choose_objects(listing);
	scan = stedi_scan_open_records(opts, GetUserId());
	stedi_scan_set_listing(scan, chosen);
	if (chosen->n_objects > 0)
		read_records(sampler, scan, chosen->n_objects);
	stedi_scan_close(scan);
	release_members(sampler);
	MemoryContextDelete(sampler->record_cxt);
	sample->n_objects = chosen->n_objects;
	sample->n_listed = listing->n_objects;
	sample->keys = palloc(Max(sample->n_keys, 1) * sizeof(StediSampledKey *));
	for (int i = 0; i < sample->n_keys; i++)
	{
		sample->keys[i] = sampler->order[i]->key;
		sample->keys[i]->type = choose_type(sampler->order[i]);
	}
	MemoryContextSwitchTo(caller);
	return sample;
}
