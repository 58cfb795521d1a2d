/*
 * Signatures are the ones that AWS publishes, and keys are encoded as it
 * wants them.  Guards src/net/sign.c.
 */
#include <string.h>

#include "net/wire.h"
#include "tap.h"

/* From "Signature Calculations for the Authorization Header" of the S3 API. */
#define S3_HOST "examplebucket.s3.amazonaws.com"
#define S3_DATE "20130524T000000Z"

static StediSignInput
s3_example(const char *path, const char *query,
		   const StediHeader *headers, int n_headers)
{
	StediSignInput input = {
		.method = "GET",
		.path = path,
		.query = query,
		.headers = headers,
		.n_headers = n_headers,
		.payload_hash = STEDI_SHA256_OF_NOTHING,
		.access_key_id = "AKIAIOSFODNN7EXAMPLE",
		.secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		.region = "us-east-1",
		.service = "s3",
		.date = S3_DATE,
	};

	return input;
}

static const StediHeader plain_headers[] = {
	{"host", S3_HOST},
	{"x-amz-content-sha256", STEDI_SHA256_OF_NOTHING},
	{"x-amz-date", S3_DATE},
};

static void
test_s3_object(void)
{
	static const StediHeader headers[] = {
		{"host", S3_HOST},
		{"range", "bytes=0-9"},
		{"x-amz-content-sha256", STEDI_SHA256_OF_NOTHING},
		{"x-amz-date", S3_DATE},
	};
	StediSignInput input = s3_example("/test.txt", "", headers, 4);
	char		out[512];

	ok(stedi_sign_request(&input, out, sizeof(out)), "an object is signed");
	is_str(out,
		   "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
		   "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
		   "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
		   "GET Object, as published");
}

static void
test_s3_list(void)
{
	StediSignInput input = s3_example("/", "max-keys=2&prefix=J", plain_headers, 3);
	char		out[512];

	ok(stedi_sign_request(&input, out, sizeof(out)), "a listing is signed");
	is_str(strstr(out, "Signature="),
		   "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
		   "List Objects, as published");
}

static void
test_s3_lifecycle(void)
{
	StediSignInput input = s3_example("/", "lifecycle=", plain_headers, 3);
	char		out[512];

	ok(stedi_sign_request(&input, out, sizeof(out)), "a query without value is signed");
	is_str(strstr(out, "Signature="),
		   "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
		   "GET Bucket Lifecycle, as published");
}

/* get-vanilla and get-vanilla-query-order-key-case of the SigV4 test suite */
static void
test_suite(void)
{
	static const StediHeader headers[] = {
		{"host", "example.amazonaws.com"},
		{"x-amz-date", "20150830T123600Z"},
	};
	StediSignInput input = {
		.method = "GET",
		.path = "/",
		.query = "",
		.headers = headers,
		.n_headers = 2,
		.payload_hash = STEDI_SHA256_OF_NOTHING,
		.access_key_id = "AKIDEXAMPLE",
		.secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
		.region = "us-east-1",
		.service = "service",
		.date = "20150830T123600Z",
	};
	char		out[512];

	ok(stedi_sign_request(&input, out, sizeof(out)), "get-vanilla is signed");
	is_str(out,
		   "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
		   "SignedHeaders=host;x-amz-date, "
		   "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
		   "get-vanilla, as published");

	input.query = "Param1=value1&Param2=value2";
	ok(stedi_sign_request(&input, out, sizeof(out)), "get-vanilla-query is signed");
	is_str(strstr(out, "Signature="),
		   "Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
		   "get-vanilla-query-order-key-case, as published");
}

/* No room, or inputs beyond all reason, are refused and leave nothing behind. */
static void
test_limits(void)
{
	StediSignInput input = s3_example("/test.txt", "", plain_headers, 3);
	char		whole[512];
	char		out[512];
	char		secret[4096];
	bool		refused = true;
	size_t		len;

	ok(stedi_sign_request(&input, whole, sizeof(whole)), "there is room");
	len = strlen(whole);
	for (size_t room = 0; room <= len; room++)
	{
		memset(out, 'x', sizeof(out));
		if (stedi_sign_request(&input, out, room) ||
			(room > 0 && out[0] != '\0') || out[room] != 'x')
			refused = false;
	}
	ok(refused, "too little room is refused, and nothing is written beyond it");
	ok(stedi_sign_request(&input, out, len + 1), "just enough room is enough");
	is_str(out, whole, "and gives the same");

	memset(secret, 's', sizeof(secret) - 1);
	secret[sizeof(secret) - 1] = '\0';
	input.secret_access_key = secret;
	ok(!stedi_sign_request(&input, out, sizeof(out)), "a secret of 4 kB is refused");
	is_str(out, "", "with nothing written");

	input = s3_example("/", "", plain_headers, 3);
	input.region = secret;
	ok(!stedi_sign_request(&input, out, sizeof(out)), "and so is such a region");
	input = s3_example("/", "", plain_headers, 3);
	input.date = "2013";
	ok(!stedi_sign_request(&input, out, sizeof(out)), "and a date without a day");
}

static void
is_encoded(const char *key, bool keep_slash, const char *want)
{
	char		out[256];
	size_t		len = stedi_sign_encode(key, strlen(key), keep_slash, out, sizeof(out));

	is_str(out, want, "\"%s\" is encoded", key);
	is_int((int64_t) len, (int64_t) strlen(want), "and its length is told");
}

static void
test_encode(void)
{
	char		out[8];
	char		every[256];
	char		encoded[256 * 3 + 1];
	size_t		len;

	is_encoded("", true, "");
	is_encoded("plain-._~AZaz09", true, "plain-._~AZaz09");
	is_encoded("a/b c", true, "a/b%20c");
	is_encoded("a/b c", false, "a%2Fb%20c");
	is_encoded("a+b=c&d?e#f", true, "a%2Bb%3Dc%26d%3Fe%23f");
	is_encoded("100%", true, "100%25");
	is_encoded("%41", true, "%2541");
	is_encoded("d//./../x", true, "d//./../x");
	is_encoded("\xc3\xbc\xe6\x97\xa5", true, "%C3%BC%E6%97%A5");
	is_encoded("(*)'!$,;:@\"<>\\^`{|}", true,
			   "%28%2A%29%27%21%24%2C%3B%3A%40%22%3C%3E%5C%5E%60%7B%7C%7D");

	is_int((int64_t) stedi_sign_encode("a b", 3, true, out, 4), 5, "the length needed is told when there is no room");
	is_str(out, "a", "and no code is cut in two");
	is_int((int64_t) stedi_sign_encode("a bc", 4, true, out, 4), 6, "a byte that would fit");
	is_str(out, "a", "does not go where one before it did not");
	is_int((int64_t) stedi_sign_encode("ab", 2, true, NULL, 0), 2, "without a buffer, too");
	is_int((int64_t) stedi_sign_encode("ab", 2, true, out, 3), 2, "exactly enough room");
	is_str(out, "ab", "is enough");

	for (int i = 0; i < 256; i++)
		every[i] = (char) i;
	len = stedi_sign_encode(every, sizeof(every), false, encoded, sizeof(encoded));
	is_int((int64_t) len, 66 + 190 * 3, "66 bytes of 256 stay as they are");
	is_int((int64_t) strlen(encoded), (int64_t) len, "NUL included");
}

static void
test_hash(void)
{
	char		hex[STEDI_SHA256_HEX_LEN + 1];

	ok(stedi_sign_hash("", 0, hex), "nothing has a hash");
	is_str(hex, STEDI_SHA256_OF_NOTHING, "this one");
	ok(stedi_sign_hash("abc", 3, hex), "and so has a body");
	is_str(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		   "the one of FIPS 180");
}

int
main(void)
{
	test_hash();
	test_s3_object();
	test_s3_list();
	test_s3_lifecycle();
	test_suite();
	test_limits();
	test_encode();
	return done_testing();
}
