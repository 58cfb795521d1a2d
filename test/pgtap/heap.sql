-- Proves that the pages which zone_heap.c writes are heap pages as the server makes them: whole, frozen, with NULLs,
-- dropped columns, fillfactor and rows that want TOAST.  Guards src/storage/heap.c, src/readings/sort.c and src/readings/spill.c.

\getenv folder STEDI_TEST_DIR
\set folder :folder /heap
\set url file:// :folder
\setenv FOLDER :folder
\! mkdir -p "$FOLDER/customers" "$FOLDER/accelerometer" "$FOLDER/step_trainer" && chmod -R a+rwx "$FOLDER"

BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS amcheck;
CREATE EXTENSION IF NOT EXISTS pageinspect;
CREATE EXTENSION IF NOT EXISTS stedi;
SET LOCAL client_min_messages = error;

-- Fifty customers, the third with an e-mail that no page takes in one row, the seventh with such a device.
CREATE TEMP TABLE person AS
    SELECT n, CASE n WHEN 3 THEN (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) i) ELSE 'p' || n END || '@x.org' AS email,
        CASE n WHEN 7 THEN (SELECT string_agg(md5(i::text), '') FROM generate_series(301, 600) i) ELSE 'device' || n END AS device
    FROM generate_series(1, 50) n;
CREATE TEMP TABLE reading AS
    SELECT email, 1600000000000 + t * 1000 AS time, nullif(t % 7, 0) AS x, nullif(t % 5, 0) AS y, t % 3 AS z
    FROM person, generate_series(1, 400) t ORDER BY md5(t::text || n);
CREATE TEMP TABLE step AS
    SELECT device, 1600000000000 + t * 4000 AS time, nullif(t % 9, 0) AS distance
    FROM person, generate_series(1, 100) t ORDER BY md5(n::text || t);

CREATE FUNCTION pg_temp.put(file text, query text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COPY (%s) TO %L', query, file);
END $$;
SELECT pg_temp.put(:'folder' || '/customers/all.json', $$
    SELECT json_build_object('email', email, 'serialNumber', device, 'registrationDate', 1500000000000,
        'lastUpdateDate', 1500000000000, 'shareWithResearchAsOfDate', 1500000000000) FROM person $$);
-- every reading twice, in two objects
SELECT pg_temp.put(:'folder' || '/accelerometer/' || n || '.json', $$
    SELECT json_build_object('user', email, 'timestamp', time, 'x', x, 'y', y, 'z', z) FROM reading $$)
    FROM generate_series(1, 2) n;
SELECT pg_temp.put(:'folder' || '/step_trainer/all.json', $$
    SELECT json_build_object('serialNumber', device, 'sensorReadingTime', time, 'distanceFromObject', distance) FROM step $$);

CREATE SERVER tap_heap FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'url');
CREATE SCHEMA tap_heap;
IMPORT FOREIGN SCHEMA landing FROM SERVER tap_heap INTO tap_heap;

-- What is wrong with the pages of a table.
CREATE FUNCTION pg_temp.wrong(t regclass) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('block %s, row %s: %s', blkno, offnum, msg) FROM verify_heapam(t, check_toast => true)
    UNION ALL
    SELECT format('page %s is not marked all-visible', block)
        FROM generate_series(0, pg_relation_size(t) / current_setting('block_size')::int - 1) block
        WHERE (SELECT flags & 4 FROM page_header(get_raw_page(t::text, block::int))) = 0
            -- rows with TOAST are inserted one by one
            AND NOT EXISTS (SELECT FROM heap_page_items(get_raw_page(t::text, block::int)) WHERE t_infomask & 4 <> 0)
    UNION ALL
    SELECT format('page %s, row %s: not frozen, or misplaced', block, lp)
        FROM generate_series(0, pg_relation_size(t) / current_setting('block_size')::int - 1) block,
            heap_page_items(get_raw_page(t::text, block::int))
        WHERE t_infomask & 768 <> 768 OR t_ctid <> format('(%s,%s)', block, lp)::tid;
$$;
SET LOCAL check_function_bodies = off;
-- The rows that should be there, and are not, or the other way round.
CREATE FUNCTION pg_temp.differs() RETURNS SETOF text LANGUAGE sql AS $$
    WITH a AS (SELECT p.email, stedi.epoch_ms(time) AS time, x::float8, y::float8, z::float8 FROM reading p),
        s AS (SELECT stedi.epoch_ms(time) AS time, device, distance FROM step),
        m AS (SELECT s.device, s.time, s.distance, a.x, a.y, a.z FROM s JOIN person p USING (device) JOIN a ON a.email = p.email AND a.time = s.time)
    SELECT 'accelerometer ' || r::text FROM ((TABLE a EXCEPT ALL SELECT email, "timestamp", x, y, z FROM tap_heap.accelerometer_trusted)
        UNION ALL (SELECT email, "timestamp", x, y, z FROM tap_heap.accelerometer_trusted EXCEPT ALL TABLE a)) r
    UNION ALL
    SELECT 'step ' || r::text FROM ((TABLE s EXCEPT ALL TABLE tap_heap.step_trainer_curated)
        UNION ALL (TABLE tap_heap.step_trainer_curated EXCEPT ALL TABLE s)) r
    UNION ALL
    SELECT 'pair ' || r::text FROM ((TABLE m EXCEPT ALL TABLE tap_heap.machine_learning_curated)
        UNION ALL (TABLE tap_heap.machine_learning_curated EXCEPT ALL TABLE m)) r;
$$;

SELECT plan(26);

SELECT results_eq($$ SELECT table_name, mode, rows, duplicates FROM stedi.materialize('tap_heap') $$,
    $$ VALUES ('customer_trusted', 'full', 50::bigint, 0::bigint), ('accelerometer_trusted', 'full', 20000, 20000),
        ('customer_curated', 'full', 50, NULL), ('step_trainer_curated', 'full', 5000, 0), ('machine_learning_curated', 'full', 5000, NULL) $$,
    'a first run');
SELECT is_empty('SELECT * FROM pg_temp.differs()', 'the tables are made of the records');
SELECT is_empty(format('SELECT * FROM pg_temp.wrong(%L)', 'tap_heap.' || t), t || ': its pages are right')
    FROM unnest('{accelerometer_trusted,step_trainer_curated,machine_learning_curated}'::text[]) t;
SELECT cmp_ok((SELECT count(*) FROM tap_heap.accelerometer_trusted WHERE length(email) > 9000), '=', 400::bigint, 'long rows are whole');
SELECT cmp_ok(pg_relation_size((SELECT reltoastrelid FROM pg_class WHERE oid = 'tap_heap.accelerometer_trusted'::regclass)), '>', 0::bigint, 'and toasted');
SELECT is((SELECT count(*) FROM tap_heap.accelerometer_trusted a JOIN tap_heap.accelerometer_trusted b ON b.ctid = a.ctid), 20000::bigint,
    'every row is found where it says it is');
SELECT is((SELECT count(*) FROM tap_heap.accelerometer_trusted WHERE email = 'p5@x.org'), 400::bigint, 'and by the index');

-- new storage under a table that its owner has changed
ALTER TABLE tap_heap.accelerometer_trusted ADD COLUMN mine text;
ALTER TABLE tap_heap.accelerometer_trusted DROP COLUMN mine;
ALTER TABLE tap_heap.step_trainer_curated SET (fillfactor = 40);
CREATE TEMP TABLE size AS SELECT pg_relation_size('tap_heap.step_trainer_curated') AS bytes;
SELECT results_eq($$ SELECT DISTINCT mode FROM stedi.materialize('tap_heap', full_refresh => true) $$, ARRAY['full'], 'filled anew');
SELECT is_empty('SELECT * FROM pg_temp.differs()', 'the rows are the same');
SELECT is_empty(format('SELECT * FROM pg_temp.wrong(%L)', 'tap_heap.' || t), t || ': its pages are right')
    FROM unnest('{accelerometer_trusted,step_trainer_curated,machine_learning_curated}'::text[]) t;
SELECT cmp_ok(pg_relation_size('tap_heap.step_trainer_curated'), '>', (SELECT 2 * bytes FROM size), 'fillfactor is kept to');

-- what pages written this way cannot keep to is left to INSERT
ALTER TABLE tap_heap.step_trainer_curated ALTER serialnumber SET NOT NULL;
SELECT is((SELECT mode FROM stedi.materialize('tap_heap', full_refresh => true) WHERE table_name = 'step_trainer_curated'), 'full',
    'a constraint that every row meets is no obstacle');
DELETE FROM tap_heap.step_trainer_curated WHERE distancefromobject IS NULL;
ALTER TABLE tap_heap.step_trainer_curated ALTER distancefromobject SET NOT NULL;
SELECT throws_ok($$ SELECT stedi.materialize('tap_heap', full_refresh => true) $$, '23502', NULL, 'one that they do not is');

ALTER TABLE tap_heap.step_trainer_curated ALTER distancefromobject DROP NOT NULL;
UPDATE tap_heap.customer_trusted SET phone = '5';
ALTER TABLE tap_heap.customer_trusted ALTER phone SET NOT NULL;
SELECT throws_ok($$ SELECT stedi.materialize('tap_heap', full_refresh => true) $$, '23502', NULL, 'of any column, in any table');
ALTER TABLE tap_heap.customer_trusted ALTER phone DROP NOT NULL;
SELECT lives_ok($$ SELECT stedi.materialize('tap_heap', full_refresh => true) $$, 'else it is filled anew');

-- a value out of line is not shared with the table that it was read from
SELECT cmp_ok(pg_relation_size((SELECT reltoastrelid FROM pg_class WHERE oid = 'tap_heap.customer_curated'::regclass)), '>', 0::bigint,
    'customer_curated has TOAST of its own');
DELETE FROM tap_heap.customer_curated;
SELECT cmp_ok((SELECT max(length(email)) FROM tap_heap.customer_trusted), '>', 9000, 'and deleting its rows leaves those of customer_trusted whole');

-- what happens between a table's making and its filling
CREATE FUNCTION tap_heap.meddle() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE command_tag = 'CREATE TABLE'
            AND object_identity LIKE '%.accelerometer_trusted') THEN
        EXECUTE current_setting('tap.meddle');
    END IF;
END $$;
CREATE EVENT TRIGGER tap_meddle ON ddl_command_end EXECUTE FUNCTION tap_heap.meddle();
CREATE SCHEMA tap_other;
SET tap.meddle = 'CREATE INDEX by_time ON tap_other.accelerometer_trusted ("timestamp")';
SELECT lives_ok($$ SELECT stedi.materialize('tap_other', landing => 'tap_heap') $$, 'an event trigger makes an index');
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SELECT is((SELECT count(*) FROM tap_other.accelerometer_trusted WHERE "timestamp" = stedi.epoch_ms(1600000001000)), 50::bigint, 'which has the rows');
RESET enable_seqscan;
RESET enable_bitmapscan;
DROP TABLE tap_other.accelerometer_trusted;
SET tap.meddle = 'ALTER TABLE tap_other.accelerometer_trusted ADD COLUMN more int';
SELECT throws_ok($$ SELECT stedi.materialize('tap_other', landing => 'tap_heap') $$, '42804', NULL, 'a column that an event trigger adds is refused');
DROP EVENT TRIGGER tap_meddle;

CREATE TEMP TABLE customer_trusted (LIKE tap_heap.customer_trusted);
SELECT throws_ok(format('SELECT stedi.materialize(%L, landing => %L)', pg_my_temp_schema()::regnamespace, 'tap_heap'), '0A000', NULL,
    'temporary tables are refused');

-- what a scan fetches ahead is of this set, also when it is another one, empty or none
SELECT results_eq($$ SELECT n, (SELECT count(*) FROM tap_heap.accelerometer_landing a WHERE stedi.consents(v.s, a."user", a."timestamp"))
        FROM (VALUES (1, (SELECT stedi.consent_set(email, 1) FROM person)), (2, NULL), (3, (SELECT stedi.consent_set(email, 1) FROM person WHERE false)),
            (4, (SELECT stedi.consent_set(email, 1) FROM person WHERE n = 5))) v (n, s) ORDER BY n $$,
    'VALUES (1, 40000::bigint), (2, 0), (3, 0), (4, 800)', 'a set for each row');

SELECT * FROM finish();
ROLLBACK;
