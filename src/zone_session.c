/*-------------------------------------------------------------------------
 *
 * zone_session.c
 *		The frame of a look at the zone tables: who may, as whom, as of when.
 *
 * What stedi.audit, stedi.lineage, stedi.subject and stedi.quality have in
 * common.  As a run does, a look works as the owner of the tables in a
 * security-restricted operation; other than a run it changes nothing, waits for
 * no other run and works wherever one may read: on a standby, and in any
 * isolation level.
 *
 * The tables are locked as by a reader before the snapshot is taken: no run
 * can swap new storage in under it.
 *
 *-------------------------------------------------------------------------
 */
#include "zone.h"

#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

void
stedi_zone_session_need_argument(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("argument \"%s\" must not be null", name));
}

/* Lock the tables that are there, and see that they are what they should be. */
static void
lock_tables(ZoneRun *run)
{
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		run->relid[id] = stedi_zone_lock_table(run, stedi_zone_tables[id].name, AccessShareLock);
		if (OidIsValid(run->relid[id]))
			stedi_zone_check_shape(run, id);
	}
}

void
stedi_zone_session_begin(ZoneSession *session, FunctionCallInfo fcinfo,
						 Oid target, int landing_arg, const bool *wanted)
{
	ZoneRun    *run = palloc0(sizeof(ZoneRun));
	Oid			landing;

	InitMaterializedSRF(fcinfo, 0);
	session->answer = (ReturnSetInfo *) fcinfo->resultinfo;
	session->run = run;
	run->read_only = true;
	run->cxt = CurrentMemoryContext;
	run->now_ms = stedi_time_ms(GetCurrentTransactionStartTimestamp());
	run->target = target;
	run->target_name = run->landing_name = get_namespace_name(target);
	if (landing_arg >= 0 && !PG_ARGISNULL(landing_arg))
		run->landing_name = stedi_zone_schema_argument(fcinfo, landing_arg, &landing);
	memcpy(run->wanted, wanted, sizeof(run->wanted));
	stedi_list_forget();		/* what was listed before may be old by now */
	stedi_zone_check_target(run);

	GetUserIdAndSecContext(&session->caller, &session->security);
	SetUserIdAndSecContext(run->owner, session->security | SECURITY_RESTRICTED_OPERATION);
	session->nest_level = NewGUCNestLevel();
	stedi_zone_pin_settings();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	lock_tables(run);
	if (landing_arg >= 0)
		stedi_zone_check_landing(run);
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
stedi_zone_session_need_table(const ZoneSession *session, ZoneTableId id)
{
	if (!OidIsValid(session->run->relid[id]))
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_TABLE),
				errmsg("table \"%s\" does not exist in schema \"%s\"",
					   stedi_zone_tables[id].name, session->run->target_name),
				errhint("Make it with %s.",
						stedi_zone_query_call(session->run, "materialize", "")));
}

bool
stedi_zone_session_has_book(const ZoneSession *session, const char *name)
{
	return OidIsValid(stedi_zone_lock_table(session->run, name, AccessShareLock));
}

void
stedi_zone_session_need_rule(ZoneSession *session)
{
	ZoneRun    *run = session->run;
	char	   *match = NULL;

	if (stedi_zone_session_has_book(session, "stedi_rule"))
	{
		run->consent = stedi_zone_session_text(session,
											   "SELECT min(consent) FROM {target}.stedi_rule HAVING count(*) = 1"
											   " AND min(consent) IN ('granted', 'since_consent')");
		match = stedi_zone_session_text(session,
										"SELECT min(match) FROM {target}.stedi_rule"
										" HAVING min(match) IN ('customer', 'time')");
	}
	if (run->consent == NULL || match == NULL)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("the rules that the tables of schema \"%s\" follow are not written down",
					   run->target_name),
				errhint("%s writes them down again, in table \"stedi_rule\".",
						stedi_zone_query_call(run, "materialize", "")));
	run->since = strcmp(run->consent, "since_consent") == 0;
	run->match_time = strcmp(match, "time") == 0;
}

char *
stedi_zone_session_text(const ZoneSession *session, const char *template)
{
	int			result = SPI_execute(stedi_zone_query_expand(session->run, template), true, 1);
	char	   *text = NULL;

	if (result < 0)
		elog(ERROR, "SPI_execute returned %s", SPI_result_code_string(result));
	if (SPI_processed > 0)
		text = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (text != NULL)
		text = MemoryContextStrdup(session->run->cxt, text);
	SPI_freetuptable(SPI_tuptable);
	return text;
}

void
stedi_zone_session_answer(const ZoneSession *session, const char *template)
{
	ReturnSetInfo *answer = session->answer;
	SPIExecuteOptions options = {0};
	int			result;

	options.read_only = true;
	options.dest = CreateDestReceiver(DestTuplestore);

	/*
	 * Values out of line stay so: the caller's snapshot keeps them.  Both, to
	 * fetch them and to see that the columns are right, cannot be asked for.
	 */
	SetTuplestoreDestReceiverParams(options.dest, answer->setResult,
									answer->econtext->ecxt_per_query_memory, false,
									answer->setDesc, "a query has other columns than its answer");
	result = SPI_execute_extended(stedi_zone_query_expand(session->run, template), &options);
	if (result < 0)
		elog(ERROR, "SPI_execute_extended returned %s", SPI_result_code_string(result));
	options.dest->rDestroy(options.dest);
}

void
stedi_zone_session_end(ZoneSession *session)
{
	stedi_zone_query_forget(session->run);
	PopActiveSnapshot();
	SPI_finish();
	AtEOXact_GUC(false, session->nest_level);
	SetUserIdAndSecContext(session->caller, session->security);
}
