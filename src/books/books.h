/*-------------------------------------------------------------------------
 *
 * books.h
 *		What is kept of a target from run to run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STEDI_BOOKS_H
#define STEDI_BOOKS_H

#include "zone/zone.h"

/* key.c */

typedef struct ZoneHasher ZoneHasher;

/*
 * Hash with HMAC-SHA256.  A hasher belongs to the resource owner, which ends it
 * after an error.
 */
extern ZoneHasher *stedi_zone_key_begin(void);
extern void stedi_zone_key_end(ZoneHasher *hasher);
extern bytea *stedi_zone_key_hash(ZoneHasher *hasher, StediSlice key, StediSlice text);

/* The same of text in the encoding of the database, hashed in UTF-8. */
extern bytea *stedi_zone_key_hash_text(ZoneHasher *hasher, StediSlice key, StediSlice text);

/* What the bookkeeping has of a person who is to be forgotten; palloc'd. */
typedef struct ZoneForgotten
{
	bytea	   *who;			/* the keyed hash of the e-mail */
	int64		name;			/* its hash, to look it up */
	bytea	   *proof;			/* the keyed hash of who */
} ZoneForgotten;

/* The same of an e-mail in its normal form, with the run's key. */
extern ZoneForgotten stedi_zone_key_forgotten(const ZoneRun *run, ZoneHasher *hasher,
											  StediSlice email);

/* schema.c */

/*
 * Find the target's bookkeeping: run->store, whose schema is InvalidOid when
 * there is none.  run->owner is that of the five tables, if there are any.
 */
extern void stedi_zone_store_find(ZoneRun *run);

/* The owner of a relation; InvalidOid when it is not there. */
extern Oid	stedi_zone_store_relation_owner(Oid relid);

/* Become the bookkeeping's owner, and the former user again. */
extern void stedi_zone_store_enter(const ZoneRun *run, ZoneUser *before);
extern void stedi_zone_store_leave(const ZoneUser *before);

/* What zone/sql.c has, of templates, as the bookkeeping's owner. */
extern int64 stedi_zone_store_run(const ZoneRun *run, const char *template);
extern uint64 stedi_zone_store_with(const ZoneRun *run, const char *template, int n,
									const Oid *types, const Datum *values, const char *nulls);
extern void stedi_zone_store_query(const ZoneRun *run, ZoneQueryRows *rows,
								   const char *template, const char *types);
extern void stedi_zone_store_values(const ZoneRun *run, const char *template, int n,
									int64 *values);
extern char *stedi_zone_store_text(const ZoneRun *run, const char *template);
extern void stedi_zone_store_keep(ZoneRun *run, const char *name, const char *template);

/* The owner of the extension. */
extern Oid	stedi_zone_store_extension_owner(void);

/* An error when a target that had bookkeeping has none any more. */
extern void stedi_zone_store_check_lost(ZoneRun *run);

/*
 * Give the bookkeeping that is ours the target's name; or make a schema for
 * it.  As its owner.
 */
extern void stedi_zone_store_place(ZoneRun *run, bool ours);

/* grant.c */

/*
 * Who may read the bookkeeping, and so owns the five tables; InvalidOid:
 * nothing says so.  Of several, the owner of the tables, or any.
 */
extern Oid	stedi_zone_grant_reader(const ZoneRun *run);

/*
 * Let the owner of the five tables read the bookkeeping, and take that from
 * former owners and from those to whom they granted it.  As the bookkeeping's
 * owner.
 */
extern void stedi_zone_grant(const ZoneRun *run);

/* adopt.c */

/* Keep the rows of bookkeeping that is not ours, and drop it.  As its owner. */
extern void stedi_zone_adopt_take(ZoneRun *run, const ZoneStore *from);

/* Put them where they belong.  As the bookkeeping's owner. */
extern void stedi_zone_adopt_put(ZoneRun *run);

/* book.c */

/* Make one of them, where it is not there. */
extern void stedi_zone_book_make(ZoneRun *run, ZoneBook book);

/*
 * Find one of them where the bookkeeping is, and lock it: its OID; InvalidOid
 * when it is not there, or was not what it should be and could be dropped.
 * Else an error.  As the bookkeeping's owner.
 */
extern Oid	stedi_zone_book_find(ZoneRun *run, ZoneBook book, LOCKMODE mode);

/*
 * Make one of them with the rows of a kept relation, whose columns are given.
 * An error when it has rows that no run has written, unless they can be made
 * anew.  As the bookkeeping's owner.
 */
extern void stedi_zone_book_receive(ZoneRun *run, ZoneBook book, const char *columns,
									const char *from);

/* An error when others than its owner may write into it. */
extern void stedi_zone_book_check_writers(ZoneRun *run, ZoneBook book);

/*
 * The other roles that have privileges on one, of which a condition holds;
 * NULL: none.
 */
extern char *stedi_zone_book_granted(ZoneRun *run, const ZoneBookTable *book, const char *which);

/* open.c */

/* Make it, or bring it over, and see to its name and privileges.  As the owner. */
extern void stedi_zone_store_open(ZoneRun *run);

/* Make the bookkeeping tables, and read how the last run left the target. */
extern void stedi_zone_book_open(ZoneRun *run);

/* save.c */

/* Settle run->consent and run->match_time. */
extern void stedi_zone_book_rule(ZoneRun *run);

/* Settle run->landing_name: as given, or as it is written down. */
extern void stedi_zone_book_landing(ZoneRun *run);

/* Write an object down that was read, and is not there. */
extern void stedi_zone_book_put_object(ZoneRun *run, ZoneTableId id, const StediObject *object,
									   const ZoneSketch *sketch);

/* Strike objects out by their names, mark them, or strike out all. */
extern void stedi_zone_book_forget_objects(const ZoneRun *run, ZoneTableId id, List *names);
extern void stedi_zone_book_mark_objects(const ZoneRun *run, ZoneTableId id, List *names,
										 bool vanished);
extern void stedi_zone_book_clear_objects(const ZoneRun *run, ZoneTableId id);

/* Write down what the run reports of the tables that it was to make. */
extern void stedi_zone_book_reports(const ZoneRun *run);

/* The same, and how it leaves the tables. */
extern void stedi_zone_book_run(ZoneRun *run);

/* The same after rows were taken out of what the last run left. */
extern void stedi_zone_book_settle(ZoneRun *run);

/* objects.c */

/* What a definition says of the landing tables, without the rules before it. */
extern const char *stedi_zone_object_definition(const char *definition);

/* Set run->definition. */
extern void stedi_zone_object_define(ZoneRun *run);

/* Why what the last run wrote down of objects no longer tells what they hold; NULL: it does. */
extern const char *stedi_zone_object_redefined(const ZoneRun *run);

/* List the sources' objects and set their states; an error when too many have vanished. */
extern void stedi_zone_object_compare(ZoneRun *run);

/*
 * Bytes of a hash that are kept of the names in objects: who is a customer is
 * told by them, exactly; whether an object of readings is worth reading need
 * not be.
 */
#define ZONE_CUSTOMER_NAME_WIDTH 8
#define ZONE_READING_NAME_WIDTH 4
#define ZONE_NAME_WIDTH(id) \
	((id) == ZONE_CUSTOMER_TRUSTED ? ZONE_CUSTOMER_NAME_WIDTH : ZONE_READING_NAME_WIDTH)

/* The objects that are wanted and were not read: a listing in the current context. */
extern StediListing *stedi_zone_object_choose(const ZoneRun *run, ZoneTableId id);

/* Want all of a source's objects; or those that are new or have changed. */
extern void stedi_zone_object_want_all(ZoneRun *run, ZoneTableId id);
extern void stedi_zone_object_want_new(ZoneRun *run, ZoneTableId id);

/*
 * Want those besides that may name one of these people or devices (NULL:
 * none); how many.
 */
extern int	stedi_zone_object_want(ZoneRun *run, ZoneTableId id, const StediHashes *people,
								   const StediHashes *devices);

/*
 * Want those besides that have rejects: of readings it is not written down
 * whom these name.
 */
extern void stedi_zone_object_want_rejects(ZoneRun *run, ZoneTableId id);

/* The listed object of that key, which there is. */
extern ZoneObject *stedi_zone_object_find(ZoneRun *run, ZoneTableId id, const char *key);

/*
 * Objects of a chosen listing are about to be read: strike out what was
 * written down of them, and then write down what was found.  An object that
 * is read again, as it was, stays as it is.
 */
extern void stedi_zone_object_begin(ZoneRun *run, ZoneTableId id, const StediListing *chosen);
extern void stedi_zone_object_write(ZoneRun *run, ZoneTableId id, const StediObject *object,
									const ZoneSketch *sketch);

/* Of which objects the names are asked for. */
typedef enum ZoneNames
{
	ZONE_NAMES_ALL,				/* of all that are written down */
	ZONE_NAMES_GONE,			/* that have changed since, or vanished */
	ZONE_NAMES_KEPT,			/* that have vanished, and whose readings stay */
	ZONE_NAMES_LEFT,			/* of these, since the last run */
	ZONE_NAMES_UNREADABLE,		/* that are listed, and cannot be read */
} ZoneNames;

/*
 * Add the hashes of whom they named (people, devices: NULL: not asked for), as
 * packing left them.  True when one named too many to tell.
 */
extern bool stedi_zone_object_names(ZoneRun *run, ZoneTableId id, ZoneNames which,
									StediHashes *people, StediHashes *devices);

/* Write down which objects are no more, and which are back. */
extern void stedi_zone_object_settle(ZoneRun *run, ZoneTableId id);

/* Do objects name a person or device, for all that packing has left? */
static inline bool
stedi_zone_object_is_named(const StediHashes *cut, bool anybody, uint64 hash)
{
	return anybody || (cut->n > 0 &&
					   stedi_hashes_has(cut, stedi_hashes_cut(hash, ZONE_READING_NAME_WIDTH)));
}

/* former.c */

/* Begin to look for people who are forgotten by a former form of their e-mail. */
extern void stedi_zone_former_begin(ZoneRun *run);

/* A customer record's e-mail: as it landed, and in its form. */
extern void stedi_zone_former_note(ZoneRun *run, StediSlice landed, const text *email);

/* All records are read: who was met is forgotten by the form of today. */
extern void stedi_zone_former_settle(ZoneRun *run);

/* The same at once, of an e-mail as it was given. */
extern void stedi_zone_former_replace(ZoneRun *run, StediSlice given, const text *email);

/*
 * Keep the relation `name` (email, who): the keyed hashes by which stedi 1.0 knew
 * people.  template: a query of e-mails in their form, and in a spelling.
 */
extern void stedi_zone_former_keep(ZoneRun *run, const char *name, const char *template);

/*
 * A template of a query: how the e-mails in array $1 are spelled in the tables;
 * they themselves among these.  palloc'd.
 */
extern char *stedi_zone_former_spellings(const ZoneRun *run);

/* Bring over the rows that a run which rebuilds leaves in the tables. */
extern void stedi_zone_former_rows(ZoneRun *run);

#endif							/* STEDI_BOOKS_H */
