/* sql/stedi--1.0--1.1.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION stedi UPDATE TO '1.1'" to load this file. \quit

/* ---- the landing zone: what is in it, and what is wrong there ---- */

CREATE FUNCTION stedi.infer(server name, prefix text DEFAULT NULL,
        OUT key text, OUT records bigint,
        OUT nulls bigint, OUT booleans bigint, OUT integers bigint, OUT numbers bigint,
        OUT strings bigint, OUT objects bigint, OUT arrays bigint,
        OUT type regtype, OUT column_name text, OUT key_option boolean, OUT note text)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.infer(name, text) IS
    'the keys of a sample of the records under a prefix of a foreign server''s url, how often each occurs and of which JSON type, and the column that it would be: what IMPORT FOREIGN SCHEMA inferred makes tables of; never a value; needs USAGE on the server';

CREATE FUNCTION stedi.quality(target regnamespace, landing regnamespace DEFAULT NULL)
    RETURNS TABLE(table_name text, column_name text, records bigint, nulls bigint, n_distinct bigint,
        smallest text, largest text, problem text)
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.quality(regnamespace, regnamespace) IS
    'what is in the landing tables, column by column, and what is wrong there: rows with a problem say how many records have it; smallest and largest are of records that consent covers, and of no column that tells who somebody is';
