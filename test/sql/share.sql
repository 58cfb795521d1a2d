-- Proves that devices which more than one customer holds, as with faulty serial numbers, are told of: a run warns of them and what they
-- cost, the report tells these readings from those of nobody and of customers without accelerometer readings, and stedi.quality lists the
-- devices without their serial numbers.  Guards src/run/holders.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set url file:// :abs_srcdir /data/share
CREATE SCHEMA regress_share;
CREATE SCHEMA regress_share_landing;
CREATE SERVER regress_share FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'url');
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_share INTO regress_share_landing;
SELECT table_name, records_read, no_consent, unknown_owner, without_readings, ambiguous, before_consent, kept
    FROM stedi.materialize('regress_share', 'regress_share_landing', consent => 'since_consent');

-- with nothing new, nothing is said
SELECT count(*), sum(rows) FROM stedi.materialize('regress_share', 'regress_share_landing');

-- one table
SELECT table_name, unknown_owner, without_readings, ambiguous FROM stedi.materialize_step_trainer_curated('regress_share', 'regress_share_landing');
SELECT table_name, unknown_owner, without_readings, ambiguous FROM stedi.materialize_customer_trusted('regress_share', 'regress_share_landing');
SELECT run, table_name, unknown_owner, without_readings FROM stedi_books_regress_share.stedi_run WHERE table_name LIKE 'step%' ORDER BY run;

-- where the devices are, the most shared first
SELECT * FROM stedi.quality('regress_share', 'regress_share_landing') WHERE problem LIKE '%holder%';
SELECT count(*) FROM stedi.quality('regress_share', 'regress_share_landing') q WHERE q::text ~ 'faulty|own-|handed|example';
SELECT * FROM stedi.audit('regress_share', 'regress_share_landing');

\set VERBOSITY terse
SET client_min_messages = error;
DROP SCHEMA regress_share, regress_share_landing CASCADE;
DROP SERVER regress_share CASCADE;
