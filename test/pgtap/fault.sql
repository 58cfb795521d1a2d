-- Proves, fault by fault, why a record is set aside and with which SQLSTATE it stops a query.
-- Guards stedi_reason_text in src/record/frame.c and reason_errcode in src/scan/scan.c.

\set root `pwd`
\set data file:// :root /test/data

BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS stedi;
SET LOCAL client_min_messages = error;
CREATE SERVER tap_fault FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'data');

-- a folder of test/data/fault, what stedi.rejects says of it, and what on_error 'stop' does
CREATE TEMP TABLE fault (name text, reason text, code text);
INSERT INTO fault VALUES
    ('array_in_array', 'not a JSON object', '22032'),
    ('array_open', 'the landing object ends inside its array', '22032'),
    ('comma_twice', 'not a JSON object', '22032'),
    ('cut_off', 'the landing object ends inside the record', '22032'),
    ('cut_off_in_escape', 'the landing object ends inside the record', '22032'),
    ('cut_off_in_utf8', 'the landing object ends inside the record', '22032'),
    ('line_in_string', 'the line ends inside a string', '22032'),
    ('not_closed', 'the next record starts before this one is closed', '22032'),
    ('bare_word', 'not a JSON object', '22032'),
    ('stray_brace', 'not a JSON object', '22032'),
    ('too_deep', 'nested deeper than option "max_depth" allows', '54000'),
    ('too_long', 'longer than option "max_record_size" allows', '54000'),
    ('gzip_cut_off', 'the compressed bytes are damaged or cut off', '22032'),
    ('no_colon', 'not valid JSON', '22032'),
    ('leading_zero', 'not valid JSON', '22032'),
    ('comma_at_end', 'not valid JSON', '22032'),
    ('single_quotes', 'not valid JSON', '22032'),
    ('wrong_bracket', 'not valid JSON', '22032'),
    ('bad_escape', 'not valid JSON', '22032'),
    ('control_character', 'not valid JSON', '22032'),
    ('two_keys_differ', 'column "n": two keys match and their values differ', '22032'),
    ('zero_character', 'column "name": text contains \u0000', '22021'),
    ('latin1', 'not valid text in the encoding of the database', '22021'),
    ('overlong_utf8', 'not valid text in the encoding of the database', '22021'),
    ('half_a_pair', 'column "name": not valid text in the encoding of the database', '22021'),
    ('text_from_object', 'column "name": a JSON value of another kind', '22P02'),
    ('integer_from_word', 'column "n": not a number', '22P02'),
    ('integer_from_fraction', 'column "n": not an integer', '22P02'),
    ('integer_too_large', 'column "n": out of range', '22003'),
    ('number_too_large', 'column "x": out of range', '22003'),
    ('time_without_offset', 'column "t": not a date or time', '22007'),
    ('time_too_late', 'column "t": out of range', '22003'),
    ('date_that_is_none', 'column "d": not a date or time', '22007'),
    ('uuid_too_short', 'column "u": not a value of the column''s type', '22P02');

-- what rejects and a query that stops have to say of a fault: first reason, how many, SQLSTATE
CREATE FUNCTION pg_temp.try(name text, OUT reason text, OUT n bigint, OUT code text)
LANGUAGE plpgsql AS $$
BEGIN
    DROP FOREIGN TABLE IF EXISTS pg_temp.landed;
    EXECUTE format('CREATE FOREIGN TABLE pg_temp.landed (n integer, name text, x double precision, t timestamptz, d date, u uuid)
        SERVER tap_fault OPTIONS (prefix %L, max_record_size ''1024'', on_error ''stop'')', 'fault/' || name);
    SELECT (array_agg(r.reason ORDER BY byte_offset))[1], count(*) INTO reason, n FROM stedi.rejects('pg_temp.landed') r;
    BEGIN
        PERFORM * FROM pg_temp.landed;
        code := 'none';
    EXCEPTION WHEN OTHERS THEN
        code := sqlstate;
    END;
END $$;

SELECT plan((SELECT 3 * count(*)::integer + 1 FROM fault));

SELECT is(t.reason, f.reason, f.name || ': reason') FROM fault f, pg_temp.try(f.name) t;
SELECT is(t.code, f.code, f.name || ': SQLSTATE') FROM fault f, pg_temp.try(f.name) t;
SELECT ok(t.n = CASE WHEN f.name IN ('line_in_string', 'array_in_array') THEN 2 ELSE 1 END, f.name || ': that many rejects') FROM fault f, pg_temp.try(f.name) t;
SELECT is_empty('SELECT name FROM fault, pg_temp.try(name) t WHERE t.reason ~ ''xxx|seven|2022|0188|2147483648''', 'no reason quotes a value');

SELECT * FROM finish();
ROLLBACK;
