/*-------------------------------------------------------------------------
 *
 * progress.c
 *		What this session reads or makes, for others to see.
 *
 * Without a preloaded library a session has one place to put figures into for
 * others: the slot of its command's progress.  Ours are told from COPY's by a
 * magic number in the last parameter, which no command of the server's writes.
 * The first two mean what they mean of COPY; stedi.running() reads the rest.
 * Building an index writes into the slot whosever it is, as when a swap makes
 * indexes anew: so the last parameter is a seal on the others, too.
 *
 * The slot is taken when it is free, and never from a command that has it: a
 * scan inside COPY or CREATE INDEX leaves it alone.  Commands that a run calls
 * itself (ANALYZE, CREATE INDEX) overwrite it and leave it free, as the abort
 * of a transaction does, and of a subtransaction; so everything is written
 * anew each time, and whoever reads next is seen again.
 *
 * Work that several processes share is one StediProgress in shared memory.  A
 * process that has done some adds it up and puts the sum into its own slot;
 * stedi.running() takes the largest.  So it goes on while the leader is busy
 * with something else, or waits.
 *
 *-------------------------------------------------------------------------
 */
#include "base/progress.h"
#include "base/base.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "commands/progress.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/backend_progress.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

bool		stedi_report_phases = false;

/* "ste", and the number of this layout of the parameters. */
#define MAGIC 0x73746501

/* Bytes after which the slot is written again, as it is after each object. */
#define PUBLISH_BYTES (64 * 1024)

/* Where in the slot; COPY's own go up to some number below 10. */
enum
{
	PARAM_BYTES = PROGRESS_COPY_BYTES_PROCESSED,
	PARAM_BYTES_TOTAL = PROGRESS_COPY_BYTES_TOTAL,
	PARAM_LEADER = 10,
	PARAM_IN_RUN,
	PARAM_PHASE,
	PARAM_RELID,
	PARAM_BEGAN,
	PARAM_STARTED,
	PARAM_OBJECTS,
	PARAM_OBJECTS_TOTAL,
	PARAM_SEAL = PGSTAT_NUM_PROGRESS_PARAM - 1, /* MAGIC, and a hash */
};

/* Those that are written, the seal last. */
static const int params[] = {
	PARAM_BYTES, PARAM_BYTES_TOTAL, PARAM_LEADER, PARAM_IN_RUN, PARAM_PHASE, PARAM_RELID,
	PARAM_BEGAN, PARAM_STARTED, PARAM_OBJECTS, PARAM_OBJECTS_TOTAL, PARAM_SEAL
};

#define N_SEALED (lengthof(params) - 1)

static const char *const phase_names[] = {
	[STEDI_PHASE_WAITING] = "waiting",
	[STEDI_PHASE_LISTING] = "listing",
	[STEDI_PHASE_READING] = "reading",
	[STEDI_PHASE_DECIDING] = "deciding",
	[STEDI_PHASE_COMPARING] = "comparing",
	[STEDI_PHASE_BUILDING] = "building",
	[STEDI_PHASE_WRITING] = "writing",
	[STEDI_PHASE_INDEXING] = "indexing",
	[STEDI_PHASE_ANALYZING] = "analyzing",
	[STEDI_PHASE_RECORDING] = "recording",
	[STEDI_PHASE_SWAPPING] = "swapping",
};

/* The run of this session: how many calls deep (0: none), since when. */
static int	run_depth = 0;
static TimestampTz run_began;

/* Its phases that are not a StediProgress of somebody else's. */
static StediProgress stage;

/* Bytes that this process has added and its slot may not have. */
static uint64 unpublished = 0;

PG_FUNCTION_INFO_V1(running);

/* The seal on the values of the other parameters, in their order. */
static int64
seal(const int64 *values)
{
	return (int64) MAGIC << 32 | hash_bytes((const unsigned char *) values, N_SEALED * sizeof(int64));
}

/* Is the slot ours?  Others may have written into it all the same. */
static bool
is_ours(const PgBackendStatus *entry)
{
	return entry->st_progress_command == PROGRESS_COMMAND_COPY &&
		entry->st_progress_param[PARAM_SEAL] >> 32 == MAGIC;
}

/* Does it hold what we wrote? */
static bool
is_whole(const PgBackendStatus *entry)
{
	int64		values[N_SEALED];

	for (int i = 0; i < N_SEALED; i++)
		values[i] = entry->st_progress_param[params[i]];
	return is_ours(entry) && entry->st_progress_param[PARAM_SEAL] == seal(values);
}

/* Write it into our slot; false when that is not to be had.  Never throws. */
static bool
publish(StediProgress *progress)
{
	int64		values[] = {
		(int64) pg_atomic_read_u64(&progress->bytes), progress->bytes_total,
		progress->leader, progress->in_run, progress->phase, progress->relid,
		progress->began, progress->started,
		(int64) pg_atomic_read_u64(&progress->objects), progress->objects_total, 0
	};

	StaticAssertStmt(lengthof(params) == lengthof(values), "a value for each parameter");
	values[N_SEALED] = seal(values);
	unpublished = 0;
	if (MyBEEntry == NULL || !pgstat_track_activities)
		return false;
	if (MyBEEntry->st_progress_command == PROGRESS_COMMAND_INVALID)
		pgstat_progress_start_command(PROGRESS_COMMAND_COPY, InvalidOid);
	else if (!is_ours(MyBEEntry))
		return false;
	pgstat_progress_update_multi_param(lengthof(params), params, values);
	return true;
}

/* Give the slot back, if it is ours.  Never throws. */
static void
withdraw(void)
{
	if (MyBEEntry != NULL && is_ours(MyBEEntry))
		pgstat_progress_end_command();
}

void
stedi_progress_begin_run(void)
{
	if (run_depth++ == 0)
		run_began = GetCurrentTimestamp();
}

void
stedi_progress_end_run(void)
{
	if (--run_depth == 0)
		withdraw();
}

void
stedi_progress_start(StediProgress *progress, StediPhase phase, Oid relid,
					 int64 objects_total, int64 bytes_total)
{
	progress->in_run = run_depth > 0;
	progress->phase = phase;
	progress->relid = relid;
	progress->started = GetCurrentTimestamp();
	progress->began = progress->in_run ? run_began : progress->started;
	progress->objects_total = objects_total;
	progress->bytes_total = bytes_total;
	pg_atomic_init_u64(&progress->objects, 0);
	pg_atomic_init_u64(&progress->bytes, 0);
	progress->leader = MyProcPid;
	if (!publish(progress))
		progress->leader = 0;
}

void
stedi_progress_join(StediProgress *progress)
{
	if (progress->leader != 0)
		(void) publish(progress);
}

void
stedi_progress_add(StediProgress *progress, uint64 objects, uint64 bytes)
{
	if (progress == NULL || progress->leader == 0)
		return;
	if (objects > 0)
		pg_atomic_fetch_add_u64(&progress->objects, (int64) objects);
	if (bytes > 0)
		pg_atomic_fetch_add_u64(&progress->bytes, (int64) bytes);
	unpublished += bytes;
	if (objects > 0 || unpublished >= PUBLISH_BYTES)
		(void) publish(progress);
}

void
stedi_progress_stop(StediProgress *progress)
{
	if (progress == NULL || progress->leader == 0)
		return;
	if (run_depth > 0)
		(void) publish(progress);
	else
		withdraw();
}

void
stedi_progress_report(const StediProgress *progress)
{
	const char *name = OidIsValid(progress->relid) ? get_rel_name(progress->relid) : NULL;
	StringInfoData line;

	if (!stedi_report_phases)
		return;
	initStringInfo(&line);
	appendStringInfoString(&line, phase_names[progress->phase]);
	if (name != NULL)
		appendStringInfo(&line, " %s", name);
	if (progress->objects_total > 0)
		appendStringInfo(&line, ngettext(": %lld object", ": %lld objects", (unsigned long) progress->objects_total),
						 (long long) progress->objects_total);
	if (progress->bytes_total > 0)
	{
		Datum		size = DirectFunctionCall1(pg_size_pretty, Int64GetDatum(progress->bytes_total));

		appendStringInfo(&line, "%s %s", progress->objects_total > 0 ? "," : ":",
						 TextDatumGetCString(size));
	}
	ereport(NOTICE,
			errmsg("%s (after %.3f s)", line.data,
				   (double) (progress->started - progress->began) / USECS_PER_SEC));
	pfree(line.data);
}

void
stedi_progress_phase(StediPhase phase, Oid relid)
{
	if (run_depth == 0)
		return;
	stedi_progress_start(&stage, phase, relid, 0, 0);
	stedi_progress_report(&stage);
}

void
stedi_progress_resume(void)
{
	if (run_depth > 0)
		(void) publish(&stage);
}

/* Of a session's work: what a row of stedi.running() is made of. */
typedef struct Running
{
	Oid			databaseid;
	Oid			userid;
	int64		slot[PGSTAT_NUM_PROGRESS_PARAM];
} Running;

/* Do two slots tell of the same work? */
static bool
is_same(const int64 *one, const int64 *other)
{
	return one[PARAM_LEADER] == other[PARAM_LEADER] &&
		one[PARAM_STARTED] == other[PARAM_STARTED] &&
		one[PARAM_RELID] == other[PARAM_RELID];
}

/* Add a slot to what was found in others; the new number of works. */
static int
add_slot(Running *found, int n_found, const PgBackendStatus *entry)
{
	const int64 *slot = entry->st_progress_param;
	Running    *work;

	for (int i = 0; i < n_found; i++)
	{
		if (!is_same(found[i].slot, slot))
			continue;
		found[i].slot[PARAM_OBJECTS] = Max(found[i].slot[PARAM_OBJECTS], slot[PARAM_OBJECTS]);
		found[i].slot[PARAM_BYTES] = Max(found[i].slot[PARAM_BYTES], slot[PARAM_BYTES]);
		return n_found;
	}
	work = &found[n_found];
	work->databaseid = entry->st_databaseid;
	work->userid = entry->st_userid;
	memcpy(work->slot, slot, sizeof(work->slot));
	return n_found + 1;
}

/* The works of all sessions that the caller may see. */
static Running *
find_running(int *n_found)
{
	int			n_entries = pgstat_fetch_stat_numbackends();
	Running    *found = palloc(Max(n_entries, 1) * sizeof(Running));
	bool		sees_all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);

	*n_found = 0;
	for (int i = 1; i <= n_entries; i++)
	{
		const PgBackendStatus *entry = &pgstat_get_local_beentry_by_index(i)->backendStatus;

		if (is_whole(entry) && (sees_all || has_privs_of_role(GetUserId(), entry->st_userid)))
			*n_found = add_slot(found, *n_found, entry);
	}
	return found;
}

/* A count and how many there are of it: unknown, or not counted, when 0. */
static void
put_counts(Datum *values, bool *nulls, int64 done, int64 total)
{
	values[0] = Int64GetDatum(done);
	nulls[0] = (done == 0 && total == 0);
	values[1] = Int64GetDatum(total);
	nulls[1] = (total == 0);
}

static void
put_name(Datum *value, bool *isnull, const char *name)
{
	*isnull = (name == NULL);
	if (name != NULL)
		*value = DirectFunctionCall1(namein, CStringGetDatum(name));
}

/*
 * running() -> setof (pid integer, database name, username name, action text,
 *		relation regclass, phase text, objects_done bigint, objects_total bigint,
 *		bytes_done bigint, bytes_total bigint, began timestamptz,
 *		phase_began timestamptz)
 */
Datum
running(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Running    *found;
	int			n_found;

	InitMaterializedSRF(fcinfo, 0);
	found = find_running(&n_found);
	for (int i = 0; i < n_found; i++)
	{
		const int64 *slot = found[i].slot;
		int64		phase = slot[PARAM_PHASE];
		Datum		values[12];
		bool		nulls[12] = {false};

		values[0] = Int32GetDatum((int32) slot[PARAM_LEADER]);
		put_name(&values[1], &nulls[1], get_database_name(found[i].databaseid));
		put_name(&values[2], &nulls[2], GetUserNameFromId(found[i].userid, true));
		values[3] = CStringGetTextDatum(slot[PARAM_IN_RUN] ? "materialize" : "scan");
		values[4] = ObjectIdGetDatum((Oid) slot[PARAM_RELID]);

		/* an OID of another database means nothing here */
		nulls[4] = slot[PARAM_RELID] == InvalidOid || found[i].databaseid != MyDatabaseId;
		nulls[5] = phase <= 0 || phase >= lengthof(phase_names);
		if (!nulls[5])
			values[5] = CStringGetTextDatum(phase_names[phase]);
		put_counts(&values[6], &nulls[6], slot[PARAM_OBJECTS], slot[PARAM_OBJECTS_TOTAL]);
		put_counts(&values[8], &nulls[8], slot[PARAM_BYTES], slot[PARAM_BYTES_TOTAL]);
		values[10] = TimestampTzGetDatum(slot[PARAM_BEGAN]);
		values[11] = TimestampTzGetDatum(slot[PARAM_STARTED]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
