/*-------------------------------------------------------------------------
 *
 * trouble.c
 *		What can go wrong with a request to an S3 server: what helps, in words.
 *
 * One table says, of what libcurl, HTTP and S3 came to, whether another try
 * may help, which SQLSTATE it is, how it is called, and what to do, with the
 * statement that does it.  Messages name bucket and key; no secret,
 * signature or query is in any of them.
 *
 * libcurl's header is included for its codes alone: the calls are in http.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>

#include "net/net.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"

#define HINT_KEYS \
	"Check options \"access_key_id\" and \"secret_access_key\" of the user mapping."
#define HINT_POLICY \
	"The account needs s3:ListBucket on the bucket and s3:GetObject on its objects, and kms:Decrypt if they are encrypted with a key of KMS."
#define HINT_REGION \
	"Set option \"region\" of the server to the bucket's region."
#define HINT_TOKEN \
	"Set options \"access_key_id\", \"secret_access_key\" and \"session_token\" of the user mapping to new ones; if the mapping has option \"credentials\", see what SELECT * FROM stedi.credential(server) says."
#define HINT_AGAIN \
	"Run the query again."
#define HINT_LATER \
	"Run the query again later, or with a smaller option \"connections\" of the server."
#define HINT_ENDPOINT \
	"Check options \"endpoint\" and \"proxy\" of the server, and that the network lets the database server reach it."

/* The first that fits counts. */
static const StediTrouble troubles[] = {
	/* no answer */
	{CURLE_COULDNT_RESOLVE_HOST, 0, NULL, STEDI_REMEDY_AGAIN, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION,
	"the server's name is not known", "Check options \"endpoint\" and \"region\" of the server.", STEDI_CURE_NAME},
	{CURLE_COULDNT_RESOLVE_PROXY, 0, NULL, STEDI_REMEDY_AGAIN, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION,
	"the proxy's name is not known", "Check option \"proxy\" of the server.", STEDI_CURE_ENDPOINT},
	{STEDI_ANSWER_PROXY_REFUSED, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION,
	"the proxy refuses to connect to the server", "Check options \"proxy\" and \"endpoint\" of the server, and what the proxy allows.", STEDI_CURE_NONE},
	{CURLE_COULDNT_CONNECT, 0, NULL, STEDI_REMEDY_AGAIN, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION,
	"the server does not take the connection", HINT_ENDPOINT, STEDI_CURE_ENDPOINT},
	{CURLE_OPERATION_TIMEDOUT, 0, NULL, STEDI_REMEDY_AGAIN, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION,
		"the server did not take the connection in time",
	"Check option \"endpoint\" of the server, or raise its option \"connect_timeout\".", STEDI_CURE_NONE},
	{STEDI_ANSWER_CERT_UNKNOWN, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION,
		"the server's certificate is signed by nobody who is trusted",
	"Set option \"ca_file\" of the server to a file with its authority's certificate, or install that in the database server's system.", STEDI_CURE_CA_FILE},
	{STEDI_ANSWER_CERT_EXPIRED, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION,
		"the server's certificate has expired",
	"It, or its authority's in option \"ca_file\" of the server, is to be renewed; or the clock of the database server is wrong.", STEDI_CURE_NONE},
	{STEDI_ANSWER_CERT_EARLY, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION,
		"the server's certificate is not valid yet",
	"Set the clock of the database server.", STEDI_CURE_NONE},
	{STEDI_ANSWER_CERT_HOST, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION,
		"the server's certificate is for another host",
	"Check option \"endpoint\" of the server; a bucket with a dot in its name needs option \"url_style\" to be path.", STEDI_CURE_NONE},
	{CURLE_PEER_FAILED_VERIFICATION, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION,
		"the server's certificate is not to be trusted",
	"Set option \"ca_file\" of the server to a file with its authority's certificate, or install that in the database server's system.", STEDI_CURE_CA_FILE},
	{CURLE_SSL_CONNECT_ERROR, 0, NULL, STEDI_REMEDY_AGAIN, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION,
	"no TLS connection can be made", "Check whether the endpoint speaks https.", STEDI_CURE_ENDPOINT},
	{CURLE_SSL_CACERT_BADFILE, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION,
		"there are no certificates to check with",
	"Check that option \"ca_file\" of the server is a PEM file that the database server's user can read; without it, install the system's package of certificates (Debian: ca-certificates).", STEDI_CURE_NONE},
	{CURLE_URL_MALFORMAT, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_INVALID_PARAMETER_VALUE,
	"the endpoint is not a server's address", "Check options \"endpoint\" and \"url\" of the server.", STEDI_CURE_NONE},
	{CURLE_OUT_OF_MEMORY, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_OUT_OF_MEMORY,
	"out of memory", NULL, STEDI_CURE_NONE},
	{CURLE_PARTIAL_FILE, 0, NULL, STEDI_REMEDY_AGAIN, ERRCODE_CONNECTION_FAILURE,
	"the connection ended before the answer did", HINT_AGAIN, STEDI_CURE_NONE},
	{STEDI_ANSWER_CUT_OFF, 0, NULL, STEDI_REMEDY_AGAIN, ERRCODE_CONNECTION_FAILURE,
	"the connection ended before the answer did", HINT_AGAIN, STEDI_CURE_NONE},
	{CURLE_GOT_NOTHING, 0, NULL, STEDI_REMEDY_AGAIN, ERRCODE_CONNECTION_FAILURE,
	"the server ended the connection without an answer", HINT_AGAIN, STEDI_CURE_NONE},
	{CURLE_RECV_ERROR, 0, NULL, STEDI_REMEDY_AGAIN, ERRCODE_CONNECTION_FAILURE,
	"the connection broke", HINT_AGAIN, STEDI_CURE_NONE},
	{CURLE_SEND_ERROR, 0, NULL, STEDI_REMEDY_AGAIN, ERRCODE_CONNECTION_FAILURE,
	"the connection broke", HINT_AGAIN, STEDI_CURE_NONE},
	{CURLE_UNSUPPORTED_PROTOCOL, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
	"the answer is no HTTP", HINT_ENDPOINT, STEDI_CURE_ENDPOINT},
	{CURLE_WEIRD_SERVER_REPLY, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
	"the answer is no HTTP", HINT_ENDPOINT, STEDI_CURE_ENDPOINT},
	{STEDI_ANSWER_STALLED, 0, NULL, STEDI_REMEDY_AGAIN, ERRCODE_CONNECTION_FAILURE,
	"the server went silent", "Run the query again, or raise option \"stall_timeout\" of the server.", STEDI_CURE_NONE},
	{STEDI_ANSWER_TOO_LONG, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
	"the answer is too long", "Lower option \"page_size\" of the server.", STEDI_CURE_NONE},
	{STEDI_ANSWER_LINK_LOCAL, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_INSUFFICIENT_PRIVILEGE,
		"its address is link-local, or one where a cloud answers its own hosts alone",
	"Check options \"endpoint\" and \"proxy\" of the server. Superusers and members of role pg_read_server_files may set its option \"allow_link_local\".", STEDI_CURE_NONE},
	{STEDI_ANSWER_WRONG_LENGTH, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"its length is not the one that was listed", HINT_AGAIN, STEDI_CURE_NONE},

	{STEDI_ANSWER_WRONG_RANGE, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
	"the server sent other bytes than those that were asked for", "Check option \"endpoint\" of the server.", STEDI_CURE_NONE},
	{STEDI_ANSWER_CHANGED, 0, NULL, STEDI_REMEDY_NEWER, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"it has changed since it was listed", HINT_AGAIN, STEDI_CURE_NONE},
	{STEDI_ANSWER_WRONG_CHECKSUM, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_DATA_CORRUPTED,
	"its checksum is wrong", "Run the query again; if that does not help, see that the object is what was uploaded.", STEDI_CURE_NONE},

	/* an answer with a code of S3's */
	{CURLE_OK, 0, "SignatureDoesNotMatch", STEDI_REMEDY_NONE, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"the secret does not go with the access key", HINT_KEYS, STEDI_CURE_KEYS},
	{CURLE_OK, 0, "InvalidAccessKeyId", STEDI_REMEDY_NONE, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"the access key is not known", "Check option \"access_key_id\" of the user mapping; temporary keys need option \"session_token\", too.", STEDI_CURE_KEYS},
	{CURLE_OK, 0, "ExpiredToken", STEDI_REMEDY_RENEW, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"the session token has expired", HINT_TOKEN, STEDI_CURE_TOKEN},
	{CURLE_OK, 0, "TokenRefreshRequired", STEDI_REMEDY_RENEW, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"the session token has expired", HINT_TOKEN, STEDI_CURE_TOKEN},
	{CURLE_OK, 0, "InvalidToken", STEDI_REMEDY_RENEW, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"the session token is wrong", HINT_TOKEN, STEDI_CURE_TOKEN},
	{CURLE_OK, 0, "RequestTimeTooSkewed", STEDI_REMEDY_NONE, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"the clocks differ too much", "Set the clock of the database server's host; with systemd, as root: timedatectl set-ntp true", STEDI_CURE_NONE},
	{CURLE_OK, 0, "AuthorizationHeaderMalformed", STEDI_REMEDY_REGION, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"it was asked for in the wrong region", HINT_REGION, STEDI_CURE_REGION},
	{CURLE_OK, 0, "AccessDenied", STEDI_REMEDY_NONE, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"access denied", HINT_POLICY, STEDI_CURE_ACCOUNT},
	{CURLE_OK, 0, "NoSuchBucket", STEDI_REMEDY_NONE, ERRCODE_UNDEFINED_OBJECT,
	"there is no such bucket", "Check option \"url\" of the server.", STEDI_CURE_URL},
	{CURLE_OK, 0, "InvalidBucketName", STEDI_REMEDY_NONE, ERRCODE_UNDEFINED_OBJECT,
	"there can be no such bucket", "Check option \"url\" of the server.", STEDI_CURE_URL},
	{CURLE_OK, 0, "NoSuchKey", STEDI_REMEDY_NONE, ERRCODE_UNDEFINED_OBJECT,
	"it was removed since it was listed", HINT_AGAIN, STEDI_CURE_NONE},
	{CURLE_OK, 0, "PermanentRedirect", STEDI_REMEDY_REGION, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
	"the bucket is in another region", HINT_REGION, STEDI_CURE_REGION},
	{CURLE_OK, 0, "TemporaryRedirect", STEDI_REMEDY_NONE, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
	"the bucket is being moved to another place", "Run the query again later.", STEDI_CURE_NONE},
	{CURLE_OK, 0, "PreconditionFailed", STEDI_REMEDY_NEWER, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"it has changed since it was listed", HINT_AGAIN, STEDI_CURE_NONE},
	{CURLE_OK, 0, "InvalidObjectState", STEDI_REMEDY_NONE, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"it is archived", "Restore it from the archive, or move it out of the prefix.", STEDI_CURE_NONE},
	{CURLE_OK, 0, "SlowDown", STEDI_REMEDY_AGAIN, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
	"the server is asked for too much", HINT_LATER, STEDI_CURE_NONE},

	/* an answer without one, or with one that needs no words of its own */
	{CURLE_OK, 301, NULL, STEDI_REMEDY_REGION, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
	"the bucket is in another region", HINT_REGION, STEDI_CURE_REGION},
	{CURLE_OK, 307, NULL, STEDI_REMEDY_REGION, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
	"the bucket is in another region", HINT_REGION, STEDI_CURE_REGION},
	{CURLE_OK, 401, NULL, STEDI_REMEDY_NONE, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"access denied", HINT_KEYS, STEDI_CURE_KEYS},
	{CURLE_OK, 403, NULL, STEDI_REMEDY_NONE, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"access denied", HINT_POLICY, STEDI_CURE_ACCOUNT},
	{CURLE_OK, 404, NULL, STEDI_REMEDY_NONE, ERRCODE_UNDEFINED_OBJECT,
	"it is not there", "Check options \"url\" and \"endpoint\" of the server.", STEDI_CURE_URL},
	{CURLE_OK, 412, NULL, STEDI_REMEDY_NEWER, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	"it has changed since it was listed", HINT_AGAIN, STEDI_CURE_NONE},
	{CURLE_OK, 429, NULL, STEDI_REMEDY_AGAIN, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
	"the server is asked for too much", HINT_LATER, STEDI_CURE_NONE},
	{CURLE_OK, 0, "RequestTimeout", STEDI_REMEDY_AGAIN, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
	"the server waited too long", HINT_AGAIN, STEDI_CURE_NONE},
	{CURLE_OK, 408, NULL, STEDI_REMEDY_AGAIN, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
	"the server waited too long", HINT_AGAIN, STEDI_CURE_NONE},
	{CURLE_OK, 500, NULL, STEDI_REMEDY_AGAIN, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
	"the server is in trouble", "Run the query again later.", STEDI_CURE_NONE},
	{CURLE_OK, 502, NULL, STEDI_REMEDY_AGAIN, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
	"the server is in trouble", "Run the query again later.", STEDI_CURE_NONE},
	{CURLE_OK, 504, NULL, STEDI_REMEDY_AGAIN, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
	"the server is in trouble", "Run the query again later.", STEDI_CURE_NONE},
	{CURLE_OK, 503, NULL, STEDI_REMEDY_AGAIN, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
	"the server is busy", HINT_LATER, STEDI_CURE_NONE},
	{CURLE_OK, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
	"the server refuses the request", "Check option \"endpoint\" of the server.", STEDI_CURE_NONE},
};

/* All that libcurl can come up with and has no row. */
static const StediTrouble other_trouble = {
	0, 0, NULL, STEDI_REMEDY_NONE, ERRCODE_CONNECTION_FAILURE, "the transfer failed", NULL, STEDI_CURE_NONE
};

/*
 * Wipe out, in a server's words, what may be a secret that it was sent: long
 * runs of the letters that tokens and signatures are made of.  Servers have no
 * reason to repeat these, but some do.
 */
char *
stedi_trouble_hide(char *text)
{
	char	   *to = text;		/* not beyond p */

	for (const char *p = text; *p != '\0';)
	{
		size_t		len = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=_-%");

		if (len >= 40 || (len >= 20 && strcspn(p, "0123456789") < len))
		{
			memcpy(to, "...", 3);
			to += 3;
			p += len;
		}
		else
		{
			len = Max(len, 1);
			memmove(to, p, len);
			to += len;
			p += len;
		}
	}
	*to = '\0';
	return text;
}

/* The row that fits.  Only of an object can one say that it has changed. */
static const StediTrouble *
find_trouble(bool of_object, const StediAnswer *answer, const StediS3Error *error)
{
	for (int i = 0; i < (int) lengthof(troubles); i++)
	{
		const StediTrouble *trouble = &troubles[i];

		if (trouble->result == answer->result &&
			(trouble->status == 0 || trouble->status == answer->status) &&
			(trouble->code == NULL || strcmp(trouble->code, error->code) == 0) &&
			(of_object || trouble->sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE))
			return trouble;
	}
	return &other_trouble;
}

/*
 * The facts, for a message's detail.  Of a wrong signature servers may say
 * what the right one is: their words are left out then.
 */
static char *
describe_trouble(const StediAnswer *answer, const StediS3Error *error, int64 listed, int n_tries)
{
	StringInfoData text;

	initStringInfo(&text);
	if (answer->result == STEDI_ANSWER_WRONG_LENGTH)
		appendStringInfo(&text, "Listed were " INT64_FORMAT " bytes.", listed);
	else if (answer->result != CURLE_OK && answer->message[0] != '\0')
		appendStringInfo(&text, "%s.", stedi_text_sentence(answer->message));
	else if (answer->status != 0)
	{
		appendStringInfo(&text, "The server answered with HTTP status %ld", answer->status);
		if (error->code[0] != '\0')
			appendStringInfo(&text, ", code %s", stedi_trouble_hide(stedi_text_sentence(error->code)));
		appendStringInfoChar(&text, '.');
		if (error->message[0] != '\0' && strcmp(error->code, "SignatureDoesNotMatch") != 0)
			appendStringInfo(&text, " It says: %s.", stedi_trouble_hide(stedi_text_sentence(error->message)));
	}
	if (strcmp(error->code, "RequestTimeTooSkewed") == 0 && answer->ahead != 0)
		appendStringInfo(&text, " Its clock is " INT64_FORMAT " seconds %s that of the database server.",
						 answer->ahead > 0 ? answer->ahead : -answer->ahead, answer->ahead > 0 ? "ahead of" : "behind");
	if (n_tries > 1)
		appendStringInfo(&text, "%sThe request was sent %d times.", text.len > 0 ? " " : "", n_tries);
	return text.data;
}

/* What the answer says is wrong. */
static void
read_error(const StediAnswer *answer, StediS3Error *error)
{
	bool		good = answer->status == 200 || answer->status == 206;

	stedi_s3xml_error(answer->body, good ? 0 : answer->body_len, error);
	if (error->region[0] == '\0')
		strlcpy(error->region, answer->region, sizeof(error->region));

	/* what is no region's name is not to be believed, nor shown */
	if (strlen(error->region) >= STEDI_REGION_SIZE ||
		strspn(error->region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(error->region))
		error->region[0] = '\0';
}

StediRemedy
stedi_trouble_remedy(bool of_object, const StediAnswer *answer,
					 char region[STEDI_REGION_SIZE])
{
	StediS3Error error;
	const StediTrouble *trouble;

	read_error(answer, &error);
	trouble = find_trouble(of_object, answer, &error);
	strlcpy(region, error.region, STEDI_REGION_SIZE);
	if (trouble->remedy == STEDI_REMEDY_REGION && region[0] == '\0')
		return STEDI_REMEDY_NONE;
	return trouble->remedy;
}

const char *
stedi_trouble_explain(const StediAnswer *answer, int *sqlerrcode, char **detail)
{
	StediS3Error error;
	const StediTrouble *trouble;

	read_error(answer, &error);
	trouble = find_trouble(false, answer, &error);
	*sqlerrcode = trouble->sqlerrcode;
	*detail = describe_trouble(answer, &error, 0, 1);

	/* where it is another than of S3 */
	if (answer->result == CURLE_OPERATION_TIMEDOUT)
		return "nobody answered in time";
	if (answer->result == CURLE_OK && answer->status >= 300 && answer->status < 400)
		return "it is elsewhere, where it is not asked for";
	return trouble->reason;
}

const StediTrouble *
stedi_trouble_find(bool of_object, const StediAnswer *answer, int64 listed, int n_tries,
				   StediS3Error *error, char **detail)
{
	read_error(answer, error);
	*detail = describe_trouble(answer, error, listed, n_tries);
	return find_trouble(of_object, answer, error);
}
