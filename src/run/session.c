/*-------------------------------------------------------------------------
 *
 * session.c
 *		The frame of a look at the zone tables: who may, as whom, as of when.
 *
 * What stedi.audit, stedi.lineage, stedi.subject and stedi.quality have in
 * common.  Like a run, a look works as the owner of the tables in a security-
 * restricted operation.  Unlike a run, it changes nothing, waits for no other
 * run, and works wherever one may read: on a standby, and in any isolation
 * level.
 *
 * The tables are locked as by a reader before the snapshot is taken, so that
 * no run can swap in new storage meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "run/run.h"

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
		run->relid[id] = stedi_zone_lock_table(run, run->target_name, stedi_zone_tables[id].name,
											   run->owner, AccessShareLock);
		if (OidIsValid(run->relid[id]))
			stedi_zone_hold_table(run, id, AccessShareLock);
	}
}

/*
 * An error for a schema that is no target: an empty answer would look like
 * "all is well".
 */
static void
need_zone(const ZoneRun *run)
{
	bool		any = OidIsValid(run->store.schema);

	for (int id = 0; id < ZONE_N_TABLES; id++)
		any |= OidIsValid(run->relid[id]);
	if (!any)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_TABLE),
				errmsg("schema \"%s\" has no zone tables", run->target_name),
				errhint("Make them with %s.", stedi_zone_query_call(run, "materialize", "")));
}

/* The landing schema that the last run read, where it is written down. */
static void
remember_landing(const ZoneSession *session)
{
	ZoneRun    *run = session->run;
	char	   *stored;

	if (!stedi_zone_session_has_book(session, ZONE_BOOK_RULE) ||
		get_attnum(get_relname_relid(stedi_zone_book_name(ZONE_BOOK_RULE), run->store.schema),
				   "landing") == InvalidAttrNumber)
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	stored = stedi_zone_session_text(session, "SELECT min(landing) FROM {books}.stedi_rule");
	PopActiveSnapshot();
	if (stored != NULL)
		run->landing_name = stored;
}

void
stedi_zone_session_begin(ZoneSession *session, FunctionCallInfo fcinfo,
						 Oid target, int landing_arg, const bool *wanted)
{
	ZoneRun    *run;

	InitMaterializedSRF(fcinfo, 0);
	session->answer = (ReturnSetInfo *) fcinfo->resultinfo;
	session->run = run = stedi_zone_begin_run(fcinfo, target, landing_arg);
	run->read_only = true;
	memcpy(run->wanted, wanted, sizeof(run->wanted));
	stedi_list_forget();		/* what was listed before may be old by now */
	stedi_zone_check_target(run);
	if (landing_arg < 0)
		need_zone(run);

	GetUserIdAndSecContext(&session->caller, &session->security);
	SetUserIdAndSecContext(run->owner, session->security | SECURITY_RESTRICTED_OPERATION);
	session->nest_level = NewGUCNestLevel();
	stedi_zone_pin_settings();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	lock_tables(run);
	if (landing_arg >= 0)
	{
		if (!run->landing_given)
			remember_landing(session);
		stedi_zone_check_landing(run);
	}
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
stedi_zone_session_has_book(const ZoneSession *session, ZoneBook book)
{
	ZoneUser	user;
	bool		found;

	if (!OidIsValid(session->run->store.schema))
		return false;
	stedi_zone_store_enter(session->run, &user);
	found = OidIsValid(stedi_zone_book_find(session->run, book, AccessShareLock));
	stedi_zone_store_leave(&user);
	return found;
}

void
stedi_zone_session_need_rule(ZoneSession *session)
{
	ZoneRun    *run = session->run;
	char	   *match = NULL;

	if (stedi_zone_session_has_book(session, ZONE_BOOK_RULE))
	{
		run->consent = stedi_zone_session_text(session,
											   "SELECT min(consent) FROM {books}.stedi_rule"
											   " HAVING count(*) = 1"
											   " AND min(consent) IN ('granted', 'since_consent')");
		match = stedi_zone_session_text(session,
										"SELECT min(match) FROM {books}.stedi_rule"
										" HAVING min(match) IN ('customer', 'time')");
	}
	if (run->consent == NULL || match == NULL)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("the rules that the tables of schema \"%s\" follow are not written down",
					   run->target_name),
				errhint("%s writes them down again.",
						stedi_zone_query_call(run, "materialize", "")));
	run->since = strcmp(run->consent, "since_consent") == 0;
	run->match_time = strcmp(match, "time") == 0;
}

/* A template that reads bookkeeping is run as its owner; see books/schema.c. */
static void
enter(const ZoneSession *session, const char *template, ZoneUser *user)
{
	if (strstr(template, "{books}") != NULL)
		stedi_zone_store_enter(session->run, user);
	else
	{
		user->nest_level = 0;
		GetUserIdAndSecContext(&user->role, &user->security);
		stedi_zone_pin_settings();
	}
}

char *
stedi_zone_session_text(const ZoneSession *session, const char *template)
{
	ZoneUser	user;
	int			result;
	char	   *text = NULL;

	enter(session, template, &user);
	result = SPI_execute(stedi_zone_query_expand(session->run, template), true, 1);
	if (result < 0)
		elog(ERROR, "SPI_execute returned %s", SPI_result_code_string(result));
	if (SPI_processed > 0)
		text = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (text != NULL)
		text = MemoryContextStrdup(session->run->cxt, text);
	SPI_freetuptable(SPI_tuptable);
	stedi_zone_store_leave(&user);
	return text;
}

void
stedi_zone_session_answer(const ZoneSession *session, const char *template)
{
	ReturnSetInfo *answer = session->answer;
	SPIExecuteOptions options = {0};
	ZoneUser	user;
	int			result;

	enter(session, template, &user);
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
	stedi_zone_store_leave(&user);
}

void
stedi_zone_session_end(ZoneSession *session)
{
	stedi_zone_query_forget(session->run);
	stedi_zone_hold_release_all(session->run);
	PopActiveSnapshot();
	SPI_finish();
	AtEOXact_GUC(false, session->nest_level);
	SetUserIdAndSecContext(session->caller, session->security);
}
