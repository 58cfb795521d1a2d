/*
 * Each checksum that S3 may tell is that of its standard's example, in pieces
 * of any size; a byte that differs is noticed; what is no checksum of all the
 * bytes is not taken for one.  Guards src/net/checksum.c.
 */
#include <string.h>

#include "net/wire.h"
#include "tap.h"

/* The bytes that the catalogues of CRCs give each one's check value for. */
static const char bytes[] = "123456789";

static const struct
{
	StediChecksumKind kind;
	const char *name;
	const char *told;
}			checksums[] =

{
	{STEDI_CHECKSUM_CRC32, "crc32", "y/Q5Jg=="},
	{STEDI_CHECKSUM_CRC32C, "crc32c", "4waSgw=="},
	{STEDI_CHECKSUM_CRC64NVME, "crc64nvme", "rosUhgp5mIg="},
	{STEDI_CHECKSUM_SHA1, "sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="},
	{STEDI_CHECKSUM_SHA256, "sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="},
	{STEDI_CHECKSUM_MD5, "ETag", "\"25f9e794323b453885f5181f1b624d0b\""},
};

/* Is it the checksum of text, which comes in two pieces? */
static bool
holds(int i, const char *text, size_t first)
{
	StediChecksum checksum;

	if (!stedi_checksum_begin(&checksum, checksums[i].kind, checksums[i].told))
		return false;
	stedi_checksum_add(&checksum, text, first);
	stedi_checksum_add(&checksum, text + first, strlen(text) - first);
	return stedi_checksum_end(&checksum);
}

static void
test_examples(void)
{
	for (int i = 0; i < (int) (sizeof(checksums) / sizeof(checksums[0])); i++)
	{
		bool		all = true;
		bool		any = false;

		for (size_t first = 0; first <= strlen(bytes); first++)
			all &= holds(i, bytes, first);
		ok(all, "%s: that of the standard, in any two pieces", checksums[i].name);
		for (size_t at = 0; at < strlen(bytes); at++)
		{
			char		wrong[sizeof(bytes)];

			memcpy(wrong, bytes, sizeof(bytes));
			wrong[at] ^= 1;
			any |= holds(i, wrong, 4);
		}
		ok(!any, "%s: a bit that differs is noticed, wherever it is", checksums[i].name);
		ok(!holds(i, "12345678", 4), "%s: a byte less is noticed", checksums[i].name);
	}
}

static void
test_refused(void)
{
	static const struct
	{
		StediChecksumKind kind;
		const char *told;
		const char *why;
	}			refused[] = {
		{STEDI_CHECKSUM_CRC32, "", "nothing is told"},
		{STEDI_CHECKSUM_CRC32, "y/Q5Jg==-3", "it is one of parts"},
		{STEDI_CHECKSUM_CRC32, "y/Q5Jg=", "its padding is cut off"},
		{STEDI_CHECKSUM_CRC32, "y/Q5Jg===", "its padding is too long"},
		{STEDI_CHECKSUM_CRC32, "y/Q5J===", "a digit is padding"},
		{STEDI_CHECKSUM_CRC32, "y/=5Jg==", "padding is inside"},
		{STEDI_CHECKSUM_CRC32, " /Q5Jg==", "it begins with a space"},
		{STEDI_CHECKSUM_CRC32, "y/Q5Jg= ", "it ends with a space"},
		{STEDI_CHECKSUM_CRC32, "y/-5Jg==", "it has a digit of another alphabet"},
		{STEDI_CHECKSUM_MD5, "\"0123456789abcdef0123456789abcde:\"", "it has a separator"},
		{STEDI_CHECKSUM_MD5, "\"01:23:45:67:89:ab:cd:ef:01:23:4\"", "it has separators"},
		{STEDI_CHECKSUM_CRC32, "y/Q5", "it is too short"},
		{STEDI_CHECKSUM_CRC32, "y/Q5JgAAAAAA", "it is too long"},
		{STEDI_CHECKSUM_SHA1, "98O8HYCOBHMq32eZ Zc", "it is no base64"},
		{STEDI_CHECKSUM_MD5, "", "there is no ETag"},
		{STEDI_CHECKSUM_MD5, "\"25f9e794323b453885f5181f1b624d0b-3\"", "an ETag is one of parts"},
		{STEDI_CHECKSUM_MD5, "25f9e794323b453885f5181f1b624d0b", "an ETag has no quotes"},
		{STEDI_CHECKSUM_MD5, "\"x5f9e794323b453885f5181f1b624d0b\"", "an ETag is no hex"},
	};

	for (int i = 0; i < (int) (sizeof(refused) / sizeof(refused[0])); i++)
	{
		StediChecksum checksum;

		ok(!stedi_checksum_begin(&checksum, refused[i].kind, refused[i].told),
		   "not taken: %s", refused[i].why);
	}
}

int
main(void)
{
	test_examples();
	test_refused();
	return done_testing();
}
