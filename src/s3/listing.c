/*-------------------------------------------------------------------------
 *
 * listing.c
 *		A listing of objects: fill it, bound it, copy it.
 *
 * What list.c, for a bucket, and local.c, for a folder, do alike.
 *
 *-------------------------------------------------------------------------
 */
#include "s3/s3.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* Room that a listing starts with; it doubles from there. */
#define FIRST_OBJECTS 64

StediGlob *
stedi_listing_glob(const StediOptions *opts)
{
	StediGlob  *glob;

	if (opts->pattern == NULL)
		return NULL;
	glob = palloc(sizeof(StediGlob));
	stedi_glob_init(glob, pg_server_to_any(opts->pattern, strlen(opts->pattern), PG_UTF8));
	return glob;
}

/* Never throws. */
bool
stedi_listing_skips(const char *key, const char *prefix)
{
	const char *name = key + strlen(prefix);

	/* The prefix itself is a folder's marker, too. */
	if (*key == '\0' || key[strlen(key) - 1] == '/')
		return true;
	for (;;)
	{
		size_t		len = strcspn(name, "/");

		/* . and .. are odd names of folders in a bucket, and hide nothing */
		if (*name == '_' ||
			(*name == '.' && !(len == 1 || (len == 2 && name[1] == '.'))))
			return true;
		if (name[len] == '\0')
			return false;
		name += len + 1;
	}
}

void
stedi_listing_check_room(const StediOptions *opts, int n)
{
	if (n < opts->max_objects)
		return;
	ereport(ERROR,
			errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			opts->local ?
			errmsg("could not list folder \"%s/%s\": it has more than option \"max_objects\" (%d) allows",
				   opts->root, opts->prefix, opts->max_objects) :
			errmsg("could not list bucket \"%s\": prefix \"%s\" has more objects than option \"max_objects\" (%d) allows",
				   opts->bucket, opts->prefix, opts->max_objects),
			errhint("Name a smaller part in option \"prefix\" of the foreign table, or raise option \"max_objects\" of the server."));
}

void
stedi_listing_add(StediListing *listing, const char *key, const char *etag,
				  int64 size, TimestampTz modified)
{
	int			n = listing->n_objects;
	StediObject *object;

	/* Full whenever the count is a power of two: it is then doubled. */
	if (n == 0)
		listing->objects = palloc(FIRST_OBJECTS * sizeof(StediObject));
	else if (n >= FIRST_OBJECTS && (n & (n - 1)) == 0)
		listing->objects = repalloc_huge(listing->objects,
										 2 * (Size) n * sizeof(StediObject));
	object = &listing->objects[n];
	memset(object, 0, sizeof(*object));
	object->key = pstrdup(key);
	object->etag = pstrdup(etag);
	object->size = size;
	object->modified = modified;
	listing->n_objects = n + 1;
	listing->total_size += size;
}

StediListing *
stedi_listing_copy(const StediListing *listing)
{
	StediListing *copy = palloc(sizeof(StediListing));

	*copy = *listing;
	copy->objects = palloc_extended(Max(listing->n_objects, 1) * sizeof(StediObject),
									MCXT_ALLOC_HUGE);
	for (int i = 0; i < listing->n_objects; i++)
	{
		CHECK_FOR_INTERRUPTS();
		copy->objects[i] = listing->objects[i];
		copy->objects[i].key = pstrdup(listing->objects[i].key);
		copy->objects[i].etag = pstrdup(listing->objects[i].etag);
	}
	return copy;
}
