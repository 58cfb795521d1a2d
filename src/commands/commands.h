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

/* audit.c */

/*
 * Keep, of the landing zone as it is now, the relations "insider": customers
 * who are in, as customer_trusted must have them; and "device": those that one
 * customer holds (serialnumber, holder, handed_on); and "claim": of each device
 * and customer who ever named it, whether the customer holds it.
 */
extern void stedi_zone_audit_people(const ZoneSession *session);

/*
 * The same of the records in the relation "customer_record"; and "decider",
 * the record that decides of each customer, with its object and byte_offset.
 */
extern void stedi_zone_audit_judge(const ZoneSession *session);

/* alike.c */

/*
 * The hash of how an e-mail that names somebody looks; and a query for how many
 * rows of a relation %1$s (form, skeleton: such hashes) look like another's, of
 * it or of relation "customer_hash".
 */
extern uint64 stedi_zone_alike_hash(const ZoneRun *run, StediSlice email);
extern const char *const stedi_zone_alike_query;

#endif							/* STEDI_COMMANDS_H */
