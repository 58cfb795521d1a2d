/*-------------------------------------------------------------------------
 *
 * record.h
 *		The bytes of an object -> records -> fields -> values.
 *
 * Whatever is declared here compiles without postgres.h, throws nothing, keeps
 * no global state and allocates only what its comment says.  So it can be
 * tested and fuzzed outside a server.
 *
 * 	 inflate.c	gzip, zstd	-> bytes
 * 	 frame.c	bytes		-> records
 * 	 decode.c	bytes		-> records and their fields
 * 	 plain.c	bytes		-> the same in one pass, of plain records
 * 	 json.c		record		-> fields, where plain.c cannot; all members
 * 	 value.c	field		-> number, time: see field.h
 * 	 field.c	what decode.c, plain.c and json.c share: see decoder.h
 *
 * The words: an *object* is what the landing zone stores under a key, a *record*
 * is one JSON object in it, a *field* is the undecoded value that a record has
 * for a key, a *column* is typed, a *row* is what a query sees.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_RECORD_H
#define STEDI_RECORD_H

#include "record/field.h"

/*
 * Bytes that must be there to read, whatever they hold, behind the buffers
 * and records that are given to decode.c: plain.c looks at many bytes at
 * once, and does not ask each time where they end.
 */
#define STEDI_BYTES_PADDING 64

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

/* json.c */

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

#endif							/* STEDI_RECORD_H */
