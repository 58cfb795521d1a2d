/*-------------------------------------------------------------------------
 *
 * decode.c
 *		Decode a record into the fields that a scan wants, in one pass.
 *
 * Backend-free (see bytes.h).  Takes plain records: no escapes, no nested
 * values; that is nearly all there are, and nothing is copied.  At the first
 * byte that is not plain the record goes to json.c, which starts over and
 * takes everything.  What both accept they must read alike; the unit tests
 * and the fuzzer hold them together.
 *
 * Records of one producer repeat their keys in one order, so each key is
 * first compared with the one that stood in its place in the record before.
 *
 *-------------------------------------------------------------------------
 */
#include "bytes.h"

#include <string.h>

#define MAX_ORDER ((int) (sizeof(((StediDecoder *) 0)->order) / sizeof(int)))
#define MAX_SPELT (sizeof(((StediDecoder *) 0)->spelt))

void
stedi_decode_init(StediDecoder *decoder, const StediSlice *keys, int n_keys)
{
	memset(decoder, 0, sizeof(*decoder));
	decoder->keys = keys;
	decoder->n_keys = n_keys;
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

StediReason
stedi_decode_set(StediField *field, StediFieldKind kind, StediSlice text)
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

/* Note that key, the position'th of its record, is keys[found]. */
static void
decode_remember(StediDecoder *decoder, int position, StediSlice key, int found)
{
	if (position == 0)
		decoder->n_order = decoder->n_spelt = 0;
	if (position != decoder->n_order || position >= MAX_ORDER ||
		decoder->n_spelt + key.len > MAX_SPELT)
	{
		/* a key changed in the middle: what stood behind it is forgotten */
		if (position < decoder->n_order)
			decoder->n_order = position;
		if (position != decoder->n_order || position >= MAX_ORDER)
			return;
		decoder->n_spelt = position == 0 ? 0 :
			(size_t) (decoder->spelling[position - 1].data +
					  decoder->spelling[position - 1].len - decoder->spelt);
		if (decoder->n_spelt + key.len > MAX_SPELT)
			return;
	}
	memcpy(decoder->spelt + decoder->n_spelt, key.data, key.len);
	decoder->spelling[position].data = decoder->spelt + decoder->n_spelt;
	decoder->spelling[position].len = key.len;
	decoder->order[position] = found;
	decoder->n_spelt += key.len;
	decoder->n_order = position + 1;
}

/* Which wanted key is this one, the position'th of its record? */
static inline int
decode_key(StediDecoder *decoder, int position, StediSlice key)
{
	int			found;

	if (position < decoder->n_order &&
		decoder->spelling[position].len == key.len &&
		memcmp(decoder->spelling[position].data, key.data, key.len) == 0)
		return decoder->order[position];
	found = stedi_decode_find_key(decoder, key);
	decode_remember(decoder, position, key, found);
	return found;
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

static inline const char *
skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

/*
 * The end of the plain string that starts behind the quote at p: its closing
 * quote, or NULL where it is not plain.  *bits gathers the bits of its bytes:
 * the highest tells that there is more than ASCII.
 */
static inline const char *
plain_string(const char *p, const char *end, unsigned char *bits)
{
	for (; p < end; p++)
	{
		unsigned char c = *p;

		if (c == '"')
			return p;
		*bits |= c;
		if (c == '\\' || c < 0x20)
			return NULL;
	}
	return NULL;
}

/* The end of the number at p, or NULL where there is none. */
static inline const char *
plain_number(const char *p, const char *end)
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

bool
stedi_value_is_number(StediSlice text)
{
	return text.len > 0 &&
		plain_number(text.data, text.data + text.len) == text.data + text.len;
}

/* Read the plain value at p; its end, or NULL where it is not plain. */
static inline const char *
plain_value(const char *p, const char *end, StediFieldKind *kind, StediSlice *text,
			unsigned char *bits)
{
	const char *start = p;
	const char *stop;

	if (p == end)
		return NULL;
	switch (*p)
	{
		case '"':
			start = p + 1;
			stop = plain_string(start, end, bits);
			if (stop == NULL)
				return NULL;
			*kind = STEDI_FIELD_STRING;
			p = stop + 1;
			break;
		case 't':
			if (end - p < 4 || memcmp(p, "true", 4) != 0)
				return NULL;
			*kind = STEDI_FIELD_TRUE;
			p = stop = p + 4;
			break;
		case 'f':
			if (end - p < 5 || memcmp(p, "false", 5) != 0)
				return NULL;
			*kind = STEDI_FIELD_FALSE;
			p = stop = p + 5;
			break;
		case 'n':
			if (end - p < 4 || memcmp(p, "null", 4) != 0)
				return NULL;
			*kind = STEDI_FIELD_NULL;
			p = stop = p + 4;
			break;
		default:
			p = stop = plain_number(p, end);
			if (p == NULL)
				return NULL;
			*kind = STEDI_FIELD_NUMBER;
	}
	text->data = start;
	text->len = stop - start;
	return p;
}

StediReason
stedi_decode_record(StediDecoder *decoder, StediSlice record,
					StediField *fields, int *where)
{
	const char *p = record.data;
	const char *end = record.data + record.len;
	int			position = 0;
	unsigned char bits = 0;

	*where = -1;
	stedi_json_release(decoder);
	memset(fields, 0, decoder->n_keys * sizeof(StediField));

	if (p == end || *p != '{')
		return STEDI_REASON_SYNTAX;
	p = skip_space(p + 1, end);
	if (p < end && *p == '}')
		return p + 1 == end ? STEDI_REASON_NONE : STEDI_REASON_SYNTAX;

	for (;; position++)
	{
		StediSlice	key;
		StediSlice	text;
		StediFieldKind kind;
		int			found;
		const char *stop;

		if (p == end || *p != '"')
			break;
		key.data = p + 1;
		stop = plain_string(key.data, end, &bits);
		if (stop == NULL)
			break;
		key.len = stop - key.data;
		p = skip_space(stop + 1, end);
		if (p == end || *p != ':')
			break;
		p = plain_value(skip_space(p + 1, end), end, &kind, &text, &bits);
		if (p == NULL)
			break;

		found = decode_key(decoder, position, key);
		if (found >= 0 &&
			stedi_decode_set(&fields[found], kind, text) != STEDI_REASON_NONE)
			break;

		p = skip_space(p, end);
		if (p == end)
			break;
		if (*p == '}')
		{
			if (p + 1 != end)
				break;
			return bits < 0x80 || stedi_decode_is_utf8(record) ?
				STEDI_REASON_NONE : STEDI_REASON_ENCODING;
		}
		if (*p != ',')
			break;
		p = skip_space(p + 1, end);
	}

	/* not plain, or not right: json.c knows which, and what can be saved */
	return stedi_json_record(decoder, record, fields, where);
}
