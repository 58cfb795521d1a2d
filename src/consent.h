/*-------------------------------------------------------------------------
 *
 * consent.h
 *		What the files of a consent set share: its layout.
 *
 *	 consent_set.c	built, by the aggregate or by a run
 *	 consent.c		asked, once a record
 *
 *	 header | members, each with its key | places of the members | slots
 *
 * A set is one flat varlena, probed where it lies.  The slots are an
 * open-addressing hash table; each has some bits of its key's hash, so that a
 * probe touches one line of the slots, and then the one member that it finds, or
 * none.  That is two cache misses in a set too large for the caches, and it is
 * the hottest place of a scan that asks for consent.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_CONSENT_H
#define STEDI_CONSENT_H

#include "stedi.h"

#include "port/pg_bswap.h"

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

/* Copy text to dest with its ASCII letters in lower case. */
static inline void
consent_fold(char *dest, StediSlice text)
{
	for (size_t i = 0; i < text.len; i++)
	{
		unsigned char c = text.data[i];

		/* without a branch, so that it is done many at a time */
		dest[i] = c | ((unsigned char) (c - 'A') < 26 ? 0x20 : 0);
	}
}

/* Eight bytes, or as many as there are; the same on every machine. */
static inline uint64
consent_load_word(const char *data, size_t len)
{
	uint64		word = 0;

	memcpy(&word, data, len);
	return pg_ntoh64(word);
}

static inline uint64
consent_rotate(uint64 word, int n)
{
	return word << n | word >> (64 - n);
}

static inline void
consent_sip_round(uint64 *v)
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = consent_rotate(v[1], 13) ^ v[0];
	v[3] = consent_rotate(v[3], 16) ^ v[2];
	v[0] = consent_rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = consent_rotate(v[1], 17) ^ v[2];
	v[3] = consent_rotate(v[3], 21) ^ v[0];
	v[2] = consent_rotate(v[2], 32);
}

/*
 * SipHash-1-3 of a key in UTF-8, under the seed.  Whoever does not know that
 * cannot choose two keys of one hash, which in a run would stand for one
 * person.  Never 0, which says that a hash is not known.
 */
static inline uint64
consent_hash_key(uint64 seed, StediSlice key)
{
	const char *p = key.data;
	const char *end = key.data + key.len;
	uint64		v[4] = {
		seed ^ UINT64CONST(0x736f6d6570736575), UINT64CONST(0x646f72616e646f6d),
		seed ^ UINT64CONST(0x6c7967656e657261), UINT64CONST(0x7465646279746573)
	};
	uint64		word;

	for (; end - p >= 8; p += 8)
	{
		word = consent_load_word(p, 8);
		v[3] ^= word;
		consent_sip_round(v);
		v[0] ^= word;
	}
	/* the last word has the length in the byte that is never of the key */
	word = consent_load_word(p, end - p) | (key.len & 0xFF);
	v[3] ^= word;
	consent_sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xFF;
	for (int i = 0; i < 3; i++)
		consent_sip_round(v);
	word = v[0] ^ v[1] ^ v[2] ^ v[3];
	return word != 0 ? word : 1;
}

/* The member of that key, or NULL. */
static inline Member *
consent_find_member(const StediConsentSet *set, const Slot *slots, uint32 n_slots,
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

/* consent.c */

/* The hash of a key that is in the encoding of the database. */
extern uint64 stedi_consent_hash_text(uint64 seed, StediSlice key);

#endif							/* STEDI_CONSENT_H */
