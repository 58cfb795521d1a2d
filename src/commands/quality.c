/*-------------------------------------------------------------------------
 *
 * quality.c
 *		What is in the landing zone, column by column, and what is wrong there.
 *
 *	 customer_landing	 -> who is in, whose a device is (run/insiders.c)
 *	 each landing table	 -> one pass: counts, distinct values, bad times, rejects
 *
 * Counts are of all records.  Values are shown of times and measurements only:
 * the smallest and the largest of a column, of the records that consent
 * covers as the landing zone says now.  So no tables are needed, and a
 * customer who has withdrawn since they were made is out.  Names are never
 * shown, and neither is a column that the zone does not know.
 *
 * Memory is bounded: a column has a set of at most DISTINCT_MOST hashes, and
 * the hashes of records, which tell duplicates, are kept in a tuplestore.
 *
 *-------------------------------------------------------------------------
 */
#include "run/run.h"
#include "commands/commands.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"

/* The arguments. */
enum
{
	ARG_TARGET,
	ARG_LANDING,
};

/* The columns of the answer. */
enum
{
	ANSWER_TABLE,
	ANSWER_COLUMN,
	ANSWER_RECORDS,
	ANSWER_NULLS,
	ANSWER_DISTINCT,
	ANSWER_SMALLEST,
	ANSWER_LARGEST,
	ANSWER_PROBLEM,
	N_ANSWER_COLUMNS
};

PG_FUNCTION_INFO_V1(quality);

/*
 * Distinct values that are counted exactly; more are estimated, to within a
 * half of a per cent most of the time.  2 MB of memory a column.
 */
#define DISTINCT_MOST 65536

/* 2000-01-01, epoch ms.  Nothing of the zone is older than that. */
#define EARLIEST_MS INT64CONST(946684800000)
#define MS_PER_DAY INT64CONST(86400000)

typedef enum TimeTrouble
{
	TIME_FINE,
	TIME_FUTURE,
	TIME_PAST,
	TIME_OF_UNIT,				/* and those that follow: in the order of the
								 * units */
	TIME_OUT_OF_RANGE = TIME_OF_UNIT + STEDI_N_UNITS,
	N_TIME_TROUBLES
} TimeTrouble;

static const char *const time_problems[N_TIME_TROUBLES] = {
	[TIME_FUTURE] = "in the future",
	[TIME_PAST] = "before 2000",
	[TIME_OF_UNIT + STEDI_UNIT_S] = "in seconds",
	[TIME_OF_UNIT + STEDI_UNIT_MS] = "in milliseconds",
	[TIME_OF_UNIT + STEDI_UNIT_US] = "in microseconds",
	[TIME_OF_UNIT + STEDI_UNIT_NS] = "in nanoseconds",
	[TIME_OUT_OF_RANGE] = "out of range",
};

/* What is kept of each record: hashes of all of it, and of its e-mail. */
enum
{
	HASH_RECORD,
	HASH_FORM,					/* NULL, as the next: it is no e-mail */
	HASH_SKELETON,
	N_HASHES
};

#define N_REASONS (STEDI_REASON_MISSING + 1)

/* Of more values than DISTINCT_MOST, those whose hash ends in so many zeros. */
typedef struct Distinct
{
	StediHashes hashes;
	int			n_zeros;
} Distinct;

typedef struct Column
{
	const char *name;
	StediColumnRole kind;
	Oid			type;
	Oid			collation;
	FmgrInfo   *hash;			/* borrowed from the type cache */

	/* what is found */
	int64		n_nulls;
	Distinct	distinct;
	int64		n_times[N_TIME_TROUBLES];
	int64		n_rejects[N_REASONS];
	bool		covered;		/* there is a value that may be shown */
	double		smallest;		/* of times: days since 1970 */
	double		largest;
} Column;

/* The reading of one landing table. */
typedef struct Profile
{
	ZoneRun    *run;
	ZoneTableId id;
	bool		of_email;		/* who: an e-mail */
	StediTimeUnit unit;			/* of its times */
	const StediConsentSet *set; /* whose values may be shown; NULL: none */
	const StediHashes *shared;	/* devices with more than one holder; or NULL */
	Column	   *columns;		/* of each attribute; no name: it is dropped */
	int			n_columns;
	int			who;			/* numbers of columns; -1: there is none */
	int			when;

	/* what is found */
	int64		n_read;			/* records, rejects included */
	int64		n_records;		/* that can be read */
	int64		n_shared;		/* of these, of shared devices */
	int64		n_rejects[N_REASONS];	/* of records as a whole */
	Tuplestorestate *hashes;	/* of records that can be read */
	const char *hash_name;		/* their relation's */
	TupleDesc	hashes_desc;
} Profile;

/* Whose readings are covered: members of a consent set. */
static const char *const person_set =
"SELECT email AS who, stedi.epoch_ms(sharewithresearchasofdate) AS since,"
"   NULL::bigint AS owned_since, 'granted'::text AS standing FROM insider";

static const char *const device_set =
"SELECT d.serialnumber AS who, stedi.epoch_ms(i.sharewithresearchasofdate) AS since,"
"   CASE WHEN d.handed_on"
" THEN coalesce(stedi.epoch_ms(i.registrationdate), 9223372036854775807) END"
"     AS owned_since, 'granted'::text AS standing"
" FROM device d JOIN insider i ON i.email = d.holder";

/* A date of customers who are in; %s: min or max, the column, which of them. */
static const char *const date_query =
"SELECT (%1$s(%2$s) AT TIME ZONE 'UTC')::date::text FROM insider WHERE %3$s";

static const char *const duplicate_query =
"SELECT (count(*) - count(DISTINCT hash))::text FROM %s";

/* A row an expectation: how many records of the last run were not as expected. */
static const char *const expectation_query =
"SELECT table_name, NULL::text, violated, NULL::bigint, NULL::bigint, NULL::text, NULL::text,"
"   format('violates expectation \"%s\" (%s)', name, action)"
" FROM {books}.stedi_expectation ORDER BY table_name COLLATE \"C\", name COLLATE \"C\"";

static void
distinct_add(Distinct *distinct, uint64 hash)
{
	StediHashes *hashes = &distinct->hashes;

	if ((hash & ((UINT64CONST(1) << distinct->n_zeros) - 1)) != 0 ||
		!stedi_hashes_add(hashes, hash != 0 ? hash : UINT64CONST(1) << 63))
		return;
	while (hashes->n > DISTINCT_MOST)
	{
		StediHashes all = *hashes;
		MemoryContext caller = MemoryContextSwitchTo(all.cxt);
		uint64		bit = UINT64CONST(1) << distinct->n_zeros++;

		stedi_hashes_begin(hashes);
		MemoryContextSwitchTo(caller);
		for (uint32 slot = 0; slot < all.n_slots; slot++)
			if (STEDI_HASHES_AT(&all, slot) != 0 && (STEDI_HASHES_AT(&all, slot) & bit) == 0)
				(void) stedi_hashes_add(hashes, STEDI_HASHES_AT(&all, slot));
		pfree(all.slots);
	}
}

static bool
is_time(StediColumnRole kind)
{
	return kind == STEDI_COLUMN_WHEN || kind == STEDI_COLUMN_DATE || kind == STEDI_COLUMN_CONSENT;
}

/* What is wrong with epoch milliseconds that were a number of that unit? */
static TimeTrouble
judge_time(StediColumnRole kind, int64 value, StediTimeUnit unit, int64 now_ms)
{
	StediTimeUnit other;
	int64_t		latest;
	TimestampTz time;

	if ((value >= EARLIEST_MS && value <= now_ms) || (kind == STEDI_COLUMN_CONSENT && value <= 0))
		return TIME_FINE;
	if (stedi_value_other_unit(value, unit, &other, &latest))
		return TIME_OF_UNIT + other;
	if (!stedi_time_from_ms(value, &time))
		return TIME_OUT_OF_RANGE;
	return value > now_ms ? TIME_FUTURE : TIME_PAST;
}

/* Does consent cover a reading of the customer with that hash? */
static bool
is_covered(const Profile *profile, StediSlice who, uint64 hash, int64 time)
{
	uint32		place;
	bool		older;

	return stedi_consent_find(profile->set, who, &hash, &place) &&
		stedi_consent_standing(profile->set, place, time, &older) == STEDI_STANDING_GRANTED;
}

/* A value that may be shown; of times, the day. */
static void
note_value(Column *column, Datum value)
{
	double		number;

	if (column->type == FLOAT8OID)
		number = DatumGetFloat8(value);
	else if (column->type == INT4OID)
		number = DatumGetInt32(value);
	else
	{
		int64		ms = DatumGetInt64(value);

		number = (double) (ms / MS_PER_DAY - (ms % MS_PER_DAY < 0));
	}
	column->smallest = column->covered ? Min(column->smallest, number) : number;
	column->largest = column->covered ? Max(column->largest, number) : number;
	column->covered = true;
}

/* Times, of records that cannot be read, too. */
static void
note_times(Profile *profile, const Datum *values, const bool *nulls)
{
	for (int i = 0; i < profile->n_columns; i++)
	{
		Column	   *column = &profile->columns[i];

		if (is_time(column->kind) && !nulls[i])
			column->n_times[judge_time(column->kind, DatumGetInt64(values[i]),
									   profile->unit, profile->run->now_ms)]++;
	}
}

static void
note_record(Profile *profile, const Datum *values, const bool *nulls)
{
	/* there is one, and of a reading a time, or it would be a reject */
	StediSlice	who = stedi_text_slice(DatumGetTextPP(values[profile->who]));
	uint64		record_hash = stedi_consent_name_hash(profile->run->seed, who, profile->of_email);
	bool		covered = profile->set != NULL &&
	is_covered(profile, who, record_hash, DatumGetInt64(values[profile->when]));
	Datum		hashes[N_HASHES];
	bool		isnull[N_HASHES] = {false};

	isnull[HASH_FORM] = isnull[HASH_SKELETON] = !profile->of_email;
	hashes[HASH_FORM] = Int64GetDatum((int64) record_hash);
	hashes[HASH_SKELETON] = Int64GetDatum(profile->of_email ?
										  (int64) stedi_zone_alike_hash(profile->run, who) : 0);
	profile->n_shared += profile->shared != NULL && stedi_hashes_has(profile->shared, record_hash);
	for (int i = 0; i < profile->n_columns; i++)
	{
		Column	   *column = &profile->columns[i];
		uint64		value_hash = 0;

		if (column->name == NULL)
			continue;
		if (nulls[i])
			column->n_nulls++;
		else
		{
			value_hash =
				DatumGetUInt64(FunctionCall2Coll(column->hash, column->collation, values[i],
												 UInt64GetDatum(profile->run->seed)));
			distinct_add(&column->distinct, value_hash);
			if (covered &&
				(column->kind == STEDI_COLUMN_WHEN || column->kind == STEDI_COLUMN_MEASURE))
				note_value(column, values[i]);
		}
		if (column->kind != STEDI_COLUMN_OTHER && column->kind != STEDI_COLUMN_WHO)
			record_hash = hash_combine64(record_hash, value_hash);
	}
	profile->n_records++;
	hashes[HASH_RECORD] = Int64GetDatum((int64) record_hash);
	tuplestore_putvalues(profile->hashes, profile->hashes_desc, hashes, isnull);
}

static void
note_reject(Profile *profile, const StediReject *reject)
{
	for (int i = 0; reject->column != NULL && i < profile->n_columns; i++)
		if (profile->columns[i].name != NULL &&
			strcmp(profile->columns[i].name, reject->column) == 0)
		{
			profile->columns[i].n_rejects[reject->reason]++;
			return;
		}
	profile->n_rejects[reject->reason]++;
}

/* Find what the columns are. */
static void
begin_profile(Profile *profile, TupleDesc landing)
{
	profile->n_columns = landing->natts;
	profile->columns = palloc0(landing->natts * sizeof(Column));
	profile->who = profile->when = -1;
	for (int i = 0; i < landing->natts; i++)
	{
		Column	   *column = &profile->columns[i];
		Form_pg_attribute attr = TupleDescAttr(landing, i);
		TypeCacheEntry *type;
		const StediLandingColumn *known;

		if (attr->attisdropped)
			continue;
		column->name = NameStr(attr->attname);
		column->type = attr->atttypid;
		column->collation = attr->attcollation;
		type = lookup_type_cache(attr->atttypid, TYPECACHE_HASH_EXTENDED_PROC_FINFO);
		column->hash = &type->hash_extended_proc_finfo;
		stedi_hashes_begin(&column->distinct.hashes);
		known = stedi_schema_column(stedi_schema_find(stedi_zone_tables[profile->id].landing),
									column->name);
		if (known != NULL)
			column->kind = known->role;
		if (column->kind == STEDI_COLUMN_WHO)
			profile->who = i;
		if (column->kind == STEDI_COLUMN_WHEN)
			profile->when = i;
	}
	profile->hashes = tuplestore_begin_heap(false, false, ZONE_KEPT_MEMORY);
	profile->hashes_desc = CreateTemplateTupleDesc(N_HASHES);
	TupleDescInitEntry(profile->hashes_desc, 1, "hash", INT8OID, -1, 0);
	TupleDescInitEntry(profile->hashes_desc, 2, "form", INT8OID, -1, 0);
	TupleDescInitEntry(profile->hashes_desc, 3, "skeleton", INT8OID, -1, 0);
}

/* Read the landing table. */
static void
read_records(Profile *profile, Relation relation)
{
	TupleDesc	landing = RelationGetDescr(relation);
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "stedi profiled record",
												  ALLOCSET_DEFAULT_SIZES);
	Datum	   *values = palloc(landing->natts * sizeof(Datum));
	bool	   *nulls = palloc(landing->natts * sizeof(bool));
	bool	   *wanted = palloc(landing->natts * sizeof(bool));
	StediScan  *scan;
	StediScanResult result;

	memset(wanted, true, landing->natts * sizeof(bool));
	profile->unit = stedi_option_get_table(RelationGetRelid(relation))->clock.unit;
	scan = stedi_scan_open(RelationGetRelid(relation), GetUserId(), landing, wanted,
						   STEDI_SCAN_JUDGE | STEDI_SCAN_GIVE_REJECTS);
	while ((result = stedi_scan_next(scan, values, nulls)) != STEDI_SCAN_END)
	{
		MemoryContext caller = MemoryContextSwitchTo(row_cxt);

		note_times(profile, values, nulls);
		if (result == STEDI_SCAN_REJECT)
			note_reject(profile, stedi_scan_reject(scan));
		else
			note_record(profile, values, nulls);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(row_cxt);
	}
	profile->n_read = (int64) stedi_scan_stats(scan)->records;
	stedi_scan_close(scan);
	MemoryContextDelete(row_cxt);
}

/* What note_value has noted, for people to read: of fractions, six digits. */
static char *
show_value(const Column *column, double value)
{
	if (is_time(column->kind))
		return OidOutputFunctionCall(F_DATE_OUT,
									 DateADTGetDatum(stedi_time_date((int32) value)));
	/* that of -0 is 0 */
	return psprintf(column->type == FLOAT8OID ? "%.6g" : "%.0f", value + 0.0);
}

/* The earliest (min) or latest (max) date of customers who are in. */
static char *
find_date(const ZoneSession *session, const Column *column, const char *which)
{
	return stedi_zone_session_text(session,
								   psprintf(date_query, which, column->name,
											column->kind == STEDI_COLUMN_CONSENT ?
											psprintf("%s > 'epoch'", column->name) : "true"));
}

static void
set_text(Datum *values, bool *nulls, int i, const char *text)
{
	nulls[i] = text == NULL;
	if (text != NULL)
		values[i] = CStringGetTextDatum(text);
}

static void
set_count(Datum *values, bool *nulls, int i, int64 n)
{
	nulls[i] = false;
	values[i] = Int64GetDatum(n);
}

/*
 * Answer with a column's row, or the table's where column is NULL: what is
 * there, or how many records have that problem.
 */
static void
put_row(const ZoneSession *session, const Profile *profile, const Column *column, int64 n_records,
		const char *problem)
{
	Datum		values[N_ANSWER_COLUMNS];
	bool		nulls[N_ANSWER_COLUMNS];

	memset(nulls, true, sizeof(nulls));
	set_text(values, nulls, ANSWER_TABLE, stedi_zone_tables[profile->id].landing);
	set_text(values, nulls, ANSWER_COLUMN, column != NULL ? column->name : NULL);
	set_count(values, nulls, ANSWER_RECORDS, n_records);
	set_text(values, nulls, ANSWER_PROBLEM, problem);
	if (column != NULL && problem == NULL)
	{
		set_count(values, nulls, ANSWER_NULLS, column->n_nulls);
		set_count(values, nulls, ANSWER_DISTINCT,
				  (int64) column->distinct.hashes.n << column->distinct.n_zeros);
		if (column->covered)
		{
			set_text(values, nulls, ANSWER_SMALLEST, show_value(column, column->smallest));
			set_text(values, nulls, ANSWER_LARGEST, show_value(column, column->largest));
		}
		else if (column->kind == STEDI_COLUMN_DATE || column->kind == STEDI_COLUMN_CONSENT)
		{
			set_text(values, nulls, ANSWER_SMALLEST, find_date(session, column, "min"));
			set_text(values, nulls, ANSWER_LARGEST, find_date(session, column, "max"));
		}
	}
	tuplestore_putvalues(session->answer->setResult, session->answer->setDesc, values, nulls);
}

/* Problems, if there are any: rejects, by their reason. */
static void
put_rejects(const ZoneSession *session, const Profile *profile, const Column *column,
			const int64 *n_rejects)
{
	for (int reason = 0; reason < N_REASONS; reason++)
		if (n_rejects[reason] > 0)
			put_row(session, profile, column, n_rejects[reason],
					psprintf("rejected: %s", stedi_reason_text(reason)));
}

/* Answer with the table, then its columns. */
static void
put_profile(const ZoneSession *session, const Profile *profile)
{
	const char *query = psprintf(duplicate_query, profile->hash_name);
	int64		n_duplicates = pg_strtoint64(stedi_zone_session_text(session, query));
	int64		n_alike = 0;

	query = psprintf(stedi_zone_alike_query, profile->hash_name);
	if (profile->of_email)
		n_alike = pg_strtoint64(stedi_zone_session_text(session, query));
	put_row(session, profile, NULL, profile->n_read, NULL);
	if (n_duplicates > 0)
		put_row(session, profile, NULL, n_duplicates, "duplicate");
	put_rejects(session, profile, NULL, profile->n_rejects);
	for (int i = 0; i < profile->n_columns; i++)
	{
		const Column *column = &profile->columns[i];

		if (column->name == NULL)
			continue;
		put_row(session, profile, column, profile->n_records, NULL);
		if (column->kind == STEDI_COLUMN_WHO && n_alike > 0)
			put_row(session, profile, column, n_alike, "looks like another e-mail");
		for (int trouble = TIME_FINE + 1; trouble < N_TIME_TROUBLES; trouble++)
			if (column->n_times[trouble] > 0)
				put_row(session, profile, column, column->n_times[trouble],
						time_problems[trouble]);
		put_rejects(session, profile, column, column->n_rejects);
	}
}

/* Look at the landing table that feeds a zone table; see Profile.  n_shared of it. */
static int64
look_at(const ZoneSession *session, ZoneTableId id, bool of_email, const StediConsentSet *set,
		const StediHashes *shared)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "stedi profile",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(cxt);
	ZoneRun    *run = session->run;
	bool		customers = (id == ZONE_CUSTOMER_TRUSTED);
	Profile		profile = {.run = run,.id = id,.of_email = of_email,.set = set,.shared = shared,
	.hash_name = customers ? "customer_hash" : "record_hash"};
	Relation	relation = table_open(run->source[id].relid, AccessShareLock);

	begin_profile(&profile, RelationGetDescr(relation));
	read_records(&profile, relation);
	stedi_zone_query_register(run, profile.hash_name, profile.hashes, profile.hashes_desc);
	put_profile(session, &profile);
	table_close(relation, NoLock);
	MemoryContextSwitchTo(caller);

	/* e-mails of readings are held against those of customers */
	if (customers)
		return 0;
	stedi_zone_query_drop(run);
	MemoryContextDelete(cxt);
	return profile.n_shared;
}

/*
 * quality(target regnamespace, landing regnamespace)
 *		-> (table_name text, column_name text, records bigint, nulls bigint,
 *			n_distinct bigint, smallest text, largest text, problem text)
 */
Datum
quality(PG_FUNCTION_ARGS)
{
	static const bool all[ZONE_N_TABLES] = {true, true, true, true, true};
	ZoneSession session;
	ZoneRun    *run;

	stedi_zone_session_need_argument(fcinfo, ARG_TARGET, "target");
	stedi_zone_session_begin(&session, fcinfo, PG_GETARG_OID(ARG_TARGET), ARG_LANDING, all);
	run = session.run;
	if (!pg_strong_random(&run->seed, sizeof(run->seed)))
		ereport(ERROR,
				errcode(ERRCODE_INTERNAL_ERROR),
				errmsg("could not generate random values"));

	/* before the first run, the stricter rule */
	if (stedi_zone_session_has_book(&session, ZONE_BOOK_RULE))
		stedi_zone_session_need_rule(&session);
	else
		run->since = true;
	stedi_zone_audit_people(&session);
	(void) look_at(&session, ZONE_CUSTOMER_TRUSTED, true, NULL, NULL);
	(void) look_at(&session, ZONE_ACCELEROMETER_TRUSTED, true,
				   stedi_zone_query_set(run, person_set, true), NULL);
	stedi_zone_share_answer(&session,
							look_at(&session, ZONE_STEP_TRAINER_CURATED, false,
									stedi_zone_query_set(run, device_set, false),
									stedi_zone_share_keep(run)));
	if (stedi_zone_session_has_book(&session, ZONE_BOOK_EXPECTATION))
		stedi_zone_session_answer(&session, expectation_query);
	stedi_zone_session_end(&session);
	return (Datum) 0;
}
