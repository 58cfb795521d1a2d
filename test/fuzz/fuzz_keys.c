/*
 * What tells credentials is read within its bounds: a file of AWS's tools line
 * by line, each byte in one of them, and the JSON of a container or an
 * instance.  Guards src/credential/ini.c, and stedi_told_keys of src/record/json.c.
 */
#include "fuzz.h"
#include "credential/told.h"

/* Is the slice inside these bytes? */
static bool
is_inside(StediSlice slice, const char *bytes, size_t len)
{
	return slice.len == 0 || (slice.data >= bytes && slice.data + slice.len <= bytes + len);
}

static bool
is_trimmed(StediSlice text)
{
	return text.len == 0 || (strchr(" \t", text.data[0]) == NULL && strchr(" \t", text.data[text.len - 1]) == NULL) ||
		text.data[0] == '\0' || text.data[text.len - 1] == '\0';
}

static void
read_ini(const char *bytes, size_t len)
{
	StediIni	ini;
	StediIniStatus status;
	int			lines = 1;
	int			line = 0;
	StediSlice	name = {NULL, 0};
	StediSlice	value = {NULL, 0};

	for (size_t i = 0; i < len; i++)
		lines += bytes[i] == '\n';
	stedi_ini_init(&ini, bytes, len);
	for (;;)
	{
		status = stedi_ini_next(&ini, &name, &value);
		if (status == STEDI_INI_END)
			break;
		CLAIM(ini.line > line && ini.line <= lines);
		line = ini.line;
		if (status == STEDI_INI_BAD)
			continue;
		CLAIM(is_inside(name, bytes, len) && is_inside(value, bytes, len));
		CLAIM(is_trimmed(name) && is_trimmed(value));
		CLAIM(name.len == 0 || memchr(name.data, '\n', name.len) == NULL);
		CLAIM(value.len == 0 || memchr(value.data, '\n', value.len) == NULL);
		if (status == STEDI_INI_SECTION)
		{
			char	   *own = exact_string(name.len > 0 ? name.data : "", name.len);

			/* in the other file every section is a profile's, of its name */
			CLAIM(strlen(own) != name.len || stedi_ini_is_profile(name, own, false));
			(void) stedi_ini_is_profile(name, own, true);
			(void) stedi_ini_is_profile(name, "analyst", true);
			free(own);
		}
	}
	CLAIM(stedi_ini_next(&ini, &name, &value) == STEDI_INI_END);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static StediToldKeys keys;
	char	   *copy = exact_copy(data, size);

	read_ini(copy, size);
	free(copy);

	copy = exact_copy(data, size);
	memset(&keys, 0x55, sizeof(keys));
	if (stedi_told_keys(copy, size, &keys))
		CLAIM(keys.access_key_id[0] != '\0' && keys.secret_access_key[0] != '\0');
	CLAIM(memchr(keys.access_key_id, '\0', sizeof(keys.access_key_id)) != NULL);
	CLAIM(memchr(keys.secret_access_key, '\0', sizeof(keys.secret_access_key)) != NULL);
	CLAIM(memchr(keys.session_token, '\0', sizeof(keys.session_token)) != NULL);
	CLAIM(memchr(keys.code, '\0', sizeof(keys.code)) != NULL);
	free(copy);
	return 0;
}
