/*-------------------------------------------------------------------------
 *
 * list.c
 *		A prefix -> the objects under it, page by page.
 *
 * The listing fixes what a query reads: sizes and ETags are those of this
 * moment, and an object that is another one when its turn comes is an error
 * (fetch.c, local.c).  A landing zone is never read in part: a page that is
 * not understood ends the query, as does an empty prefix unless the table
 * says that it may be empty.
 *
 * Objects whose name, or the name of a folder of theirs, starts with _ or .
 * are passed over: Spark, Hive and Hadoop write such ones beside the data
 * (_SUCCESS, _temporary/, .part-0.crc), and so are the empty objects that
 * consoles make for folders.  So are those that option "pattern" leaves out;
 * what comes before its first wildcard is asked of the server.
 *
 * A prefix with nothing under it may be the key of one object, which then is
 * all that there is.
 *
 * The planner's estimate and the scans of a query share a listing: it is kept
 * for a moment, at most until its transaction ends (stedi_list_get).
 *
 *-------------------------------------------------------------------------
 */
#include "s3/s3.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/*
 * How long a listing serves the scans of its transaction.  It has to last
 * from a statement's planning to its execution, which the extended protocol
 * keeps apart, and for all the scans of one query.
 */
#define LISTING_AGE_MS 5000

/*
 * Empty pages that may follow each other: S3 sends some where it has passed
 * over many keys that were deleted.
 */
#define MAX_EMPTY_PAGES 1000

/* A listing that the scans of a transaction share; lives in cxt. */
typedef struct KeptListing
{
	MemoryContext cxt;			/* child of TopTransactionContext */
	MemoryContextCallback forget;
	struct KeptListing *next;
	Oid			serverid;
	Oid			relid;
	Oid			userid;
	char	   *url;
	char	   *prefix;
	char	   *object;			/* NULL: none */
	char	   *pattern;		/* NULL: none */
	TimestampTz listed;			/* when */
	StediListing *listing;
	uint64		n_requests;		/* that it took, until a scan has counted them */
} KeptListing;

static KeptListing *kept_listings = NULL;

/* One object of a page, as noted inside expat. */
typedef struct PageEntry
{
	struct PageEntry *next;
	const char *etag;			/* in strings */
	int64		size;
	int64		modified_us;
	char		strings[FLEXIBLE_ARRAY_MEMBER]; /* the key, and the ETag */
} PageEntry;

typedef struct PageEntries
{
	PageEntry  *first;
	PageEntry **last;			/* where the next one is linked */
	bool		out_of_memory;
} PageEntries;

/*
 * Note an object of a page.  Never throws: expat's frames are below us.
 */
static bool
list_on_entry(void *arg, const StediS3Entry *entry)
{
	PageEntries *entries = arg;
	size_t		key_size = strlen(entry->key) + 1;
	size_t		etag_size = strlen(entry->etag) + 1;
	PageEntry  *noted = palloc_extended(offsetof(PageEntry, strings) + key_size + etag_size,
										MCXT_ALLOC_NO_OOM);

	if (noted == NULL)
	{
		entries->out_of_memory = true;
		return false;
	}
	noted->next = NULL;
	noted->size = entry->size;
	noted->modified_us = entry->modified_us;
	memcpy(noted->strings, entry->key, key_size);
	memcpy(noted->strings + key_size, entry->etag, etag_size);
	noted->etag = noted->strings + key_size;
	*entries->last = noted;
	entries->last = &noted->next;
	return true;
}

/* A page that we cannot take for what it says it is. */
static void
report_page(const StediOptions *opts, const char *trouble)
{
	ereport(ERROR,
			errcode(ERRCODE_FDW_UNABLE_TO_CREATE_REPLY),
			errmsg("could not list bucket \"%s\": the server's answer is no listing",
				   opts->bucket),
			errdetail("Of the answer: %s.", trouble),
			errhint("Check option \"endpoint\" of the server: it may not be an S3 server's."));
}

/* Read one page; its entries are made in the current context. */
static void
list_page(const StediOptions *opts, StediFetch *fetch, const char *prefix,
		  const char *token, PageEntries *entries, StediS3Page *page)
{
	char	   *xml;
	Size		len;

	entries->first = NULL;
	entries->last = &entries->first;
	entries->out_of_memory = false;
	stedi_fetch_page(fetch, prefix, token, &xml, &len);
	if (stedi_s3xml_page(xml, len, list_on_entry, entries, page))
		return;
	if (entries->out_of_memory)
		ereport(ERROR,
				errcode(ERRCODE_OUT_OF_MEMORY),
				errmsg("out of memory"),
				errdetail("Failed while listing bucket \"%s\".", opts->bucket));
	report_page(opts, page->trouble);
}

/* An object that a page names; a key that cannot be right is an error. */
static void
add_entry(const StediOptions *opts, const PageEntry *entry, StediListing *listing)
{
	TimestampTz modified = entry->modified_us -
	(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

	stedi_listing_check_room(opts, listing->n_objects);
	stedi_listing_add(listing, entry->strings, entry->etag, entry->size, modified);
}

/* What is asked of a bucket. */
typedef struct BucketList
{
	const StediOptions *opts;
	StediFetch *fetch;
	const char *prefix;			/* of the table */
	const char *asked;			/* of the keys that are asked for: it begins
								 * with that one */
	StediGlob  *glob;			/* NULL: all of them are wanted */
} BucketList;

/* Add what one page brought. */
static void
add_entries(const BucketList *list, const PageEntries *entries, StediListing *listing)
{
	for (const PageEntry *entry = entries->first; entry != NULL; entry = entry->next)
	{
		const char *key = entry->strings;

		if (!pg_verify_mbstr(PG_UTF8, key, strlen(key), true))
			report_page(list->opts, "a key is not UTF-8");
		if (strncmp(key, list->asked, strlen(list->asked)) != 0)
			report_page(list->opts, "a key is not under the prefix that was asked for");
		if (stedi_listing_skips(key, list->prefix))
			listing->n_skipped++;
		else if (list->glob != NULL && !stedi_glob_matches(list->glob, key + strlen(list->prefix)))
			listing->n_unmatched++;
		else
			add_entry(list->opts, entry, listing);
	}
}

/* List the keys that are asked for, following every page. */
static void
list_pages(const BucketList *list, StediListing *listing, StediProgress *progress)
{
	const StediOptions *opts = list->opts;
	MemoryContext cxt = CurrentMemoryContext;
	MemoryContext page_cxt = AllocSetContextCreate(cxt, "stedi page", ALLOCSET_DEFAULT_SIZES);
	StediS3Page page = {.truncated = true};
	char		token[sizeof(page.token)] = "";
	char		met[sizeof(page.token)] = "";	/* an earlier one */
	int			n_empty = 0;	/* pages in a row */

	for (uint64 n = 1; page.truncated; n++)
	{
		PageEntries entries;
		int			n_before = listing->n_objects;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(page_cxt);
		MemoryContextSwitchTo(page_cxt);
		list_page(opts, list->fetch, list->asked, token, &entries, &page);
		MemoryContextSwitchTo(cxt);
		add_entries(list, &entries, listing);
		stedi_progress_add(progress, listing->n_objects - n_before, 0);
		if (page.truncated && page.token[0] == '\0')
			report_page(opts, "it says that more pages follow, but not how to ask for them");
		if (page.truncated && strcmp(page.token, met) == 0)
			report_page(opts, "it says that the next page is one that was there before");
		n_empty = entries.first == NULL ? n_empty + 1 : 0;
		if (page.truncated && n_empty > MAX_EMPTY_PAGES)
			report_page(opts, "it says that more pages follow, but they are empty");
		stedi_listing_check_room(opts, listing->n_skipped - 1);
		stedi_listing_check_room(opts, listing->n_unmatched - 1);
		strlcpy(token, page.token, sizeof(token));
		if ((n & (n - 1)) == 0) /* a circle of any length is noticed so */
			strlcpy(met, token, sizeof(met));
	}
	MemoryContextDelete(page_cxt);
}

/* The one object of that key, if it is there: an empty one is a folder's marker. */
static void
list_one(const StediOptions *opts, StediFetch *fetch, const char *key, StediListing *listing)
{
	PageEntries entries;
	StediS3Page page;

	list_page(opts, fetch, key, "", &entries, &page);
	for (const PageEntry *entry = entries.first; entry != NULL; entry = entry->next)
		if (strcmp(entry->strings, key) == 0 && entry->size > 0 && listing->n_objects == 0)
			add_entry(opts, entry, listing);
}

static void
list_bucket(const StediOptions *opts, StediFetch *fetch, StediListing *listing,
			StediProgress *progress)
{
	BucketList	list = {.opts = opts,.fetch = fetch,.glob = stedi_listing_glob(opts)};

	list.prefix = pg_server_to_any(opts->prefix, strlen(opts->prefix), PG_UTF8);
	list.asked = list.prefix;
	if (list.glob != NULL)
	{
		char		literal[STEDI_GLOB_SIZE];

		stedi_glob_literal(list.glob, literal);
		list.asked = psprintf("%s%s", list.prefix, literal);
	}
	list_pages(&list, listing, progress);
	if (opts->object != NULL && listing->n_objects + listing->n_skipped == 0)
		list_one(opts, fetch, pg_server_to_any(opts->object, strlen(opts->object), PG_UTF8), listing);
}

/* Sorting millions of keys takes long enough to be cancelled. */
static int
compare_keys(const void *a, const void *b)
{
	CHECK_FOR_INTERRUPTS();
	return strcmp(((const StediObject *) a)->key, ((const StediObject *) b)->key);
}

/* What was passed over, as the DETAIL of an error: as in ereport. */
static int
detail_passed_over(const StediListing *listing)
{
	if (listing->n_unmatched > 0)
		return errdetail_plural("%d object is there, and option \"pattern\" of the foreign table leaves it out.",
								"%d objects are there, and option \"pattern\" of the foreign table leaves them out.",
								listing->n_unmatched, listing->n_unmatched);
	if (listing->n_skipped > 0)
		return errdetail_plural("%d was passed over: a folder marker, or a name that starts with \"_\" or \".\".",
								"%d were passed over: folder markers, or names that start with \"_\" or \".\".",
								listing->n_skipped, listing->n_skipped);
	return 0;
}

/* Nothing to read is a mistake more often than not. */
static void
check_not_empty(const StediOptions *opts, Oid userid, StediFetch *fetch,
				const StediListing *listing)
{
	const char *matching = "";

	if (listing->n_objects > 0 || opts->allow_empty)
		return;
	if (opts->pattern != NULL)
		matching = psprintf(" matches pattern \"%s\"", opts->pattern);
	ereport(ERROR,
			errcode(ERRCODE_UNDEFINED_OBJECT),
			opts->local ?
			errmsg("no object under folder \"%s/%s\"%s", opts->root, opts->prefix, matching) :
			errmsg("no object under prefix \"%s\" of bucket \"%s\"%s", opts->prefix, opts->bucket, matching),
			detail_passed_over(listing),
			opts->pattern != NULL ?
			errhint("A pattern is matched with what follows the prefix; * and ? do not match a \"/\", and **/ matches any folders.") :
			errhint("%s", stedi_suggest_near(opts, userid, fetch)));
}

StediListing *
stedi_list_objects(const StediOptions *opts, Oid userid, StediFetch *fetch,
				   StediProgress *progress)
{
	StediListing *listing = palloc0(sizeof(StediListing));

	if (opts->local)
		stedi_local_list(opts, listing, progress);
	else
		list_bucket(opts, fetch, listing, progress);
	check_not_empty(opts, userid, fetch, listing);
	if (listing->n_objects > 1)
		qsort(listing->objects, listing->n_objects, sizeof(StediObject), compare_keys);
	for (int i = 1; i < listing->n_objects; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (strcmp(listing->objects[i - 1].key, listing->objects[i].key) == 0)
			report_page(opts, "a key comes twice");
	}
	stedi_suggest_warn_beside(opts, userid, listing);
	return listing;
}

/* Take a listing out of the list, as its memory goes. */
static void
forget_listing(void *arg)
{
	KeptListing **link = &kept_listings;

	while (*link != NULL && *link != arg)
		link = &(*link)->next;
	if (*link != NULL)
		*link = (*link)->next;
}

/* Are both the same text, or neither there? */
static bool
is_same(const char *one, const char *other)
{
	return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

/* The listing of these objects that is kept, or NULL; one too old is dropped. */
static KeptListing *
find_listing(const StediOptions *opts, Oid userid)
{
	for (KeptListing *kept = kept_listings; kept != NULL; kept = kept->next)
	{
		if (kept->serverid != opts->serverid || kept->relid != opts->relid || kept->userid != userid ||
			strcmp(kept->url, opts->url) != 0 || strcmp(kept->prefix, opts->prefix) != 0 ||
			!is_same(kept->object, opts->object) || !is_same(kept->pattern, opts->pattern))
			continue;
		if (!TimestampDifferenceExceeds(kept->listed, GetCurrentTimestamp(), LISTING_AGE_MS))
			return kept;
		MemoryContextDelete(kept->cxt);
		return NULL;
	}
	return NULL;
}

/* List the objects, and keep the listing until the transaction ends. */
static KeptListing *
make_listing(const StediOptions *opts, Oid userid)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "stedi listing",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(cxt);
	KeptListing *kept = palloc0(sizeof(KeptListing));
	MemoryContext fetch_cxt = NULL;
	StediFetch *fetch = NULL;
	StediProgress progress;

	kept->cxt = cxt;
	kept->serverid = opts->serverid;
	kept->relid = opts->relid;
	kept->userid = userid;
	kept->url = pstrdup(opts->url);
	kept->prefix = pstrdup(opts->prefix);
	kept->object = opts->object != NULL ? pstrdup(opts->object) : NULL;
	kept->pattern = opts->pattern != NULL ? pstrdup(opts->pattern) : NULL;
	if (!opts->local)
	{
		/* the client of the listing ends with it; the scan has its own */
		fetch_cxt = AllocSetContextCreate(caller, "stedi listing client",
										  ALLOCSET_DEFAULT_SIZES);
		MemoryContextSwitchTo(fetch_cxt);
		fetch = stedi_fetch_open(opts, userid);
		MemoryContextSwitchTo(cxt);
	}
	kept->listed = GetCurrentTimestamp();
	stedi_progress_start(&progress, STEDI_PHASE_LISTING, opts->relid, 0, 0);
	stedi_progress_report(&progress);
	kept->listing = stedi_list_objects(opts, userid, fetch, &progress);
	stedi_progress_stop(&progress);
	if (fetch != NULL)
	{
		kept->n_requests = stedi_fetch_stats(fetch)->n_lists;
		MemoryContextDelete(fetch_cxt);
	}

	/* all is well: from here on it belongs to the transaction */
	MemoryContextSetParent(cxt, TopTransactionContext);
	kept->next = kept_listings;
	kept_listings = kept;
	kept->forget.func = forget_listing;
	kept->forget.arg = kept;
	MemoryContextRegisterResetCallback(cxt, &kept->forget);
	MemoryContextSwitchTo(caller);
	return kept;
}

void
stedi_list_forget(void)
{
	while (kept_listings != NULL)
		MemoryContextDelete(kept_listings->cxt);
}

const StediListing *
stedi_list_get(const StediOptions *opts, Oid userid, uint64 *n_requests)
{
	KeptListing *kept = find_listing(opts, userid);

	if (kept == NULL)
		kept = make_listing(opts, userid);

	/* of all that share the listing, the first to ask counts its requests */
	if (n_requests != NULL)
	{
		*n_requests = kept->n_requests;
		kept->n_requests = 0;
	}
	return kept->listing;
}
