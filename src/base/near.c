/*-------------------------------------------------------------------------
 *
 * near.c
 *		A word that is none of those known -> the one that may be meant.
 *
 * For hints: names and choices of options, words that functions take, folders
 * of a prefix.  A few letters may be wrong, two neighbours may have changed
 * places; of a name of several parts, one may be left out or be too many.
 *
 *-------------------------------------------------------------------------
 */
#include "base/base.h"

#include "utils/builtins.h"
#include "utils/varlena.h"

/* How many letters may be wrong at most. */
#define MOST_WRONG 3

/* The longest word that is compared, in bytes: it takes the square of that. */
#define MOST_LEN 255

/* The shortest part of a name that tells which is meant. */
#define LEAST_PART 3

/* Do they differ by two neighbouring letters that have changed places? */
static bool
is_swapped(const char *a, const char *b)
{
	size_t		len = strlen(a);
	size_t		i = 0;

	if (strlen(b) != len)
		return false;
	while (i < len && a[i] == b[i])
		i++;
	return i + 1 < len && a[i] == b[i + 1] && a[i + 1] == b[i] && strcmp(a + i + 2, b + i + 2) == 0;
}

void
stedi_near_begin(StediNear *near, const char *given, int limit)
{
	near->given = given;
	near->found = NULL;
	near->limit = strlen(given) > MOST_LEN ? -1 : Min(MOST_WRONG, limit);
}

void
stedi_near_offer(StediNear *near, const char *word)
{
	int			distance;

	if (near->limit < 0 || strlen(word) > MOST_LEN)
		return;
	distance = is_swapped(near->given, word) ? 1 :
		varstr_levenshtein_less_equal(near->given, (int) strlen(near->given),
									  word, (int) strlen(word), 1, 1, 1, near->limit, true);
	if (distance > near->limit)
		return;
	near->found = word;
	near->limit = distance - 1; /* the next one has to be better */
}

/* Are the letters of part those of whole, in their order, with others between? */
static bool
is_part(const char *part, const char *whole)
{
	if (strlen(part) < LEAST_PART)
		return false;
	for (; *part != '\0' && *whole != '\0'; whole++)
		if (*part == *whole)
			part++;
	return *part == '\0';
}

/* The only word that has the other's letters, or the other way round; or NULL. */
static const char *
find_part(const char *given, const char *const *words)
{
	const char *found = NULL;

	for (; *words != NULL; words++)
	{
		if (!is_part(given, *words) && !is_part(*words, given))
			continue;
		if (found != NULL)
			return NULL;
		found = *words;
	}
	return found;
}

const char *
stedi_near_find(const char *given, const char *const *words)
{
	StediNear	near;
	char	   *lower = pstrdup(given);

	for (char *p = lower; *p != '\0'; p++)
		*p = (*p == '-' || *p == ' ') ? '_' : pg_ascii_tolower((unsigned char) *p);
	/* short words are soon alike: one letter in three */
	stedi_near_begin(&near, lower, ((int) strlen(lower) + 1) / 3);
	for (int i = 0; words[i] != NULL; i++)
		stedi_near_offer(&near, words[i]);
	return near.found != NULL || strlen(given) > MOST_LEN ? near.found : find_part(lower, words);
}

char *
stedi_near_hint(const char *given, const char *const *words, const char *hint)
{
	const char *found = stedi_near_find(given, words);

	return found == NULL ? pstrdup(hint) : psprintf("Perhaps you meant \"%s\". %s", found, hint);
}
