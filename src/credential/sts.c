/*-------------------------------------------------------------------------
 *
 * sts.c
 *		Keys of a role, which AWS's token service (STS) gives for an hour or so.
 *
 * Who asks shows who it is, either by keys, with which the request is signed
 * (AssumeRole), or by the token of a web identity (AssumeRoleWithWebIdentity),
 * which somebody like Kubernetes keeps up to date in a file.
 *
 *-------------------------------------------------------------------------
 */
#include "credential/credential.h"

#include "lib/stringinfo.h"

/* What the role's keys are called in AWS's own log, unless something else is asked for. */
#define SESSION_NAME "stedi"

/* For all of a request, ms; the service answers within a second. */
#define TIMEOUT_MS 30000

/* An access key, a scope and the header names. */
#define AUTHORIZATION_LEN 2048

/* Where the service is: in the server's region, or where a variable says. */
static char *
service_url(const StediOptions *opts)
{
	const char *url = stedi_environment_get("AWS_ENDPOINT_URL_STS");
	char	   *copy;

	if (url == NULL)
		return psprintf("https://sts.%s.amazonaws.com%s", opts->region,
						strncmp(opts->region, "cn-", 3) == 0 ? ".cn" : "");
	copy = pstrdup(url);
	for (size_t len = strlen(copy); len > 0 && copy[len - 1] == '/'; len--)
		copy[len - 1] = '\0';
	return copy;
}

/* Keys must not come over a line that others listen to. */
static bool
check_url(const StediOptions *opts, const char *url, StediKeyTrouble *trouble)
{
	const char *host = strstr(url, "://");

	if (!stedi_ask_is_url(url) || strpbrk(host + 3, "/?") != NULL)
		return stedi_key_trouble(trouble, ERRCODE_CONFIG_FILE_ERROR,
								 "AWS_ENDPOINT_URL_STS is not a server's address", NULL,
								 "Give https://host or https://host:port where the database server is started.");
	if (strncmp(url, "https://", 8) != 0 && !opts->allow_http && !stedi_ask_is_loopback(url))
		return stedi_key_trouble(trouble, ERRCODE_CONFIG_FILE_ERROR,
								 "AWS_ENDPOINT_URL_STS is not encrypted", NULL,
								 "Use https, or set option \"allow_http\" of the server to true if nobody else is on the way.");
	return true;
}

/*
 * Write name=value, encoded, into the form, which has room for it; NULL is
 * left out.  A StringInfo would leave copies behind as it grows.
 */
static void
add_field(char **form, const char *end, const char *name, const char *value)
{
	size_t		len;

	if (value == NULL)
		return;
	len = strlen(name);
	memcpy(*form, name, len);
	*form += len;
	*form += stedi_sign_encode(value, strlen(value), false, *form, end - *form);
}

static size_t
encoded_len(const char *value)
{
	return value == NULL ? 0 : stedi_sign_encode(value, strlen(value), false, NULL, 0);
}

/* The body of the request, secret.c's. */
static char *
make_form(const StediStsAsk *ask, const char *token)
{
	const char *action = token != NULL ? "Action=AssumeRoleWithWebIdentity&Version=2011-06-15" :
	"Action=AssumeRole&Version=2011-06-15";
	const char *session = ask->session_name != NULL ? ask->session_name : SESSION_NAME;
	const Size	names = 256;	/* of all fields, and the action */
	Size		size = names + encoded_len(ask->role_arn) + encoded_len(session) +
	encoded_len(ask->external_id) + encoded_len(ask->duration) + encoded_len(token);
	char	   *form = stedi_secret_alloc(size);
	char	   *p = form + strlen(action);

	strlcpy(form, action, size);
	add_field(&p, form + size, "&RoleArn=", ask->role_arn);
	add_field(&p, form + size, "&RoleSessionName=", session);
	add_field(&p, form + size, "&ExternalId=", ask->external_id);
	add_field(&p, form + size, "&DurationSeconds=", ask->duration);
	add_field(&p, form + size, "&WebIdentityToken=", token);
	return form;
}

/* The request's headers, in the order that the signature wants. */
typedef struct Headers
{
	StediHeader header[6];
	int			n;
} Headers;

static void
add_header(Headers *headers, const char *name, const char *value)
{
	Assert(headers->n < lengthof(headers->header));
	headers->header[headers->n].name = name;
	headers->header[headers->n].value = value;
	headers->n++;
}

/* Sign with the asker's keys; false when these cannot be used. */
static bool
sign(Headers *headers, const StediKeyQuery *query, const StediKeys *signer, const char *body)
{
	char	   *date = stedi_request_date();
	char	   *hash = palloc(STEDI_SHA256_HEX_LEN + 1);
	char	   *authorization = stedi_secret_alloc(AUTHORIZATION_LEN);
	StediSignInput input = {
		.method = "POST",
		.path = "/",
		.query = "",
		.payload_hash = hash,
		.access_key_id = signer->access_key_id,
		.secret_access_key = signer->secret_access_key,
		.region = query->opts->region,
		.service = "sts",
		.date = date,
	};

	if (!stedi_sign_hash(body, strlen(body), hash))
		return false;
	add_header(headers, "x-amz-content-sha256", hash);
	add_header(headers, "x-amz-date", date);
	if (signer->session_token != NULL)
		add_header(headers, "x-amz-security-token", signer->session_token);
	input.headers = headers->header;
	input.n_headers = headers->n;
	if (!stedi_sign_request(&input, authorization, AUTHORIZATION_LEN))
		return false;
	add_header(headers, "authorization", authorization);
	return true;
}

/* Ask the service.  See StediKeysFetchFn. */
static bool
fetch_role(const StediKeyQuery *query, const void *arg, StediKeys *keys,
		   StediKeyTrouble *trouble)
{
	const StediStsAsk *ask = arg;
	const StediOptions *opts = query->opts;
	StediToldKeys *told = stedi_secret_alloc(sizeof(StediToldKeys));
	StediHttpAsk http = {
		.method = "POST",
		.settings = {
			.allow_link_local = opts->allow_link_local,
			.proxy = opts->proxy,
			.ca_file = opts->ca_file,
			.connect_timeout = opts->connect_timeout,
		},
		.timeout = TIMEOUT_MS,
	};
	char	   *url = service_url(opts);
	char	   *token = NULL;
	Headers		headers = {0};
	StediAnswer answer;

	if (!check_url(opts, url, trouble) ||
		(ask->token_file != NULL && !stedi_environment_token(ask->token_file, &token, trouble)))
		return false;
	http.url = psprintf("%s/", url);
	http.settings.allow_http = strncmp(url, "http://", 7) == 0;
	http.body = make_form(ask, token);
	add_header(&headers, "content-type", "application/x-www-form-urlencoded");
	add_header(&headers, "host", stedi_request_host(url));
	if (ask->signer != NULL && !sign(&headers, query, ask->signer, http.body))
		return stedi_key_trouble(trouble, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								 "its request cannot be signed", NULL, NULL);
	http.headers = headers.header;
	http.n_headers = headers.n;
	if (!stedi_ask(&http, &answer, trouble))
	{
		trouble->hint = psprintf("Check that %s is allowed to assume role \"%s\", and that the database server reaches %s.",
								 token != NULL ? "the web identity" : "the profile that it names",
								 stedi_text_sentence(ask->role_arn), stedi_text_sentence(url));
		return false;
	}
	if (!stedi_s3xml_keys(answer.body, answer.body_len, told))
		return stedi_key_trouble(trouble, ERRCODE_FDW_UNABLE_TO_CREATE_REPLY,
								 "the token service's answer has no credentials", NULL,
								 psprintf("Check that %s is one.", stedi_text_sentence(url)));
	stedi_ask_keys(told, keys);
	keys->detail = psprintf("role %s", stedi_text_sentence(ask->role_arn));
	return true;
}

static const char *
or_none(const char *string)
{
	return string == NULL ? "" : string;
}

bool
stedi_sts_keys(const StediKeyQuery *query, const StediStsAsk *ask,
			   StediKeys *keys, StediKeyTrouble *trouble)
{
	char	   *name = psprintf("sts\n%d\n%d\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s",
								query->opts->allow_http, query->opts->allow_link_local,
								service_url(query->opts), query->opts->region,
								or_none(query->opts->proxy), or_none(query->opts->ca_file),
								ask->role_arn, or_none(ask->session_name),
								or_none(ask->external_id), or_none(ask->duration),
								or_none(ask->token_file),
								ask->signer != NULL ? ask->signer->access_key_id : "");

	return stedi_cache_keys(name, query, fetch_role, ask, keys, trouble);
}

bool
stedi_web_identity_keys(const StediKeyQuery *query, StediKeys *keys, StediKeyTrouble *trouble)
{
	StediStsAsk ask = {
		.role_arn = stedi_environment_get("AWS_ROLE_ARN"),
		.session_name = stedi_environment_get("AWS_ROLE_SESSION_NAME"),
		.token_file = stedi_environment_get("AWS_WEB_IDENTITY_TOKEN_FILE"),
	};

	if (ask.role_arn == NULL || ask.token_file == NULL)
		return stedi_key_trouble(trouble, ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED,
								 ask.role_arn == NULL ?
								 "AWS_ROLE_ARN is not set" : "AWS_WEB_IDENTITY_TOKEN_FILE is not set",
								 NULL, "Set it where the database server is started, and restart it.");
	return stedi_sts_keys(query, &ask, keys, trouble);
}
