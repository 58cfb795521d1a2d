/*-------------------------------------------------------------------------
 *
 * open.c
 *		The bookkeeping of a target at the start of a run: found, made or brought over.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

void
stedi_zone_store_open(ZoneRun *run)
{
	ZoneStore	before = run->store;
	ZoneUser	user;

	if (!OidIsValid(before.schema))
		stedi_zone_store_check_lost(run);
	if (!before.ours)
		stedi_zone_adopt_take(run, &before);
	if (!before.ours)
		run->store.owner = stedi_zone_store_extension_owner();
	stedi_zone_store_enter(run, &user);
	stedi_zone_store_place(run, before.ours);
	if (!before.ours)
		stedi_zone_adopt_put(run);
	stedi_zone_grant(run);
	stedi_zone_store_leave(&user);
}

/*
 * Read the key of the hashes of people, and derive the seed of the hashes of
 * names.
 */
static void
read_key(ZoneRun *run)
{
	Datum		key = (Datum) 0;
	Datum		other;
	bool		isnull = true;
	bool		other_isnull;
	ZoneQueryRows rows;

	stedi_zone_store_query(run, &rows, "SELECT key FROM {books}.stedi_key", "b");
	if (stedi_zone_query_fetch(&rows, 1, &key, &isnull))
		isnull |= stedi_zone_query_fetch(&rows, 1, &other, &other_isnull);
	if (isnull || VARSIZE_ANY_EXHDR(DatumGetByteaPP(key)) < ZONE_KEY_LEN)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("table \"%s\" in schema \"%s\" does not hold one key",
					   stedi_zone_books[ZONE_BOOK_KEY].name, run->store.name),
				errhint("Restore it from a backup; who is to be forgotten depends on it."));
	memcpy(run->key, VARDATA_ANY(DatumGetByteaPP(key)), ZONE_KEY_LEN);
	memcpy(&run->seed, run->key, sizeof(run->seed));
	stedi_zone_query_close(&rows);
}

/*
 * What the last run's tables were made by: the landing tables, the form of
 * e-mails, and then, where there were any, the expectations that drop rows.
 */
static void
split_definition(ZoneRun *run, char *definition)
{
	char	   *dropping = strstr(definition, ZONE_DROPPING);
	char	   *form;

	run->dropping_before = "";
	if (dropping != NULL)
	{
		run->dropping_before = MemoryContextStrdup(run->cxt, dropping);
		*dropping = '\0';
	}
	form = strstr(definition, ZONE_FORM);
	if (form != NULL)
	{
		run->form_before = atoi(form + strlen(ZONE_FORM));
		*form = '\0';
	}
	run->definition_before = definition;
}

/* How the last run left the tables; *forgotten: how many are to be. */
static void
read_state(ZoneRun *run, int64 *forgotten)
{
	Datum		values[6];
	bool		nulls[6];
	bool		known;
	ZoneQueryRows rows;

	*forgotten = 0;
	run->form_before = STEDI_EMAIL_FORM;
	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (OidIsValid(run->relid[id]))
			run->form_before = 1;

	/* anything but one row counts as none */
	stedi_zone_store_query(run, &rows,
						   "SELECT run, as_of, complete, definition, forgotten, rows"
						   " FROM {books}.stedi_state"
						   " WHERE (SELECT count(*) FROM {books}.stedi_state) = 1", "llBtlL");
	known = stedi_zone_query_fetch(&rows, lengthof(values), values, nulls);
	for (int i = 0; known && i < lengthof(values); i++)
		known = !nulls[i];
	if (known)
	{
		ArrayType  *n_rows = DatumGetArrayTypeP(values[5]);

		run->number = DatumGetInt64(values[0]) + 1;
		run->before_ms = DatumGetInt64(values[1]);
		run->complete = DatumGetBool(values[2]);
		split_definition(run, MemoryContextStrdup(run->cxt, TextDatumGetCString(values[3])));
		*forgotten = DatumGetInt64(values[4]);
		if (ARR_NDIM(n_rows) == 1 && ARR_DIMS(n_rows)[0] == ZONE_N_TABLES && !ARR_HASNULL(n_rows))
			memcpy(run->rows_before, ARR_DATA_PTR(n_rows), sizeof(run->rows_before));
		else
			run->complete = false;
	}
	else
		stedi_zone_store_values(run,
								"SELECT greatest((SELECT max(run) FROM {books}.stedi_run),"
								" (SELECT max(run) FROM {books}.stedi_history), 0) + 1", 1,
								&run->number);
	stedi_zone_query_close(&rows);
}

/* Were all hashes in the list made with the present key? */
static bool
have_proof(const ZoneRun *run)
{
	const StediSlice key = {run->key, ZONE_KEY_LEN};
	ZoneHasher *hasher = stedi_zone_key_begin();
	bool		proven = true;
	ZoneQueryRows rows;
	Datum		values[2];
	bool		nulls[2];

	stedi_zone_store_query(run, &rows, "SELECT who, proof FROM {books}.stedi_forgotten", "bb");
	while (stedi_zone_query_fetch(&rows, lengthof(values), values, nulls))
	{
		bytea	   *proof;

		if (nulls[0] || nulls[1])
		{
			proven = false;
			continue;
		}
		proof = stedi_zone_key_hash(hasher, key, stedi_text_slice(DatumGetByteaPP(values[0])));
		proven &= DatumGetBool(DirectFunctionCall2(byteaeq, values[1], PointerGetDatum(proof)));
	}
	stedi_zone_query_close(&rows);
	stedi_zone_key_end(hasher);
	return proven;
}

/*
 * A list of the forgotten that was emptied, or cannot be read any more for
 * want of its key, would let people in again.
 */
static void
check_forgotten(const ZoneRun *run, int64 wanted)
{
	int64		n_listed;
	bool		complete;

	stedi_zone_store_values(run, "SELECT count(*) FROM {books}.stedi_forgotten"
							" WHERE lifted IS NULL",
							1, &n_listed);
	complete = n_listed >= wanted;
	if (complete && have_proof(run))
		return;
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			complete ?
			errmsg("the key by which the forgotten of schema \"%s\" are known is lost",
				   run->target_name) :
			errmsg("the list of the forgotten of schema \"%s\" is not complete any more",
				   run->target_name),
			errhint("Restore tables \"%s\" and \"%s\" of schema \"%s\" from a backup.",
					stedi_zone_books[ZONE_BOOK_FORGOTTEN].name,
					stedi_zone_books[ZONE_BOOK_KEY].name, run->store.name));
}

void
stedi_zone_book_open(ZoneRun *run)
{
	int64		forgotten;
	char	   *grantees;

	stedi_zone_store_open(run);
	for (int book = 0; book < ZONE_N_BOOKS; book++)
		stedi_zone_book_make(run, book);
	read_key(run);
	read_state(run, &forgotten);
	check_forgotten(run, forgotten);
	grantees = stedi_zone_book_granted(run, &stedi_zone_books[ZONE_BOOK_KEY], "true");
	if (grantees != NULL)
		ereport(WARNING,
				errmsg("table \"%s\" in schema \"%s\" is granted to others than the owner of the "
					   "five tables",
					   stedi_zone_books[ZONE_BOOK_KEY].name, run->store.name),
				errdetail("It is granted to: %s.", grantees),
				errhint("Whoever reads it can tell who is meant in the bookkeeping: "
						"REVOKE ALL ON TABLE %s.%s FROM %s;",
						quote_identifier(run->store.name), stedi_zone_books[ZONE_BOOK_KEY].name,
						grantees));
	run->complete &= !run->books_lost;
}
