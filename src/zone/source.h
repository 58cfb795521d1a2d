/*-------------------------------------------------------------------------
 *
 * source.h
 *		The landing tables of a run, and the objects in them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_ZONE_SOURCE_H
#define STEDI_ZONE_SOURCE_H

#include "scan/scan.h"

#include "nodes/pg_list.h"

typedef enum ZoneObjectState
{
	ZONE_OBJECT_NEW,
	ZONE_OBJECT_CHANGED,
	ZONE_OBJECT_SAME,
} ZoneObjectState;

/* A listed object, beside what the bookkeeping says of it. */
typedef struct ZoneObject
{
	ZoneObjectState state;
	bool		due;			/* a date in it has come into force */
	bool		came_back;		/* it had vanished, and its rows were kept */
	bool		wanted;			/* to be read */
	bool		read;			/* it was */
	bool		written;		/* into the bookkeeping */
	bool		unreadable;		/* see run/withdraw.c */
} ZoneObject;

typedef struct ZoneName
{
	const char *name;			/* in the encoding of the database */
	int			object;
} ZoneName;

/* A landing table that feeds one of the five. */
typedef struct ZoneSource
{
	Oid			relid;			/* InvalidOid: none does, in this run */
	StediScanStats stats;		/* of what was read; listed: of all */

	/* set by stedi_zone_object_compare */
	StediListing *listing;
	ZoneObject *objects;		/* of each that is listed */
	ZoneName   *names;			/* sorted */
	List	   *vanished;		/* names, also of those kept before */
	int			n_booked;
	int			n_vanished;		/* since the last run */
	int			n_changed;
	int64		first_ms;		/* of readings in objects that are the same */
	int64		last_ms;
} ZoneSource;

/* What is kept of an object that was read. */
typedef struct ZoneSketch
{
	bytea	   *people;			/* NULL: none are kept */
	bytea	   *devices;
	int64		first_ms;		/* PG_INT64_MAX: no reading */
	int64		last_ms;
	int64		due_ms;			/* PG_INT64_MAX: never */
} ZoneSketch;

#endif							/* STEDI_ZONE_SOURCE_H */
