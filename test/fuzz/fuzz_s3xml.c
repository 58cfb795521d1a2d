/*
 * Whatever a server answers, all that is read of it is within its bounds, a
 * second reading finds the same, and a page that is refused gave no object
 * before it was found in order.  Guards src/net/xml.c.
 */
#include "fuzz.h"
#include "net/wire.h"

#define HEADER 1

/* S3's limit for a key. */
#define MAX_KEY_LEN 1024

/* What was handed on of a page. */
typedef struct Seen
{
	int			n;
	int			refuse_at;		/* the object that is refused, or -1 */
	bool		folders;		/* are handed on, and no objects */
	uint64_t	sum;			/* of all that was said */
} Seen;

static void
add_bytes(Seen *seen, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++)
		seen->sum = (seen->sum ^ p[i]) * UINT64_C(0x100000001b3);
}

static bool
see_entry(void *arg, const StediS3Entry *entry)
{
	Seen	   *seen = arg;

	CLAIM((entry->key[0] != '\0' || seen->folders) && strlen(entry->key) <= MAX_KEY_LEN);
	CLAIM(entry->size >= 0 || seen->folders);
	for (const char *p = entry->etag; *p != '\0'; p++)
		CLAIM(*p > ' ' && *p <= '~');
	add_bytes(seen, entry->key, strlen(entry->key) + 1);
	add_bytes(seen, entry->etag, strlen(entry->etag) + 1);
	add_bytes(seen, entry->storage_class, strlen(entry->storage_class) + 1);
	add_bytes(seen, &entry->size, sizeof(entry->size));
	add_bytes(seen, &entry->modified_us, sizeof(entry->modified_us));
	return seen->n++ != seen->refuse_at;
}

static void
read_page(const char *xml, size_t len, bool folders, int refuse_at, Seen *seen, StediS3Page *page)
{
	bool		whole;

	memset(seen, 0, sizeof(*seen));
	memset(page, 0x55, sizeof(*page));
	seen->refuse_at = refuse_at;
	seen->folders = folders;
	whole = (folders ? stedi_s3xml_folders : stedi_s3xml_page) (xml, len, see_entry, seen, page);
	CLAIM(whole == (page->trouble == NULL));
	CLAIM(memchr(page->token, '\0', sizeof(page->token)) != NULL);
	CLAIM(page->n_entries == seen->n - (seen->refuse_at >= 0 && seen->n > seen->refuse_at));
	CLAIM(!whole || seen->refuse_at < 0 || seen->n <= seen->refuse_at);
}

/* Is there a NUL in each text of fixed size? */
#define IS_TEXT(text) (memchr((text), '\0', sizeof(text)) != NULL)

static void
read_others(const char *xml, size_t len)
{
	static StediToldKeys keys;
	static StediToldKeys again;
	StediS3Error error;
	bool		told;

	memset(&error, 0x55, sizeof(error));
	stedi_s3xml_error(xml, len, &error);
	CLAIM(IS_TEXT(error.code) && IS_TEXT(error.message) && IS_TEXT(error.region) && IS_TEXT(error.endpoint));

	memset(&keys, 0x55, sizeof(keys));
	told = stedi_s3xml_keys(xml, len, &keys);
	CLAIM(IS_TEXT(keys.access_key_id) && IS_TEXT(keys.secret_access_key) && IS_TEXT(keys.session_token));
	CLAIM(!told || (keys.access_key_id[0] != '\0' && keys.secret_access_key[0] != '\0' && keys.session_token[0] != '\0'));
	CLAIM(stedi_s3xml_keys(xml, len, &again) == told && memcmp(&keys, &again, sizeof(keys)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	StediS3Page page;
	StediS3Page again;
	Seen		seen;
	Seen		seen_again;
	char	   *xml;
	size_t		len = size - HEADER;

	if (size < HEADER)
		return 0;
	xml = exact_copy(data + HEADER, len);
	read_page(xml, len, false, -1, &seen, &page);
	read_page(xml, len, false, -1, &seen_again, &again);
	CLAIM(seen.n == seen_again.n && seen.sum == seen_again.sum && page.truncated == again.truncated &&
		  page.trouble == again.trouble && strcmp(page.token, again.token) == 0);
	read_page(xml, len, false, data[0] % 8, &seen_again, &again);
	read_page(xml, len, true, -1, &seen_again, &again);
	read_page(xml, len, true, data[0] % 8, &seen_again, &again);
	read_others(xml, len);
	free(xml);
	return 0;
}
