/*-------------------------------------------------------------------------
 *
 * find.c
 *		Rows of some people or devices, wherever they are in a table.
 *
 * The rows of a few keys are found by the table's index, if it has one; those
 * of many, by reading the table once.  Keys are parameters and never part of a
 * statement, which an error or a log would show.
 *
 *-------------------------------------------------------------------------
 */
#include "storage/storage.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/*
 * The most keys for which an index is used: a look-up takes some milliseconds
 * in a table of ten million rows, reading the table half a second.
 */
#define FEW_KEYS 40

/* The columns of a table of readings or pairs, at most. */
#define MOST_COLUMNS 6

/* What is looked for when a table is gone through. */
typedef struct Search
{
	StediHashes keys;			/* all of their rows */
	StediHashes pairs;			/* of key and time */
	int64		first;			/* times of pairs */
	int64		last;
} Search;

ArrayType *
stedi_zone_find_few(const char *query)
{
	ZoneQueryRows rows;
	Datum		found[FEW_KEYS];
	Datum		key;
	bool		isnull;
	int			n = 0;

	stedi_zone_query_open(&rows,
						  psprintf("SELECT key FROM (%s) k WHERE key IS NOT NULL"
								   " GROUP BY key LIMIT %d",
								   query, FEW_KEYS + 1), "t");
	while (stedi_zone_query_fetch(&rows, 1, &key, &isnull))
	{
		if (n < FEW_KEYS)
			found[n] = PointerGetDatum(DatumGetTextPCopy(key));
		n++;
	}
	stedi_zone_query_close(&rows);
	if (n > FEW_KEYS)
		return NULL;
	return construct_array(found, n, TEXTOID, -1, false, TYPALIGN_INT);
}

/*
 * By the index: the planner would estimate by an order that the rows do not
 * have.
 */
static void
find_by_index(ZoneRun *run, ZoneTableId id, const char *name, const char *keys,
			  const char *pairs, ArrayType *few)
{
	const ZoneTable *table = &stedi_zone_tables[id];
	StringInfoData sql;
	int			nest_level = NewGUCNestLevel();

	(void) set_config_option("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("max_parallel_workers_per_gather", "0", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT part, place, %s, %s AS all_of_key"
					 " FROM (SELECT tableoid AS part, ctid AS place, %s FROM %s"
					 " WHERE %s = ANY ($1) OFFSET 0) t",
					 table->column_names,
					 keys == NULL ? "false" : pairs == NULL ? "true" :
					 psprintf("%s IN (SELECT key FROM %s)", table->key, keys),
					 table->column_names, quote_qualified_identifier(run->target_name, table->name),
					 table->key);
	if (pairs != NULL)
		appendStringInfo(&sql, " WHERE (%s, %s) IN (SELECT key, \"time\" FROM %s)",
						 table->key, table->time, pairs);
	if (pairs != NULL && keys != NULL)
		appendStringInfo(&sql, " OR %s IN (SELECT key FROM %s)", table->key, keys);
	stedi_zone_query_keep_of(run, name, sql.data, few);
	AtEOXact_GUC(false, nest_level);
}

static inline uint64
pair_hash(uint64 key, int64 time)
{
	uint64		hash = (key ^ (uint64) time) * UINT64CONST(0x9FB21C651E98DF25);

	hash ^= hash >> 32;
	return hash != 0 ? hash : 1;
}

/* Note what is looked for. */
static void
begin_search(const ZoneRun *run, Search *search, const char *keys, const char *pairs)
{
	ZoneQueryRows rows;
	Datum		values[2];
	bool		nulls[2];

	stedi_hashes_begin(&search->keys);
	stedi_hashes_begin(&search->pairs);
	search->first = PG_INT64_MAX;
	search->last = PG_INT64_MIN;
	if (keys != NULL)
	{
		stedi_zone_query_open(&rows, psprintf("SELECT key FROM %s", keys), "t");
		while (stedi_zone_query_fetch(&rows, 1, values, nulls))
		{
			StediSlice	name;

			if (nulls[0])
				continue;
			name = stedi_text_slice(DatumGetTextPP(values[0]));
			(void) stedi_hashes_add(&search->keys, stedi_consent_name_hash(run->seed, name, false));
		}
		stedi_zone_query_close(&rows);
	}
	if (pairs == NULL)
		return;
	stedi_zone_query_open(&rows, psprintf("SELECT key, \"time\" FROM %s", pairs), "tz");
	while (stedi_zone_query_fetch(&rows, 2, values, nulls))
	{
		uint64		key;
		int64		time;

		if (nulls[0] || nulls[1])
			continue;
		key = stedi_consent_name_hash(run->seed, stedi_text_slice(DatumGetTextPP(values[0])),
									  false);
		time = DatumGetInt64(values[1]);
		(void) stedi_hashes_add(&search->pairs, pair_hash(key, time));
		search->first = Min(search->first, time);
		search->last = Max(search->last, time);
	}
	stedi_zone_query_close(&rows);
}

/* Is the row looked for?  *whole: with all others of its key. */
static inline bool
is_sought(const Search *search, uint64 key, int64 time, bool *whole)
{
	*whole = search->keys.n > 0 && stedi_hashes_has(&search->keys, key);
	return *whole || (time >= search->first && time <= search->last &&
					  stedi_hashes_has(&search->pairs, pair_hash(key, time)));
}

/* Row by row: column 0 is the key, 1 the time, then the table's columns. */
static void
search_rows(ZoneRun *run, ZoneTableId id, const Search *search, Tuplestorestate *store,
			TupleDesc tupdesc)
{
	const char *columns[2 + MOST_COLUMNS];
	int			n_columns = tupdesc->natts - 3;
	char	   *time = pstrdup(stedi_zone_tables[id].time);
	StediSlice	before = {NULL, 0};
	uint64		hash = 0;
	ZoneTableRows rows;

	/* as names, without quotes */
	columns[0] = stedi_zone_tables[id].key;
	columns[1] = time[0] == '"' ? pnstrdup(time + 1, strlen(time) - 2) : time;
	for (int i = 0; i < n_columns; i++)
		columns[2 + i] = NameStr(TupleDescAttr(tupdesc, 2 + i)->attname);
	stedi_zone_table_open(&rows, run->relid[id], columns, 2 + n_columns);
	rows.n_eager = 2;
	while (stedi_zone_table_next(&rows))
	{
		StediSlice	key;
		bool		whole;
		Datum		values[3 + MOST_COLUMNS];
		bool		nulls[3 + MOST_COLUMNS] = {false};

		if (rows.nulls[0] || rows.nulls[1])
			continue;
		if (search->keys.n == 0 && (DatumGetInt64(rows.values[1]) < search->first ||
									DatumGetInt64(rows.values[1]) > search->last))
			continue;
		key = stedi_text_slice((struct varlena *) DatumGetPointer(rows.values[0]));
		if (VARATT_IS_EXTENDED(DatumGetPointer(rows.values[0])) &&
			!VARATT_IS_SHORT(DatumGetPointer(rows.values[0])))
			key = stedi_text_slice(DatumGetTextPP(rows.values[0]));

		/*
		 * neighbours often belong to one person; the bytes of the row before
		 * may be gone
		 */
		if (key.len == 0 || before.len != key.len || memcmp(before.data, key.data, key.len) != 0)
		{
			hash = key.len > 0 ? stedi_consent_name_hash(run->seed, key, false) : 0;
			if (before.data == NULL)
				before.data = palloc(NAMEDATALEN * 4);
			before.len = key.len <= NAMEDATALEN * 4 ? key.len : 0;
			memcpy(unconstify(char *, before.data), key.data, before.len);
		}
		if (!is_sought(search, hash, DatumGetInt64(rows.values[1]), &whole))
			continue;
		stedi_zone_table_rest(&rows);
		values[0] = ObjectIdGetDatum(RelationGetRelid(rows.relation));
		values[1] = PointerGetDatum(&rows.slot->tts_tid);
		memcpy(values + 2, rows.values + 2, n_columns * sizeof(Datum));
		memcpy(nulls + 2, rows.nulls + 2, n_columns * sizeof(bool));
		values[2 + n_columns] = BoolGetDatum(whole);
		stedi_zone_table_put(store, tupdesc, values, nulls);
	}
	stedi_zone_table_close(&rows);
}

/* By going through the table. */
static void
find_by_search(ZoneRun *run, ZoneTableId id, const char *name, const char *keys,
			   const char *pairs)
{
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	Tuplestorestate *store = tuplestore_begin_heap(true, false, ZONE_KEPT_MEMORY);
	ZoneQueryRows rows;
	TupleDesc	tupdesc;
	Search		search;

	MemoryContextSwitchTo(caller);
	begin_search(run, &search, keys, pairs);

	/* the columns are those that a query has */
	stedi_zone_query_open(&rows,
						  psprintf("SELECT tableoid AS part, ctid AS place, %s, true AS all_of_key"
								   " FROM %s LIMIT 0",
								   stedi_zone_tables[id].column_names,
								   stedi_zone_query_table(run, id)),
						  NULL);
	tupdesc = CreateTupleDescCopy(rows.portal->tupDesc);
	for (int i = 2; i < tupdesc->natts - 1; i++)
		stedi_zone_check_column(TupleDescAttr(tupdesc, i));
	stedi_zone_query_close(&rows);
	search_rows(run, id, &search, store, tupdesc);
	stedi_zone_query_register(run, name, store, tupdesc);
}

void
stedi_zone_find(ZoneRun *run, ZoneTableId id, const char *name, const char *keys,
				const char *pairs)
{
	const char *of_keys = keys != NULL ? psprintf("SELECT key FROM %s", keys) : "";
	const char *both = keys != NULL && pairs != NULL ? " UNION ALL " : "";
	const char *of_pairs = pairs != NULL ? psprintf("SELECT key FROM %s", pairs) : "";
	ArrayType  *few = stedi_zone_find_few(psprintf("%s%s%s", of_keys, both, of_pairs));

	if (few != NULL)
		find_by_index(run, id, name, keys, pairs, few);
	else
		find_by_search(run, id, name, keys, pairs);
}
