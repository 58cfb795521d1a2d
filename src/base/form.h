/*-------------------------------------------------------------------------
 *
 * form.h
 *		Options as text, without a backend.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_BASE_FORM_H
#define STEDI_BASE_FORM_H

#include "record/record.h"

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

/* glob.c */

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

#endif							/* STEDI_BASE_FORM_H */
