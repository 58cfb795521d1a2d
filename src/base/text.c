/*-------------------------------------------------------------------------
 *
 * text.c
 *		Text from outside, in the encoding of the database.
 *
 * Records, keys and what a server says are bytes that somebody else wrote.
 *
 *-------------------------------------------------------------------------
 */
#include "base/base.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

char *
stedi_text_convert(StediSlice text, int *len)
{
	int			encoding = GetDatabaseEncoding();
	char	   *result;
	Oid			function;

	if (!pg_verify_mbstr(PG_UTF8, text.data, (int) text.len, true))
		return NULL;
	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
	{
		*len = (int) text.len;
		return pnstrdup(text.data, text.len);
	}
	function = FindDefaultConversionProc(PG_UTF8, encoding);
	if (!OidIsValid(function))
		return NULL;
	result = palloc_extended(text.len * MAX_CONVERSION_GROWTH + 1, MCXT_ALLOC_HUGE);
	if (pg_do_encoding_conversion_buf(function, PG_UTF8, encoding,
									  (unsigned char *) unconstify(char *, text.data),
									  (int) text.len,
									  (unsigned char *) result,
									  (int) (text.len * MAX_CONVERSION_GROWTH + 1),
									  true) != (int) text.len)
		return NULL;
	*len = (int) strlen(result);
	return result;
}

char *
stedi_text_show(const char *name)
{
	StediSlice	text = {name, strlen(name)};
	int			len;
	char	   *copy = stedi_text_convert(text, &len);
	char	   *to;

	if (copy != NULL)
		return copy;
	to = copy = palloc(3 * text.len + 1);
	for (const char *p = name; *p != '\0'; p++)
	{
		if (IS_HIGHBIT_SET(*p))
			to += sprintf(to, "%%%02X", (unsigned char) *p);
		else
			*to++ = *p;
	}
	*to = '\0';
	return copy;
}

Datum
stedi_text_name(const char *name)
{
	return CStringGetTextDatum(stedi_text_show(name));
}

char *
stedi_text_sentence(const char *text)
{
	bool		utf8 = GetDatabaseEncoding() == PG_UTF8 &&
	pg_verify_mbstr(PG_UTF8, text, strlen(text), true);
	char	   *copy = pstrdup(text);
	Size		len = strlen(copy);

	for (char *p = copy; *p != '\0'; p++)
	{
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			*p = ' ';
		else if (IS_HIGHBIT_SET(*p) && !utf8)
			*p = '?';
	}
	while (len > 0 && (copy[len - 1] == '.' || copy[len - 1] == ' '))
		copy[--len] = '\0';
	return copy;
}
