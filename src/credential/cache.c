/*-------------------------------------------------------------------------
 *
 * cache.c
 *		Keys that cost a request, kept in the backend until they near their end.
 *
 * An entry's name has all that its keys depend on: the source, the role, who
 * asks for it and where.  Nothing of that is a user's or a server's: whoever
 * comes here has been checked by credential.c this time, too, so that an entry
 * gives nobody what a request would not.  A mapping that is changed asks under
 * another name.
 *
 * Keys are copied to whoever asks.  An entry has a memory context of its own,
 * which wipes it (secret.c) when it is replaced; what is left is wiped as the
 * backend exits.
 *
 *-------------------------------------------------------------------------
 */
#include "credential/credential.h"

#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* More sources than one session uses; the one that came first goes. */
#define MAX_ENTRIES 32

typedef struct CacheEntry
{
	MemoryContext cxt;			/* has all of it */
	char	   *name;
	StediKeys	keys;
	TimestampTz renew_at;		/* 0: never */
} CacheEntry;

/* In the order in which they came; whole life of the backend. */
static CacheEntry *entries[MAX_ENTRIES];
static int	n_entries;

static void
remove_entry(int i)
{
	MemoryContextDelete(entries[i]->cxt);
	n_entries--;
	memmove(&entries[i], &entries[i + 1], (n_entries - i) * sizeof(entries[0]));
}

/* Contexts are not reset when a process ends. */
static void
wipe_all(int code, Datum arg)
{
	while (n_entries > 0)
		remove_entry(n_entries - 1);
}

/* The entry's place, or -1. */
static int
find_entry(const char *name)
{
	for (int i = 0; i < n_entries; i++)
		if (strcmp(entries[i]->name, name) == 0)
			return i;
	return -1;
}

/* Keep keys under a name, in place of others. */
static void
keep_keys(const char *name, const StediKeys *keys)
{
	static bool armed = false;
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "stedi credentials",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(cxt);
	CacheEntry *entry = palloc0(sizeof(CacheEntry));
	int			i = find_entry(name);

	entry->cxt = cxt;
	entry->name = pstrdup(name);
	stedi_keys_copy(keys, &entry->keys);
	entry->renew_at = stedi_key_renew_at(keys);
	MemoryContextSwitchTo(caller);
	if (!armed)
		on_proc_exit(wipe_all, (Datum) 0);
	armed = true;
	if (i >= 0)
		remove_entry(i);
	else if (n_entries == MAX_ENTRIES)
		remove_entry(0);
	MemoryContextSetParent(cxt, TopMemoryContext);
	entries[n_entries++] = entry;
}

bool
stedi_cache_keys(const char *name, const StediKeyQuery *query,
				 StediKeysFetchFn fetch, const void *arg,
				 StediKeys *keys, StediKeyTrouble *trouble)
{
	TimestampTz now = GetCurrentTimestamp();
	int			i = find_entry(name);
	CacheEntry *entry = i < 0 ? NULL : entries[i];

	/* another scan may have renewed them already */
	if (entry != NULL && query->refused != NULL && stedi_keys_equal(&entry->keys, query->refused))
		entry = NULL;
	if (entry == NULL || (entry->renew_at != 0 && now >= entry->renew_at))
	{
		if (fetch(query, arg, keys, trouble))
		{
			keep_keys(name, keys);
			return true;
		}

		/* what is about to run out will do until it has */
		if (entry == NULL || entry->keys.expires <= now)
			return false;
		entry->renew_at = stedi_key_renew_at(&entry->keys);
	}
	memset(keys, 0, sizeof(*keys));
	stedi_keys_copy(&entry->keys, keys);
	return true;
}
