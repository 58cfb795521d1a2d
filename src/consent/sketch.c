/*-------------------------------------------------------------------------
 *
 * sketch.c
 *		Sets of hashes: whom the records of an object name.
 *
 * A person's e-mail and a device's serial number are hashed as in a consent
 * set, under a seed that the target's owner alone can read.  By an object's
 * sketch a run knows, without fetching the object, that it holds nothing of
 * somebody.  Kept as a flat value: the upper bytes of the hashes, sorted.
 *
 *-------------------------------------------------------------------------
 */
#include "consent/consent.h"
#include "consent/set.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"

/* To begin with; 256 of them. */
#define FIRST_BITS 8

void
stedi_hashes_begin(StediHashes *hashes)
{
	hashes->cxt = CurrentMemoryContext;
	hashes->n = 0;
	hashes->n_slots = 1 << FIRST_BITS;
	hashes->shift = 64 - FIRST_BITS;
	hashes->slots = palloc0(hashes->n_slots * sizeof(uint64));
}

/* Where the hash is, or should be. */
static inline uint64 *
find_slot(const StediHashes *hashes, uint64 hash)
{
	/*
	 * by the upper bits: packing leaves these, and finds the hashes nearly
	 * sorted
	 */
	uint32		slot = (uint32) (hash >> hashes->shift);

	while (hashes->slots[slot] != 0 && hashes->slots[slot] != hash)
		slot = (slot + 1) & (hashes->n_slots - 1);
	return &hashes->slots[slot];
}

/* Twice as many slots. */
static void
grow(StediHashes *hashes)
{
	StediHashes larger = *hashes;

	larger.n_slots *= 2;
	larger.shift--;
	larger.slots = MemoryContextAllocExtended(hashes->cxt, larger.n_slots * sizeof(uint64),
											  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < hashes->n_slots; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (hashes->slots[i] != 0)
			*find_slot(&larger, hashes->slots[i]) = hashes->slots[i];
	}
	pfree(hashes->slots);
	*hashes = larger;
}

bool
stedi_hashes_add(StediHashes *hashes, uint64 hash)
{
	uint64	   *slot = find_slot(hashes, hash);

	if (*slot == hash)
		return false;
	*slot = hash;

	/* at most half of the slots are taken */
	if (++hashes->n > hashes->n_slots / 2)
		grow(hashes);
	return true;
}

bool
stedi_hashes_has(const StediHashes *hashes, uint64 hash)
{
	return hash != 0 && *find_slot(hashes, hash) == hash;
}

void
stedi_hashes_clear(StediHashes *hashes)
{
	/* what a large object needed is not to be wiped for every small one */
	if (hashes->n_slots > 1 << FIRST_BITS && hashes->n < hashes->n_slots / 8)
	{
		pfree(hashes->slots);
		hashes->n_slots = 1 << FIRST_BITS;
		hashes->shift = 64 - FIRST_BITS;
		hashes->slots = MemoryContextAlloc(hashes->cxt, hashes->n_slots * sizeof(uint64));
	}
	memset(hashes->slots, 0, hashes->n_slots * sizeof(uint64));
	hashes->n = 0;
}

/* Sort hashes that are nearly sorted, as they stand in their slots. */
static void
sort_hashes(uint64 *hashes, uint32 n)
{
	for (uint32 i = 1; i < n; i++)
	{
		uint64		hash = hashes[i];
		uint32		k = i;

		for (; k > 0 && hashes[k - 1] > hash; k--)
			hashes[k] = hashes[k - 1];
		hashes[k] = hash;
	}
}

/* All of a set's hashes, sorted; palloc'd. */
static uint64 *
sorted_hashes(const StediHashes *hashes)
{
	uint64	   *sorted = palloc_extended(Max(hashes->n, 1) * sizeof(uint64), MCXT_ALLOC_HUGE);
	uint32		n = 0;

	for (uint32 i = 0; i < hashes->n_slots; i++)
		if (hashes->slots[i] != 0)
			sorted[n++] = hashes->slots[i];
	sort_hashes(sorted, n);
	return sorted;
}

/* Room for so many packed hashes. */
static bytea *
make_packed(uint32 n, int width)
{
	bytea	   *packed = palloc(VARHDRSZ + (Size) n * width);

	SET_VARSIZE(packed, VARHDRSZ + (Size) n * width);
	return packed;
}

static inline void
put_packed(bytea *packed, uint32 which, int width, uint64 hash)
{
	uint64		bytes = pg_hton64(hash);

	memcpy(VARDATA(packed) + (Size) which * width, &bytes, width);
}

bytea *
stedi_hashes_pack(const StediHashes *hashes, int width)
{
	uint64	   *sorted = sorted_hashes(hashes);
	bytea	   *packed = make_packed(hashes->n, width);

	for (uint32 i = 0; i < hashes->n; i++)
		put_packed(packed, i, width, sorted[i]);
	pfree(sorted);
	return packed;
}

uint32
stedi_hashes_n_packed(const bytea *packed, int width)
{
	return (uint32) (VARSIZE_ANY_EXHDR(packed) / width);
}

uint64
stedi_hashes_packed(const bytea *packed, int width, uint32 which)
{
	uint64		bytes = 0;

	memcpy(&bytes, VARDATA_ANY(packed) + (Size) which * width, width);
	return pg_ntoh64(bytes);
}

bool
stedi_hashes_packed_has(const bytea *packed, int width, uint64 hash)
{
	uint64		wanted = width == sizeof(uint64) ? hash :
	hash & ~((UINT64CONST(1) << (64 - 8 * width)) - 1);
	uint32		low = 0;
	uint32		high;

	if (packed == NULL)
		return true;
	high = stedi_hashes_n_packed(packed, width);
	while (low < high)
	{
		uint32		middle = low + (high - low) / 2;
		uint64		found = stedi_hashes_packed(packed, width, middle);

		if (found == wanted)
			return true;
		if (found < wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

bool
stedi_hashes_meet(const StediHashes *hashes, const bytea *packed, int width)
{
	if (hashes->n == 0)
		return false;
	if (packed != NULL && width == sizeof(uint64) &&
		stedi_hashes_n_packed(packed, width) < hashes->n)
	{
		for (uint32 i = 0; i < stedi_hashes_n_packed(packed, width); i++)
			if (stedi_hashes_has(hashes, stedi_hashes_packed(packed, width, i)))
				return true;
		return false;
	}
	for (uint32 i = 0; i < hashes->n_slots; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (hashes->slots[i] != 0 &&
			stedi_hashes_packed_has(packed, width, hashes->slots[i]))
			return true;
	}
	return false;
}

void
stedi_sketch_begin(StediSketch *sketch, const StediConsentSet *set)
{
	uint32		n = stedi_consent_size(set);

	sketch->set = set;
	sketch->hashes = palloc_extended(Max(n, 1) * sizeof(uint64), MCXT_ALLOC_HUGE);
	for (uint32 member = 0; member < n; member++)
	{
		CHECK_FOR_INTERRUPTS();
		sketch->hashes[member] = stedi_consent_key_hash(set, member);
	}
	sketch->bits = palloc0((Size) (n / 64 + 1) * sizeof(uint64));
	sketch->members = palloc(STEDI_SKETCH_MOST * sizeof(uint32));
	sketch->n_members = 0;
	stedi_hashes_begin(&sketch->others);
	sketch->first_ms = PG_INT64_MAX;
	sketch->last_ms = PG_INT64_MIN;
}

void
stedi_sketch_clear(StediSketch *sketch)
{
	/* bit by bit where these are few: there may be very many small objects */
	if (sketch->n_members <= STEDI_SKETCH_MOST)
		for (uint32 i = 0; i < sketch->n_members; i++)
			sketch->bits[sketch->members[i] / 64] = 0;
	else
		memset(sketch->bits, 0, (Size) (stedi_consent_size(sketch->set) / 64 + 1) * sizeof(uint64));
	sketch->n_members = 0;
	stedi_hashes_clear(&sketch->others);
	sketch->first_ms = PG_INT64_MAX;
	sketch->last_ms = PG_INT64_MIN;
}

static int
compare_members(const void *a, const void *b)
{
	uint32		one = *(const uint32 *) a;
	uint32		other = *(const uint32 *) b;

	return (one > other) - (one < other);
}

/* Put the members into their order, which is that of their hashes. */
static void
sort_members(const StediSketch *sketch)
{
	uint32		n_words = stedi_consent_size(sketch->set) / 64 + 1;
	uint32		n = 0;

	if (sketch->n_members < n_words)
	{
		qsort(sketch->members, sketch->n_members, sizeof(uint32), compare_members);
		return;
	}
	for (uint32 word = 0; word < n_words; word++)
		for (uint64 bits = sketch->bits[word]; bits != 0; bits &= bits - 1)
			sketch->members[n++] = word * 64 + pg_rightmost_one_pos64(bits);
}

bytea *
stedi_sketch_pack(const StediSketch *sketch, int width)
{
	uint32		n_others = sketch->others.n;
	uint32		n_members = sketch->n_members;
	uint32		k = 0;
	uint32		i = 0;
	uint64	   *others;
	bytea	   *packed;

	if (n_members > STEDI_SKETCH_MOST || n_others > STEDI_SKETCH_MOST - n_members)
		return NULL;
	sort_members(sketch);
	others = sorted_hashes(&sketch->others);
	packed = make_packed(n_members + n_others, width);
	while (i < n_members || k < n_others)
	{
		uint32		which = i + k;

		if (k == n_others ||
			(i < n_members && sketch->hashes[sketch->members[i]] < others[k]))
			put_packed(packed, which, width, sketch->hashes[sketch->members[i++]]);
		else
			put_packed(packed, which, width, others[k++]);
	}
	pfree(others);
	return packed;
}
