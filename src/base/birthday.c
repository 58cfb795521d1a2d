/*-------------------------------------------------------------------------
 *
 * birthday.c
 *		A landing birthday as a date, whenever and wherever it is read.
 *
 * PostgreSQL's date takes much that is none: words for the present time, forms
 * that are one day under one DateStyle and another day under another one, years
 * of two digits, whose century it guesses.  A table that was made of such would
 * not be what a later run makes, or that of another session.  So a birthday is
 * what says its year in full, has no word but the names of months and days, and
 * is the same date under every DateStyle; anything else is none.
 *
 *-------------------------------------------------------------------------
 */
#include "base/base.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgroids.h"

PG_FUNCTION_INFO_V1(birthday);

/* A birthday and a time behind it are no longer; more is no date. */
#define MOST_CHARACTERS 64

/* Digits of the shortest year that says its century. */
#define FEWEST_YEAR_DIGITS 3

/* The words that stand in dates, which no setting gives another meaning. */
static bool
is_known_word(const char *word, int len)
{
	static const char *const words[] = {
		"january", "february", "march", "april", "may", "june", "july", "august", "september",
		"october", "november", "december", "sunday", "monday", "tuesday", "wednesday", "thursday",
		"friday", "saturday"
	};
	static const char *const others[] = {
		"sept", "tues", "wednes", "thur", "thurs", "ad", "bc", "am", "pm", "t", "z"
	};

	for (int i = 0; i < (int) lengthof(words); i++)
		if ((len == 3 || len == (int) strlen(words[i])) && pg_strncasecmp(word, words[i], len) == 0)
			return true;
	for (int i = 0; i < (int) lengthof(others); i++)
		if (len == (int) strlen(others[i]) && pg_strncasecmp(word, others[i], len) == 0)
			return true;
	return false;
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || IS_HIGHBIT_SET(c);
}

/* Is every word of the text a known one? */
static bool
has_known_words(const char *given)
{
	int			len;

	for (const char *p = given; *p != '\0'; p += Max(len, 1))
	{
		for (len = 0; is_letter(p[len]); len++)
			;
		if (len > 0 && !is_known_word(p, len))
			return false;
	}
	return true;
}

/* Does some number in the text begin with the year's digits, zeros before them or not? */
static bool
says_year(const char *given, int year)
{
	char		digits[16];
	int			len = snprintf(digits, sizeof(digits), "%0*d", FEWEST_YEAR_DIGITS, year > 0 ? year : 1 - year);

	for (const char *p = given; *p != '\0'; p++)
	{
		const char *number = p;

		if (*p < '0' || *p > '9' || (p > given && p[-1] >= '0' && p[-1] <= '9'))
			continue;
		while (*number == '0' && strncmp(number, digits, len) != 0)
			number++;
		if (strncmp(number, digits, len) == 0)
			return true;
	}
	return false;
}

/* The date that the text is under every DateStyle; false: there is none.  Leaves DateOrder changed. */
static bool
read_alike(char *given, DateADT *date)
{
	static const int orders[] = {DATEORDER_YMD, DATEORDER_DMY, DATEORDER_MDY};
	FmgrInfo	input;

	fmgr_info(F_DATE_IN, &input);
	for (int i = 0; i < (int) lengthof(orders); i++)
	{
		Datum		value;

		DateOrder = orders[i];
		if (!stedi_compat_input(&input, given, DATEOID, -1, &value) ||
			(i > 0 && DatumGetDateADT(value) != *date))
			return false;
		*date = DatumGetDateADT(value);
	}
	return true;
}

char *
stedi_birthday_text(int32 date)
{
	struct pg_tm tm = {0};
	char	   *text = palloc(MAXDATELEN + 1);

	if (DATE_NOT_FINITE(date))
		return pstrdup("");
	j2date(date + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	EncodeDateOnly(&tm, USE_ISO_DATES, text);
	return text;
}

/*
 * birthday(text) -> date; NULL where the text is none
 */
Datum
birthday(PG_FUNCTION_ARGS)
{
	text	   *text_given = PG_GETARG_TEXT_PP(0);
	StediField	field = {STEDI_FIELD_STRING, stedi_text_slice(text_given)};
	int32_t		days;
	int			order = DateOrder;
	DateADT		date = 0;
	bool		found = false;
	char	   *given;
	int			year;
	int			month;
	int			day;

	/* nearly all are YYYY-MM-DD */
	if (stedi_value_date(&field, &days) == STEDI_REASON_NONE)
		PG_RETURN_DATEADT(stedi_time_date(days));
	if (field.text.len > MOST_CHARACTERS)
		PG_RETURN_NULL();
	given = text_to_cstring(text_given);
	if (!has_known_words(given))
		PG_RETURN_NULL();
	PG_TRY();
	{
		found = read_alike(given, &date);
	}
	PG_FINALLY();
	{
		DateOrder = order;
	}
	PG_END_TRY();
	if (!found || DATE_NOT_FINITE(date))
		PG_RETURN_NULL();
	j2date(date + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	if (!says_year(given, year))
		PG_RETURN_NULL();
	PG_RETURN_DATEADT(date);
}
