/*-------------------------------------------------------------------------
 *
 * summary.c
 *		Summaries of block ranges that hold the keys of people who are out.
 *
 * A BRIN index tells of each range of blocks which keys may be in it, and
 * still does so when the rows have gone: EXPLAIN then shows to all who may
 * read the table that a customer once was in it.  So the run that takes rows
 * out of a range also takes the range's summary away.  Queries read the whole
 * range from then on: no snapshot misses a row, and a rollback does no harm.
 *
 * The next run makes the summary anew, as soon as no snapshot can see the
 * deleted rows.  Made before that, it would hold their keys again.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "storage/storage.h"

#include "access/transam.h"
#include "access/table.h"
#include "catalog/pg_inherits.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* The BRIN indexes of a table, with the blocks that a summary is of. */
#define BRIN_INDEXES \
	"SELECT i.indexrelid, i.indrelid, coalesce((SELECT o.option_value::bigint" \
	"   FROM pg_options_to_table(c.reloptions) o" \
	" WHERE o.option_name = 'pages_per_range'), 128) AS n_blocks" \
	" FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam" \
	" WHERE a.amname = 'brin' AND c.relkind = 'i' AND i.indisvalid AND i.indrelid = "

void
stedi_zone_summary_forget(ZoneRun *run, ZoneTableId id, const char *places)
{
	ListCell   *lc;

	/* what is done to an index is not undone by a rollback */
	if (run->dry_run)
		return;
	foreach(lc, find_all_inheritors(run->relid[id], NoLock, NULL))
		stedi_zone_query_run(psprintf("SELECT brin_desummarize_range(r.indexrelid, r.first_block)"
									  " FROM ("
									  " SELECT DISTINCT b.indexrelid,"
									  "   ((g.place::text::point)[0]::bigint / b.n_blocks)"
									  " * b.n_blocks AS first_block"
									  " FROM %s g"
									  " JOIN (" BRIN_INDEXES "%u) b ON b.indrelid = g.part) r",
									  places, lfirst_oid(lc)));
}

/* Can no snapshot see the rows that the last run deleted? */
static bool
are_dead(const ZoneRun *run)
{
	char	   *last =
	stedi_zone_store_text(run, "SELECT max(xmin::text::bigint)::text FROM {books}.stedi_state");
	TransactionId deleter = last != NULL ? (TransactionId) strtoul(last, NULL, 10) :
	InvalidTransactionId;

	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		Relation	relation;
		TransactionId oldest;

		if (!OidIsValid(run->relid[id]))
			continue;
		relation = table_open(run->relid[id], NoLock);
		oldest = GetOldestNonRemovableTransactionId(relation);
		table_close(relation, NoLock);
		if (TransactionIdIsNormal(deleter) && !TransactionIdPrecedes(deleter, oldest))
			return false;
	}
	return true;
}

void
stedi_zone_summary_renew(ZoneRun *run)
{
	if (run->dry_run || !are_dead(run))
		return;
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		ListCell   *lc;

		if (!OidIsValid(run->relid[id]) || stedi_zone_tables[id].lookup == NULL)
			continue;
		foreach(lc, find_all_inheritors(run->relid[id], NoLock, NULL))
			stedi_zone_query_run(psprintf("SELECT brin_summarize_new_values(b.indexrelid)"
										  " FROM (" BRIN_INDEXES "%u) b",
										  lfirst_oid(lc)));
	}
}
