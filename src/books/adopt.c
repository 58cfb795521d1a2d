/*-------------------------------------------------------------------------
 *
 * adopt.c
 *		Bookkeeping that belongs to the owner of the five tables, brought to
 *		where that role cannot change it.
 *
 * It is that of a target of stedi 1.0, or was restored from a dump by a role
 * that is no superuser.  Its owner could write anything into it.  So its rows
 * are read as that owner, and rows that no run can have written are not taken
 * over.  A table that can be made anew then is; for one that cannot, the run
 * ends in an error.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"

#include "catalog/pg_namespace.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* The relation in which the rows of a bookkeeping table are kept meanwhile. */
static const char *
kept_name(ZoneBook book)
{
	return psprintf("adopted_%s", stedi_zone_book_name(book));
}

/* Drop the schema, of which nothing is left, so that its name is free. */
static void
drop_schema(Oid schema, const char *name)
{
	if (stedi_zone_query_count(psprintf("SELECT FROM pg_depend"
										" WHERE refclassid = %u AND refobjid = %u",
										NamespaceRelationId, schema)) == 0)
		stedi_zone_query_run(psprintf("DROP SCHEMA %s", quote_identifier(name)));
}

void
stedi_zone_adopt_take(ZoneRun *run, const ZoneStore *from)
{
	bool		any = false;

	for (int book = 0; book < ZONE_N_BOOKS && OidIsValid(from->schema); book++)
	{
		Oid			relid = stedi_zone_book_find(run, book, AccessExclusiveLock);
		const char *table;

		if (!OidIsValid(relid))
			continue;
		if (book == ZONE_BOOK_EXPECTATION)
			stedi_zone_book_check_writers(run, book);
		table = quote_qualified_identifier(from->name, stedi_zone_book_name(book));
		run->adopted[book] = stedi_zone_query_names(run, relid);
		stedi_zone_query_keep(run, kept_name(book),
							  psprintf("SELECT %s FROM ONLY %s", run->adopted[book], table));
		stedi_zone_query_run(psprintf("DROP TABLE %s", table));
		any = true;
	}
	if (!any)
		return;
	if (from->schema != run->target)
		drop_schema(from->schema, from->name);
	ereport(NOTICE,
			errmsg("bringing the bookkeeping of schema \"%s\" into a schema of its own",
				   run->target_name));
}

void
stedi_zone_adopt_put(ZoneRun *run)
{
	int			n = 0;

	for (int book = 0; book < ZONE_N_BOOKS; book++)
	{
		if (run->adopted[book] == NULL)
			continue;
		stedi_zone_book_receive(run, book, run->adopted[book], kept_name(book));
		run->adopted[book] = NULL;
		n++;
	}

	/* they were kept last */
	while (n-- > 0)
		stedi_zone_query_drop(run);
}
