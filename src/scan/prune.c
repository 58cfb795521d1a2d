/*-------------------------------------------------------------------------
 *
 * prune.c
 *		Which objects a query need not read.
 *
 * A clause on the column that shows a record's object says the same of all the
 * records of one.  So it is decided once an object, by its key, before the
 * object is fetched: here for the scan, and for the planner as far as it knows
 * the values.  The other tests are decided record by record, in filter.c.
 *
 *-------------------------------------------------------------------------
 */
#include "scan/row.h"

#include "miscadmin.h"
#include "utils/memutils.h"

bool
stedi_prune_keeps(StediTest *tests, int n_tests, const StediObject *object)
{
	Datum		key = (Datum) 0;

	for (int i = 0; i < n_tests; i++)
	{
		if (!tests[i].by_object)
			continue;
		if (key == (Datum) 0)
			key = stedi_text_name(object->key);
		if (!stedi_filter_keeps(&tests[i], key, false))
			return false;
	}
	return true;
}

void
stedi_prune_count(const StediListing *listing, StediTest *tests, int n_tests,
				  int *n_objects, double *bytes)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "stedi prune",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(cxt);

	*n_objects = 0;
	*bytes = 0;
	for (int i = 0; i < listing->n_objects; i++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(cxt);
		if (!stedi_prune_keeps(tests, n_tests, &listing->objects[i]))
			continue;
		*n_objects += 1;
		*bytes += (double) listing->objects[i].size;
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(cxt);
}
