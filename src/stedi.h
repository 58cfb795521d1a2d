/*-------------------------------------------------------------------------
 *
 * stedi.h
 *		The backend half: types, and what each file offers the others.
 *
 *	 list.c ---> fetch.c  --> inflate.c -> frame.c --> decode.c -> filter.c -> tuple.c
 *	 objects	 local.c	  bytes		   records	   fields	   kept?	   values
 *				 bytes
 *
 * Data moves down this line only.  scan.c joins the stages; fdw.c, ANALYZE
 * and the zone functions all read through stedi_scan_next().
 *
 * Every function may throw unless its comment says otherwise.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_H
#define STEDI_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "pgtime.h"
#include "utils/relcache.h"

#include "bytes.h"
#include "base/compat.h"
#include "base/progress.h"

/* The schema of everything that the extension makes. */
#define STEDI_SCHEMA "stedi"

/* The name of the foreign data wrapper. */
#define STEDI_FDW_NAME "stedi_fdw"

/* option.c */

typedef enum StediOnError
{
	STEDI_ON_ERROR_REJECT,
	STEDI_ON_ERROR_STOP,
} StediOnError;

/* How a table's times are to be read. */
typedef struct StediClock
{
	StediTimeUnit unit;			/* of numbers */
	pg_tz	   *zone;			/* of ISO 8601 without an offset; NULL: none */
} StediClock;

/* What the options of a server and a foreign table add up to; immutable. */
typedef struct StediOptions
{
	Oid			serverid;
	Oid			relid;			/* InvalidOid: the server's options alone */

	/* server */
	const char *url;			/* as written, without a / at the end */
	bool		local;			/* file:// */
	const char *root;			/* local: the folder, absolute */
	const char *bucket;			/* s3 */
	const char *region;			/* s3 */
	const char *endpoint;		/* s3: scheme://host[:port], no / at the end */
	bool		amazon;			/* s3: the endpoint is Amazon's, of the region */
	bool		virtual_hosted; /* s3: bucket in the host name */
	bool		allow_http;		/* s3 */
	bool		allow_link_local;	/* s3 */
	bool		requester_pays; /* s3 */
	const char *proxy;			/* s3; NULL: none */
	const char *ca_file;		/* s3; NULL: the system's authorities */
	int			connections;	/* s3: objects in flight */
	int			connect_timeout;	/* s3: ms */
	int			stall_timeout;	/* s3: seconds without a byte */
	int			max_tries;		/* s3: of one request, without progress */
	int			retry_timeout;	/* s3: seconds, likewise */
	bool		checksum;		/* s3: compare objects with their checksums */
	int			page_size;		/* s3: keys a LIST page */
	int			max_objects;	/* in a listing */

	/* where in it: below the root or in the bucket; ends in /, or is "" */
	const char *prefix;

	/* table */
	const char *object;			/* the key that "prefix" may also be; NULL: it
								 * can be none */
	const char *pattern;		/* of keys, below the prefix; NULL: all */
	bool		allow_empty;
	StediOnError on_error;
	int64		reject_limit;	/* 0: none */
	Size		max_record_size;
	int			max_depth;		/* of nesting in a record */
	int			max_inflate_ratio;
	StediClock	clock;
	StediSlice *null_values;	/* in UTF-8; or NULL */
	int			n_null_values;
} StediOptions;

/* What a column's options say. */
typedef enum StediSource
{
	STEDI_SOURCE_RECORD,		/* a key of the record */
	STEDI_SOURCE_OBJECT,
	STEDI_SOURCE_ETAG,
	STEDI_SOURCE_LINE,
	STEDI_SOURCE_OFFSET,
} StediSource;

typedef struct StediColumn
{
	StediSource source;
	const char *key;			/* RECORD: what to look for, lower-cased */
} StediColumn;

/* Palloc'd in the current context.  relid may be InvalidOid. */
extern StediOptions *stedi_option_get(Oid serverid, Oid relid);

/* Those that a table with this option "prefix", and no other, would have. */
extern StediOptions *stedi_option_get_prefix(Oid serverid, const char *prefix);
extern StediOptions *stedi_option_get_table(Oid relid);

/* The same in another region, which must outlive opts; in the current context. */
extern StediOptions *stedi_option_in_region(const StediOptions *opts, const char *region);

/* The server of that name, which is ours and the caller's to use; else an error. */
extern Oid	stedi_option_find_server(const char *name);

/* Can option "key" of a column name it? */
extern bool stedi_option_takes_key(const char *key);

/* An error unless these are options of IMPORT FOREIGN SCHEMA landing. */
extern void stedi_option_check_import(List *given);

/* The value of an option that is given, or NULL. */
extern const char *stedi_option_given(List *given, const char *name);

/* Is it a foreign table of ours? */
extern bool stedi_option_is_landing(Oid relid);

/* Its column of that name and type, which materialize needs; else an error. */
extern AttrNumber stedi_option_find_column(Oid relid, const char *column, Oid type);

/* relid may be InvalidOid: then there are no options. */
extern StediColumn stedi_option_get_column(Oid relid, AttrNumber attnum,
										   const char *attname);

/* mapping.c */

/*
 * Whose mapping counts for userid: its own, or InvalidOid for PUBLIC's; and
 * what no role is, when there is none.
 */
#define STEDI_NO_MAPPING ((Oid) -1)
extern Oid	stedi_mapping_find(Oid userid, Oid serverid);

/* text.c */

/*
 * Text of a record, in the encoding of the database, NUL-terminated and
 * palloc'd.  NULL when it is not valid UTF-8 or has no equivalent there.
 */
extern char *stedi_text_convert(StediSlice text, int *len);

/*
 * A name that a server gave, for people, palloc'd: in the encoding of the
 * database, or, when that does not have it, with its bytes beyond ASCII as %XX.
 * So names that differ look different, but for those that have %XX themselves.
 */
extern char *stedi_text_show(const char *name);

/* The same as a text. */
extern Datum stedi_text_name(const char *name);

/* Text from a server or a file as a sentence for a message, in the current context. */
extern char *stedi_text_sentence(const char *text);

/* A text's bytes, borrowed; what is toasted is to be made plain before. */
static inline StediSlice
stedi_text_slice(const struct varlena *value)
{
	StediSlice	slice = {VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};

	return slice;
}

/* schema.c: the landing tables */

/* What a column of a landing table is to the zone. */
typedef enum StediColumnRole
{
	STEDI_COLUMN_OTHER,			/* nothing: a column of the user's own */
	STEDI_COLUMN_WHO,			/* whose record it is */
	STEDI_COLUMN_NAME,			/* it may tell, too */
	STEDI_COLUMN_WHEN,			/* when a reading was taken */
	STEDI_COLUMN_DATE,			/* another time */
	STEDI_COLUMN_CONSENT,		/* the same; nothing above 0 is no consent */
	STEDI_COLUMN_MEASURE,		/* what was measured */
} StediColumnRole;

/* What materialize needs of a column.  The times are the last ones. */
typedef enum StediNeed
{
	STEDI_NEED_NOTHING,
	STEDI_NEED_PRESENT,			/* not missing, null or empty */
	STEDI_NEED_EMAIL,			/* nor white space and the like alone */
	STEDI_NEED_TIME,			/* epoch ms in timestamptz's range */
	STEDI_NEED_DECIDING_TIME,	/* and not of another unit */
	STEDI_NEED_PRESENT_TIME,	/* likewise, and present */
} StediNeed;

typedef struct StediLandingColumn
{
	const char *name;
	Oid			type;
	StediColumnRole role;
	StediNeed	need;
} StediLandingColumn;

typedef struct StediLandingTable
{
	const char *name;
	const char *prefix;			/* of its objects, unless the import says
								 * another */
	const char *option;			/* of the import, which does */
	const StediLandingColumn *columns;	/* whose a record is, then when */
	int			n_columns;
	int			first;			/* the column that the import puts first */
} StediLandingTable;

typedef enum StediLanding
{
	STEDI_LANDING_CUSTOMER,
	STEDI_LANDING_ACCELEROMETER,
	STEDI_LANDING_STEP_TRAINER,
	STEDI_N_LANDING
} StediLanding;

#define STEDI_N_CUSTOMER_COLUMNS 10

extern const StediLandingTable stedi_schema_landing[STEDI_N_LANDING];

/* The columns of customer records. */
#define stedi_schema_customers (stedi_schema_landing[STEDI_LANDING_CUSTOMER].columns)

/* The table of that name, and its column; NULL: none.  table may be NULL. */
extern const StediLandingTable *stedi_schema_find(const char *table);
extern const StediLandingColumn *stedi_schema_column(const StediLandingTable *table,
													 const char *column);

/* secret.c: memory that is wiped */

/*
 * Zeroed, in the current context, and wiped when that is reset, at the latest:
 * also by an error.  It cannot be pfree'd.
 */
extern void *stedi_secret_alloc(Size size);

/* A copy of a string, likewise; NULL of NULL. */
extern char *stedi_secret_copy(const char *string);

/* credential.c: who we are to S3 */

typedef enum StediKeySource		/* in the order of the option's choices */
{
	STEDI_KEYS_STATIC,
	STEDI_KEYS_ENVIRONMENT,
	STEDI_KEYS_PROFILE,
	STEDI_KEYS_WEB_IDENTITY,
	STEDI_KEYS_CONTAINER,
	STEDI_KEYS_INSTANCE,
} StediKeySource;

/* Keys, all strings secret.c's. */
typedef struct StediKeys
{
	char	   *access_key_id;
	char	   *secret_access_key;
	char	   *session_token;	/* NULL: none */
	TimestampTz expires;		/* 0: not told */
	char	   *detail;			/* where they are from, in words */
} StediKeys;

typedef struct StediCredential
{
	/* whole life */
	MemoryContext cxt;
	const StediOptions *opts;	/* borrowed */
	Oid			userid;			/* whose it is */
	bool		anonymous;
	StediKeySource source;
	const char *profile;		/* NULL: the default one */

	/* until they are renewed */
	MemoryContext keys_cxt;
	StediKeys	keys;			/* unless anonymous */
	TimestampTz renew_at;		/* 0: never */
	int			generation;		/* grows when they become others */
} StediCredential;

/*
 * What userid's mapping says, and the keys; in the current context, whose
 * reset wipes them.  opts must live as long.
 */
extern StediCredential *stedi_credential_open(const StediOptions *opts, Oid userid);

/* Before a request: have new keys when these are about to run out. */
extern void stedi_credential_refresh(StediCredential *credential);

/*
 * After a server refused the keys as out of date: have others, once more.
 * False when there are none but these.
 */
extern bool stedi_credential_renew(StediCredential *credential);

/* May a refusal without more words be due to their having run out? */
extern bool stedi_credential_may_be_over(const StediCredential *credential);

/* list.c */

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

typedef struct StediFetch StediFetch;

/*
 * Everything under opts->prefix, page by page, as userid, whose fetch is, sees it,
 * counted in progress; palloc'd in the current context.  fetch is NULL for a local
 * folder.  An error when there is no object, unless opts->allow_empty.
 */
extern StediListing *stedi_list_objects(const StediOptions *opts, Oid userid, StediFetch *fetch,
										StediProgress *progress);

/* Option "pattern", in the current context; NULL when there is none. */
extern StediGlob *stedi_list_glob(const StediOptions *opts);

/* Is a key under the prefix to be passed over (folder marker, _name, .name)? */
extern bool stedi_list_skips(const char *key, const char *prefix);

/* An error when a listing of n objects is full, by option max_objects. */
extern void stedi_list_check_room(const StediOptions *opts, int n);

/* Add an object to a listing; copies key and etag into the current context. */
extern void stedi_list_add(StediListing *listing, const char *key,
						   const char *etag, int64 size, TimestampTz modified);

/*
 * The objects of a table as userid sees them.  The planner's estimate and the
 * scans of a query share a listing; it is to be copied by whoever keeps it.
 * *n_requests, unless NULL, is what it cost, told once.
 */
extern const StediListing *stedi_list_get(const StediOptions *opts, Oid userid,
										  uint64 *n_requests);

/* Keep no listing any longer: who asks next gets a new one. */
extern void stedi_list_forget(void);

/* A copy in the current context, names and all. */
extern StediListing *stedi_list_copy(const StediListing *listing);

/* near.c: which word may be meant by one that is none of those known */

typedef struct StediNear
{
	const char *given;			/* borrowed */
	const char *found;			/* borrowed: the word that is most like it;
								 * NULL: none is */
	int			limit;			/* letters in which a better one may differ */
} StediNear;

/* Offer words, one by one, that may differ in so many letters, and not in many. */
extern void stedi_near_begin(StediNear *near, const char *given, int limit);
extern void stedi_near_offer(StediNear *near, const char *word);

/* Of lower-case words up to a NULL, the one that may be meant; or NULL. */
extern const char *stedi_near_find(const char *given, const char *const *words);

/* A hint in the current context, with that word before it where there is one. */
extern char *stedi_near_hint(const char *given, const char *const *words, const char *hint);

/* s3/suggest.c: which prefix may be meant by one with nothing under it */

/*
 * What to do about an empty listing, as a hint in the current context; fetch is
 * that of the listing, or NULL.  Folders are named to nobody who has not
 * the rights of userid.
 */
extern char *stedi_list_near(const StediOptions *opts, Oid userid, StediFetch *fetch);

/* Warn of a landing table that reads a folder "landing" and what lies beside it. */
extern void stedi_list_warn_beside(const StediOptions *opts, Oid userid,
								   const StediListing *listing);

/* local.c: a local folder in place of a bucket */

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

/* s3/denied.c: why a file or folder may not be read */

/*
 * An argument of ereport, behind errcode_for_file_access(): detail and hint of
 * what refuses, if that is it.  key is that of an object, or a prefix, below
 * the folder of the url; NULL: it is that folder.
 */
extern int	stedi_local_explain(const StediOptions *opts, const char *key);

/* cure.c: what ends an error, as SQL to copy */

/*
 * Statements, with a ; at their end, in the current context: set an option of
 * the server, or of the foreign table, to a value ('...' where it is not
 * known); or give userid's mapping keys, and a token.
 */
extern char *stedi_cure_server(const StediOptions *opts, const char *option, const char *value);
extern char *stedi_cure_table(const StediOptions *opts, const char *option, const char *value);
extern char *stedi_cure_keys(Oid serverid, Oid userid, bool token);

/*
 * Raise PostgreSQL's error for a privilege that a role lacks, on an object of
 * that kind, whose name is qualified and quoted, with the GRANT that gives it.
 */
pg_noreturn extern void stedi_cure_denied(ObjectType kind, Oid objectid, const char *privilege,
										  Oid userid);

/* fetch.c: objects -> bytes */

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

/* consent.c, and consent/build.c where a set is built */

/*
 * Where the member is who is meant by an e-mail as it was written; false when
 * the set knows nobody of that name.  *hash is the e-mail's, or 0, and is then
 * filled in.  Throws nothing but "out of memory".
 */
extern bool stedi_consent_find(const StediConsentSet *set, StediSlice who,
							   uint64 *hash, uint32 *place);

/*
 * To build a set, in cxt: members by their e-mail (or key), since, owned_since
 * and standing, as the aggregate's full form takes them.  Finishing gives the
 * builder's own memory, and ends it.
 */
typedef struct StediConsentBuilder StediConsentBuilder;

extern StediConsentBuilder *stedi_consent_begin(MemoryContext cxt, bool fold_keys,
												bool since_rule, uint64 seed);
extern void stedi_consent_add(StediConsentBuilder *building, Datum *values, bool *nulls);

/*
 * Add somebody of whom the hash of the key alone is known, after all whose
 * keys are; nothing when the hash is there.  No GRANTED.
 */
extern void stedi_consent_add_hashed(StediConsentBuilder *building, uint64 hash,
									 StediStanding standing, int64 owned_since);

/* The hash of a key that is in the encoding of the database. */
extern uint64 stedi_consent_hash_text(uint64 seed, StediSlice key);

/* The same in a set in which keys are folded or not. */
extern uint64 stedi_consent_name_hash(uint64 seed, StediSlice name, bool fold_key);

/*
 * An e-mail's normal form (email.c) in the encoding of the database, in room
 * for SHORT_KEY bytes or palloc'd.  data is NULL where the encoding has no such
 * text, as that of a ligature in LATIN1.
 */
extern StediSlice stedi_consent_form(StediSlice email, char *room);

/* Of an e-mail in UTF-8: is there such a text, and is it not empty? */
extern StediReason stedi_consent_check(StediSlice email);

/* The same as text, palloc'd; NULL, too, when nothing is left: it names nobody. */
extern text *stedi_consent_normalize(StediSlice email);
extern StediConsentSet *stedi_consent_finish(StediConsentBuilder *building);

/* The set in a Datum, detoasted into the current context. */
extern const StediConsentSet *stedi_consent_get(Datum datum);

/* sketch.c */

/* A set of hashes (none is 0), growing in the context that it was begun in. */
typedef struct StediHashes
{
	MemoryContext cxt;
	uint64	   *slots;			/* owned; 0: empty */
	uint32		n_slots;		/* a power of two */
	int			shift;			/* of a hash, to its slot's number */
	uint32		n;
} StediHashes;

extern void stedi_hashes_begin(StediHashes *hashes);

/* False when it is there already. */
extern bool stedi_hashes_add(StediHashes *hashes, uint64 hash);
extern bool stedi_hashes_has(const StediHashes *hashes, uint64 hash);
extern void stedi_hashes_clear(StediHashes *hashes);

/* The hash in a slot; 0: none. */
#define STEDI_HASHES_AT(hashes, slot) ((hashes)->slots[slot])

/* Hashes as a flat value: sorted, the upper `width` bytes of each.  Palloc'd. */
extern bytea *stedi_hashes_pack(const StediHashes *hashes, int width);

/* What packing leaves of a hash. */
static inline uint64
stedi_hashes_cut(uint64 hash, int width)
{
	return width == sizeof(uint64) ? hash : hash >> (64 - 8 * width) << (64 - 8 * width);
}

extern uint32 stedi_hashes_n_packed(const bytea *packed, int width);
extern uint64 stedi_hashes_packed(const bytea *packed, int width, uint32 which);

/* Is one of the hashes, or this one, in the flat value?  NULL has all. */
extern bool stedi_hashes_meet(const StediHashes *hashes, const bytea *packed, int width);
extern bool stedi_hashes_packed_has(const bytea *packed, int width, uint64 hash);

/*
 * The most names that a sketch tells apart: 256 kB of them when packed.  An
 * object that names more is likely to hold a reading of anybody.
 */
#define STEDI_SKETCH_MOST 65536

/* Whom the records of an object name, and when they were taken. */
typedef struct StediSketch
{
	const StediConsentSet *set; /* borrowed */
	uint64	   *hashes;			/* owned: of its members, in their order */
	uint64	   *bits;			/* owned: which members are named */
	uint32	   *members;		/* owned: these, up to STEDI_SKETCH_MOST */
	uint32		n_members;
	StediHashes others;			/* named, and no members */
	int64		first_ms;		/* PG_INT64_MAX: no reading */
	int64		last_ms;
} StediSketch;

/* Begin one of the records that this set is asked about. */
extern void stedi_sketch_begin(StediSketch *sketch, const StediConsentSet *set);

/* Begin anew, for the next object. */
extern void stedi_sketch_clear(StediSketch *sketch);

/* As stedi_hashes_pack: NULL when there are more than STEDI_SKETCH_MOST. */
extern bytea *stedi_sketch_pack(const StediSketch *sketch, int width);

static inline void
stedi_sketch_add_time(StediSketch *sketch, int64 ms)
{
	sketch->first_ms = Min(sketch->first_ms, ms);
	sketch->last_ms = Max(sketch->last_ms, ms);
}

static inline void
stedi_sketch_add_member(StediSketch *sketch, uint32 member)
{
	uint64		bit = UINT64CONST(1) << (member % 64);

	if ((sketch->bits[member / 64] & bit) != 0)
		return;
	sketch->bits[member / 64] |= bit;
	if (sketch->n_members < STEDI_SKETCH_MOST)
		sketch->members[sketch->n_members] = member;
	sketch->n_members++;
}

static inline void
stedi_sketch_add_other(StediSketch *sketch, uint64 name)
{
	if (name != 0 && sketch->others.n <= STEDI_SKETCH_MOST)
		(void) stedi_hashes_add(&sketch->others, name);
}

/* time.c */

/* False when it does not fit timestamptz.  These four never throw. */
extern bool stedi_time_from_ms(int64 ms, TimestampTz *value);
extern bool stedi_time_from_us(int64 us, TimestampTz *value);

/*
 * A field as a time, in microseconds or milliseconds since 1970; not as
 * PostgreSQL's types have room for.  Never throw.
 */
extern StediReason stedi_time_read_us(const StediClock *clock, const StediField *field, int64 *us);
extern StediReason stedi_time_read_ms(const StediClock *clock, const StediField *field, int64 *ms);

/* The zone that option "time_zone" names; NULL: none. */
extern pg_tz *stedi_time_zone(const char *name);

/* of a timestamptz that is finite: since 1970, rounded down */
extern int64 stedi_time_ms(TimestampTz value);

/* of days since 1970-01-01 */
extern int32 stedi_time_date(int32 days);

/* birthday.c */

/* A date as birthday() reads it back under any setting; palloc'd. */
extern char *stedi_birthday_text(int32 date);

/* tuple.c */

typedef struct StediTuple StediTuple;

/* Where a record is: what virtual columns show. */
typedef struct StediPlace
{
	const StediObject *object;
	uint64		line;			/* from 1 */
	uint64		offset;			/* from 0, in decompressed bytes */
} StediPlace;

/*
 * A converter of fields to the columns of opts' table (or of no table), of
 * which wanted[attno] says whether they are used.  In the current context; an
 * error when a wanted column has a type that no record can fill.  opts must
 * live as long.
 */
extern StediTuple *stedi_tuple_open(const StediOptions *opts, TupleDesc tupdesc, const bool *wanted);

/*
 * Is the field missing or null for the column?  A string of option "null_values"
 * is, unless the column is text: of two columns that read one key, each decides.
 */
extern bool stedi_tuple_is_null(const StediTuple *tuple, int attno, const StediField *field);

/*
 * How a bigint column of the zone's times is read; NULL: as a number that is
 * its epoch ms.
 */
extern const StediClock *stedi_tuple_clock(const StediTuple *tuple, int attno);

/* The keys that its columns read, for the decoder; field i goes with keys[i]. */
extern const StediSlice *stedi_tuple_keys(const StediTuple *tuple, int *n_keys);

/* The field of a column (0-based attribute), or -1 for a virtual one. */
extern int	stedi_tuple_field(const StediTuple *tuple, int attno);

/* How many columns are wanted. */
extern int	stedi_tuple_n_wanted(const StediTuple *tuple);

/* Does a text column show the bytes of its field, whatever they are? */
extern bool stedi_tuple_takes_bytes(const StediTuple *tuple, int attno);

/*
 * The next record: each column is converted once of it, by either of the two
 * functions below.  Never throws.
 */
extern void stedi_tuple_begin(StediTuple *tuple);

/*
 * Convert one wanted column; NONE, or why the value does not fit, and it is
 * NULL.  By-reference values are in the current context or the tuple's own,
 * good until the next record.
 */
extern StediReason stedi_tuple_column(StediTuple *tuple, int attno,
									  const StediField *fields,
									  const StediPlace *place,
									  Datum *values, bool *nulls);

/*
 * Convert the wanted columns up to the first that does not fit: then why, and
 * *attno; another call goes on behind it.
 */
extern StediReason stedi_tuple_columns(StediTuple *tuple, const StediField *fields,
									   const StediPlace *place,
									   Datum *values, bool *nulls, int *attno);

/* scan/required.c */

typedef struct StediJudge StediJudge;

/*
 * What the zone cannot do without, by the name of the landing table; in the
 * current context.  A table of another name has no such rules.
 */
extern StediJudge *stedi_judge_open(const StediOptions *opts, TupleDesc tupdesc,
									const StediTuple *tuple);

/* After OTHER_UNIT: which. */
extern StediTimeUnit stedi_judge_other_unit(const StediJudge *judge);

/*
 * A rejected record's lastUpdateDate may be of another unit: then it is older
 * than what is newer than all that it may mean.  Sets *updated to the latest of
 * these; false: it is no time in any unit, as if it could not be read.
 */
extern bool stedi_judge_latest(Datum *updated, StediTimeUnit unit);

/* NONE, or why the zone cannot use the record and *attno, for want of what. */
extern StediReason stedi_judge_record(StediJudge *judge,
									  const StediField *fields, int *attno);

/* filter.c */

/* How planner and executor speak of a pushed-down test. */
typedef enum StediTestKind
{
	STEDI_TEST_COMPARE,			/* column op value */
	STEDI_TEST_ANY,				/* column op ANY (array) */
	STEDI_TEST_NULL,			/* column IS NULL */
	STEDI_TEST_NOT_NULL,		/* column IS NOT NULL */
	STEDI_TEST_CONSENT,			/* stedi.consents(set, who, time) */
} StediTestKind;

typedef struct StediTest
{
	StediTestKind kind;
	bool		by_object;		/* of the column that shows the object: see
								 * prune.c */
	int			attno;			/* 0-based; CONSENT: who */
	int			time_attno;		/* CONSENT */

	/* COMPARE, ANY */
	FmgrInfo	function;
	Oid			collation;
	bool		column_first;	/* column op value, or value op column */

	/* the value, set by stedi_filter_set_value before the first record */
	bool		isnull;
	Datum	   *values;			/* COMPARE: one; ANY: the array's elements */
	bool	   *nulls;
	int			n_values;
	StediSlice *texts;			/* the values, when bytes decide; else NULL */
	const StediConsentSet *set; /* CONSENT */

	/* where it looks, set by stedi_scan_set_tests */
	int			field;			/* of attno; -1: no bytes decide */
	int			time_field;		/* CONSENT */
	const StediClock *clock;	/* CONSENT: stedi_tuple_clock */

	/*
	 * CONSENT: whom the last record named, as it was written; found: who is
	 * the set's member at place
	 */
	uint64		hash;			/* set before each record; 0: not known */
	int64		time;			/* of the reading, epoch ms */
	uint64		who_hash;
	uint32		place;
	bool		found;
	uint8		who_len;		/* 0: not kept */
	char		who[64];
} StediTest;

/* Give a test its value, copied into the current context. */
extern void stedi_filter_set_value(StediTest *test, Oid type, Datum value, bool isnull);

/* Does the test keep this value?  Not for CONSENT. */
extern bool stedi_filter_keeps(StediTest *test, Datum value, bool isnull);

/*
 * The same for = and <> of text on the undecoded field, where the value is
 * text whose bytes are those of the field: false when it is not certain what
 * the column says.  Never throws.
 */
extern bool stedi_filter_decides(const StediTest *test, const StediField *field,
								 bool *keeps);

/*
 * For records that come soon: what stedi_consent_hash and _fetch are for.
 * Never throw.
 */
extern uint64 stedi_filter_hash(const StediTest *test, const StediField *who);
extern void stedi_filter_fetch(const StediTest *test, uint64 hash);

/*
 * The consent test on the fields of who and when, undecoded: nothing of a
 * record that it drops becomes a Datum.  It leaves the hash of whom the record
 * names (0: nobody) and its time in the test.
 */
extern StediStanding stedi_filter_consent(StediTest *test,
										  const StediField *who,
										  const StediField *reading_time,
										  bool *older);

/* prune.c */

/* Do the tests on the object keep it?  In the current context. */
extern bool stedi_prune_keeps(StediTest *tests, int n_tests, const StediObject *object);

/* How many of a listing they keep, and the bytes of these. */
extern void stedi_prune_count(const StediListing *listing, StediTest *tests, int n_tests,
							  int *n_objects, double *bytes);

/* scan.c */

typedef struct StediScan StediScan;

typedef enum StediScanResult
{
	STEDI_SCAN_END,
	STEDI_SCAN_ROW,
	STEDI_SCAN_REJECT,			/* only with STEDI_SCAN_GIVE_REJECTS */
} StediScanResult;

/* flags of stedi_scan_open */
#define STEDI_SCAN_JUDGE		0x01	/* judge all columns, by the zone's
										 * rules */
#define STEDI_SCAN_GIVE_REJECTS 0x02	/* return rejects, too */
#define STEDI_SCAN_WARN			0x04	/* and do with them as the table's
										 * options say all the same */

/*
 * What a scan did.  For every record framed:
 * records = returned + filtered + unconsented + rejected.
 */
typedef struct StediScanStats
{
	uint64		objects_listed;
	uint64		objects_skipped;
	uint64		objects_pruned; /* for a clause on the object */
	uint64		objects_read;
	uint64		bytes;
	uint64		requests;
	uint64		records;
	uint64		returned;
	uint64		filtered;
	uint64		rejected;
	uint64		standings[STEDI_N_STANDINGS];	/* what the consent test said */
	uint64		older;			/* of those granted: older than the consent */
	uint64		n_other_unit;	/* rejects for a time of another unit */
	int			other_units;	/* bits: which */
	int			other_object;	/* the first of them: object's number */
	uint64		other_offset;	/* and byte offset */
	bool		finished;		/* read to the end of the last object */
} StediScanStats;

/* What is known of a rejected record; borrowed until the next call. */
typedef struct StediReject
{
	StediPlace	place;
	StediReason reason;
	const char *column;			/* NULL: the record as a whole */
	StediSlice	record;
} StediReject;

/*
 * Read the foreign table relid as userid.  wanted[natts] says which columns
 * are used.  Lives in a child of the current context.
 */
extern StediScan *stedi_scan_open(Oid relid, Oid userid, TupleDesc tupdesc,
								  const bool *wanted, int flags);

/*
 * Read the records under opts->prefix for their bytes (stedi_scan_record), as
 * no table's: it has no columns, and gives rejects.
 */
extern StediScan *stedi_scan_open_records(const StediOptions *opts, Oid userid);

/* Begin to read no further record of an object behind so many records or bytes. */
extern void stedi_scan_set_most(StediScan *scan, uint64 n_records, uint64 n_bytes);
extern void stedi_scan_set_tests(StediScan *scan, StediTest *tests, int n_tests);

/* Read these objects, in place of all; before anything is read.  Copied. */
extern void stedi_scan_set_listing(StediScan *scan, const StediListing *listing);

/*
 * Draw a sketch of each object, of the records that come to the consent test,
 * which there is; done is called when the object has been read to its end,
 * with its number in the listing.
 */
typedef void (*StediSketchDone) (void *arg, const StediObject *object, int number,
								 const StediSketch *sketch);

extern void stedi_scan_set_sketch(StediScan *scan, StediSketchDone done, void *arg);

/*
 * Store the next kept row in values/nulls.  By-reference values are good
 * until the next call.
 */
extern StediScanResult stedi_scan_next(StediScan *scan, Datum *values, bool *nulls);

/*
 * How many times stedi_scan_next would say ROW until it says END; values and
 * nulls are room for what the tests read.  Not with STEDI_SCAN_GIVE_REJECTS.
 */
extern uint64 stedi_scan_count(StediScan *scan, Datum *values, bool *nulls);

/* Where the present record is; borrowed until the next call. */
extern const StediPlace *stedi_scan_place(const StediScan *scan);

/* The number of the object that is being read, in the listing; -1: none. */
extern int	stedi_scan_object(const StediScan *scan);

/* Its bytes, as decompressed; borrowed likewise. */
extern StediSlice stedi_scan_record(const StediScan *scan);

/* After STEDI_SCAN_REJECT, when values/nulls hold what could be read. */
extern const StediReject *stedi_scan_reject(const StediScan *scan);

extern void stedi_scan_rescan(StediScan *scan);
extern void stedi_scan_close(StediScan *scan);
extern const StediScanStats *stedi_scan_stats(const StediScan *scan);
extern const StediListing *stedi_scan_listing(const StediScan *scan);

/*
 * A scan in several processes; what they share lies in dynamic shared memory.
 * They draw objects from one listing, the leader's, and an S3 scan's
 * connections are divided among them.  reject_limit holds for all together;
 * only the leader warns of rejects.
 */
typedef struct StediScanShared StediScanShared;

/* Bytes that it takes; lists the objects, unless that is done. */
extern Size stedi_scan_shared_size(StediScan *scan);

/*
 * Fill it in from the leader's scan, which takes part: n_processes at most do,
 * the leader included.  A scan that has begun starts over.
 */
extern void stedi_scan_share(StediScan *scan, StediScanShared *shared, int n_processes);

/* By the leader, while nobody else takes part: begin once more. */
extern void stedi_scan_share_again(StediScan *scan);

/*
 * Take part: before the first stedi_scan_next, in a scan of the same table,
 * columns and flags.  shared outlives the scan.
 */
extern void stedi_scan_join(StediScan *scan, StediScanShared *shared);

/*
 * By the leader: whatever the others have not returned yet is not wanted.  A
 * worker would else wait on for bytes, and the leader for the worker.  Never
 * throws.
 */
extern void stedi_scan_end_share(StediScan *scan);

/* Add the figures of this process to those of the others, once.  Never throws. */
extern void stedi_scan_contribute(StediScan *scan);

/*
 * When the others have ended: the leader, who contributes now if not before,
 * takes the sum of all as its own stats and listing, and is alone from here
 * on.  Never throws.
 */
extern void stedi_scan_collect(StediScan *scan);

/* Why, in words; palloc'd.  Quotes no value. */
extern char *stedi_scan_reason(const StediReject *reject);

/* May the rejected bytes hold other records than the one they began with? */
extern bool stedi_scan_may_hide(const StediReject *reject);

/* sample.c: some records of a prefix, and what they have */

typedef enum StediJsonType
{
	STEDI_JSON_NULL,
	STEDI_JSON_BOOLEAN,
	STEDI_JSON_INTEGER,			/* a number without point and exponent */
	STEDI_JSON_NUMBER,
	STEDI_JSON_STRING,
	STEDI_JSON_OBJECT,
	STEDI_JSON_ARRAY,
	STEDI_N_JSON_TYPES
} StediJsonType;

/* A key of some sampled records; letters in either case are the same. */
typedef struct StediSampledKey
{
	const char *text;			/* in UTF-8, as it was first written */
	bool		is_text;		/* else no column can read it */
	bool		many_cases;		/* it is written in other cases, too */
	bool		two_values;		/* some record has it twice, with other values */
	bool		no_text;		/* some string of it is no text */
	int64		n_records;		/* that have it */
	int64		counts[STEDI_N_JSON_TYPES]; /* of these, by the type of its
											 * (first) value */
	Oid			type;			/* reads all of them; InvalidOid: none does */
	const char *column;			/* infer.c: its name; NULL: there is none */
} StediSampledKey;

typedef struct StediSample
{
	StediSampledKey **keys;		/* in the order of their first appearance */
	int			n_keys;
	int64		n_records;
	int64		n_rejected;		/* more that could not be read */
	int64		n_left_out;		/* members of too many, or too long, keys */
	int			n_objects;		/* that were read, in part at least */
	int			n_whole;		/* to their end */
	int			n_listed;
} StediSample;

/*
 * Sample objects of a listing that opts made, as the current user.  In the
 * current context.
 */
extern StediSample *stedi_sample_read(const StediOptions *opts, const StediListing *listing);

/* infer.c: tables for what is there */

/* A folder below a server's url, and the table that it would be. */
typedef struct StediFolder
{
	const char *table;			/* its name */
	const char *prefix;			/* NULL: all under the url */
	const StediOptions *opts;	/* of the table */
	StediListing *listing;
} StediFolder;

/* List of StediFolder, in the current context.  Warns of what no table can read. */
extern List *stedi_infer_folders(Oid serverid);

/* The CREATE FOREIGN TABLE of one; NULL, and a warning, when nothing there can be read. */
extern char *stedi_infer_table(const StediFolder *folder, const char *server_name);

/* import.c */

/* The CREATE FOREIGN TABLE of each of them, with the options of the import. */
extern List *stedi_import_landing(List *given, const char *server_name);

/* plan.c: what of a query goes into the scan */

struct ForeignScan;

/* Does the scan decide all clauses on a foreign table of ours? */
extern bool stedi_plan_decides_all(const RelOptInfo *baserel);

/* A path that reads the objects with that many workers; 0: with none. */
extern ForeignPath *stedi_plan_make_path(PlannerInfo *root, RelOptInfo *baserel,
										 int n_workers);

/*
 * The tests that the planner put into a plan, in the current context, and
 * the columns that it reads: wanted[natts] is set.  The values of the tests
 * come from the plan's fdw_exprs: value_of[i] is the index there, or -1.
 */
extern StediTest *stedi_plan_get_tests(const struct ForeignScan *plan, int natts,
									   bool *wanted, int *n_tests, int **value_of);

/* Is the plan's qual of that number one on the object? */
extern bool stedi_plan_is_object_qual(const struct ForeignScan *plan, int number);

extern void stediGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel,
								   Oid foreigntableid);
extern void stediGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel,
								 Oid foreigntableid);
extern struct ForeignScan *stediGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel,
											   Oid foreigntableid, ForeignPath *best_path,
											   List *tlist, List *scan_clauses,
											   Plan *outer_plan);

/* fdw/count.c: count(*) inside the scan */

/*
 * The plan of a path that counts, from outer_plan, which scans what is
 * counted.  stedi_plan_counts tells it from others.
 */
extern struct ForeignScan *stedi_plan_count(ForeignPath *best_path, List *tlist,
											Plan *outer_plan);
extern bool stedi_plan_counts(const struct ForeignScan *plan);

extern void stediGetForeignUpperPaths(PlannerInfo *root, UpperRelationKind stage,
									  RelOptInfo *input_rel, RelOptInfo *output_rel,
									  void *extra);

/* analyze.c */

/* An AcquireSampleRowsFunc: a sample whose values are pseudonyms. */
extern int	stedi_analyze_sample(Relation relation, int elevel, HeapTuple *rows,
								 int targrows, double *totalrows,
								 double *totaldeadrows);


#endif							/* STEDI_H */
