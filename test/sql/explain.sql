-- Proves what EXPLAIN tells of a scan: the tests that it decides, and figures that add up.
-- Guards src/fdw/plan.c and explain_tests and explain_stats in src/fdw/fdw.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set data file:// :abs_srcdir /data
SET client_min_messages = error;
CREATE SCHEMA regress_explain;
SET search_path = regress_explain;
CREATE SERVER regress_explain FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'data');
CREATE FOREIGN TABLE readings (id integer, owner text, taken bigint, x double precision, note text)
    SERVER regress_explain OPTIONS (prefix 'readings');

-- EXPLAIN without the folder that this runs in, and without what versions put differently
SELECT set_config('regress.data', substring(:'data' FROM 8), false) <> '' AS kept;
CREATE FUNCTION explain(options text, query text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE format('EXPLAIN (%s) %s', options, query) LOOP
        line := replace(line, current_setting('regress.data'), '/srv/data');
        line := regexp_replace(line, '\(actual rows=(\d+)(\.0+)? loops=(\d+)\)', '(rows=\1 loops=\3)');
        line := regexp_replace(line, '\$0|\(InitPlan 1\)\.col1', '$0');
        line := regexp_replace(line, 'InitPlan 1 \(returns \$0\)', 'InitPlan 1');
        IF line !~ 'Memory|Buffers|Batches|Storage' THEN
            RETURN NEXT line;
        END IF;
    END LOOP;
END $$;

-- what is planned
SELECT explain('COSTS OFF', 'SELECT id FROM readings');
SELECT explain('VERBOSE, COSTS OFF', 'SELECT id FROM readings');
SELECT explain('VERBOSE, COSTS OFF', 'SELECT id FROM readings WHERE owner = ''ann''');
SELECT explain('COSTS OFF', 'SELECT id FROM readings WHERE owner <> ''ann'' AND note IS NOT NULL AND taken > 100 AND 700 >= taken');
SELECT explain('COSTS OFF', 'SELECT id FROM readings WHERE id = ANY (''{1,2}'') AND note LIKE ''A%''');
SELECT explain('COSTS OFF', 'SELECT id FROM readings WHERE note COLLATE "C" < ''b''');
SELECT explain('COSTS OFF', 'SELECT id FROM readings WHERE owner = ''ann'' OR id = 1');
SELECT explain('COSTS OFF', 'SELECT r.id FROM readings r WHERE r.x > (SELECT 1.5)');
PREPARE by_owner (text) AS SELECT id FROM readings WHERE owner = $1;
SET plan_cache_mode = force_generic_plan;
SELECT explain('COSTS OFF', 'EXECUTE by_owner (''ann'')');
RESET plan_cache_mode;
SELECT explain('COSTS OFF', 'EXECUTE by_owner (''ann'')');
-- the consent test has a line of its own
SELECT explain('VERBOSE, COSTS OFF', $$SELECT id FROM readings WHERE taken > 100
    AND stedi.consents((SELECT stedi.consent_set(who, since) FROM (VALUES ('ann', 300)) v (who, since)), owner, taken)$$);
-- the estimate is that of the objects' sizes, until ANALYZE counts the records
SELECT explain('COSTS ON', 'SELECT id FROM readings') ~ 'rows=[1-9]' AS estimated;
ANALYZE readings (id);
SELECT substring(e FROM 'rows=(\d+)')::integer BETWEEN 6 AND 10 AS about_eight FROM explain('COSTS ON', 'SELECT id FROM readings') e;

-- what was done: records read = returned + filtered + not consented + rejected
SELECT explain('ANALYZE, BUFFERS OFF, COSTS OFF, TIMING OFF, SUMMARY OFF', 'SELECT id FROM readings');
SELECT explain('ANALYZE, BUFFERS OFF, COSTS OFF, TIMING OFF, SUMMARY OFF', 'SELECT id, x FROM readings WHERE owner >= ''bob'' AND note <> ''beta''');
SELECT explain('ANALYZE, BUFFERS OFF, COSTS OFF, TIMING OFF, SUMMARY OFF', $$SELECT id, x FROM readings WHERE taken > 100
    AND stedi.consents((SELECT stedi.consent_set(who, since) FROM (VALUES ('ann', 300), ('cat', 1), ('bob', 1000)) v (who, since)), owner, taken)$$);
SELECT explain('ANALYZE, BUFFERS OFF, COSTS OFF, TIMING OFF, SUMMARY OFF', 'SELECT id, x FROM readings WHERE note LIKE ''A%''');
SELECT explain('ANALYZE, BUFFERS OFF, COSTS OFF, TIMING OFF, SUMMARY OFF', 'SELECT id FROM readings LIMIT 2');
SELECT explain('ANALYZE, BUFFERS OFF, COSTS OFF, TIMING OFF, SUMMARY OFF', 'SELECT id FROM readings WHERE false');
CREATE FOREIGN TABLE keys (n integer) SERVER regress_explain OPTIONS (prefix 'keys');
SELECT explain('ANALYZE, BUFFERS OFF, COSTS OFF, TIMING OFF, SUMMARY OFF', 'SELECT n FROM keys');
CREATE FOREIGN TABLE packed (n integer) SERVER regress_explain OPTIONS (prefix 'packed_broken');
SELECT explain('ANALYZE, BUFFERS OFF, COSTS OFF, TIMING OFF, SUMMARY OFF', 'SELECT n FROM packed WHERE n > 3');
-- a scan that ran again
SET enable_material = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT e FROM explain('ANALYZE, BUFFERS OFF, COSTS OFF, TIMING OFF, SUMMARY OFF',
    'SELECT v.n, r.id FROM (VALUES (1), (2), (3)) v (n) LEFT JOIN readings r ON r.id = v.n') e WHERE e !~ 'Records|Read:';
RESET enable_material;
RESET enable_hashjoin;
RESET enable_mergejoin;

-- the sum, for many queries
CREATE FUNCTION adds_up(condition text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM readings WHERE ' || condition INTO plan;
    plan := plan -> 0 -> 'Plan';
    RETURN (plan ->> 'Records Read')::bigint = (plan ->> 'Records Returned')::bigint + (plan ->> 'Records Filtered')::bigint
        + (plan ->> 'Records Not Consented')::bigint + (plan ->> 'Records Rejected')::bigint
        AND (plan ->> 'Records Read')::bigint = 8;
END $$;
SELECT bool_and(adds_up(c)) FROM unnest(ARRAY['true', 'id > 5', 'x > 0', 'x IS NULL', 'note = ''beta''', 'x > 0 AND id > 5', 'owner LIKE ''a%''',
    'stedi.consents((SELECT stedi.consent_set(''ann'', 1)), owner, taken)', 'stedi.consents((SELECT stedi.consent_set(''cat'', 1)), owner, taken)',
    'stedi.consents(NULL, owner, taken)', 'stedi.consents((SELECT stedi.consent_set(''ann'', 1)), owner, taken) AND x > 1']) c;

DROP SERVER regress_explain CASCADE;
DROP SCHEMA regress_explain CASCADE;
