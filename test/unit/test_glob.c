/*
 * A pattern matches the keys that it says, as a simple matcher that tries all
 * ways finds, and takes no longer for a hostile one.  Guards src/base/glob.c.
 */
#include "base/form.h"
#include "tap.h"

#include <stdlib.h>
#include <time.h>

static bool
matches(const char *pattern, const char *key)
{
	static StediGlob glob;

	stedi_glob_init(&glob, pattern);
	return stedi_glob_matches(&glob, key);
}

static void
test_forms(void)
{
	static const char *const taken[] = {"a", "*", "**", "a/**/b", "[a]", "[]a]", "[!]]", "[a-]", "[-a]", "\\[", "\\{a\\}",
	"[\\]]", "*.json", "\xc3\xa9", "\xff", "/", NULL};
	static const char *const refused[] = {"", "[", "[]", "[!]", "[a", "a\\", "[\\", "{a,b}", "a}", "[[:digit:]]", "[z-a]", "[\xc3\xa9-a]", NULL};
	char		longest[STEDI_GLOB_SIZE + 1];

	for (int i = 0; taken[i] != NULL; i++)
		ok(stedi_glob_form(taken[i]) == NULL, "pattern %s is taken", taken[i]);
	for (int i = 0; refused[i] != NULL; i++)
		ok(stedi_glob_form(refused[i]) != NULL, "pattern %s is refused", refused[i]);
	memset(longest, 'a', sizeof(longest));
	longest[STEDI_GLOB_SIZE] = '\0';
	ok(stedi_glob_form(longest) != NULL, "a pattern too long");
	longest[STEDI_GLOB_SIZE - 1] = '\0';
	ok(stedi_glob_form(longest) == NULL && matches(longest, longest), "the longest pattern");
}

static void
test_matches(void)
{
	static const struct
	{
		const char *pattern;
		const char *yes;		/* between | */
		const char *no;
	}			cases[] = {
		{"customers.json", "customers.json", "customers-json|a/customers.json|customers.json.gz|customers.jso|"},
		{"*.json", "a.json|.json|b c.json", "a/b.json|a.jsonl|json"},
		{"*", "a|abc", "a/b|a/"},
		{"**", "a|a/b|a/b/c.json", "\x01none"},
		{"**/*.json", "a.json|d/a.json|d/e/a.json|/a.json", "a.gz|d/a.jsonx"},
		{"a/**", "a/b|a/b/c", "a|ab/c|b/a/c"},
		{"a/**/z", "a/z|a/b/z|a/b/c/z", "a/bz|az|a/b/zz"},
		{"**/x/**/y", "x/y|a/x/y|x/a/b/y|a/b/x/c/y", "xx/y|a/xy"},
		{"a**b", "ab|axyb", "a/b|ax/yb"},
		{"***", "abc", "a/b"},
		{"2026-0[1-3]-??.json", "2026-01-05.json|2026-03-xx.json", "2026-04-05.json|2026-01-5.json|2026-0/-05.json"},
		{"[!a-c]*", "d|xyz", "a|b1|/x"},
		{"[^a]", "b|\xc3\xa9", "a|/"},
		{"?", "a|\xc3\xa9|\xf0\x9f\x98\x80|\xff", "ab|/|\xc3\xa9\xc3\xa9"},
		{"[\xc3\xa0-\xc3\xaf]", "\xc3\xa9|\xc3\xa0", "a|\xc3\xb0"},
		{"[]x]", "]|x", "[|y"},
		{"[a-]", "a|-", "b"},
		{"\\*\\?\\[\\{", "*?[{", "a?[{"},
		{"[\\]-a]", "]|^|_|a", "b|["},
		{"/x", "/x", "x"},
		{"a//b", "a//b", "a/b"},
		{"*/", "a/", "a"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int want = 0; want < 2; want++)
		{
			char	   *keys = strdup(want ? cases[i].yes : cases[i].no);
			bool		all = true;

			if (keys[0] != '\x01')
				for (char *key = strtok(keys, "|"); key != NULL; key = strtok(NULL, "|"))
					if (matches(cases[i].pattern, key) != want)
					{
						note("key %s", key);
						all = false;
					}
			ok(all, "%s %s", cases[i].pattern, want ? "matches" : "does not match");
			free(keys);
		}
	ok(!matches("a", "") && matches("*", "") && matches("**", ""), "the empty key");
}

/* All ways, one after the other; of patterns without sets and escapes. */
static bool
tries(const char *pattern, const char *key, bool at_start)
{
	if (*pattern == '\0')
		return *key == '\0';
	if (at_start && strncmp(pattern, "**/", 3) == 0)
	{
		if (tries(pattern + 3, key, true))
			return true;
		for (; *key != '\0'; key++)
			if (*key == '/' && tries(pattern + 3, key + 1, true))
				return true;
		return false;
	}
	if (at_start && strcmp(pattern, "**") == 0)
		return true;
	if (*pattern == '*')
	{
		while (*pattern == '*')
			pattern++;
		for (;; key++)
		{
			if (tries(pattern, key, false))
				return true;
			if (*key == '\0' || *key == '/')
				return false;
		}
	}
	if (*key == '\0' || (*pattern == '?' ? *key == '/' : *pattern != *key))
		return false;
	return tries(pattern + 1, key + 1, *pattern == '/');
}

static void
random_text(char *text, const char *letters, int most)
{
	int			len = rand() % (most + 1);

	for (int i = 0; i < len; i++)
		text[i] = letters[(size_t) rand() % strlen(letters)];
	text[len] = '\0';
}

/* Whatever matches may begin with each of its beginnings. */
static bool
begins(const char *pattern, char *key)
{
	static StediGlob glob;

	stedi_glob_init(&glob, pattern);
	for (size_t len = strlen(key); len-- > 0;)
	{
		key[len] = '\0';
		if (!stedi_glob_may_begin(&glob, key))
			return false;
	}
	return true;
}

static void
test_random(void)
{
	bool		all = true;
	int			n_matches = 0;

	srand(1);
	for (int i = 0; i < 200000 && all; i++)
	{
		char		pattern[16];
		char		key[16];
		bool		want;

		random_text(pattern, "aab/*?", 9);
		random_text(key, "aab/", 9);
		want = tries(pattern, key, true);
		all = matches(pattern, key) == want && (!want || begins(pattern, key));
		n_matches += want;
		if (!all)
			note("pattern %s, key %s", pattern, key);
	}
	ok(all && n_matches > 1000, "200,000 random pairs, as all ways are tried");
}

static void
test_beginnings(void)
{
	static StediGlob glob;
	char		literal[STEDI_GLOB_SIZE];

	stedi_glob_init(&glob, "a/b*/c");
	ok(stedi_glob_may_begin(&glob, "a/") && stedi_glob_may_begin(&glob, "a/bx/") &&
	   !stedi_glob_may_begin(&glob, "b/") && !stedi_glob_may_begin(&glob, "a/bx/d/") &&
	   !stedi_glob_may_begin(&glob, "a/bx/c"), "where to look for it");
	is_int((int64_t) stedi_glob_literal(&glob, literal), 3, "the length of what comes before the first star");
	is_str(literal, "a/b", "what comes before the first star");
	stedi_glob_init(&glob, "\\*\xc3\xa9\\[x");
	stedi_glob_literal(&glob, literal);
	is_str(literal, "*\xc3\xa9[x", "all of it, without escapes");
	stedi_glob_init(&glob, "**/x");
	is_int((int64_t) stedi_glob_literal(&glob, literal), 0, "nothing comes before two stars");
}

static void
test_hostile(void)
{
	char		pattern[STEDI_GLOB_SIZE];
	char		key[STEDI_GLOB_SIZE];
	clock_t		start = clock();

	for (int i = 0; i < STEDI_GLOB_SIZE - 2; i++)
		pattern[i] = i % 2 == 0 ? '*' : 'a';
	pattern[STEDI_GLOB_SIZE - 2] = 'b';
	pattern[STEDI_GLOB_SIZE - 1] = '\0';
	memset(key, 'a', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	ok(!matches(pattern, key), "a star for each letter, and no b");
	ok(clock() - start < 10 * CLOCKS_PER_SEC, "it does not take for ever");
}

int
main(void)
{
	test_forms();
	test_matches();
	test_random();
	test_beginnings();
	test_hostile();
	return done_testing();
}
