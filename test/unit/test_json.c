/*
 * The grammar of RFC 8259, case by case: each object of test/data/json/cases.tsv
 * gives the records and rejects that stand there, by json.c alone, the fast way and
 * by a walk through the members, at once and in pieces.  Guards src/record/json.c, src/record/plain.c and src/record/frame.c.
 */
#include <stdlib.h>

#include "alike.h"
#include "record/decoder.h"
#include "padded.h"
#include "tap.h"

#define CASES "test/data/json/cases.tsv"
#define ROOM 131072

typedef StediReason (*DecodeFn) (StediDecoder *, StediSlice, StediField *, int *);

typedef struct Text
{
	size_t		len;
	char		data[ROOM];
} Text;

static const StediSlice key = {"v", 1};

static void
read_file(const char *path, Text *text)
{
	FILE	   *file = fopen(path, "rb");

	if (file == NULL)
	{
		perror(path);
		exit(2);
	}
	text->len = fread(text->data, 1, ROOM, file);
	fclose(file);
	if (text->len == ROOM)
		abort();
}

/* Undo the escapes of cases.tsv, to the line's end; what is behind it. */
static const char *
read_escaped(const char *p, Text *text)
{
	text->len = 0;
	while (*p != '\n')
	{
		char		c = *p++;
		unsigned int n = 1;
		unsigned int code = 0;
		int			used = 1;

		if (c == '\\')
		{
			c = *p;
			if (c == 'x' && sscanf(p, "x%2x%n", &code, &used) == 1)
				c = (char) code;
			else if (c == '#' && sscanf(p, "#%u%c%n", &n, &c, &used) != 2)
				abort();
			else if (c == 'n' || c == 'r' || c == 't')
				c = c == 'n' ? '\n' : c == 'r' ? '\r' : '\t';
			p += used;
		}
		if (text->len + n > ROOM)
			abort();
		memset(text->data + text->len, c, n);
		text->len += n;
	}
	return p + 1;
}

/* Append a text as cases.tsv has it. */
static void
add_escaped(Text *to, StediSlice text)
{
	for (size_t i = 0; i < text.len; i++)
	{
		unsigned char c = text.data[i];
		char	   *p = to->data + to->len;

		if (to->len + 8 > ROOM)
			abort();
		if (c == '\\' || c == '\n' || c == '\r' || c == '\t')
			to->len += sprintf(p, "\\%c", c == '\\' ? '\\' : c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
		else if (c < 0x20 || c == 0x7f)
			to->len += sprintf(p, "\\x%02x", c);
		else
		{
			*p = (char) c;
			to->len++;
		}
	}
}

static void
add(Text *to, const char *words)
{
	to->len += snprintf(to->data + to->len, ROOM - to->len, "%s", words);
}

static void
add_line(Text *to, const char *name, StediReason reason, const StediField *field)
{
	static const char *const kinds[] = {"missing", "null", "string", "number", "true", "false", "nested", "unreadable"};

	add(to, name);
	add(to, "\t");
	if (reason != STEDI_REASON_NONE)
	{
		const char *words = stedi_reason_text(reason);
		StediSlice	text = {words, strlen(words)};

		add(to, "reject\t");
		add_escaped(to, text);
	}
	else
	{
		add(to, kinds[field->kind]);
		add(to, "\t");
		if (field->kind == STEDI_FIELD_STRING || field->kind == STEDI_FIELD_NUMBER || field->kind == STEDI_FIELD_NESTED)
			add_escaped(to, field->text);
	}
	add(to, "\n");
}

/* As stedi_decode_record, by a walk through the members, which stay until the next. */
static StediReason
decode_members(StediDecoder *decoder, StediSlice record, StediField *field, int *where)
{
	static StediMembers members;
	StediMember member;
	StediReason reason = STEDI_REASON_NONE;
	StediReason trouble;

	*where = -1;
	memset(field, 0, sizeof(*field));
	stedi_json_members(&members, record);
	while (stedi_json_next_member(&members, &member))
	{
		if (member.key_reason != STEDI_REASON_NONE || stedi_field_find_key(decoder, member.key) < 0)
			continue;
		trouble = member.reason;
		if (trouble == STEDI_REASON_NONE)
			trouble = stedi_field_set(field, member.value.kind, member.value.text);
		if (reason == STEDI_REASON_NONE)
			reason = trouble;
	}
	if (!members.whole)
		return STEDI_REASON_SYNTAX;
	return reason == STEDI_REASON_NONE && !stedi_field_is_utf8(record) ? STEDI_REASON_ENCODING : reason;
}

/* The members of a record, one after another, as key=value. */
static void
test_members(const char *text, const char *want)
{
	static StediMembers members;
	StediMember member;
	char	   *copy = padded_copy(text, strlen(text));
	StediSlice	record = {copy, strlen(text)};
	char		got[512] = "";

	stedi_json_members(&members, record);
	while (stedi_json_next_member(&members, &member))
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%.*s=%.*s%s,",
				 member.key_reason == STEDI_REASON_NONE ? "" : "!", (int) member.key.len, member.key.data,
				 (int) member.value.text.len, member.value.text.data,
				 member.reason == STEDI_REASON_NONE ? "" : "!");
	strcat(got, members.whole ? "whole" : "not whole");
	is_str(got, want, "members of %s", text);
	stedi_json_release_members(&members);
	stedi_json_release_members(&members);
	free(copy);
}

/* What is in an object, as lines of cases.tsv. */
static void
read_object(const char *name, const Text *object, DecodeFn decode, Text *lines)
{
	StediDecoder decoder;
	StediFramer framer;
	StediFrameStatus status;
	char	   *buf = padded_copy(object->data, object->len);
	size_t		done = 0;

	stedi_decode_init(&decoder, &key, 1);
	stedi_frame_init(&framer);
	lines->len = 0;
	do
	{
		StediField	field;
		StediSlice	record;
		StediReason reason;
		size_t		used;
		int			where;

		status = stedi_frame_next(&framer, buf + done, object->len - done, true, &record, &used);
		done += used;
		if (status != STEDI_FRAME_RECORD && status != STEDI_FRAME_BAD)
			continue;
		reason = status == STEDI_FRAME_BAD ? framer.reason : decode(&decoder, record, &field, &where);
		add_line(lines, name, reason, &field);
	} while (status != STEDI_FRAME_END);
	if (lines->len == 0)
	{
		add(lines, name);
		add(lines, "\tnothing\t\n");
	}
	stedi_decode_release(&decoder);
	free(buf);
}

/* Both decoders at once, in pieces of some sizes. */
static bool
reads_alike(const Text *object)
{
	StediDecoder decoder;
	bool		alike = true;

	stedi_decode_init(&decoder, &key, 1);
	for (size_t step = 1; step < object->len + 8 && alike; step = step * 2 + 1)
	{
		Alike		way = {{.step = step,.late = step % 4 == 1}, 0, 0};

		alike = object->len > 4096 || alike_object(&decoder, object->data, object->len, &way);
	}
	stedi_decode_release(&decoder);
	return alike;
}

int
main(void)
{
	static Text table;
	static Text object;
	static Text got;
	static Text slow;
	static Text walked;
	const char *p;
	const char *end;

	read_file(CASES, &table);
	end = table.data + table.len;
	for (p = table.data; p < end && *p == '#'; p++)
		p = memchr(p, '\n', end - p);
	while (p < end)
	{
		size_t		name_len = strcspn(p, "\t");
		char		name[128];
		const char *start;
		bool		rejected = false;

		snprintf(name, sizeof(name), "%.*s", (int) name_len, p);
		if (strncmp(p + name_len, "\tobject\t", 8) != 0)
			abort();
		p = start = read_escaped(p + name_len + 8, &object);
		while (p < end && strncmp(p, name, name_len) == 0 && p[name_len] == '\t')
		{
			rejected = rejected || strncmp(p + name_len + 1, "reject", 6) == 0;
			p = (const char *) memchr(p, '\n', end - p) + 1;
		}
		read_object(name, &object, stedi_decode_record, &got);
		read_object(name, &object, stedi_json_record, &slow);
		read_object(name, &object, decode_members, &walked);
		if (!ok(got.len == (size_t) (p - start) && memcmp(got.data, start, got.len) == 0 &&
				slow.len == got.len && memcmp(got.data, slow.data, got.len) == 0 && reads_alike(&object) &&
				walked.len == got.len && memcmp(got.data, walked.data, got.len) == 0 &&
				(name[0] == 'i' || (name[0] == 'n') == rejected), "%s", name))
			note("got:\n%.*sby json.c alone:\n%.*sby its members:\n%.*sexpected:\n%.*s", (int) got.len, got.data,
				 (int) slow.len, slow.data, (int) walked.len, walked.data, (int) (p - start), start);
	}
	test_members("{}", "whole");
	test_members("{ \t\n}", "whole");
	test_members("", "not whole");
	test_members("{", "not whole");
	test_members("{\"a\":1} ", "a=1,not whole");
	test_members("{\"a\":1,}", "a=1,not whole");
	test_members("{\"a\":1 \"b\":2}", "a=1,not whole");
	test_members("{\"b\":\"x\",\"a\":null,\"B\":[1,{\"c\":2}],\"b\":true}", "b=x,a=null,B=[1,{\"c\":2}],b=true,whole");
	test_members("{\"\\u0061\\n\":\"\\t\\\"\",\"\":-0.5e1}", "a\n=\t\",=-0.5e1,whole");
	test_members("{\"z\\u0000\":1,\"v\":\"\\u0000\",\"\\ud800\":\"\\udc00\"}",
				 "!z\\u0000=1,v=\\u0000!,!\\ud800=\\udc00!,whole");
	return done_testing();
}
