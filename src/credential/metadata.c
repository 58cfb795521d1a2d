/*-------------------------------------------------------------------------
 *
 * metadata.c
 *		Keys that the machine gives whoever is on it: a container's, an instance's.
 *
 *	 container	GET the URI of a variable, with the token of another (ECS, EKS)
 *	 instance	PUT for a token, GET the role, GET its keys (EC2 metadata v2)
 *
 * No proxy is asked for these, which are on this machine or next to it.
 *
 *-------------------------------------------------------------------------
 */
#include "credential/told.h"
#include "credential/credential.h"

/* Where ECS answers, and EKS. */
#define ECS_HOST "169.254.170.2"
#define EKS_HOST "169.254.170.23"
#define EKS_HOST_V6 "fd00:ec2::23"

/* Where EC2 does. */
#define INSTANCE_URL "http://169.254.169.254"
#define INSTANCE_URL_V6 "http://[fd00:ec2::254]"

/* How long the token for the metadata is good: longer than we need it, s. */
#define INSTANCE_TOKEN_SECONDS "300"

/* They are near: where nobody answers at once, nobody is there.  ms */
#define CONNECT_MS 1000
#define TIMEOUT_MS 5000

/* What one request is made of: one header at most. */
static bool
ask_host(const char *method, const char *url, const char *name, const char *value,
		 StediAnswer *answer, StediKeyTrouble *trouble)
{
	StediHeader header = {name, value};
	StediHttpAsk ask = {
		.method = method,
		.url = url,
		.headers = &header,
		.n_headers = value != NULL ? 1 : 0,
		.settings = {
			.allow_http = strncmp(url, "http://", 7) == 0,
			.allow_link_local = true,	/* it is where they are */
			.connect_timeout = CONNECT_MS,
		},
		.timeout = TIMEOUT_MS,
	};

	return stedi_ask(&ask, answer, trouble);
}

/* The keys in an answer. */
static bool
take_keys(const StediAnswer *answer, const char *detail, StediKeys *keys,
		  StediKeyTrouble *trouble)
{
	StediToldKeys *told = stedi_secret_alloc(sizeof(StediToldKeys));

	if (!stedi_told_keys(answer->body, answer->body_len, told))
		return stedi_key_trouble(trouble, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
								 "the answer has no credentials",
								 told->code[0] == '\0' ? NULL :
								 psprintf("Its code is \"%s\".", stedi_text_sentence(told->code)), NULL);
	stedi_ask_keys(told, keys);
	keys->detail = psprintf("%s", detail);
	return true;
}

/* The token that goes with a container's URI; false when it cannot be had. */
static bool
container_token(char **token, StediKeyTrouble *trouble)
{
	const char *file = stedi_environment_get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");

	*token = NULL;
	if (file != NULL)
		return stedi_environment_token(file, token, trouble);
	*token = stedi_secret_copy(stedi_environment_get("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
	if (*token != NULL && strpbrk(*token, "\r\n") != NULL)
		return stedi_key_trouble(trouble, ERRCODE_CONFIG_FILE_ERROR,
								 "AWS_CONTAINER_AUTHORIZATION_TOKEN has more than one line", NULL, NULL);
	return true;
}

/* See StediKeysFetchFn; arg is the URI. */
static bool
fetch_container(const StediKeyQuery *query, const void *arg, StediKeys *keys,
				StediKeyTrouble *trouble)
{
	const char *url = arg;
	StediAnswer answer;
	char	   *token;

	if (!container_token(&token, trouble))
		return false;
	if (!ask_host("GET", url, "authorization", token, &answer, trouble))
	{
		trouble->hint = "Check the variables AWS_CONTAINER_... of the database server, and that its container has a role.";
		return false;
	}
	return take_keys(&answer, "role of the container", keys, trouble);
}

/* See credential.h.  Whom a URI may name is what AWS's own libraries allow. */
bool
stedi_container_keys(const StediKeyQuery *query, StediKeys *keys, StediKeyTrouble *trouble)
{
	const char *relative = stedi_environment_get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = stedi_environment_get("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	const char *url = relative != NULL ? psprintf("http://" ECS_HOST "%s", relative) : full;

	if (url == NULL)
		return stedi_key_trouble(trouble, ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED,
								 "neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set",
								 NULL, "The container sets them where it has a role; the database server must be started with them.");
	if (!stedi_ask_is_url(url) || (relative != NULL && *relative != '/'))
		return stedi_key_trouble(trouble, ERRCODE_CONFIG_FILE_ERROR,
								 psprintf("AWS_CONTAINER_CREDENTIALS_%s_URI is no URI",
										  relative != NULL ? "RELATIVE" : "FULL"), NULL, NULL);
	if (strncmp(url, "https://", 8) != 0 && !stedi_ask_is_loopback(url) &&
		!stedi_ask_is_host(url, ECS_HOST) && !stedi_ask_is_host(url, EKS_HOST) &&
		!stedi_ask_is_host(url, EKS_HOST_V6))
		return stedi_key_trouble(trouble, ERRCODE_CONFIG_FILE_ERROR,
								 "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor of this machine",
								 NULL, "It may be https, http to a loopback address, or http to " ECS_HOST ", " EKS_HOST " or [" EKS_HOST_V6 "].");
	return stedi_cache_keys(psprintf("container\n%s", url), query, fetch_container, url,
							keys, trouble);
}

/* A role's name is put into a path; true when nothing in it is odd. */
static bool
is_role(const char *name)
{
	return name[0] != '\0' &&
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+=,.@_-") == strlen(name);
}

/* See StediKeysFetchFn; arg is where the metadata is. */
static bool
fetch_instance(const StediKeyQuery *query, const void *arg, StediKeys *keys,
			   StediKeyTrouble *trouble)
{
	static const char header[] = "x-aws-ec2-metadata-token";
	const char *roles = psprintf("%s/latest/meta-data/iam/security-credentials/", (const char *) arg);
	StediAnswer answer;
	char	   *token;
	char	   *role;

	if (!ask_host("PUT", psprintf("%s/latest/api/token", (const char *) arg),
				  "x-aws-ec2-metadata-token-ttl-seconds", INSTANCE_TOKEN_SECONDS, &answer, trouble))
	{
		trouble->hint = "The database server does not seem to run on an EC2 instance, or has no access to its metadata (version 2); in a container on one, the hop limit may be too low.";
		return false;
	}
	token = answer.body;
	if (token[0] == '\0' || strlen(token) != answer.body_len || strpbrk(token, "\r\n") != NULL)
		return stedi_key_trouble(trouble, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
								 "the metadata has no token", NULL, NULL);
	if (!ask_host("GET", roles, header, token, &answer, trouble))
	{
		trouble->hint = "Attach an IAM role to the instance.";
		return false;
	}
	role = answer.body;
	role[strcspn(role, "\r\n")] = '\0';
	if (!is_role(role))
		return stedi_key_trouble(trouble, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
								 "the instance has no role", NULL, "Attach an IAM role to the instance.");
	return ask_host("GET", psprintf("%s%s", roles, role), header, token, &answer, trouble) &&
		take_keys(&answer, psprintf("role %s of the instance", role), keys, trouble);
}

bool
stedi_instance_keys(const StediKeyQuery *query, StediKeys *keys, StediKeyTrouble *trouble)
{
	const char *disabled = stedi_environment_get("AWS_EC2_METADATA_DISABLED");
	const char *mode = stedi_environment_get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
	const char *given = stedi_environment_get("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	char	   *url;

	if (disabled != NULL && pg_strcasecmp(disabled, "true") == 0)
		return stedi_key_trouble(trouble, ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED,
								 "AWS_EC2_METADATA_DISABLED is true", NULL,
								 "Unset it where the database server is started, and restart it; or use other credentials.");
	if (given == NULL)
		given = mode != NULL && pg_strcasecmp(mode, "IPv6") == 0 ? INSTANCE_URL_V6 : INSTANCE_URL;
	url = pstrdup(given);
	for (size_t len = strlen(url); len > 0 && url[len - 1] == '/'; len--)
		url[len - 1] = '\0';
	if (!stedi_ask_is_url(url))
		return stedi_key_trouble(trouble, ERRCODE_CONFIG_FILE_ERROR,
								 "AWS_EC2_METADATA_SERVICE_ENDPOINT is not a server's address", NULL, NULL);
	return stedi_cache_keys(psprintf("instance\n%s", url), query, fetch_instance, url, keys, trouble);
}
