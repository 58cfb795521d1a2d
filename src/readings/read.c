/*-------------------------------------------------------------------------
 *
 * read.c
 *		A landing table to the spilled readings that consent covers.
 *
 * The scan judges each record and checks consent.  What it returns is spilled
 * to the partition of the person whose reading it is.  Step readings name a
 * device: they go where its holder's movements are.  An expectation that drops
 * readings is evaluated on those that consent covers, and on no others.
 *
 *-------------------------------------------------------------------------
 */
#include "readings/readings.h"

#include "access/table.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* The partition of a member. */
static inline int
partition_of(uint32 member, uint32 n_members, int n_partitions)
{
	return (int) ((uint64) member * n_partitions / n_members);
}

/*
 * A column of the landing table, from 0; an error when it is not there as it
 * was when the run began: code of the tables' owner can have changed it since.
 */
static int
find_column(Oid landing, ZoneStream stream, const char *name)
{
	const StediLandingTable *table = &stedi_schema_landing[stream == ZONE_ACCELEROMETER ?
														   STEDI_LANDING_ACCELEROMETER :
														   STEDI_LANDING_STEP_TRAINER];

	return stedi_option_find_column(landing, name, stedi_schema_column(table, name)->type) - 1;
}

void
stedi_zone_read_open(ZoneReader *reader, const ZoneProcess *process, ZoneStream stream,
					 Oid landing)
{
	TupleDesc	tupdesc;
	bool	   *wanted;

	memset(reader, 0, sizeof(*reader));
	reader->relation = table_open(landing, AccessShareLock);
	tupdesc = RelationGetDescr(reader->relation);
	wanted = palloc(tupdesc->natts * sizeof(bool));
	memset(wanted, true, tupdesc->natts * sizeof(bool));
	reader->scan = stedi_scan_open(landing, GetUserId(), tupdesc, wanted, STEDI_SCAN_JUDGE);
	reader->time_attno = find_column(landing, stream, stedi_zone_streams[stream].time);
	for (int i = 0; i < stedi_zone_streams[stream].n_values; i++)
		reader->value_attno[i] = find_column(landing, stream, stedi_zone_streams[stream].values[i]);
	reader->test.kind = STEDI_TEST_CONSENT;
	reader->test.attno = find_column(landing, stream, stedi_zone_streams[stream].who);
	reader->test.time_attno = reader->time_attno;
	reader->test.set = process->pieces[ZONE_PIECE_SET];
	stedi_scan_set_tests(reader->scan, &reader->test, 1);
	pfree(wanted);
}

/* The bits of a value, by which equal ones are found. */
static inline int64
value_bits(ZoneStream stream, Datum value)
{
	if (stream == ZONE_STEP_TRAINER)
		return DatumGetInt32(value);

	/* -0 is 0 */
	return DatumGetInt64(Float8GetDatum(DatumGetFloat8(value) + 0.0));
}

/*
 * Does the reading, as a row of its table, meet the expectations that drop
 * rows?
 */
static bool
is_expected(ZoneSieve *sieve, const ZoneReader *reader, ZoneStream stream,
			const Datum *values, const bool *nulls)
{
	bool		movement = (stream == ZONE_ACCELEROMETER);
	Datum		key = stedi_zone_member_key(reader->test.set,
											stedi_consent_number(reader->test.set,
																 reader->test.place));
	Datum		row[5];
	bool		row_nulls[5] = {false};
	TimestampTz time = 0;
	bool		result;

	(void) stedi_time_from_ms(DatumGetInt64(values[reader->time_attno]), &time);
	row[movement ? 0 : 1] = key;
	row[movement ? 1 : 0] = TimestampTzGetDatum(time);
	for (int i = 0; i < stedi_zone_streams[stream].n_values; i++)
	{
		int			attno = reader->value_attno[i];

		row_nulls[2 + i] = nulls[attno];
		row[2 + i] = nulls[attno] ? (Datum) 0 : Int64GetDatum(value_bits(stream, values[attno]));
	}
	result = stedi_zone_sieve_passes(sieve, row, row_nulls);
	pfree(DatumGetPointer(key));
	return result;
}

/* Of a reading that is passed over: is it older than the consent? */
static bool
is_older(const ZoneReader *reader)
{
	bool		older;

	(void) stedi_consent_standing(reader->test.set, reader->test.place, reader->test.time, &older);
	return older;
}

void
stedi_zone_read_stream(ZoneReader *reader, ZoneProcess *process)
{
	ZoneLoadShared *shared = process->pieces[ZONE_PIECE_SHARED];
	ZoneStream	stream = shared->stream;
	const uint32 *holder = process->pieces[ZONE_PIECE_HOLDER];
	bool	   *seen = process->pieces[ZONE_PIECE_SEEN];
	const bool *anew = process->pieces[ZONE_PIECE_ANEW];
	ZoneLoadProcess *mine = &shared->processes[process->number];
	int			n_values = stedi_zone_streams[stream].n_values;
	int			natts = RelationGetDescr(reader->relation)->natts;
	Datum	   *values = palloc(natts * sizeof(Datum));
	bool	   *nulls = palloc(natts * sizeof(bool));
	ZoneSpill  *spill = stedi_zone_spill_create(&shared->fileset, stedi_zone_streams[stream].name,
												process->number, shared->n_partitions,
												ZONE_READING_SIZE(n_values));
	ZoneNamesFile *names = stedi_zone_names_create(&shared->fileset, stream, process->number);
	ZoneSieve  *sieve = stedi_zone_sieve_open(process->pieces[ZONE_PIECE_EXPECTATIONS],
											  stedi_zone_load_tables[stream],
											  ZONE_ACTIONS(ZONE_ACTION_DROP), process->number);

	stedi_scan_set_sketch(reader->scan, stedi_zone_names_add, names);
	while (stedi_scan_next(reader->scan, values, nulls) == STEDI_SCAN_ROW)
	{
		uint32		member = stedi_consent_number(reader->test.set, reader->test.place);
		ZoneReading *reading;

		if (holder != NULL)
			member = holder[member];
		if (member >= shared->n_members)
			elog(ERROR, "a device that is granted is nobody's");
		if (anew != NULL && !anew[member] && stedi_scan_place(reader->scan)->object->again)
		{
			mine->n_unchanged++;
			mine->n_older += is_older(reader);
			continue;
		}
		if (sieve != NULL && !is_expected(sieve, reader, stream, values, nulls))
		{
			mine->n_unexpected[stream]++;	/* its table has its number */
			mine->n_older += is_older(reader);
			continue;
		}
		if (seen != NULL)
			seen[member] = true;
		reading = stedi_zone_spill_add(spill, partition_of(member, shared->n_members,
														   shared->n_partitions));
		reading->member = member;
		reading->nulls = 0;
		if (!stedi_time_from_ms(DatumGetInt64(values[reader->time_attno]), &reading->time))
			elog(ERROR, "a reading was not judged");
		for (int i = 0; i < n_values; i++)
		{
			int			attno = reader->value_attno[i];

			reading->nulls |= (uint32) nulls[attno] << i;
			reading->values[i] = nulls[attno] ? 0 : value_bits(stream, values[attno]);
		}
	}
	mine->n_chunks = stedi_zone_spill_finish(spill);
	stedi_zone_names_finish(names);
	stedi_zone_sieve_close(sieve);
}

void
stedi_zone_read_close(ZoneReader *reader)
{
	stedi_scan_close(reader->scan);
	table_close(reader->relation, NoLock);
}
