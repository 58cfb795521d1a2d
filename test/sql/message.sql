-- Proves that messages say which function was called, which word may be meant by one that is misspelt, and that a row's lineage has a name of its own.
-- Guards src/base/near.c, src/run/target.c and src/commands/lineage.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set folder file:// :abs_srcdir /data/zone
SET client_min_messages = error;
SET timezone = 'UTC';
CREATE SCHEMA regress_message;
CREATE SCHEMA regress_message_landing;
CREATE SERVER regress_message FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'folder');
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_message INTO regress_message_landing;
SELECT count(*) FROM stedi.materialize('regress_message', 'regress_message_landing');

-- each function that writes says so in its own name
CREATE FUNCTION regress_message.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'none';
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate || ' ' || sqlerrm;
END $$;
CREATE VIEW regress_message.writing AS
    SELECT statement FROM (VALUES (1, $$SELECT * FROM stedi.materialize('regress_message', 'regress_message_landing')$$),
        (2, $$SELECT * FROM stedi.materialize('regress_message', 'regress_message_landing', dry_run => true)$$),
        (3, $$SELECT * FROM stedi.materialize_customer_trusted('regress_message', 'regress_message_landing')$$),
        (4, $$SELECT * FROM stedi.materialize_accelerometer_trusted('regress_message', 'regress_message_landing')$$),
        (5, $$SELECT * FROM stedi.materialize_customer_curated('regress_message', 'regress_message_landing')$$),
        (6, $$SELECT * FROM stedi.materialize_step_trainer_curated('regress_message', 'regress_message_landing')$$),
        (7, $$SELECT * FROM stedi.materialize_machine_learning_curated('regress_message', 'regress_message_landing')$$),
        (8, $$SELECT * FROM stedi.forget('regress_message', 'a@x', 'objection', 'regress_message_landing')$$),
        (9, $$SELECT stedi.unforget('regress_message', 'a@x')$$),
        (10, $$SELECT stedi.expect('regress_message', 'accelerometer_trusted', 'x', 'x > 0')$$),
        (11, $$SELECT stedi.unexpect('regress_message', 'accelerometer_trusted', 'x')$$)) s (n, statement) ORDER BY n;
BEGIN READ ONLY;
SELECT regress_message.refusal(statement) FROM regress_message.writing;
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT regress_message.refusal(statement) FROM regress_message.writing;
ROLLBACK;
-- within another one: the one that runs is named
BEGIN;
CREATE FUNCTION regress_message.within() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', regress_message.refusal('SELECT stedi.unforget(''regress_message'', ''a@x'')');
END $$;
CREATE TRIGGER within BEFORE DELETE ON regress_message.accelerometer_trusted FOR EACH ROW EXECUTE FUNCTION regress_message.within();
\set VERBOSITY terse
SELECT * FROM stedi.forget('regress_message', 'plain@x', 'objection', 'regress_message_landing'); -- ERROR
ROLLBACK;

-- an option that is misspelt in any one letter: the hint has the one that is meant
CREATE FUNCTION regress_message.hint(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'none';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN hint;
END $$;
CREATE VIEW regress_message.misspelt AS
    SELECT word, CASE how WHEN 'left out' THEN overlay(word PLACING '' FROM i FOR 1)
            WHEN 'too many' THEN overlay(word PLACING 'w' FROM i FOR 0)
            WHEN 'wrong' THEN overlay(word PLACING 'w' FROM i FOR 1)
            WHEN 'swapped' THEN overlay(word PLACING reverse(substr(word, i, 2)) FROM i FOR 2)
            WHEN 'upper' THEN overlay(word PLACING upper(substr(word, i, 1)) FROM i FOR 1)
            WHEN 'dashes' THEN translate(word, '_', '-')
            WHEN 'joined' THEN translate(word, '_', '') END AS given, belongs_to
        FROM (SELECT option AS word, belongs_to FROM stedi.options()) o, generate_series(1, length(word)) i,
            unnest('{left out,too many,wrong,swapped,upper,dashes,joined}'::text[]) how;
SELECT count(*) > 1500 AS many, count(*) FILTER (WHERE hint LIKE format('Perhaps you meant option "%s". Options of a %s are: %%.', word, belongs_to)) = count(*) AS all,
        string_agg(given || ': ' || hint, ', ') FILTER (WHERE hint NOT LIKE format('Perhaps you meant option "%s"%%', word)) AS missed
    FROM (SELECT *, regress_message.hint(format('SELECT stedi.stedi_fdw_validator(ARRAY[%L], %s)', given || '=x',
            CASE belongs_to WHEN 'server' THEN 'pg_foreign_server' WHEN 'user mapping' THEN 'pg_user_mapping'
                WHEN 'foreign table' THEN 'pg_foreign_table' WHEN 'schema import' THEN 'pg_namespace' ELSE 'pg_attribute' END::regclass::oid)) AS hint
        FROM (SELECT DISTINCT * FROM regress_message.misspelt WHERE given NOT IN (SELECT option FROM stedi.options())) m) h;
-- parts of names, options of other objects, what is like none
SELECT object, left(option, 20) AS option, regress_message.hint(format('SELECT stedi.stedi_fdw_validator(ARRAY[%L], %s)', option || '=x', ('pg_' || object)::regclass::oid))
    FROM (VALUES ('user_mapping', 'secret_key'), ('user_mapping', 'key'), ('user_mapping', 'aws_session_token'), ('user_mapping', 'url'), ('foreign_table', 'error'),
        ('attribute', 'zz'), ('attribute', 'json_key'), ('attribute', ''), ('attribute', repeat('source', 100)), ('foreign_data_wrapper', 'prefix')) v (object, option);
-- choices, and the words that functions take
SELECT regress_message.hint(statement) FROM (VALUES (1, $$SELECT stedi.stedi_fdw_validator('{url=s3://b,url_style=virtaul}', 'pg_foreign_server'::regclass)$$),
    (2, $$SELECT stedi.stedi_fdw_validator('{credentials=enviroment}', 'pg_user_mapping'::regclass)$$),
    (3, $$SELECT stedi.stedi_fdw_validator('{on_error=skip}', 'pg_foreign_table'::regclass)$$),
    (4, $$SELECT stedi.stedi_fdw_validator('{source=ofset}', 'pg_attribute'::regclass)$$),
    (5, 'IMPORT FOREIGN SCHEMA lnading FROM SERVER regress_message INTO regress_message'),
    (6, 'IMPORT FOREIGN SCHEMA infered FROM SERVER regress_message INTO regress_message'),
    (7, $$SELECT stedi.materialize('regress_message', consent => 'since consent')$$),
    (8, $$SELECT stedi.materialize('regress_message', match => 'Time')$$),
    (9, $$SELECT stedi.materialize('regress_message', vanished => 'removed')$$),
    (10, $$SELECT stedi.forget('regress_message', 'a@x', 'legal')$$),
    (11, $$SELECT stedi.forget('regress_message', 'objection', 'a@x')$$),
    (12, $$SELECT stedi.expect('regress_message', 'accelerometer', 'x', 'true')$$),
    (13, $$SELECT stedi.expect('regress_message', 'accelerometer_trusted', 'x', 'true', 'dorp')$$),
    (14, $$SELECT stedi.consent_set('a', 1, 1, 'grant', true, true)$$)) v (n, statement) ORDER BY n;

-- lineage: two arguments without a type are table and landing schema; a row's is another function, and the one of 1.0 with all its arguments
SELECT object, rows FROM stedi.lineage('regress_message.customer_curated', 'regress_message_landing') ORDER BY object COLLATE "C";
SELECT count(*) > 0 AS all FROM stedi.lineage('regress_message.customer_curated', landing => 'regress_message_landing');
CREATE VIEW regress_message.a_row AS SELECT ctid AS place FROM regress_message.customer_curated WHERE email = 'plain@x';
SELECT l.object, l.line, l.byte_offset, l.length FROM regress_message.a_row, stedi.lineage_of_row('regress_message.customer_curated', place, 'regress_message_landing') l;
SELECT l.object, l.line, l.byte_offset, l.length FROM regress_message.a_row, stedi.lineage_of_row('regress_message.customer_curated', place => place, landing => 'regress_message_landing') l;
SELECT l.object, l.line, l.byte_offset, l.length FROM regress_message.a_row, stedi.lineage('regress_message.customer_curated', place, 'regress_message_landing') l;
SELECT l.object, l.line, l.byte_offset, l.length FROM regress_message.a_row, stedi.lineage('regress_message.customer_curated', place, landing => 'regress_message_landing') l;
SELECT count(*) > 0 AS all FROM stedi.lineage('regress_message.customer_curated', 'regress_message_landing'::regnamespace);
SELECT regress_message.refusal(statement) FROM (VALUES (1, $$SELECT * FROM stedi.lineage('regress_message.customer_curated', '(0,1)')$$),
    (2, $$SELECT * FROM stedi.lineage('regress_message.customer_curated', 'nowhere')$$),
    (3, $$SELECT * FROM stedi.lineage('regress_message.customer_curated', '(0,1)'::tid)$$),
    (4, $$SELECT * FROM stedi.lineage('regress_message.customer_curated', NULL)$$),
    (5, $$SELECT * FROM stedi.lineage('regress_message.customer_curated')$$)) v (n, statement) ORDER BY n;
SELECT count(*) FROM stedi.lineage_of_row('regress_message.customer_curated', '(4294967295,0)', 'regress_message_landing');

\set VERBOSITY terse
DROP SCHEMA regress_message, regress_message_landing CASCADE;
DROP SERVER regress_message;
