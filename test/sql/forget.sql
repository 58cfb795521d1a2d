-- Proves that whoever is forgotten is out of all five tables at once and stays out, whatever lands, until that is undone; and that nobody's name is left in the bookkeeping.
-- Guards src/commands/forget.c, src/books/key.c and src/books/book.c.

\set VERBOSITY terse
SET client_min_messages = error;
-- a landing zone that changes, below the server's data directory
COPY (SELECT WHERE false) TO PROGRAM 'rm -rf stedi_forget && mkdir stedi_forget && cd stedi_forget && mkdir customers accelerometer step_trainer';
CREATE SCHEMA regress_forget;
CREATE SCHEMA regress_forget_landing;
DO $$
BEGIN
    EXECUTE format('CREATE SERVER regress_forget FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url %L)', 'file://' || current_setting('data_directory') || '/stedi_forget');
END $$;
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_forget INTO regress_forget_landing;
SET search_path = regress_forget, stedi_books_regress_forget;
CREATE FUNCTION land(key text, VARIADIC records text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COPY (SELECT unnest(%L::text[])) TO PROGRAM %L', records, format('cd stedi_forget && cat >.new && mv .new %s.json', key));
END $$;
CREATE FUNCTION remove(key text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COPY (SELECT WHERE false) TO PROGRAM %L', format('rm stedi_forget/%s.json', key));
END $$;
CREATE FUNCTION customer(email text, device text, updated int, consent int) RETURNS text LANGUAGE sql AS $$
    SELECT json_build_object('customerName', 'N. N.', 'email', email, 'serialNumber', device, 'registrationDate', 1, 'lastUpdateDate', updated, 'shareWithResearchAsOfDate', consent)
$$;
CREATE FUNCTION move(email text, at int, x int) RETURNS text LANGUAGE sql AS $$
    SELECT json_build_object('user', email, 'timestamp', at, 'x', x, 'y', 2, 'z', 3)
$$;
CREATE FUNCTION step(device text, at int) RETURNS text LANGUAGE sql AS $$
    SELECT json_build_object('serialNumber', device, 'sensorReadingTime', at, 'distanceFromObject', 200)
$$;
-- a run, shortly; how many rows there are, by table; how many of Ada and her devices
CREATE FUNCTION run(OUT table_name text, OUT mode text, OUT records bigint, OUT forgotten bigint, OUT rows_in bigint, OUT rows_out bigint, OUT rows bigint) RETURNS SETOF record LANGUAGE sql AS $$
    SELECT table_name, mode, records_read, forgotten, rows_in, rows_out, rows FROM stedi.materialize('regress_forget', 'regress_forget_landing')
$$;
CREATE FUNCTION of(who text, OUT rows bigint, OUT wrong bigint) LANGUAGE plpgsql SET search_path = regress_forget, stedi_books_regress_forget AS $$
BEGIN
    SELECT count(*) FROM (SELECT email FROM customer_trusted UNION ALL SELECT email FROM accelerometer_trusted UNION ALL SELECT email FROM customer_curated
        UNION ALL SELECT serialnumber FROM step_trainer_curated UNION ALL SELECT serialnumber FROM machine_learning_curated) t WHERE lower(email) LIKE '%' || who || '%' INTO rows;
    SELECT count(*) FROM stedi.audit('regress_forget', 'regress_forget_landing') INTO wrong;
END $$;
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
PREPARE forget(text, text) AS SELECT * FROM stedi.forget('regress_forget', $1, $2, 'regress_forget_landing');

-- dora has not consented; eva and fay share a device
SELECT land('customers/1', customer('ada@x', 'ada', 10, 5), customer('ben@x', 'ben', 10, 5), customer('cleo@x', 'cleo', 10, 5), customer('dora@x', 'dora', 10, 0));
SELECT land('customers/2', customer(' ADA@X', 'ada-once', 7, 5), '{"email": "ada@x", "lastUpdateDate": 6, "registrationDate": "soon"}');
SELECT land('customers/3', customer('eva@x', 'shared', 10, 5), customer('fay@x', 'shared', 10, 5));
SELECT land('accelerometer/1', move('ada@x', 100, 1), move('ada@x', 100, 1), move('ada@x', 101, 2), move('ben@x', 100, 1), move('ben@x', 101, 1), move('cleo@x', 100, 1));
SELECT land('accelerometer/2', move('ben@x', 102, 1), move('dora@x', 100, 1), move('eva@x', 100, 1), move('fay@x', 100, 1));
SELECT land('accelerometer/3', move(' Ada@X  ', 102, 1), '{"user": "ada@x", "timestamp": "noon"}');
SELECT land('accelerometer/4', '{"user": "ADA@x", "timestamp": "noon"}');
SELECT land('step_trainer/1', step('ada', 100), step('ada', 102), step('ben', 100), step('cleo', 100), step('dora', 100));
SELECT land('step_trainer/2', step('ben', 102), step('shared', 100));

-- nothing is there to be taken out yet
EXECUTE forget('ada@x', 'objection'); -- ERROR
SELECT stedi.unforget('regress_forget', 'ada@x'); -- ERROR
SELECT count(*) FROM stedi.consent_history('regress_forget'); -- ERROR
SELECT * FROM run();
SELECT * FROM of('ada');
-- whom, and why
EXECUTE forget(NULL, 'objection'); -- ERROR
EXECUTE forget('ada@x', NULL); -- ERROR
EXECUTE forget(E' \t', 'objection'); -- ERROR
\set VERBOSITY default
EXECUTE forget('ada@x', 'because'); -- ERROR
\set VERBOSITY terse
SELECT * FROM stedi.forget(NULL, 'ada@x', 'objection'); -- ERROR
-- the landing schema is remembered
BEGIN;
SELECT * FROM stedi.forget('regress_forget', 'ada@x', 'objection');
ROLLBACK;
SELECT stedi.unforget('regress_forget', NULL); -- ERROR
SELECT stedi.unforget('regress_forget', ''); -- ERROR
SELECT stedi.unforget('regress_forget', 'ada@x');
SELECT count(*) FROM stedi_forgotten;
SELECT reason, (SELECT sum(rows) FROM stedi.forget('regress_forget', 'nobody@x', reason, 'regress_forget_landing')) FROM unnest('{not_needed,consent_withdrawn,objection,unlawful,legal_obligation,child}'::text[]) reason;
SELECT reason, lifted, pending FROM stedi_forgotten;
SELECT stedi.unforget('regress_forget', 'nobody@x');

-- all five tables at once, and what still has records of hers
BEGIN;
EXECUTE forget(E'\tAda@x ', 'consent_withdrawn');
SELECT * FROM of('ada');
SELECT * FROM stedi.verify_history('regress_forget');
ROLLBACK;
SELECT * FROM of('ada');
EXECUTE forget(E'\tAda@x ', 'consent_withdrawn');
SELECT * FROM of('ada');
SELECT reason, lifted, pending FROM stedi_forgotten WHERE lifted IS NULL;
-- again: nothing is left in the tables, but in the landing zone
EXECUTE forget('ada@x', 'child');
SELECT reason, lifted, pending FROM stedi_forgotten WHERE lifted IS NULL;
-- customers who are not in the tables have records, too
BEGIN;
EXECUTE forget('dora@x', 'objection');
SELECT * FROM of('dora');
-- what is said of her device stays: it is not eva's alone
EXECUTE forget('fay@x', 'objection');
SELECT table_name, rows_in, rows_out, rows FROM run();
SELECT ambiguous, forgotten FROM stedi.materialize('regress_forget', 'regress_forget_landing', full_refresh => true) WHERE table_name = 'step_trainer_curated';
SELECT * FROM of('shared');
ROLLBACK;

-- she stays out: of the next run
SELECT * FROM run();
SELECT * FROM of('ada');
SELECT pending FROM stedi_forgotten;
-- when her consent is newer, her name is spelled otherwise, or her device is another one
SELECT land('customers/4', customer('ada@x', 'ada', 20, 15), customer('  aDA@x ', 'ada-new', 30, 25));
SELECT land('accelerometer/5', move('ADA@X', 103, 1), move(' ada@x', 104, 1), move('ben@x', 103, 1));
SELECT land('step_trainer/4', step('ada-new', 103), step('ada', 104), step('ben', 103));
SELECT * FROM run();
SELECT * FROM of('ada');
-- when everything is read again
SELECT table_name, mode, records_read, superseded, no_consent, unknown_owner, ambiguous, forgotten, rejected, duplicates, rows FROM stedi.materialize('regress_forget', 'regress_forget_landing', full_refresh => true);
SELECT * FROM of('ada');
-- table by table
SELECT mode, forgotten, rows FROM stedi.materialize_customer_trusted('regress_forget', 'regress_forget_landing');
SELECT mode, forgotten, rows FROM stedi.materialize_accelerometer_trusted('regress_forget', 'regress_forget_landing', full_refresh => true);
SELECT mode, forgotten, rows FROM stedi.materialize_customer_curated('regress_forget', 'regress_forget_landing');
SELECT mode, forgotten, rows FROM stedi.materialize_step_trainer_curated('regress_forget', 'regress_forget_landing');
SELECT mode, forgotten, rows FROM stedi.materialize_machine_learning_curated('regress_forget', 'regress_forget_landing');
SELECT * FROM of('ada');
-- under the other rules
SELECT mode, forgotten, rows FROM stedi.materialize('regress_forget', 'regress_forget_landing', consent => 'since_consent');
SELECT * FROM of('ada');
SELECT mode, forgotten, rows FROM stedi.materialize('regress_forget', 'regress_forget_landing', consent => 'granted', match => 'time');
SELECT * FROM of('ada');
-- when her records come and go
SELECT remove('customers/4');
SELECT rows_in, rows_out FROM run();
SELECT land('customers/4', customer('ada@x', 'ada', 20, 15));
SELECT rows_in, rows_out FROM run();
SELECT * FROM of('ada');

-- undone: what consent covers is back with the next run
SELECT stedi.unforget('regress_forget', ' ADA@x');
SELECT stedi.unforget('regress_forget', 'ada@x');
SELECT * FROM of('ada@x');
SELECT reason, lifted = now() AS now, lifted IS NULL AS forgotten, pending FROM stedi_forgotten;
SELECT * FROM run();
SELECT * FROM of('ada');
SELECT count(*) FROM stedi_forgotten;
-- while she may come back, she may go again
BEGIN;
EXECUTE forget('ada@x', 'objection');
SELECT stedi.unforget('regress_forget', 'ada@x');
EXECUTE forget('ada@x', 'unlawful');
SELECT reason, lifted, pending FROM stedi_forgotten;
SELECT rows_in, rows_out FROM run();
SELECT * FROM of('ada');
ROLLBACK;

-- pairs by the time alone mix people: hers go whoever has the other half
SELECT table_name, rows FROM stedi.materialize('regress_forget', 'regress_forget_landing', match => 'time') WHERE table_name = 'machine_learning_curated';
EXECUTE forget('ada@x', 'objection');
SELECT * FROM of('ada');
SELECT rows_in, rows_out, rows FROM stedi.materialize('regress_forget', 'regress_forget_landing', match => 'time');
SELECT stedi.unforget('regress_forget', 'ada@x');
SELECT table_name, rows FROM run();

-- somebody whom nothing is known of yet
EXECUTE forget('gus@x', 'objection');
SELECT land('customers/5', customer('GUS@x', 'gus', 10, 5));
SELECT land('accelerometer/6', move('gus@x', 100, 1));
SELECT land('step_trainer/5', step('gus', 100));
SELECT * FROM run();
SELECT * FROM of('gus');
EXECUTE forget('gus@x', 'objection');

-- the bookkeeping knows nobody's name
CREATE FUNCTION names(OUT table_name text, OUT n bigint) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
    FOR table_name IN SELECT relname FROM pg_class WHERE relnamespace = 'stedi_books_regress_forget'::regnamespace AND relname LIKE 'stedi\_%' ORDER BY 1 LOOP
        EXECUTE format('SELECT count(*) FROM %I t WHERE t::text ~* %L', table_name, '@x|gus|' || encode('ada@', 'hex') || '|' || encode('gus@', 'hex')) INTO n;
        RETURN NEXT;
    END LOOP;
END $$;
SELECT * FROM names();
SELECT count(DISTINCT who), min(length(who)), max(length(who)) FROM stedi_forgotten;
SELECT count(*) FROM stedi_forgotten, stedi_key WHERE who = stedi.keyed_hash(key, ' Gus@X');
SELECT length(key), relacl FROM stedi_key, pg_class WHERE oid = 'stedi_key'::regclass;
-- and a name that somebody wrote there would be found
BEGIN;
UPDATE stedi_history SET object = 'gus@x' WHERE entry = 1;
SELECT * FROM names() WHERE n > 0;
ROLLBACK;

-- a list that was emptied, or that nobody can read any more, lets nobody in
CREATE FUNCTION answers() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT regress_forget.answer(statement) FROM unnest(ARRAY[
        'SELECT count(*) FROM stedi.materialize(''regress_forget'', ''regress_forget_landing'')',
        'SELECT count(*) FROM stedi.materialize(''regress_forget'', ''regress_forget_landing'', full_refresh => true)',
        'SELECT count(*) FROM stedi.materialize_customer_trusted(''regress_forget'', ''regress_forget_landing'')',
        'SELECT count(*) FROM stedi.forget(''regress_forget'', ''ben@x'', ''objection'', ''regress_forget_landing'')',
        'SELECT stedi.unforget(''regress_forget'', ''gus@x'')']) statement
$$;
BEGIN;
TRUNCATE stedi_forgotten;
SELECT * FROM answers();
ROLLBACK;
BEGIN;
DROP TABLE stedi_forgotten;
SELECT * FROM answers();
ROLLBACK;
BEGIN;
UPDATE stedi_forgotten SET lifted = now();
SELECT * FROM answers();
ROLLBACK;
BEGIN;
ALTER TABLE stedi_forgotten DROP COLUMN name;
SELECT * FROM answers();
ROLLBACK;
BEGIN;
TRUNCATE stedi_key;
SELECT * FROM answers();
ROLLBACK;
BEGIN;
DROP TABLE stedi_key;
SELECT * FROM answers();
ROLLBACK;
BEGIN;
INSERT INTO stedi_key TABLE stedi_key;
SELECT * FROM answers();
ROLLBACK;
BEGIN;
ALTER TABLE stedi_key DROP CONSTRAINT stedi_key_valid;
UPDATE stedi_key SET key = 'short';
SELECT * FROM answers();
ROLLBACK;
BEGIN;
ALTER TABLE stedi_key DROP CONSTRAINT stedi_key_valid;
UPDATE stedi_key SET key = NULL;
SELECT * FROM answers();
ROLLBACK;
BEGIN;
ALTER TABLE stedi_key ADD COLUMN note text;
SELECT * FROM answers();
ROLLBACK;

-- who may: the owner of the tables
CREATE ROLE regress_forget_owner;
CREATE ROLE regress_forget_member IN ROLE regress_forget_owner;
CREATE ROLE regress_forget_stranger;
GRANT ALL ON SCHEMA regress_forget, regress_forget_landing TO regress_forget_owner, regress_forget_stranger;
GRANT ALL ON ALL TABLES IN SCHEMA regress_forget, regress_forget_landing TO regress_forget_stranger;
GRANT SELECT ON ALL TABLES IN SCHEMA regress_forget_landing TO regress_forget_owner;
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'regress_forget'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('ALTER TABLE %I OWNER TO regress_forget_owner', name);
    END LOOP;
END $$;
CREATE FUNCTION as_role(who text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', who);
    RETURN QUERY SELECT regress_forget.answer(statement) FROM unnest(ARRAY[
        'SELECT sum(rows) FROM stedi.forget(''regress_forget'', ''ben@x'', ''objection'', ''regress_forget_landing'')',
        'SELECT stedi.unforget(''regress_forget'', ''ben@x'')',
        'SELECT count(*) > 0 FROM stedi.consent_history(''regress_forget'')',
        'SELECT count(*) FROM stedi.verify_history(''regress_forget'')']) statement;
END $$;
-- a superuser hands the bookkeeping over
SELECT * FROM as_role('regress_forget_stranger');
SELECT * FROM as_role('regress_forget_member');
GRANT USAGE ON SCHEMA stedi_books_regress_forget TO regress_forget_owner WITH GRANT OPTION;
SELECT rows_in, rows_out FROM run();
SELECT * FROM as_role('regress_forget_member');
SELECT * FROM of('ben');
SELECT rows_in, rows_out FROM run();
SELECT * FROM of('ben');
-- bookkeeping of somebody else's is not believed
ALTER TABLE stedi_forgotten OWNER TO regress_forget_stranger;
SELECT * FROM as_role('regress_forget_member');
ALTER TABLE stedi_forgotten OWNER TO CURRENT_USER;
-- policies hide no row from it
ALTER TABLE accelerometer_trusted ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT * FROM as_role('regress_forget_member');
ALTER TABLE accelerometer_trusted NO FORCE ROW LEVEL SECURITY;
-- the rows go although the landing zone cannot be read
SET client_min_messages = warning;
ALTER FOREIGN TABLE regress_forget_landing.step_trainer_landing OPTIONS (SET prefix 'nowhere');
EXECUTE forget('ben@x', 'objection');
SET client_min_messages = error;

DROP SERVER regress_forget CASCADE;
DROP SCHEMA regress_forget, regress_forget_landing CASCADE;
DROP ROLE regress_forget_member, regress_forget_owner, regress_forget_stranger;
COPY (SELECT WHERE false) TO PROGRAM 'rm -r stedi_forget';
