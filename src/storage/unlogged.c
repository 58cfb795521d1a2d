/*-------------------------------------------------------------------------
 *
 * unlogged.c
 *		Unlogged storage that an abort deletes.
 *
 * The server deletes the files before it writes the log of the abort: it keeps
 * the file of the main fork, empty, until the next checkpoint, and none of the
 * init fork.  After a crash between the two, recovery makes the init fork
 * again, does not learn of the abort, cannot copy the one fork over the other,
 * and fails once.  So the log is flushed before the files are deleted.
 *
 *-------------------------------------------------------------------------
 */
#include "storage/storage.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"

/* This transaction has made unlogged storage. */
static bool made_unlogged = false;

/* Flush all that has been logged.  Never throws; what cannot be written is a PANIC. */
static void
flush_log(void)
{
	XLogRecPtr	end = GetXLogInsertRecPtr();

	/*
	 * the place of the next record may be behind a page header, where no
	 * record ends
	 */
	if (XLogSegmentOffset(end, wal_segment_size) == SizeOfXLogLongPHD)
		end -= SizeOfXLogLongPHD;
	else if (end % XLOG_BLCKSZ == SizeOfXLogShortPHD)
		end -= SizeOfXLogShortPHD;
	XLogFlush(end);
}

/* The log of an abort goes to disk before its unlogged storage is deleted. */
static void
flush_abort(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT && made_unlogged)
		flush_log();
	made_unlogged &= (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE);
}

static void
flush_subabort(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && made_unlogged)
		flush_log();
}

void
stedi_zone_unlogged_note(void)
{
	static bool registered = false;

	made_unlogged = true;
	if (registered)
		return;
	RegisterXactCallback(flush_abort, NULL);
	RegisterSubXactCallback(flush_subabort, NULL);
	registered = true;
}
