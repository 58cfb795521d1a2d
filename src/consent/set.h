/*-------------------------------------------------------------------------
 *
 * set.h
 *		What the files of a consent set share: its layout.
 *
 *	 find.c		keys hashed, placed and found; without a backend
 *	 name.c		keys in the encoding of the database
 *	 build.c	built, by the aggregate or by a run
 *	 consent.c	asked, once a record
 *	 text.c		as text, and back
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
#ifndef STEDI_CONSENT_SET_H
#define STEDI_CONSENT_SET_H

#include "consent/who.h"

#include <string.h>

/* E-mails longer than this are normalised on the heap. */
#define SHORT_KEY 256

/* Whatever lies in a set is aligned to so many bytes. */
#define SET_ALIGN 8
#define SET_ALIGNED(size) (((uint64_t) (size) + SET_ALIGN - 1) & ~(uint64_t) (SET_ALIGN - 1))

/* The layout's version: a set that is stored may be older than we are. */
#define SET_MAGIC 0x53544351
#define SET_FOLD 0x01			/* keys are e-mails, in their normal form */
#define SET_SINCE 0x02			/* rule since_consent: before is out */
#define SET_DIGEST 0x04			/* it was text: a member's key is a digest */

/* Of a digest in place of a key: as many bytes of a SHA-256. */
#define DIGEST_LEN 16

typedef struct Member
{
	int64_t		since;			/* epoch ms; consent is as of */
	int64_t		owned_since;	/* epoch ms; whose readings before are not
								 * known */
	uint64_t	hash;
	uint32_t	which;			/* its number, from 0 */
	uint32_t	standing;
	uint32_t	key_len;		/* NO_KEY: the hash alone says who it is */
	char		key[];
} Member;

#define MEMBER_SIZE(key_len) SET_ALIGNED(offsetof(Member, key) + (key_len))
#define NO_KEY UINT32_MAX

/* Where a member is, in units of SET_ALIGN from the set's start. */
typedef uint32_t Place;

typedef struct Slot
{
	uint32_t	hash;			/* its lower half */
	Place		place;			/* 0: empty */
} Slot;

struct StediConsentSet
{
	int32_t		vl_len_;
	uint32_t	magic;
	uint32_t	flags;
	uint32_t	n_members;
	uint32_t	n_slots;		/* a power of two, or 0 */
	uint32_t	members_end;	/* of the members, in bytes from the start */
	uint64_t	seed;			/* of the keys' hashes */
	/* members, Place places[n_members], Slot slots[n_slots] */
};

#define SET_HEADER SET_ALIGNED(sizeof(StediConsentSet))
#define PLACES_SIZE(n_members) SET_ALIGNED((uint64_t) (n_members) * sizeof(Place))
#define SET_MEMBER(set, place) \
	((Member *) ((char *) (set) + (uint64_t) (place) * SET_ALIGN))
#define SET_PLACES(set) ((Place *) ((char *) (set) + (set)->members_end))
#define SET_SLOTS(set) ((Slot *) ((char *) SET_PLACES(set) + PLACES_SIZE((set)->n_members)))

/* The same byte, eight times. */
#define EIGHT_TIMES(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Eight bytes of consent_fold; sets the upper bits in *odd of those not plain. */
static inline void
consent_fold_word(char *dest, const char *data, uint64_t *odd)
{
	uint64_t	word;
	uint64_t	low;
	uint64_t	upper;

	memcpy(&word, data, sizeof(word));
	low = word & EIGHT_TIMES(0x7F);

	/* a sum has the upper bit of a byte set from that byte on; none carries */
	upper = (low + EIGHT_TIMES(0x80 - 'A')) & ~(low + EIGHT_TIMES(0x80 - 'Z' - 1)) & ~word;
	*odd |= word | ~(low + EIGHT_TIMES(0x80 - ' ')) | (low + EIGHT_TIMES(0x80 - 0x7F));
	word |= (upper & EIGHT_TIMES(0x80)) >> 2;
	memcpy(dest, &word, sizeof(word));
}

/*
 * Copy text to dest, which is not text, with its ASCII letters in lower case.
 * True when all of it is plain, printable ASCII: if it is a trimmed e-mail, that
 * is its normal form.
 */
static inline bool
consent_fold(char *dest, StediSlice text)
{
	uint64_t	odd = 0;

	if (text.len >= sizeof(uint64_t))
	{
		size_t		last = text.len - sizeof(uint64_t);

		for (size_t i = 0; i < last; i += sizeof(uint64_t))
			consent_fold_word(dest + i, text.data + i, &odd);
		consent_fold_word(dest + last, text.data + last, &odd);
		return (odd & EIGHT_TIMES(0x80)) == 0;
	}
	for (size_t i = 0; i < text.len; i++)
	{
		unsigned char c = text.data[i];

		odd |= (unsigned char) (c - ' ') > '~' - ' ';
		dest[i] = c | ((unsigned char) (c - 'A') < 26 ? 0x20 : 0);
	}
	return odd == 0;
}

/* Eight bytes, or as many as there are, the first one highest. */
static inline uint64_t
consent_load_word(const char *data, size_t len)
{
	unsigned char b[8] = {0};

	if (len > 0)
		memcpy(b, data, len);
	return (uint64_t) b[0] << 56 | (uint64_t) b[1] << 48 | (uint64_t) b[2] << 40 | (uint64_t) b[3] << 32 |
		(uint64_t) b[4] << 24 | (uint64_t) b[5] << 16 | (uint64_t) b[6] << 8 | (uint64_t) b[7];
}

static inline uint64_t
consent_rotate(uint64_t word, int n)
{
	return word << n | word >> (64 - n);
}

static inline void
consent_sip_round(uint64_t *v)
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
static inline uint64_t
consent_hash_key(uint64_t seed, StediSlice key)
{
	const char *p = key.data;
	const char *end = key.data + key.len;
	uint64_t	v[4] = {
		seed ^ UINT64_C(0x736f6d6570736575), UINT64_C(0x646f72616e646f6d),
		seed ^ UINT64_C(0x6c7967656e657261), UINT64_C(0x7465646279746573)
	};
	uint64_t	word;

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

/* Put a member into the slots, which have room for it. */
static inline void
consent_put_slot(Slot *slots, uint32_t n_slots, uint64_t hash, Place place)
{
	uint32_t	slot = (uint32_t) hash & (n_slots - 1);

	while (slots[slot].place != 0)
		slot = (slot + 1) & (n_slots - 1);
	slots[slot].hash = (uint32_t) hash;
	slots[slot].place = place;
}

/* The member of that key, or NULL. */
static inline Member *
consent_find_member(const StediConsentSet *set, const Slot *slots, uint32_t n_slots,
					StediSlice key, uint64_t hash)
{
	if (n_slots == 0)
		return NULL;
	for (uint32_t slot = (uint32_t) hash & (n_slots - 1);; slot = (slot + 1) & (n_slots - 1))
	{
		Member	   *member;

		if (slots[slot].place == 0)
			return NULL;
		if (slots[slot].hash != (uint32_t) hash)
			continue;
		member = SET_MEMBER(set, slots[slot].place);
		if (member->hash == hash &&
			(member->key_len == NO_KEY ||
			 (member->key_len == key.len && memcmp(member->key, key.data, key.len) == 0)))
			return member;
	}
}

/* find.c */

/* The bytes of a set once it is closed, whatever is built of it. */
extern uint64_t stedi_consent_bytes(const StediConsentSet *set);

/* Is this the header of a set that has as many bytes?  They are not looked at. */
extern bool stedi_consent_is_whole(const StediConsentSet *set, size_t len);

/* Make a member as strict as one that was given for its key once more. */
extern void stedi_consent_restrict(Member *member, const Member *given);

/*
 * Put a new member behind the others: there is room for it, its place and its
 * slot.  It has its number, hash and key from here, all else as given; key_len
 * may be NO_KEY, of an empty key.
 */
extern void stedi_consent_append(StediConsentSet *set, Place *places, Slot *slots,
								 const Member *given, uint64_t hash, StediSlice key,
								 uint32_t key_len);

/* Does a member have that hash? */
extern bool stedi_consent_has_hash(const StediConsentSet *set, const Slot *slots,
								   uint64_t hash);

/* Put places and slots behind the members: there is room for them. */
extern void stedi_consent_close(StediConsentSet *set, const Place *places,
								const Slot *slots);

/* The words of the standings that a set can have, NULL at the end. */
extern const char *const stedi_consent_words[];

/* The word of such a standing, static; NULL: it is none of them. */
extern const char *stedi_consent_standing_word(uint32_t standing);

/* Which standing is it that a word names?  False: none. */
extern bool stedi_consent_parse_standing(StediSlice word, StediStanding *standing);

/* name.c, which has a backend */

/* The digest of a key in the encoding of the database, DIGEST_LEN bytes. */
extern void stedi_consent_digest(uint64_t seed, StediSlice key, char *digest);

/* build.c, likewise */

struct StediConsentBuilder;

/* Add a member of whom the digest of the key is known, or restrict the one there. */
extern void stedi_consent_add_digest(struct StediConsentBuilder *building, const Member *given,
									 uint64_t hash, StediSlice digest);

#endif							/* STEDI_CONSENT_SET_H */
