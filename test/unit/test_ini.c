/*
 * Files of AWS's tools are read as these read them: sections, properties,
 * comments, what is indented.  Guards src/credential/ini.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "credential/told.h"
#include "tap.h"

/* All of a file on one line: [section] name=value !line-that-is-bad */
static const char *
read_all(const char *file)
{
	static char seen[1024];
	size_t		len = strlen(file);
	char	   *bytes = malloc(len + 1);	/* its end is watched by ASan */
	StediIni	ini;
	StediSlice	name;
	StediSlice	value;
	size_t		n = 0;

	memcpy(bytes, file, len);
	bytes = realloc(bytes, len == 0 ? 1 : len);
	stedi_ini_init(&ini, bytes, len);
	seen[0] = '\0';
	for (;;)
	{
		StediIniStatus status = stedi_ini_next(&ini, &name, &value);

		if (status == STEDI_INI_END)
			break;
		if (n > 0)
			n += (size_t) snprintf(seen + n, sizeof(seen) - n, " ");
		if (status == STEDI_INI_SECTION)
			n += (size_t) snprintf(seen + n, sizeof(seen) - n, "[%.*s]", (int) name.len, name.data);
		else if (status == STEDI_INI_PROPERTY)
			n += (size_t) snprintf(seen + n, sizeof(seen) - n, "%.*s=%.*s",
								   (int) name.len, name.data, (int) value.len, value.data);
		else
			n += (size_t) snprintf(seen + n, sizeof(seen) - n, "!%d", ini.line);
	}
	free(bytes);
	return seen;
}

static void
test_lines(void)
{
	is_str(read_all(""), "", "nothing");
	is_str(read_all("\n \n\t\n"), "", "blank lines");
	is_str(read_all("[default]\naws_access_key_id = AK\naws_secret_access_key=S/K+=\n"),
		   "[default] aws_access_key_id=AK aws_secret_access_key=S/K+=", "a profile");
	is_str(read_all("[a]\r\nk = v\r\n\r\n[b]\r\n"), "[a] k=v [b]", "of Windows");
	is_str(read_all("\xef\xbb\xbf[a]\nk = v"), "[a] k=v", "with a BOM and no last newline");
	is_str(read_all("k=v\n[a]"), "k=v [a]", "before any section");
	is_str(read_all("[ a b ] # comment\n[c]; d\n"), "[a b] [c]", "names are trimmed");
	is_str(read_all("[a]\nk=\nl = \n"), "[a] k= l=", "no value");
	is_str(read_all("[a]\nk = v = w\n"), "[a] k=v = w", "the first = counts");
}

static void
test_comments(void)
{
	is_str(read_all("# [a]\n; k = v\n  # x\n[a]\n#k = v\n"), "[a]", "lines of them");
	is_str(read_all("[a]\nk = v # w\nl = v;w#x\nm = v\t; w\n"), "[a] k=v l=v;w#x m=v",
		   "behind white space alone");
	is_str(read_all("[a]\nk = # w\nl =#w\n"), "[a] k= l=#w", "in place of a value");
}

static void
test_indented(void)
{
	is_str(read_all("[a]\ns3 =\n  x = 1\n  y = 2\nk = v\n"), "[a] s3= k=v", "nested properties");
	is_str(read_all("[a]\n  k = v\n  l = w\n[b]\n  k = x\n"), "[a] k=v l=w [b] k=x",
		   "all of a section");
	is_str(read_all("[a]\n  k = v\n    deeper = 1\n  l = w\n"), "[a] k=v l=w", "and below that");
	is_str(read_all("[a]\ns3 =\n  [b]\n  # c\nk = v"), "[a] s3= k=v", "no section");
	is_str(read_all("[a]\nk = v\n[b]\n  l = w"), "[a] k=v [b] l=w", "a section begins anew");
}

static void
test_bad(void)
{
	is_str(read_all("[a\nk = v\n"), "!1 k=v", "a bracket that is open");
	is_str(read_all("[a] b\n"), "!1", "something behind it");
	is_str(read_all("[a]\nword\n= v\nk = v\n"), "[a] !2 !3 k=v", "no property");
}

static bool
is_profile(const char *section, const char *profile, bool config)
{
	StediSlice	slice = {section, strlen(section)};

	return stedi_ini_is_profile(slice, profile, config);
}

static void
test_profiles(void)
{
	ok(is_profile("default", "default", true), "the default one in a config file");
	ok(is_profile("profile default", "default", true), "also with its kind");
	ok(is_profile("profile a", "a", true), "another one");
	ok(is_profile("profile \t a", "a", true), "far away");
	ok(is_profile("profile \"a b\"", "a b", true), "in quotes");
	ok(is_profile("profile 'a b'", "a b", true), "of either kind");
	ok(is_profile("profile a b", "a b", true), "or without");
	ok(!is_profile("a", "a", true), "not without its kind");
	ok(!is_profile("sso-session a", "a", true), "nor of another");
	ok(!is_profile("profilea", "a", true), "nor right behind it");
	ok(!is_profile("profile", "", true), "nor without a name");
	ok(!is_profile("profile \"", "\"a", true), "half a quote");
	ok(is_profile("a", "a", false), "in a credentials file it is the name");
	ok(!is_profile("profile a", "a", false), "and nothing else");
	ok(!is_profile("ab", "a", false) && !is_profile("a", "ab", false), "all of it");
}

int
main(void)
{
	test_lines();
	test_comments();
	test_indented();
	test_bad();
	test_profiles();
	return done_testing();
}
