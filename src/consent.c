/*-------------------------------------------------------------------------
 *
 * consent.c
 *		Who consented, as of when: a set to be probed once a record.
 *
 * stedi.consent_set(who, since) aggregates people, or devices, into one flat
 * varlena, probed where it lies.  It can be a parameter of a scan, be handed to
 * parallel workers, and be stored; its text form shows a count and nobody's
 * name.
 *
 *	 header | members, each with its key | places of the members | slots
 *
 * The slots are an open-addressing hash table; each has some bits of its key's
 * hash, so that a probe touches one line of the slots, and then the one member
 * that it finds, or none.  That is two cache misses in a set too large for the
 * caches, and it is the hottest place of a scan that asks for consent.
 *
 * Whoever is given twice stands as the stricter of the two says.  A NULL
 * date or standing is no consent, nor is a date of 0 or before.
 *
 *-------------------------------------------------------------------------
 */
#include "stedi.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

/* E-mails longer than this are folded on the heap. */
#define SHORT_KEY 256

/* The layout's version: a set that is stored may be older than we are. */
#define SET_MAGIC 0x53544350
#define SET_FOLD 0x01			/* keys are e-mails: trimmed, lower case */
#define SET_SINCE 0x02			/* rule since_consent: before is out */

typedef struct Member
{
	int64		since;			/* epoch ms; consent is as of */
	int64		owned_since;	/* epoch ms; whose readings before are not
								 * known */
	uint64		hash;
	uint32		which;			/* its number, from 0 */
	uint32		standing;
	uint32		key_len;		/* NO_KEY: the hash alone says who it is */
	char		key[FLEXIBLE_ARRAY_MEMBER];
} Member;

#define MEMBER_SIZE(key_len) MAXALIGN(offsetof(Member, key) + (key_len))
#define NO_KEY PG_UINT32_MAX

/* Where a member is, in units of MAXIMUM_ALIGNOF from the set's start. */
typedef uint32 Place;

typedef struct Slot
{
	uint32		hash;			/* its lower half */
	Place		place;			/* 0: empty */
} Slot;

struct StediConsentSet
{
	int32		vl_len_;
	uint32		magic;
	uint32		flags;
	uint32		n_members;
	uint32		n_slots;		/* a power of two, or 0 */
	uint32		members_end;	/* of the members, in bytes from the start */
	uint64		seed;			/* of the keys' hashes */
	/* members, Place places[n_members], Slot slots[n_slots] */
};

#define SET_HEADER MAXALIGN(sizeof(StediConsentSet))
#define PLACES_SIZE(n_members) MAXALIGN((uint64) (n_members) * sizeof(Place))
#define SET_MEMBER(set, place) \
	((Member *) ((char *) (set) + (uint64) (place) * MAXIMUM_ALIGNOF))
#define SET_PLACES(set) ((Place *) ((char *) (set) + (set)->members_end))
#define SET_SLOTS(set) ((Slot *) ((char *) SET_PLACES(set) + PLACES_SIZE((set)->n_members)))

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

/* A set that was fetched from out of line, and the pointer that says from where. */
typedef struct Fetched
{
	char		pointer[VARHDRSZ_EXTERNAL + sizeof(varatt_external)];
	const StediConsentSet *set; /* NULL: none yet */
} Fetched;

PG_FUNCTION_INFO_V1(consent_set_in);
PG_FUNCTION_INFO_V1(consent_set_out);
PG_FUNCTION_INFO_V1(consent_set_add);
PG_FUNCTION_INFO_V1(consent_set_add_standing);
PG_FUNCTION_INFO_V1(consent_set_final);
PG_FUNCTION_INFO_V1(consents);
PG_FUNCTION_INFO_V1(normalize_email);

static inline bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

StediSlice
stedi_consent_trim(StediSlice text)
{
	while (text.len > 0 && is_space(text.data[0]))
	{
		text.data++;
		text.len--;
	}
	while (text.len > 0 && is_space(text.data[text.len - 1]))
		text.len--;
	return text;
}

/* Copy text to dest with its ASCII letters in lower case. */
static inline void
fold(char *dest, StediSlice text)
{
	for (size_t i = 0; i < text.len; i++)
	{
		unsigned char c = text.data[i];

		/* without a branch, so that it is done many at a time */
		dest[i] = c | ((unsigned char) (c - 'A') < 26 ? 0x20 : 0);
	}
}

/* Eight bytes, or as many as there are. */
static inline uint64
load_word(const char *data, size_t len)
{
	uint64		word = 0;

	memcpy(&word, data, len);
	return word;
}

/* Never 0, which says that a hash is not known. */
static inline uint64
hash_key(uint64 seed, StediSlice key)
{
	const uint64 odd = UINT64CONST(0x9FB21C651E98DF25);
	const char *p = key.data;
	const char *end = key.data + key.len;
	uint64		hash = (seed ^ key.len) * odd;

	for (; end - p >= 8; p += 8)
	{
		hash = (hash ^ load_word(p, 8)) * odd;
		hash ^= hash >> 35;
	}
	if (end > p)
		hash = (hash ^ load_word(p, end - p)) * odd;
	hash = (hash ^ hash >> 32) * odd;
	hash ^= hash >> 29;
	return hash != 0 ? hash : 1;
}

/* The member of that key, or NULL. */
static inline Member *
find_member(const StediConsentSet *set, const Slot *slots, uint32 n_slots,
			StediSlice key, uint64 hash)
{
	if (n_slots == 0)
		return NULL;
	for (uint32 slot = (uint32) hash & (n_slots - 1);; slot = (slot + 1) & (n_slots - 1))
	{
		Member	   *member;

		if (slots[slot].place == 0)
			return NULL;
		if (slots[slot].hash != (uint32) hash)
			continue;
		member = SET_MEMBER(set, slots[slot].place);
		if (member->hash == hash &&
			(member->key_len == NO_KEY ||
			 (member->key_len == key.len && memcmp(member->key, key.data, key.len) == 0)))
			return member;
	}
}

uint64
stedi_consent_hash(const StediConsentSet *set, StediSlice who)
{
	char		room[SHORT_KEY];
	uint64		hash;

	if (set->n_slots == 0)
		return 0;
	if (set->flags & SET_FOLD)
	{
		who = stedi_consent_trim(who);
		if (who.len > sizeof(room))
			return 0;
		fold(room, who);
		who.data = room;
	}
	hash = hash_key(set->seed, who);
	__builtin_prefetch(&SET_SLOTS(set)[hash & (set->n_slots - 1)]);
	return hash;
}

void
stedi_consent_fetch(const StediConsentSet *set, uint64 hash)
{
	const Slot *slot;

	if (set->n_slots == 0)
		return;
	/* the slot before which the hash belongs is nearly always its own */
	slot = &SET_SLOTS(set)[hash & (set->n_slots - 1)];
	if (slot->place != 0)
	{
		const char *member = (const char *) SET_MEMBER(set, slot->place);

		__builtin_prefetch(member);
		__builtin_prefetch(member + PG_CACHE_LINE_SIZE / 2);
	}
}

bool
stedi_consent_find(const StediConsentSet *set, StediSlice who, uint64 *hash,
				   uint32 *place)
{
	char		room[SHORT_KEY];
	char	   *copy = room;
	const Member *member;

	if (set->flags & SET_FOLD)
	{
		who = stedi_consent_trim(who);
		if (who.len > sizeof(room))
			copy = palloc(who.len);
		fold(copy, who);
		who.data = copy;
	}
	if (*hash == 0)
		*hash = hash_key(set->seed, who);
	member = find_member(set, SET_SLOTS(set), set->n_slots, who, *hash);
	if (copy != room)
		pfree(copy);
	if (member != NULL)
		*place = ((const char *) member - (const char *) set) / MAXIMUM_ALIGNOF;
	return member != NULL;
}

uint32
stedi_consent_number(const StediConsentSet *set, uint32 place)
{
	return SET_MEMBER(set, place)->which;
}

StediStanding
stedi_consent_standing(const StediConsentSet *set, uint32 place,
					   int64 reading_time, bool *older)
{
	const Member *member = SET_MEMBER(set, place);

	/* the order is that of doc/rules.md: whose it is, before what they allow */
	*older = false;
	if (reading_time < member->owned_since)
		return STEDI_STANDING_AMBIGUOUS;
	if (member->standing != STEDI_STANDING_GRANTED)
		return member->standing;
	if (reading_time >= member->since)
		return STEDI_STANDING_GRANTED;
	if (set->flags & SET_SINCE)
		return STEDI_STANDING_BEFORE;
	*older = true;
	return STEDI_STANDING_GRANTED;
}

uint32
stedi_consent_size(const StediConsentSet *set)
{
	return set->n_members;
}

uint64
stedi_consent_key_hash(const StediConsentSet *set, uint32 which)
{
	return SET_MEMBER(set, SET_PLACES(set)[which])->hash;
}

StediSlice
stedi_consent_key(const StediConsentSet *set, uint32 which)
{
	const Member *member = SET_MEMBER(set, SET_PLACES(set)[which]);
	StediSlice	key = {member->key, member->key_len};

	return key;
}

const StediConsentSet *
stedi_consent_get(Datum datum)
{
	const StediConsentSet *set = (StediConsentSet *) PG_DETOAST_DATUM(datum);
	uint64		size = 0;

	if (VARSIZE(set) >= SET_HEADER && set->magic == SET_MAGIC)
		size = set->members_end + PLACES_SIZE(set->n_members) +
			(uint64) set->n_slots * sizeof(Slot);
	if (VARSIZE(set) != size)
		ereport(ERROR,
				errcode(ERRCODE_DATA_CORRUPTED),
				errmsg("the consent set is damaged, or of another version"),
				errhint("Make it anew with the aggregate stedi.consent_set(who, since)."));
	return set;
}

/* How strict a standing is, where two are given for one key. */
static int
strictness(uint32 standing)
{
	switch (standing)
	{
		case STEDI_STANDING_FORGOTTEN:
			return 4;
		case STEDI_STANDING_AMBIGUOUS:
			return 3;
		case STEDI_STANDING_NONE:
			return 2;
		case STEDI_STANDING_UNKNOWN:
			return 1;
		default:
			return 0;
	}
}

static void
report_too_large(const Building *building)
{
	ereport(ERROR,
			errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			errmsg("the consent set is too large"),
			errdetail("It has %u members.", building->set->n_members));
}

/* Put a member into the slots, which have room for it. */
static void
put_slot(Building *building, const Member *member, Place place)
{
	uint32		n_slots = building->set->n_slots;
	uint32		slot = member->hash & (n_slots - 1);

	while (building->slots[slot].place != 0)
		slot = (slot + 1) & (n_slots - 1);
	building->slots[slot].hash = member->hash;
	building->slots[slot].place = place;
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
			put_slot(building, SET_MEMBER(set, building->places[i]), building->places[i]);
	}
}

/* Put a new member behind the others. */
static void
building_append(Building *building, const Member *given, uint64 hash, StediSlice key,
				uint32 key_len)
{
	Size		size = MEMBER_SIZE(key.len);
	Member	   *member;
	Place		place;

	building_grow(building, size);
	place = building->set->members_end / MAXIMUM_ALIGNOF;
	member = SET_MEMBER(building->set, place);
	memset(member, 0, size);
	*member = *given;
	member->which = building->set->n_members++;
	member->hash = hash;
	member->key_len = key_len;
	memcpy(member->key, key.data, key.len);
	building->set->members_end += size;
	building->places[member->which] = place;
	put_slot(building, member, place);
}

/* Add a member, or make the one that is there as strict as this. */
static void
building_add(Building *building, text *who, const Member *given)
{
	StediSlice	key = stedi_text_slice(who);
	char	   *copy = NULL;
	uint64		hash;
	Member	   *member;

	if (building->set->flags & SET_FOLD)
	{
		key = stedi_consent_trim(key);
		copy = palloc(key.len + 1);
		fold(copy, key);
		key.data = copy;
	}
	hash = hash_key(building->set->seed, key);
	member = find_member(building->set, building->slots, building->set->n_slots, key, hash);
	if (member != NULL)
	{
		member->since = Max(member->since, given->since);
		member->owned_since = Max(member->owned_since, given->owned_since);
		if (strictness(given->standing) > strictness(member->standing))
			member->standing = given->standing;
	}
	else
		building_append(building, given, hash, key, (uint32) key.len);
	if (copy != NULL)
		pfree(copy);
}

void
stedi_consent_add_hashed(StediConsentBuilder *building, uint64 hash, StediStanding standing,
						 int64 owned_since)
{
	const StediSlice nothing = {"", 0};
	Member		member = {0};
	StediConsentSet *set = building->set;

	/* a key that is known in full has come before */
	for (uint32 slot = (uint32) hash & (set->n_slots - 1);
		 set->n_slots > 0 && building->slots[slot].place != 0;
		 slot = (slot + 1) & (set->n_slots - 1))
		if (SET_MEMBER(set, building->slots[slot].place)->hash == hash)
			return;
	member.standing = standing;
	member.owned_since = owned_since;
	building_append(building, &member, hash, nothing, NO_KEY);
}

uint64
stedi_consent_name_hash(uint64 seed, StediSlice name, bool fold_key)
{
	char		room[SHORT_KEY];
	char	   *copy = room;
	uint64		hash;

	if (!fold_key)
		return hash_key(seed, name);
	name = stedi_consent_trim(name);
	if (name.len > sizeof(room))
		copy = palloc(name.len);
	fold(copy, name);
	name.data = copy;
	hash = hash_key(seed, name);
	if (copy != room)
		pfree(copy);
	return hash;
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

	if (!AggCheckCallContext(fcinfo, &cxt))
		elog(ERROR, "aggregate function called in non-aggregate context");
	return PG_ARGISNULL(0) ? stedi_consent_begin(cxt, fold_keys, since_rule, 0) :
		(Building *) PG_GETARG_POINTER(0);
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

static uint32
parse_standing(text *word)
{
	static const struct
	{
		const char *word;
		StediStanding standing;
	}			words[] = {
		{"granted", STEDI_STANDING_GRANTED},
		{"none", STEDI_STANDING_NONE},
		{"ambiguous", STEDI_STANDING_AMBIGUOUS},
		{"forgotten", STEDI_STANDING_FORGOTTEN},
		{"unknown", STEDI_STANDING_UNKNOWN},
	};
	StediSlice	given = stedi_text_slice(word);

	for (int i = 0; i < lengthof(words); i++)
		if (strlen(words[i].word) == given.len &&
			memcmp(words[i].word, given.data, given.len) == 0)
			return words[i].standing;
	ereport(ERROR,
			errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("invalid standing \"%s\"", text_to_cstring(word)),
			errhint("Give one of: granted, none, ambiguous, forgotten, unknown."));
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
		numbered[i].place = building->places[i];
		numbered[i].hash = SET_MEMBER(set, numbered[i].place)->hash;
	}
	qsort(numbered, set->n_members, sizeof(Numbered), compare_numbered);
	for (uint32 i = 0; i < set->n_members; i++)
	{
		building->places[i] = numbered[i].place;
		SET_MEMBER(set, numbered[i].place)->which = i;
	}
	pfree(numbered);
}

StediConsentSet *
stedi_consent_finish(StediConsentBuilder *building)
{
	StediConsentSet *set = building->set;
	uint64		size = set->members_end + PLACES_SIZE(set->n_members) +
	(uint64) set->n_slots * sizeof(Slot);

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
	memset(SET_PLACES(set), 0, PLACES_SIZE(set->n_members));
	if (set->n_members > 0)
	{
		memcpy(SET_PLACES(set), building->places, set->n_members * sizeof(Place));
		memcpy(SET_SLOTS(set), building->slots, set->n_slots * sizeof(Slot));
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

/* A set cannot be written by hand: it says who consented. */
Datum
consent_set_in(PG_FUNCTION_ARGS)
{
	ereport(ERROR,
			errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			errmsg("cannot accept a value of type %s", "stedi.consent_set"),
			errhint("Make one with the aggregate stedi.consent_set(who, since)."));
	PG_RETURN_NULL();
}

Datum
consent_set_out(PG_FUNCTION_ARGS)
{
	const StediConsentSet *set = stedi_consent_get(PG_GETARG_DATUM(0));

	PG_RETURN_CSTRING(psprintf("consent_set(%u)", set->n_members));
}

/*
 * The set that the argument holds.  One that lies in a table out of line is
 * fetched once for all calls of a query, not once a row.
 */
static const StediConsentSet *
get_set_argument(FunctionCallInfo fcinfo)
{
	struct varlena *given = (struct varlena *) DatumGetPointer(PG_GETARG_DATUM(0));
	MemoryContext cxt = fcinfo->flinfo->fn_mcxt;
	Fetched    *fetched = fcinfo->flinfo->fn_extra;
	MemoryContext caller;

	if (!VARATT_IS_EXTERNAL_ONDISK(given))
		return stedi_consent_get(PointerGetDatum(given));
	if (fetched == NULL)
		fetched = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(cxt, sizeof(Fetched));
	if (fetched->set == NULL ||
		memcmp(fetched->pointer, given, sizeof(fetched->pointer)) != 0)
	{
		if (fetched->set != NULL)
			pfree(unconstify(StediConsentSet *, fetched->set));
		fetched->set = NULL;
		caller = MemoryContextSwitchTo(cxt);
		fetched->set = stedi_consent_get(PointerGetDatum(given));
		MemoryContextSwitchTo(caller);
		memcpy(fetched->pointer, given, sizeof(fetched->pointer));
	}
	return fetched->set;
}

/*
 * consents(set stedi.consent_set, who text, reading_time bigint) -> boolean
 */
Datum
consents(PG_FUNCTION_ARGS)
{
	const StediConsentSet *set;
	text	   *who;
	StediSlice	key;
	uint64		hash = 0;
	uint32		place;
	bool		older;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_BOOL(false);
	who = PG_GETARG_TEXT_PP(1);
	key = stedi_text_slice(who);
	set = get_set_argument(fcinfo);
	PG_RETURN_BOOL(stedi_consent_find(set, key, &hash, &place) &&
				   stedi_consent_standing(set, place, PG_GETARG_INT64(2), &older) ==
				   STEDI_STANDING_GRANTED);
}

text *
stedi_consent_normalize(StediSlice email)
{
	text	   *result;

	email = stedi_consent_trim(email);
	if (email.len == 0)
		return NULL;
	result = palloc(email.len + VARHDRSZ);
	SET_VARSIZE(result, email.len + VARHDRSZ);
	fold(VARDATA(result), email);
	return result;
}

/*
 * normalize_email(text) -> text; NULL when nothing is left
 */
Datum
normalize_email(PG_FUNCTION_ARGS)
{
	text	   *result = stedi_consent_normalize(stedi_text_slice(PG_GETARG_TEXT_PP(0)));

	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result);
}
