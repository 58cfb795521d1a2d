/*-------------------------------------------------------------------------
 *
 * materialize.c
 *		The SQL functions that materialize the five tables.
 *
 * Each call is one run: it reads the customers, renews the tables or rebuilds
 * those asked for, in order, takes out of the others what consent does not
 * cover any more, and writes down what it did, all in the caller's
 * transaction.
 *
 *	 check who may --> compare the landing zone with the last run's
 *		--> renew all tables, or build or prune each
 *		--> history, bookkeeping --> swap new storage in --> report
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "storage/storage.h"
#include "run/expect.h"
#include "run/run.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* The arguments of all the functions, in their order. */
enum
{
	ARG_TARGET,
	ARG_LANDING,
	ARG_CONSENT,
	ARG_FULL_REFRESH,
	ARG_DRY_RUN,
	ARG_MATCH,					/* of two of them */
	ARG_VANISHED,				/* of materialize */
};

PG_FUNCTION_INFO_V1(materialize);
PG_FUNCTION_INFO_V1(materialize_customer_trusted);
PG_FUNCTION_INFO_V1(materialize_accelerometer_trusted);
PG_FUNCTION_INFO_V1(materialize_customer_curated);
PG_FUNCTION_INFO_V1(materialize_step_trainer_curated);
PG_FUNCTION_INFO_V1(materialize_machine_learning_curated);

/* A text argument that must be one of two words; NULL when not given. */
static const char *
choice_argument(FunctionCallInfo fcinfo, int arg, const char *name,
				const char *first, const char *second)
{
	const char *const words[] = {first, second, NULL};
	char	   *given;

	if (PG_NARGS() <= arg || PG_ARGISNULL(arg))
		return NULL;
	given = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	if (strcmp(given, first) != 0 && strcmp(given, second) != 0)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("invalid value for argument \"%s\": \"%s\"", name, given),
				errhint("%s", stedi_near_hint(given, words,
											  psprintf("Give '%s' or '%s'.", first, second))));
	return given;
}

/* What was asked for. */
static ZoneRun *
read_arguments(FunctionCallInfo fcinfo)
{
	ZoneRun    *run;
	const char *match;
	const char *vanished;

	if (PG_ARGISNULL(ARG_TARGET))
		ereport(ERROR,
				errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("argument \"target\" must not be null"),
				errhint("Name the schema of the five tables, "
						"for example stedi.materialize('project')."));
	run = stedi_zone_begin_run(fcinfo, PG_GETARG_OID(ARG_TARGET), ARG_LANDING);
	run->asked = choice_argument(fcinfo, ARG_CONSENT, "consent", "granted", "since_consent");
	match = choice_argument(fcinfo, ARG_MATCH, "match", "customer", "time");
	run->match_time = match != NULL && strcmp(match, "time") == 0;
	vanished = choice_argument(fcinfo, ARG_VANISHED, "vanished", "remove", "keep");
	run->vanished = vanished == NULL ? ZONE_VANISHED_ASK :
		strcmp(vanished, "keep") == 0 ? ZONE_VANISHED_KEEP : ZONE_VANISHED_REMOVE;
	run->full_refresh = !PG_ARGISNULL(ARG_FULL_REFRESH) && PG_GETARG_BOOL(ARG_FULL_REFRESH);
	run->dry_run = !PG_ARGISNULL(ARG_DRY_RUN) && PG_GETARG_BOOL(ARG_DRY_RUN);
	return run;
}

/* What a table is made from must be there: the tables before it. */
static void
check_inputs(ZoneRun *run)
{
	static const ZoneTableId inputs[][2] = {
		{ZONE_ACCELEROMETER_TRUSTED, ZONE_CUSTOMER_TRUSTED},
		{ZONE_CUSTOMER_CURATED, ZONE_CUSTOMER_TRUSTED},
		{ZONE_CUSTOMER_CURATED, ZONE_ACCELEROMETER_TRUSTED},
		{ZONE_STEP_TRAINER_CURATED, ZONE_CUSTOMER_CURATED},
		{ZONE_MACHINE_LEARNING_CURATED, ZONE_CUSTOMER_CURATED},
		{ZONE_MACHINE_LEARNING_CURATED, ZONE_ACCELEROMETER_TRUSTED},
		{ZONE_MACHINE_LEARNING_CURATED, ZONE_STEP_TRAINER_CURATED},
	};

	for (int i = 0; i < lengthof(inputs); i++)
	{
		ZoneTableId input = inputs[i][1];

		if (run->wanted[inputs[i][0]] && !run->wanted[input] && !OidIsValid(run->relid[input]))
			ereport(ERROR,
					errcode(ERRCODE_UNDEFINED_TABLE),
					errmsg("%s is made from %s, which does not exist in schema \"%s\"",
						   stedi_zone_tables[inputs[i][0]].name, stedi_zone_tables[input].name,
						   run->target_name),
					errhint("Call %s first, or stedi.materialize for all five.",
							stedi_zone_query_call(run, stedi_zone_tables[input].function, "")));
	}
}

/*
 * May the run go on from where the last one left the tables?  If not, tell why
 * where it may surprise.
 */
static bool
may_renew(const ZoneRun *run)
{
	const char *reason = NULL;

	if (!run->all || run->full_refresh)
		return false;
	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (!OidIsValid(run->relid[id]))
			return false;
	if (run->rule_changed)
		reason = "the consent rule has changed";
	else if (!run->complete)
		reason = "the last run did not make all five tables, or its bookkeeping is not whole";
	else if (run->form_before != STEDI_EMAIL_FORM)
		reason = "e-mails have another normal form than in the last run";
	else if (stedi_zone_object_redefined(run) != NULL)
		reason = stedi_zone_object_redefined(run);
	else if (run->dropping_before != NULL && strcmp(run->dropping, run->dropping_before) != 0)
		reason = "an expectation that drops rows was set, changed or taken back";
	else if (run->now_ms < run->before_ms)
		reason = "this transaction began before the last run's";
	if (reason != NULL)
		ereport(NOTICE,
				errmsg("reading the whole landing zone again: %s", reason));
	return reason == NULL;
}

/* The run itself, as the owner of the tables. */
static void
make_steps(ZoneRun *run, void *arg)
{
	stedi_zone_lock_tables(run);
	check_inputs(run);
	stedi_zone_book_open(run);
	stedi_zone_book_landing(run);
	stedi_zone_check_landing(run);
	stedi_zone_check_published(run);
	stedi_zone_book_rule(run);
	stedi_zone_summary_renew(run);
	stedi_zone_expect_read(run);
	stedi_zone_object_define(run);
	stedi_zone_object_compare(run);
	stedi_zone_report_begin(run);
	run->renew = may_renew(run);
	if (run->renew)
		stedi_zone_renew(run);
	else
		stedi_zone_rebuild(run);
	stedi_progress_phase(STEDI_PHASE_RECORDING, InvalidOid);
	for (int id = 0; id < ZONE_N_TABLES; id++)
		stedi_zone_object_settle(run, id);
	stedi_zone_expect_settle(run);
	stedi_zone_change_end(run);
	stedi_zone_book_run(run);
	stedi_zone_delete_check(run);
	stedi_zone_query_forget(run);
	stedi_zone_swap_all(run);
}

/* The same; or, where that cannot read what it must, who has withdrawn goes. */
static void
run_steps(ZoneRun *run, void *arg)
{
	stedi_zone_withdraw_run(run, make_steps, arg);
}

/* One run, and its report. */
static Datum
run_zone(FunctionCallInfo fcinfo, int first, int last)
{
	ZoneRun    *run = read_arguments(fcinfo);

	InitMaterializedSRF(fcinfo, 0);
	run->all = (first == 0 && last == ZONE_N_TABLES - 1);
	for (int id = first; id <= last; id++)
		run->wanted[id] = true;
	stedi_progress_begin_run();
	PG_TRY();
	{
		stedi_zone_run(run, run_steps, NULL);
	}
	PG_FINALLY();
	{
		stedi_progress_end_run();
	}
	PG_END_TRY();
	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (run->wanted[id])
			stedi_zone_report_put((ReturnSetInfo *) fcinfo->resultinfo, run, id);
	return (Datum) 0;
}

/*
 * materialize(target, landing, consent, full_refresh, dry_run, match, vanished)
 *		-> setof stedi.report; the others likewise
 */
Datum
materialize(PG_FUNCTION_ARGS)
{
	return run_zone(fcinfo, 0, ZONE_N_TABLES - 1);
}

Datum
materialize_customer_trusted(PG_FUNCTION_ARGS)
{
	return run_zone(fcinfo, ZONE_CUSTOMER_TRUSTED, ZONE_CUSTOMER_TRUSTED);
}

Datum
materialize_accelerometer_trusted(PG_FUNCTION_ARGS)
{
	return run_zone(fcinfo, ZONE_ACCELEROMETER_TRUSTED, ZONE_ACCELEROMETER_TRUSTED);
}

Datum
materialize_customer_curated(PG_FUNCTION_ARGS)
{
	return run_zone(fcinfo, ZONE_CUSTOMER_CURATED, ZONE_CUSTOMER_CURATED);
}

Datum
materialize_step_trainer_curated(PG_FUNCTION_ARGS)
{
	return run_zone(fcinfo, ZONE_STEP_TRAINER_CURATED, ZONE_STEP_TRAINER_CURATED);
}

Datum
materialize_machine_learning_curated(PG_FUNCTION_ARGS)
{
	return run_zone(fcinfo, ZONE_MACHINE_LEARNING_CURATED, ZONE_MACHINE_LEARNING_CURATED);
}
