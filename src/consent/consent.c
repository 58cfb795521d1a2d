/*-------------------------------------------------------------------------
 *
 * consent.c
 *		Who consented, as of when: a set that is asked once a record.
 *
 * It can be a parameter of a scan, be handed to parallel workers, and be
 * stored; consent/text.c has its text form.
 *
 *-------------------------------------------------------------------------
 */
#include "consent/consent.h"
#include "consent/set.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

/* A set that was fetched from out of line, and the pointer that says from where. */
typedef struct Fetched
{
	char		pointer[VARHDRSZ_EXTERNAL + sizeof(varatt_external)];
	const StediConsentSet *set; /* NULL: none yet */
} Fetched;

PG_FUNCTION_INFO_V1(consents);

bool
stedi_consent_find(const StediConsentSet *set, StediSlice who, uint64 *hash,
				   uint32 *place)
{
	char		room[SHORT_KEY];
	char		digest[DIGEST_LEN];
	char	   *copy = NULL;
	const Member *member;

	if (set->flags & SET_FOLD)
	{
		StediSlice	form = stedi_consent_form(who, room);

		if (form.data == NULL)	/* a set of this database has no such member */
		{
			if (*hash == 0)
				*hash = stedi_consent_name_hash(set->seed, who, true);
			return false;
		}
		if (form.data != room)
			copy = unconstify(char *, form.data);
		who = form;
	}
	if (*hash == 0)
		*hash = stedi_consent_hash_text(set->seed, who);
	if ((set->flags & SET_DIGEST) && stedi_consent_has_hash(set, SET_SLOTS(set), *hash))
	{
		stedi_consent_digest(set->seed, who, digest);
		who.data = digest;
		who.len = DIGEST_LEN;
	}
	member = consent_find_member(set, SET_SLOTS(set), set->n_slots, who, *hash);
	if (copy != NULL)
		pfree(copy);
	if (member != NULL)
		*place = ((const char *) member - (const char *) set) / SET_ALIGN;
	return member != NULL;
}

const StediConsentSet *
stedi_consent_get(Datum datum)
{
	const StediConsentSet *set = (StediConsentSet *) PG_DETOAST_DATUM(datum);

	if (!stedi_consent_is_whole(set, VARSIZE(set)))
		ereport(ERROR,
				errcode(ERRCODE_DATA_CORRUPTED),
				errmsg("the consent set is damaged, or of another version"),
				errhint("Make it anew with the aggregate stedi.consent_set(who, since)."));
	return set;
}

/*
 * The set that the argument holds.  One that lies in a table out of line is
 * fetched once for all calls of a query, not once a row.
 */
static const StediConsentSet *
get_set_argument(FunctionCallInfo fcinfo)
{
	struct varlena *given = (struct varlena *) DatumGetPointer(PG_GETARG_DATUM(0));
	MemoryContext cxt = fcinfo->flinfo->fn_mcxt;
	Fetched    *fetched = fcinfo->flinfo->fn_extra;
	MemoryContext caller;

	if (!VARATT_IS_EXTERNAL_ONDISK(given))
		return stedi_consent_get(PointerGetDatum(given));
	if (fetched == NULL)
		fetched = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(cxt, sizeof(Fetched));
	if (fetched->set == NULL ||
		memcmp(fetched->pointer, given, sizeof(fetched->pointer)) != 0)
	{
		if (fetched->set != NULL)
			pfree(unconstify(StediConsentSet *, fetched->set));
		fetched->set = NULL;
		caller = MemoryContextSwitchTo(cxt);
		fetched->set = stedi_consent_get(PointerGetDatum(given));
		MemoryContextSwitchTo(caller);
		memcpy(fetched->pointer, given, sizeof(fetched->pointer));
	}
	return fetched->set;
}

/*
 * consents(set stedi.consent_set, who text, reading_time bigint) -> boolean
 */
Datum
consents(PG_FUNCTION_ARGS)
{
	const StediConsentSet *set;
	text	   *who;
	StediSlice	key;
	uint64		hash = 0;
	uint32		place;
	bool		older;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_BOOL(false);
	who = PG_GETARG_TEXT_PP(1);
	key = stedi_text_slice(who);
	set = get_set_argument(fcinfo);
	PG_RETURN_BOOL(stedi_consent_find(set, key, &hash, &place) &&
				   stedi_consent_standing(set, place, PG_GETARG_INT64(2), &older) ==
				   STEDI_STANDING_GRANTED);
}
