/*-------------------------------------------------------------------------
 *
 * secret.c
 *		Memory that is wiped: where keys and tokens are kept.
 *
 * A piece of it hangs on its memory context by a reset callback, so that it
 * is wiped whatever ends the query.  Where secrets are renewed while a query
 * goes on, they have a context of their own, which is deleted.
 *
 *-------------------------------------------------------------------------
 */
#include "base/base.h"

#include "utils/memutils.h"
#include "utils/palloc.h"

typedef struct Secret
{
	MemoryContextCallback wipe;
	Size		size;
	char		bytes[FLEXIBLE_ARRAY_MEMBER];
} Secret;

/* Never throws. */
static void
secret_wipe(void *arg)
{
	Secret	   *secret = arg;

	explicit_bzero(secret->bytes, secret->size);
}

void *
stedi_secret_alloc(Size size)
{
	Secret	   *secret = palloc0(MAXALIGN(offsetof(Secret, bytes)) + size);

	secret->size = size;
	secret->wipe.func = secret_wipe;
	secret->wipe.arg = secret;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &secret->wipe);
	return secret->bytes;
}

char *
stedi_secret_copy(const char *string)
{
	char	   *copy;
	Size		len;

	if (string == NULL)
		return NULL;
	len = strlen(string);
	copy = stedi_secret_alloc(len + 1);
	memcpy(copy, string, len);
	return copy;
}
