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
#include "stedi.h"

#include "port/pg_bswap.h"

#define FIRST_SLOTS 256

void
stedi_hashes_begin(StediHashes *hashes)
{
	hashes->cxt = CurrentMemoryContext;
	hashes->n = 0;
	hashes->n_slots = FIRST_SLOTS;
	hashes->slots = palloc0(FIRST_SLOTS * sizeof(uint64));
}

/* Where the hash is, or should be. */
static inline uint64 *
find_slot(const StediHashes *hashes, uint64 hash)
{
	/* by the upper bits, which packed hashes have left */
	uint32		slot = (uint32) (hash >> 32) & (hashes->n_slots - 1);

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
	larger.slots = MemoryContextAllocExtended(hashes->cxt, larger.n_slots * sizeof(uint64),
											  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < hashes->n_slots; i++)
		if (hashes->slots[i] != 0)
			*find_slot(&larger, hashes->slots[i]) = hashes->slots[i];
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
	if (hashes->n_slots > FIRST_SLOTS && hashes->n < hashes->n_slots / 8)
	{
		pfree(hashes->slots);
		hashes->n_slots = FIRST_SLOTS;
		hashes->slots = MemoryContextAlloc(hashes->cxt, FIRST_SLOTS * sizeof(uint64));
	}
	memset(hashes->slots, 0, hashes->n_slots * sizeof(uint64));
	hashes->n = 0;
}

static int
compare_hashes(const void *a, const void *b)
{
	uint64		one = *(const uint64 *) a;
	uint64		other = *(const uint64 *) b;

	return (one > other) - (one < other);
}

bytea *
stedi_hashes_pack(const StediHashes *hashes, int width, uint32 most)
{
	uint64	   *sorted;
	bytea	   *packed;
	uint32		n = 0;

	if (most > 0 && hashes->n > most)
		return NULL;
	sorted = palloc_extended(Max(hashes->n, 1) * sizeof(uint64), MCXT_ALLOC_HUGE);
	for (uint32 i = 0; i < hashes->n_slots; i++)
		if (hashes->slots[i] != 0)
			sorted[n++] = hashes->slots[i];
	qsort(sorted, n, sizeof(uint64), compare_hashes);
	packed = palloc(VARHDRSZ + (Size) n * width);
	SET_VARSIZE(packed, VARHDRSZ + (Size) n * width);
	for (uint32 i = 0; i < n; i++)
	{
		uint64		bytes = pg_hton64(sorted[i]);

		memcpy(VARDATA(packed) + (Size) i * width, &bytes, width);
	}
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
	for (uint32 i = 0; i < hashes->n_slots; i++)
		if (hashes->slots[i] != 0 &&
			stedi_hashes_packed_has(packed, width, hashes->slots[i]))
			return true;
	return false;
}

void
stedi_sketch_begin(StediSketch *sketch)
{
	stedi_hashes_begin(&sketch->names);
	sketch->last_name = 0;
	sketch->first_ms = PG_INT64_MAX;
	sketch->last_ms = PG_INT64_MIN;
}

void
stedi_sketch_clear(StediSketch *sketch)
{
	stedi_hashes_clear(&sketch->names);
	sketch->last_name = 0;
	sketch->first_ms = PG_INT64_MAX;
	sketch->last_ms = PG_INT64_MIN;
}
