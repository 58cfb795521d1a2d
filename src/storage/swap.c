/*-------------------------------------------------------------------------
 *
 * swap.c
 *		New storage in the place of a table's own.
 *
 * The table keeps its OID, and with it privileges, views and indexes.  Readers
 * and the new contents exclude each other for one short phase: all tables are
 * locked at once, or none, and while the run waits for the locks it holds none
 * of them.
 *
 *-------------------------------------------------------------------------
 */
#include "storage/storage.h"

#include "access/multixact.h"
#include "access/table.h"
#include "commands/cluster.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

int			stedi_swap_timeout = 10000;

/* Between two tries for a lock that readers hold. */
#define SWAP_RETRY_MS 10

/* The storage has the columns of the table whose it is to be; else an error. */
static void
check_same_shape(Oid relid, Oid storage)
{
	Relation	relation = table_open(relid, NoLock);
	Relation	successor = table_open(storage, NoLock);
	TupleDesc	one = RelationGetDescr(relation);
	TupleDesc	other = RelationGetDescr(successor);
	bool		same = one->natts == other->natts &&
	relation->rd_rel->relkind == successor->rd_rel->relkind;

	for (int i = 0; same && i < one->natts; i++)
		same = TupleDescAttr(one, i)->atttypid == TupleDescAttr(other, i)->atttypid &&
			TupleDescAttr(one, i)->attisdropped == TupleDescAttr(other, i)->attisdropped &&
			TupleDescAttr(one, i)->attlen == TupleDescAttr(other, i)->attlen &&
			TupleDescAttr(one, i)->attalign == TupleDescAttr(other, i)->attalign;
	if (!same)
		ereport(ERROR,
				errcode(ERRCODE_DATATYPE_MISMATCH),
				errmsg("table \"%s\" was changed while the run wrote its new contents",
					   RelationGetRelationName(relation)));
	table_close(successor, NoLock);
	table_close(relation, NoLock);
}

void
stedi_zone_swap_table(ZoneRun *run, ZoneTableId id)
{
	Oid			storage = run->staged[id];
	Relation	relation;

	check_same_shape(run->relid[id], storage);
	stedi_zone_hold_release(run, storage);
	stedi_zone_hold_release(run, run->relid[id]);

	/* a cursor of our own session holds no lock against us */
	relation = table_open(run->relid[id], NoLock);
	CheckTableNotInUse(relation, run->function);
	table_close(relation, NoLock);
	ATExecChangeOwner(storage, run->owner, true, AccessExclusiveLock);
	CommandCounterIncrement();
	finish_heap_swap(run->relid[id], storage,
					 false,		/* not a system catalog */
					 false,		/* TOAST goes with its heap */
					 true,		/* check constraints */
					 true,		/* internal */
					 RecentXmin, ReadNextMultiXactId(),
					 get_rel_persistence(run->relid[id]));
	run->staged[id] = InvalidOid;
	(void) stedi_zone_hold(run, run->relid[id]);
}

/* Who holds locks on the table: pid, role and application of each; palloc'd. */
static char *
lock_holders(ZoneRun *run, Oid relid)
{
	return stedi_zone_query_text(run,
								 psprintf("SELECT string_agg(format('process %%s (role %%s%%s)',"
										  " a.pid, a.usename,"
										  " nullif(', application ' || a.application_name,"
										  " ', application ')), ', ')"
										  " FROM (SELECT DISTINCT l.pid FROM pg_locks l"
										  " WHERE l.relation = %u"
										  "  AND l.granted AND l.pid <> pg_backend_pid()) h"
										  " JOIN pg_stat_activity a ON a.pid = h.pid", relid));
}

/* Lock all tables that are to be swapped, or none; then *missed says which. */
static bool
try_lock_all(const ZoneRun *run, Oid *missed)
{
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		if (!OidIsValid(run->staged[id]) ||
			ConditionalLockRelationOid(run->relid[id], AccessExclusiveLock))
			continue;
		*missed = run->relid[id];
		while (--id >= 0)
			if (OidIsValid(run->staged[id]))
				UnlockRelationOid(run->relid[id], AccessExclusiveLock);
		return false;
	}
	return true;
}

/*
 * Lock the tables against readers without blocking them while we wait.  A lock
 * that waits in the queue would block every reader that comes after, and so
 * would the locks on the other tables.
 */
static void
lock_for_swap(ZoneRun *run)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   stedi_swap_timeout);
	Oid			missed;
	Oid			waited_for = InvalidOid;

	while (!try_lock_all(run, &missed))
	{
		if (missed != waited_for)
			stedi_progress_phase(STEDI_PHASE_WAITING, missed);
		waited_for = missed;
		CHECK_FOR_INTERRUPTS();
		if (GetCurrentTimestamp() >= deadline)
		{
			char	   *holders = lock_holders(run, missed);

			ereport(ERROR,
					errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					errmsg("could not put the new contents of table \"%s\" in place: it is in use",
						   get_rel_name(missed)),
					holders != NULL ? errdetail("In use by %s.", holders) : 0,
					errhint("Wait until its readers are done, raise stedi.swap_timeout, "
							"or run without full_refresh, which waits for no reader."));
		}
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 SWAP_RETRY_MS, STEDI_WAIT_LOCK);
		ResetLatch(MyLatch);
	}
}

void
stedi_zone_swap_all(ZoneRun *run)
{
	if (run->dry_run)
		return;
	lock_for_swap(run);
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		if (!OidIsValid(run->staged[id]))
			continue;
		stedi_progress_phase(STEDI_PHASE_SWAPPING, run->relid[id]);
		stedi_zone_swap_table(run, id);
		stedi_zone_stats_renew(run, id, run->report[id].rows_out);
	}
}
