-- Proves which objects a landing table names, by prefix, key or pattern, which a query of it reads, and what a hint proposes.
-- Guards src/base/glob.c, src/scan/prune.c, src/s3/list.c, src/s3/suggest.c and src/fdw/import.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set data file:// :abs_srcdir /data
\set course file:// :abs_srcdir /data/course
SET client_min_messages = error;
CREATE SCHEMA regress_objects;
SET search_path = regress_objects;
CREATE SERVER regress_objects FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'data');
CREATE FOREIGN TABLE named (object text OPTIONS (source 'object'), line bigint OPTIONS (source 'line'))
    SERVER regress_objects OPTIONS (prefix 'prefix');

-- what a statement answers, without the folder that this runs in
SELECT set_config('regress.data', substring(:'data' FROM 8), false) <> '' AS kept;
CREATE FUNCTION answer(statement text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    RETURN QUERY EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN NEXT sqlstate || ' ' || replace(sqlerrm, current_setting('regress.data'), 'data');
    IF detail <> '' THEN
        RETURN NEXT 'DETAIL: ' || detail;
    END IF;
    IF hint <> '' THEN
        RETURN NEXT 'HINT: ' || hint;
    END IF;
END $$;
CREATE FUNCTION objects_of(prefix text, pattern text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER FOREIGN TABLE named OPTIONS (SET prefix %L, %s pattern %L)', prefix,
        CASE WHEN EXISTS (SELECT FROM pg_foreign_table, unnest(ftoptions) o WHERE ftrelid = 'named'::regclass AND o LIKE 'pattern=%') THEN 'SET' ELSE 'ADD' END,
        pattern);
    RETURN QUERY SELECT * FROM answer('SELECT DISTINCT object FROM named ORDER BY object');
END $$;

-- a prefix is a folder, or the key of one object, or nothing of all
SELECT answer('SELECT DISTINCT object FROM named ORDER BY object');
ALTER FOREIGN TABLE named OPTIONS (SET prefix 'prefix/customers.json');
SELECT answer('SELECT object FROM named');
ALTER FOREIGN TABLE named OPTIONS (SET prefix 'prefix/customers');
SELECT answer('SELECT object FROM named ORDER BY object');
ALTER FOREIGN TABLE named OPTIONS (SET prefix 'keys/_SUCCESS');
SELECT answer('SELECT object FROM named');
ALTER FOREIGN TABLE named OPTIONS (SET prefix 'prefix/customers.jso');
SELECT answer('SELECT object FROM named');
-- in a folder, / at the ends mean nothing
ALTER FOREIGN TABLE named OPTIONS (SET prefix '//prefix/customers//');
SELECT answer('SELECT object FROM named ORDER BY object');

-- patterns: of what follows the prefix
SELECT p AS pattern, array(SELECT objects_of('prefix', p)) AS objects FROM unnest(ARRAY[
    'customers.json', '*.json', '*', '**', '**/1.json', 'customers*/*.json', 'customers/**', 'customers/**/1.json', '**/2*/?.json',
    'customers[_.]*', 'customers[!_]json', '[c]ustomers.????', 'prefix/*', 'nothing', '_SUCCESS', '**/_SUCCESS', '/customers.json']) p;
SELECT p AS pattern, array(SELECT objects_of('keys', p)) AS objects FROM unnest(ARRAY['?n*/*', 'ünïcode/?.json', '* *', '*%*', '*\%*', '*"*', '*=*/**']) p;
-- those that are none
ALTER FOREIGN TABLE named OPTIONS (SET pattern ''); -- ERROR
ALTER FOREIGN TABLE named OPTIONS (SET pattern 'a['); -- ERROR
ALTER FOREIGN TABLE named OPTIONS (SET pattern 'a\'); -- ERROR
ALTER FOREIGN TABLE named OPTIONS (SET pattern '{a,b}*'); -- ERROR
ALTER FOREIGN TABLE named OPTIONS (SET pattern '[z-a]'); -- ERROR
ALTER FOREIGN TABLE named OPTIONS (SET pattern '[[:space:]]'); -- ERROR
-- an empty answer is as that of a prefix
ALTER FOREIGN TABLE named OPTIONS (ADD allow_empty 'true');
SELECT objects_of('prefix', 'nothing*');
ALTER FOREIGN TABLE named OPTIONS (DROP allow_empty, SET prefix 'prefix', SET pattern '**/1.json');
-- it is shown, and a change of it is seen at once
SELECT replace(e, current_setting('regress.data'), 'data') FROM answer('EXPLAIN (VERBOSE, COSTS OFF) SELECT line FROM named') e;
BEGIN;
SELECT count(DISTINCT object) FROM named;
ALTER FOREIGN TABLE named OPTIONS (SET pattern '*.json');
SELECT count(DISTINCT object) FROM named;
ROLLBACK;
ALTER FOREIGN TABLE named OPTIONS (DROP pattern);

-- a clause on the object leaves objects out before they are read: as the executor would, above OFFSET 0
CREATE FOREIGN TABLE framing (n integer, object text OPTIONS (source 'object'), line bigint OPTIONS (source 'line'))
    SERVER regress_objects OPTIONS (prefix 'framing');
CREATE FUNCTION pruned(condition text) RETURNS TABLE (inside boolean, listed int, pruned int, read int, agrees boolean, counted boolean)
LANGUAGE plpgsql AS $$
DECLARE
    plan jsonb;
    node jsonb;
    n bigint;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON) SELECT n FROM framing WHERE ' || condition INTO plan;
    node := coalesce(jsonb_path_query_first(plan, 'strict $.**?(exists(@."Objects Listed"))'), '{}');
    inside := node ? 'Object Filter';
    listed := node -> 'Objects Listed';
    pruned := coalesce(node -> 'Objects Pruned', '0');
    read := node -> 'Objects Read';
    EXECUTE 'SELECT (SELECT array_agg((n, object, line) ORDER BY object, line) FROM framing WHERE ' || condition ||
        ') IS NOT DISTINCT FROM (SELECT array_agg((n, object, line) ORDER BY object, line) FROM (SELECT * FROM framing OFFSET 0) f WHERE ' || condition || ')' INTO agrees;
    EXECUTE 'SELECT count(*) FROM framing WHERE ' || condition INTO n;
    EXECUTE 'SELECT count(*) = $1 FROM (SELECT * FROM framing OFFSET 0) f WHERE ' || condition INTO counted USING n;
    RETURN NEXT;
END $$;
SELECT c AS condition, p.* FROM unnest(ARRAY[
    'object = ''framing/crlf.json''', 'object = ''framing/none.json''', '''framing/crlf.json'' = object', 'object <> ''framing/crlf.json''',
    'object < ''framing/b''', 'object LIKE ''framing/c%''', 'object LIKE ''%l%.json''', 'object NOT LIKE ''framing/c%''', 'object ILIKE ''FRAMING/C%''',
    'object ~ ''cr''', 'object ^@ ''framing/c''', 'object IN (''framing/crlf.json'', ''framing/lines.json'', ''x'')', 'object = ANY (''{}'')', 'object LIKE ANY (''{%crlf%,%lines%}'')',
    'object = NULL', 'object = ANY (NULL)', 'object IS NULL', 'object IS NOT NULL', 'object = ''framing/crlf.json'' AND line = 1', 'object LIKE ''%f%'' AND object LIKE ''%r%'' AND n > 2',
    'object = (SELECT ''framing/'' || ''crlf.json'')', 'object LIKE current_setting(''regress.none'', true)',
    'object = ''framing/crlf.json'' OR line = 1', 'lower(object) = ''framing/crlf.json''', 'object LIKE ''%'' || n || ''%''', 'object = ''framing/crlf.json'' || random()::integer']) c, pruned(c) p;
-- with values that come later, and others each time
PREPARE of_object (text) AS SELECT count(*) FROM framing WHERE object LIKE $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE of_object ('%crlf%');
EXECUTE of_object ('%');
EXECUTE of_object (NULL);
RESET plan_cache_mode;
SELECT o, l.n FROM (VALUES ('framing/crlf.json'), ('none'), ('framing/lines.json')) v (o), LATERAL (SELECT count(*) AS n FROM framing WHERE object = v.o OFFSET 0) l;
-- an object that is left out is not opened, so what is wrong in it stops nobody
CREATE FOREIGN TABLE broken (n integer, object text OPTIONS (source 'object')) SERVER regress_objects OPTIONS (prefix 'broken', on_error 'stop');
SELECT answer('SELECT count(*)::text FROM broken WHERE object = ''none''');
-- in a view that is a barrier, only what tells nothing goes first
CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM framing WHERE line > 0;
SELECT e FROM answer('EXPLAIN (COSTS OFF) SELECT n FROM barrier WHERE object LIKE ''%x%'' AND object = ''framing/crlf.json''') e WHERE e ~ 'Filter';
-- in several processes
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT p.* FROM pruned('object LIKE ''framing/c%'' OR object IS NULL') p;
SELECT p.* FROM pruned('object LIKE ''framing/_%''') p;
SELECT p.* FROM pruned('object >= ''framing/c'' AND object LIKE ''framing/%''') p;
SELECT e FROM answer('EXPLAIN (COSTS OFF) SELECT count(*) FROM framing WHERE object LIKE ''framing/%''') e WHERE e ~ 'Parallel|Filter|Planned';
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- the layout X/landing beside X/trusted: the hint names the landing data, and so may the import
CREATE SERVER regress_course FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'course');
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_course INTO regress_objects;
SELECT answer('SELECT count(*)::text FROM customer_landing');
ALTER FOREIGN TABLE customer_landing OPTIONS (SET prefix 'costumers');
SELECT answer('SELECT count(*)::text FROM customer_landing');
ALTER FOREIGN TABLE customer_landing OPTIONS (SET prefix 'customer/landing');
SELECT answer('SELECT count(*)::text FROM customer_landing');
SET client_min_messages = warning;
SELECT count(*) FROM step_trainer_landing;
ALTER FOREIGN TABLE step_trainer_landing OPTIONS (ADD pattern '**');
SELECT count(*) FROM step_trainer_landing;
SET client_min_messages = error;
DROP FOREIGN TABLE customer_landing, accelerometer_landing, step_trainer_landing;
SET client_min_messages = warning;
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_course INTO regress_objects
    OPTIONS (customer_prefix 'customer/landing', accelerometer_prefix 'accelerometer/landing', step_trainer_prefix 'step_trainer/landing/s.json');
SELECT (SELECT count(*) FROM customer_landing) AS customers, (SELECT count(*) FROM accelerometer_landing) AS readings, (SELECT count(*) FROM step_trainer_landing) AS steps;
CREATE SCHEMA regress_objects_target;
SELECT table_name, rows FROM stedi.materialize('regress_objects_target', landing => 'regress_objects');
-- a pattern is of what a run remembers: another one has all read again
ALTER FOREIGN TABLE step_trainer_landing OPTIONS (SET prefix 'step_trainer', ADD pattern 'landing/*');
SELECT table_name, mode, rows FROM stedi.materialize('regress_objects_target', landing => 'regress_objects');
SELECT table_name, mode, rows FROM stedi.materialize('regress_objects_target', landing => 'regress_objects');
SET client_min_messages = error;
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_course INTO regress_objects OPTIONS (prefix 'x'); -- ERROR
IMPORT FOREIGN SCHEMA inferred FROM SERVER regress_course INTO regress_objects OPTIONS (customer_prefix 'x'); -- ERROR
-- three kinds in one folder
DROP SCHEMA regress_objects_target CASCADE;
DROP FOREIGN TABLE customer_landing, accelerometer_landing, step_trainer_landing;
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_course INTO regress_objects OPTIONS (customer_prefix '', accelerometer_prefix '', step_trainer_prefix '');
ALTER FOREIGN TABLE customer_landing OPTIONS (ADD pattern 'customer/landing/c*.json');
ALTER FOREIGN TABLE accelerometer_landing OPTIONS (ADD pattern 'acc*/landing/*');
ALTER FOREIGN TABLE step_trainer_landing OPTIONS (ADD pattern '**/landing/[st]*.json');
SELECT (SELECT count(*) FROM customer_landing) AS customers, (SELECT count(*) FROM accelerometer_landing) AS readings, (SELECT count(*) FROM step_trainer_landing) AS steps;

DROP SERVER regress_objects CASCADE;
DROP SERVER regress_course CASCADE;
DROP SCHEMA regress_objects CASCADE;
