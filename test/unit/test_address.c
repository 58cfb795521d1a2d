/*
 * Addresses of the host's own link and of clouds' metadata are known, however
 * an IPv6 address holds them; those next to them are let through.  Guards
 * src/net/address.c.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "net/wire.h"
#include "tap.h"

static const struct
{
	const char *text;
	bool		local;
}			addresses[] =

{
	{"169.254.169.254", true},
	{"169.254.170.2", true},
	{"169.254.0.0", true},
	{"169.254.255.255", true},
	{"168.63.129.16", true},
	{"100.100.100.200", true},
	{"169.253.255.255", false},
	{"169.255.0.0", false},
	{"168.63.129.17", false},
	{"100.100.100.201", false},
	{"127.0.0.1", false},
	{"10.0.0.1", false},
	{"52.216.0.1", false},
	{"0.0.0.0", false},
	{"fe80::1", true},
	{"febf:ffff::1", true},
	{"fd00:ec2::254", true},
	{"fd00:ec2::23", true},
	{"fd20:ce::254", true},
	{"::ffff:169.254.169.254", true},
	{"::169.254.169.254", true},
	{"::ffff:0:169.254.169.254", true},
	{"64:ff9b::169.254.169.254", true},
	{"64:ff9b:1::169.254.169.254", true},
	{"2002:a9fe:a9fe::1", true},
	{"fec0::1", false},
	{"fe7f::1", false},
	{"fd00:ec3::254", false},
	{"::1", false},
	{"::", false},
	{"::ffff:127.0.0.1", false},
	{"64:ff9b::127.0.0.1", false},
	{"2002:7f00:1::1", false},
	{"2600:1fa0::1", false},
};

static bool
is_local(const char *text)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return stedi_address_is_local(&v4, sizeof(v4));
	if (inet_pton(AF_INET6, text, &v6.sin6_addr) != 1)
		note("%s is no address", text);
	return stedi_address_is_local(&v6, sizeof(v6));
}

int
main(void)
{
	struct sockaddr_in cut = {.sin_family = AF_INET};
	struct sockaddr_un path = {.sun_family = AF_UNIX};

	for (int i = 0; i < (int) (sizeof(addresses) / sizeof(addresses[0])); i++)
		ok(is_local(addresses[i].text) == addresses[i].local, "%s is %s",
		   addresses[i].text, addresses[i].local ? "kept from" : "let through");
	ok(stedi_address_is_local(&path, sizeof(path)), "what is no IP address is kept from");
	ok(stedi_address_is_local(&cut, 3), "and so is what is cut off");
	return done_testing();
}
