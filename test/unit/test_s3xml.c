/*
 * Answers of S3 servers give their keys, sizes and codes; whatever is cut
 * off, hostile or something else gives none.  Guards src/net/xml.c.
 */
#include <string.h>

#include "net/wire.h"
#include "tap.h"

#define MAX_ENTRIES 8

typedef struct Seen
{
	int			n;
	int			refuse_after;	/* -1: never */
	char		key[MAX_ENTRIES][3200];
	char		etag[MAX_ENTRIES][200];
	char		storage_class[MAX_ENTRIES][64];
	int64_t		size[MAX_ENTRIES];
	int64_t		modified_us[MAX_ENTRIES];
} Seen;

static Seen seen;
static StediS3Page page;

static bool
on_entry(void *arg, const StediS3Entry *entry)
{
	Seen	   *to = arg;

	if (to->n == to->refuse_after || to->n == MAX_ENTRIES)
		return false;
	snprintf(to->key[to->n], sizeof(to->key[0]), "%s", entry->key);
	snprintf(to->etag[to->n], sizeof(to->etag[0]), "%s", entry->etag);
	snprintf(to->storage_class[to->n], sizeof(to->storage_class[0]), "%s", entry->storage_class);
	to->size[to->n] = entry->size;
	to->modified_us[to->n] = entry->modified_us;
	to->n++;
	return true;
}

static bool
parse_len(const char *xml, size_t len)
{
	memset(&seen, 0, sizeof(seen));
	seen.refuse_after = -1;
	return stedi_s3xml_page(xml, len, on_entry, &seen, &page);
}

static bool
parse(const char *xml)
{
	return parse_len(xml, strlen(xml));
}

#define LIST(inside) \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" \
	"<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" \
	inside "</ListBucketResult>"
#define WHOLE "<IsTruncated>false</IsTruncated>"
#define ENTRY(inside) LIST(WHOLE "<Contents>" inside "</Contents>")
#define KEY(key) "<Contents><Key>" key "</Key><Size>1</Size></Contents>"

/* As AWS writes it. */
static void
test_page(void)
{
	ok(parse(LIST("<Name>b</Name><Prefix>p/</Prefix><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys>"
				  "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
				  "<NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</NextContinuationToken>"
				  "<Contents><Key>p/a+b%2Bc%C3%BC.json</Key>"
				  "<LastModified>2026-11-23T22:18:00.123Z</LastModified>"
				  "<ETag>&quot;70ee1738b6b21e2c8a43f3a5ab0eee71-2&quot;</ETag>"
				  "<Owner><ID>x</ID><Key>not this</Key></Owner>"
				  "<Size>434234</Size><StorageClass>STANDARD</StorageClass></Contents>\n"
				  "<Contents><Key>p/b</Key><Size>0</Size></Contents>"
				  "<CommonPrefixes><Prefix>p/c/</Prefix></CommonPrefixes>")),
	   "a page is read");
	is_int(seen.n, 2, "with two objects");
	is_int(page.n_entries, 2, "which are counted");
	ok(page.truncated, "and more to come");
	is_str(page.token, "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=", "with this token");
	is_str(seen.key[0], "p/a b+c\xc3\xbc.json", "the key is decoded");
	is_str(seen.etag[0], "\"70ee1738b6b21e2c8a43f3a5ab0eee71-2\"", "the ETag has its quotes");
	is_int(seen.size[0], 434234, "the size");
	is_int(seen.modified_us[0], INT64_C(1795472280123000), "the time");
	is_str(seen.storage_class[0], "STANDARD", "the storage class");
	is_str(seen.etag[1], "", "nothing of one object is left for the next: ETag");
	is_int(seen.modified_us[1], 0, "time");
	is_str(seen.storage_class[1], "", "storage class");
	is_int(seen.size[1], 0, "an empty object has size 0");
	ok(page.trouble == NULL, "no trouble");
}

static bool
parse_folders(const char *xml)
{
	memset(&seen, 0, sizeof(seen));
	seen.refuse_after = -1;
	return stedi_s3xml_folders(xml, strlen(xml), on_entry, &seen, &page);
}

/* A page that was asked for with a delimiter. */
static void
test_folders(void)
{
	ok(parse_folders(LIST("<Prefix>p/</Prefix><Delimiter>/</Delimiter><EncodingType>url</EncodingType>"
						  WHOLE KEY("p/object")
						  "<CommonPrefixes><Prefix>p/a+b%2Bc/</Prefix></CommonPrefixes>"
						  "<CommonPrefixes><Prefix>p/d/</Prefix></CommonPrefixes>"
						  "<Owner><Prefix>no/</Prefix></Owner>")),
	   "folders are read");
	is_int(seen.n, 2, "as many as there are, and no object");
	is_int(page.n_entries, 2, "which are counted");
	is_str(seen.key[0], "p/a b+c/", "their names are decoded");
	is_str(seen.key[1], "p/d/", "each");
	is_int(seen.size[0], -1, "they have no size");
	ok(parse_folders(LIST(WHOLE KEY("a"))), "there may be none");
	is_int(seen.n, 0, "then none is given");
	ok(!parse_folders(LIST(WHOLE "<EncodingType>url</EncodingType>"
						   "<CommonPrefixes><Prefix>%</Prefix></CommonPrefixes>")),
	   "a folder that is wrongly encoded is refused");
	ok(!parse_folders(LIST(WHOLE "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>") "x"),
	   "and so is what is no page");
	is_int(seen.n, 0, "before any is given");
}

static void
test_encoding(void)
{
	ok(parse(LIST(WHOLE KEY("a%2Fb+c"))), "without EncodingType");
	is_str(seen.key[0], "a%2Fb+c", "a key is taken as it is");
	ok(parse(LIST(WHOLE KEY("a%2fb%20c+d") "<EncodingType>url</EncodingType>")),
	   "with EncodingType after the objects");
	is_str(seen.key[0], "a/b c d", "a key is decoded all the same");
	ok(parse(LIST(WHOLE "<EncodingType/>" KEY("a%2Fb"))), "with an empty EncodingType");
	is_str(seen.key[0], "a%2Fb", "it is not");
	ok(parse(LIST(WHOLE KEY("a&amp;b&lt;&#x1F600;"))), "XML's own escapes");
	is_str(seen.key[0], "a&b<\xf0\x9f\x98\x80", "are undone");
	ok(!parse(LIST(WHOLE "<EncodingType>base64</EncodingType>" KEY("a"))), "an unknown encoding is refused");
	is_int(seen.n, 0, "before any object is given");

	ok(!parse(LIST(WHOLE "<EncodingType>url</EncodingType>" KEY("a%2"))), "half a code is refused");
	is_str(page.trouble, "a key is wrongly encoded", "and named");
	ok(!parse(LIST(WHOLE "<EncodingType>url</EncodingType>" KEY("a%"))), "and a lone percent sign");
	ok(!parse(LIST(WHOLE "<EncodingType>url</EncodingType>" KEY("a%zz"))), "and what is not hex");
	ok(!parse(LIST(WHOLE "<EncodingType>url</EncodingType>" KEY("a%00b"))), "and a zero byte");
}

static void
test_empty(void)
{
	ok(parse(LIST("<KeyCount>0</KeyCount>" WHOLE)), "a page may be empty");
	is_int(seen.n, 0, "without objects");
	ok(!page.truncated, "the last one");
	is_str(page.token, "", "without token");
}

/* Every document that is not a page, whole and in order. */
static void
test_refused(void)
{
	static const struct
	{
		const char *xml;
		const char *what;
	}			cases[] = {
		{"", "nothing"},
		{"not XML", "no XML"},
		{"{\"a\": 1}", "JSON"},
		{"<html><body>busy</body></html>", "a web page"},
		{"<Error><Code>SlowDown</Code></Error>", "an error"},
		{"<ListBucketResult></ListBucketResult>", "a page without IsTruncated"},
		{LIST("<IsTruncated>yes</IsTruncated>"), "IsTruncated that is neither"},
		{LIST("<a>" WHOLE "</a>"), "IsTruncated somewhere else"},
		{LIST(WHOLE) "<more/>", "something behind it"},
		{ENTRY("<Size>1</Size>"), "an object without key"},
		{ENTRY("<Key/><Size>1</Size>"), "an object with an empty key"},
		{ENTRY("<Key>a</Key>"), "an object without size"},
		{ENTRY("<Key>a</Key><Size></Size>"), "an empty size"},
		{ENTRY("<Key>a</Key><Size>-1</Size>"), "a negative size"},
		{ENTRY("<Key>a</Key><Size>1e3</Size>"), "a size with an exponent"},
		{ENTRY("<Key>a</Key><Size>99999999999999999999</Size>"), "a size beyond 64 bits"},
		{ENTRY("<Key>a</Key><Size>1</Size><LastModified>yesterday</LastModified>"), "a time that is none"},
		{ENTRY("<Key>a</Key><Size>1</Size><LastModified>2026-13-01T00:00:00Z</LastModified>"), "a thirteenth month"},
		{ENTRY("<Key>a</Key><Size>1</Size><ETag>&quot;a&#13;&#10;x-amz-acl: public&quot;</ETag>"), "an ETag with a line end"},
		{ENTRY("<Key>a</Key><Size>1</Size><ETag>\xc3\xbc</ETag>"), "an ETag beyond ASCII"},
		{LIST(WHOLE KEY("\xff")), "bytes that are not UTF-8"},
		{LIST(WHOLE KEY("&#0;")), "a zero character"},
		{LIST(WHOLE KEY("&nbsp;")), "an entity that XML does not know"},
		{"<!DOCTYPE ListBucketResult>" "<ListBucketResult>" WHOLE "</ListBucketResult>", "a document type"},
		{"<!DOCTYPE a [<!ENTITY x \"xxxxxxxx\"><!ENTITY y \"&x;&x;&x;&x;\">]>"
		"<ListBucketResult>" WHOLE KEY("&y;") "</ListBucketResult>", "entities of its own"},
		{"<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>"
		"<ListBucketResult>" WHOLE KEY("&x;") "</ListBucketResult>", "external entities"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ok(!parse(cases[i].xml) && seen.n == 0 && page.trouble != NULL,
		   "refused: %s", cases[i].what);
}

/* Whatever is missing at the end, no object is given. */
static void
test_cut_off(void)
{
	static const char xml[] = LIST(WHOLE KEY("a") KEY("b"));
	bool		refused = true;

	for (size_t len = 0; len < sizeof(xml) - 1; len++)
		if (parse_len(xml, len) || seen.n != 0)
			refused = false;
	ok(refused, "a page that is cut off anywhere gives nothing");
	ok(parse_len(xml, sizeof(xml) - 1), "and a whole one does");
}

static void
test_limits(void)
{
	static char xml[8192];
	char		text[4000];
	bool		taken;

	memset(text, 'k', 1024);
	text[1024] = '\0';
	snprintf(xml, sizeof(xml), LIST(WHOLE KEY("%s")), text);
	ok(parse(xml), "a key of 1024 bytes is taken");
	is_int((int64_t) strlen(seen.key[0]), 1024, "whole");
	strcat(text, "k");
	snprintf(xml, sizeof(xml), LIST(WHOLE KEY("%s")), text);
	ok(!parse(xml), "a longer one is refused");

	for (int i = 0; i < 1024; i++)
		memcpy(text + 3 * i, "%6B", 4);
	snprintf(xml, sizeof(xml), LIST("%s<EncodingType>url</EncodingType>" KEY("%s")), WHOLE, text);
	ok(parse(xml), "a key of 1024 bytes, every one encoded, is taken");
	is_int((int64_t) strlen(seen.key[0]), 1024, "and decoded");
	memset(text, '%', 3900);
	text[3900] = '\0';
	snprintf(xml, sizeof(xml), LIST("%s" KEY("%s")), WHOLE, text);
	ok(!parse(xml), "a key beyond any is refused");
	is_str(page.trouble, "a key is too long", "and named");

	text[1024] = '\0';
	snprintf(xml, sizeof(xml), LIST("%s<NextContinuationToken>%s</NextContinuationToken>"), WHOLE, text);
	taken = parse(xml);
	ok(taken && strlen(page.token) == 1024, "a token of 1024 bytes is taken");
	memset(text, 't', 1025);
	text[1025] = '\0';
	snprintf(xml, sizeof(xml), LIST("%s<NextContinuationToken>%s</NextContinuationToken>"), WHOLE, text);
	ok(!parse(xml), "a longer one is refused");

	memset(&seen, 0, sizeof(seen));
	seen.refuse_after = 1;
	ok(!stedi_s3xml_page(LIST(WHOLE KEY("a") KEY("b") KEY("c")),
						 strlen(LIST(WHOLE KEY("a") KEY("b") KEY("c"))), on_entry, &seen, &page),
	   "a callback that refuses ends the parse");
	is_int(seen.n, 1, "at once");
}

static void
is_time(const char *text, int64_t want)
{
	char		xml[512];

	snprintf(xml, sizeof(xml), ENTRY("<Key>a</Key><Size>1</Size><LastModified>%s</LastModified>"), text);
	ok(parse(xml), "%s is a time", text);
	is_int(seen.modified_us[0], want, "this one");
}

static void
is_no_time(const char *text)
{
	char		xml[512];

	snprintf(xml, sizeof(xml), ENTRY("<Key>a</Key><Size>1</Size><LastModified>%s</LastModified>"), text);
	ok(!parse(xml), "\"%s\" is no time", text);
}

/* Every day that a calendar may or may not have, each year of 1900 to 2101. */
static void
test_days(void)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int			wrong = 0;
	int64_t		day_no = -25567;	/* 1900-01-01 */

	for (int year = 1900; year <= 2101; year++)
		for (int month = 0; month <= 13; month++)
			for (int day = 0; day <= 32; day++)
			{
				bool		leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
				bool		real = month >= 1 && month <= 12 && day >= 1 &&
				day <= days[month - 1] + (month == 2 && leap);
				char		xml[512];

				snprintf(xml, sizeof(xml), ENTRY("<Key>a</Key><Size>1</Size>"
												 "<LastModified>%04d-%02d-%02dT00:00:00.000Z</LastModified>"),
						 year, month, day);
				wrong += parse(xml) != real;
				wrong += real && seen.modified_us[0] != day_no * INT64_C(86400000000);
				day_no += real;
			}
	is_int(wrong, 0, "days from 1900 on are those of the calendar");
}

static void
test_times(void)
{
	static const char *const none[] = {
		"", "Z", "T", "2026-02-31T00:00:00Z", "2026-11-31T00:00:00Z", "2026-02-29T00:00:00Z",
		"1900-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-01-00T00:00:00Z",
		"2026-00-01T00:00:00Z", "2026-13-01T00:00:00Z", "0000-01-01T00:00:00Z",
		"2026-01-01T24:00:00Z", "2026-01-01T23:60:00Z", "2026-01-01T23:59:61Z",
		"2026-01-01T99:00:00Z", "-026-01-01T00:00:00Z", "+2026-01-01T00:00:00Z",
		"2026-1-01T00:00:00Z", "2026-01-1T00:00:00Z", "2026-01-01T0:00:00Z",
		"2026-01-01T00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z",
		"2026-01-01T00:00:00.0", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00ZZ",
		"2026-01-01T00:00:00Z ", " 2026-01-01T00:00:00Z", "2026-01-01 00:00:00Z",
		"2026-01-01t00:00:00z", "2026-01-01T00:00:00z", "2026-01-01T00:00:-1Z",
		"2026-01-01T 0:00:00Z", "2026-01-01T00:00:00.-1Z", "2026-01-01T00:00:00,5Z",
		"20260101T000000Z", "2026-001T00:00:00Z", "02026-01-01T00:00:00Z",
		"12026-01-01T00:00:00Z", "1764600000000", "1764600000000Z", "yesterday",
		"Wed, 12 Oct 2009 17:50:00 GMT", "infinity", "epoch",
	};

	is_time("1970-01-01T00:00:00Z", 0);
	is_time("1970-01-01T00:00:00.000001Z", 1);
	is_time("2000-02-29T23:59:59.5Z", INT64_C(951868799500000));
	is_time("2024-03-01T00:00:00.123456789Z", INT64_C(1709251200123457));
	is_time("1969-12-31T23:59:59.000Z", INT64_C(-1000000));
	is_time("2016-12-31T23:59:60Z", INT64_C(1483228800000000));
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		is_no_time(none[i]);
	test_days();
}

static void
test_error(void)
{
	static const char wrong_region[] =
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	"<Error><Code>AuthorizationHeaderMalformed</Code>"
	"<Message>the region 'us-east-1' is wrong; expecting 'eu-west-1'</Message>"
	"<Region>eu-west-1</Region><RequestId>1</RequestId></Error>";
	static const char redirect[] =
	"<Error><Code>PermanentRedirect</Code>"
	"<Endpoint>b.s3-eu-west-1.amazonaws.com</Endpoint><Bucket>b</Bucket></Error>";
	static char longest[8192];
	char		text[1200];
	StediS3Error error;

	stedi_s3xml_error(wrong_region, strlen(wrong_region), &error);
	is_str(error.code, "AuthorizationHeaderMalformed", "an error's code");
	is_str(error.region, "eu-west-1", "its region");
	is_str(error.message, "the region 'us-east-1' is wrong; expecting 'eu-west-1'", "its message");
	stedi_s3xml_error(redirect, strlen(redirect), &error);
	is_str(error.endpoint, "b.s3-eu-west-1.amazonaws.com", "its endpoint");
	is_str(error.region, "", "nothing is left of the one before");

	stedi_s3xml_error(redirect, strlen(redirect) - 20, &error);
	is_str(error.code, "PermanentRedirect", "a cut-off error has a code all the same");
	stedi_s3xml_error("<html><Code>x</Code></html>", 27, &error);
	is_str(error.code, "", "a web page has none");
	stedi_s3xml_error("", 0, &error);
	is_str(error.code, "", "nor has nothing");
	stedi_s3xml_error("<Error><a><Code>x</Code></a></Error>", 36, &error);
	is_str(error.code, "", "nor an element further down");

	for (int i = 0; i < 400; i++)
		memcpy(text + 2 * i, "\xc3\xbc", 3);
	snprintf(longest, sizeof(longest), "<Error><Code>C</Code><Message>x%s</Message></Error>", text);
	stedi_s3xml_error(longest, strlen(longest), &error);
	is_int((int64_t) strlen(error.message), 511, "a long message is cut between characters");
}

static StediToldKeys sts;

static bool
parse_keys(const char *xml)
{
	return stedi_s3xml_keys(xml, strlen(xml), &sts);
}

#define STS(inside) \
	"<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>" \
	inside "</AssumeRoleResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></AssumeRoleResponse>"
#define STS_KEYS(inside) \
	STS("<Credentials><AccessKeyId>AK</AccessKeyId><SecretAccessKey>S/K</SecretAccessKey>" \
		inside "</Credentials>")

/* Of the token service: its keys, and its errors. */
static void
test_keys(void)
{
	static const char denied[] =
	"<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>"
	"<Code>AccessDenied</Code><Message>not you</Message></Error><RequestId>1</RequestId></ErrorResponse>";
	static char longest[STEDI_TOKEN_SIZE + 1000];
	static char token[STEDI_TOKEN_SIZE + 1];
	StediS3Error error;
	char		whole[1000];

	ok(parse_keys(STS("<AssumedRoleUser><AccessKeyId>not this</AccessKeyId></AssumedRoleUser>"
					  "<Credentials><AccessKeyId>AK</AccessKeyId><SecretAccessKey>S/K+&amp;</SecretAccessKey>"
					  "<SessionToken>T==</SessionToken><Expiration>2000-02-29T23:59:59Z</Expiration></Credentials>")),
	   "credentials are read");
	is_str(sts.access_key_id, "AK", "the key");
	is_str(sts.secret_access_key, "S/K+&", "its secret");
	is_str(sts.session_token, "T==", "the token");
	is_int(sts.expires_us, INT64_C(951868799000000), "until when");

	ok(parse_keys(STS_KEYS("<SessionToken>T</SessionToken>")), "without an end");
	is_int(sts.expires_us, 0, "nothing is left of the one before");
	ok(!parse_keys(STS_KEYS("")), "not without a token");
	ok(!parse_keys(STS_KEYS("<SessionToken>T</SessionToken><Expiration>soon</Expiration>")),
	   "not with an end that is no time");
	ok(!parse_keys(STS_KEYS("<SessionToken>T</SessionToken><Expiration>2026-02-30T00:00:00Z</Expiration>")),
	   "nor on a day that there is not");
	ok(!parse_keys(STS("")), "not without credentials");
	ok(!parse_keys("<Credentials><AccessKeyId>AK</AccessKeyId></Credentials>"), "not somewhere else");
	ok(!parse_keys(denied), "not of an error");
	ok(!parse_keys("<!DOCTYPE x>" STS_KEYS("<SessionToken>T</SessionToken>")), "not with a document type");
	snprintf(whole, sizeof(whole), "%s", STS_KEYS("<SessionToken>T</SessionToken>"));
	for (size_t len = strlen(whole) - 1; len > strlen(whole) - 30; len--)
		ok(!stedi_s3xml_keys(whole, len, &sts), "nor cut off at byte %zu", len);

	memset(token, 'T', STEDI_TOKEN_SIZE - 1);
	snprintf(longest, sizeof(longest), STS_KEYS("<SessionToken>%s</SessionToken>"), token);
	ok(parse_keys(longest), "the longest token");
	is_str(sts.session_token, token, "is whole");
	token[STEDI_TOKEN_SIZE - 1] = 'T';
	snprintf(longest, sizeof(longest), STS_KEYS("<SessionToken>%s</SessionToken>"), token);
	ok(!parse_keys(longest), "a longer one is none");

	stedi_s3xml_error(denied, strlen(denied), &error);
	is_str(error.code, "AccessDenied", "the token service's error has a code");
	is_str(error.message, "not you", "and a message");
}

int
main(void)
{
	test_keys();
	test_page();
	test_folders();
	test_encoding();
	test_empty();
	test_refused();
	test_cut_off();
	test_limits();
	test_times();
	test_error();
	return done_testing();
}
