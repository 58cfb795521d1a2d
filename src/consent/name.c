/*-------------------------------------------------------------------------
 *
 * name.c
 *		The normal form, hash and digest of a name in the database's encoding.
 *
 * A name is an e-mail or a serial number.  email.c and find.c know UTF-8 only;
 * texts of a database of another encoding are converted here.
 *
 *-------------------------------------------------------------------------
 */
#include "consent/consent.h"
#include "consent/set.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

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

void
stedi_consent_digest(uint64 seed, StediSlice key, char *digest)
{
	pg_cryptohash_ctx *sha = pg_cryptohash_create(PG_SHA256);
	uint8		result[PG_SHA256_DIGEST_LENGTH];
	uint8		start[sizeof(seed)];
	const char *utf8 = key.data;

	/* a dump may be restored into a database of another encoding */
	if (GetDatabaseEncoding() != PG_UTF8 && key.len > 0)
		utf8 = pg_server_to_any(pnstrdup(key.data, key.len), (int) key.len, PG_UTF8);
	for (int i = 0; i < (int) sizeof(seed); i++)
		start[i] = (uint8) (seed >> (8 * i));
	if (sha == NULL || pg_cryptohash_init(sha) < 0 ||
		pg_cryptohash_update(sha, start, sizeof(start)) < 0 ||
		pg_cryptohash_update(sha, (const uint8 *) utf8, utf8 == key.data ? key.len : strlen(utf8)) < 0 ||
		pg_cryptohash_final(sha, result, sizeof(result)) < 0)
		elog(ERROR, "could not compute a SHA-256");
	pg_cryptohash_free(sha);
	memcpy(digest, result, DIGEST_LEN);
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

	email = stedi_email_trim(email);
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
	name = stedi_email_trim(name);
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
