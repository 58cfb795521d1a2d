/*-------------------------------------------------------------------------
 *
 * former.c
 *		Targets of stedi 1.0, which knew e-mails by a form of ASCII alone.
 *
 * A run that finds a target whose e-mails have another form than that of
 * today (STEDI_EMAIL_FORM) reads all objects anew.  What cannot be read anew
 * is the list of the forgotten, of which only hashes are known.  An entry
 * under the former form is found again as soon as a record, or a call of
 * forget or unforget, spells the e-mail that way.  The entry is then rewritten
 * under the form of today.  Each former form belongs to one form of today, so
 * no other person is let in by it.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* An entry of the list that was found again. */
typedef struct Met
{
	text	   *former;
	text	   *email;			/* the form of today */
} Met;

struct ZoneFormer
{
	MemoryContext cxt;
	StediHashes names;			/* of the list, whatever their form */
	StediHashes met_names;		/* those in met */
	List	   *met;
};

/* Tables with e-mails. */
static const ZoneTableId tables[] = {
	ZONE_CUSTOMER_TRUSTED, ZONE_ACCELEROMETER_TRUSTED, ZONE_CUSTOMER_CURATED,
};

static text *
former_form(StediSlice email)
{
	char	   *room = palloc(email.len + 1);
	StediSlice	former = stedi_email_ascii(email, room);
	text	   *result = cstring_to_text_with_len(former.data, (int) former.len);

	pfree(room);
	return result;
}

void
stedi_zone_former_begin(ZoneRun *run)
{
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	ZoneFormer *former = palloc0(sizeof(ZoneFormer));
	ZoneQueryRows rows;
	Datum		name;
	bool		isnull;

	former->cxt = run->cxt;
	stedi_hashes_begin(&former->names);
	stedi_hashes_begin(&former->met_names);
	MemoryContextSwitchTo(caller);
	stedi_zone_store_query(run, &rows, "SELECT name FROM {books}.stedi_forgotten", "l");
	while (stedi_zone_query_fetch(&rows, 1, &name, &isnull))
		if (!isnull)
			(void) stedi_hashes_add(&former->names, (uint64) DatumGetInt64(name));
	stedi_zone_query_close(&rows);
	run->former = former;
}

void
stedi_zone_former_note(ZoneRun *run, StediSlice landed, const text *email)
{
	ZoneFormer *former = run->former;
	text	   *form;
	uint64		name;

	if (former->names.n == 0)
		return;
	form = former_form(landed);
	name = stedi_consent_name_hash(run->seed, stedi_text_slice(form), false);
	if (stedi_hashes_has(&former->names, name) &&
		name != stedi_consent_name_hash(run->seed, stedi_text_slice(email), false) &&
		stedi_hashes_add(&former->met_names, name))
	{
		MemoryContext caller = MemoryContextSwitchTo(former->cxt);
		Met		   *met = palloc(sizeof(Met));

		met->former = DatumGetTextPCopy(PointerGetDatum(form));
		met->email = DatumGetTextPCopy(PointerGetDatum(email));
		former->met = lappend(former->met, met);
		MemoryContextSwitchTo(caller);
	}
	pfree(form);
}

/* Rewrite the entries of one form of an e-mail as entries of another. */
static void
replace_entries(ZoneRun *run, const text *former, const text * email)
{
	static Oid	types[] = {BYTEAOID, INT8OID, BYTEAOID, BYTEAOID, INT8OID};
	const StediSlice key = {run->key, ZONE_KEY_LEN};
	ZoneHasher *hasher = stedi_zone_key_begin();
	const ZoneForgotten entry = stedi_zone_key_forgotten(run, hasher, stedi_text_slice(email));
	Datum		values[lengthof(types)];

	values[0] = PointerGetDatum(entry.who);
	values[1] = Int64GetDatum(entry.name);
	values[2] = PointerGetDatum(entry.proof);
	values[3] = PointerGetDatum(stedi_zone_key_hash_text(hasher, key, stedi_text_slice(former)));
	values[4] =
		Int64GetDatum((int64) stedi_consent_name_hash(run->seed, stedi_text_slice(former), false));
	stedi_zone_key_end(hasher);
	(void) stedi_zone_store_with(run,
								 "UPDATE {books}.stedi_forgotten"
								 " SET who = $1, name = $2, proof = $3"
								 " WHERE who = $4 AND name = $5",
								 lengthof(types), types, values, NULL);
}

void
stedi_zone_former_settle(ZoneRun *run)
{
	ListCell   *lc;

	foreach(lc, run->former->met)
	{
		const Met  *met = lfirst(lc);

		replace_entries(run, met->former, met->email);
	}
}

void
stedi_zone_former_replace(ZoneRun *run, StediSlice given, const text *email)
{
	text	   *former = former_form(given);

	if (!DatumGetBool(DirectFunctionCall2(byteaeq, PointerGetDatum(former),
										  PointerGetDatum(email))))
		replace_entries(run, former, email);
}

void
stedi_zone_former_keep(ZoneRun *run, const char *name, const char *template)
{
	MemoryContext caller = MemoryContextSwitchTo(run->cxt);
	Tuplestorestate *store = tuplestore_begin_heap(false, false, ZONE_KEPT_MEMORY);
	TupleDesc	tupdesc = CreateTemplateTupleDesc(2);
	ZoneHasher *hasher = stedi_zone_key_begin();
	ZoneQueryRows rows;
	Datum		values[3];
	bool		nulls[3];

	TupleDescInitEntry(tupdesc, 1, "email", TEXTOID, -1, 0);
	TupleDescInitEntryCollation(tupdesc, 1, C_COLLATION_OID);
	TupleDescInitEntry(tupdesc, 2, "who", BYTEAOID, -1, 0);
	MemoryContextSwitchTo(caller);
	stedi_zone_store_query(run, &rows,
						   psprintf("SELECT q.email, k.key, q.spelling"
									" FROM {books}.stedi_key k, (%s) q"
									" WHERE q.email IS NOT NULL AND k.key IS NOT NULL"
									" AND q.spelling IS NOT NULL",
									template), "tbt");
	while (stedi_zone_query_fetch(&rows, lengthof(values), values, nulls))
	{
		text	   *former = former_form(stedi_text_slice(DatumGetTextPP(values[2])));
		StediSlice	key = stedi_text_slice((struct varlena *) DatumGetByteaPP(values[1]));

		values[1] = PointerGetDatum(stedi_zone_key_hash_text(hasher, key,
															 stedi_text_slice(former)));
		tuplestore_putvalues(store, tupdesc, values, nulls);
		pfree(DatumGetPointer(values[1]));
		pfree(former);
	}
	stedi_zone_query_close(&rows);
	stedi_zone_key_end(hasher);
	stedi_zone_query_register(run, name, store, tupdesc);
}

char *
stedi_zone_former_spellings(const ZoneRun *run)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT unnest($1) AS key");
	for (int i = 0; i < lengthof(tables) && run->form_before != STEDI_EMAIL_FORM; i++)
		appendStringInfo(&sql, " UNION SELECT email FROM {%s}"
						 " WHERE stedi.normalize_email(email COLLATE \"C\") = ANY ($1)",
						 stedi_zone_tables[tables[i]].name);
	return sql.data;
}

void
stedi_zone_former_rows(ZoneRun *run)
{
	if (run->form_before == STEDI_EMAIL_FORM)
		return;
	for (int i = 0; i < lengthof(tables); i++)
	{
		ZoneTableId id = tables[i];

		const char *update =
		psprintf("UPDATE {%1$s} SET email = stedi.normalize_email(email COLLATE \"C\")"
				 " WHERE email COLLATE \"C\" <> stedi.normalize_email(email COLLATE \"C\")",
				 stedi_zone_tables[id].name);

		if (OidIsValid(run->relid[id]) && (!run->wanted[id] || stedi_zone_keeps_rows(run)))
			stedi_zone_query_run(stedi_zone_query_expand(run, update));
	}
}
