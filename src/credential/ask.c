/*-------------------------------------------------------------------------
 *
 * ask.c
 *		Requests for keys, and what comes of them.
 *
 *-------------------------------------------------------------------------
 */
#include "credential/credential.h"

#include <arpa/inet.h>

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

/* How often a request is sent, and the longest pause before the second time. */
#define TRIES 3
#define PAUSE_MS 100

/* A host's name, as DNS has it, and a 0. */
#define HOST_SIZE 256

/* Wait between tries; interrupts are served. */
static void
rest(int try)
{
	long		ms = 1 + (long) (pg_prng_double(&pg_global_prng_state) * (PAUSE_MS << try));

	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
					 STEDI_WAIT_NETWORK);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

bool
stedi_ask(const StediHttpAsk *ask, StediAnswer *answer, StediKeyTrouble *trouble)
{
	char		region[STEDI_REGION_SIZE];
	char	   *detail;

	for (int try = 0;; try++)
	{
		stedi_http_ask(ask, answer);
		if (answer->result == 0 && answer->status == 200)
			return true;
		if (try == TRIES - 1 ||
			stedi_trouble_remedy(NULL, answer, region) != STEDI_REMEDY_AGAIN)
			break;
		rest(try);
	}
	trouble->reason = stedi_trouble_explain(answer, &trouble->sqlerrcode, &detail);
	trouble->detail = detail[0] != '\0' ? detail : NULL;
	trouble->hint = NULL;
	return false;
}

/* The host of http[s]://host[:port][/...]; false when it is nothing like that. */
static bool
url_host(const char *url, char host[HOST_SIZE])
{
	const char *start;
	size_t		len;

	if (strncmp(url, "https://", 8) == 0)
		start = url + 8;
	else if (strncmp(url, "http://", 7) == 0)
		start = url + 7;
	else
		return false;
	for (const char *p = url; *p != '\0'; p++)
		if ((unsigned char) *p <= ' ' || *p == 0x7f || *p == '\\' || *p == '#')
			return false;
	len = strcspn(start, "/?");
	if (memchr(start, '@', len) != NULL)
		return false;
	if (*start == '[')
	{
		start++;
		len = strcspn(start, "]/?");
		if (start[len] != ']' || (start[len + 1] != '\0' && strchr(":/?", start[len + 1]) == NULL))
			return false;
	}
	else
		len = strcspn(start, ":/?");
	if (len == 0 || len >= HOST_SIZE)
		return false;
	memcpy(host, start, len);
	host[len] = '\0';
	return true;
}

bool
stedi_ask_is_url(const char *url)
{
	char		host[HOST_SIZE];

	return url_host(url, host);
}

bool
stedi_ask_is_host(const char *url, const char *wanted)
{
	char		host[HOST_SIZE];

	return url_host(url, host) && pg_strcasecmp(host, wanted) == 0;
}

/* See credential.h.  libcurl knows localhost by itself, without asking anybody. */
bool
stedi_ask_is_loopback(const char *url)
{
	char		host[HOST_SIZE];
	struct in_addr v4;
	struct in6_addr v6;

	if (!url_host(url, host))
		return false;
	if (pg_strcasecmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return (ntohl(v4.s_addr) >> 24) == 127;
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

void
stedi_ask_keys(StediToldKeys *told, StediKeys *keys)
{
	keys->access_key_id = stedi_secret_copy(told->access_key_id);
	keys->secret_access_key = stedi_secret_copy(told->secret_access_key);
	if (told->session_token[0] != '\0')
		keys->session_token = stedi_secret_copy(told->session_token);
	if (told->expires_us != 0 && !stedi_time_from_us(told->expires_us, &keys->expires))
		keys->expires = 0;
	explicit_bzero(told, sizeof(*told));
}
