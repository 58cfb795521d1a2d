/*-------------------------------------------------------------------------
 *
 * compat.h
 *		One meaning for names that differ between versions.
 *
 * The only file that tests a version number.  Code is written for the newest
 * server; each block here gives an older one the new name, and goes as a
 * whole when that version does.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_COMPAT_H
#define STEDI_COMPAT_H

#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"
#include "optimizer/pathnode.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 150000
#error "stedi needs PostgreSQL 15 or newer"
#endif

/* What we wait for; extensions have one event up to 16, and one is enough. */
#define STEDI_WAIT_READ PG_WAIT_EXTENSION
#define STEDI_WAIT_WRITE PG_WAIT_EXTENSION
#define STEDI_WAIT_NETWORK PG_WAIT_EXTENSION
#define STEDI_WAIT_LOCK PG_WAIT_EXTENSION

#if PG_VERSION_NUM < 180000
#define PG_MODULE_MAGIC_EXT(...) PG_MODULE_MAGIC
#endif

/* It stood behind a declaration, with other letters. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn __attribute__((noreturn))
#endif

/* What it calls had no arguments in its declaration, which is "none" for newer compilers. */
#if PG_VERSION_NUM < 160000
#include "nodes/nodeFuncs.h"
#define raw_expression_tree_walker(node, walker, context) \
	raw_expression_tree_walker(node, (void *) (walker), context)
#endif

/* EXPLAIN's functions moved out of commands/explain.h in 18. */
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

/* Before 18 it tells of btree families alone; now of hash families, too. */
#if PG_VERSION_NUM < 180000
#define get_op_index_interpretation(opno) get_op_btree_interpretation(opno)
#endif

/* create_foreign_upper_path for paths without pathkeys. */
static inline ForeignPath *
stedi_compat_upper_path(PlannerInfo *root, RelOptInfo *rel, double rows,
						Cost startup_cost, Cost total_cost, Path *fdw_outerpath)
{
	return create_foreign_upper_path(root, rel, rel->reltarget, rows,
#if PG_VERSION_NUM >= 180000
									 0, /* disabled_nodes */
#endif
									 startup_cost, total_cost,
									 NIL,	/* pathkeys */
									 fdw_outerpath,
#if PG_VERSION_NUM >= 170000
									 NIL,	/* fdw_restrictinfo */
#endif
									 NIL);	/* fdw_private */
}

/* create_foreignscan_path for a base relation, without a fdw_outerpath. */
static inline ForeignPath *
stedi_compat_foreignscan_path(PlannerInfo *root, RelOptInfo *rel, double rows,
							  Cost startup_cost, Cost total_cost, List *fdw_private)
{
	return create_foreignscan_path(root, rel, NULL, rows,
#if PG_VERSION_NUM >= 180000
								   0,	/* disabled_nodes */
#endif
								   startup_cost, total_cost,
								   NIL, /* pathkeys */
								   rel->lateral_relids,
								   NULL,	/* fdw_outerpath */
#if PG_VERSION_NUM >= 170000
								   NIL, /* fdw_restrictinfo */
#endif
								   fdw_private);
}

/* The user whose privileges count for a scan: a view's owner, or the caller. */
static inline Oid
stedi_compat_scan_user(const ScanState *node, EState *estate)
{
	Oid			userid;
#if PG_VERSION_NUM >= 160000
	userid = ((ForeignScan *) node->ps.plan)->checkAsUser;
#else
	Index		rtindex = ((Scan *) node->ps.plan)->scanrelid;

	userid = exec_rt_fetch(rtindex, estate)->checkAsUser;
#endif
	return OidIsValid(userid) ? userid : GetUserId();
}

/* The same while planning. */
static inline Oid
stedi_compat_rel_user(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte)
{
	Oid			userid;
#if PG_VERSION_NUM >= 160000
	userid = rel->userid;
#else
	userid = rte->checkAsUser;
#endif
	return OidIsValid(userid) ? userid : GetUserId();
}

/*
 * Call an input function; false when it refuses the text.
 *
 * Before 16 there are no soft errors: its error is caught.  That is safe only
 * for functions that hold nothing when they throw, as those of the built-in
 * types in tuple.c's table; a class other than "data exception" is thrown on.
 */
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"

static inline bool
stedi_compat_input(FmgrInfo *function, char *text, Oid typioparam, int32 typmod,
				   Datum *value)
{
	ErrorSaveContext escontext = {.type = T_ErrorSaveContext};

	return InputFunctionCallSafe(function, text, typioparam, typmod,
								 (Node *) &escontext, value);
}
#else
static inline bool
stedi_compat_input(FmgrInfo *function, char *text, Oid typioparam, int32 typmod,
				   Datum *value)
{
	MemoryContext cxt = CurrentMemoryContext;
	volatile bool taken = true;

	PG_TRY();
	{
		*value = InputFunctionCall(function, text, typioparam, typmod);
	}
	PG_CATCH();
	{
		int			code = geterrcode();

		MemoryContextSwitchTo(cxt);
		if (ERRCODE_TO_CATEGORY(code) != ERRCODE_DATA_EXCEPTION &&
			code != ERRCODE_PROGRAM_LIMIT_EXCEEDED &&
			code != ERRCODE_UNTRANSLATABLE_CHARACTER)
			PG_RE_THROW();
		FlushErrorState();
		taken = false;
	}
	PG_END_TRY();
	return taken;
}
#endif

/* object_aclcheck came in 16; we ask of schemas and foreign servers alone. */
#if PG_VERSION_NUM < 160000
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "utils/acl.h"
#define object_aclcheck(classid, objectid, roleid, mode) \
	((classid) == NamespaceRelationId ? \
	 pg_namespace_aclcheck(objectid, roleid, mode) : \
	 pg_foreign_server_aclcheck(objectid, roleid, mode))
#endif

/* The sessions as a statistics snapshot has them, by number from 1. */
#if PG_VERSION_NUM < 160000
#define pgstat_get_local_beentry_by_index(i) pgstat_fetch_stat_local_beentry(i)
#endif

/* A tuple can have bytes before it from 18 on, which we never want. */
#if PG_VERSION_NUM < 180000
#include "access/htup_details.h"
#define heap_form_minimal_tuple(tupdesc, values, nulls, extra) \
	(AssertMacro((extra) == 0), heap_form_minimal_tuple(tupdesc, values, nulls))
#endif

/* A relation's files were found by a "node" before 16. */
#if PG_VERSION_NUM < 160000
#define rd_locator rd_node
#endif

/* Direct I/O, from 16 on, wants pages aligned more than before. */
#if PG_VERSION_NUM < 160000
#define PGIOAlignedBlock PGAlignedBlock
#endif

/*
 * Write n pages, one behind the other in memory and in the relation, which
 * has these blocks already.  Before 17, smgr takes one at a time, which costs
 * three times as much as a larger write.
 */
#include "storage/smgr.h"

#if PG_VERSION_NUM >= 170000
#include "port/pg_iovec.h"

static inline void
stedi_compat_write_pages(SMgrRelation smgr, BlockNumber first, char *pages, int n)
{
	/* no more than these at once; from 18 on, none that lie in two files */
	const void *list[PG_IOV_MAX];

	while (n > 0)
	{
		int			here = (int) Min((BlockNumber) Min(n, lengthof(list)),
									 RELSEG_SIZE - first % RELSEG_SIZE);

		for (int i = 0; i < here; i++)
			list[i] = pages + (Size) i * BLCKSZ;
		smgrwritev(smgr, MAIN_FORKNUM, first, list, here, true);
		first += here;
		pages += (Size) here * BLCKSZ;
		n -= here;
	}
}
#else
#include "catalog/catalog.h"
#include "common/relpath.h"
#include "storage/fd.h"

static inline void
stedi_compat_write_pages(SMgrRelation smgr, BlockNumber first, char *pages, int n)
{
	while (n > 0)
	{
		BlockNumber segment = first / RELSEG_SIZE;
		int			here = (int) Min((BlockNumber) n, RELSEG_SIZE - first % RELSEG_SIZE);
#if PG_VERSION_NUM >= 160000
		char	   *path = relpathperm(smgr->smgr_rlocator.locator, MAIN_FORKNUM);
#else
		char	   *path = relpathperm(smgr->smgr_rnode.node, MAIN_FORKNUM);
#endif
		File		file;
		int			written;

		if (segment > 0)
			path = psprintf("%s.%u", path, segment);
		file = PathNameOpenFile(path, O_RDWR | PG_BINARY);
		if (file < 0)
			ereport(ERROR,
					errcode_for_file_access(),
					errmsg("could not open file \"%s\": %m", path));
		errno = 0;
		written = FileWrite(file, pages, here * BLCKSZ,
							(off_t) (first % RELSEG_SIZE) * BLCKSZ, STEDI_WAIT_WRITE);
		if (written != here * BLCKSZ)
		{
			if (written >= 0 && errno == 0)
				errno = ENOSPC;
			ereport(ERROR,
					errcode_for_file_access(),
					errmsg("could not write file \"%s\": %m", path));
		}
		FileClose(file);
		first += here;
		pages += (Size) here * BLCKSZ;
		n -= here;
	}
}
#endif

/* Have the next checkpoint sync a relation's main fork, every file of it. */
#if PG_VERSION_NUM >= 170000
#define stedi_compat_register_sync(smgr) smgrregistersync(smgr, MAIN_FORKNUM)
#else
#include "storage/sync.h"

static inline void
stedi_compat_register_sync(SMgrRelation smgr)
{
	BlockNumber n_blocks = smgrnblocks(smgr, MAIN_FORKNUM);

	for (BlockNumber segment = 0; segment * RELSEG_SIZE < n_blocks; segment++)
	{
		FileTag		tag;

		memset(&tag, 0, sizeof(tag));
		tag.handler = SYNC_HANDLER_MD;
		tag.forknum = MAIN_FORKNUM;
#if PG_VERSION_NUM >= 160000
		tag.rlocator = smgr->smgr_rlocator.locator;
#else
		tag.rnode = smgr->smgr_rnode.node;
#endif
		tag.segno = segment;
		(void) RegisterSyncRequest(&tag, SYNC_REQUEST, true);
	}
}
#endif

/*
 * What http.c needs of libcurl; empty for everybody else, as only http.c
 * includes its header (before this one).
 */
#ifdef LIBCURL_VERSION_NUM
#if LIBCURL_VERSION_NUM >= 0x075500
#define STEDI_CURL_SET_PROTOCOLS(handle, https_only) \
	curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, (https_only) ? "https" : "http,https")
#else
#define STEDI_CURL_SET_PROTOCOLS(handle, https_only) \
	curl_easy_setopt(handle, CURLOPT_PROTOCOLS, \
					 (long) (CURLPROTO_HTTPS | ((https_only) ? 0 : CURLPROTO_HTTP)))
#endif
#endif

#endif							/* STEDI_COMPAT_H */
