/*-------------------------------------------------------------------------
 *
 * field.c
 *		What both decoders need: find a key, fill a field, check UTF-8.
 *
 * Backend-free (see record.h).
 *
 *-------------------------------------------------------------------------
 */
#include "record/decoder.h"

#include <string.h>

int
stedi_field_find_key(const StediDecoder *decoder, StediSlice key)
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
stedi_field_set(StediField *field, StediFieldKind kind, StediSlice text)
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

size_t
stedi_field_utf8_len(const unsigned char *p, size_t room)
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
stedi_field_is_utf8(StediSlice text)
{
	const unsigned char *p = (const unsigned char *) text.data;
	const unsigned char *end = p + text.len;

	while (p < end)
	{
		size_t		len = stedi_field_utf8_len(p, end - p);

		if (len == 0)
			return false;
		p += len;
	}
	return true;
}
