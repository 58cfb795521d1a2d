/*-------------------------------------------------------------------------
 *
 * settings.c
 *		Settings by which the statements of a run mean what they say.
 *
 *-------------------------------------------------------------------------
 */
#include "zone/zone.h"

#include "utils/guc.h"

/*
 * Memory of a sort or hash table of the run's own queries, whatever the
 * session's is: with two of them, the consent sets of a million customers stay
 * below 256 MB. More is not faster.
 */
#define RUN_MEMORY "32MB"

void
stedi_zone_pin_settings(void)
{
	static const struct
	{
		const char *name;
		const char *value;
	}			settings[] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"standard_conforming_strings", "on"},
		{"transform_null_equals", "off"},
		{"datestyle", "ISO, YMD"},
		{"extra_float_digits", "1"},	/* numbers as text are to be whole */
		{"row_security", "off"},
		{"quote_all_identifiers", "off"},
		{"jit", "off"},			/* the run's own queries are short */
		{"work_mem", RUN_MEMORY},
		{"hash_mem_multiplier", "1"},
		{"enable_mergejoin", "off"},	/* what a run keeps has no statistics,
										 * and is not worth sorting */
	};

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i].name, settings[i].value, PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}
