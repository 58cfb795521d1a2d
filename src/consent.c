/*-------------------------------------------------------------------------
 *
 * consent.c
 *		Who consented, as of when: a set that is asked once a record.
 *
 * It can be a parameter of a scan, be handed to parallel workers, and be
 * stored; its text form shows a count and nobody's name.
 *
 *-------------------------------------------------------------------------
 */
#include "stedi.h"

#include "consent.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* A set that was fetched from out of line, and the pointer that says from where. */
typedef struct Fetched
{
	char		pointer[VARHDRSZ_EXTERNAL + sizeof(varatt_external)];
	const StediConsentSet *set; /* NULL: none yet */
} Fetched;

PG_FUNCTION_INFO_V1(consent_set_in);
PG_FUNCTION_INFO_V1(consent_set_out);
PG_FUNCTION_INFO_V1(consents);
PG_FUNCTION_INFO_V1(normalize_email);

uint64
stedi_consent_hash_text(uint64 seed, StediSlice key)
{
	char	   *utf8 = NULL;
	uint64		hash;

	/* a dump may be restored into a database of another encoding */
	if (GetDatabaseEncoding() != PG_UTF8 && key.len > 0)
		utf8 = pg_server_to_any(pnstrdup(key.data, key.len), (int) key.len, PG_UTF8);
	if (utf8 != NULL)
	{
		key.data = utf8;
		key.len = strlen(utf8);
	}
	hash = consent_hash_key(seed, key);
	if (utf8 != NULL)
		pfree(utf8);
	return hash;
}

uint64
stedi_consent_name_hash(uint64 seed, StediSlice name, bool fold_key)
{
	char		room[SHORT_KEY];
	char	   *copy = room;
	uint64		hash;

	if (!fold_key)
		return stedi_consent_hash_text(seed, name);
	name = stedi_consent_trim(name);
	if (name.len > sizeof(room))
		copy = palloc(name.len);
	consent_fold(copy, name);
	name.data = copy;
	hash = stedi_consent_hash_text(seed, name);
	if (copy != room)
		pfree(copy);
	return hash;
}

bool
stedi_consent_find(const StediConsentSet *set, StediSlice who, uint64 *hash,
				   uint32 *place)
{
	char		room[SHORT_KEY];
	char	   *copy = room;
	const Member *member;

	if (set->flags & SET_FOLD)
	{
		who = stedi_consent_trim(who);
		if (who.len > sizeof(room))
			copy = palloc(who.len);
		consent_fold(copy, who);
		who.data = copy;
	}
	if (*hash == 0)
		*hash = stedi_consent_hash_text(set->seed, who);
	member = consent_find_member(set, SET_SLOTS(set), set->n_slots, who, *hash);
	if (copy != room)
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

/* A set cannot be written by hand: it says who consented. */
Datum
consent_set_in(PG_FUNCTION_ARGS)
{
	ereport(ERROR,
			errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			errmsg("cannot accept a value of type %s", "stedi.consent_set"),
			errhint("Make one with the aggregate stedi.consent_set(who, since)."));
	PG_RETURN_NULL();
}

Datum
consent_set_out(PG_FUNCTION_ARGS)
{
	const StediConsentSet *set = stedi_consent_get(PG_GETARG_DATUM(0));

	PG_RETURN_CSTRING(psprintf("consent_set(%u)", set->n_members));
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

text *
stedi_consent_normalize(StediSlice email)
{
	text	   *result;

	email = stedi_consent_trim(email);
	if (email.len == 0)
		return NULL;
	result = palloc(email.len + VARHDRSZ);
	SET_VARSIZE(result, email.len + VARHDRSZ);
	consent_fold(VARDATA(result), email);
	return result;
}

/*
 * normalize_email(text) -> text; NULL when nothing is left
 */
Datum
normalize_email(PG_FUNCTION_ARGS)
{
	text	   *result = stedi_consent_normalize(stedi_text_slice(PG_GETARG_TEXT_PP(0)));

	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result);
}
