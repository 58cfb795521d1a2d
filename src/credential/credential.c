/*-------------------------------------------------------------------------
 *
 * credential.c
 *		Who we are to S3: what a user mapping says, and keys that are renewed.
 *
 * A mapping has keys of its own, or says which of the database server's own
 * credentials are to be used.  These are the server's identity and not the
 * user's: only a role that may read the server's files may set that (option.c),
 * and only foreign servers of such owners may have it (here), as the owner
 * says where requests go.
 *
 * The copies of a secret that there are:
 *
 *	 here			StediKeys of each client, in a context that wipes them
 *	 the cache		those that cost a request (credential/cache.c)
 *	 on the way		files, answers, forms: secret.c's memory, of the same context
 *					as the keys made of them
 *	 request.c		a token in a header, until http.c has taken it
 *	 http.c			libcurl's list of headers, wiped when the answer is there
 *	 not ours		libcurl's, OpenSSL's and the kernel's buffers; PostgreSQL's
 *					cache of the catalog pg_user_mapping, and the array that it
 *					makes of a mapping's options; the environment
 *
 * What is ours is wiped when the query ends, however it does; the cache's when
 * it is replaced, and when the session ends.
 *
 *-------------------------------------------------------------------------
 */
#include "credential/credential.h"

#include "catalog/pg_authid.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* Characters of an access key that are shown, and the shortest that has some to spare. */
#define SHOWN_LEN 4
#define LEAST_SHOWN_LEN 12

/* The sources, as option "credentials" has them. */
static const struct
{
	const char *name;
	const char *words;			/* get credentials from ... */
	StediKeysFn keys;			/* NULL: the mapping has them */
}			sources[] =

{
	[STEDI_KEYS_STATIC] = {"static", "the user mapping", NULL},
	[STEDI_KEYS_ENVIRONMENT] = {"environment", "the environment", stedi_environment_keys},
	[STEDI_KEYS_PROFILE] = {"profile", "a profile", stedi_profile_keys},
	[STEDI_KEYS_WEB_IDENTITY] = {"web_identity", "a web identity", stedi_web_identity_keys},
	[STEDI_KEYS_CONTAINER] = {"container", "the container", stedi_container_keys},
	[STEDI_KEYS_INSTANCE] = {"instance", "the instance", stedi_instance_keys},
};

PG_FUNCTION_INFO_V1(credential);

/* Say what to do. */
static void
report_missing(Oid userid, Oid serverid, bool mapped)
{
	const char *server = quote_identifier(GetForeignServer(serverid)->servername);
	const char *user = quote_identifier(GetUserNameFromId(userid, false));

	ereport(ERROR,
			errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
			errmsg("no S3 access without a user mapping"),
			mapped ?
			errdetail("The user mapping of server %s for user %s has no keys.", server, user) :
			errdetail("Server %s has no user mapping for user %s.", server, user),
			errhint("%s Or, for a public bucket, OPTIONS (anonymous 'true').",
					stedi_cure_keys(serverid, userid, false)));
}

/* May a foreign server have what the database server has? */
static void
check_owner(Oid serverid)
{
	ForeignServer *server = GetForeignServer(serverid);

	if (!has_privs_of_role(server->owner, ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("server \"%s\" may not use credentials of the database server",
					   server->servername),
				errdetail("Its owner \"%s\" is neither a superuser nor a member of role pg_read_server_files.",
						  GetUserNameFromId(server->owner, false)),
				errhint("Have a superuser own the server, or put keys into the user mapping."));
}

/* The source of that name; the validator knows no others. */
static StediKeySource
find_source(const char *name)
{
	for (int i = 0; i < lengthof(sources); i++)
		if (strcmp(sources[i].name, name) == 0)
			return i;
	elog(ERROR, "unknown source of credentials \"%s\"", name);
}

/* Take a string out of a mapping's options, which are ours, and wipe it there. */
static char *
take_secret(DefElem *def)
{
	char	   *value = defGetString(def);
	char	   *secret = stedi_secret_copy(value);

	explicit_bzero(value, strlen(value));
	return secret;
}

/* Whose mapping it is, in words; that of PUBLIC is given under the user's name. */
static char *
describe_mapping(const UserMapping *mapping)
{
	if (stedi_mapping_find(mapping->userid, mapping->serverid) == InvalidOid)
		return pstrdup("user mapping for PUBLIC");
	return psprintf("user mapping for %s",
					quote_identifier(GetUserNameFromId(mapping->userid, false)));
}

/* Take what the mapping says; its keys go into keys_cxt. */
static void
take_mapping(StediCredential *credential, UserMapping *mapping)
{
	MemoryContext caller = MemoryContextSwitchTo(credential->keys_cxt);
	StediKeys  *keys = &credential->keys;
	ListCell   *lc;

	foreach(lc, mapping->options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "anonymous") == 0)
			(void) parse_bool(defGetString(def), &credential->anonymous);
		else if (strcmp(def->defname, "credentials") == 0)
			credential->source = find_source(defGetString(def));
		else if (strcmp(def->defname, "profile") == 0)
			credential->profile = MemoryContextStrdup(credential->cxt, defGetString(def));
		else if (strcmp(def->defname, "access_key_id") == 0)
			keys->access_key_id = take_secret(def);
		else if (strcmp(def->defname, "secret_access_key") == 0)
			keys->secret_access_key = take_secret(def);
		else if (strcmp(def->defname, "session_token") == 0)
			keys->session_token = take_secret(def);
	}
	keys->detail = describe_mapping(mapping);
	MemoryContextSwitchTo(caller);
}

/* Keys and tokens go into headers, which a line end would end. */
static bool
is_plain(const char *key)
{
	for (; key != NULL && *key != '\0'; key++)
		if ((unsigned char) *key < ' ' || *key == 0x7f)
			return false;
	return true;
}

/*
 * Have keys from the source; others than refused, if there are some.  False
 * and why when there are none: credential is then as it was, and the strings
 * of trouble live in its context.
 */
static bool
load_keys(StediCredential *credential, const StediKeys *refused, StediKeyTrouble *trouble)
{
	StediKeyQuery query = {
		.opts = credential->opts,
		.profile = credential->profile,
		.refused = refused,
	};
	MemoryContext cxt = AllocSetContextCreate(credential->cxt, "stedi keys", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(cxt);
	StediKeys	keys = {0};
	bool		have = sources[credential->source].keys(&query, &keys, trouble);

	if (have && !(is_plain(keys.access_key_id) && is_plain(keys.secret_access_key) &&
				  is_plain(keys.session_token)))
		have = stedi_key_trouble(trouble, ERRCODE_CONFIG_FILE_ERROR,
								 "a key or token has a line end or another control character in it",
								 NULL, NULL);
	MemoryContextSwitchTo(caller);
	if (!have)
		return false;
	if (!stedi_keys_equal(&keys, &credential->keys))
		credential->generation++;
	credential->renew_at = stedi_key_renew_at(&keys);
	credential->keys = keys;
	MemoryContextDelete(credential->keys_cxt);
	credential->keys_cxt = cxt;
	return true;
}

/* Raise the error for keys that cannot be had. */
static void
report_trouble(const StediCredential *credential, const StediKeyTrouble *trouble)
{
	ereport(ERROR,
			errcode(trouble->sqlerrcode),
			errmsg("could not get credentials from %s: %s",
				   sources[credential->source].words, trouble->reason),
			trouble->detail != NULL ? errdetail("%s", trouble->detail) : 0,
			trouble->hint != NULL ? errhint("%s", trouble->hint) : 0);
}

StediCredential *
stedi_credential_open(const StediOptions *opts, Oid userid)
{
	StediCredential *credential = palloc0(sizeof(StediCredential));
	StediKeyTrouble trouble;

	if (stedi_mapping_find(userid, opts->serverid) == STEDI_NO_MAPPING)
		report_missing(userid, opts->serverid, false);
	credential->cxt = CurrentMemoryContext;
	credential->opts = opts;
	credential->userid = userid;
	credential->keys_cxt = AllocSetContextCreate(credential->cxt, "stedi keys",
												 ALLOCSET_SMALL_SIZES);
	take_mapping(credential, GetUserMapping(userid, opts->serverid));
	if (credential->source != STEDI_KEYS_STATIC)
	{
		check_owner(opts->serverid);
		if (!load_keys(credential, NULL, &trouble))
			report_trouble(credential, &trouble);
	}
	else if (!credential->anonymous && (credential->keys.access_key_id == NULL ||
										credential->keys.secret_access_key == NULL))
		report_missing(userid, opts->serverid, true);
	return credential;
}

/* See credential.h.  Keys that still hold are better than an error. */
void
stedi_credential_refresh(StediCredential *credential)
{
	TimestampTz now;
	StediKeyTrouble trouble;

	if (credential->renew_at == 0)
		return;
	now = GetCurrentTimestamp();
	if (now < credential->renew_at || load_keys(credential, NULL, &trouble))
		return;
	if (credential->keys.expires <= now)
		report_trouble(credential, &trouble);
	credential->renew_at = stedi_key_renew_at(&credential->keys);
}

/* See credential.h.  Why there are none, stedi.credential tells; here, the server's word is told. */
bool
stedi_credential_renew(StediCredential *credential)
{
	int			generation = credential->generation;
	StediKeyTrouble trouble;

	if (credential->anonymous || credential->source == STEDI_KEYS_STATIC)
		return false;
	return load_keys(credential, &credential->keys, &trouble) &&
		credential->generation != generation;
}

bool
stedi_credential_may_be_over(const StediCredential *credential)
{
	return credential->source != STEDI_KEYS_STATIC && credential->keys.session_token != NULL &&
		(credential->keys.expires == 0 || credential->keys.expires <= GetCurrentTimestamp());
}

/* The end of an access key: enough to tell it from others. */
static char *
show_access_key(const char *access_key_id)
{
	size_t		len = strlen(access_key_id);

	if (len < LEAST_SHOWN_LEN)
		return pstrdup("...");
	return psprintf("...%s", stedi_text_sentence(access_key_id + len - SHOWN_LEN));
}

/*
 * credential(server name) -> (source, access_key_id, temporary, expires, detail)
 */
Datum
credential(PG_FUNCTION_ARGS)
{
	const char *name = NameStr(*PG_GETARG_NAME(0));
	const StediOptions *opts = stedi_option_get(stedi_option_find_server(name), InvalidOid);
	StediCredential *found;
	TupleDesc	tupdesc;
	Datum		values[5];
	bool		nulls[5] = {false};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (opts->local)
		ereport(ERROR,
				errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("server \"%s\" reads a folder, which takes no credentials", name));
	found = stedi_credential_open(opts, GetUserId());
	values[0] = CStringGetTextDatum(found->anonymous ? "anonymous" : sources[found->source].name);
	nulls[1] = found->anonymous;
	if (!nulls[1])
		values[1] = CStringGetTextDatum(show_access_key(found->keys.access_key_id));
	values[2] = BoolGetDatum(found->keys.session_token != NULL);
	nulls[3] = found->keys.expires == 0;
	values[3] = TimestampTzGetDatum(found->keys.expires);
	values[4] = CStringGetTextDatum(found->keys.detail);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
