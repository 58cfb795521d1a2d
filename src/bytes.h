/*-------------------------------------------------------------------------
 *
 * bytes.h
 *		The backend-free half: the stages that see hostile bytes.
 *
 * Whatever is declared here compiles without postgres.h, throws nothing,
 * keeps no global state and allocates only what its comment says.  That is
 * what lets test/unit and test/fuzz run it outside a server.
 *
 *	 option_form.c	an option's text		-> its value, or what is wanted
 *	 glob.c		a pattern and a key			-> does it match?
 *	 beneath.c	a path below a folder		-> its descriptor
 *	 net/xml.c	one answer of an S3 server	-> keys, sizes, token, error code
 *	 sign.c		a request					-> its Authorization header
 *	 address.c	a socket's address			-> may we connect to it?
 *	 checksum.c	bytes						-> are they the ones that were stored?
 *	 inflate.c	gzip, zstd					-> bytes
 *	 frame.c	bytes						-> records
 *	 decode.c	bytes						-> records and their fields
 *	 plain.c	bytes						-> the same in one pass, of plain records
 *	 json.c		record						-> fields, what plain.c leaves; all members
 *	 value.c	field						-> number, time
 *	 email.c	an e-mail				-> its normal form: who it names
 *	 consent/find.c	a key					-> the member of a consent set
 *	 ini.c		a file of AWS's tools		-> profiles and their properties
 *
 * The words: an *object* is what the landing zone stores under a key, a
 * *record* is one JSON object in it, a *field* is the undecoded value that a
 * record has for a key, a *column* is typed, a *row* is what a query sees.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_BYTES_H
#define STEDI_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes that must be there to read, whatever they hold, behind the buffers
 * and records that are given to decode.c: plain.c looks at many bytes at
 * once, and does not ask each time where they end.
 */
#define STEDI_BYTES_PADDING 64

/* Some bytes of somebody else's buffer; not NUL-terminated. */
typedef struct StediSlice
{
	const char *data;			/* borrowed */
	size_t		len;
} StediSlice;

/*
 * Why a record, or a stretch of bytes that should have been one, is set
 * aside.  stedi_reason_text() has the words; they quote no value.
 */
typedef enum StediReason
{
	STEDI_REASON_NONE = 0,
	/* framing: frame.c, inflate.c, scan.c */
	STEDI_REASON_NOT_AN_OBJECT, /* bytes between records that are no record */
	STEDI_REASON_CUT_OFF,		/* the object ends inside a record */
	STEDI_REASON_ARRAY_OPEN,	/* the object ends inside its array */
	STEDI_REASON_LINE_IN_STRING,	/* a line ends inside a string */
	STEDI_REASON_NOT_CLOSED,	/* the next record starts before this one ends */
	STEDI_REASON_TOO_DEEP,		/* nested beyond the framer's max_depth */
	STEDI_REASON_TOO_LONG,		/* longer than max_record_size */
	STEDI_REASON_DAMAGED,		/* the compressed bytes are not right */
	/* syntax: decode.c, json.c */
	STEDI_REASON_SYNTAX,		/* not JSON */
	STEDI_REASON_TWO_KEYS,		/* two keys of a column, which differ */
	STEDI_REASON_ZERO_CHARACTER,	/* \u0000 in a wanted string */
	STEDI_REASON_OUT_OF_MEMORY,
	/* value: value.c, tuple.c */
	STEDI_REASON_ENCODING,		/* not text in the encoding */
	STEDI_REASON_WRONG_KIND,	/* e.g. an object for a number */
	STEDI_REASON_NOT_A_NUMBER,
	STEDI_REASON_NOT_AN_INTEGER,
	STEDI_REASON_OUT_OF_RANGE,
	STEDI_REASON_NOT_A_TIME,
	STEDI_REASON_NOT_A_VALUE,	/* refused by the type's input function */
	STEDI_REASON_OTHER_UNIT,
	STEDI_REASON_MISSING,		/* a column that the zone cannot do without */
} StediReason;

/* A short English phrase, static; never NULL. */
extern const char *stedi_reason_text(StediReason reason);

/* frame.c */

/*
 * Nesting allowed in a record: by default, and at most.  It costs one bit a
 * level here and in json.c, and no stack: nothing recurses.  cJSON sees single
 * strings only.
 */
#define STEDI_MAX_DEPTH 256
#define STEDI_DEEPEST 10000

typedef enum StediFrameStatus
{
	STEDI_FRAME_RECORD,			/* a whole record */
	STEDI_FRAME_BAD,			/* bytes to set aside; see framer->reason */
	STEDI_FRAME_MORE,			/* nothing whole yet: give more bytes */
	STEDI_FRAME_END,			/* the object ended, everything accounted for */
} StediFrameStatus;

typedef struct StediFramer
{
	/* whole object */
	int			max_depth;		/* at most STEDI_DEEPEST; the caller may set
								 * it */
	uint64_t	offset;			/* of the first byte not yet consumed, from 0 */
	uint64_t	line;			/* of that byte, from 1 */
	bool		in_array;		/* inside the array around the records */
	bool		after_record;	/* a comma may come */

	/* the record or junk in progress; starts at buf[0] between calls */
	bool		open;			/* something has begun */
	bool		junk;			/* and it is no record */
	bool		given_up;		/* the rest of the object is skipped */
	bool		cutting;		/* the rest of the line is: its junk is told */
	bool		in_string;
	bool		escaped;		/* the next byte of the string is taken as is */
	size_t		scanned;		/* bytes of it already looked at */
	uint64_t	newlines;		/* line ends among these */
	int			depth;
	char		last;			/* last byte that is not space, in no string */

	/* about the RECORD or BAD just returned */
	uint64_t	record_offset;	/* of its first byte, from 0 */
	uint64_t	record_line;	/* of its first byte, from 1 */
	StediReason reason;			/* of a BAD one */

	/*
	 * level of the record in progress -> is it an array?  Set as it gets
	 * there
	 */
	uint64_t	arrays[STEDI_DEEPEST / 64 + 1];
} StediFramer;

/* For a new object; max_depth is STEDI_MAX_DEPTH. */
extern void stedi_frame_init(StediFramer *framer);

/*
 * Take the next record from buf[0 .. len), the bytes not yet consumed; last
 * says that the object has no more.  *used bytes are to be dropped before the
 * next call, which must find the others at buf[0] again.  *record is set for
 * RECORD and BAD and borrowed from buf.
 */
extern StediFrameStatus stedi_frame_next(StediFramer *framer,
										 const char *buf, size_t len, bool last,
										 StediSlice *record, size_t *used);

/*
 * The first half of it, for decode.c: consume what stands before the next
 * record.  *used bytes are to be dropped.  True when a record begins behind
 * them that nobody has looked at: then either stedi_frame_take consumes it,
 * len bytes that hold newlines line ends, or stedi_frame_next finds its end.
 */
extern bool stedi_frame_begin(StediFramer *framer, const char *buf, size_t len,
							  size_t *used);
extern void stedi_frame_take(StediFramer *framer, size_t len, uint64_t newlines);

/*
 * Set aside what is in progress and all that follows in this object: what
 * the caller does when it will not grow its buffer any further.  buf and len
 * as for stedi_frame_next, which then skips to the end.
 */
extern void stedi_frame_give_up(StediFramer *framer, StediReason reason);

/*
 * Junk is in progress that fills the caller's buffer: set these len bytes
 * aside, all that the buffer has, and skip the rest of the line.
 */
extern void stedi_frame_cut_junk(StediFramer *framer, size_t len);

/* decode.c */

typedef enum StediFieldKind
{
	STEDI_FIELD_MISSING = 0,
	STEDI_FIELD_NULL,
	STEDI_FIELD_STRING,			/* text: what stands between the quotes,
								 * unescaped */
	STEDI_FIELD_NUMBER,			/* text: as written, by the grammar of JSON */
	STEDI_FIELD_TRUE,
	STEDI_FIELD_FALSE,
	STEDI_FIELD_NESTED,			/* an object or an array; text: as written */
	STEDI_FIELD_UNREADABLE,		/* two keys that differ, or no text: see the
								 * reason */
} StediFieldKind;

typedef struct StediField
{
	StediFieldKind kind;
	StediSlice	text;			/* borrowed from the record or the decoder */
} StediField;

/* Keys that a decoder remembers, and bytes of one with what is around it. */
#define STEDI_KNOWN_KEYS 64
#define STEDI_KNOWN_TEXT 32

/* A key that a record had. */
typedef struct StediKnownKey
{
	char		text[STEDI_KNOWN_TEXT]; /* "key": as it was written, and the
										 * space behind it, if any */
	uint64_t	mask;			/* a bit for each byte of it; all: no key */
	struct StediKnownKey *next; /* the one that came behind it, of the same
								 * decoder */
	int			wanted;			/* which of the wanted keys, or -1 */
	int			len;			/* of text */
} StediKnownKey;

/*
 * The keys that a scan wants, and what it remembers from the records before.
 *
 * keys[i] is matched without regard to the case of ASCII letters; fields[i]
 * receives its value.  Set up by stedi_decode_init, which copies nothing; it
 * points into itself, so it stays where it is.
 */
typedef struct StediDecoder
{
	const StediSlice *keys;		/* borrowed; lower-cased by the caller */
	int			n_keys;
	bool		nan_is_null;	/* NaN, which is no JSON, is null as the value
								 * of a key; false, or set by the caller */

	/* by a hash; the last two are a record's start, and any other key */
	StediKnownKey known[STEDI_KNOWN_KEYS + 2];

	/* made by json.c for the present record, freed by the next call */
	void	   *strings;		/* a cJSON array of strings, or NULL; owned */
} StediDecoder;

extern void stedi_decode_init(StediDecoder *decoder, const StediSlice *keys, int n_keys);

/*
 * Take the next record as stedi_frame_next does.  When it is a plain one, it
 * is decoded at once, and *decoded says so: fields[0 .. n_keys) then is what
 * stedi_decode_record would make of it, and that would be NONE.  Otherwise
 * fields may have changed, and a record is for stedi_decode_record.
 *
 * STEDI_BYTES_PADDING more bytes than len can be read.
 */
extern StediFrameStatus stedi_decode_next(StediDecoder *decoder, StediFramer *framer,
										  const char *buf, size_t len, bool last,
										  StediSlice *record, size_t *used,
										  StediField *fields, bool *decoded);

/*
 * Take plain records as stedi_decode_next does, as long as they come and are
 * max_len bytes at most; how many.  The next one, if there is more, is for
 * stedi_decode_next.  fields may have changed.
 */
extern size_t stedi_decode_count(StediDecoder *decoder, StediFramer *framer,
								 const char *buf, size_t len, size_t max_len,
								 size_t *used, StediField *fields);

/*
 * Decode one record, from { to }, into fields[0 .. n_keys).  NONE when it is
 * JSON through and through; anything else rejects the record, and fields
 * then holds the ones that could be read all the same.  *where is the key
 * concerned, or -1 for the record as a whole.
 *
 * Fields are good until the next call or stedi_decode_release.  Allocates
 * only through cJSON, only for records that are not plain.
 * STEDI_BYTES_PADDING bytes behind the record can be read.
 */
extern StediReason stedi_decode_record(StediDecoder *decoder, StediSlice record,
									   StediField *fields, int *where);
extern void stedi_decode_release(StediDecoder *decoder);

/* Shared with json.c: which of the wanted keys is this one?  -1: none. */
extern int	stedi_decode_find_key(const StediDecoder *decoder, StediSlice key);

/*
 * Shared with json.c: give fields[key] its value, found once more or for the
 * first time.  TWO_KEYS when it already had another one.
 */
extern StediReason stedi_decode_set(StediField *field, StediFieldKind kind,
									StediSlice text);

/* Shared with json.c: is it UTF-8 from end to end, as JSON must be? */
extern bool stedi_decode_is_utf8(StediSlice text);

/* Shared with plain.c: the length of the character at p, or 0: there is none. */
extern size_t stedi_decode_utf8_len(const unsigned char *p, size_t room);

/*
 * plain.c: decode the plain record that starts with the { at p.  Returns its
 * end, or NULL when it is not plain, or not whole.  *newlines grows by the
 * line ends in it.  STEDI_BYTES_PADDING bytes behind end can be read.
 */
extern const char *stedi_plain_record(StediDecoder *decoder, const char *p,
									  const char *end, StediField *fields,
									  uint64_t *newlines);

/*
 * The end of the plain records from p on that are max_len bytes at most and
 * stand on a line each; p where there is none.  *n and *newlines grow by them
 * and their line ends.
 */
extern const char *stedi_plain_run(StediDecoder *decoder, const char *p,
								   const char *end, size_t max_len,
								   StediField *fields, uint64_t *newlines, size_t *n);
extern void stedi_plain_forget(StediDecoder *decoder);

/* json.c: the same for records that are not plain (escapes, nesting) */
extern StediReason stedi_json_record(StediDecoder *decoder, StediSlice record,
									 StediField *fields, int *where);
extern void stedi_json_release(StediDecoder *decoder);

/* A member of a record: its key and its value. */
typedef struct StediMember
{
	StediSlice	key;			/* where key_reason is not NONE, as written */
	StediReason key_reason;		/* why no column can read it: it is no text */
	StediField	value;
	StediReason reason;			/* why no column can read the value, which is
								 * a string: it is no text */
} StediMember;

/*
 * A walk through all the members of a record; all zero before the first.  It
 * allocates through cJSON, and what it has is good until the next walk or
 * stedi_json_release_members, which is harmless when called twice.
 */
typedef struct StediMembers
{
	StediSlice	record;			/* borrowed */
	size_t		pos;			/* behind the last member */
	bool		whole;			/* it ended where the record did */
	void	   *strings;		/* a cJSON array of strings, or NULL; owned */
} StediMembers;

extern void stedi_json_members(StediMembers *members, StediSlice record);

/* The next one; false at the end, or where the record is no JSON: see whole. */
extern bool stedi_json_next_member(StediMembers *members, StediMember *member);
extern void stedi_json_release_members(StediMembers *members);

/* value.c: what a field says, for the types that we read ourselves */
extern StediReason stedi_value_int64(const StediField *field, int64_t *value);
extern StediReason stedi_value_double(const StediField *field, double *value);
extern StediReason stedi_value_bool(const StediField *field, bool *value);

/* The units of times that are numbers. */
typedef enum StediTimeUnit
{
	STEDI_UNIT_S,
	STEDI_UNIT_MS,
	STEDI_UNIT_US,
	STEDI_UNIT_NS,
	STEDI_N_UNITS
} StediTimeUnit;

/* microseconds since 1970-01-01 00:00:00 UTC; from epoch ms or ISO 8601 with an offset */
extern StediReason stedi_value_time(const StediField *field, int64_t *value);

/*
 * The same of numbers of a unit, which may be S, MS or US.  local is NULL, or
 * ISO 8601 may lack its offset: then *local says that, and *value is what a
 * clock showed.
 */
extern StediReason stedi_value_time_of(const StediField *field, StediTimeUnit unit,
									   bool *local, int64_t *value);

/*
 * Milliseconds, likewise.  What is finer is rounded down; but numbers of
 * milliseconds must be whole.
 */
extern StediReason stedi_value_ms_of(const StediField *field, StediTimeUnit unit,
									 bool *local, int64_t *value);

/* Of microseconds, the milliseconds, rounded down. */
extern int64_t stedi_value_whole_ms(int64_t us);

/*
 * Epoch ms that are a number of a unit: can only another unit make a time of
 * it?  Then which, and the latest time, in epoch ms, that it may mean.
 */
extern bool stedi_value_other_unit(int64_t ms, StediTimeUnit unit,
								   StediTimeUnit *other, int64_t *latest);

/* days since 1970-01-01; from YYYY-MM-DD */
extern StediReason stedi_value_date(const StediField *field, int32_t *value);

/* Does text obey JSON's grammar of numbers, from end to end? */
extern bool stedi_value_is_number(StediSlice text);

/* inflate.c */

typedef enum StediInflateStatus
{
	STEDI_INFLATE_OK,			/* in used up or out full: call again */
	STEDI_INFLATE_END,			/* the stream ended, at a member's end */
	STEDI_INFLATE_BAD,			/* damaged, or cut off when last was true */
	STEDI_INFLATE_OUT_OF_MEMORY,
} StediInflateStatus;

typedef enum StediCodec
{
	STEDI_CODEC_PLAIN,
	STEDI_CODEC_GZIP,
	STEDI_CODEC_ZSTD,
} StediCodec;

typedef struct StediInflate StediInflate;

/* Bytes that stedi_inflate_detect needs to be certain. */
#define STEDI_CODEC_MAGIC_LEN 4

extern StediCodec stedi_inflate_detect(const char *bytes, size_t len);

/* malloc'd, or NULL when out of memory (or for PLAIN); freed by _close, which takes NULL. */
extern StediInflate *stedi_inflate_open(StediCodec codec);
extern void stedi_inflate_close(StediInflate *inflate);

/*
 * Decompress from in to out.  *in_used and *out_len say how far it came.
 * Several members or frames, one after the other, read as one stream.  With
 * last true, `in` is all that is left of the object: a stream that is not at
 * a member's end once these are used up is BAD.
 */
extern StediInflateStatus stedi_inflate_next(StediInflate *inflate,
											 const char *in, size_t in_len, bool last,
											 size_t *in_used,
											 char *out, size_t room, size_t *out_len);

/* sign.c: AWS Signature Version 4 */

#define STEDI_SHA256_HEX_LEN 64

/* SHA-256 of no bytes, in hex: the body of every request that we make. */
#define STEDI_SHA256_OF_NOTHING \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

typedef struct StediHeader
{
	const char *name;			/* lower case */
	const char *value;			/* trimmed */
} StediHeader;

typedef struct StediSignInput
{
	const char *method;			/* "GET" */
	const char *path;			/* encoded, starts with / */
	const char *query;			/* encoded and sorted, without ?; "" if none */
	const StediHeader *headers; /* all of them are signed; sorted by name */
	int			n_headers;
	const char *payload_hash;	/* hex */
	const char *access_key_id;
	const char *secret_access_key;
	const char *region;
	const char *service;		/* "s3" */
	const char *date;			/* YYYYMMDDTHHMMSSZ, also sent as x-amz-date */
} StediSignInput;

/*
 * Write the value of the Authorization header, NUL-terminated, to out.
 * False when room is too small or the library fails; out is then empty.
 * Intermediate keys are wiped.
 */
extern bool stedi_sign_request(const StediSignInput *input, char *out, size_t room);

/* SHA-256 of a request's body, in hex and with a closing NUL; false: the library fails. */
extern bool stedi_sign_hash(const char *bytes, size_t len, char hex[STEDI_SHA256_HEX_LEN + 1]);

/*
 * Percent-encode as Signature Version 4 wants it: all but A-Z a-z 0-9 - . _ ~
 * (and / when keep_slash) as %XX in upper case.  Writes at most room bytes,
 * the closing NUL included; returns the length needed without it.
 */
extern size_t stedi_sign_encode(const char *bytes, size_t len, bool keep_slash,
								char *out, size_t room);

/* option_form.c */

/* Room for a region's name. */
#define STEDI_REGION_SIZE 33

/* An integer within these bounds; with size, it may have a unit: kB, MB. */
extern bool stedi_form_int(const char *text, bool size, int64_t min, int64_t max,
						   int64_t *value);

/* Which of the choices, up to a NULL, it is; -1: none. */
extern int	stedi_form_choice(const char *text, const char *const *choices);

/* NULL when the text is one, else what is wanted: a sentence, static. */
extern const char *stedi_form_url(const char *text);
extern const char *stedi_form_endpoint(const char *text);
extern const char *stedi_form_region(const char *text);
extern const char *stedi_form_text(const char *text);
extern const char *stedi_form_file(const char *text);

/*
 * What option "prefix" says: in a folder the path without the / at either end,
 * which mean nothing there; of a bucket as it is, since each / is part of a key.
 */
extern StediSlice stedi_form_folder(const char *path, bool local);

/* The parts of a url that is one; all borrowed from it. */
typedef struct StediUrl
{
	StediSlice	whole;			/* without a / at its end */
	bool		local;
	StediSlice	root;			/* local: the folder's path */
	StediSlice	bucket;			/* else */
	StediSlice	folder;			/* in the bucket: all behind the first / */
} StediUrl;

extern void stedi_form_split_url(const char *url, StediUrl *parts);

/* glob.c: option "pattern" */

/* Room for a pattern, the closing NUL included. */
#define STEDI_GLOB_SIZE 1024

/* NULL when the text is a pattern, else what is wanted: a sentence, static. */
extern const char *stedi_glob_form(const char *text);

/*
 * A pattern taken apart, with what it needs to match; points to nothing outside
 * of itself.
 */
typedef struct StediGlob
{
	int			n_parts;
	struct
	{
		uint8_t		kind;
		uint32_t	from;		/* ONE: the character; SET: in text, from here */
		uint32_t	to;
	}			parts[STEDI_GLOB_SIZE];
	char		text[STEDI_GLOB_SIZE];
	bool		live[2][STEDI_GLOB_SIZE + 1];
} StediGlob;

/* Take a pattern apart that has the form of one; it is copied. */
extern void stedi_glob_init(StediGlob *glob, const char *pattern);

/* Does a key below the prefix match? */
extern bool stedi_glob_matches(StediGlob *glob, const char *key);

/* May a key match that begins so, and goes on? */
extern bool stedi_glob_may_begin(StediGlob *glob, const char *start);

/* The bytes at its start that stand for themselves; unescaped into text. */
extern size_t stedi_glob_literal(const StediGlob *glob, char text[STEDI_GLOB_SIZE]);

/* beneath.c: files below a folder, whoever exchanges what there */

typedef enum StediBeneathFor
{
	STEDI_BENEATH_READ,			/* a file; of a pipe it does not wait */
	STEDI_BENEATH_FOLDER,		/* the names in a folder */
	STEDI_BENEATH_LOOK,			/* fstat alone, whatever it is */
} StediBeneathFor;

/*
 * Open a folder by its path, to open others below it: a descriptor, or -1 with
 * errno.  EPERM: on its path is a symbolic link that others than root could
 * exchange.  The second is the walk that needs nothing of Linux.
 */
extern int	stedi_beneath_root(const char *path);
extern int	stedi_beneath_root_walk(const char *path);

/*
 * Open what has that path below the folder, likewise.  EXDEV: ".." or a
 * symbolic link leads out of it.  EAGAIN: what is on the path is exchanged too
 * fast.  root_path is that of the folder, which absolute links may begin with.
 */
extern int	stedi_beneath_open(int root, const char *root_path, const char *path,
							   StediBeneathFor purpose);
extern int	stedi_beneath_walk(int root, const char *root_path, const char *path,
							   StediBeneathFor purpose);

/* email.c */

/*
 * Which normal form e-mails have.  Form 1, of stedi 1.0, was ASCII's alone; a
 * target that was made under another form is read anew.
 */
#define STEDI_EMAIL_FORM 2

/* E-mails of more bytes have form 1: nobody's address is nearly as long. */
#define STEDI_EMAIL_LONGEST 65536

/*
 * Code points of room for the form of an e-mail of so many bytes: three bytes
 * may become 18 code points, and there must be as much beside them to sort.
 */
#define STEDI_EMAIL_ROOM(len) ((len) <= STEDI_EMAIL_LONGEST ? 12 * (len) + 1 : (len) / 4 + 1)

/*
 * The normal form, which lies in room, and is empty when nothing is left: then
 * it names nobody.  E-mail and form are UTF-8; what is not has form 1.
 */
extern StediSlice stedi_email_form(StediSlice email, uint32_t *room);

/* Form 1, in room for its bytes. */
extern StediSlice stedi_email_ascii(StediSlice email, char *room);

/*
 * Forms that look alike have one skeleton; a modest list of such characters
 * is known.  In room for the form's bytes, or the form itself.
 */
extern StediSlice stedi_email_skeleton(StediSlice form, char *room);

/* consent/find.c */

typedef struct StediConsentSet StediConsentSet; /* one flat piece; see
												 * consent/set.h */

typedef enum StediStanding
{
	STEDI_STANDING_UNKNOWN,		/* nobody that the set knows */
	STEDI_STANDING_GRANTED,		/* consent covers the reading */
	STEDI_STANDING_NONE,		/* known, without consent */
	STEDI_STANDING_BEFORE,		/* read before the consent began */
	STEDI_STANDING_AMBIGUOUS,	/* it is not certain whose reading it is */
	STEDI_STANDING_FORGOTTEN,
	STEDI_STANDING_WITHOUT_READINGS,	/* known, with consent, and without
										 * accelerometer readings */
	STEDI_STANDING_HANDED_ON,	/* from a time when it may have been another's */
	STEDI_N_STANDINGS
} StediStanding;

/* text without the ASCII white space around it */
extern StediSlice stedi_consent_trim(StediSlice text);

/* The member's number, from 0, in the order of their hashes. */
extern uint32_t stedi_consent_number(const StediConsentSet *set, uint32_t place);

/*
 * The memory of a large set is far away.  Whoever knows early whom records
 * name takes the hashes of them all, which has the slots fetched (0: not
 * known), then has the members fetched, and then finds them.
 */
extern uint64_t stedi_consent_hash(const StediConsentSet *set, StediSlice who);
extern void stedi_consent_fetch(const StediConsentSet *set, uint64_t hash);

/*
 * Where a member's reading stands.  *older is set when it is GRANTED though
 * older than the consent, which the rule 'granted' allows.
 */
extern StediStanding stedi_consent_standing(const StediConsentSet *set, uint32_t place,
											int64_t reading_time, bool *older);

/* Since when a member, by its number, consents: epoch ms. */
extern int64_t stedi_consent_since(const StediConsentSet *set, uint32_t which);

/* How many members there are; a key, by the member's number, as normalised. */
extern uint32_t stedi_consent_size(const StediConsentSet *set);
extern StediSlice stedi_consent_key(const StediConsentSet *set, uint32_t which);
extern uint64_t stedi_consent_key_hash(const StediConsentSet *set, uint32_t which);

/* net/xml.c: what an S3 server answers */

typedef struct StediS3Entry
{
	const char *key;			/* decoded; good during the call */
	const char *etag;			/* with its quotes; "" when absent */
	int64_t		size;
	int64_t		modified_us;	/* since 1970-01-01 UTC; 0 when absent */
	const char *storage_class;	/* "" when absent */
} StediS3Entry;

/* Called for every object of a page; false ends the parse (and it reports false). */
typedef bool (*StediS3EntryFn) (void *arg, const StediS3Entry *entry);

typedef struct StediS3Page
{
	bool		truncated;		/* more pages follow */
	char		token[1025];	/* NextContinuationToken; "" when none */
	int			n_entries;
	const char *trouble;		/* why the parse failed: static text */
} StediS3Page;

typedef struct StediS3Error
{
	char		code[65];		/* <Code>, "" when the body is not S3's error */
	char		message[513];
	char		region[65];		/* <Region>, where the server names the right
								 * one */
	char		endpoint[257];	/* <Endpoint>, likewise */
} StediS3Error;

/* A ListBucketResult; false when it is not one, is cut off, or entry_fn said so. */
extern bool stedi_s3xml_page(const char *xml, size_t len,
							 StediS3EntryFn entry_fn, void *arg, StediS3Page *page);

/*
 * The same of a page that was asked for with a delimiter: for every folder
 * (CommonPrefixes), whose key ends at it, in place of the objects.
 */
extern bool stedi_s3xml_folders(const char *xml, size_t len,
								StediS3EntryFn entry_fn, void *arg, StediS3Page *page);

/* An Error; code is "" when it is not one. */
extern void stedi_s3xml_error(const char *xml, size_t len, StediS3Error *error);

/* The longest session token, and a 0; AWS' have some 1 to 4 kB. */
#define STEDI_TOKEN_SIZE 16384

/* Credentials that a server told; what is longer than there is room for is none. */
typedef struct StediToldKeys
{
	char		access_key_id[129];
	char		secret_access_key[1025];
	char		session_token[STEDI_TOKEN_SIZE];
	int64_t		expires_us;		/* since 1970-01-01 UTC; 0: not told */
	char		code[65];		/* JSON: "Success", or why not; "" */
} StediToldKeys;

/*
 * Those in an answer of AWS's token service; false when there are none, or it
 * is cut off.  The caller wipes *keys, whatever comes of it, and the answer;
 * no other copy is left.
 */
extern bool stedi_s3xml_keys(const char *xml, size_t len, StediToldKeys *keys);

/* json.c: the same of a container's or an instance's answer */
extern bool stedi_json_keys(const char *json, size_t len, StediToldKeys *keys);

/* ini.c: the files that AWS's tools keep */

typedef enum StediIniStatus
{
	STEDI_INI_SECTION,			/* name */
	STEDI_INI_PROPERTY,			/* name and value, of the section before it */
	STEDI_INI_END,
	STEDI_INI_BAD,				/* a line that is neither; the next can be
								 * read */
} StediIniStatus;

typedef struct StediIni
{
	const char *p;				/* the next line */
	const char *end;
	int			line;			/* the number of the last one, from 1 */
	int			indent;			/* of the last property of this section; -1:
								 * none */
} StediIni;

extern void stedi_ini_init(StediIni *ini, const char *bytes, size_t len);
extern StediIniStatus stedi_ini_next(StediIni *ini, StediSlice *name, StediSlice *value);

/*
 * Is it the section of the profile?  In a config file, profiles other than
 * default are called "profile NAME".
 */
extern bool stedi_ini_is_profile(StediSlice section, const char *profile, bool config);

/* address.c */

/*
 * Is it an address of the host's own link, or one at which a cloud answers
 * whoever asks from there?  Of a struct sockaddr and its length; true also of
 * what is no IP address.  Never throws.
 */
extern bool stedi_address_is_local(const void *address, size_t len);

/* checksum.c: over OpenSSL and zlib */

/* The checksums that S3 may tell of an object; what is quickest comes first. */
typedef enum StediChecksumKind
{
	STEDI_CHECKSUM_CRC32,
	STEDI_CHECKSUM_CRC32C,
	STEDI_CHECKSUM_CRC64NVME,
	STEDI_CHECKSUM_SHA1,
	STEDI_CHECKSUM_SHA256,
	STEDI_N_CHECKSUMS,
	STEDI_CHECKSUM_MD5 = STEDI_N_CHECKSUMS, /* told as an ETag */
} StediChecksumKind;

/* The most bytes that a checksum has. */
#define STEDI_CHECKSUM_SIZE 32

typedef struct StediChecksum
{
	StediChecksumKind kind;
	uint64_t	crc;			/* CRCs */
	void	   *digest;			/* the others: an EVP_MD_CTX, owned */
	unsigned char expected[STEDI_CHECKSUM_SIZE];
} StediChecksum;

/*
 * Begin to compare with what is told: base64, or hex for an ETag, quotes and
 * all.  False when it is none of one kind of checksum of all the bytes (an
 * ETag of an object in parts, say), or the library does not have it; then
 * there is nothing to end.
 */
extern bool stedi_checksum_begin(StediChecksum *checksum, StediChecksumKind kind,
								 const char *told);
extern void stedi_checksum_add(StediChecksum *checksum, const void *bytes, size_t len);

/* Was it that of the bytes?  Frees what is owned. */
extern bool stedi_checksum_end(StediChecksum *checksum);

#endif							/* STEDI_BYTES_H */
