/*
 * The text of an option is taken only when it is what it should be, and its
 * parts are where they should be.  Guards src/base/option_form.c and src/base/glob.c.
 */
#include "fuzz.h"
#include "base/form.h"

#define HEADER 2

/* The bounds of integers, by the second byte of the input. */
static const struct
{
	int64_t		min;
	int64_t		max;
}			bounds[] = {
	{1, 64}, {1, INT64_MAX}, {1024, 512 * 1024 * 1024}, {0, 3600}, {INT64_MIN, INT64_MAX}, {-5, 5}, {INT64_MIN, -1},
};

static void
claim_int(const char *text, bool size, int64_t min, int64_t max)
{
	int64_t		value;
	__int128	expected = 0;
	const char *p = text + strspn(text, " \t\n\v\f\r");
	bool		negative = (*p == '-');
	bool		right;

	p += (*p == '-' || *p == '+');
	right = (*p >= '0' && *p <= '9');
	for (; *p >= '0' && *p <= '9'; p++)
		if (expected <= (__int128) INT64_MAX * 10)
			expected = expected * 10 + (*p - '0');
	if (negative)
		expected = -expected;
	right = right && expected >= INT64_MIN && expected <= INT64_MAX;
	if (size && (*p == 'k' || *p == 'K') && (p[1] == 'B' || p[1] == 'b'))
		expected *= 1024, p += 2;
	else if (size && (*p == 'm' || *p == 'M') && (p[1] == 'B' || p[1] == 'b'))
		expected *= 1024 * 1024, p += 2;
	right = right && *p == '\0' && expected >= min && expected <= max;
	CLAIM(stedi_form_int(text, size, min, max, &value) == right);
	CLAIM(!right || value == (int64_t) expected);
}

/* Nothing but what may be part of a host's name, and these. */
static bool
is_name(StediSlice text, const char *others)
{
	for (size_t i = 0; i < text.len; i++)
	{
		char		c = text.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			  (c != '\0' && strchr(others, c) != NULL)))
			return false;
	}
	return true;
}

static void
claim_url(const char *text)
{
	StediUrl	parts;

	if (stedi_form_url(text) != NULL)
		return;
	stedi_form_split_url(text, &parts);
	CLAIM(parts.whole.data == text && parts.whole.len <= strlen(text));
	CLAIM(text[parts.whole.len - 1] != '/' || !parts.local || parts.whole.len == strlen("file:///"));
	if (parts.local)
		CLAIM(parts.root.len > 0 && parts.root.data[0] == '/');
	else
	{
		CLAIM(parts.bucket.len > 0 && is_name(parts.bucket, "-_."));
		CLAIM(parts.folder.data + parts.folder.len == text + strlen(text));
	}
}

/*
 * A pattern, and on the next line a key: what the pattern begins with may begin
 * a key, and so may each folder of a key that matches.
 */
static void
claim_pattern(const char *text)
{
	StediGlob	glob;
	char		literal[STEDI_GLOB_SIZE];
	const char *end = strchr(text, '\n');
	char	   *pattern = exact_string((const uint8_t *) text, end != NULL ? (size_t) (end - text) : strlen(text));
	const char *key = end != NULL ? end + 1 : text;

	if (stedi_glob_form(pattern) == NULL)
	{
		bool		matches;

		stedi_glob_init(&glob, pattern);
		matches = stedi_glob_matches(&glob, key);
		if (stedi_glob_literal(&glob, literal) > 0 && !stedi_glob_matches(&glob, literal))
			CLAIM(stedi_glob_may_begin(&glob, literal));
		if (strpbrk(pattern, "*?[\\") == NULL)
		{
			CLAIM(strcmp(literal, pattern) == 0 && stedi_glob_matches(&glob, pattern));
			CLAIM(matches == (strcmp(pattern, key) == 0));
		}
		for (const char *p = key; matches && (p = strchr(p, '/')) != NULL && p[1] != '\0'; p++)
		{
			char	   *folder = exact_string((const uint8_t *) key, (size_t) (p + 1 - key));

			CLAIM(stedi_glob_may_begin(&glob, folder));
			free(folder);
		}
	}
	free(pattern);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const choices[] = {"path", "virtual", "", NULL};
	size_t		which;
	char	   *text;
	StediSlice	slice;
	StediSlice	folder;
	int			choice;

	if (size < HEADER)
		return 0;
	text = exact_string(data + HEADER, size - HEADER);
	slice.data = text;
	slice.len = strlen(text);
	which = data[1] % (sizeof(bounds) / sizeof(bounds[0]));
	claim_int(text, data[0] & 1, bounds[which].min, bounds[which].max);
	claim_url(text);
	if (stedi_form_endpoint(text) == NULL)
	{
		StediSlice	host = {strchr(text, '/') + 2, 0};

		host.len = strlen(host.data);
		CLAIM(strncmp(text, "http", 4) == 0 && host.len > 0 && is_name(host, "-_.:[]"));
	}
	if (stedi_form_region(text) == NULL)
		CLAIM(slice.len > 0 && slice.len < STEDI_REGION_SIZE && is_name(slice, "-_"));
	if (stedi_form_text(text) == NULL)
		CLAIM(slice.len > 0 && strchr(text, '\n') == NULL && strchr(text, '\r') == NULL);
	if (stedi_form_file(text) == NULL)
		CLAIM(text[0] == '/');
	folder = stedi_form_folder(text, true);
	CLAIM(folder.len == 0 || (folder.data[0] != '/' && folder.data[folder.len - 1] != '/'));
	folder = stedi_form_folder(text, false);
	CLAIM(folder.data == text && folder.len == slice.len);
	claim_pattern(text);
	choice = stedi_form_choice(text, choices);
	CLAIM(choice < 0 || strcmp(text, choices[choice]) == 0);
	free(text);
	return 0;
}
