/*-------------------------------------------------------------------------
 *
 * zone_book.c
 *		What is kept in the target schema from run to run.
 *
 *	 stedi_rule		the rules that the tables follow: one row
 *	 stedi_run		one row a run and table: the report
 *	 stedi_object	the landing objects that the tables were made from
 *
 * Ordinary tables of the target's owner, no members of the extension and
 * without OIDs in them, so that dumps and DROP EXTENSION keep them.  They
 * hold no value of any record.
 *
 *-------------------------------------------------------------------------
 */
#include "zone.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

typedef struct BookTable
{
	const char *name;
	const char *columns;
	const char *comment;
} BookTable;

const char *const stedi_zone_book_tables[] = {"stedi_rule", "stedi_run", "stedi_object"};
const int	stedi_zone_book_n_tables = lengthof(stedi_zone_book_tables);

static const BookTable books[] = {
	{
		"stedi_rule",
		"consent text, match text, since timestamp with time zone",
		"The rules that the five tables of this schema follow, kept by stedi.materialize. Change them with materialize(..., consent => ...), not here."
	},
	{
		"stedi_run",
		"run bigint, started timestamp with time zone, finished timestamp with time zone,"
		" table_name text, mode text, consent text, objects_listed bigint,"
		" objects_read bigint, bytes_read bigint, records_read bigint, superseded bigint, no_consent bigint,"
		" before_consent bigint, unknown_owner bigint, ambiguous bigint, forgotten bigint, duplicates bigint,"
		" rejected bigint, rows_in bigint, rows_out bigint, rows bigint",
		"What each run of stedi.materialize reported, one row a table."
	},
	{
		"stedi_object",
		"table_name text, key text, etag text, size bigint,"
		" last_modified timestamp with time zone, records bigint, rejects bigint",
		"The landing objects that the five tables of this schema were last made from."
	},
};

/* The rule that the table's COMMENT names, where the bookkeeping is lost. */
static const char *
rule_from_comment(ZoneRun *run)
{
	char	   *comment;

	if (!OidIsValid(run->relid[ZONE_CUSTOMER_TRUSTED]))
		return NULL;
	comment = stedi_zone_query_text(run, psprintf("SELECT obj_description(%u, 'pg_class')",
												  run->relid[ZONE_CUSTOMER_TRUSTED]));
	if (comment != NULL && strstr(comment, "consent => 'granted'") != NULL)
		return "granted";
	return "since_consent";
}

/* Make a bookkeeping table that is missing, or is not what it should be. */
static void
make_book(ZoneRun *run, const BookTable *book)
{
	const char *name = quote_qualified_identifier(run->target_name, book->name);
	Oid			relid = stedi_zone_lock_table(run, book->name);

	if (OidIsValid(relid))
	{
		char	   *columns = stedi_zone_query_columns(run, relid);

		if (columns != NULL && strcmp(columns, book->columns) == 0)
			return;
		ereport(NOTICE,
				errmsg("table \"%s\" in schema \"%s\" is not as stedi.materialize left it, and is made anew",
					   book->name, run->target_name));
		stedi_zone_query_run(psprintf("DROP TABLE %s", name));
	}
	stedi_zone_query_run(psprintf("CREATE TABLE %s (%s)", name, book->columns));
	stedi_zone_query_run(psprintf("ALTER TABLE %s REPLICA IDENTITY FULL", name));
	stedi_zone_query_run(psprintf("COMMENT ON TABLE %s IS %s", name,
								  quote_literal_cstr(book->comment)));
}

void
stedi_zone_book_rule(ZoneRun *run, const char *asked)
{
	char	   *stored;
	char	   *match;
	bool		any = false;
	bool		lost = false;

	for (int i = 0; i < lengthof(books); i++)
		make_book(run, &books[i]);
	for (int id = 0; id < ZONE_N_TABLES; id++)
		any |= OidIsValid(run->relid[id]);

	/* anything but one row with one of the two words is as good as nothing */
	stored = stedi_zone_query_text(run, stedi_zone_query_expand(run,
																"SELECT min(consent) FROM {target}.stedi_rule"
																" HAVING count(*) = 1 AND min(consent) IN ('granted', 'since_consent')"));
	if (stored == NULL && any)
	{
		lost = true;
		stored = unconstify(char *, rule_from_comment(run));
		if (stored == NULL)
			stored = "since_consent";
		if (asked == NULL)
			ereport(WARNING,
					errmsg("the consent rule of schema \"%s\" is not written down any more; going on with '%s'",
						   run->target_name, stored),
					errhint("To follow another rule, say consent => 'granted' or consent => 'since_consent'."));
	}
	if (asked != NULL && stored != NULL && strcmp(asked, stored) != 0 && !run->all)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("the tables of schema \"%s\" follow the consent rule '%s'",
					   run->target_name, stored),
				errhint("To change the rule of all five tables at once, call %s.",
						stedi_zone_query_call(run, "materialize",
											  psprintf(", consent => '%s'", asked))));
	run->consent = asked != NULL ? asked : stored != NULL ? stored : "granted";
	run->since = strcmp(run->consent, "since_consent") == 0;
	run->rule_changed = stored == NULL || lost || strcmp(stored, run->consent) != 0;

	/*
	 * machine_learning_curated stays as it was joined, until it is joined
	 * anew
	 */
	match = stedi_zone_query_text(run, stedi_zone_query_expand(run, "SELECT match FROM {target}.stedi_rule"));
	if (!run->wanted[ZONE_MACHINE_LEARNING_CURATED])
		run->match_time = match != NULL && strcmp(match, "time") == 0;
	run->match_changed = match == NULL || run->match_time != (strcmp(match, "time") == 0);
	if (run->rule_changed || run->match_changed)
	{
		stedi_zone_query_run(stedi_zone_query_expand(run, "DELETE FROM {target}.stedi_rule"));
		stedi_zone_query_run(psprintf("INSERT INTO %s.stedi_rule VALUES (%s, %s, pg_catalog.now())",
									  quote_identifier(run->target_name),
									  quote_literal_cstr(run->consent),
									  run->match_time ? "'time'" : "'customer'"));
	}
}

static char *
int_or_null(int64 value)
{
	return value < 0 ? "NULL" : psprintf(INT64_FORMAT, value);
}

/* One row of the report, as the run's. */
static void
book_report(ZoneRun *run, ZoneTableId id, int64 number)
{
	ZoneReport *report = &run->report[id];
	const StediScanStats *stats = report->tally != NULL ? &report->tally->stats : NULL;

	stedi_zone_query_run(psprintf("INSERT INTO %s.stedi_run VALUES (" INT64_FORMAT
								  ", %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, "
								  INT64_FORMAT ", " INT64_FORMAT ", " INT64_FORMAT ")",
								  quote_identifier(run->target_name), number,
								  quote_literal_cstr(timestamptz_to_str(report->started)),
								  quote_literal_cstr(timestamptz_to_str(report->finished)),
								  quote_literal_cstr(stedi_zone_tables[id].name),
								  quote_literal_cstr(report->mode),
								  quote_literal_cstr(run->consent),
								  int_or_null(stats != NULL ? (int64) stats->objects_listed : -1),
								  int_or_null(stats != NULL ? (int64) stats->objects_read : -1),
								  int_or_null(stats != NULL ? (int64) stats->bytes : -1),
								  int_or_null(stats != NULL ? (int64) stats->records : -1),
								  int_or_null(report->superseded), int_or_null(report->no_consent),
								  int_or_null(report->before_consent), int_or_null(report->unknown_owner),
								  int_or_null(report->ambiguous), int_or_null(report->forgotten),
								  int_or_null(report->duplicates),
								  int_or_null(stats != NULL ? (int64) stats->rejected : -1),
								  report->rows_in, report->rows_out, report->rows));
}

/* The objects that a table was made from. */
static void
book_objects(ZoneRun *run, ZoneTableId id)
{
	static Oid	types[] = {TEXTOID, TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, INT8OID, INT8OID};
	const StediListing *listing = run->report[id].tally->listing;
	char	   *sql = stedi_zone_query_expand(run, "INSERT INTO {target}.stedi_object VALUES ($1, $2, $3, $4, $5, $6, $7)");
	SPIPlanPtr	plan = SPI_prepare(sql, lengthof(types), types);

	stedi_zone_query_run(psprintf("DELETE FROM %s.stedi_object WHERE table_name = %s",
								  quote_identifier(run->target_name),
								  quote_literal_cstr(stedi_zone_tables[id].landing)));
	for (int i = 0; i < listing->n_objects; i++)
	{
		const StediObject *object = &listing->objects[i];
		Datum		values[lengthof(types)];

		values[0] = CStringGetTextDatum(stedi_zone_tables[id].landing);
		values[1] = stedi_tuple_name(object->key);
		values[2] = stedi_tuple_name(object->etag);
		values[3] = Int64GetDatum(object->size);
		values[4] = TimestampTzGetDatum(object->modified);
		values[5] = Int64GetDatum((int64) object->n_records);
		values[6] = Int64GetDatum((int64) object->n_rejects);
		if (SPI_execute_plan(plan, values, NULL, false, 0) != SPI_OK_INSERT)
			elog(ERROR, "could not insert into stedi_object");
	}
	SPI_freeplan(plan);
}

void
stedi_zone_book_run(ZoneRun *run)
{
	int64		number;

	stedi_zone_query_values(stedi_zone_query_expand(run, "SELECT coalesce(max(run), 0) + 1 FROM {target}.stedi_run"),
							1, &number);
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		if (run->wanted[id])
			book_report(run, id, number);
		if (run->report[id].tally != NULL && run->report[id].tally->listing != NULL)
			book_objects(run, id);
	}
}
