/*-------------------------------------------------------------------------
 *
 * commands.h
 *		What the files of the SQL functions share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_COMMANDS_H
#define STEDI_COMMANDS_H

#include "zone/zone.h"

/* alike.c */

/*
 * The hash of how an e-mail looks; and a query for how many rows of a relation
 * %1$s (form, skeleton: such hashes) look like another's, of it or of relation
 * "customer_hash".
 */
extern uint64 stedi_zone_alike_hash(const ZoneRun *run, StediSlice email);
extern const char *const stedi_zone_alike_query;

#endif							/* STEDI_COMMANDS_H */
