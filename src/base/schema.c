/*-------------------------------------------------------------------------
 *
 * schema.c
 *		The landing tables and their columns: what each is to the zone.
 *
 * This is their one home.  IMPORT FOREIGN SCHEMA makes tables of it; scans
 * judge records by it; materialize reads by it, and stedi.quality profiles.
 *
 *-------------------------------------------------------------------------
 */
#include "base/base.h"

#include "catalog/pg_type.h"

static const StediLandingColumn customer_columns[] = {
	{"email", TEXTOID, STEDI_COLUMN_WHO, STEDI_NEED_EMAIL},
	{"customername", TEXTOID, STEDI_COLUMN_NAME, STEDI_NEED_NOTHING},
	{"phone", TEXTOID, STEDI_COLUMN_NAME, STEDI_NEED_NOTHING},
	{"birthday", TEXTOID, STEDI_COLUMN_NAME, STEDI_NEED_NOTHING},
	{"serialnumber", TEXTOID, STEDI_COLUMN_NAME, STEDI_NEED_NOTHING},
	{"registrationdate", INT8OID, STEDI_COLUMN_DATE, STEDI_NEED_DECIDING_TIME},
	{"lastupdatedate", INT8OID, STEDI_COLUMN_DATE, STEDI_NEED_DECIDING_TIME},
	{"sharewithresearchasofdate", INT8OID, STEDI_COLUMN_CONSENT, STEDI_NEED_DECIDING_TIME},
	{"sharewithpublicasofdate", INT8OID, STEDI_COLUMN_CONSENT, STEDI_NEED_TIME},
	{"sharewithfriendsasofdate", INT8OID, STEDI_COLUMN_CONSENT, STEDI_NEED_TIME},
};

static const StediLandingColumn accelerometer_columns[] = {
	{"user", TEXTOID, STEDI_COLUMN_WHO, STEDI_NEED_EMAIL},
	{"timestamp", INT8OID, STEDI_COLUMN_WHEN, STEDI_NEED_PRESENT_TIME},
	{"x", FLOAT8OID, STEDI_COLUMN_MEASURE, STEDI_NEED_NOTHING},
	{"y", FLOAT8OID, STEDI_COLUMN_MEASURE, STEDI_NEED_NOTHING},
	{"z", FLOAT8OID, STEDI_COLUMN_MEASURE, STEDI_NEED_NOTHING},
};

static const StediLandingColumn step_trainer_columns[] = {
	{"serialnumber", TEXTOID, STEDI_COLUMN_WHO, STEDI_NEED_PRESENT},
	{"sensorreadingtime", INT8OID, STEDI_COLUMN_WHEN, STEDI_NEED_PRESENT_TIME},
	{"distancefromobject", INT4OID, STEDI_COLUMN_MEASURE, STEDI_NEED_NOTHING},
};

const StediLandingTable stedi_schema_landing[STEDI_N_LANDING] = {
	[STEDI_LANDING_CUSTOMER] = {
		"customer_landing", "customers", "customer_prefix",
		customer_columns, lengthof(customer_columns), 1
	},
	[STEDI_LANDING_ACCELEROMETER] = {
		"accelerometer_landing", "accelerometer", "accelerometer_prefix",
		accelerometer_columns, lengthof(accelerometer_columns), 0
	},
	[STEDI_LANDING_STEP_TRAINER] = {
		"step_trainer_landing", "step_trainer", "step_trainer_prefix",
		step_trainer_columns, lengthof(step_trainer_columns), 1
	},
};

StaticAssertDecl(lengthof(customer_columns) == STEDI_N_CUSTOMER_COLUMNS,
				 "base.h says how many columns a customer record has");

const StediLandingTable *
stedi_schema_find(const char *table)
{
	for (int i = 0; table != NULL && i < STEDI_N_LANDING; i++)
		if (strcmp(stedi_schema_landing[i].name, table) == 0)
			return &stedi_schema_landing[i];
	return NULL;
}

const StediLandingColumn *
stedi_schema_column(const StediLandingTable *table, const char *column)
{
	for (int i = 0; table != NULL && i < table->n_columns; i++)
		if (strcmp(table->columns[i].name, column) == 0)
			return &table->columns[i];
	return NULL;
}
