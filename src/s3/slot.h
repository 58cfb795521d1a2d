/*-------------------------------------------------------------------------
 *
 * slot.h
 *		A client of a bucket, and its transfers: what slot.c and fetch.c share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_S3_SLOT_H
#define STEDI_S3_SLOT_H

#include "s3/s3.h"

typedef enum StediSlotState
{
	STEDI_SLOT_RUNNING,
	STEDI_SLOT_RESTING,			/* sent again at rests_until */
	STEDI_SLOT_ENDED,			/* all its bytes came */
	STEDI_SLOT_FAILED,			/* as transfer.answer says */
} StediSlotState;

/* The transfer of one object, or of a page. */
typedef struct StediSlot
{
	StediFetch *fetch;			/* borrowed: the one it is in */
	StediTransfer transfer;
	char	   *buf;			/* in the context of fetch */
	Size		buf_size;

	/* what is asked for */
	StediObject *object;		/* borrowed; NULL: a page, ... */
	const char *prefix;			/* ... of this prefix, ... */
	const char *token;			/* ... from this token on */
	bool		folders;		/* ... with folders for what is in them */
	bool		may_change;
	bool		newer;			/* it has changed: take it as it is now */

	/* how it goes */
	StediSlotState state;
	TimestampTz rests_until;
	bool		head_seen;		/* of the answer under way, ... */
	bool		head_right;		/* ... and it is about what was asked for */
	uint64		skip;			/* bytes of it that came before */
	uint64		received;		/* bytes, over all tries */
	char		etag[sizeof(((StediAnswer *) 0)->etag)];	/* that they came with */
	bool		checked;		/* checksum is at work */
	StediChecksum checksum;

	/* of the tries since it last got on */
	int			n_tries;
	TimestampTz trouble_since;	/* 0: none */
	uint64		received_before;	/* the present try */
	bool		moved;			/* it was sent to another region */
	bool		renewed;		/* it was sent with other credentials */
	int			generation;		/* of those that it was sent with */

	/* received bytes that are not read yet: a ring in buf */
	Size		start;
	Size		len;
} StediSlot;

struct StediFetch
{
	/* whole life */
	MemoryContext cxt;
	MemoryContext request_cxt;	/* reset for every request */
	const StediOptions *opts;	/* borrowed, or of another region */
	bool		moved;			/* the latter */
	StediCredential *credential;
	StediFetchStats stats;
	StediOverFn is_over;		/* NULL: nothing ends it early */
	void	   *over_arg;
	MemoryContextCallback release;	/* armed before the rest exists */

	/* made at the first request */
	StediHttp  *http;
	int			n_slots;
	StediSlot  *slots;			/* oldest is slots[first], and so on around */
	StediSlot	page;

	/* what is to be read */
	int			first;
	int			n_used;			/* slots */
	List	   *waiting;		/* of Waiting */
	TimestampTz left_at;		/* the last time that a caller waited; 0: none */
};

/* slot.c */

/* Make a slot; false when no file may be opened for it. */
extern bool stedi_slot_make(StediFetch *fetch, StediSlot *slot, Size buf_size);

/* Begin with an object, or a page. */
extern void stedi_slot_begin(StediSlot *slot, StediObject *object, bool may_change);

/* See how a slot gets on. */
extern void stedi_slot_look(StediSlot *slot);

/* Are there bytes to read from it, or will there be no more? */
extern bool stedi_slot_is_ready(const StediSlot *slot);

/* When a slot rests, no wait may be longer. */
extern int	stedi_slot_limit_wait(const StediSlot *slot, int ms);

/* Take at most room bytes that were received. */
extern Size stedi_slot_read(StediSlot *slot, char *dest, Size room);

/* Forget a checksum that will not be needed.  Never throws. */
extern void stedi_slot_drop_checksum(StediSlot *slot);

#endif							/* STEDI_S3_SLOT_H */
