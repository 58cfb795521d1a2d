/*-------------------------------------------------------------------------
 *
 * left.c
 *		Whose readings stay though their objects have vanished.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "storage/storage.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

void
stedi_zone_left_keep(ZoneRun *run, ZoneTableId id, const char *rows, const char *name)
{
	bool		devices = (id == ZONE_STEP_TRAINER_CURATED);
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	Tuplestorestate *store = tuplestore_begin_heap(true, false, ZONE_KEPT_MEMORY);
	TupleDesc	tupdesc = CreateTemplateTupleDesc(1);
	StediHashes kept;
	bool		anybody;
	ZoneQueryRows keys;
	Datum		key;
	bool		isnull;

	TupleDescInitEntry(tupdesc, 1, "key", TEXTOID, -1, 0);
	stedi_hashes_begin(&kept);
	MemoryContextSwitchTo(caller);
	anybody = stedi_zone_object_names(run, id, ZONE_NAMES_KEPT, devices ? NULL : &kept,
									  devices ? &kept : NULL);
	stedi_zone_query_open(&keys, psprintf("SELECT DISTINCT %s FROM %s",
										  stedi_zone_tables[id].key, rows), "t");
	while (stedi_zone_query_fetch(&keys, 1, &key, &isnull))
	{
		uint64		hash;

		if (isnull)
			continue;
		hash = stedi_consent_name_hash(run->seed, stedi_text_slice(DatumGetTextPP(key)), false);
		if (stedi_zone_object_is_named(&kept, anybody, hash))
			stedi_zone_table_put(store, tupdesc, &key, &isnull);
	}
	stedi_zone_query_close(&keys);
	stedi_zone_query_register(run, name, store, tupdesc);
}
