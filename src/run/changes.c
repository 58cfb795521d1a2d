/*-------------------------------------------------------------------------
 *
 * changes.c
 *		Who came and went, for the history.
 *
 * A run that renews knows who is affected, and has the rows that came and
 * went.  A run that rebuilds compares customer_trusted before with after, and
 * counts people's rows.  Of those who leave, it counts them before they go.
 *
 *-------------------------------------------------------------------------
 */
#include "readings/readings.h"
#include "run/run.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* Those who leave customer_trusted, or whose consent is of another date. */
static const char *const leaving_query =
"SELECT b.email, b.serial FROM person_before b LEFT JOIN person p ON p.who = b.who AND p.granted"
" WHERE p.who IS NULL OR b.since IS DISTINCT FROM stedi.epoch_ms(p.sharewithresearchasofdate)";

/* How many rows they have: the templates of tables that may be there. */
static const char *const had_queries[ZONE_N_TABLES] = {
	"SELECT email, 1 FROM leaving",
	"SELECT t.email, 1 FROM %s t JOIN leaving l ON l.email = t.email",
	"SELECT t.email, 1 FROM %s t JOIN leaving l ON l.email = t.email",
	"SELECT l.email, 1 FROM %s t JOIN leaving l ON l.serial = t.serialnumber",
	"SELECT l.email, 1 FROM %s t JOIN leaving l ON l.serial = t.serialnumber",
};

static const char *const rebuilt_query =
"SELECT coalesce(b.email, a.email),"
" CASE WHEN a.who IS NULL THEN 'withdrawn' WHEN b.who IS NULL THEN 'given' ELSE 'date_changed' END,"
" p.object, p.place,"
" CASE WHEN b.who IS NULL THEN 0 WHEN a.who IS NULL THEN h.n ELSE greatest(h.n - s.n, 0) END,"
" CASE WHEN a.who IS NULL THEN 0 WHEN b.who IS NULL THEN s.n ELSE greatest(s.n - h.n, 0) END"
" FROM person_before b FULL JOIN person_after a ON a.who = b.who"
" LEFT JOIN person p ON p.who = coalesce(b.who, a.who)"
" LEFT JOIN had h ON h.email = b.email"
" LEFT JOIN has_rows s ON s.who = a.who"
" WHERE a.who IS NULL OR b.who IS NULL OR a.since IS DISTINCT FROM b.since"
" ORDER BY coalesce(b.who, a.who)";

static const char *const renewed_query =
"WITH holder AS ("
"  SELECT coalesce(email_before, email) AS email, serial_before, serial FROM change"
"  UNION SELECT email, serial_before, serial FROM curated_change),"
" counted AS ("
"  SELECT email, sum(removed)::bigint AS removed, sum(added)::bigint AS added FROM ("
"   SELECT coalesce(email_before, email) AS email, (was_in AND differs)::integer AS removed,"
"     (is_in AND differs)::integer AS added FROM change"
"   UNION ALL SELECT email, (was_in AND differs)::integer, (is_in AND differs)::integer"
" FROM curated_change"
"   UNION ALL SELECT key, 1, 0 FROM gone_accelerometer"
"   UNION ALL SELECT email, 0, 1 FROM come_accelerometer"
"   UNION ALL SELECT h.email, 1, 0 FROM gone_step g JOIN holder h ON h.serial_before = g.key"
"   UNION ALL SELECT h.email, 0, 1 FROM come_step c JOIN holder h ON h.serial = c.serialnumber"
"   UNION ALL SELECT h.email, 1, 0 FROM gone_pair g JOIN holder h ON h.serial_before = g.key"
"   UNION ALL SELECT h.email, 0, 1 FROM come_pair c JOIN holder h ON h.serial = c.serialnumber) u"
"  GROUP BY email)"
" SELECT n.email, CASE WHEN NOT c.is_in THEN 'withdrawn' WHEN NOT c.was_in THEN 'given'"
"   ELSE 'date_changed' END, p.object, p.place, n.removed, n.added"
" FROM change c JOIN counted n ON n.email = coalesce(c.email_before, c.email)"
" LEFT JOIN person p ON p.who = c.who"
" WHERE c.was_in <> c.is_in OR c.since_before IS DISTINCT FROM c.since ORDER BY c.who";

/* Keep who is in a table of customers, which may not be there. */
static void
keep_people(ZoneRun *run, const char *name, Oid relid)
{
	static const char *const columns[] = {"email", "serialnumber", "sharewithresearchasofdate"};
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	Tuplestorestate *store = tuplestore_begin_heap(true, false, ZONE_KEPT_MEMORY);
	TupleDesc	tupdesc = CreateTemplateTupleDesc(4);
	ZoneTableRows rows;

	TupleDescInitEntry(tupdesc, 1, "who", INT8OID, -1, 0);
	TupleDescInitEntry(tupdesc, 2, "email", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, 3, "serial", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, 4, "since", TIMESTAMPTZOID, -1, 0);
	MemoryContextSwitchTo(caller);
	if (OidIsValid(relid))
	{
		stedi_zone_table_open(&rows, relid, columns, lengthof(columns));
		while (stedi_zone_table_next(&rows))
		{
			Datum		values[4] = {0, rows.values[0], rows.values[1], rows.values[2]};
			bool		nulls[4] = {false, rows.nulls[0], rows.nulls[1], rows.nulls[2]};

			values[0] = Int64GetDatum((int64) stedi_zone_table_hash(run, &rows, 0));
			stedi_zone_table_put(store, tupdesc, values, nulls);
		}
		stedi_zone_table_close(&rows);
	}
	stedi_zone_query_register(run, name, store, tupdesc);
}

void
stedi_zone_change_begin(ZoneRun *run)
{
	StringInfoData had;

	keep_people(run, "person_before", run->relid[ZONE_CUSTOMER_TRUSTED]);
	stedi_zone_query_keep(run, "leaving", leaving_query);
	initStringInfo(&had);
	appendStringInfoString(&had, "SELECT email, count(*) AS n FROM (");
	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (id == ZONE_CUSTOMER_TRUSTED || OidIsValid(run->relid[id]))
		{
			appendStringInfoString(&had, id > 0 ? " UNION ALL " : "");
			appendStringInfo(&had, had_queries[id],
							 stedi_zone_query_table(run, id));
		}
	appendStringInfoString(&had, ") u GROUP BY email");
	if (stedi_zone_query_count("SELECT FROM leaving") == 0)
		stedi_zone_query_keep(run, "had", "SELECT NULL::text AS email, 0::bigint AS n WHERE false");
	else
		stedi_zone_query_keep(run, "had", had.data);
}

void
stedi_zone_change_end(ZoneRun *run)
{
	if (!run->renew)
	{
		keep_people(run, "person_after", OidIsValid(run->staged[ZONE_CUSTOMER_TRUSTED]) ?
					run->staged[ZONE_CUSTOMER_TRUSTED] : run->relid[ZONE_CUSTOMER_TRUSTED]);
		stedi_zone_load_keep_rows(run);
	}
	stedi_zone_history_write(run, run->renew ? renewed_query : rebuilt_query);
}
