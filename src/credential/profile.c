/*-------------------------------------------------------------------------
 *
 * profile.c
 *		Keys in the files of AWS's tools, ~/.aws/credentials and ~/.aws/config.
 *
 * A profile has keys; or a role, and another profile whose keys may assume
 * it, or the token of a web identity.  The files are read whenever keys are
 * asked for: somebody else may renew what is in them.  ini.c knows how they
 * are written.
 *
 *-------------------------------------------------------------------------
 */
#include "credential/told.h"
#include "credential/credential.h"

#include <pwd.h>
#include <unistd.h>

/* A role by a role by a role: nobody has more, but in a circle. */
#define MAX_PROFILES 5

/* What is read of a profile.  Strings are secret.c's; NULL: not given. */
typedef struct Profile
{
	bool		found;

	/* keys, of one file */
	char	   *access_key_id;
	char	   *secret_access_key;
	char	   *session_token;
	char	   *expires;		/* where a tool wrote it */
	const char *file;			/* which one */

	/* a role */
	char	   *role_arn;
	char	   *source_profile;
	char	   *credential_source;
	char	   *web_identity_token_file;
	char	   *role_session_name;
	char	   *external_id;
	char	   *duration_seconds;

	/* what we do not know how to use, by the property's name */
	char	   *unsupported;
} Profile;

/* The properties, in lower case, and where they go. */
static const struct
{
	const char *name;
	size_t		offset;
}			properties[] =

{
	{"aws_access_key_id", offsetof(Profile, access_key_id)},
	{"aws_secret_access_key", offsetof(Profile, secret_access_key)},
	{"aws_session_token", offsetof(Profile, session_token)},
	{"x_security_token_expires", offsetof(Profile, expires)},
	{"expiration", offsetof(Profile, expires)},
	{"role_arn", offsetof(Profile, role_arn)},
	{"source_profile", offsetof(Profile, source_profile)},
	{"credential_source", offsetof(Profile, credential_source)},
	{"web_identity_token_file", offsetof(Profile, web_identity_token_file)},
	{"role_session_name", offsetof(Profile, role_session_name)},
	{"external_id", offsetof(Profile, external_id)},
	{"duration_seconds", offsetof(Profile, duration_seconds)},
};

static const char *const unsupported[] = {
	"credential_process", "mfa_serial", "sso_session", "sso_start_url", "sso_account_id",
	"sso_role_name", "login_session",
};

/* Is it that name, in any case? */
static bool
is_name(StediSlice text, const char *name)
{
	return text.len == strlen(name) && pg_strncasecmp(text.data, name, text.len) == 0;
}

/* The user's home, as AWS's tools find it. */
static const char *
home(void)
{
	const char *folder = stedi_environment_get("HOME");
	struct passwd *user;

	if (folder != NULL)
		return folder;
	user = getpwuid(geteuid());
	return user != NULL ? pstrdup(user->pw_dir) : "";
}

/* A path, where ~/ is the user's home. */
static char *
expand(const char *path)
{
	if (strncmp(path, "~/", 2) != 0)
		return pstrdup(path);
	return psprintf("%s/%s", home(), path + 2);
}

/* The path of a file: by a variable, or where it always is. */
static char *
file_path(const char *variable, const char *usual)
{
	const char *path = stedi_environment_get(variable);

	return expand(path != NULL ? path : usual);
}

/* A slice as a string, secret.c's. */
static char *
keep(StediSlice text)
{
	char	   *copy = stedi_secret_alloc(text.len + 1);

	memcpy(copy, text.data, text.len);
	return copy;
}

/* Take a property of the profile; what comes last counts. */
static void
take_property(Profile *profile, StediSlice name, StediSlice value)
{
	if (value.len == 0)
		return;
	for (int i = 0; i < lengthof(properties); i++)
		if (is_name(name, properties[i].name))
			*(char **) ((char *) profile + properties[i].offset) = keep(value);
	for (int i = 0; i < lengthof(unsupported); i++)
		if (is_name(name, unsupported[i]))
			profile->unsupported = pstrdup(unsupported[i]);
}

/* Read a profile of one file, which need not be there; false and why. */
static bool
read_file(const char *path, bool config, const char *name, Profile *profile,
		  StediKeyTrouble *trouble)
{
	char	   *bytes;
	Size		len;
	bool		absent;
	bool		inside = false;
	StediIni	ini;
	StediSlice	word;
	StediSlice	value;

	memset(profile, 0, sizeof(*profile));
	profile->file = path;
	if (!stedi_environment_read(path, &bytes, &len, &absent, trouble))
		return absent;
	stedi_ini_init(&ini, bytes, len);
	for (;;)
	{
		switch (stedi_ini_next(&ini, &word, &value))
		{
			case STEDI_INI_SECTION:
				inside = stedi_ini_is_profile(word, name, config);
				profile->found |= inside;
				break;
			case STEDI_INI_PROPERTY:
				if (inside)
					take_property(profile, word, value);
				break;
			case STEDI_INI_BAD:
				if (inside)
					return stedi_key_trouble(trouble, ERRCODE_CONFIG_FILE_ERROR,
											 psprintf("line %d of file \"%s\" is no property", ini.line,
													  stedi_text_sentence(path)),
											 "A property is written as name = value.", NULL);
				break;
			case STEDI_INI_END:
				return true;
		}
	}
}

/* What a file says comes before what config says; keys come from one of them. */
static void
merge(Profile *profile, const Profile *config)
{
	profile->found |= config->found;
	if (profile->access_key_id == NULL && profile->secret_access_key == NULL)
	{
		profile->access_key_id = config->access_key_id;
		profile->secret_access_key = config->secret_access_key;
		profile->session_token = config->session_token;
		profile->expires = config->expires;
		profile->file = config->file;
	}
	for (int i = 0; i < lengthof(properties); i++)
	{
		char	  **to = (char **) ((char *) profile + properties[i].offset);
		char	   *from = *(char **) ((char *) config + properties[i].offset);

		if (properties[i].offset >= offsetof(Profile, role_arn) && *to == NULL)
			*to = from;
	}
	if (profile->unsupported == NULL)
		profile->unsupported = config->unsupported;
}

/* Read a profile of both files; false and why. */
static bool
read_profile(const char *name, Profile *profile, StediKeyTrouble *trouble)
{
	char	   *credentials = file_path("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials");
	char	   *config = file_path("AWS_CONFIG_FILE", "~/.aws/config");
	Profile		other;

	if (!read_file(config, true, name, &other, trouble) ||
		!read_file(credentials, false, name, profile, trouble))
		return false;
	merge(profile, &other);
	if (!profile->found)
		return stedi_key_trouble(trouble, ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED,
								 psprintf("there is no profile \"%s\"", stedi_text_sentence(name)),
								 psprintf("Looked at were \"%s\" and \"%s\".",
										  stedi_text_sentence(credentials), stedi_text_sentence(config)),
								 "In a config file a profile other than default has the heading [profile NAME].");
	return true;
}

/* The keys that stand in a profile. */
static bool
own_keys(const char *name, const Profile *profile, StediKeys *keys, StediKeyTrouble *trouble)
{
	StediField	field = {STEDI_FIELD_STRING, {profile->expires, 0}};
	int64_t		us;

	if (profile->access_key_id == NULL || profile->secret_access_key == NULL)
	{
		const char *hint = "Supported are aws_access_key_id with aws_secret_access_key and, maybe, aws_session_token; "
		"and role_arn with source_profile, credential_source or web_identity_token_file.";

		if (profile->unsupported != NULL)
			return stedi_key_trouble(trouble, ERRCODE_FEATURE_NOT_SUPPORTED,
									 psprintf("profile \"%s\" needs %s, which is not supported",
											  stedi_text_sentence(name), profile->unsupported), NULL, hint);
		return stedi_key_trouble(trouble, ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED,
								 psprintf("profile \"%s\" has no %s", stedi_text_sentence(name),
										  profile->access_key_id == NULL ?
										  "aws_access_key_id" : "aws_secret_access_key"), NULL, hint);
	}
	keys->access_key_id = profile->access_key_id;
	keys->secret_access_key = profile->secret_access_key;
	keys->session_token = profile->session_token;
	keys->detail = psprintf("profile \"%s\" of file \"%s\"", stedi_text_sentence(name),
							stedi_text_sentence(profile->file));
	if (profile->expires != NULL && profile->session_token != NULL)
	{
		/* not AWS's own: where it is no time that we know, it is not told */
		field.text.len = strlen(profile->expires);
		if (stedi_value_time(&field, &us) != STEDI_REASON_NONE ||
			!stedi_time_from_us(us, &keys->expires))
			keys->expires = 0;
	}
	return true;
}

static bool profile_keys(const StediKeyQuery *query, const char *name, int depth,
						 StediKeys *keys, StediKeyTrouble *trouble);

/* The keys of credential_source. */
static bool
source_keys(const StediKeyQuery *query, const char *name, const Profile *profile,
			StediKeys *keys, StediKeyTrouble *trouble)
{
	StediKeyQuery ask = {.opts = query->opts};

	if (strcmp(profile->credential_source, "Environment") == 0)
		return stedi_environment_keys(&ask, keys, trouble);
	if (strcmp(profile->credential_source, "EcsContainer") == 0)
		return stedi_container_keys(&ask, keys, trouble);
	if (strcmp(profile->credential_source, "Ec2InstanceMetadata") == 0)
		return stedi_instance_keys(&ask, keys, trouble);
	return stedi_key_trouble(trouble, ERRCODE_CONFIG_FILE_ERROR,
							 psprintf("credential_source of profile \"%s\" is not known",
									  stedi_text_sentence(name)), NULL,
							 "It is Environment, EcsContainer or Ec2InstanceMetadata.");
}

/* Keys of the role that a profile names. */
static bool
role_keys(const StediKeyQuery *query, const char *name, const Profile *profile, int depth,
		  StediKeys *keys, StediKeyTrouble *trouble)
{
	StediKeys	signer = {0};
	StediStsAsk ask = {
		.role_arn = profile->role_arn,
		.session_name = profile->role_session_name,
		.external_id = profile->external_id,
		.duration = profile->duration_seconds,
	};
	bool		have;

	if (profile->unsupported != NULL)
		return stedi_key_trouble(trouble, ERRCODE_FEATURE_NOT_SUPPORTED,
								 psprintf("profile \"%s\" needs %s, which is not supported",
										  stedi_text_sentence(name), profile->unsupported), NULL, NULL);
	if (profile->web_identity_token_file != NULL)
		ask.token_file = expand(profile->web_identity_token_file);
	else
	{
		/* a profile that is its own source has the keys itself */
		if (profile->source_profile != NULL)
			have = strcmp(profile->source_profile, name) == 0 ?
				own_keys(name, profile, &signer, trouble) :
				profile_keys(query, profile->source_profile, depth + 1, &signer, trouble);
		else if (profile->credential_source != NULL)
			have = source_keys(query, name, profile, &signer, trouble);
		else
			have = stedi_key_trouble(trouble, ERRCODE_CONFIG_FILE_ERROR,
									 psprintf("profile \"%s\" has a role_arn, and nobody who assumes it",
											  stedi_text_sentence(name)), NULL,
									 "Add source_profile, credential_source or web_identity_token_file.");
		if (!have)
			return false;
		ask.signer = &signer;
	}
	if (!stedi_sts_keys(query, &ask, keys, trouble))
		return false;
	keys->detail = psprintf("role %s by profile \"%s\"", stedi_text_sentence(profile->role_arn),
							stedi_text_sentence(name));
	return true;
}

/* The keys of a profile, the depth-th on the way. */
static bool
profile_keys(const StediKeyQuery *query, const char *name, int depth,
			 StediKeys *keys, StediKeyTrouble *trouble)
{
	Profile		profile;

	if (depth == MAX_PROFILES)
		return stedi_key_trouble(trouble, ERRCODE_CONFIG_FILE_ERROR,
								 "source_profile leads from profile to profile without an end", NULL, NULL);
	if (!read_profile(name, &profile, trouble))
		return false;
	if (profile.role_arn != NULL)
		return role_keys(query, name, &profile, depth, keys, trouble);
	return own_keys(name, &profile, keys, trouble);
}

bool
stedi_profile_keys(const StediKeyQuery *query, StediKeys *keys, StediKeyTrouble *trouble)
{
	const char *name = query->profile;

	if (name == NULL)
		name = stedi_environment_get("AWS_PROFILE");
	return profile_keys(query, name != NULL ? name : "default", 0, keys, trouble);
}
