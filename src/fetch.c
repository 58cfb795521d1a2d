/*-------------------------------------------------------------------------
 *
 * fetch.c
 *		Objects -> bytes, several in flight; the only user of libcurl.
 *
 *	 stedi_fetch_add -->  waiting  -->  slots, each a Transfer with a ring of
 *	 object				  objects		bytes  -->  stedi_fetch_read, oldest first
 *
 * libcurl does nothing between our calls: there is one curl_multi handle, and
 * it is driven while somebody waits in stedi_fetch_read or stedi_fetch_page.
 * A transfer whose ring is full is paused, so memory is bounded however slow
 * the reader is.  Waits are short and interruptible.
 *
 * Two things must not meet: libcurl's frames and PostgreSQL's longjmp.
 * Callbacks neither throw nor palloc; they note what is wrong, and
 * trouble.c says so once we are outside.  And the thread in which
 * libcurl resolves a name must not take the backend's signals: they are
 * blocked whenever one may be started.
 *
 * Everything of libcurl's hangs on StediFetch, whose reset callback frees it
 * whatever ends the query.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>

#include "stedi.h"

#include <pthread.h>
#include <signal.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/*
 * Bytes of an object that are kept until they are read.  With a round trip
 * of 10 ms this lets a connection bring 100 MB/s, more than S3 gives to one.
 */
#define RING_SIZE (1024 * 1024)

/* The longest page: 1000 keys of 3 kB, and as much again for the rest. */
#define MAX_PAGE_SIZE (8 * 1024 * 1024)

/* As much of an error's body as is looked at; S3's have less than 2 kB. */
#define MAX_ERROR_SIZE (64 * 1024)

/* What libcurl reads at a time, at most. */
#define CURL_BUFFER_SIZE (256 * 1024)

/* Longest wait for the network: as late may a cancel be noticed. */
#define WAIT_MS 50

StaticAssertDecl(STEDI_ANSWER_MESSAGE_SIZE >= CURL_ERROR_SIZE,
				 "libcurl writes as much as CURL_ERROR_SIZE");

typedef struct Transfer
{
	StediFetch *fetch;			/* borrowed: the one it is in */

	/* for good, once made */
	CURL	   *handle;			/* owned, freed by transfer_free */
	char	   *buf;			/* in the context of fetch */
	Size		buf_size;

	/* the request under way */
	const StediObject *object;	/* borrowed; NULL: a page */
	struct curl_slist *headers; /* owned */
	bool		added;			/* libcurl is at it */
	bool		done;

	/* its answer, written by the callbacks */
	StediAnswer answer;
	uint64		received;		/* bytes of the body */
	bool		paused;

	/* bytes not read yet, in buf: a ring, or from the start when no 200 */
	Size		start;
	Size		len;
} Transfer;

struct StediFetch
{
	/* whole life */
	MemoryContext cxt;
	MemoryContext request_cxt;	/* reset for every request */
	const StediOptions *opts;	/* borrowed */
	StediCredential credential; /* wiped by fetch_release */
	StediFetchStats stats;
	MemoryContextCallback release;	/* armed before the rest exists */

	/* made at the first request, freed by fetch_release */
	CURLM	   *multi;
	int			n_slots;		/* descriptors reserved, one a slot */
	Transfer   *slots;			/* oldest is slots[first], and so on around */
	Transfer	page;

	/* what is to be read */
	int			first;
	int			n_running;		/* slots in use */
	List	   *waiting;		/* of StediObject, borrowed */
};

/* Block all signals; *old is for unblock_signals. */
static void
block_signals(sigset_t *old)
{
	sigset_t	all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, old);
}

static void
unblock_signals(const sigset_t *old)
{
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

/* For what cannot fail but for want of memory. */
static void
report_out_of_memory(const StediFetch *fetch)
{
	ereport(ERROR,
			errcode(ERRCODE_OUT_OF_MEMORY),
			errmsg("out of memory"),
			errdetail("Failed on a request to bucket \"%s\".", fetch->opts->bucket));
}

/* Take a header of the answer.  Never throws. */
static size_t
fetch_on_header(char *bytes, size_t size, size_t n, void *arg)
{
	static const char name[] = "x-amz-bucket-region:";
	Transfer   *transfer = arg;
	size_t		len = size * n;
	size_t		name_len = strlen(name);

	if (len > name_len && pg_strncasecmp(bytes, name, name_len) == 0)
	{
		for (bytes += name_len, len -= name_len; len > 0 && *bytes == ' '; len--)
			bytes++;
		while (len > 0 && (unsigned char) bytes[len - 1] <= ' ')
			len--;
		if (len < sizeof(transfer->answer.region))
		{
			memcpy(transfer->answer.region, bytes, len);
			transfer->answer.region[len] = '\0';
		}
	}
	return size * n;
}

/* Put bytes into the ring, which has room for them.  Never throws. */
static void
ring_put(Transfer *transfer, const char *bytes, Size len)
{
	Size		end = (transfer->start + transfer->len) % transfer->buf_size;
	Size		before_wrap = Min(len, transfer->buf_size - end);

	memcpy(transfer->buf + end, bytes, before_wrap);
	memcpy(transfer->buf, bytes + before_wrap, len - before_wrap);
	transfer->len += len;
}

/* Take at most room bytes out of the ring. */
static Size
ring_take(Transfer *transfer, char *dest, Size room)
{
	Size		n = Min(room, transfer->len);
	Size		before_wrap = Min(n, transfer->buf_size - transfer->start);

	memcpy(dest, transfer->buf + transfer->start, before_wrap);
	memcpy(dest + before_wrap, transfer->buf, n - before_wrap);
	transfer->start = (transfer->start + n) % transfer->buf_size;
	transfer->len -= n;
	return n;
}

/*
 * Take body bytes from libcurl.
 *
 * Never throws.  Taking fewer bytes than offered ends the transfer; the
 * result that we note before is then the one that is reported.
 */
static size_t
fetch_on_body(char *bytes, size_t size, size_t n, void *arg)
{
	Transfer   *transfer = arg;
	size_t		len = size * n;
	size_t		taken = len;

	if (transfer->answer.status == 0)
		curl_easy_getinfo(transfer->handle, CURLINFO_RESPONSE_CODE, &transfer->answer.status);
	if (transfer->answer.status != 200)
		taken = Min(len, MAX_ERROR_SIZE - transfer->len);
	else if (transfer->object != NULL &&
			 transfer->received + len > (uint64) transfer->object->size)
	{
		transfer->answer.result = STEDI_ANSWER_WRONG_LENGTH;
		return 0;
	}
	else if (len > transfer->buf_size - transfer->len)
	{
		transfer->paused = transfer->object != NULL;
		if (transfer->paused)
			return CURL_WRITEFUNC_PAUSE;
		transfer->answer.result = STEDI_ANSWER_TOO_LONG;
		return 0;
	}
	else if (transfer->object != NULL)
		transfer->fetch->stats.bytes += len;
	ring_put(transfer, bytes, taken);
	transfer->received += len;
	return len;
}

/* libcurl is no longer at it.  Never throws. */
static void
transfer_stop(Transfer *transfer)
{
	if (transfer->added)
		curl_multi_remove_handle(transfer->fetch->multi, transfer->handle);
	transfer->added = false;
	for (struct curl_slist *header = transfer->headers; header != NULL; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
}

/* Never throws. */
static void
transfer_free(Transfer *transfer)
{
	transfer_stop(transfer);
	if (transfer->handle != NULL)
		curl_easy_cleanup(transfer->handle);
	transfer->handle = NULL;
}

/*
 * Free all that is libcurl's, wipe all that is secret.  Never throws;
 * harmless when called twice.
 */
static void
fetch_release(void *arg)
{
	StediFetch *fetch = arg;
	sigset_t	old;

	block_signals(&old);
	for (int i = 0; i < fetch->n_slots; i++)
		transfer_free(&fetch->slots[i]);
	transfer_free(&fetch->page);
	if (fetch->multi != NULL)
		curl_multi_cleanup(fetch->multi);
	unblock_signals(&old);
	fetch->multi = NULL;
	for (; fetch->n_slots > 0; fetch->n_slots--)
		ReleaseExternalFD();
	stedi_credential_forget(&fetch->credential);
}

/* See stedi.h.  Nothing is sent yet, and nothing of libcurl's made. */
StediFetch *
stedi_fetch_open(const StediOptions *opts, Oid userid)
{
	StediFetch *fetch = palloc0(sizeof(StediFetch));

	if (strncmp(opts->endpoint, "https://", 8) != 0 && !opts->allow_http)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("endpoint \"%s\" is not encrypted", opts->endpoint),
				errhint("Set option \"endpoint\" of the server to one that starts with https://, "
						"or set its option \"allow_http\" to true if nobody else is on the way."));
	fetch->cxt = CurrentMemoryContext;
	fetch->request_cxt = AllocSetContextCreate(fetch->cxt, "stedi request",
											   ALLOCSET_SMALL_SIZES);
	fetch->opts = opts;
	fetch->page.fetch = fetch;
	fetch->page.buf_size = MAX_PAGE_SIZE;
	fetch->release.func = fetch_release;
	fetch->release.arg = fetch;
	MemoryContextRegisterResetCallback(fetch->cxt, &fetch->release);
	stedi_credential_get(opts, userid, &fetch->credential);
	return fetch;
}

/* Make the multi handle and reserve descriptors, unless that is done. */
static void
fetch_prepare(StediFetch *fetch)
{
	static bool initialized = false;	/* in this backend, never undone */
	int			connections = fetch->opts->connections;

	if (fetch->n_slots > 0)
		return;
	if (!initialized && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		report_out_of_memory(fetch);
	initialized = true;
	if (fetch->multi == NULL)
		fetch->multi = curl_multi_init();
	if (fetch->multi == NULL)
		report_out_of_memory(fetch);
	if (fetch->slots == NULL)
		fetch->slots = MemoryContextAllocZero(fetch->cxt, connections * sizeof(Transfer));
	while (fetch->n_slots < connections && AcquireExternalFD())
	{
		Transfer   *transfer = &fetch->slots[fetch->n_slots++];

		transfer->fetch = fetch;
		transfer->buf_size = RING_SIZE;
	}
	if (fetch->n_slots == 0)
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				errmsg("could not connect to bucket \"%s\": too many files are open",
					   fetch->opts->bucket),
				errhint("Raise max_files_per_process, or lower option \"connections\" of the server."));
	curl_multi_setopt(fetch->multi, CURLMOPT_MAXCONNECTS, (long) fetch->n_slots);
}

/* Make a transfer's handle with what is the same for all requests. */
static void
transfer_make(Transfer *transfer)
{
	const StediOptions *opts = transfer->fetch->opts;
	const struct curl_easyoption *quick_exit = curl_easy_option_by_name("QUICK_EXIT");
	CURL	   *handle;
	CURLcode	code = CURLE_OK;

#define SET(option, value) \
	code = code != CURLE_OK ? code : curl_easy_setopt(handle, option, value)

	handle = transfer->handle = curl_easy_init();
	if (handle == NULL)
		report_out_of_memory(transfer->fetch);
	SET(CURLOPT_PRIVATE, (void *) transfer);
	SET(CURLOPT_WRITEFUNCTION, fetch_on_body);
	SET(CURLOPT_WRITEDATA, (void *) transfer);
	SET(CURLOPT_HEADERFUNCTION, fetch_on_header);
	SET(CURLOPT_HEADERDATA, (void *) transfer);
	SET(CURLOPT_ERRORBUFFER, transfer->answer.message);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_USERAGENT, "stedi");

	/* A paused transfer would hold up the others of its HTTP/2 connection. */
	SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);

	/* Keys may have segments . and ..; a redirect needs another signature. */
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_FOLLOWLOCATION, 0L);

	/* Neither files nor the environment have a say. */
	SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	SET(CURLOPT_PROXY, opts->proxy != NULL ? opts->proxy : "");
	SET(CURLOPT_NOPROXY, "");

	SET(CURLOPT_CONNECTTIMEOUT_MS, (long) opts->connect_timeout);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_BUFFERSIZE, (long) CURL_BUFFER_SIZE);
	if (code == CURLE_OK)
		code = STEDI_CURL_SET_PROTOCOLS(handle, !opts->allow_http);

	/* From 7.87: do not wait for the resolver's thread when we give up. */
	if (quick_exit != NULL)
		SET(quick_exit->id, 1L);
	if (code != CURLE_OK)
		report_out_of_memory(transfer->fetch);
}

/* Give libcurl a request; it is under way once libcurl is driven. */
static void
transfer_start(Transfer *transfer, StediRequest *request)
{
	CURL	   *handle = transfer->handle;
	CURLMcode	code;

	transfer_stop(transfer);	/* what an error may have left */
	if (transfer->buf == NULL)
		transfer->buf = MemoryContextAlloc(transfer->fetch->cxt, transfer->buf_size);
	transfer->done = false;
	memset(&transfer->answer, 0, sizeof(transfer->answer));
	transfer->received = 0;
	transfer->paused = false;
	transfer->start = 0;
	transfer->len = 0;
	for (int i = 0; i < request->n_headers; i++)
	{
		char	   *line = psprintf("%s: %s", request->headers[i].name, request->headers[i].value);
		struct curl_slist *headers = curl_slist_append(transfer->headers, line);

		explicit_bzero(line, strlen(line));
		if (headers == NULL)
			report_out_of_memory(transfer->fetch);
		transfer->headers = headers;
	}
	stedi_request_forget(request);
	if (curl_easy_setopt(handle, CURLOPT_URL, request->url) != CURLE_OK ||
		curl_easy_setopt(handle, CURLOPT_HTTPHEADER, transfer->headers) != CURLE_OK)
		report_out_of_memory(transfer->fetch);
	code = curl_multi_add_handle(transfer->fetch->multi, handle);
	if (code != CURLM_OK)
		elog(ERROR, "could not start a transfer: %s", curl_multi_strerror(code));
	transfer->added = true;
}

/* Put waiting objects into free slots. */
static void
fetch_start_waiting(StediFetch *fetch)
{
	while (fetch->waiting != NIL && fetch->n_running < fetch->n_slots)
	{
		Transfer   *transfer = &fetch->slots[(fetch->first + fetch->n_running) % fetch->n_slots];
		const StediObject *object = linitial(fetch->waiting);
		MemoryContext old;

		if (transfer->handle == NULL)
			transfer_make(transfer);
		MemoryContextReset(fetch->request_cxt);
		old = MemoryContextSwitchTo(fetch->request_cxt);
		transfer->object = object;
		transfer_start(transfer, stedi_request_object(fetch->opts, &fetch->credential,
													  object->key, object->etag));
		MemoryContextSwitchTo(old);
		fetch->waiting = list_delete_first(fetch->waiting);
		fetch->n_running++;
		fetch->stats.n_gets++;
	}
}

/* Note which transfers libcurl is done with. */
static void
fetch_collect(StediFetch *fetch)
{
	CURLMsg    *msg;
	int			n_left;

	while ((msg = curl_multi_info_read(fetch->multi, &n_left)) != NULL)
	{
		CURLcode	code = msg->data.result;
		Transfer   *transfer;

		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **) &transfer);
		curl_easy_getinfo(msg->easy_handle, CURLINFO_RESPONSE_CODE, &transfer->answer.status);
		if (transfer->answer.result == CURLE_OK)
			transfer->answer.result = code;
		if (transfer->answer.result == CURLE_OK && transfer->answer.status == 200 && transfer->object != NULL &&
			transfer->received != (uint64) transfer->object->size)
			transfer->answer.result = STEDI_ANSWER_WRONG_LENGTH;
		transfer->done = true;
		transfer_stop(transfer);	/* ends msg, too */
	}
}

/* Let libcurl do what it can without waiting. */
static void
fetch_perform(StediFetch *fetch)
{
	sigset_t	old;
	CURLMcode	code;
	int			n_left;

	block_signals(&old);
	code = curl_multi_perform(fetch->multi, &n_left);
	unblock_signals(&old);
	if (code != CURLM_OK)
		elog(ERROR, "could not go on with a transfer: %s", curl_multi_strerror(code));
	fetch_collect(fetch);
}

/* Raise the error for a transfer that did not end well. */
static void
transfer_report(Transfer *transfer)
{
	CHECK_FOR_INTERRUPTS();		/* a cancel is not a failed fetch */
	transfer->answer.body = transfer->buf;
	transfer->answer.body_len = transfer->answer.status == 200 ? 0 : transfer->len;
	stedi_trouble_report(transfer->fetch->opts, transfer->object, &transfer->answer);
}

/* Are there bytes to read from it, or will there be no more? */
static bool
is_ready(const Transfer *transfer)
{
	return transfer->done ||
		(transfer->object != NULL && transfer->answer.status == 200 && transfer->len > 0);
}

/* Drive all transfers until this one is ready. */
static void
fetch_wait(StediFetch *fetch, Transfer *transfer)
{
	TimestampTz since = GetCurrentTimestamp();
	uint64		received = transfer->received;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		fetch_perform(fetch);
		if (is_ready(transfer))
			return;
		if (transfer->received != received)
		{
			received = transfer->received;
			since = GetCurrentTimestamp();
		}
		else if (TimestampDifferenceExceeds(since, GetCurrentTimestamp(),
											fetch->opts->stall_timeout * 1000))
		{
			transfer->answer.result = STEDI_ANSWER_STALLED;
			transfer->done = true;
			transfer_stop(transfer);
			return;
		}
		pgstat_report_wait_start(STEDI_WAIT_NETWORK);
		curl_multi_poll(fetch->multi, NULL, 0, WAIT_MS, NULL);
		pgstat_report_wait_end();
	}
}

/* See stedi.h. */
void
stedi_fetch_add(StediFetch *fetch, const StediObject *object)
{
	MemoryContext old;

	fetch_prepare(fetch);
	old = MemoryContextSwitchTo(fetch->cxt);
	fetch->waiting = lappend(fetch->waiting, unconstify(StediObject *, object));
	MemoryContextSwitchTo(old);
	fetch_start_waiting(fetch);
}

/* See stedi.h. */
bool
stedi_fetch_has_room(const StediFetch *fetch)
{
	int			n_slots = fetch->n_slots > 0 ? fetch->n_slots : fetch->opts->connections;

	return fetch->n_running + list_length(fetch->waiting) < n_slots;
}

/* See stedi.h. */
Size
stedi_fetch_read(StediFetch *fetch, char *dest, Size room)
{
	Transfer   *transfer;
	Size		n;

	Assert(room > 0);
	if (fetch->n_running == 0)
		return 0;
	transfer = &fetch->slots[fetch->first];
	fetch_wait(fetch, transfer);
	if (transfer->done && (transfer->answer.result != CURLE_OK || transfer->answer.status != 200))
		transfer_report(transfer);
	n = ring_take(transfer, dest, room);
	if (transfer->paused && transfer->len <= transfer->buf_size / 2)
	{
		transfer->paused = false;
		curl_easy_pause(transfer->handle, CURLPAUSE_CONT);
	}
	if (n == 0)
	{
		fetch->first = (fetch->first + 1) % fetch->n_slots;
		fetch->n_running--;
		fetch_start_waiting(fetch);
	}
	return n;
}

/* See stedi.h. */
void
stedi_fetch_reset(StediFetch *fetch)
{
	for (; fetch->n_running > 0; fetch->n_running--)
	{
		transfer_stop(&fetch->slots[fetch->first]);
		fetch->first = (fetch->first + 1) % fetch->n_slots;
	}
	list_free(fetch->waiting);
	fetch->waiting = NIL;
}

/* See stedi.h. */
void
stedi_fetch_page(StediFetch *fetch, const char *prefix, const char *token,
				 char **xml, Size *len)
{
	Transfer   *page = &fetch->page;
	MemoryContext old;

	fetch_prepare(fetch);
	if (page->handle == NULL)
		transfer_make(page);
	MemoryContextReset(fetch->request_cxt);
	old = MemoryContextSwitchTo(fetch->request_cxt);
	transfer_start(page, stedi_request_page(fetch->opts, &fetch->credential, prefix, token));
	MemoryContextSwitchTo(old);
	fetch->stats.n_lists++;
	fetch_wait(fetch, page);
	if (page->answer.result != CURLE_OK || page->answer.status != 200)
		transfer_report(page);
	*xml = palloc(page->len + 1);
	*len = ring_take(page, *xml, page->len);
	(*xml)[*len] = '\0';

	/* It is large, and a listing's client may live on for a while. */
	pfree(page->buf);
	page->buf = NULL;
}

/* See stedi.h. */
const StediFetchStats *
stedi_fetch_stats(const StediFetch *fetch)
{
	return &fetch->stats;
}
