/*-------------------------------------------------------------------------
 *
 * import.c
 *		IMPORT FOREIGN SCHEMA landing: the three tables that materialize reads.
 *
 * It looks at nothing, so its options say where their objects are.  What looks
 * is the remote schema "inferred": see infer.c.
 *
 *-------------------------------------------------------------------------
 */
#include "fdw/fdw.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

/* A column's definition.  The importer's search_path finds no other type. */
static void
append_column(StringInfo command, const StediLandingColumn *column)
{
	if (command->data[command->len - 1] != '(')
		appendStringInfoString(command, ", ");
	appendStringInfo(command, "%s %s", quote_identifier(column->name),
					 column->type == TEXTOID ? "pg_catalog.text" : format_type_be(column->type));
}

List *
stedi_import_landing(List *given, const char *server_name)
{
	List	   *commands = NIL;

	stedi_option_check_import(given);
	for (int i = 0; i < STEDI_N_LANDING; i++)
	{
		const StediLandingTable *table = &stedi_schema_landing[i];
		const char *prefix = stedi_option_given(given, table->option);
		StringInfoData command;

		initStringInfo(&command);
		appendStringInfo(&command, "CREATE FOREIGN TABLE %s (", table->name);
		append_column(&command, &table->columns[table->first]);
		for (int k = 0; k < table->n_columns; k++)
			if (k != table->first)
				append_column(&command, &table->columns[k]);
		appendStringInfo(&command, ") SERVER %s OPTIONS (prefix %s)",
						 quote_identifier(server_name),
						 quote_literal_cstr(prefix != NULL ? prefix : table->prefix));
		commands = lappend(commands, command.data);
	}
	return commands;
}
