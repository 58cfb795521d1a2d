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

/* Go on with a CRC, which is kept inverted. */
static uint64_t
crc_add(uint64_t polynomial, uint64_t crc, const unsigned char *bytes, size_t len)
{
	uint64_t	table[256];

	for (int i = 0; i < 256; i++)
		table[i] = crc_of_byte(polynomial, (uint64_t) i);
	for (size_t i = 0; i < len; i++)
		crc = table[(crc ^ bytes[i]) & 0xff] ^ (crc >> 8);
	return crc;
}

/* The value of a digit, base 16 or 64; -1: it is none. */
static int
digit(char c, bool base64)
{
	static const char digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *found = strchr(digits, c);

	if (c == '\0')
		return -1;
	if (base64)
		return found != NULL ? (int) (found - digits) : -1;
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decode what is told into exactly len bytes; false when it is anything else. */
static bool
decode(const char *told, bool base64, unsigned char *bytes, size_t len)
{
	int			width = base64 ? 6 : 4;
	unsigned int bits = 0;
	int			n_bits = 0;
	size_t		n = 0;

	for (; digit(*told, base64) >= 0; told++)
	{
		bits = (bits << width | (unsigned int) digit(*told, base64)) & 0xffff;
		n_bits += width;
		if (n_bits < 8)
			continue;
		if (n == len)
			return false;
		n_bits -= 8;
		bytes[n++] = (unsigned char) (bits >> n_bits);
	}
	if (base64)
		told += strspn(told, "=");
	return n == len && *told == '\0';
}

bool
stedi_checksum_begin(StediChecksum *checksum, StediChecksumKind kind, const char *told)
{
	const EVP_MD *method;
	char		bare[2 * STEDI_CHECKSUM_SIZE + 1];

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
		told = bare;
	}
	if (!decode(told, kind != STEDI_CHECKSUM_MD5, checksum->expected, kinds[kind].len))
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
