/*-------------------------------------------------------------------------
 *
 * required.c
 *		What a zone cannot do without: the rules that a record must meet
 *		beyond those of its columns.
 *
 * materialize and stedi.rejects apply these, an ordinary query does not: a
 * landing table shows records as they landed.  schema.c says what is needed of
 * which column.
 *
 *-------------------------------------------------------------------------
 */
#include "scan/row.h"

#include "mb/pg_wchar.h"
#include "utils/lsyscache.h"

/* The most columns of a landing table that have a rule. */
#define MAX_DUTIES STEDI_N_CUSTOMER_COLUMNS

struct StediJudge
{
	StediClock	clock;
	const StediTuple *tuple;	/* borrowed */
	StediTimeUnit other_unit;	/* of the last record that had one */
	int			n_duties;
	struct
	{
		int			attno;
		int			field;
		StediNeed	need;
	}			duties[MAX_DUTIES];
};

StediJudge *
stedi_judge_open(const StediOptions *opts, TupleDesc tupdesc, const StediTuple *tuple)
{
	StediJudge *judge = palloc0(sizeof(StediJudge));
	const StediLandingTable *table = stedi_schema_find(get_rel_name(opts->relid));

	judge->clock = opts->clock;
	judge->tuple = tuple;
	for (int i = 0; table != NULL && i < table->n_columns; i++)
	{
		for (int attno = 0; attno < tupdesc->natts; attno++)
		{
			Form_pg_attribute attr = TupleDescAttr(tupdesc, attno);
			int			field = stedi_tuple_field(tuple, attno);

			if (table->columns[i].need == STEDI_NEED_NOTHING || field < 0 || attr->attisdropped ||
				strcmp(NameStr(attr->attname), table->columns[i].name) != 0)
				continue;
			judge->duties[judge->n_duties].attno = attno;
			judge->duties[judge->n_duties].field = field;
			judge->duties[judge->n_duties++].need = table->columns[i].need;
		}
	}
	return judge;
}

/* Is there something in the field, for that column? */
static bool
is_present(const StediJudge *judge, int attno, const StediField *field)
{
	if (stedi_tuple_is_null(judge->tuple, attno, field) || field->kind == STEDI_FIELD_UNREADABLE)
		return false;
	if (field->kind != STEDI_FIELD_STRING)
		return true;
	return field->text.len > 0;
}

/* Does a string that is to be an e-mail name somebody? */
static StediReason
check_email(StediSlice text)
{
	text = stedi_email_trim(text);
	if (text.len == 0)
		return STEDI_REASON_MISSING;

	/* with a character that everybody sees, something is left in UTF8 */
	if (GetDatabaseEncoding() == PG_UTF8 && text.data[0] > ' ' && text.data[0] <= '~')
		return STEDI_REASON_NONE;
	return stedi_consent_check(text);
}

StediTimeUnit
stedi_judge_other_unit(const StediJudge *judge)
{
	return judge->other_unit;
}

bool
stedi_judge_latest(Datum *updated, StediTimeUnit unit)
{
	StediTimeUnit other;
	int64_t		latest = DatumGetInt64(*updated);
	TimestampTz time;

	(void) stedi_value_other_unit(latest, unit, &other, &latest);
	*updated = Int64GetDatum(latest);
	return stedi_time_from_ms(latest, &time);
}

/* Do these fit timestamptz, in the unit that they are given in? */
static StediReason
check_time(StediJudge *judge, const StediField *field, StediNeed need)
{
	int64		ms;
	int64_t		latest;
	TimestampTz time;
	StediReason reason = stedi_time_read_ms(&judge->clock, field, &ms);

	if (reason != STEDI_REASON_NONE)
		return reason;
	if (need != STEDI_NEED_TIME &&
		stedi_value_other_unit(ms, judge->clock.unit, &judge->other_unit, &latest))
		return STEDI_REASON_OTHER_UNIT;
	return stedi_time_from_ms(ms, &time) ? STEDI_REASON_NONE : STEDI_REASON_OUT_OF_RANGE;
}

StediReason
stedi_judge_record(StediJudge *judge, const StediField *fields, int *attno)
{
	for (int i = 0; i < judge->n_duties; i++)
	{
		const StediField *field = &fields[judge->duties[i].field];
		StediNeed	need = judge->duties[i].need;
		bool		must_be = (need != STEDI_NEED_TIME && need != STEDI_NEED_DECIDING_TIME);
		bool		present = is_present(judge, judge->duties[i].attno, field);
		StediReason reason = STEDI_REASON_NONE;

		*attno = judge->duties[i].attno;
		if (!present && must_be)
			return STEDI_REASON_MISSING;
		if (need == STEDI_NEED_EMAIL && field->kind == STEDI_FIELD_STRING)
			reason = check_email(field->text);
		if (present && need >= STEDI_NEED_TIME)
			reason = check_time(judge, field, need);
		if (reason != STEDI_REASON_NONE)
			return reason;
	}
	return STEDI_REASON_NONE;
}
