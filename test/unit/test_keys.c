/*
 * Credentials in the JSON of containers and instances are read, whatever is
 * around them, and nothing else is taken for them.  Guards stedi_told_keys in
 * src/record/json.c; those in XML are in test_s3xml.c.
 */
#include <stdlib.h>
#include <string.h>

#include "credential/told.h"
#include "tap.h"

static StediToldKeys told;

static bool
parse_len(const char *json, size_t len)
{
	char	   *bytes = malloc(len == 0 ? 1 : len); /* its end is watched by
													 * ASan */
	bool		taken;

	memcpy(bytes, json, len);
	taken = stedi_told_keys(bytes, len, &told);
	free(bytes);
	return taken;
}

static bool
parse(const char *json)
{
	return parse_len(json, strlen(json));
}

#define KEYS "\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"S/K\""

static void
test_taken(void)
{
	ok(parse("{\n  \"Code\" : \"Success\",\n  \"LastUpdated\" : \"2012-04-26T16:39:16Z\",\n"
			 "  \"Type\" : \"AWS-HMAC\",\n  \"AccessKeyId\" : \"AK\",\n"
			 "  \"SecretAccessKey\" : \"S\\/K+\",\n  \"Token\" : \"T==\",\n"
			 "  \"Expiration\" : \"2000-02-29T23:59:59Z\"\n}\n"), "as an instance has them");
	is_str(told.access_key_id, "AK", "the key");
	is_str(told.secret_access_key, "S/K+", "its secret, an escape undone");
	is_str(told.session_token, "T==", "the token");
	is_int(told.expires_us, INT64_C(951868799000000), "until when");
	ok(parse("{\"RoleArn\":\"arn:x\",\"Nested\":{\"Token\":\"no\"}," KEYS "}"), "no token and no end");
	is_str(told.session_token, "", "nothing is left of the one before");
	is_int(told.expires_us, 0, "of its time neither");
	ok(parse("{" KEYS ",\"Token\":null,\"Expiration\":null}"), "nor when they are null");
}

static void
test_refused(void)
{
	static char longest[STEDI_TOKEN_SIZE + 200];
	static char token[STEDI_TOKEN_SIZE + 1];
	const char *whole = "{" KEYS ",\"Token\":\"T\\u0041\"}";

	ok(!parse(""), "nothing");
	ok(!parse(" \n"), "white space");
	ok(!parse("<html>no</html>"), "a web page");
	ok(!parse("{\"Code\":\"Failed\"," KEYS "}"), "a code that is no success");
	is_str(told.code, "Failed", "is told");
	ok(!parse("{\"AccessKeyId\":\"AK\"}"), "half of them");
	ok(!parse("{\"AccessKeyId\":\"\",\"SecretAccessKey\":\"SK\"}"), "empty ones");
	ok(!parse("{\"AccessKeyId\":1,\"SecretAccessKey\":\"SK\"}"), "a number");
	ok(!parse("{\"AccessKeyId\":\"A\\u0000K\",\"SecretAccessKey\":\"SK\"}"), "a zero character");
	ok(!parse("{" KEYS ",\"AccessKeyId\":\"OTHER\"}"), "two of them");
	ok(!parse("{" KEYS ",\"Expiration\":\"soon\"}"), "an end that is no time");
	ok(!parse("{" KEYS ",\"Expiration\":1}"), "nor text");
	ok(!parse("{" KEYS "} {}"), "something behind it");
	ok(!parse("[{" KEYS "}]"), "an array");
	ok(parse(whole), "a whole one");
	for (size_t len = 0; len < strlen(whole); len++)
		ok(!parse_len(whole, len), "but not cut off at byte %zu", len);

	memset(token, 'T', STEDI_TOKEN_SIZE - 1);
	snprintf(longest, sizeof(longest), "{" KEYS ",\"Token\":\"%s\"}", token);
	ok(parse(longest), "the longest token");
	is_str(told.session_token, token, "is whole");
	token[STEDI_TOKEN_SIZE - 1] = 'T';
	snprintf(longest, sizeof(longest), "{" KEYS ",\"Token\":\"%s\"}", token);
	ok(!parse(longest), "a longer one is none");
}

int
main(void)
{
	test_taken();
	test_refused();
	return done_testing();
}
