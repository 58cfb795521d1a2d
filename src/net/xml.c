/*-------------------------------------------------------------------------
 *
 * xml.c
 *		One answer of an S3 server -> keys, sizes, token, or an error code.
 *
 * Three documents are understood, by the path of each element:
 *
 *	 ListBucketResult		IsTruncated, NextContinuationToken, EncodingType
 *	   Contents				Key, Size, ETag, LastModified, StorageClass
 *	   CommonPrefixes		Prefix
 *	 Error					Code, Message, Region, Endpoint; of the token
 *							service's also below ErrorResponse
 *	 AssumeRole...Response/AssumeRole...Result/Credentials
 *							AccessKeyId, SecretAccessKey, SessionToken, Expiration
 *
 * The only user of expat.  The bytes come from the network, so: a document
 * type is refused, which leaves no entities but XML's own five; every text
 * has a fixed buffer and a limit; nothing of a page is handed on before all
 * of it was found in order.  That takes two passes over the page, for which
 * there is a second reason: whether keys are encoded may be said after them.
 *
 * Backend-free (see record.h): nothing throws; only expat allocates, and it is
 * wiped, for there may be keys in it, and freed before we return.  A
 * StediS3EntryFn runs inside expat and must not throw either.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <expat.h>

#include "record/record.h"
#include "net/wire.h"

/* S3's limit for a key, and what it becomes when every byte is encoded. */
#define MAX_KEY_LEN 1024
#define MAX_ENCODED_KEY_LEN (MAX_KEY_LEN * 3)

/* What has the longest text is a session token. */
#define MAX_TEXT_LEN (STEDI_TOKEN_SIZE - 1)

/* An MD5 and a number of parts are all that S3 puts in; others put less. */
#define MAX_ETAG_LEN 128
#define MAX_CLASS_LEN 40

/* Deepest path that we look at: root, result, Credentials, AccessKeyId. */
#define MAX_PATH 4

typedef enum Pass
{
	PASS_CHECK,					/* is all in order, and how are keys written? */
	PASS_GIVE,					/* hand the entries on */
	PASS_ERROR,					/* an Error */
	PASS_KEYS,					/* credentials */
} Pass;

/* What a parse is at. */
typedef struct Parse
{
	XML_Parser	expat;			/* owned by run_pass */
	Pass		pass;
	StediS3Page *page;			/* borrowed; page passes */
	StediS3Error *error;		/* borrowed; PASS_ERROR */
	StediToldKeys *keys;		/* borrowed; PASS_KEYS */
	StediS3EntryFn entry_fn;
	void	   *arg;
	bool		folders;		/* are handed on, and no objects */
	const char *trouble;		/* static; NULL: none so far */

	/* whole page */
	bool		url_encoded;
	bool		truncated_seen;

	/* place in the document */
	int			depth;
	char		path[MAX_PATH][32]; /* names of the open elements */

	/* the element in progress */
	char		text[MAX_TEXT_LEN + 1];
	size_t		text_len;
	bool		text_cut;		/* it had more than that */

	/* the Contents in progress */
	char		key[MAX_ENCODED_KEY_LEN + 1];
	char		etag[MAX_ETAG_LEN + 1];
	char		storage_class[MAX_CLASS_LEN + 1];
	int64_t		size;			/* -1: not seen */
	int64_t		modified_us;
} Parse;

static void
give_up(Parse *parse, const char *trouble)
{
	if (parse->trouble == NULL)
		parse->trouble = trouble;
	XML_StopParser(parse->expat, XML_FALSE);
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * Decode encoding-type=url in place.  A space is + on AWS, which writes a +
 * as %2B; other servers write %20, and none leaves a + alone.
 */
static bool
decode_url(char *text)
{
	char	   *out = text;

	for (const char *in = text; *in != '\0'; in++)
	{
		if (*in == '%')
		{
			int			high = hex_value(in[1]);
			int			low = high < 0 ? -1 : hex_value(in[2]);

			if (low < 0 || (high == 0 && low == 0))
				return false;
			*out++ = (char) (high * 16 + low);
			in += 2;
		}
		else
			*out++ = *in == '+' ? ' ' : *in;
	}
	*out = '\0';
	return true;
}

/* Digits alone, and within an int64. */
static bool
parse_size(const char *text, int64_t *size)
{
	int64_t		value = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++)
	{
		if (*text < '0' || *text > '9' || value > (INT64_MAX - 9) / 10)
			return false;
		value = value * 10 + (*text - '0');
	}
	*size = value;
	return true;
}

/*
 * 2026-11-23T22:18:00.000Z, with or without the fraction: of the times that
 * landing data may have, those that S3 writes.
 */
static bool
parse_time(const char *text, int64_t *modified_us)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";
	const size_t form_len = sizeof(form) - 1;
	StediField	field = {STEDI_FIELD_STRING, {text, strlen(text)}};

	if (field.text.len <= form_len || text[field.text.len - 1] != 'Z')
		return false;
	for (size_t i = 0; i < form_len; i++)
		if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return false;
	if (text[form_len] != '.' && text[form_len] != 'Z')
		return false;
	return stedi_value_time(&field, modified_us) == STEDI_REASON_NONE;
}

/* Copy text that is no longer than room allows. */
static bool
keep(char *to, size_t room, const char *text)
{
	size_t		len = strlen(text);

	if (len >= room)
		return false;
	memcpy(to, text, len + 1);
	return true;
}

/* The same, cutting what is too long, at the end of a character. */
static void
keep_start(char *to, size_t room, const char *text)
{
	size_t		len = strlen(text);

	if (len >= room)
	{
		len = room - 1;
		while (len > 0 && ((unsigned char) text[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(to, text, len);
	to[len] = '\0';
}

/*
 * An ETag is sent back in a header, so nothing may be in it that ends one;
 * spaces would be folded in the signature, but not by every server.
 */
static bool
keep_etag(Parse *parse)
{
	for (const char *p = parse->text; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	return keep(parse->etag, sizeof(parse->etag), parse->text);
}

/* An element directly below ListBucketResult ended. */
static void
end_of_page_element(Parse *parse, const char *name)
{
	if (strcmp(name, "IsTruncated") == 0)
	{
		parse->truncated_seen = true;
		parse->page->truncated = strcmp(parse->text, "true") == 0;
		if (!parse->page->truncated && strcmp(parse->text, "false") != 0)
			give_up(parse, "IsTruncated is neither true nor false");
	}
	else if (strcmp(name, "NextContinuationToken") == 0)
	{
		if (parse->text_cut ||
			!keep(parse->page->token, sizeof(parse->page->token), parse->text))
			give_up(parse, "a continuation token is too long");
	}
	else if (strcmp(name, "EncodingType") == 0)
	{
		parse->url_encoded = strcmp(parse->text, "url") == 0;
		if (!parse->url_encoded && parse->text_len > 0)
			give_up(parse, "keys are in an unknown encoding");
	}
}

/* An element directly below Contents ended. */
static void
end_of_entry_element(Parse *parse, const char *name)
{
	if (strcmp(name, "Key") == 0)
	{
		if (!keep(parse->key, sizeof(parse->key), parse->text))
			give_up(parse, "a key is too long");
	}
	else if (strcmp(name, "Size") == 0)
	{
		if (!parse_size(parse->text, &parse->size))
			give_up(parse, "a size is not a number");
	}
	else if (strcmp(name, "ETag") == 0)
	{
		if (parse->text_cut || !keep_etag(parse))
			give_up(parse, "an ETag is not one");
	}
	else if (strcmp(name, "LastModified") == 0)
	{
		if (parse->text_cut || !parse_time(parse->text, &parse->modified_us))
			give_up(parse, "a time of modification is not a time");
	}
	else if (strcmp(name, "StorageClass") == 0)
		keep_start(parse->storage_class, sizeof(parse->storage_class), parse->text);
}

static void
start_entry(Parse *parse)
{
	parse->key[0] = '\0';
	parse->etag[0] = '\0';
	parse->storage_class[0] = '\0';
	parse->size = -1;
	parse->modified_us = 0;
}

/* Hand an entry on. */
static void
give_entry(Parse *parse)
{
	StediS3Entry entry = {
		.key = parse->key,
		.etag = parse->etag,
		.size = parse->size,
		.modified_us = parse->modified_us,
		.storage_class = parse->storage_class,
	};

	if (parse->url_encoded && !decode_url(parse->key))
		give_up(parse, "a key is wrongly encoded");
	else if (strlen(parse->key) > MAX_KEY_LEN)
		give_up(parse, "a key is too long");
	else if (!parse->entry_fn(parse->arg, &entry))
		give_up(parse, "an object was refused");
	else
		parse->page->n_entries++;
}

/* A Contents ended: check it, or hand it on. */
static void
end_entry(Parse *parse)
{
	if (parse->pass == PASS_CHECK)
	{
		if (parse->key[0] == '\0')
			give_up(parse, "an object has no key");
		else if (parse->size < 0)
			give_up(parse, "an object has no size");
	}
	else if (!parse->folders)
		give_entry(parse);
}

/* A Prefix directly below CommonPrefixes ended: hand it on, if it is wanted. */
static void
end_folder(Parse *parse)
{
	if (!parse->folders || parse->pass != PASS_GIVE)
		return;
	start_entry(parse);
	if (!keep(parse->key, sizeof(parse->key), parse->text))
		give_up(parse, "a key is too long");
	else
		give_entry(parse);
}

/* An element directly below Error ended. */
static void
end_of_error_element(Parse *parse, const char *name)
{
	StediS3Error *error = parse->error;

	if (strcmp(name, "Code") == 0)
		keep_start(error->code, sizeof(error->code), parse->text);
	else if (strcmp(name, "Message") == 0)
		keep_start(error->message, sizeof(error->message), parse->text);
	else if (strcmp(name, "Region") == 0)
		keep_start(error->region, sizeof(error->region), parse->text);
	else if (strcmp(name, "Endpoint") == 0)
		keep_start(error->endpoint, sizeof(error->endpoint), parse->text);
}

/* An element directly below Credentials ended. */
static void
end_of_keys_element(Parse *parse, const char *name)
{
	StediToldKeys *keys = parse->keys;
	bool		kept = true;

	if (strcmp(name, "AccessKeyId") == 0)
		kept = keep(keys->access_key_id, sizeof(keys->access_key_id), parse->text);
	else if (strcmp(name, "SecretAccessKey") == 0)
		kept = keep(keys->secret_access_key, sizeof(keys->secret_access_key), parse->text);
	else if (strcmp(name, "SessionToken") == 0)
		kept = keep(keys->session_token, sizeof(keys->session_token), parse->text);
	else if (strcmp(name, "Expiration") == 0)
		kept = parse_time(parse->text, &keys->expires_us);
	if (!kept || parse->text_cut)
		give_up(parse, "credentials are not of their form");
}

/* Is the element that ended right below the one of this depth and name? */
static bool
is_below(const Parse *parse, int depth, const char *name)
{
	return parse->depth == depth && strcmp(parse->path[depth - 1], name) == 0;
}

/* Is it the root of what the pass reads? */
static bool
is_root(const Parse *parse, const char *name)
{
	switch (parse->pass)
	{
		case PASS_ERROR:
			return strcmp(name, "Error") == 0 || strcmp(name, "ErrorResponse") == 0;
		case PASS_KEYS:
			return strncmp(name, "AssumeRole", strlen("AssumeRole")) == 0;
		default:
			return strcmp(name, "ListBucketResult") == 0;
	}
}

/* never throws */
static void XMLCALL
on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	Parse	   *parse = arg;

	if (parse->trouble != NULL)
		return;					/* expat may finish a tag when stopped */
	if (parse->depth < MAX_PATH)
		keep_start(parse->path[parse->depth], sizeof(parse->path[0]), name);
	parse->depth++;
	if (parse->depth == 1)
	{
		if (!is_root(parse, name))
			give_up(parse, "it is no ListBucketResult");
	}
	else if (parse->depth == 2 && strcmp(name, "Contents") == 0)
		start_entry(parse);
	parse->text_len = 0;
	parse->text[0] = '\0';
	parse->text_cut = false;
}

/* never throws */
static void XMLCALL
on_end(void *arg, const XML_Char *name)
{
	Parse	   *parse = arg;

	if (parse->trouble != NULL)
		return;
	parse->depth--;
	if (parse->pass == PASS_ERROR)
	{
		if (is_below(parse, 1, "Error") || is_below(parse, 2, "Error"))
			end_of_error_element(parse, name);
	}
	else if (parse->pass == PASS_KEYS)
	{
		if (is_below(parse, 3, "Credentials"))
			end_of_keys_element(parse, name);
	}
	else if (parse->depth == 1 && strcmp(name, "Contents") == 0)
		end_entry(parse);
	else if (parse->depth == 1 && parse->pass == PASS_CHECK)
		end_of_page_element(parse, name);
	else if (parse->depth == 2 && strcmp(parse->path[1], "Contents") == 0)
		end_of_entry_element(parse, name);
	else if (parse->depth == 2 && strcmp(parse->path[1], "CommonPrefixes") == 0 &&
			 strcmp(name, "Prefix") == 0)
		end_folder(parse);

	/* Text of the element around this one is of no interest. */
	parse->text_len = 0;
	parse->text[0] = '\0';
	parse->text_cut = false;
}

/* never throws */
static void XMLCALL
on_text(void *arg, const XML_Char *text, int len)
{
	Parse	   *parse = arg;
	size_t		more = (size_t) len;

	if (more > MAX_TEXT_LEN - parse->text_len)
	{
		more = MAX_TEXT_LEN - parse->text_len;
		parse->text_cut = true;
	}
	memcpy(parse->text + parse->text_len, text, more);
	parse->text_len += more;
	parse->text[parse->text_len] = '\0';
}

/* never throws */
static void XMLCALL
on_doctype(void *arg, const XML_Char *name, const XML_Char *system,
		   const XML_Char *public, int internal)
{
	give_up(arg, "it has a document type");
}

/* What expat has its memory from: it is wiped when it is freed. */
typedef union Block
{
	size_t		size;
	long double align;			/* as strictly as any type wants it */
} Block;

static void *
block_malloc(size_t size)
{
	Block	   *block = size > SIZE_MAX - sizeof(Block) ? NULL : malloc(sizeof(Block) + size);

	if (block == NULL)
		return NULL;
	block->size = size;
	return block + 1;
}

static void
block_free(void *bytes)
{
	Block	   *block;

	if (bytes == NULL)
		return;
	block = (Block *) bytes - 1;
	explicit_bzero(bytes, block->size);
	free(block);
}

static void *
block_realloc(void *bytes, size_t size)
{
	void	   *larger = block_malloc(size);
	size_t		old_size = bytes == NULL ? 0 : ((Block *) bytes - 1)->size;

	if (larger == NULL || bytes == NULL)
		return larger;
	memcpy(larger, bytes, old_size < size ? old_size : size);
	block_free(bytes);
	return larger;
}

/* One pass over a document; false, with parse->trouble, when it went wrong. */
static bool
run_pass(Parse *parse, Pass pass, const char *xml, size_t len)
{
	static const XML_Memory_Handling_Suite memory = {block_malloc, block_realloc, block_free};
	enum XML_Status status;

	if (len > INT_MAX)
	{
		parse->trouble = "it is too long";
		return false;
	}
	parse->pass = pass;
	parse->depth = 0;
	parse->expat = XML_ParserCreate_MM(NULL, &memory, NULL);
	if (parse->expat == NULL)
	{
		parse->trouble = "out of memory";
		return false;
	}
	XML_SetUserData(parse->expat, parse);
	XML_SetElementHandler(parse->expat, on_start, on_end);
	XML_SetCharacterDataHandler(parse->expat, on_text);
	XML_SetStartDoctypeDeclHandler(parse->expat, on_doctype);
	status = XML_Parse(parse->expat, xml, (int) len, XML_TRUE);
	if (status != XML_STATUS_OK && parse->trouble == NULL)
		parse->trouble = XML_GetErrorCode(parse->expat) == XML_ERROR_NO_MEMORY ?
			"out of memory" : "it is cut off or no XML";
	XML_ParserFree(parse->expat);
	parse->expat = NULL;
	return parse->trouble == NULL;
}

/* Read a page, for its objects or its folders. */
static bool
read_page(const char *xml, size_t len, bool folders,
		  StediS3EntryFn entry_fn, void *arg, StediS3Page *page)
{
	Parse		parse;

	memset(&parse, 0, sizeof(parse));
	memset(page, 0, sizeof(*page));
	parse.folders = folders;
	parse.page = page;
	parse.entry_fn = entry_fn;
	parse.arg = arg;
	if (run_pass(&parse, PASS_CHECK, xml, len) && !parse.truncated_seen)
		parse.trouble = "IsTruncated is missing";
	if (parse.trouble == NULL)
		(void) run_pass(&parse, PASS_GIVE, xml, len);
	page->trouble = parse.trouble;
	return parse.trouble == NULL;
}

bool
stedi_s3xml_page(const char *xml, size_t len,
				 StediS3EntryFn entry_fn, void *arg, StediS3Page *page)
{
	return read_page(xml, len, false, entry_fn, arg, page);
}

bool
stedi_s3xml_folders(const char *xml, size_t len,
					StediS3EntryFn entry_fn, void *arg, StediS3Page *page)
{
	return read_page(xml, len, true, entry_fn, arg, page);
}

/* See wire.h.  What came before a cut is taken: a code is better than none. */
void
stedi_s3xml_error(const char *xml, size_t len, StediS3Error *error)
{
	Parse		parse;

	memset(&parse, 0, sizeof(parse));
	memset(error, 0, sizeof(*error));
	parse.error = error;
	(void) run_pass(&parse, PASS_ERROR, xml, len);
}

bool
stedi_s3xml_keys(const char *xml, size_t len, StediToldKeys *keys)
{
	Parse		parse;
	bool		whole;

	memset(&parse, 0, sizeof(parse));
	memset(keys, 0, sizeof(*keys));
	parse.keys = keys;
	whole = run_pass(&parse, PASS_KEYS, xml, len);
	explicit_bzero(&parse, sizeof(parse));
	return whole && keys->access_key_id[0] != '\0' &&
		keys->secret_access_key[0] != '\0' && keys->session_token[0] != '\0';
}
