/*-------------------------------------------------------------------------
 *
 * http.c
 *		Requests and their answers; the only user of libcurl.
 *
 * libcurl does nothing between our calls: a client is one curl_multi handle,
 * driven by stedi_http_perform.  Waits are short and interruptible.
 *
 * Two things must not meet: libcurl's frames and PostgreSQL's longjmp.
 * Callbacks neither throw nor palloc; they note what is wrong, and whoever
 * drives says so once we are outside.  And the thread in which libcurl
 * resolves a name must not take the backend's signals: they are blocked
 * whenever one may be started.
 *
 * Everything of libcurl's hangs on StediHttp, whose reset callback frees it
 * whatever ends the query.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>

#include "net/net.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "utils/memutils.h"

/* As much of an error's body as is looked at; S3's have less than 2 kB. */
#define MAX_ERROR_SIZE (16 * 1024)

/* What libcurl reads at a time, at most. */
#define CURL_BUFFER_SIZE (256 * 1024)

/* The longest answer to stedi_http_ask: credentials have some 2 kB. */
#define MAX_ASK_SIZE (64 * 1024)

/* Longest wait for the network: as late may a cancel be noticed. */
#define WAIT_MS 50

StaticAssertDecl(STEDI_ANSWER_MESSAGE_SIZE >= CURL_ERROR_SIZE,
				 "libcurl writes as much as CURL_ERROR_SIZE");

struct StediHttp
{
	MemoryContext cxt;
	StediHttpSettings settings;
	CURLM	   *multi;			/* owned, freed by http_release */
	StediTransfer *transfers;	/* each has a descriptor reserved */
	int			n_transfers;
	MemoryContextCallback release;	/* armed before the rest exists */
};

/* The headers of an answer that are kept, and where. */
#define KEPT(name, field) \
	{name, offsetof(StediAnswer, field), sizeof(((StediAnswer *) 0)->field)}

static const struct
{
	const char *name;
	size_t		offset;
	size_t		size;
}			kept_headers[] =

{
	KEPT("date", date),
	KEPT("etag", etag),
	KEPT("content-range", content_range),
	KEPT("x-amz-bucket-region", region),
	KEPT("x-amz-server-side-encryption", encryption),
	KEPT("x-amz-checksum-crc32", checksums[STEDI_CHECKSUM_CRC32]),
	KEPT("x-amz-checksum-crc32c", checksums[STEDI_CHECKSUM_CRC32C]),
	KEPT("x-amz-checksum-crc64nvme", checksums[STEDI_CHECKSUM_CRC64NVME]),
	KEPT("x-amz-checksum-sha1", checksums[STEDI_CHECKSUM_SHA1]),
	KEPT("x-amz-checksum-sha256", checksums[STEDI_CHECKSUM_SHA256]),
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
report_out_of_memory(void)
{
	ereport(ERROR,
			errcode(ERRCODE_OUT_OF_MEMORY),
			errmsg("out of memory"),
			errdetail("Failed on an HTTP request."));
}

/* Take a header of the answer.  Never throws. */
static size_t
http_on_header(char *bytes, size_t size, size_t n, void *arg)
{
	StediTransfer *transfer = arg;
	size_t		len = size * n;
	const char *colon = memchr(bytes, ':', len);
	const char *value;
	const char *end = bytes + len;

	if (colon == NULL)
	{
		/* a status line begins a head, and an empty one ends it */
		transfer->answer.has_head = bytes[0] == '\r' || bytes[0] == '\n';
		return len;
	}
	for (value = colon + 1; value < end && *value == ' ';)
		value++;
	while (end > value && (unsigned char) end[-1] <= ' ')
		end--;
	for (int i = 0; i < lengthof(kept_headers); i++)
	{
		size_t		name_len = strlen(kept_headers[i].name);
		char	   *field = (char *) &transfer->answer + kept_headers[i].offset;

		if ((size_t) (colon - bytes) != name_len ||
			pg_strncasecmp(bytes, kept_headers[i].name, name_len) != 0 ||
			(size_t) (end - value) >= kept_headers[i].size)
			continue;
		memcpy(field, value, end - value);
		field[end - value] = '\0';
	}
	return len;
}

/*
 * Take body bytes from libcurl.
 *
 * Never throws.  Taking fewer bytes than offered ends the transfer; the
 * result that was noted before is then the one that is reported.
 */
static size_t
http_on_body(char *bytes, size_t size, size_t n, void *arg)
{
	StediTransfer *transfer = arg;
	StediAnswer *answer = &transfer->answer;
	size_t		len = size * n;

	if (answer->status == 0)
	{
		curl_off_t	length = -1;

		curl_easy_getinfo(transfer->handle, CURLINFO_RESPONSE_CODE, &answer->status);
		curl_easy_getinfo(transfer->handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
		answer->length = length;
		curl_easy_getinfo(transfer->handle, CURLINFO_FILETIME_T, &length);
		answer->modified = length;
	}
	if (answer->status == 200 || answer->status == 206)
	{
		transfer->idle_ms = 0;
		switch (transfer->take(transfer->arg, bytes, len))
		{
			case STEDI_TAKEN_ALL:
				return len;
			case STEDI_TAKEN_LATER:
				transfer->paused = true;
				return CURL_WRITEFUNC_PAUSE;
			case STEDI_TAKEN_NONE:
				return 0;
		}
	}
	/* the words of a trouble: beyond all measure, or time, they are not heard */
	size = Min(len, MAX_ERROR_SIZE - answer->body_len);
	memcpy(answer->body + answer->body_len, bytes, size);
	answer->body_len += size;
	return answer->body_len < MAX_ERROR_SIZE ? len : 0;
}

/*
 * Make the socket of a connection, unless it would lead where only the host
 * itself may ask.
 *
 * Never throws.  Without a socket libcurl goes on with the name's next
 * address, and at the end says that it could not connect.
 */
static curl_socket_t
http_on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	StediTransfer *transfer = arg;
	int			fd;

	if (!transfer->http->settings.allow_link_local &&
		stedi_address_is_local(&address->addr, address->addrlen))
	{
		transfer->answer.link_local = true;
		return CURL_SOCKET_BAD;
	}
	fd = socket(address->family, address->socktype, address->protocol);
	if (fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
	{
		close(fd);
		fd = -1;
	}
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

void
stedi_http_stop(StediTransfer *transfer)
{
	sigset_t	old;

	block_signals(&old);
	if (transfer->running)
		curl_multi_remove_handle(transfer->http->multi, transfer->handle);
	unblock_signals(&old);
	transfer->running = false;
	for (struct curl_slist *header = transfer->headers; header != NULL; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
}

/* Free all that is libcurl's.  Never throws; harmless when called twice. */
static void
http_release(void *arg)
{
	StediHttp  *http = arg;
	sigset_t	old;

	block_signals(&old);
	for (StediTransfer *transfer = http->transfers; transfer != NULL; transfer = transfer->next)
	{
		stedi_http_stop(transfer);
		if (transfer->handle != NULL)
			curl_easy_cleanup(transfer->handle);
		transfer->handle = NULL;
	}
	if (http->multi != NULL)
		curl_multi_cleanup(http->multi);
	unblock_signals(&old);
	http->multi = NULL;
	http->transfers = NULL;
	for (; http->n_transfers > 0; http->n_transfers--)
		ReleaseExternalFD();
}

StediHttp *
stedi_http_open(const StediHttpSettings *settings)
{
	static bool initialized = false;	/* in this backend, never undone */
	StediHttp  *http = palloc0(sizeof(StediHttp));

	http->cxt = CurrentMemoryContext;
	http->settings = *settings;
	http->release.func = http_release;
	http->release.arg = http;
	MemoryContextRegisterResetCallback(http->cxt, &http->release);
	if (!initialized && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		report_out_of_memory();
	initialized = true;
	http->multi = curl_multi_init();
	if (http->multi == NULL)
		report_out_of_memory();
	return http;
}

/* Make a transfer's handle with what is the same for all requests. */
static void
make_handle(StediTransfer *transfer)
{
	const StediHttpSettings *settings = &transfer->http->settings;
	const struct curl_easyoption *quick_exit = curl_easy_option_by_name("QUICK_EXIT");
	CURL	   *handle;
	CURLcode	code = CURLE_OK;

#define SET(option, value) \
	code = code != CURLE_OK ? code : curl_easy_setopt(handle, option, value)

	handle = transfer->handle = curl_easy_init();
	if (handle == NULL)
		report_out_of_memory();
	SET(CURLOPT_PRIVATE, (void *) transfer);
	SET(CURLOPT_WRITEFUNCTION, http_on_body);
	SET(CURLOPT_WRITEDATA, (void *) transfer);
	SET(CURLOPT_HEADERFUNCTION, http_on_header);
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
	SET(CURLOPT_PROXY, settings->proxy != NULL ? settings->proxy : "");
	SET(CURLOPT_NOPROXY, "");

	/* what a proxy says on the way to a tunnel is not of the answer */
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);

	/* its authorities and no others: the system's may be a folder, too */
	if (settings->ca_file != NULL)
	{
		SET(CURLOPT_CAINFO, settings->ca_file);
		SET(CURLOPT_CAPATH, NULL);
	}

	SET(CURLOPT_OPENSOCKETFUNCTION, http_on_socket);
	SET(CURLOPT_OPENSOCKETDATA, (void *) transfer);

	SET(CURLOPT_CONNECTTIMEOUT_MS, (long) settings->connect_timeout);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_FILETIME, 1L);
	SET(CURLOPT_BUFFERSIZE, (long) CURL_BUFFER_SIZE);
	if (code == CURLE_OK)
		code = STEDI_CURL_SET_PROTOCOLS(handle, !settings->allow_http);

	/* From 7.87: do not wait for the resolver's thread when we give up. */
	if (quick_exit != NULL)
		SET(quick_exit->id, 1L);
	if (code != CURLE_OK)
		report_out_of_memory();
}

bool
stedi_http_add(StediHttp *http, StediTransfer *transfer, StediTakeFn take, void *arg)
{
	if (!AcquireExternalFD())
		return false;
	transfer->http = http;
	transfer->next = http->transfers;
	http->transfers = transfer;
	http->n_transfers++;
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long) http->n_transfers);
	transfer->take = take;
	transfer->arg = arg;
	make_handle(transfer);
	transfer->answer.body = MemoryContextAlloc(http->cxt, MAX_ERROR_SIZE);
	return true;
}

/*
 * Add a header to those that are sent; the copies that are ours are wiped.
 * psprintf would leave the start of a long one behind.
 */
static void
add_header(StediTransfer *transfer, const StediHeader *header)
{
	Size		size = strlen(header->name) + strlen(header->value) + sizeof(": ");
	char	   *line = palloc(size);
	struct curl_slist *headers;

	snprintf(line, size, "%s: %s", header->name, header->value);
	headers = curl_slist_append(transfer->headers, line);
	explicit_bzero(line, size);
	pfree(line);
	if (headers == NULL)
		report_out_of_memory();
	transfer->headers = headers;
}

/* Nothing is known of the answer yet. */
static void
clear_answer(StediAnswer *answer)
{
	char	   *body = answer->body;

	memset(answer, 0, sizeof(*answer));
	answer->body = body;
	answer->length = answer->modified = -1;
}

/* Give libcurl a request whose headers are there. */
static void
start(StediTransfer *transfer, const char *url)
{
	CURLMcode	code;

	transfer->done = transfer->paused = false;
	transfer->idle_ms = 0;
	clear_answer(&transfer->answer);
	if (curl_easy_setopt(transfer->handle, CURLOPT_FRESH_CONNECT, (long) transfer->fresh) != CURLE_OK ||
		curl_easy_setopt(transfer->handle, CURLOPT_URL, url) != CURLE_OK ||
		curl_easy_setopt(transfer->handle, CURLOPT_HTTPHEADER, transfer->headers) != CURLE_OK)
		report_out_of_memory();
	code = curl_multi_add_handle(transfer->http->multi, transfer->handle);
	if (code != CURLM_OK)
		elog(ERROR, "could not start a transfer: %s", curl_multi_strerror(code));
	transfer->running = true;
}

void
stedi_http_start(StediTransfer *transfer, StediRequest *request)
{
	stedi_http_stop(transfer);	/* what an error may have left */
	for (int i = 0; i < request->n_headers; i++)
		add_header(transfer, &request->headers[i]);
	stedi_request_forget(request);
	start(transfer, request->url);
}

void
stedi_http_resume(StediTransfer *transfer)
{
	sigset_t	old;
	CURLcode	code;

	if (!transfer->paused)
		return;
	transfer->paused = false;
	block_signals(&old);
	code = curl_easy_pause(transfer->handle, CURLPAUSE_CONT);
	unblock_signals(&old);
	if (code == CURLE_OK)
		return;
	if (transfer->answer.result == CURLE_OK)
		transfer->answer.result = code;
	transfer->done = true;
	stedi_http_stop(transfer);
}

/*
 * How a TLS handshake failed, in a StediAnswer's terms.  The numbers are those of OpenSSL's x509_vfy.h.  libcurl
 * compares hosts by itself, and has words for that alone.
 */
static int
find_tls_trouble(int result, long verify, const char *message)
{
	if (result != CURLE_PEER_FAILED_VERIFICATION)
		return result;
	switch (verify)
	{
		case 9:
			return STEDI_ANSWER_CERT_EARLY;
		case 10:
			return STEDI_ANSWER_CERT_EXPIRED;
		case 2:					/* no issuer, or ... */
		case 18:				/* itself the issuer, or one of the chain, ... */
		case 19:
		case 20:				/* ... or one that is not at hand */
		case 21:
			return STEDI_ANSWER_CERT_UNKNOWN;
		case 62:				/* host, or address */
		case 64:
			return STEDI_ANSWER_CERT_HOST;
	}

	/* "no alternative certificate subject name matches target host name ..." */
	return strstr(message, "target") != NULL ? STEDI_ANSWER_CERT_HOST : result;
}

/* Note which transfers libcurl is done with. */
static void
collect(StediHttp *http)
{
	CURLMsg    *msg;
	int			n_left;

	while ((msg = curl_multi_info_read(http->multi, &n_left)) != NULL)
	{
		CURLcode	code = msg->data.result;
		StediTransfer *transfer;
		StediAnswer *answer;
		curl_off_t	number = 0;
		long		verify = 0;
		long		proxy_status = 0;

		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **) &transfer);
		answer = &transfer->answer;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_RESPONSE_CODE, &answer->status);
		if (curl_easy_getinfo(msg->easy_handle, CURLINFO_RETRY_AFTER, &number) == CURLE_OK)
			answer->retry_after = (int) Min(Max(number, 0), INT_MAX / 1000);
		if (curl_easy_getinfo(msg->easy_handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &number) == CURLE_OK)
			answer->length = number;
		if (curl_easy_getinfo(msg->easy_handle, CURLINFO_FILETIME_T, &number) == CURLE_OK)
			answer->modified = number;
		if (answer->date[0] != '\0' && curl_getdate(answer->date, NULL) >= 0)
			answer->ahead = curl_getdate(answer->date, NULL) - time(NULL);
		curl_easy_getinfo(msg->easy_handle, CURLINFO_SSL_VERIFYRESULT, &verify);
		/* libcurl is content with half a head */
		if (code == CURLE_OK && !answer->has_head)
			code = CURLE_PARTIAL_FILE;
		if (code == CURLE_WRITE_ERROR && answer->body_len == MAX_ERROR_SIZE)
			code = CURLE_OK;	/* http_on_body has heard enough */
		curl_easy_getinfo(msg->easy_handle, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
		if (code != CURLE_OK && proxy_status >= 400 && proxy_status < 500)
			answer->result = STEDI_ANSWER_PROXY_REFUSED;
		if (answer->result == CURLE_OK)
			answer->result = code == CURLE_COULDNT_CONNECT && answer->link_local ?
				STEDI_ANSWER_LINK_LOCAL : find_tls_trouble(code, verify, answer->message);
		transfer->done = true;
		stedi_http_stop(transfer);	/* ends msg, too */
	}
}

void
stedi_http_perform(StediHttp *http)
{
	sigset_t	old;
	CURLMcode	code;
	int			n_left;

	block_signals(&old);
	code = curl_multi_perform(http->multi, &n_left);
	unblock_signals(&old);
	if (code != CURLM_OK)
		elog(ERROR, "could not go on with a transfer: %s", curl_multi_strerror(code));
	collect(http);
}

void
stedi_http_wait(StediHttp *http, int ms)
{
	instr_time	began;
	instr_time	took;

	if (!PostmasterIsAlive())
		proc_exit(1);			/* as PostgreSQL's own waits do */
	CHECK_FOR_INTERRUPTS();
	INSTR_TIME_SET_CURRENT(began);
	pgstat_report_wait_start(STEDI_WAIT_NETWORK);
	curl_multi_poll(http->multi, NULL, 0, Min(ms, WAIT_MS), NULL);
	pgstat_report_wait_end();
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, began);
	for (StediTransfer *transfer = http->transfers; transfer != NULL; transfer = transfer->next)
		if (transfer->running && !transfer->paused)
			transfer->idle_ms += INSTR_TIME_GET_MILLISEC(took);
	CHECK_FOR_INTERRUPTS();
}

/* The body of an answer to stedi_http_ask, as far as it goes. */
typedef struct Answered
{
	StediTransfer transfer;
	Size		len;
	char		body[MAX_ASK_SIZE + 1];
} Answered;

/* Take bytes of it.  Never throws. */
static StediTaken
answered_take(void *arg, const char *bytes, Size len)
{
	Answered   *answered = arg;

	if (len > MAX_ASK_SIZE - answered->len)
	{
		answered->transfer.answer.result = STEDI_ANSWER_TOO_LONG;
		return STEDI_TAKEN_NONE;
	}
	memcpy(answered->body + answered->len, bytes, len);
	answered->len += len;
	return STEDI_TAKEN_ALL;
}

void
stedi_http_ask(const StediHttpAsk *ask, StediAnswer *answer)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext cxt = AllocSetContextCreate(caller, "stedi ask", ALLOCSET_DEFAULT_SIZES);
	StediTransfer *transfer;
	Answered   *answered;
	CURL	   *handle;
	StediHttp  *http;

	MemoryContextSwitchTo(cxt);
	answered = stedi_secret_alloc(sizeof(Answered));
	transfer = &answered->transfer;
	http = stedi_http_open(&ask->settings);
	if (!stedi_http_add(http, transfer, answered_take, answered))
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				errmsg("could not ask for credentials: too many files are open"),
				errhint("Raise max_files_per_process."));
	handle = transfer->handle;
	for (int i = 0; i < ask->n_headers; i++)
		add_header(transfer, &ask->headers[i]);
	if (curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, (long) ask->timeout) != CURLE_OK ||
		(ask->body != NULL &&
		 (curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE, (long) strlen(ask->body)) != CURLE_OK ||
		  curl_easy_setopt(handle, CURLOPT_POSTFIELDS, ask->body) != CURLE_OK)) ||
		curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, ask->method) != CURLE_OK)
		report_out_of_memory();
	start(transfer, ask->url);
	for (stedi_http_perform(http); !transfer->done; stedi_http_perform(http))
		stedi_http_wait(http, WAIT_MS);

	*answer = transfer->answer;
	if (answer->status != 200 && answer->status != 206)
	{
		answered->len = answer->body_len;
		memcpy(answered->body, transfer->answer.body, answered->len);
	}
	MemoryContextSwitchTo(caller);
	answer->body = stedi_secret_alloc(answered->len + 1);
	memcpy(answer->body, answered->body, answered->len);
	answer->body_len = answered->len;
	MemoryContextDelete(cxt);
}
