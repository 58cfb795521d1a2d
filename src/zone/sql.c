/*-------------------------------------------------------------------------
 *
 * sql.c
 *		SQL with names filled in, run through SPI.
 *
 * Settings are pinned before each statement: code of the tables' owner that
 * ran in the statement before may have set search_path for the rest of the
 * run.
 *
 *-------------------------------------------------------------------------
 */
#include "zone/zone.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/queryenvironment.h"

/* Rows that a cursor fetches at once. */
#define FETCHED_ROWS 1000

/* The table of that name, as this run reads it; NULL: it is none of the five. */
static const char *
table_name(const ZoneRun *run, const char *name)
{
	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (strcmp(stedi_zone_tables[id].name, name) == 0)
			return OidIsValid(run->staged[id]) ? stedi_zone_query_relation(run->staged[id]) :
				quote_qualified_identifier(run->target_name, name);
	return NULL;
}

const char *
stedi_zone_query_relation(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

const char *
stedi_zone_query_table(const ZoneRun *run, ZoneTableId id)
{
	return quote_qualified_identifier(run->target_name, stedi_zone_tables[id].name);
}

/* The consent set of these rows, as an expression. */
static const char *
set_of(const ZoneRun *run, const char *rows, bool fold_keys)
{
	return psprintf("(SELECT stedi.consent_set(who, since, owned_since, standing, %s, %s)"
					" FROM (%s) s)",
					run->since ? "true" : "false", fold_keys ? "true" : "false",
					stedi_zone_query_expand(run, rows));
}

/* What a name in braces stands for. */
static const char *
name_value(const ZoneRun *run, const char *name)
{
	const char *table = table_name(run, name);

	if (table != NULL)
		return table;
	if (strcmp(name, "target") == 0)
		return quote_identifier(run->target_name);
	if (strcmp(name, "books") == 0)
		return quote_identifier(run->store.name);
	if (strcmp(name, "landing") == 0)
		return quote_identifier(run->landing_name);
	if (strcmp(name, "customer_landing") == 0)
		return quote_literal_cstr(quote_qualified_identifier(run->landing_name, name));
	if (strcmp(name, "now") == 0)
		return psprintf(INT64_FORMAT, run->now_ms);
	if (strcmp(name, "of_affected") == 0)
		return run->renew ? "who IN (SELECT affected FROM affected)" : "true";
	if (strcmp(name, "of_verdict") == 0)
		return run->renew ? "w.device IN (SELECT verdict FROM verdict)" : "true";
	if (strcmp(name, "cascades") == 0)
		return run->cascades ? "true" : "false";
	if (strcmp(name, "since_rule") == 0)
		return run->since ? "true" : "false";
	if (strcmp(name, "match_time") == 0)
		return run->match_time ? "true" : "false";
	if (strcmp(name, "reader") == 0)
		return run->load != NULL ? "reader" :
			stedi_zone_query_expand(run, "(SELECT DISTINCT email FROM {accelerometer_trusted})");
	if (strcmp(name, "person_set") == 0)
		return set_of(run, stedi_rule_person_set, true);
	if (strcmp(name, "device_set") == 0)
		return set_of(run, stedi_rule_device_set, false);
	elog(ERROR, "unknown name in template: %s", name);
}

char *
stedi_zone_query_expand(const ZoneRun *run, const char *template)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (const char *p = template; *p != '\0';)
	{
		const char *close;

		if (*p != '{')
		{
			appendStringInfoChar(&sql, *p++);
			continue;
		}
		close = strchr(p, '}');
		appendStringInfoString(&sql, name_value(run, pnstrdup(p + 1, close - p - 1)));
		p = close + 1;
	}
	return sql.data;
}

char *
stedi_zone_query_call(const ZoneRun *run, const char *function, const char *more)
{
	StringInfoData call;

	initStringInfo(&call);
	appendStringInfo(&call, "stedi.%s(%s", function,
					 quote_literal_cstr(quote_identifier(run->target_name)));
	if (strcmp(run->landing_name, run->target_name) != 0)
		appendStringInfo(&call, ", landing => %s",
						 quote_literal_cstr(quote_identifier(run->landing_name)));
	appendStringInfo(&call, "%s)", more);
	return call.data;
}

int64
stedi_zone_query_run(const char *sql)
{
	int			result;

	stedi_zone_pin_settings();
	result = SPI_execute(sql, false, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute returned %s", SPI_result_code_string(result));
	return (int64) SPI_processed;
}

void
stedi_zone_query_values(const char *sql, int n, int64 *values)
{
	if (stedi_zone_query_run(sql) != 1)
		elog(ERROR, "a query of one row returned " UINT64_FORMAT, SPI_processed);
	for (int i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
										  i + 1, &isnull);

		if (SPI_gettypeid(SPI_tuptable->tupdesc, i + 1) != INT8OID)
			elog(ERROR, "column %d of a query of bigints is none", i + 1);
		values[i] = isnull ? 0 : DatumGetInt64(value);
	}
	SPI_freetuptable(SPI_tuptable);
}

int64
stedi_zone_query_count(const char *sql)
{
	int64		n;

	stedi_zone_query_values(psprintf("SELECT count(*) FROM (%s) q", sql), 1, &n);
	return n;
}

char *
stedi_zone_query_text(const ZoneRun *run, const char *sql)
{
	char	   *text = NULL;

	if (stedi_zone_query_run(sql) > 0)
	{
		text = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		if (text != NULL)
			text = MemoryContextStrdup(run->cxt, text);
	}
	SPI_freetuptable(SPI_tuptable);
	return text;
}

char *
stedi_zone_query_columns(const ZoneRun *run, Oid relid)
{
	return stedi_zone_query_text(run,
								 psprintf("SELECT string_agg(quote_ident(attname) || ' ' ||"
										  " format_type(atttypid, atttypmod), ', ' ORDER BY attnum)"
										  " FROM pg_attribute WHERE attrelid = %u AND attnum > 0"
										  " AND NOT attisdropped", relid));
}

char *
stedi_zone_query_names(const ZoneRun *run, Oid relid)
{
	return stedi_zone_query_text(run,
								 psprintf("SELECT string_agg(quote_ident(attname), ', '"
										  " ORDER BY attnum)"
										  " FROM pg_attribute WHERE attrelid = %u AND attnum > 0"
										  " AND NOT attisdropped", relid));
}

void
stedi_zone_query_register(ZoneRun *run, const char *name, Tuplestorestate *store,
						  TupleDesc tupdesc)
{
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));
	int			result;

	relation->md.name = pstrdup(name);
	relation->md.tupdesc = CreateTupleDescCopy(tupdesc);
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = (double) tuplestore_tuple_count(store);
	relation->reldata = store;
	run->kept = lappend(run->kept, relation);
	MemoryContextSwitchTo(caller);
	result = SPI_register_relation(relation);
	if (result != SPI_OK_REL_REGISTER)
		elog(ERROR, "SPI_register_relation returned %s", SPI_result_code_string(result));
}

/* See ParamFetchHook: it is where it always is. */
static ParamExternData *
fetch_param(ParamListInfo params, int paramid, bool speculative, ParamExternData *workspace)
{
	return &params->params[paramid - 1];
}

/*
 * Parameters of a query. They are not marked as constants, so that the planner
 * leaves them parameters: values of people must not get into plans, which
 * debug_print_plan and auto_explain write into the log. Nor are they in a
 * parameter list, which auto_explain logs from 16 on: a hook fetches them.
 */
static ParamListInfo
make_params(int n, const Oid *types, const Datum *values, const char *nulls)
{
	ParamListInfo params = makeParamList(n);

	params->paramFetch = fetch_param;
	for (int i = 0; i < n; i++)
	{
		params->params[i].value = values[i];
		params->params[i].isnull = nulls != NULL && nulls[i] == 'n';
		params->params[i].pflags = 0;
		params->params[i].ptype = types[i];
	}
	return params;
}

uint64
stedi_zone_query_with(const char *sql, int n, const Oid *types, const Datum *values,
					  const char *nulls)
{
	SPIExecuteOptions options = {0};
	int			result;

	stedi_zone_pin_settings();
	options.params = make_params(n, types, values, nulls);
	result = SPI_execute_extended(sql, &options);
	if (result < 0)
		elog(ERROR, "SPI_execute_extended returned %s", SPI_result_code_string(result));
	SPI_freetuptable(SPI_tuptable);
	return SPI_processed;
}

void
stedi_zone_query_keep(ZoneRun *run, const char *name, const char *sql)
{
	stedi_zone_query_keep_of(run, name, sql, NULL);
}

void
stedi_zone_query_keep_template(ZoneRun *run, const char *name, const char *template)
{
	stedi_zone_query_keep(run, name, stedi_zone_query_expand(run, template));
}

void
stedi_zone_query_keep_of(ZoneRun *run, const char *name, const char *sql, ArrayType *keys)
{
	Oid			type = TEXTARRAYOID;
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	Tuplestorestate *store = tuplestore_begin_heap(false, false, ZONE_KEPT_MEMORY);
	DestReceiver *dest = CreateDestReceiver(DestTuplestore);
	SPIExecuteOptions options = {0};
	SPIPlanPtr	plan;
	int			result;

	MemoryContextSwitchTo(caller);
	stedi_zone_pin_settings();

	/* the table from which long values come may be gone before they are used */
	SetTuplestoreDestReceiverParams(dest, store, run->cxt, true, NULL, NULL);
	options.read_only = run->read_only;
	options.dest = dest;
	if (keys != NULL)
	{
		Datum		value = PointerGetDatum(keys);

		options.params = make_params(1, &type, &value, NULL);
	}
	result = SPI_execute_extended(sql, &options);
	if (result < 0)
		elog(ERROR, "SPI_execute_extended returned %s", SPI_result_code_string(result));

	/* the same query, prepared, tells the columns */
	plan = SPI_prepare(sql, keys != NULL ? 1 : 0, &type);
	stedi_zone_query_register(run, name, store,
							  ((CachedPlanSource *)
							   linitial(SPI_plan_get_plan_sources(plan)))->resultDesc);
	SPI_freeplan(plan);
}

void
stedi_zone_query_keep_hashes(ZoneRun *run, const char *name, const StediHashes *hashes)
{
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	Tuplestorestate *store = tuplestore_begin_heap(false, false, ZONE_KEPT_MEMORY);
	TupleDesc	tupdesc = CreateTemplateTupleDesc(1);

	TupleDescInitEntry(tupdesc, 1, name, INT8OID, -1, 0);
	MemoryContextSwitchTo(caller);
	for (uint32 slot = 0; slot < hashes->n_slots; slot++)
	{
		Datum		hash = Int64GetDatum((int64) STEDI_HASHES_AT(hashes, slot));
		bool		isnull = false;

		CHECK_FOR_INTERRUPTS();
		if (STEDI_HASHES_AT(hashes, slot) != 0)
			tuplestore_putvalues(store, tupdesc, &hash, &isnull);
	}
	stedi_zone_query_register(run, name, store, tupdesc);
}

/* The type of a column that a letter stands for; see zone.h. */
static Oid
letter_type(char letter)
{
	switch (letter)
	{
		case 't':
			return TEXTOID;
		case 'l':
			return INT8OID;
		case 'L':
			return INT8ARRAYOID;
		case 'i':
			return INT4OID;
		case 'b':
			return BYTEAOID;
		case 'B':
			return BOOLOID;
		case 'z':
			return TIMESTAMPTZOID;
	}
	elog(ERROR, "unknown letter for a type: %c", letter);
}

/*
 * An error unless the answer has columns of these types: else a table is not
 * what it was.
 */
static void
check_types(TupleDesc tupdesc, const char *types)
{
	int			n = (int) strlen(types);

	for (int i = 0; i < n; i++)
		if (i >= tupdesc->natts || TupleDescAttr(tupdesc, i)->atttypid != letter_type(types[i]))
			ereport(ERROR,
					errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("a table that the run reads was changed while it ran"),
					errdetail("Column %d of a query's answer has type %s in place of %s.", i + 1,
							  i < tupdesc->natts ?
							  format_type_be(TupleDescAttr(tupdesc, i)->atttypid) : "none",
							  format_type_be(letter_type(types[i]))));
}

void
stedi_zone_query_open(ZoneQueryRows *rows, const char *sql, const char *types)
{
	SPIPlanPtr	plan;

	stedi_zone_pin_settings();
	plan = SPI_prepare(sql, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare returned %s", SPI_result_code_string(SPI_result));
	/* not read-only: it is to see what the run has written */
	rows->portal = SPI_cursor_open(NULL, plan, NULL, NULL, false);
	rows->table = NULL;
	rows->n = rows->next = 0;
	SPI_freeplan(plan);
	if (types != NULL)
		check_types(rows->portal->tupDesc, types);
}

bool
stedi_zone_query_fetch(ZoneQueryRows *rows, int n, Datum *values, bool *nulls)
{
	if (rows->next == rows->n)
	{
		SPI_freetuptable(rows->table);
		SPI_cursor_fetch(rows->portal, true, FETCHED_ROWS);
		rows->table = SPI_tuptable;
		rows->n = SPI_processed;
		rows->next = 0;
		if (rows->n == 0)
			return false;
	}
	for (int i = 0; i < n; i++)
		values[i] = SPI_getbinval(rows->table->vals[rows->next], rows->table->tupdesc,
								  i + 1, &nulls[i]);
	rows->next++;
	return true;
}

void
stedi_zone_query_close(ZoneQueryRows *rows)
{
	SPI_cursor_close(rows->portal);
}

StediConsentSet *
stedi_zone_query_set(const ZoneRun *run, const char *template, bool fold_keys)
{
	StediConsentBuilder *building = stedi_consent_begin(run->cxt, fold_keys, run->since, run->seed);
	ZoneQueryRows rows;
	Datum		values[4];
	bool		nulls[4];

	stedi_zone_query_open(&rows, stedi_zone_query_expand(run, template), "tllt");
	while (stedi_zone_query_fetch(&rows, lengthof(values), values, nulls))
		stedi_consent_add(building, values, nulls);
	stedi_zone_query_close(&rows);
	return stedi_consent_finish(building);
}

void
stedi_zone_query_forget(ZoneRun *run)
{
	while (run->kept != NIL)
		stedi_zone_query_drop(run);
}

void
stedi_zone_query_drop(ZoneRun *run)
{
	EphemeralNamedRelation relation = llast(run->kept);

	if (SPI_unregister_relation(relation->md.name) != SPI_OK_REL_UNREGISTER)
		elog(ERROR, "could not unregister relation %s", relation->md.name);
	tuplestore_end(relation->reldata);
	run->kept = list_delete_last(run->kept);
}

void
stedi_zone_query_abandon(ZoneRun *run, int n)
{
	while (list_length(run->kept) > n)
	{
		EphemeralNamedRelation relation = llast(run->kept);

		(void) SPI_unregister_relation(relation->md.name);
		run->kept = list_delete_last(run->kept);
	}
}
