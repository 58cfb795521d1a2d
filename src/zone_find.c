/*-------------------------------------------------------------------------
 *
 * zone_find.c
 *		Rows of some people or devices, wherever they are in a table.
 *
 * Of a few, they are found by the table's index, if it has one; of many, by
 * going through the table.  Keys are parameters, never part of a statement,
 * which an error or a log would show.
 *
 *-------------------------------------------------------------------------
 */
#include "zone.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

/*
 * Keys up to which an index is asked for each: a look-up takes a millisecond
 * in a table of ten million rows, going through it half a second and more.
 */
#define FEW_KEYS 100

/* The keys of these relations, if they are few; NULL when they are not. */
static ArrayType *
few_keys(const char *keys, const char *pairs)
{
	ZoneQueryRows rows;
	Datum		found[FEW_KEYS];
	Datum		key;
	bool		isnull;
	int			n = 0;

	stedi_zone_query_open(&rows,
						  psprintf("SELECT key FROM (%s%s%s) k WHERE key IS NOT NULL GROUP BY key LIMIT %d",
								   keys != NULL ? psprintf("SELECT key FROM %s", keys) : "",
								   keys != NULL && pairs != NULL ? " UNION ALL " : "",
								   pairs != NULL ? psprintf("SELECT key FROM %s", pairs) : "",
								   FEW_KEYS + 1));
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

void
stedi_zone_find(ZoneRun *run, ZoneTableId id, const char *name, const char *keys,
				const char *pairs)
{
	const ZoneTable *table = &stedi_zone_tables[id];
	ArrayType  *few = few_keys(keys, pairs);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT t.tableoid AS part, t.ctid AS place, %s, %s AS all_of_key FROM %s t WHERE ",
					 table->column_names,
					 keys == NULL ? "false" : pairs == NULL ? "true" :
					 psprintf("%s IN (SELECT key FROM %s)", table->key, keys),
					 quote_qualified_identifier(run->target_name, table->name));
	if (few != NULL)
		appendStringInfo(&sql, "%s = ANY ($1) AND ", table->key);
	if (keys != NULL && pairs != NULL)
		appendStringInfo(&sql, "(%s IN (SELECT key FROM %s) OR (%s, %s) IN (SELECT key, \"time\" FROM %s))",
						 table->key, keys, table->key, table->time, pairs);
	else if (keys != NULL)
		appendStringInfo(&sql, "%s IN (SELECT key FROM %s)", table->key, keys);
	else
		appendStringInfo(&sql, "(%s, %s) IN (SELECT key, \"time\" FROM %s)",
						 table->key, table->time, pairs);
	stedi_zone_query_keep_of(run, name, sql.data, few);
}
