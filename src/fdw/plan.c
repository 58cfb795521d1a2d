/*-------------------------------------------------------------------------
 *
 * plan.c
 *		What of a query goes into the scan, and what it costs.
 *
 * A clause goes into the scan when the scan can decide it from one record
 * exactly as the executor would: a comparison of a column by a built-in,
 * immutable, strict operator of a btree family, IS [NOT] NULL, = ANY(array),
 * and the consent test.  The value may be a parameter; it is evaluated once
 * a scan.  All else stays with the executor.
 *
 * Rows are estimated from the sizes of the objects, so planning lists them;
 * the scan of the same statement uses that listing.
 *
 *-------------------------------------------------------------------------
 */
#include "fdw/fdw.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/*
 * Bytes that a key and its value take in a record, where nothing is known of
 * the table: the real landing data has 17 to 38.
 */
#define BYTES_PER_COLUMN 24

/* Cost of a byte, decoded: a record of 100 costs about 4 cpu_tuple_cost. */
#define BYTES_PER_TUPLE_COST 25

/* What goes through baserel->fdw_private between the callbacks. */
typedef struct ScanPlan
{
	double		bytes;			/* of the objects that are read, as far as
								 * that is known */
	int			n_objects;		/* of these */
	List	   *pushed;			/* RestrictInfos */
} ScanPlan;

/* What is in a plan's fdw_private. */
enum
{
	PRIVATE_WANTED,				/* IntList: columns, 0-based */
	PRIVATE_TESTS,				/* List of IntLists: see put_test */
	PRIVATE_BY_OBJECT,			/* IntList: of each qual, is it on the object? */
};

/* A test as the planner sees it. */
typedef struct PlannedTest
{
	StediTest	test;
	Oid			function;		/* COMPARE, ANY */
	Expr	   *value;			/* NULL: none */
} PlannedTest;

/* The column of baserel that an expression is, 0-based; else -1. */
static int
find_column(RelOptInfo *baserel, Node *node)
{
	if (node != NULL && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (node != NULL && IsA(node, Var) &&
		((Var *) node)->varno == (int) baserel->relid &&
		((Var *) node)->varlevelsup == 0 && ((Var *) node)->varattno > 0)
		return ((Var *) node)->varattno - 1;
	return -1;
}

/* Can an expression be evaluated once, before the first record? */
static bool
is_value(Node *node)
{
	return node != NULL && !contain_var_clause(node) && !contain_subplans(node) &&
		!contain_volatile_functions(node);
}

/*
 * Is this an operator that the scan may apply?  Of objects, there are few:
 * what is dear of each record, as LIKE, is welcome there.
 */
static bool
is_shippable(Oid opno, bool by_object, Oid *function)
{
	HeapTuple	tuple;
	Form_pg_proc proc;
	bool		shippable;

	*function = get_opcode(opno);
	if (opno >= FirstGenbkiObjectId || *function >= FirstGenbkiObjectId ||
		(!by_object && get_op_index_interpretation(opno) == NIL))
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(*function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", *function);
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	shippable = proc->provolatile == PROVOLATILE_IMMUTABLE && proc->proisstrict &&
		proc->prorettype == BOOLOID && !proc->proretset;
	ReleaseSysCache(tuple);
	return shippable;
}

/* The function stedi.consents, or InvalidOid while there is none. */
static Oid
consents_function(void)
{
	Oid			schema = get_namespace_oid(STEDI_SCHEMA, true);
	Oid			types[3] = {InvalidOid, TEXTOID, INT8OID};

	if (!OidIsValid(schema))
		return InvalidOid;
	types[0] = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
							   CStringGetDatum("consent_set"), ObjectIdGetDatum(schema));
	return LookupFuncName(list_make2(makeString(STEDI_SCHEMA), makeString("consents")),
						  3, types, true);
}

/* What a column shows. */
static StediSource
column_source(Oid relid, int attno)
{
	char	   *name = get_attname(relid, attno + 1, false);

	return stedi_option_get_column(relid, attno + 1, name).source;
}

/* Note the column of a test; false when there is none. */
static bool
set_column(PlannedTest *planned, Oid relid, int attno)
{
	planned->test.attno = attno;
	planned->test.by_object = attno >= 0 && column_source(relid, attno) == STEDI_SOURCE_OBJECT;
	return attno >= 0;
}

static bool
plan_compare(RelOptInfo *baserel, Oid relid, OpExpr *op, PlannedTest *planned)
{
	int			left;
	int			right;

	if (list_length(op->args) != 2)
		return false;
	left = find_column(baserel, linitial(op->args));
	right = find_column(baserel, lsecond(op->args));
	planned->test.kind = STEDI_TEST_COMPARE;
	planned->test.collation = op->inputcollid;
	planned->test.column_first = (left >= 0);
	planned->value = left >= 0 ? lsecond(op->args) : linitial(op->args);
	return set_column(planned, relid, left >= 0 ? left : right) &&
		is_shippable(op->opno, planned->test.by_object, &planned->function) &&
		is_value((Node *) planned->value);
}

static bool
plan_any(RelOptInfo *baserel, Oid relid, ScalarArrayOpExpr *op, PlannedTest *planned)
{
	if (!op->useOr)
		return false;
	planned->test.kind = STEDI_TEST_ANY;
	planned->test.collation = op->inputcollid;
	planned->test.column_first = true;
	planned->value = lsecond(op->args);
	return set_column(planned, relid, find_column(baserel, linitial(op->args))) &&
		is_shippable(op->opno, planned->test.by_object, &planned->function) &&
		is_value((Node *) planned->value);
}

static bool
plan_null(RelOptInfo *baserel, Oid relid, NullTest *null, PlannedTest *planned)
{
	planned->test.kind = null->nulltesttype == IS_NULL ? STEDI_TEST_NULL : STEDI_TEST_NOT_NULL;
	return set_column(planned, relid, find_column(baserel, (Node *) null->arg)) && !null->argisrow;
}

static bool
plan_consent(RelOptInfo *baserel, FuncExpr *call, PlannedTest *planned)
{
	if (call->funcid != consents_function() || list_length(call->args) != 3)
		return false;
	planned->test.kind = STEDI_TEST_CONSENT;
	planned->value = linitial(call->args);
	planned->test.attno = find_column(baserel, lsecond(call->args));
	planned->test.time_attno = find_column(baserel, lthird(call->args));
	return planned->test.attno >= 0 && planned->test.time_attno >= 0 &&
		is_value((Node *) planned->value);
}

/* Can the scan decide this clause? */
static bool
plan_test(RelOptInfo *baserel, Oid relid, Expr *clause, PlannedTest *planned)
{
	memset(planned, 0, sizeof(*planned));
	if (IsA(clause, OpExpr))
		return plan_compare(baserel, relid, (OpExpr *) clause, planned);
	if (IsA(clause, ScalarArrayOpExpr))
		return plan_any(baserel, relid, (ScalarArrayOpExpr *) clause, planned);
	if (IsA(clause, NullTest))
		return plan_null(baserel, relid, (NullTest *) clause, planned);
	/* the consent test reads the record's bytes */
	if (IsA(clause, FuncExpr))
		return plan_consent(baserel, (FuncExpr *) clause, planned) &&
			column_source(relid, planned->test.attno) == STEDI_SOURCE_RECORD &&
			column_source(relid, planned->test.time_attno) == STEDI_SOURCE_RECORD;
	return false;
}

/*
 * A clause of a security barrier must be decided before others that could
 * tell what it hides; the operators that we take tell nothing, but only the
 * planner's word counts.
 */
static bool
may_go_first(RelOptInfo *baserel, RestrictInfo *rinfo)
{
	return rinfo->security_level <= baserel->baserestrict_min_security ||
		rinfo->leakproof;
}

/* Records in that many bytes: as ANALYZE found, or by a guess. */
static double
estimate_records(RelOptInfo *baserel, Oid relid, double bytes)
{
	int			n_columns = 0;

	if (baserel->tuples > 0 && baserel->pages > 0)
		return baserel->tuples / baserel->pages * Max(ceil(bytes / BLCKSZ), 1);
	for (int attno = 1; attno <= baserel->max_attr; attno++)
		if (get_atttype(relid, attno) != InvalidOid)
			n_columns++;
	return bytes / (BYTES_PER_COLUMN * Max(n_columns, 1));
}

/*
 * Planning lists objects, and PostgreSQL looks at privileges only after it:
 * whoever may not read the table is not told by then what there is.  Of a
 * child of another table it is the parent that counts.
 */
static void
check_may_read(const RelOptInfo *baserel, Oid relid, Oid userid)
{
	if (baserel->reloptkind == RELOPT_BASEREL &&
		pg_class_aclcheck(relid, userid, ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(relid, userid, ACL_SELECT, ACLMASK_ANY) != ACLCHECK_OK)
		stedi_cure_denied(OBJECT_FOREIGN_TABLE, relid, "SELECT", userid);
}

/*
 * The objects that are read: all, but for those that a clause on the object
 * leaves out whose value is known by now.
 */
static void
count_objects(RelOptInfo *baserel, Oid relid, const StediListing *listing, ScanPlan *state)
{
	StediTest  *tests = palloc0(Max(list_length(state->pushed), 1) * sizeof(StediTest));
	int			n_tests = 0;
	ListCell   *lc;

	state->bytes = (double) listing->total_size;
	state->n_objects = listing->n_objects;
	foreach(lc, state->pushed)
	{
		PlannedTest planned;
		Const	   *value;

		(void) plan_test(baserel, relid, lfirst_node(RestrictInfo, lc)->clause, &planned);
		value = (Const *) planned.value;
		if (!planned.test.by_object || (value != NULL && !IsA(value, Const)))
			continue;
		if (OidIsValid(planned.function))
			fmgr_info(planned.function, &planned.test.function);
		if (value != NULL)
			stedi_filter_set_value(&planned.test, value->consttype, value->constvalue,
								   value->constisnull);
		tests[n_tests++] = planned.test;
	}
	if (n_tests > 0)
		stedi_prune_count(listing, tests, n_tests, &state->n_objects, &state->bytes);
}

void
stediGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	RangeTblEntry *rte = planner_rt_fetch(baserel->relid, root);
	Oid			userid = stedi_compat_rel_user(root, baserel, rte);
	ScanPlan   *state = palloc0(sizeof(ScanPlan));
	const StediListing *listing;
	ListCell   *lc;

	check_may_read(baserel, foreigntableid, userid);
	listing = stedi_list_get(stedi_option_get_table(foreigntableid), userid, NULL);
	foreach(lc, baserel->baserestrictinfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		PlannedTest planned;

		if (may_go_first(baserel, rinfo) &&
			plan_test(baserel, foreigntableid, rinfo->clause, &planned))
			state->pushed = lappend(state->pushed, rinfo);
	}
	count_objects(baserel, foreigntableid, listing, state);
	baserel->fdw_private = state;

	/* of all records: the clauses' selectivities come on top of it */
	baserel->tuples = clamp_row_est(estimate_records(baserel, foreigntableid,
													 (double) listing->total_size));
	set_baserel_size_estimates(root, baserel);
}

bool
stedi_plan_decides_all(const RelOptInfo *baserel)
{
	ScanPlan   *state = baserel->fdw_private;

	return state != NULL &&
		list_length(state->pushed) == list_length(baserel->baserestrictinfo);
}

/*
 * What the processors do is shared among the processes, what the disk or the
 * network does is not.
 */
ForeignPath *
stedi_plan_make_path(PlannerInfo *root, RelOptInfo *baserel, int n_workers)
{
	ScanPlan   *state = baserel->fdw_private;
	Cost		startup_cost = baserel->baserestrictcost.startup;
	Cost		cpu_cost = state->bytes / BYTES_PER_TUPLE_COST * cpu_tuple_cost +
	baserel->rows * (cpu_tuple_cost + baserel->baserestrictcost.per_tuple);
	double		rows = baserel->rows;
	ForeignPath *path;

	if (n_workers > 0)
	{
		/*
		 * as the planner's own scans: the leader has less and less time to
		 * help
		 */
		double		divisor = n_workers + (parallel_leader_participation ?
										   Max(1.0 - 0.3 * n_workers, 0) : 0);

		cpu_cost /= divisor;
		rows = clamp_row_est(rows / divisor);
	}
	path = stedi_compat_foreignscan_path(root, baserel, rows, startup_cost,
										 startup_cost + cpu_cost +
										 state->bytes / BLCKSZ * seq_page_cost, NIL);
	path->path.parallel_aware = n_workers > 0;
	path->path.parallel_workers = n_workers;

	/*
	 * Several processes that each read all would list the objects anew, and
	 * see others.
	 */
	path->path.parallel_safe = n_workers > 0;
	return path;
}

/* How many workers would help?  An object is read by one process. */
static int
count_workers(RelOptInfo *baserel)
{
	ScanPlan   *state = baserel->fdw_private;
	int			n_workers = compute_parallel_worker(baserel, ceil(state->bytes / BLCKSZ), -1,
													max_parallel_workers_per_gather);

	return Min(n_workers, state->n_objects - 1);
}

void
stediGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	add_path(baserel, (Path *) stedi_plan_make_path(root, baserel, 0));
	if (baserel->consider_parallel && baserel->lateral_relids == NULL)
	{
		int			n_workers = count_workers(baserel);

		if (n_workers > 0)
			add_partial_path(baserel, (Path *) stedi_plan_make_path(root, baserel, n_workers));
	}
}

/* A test as a list of integers that a plan can hold. */
static List *
put_test(const PlannedTest *planned, int value)
{
	List	   *list = list_make4_int(planned->test.kind, planned->test.attno,
									  planned->test.time_attno,
									  planned->test.column_first);

	list = lappend_int(list, (int) planned->function);
	list = lappend_int(list, (int) planned->test.collation);
	list = lappend_int(list, value);
	return lappend_int(list, planned->test.by_object);
}

StediTest *
stedi_plan_get_tests(const ForeignScan *plan, int natts, bool *wanted,
					 int *n_tests, int **value_of)
{
	List	   *columns = list_nth(plan->fdw_private, PRIVATE_WANTED);
	List	   *list = list_nth(plan->fdw_private, PRIVATE_TESTS);
	StediTest  *tests = palloc0(Max(list_length(list), 1) * sizeof(StediTest));
	int		   *values = palloc0(Max(list_length(list), 1) * sizeof(int));
	ListCell   *lc;
	int			i = 0;

	memset(wanted, 0, natts * sizeof(bool));
	foreach(lc, columns)
		wanted[lfirst_int(lc)] = true;
	foreach(lc, list)
	{
		List	   *given = lfirst(lc);
		Oid			function = (Oid) list_nth_int(given, 4);

		tests[i].kind = list_nth_int(given, 0);
		tests[i].attno = list_nth_int(given, 1);
		tests[i].time_attno = list_nth_int(given, 2);
		tests[i].column_first = list_nth_int(given, 3);
		if (OidIsValid(function))
			fmgr_info(function, &tests[i].function);
		tests[i].collation = (Oid) list_nth_int(given, 5);
		values[i] = list_nth_int(given, 6);
		tests[i].by_object = list_nth_int(given, 7);
		i++;
	}
	*n_tests = i;
	*value_of = values;
	return tests;
}

bool
stedi_plan_is_object_qual(const ForeignScan *plan, int number)
{
	return list_nth_int(list_nth(plan->fdw_private, PRIVATE_BY_OBJECT), number) != 0;
}

/* The columns that the target list, the executor's clauses and the tests read. */
static List *
wanted_columns(RelOptInfo *baserel, Oid foreigntableid, List *clauses)
{
	Bitmapset  *attrs = NULL;
	List	   *columns = NIL;
	bool		whole;

	pull_varattnos((Node *) baserel->reltarget->exprs, baserel->relid, &attrs);
	pull_varattnos((Node *) clauses, baserel->relid, &attrs);
	whole = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, attrs);
	for (int attno = 1; attno <= baserel->max_attr; attno++)
		if (whole || bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, attrs))
			columns = lappend_int(columns, attno - 1);
	return columns;
}

ForeignScan *
stedi_plan_make(RelOptInfo *baserel, Oid foreigntableid, List *tlist, List *scan_clauses,
				Plan *outer_plan)
{
	ScanPlan   *state = baserel->fdw_private;
	List	   *local = NIL;
	List	   *pushed = NIL;
	List	   *by_object = NIL;
	List	   *of_records = NIL;
	List	   *tests = NIL;
	List	   *values = NIL;
	ListCell   *lc;

	foreach(lc, scan_clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		PlannedTest planned;
		int			value = -1;

		if (rinfo->pseudoconstant)
			continue;
		if (!list_member_ptr(state->pushed, rinfo))
		{
			local = lappend(local, rinfo->clause);
			continue;
		}
		if (!plan_test(baserel, foreigntableid, rinfo->clause, &planned))
			elog(ERROR, "a clause can no longer go into the scan");
		if (planned.value != NULL)
		{
			value = list_length(values);
			values = lappend(values, planned.value);
		}

		/*
		 * the consent test comes first: no other test sees a record without
		 * consent
		 */
		if (planned.test.kind == STEDI_TEST_CONSENT)
			tests = lcons(put_test(&planned, value), tests);
		else
			tests = lappend(tests, put_test(&planned, value));
		pushed = lappend(pushed, rinfo->clause);
		by_object = lappend_int(by_object, planned.test.by_object);
		if (!planned.test.by_object)
			of_records = lappend(of_records, rinfo->clause);
	}
	return make_foreignscan(tlist, local, baserel->relid, values,
							list_make3(wanted_columns(baserel, foreigntableid,
													  list_concat_copy(local, of_records)),
									   tests, by_object),
							NIL, pushed, outer_plan);
}
