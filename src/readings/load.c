/*-------------------------------------------------------------------------
 *
 * load.c
 *		The readings of those who consent, from the landing zone to new
 *		storage, in as many processes as the settings give.
 *
 *	 read, once a landing table:	scan.c -> readings/spill.c
 *	 build, once a run:				readings/spill.c -> readings/sort.c -> storage/heap.c
 *
 * In the first phase, each process takes one object after the other; in the
 * second, one partition of the people after the other.  A person's readings of
 * both kinds are in the same partition.  So a process finds duplicates, and
 * pairs for machine_learning_curated, without the other processes, and writes
 * a person's rows side by side.
 *
 * The leader takes part.  All that processes share is flat memory: dynamic
 * shared memory, or the leader's own when it is alone.  The temporary files
 * outlive both phases, and go with the run's memory.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "storage/storage.h"
#include "readings/readings.h"

#include "access/parallel.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

/* Landing bytes a partition: about half as many of readings. */
#define PARTITION_BYTES (8 * 1024 * 1024)

/* The fewest partitions, for processes to end at about the same time. */
#define PARTITIONS_PER_PROCESS 4

/* The most partitions: a process has a chunk of each in memory. */
#define MAX_PARTITIONS 8192

/* What the leader keeps from phase to phase; lives as long as the run. */
struct ZoneLoad
{
	ZoneLoadShared shared;		/* to be copied into the phases' pieces */
	StediConsentSet *people;	/* that members are of; NULL: devices */
	StediConsentSet *devices;
	bool	   *seen;			/* member -> has accelerometer readings */
	uint32	   *rows;			/* member -> rows in the tables that are built */
	uint32	   *holder;			/* device -> member, or none of these */
	uint32	   *device_of;		/* member -> device, or none of these */
	ZoneExpectations *expectations; /* borrowed from the run; or NULL */
	MemoryContextCallback release;
};

/* No number of a member, in holder and device_of. */
#define NOBODY PG_UINT32_MAX

PGDLLEXPORT void stedi_zone_load_main(dsm_segment *seg, shm_toc *toc);

/* A worker's part of either phase. */
void
stedi_zone_load_main(dsm_segment *seg, shm_toc *toc)
{
	ZoneProcess process = {0};
	ZoneLoadShared *shared;

	for (int i = 0; i < ZONE_N_PIECES; i++)
		process.pieces[i] = shm_toc_lookup(toc, i, true);
	process.number = ParallelWorkerNumber + 1;
	shared = process.pieces[ZONE_PIECE_SHARED];
	if (shared->building)
		stedi_zone_build_tables(&process);
	else
	{
		ZoneReader	reader;

		stedi_zone_read_open(&reader, &process, shared->stream, shared->landing);
		stedi_scan_join(reader.scan, process.pieces[ZONE_PIECE_SCAN]);
		stedi_zone_read_stream(&reader, &process);
		stedi_scan_contribute(reader.scan);
		stedi_zone_read_close(&reader);
	}
}

/* How many workers to ask for, when there is work for so many. */
static int
count_workers(const ZoneRun *run, int most)
{
	if (run->expectations != NULL && run->expectations->serial)
		return 0;
	return Max(Min(Min(most, max_parallel_maintenance_workers), ZONE_MAX_PROCESSES - 1), 0);
}

/*
 * Begin to run in parallel: copy the leader's pieces into shared memory, where
 * they are from here on, and launch so many workers.  reader is NULL when
 * building.
 */
static ParallelContext *
launch_workers(ZoneProcess *process, int n_workers, ZoneReader *reader)
{
	ParallelContext *context;

	EnterParallelMode();
	context = CreateParallelContext("stedi", "stedi_zone_load_main", n_workers);
	if (reader != NULL)
		process->sizes[ZONE_PIECE_SCAN] = stedi_scan_shared_size(reader->scan);
	for (int i = 0; i < ZONE_N_PIECES; i++)
		if (process->sizes[i] > 0)
		{
			shm_toc_estimate_chunk(&context->estimator, process->sizes[i]);
			shm_toc_estimate_keys(&context->estimator, 1);
		}
	InitializeParallelDSM(context);
	for (int i = 0; i < ZONE_N_PIECES; i++)
	{
		void	   *place;

		if (process->sizes[i] == 0)
			continue;
		place = shm_toc_allocate(context->toc, process->sizes[i]);
		if (i == ZONE_PIECE_SCAN)
			stedi_scan_share(reader->scan, place, n_workers + 1);
		else
			memcpy(place, process->pieces[i], process->sizes[i]);
		process->pieces[i] = place;
		shm_toc_insert(context->toc, i, place);
	}
	if (reader != NULL)
		reader->test.set = process->pieces[ZONE_PIECE_SET];
	LaunchParallelWorkers(context);
	ereport(DEBUG1,
			errmsg_internal("%s in %d processes", reader != NULL ?
							"reading readings" : "building tables",
							context->nworkers_launched + 1));
	return context;
}

/* Wait for the workers, and keep what they and we wrote into the pieces. */
static void
finish_workers(ZoneLoad *kept, const ZoneProcess *process, ParallelContext *context,
			   ZoneReader *reader)
{
	const ZoneLoadShared *shared = process->pieces[ZONE_PIECE_SHARED];

	WaitForParallelWorkersToFinish(context);
	if (reader != NULL)
		stedi_scan_collect(reader->scan);
	memcpy(kept->shared.processes, shared->processes, sizeof(shared->processes));
	if (process->pieces[ZONE_PIECE_SEEN] != NULL)
		memcpy(kept->seen, process->pieces[ZONE_PIECE_SEEN], process->sizes[ZONE_PIECE_SEEN]);
	if (process->pieces[ZONE_PIECE_ROWS] != NULL)
		memcpy(kept->rows, process->pieces[ZONE_PIECE_ROWS], process->sizes[ZONE_PIECE_ROWS]);
	if (process->pieces[ZONE_PIECE_EXPECTATIONS] != NULL)
		memcpy(kept->expectations, process->pieces[ZONE_PIECE_EXPECTATIONS],
			   process->sizes[ZONE_PIECE_EXPECTATIONS]);
	DestroyParallelContext(context);
	ExitParallelMode();
}

/*
 * Run a phase with so many workers; how many processes took part.  The pieces
 * are the leader's, and are no more to be used.
 */
static int
run_phase(ZoneLoad *kept, ZoneProcess *process, int n_workers, ZoneReader *reader)
{
	ParallelContext *context = NULL;
	int			n_processes = 1;

	if (n_workers > 0)
	{
		context = launch_workers(process, n_workers, reader);
		n_processes += context->nworkers_launched;
	}
	if (reader != NULL)
		stedi_zone_read_stream(reader, process);
	else
		stedi_zone_build_tables(process);
	if (context != NULL)
		finish_workers(kept, process, context, reader);
	return n_processes;
}

/* The temporary files go with the run's memory.  Never throws. */
static void
delete_files(void *arg)
{
	/* a cancel that comes while we clean up must not be thrown from here */
	HOLD_INTERRUPTS();
	FileSetDeleteAll(&((ZoneLoad *) arg)->shared.fileset);
	RESUME_INTERRUPTS();
}

/* Begin, at the first landing table that is read. */
static void
begin_load(ZoneRun *run, int64 landing_bytes, int n_workers)
{
	int64		fewest = n_workers > 0 ? PARTITIONS_PER_PROCESS * (n_workers + 1) : 1;
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	ZoneLoad   *kept = palloc0(sizeof(ZoneLoad));

	kept->shared.n_partitions =
		(int) Min(Max(landing_bytes / PARTITION_BYTES, fewest), MAX_PARTITIONS);
	FileSetInit(&kept->shared.fileset);
	kept->release.func = delete_files;
	kept->release.arg = kept;
	MemoryContextRegisterResetCallback(run->cxt, &kept->release);
	kept->expectations = run->expectations;
	run->load = kept;
	MemoryContextSwitchTo(caller);
}

/* Who holds which device: from the relation "device". */
static void
match_devices(ZoneRun *run)
{
	ZoneLoad   *kept = run->load;
	uint32		n_people = stedi_consent_size(kept->people);
	uint32		n_devices = stedi_consent_size(kept->devices);
	ZoneQueryRows rows;
	Datum		values[2];
	bool		nulls[2];

	kept->holder = MemoryContextAllocExtended(run->cxt, Max(n_devices, 1) * sizeof(uint32),
											  MCXT_ALLOC_HUGE);
	kept->device_of = MemoryContextAllocExtended(run->cxt, Max(n_people, 1) * sizeof(uint32),
												 MCXT_ALLOC_HUGE);
	memset(kept->holder, 0xFF, n_devices * sizeof(uint32));
	memset(kept->device_of, 0xFF, n_people * sizeof(uint32));
	stedi_zone_query_open(&rows, "SELECT serialnumber, email FROM device"
						  " WHERE granted AND NOT ambiguous AND serialnumber IS NOT NULL", "tt");
	while (stedi_zone_query_fetch(&rows, lengthof(values), values, nulls))
	{
		uint64		device_hash = 0;
		uint64		person_hash = 0;
		uint32		device;
		uint32		person;

		if (!stedi_consent_find(kept->devices, stedi_text_slice(DatumGetTextPP(values[0])),
								&device_hash, &device) ||
			!stedi_consent_find(kept->people, stedi_text_slice(DatumGetTextPP(values[1])),
								&person_hash, &person))
			continue;
		device = stedi_consent_number(kept->devices, device);
		person = stedi_consent_number(kept->people, person);

		/* who is in holds one device */
		if (kept->device_of[person] != NOBODY)
			elog(ERROR, "a customer who is in holds two devices");
		kept->holder[device] = person;
		kept->device_of[person] = device;
	}
	stedi_zone_query_close(&rows);
}

static void
set_piece(ZoneProcess *process, int piece, const void *data, Size size)
{
	process->pieces[piece] = unconstify(void *, data);
	process->sizes[piece] = data != NULL ? size : 0;
}

static void
set_set_piece(ZoneProcess *process, int piece, const StediConsentSet *set)
{
	set_piece(process, piece, set, set != NULL ? VARSIZE(set) : 0);
}

static void
set_expectations_piece(ZoneProcess *process, const ZoneLoad *kept)
{
	set_piece(process, ZONE_PIECE_EXPECTATIONS, kept->expectations,
			  kept->expectations != NULL ? kept->expectations->size : 0);
}

/* Make the sets that this landing table is read by. */
static void
make_sets(ZoneRun *run, ZoneStream stream)
{
	ZoneLoad   *kept = run->load;

	if (run->renew)
	{
		if (stream == ZONE_ACCELEROMETER)
			kept->people = run->set;
		else
			kept->devices = run->set;
		return;
	}
	if (stream == ZONE_ACCELEROMETER)
	{
		kept->people = stedi_zone_query_set(run, stedi_rule_person_set, true);
		kept->seen = MemoryContextAllocExtended(run->cxt, stedi_consent_size(kept->people) + 1,
												MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		return;
	}
	kept->devices = stedi_zone_query_set(run, stedi_rule_device_set, false);
	if (kept->people != NULL)
		match_devices(run);
}

/* What the processes that read a landing table have to know. */
static void
set_read_pieces(const ZoneRun *run, ZoneProcess *process, ZoneStream stream)
{
	ZoneLoad   *kept = run->load;

	set_piece(process, ZONE_PIECE_SHARED, &kept->shared, sizeof(ZoneLoadShared));
	set_expectations_piece(process, kept);
	set_piece(process, ZONE_PIECE_ANEW, run->anew, kept->shared.n_members);
	if (stream == ZONE_ACCELEROMETER)
	{
		set_set_piece(process, ZONE_PIECE_SET, kept->people);
		set_piece(process, ZONE_PIECE_SEEN, kept->seen, kept->shared.n_members + 1);
		return;
	}
	set_set_piece(process, ZONE_PIECE_SET, kept->devices);
	set_piece(process, ZONE_PIECE_HOLDER, kept->holder,
			  stedi_consent_size(kept->devices) * sizeof(uint32));
}

/* The processes are done: what they counted. */
static void
report_read(ZoneRun *run, ZoneTableId id, ZoneStream stream, const StediScan *scan, int n_processes)
{
	ZoneLoad   *kept = run->load;
	ZoneReport *report = &run->report[id];

	stedi_zone_report_add(&run->source[id].stats, stedi_scan_stats(scan));
	kept->shared.n_files[stream] = n_processes;
	report->unchanged = report->unexpected = 0;
	for (int i = 0; i < n_processes; i++)
	{
		kept->shared.n_chunks[stream][i] = kept->shared.processes[i].n_chunks;
		report->unchanged += (int64) kept->shared.processes[i].n_unchanged;
		report->unexpected += (int64) kept->shared.processes[i].n_unexpected[stream];
		run->source[id].stats.older -= kept->shared.processes[i].n_older;
	}
}

void
stedi_zone_load_read(ZoneRun *run, ZoneTableId id)
{
	ZoneStream	stream = id == ZONE_ACCELEROMETER_TRUSTED ? ZONE_ACCELEROMETER : ZONE_STEP_TRAINER;
	const StediListing *listing;
	int64		n_shares;
	int			n_workers;
	int			n_processes;
	ZoneProcess process = {0};
	ZoneReader	reader;
	ZoneLoad   *kept;

	if (!run->renew)
		stedi_zone_object_want_all(run, id);
	listing = stedi_zone_object_choose(run, id);
	stedi_zone_object_begin(run, id, listing);
	n_shares = listing->total_size / ((int64) min_parallel_table_scan_size * BLCKSZ + 1);
	n_workers = count_workers(run, Min(listing->n_objects - 1, n_shares));
	if (run->load == NULL)
		begin_load(run, listing->total_size, n_workers);
	kept = run->load;
	make_sets(run, stream);
	kept->shared.building = false;
	kept->shared.stream = stream;
	kept->shared.landing = run->source[id].relid;
	kept->shared.n_members =
		stedi_consent_size(kept->people != NULL ? kept->people : kept->devices);
	memset(kept->shared.processes, 0, sizeof(kept->shared.processes));
	set_read_pieces(run, &process, stream);
	stedi_zone_read_open(&reader, &process, stream, run->source[id].relid);
	stedi_scan_set_listing(reader.scan, listing);
	run->reading = run->source[id].relid;
	n_processes = run_phase(kept, &process, n_workers, &reader);
	run->reading = InvalidOid;
	report_read(run, id, stream, reader.scan, n_processes);
	stedi_progress_phase(STEDI_PHASE_RECORDING, run->source[id].relid);
	stedi_zone_names_write(run, id, &kept->shared.fileset, stream, n_processes,
						   stedi_scan_listing(reader.scan));
	stedi_zone_read_close(&reader);
}

void
stedi_zone_load_keep_readers(ZoneRun *run)
{
	ZoneLoad   *kept = run->load;
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	Tuplestorestate *store = tuplestore_begin_heap(false, false, work_mem);
	TupleDesc	tupdesc = CreateTemplateTupleDesc(1);

	TupleDescInitEntry(tupdesc, 1, "email", TEXTOID, -1, 0);
	MemoryContextSwitchTo(caller);
	for (uint32 member = 0; member < stedi_consent_size(kept->people); member++)
	{
		Datum		email;
		bool		isnull = false;

		CHECK_FOR_INTERRUPTS();
		if (!kept->seen[member])
			continue;
		email = stedi_zone_member_key(kept->people, member);
		tuplestore_putvalues(store, tupdesc, &email, &isnull);
		pfree(DatumGetPointer(email));
	}
	stedi_zone_query_register(run, "reader", store, tupdesc);
}

void
stedi_zone_load_keep_rows(ZoneRun *run)
{
	const ZoneLoad *kept = run->load;
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	Tuplestorestate *store = tuplestore_begin_heap(false, false, work_mem);
	TupleDesc	tupdesc = CreateTemplateTupleDesc(2);

	TupleDescInitEntry(tupdesc, 1, "who", INT8OID, -1, 0);
	TupleDescInitEntry(tupdesc, 2, "n", INT8OID, -1, 0);
	MemoryContextSwitchTo(caller);
	for (uint32 member = 0; kept != NULL && kept->rows != NULL &&
		 member < stedi_consent_size(kept->people); member++)
	{
		Datum		values[2];
		bool		nulls[2] = {false};

		CHECK_FOR_INTERRUPTS();
		/* with the row in customer_trusted, and that in customer_curated */
		values[0] = Int64GetDatum((int64) stedi_consent_key_hash(kept->people, member));
		values[1] = Int64GetDatum((int64) kept->rows[member] + 1 + kept->seen[member]);
		tuplestore_putvalues(store, tupdesc, values, nulls);
	}
	stedi_zone_query_register(run, "has_rows", store, tupdesc);
}

/* The processes are done: what is left to do for the tables' storage. */
static void
settle_table(ZoneRun *run, int which, int n_processes, XLogRecPtr redo)
{
	ZoneLoad   *kept = run->load;
	ZoneReport *report = &run->report[stedi_zone_load_tables[which]];
	Relation	relation = table_open(kept->shared.storage[which], RowExclusiveLock);

	report->rows = report->older = 0;
	if (which == ZONE_BUILD_PAIRS)
		report->unexpected = 0;
	for (int i = 0; i < n_processes; i++)
	{
		char		long_name[NAMEDATALEN];

		report->rows += kept->shared.processes[i].n_rows[which];
		report->unexpected += kept->shared.processes[i].n_unexpected[which];
		report->older += kept->shared.processes[i].n_older_rows[which];
		snprintf(long_name, sizeof(long_name), ZONE_LONG_NAME, which, i);
		stedi_zone_heap_insert_long(relation, &kept->shared.fileset, long_name);
	}
	stedi_zone_heap_settle(relation, redo, report->rows);
	table_close(relation, NoLock);
}

/*
 * Divide the time that building took among the tables, as the processes spent
 * it on each.
 */
static void
report_time(ZoneRun *run, int64 elapsed)
{
	const ZoneLoad *kept = run->load;
	uint64		us[ZONE_N_BUILDS] = {0};
	uint64		sum = 0;

	for (int i = 0; i < ZONE_MAX_PROCESSES; i++)
		for (int which = 0; which < ZONE_N_BUILDS; which++)
		{
			us[which] += kept->shared.processes[i].us[which];
			sum += kept->shared.processes[i].us[which];
		}
	for (int which = 0; which < ZONE_N_BUILDS; which++)
		if (OidIsValid(kept->shared.storage[which]) && sum > 0)
			run->report[stedi_zone_load_tables[which]].elapsed +=
				(int64) (elapsed * ((double) us[which] / sum));
}

/*
 * Report progress: the rows that are built, counted in the bytes of their
 * readings.
 */
static void
start_progress(ZoneRun *run)
{
	ZoneLoadShared *shared = &run->load->shared;
	int64		bytes = 0;
	Oid			relid = InvalidOid;
	int			n_tables = 0;

	for (int stream = 0; stream < ZONE_N_STREAMS; stream++)
		for (int i = 0; i < shared->n_files[stream]; i++)
			bytes += stedi_zone_spill_size(shared->n_chunks[stream][i]);
	for (int which = 0; which < ZONE_N_BUILDS; which++)
		if (OidIsValid(shared->storage[which]))
		{
			relid = run->relid[stedi_zone_load_tables[which]];
			n_tables++;
		}
	stedi_progress_start(&shared->progress, STEDI_PHASE_BUILDING,
						 n_tables == 1 ? relid : InvalidOid, 0, bytes);
	stedi_progress_report(&shared->progress);
}

/* The rows are in the new storage: to the table with them, and to the report. */
static void
finish_table(ZoneRun *run, ZoneTableId id)
{
	ZoneReport *report = &run->report[id];
	TimestampTz started = GetCurrentTimestamp();

	report->kept = report->rows;
	stedi_zone_write_end(run, id);
	report->finished = GetCurrentTimestamp();
	report->elapsed += report->finished - started;
	if (id == ZONE_MACHINE_LEARNING_CURATED)
		return;
	stedi_zone_table_report_readings(run, id);
	if (!run->renew)
		stedi_zone_table_report_older(run, id, stedi_zone_keeps_rows(run) ?
									  psprintf("{%s}", stedi_zone_tables[id].name) : NULL);
}

void
stedi_zone_load_build(ZoneRun *run, bool pairs)
{
	ZoneLoad   *kept = run->load;
	TimestampTz started = GetCurrentTimestamp();
	XLogRecPtr	redo = GetRedoRecPtr();
	ZoneProcess process = {0};
	int			n_processes;

	for (int which = 0; which < ZONE_N_BUILDS; which++)
	{
		bool		wanted = which == ZONE_BUILD_PAIRS ? pairs : kept->shared.n_files[which] > 0;

		kept->shared.storage[which] = InvalidOid;
		if (wanted)
			kept->shared.storage[which] =
				stedi_zone_write_begin(run, stedi_zone_load_tables[which]);
	}
	start_progress(run);
	kept->shared.building = true;
	pg_atomic_init_u32(&kept->shared.next_partition, 0);
	memset(kept->shared.processes, 0, sizeof(kept->shared.processes));
	set_piece(&process, ZONE_PIECE_SHARED, &kept->shared, sizeof(ZoneLoadShared));
	set_expectations_piece(&process, kept);
	set_set_piece(&process, ZONE_PIECE_PEOPLE, kept->people);
	set_set_piece(&process, ZONE_PIECE_DEVICES, kept->devices);
	set_piece(&process, ZONE_PIECE_DEVICE_OF, kept->device_of,
			  kept->shared.n_members * sizeof(uint32));
	if (pairs)
		kept->rows =
			MemoryContextAllocExtended(run->cxt, (kept->shared.n_members + 1) * sizeof(uint32),
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	set_piece(&process, ZONE_PIECE_ROWS, kept->rows, (kept->shared.n_members + 1) * sizeof(uint32));

	n_processes = run_phase(kept, &process, count_workers(run, kept->shared.n_partitions - 1),
							NULL);
	for (int which = 0; which < ZONE_N_BUILDS; which++)
		if (OidIsValid(kept->shared.storage[which]))
			settle_table(run, which, n_processes, redo);
	CommandCounterIncrement();
	report_time(run, GetCurrentTimestamp() - started);
	for (int which = 0; which < ZONE_N_BUILDS; which++)
		if (OidIsValid(kept->shared.storage[which]))
			finish_table(run, stedi_zone_load_tables[which]);
}
