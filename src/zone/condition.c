/*-------------------------------------------------------------------------
 *
 * condition.c
 *		Conditions of expectations, on the rows of one of the five tables.
 *
 *	 text -> parsed, analysed, checked (open) -> evaluated on each row (passes)
 *
 * A condition is what a CHECK constraint may have: an expression over the
 * columns of the table.  Each process that uses it analyses it anew, under the
 * same settings.  The table need not exist for that.
 *
 * An error in a condition, such as a division by zero or a cast that fails,
 * may quote a value of the row.  It is replaced by an error that does not.
 *
 *-------------------------------------------------------------------------
 */
#include "zone/zone.h"

#include <ctype.h>

#include "access/xact.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

struct ZoneSieve
{
	ZoneExpectations *expectations; /* borrowed: where what is found is
									 * counted */
	int			process;
	TupleDesc	tupdesc;		/* of the table */
	bool		parallel_safe;
	int			nest_level;		/* of settings */

	/* the conditions, and which expectations they are of */
	int			n;
	ExprState **conditions;
	ZoneExpectation **of;

	/* what they are evaluated in */
	EState	   *estate;
	ExprContext *econtext;
	TupleTableSlot *slot;
};

/* A condition while it is analysed. */
typedef struct Analysis
{
	ZoneTableId id;
	const char *name;
	const char *condition;
	ZoneAction	action;
	TupleDesc	tupdesc;
} Analysis;

/*
 * Pin the settings that change what a condition means, until the sieve is
 * closed.  Then settings that functions in it have made are undone, too.
 */
static int
pin_settings(void)
{
	static const struct
	{
		const char *name;
		const char *value;
	}			settings[] = {
		{"search_path", "pg_catalog, pg_temp"}, /* what was called may have
												 * changed it */
		{"timezone", "UTC"},
		{"intervalstyle", "postgres"},
		{"standard_conforming_strings", "on"},
		{"transform_null_equals", "off"},
	};
	int			nest_level = NewGUCNestLevel();

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i].name, settings[i].value, PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return nest_level;
}

/* The columns of a table, from "name type, ...": no name has a blank, no type a comma. */
static TupleDesc
describe_table(ZoneTableId id)
{
	List	   *columns = NIL;
	char	   *list = pstrdup(stedi_zone_tables[id].columns);
	TupleDesc	tupdesc;
	ListCell   *lc;
	int			n = 0;

	for (char *column = list; column != NULL;)
	{
		char	   *behind = strstr(column, ", ");

		if (behind != NULL)
			*behind = '\0';
		columns = lappend(columns, column);
		column = behind != NULL ? behind + strlen(", ") : NULL;
	}
	tupdesc = CreateTemplateTupleDesc(list_length(columns));
	foreach(lc, columns)
	{
		char	   *name = lfirst(lc);
		char	   *type = strchr(name, ' ');

		*type++ = '\0';
		if (*name == '"')
		{
			name++;
			name[strlen(name) - 1] = '\0';
		}
		TupleDescInitEntry(tupdesc, ++n, name,
						   DatumGetObjectId(DirectFunctionCall1(to_regtype,
																CStringGetTextDatum(type))),
						   -1, 0);
	}
	return tupdesc;
}

/* See PreParseColumnRefHook: a column of the table. */
static Node *
find_column(ParseState *pstate, ColumnRef *ref)
{
	const Analysis *analysis = pstate->p_ref_hook_state;
	StringInfoData names;

	/* what has more than one name is refused without us */
	if (list_length(ref->fields) != 1)
		return NULL;
	initStringInfo(&names);
	for (int i = 0; i < analysis->tupdesc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(analysis->tupdesc, i);

		if (strcmp(NameStr(column->attname), strVal(linitial(ref->fields))) == 0)
		{
			Var		   *var = makeVar(1, i + 1, column->atttypid, column->atttypmod,
									  column->attcollation, 0);

			var->location = ref->location;
			return (Node *) var;
		}
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "",
						 quote_identifier(NameStr(column->attname)));
	}
	ereport(ERROR,
			errcode(ERRCODE_UNDEFINED_COLUMN),
			errmsg("column \"%s\" does not exist in table \"%s\"",
				   strVal(linitial(ref->fields)), stedi_zone_tables[analysis->id].name),
			errhint("It has the columns %s.", names.data),
			parser_errposition(pstate, ref->location));
}

/* Positions are in the condition, not in the statement that set it. */
static void
tell_condition(void *arg)
{
	const Analysis *analysis = arg;
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(analysis->condition);
	}
	errcontext("condition of expectation \"%s\" of table \"%s\", which is as in a check constraint",
			   analysis->name, stedi_zone_tables[analysis->id].name);
}

/*
 * Is it * alone?  That is a target and no expression: transformExpr would take
 * it for a name.
 */
static bool
is_star(const Node *node)
{
	return IsA(node, ColumnRef) && IsA(linitial(((const ColumnRef *) node)->fields), A_Star);
}

/* The one expression that the text is. */
static Node *
parse_condition(const Analysis *analysis)
{
	List	   *parsed = raw_parser(analysis->condition, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = castNode(SelectStmt, linitial_node(RawStmt, parsed)->stmt);
	ResTarget  *target = list_length(select->targetList) == 1 ?
	linitial_node(ResTarget, select->targetList) : NULL;

	if (target == NULL || target->name != NULL || target->indirection != NIL ||
		is_star(target->val) ||
		select->distinctClause != NIL || select->fromClause != NIL || select->whereClause != NULL ||
		select->groupClause != NIL || select->havingClause != NULL || select->windowClause != NIL ||
		select->sortClause != NIL || select->limitOffset != NULL || select->limitCount != NULL ||
		select->lockingClause != NIL)
		ereport(ERROR,
				errcode(ERRCODE_SYNTAX_ERROR),
				errmsg("condition is not one expression"),
				errhint("Write what could follow CHECK, for example: x BETWEEN -20 AND 20."));
	return target->val;
}

/* Has the literal a word that stands for the time at which it is read? */
static bool
tells_now(const char *literal)
{
	static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};
	Size		len;

	for (const char *p = literal; *p != '\0'; p += Max(len, 1))
	{
		for (len = 0; isalpha((unsigned char) p[len]); len++)
			;
		for (int i = 0; i < (int) lengthof(words); i++)
			if (len == strlen(words[i]) && pg_strncasecmp(p, words[i], len) == 0)
				return true;
	}
	return false;
}

/*
 * See raw_expression_tree_walker.  Such a literal, of a date or a range of
 * dates, is a constant when it is analysed, but another one in each run.
 */
static bool
refuse_now(Node *node, void *arg)
{
	ParseState *pstate = arg;

	if (node == NULL)
		return false;
	if (IsA(node, A_Const))
	{
		const A_Const *literal = (const A_Const *) node;

		if (!literal->isnull && IsA(&literal->val, String) && tells_now(strVal(&literal->val)))
			ereport(ERROR,
					errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					errmsg("literals in the condition of an expectation that drops rows must not "
						   "tell the present time"),
					errdetail("Another run would read \"%s\" otherwise.", strVal(&literal->val)),
					errhint("Write the date, or use the action 'warn' or 'fail'."),
					parser_errposition(pstate, literal->location));
		return false;
	}
	return raw_expression_tree_walker(node, refuse_now, arg);
}

/*
 * The answer must depend on the row alone: else drop would give another table
 * in each run.
 */
static void
check_functions(const Analysis *analysis, Node *planned)
{
	if (contain_volatile_functions(planned))
		ereport(ERROR,
				errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				errmsg("functions in the condition of an expectation must not be volatile"));
	if (analysis->action == ZONE_ACTION_DROP && contain_mutable_functions(planned))
		ereport(ERROR,
				errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				errmsg("functions in the condition of an expectation that drops rows must be "
					   "immutable"),
				errdetail("A row that is left out now must not be one that is taken in later, "
						  "as by now() or the time zone."),
				errhint("Compare with a constant, or use the action 'warn' or 'fail'."));
}

/* Would other processes get the same answers? */
static bool
is_parallel_safe_condition(Node *planned)
{
	Query	   *query = makeNode(Query);

	query->commandType = CMD_SELECT;
	query->jointree = makeFromExpr(NIL, planned);
	return max_parallel_hazard(query) == PROPARALLEL_SAFE;
}

/* Analyse a condition: an expression that can be executed. */
static Expr *
analyse(const Analysis *analysis)
{
	ErrorContextCallback context = {
		.callback = tell_condition,
		.arg = unconstify(Analysis *, analysis),
		.previous = error_context_stack
	};
	ParseState *pstate = make_parsestate(NULL);
	Node	   *node;

	error_context_stack = &context;
	pstate->p_sourcetext = analysis->condition;
	pstate->p_pre_columnref_hook = find_column;
	pstate->p_ref_hook_state = unconstify(Analysis *, analysis);
	node = parse_condition(analysis);
	if (analysis->action == ZONE_ACTION_DROP)
		(void) refuse_now(node, pstate);
	node = transformExpr(pstate, node, EXPR_KIND_CHECK_CONSTRAINT);
	node = coerce_to_boolean(pstate, node, "the condition");
	assign_expr_collations(pstate, node);
	free_parsestate(pstate);
	node = (Node *) expression_planner((Expr *) node);
	check_functions(analysis, node);
	error_context_stack = context.previous;
	return (Expr *) node;
}

/* Make one condition ready. */
static void
add_condition(ZoneSieve *sieve, ZoneExpectation *of)
{
	const char *texts = (const char *) sieve->expectations;
	Analysis	analysis = {of->id, texts + of->name, texts + of->condition, of->action,
	sieve->tupdesc};
	MemoryContext caller = MemoryContextSwitchTo(sieve->estate->es_query_cxt);
	Expr	   *condition = analyse(&analysis);

	sieve->parallel_safe &= is_parallel_safe_condition((Node *) condition);
	sieve->conditions[sieve->n] = ExecInitQual(list_make1(condition), NULL);
	sieve->of[sieve->n++] = of;
	MemoryContextSwitchTo(caller);
}

ZoneSieve *
stedi_zone_sieve_open(ZoneExpectations *expectations, ZoneTableId id, int actions, int process)
{
	ZoneSieve  *sieve = NULL;

	for (int i = 0; expectations != NULL && i < expectations->n; i++)
	{
		ZoneExpectation *expectation = &expectations->list[i];

		if (expectation->id != id || (actions & ZONE_ACTIONS(expectation->action)) == 0)
			continue;
		if (sieve == NULL)
		{
			sieve = palloc0(sizeof(ZoneSieve));
			sieve->nest_level = pin_settings();
			sieve->expectations = expectations;
			sieve->process = process;
			sieve->parallel_safe = true;
			sieve->tupdesc = describe_table(id);
			sieve->conditions = palloc(expectations->n * sizeof(ExprState *));
			sieve->of = palloc(expectations->n * sizeof(ZoneExpectation *));
			sieve->estate = CreateExecutorState();
			sieve->econtext = GetPerTupleExprContext(sieve->estate);
			sieve->slot = MakeSingleTupleTableSlot(sieve->tupdesc, &TTSOpsVirtual);
			sieve->econtext->ecxt_scantuple = sieve->slot;
		}
		add_condition(sieve, expectation);
	}
	return sieve;
}

TupleDesc
stedi_zone_sieve_columns(const ZoneSieve *sieve)
{
	return sieve->tupdesc;
}

bool
stedi_zone_sieve_is_parallel_safe(const ZoneSieve *sieve)
{
	return sieve->parallel_safe;
}

void
stedi_zone_sieve_close(ZoneSieve *sieve)
{
	if (sieve == NULL)
		return;
	ExecDropSingleTupleTableSlot(sieve->slot);
	FreeExecutorState(sieve->estate);
	AtEOXact_GUC(false, sieve->nest_level);
	pfree(sieve);
}

/*
 * Is it a cancel or a timeout?  A function can raise an error of that SQLSTATE,
 * too, but not from there.
 */
static bool
is_servers_own(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION &&
		error->funcname != NULL && strcmp(error->funcname, "ProcessInterrupts") == 0;
}

/*
 * Is it an error of another process that takes part?  That process has replaced
 * it already; the leader gets it from wherever it waits.
 */
static bool
is_of_worker(const ErrorData *error)
{
	const char *mark = _("parallel worker");	/* HandleParallelMessage's */
	Size		len = strlen(mark);

	for (const char *line = IsInParallelMode() ? error->context : NULL; line != NULL;)
	{
		const char *end = strchr(line, '\n');

		if (strncmp(line, mark, len) == 0 && (line[len] == '\n' || line[len] == '\0'))
			return true;
		line = end != NULL ? end + 1 : NULL;
	}
	return false;
}

/*
 * Replace the error that a condition has raised by one that says nothing of
 * the row.  It ends the run in any case, so nothing has to be rolled back here.
 */
static void
report_error(const ZoneSieve *sieve, const ZoneExpectation *of, MemoryContext caller)
{
	ErrorData  *error;

	MemoryContextSwitchTo(caller);
	error = CopyErrorData();
	FlushErrorState();
	if (is_of_worker(error))
		ReThrowError(error);
	if (is_servers_own(error))
	{
		/* a statement that a function has put together may hold a value */
		error->context = error->internalquery = NULL;
		ReThrowError(error);
	}
	ereport(ERROR,
			errcode(error->sqlerrcode),
			errmsg("could not evaluate the condition of expectation \"%s\" on a row of %s",
				   (const char *) sieve->expectations + of->name, stedi_zone_tables[of->id].name),
			errdetail("The error was of SQLSTATE %s; "
					  "what it said may hold a value of the row, and is left out.",
					  unpack_sql_state(error->sqlerrcode)),
			errhint("Guard the condition with CASE or nullif, "
					"or take it back with stedi.unexpect."));
}

/* Is the condition true of the row in the slot? */
static bool
is_met(ZoneSieve *sieve, int i)
{
	MemoryContext caller = CurrentMemoryContext;
	bool		met = false;

	PG_TRY();
	{
		met = ExecQual(sieve->conditions[i], sieve->econtext);
	}
	PG_CATCH();
	{
		report_error(sieve, sieve->of[i], caller);
	}
	PG_END_TRY();
	return met;
}

bool
stedi_zone_sieve_passes(ZoneSieve *sieve, const Datum *values, const bool *nulls)
{
	int			natts = sieve->tupdesc->natts;
	bool		passes = true;

	ResetExprContext(sieve->econtext);
	ExecClearTuple(sieve->slot);
	memcpy(sieve->slot->tts_values, values, natts * sizeof(Datum));
	memcpy(sieve->slot->tts_isnull, nulls, natts * sizeof(bool));
	ExecStoreVirtualTuple(sieve->slot);
	for (int i = 0; i < sieve->n; i++)
	{
		if (is_met(sieve, i))
			continue;
		sieve->of[i]->violated[sieve->process]++;
		passes = false;
	}
	return passes;
}
