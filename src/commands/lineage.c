/*-------------------------------------------------------------------------
 *
 * lineage.c
 *		The objects and records that a zone table's rows came from.
 *
 * Nothing is stored for it: the sources of a row are the landing records that
 * say what it says.  So it works for rows of any age, and a row that no record
 * accounts for has no source.
 *
 *-------------------------------------------------------------------------
 */
#include "run/run.h"

#include "catalog/pg_class.h"
#include "storage/itemptr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* The arguments; of the form for one row, of the one for all rows. */
enum
{
	ARG_TABLE,
	ARG_PLACE,
	ARG_ROW_LANDING,
	ARG_LANDING = ARG_PLACE,
};

/*
 * How records are compared with rows. %s in the record query is what else to
 * know of a record; in the others, the table.
 */
typedef struct Trail
{
	ZoneTableId source;			/* the table that the landing table feeds */
	const char *record_query;	/* what each record says, as a row would */
	const char *row_query;		/* the rows; n equal ones are one */
	const char *condition;		/* of a record r and a row t */
	const char *key_query;		/* whose records a row's are; NULL: all
								 * people's */
	const char *time_query;		/* and of when; NULL: of any time */
} Trail;

/* Two comparisons: the one can be hashed, the other takes NULL for NULL. */
#define SAME(column) \
	" AND coalesce(r." column ", 0) = coalesce(t." column ", 0)" \
	" AND (r." column " IS NULL) = (t." column " IS NULL)"

/* Of a record r and a row t, both with "at". */
#define SAME_MOVEMENT "r.at = t.at" SAME("x") SAME("y") SAME("z")

static const Trail customer_trail = {
	ZONE_CUSTOMER_TRUSTED,
	"SELECT %s, email, customername, phone, stedi.birthday(birthday) AS birthday, serialnumber,"
	"   stedi.epoch_ms(registrationdate) AS registrationdate,"
	"   stedi.epoch_ms(lastupdatedate) AS lastupdatedate,"
	"   stedi.epoch_ms(sharewithresearchasofdate) AS sharewithresearchasofdate,"
	"   stedi.epoch_ms(sharewithpublicasofdate) AS sharewithpublicasofdate,"
	"   stedi.epoch_ms(sharewithfriendsasofdate) AS sharewithfriendsasofdate"
	" FROM record",
	"SELECT *, 1 AS n FROM %s",
	/* hashed by the e-mail, which few records share */
	"r.email = t.email COLLATE \"C\""
	" AND r.customername IS NOT DISTINCT FROM t.customername COLLATE \"C\""
	" AND r.phone IS NOT DISTINCT FROM t.phone COLLATE \"C\""
	" AND r.birthday IS NOT DISTINCT FROM t.birthday"
	" AND r.serialnumber IS NOT DISTINCT FROM t.serialnumber COLLATE \"C\""
	" AND r.registrationdate IS NOT DISTINCT FROM t.registrationdate"
	" AND r.lastupdatedate IS NOT DISTINCT FROM t.lastupdatedate"
	" AND r.sharewithresearchasofdate IS NOT DISTINCT FROM t.sharewithresearchasofdate"
	" AND r.sharewithpublicasofdate IS NOT DISTINCT FROM t.sharewithpublicasofdate"
	" AND r.sharewithfriendsasofdate IS NOT DISTINCT FROM t.sharewithfriendsasofdate",
	"SELECT email FROM %s",
	NULL,
};

static const Trail movement_trail = {
	ZONE_ACCELEROMETER_TRUSTED,
	"SELECT %s, email, stedi.epoch_ms(\"timestamp\") AS at, x, y, z FROM record",
	"SELECT email COLLATE \"C\" AS email, \"timestamp\" AS at, x, y, z, count(*) AS n"
	" FROM %s GROUP BY 1, 2, 3, 4, 5",
	"r.email = t.email AND " SAME_MOVEMENT,
	"SELECT email FROM %s",
	NULL,
};

/* Of pairs, too. */
static const Trail step_trail = {
	ZONE_STEP_TRAINER_CURATED,
	"SELECT %s, serialnumber, stedi.epoch_ms(sensorreadingtime) AS at, distancefromobject"
	" FROM record",
	"SELECT serialnumber COLLATE \"C\" AS serialnumber, sensorreadingtime AS at,"
	"   distancefromobject, count(*) AS n"
	" FROM %s GROUP BY 1, 2, 3",
	"r.serialnumber = t.serialnumber AND r.at = t.at" SAME("distancefromobject"),
	"SELECT serialnumber FROM %s",
	NULL,
};

/* Movements of pairs, of the holder of the row's device. */
static const Trail holder_trail = {
	ZONE_ACCELEROMETER_TRUSTED,
	"SELECT %s, c.serialnumber, stedi.epoch_ms(\"timestamp\") AS at, x, y, z FROM record m"
	" JOIN (SELECT DISTINCT email COLLATE \"C\" AS email,"
	" serialnumber COLLATE \"C\" AS serialnumber"
	"   FROM {customer_curated}) c ON c.email = m.email",
	"SELECT serialnumber COLLATE \"C\" AS serialnumber, sensorreadingtime AS at, x, y, z,"
	"   count(*) AS n"
	" FROM %s GROUP BY 1, 2, 3, 4, 5",
	"r.serialnumber = t.serialnumber AND " SAME_MOVEMENT,
	"SELECT c.email FROM (SELECT serialnumber COLLATE \"C\" AS serialnumber FROM %s) t"
	" JOIN {customer_curated} c ON c.serialnumber = t.serialnumber",
	NULL,
};

/* Movements of pairs, of all people, at the row's time. */
static const Trail anybody_trail = {
	ZONE_ACCELEROMETER_TRUSTED,
	"SELECT %s, at, x, y, z FROM"
	" (SELECT *, stedi.epoch_ms(\"timestamp\") AS at FROM record) r"
	" WHERE EXISTS (SELECT FROM (SELECT *, \"timestamp\" AS at FROM {accelerometer_trusted}) t"
	"   WHERE r.email = t.email COLLATE \"C\" AND " SAME_MOVEMENT ")",
	"SELECT sensorreadingtime AS at, x, y, z, count(*) AS n FROM %s GROUP BY 1, 2, 3, 4",
	SAME_MOVEMENT,
	NULL,
	"SELECT stedi.epoch_ms(at)::text FROM (SELECT sensorreadingtime AS at FROM %s) t"
	" WHERE isfinite(at)",
};

/* How many rows an object's records are; of equal records, it has one. */
static const char *const count_query =
"SELECT o.key, o.etag, c.n"
" FROM (SELECT r.object, sum(t.n)::bigint AS n FROM (%s) r JOIN (%s) t ON %s GROUP BY r.object) c"
" JOIN record_object o ON o.object = c.object";

static const char *const place_query =
"SELECT o.key, o.etag, r.line, r.byte_offset, r.length"
" FROM (%s) r JOIN (%s) t ON %s JOIN record_object o ON o.object = r.object";

PG_FUNCTION_INFO_V1(lineage);
PG_FUNCTION_INFO_V1(lineage_of_name);
PG_FUNCTION_INFO_V1(lineage_of_row);

/* Which of the five tables is it? */
static ZoneTableId
find_table(Oid relid)
{
	const char *name = get_rel_name(relid);

	if (name == NULL)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_TABLE),
				errmsg("relation with OID %u does not exist", relid));
	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (strcmp(stedi_zone_tables[id].name, name) == 0)
			return id;
	ereport(ERROR,
			errcode(ERRCODE_WRONG_OBJECT_TYPE),
			errmsg("\"%s\" is none of the five tables of stedi.materialize", name));
}

/* Begin a look at the table's schema; which of the five it is. */
static ZoneTableId
begin_lineage(ZoneSession *session, FunctionCallInfo fcinfo, int landing_arg)
{
	bool		wanted[ZONE_N_TABLES] = {false};
	ZoneTableId id;
	Oid			relid;

	stedi_zone_session_need_argument(fcinfo, ARG_TABLE, "zone_table");
	relid = PG_GETARG_OID(ARG_TABLE);
	id = find_table(relid);
	wanted[id] = true;
	if (id == ZONE_MACHINE_LEARNING_CURATED)
		wanted[ZONE_ACCELEROMETER_TRUSTED] = wanted[ZONE_STEP_TRAINER_CURATED] = true;
	stedi_zone_session_begin(session, fcinfo, get_rel_namespace(relid), landing_arg, wanted);
	if (id == ZONE_MACHINE_LEARNING_CURATED)
	{
		stedi_zone_session_need_rule(session);
		stedi_zone_session_need_table(session, ZONE_ACCELEROMETER_TRUSTED);
		stedi_zone_session_need_table(session, ZONE_CUSTOMER_CURATED);
	}
	return id;
}

/* Follow a trail from all rows. */
static void
follow(const ZoneSession *session, const Trail *trail, const char *table)
{
	ZoneRecordWish wish = {0};

	stedi_zone_record_keep(session->run, "record", trail->source, &wish);
	stedi_zone_session_answer(session, psprintf(count_query,
												psprintf(trail->record_query, "DISTINCT object"),
												psprintf(trail->row_query, table),
												trail->condition));
	stedi_zone_query_forget(session->run);
}

/* Follow a trail from one row; table tells which. */
static void
follow_row(const ZoneSession *session, const Trail *trail, const char *table)
{
	ZoneRecordWish wish = {.details = true};
	int64		time;

	if (trail->key_query != NULL)
		wish.keys = stedi_zone_record_keys(session->run, psprintf(trail->key_query, table));
	if (trail->time_query != NULL)
	{
		char	   *text = stedi_zone_session_text(session, psprintf(trail->time_query, table));

		if (text == NULL)
			return;
		time = pg_strtoint64(text);
		wish.time = &time;
	}
	stedi_zone_record_keep(session->run, "record", trail->source, &wish);
	stedi_zone_session_answer(session, psprintf(place_query,
												psprintf(trail->record_query,
														 "object, line, byte_offset, length"),
												psprintf(trail->row_query, table),
												trail->condition));
	stedi_zone_query_forget(session->run);
}

/* Follow all trails of a table. */
static void
follow_table(const ZoneSession *session, ZoneTableId id, const char *table,
			 void (*follow_one) (const ZoneSession *, const Trail *, const char *))
{
	switch (id)
	{
		case ZONE_ACCELEROMETER_TRUSTED:
			follow_one(session, &movement_trail, table);
			break;
		case ZONE_STEP_TRAINER_CURATED:
			follow_one(session, &step_trail, table);
			break;
		case ZONE_MACHINE_LEARNING_CURATED:
			follow_one(session, &step_trail, table);
			follow_one(session, session->run->match_time ? &anybody_trail : &holder_trail, table);
			break;
		default:
			follow_one(session, &customer_trail, table);
	}
}

/*
 * lineage(zone_table regclass, landing regnamespace)
 *		-> (object text, etag text, rows bigint)
 */
Datum
lineage(PG_FUNCTION_ARGS)
{
	ZoneSession session;
	ZoneTableId id = begin_lineage(&session, fcinfo, ARG_LANDING);

	follow_table(&session, id, psprintf("{%s}", stedi_zone_tables[id].name), follow);
	stedi_zone_session_end(&session);
	return (Datum) 0;
}

/*
 * lineage(zone_table regclass, landing text): the same, with a schema's name.
 * Of two literals, PostgreSQL takes the second for text where a function of the
 * name takes text.
 */
Datum
lineage_of_name(PG_FUNCTION_ARGS)
{
	if (!PG_ARGISNULL(ARG_LANDING))
		fcinfo->args[ARG_LANDING].value =
			DirectFunctionCall1(regnamespacein,
								CStringGetDatum(text_to_cstring(PG_GETARG_TEXT_PP(ARG_LANDING))));
	return lineage(fcinfo);
}

/*
 * lineage_of_row(zone_table regclass, place tid, landing regnamespace)
 *		-> (object text, etag text, line bigint, byte_offset bigint, length bigint)
 */
Datum
lineage_of_row(PG_FUNCTION_ARGS)
{
	ZoneSession session;
	ZoneTableId id = begin_lineage(&session, fcinfo, ARG_ROW_LANDING);
	ItemPointer place;

	stedi_zone_session_need_argument(fcinfo, ARG_PLACE, "place");
	place = (ItemPointer) PG_GETARG_POINTER(ARG_PLACE);
	if (get_rel_relkind(session.run->relid[id]) == RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("cannot tell a row of partitioned table \"%s\" by its ctid",
					   stedi_zone_tables[id].name),
				errdetail("Rows of several partitions have the same one."));
	follow_table(&session, id,
				 psprintf("ONLY {%s} WHERE ctid = '(%u,%u)'::tid", stedi_zone_tables[id].name,
						  ItemPointerGetBlockNumberNoCheck(place),
						  ItemPointerGetOffsetNumberNoCheck(place)),
				 follow_row);
	stedi_zone_session_end(&session);
	return (Datum) 0;
}
