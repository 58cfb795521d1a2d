-- Proves what the options of servers, mappings, tables and columns accept, and where a table looks for objects.
-- Guards src/base/option.c, src/s3/list.c, src/s3/local.c and IMPORT FOREIGN SCHEMA in src/fdw/fdw.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set data file:// :abs_srcdir /data
\set nowhere file:// :abs_srcdir /data/nowhere
\set a_file file:// :abs_srcdir /data/readings/1.json
\set links file:// :abs_srcdir /data/links
SET client_min_messages = warning;
CREATE ROLE regress_reader;
CREATE ROLE regress_files IN ROLE pg_read_server_files;
CREATE SCHEMA regress_option;
GRANT USAGE, CREATE ON SCHEMA regress_option TO regress_reader;
SET search_path = regress_option;
GRANT USAGE ON FOREIGN DATA WRAPPER stedi_fdw TO regress_reader, regress_files;

-- what a statement answers, without the folder that this runs in
SELECT set_config('regress.data', substring(:'data' FROM 8), false) <> '' AS kept;
CREATE FUNCTION answer(statement text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    RETURN QUERY EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN NEXT replace('ERROR: ' || sqlerrm, current_setting('regress.data'), 'data');
    IF detail <> '' THEN
        RETURN NEXT 'DETAIL: ' || detail;
    END IF;
    IF hint <> '' THEN
        RETURN NEXT 'HINT: ' || hint;
    END IF;
END $$;

-- all of them
SELECT option, belongs_to, initial FROM stedi.options();
SELECT count(*) AS without_description FROM stedi.options() WHERE description IS NULL OR description !~ '^[[:lower:]s3].*[^.]$';

-- servers: the url
CREATE SERVER regress_bad FOREIGN DATA WRAPPER stedi_fdw; -- ERROR
CREATE SERVER regress_bad FOREIGN DATA WRAPPER stedi_fdw OPTIONS (region 'eu-central-1'); -- ERROR
CREATE SERVER regress_bad FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url ''); -- ERROR
CREATE SERVER regress_bad FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 'https://bucket'); -- ERROR
CREATE SERVER regress_bad FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3://'); -- ERROR
CREATE SERVER regress_bad FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3:///prefix'); -- ERROR
CREATE SERVER regress_bad FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3://user@bucket'); -- ERROR
CREATE SERVER regress_bad FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 'file://relative'); -- ERROR
CREATE SERVER regress_bad FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3://b', uri 'x'); -- ERROR
-- a server has no secrets and no table's options
CREATE SERVER regress_bad FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3://b', secret_access_key 'hush'); -- ERROR
CREATE SERVER regress_bad FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3://b', prefix 'customers'); -- ERROR
-- each option, good and bad
CREATE SERVER regress_bucket FOREIGN DATA WRAPPER stedi_fdw OPTIONS (
    url 's3://cd0030bucket/landing/', region 'eu-central-1', endpoint 'http://127.0.0.1:1', url_style 'path',
    allow_http 'true', requester_pays 'on', proxy 'http://127.0.0.1:2', connections '64', connect_timeout '1',
    stall_timeout '3600', page_size '1', max_objects '50000000');
ALTER SERVER regress_bucket OPTIONS (SET url_style 'virtual', SET allow_http 'no', SET requester_pays '0', DROP proxy);
ALTER SERVER regress_bucket OPTIONS (DROP url); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET region ''); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET region E'eu\r\nx-amz-acl: public'); -- ERROR
-- what would be another host than the one of the region
ALTER SERVER regress_bucket OPTIONS (SET region 'x.evil.example/'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET region 'me@evil'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET region 'evil:443'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET region 'evil#'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET region 'abcdefghijklmnopqrstuvwxyz-0123456'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET url 's3://..'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET url 's3://a:b'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET endpoint '127.0.0.1:1'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET endpoint E'https://host\\evil'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET endpoint 'https://host%2eevil'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET endpoint E'https://host\t'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET endpoint 'ftp://host'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET endpoint 'https://host/path'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET endpoint 'https://me:hush@host'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET endpoint 'https://'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET url_style 'Path'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET allow_http 'perhaps'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (ADD allow_link_local 'perhaps'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET requester_pays ''); -- ERROR
ALTER SERVER regress_bucket OPTIONS (ADD proxy 'host:80'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (ADD proxy 'http://me:hush@host:80'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET connections '0'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET connections '65'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET connections '8 '); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET connections '1e1'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET connections '99999999999999999999'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET connect_timeout '-1'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET stall_timeout '3601'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET page_size '1001'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET max_objects '0'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (SET max_objects '50000001'); -- ERROR
SELECT srvoptions FROM pg_foreign_server WHERE srvname = 'regress_bucket';
-- metadata of clouds: who may not read the server's files does not let anybody ask for it, nor move a server that may
ALTER SERVER regress_bucket OWNER TO regress_reader;
SET ROLE regress_reader;
ALTER SERVER regress_bucket OPTIONS (ADD allow_link_local 'true'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (ADD allow_link_local 'false');
RESET ROLE;
ALTER SERVER regress_bucket OPTIONS (SET allow_link_local 'true');
SET ROLE regress_reader;
ALTER SERVER regress_bucket OPTIONS (SET endpoint 'http://169.254.169.254'); -- ERROR
ALTER SERVER regress_bucket OPTIONS (DROP allow_link_local);
RESET ROLE;
ALTER SERVER regress_bucket OWNER TO CURRENT_USER;

-- user mappings: both keys, or anonymous alone; no message shows a secret
CREATE USER MAPPING FOR PUBLIC SERVER regress_bucket; -- fine: credentials are needed when it is read
DROP USER MAPPING FOR PUBLIC SERVER regress_bucket;
CREATE USER MAPPING FOR PUBLIC SERVER regress_bucket OPTIONS (access_key_id 'me'); -- ERROR
CREATE USER MAPPING FOR PUBLIC SERVER regress_bucket OPTIONS (secret_access_key 'hush'); -- ERROR
CREATE USER MAPPING FOR PUBLIC SERVER regress_bucket OPTIONS (access_key_id 'me', secret_access_key ''); -- ERROR
CREATE USER MAPPING FOR PUBLIC SERVER regress_bucket OPTIONS (access_key_id 'me', secret_access_key E'hush\nhush'); -- ERROR
CREATE USER MAPPING FOR PUBLIC SERVER regress_bucket OPTIONS (access_key_id 'me', secret_access_key 'hush', session_token E'hush\r'); -- ERROR
CREATE USER MAPPING FOR PUBLIC SERVER regress_bucket OPTIONS (access_key_id '', secret_access_key 'hush'); -- ERROR
CREATE USER MAPPING FOR PUBLIC SERVER regress_bucket OPTIONS (access_key_id 'me', secret_access_key 'hush', anonymous 'true'); -- ERROR
CREATE USER MAPPING FOR PUBLIC SERVER regress_bucket OPTIONS (anonymous 'perhaps'); -- ERROR
CREATE USER MAPPING FOR PUBLIC SERVER regress_bucket OPTIONS (access_key_id 'me', secret_access_key 'hush', region 'x'); -- ERROR
CREATE USER MAPPING FOR PUBLIC SERVER regress_bucket OPTIONS (session_token 'hush'); -- ERROR
DROP USER MAPPING IF EXISTS FOR PUBLIC SERVER regress_bucket;
CREATE USER MAPPING FOR PUBLIC SERVER regress_bucket OPTIONS (anonymous 'true', session_token 'hush'); -- ERROR
DROP USER MAPPING IF EXISTS FOR PUBLIC SERVER regress_bucket;
CREATE USER MAPPING FOR PUBLIC SERVER regress_bucket OPTIONS (anonymous 'true');
ALTER USER MAPPING FOR PUBLIC SERVER regress_bucket OPTIONS (
    DROP anonymous, ADD access_key_id 'me', ADD secret_access_key 'hush', ADD session_token 'hush');
ALTER USER MAPPING FOR PUBLIC SERVER regress_bucket OPTIONS (DROP secret_access_key); -- ERROR
-- who may not use the mapping does not see its options
SET ROLE regress_reader;
SELECT count(umoptions) AS seen FROM pg_user_mappings WHERE srvname = 'regress_bucket';
RESET ROLE;

-- foreign tables and columns
CREATE FOREIGN TABLE bad (n integer) SERVER regress_bucket OPTIONS (url 's3://b'); -- ERROR
CREATE FOREIGN TABLE bad (n integer) SERVER regress_bucket OPTIONS (allow_empty '2'); -- ERROR
CREATE FOREIGN TABLE bad (n integer) SERVER regress_bucket OPTIONS (on_error 'ignore'); -- ERROR
CREATE FOREIGN TABLE bad (n integer) SERVER regress_bucket OPTIONS (reject_limit '0'); -- ERROR
CREATE FOREIGN TABLE bad (n integer) SERVER regress_bucket OPTIONS (reject_limit '9223372036854775808'); -- ERROR
CREATE FOREIGN TABLE bad (n integer) SERVER regress_bucket OPTIONS (max_record_size '1023'); -- ERROR
CREATE FOREIGN TABLE bad (n integer) SERVER regress_bucket OPTIONS (max_record_size '513MB'); -- ERROR
CREATE FOREIGN TABLE bad (n integer) SERVER regress_bucket OPTIONS (max_record_size '1GB'); -- ERROR
CREATE FOREIGN TABLE bad (n integer) SERVER regress_bucket OPTIONS (max_record_size 'MB'); -- ERROR
CREATE FOREIGN TABLE bad (n integer) SERVER regress_bucket OPTIONS (max_depth '0'); -- ERROR
CREATE FOREIGN TABLE bad (n integer) SERVER regress_bucket OPTIONS (max_depth '10001'); -- ERROR
CREATE FOREIGN TABLE bad (n integer) SERVER regress_bucket OPTIONS (max_inflate_ratio '0'); -- ERROR
CREATE FOREIGN TABLE bad (n integer) SERVER regress_bucket OPTIONS (max_inflate_ratio '1000001'); -- ERROR
CREATE FOREIGN TABLE bad (n integer) SERVER regress_bucket OPTIONS (max_record_size '9223372036854775807kB'); -- ERROR
CREATE FOREIGN TABLE bad (n integer OPTIONS (key '')) SERVER regress_bucket; -- ERROR
CREATE FOREIGN TABLE bad (n integer OPTIONS (source 'bucket')) SERVER regress_bucket; -- ERROR
CREATE FOREIGN TABLE bad (n integer OPTIONS (key 'n', source 'line')) SERVER regress_bucket; -- ERROR
CREATE FOREIGN TABLE bad (n integer OPTIONS (prefix 'n')) SERVER regress_bucket; -- ERROR
CREATE FOREIGN DATA WRAPPER regress_bad HANDLER stedi.stedi_fdw_handler VALIDATOR stedi.stedi_fdw_validator OPTIONS (url 's3://b'); -- ERROR
CREATE FOREIGN TABLE good (
    n integer OPTIONS (key 'N'), o text OPTIONS (source 'object'), e text OPTIONS (source 'etag'),
    l bigint OPTIONS (source 'line'), f bigint OPTIONS (source 'offset'))
    SERVER regress_bucket OPTIONS (prefix '/customers//', allow_empty 'yes', on_error 'stop',
        reject_limit '9223372036854775807', max_record_size '512mb', max_depth '10000', max_inflate_ratio '1000000');
ALTER FOREIGN TABLE good OPTIONS (SET max_record_size '1kB', SET on_error 'reject', DROP prefix);
DROP SERVER regress_bucket CASCADE;

-- file:// reads the server's files: a privilege, checked when the url is set
SET ROLE regress_reader;
CREATE SERVER regress_local FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'data'); -- ERROR
CREATE SERVER regress_local FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3://b');
ALTER SERVER regress_local OPTIONS (SET url :'data'); -- ERROR
RESET ROLE;
ALTER SERVER regress_local OWNER TO regress_files;
SET ROLE regress_files;
ALTER SERVER regress_local OPTIONS (SET url :'data');
GRANT USAGE ON FOREIGN SERVER regress_local TO regress_reader;
SET ROLE regress_reader;
-- whoever may use the server reads what is below its folder
CREATE FOREIGN TABLE lines (n integer) SERVER regress_local OPTIONS (prefix 'framing');
SELECT count(*) > 0 AS read FROM lines;
RESET ROLE;
DROP SERVER regress_local CASCADE;

-- where a table's objects are: the prefix matches at /
CREATE SERVER regress_local FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'data');
CREATE FOREIGN TABLE place (n integer, object text OPTIONS (source 'object')) SERVER regress_local OPTIONS (prefix 'prefix/customers');
SELECT n, object FROM place ORDER BY n;
ALTER FOREIGN TABLE place OPTIONS (SET prefix '/prefix/customers/');
SELECT n, object FROM place ORDER BY n;
ALTER FOREIGN TABLE place OPTIONS (SET prefix 'prefix');
SELECT n, object FROM place ORDER BY n;
-- a prefix may be the key of one object, half a name is none
ALTER FOREIGN TABLE place OPTIONS (SET prefix 'prefix/customers.json');
SELECT answer('SELECT n::text FROM place');
ALTER FOREIGN TABLE place OPTIONS (SET prefix 'prefix/custom');
SELECT answer('SELECT n::text FROM place');
-- none at all is an error, before anything else is done
SELECT answer('EXPLAIN SELECT FROM place');
ALTER FOREIGN TABLE place OPTIONS (SET prefix 'prefix/marked');
SELECT answer('SELECT n::text FROM place');
ALTER FOREIGN TABLE place OPTIONS (ADD allow_empty 'true');
SELECT n FROM place;
ALTER FOREIGN TABLE place OPTIONS (SET prefix 'prefix/custom');
SELECT n FROM place;
-- keys that start with _ or ., and whatever is below them, are skipped; others need no care
ALTER FOREIGN TABLE place OPTIONS (SET prefix 'keys');
SELECT object FROM place ORDER BY object COLLATE "C";
SELECT count(*) FROM place WHERE object = 'keys/plus+and%percent%2B.json';

-- a prefix or a link that leads out of the folder is an error, links inside are followed
ALTER SERVER regress_local OPTIONS (SET url :'links');
ALTER FOREIGN TABLE place OPTIONS (SET prefix 'inside');
SELECT n, object FROM place;
ALTER FOREIGN TABLE place OPTIONS (SET prefix 'out');
SELECT answer('SELECT n::text FROM place');
ALTER FOREIGN TABLE place OPTIONS (SET prefix 'folder_out');
SELECT answer('SELECT n::text FROM place');
ALTER FOREIGN TABLE place OPTIONS (SET prefix '..');
SELECT answer('SELECT n::text FROM place');
ALTER FOREIGN TABLE place OPTIONS (SET prefix 'inside/../../framing');
SELECT answer('SELECT n::text FROM place');
ALTER FOREIGN TABLE place OPTIONS (SET prefix 'inside/../target');
SELECT answer('SELECT n::text FROM place');
ALTER FOREIGN TABLE place OPTIONS (SET prefix 'loop');
SELECT answer('SELECT n::text FROM place');
ALTER FOREIGN TABLE place OPTIONS (SET prefix 'nowhere');
SELECT answer('SELECT n::text FROM place');
-- the folder itself
ALTER SERVER regress_local OPTIONS (SET url :'nowhere');
SELECT answer('SELECT n::text FROM place');
ALTER SERVER regress_local OPTIONS (SET url :'a_file');
SELECT answer('SELECT n::text FROM place');

-- IMPORT FOREIGN SCHEMA knows landing
IMPORT FOREIGN SCHEMA public FROM SERVER regress_local INTO regress_option; -- ERROR
IMPORT FOREIGN SCHEMA "Landing" FROM SERVER regress_local INTO regress_option; -- ERROR
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_local INTO regress_option OPTIONS (prefix 'x'); -- ERROR
CREATE SCHEMA "regress Odd{customers}";
IMPORT FOREIGN SCHEMA landing LIMIT TO (customer_landing) FROM SERVER regress_local INTO "regress Odd{customers}";
IMPORT FOREIGN SCHEMA landing EXCEPT (customer_landing) FROM SERVER regress_local INTO "regress Odd{customers}";
SELECT c.relname, o.ftoptions, string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY attnum) AS columns
    FROM pg_class c JOIN pg_foreign_table o ON o.ftrelid = c.oid JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = '"regress Odd{customers}"'::regnamespace AND attnum > 0 GROUP BY 1, 2 ORDER BY 1;
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_local INTO "regress Odd{customers}"; -- ERROR

-- the one setting
\set VERBOSITY sqlstate
SHOW stedi.swap_timeout;
SET stedi.swap_timeout = '1500ms';
SHOW stedi.swap_timeout;
SET stedi.swap_timeout = -1; -- ERROR
SET stedi.swap_timout = 1; -- ERROR: the prefix is ours
RESET stedi.swap_timeout;
\set VERBOSITY default

-- landing tables are read only
ALTER SERVER regress_local OPTIONS (SET url :'data');
ALTER FOREIGN TABLE place OPTIONS (SET prefix 'framing');
INSERT INTO place VALUES (1); -- ERROR
UPDATE place SET n = 1; -- ERROR
DELETE FROM place; -- ERROR
TRUNCATE place; -- ERROR

DROP SERVER regress_local CASCADE;
DROP SCHEMA regress_option CASCADE;
DROP SCHEMA "regress Odd{customers}" CASCADE;
REVOKE USAGE ON FOREIGN DATA WRAPPER stedi_fdw FROM regress_reader, regress_files;
DROP ROLE regress_reader;
DROP ROLE regress_files;
