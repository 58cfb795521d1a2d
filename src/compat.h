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
#define STEDI_WAIT_NETWORK PG_WAIT_EXTENSION
#define STEDI_WAIT_LOCK PG_WAIT_EXTENSION

#if PG_VERSION_NUM < 180000
#define PG_MODULE_MAGIC_EXT(...) PG_MODULE_MAGIC
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

/* object_aclcheck came in 16; we ask of schemas alone. */
#if PG_VERSION_NUM < 160000
#include "catalog/pg_class.h"
#include "utils/acl.h"
#define object_aclcheck(classid, objectid, roleid, mode) \
	(AssertMacro((classid) == NamespaceRelationId), \
	 pg_namespace_aclcheck(objectid, roleid, mode))
#endif

/* A relation's files were found by a "node" before 16. */
#if PG_VERSION_NUM < 160000
#define rd_locator rd_node
#endif

/* Have the next checkpoint sync a relation's main fork, every file of it. */
#include "storage/smgr.h"

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
 * What fetch.c needs of libcurl; empty for everybody else, as only fetch.c
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
