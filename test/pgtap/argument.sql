-- Proves that each function that takes a table or a schema says so, by its SQLSTATE, when that is none or one of another kind.
-- Guards src/commands/rejects.c, src/commands/lineage.c, src/run/target.c and src/run/session.c; a new function is among them by itself.
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS stedi;
CREATE SCHEMA regress_argument;
CREATE TABLE regress_argument.plain (a integer);
CREATE INDEX an_index ON regress_argument.plain (a);
CREATE VIEW regress_argument.a_view AS SELECT 1 AS a;
CREATE MATERIALIZED VIEW regress_argument.a_matview AS SELECT 1 AS a;
CREATE SEQUENCE regress_argument.a_sequence;
CREATE TYPE regress_argument.a_type AS (a integer);
CREATE TABLE regress_argument.customer_trusted ();
CREATE TABLE regress_argument.parted (a integer) PARTITION BY LIST (a);
-- what has the name of a zone table and is none
CREATE SCHEMA regress_named;
CREATE VIEW regress_named.customer_trusted AS SELECT 1 AS a;
CREATE SEQUENCE regress_named.customer_curated;
CREATE TABLE regress_argument.gone ();
CREATE SCHEMA regress_gone;
SELECT 'regress_argument.gone'::regclass::oid AS gone_table, 'regress_gone'::regnamespace::oid AS gone_schema \gset
DROP TABLE regress_argument.gone;
DROP SCHEMA regress_gone;

-- what an argument is given, and what that comes to
CREATE TEMPORARY TABLE given AS
    SELECT 'regclass'::regtype AS type, oid || '::oid::regclass' AS value, '42P01' AS outcome FROM unnest(ARRAY[0, 1, 999999, :gone_table, 4294967295]) oid
    UNION ALL SELECT 'regclass', quote_literal(name) || '::regclass', '42809' FROM unnest('{regress_argument.plain,regress_argument.an_index,
            regress_argument.a_view,regress_argument.a_matview,regress_argument.a_sequence,regress_argument.a_type,regress_argument.parted,
            pg_catalog.pg_class,pg_catalog.pg_class_oid_index,pg_toast.pg_toast_1255,pg_toast.pg_toast_1255_index,
            regress_named.customer_trusted,regress_named.customer_curated}'::text[]) name
    UNION ALL SELECT 'regnamespace', oid || '::oid::regnamespace', '3F000' FROM unnest(ARRAY[0, 1, 999999, :gone_schema, 4294967295]) oid
    UNION ALL SELECT 'regnamespace', 'NULL::regnamespace', 'any' UNION ALL SELECT 'regclass', 'NULL::regclass', 'any'
    UNION ALL SELECT 'oid', oid || '::oid', 'any' FROM unnest(ARRAY[0, 1, 1259, 1417, 4294967295]) oid
    UNION ALL SELECT 'tid', quote_literal(place) || '::tid', 'any' FROM unnest('{"(0,0)","(0,1)","(4294967295,65535)"}'::text[]) place;
-- what the other arguments are given, by their names
CREATE TEMPORARY TABLE others (name text, value text);
INSERT INTO others VALUES ('target', $$'regress_argument'$$), ('email', $$'a@x'$$), ('reason', $$'objection'$$), ('table', $$'accelerometer_trusted'$$),
    ('name', $$'x'$$), ('condition', $$'true'$$), ('place', $$'(0,1)'$$), ('zone_table', $$'regress_argument.customer_trusted'$$), ('options', $$'{a=b}'$$), ('catalog', '1417'), ('landing', $$'stedi'$$);
CREATE TEMPORARY TABLE arguments AS
    SELECT p.oid::regprocedure AS function, p.proname, n AS place, p.proargnames[n] AS name, p.proargtypes[n - 1]::regtype AS type,
        n <= p.pronargs - p.pronargdefaults AS needed
    FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
        JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid AND e.extname = 'stedi', generate_series(1, p.pronargs) n;
CREATE TEMPORARY TABLE calls AS
    SELECT a.function, g.outcome, format('SELECT * FROM stedi.%I(%s)', a.proname,
            (SELECT string_agg(format('%I => %s', o.name, CASE WHEN o.place = a.place THEN g.value ELSE v.value END), ', ' ORDER BY o.place)
             FROM arguments o LEFT JOIN others v ON v.name = o.name WHERE o.function = a.function AND (o.needed OR o.place = a.place))) AS statement
    FROM arguments a JOIN given g ON g.type = a.type;

CREATE FUNCTION pg_temp.attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RAISE EXCEPTION USING ERRCODE = 'UNDO1';
EXCEPTION WHEN OTHERS THEN
    RETURN CASE sqlstate WHEN 'UNDO1' THEN 'ok' ELSE sqlstate END;
END $$;

SELECT plan(1 + (SELECT count(*) FROM calls)::integer);
SELECT cmp_ok((SELECT count(DISTINCT function) FROM calls), '>=', 21::bigint, 'functions that take such arguments were found');
SELECT CASE WHEN outcome = 'any' THEN unalike(pg_temp.attempt(statement), 'XX%', statement) ELSE is(pg_temp.attempt(statement), outcome, statement) END FROM calls;
SELECT * FROM finish();
ROLLBACK;
