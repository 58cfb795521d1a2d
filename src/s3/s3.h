/*-------------------------------------------------------------------------
 *
 * s3.h
 *		A prefix -> its objects -> their bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_S3_H
#define STEDI_S3_H

#include "base/base.h"
#include "base/progress.h"
#include "credential/credential.h"

/* listing.c */

typedef struct StediObject
{
	const char *key;			/* in the bucket or below the root; UTF-8 for
								 * S3 */
	const char *etag;			/* as the server writes it, quotes and all */
	int64		size;			/* bytes, as stored */
	TimestampTz modified;

	bool		again;			/* read before, as it is: for some people only */

	/* what this scan found in it: written by scan.c */
	uint64		n_records;
	uint64		n_rejects;
	bool		read;			/* to its end */
	bool		pruned;			/* a clause on the object leaves it out */
} StediObject;

typedef struct StediListing
{
	StediObject *objects;		/* in the order of their keys, byte by byte */
	int			n_objects;
	int			n_skipped;		/* folder markers, _names and .names */
	int			n_unmatched;	/* that option "pattern" leaves out, of those
								 * that were looked at */
	int64		total_size;
} StediListing;

/* Option "pattern", in the current context; NULL when there is none. */
extern StediGlob *stedi_listing_glob(const StediOptions *opts);

/* Is a key under the prefix to be passed over (folder marker, _name, .name)? */
extern bool stedi_listing_skips(const char *key, const char *prefix);

/* An error when a listing of n objects is full, by option max_objects. */
extern void stedi_listing_check_room(const StediOptions *opts, int n);

/* Add an object to a listing; copies key and etag into the current context. */
extern void stedi_listing_add(StediListing *listing, const char *key,
							  const char *etag, int64 size, TimestampTz modified);

/* A copy in the current context, names and all. */
extern StediListing *stedi_listing_copy(const StediListing *listing);

/* denied.c */

/*
 * An argument of ereport, behind errcode_for_file_access(): detail and hint of
 * what refuses, if that is it.  key is that of an object, or a prefix, below
 * the folder of the url; NULL: it is that folder.
 */
extern int	stedi_local_explain(const StediOptions *opts, const char *key);

/* local.c */

typedef struct StediLocal StediLocal;

extern void stedi_local_list(const StediOptions *opts, StediListing *listing,
							 StediProgress *progress);

/* The names of the folders right below a prefix, in the current context. */
extern List *stedi_local_folders(const StediOptions *opts, const char *prefix);

/* Open an object; an error when it is not the one that was listed. */
extern StediLocal *stedi_local_open(const StediOptions *opts, const StediObject *object);

/* The next bytes, at most room; 0 at the end. */
extern Size stedi_local_read(StediLocal *local, char *dest, Size room);
extern void stedi_local_close(StediLocal *local);

/* operation.c */

/*
 * A signed request for an object from a byte on (etag "": whichever is
 * there), or for a page of a listing; in the current context.  Good for some
 * minutes.  folders: each folder right below the prefix stands for what is in
 * it.
 */
extern StediRequest *stedi_request_object(const StediOptions *opts,
										  const StediCredential *credential,
										  const char *key, const char *etag, uint64 from);
extern StediRequest *stedi_request_page(const StediOptions *opts,
										const StediCredential *credential,
										const char *prefix, const char *token, bool folders);

/* report.c */

/* Raise the error for it; it was tried that often, as credential says. */
pg_noreturn extern void stedi_s3_report(const StediOptions *opts, const StediCredential *credential,
										const StediObject *object, const StediAnswer *answer,
										int n_tries);

/* fetch.c */

typedef struct StediFetch StediFetch;

typedef struct StediFetchStats
{
	uint64		n_lists;		/* requests, all tries */
	uint64		n_gets;
	uint64		bytes;			/* of objects' bodies */
} StediFetchStats;

/*
 * A client of opts' bucket for userid.  Lives in the current context, which
 * owns libcurl's memory through a reset callback.
 */
extern StediFetch *stedi_fetch_open(const StediOptions *opts, Oid userid);

/*
 * Hand over the next object of those to be read.  Transfers run in the order
 * of these calls, opts->connections at a time, each with a bounded buffer.
 * may_change: when it is no longer the one that was listed, as it is now will
 * do, and is what *object then says.
 */
extern void stedi_fetch_add(StediFetch *fetch, StediObject *object, bool may_change);

/* Would another stedi_fetch_add start at once? */
extern bool stedi_fetch_has_room(const StediFetch *fetch);

/*
 * The next bytes of the oldest object handed over, at most room; 0 at its
 * end, after which the next call reads the next object.
 */
extern Size stedi_fetch_read(StediFetch *fetch, char *dest, Size room);

/* From now on, wait no longer than until is_over(arg) is true: read then gives 0. */
typedef bool (*StediOverFn) (void *arg);
extern void stedi_fetch_until(StediFetch *fetch, StediOverFn is_over, void *arg);

/* Give up the oldest object handed over, of which not all was read. */
extern void stedi_fetch_leave(StediFetch *fetch);

/* Give up all transfers; the client can be used again. */
extern void stedi_fetch_reset(StediFetch *fetch);

/*
 * One page of a listing: the body of the answer, palloc'd.  token is "" for
 * the first page.
 */
extern void stedi_fetch_page(StediFetch *fetch, const char *prefix,
							 const char *token, char **xml, Size *len);

/* The folders right below a prefix, likewise; false when they cannot be told. */
extern bool stedi_fetch_folders(StediFetch *fetch, const char *prefix, char **xml, Size *len);
extern const StediFetchStats *stedi_fetch_stats(const StediFetch *fetch);

/* suggest.c */

/*
 * What to do about an empty listing, as a hint in the current context; fetch is
 * that of the listing, or NULL.  Folders are named to nobody who has not
 * the rights of userid.
 */
extern char *stedi_suggest_near(const StediOptions *opts, Oid userid, StediFetch *fetch);

/* Warn of a landing table that reads a folder "landing" and what lies beside it. */
extern void stedi_suggest_warn_beside(const StediOptions *opts, Oid userid,
									  const StediListing *listing);

/* list.c */

/*
 * Everything under opts->prefix, page by page, as userid, whose fetch is, sees it,
 * counted in progress; palloc'd in the current context.  fetch is NULL for a local
 * folder.  An error when there is no object, unless opts->allow_empty.
 */
extern StediListing *stedi_list_objects(const StediOptions *opts, Oid userid, StediFetch *fetch,
										StediProgress *progress);

/*
 * The objects of a table as userid sees them.  The planner's estimate and the
 * scans of a query share a listing; it is to be copied by whoever keeps it.
 * *n_requests, unless NULL, is what it cost, told once.
 */
extern const StediListing *stedi_list_get(const StediOptions *opts, Oid userid,
										  uint64 *n_requests);

/* Keep no listing any longer: who asks next gets a new one. */
extern void stedi_list_forget(void);

#endif							/* STEDI_S3_H */
