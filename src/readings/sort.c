/*-------------------------------------------------------------------------
 *
 * sort.c
 *		The readings of a partition: by person, by time, each once.
 *
 * Duplicates share a person and a time, so it is enough to sort each person's
 * readings by themselves.  One pass of counting brings them together.
 *
 *-------------------------------------------------------------------------
 */
#include "readings/readings.h"

#include "utils/builtins.h"

#include "miscadmin.h"
#include "utils/memutils.h"

static inline int
compare_readings(const ZoneReading *a, const ZoneReading *b, Size row_size)
{
	if (a->time != b->time)
		return a->time < b->time ? -1 : 1;
	if (a->nulls != b->nulls)
		return a->nulls < b->nulls ? -1 : 1;
	return memcmp(a->values, b->values, row_size - offsetof(ZoneReading, values));
}

typedef ZoneReading *ZoneReadingPtr;

#define ST_SORT sort_readings
#define ST_ELEMENT_TYPE ZoneReadingPtr
#define ST_COMPARE(a, b, row_size) compare_readings(*(a), *(b), *(row_size))
#define ST_COMPARE_ARG_TYPE Size
#define ST_CHECK_FOR_INTERRUPTS
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

static inline ZoneReading *
reading(const ZoneReadings *readings, uint64 i)
{
	return (ZoneReading *) (readings->rows + i * readings->row_size);
}

/* Room for so many readings and members. */
static void
make_room(ZoneSorted *sorted, uint32 n_members)
{
	if (sorted->readings.n_rows > sorted->order_room)
	{
		sorted->order_room = sorted->readings.n_rows + sorted->readings.n_rows / 4;
		if (sorted->order != NULL)
			pfree(sorted->order);
		sorted->order = palloc_extended(sorted->order_room * sizeof(ZoneReading *),
										MCXT_ALLOC_HUGE);
	}
	if (n_members > sorted->members_room)
	{
		sorted->members_room = n_members;
		if (sorted->starts != NULL)
		{
			pfree(sorted->starts);
			pfree(sorted->ends);
		}
		sorted->starts = palloc_extended(n_members * sizeof(uint64), MCXT_ALLOC_HUGE);
		sorted->ends = palloc_extended(n_members * sizeof(uint64), MCXT_ALLOC_HUGE);
	}
}

/* Bring each member's readings together; their order is as they came. */
static void
group_readings(ZoneSorted *sorted)
{
	const ZoneReadings *readings = &sorted->readings;
	uint64		sum = 0;

	memset(sorted->ends, 0, sorted->n_members * sizeof(uint64));
	for (uint64 i = 0; i < readings->n_rows; i++)
		sorted->ends[reading(readings, i)->member - sorted->first_member]++;
	for (uint32 i = 0; i < sorted->n_members; i++)
	{
		uint64		n = sorted->ends[i];

		sorted->starts[i] = sorted->ends[i] = sum;
		sum += n;
	}
	for (uint64 i = 0; i < readings->n_rows; i++)
	{
		ZoneReading *row = reading(readings, i);

		sorted->order[sorted->ends[row->member - sorted->first_member]++] = row;
	}
}

void
stedi_zone_sort(ZoneSorted *sorted, uint32 first_member, uint32 n_members)
{
	Size		row_size = sorted->readings.row_size;

	make_room(sorted, n_members);
	sorted->first_member = first_member;
	sorted->n_members = n_members;
	group_readings(sorted);
	for (uint32 i = 0; i < n_members; i++)
	{
		ZoneReading **group = sorted->order + sorted->starts[i];
		uint64		n = sorted->ends[i] - sorted->starts[i];
		uint64		kept = Min(n, 1);

		CHECK_FOR_INTERRUPTS();
		sort_readings(group, n, &row_size);
		for (uint64 k = 1; k < n; k++)
			if (compare_readings(group[kept - 1], group[k], row_size) != 0)
				group[kept++] = group[k];
		sorted->ends[i] = sorted->starts[i] + kept;
	}
}

Datum
stedi_zone_member_key(const StediConsentSet *set, uint32 member)
{
	StediSlice	key = stedi_consent_key(set, member);

	return PointerGetDatum(cstring_to_text_with_len(key.data, (int) key.len));
}
