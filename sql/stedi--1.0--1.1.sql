/* sql/stedi--1.0--1.1.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION stedi UPDATE TO '1.1'" to load this file. \quit

/* ---- expectations: what rows of the zone tables are to be like ---- */

ALTER TYPE stedi.report ADD ATTRIBUTE unexpected bigint;

CREATE FUNCTION stedi.expect(target regnamespace, "table" text, name text, condition text, action text DEFAULT 'warn')
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.expect(regnamespace, text, text, text, text) IS
    'sets what rows of one of the five zone tables are expected to be like: condition is an expression over its columns, as for CHECK; of rows for which it is not true, runs of materialize tell the number (action ''warn''), leave them out (''drop'') or end in an error (''fail''); set anew under the same name, it replaces the one before';

CREATE FUNCTION stedi.unexpect(target regnamespace, "table" text, name text)
    RETURNS boolean
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.unexpect(regnamespace, text, text) IS
    'takes back what stedi.expect has set; true when there was such an expectation; rows that it dropped come back with the next run of materialize';

CREATE FUNCTION stedi.expectations(target regnamespace)
    RETURNS TABLE(table_name text, name text, condition text, action text, met bigint, violated bigint, run bigint)
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.expectations(regnamespace) IS
    'the expectations that stedi.expect has set, with the rows that met and violated each in the run named, which is NULL before the first';
