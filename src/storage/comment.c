/*-------------------------------------------------------------------------
 *
 * comment.c
 *		What psql shows of the five tables.
 *
 *-------------------------------------------------------------------------
 */
#include "storage/storage.h"

#include "access/table.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/rel.h"

char *
stedi_zone_table_comment(const ZoneRun *run, ZoneTableId id)
{
	const char *text = stedi_zone_tables[id].comment;

	if (id == ZONE_MACHINE_LEARNING_CURATED && run->match_time)
		text = "Each step reading with each accelerometer reading of anybody at the same time: "
			"a row may pair one person's steps with another's movements; "
			"serialnumber is a pseudonym, not anonymity";
	return psprintf("%s. Made by stedi.materialize with consent => '%s'.", text, run->consent);
}

void
stedi_zone_table_comment_columns(const ZoneRun *run, ZoneTableId id)
{
	StringInfoData statements;
	Relation	relation = table_open(run->relid[id], AccessShareLock);
	const char *table = stedi_zone_query_table(run, id);

	initStringInfo(&statements);
	for (int i = 0; i < RelationGetDescr(relation)->natts; i++)
	{
		const char *column = NameStr(TupleDescAttr(RelationGetDescr(relation), i)->attname);
		const char *comment = stedi_zone_column_comment(column);

		if (comment != NULL)
			appendStringInfo(&statements, "COMMENT ON COLUMN %s.%s IS %s;", table,
							 quote_identifier(column), quote_literal_cstr(comment));
	}
	table_close(relation, NoLock);
	stedi_zone_query_run(statements.data);
}
