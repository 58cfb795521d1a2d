/*-------------------------------------------------------------------------
 *
 * told.h
 *		Keys in files and answers, without a backend.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_CREDENTIAL_TOLD_H
#define STEDI_CREDENTIAL_TOLD_H

#include "net/wire.h"
#include "record/record.h"

/* told.c */

extern bool stedi_told_keys(const char *json, size_t len, StediToldKeys *keys);

/* ini.c */

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

#endif							/* STEDI_CREDENTIAL_TOLD_H */
