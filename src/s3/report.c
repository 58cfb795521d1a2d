/*-------------------------------------------------------------------------
 *
 * report.c
 *		The error for a request that failed, and the statement that may help.
 *
 *-------------------------------------------------------------------------
 */
#include "s3/s3.h"

#include "miscadmin.h"
#include "utils/acl.h"

/* The url of another bucket. */
static char *
other_url(const StediOptions *opts)
{
	return psprintf("s3://...%s", opts->url + strlen("s3://") + strlen(opts->bucket));
}

/* The statement that may help; NULL when there is none. */
static char *
find_cure(const StediTrouble *trouble, const StediOptions *opts,
		  const StediCredential *credential, const StediS3Error *error)
{
	switch (trouble->cure)
	{
		case STEDI_CURE_NONE:
			break;
		case STEDI_CURE_KEYS:
		case STEDI_CURE_ACCOUNT:
		case STEDI_CURE_TOKEN:
			/* what a mapping has is not told to the reader of another's view */
			if (credential->source != STEDI_KEYS_STATIC ||
				!has_privs_of_role(GetOuterUserId(), credential->userid))
				break;
			return psprintf("%s%s", trouble->cure == STEDI_CURE_ACCOUNT ? "To use another account: " : "",
							stedi_cure_keys(opts->serverid, credential->userid,
											trouble->cure == STEDI_CURE_TOKEN));
		case STEDI_CURE_REGION:
			/* what looks like a secret is not shown */
			return stedi_cure_server(opts, "region",
									 error->region[0] != '\0' &&
									 strcmp(stedi_trouble_hide(pstrdup(error->region)), error->region) == 0 ?
									 error->region : "...");
		case STEDI_CURE_URL:
			return stedi_cure_server(opts, "url", other_url(opts));
		case STEDI_CURE_NAME:
			if (opts->amazon)
				return stedi_cure_server(opts, "region", "...");
			return stedi_cure_server(opts, "endpoint", "https://...");
		case STEDI_CURE_ENDPOINT:
			if (opts->proxy != NULL)
				return stedi_cure_server(opts, "proxy", "http://...");
			return stedi_cure_server(opts, "endpoint", "https://...");
		case STEDI_CURE_CA_FILE:
			return stedi_cure_server(opts, "ca_file", "/...");
	}
	return NULL;
}

/* See s3.h. */
void
stedi_s3_report(const StediOptions *opts, const StediCredential *credential,
				const StediObject *object, const StediAnswer *answer, int n_tries)
{
	StediS3Error error;
	char	   *detail;
	const StediTrouble *trouble = stedi_trouble_find(object != NULL, answer,
													 object != NULL ? object->size : 0, n_tries,
													 &error, &detail);
	char	   *cure = find_cure(trouble, opts, credential, &error);

	ereport(ERROR,
			errcode(trouble->sqlerrcode),
			object != NULL ?
			errmsg("could not fetch object \"%s\" of bucket \"%s\": %s",
				   stedi_text_show(object->key),
				   opts->bucket, trouble->reason) :
			errmsg("could not list bucket \"%s\": %s", opts->bucket, trouble->reason),
			detail[0] != '\0' ? errdetail("%s", detail) : 0,
			trouble->hint == NULL ? 0 :
			errhint("%s%s%s", trouble->hint, cure != NULL ? " " : "", cure != NULL ? cure : ""));
	pg_unreachable();
}
