-- Proves that a test decided inside the scan answers as the executor would, and which tests are.
-- Guards src/fdw/plan.c and src/scan/filter.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set data file:// :abs_srcdir /data
\set VERBOSITY terse
SET client_min_messages = error;
CREATE SCHEMA regress_pushdown;
SET search_path = regress_pushdown;
CREATE SERVER regress_pushdown FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'data');
CREATE FOREIGN TABLE readings (id integer, owner text, taken bigint, x double precision, note text)
    SERVER regress_pushdown OPTIONS (prefix 'readings');
SELECT id, owner, taken, x, note FROM readings ORDER BY id;

-- A condition three times: in the scan, above it (OFFSET 0 keeps it there), and
-- on a table with the same rows.  "inside": is it decided in the scan, or above?
-- All read x, which record 5 is rejected for.
CREATE TABLE same AS SELECT * FROM readings;
CREATE FUNCTION try(condition text) RETURNS TABLE (inside text, ids text, agrees boolean)
LANGUAGE plpgsql AS $$
DECLARE
    line text;
    above text;
    plain text;
BEGIN
    inside := '';
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) SELECT x FROM readings WHERE ' || condition LOOP
        inside := inside || CASE WHEN line LIKE '%Landing Filter:%' THEN 'in ' WHEN line LIKE '%Filter:%' THEN 'above ' ELSE '' END;
    END LOOP;
    EXECUTE 'SELECT string_agg(id::text, '' '' ORDER BY id) FROM (SELECT id, x FROM readings WHERE ' || condition || ' OFFSET 0) r WHERE x IS NULL OR x = x' INTO ids;
    EXECUTE 'SELECT string_agg(id::text, '' '' ORDER BY id) FROM (SELECT * FROM readings OFFSET 0) r WHERE (x IS NULL OR x = x) AND (' || condition || ')' INTO above;
    EXECUTE 'SELECT string_agg(id::text, '' '' ORDER BY id) FROM same WHERE ' || condition INTO plain;
    agrees := ids IS NOT DISTINCT FROM plain AND above IS NOT DISTINCT FROM plain;
    RETURN NEXT;
END $$;

-- decided in the scan: operators of a btree family, IS [NOT] NULL, = ANY
SELECT c AS condition, t.* FROM unnest(ARRAY[
    'owner = ''ann''', 'owner <> ''ann''', '''ann'' = owner', '''bob'' < owner', 'owner >= ''bob''', 'owner IS NULL', 'owner IS NOT NULL',
    'id = 6', 'id > 3', '3 < id', 'id <= 2', 'id <> 6', 'id = 6::bigint', 'id > 3::smallint', 'id BETWEEN 2 AND 4',
    'taken >= 400', 'taken = 400::integer', 'taken <> 400', 'taken IS NULL', 'NOT taken > 400',
    'x > 2.5', '2.5 >= x', 'x = -1', 'x = ''NaN''', 'x < ''Infinity''', 'x <> 0.5::real',
    'id = ANY (''{1,6,NULL}'')', 'id IN (1, 6, 8)', 'owner IN (''ann'', ''bob'')', 'id = ANY (''{}'')', 'id = ANY (NULL)', 'id < ANY (''{2,3}'')',
    'owner = ''ann'' AND taken > 100', 'id + 0 = 6 AND owner = ''ann''',
    'note COLLATE "C" < ''b''', 'note = ''beta'' COLLATE "C"', 'owner = current_setting(''regress.none'', true)', 'owner = lower(''ANN'')',
    'owner = ''ann''::varchar', 'owner::varchar = ''ann''', 'owner = (SELECT ''a'' || ''nn'')', 'id = (SELECT max(id) - 2 FROM same)'
]) c, try(c) t;

-- left to the executor
SELECT c AS condition, t.* FROM unnest(ARRAY[
    'owner LIKE ''a%''', 'owner ~ ''^a''', 'owner = ''ann'' OR id = 2', 'id = 1 OR id IS NULL', 'lower(owner) = ''ann''', 'owner = note', 'id > taken / 200',
    'NOT (id = ANY (''{1,6}''))', 'id <> ALL (''{1,6}'')', 'id NOT IN (1, 6)', 'owner IS DISTINCT FROM ''ann''', 'x = x', 'x::integer = 3',
    'id = (random() * 0)::integer + 1', 'owner || '''' = ''ann''', '(id, owner) = (1, ''ann'')', '(id, taken) < (2, 150)', '6 = ANY (ARRAY[id])', '(id = 1) IS NOT TRUE', 'owner = ''ann'' IS NOT FALSE'
]) c, try(c) t;

-- a clause of a type with its own operators, and one made by somebody
CREATE FUNCTION same_text(text, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT AS 'BEGIN RETURN $1 = $2; END';
CREATE OPERATOR === (FUNCTION = same_text, LEFTARG = text, RIGHTARG = text);
SELECT * FROM try('owner OPERATOR(regress_pushdown.===) ''ann''');

-- collations that fold: the comparison is that of the column, or of the query
CREATE COLLATION no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
ALTER FOREIGN TABLE readings ALTER note TYPE text COLLATE no_case;
SELECT id, note FROM readings WHERE note = 'ALPHA';
SELECT id, note FROM readings WHERE note = 'ALPHA' COLLATE "C";
SELECT id, note FROM readings WHERE note IN ('BETA', 'delta') ORDER BY id;
ALTER FOREIGN TABLE readings ALTER note TYPE text;

-- equal text is equal bytes: escaped, more than ASCII, a number, NULL; what is no text is rejected all the same
CREATE FOREIGN TABLE texts (v text) SERVER regress_pushdown OPTIONS (prefix 'values');
CREATE FOREIGN TABLE names (v text OPTIONS (key 'name')) SERVER regress_pushdown OPTIONS (prefix 'records');
CREATE FUNCTION plan_of(query text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON) ' || query INTO plan;
    RETURN plan::text;
END $$;
CREATE FUNCTION wrong(t regclass, condition text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    inside bigint;
    above bigint;
    rejects text[];
BEGIN
    EXECUTE format('SELECT count(*) FROM %s WHERE %s', t, condition) INTO inside;
    EXECUTE format('SELECT count(*) FROM (SELECT * FROM %s OFFSET 0) s WHERE %s', t, condition) INTO above;
    SELECT array_agg(substring(plan_of(format('SELECT v FROM %s WHERE %s', t, c)) FROM '"Records Rejected": (\d+)')) INTO rejects
        FROM unnest(ARRAY[condition, 'true']) c;
    IF inside <> above OR rejects[1] <> rejects[2] THEN
        RETURN NEXT format('%s: %s and %s rows, %s rejects', condition, inside, above, rejects);
    END IF;
END $$;
SELECT count(*) > 100 AS many, string_agg(w, chr(10)) AS wrong
    FROM (SELECT 'texts'::regclass AS t, v FROM texts UNION SELECT 'names', v FROM names UNION SELECT 'names', 'nobody') d
        CROSS JOIN unnest(ARRAY['v = %L', 'v <> %L', 'v = ANY (ARRAY[''other'', NULL, %L])', 'v <> ANY (ARRAY[NULL, %L])', '%L = v AND v IS NOT NULL']) c
        LEFT JOIN LATERAL wrong(t, format(c, v)) w ON true;
ALTER FOREIGN TABLE texts ALTER v TYPE varchar(3);
SELECT w AS wrong FROM unnest(ARRAY['v = ''abc''', 'v <> ''5''']) c, wrong('texts', c) w;

-- other types
CREATE FOREIGN TABLE typed (line bigint OPTIONS (source 'line'), at text, v timestamptz)
    SERVER regress_pushdown OPTIONS (prefix 'values');
SELECT count(*) FROM typed WHERE v = '2022-06-18 14:59:36+00';
SELECT count(*) FROM typed WHERE v < '1970-01-01 00:00:00+00';
SELECT count(*) FROM typed WHERE v = '2022-06-18 14:59:36'; -- timestamptz, in the session's zone
SELECT count(*) FROM typed WHERE v > '2022-06-18 14:59:36'::timestamp AND v < '2100-01-01'; -- such an operator is not immutable
SELECT count(*) FROM typed WHERE v > '2022-06-18'::date AND v < '2100-01-01';
SELECT count(*) FROM typed WHERE line = 1;
SELECT line FROM typed WHERE line IN (3, 1) AND at = '""';
ALTER FOREIGN TABLE typed ALTER v TYPE numeric;
SELECT at, v FROM typed WHERE v = 9007199254740993;
ALTER FOREIGN TABLE typed ALTER v TYPE jsonb;
SELECT at FROM typed WHERE v = '{"a": 1}';
SELECT at FROM typed WHERE v @> '{"a": 1}';
ALTER FOREIGN TABLE typed ALTER v TYPE uuid;
SELECT at FROM typed WHERE v = '0188A0C66F6C7D2E8A2F0123456789AB' ORDER BY line;
ALTER FOREIGN TABLE typed ALTER v TYPE boolean;
SELECT at FROM typed WHERE v;
SELECT at FROM typed WHERE v = false;
SELECT at FROM typed WHERE v IS NOT TRUE ORDER BY line;
ALTER FOREIGN TABLE typed ALTER v TYPE varchar(3);
SELECT at FROM typed WHERE v = 'abc';
ALTER FOREIGN TABLE typed ALTER v TYPE date;
SELECT at FROM typed WHERE v BETWEEN '2022-01-01' AND '2023-01-01';

-- the value of a test is evaluated by the planner, then once a scan
CREATE FUNCTION loud(given integer) RETURNS integer LANGUAGE plpgsql STABLE AS $$
BEGIN
    RAISE WARNING 'evaluated';
    RETURN given;
END $$;
SET client_min_messages = warning;
SELECT id FROM readings WHERE id = loud(3);
SET client_min_messages = error;
SELECT v.n, (SELECT string_agg(id::text, ' ') FROM readings WHERE id > v.n) AS ids FROM (VALUES (8), (6), (NULL), (7)) v (n);
PREPARE ids (integer[]) AS SELECT id FROM readings WHERE id = ANY ($1) ORDER BY id;
SET plan_cache_mode = force_generic_plan;
EXECUTE ids ('{2,4}');
EXECUTE ids ('{}');
EXECUTE ids (NULL);
EXECUTE ids ('{{1,2},{3,NULL}}');
RESET plan_cache_mode;

-- a test reads its columns first: a record that it leaves out is not rejected
SELECT id, x FROM readings WHERE owner = 'cat';
SELECT id, x FROM readings WHERE owner = 'ann' ORDER BY id;
SET client_min_messages = warning;
SELECT id, x FROM readings WHERE owner = 'ann' ORDER BY id;
SELECT id FROM readings WHERE x > 6 ORDER BY id;
SET client_min_messages = error;

-- a view with a security barrier: what could leak goes after its condition
CREATE VIEW anns WITH (security_barrier) AS SELECT * FROM readings WHERE owner = 'ann';
CREATE FUNCTION leak(integer) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$
BEGIN
    RAISE WARNING 'saw %', $1;
    RETURN true;
END $$;
SET client_min_messages = warning;
SELECT id FROM anns WHERE leak(id) ORDER BY id;
SELECT id FROM anns WHERE id > 1 AND leak(id);
SET client_min_messages = error;
-- what is not leakproof waits in the executor; what is goes into the scan
EXPLAIN (COSTS OFF) SELECT id FROM anns WHERE id = 6;
EXPLAIN (COSTS OFF) SELECT id FROM anns WHERE note < 'b';
ALTER FOREIGN TABLE typed ALTER v TYPE numeric;
CREATE VIEW firsts WITH (security_barrier) AS SELECT * FROM typed WHERE line < 20;
EXPLAIN (COSTS OFF) SELECT at FROM firsts WHERE v > 5;
SELECT at FROM firsts WHERE v > 1 ORDER BY line;

DROP SERVER regress_pushdown CASCADE;
DROP SCHEMA regress_pushdown CASCADE;
