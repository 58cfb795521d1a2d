/*-------------------------------------------------------------------------
 *
 * glob.c
 *		Does a key match a pattern?
 *
 * Backend-free (see record.h).  Patterns are as shells and others that read
 * objects have them:
 *
 *	 *		any characters but /
 *	 ?		one character but /
 *	 [a-z]	one of these, and [!a-z] one that is none of these, nor /
 *	 **		as a whole part between two /: any number of folders, or none; at
 *			the end all that lies below
 *	 \x		the character x
 *
 * Both are UTF-8, and a byte that is none is a character of its own.  All that
 * may match is followed at once, so time is bounded by the product of both
 * lengths, whatever they are.
 *
 *-------------------------------------------------------------------------
 */
#include "base/form.h"

#include <string.h>

enum
{
	PART_ONE,					/* this character */
	PART_ANY,					/* one but / */
	PART_SET,					/* one of a set */
	PART_STAR,					/* any number but / */
	PART_FOLDERS,				/* nothing, or on to the next part, IN */
	PART_IN,					/* anything that ends with / */
	PART_ALL,					/* anything */
};

/* Bytes that are no character are beyond the last one. */
#define NO_CHARACTER 0x110000

/* The next character; at the end of text, 0. */
static uint32_t
next_character(const char **text)
{
	const unsigned char *p = (const unsigned char *) *text;
	uint32_t	c = p[0];
	int			more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;

	if (c < 0x80)
	{
		*text += c != '\0';
		return c;
	}
	*text += 1;
	if (c < 0xc2 || c > 0xf4)
		return NO_CHARACTER + c;
	c &= 0x3f >> more;
	for (int i = 1; i <= more; i++)
	{
		if ((p[i] & 0xc0) != 0x80)
			return NO_CHARACTER + p[0];
		c = c << 6 | (p[i] & 0x3f);
	}
	*text += more;
	return c;
}

/* The same in a pattern: \x is x. */
static uint32_t
next_escaped(const char **text)
{
	if (**text == '\\')
		(*text)++;
	return next_character(text);
}

/* Behind the ! or ^ of a set, if it has one. */
static const char *
set_start(const char *set, bool *negated)
{
	*negated = *set == '!' || *set == '^';
	return *negated ? set + 1 : set;
}

/*
 * The next characters of a set, from first to last.  A - is a range's unless it
 * stands at the end.
 */
static void
next_range(const char **set, const char *end, uint32_t *first, uint32_t *last)
{
	*first = *last = next_escaped(set);
	if (*set < end && **set == '-' && *set + 1 < end)
	{
		(*set)++;
		*last = next_escaped(set);
	}
}

/* Where a set ends that begins behind a [; NULL: it has no end. */
static const char *
set_end(const char *set)
{
	bool		negated;
	const char *start = set_start(set, &negated);

	/* a ] that comes first is one of the set */
	for (const char *p = start; *p != '\0'; p++)
	{
		if (*p == ']' && p > start)
			return p;
		if (*p == '\\' && *++p == '\0')
			return NULL;
	}
	return NULL;
}

/* Is a set one whose ranges run upwards? */
static bool
is_set(const char *set, const char *end)
{
	bool		negated;

	set = set_start(set, &negated);
	while (set < end)
	{
		uint32_t	first;
		uint32_t	last;

		next_range(&set, end, &first, &last);
		if (first > last)
			return false;
	}
	return true;
}

static bool
in_set(const char *set, const char *end, uint32_t c)
{
	bool		negated;
	bool		found = false;

	set = set_start(set, &negated);
	while (set < end && !found)
	{
		uint32_t	first;
		uint32_t	last;

		next_range(&set, end, &first, &last);
		found = first <= c && c <= last;
	}
	return found != negated;
}

const char *
stedi_glob_form(const char *text)
{
	if (*text == '\0')
		return "Give a pattern that is not empty.";
	if (strlen(text) >= STEDI_GLOB_SIZE)
		return "Give a pattern of 1023 bytes at most.";
	for (const char *p = text; *p != '\0'; p++)
	{
		if (*p == '{' || *p == '}')
			return "Write \\{ and \\} for braces; alternatives in braces are not supported.";
		if (*p == '\\')
		{
			if (*++p == '\0')
				return "Write \\\\ for a backslash.";
		}
		else if (*p == '[')
		{
			const char *end = set_end(p + 1);

			if (end == NULL)
				return "Close the [ with a ], or write \\[ for the character.";
			for (const char *in = p + 1; in < end; in++)
				if (in[0] == '[' && in[1] == ':')
					return "Name the characters of a set; classes such as [:digit:] are not supported.";
			if (!is_set(p + 1, end))
				return "Write ranges in [ ] upwards, for example [a-z].";
			p = end;
		}
	}
	return NULL;
}

static void
add_part(StediGlob *glob, uint8_t kind, uint32_t from, uint32_t to)
{
	glob->parts[glob->n_parts].kind = kind;
	glob->parts[glob->n_parts].from = from;
	glob->parts[glob->n_parts].to = to;
	glob->n_parts++;
}

/* Take one or more stars apart that stand at p; where they end. */
static const char *
add_stars(StediGlob *glob, const char *p)
{
	size_t		n = strspn(p, "*");
	bool		whole = n == 2 && (p == glob->text || p[-1] == '/');

	if (whole && p[n] == '\0')
		add_part(glob, PART_ALL, 0, 0);
	else if (whole && p[n] == '/')
	{
		add_part(glob, PART_FOLDERS, 0, 0);
		add_part(glob, PART_IN, 0, 0);
		n++;
	}
	else
		add_part(glob, PART_STAR, 0, 0);
	return p + n;
}

void
stedi_glob_init(StediGlob *glob, const char *pattern)
{
	const char *p = glob->text;
	size_t		len = strlen(pattern);

	if (len >= STEDI_GLOB_SIZE)
		len = STEDI_GLOB_SIZE - 1;
	memcpy(glob->text, pattern, len);
	glob->text[len] = '\0';
	glob->n_parts = 0;
	while (*p != '\0')
	{
		const char *end = *p == '[' ? set_end(p + 1) : NULL;

		if (*p == '*')
			p = add_stars(glob, p);
		else if (end != NULL)
		{
			add_part(glob, PART_SET, (uint32_t) (p + 1 - glob->text), (uint32_t) (end - glob->text));
			p = end + 1;
		}
		else if (*p == '?')
		{
			add_part(glob, PART_ANY, 0, 0);
			p++;
		}
		else
			add_part(glob, PART_ONE, next_escaped(&p), 0);
	}
}

/* Go on to all that can be got to without a character. */
static void
pass_on(const StediGlob *glob, bool *live)
{
	for (int i = 0; i < glob->n_parts; i++)
	{
		uint8_t		kind = glob->parts[i].kind;

		if (!live[i])
			continue;
		if (kind == PART_FOLDERS)
			live[i + 1] = live[i + 2] = true;
		else if (kind == PART_STAR || kind == PART_ALL)
			live[i + 1] = true;
	}
}

/* What is got to from live by one character; false: nothing is. */
static bool
take(const StediGlob *glob, const bool *live, bool *next, uint32_t c)
{
	bool		any = false;

	memset(next, 0, (size_t) (glob->n_parts + 1) * sizeof(bool));
	for (int i = 0; i < glob->n_parts; i++)
	{
		bool		stays = false;
		bool		goes = false;

		if (!live[i])
			continue;
		switch (glob->parts[i].kind)
		{
			case PART_ONE:
				goes = c == glob->parts[i].from;
				break;
			case PART_ANY:
				goes = c != '/';
				break;
			case PART_SET:
				goes = c != '/' && in_set(glob->text + glob->parts[i].from,
										  glob->text + glob->parts[i].to, c);
				break;
			case PART_STAR:
				stays = c != '/';
				break;
			case PART_IN:
				stays = true;
				goes = c == '/';
				break;
			case PART_ALL:
				stays = true;
				break;
		}
		next[i] |= stays;
		next[i + 1] |= goes;
		any |= stays || goes;
	}
	return any;
}

/* The parts that may come next, behind a text; NULL: none. */
static const bool *
follow(StediGlob *glob, const char *text)
{
	int			now = 0;

	memset(glob->live[now], 0, (size_t) (glob->n_parts + 1) * sizeof(bool));
	glob->live[now][0] = true;
	pass_on(glob, glob->live[now]);
	while (*text != '\0')
	{
		uint32_t	c = next_character(&text);

		if (!take(glob, glob->live[now], glob->live[1 - now], c))
			return NULL;
		now = 1 - now;
		pass_on(glob, glob->live[now]);
	}
	return glob->live[now];
}

bool
stedi_glob_matches(StediGlob *glob, const char *key)
{
	const bool *live = follow(glob, key);

	return live != NULL && live[glob->n_parts];
}

bool
stedi_glob_may_begin(StediGlob *glob, const char *start)
{
	const bool *live = follow(glob, start);

	for (int i = 0; live != NULL && i < glob->n_parts; i++)
		if (live[i])
			return true;
	return false;
}

size_t
stedi_glob_literal(const StediGlob *glob, char text[STEDI_GLOB_SIZE])
{
	const char *p = glob->text;
	size_t		len = 0;

	for (int i = 0; i < glob->n_parts && glob->parts[i].kind == PART_ONE; i++)
	{
		const char *start = *p == '\\' ? p + 1 : p;

		(void) next_escaped(&p);
		memcpy(text + len, start, (size_t) (p - start));
		len += (size_t) (p - start);
	}
	text[len] = '\0';
	return len;
}
