/*-------------------------------------------------------------------------
 *
 * schema.c
 *		The schema that a target's bookkeeping is in, and who may write there.
 *
 * The bookkeeping of target "project" is in schema "stedi_books_project".  It
 * belongs to the owner of the extension.  The owner of the five tables may
 * read it, and can neither change it nor hang code on it.  Neither the schema
 * nor its tables are members of the extension, so that DROP EXTENSION leaves
 * them and dumps have them.
 *
 * A target finds its bookkeeping by a dependency: the schema of the
 * bookkeeping depends on that of the target.  So the target may be renamed,
 * and DROP SCHEMA ... CASCADE drops both.  Dumps do not have that dependency:
 * what is restored is found by its name.
 *
 * Two kinds of bookkeeping belong to the owner of the five tables: that of
 * stedi 1.0, which is in the target itself, and what a role that is no
 * superuser has restored.  A look reads it where it is; a run brings it over
 * (books/adopt.c).
 *
 * Statements on the bookkeeping run as its owner.  They read and write the
 * bookkeeping and relations that the run has kept, and nothing else: a table
 * of another role could run that role's code with the rights of the
 * bookkeeping's owner.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "commands/extension.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#define STORE_PREFIX "stedi_books_"

/* Names that are tried before a run gives up: others may have taken the first. */
#define MOST_CANDIDATES 99

/* Bytes behind a name that is cut: its hash, and the number of the candidate. */
#define CUT_SUFFIX_LEN (1 + 8 + 1 + 2)

/* Who owns the extension. */
Oid
stedi_zone_store_extension_owner(void)
{
	Relation	relation = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("stedi"));
	scan = systable_beginscan(relation, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	if (!OidIsValid(owner))
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("extension \"%s\" does not exist", "stedi"),
				errhint("CREATE EXTENSION stedi;"));
	return owner;
}

/* May the bookkeeping be trusted, as no other role can write it? */
static bool
is_trusted(Oid role)
{
	return superuser_arg(role) || role == stedi_zone_store_extension_owner();
}

/* The owner of a schema; InvalidOid when it is not there. */
static Oid
schema_owner(Oid schema)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	Oid			owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

static bool
is_store_name(const char *name)
{
	return name != NULL && strncmp(name, STORE_PREFIX, strlen(STORE_PREFIX)) == 0;
}

/* The name that the bookkeeping of a target has: the n-th, from 1 on.  Palloc'd. */
static char *
candidate_name(const char *target, int n)
{
	int			room = NAMEDATALEN - 1 - (int) strlen(STORE_PREFIX);
	int			len = (int) strlen(target);
	char	   *name;

	/* room for "_99" behind it */
	if (len <= room - 3)
		name = psprintf(STORE_PREFIX "%s", target);
	else
		name = psprintf(STORE_PREFIX "%.*s_%08x",
						pg_mbcliplen(target, len, room - CUT_SUFFIX_LEN), target,
						hash_bytes((const unsigned char *) target, len));
	return n == 1 ? name : psprintf("%s_%d", name, n);
}

/*
 * The schema at the other end of a dependency of one schema on another:
 * forward, that which `schema` depends on; else, bookkeeping that depends on
 * it.  InvalidOid: there is none.
 */
static Oid
follow_dependency(Oid schema, bool forward)
{
	Relation	relation = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			found = InvalidOid;

	ScanKeyInit(&keys[0], forward ? Anum_pg_depend_classid : Anum_pg_depend_refclassid,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(NamespaceRelationId));
	ScanKeyInit(&keys[1], forward ? Anum_pg_depend_objid : Anum_pg_depend_refobjid,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(schema));
	scan = systable_beginscan(relation, forward ? DependDependerIndexId : DependReferenceIndexId,
							  true, NULL, lengthof(keys), keys);
	while (!OidIsValid(found) && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);

		if (depend->classid != NamespaceRelationId || depend->refclassid != NamespaceRelationId)
			continue;
		found = forward ? depend->refobjid : depend->objid;
		if (!forward &&
			(!is_store_name(get_namespace_name(found)) || !is_trusted(schema_owner(found))))
			found = InvalidOid;
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return found;
}

static void
set_store(ZoneRun *run, Oid schema, bool ours)
{
	run->store.schema = schema;
	run->store.name = MemoryContextStrdup(run->cxt, get_namespace_name(schema));
	run->store.owner = schema_owner(schema);
	run->store.ours = ours;
}

Oid
stedi_zone_store_relation_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

/* Has the target bookkeeping of its own, as stedi 1.0 kept it? */
static bool
has_old_books(const ZoneRun *run)
{
	for (int book = 0; book < ZONE_N_BOOKS && OidIsValid(run->owner); book++)
		if (stedi_zone_store_relation_owner(get_relname_relid(stedi_zone_book_name(book),
															  run->target)) == run->owner)
			return true;
	return false;
}

void
stedi_zone_store_find(ZoneRun *run)
{
	Oid			schema = follow_dependency(run->target, false);

	memset(&run->store, 0, sizeof(run->store));
	if (OidIsValid(schema))
	{
		set_store(run, schema, true);
		return;
	}

	/* what was restored belongs to no target yet */
	for (int n = 1; n <= MOST_CANDIDATES; n++)
	{
		char	   *name = candidate_name(run->target_name, n);
		Oid			owner;

		schema = get_namespace_oid(name, true);
		if (!OidIsValid(schema))
			break;

		/* it may be the first name of another target's */
		if (n > 1 && OidIsValid(get_namespace_oid(name + strlen(STORE_PREFIX), true)))
			continue;
		owner = schema_owner(schema);
		if (is_trusted(owner) && !OidIsValid(follow_dependency(schema, true)))
		{
			set_store(run, schema, true);
			return;
		}
		if (owner == run->owner)
		{
			set_store(run, schema, false);
			return;
		}
	}
	if (has_old_books(run))
	{
		set_store(run, run->target, false);
		run->store.owner = run->owner;
	}
}

/*
 * Bookkeeping that belongs to no schema may be this target's, which was
 * renamed before it was dumped.  Only its owner can say that it is not.  Without
 * it, people who are forgotten would come back.
 */
static void
check_orphans(const ZoneRun *run)
{
	Relation	relation = table_open(NamespaceRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_namespace form = (Form_pg_namespace) GETSTRUCT(tuple);
		const char *name = NameStr(form->nspname);

		if (!is_store_name(name) || !is_trusted(form->nspowner) ||
			OidIsValid(follow_dependency(form->oid, true)) ||
			OidIsValid(get_namespace_oid(name + strlen(STORE_PREFIX), true)))
			continue;
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("schema \"%s\" has no bookkeeping, "
					   "and schema \"%s\" is the bookkeeping of no schema",
					   run->target_name, name),
				errhint("If it is this one's, have a superuser do: ALTER SCHEMA %s RENAME TO %s; "
						"else have it dropped.",
						quote_identifier(name),
						quote_identifier(candidate_name(run->target_name, 1))));
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
}

/* Without its bookkeeping, it is not known who is forgotten. */
void
stedi_zone_store_check_lost(ZoneRun *run)
{
	char	   *comment;

	if (!OidIsValid(run->relid[ZONE_CUSTOMER_TRUSTED]))
		return;
	comment = stedi_zone_query_text(run, psprintf("SELECT obj_description(%u, 'pg_class')",
												  run->relid[ZONE_CUSTOMER_TRUSTED]));
	if (comment == NULL || strstr(comment, "stedi.materialize") == NULL)
		return;
	check_orphans(run);
	if (run->asked != NULL)
		return;
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("the bookkeeping of schema \"%s\" is gone", run->target_name),
			errdetail("It was in schema \"%s\", with the list of those who are to be forgotten.",
					  candidate_name(run->target_name, 1)),
			errhint("Restore that schema from a backup. "
					"To begin anew, with nobody forgotten, call %s.",
					stedi_zone_query_call(run, "materialize", ", consent => 'since_consent'")));
}

/* Record that the bookkeeping is the target's, where nothing says so yet. */
static void
link_store(const ZoneRun *run)
{
	ObjectAddress store;
	ObjectAddress target;

	if (OidIsValid(follow_dependency(run->store.schema, true)))
		return;
	ObjectAddressSet(store, NamespaceRelationId, run->store.schema);
	ObjectAddressSet(target, NamespaceRelationId, run->target);
	recordDependencyOn(&store, &target, DEPENDENCY_NORMAL);
	CommandCounterIncrement();
}

/*
 * The first name of the target's that no schema has, or that the bookkeeping
 * has now; where others have taken them all, any.
 */
static char *
free_name(const ZoneRun *run)
{
	for (int n = 1; n <= MOST_CANDIDATES; n++)
	{
		char	   *name = candidate_name(run->target_name, n);
		Oid			schema = get_namespace_oid(name, true);

		if (!OidIsValid(schema) || (run->store.ours && schema == run->store.schema))
			return name;
	}
	if (!run->store.ours)
	{
		uint64		number;

		if (!pg_strong_random(&number, sizeof(number)))
			ereport(ERROR,
					errcode(ERRCODE_INTERNAL_ERROR),
					errmsg("could not generate random values"));
		return psprintf(STORE_PREFIX "%016llx", (unsigned long long) number);
	}
	return pstrdup(run->store.name);
}

/* The target was renamed since: so is its bookkeeping. */
static void
rename_store(ZoneRun *run)
{
	char	   *name = free_name(run);

	if (strcmp(name, run->store.name) == 0)
		return;
	stedi_zone_query_run(psprintf("ALTER SCHEMA %s RENAME TO %s", quote_identifier(run->store.name),
								  quote_identifier(name)));
	run->store.name = MemoryContextStrdup(run->cxt, name);
}

static void
make_store(ZoneRun *run)
{
	char	   *name = free_name(run);
	const char *comment;
	char	   *grantees;

	stedi_zone_query_run(psprintf("CREATE SCHEMA %s", quote_identifier(name)));
	set_store(run, get_namespace_oid(name, false), true);
	comment = psprintf("Bookkeeping of stedi.materialize for schema %s: dump both together. "
					   "Read it, and change it with the functions of schema stedi only.",
					   quote_identifier(run->target_name));
	stedi_zone_query_run(psprintf("COMMENT ON SCHEMA %s IS %s", quote_identifier(name),
								  quote_literal_cstr(comment)));

	/* what default privileges gave away */
	grantees = stedi_zone_query_text(run,
									 psprintf("SELECT string_agg(DISTINCT CASE grantee"
											  " WHEN 0 THEN 'PUBLIC'"
											  "   ELSE quote_ident(pg_get_userbyid(grantee)) END,"
											  " ', ')"
											  " FROM pg_namespace, aclexplode(nspacl)"
											  " WHERE pg_namespace.oid = %u"
											  " AND grantee <> nspowner",
											  run->store.schema));
	if (grantees != NULL)
		stedi_zone_query_run(psprintf("REVOKE ALL ON SCHEMA %s FROM %s",
									  quote_identifier(name), grantees));
}

void
stedi_zone_store_place(ZoneRun *run, bool ours)
{
	if (ours)
		rename_store(run);
	else
		make_store(run);
	link_store(run);
}

void
stedi_zone_store_enter(const ZoneRun *run, ZoneUser *before)
{
	GetUserIdAndSecContext(&before->role, &before->security);
	if (before->role != run->store.owner)
		SetUserIdAndSecContext(run->store.owner,
							   before->security | SECURITY_LOCAL_USERID_CHANGE);

	/* code of the tables' owner may have set search_path to schemas of theirs */
	before->nest_level = NewGUCNestLevel();
	stedi_zone_pin_settings();
}

void
stedi_zone_store_leave(const ZoneUser *before)
{
	if (before->nest_level > 0)
		AtEOXact_GUC(false, before->nest_level);
	SetUserIdAndSecContext(before->role, before->security);
}

int64
stedi_zone_store_run(const ZoneRun *run, const char *template)
{
	ZoneUser	user;
	int64		n;

	stedi_zone_store_enter(run, &user);
	n = stedi_zone_query_run(stedi_zone_query_expand(run, template));
	stedi_zone_store_leave(&user);
	return n;
}

uint64
stedi_zone_store_with(const ZoneRun *run, const char *template, int n, const Oid *types,
					  const Datum *values, const char *nulls)
{
	ZoneUser	user;
	uint64		n_rows;

	stedi_zone_store_enter(run, &user);
	n_rows = stedi_zone_query_with(stedi_zone_query_expand(run, template), n, types, values, nulls);
	stedi_zone_store_leave(&user);
	return n_rows;
}

void
stedi_zone_store_query(const ZoneRun *run, ZoneQueryRows *rows, const char *template,
					   const char *types)
{
	ZoneUser	user;

	stedi_zone_store_enter(run, &user);
	stedi_zone_query_open(rows, stedi_zone_query_expand(run, template), types);
	stedi_zone_store_leave(&user);
}

void
stedi_zone_store_values(const ZoneRun *run, const char *template, int n, int64 *values)
{
	ZoneUser	user;

	stedi_zone_store_enter(run, &user);
	stedi_zone_query_values(stedi_zone_query_expand(run, template), n, values);
	stedi_zone_store_leave(&user);
}

char *
stedi_zone_store_text(const ZoneRun *run, const char *template)
{
	ZoneUser	user;
	char	   *text;

	stedi_zone_store_enter(run, &user);
	text = stedi_zone_query_text(run, stedi_zone_query_expand(run, template));
	stedi_zone_store_leave(&user);
	return text;
}

void
stedi_zone_store_keep(ZoneRun *run, const char *name, const char *template)
{
	ZoneUser	user;

	stedi_zone_store_enter(run, &user);
	stedi_zone_query_keep_template(run, name, template);
	stedi_zone_store_leave(&user);
}
