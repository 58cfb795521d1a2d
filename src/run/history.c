/*-------------------------------------------------------------------------
 *
 * history.c
 *		Whose consent came and went: a history that can be checked.
 *
 * Each entry has a hash of all that it says and of the hash before it.  With
 * the newest hash, the *head*, it can be checked that nothing before it was
 * changed, left out or cut off.  A role that can write the table can make all
 * of it anew from the beginning; only a head that was kept elsewhere shows
 * that.
 *
 * An entry is written in the transaction that does what it tells.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"
#include "run/run.h"

#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(consent_history);
PG_FUNCTION_INFO_V1(verify_history);

/* The columns of an entry. */
enum
{
	ENTRY_NUMBER,
	ENTRY_RUN,
	ENTRY_AT,
	ENTRY_WHO,
	ENTRY_WHAT,
	ENTRY_OBJECT,
	ENTRY_OFFSET,
	ENTRY_REMOVED,
	ENTRY_ADDED,
	ENTRY_HASH,
	N_ENTRY_COLUMNS
};

static const struct
{
	const char *name;
	Oid			type;
}			columns[N_ENTRY_COLUMNS] = {
	{"entry", INT8OID},
	{"run", INT8OID},
	{"at", TIMESTAMPTZOID},
	{"who", BYTEAOID},
	{"what", TEXTOID},
	{"object", TEXTOID},
	{"byte_offset", INT8OID},
	{"rows_removed", INT8OID},
	{"rows_added", INT8OID},
	{"hash", BYTEAOID},
};

/* The chain while it is written, or gone along. */
typedef struct Chain
{
	pg_cryptohash_ctx *sha;		/* the resource owner's, after an error */
	StringInfoData words;		/* what is hashed of an entry */
	int64		entry;			/* the last one's number */
	uint8		head[PG_SHA256_DIGEST_LENGTH];	/* its hash; of none: zeros */
} Chain;

static Chain *
begin_chain(void)
{
	Chain	   *chain = palloc0(sizeof(Chain));

	chain->sha = pg_cryptohash_create(PG_SHA256);
	if (chain->sha == NULL)
		ereport(ERROR,
				errcode(ERRCODE_OUT_OF_MEMORY),
				errmsg("out of memory"));
	initStringInfo(&chain->words);
	return chain;
}

/* Add a word, with its length before it, so that no two entries look alike. */
static void
add_word(StringInfo words, const char *data, Size len)
{
	appendStringInfo(words, "%zu:", len);
	appendBinaryStringInfo(words, data, (int) len);
}

/* Make an entry the last one: the hash of what it says and of the head. */
static void
extend_chain(Chain *chain, const Datum *values, const bool *nulls)
{
	StringInfo	words = &chain->words;

	resetStringInfo(words);
	for (int i = 0; i < ENTRY_HASH; i++)
	{
		if (nulls[i])
			appendStringInfoChar(words, '-');
		else if (columns[i].type == INT8OID || columns[i].type == TIMESTAMPTZOID)
		{
			char		digits[24];

			add_word(words, digits, snprintf(digits, sizeof(digits), INT64_FORMAT,
											 DatumGetInt64(values[i])));
		}
		else
		{
			StediSlice	word =
			stedi_text_slice((struct varlena *) PG_DETOAST_DATUM_PACKED(values[i]));

			add_word(words, word.data, word.len);
		}
	}
	if (pg_cryptohash_init(chain->sha) < 0 ||
		pg_cryptohash_update(chain->sha, chain->head, sizeof(chain->head)) < 0 ||
		pg_cryptohash_update(chain->sha, (uint8 *) words->data, words->len) < 0 ||
		pg_cryptohash_final(chain->sha, chain->head, sizeof(chain->head)) < 0)
		ereport(ERROR,
				errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("could not hash an entry of the consent history: %s",
					   pg_cryptohash_error(chain->sha)));
	chain->entry = DatumGetInt64(values[ENTRY_NUMBER]);
}

static bytea *
copy_head(const Chain *chain)
{
	bytea	   *hash = palloc(VARHDRSZ + sizeof(chain->head));

	SET_VARSIZE(hash, VARHDRSZ + sizeof(chain->head));
	memcpy(VARDATA(hash), chain->head, sizeof(chain->head));
	return hash;
}

/* The head in hex: what runs return and verify_history is asked about. */
static char *
head_text(const Chain *chain)
{
	char	   *text = palloc(2 * sizeof(chain->head) + 1);

	text[hex_encode((const char *) chain->head, sizeof(chain->head), text)] = '\0';
	return text;
}

/*
 * Find the end of the chain, as the table has it.  Numbers go on from the last
 * that was given, so that entries that were cut off leave a gap.
 */
static void
find_head(const ZoneRun *run, Chain *chain)
{
	int64		n_given;
	ZoneQueryRows rows;
	Datum		values[2];
	bool		nulls[2];

	stedi_zone_store_query(run, &rows, "SELECT entry, hash FROM {books}.stedi_history"
						   " ORDER BY entry DESC NULLS LAST LIMIT 1", "lb");
	if (stedi_zone_query_fetch(&rows, lengthof(values), values, nulls) && !nulls[0] && !nulls[1])
	{
		StediSlice	hash = stedi_text_slice(DatumGetByteaPP(values[1]));

		chain->entry = DatumGetInt64(values[0]);
		memcpy(chain->head, hash.data, Min(hash.len, sizeof(chain->head)));
	}
	stedi_zone_query_close(&rows);
	stedi_zone_store_values(run, "SELECT max(entries) FROM {books}.stedi_state", 1, &n_given);
	chain->entry = Max(chain->entry, n_given);
}

static TupleDesc
describe_entries(void)
{
	TupleDesc	tupdesc = CreateTemplateTupleDesc(N_ENTRY_COLUMNS);

	for (int i = 0; i < N_ENTRY_COLUMNS; i++)
		TupleDescInitEntry(tupdesc, i + 1, columns[i].name, columns[i].type, -1, 0);
	return tupdesc;
}

/* Entries on their way into the table. */
typedef struct Writer
{
	ZoneRun    *run;
	Chain	   *chain;
	ZoneHasher *hasher;
	Tuplestorestate *store;
	TupleDesc	tupdesc;
} Writer;

/* values: what, object (its number), byte offset, rows removed and added. */
static void
put_entry(Writer *writer, const text *email, const Datum *given, const bool *given_nulls)
{
	ZoneRun    *run = writer->run;
	const StediSlice key = {run->key, ZONE_KEY_LEN};
	Datum		values[N_ENTRY_COLUMNS];
	bool		nulls[N_ENTRY_COLUMNS] = {false};

	values[ENTRY_NUMBER] = Int64GetDatum(writer->chain->entry + 1);
	values[ENTRY_RUN] = Int64GetDatum(run->number);
	values[ENTRY_AT] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	nulls[ENTRY_WHO] = email == NULL;
	if (email != NULL)
	{
		StediSlice	name = stedi_text_slice((const struct varlena *) email);

		values[ENTRY_WHO] = PointerGetDatum(stedi_zone_key_hash_text(writer->hasher, key, name));
	}
	values[ENTRY_WHAT] = given[0];
	nulls[ENTRY_OBJECT] = given_nulls[1];
	if (!given_nulls[1])
	{
		const StediListing *listing = run->source[ZONE_CUSTOMER_TRUSTED].listing;

		values[ENTRY_OBJECT] = stedi_text_name(listing->objects[DatumGetInt32(given[1])].key);
	}
	for (int i = ENTRY_OFFSET; i <= ENTRY_ADDED; i++)
	{
		values[i] = given[i - ENTRY_OFFSET + 2];
		nulls[i] = given_nulls[i - ENTRY_OFFSET + 2];
	}
	extend_chain(writer->chain, values, nulls);
	values[ENTRY_HASH] = PointerGetDatum(copy_head(writer->chain));
	tuplestore_putvalues(writer->store, writer->tupdesc, values, nulls);
}

static void
begin_writer(Writer *writer, ZoneRun *run)
{
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);

	writer->run = run;
	writer->chain = begin_chain();
	writer->hasher = stedi_zone_key_begin();
	writer->tupdesc = describe_entries();
	writer->store = tuplestore_begin_heap(true, false, ZONE_KEPT_MEMORY);
	MemoryContextSwitchTo(caller);
	find_head(run, writer->chain);
}

static void
finish_writer(Writer *writer)
{
	ZoneRun    *run = writer->run;
	bool		any = tuplestore_tuple_count(writer->store) > 0;

	stedi_zone_query_register(run, "history_entry", writer->store, writer->tupdesc);
	if (any)
		stedi_zone_store_run(run, "INSERT INTO {books}.stedi_history SELECT * FROM history_entry");
	if (writer->chain->entry > 0)
		run->head = MemoryContextStrdup(run->cxt, head_text(writer->chain));
	run->n_entries = writer->chain->entry;
	pg_cryptohash_free(writer->chain->sha);
	stedi_zone_key_end(writer->hasher);
}

void
stedi_zone_history_write(ZoneRun *run, const char *query)
{
	static const bool no_nulls[] = {false, true, true, true, true};
	MemoryContext entry_cxt = AllocSetContextCreate(CurrentMemoryContext, "stedi entry",
													ALLOCSET_DEFAULT_SIZES);
	Writer		writer;
	ZoneQueryRows rows;
	Datum		values[6];
	bool		nulls[6];

	begin_writer(&writer, run);
	if (run->all && run->rule_changed && run->had_rule)
	{
		values[0] = CStringGetTextDatum("rule_changed");
		put_entry(&writer, NULL, values, no_nulls);
	}
	stedi_zone_query_open(&rows, query, "ttilll");
	while (stedi_zone_query_fetch(&rows, lengthof(values), values, nulls))
	{
		MemoryContext caller;

		/* a row without an e-mail, which the owner has put into a table */
		if (nulls[0] || nulls[1])
			continue;
		caller = MemoryContextSwitchTo(entry_cxt);

		put_entry(&writer, DatumGetTextPP(values[0]), values + 1, nulls + 1);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(entry_cxt);
	}
	stedi_zone_query_close(&rows);
	MemoryContextDelete(entry_cxt);
	finish_writer(&writer);
}

/* An answer of one problem. */
static void
put_problem(const ZoneSession *session, int64 entry, const char *problem)
{
	Datum		values[2];
	bool		nulls[2] = {false};

	values[0] = Int64GetDatum(entry);
	values[1] = CStringGetTextDatum(problem);
	tuplestore_putvalues(session->answer->setResult, session->answer->setDesc, values, nulls);
}

/* Go along the chain, and say where it does not hold. */
static void
check_entries(const ZoneSession *session, Chain *chain, const char *expected, bool *found)
{
	ZoneQueryRows rows;
	Datum		values[N_ENTRY_COLUMNS];
	bool		nulls[N_ENTRY_COLUMNS];

	stedi_zone_store_query(session->run, &rows,
						   "SELECT entry, run, at, who, what, object, byte_offset,"
						   " rows_removed, rows_added, hash FROM {books}.stedi_history"
						   " ORDER BY entry", "llzbttlllb");
	while (stedi_zone_query_fetch(&rows, lengthof(values), values, nulls))
	{
		int64		entry = nulls[ENTRY_NUMBER] ? 0 : DatumGetInt64(values[ENTRY_NUMBER]);
		StediSlice	hash = {"", 0};

		if (!nulls[ENTRY_HASH])
			hash = stedi_text_slice(DatumGetByteaPP(values[ENTRY_HASH]));
		if (entry <= chain->entry)
			put_problem(session, entry, "another entry has its number");
		else if (entry > chain->entry + 1)
			put_problem(session, entry, "the entry before it is missing");
		extend_chain(chain, values, nulls);
		if (hash.len != sizeof(chain->head) || memcmp(hash.data, chain->head, hash.len) != 0)
		{
			put_problem(session, entry,
						"its hash is not that of what it says and of the entry before it");
			/* what follows is judged by what is there */
			memset(chain->head, 0, sizeof(chain->head));
			memcpy(chain->head, hash.data, Min(hash.len, sizeof(chain->head)));
		}
		*found |= expected != NULL && pg_strcasecmp(head_text(chain), expected) == 0;
	}
	stedi_zone_query_close(&rows);
}

/*
 * verify_history(target regnamespace, expected_head text)
 *		-> setof (entry bigint, problem text); no rows: the history is whole
 */
Datum
verify_history(PG_FUNCTION_ARGS)
{
	static const bool wanted[ZONE_N_TABLES] = {false};
	char	   *expected = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	bool		found = false;
	ZoneSession session;
	Chain	   *chain;

	stedi_zone_session_need_argument(fcinfo, 0, "target");
	stedi_zone_session_begin(&session, fcinfo, PG_GETARG_OID(0), -1, wanted);
	chain = begin_chain();
	if (stedi_zone_session_has_book(&session, ZONE_BOOK_HISTORY))
		check_entries(&session, chain, expected, &found);
	if (stedi_zone_session_has_book(&session, ZONE_BOOK_STATE))
	{
		char	   *entries =
		stedi_zone_session_text(&session, "SELECT max(entries)::text FROM {books}.stedi_state");

		if (entries != NULL && strtoll(entries, NULL, 10) > chain->entry)
			put_problem(&session, chain->entry, "the entries after it were cut off");
	}
	if (expected != NULL && !found)
		put_problem(&session, chain->entry, "no entry has the expected head");
	pg_cryptohash_free(chain->sha);
	stedi_zone_session_end(&session);
	return (Datum) 0;
}

/*
 * consent_history(target regnamespace) -> the entries of stedi_history, in
 * their order
 */
Datum
consent_history(PG_FUNCTION_ARGS)
{
	static const bool wanted[ZONE_N_TABLES] = {false};
	ZoneSession session;

	stedi_zone_session_need_argument(fcinfo, 0, "target");
	stedi_zone_session_begin(&session, fcinfo, PG_GETARG_OID(0), -1, wanted);
	if (stedi_zone_session_has_book(&session, ZONE_BOOK_HISTORY))
		stedi_zone_session_answer(&session,
								  "SELECT entry, run, at, who, what, object, byte_offset,"
								  " rows_removed, rows_added, hash"
								  " FROM {books}.stedi_history ORDER BY entry");
	stedi_zone_session_end(&session);
	return (Datum) 0;
}
