-- Proves what a run does when landing objects are gone: it takes along what came from them, unless these are many, or readings are to stay.
-- Guards src/books/objects.c, src/run/affected.c and may_renew in src/commands/materialize.c.

\set VERBOSITY terse
SET client_min_messages = warning;
-- a landing zone that changes, below the server's data directory
COPY (SELECT WHERE false) TO PROGRAM 'rm -rf stedi_vanished && mkdir stedi_vanished && cd stedi_vanished && mkdir customers accelerometer step_trainer';
CREATE SCHEMA regress_vanished;
CREATE SCHEMA regress_vanished_landing;
DO $$
BEGIN
    EXECUTE format('CREATE SERVER regress_vanished FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url %L)', 'file://' || current_setting('data_directory') || '/stedi_vanished');
END $$;
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_vanished INTO regress_vanished_landing;
SET search_path = regress_vanished, stedi_books_regress_vanished;
CREATE FUNCTION land(key text, VARIADIC records text[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COPY (SELECT unnest(%L::text[])) TO PROGRAM %L', records, format('cd stedi_vanished && cat >.new && mv .new %s.json', key));
    RETURN key;
END $$;
CREATE FUNCTION remove(key text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COPY (SELECT WHERE false) TO PROGRAM %L', format('rm stedi_vanished/%s.json', key));
    RETURN key;
END $$;
CREATE FUNCTION customer(who text, updated int, consent int) RETURNS text LANGUAGE sql AS $$
    SELECT json_build_object('customerName', who, 'email', who || '@x', 'serialNumber', who, 'registrationDate', 1, 'lastUpdateDate', updated, 'shareWithResearchAsOfDate', consent)
$$;
CREATE FUNCTION move(who text, at int) RETURNS text LANGUAGE sql AS $$
    SELECT json_build_object('user', who || '@x', 'timestamp', at, 'x', 1, 'y', 2, 'z', 3)
$$;
CREATE FUNCTION step(who text, at int) RETURNS text LANGUAGE sql AS $$
    SELECT json_build_object('serialNumber', who, 'sensorReadingTime', at, 'distanceFromObject', 200)
$$;
-- objects that are put away come back as they were
CREATE FUNCTION move_object(key text, place text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COPY (SELECT WHERE false) TO PROGRAM %L', format('mv stedi_vanished/%s.json stedi_vanished/%s.json', key, place));
    RETURN place;
END $$;
-- what the tables hold, whose, and how that differs from a rebuild
CREATE FUNCTION zone(OUT customers bigint, OUT moves bigint, OUT curated bigint, OUT steps bigint, OUT pairs bigint, OUT movers text, OUT vanished bigint, OUT wrong bigint) LANGUAGE plpgsql
        SET search_path = regress_vanished, stedi_books_regress_vanished AS $$
BEGIN
    SELECT (SELECT count(*) FROM customer_trusted), (SELECT count(*) FROM accelerometer_trusted), (SELECT count(*) FROM customer_curated),
            (SELECT count(*) FROM step_trainer_curated), (SELECT count(*) FROM machine_learning_curated),
            (SELECT string_agg(email || ' ' || n, ', ' ORDER BY email) FROM (SELECT email, count(*) AS n FROM accelerometer_trusted GROUP BY email) a),
            (SELECT count(*) FROM stedi_object WHERE stedi_object.vanished), (SELECT count(*) FROM stedi.audit('regress_vanished', 'regress_vanished_landing'))
        INTO customers, moves, curated, steps, pairs, movers, vanished, wrong;
END $$;
CREATE FUNCTION run(vanished text = NULL, full_refresh boolean = false, OUT table_name text, OUT mode text, OUT listed bigint, OUT read bigint, OUT rows_in bigint, OUT rows_out bigint, OUT rows bigint) RETURNS SETOF record LANGUAGE sql AS $$
    SELECT table_name, mode, objects_listed, objects_read, rows_in, rows_out, rows FROM stedi.materialize('regress_vanished', 'regress_vanished_landing', vanished => run.vanished, full_refresh => run.full_refresh)
$$;
SET client_min_messages = notice;

SELECT land('customers/1', customer('ada', 10, 5)), land('customers/2', customer('ben', 10, 5)), land('customers/3', customer('cleo', 10, 5)), land('customers/4', customer('cleo', 5, 5));
SELECT land('accelerometer/1', move('ada', 100), move('ben', 100)), land('accelerometer/2', move('ada', 101), move('ben', 101)),
    land('accelerometer/3', move('ada', 102), move('cleo', 102)), land('accelerometer/4', move('ben', 103), move('ben', 100));
SELECT land('step_trainer/1', step('ada', 100), step('ben', 100)), land('step_trainer/2', step('ada', 101), step('ben', 101)), land('step_trainer/3', step('cleo', 102)), land('step_trainer/4', step('ben', 103));
SELECT * FROM run();
SELECT * FROM zone();
SELECT * FROM run(vanished => 'ask'); -- ERROR

-- half of a table's objects may go
SELECT remove('accelerometer/3'), remove('accelerometer/4');
SELECT * FROM run();
SELECT * FROM zone();
-- more may not, unless one is told: nothing is changed
SELECT remove('step_trainer/1'), remove('step_trainer/2'), remove('step_trainer/3'), remove('customers/4');
\set VERBOSITY default
SELECT * FROM run(); -- ERROR
\set VERBOSITY terse
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM run(full_refresh => true); -- ERROR
SELECT * FROM stedi.materialize('regress_vanished', 'regress_vanished_landing', dry_run => true); -- ERROR: which ends no more than the run
SELECT table_name FROM stedi.materialize_step_trainer_curated('regress_vanished', 'regress_vanished_landing'); -- ERROR
SELECT * FROM zone();
-- somebody can be forgotten all the same
BEGIN;
SELECT * FROM stedi.forget('regress_vanished', 'ben@x', 'objection', 'regress_vanished_landing');
ROLLBACK;
SELECT * FROM run(vanished => 'remove');
SELECT * FROM zone();
-- what comes in their place
SELECT land('accelerometer/2', move('ada', 101), move('ben', 101), move('cleo', 102)), land('step_trainer/5', step('ada', 101), step('cleo', 102));
SELECT * FROM run();
SELECT * FROM zone();

-- readings may stay, and it is said how many; a table without any object is another matter
SELECT remove('accelerometer/1'), remove('accelerometer/2'), remove('step_trainer/4');
\set VERBOSITY sqlstate
SELECT * FROM run(vanished => 'keep'); -- ERROR
\set VERBOSITY terse
ALTER FOREIGN TABLE regress_vanished_landing.accelerometer_landing OPTIONS (ADD allow_empty 'true');
SELECT * FROM run(vanished => 'keep');
SELECT * FROM zone();
-- until there is no consent to that, also in a run that rebuilds
SELECT DISTINCT mode, sum(rows_in + rows_out) FROM run(vanished => 'keep') GROUP BY 1;
SELECT rows FROM run(vanished => 'keep', full_refresh => true);
SELECT * FROM zone();
SELECT land('customers/5', customer('ben', 20, 0));
SELECT * FROM run(vanished => 'keep');
SELECT * FROM zone();
-- kept readings are nobody's new ones: other objects bring theirs beside them
SELECT land('accelerometer/6', move('ada', 104), move('ada', 101)), land('step_trainer/6', step('ada', 104), step('ada', 101));
SELECT * FROM run(vanished => 'keep');
SELECT * FROM zone();
-- who is forgotten leaves nothing behind
SELECT name, rows FROM stedi.forget('regress_vanished', 'cleo@x', 'objection', 'regress_vanished_landing') WHERE source = 'table';
SELECT * FROM run(vanished => 'keep');
SELECT * FROM zone();
-- an object that comes back as it was need not be read; one that has changed must
SELECT stedi.unforget('regress_vanished', 'cleo@x');
SELECT land('accelerometer/7', move('ada', 105), move('cleo', 102));
SELECT rows FROM run(vanished => 'keep');
SELECT move_object('accelerometer/7', 'accelerometer/.7');
SELECT * FROM run(vanished => 'keep') WHERE table_name = 'accelerometer_trusted';
SELECT * FROM zone();
SELECT move_object('accelerometer/.7', 'accelerometer/7');
SELECT * FROM run(vanished => 'keep') WHERE table_name = 'accelerometer_trusted';
SELECT * FROM zone();
SELECT land('accelerometer/2', move('ben', 101), move('cleo', 103));
SELECT * FROM run(vanished => 'keep') WHERE table_name = 'accelerometer_trusted';
SELECT * FROM zone();
-- a run that is not told to keep them takes them along
SELECT * FROM run();
SELECT * FROM zone();
-- customers never stay
SELECT remove('customers/1');
SELECT * FROM run(vanished => 'keep');
SELECT * FROM zone();
SELECT remove('customers/3'), remove('customers/5');
\set VERBOSITY default
SELECT * FROM run(vanished => 'keep'); -- ERROR
\set VERBOSITY terse
SELECT * FROM run(vanished => 'remove');
SELECT * FROM zone();

-- another definition makes everything another: that is said, and all is read
ALTER FOREIGN TABLE regress_vanished_landing.customer_landing OPTIONS (ADD max_record_size '1MB');
SELECT * FROM run();
SELECT * FROM run();
ALTER FOREIGN TABLE regress_vanished_landing.step_trainer_landing ADD COLUMN place text;
SELECT DISTINCT mode FROM run();
ALTER FOREIGN TABLE regress_vanished_landing.step_trainer_landing DROP COLUMN place;
SELECT DISTINCT mode FROM run();
-- a value that looks like a line of the books is none
ALTER FOREIGN TABLE regress_vanished_landing.step_trainer_landing ADD COLUMN U&"place\000Aexpect a\000Ae-mails of form 1" text OPTIONS (key 'place');
SELECT DISTINCT mode FROM run();
SELECT DISTINCT mode FROM run();
ALTER FOREIGN TABLE regress_vanished_landing.step_trainer_landing DROP COLUMN U&"place\000Aexpect a\000Ae-mails of form 1";
SELECT DISTINCT mode FROM run();
-- what decides nothing does not
ALTER FOREIGN TABLE regress_vanished_landing.step_trainer_landing OPTIONS (ADD reject_limit '7');
SELECT DISTINCT mode FROM run();
-- one table alone leaves the others behind
SELECT table_name, mode FROM stedi.materialize_customer_curated('regress_vanished', 'regress_vanished_landing');
SELECT DISTINCT mode FROM run();
SELECT DISTINCT mode FROM run();
-- and so do books that are lost
DROP TABLE stedi_object;
SELECT DISTINCT mode FROM run();
TRUNCATE stedi_state;
SELECT DISTINCT mode FROM run();
ALTER TABLE stedi_device ADD COLUMN note text;
SELECT DISTINCT mode FROM run();
SELECT DISTINCT mode FROM run();
-- a rule is changed for all of them
SELECT DISTINCT mode FROM stedi.materialize('regress_vanished', 'regress_vanished_landing', consent => 'since_consent');
SELECT DISTINCT mode FROM run();
SELECT * FROM zone();

SET client_min_messages = error;
DROP SERVER regress_vanished CASCADE;
DROP SCHEMA regress_vanished, regress_vanished_landing CASCADE;
COPY (SELECT WHERE false) TO PROGRAM 'rm -r stedi_vanished';
