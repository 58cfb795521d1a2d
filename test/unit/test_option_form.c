/*
 * The text of an option is taken or refused by its form, at the bounds of
 * numbers, too, and a url comes apart where it should.  Guards
 * src/base/option_form.c.
 */
#include "base/form.h"
#include "tap.h"

#define KB 1024
#define MB (1024 * 1024)

static void
test_integers(void)
{
	static const struct
	{
		const char *text;
		bool		size;
		int64_t		min;
		int64_t		max;
		bool		taken;
		int64_t		value;
	}			cases[] = {
		{"1", false, 1, 64, true, 1},
		{"64", false, 1, 64, true, 64},
		{"0", false, 1, 64, false, 0},
		{"65", false, 1, 64, false, 0},
		{"-1", false, 1, 64, false, 0},
		{"", false, 1, 64, false, 0},
		{"x", false, 1, 64, false, 0},
		{"1x", false, 1, 64, false, 0},
		{"1 ", false, 1, 64, false, 0},
		{"1kB", false, 1, 64, false, 0},
		{"0x10", false, 1, 64, false, 0},
		{"9223372036854775807", false, 1, INT64_MAX, true, INT64_MAX},
		{"9223372036854775808", false, 1, INT64_MAX, false, 0},
		{"-9223372036854775809", false, INT64_MIN, 0, false, 0},
		{"-9223372036854775808", false, INT64_MIN, 0, true, INT64_MIN},
		{"1024", true, 1024, 512 * MB, true, 1024},
		{"1kB", true, 1024, 512 * MB, true, KB},
		{"1KB", true, 1024, 512 * MB, true, KB},
		{"512MB", true, 1024, 512 * MB, true, 512 * MB},
		{"513MB", true, 1024, 512 * MB, false, 0},
		{"1MBs", true, 1024, 512 * MB, false, 0},
		{"MB", true, 0, 512 * MB, false, 0},
		/* these times their unit are 1024 and 0 in 64 bits */
		{"-9223372036854775807kB", true, 1024, 512 * MB, false, 0},
		{"-9223372036854775808MB", true, 0, 512 * MB, false, 0},
		/* and this is 0, beyond a bound that is in the midst of a unit */
		{"0MB", true, INT64_MIN, -1, false, 0},
		{"-1MB", true, INT64_MIN, -1, true, -1 * MB},
		{"9007199254740993kB", true, 1024, 512 * MB, false, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		int64_t		value = -77;
		bool		taken = stedi_form_int(cases[i].text, cases[i].size, cases[i].min, cases[i].max, &value);

		ok(taken == cases[i].taken && (!taken || value == cases[i].value), "integer \"%s\", case %zu",
		   cases[i].text, i);
	}
}

static void
test_choices(void)
{
	static const char *const choices[] = {"path", "virtual", NULL};

	is_int(stedi_form_choice("path", choices), 0, "the first choice");
	is_int(stedi_form_choice("virtual", choices), 1, "the last choice");
	is_int(stedi_form_choice("Path", choices), -1, "no choice: in another case");
	is_int(stedi_form_choice("", choices), -1, "no choice: empty");
}

typedef const char *(*FormFn) (const char *text);

/* Texts that are of a form, up to a NULL, and then some that are not. */
static void
test_form(const char *what, FormFn form, const char *const *texts)
{
	int			n = 0;

	for (; *texts != NULL; texts++)
		ok(form(*texts) == NULL, "%s %d is taken", what, ++n);
	n = 0;
	for (texts++; *texts != NULL; texts++)
		ok(form(*texts) != NULL, "no %s, %d, is refused", what, ++n);
}

static void
test_forms(void)
{
	static char long_bucket[300] = "s3://";
	static const char *const urls[] = {"s3://b", "s3://b/", "s3://b/a/b", "s3://b.c-d_9/ ", "file:///", "file:///srv", NULL,
		"", "s3://", "s3:///a", "s3://./a", "s3://..", "s3://b c", "s3://b?x", "s3://b@c", "S3://b", "file://srv", "file:/srv",
	"http://b", " s3://b", NULL};
	static const char *const endpoints[] = {"https://s3.example.com", "http://[::1]:9000", "http://127.0.0.1:1", NULL,
		"", "https://", "ftp://a", "https://a/b", "https://a?b", "https://a@b", "https://a#b", "https://a b", "https://a\nb",
	"https://a%2fb", "https://a\\b", NULL};
	static const char *const regions[] = {"us-east-1", "a", "abcdefghijklmnopqrstuvwxyz-12345", NULL,
	"", "abcdefghijklmnopqrstuvwxyz-123456", "a.b", "a/b", "a b", "\xc3\xa9", NULL};
	static const char *const texts[] = {"a", " ", "\t", NULL, "", "a\n", "\rb", NULL};
	static const char *const files[] = {"/", "/etc/ca.pem", NULL, "", "ca.pem", "~/ca.pem", NULL};

	test_form("url", stedi_form_url, urls);
	test_form("endpoint", stedi_form_endpoint, endpoints);
	test_form("region", stedi_form_region, regions);
	test_form("text", stedi_form_text, texts);
	test_form("file", stedi_form_file, files);
	memset(long_bucket + 5, 'b', 255);
	ok(stedi_form_url(long_bucket) == NULL, "a bucket of 255 letters");
	long_bucket[5 + 255] = 'b';
	ok(stedi_form_url(long_bucket) != NULL, "a bucket of 256 letters");
}

static void
test_split(void)
{
	static const struct
	{
		const char *url;
		const char *says;
	}			cases[] = {
		{"s3://b", "s3://b|b|"},
		{"s3://b/", "s3://b|b|"},
		{"s3://b/x", "s3://b/x|b|x"},
		{"s3://b/x/", "s3://b/x|b|x/"},
		/* of a bucket, each / but the one behind its name is part of a key */
		{"s3://b//", "s3://b/|b|/"},
		{"s3://b//x", "s3://b//x|b|/x"},
		{"s3://b//x/y///", "s3://b//x/y//|b|/x/y///"},
		{"file:///", "file:///|/"},
		{"file:////", "file:///|/"},
		{"file:///srv/a//", "file:///srv/a|/srv/a"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		StediUrl	parts;
		char		says[128];

		stedi_form_split_url(cases[i].url, &parts);
		if (parts.local)
			snprintf(says, sizeof(says), "%.*s|%.*s", (int) parts.whole.len, parts.whole.data,
					 (int) parts.root.len, parts.root.data);
		else
			snprintf(says, sizeof(says), "%.*s|%.*s|%.*s", (int) parts.whole.len, parts.whole.data,
					 (int) parts.bucket.len, parts.bucket.data, (int) parts.folder.len, parts.folder.data);
		is_str(says, cases[i].says, "the parts of %s", cases[i].url);
	}
}

static void
test_folders(void)
{
	static const struct
	{
		const char *path;
		const char *local;
		const char *bucket;
	}			cases[] = {
		{"", "", ""}, {"/", "", "/"}, {"//", "", "//"}, {"a", "a", "a"}, {"a/", "a", "a/"}, {"/a", "a", "/a"},
		{"a//", "a", "a//"}, {"//a//b//", "a//b", "//a//b//"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int local = 0; local < 2; local++)
		{
			StediSlice	folder = stedi_form_folder(cases[i].path, local);
			char		says[32];

			snprintf(says, sizeof(says), "%.*s", (int) folder.len, folder.data);
			is_str(says, local ? cases[i].local : cases[i].bucket, "the prefix \"%s\" of a %s",
				   cases[i].path, local ? "folder" : "bucket");
		}
}

int
main(void)
{
	test_integers();
	test_choices();
	test_forms();
	test_split();
	test_folders();
	return done_testing();
}
