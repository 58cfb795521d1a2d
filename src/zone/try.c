/*-------------------------------------------------------------------------
 *
 * try.c
 *		Steps of a run that may fail, or that are undone in any case.
 *
 *-------------------------------------------------------------------------
 */
#include "zone/zone.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

ErrorData *
stedi_zone_try(ZoneRun *run, ZoneSteps steps, void *arg, bool undo)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;	/* the subtransaction's: it must end
										 * first */

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		steps(run, arg);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(run->cxt);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	if (error == NULL && !undo)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return error;
}

void
stedi_zone_connected(ZoneRun *run, void *arg)
{
	const ZoneCall *call = arg;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	call->steps(run, call->arg);
	stedi_zone_hold_check(run);
	stedi_zone_hold_release_all(run);
	SPI_finish();
}
