-- Proves who may do what, row by row: each function of the extension, each kind of object, as each kind of role.
-- Guards src/base/option.c, src/credential/credential.c, src/fdw/plan.c, src/commands/rejects.c, src/run/target.c and src/run/session.c.  doc/privileges.md has the same
-- table, without the statements: test/lint/privileges compares them.

\set root `pwd`
\set zone file:// :root /test/data/zone

BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS stedi;
SET LOCAL client_min_messages = error;

CREATE ROLE regress_public;
CREATE ROLE regress_reader;
CREATE ROLE regress_engineer;
CREATE ROLE regress_keeper;
CREATE ROLE regress_files IN ROLE pg_read_server_files;
CREATE ROLE regress_super SUPERUSER;
CREATE TEMP TABLE who (place integer, role name);
INSERT INTO who VALUES (1, 'regress_public'), (2, 'regress_reader'), (3, 'regress_engineer'), (4, 'regress_keeper'),
    (5, 'regress_files'), (6, 'regress_super');

-- the server's owner has servers of S3, with whose mappings the engineer works; the folder's is a superuser's
GRANT USAGE ON FOREIGN DATA WRAPPER stedi_fdw TO regress_keeper, regress_files;
SET LOCAL ROLE regress_keeper;
CREATE SERVER regress_bucket FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3://bucket', endpoint 'https://127.0.0.1:1');
CREATE SERVER regress_second FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3://bucket', endpoint 'https://127.0.0.1:1');
GRANT USAGE ON FOREIGN SERVER regress_bucket, regress_second TO regress_engineer;
CREATE USER MAPPING FOR regress_engineer SERVER regress_bucket OPTIONS (access_key_id 'me', secret_access_key 'hush');
CREATE USER MAPPING FOR PUBLIC SERVER regress_second OPTIONS (access_key_id 'all', secret_access_key 'hush');
RESET ROLE;
CREATE SERVER regress_lake FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'zone');
GRANT USAGE ON FOREIGN SERVER regress_lake TO regress_engineer;

-- the engineer's zone, whose curated tables the reader is granted; anybody may make tables in regress_open
CREATE SCHEMA regress_lake AUTHORIZATION regress_engineer;
CREATE SCHEMA regress_zone AUTHORIZATION regress_engineer;
CREATE SCHEMA regress_empty AUTHORIZATION regress_engineer;
CREATE SCHEMA regress_open;
GRANT ALL ON SCHEMA regress_open TO PUBLIC;
SET LOCAL ROLE regress_engineer;
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_lake INTO regress_lake;
CREATE FOREIGN TABLE regress_lake.nothing (n integer) SERVER regress_lake OPTIONS (prefix 'no_such_folder');
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_lake');
SELECT count(*) FROM stedi.forget('regress_zone', 'nobody@example.com', 'objection', 'regress_lake');
GRANT USAGE ON SCHEMA regress_zone TO regress_reader;
GRANT SELECT ON regress_zone.customer_curated, regress_zone.step_trainer_curated, regress_zone.machine_learning_curated TO regress_reader;
GRANT USAGE ON SCHEMA regress_lake TO PUBLIC;
RESET ROLE;

-- What, the outcomes for PUBLIC, a reader, an engineer, a server's owner, a member of pg_read_server_files and a
-- superuser (ok, or a SQLSTATE), and the statement.  22012, a division by zero, is how a statement says that it came
-- to nothing.  A function's rows name it; without these a new function is missed below.
CREATE TEMP TABLE matrix (what text, outcomes text, statement text, function regprocedure);
INSERT INTO matrix VALUES
    ('call the small functions', 'ok ok ok ok ok ok', $$SELECT * FROM stedi.options()$$, 'stedi.options()'),
    ('call the small functions', 'ok ok ok ok ok ok', $$SELECT stedi.epoch_ms(1)$$, 'stedi.epoch_ms(bigint)'),
    ('call the small functions', 'ok ok ok ok ok ok', $$SELECT stedi.epoch_ms(now())$$, 'stedi.epoch_ms(timestamptz)'),
    ('call the small functions', 'ok ok ok ok ok ok', $$SELECT stedi.normalize_email('A@x')$$, 'stedi.normalize_email(text)'),
    ('call the small functions', 'ok ok ok ok ok ok', $$SELECT stedi.birthday('2000-01-01')$$, 'stedi.birthday(text)'),
    ('call the small functions', 'ok ok ok ok ok ok', $$SELECT stedi.keyed_hash('k', 'a@x')$$, 'stedi.keyed_hash(bytea, text)'),
    ('call the small functions', 'ok ok ok ok ok ok', $$SELECT stedi.keyed_hash('k', 'a@x', 1)$$, 'stedi.keyed_hash(bytea, text, integer)'),
    ('call the small functions', 'ok ok ok ok ok ok', $$SELECT stedi.consent_set('a@x', 1)$$, 'stedi.consent_set(text, bigint)'),
    ('call the small functions', 'ok ok ok ok ok ok', $$SELECT stedi.consent_set('a@x', 1, NULL, 'granted', true, true)$$,
        'stedi.consent_set(text, bigint, bigint, text, boolean, boolean)'),
    ('call the small functions', 'ok ok ok ok ok ok', $$SELECT stedi.consents(stedi.consent_set('a@x', 1), 'a@x', 1)$$,
        'stedi.consents(stedi.consent_set, text, bigint)'),
    ('call the small functions', 'ok ok ok ok ok ok', $$SELECT stedi.consent_set_out(stedi.consent_set('a@x', 1))$$,
        'stedi.consent_set_out(stedi.consent_set)'),
    ('call the small functions', 'ok ok ok ok ok ok', $$SELECT stedi.stedi_fdw_handler()$$, 'stedi.stedi_fdw_handler()'),
    ('call the small functions', 'ok ok ok ok ok ok', $$SET LOCAL stedi.swap_timeout = '1s'$$, NULL),
    ('call the small functions', 'ok ok ok ok ok ok', $$SET LOCAL stedi.report_phases = on$$, NULL),
    ('see what one runs oneself', 'ok ok ok ok ok ok', $$SELECT * FROM stedi.running()$$, 'stedi.running()'),
    ('see what one runs oneself', 'ok ok ok ok ok ok', $$SELECT * FROM stedi.progress$$, NULL),

    ('call the small functions', 'ok ok ok ok ok ok', $$SELECT 'consent_set(0) 1 fold since 0000000000000000'::stedi.consent_set$$, 'stedi.consent_set_in(cstring)'),
    ('call the small functions', 'ok ok ok ok ok ok', $$SELECT stedi.consent_set_send(stedi.consent_set('a@x', 1))$$,
        'stedi.consent_set_send(stedi.consent_set)'),
    -- a value of another type than internal: what NULL comes to hangs on the minor version
    ('call what belongs to the type stedi.consent_set', '42883 42883 42883 42883 42883 42883', $$SELECT stedi.consent_set_recv(1)$$,
        'stedi.consent_set_recv(internal)'),
    ('call what belongs to the type stedi.consent_set', '42883 42883 42883 42883 42883 42883', $$SELECT stedi.consent_set_add(1, 'a', 1)$$,
        'stedi.consent_set_add(internal, text, bigint)'),
    ('call what belongs to the type stedi.consent_set', '42883 42883 42883 42883 42883 42883',
        $$SELECT stedi.consent_set_add(1, 'a', 1, 1, 'granted', true, true)$$,
        'stedi.consent_set_add(internal, text, bigint, bigint, text, boolean, boolean)'),
    ('call what belongs to the type stedi.consent_set', '42883 42883 42883 42883 42883 42883', $$SELECT stedi.consent_set_final(1)$$,
        'stedi.consent_set_final(internal)'),
    ('create a server on a folder', '42501 42501 42501 42501 ok ok',
        $$SELECT stedi.stedi_fdw_validator('{url=file:///srv}', 'pg_foreign_server'::regclass)$$, 'stedi.stedi_fdw_validator(text[], oid)'),

    ('create or change what is in schema stedi', '42501 42501 42501 42501 42501 ok', $$CREATE TABLE stedi.mine ()$$, NULL),
    ('create or change what is in schema stedi', '42501 42501 42501 42501 42501 ok',
        $$ALTER FUNCTION stedi.normalize_email(text) SET search_path = regress_open$$, NULL),
    ('create or change what is in schema stedi', '42501 42501 42501 42501 42501 ok',
        $$ALTER FOREIGN DATA WRAPPER stedi_fdw NO VALIDATOR$$, NULL),

    ('create a server on S3', '42501 42501 42501 ok ok ok',
        $$CREATE SERVER regress_new FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3://bucket', endpoint 'http://10.0.0.1', allow_http 'true')$$, NULL),
    ('create a server on a folder', '42501 42501 42501 42501 ok ok',
        $$CREATE SERVER regress_new FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 'file:///srv')$$, NULL),
    ('allow link-local addresses', '42501 42501 42501 42501 ok ok',
        $$CREATE SERVER regress_new FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3://bucket', allow_link_local 'true')$$, NULL),
    ('name authorities to trust', '42501 42501 42501 42501 ok ok',
        $$CREATE SERVER regress_new FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3://bucket', ca_file '/srv/ca.pem')$$, NULL),
    ('change or drop the server', '42501 42501 42501 ok 42501 ok',
        $$ALTER SERVER regress_bucket OPTIONS (SET endpoint 'https://10.0.0.1', ADD proxy 'http://10.0.0.1:3128')$$, NULL),
    ('change or drop the server', '42501 42501 42501 ok 42501 ok', $$DROP SERVER regress_second CASCADE$$, NULL),
    ('create a user mapping for oneself', '42501 42501 ok ok 42501 ok',
        $$CREATE USER MAPPING FOR CURRENT_USER SERVER regress_second OPTIONS (anonymous 'true')$$, NULL),
    ('create a user mapping for others', '42501 42501 42501 ok 42501 ok',
        $$CREATE USER MAPPING FOR regress_reader SERVER regress_second OPTIONS (anonymous 'true')$$, NULL),
    ('have a user mapping use credentials of the database server', '42501 42501 42501 42501 ok ok',
        $$CREATE SERVER regress_new FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3://bucket');
        CREATE USER MAPPING FOR CURRENT_USER SERVER regress_new OPTIONS (credentials 'environment')$$, NULL),
    ('have a user mapping use credentials of the database server', '42501 42501 42501 42501 ok ok',
        $$SELECT stedi.stedi_fdw_validator('{credentials=environment}', 'pg_user_mapping'::regclass)$$, NULL),
    ('have a user mapping use credentials of the database server', '42501 42501 42501 42501 ok ok',
        $$SELECT stedi.stedi_fdw_validator('{credentials=profile,profile=lake}', 'pg_user_mapping'::regclass)$$, NULL),
    ('change the engineer''s user mapping', '42501 42501 ok ok 42501 ok',
        $$ALTER USER MAPPING FOR regress_engineer SERVER regress_bucket OPTIONS (SET access_key_id 'you')$$, NULL),
    ('ask which keys one has', '42501 42501 ok ok 42501 ok', $$SELECT * FROM stedi.credential('regress_second')$$, 'stedi.credential(name)'),
    ('see the keys of the engineer''s user mapping', '22012 22012 ok 22012 22012 ok',
        $$SELECT 1 / count(*) FROM pg_user_mappings WHERE srvname = 'regress_bucket' AND umoptions::text ~ 'hush'$$, NULL),
    ('see the keys of a user mapping for PUBLIC', '22012 22012 22012 ok 22012 ok',
        $$SELECT 1 / count(*) FROM pg_user_mappings WHERE srvname = 'regress_second' AND umoptions::text ~ 'hush'$$, NULL),

    ('import or create landing tables of the folder', '42501 42501 ok 42501 42501 ok',
        $$IMPORT FOREIGN SCHEMA landing FROM SERVER regress_lake INTO regress_open$$, NULL),
    ('import or create landing tables of the folder', '42501 42501 ok 42501 42501 ok',
        $$CREATE FOREIGN TABLE regress_open.readings (x real) SERVER regress_lake OPTIONS (prefix 'accelerometer')$$, NULL),
    ('import or create landing tables of the folder', '42501 42501 ok 42501 42501 ok',
        $$IMPORT FOREIGN SCHEMA inferred LIMIT TO (customers) FROM SERVER regress_lake INTO regress_open$$, NULL),
    ('infer what records of the folder have', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.infer('regress_lake', 'customers')$$,
        'stedi.infer(name, text)'),
    ('import or create landing tables of the bucket', '42501 42501 ok ok 42501 ok',
        $$IMPORT FOREIGN SCHEMA landing FROM SERVER regress_bucket INTO regress_open$$, NULL),
    ('change a landing table', '42501 42501 ok 42501 42501 ok',
        $$ALTER FOREIGN TABLE regress_lake.customer_landing OPTIONS (SET prefix '', ADD on_error 'stop')$$, NULL),
    ('change a landing table', '42501 42501 ok 42501 42501 ok',
        $$ALTER FOREIGN TABLE regress_lake.customer_landing ALTER email OPTIONS (ADD key 'phone')$$, NULL),
    ('read a landing table', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM regress_lake.customer_landing$$, NULL),
    ('read a landing table', '42501 42501 ok 42501 42501 ok', $$SELECT count(*) FROM regress_lake.accelerometer_landing$$, NULL),
    ('read a landing table', '42501 42501 ok 42501 42501 ok', $$CREATE TEMP TABLE landed AS SELECT * FROM regress_lake.step_trainer_landing$$, NULL),
    ('read a landing table', '42501 42501 ok 42501 42501 ok', $$EXPLAIN SELECT * FROM regress_lake.customer_landing$$, NULL),
    ('read a landing table', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.rejects('regress_lake.customer_landing')$$, 'stedi.rejects(regclass)'),
    ('read a landing table', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.customer_records('regress_lake.customer_landing')$$,
        'stedi.customer_records(regclass)'),
    ('have statistics made of a landing table', '22012 22012 ok 22012 22012 ok',
        $$ANALYZE regress_lake.customer_landing; RESET ROLE;
        SELECT 1 / count(*) FROM pg_statistic WHERE starelid = 'regress_lake.customer_landing'::regclass$$, NULL),
    ('write into a landing table', '42501 42501 0A000 42501 42501 0A000', $$INSERT INTO regress_lake.customer_landing DEFAULT VALUES$$, NULL),
    ('write into a landing table', '42501 42501 0A000 42501 42501 0A000', $$UPDATE regress_lake.customer_landing SET email = 'a@x'$$, NULL),
    ('write into a landing table', '42501 42501 0A000 42501 42501 0A000', $$DELETE FROM regress_lake.customer_landing$$, NULL),
    ('write into a landing table', '0A000 0A000 0A000 0A000 0A000 0A000', $$TRUNCATE regress_lake.customer_landing$$, NULL),

    ('make the five tables', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.materialize('regress_empty', 'regress_lake')$$, NULL),
    ('make the five tables', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.materialize('regress_empty', 'regress_lake', dry_run => true)$$, NULL),
    ('make the five tables', '42501 42501 ok 42501 42501 ok',
        $$SELECT * FROM stedi.materialize('regress_open', 'regress_lake')$$, NULL),
    ('bring the five tables up to date', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.materialize('regress_zone', 'regress_lake')$$,
        'stedi.materialize(regnamespace, regnamespace, text, boolean, boolean, text, text)'),
    ('bring the five tables up to date', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.materialize('regress_zone', 'regress_lake', full_refresh => true)$$, NULL),
    ('bring the five tables up to date', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.materialize_customer_trusted('regress_zone', 'regress_lake')$$,
        'stedi.materialize_customer_trusted(regnamespace, regnamespace, text, boolean, boolean)'),
    ('bring the five tables up to date', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.materialize_accelerometer_trusted('regress_zone', 'regress_lake')$$,
        'stedi.materialize_accelerometer_trusted(regnamespace, regnamespace, text, boolean, boolean)'),
    ('bring the five tables up to date', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.materialize_customer_curated('regress_zone', 'regress_lake')$$,
        'stedi.materialize_customer_curated(regnamespace, regnamespace, text, boolean, boolean)'),
    ('bring the five tables up to date', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.materialize_step_trainer_curated('regress_zone', 'regress_lake')$$,
        'stedi.materialize_step_trainer_curated(regnamespace, regnamespace, text, boolean, boolean)'),
    ('bring the five tables up to date', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.materialize_machine_learning_curated('regress_zone', 'regress_lake')$$,
        'stedi.materialize_machine_learning_curated(regnamespace, regnamespace, text, boolean, boolean, text)'),
    ('forget somebody, and undo it', '42501 42501 ok 42501 42501 ok',
        $$SELECT * FROM stedi.forget('regress_zone', 'a@x', 'objection', 'regress_lake')$$, 'stedi.forget(regnamespace, text, text, regnamespace)'),
    ('forget somebody, and undo it', '42501 42501 ok 42501 42501 ok', $$SELECT stedi.unforget('regress_zone', 'a@x')$$, 'stedi.unforget(regnamespace, text)'),
    ('set an expectation, take it back, see what they counted', '42501 42501 ok 42501 42501 ok',
        $$SELECT stedi.expect('regress_zone', 'accelerometer_trusted', 'x', 'x > 0', 'drop')$$, 'stedi.expect(regnamespace, text, text, text, text)'),
    ('set an expectation, take it back, see what they counted', '42501 42501 ok 42501 42501 ok',
        $$SELECT stedi.unexpect('regress_zone', 'accelerometer_trusted', 'x')$$, 'stedi.unexpect(regnamespace, text, text)'),
    ('set an expectation, take it back, see what they counted', '42501 42501 ok 42501 42501 ok',
        $$SELECT * FROM stedi.expectations('regress_zone')$$, 'stedi.expectations(regnamespace)'),
    ('audit the tables, and ask where rows came from', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.audit('regress_zone', 'regress_lake')$$,
        'stedi.audit(regnamespace, regnamespace)'),
    ('audit the tables, and ask where rows came from', '42501 42501 ok 42501 42501 ok',
        $$SELECT * FROM stedi.lineage('regress_zone.machine_learning_curated', landing => 'regress_lake')$$, 'stedi.lineage(regclass, text)'),
    ('audit the tables, and ask where rows came from', '42501 42501 ok 42501 42501 ok',
        $$SELECT * FROM stedi.lineage('regress_zone.machine_learning_curated', 'regress_lake'::regnamespace)$$, 'stedi.lineage(regclass, regnamespace)'),
    ('audit the tables, and ask where rows came from', '42501 42501 ok 42501 42501 ok',
        $$SELECT * FROM stedi.lineage('regress_zone.machine_learning_curated', '(0,1)', landing => 'regress_lake')$$,
        'stedi.lineage(regclass, tid, regnamespace)'),
    ('audit the tables, and ask where rows came from', '42501 42501 ok 42501 42501 ok',
        $$SELECT * FROM stedi.lineage_of_row('regress_zone.machine_learning_curated', '(0,1)', landing => 'regress_lake')$$,
        'stedi.lineage_of_row(regclass, tid, regnamespace)'),
    ('ask what is wrong with the landing zone', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.quality('regress_zone', 'regress_lake')$$,
        'stedi.quality(regnamespace, regnamespace)'),
    ('ask what is wrong with the landing zone', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.quality('regress_empty', 'regress_lake')$$, NULL),
    ('ask what is held on a person', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.subject('regress_zone', 'a@x', 'regress_lake')$$,
        'stedi.subject(regnamespace, text, regnamespace)'),
    ('read and verify the history of consent', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.consent_history('regress_zone')$$,
        'stedi.consent_history(regnamespace)'),
    ('read and verify the history of consent', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM stedi.verify_history('regress_zone')$$,
        'stedi.verify_history(regnamespace, text)'),

    ('read curated tables', '42501 ok ok 42501 42501 ok', $$SELECT * FROM regress_zone.customer_curated$$, NULL),
    ('read curated tables', '42501 ok ok 42501 42501 ok', $$SELECT * FROM regress_zone.step_trainer_curated$$, NULL),
    ('read curated tables', '42501 ok ok 42501 42501 ok', $$EXPLAIN ANALYZE SELECT * FROM regress_zone.machine_learning_curated$$, NULL),
    ('read trusted tables', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM regress_zone.customer_trusted$$, NULL),
    ('read trusted tables', '42501 42501 ok 42501 42501 ok', $$SELECT * FROM regress_zone.accelerometer_trusted$$, NULL),
    ('read the statistics of trusted tables', '22012 22012 ok 22012 22012 ok',
        $$SELECT 1 / count(*) FROM pg_stats WHERE schemaname = 'regress_zone' AND tablename = 'customer_trusted'$$, NULL),
    ('write into the five tables', '42501 42501 ok 42501 42501 ok', $$INSERT INTO regress_zone.machine_learning_curated DEFAULT VALUES$$, NULL),
    ('write into the five tables', '42501 42501 ok 42501 42501 ok', $$DELETE FROM regress_zone.customer_curated$$, NULL),
    ('write into the five tables', '42501 42501 ok 42501 42501 ok', $$UPDATE regress_zone.step_trainer_curated SET distancefromobject = 1$$, NULL),
    ('write into the five tables', '42501 42501 ok 42501 42501 ok', $$TRUNCATE regress_zone.customer_trusted$$, NULL),
    ('hang triggers and indexes on the five tables', '42501 42501 ok 42501 42501 ok', $$CREATE INDEX ON regress_zone.machine_learning_curated (x)$$, NULL),
    ('hang triggers and indexes on the five tables', '42501 42501 ok 42501 42501 ok',
        $$CREATE TRIGGER none BEFORE INSERT ON regress_zone.machine_learning_curated EXECUTE FUNCTION suppress_redundant_updates_trigger()$$, NULL);

-- the bookkeeping, whatever tables it has
INSERT INTO matrix SELECT what, states, format(command, oid::regclass), NULL
    FROM pg_class, (VALUES
        ('read the bookkeeping', '42501 42501 ok 42501 42501 ok', 'SELECT * FROM %s'),
        ('write the bookkeeping, hang code on it', '42501 42501 42501 42501 42501 ok', 'DELETE FROM %s'),
        ('write the bookkeeping, hang code on it', '42501 42501 42501 42501 42501 ok', 'TRUNCATE %s'),
        ('write the bookkeeping, hang code on it', '42501 42501 42501 42501 42501 ok', 'CREATE TRIGGER none BEFORE INSERT ON %s EXECUTE FUNCTION suppress_redundant_updates_trigger()')) c (what, states, command)
    WHERE relnamespace = 'stedi_books_regress_zone'::regnamespace AND relkind = 'r';

-- What a statement comes to for a role: it is undone.
CREATE FUNCTION pg_temp.attempt(role name, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    EXECUTE statement;
    RAISE EXCEPTION USING ERRCODE = 'UNDO1';
EXCEPTION WHEN OTHERS THEN
    RETURN CASE sqlstate WHEN 'UNDO1' THEN 'ok' ELSE sqlstate END;
END $$;

SELECT plan(5 + (SELECT count(*) FROM matrix)::integer);

SELECT is(string_agg(pg_temp.attempt(role, statement), ' ' ORDER BY place), outcomes, statement) FROM matrix, who GROUP BY matrix.ctid, what, outcomes, statement
    ORDER BY matrix.ctid;
SELECT set_eq($$SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
        JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid AND e.extname = 'stedi'$$,
    $$SELECT DISTINCT function::text FROM matrix WHERE function IS NOT NULL$$, 'each function has a row, and only these have');
SELECT cmp_ok((SELECT count(DISTINCT statement) FROM matrix WHERE what LIKE '%the bookkeeping%'), '>=', 36::bigint, 'the bookkeeping was found');
SELECT is(string_agg(pg_temp.attempt(role, 'EXPLAIN SELECT * FROM regress_lake.nothing'), ' ' ORDER BY place),
    '42501 42501 42704 42501 42501 42704', 'who may not read is not told whether there is something to read') FROM who;
SELECT is(current_user, session_user, 'the roles are left again');
SELECT is(pg_temp.attempt('regress_public', 'SELECT 1'), 'ok', 'what is allowed is told so');
SELECT * FROM finish();
ROLLBACK;
