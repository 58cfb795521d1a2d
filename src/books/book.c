/*-------------------------------------------------------------------------
 *
 * book.c
 *		What is kept of a target from run to run.
 *
 *	 stedi_rule			the rules that the tables follow, and the landing
 *						schema that they are made from: one row
 *	 stedi_run			one row a run and table: the report
 *	 stedi_state		how the last run left the tables: one row
 *	 stedi_object		the landing objects that the tables were made from
 *	 stedi_device		devices of which it takes more than their holder's
 *						consent to know whose readings are
 *	 stedi_key			the key of all hashes of people: one row
 *	 stedi_forgotten	who is to be forgotten, by keyed hash
 *	 stedi_history		whose consent came and went, likewise
 *	 stedi_expectation	what rows are expected to be like, and how many were
 *
 * books/schema.c says in which schema they are, and whose.  People and devices
 * are in them as hashes under the key.  Other values of records are: in
 * stedi_object the times of an object's first and last reading, which tell
 * objects that need not be read, and the next date at which a customer record
 * comes into force; in stedi_device the time since which a device that was
 * handed on is its holder's.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"

#include "catalog/pg_type.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"


/* The table with its schema, quoted. */
static const char *
full_name(const ZoneRun *run, const ZoneBookTable *book)
{
	return quote_qualified_identifier(run->store.name, book->name);
}

/*
 * The roles, other than its owner and that of the five tables, to which a
 * bookkeeping table or a column of it is granted; NULL: none. which: a
 * condition on the privileges.
 */
char *
stedi_zone_book_granted(ZoneRun *run, const ZoneBookTable *book, const char *which)
{
	return stedi_zone_query_text(run,
								 psprintf("SELECT string_agg(DISTINCT CASE grantee"
										  " WHEN 0 THEN 'PUBLIC'"
										  "   ELSE quote_ident(pg_get_userbyid(grantee)) END, ', ')"
										  " FROM pg_class c, LATERAL ("
										  "SELECT (aclexplode(c.relacl)).* UNION ALL"
										  "   SELECT (aclexplode(attacl)).* FROM pg_attribute"
										  " WHERE attrelid = c.oid) a"
										  " WHERE c.relnamespace = %u AND c.relname = %s"
										  " AND grantee NOT IN (c.relowner, %u)"
										  " AND %s",
										  run->store.schema, quote_literal_cstr(book->name),
										  run->owner, which));
}

/* Add columns, given as in CREATE TABLE, to a table. */
static void
add_columns(const char *table, const char *columns)
{
	char	   *rest = pstrdup(columns);

	for (char *column; (column = strsep(&rest, ",")) != NULL;)
		stedi_zone_query_run(psprintf("ALTER TABLE %s ADD %s", table, column));
}

/* All columns that the table should have. */
static const char *
wanted_columns(const ZoneBookTable *book)
{
	return book->added == NULL ? book->columns : psprintf("%s, %s", book->columns, book->added);
}

/* Why the table is not one of ours; NULL: it is, but for columns that 1.0 did not have. */
static const char *
find_fault(ZoneRun *run, const ZoneBookTable *book, Oid relid, bool *is_old)
{
	char	   *columns = stedi_zone_query_columns(run, relid);

	*is_old = false;
	if (get_rel_relkind(relid) != RELKIND_RELATION)
		return "It is not a plain table.";
	if (columns != NULL && strcmp(columns, wanted_columns(book)) == 0)
		return NULL;
	if (columns != NULL && strcmp(columns, book->columns) == 0)
	{
		*is_old = true;
		return NULL;
	}
	return psprintf("It should have: %s.", wanted_columns(book));
}

static void
refuse(const ZoneRun *run, const ZoneBookTable *book, const char *fault)
{
	ereport(ERROR,
			errcode(ERRCODE_DATATYPE_MISMATCH),
			errmsg("table \"%s\" in schema \"%s\" has other columns than stedi.materialize gave it",
				   book->name, run->store.name),
			errdetail("%s", fault),
			errhint("Restore it from a backup; what it holds cannot be made anew."));
}

/* Is it one that every target has, and that cannot be made anew? */
static bool
is_lost_for_good(ZoneBook book)
{
	return book == ZONE_BOOK_KEY || book == ZONE_BOOK_FORGOTTEN || book == ZONE_BOOK_HISTORY;
}

void
stedi_zone_book_check_writers(ZoneRun *run, ZoneBook book)
{
	char	   *writers = stedi_zone_book_granted(run, &stedi_zone_books[book],
												  "privilege_type IN ('INSERT', 'UPDATE')");

	if (writers != NULL)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("others than its owner can write into table \"%s\" in schema \"%s\"",
					   stedi_zone_books[book].name, run->store.name),
				errdetail("Functions in its conditions run with the privileges of the owner of the "
						  "five tables."),
				errhint("REVOKE INSERT, UPDATE ON TABLE %s FROM %s;",
						full_name(run, &stedi_zone_books[book]), writers));
}

Oid
stedi_zone_book_find(ZoneRun *run, ZoneBook book, LOCKMODE mode)
{
	Oid			relid = get_relname_relid(stedi_zone_books[book].name, run->store.schema);
	const char *fault;
	bool		is_old;

	if (!OidIsValid(relid))
		return InvalidOid;

	/*
	 * a role that may create tables in a target of 1.0 must not block the run
	 */
	if (!run->store.ours && !is_lost_for_good(book) &&
		stedi_zone_store_relation_owner(relid) != run->store.owner)
		return InvalidOid;
	relid = stedi_zone_lock_table(run, run->store.name, stedi_zone_books[book].name,
								  run->store.owner, mode);
	if (!OidIsValid(relid))
		return InvalidOid;
	fault = find_fault(run, &stedi_zone_books[book], relid, &is_old);
	if (fault == NULL)
		return relid;
	if (stedi_zone_books[book].precious || run->read_only)
		refuse(run, &stedi_zone_books[book], fault);
	ereport(NOTICE,
			errmsg("table \"%s\" in schema \"%s\" is not as stedi.materialize left it, "
				   "and is made anew",
				   stedi_zone_books[book].name, run->store.name));
	stedi_zone_query_run(psprintf("DROP TABLE %s", full_name(run, &stedi_zone_books[book])));
	return InvalidOid;
}

/* Make the table, empty.  As the bookkeeping's owner. */
static void
create_book(ZoneRun *run, const ZoneBookTable *book)
{
	const char *name = full_name(run, book);
	const char *owner = quote_identifier(GetUserNameFromId(run->owner, false));
	char	   *grantees;

	stedi_zone_query_run(psprintf("CREATE TABLE %s (%s, CONSTRAINT %s CHECK ((%s) IS TRUE))",
								  name, wanted_columns(book),
								  quote_identifier(psprintf("%s_valid", book->name)), book->valid));
	stedi_zone_query_run(psprintf("ALTER TABLE %s REPLICA IDENTITY FULL", name));
	stedi_zone_query_run(psprintf("COMMENT ON TABLE %s IS %s", name,
								  quote_literal_cstr(book->comment)));

	if (book->storage != NULL)
		stedi_zone_query_run(psprintf(book->storage, name));

	/* what default privileges gave away */
	grantees = stedi_zone_book_granted(run, book, "true");
	if (grantees != NULL)
		stedi_zone_query_run(psprintf("REVOKE ALL ON TABLE %s FROM %s", name, grantees));
	if (run->owner != run->store.owner)
	{
		stedi_zone_query_run(psprintf("REVOKE ALL ON TABLE %s FROM %s", name, owner));
		stedi_zone_query_run(psprintf("GRANT SELECT ON TABLE %s TO %s WITH GRANT OPTION",
									  name, owner));
	}
}

void
stedi_zone_book_make(ZoneRun *run, ZoneBook book)
{
	const char *name = full_name(run, &stedi_zone_books[book]);
	ZoneUser	user;
	Oid			relid;

	stedi_zone_store_enter(run, &user);
	relid = stedi_zone_book_find(run, book, ShareRowExclusiveLock);
	if (!OidIsValid(relid))
	{
		create_book(run, &stedi_zone_books[book]);
		if (stedi_zone_books[book].initial != NULL)
			stedi_zone_query_run(psprintf(stedi_zone_books[book].initial, name));
		run->books_lost |= stedi_zone_books[book].needed;
	}
	else
	{
		bool		is_old;

		(void) find_fault(run, &stedi_zone_books[book], relid, &is_old);
		if (is_old)
			add_columns(name, stedi_zone_books[book].added);
	}
	stedi_zone_store_leave(&user);
}

void
stedi_zone_book_receive(ZoneRun *run, ZoneBook book, const char *columns, const char *from)
{
	const ZoneBookTable *table = &stedi_zone_books[book];

	create_book(run, table);
	if (stedi_zone_query_count(psprintf("SELECT FROM %s WHERE (%s) IS NOT TRUE",
										from, table->valid)) == 0)
	{
		stedi_zone_query_run(psprintf("INSERT INTO %s (%s) SELECT %s FROM %s",
									  full_name(run, table), columns, columns, from));
		return;
	}
	if (table->precious)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("table \"%s\" of schema \"%s\" has rows that no run has written",
					   table->name, run->target_name),
				errhint("Restore it from a backup; what it holds cannot be made anew."));
	ereport(NOTICE,
			errmsg("table \"%s\" of schema \"%s\" has rows that no run has written, "
				   "and is made anew",
				   table->name, run->target_name));
	run->books_lost |= table->needed;
}
