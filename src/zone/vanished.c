/*-------------------------------------------------------------------------
 *
 * vanished.c
 *		Do rows stay whose landing objects have vanished?
 *
 *-------------------------------------------------------------------------
 */
#include "zone/zone.h"

/* Does the run leave readings of vanished objects of this table where they are? */
bool
stedi_zone_keeps_vanished(const ZoneRun *run, ZoneTableId id)
{
	return run->vanished == ZONE_VANISHED_KEEP && id != ZONE_CUSTOMER_TRUSTED;
}

bool
stedi_zone_keeps_rows(const ZoneRun *run)
{
	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (stedi_zone_keeps_vanished(run, id) && run->source[id].vanished != NIL)
			return true;
	return false;
}
