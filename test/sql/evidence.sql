-- Proves that stedi.audit finds what should not be in the five tables and what should, stedi.lineage the records that rows came from, and stedi.subject all that is held on a person.
-- Guards src/run/session.c, src/zone/landing.c, src/commands/audit.c, src/commands/lineage.c and src/commands/subject.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set folder :abs_srcdir /data/evidence
\set url file:// :folder
\set day file:// :abs_srcdir /data/zone
\set later file:// :abs_srcdir /data/zone_later
\set VERBOSITY terse
SET client_min_messages = error;
SET timezone = 'UTC';
CREATE SCHEMA regress_evidence;
CREATE SCHEMA regress_evidence_landing;
CREATE SERVER regress_evidence FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'url');
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_evidence INTO regress_evidence_landing;
SET search_path = regress_evidence, stedi_books_regress_evidence;
-- what a statement answers, whoever runs this
CREATE FUNCTION answer(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE statement INTO result;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    RETURN 'ERROR: ' || sqlstate || ' ' || sqlerrm;
END $$;
CREATE FUNCTION what_is_wrong(OUT table_name text, OUT problem text, OUT n bigint, OUT contents jsonb) RETURNS SETOF record LANGUAGE sql
    SET search_path = regress_evidence, stedi_books_regress_evidence
    AS $$ SELECT table_name, problem, count(*), c
        FROM stedi.audit('regress_evidence', 'regress_evidence_landing'),
            LATERAL (SELECT jsonb_strip_nulls(contents) - '{birthday,registrationdate,lastupdatedate}'::text[] AS c) s
        GROUP BY table_name, problem, c ORDER BY table_name, problem, c::text COLLATE "C" $$;

-- nothing is there yet
SELECT * FROM stedi.audit('regress_evidence', 'regress_evidence_landing'); -- ERROR
SELECT * FROM stedi.audit('regress_evidence'); -- ERROR
SELECT * FROM stedi.audit(NULL); -- ERROR

-- audit: after a run there is nothing to say, whatever the rules
SELECT table_name, rows FROM stedi.materialize('regress_evidence', 'regress_evidence_landing');
SELECT * FROM stedi.audit('regress_evidence', 'regress_evidence_landing');
SELECT table_name, rows FROM stedi.materialize('regress_evidence', 'regress_evidence_landing', consent => 'since_consent', match => 'time');
SELECT * FROM what_is_wrong();
-- it goes by the rules that are written down
UPDATE stedi_rule SET match = 'customer';
SELECT * FROM what_is_wrong();
UPDATE stedi_rule SET consent = 'granted';
SELECT table_name, problem, n FROM what_is_wrong();
DELETE FROM stedi_rule;
\set VERBOSITY default
SELECT * FROM stedi.audit('regress_evidence', 'regress_evidence_landing'); -- ERROR
\set VERBOSITY terse
SELECT count(*) FROM stedi.materialize('regress_evidence', 'regress_evidence_landing', consent => 'granted');
SELECT * FROM what_is_wrong();

-- rows planted by hand, in each table, of people who consent and of others
BEGIN;
INSERT INTO customer_trusted (email) VALUES ('eve@x'), ('mallory@x');
INSERT INTO customer_trusted SELECT * FROM customer_trusted WHERE email = 'ida@x';
INSERT INTO accelerometer_trusted VALUES ('eve@x', stedi.epoch_ms(300), 1, 2, 3), ('ada@x', stedi.epoch_ms(301), 1, 2, 3), (' ada@x', stedi.epoch_ms(300), 1, 2, 3), (NULL, NULL, NULL, NULL, NULL), ('ada@x', 'infinity', 'NaN', -0.0, 0);
INSERT INTO accelerometer_trusted SELECT a.* FROM accelerometer_trusted a, generate_series(1, 2) WHERE email = 'gus@x';
INSERT INTO customer_curated SELECT * FROM customer_trusted WHERE email = 'ida@x' LIMIT 1;
INSERT INTO step_trainer_curated VALUES (stedi.epoch_ms(300), 'eve', 5), (stedi.epoch_ms(300), 'ada-old', 5), (stedi.epoch_ms(300), 'ada-lost', 5), (stedi.epoch_ms(300), 'gus', NULL);
INSERT INTO machine_learning_curated VALUES ('eve', stedi.epoch_ms(300), 5, 1, 2, 3), ('gus', stedi.epoch_ms(300), NULL, 1, 2, 3), ('gus', stedi.epoch_ms(300), 5, NULL, 2, 3);
SELECT * FROM what_is_wrong();
-- and a run that writes the tables anew takes them out
SELECT count(*) FROM stedi.materialize('regress_evidence', 'regress_evidence_landing', full_refresh => true);
SELECT * FROM what_is_wrong();
ROLLBACK;
-- people who are forgotten: none of their rows is covered, whatever they consent to
BEGIN;
INSERT INTO stedi_forgotten (who, name, proof, reason, since) SELECT stedi.keyed_hash(key, ' GUS@x'), 0, '', 'objection', now() FROM stedi_key;
SELECT table_name, problem, n FROM what_is_wrong();
UPDATE stedi_forgotten SET lifted = now();
SELECT * FROM what_is_wrong();
UPDATE stedi_forgotten SET lifted = NULL;
DELETE FROM stedi_key;
SELECT answer($$SELECT count(*) FROM stedi.audit('regress_evidence', 'regress_evidence_landing')$$);
DROP TABLE stedi_key;
SELECT answer($$SELECT count(*) FROM stedi.audit('regress_evidence', 'regress_evidence_landing')$$);
ROLLBACK;
-- rows that were taken out
BEGIN;
DELETE FROM customer_trusted WHERE email = 'ada@x';
DELETE FROM accelerometer_trusted WHERE email = 'ada@x' AND x IS NULL;
DELETE FROM customer_curated WHERE email = 'ben@x';
DELETE FROM step_trainer_curated WHERE distancefromobject IS NULL;
DELETE FROM machine_learning_curated WHERE serialnumber = 'gus';
SELECT * FROM what_is_wrong();
ROLLBACK;
-- values that were changed are both
BEGIN;
UPDATE customer_trusted SET birthday = birthday + 1, sharewithresearchasofdate = stedi.epoch_ms(49) WHERE email = 'gus@x';
UPDATE accelerometer_trusted SET x = 1.0000000000000002 WHERE email = 'gus@x';
UPDATE step_trainer_curated SET sensorreadingtime = sensorreadingtime + '1 microsecond' WHERE serialnumber = 'gus' AND distancefromobject = 5;
UPDATE machine_learning_curated SET x = 3 WHERE x IS NULL;
SELECT * FROM what_is_wrong();
ROLLBACK;
-- of equal pairs, which a match on the time alone makes, each counts
BEGIN;
SELECT rows FROM stedi.materialize('regress_evidence', 'regress_evidence_landing', match => 'time') WHERE table_name = 'machine_learning_curated';
SELECT count(*), count(DISTINCT m.*) FROM machine_learning_curated m;
DELETE FROM machine_learning_curated WHERE ctid = (SELECT min(ctid) FROM machine_learning_curated WHERE serialnumber = 'ada-new' AND x = 1);
SELECT * FROM what_is_wrong();
ROLLBACK;

-- the landing zone has moved on: what is no longer covered, and what is to come
CREATE SCHEMA regress_evidence_day;
CREATE SCHEMA regress_evidence_later;
CREATE SERVER regress_evidence_day FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'day');
CREATE SERVER regress_evidence_later FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'later');
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_evidence_day INTO regress_evidence_day;
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_evidence_later INTO regress_evidence_later;
SELECT count(*) FROM stedi.materialize('regress_evidence_day');
-- -0 is 0
UPDATE regress_evidence_day.accelerometer_trusted SET x = '-0' WHERE x = 0;
SELECT * FROM stedi.audit('regress_evidence_day');
SELECT table_name, problem, count(*), min(contents->>'email' COLLATE "C") AS first_email FROM stedi.audit('regress_evidence_day', 'regress_evidence_later') GROUP BY 1, 2 ORDER BY 1, 2;
UPDATE stedi_books_regress_evidence_day.stedi_rule SET landing = NULL;
SELECT count(*) FROM stedi.materialize('regress_evidence_day', 'regress_evidence_later');
SELECT * FROM stedi.audit('regress_evidence_day', 'regress_evidence_later');
-- on_error and reject_limit are the runs', not the audit's
ALTER FOREIGN TABLE regress_evidence_later.customer_landing OPTIONS (ADD on_error 'stop');
RESET client_min_messages;
SELECT * FROM stedi.audit('regress_evidence_day', 'regress_evidence_later');
SET client_min_messages = error;
-- a column of one's own is judged as a run judges it
ALTER FOREIGN TABLE regress_evidence_later.customer_landing OPTIONS (DROP on_error);
ALTER FOREIGN TABLE regress_evidence_later.accelerometer_landing ADD COLUMN more integer OPTIONS (key 'user');
SELECT count(*) FROM stedi.audit('regress_evidence_day', 'regress_evidence_later') WHERE problem = 'not covered' AND table_name = 'accelerometer_trusted';
SELECT count(*) FROM regress_evidence_day.accelerometer_trusted;
SELECT count(*) FROM stedi.materialize('regress_evidence_day', 'regress_evidence_later');
SELECT * FROM stedi.audit('regress_evidence_day', 'regress_evidence_later');
DROP SERVER regress_evidence_later CASCADE;
DROP SCHEMA regress_evidence_day, regress_evidence_later CASCADE;
DROP SERVER regress_evidence_day CASCADE;

-- lineage: the objects of a table, each with how many rows it has a record of
SELECT object, etag <> '' AS etag, rows FROM stedi.lineage('customer_trusted', landing => 'regress_evidence_landing') ORDER BY object;
SELECT object, rows FROM stedi.lineage('accelerometer_trusted', landing => 'regress_evidence_landing') ORDER BY object;
SELECT count(*) FROM accelerometer_trusted;
SELECT object, rows FROM stedi.lineage('customer_curated', landing => 'regress_evidence_landing') ORDER BY object;
SELECT object, rows FROM stedi.lineage('step_trainer_curated', landing => 'regress_evidence_landing') ORDER BY object;
SELECT object, rows FROM stedi.lineage('machine_learning_curated', landing => 'regress_evidence_landing') ORDER BY object;
SELECT count(*) FROM machine_learning_curated;
-- these are the objects that the run wrote down
SELECT object, etag FROM stedi.lineage('machine_learning_curated', landing => 'regress_evidence_landing') EXCEPT SELECT key, etag FROM stedi_object;
-- a row that is there twice counts twice, one that no record accounts for not at all
BEGIN;
INSERT INTO accelerometer_trusted SELECT * FROM accelerometer_trusted WHERE x IS NULL;
INSERT INTO accelerometer_trusted VALUES ('mallory@x', now(), 1, 2, 3), ('ada@x', stedi.epoch_ms(300), NULL, 2, 3);
SELECT object, rows FROM stedi.lineage('accelerometer_trusted', landing => 'regress_evidence_landing') ORDER BY object;
ROLLBACK;
-- and the records of a row: their places, where the object has those bytes
CREATE VIEW places AS
    SELECT 'customer_curated' AS "table", c.email AS who, p.* FROM customer_curated c, stedi.lineage('customer_curated', c.ctid, landing => 'regress_evidence_landing') p
    UNION ALL SELECT 'accelerometer_trusted', a.email || ' ' || stedi.epoch_ms(a."timestamp"), p.* FROM accelerometer_trusted a, stedi.lineage('accelerometer_trusted', a.ctid, landing => 'regress_evidence_landing') p
    UNION ALL SELECT 'step_trainer_curated', s.serialnumber || ' ' || stedi.epoch_ms(s.sensorreadingtime), p.* FROM step_trainer_curated s, stedi.lineage('step_trainer_curated', s.ctid, landing => 'regress_evidence_landing') p
    UNION ALL SELECT 'machine_learning_curated', m.serialnumber || ' ' || stedi.epoch_ms(m.sensorreadingtime), p.* FROM machine_learning_curated m, stedi.lineage('machine_learning_curated', m.ctid, landing => 'regress_evidence_landing') p;
SELECT "table", who, object, line, byte_offset, convert_from(pg_read_binary_file(:'folder' || '/' || object, byte_offset, length), 'UTF8') AS bytes
    FROM places ORDER BY "table", who COLLATE "C", object, byte_offset, bytes;
-- under a match on the time alone a row's movements are anybody's who consents
BEGIN;
SELECT count(*) FROM stedi.materialize('regress_evidence', 'regress_evidence_landing', match => 'time');
SELECT object, rows FROM stedi.lineage('machine_learning_curated', landing => 'regress_evidence_landing') ORDER BY object;
SELECT DISTINCT object, line FROM places WHERE "table" = 'machine_learning_curated' AND who = 'gus 300' ORDER BY object, line;
UPDATE machine_learning_curated SET sensorreadingtime = 'infinity' WHERE serialnumber = 'gus';
SELECT p.* FROM machine_learning_curated m, stedi.lineage('machine_learning_curated', m.ctid, landing => 'regress_evidence_landing') p WHERE serialnumber = 'gus';
ROLLBACK;
SELECT * FROM stedi.lineage('accelerometer_trusted', '(4711,1)'::tid, landing => 'regress_evidence_landing');
SELECT * FROM stedi.lineage('stedi_rule', landing => 'regress_evidence_landing'); -- ERROR
SELECT * FROM stedi.lineage(NULL, landing => 'regress_evidence_landing'); -- ERROR
SELECT * FROM stedi.lineage(4711, landing => 'regress_evidence_landing'); -- ERROR
SELECT * FROM stedi.lineage('customer_trusted', NULL::tid, landing => 'regress_evidence_landing'); -- ERROR
SELECT object, rows FROM stedi.lineage('customer_trusted') ORDER BY object COLLATE "C"; -- the landing schema is remembered

-- subject: rows, whole landing records, rejected ones, those of devices
\set on_person 'SELECT source, object, byte_offset, record FROM stedi.subject(\'regress_evidence\', $1, \'regress_evidence_landing\') WHERE source NOT LIKE \'stedi%\' ORDER BY array_position(\'{customer_trusted,accelerometer_trusted,customer_curated,step_trainer_curated,machine_learning_curated,customer_landing,accelerometer_landing,step_trainer_landing}\', source), object, byte_offset, record::text COLLATE "C"'
PREPARE on_person(text) AS :on_person;
EXECUTE on_person(E' Ada@X\t');
-- of a device that is somebody else's by now, the zone's rows are theirs
EXECUTE on_person('ben@x');
EXECUTE on_person('eve@x');
EXECUTE on_person('nobody@x');
-- the bookkeeping knows people by a hash
BEGIN;
TRUNCATE stedi_history, stedi_forgotten;
INSERT INTO stedi_forgotten (who, name, proof, reason) SELECT stedi.keyed_hash(key, email), 0, '', 'objection' FROM stedi_key, unnest('{ada@x,ben@x}'::text[]) email;
INSERT INTO stedi_history (who, what, entry) SELECT stedi.keyed_hash(key, email), 'forgotten', 1 FROM stedi_key, unnest('{ada@x,ben@x}'::text[]) email;
SELECT source, object, byte_offset, jsonb_strip_nulls(record) - 'who' AS record, record ? 'who' AS who FROM stedi.subject('regress_evidence', ' Ada@X', 'regress_evidence_landing') WHERE source LIKE 'stedi%';
DROP TABLE stedi_key;
SELECT count(*) FROM stedi.subject('regress_evidence', ' Ada@X', 'regress_evidence_landing') WHERE source LIKE 'stedi%';
ROLLBACK;
-- what was planted is found, too, and what is in the zone alone
BEGIN;
INSERT INTO customer_trusted (email, serialnumber) VALUES ('Mallory@x', 'mallory');
INSERT INTO accelerometer_trusted (email) VALUES ('MALLORY@X ');
INSERT INTO step_trainer_curated (serialnumber) VALUES ('mallory');
INSERT INTO machine_learning_curated (serialnumber) VALUES ('mallory');
SELECT source, jsonb_strip_nulls(record) FROM stedi.subject('regress_evidence', 'mallory@x', 'regress_evidence_landing');
DROP TABLE customer_curated, customer_trusted CASCADE;
SELECT source, jsonb_strip_nulls(record) FROM stedi.subject('regress_evidence', 'mallory@x', 'regress_evidence_landing');
SELECT source, count(*) FROM stedi.subject('regress_evidence', 'ada@x', 'regress_evidence_landing') WHERE source NOT LIKE 'stedi%' GROUP BY source ORDER BY source;
SELECT answer($$SELECT count(*) FROM stedi.audit('regress_evidence', 'regress_evidence_landing')$$);
SELECT answer($$SELECT count(*) FROM stedi.lineage('machine_learning_curated', landing => 'regress_evidence_landing')$$);
ROLLBACK;
SELECT * FROM stedi.subject('regress_evidence', ' ', 'regress_evidence_landing'); -- ERROR
SELECT * FROM stedi.subject('regress_evidence', NULL, 'regress_evidence_landing'); -- ERROR
SELECT * FROM stedi.subject(NULL, 'ada@x', 'regress_evidence_landing'); -- ERROR
-- the e-mail is in no message, whatever goes wrong
ALTER FOREIGN TABLE regress_evidence_landing.step_trainer_landing OPTIONS (SET prefix 'nowhere');
DO $$
DECLARE
    email text := 'ada@x';
    detail text;
    hint text;
    context text;
BEGIN
    PERFORM * FROM stedi.subject('regress_evidence', email, 'regress_evidence_landing');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
    RAISE INFO 'error %, names her: %', sqlstate, sqlerrm || detail || hint || context LIKE '%ada@x%';
END $$;
ALTER FOREIGN TABLE regress_evidence_landing.step_trainer_landing OPTIONS (SET prefix 'step_trainer');

-- a look changes nothing, and is possible where a run is not
BEGIN READ ONLY;
SELECT count(*) FROM what_is_wrong();
SELECT count(*) FROM stedi.lineage('machine_learning_curated', landing => 'regress_evidence_landing');
SELECT count(*) > 0 AS found FROM stedi.subject('regress_evidence', 'ada@x', 'regress_evidence_landing');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM what_is_wrong();
COMMIT;
SET search_path = pg_temp;
SET extra_float_digits = -10;
CREATE TEMP TABLE insider (email text);
CREATE TEMP TABLE movement (email text);
SELECT * FROM stedi.audit('regress_evidence', 'regress_evidence_landing');
SHOW extra_float_digits;
RESET extra_float_digits;
DROP TABLE insider, movement;
SET search_path = regress_evidence, stedi_books_regress_evidence;

-- who may: the owner of the tables, as whom it works
CREATE ROLE regress_evidence_owner;
CREATE ROLE regress_evidence_member IN ROLE regress_evidence_owner;
CREATE ROLE regress_evidence_stranger;
GRANT ALL ON SCHEMA regress_evidence, regress_evidence_landing TO regress_evidence_owner, regress_evidence_stranger;
GRANT ALL ON ALL TABLES IN SCHEMA regress_evidence, regress_evidence_landing TO regress_evidence_stranger;
CREATE FUNCTION as_role(who text) RETURNS TABLE (answer text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', who);
    RETURN QUERY SELECT regress_evidence.answer(statement) FROM unnest(ARRAY[
        'SELECT count(*) FROM stedi.audit(''regress_evidence'', ''regress_evidence_landing'')',
        'SELECT count(*) FROM stedi.lineage(''regress_evidence.customer_trusted'', landing => ''regress_evidence_landing'')',
        'SELECT count(*) FROM stedi.lineage(''regress_evidence.customer_trusted'', ''(0,1)''::tid, landing => ''regress_evidence_landing'')',
        'SELECT count(*) > 0 AS found FROM stedi.subject(''regress_evidence'', ''gus@x'', ''regress_evidence_landing'')']) statement;
END $$;
SELECT * FROM as_role('regress_evidence_stranger');
RESET ROLE;
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'regress_evidence'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('ALTER TABLE %I OWNER TO regress_evidence_owner', name);
    END LOOP;
END $$;
SELECT * FROM as_role('regress_evidence_member');
RESET ROLE;
-- a superuser hands the bookkeeping over
GRANT USAGE ON SCHEMA stedi_books_regress_evidence TO regress_evidence_owner WITH GRANT OPTION;
GRANT SELECT ON ALL TABLES IN SCHEMA regress_evidence_landing TO regress_evidence_owner;
SELECT count(*) FROM stedi.materialize('regress_evidence', 'regress_evidence_landing');
REVOKE SELECT ON ALL TABLES IN SCHEMA regress_evidence_landing FROM regress_evidence_owner;
SELECT * FROM as_role('regress_evidence_member');
RESET ROLE;
SELECT * FROM as_role('regress_evidence_stranger');
RESET ROLE;
GRANT SELECT ON ALL TABLES IN SCHEMA regress_evidence_landing TO regress_evidence_owner;
SELECT * FROM as_role('regress_evidence_member');
RESET ROLE;
-- bookkeeping of somebody else's is not believed
ALTER TABLE stedi_rule OWNER TO regress_evidence_stranger;
SELECT * FROM as_role('regress_evidence_member');
RESET ROLE;
ALTER TABLE stedi_rule OWNER TO CURRENT_USER;
-- policies hide no row from it
ALTER TABLE accelerometer_trusted ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT * FROM as_role('regress_evidence_member');
RESET ROLE;
ALTER TABLE accelerometer_trusted NO FORCE ROW LEVEL SECURITY;
SELECT * FROM what_is_wrong();
-- tables of another shape
ALTER TABLE customer_trusted ADD COLUMN note text;
SELECT answer($$SELECT count(*) FROM stedi.subject('regress_evidence', 'gus@x', 'regress_evidence_landing')$$);
ALTER TABLE customer_trusted DROP COLUMN note;
-- partitions
DROP VIEW places;
ALTER TABLE machine_learning_curated RENAME TO whole;
CREATE TABLE machine_learning_curated (LIKE whole) PARTITION BY HASH (serialnumber);
ALTER TABLE machine_learning_curated OWNER TO regress_evidence_owner;
ALTER TABLE machine_learning_curated ATTACH PARTITION whole FOR VALUES WITH (MODULUS 1, REMAINDER 0);
SELECT * FROM what_is_wrong();
SELECT count(*) FROM stedi.lineage('machine_learning_curated', landing => 'regress_evidence_landing');
SELECT count(*) FROM stedi.lineage('machine_learning_curated', '(0,1)'::tid, landing => 'regress_evidence_landing'); -- ERROR

DROP SERVER regress_evidence CASCADE;
DROP SCHEMA regress_evidence, regress_evidence_landing CASCADE;
DROP ROLE regress_evidence_member, regress_evidence_owner, regress_evidence_stranger;
