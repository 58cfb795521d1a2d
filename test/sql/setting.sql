-- Proves that no setting of a session changes what the extension's functions make or answer, nor brings warnings of its own statements.
-- Guards stedi_zone_pin_settings of src/run/target.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set day file:// :abs_srcdir /data/zone
\set later file:// :abs_srcdir /data/zone_later
\set VERBOSITY terse
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA regress_setting;
CREATE SCHEMA regress_trap;
CREATE ACCESS METHOD regress_heap TYPE TABLE HANDLER heap_tableam_handler;
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE regress_place LOCATION '';
-- what must be taken from pg_catalog
CREATE FUNCTION regress_trap.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz';
CREATE FUNCTION regress_trap.lower(text) RETURNS text LANGUAGE sql AS 'SELECT NULL::text';
CREATE FUNCTION regress_trap.equal(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT NULL::boolean';
CREATE OPERATOR regress_trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = regress_trap.equal);
CREATE TABLE regress_trap.customer_trusted ();
CREATE SERVER regress_setting FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'day');
CREATE SCHEMA "regress_la'nd\ing";
CREATE SCHEMA regress_inferred;
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_setting INTO "regress_la'nd\ing";

-- The statements: {zone} is the target of the pass. Runs come in their order.
CREATE TABLE regress_setting.statement (n integer GENERATED ALWAYS AS IDENTITY, body text);
INSERT INTO regress_setting.statement (body) VALUES
    ($$SELECT table_name, mode, rows FROM stedi.materialize({zone}, {landing}, dry_run => true)$$),
    ($$SELECT table_name, mode, records_read, rows FROM stedi.materialize({zone}, {landing})$$),
    ($$SELECT stedi.expect({zone}, 'accelerometer_trusted', E'wh\\at''s', E'x > 0 OR email ~ ''^\\w+$'' OR email = ''\\''', 'drop') IS NULL AS set$$),
    ($$SELECT table_name, name, condition, action, met FROM stedi.expectations({zone})$$),
    ($$SELECT table_name, records_read, rows, unexpected FROM stedi.materialize({zone}, {landing}, full_refresh => true, consent => 'since_consent')$$),
    ($$SELECT table_name, name, condition, action, met, violated FROM stedi.expectations({zone})$$),
    ($$SELECT source, name, rows FROM stedi.forget({zone}, 'plain@x', 'objection', {landing})$$),
    ($$SELECT stedi.unforget({zone}, 'plain@x')$$),
    ($$SELECT table_name, mode, rows FROM stedi.materialize({zone}, {landing}, match => 'time', consent => 'granted')$$),
    ($$SELECT stedi.unexpect({zone}, 'accelerometer_trusted', E'wh\\at''s')$$),
    ($$SELECT table_name, mode, rows FROM stedi.materialize({zone}, {landing}, match => 'customer')$$),
    ($$SELECT * FROM stedi.audit({zone}, {landing})$$),
    ($$SELECT * FROM stedi.quality({zone}, {landing})$$),
    ($$SELECT * FROM stedi.lineage(({zone} || '.machine_learning_curated')::regclass, {landing}::regnamespace)$$),
    ($$SELECT source, object, byte_offset, CASE WHEN source ~ 'landing' THEN record END AS record FROM stedi.subject({zone}, 'plain@x', {landing})$$),
    ($$SELECT run, what, object, byte_offset, rows_removed, rows_added FROM stedi.consent_history({zone})$$),
    ($$SELECT entry, problem FROM stedi.verify_history({zone}) WHERE problem !~ 'head'$$),
    ($$SELECT object, line, byte_offset, reason, record FROM stedi.rejects({customers})$$),
    ($$SELECT * FROM stedi.customer_records({customers})$$),
    ($$SELECT * FROM stedi.infer('regress_setting', 'customers')$$),
    ($$SELECT option, belongs_to, initial FROM stedi.options()$$),
    ($$SELECT stedi.epoch_ms(t) AS t, stedi.epoch_ms(stedi.epoch_ms(t)) AS same FROM generate_series(1, 1700000000123, 99999999999) t$$),
    ($$SELECT stedi.normalize_email(E' \\A''B@x'), stedi.keyed_hash(E'\\x00ff5c', E' \\A''B@x')$$),
    ($$SELECT stedi.consents(s, E'a\\b@x', 5) AS a, stedi.consents(s, 'a''b@x', 5) AS b, split_part(s::text, ' ', 1) AS text FROM (SELECT stedi.consent_set(who, 1) AS s FROM (VALUES (E'A\\B@x'), ('c@x')) v (who)) s$$),
    ($$SELECT * FROM {target}.customer_trusted$$),
    ($$SELECT * FROM {target}.accelerometer_trusted$$),
    ($$SELECT * FROM {target}.customer_curated$$),
    ($$SELECT * FROM {target}.step_trainer_curated$$),
    ($$SELECT * FROM {target}.machine_learning_curated$$);

-- All of them, whose answers become tables of the pass.
CREATE PROCEDURE regress_setting.pass(pass text) LANGUAGE plpgsql AS $$
DECLARE
    n integer;
    body text;
BEGIN
    FOR n, body IN SELECT s.n, s.body FROM regress_setting.statement s ORDER BY s.n LOOP
        body := replace(replace(replace(replace(body, '{zone}', quote_literal(quote_ident(pass))),
            '{landing}', quote_literal(quote_ident('regress_la''nd\ing'))),
            '{customers}', quote_literal(quote_ident('regress_la''nd\ing') || '.customer_landing')), '{target}', quote_ident(pass));
        EXECUTE format('CREATE TABLE regress_setting.%I AS %s', pass || n, body);
    END LOOP;
END $$;

CREATE SCHEMA regress_plain;
CALL regress_setting.pass('regress_plain');
IMPORT FOREIGN SCHEMA inferred FROM SERVER regress_setting INTO regress_inferred;
SELECT (SELECT relname FROM pg_class c WHERE c.oid = attrelid), string_agg(attname || ' ' || format_type(atttypid, atttypmod) || coalesce(attfdwoptions::text, ''), ', ' ORDER BY attnum) AS columns
    INTO regress_setting.inferred_plain FROM pg_attribute WHERE attrelid::regclass::text LIKE 'regress_inferred.%' AND attnum > 0 GROUP BY 1;
DROP SCHEMA regress_inferred CASCADE;
CREATE SCHEMA regress_inferred;
-- the same in a session where everything is otherwise
CREATE SCHEMA "regress_o\d'd";
SET standard_conforming_strings = off;
SET escape_string_warning = on;
SET backslash_quote = off;
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SET extra_float_digits = -15;
SET bytea_output = 'escape';
SET quote_all_identifiers = on;
SET transform_null_equals = on;
SET array_nulls = off;
SET timezone = 'Asia/Kathmandu';
SET check_function_bodies = off;
SET work_mem = '64kB';
SET enable_hashjoin = off;
SET enable_hashagg = off;
SET plan_cache_mode = force_generic_plan;
SET default_tablespace = regress_place;
SET default_table_access_method = regress_heap;
SET search_path = regress_trap, pg_catalog;
CALL regress_setting.pass(E'regress_o\\d''d');
IMPORT FOREIGN SCHEMA inferred FROM SERVER regress_setting INTO regress_inferred;
RESET ALL;
SET client_min_messages = warning;
SET timezone = 'UTC';
SELECT (SELECT relname FROM pg_class c WHERE c.oid = attrelid), string_agg(attname || ' ' || format_type(atttypid, atttypmod) || coalesce(attfdwoptions::text, ''), ', ' ORDER BY attnum) AS columns
    INTO regress_setting.inferred_odd FROM pg_attribute WHERE attrelid::regclass::text LIKE 'regress_inferred.%' AND attnum > 0 GROUP BY 1;

-- what differs between the two
CREATE FUNCTION regress_setting.differences(one text, other text) RETURNS TABLE (a_row text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('(SELECT %3$L || d::text FROM (TABLE regress_setting.%1$I EXCEPT ALL TABLE regress_setting.%2$I) d)'
        ' UNION ALL (SELECT %4$L || d::text FROM (TABLE regress_setting.%2$I EXCEPT ALL TABLE regress_setting.%1$I) d)', one, other, 'plain ', 'odd ');
END $$;
SELECT n, body, d.a_row FROM regress_setting.statement, regress_setting.differences('regress_plain' || n, 'regress_o\d''d' || n) d ORDER BY n, a_row COLLATE "C";
SELECT a_row FROM regress_setting.differences('inferred_plain', 'inferred_odd');
-- and that there was something to compare
CREATE FUNCTION regress_setting.rows(name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM regress_setting.%I', name) INTO n;
    RETURN n;
END $$;
SELECT string_agg(n || ': ' || regress_setting.rows('regress_plain' || n), ', ' ORDER BY n) AS rows FROM regress_setting.statement;
-- new tables are where the session's settings say, and stay there
SELECT relname, amname, spcname FROM pg_class c LEFT JOIN pg_tablespace t ON t.oid = c.reltablespace LEFT JOIN pg_am a ON a.oid = c.relam
    WHERE relnamespace = '"regress_o\d''d"'::regnamespace AND relkind = 'r' AND relname !~ '^stedi' ORDER BY relname;

DROP SCHEMA regress_setting, regress_trap, regress_inferred, regress_plain, "regress_o\d'd", "regress_la'nd\ing" CASCADE;
DROP SERVER regress_setting;
DROP TABLESPACE regress_place;
DROP ACCESS METHOD regress_heap;
