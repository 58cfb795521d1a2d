/*-------------------------------------------------------------------------
 *
 * wire.h
 *		What goes over the wire to a server, without a backend.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_NET_WIRE_H
#define STEDI_NET_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* sign.c */

#define STEDI_SHA256_HEX_LEN 64

/* SHA-256 of no bytes, in hex: the body of every request that we make. */
#define STEDI_SHA256_OF_NOTHING \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

typedef struct StediHeader
{
	const char *name;			/* lower case */
	const char *value;			/* trimmed */
} StediHeader;

typedef struct StediSignInput
{
	const char *method;			/* "GET" */
	const char *path;			/* encoded, starts with / */
	const char *query;			/* encoded and sorted, without ?; "" if none */
	const StediHeader *headers; /* all of them are signed; sorted by name */
	int			n_headers;
	const char *payload_hash;	/* hex */
	const char *access_key_id;
	const char *secret_access_key;
	const char *region;
	const char *service;		/* "s3" */
	const char *date;			/* YYYYMMDDTHHMMSSZ, also sent as x-amz-date */
} StediSignInput;

/*
 * Write the value of the Authorization header, NUL-terminated, to out.
 * False when room is too small or the library fails; out is then empty.
 * Intermediate keys are wiped.
 */
extern bool stedi_sign_request(const StediSignInput *input, char *out, size_t room);

/* SHA-256 of a request's body, in hex and with a closing NUL; false: the library fails. */
extern bool stedi_sign_hash(const char *bytes, size_t len, char hex[STEDI_SHA256_HEX_LEN + 1]);

/*
 * Percent-encode as Signature Version 4 wants it: all but A-Z a-z 0-9 - . _ ~
 * (and / when keep_slash) as %XX in upper case.  Writes at most room bytes,
 * the closing NUL included; returns the length needed without it.
 */
extern size_t stedi_sign_encode(const char *bytes, size_t len, bool keep_slash,
								char *out, size_t room);

/* xml.c */

typedef struct StediS3Entry
{
	const char *key;			/* decoded; good during the call */
	const char *etag;			/* with its quotes; "" when absent */
	int64_t		size;
	int64_t		modified_us;	/* since 1970-01-01 UTC; 0 when absent */
	const char *storage_class;	/* "" when absent */
} StediS3Entry;

/* Called for every object of a page; false ends the parse (and it reports false). */
typedef bool (*StediS3EntryFn) (void *arg, const StediS3Entry *entry);

typedef struct StediS3Page
{
	bool		truncated;		/* more pages follow */
	char		token[1025];	/* NextContinuationToken; "" when none */
	int			n_entries;
	const char *trouble;		/* why the parse failed: static text */
} StediS3Page;

typedef struct StediS3Error
{
	char		code[65];		/* <Code>, "" when the body is not S3's error */
	char		message[513];
	char		region[65];		/* <Region>, where the server names the right
								 * one */
	char		endpoint[257];	/* <Endpoint>, likewise */
} StediS3Error;

/* A ListBucketResult; false when it is not one, is cut off, or entry_fn said so. */
extern bool stedi_s3xml_page(const char *xml, size_t len,
							 StediS3EntryFn entry_fn, void *arg, StediS3Page *page);

/*
 * The same of a page that was asked for with a delimiter: for every folder
 * (CommonPrefixes), whose key ends at it, in place of the objects.
 */
extern bool stedi_s3xml_folders(const char *xml, size_t len,
								StediS3EntryFn entry_fn, void *arg, StediS3Page *page);

/* An Error; code is "" when it is not one. */
extern void stedi_s3xml_error(const char *xml, size_t len, StediS3Error *error);

/* The longest session token, and a 0; AWS' have some 1 to 4 kB. */
#define STEDI_TOKEN_SIZE 16384

/* Credentials that a server told; what is longer than there is room for is none. */
typedef struct StediToldKeys
{
	char		access_key_id[129];
	char		secret_access_key[1025];
	char		session_token[STEDI_TOKEN_SIZE];
	int64_t		expires_us;		/* since 1970-01-01 UTC; 0: not told */
	char		code[65];		/* JSON: "Success", or why not; "" */
} StediToldKeys;

/*
 * Those in an answer of AWS's token service; false when there are none, or it
 * is cut off.  The caller wipes *keys, whatever comes of it, and the answer;
 * no other copy is left.
 */
extern bool stedi_s3xml_keys(const char *xml, size_t len, StediToldKeys *keys);

/* address.c */

/*
 * Is it an address of the host's own link, or one at which a cloud answers
 * whoever asks from there?  Of a struct sockaddr and its length; true also of
 * what is no IP address.  Never throws.
 */
extern bool stedi_address_is_local(const void *address, size_t len);

/* checksum.c */

/* The checksums that S3 may tell of an object; what is quickest comes first. */
typedef enum StediChecksumKind
{
	STEDI_CHECKSUM_CRC32,
	STEDI_CHECKSUM_CRC32C,
	STEDI_CHECKSUM_CRC64NVME,
	STEDI_CHECKSUM_SHA1,
	STEDI_CHECKSUM_SHA256,
	STEDI_N_CHECKSUMS,
	STEDI_CHECKSUM_MD5 = STEDI_N_CHECKSUMS, /* told as an ETag */
} StediChecksumKind;

/* The most bytes that a checksum has. */
#define STEDI_CHECKSUM_SIZE 32

typedef struct StediChecksum
{
	StediChecksumKind kind;
	uint64_t	crc;			/* CRCs */
	void	   *digest;			/* the others: an EVP_MD_CTX, owned */
	unsigned char expected[STEDI_CHECKSUM_SIZE];
} StediChecksum;

/*
 * Begin to compare with what is told: base64, or hex for an ETag, quotes and
 * all.  False when it is none of one kind of checksum of all the bytes (an
 * ETag of an object in parts, say), or the library does not have it; then
 * there is nothing to end.
 */
extern bool stedi_checksum_begin(StediChecksum *checksum, StediChecksumKind kind,
								 const char *told);
extern void stedi_checksum_add(StediChecksum *checksum, const void *bytes, size_t len);

/* Was it that of the bytes?  Frees what is owned. */
extern bool stedi_checksum_end(StediChecksum *checksum);

#endif							/* STEDI_NET_WIRE_H */
