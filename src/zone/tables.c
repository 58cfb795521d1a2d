/*-------------------------------------------------------------------------
 *
 * tables.c
 *		The tables of a target, and their columns: data.
 *
 * The five tables, the tables of the bookkeeping beside them, and how the
 * landing tables of readings feed the five.  Files that make, check or read a
 * table have its names from here.
 *
 *-------------------------------------------------------------------------
 */
#include "zone/tables.h"

#define CUSTOMER_COLUMNS \
	"customername text, email text, phone text, birthday date, serialnumber text, " \
	"registrationdate timestamp with time zone, lastupdatedate timestamp with time zone, " \
	"sharewithresearchasofdate timestamp with time zone, " \
	"sharewithpublicasofdate timestamp with time zone, " \
	"sharewithfriendsasofdate timestamp with time zone"

const ZoneTable stedi_zone_tables[ZONE_N_TABLES] = {
	{
		"customer_trusted", CUSTOMER_COLUMNS, ZONE_CUSTOMER_COLUMN_NAMES,
		"customer_landing", "materialize_customer_trusted", NULL, "email", NULL,
		"Customers whose newest record consents to research; "
		"one row a customer (e-mail in lower case)"
	},
	{
		"accelerometer_trusted",
		"email text, \"timestamp\" timestamp with time zone, x double precision,"
		" y double precision, z double precision",
		"email, \"timestamp\", x, y, z",
		"accelerometer_landing", "materialize_accelerometer_trusted", "email", "email",
		"\"timestamp\"",
		"Accelerometer readings of the customers in customer_trusted"
	},
	{
		"customer_curated", CUSTOMER_COLUMNS, ZONE_CUSTOMER_COLUMN_NAMES,
		NULL, "materialize_customer_curated", NULL, "email", NULL,
		"Customers of customer_trusted who have readings in accelerometer_trusted"
	},
	{
		"step_trainer_curated",
		"sensorreadingtime timestamp with time zone, serialnumber text, distancefromobject integer",
		"sensorreadingtime, serialnumber, distancefromobject",
		"step_trainer_landing", "materialize_step_trainer_curated", "serialnumber", "serialnumber",
		"sensorreadingtime",
		"Step trainer readings of the devices of customer_curated; "
		"serialnumber is a pseudonym, not anonymity"
	},
	{
		"machine_learning_curated",
		"serialnumber text, sensorreadingtime timestamp with time zone, distancefromobject integer,"
		" x double precision, y double precision, z double precision",
		"serialnumber, sensorreadingtime, distancefromobject, x, y, z",
		NULL, "materialize_machine_learning_curated", "serialnumber", "serialnumber",
		"sensorreadingtime",
		"Each step reading with each accelerometer reading of the same customer at the same time: "
		"a row is a pair; serialnumber is a pseudonym, not anonymity"
	},
};

/* What psql's \\d+ says of the columns, which mean the same wherever they are. */
static const struct
{
	const char *column;
	const char *comment;
}			column_comments[] =

{
	{"customername", "name as landed; personal"},
	{"email", "e-mail in its normal form, as stedi.normalize_email gives it: who it is; personal"},
	{"phone", "telephone as landed; personal"},
	{"birthday", "date of birth; NULL where it landed as no date; personal"},
	{"serialnumber", "the step trainer: a pseudonym of its holder"},
	{"registrationdate", "when the customer registered"},
	{"lastupdatedate", "when the record was written that decides"},
	{"sharewithresearchasofdate", "since when research may use the readings"},
	{"sharewithpublicasofdate", "since when the public may; NULL: never"},
	{"sharewithfriendsasofdate", "since when friends may; NULL: never"},
	{"timestamp", "when the phone measured it"},
	{"x", "acceleration along x, as landed"},
	{"y", "acceleration along y, as landed"},
	{"z", "acceleration along z, as landed"},
	{"sensorreadingtime", "when the step trainer measured it"},
	{"distancefromobject", "distance that the step trainer measured, as landed"},
};

const char *
stedi_zone_column_comment(const char *column)
{
	for (int i = 0; i < lengthof(column_comments); i++)
		if (strcmp(column, column_comments[i].column) == 0)
			return column_comments[i].comment;
	return NULL;
}

/* In the order of ZoneBook. */
const ZoneBookTable stedi_zone_books[ZONE_N_BOOKS] = {
	{
		.name = "stedi_rule",
		.columns = "consent text, match text, since timestamp with time zone",
		.added = "landing text",
		.valid = "consent IN ('granted', 'since_consent') AND match IN ('customer', 'time')",
		.comment = "The rules that the five tables follow, and the schema of their landing tables. "
		"Change them with stedi.materialize(..., consent => ...), not here.",
	},
	{
		.name = "stedi_run",
		.columns = "run bigint, started timestamp with time zone,"
		" finished timestamp with time zone,"
		" table_name text, mode text, consent text, objects_listed bigint,"
		" objects_read bigint, bytes_read bigint, records_read bigint, superseded bigint,"
		" no_consent bigint, before_consent bigint, unknown_owner bigint, ambiguous bigint,"
		" forgotten bigint, duplicates bigint, unchanged bigint, kept bigint, rejected bigint,"
		" rows_in bigint, rows_out bigint, rows bigint, head text",
		.added = "unexpected bigint, without_readings bigint",
		.valid = "run IS NOT NULL AND table_name IS NOT NULL",
		.comment = "What each run of stedi.materialize reported, one row a table.",
	},
	{
		.name = "stedi_state",
		.columns = "run bigint, as_of bigint, complete boolean, definition text, forgotten bigint,"
		" entries bigint, rows bigint[]",
		.valid = "run IS NOT NULL AND as_of IS NOT NULL AND complete IS NOT NULL"
		" AND definition IS NOT NULL AND forgotten IS NOT NULL AND entries IS NOT NULL"
		" AND rows IS NOT NULL",
		.comment = "How the last run of stedi.materialize left the five tables: "
		"complete says that a next run may go on from there.",
		.needed = true,
	},
	{
		.name = "stedi_object",
		.columns = "table_name text, key text, etag text, size bigint,"
		" last_modified timestamp with time zone, records bigint, rejects bigint,"
		" first_reading timestamp with time zone, last_reading timestamp with time zone,"
		" due bigint, vanished boolean, people bytea, devices bytea",
		.valid = "table_name IS NOT NULL AND key IS NOT NULL AND etag IS NOT NULL"
		" AND size IS NOT NULL AND vanished IS NOT NULL",
		.comment = "The landing objects that the five tables were made from. people and devices "
		"are sorted hashes under stedi_key of whom the records name (NULL: of anybody); "
		"first_reading and last_reading are times of readings, and due is the epoch "
		"millisecond at which the next date in a customer record comes into force.",
		/* hashes do not compress */
		.storage =
		"ALTER TABLE %s ALTER people SET STORAGE EXTERNAL, ALTER devices SET STORAGE EXTERNAL",
		.needed = true,
	},
	{
		.name = "stedi_device",
		.columns = "device bigint, standing text, owned_since bigint",
		.valid = "device IS NOT NULL"
		" AND standing IN ('unknown', 'ambiguous', 'forgotten', 'granted', 'none')",
		.comment = "Devices, by hash under stedi_key, that nobody or more than one customer holds, "
		"that were handed on, or whose holder is forgotten; owned_since is the epoch millisecond "
		"since which a device that was handed on is its holder's.",
		.needed = true,
	},
	{
		.name = "stedi_key",
		.columns = "key bytea",
		.valid = "octet_length(key) >= 32",
		.comment = "The key of the hashes by which this bookkeeping knows people. Whoever has it "
		"can tell whether somebody is meant: grant it to nobody, and do not lose it.",
		.initial = "INSERT INTO %s VALUES"
		" (decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'))",
		.precious = true,
		.needed = true,
	},
	{
		.name = "stedi_forgotten",
		.columns = "who bytea, name bigint, proof bytea, reason text,"
		" since timestamp with time zone, lifted timestamp with time zone, pending boolean",
		.valid = "who IS NOT NULL AND name IS NOT NULL AND proof IS NOT NULL",
		.comment =
		"Who is to be forgotten, by keyed hash; kept by stedi.forget and stedi.unforget.",
		.precious = true,
	},
	{
		.name = "stedi_history",
		.columns = "entry bigint, run bigint, at timestamp with time zone, who bytea, what text,"
		" object text, byte_offset bigint, rows_removed bigint, rows_added bigint, hash bytea",
		/* what was changed is for stedi.verify_history to find */
		.valid = "true",
		.comment = "Whose consent came and went, by keyed hash, "
		"each entry with the hash of the one before in its own: see stedi.verify_history.",
		.precious = true,
	},
	{
		.name = "stedi_expectation",
		.columns = "table_name text, name text, condition text, action text, met bigint,"
		" violated bigint, run bigint",
		.valid = "table_name IS NOT NULL AND name IS NOT NULL AND condition IS NOT NULL"
		" AND action IN ('warn', 'drop', 'fail')",
		.comment = "What rows of the five tables are expected to be like, "
		"and how many were in the run named; kept by stedi.expect and stedi.unexpect.",
		.precious = true,
	},
};

const char *
stedi_zone_book_name(ZoneBook book)
{
	return stedi_zone_books[book].name;
}

const ZoneTableId stedi_zone_load_tables[ZONE_N_BUILDS] = {
	ZONE_ACCELEROMETER_TRUSTED,
	ZONE_STEP_TRAINER_CURATED,
	ZONE_MACHINE_LEARNING_CURATED,
};

const ZoneStreamColumns stedi_zone_streams[ZONE_N_STREAMS] = {
	{"accelerometer", "user", "timestamp", {"x", "y", "z"}, 3},
	{"step", "serialnumber", "sensorreadingtime", {"distancefromobject"}, 1},
};
