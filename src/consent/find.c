/*-------------------------------------------------------------------------
 *
 * find.c
 *		Who is in a consent set: keys are hashed, placed and found.
 *
 * Backend-free (see record.h); consent/set.h has the layout, and what is hottest.
 * The keys are e-mails and serial numbers, as landing objects have them.  The
 * set itself is ours: nobody can write one by hand, so its header alone is
 * looked at when it comes back from a table.
 *
 *-------------------------------------------------------------------------
 */
#include "consent/set.h"

/* Bytes between two prefetches of a member: its line, and the next. */
#define HALF_LINE 64

/* not inlined: what most e-mails do not need takes room on the stack */
static uint64_t hash_form(uint64_t seed, StediSlice email) __attribute__((noinline));

/* The hash of a short e-mail beyond plain ASCII. */
static uint64_t
hash_form(uint64_t seed, StediSlice email)
{
	uint32_t	room[STEDI_EMAIL_ROOM(SHORT_KEY)];

	return consent_hash_key(seed, stedi_email_form(email, room));
}

uint64_t
stedi_consent_hash(const StediConsentSet *set, StediSlice who)
{
	char		room[SHORT_KEY];
	uint64_t	hash;

	if (set->n_slots == 0)
		return 0;
	if (set->flags & SET_FOLD)
	{
		who = stedi_email_trim(who);
		if (who.len > sizeof(room))
			return 0;
		if (!consent_fold(room, who))
			hash = hash_form(set->seed, who);
		else
		{
			who.data = room;
			hash = consent_hash_key(set->seed, who);
		}
	}
	else
		hash = consent_hash_key(set->seed, who);
	__builtin_prefetch(&SET_SLOTS(set)[hash & (set->n_slots - 1)]);
	return hash;
}

void
stedi_consent_fetch(const StediConsentSet *set, uint64_t hash)
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
		__builtin_prefetch(member + HALF_LINE);
	}
}

uint32_t
stedi_consent_number(const StediConsentSet *set, uint32_t place)
{
	return SET_MEMBER(set, place)->which;
}

StediStanding
stedi_consent_standing(const StediConsentSet *set, uint32_t place,
					   int64_t reading_time, bool *older)
{
	const Member *member = SET_MEMBER(set, place);

	/* the order is that of doc/rules.md: whose it is, before what they allow */
	*older = false;
	if (reading_time < member->owned_since)
		return member->standing == STEDI_STANDING_AMBIGUOUS ? STEDI_STANDING_AMBIGUOUS :
			STEDI_STANDING_HANDED_ON;
	if (member->standing != STEDI_STANDING_GRANTED)
		return member->standing;
	if (reading_time >= member->since)
		return STEDI_STANDING_GRANTED;
	if (set->flags & SET_SINCE)
		return STEDI_STANDING_BEFORE;
	*older = true;
	return STEDI_STANDING_GRANTED;
}

uint32_t
stedi_consent_size(const StediConsentSet *set)
{
	return set->n_members;
}

int64_t
stedi_consent_since(const StediConsentSet *set, uint32_t which)
{
	return SET_MEMBER(set, SET_PLACES(set)[which])->since;
}

uint64_t
stedi_consent_key_hash(const StediConsentSet *set, uint32_t which)
{
	return SET_MEMBER(set, SET_PLACES(set)[which])->hash;
}

StediSlice
stedi_consent_key(const StediConsentSet *set, uint32_t which)
{
	const Member *member = SET_MEMBER(set, SET_PLACES(set)[which]);
	StediSlice	key = {member->key, member->key_len};

	return key;
}

uint64_t
stedi_consent_bytes(const StediConsentSet *set)
{
	return set->members_end + PLACES_SIZE(set->n_members) + (uint64_t) set->n_slots * sizeof(Slot);
}

bool
stedi_consent_is_whole(const StediConsentSet *set, size_t len)
{
	return len >= SET_HEADER && set->magic == SET_MAGIC && stedi_consent_bytes(set) == len;
}

/* How strict a standing is, where two are given for one key. */
static int
strictness(uint32_t standing)
{
	switch (standing)
	{
		case STEDI_STANDING_FORGOTTEN:
			return 5;
		case STEDI_STANDING_AMBIGUOUS:
			return 4;
		case STEDI_STANDING_NONE:
			return 3;
		case STEDI_STANDING_UNKNOWN:
			return 2;
		case STEDI_STANDING_WITHOUT_READINGS:
			return 1;
		default:
			return 0;
	}
}

void
stedi_consent_restrict(Member *member, const Member *given)
{
	if (given->since > member->since)
		member->since = given->since;
	if (given->owned_since > member->owned_since)
		member->owned_since = given->owned_since;
	if (strictness(given->standing) > strictness(member->standing))
		member->standing = given->standing;
}

void
stedi_consent_append(StediConsentSet *set, Place *places, Slot *slots, const Member *given,
					 uint64_t hash, StediSlice key, uint32_t key_len)
{
	size_t		size = MEMBER_SIZE(key.len);
	Place		place = set->members_end / SET_ALIGN;
	Member	   *member = SET_MEMBER(set, place);

	memset(member, 0, size);
	*member = *given;
	member->which = set->n_members++;
	member->hash = hash;
	member->key_len = key_len;
	if (key.len > 0)
		memcpy(member->key, key.data, key.len);
	set->members_end += size;
	places[member->which] = place;
	consent_put_slot(slots, set->n_slots, hash, place);
}

bool
stedi_consent_has_hash(const StediConsentSet *set, const Slot *slots, uint64_t hash)
{
	if (set->n_slots == 0)
		return false;
	for (uint32_t slot = (uint32_t) hash & (set->n_slots - 1); slots[slot].place != 0;
		 slot = (slot + 1) & (set->n_slots - 1))
		if (SET_MEMBER(set, slots[slot].place)->hash == hash)
			return true;
	return false;
}

void
stedi_consent_close(StediConsentSet *set, const Place *places, const Slot *slots)
{
	memset(SET_PLACES(set), 0, PLACES_SIZE(set->n_members));
	if (set->n_members > 0)
		memcpy(SET_PLACES(set), places, set->n_members * sizeof(Place));
	if (set->n_slots > 0)
		memcpy(SET_SLOTS(set), slots, set->n_slots * sizeof(Slot));
}

const char *const stedi_consent_words[] = {
	"granted", "none", "ambiguous", "forgotten", "unknown", "without_readings", NULL
};

/* In the order of the words. */
static const StediStanding standings[] = {
	STEDI_STANDING_GRANTED, STEDI_STANDING_NONE, STEDI_STANDING_AMBIGUOUS,
	STEDI_STANDING_FORGOTTEN, STEDI_STANDING_UNKNOWN, STEDI_STANDING_WITHOUT_READINGS,
};

bool
stedi_consent_parse_standing(StediSlice given, StediStanding *standing)
{
	for (int i = 0; stedi_consent_words[i] != NULL; i++)
	{
		*standing = standings[i];
		if (strlen(stedi_consent_words[i]) == given.len &&
			memcmp(stedi_consent_words[i], given.data, given.len) == 0)
			return true;
	}
	return false;
}

const char *
stedi_consent_standing_word(uint32_t standing)
{
	for (int i = 0; stedi_consent_words[i] != NULL; i++)
		if (standings[i] == standing)
			return stedi_consent_words[i];
	return NULL;
}
