/*-------------------------------------------------------------------------
 *
 * slot.c
 *		One transfer: its ring of bytes, its checks, its retries.
 *
 * A request that fails is sent again if trouble.c says that this may help,
 * after a pause that doubles from try to try and is drawn at random, so that
 * many clients do not come back at the same moment.  It asks for the bytes
 * that are still missing, on condition that the object is the same: the ring
 * then goes on where it broke off, and its reader does not notice.
 *
 *-------------------------------------------------------------------------
 */
#include "s3/slot.h"

#include "common/pg_prng.h"
#include "utils/timestamp.h"

/* The first pause before a request is sent again, and the longest, ms. */
#define FIRST_PAUSE_MS 100
#define LONGEST_PAUSE_MS (20 * 1000)

/*
 * Bytes that make a try one that got on, after which tries are counted anew:
 * more than a broken network lets through by accident.
 */
#define PROGRESS_SIZE (64 * 1024)

/* Put bytes into the ring, which has room for them.  Never throws. */
static void
ring_put(StediSlot *slot, const char *bytes, Size len)
{
	Size		end = (slot->start + slot->len) % slot->buf_size;
	Size		before_wrap = Min(len, slot->buf_size - end);

	memcpy(slot->buf + end, bytes, before_wrap);
	memcpy(slot->buf, bytes + before_wrap, len - before_wrap);
	slot->len += len;
}

/* Take at most room bytes out of the ring. */
Size
stedi_slot_read(StediSlot *slot, char *dest, Size room)
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
begin_checksum(StediSlot *slot)
{
	const StediAnswer *answer = &slot->transfer.answer;

	for (int kind = 0; kind < STEDI_N_CHECKSUMS && !slot->checked; kind++)
		slot->checked = stedi_checksum_begin(&slot->checksum, kind, answer->checksums[kind]);

	/* an ETag is that of what is stored, which KMS encrypts */
	if (!slot->checked && strncmp(answer->encryption, "aws:", 4) != 0)
		slot->checked = stedi_checksum_begin(&slot->checksum, STEDI_CHECKSUM_MD5, answer->etag);
}

/* Forget a checksum that will not be needed.  Never throws. */
void
stedi_slot_drop_checksum(StediSlot *slot)
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
slot_version(const StediSlot *slot)
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
slot_check_head(StediSlot *slot)
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
		stedi_slot_drop_checksum(slot);
		begin_checksum(slot);
	}
	return slot->head_right;
}

/* Take bytes of a body: see StediTakeFn.  Never throws. */
static StediTaken
slot_take(void *arg, const char *bytes, Size len)
{
	StediSlot  *slot = arg;
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

/* Make a slot; false when no file may be opened for it. */
bool
stedi_slot_make(StediFetch *fetch, StediSlot *slot, Size buf_size)
{
	slot->fetch = fetch;
	slot->buf_size = buf_size;
	return stedi_http_add(fetch->http, &slot->transfer, slot_take, slot);
}

/* Send the slot's request, for what is missing of its answer. */
static void
slot_send(StediSlot *slot)
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
	slot->state = STEDI_SLOT_RUNNING;
	slot->head_seen = slot->head_right = false;
	slot->received_before = slot->received;

	/* over one of old that has ended, libcurl would send it once more */
	slot->transfer.fresh = slot->n_tries > 0 && slot->transfer.answer.result != 0;
	stedi_http_start(&slot->transfer, request);
	MemoryContextSwitchTo(caller);
}

/* Begin with an object, or a page. */
void
stedi_slot_begin(StediSlot *slot, StediObject *object, bool may_change)
{
	slot->object = object;
	slot->may_change = may_change;
	slot->newer = slot->moved = slot->renewed = false;
	slot->received = slot->start = slot->len = 0;
	slot->etag[0] = '\0';
	slot->n_tries = 0;
	slot->trouble_since = 0;
	stedi_slot_drop_checksum(slot); /* what an error may have left */
	slot_send(slot);
}

/*
 * How long to wait before the next try, ms; -1: no longer.  The server's own
 * word counts if it is longer.
 */
static int64
slot_pause(StediSlot *slot)
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
slot_move(StediSlot *slot, const char *region)
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
slot_renew(StediSlot *slot)
{
	StediCredential *credential = slot->fetch->credential;

	if (slot->renewed)
		return false;
	slot->renewed = true;
	return slot->generation != credential->generation || stedi_credential_renew(credential);
}

/* What may help, by what is known of the answer and of the credentials. */
static StediRemedy
slot_remedy(StediSlot *slot, char region[STEDI_REGION_SIZE])
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
slot_fail(StediSlot *slot)
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
	slot->state = STEDI_SLOT_FAILED;
	if (at_once)
		slot_send(slot);
	else if (pause >= 0)
	{
		ereport(DEBUG1,
				errmsg_internal("a request to bucket \"%s\" is sent again in " INT64_FORMAT " ms",
								slot->fetch->opts->bucket, pause));
		slot->rests_until = GetCurrentTimestamp() + pause * 1000;
		slot->state = STEDI_SLOT_RESTING;
	}
}

/*
 * The object is another one, and taken as it is now; its size is noted by
 * slot_check_head, its ETag only here, as callbacks do not palloc.
 */
static void
slot_adopt(StediSlot *slot)
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
slot_settle(StediSlot *slot)
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
		slot->state = STEDI_SLOT_ENDED;
		if (!checked || stedi_checksum_end(&slot->checksum))
			return;
		answer->result = STEDI_ANSWER_WRONG_CHECKSUM;
	}
	else if (good && answer->result == 0)
		answer->result = answer->length < 0 ? STEDI_ANSWER_CUT_OFF : STEDI_ANSWER_WRONG_LENGTH;
	slot_fail(slot);
}

/* See how a slot gets on. */
void
stedi_slot_look(StediSlot *slot)
{
	StediTransfer *transfer = &slot->transfer;

	slot_adopt(slot);
	if (slot->state == STEDI_SLOT_RESTING)
	{
		if (GetCurrentTimestamp() >= slot->rests_until)
			slot_send(slot);
	}
	else if (slot->state == STEDI_SLOT_RUNNING && transfer->done)
		slot_settle(slot);
	else if (slot->state == STEDI_SLOT_RUNNING &&
			 transfer->idle_ms >= slot->fetch->opts->stall_timeout * 1000)
	{
		stedi_http_stop(transfer);
		transfer->answer.result = STEDI_ANSWER_STALLED;
		slot_settle(slot);
	}
}

/* Are there bytes to read from it, or will there be no more? */
bool
stedi_slot_is_ready(const StediSlot *slot)
{
	return slot->state == STEDI_SLOT_ENDED || slot->state == STEDI_SLOT_FAILED ||
		(slot->object != NULL && slot->len > 0);
}

/* When a slot rests, no wait may be longer. */
int
stedi_slot_limit_wait(const StediSlot *slot, int ms)
{
	if (slot->state != STEDI_SLOT_RESTING)
		return ms;
	return (int) Min((long) ms, TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
																slot->rests_until));
}
