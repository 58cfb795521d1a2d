/*-------------------------------------------------------------------------
 *
 * expect.c
 *		stedi.expect, stedi.unexpect and stedi.expectations.
 *
 * They change what is written down of a target's expectations, and show it.
 * What a run does with it is in run/expect.c.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "run/expect.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

/* The arguments of expect; unexpect has the first three. */
enum
{
	ARG_TARGET,
	ARG_TABLE,
	ARG_NAME,
	ARG_CONDITION,
	ARG_ACTION,
	N_ARGS
};

PG_FUNCTION_INFO_V1(expect);
PG_FUNCTION_INFO_V1(unexpect);
PG_FUNCTION_INFO_V1(expectations);

static const char *const argument_names[N_ARGS] = {
	"target", "table", "name", "condition", "action",
};

/* A call's arguments. */
typedef struct Call
{
	ZoneEntry	entry;
	int			n_args;
	bool		found;			/* unexpect: there was one */
} Call;

static void
read_call(FunctionCallInfo fcinfo, Call *call)
{
	const char *tables[ZONE_N_TABLES + 1] = {NULL};
	char	   *table;

	call->n_args = PG_NARGS();
	for (int id = 0; id < ZONE_N_TABLES; id++)
		tables[id] = stedi_zone_tables[id].name;
	for (int arg = 0; arg < call->n_args; arg++)
		stedi_zone_session_need_argument(fcinfo, arg, argument_names[arg]);
	table = text_to_cstring(PG_GETARG_TEXT_PP(ARG_TABLE));
	call->entry.id = stedi_zone_expect_table(table);
	if (call->entry.id == ZONE_N_TABLES)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("invalid value for argument \"table\": \"%s\"", table),
				errhint("%s", stedi_near_hint(table, tables, "Give one of: customer_trusted, "
											  "accelerometer_trusted, customer_curated, "
											  "step_trainer_curated, machine_learning_curated.")));
	call->entry.name = text_to_cstring(PG_GETARG_TEXT_PP(ARG_NAME));
	if (call->entry.name[0] == '\0')
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("argument \"name\" is empty"));
}

static void
read_condition(FunctionCallInfo fcinfo, Call *call)
{
	char	   *action = text_to_cstring(PG_GETARG_TEXT_PP(ARG_ACTION));

	call->entry.condition = text_to_cstring(PG_GETARG_TEXT_PP(ARG_CONDITION));
	call->entry.action = stedi_zone_expect_action(action);
	if (call->entry.action == ZONE_N_ACTIONS)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("invalid value for argument \"action\": \"%s\"", action),
				errhint("%s", stedi_near_hint(action, stedi_zone_expect_actions,
											  "Give 'warn', 'drop' or 'fail'.")));
	if (!stedi_zone_expect_may(call->entry.id, call->entry.action))
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("rows of %s cannot be dropped by an expectation",
					   stedi_zone_tables[call->entry.id].name),
				errdetail("Consent alone decides who is in."),
				errhint("Use the action 'warn' or 'fail', or drop readings."));
}

/* A statement on $1 = table, $2 = name, $3 = condition, $4 = action; how many rows it processed. */
static uint64
execute(const ZoneRun *run, const Call *call, const char *template)
{
	static Oid	types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[lengthof(types)] = {0};
	int			n = call->n_args - 1;

	values[0] = CStringGetTextDatum(stedi_zone_tables[call->entry.id].name);
	values[1] = CStringGetTextDatum(call->entry.name);
	if (n > 2)
	{
		values[2] = CStringGetTextDatum(call->entry.condition);
		values[3] = CStringGetTextDatum(stedi_zone_expect_actions[call->entry.action]);
	}
	return stedi_zone_store_with(run, template, n, types, values, NULL);
}

static void
expect_steps(ZoneRun *run, void *arg)
{
	Call	   *call = arg;

	stedi_zone_expect_check(run, &call->entry);
	stedi_zone_store_open(run);
	stedi_zone_book_make(run, ZONE_BOOK_EXPECTATION);

	/* what was counted stays with one that stays as it is */
	(void) execute(run, call,
				   "UPDATE {books}.stedi_expectation"
				   " SET condition = $3, action = $4, met = NULL, violated = NULL, run = NULL"
				   " WHERE table_name = $1 AND name = $2 AND (condition, action)"
				   " IS DISTINCT FROM ($3, $4)");
	(void) execute(run, call,
				   "INSERT INTO {books}.stedi_expectation SELECT $1, $2, $3, $4"
				   " WHERE NOT EXISTS (SELECT FROM {books}.stedi_expectation"
				   " WHERE table_name = $1 AND name = $2)");
}

/*
 * expect(target regnamespace, table text, name text, condition text, action text)
 *		-> void
 */
Datum
expect(PG_FUNCTION_ARGS)
{
	Call		call = {0};

	read_call(fcinfo, &call);
	read_condition(fcinfo, &call);
	stedi_zone_run(stedi_zone_begin_run(fcinfo, PG_GETARG_OID(ARG_TARGET), -1), expect_steps,
				   &call);
	PG_RETURN_VOID();
}

static void
unexpect_steps(ZoneRun *run, void *arg)
{
	Call	   *call = arg;

	/* who makes it would own the target from then on */
	if (!OidIsValid(run->store.schema))
		return;
	stedi_zone_store_open(run);
	stedi_zone_book_make(run, ZONE_BOOK_EXPECTATION);
	call->found = execute(run, call, "DELETE FROM {books}.stedi_expectation"
						  " WHERE table_name = $1 AND name = $2") > 0;
}

/*
 * unexpect(target regnamespace, table text, name text) -> boolean: was there
 * such an expectation?
 */
Datum
unexpect(PG_FUNCTION_ARGS)
{
	Call		call = {0};

	read_call(fcinfo, &call);
	stedi_zone_run(stedi_zone_begin_run(fcinfo, PG_GETARG_OID(ARG_TARGET), -1), unexpect_steps,
				   &call);
	PG_RETURN_BOOL(call.found);
}

/*
 * expectations(target regnamespace)
 *		-> (table_name, name, condition, action text, met, violated, run bigint)
 */
Datum
expectations(PG_FUNCTION_ARGS)
{
	static const bool none[ZONE_N_TABLES] = {false};
	ZoneSession session;

	stedi_zone_session_need_argument(fcinfo, ARG_TARGET, "target");
	stedi_zone_session_begin(&session, fcinfo, PG_GETARG_OID(ARG_TARGET), -1, none);
	if (stedi_zone_session_has_book(&session, ZONE_BOOK_EXPECTATION))
		stedi_zone_session_answer(&session,
								  "SELECT table_name, name, condition, action, met, violated, run"
								  " FROM {books}.stedi_expectation ORDER BY table_name, name");
	stedi_zone_session_end(&session);
	return (Datum) 0;
}
