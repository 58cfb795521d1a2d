/* sql/stedi--1.0--1.1.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION stedi UPDATE TO '1.1'" to load this file. \quit

/* ---- the landing zone: what is in it, and what is wrong there ---- */

CREATE FUNCTION stedi.quality(target regnamespace, landing regnamespace DEFAULT NULL)
    RETURNS TABLE(table_name text, column_name text, records bigint, nulls bigint, n_distinct bigint,
        smallest text, largest text, problem text)
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.quality(regnamespace, regnamespace) IS
    'what is in the landing tables, column by column, and what is wrong there: rows with a problem say how many records have it; smallest and largest are of records that consent covers, and of no column that tells who somebody is';
