/*-------------------------------------------------------------------------
 *
 * members.h
 *		A consent set that is built without a backend.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_MEMBERS_H
#define STEDI_MEMBERS_H

#include <stdlib.h>
#include <string.h>

#include "consent/set.h"

/* A set with its places and slots beside it, all of a size that is enough. */
typedef struct Members
{
	StediConsentSet *set;		/* owned, as are the others */
	Place	   *places;
	Slot	   *slots;
} Members;

/* Room for n members whose keys have so many bytes together, in so many slots. */
static inline void
members_begin(Members *members, uint32_t n, size_t keys_len, uint32_t n_slots, uint32_t flags, uint64_t seed)
{
	members->set = calloc(1, SET_HEADER + n * MEMBER_SIZE(SET_ALIGN) + keys_len + PLACES_SIZE(n) + n_slots * sizeof(Slot));
	members->places = calloc(n + 1, sizeof(Place));
	members->slots = calloc(n_slots + 1, sizeof(Slot));
	members->set->magic = SET_MAGIC;
	members->set->flags = flags;
	members->set->seed = seed;
	members->set->n_slots = n_slots;
	members->set->members_end = SET_HEADER;
}

/* Add one, or make the one that is there as strict; the key as normalised. */
static inline void
members_add(Members *members, StediSlice key, const Member *given)
{
	StediConsentSet *set = members->set;
	uint64_t	hash = consent_hash_key(set->seed, key);
	Member	   *member = consent_find_member(set, members->slots, set->n_slots, key, hash);

	if (member != NULL)
		stedi_consent_restrict(member, given);
	else
		stedi_consent_append(set, members->places, members->slots, given, hash, key, (uint32_t) key.len);
}

/* The set alone, closed, in memory of its very size; to be freed. */
static inline StediConsentSet *
members_finish(Members *members)
{
	uint64_t	size = stedi_consent_bytes(members->set);
	StediConsentSet *set = malloc(size);

	memcpy(set, members->set, members->set->members_end);
	stedi_consent_close(set, members->places, members->slots);
	free(members->set);
	free(members->places);
	free(members->slots);
	return set;
}

#endif							/* STEDI_MEMBERS_H */
