/*-------------------------------------------------------------------------
 *
 * customers.h
 *		What records.c and customers.c share: the records of a run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_RUN_CUSTOMERS_H
#define STEDI_RUN_CUSTOMERS_H

#include "run/run.h"

/* The columns of the relation "customer_record" behind those of customers. */
enum
{
	RECORD_REJECTED = STEDI_N_CUSTOMER_COLUMNS,
	RECORD_MAY_HIDE,
	RECORD_WHO,					/* hash of the e-mail; 0: none */
	RECORD_DEVICE,				/* hash of the serial number; 0: none */
	RECORD_OBJECT,				/* its number in the listing */
	RECORD_PLACE,				/* byte offset there */
	RECORD_STANDS_IN,			/* it is the table's row, not a record */
	N_RECORD_COLUMNS
};

enum
{
	CUSTOMER_EMAIL = 0,			/* places in stedi_schema_customers */
	CUSTOMER_SERIAL = 4,
	CUSTOMER_REGISTERED = 5,
	CUSTOMER_UPDATED = 6,
	CUSTOMER_RESEARCH = 7,
};

/* What of a record tells whom else the run must look at. */
typedef struct ZoneClaim
{
	uint64		who;
	uint64		device;
	int64		updated;		/* PG_INT64_MAX: not dated */
	bool		rejected;
	bool		fresh;			/* its object is new, or has changed */
} ZoneClaim;

/* A row of customer_trusted of a customer who is affected. */
typedef struct ZoneBefore
{
	uint64		who;
	uint64		device;
	int64		updated;
	bool		needed;			/* it cannot stand in */
	bool		seen;			/* a new record names who */
} ZoneBefore;

struct ZoneCustomers
{
	Relation	relation;
	const StediOptions *opts;	/* of the landing table */
	ZoneLack   *lack;
	int			attno[STEDI_N_CUSTOMER_COLUMNS];
	TupleDesc	tupdesc;		/* of the records */
	Tuplestorestate *records;
	ZoneClaim  *claims;			/* owned; one a record */
	uint64		n_claims;
	uint64		claims_room;

	/* the object that is read */
	int			object;			/* its number in the scan's listing */
	StediHashes people;
	StediHashes devices;
	int64		due_ms;

	/* renewing */
	StediHashes needed;			/* people of whom every record must be known */
	StediHashes claimed;		/* devices of which every claim must */
	StediHashes verdict;		/* those, and devices of rows that stand in */
	StediHashes exceptional;	/* devices that are not simply their holder's */
	ZoneBefore *before;			/* sorted by who */
	uint64		n_before;
	uint64		before_room;
	Tuplestorestate *rows;		/* those of before, as records */
	Tuplestorestate *places;	/* and where they are */
	TupleDesc	places_desc;
};

/* records.c */

/* Begin to read customer records: sets run->customers. */
extern ZoneCustomers *stedi_zone_customer_begin(ZoneRun *run);

/* Read the objects that are wanted and have not been read. */
extern void stedi_zone_customer_objects(ZoneRun *run);

#endif							/* STEDI_RUN_CUSTOMERS_H */
