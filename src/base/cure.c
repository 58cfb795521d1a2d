/*-------------------------------------------------------------------------
 *
 * cure.c
 *		What ends an error, as SQL to copy.
 *
 * A hint of ours ends with a statement wherever one helps: with the names that
 * are meant, quoted, and with ADD or SET as it takes at this moment.  '...'
 * stands for what only its reader knows.  It is for whoever owns the object,
 * who need not be the one who got the error.
 *
 * A mapping's values are secrets: they are never looked at here, and wiped.
 *
 *-------------------------------------------------------------------------
 */
#include "base/base.h"

#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* Is an option set? */
static bool
is_set(List *given, const char *option)
{
	ListCell   *lc;

	foreach(lc, given)
		if (strcmp(lfirst_node(DefElem, lc)->defname, option) == 0)
		return true;
	return false;
}

/* ADD an option, or SET it where it is there. */
static void
append_option(StringInfo statement, List *given, const char *option, const char *value)
{
	appendStringInfo(statement, "%s %s %s", is_set(given, option) ? "SET" : "ADD",
					 quote_identifier(option), quote_literal_cstr(value));
}

char *
stedi_cure_server(const StediOptions *opts, const char *option, const char *value)
{
	const ForeignServer *server = GetForeignServer(opts->serverid);
	StringInfoData statement;

	initStringInfo(&statement);
	appendStringInfo(&statement, "ALTER SERVER %s OPTIONS (", quote_identifier(server->servername));
	append_option(&statement, server->options, option, value);
	appendStringInfoString(&statement, ");");
	return statement.data;
}

/* A table's name as it can be written anywhere. */
static char *
table_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

char *
stedi_cure_table(const StediOptions *opts, const char *option, const char *value)
{
	StringInfoData statement;

	initStringInfo(&statement);
	appendStringInfo(&statement, "ALTER FOREIGN TABLE %s OPTIONS (", table_name(opts->relid));
	append_option(&statement, GetForeignTable(opts->relid)->options, option, value);
	appendStringInfoString(&statement, ");");
	return statement.data;
}

/* The names of the options of userid's mapping are kept, their values wiped. */
static List *
mapping_options(Oid userid, Oid serverid)
{
	List	   *given = GetUserMapping(userid, serverid)->options;
	ListCell   *lc;

	foreach(lc, given)
	{
		char	   *value = strVal(lfirst_node(DefElem, lc)->arg);

		explicit_bzero(value, strlen(value));
	}
	return given;
}

char *
stedi_cure_keys(Oid serverid, Oid userid, bool token)
{
	const char *server = quote_identifier(GetForeignServer(serverid)->servername);
	Oid			mapped = stedi_mapping_find(userid, serverid);
	const char *user = mapped == InvalidOid ? "PUBLIC" :
	quote_identifier(GetUserNameFromId(userid, false));
	List	   *given;
	StringInfoData statement;

	if (mapped == STEDI_NO_MAPPING)
		return psprintf("CREATE USER MAPPING FOR %s SERVER %s OPTIONS (access_key_id '...', secret_access_key '...');",
						user, server);
	given = mapping_options(userid, serverid);
	initStringInfo(&statement);
	appendStringInfo(&statement, "ALTER USER MAPPING FOR %s SERVER %s OPTIONS (", user, server);
	if (is_set(given, "anonymous"))
		appendStringInfoString(&statement, "DROP anonymous, ");
	append_option(&statement, given, "access_key_id", "...");
	appendStringInfoString(&statement, ", ");
	append_option(&statement, given, "secret_access_key", "...");
	if (token || is_set(given, "session_token"))
	{
		appendStringInfoString(&statement, ", ");
		append_option(&statement, given, "session_token", "...");
	}
	appendStringInfoString(&statement, ");");
	return statement.data;
}

void
stedi_cure_denied(ObjectType kind, Oid objectid, const char *privilege, Oid userid)
{
	const char *user = quote_identifier(GetUserNameFromId(userid, false));

	if (kind == OBJECT_FOREIGN_TABLE)
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("permission denied for foreign table %s", get_rel_name(objectid)),
				errhint("It holds raw records, of everybody. To let %s read them: GRANT %s ON %s TO %s;",
						user, privilege, table_name(objectid), user));
	if (kind == OBJECT_FOREIGN_SERVER)
	{
		const char *server = GetForeignServer(objectid)->servername;

		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("permission denied for foreign server %s", server),
				errhint("GRANT %s ON FOREIGN SERVER %s TO %s;",
						privilege, quote_identifier(server), user));
	}
	ereport(ERROR,
			errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			errmsg("permission denied for schema %s", get_namespace_name(objectid)),
			errhint("GRANT %s ON SCHEMA %s TO %s;",
					privilege, quote_identifier(get_namespace_name(objectid)), user));
	pg_unreachable();
}
