/*-------------------------------------------------------------------------
 *
 * who.h
 *		Who an e-mail names, and who is in a consent set; without a backend.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_CONSENT_WHO_H
#define STEDI_CONSENT_WHO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record/record.h"

/* email.c */

/* text without the ASCII white space around it */
extern StediSlice stedi_email_trim(StediSlice text);

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

/* find.c */

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

#endif							/* STEDI_CONSENT_WHO_H */
