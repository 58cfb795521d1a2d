/*-------------------------------------------------------------------------
 *
 * json.c
 *		Decode the records that plain.c does not take, all members of any
 *		record, and credentials.
 *
 * Backend-free (see record.h); the only user of cJSON.  The grammar of RFC
 * 8259 is checked here, byte by byte, since cJSON is more lenient than it
 * (numbers such as 01, control characters, any byte below space as space)
 * and keeps every number as a double, which is wrong beyond 2^53.  cJSON
 * undoes the escapes of strings, surrogates and all.
 *
 * Nested values are passed over and kept as written, without recursion, to a
 * depth of STEDI_DEEPEST.
 *
 *-------------------------------------------------------------------------
 */
#include "record/decoder.h"

#include <cjson/cJSON.h>
#include <string.h>

/* Where we are in the record. */
typedef struct Reader
{
	const char *p;
	const char *end;
	bool		nan;			/* NaN, as Python writes it, is null */
} Reader;

/* A string as it stands in the record. */
typedef struct RawString
{
	StediSlice	inside;			/* between the quotes */
	bool		escapes;		/* it has some */
	bool		zero;			/* among them \u0000 */
	bool		lone;			/* among them a surrogate without the other */
	const char *high;			/* end of a high one that waits for a low one */
} RawString;

/* Free an array of strings, if there is one. */
static void
release_strings(void **strings)
{
	if (*strings != NULL)
		cJSON_Delete(*strings);
	*strings = NULL;
}

void
stedi_json_release(StediDecoder *decoder)
{
	release_strings(&decoder->strings);
}

static void
read_space(Reader *reader)
{
	while (reader->p < reader->end &&
		   (*reader->p == ' ' || *reader->p == '\n' ||
			*reader->p == '\r' || *reader->p == '\t'))
		reader->p++;
}

/* Is c the next byte?  Then it is taken. */
static bool
read_byte(Reader *reader, char c)
{
	if (reader->p == reader->end || *reader->p != c)
		return false;
	reader->p++;
	return true;
}

static bool
read_word(Reader *reader, const char *word)
{
	size_t		len = strlen(word);

	if ((size_t) (reader->end - reader->p) < len ||
		memcmp(reader->p, word, len) != 0)
		return false;
	reader->p += len;
	return true;
}

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Note what the \u escape with its digits at p says of the string's text. */
static void
note_character(RawString *string, const char *p)
{
	const char *high = string->high;

	if (memcmp(p, "0000", 4) == 0)
		string->zero = true;
	if (p[0] != 'd' && p[0] != 'D')
		return;
	if (memchr("89abAB", p[1], 6) != NULL)
	{
		string->lone |= (high != NULL);
		string->high = p + 4;
	}
	else if (memchr("cdefCDEF", p[1], 8) != NULL)
	{
		string->lone |= (high != p - 2);
		string->high = NULL;
	}
}

/* The escape behind a backslash. */
static bool
read_escape(Reader *reader, RawString *string)
{
	char		c;

	if (reader->p == reader->end)
		return false;
	c = *reader->p++;
	string->escapes = true;
	if (c != 'u')
		return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
	if (reader->end - reader->p < 4)
		return false;
	for (int i = 0; i < 4; i++)
		if (!is_hex(reader->p[i]))
			return false;
	note_character(string, reader->p);
	reader->p += 4;
	return true;
}

static bool
read_string(Reader *reader, RawString *string)
{
	memset(string, 0, sizeof(*string));
	if (!read_byte(reader, '"'))
		return false;
	string->inside.data = reader->p;
	while (reader->p < reader->end)
	{
		unsigned char c = *reader->p++;

		if (c == '"')
		{
			string->inside.len = reader->p - 1 - string->inside.data;
			string->lone |= (string->high != NULL);
			return true;
		}
		if (c < 0x20)
			return false;
		if (c == '\\' && !read_escape(reader, string))
			return false;
	}
	return false;
}

static bool
read_number(Reader *reader, StediSlice *text)
{
	text->data = reader->p;
	while (reader->p < reader->end &&
		   ((*reader->p >= '0' && *reader->p <= '9') || *reader->p == '-' ||
			*reader->p == '+' || *reader->p == '.' || *reader->p == 'e' ||
			*reader->p == 'E'))
		reader->p++;
	text->len = reader->p - text->data;
	return stedi_value_is_number(*text);
}

/* Pass over a value that has no others inside. */
static bool
skip_plain(Reader *reader)
{
	RawString	string;
	StediSlice	number;

	if (reader->p == reader->end)
		return false;
	switch (*reader->p)
	{
		case '"':
			return read_string(reader, &string);
		case 't':
			return read_word(reader, "true");
		case 'f':
			return read_word(reader, "false");
		case 'n':
			return read_word(reader, "null");
		default:
			return read_number(reader, &number);
	}
}

/* What stands between the key of a member and its value. */
static bool
read_colon(Reader *reader)
{
	read_space(reader);
	if (!read_byte(reader, ':'))
		return false;
	read_space(reader);
	return true;
}

/* The key of a member and the colon, up to its value. */
static bool
skip_key(Reader *reader)
{
	RawString	key;

	return read_string(reader, &key) && read_colon(reader);
}

/* The nesting of a value that is passed over: level -> is it an array? */
typedef struct Nesting
{
	int			depth;
	uint64_t	arrays[STEDI_DEEPEST / 64 + 1];
} Nesting;

static bool
in_array(const Nesting *nesting)
{
	int			level = nesting->depth - 1;

	return ((nesting->arrays[level / 64] >> (level % 64)) & 1) != 0;
}

/* Go into the object or array whose bracket was taken. */
static bool
enter(Nesting *nesting, bool array)
{
	int			level = nesting->depth++;
	uint64_t	bit = UINT64_C(1) << (level % 64);

	if (level >= STEDI_DEEPEST)
		return false;
	if (array)
		nesting->arrays[level / 64] |= bit;
	else
		nesting->arrays[level / 64] &= ~bit;
	return true;
}

/*
 * Behind a value: close what ends here, and go on to the next value of what
 * is left open, if anything is.
 */
static bool
leave(Reader *reader, Nesting *nesting)
{
	while (nesting->depth > 0)
	{
		bool		array = in_array(nesting);

		read_space(reader);
		if (read_byte(reader, ','))
		{
			read_space(reader);
			return array || skip_key(reader);
		}
		if (!read_byte(reader, array ? ']' : '}'))
			return false;
		nesting->depth--;
	}
	return true;
}

/* Pass over any value. */
static bool
skip_value(Reader *reader)
{
	Nesting		nesting;

	nesting.depth = 0;
	do
	{
		bool		array = read_byte(reader, '[');

		if (array || read_byte(reader, '{'))
		{
			if (!enter(&nesting, array))
				return false;
			read_space(reader);
			if (reader->p == reader->end)
				return false;
			if (*reader->p != (array ? ']' : '}'))
			{
				if (!array && !skip_key(reader))
					return false;
				continue;
			}
			reader->p++;
			nesting.depth--;
		}
		else if (!skip_plain(reader))
			return false;
		if (!leave(reader, &nesting))
			return false;
	} while (nesting.depth > 0);
	return true;
}

/*
 * Undo the escapes of a string.  The text lives as long as *strings, which is
 * NULL or a cJSON array that keeps it.  A lone surrogate is no text.
 */
static StediReason
unescape(void **strings, const RawString *string, StediSlice *text)
{
	cJSON	   *item;

	*text = string->inside;
	if (!string->escapes)
		return STEDI_REASON_NONE;
	if (string->zero)
		return STEDI_REASON_ZERO_CHARACTER;
	if (string->lone)
		return STEDI_REASON_ENCODING;
	if (*strings == NULL)
		*strings = cJSON_CreateArray();
	if (*strings == NULL)
		return STEDI_REASON_OUT_OF_MEMORY;

	/* of the string's grammar and text, nothing is left to refuse */
	item = cJSON_ParseWithLength(string->inside.data - 1, string->inside.len + 2);
	if (item == NULL)
		return STEDI_REASON_OUT_OF_MEMORY;
	cJSON_AddItemToArray(*strings, item);
	text->data = item->valuestring;
	text->len = strlen(item->valuestring);
	return STEDI_REASON_NONE;
}

/* Read a value; false when it is not JSON.  *reason is about its text. */
static bool
read_value(void **strings, Reader *reader, bool wanted, StediField *value, StediReason *reason)
{
	const char *start = reader->p;
	RawString	string;

	*reason = STEDI_REASON_NONE;
	if (reader->p < reader->end && *reader->p == '"')
	{
		value->kind = STEDI_FIELD_STRING;
		if (!read_string(reader, &string))
			return false;
		if (wanted)
			*reason = unescape(strings, &string, &value->text);
		return true;
	}
	if (reader->nan && read_word(reader, "NaN"))
	{
		value->kind = STEDI_FIELD_NULL;
		return true;
	}
	if (!skip_value(reader))
		return false;
	value->text.data = start;
	value->text.len = reader->p - start;
	switch (*start)
	{
		case '{':
		case '[':
			value->kind = STEDI_FIELD_NESTED;
			break;
		case 't':
			value->kind = STEDI_FIELD_TRUE;
			break;
		case 'f':
			value->kind = STEDI_FIELD_FALSE;
			break;
		case 'n':
			value->kind = STEDI_FIELD_NULL;
			break;
		default:
			value->kind = STEDI_FIELD_NUMBER;
	}
	return true;
}

/* The key of a member and the colon, up to its value.  False when it is not JSON. */
static bool
read_key(void **strings, Reader *reader, StediSlice *key, StediReason *reason)
{
	RawString	string;

	if (!read_string(reader, &string))
		return false;
	*reason = unescape(strings, &string, key);
	return read_colon(reader);
}

/* The value of a member of a record.  False when it is not JSON. */
static bool
read_member_value(void **strings, Reader *reader, bool wanted, StediField *value, StediReason *reason)
{
	if (!read_value(strings, reader, wanted, value, reason))
		return false;

	/* a number or a word is whole only before what may follow a value */
	return value->kind == STEDI_FIELD_STRING || value->kind == STEDI_FIELD_NESTED ||
		(reader->p < reader->end && memchr(", \t\r\n}", *reader->p, 6) != NULL);
}

/* Read a member: "key": value.  False when it is not JSON. */
static bool
read_member(StediDecoder *decoder, Reader *reader, StediField *fields,
			StediReason *reason, int *where)
{
	StediSlice	key;
	StediField	value = {STEDI_FIELD_MISSING, {NULL, 0}};
	StediReason trouble;
	int			found = -1;

	if (!read_key(&decoder->strings, reader, &key, &trouble))
		return false;
	if (trouble == STEDI_REASON_NONE)
		found = stedi_field_find_key(decoder, key);
	else if (trouble == STEDI_REASON_OUT_OF_MEMORY && *reason == STEDI_REASON_NONE)
		*reason = trouble;		/* it may be a wanted one */
	if (!read_member_value(&decoder->strings, reader, found >= 0, &value, &trouble))
		return false;
	if (found < 0)
		return true;

	if (trouble != STEDI_REASON_NONE)
		fields[found].kind = STEDI_FIELD_UNREADABLE;
	else
		trouble = stedi_field_set(&fields[found], value.kind, value.text);
	if (trouble != STEDI_REASON_NONE && *reason == STEDI_REASON_NONE)
	{
		*reason = trouble;
		*where = found;
	}
	return true;
}

StediReason
stedi_json_record(StediDecoder *decoder, StediSlice record,
				  StediField *fields, int *where)
{
	Reader		reader = {record.data, record.data + record.len, decoder->nan_is_null};
	StediReason reason = STEDI_REASON_NONE;
	bool		whole;

	*where = -1;
	stedi_json_release(decoder);
	memset(fields, 0, decoder->n_keys * sizeof(StediField));

	whole = read_byte(&reader, '{');
	read_space(&reader);
	if (whole && !read_byte(&reader, '}'))
	{
		do
		{
			read_space(&reader);
			whole = read_member(decoder, &reader, fields, &reason, where);
			read_space(&reader);
		} while (whole && read_byte(&reader, ','));
		whole = whole && read_byte(&reader, '}');
	}
	if (!whole || reader.p != reader.end)
	{
		*where = -1;
		return STEDI_REASON_SYNTAX;
	}
	if (reason == STEDI_REASON_NONE && !stedi_field_is_utf8(record))
		return STEDI_REASON_ENCODING;
	return reason;
}

void
stedi_json_members(StediMembers *members, StediSlice record)
{
	release_strings(&members->strings);
	members->record = record;
	members->pos = 0;
	members->whole = false;
}

bool
stedi_json_next_member(StediMembers *members, StediMember *member)
{
	const char *start = members->record.data;
	Reader		reader = {start + members->pos, start + members->record.len, false};
	bool		more;

	if (members->pos == 0)
	{
		if (!read_byte(&reader, '{'))
			return false;
		read_space(&reader);
		more = reader.p < reader.end && *reader.p != '}';
	}
	else
	{
		read_space(&reader);
		more = read_byte(&reader, ',');
		read_space(&reader);
	}
	if (!more)
	{
		members->whole = read_byte(&reader, '}') && reader.p == reader.end;
		return false;
	}
	if (!read_key(&members->strings, &reader, &member->key, &member->key_reason) ||
		!read_member_value(&members->strings, &reader, true, &member->value, &member->reason))
		return false;
	members->pos = reader.p - start;
	return true;
}

void
stedi_json_release_members(StediMembers *members)
{
	release_strings(&members->strings);
}

void
stedi_json_wipe(StediDecoder *decoder)
{
	cJSON	   *item;

	cJSON_ArrayForEach(item, (cJSON *) decoder->strings)
		explicit_bzero(item->valuestring, strlen(item->valuestring));
	stedi_json_release(decoder);
}
