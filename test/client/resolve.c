/*
 * Names that lead where a test wants: preloaded into a server by test_address.py.
 *
 * link-local.test has the metadata address of clouds, mixed.test that and then
 * this host's; whatever.s3.test has this host's.  Other names are the library's.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>

typedef int (*resolver) (const char *, const char *, const struct addrinfo *, struct addrinfo **);

int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **answer)
{
	resolver	library = (resolver) dlsym(RTLD_NEXT, "getaddrinfo");
	const char *first = name;
	int			result;

	if (name != NULL && (strcmp(name, "link-local.test") == 0 || strcmp(name, "mixed.test") == 0))
		first = "169.254.169.254";
	else if (name != NULL && strlen(name) > 8 && strcmp(name + strlen(name) - 8, ".s3.test") == 0)
		first = "127.0.0.1";
	result = library(first, service, hints, answer);
	if (result == 0 && name != NULL && strcmp(name, "mixed.test") == 0)
	{
		struct addrinfo *last = *answer;

		while (last->ai_next != NULL)
			last = last->ai_next;
		result = library("127.0.0.1", service, hints, &last->ai_next);
	}
	return result;
}
