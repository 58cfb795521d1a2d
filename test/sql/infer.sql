-- Proves what stedi.infer says of a folder's records, and which tables IMPORT FOREIGN SCHEMA inferred makes of a url.
-- Guards src/fdw/sample.c, src/fdw/infer.c and src/fdw/fdw.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set infer file:// :abs_srcdir /data/infer
\set flat file:// :abs_srcdir /data/infer_flat
\set beside file:// :abs_srcdir /data/infer_beside
CREATE SCHEMA regress_infer;
SET search_path = regress_infer;
CREATE SERVER regress_infer FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'infer');
CREATE SERVER regress_infer_flat FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'flat');
CREATE SERVER regress_infer_beside FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'beside');

-- each key: how often, of which JSON type, and the column that reads it
SELECT * FROM stedi.infer('regress_infer', 'customers');
SELECT key, type, note FROM stedi.infer('regress_infer', 'mixed');
-- keys that make no name, or no column
SELECT key COLLATE "C" AS key, records, type, column_name, key_option, note FROM stedi.infer('regress_infer', '/odd/');
-- without a prefix, all under the url but what is hidden
SELECT count(*) AS keys, count(*) FILTER (WHERE key = 'secret') AS hidden FROM stedi.infer('regress_infer');
SELECT key, records FROM stedi.infer('regress_infer_flat', NULL);
-- of the records that have a key, each is of one type
SELECT bool_and(records = nulls + booleans + integers + numbers + strings + objects + arrays) AS adds_up FROM stedi.infer('regress_infer');
-- nothing to read, and nothing readable
\set VERBOSITY sqlstate
SELECT * FROM stedi.infer('regress_infer', 'no_such_folder'); -- ERROR
\set VERBOSITY default
SELECT * FROM stedi.infer('regress_infer', 'scripts');

-- a table of each folder
IMPORT FOREIGN SCHEMA inferred FROM SERVER regress_infer INTO regress_infer;
SELECT c.relname AS table_name, t.ftoptions AS options FROM pg_class c JOIN pg_foreign_table t ON t.ftrelid = c.oid
    WHERE relnamespace = 'regress_infer'::regnamespace ORDER BY 1;
\d customers
\d odd
-- its columns read every sampled record, and a column each key
SELECT customername, email, birthday, registered, sharewithresearchasofdate AS share, score, address, devices, active, note FROM customers ORDER BY 1;
ALTER FOREIGN TABLE mixed DROP COLUMN huge;
SELECT * FROM mixed;
SELECT to_jsonb(o) FROM odd o;
SELECT user_, "timestamp" FROM select_;
SELECT distancefromobject FROM step_trainer UNION ALL SELECT distancefromobject FROM step_trainer_2;
SELECT t AS table_name, count(r) AS rejects FROM unnest('{customers,mixed,odd,select_,step_trainer,step_trainer_2}'::text[]) t LEFT JOIN LATERAL stedi.rejects(t::regclass) r ON true
    GROUP BY t ORDER BY t;

-- some of them; one that is there already is an error, as ever
CREATE SCHEMA regress_infer_some;
IMPORT FOREIGN SCHEMA inferred LIMIT TO (step_trainer_2, nothing) FROM SERVER regress_infer INTO regress_infer_some;
IMPORT FOREIGN SCHEMA inferred EXCEPT (customers, mixed, odd, scripts, step_trainer, step_trainer_2) FROM SERVER regress_infer INTO regress_infer_some;
IMPORT FOREIGN SCHEMA inferred LIMIT TO (select_) FROM SERVER regress_infer INTO regress_infer_some; -- ERROR
SELECT relname FROM pg_class WHERE relnamespace = 'regress_infer_some'::regnamespace ORDER BY 1;
-- no folder: one table, called as the url's last part
IMPORT FOREIGN SCHEMA inferred FROM SERVER regress_infer_flat INTO regress_infer_some;
SELECT * FROM regress_infer_some.infer_flat;
-- objects beside folders
IMPORT FOREIGN SCHEMA inferred FROM SERVER regress_infer_beside INTO regress_infer;
SELECT * FROM below;

-- what the statement refuses
IMPORT FOREIGN SCHEMA inferred FROM SERVER regress_infer INTO regress_infer_some OPTIONS (sample '1'); -- ERROR
IMPORT FOREIGN SCHEMA guessed FROM SERVER regress_infer INTO regress_infer_some; -- ERROR
SELECT * FROM stedi.infer(NULL); -- ERROR
SELECT * FROM stedi.infer('regress_no_such_server'); -- ERROR
CREATE FOREIGN DATA WRAPPER regress_other;
CREATE SERVER regress_other FOREIGN DATA WRAPPER regress_other;
SELECT * FROM stedi.infer('regress_other'); -- ERROR
CREATE ROLE regress_reader;
SET ROLE regress_reader;
SELECT * FROM stedi.infer('regress_infer'); -- ERROR
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER regress_infer TO regress_reader;
SET ROLE regress_reader;
SELECT count(*) FROM stedi.infer('regress_infer', 'customers');
BEGIN READ ONLY;
SELECT count(*) FROM stedi.infer('regress_infer', 'step-trainer');
COMMIT;
RESET ROLE;

SET client_min_messages = error;
DROP FOREIGN DATA WRAPPER regress_other CASCADE;
DROP SERVER regress_infer, regress_infer_flat, regress_infer_beside CASCADE;
DROP SCHEMA regress_infer, regress_infer_some CASCADE;
DROP ROLE regress_reader;
