/*-------------------------------------------------------------------------
 *
 * credential.c
 *		Who we are to S3: the options of a user mapping.
 *
 * Access keys live in user mappings and nowhere else: never in the backend's
 * environment, a file of the server's or an instance's role, which would be
 * the server's identity and not the user's.
 *
 *-------------------------------------------------------------------------
 */
#include "stedi.h"

#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

/* Is there a mapping for the user, or one for everybody? */
static bool
has_mapping(Oid userid, Oid serverid)
{
	return SearchSysCacheExists2(USERMAPPINGUSERSERVER,
								 ObjectIdGetDatum(userid),
								 ObjectIdGetDatum(serverid)) ||
		SearchSysCacheExists2(USERMAPPINGUSERSERVER,
							  ObjectIdGetDatum(InvalidOid),
							  ObjectIdGetDatum(serverid));
}

/* Say what to do; SQL that can be pasted, but for the keys. */
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
			errhint("%s USER MAPPING FOR %s SERVER %s OPTIONS (access_key_id '...', secret_access_key '...'); "
					"or, for a public bucket, OPTIONS (anonymous 'true').",
					mapped ? "ALTER" : "CREATE", user, server));
}

/*
 * See stedi.h.  The strings are those of the mapping's list, which was made
 * for us: there is no second copy to wipe.
 */
void
stedi_credential_get(const StediOptions *opts, Oid userid, StediCredential *credential)
{
	ListCell   *lc;

	memset(credential, 0, sizeof(*credential));
	if (!has_mapping(userid, opts->serverid))
		report_missing(userid, opts->serverid, false);

	foreach(lc, GetUserMapping(userid, opts->serverid)->options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "anonymous") == 0)
			(void) parse_bool(defGetString(def), &credential->anonymous);
		else if (strcmp(def->defname, "access_key_id") == 0)
			credential->access_key_id = defGetString(def);
		else if (strcmp(def->defname, "secret_access_key") == 0)
			credential->secret_access_key = defGetString(def);
		else if (strcmp(def->defname, "session_token") == 0)
			credential->session_token = defGetString(def);
	}
	if (!credential->anonymous &&
		(credential->access_key_id == NULL || credential->secret_access_key == NULL))
		report_missing(userid, opts->serverid, true);
}

/* Wipe a string. */
static void
forget(char **secret)
{
	if (*secret != NULL)
		explicit_bzero(*secret, strlen(*secret));
	*secret = NULL;
}

/* See stedi.h. */
void
stedi_credential_forget(StediCredential *credential)
{
	forget(&credential->access_key_id);
	forget(&credential->secret_access_key);
	forget(&credential->session_token);
}
