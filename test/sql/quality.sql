-- Proves that stedi.quality counts what is in the landing tables and what is wrong there, and shows no value that consent does not cover.
-- Guards src/commands/quality.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set url file:// :abs_srcdir /data/quality
\set VERBOSITY terse
SET client_min_messages = error;
SET timezone = 'PST8PDT';
SET datestyle = 'German';
CREATE SCHEMA regress_quality;
CREATE SCHEMA regress_quality_landing;
CREATE SERVER regress_quality FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'url');

-- nothing is there yet
SELECT * FROM stedi.quality('regress_quality'); -- ERROR
SELECT * FROM stedi.quality('regress_quality', 'regress_quality_landing'); -- ERROR
SELECT * FROM stedi.quality(NULL); -- ERROR
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_quality INTO regress_quality_landing;

-- before the first run: by the stricter rule
SELECT * FROM stedi.quality('regress_quality', 'regress_quality_landing');
CREATE TEMP TABLE before AS SELECT * FROM stedi.quality('regress_quality', 'regress_quality_landing');

-- after it by the rule that the tables follow
SELECT count(*) FROM stedi.materialize('regress_quality', 'regress_quality_landing');
CREATE TEMP TABLE after AS SELECT * FROM stedi.quality('regress_quality', 'regress_quality_landing');
TABLE before EXCEPT ALL TABLE after ORDER BY column_name;
TABLE after EXCEPT ALL TABLE before ORDER BY column_name;
SELECT (SELECT count(*) FROM before) = (SELECT count(*) FROM after) AS same;
-- rejects are those of stedi.rejects
SELECT problem, records FROM (SELECT table_name, coalesce('column "' || column_name || '": ', '') || substr(problem, 11) AS problem, records FROM after WHERE problem LIKE 'rejected: %'
    EXCEPT ALL SELECT split_part(t, '.', 2), reason, count(*) FROM unnest('{regress_quality_landing.customer_landing,regress_quality_landing.accelerometer_landing,regress_quality_landing.step_trainer_landing}'::text[]) t, stedi.rejects(t::regclass) GROUP BY t, reason) d;
SELECT sum(records) = (SELECT count(*) FROM unnest('{regress_quality_landing.customer_landing,regress_quality_landing.accelerometer_landing,regress_quality_landing.step_trainer_landing}'::regclass[]) t, stedi.rejects(t)) AS all_of_them
    FROM after WHERE problem LIKE 'rejected: %';

-- who is forgotten is out, in every table; and so is everybody whose key is lost
BEGIN;
SELECT count(*) > 0 AS forgotten FROM stedi.forget('regress_quality', 'ada@x', 'objection', 'regress_quality_landing');
SELECT DISTINCT table_name, column_name, smallest, largest FROM stedi.quality('regress_quality', 'regress_quality_landing') WHERE smallest IS NOT NULL;
SELECT count(*) FROM (TABLE after EXCEPT ALL SELECT * FROM stedi.quality('regress_quality', 'regress_quality_landing')) d;
DROP TABLE stedi_books_regress_quality.stedi_key;
SELECT count(*) FROM stedi.quality('regress_quality', 'regress_quality_landing'); -- ERROR
ROLLBACK;

-- columns of one's own are counted, and not shown
BEGIN;
ALTER FOREIGN TABLE regress_quality_landing.step_trainer_landing ADD COLUMN gone integer;
ALTER FOREIGN TABLE regress_quality_landing.step_trainer_landing DROP COLUMN gone;
ALTER FOREIGN TABLE regress_quality_landing.step_trainer_landing ADD COLUMN again bigint OPTIONS (key 'sensorReadingTime');
ALTER FOREIGN TABLE regress_quality_landing.step_trainer_landing ADD COLUMN "Far ""off""" numeric OPTIONS (key 'distanceFromObject');
ALTER FOREIGN TABLE regress_quality_landing.step_trainer_landing ADD COLUMN whole jsonb OPTIONS (key 'serialNumber');
ALTER FOREIGN TABLE regress_quality_landing.step_trainer_landing ADD COLUMN object text OPTIONS (source 'object');
ALTER FOREIGN TABLE regress_quality_landing.step_trainer_landing ADD COLUMN line bigint OPTIONS (source 'line');
SELECT * FROM stedi.quality('regress_quality', 'regress_quality_landing') WHERE table_name = 'step_trainer_landing';
ROLLBACK;

-- expectations, and how many rows violated them
BEGIN;
INSERT INTO stedi_books_regress_quality.stedi_expectation VALUES ('step_trainer_curated', 'near', 'distancefromobject < 6', 'warn', 3, 1, 1),
    ('customer_trusted', 'adult', 'birthday < ''2005-01-01''', 'drop', 2, 0, 1), ('accelerometer_trusted', 'new', 'x > 0', 'fail', NULL, NULL, NULL);
SELECT * FROM stedi.quality('regress_quality', 'regress_quality_landing') EXCEPT ALL TABLE after ORDER BY table_name;
ROLLBACK;

-- a look changes nothing, and is possible where a run is not
BEGIN READ ONLY;
SELECT count(*) = (SELECT count(*) FROM after) AS same FROM stedi.quality('regress_quality', 'regress_quality_landing');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) = (SELECT count(*) FROM after) AS same FROM stedi.quality('regress_quality', 'regress_quality_landing');
COMMIT;
SHOW datestyle;
-- nor does it warn of rejects, or stop at them
ALTER FOREIGN TABLE regress_quality_landing.accelerometer_landing OPTIONS (ADD on_error 'stop');
SET client_min_messages = warning;
SELECT count(*) = (SELECT count(*) FROM after) AS same FROM stedi.quality('regress_quality', 'regress_quality_landing');
SET client_min_messages = error;
ALTER FOREIGN TABLE regress_quality_landing.accelerometer_landing OPTIONS (DROP on_error);

-- the rule must be one
BEGIN;
DELETE FROM stedi_books_regress_quality.stedi_rule;
SELECT count(*) FROM stedi.quality('regress_quality', 'regress_quality_landing'); -- ERROR
ROLLBACK;

DROP SERVER regress_quality CASCADE;
DROP SCHEMA regress_quality, regress_quality_landing CASCADE;
