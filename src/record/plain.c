/*-------------------------------------------------------------------------
 *
 * plain.c
 *		Decode a plain record where it stands, and so find its end.
 *
 * Backend-free (see record.h).  A plain record has no escapes and no nested
 * values, is JSON in UTF-8, and has no two keys that differ.  Nothing is
 * copied.  What is not plain is refused, for whatever reason: decode.c then
 * has it read the long way, which is the judge.
 *
 * This is where a scan spends its time.  Bytes are looked at many at once
 * (simd.h), and beyond the end, where there is padding.  Records of one
 * producer repeat their keys in one order, so the whole text of a key is first
 * compared with the one that last came behind the key before it.
 *
 *-------------------------------------------------------------------------
 */
#include "record/simd.h"
#include "record/decoder.h"

#include <string.h>

/* A jump then, where a computed step would make what follows wait for it. */
#define unlikely(x) __builtin_expect((x), 0)

/* What is seldom called keeps no registers from what is not. */
#define apart __attribute__((noinline))

/* The mask of no known key: no text has so many bytes. */
#define NO_KEY UINT64_MAX

/* Places among the known keys where one may be. */
#define KEY_PLACES 8

/* And two that are none: a record's start, and all keys not remembered. */
#define RECORD_START STEDI_KNOWN_KEYS
#define OTHER_KEY (STEDI_KNOWN_KEYS + 1)

void
stedi_plain_forget(StediDecoder *decoder)
{
	for (int i = 0; i <= OTHER_KEY; i++)
	{
		decoder->known[i].mask = NO_KEY;
		decoder->known[i].next = decoder->known;
	}
}

/* Pass over white space, and count the line ends in it. */
static inline const char *
skip_space(const char *p, const char *end, uint64_t *newlines)
{
	for (; p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'); p++)
		*newlines += (*p == '\n');
	return p;
}

/*
 * The end of the plain string that starts behind the quote at p: its closing
 * quote, or NULL where it is not plain or no UTF-8.
 */
static inline const char *
plain_string(const char *p, const char *end)
{
	while (p < end)
	{
		uint32_t	stops = simd_text_stops(p);
		size_t		len;

		if (stops == 0)
		{
			p += SIMD_TEXT;
			continue;
		}
		p += simd_first(stops);
		if (*p == '"')
			return p;
		if (p >= end || (unsigned char) *p < 0x80)
			return NULL;
		len = stedi_field_utf8_len((const unsigned char *) p, end - p);
		if (len == 0)
			return NULL;
		p += len;
	}
	return NULL;
}

/* The end of the number at p, or NULL where there is none. */
static apart const char *
any_number(const char *p, const char *end)
{
	const char *start;

	if (p < end && *p == '-')
		p++;
	start = p;
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	if (p == start || (*start == '0' && p - start > 1))
		return NULL;
	if (p < end && *p == '.')
	{
		start = ++p;
		while (p < end && *p >= '0' && *p <= '9')
			p++;
		if (p == start)
			return NULL;
	}
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		start = p;
		while (p < end && *p >= '0' && *p <= '9')
			p++;
		if (p == start)
			return NULL;
	}
	return p;
}

/*
 * The same, quickly where it is short and has no exponent; its end is then
 * known before it is certain that it is one.  Where what follows belongs to
 * no number, the caller finds out.
 */
static inline const char *
plain_number(const char *p, const char *end)
{
	uint32_t	digits = simd_digits(p);
	uint32_t	dots = simd_dots(p);
	uint32_t	minus = (*p == '-');
	int			len = simd_first(~(digits | dots | minus));
	uint32_t	first = 1 + minus;
	uint32_t	last = UINT32_C(1) << len >> 1;
	uint32_t	zero = (p[minus] == '0');
	uint32_t	odd;

	/*
	 * One dot at most, digits on both sides, and no zero before others.  All
	 * in one test: which of several is the one to fail cannot be foreseen.
	 */
	odd = (digits & (first | last)) ^ (first | last);
	dots &= last - 1;
	odd |= dots & (dots - 1);
	odd |= digits & (zero << minus << 1);
	return unlikely(odd) ? any_number(p, end) : p + len;
}

bool
stedi_value_is_number(StediSlice text)
{
	return text.len > 0 &&
		any_number(text.data, text.data + text.len) == text.data + text.len;
}

/* What the word at p says; MISSING where there is none. */
static apart StediFieldKind
plain_word(const char *p)
{
	if (memcmp(p, "true", 4) == 0)
		return STEDI_FIELD_TRUE;
	if (memcmp(p, "false", 5) == 0)
		return STEDI_FIELD_FALSE;
	if (memcmp(p, "null", 4) == 0)
		return STEDI_FIELD_NULL;
	return STEDI_FIELD_MISSING;
}

/*
 * Read the plain value at p.  Returns the comma or brace behind it, or NULL
 * where it is not plain or something else follows.
 */
static inline const char *
plain_value(const char *p, const char *end, StediFieldKind *kind, StediSlice *text,
			uint64_t *newlines)
{
	const char *start = p;
	const char *stop;

	if (*p == '"')
	{
		*kind = STEDI_FIELD_STRING;
		stop = plain_string(++start, end);
		if (stop == NULL)
			return NULL;
		p = stop + 1;
	}
	else if (*p <= '9')
	{
		*kind = STEDI_FIELD_NUMBER;
		p = stop = plain_number(p, end);
		if (p == NULL)
			return NULL;
	}
	else
	{
		*kind = plain_word(p);
		if (*kind == STEDI_FIELD_MISSING)
			return NULL;
		p = stop = p + (*kind == STEDI_FIELD_FALSE ? 5 : 4);
	}
	if (unlikely(*p != ',' && *p != '}'))
	{
		if (*kind == STEDI_FIELD_NUMBER)
			p = stop = any_number(start, end);
		if (p == NULL)
			return NULL;
		p = skip_space(p, end, newlines);
		if (*p != ',' && *p != '}')
			return NULL;
	}
	text->data = start;
	text->len = stop - start;
	return p;
}

/*
 * The place among the known keys where that of p, its quote first, is looked
 * for: by four bytes, which a key of one letter has with its colon.
 */
static inline unsigned
key_place(const char *p)
{
	return (simd_word32(p) * UINT32_C(0x9e3779b1)) >> 16;
}

static inline bool
is_known(const StediKnownKey *known, const char *p)
{
	return (simd_same(p, known->text) & known->mask) == known->mask;
}

/* The known key that stands at p, or NULL. */
static inline StediKnownKey *
find_known(StediDecoder *decoder, const char *p)
{
	unsigned	place = key_place(p);

	for (int i = 0; i < KEY_PLACES; i++)
	{
		StediKnownKey *known = &decoder->known[(place + i) % STEDI_KNOWN_KEYS];

		if (is_known(known, p))
			return known;
		if (known->mask == NO_KEY)
			break;
	}
	return NULL;
}

/* Remember the key of len bytes at p, in a free place or another's. */
static StediKnownKey *
remember(StediDecoder *decoder, const char *p, size_t len, int wanted)
{
	unsigned	place = key_place(p);
	StediKnownKey *known = &decoder->known[place % STEDI_KNOWN_KEYS];

	for (int i = 1; i < KEY_PLACES && known->mask != NO_KEY; i++)
		known = &decoder->known[(place + i) % STEDI_KNOWN_KEYS];
	if (known->mask != NO_KEY)
		known = &decoder->known[place % STEDI_KNOWN_KEYS];
	memcpy(known->text, p, len);
	known->mask = (UINT64_C(1) << len) - 1;
	known->len = (int) len;
	known->wanted = wanted;
	return known;
}

/* A key, and where its value starts: NULL where it is not plain. */
typedef struct KeyFound
{
	StediKnownKey *known;
	const char *value;
} KeyFound;

/*
 * Read the key at p and its colon, when it is another than the one expected
 * behind the key before, or written otherwise.
 */
static apart KeyFound
plain_key(StediDecoder *decoder, StediKnownKey *before, const char *p, const char *end,
		  uint64_t *newlines)
{
	KeyFound	found = {NULL, NULL};
	StediSlice	key;
	const char *stop;
	size_t		len;
	int			wanted;

	p = skip_space(p, end, newlines);
	if (p >= end || *p != '"')
		return found;
	found.known = find_known(decoder, p);
	if (found.known != NULL)
	{
		before->next = found.known;
		found.value = skip_space(p + found.known->len, end, newlines);
		return found;
	}

	stop = plain_string(p + 1, end);
	if (stop == NULL || stop >= end)
		return found;
	key.data = p + 1;
	key.len = stop - key.data;
	wanted = stedi_field_find_key(decoder, key);
	len = stop + 2 + (stop[2] == ' ') - p;
	if (stop[1] == ':' && len <= STEDI_KNOWN_TEXT && p + len <= end)
		found.known = remember(decoder, p, len, wanted);
	else
	{
		found.known = &decoder->known[OTHER_KEY];
		found.known->wanted = wanted;
	}
	before->next = found.known;
	p = skip_space(stop + 1, end, newlines);
	if (p < end && *p == ':')
		found.value = skip_space(p + 1, end, newlines);
	return found;
}

static inline StediReason
set_field(StediField *field, StediFieldKind kind, StediSlice text)
{
	if (unlikely(field->kind != STEDI_FIELD_MISSING))
		return stedi_field_set(field, kind, text);
	field->kind = kind;
	field->text = text;
	return STEDI_REASON_NONE;
}

/*
 * end bounds the bytes that count.  What is looked at behind it changes
 * nothing: p never comes back, and is before end wherever a key or a value is
 * looked at.
 */
const char *
stedi_plain_record(StediDecoder *decoder, const char *p, const char *end,
				   StediField *fields, uint64_t *newlines)
{
	StediKnownKey *known = &decoder->known[RECORD_START];

	if (decoder->n_keys > 0)
		memset(fields, 0, decoder->n_keys * sizeof(StediField));
	if (unlikely(*++p != '"'))
	{
		p = skip_space(p, end, newlines);
		if (*p == '}')
			return p < end ? p + 1 : NULL;
	}

	while (p < end)
	{
		StediFieldKind kind;
		StediSlice	text;

		if (is_known(known->next, p))
		{
			known = known->next;
			p += known->len;
			if (unlikely(*p <= ' '))
				p = skip_space(p, end, newlines);
		}
		else
		{
			KeyFound	found = plain_key(decoder, known, p, end, newlines);

			known = found.known;
			p = found.value;
			if (p == NULL)
				return NULL;
		}
		if (unlikely(p >= end))
			return NULL;

		p = plain_value(p, end, &kind, &text, newlines);
		if (p == NULL)
			return NULL;
		if (known->wanted >= 0 &&
			set_field(&fields[known->wanted], kind, text) != STEDI_REASON_NONE)
			return NULL;
		if (*p++ == '}')
			return p <= end ? p : NULL;
		if (unlikely(*p == ' '))
			p++;
	}
	return NULL;
}

const char *
stedi_plain_run(StediDecoder *decoder, const char *p, const char *end,
				size_t max_len, StediField *fields, uint64_t *newlines, size_t *n)
{
	const char *start = p;
	uint64_t	lines = 0;

	for (;;)
	{
		uint64_t	inside = 0;
		const char *stop = stedi_plain_record(decoder, start, end, fields, &inside);

		if (stop == NULL || (size_t) (stop - start) > max_len)
			return p;
		p = stop;
		*newlines += lines + inside;
		*n += 1;
		if (end - p < 2 || p[0] != '\n' || p[1] != '{')
			return p;
		lines = 1;
		start = p + 1;
	}
}
