/*-------------------------------------------------------------------------
 *
 * checksum.c
 *		Are bytes the ones that S3 has a checksum of?
 *
 * The digests are OpenSSL's, CRC-32 is zlib's.  The two CRCs that no library
 * of ours has are taken byte by byte from a table, as their standards define
 * them: CRC-32C of RFC 3720, and CRC-64 of the NVMe specification, both
 * reflected, with all bits set before and inverted behind.
 *
 * Backend-free: throws nothing, and owns one digest between _begin and _end.
 *
 *-------------------------------------------------------------------------
 */
#include "net/wire.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <zlib.h>

/* The polynomials, reflected. */
#define POLYNOMIAL_CRC32C UINT64_C(0x82F63B78)
#define POLYNOMIAL_CRC64NVME UINT64_C(0x9A6C9329AC4BC9B5)

static const struct
{
	size_t		len;			/* bytes */
	const char *digest;			/* OpenSSL's name; NULL: a CRC */
	uint64_t	polynomial;		/* of a CRC from a table; 0: zlib's */
}			kinds[] =

{
	[STEDI_CHECKSUM_CRC32] = {4, NULL, 0},
	[STEDI_CHECKSUM_CRC32C] = {4, NULL, POLYNOMIAL_CRC32C},
	[STEDI_CHECKSUM_CRC64NVME] = {8, NULL, POLYNOMIAL_CRC64NVME},
	[STEDI_CHECKSUM_SHA1] = {20, "SHA1", 0},
	[STEDI_CHECKSUM_SHA256] = {32, "SHA256", 0},
	[STEDI_CHECKSUM_MD5] = {16, "MD5", 0},
};

/* One byte of a reflected CRC. */
static uint64_t
crc_of_byte(uint64_t polynomial, uint64_t crc)
{
	for (int bit = 0; bit < 8; bit++)
		crc = (crc >> 1) ^ (polynomial & (0 - (crc & 1)));
	return crc;
}

/* What each byte does to a CRC of that polynomial: made once, and then as it was. */
static const uint64_t *
crc_table(uint64_t polynomial)
{
	static uint64_t tables[2][256];
	uint64_t   *table = tables[polynomial == POLYNOMIAL_CRC64NVME];

	if (table[1] == 0)
		for (int i = 0; i < 256; i++)
			table[i] = crc_of_byte(polynomial, (uint64_t) i);
	return table;
}

/* Go on with a CRC, which is kept inverted. */
static uint64_t
crc_add(uint64_t polynomial, uint64_t crc, const unsigned char *bytes, size_t len)
{
	const uint64_t *table = crc_table(polynomial);

	for (size_t i = 0; i < len; i++)
		crc = table[(crc ^ bytes[i]) & 0xff] ^ (crc >> 8);
	return crc;
}

/*
 * Decode base64 into exactly len bytes; false when it is anything else.  The
 * library takes a = anywhere for zeros, and white space around.
 */
static bool
decode_base64(const char *told, unsigned char *bytes, size_t len)
{
	unsigned char room[STEDI_CHECKSUM_SIZE + 3];
	size_t		groups = (len + 2) / 3;
	size_t		padding = 3 * groups - len;

	if (strlen(told) != 4 * groups || strcspn(told, "=") != 4 * groups - padding ||
		EVP_DecodeBlock(room, (const unsigned char *) told, (int) (4 * groups)) != (int) (3 * groups))
		return false;
	memcpy(bytes, room, len);
	return true;
}

bool
stedi_checksum_begin(StediChecksum *checksum, StediChecksumKind kind, const char *told)
{
	const EVP_MD *method;
	char		bare[2 * STEDI_CHECKSUM_SIZE + 1];
	size_t		found;

	memset(checksum, 0, sizeof(*checksum));
	checksum->kind = kind;
	if (kind == STEDI_CHECKSUM_MD5)
	{
		size_t		len = strlen(told);

		/* an ETag of an object in parts has a - and their number */
		if (len != 34 || told[0] != '"' || told[33] != '"')
			return false;
		memcpy(bare, told + 1, 32);
		bare[32] = '\0';
		if (!OPENSSL_hexstr2buf_ex(checksum->expected, sizeof(checksum->expected), &found, bare, '\0') ||
			found != kinds[kind].len)
			return false;
	}
	else if (!decode_base64(told, checksum->expected, kinds[kind].len))
		return false;
	if (kinds[kind].digest == NULL)
	{
		if (kinds[kind].polynomial != 0)
			checksum->crc = ~UINT64_C(0) >> (64 - 8 * kinds[kind].len);
		return true;
	}
	method = EVP_get_digestbyname(kinds[kind].digest);
	checksum->digest = EVP_MD_CTX_new();
	if (method != NULL && checksum->digest != NULL &&
		EVP_DigestInit_ex(checksum->digest, method, NULL))
		return true;
	EVP_MD_CTX_free(checksum->digest);
	checksum->digest = NULL;
	return false;
}

void
stedi_checksum_add(StediChecksum *checksum, const void *bytes, size_t len)
{
	uint64_t	polynomial = kinds[checksum->kind].polynomial;

	if (checksum->digest != NULL)
		(void) EVP_DigestUpdate(checksum->digest, bytes, len);
	else if (polynomial != 0)
		checksum->crc = crc_add(polynomial, checksum->crc, bytes, len);
	else
		checksum->crc = crc32_z((uLong) checksum->crc, bytes, len);
}

bool
stedi_checksum_end(StediChecksum *checksum)
{
	size_t		len = kinds[checksum->kind].len;
	unsigned char found[EVP_MAX_MD_SIZE];

	if (checksum->digest != NULL)
	{
		bool		done = EVP_DigestFinal_ex(checksum->digest, found, NULL);

		EVP_MD_CTX_free(checksum->digest);
		checksum->digest = NULL;
		return done && memcmp(found, checksum->expected, len) == 0;
	}
	if (kinds[checksum->kind].polynomial != 0)
		checksum->crc = ~checksum->crc;
	for (size_t i = 0; i < len; i++)
		found[i] = (unsigned char) (checksum->crc >> (8 * (len - 1 - i)));
	return memcmp(found, checksum->expected, len) == 0;
}
