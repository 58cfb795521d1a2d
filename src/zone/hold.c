/*-------------------------------------------------------------------------
 *
 * hold.c
 *		The relations of a run, checked and held open from then to its end.
 *
 * The owner of the five tables can have code run while a run does: triggers,
 * conditions of expectations, functions in indexes.  Locks do not keep that
 * code away, since it runs in the same transaction.  An open relation does:
 * ALTER TABLE, TRUNCATE and DROP TABLE refuse one.  So what is checked when a
 * relation is opened holds until it is released.
 *
 *-------------------------------------------------------------------------
 */
#include "zone/zone.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_inherits.h"
#include "nodes/makefuncs.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* The types of the columns of the five tables, which are the same in each. */
static const struct
{
	const char *column;
	Oid			type;
}			column_types[] =

{
	{"customername", TEXTOID},
	{"email", TEXTOID},
	{"phone", TEXTOID},
	{"birthday", DATEOID},
	{"serialnumber", TEXTOID},
	{"registrationdate", TIMESTAMPTZOID},
	{"lastupdatedate", TIMESTAMPTZOID},
	{"sharewithresearchasofdate", TIMESTAMPTZOID},
	{"sharewithpublicasofdate", TIMESTAMPTZOID},
	{"sharewithfriendsasofdate", TIMESTAMPTZOID},
	{"timestamp", TIMESTAMPTZOID},
	{"x", FLOAT8OID},
	{"y", FLOAT8OID},
	{"z", FLOAT8OID},
	{"sensorreadingtime", TIMESTAMPTZOID},
	{"distancefromobject", INT4OID},
};

void
stedi_zone_check_column(Form_pg_attribute column)
{
	for (int i = 0; i < (int) lengthof(column_types); i++)
		if (strcmp(NameStr(column->attname), column_types[i].column) == 0 &&
			column->atttypid == column_types[i].type)
			return;
	ereport(ERROR,
			errcode(ERRCODE_DATATYPE_MISMATCH),
			errmsg("a table that the run reads was changed while it ran"),
			errdetail("Column \"%s\" has type %s.", NameStr(column->attname),
					  format_type_be(column->atttypid)));
}

Relation
stedi_zone_hold(ZoneRun *run, Oid relid)
{
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	Relation	relation = table_open(relid, NoLock);

	run->held = lappend(run->held, relation);
	MemoryContextSwitchTo(caller);
	return relation;
}

void
stedi_zone_hold_release(ZoneRun *run, Oid relid)
{
	ListCell   *lc;

	foreach(lc, run->held)
		if (RelationGetRelid((Relation) lfirst(lc)) == relid)
	{
		table_close(lfirst(lc), NoLock);
		run->held = foreach_delete_current(run->held, lc);
	}
}

void
stedi_zone_hold_release_all(ZoneRun *run)
{
	ListCell   *lc;

	foreach(lc, run->held)
		table_close(lfirst(lc), NoLock);
	list_free(run->held);
	run->held = NIL;
}

/* The statement that cures, on a table. */
static const char *
alter(Relation relation, const char *what)
{
	return psprintf("ALTER TABLE %s %s;",
					stedi_zone_query_relation(RelationGetRelid(relation)), what);
}

static void
refuse_column(Relation relation, Form_pg_attribute column, const char *what, const char *cure)
{
	ereport(ERROR,
			errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			errmsg("column \"%s\" of table \"%s\" %s", NameStr(column->attname),
				   RelationGetRelationName(relation), what),
			errhint("%s",
					alter(relation, psprintf(cure, quote_identifier(NameStr(column->attname))))));
}

/*
 * Columns must be able to hold what a run writes, and must not take the names
 * of two people for equal.
 */
static void
check_columns(Relation relation)
{
	TupleDesc	tupdesc = RelationGetDescr(relation);

	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(tupdesc, i);

		if (column->attisdropped)
			continue;
		if (column->attgenerated != '\0')
			refuse_column(relation, column, "is generated", "ALTER COLUMN %s DROP EXPRESSION");
		if (column->attidentity != '\0')
			refuse_column(relation, column, "is an identity column",
						  "ALTER COLUMN %s DROP IDENTITY");
		if (OidIsValid(column->attcollation) &&
			!get_collation_isdeterministic(column->attcollation))
			refuse_column(relation, column,
						  "has a nondeterministic collation, which mixes people up",
						  "ALTER COLUMN %s TYPE text COLLATE \"default\"");
	}
}

/* Does Citus have the rows of the table on its nodes? */
static bool
is_distributed(Oid relid)
{
	Oid			catalog = get_relname_relid("pg_dist_partition", PG_CATALOG_NAMESPACE);

	return OidIsValid(catalog) &&
		stedi_zone_query_count(psprintf("SELECT FROM pg_catalog.pg_dist_partition"
										" WHERE logicalrelid = %u",
										relid)) > 0;
}

/*
 * Check a part of a table: rows that are stored elsewhere cannot be taken out
 * here.
 */
static void
check_part(const ZoneRun *run, Relation relation, const char *table)
{
	char		kind = relation->rd_rel->relkind;
	const char *owner = GetUserNameFromId(run->owner, true);

	if (relation->rd_rel->relowner != run->owner)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("part \"%s\" of table \"%s\" belongs to role \"%s\", "
					   "the table to role \"%s\"",
					   RelationGetRelationName(relation), table,
					   GetUserNameFromId(relation->rd_rel->relowner, true), owner),
				errhint("%s", alter(relation, psprintf("OWNER TO %s", quote_identifier(owner)))));

	if ((kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE) ||
		is_distributed(RelationGetRelid(relation)))
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("part \"%s\" of table \"%s\" is not a plain table of this server",
					   RelationGetRelationName(relation), table),
				errdetail("Rows of people who withdraw could not be taken out of it."),
				errhint("Detach it, and have a plain table in its place."));
	if (relation->rd_rel->relrowsecurity && relation->rd_rel->relforcerowsecurity &&
		!has_bypassrls_privilege(relation->rd_rel->relowner))
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("row-level security of table \"%s\" holds for its owner, too",
					   RelationGetRelationName(relation)),
				errdetail("Rows that a run must take out could be hidden from it."),
				errhint("%s", alter(relation, "NO FORCE ROW LEVEL SECURITY")));
	check_columns(relation);
}

/* Check the parents of the table: a foreign one cannot have its rows. */
static void
check_parents(ZoneRun *run, Relation relation)
{
	char	   *parent =
	stedi_zone_query_text(run,
						  psprintf("SELECT c.oid::regclass::text FROM pg_inherits i"
								   " JOIN pg_class c ON c.oid = i.inhparent"
								   " WHERE i.inhrelid = %u AND c.relkind = 'f' LIMIT 1",
								   RelationGetRelid(relation)));

	if (parent != NULL)
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("table \"%s\" inherits from foreign table %s",
					   RelationGetRelationName(relation), parent),
				errhint("%s", alter(relation, psprintf("NO INHERIT %s", parent))));
}

/* The table has the columns that a run writes. */
static void
check_shape(ZoneRun *run, ZoneTableId id)
{
	char	   *columns = stedi_zone_query_columns(run, run->relid[id]);

	if (columns == NULL || strcmp(columns, stedi_zone_tables[id].columns) != 0)
		ereport(ERROR,
				errcode(ERRCODE_DATATYPE_MISMATCH),
				errmsg("table \"%s\" in schema \"%s\" has other columns than materialize writes",
					   stedi_zone_tables[id].name, run->target_name),
				errdetail("It should have: %s.", stedi_zone_tables[id].columns),
				errhint("Rename or drop it, or materialize into another schema; "
						"add columns of your own in a view."));
}

void
stedi_zone_hold_table(ZoneRun *run, ZoneTableId id, LOCKMODE mode)
{
	List	   *parts = find_all_inheritors(run->relid[id], mode, NULL);
	ListCell   *lc;

	foreach(lc, parts)
	{
		Relation	relation = stedi_zone_hold(run, lfirst_oid(lc));

		check_part(run, relation, stedi_zone_tables[id].name);
		run->cascades |= relation->rd_rel->relhastriggers;
		if (lfirst_oid(lc) == run->relid[id])
			check_parents(run, relation);
	}
	check_shape(run, id);
}

void
stedi_zone_hold_check(const ZoneRun *run)
{
	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (OidIsValid(run->relid[id]) &&
			get_relname_relid(stedi_zone_tables[id].name,
							  get_namespace_oid(run->target_name, true)) != run->relid[id])
			ereport(ERROR,
					errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("table \"%s\" in schema \"%s\" was renamed while the run wrote it",
						   stedi_zone_tables[id].name, run->target_name),
					errhint("See what triggers of these tables do."));
}

/* The owner of what must be a table. */
Oid
stedi_zone_table_owner(const ZoneRun *run, Oid relid, const char *name)
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

/* The table belongs to that role; else an error. */
void
stedi_zone_check_owner(const ZoneRun *run, Oid relid, const char *schema, const char *name,
					   Oid wanted)
{
	Oid			owner = stedi_zone_table_owner(run, relid, name);

	if (owner != wanted)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("table \"%s\" in schema \"%s\" belongs to role \"%s\", "
					   "others there to role \"%s\"",
					   name, schema, GetUserNameFromId(owner, true),
					   GetUserNameFromId(wanted, true)),
				errhint("Give them one owner with ALTER TABLE ... OWNER TO, "
						"or materialize into another schema."));
}

Oid
stedi_zone_lock_table(const ZoneRun *run, const char *schema, const char *name, Oid owner,
					  LOCKMODE mode)
{
	Oid			relid = RangeVarGetRelid(makeRangeVar(unconstify(char *, schema),
													  unconstify(char *, name), -1),
										 mode, true);

	if (OidIsValid(relid))
		stedi_zone_check_owner(run, relid, schema, name, owner);
	return relid;
}
