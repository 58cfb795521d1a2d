/*-------------------------------------------------------------------------
 *
 * target.c
 *		The target of a run: who may, and as whom.
 *
 * Runs on one target schema exclude each other by a lock on the schema.  From
 * then on the run acts as the tables' owner in a security-restricted
 * operation, so that functions in triggers, indexes and conditions have no
 * other role's rights.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "run/run.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* The function whose run is under way in this session, or NULL. */
static const char *running = NULL;

/* The name of a schema, palloc'd; an error when there is none of that OID. */
static const char *
schema_name(Oid schema)
{
	const char *name = get_namespace_name(schema);

	if (name == NULL)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_SCHEMA),
				errmsg("schema with OID %u does not exist", schema));
	return name;
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
		stedi_progress_phase(STEDI_PHASE_WAITING, InvalidOid);
		LockDatabaseObject(NamespaceRelationId, run->target, 0, ShareUpdateExclusiveLock);
	}
	if (get_namespace_oid(run->target_name, true) != run->target)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_SCHEMA),
				errmsg("schema \"%s\" was dropped or renamed while the run waited for it",
					   run->target_name));

	/*
	 * An error for a snapshot older than the lock: it would not see what the
	 * run before has written, and the rows would be written twice.
	 */
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				errmsg("cannot run %s in a transaction of isolation level %s", run->function,
					   XactIsoLevel == XACT_SERIALIZABLE ? "SERIALIZABLE" : "REPEATABLE READ"),
				errhint("Use READ COMMITTED."));
}

/* Note a table in the target that exists. */
static void
note_table(ZoneRun *run, Oid relid, const char *name)
{
	if (!OidIsValid(run->owner))
		run->owner = stedi_zone_table_owner(run, relid, name);
	stedi_zone_check_owner(run, relid, run->target_name, name, run->owner);
}

/*
 * Without the five tables, bookkeeping of stedi 1.0 tells whose the target is;
 * but not bookkeeping of another role that can create tables there.
 */
static void
note_old_books(ZoneRun *run)
{
	for (int book = 0; book < ZONE_N_BOOKS && !OidIsValid(run->owner); book++)
	{
		Oid			relid = get_relname_relid(stedi_zone_book_name(book), run->target);
		Oid			owner;

		if (!OidIsValid(relid))
			continue;
		owner = stedi_zone_table_owner(run, relid, stedi_zone_book_name(book));
		if (has_privs_of_role(GetUserId(), owner))
			run->owner = owner;
	}
}

/*
 * The owner of the five tables may read their bookkeeping: the key, and whom
 * it knows.  When the tables have been given to another role, a superuser must
 * confirm that by a grant: the caller may not know that the tables are others
 * than before.
 */
static void
check_reader(const ZoneRun *run)
{
	Oid			reader = stedi_zone_grant_reader(run);

	if (OidIsValid(reader) && reader != run->owner)
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("the tables of schema \"%s\" belong to role \"%s\", "
					   "their bookkeeping is for role \"%s\"",
					   run->target_name, GetUserNameFromId(run->owner, true),
					   GetUserNameFromId(reader, true)),
				errhint("If the tables were given to that role, have a superuser give it the "
						"bookkeeping, too: GRANT USAGE ON SCHEMA %s TO %s WITH GRANT OPTION;",
						quote_identifier(run->store.name),
						quote_identifier(GetUserNameFromId(run->owner, true))));
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
	note_old_books(run);
	stedi_zone_store_find(run);
	if (!OidIsValid(run->owner))
		run->owner = stedi_zone_grant_reader(run);
	if (!OidIsValid(run->owner))
	{
		Oid			user = GetUserId();

		if (object_aclcheck(NamespaceRelationId, run->target, user, ACL_USAGE) != ACLCHECK_OK ||
			object_aclcheck(NamespaceRelationId, run->target, user, ACL_CREATE) != ACLCHECK_OK)
			stedi_cure_denied(OBJECT_SCHEMA, run->target, "USAGE, CREATE", user);
		run->owner = user;
	}
	else if (!has_privs_of_role(GetUserId(), run->owner))
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("must be owner of the tables in schema \"%s\"", run->target_name),
				errdetail("They belong to role \"%s\".", GetUserNameFromId(run->owner, true)),

		/* a superuser has more rights than a run is to act with */
				superuser_arg(run->owner) ? errhint("Have that role run it.") :
				errhint("Have that role run it; or let the caller do what it may: GRANT %s TO %s;",
						quote_identifier(GetUserNameFromId(run->owner, false)),
						quote_identifier(GetUserNameFromId(GetUserId(), false))));
	check_reader(run);
}

void
stedi_zone_lock_tables(ZoneRun *run)
{
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		run->relid[id] = stedi_zone_lock_table(run, run->target_name, stedi_zone_tables[id].name,
											   run->owner, ShareRowExclusiveLock);
		if (OidIsValid(run->relid[id]))
			stedi_zone_hold_table(run, id, ShareRowExclusiveLock);
	}
}

/* The columns that the queries need; customer_records() looks after its own. */
static void
check_landing_columns(Oid relid)
{
	const StediLandingTable *table = stedi_schema_find(get_rel_name(relid));

	if (table == NULL || table == &stedi_schema_landing[STEDI_LANDING_CUSTOMER])
		return;
	for (int i = 0; i < table->n_columns; i++)
		(void) stedi_option_find_column(relid, table->columns[i].name, table->columns[i].type);
}

/*
 * Landing tables must be ours, as the run reads them through scan.c.  They
 * are locked, so that their names mean the same until the run ends.
 */
void
stedi_zone_check_landing(ZoneRun *run)
{
	Oid			schema = get_namespace_oid(run->landing_name, false);

	if (object_aclcheck(NamespaceRelationId, schema, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		stedi_cure_denied(OBJECT_SCHEMA, schema, "USAGE", GetUserId());
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		Oid			relid;

		if (stedi_zone_tables[id].landing == NULL ||
			(!run->wanted[id] && id != ZONE_CUSTOMER_TRUSTED))
			continue;
		relid = RangeVarGetRelid(makeRangeVar(unconstify(char *, run->landing_name),
											  unconstify(char *, stedi_zone_tables[id].landing),
											  -1),
								 AccessShareLock, true);
		if (!OidIsValid(relid) || !stedi_option_is_landing(relid))
			ereport(ERROR,
					errcode(ERRCODE_UNDEFINED_TABLE),
					errmsg("foreign table \"%s\" of foreign-data wrapper \"%s\" does not exist in "
						   "schema \"%s\"",
						   stedi_zone_tables[id].landing, STEDI_FDW_NAME, run->landing_name),
					errhint("Make it with IMPORT FOREIGN SCHEMA landing FROM SERVER ... INTO %s, "
							"or name its schema: landing => '...'.",
							quote_identifier(run->landing_name)));
		if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
			stedi_cure_denied(OBJECT_FOREIGN_TABLE, relid, "SELECT", GetUserId());
		(void) stedi_zone_hold(run, relid);
		check_landing_columns(relid);
		run->source[id].relid = relid;
	}
}

/*
 * An error for a table from which no row can be deleted, as it is published
 * without a replica identity: better at the start than in the middle of a
 * withdrawal.
 */
void
stedi_zone_check_published(ZoneRun *run)
{
	char	   *found =
	stedi_zone_query_text(run,
						  psprintf("SELECT c.oid::text FROM pg_class c"
								   " WHERE c.relnamespace IN (%u, %u) AND c.relkind IN ('r', 'p')"
								   " AND (c.relname LIKE 'stedi\\_%%'"
								   " OR c.relname IN ('customer_trusted', 'accelerometer_trusted',"
								   "  'customer_curated', 'step_trainer_curated',"
								   " 'machine_learning_curated'))"
								   " AND (c.relreplident = 'n'"
								   " OR (c.relreplident = 'd'"
								   " AND NOT EXISTS (SELECT FROM pg_index i"
								   "   WHERE i.indrelid = c.oid AND i.indisprimary"
								   " AND i.indisvalid))"
								   "  OR (c.relreplident = 'i'"
								   " AND NOT EXISTS (SELECT FROM pg_index i"
								   "   WHERE i.indrelid = c.oid AND i.indisreplident)))"
								   " AND EXISTS (SELECT FROM pg_publication p"
								   " WHERE (p.pubdelete OR p.pubupdate)"
								   "  AND EXISTS (SELECT"
								   " FROM pg_get_publication_tables(p.pubname) t"
								   " WHERE t.relid = c.oid))"
								   " ORDER BY c.relname LIMIT 1", run->target, run->store.schema));

	if (found != NULL)
	{
		Oid			relid = atooid(found);

		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("cannot materialize table \"%s\": it is published, "
					   "and has no replica identity",
					   get_rel_name(relid)),
				errhint("ALTER TABLE %s REPLICA IDENTITY FULL;", stedi_zone_query_relation(relid)));
	}
}

ZoneRun *
stedi_zone_begin_run(FunctionCallInfo fcinfo, Oid target, int landing_arg)
{
	ZoneRun    *run = palloc0(sizeof(ZoneRun));

	run->cxt = CurrentMemoryContext;
	run->function = psprintf("stedi.%s", get_func_name(fcinfo->flinfo->fn_oid));
	run->target = target;
	run->target_name = run->landing_name = schema_name(target);
	run->landing_given = landing_arg >= 0 && !PG_ARGISNULL(landing_arg);
	if (run->landing_given)
		run->landing_name = schema_name(PG_GETARG_OID(landing_arg));
	run->now_ms = stedi_time_ms(GetCurrentTransactionStartTimestamp());
	return run;
}

void
stedi_zone_run(ZoneRun *run, ZoneSteps steps, void *arg)
{
	Oid			caller;
	int			security;
	int			nest_level;
	ZoneCall	call = {steps, arg};
	ErrorData  *error;

	PreventCommandIfReadOnly(run->function);
	if (running != NULL)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_IN_USE),
				errmsg("%s is already running in this session", running),
				errhint("A trigger or function that a run calls cannot begin another one."));

	/* a caller who may not run it does not learn that another role does */
	stedi_zone_check_target(run);
	lock_target(run);
	stedi_list_forget();		/* what was listed before may be old by now */
	stedi_zone_check_target(run);

	GetUserIdAndSecContext(&caller, &security);
	SetUserIdAndSecContext(run->owner, security | SECURITY_RESTRICTED_OPERATION);
	nest_level = NewGUCNestLevel();
	stedi_zone_pin_settings();
	running = run->function;
	PG_TRY();
	{
		/* a dry run is undone: the answer is what a run would report */
		if (!run->dry_run)
			stedi_zone_connected(run, &call);
		else if ((error = stedi_zone_try(run, stedi_zone_connected, &call, true)) != NULL)
			ReThrowError(error);
	}
	PG_FINALLY();
	{
		running = NULL;
	}
	PG_END_TRY();
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(caller, security);
}
