/*-------------------------------------------------------------------------
 *
 * affected.c
 *		Whose readings a run that renews looks at, and by whose consent it
 *		reads.
 *
 * A run that rebuilds makes the consent set of all customer records.  A run
 * that renews has not read them.  Who is in, it knows from customer_trusted
 * and customer_curated, which are up to date by now, with their keys.  Of all
 * other customers it knows the hashes, which are enough to distinguish a
 * customer without consent from a name that belongs to no customer.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "run/run.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* A device of stedi_device. */
typedef struct Exception
{
	uint64		device;
	StediStanding standing;
	int64		owned_since;
} Exception;

typedef struct Survey
{
	ZoneRun    *run;
	ZoneTableId id;
	bool		devices;		/* not people */

	/* who is to be renewed */
	const StediHashes *renewed;
	StediHashes gone;			/* cut hashes: in objects that have changed or
								 * vanished */
	bool		anybody_gone;
	StediHashes kept;			/* cut hashes: in objects that have vanished,
								 * whose readings stay */
	bool		anybody_kept;

	/* devices */
	StediHashes curated;		/* people in customer_curated */
	Exception  *exceptions;		/* sorted by device */
	uint64		n_exceptions;

	/* what comes out */
	StediConsentBuilder *building;
	Tuplestorestate *store;		/* the relation of the renewed */
	TupleDesc	tupdesc;
	StediHashes done;			/* those in it */
	StediHashes granted;		/* those of them with consent */
} Survey;

static const char *const trusted_columns[] = {"email", "sharewithresearchasofdate", "serialnumber"};

enum
{
	TRUSTED_EMAIL,
	TRUSTED_SINCE,
	TRUSTED_SERIAL,
};

static int
compare_exceptions(const void *a, const void *b)
{
	uint64		one = ((const Exception *) a)->device;
	uint64		other = ((const Exception *) b)->device;

	CHECK_FOR_INTERRUPTS();
	return (one > other) - (one < other);
}

static StediStanding
standing_of(const char *word)
{
	if (strcmp(word, "ambiguous") == 0)
		return STEDI_STANDING_AMBIGUOUS;
	if (strcmp(word, "forgotten") == 0)
		return STEDI_STANDING_FORGOTTEN;
	return strcmp(word, "unknown") == 0 ? STEDI_STANDING_UNKNOWN : STEDI_STANDING_NONE;
}

static void
read_exceptions(Survey *survey)
{
	int64		room;
	ZoneQueryRows rows;
	Datum		values[3];
	bool		nulls[3];

	stedi_zone_store_values(survey->run, "SELECT count(*) FROM {books}.stedi_device"
							" WHERE device IS NOT NULL AND standing IS NOT NULL", 1, &room);
	survey->exceptions = palloc_extended(Max(room, 1) * sizeof(Exception), MCXT_ALLOC_HUGE);
	stedi_zone_store_query(survey->run, &rows, "SELECT device, standing, owned_since"
						   " FROM {books}.stedi_device"
						   " WHERE device IS NOT NULL AND standing IS NOT NULL", "ltl");
	while (stedi_zone_query_fetch(&rows, lengthof(values), values, nulls) &&
		   survey->n_exceptions < (uint64) room)
	{
		Exception  *exception = &survey->exceptions[survey->n_exceptions++];

		exception->device = (uint64) DatumGetInt64(values[0]);
		exception->standing = standing_of(TextDatumGetCString(values[1]));
		exception->owned_since = nulls[2] ? PG_INT64_MIN : DatumGetInt64(values[2]);
	}
	stedi_zone_query_close(&rows);
	qsort(survey->exceptions, survey->n_exceptions, sizeof(Exception), compare_exceptions);
}

static const Exception *
find_exception(const Survey *survey, uint64 device)
{
	Exception	wanted = {.device = device};

	if (survey->n_exceptions == 0)
		return NULL;
	return bsearch(&wanted, survey->exceptions, survey->n_exceptions, sizeof(Exception),
				   compare_exceptions);
}

/* Who is in customer_curated. */
static void
read_curated(Survey *survey)
{
	static const char *const columns[] = {"email"};
	ZoneTableRows rows;

	stedi_zone_table_open(&rows, survey->run->relid[ZONE_CUSTOMER_CURATED], columns, 1);
	while (stedi_zone_table_next(&rows))
		(void) stedi_hashes_add(&survey->curated, stedi_zone_table_person(survey->run, &rows, 0));
	stedi_zone_table_close(&rows);
}

/* Make a person's rows anew. since NULL: there are to be none. */
static void
put_renewed(Survey *survey, uint64 hash, Datum key, Datum since, bool since_isnull,
			int64 owned_since)
{
	Datum		values[4];
	bool		nulls[4] = {false};
	TimestampTz owned = 0;

	if (!stedi_hashes_add(&survey->done, hash))
		return;
	values[0] = key;
	values[1] = BoolGetDatum(stedi_zone_object_is_named(&survey->kept, survey->anybody_kept, hash));
	values[2] = since;
	nulls[2] = since_isnull;
	nulls[3] = owned_since == PG_INT64_MIN;
	if (!nulls[3] && !stedi_time_from_ms(owned_since, &owned))
		owned = DT_NOEND;
	values[3] = TimestampTzGetDatum(owned);
	stedi_zone_table_put(survey->store, survey->tupdesc, values, nulls);
	if (!since_isnull)
		(void) stedi_hashes_add(&survey->granted, hash);
}

/* A row of customer_trusted. */
static void
survey_row(Survey *survey, const ZoneTableRows *rows, Datum granted, Datum unread, Datum ambiguous)
{
	int			key = survey->devices ? TRUSTED_SERIAL : TRUSTED_EMAIL;
	uint64		hash = survey->devices ? stedi_zone_table_hash(survey->run, rows, key) :
	stedi_zone_table_person(survey->run, rows, key);
	const Exception *exception = survey->devices ? find_exception(survey, hash) : NULL;
	Datum		values[4];
	bool		nulls[4] = {false};

	if (hash == 0)
		return;
	values[0] = rows->values[key];
	nulls[1] = rows->nulls[TRUSTED_SINCE];
	values[1] = nulls[1] ? (Datum) 0 :
		Int64GetDatum(stedi_time_ms(DatumGetTimestampTz(rows->values[TRUSTED_SINCE])));
	nulls[2] = exception == NULL || exception->owned_since == PG_INT64_MIN;
	values[2] = nulls[2] ? (Datum) 0 : Int64GetDatum(exception->owned_since);
	values[3] = granted;
	if (exception != NULL && exception->standing == STEDI_STANDING_AMBIGUOUS)
		values[3] = ambiguous;
	else if (survey->devices &&
			 !stedi_hashes_has(&survey->curated,
							   stedi_zone_table_hash(survey->run, rows, TRUSTED_EMAIL)))
		values[3] = unread;
	stedi_consent_add(survey->building, values, nulls);
	if (stedi_hashes_has(survey->renewed, hash) ||
		stedi_zone_object_is_named(&survey->gone, survey->anybody_gone, hash))
		put_renewed(survey, hash, values[0], rows->values[TRUSTED_SINCE],
					nulls[1] || values[3] != granted,
					nulls[2] ? PG_INT64_MIN : DatumGetInt64(values[2]));
}

/* Go through customer_trusted. */
static void
survey_rows(Survey *survey)
{
	Datum		granted = CStringGetTextDatum("granted");
	Datum		unread = CStringGetTextDatum("without_readings");
	Datum		ambiguous = CStringGetTextDatum("ambiguous");
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "stedi row",
												  ALLOCSET_DEFAULT_SIZES);
	ZoneTableRows rows;

	stedi_zone_table_open(&rows, survey->run->relid[ZONE_CUSTOMER_TRUSTED], trusted_columns,
						  lengthof(trusted_columns));
	while (stedi_zone_table_next(&rows))
	{
		MemoryContext caller = MemoryContextSwitchTo(row_cxt);

		survey_row(survey, &rows, granted, unread, ambiguous);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(row_cxt);
	}
	stedi_zone_table_close(&rows);
	MemoryContextDelete(row_cxt);
}

/* Add to the set the customers who are known and are not in. */
static void
survey_others(Survey *survey)
{
	ZoneRun    *run = survey->run;
	StediHashes names;
	StediHashes forgotten;
	ZoneQueryRows rows;
	Datum		name;
	bool		isnull;

	stedi_hashes_begin(&names);
	stedi_hashes_begin(&forgotten);
	(void) stedi_zone_object_names(run, ZONE_CUSTOMER_TRUSTED, ZONE_NAMES_ALL,
								   survey->devices ? NULL : &names,
								   survey->devices ? &names : NULL);
	for (uint64 i = 0; i < survey->n_exceptions; i++)
	{
		CHECK_FOR_INTERRUPTS();
		stedi_consent_add_hashed(survey->building, survey->exceptions[i].device,
								 survey->exceptions[i].standing, survey->exceptions[i].owned_since);
	}
	stedi_zone_query_open(&rows, "SELECT name FROM forgotten WHERE name IS NOT NULL", "l");
	while (!survey->devices && stedi_zone_query_fetch(&rows, 1, &name, &isnull))
		(void) stedi_hashes_add(&forgotten, (uint64) DatumGetInt64(name));
	stedi_zone_query_close(&rows);
	for (uint32 slot = 0; slot < names.n_slots; slot++)
	{
		uint64		hash = STEDI_HASHES_AT(&names, slot);

		CHECK_FOR_INTERRUPTS();
		if (hash != 0)
			stedi_consent_add_hashed(survey->building, hash,
									 stedi_hashes_has(&forgotten, hash) ? STEDI_STANDING_FORGOTTEN :
									 STEDI_STANDING_NONE, PG_INT64_MIN);
	}
}

/* Which members of the set are made anew. */
static bool *
mark_members(const Survey *survey, const StediConsentSet *set)
{
	uint32		n = stedi_consent_size(set);
	bool	   *anew = MemoryContextAllocExtended(survey->run->cxt, n + 1,
												  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	for (uint32 member = 0; member < n && survey->granted.n > 0; member++)
	{
		CHECK_FOR_INTERRUPTS();
		anew[member] = stedi_hashes_has(&survey->granted, stedi_consent_key_hash(set, member));
	}
	return anew;
}

static void
begin_survey(Survey *survey, ZoneRun *run, ZoneTableId id, const StediHashes *renewed)
{
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);

	memset(survey, 0, sizeof(*survey));
	survey->run = run;
	survey->id = id;
	survey->devices = (id == ZONE_STEP_TRAINER_CURATED);
	survey->renewed = renewed;
	stedi_hashes_begin(&survey->gone);
	stedi_hashes_begin(&survey->kept);
	stedi_hashes_begin(&survey->curated);
	stedi_hashes_begin(&survey->done);
	stedi_hashes_begin(&survey->granted);
	survey->tupdesc = CreateTemplateTupleDesc(4);
	TupleDescInitEntry(survey->tupdesc, 1, "key", TEXTOID, -1, 0);
	TupleDescInitEntry(survey->tupdesc, 2, "kept", BOOLOID, -1, 0);
	TupleDescInitEntry(survey->tupdesc, 3, "since", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(survey->tupdesc, 4, "owned_since", TIMESTAMPTZOID, -1, 0);
	survey->store = tuplestore_begin_heap(true, false, ZONE_KEPT_MEMORY);
	MemoryContextSwitchTo(caller);
}

void
stedi_zone_survey(ZoneRun *run, ZoneTableId id, const StediHashes *renewed, List *gone_keys)
{
	const ZoneSource *source = &run->source[id];
	Survey		survey;
	ListCell   *lc;
	int			n_wanted = 0;

	begin_survey(&survey, run, id, renewed);
	survey.anybody_gone = stedi_zone_object_names(run, id, ZONE_NAMES_GONE,
												  survey.devices ? NULL : &survey.gone,
												  survey.devices ? &survey.gone : NULL);
	if (run->vanished == ZONE_VANISHED_KEEP)
	{
		survey.anybody_kept = stedi_zone_object_names(run, id, ZONE_NAMES_KEPT,
													  survey.devices ? NULL : &survey.kept,
													  survey.devices ? &survey.kept : NULL);

		/* looked at once, to say how much is kept */
		survey.anybody_gone |= stedi_zone_object_names(run, id, ZONE_NAMES_LEFT,
													   survey.devices ? NULL : &survey.gone,
													   survey.devices ? &survey.gone : NULL);
	}
	stedi_zone_object_want_new(run, id);
	for (int i = 0; i < source->listing->n_objects; i++)
		n_wanted += source->objects[i].wanted;
	run->set = NULL;
	run->anew = NULL;
	if (n_wanted > 0 || renewed->n > 0 || survey.gone.n > 0 || survey.anybody_gone)
	{
		survey.building = stedi_consent_begin(run->cxt, !survey.devices, run->since, run->seed);
		if (survey.devices)
		{
			read_exceptions(&survey);
			read_curated(&survey);
		}
		survey_rows(&survey);
		n_wanted += stedi_zone_object_want(run, id, survey.devices ? NULL : &survey.granted,
										   survey.devices ? &survey.granted : NULL);
	}
	if (n_wanted > 0)
	{
		survey_others(&survey);
		run->set = stedi_consent_finish(survey.building);
		run->anew = mark_members(&survey, run->set);
	}
	/* all rows of those who are out go */
	foreach(lc, gone_keys)
	{
		Datum		key = PointerGetDatum(lfirst(lc));
		StediSlice	name = stedi_text_slice(DatumGetTextPP(key));

		put_renewed(&survey, stedi_consent_name_hash(run->seed, name, false), key, (Datum) 0, true,
					PG_INT64_MIN);
	}
	stedi_zone_query_register(run, survey.devices ? "renewed_device" : "renewed_person",
							  survey.store, survey.tupdesc);
}
