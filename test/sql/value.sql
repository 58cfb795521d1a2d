-- Proves what each column type takes and refuses of the same values, as doc/rules.md has it.
-- Guards src/record/value.c, src/scan/tuple.c and src/base/time.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set url file:// :abs_srcdir /data
\set VERBOSITY terse
SET client_min_messages = error;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
CREATE SCHEMA regress_value;
SET search_path = regress_value;
CREATE SERVER regress_value FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'url');

-- test/data/values has one value a record, and in "at" how it is written there.
-- A table of one type, what it takes, and what it refuses and why.
CREATE FUNCTION make_table(type text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    DROP FOREIGN TABLE IF EXISTS landed;
    EXECUTE 'CREATE FOREIGN TABLE landed (line bigint OPTIONS (source ''line''), at text, v '
        || type || ') SERVER regress_value OPTIONS (prefix ''values'')';
END $$;
CREATE FUNCTION takes(type text) RETURNS TABLE (at text, v text)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM make_table(type);
    RETURN QUERY SELECT l.at, l.v::text FROM landed l ORDER BY line;
END $$;
CREATE FUNCTION refuses(type text) RETURNS TABLE (reason text, what text)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM make_table(type);
    RETURN QUERY SELECT r.reason,
            string_agg(substring(convert_from(record, 'UTF8') FROM '"v":(.*)}$'), '  ' ORDER BY line)
        FROM stedi.rejects('landed') r GROUP BY 1 ORDER BY r.reason COLLATE "C";
END $$;

-- Long lists are easier to read, and to compare, without a frame.
\pset format unaligned
\pset fieldsep ': '
\pset tuples_only on

-- text is as written, without its quotes
SELECT count(*) FROM takes('text');
SELECT * FROM takes('text') WHERE v IS DISTINCT FROM trim('"' FROM at);
SELECT * FROM refuses('text');

-- integers: exact beyond 2^53, and never by way of a double
SELECT * FROM takes('bigint');
SELECT * FROM refuses('bigint');
SELECT string_agg(at, '  ') FROM takes('integer') WHERE v IS NOT NULL;
SELECT * FROM refuses('integer');
SELECT string_agg(at, '  ') FROM takes('smallint') WHERE v IS NOT NULL;
SELECT * FROM refuses('smallint');

-- other numbers
SELECT * FROM takes('double precision');
SELECT * FROM refuses('double precision');
SELECT * FROM takes('real');
SELECT * FROM refuses('real');
SELECT at, CASE WHEN length(v) < 60 THEN v ELSE length(v) || ' characters' END FROM takes('numeric');
SELECT * FROM refuses('numeric');
SELECT * FROM takes('numeric(5,2)');
SELECT * FROM refuses('numeric(5,2)');

-- the rest
SELECT * FROM takes('varchar(3)');
SELECT * FROM refuses('varchar(3)');
SELECT * FROM takes('boolean');
SELECT * FROM refuses('boolean');
SELECT * FROM takes('timestamptz');
SELECT * FROM refuses('timestamptz');
SELECT * FROM takes('timestamptz(0)') WHERE at ~ '36[.]';
SELECT * FROM takes('date');
SELECT * FROM refuses('date');
SELECT * FROM takes('uuid');
SELECT * FROM refuses('uuid');
SELECT count(*) FROM takes('jsonb');
SELECT at, CASE WHEN length(v) < 60 THEN v ELSE length(v) || ' characters' END
    FROM takes('jsonb') WHERE v IS DISTINCT FROM at;
SELECT * FROM refuses('jsonb');

-- what a session is set to changes no value
SET datestyle = 'German';
SET intervalstyle = 'iso_8601';
SET timezone = 'Asia/Tokyo';
SET extra_float_digits = 0;
SELECT count(*), count(v) FROM takes('date');
SELECT make_table('timestamptz');
SELECT at, v = '2022-06-18 12:59:36.361+00' AS same FROM landed WHERE at ~ '36[.]361';
RESET extra_float_digits;
RESET intervalstyle;
SET datestyle = 'ISO, YMD';
SET timezone = 'UTC';

\pset format aligned
\pset tuples_only off

-- a type that is none of these is refused when it is read, with the list
\set VERBOSITY default
SELECT make_table('point');
SELECT v FROM landed; -- ERROR
SELECT make_table('timestamp');
SELECT v FROM landed; -- ERROR
SELECT at FROM landed LIMIT 1;
SELECT make_table('text[]');
SELECT v FROM landed; -- ERROR

-- epoch milliseconds, there and back
SELECT stedi.epoch_ms(1655564376361), stedi.epoch_ms(0), stedi.epoch_ms(-1);
SELECT stedi.epoch_ms('1970-01-01 00:00:00.0019+00'::timestamptz), stedi.epoch_ms('1969-12-31 23:59:59.9999+00'::timestamptz);
SELECT stedi.epoch_ms(9224318015999999), stedi.epoch_ms(stedi.epoch_ms(9224318015999999));
SELECT stedi.epoch_ms(9224318016000000); -- ERROR
SELECT stedi.epoch_ms(-210866803200000), stedi.epoch_ms(stedi.epoch_ms(-210866803200000));
SELECT stedi.epoch_ms(-210866803200001); -- ERROR
SELECT stedi.epoch_ms('infinity'::timestamptz); -- ERROR
SELECT stedi.epoch_ms(NULL::bigint) IS NULL AND stedi.epoch_ms(NULL::timestamptz) IS NULL AS strict;

-- birthdays and e-mails
SELECT b, stedi.birthday(b) FROM unnest('{1970-01-31,1970-02-30,"",someday,31.12.1969}'::text[]) b;
SELECT replace(quote_literal(e), E'\n', '.') AS e, stedi.normalize_email(e)
    FROM unnest(ARRAY['Ann@Example.Org', E' \t\r\n\x0b\fann@x \n', 'ÄNN@X', ' ', '', E'\u00a0ann@x', 'a n n',
        E'\ufeffA\u200bnn@\uff38', E'a\u0308nn@x', 'STRASSE', 'straße', E'\u0130i\u0131', E'\u200b\u3000']) e;

DROP SERVER regress_value CASCADE;
DROP SCHEMA regress_value CASCADE;
