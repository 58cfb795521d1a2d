/*-------------------------------------------------------------------------
 *
 * consent.h
 *		Consent sets, and sets of hashes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_CONSENT_H
#define STEDI_CONSENT_H

#include "base/base.h"
#include "consent/who.h"

/* name.c */

/* The hash of a key that is in the encoding of the database. */
extern uint64 stedi_consent_hash_text(uint64 seed, StediSlice key);

/* The same in a set in which keys are folded or not. */
extern uint64 stedi_consent_name_hash(uint64 seed, StediSlice name, bool fold_key);

/*
 * An e-mail's normal form (email.c) in the encoding of the database, in room
 * for SHORT_KEY bytes or palloc'd.  data is NULL where the encoding has no such
 * text, as that of a ligature in LATIN1.
 */
extern StediSlice stedi_consent_form(StediSlice email, char *room);

/* Of an e-mail in UTF-8: is there such a text, and is it not empty? */
extern StediReason stedi_consent_check(StediSlice email);

/* The normal form as text, palloc'd; NULL, too, when it is empty. */
extern text *stedi_consent_normalize(StediSlice email);

/* build.c */

/*
 * To build a set, in cxt: members by their e-mail (or key), since, owned_since
 * and standing, as the aggregate's full form takes them.  Finishing gives the
 * builder's own memory, and ends it.
 */
typedef struct StediConsentBuilder StediConsentBuilder;

extern StediConsentBuilder *stedi_consent_begin(MemoryContext cxt, bool fold_keys,
												bool since_rule, uint64 seed);
extern void stedi_consent_add(StediConsentBuilder *building, Datum *values, bool *nulls);

/*
 * Add a member of whom only the hash of the key is known, after all members
 * whose keys are known; nothing when the hash is there.  No GRANTED.
 */
extern void stedi_consent_add_hashed(StediConsentBuilder *building, uint64 hash,
									 StediStanding standing, int64 owned_since);
extern StediConsentSet *stedi_consent_finish(StediConsentBuilder *building);

/* consent.c */

/*
 * Where the member is who is meant by an e-mail as it was written; false when
 * the set has no such member.  *hash is the e-mail's, or 0, and is then filled
 * in.  Throws nothing but "out of memory".
 */
extern bool stedi_consent_find(const StediConsentSet *set, StediSlice who,
							   uint64 *hash, uint32 *place);

/* The set in a Datum, detoasted into the current context. */
extern const StediConsentSet *stedi_consent_get(Datum datum);

/* sketch.c */

/* A set of hashes (none is 0), growing in the context that it was begun in. */
typedef struct StediHashes
{
	MemoryContext cxt;
	uint64	   *slots;			/* owned; 0: empty */
	uint32		n_slots;		/* a power of two */
	int			shift;			/* of a hash, to its slot's number */
	uint32		n;
} StediHashes;

extern void stedi_hashes_begin(StediHashes *hashes);

/* False when it is there already. */
extern bool stedi_hashes_add(StediHashes *hashes, uint64 hash);
extern bool stedi_hashes_has(const StediHashes *hashes, uint64 hash);
extern void stedi_hashes_clear(StediHashes *hashes);

/* The hash in a slot; 0: none. */
#define STEDI_HASHES_AT(hashes, slot) ((hashes)->slots[slot])

/* Hashes as a flat value: sorted, the upper `width` bytes of each.  Palloc'd. */
extern bytea *stedi_hashes_pack(const StediHashes *hashes, int width);

/* What packing leaves of a hash. */
static inline uint64
stedi_hashes_cut(uint64 hash, int width)
{
	return width == sizeof(uint64) ? hash : hash >> (64 - 8 * width) << (64 - 8 * width);
}

extern uint32 stedi_hashes_n_packed(const bytea *packed, int width);
extern uint64 stedi_hashes_packed(const bytea *packed, int width, uint32 which);

/* Is one of the hashes, or this one, in the flat value?  NULL has all. */
extern bool stedi_hashes_meet(const StediHashes *hashes, const bytea *packed, int width);
extern bool stedi_hashes_packed_has(const bytea *packed, int width, uint64 hash);

/*
 * The most names that a sketch tells apart: 256 kB of them when packed.  An
 * object that names more is likely to hold a reading of anybody.
 */
#define STEDI_SKETCH_MOST 65536

/* Whom the records of an object name, and when they were taken. */
typedef struct StediSketch
{
	const StediConsentSet *set; /* borrowed */
	uint64	   *hashes;			/* owned: of its members, in their order */
	uint64	   *bits;			/* owned: which members are named */
	uint32	   *members;		/* owned: these, up to STEDI_SKETCH_MOST */
	uint32		n_members;
	StediHashes others;			/* named, and no members */
	int64		first_ms;		/* PG_INT64_MAX: no reading */
	int64		last_ms;
} StediSketch;

/* Begin one of the records that this set is asked about. */
extern void stedi_sketch_begin(StediSketch *sketch, const StediConsentSet *set);

/* Begin anew, for the next object. */
extern void stedi_sketch_clear(StediSketch *sketch);

/* As stedi_hashes_pack: NULL when there are more than STEDI_SKETCH_MOST. */
extern bytea *stedi_sketch_pack(const StediSketch *sketch, int width);

static inline void
stedi_sketch_add_time(StediSketch *sketch, int64 ms)
{
	sketch->first_ms = Min(sketch->first_ms, ms);
	sketch->last_ms = Max(sketch->last_ms, ms);
}

static inline void
stedi_sketch_add_member(StediSketch *sketch, uint32 member)
{
	uint64		bit = UINT64CONST(1) << (member % 64);

	if ((sketch->bits[member / 64] & bit) != 0)
		return;
	sketch->bits[member / 64] |= bit;
	if (sketch->n_members < STEDI_SKETCH_MOST)
		sketch->members[sketch->n_members] = member;
	sketch->n_members++;
}

static inline void
stedi_sketch_add_other(StediSketch *sketch, uint64 name)
{
	if (name != 0 && sketch->others.n <= STEDI_SKETCH_MOST)
		(void) stedi_hashes_add(&sketch->others, name);
}

#endif							/* STEDI_CONSENT_H */
