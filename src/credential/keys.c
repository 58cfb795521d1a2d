/*-------------------------------------------------------------------------
 *
 * keys.c
 *		Keys as values: compare, copy, when to renew, why there are none.
 *
 *-------------------------------------------------------------------------
 */
#include "credential/credential.h"

#include "utils/timestamp.h"

/*
 * How long before their end keys are renewed: time enough for some tries of
 * this, and for the requests that are signed with the old ones.  A quarter of
 * their life, for those that are short-lived.
 */
#define MARGIN_US (5 * 60 * USECS_PER_SEC)
#define MARGIN_SHARE 4

/* Keys that are over are not asked for anew more often than this. */
#define PAUSE_US USECS_PER_SEC

bool
stedi_key_trouble(StediKeyTrouble *trouble, int sqlerrcode, const char *reason,
				  const char *detail, const char *hint)
{
	trouble->sqlerrcode = sqlerrcode;
	trouble->reason = reason;
	trouble->detail = detail;
	trouble->hint = hint;
	return false;
}

/*
 * What is left of their life counts, from now on: of keys that are in their
 * last minutes when we get them, too.
 */
TimestampTz
stedi_key_renew_at(const StediKeys *keys)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		life = keys->expires - now;

	if (keys->expires == 0)
		return 0;
	if (life <= 0)
		return now + PAUSE_US;
	return keys->expires - Min(MARGIN_US, life / MARGIN_SHARE);
}

static bool
same_string(const char *one, const char *other)
{
	return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

bool
stedi_keys_equal(const StediKeys *one, const StediKeys *other)
{
	return same_string(one->access_key_id, other->access_key_id) &&
		same_string(one->secret_access_key, other->secret_access_key) &&
		same_string(one->session_token, other->session_token);
}

void
stedi_keys_copy(const StediKeys *from, StediKeys *to)
{
	to->access_key_id = stedi_secret_copy(from->access_key_id);
	to->secret_access_key = stedi_secret_copy(from->secret_access_key);
	to->session_token = stedi_secret_copy(from->session_token);
	to->expires = from->expires;
	to->detail = pstrdup(from->detail);
}
