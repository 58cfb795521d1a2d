/*-------------------------------------------------------------------------
 *
 * net.h
 *		Requests and their answers, and what a failed one means.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_NET_H
#define STEDI_NET_H

#include "base/base.h"
#include "net/wire.h"

/* request.c */

typedef struct StediRequest
{
	char	   *url;
	StediHeader headers[9];		/* all that matter; owned */
	int			n_headers;
} StediRequest;

/*
 * What every signed request has, in the current context: the host of
 * http[s]://host[:port] as it is sent, without the port that the scheme has
 * anyway; and the time, as the signature wants it.
 */
/* How long scheme:// is. */
extern int	stedi_request_scheme_len(const char *endpoint);
extern char *stedi_request_host(const char *endpoint);
extern char *stedi_request_date(void);

/* Wipe what is secret in it.  Never throws. */
extern void stedi_request_forget(StediRequest *request);

/* http.c */

/* How a request ended: a CURLcode, or one of these. */
#define STEDI_ANSWER_TOO_LONG (-1)	/* a page beyond all bounds */
#define STEDI_ANSWER_WRONG_LENGTH (-2)	/* not as many bytes as were listed */
#define STEDI_ANSWER_STALLED (-3)	/* nothing came for stall_timeout */
#define STEDI_ANSWER_WRONG_RANGE (-4)	/* not the bytes that were asked for */
#define STEDI_ANSWER_CHANGED (-5)	/* another version of the object */
#define STEDI_ANSWER_WRONG_CHECKSUM (-6)	/* not the bytes that were stored */
/* of the server's certificate: */
#define STEDI_ANSWER_CERT_UNKNOWN (-7)	/* nobody trusted has signed it */
#define STEDI_ANSWER_CERT_EXPIRED (-8)
#define STEDI_ANSWER_CERT_EARLY (-9)	/* it is not valid yet */
#define STEDI_ANSWER_CERT_HOST (-10)	/* it is for another host */
#define STEDI_ANSWER_LINK_LOCAL (-11)	/* allow_link_local is off */
#define STEDI_ANSWER_CUT_OFF (-12)	/* ended early, without having told a
									 * length */
#define STEDI_ANSWER_PROXY_REFUSED (-13)	/* by an answer 4xx to CONNECT */

#define STEDI_ANSWER_MESSAGE_SIZE 256

typedef struct StediAnswer
{
	int			result;
	long		status;			/* HTTP; 0: none */
	char		message[STEDI_ANSWER_MESSAGE_SIZE]; /* libcurl's words */
	bool		link_local;		/* an address was left out as such */
	bool		has_head;		/* down to the empty line */
	int64		length;			/* Content-Length; -1: not told */
	int			retry_after;	/* seconds; 0: not told */
	int64		modified;		/* Last-Modified, seconds since 1970; -1: not
								 * told */
	int64		ahead;			/* seconds, of its Date before our clock; 0:
								 * also not told */

	/* some headers, as they are written; "": absent */
	char		date[40];
	char		etag[130];
	char		content_range[70];
	char		region[65];		/* x-amz-bucket-region */
	char		encryption[33]; /* x-amz-server-side-encryption */
	char		checksums[STEDI_N_CHECKSUMS][66];	/* x-amz-checksum-... */

	char	   *body;			/* of an answer other than 200 and 206 */
	Size		body_len;
} StediAnswer;

/* Who may be asked, and how. */
typedef struct StediHttpSettings
{
	bool		allow_http;		/* else https alone */
	bool		allow_link_local;	/* else not to address.c's addresses */
	const char *proxy;			/* NULL: none */
	const char *ca_file;		/* NULL: the system's authorities */
	int			connect_timeout;	/* ms */
} StediHttpSettings;

typedef struct StediHttp StediHttp;

typedef enum StediTaken
{
	STEDI_TAKEN_ALL,
	STEDI_TAKEN_LATER,			/* none now: the transfer waits for _resume */
	STEDI_TAKEN_NONE,			/* answer->result says why: the transfer ends */
} StediTaken;

/* Takes bytes of the body of an answer 200 or 206.  Must not throw. */
typedef StediTaken (*StediTakeFn) (void *arg, const char *bytes, Size len);

/* A request at a time, and its answer; part of its user's state. */
typedef struct StediTransfer
{
	/* for good, set by stedi_http_add */
	StediHttp  *http;			/* borrowed */
	struct StediTransfer *next; /* of http */
	void	   *handle;			/* a CURL, owned by http */
	StediTakeFn take;
	void	   *arg;

	/* the request under way */
	void	   *headers;		/* a curl_slist, owned */
	bool		fresh;			/* not over a connection that was used before */
	bool		running;		/* libcurl is at it */
	bool		paused;			/* until stedi_http_resume */
	bool		done;			/* and answer says how it ended */
	double		idle_ms;		/* that were waited since the last byte of a
								 * body that is taken */
	StediAnswer answer;
} StediTransfer;

/*
 * A client.  Lives in the current context, whose reset callback frees all that
 * is libcurl's; the transfers must live as long.
 */
extern StediHttp *stedi_http_open(const StediHttpSettings *settings);

/* Make a transfer, which is zeroed; false when no file may be opened for it. */
extern bool stedi_http_add(StediHttp *http, StediTransfer *transfer, StediTakeFn take,
						   void *arg);

/* Start a request; what is secret in it is wiped, and in time also here. */
extern void stedi_http_start(StediTransfer *transfer, StediRequest *request);

/* Give up a request.  Never throws. */
extern void stedi_http_stop(StediTransfer *transfer);

/* Go on with a transfer that was paused. */
extern void stedi_http_resume(StediTransfer *transfer);

/* Do what can be done without waiting. */
extern void stedi_http_perform(StediHttp *http);

/* Wait until there is something to do, but no longer than ms. */
extern void stedi_http_wait(StediHttp *http, int ms);

/* A small request of another kind than fetch.c's, for credentials. */
typedef struct StediHttpAsk
{
	const char *method;			/* GET, PUT or POST */
	const char *url;
	const StediHeader *headers;
	int			n_headers;
	const char *body;			/* NULL: none */
	StediHttpSettings settings;
	int			timeout;		/* ms, for all of it */
} StediHttpAsk;

/*
 * Send it and wait for the answer, whose body, whatever the status, is in the
 * current context, secret.c's, with a 0 behind it.  A trouble is
 * answer->result; thrown are a cancel and want of memory.
 */
extern void stedi_http_ask(const StediHttpAsk *ask, StediAnswer *answer);

/* trouble.c */

typedef enum StediRemedy
{
	STEDI_REMEDY_NONE,
	STEDI_REMEDY_AGAIN,			/* the same again, later */
	STEDI_REMEDY_REGION,		/* the same in the region that was told */
	STEDI_REMEDY_RENEW,			/* the same with new credentials */
	STEDI_REMEDY_NEWER,			/* the object as it is now */
} StediRemedy;

/* Which statement a hint ends with. */
typedef enum StediCure
{
	STEDI_CURE_NONE,
	STEDI_CURE_KEYS,			/* of the user mapping */
	STEDI_CURE_ACCOUNT,			/* the same, of another account */
	STEDI_CURE_TOKEN,			/* the same, with a token */
	STEDI_CURE_REGION,			/* options of the server: */
	STEDI_CURE_URL,
	STEDI_CURE_ENDPOINT,		/* or proxy, where there is one */
	STEDI_CURE_NAME,			/* or region, which Amazon's hosts are called
								 * by */
	STEDI_CURE_CA_FILE,
} StediCure;

typedef struct StediTrouble
{
	int			result;			/* as in StediAnswer; CURLE_OK: with ... */
	long		status;			/* ... this HTTP status, or 0: any */
	const char *code;			/* ... this S3 code, or NULL: any */
	StediRemedy remedy;
	int			sqlerrcode;
	const char *reason;
	const char *hint;			/* NULL: none */
	StediCure	cure;
} StediTrouble;

/*
 * What is known of a request, for an object (else a page), that failed: the
 * row, what the answer says is wrong, and facts for a detail, palloc'd ("":
 * none).  listed: bytes that the object should have.
 */
extern const StediTrouble *stedi_trouble_find(bool of_object, const StediAnswer *answer,
											  int64 listed, int n_tries, StediS3Error *error,
											  char **detail);

/* Wipe out, in a server's words, what may be a secret; returns text. */
extern char *stedi_trouble_hide(char *text);

/*
 * What may help when a request for an object (else a page) failed; REGION
 * fills in region.  Never throws.
 */
extern StediRemedy stedi_trouble_remedy(bool of_object, const StediAnswer *answer,
										char region[STEDI_REGION_SIZE]);

/*
 * Why stedi_http_ask came to nothing: static text, its SQLSTATE, and facts for
 * a detail, in the current context ("": none).
 */
extern const char *stedi_trouble_explain(const StediAnswer *answer, int *sqlerrcode,
										 char **detail);

#endif							/* STEDI_NET_H */
