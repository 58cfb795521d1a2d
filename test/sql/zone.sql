-- Proves the rules of the five tables on a landing zone small enough to follow by eye, and what a run does to tables that are there.
-- Guards src/commands/materialize.c and the other src/zone_*.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set day file:// :abs_srcdir /data/zone
\set later file:// :abs_srcdir /data/zone_later
\set VERBOSITY terse
CREATE SCHEMA regress_zone;
CREATE SCHEMA regress_zone_landing;
CREATE SCHEMA regress_zone_later;
CREATE SERVER regress_zone FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'day');
CREATE SERVER regress_zone_later FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'later');
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_zone INTO regress_zone_landing;
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_zone_later INTO regress_zone_later;
SET search_path = regress_zone, stedi_books_regress_zone;
\set counts 'table_name, mode, consent, objects_listed AS listed, objects_read AS read, records_read AS records, superseded, no_consent, before_consent AS before, unknown_owner AS unknown, without_readings AS without, ambiguous, forgotten, duplicates, rejected, rows_in, rows_out, rows'

-- what a statement answers, whoever runs this
CREATE FUNCTION answer(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE statement INTO result;
    RETURN result;
EXCEPTION WHEN check_violation OR foreign_key_violation OR object_in_use THEN
    RETURN 'ERROR: ' || sqlstate;
WHEN OTHERS THEN
    RETURN 'ERROR: ' || replace(sqlerrm, format('"%s"', current_user), '"me"');
END $$;

-- nothing is there yet
SELECT table_name FROM stedi.materialize('regress_zone'); -- ERROR
SELECT table_name FROM stedi.materialize(NULL); -- ERROR
SELECT table_name FROM stedi.materialize('regress_zone', 'regress_zone_landing', consent => 'always'); -- ERROR
SELECT table_name FROM stedi.materialize('regress_zone', 'regress_zone_landing', match => 'serial'); -- ERROR
SELECT table_name FROM stedi.materialize_accelerometer_trusted('regress_zone', 'regress_zone_landing'); -- ERROR
SELECT table_name FROM stedi.materialize_machine_learning_curated('regress_zone', 'regress_zone_landing'); -- ERROR
SELECT relname FROM pg_class WHERE relnamespace = 'regress_zone'::regnamespace;

-- dry_run reports what a run would do, and does nothing
SET client_min_messages = error;
SELECT table_name, mode, rows FROM stedi.materialize('regress_zone', 'regress_zone_landing', dry_run => true);
SELECT relname FROM pg_class WHERE relnamespace = 'regress_zone'::regnamespace;
RESET client_min_messages;

-- the first run: each record is counted once, as doc/rules.md has it
\set VERBOSITY default
SELECT :counts FROM stedi.materialize('regress_zone', 'regress_zone_landing');
\set VERBOSITY terse
DELETE FROM stedi_books_regress_zone.stedi_state; -- the next run reads everything
SELECT table_name, elapsed >= '0' AS elapsed, bytes_read > 0 AS bytes FROM stedi.materialize('regress_zone', 'regress_zone_landing', dry_run => true);
-- who is in, with which device and which consent
SELECT email, serialnumber, stedi.epoch_ms(lastupdatedate) AS updated, stedi.epoch_ms(sharewithresearchasofdate) AS consent, birthday
    FROM customer_trusted ORDER BY email COLLATE "C";
SELECT customername, phone, birthday = '1969-12-31' AS birthday, stedi.epoch_ms(registrationdate) AS registration,
        stedi.epoch_ms(sharewithpublicasofdate) AS public, stedi.epoch_ms(sharewithfriendsasofdate) AS friends
    FROM customer_trusted WHERE email = 'plain@x';
SELECT email, string_agg(stedi.epoch_ms("timestamp") || ': ' || coalesce(x::text, 'NULL'), ', ' ORDER BY "timestamp", x) AS readings
    FROM accelerometer_trusted GROUP BY email ORDER BY email COLLATE "C";
SELECT email FROM customer_trusted EXCEPT SELECT email FROM customer_curated ORDER BY email;
SELECT count(*) FROM (TABLE customer_curated EXCEPT TABLE customer_trusted) more;
SELECT serialnumber, string_agg(stedi.epoch_ms(sensorreadingtime) || ': ' || distancefromobject, ', ' ORDER BY sensorreadingtime, distancefromobject) AS steps
    FROM step_trainer_curated GROUP BY serialnumber ORDER BY serialnumber COLLATE "C";
SELECT serialnumber, string_agg(stedi.epoch_ms(sensorreadingtime) || ': ' || distancefromobject || ' ' || x, ', ' ORDER BY sensorreadingtime, distancefromobject) AS pairs
    FROM machine_learning_curated GROUP BY serialnumber ORDER BY serialnumber COLLATE "C";
-- ordinary tables, whose comments name the rule
SELECT relname, relkind, obj_description(oid, 'pg_class') AS comment FROM pg_class
    WHERE relnamespace = 'regress_zone'::regnamespace AND relkind = 'r' AND relname NOT LIKE 'stedi%' ORDER BY relname;
-- and psql's \d+ tells of every column of the five
SELECT c.relname, count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE relnamespace = 'regress_zone'::regnamespace AND relkind = 'r' AND relname NOT LIKE 'stedi%'
        AND col_description(c.oid, a.attnum) IS NOT NULL GROUP BY c.relname ORDER BY c.relname COLLATE "C";

-- each with a small index by which one person's or device's rows are found
SELECT indexdef FROM pg_indexes WHERE schemaname = 'regress_zone' ORDER BY indexname;
SELECT table_name, string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position) AS columns
    FROM information_schema.columns WHERE table_schema = 'regress_zone' GROUP BY table_name ORDER BY table_name COLLATE "C";
-- bookkeeping: no value of a record, no oid
SELECT consent, match FROM stedi_rule;
SELECT run, count(*), sum(rows) AS rows FROM stedi_run GROUP BY run ORDER BY run;
SELECT table_name, key, size > 0 AS size, etag <> '' AS etag, records, rejects FROM stedi_object ORDER BY table_name COLLATE "C", key COLLATE "C";
SELECT attrelid::regclass, attname, atttypid::regtype FROM pg_attribute
    WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'regress_zone'::regnamespace AND relkind = 'r') AND attnum > 0
    AND (atttypid = 'oid'::regtype OR atttypid::regtype::text LIKE 'reg%');
SELECT count(*) AS members FROM pg_depend WHERE deptype = 'e' AND objid IN (SELECT oid FROM pg_class WHERE relnamespace = 'regress_zone'::regnamespace);

-- what hangs on the tables
CREATE VIEW per_customer AS SELECT email, count(*) FROM accelerometer_trusted GROUP BY email;
CREATE INDEX by_time ON machine_learning_curated (sensorreadingtime);
CREATE ROLE regress_analyst;
GRANT SELECT ON machine_learning_curated TO regress_analyst;
GRANT SELECT (email) ON customer_trusted TO regress_analyst;
ALTER TABLE step_trainer_curated ENABLE ROW LEVEL SECURITY;
CREATE POLICY nobody ON step_trainer_curated TO regress_analyst USING (false);
COMMENT ON COLUMN machine_learning_curated.x IS 'mine';
ALTER TABLE machine_learning_curated CLUSTER ON by_time, SET (fillfactor = 90), ALTER x SET STATISTICS 7;
CREATE TEMP TABLE before AS SELECT oid, relname, relacl, relfilenode FROM pg_class WHERE relnamespace = 'regress_zone'::regnamespace;
CREATE FUNCTION unchanged(OUT storage text, OUT others boolean) LANGUAGE sql AS $$
    SELECT string_agg(b.relname, ' ' ORDER BY b.relname COLLATE "C") FILTER (WHERE b.relfilenode = c.relfilenode),
        bool_and(c.oid IS NOT NULL AND b.relname = c.relname AND b.relacl IS NOT DISTINCT FROM c.relacl)
            AND (SELECT count(*) = 12 FROM per_customer)
            AND (SELECT indisvalid AND indisclustered FROM pg_index WHERE indexrelid = 'regress_zone.by_time'::regclass)
            AND (SELECT reloptions = '{fillfactor=90}' FROM pg_class WHERE oid = 'regress_zone.machine_learning_curated'::regclass)
            AND (SELECT count(*) = 1 FROM pg_policy WHERE polrelid = 'regress_zone.step_trainer_curated'::regclass)
            AND col_description('regress_zone.machine_learning_curated'::regclass, 4) = 'mine'
    FROM before b LEFT JOIN pg_class c USING (oid) WHERE b.relname NOT LIKE 'stedi%'
$$;
-- a second run finds nothing to do
SET client_min_messages = error;
SELECT table_name, mode, rows_in, rows_out, rows FROM stedi.materialize('regress_zone', 'regress_zone_landing');
SELECT * FROM unchanged();
-- rows that somebody changed are put right
DELETE FROM machine_learning_curated WHERE serialnumber = 'form';
INSERT INTO step_trainer_curated SELECT * FROM step_trainer_curated WHERE serialnumber = 'given';
UPDATE customer_trusted SET phone = 'none' WHERE email = 'plain@x';
DELETE FROM stedi_books_regress_zone.stedi_state; -- the next run reads everything
SELECT table_name, mode, rows_in, rows_out, rows FROM stedi.materialize('regress_zone', 'regress_zone_landing');
-- full_refresh fills new storage: the tables stay what they are
SELECT table_name, mode, rows_in, rows_out, rows FROM stedi.materialize('regress_zone', 'regress_zone_landing', full_refresh => true);
SELECT * FROM unchanged();
SELECT count(*) AS left_behind FROM pg_class WHERE relname LIKE 'stedi_staged_%';
SELECT table_name, mode, rows FROM stedi.materialize('regress_zone', 'regress_zone_landing', full_refresh => true, dry_run => true);
SET ROLE regress_analyst;
SELECT count(*) FROM regress_zone.machine_learning_curated; -- ERROR: no USAGE on the schema
RESET ROLE;
SET enable_seqscan = off;
SELECT count(*) FROM machine_learning_curated WHERE sensorreadingtime = '1970-01-01 00:00:00.3+00';
RESET enable_seqscan;

-- the rule is kept; one-by-one calls do not mix rules
SELECT DISTINCT consent FROM stedi.materialize('regress_zone', 'regress_zone_landing', consent => 'granted');
\set VERBOSITY default
SELECT table_name FROM stedi.materialize_accelerometer_trusted('regress_zone', 'regress_zone_landing', consent => 'since_consent'); -- ERROR
\set VERBOSITY terse
RESET client_min_messages;
SELECT :counts FROM stedi.materialize('regress_zone', 'regress_zone_landing', consent => 'since_consent');
SET client_min_messages = error;
SELECT DISTINCT consent FROM stedi.materialize('regress_zone', 'regress_zone_landing');
SELECT consent FROM stedi.materialize_customer_trusted('regress_zone', 'regress_zone_landing');
SELECT consent FROM stedi.materialize_customer_trusted('regress_zone', 'regress_zone_landing', consent => 'granted'); -- ERROR
SELECT bool_and(obj_description(oid, 'pg_class') LIKE '%since_consent%') AS named FROM pg_class
    WHERE relnamespace = 'regress_zone'::regnamespace AND relkind = 'r' AND relname NOT LIKE 'stedi%';
SELECT email, "timestamp" FROM accelerometer_trusted a JOIN customer_trusted t USING (email) WHERE "timestamp" < sharewithresearchasofdate;

-- match on the time alone: what the original job did
RESET client_min_messages;
\set VERBOSITY default
SELECT table_name, rows_in, rows_out, rows FROM stedi.materialize('regress_zone', 'regress_zone_landing', consent => 'granted', match => 'time') WHERE table_name = 'machine_learning_curated';
\set VERBOSITY terse
SET client_min_messages = error;
SELECT match FROM stedi_rule;
-- the comment does not say "of the same customer" then
SELECT obj_description('machine_learning_curated'::regclass, 'pg_class') ~ 'of the same customer' AS says_same_customer;
-- steps before it leave it joined as it was, and prune it so
SELECT table_name, rows_in, rows_out FROM stedi.materialize_step_trainer_curated('regress_zone', 'regress_zone_landing');
SELECT count(*) FROM machine_learning_curated;
SELECT table_name, rows_in, rows_out, rows FROM stedi.materialize_machine_learning_curated('regress_zone', 'regress_zone_landing');
SELECT match FROM stedi_rule;

-- the day after: one call alone takes out of all tables what is no longer covered
RESET client_min_messages;
-- another landing zone is read only when that is confirmed
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_zone_later'); -- ERROR
SELECT count(*) FROM stedi.materialize_customer_trusted('regress_zone', 'regress_zone_later', dry_run => true); -- ERROR
SELECT landing FROM stedi_rule;
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_zone_later', full_refresh => true, dry_run => true);
UPDATE stedi_books_regress_zone.stedi_rule SET landing = NULL; -- the next run may read another landing zone
SELECT :counts FROM stedi.materialize_customer_trusted('regress_zone', 'regress_zone_later');
SELECT count(*) AS left_of_plain FROM accelerometer_trusted WHERE email = 'plain@x';
SELECT count(*) AS left_of_plain FROM customer_curated WHERE email = 'plain@x';
SELECT count(*) AS left_of_plain FROM step_trainer_curated WHERE serialnumber = 'plain';
SELECT count(*) AS left_of_plain FROM machine_learning_curated WHERE serialnumber = 'plain';
-- and the others step by step come to the same as all at once
SET client_min_messages = error;
SELECT :counts FROM stedi.materialize_accelerometer_trusted('regress_zone', 'regress_zone_later');
SELECT table_name, rows_in, rows_out, rows FROM stedi.materialize_customer_curated('regress_zone', 'regress_zone_later');
SELECT :counts FROM stedi.materialize_step_trainer_curated('regress_zone', 'regress_zone_later');
SELECT table_name, rows_in, rows_out, rows FROM stedi.materialize_machine_learning_curated('regress_zone', 'regress_zone_later');
SELECT table_name, mode, rows_in, rows_out, rows FROM stedi.materialize('regress_zone', 'regress_zone_later');
CREATE SCHEMA regress_zone_again;
SELECT table_name, mode, rows FROM stedi.materialize('regress_zone_again', 'regress_zone_later');
SELECT count(*) FROM (TABLE machine_learning_curated EXCEPT ALL TABLE regress_zone_again.machine_learning_curated) d;

-- a target table of another shape, kind or owner
ALTER TABLE regress_zone_again.customer_curated ADD COLUMN note text;
\set VERBOSITY default
SELECT table_name FROM stedi.materialize('regress_zone_again', 'regress_zone_later'); -- ERROR
\set VERBOSITY terse
ALTER TABLE regress_zone_again.customer_curated DROP COLUMN note;
SELECT count(*) FROM stedi.materialize('regress_zone_again', 'regress_zone_later');
SELECT count(*) FROM stedi.materialize('regress_zone_again', 'regress_zone_later', full_refresh => true);
ALTER TABLE regress_zone_again.customer_curated ALTER phone TYPE varchar;
SELECT table_name FROM stedi.materialize('regress_zone_again', 'regress_zone_later'); -- ERROR
DROP TABLE regress_zone_again.customer_curated;
CREATE VIEW regress_zone_again.customer_curated AS SELECT 1;
\set VERBOSITY default
SELECT table_name FROM stedi.materialize('regress_zone_again', 'regress_zone_later'); -- ERROR
\set VERBOSITY terse
DROP VIEW regress_zone_again.customer_curated;
SELECT table_name FROM stedi.materialize_step_trainer_curated('regress_zone_again', 'regress_zone_later'); -- ERROR
SELECT table_name, mode FROM stedi.materialize_customer_curated('regress_zone_again', 'regress_zone_later');
ALTER TABLE regress_zone_again.customer_curated OWNER TO regress_analyst;
SELECT answer($$SELECT table_name FROM stedi.materialize('regress_zone_again', 'regress_zone_later')$$);
SELECT count(*) FROM regress_zone_again.customer_curated;
ALTER TABLE regress_zone_again.customer_curated OWNER TO CURRENT_USER;
-- constraints of one's own hold, and an error changes nothing
ALTER TABLE regress_zone_again.machine_learning_curated ADD CHECK (serialnumber <> 'plain');
UPDATE stedi_books_regress_zone_again.stedi_rule SET landing = NULL; -- the next run may read another landing zone
SELECT answer($$SELECT table_name FROM stedi.materialize('regress_zone_again', 'regress_zone_landing')$$);
SELECT answer($$SELECT table_name FROM stedi.materialize('regress_zone_again', 'regress_zone_landing', full_refresh => true)$$);
SELECT count(*), count(*) FILTER (WHERE serialnumber || '' = 'plain') AS of_plain FROM regress_zone_again.machine_learning_curated;
DROP SCHEMA regress_zone_again CASCADE;
CREATE SCHEMA regress_zone_again;
SELECT count(*) FROM stedi.materialize('regress_zone_again', 'regress_zone_later');
-- a customer who changes keeps his key
ALTER TABLE regress_zone_again.customer_trusted ADD PRIMARY KEY (email);
UPDATE regress_zone_again.customer_trusted SET phone = 'none' WHERE email = 'given@x';
SELECT table_name, rows_in, rows_out FROM stedi.materialize_customer_trusted('regress_zone_again', 'regress_zone_later');
-- and what refers to him does not lose him unnoticed
CREATE TABLE regress_zone_again.note (email text REFERENCES regress_zone_again.customer_trusted);
INSERT INTO regress_zone_again.note VALUES ('withdrawn@x');
UPDATE stedi_books_regress_zone_again.stedi_rule SET landing = NULL; -- the next run may read another landing zone
SELECT answer($$SELECT table_name FROM stedi.materialize('regress_zone_again', 'regress_zone_landing')$$);
SELECT left(answer($$SELECT table_name FROM stedi.materialize('regress_zone_again', 'regress_zone_landing', full_refresh => true)$$), 5) AS refused;
SELECT count(*) AS dangling FROM regress_zone_again.note n WHERE NOT EXISTS (SELECT FROM regress_zone_again.customer_trusted t WHERE t.email = n.email);
DROP SCHEMA regress_zone_again CASCADE;
CREATE SCHEMA regress_zone_again;
SELECT count(*) FROM stedi.materialize('regress_zone_again', 'regress_zone_later');
-- a partitioned target
DROP TABLE regress_zone_again.machine_learning_curated;
CREATE TABLE regress_zone_again.machine_learning_curated (serialnumber text, sensorreadingtime timestamptz, distancefromobject integer, x float8, y float8, z float8) PARTITION BY HASH (serialnumber);
CREATE TABLE regress_zone_again.part_0 PARTITION OF regress_zone_again.machine_learning_curated FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE regress_zone_again.part_1 PARTITION OF regress_zone_again.machine_learning_curated FOR VALUES WITH (MODULUS 2, REMAINDER 1);
SELECT table_name, rows_in, rows_out, rows FROM stedi.materialize_machine_learning_curated('regress_zone_again', 'regress_zone_later', full_refresh => true);
SELECT table_name, rows_in, rows_out, rows FROM stedi.materialize_machine_learning_curated('regress_zone_again', 'regress_zone_later');

-- bookkeeping that is lost is made again; the rule is that of the comments, or the stricter one
SELECT DISTINCT consent FROM stedi.materialize('regress_zone_again', 'regress_zone_later', consent => 'granted');
DROP TABLE stedi_books_regress_zone_again.stedi_rule, stedi_books_regress_zone_again.stedi_run, stedi_books_regress_zone_again.stedi_object;
RESET client_min_messages;
\set VERBOSITY default
SELECT table_name, consent, rows FROM stedi.materialize_customer_curated('regress_zone_again', 'regress_zone_later');
\set VERBOSITY terse
SET client_min_messages = error;
SELECT consent, match FROM stedi_books_regress_zone_again.stedi_rule;
TRUNCATE stedi_books_regress_zone_again.stedi_rule;
COMMENT ON TABLE regress_zone_again.customer_trusted IS NULL;
SELECT DISTINCT consent FROM stedi.materialize('regress_zone_again', 'regress_zone_later');
SELECT bool_and(obj_description(oid, 'pg_class') LIKE '%since_consent%') AS named FROM pg_class
    WHERE relnamespace = 'regress_zone_again'::regnamespace AND relkind IN ('r', 'p') AND relname ~ '^(customer|acc|step|mach)';
DROP TABLE stedi_books_regress_zone_again.stedi_run;
CREATE TABLE stedi_books_regress_zone_again.stedi_run (note text);
ALTER TABLE stedi_books_regress_zone_again.stedi_object DROP COLUMN etag;
SELECT DISTINCT consent FROM stedi.materialize('regress_zone_again', 'regress_zone_later');
SELECT count(*) AS runs FROM stedi_books_regress_zone_again.stedi_run;
DROP SCHEMA regress_zone_again CASCADE;

-- all or nothing: a run is part of its transaction
BEGIN;
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_zone_landing', full_refresh => true);
SELECT count(*) FROM customer_curated WHERE email = 'plain@x';
ROLLBACK;
SELECT count(*) FROM customer_curated WHERE email = 'plain@x';
BEGIN;
UPDATE stedi_books_regress_zone.stedi_rule SET landing = NULL; -- the next run may read another landing zone
SAVEPOINT s;
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_zone_landing');
ROLLBACK TO s;
SELECT sum(rows_in), sum(rows_out) FROM stedi.materialize('regress_zone', 'regress_zone_later');
COMMIT;
-- which transactions it refuses
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_zone_landing'); -- ERROR
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_zone_landing'); -- ERROR
ROLLBACK;
BEGIN READ ONLY;
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_zone_landing'); -- ERROR
ROLLBACK;
-- an open cursor on a table is no harm to a run; new storage cannot be put under it
BEGIN;
UPDATE stedi_books_regress_zone.stedi_rule SET landing = NULL; -- the next run may read another landing zone
DECLARE c CURSOR FOR SELECT email FROM customer_trusted;
MOVE 1 FROM c;
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_zone_landing');
MOVE ALL FROM c;
SELECT answer($$SELECT table_name FROM stedi.materialize('regress_zone', 'regress_zone_later', full_refresh => true)$$);
ROLLBACK;

-- names that want quoting, and a search_path full of traps
CREATE SCHEMA "Zone {target} 'q' ""d"" %s";
CREATE SCHEMA "{Landing}";
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_zone INTO "{Landing}";
CREATE SCHEMA regress_trap;
CREATE FUNCTION regress_trap.trap(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'fell into the trap'; END $$;
CREATE OPERATOR regress_trap.= (FUNCTION = regress_trap.trap, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR regress_trap.<> (FUNCTION = regress_trap.trap, LEFTARG = text, RIGHTARG = text);
CREATE FUNCTION regress_trap.count(text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'fell into the trap'; END $$;
CREATE FUNCTION regress_trap.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'fell into the trap'; END $$;
CREATE TABLE regress_trap.customer_trusted (email text);
CREATE TABLE regress_trap.person (email text);
SET search_path = regress_trap, pg_catalog;
SET datestyle = 'German';
SET timezone = 'Asia/Kolkata';
SELECT table_name, mode, rows FROM stedi.materialize('"Zone {target} ''q'' ""d"" %s"', '"{Landing}"');
SELECT table_name, mode, rows_in, rows_out FROM stedi.materialize('"Zone {target} ''q'' ""d"" %s"', '"{Landing}"', consent => 'since_consent');
SELECT table_name, mode, rows FROM stedi.materialize('"Zone {target} ''q'' ""d"" %s"', '"{Landing}"', full_refresh => true, match => 'time');
SET datestyle = 'ISO, YMD';
SET search_path = regress_zone, stedi_books_regress_zone;
SELECT consent, match FROM "stedi_books_Zone {target} 'q' ""d"" %s".stedi_rule;
SELECT birthday = '1969-12-31' AS birthday FROM "Zone {target} 'q' ""d"" %s".customer_trusted WHERE email = 'plain@x';
SELECT table_name FROM stedi.materialize_customer_trusted('"{Landing}"', 'regress_trap'); -- ERROR
DROP SCHEMA "Zone {target} 'q' ""d"" %s" CASCADE;
-- landing and target in one schema
SELECT table_name, mode, rows FROM stedi.materialize('"{Landing}"');
-- landing tables of another make
CREATE TABLE regress_trap.customer_landing (email text);
SELECT table_name FROM stedi.materialize_customer_trusted('"{Landing}"', 'regress_trap'); -- ERROR
ALTER FOREIGN TABLE "{Landing}".customer_landing DROP COLUMN phone;
SELECT table_name FROM stedi.materialize_customer_trusted('"{Landing}"'); -- ERROR
ALTER FOREIGN TABLE "{Landing}".customer_landing ADD COLUMN phone bigint;
SELECT table_name FROM stedi.materialize_customer_trusted('"{Landing}"'); -- ERROR
ALTER FOREIGN TABLE "{Landing}".customer_landing ALTER phone TYPE text;
ALTER FOREIGN TABLE "{Landing}".accelerometer_landing DROP COLUMN z;
SELECT answer($$SELECT table_name FROM stedi.materialize_accelerometer_trusted('"{Landing}"')$$);
DROP SCHEMA "{Landing}" CASCADE;
DROP SCHEMA regress_trap CASCADE;
-- on_error and reject_limit of the landing tables hold here too
DELETE FROM stedi_books_regress_zone.stedi_state; -- the next run reads everything
UPDATE stedi_books_regress_zone.stedi_rule SET landing = NULL; -- the next run may read another landing zone
ALTER FOREIGN TABLE regress_zone_later.customer_landing OPTIONS (ADD on_error 'stop');
SELECT table_name FROM stedi.materialize('regress_zone', 'regress_zone_later'); -- ERROR
ALTER FOREIGN TABLE regress_zone_later.customer_landing OPTIONS (DROP on_error);
ALTER FOREIGN TABLE regress_zone_later.step_trainer_landing OPTIONS (ADD reject_limit '3');
SELECT table_name FROM stedi.materialize('regress_zone', 'regress_zone_later'); -- ERROR
ALTER FOREIGN TABLE regress_zone_later.step_trainer_landing OPTIONS (SET reject_limit '4');
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_zone_later');

-- DROP EXTENSION keeps the tables, rule and all
DROP EXTENSION stedi CASCADE;
SELECT relname FROM pg_class WHERE relnamespace = 'regress_zone'::regnamespace AND relkind = 'r' ORDER BY relname;
SELECT count(*) FROM machine_learning_curated;
CREATE EXTENSION stedi;
CREATE SERVER regress_zone_later FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'later');
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_zone_later INTO regress_zone_later;
SELECT table_name, mode, consent, rows_in, rows_out, rows FROM stedi.materialize('regress_zone', 'regress_zone_later');

DROP SERVER regress_zone_later CASCADE;
DROP SCHEMA regress_zone CASCADE;
DROP SCHEMA regress_zone_landing CASCADE;
DROP SCHEMA regress_zone_later CASCADE;
DROP ROLE regress_analyst;
