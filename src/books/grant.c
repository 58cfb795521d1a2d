/*-------------------------------------------------------------------------
 *
 * grant.c
 *		Who may read a target's bookkeeping.
 *
 * The owner of the five tables may read it, and grant that to others.  When
 * the tables are given to another role, what the former owner has granted
 * goes, too.  PostgreSQL's REVOKE ... CASCADE does not reach privileges on
 * single columns that were granted by a role that held the whole table.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/*
 * The roles to which the owner of the bookkeeping has given it, and that may
 * hand that on.
 */
static List *
readers_of(const ZoneRun *run)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(run->store.schema));
	bool		isnull;
	Datum		datum;
	List	   *readers = NIL;

	if (!HeapTupleIsValid(tuple))
		return NIL;
	datum = SysCacheGetAttr(NAMESPACEOID, tuple, Anum_pg_namespace_nspacl, &isnull);
	if (!isnull)
	{
		Acl		   *acl = DatumGetAclPCopy(datum);

		for (int i = 0; i < ACL_NUM(acl); i++)
		{
			const AclItem *item = &ACL_DAT(acl)[i];

			if (item->ai_grantor == run->store.owner && item->ai_grantee != run->store.owner &&
				(ACLITEM_GET_GOPTIONS(*item) & ACL_USAGE) != 0)
				readers = lappend_oid(readers, item->ai_grantee);
		}
	}
	ReleaseSysCache(tuple);
	return readers;
}

Oid
stedi_zone_grant_reader(const ZoneRun *run)
{
	List	   *readers;

	if (!OidIsValid(run->store.schema) || !run->store.ours)
		return InvalidOid;
	if (run->owner == run->store.owner)
		return run->owner;
	readers = readers_of(run);
	if (readers == NIL)
		return run->store.owner;
	return list_member_oid(readers, run->owner) ? run->owner : linitial_oid(readers);
}

/* Take out of a list of privileges what others than the owner granted. */
static void
keep_owners_grants(Acl *acl, Oid owner)
{
	AclItem    *items = ACL_DAT(acl);
	int			n = 0;

	for (int i = 0; i < ACL_NUM(acl); i++)
		if (items[i].ai_grantor == owner)
			items[n++] = items[i];
	ARR_DIMS(acl)[0] = n;
	SET_VARSIZE(acl, ACL_N_SIZE(n));
}

/*
 * Take what others than the owner granted from the object's row in the
 * catalog, whose column `column` has its privileges.  The row is written even
 * where nothing changes: so a grant that is not committed yet conflicts with
 * it, and one of the two ends in an error.
 */
static void
strip_row(Relation catalog, HeapTuple tuple, int column, const ObjectAddress *object, Oid owner)
{
	TupleDesc	tupdesc = RelationGetDescr(catalog);
	Datum	   *values = palloc0(tupdesc->natts * sizeof(Datum));
	bool	   *nulls = palloc0(tupdesc->natts * sizeof(bool));
	bool	   *replaced = palloc0(tupdesc->natts * sizeof(bool));
	bool		isnull;
	Datum		datum = heap_getattr(tuple, column, tupdesc, &isnull);
	Acl		   *acl = isnull ? NULL : DatumGetAclPCopy(datum);
	Oid		   *before = NULL;
	Oid		   *after = NULL;
	int			n_before = acl == NULL ? 0 : aclmembers(acl, &before);
	int			n_after;

	if (acl != NULL)
		keep_owners_grants(acl, owner);
	n_after = acl == NULL ? 0 : aclmembers(acl, &after);
	replaced[column - 1] = acl != NULL;
	values[column - 1] = PointerGetDatum(acl);

	/* a column without privileges of its own has none listed */
	nulls[column - 1] = object->objectSubId != 0 && acl != NULL && ACL_NUM(acl) == 0;
	CatalogTupleUpdate(catalog, &tuple->t_self,
					   heap_modify_tuple(tuple, tupdesc, values, nulls, replaced));
	if (acl != NULL)
		updateAclDependencies(object->classId, object->objectId, object->objectSubId, owner,
							  n_before, before, n_after, after);
}

/* Take from a relation and its columns what others than its owner granted. */
static void
strip_relation(Relation classes, Relation attributes, Oid relid)
{
	HeapTuple	tuple;
	ObjectAddress object;
	Oid			owner;
	int			n_columns;

	LockRelationOid(relid, ShareUpdateExclusiveLock);
	tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		return;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	n_columns = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
	ObjectAddressSet(object, RelationRelationId, relid);
	strip_row(classes, tuple, Anum_pg_class_relacl, &object, owner);

	for (int n = FirstLowInvalidHeapAttributeNumber + 1; n <= n_columns; n++)
	{
		tuple = SearchSysCacheCopy2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(n));
		if (!HeapTupleIsValid(tuple) || ((Form_pg_attribute) GETSTRUCT(tuple))->attisdropped)
			continue;
		ObjectAddressSubSet(object, RelationRelationId, relid, n);
		strip_row(attributes, tuple, Anum_pg_attribute_attacl, &object, owner);
	}
}

/* The relations of a schema on which there can be privileges, in order. */
static List *
relations_of(Relation classes, Oid schema)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *relids = NIL;

	ScanKeyInit(&key, Anum_pg_class_relnamespace, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(schema));
	scan = systable_beginscan(classes, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->relkind != RELKIND_INDEX && form->relkind != RELKIND_PARTITIONED_INDEX &&
			form->relkind != RELKIND_COMPOSITE_TYPE)
			relids = lappend_oid(relids, form->oid);
	}
	systable_endscan(scan);
	list_sort(relids, list_oid_cmp);
	return relids;
}

/* Take from all bookkeeping what others than its owner granted. */
static void
strip_store(const ZoneRun *run)
{
	Relation	schemas = table_open(NamespaceRelationId, RowExclusiveLock);
	Relation	classes = table_open(RelationRelationId, RowExclusiveLock);
	Relation	attributes = table_open(AttributeRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(NAMESPACEOID, ObjectIdGetDatum(run->store.schema));
	ObjectAddress object;
	ListCell   *lc;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for schema %u", run->store.schema);
	ObjectAddressSet(object, NamespaceRelationId, run->store.schema);
	strip_row(schemas, tuple, Anum_pg_namespace_nspacl, &object, run->store.owner);
	foreach(lc, relations_of(classes, run->store.schema))
		strip_relation(classes, attributes, lfirst_oid(lc));
	table_close(attributes, RowExclusiveLock);
	table_close(classes, RowExclusiveLock);
	table_close(schemas, RowExclusiveLock);
	CommandCounterIncrement();
}

void
stedi_zone_grant(const ZoneRun *run)
{
	const char *name = quote_identifier(run->store.name);
	List	   *readers = readers_of(run);
	bool		is_reader = list_member_oid(readers, run->owner);
	const char *grantee;
	ListCell   *lc;
	Oid			key;

	readers = list_delete_oid(readers, run->owner);
	if (readers != NIL)
		strip_store(run);
	foreach(lc, readers)
	{
		grantee = quote_identifier(GetUserNameFromId(lfirst_oid(lc), false));
		stedi_zone_query_run(psprintf("REVOKE ALL ON SCHEMA %s FROM %s CASCADE", name, grantee));
		stedi_zone_query_run(psprintf("REVOKE ALL ON ALL TABLES IN SCHEMA %s FROM %s CASCADE",
									  name, grantee));
	}
	if (run->owner == run->store.owner)
		return;

	/* all tables are granted at once */
	key = get_relname_relid("stedi_key", run->store.schema);
	if (readers == NIL && is_reader && OidIsValid(key) &&
		pg_class_aclcheck(key, run->owner, ACL_GRANT_OPTION_FOR(ACL_SELECT)) == ACLCHECK_OK)
		return;
	grantee = quote_identifier(GetUserNameFromId(run->owner, false));
	stedi_zone_query_run(psprintf("GRANT USAGE ON SCHEMA %s TO %s WITH GRANT OPTION",
								  name, grantee));
	stedi_zone_query_run(psprintf("GRANT SELECT ON ALL TABLES IN SCHEMA %s TO %s WITH GRANT OPTION",
								  name, grantee));
}
