-- Proves what expectations do: what a condition may be, that rows are counted, left out or end the run, and that nothing of a row is told.
-- Guards src/run/expect.c and src/zone/condition.c.

\set VERBOSITY terse
SET client_min_messages = warning;
-- a landing zone that changes, below the server's data directory
COPY (SELECT WHERE false) TO PROGRAM 'rm -rf stedi_expect && mkdir stedi_expect && cd stedi_expect && mkdir customers accelerometer step_trainer';
CREATE SCHEMA regress_expect;
CREATE SCHEMA regress_expect_landing;
DO $$
BEGIN
    EXECUTE format('CREATE SERVER regress_expect FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url %L)', 'file://' || current_setting('data_directory') || '/stedi_expect');
END $$;
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_expect INTO regress_expect_landing;
SET search_path = regress_expect, stedi_books_regress_expect;
CREATE FUNCTION land(key text, VARIADIC records text[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COPY (SELECT unnest(%L::text[])) TO PROGRAM %L', records, format('cd stedi_expect && cat >.new && mv .new %s.json', key));
    RETURN key;
END $$;
CREATE FUNCTION remove(key text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COPY (SELECT WHERE false) TO PROGRAM %L', format('rm stedi_expect/%s.json', key));
    RETURN key;
END $$;
CREATE FUNCTION customer(who text, updated int, consent int) RETURNS text LANGUAGE sql AS $$
    SELECT json_build_object('customerName', who, 'email', who || '@x', 'serialNumber', who, 'registrationDate', 1, 'lastUpdateDate', updated, 'shareWithResearchAsOfDate', consent)
$$;
CREATE FUNCTION move(who text, at int, x float8) RETURNS text LANGUAGE sql AS $$
    SELECT json_build_object('user', who || '@x', 'timestamp', at, 'x', x, 'y', 2, 'z', 3)
$$;
CREATE FUNCTION step(who text, at int, distance int) RETURNS text LANGUAGE sql AS $$
    SELECT json_build_object('serialNumber', who, 'sensorReadingTime', at, 'distanceFromObject', distance)
$$;
-- one line a table: how it was made, what became of the records read, and its rows
CREATE FUNCTION run(full_refresh boolean = false, vanished text = NULL, OUT table_name text, OUT mode text, OUT records bigint, OUT unexpected bigint, OUT duplicates bigint, OUT unchanged bigint, OUT kept bigint, OUT rows bigint)
        RETURNS SETOF record LANGUAGE sql AS $$
    SELECT table_name, mode, records_read, unexpected, duplicates, unchanged, kept, rows
    FROM stedi.materialize('regress_expect', 'regress_expect_landing', full_refresh => run.full_refresh, vanished => run.vanished)
$$;
-- who is in, and what there is of them; wrong: rows that audit finds
CREATE FUNCTION zone(OUT customers text, OUT moves text, OUT curated text, OUT steps text, OUT pairs text, OUT wrong bigint) LANGUAGE plpgsql SET search_path = regress_expect, stedi_books_regress_expect AS $$
BEGIN
    SELECT (SELECT string_agg(email, ' ' ORDER BY email) FROM customer_trusted),
            (SELECT string_agg(left(email, 1) || stedi.epoch_ms("timestamp") || ':' || coalesce(x::text, '-'), ' ' ORDER BY email, "timestamp", x) FROM accelerometer_trusted),
            (SELECT string_agg(email, ' ' ORDER BY email) FROM customer_curated),
            (SELECT string_agg(left(serialnumber, 1) || stedi.epoch_ms(sensorreadingtime) || ':' || distancefromobject, ' ' ORDER BY serialnumber, sensorreadingtime) FROM step_trainer_curated),
            (SELECT string_agg(left(serialnumber, 1) || stedi.epoch_ms(sensorreadingtime) || ':' || distancefromobject || ':' || x, ' ' ORDER BY serialnumber, sensorreadingtime, x) FROM machine_learning_curated),
            (SELECT count(*) FROM stedi.audit('regress_expect', 'regress_expect_landing'))
        INTO customers, moves, curated, steps, pairs, wrong;
END $$;
SET client_min_messages = notice;

-- what a condition may be
SELECT stedi.expect('regress_expect', 'accelerometer', 'n', 'true'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', '', 'true'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', NULL); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', 'true', 'stop'); -- ERROR
SELECT stedi.expect('regress_expect', 'customer_trusted', 'n', 'true', 'drop'); -- ERROR
SELECT stedi.expect('regress_expect', 'customer_curated', 'n', 'true', 'drop'); -- ERROR
SELECT stedi.expect('pg_temp', 'customer_curated', 'n', 'true'); -- ERROR
\set VERBOSITY default
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', 'x >> 1'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', 'x > 0 AND time > 0'); -- ERROR
\set VERBOSITY terse
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', condition)
    FROM unnest(ARRAY['x']) condition; -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', ''); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', '*'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', 'accelerometer_trusted.*'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', 'x > 0) OR (true'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', 'x > 0, true'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', 'x > 0 FROM regress_expect.secret'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', 'true; DROP SCHEMA stedi CASCADE'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', 'x > (SELECT 1)'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', 'x > avg(x)'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', 'x > $1'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', 'tableoid > 1'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', 'accelerometer_trusted IS NOT NULL'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', 'accelerometer_trusted.x > 1'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', 'x > random()'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', '"timestamp" <= now()', 'drop'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', 'NOT "timestamp" > ''Now''', 'drop'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', '"timestamp" <@ ''[2020-01-01, today]''::tstzrange', 'drop'); -- ERROR
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'n', 'position(''@'' in email) > 1 AND land(''a'') IS NULL'); -- ERROR: not on the safe path
SELECT stedi.unexpect('regress_expect', 'accelerometer_trusted', 'n');
SELECT relname FROM pg_class WHERE relnamespace = 'regress_expect'::regnamespace;

-- before the first run; set once more, it stays as it is
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'x in range', 'x BETWEEN -20 AND 20 -- m/s2');
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'x in range', 'x BETWEEN -20 AND 20 -- m/s2');
SELECT relname, pg_get_userbyid(relowner) = current_user AS mine, relacl FROM pg_class WHERE relnamespace = 'stedi_books_regress_expect'::regnamespace;
SELECT * FROM stedi.expectations('regress_expect');
SELECT land('customers/1', customer('ada', 10, 5), customer('ben', 10, 5), customer('cleo', 10, 5), customer('dan', 10, 0)),
    land('accelerometer/1', move('ada', 100, 1), move('ada', 101, 30), move('ada', 101, 30), move('ben', 100, 25), move('cleo', 100, NULL), move('cleo', 101, 0)),
    land('accelerometer/2', move('dan', 100, 77)),
    land('step_trainer/1', step('ada', 100, 200), step('ada', 101, 0), step('ben', 100, 200), step('cleo', 101, 9), step('dan', 100, 0));
SELECT * FROM run();
SELECT * FROM stedi.expectations('regress_expect');
SELECT * FROM zone();

-- drop: the next run reads everything once; who has no readings left is not in customer_curated, nor what derives from that
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'x in range', 'x BETWEEN -20 AND 20', 'drop');
SELECT table_name, problem, count(*) FROM stedi.audit('regress_expect', 'regress_expect_landing') GROUP BY table_name, problem ORDER BY table_name, problem;
SELECT * FROM run();
SELECT * FROM stedi.expectations('regress_expect');
SELECT * FROM zone();
SELECT run, table_name, unexpected FROM stedi_run WHERE unexpected > 0;
-- nothing is new; then a run that renews: one row comes, one is left out; withdrawals are as ever
SELECT * FROM run();
SELECT land('accelerometer/3', move('ada', 102, 2), move('ada', 103, 50), move('ben', 104, 3)), land('customers/2', customer('cleo', 20, 0));
SELECT * FROM run();
SELECT * FROM zone();
-- full_refresh is the same
SELECT * FROM run(full_refresh => true);
SELECT * FROM zone();
-- a number as text is the same in all sessions
SET extra_float_digits = -15;
SELECT stedi.expect('regress_expect', 'step_trainer_curated', 'as text', 'length((distancefromobject / 3::float8)::text) > 4', 'drop');
SELECT * FROM run();
RESET extra_float_digits;
SELECT * FROM zone();
SELECT stedi.unexpect('regress_expect', 'step_trainer_curated', 'as text');
-- of steps and of pairs
SELECT stedi.expect('regress_expect', 'step_trainer_curated', 'far enough', 'distancefromobject > 0', 'drop');
SELECT stedi.expect('regress_expect', 'machine_learning_curated', 'no first', 'x <> 1 OR sensorreadingtime > ''1970-01-01 00:00:01''', 'drop');
SELECT * FROM run();
SELECT * FROM zone();
SELECT land('step_trainer/2', step('ada', 102, 0), step('ada', 102, 7), step('ben', 104, 9)), land('accelerometer/4', move('ben', 104, 1), move('ada', 102, 1));
SELECT * FROM run();
SELECT * FROM zone();
SELECT * FROM run(full_refresh => true);
SELECT * FROM zone();
-- by time alone, pairs are made by another way
SET client_min_messages = error;
SELECT table_name, mode, unexpected, rows FROM stedi.materialize('regress_expect', 'regress_expect_landing', match => 'time') WHERE table_name LIKE 'machine%';
SELECT * FROM zone();
SELECT table_name, mode, unexpected, rows FROM stedi.materialize('regress_expect', 'regress_expect_landing');
SET client_min_messages = notice;
SELECT * FROM zone();
-- somebody is forgotten, and comes back as what is expected
SELECT source, name, rows FROM stedi.forget('regress_expect', 'ada@x', 'objection', 'regress_expect_landing') WHERE source = 'table';
SELECT stedi.unforget('regress_expect', 'ada@x');
SELECT * FROM run();
SELECT * FROM zone();

-- a table alone; a run of another one asks about the other's expectations, and no others
SELECT table_name, unexpected, rows FROM stedi.materialize_accelerometer_trusted('regress_expect', 'regress_expect_landing');
SELECT table_name, unexpected, rows FROM stedi.materialize_step_trainer_curated('regress_expect', 'regress_expect_landing');
SELECT table_name, unexpected, rows FROM stedi.materialize_machine_learning_curated('regress_expect', 'regress_expect_landing');
SELECT * FROM zone();
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'not three', 'x <> 3', 'drop');
SELECT table_name, unexpected, rows FROM stedi.materialize_customer_curated('regress_expect', 'regress_expect_landing');
SELECT * FROM zone();
-- readings whose objects are gone stay, as far as they are expected
SELECT remove('accelerometer/3');
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'not two', 'x <> 2', 'drop');
SELECT * FROM run(vanished => 'keep');
SELECT * FROM zone();
-- whoever has withdrawn since is asked about no more, not even in rows that might stay
SELECT land('customers/3', customer('ben', 25, 0));
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'not two', 'CASE left(email, 3) WHEN ''ben'' THEN 1 / (x - x)::integer > 0 ELSE x <> 2 END', 'drop'),
    stedi.expect('regress_expect', 'machine_learning_curated', 'no first', 'CASE serialnumber WHEN ''ben'' THEN 1 / (x - x)::integer > 0 ELSE x <> 2 END', 'drop');
SELECT * FROM run(vanished => 'keep');
SELECT * FROM zone();
SELECT land('customers/3', customer('ben', 25, 5));
-- taken back: what was left out comes in
SELECT stedi.unexpect('regress_expect', e.table_name, e.name) FROM stedi.expectations('regress_expect') e WHERE action = 'drop';
SELECT stedi.unexpect('regress_expect', 'accelerometer_trusted', 'not two');
SELECT * FROM run(vanished => 'remove');
SELECT * FROM zone();

-- fail: nothing is changed; consent that was taken back can go ahead
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'x in range', 'x BETWEEN -20 AND 20', 'fail');
SELECT stedi.expect('regress_expect', 'customer_trusted', 'dated', 'lastupdatedate < now()', 'fail');
SELECT land('customers/3', customer('ben', 30, 0));
CREATE PROCEDURE run_or_withdraw() LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    PERFORM stedi.materialize('regress_expect', 'regress_expect_landing');
EXCEPTION WHEN check_violation THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RAISE WARNING '% % / % / %', sqlstate, sqlerrm, detail, hint;
    PERFORM stedi.materialize_customer_trusted('regress_expect', 'regress_expect_landing');
END $$;
SELECT * FROM run(); -- ERROR
SELECT * FROM zone();
SELECT name, action, met, violated, run IS NULL AS fresh FROM stedi.expectations('regress_expect') ORDER BY name;
CALL run_or_withdraw();
SELECT customers, moves FROM zone();
SELECT name, action, met, violated FROM stedi.expectations('regress_expect') ORDER BY name;
-- of customers themselves it is their owner who has to let it go ahead
SELECT stedi.expect('regress_expect', 'customer_trusted', 'dated', 'customername <> ''ada''', 'fail');
\set VERBOSITY default
SELECT * FROM run(); -- ERROR
\set VERBOSITY terse
SELECT stedi.expect('regress_expect', 'customer_trusted', 'dated', 'customername <> ''ada''');
SELECT stedi.unexpect('regress_expect', 'accelerometer_trusted', 'x in range');
SELECT * FROM run();
SELECT stedi.expect('regress_expect', 'customer_trusted', 'dated', 'lastupdatedate < now()');

-- an error in a condition tells nothing of the row; who is out is never asked about
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'broken', '1 / (x - 1)::integer <> 0');
SELECT * FROM run(); -- ERROR
SELECT land('accelerometer/5', move('ada', 105, 9));
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'broken', 'left(email, 3)::integer > 0', 'drop');
\set VERBOSITY default
SELECT * FROM run(); -- ERROR
\set VERBOSITY terse
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'broken', 'CASE WHEN email LIKE ''ben%'' OR email LIKE ''dan%'' THEN email::integer > 0 ELSE true END', 'drop');
SELECT * FROM run();
-- nor does one that a function raises as if it were a cancel, or a statement that is cancelled
CREATE FUNCTION tell(email text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RAISE EXCEPTION '%', email USING ERRCODE = 'query_canceled', DETAIL = email;
END $$;
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'told', 'regress_expect.tell(email)');
\set VERBOSITY default
SELECT * FROM run(); -- ERROR
CREATE OR REPLACE FUNCTION tell(email text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    EXECUTE format('SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(60), %L', email);
    RETURN true;
END $$;
SELECT * FROM run(); -- ERROR
\set VERBOSITY terse
SELECT stedi.unexpect('regress_expect', 'accelerometer_trusted', 'told');
-- what somebody else has put there is no expectation
UPDATE stedi_expectation SET action = 'drop' WHERE table_name = 'customer_trusted';
SELECT * FROM run(); -- ERROR
UPDATE stedi_expectation SET action = 'warn', condition = 'nothing()' WHERE table_name = 'customer_trusted';
SELECT * FROM run(); -- ERROR
SELECT stedi.unexpect('regress_expect', 'customer_trusted', 'dated');

-- a function of one's own; the action of one that is not parallel safe is the same
SET client_min_messages = warning;
CREATE FUNCTION near(x float8) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN abs(x) < 20; END';
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'broken', 'regress_expect.near(x)', 'drop');
SET min_parallel_table_scan_size = 0;
SELECT table_name, unexpected, rows FROM run();
SELECT * FROM zone();
-- an error of another process is told as it is, whatever the leader is at
CREATE FUNCTION wait(x float8) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    PERFORM pg_sleep(10) FROM pg_stat_activity WHERE pid = pg_backend_pid() AND backend_type = 'client backend';
    RETURN true;
END $$;
ALTER FOREIGN TABLE regress_expect_landing.accelerometer_landing OPTIONS (ADD on_error 'stop');
SELECT land('accelerometer/9', 'no record');
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'broken', 'regress_expect.wait(x)', 'drop');
SELECT * FROM run(); -- ERROR
SELECT remove('accelerometer/9');
ALTER FOREIGN TABLE regress_expect_landing.accelerometer_landing OPTIONS (DROP on_error);
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'broken', 'regress_expect.near(x)', 'drop');
CREATE ROLE regress_expect_other;
GRANT USAGE, CREATE ON SCHEMA regress_expect TO regress_expect_other;
SET ROLE regress_expect_other;
SELECT stedi.expect('regress_expect', 'accelerometer_trusted', 'mine', 'true'); -- ERROR
SELECT stedi.unexpect('regress_expect', 'accelerometer_trusted', 'broken'); -- ERROR
SELECT * FROM stedi.expectations('regress_expect'); -- ERROR
RESET ROLE;
-- whoever can write conditions could have the owner do anything
GRANT SELECT, UPDATE (condition) ON stedi_expectation TO regress_expect_other;
\set VERBOSITY default
SELECT * FROM run(); -- ERROR
SELECT count(*) FROM stedi.audit('regress_expect', 'regress_expect_landing'); -- ERROR
\set VERBOSITY terse
REVOKE INSERT, UPDATE ON TABLE stedi_books_regress_expect.stedi_expectation FROM regress_expect_other;
SELECT table_name, unexpected, rows FROM run();

-- a target of 1.0: its bookkeeping gets what it lacks, and keeps what it has
ALTER TABLE stedi_run DROP unexpected, DROP without_readings;
DROP TABLE stedi_expectation;
SELECT max(run) AS before FROM stedi_run \gset
SELECT table_name, mode, unexpected, rows FROM run();
SELECT table_name, unexpected FROM stedi_run WHERE run > :before ORDER BY table_name;
SELECT min(run), max(run) > :before AS more FROM stedi_run;
SELECT * FROM stedi.expectations('regress_expect');
-- with the objects of 1.0 the report is as it was
BEGIN;
DROP EXTENSION stedi CASCADE;
CREATE EXTENSION stedi VERSION '1.0';
DO $$
BEGIN
    EXECUTE format('CREATE SERVER regress_expect FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url %L)', 'file://' || current_setting('data_directory') || '/stedi_expect');
END $$;
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_expect INTO regress_expect_landing;
SELECT table_name, kept, rows, elapsed >= '0' AS elapsed FROM stedi.materialize('regress_expect', 'regress_expect_landing') m WHERE to_jsonb(m) ->> 'unexpected' IS NULL;
ROLLBACK;

DROP SCHEMA regress_expect, regress_expect_landing CASCADE;
DROP SERVER regress_expect CASCADE;
DROP ROLE regress_expect_other;
COPY (SELECT WHERE false) TO PROGRAM 'rm -rf stedi_expect';
