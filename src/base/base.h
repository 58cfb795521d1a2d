/*-------------------------------------------------------------------------
 *
 * base.h
 *		What every folder above stands on: names, options, texts, times.
 *
 * Every function may throw unless its comment says otherwise.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_BASE_H
#define STEDI_BASE_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "pgtime.h"
#include "utils/relcache.h"

#include "base/compat.h"
#include "base/form.h"
#include "record/record.h"

/* The schema of everything that the extension makes. */
#define STEDI_SCHEMA "stedi"

/* The name of the foreign data wrapper. */
#define STEDI_FDW_NAME "stedi_fdw"

/* schema.c */

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

/* secret.c */

/*
 * Zeroed, in the current context, and wiped when that is reset, at the latest:
 * also by an error.  It cannot be pfree'd.
 */
extern void *stedi_secret_alloc(Size size);

/* A copy of a string, likewise; NULL of NULL. */
extern char *stedi_secret_copy(const char *string);

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

/* near.c */

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

/* cure.c */

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

#endif							/* STEDI_BASE_H */
