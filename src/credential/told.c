/*-------------------------------------------------------------------------
 *
 * told.c
 *		The answer of a container's or an instance's service -> keys.
 *
 * Backend-free.  Nothing of the answer stays in memory but what the caller has.
 *
 *-------------------------------------------------------------------------
 */
#include "record/decoder.h"
#include "credential/told.h"

#include <string.h>


/* Copy a string that is no longer than room allows; one that is absent is "". */
static bool
keep_field(const StediField *field, char *to, size_t room)
{
	to[0] = '\0';
	if (field->kind == STEDI_FIELD_MISSING || field->kind == STEDI_FIELD_NULL)
		return true;
	if (field->kind != STEDI_FIELD_STRING || field->text.len >= room)
		return false;
	memcpy(to, field->text.data, field->text.len);
	to[field->text.len] = '\0';
	return true;
}

bool
stedi_told_keys(const char *json, size_t len, StediToldKeys *keys)
{
	enum
	{
		ID, SECRET, TOKEN, EXPIRATION, CODE, N_KEYS
	};
	static const StediSlice names[N_KEYS] = {
		{"accesskeyid", 11}, {"secretaccesskey", 15}, {"token", 5}, {"expiration", 10}, {"code", 4},
	};
	StediField	fields[N_KEYS];
	StediDecoder decoder;
	StediSlice	record = {json, len};
	int			where;
	bool		told;

	memset(keys, 0, sizeof(*keys));
	while (record.len > 0 && memchr(" \t\r\n", record.data[0], 4) != NULL)
		record.data++, record.len--;
	while (record.len > 0 && memchr(" \t\r\n", record.data[record.len - 1], 4) != NULL)
		record.len--;
	stedi_decode_init(&decoder, names, N_KEYS);
	told = stedi_json_record(&decoder, record, fields, &where) == STEDI_REASON_NONE &&
		keep_field(&fields[CODE], keys->code, sizeof(keys->code)) &&
		keep_field(&fields[ID], keys->access_key_id, sizeof(keys->access_key_id)) &&
		keep_field(&fields[SECRET], keys->secret_access_key, sizeof(keys->secret_access_key)) &&
		keep_field(&fields[TOKEN], keys->session_token, sizeof(keys->session_token)) &&
		(fields[EXPIRATION].kind == STEDI_FIELD_MISSING || fields[EXPIRATION].kind == STEDI_FIELD_NULL ||
		 (fields[EXPIRATION].kind == STEDI_FIELD_STRING &&
		  stedi_value_time(&fields[EXPIRATION], &keys->expires_us) == STEDI_REASON_NONE));
	stedi_json_wipe(&decoder);
	return told && keys->access_key_id[0] != '\0' && keys->secret_access_key[0] != '\0' &&
		(keys->code[0] == '\0' || strcmp(keys->code, "Success") == 0);
}
