/*-------------------------------------------------------------------------
 *
 * option_form.c
 *		The text of an option -> its value, or what is wanted in its place.
 *
 * Backend-free (see record.h).  Whoever may make a server or a foreign table
 * writes these texts.  option.c says which option has which form, who may set
 * it, and in an error what was wrong; what is wanted is a sentence for its
 * hint.
 *
 *-------------------------------------------------------------------------
 */
#include "base/form.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Letters of names that become part of a host's name. */
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

/* The longest name of a bucket that any server has had. */
#define MAX_BUCKET_LEN 255

#define S3_SCHEME "s3://"
#define FILE_SCHEME "file://"

static bool
begins_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

bool
stedi_form_int(const char *text, bool size, int64_t min, int64_t max, int64_t *value)
{
	char	   *end;
	long long	number;
	int64_t		unit = 1;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (end == text || errno != 0)
		return false;
	if (size && strcasecmp(end, "kB") == 0)
		unit = 1024;
	else if (size && strcasecmp(end, "MB") == 0)
		unit = 1024 * 1024;
	else if (*end != '\0')
		return false;
	/* what is beyond the bounds would overflow first */
	if (number > max / unit || number < min / unit)
		return false;
	*value = number * unit;
	return *value >= min && *value <= max;
}

int
stedi_form_choice(const char *text, const char *const *choices)
{
	for (int i = 0; choices[i] != NULL; i++)
		if (strcmp(choices[i], text) == 0)
			return i;
	return -1;
}

const char *
stedi_form_url(const char *text)
{
	const char *bucket = text + strlen(S3_SCHEME);
	size_t		len;

	if (begins_with(text, FILE_SCHEME "/"))
		return NULL;
	if (!begins_with(text, S3_SCHEME))
		return "Give s3://bucket[/prefix], or file:///folder with an absolute path.";
	len = strcspn(bucket, "/");
	if (len < 1 || len > MAX_BUCKET_LEN || strspn(bucket, NAME_CHARS ".") != len ||
		strspn(bucket, ".") == len)
		return "Give the url as s3://bucket or s3://bucket/prefix.";
	return NULL;
}

const char *
stedi_form_endpoint(const char *text)
{
	const char *host = NULL;

	if (begins_with(text, "https://"))
		host = text + strlen("https://");
	else if (begins_with(text, "http://"))
		host = text + strlen("http://");
	if (host == NULL || *host == '\0' || strspn(host, NAME_CHARS ".:[]") != strlen(host))
		return "Give scheme://host or scheme://host:port, for example https://s3.example.com.";
	return NULL;
}

const char *
stedi_form_region(const char *text)
{
	if (strlen(text) >= STEDI_REGION_SIZE || *text == '\0' ||
		strspn(text, NAME_CHARS) != strlen(text))
		return "Give a region's name, for example us-east-1.";
	return NULL;
}

const char *
stedi_form_text(const char *text)
{
	if (*text == '\0')
		return "Give a value that is not empty.";
	if (strpbrk(text, "\r\n") != NULL)
		return "Give a value without line ends.";
	return NULL;
}

const char *
stedi_form_file(const char *text)
{
	return *text == '/' ? NULL : "Give an absolute path.";
}

StediSlice
stedi_form_folder(const char *path, bool local)
{
	StediSlice	folder;

	while (local && *path == '/')
		path++;
	folder.data = path;
	folder.len = strlen(path);
	while (local && folder.len > 0 && path[folder.len - 1] == '/')
		folder.len--;
	return folder;
}

/* Without the / at its end: all of a path, one of a bucket's url. */
static size_t
url_length(const char *url, bool local)
{
	size_t		len = strlen(url);
	size_t		least = strlen(local ? FILE_SCHEME "/" : S3_SCHEME);

	if (!local)
		return len > least && url[len - 1] == '/' ? len - 1 : len;
	while (len > least && url[len - 1] == '/')
		len--;
	return len;
}

void
stedi_form_split_url(const char *url, StediUrl *parts)
{
	memset(parts, 0, sizeof(*parts));
	parts->local = begins_with(url, FILE_SCHEME);
	parts->whole.data = url;
	parts->whole.len = url_length(url, parts->local);
	if (parts->local)
	{
		parts->root.data = url + strlen(FILE_SCHEME);
		parts->root.len = parts->whole.len - strlen(FILE_SCHEME);
	}
	else
	{
		const char *rest;

		parts->bucket.data = url + strlen(S3_SCHEME);
		parts->bucket.len = strcspn(parts->bucket.data, "/");
		rest = parts->bucket.data + parts->bucket.len;
		parts->folder = stedi_form_folder(*rest == '/' ? rest + 1 : rest, false);
	}
}
