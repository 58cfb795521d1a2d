/*
 * resolver.c
 *		A getaddrinfo that does not answer for one name: see stedi_waits.py.
 *
 * Loaded before the C library.  It waits in the kernel, where no signal
 * helps, until somebody opens the other end of a fifo.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*Resolve) (const char *, const char *, const struct addrinfo *,
						struct addrinfo **);

int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
			struct addrinfo **result)
{
	int			fd;

	if (node == NULL || strcmp(node, "unanswered.invalid") != 0)
		return ((Resolve) dlsym(RTLD_NEXT, "getaddrinfo")) (node, service, hints, result);
	fd = open(getenv("STEDI_TEST_RESOLVER"), O_RDONLY);
	if (fd >= 0)
		close(fd);
	return EAI_AGAIN;
}
