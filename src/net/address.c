/*-------------------------------------------------------------------------
 *
 * address.c
 *		Which addresses a server's name must not lead to.
 *
 * At the addresses of the host's own link, and at a few others, clouds answer
 * whoever asks from the host: with its credentials.  Whoever may set an
 * endpoint must not thereby speak for the host.  An address is judged when a
 * connection is about to be made to it, so it does not matter how it was
 * spelled, or which name led to it.
 *
 * Backend-free: allocates nothing, throws nothing.
 *
 *-------------------------------------------------------------------------
 */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "net/wire.h"

/* The first bits of the addresses that are kept from. */
static const struct
{
	uint8_t		bytes[16];
	unsigned	n_bits;
}			ours_v4[] =

{
	{{169, 254}, 16},			/* RFC 3927; metadata of AWS, GCP, Azure, ... */
	{{168, 63, 129, 16}, 32},	/* Azure's host */
	{{100, 100, 100, 200}, 32}, /* metadata of Alibaba Cloud */
},			ours_v6[] =

{
	{{0xfe, 0x80}, 10},			/* RFC 4291 */
	{{0xfd, 0x00, 0x0e, 0xc2}, 32}, /* metadata of AWS */
	{{0xfd, 0x20, 0x00, 0xce}, 32}, /* and of GCP */
};

/* How an IPv4 address may stand in an IPv6 one: behind these bits. */
static const struct
{
	uint8_t		bytes[16];
	unsigned	n_bits;
}			around_v4[] =

{
	{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96},	/* mapped, RFC 4291 */
	{{0}, 96},					/* compatible, likewise */
	{{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0}, 96},	/* translated, RFC 2765 */
	{{0, 0x64, 0xff, 0x9b}, 96},	/* NAT64, RFC 6052 */
	{{0, 0x64, 0xff, 0x9b, 0, 1}, 96},	/* likewise, RFC 8215 */
	{{0x20, 0x02}, 16},			/* 6to4, RFC 3056 */
};

/* Are the first bits of both the same? */
static bool
begins_with(const uint8_t *bytes, const uint8_t *wanted, unsigned n_bits)
{
	unsigned	n_bytes = n_bits / 8;
	unsigned	rest = 8 - n_bits % 8;

	return memcmp(bytes, wanted, n_bytes) == 0 &&
		(rest == 8 || bytes[n_bytes] >> rest == wanted[n_bytes] >> rest);
}

static bool
v4_is_local(const uint8_t *bytes)
{
	for (size_t i = 0; i < sizeof(ours_v4) / sizeof(ours_v4[0]); i++)
		if (begins_with(bytes, ours_v4[i].bytes, ours_v4[i].n_bits))
			return true;
	return false;
}

static bool
v6_is_local(const uint8_t *bytes)
{
	for (size_t i = 0; i < sizeof(ours_v6) / sizeof(ours_v6[0]); i++)
		if (begins_with(bytes, ours_v6[i].bytes, ours_v6[i].n_bits))
			return true;
	for (size_t i = 0; i < sizeof(around_v4) / sizeof(around_v4[0]); i++)
		if (begins_with(bytes, around_v4[i].bytes, around_v4[i].n_bits) &&
			v4_is_local(bytes + around_v4[i].n_bits / 8))
			return true;
	return false;
}

bool
stedi_address_is_local(const void *address, size_t len)
{
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (len < sizeof(any))
		return true;
	memcpy(&any, address, sizeof(any));
	if (any.sa_family == AF_INET && len >= sizeof(v4))
	{
		memcpy(&v4, address, sizeof(v4));
		return v4_is_local((const uint8_t *) &v4.sin_addr);
	}
	if (any.sa_family == AF_INET6 && len >= sizeof(v6))
	{
		memcpy(&v6, address, sizeof(v6));
		return v6_is_local((const uint8_t *) &v6.sin6_addr);
	}
	return true;
}
