/*-------------------------------------------------------------------------
 *
 * withdraw.c
 *		Withdrawals take effect even where a landing object cannot be read.
 *
 * A run reads many objects, of which one may be archived, broken or not
 * readable for us.  So its steps are a subtransaction.  When they fail while
 * they read, they are undone, and what consent does not cover any more is
 * taken out of all tables, by the customer records that can be read: see
 * run/uncovered.c.  If that takes out nothing, the call ends in the error.
 *
 *-------------------------------------------------------------------------
 */
#include "run/run.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static void
uncovered_steps(ZoneRun *run, void *arg)
{
	stedi_zone_uncovered_remove(run, arg);
}

/* Where the error is: the object, unless its message says so. */
static char *
place_of(const ErrorData *error)
{
	if (error->context == NULL || strncmp(error->context, "object \"", 8) != 0)
		return "";
	return psprintf("It is in %s. ", pnstrdup(error->context, strcspn(error->context, "\n")));
}

static void
warn(const ErrorData *error, Oid reading, const ZoneWithdrawal *withdrawal)
{
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfo(&detail, "Landing table \"%s\" cannot be read. %s",
					 get_rel_name(reading), place_of(error));
	appendStringInfo(&detail, ngettext("%lld row went, ", "%lld rows went, ",
									   (unsigned long) withdrawal->n_rows),
					 (long long) withdrawal->n_rows);
	appendStringInfo(&detail, ngettext("of %lld customer who is out",
									   "of %lld customers who are out",
									   (unsigned long) withdrawal->n_out),
					 (long long) withdrawal->n_out);
	if (withdrawal->n_later > 0)
		appendStringInfo(&detail, " and %lld who consent from a later date on",
						 (long long) withdrawal->n_later);
	appendStringInfoString(&detail, ". New readings, new consents and other changes wait.");
	if (withdrawal->n_unreadable > 0)
		appendStringInfo(&detail, ngettext(" %d customer object cannot be read: "
										   "whom it named when it was last read stays as they are, "
										   "unless a newer record withdraws.",
										   " %d customer objects cannot be read: "
										   "whom they named when they were last read stays as "
										   "they are, "
										   "unless a newer record withdraws.",
										   (unsigned long) withdrawal->n_unreadable),
						 withdrawal->n_unreadable);
	ereport(WARNING,
			errcode(error->sqlerrcode),
			errmsg("only withdrawals were carried out: %s", error->message),
			errdetail_internal("%s", detail.data),
			error->hint != NULL ? errhint("%s", error->hint) : 0);
}

/* Add to the error what is known of withdrawals. */
static void
add_hint(ErrorData *error, const char *hint)
{
	error->hint = error->hint == NULL ? pstrdup(hint) : psprintf("%s %s", error->hint, hint);
}

/* The call that makes customer_trusted by itself. */
static char *
customers_call(const ZoneRun *run)
{
	return stedi_zone_query_call(run, stedi_zone_tables[ZONE_CUSTOMER_TRUSTED].function, "");
}

static void
hint_nobody(const ZoneRun *run, ErrorData *error, Oid reading)
{
	add_hint(error, "Nobody has withdrawn as far as customer records can be read; "
			 "withdrawals go through all the same.");
	if (reading != run->source[ZONE_CUSTOMER_TRUSTED].relid)
		add_hint(error, psprintf("Meanwhile, %s brings customer_trusted up to date.",
								 customers_call(run)));
}

/*
 * The hint for a run that fails, but not because an object cannot be read, nor
 * by an expectation, whose error says this itself: customer_trusted can be
 * made by itself, if its objects are there.
 */
static void
hint_wait(const ZoneRun *run, ErrorData *error)
{
	if (!run->all || run->source[ZONE_ACCELEROMETER_TRUSTED].listing == NULL ||
		stedi_zone_ends_call(error) || error->sqlerrcode == ERRCODE_CHECK_VIOLATION)
		return;
	for (int id = 0; id < ZONE_N_TABLES; id++)
		if (!OidIsValid(run->relid[id]))
			return;
	add_hint(error, psprintf("Those who have withdrawn their consent since the last run are still "
							 "in the tables. Until this is cured, call %s, which takes their rows "
							 "out of all five tables.", customers_call(run)));
}

void
stedi_zone_withdraw_run(ZoneRun *run, ZoneSteps steps, void *arg)
{
	const ZoneRun asked = *run;
	ZoneWithdrawal withdrawal = {0};
	ZoneCall	call = {steps, arg};
	ZoneCall	uncovered = {uncovered_steps, &withdrawal};
	ErrorData  *error;
	ErrorData  *other;
	Oid			reading;

	if (run->dry_run || !OidIsValid(run->relid[ZONE_CUSTOMER_TRUSTED]))
	{
		steps(run, arg);
		return;
	}
	error = stedi_zone_try(run, stedi_zone_connected, &call, false);
	if (error == NULL)
		return;
	if (!stedi_zone_withdraw_is_unreadable(run, error))
	{
		hint_wait(run, error);
		ReThrowError(error);
	}
	if (run->source[ZONE_CUSTOMER_TRUSTED].listing == NULL)
		ReThrowError(error);	/* no customer object is known */
	reading = run->reading;
	*run = asked;
	other = stedi_zone_try(run, stedi_zone_connected, &uncovered, false);
	if (other != NULL && stedi_zone_ends_call(other))
		ReThrowError(other);
	if (other == NULL && (withdrawal.n_rows > 0 || withdrawal.n_later > 0))
	{
		warn(error, reading, &withdrawal);
		return;
	}
	if (other != NULL && strcmp(other->message, error->message) != 0)
		add_hint(error, psprintf("Who has withdrawn is not known: %s.", other->message));
	else if (other == NULL && withdrawal.known)
		hint_nobody(run, error, reading);
	else if (other == NULL)
		add_hint(error, "Withdrawals wait until it can be read: "
				 "a landing table is defined otherwise than in the last run, a table is missing, "
				 "or the tables are of an earlier version.");
	ReThrowError(error);
}
