/*-------------------------------------------------------------------------
 *
 * objects.c
 *		Landing objects: what is there now, compared with what the tables were
 *		made from.
 *
 * A run that goes on from the one before reads the objects that are new or
 * have changed.  Of the others, it reads those that can hold a reading or a
 * record of a customer whose rows have to be worked out again.  The
 * bookkeeping has hashes of the names in each object, which tell that without
 * fetching it.
 *
 *-------------------------------------------------------------------------
 */
#include "books/books.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/*
 * What the landing tables and their server say that decides what is read.  When
 * these words change, every object counts as changed.  One line each: no value
 * can look like the lines that follow in the bookkeeping (ZONE_FORM,
 * ZONE_DROPPING), as a blank follows its line breaks.
 */
static const char *const definition_query =
"SELECT string_agg(replace(concat_ws('; ', c.relname,"
"   (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(s.srvoptions) o"
"    WHERE split_part(o, '=', 1) IN ('url', 'endpoint')),"
"   (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(f.ftoptions) o"
"    WHERE split_part(o, '=', 1) IN ('prefix', 'pattern', 'max_record_size', 'max_depth',"
"      'time_unit', 'time_zone', 'null_values')),"
"   (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),"
" a.attfdwoptions),"
"      ', ' ORDER BY a.attname) FROM pg_attribute a"
"    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)), E'\\n', E'\\n '),"
"  E'\\n' ORDER BY c.relname)"
" FROM pg_class c JOIN pg_foreign_table f ON f.ftrelid = c.oid"
" JOIN pg_foreign_server s ON s.oid = f.ftserver"
" WHERE c.oid IN (";

/*
 * Before that, the rules by which records are read and judged, where they are
 * others than those of 1.0. 2: byte-order marks between records, times of
 * another unit, birthdays that no setting makes.
 */
#define RULES "rules 2\n"

const char *
stedi_zone_object_definition(const char *definition)
{
	return strncmp(definition, RULES, strlen(RULES)) == 0 ? definition + strlen(RULES) : definition;
}

/* Are the landing tables other ones than in the last run? */
static bool
is_redefined(const ZoneRun *run)
{
	return run->definition_before != NULL &&
		strcmp(stedi_zone_object_definition(run->definition),
			   stedi_zone_object_definition(run->definition_before)) != 0;
}

const char *
stedi_zone_object_redefined(const ZoneRun *run)
{
	if (is_redefined(run))
		return "a landing table or its server is defined otherwise than in the last run";
	if (run->definition_before != NULL && strcmp(run->definition, run->definition_before) != 0)
		return "this version of the extension has other rules for landing records";
	return NULL;
}

void
stedi_zone_object_define(ZoneRun *run)
{
	StringInfoData oids;

	initStringInfo(&oids);
	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (OidIsValid(run->source[id].relid))
			appendStringInfo(&oids, "%s%u", oids.len > 0 ? ", " : "", run->source[id].relid);
	run->definition = stedi_zone_query_text(run, psprintf("SELECT '" RULES "' || (%s%s))",
														  definition_query, oids.data));
}

/* For qsort and bsearch by name. */
static int
compare_names(const void *a, const void *b)
{
	CHECK_FOR_INTERRUPTS();
	return strcmp(((const ZoneName *) a)->name, ((const ZoneName *) b)->name);
}

/*
 * Rows of stedi_object that lack a value are ignored: their objects are read
 * anew.
 */
#define OBJECT_KNOWN " AND key IS NOT NULL AND etag IS NOT NULL AND size IS NOT NULL"

/*
 * The names of the listed objects, as the bookkeeping has them: in the
 * encoding of the database, where two may look the same.
 */
static void
sort_names(ZoneRun *run, ZoneSource *source)
{
	int			n = source->listing->n_objects;

	source->names = palloc_extended(Max(n, 1) * sizeof(ZoneName), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		source->names[i].name =
			TextDatumGetCString(stedi_text_name(source->listing->objects[i].key));
		source->names[i].object = i;
	}
	qsort(source->names, n, sizeof(ZoneName), compare_names);
	for (int i = 1; i < n; i++)
		if (compare_names(&source->names[i - 1], &source->names[i]) == 0)
			run->complete = false;
}

/* The number of the listed object of that name; -1: there is none. */
static int
find_name(const ZoneSource *source, const char *name)
{
	ZoneName	wanted = {.name = name};
	const ZoneName *found = bsearch(&wanted, source->names, source->listing->n_objects,
									sizeof(ZoneName), compare_names);

	return found != NULL ? found->object : -1;
}

/* The readings of an object whose rows are in the table, and stay. */
static void
note_times(ZoneSource *source, const Datum *times, const bool *nulls)
{
	if (nulls[0] || nulls[1])
		return;
	source->first_ms = Min(source->first_ms, stedi_time_ms(DatumGetTimestampTz(times[0])));
	source->last_ms = Max(source->last_ms, stedi_time_ms(DatumGetTimestampTz(times[1])));
}

/* What the bookkeeping says of an object: etag, size, due, vanished, times. */
static void
compare_object(ZoneRun *run, ZoneSource *source, const char *key, Datum *values, bool *nulls)
{
	int			i = find_name(source, key);
	bool		vanished = !nulls[3] && DatumGetBool(values[3]);
	ZoneObject *object;

	source->n_booked += !vanished;
	if (i < 0)
	{
		source->vanished = lappend(source->vanished, pstrdup(key));
		source->n_vanished += !vanished;
		if (stedi_zone_keeps_vanished(run, (ZoneTableId) (source - run->source)))
			note_times(source, values + 4, nulls + 4);
		return;
	}
	object = &source->objects[i];

	/*
	 * one that is back may hold records that were not wanted when it was
	 * gone, and may have left rows behind that no object holds
	 */
	object->came_back = vanished;
	if (vanished || strcmp(TextDatumGetCString(values[0]), source->listing->objects[i].etag) != 0 ||
		DatumGetInt64(values[1]) != source->listing->objects[i].size)
	{
		object->state = ZONE_OBJECT_CHANGED;
		return;
	}
	object->state = ZONE_OBJECT_SAME;
	object->due = !nulls[2] && DatumGetInt64(values[2]) <= run->now_ms;
	note_times(source, values + 4, nulls + 4);
}

/* Compare what is listed with what is written down. */
static void
compare(ZoneRun *run, ZoneTableId id)
{
	ZoneSource *source = &run->source[id];
	ZoneQueryRows rows;
	Datum		values[7];
	bool		nulls[7];

	stedi_zone_store_query(run, &rows,
						   psprintf("SELECT key, etag, size, due, vanished, first_reading,"
									" last_reading"
									" FROM {books}.stedi_object WHERE table_name = %s" OBJECT_KNOWN,
									quote_literal_cstr(stedi_zone_tables[id].landing)), "ttllBzz");
	while (stedi_zone_query_fetch(&rows, lengthof(values), values, nulls))
	{
		MemoryContext caller = MemoryContextSwitchTo(run->cxt);

		compare_object(run, source, TextDatumGetCString(values[0]), values + 1, nulls + 1);
		MemoryContextSwitchTo(caller);
	}
	stedi_zone_query_close(&rows);
}

/* May objects of this table vanish in this run, however many? */
static void
check_vanished(ZoneRun *run, ZoneTableId id)
{
	const ZoneSource *source = &run->source[id];
	bool		customers = (id == ZONE_CUSTOMER_TRUSTED);

	if ((int64) source->n_vanished * 2 <= source->n_booked ||
		(run->all && is_redefined(run)) ||
		run->vanished == ZONE_VANISHED_REMOVE ||
		(run->vanished == ZONE_VANISHED_KEEP && !customers))
		return;

	/* vanished readings count as unreadable: withdrawals go through */
	if (!customers)
		run->reading = source->relid;
	ereport(ERROR,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("%d of %d objects of landing table \"%s\" have vanished since the last run",
				   source->n_vanished, source->n_booked, stedi_zone_tables[id].landing),
			errdetail("What was made from them would be removed."),
			errhint("See that the landing zone is whole. Say vanished => 'remove' to go on%s",
					customers ? ". Withdrawals wait until then." :
					", or vanished => 'keep' to keep their readings."));
}

void
stedi_zone_object_compare(ZoneRun *run)
{
	for (int id = 0; id < ZONE_N_TABLES; id++)
	{
		ZoneSource *source = &run->source[id];
		MemoryContext caller;

		if (!OidIsValid(source->relid))
			continue;
		caller = MemoryContextSwitchTo(run->cxt);
		run->reading = source->relid;
		source->listing = stedi_listing_copy(stedi_list_get(stedi_option_get_table(source->relid),
															GetUserId(), NULL));
		run->reading = InvalidOid;
		source->stats.objects_listed = source->listing->n_objects;
		source->stats.objects_skipped = source->listing->n_skipped;
		source->objects = palloc_extended(Max(source->listing->n_objects, 1) * sizeof(ZoneObject),
										  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		source->first_ms = PG_INT64_MAX;
		source->last_ms = PG_INT64_MIN;
		sort_names(run, source);
		MemoryContextSwitchTo(caller);
		compare(run, id);
		check_vanished(run, id);
	}
}

StediListing *
stedi_zone_object_choose(const ZoneRun *run, ZoneTableId id)
{
	const ZoneSource *source = &run->source[id];
	StediListing *chosen = palloc0(sizeof(StediListing));

	chosen->n_skipped = source->listing->n_skipped;
	for (int i = 0; i < source->listing->n_objects; i++)
	{
		const StediObject *object = &source->listing->objects[i];

		CHECK_FOR_INTERRUPTS();
		if (!source->objects[i].wanted || source->objects[i].read)
			continue;
		stedi_listing_add(chosen, object->key, object->etag, object->size, object->modified);
		chosen->objects[chosen->n_objects - 1].again =
			source->objects[i].state == ZONE_OBJECT_SAME && !source->objects[i].due;
	}
	return chosen;
}

void
stedi_zone_object_want_all(ZoneRun *run, ZoneTableId id)
{
	for (int i = 0; i < run->source[id].listing->n_objects; i++)
	{
		run->source[id].objects[i].state = ZONE_OBJECT_CHANGED;
		run->source[id].objects[i].wanted = true;
	}
}

void
stedi_zone_object_want_new(ZoneRun *run, ZoneTableId id)
{
	for (int i = 0; i < run->source[id].listing->n_objects; i++)
		if (run->source[id].objects[i].state != ZONE_OBJECT_SAME || run->source[id].objects[i].due)
			run->source[id].objects[i].wanted = true;
}

/* For bsearch by key. */
static int
compare_key(const void *key, const void *object)
{
	CHECK_FOR_INTERRUPTS();
	return strcmp(key, ((const StediObject *) object)->key);
}

ZoneObject *
stedi_zone_object_find(ZoneRun *run, ZoneTableId id, const char *key)
{
	ZoneSource *source = &run->source[id];
	const StediObject *found = bsearch(key, source->listing->objects, source->listing->n_objects,
									   sizeof(StediObject), compare_key);

	if (found == NULL)
		elog(ERROR, "an object was read that was not listed");
	return &source->objects[found - source->listing->objects];
}

/* The names of objects that had vanished, and are back. */
static List *
back_objects(const ZoneSource *source)
{
	List	   *names = NIL;

	for (int i = 0; i < source->listing->n_objects; i++)
		if (source->objects[source->names[i].object].came_back)
			names = lappend(names, unconstify(char *, source->names[i].name));
	return names;
}

void
stedi_zone_object_begin(ZoneRun *run, ZoneTableId id, const StediListing *chosen)
{
	ZoneSource *source = &run->source[id];
	List	   *names = NIL;

	if (!run->renew)
	{
		/* what has vanished, and stays, stays written down */
		if (stedi_zone_keeps_vanished(run, id))
		{
			stedi_zone_book_mark_objects(run, id, back_objects(source), false);
			stedi_zone_book_mark_objects(run, id, source->vanished, true);
		}
		stedi_zone_book_clear_objects(run, id);
	}
	for (int i = 0; run->renew && i < source->listing->n_objects; i++)
	{
		const ZoneObject *object = &source->objects[source->names[i].object];

		if (object->wanted && !object->read &&
			(object->state == ZONE_OBJECT_CHANGED || object->due))
			names = lappend(names, unconstify(char *, source->names[i].name));
	}
	stedi_zone_book_forget_objects(run, id, names);
	for (int i = 0; i < chosen->n_objects; i++)
		stedi_zone_object_find(run, id, chosen->objects[i].key)->read = true;
}

void
stedi_zone_object_write(ZoneRun *run, ZoneTableId id, const StediObject *object,
						const ZoneSketch *sketch)
{
	if (object->again)
		return;
	stedi_zone_book_put_object(run, id, object, sketch);
	stedi_zone_object_find(run, id, object->key)->written = true;
}

int
stedi_zone_object_want(ZoneRun *run, ZoneTableId id, const StediHashes *people,
					   const StediHashes *devices)
{
	ZoneSource *source = &run->source[id];
	int			width = ZONE_NAME_WIDTH(id);
	int			n_wanted = 0;
	ZoneQueryRows rows;
	Datum		values[3];
	bool		nulls[3];

	if ((people == NULL || people->n == 0) && (devices == NULL || devices->n == 0))
		return 0;
	stedi_zone_store_query(run, &rows,
						   psprintf("SELECT key, people, devices FROM {books}.stedi_object"
									" WHERE table_name = %s AND NOT vanished" OBJECT_KNOWN,
									quote_literal_cstr(stedi_zone_tables[id].landing)), "tbb");
	while (stedi_zone_query_fetch(&rows, lengthof(values), values, nulls))
	{
		int			i = find_name(source, TextDatumGetCString(values[0]));
		bytea	   *packed[2] = {NULL, NULL};

		CHECK_FOR_INTERRUPTS();
		if (i >= 0 && source->objects[i].state == ZONE_OBJECT_SAME && !source->objects[i].wanted)
		{
			for (int which = 0; which < 2; which++)
				if (!nulls[1 + which])
					packed[which] = DatumGetByteaPP(values[1 + which]);
			if ((people != NULL && stedi_hashes_meet(people, packed[0], width)) ||
				(devices != NULL && stedi_hashes_meet(devices, packed[1], width)))
			{
				source->objects[i].wanted = true;
				n_wanted++;
			}
			for (int which = 0; which < 2; which++)
				if (packed[which] != NULL &&
					(Pointer) packed[which] != DatumGetPointer(values[1 + which]))
					pfree(packed[which]);
		}
	}
	stedi_zone_query_close(&rows);
	return n_wanted;
}

void
stedi_zone_object_want_rejects(ZoneRun *run, ZoneTableId id)
{
	ZoneSource *source = &run->source[id];
	ZoneQueryRows rows;
	Datum		key;
	bool		isnull;

	stedi_zone_store_query(run, &rows,
						   psprintf("SELECT key FROM {books}.stedi_object"
									" WHERE table_name = %s AND rejects > 0" OBJECT_KNOWN,
									quote_literal_cstr(stedi_zone_tables[id].landing)), "t");
	while (stedi_zone_query_fetch(&rows, 1, &key, &isnull))
	{
		int			i = find_name(source, TextDatumGetCString(key));

		if (i >= 0)
			source->objects[i].wanted = true;
	}
	stedi_zone_query_close(&rows);
}

/* Add all the hashes of a flat value. */
static void
add_packed(StediHashes *hashes, Datum packed, int width)
{
	bytea	   *names = DatumGetByteaPP(packed);

	for (uint32 i = 0; i < stedi_hashes_n_packed(names, width); i++)
		(void) stedi_hashes_add(hashes, stedi_hashes_packed(names, width, i));
	if ((Pointer) names != DatumGetPointer(packed))
		pfree(names);
}

/* Is the object of that key one whose names are asked for? */
static bool
is_asked_for(const ZoneRun *run, ZoneTableId id, const char *key, bool vanished, ZoneNames which)
{
	const ZoneSource *source = &run->source[id];
	int			i;

	if (which == ZONE_NAMES_ALL)
		return true;
	i = find_name(source, key);
	if (i < 0 && !stedi_zone_keeps_vanished(run, id))
		return which == ZONE_NAMES_GONE;
	if (i < 0)
		return which == ZONE_NAMES_KEPT || (which == ZONE_NAMES_LEFT && !vanished);
	if (which == ZONE_NAMES_UNREADABLE)
		return source->objects[i].unreadable;
	return which == ZONE_NAMES_GONE && source->objects[i].state == ZONE_OBJECT_CHANGED;
}

bool
stedi_zone_object_names(ZoneRun *run, ZoneTableId id, ZoneNames which,
						StediHashes *people, StediHashes *devices)
{
	int			width = ZONE_NAME_WIDTH(id);
	bool		anybody = false;
	ZoneQueryRows rows;
	Datum		values[4];
	bool		nulls[4];

	stedi_zone_store_query(run, &rows,
						   psprintf("SELECT key, people, devices, vanished"
									" FROM {books}.stedi_object"
									" WHERE table_name = %s" OBJECT_KNOWN,
									quote_literal_cstr(stedi_zone_tables[id].landing)), "tbbB");
	while (stedi_zone_query_fetch(&rows, lengthof(values), values, nulls))
	{
		char	   *key = TextDatumGetCString(values[0]);

		CHECK_FOR_INTERRUPTS();
		if (is_asked_for(run, id, key, !nulls[3] && DatumGetBool(values[3]), which))
		{
			if (people != NULL && !nulls[1])
				add_packed(people, values[1], width);
			if (devices != NULL && !nulls[2])
				add_packed(devices, values[2], width);
			anybody |= (people != NULL && nulls[1]) || (devices != NULL && nulls[2]);
		}
		pfree(key);
	}
	stedi_zone_query_close(&rows);
	return anybody;
}

/*
 * Write down which objects are no more: those that were read are written down
 * as they are read.
 */
void
stedi_zone_object_settle(ZoneRun *run, ZoneTableId id)
{
	const ZoneSource *source = &run->source[id];

	if (source->listing == NULL)
		return;
	if (source->vanished != NIL && !stedi_zone_keeps_vanished(run, id))
		stedi_zone_book_forget_objects(run, id, source->vanished);
	if (stedi_zone_keeps_vanished(run, id))
		stedi_zone_book_mark_objects(run, id, source->vanished, true);
}
