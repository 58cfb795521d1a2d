/*-------------------------------------------------------------------------
 *
 * fetch.c
 *		Objects -> bytes, several in flight, whatever the network does.
 *
 *	 stedi_fetch_add -->  waiting  -->  slots, each a transfer with a ring of
 *	 object				  objects		bytes  -->  stedi_fetch_read, oldest first
 *
 * A transfer whose ring is full is paused, so memory is bounded however slow
 * the reader is.  Transfers go on while a caller waits in stedi_fetch_read or
 * stedi_fetch_page.
 *
 * slot.c sends requests again that fail.
 *
 *-------------------------------------------------------------------------
 */
#include "s3/slot.h"

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

/* An object that waits for a slot. */
typedef struct Waiting
{
	StediObject *object;
	bool		may_change;
} Waiting;

/* Free what is not PostgreSQL's memory.  Never throws; harmless when called twice. */
static void
fetch_release(void *arg)
{
	StediFetch *fetch = arg;

	for (int i = 0; i < fetch->n_slots; i++)
		stedi_slot_drop_checksum(&fetch->slots[i]);
}

/* Nothing is sent yet, and nothing of libcurl's made. */
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
		fetch->slots = palloc0(connections * sizeof(StediSlot));
	while (fetch->n_slots < connections &&
		   stedi_slot_make(fetch, &fetch->slots[fetch->n_slots], RING_SIZE))
		fetch->n_slots++;
	MemoryContextSwitchTo(caller);
	if (fetch->n_slots == 0)
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				errmsg("could not connect to bucket \"%s\": too many files are open",
					   fetch->opts->bucket),
				errhint("Raise max_files_per_process, or lower option \"connections\" of the server."));
}

/* The slot of that age, from 0 on; behind them is the page. */
static StediSlot *
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
		stedi_slot_look(fetch_slot(fetch, age));
	if (fetch->page.fetch != NULL)
		stedi_slot_look(&fetch->page);
}

/*
 * A caller waits again.  In between nothing was done, so it is no part of the
 * time in which a request may be tried: between the rows of a cursor there
 * may be hours.
 */
static void
fetch_come_back(StediFetch *fetch)
{
	TimestampTz away = fetch->left_at == 0 ? 0 : GetCurrentTimestamp() - fetch->left_at;

	for (int age = 0; age < fetch->n_used; age++)
	{
		StediSlot  *slot = fetch_slot(fetch, age);

		if (slot->trouble_since != 0)
			slot->trouble_since += away;
	}
}

/*
 * Go on with all slots until this one is ready, or has failed; false when it
 * is not wanted any more.
 */
static bool
fetch_wait(StediFetch *fetch, StediSlot *slot)
{
	fetch_come_back(fetch);
	for (fetch_go_on(fetch); !stedi_slot_is_ready(slot); fetch_go_on(fetch))
	{
		int			ms = stedi_slot_limit_wait(slot, WAIT_MS);

		if (fetch->is_over != NULL && fetch->is_over(fetch->over_arg))
			return false;
		for (int age = 0; age < fetch->n_used; age++)
			ms = stedi_slot_limit_wait(fetch_slot(fetch, age), ms);
		stedi_http_wait(fetch->http, ms);
	}
	fetch->left_at = GetCurrentTimestamp();
	CHECK_FOR_INTERRUPTS();		/* a cancel is not a failed fetch */
	return true;
}

/* An error when the slot failed. */
static void
fetch_check(const StediFetch *fetch, const StediSlot *slot)
{
	if (slot->state == STEDI_SLOT_FAILED)
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

		stedi_slot_begin(fetch_slot(fetch, fetch->n_used), next->object, next->may_change);
		fetch->n_used++;
		fetch->waiting = list_delete_first(fetch->waiting);
		pfree(next);
	}
}

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

Size
stedi_fetch_read(StediFetch *fetch, char *dest, Size room)
{
	StediSlot  *slot;
	Size		n;

	Assert(room > 0);
	if (fetch->n_used == 0)
		return 0;
	slot = fetch_slot(fetch, 0);
	if (!fetch_wait(fetch, slot))
		return 0;
	fetch_check(fetch, slot);
	n = stedi_slot_read(slot, dest, room);
	if (slot->len <= slot->buf_size / 2)
		stedi_http_resume(&slot->transfer);
	if (n == 0)
		fetch_pass_on(fetch);
	return n;
}

void
stedi_fetch_until(StediFetch *fetch, StediOverFn is_over, void *arg)
{
	fetch->is_over = is_over;
	fetch->over_arg = arg;
}

void
stedi_fetch_leave(StediFetch *fetch)
{
	if (fetch->n_used == 0)
		return;
	stedi_http_stop(&fetch_slot(fetch, 0)->transfer);
	fetch_pass_on(fetch);
}

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
	StediSlot  *page = &fetch->page;
	MemoryContext caller = MemoryContextSwitchTo(fetch->cxt);

	/* a listing needs one connection, and takes no more */
	fetch_connect(fetch);
	if (page->fetch == NULL && !stedi_slot_make(fetch, page, MAX_PAGE_SIZE))
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				errmsg("could not list bucket \"%s\": too many files are open",
					   fetch->opts->bucket),
				errhint("Raise max_files_per_process, or lower option \"connections\" of the server."));
	MemoryContextSwitchTo(caller);
	page->prefix = prefix;
	page->token = token;
	page->folders = folders;
	stedi_slot_begin(page, NULL, false);
	if (!fetch_wait(fetch, page))
		elog(ERROR, "nobody ends a listing early");
}

/* Take what came of a page. */
static char *
fetch_take_page(StediFetch *fetch, Size *len)
{
	StediSlot  *page = &fetch->page;
	char	   *xml = palloc(page->len + 1);

	*len = stedi_slot_read(page, xml, page->len);
	xml[*len] = '\0';

	/* It is large, and a listing's client may live on for a while. */
	pfree(page->buf);
	page->buf = NULL;
	return xml;
}

void
stedi_fetch_page(StediFetch *fetch, const char *prefix, const char *token,
				 char **xml, Size *len)
{
	fetch_ask_page(fetch, prefix, token, false);
	fetch_check(fetch, &fetch->page);
	*xml = fetch_take_page(fetch, len);
}

bool
stedi_fetch_folders(StediFetch *fetch, const char *prefix, char **xml, Size *len)
{
	fetch_ask_page(fetch, prefix, "", true);
	if (fetch->page.state == STEDI_SLOT_FAILED)
		return false;
	*xml = fetch_take_page(fetch, len);
	return true;
}

const StediFetchStats *
stedi_fetch_stats(const StediFetch *fetch)
{
	return &fetch->stats;
}
