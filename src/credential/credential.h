/*-------------------------------------------------------------------------
 *
 * credential.h
 *		Who we are to S3: keys, where they come from, and when they end.
 *
 * 	 credential.c	which source a user mapping names, who may use it, renewal
 * 		 |
 * 		 +--> environment.c	variables of the server's processes
 * 		 +--> profile.c		AWS's files --+
 * 		 +--> sts.c		<-------------+  the token service
 * 		 +--> metadata.c	a container's, or an instance's
 * 				 |
 * 				 +--> cache.c	keys that cost a request are kept
 * 				 +--> ask.c		the requests
 * 				 +--> keys.c	keys as values
 *
 * No source throws when it has no keys: it says why, and its caller decides
 * whether the old ones will do for a while.  Thrown are cancels, and want of
 * memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_CREDENTIAL_H
#define STEDI_CREDENTIAL_H

#include "net/net.h"

/* keys.c */

/* Keys, all strings secret.c's. */
typedef struct StediKeys
{
	char	   *access_key_id;
	char	   *secret_access_key;
	char	   *session_token;	/* NULL: none */
	TimestampTz expires;		/* 0: not told */
	char	   *detail;			/* where they are from, in words */
} StediKeys;

/* What a source is asked. */
typedef struct StediKeyQuery
{
	const StediOptions *opts;	/* borrowed */
	const char *profile;		/* NULL: the default one */
	const StediKeys *refused;	/* a server no longer takes these; or NULL */
} StediKeyQuery;

/* Why there are no keys. */
typedef struct StediKeyTrouble
{
	int			sqlerrcode;
	const char *reason;			/* goes on after "could not get credentials
								 * from ...: " */
	const char *detail;			/* a sentence, or NULL */
	const char *hint;			/* likewise */
} StediKeyTrouble;

/*
 * Fill in *keys, which is zeroed, or *trouble; in the current context.
 * Returns whether there are keys.
 */
typedef bool (*StediKeysFn) (const StediKeyQuery *query, StediKeys *keys,
							 StediKeyTrouble *trouble);

/* Fill in *trouble; returns false. */
extern bool stedi_key_trouble(StediKeyTrouble *trouble, int sqlerrcode, const char *reason,
							  const char *detail, const char *hint);

/* When to have others: 0 is never. */
extern TimestampTz stedi_key_renew_at(const StediKeys *keys);

extern bool stedi_keys_equal(const StediKeys *one, const StediKeys *other);

/* A copy in the current context. */
extern void stedi_keys_copy(const StediKeys *from, StediKeys *to);

/* environment.c */

extern bool stedi_environment_keys(const StediKeyQuery *query, StediKeys *keys,
								   StediKeyTrouble *trouble);

/* A variable of the server's processes; NULL when it is absent or empty. */
extern const char *stedi_environment_get(const char *name);

/* The files that variables and profiles name. */

/* More than any file of keys or with a token has. */
#define STEDI_KEY_FILE_SIZE (1024 * 1024)

/*
 * The contents of a file, secret.c's, with a 0 behind them; false and why
 * when it cannot be read.  *absent is set where it is not there; then there
 * is no trouble.
 */
extern bool stedi_environment_read(const char *path, char **bytes, Size *len,
								   bool *absent, StediKeyTrouble *trouble);

/* A token in a file, without the line's end. */
extern bool stedi_environment_token(const char *path, char **token, StediKeyTrouble *trouble);

/* cache.c */

typedef bool (*StediKeysFetchFn) (const StediKeyQuery *query, const void *arg,
								  StediKeys *keys, StediKeyTrouble *trouble);

/* Keys that this backend has, or else those that fetch gets. */
extern bool stedi_cache_keys(const char *name, const StediKeyQuery *query,
							 StediKeysFetchFn fetch, const void *arg,
							 StediKeys *keys, StediKeyTrouble *trouble);

/* ask.c */

/* Ask, some times; false and why unless the answer is 200. */
extern bool stedi_ask(const StediHttpAsk *ask, StediAnswer *answer, StediKeyTrouble *trouble);

/* Is the host of the url this machine?  And is it an url at all? */
extern bool stedi_ask_is_loopback(const char *url);
extern bool stedi_ask_is_url(const char *url);

/* Is its host this address, as it is written? */
extern bool stedi_ask_is_host(const char *url, const char *host);

/* Make keys of what a server told, which is wiped. */
extern void stedi_ask_keys(StediToldKeys *told, StediKeys *keys);

/* sts.c */

/* What the token service is asked for a role. */
typedef struct StediStsAsk
{
	const char *role_arn;
	const char *session_name;	/* NULL: ours */
	const char *external_id;	/* NULL: none */
	const char *duration;		/* seconds; NULL: the role's */
	const char *token_file;		/* of a web identity; NULL: signer asks */
	const StediKeys *signer;
} StediStsAsk;

extern bool stedi_sts_keys(const StediKeyQuery *query, const StediStsAsk *ask,
						   StediKeys *keys, StediKeyTrouble *trouble);
extern bool stedi_web_identity_keys(const StediKeyQuery *query, StediKeys *keys,
									StediKeyTrouble *trouble);

/* metadata.c */

extern bool stedi_container_keys(const StediKeyQuery *query, StediKeys *keys,
								 StediKeyTrouble *trouble);
extern bool stedi_instance_keys(const StediKeyQuery *query, StediKeys *keys,
								StediKeyTrouble *trouble);

/* profile.c */

extern bool stedi_profile_keys(const StediKeyQuery *query, StediKeys *keys,
							   StediKeyTrouble *trouble);

/* credential.c */

typedef enum StediKeySource		/* in the order of the option's choices */
{
	STEDI_KEYS_STATIC,
	STEDI_KEYS_ENVIRONMENT,
	STEDI_KEYS_PROFILE,
	STEDI_KEYS_WEB_IDENTITY,
	STEDI_KEYS_CONTAINER,
	STEDI_KEYS_INSTANCE,
} StediKeySource;

typedef struct StediCredential
{
	/* whole life */
	MemoryContext cxt;
	const StediOptions *opts;	/* borrowed */
	Oid			userid;			/* whose it is */
	bool		anonymous;
	StediKeySource source;
	const char *profile;		/* NULL: the default one */

	/* until they are renewed */
	MemoryContext keys_cxt;
	StediKeys	keys;			/* unless anonymous */
	TimestampTz renew_at;		/* 0: never */
	int			generation;		/* grows when they become others */
} StediCredential;

/*
 * What userid's mapping says, and the keys; in the current context, whose
 * reset wipes them.  opts must live as long.
 */
extern StediCredential *stedi_credential_open(const StediOptions *opts, Oid userid);

/* Before a request: have new keys when these are about to run out. */
extern void stedi_credential_refresh(StediCredential *credential);

/*
 * After a server refused the keys as out of date: have others, once more.
 * False when there are none but these.
 */
extern bool stedi_credential_renew(StediCredential *credential);

/* May a refusal without more words be due to their having run out? */
extern bool stedi_credential_may_be_over(const StediCredential *credential);

#endif							/* STEDI_CREDENTIAL_H */
