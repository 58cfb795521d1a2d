/*-------------------------------------------------------------------------
 *
 * heap.c
 *		Rows to the pages of a table's new storage.
 *
 * A table that this transaction has made, and that no other can see, need not
 * be filled one row at a time through shared buffers.  Pages are formed in
 * private memory, logged a batch at a time as full images, and written behind
 * the relation's end.  That costs a small part of heap_multi_insert, and
 * several processes of a parallel run can do it at once, which inserting
 * cannot.  Rows are frozen, as COPY ... FREEZE leaves them.
 *
 * This is safe because until commit the storage is this transaction's alone
 * and goes with it on abort; commit waits for the log of all that was written
 * (parallel workers hand the end of theirs to the leader); and at the end
 * stedi_zone_heap_settle hands the files to the next checkpoint.  If a
 * checkpoint has begun meanwhile, which may have missed them, it syncs them
 * itself.  The server does the same for a table that it rewrites.
 *
 * A row that needs TOAST goes into a temporary file, from which the leader
 * inserts it when the processes are done.
 *
 *-------------------------------------------------------------------------
 */
#include "storage/storage.h"

#include "access/detoast.h"
#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/pg_class.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/buffile.h"
#include "storage/bufpage.h"
#include "storage/checksum.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/smgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* Pages that are logged and written at once; at most XLR_MAX_BLOCK_ID. */
#define BATCH_PAGES 32

/* A zone table has fewer columns. */
#define MAX_COLUMNS 16

/* What smgrwrite wants of a page's address, at most. */
#define PAGE_ALIGN 4096

struct ZoneHeap
{
	MemoryContext cxt;
	Relation	relation;		/* borrowed */
	TupleDesc	tupdesc;		/* borrowed */
	TransactionId xid;
	Size		reserve;		/* free bytes that its fillfactor asks for */
	uint64		n_rows;

	/* rows are given without the columns that were dropped */
	int			n_columns;
	int		   *attno;			/* of each */
	Datum	   *values;			/* of all the relation's columns; NULL: none
								 * was dropped */
	bool	   *nulls;

	/* the batch */
	char	   *pages;			/* BATCH_PAGES, aligned */
	int			n_pages;		/* begun; the last one takes rows */

	/* rows too long for a page */
	BufFile    *long_rows;		/* NULL: none yet */
	FileSet    *fileset;		/* borrowed: where they go; NULL: we are alone */
	char		long_name[NAMEDATALEN];
};

/* Note which columns rows are given for. */
static void
note_columns(ZoneHeap *heap)
{
	int			natts = heap->tupdesc->natts;

	heap->attno = palloc(natts * sizeof(int));
	for (int attno = 0; attno < natts; attno++)
		if (!TupleDescAttr(heap->tupdesc, attno)->attisdropped)
			heap->attno[heap->n_columns++] = attno;
	if (heap->n_columns == natts)
		return;
	heap->values = palloc0(natts * sizeof(Datum));
	heap->nulls = palloc(natts * sizeof(bool));
	memset(heap->nulls, true, natts * sizeof(bool));
}

ZoneHeap *
stedi_zone_heap_open(Relation relation, FileSet *fileset, const char *long_name)
{
	ZoneHeap   *heap = palloc0(sizeof(ZoneHeap));

	if (relation->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		elog(ERROR, "pages of a temporary table cannot be written");
	heap->cxt = CurrentMemoryContext;
	heap->relation = relation;
	heap->tupdesc = RelationGetDescr(relation);
	heap->xid = GetCurrentTransactionId();
	heap->reserve = RelationGetTargetPageFreeSpace(relation, HEAP_DEFAULT_FILLFACTOR);
	heap->pages = (char *) TYPEALIGN(PAGE_ALIGN, palloc(BATCH_PAGES * BLCKSZ + PAGE_ALIGN));
	heap->fileset = fileset;
	if (fileset != NULL)
		strlcpy(heap->long_name, long_name, sizeof(heap->long_name));
	note_columns(heap);
	return heap;
}

/* Claim n blocks behind the relation's end; the first one. */
static BlockNumber
claim_blocks(Relation relation, int n)
{
	PGIOAlignedBlock zero;
	BlockNumber first;

	memset(zero.data, 0, BLCKSZ);
	LockRelationForExtension(relation, ExclusiveLock);
	first = smgrnblocks(RelationGetSmgr(relation), MAIN_FORKNUM);
	if ((uint64) first + n > MaxBlockNumber)
		ereport(ERROR,
				errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("cannot extend relation \"%s\" beyond %u blocks",
					   RelationGetRelationName(relation), MaxBlockNumber));
	/* the last one says how many there are; those before it are a hole yet */
	smgrextend(RelationGetSmgr(relation), MAIN_FORKNUM, first + n - 1, zero.data, true);
	UnlockRelationForExtension(relation, ExclusiveLock);
	return first;
}

/* Tell the rows of a page where they are. */
static void
place_rows(Page page, BlockNumber block)
{
	OffsetNumber last = PageGetMaxOffsetNumber(page);

	for (OffsetNumber offset = FirstOffsetNumber; offset <= last; offset++)
	{
		HeapTupleHeader row = (HeapTupleHeader) PageGetItem(page, PageGetItemId(page, offset));

		ItemPointerSet(&row->t_ctid, block, offset);
	}
}

/* Log and write the batch. */
static void
write_batch(ZoneHeap *heap)
{
	BlockNumber blocks[BATCH_PAGES];
	Page		pages[BATCH_PAGES];
	BlockNumber first;

	if (heap->n_pages == 0)
		return;
	CHECK_FOR_INTERRUPTS();
	first = claim_blocks(heap->relation, heap->n_pages);
	for (int i = 0; i < heap->n_pages; i++)
	{
		blocks[i] = first + i;
		pages[i] = heap->pages + i * BLCKSZ;
		place_rows(pages[i], blocks[i]);
	}
	if (RelationNeedsWAL(heap->relation))
		log_newpages(&heap->relation->rd_locator, MAIN_FORKNUM, heap->n_pages,
					 blocks, pages, true);
	for (int i = 0; i < heap->n_pages; i++)
		PageSetChecksumInplace(pages[i], blocks[i]);
	stedi_compat_write_pages(RelationGetSmgr(heap->relation), first, heap->pages,
							 heap->n_pages);
	heap->n_pages = 0;
}

/* A page with room for a row of that length, all told. */
static Page
find_room(ZoneHeap *heap, Size len)
{
	Page		page;

	if (heap->n_pages > 0)
	{
		PageHeader	header = (PageHeader) (heap->pages + (heap->n_pages - 1) * BLCKSZ);
		Size		left = header->pd_upper - header->pd_lower;
		bool		empty = header->pd_lower == SizeOfPageHeaderData;

		page = (Page) header;
		if (left >= len + sizeof(ItemIdData) + (empty ? 0 : heap->reserve) &&
			PageGetMaxOffsetNumber(page) < MaxHeapTuplesPerPage)
			return page;
	}
	if (heap->n_pages == BATCH_PAGES)
		write_batch(heap);
	page = heap->pages + heap->n_pages++ * BLCKSZ;
	PageInit(page, BLCKSZ, 0);
	PageSetAllVisible(page);
	return page;
}

/* Leave a row to the leader. */
static void
put_long(ZoneHeap *heap, Datum *values, bool *nulls)
{
	MinimalTuple row = heap_form_minimal_tuple(heap->tupdesc, values, nulls, 0);

	if (heap->long_rows == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(heap->cxt);

		heap->long_rows = heap->fileset != NULL ?
			BufFileCreateFileSet(heap->fileset, heap->long_name) : BufFileCreateTemp(false);
		MemoryContextSwitchTo(caller);
	}
	BufFileWrite(heap->long_rows, row, row->t_len);
	pfree(row);
}

/* INSERT would see to this. */
static void
check_not_null(const ZoneHeap *heap, const bool *nulls)
{
	for (int i = 0; i < heap->tupdesc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(heap->tupdesc, i);

		if (nulls[i] && attr->attnotnull && !attr->attisdropped)
			ereport(ERROR,
					errcode(ERRCODE_NOT_NULL_VIOLATION),
					errmsg("null value in column \"%s\" of relation \"%s\" violates not-null "
						   "constraint",
						   NameStr(attr->attname), RelationGetRelationName(heap->relation)));
	}
}

void
stedi_zone_heap_put(ZoneHeap *heap, Datum *values, bool *nulls)
{
	int			natts = heap->tupdesc->natts;
	bool		has_nulls = false;
	Size		data_len;
	Size		header_len = SizeofHeapTupleHeader;
	Size		len;
	Page		page;
	PageHeader	header;
	HeapTupleHeader row;

	if (heap->values != NULL)
	{
		for (int i = 0; i < heap->n_columns; i++)
		{
			heap->values[heap->attno[i]] = values[i];
			heap->nulls[heap->attno[i]] = nulls[i];
		}
		values = heap->values;
		nulls = heap->nulls;
	}
	data_len = heap_compute_data_size(heap->tupdesc, values, nulls);
	for (int i = 0; i < natts; i++)
		has_nulls |= nulls[i];
	if (has_nulls)
	{
		check_not_null(heap, nulls);
		header_len += BITMAPLEN(natts);
	}
	header_len = MAXALIGN(header_len);
	len = MAXALIGN(header_len + data_len);
	heap->n_rows++;
	if (len > TOAST_TUPLE_THRESHOLD)
	{
		put_long(heap, values, nulls);
		return;
	}

	page = find_room(heap, len);
	header = (PageHeader) page;
	header->pd_upper -= len;
	row = (HeapTupleHeader) (page + header->pd_upper);
	HeapTupleHeaderSetXmin(row, heap->xid);
	HeapTupleHeaderSetXmax(row, InvalidTransactionId);
	HeapTupleHeaderSetNatts(row, natts);
	row->t_hoff = header_len;
	heap_fill_tuple(heap->tupdesc, values, nulls, (char *) row + header_len, data_len,
					&row->t_infomask, has_nulls ? row->t_bits : NULL);
	row->t_infomask |= HEAP_XMIN_FROZEN | HEAP_XMAX_INVALID;
	ItemIdSetNormal((ItemId) (page + header->pd_lower), header->pd_upper, header_len + data_len);
	header->pd_lower += sizeof(ItemIdData);
}

/* Read the next of the long rows, or NULL at their end. */
static MinimalTuple
read_long(BufFile *file)
{
	uint32		len;
	MinimalTuple row;

	if (BufFileRead(file, &len, sizeof(len)) == 0)
		return NULL;
	row = palloc_extended(len, MCXT_ALLOC_HUGE);
	row->t_len = len;
	if (BufFileRead(file, (char *) row + sizeof(len), len - sizeof(len)) != len - sizeof(len))
		elog(ERROR, "a temporary file of long rows is cut off");
	return row;
}

/* Insert the rows of a file, which is closed. */
static void
insert_long(Relation relation, BufFile *file)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(relation),
													&TTSOpsMinimalTuple);
	MinimalTuple row;

	while ((row = read_long(file)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		ExecStoreMinimalTuple(row, slot, true);
		table_tuple_insert(relation, slot, GetCurrentCommandId(true),
						   TABLE_INSERT_SKIP_FSM | TABLE_INSERT_FROZEN, NULL);
	}
	ExecDropSingleTupleTableSlot(slot);
	BufFileClose(file);
}

void
stedi_zone_heap_insert_long(Relation relation, FileSet *fileset, const char *long_name)
{
	BufFile    *file = BufFileOpenFileSet(fileset, long_name, O_RDONLY, true);

	if (file != NULL)
		insert_long(relation, file);
}

uint64
stedi_zone_heap_close(ZoneHeap *heap)
{
	write_batch(heap);
	if (heap->long_rows != NULL && heap->fileset != NULL)
		BufFileClose(heap->long_rows);
	else if (heap->long_rows != NULL)
	{
		if (BufFileSeek(heap->long_rows, 0, 0, SEEK_SET) != 0)
			elog(ERROR, "could not rewind a temporary file");
		insert_long(heap->relation, heap->long_rows);
	}
	heap->long_rows = NULL;
	return heap->n_rows;
}

void
stedi_zone_heap_settle(Relation relation, XLogRecPtr redo, uint64 n_rows)
{
	SMgrRelation smgr = RelationGetSmgr(relation);

	/* no checkpoint may begin between the question and the request */
	MyProc->delayChkptFlags |= DELAY_CHKPT_START;
	if (redo == GetRedoRecPtr())
	{
		stedi_compat_register_sync(smgr);
		MyProc->delayChkptFlags &= ~DELAY_CHKPT_START;
	}
	else
	{
		MyProc->delayChkptFlags &= ~DELAY_CHKPT_START;
		smgrimmedsync(smgr, MAIN_FORKNUM);
	}
	/* long rows are counted twice, which is of no consequence */
	pgstat_count_heap_insert(relation, n_rows);
}

/* A query's receiver whose rows go into a heap. */
typedef struct HeapReceiver
{
	DestReceiver pub;
	ZoneHeap   *heap;
	MemoryContext row_cxt;		/* reset for each row that has such values */
} HeapReceiver;

/*
 * Take a row.  A value that lies out of line belongs to the table that it was
 * read from: the row gets one of its own.
 */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	HeapReceiver *receiver = (HeapReceiver *) self;
	TupleDesc	tupdesc = slot->tts_tupleDescriptor;
	Datum		values[MAX_COLUMNS];
	MemoryContext caller = NULL;

	slot_getallattrs(slot);
	if (tupdesc->natts > MAX_COLUMNS)
		elog(ERROR, "a zone table has too many columns");
	for (int i = 0; i < tupdesc->natts; i++)
	{
		values[i] = slot->tts_values[i];
		if (slot->tts_isnull[i] || TupleDescAttr(tupdesc, i)->attlen != -1 ||
			!VARATT_IS_EXTERNAL(DatumGetPointer(values[i])))
			continue;
		if (caller == NULL)
		{
			MemoryContextReset(receiver->row_cxt);
			caller = MemoryContextSwitchTo(receiver->row_cxt);
		}
		values[i] = PointerGetDatum(detoast_external_attr((struct varlena *)
														  DatumGetPointer(values[i])));
	}
	if (caller != NULL)
		MemoryContextSwitchTo(caller);
	stedi_zone_heap_put(receiver->heap, values, slot->tts_isnull);
	return true;
}

/* The query's columns must be those of the table, whose pages they go into. */
static void
receive_start(DestReceiver *self, int operation, TupleDesc tupdesc)
{
	const ZoneHeap *heap = ((HeapReceiver *) self)->heap;
	bool		same = tupdesc->natts == heap->n_columns;

	for (int i = 0; same && i < tupdesc->natts; i++)
		same = TupleDescAttr(tupdesc, i)->atttypid ==
			TupleDescAttr(heap->tupdesc, heap->attno[i])->atttypid;
	if (!same)
		ereport(ERROR,
				errcode(ERRCODE_DATATYPE_MISMATCH),
				errmsg("a table that the run reads was changed while it ran"));
}

static void
receive_end(DestReceiver *self)
{
}

DestReceiver *
stedi_zone_heap_receiver(ZoneHeap *heap)
{
	HeapReceiver *receiver = palloc0(sizeof(HeapReceiver));

	receiver->pub.receiveSlot = receive_row;
	receiver->pub.rStartup = receive_start;
	receiver->pub.rShutdown = receive_end;
	receiver->pub.rDestroy = receive_end;
	receiver->pub.mydest = DestNone;
	receiver->heap = heap;
	receiver->row_cxt = AllocSetContextCreate(CurrentMemoryContext, "stedi long values",
											  ALLOCSET_DEFAULT_SIZES);
	return &receiver->pub;
}
