-- Proves that a scan in several processes reads what one process reads, counts the same, and stops where that would.
-- Guards src/scan/share.c, the parallel callbacks of src/fdw/fdw.c, and count_workers and make_path in src/fdw/plan.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set data file:// :abs_srcdir /data
\set zone file:// :abs_srcdir /data/zone
\set VERBOSITY terse
CREATE SCHEMA regress_parallel;
SET search_path = regress_parallel;
CREATE SERVER regress_parallel FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'data');
CREATE SERVER regress_parallel_zone FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'zone');
CREATE FOREIGN TABLE framing (n integer, object text OPTIONS (source 'object')) SERVER regress_parallel OPTIONS (prefix 'framing');
CREATE FOREIGN TABLE broken (n integer) SERVER regress_parallel OPTIONS (prefix 'broken');
CREATE FOREIGN TABLE one_object (distancefromobject integer) SERVER regress_parallel OPTIONS (prefix 'zone/step_trainer');
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_parallel_zone INTO regress_parallel;

-- what of a plan tells of scans, and versions do not put differently
CREATE FUNCTION explain(query text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        line := regexp_replace(line, '\$\d|\(InitPlan 1\)\.col1', '$');
        IF line ~ 'Foreign Scan|Workers Planned|Landing Filter|Consent Test' THEN
            RETURN NEXT regexp_replace(line, '^[ >-]+', '');
        END IF;
    END LOOP;
END $$;

-- the figures of the first scan of a plan, by EXPLAIN ANALYZE
CREATE FUNCTION figures(query text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    plan json;
    found jsonb;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON) ' || query INTO plan;
    found := jsonb_path_query_first(plan::jsonb, 'strict $.**?(exists(@."Objects Listed"))');
    RETURN (SELECT jsonb_object_agg(key, value) FROM jsonb_each(found) WHERE key ~ '^(Objects|Bytes|Requests|Records)');
END $$;

-- so little is read by one process
SELECT explain('SELECT count(*) FROM framing');

SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET max_parallel_workers_per_gather = 2;
SELECT explain('SELECT count(*) FROM framing');
SELECT explain('SELECT * FROM framing WHERE n > 3');
-- an object is read by one process
SELECT explain('SELECT count(*) FROM one_object');
-- a process does not read all of a table for itself
SELECT explain('SELECT count(*) FROM framing f JOIN one_object o ON o.distancefromobject = f.n');
-- nor one that another process has a parameter of
SELECT count(*) FILTER (WHERE e ~ 'Parallel') AS parallel FROM explain('SELECT n, (SELECT count(*) FROM framing f WHERE f.n > v.n) FROM (VALUES (1), (2)) v (n)') e;

-- the same rows, the same figures; with the leader's help, and without
CREATE VIEW results AS
    SELECT 'framing' AS of, count(*), sum(n), count(DISTINCT object) AS objects FROM framing
    UNION ALL SELECT 'filtered', count(*), sum(n), count(DISTINCT object) FROM framing WHERE n > 3 AND object <> 'framing/lines.json'
    UNION ALL SELECT 'readings', count(*), sum("timestamp"), count(DISTINCT "user") FROM accelerometer_landing
    UNION ALL SELECT 'customers', count(*), sum(lastupdatedate), count(DISTINCT email) FROM customer_landing;
CREATE VIEW all_figures AS
    SELECT query, figures(query) FROM (VALUES ('SELECT count(*) FROM framing'), ('SELECT * FROM framing WHERE n > 3'),
        ('SELECT count(*) FROM broken'), ('SELECT "user" FROM accelerometer_landing WHERE x > 0'), ('SELECT * FROM customer_landing')) v (query);
SET client_min_messages = error;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE alone AS TABLE results;
CREATE TABLE figures_alone AS TABLE all_figures;
SET max_parallel_workers_per_gather = 2;
TABLE alone;
TABLE results EXCEPT TABLE alone;
TABLE all_figures EXCEPT TABLE figures_alone;
SET parallel_leader_participation = off;
TABLE results EXCEPT TABLE alone;
TABLE all_figures EXCEPT TABLE figures_alone;
RESET parallel_leader_participation;
SELECT count(*) FILTER (WHERE e ~ 'Parallel Foreign Scan') AS parallel FROM explain('TABLE results') e;
RESET client_min_messages;

-- the leader warns, once, of all
SELECT count(*) FROM broken;
-- and a limit is one for all
ALTER FOREIGN TABLE broken OPTIONS (ADD reject_limit '12');
SELECT count(*) FROM broken;
ALTER FOREIGN TABLE broken OPTIONS (SET reject_limit '11');
SELECT count(*) FROM broken;
ALTER FOREIGN TABLE broken OPTIONS (DROP reject_limit);

-- consent is decided in every process, by a set that is made once
SELECT explain($$SELECT count(*) FROM accelerometer_landing WHERE stedi.consents(
    (SELECT stedi.consent_set(email, sharewithresearchasofdate) FROM customer_landing), "user", "timestamp")$$);
SET client_min_messages = error;
CREATE VIEW consented AS SELECT "user", "timestamp", x FROM accelerometer_landing WHERE stedi.consents(
    (SELECT stedi.consent_set(email, sharewithresearchasofdate) FROM customer_landing), "user", "timestamp");
CREATE VIEW consent_figures AS SELECT count(*), sum("timestamp"), count(DISTINCT "user") AS users FROM consented;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE consented_alone AS TABLE consent_figures;
SET max_parallel_workers_per_gather = 2;
SELECT count > 0 AS some FROM consented_alone;
TABLE consent_figures EXCEPT TABLE consented_alone;
-- a view's owner reads in every process, whoever asks
CREATE ROLE regress_parallel_reader;
GRANT USAGE ON SCHEMA regress_parallel TO regress_parallel_reader;
GRANT SELECT ON consented, consented_alone, consent_figures TO regress_parallel_reader;
SET ROLE regress_parallel_reader;
TABLE consent_figures EXCEPT TABLE consented_alone;
SELECT count(*) FROM accelerometer_landing;
RESET ROLE;
RESET client_min_messages;

-- parameters of a prepared statement reach the workers
PREPARE greater (integer) AS SELECT count(*) FROM framing WHERE n > $1;
SET plan_cache_mode = force_generic_plan;
SELECT explain('EXECUTE greater (2)');
EXECUTE greater (2);
EXECUTE greater (1000);
RESET plan_cache_mode;

-- again and again, in one query
SET enable_material = off;
SELECT explain('SELECT v.n, s.c FROM (VALUES (1), (2), (3)) v (n) LEFT JOIN (SELECT count(*) AS c FROM framing) s ON s.c > v.n');
SELECT v.n, s.c FROM (VALUES (1), (2), (3)) v (n) LEFT JOIN (SELECT count(*) AS c FROM framing) s ON s.c > v.n ORDER BY 1;
SELECT v.n, s.c FROM (VALUES (1), (2)) v (n) LEFT JOIN (SELECT count(*) AS c FROM broken) s ON s.c > v.n ORDER BY 1;
SELECT figures('SELECT v.n, s.c FROM (VALUES (1), (2), (3)) v (n) LEFT JOIN (SELECT count(*) AS c FROM framing) s ON s.c > v.n')
    = f.figures || jsonb_build_object('Objects Read', (f.figures -> 'Objects Read')::integer * 3, 'Bytes Read', (f.figures -> 'Bytes Read')::integer * 3) AS adds_up
    FROM figures_alone f WHERE query = 'SELECT count(*) FROM framing';
RESET enable_material;

-- ended early: the memory that is shared goes, and comes again
SELECT count(*) FROM (SELECT n FROM framing LIMIT 3) s;
SELECT explain('SELECT g, s.n IS NOT NULL FROM generate_series(1, 3) g, LATERAL (SELECT f.n FROM framing f LIMIT 2 OFFSET g) s');
SELECT g, count(*) FROM generate_series(1, 3) g, LATERAL (SELECT f.n FROM framing f LIMIT 2 OFFSET g) s GROUP BY 1 ORDER BY 1;
SELECT EXISTS (SELECT FROM framing WHERE n > 0) AS any;
BEGIN;
DECLARE few CURSOR FOR SELECT object IS NOT NULL AS named FROM framing;
FETCH 2 FROM few;
CLOSE few;
COMMIT;
DO $$
BEGIN
    FOR i IN 1 .. 5 LOOP
        BEGIN
            PERFORM sum(1 / (n - 3)) FROM framing;
        EXCEPTION WHEN division_by_zero THEN
            NULL;
        END;
        PERFORM count(*) FROM framing;
    END LOOP;
END $$;
SELECT count FROM results WHERE of = 'framing';

-- materialize counts what it reads in whatever plan
SET client_min_messages = error;
CREATE SCHEMA regress_parallel_zone;
SELECT table_name, records_read, rejected, rows FROM stedi.materialize('regress_parallel_zone', landing => 'regress_parallel');
SET max_parallel_workers_per_gather = 0;
SELECT table_name, records_read, rejected, rows FROM stedi.materialize('regress_parallel_zone', landing => 'regress_parallel', full_refresh => true);

DROP SCHEMA regress_parallel_zone CASCADE;
DROP SERVER regress_parallel, regress_parallel_zone CASCADE;
DROP SCHEMA regress_parallel CASCADE;
DROP ROLE regress_parallel_reader;
