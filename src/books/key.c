/*-------------------------------------------------------------------------
 *
 * key.c
 *		Hashes of people under a target's key.
 *
 * With the key, it can be told whether a given person is meant by a hash.
 * From the hash alone, it cannot be told who is meant.  The key is in
 * stedi_key.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"

#include "common/hmac.h"
#include "common/sha2.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(keyed_hash);
PG_FUNCTION_INFO_V1(keyed_hash_of_form);

ZoneHasher *
stedi_zone_key_begin(void)
{
	pg_hmac_ctx *hmac = pg_hmac_create(PG_SHA256);

	if (hmac == NULL)
		ereport(ERROR,
				errcode(ERRCODE_OUT_OF_MEMORY),
				errmsg("out of memory"));
	return (ZoneHasher *) hmac;
}

void
stedi_zone_key_end(ZoneHasher *hasher)
{
	pg_hmac_free((pg_hmac_ctx *) hasher);
}

bytea *
stedi_zone_key_hash_text(ZoneHasher *hasher, StediSlice key, StediSlice text)
{
	char	   *utf8;

	/* a dump may be restored into a database of another encoding */
	if (GetDatabaseEncoding() == PG_UTF8 || text.len == 0)
		return stedi_zone_key_hash(hasher, key, text);
	utf8 = pg_server_to_any(pnstrdup(text.data, text.len), (int) text.len, PG_UTF8);
	if (utf8 != NULL)
	{
		text.data = utf8;
		text.len = strlen(utf8);
	}
	return stedi_zone_key_hash(hasher, key, text);
}

ZoneForgotten
stedi_zone_key_forgotten(const ZoneRun *run, ZoneHasher *hasher, StediSlice email)
{
	const StediSlice key = {run->key, ZONE_KEY_LEN};
	ZoneForgotten forgotten;

	forgotten.who = stedi_zone_key_hash_text(hasher, key, email);
	forgotten.name = (int64) stedi_consent_name_hash(run->seed, email, false);
	forgotten.proof = stedi_zone_key_hash(hasher, key, stedi_text_slice(forgotten.who));
	return forgotten;
}

bytea *
stedi_zone_key_hash(ZoneHasher *hasher, StediSlice key, StediSlice text)
{
	pg_hmac_ctx *hmac = (pg_hmac_ctx *) hasher;
	bytea	   *hash = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);

	SET_VARSIZE(hash, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	if (pg_hmac_init(hmac, (const uint8 *) key.data, key.len) < 0 ||
		pg_hmac_update(hmac, (const uint8 *) text.data, text.len) < 0 ||
		pg_hmac_final(hmac, (uint8 *) VARDATA(hash), PG_SHA256_DIGEST_LENGTH) < 0)
		ereport(ERROR,
				errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("could not hash a name: %s", pg_hmac_error(hmac)));
	return hash;
}

/* Of an e-mail in some form. */
static bytea *
hash_once(bytea *key, StediSlice email)
{
	ZoneHasher *hasher = stedi_zone_key_begin();
	bytea	   *hash = stedi_zone_key_hash_text(hasher, stedi_text_slice(key), email);

	stedi_zone_key_end(hasher);
	return hash;
}

/*
 * keyed_hash(key bytea, email text) -> bytea: HMAC-SHA256 of the e-mail in its
 * normal form; NULL when nothing is left of that
 */
Datum
keyed_hash(PG_FUNCTION_ARGS)
{
	text	   *email = stedi_consent_normalize(stedi_text_slice(PG_GETARG_TEXT_PP(1)));

	if (email == NULL)
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(hash_once(PG_GETARG_BYTEA_PP(0), stedi_text_slice(email)));
}

/*
 * keyed_hash(key bytea, email text, form integer) -> bytea: the same of the
 * e-mail in a former form
 */
Datum
keyed_hash_of_form(PG_FUNCTION_ARGS)
{
	StediSlice	email = stedi_text_slice(PG_GETARG_TEXT_PP(1));
	int			form = PG_GETARG_INT32(2);

	if (form == STEDI_EMAIL_FORM)
		return keyed_hash(fcinfo);
	if (form != 1)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("there is no form %d of e-mails", form),
				errhint("Form 1 is that of stedi 1.0, form %d that of today.", STEDI_EMAIL_FORM));
	email = stedi_email_ascii(email, palloc(email.len + 1));
	if (email.len == 0)
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(hash_once(PG_GETARG_BYTEA_PP(0), email));
}
