/*-------------------------------------------------------------------------
 *
 * zone.c
 *		The SQL functions that materialise the zone tables.
 *
 * Each call is one run: it reads the customers, rebuilds the tables asked
 * for, in order, takes out of the others what is no longer covered, and
 * writes down what it did, all in the caller's transaction.
 *
 *	 check who may --> read customers --> build or prune each table
 *		--> swap new storage in --> bookkeeping --> report
 *
 * Runs on one target schema exclude each other by a lock on the schema.
 * From then on the run is the tables' owner in a security-restricted
 * operation: whatever functions hang on the tables run with no more power.
 *
 *-------------------------------------------------------------------------
 */
#include "zone.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
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

/*
 * Memory of a sort or hash table of the run's own queries, whatever the
 * session's: two of them and the consent sets of a million customers stay
 * below 256 MB, and more brings nothing.
 */
#define RUN_MEMORY "32MB"

/* A run is under way in this session. */
static bool running = false;

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
	char	   *given;

	if (PG_NARGS() <= arg || PG_ARGISNULL(arg))
		return NULL;
	given = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	if (strcmp(given, first) != 0 && strcmp(given, second) != 0)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("invalid value for argument \"%s\": \"%s\"", name, given),
				errhint("Give '%s' or '%s'.", first, second));
	return given;
}

const char *
stedi_zone_schema_argument(FunctionCallInfo fcinfo, int arg, Oid *schema)
{
	char	   *name;

	*schema = PG_GETARG_OID(arg);
	name = get_namespace_name(*schema);
	if (name == NULL)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_SCHEMA),
				errmsg("schema with OID %u does not exist", *schema));
	return name;
}

/* What was asked for. */
static ZoneRun *
read_arguments(FunctionCallInfo fcinfo, const char **consent)
{
	ZoneRun    *run = palloc0(sizeof(ZoneRun));
	const char *match;
	const char *vanished;
	Oid			landing;

	if (PG_ARGISNULL(ARG_TARGET))
		ereport(ERROR,
				errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("argument \"target\" must not be null"),
				errhint("Name the schema of the five tables, for example stedi.materialize('project')."));
	run->cxt = CurrentMemoryContext;
	run->target_name = stedi_zone_schema_argument(fcinfo, ARG_TARGET, &run->target);
	run->landing_name = run->target_name;
	if (!PG_ARGISNULL(ARG_LANDING))
		run->landing_name = stedi_zone_schema_argument(fcinfo, ARG_LANDING, &landing);
	*consent = choice_argument(fcinfo, ARG_CONSENT, "consent", "granted", "since_consent");
	match = choice_argument(fcinfo, ARG_MATCH, "match", "customer", "time");
	run->match_time = match != NULL && strcmp(match, "time") == 0;
	vanished = choice_argument(fcinfo, ARG_VANISHED, "vanished", "remove", "keep");
	run->vanished = vanished == NULL ? ZONE_VANISHED_ASK :
		strcmp(vanished, "keep") == 0 ? ZONE_VANISHED_KEEP : ZONE_VANISHED_REMOVE;
	run->full_refresh = !PG_ARGISNULL(ARG_FULL_REFRESH) && PG_GETARG_BOOL(ARG_FULL_REFRESH);
	run->dry_run = !PG_ARGISNULL(ARG_DRY_RUN) && PG_GETARG_BOOL(ARG_DRY_RUN);
	run->now_ms = stedi_time_ms(GetCurrentTransactionStartTimestamp());
	return run;
}

/* Runs on one target wait for each other. */
static void
lock_target(ZoneRun *run)
{
	if (!ConditionalLockDatabaseObject(NamespaceRelationId, run->target, 0,
									   ShareUpdateExclusiveLock))
	{
		ereport(NOTICE,
				errmsg("waiting for another run of stedi.materialize on schema \"%s\"",
					   run->target_name));
		LockDatabaseObject(NamespaceRelationId, run->target, 0, ShareUpdateExclusiveLock);
	}
	if (get_namespace_oid(run->target_name, true) != run->target)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_SCHEMA),
				errmsg("schema \"%s\" was dropped or renamed while the run waited for it",
					   run->target_name));

	/*
	 * A snapshot older than the lock would not see what the run before us has
	 * written, and we would write it again.
	 */
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				errmsg("cannot materialize in a transaction of isolation level %s",
					   XactIsoLevel == XACT_SERIALIZABLE ? "SERIALIZABLE" : "REPEATABLE READ"),
				errhint("Use READ COMMITTED."));
}

/* The owner of what must be a table. */
static Oid
table_owner(const ZoneRun *run, Oid relid, const char *name)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;
	Oid			owner;
	char		kind;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	form = (Form_pg_class) GETSTRUCT(tuple);
	owner = form->relowner;
	kind = form->relkind;
	ReleaseSysCache(tuple);
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("\"%s\" in schema \"%s\" is not a table", name, run->target_name),
				errhint("Rename it, or materialize into another schema."));
	return owner;
}

/* The table's owner is the run's; else an error. */
static void
check_owner(const ZoneRun *run, Oid relid, const char *name)
{
	Oid			owner = table_owner(run, relid, name);

	if (owner != run->owner)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("table \"%s\" in schema \"%s\" belongs to role \"%s\", others there to role \"%s\"",
					   name, run->target_name,
					   GetUserNameFromId(owner, true), GetUserNameFromId(run->owner, true)),
				errhint("Give them one owner with ALTER TABLE ... OWNER TO, or materialize into another schema."));
}

/* Note one of our tables that exists. */
static void
note_table(ZoneRun *run, Oid relid, const char *name)
{
	if (!OidIsValid(run->owner))
		run->owner = table_owner(run, relid, name);
	check_owner(run, relid, name);
}

Oid
stedi_zone_lock_table(const ZoneRun *run, const char *name, LOCKMODE mode)
{
	Oid			relid = RangeVarGetRelid(makeRangeVar(unconstify(char *, run->target_name),
													  unconstify(char *, name), -1),
										 mode, true);

	if (OidIsValid(relid))
		check_owner(run, relid, name);
	return relid;
}

void
stedi_zone_check_target(ZoneRun *run)
{
	if (isAnyTempNamespace(run->target))
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("cannot materialize into a schema for temporary tables"),
				errhint("Give another schema; dry_run => true leaves nothing behind."));
	run->owner = InvalidOid;
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		run->relid[id] = get_relname_relid(stedi_zone_tables[id].name, run->target);
		if (OidIsValid(run->relid[id]))
			note_table(run, run->relid[id], stedi_zone_tables[id].name);
	}
	for (int book = 0; book < ZONE_N_BOOKS; book++)
	{
		Oid			relid = get_relname_relid(stedi_zone_book_name(book), run->target);

		if (OidIsValid(relid))
			note_table(run, relid, stedi_zone_book_name(book));
	}

	if (!OidIsValid(run->owner))
	{
		AclResult	allowed = object_aclcheck(NamespaceRelationId, run->target,
											  GetUserId(), ACL_CREATE);

		if (allowed != ACLCHECK_OK)
			aclcheck_error(allowed, OBJECT_SCHEMA, run->target_name);
		run->owner = GetUserId();
	}
	else if (!has_privs_of_role(GetUserId(), run->owner))
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("must be owner of the tables in schema \"%s\"", run->target_name),
				errdetail("They belong to role \"%s\".", GetUserNameFromId(run->owner, true)));
}

void
stedi_zone_check_shape(ZoneRun *run, ZoneTableId id)
{
	char	   *columns = stedi_zone_query_columns(run, run->relid[id]);

	if (columns == NULL || strcmp(columns, stedi_zone_tables[id].columns) != 0)
		ereport(ERROR,
				errcode(ERRCODE_DATATYPE_MISMATCH),
				errmsg("table \"%s\" in schema \"%s\" has other columns than materialize writes",
					   stedi_zone_tables[id].name, run->target_name),
				errdetail("It should have: %s.", stedi_zone_tables[id].columns),
				errhint("Rename or drop it, or materialize into another schema; add columns of your own in a view."));
}

/*
 * Lock the tables against other writers, not readers, and see that they
 * have the columns they should.  As their owner.
 */
static void
check_shapes(ZoneRun *run)
{
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		run->relid[id] = stedi_zone_lock_table(run, stedi_zone_tables[id].name, ShareRowExclusiveLock);
		if (OidIsValid(run->relid[id]))
			stedi_zone_check_shape(run, id);
	}
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

/* The columns that the queries need; customer_records() looks after its own. */
static void
check_landing_columns(Oid relid)
{
	static const struct
	{
		const char *table;
		const char *column;
		Oid			type;
	}			needed[] = {
		{"accelerometer_landing", "user", TEXTOID},
		{"accelerometer_landing", "timestamp", INT8OID},
		{"accelerometer_landing", "x", FLOAT8OID},
		{"accelerometer_landing", "y", FLOAT8OID},
		{"accelerometer_landing", "z", FLOAT8OID},
		{"step_trainer_landing", "sensorreadingtime", INT8OID},
		{"step_trainer_landing", "serialnumber", TEXTOID},
		{"step_trainer_landing", "distancefromobject", INT4OID},
	};

	for (int i = 0; i < lengthof(needed); i++)
		if (strcmp(get_rel_name(relid), needed[i].table) == 0)
			(void) stedi_option_find_column(relid, needed[i].column, needed[i].type);
}

/*
 * Landing tables must be ours, as the run reads them through scan.c.  They
 * are locked, so that their names mean the same until the run ends.
 */
void
stedi_zone_check_landing(ZoneRun *run)
{
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		Oid			relid;

		if (stedi_zone_tables[id].landing == NULL ||
			(!run->wanted[id] && id != ZONE_CUSTOMER_TRUSTED))
			continue;
		relid = RangeVarGetRelid(makeRangeVar(unconstify(char *, run->landing_name),
											  unconstify(char *, stedi_zone_tables[id].landing), -1),
								 AccessShareLock, true);
		if (!OidIsValid(relid) || !stedi_option_is_landing(relid))
			ereport(ERROR,
					errcode(ERRCODE_UNDEFINED_TABLE),
					errmsg("foreign table \"%s\" of foreign-data wrapper \"%s\" does not exist in schema \"%s\"",
						   stedi_zone_tables[id].landing, STEDI_FDW_NAME, run->landing_name),
					errhint("Make it with IMPORT FOREIGN SCHEMA landing FROM SERVER ... INTO %s, or name its schema: landing => '...'.",
							quote_identifier(run->landing_name)));
		if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
			aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_TABLE, stedi_zone_tables[id].landing);
		check_landing_columns(relid);
		run->source[id].relid = relid;
	}
}

/*
 * May the run go on from where the last one left the tables?  Why not, when
 * somebody may wonder.
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
	else if (run->definition_before != NULL && strcmp(run->definition, run->definition_before) != 0)
		reason = "a landing table or its server is defined otherwise than in the last run";
	else if (run->now_ms < run->before_ms)
		reason = "this transaction began before the last run's";
	if (reason != NULL)
		ereport(NOTICE,
				errmsg("reading the whole landing zone again: %s", reason));
	return reason == NULL;
}

/* Rebuild the tables that are wanted, and prune the others. */
static void
rebuild(ZoneRun *run)
{
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		ZoneReport *report = &run->report[id];

		report->started = GetCurrentTimestamp();
		if (id == ZONE_CUSTOMER_TRUSTED)
		{
			stedi_zone_person_read(run);
			stedi_zone_change_begin(run);
		}
		if (run->wanted[id])
			stedi_zone_table_build(run, id);
		else if (OidIsValid(run->relid[id]))
			stedi_zone_table_prune(run, id);
		report->finished = GetCurrentTimestamp();
		report->elapsed += report->finished - report->started - run->shared_out;
		run->shared_out = 0;
	}
}

/* The run itself, as the owner of the tables. */
static void
run_steps(ZoneRun *run, const char *consent)
{
	check_shapes(run);
	check_inputs(run);
	stedi_zone_check_landing(run);
	stedi_zone_book_open(run);
	stedi_zone_book_rule(run, consent);
	stedi_zone_object_define(run);
	stedi_zone_object_compare(run);
	stedi_zone_report_begin(run);
	run->renew = may_renew(run);
	if (run->renew)
		stedi_zone_renew(run);
	else
		rebuild(run);
	for (int id = 0; id < ZONE_N_TABLES; id++)
		stedi_zone_object_settle(run, id);
	stedi_zone_change_end(run);
	stedi_zone_book_run(run);
	stedi_zone_query_forget(run);
	stedi_zone_write_swap(run);
}

void
stedi_zone_pin_settings(void)
{
	static const struct
	{
		const char *name;
		const char *value;
	}			settings[] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"datestyle", "ISO, YMD"},
		{"row_security", "off"},
		{"quote_all_identifiers", "off"},
		{"jit", "off"},			/* the run's own queries are short */
		{"work_mem", RUN_MEMORY},
		{"hash_mem_multiplier", "1"},
		{"enable_mergejoin", "off"},	/* what a run keeps has no statistics,
										 * and is not worth sorting */
	};

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i].name, settings[i].value, PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* The steps, connected to SPI. */
static void
run_connected(ZoneRun *run, const char *consent)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	run_steps(run, consent);
	SPI_finish();
}

/*
 * Do what is asked for and undo it: the answer is what a run would report.
 */
static void
run_dry(ZoneRun *run, const char *consent)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	run_connected(run, consent);
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
}

/* One run, and its report. */
static Datum
run_zone(FunctionCallInfo fcinfo, int first, int last)
{
	const char *consent;
	ZoneRun    *run = read_arguments(fcinfo, &consent);
	Oid			caller;
	int			security;
	int			nest_level;

	PreventCommandIfReadOnly("stedi.materialize");
	InitMaterializedSRF(fcinfo, 0);
	run->all = (first == 0 && last == ZONE_N_TABLES - 1);
	for (int id = first; id <= last; id++)
		run->wanted[id] = true;
	if (running)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_IN_USE),
				errmsg("stedi.materialize is already running in this session"),
				errhint("A trigger or function that a run calls cannot begin another one."));
	lock_target(run);
	stedi_list_forget();		/* what was listed before may be old by now */
	stedi_zone_check_target(run);

	GetUserIdAndSecContext(&caller, &security);
	SetUserIdAndSecContext(run->owner, security | SECURITY_RESTRICTED_OPERATION);
	nest_level = NewGUCNestLevel();
	stedi_zone_pin_settings();
	running = true;
	PG_TRY();
	{
		if (run->dry_run)
			run_dry(run, consent);
		else
			run_connected(run, consent);
	}
	PG_FINALLY();
	{
		running = false;
	}
	PG_END_TRY();
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(caller, security);

	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (run->wanted[id])
			stedi_zone_report_put((ReturnSetInfo *) fcinfo->resultinfo, run, id);
	return (Datum) 0;
}

/*
 * materialize(target, landing, consent, full_refresh, dry_run, match)
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
