-- Proves what records and rows a query finds in landing objects, in every framing and every kind of plan.
-- Guards src/record/frame.c, src/record/inflate.c, src/record/decode.c, src/record/json.c, src/scan/scan.c and src/fdw/fdw.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set data file:// :abs_srcdir /data
CREATE SCHEMA regress_landing;
SET search_path = regress_landing;
CREATE SERVER regress_landing FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'data');

-- framing that needs nobody's attention: test/data/framing
CREATE FOREIGN TABLE framing (n integer, object text OPTIONS (source 'object'),
    line bigint OPTIONS (source 'line'), "offset" bigint OPTIONS (source 'offset'))
    SERVER regress_landing OPTIONS (prefix 'framing');
SELECT object, string_agg(n::text, ' ' ORDER BY "offset") AS n,
        string_agg(line::text, ' ' ORDER BY "offset") AS line,
        string_agg("offset"::text, ' ' ORDER BY "offset") AS "offset"
    FROM framing GROUP BY object ORDER BY object COLLATE "C";
SELECT count(*) FROM stedi.rejects('framing');

-- framing that does: whole records before and after are found, test/data/broken
CREATE FOREIGN TABLE broken (n integer, object text OPTIONS (source 'object'),
    line bigint OPTIONS (source 'line'), "offset" bigint OPTIONS (source 'offset'))
    SERVER regress_landing OPTIONS (prefix 'broken');
\set VERBOSITY terse
SELECT object, string_agg(n::text, ' ' ORDER BY "offset") AS n,
        string_agg(line::text, ' ' ORDER BY "offset") AS line,
        string_agg("offset"::text, ' ' ORDER BY "offset") AS "offset"
    FROM broken GROUP BY object ORDER BY object COLLATE "C";
SELECT object, line, byte_offset AS "offset", reason,
        CASE WHEN length(record) < 40 THEN convert_from(record, 'UTF8') ELSE length(record) || ' bytes' END AS record
    FROM stedi.rejects('broken') ORDER BY object COLLATE "C", byte_offset;

-- compressed objects, known by their content; places are those of the decompressed bytes
CREATE FOREIGN TABLE packed (n integer, object text OPTIONS (source 'object'),
    line bigint OPTIONS (source 'line'), "offset" bigint OPTIONS (source 'offset'))
    SERVER regress_landing OPTIONS (prefix 'packed');
SELECT object, string_agg(n::text, ' ' ORDER BY "offset") AS n,
        string_agg(line::text, ' ' ORDER BY "offset") AS line,
        string_agg("offset"::text, ' ' ORDER BY "offset") AS "offset"
    FROM packed GROUP BY object ORDER BY object COLLATE "C";
SELECT count(*) FROM stedi.rejects('packed');
CREATE FOREIGN TABLE packed_broken (n integer, object text OPTIONS (source 'object'))
    SERVER regress_landing OPTIONS (prefix 'packed_broken');
SELECT object, count(*) > 0 AS records, sum(n) = count(*) * (count(*) + 1) / 2 AS from_the_first
    FROM packed_broken GROUP BY object ORDER BY object COLLATE "C";
SELECT object, count(*), min(reason) AS reason
    FROM stedi.rejects('packed_broken') GROUP BY object ORDER BY object COLLATE "C";

-- keys and values of records: test/data/records
CREATE FOREIGN TABLE records (n integer, name text) SERVER regress_landing OPTIONS (prefix 'records');
SELECT * FROM records ORDER BY n;
SELECT object, line, reason FROM stedi.rejects('records') ORDER BY object COLLATE "C", line;
-- value errors count in the columns that a query uses, framing and syntax whatever it uses
SELECT n FROM records WHERE n BETWEEN 30 AND 39 ORDER BY n;
SELECT count(*) FROM records;
-- a renamed column, one key for two columns, names that only quotes allow
CREATE FOREIGN TABLE renamed (number integer OPTIONS (key 'N'), "Name" text, again text OPTIONS (key 'nAMe'),
    absent text OPTIONS (key 'Name ')) SERVER regress_landing OPTIONS (prefix 'records');
SELECT * FROM renamed WHERE number BETWEEN 1 AND 9 ORDER BY 1;
CREATE FOREIGN TABLE nothing () SERVER regress_landing OPTIONS (prefix 'framing');
SELECT count(*) FROM nothing;

-- virtual columns
CREATE FOREIGN TABLE virtual (object text OPTIONS (source 'object'), etag text OPTIONS (source 'etag'),
    line bigint OPTIONS (source 'line'), "offset" bigint OPTIONS (source 'offset'))
    SERVER regress_landing OPTIONS (prefix 'prefix');
SELECT object, etag ~ '^".+"$' AS etag, line, "offset" FROM virtual ORDER BY object COLLATE "C";
SELECT object FROM virtual WHERE line = 1 AND "offset" = 0 AND object LIKE '%old%';
ALTER FOREIGN TABLE virtual ALTER line TYPE integer;
SELECT line FROM virtual; -- ERROR
ALTER FOREIGN TABLE virtual ALTER etag TYPE varchar;
SELECT etag FROM virtual; -- ERROR

-- max_record_size: test/data/sizes has records of 1023 to 1026 bytes
CREATE FOREIGN TABLE sizes (n integer, object text OPTIONS (source 'object'))
    SERVER regress_landing OPTIONS (prefix 'sizes', max_record_size '1024');
SELECT object, string_agg(n::text, ' ' ORDER BY n) AS n
    FROM sizes GROUP BY object ORDER BY object COLLATE "C";
SELECT object, line, byte_offset, reason FROM stedi.rejects('sizes') ORDER BY object COLLATE "C";
ALTER FOREIGN TABLE sizes OPTIONS (SET max_record_size '1026');
SELECT count(*) FROM sizes;
-- bytes that are no record end with their line, however long that is
ALTER FOREIGN TABLE sizes OPTIONS (SET prefix 'long', SET max_record_size '1024');
SELECT n FROM sizes ORDER BY n;
SELECT line, byte_offset, reason FROM stedi.rejects('sizes');

-- on_error and reject_limit
\set VERBOSITY default
CREATE FOREIGN TABLE readings (id integer, owner text, taken bigint, x double precision, note text)
    SERVER regress_landing OPTIONS (prefix 'readings');
SELECT id FROM readings ORDER BY id;
SELECT id, x FROM readings ORDER BY id;
ALTER FOREIGN TABLE readings OPTIONS (ADD on_error 'stop');
SELECT count(*) FROM readings;
SELECT id, x FROM readings ORDER BY id; -- ERROR
SELECT id, x FROM readings WHERE owner = 'ann' ORDER BY id;
SELECT line, byte_offset, reason FROM stedi.rejects('readings');
ALTER FOREIGN TABLE broken OPTIONS (ADD on_error 'stop');
SELECT count(*) FROM broken; -- ERROR
ALTER FOREIGN TABLE broken OPTIONS (SET on_error 'reject', ADD reject_limit '11');
SELECT count(*) FROM broken; -- ERROR
SELECT count(*) FROM stedi.rejects('broken');
ALTER FOREIGN TABLE broken OPTIONS (SET reject_limit '12');
SELECT count(*) FROM broken;
ALTER FOREIGN TABLE readings OPTIONS (SET on_error 'reject');
-- one warning a scan; "so far" when the scan stopped early; no more after a rescan
SELECT id, x FROM readings LIMIT 2;
SELECT sum(x) FROM (SELECT x FROM readings ORDER BY id LIMIT 2) l;
SELECT count(*) FROM broken LIMIT 1;
SELECT n FROM broken LIMIT 2;
SELECT a.id, b.id FROM readings a JOIN readings b ON a.x = b.x ORDER BY 1;
SET enable_material = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT a.id, b.id FROM readings a JOIN readings b ON a.x >= b.x AND a.id < b.id ORDER BY 1, 2;
-- rows are the same in each pass
SELECT v.n, count(r.id), sum(r.id) FROM (VALUES (1), (2), (3)) v (n) LEFT JOIN readings r ON r.id > v.n GROUP BY 1 ORDER BY 1;
RESET enable_material;
RESET enable_hashjoin;
RESET enable_mergejoin;

-- plans of all kinds
SET client_min_messages = error;
SELECT v.n, l.id, l.y FROM (VALUES (100), (600)) v (n), LATERAL (SELECT id, x + v.n AS y FROM readings WHERE taken = v.n OFFSET 0) l;
SELECT v.n, l.id, l.m FROM (VALUES (1), (9)) v (n) LEFT JOIN LATERAL (SELECT id, v.n AS m FROM readings WHERE id = v.n) l ON true ORDER BY 1;
SELECT id, (SELECT max(b.id) FROM readings b WHERE b.owner = a.owner) AS latest FROM readings a ORDER BY id;
SELECT owner, count(*) FROM readings GROUP BY owner HAVING count(*) > 1 ORDER BY owner;
SELECT id, owner FROM readings WHERE taken > 500 UNION ALL SELECT n, 'framing' FROM framing WHERE object = 'framing/crlf.json' ORDER BY 1, 2;
SELECT id FROM readings WHERE owner IN (SELECT owner FROM readings WHERE taken = 100) ORDER BY id;
SELECT id FROM readings WHERE EXISTS (SELECT FROM framing WHERE n = id AND n > 5) ORDER BY id;
SELECT r FROM readings r WHERE id = 1;
SELECT tableoid::regclass, id FROM readings WHERE id = 1;
WITH both_read AS (SELECT a.id FROM readings a, readings b WHERE a.id = b.id) SELECT count(*) FROM both_read;
SELECT id FROM readings WHERE id = 1 FOR UPDATE;
SELECT id FROM readings WHERE false;

-- cursors: rolled back to a savepoint, beside other scans, held over the commit, not read at all
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM readings;
SAVEPOINT s;
FETCH 2 FROM c;
ROLLBACK TO s;
FETCH 2 FROM c;
SAVEPOINT s;
SELECT count(*) FROM framing;
SELECT 1/0;
ROLLBACK TO s;
FETCH ALL FROM c;
DECLARE early CURSOR FOR SELECT n FROM framing ORDER BY n;
DECLARE held CURSOR WITH HOLD FOR SELECT id FROM readings WHERE x > 0;
COMMIT;
FETCH ALL FROM held;
CLOSE held;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id FROM readings;
FETCH 3 FROM c;
FETCH BACKWARD 1 FROM c;
COMMIT;

-- prepared statements: custom and generic plans, NULL parameters
PREPARE of_owner (text, bigint) AS SELECT id FROM readings WHERE owner = $1 AND taken > $2 ORDER BY id;
SET plan_cache_mode = force_custom_plan;
EXECUTE of_owner ('ann', 0);
SET plan_cache_mode = force_generic_plan;
EXECUTE of_owner ('ann', 0);
EXECUTE of_owner ('bob', 100);
EXECUTE of_owner (NULL, 100);
-- a change of options reaches the prepared plan
ALTER FOREIGN TABLE readings OPTIONS (SET prefix 'prefix/custom', ADD allow_empty 'true');
EXECUTE of_owner ('ann', 0);
ALTER FOREIGN TABLE readings OPTIONS (SET prefix 'readings', DROP allow_empty);
EXECUTE of_owner ('ann', 0);
RESET plan_cache_mode;
DEALLOCATE of_owner;

-- columns that come and go
ALTER FOREIGN TABLE readings DROP COLUMN x;
SELECT * FROM readings WHERE id = 5;
ALTER FOREIGN TABLE readings ADD COLUMN raw jsonb OPTIONS (key 'x');
ALTER FOREIGN TABLE readings ADD COLUMN taken_at timestamptz OPTIONS (key 'taken');
SELECT id, raw, stedi.epoch_ms(taken_at) AS taken_at, note FROM readings WHERE id > 4 ORDER BY id;
ALTER FOREIGN TABLE readings RENAME note TO remark;
SELECT id, remark FROM readings WHERE id = 1;
ALTER FOREIGN TABLE readings ALTER remark OPTIONS (ADD key 'note');
SELECT id, remark FROM readings WHERE id = 1;

-- a partition, and an inheritance child
CREATE TABLE reading (id integer, owner text) PARTITION BY LIST (owner);
CREATE TABLE reading_local PARTITION OF reading FOR VALUES IN ('zoe');
CREATE FOREIGN TABLE reading_landed PARTITION OF reading DEFAULT SERVER regress_landing OPTIONS (prefix 'readings');
INSERT INTO reading VALUES (99, 'zoe');
SELECT tableoid::regclass, count(*), max(id) FROM reading GROUP BY 1 ORDER BY 1;
SELECT id FROM reading WHERE owner = 'ann' ORDER BY id;
SELECT id FROM reading WHERE id > 7 ORDER BY id;
INSERT INTO reading VALUES (98, 'yan'); -- ERROR

-- what is made from a query
CREATE TABLE copied AS SELECT id, owner FROM readings;
SELECT count(*) FROM copied;
CREATE MATERIALIZED VIEW kept AS SELECT count(*) FROM framing;
REFRESH MATERIALIZED VIEW kept;
SELECT * FROM kept;
COPY (SELECT id FROM readings WHERE id < 3 ORDER BY id) TO STDOUT;

DROP SERVER regress_landing CASCADE;
DROP SCHEMA regress_landing CASCADE;
