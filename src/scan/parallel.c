/*-------------------------------------------------------------------------
 *
 * parallel.c
 *		The parts of leader and workers in a scan of several processes.
 *
 * share.c has what lies in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "scan/state.h"

Size
stedi_scan_shared_size(StediScan *scan)
{
	stedi_scan_list(scan);
	return stedi_share_size(scan->listing);
}

void
stedi_scan_share(StediScan *scan, StediScanShared *shared, int n_processes)
{
	stedi_scan_list(scan);
	stedi_scan_rescan(scan);
	stedi_share_init(shared, scan->listing, n_processes, scan->rescanned);
	scan->shared = shared;
	stedi_scan_start_progress(scan, stedi_share_progress(shared));
}

void
stedi_scan_share_again(StediScan *scan)
{
	scan->warned_rejects = Max(scan->warned_rejects, stedi_share_rejected(scan->shared));
	stedi_scan_rescan(scan);
	scan->rescanned = true;
	stedi_share_restart(scan->shared);
	stedi_scan_start_progress(scan, stedi_share_progress(scan->shared));
}

void
stedi_scan_join(StediScan *scan, StediScanShared *shared)
{
	MemoryContext caller = MemoryContextSwitchTo(scan->scan_cxt);

	scan->listing = stedi_share_listing(shared);
	scan->shared = shared;
	scan->rescanned = stedi_share_is_rescanned(shared);
	scan->progress = stedi_share_progress(shared);
	scan->worker = true;
	MemoryContextSwitchTo(caller);
	stedi_progress_join(scan->progress);
}

void
stedi_scan_end_share(StediScan *scan)
{
	if (scan->shared != NULL)
		stedi_share_end(scan->shared);
}

void
stedi_scan_contribute(StediScan *scan)
{
	if (scan->shared == NULL || scan->contributed)
		return;
	stedi_share_add(scan->shared, stedi_scan_stats(scan), scan->listing);
	scan->contributed = true;
}

void
stedi_scan_collect(StediScan *scan)
{
	uint64		n_requests = stedi_scan_stats(scan)->requests;

	if (scan->shared == NULL)
		return;
	stedi_scan_contribute(scan);
	stedi_share_sum(scan->shared, &scan->stats, scan->listing);
	scan->others_requests += scan->stats.requests - n_requests;
	scan->rescanned = true;		/* who reads from here on reads again */
	stedi_scan_stop_progress(scan);
	scan->shared = NULL;
}
