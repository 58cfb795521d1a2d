/*-------------------------------------------------------------------------
 *
 * reject.c
 *		What becomes of the records that a scan sets aside.
 *
 * They are counted, and end the query where the table's options say so; at
 * the end of the scan there is one WARNING of all.  No message quotes a value.
 *
 *-------------------------------------------------------------------------
 */
#include "scan/state.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* The SQLSTATE of a reject that ends the query. */
static int
reason_errcode(StediReason reason)
{
	switch (reason)
	{
		case STEDI_REASON_ENCODING:
		case STEDI_REASON_ZERO_CHARACTER:
			return ERRCODE_CHARACTER_NOT_IN_REPERTOIRE;
		case STEDI_REASON_OUT_OF_RANGE:
			return ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE;
		case STEDI_REASON_WRONG_KIND:
		case STEDI_REASON_NOT_A_NUMBER:
		case STEDI_REASON_NOT_AN_INTEGER:
		case STEDI_REASON_NOT_A_VALUE:
			return ERRCODE_INVALID_TEXT_REPRESENTATION;
		case STEDI_REASON_OTHER_UNIT:
			return ERRCODE_DATETIME_FIELD_OVERFLOW;
		case STEDI_REASON_NOT_A_TIME:
			return ERRCODE_INVALID_DATETIME_FORMAT;
		case STEDI_REASON_MISSING:
			return ERRCODE_NOT_NULL_VIOLATION;
		case STEDI_REASON_TOO_LONG:
		case STEDI_REASON_TOO_DEEP:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		case STEDI_REASON_OUT_OF_MEMORY:
			return ERRCODE_OUT_OF_MEMORY;
		default:
			return ERRCODE_INVALID_JSON_TEXT;
	}
}

void
stedi_scan_count_reject(StediScan *scan)
{
	uint64		n_rejected = ++scan->stats.rejected;

	if (scan->shared != NULL)
		n_rejected = stedi_scan_share_reject(scan);
	scan->object->n_rejects++;
	if (scan->reject.reason == STEDI_REASON_OTHER_UNIT)
	{
		StediScanStats one = {
			.n_other_unit = 1,.other_units = 1 << stedi_judge_other_unit(scan->judge),
			.other_object = (int) (scan->object - scan->listing->objects),
			.other_offset = scan->place.offset
		};

		stedi_scan_add_other_unit(&scan->stats, &one);
	}
	if (scan->reject.reason == STEDI_REASON_OUT_OF_MEMORY)
		ereport(ERROR,
				errcode(ERRCODE_OUT_OF_MEMORY),
				errmsg("out of memory"));
	if ((scan->flags & (STEDI_SCAN_GIVE_REJECTS | STEDI_SCAN_WARN)) == STEDI_SCAN_GIVE_REJECTS)
		return;
	if (scan->opts->on_error == STEDI_ON_ERROR_STOP)
		ereport(ERROR,
				errcode(reason_errcode(scan->reject.reason)),
				errmsg("could not read a record of foreign table \"%s\": %s",
					   get_rel_name(scan->opts->relid),
					   stedi_scan_reason(&scan->reject)),
				errcontext("object \"%s\", line " UINT64_FORMAT ", byte offset " UINT64_FORMAT,
						   stedi_text_show(scan->place.object->key), scan->place.line, scan->place.offset));
	if (scan->opts->reject_limit > 0 &&
		n_rejected > (uint64) scan->opts->reject_limit)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				errmsg("set aside more than option \"reject_limit\" (" INT64_FORMAT ") records of foreign table \"%s\"",
					   scan->opts->reject_limit, get_rel_name(scan->opts->relid)),
				errcontext("object \"%s\", line " UINT64_FORMAT ", byte offset " UINT64_FORMAT,
						   stedi_text_show(scan->place.object->key), scan->place.line, scan->place.offset));
}

/*
 * Warn of records that were set aside for a time of another unit: where all
 * times are of it, an option is missing.
 */
static void
warn_of_units(StediScan *scan)
{
	static const char *const names[] = {"seconds", "milliseconds", "microseconds", "nanoseconds"};
	static const char *const words[] = {"s", "ms", "us", NULL};
	const StediScanStats *stats = &scan->stats;
	const char *table = get_rel_name(scan->opts->relid);
	const char *other = "another unit";
	const char *word = "...";

	if (stats->n_other_unit == 0)
		return;
	for (int unit = 0; unit < STEDI_N_UNITS; unit++)
		if (stats->other_units == 1 << unit)
		{
			other = names[unit];
			word = words[unit];
		}
	ereport(WARNING,
			errmsg_plural("%llu record of foreign table \"%s\" has a time that can only be in %s, not in %s",
						  "%llu records of foreign table \"%s\" have a time that can only be in %s, not in %s",
						  (unsigned long) stats->n_other_unit,
						  (unsigned long long) stats->n_other_unit, table, other,
						  names[scan->opts->clock.unit]),
			errdetail(strcmp(table, "customer_landing") == 0 ?
					  "The first is in object \"%s\" at byte offset %llu. Whose records these are is out, unless a newer record decides." :
					  "The first is in object \"%s\" at byte offset %llu. These readings are left out.",
					  stedi_text_show(scan->listing->objects[stats->other_object].key),
					  (unsigned long long) stats->other_offset),
			word != NULL ?
			errhint("If all times of the table are of that unit, say so: %s",
					stedi_cure_table(scan->opts, "time_unit", word)) :
			errhint("No option reads that unit: write the objects anew."));
}

void
stedi_scan_warn(StediScan *scan)
{
	uint64		rejects = Max(scan->warned_rejects, scan->stats.rejected);
	char	   *name;
	char	   *table;

	if (rejects == 0 ||
		(scan->flags & (STEDI_SCAN_GIVE_REJECTS | STEDI_SCAN_WARN)) == STEDI_SCAN_GIVE_REJECTS)
		return;
	name = get_rel_name(scan->opts->relid);
	table = quote_qualified_identifier(get_namespace_name(get_rel_namespace(scan->opts->relid)),
									   name);
	ereport(WARNING,
			errmsg_plural("%llu record of foreign table \"%s\" was set aside%s",
						  "%llu records of foreign table \"%s\" were set aside%s",
						  (unsigned long) rejects,
						  (unsigned long long) rejects,
						  name,
						  scan->stats.finished ? "" : " so far"),
			errhint("See SELECT * FROM stedi.rejects(%s).", quote_literal_cstr(table)));
	warn_of_units(scan);
}

const StediReject *
stedi_scan_reject(const StediScan *scan)
{
	return &scan->reject;
}

char *
stedi_scan_reason(const StediReject *reject)
{
	if (reject->column == NULL)
		return pstrdup(stedi_reason_text(reject->reason));
	return psprintf("column \"%s\": %s", reject->column,
					stedi_reason_text(reject->reason));
}

bool
stedi_scan_may_hide(const StediReject *reject)
{
	switch (reject->reason)
	{
		case STEDI_REASON_NOT_AN_OBJECT:
		case STEDI_REASON_CUT_OFF:
		case STEDI_REASON_ARRAY_OPEN:
		case STEDI_REASON_TOO_DEEP:
		case STEDI_REASON_TOO_LONG:
		case STEDI_REASON_DAMAGED:
		case STEDI_REASON_SYNTAX:
			return true;
		default:
			return false;
	}
}
