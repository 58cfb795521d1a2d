/*-------------------------------------------------------------------------
 *
 * environment.c
 *		Keys in the environment of the database server, and the files it names.
 *
 * The environment is that of the server's processes, which whoever starts the
 * server sets.  It is read and never written.
 *
 *-------------------------------------------------------------------------
 */
#include "credential/credential.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/fd.h"

const char *
stedi_environment_get(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

bool
stedi_environment_keys(const StediKeyQuery *query, StediKeys *keys, StediKeyTrouble *trouble)
{
	keys->access_key_id = stedi_secret_copy(stedi_environment_get("AWS_ACCESS_KEY_ID"));
	keys->secret_access_key = stedi_secret_copy(stedi_environment_get("AWS_SECRET_ACCESS_KEY"));
	keys->session_token = stedi_secret_copy(stedi_environment_get("AWS_SESSION_TOKEN"));
	keys->detail = pstrdup("environment of the database server");
	if (keys->access_key_id == NULL || keys->secret_access_key == NULL)
		return stedi_key_trouble(trouble, ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED,
								 keys->access_key_id == NULL ?
								 "AWS_ACCESS_KEY_ID is not set" : "AWS_SECRET_ACCESS_KEY is not set",
								 NULL, "Set it where the database server is started, and restart it.");
	return true;
}

/* Say that a file cannot be read, by errno. */
static bool
report_file(const char *path, StediKeyTrouble *trouble)
{
	int			saved_errno = errno;
	const char *why = strerror(saved_errno);

	return stedi_key_trouble(trouble,
							 saved_errno == ENOENT ? ERRCODE_UNDEFINED_FILE :
							 saved_errno == EACCES ? ERRCODE_INSUFFICIENT_PRIVILEGE : ERRCODE_IO_ERROR,
							 psprintf("file \"%s\" cannot be read", stedi_text_sentence(path)),
							 psprintf("It says: %s.", why),
							 "The user that the database server runs as must be able to read it.");
}

/* Read what is in an open file, which may grow meanwhile; -1: errno says why. */
static ssize_t
read_all(int file, char *bytes, Size room)
{
	Size		len = 0;
	ssize_t		n;

	while (len < room && (n = read(file, bytes + len, room - len)) != 0)
	{
		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0)
			len += n;
	}
	return len;
}

/* See credential.h.  A pipe would have us wait: it is no file. */
bool
stedi_environment_read(const char *path, char **bytes, Size *len, bool *absent,
					   StediKeyTrouble *trouble)
{
	int			file = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);
	struct stat st;
	ssize_t		n;

	*absent = file < 0 && (errno == ENOENT || errno == ENOTDIR);
	if (*absent)
		return false;
	if (file < 0 || fstat(file, &st) != 0)
	{
		bool		reported = report_file(path, trouble);

		if (file >= 0)
			CloseTransientFile(file);
		return reported;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > STEDI_KEY_FILE_SIZE)
	{
		CloseTransientFile(file);
		return stedi_key_trouble(trouble, ERRCODE_CONFIG_FILE_ERROR,
								 psprintf("\"%s\" is no file of credentials", stedi_text_sentence(path)),
								 S_ISREG(st.st_mode) ? "It is larger than any." : "It is not a regular file.",
								 NULL);
	}
	*bytes = stedi_secret_alloc(st.st_size + 1);
	n = read_all(file, *bytes, st.st_size);
	if (n < 0)
		(void) report_file(path, trouble);
	CloseTransientFile(file);
	*len = n < 0 ? 0 : n;
	return n >= 0;
}

bool
stedi_environment_token(const char *path, char **token, StediKeyTrouble *trouble)
{
	Size		len;
	bool		absent;

	if (!stedi_environment_read(path, token, &len, &absent, trouble))
	{
		errno = ENOENT;
		return absent ? report_file(path, trouble) : false;
	}
	while (len > 0 && strchr(" \t\r\n", (*token)[len - 1]) != NULL)
		(*token)[--len] = '\0';
	if (len == 0 || strlen(*token) != len || strpbrk(*token, "\r\n") != NULL)
		return stedi_key_trouble(trouble, ERRCODE_CONFIG_FILE_ERROR,
								 psprintf("file \"%s\" has no token", stedi_text_sentence(path)),
								 "A token is one line of text.", NULL);
	return true;
}
