/*-------------------------------------------------------------------------
 *
 * request.c
 *		What every signed request has: host, date, and secrets that are wiped.
 *
 *-------------------------------------------------------------------------
 */
#include "net/net.h"

#include <time.h>

#define DATE_LEN sizeof("YYYYMMDDTHHMMSSZ")

int
stedi_request_scheme_len(const char *endpoint)
{
	return strncmp(endpoint, "https://", 8) == 0 ? 8 : 7;
}

char *
stedi_request_host(const char *endpoint)
{
	char	   *host = pstrdup(endpoint + stedi_request_scheme_len(endpoint));
	const char *port = stedi_request_scheme_len(endpoint) == 8 ? ":443" : ":80";
	size_t		len = strlen(host);

	if (len > strlen(port) && strcmp(host + len - strlen(port), port) == 0)
		host[len - strlen(port)] = '\0';
	return host;
}

char *
stedi_request_date(void)
{
	char	   *date = palloc(DATE_LEN);
	time_t		now = time(NULL);
	struct tm	utc;

	strftime(date, DATE_LEN, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
	return date;
}

void
stedi_request_forget(StediRequest *request)
{
	for (int i = 0; i < request->n_headers; i++)
	{
		const StediHeader *header = &request->headers[i];

		if (strcmp(header->name, "authorization") == 0 ||
			strcmp(header->name, "x-amz-security-token") == 0)
			explicit_bzero(unconstify(char *, header->value), strlen(header->value));
	}
	request->n_headers = 0;
}
