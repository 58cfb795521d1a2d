/*-------------------------------------------------------------------------
 *
 * stedi.c
 *		What the server calls when it loads the module, and the settings.
 *
 *-------------------------------------------------------------------------
 */
#include "storage/storage.h"

#include "utils/guc.h"

PG_MODULE_MAGIC_EXT(.name = "stedi",.version = STEDI_VERSION);

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	DefineCustomBoolVariable("stedi.report_phases",
							 "Tells of each phase of a scan or of stedi.materialize in a NOTICE.",
							 NULL,
							 &stedi_report_phases,
							 false,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("stedi.swap_timeout",
							"How long full_refresh waits for the readers of a table before it puts "
							"the new contents in place.",
							"A reader that stays longer is named in the error; "
							"nothing is changed then.",
							&stedi_swap_timeout,
							10000, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	MarkGUCPrefixReserved("stedi");
}
