/*-------------------------------------------------------------------------
 *
 * scan_reject.c
 *		What becomes of the records that a scan sets aside.
 *
 * They are counted, and end the query where the table's options say so; at
 * the end of the scan there is one WARNING of all.  No message quotes a value.
 *
 *-------------------------------------------------------------------------
 */
#include "scan.h"

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

/* See scan.h. */
void
stedi_scan_count_reject(StediScan *scan)
{
	uint64		n_rejected = ++scan->stats.rejected;

	if (scan->shared != NULL)
		n_rejected = stedi_scan_share_reject(scan);
	scan->object->n_rejects++;
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
						   stedi_tuple_show(scan->place.object->key), scan->place.line, scan->place.offset));
	if (scan->opts->reject_limit > 0 &&
		n_rejected > (uint64) scan->opts->reject_limit)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				errmsg("set aside more than option \"reject_limit\" (" INT64_FORMAT ") records of foreign table \"%s\"",
					   scan->opts->reject_limit, get_rel_name(scan->opts->relid)),
				errcontext("object \"%s\", line " UINT64_FORMAT ", byte offset " UINT64_FORMAT,
						   stedi_tuple_show(scan->place.object->key), scan->place.line, scan->place.offset));
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
