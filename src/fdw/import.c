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
#include "stedi.h"

#include "utils/builtins.h"

/* The one type here that is found through the importer's search_path. */
#define TEXT "pg_catalog.text"

/* The landing tables that IMPORT FOREIGN SCHEMA knows. */
static const struct
{
	const char *table;
	const char *prefix;			/* unless the option says another */
	const char *option;
	const char *columns;
}			landing_tables[] = {

	{"customer_landing", "customers", "customer_prefix",
		"customername " TEXT ", email " TEXT ", phone " TEXT ", birthday " TEXT ", "
		"serialnumber " TEXT ", registrationdate bigint, lastupdatedate bigint, "
		"sharewithresearchasofdate bigint, sharewithpublicasofdate bigint, "
	"sharewithfriendsasofdate bigint"},
	{"accelerometer_landing", "accelerometer", "accelerometer_prefix",
	"\"user\" " TEXT ", \"timestamp\" bigint, x double precision, y double precision, z double precision"},
	{"step_trainer_landing", "step_trainer", "step_trainer_prefix",
	"sensorreadingtime bigint, serialnumber " TEXT ", distancefromobject integer"},
};

bool
stedi_import_is_landing(const char *table)
{
	for (int i = 0; i < lengthof(landing_tables); i++)
		if (strcmp(landing_tables[i].table, table) == 0)
			return true;
	return false;
}

/* See stedi.h. */
List *
stedi_import_landing(List *given, const char *server_name)
{
	List	   *commands = NIL;

	stedi_option_check_import(given);
	for (int i = 0; i < lengthof(landing_tables); i++)
	{
		const char *prefix = stedi_option_given(given, landing_tables[i].option);

		commands = lappend(commands,
						   psprintf("CREATE FOREIGN TABLE %s (%s) SERVER %s OPTIONS (prefix %s)",
									landing_tables[i].table, landing_tables[i].columns,
									quote_identifier(server_name),
									quote_literal_cstr(prefix != NULL ? prefix : landing_tables[i].prefix)));
	}
	return commands;
}
