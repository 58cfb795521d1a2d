/*-------------------------------------------------------------------------
 *
 * ini.c
 *		An INI file as AWS's tools write it -> sections and properties.
 *
 *	 # a comment; so is what follows white space and # or ; on a line
 *	 [profile analyst]
 *	 region = eu-central-1
 *	 s3 =
 *	   addressing_style = path		belongs to s3: passed over
 *
 * Backend-free (see record.h): nothing throws, nothing is allocated; slices
 * point into the file's bytes, which are the caller's, to wipe among others.
 *
 * A line that is indented deeper than the property before it goes on with
 * that one; a section whose properties are all indented alike is read as if
 * they were not.  That is how AWS's own reader (botocore) has it.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "credential/told.h"

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* Without white space at either end. */
static StediSlice
trim(const char *start, const char *end)
{
	StediSlice	text;

	while (start < end && is_space(*start))
		start++;
	while (end > start && is_space(end[-1]))
		end--;
	text.data = start;
	text.len = end - start;
	return text;
}

/* Where a comment behind white space begins, or end. */
static const char *
find_comment(const char *start, const char *end)
{
	for (const char *p = start; p + 1 < end; p++)
		if (is_space(p[0]) && (p[1] == '#' || p[1] == ';'))
			return p;
	return end;
}

/* Take the next line; false at the end.  A BOM and a CR are no part of it. */
static bool
take_line(StediIni *ini, const char **start, const char **end)
{
	const char *newline;

	if (ini->p == ini->end)
		return false;
	if (ini->line == 0 && ini->end - ini->p >= 3 && memcmp(ini->p, "\xef\xbb\xbf", 3) == 0)
		ini->p += 3;
	newline = memchr(ini->p, '\n', ini->end - ini->p);
	*start = ini->p;
	*end = newline == NULL ? ini->end : newline;
	ini->p = newline == NULL ? ini->end : newline + 1;
	ini->line++;
	if (*end > *start && (*end)[-1] == '\r')
		(*end)--;
	return true;
}

/* [name], from the bracket on; the rest of the line is a comment, or nothing. */
static StediIniStatus
read_section(StediIni *ini, const char *start, const char *end, StediSlice *name)
{
	const char *close = memchr(start, ']', end - start);
	StediSlice	rest;

	if (close == NULL)
		return STEDI_INI_BAD;
	rest = trim(close + 1, end);
	if (rest.len > 0 && rest.data[0] != '#' && rest.data[0] != ';')
		return STEDI_INI_BAD;
	*name = trim(start + 1, close);
	ini->indent = -1;
	return STEDI_INI_SECTION;
}

/* name = value, from the name on. */
static StediIniStatus
read_property(const char *start, const char *end, StediSlice *name, StediSlice *value)
{
	const char *equals = memchr(start, '=', end - start);

	if (equals == NULL)
		return STEDI_INI_BAD;
	*name = trim(start, equals);
	*value = trim(equals + 1, find_comment(equals, end));
	return name->len == 0 ? STEDI_INI_BAD : STEDI_INI_PROPERTY;
}

void
stedi_ini_init(StediIni *ini, const char *bytes, size_t len)
{
	ini->p = bytes;
	ini->end = bytes + len;
	ini->line = 0;
	ini->indent = -1;
}

StediIniStatus
stedi_ini_next(StediIni *ini, StediSlice *name, StediSlice *value)
{
	const char *start;
	const char *end;

	while (take_line(ini, &start, &end))
	{
		StediSlice	text = trim(start, end);
		int			indent = (int) (text.data - start);

		if (text.len == 0 || text.data[0] == '#' || text.data[0] == ';')
			continue;
		end = text.data + text.len;
		if (ini->indent >= 0 && indent > ini->indent)
			continue;			/* of the property before it */
		if (text.data[0] == '[')
			return read_section(ini, text.data, end, name);
		ini->indent = indent;
		return read_property(text.data, end, name, value);
	}
	return STEDI_INI_END;
}

/* Is the text that word? */
static bool
is_word(StediSlice text, const char *word)
{
	return text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

bool
stedi_ini_is_profile(StediSlice section, const char *profile, bool config)
{
	static const char kind[] = "profile";
	const size_t kind_len = sizeof(kind) - 1;
	const char *end = section.data + section.len;

	if (!config || (is_word(section, "default") && strcmp(profile, "default") == 0))
		return is_word(section, profile);
	if (section.len <= kind_len || memcmp(section.data, kind, kind_len) != 0 ||
		!is_space(section.data[kind_len]))
		return false;
	section = trim(section.data + kind_len, end);
	if (section.len >= 2 && (section.data[0] == '"' || section.data[0] == '\'') &&
		section.data[section.len - 1] == section.data[0])
	{
		section.data++;
		section.len -= 2;
	}
	return is_word(section, profile);
}
