-- Proves whose credentials a user mapping may name, who may set that, which options go together, and what stedi.credential tells.
-- Guards src/base/option.c and src/credential/credential.c; where keys come from is in test/client/test_credential.py.

\getenv abs_srcdir PG_ABS_SRCDIR
\set zone file:// :abs_srcdir /data/zone
SET client_min_messages = warning;
CREATE ROLE regress_engineer;
CREATE ROLE regress_files IN ROLE pg_read_server_files;
CREATE ROLE regress_analyst;
CREATE SCHEMA regress_credential;
GRANT USAGE, CREATE ON SCHEMA regress_credential TO regress_engineer;
GRANT USAGE ON FOREIGN DATA WRAPPER stedi_fdw TO regress_engineer, regress_files;

-- a superuser's server, whose mapping an engineer makes
CREATE SERVER regress_lake FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3://bucket', endpoint 'http://127.0.0.1:1', allow_http 'true');
GRANT USAGE ON FOREIGN SERVER regress_lake TO regress_engineer, regress_files;

-- what the database server is, only those set who may read its files
SET ROLE regress_engineer;
CREATE USER MAPPING FOR regress_engineer SERVER regress_lake OPTIONS (credentials 'environment'); -- ERROR
CREATE USER MAPPING FOR regress_engineer SERVER regress_lake OPTIONS (credentials 'profile', profile 'regress_nobody'); -- ERROR
CREATE USER MAPPING FOR regress_engineer SERVER regress_lake OPTIONS (credentials 'web_identity'); -- ERROR
CREATE USER MAPPING FOR regress_engineer SERVER regress_lake OPTIONS (credentials 'container'); -- ERROR
CREATE USER MAPPING FOR regress_engineer SERVER regress_lake OPTIONS (credentials 'instance'); -- ERROR
CREATE USER MAPPING FOR regress_engineer SERVER regress_lake OPTIONS (credentials 'static', profile 'regress_nobody'); -- ERROR
CREATE USER MAPPING FOR regress_engineer SERVER regress_lake OPTIONS (credentials 'nobody'); -- ERROR
CREATE USER MAPPING FOR regress_engineer SERVER regress_lake OPTIONS (credentials 'static', access_key_id 'a', secret_access_key 'hush');
ALTER USER MAPPING FOR regress_engineer SERVER regress_lake OPTIONS (SET credentials 'environment', DROP access_key_id, DROP secret_access_key); -- ERROR
RESET ROLE;
-- a member sets it, for himself and, as a superuser does, for others
SET ROLE regress_files;
CREATE USER MAPPING FOR regress_files SERVER regress_lake OPTIONS (credentials 'profile', profile 'regress_nobody');
RESET ROLE;
ALTER USER MAPPING FOR regress_engineer SERVER regress_lake OPTIONS (SET credentials 'profile', ADD profile 'regress_nobody', DROP access_key_id, DROP secret_access_key);
-- who has it cannot change it into another, but may give it up
SET ROLE regress_engineer;
ALTER USER MAPPING FOR regress_engineer SERVER regress_lake OPTIONS (SET profile 'another'); -- ERROR
ALTER USER MAPPING FOR regress_engineer SERVER regress_lake OPTIONS (DROP profile); -- ERROR
-- and uses it: there is no such profile, which is as far as a test without files gets
CREATE FOREIGN TABLE regress_credential.t (n integer) SERVER regress_lake;
\set VERBOSITY terse
SELECT * FROM regress_credential.t; -- ERROR
SELECT * FROM stedi.credential('regress_lake'); -- ERROR
\set VERBOSITY default
ALTER USER MAPPING FOR regress_engineer SERVER regress_lake OPTIONS (SET credentials 'static', DROP profile, ADD anonymous 'true');
SELECT * FROM stedi.credential('regress_lake');
RESET ROLE;

-- a server's owner says where requests go: he must be one of those, too
CREATE USER MAPPING FOR PUBLIC SERVER regress_lake OPTIONS (credentials 'environment');
ALTER SERVER regress_lake OWNER TO regress_engineer;
SELECT * FROM stedi.credential('regress_lake'); -- ERROR
\echo :LAST_ERROR_SQLSTATE
SET ROLE regress_files;
SELECT * FROM stedi.credential('regress_lake'); -- ERROR
RESET ROLE;
DROP USER MAPPING FOR regress_engineer SERVER regress_lake;
SET ROLE regress_engineer;
SELECT * FROM regress_credential.t; -- ERROR
RESET ROLE;
ALTER SERVER regress_lake OWNER TO regress_files;
\set VERBOSITY terse
SET ROLE regress_files;
SELECT * FROM stedi.credential('regress_lake'); -- ERROR
RESET ROLE;
\set VERBOSITY default
DROP USER MAPPING FOR PUBLIC SERVER regress_lake;

-- keys come from one place
CREATE USER MAPPING FOR PUBLIC SERVER regress_lake OPTIONS (credentials 'environment', access_key_id 'a', secret_access_key 'hush'); -- ERROR
CREATE USER MAPPING FOR PUBLIC SERVER regress_lake OPTIONS (credentials 'instance', session_token 'hush'); -- ERROR
CREATE USER MAPPING FOR PUBLIC SERVER regress_lake OPTIONS (credentials 'container', anonymous 'true'); -- ERROR
CREATE USER MAPPING FOR PUBLIC SERVER regress_lake OPTIONS (credentials 'environment', profile 'a'); -- ERROR
CREATE USER MAPPING FOR PUBLIC SERVER regress_lake OPTIONS (profile 'a'); -- ERROR
CREATE USER MAPPING FOR PUBLIC SERVER regress_lake OPTIONS (credentials 'profile', profile ''); -- ERROR
CREATE USER MAPPING FOR PUBLIC SERVER regress_lake OPTIONS (credentials 'profile', profile E'a\nb'); -- ERROR
CREATE USER MAPPING FOR PUBLIC SERVER regress_lake OPTIONS (credentials 'Profile'); -- ERROR
CREATE USER MAPPING FOR PUBLIC SERVER regress_lake OPTIONS (credentials 'profile');
ALTER USER MAPPING FOR PUBLIC SERVER regress_lake OPTIONS (SET credentials 'web_identity', ADD anonymous 'false');
ALTER USER MAPPING FOR PUBLIC SERVER regress_lake OPTIONS (DROP credentials);

-- stedi.credential: the end of a key that has some to spare, and no secret
\set VERBOSITY terse
SELECT * FROM stedi.credential('regress_lake'); -- ERROR
\set VERBOSITY default
ALTER USER MAPPING FOR PUBLIC SERVER regress_lake OPTIONS (ADD access_key_id 'AKIAIOSFODNN7EXAMPLE', ADD secret_access_key 'hush');
SELECT * FROM stedi.credential('regress_lake');
ALTER USER MAPPING FOR PUBLIC SERVER regress_lake OPTIONS (ADD session_token 'hush too', SET access_key_id 'short');
SELECT * FROM stedi.credential('regress_lake');
CREATE USER MAPPING FOR CURRENT_USER SERVER regress_lake OPTIONS (anonymous 'true');
SELECT source, access_key_id, temporary, expires, detail LIKE 'user mapping for %' AS detail FROM stedi.credential('regress_lake');
-- it is the caller's, who needs USAGE
SET ROLE regress_analyst;
SELECT * FROM stedi.credential('regress_lake'); -- ERROR
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER regress_lake TO regress_analyst;
SET ROLE regress_analyst;
SELECT source, access_key_id, detail FROM stedi.credential('regress_lake');
RESET ROLE;
DROP USER MAPPING FOR PUBLIC SERVER regress_lake;
SET ROLE regress_analyst;
SELECT * FROM stedi.credential('regress_lake'); -- ERROR
RESET ROLE;
-- no such server, one that is not ours, a folder
SELECT * FROM stedi.credential('regress_nowhere'); -- ERROR
CREATE FOREIGN DATA WRAPPER regress_other;
CREATE SERVER regress_stranger FOREIGN DATA WRAPPER regress_other;
SELECT * FROM stedi.credential('regress_stranger'); -- ERROR
CREATE SERVER regress_folder FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'zone');
SELECT * FROM stedi.credential('regress_folder'); -- ERROR
SELECT stedi.credential(NULL);

-- ca_file: a path, and a right
ALTER SERVER regress_lake OPTIONS (ADD ca_file 'relative.pem'); -- ERROR
ALTER SERVER regress_lake OPTIONS (ADD ca_file ''); -- ERROR
SET ROLE regress_files;
ALTER SERVER regress_lake OPTIONS (ADD ca_file '/nowhere/ca.pem');
RESET ROLE;
SET ROLE regress_engineer;
CREATE SERVER regress_mine FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3://bucket', ca_file '/nowhere/ca.pem'); -- ERROR
CREATE SERVER regress_mine FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3://bucket');
ALTER SERVER regress_mine OPTIONS (ADD ca_file '/nowhere/ca.pem'); -- ERROR
RESET ROLE;

DROP SCHEMA regress_credential CASCADE;
DROP SERVER regress_lake, regress_mine, regress_folder, regress_stranger CASCADE;
DROP FOREIGN DATA WRAPPER regress_other;
REVOKE ALL ON FOREIGN DATA WRAPPER stedi_fdw FROM regress_engineer, regress_files;
DROP ROLE regress_engineer, regress_files, regress_analyst;
