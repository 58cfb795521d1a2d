/*-------------------------------------------------------------------------
 *
 * lack.c
 *		Columns that no customer record has a value for.
 *
 * Where keys have other names than the columns, such as names in snake_case,
 * records are read without trouble and no customer is in.  A run that meets no
 * value of a column that decides says so, with the key that looks like it.
 * The keys are looked for in the first records that lack one.  No value is
 * looked at, and a key that may hold a customer's value is not shown.
 *
 *-------------------------------------------------------------------------
 */
#include "run/run.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

/* Records whose keys are looked at. */
#define MOST_EXAMINED 100

/* The longest key that is looked at. */
#define MOST_KEY_LEN NAMEDATALEN

/* Letters that two names must share at their beginning, and a distance of two that look alike. */
#define FEWEST_SHARED 6
#define FARTHEST 2

/*
 * What may follow in a key that begins like a column; any more may be a
 * customer's value.
 */
#define MOST_BEHIND 8

/* How a key looks like a column, the best last. */
enum
{
	UNLIKE, BEGINS_LIKE, NEARLY_LIKE, LIKE
};

static const struct
{
	const char *column;
	bool		vital;			/* no customer is in without it */
	const char *effect;
}			needed[] = {
	{"email", true, "A record without an e-mail is rejected."},
	{"lastupdatedate", true, "A customer whose record has no such date is out."},
	{"sharewithresearchasofdate", false, "Nobody consents to research."},
	{"serialnumber", false, "No step reading has an owner."},
	{"registrationdate", false, "All readings of devices that another customer once held are out."},
};

#define N_NEEDED ((int) lengthof(needed))

struct ZoneLack
{
	MemoryContext cxt;
	const char *keys[STEDI_N_CUSTOMER_COLUMNS]; /* that columns read */
	int			place[N_NEEDED];	/* in stedi_schema_customers */
	bool		seen[N_NEEDED];
	int			likeness[N_NEEDED];
	char	   *like[N_NEEDED]; /* owned: the key */
	int			n_seen;
	int			n_examined;		/* records that have some key */
	StediMembers members;
	MemoryContextCallback release;
};

/* Free what is cJSON's.  Never throws. */
static void
release_members(void *arg)
{
	stedi_json_release_members(&((ZoneLack *) arg)->members);
}

ZoneLack *
stedi_zone_lack_begin(MemoryContext cxt, Oid relid, const int *attno)
{
	MemoryContext caller = MemoryContextSwitchTo(cxt);
	ZoneLack   *lack = palloc0(sizeof(ZoneLack));

	lack->cxt = cxt;
	for (int i = 0; i < STEDI_N_CUSTOMER_COLUMNS; i++)
	{
		const char *column = stedi_schema_customers[i].name;

		lack->keys[i] = stedi_option_get_column(relid, attno[i] + 1, column).key;
		for (int k = 0; k < N_NEEDED; k++)
			if (strcmp(column, needed[k].column) == 0)
				lack->place[k] = i;
	}
	lack->release.func = release_members;
	lack->release.arg = lack;
	MemoryContextRegisterResetCallback(cxt, &lack->release);
	MemoryContextSwitchTo(caller);
	return lack;
}

/*
 * The letters and digits of a key, in lower case; false: it is not to be
 * shown.  A customer's value may have become a key.
 */
static bool
fold_key(StediSlice key, char *folded, char *lower)
{
	int			len = 0;

	if (key.len >= MOST_KEY_LEN)
		return false;
	for (size_t i = 0; i < key.len; i++)
	{
		char		c = (char) pg_ascii_tolower((unsigned char) key.data[i]);

		lower[i] = c;
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			folded[len++] = c;
		else if (c != '_' && c != '.' && c != ' ' && c != '-')
			return false;
	}
	folded[len] = lower[key.len] = '\0';
	return len > 0;
}

static int
likeness_of(const char *folded, const char *column)
{
	int			len = (int) strlen(folded);
	int			column_len = (int) strlen(column);
	int			shared = 0;

	while (shared < len && folded[shared] == column[shared])
		shared++;
	if (shared == len && shared == column_len)
		return LIKE;
	if (len >= FEWEST_SHARED &&
		varstr_levenshtein_less_equal(folded, len, column, column_len, 1, 1, 1,
									  FARTHEST, true) <= FARTHEST)
		return NEARLY_LIKE;
	if (shared == len && shared >= FEWEST_SHARED)
		return BEGINS_LIKE;
	if (shared == column_len && len - shared <= MOST_BEHIND &&
		folded[shared + strcspn(folded + shared, "0123456789")] == '\0')
		return BEGINS_LIKE;
	return UNLIKE;
}

/* Is a key of the record what a column should read? */
static void
compare_key(ZoneLack *lack, StediSlice key)
{
	char		folded[MOST_KEY_LEN];
	char		lower[MOST_KEY_LEN];

	if (!fold_key(key, folded, lower))
		return;
	for (int i = 0; i < STEDI_N_CUSTOMER_COLUMNS; i++)
		if (lack->keys[i] != NULL && strcmp(lack->keys[i], lower) == 0)
			return;
	for (int i = 0; i < N_NEEDED; i++)
	{
		int			likeness = lack->seen[i] ? UNLIKE : likeness_of(folded, needed[i].column);

		if (likeness <= lack->likeness[i])
			continue;
		lack->likeness[i] = likeness;
		lack->like[i] = MemoryContextStrdup(lack->cxt, pnstrdup(key.data, key.len));
	}
}

void
stedi_zone_lack_note(ZoneLack *lack, const bool *nulls, StediSlice record)
{
	StediMember member;
	bool		any = false;

	if (lack->n_seen == N_NEEDED)
		return;
	for (int i = 0; i < N_NEEDED; i++)
		if (!lack->seen[i] && !nulls[lack->place[i]])
		{
			lack->seen[i] = true;
			lack->n_seen++;
		}
	if (lack->n_seen == N_NEEDED || lack->n_examined == MOST_EXAMINED)
		return;
	stedi_json_members(&lack->members, record);
	while (stedi_json_next_member(&lack->members, &member))
	{
		any = true;
		if (member.key_reason == STEDI_REASON_NONE)
			compare_key(lack, member.key);
	}
	stedi_json_release_members(&lack->members);
	lack->n_examined += any;
}

/* The statement that has a column read a key. */
static char *
cure(const StediOptions *opts, const char *column, const char *key, bool has_key)
{
	return psprintf("ALTER FOREIGN TABLE %s ALTER COLUMN %s OPTIONS (%s key %s);",
					quote_qualified_identifier(get_namespace_name(get_rel_namespace(opts->relid)),
											   get_rel_name(opts->relid)),
					quote_identifier(column), has_key ? "SET" : "ADD", quote_literal_cstr(key));
}

void
stedi_zone_lack_warn(const ZoneLack *lack, const StediOptions *opts, bool all_read)
{
	if (lack->n_examined == 0)
		return;
	for (int i = 0; i < N_NEEDED; i++)
	{
		const char *column = needed[i].column;

		if (lack->seen[i] || (lack->like[i] == NULL && !(all_read && needed[i].vital)))
			continue;
		ereport(WARNING,
				errmsg("no record of foreign table \"%s\" has a value for column \"%s\"",
					   get_rel_name(opts->relid), column),
				errdetail_internal("%s", needed[i].effect),
				lack->like[i] != NULL ?
				errhint("Records have a key \"%s\". If it is that, say so: %s", lack->like[i],
						cure(opts, column, lack->like[i], lack->keys[lack->place[i]] == NULL ||
							 strcmp(lack->keys[lack->place[i]], column) != 0)) :
				errhint("Name its key in option \"key\" of the column: "
						"stedi.infer shows what keys there are."));
	}
}
