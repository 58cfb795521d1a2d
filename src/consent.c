/*-------------------------------------------------------------------------
 *
 * consent.c
 *		Who consented, as of when: a set to be probed once a record.
 *
 * stedi.consent_set(who, since) aggregates people, or devices, into one flat
 * varlena: an open-addressing hash table, its members and their keys, probed
 * where it lies.  It can be a parameter of a scan, be handed to parallel
 * workers, and be stored; its text form shows a count and nobody's name.
 *
 * Whoever is given twice stands as the stricter of the two says.  A NULL
 * date or standing is no consent, nor is a date of 0 or before.
 *
 *-------------------------------------------------------------------------
 */
#include "stedi.h"

#include "common/hashfn.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"

/* E-mails longer than this are folded on the heap. */
#define SHORT_KEY 256

#define SET_MAGIC 0x5354434e
#define SET_FOLD 0x01			/* keys are e-mails: trimmed, lower case */
#define SET_SINCE 0x02			/* rule since_consent: before is out */

typedef struct Member
{
	int64		since;			/* epoch ms; consent is as of */
	int64		owned_since;	/* epoch ms; whose readings before are not
								 * known */
	uint32		key_pos;		/* in the keys */
	uint32		key_len;
	uint32		standing;
	uint32		hash;
} Member;

struct StediConsentSet
{
	int32		vl_len_;
	uint32		magic;
	uint32		flags;
	uint32		n_members;
	uint32		n_slots;		/* a power of two, or 0 */
	uint32		keys_len;
	/* uint32 slots[n_slots] (0, or member + 1), members, keys: see below */
};

#define SET_HEADER MAXALIGN(sizeof(StediConsentSet))
#define SET_SLOTS(set) ((const uint32 *) ((const char *) (set) + SET_HEADER))
#define SET_MEMBERS(set) \
	((const Member *) ((const char *) (set) + SET_HEADER + \
					   MAXALIGN((set)->n_slots * sizeof(uint32))))
#define SET_KEYS(set) ((const char *) (SET_MEMBERS(set) + (set)->n_members))

/* The aggregate's state: the same, growing. */
typedef struct Building
{
	MemoryContext cxt;
	uint32		flags;
	Member	   *members;
	uint32		n_members;
	uint32		members_room;
	uint32	   *slots;
	uint32		n_slots;
	char	   *keys;
	Size		keys_len;
	Size		keys_room;
} Building;

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
		dest[i] = pg_ascii_tolower((unsigned char) text.data[i]);
}

static inline uint32
hash_key(StediSlice key)
{
	return hash_bytes((const unsigned char *) key.data, (int) key.len);
}

/* The member of that key, or -1. */
static inline int64
find_member(const uint32 *slots, uint32 n_slots, const Member *members,
			const char *keys, StediSlice key, uint32 hash)
{
	if (n_slots == 0)
		return -1;
	for (uint32 slot = hash & (n_slots - 1);; slot = (slot + 1) & (n_slots - 1))
	{
		const Member *member;

		if (slots[slot] == 0)
			return -1;
		member = &members[slots[slot] - 1];
		if (member->hash == hash && member->key_len == key.len &&
			memcmp(keys + member->key_pos, key.data, key.len) == 0)
			return slots[slot] - 1;
	}
}

StediStanding
stedi_consent_probe(const StediConsentSet *set, StediSlice who,
					int64 reading_time, bool *older)
{
	char		room[SHORT_KEY] = {0};
	char	   *copy = room;
	const Member *member;
	int64		found;

	*older = false;
	if (set->flags & SET_FOLD)
	{
		who = stedi_consent_trim(who);
		if (who.len > sizeof(room))
			copy = palloc(who.len);
		fold(copy, who);
		who.data = copy;
	}
	found = find_member(SET_SLOTS(set), set->n_slots, SET_MEMBERS(set),
						SET_KEYS(set), who, hash_key(who));
	if (copy != room)
		pfree(copy);
	if (found < 0)
		return STEDI_STANDING_UNKNOWN;

	/* the order is that of doc/rules.md: whose it is, before what they allow */
	member = &SET_MEMBERS(set)[found];
	if (member->standing == STEDI_STANDING_FORGOTTEN ||
		member->standing == STEDI_STANDING_AMBIGUOUS)
		return member->standing;
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

const StediConsentSet *
stedi_consent_get(Datum datum)
{
	const StediConsentSet *set = (StediConsentSet *) PG_DETOAST_DATUM(datum);
	uint64		size;

	size = SET_HEADER;
	if (VARSIZE(set) >= size && set->magic == SET_MAGIC)
		size += MAXALIGN((uint64) set->n_slots * sizeof(uint32)) +
			(uint64) set->n_members * sizeof(Member) + set->keys_len;
	if (VARSIZE(set) != size || set->magic != SET_MAGIC)
		ereport(ERROR,
				errcode(ERRCODE_DATA_CORRUPTED),
				errmsg("the consent set is damaged"));
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

/* Make room for one more member, its key and its slot. */
static void
building_grow(Building *building, Size key_len)
{
	if (building->keys_len + key_len > building->keys_room)
	{
		building->keys_room = Max(building->keys_room * 2, building->keys_len + key_len + 1024);
		if (building->keys_room > MaxAllocSize)
			ereport(ERROR,
					errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("the consent set is too large"));
		building->keys = building->keys == NULL ?
			MemoryContextAlloc(building->cxt, building->keys_room) :
			repalloc(building->keys, building->keys_room);
	}
	if (building->n_members == building->members_room)
	{
		building->members_room = Max(64, building->members_room * 2);
		if (building->members_room > MaxAllocSize / sizeof(Member))
			ereport(ERROR,
					errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("the consent set is too large"));
		building->members = building->members == NULL ?
			MemoryContextAlloc(building->cxt, building->members_room * sizeof(Member)) :
			repalloc(building->members, building->members_room * sizeof(Member));
	}
	/* at most two slots in three are taken */
	if ((building->n_members + 1) * UINT64CONST(3) > building->n_slots * UINT64CONST(2))
	{
		uint32		n_slots = Max(128, building->n_slots * 2);

		if (building->slots != NULL)
			pfree(building->slots);
		building->slots = MemoryContextAllocZero(building->cxt, n_slots * sizeof(uint32));
		building->n_slots = n_slots;
		for (uint32 i = 0; i < building->n_members; i++)
		{
			uint32		slot = building->members[i].hash & (n_slots - 1);

			while (building->slots[slot] != 0)
				slot = (slot + 1) & (n_slots - 1);
			building->slots[slot] = i + 1;
		}
	}
}

/* Add a member, or make the one that is there as strict as this. */
static void
building_add(Building *building, text *who, const Member *given)
{
	StediSlice	key = {VARDATA_ANY(who), VARSIZE_ANY_EXHDR(who)};
	char	   *copy = NULL;
	uint32		hash;
	int64		found;
	Member	   *member;

	if (building->flags & SET_FOLD)
	{
		key = stedi_consent_trim(key);
		copy = palloc(key.len + 1);
		fold(copy, key);
		key.data = copy;
	}
	hash = hash_key(key);
	found = find_member(building->slots, building->n_slots, building->members,
						building->keys, key, hash);
	if (found >= 0)
	{
		member = &building->members[found];
		member->since = Max(member->since, given->since);
		member->owned_since = Max(member->owned_since, given->owned_since);
		if (strictness(given->standing) > strictness(member->standing))
			member->standing = given->standing;
	}
	else
	{
		uint32		slot;

		building_grow(building, key.len);
		member = &building->members[building->n_members++];
		*member = *given;
		member->hash = hash;
		member->key_pos = (uint32) building->keys_len;
		member->key_len = (uint32) key.len;
		memcpy(building->keys + building->keys_len, key.data, key.len);
		building->keys_len += key.len;
		slot = hash & (building->n_slots - 1);
		while (building->slots[slot] != 0)
			slot = (slot + 1) & (building->n_slots - 1);
		building->slots[slot] = building->n_members;
	}
	if (copy != NULL)
		pfree(copy);
}

/* The state of the aggregate that is calling; made at its first row. */
static Building *
building_get(FunctionCallInfo fcinfo, uint32 flags)
{
	MemoryContext cxt;
	Building   *building;

	if (!AggCheckCallContext(fcinfo, &cxt))
		elog(ERROR, "aggregate function called in non-aggregate context");
	if (!PG_ARGISNULL(0))
		return (Building *) PG_GETARG_POINTER(0);
	building = MemoryContextAllocZero(cxt, sizeof(Building));
	building->cxt = cxt;
	building->flags = flags;
	return building;
}

/*
 * consent_set_add(internal, who text, since bigint) -> internal
 */
Datum
consent_set_add(PG_FUNCTION_ARGS)
{
	Building   *building = building_get(fcinfo, SET_FOLD | SET_SINCE);
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
	char	   *given = text_to_cstring(word);

	for (int i = 0; i < lengthof(words); i++)
		if (strcmp(words[i].word, given) == 0)
			return words[i].standing;
	ereport(ERROR,
			errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("invalid standing \"%s\"", given),
			errhint("Give one of: granted, none, ambiguous, forgotten, unknown."));
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
	Building   *building = building_get(fcinfo, (since_rule ? SET_SINCE : 0) |
										(fold_keys ? SET_FOLD : 0));
	Member		member = {0};

	member.standing = PG_ARGISNULL(4) ? STEDI_STANDING_NONE :
		parse_standing(PG_GETARG_TEXT_PP(4));
	if (!PG_ARGISNULL(2))
		member.since = PG_GETARG_INT64(2);
	else if (member.standing == STEDI_STANDING_GRANTED)
		member.standing = STEDI_STANDING_NONE;
	member.owned_since = PG_ARGISNULL(3) ? PG_INT64_MIN : PG_GETARG_INT64(3);
	if (!PG_ARGISNULL(1))
		building_add(building, PG_GETARG_TEXT_PP(1), &member);
	PG_RETURN_POINTER(building);
}

/*
 * consent_set_final(internal) -> stedi.consent_set; of no rows, an empty set
 */
Datum
consent_set_final(PG_FUNCTION_ARGS)
{
	Building	empty = {0};
	Building   *building = PG_ARGISNULL(0) ? &empty : (Building *) PG_GETARG_POINTER(0);
	StediConsentSet *set;
	uint64		size;

	size = SET_HEADER + MAXALIGN((uint64) building->n_slots * sizeof(uint32)) +
		(uint64) building->n_members * sizeof(Member) + building->keys_len;
	if (size > MaxAllocSize)
		ereport(ERROR,
				errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("the consent set is too large"),
				errdetail("It has %u members.", building->n_members));
	set = palloc0(size);
	SET_VARSIZE(set, size);
	set->magic = SET_MAGIC;
	set->flags = building->flags;
	set->n_members = building->n_members;
	set->n_slots = building->n_slots;
	set->keys_len = (uint32) building->keys_len;
	if (building->n_members > 0)
	{
		memcpy(unconstify(uint32 *, SET_SLOTS(set)), building->slots,
			   building->n_slots * sizeof(uint32));
		memcpy(unconstify(Member *, SET_MEMBERS(set)), building->members,
			   building->n_members * sizeof(Member));
		memcpy(unconstify(char *, SET_KEYS(set)), building->keys, building->keys_len);
	}
	PG_RETURN_POINTER(set);
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
	text	   *who;
	StediSlice	key;
	bool		older;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_BOOL(false);
	who = PG_GETARG_TEXT_PP(1);
	key.data = VARDATA_ANY(who);
	key.len = VARSIZE_ANY_EXHDR(who);
	PG_RETURN_BOOL(stedi_consent_probe(get_set_argument(fcinfo), key,
									   PG_GETARG_INT64(2), &older) ==
				   STEDI_STANDING_GRANTED);
}

/*
 * normalize_email(text) -> text; NULL when nothing is left
 */
Datum
normalize_email(PG_FUNCTION_ARGS)
{
	text	   *given = PG_GETARG_TEXT_PP(0);
	StediSlice	trimmed = {VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given)};
	text	   *result;

	trimmed = stedi_consent_trim(trimmed);
	if (trimmed.len == 0)
		PG_RETURN_NULL();
	result = palloc(trimmed.len + VARHDRSZ);
	SET_VARSIZE(result, trimmed.len + VARHDRSZ);
	fold(VARDATA(result), trimmed);
	PG_RETURN_TEXT_P(result);
}
