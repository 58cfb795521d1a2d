/*-------------------------------------------------------------------------
 *
 * tables.h
 *		The tables of a target, and the rules in SQL: data, and no more.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_ZONE_TABLES_H
#define STEDI_ZONE_TABLES_H

#include "postgres.h"

/* tables.c */

typedef enum ZoneTableId
{
	ZONE_CUSTOMER_TRUSTED,
	ZONE_ACCELEROMETER_TRUSTED,
	ZONE_CUSTOMER_CURATED,
	ZONE_STEP_TRAINER_CURATED,
	ZONE_MACHINE_LEARNING_CURATED,
	ZONE_N_TABLES
} ZoneTableId;

typedef struct ZoneTable
{
	const char *name;
	const char *columns;		/* as format_type() writes them: checked
								 * against */
	const char *column_names;	/* quoted, in the same order */
	const char *landing;		/* the landing table that feeds it; NULL: none */
	const char *function;		/* the SQL function that makes it alone */
	const char *lookup;			/* the column that a new one has an index on */
	const char *key;			/* whose a row is: the column of the person or
								 * device */
	const char *time;			/* when it was taken, quoted; NULL: never */
	const char *comment;
} ZoneTable;

extern const ZoneTable stedi_zone_tables[ZONE_N_TABLES];

/* The columns of the two tables of customers. */
#define ZONE_CUSTOMER_COLUMN_NAMES \
	"customername, email, phone, birthday, serialnumber, registrationdate, lastupdatedate, " \
	"sharewithresearchasofdate, sharewithpublicasofdate, sharewithfriendsasofdate"

/* The COMMENT on a column, which means the same wherever it is; NULL: none. */
extern const char *stedi_zone_column_comment(const char *column);

/* The bookkeeping tables. */
typedef enum ZoneBook
{
	ZONE_BOOK_RULE,
	ZONE_BOOK_RUN,
	ZONE_BOOK_STATE,
	ZONE_BOOK_OBJECT,
	ZONE_BOOK_DEVICE,
	ZONE_BOOK_KEY,
	ZONE_BOOK_FORGOTTEN,
	ZONE_BOOK_HISTORY,
	ZONE_BOOK_EXPECTATION,
	ZONE_N_BOOKS
} ZoneBook;

/* One of them. */
typedef struct ZoneBookTable
{
	const char *name;
	const char *columns;
	const char *valid;			/* what holds of each row that a run writes */
	const char *comment;
	const char *storage;		/* a statement on a new one; or NULL */
	const char *initial;		/* another, that gives it its rows; or NULL */
	bool		precious;		/* never made anew over one that is there */
	bool		needed;			/* without it, everything is read anew */
	const char *added;			/* columns behind these that 1.0 did not have;
								 * or NULL */
} ZoneBookTable;

extern const ZoneBookTable stedi_zone_books[ZONE_N_BOOKS];
extern const char *stedi_zone_book_name(ZoneBook book);

/* The two landing tables of readings. */
typedef enum ZoneStream
{
	ZONE_ACCELEROMETER,
	ZONE_STEP_TRAINER,
	ZONE_N_STREAMS
} ZoneStream;

/* The tables that are built from readings. */
typedef enum ZoneBuild
{
	ZONE_BUILD_ACCELEROMETER,	/* of this stream alone */
	ZONE_BUILD_STEP_TRAINER,	/* likewise */
	ZONE_BUILD_PAIRS,
	ZONE_N_BUILDS
} ZoneBuild;

/* The tables by ZoneBuild, of which those of streams have the streams' numbers. */
extern const ZoneTableId stedi_zone_load_tables[ZONE_N_BUILDS];

/* How a stream's landing table is read. */
typedef struct ZoneStreamColumns
{
	const char *name;			/* of its temporary files */
	const char *who;
	const char *time;
	const char *values[3];
	int			n_values;
} ZoneStreamColumns;

extern const ZoneStreamColumns stedi_zone_streams[ZONE_N_STREAMS];

/* rules.c: templates of queries */

/* The members of the consent sets of people and of devices. */
extern const char *const stedi_rule_person_set;
extern const char *const stedi_rule_device_set;

/* Of the relation "customer_record": a row an e-mail, a row a serial number. */
extern const char *const stedi_rule_people;
extern const char *const stedi_rule_devices;

/*
 * superseded, no_consent, forgotten, kept, and rejects without an e-mail and
 * of unknown contents
 */
extern const char *const stedi_rule_people_counts;

/* Devices of which it takes more than their holder's consent to know whose readings are. */
extern const char *const stedi_rule_device_exceptions;

/* The rows of tables that are made of others. */
extern const char *const stedi_rule_customer_trusted;
extern const char *const stedi_rule_customer_curated;
extern const char *const stedi_rule_customer_curated_kept;
extern const char *const stedi_rule_pairs;
extern const char *const stedi_rule_pairs_by_time;

/* What a run of other steps takes out of each table t: what holds of such rows. */
extern const char *const stedi_rule_prunes[ZONE_N_TABLES];

/*
 * What holds of a row of a table of readings that consent covers, in a query
 * of a run that rebuilds; NULL for other tables.
 */
extern const char *stedi_rule_covered(ZoneTableId id);

#endif							/* STEDI_ZONE_TABLES_H */
