/*-------------------------------------------------------------------------
 *
 * operation.c
 *		The operations that S3 is asked for: URL, headers, signature.
 *
 * Path and query are encoded once, strictly, and signed as they stand in the
 * URL; the query's names are in order.  The Host header is written out, as it
 * is signed: no library's idea of it can then differ.
 *
 *-------------------------------------------------------------------------
 */
#include "s3/s3.h"

#include "lib/stringinfo.h"

/* An access key, a scope and seven header names. */
#define AUTHORIZATION_LEN 2048

/* Append bytes, encoded. */
static void
append_encoded(StringInfo to, const char *bytes, bool keep_slash)
{
	Size		len = strlen(bytes);
	Size		needed = stedi_sign_encode(bytes, len, keep_slash, NULL, 0);

	enlargeStringInfo(to, (int) needed + 1);
	(void) stedi_sign_encode(bytes, len, keep_slash, to->data + to->len, needed + 1);
	to->len += (int) needed;
}

static void
add_header(StediRequest *request, const char *name, const char *value)
{
	Assert(request->n_headers < lengthof(request->headers));
	request->headers[request->n_headers].name = name;
	request->headers[request->n_headers].value = value;
	request->n_headers++;
}

/* Add the signature to a request that is complete but for it. */
static void
sign(StediRequest *request, const StediOptions *opts,
	 const StediCredential *credential, const char *path, const char *query,
	 const char *date)
{
	StediSignInput input = {
		.method = "GET",
		.path = path,
		.query = query,
		.headers = request->headers,
		.n_headers = request->n_headers,
		.payload_hash = STEDI_SHA256_OF_NOTHING,
		.access_key_id = credential->keys.access_key_id,
		.secret_access_key = credential->keys.secret_access_key,
		.region = opts->region,
		.service = "s3",
		.date = date,
	};
	char	   *authorization = palloc(AUTHORIZATION_LEN);

	if (!stedi_sign_request(&input, authorization, AUTHORIZATION_LEN))
		ereport(ERROR,
				errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("could not sign a request to bucket \"%s\"", opts->bucket),
				errhint("Check that options \"access_key_id\" and \"secret_access_key\" of the user mapping "
						"and option \"region\" of the server are of the usual length."));
	add_header(request, "authorization", authorization);
}

/*
 * Make the request for path and query, which are encoded.  The headers are
 * added in the order that the signature wants.
 */
static StediRequest *
make_request(const StediOptions *opts, const StediCredential *credential,
			 const char *path, const char *query, const char *etag, uint64 from)
{
	StediRequest *request = palloc0(sizeof(StediRequest));
	char	   *host = psprintf("%s%s%s",
								opts->virtual_hosted ? opts->bucket : "",
								opts->virtual_hosted ? "." : "",
								stedi_request_host(opts->endpoint));
	char	   *date = stedi_request_date();

	request->url = psprintf("%.*s%s%s%s%s", stedi_request_scheme_len(opts->endpoint), opts->endpoint,
							host, path, query[0] != '\0' ? "?" : "", query);
	add_header(request, "host", host);
	if (etag[0] != '\0')
		add_header(request, "if-match", pstrdup(etag));
	if (from > 0)
		add_header(request, "range", psprintf("bytes=" UINT64_FORMAT "-", from));
	if (opts->checksum)
		add_header(request, "x-amz-checksum-mode", "ENABLED");
	add_header(request, "x-amz-content-sha256", STEDI_SHA256_OF_NOTHING);
	add_header(request, "x-amz-date", date);
	if (opts->requester_pays)
		add_header(request, "x-amz-request-payer", "requester");
	if (credential->anonymous)
		return request;
	if (credential->keys.session_token != NULL)
		add_header(request, "x-amz-security-token", pstrdup(credential->keys.session_token));
	sign(request, opts, credential, path, query, date);
	return request;
}

/* Start a path: the bucket is in it unless it is in the host's name. */
static void
start_path(const StediOptions *opts, StringInfo path)
{
	initStringInfo(path);
	if (opts->virtual_hosted)
		return;
	appendStringInfoChar(path, '/');
	append_encoded(path, opts->bucket, false);
}

/* See s3.h. */
StediRequest *
stedi_request_object(const StediOptions *opts, const StediCredential *credential,
					 const char *key, const char *etag, uint64 from)
{
	StringInfoData path;

	start_path(opts, &path);
	appendStringInfoChar(&path, '/');
	append_encoded(&path, key, true);
	return make_request(opts, credential, path.data, "", etag, from);
}

/* See s3.h. */
StediRequest *
stedi_request_page(const StediOptions *opts, const StediCredential *credential,
				   const char *prefix, const char *token, bool folders)
{
	StringInfoData path;
	StringInfoData query;

	start_path(opts, &path);
	if (path.len == 0)
		appendStringInfoChar(&path, '/');

	/* In the order of their names, as the signature wants them. */
	initStringInfo(&query);
	if (token[0] != '\0')
	{
		appendStringInfoString(&query, "continuation-token=");
		append_encoded(&query, token, false);
		appendStringInfoChar(&query, '&');
	}
	if (folders)
		appendStringInfoString(&query, "delimiter=%2F&");
	appendStringInfo(&query, "encoding-type=url&list-type=2&max-keys=%d&prefix=", opts->page_size);
	append_encoded(&query, prefix, false);
	return make_request(opts, credential, path.data, query.data, "", 0);
}
