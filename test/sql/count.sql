-- Proves that count(*) is left to the scan where the scan decides all, and that it counts what the executor would count.
-- Guards src/fdw/count.c, stedi_scan_count in src/scan/scan.c, stedi_decode_count, and store_count in src/fdw/fdw.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set data file:// :abs_srcdir /data
\set zone file:// :abs_srcdir /data/zone
\set VERBOSITY terse
CREATE SCHEMA regress_count;
SET search_path = regress_count;
CREATE SERVER regress_count FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'data');
CREATE SERVER regress_count_zone FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'zone');
CREATE FOREIGN TABLE readings (id integer, owner text, taken bigint, x double precision, note text)
    SERVER regress_count OPTIONS (prefix 'readings');
CREATE FOREIGN TABLE framing (n integer, object text OPTIONS (source 'object')) SERVER regress_count OPTIONS (prefix 'framing');
CREATE FOREIGN TABLE broken (n integer) SERVER regress_count OPTIONS (prefix 'broken');
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_count_zone INTO regress_count;

-- a plan, without what versions put differently
CREATE FUNCTION explain(query text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        line := regexp_replace(line, '\$0|\(InitPlan 1\)\.col1', '$0');
        line := regexp_replace(line, 'InitPlan (\d) \(returns \$\d\)', 'InitPlan \1');
        RETURN NEXT line;
    END LOOP;
END $$;

-- does the scan count?
CREATE FUNCTION is_pushed(query text) RETURNS boolean
LANGUAGE sql AS $$ SELECT bool_or(e ~ 'Aggregate: count') FROM explain(query) e $$;

-- the count, by the scan and by the executor
CREATE FUNCTION counts(of text) RETURNS TABLE (pushed boolean, by_scan bigint, by_executor bigint)
LANGUAGE plpgsql AS $$
BEGIN
    pushed := is_pushed('SELECT count(*) FROM ' || of);
    EXECUTE 'SELECT count(*) FROM ' || of INTO by_scan;
    EXECUTE 'SELECT count(*) FROM (SELECT * FROM ' || of || ' OFFSET 0) s' INTO by_executor;
    RETURN NEXT;
END $$;

-- what is planned
SELECT explain('SELECT count(*) FROM readings');
SELECT explain('SELECT count(*) FROM readings r WHERE owner = ''ann'' AND taken > 100');
SELECT explain('SELECT count(*) FROM readings WHERE owner LIKE ''a%''');
SELECT explain('SELECT (SELECT count(*) FROM readings WHERE x > 1) AS some, (SELECT count(*) FROM framing) AS all');
SELECT explain($$SELECT count(*) FROM readings WHERE taken > 100
    AND stedi.consents((SELECT stedi.consent_set(who, since) FROM (VALUES ('ann', 300)) v (who, since)), owner, taken)$$);

-- what else may stand around it
SELECT is_pushed(q), q FROM unnest(ARRAY[
    'SELECT count(*) + 1, count(*) FROM readings',
    'SELECT count(*) FROM readings ORDER BY 1 LIMIT 1',
    'SELECT DISTINCT count(*) FROM readings',
    'SELECT count(*), generate_series(1, 2) FROM readings',
    'SELECT count(*), row_number() OVER () FROM readings',
    'SELECT count(*) + (SELECT 1) FROM readings',
    'WITH c AS MATERIALIZED (SELECT count(*) AS n FROM readings) SELECT * FROM c',
    'SELECT count(*) FROM readings UNION ALL SELECT count(*) FROM framing',
    'SELECT EXISTS (SELECT count(*) FROM readings)',
    'SELECT count(*) FROM (SELECT * FROM readings WHERE x > 1) s WHERE id < 7',
    'SELECT count(*) FROM readings WHERE id = ANY (''{1,2}'') AND note IS NOT NULL AND x < (SELECT 2)',
    'SELECT (SELECT count(*) FROM readings r WHERE r.id < v.n) FROM (VALUES (1), (2)) v (n)'
]) WITH ORDINALITY u (q, i) ORDER BY i;
-- and what may not
SELECT is_pushed(q), q FROM unnest(ARRAY[
    'SELECT count(id) FROM readings',
    'SELECT count(*), sum(id) FROM readings',
    'SELECT count(*) FILTER (WHERE id > 1) FROM readings',
    'SELECT count(DISTINCT id) FROM readings',
    'SELECT owner, count(*) FROM readings GROUP BY owner',
    'SELECT count(*) FROM readings GROUP BY GROUPING SETS ((), ())',
    'SELECT count(*) FROM readings HAVING count(*) > 1',
    'SELECT count(*) FROM readings WHERE false',
    'SELECT count(*) FROM readings WHERE random() < 2',
    'SELECT count(*) FROM readings WHERE current_setting(''server_version_num'')::integer > 1',
    'SELECT count(*) FROM readings WHERE owner = ''ann'' OR id = 1',
    'SELECT count(*) FROM readings r JOIN framing f ON f.n = r.id',
    'SELECT count(*) FROM readings, framing',
    'SELECT count(*) FROM (SELECT * FROM readings LIMIT 3) s',
    'SELECT count(*) FROM (SELECT n FROM framing UNION ALL SELECT id FROM readings) s',
    'SELECT count(*) OVER () FROM readings',
    'SELECT EXISTS (SELECT FROM readings)'
]) WITH ORDINALITY u (q, i) ORDER BY i;

-- the same counts
SET client_min_messages = error;
CREATE VIEW all_counts AS
    SELECT of, c.* FROM (VALUES ('readings'), ('readings WHERE x > 1'), ('readings WHERE owner = ''ann'' AND x IS NOT NULL'),
        ('readings WHERE note LIKE ''A%'''), ('readings WHERE id = -1'), ('framing'), ('framing WHERE n > 3'), ('framing WHERE object > ''framing/b'''),
        ('broken'), ('broken WHERE n > 1'), ('customer_landing'), ('accelerometer_landing'), ('accelerometer_landing WHERE x > 0'), ('step_trainer_landing'),
        ('accelerometer_landing WHERE stedi.consents((SELECT stedi.consent_set(email, sharewithresearchasofdate) FROM customer_landing), "user", "timestamp")')
    ) v (of), counts(of) c;
SELECT of, pushed, by_scan = by_executor AS same FROM all_counts;
SELECT sum(by_scan) > 0 AS some FROM all_counts;
RESET client_min_messages;
SELECT count(*) + 1 AS more, count(*) FROM readings;
SELECT count(*), g FROM readings, generate_series(1, 1) g GROUP BY g;
SELECT count(*), generate_series(1, 2) FROM readings;
SELECT count(*) FROM readings UNION ALL SELECT count(*) FROM framing;
-- of every folder of test data, with rejects of every kind
CREATE FUNCTION folder_counts(folder text) RETURNS TABLE (pushed boolean, same boolean, warned boolean)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE FOREIGN TABLE one_folder (n integer, x double precision) SERVER regress_count OPTIONS (prefix %L)', folder);
    RETURN QUERY SELECT bool_and(c.pushed), bool_and(by_scan = by_executor), (SELECT count(*) > 0 FROM stedi.rejects('one_folder'))
        FROM unnest(ARRAY['one_folder', 'one_folder WHERE n IS NOT NULL', 'one_folder WHERE n > 2 AND x IS NULL']) of, counts(of) c;
    DROP FOREIGN TABLE one_folder;
END $$;
SET client_min_messages = error;
SELECT folder, c.* FROM unnest(ARRAY['broken', 'fault', 'framing', 'keys', 'long', 'packed', 'packed_broken', 'records', 'sizes', 'values']) folder, folder_counts(folder) c;
-- a record that is too long is none, wherever it stands
CREATE FOREIGN TABLE sizes (n integer) SERVER regress_count OPTIONS (prefix 'sizes', max_record_size '1kB');
SELECT * FROM counts('sizes');
RESET client_min_messages;

-- rejects: warned of once, limited, and an error where the table says so
SELECT count(*) FROM broken;
SELECT count(*) FROM readings WHERE x > 1;
ALTER FOREIGN TABLE broken OPTIONS (ADD reject_limit '12');
SELECT count(*) FROM broken;
ALTER FOREIGN TABLE broken OPTIONS (SET reject_limit '11');
SELECT count(*) FROM broken;
ALTER FOREIGN TABLE broken OPTIONS (DROP reject_limit);
ALTER FOREIGN TABLE readings OPTIONS (ADD on_error 'stop');
SELECT count(*) FROM readings;
SELECT count(*) FROM readings WHERE x > 1;
ALTER FOREIGN TABLE readings OPTIONS (DROP on_error);

-- the figures are those of the rows that it did not make
CREATE FUNCTION figures(target text, of text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    plan json;
    found jsonb;
BEGIN
    EXECUTE format('EXPLAIN (ANALYZE, FORMAT JSON) SELECT %s FROM %s', target, of) INTO plan;
    found := jsonb_path_query_first(plan::jsonb, 'strict $.**?(@."Relation Name" == $name)', jsonb_build_object('name', split_part(of, ' ', 1)));
    RETURN (SELECT jsonb_object_agg(key, value) FROM jsonb_each(found) WHERE key ~ '^(Objects|Bytes|Requests|Records)');
END $$;
SET client_min_messages = error;
CREATE VIEW all_figures AS
    SELECT of, figures('count(*)', of) AS by_scan, figures('1', of) AS by_executor
    FROM unnest(ARRAY['readings', 'readings WHERE x > 1', 'framing', 'framing WHERE n > 3', 'broken', 'accelerometer_landing',
        'accelerometer_landing WHERE stedi.consents((SELECT stedi.consent_set(email, sharewithresearchasofdate) FROM customer_landing), "user", "timestamp")']) of;
SELECT of, by_scan = by_executor AS same FROM all_figures;
RESET client_min_messages;

-- parameters have their values once a scan
PREPARE later (bigint) AS SELECT count(*) FROM readings WHERE taken > $1;
SET plan_cache_mode = force_generic_plan;
SELECT explain('EXECUTE later (0)');
EXECUTE later (0);
EXECUTE later (400);
EXECUTE later (NULL);
RESET plan_cache_mode;
-- again and again, in one query
SELECT explain('SELECT n, c FROM generate_series(1, 3) n, LATERAL (SELECT count(*) AS c FROM readings WHERE id > n) s');
SELECT n, c FROM generate_series(1, 3) n, LATERAL (SELECT count(*) AS c FROM readings WHERE id > n) s;
SELECT n, (SELECT count(*) FROM readings r WHERE r.id < n) FROM (VALUES (1), (5), (9)) v (n);
SELECT n, (SELECT count(*) FROM broken WHERE broken.n < v.n) FROM (VALUES (1), (5)) v (n);
-- and back and forth
BEGIN;
DECLARE counted SCROLL CURSOR FOR SELECT count(*) FROM readings;
FETCH ALL FROM counted;
FETCH BACKWARD FROM counted;
FETCH FIRST FROM counted;
COMMIT;

-- partitions
CREATE TABLE parted (n integer, object text) PARTITION BY LIST (object);
ALTER TABLE parted ATTACH PARTITION framing DEFAULT;
CREATE FOREIGN TABLE parent (id integer) SERVER regress_count OPTIONS (prefix 'readings');
CREATE TABLE child () INHERITS (parent);
INSERT INTO child VALUES (1), (2);
SET enable_partitionwise_aggregate = on;
SELECT * FROM counts('parted') UNION ALL SELECT * FROM counts('parent') UNION ALL SELECT * FROM counts('ONLY parent');
SELECT object = 'framing/lines.json' AS lines, count(*) > 0 AS some FROM parted GROUP BY object ORDER BY 1 DESC LIMIT 1;
RESET enable_partitionwise_aggregate;
ALTER TABLE parted DETACH PARTITION framing;

-- a view's owner reads, whoever asks; and a barrier stands
CREATE ROLE regress_count_reader;
CREATE VIEW behind WITH (security_barrier) AS SELECT * FROM readings WHERE owner = 'ann';
CREATE FUNCTION leaks(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE 'seen: %', $1; RETURN true; END $$;
GRANT USAGE ON SCHEMA regress_count TO regress_count_reader;
GRANT SELECT ON behind TO regress_count_reader;
SET ROLE regress_count_reader;
SELECT count(*) FROM behind;
SELECT count(*) FROM behind WHERE note = 'Alpha';
SELECT count(*) FROM behind WHERE leaks(note);
SELECT count(*) FROM readings;
RESET ROLE;

-- in several processes
SET client_min_messages = error;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE alone AS SELECT of, by_scan, by_executor FROM all_counts;
CREATE TABLE figures_alone AS TABLE all_figures;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET max_parallel_workers_per_gather = 2;
SELECT explain('SELECT count(*) + 1 FROM framing WHERE n > 3');
SELECT is_pushed('SELECT count(*) FROM framing HAVING count(*) > 1');
SELECT of, by_scan, by_executor FROM all_counts EXCEPT TABLE alone;
TABLE all_figures EXCEPT TABLE figures_alone;
SET parallel_leader_participation = off;
SELECT of, by_scan, by_executor FROM all_counts EXCEPT TABLE alone;
TABLE all_figures EXCEPT TABLE figures_alone;
RESET parallel_leader_participation;
RESET client_min_messages;
SELECT count(*) FROM broken;
SELECT count(*) + 1 AS more FROM framing WHERE n > 3;
SET enable_material = off;
SELECT v.n, s.c FROM (VALUES (1), (2), (3)) v (n) LEFT JOIN (SELECT count(*) AS c FROM framing) s ON s.c > v.n ORDER BY 1;
RESET enable_material;

DROP SERVER regress_count, regress_count_zone CASCADE;
DROP SCHEMA regress_count CASCADE;
DROP ROLE regress_count_reader;
