/*-------------------------------------------------------------------------
 *
 * count.c
 *		Have the scan count its rows: SELECT count(*), and nothing else of them.
 *
 * Where the scan decides all clauses and only count(*) is asked of the rows,
 * they need not go through the executor one by one.  The scan then returns a
 * single row with their number.  In a parallel plan each process does, which
 * is the transition state of count(*), and a Finalize Aggregate adds them up.
 *
 * All other aggregates, and count(*) with anything to it, are the executor's.
 *
 *-------------------------------------------------------------------------
 */
#include "fdw/fdw.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/planmain.h"
#include "optimizer/tlist.h"
#include "utils/fmgroids.h"

/* Look into whatever else stands around an aggregate. */
#define PULL_FLAGS (PVC_INCLUDE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS | PVC_RECURSE_PLACEHOLDERS)

/* Is this count(*), with nothing to it? */
static bool
is_count(Node *node)
{
	Aggref	   *agg = (Aggref *) node;

	return IsA(node, Aggref) && agg->aggfnoid == F_COUNT_ && agg->aggstar &&
		agg->agglevelsup == 0 && agg->aggfilter == NULL &&
		agg->aggdistinct == NIL && agg->aggorder == NIL;
}

/* Is count(*), once or more, all that a target needs of the rows? */
static bool
wants_count(PathTarget *target)
{
	List	   *needed = pull_var_clause((Node *) target->exprs, PULL_FLAGS);
	ListCell   *lc;

	foreach(lc, needed)
		if (!is_count(lfirst(lc)))
		return false;
	return needed != NIL;
}

/* A path that counts what so many workers read; 0: none. */
static Path *
make_count_path(PlannerInfo *root, RelOptInfo *input_rel, RelOptInfo *output_rel,
				int n_workers)
{
	Path	   *scan = (Path *) stedi_plan_make_path(root, input_rel, n_workers);
	Path	   *path;
	Cost		cost;

	/* the executor sees none of the rows, and nothing before all are read */
	cost = Max(scan->total_cost - scan->rows * cpu_tuple_cost, scan->startup_cost);
	path = (Path *) stedi_compat_upper_path(root, output_rel, 1, cost,
											cost + cpu_tuple_cost, scan);
	path->parallel_aware = scan->parallel_aware;
	path->parallel_workers = scan->parallel_workers;
	path->parallel_safe = scan->parallel_safe;
	return path;
}

void
stediGetForeignUpperPaths(PlannerInfo *root, UpperRelationKind stage,
						  RelOptInfo *input_rel, RelOptInfo *output_rel, void *extra)
{
	Query	   *parse = root->parse;

	if (stage != UPPERREL_GROUP_AGG && stage != UPPERREL_PARTIAL_GROUP_AGG)
		return;
	if (parse->groupClause != NIL || parse->groupingSets != NIL || root->hasHavingQual)
		return;

	/* a table by itself: no join, no partition */
	if (input_rel->reloptkind != RELOPT_BASEREL || input_rel->lateral_relids != NULL ||
		!stedi_plan_decides_all(input_rel) || !wants_count(output_rel->reltarget))
		return;
	if (stage == UPPERREL_GROUP_AGG)
		add_path(output_rel, make_count_path(root, input_rel, output_rel, 0));
	else if (output_rel->consider_parallel && input_rel->partial_pathlist != NIL)
	{
		Path	   *partial = linitial(input_rel->partial_pathlist);

		add_partial_path(output_rel, make_count_path(root, input_rel, output_rel,
													 partial->parallel_workers));
	}
}

/*
 * The count comes first in the scan's rows.  The columns behind it are for
 * EXPLAIN, which shows the clauses, and are never filled in.
 */
ForeignScan *
stedi_plan_count(ForeignPath *best_path, List *tlist, Plan *outer_plan)
{
	ForeignScan *scan = castNode(ForeignScan, outer_plan);
	List	   *counts = pull_var_clause((Node *) best_path->path.pathtarget->exprs,
										 PULL_FLAGS);
	List	   *columns = pull_var_clause((Node *) scan->fdw_recheck_quals, 0);
	List	   *scan_tlist;

	/* those of one query are equal: where one is, all are */
	scan_tlist = add_to_flat_tlist(NIL, list_make1(linitial(counts)));
	scan_tlist = add_to_flat_tlist(scan_tlist, columns);
	return make_foreignscan(tlist, NIL, scan->scan.scanrelid, scan->fdw_exprs,
							scan->fdw_private, scan_tlist, scan->fdw_recheck_quals,
							NULL);
}

bool
stedi_plan_counts(const ForeignScan *plan)
{
	return plan->fdw_scan_tlist != NIL;
}
