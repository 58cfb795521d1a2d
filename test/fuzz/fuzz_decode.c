/*
 * An object's fields are the same, decoded at once or framed and decoded by
 * json.c, with SIMD or without, in whatever pieces it arrives; counting finds
 * the same records; cJSON takes what we take and reads the same strings; and a
 * walk through the members of a record finds the same fields.
 * Guards src/record/decode.c, src/record/plain.c, src/record/json.c and src/record/simd.h.
 */
#include <cjson/cJSON.h>

#include "alike.h"
#include "fuzz.h"
#include "record/decoder.h"
#include "portable.h"

#define HEADER 8

/* Starts of records at which plain.c is held against itself. */
#define MAX_STARTS 8

static const StediSlice keys[] = {{"a", 1}, {"email", 5}, {"timestamp", 9}, {"\xc3\xa9", 2}, {"", 0}, {"x", 1}};

#define N_KEYS ((int) (sizeof(keys) / sizeof(keys[0])))

/* Do both decoders know the same keys, in the same order? */
static bool
know_alike(const StediDecoder *one, const StediDecoder *other)
{
	for (int i = 0; i < STEDI_KNOWN_KEYS; i++)
	{
		const StediKnownKey *a = &one->known[i];
		const StediKnownKey *b = &other->known[i];

		if (a->mask != b->mask || a->next - one->known != b->next - other->known ||
			(a->mask != UINT64_MAX && (a->len != b->len || a->wanted != b->wanted ||
									   memcmp(a->text, b->text, a->len) != 0)))
			return false;
	}
	return true;
}

/* Is every record that may start anywhere the same to both builds of plain.c? */
static void
claim_portable(const char *bytes, size_t len, int n_keys)
{
	static StediDecoder fast;
	static StediDecoder slow;
	int			n = 0;

	stedi_decode_init(&fast, keys, n_keys);
	stedi_decode_init(&slow, keys, n_keys);
	for (size_t at = 0; at < len && n < MAX_STARTS; at++)
	{
		StediField	fields[N_KEYS];
		StediField	slow_fields[N_KEYS];
		uint64_t	newlines = 0;
		uint64_t	slow_newlines = 0;
		char	   *copy;
		char	   *slow_copy;
		const char *end;
		const char *slow_end;

		if (bytes[at] != '{')
			continue;
		n++;
		copy = padded_copy(bytes + at, len - at);
		slow_copy = exact_copy(copy, len - at + STEDI_BYTES_PADDING);
		end = stedi_plain_record(&fast, copy, copy + len - at, fields, &newlines);
		slow_end = portable_plain_record(&slow, slow_copy, slow_copy + len - at, slow_fields, &slow_newlines);
		CLAIM((end == NULL) == (slow_end == NULL));
		if (end != NULL)
		{
			CLAIM(end - copy == slow_end - slow_copy && newlines == slow_newlines);
			CLAIM(alike_fields(fields, slow_fields, n_keys));
		}
		CLAIM(know_alike(&fast, &slow));
		free(copy);
		free(slow_copy);
	}
}

/* Are as many records counted at once as are decoded one by one? */
static void
claim_count(const char *bytes, size_t len, int n_keys, size_t max_len)
{
	static StediDecoder decoder;
	static StediFramer framer;
	static StediFramer slow;
	char	   *buf = padded_copy(bytes, len);
	StediField	fields[N_KEYS];
	StediSlice	record;
	size_t		done = 0;
	size_t		used;
	size_t		n;
	bool		decoded;

	stedi_decode_init(&decoder, keys, n_keys);
	stedi_frame_init(&framer);
	stedi_frame_init(&slow);
	n = stedi_decode_count(&decoder, &framer, buf, len, max_len, &used, fields);
	for (; n > 0; n--)
	{
		size_t		step;

		CLAIM(stedi_decode_next(&decoder, &slow, buf + done, len - done, true, &record, &step, fields,
								&decoded) == STEDI_FRAME_RECORD);
		CLAIM(decoded && record.len <= max_len);
		done += step;
	}
	CLAIM(done <= used && used <= len);

	/* the next one is the same for both, wherever they stand */
	CLAIM(stedi_decode_next(&decoder, &slow, buf + done, len - done, true, &record, &done, fields, &decoded) ==
		  stedi_decode_next(&decoder, &framer, buf + used, len - used, true, &record, &used, fields, &decoded));
	CLAIM(slow.offset == framer.offset && slow.line == framer.line && slow.in_array == framer.in_array);
	stedi_decode_release(&decoder);
	free(buf);
}

/*
 * Can cJSON, which has limits and opinions of its own, be asked of this?  It
 * reads numbers of 63 bytes, nests 1000 deep, refuses lone surrogates, and ends
 * a text at \u0000.
 */
static bool
is_for_cjson(const char *bytes, size_t len)
{
	size_t		number_len = 0;
	int			brackets = 0;

	for (size_t i = 0; i < len; i++)
	{
		brackets += (bytes[i] == '{' || bytes[i] == '[');
		number_len = bytes[i] != '\0' && strchr("0123456789+-.eE", bytes[i]) != NULL ? number_len + 1 : 0;
		if (number_len > 63 || brackets > 1000)
			return false;
		if (len - i >= 6 && memcmp(bytes + i, "\\u", 2) == 0 &&
			(memcmp(bytes + i + 2, "0000", 4) == 0 || bytes[i + 2] == 'd' || bytes[i + 2] == 'D'))
			return false;
	}
	return true;
}

/*
 * Is it JSON to cJSON, too, when it is to us?  And are strings the same?
 */
static void
claim_cjson(const char *bytes, size_t len)
{
	static StediDecoder decoder;
	char	   *copy = padded_copy(bytes, len);
	StediSlice	record = {copy, len};
	StediField	fields[N_KEYS];
	cJSON	   *tree;
	int			where;

	stedi_decode_init(&decoder, keys, N_KEYS);
	if (stedi_decode_record(&decoder, record, fields, &where) == STEDI_REASON_NONE && is_for_cjson(bytes, len))
	{
		CLAIM(where == -1 && stedi_field_is_utf8(record));
		tree = cJSON_ParseWithLength(bytes, len);
		CLAIM(tree != NULL && cJSON_IsObject(tree));
		for (int i = 0; i < N_KEYS; i++)
		{
			const cJSON *item = cJSON_GetObjectItem(tree, keys[i].data);

			if (item == NULL)
				CLAIM(fields[i].kind == STEDI_FIELD_MISSING);
			else if (fields[i].kind == STEDI_FIELD_STRING)
				CLAIM(cJSON_IsString(item) && strlen(item->valuestring) == fields[i].text.len &&
					  memcmp(item->valuestring, fields[i].text.data, fields[i].text.len) == 0);
			else
				CLAIM(cJSON_IsNull(item) == (fields[i].kind == STEDI_FIELD_NULL) &&
					  cJSON_IsTrue(item) == (fields[i].kind == STEDI_FIELD_TRUE) &&
					  cJSON_IsFalse(item) == (fields[i].kind == STEDI_FIELD_FALSE) &&
					  cJSON_IsNumber(item) == (fields[i].kind == STEDI_FIELD_NUMBER));
		}
		cJSON_Delete(tree);
	}
	stedi_decode_release(&decoder);
	free(copy);
}

/*
 * Does a walk through the members of a record come to what decoding it does?
 * And is each within the record, or in memory of its own?
 */
static void
claim_members(const char *bytes, size_t len)
{
	static StediDecoder decoder;
	static StediMembers members;
	char	   *copy = padded_copy(bytes, len);
	StediSlice	record = {copy, len};
	StediField	fields[N_KEYS];
	StediField	walked[N_KEYS];
	StediMember member;
	StediReason reason;
	StediReason first = STEDI_REASON_NONE;
	size_t		pos = 0;
	int			where;

	stedi_decode_init(&decoder, keys, N_KEYS);
	reason = stedi_json_record(&decoder, record, fields, &where);
	memset(walked, 0, sizeof(walked));
	stedi_json_members(&members, record);
	while (stedi_json_next_member(&members, &member))
	{
		int			found = member.key_reason != STEDI_REASON_NONE ? -1 :
		stedi_field_find_key(&decoder, member.key);
		StediReason trouble = member.reason;

		CLAIM(members.pos > pos && members.pos <= len);
		pos = members.pos;
		CLAIM(member.value.kind != STEDI_FIELD_MISSING && member.value.kind != STEDI_FIELD_UNREADABLE);
		CLAIM(member.reason == STEDI_REASON_NONE || member.value.kind == STEDI_FIELD_STRING);
		if (found < 0)
			continue;
		if (trouble != STEDI_REASON_NONE)
			walked[found].kind = STEDI_FIELD_UNREADABLE;
		else
			trouble = stedi_field_set(&walked[found], member.value.kind, member.value.text);
		if (first == STEDI_REASON_NONE)
			first = trouble;
	}
	CLAIM(members.whole == (reason != STEDI_REASON_SYNTAX));
	if (members.whole)
	{
		CLAIM(alike_fields(walked, fields, N_KEYS));
		CLAIM(first == reason || (first == STEDI_REASON_NONE && !stedi_field_is_utf8(record)));
	}
	stedi_json_release_members(&members);
	stedi_json_release_members(&members);
	stedi_decode_release(&decoder);
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static StediDecoder decoder;
	Alike		way = {{0}, 0, 0};
	const char *bytes = (const char *) data + HEADER;
	size_t		len = size - HEADER;
	int			n_keys;

	if (size < HEADER)
		return 0;
	n_keys = (data[0] >> 2) % (N_KEYS + 1);
	way.reading.late = data[0] & 1;
	way.reading.limit = data[0] & 2 ? 4 + data[1] : 0;
	way.reading.max_depth = data[2];
	way.reading.sizes = data + 3;
	way.reading.n_sizes = HEADER - 3;

	stedi_decode_init(&decoder, keys, n_keys);
	CLAIM(alike_object(&decoder, bytes, len, &way));
	/* once more, knowing its keys, and at once */
	memset(&way, 0, sizeof(way));
	CLAIM(alike_object(&decoder, bytes, len, &way));
	stedi_decode_release(&decoder);

	claim_portable(bytes, len, n_keys);
	claim_count(bytes, len, n_keys, data[1] ? data[1] : len);
	claim_cjson(bytes, len);
	claim_members(bytes, len);
	return 0;
}
