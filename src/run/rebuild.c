/*-------------------------------------------------------------------------
 *
 * rebuild.c
 *		The tables made anew, of all that has landed.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "storage/storage.h"
#include "readings/readings.h"
#include "run/expect.h"
#include "run/run.h"

#include "access/table.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* The query whose rows the table holds, unless it is made of readings. */
static const char *
rows_query(const ZoneRun *run, ZoneTableId id)
{
	switch (id)
	{
		case ZONE_CUSTOMER_TRUSTED:
			return stedi_rule_customer_trusted;
		case ZONE_CUSTOMER_CURATED:
			if (stedi_zone_keeps_rows(run) && OidIsValid(run->relid[ZONE_ACCELEROMETER_TRUSTED]))
				return stedi_rule_customer_curated_kept;
			return stedi_rule_customer_curated;
		default:
			return run->match_time ? stedi_rule_pairs_by_time
				: stedi_rule_pairs;
	}
}

/*
 * Warn of pairs by time alone: the original job made them, but they are seldom
 * wanted.
 */
static void
warn_of_time(const ZoneRun *run)
{
	if (run->match_time)
		ereport(WARNING,
				errmsg("machine_learning_curated pairs readings by their time alone"),
				errdetail("A row can pair one person's steps with another's movements."),
				errhint("Use match => 'customer', unless you need what the original job made."));
}

/* Make the rows of a table that is made of others. */
static void
build_by_query(ZoneRun *run, ZoneTableId id)
{
	bool		drops = stedi_zone_expect_drops(run, id);
	const char *query;

	(void) stedi_zone_write_begin(run, id);
	query = stedi_zone_query_expand(run, rows_query(run, id));
	if (id == ZONE_MACHINE_LEARNING_CURATED)
		run->report[id].unexpected = 0;
	if (drops)
	{
		stedi_zone_expect_keep(run, id, "expected_row", query);
		query = psprintf("SELECT %s FROM expected_row", stedi_zone_tables[id].column_names);
	}
	stedi_zone_write_query(run, id, query);
	stedi_zone_write_end(run, id);
}

void
stedi_zone_rebuild_pairs(ZoneRun *run)
{
	build_by_query(run, ZONE_MACHINE_LEARNING_CURATED);
	warn_of_time(run);
}

/* Take out of a table that is not rebuilt what is no longer covered. */
static void
prune_table(ZoneRun *run, ZoneTableId id)
{
	int64		n_rows = stedi_zone_delete_where(run, id, stedi_rule_prunes[id]);

	if (n_rows == 0)
		return;
	stedi_zone_stats_renew(run, id, n_rows);
	ereport(NOTICE,
			errmsg_plural("%lld row of %s is no longer covered and was removed",
						  "%lld rows of %s are no longer covered and were removed",
						  (unsigned long) n_rows, (long long) n_rows,
						  stedi_zone_tables[id].name));
}

/* Begin with a table: rows that stay are those that expectations let. */
static TimestampTz
begin_table(ZoneRun *run, ZoneTableId id)
{
	run->report[id].started = GetCurrentTimestamp();
	if (run->wanted[id] && OidIsValid(run->relid[id]) && stedi_zone_keeps_rows(run))
		run->report[id].rows_out = stedi_zone_expect_prune(run, id);
	return run->report[id].started;
}

/* Count what has passed since then as this table's time. */
static void
end_table(ZoneRun *run, ZoneTableId id, TimestampTz began)
{
	run->report[id].finished = GetCurrentTimestamp();
	run->report[id].elapsed += run->report[id].finished - began;
}

/* Read the customers, and know who is in. */
static void
read_people(ZoneRun *run)
{
	stedi_zone_person_read(run);
	stedi_zone_change_begin(run);
	stedi_zone_former_rows(run);
}

static void
build_customers(ZoneRun *run)
{
	build_by_query(run, ZONE_CUSTOMER_TRUSTED);
	stedi_zone_table_report_customers(run);
}

/* Build the tables of what was read; pairs: and that of the pairs. */
static void
build_readings(ZoneRun *run, bool pairs)
{
	stedi_zone_load_build(run, pairs);
	if (OidIsValid(run->source[ZONE_STEP_TRAINER_CURATED].relid) &&
		run->wanted[ZONE_STEP_TRAINER_CURATED])
		stedi_zone_share_warn(run);
}

/*
 * All five tables: the customers; movements are read, by which the curated
 * customers are known; step readings are read; and the three tables of
 * readings are built together, in one pass over what was kept of both.
 */
static void
rebuild_all(ZoneRun *run)
{
	bool		pairs = !run->match_time && !stedi_zone_keeps_rows(run);
	TimestampTz began;

	began = begin_table(run, ZONE_CUSTOMER_TRUSTED);
	read_people(run);
	build_customers(run);
	end_table(run, ZONE_CUSTOMER_TRUSTED, began);

	began = begin_table(run, ZONE_ACCELEROMETER_TRUSTED);
	stedi_zone_load_read(run, ZONE_ACCELEROMETER_TRUSTED);
	stedi_zone_load_keep_readers(run);
	end_table(run, ZONE_ACCELEROMETER_TRUSTED, began);

	began = begin_table(run, ZONE_CUSTOMER_CURATED);
	build_by_query(run, ZONE_CUSTOMER_CURATED);
	end_table(run, ZONE_CUSTOMER_CURATED, began);

	began = begin_table(run, ZONE_STEP_TRAINER_CURATED);
	stedi_zone_load_read(run, ZONE_STEP_TRAINER_CURATED);
	end_table(run, ZONE_STEP_TRAINER_CURATED, began);

	began = begin_table(run, ZONE_MACHINE_LEARNING_CURATED);
	end_table(run, ZONE_MACHINE_LEARNING_CURATED, began);
	build_readings(run, pairs);
	began = GetCurrentTimestamp();
	if (!pairs)
		build_by_query(run, ZONE_MACHINE_LEARNING_CURATED);
	warn_of_time(run);
	end_table(run, ZONE_MACHINE_LEARNING_CURATED, began);
}

/* One table: of what has landed, and of the tables that are there. */
static void
rebuild_table(ZoneRun *run, ZoneTableId id)
{
	TimestampTz began = GetCurrentTimestamp();

	switch (id)
	{
		case ZONE_CUSTOMER_TRUSTED:
			build_customers(run);
			break;
		case ZONE_ACCELEROMETER_TRUSTED:
		case ZONE_STEP_TRAINER_CURATED:
			stedi_zone_load_read(run, id);
			end_table(run, id, began);
			build_readings(run, false);
			return;
		case ZONE_CUSTOMER_CURATED:
			build_by_query(run, id);
			break;
		default:
			stedi_zone_rebuild_pairs(run);
	}
	end_table(run, id, began);
}

void
stedi_zone_rebuild(ZoneRun *run)
{
	if (run->all)
	{
		rebuild_all(run);
		return;
	}
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		TimestampTz began = begin_table(run, id);

		if (id == ZONE_CUSTOMER_TRUSTED)
			read_people(run);
		if (!run->wanted[id] && OidIsValid(run->relid[id]))
			prune_table(run, id);
		end_table(run, id, began);
		if (run->wanted[id])
			rebuild_table(run, id);
	}
}
