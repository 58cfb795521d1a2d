/*-------------------------------------------------------------------------
 *
 * sign.c
 *		AWS Signature Version 4: a request -> its Authorization header.
 *
 * A signature proves to an S3 server that whoever sends the request knows
 * the secret.  Both sides write the request down in one canonical form and
 * compare the HMAC of its hash:
 *
 *	 canonical request	--SHA-256-->  string to sign  --HMAC-->  signature
 *	 secret, day, region, service	  --4 x HMAC-->	 key
 *
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 *
 * libcurl has a signer of its own, which is wrong in versions that
 * distributions ship: up to 8.2 it does not sort the query, and 8.14 to 8.18
 * sign a + in it wrongly.
 *
 * The canonical form is hashed as it is written, so that nothing here depends
 * on how long a key or a token is.  Backend-free (see record.h): nothing
 * throws; only OpenSSL allocates, and frees before we return.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "net/wire.h"

#define SIGN_ALGORITHM "AWS4-HMAC-SHA256"
#define SIGN_KEY_PREFIX "AWS4"

#define SHA256_LEN 32

/* YYYYMMDD, the part of a date that goes into the scope */
#define DAY_LEN 8

/* AWS' secrets have 40 characters; other servers' rarely more. */
#define MAX_SECRET_LEN 1024

/* day/region/service/aws4_request; the longest region of AWS has 16 bytes */
#define MAX_SCOPE_LEN 256

/* In lower case, as S3 wants it; the library writes capitals. */
static void
to_hex(const unsigned char *bytes, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++)
	{
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 0x0f];
	}
	*out = '\0';
}

/* Hash the strings up to the closing NULL. */
static bool
hash_strings(EVP_MD_CTX *hash, const char *const *strings)
{
	for (; *strings != NULL; strings++)
		if (!EVP_DigestUpdate(hash, *strings, strlen(*strings)))
			return false;
	return true;
}

/* Write the canonical request into hash. */
static bool
hash_request(EVP_MD_CTX *hash, const StediSignInput *input)
{
	const char *const start[] = {input->method, "\n", input->path, "\n",
	input->query, "\n", NULL};
	const char *const end[] = {"\n", input->payload_hash, NULL};

	if (!hash_strings(hash, start))
		return false;
	for (int i = 0; i < input->n_headers; i++)
	{
		const char *const line[] = {input->headers[i].name, ":",
		input->headers[i].value, "\n", NULL};

		if (!hash_strings(hash, line))
			return false;
	}
	for (int i = 0; i < input->n_headers; i++)
	{
		const char *const name[] = {i == 0 ? "\n" : ";", input->headers[i].name, NULL};

		if (!hash_strings(hash, name))
			return false;
	}
	return hash_strings(hash, end);
}

/* The SHA-256 of the canonical request, in hex. */
static bool
canonical_hash(const StediSignInput *input, char *hex)
{
	unsigned char digest[SHA256_LEN];
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	bool		done = hash != NULL &&
	EVP_DigestInit_ex(hash, EVP_sha256(), NULL) &&
	hash_request(hash, input) &&
	EVP_DigestFinal_ex(hash, digest, NULL);

	EVP_MD_CTX_free(hash);
	if (done)
		to_hex(digest, sizeof(digest), hex);
	return done;
}

static bool
hmac(const void *key, size_t key_len, const char *data, size_t len,
	 unsigned char *out)
{
	return HMAC(EVP_sha256(), key, (int) key_len,
				(const unsigned char *) data, len, out, NULL) != NULL;
}

/* The key of one day, region and service; the caller wipes it. */
static bool
derive_key(const StediSignInput *input, unsigned char *key)
{
	char		secret[sizeof(SIGN_KEY_PREFIX) + MAX_SECRET_LEN];
	int			len = snprintf(secret, sizeof(secret), SIGN_KEY_PREFIX "%s",
							   input->secret_access_key);
	bool		done = len > 0 && (size_t) len < sizeof(secret) &&
	hmac(secret, (size_t) len, input->date, DAY_LEN, key) &&
	hmac(key, SHA256_LEN, input->region, strlen(input->region), key) &&
	hmac(key, SHA256_LEN, input->service, strlen(input->service), key) &&
	hmac(key, SHA256_LEN, "aws4_request", strlen("aws4_request"), key);

	OPENSSL_cleanse(secret, sizeof(secret));
	return done;
}

/* The signature in hex; scope goes into it and into the header. */
static bool
make_signature(const StediSignInput *input, const char *scope, char *hex)
{
	char		to_sign[sizeof(SIGN_ALGORITHM) + 32 + MAX_SCOPE_LEN + STEDI_SHA256_HEX_LEN];
	char		hash[STEDI_SHA256_HEX_LEN + 1];
	unsigned char key[SHA256_LEN];
	unsigned char signature[SHA256_LEN];
	int			len;
	bool		done;

	if (!canonical_hash(input, hash))
		return false;
	len = snprintf(to_sign, sizeof(to_sign), SIGN_ALGORITHM "\n%s\n%s\n%s",
				   input->date, scope, hash);
	done = len > 0 && (size_t) len < sizeof(to_sign) &&
		derive_key(input, key) &&
		hmac(key, sizeof(key), to_sign, (size_t) len, signature);
	OPENSSL_cleanse(key, sizeof(key));
	if (done)
		to_hex(signature, sizeof(signature), hex);
	return done;
}

/* Append to out, whose used bytes are counted in *len; false when it is full. */
static bool
append(char *out, size_t room, size_t *len, const char *string)
{
	size_t		more = strlen(string);

	if (more >= room - *len)
		return false;
	memcpy(out + *len, string, more + 1);
	*len += more;
	return true;
}

/* Write the header's value. */
static bool
write_header(const StediSignInput *input, const char *scope, const char *signature,
			 char *out, size_t room)
{
	size_t		len = 0;

	if (!append(out, room, &len, SIGN_ALGORITHM " Credential=") ||
		!append(out, room, &len, input->access_key_id) ||
		!append(out, room, &len, "/") ||
		!append(out, room, &len, scope) ||
		!append(out, room, &len, ", SignedHeaders="))
		return false;
	for (int i = 0; i < input->n_headers; i++)
		if (!append(out, room, &len, i == 0 ? "" : ";") ||
			!append(out, room, &len, input->headers[i].name))
			return false;
	return append(out, room, &len, ", Signature=") &&
		append(out, room, &len, signature);
}

bool
stedi_sign_hash(const char *bytes, size_t len, char hex[STEDI_SHA256_HEX_LEN + 1])
{
	unsigned char digest[SHA256_LEN];

	if (!EVP_Digest(bytes, len, digest, NULL, EVP_sha256(), NULL))
		return false;
	to_hex(digest, sizeof(digest), hex);
	return true;
}

bool
stedi_sign_request(const StediSignInput *input, char *out, size_t room)
{
	char		scope[MAX_SCOPE_LEN];
	char		signature[STEDI_SHA256_HEX_LEN + 1];
	int			len;

	if (room == 0)
		return false;
	out[0] = '\0';
	if (strlen(input->date) < DAY_LEN)
		return false;
	len = snprintf(scope, sizeof(scope), "%.*s/%s/%s/aws4_request",
				   DAY_LEN, input->date, input->region, input->service);
	if (len < 0 || (size_t) len >= sizeof(scope) ||
		!make_signature(input, scope, signature) ||
		!write_header(input, scope, signature, out, room))
	{
		out[0] = '\0';
		return false;
	}
	return true;
}

static bool
is_unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		(c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
}

size_t
stedi_sign_encode(const char *bytes, size_t len, bool keep_slash,
				  char *out, size_t room)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t		needed = 0;
	size_t		written = 0;

	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) bytes[i];
		char		code[3] = {'%', digits[c >> 4], digits[c & 0x0f]};
		bool		plain = is_unreserved(c) || (keep_slash && c == '/');
		size_t		more = plain ? 1 : sizeof(code);

		/* Once something did not fit, nothing after it may. */
		if (written == needed && more < room - written && room > written)
		{
			memcpy(out + written, plain ? &bytes[i] : code, more);
			written += more;
		}
		needed += more;
	}
	if (room > 0)
		out[written] = '\0';
	return needed;
}
