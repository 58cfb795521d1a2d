/*-------------------------------------------------------------------------
 *
 * try.c
 *		Steps of a run that may fail, or that are undone in any case.
 *
 *-------------------------------------------------------------------------
 */
#include "run/run.h"

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

/*
 * A cancel, a timeout, a lock that was not to be had and want of memory or disk
 * end the call.
 */
bool
stedi_zone_ends_call(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_TRANSACTION_ROLLBACK:
			return true;
	}
	return error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		error->sqlerrcode == ERRCODE_INTERNAL_ERROR;
}

bool
stedi_zone_withdraw_is_unreadable(const ZoneRun *run, const ErrorData *error)
{
	return OidIsValid(run->reading) && !stedi_zone_ends_call(error);
}
