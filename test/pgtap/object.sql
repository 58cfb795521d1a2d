-- Proves that all that the extension makes is in schema stedi, has a comment, and is as safe as it says.
-- Guards the scripts in sql/.

BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS stedi;

CREATE TEMP VIEW member AS
    SELECT d.classid, d.objid, d.objsubid, pg_describe_object(d.classid, d.objid, d.objsubid) AS object
    FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'stedi';
CREATE TEMP VIEW function AS
    SELECT p.oid::regprocedure AS function, p.* FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid;

-- what each function is: volatility, strictness, parallel safety
CREATE TEMP TABLE wanted (function text, volatile "char", strict boolean, parallel "char");
INSERT INTO wanted VALUES
    ('stedi.stedi_fdw_handler()', 'v', true, 's'),
    ('stedi.stedi_fdw_validator(text[],oid)', 'v', true, 's'),
    ('stedi.options()', 's', true, 's'),
    ('stedi.credential(name)', 'v', true, 'u'),
    ('stedi.rejects(regclass)', 'v', true, 'u'),
    ('stedi.infer(name,text)', 'v', false, 'u'),
    ('stedi.customer_records(regclass)', 'v', true, 'u'),
    ('stedi.epoch_ms(bigint)', 'i', true, 's'),
    ('stedi.epoch_ms(timestamp with time zone)', 'i', true, 's'),
    ('stedi.normalize_email(text)', 'i', true, 's'),
    ('stedi.birthday(text)', 'i', true, 's'),
    ('stedi.consent_set_in(cstring)', 'i', true, 's'),
    ('stedi.consent_set_out(stedi.consent_set)', 'i', true, 's'),
    ('stedi.consent_set_recv(internal)', 'i', true, 's'),
    ('stedi.consent_set_send(stedi.consent_set)', 'i', true, 's'),
    ('stedi.consent_set_add(internal,text,bigint)', 'i', false, 's'),
    ('stedi.consent_set_add(internal,text,bigint,bigint,text,boolean,boolean)', 'i', false, 's'),
    ('stedi.consent_set_final(internal)', 'i', false, 's'),
    ('stedi.consent_set(text,bigint)', 'i', false, 's'),
    ('stedi.consent_set(text,bigint,bigint,text,boolean,boolean)', 'i', false, 's'),
    ('stedi.consents(stedi.consent_set,text,bigint)', 'i', false, 's'),
    ('stedi.materialize(regnamespace,regnamespace,text,boolean,boolean,text,text)', 'v', false, 'u'),
    ('stedi.materialize_customer_trusted(regnamespace,regnamespace,text,boolean,boolean)', 'v', false, 'u'),
    ('stedi.materialize_accelerometer_trusted(regnamespace,regnamespace,text,boolean,boolean)', 'v', false, 'u'),
    ('stedi.materialize_customer_curated(regnamespace,regnamespace,text,boolean,boolean)', 'v', false, 'u'),
    ('stedi.materialize_step_trainer_curated(regnamespace,regnamespace,text,boolean,boolean)', 'v', false, 'u'),
    ('stedi.materialize_machine_learning_curated(regnamespace,regnamespace,text,boolean,boolean,text)', 'v', false, 'u'),
    ('stedi.audit(regnamespace,regnamespace)', 'v', false, 'u'),
    ('stedi.lineage(regclass,regnamespace)', 'v', false, 'u'),
    ('stedi.lineage(regclass,text)', 'v', false, 'u'),
    ('stedi.lineage(regclass,tid,regnamespace)', 'v', false, 'u'),
    ('stedi.lineage_of_row(regclass,tid,regnamespace)', 'v', false, 'u'),
    ('stedi.subject(regnamespace,text,regnamespace)', 'v', false, 'u'),
    ('stedi.quality(regnamespace,regnamespace)', 'v', false, 'u'),
    ('stedi.keyed_hash(bytea,text)', 'i', true, 's'),
    ('stedi.keyed_hash(bytea,text,integer)', 'i', true, 's'),
    ('stedi.consent_history(regnamespace)', 'v', false, 'u'),
    ('stedi.verify_history(regnamespace,text)', 'v', false, 'u'),
    ('stedi.forget(regnamespace,text,text,regnamespace)', 'v', false, 'u'),
    ('stedi.unforget(regnamespace,text)', 'v', false, 'u'),
    ('stedi.running()', 's', true, 'r'),
    ('stedi.expect(regnamespace,text,text,text,text)', 'v', false, 'u'),
    ('stedi.unexpect(regnamespace,text,text)', 'v', false, 'u'),
    ('stedi.expectations(regnamespace)', 'v', false, 'u');

SELECT plan(15);

SELECT set_eq('SELECT function::text FROM function', 'SELECT function FROM wanted', 'the functions are these');
SELECT set_eq('SELECT function::text, provolatile, proisstrict, proparallel FROM function', 'TABLE wanted',
    'volatility, strictness and parallel safety are these');
SELECT is_empty($$
    SELECT object FROM member
    WHERE classid IN ('pg_proc'::regclass, 'pg_type'::regclass, 'pg_class'::regclass, 'pg_foreign_data_wrapper'::regclass, 'pg_namespace'::regclass)
    AND obj_description(objid, classid::regclass::text) IS NULL
    AND NOT (classid = 'pg_type'::regclass AND objid IN
        (SELECT typarray FROM pg_type UNION SELECT reltype FROM pg_class WHERE relkind = 'v'))
    $$, 'all of them have a comment');
SELECT is_empty($$
    SELECT object FROM member
    WHERE classid IN ('pg_proc'::regclass, 'pg_type'::regclass, 'pg_class'::regclass, 'pg_namespace'::regclass, 'pg_foreign_data_wrapper'::regclass)
    AND obj_description(objid, classid::regclass::text) ~ '[.]$'
    $$, 'a comment is a phrase');
SELECT is_empty($$SELECT function FROM function WHERE pronamespace <> 'stedi'::regnamespace$$, 'functions are in schema stedi');
SELECT is_empty($$SELECT t.typname FROM pg_type t JOIN member m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
    WHERE typnamespace <> 'stedi'::regnamespace$$, 'types are in schema stedi');
SELECT set_eq($$SELECT typname::text FROM pg_type WHERE typnamespace = 'stedi'::regnamespace AND typname !~ '^_'
    AND typrelid NOT IN (SELECT oid FROM pg_class WHERE relkind = 'v')$$,
    ARRAY['consent_set', 'report'], 'the types are these');
SELECT set_eq($$SELECT classid::regclass::text FROM member$$,
    ARRAY['pg_proc', 'pg_type', 'pg_class', 'pg_foreign_data_wrapper', 'pg_namespace'], 'nothing of another kind is made');
SELECT set_eq($$SELECT relname::text, relkind FROM pg_class WHERE relnamespace = 'stedi'::regnamespace AND relkind <> 'c'$$,
    $$VALUES ('progress', 'v'::"char")$$, 'there is no table of ours, and these views');
SELECT is_empty($$SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE relnamespace = 'stedi'::regnamespace AND relkind = 'v' AND attnum > 0 AND coalesce(col_description(c.oid, attnum), '') = ''$$,
    'the columns of views have a comment');
SELECT ok(has_schema_privilege('public', 'stedi', 'USAGE') AND NOT has_schema_privilege('public', 'stedi', 'CREATE'),
    'PUBLIC may use the schema, and make nothing in it');
SELECT ok(NOT has_foreign_data_wrapper_privilege('public', 'stedi_fdw', 'USAGE'), 'PUBLIC may not make servers');
SELECT is_empty($$SELECT function FROM function WHERE prosecdef$$, 'no function runs as its owner');
SELECT is_empty($$SELECT function FROM function WHERE prolang NOT IN (SELECT oid FROM pg_language WHERE lanname IN ('c', 'internal'))$$,
    'all functions are C');
SELECT is_empty($$SELECT function FROM function WHERE probin <> '$libdir/stedi' AND probin <> 'stedi'$$, 'of our module');

SELECT * FROM finish();
ROLLBACK;
