-- Proves that runs of what has changed end as a rebuild does where they once did not: a case for each such fault.
-- Guards src/books/book.c, src/books/objects.c, src/zone/sql.c, src/run/renew.c, src/storage/statistics.c, src/run/affected.c and src/storage/write.c.

\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_incremental_reader;
CREATE SCHEMA regress_incremental;
CREATE SCHEMA regress_incremental_landing;
CREATE SCHEMA regress_incremental_target;
-- a landing zone that changes, below the server's data directory
DO $$
BEGIN
    EXECUTE format('CREATE SERVER regress_incremental FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url %L)', 'file://' || current_setting('data_directory') || '/stedi_incremental');
END $$;
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_incremental INTO regress_incremental_landing;
SET search_path = regress_incremental, stedi_books_regress_incremental;
-- each case has a landing zone and tables of its own
CREATE PROCEDURE begin_case() LANGUAGE plpgsql AS $$
BEGIN
    COPY (SELECT WHERE false) TO PROGRAM 'rm -rf stedi_incremental && mkdir stedi_incremental && cd stedi_incremental && mkdir away customers accelerometer step_trainer';
    DROP SCHEMA regress_incremental_target CASCADE;
    CREATE SCHEMA regress_incremental_target;
END $$;
CREATE FUNCTION land(key text, VARIADIC records text[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COPY (SELECT unnest(%L::text[])) TO PROGRAM %L', records, format('cd stedi_incremental && cat >.new && mv .new %s.json', key));
    RETURN key;
END $$;
-- objects that are put away come back as they were
CREATE FUNCTION move_object(key text, place text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COPY (SELECT WHERE false) TO PROGRAM %L', format('cd stedi_incremental && mv %s.json %s.json', key, place));
    RETURN place;
END $$;
CREATE FUNCTION customer(who text, updated int, consent int, device text = NULL) RETURNS text LANGUAGE sql AS $$
    SELECT json_build_object('customerName', 'n', 'email', who, 'serialNumber', coalesce(device, who), 'registrationDate', 1, 'lastUpdateDate', updated, 'shareWithResearchAsOfDate', consent)
$$;
CREATE FUNCTION move(who text, at int) RETURNS text LANGUAGE sql AS $$
    SELECT json_build_object('user', who, 'timestamp', at, 'x', 1, 'y', 2, 'z', 3)
$$;
CREATE FUNCTION step(device text, at int) RETURNS text LANGUAGE sql AS $$
    SELECT json_build_object('serialNumber', device, 'sensorReadingTime', at, 'distanceFromObject', 200)
$$;
-- a text that is too long for its row, however it is compressed
CREATE FUNCTION long_text() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(md5(g::text), '') FROM generate_series(1, 300) g
$$;
-- how the five tables were made, what was read for it, and how many rows they have
CREATE FUNCTION run(vanished text = NULL, consent text = NULL, OUT modes text, OUT read bigint, OUT rows bigint[]) LANGUAGE sql AS $$
    SELECT string_agg(DISTINCT mode, ', '), sum(objects_read)::bigint, array_agg(m.rows ORDER BY ordinality)
    FROM stedi.materialize('regress_incremental_target', 'regress_incremental_landing', vanished => run.vanished, consent => run.consent) WITH ORDINALITY m
$$;
-- how many rows of the five tables were theirs
CREATE FUNCTION forget(who text) RETURNS bigint[] LANGUAGE sql AS $$
    SELECT array_agg(rows) FROM stedi.forget('regress_incremental_target', who, 'objection', 'regress_incremental_landing') WHERE source = 'table'
$$;
-- no row: the tables are what a rebuild makes
CREATE FUNCTION audit(OUT table_name text, OUT problem text, OUT contents jsonb) RETURNS SETOF record LANGUAGE sql AS $$
    SELECT table_name, problem, contents FROM stedi.audit('regress_incremental_target', 'regress_incremental_landing')
$$;
CREATE FUNCTION moves(OUT email text, OUT at float8) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT a.email, 1000 * extract(epoch FROM a."timestamp")::float8 FROM regress_incremental_target.accelerometer_trusted a ORDER BY 1, 2;
END $$;

-- long e-mails and serial numbers outlive the tables that a run makes to work with
CALL begin_case();
SELECT land('customers/1', customer(long_text() || '@x', 10, 5, 'S'), customer('ada@x', 10, 5)),
    land('accelerometer/1', move('ada@x', 101)), land('step_trainer/1', step('ada@x', 101));
SELECT * FROM run();
SELECT land('customers/2', customer('ada@x', 20, 0)), land('accelerometer/2', move(long_text() || '@x', 103));
SELECT * FROM run();
SELECT * FROM run();
SELECT length(email), at FROM moves();
SELECT * FROM audit();
CALL begin_case();
SELECT land('customers/1', customer('ada@x', 10, 5, long_text()), customer(long_text() || '@x', 10, 5, 'S')),
    land('accelerometer/1', move('ada@x', 101), move(long_text() || '@x', 102)), land('step_trainer/1', step(long_text(), 101), step('S', 102));
SELECT * FROM run();
SELECT land('accelerometer/2', move('ada@x', 103), move(long_text() || '@x', 103)), land('step_trainer/2', step(long_text(), 103), step('S', 103));
SELECT * FROM run();
SELECT land('customers/2', customer('ada@x', 20, 5, long_text()), customer(long_text() || '@x', 20, 0, 'S'));
SELECT * FROM run();
SELECT * FROM audit();
SELECT land('customers/3', customer('ada@x', 30, 5, 'T'));
SELECT * FROM run();
SELECT * FROM audit();

-- an object that comes back brings what nobody was a customer for when it went
CALL begin_case();
SELECT land('customers/1', customer('ada@x', 10, 5)), land('accelerometer/1', move('ada@x', 101), move('ben@x', 101)), land('accelerometer/2', move('ada@x', 102)),
    land('step_trainer/1', step('ada@x', 101), step('ben@x', 101));
SELECT * FROM run();
SELECT move_object('accelerometer/1', 'away/1');
SELECT * FROM run('keep');
SELECT land('customers/2', customer('ben@x', 10, 5));
SELECT * FROM run('keep');
SELECT move_object('away/1', 'accelerometer/1');
SELECT * FROM run('keep');
SELECT * FROM audit();
SELECT * FROM run();
SELECT * FROM moves();
SELECT * FROM audit();

-- and takes along what was kept of another object meanwhile
CALL begin_case();
SELECT land('customers/1', customer('ada@x', 10, 5)), land('accelerometer/1', move('ada@x', 101)), land('accelerometer/2', move('ada@x', 102), move('ada@x', 103)), land('step_trainer/1', step('ada@x', 101));
SELECT * FROM run();
SELECT move_object('accelerometer/1', 'away/1'), land('accelerometer/2', move('ada@x', 102));
SELECT * FROM run('keep');
SELECT move_object('away/1', 'accelerometer/1');
SELECT * FROM run();
SELECT * FROM moves();
SELECT * FROM audit();

-- an object has one row in the books, also when a rebuild finds it back
CALL begin_case();
SELECT land('customers/1', customer('ada@x', 10, 5)), land('accelerometer/1', move('ada@x', 101)), land('accelerometer/2', move('ada@x', 102)), land('step_trainer/1', step('ada@x', 101));
SELECT * FROM run();
SELECT move_object('accelerometer/1', 'away/1');
SELECT * FROM run('keep');
SELECT move_object('away/1', 'accelerometer/1');
SELECT * FROM run('keep', 'since_consent');
SELECT key, vanished FROM stedi_books_regress_incremental_target.stedi_object WHERE table_name = 'accelerometer_landing' ORDER BY 1;
SELECT * FROM run();
SELECT key, vanished FROM stedi_books_regress_incremental_target.stedi_object WHERE table_name = 'accelerometer_landing' ORDER BY 1;
SELECT forget('zoe@x');
SELECT * FROM audit();

-- a rebuild that keeps rows keeps those alone that vanished objects may have brought
CALL begin_case();
SELECT land('customers/1', customer('ada@x', 10, 5)), land('customers/2', customer('ben@x', 10, 5)), land('accelerometer/1', move('ada@x', 101)), land('accelerometer/2', move('ben@x', 102), move('ben@x', 103)),
    land('step_trainer/1', step('ada@x', 101), step('ben@x', 101));
SELECT * FROM run();
SELECT move_object('accelerometer/1', 'away/1'), land('accelerometer/2', move('ben@x', 102));
SELECT * FROM run('keep', 'since_consent');
SELECT * FROM moves();
SELECT * FROM run('remove');
SELECT land('accelerometer/3', move('ben@x', 103));
SELECT * FROM run();
SELECT * FROM moves();
SELECT * FROM audit();

-- default privileges open the five tables, and not the bookkeeping
CALL begin_case();
ALTER DEFAULT PRIVILEGES IN SCHEMA regress_incremental_target GRANT SELECT ON TABLES TO PUBLIC, regress_incremental_reader;
SELECT land('customers/1', customer('ada@x', 10, 5)), land('accelerometer/1', move('ada@x', 101)), land('accelerometer/2', move('ada@x', 102)), land('step_trainer/1', step('ada@x', 101));
SELECT * FROM run();
SELECT a.grantee::regrole, string_agg(relname, ', ' ORDER BY relname) FROM pg_class c, aclexplode(relacl) a
    WHERE relnamespace = 'regress_incremental_target'::regnamespace AND relkind = 'r' AND a.grantee <> relowner GROUP BY 1 ORDER BY 1;
SELECT * FROM audit();

-- another landing zone is no zone whose objects have vanished
SET client_min_messages = notice;
SELECT move_object('accelerometer/1', 'away/1'), move_object('accelerometer/2', 'away/2');
ALTER FOREIGN TABLE regress_incremental_landing.accelerometer_landing OPTIONS (SET prefix 'away/');
SELECT * FROM run();
SELECT * FROM audit();
COPY (SELECT WHERE false) TO PROGRAM 'cd stedi_incremental && mkdir -p moved/customers moved/away moved/step_trainer && for i in customers away step_trainer; do cp $i/1.json moved/$i/other.json; done';
DO $$
BEGIN
    EXECUTE format('ALTER SERVER regress_incremental OPTIONS (SET url %L)', 'file://' || current_setting('data_directory') || '/stedi_incremental/moved');
END $$;
SELECT * FROM run();
SELECT * FROM run();
SELECT * FROM audit();
SET client_min_messages = warning;
ALTER FOREIGN TABLE regress_incremental_landing.accelerometer_landing OPTIONS (SET prefix 'accelerometer/');
DO $$
BEGIN
    EXECUTE format('ALTER SERVER regress_incremental OPTIONS (SET url %L)', 'file://' || current_setting('data_directory') || '/stedi_incremental');
END $$;

-- a customer's row that is replaced takes others along: they are made anew
CALL begin_case();
SELECT land('customers/1', customer('ada@x', 10, 5), customer('ben@x', 10, 5)), land('accelerometer/1', move('ada@x', 101), move('ben@x', 101)), land('step_trainer/1', step('ada@x', 101), step('ben@x', 101));
SELECT * FROM run();
ALTER TABLE regress_incremental_target.customer_trusted ADD UNIQUE (email), ADD UNIQUE (serialnumber);
ALTER TABLE regress_incremental_target.accelerometer_trusted ADD FOREIGN KEY (email) REFERENCES regress_incremental_target.customer_trusted (email) ON DELETE CASCADE;
ALTER TABLE regress_incremental_target.step_trainer_curated ADD FOREIGN KEY (serialnumber) REFERENCES regress_incremental_target.customer_trusted (serialnumber) ON DELETE CASCADE;
SELECT land('customers/2', customer('ada@x', 20, 6));
SELECT * FROM run();
SELECT * FROM moves();
SELECT * FROM audit();
-- and are counted, and in no statistics
SELECT land('customers/3', customer('cleo@x', 10, 5), customer('ada@x', 30, 0)), land('accelerometer/2', move('ben@x', 102), move('cleo@x', 103));
SELECT * FROM run();
SELECT forget('ben@x');
SELECT * FROM run();
SELECT * FROM moves();
SELECT count(*) FROM pg_stats WHERE schemaname = 'regress_incremental_target' AND (most_common_vals::text ~ 'ada|ben' OR histogram_bounds::text ~ 'ada|ben');
SELECT * FROM audit();

-- the rule is lost, and somebody is forgotten: that was no run by another rule
CALL begin_case();
SELECT land('customers/1', customer('ada@x', 10, 5), customer('ben@x', 10, 5)), land('accelerometer/1', move('ada@x', 101), move('ben@x', 101)), land('step_trainer/1', step('ada@x', 101), step('ben@x', 101));
SELECT table_name, rows FROM stedi.materialize('regress_incremental_target', 'regress_incremental_landing', match => 'time');
DROP TABLE stedi_books_regress_incremental_target.stedi_rule;
SELECT forget('zoe@x');
SELECT * FROM run();
SELECT * FROM run();
SELECT * FROM audit();

-- who is forgotten is in no statistics of an index's expressions
CALL begin_case();
SELECT land('customers/1', VARIADIC (SELECT array_agg(customer(format('p%s@x', lpad(g::text, 4, '0')), 10, 5, md5(g::text))) FROM generate_series(1, 1000) g)),
    land('accelerometer/1', move('ada@x', 101)), land('step_trainer/1', step('ada@x', 101));
SELECT * FROM run();
CREATE INDEX backwards ON regress_incremental_target.customer_trusted (reverse(email));
ANALYZE regress_incremental_target.customer_trusted;
CREATE FUNCTION bounds(relation text, name text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT unnest(histogram_bounds::text::text[]) FROM pg_stats WHERE schemaname = 'regress_incremental_target' AND tablename = relation AND attname = name
$$;
SELECT email FROM regress_incremental_target.customer_trusted WHERE reverse(email) IN (SELECT bounds('backwards', 'reverse'))
    AND email NOT IN (SELECT bounds('customer_trusted', 'email')) AND serialnumber NOT IN (SELECT bounds('customer_trusted', 'serialnumber')) ORDER BY 1 LIMIT 1 \gset
SELECT forget(:'email');
SELECT count(*) FROM bounds('backwards', 'reverse') b WHERE b = reverse(:'email');
SELECT * FROM audit();

-- nor in those of a partition, which had nobody else's rows
CALL begin_case();
CREATE TABLE regress_incremental_target.accelerometer_trusted (email text, "timestamp" timestamptz, x float8, y float8, z float8) PARTITION BY LIST (email);
CREATE TABLE regress_incremental_target.of_ada PARTITION OF regress_incremental_target.accelerometer_trusted FOR VALUES IN ('ada@x');
CREATE TABLE regress_incremental_target.of_others PARTITION OF regress_incremental_target.accelerometer_trusted DEFAULT;
SELECT land('customers/1', customer('ada@x', 10, 5), customer('ben@x', 10, 5)), land('accelerometer/1', move('ada@x', 101), move('ada@x', 102), move('ben@x', 103), move('ben@x', 104)), land('step_trainer/1', step('ada@x', 101));
SELECT * FROM run(consent => 'granted');
ANALYZE regress_incremental_target.accelerometer_trusted;
SELECT tablename, most_common_vals FROM pg_stats WHERE schemaname = 'regress_incremental_target' AND attname = 'email' AND tablename IN ('of_ada', 'of_others', 'accelerometer_trusted') ORDER BY 1, inherited;
SELECT forget('ada@x');
SELECT tablename, most_common_vals FROM pg_stats WHERE schemaname = 'regress_incremental_target' AND attname = 'email' AND tablename IN ('of_ada', 'of_others', 'accelerometer_trusted') ORDER BY 1, inherited;
SELECT * FROM audit();

-- bookkeeping that was lost, and that forget has made anew, is nothing to go on from: what had vanished by then goes
CALL begin_case();
SELECT land('customers/1', customer('ada@x', 10, 5)), land('customers/2', customer('ben@x', 10, 5)), land('accelerometer/1', move('ada@x', 101), move('ben@x', 101)), land('accelerometer/2', move('ada@x', 102)), land('step_trainer/1', step('ada@x', 101));
SELECT * FROM run();
DROP TABLE stedi_books_regress_incremental_target.stedi_object;
SELECT move_object('customers/2', 'away/1'), move_object('accelerometer/2', 'away/2');
SELECT forget('nobody@x');
SELECT * FROM run();
SELECT * FROM moves();
SELECT * FROM audit();

-- a withdrawal that has the size and the time of the record that it overwrites, in each way in which files are copied
CREATE FUNCTION overwrite(way text, VARIADIC records text[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COPY (SELECT unnest(%L::text[])) TO PROGRAM %L', records,
        'cd stedi_incremental && cat >away/1.json && touch -r customers/1.json away/1.json && ' || CASE way
            WHEN 'cp -p' THEN 'cp -p away/1.json customers/1.json'
            WHEN 'in place' THEN 'cat away/1.json >customers/1.json && touch -r away/1.json customers/1.json'
            WHEN 'mv' THEN 'mv away/1.json customers/1.json'
            WHEN 'ln' THEN 'ln -f away/1.json customers/1.json'
            WHEN 'tar' THEN 'tar -C away -cf away.tar 1.json && tar -C customers -xpf away.tar'
        END);
    RETURN way;
END $$;
DO $$
DECLARE
    way text;
    before text;
    after text;
    size_and_time constant text := 'SELECT size || '' '' || modification FROM pg_stat_file(''stedi_incremental/customers/1.json'')';
BEGIN
    FOREACH way IN ARRAY ARRAY['cp -p', 'in place', 'mv', 'ln', 'tar'] LOOP
        CALL begin_case();
        PERFORM land('customers/1', customer('ada@x', 10, 5)), land('accelerometer/1', move('ada@x', 101)), land('step_trainer/1', step('ada@x', 101));
        PERFORM run();
        EXECUTE size_and_time INTO before;
        PERFORM overwrite(way, customer('ada@x', 20, 0));
        EXECUTE size_and_time INTO after;
        PERFORM stedi.materialize('regress_incremental_target', 'regress_incremental_landing');
        RAISE WARNING '%: same size and time %, rows left %', way, before = after, (SELECT count(*) FROM regress_incremental_target.customer_trusted);
    END LOOP;
END $$;

SET client_min_messages = error;
DROP SERVER regress_incremental CASCADE;
DROP SCHEMA regress_incremental, regress_incremental_landing, regress_incremental_target CASCADE;
DROP ROLE regress_incremental_reader;
COPY (SELECT WHERE false) TO PROGRAM 'rm -r stedi_incremental';
