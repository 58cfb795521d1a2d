-- Proves that stedi.rejects lists what a landing table sets aside, with place and reason and no value.
-- Guards src/commands/rejects.c and src/scan/required.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set data file:// :abs_srcdir /data
\set zone file:// :abs_srcdir /data/zone
\set VERBOSITY terse
CREATE SCHEMA regress_reject;
SET search_path = regress_reject;
CREATE SERVER regress_reject FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'zone');
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_reject INTO regress_reject;

-- each reject: its place, in decompressed bytes, and its bytes as they are
SELECT object, line, byte_offset, reason FROM stedi.rejects('customer_landing') ORDER BY object, byte_offset;
SELECT object, line, byte_offset, reason, convert_from(record, 'UTF8') AS record FROM stedi.rejects('accelerometer_landing') ORDER BY object, byte_offset;
SELECT object, line, byte_offset, reason, convert_from(record, 'UTF8') AS record FROM stedi.rejects('step_trainer_landing') ORDER BY object, byte_offset;
-- the cut-off record, from its { to the end of the object
SELECT convert_from(record, 'UTF8') AS record FROM stedi.rejects('customer_landing') WHERE reason LIKE '%inside the record';

-- all columns are judged, and what the zones cannot do without; an ordinary query judges what it reads
SELECT count(*) FROM customer_landing;
SELECT count(*) FROM customer_landing WHERE email IS NULL;
SELECT count(lastupdatedate) FROM customer_landing;
SELECT count(c.*) FROM customer_landing c;
SELECT "user", "timestamp" FROM accelerometer_landing WHERE "timestamp" IS NULL OR "user" IS NULL OR "timestamp" > 9000000000000000;
SELECT count(*) FROM stedi.rejects('accelerometer_landing');
-- the rules go by the table's name: another one over the same objects has fewer
CREATE FOREIGN TABLE readings ("user" text, "timestamp" bigint, x double precision) SERVER regress_reject OPTIONS (prefix 'accelerometer');
SELECT line, reason FROM stedi.rejects('readings') ORDER BY line;
-- every reason has its words, and no value of a record is in one
CREATE SERVER regress_reject_data FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'data');
CREATE FOREIGN TABLE broken (n integer) SERVER regress_reject_data OPTIONS (prefix 'broken');
CREATE FOREIGN TABLE records (n integer, name text) SERVER regress_reject_data OPTIONS (prefix 'records');
CREATE FOREIGN TABLE packed (n integer) SERVER regress_reject_data OPTIONS (prefix 'packed_broken');
CREATE FOREIGN TABLE sizes (n integer) SERVER regress_reject_data OPTIONS (prefix 'sizes', max_record_size '1024');
CREATE FOREIGN TABLE in_range (v integer) SERVER regress_reject_data OPTIONS (prefix 'values');
CREATE FOREIGN TABLE as_date (v date) SERVER regress_reject_data OPTIONS (prefix 'values');
CREATE FOREIGN TABLE as_uuid (v uuid) SERVER regress_reject_data OPTIONS (prefix 'values');
SELECT regexp_replace(reason COLLATE "C", '^column "\w+": ', '') AS reason, string_agg(DISTINCT t, ' ' ORDER BY t) AS tables
    FROM unnest('{broken,records,packed,sizes,in_range,as_date,as_uuid,customer_landing,accelerometer_landing,step_trainer_landing}'::text[]) t,
        stedi.rejects(t::regclass) GROUP BY 1 ORDER BY 1;
-- a record's bytes are those of its place in the object
SELECT bool_and(next = byte_offset + length(record) + 1) AS follows
    FROM (SELECT *, lead(byte_offset) OVER (ORDER BY line) AS next FROM stedi.rejects('step_trainer_landing')) r;

-- rows of customers as materialize sees them: rejected ones too, as far as they can be read
SELECT email, serialnumber, registrationdate, lastupdatedate, sharewithresearchasofdate, rejected
    FROM stedi.customer_records('customer_landing') WHERE rejected ORDER BY email COLLATE "C", lastupdatedate;
SELECT count(*), count(*) FILTER (WHERE rejected) AS rejected FROM stedi.customer_records('customer_landing');

-- stedi.rejects stores nothing, warns of nothing, and does not stop
ALTER FOREIGN TABLE accelerometer_landing OPTIONS (ADD on_error 'stop', ADD reject_limit '1');
SELECT count(*) FROM stedi.rejects('accelerometer_landing');
BEGIN READ ONLY;
SELECT count(*) FROM stedi.rejects('accelerometer_landing');
COMMIT;
SELECT a.line, b.line FROM stedi.rejects('step_trainer_landing') a, LATERAL stedi.rejects('step_trainer_landing') b WHERE a.line < b.line ORDER BY 1, 2;
SELECT t, (SELECT count(*) FROM stedi.rejects(t)) FROM unnest('{step_trainer_landing,broken}'::regclass[]) t;

-- it wants a landing table, and the right to read it
SELECT * FROM stedi.rejects('pg_class'); -- ERROR
SELECT * FROM stedi.rejects('no_such_table'); -- ERROR
SELECT * FROM stedi.rejects(0); -- ERROR
SELECT * FROM stedi.rejects(NULL);
CREATE VIEW seen AS SELECT * FROM broken;
SELECT * FROM stedi.rejects('seen'); -- ERROR
CREATE FOREIGN DATA WRAPPER regress_other;
CREATE SERVER regress_other FOREIGN DATA WRAPPER regress_other;
CREATE FOREIGN TABLE other (n text) SERVER regress_other;
SELECT * FROM stedi.rejects('other'); -- ERROR
SELECT * FROM stedi.customer_records('broken'); -- ERROR
SELECT * FROM stedi.customer_records('other'); -- ERROR
CREATE ROLE regress_reader;
GRANT USAGE ON SCHEMA regress_reject TO regress_reader;
SET ROLE regress_reader;
SELECT * FROM stedi.rejects('regress_reject.broken'); -- ERROR
SELECT * FROM stedi.customer_records('regress_reject.customer_landing'); -- ERROR
RESET ROLE;
GRANT SELECT (n) ON broken TO regress_reader;
GRANT SELECT ON records TO regress_reader;
SET ROLE regress_reader;
SELECT * FROM stedi.rejects('regress_reject.broken'); -- ERROR
SELECT count(*) FROM stedi.rejects('regress_reject.records');
RESET ROLE;

SET client_min_messages = error;
DROP FOREIGN DATA WRAPPER regress_other CASCADE;
DROP SERVER regress_reject CASCADE;
DROP SERVER regress_reject_data CASCADE;
DROP SCHEMA regress_reject CASCADE;
DROP ROLE regress_reader;
