/*-------------------------------------------------------------------------
 *
 * fetch.c
 *		Objects -> bytes, several in flight, whatever the network does.
 *
 *	 stedi_fetch_add -->  waiting  -->  slots, each a transfer with a ring of
 *	 object				  objects		bytes  -->  stedi_fetch_read, oldest first
 *
 * A transfer whose ring is full is paused, so memory is bounded however slow
 * the reader is.  Transfers go on while somebody waits in stedi_fetch_read or
 * stedi_fetch_page.
 *
 * A request that fails is sent again if trouble.c says that this may help,
 * after a pause that doubles from try to try and is drawn at random, so that
 * many clients do not come back at the same moment.  It asks for the bytes
 * that are still missing, on condition that the object is the same: the ring
 * then goes on where it broke off, and its reader does not notice.
 *
 *-------------------------------------------------------------------------
 */
#include "s3/s3.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/*
 * Bytes of an object that are kept until they are read.  With a round trip
 * of 10 ms this lets a connection bring 100 MB/s, more than S3 gives to one.
 */
#define RING_SIZE (1024 * 1024)

/* The longest page: 1000 keys of 3 kB, and as much again for the rest. */
#define MAX_PAGE_SIZE (8 * 1024 * 1024)

/* Longest wait at a time; http.c has an interrupt noticed earlier. */
#define WAIT_MS 1000

/* The first pause before a request is sent again, and the longest, ms. */
#define FIRST_PAUSE_MS 100
#define LONGEST_PAUSE_MS (20 * 1000)

/*
 * Bytes that make a try one that got on, after which tries are counted anew:
 * more than a broken network lets through by accident.
 */
#define PROGRESS_SIZE (64 * 1024)

typedef enum SlotState
{
	SLOT_RUNNING,
	SLOT_RESTING,				/* sent again at rests_until */
	SLOT_ENDED,					/* all its bytes came */
	SLOT_FAILED,				/* as transfer.answer says */
} SlotState;

/* What becomes of one object, or of a page. */
typedef struct Slot
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
	SlotState	state;
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
} Slot;

struct StediFetch
{
	/* whole life */
	MemoryContext cxt;
	MemoryContext request_cxt;	/* reset for every request */
	const StediOptions *opts;	/* borrowed, or of another region */
	bool		moved;			/* the latter */
	StediCredential *credential;
	StediFetchStats stats;
	StediOverFn is_over;		/* NULL: nobody ends it early */
	void	   *over_arg;
	MemoryContextCallback release;	/* armed before the rest exists */

	/* made at the first request */
	StediHttp  *http;
	int			n_slots;
	Slot	   *slots;			/* oldest is slots[first], and so on around */
	Slot		page;

	/* what is to be read */
	int			first;
	int			n_used;			/* slots */
	List	   *waiting;		/* of Waiting */
	TimestampTz left_at;		/* the last time that somebody waited; 0: none */
};

/* An object that waits for a slot. */
typedef struct Waiting
{
	StediObject *object;
	bool		may_change;
} Waiting;

/* Put bytes into the ring, which has room for them.  Never throws. */
static void
ring_put(Slot *slot, const char *bytes, Size len)
{
	Size		end = (slot->start + slot->len) % slot->buf_size;
	Size		before_wrap = Min(len, slot->buf_size - end);

	memcpy(slot->buf + end, bytes, before_wrap);
	memcpy(slot->buf, bytes + before_wrap, len - before_wrap);
	slot->len += len;
}

/* Take at most room bytes out of the ring. */
static Size
ring_take(Slot *slot, char *dest, Size room)
{
	Size		n = Min(room, slot->len);
	Size		before_wrap = Min(n, slot->buf_size - slot->start);

	memcpy(dest, slot->buf + slot->start, before_wrap);
	memcpy(dest + before_wrap, slot->buf, n - before_wrap);
	slot->start = (slot->start + n) % slot->buf_size;
	slot->len -= n;
	return n;
}

/* Begin to compare what comes with a checksum, if one is told. */
static void
begin_checksum(Slot *slot)
{
	const StediAnswer *answer = &slot->transfer.answer;

	for (int kind = 0; kind < STEDI_N_CHECKSUMS && !slot->checked; kind++)
		slot->checked = stedi_checksum_begin(&slot->checksum, kind, answer->checksums[kind]);

	/* an ETag is that of what is stored, which KMS encrypts */
	if (!slot->checked && strncmp(answer->encryption, "aws:", 4) != 0)
		slot->checked = stedi_checksum_begin(&slot->checksum, STEDI_CHECKSUM_MD5, answer->etag);
}

/* Forget a checksum that will not be needed.  Never throws. */
static void
drop_checksum(Slot *slot)
{
	if (slot->checked)
		(void) stedi_checksum_end(&slot->checksum);
	slot->checked = false;
}

/* An ETag without what is about it: W/ and quotes. */
static StediSlice
bare_etag(const char *etag)
{
	StediSlice	bare;

	if (strncmp(etag, "W/", 2) == 0)
		etag += 2;
	bare.data = etag + (*etag == '"');
	bare.len = strcspn(bare.data, "\"");
	return bare;
}

static bool
same_etag(const char *one, const char *other)
{
	StediSlice	a = bare_etag(one);
	StediSlice	b = bare_etag(other);

	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/*
 * The version that is asked for, "": whichever is there.  Not all servers
 * list ETags; then what came first decides.  Never throws.
 */
static const char *
slot_version(const Slot *slot)
{
	if (slot->newer)
		return "";
	return slot->object->etag[0] != '\0' ? slot->object->etag : slot->etag;
}

/*
 * Is an answer 200 or 206 about what was asked for?  Else its result says why
 * not.  Never throws.
 */
static bool
slot_check_head(Slot *slot)
{
	StediAnswer *answer = &slot->transfer.answer;
	const char *version;
	unsigned long long first;
	unsigned long long size;

	slot->head_seen = true;
	slot->skip = 0;
	slot->head_right = true;
	if (slot->object == NULL)
		return true;
	version = slot_version(slot);
	if (slot->newer)
	{
		if (answer->status != 200)
			answer->result = STEDI_ANSWER_WRONG_RANGE;	/* its size is not known */
		else if (answer->length < 0 || answer->etag[0] == '\0')
			answer->result = STEDI_ANSWER_CHANGED;
		else
			slot->object->size = answer->length;
	}
	else if (version[0] != '\0' && (answer->etag[0] != '\0' || slot->received > 0) &&
			 !same_etag(answer->etag, version))
		answer->result = STEDI_ANSWER_CHANGED;
	else if (answer->status == 200 && answer->length >= 0 &&
			 answer->length != slot->object->size)
		answer->result = STEDI_ANSWER_WRONG_LENGTH;
	else if (answer->status == 200)
		slot->skip = slot->received;	/* the server knows no ranges */
	else if (sscanf(answer->content_range, "bytes %llu-%*u/%llu", &first, &size) != 2 ||
			 first != slot->received || size != (uint64) slot->object->size)
		answer->result = STEDI_ANSWER_WRONG_RANGE;
	slot->head_right = (answer->result == 0);
	if (slot->head_right && slot->received == 0)
		memcpy(slot->etag, answer->etag, sizeof(slot->etag));
	if (slot->head_right && slot->fetch->opts->checksum && slot->received == 0)
	{
		drop_checksum(slot);
		begin_checksum(slot);
	}
	return slot->head_right;
}

/* Take bytes of a body: see StediTakeFn.  Never throws. */
static StediTaken
slot_take(void *arg, const char *bytes, Size len)
{
	Slot	   *slot = arg;
	StediAnswer *answer = &slot->transfer.answer;
	Size		skipped;

	if (!slot->head_seen && !slot_check_head(slot))
		return STEDI_TAKEN_NONE;
	skipped = Min(slot->skip, len);
	bytes += skipped;
	len -= skipped;
	if (slot->object != NULL && slot->received + len > (uint64) slot->object->size)
	{
		answer->result = STEDI_ANSWER_WRONG_LENGTH;
		return STEDI_TAKEN_NONE;
	}
	if (len > slot->buf_size - slot->len)
	{
		if (slot->object != NULL)
			return STEDI_TAKEN_LATER;
		answer->result = STEDI_ANSWER_TOO_LONG;
		return STEDI_TAKEN_NONE;
	}
	ring_put(slot, bytes, len);
	if (slot->checked)
		stedi_checksum_add(&slot->checksum, bytes, len);
	slot->skip -= skipped;
	slot->received += len;
	if (slot->object != NULL)
		slot->fetch->stats.bytes += len;
	return STEDI_TAKEN_ALL;
}

/* Free what is not PostgreSQL's memory.  Never throws; harmless when called twice. */
static void
fetch_release(void *arg)
{
	StediFetch *fetch = arg;

	for (int i = 0; i < fetch->n_slots; i++)
		drop_checksum(&fetch->slots[i]);
}

/* See s3.h.  Nothing is sent yet, and nothing of libcurl's made. */
StediFetch *
stedi_fetch_open(const StediOptions *opts, Oid userid)
{
	StediFetch *fetch = palloc0(sizeof(StediFetch));

	if (strncmp(opts->endpoint, "https://", 8) != 0 && !opts->allow_http)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("endpoint \"%s\" is not encrypted", opts->endpoint),
				errhint("Set option \"endpoint\" of the server to one that starts with https://, "
						"or set its option \"allow_http\" if nobody else is on the way: %s",
						stedi_cure_server(opts, "allow_http", "true")));
	fetch->cxt = CurrentMemoryContext;
	fetch->request_cxt = AllocSetContextCreate(fetch->cxt, "stedi request",
											   ALLOCSET_SMALL_SIZES);
	fetch->opts = opts;
	fetch->release.func = fetch_release;
	fetch->release.arg = fetch;
	MemoryContextRegisterResetCallback(fetch->cxt, &fetch->release);
	fetch->credential = stedi_credential_open(opts, userid);
	return fetch;
}

/* Make a slot; false when no file may be opened for it. */
static bool
slot_make(StediFetch *fetch, Slot *slot, Size buf_size)
{
	slot->fetch = fetch;
	slot->buf_size = buf_size;
	return stedi_http_add(fetch->http, &slot->transfer, slot_take, slot);
}

/* Make the client, unless that is done. */
static void
fetch_connect(StediFetch *fetch)
{
	StediHttpSettings settings = {
		.allow_http = fetch->opts->allow_http,
		.allow_link_local = fetch->opts->allow_link_local,
		.proxy = fetch->opts->proxy,
		.ca_file = fetch->opts->ca_file,
		.connect_timeout = fetch->opts->connect_timeout,
	};

	if (fetch->http == NULL)
		fetch->http = stedi_http_open(&settings);
}

/* Make the client and the slots, unless that is done. */
static void
fetch_prepare(StediFetch *fetch)
{
	int			connections = fetch->opts->connections;
	MemoryContext caller;

	if (fetch->n_slots > 0)
		return;
	caller = MemoryContextSwitchTo(fetch->cxt);
	fetch_connect(fetch);
	if (fetch->slots == NULL)
		fetch->slots = palloc0(connections * sizeof(Slot));
	while (fetch->n_slots < connections &&
		   slot_make(fetch, &fetch->slots[fetch->n_slots], RING_SIZE))
		fetch->n_slots++;
	MemoryContextSwitchTo(caller);
	if (fetch->n_slots == 0)
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				errmsg("could not connect to bucket \"%s\": too many files are open",
					   fetch->opts->bucket),
				errhint("Raise max_files_per_process, or lower option \"connections\" of the server."));
}

/* Send the slot's request, for what is missing of its answer. */
static void
slot_send(Slot *slot)
{
	StediFetch *fetch = slot->fetch;
	MemoryContext caller;
	StediRequest *request;

	MemoryContextReset(fetch->request_cxt);
	caller = MemoryContextSwitchTo(fetch->request_cxt);
	stedi_credential_refresh(fetch->credential);
	slot->generation = fetch->credential->generation;
	if (slot->buf == NULL)
		slot->buf = MemoryContextAlloc(fetch->cxt, slot->buf_size);
	if (slot->object != NULL)
	{
		request = stedi_request_object(fetch->opts, fetch->credential, slot->object->key,
									   slot_version(slot), slot->received);
		fetch->stats.n_gets++;
	}
	else
	{
		slot->received = slot->start = slot->len = 0;
		request = stedi_request_page(fetch->opts, fetch->credential, slot->prefix, slot->token,
									 slot->folders);
		fetch->stats.n_lists++;
	}
	slot->state = SLOT_RUNNING;
	slot->head_seen = slot->head_right = false;
	slot->received_before = slot->received;

	/* over one of old that has ended, libcurl would send it once more */
	slot->transfer.fresh = slot->n_tries > 0 && slot->transfer.answer.result != 0;
	stedi_http_start(&slot->transfer, request);
	MemoryContextSwitchTo(caller);
}

/* Begin with an object, or a page. */
static void
slot_begin(Slot *slot, StediObject *object, bool may_change)
{
	slot->object = object;
	slot->may_change = may_change;
	slot->newer = slot->moved = slot->renewed = false;
	slot->received = slot->start = slot->len = 0;
	slot->etag[0] = '\0';
	slot->n_tries = 0;
	slot->trouble_since = 0;
	drop_checksum(slot);		/* what an error may have left */
	slot_send(slot);
}

/*
 * How long to wait before the next try, ms; -1: no longer.  The server's own
 * word counts if it is longer.
 */
static int64
slot_pause(Slot *slot)
{
	const StediOptions *opts = slot->fetch->opts;
	int64		longest = Min((int64) FIRST_PAUSE_MS << Min(slot->n_tries - 1, 20), LONGEST_PAUSE_MS);
	int64		pause = (int64) (pg_prng_double(&pg_global_prng_state) * (double) longest);
	TimestampTz now = GetCurrentTimestamp();

	pause = Max(pause, (int64) slot->transfer.answer.retry_after * 1000);
	if (slot->trouble_since == 0)
		slot->trouble_since = now;
	if (slot->n_tries >= opts->max_tries ||
		now + pause * 1000 >= slot->trouble_since + (int64) opts->retry_timeout * USECS_PER_SEC)
		return -1;
	return pause;
}

/* Go on in the region that the server told, once; false: that was done. */
static bool
slot_move(Slot *slot, const char *region)
{
	StediFetch *fetch = slot->fetch;

	if (slot->moved || (fetch->moved && strcmp(region, fetch->opts->region) != 0))
		return false;
	slot->moved = true;
	if (!fetch->moved)
	{
		MemoryContext caller = MemoryContextSwitchTo(fetch->cxt);

		fetch->opts = stedi_option_in_region(fetch->opts, pstrdup(region));
		fetch->moved = true;
		MemoryContextSwitchTo(caller);
	}
	return true;
}

/*
 * Go on with other credentials, once; false: that was done, or there are
 * none.  Those of a request that was under way may have been renewed since.
 */
static bool
slot_renew(Slot *slot)
{
	StediCredential *credential = slot->fetch->credential;

	if (slot->renewed)
		return false;
	slot->renewed = true;
	return slot->generation != credential->generation || stedi_credential_renew(credential);
}

/* What may help, by what is known of the answer and of the credentials. */
static StediRemedy
slot_remedy(Slot *slot, char region[STEDI_REGION_SIZE])
{
	const StediAnswer *answer = &slot->transfer.answer;
	StediRemedy remedy = stedi_trouble_remedy(slot->object, answer, region);

	/* some servers deny access when a token has run out, and say no more */
	if (remedy == STEDI_REMEDY_NONE && answer->result == 0 && answer->status == 403 &&
		(slot->generation != slot->fetch->credential->generation ||
		 stedi_credential_may_be_over(slot->fetch->credential)))
		return STEDI_REMEDY_RENEW;
	return remedy;
}

/* A try failed.  Send the request again, now or later, if that may help. */
static void
slot_fail(Slot *slot)
{
	char		region[STEDI_REGION_SIZE];
	bool		at_once = false;
	int64		pause = -1;

	/* a page is sent from its start again, so it never gets on */
	if (slot->object != NULL && slot->received - slot->received_before >= PROGRESS_SIZE)
	{
		slot->n_tries = 0;
		slot->trouble_since = 0;
		slot->moved = slot->renewed = false;
	}
	slot->n_tries++;
	switch (slot_remedy(slot, region))
	{
		case STEDI_REMEDY_NONE:
			break;
		case STEDI_REMEDY_AGAIN:
			pause = slot_pause(slot);
			break;
		case STEDI_REMEDY_REGION:
			at_once = slot_move(slot, region);
			break;
		case STEDI_REMEDY_RENEW:
			at_once = slot_renew(slot);
			break;
		case STEDI_REMEDY_NEWER:
			at_once = slot->may_change && !slot->newer && slot->received == 0;
			slot->newer = at_once;
			break;
	}
	slot->state = SLOT_FAILED;
	if (at_once)
		slot_send(slot);
	else if (pause >= 0)
	{
		ereport(DEBUG1,
				errmsg_internal("a request to bucket \"%s\" is sent again in " INT64_FORMAT " ms",
								slot->fetch->opts->bucket, pause));
		slot->rests_until = GetCurrentTimestamp() + pause * 1000;
		slot->state = SLOT_RESTING;
	}
}

/*
 * The object is another one, and taken as it is now; its size is noted by
 * slot_check_head, its ETag only here, as callbacks do not palloc.
 */
static void
slot_adopt(Slot *slot)
{
	if (!slot->newer || !slot->head_right)
		return;
	slot->object->etag = MemoryContextStrdup(slot->fetch->cxt, slot->transfer.answer.etag);
	if (slot->transfer.answer.modified >= 0)
		slot->object->modified = time_t_to_timestamptz((pg_time_t) slot->transfer.answer.modified);
	slot->newer = slot->may_change = false;
}

/* The answer is there: is it what was asked for? */
static void
slot_settle(Slot *slot)
{
	StediAnswer *answer = &slot->transfer.answer;
	bool		good = answer->status == 200 || answer->status == 206;
	bool		whole;

	if (good && answer->result == 0 && !slot->head_seen)
		(void) slot_check_head(slot);	/* nothing came behind it */
	slot_adopt(slot);
	whole = slot->object == NULL ? answer->result == 0 :
		slot->received == (uint64) slot->object->size;

	/* what breaks, or goes silent, behind the last byte is no trouble */
	if (good && slot->head_right && whole &&
		(answer->result >= 0 || answer->result == STEDI_ANSWER_STALLED))
	{
		bool		checked = slot->checked;

		slot->checked = false;
		slot->state = SLOT_ENDED;
		if (!checked || stedi_checksum_end(&slot->checksum))
			return;
		answer->result = STEDI_ANSWER_WRONG_CHECKSUM;
	}
	else if (good && answer->result == 0)
		answer->result = answer->length < 0 ? STEDI_ANSWER_CUT_OFF : STEDI_ANSWER_WRONG_LENGTH;
	slot_fail(slot);
}

/* See how a slot gets on. */
static void
slot_look(Slot *slot)
{
	StediTransfer *transfer = &slot->transfer;

	slot_adopt(slot);
	if (slot->state == SLOT_RESTING)
	{
		if (GetCurrentTimestamp() >= slot->rests_until)
			slot_send(slot);
	}
	else if (slot->state == SLOT_RUNNING && transfer->done)
		slot_settle(slot);
	else if (slot->state == SLOT_RUNNING &&
			 transfer->idle_ms >= slot->fetch->opts->stall_timeout * 1000)
	{
		stedi_http_stop(transfer);
		transfer->answer.result = STEDI_ANSWER_STALLED;
		slot_settle(slot);
	}
}

/* The slot of that age, from 0 on; behind them is the page. */
static Slot *
fetch_slot(StediFetch *fetch, int age)
{
	return &fetch->slots[(fetch->first + age) % fetch->n_slots];
}

/* Do what can be done without waiting. */
static void
fetch_go_on(StediFetch *fetch)
{
	stedi_http_perform(fetch->http);
	for (int age = 0; age < fetch->n_used; age++)
		slot_look(fetch_slot(fetch, age));
	if (fetch->page.fetch != NULL)
		slot_look(&fetch->page);
}

/* Are there bytes to read from it, or will there be no more? */
static bool
slot_is_ready(const Slot *slot)
{
	return slot->state == SLOT_ENDED || slot->state == SLOT_FAILED ||
		(slot->object != NULL && slot->len > 0);
}

/* When a slot rests, no wait may be longer. */
static int
slot_limit_wait(const Slot *slot, int ms)
{
	if (slot->state != SLOT_RESTING)
		return ms;
	return (int) Min((long) ms, TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
																slot->rests_until));
}

/*
 * Somebody waits again.  In between nothing was done, so it is no part of the
 * time in which a request may be tried: between the rows of a cursor there
 * may be hours.
 */
static void
fetch_come_back(StediFetch *fetch)
{
	TimestampTz away = fetch->left_at == 0 ? 0 : GetCurrentTimestamp() - fetch->left_at;

	for (int age = 0; age < fetch->n_used; age++)
	{
		Slot	   *slot = fetch_slot(fetch, age);

		if (slot->trouble_since != 0)
			slot->trouble_since += away;
	}
}

/*
 * Go on with all slots until this one is ready, or has failed; false when it
 * is not wanted any more.
 */
static bool
fetch_wait(StediFetch *fetch, Slot *slot)
{
	fetch_come_back(fetch);
	for (fetch_go_on(fetch); !slot_is_ready(slot); fetch_go_on(fetch))
	{
		int			ms = slot_limit_wait(slot, WAIT_MS);

		if (fetch->is_over != NULL && fetch->is_over(fetch->over_arg))
			return false;
		for (int age = 0; age < fetch->n_used; age++)
			ms = slot_limit_wait(fetch_slot(fetch, age), ms);
		stedi_http_wait(fetch->http, ms);
	}
	fetch->left_at = GetCurrentTimestamp();
	CHECK_FOR_INTERRUPTS();		/* a cancel is not a failed fetch */
	return true;
}

/* An error when the slot failed. */
static void
fetch_check(const StediFetch *fetch, const Slot *slot)
{
	if (slot->state == SLOT_FAILED)
		stedi_s3_report(fetch->opts, fetch->credential, slot->object,
						&slot->transfer.answer, slot->n_tries);
}

/* Put waiting objects into free slots. */
static void
fetch_start_waiting(StediFetch *fetch)
{
	while (fetch->waiting != NIL && fetch->n_used < fetch->n_slots)
	{
		Waiting    *next = linitial(fetch->waiting);

		slot_begin(fetch_slot(fetch, fetch->n_used), next->object, next->may_change);
		fetch->n_used++;
		fetch->waiting = list_delete_first(fetch->waiting);
		pfree(next);
	}
}

/* See s3.h. */
void
stedi_fetch_add(StediFetch *fetch, StediObject *object, bool may_change)
{
	MemoryContext caller;
	Waiting    *waiting;

	fetch_prepare(fetch);
	caller = MemoryContextSwitchTo(fetch->cxt);
	waiting = palloc(sizeof(Waiting));
	waiting->object = object;
	waiting->may_change = may_change;
	fetch->waiting = lappend(fetch->waiting, waiting);
	MemoryContextSwitchTo(caller);
	fetch_start_waiting(fetch);
}

/* See s3.h. */
bool
stedi_fetch_has_room(const StediFetch *fetch)
{
	int			n_slots = fetch->n_slots > 0 ? fetch->n_slots : fetch->opts->connections;

	return fetch->n_used + list_length(fetch->waiting) < n_slots;
}

/* The oldest slot is free for another object. */
static void
fetch_pass_on(StediFetch *fetch)
{
	fetch->first = (fetch->first + 1) % fetch->n_slots;
	fetch->n_used--;
	fetch_start_waiting(fetch);
}

/* See s3.h. */
Size
stedi_fetch_read(StediFetch *fetch, char *dest, Size room)
{
	Slot	   *slot;
	Size		n;

	Assert(room > 0);
	if (fetch->n_used == 0)
		return 0;
	slot = fetch_slot(fetch, 0);
	if (!fetch_wait(fetch, slot))
		return 0;
	fetch_check(fetch, slot);
	n = ring_take(slot, dest, room);
	if (slot->len <= slot->buf_size / 2)
		stedi_http_resume(&slot->transfer);
	if (n == 0)
		fetch_pass_on(fetch);
	return n;
}

/* See s3.h. */
void
stedi_fetch_until(StediFetch *fetch, StediOverFn is_over, void *arg)
{
	fetch->is_over = is_over;
	fetch->over_arg = arg;
}

/* See s3.h. */
void
stedi_fetch_leave(StediFetch *fetch)
{
	if (fetch->n_used == 0)
		return;
	stedi_http_stop(&fetch_slot(fetch, 0)->transfer);
	fetch_pass_on(fetch);
}

/* See s3.h. */
void
stedi_fetch_reset(StediFetch *fetch)
{
	for (; fetch->n_used > 0; fetch->n_used--)
	{
		stedi_http_stop(&fetch_slot(fetch, 0)->transfer);
		fetch->first = (fetch->first + 1) % fetch->n_slots;
	}
	list_free_deep(fetch->waiting);
	fetch->waiting = NIL;
}

/* Ask for a page, and wait until it is there or has failed. */
static void
fetch_ask_page(StediFetch *fetch, const char *prefix, const char *token, bool folders)
{
	Slot	   *page = &fetch->page;
	MemoryContext caller = MemoryContextSwitchTo(fetch->cxt);

	/* a listing needs one connection, and takes no more */
	fetch_connect(fetch);
	if (page->fetch == NULL && !slot_make(fetch, page, MAX_PAGE_SIZE))
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				errmsg("could not list bucket \"%s\": too many files are open",
					   fetch->opts->bucket),
				errhint("Raise max_files_per_process, or lower option \"connections\" of the server."));
	MemoryContextSwitchTo(caller);
	page->prefix = prefix;
	page->token = token;
	page->folders = folders;
	slot_begin(page, NULL, false);
	if (!fetch_wait(fetch, page))
		elog(ERROR, "nobody ends a listing early");
}

/* Take what came of a page. */
static char *
fetch_take_page(StediFetch *fetch, Size *len)
{
	Slot	   *page = &fetch->page;
	char	   *xml = palloc(page->len + 1);

	*len = ring_take(page, xml, page->len);
	xml[*len] = '\0';

	/* It is large, and a listing's client may live on for a while. */
	pfree(page->buf);
	page->buf = NULL;
	return xml;
}

/* See s3.h. */
void
stedi_fetch_page(StediFetch *fetch, const char *prefix, const char *token,
				 char **xml, Size *len)
{
	fetch_ask_page(fetch, prefix, token, false);
	fetch_check(fetch, &fetch->page);
	*xml = fetch_take_page(fetch, len);
}

/* See s3.h. */
bool
stedi_fetch_folders(StediFetch *fetch, const char *prefix, char **xml, Size *len)
{
	fetch_ask_page(fetch, prefix, "", true);
	if (fetch->page.state == SLOT_FAILED)
		return false;
	*xml = fetch_take_page(fetch, len);
	return true;
}

/* See s3.h. */
const StediFetchStats *
stedi_fetch_stats(const StediFetch *fetch)
{
	return &fetch->stats;
}
