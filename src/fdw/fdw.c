/*-------------------------------------------------------------------------
 *
 * fdw.c
 *		The foreign data wrapper: callbacks, each a thin cover of scan.c.
 *
 *-------------------------------------------------------------------------
 */
#include "fdw/fdw.h"

#include "access/parallel.h"
#include "commands/defrem.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "storage/dsm.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

typedef struct FdwState
{
	StediScan  *scan;
	StediTest  *tests;
	int			n_tests;
	int		   *value_of;		/* test -> expression, or -1 */
	List	   *values;			/* ExprStates of the tests' values */
	List	   *types;			/* and their types */
	bool		valued;			/* the tests have their values */
	MemoryContext value_cxt;	/* which live here */

	/* a scan that counts: room for the columns of its tests */
	Datum	   *column_values;	/* NULL: it returns rows */
	bool	   *column_nulls;
	bool		counted;		/* the count was returned */

	/* a parallel scan */
	bool		worker;			/* not its leader */
	dsm_segment *segment;		/* leader: what is shared lies here; NULL:
								 * nothing is */
	MemoryContextCallback release;	/* leader: forget the segment's callback */
} FdwState;

PG_FUNCTION_INFO_V1(stedi_fdw_handler);

/*
 * The figures of all, once the workers have ended: when the leader lets go of
 * the shared memory, which is the last moment to see them, and before EXPLAIN
 * shows them.  Never throws.
 */
static void
collect_figures(dsm_segment *segment, Datum arg)
{
	FdwState   *state = (FdwState *) DatumGetPointer(arg);

	stedi_scan_collect(state->scan);
	state->segment = NULL;
}

/* The scan goes before the shared memory does: after an error.  Never throws. */
static void
release_segment(void *arg)
{
	FdwState   *state = arg;

	if (state->segment != NULL)
		cancel_on_dsm_detach(state->segment, collect_figures, PointerGetDatum(state));
	state->segment = NULL;
}

static ForeignScan *
stediGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid,
					ForeignPath *best_path, List *tlist, List *scan_clauses,
					Plan *outer_plan)
{
	if (IS_UPPER_REL(baserel))
		return stedi_plan_count(best_path, tlist, outer_plan);
	return stedi_plan_make(baserel, foreigntableid, tlist, scan_clauses, outer_plan);
}

static void
stediBeginForeignScan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	Relation	relation = node->ss.ss_currentRelation;
	TupleDesc	tupdesc = RelationGetDescr(relation);
	FdwState   *state;
	bool	   *wanted;
	ListCell   *lc;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	state = palloc0(sizeof(FdwState));
	wanted = palloc0(tupdesc->natts * sizeof(bool));
	state->tests = stedi_plan_get_tests(plan, tupdesc->natts, wanted,
										&state->n_tests, &state->value_of);
	state->values = ExecInitExprList(plan->fdw_exprs, &node->ss.ps);
	foreach(lc, plan->fdw_exprs)
		state->types = lappend_oid(state->types, exprType(lfirst(lc)));
	state->value_cxt = AllocSetContextCreate(CurrentMemoryContext, "stedi test values",
											 ALLOCSET_DEFAULT_SIZES);
	state->scan = stedi_scan_open(RelationGetRelid(relation),
								  stedi_compat_scan_user(&node->ss, node->ss.ps.state),
								  tupdesc, wanted, 0);
	stedi_scan_set_tests(state->scan, state->tests, state->n_tests);
	state->release.func = release_segment;
	state->release.arg = state;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &state->release);
	if (stedi_plan_counts(plan))
	{
		state->column_values = palloc0(tupdesc->natts * sizeof(Datum));
		state->column_nulls = palloc0(tupdesc->natts * sizeof(bool));
	}
	node->fdw_state = state;
}

/* Evaluate what the tests compare with: once a scan. */
static void
set_test_values(ForeignScanState *node, FdwState *state)
{
	ExprContext *econtext = node->ss.ps.ps_ExprContext;

	MemoryContextReset(state->value_cxt);
	for (int i = 0; i < state->n_tests; i++)
	{
		int			which = state->value_of[i];
		Datum		value;
		bool		isnull;
		MemoryContext caller;

		if (which < 0)
			continue;
		value = ExecEvalExprSwitchContext(list_nth(state->values, which), econtext, &isnull);
		caller = MemoryContextSwitchTo(state->value_cxt);
		stedi_filter_set_value(&state->tests[i], list_nth_oid(state->types, which),
							   value, isnull);
		MemoryContextSwitchTo(caller);
	}
	state->valued = true;
}

/* The one row of a scan that counts. */
static TupleTableSlot *
store_count(FdwState *state, TupleTableSlot *slot)
{
	ExecClearTuple(slot);
	if (state->counted)
		return slot;
	state->counted = true;
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	slot->tts_values[0] = Int64GetDatum((int64) stedi_scan_count(state->scan,
																 state->column_values,
																 state->column_nulls));
	slot->tts_isnull[0] = false;
	return ExecStoreVirtualTuple(slot);
}

static TupleTableSlot *
stediIterateForeignScan(ForeignScanState *node)
{
	FdwState   *state = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	if (unlikely(!state->valued))
		set_test_values(node, state);
	if (state->column_values != NULL)
		return store_count(state, slot);

	/*
	 * a row is filled in where the one before stood, unless the slot owns
	 * that
	 */
	if (unlikely(TTS_SHOULDFREE(slot)))
		ExecClearTuple(slot);
	if (stedi_scan_next(state->scan, slot->tts_values, slot->tts_isnull) != STEDI_SCAN_ROW)
		ExecClearTuple(slot);
	else if (TTS_EMPTY(slot))
		ExecStoreVirtualTuple(slot);
	return slot;
}

static void
stediReScanForeignScan(ForeignScanState *node)
{
	FdwState   *state = node->fdw_state;

	state->valued = false;
	state->counted = false;
	stedi_scan_rescan(state->scan);
}

static void
stediEndForeignScan(ForeignScanState *node)
{
	FdwState   *state = node->fdw_state;

	if (state == NULL)
		return;
	stedi_scan_close(state->scan);
	release_segment(state);
	MemoryContextDelete(state->value_cxt);
}

/* Any table's is: workers read as the same user, and what the leader listed. */
static bool
stediIsForeignScanParallelSafe(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte)
{
	return true;
}

static Size
stediEstimateDSMForeignScan(ForeignScanState *node, ParallelContext *pcxt)
{
	FdwState   *state = node->fdw_state;

	return stedi_scan_shared_size(state->scan);
}

static void
stediInitializeDSMForeignScan(ForeignScanState *node, ParallelContext *pcxt,
							  void *coordinate)
{
	FdwState   *state = node->fdw_state;

	/* without shared memory there are no workers */
	if (pcxt->seg == NULL)
		return;
	stedi_scan_share(state->scan, coordinate, pcxt->nworkers + 1);
	on_dsm_detach(pcxt->seg, collect_figures, PointerGetDatum(state));
	state->segment = pcxt->seg;
}

static void
stediReInitializeDSMForeignScan(ForeignScanState *node, ParallelContext *pcxt,
								void *coordinate)
{
	FdwState   *state = node->fdw_state;

	if (state->segment != NULL)
		stedi_scan_share_again(state->scan);
}

static void
stediInitializeWorkerForeignScan(ForeignScanState *node, shm_toc *toc, void *coordinate)
{
	FdwState   *state = node->fdw_state;

	state->worker = true;
	stedi_scan_join(state->scan, coordinate);
}

/*
 * A worker's last word.  The leader is told to go before its workers have,
 * which may be in the middle of what a LIMIT does not want.
 */
static void
stediShutdownForeignScan(ForeignScanState *node)
{
	FdwState   *state = node->fdw_state;

	if (state == NULL)
		return;
	if (state->worker)
		stedi_scan_contribute(state->scan);
	else
		stedi_scan_end_share(state->scan);
}

/* Show the clauses that the scan decides; is one of them on the object? */
static bool
explain_tests(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;

	/* With the plan's top as an ancestor, 17 and later name its InitPlans. */
	List	   *context = set_deparse_context_plan(es->deparse_cxt, &plan->scan.plan,
												   list_make1(es->pstmt->planTree));
	bool		prefix = list_length(es->rtable) > 1 || es->verbose;
	StringInfoData others;
	StringInfoData by_object;
	ListCell   *lc;

	initStringInfo(&others);
	initStringInfo(&by_object);
	foreach(lc, plan->fdw_recheck_quals)
	{
		char	   *text = deparse_expression(lfirst(lc), context, prefix, false);
		StringInfo	shown = stedi_plan_is_object_qual(plan, foreach_current_index(lc)) ? &by_object : &others;

		if (IsA(lfirst(lc), FuncExpr))
			ExplainPropertyText("Consent Test", text, es);
		else
			appendStringInfo(shown, "%s%s", shown->len > 0 ? " AND " : "", text);
	}
	if (by_object.len > 0)
		ExplainPropertyText("Object Filter", by_object.data, es);
	if (others.len > 0)
		ExplainPropertyText("Landing Filter", others.data, es);
	return by_object.len > 0;
}

static void
explain_count(const char *label, uint64 count, ExplainState *es)
{
	ExplainPropertyInteger(label, NULL, (int64) count, es);
}

/* Show what the scan did: the records add up. */
static void
explain_stats(const StediScanStats *stats, bool prunes, ExplainState *es)
{
	uint64		unconsented = 0;

	for (int i = 0; i < STEDI_N_STANDINGS; i++)
		if (i != STEDI_STANDING_GRANTED)
			unconsented += stats->standings[i];
	explain_count("Objects Listed", stats->objects_listed, es);
	explain_count("Objects Skipped", stats->objects_skipped, es);
	if (prunes)
		explain_count("Objects Pruned", stats->objects_pruned, es);
	explain_count("Objects Read", stats->objects_read, es);
	explain_count("Bytes Read", stats->bytes, es);
	explain_count("Requests", stats->requests, es);
	explain_count("Records Read", stats->records, es);
	explain_count("Records Returned", stats->returned, es);
	explain_count("Records Filtered", stats->filtered, es);
	explain_count("Records Not Consented", unconsented, es);
	explain_count("Records Rejected", stats->rejected, es);
}

static void
stediExplainForeignScan(ForeignScanState *node, ExplainState *es)
{
	FdwState   *state = node->fdw_state;
	Oid			relid = RelationGetRelid(node->ss.ss_currentRelation);
	bool		prunes;

	if (es->verbose)
	{
		StediOptions *opts = stedi_option_get_table(relid);

		ExplainPropertyText("Landing Prefix", psprintf("%s/%s", opts->local ?
													   psprintf("file://%s", opts->root) :
													   psprintf("s3://%s", opts->bucket),
													   opts->prefix), es);
		if (opts->pattern != NULL)
			ExplainPropertyText("Landing Pattern", opts->pattern, es);
	}
	if (stedi_plan_counts((ForeignScan *) node->ss.ps.plan))
		ExplainPropertyText("Aggregate", "count(*)", es);
	prunes = explain_tests(node, es);
	if (es->analyze && state != NULL)
		explain_stats(stedi_scan_stats(state->scan), prunes, es);
}

static bool
stediAnalyzeForeignTable(Relation relation, AcquireSampleRowsFunc *func,
						 BlockNumber *totalpages)
{
	int64		size;

	/* the sample will be taken as the owner */
	size = stedi_list_get(stedi_option_get_table(RelationGetRelid(relation)),
						  relation->rd_rel->relowner, NULL)->total_size;
	*func = stedi_analyze_sample;
	*totalpages = (BlockNumber) Min(Max((size + BLCKSZ - 1) / BLCKSZ, 1), MaxBlockNumber);
	return true;
}

/* Tables for the folders that are there; of what is left out, nothing is read. */
static List *
import_inferred(ImportForeignSchemaStmt *stmt, Oid serverOid)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext cxt = AllocSetContextCreate(caller, "stedi inferred table",
											  ALLOCSET_DEFAULT_SIZES);
	List	   *commands = NIL;
	ListCell   *lc;

	foreach(lc, stedi_infer_folders(serverOid))
	{
		const StediFolder *folder = lfirst(lc);
		char	   *command;

		if (!IsImportableForeignTable(folder->table, stmt))
			continue;
		MemoryContextSwitchTo(cxt);
		command = stedi_infer_table(folder, stmt->server_name);
		MemoryContextSwitchTo(caller);
		if (command != NULL)
			commands = lappend(commands, pstrdup(command));
		MemoryContextReset(cxt);
	}
	MemoryContextDelete(cxt);
	return commands;
}

static List *
stediImportForeignSchema(ImportForeignSchemaStmt *stmt, Oid serverOid)
{
	static const char *const schemas[] = {"landing", "inferred", NULL};

	if (strcmp(stmt->remote_schema, "landing") == 0)
		return stedi_import_landing(stmt->options, stmt->server_name);
	if (strcmp(stmt->remote_schema, "inferred") != 0)
		ereport(ERROR,
				errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
				errmsg("remote schema \"%s\" does not exist", stmt->remote_schema),
				errhint("%s", stedi_near_hint(stmt->remote_schema, schemas,
											  "Import the remote schema \"landing\", which has the tables customer_landing, accelerometer_landing and step_trainer_landing, or \"inferred\", which has one for each folder under the server's url.")));
	if (stmt->options != NIL)
		ereport(ERROR,
				errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				errmsg("invalid option \"%s\"", linitial_node(DefElem, stmt->options)->defname),
				errhint("The import of remote schema \"inferred\" has no options."));
	return import_inferred(stmt, serverOid);
}

/*
 * stedi_fdw_handler() -> fdw_handler
 */
Datum
stedi_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = stediGetForeignRelSize;
	routine->GetForeignPaths = stediGetForeignPaths;
	routine->GetForeignPlan = stediGetForeignPlan;
	routine->GetForeignUpperPaths = stediGetForeignUpperPaths;
	routine->BeginForeignScan = stediBeginForeignScan;
	routine->IterateForeignScan = stediIterateForeignScan;
	routine->ReScanForeignScan = stediReScanForeignScan;
	routine->EndForeignScan = stediEndForeignScan;
	routine->ExplainForeignScan = stediExplainForeignScan;
	routine->AnalyzeForeignTable = stediAnalyzeForeignTable;
	routine->ImportForeignSchema = stediImportForeignSchema;
	routine->IsForeignScanParallelSafe = stediIsForeignScanParallelSafe;
	routine->EstimateDSMForeignScan = stediEstimateDSMForeignScan;
	routine->InitializeDSMForeignScan = stediInitializeDSMForeignScan;
	routine->ReInitializeDSMForeignScan = stediReInitializeDSMForeignScan;
	routine->InitializeWorkerForeignScan = stediInitializeWorkerForeignScan;
	routine->ShutdownForeignScan = stediShutdownForeignScan;
	PG_RETURN_POINTER(routine);
}
