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

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* A set that was fetched from out of line, and the pointer that says from where. */
typedef struct Fetched
{
	char		pointer[VARHDRSZ_EXTERNAL + sizeof(varatt_external)];
	const StediConsentSet *set; /* NULL: none yet */
} Fetched;

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

/* Are texts of the database UTF-8, or bytes that we take for it? */
static inline bool
is_utf8(void)
{
	return GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII;
}

/* The normal form in UTF-8 of an e-mail of the database, palloc'd. */
static StediSlice
make_form(StediSlice email)
{
	char	   *copy = NULL;
	StediSlice	form;

	if (!is_utf8())
	{
		copy = pnstrdup(email.data, email.len);
		email.data = pg_server_to_any(copy, (int) email.len, PG_UTF8);
		email.len = strlen(email.data);
		if (email.data != copy)
			pfree(copy);
		copy = unconstify(char *, email.data);
	}
	form = stedi_email_form(email, palloc(STEDI_EMAIL_ROOM(email.len) * sizeof(uint32)));
	if (copy != NULL)
		pfree(copy);
	return form;
}

/*
 * A form in UTF-8, which it frees, in the encoding of the database; data is
 * NULL where that has no such text.
 */
static StediSlice
to_database(StediSlice form)
{
	StediSlice	text = {NULL, 0};
	int			len = 0;

	if (is_utf8())
		return form;
	text.data = stedi_text_convert(form, &len);
	text.len = len;
	pfree(unconstify(char *, form.data));
	return text;
}

StediSlice
stedi_consent_form(StediSlice email, char *room)
{
	char	   *copy = room;

	email = stedi_consent_trim(email);
	if (email.len > SHORT_KEY)
		copy = palloc(email.len);
	if (!consent_fold(copy, email))
	{
		if (copy != room)
			pfree(copy);
		return to_database(make_form(email));
	}
	email.data = copy;
	return email;
}

StediReason
stedi_consent_check(StediSlice email)
{
	StediSlice	form = stedi_email_form(email,
										palloc(STEDI_EMAIL_ROOM(email.len) * sizeof(uint32)));
	bool		is_empty = form.len == 0;

	form = to_database(form);
	if (form.data == NULL)
		return STEDI_REASON_ENCODING;
	pfree(unconstify(char *, form.data));
	return is_empty ? STEDI_REASON_MISSING : STEDI_REASON_NONE;
}

uint64
stedi_consent_name_hash(uint64 seed, StediSlice name, bool fold_key)
{
	char		room[SHORT_KEY];
	uint64		hash;

	if (!fold_key)
		return stedi_consent_hash_text(seed, name);
	name = stedi_consent_trim(name);
	if (name.len <= sizeof(room) && consent_fold(room, name))
	{
		name.data = room;
		return consent_hash_key(seed, name);
	}
	name = make_form(name);
	hash = consent_hash_key(seed, name);
	pfree(unconstify(char *, name.data));
	return hash;
}

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

		if (form.data == NULL)	/* nobody's who is in a set of this database */
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

text *
stedi_consent_normalize(StediSlice email)
{
	char		room[SHORT_KEY];
	StediSlice	form = stedi_consent_form(email, room);

	return form.data == NULL || form.len == 0 ? NULL :
		cstring_to_text_with_len(form.data, (int) form.len);
}

/*
 * normalize_email(text) -> text; NULL when nothing is left, or the database's
 * encoding has no such text
 */
Datum
normalize_email(PG_FUNCTION_ARGS)
{
	text	   *result = stedi_consent_normalize(stedi_text_slice(PG_GETARG_TEXT_PP(0)));

	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result);
}
