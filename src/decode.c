/*-------------------------------------------------------------------------
 *
 * decode.c
 *		Decode records into the fields that a scan wants, in one pass.
 *
 * Backend-free (see bytes.h).  Takes plain records: no escapes, no nested
 * values; that is nearly all there are, and nothing is copied.  A plain
 * record is decoded where it stands in the buffer, and so is its end found.
 * At the first byte that is not plain, the record is framed by frame.c, and
 * json.c, which starts over, takes everything.  What both ways accept they
 * must read alike; the unit tests hold them together.
 *
 * Records of one producer repeat their keys in one order, so each key is
 * first compared with the one that last came behind the key before it.
 *
 *-------------------------------------------------------------------------
 */
#include "bytes.h"
#include "simd.h"

#include <string.h>

/* The mask of no known key: no text has so many bytes. */
#define NO_KEY UINT64_MAX

/* Places among the known keys where one may be. */
#define KEY_PLACES 8

void
stedi_decode_init(StediDecoder *decoder, const StediSlice *keys, int n_keys)
{
	memset(decoder, 0, sizeof(*decoder));
	decoder->keys = keys;
	decoder->n_keys = n_keys;
	for (int i = 0; i <= STEDI_KNOWN_KEYS; i++)
		decoder->known[i].mask = NO_KEY;
}

void
stedi_decode_release(StediDecoder *decoder)
{
	stedi_json_release(decoder);
}

int
stedi_decode_find_key(const StediDecoder *decoder, StediSlice key)
{
	for (int i = 0; i < decoder->n_keys; i++)
	{
		const StediSlice *wanted = &decoder->keys[i];
		size_t		pos;

		if (wanted->len != key.len)
			continue;
		for (pos = 0; pos < key.len; pos++)
		{
			unsigned char c = key.data[pos];

			if (c >= 'A' && c <= 'Z')
				c += 'a' - 'A';
			if (c != (unsigned char) wanted->data[pos])
				break;
		}
		if (pos == key.len)
			return i;
	}
	return -1;
}

static inline StediReason
set_field(StediField *field, StediFieldKind kind, StediSlice text)
{
	if (field->kind == STEDI_FIELD_MISSING)
	{
		field->kind = kind;
		field->text = text;
		return STEDI_REASON_NONE;
	}
	if (field->kind == kind && kind != STEDI_FIELD_UNREADABLE &&
		field->text.len == text.len &&
		(text.len == 0 || memcmp(field->text.data, text.data, text.len) == 0))
		return STEDI_REASON_NONE;
	field->kind = STEDI_FIELD_UNREADABLE;
	return STEDI_REASON_TWO_KEYS;
}

StediReason
stedi_decode_set(StediField *field, StediFieldKind kind, StediSlice text)
{
	return set_field(field, kind, text);
}

/* The length of the UTF-8 character at p, or 0 where there is none. */
static size_t
utf8_len(const unsigned char *p, size_t room)
{
	unsigned char low = 0x80;	/* what the second byte may be */
	unsigned char high = 0xBF;
	size_t		len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xC2 && p[0] <= 0xDF)
		len = 2;
	else if (p[0] >= 0xE0 && p[0] <= 0xEF)
		len = 3;
	else if (p[0] >= 0xF0 && p[0] <= 0xF4)
		len = 4;
	else
		return 0;
	if (p[0] == 0xE0)
		low = 0xA0;				/* shorter ones are written shorter */
	else if (p[0] == 0xED)
		high = 0x9F;			/* surrogates */
	else if (p[0] == 0xF0)
		low = 0x90;
	else if (p[0] == 0xF4)
		high = 0x8F;			/* beyond U+10FFFF */
	if (room < len || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	return len;
}

bool
stedi_decode_is_utf8(StediSlice text)
{
	const unsigned char *p = (const unsigned char *) text.data;
	const unsigned char *end = p + text.len;

	while (p < end)
	{
		size_t		len = utf8_len(p, end - p);

		if (len == 0)
			return false;
		p += len;
	}
	return true;
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
		len = utf8_len((const unsigned char *) p, end - p);
		if (len == 0)
			return NULL;
		p += len;
	}
	return NULL;
}

/* The end of the number at p, or NULL where there is none. */
static const char *
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

/* The same, quickly where it is short and has no exponent. */
static inline const char *
plain_number(const char *p, const char *end)
{
	int			pos = (*p == '-');
	uint32_t	digits = simd_digits(p) >> pos;
	int			n = simd_first(~digits);
	bool		odd = (n == 0) | ((n > 1) & (p[pos] == '0'));

	pos += n;
	if (p[pos] == '.')
	{
		n = simd_first(~(digits >> n >> 1));
		odd |= (n == 0);
		pos += 1 + n;
	}
	if (odd || pos >= SIMD_DIGITS || (p[pos] | 0x20) == 'e')
		return any_number(p, end);
	return p + pos;
}

bool
stedi_value_is_number(StediSlice text)
{
	return text.len > 0 &&
		any_number(text.data, text.data + text.len) == text.data + text.len;
}

/* The end of the word at p, or NULL where there is none. */
static const char *
plain_word(const char *p, StediFieldKind *kind)
{
	if (memcmp(p, "true", 4) == 0)
	{
		*kind = STEDI_FIELD_TRUE;
		return p + 4;
	}
	if (memcmp(p, "false", 5) == 0)
	{
		*kind = STEDI_FIELD_FALSE;
		return p + 5;
	}
	if (memcmp(p, "null", 4) == 0)
	{
		*kind = STEDI_FIELD_NULL;
		return p + 4;
	}
	return NULL;
}

/* Read the plain value at p; its end, or NULL where it is not plain. */
static inline const char *
plain_value(const char *p, const char *end, StediFieldKind *kind, StediSlice *text)
{
	const char *start = p;
	const char *stop;

	if (*p == '"')
	{
		start = p + 1;
		stop = plain_string(start, end);
		if (stop == NULL)
			return NULL;
		*kind = STEDI_FIELD_STRING;
		p = stop + 1;
	}
	else
	{
		*kind = STEDI_FIELD_NUMBER;
		p = stop = *p <= '9' ? plain_number(p, end) : plain_word(p, kind);
		if (p == NULL)
			return NULL;
	}
	text->data = start;
	text->len = stop - start;
	return p;
}

/* The place among the known keys where one is looked for first. */
static unsigned
key_place(StediSlice key)
{
	uint64_t	hash = simd_word(key.data);

	/* the ends of a long key, all of a short one */
	if (key.len >= 8)
		hash ^= simd_word(key.data + key.len - 8) * UINT64_C(0xff51afd7ed558ccd);
	else
		hash = key.len > 0 ? hash << (64 - 8 * key.len) : 0;
	return ((hash ^ key.len) * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
}

/*
 * The known key that is this one.  When none is, it takes a place that is
 * free, or another's.
 */
static StediKnownKey *
know_key(StediDecoder *decoder, StediSlice key)
{
	unsigned	place = key_place(key);
	StediKnownKey *known;
	uint64_t	mask;

	for (int i = 0; i < KEY_PLACES; i++)
	{
		known = &decoder->known[(place + i) % STEDI_KNOWN_KEYS];
		if (known->mask == NO_KEY)
			break;
		mask = known->mask >> 1;	/* the colon may stand further on */
		if (known->len == key.len + 3 &&
			(simd_same(key.data - 1, known->text) & mask) == mask)
			return known;
	}
	if (known->mask != NO_KEY)
		known = &decoder->known[place % STEDI_KNOWN_KEYS];
	known->wanted = stedi_decode_find_key(decoder, key);
	known->mask = NO_KEY;
	if (key.len + 3 <= STEDI_KNOWN_TEXT)
	{
		known->len = key.len + 3;
		known->mask = (UINT64_C(1) << known->len) - 1;
		memcpy(known->text, key.data - 1, STEDI_KNOWN_TEXT);
		known->text[key.len + 2] = ':';
	}
	return known;
}

/*
 * Read the key at p, and its colon, the long way: it is another than the one
 * expected behind *known, or written otherwise.  Returns where its value
 * starts, or NULL where it is not plain.  *known becomes what is remembered of
 * it.
 */
static const char *
plain_key(StediDecoder *decoder, const char *p, const char *end,
		  StediKnownKey **known, uint64_t *newlines)
{
	StediKnownKey *before = *known;
	StediSlice	key;
	const char *stop;

	p = skip_space(p, end, newlines);
	if (p >= end || *p != '"')
		return NULL;
	stop = plain_string(p + 1, end);
	if (stop == NULL || stop >= end)
		return NULL;
	key.data = p + 1;
	key.len = stop - key.data;
	*known = know_key(decoder, key);
	before->next = *known - decoder->known;
	p = skip_space(stop + 1, end, newlines);
	if (p >= end || *p != ':')
		return NULL;
	return skip_space(p + 1, end, newlines);
}

/*
 * Decode the plain record that starts with the { at p.  Returns its end, or
 * NULL where it is not plain, or not whole.  *newlines grows by the line ends
 * in it.
 *
 * end bounds the bytes that count.  What is looked at behind it changes
 * nothing: p never comes back, and is before end wherever bytes are looked
 * at that others follow.
 */
static const char *
plain_record(StediDecoder *decoder, const char *p, const char *end,
			 StediField *fields, uint64_t *newlines)
{
	StediKnownKey *known = &decoder->known[STEDI_KNOWN_KEYS];

	if (decoder->n_keys > 0)
		memset(fields, 0, decoder->n_keys * sizeof(StediField));
	if (*++p != '"')
	{
		p = skip_space(p, end, newlines);
		if (*p == '}')
			return p < end ? p + 1 : NULL;
	}

	while (p < end)
	{
		StediKnownKey *guess = &decoder->known[known->next];
		StediFieldKind kind;
		StediSlice	text;

		if ((simd_same(p, guess->text) & guess->mask) == guess->mask)
		{
			p += guess->len;
			p += (*p == ' ');
			known = guess;
		}
		else
			p = plain_key(decoder, p, end, &known, newlines);
		if (p == NULL || p >= end)
			return NULL;

		p = plain_value(p, end, &kind, &text);
		if (p == NULL)
			return NULL;
		if (known->wanted >= 0 &&
			set_field(&fields[known->wanted], kind, text) != STEDI_REASON_NONE)
			return NULL;

		if (*p != ',' && *p != '}')
			p = skip_space(p, end, newlines);
		if (*p == '}')
			return p < end ? p + 1 : NULL;
		if (*p != ',')
			return NULL;
		p++;
		p += (*p == ' ');
	}
	return NULL;
}

StediFrameStatus
stedi_decode_next(StediDecoder *decoder, StediFramer *framer,
				  const char *buf, size_t len, bool last,
				  StediSlice *record, size_t *used,
				  StediField *fields, bool *decoded)
{
	StediFrameStatus status;
	size_t		skipped;

	*decoded = false;
	if (stedi_frame_begin(framer, buf, len, &skipped))
	{
		uint64_t	newlines = 0;
		const char *stop;

		if (decoder->strings != NULL)
			stedi_json_release(decoder);
		stop = plain_record(decoder, buf + skipped, buf + len, fields, &newlines);
		if (stop != NULL)
		{
			record->data = buf + skipped;
			record->len = stop - record->data;
			stedi_frame_take(framer, record->len, newlines);
			*used = skipped + record->len;
			*decoded = true;
			return STEDI_FRAME_RECORD;
		}
	}
	status = stedi_frame_next(framer, buf + skipped, len - skipped, last, record, used);
	*used += skipped;
	return status;
}

StediReason
stedi_decode_record(StediDecoder *decoder, StediSlice record,
					StediField *fields, int *where)
{
	const char *end = record.data + record.len;
	uint64_t	newlines = 0;

	*where = -1;
	stedi_json_release(decoder);
	if (record.len > 0 && *record.data == '{' &&
		plain_record(decoder, record.data, end, fields, &newlines) == end)
		return STEDI_REASON_NONE;

	/* not plain, or not right: json.c knows which, and what can be saved */
	return stedi_json_record(decoder, record, fields, where);
}
