/*-------------------------------------------------------------------------
 *
 * build.c
 *		A consent set while it is built: by the aggregate, or by a run.
 *
 * stedi.consent_set(who, since) aggregates people, or devices, into one value.
 * A member that is given twice has the stricter standing of the two.  A NULL date or
 * standing is no consent, nor is a date of 0 or before.
 *
 *-------------------------------------------------------------------------
 */
#include "consent/consent.h"
#include "consent/set.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* A set whose places and slots are beside it, growing; the aggregate's state. */
struct StediConsentBuilder
{
	MemoryContext cxt;
	StediConsentSet *set;		/* header and members; owned */
	Size		room;
	Place	   *places;
	uint32		places_room;
	Slot	   *slots;
	bool		finished;		/* they have gone into the set */
};

typedef StediConsentBuilder Building;

PG_FUNCTION_INFO_V1(consent_set_add);
PG_FUNCTION_INFO_V1(consent_set_add_standing);
PG_FUNCTION_INFO_V1(consent_set_final);

static void
report_too_large(const Building *building)
{
	ereport(ERROR,
			errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			errmsg("the consent set is too large"),
			errdetail("It has %u members.", building->set->n_members));
}

/* Make room for one more member of that size, its place and its slot. */
static void
building_grow(Building *building, Size size)
{
	StediConsentSet *set = building->set;

	if (set->members_end + size > building->room)
	{
		building->room = Max(building->room + Max(building->room / 4, 1024),
							 set->members_end + size);
		if (building->room > MaxAllocSize)
			building->room = MaxAllocSize;
		if (set->members_end + size > building->room)
			report_too_large(building);
		set = building->set = repalloc(set, building->room);
	}
	if (set->n_members == building->places_room)
	{
		building->places_room = Max(64, building->places_room * 2);
		building->places = building->places == NULL ?
			MemoryContextAlloc(building->cxt, building->places_room * sizeof(Place)) :
			repalloc(building->places, building->places_room * sizeof(Place));
	}
	/* at most two slots in three are taken */
	if ((set->n_members + 1) * UINT64CONST(3) > set->n_slots * UINT64CONST(2))
	{
		set->n_slots = Max(128, set->n_slots * 2);
		if (building->slots != NULL)
			pfree(building->slots);
		building->slots = MemoryContextAllocZero(building->cxt, set->n_slots * sizeof(Slot));
		for (uint32 i = 0; i < set->n_members; i++)
		{
			CHECK_FOR_INTERRUPTS();
			consent_put_slot(building->slots, set->n_slots, SET_MEMBER(set, building->places[i])->hash,
							 building->places[i]);
		}
	}
}

/* Put a new member behind the others. */
static void
building_append(Building *building, const Member *given, uint64 hash, StediSlice key,
				uint32 key_len)
{
	building_grow(building, MEMBER_SIZE(key.len));
	stedi_consent_append(building->set, building->places, building->slots, given, hash, key, key_len);
}

/* Add a member, or make the one that is there as strict as this. */
static void
building_add(Building *building, text *who, const Member *given)
{
	StediSlice	key = stedi_text_slice(who);
	char		room[SHORT_KEY];
	uint64		hash;
	Member	   *member;

	if (building->set->flags & SET_FOLD)
		key = stedi_consent_form(key, room);
	if (key.data == NULL)		/* no record can name them either */
		return;
	hash = stedi_consent_hash_text(building->set->seed, key);
	member = consent_find_member(building->set, building->slots, building->set->n_slots, key, hash);
	if (member != NULL)
		stedi_consent_restrict(member, given);
	else
		building_append(building, given, hash, key, (uint32) key.len);
	if ((building->set->flags & SET_FOLD) && key.data != room)
		pfree(unconstify(char *, key.data));
}

void
stedi_consent_add_hashed(StediConsentBuilder *building, uint64 hash, StediStanding standing,
						 int64 owned_since)
{
	const StediSlice nothing = {"", 0};
	Member		member = {0};

	/* a key that is known in full has come before */
	if (stedi_consent_has_hash(building->set, building->slots, hash))
		return;
	member.standing = standing;
	member.owned_since = owned_since;
	building_append(building, &member, hash, nothing, NO_KEY);
}

void
stedi_consent_add_digest(StediConsentBuilder *building, const Member *given, uint64 hash,
						 StediSlice digest)
{
	Member	   *member;

	building->set->flags |= SET_DIGEST;
	member = consent_find_member(building->set, building->slots, building->set->n_slots, digest, hash);
	if (member != NULL)
		stedi_consent_restrict(member, given);
	else
		building_append(building, given, hash, digest, (uint32) digest.len);
}

StediConsentBuilder *
stedi_consent_begin(MemoryContext cxt, bool fold_keys, bool since_rule, uint64 seed)
{
	Building   *building = MemoryContextAllocZero(cxt, sizeof(Building));

	building->cxt = cxt;
	building->room = 1024;
	building->set = MemoryContextAllocZero(cxt, building->room);
	building->set->magic = SET_MAGIC;
	building->set->flags = (fold_keys ? SET_FOLD : 0) | (since_rule ? SET_SINCE : 0);
	building->set->members_end = SET_HEADER;
	building->set->seed = seed;
	return building;
}

/* The state of the aggregate that is calling; made at its first row. */
static Building *
building_get(FunctionCallInfo fcinfo, bool fold_keys, bool since_rule)
{
	MemoryContext cxt;
	uint64		seed;

	if (!AggCheckCallContext(fcinfo, &cxt))
		elog(ERROR, "aggregate function called in non-aggregate context");
	if (!PG_ARGISNULL(0))
		return (Building *) PG_GETARG_POINTER(0);

	/* its digests are to be those of no other set */
	if (!pg_strong_random(&seed, sizeof(seed)))
		ereport(ERROR,
				errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("could not draw random numbers"));
	return stedi_consent_begin(cxt, fold_keys, since_rule, seed);
}

/*
 * consent_set_add(internal, who text, since bigint) -> internal
 */
Datum
consent_set_add(PG_FUNCTION_ARGS)
{
	Building   *building = building_get(fcinfo, true, true);
	Member		member = {0};

	member.owned_since = PG_INT64_MIN;
	if (PG_ARGISNULL(2) || PG_GETARG_INT64(2) <= 0)
		member.standing = STEDI_STANDING_NONE;
	else
	{
		member.standing = STEDI_STANDING_GRANTED;
		member.since = PG_GETARG_INT64(2);
	}
	if (!PG_ARGISNULL(1))
		building_add(building, PG_GETARG_TEXT_PP(1), &member);
	PG_RETURN_POINTER(building);
}

static StediStanding
parse_standing(text *word)
{
	StediStanding standing;

	if (!stedi_consent_parse_standing(stedi_text_slice(word), &standing))
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("invalid standing \"%s\"", text_to_cstring(word)),
				errhint("%s", stedi_near_hint(text_to_cstring(word), stedi_consent_words,
											  "Give one of: granted, none, ambiguous, forgotten, unknown, without_readings.")));
	return standing;
}

void
stedi_consent_add(StediConsentBuilder *building, Datum *values, bool *nulls)
{
	Member		member = {0};

	member.standing = nulls[3] ? STEDI_STANDING_NONE : parse_standing(DatumGetTextPP(values[3]));
	if (!nulls[1])
		member.since = DatumGetInt64(values[1]);
	else if (member.standing == STEDI_STANDING_GRANTED)
		member.standing = STEDI_STANDING_NONE;
	member.owned_since = nulls[2] ? PG_INT64_MIN : DatumGetInt64(values[2]);
	if (!nulls[0])
		building_add(building, DatumGetTextPP(values[0]), &member);
}

/*
 * consent_set_add_standing(internal, who text, since bigint,
 *		owned_since bigint, standing text, since_rule boolean, fold boolean)
 *		-> internal
 */
Datum
consent_set_add_standing(PG_FUNCTION_ARGS)
{
	bool		since_rule = PG_ARGISNULL(5) || PG_GETARG_BOOL(5);
	bool		fold_keys = PG_ARGISNULL(6) || PG_GETARG_BOOL(6);
	Building   *building = building_get(fcinfo, fold_keys, since_rule);
	Datum		values[4];
	bool		nulls[4];

	for (int i = 0; i < lengthof(values); i++)
	{
		values[i] = PG_GETARG_DATUM(i + 1);
		nulls[i] = PG_ARGISNULL(i + 1);
	}
	stedi_consent_add(building, values, nulls);
	PG_RETURN_POINTER(building);
}

/* A member, to be sorted by its hash where it need not be looked at. */
typedef struct Numbered
{
	uint64		hash;
	Place		place;
} Numbered;

static int
compare_numbered(const void *a, const void *b)
{
	uint64		one = ((const Numbered *) a)->hash;
	uint64		other = ((const Numbered *) b)->hash;

	CHECK_FOR_INTERRUPTS();
	return (one > other) - (one < other);
}

/* Number the members by their hashes. */
static void
number_members(Building *building)
{
	StediConsentSet *set = building->set;
	Numbered   *numbered = MemoryContextAllocExtended(building->cxt, Max(set->n_members, 1) * sizeof(Numbered),
													  MCXT_ALLOC_HUGE);

	for (uint32 i = 0; i < set->n_members; i++)
	{
		CHECK_FOR_INTERRUPTS();
		numbered[i].place = building->places[i];
		numbered[i].hash = SET_MEMBER(set, numbered[i].place)->hash;
	}
	qsort(numbered, set->n_members, sizeof(Numbered), compare_numbered);
	for (uint32 i = 0; i < set->n_members; i++)
	{
		CHECK_FOR_INTERRUPTS();
		building->places[i] = numbered[i].place;
		SET_MEMBER(set, numbered[i].place)->which = i;
	}
	pfree(numbered);
}

StediConsentSet *
stedi_consent_finish(StediConsentBuilder *building)
{
	StediConsentSet *set = building->set;
	uint64		size = stedi_consent_bytes(set);

	/* a plan that is run again asks for the same group's set once more */
	if (building->finished)
		return set;

	number_members(building);

	/* what is beside the set goes to its end: there is no second copy of it */
	if (size > MaxAllocSize)
		report_too_large(building);
	set = building->set = repalloc(set, size);
	building->room = set->members_end;
	SET_VARSIZE(set, size);
	stedi_consent_close(set, building->places, building->slots);
	if (set->n_members > 0)
	{
		pfree(building->places);
		pfree(building->slots);
	}
	building->finished = true;
	return set;
}

/*
 * consent_set_final(internal) -> stedi.consent_set; of no rows, an empty set
 */
Datum
consent_set_final(PG_FUNCTION_ARGS)
{
	Building   *building = PG_ARGISNULL(0) ?
	stedi_consent_begin(CurrentMemoryContext, false, false, 0) :
	(Building *) PG_GETARG_POINTER(0);

	PG_RETURN_POINTER(stedi_consent_finish(building));
}
