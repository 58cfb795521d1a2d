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

/* ---- birthdays: the same date whenever and wherever they are read ---- */

ALTER FUNCTION stedi.birthday(text) IMMUTABLE;
COMMENT ON FUNCTION stedi.birthday(text) IS
    'a landing birthday as a date; NULL where PostgreSQL''s date refuses it, and where it would depend on the present time or on settings: words such as today, days and months in either order, years of two digits';

/* ---- what runs ---- */

CREATE FUNCTION stedi.running(
        OUT pid integer, OUT database name, OUT username name, OUT action text, OUT relation regclass, OUT phase text,
        OUT objects_done bigint, OUT objects_total bigint, OUT bytes_done bigint, OUT bytes_total bigint,
        OUT began timestamptz, OUT phase_began timestamptz)
    RETURNS SETOF record
    LANGUAGE C STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.running() IS
    'what runs of stedi.materialize and scans of landing tables are doing now, in figures, for programs; people look at the view stedi.progress; shows your own sessions, and all to members of pg_read_all_stats';

CREATE VIEW stedi.progress AS
    SELECT r.pid,
        r.username || CASE WHEN r.database = current_database() THEN '' ELSE '@' || r.database END AS session,
        CASE WHEN r.action = 'scan' AND r.phase = 'reading' THEN 'scanning' ELSE r.phase END AS doing,
        c.relname AS table_name,
        r.objects_done || coalesce('/' || r.objects_total, '') AS objects,
        least(100 * r.bytes_done / r.bytes_total, 100) || '% of ' || pg_size_pretty(r.bytes_total) AS done,
        pg_size_pretty((r.bytes_done / t.phase_s)::bigint) || '/s' AS rate,
        make_interval(secs => floor(t.s)) AS elapsed,
        -- no more than an interval can be: there may be next to nothing done of a very large total
        make_interval(secs => least(ceil(greatest(r.bytes_total - r.bytes_done, 0) * t.phase_s / nullif(r.bytes_done, 0)), 1e9))
            AS time_left
    FROM stedi.running() r
        LEFT JOIN pg_class c ON c.oid = r.relation,
        LATERAL (SELECT greatest(extract(epoch FROM clock_timestamp() - r.began), 0)::float8 AS s,
            greatest(extract(epoch FROM clock_timestamp() - r.phase_began), 0.001)::float8 AS phase_s) t;
COMMENT ON VIEW stedi.progress IS
    'what runs of stedi.materialize and scans of landing tables are doing now: SELECT * FROM stedi.progress \watch 1';
COMMENT ON COLUMN stedi.progress.pid IS 'the session''s process, as in pg_stat_activity';
COMMENT ON COLUMN stedi.progress.session IS 'its user, and its database if that is another one';
COMMENT ON COLUMN stedi.progress.doing IS
    'scanning, of a query; or the phase of a run: waiting, listing, reading, deciding, comparing, building, writing, recording, swapping';
COMMENT ON COLUMN stedi.progress.table_name IS 'the table that it reads or makes';
COMMENT ON COLUMN stedi.progress.objects IS 'landing objects read of those to be read; or listed so far';
COMMENT ON COLUMN stedi.progress.done IS 'part of the bytes of this phase that is done: stored bytes, where objects are read';
COMMENT ON COLUMN stedi.progress.rate IS 'bytes a second since the phase began';
COMMENT ON COLUMN stedi.progress.elapsed IS 'time since the run or scan began';
COMMENT ON COLUMN stedi.progress.time_left IS 'time that the rest of this phase takes at that rate';
GRANT SELECT ON stedi.progress TO PUBLIC;

/* ---- expectations: what rows of the zone tables are to be like ---- */

ALTER TYPE stedi.report ADD ATTRIBUTE unexpected bigint;

/* of unknown_owner: readings of devices of customers who are in, without accelerometer readings */
ALTER TYPE stedi.report ADD ATTRIBUTE without_readings bigint;

COMMENT ON AGGREGATE stedi.consent_set(text, bigint, bigint, text, boolean, boolean) IS
    'the full form: owned_since, before which it is not known whose readings are; standing granted, none, ambiguous, forgotten, unknown or without_readings; since_rule false keeps readings older than the consent; fold false compares keys byte by byte';

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

/* ---- e-mails: one normal form, beyond ASCII, too ---- */

COMMENT ON FUNCTION stedi.normalize_email(text) IS
    'an e-mail as it names a customer: Unicode''s NFKC_Casefold without what nobody sees, trimmed of white space; NULL when nothing is left, or the database''s encoding cannot write it';

CREATE FUNCTION stedi.keyed_hash(key bytea, email text, form integer) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'keyed_hash_of_form';
COMMENT ON FUNCTION stedi.keyed_hash(bytea, text, integer) IS
    'the same in a former form of e-mails: 1 is that of stedi 1.0, ASCII''s alone, by which entries of the consent history from before the update know people; 2 is that of today';

/* ---- lineage: a name for each form ---- */

-- A literal is a table's row as well as a schema, so stedi.lineage('project.t', 'landing') meant
-- either.  The form of a row gets a name of its own, which views on it take over.  Whoever gives
-- stedi.lineage a tid or a regnamespace gets what they got; literals are text before all else.
ALTER FUNCTION stedi.lineage(regclass, tid, regnamespace) RENAME TO lineage_of_row;

CREATE FUNCTION stedi.lineage(zone_table regclass, landing text)
    RETURNS TABLE(object text, etag text, rows bigint)
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'lineage_of_name';
COMMENT ON FUNCTION stedi.lineage(regclass, text) IS
    'the same; it takes the schema of the landing tables as a literal, which could be a tid otherwise';

CREATE FUNCTION stedi.lineage(zone_table regclass, place tid, landing regnamespace DEFAULT NULL)
    RETURNS TABLE(object text, etag text, line bigint, byte_offset bigint, length bigint)
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'lineage_of_row';
COMMENT ON FUNCTION stedi.lineage(regclass, tid, regnamespace) IS
    'stedi.lineage_of_row under the name that it had in 1.0';

/* ---- consent sets: dumped and restored ---- */

CREATE FUNCTION stedi.consent_set_recv(internal) RETURNS stedi.consent_set
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.consent_set_recv(internal) IS 'a consent set that stedi.consent_set_send gave';

CREATE FUNCTION stedi.consent_set_send(stedi.consent_set) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.consent_set_send(stedi.consent_set) IS 'a consent set for binary COPY: digests, and nobody''s name';

ALTER TYPE stedi.consent_set SET (RECEIVE = stedi.consent_set_recv, SEND = stedi.consent_set_send);
COMMENT ON FUNCTION stedi.consent_set_in(cstring) IS 'a consent set that stedi.consent_set_out gave';
COMMENT ON FUNCTION stedi.consent_set_out(stedi.consent_set) IS
    'a consent set for dumps: how many it has, and digests of who they are; nobody''s name, though an e-mail can be tried';
