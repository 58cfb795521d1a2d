-- Proves who may materialize, as whom it runs, and what an analyst and the statistics get to see.
-- Guards check_target and run_zone in src/commands/materialize.c, src/credential/credential.c and src/fdw/analyze.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set zone file:// :abs_srcdir /data/zone
\set VERBOSITY terse
SET client_min_messages = error;
CREATE ROLE regress_owner;
CREATE ROLE regress_member IN ROLE regress_owner;
CREATE ROLE regress_stranger;
CREATE ROLE regress_analyst;
CREATE SCHEMA regress_landing AUTHORIZATION regress_owner;
CREATE SCHEMA regress_zone AUTHORIZATION regress_owner;
CREATE SERVER regress_privilege FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'zone');
GRANT USAGE ON FOREIGN SERVER regress_privilege TO regress_owner;
SET ROLE regress_owner;
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_privilege INTO regress_landing;
RESET ROLE;

-- what PUBLIC has: the schema's functions and types, the server not
SET ROLE regress_stranger;
SELECT stedi.normalize_email(' A@X ');
SELECT stedi.consents(stedi.consent_set('a@x', 1), 'a@x', 1);
CREATE TABLE stedi.mine (); -- ERROR
CREATE FOREIGN TABLE pg_temp.landed (n integer) SERVER regress_privilege; -- ERROR
CREATE SERVER regress_mine FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3://b'); -- ERROR

-- nobody makes tables where he may not
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_landing'); -- ERROR
SELECT count(*) FROM stedi.materialize('pg_catalog', 'regress_landing'); -- ERROR
SELECT count(*) FROM stedi.materialize_customer_trusted('regress_zone', 'regress_landing', dry_run => true); -- ERROR
RESET ROLE;
-- and CREATE alone does not let anybody read the landing tables
GRANT USAGE, CREATE ON SCHEMA regress_zone TO regress_stranger;
GRANT USAGE ON SCHEMA regress_landing TO regress_stranger;
SET ROLE regress_stranger;
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_landing'); -- ERROR
RESET ROLE;
GRANT SELECT ON regress_landing.customer_landing TO regress_stranger;
SET ROLE regress_stranger;
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_landing'); -- ERROR
RESET ROLE;
REVOKE SELECT ON regress_landing.customer_landing FROM regress_stranger;
SELECT count(*) FROM pg_class WHERE relnamespace = 'regress_zone'::regnamespace;

-- the first caller owns the tables; a re-run wants their ownership
SET ROLE regress_owner;
SELECT table_name, mode FROM stedi.materialize('regress_zone', 'regress_landing');
RESET ROLE;
SELECT DISTINCT relowner::regrole FROM pg_class WHERE relnamespace = 'regress_zone'::regnamespace;
SET ROLE regress_stranger;
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_landing'); -- ERROR
SELECT count(*) FROM stedi.materialize_machine_learning_curated('regress_zone', 'regress_landing', dry_run => true); -- ERROR
RESET ROLE;
GRANT ALL ON ALL TABLES IN SCHEMA regress_zone TO regress_stranger;
GRANT ALL ON ALL TABLES IN SCHEMA regress_landing TO regress_stranger;
SET ROLE regress_stranger;
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_landing'); -- ERROR
RESET ROLE;
SET ROLE regress_member;
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_landing');
RESET ROLE;

-- it runs as the owner, in a security-restricted operation, whoever calls:
-- what hangs on the tables has no more power than that
CREATE TABLE regress_zone.seen (what text, who text, restricted text);
GRANT ALL ON regress_zone.seen TO PUBLIC;
SET ROLE regress_owner;
CREATE FUNCTION regress_zone.look() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    restricted text := 'no';
BEGIN
    BEGIN
        SET ROLE regress_member;
    EXCEPTION WHEN insufficient_privilege THEN
        restricted := sqlerrm;
    END;
    INSERT INTO regress_zone.seen VALUES (lower(tg_op), current_user, restricted);
    RETURN NULL;
END $$;
CREATE TRIGGER look AFTER INSERT OR DELETE ON regress_zone.machine_learning_curated FOR EACH STATEMENT EXECUTE FUNCTION regress_zone.look();
CREATE FUNCTION regress_zone.note() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO regress_zone.seen VALUES ('index', current_user, '');
END $$;
CREATE FUNCTION regress_zone.spy(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM regress_zone.note();
    RETURN $1;
END $$;
CREATE INDEX spying ON regress_zone.customer_trusted (regress_zone.spy(email));
DELETE FROM regress_zone.machine_learning_curated WHERE serialnumber = 'form';
INSERT INTO regress_zone.machine_learning_curated (serialnumber) VALUES ('stray');
DELETE FROM regress_zone.customer_trusted;
TRUNCATE regress_zone.seen;
RESET ROLE;
DELETE FROM stedi_books_regress_zone.stedi_state; -- the next run reads everything
SELECT table_name, rows_in, rows_out FROM stedi.materialize('regress_zone', 'regress_landing') WHERE rows_in > 0;
SELECT DISTINCT what, who, restricted FROM regress_zone.seen ORDER BY 1, 2;
TRUNCATE regress_zone.seen;
SELECT table_name, mode FROM stedi.materialize('regress_zone', 'regress_landing', full_refresh => true); -- not under a trigger
SELECT DISTINCT what, who FROM regress_zone.seen ORDER BY 1;
DROP INDEX regress_zone.spying;
-- and the caller is who he was, after an error too
SELECT current_user = session_user AS same;
SET ROLE regress_owner;
CREATE FUNCTION regress_zone.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
CREATE TRIGGER fail AFTER DELETE ON regress_zone.customer_curated FOR EACH STATEMENT EXECUTE FUNCTION regress_zone.fail();
UPDATE regress_zone.customer_curated SET phone = '1';
RESET ROLE;
DELETE FROM stedi_books_regress_zone.stedi_state; -- the next run reads everything
SET ROLE regress_member;
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_landing'); -- ERROR
SELECT current_user, current_setting('search_path') LIKE '%public%' AS own_path;
RESET ROLE;
DROP TRIGGER fail ON regress_zone.customer_curated;
-- nothing is left behind to run at the commit, with the caller's power
CREATE CONSTRAINT TRIGGER later AFTER DELETE ON regress_zone.customer_curated DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION regress_zone.look();
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_landing'); -- ERROR
DROP TRIGGER later ON regress_zone.customer_curated;
-- row security does not thin out what the owner writes; where it is forced on him, he is told
ALTER TABLE regress_zone.customer_curated ENABLE ROW LEVEL SECURITY;
SELECT table_name, rows FROM stedi.materialize('regress_zone', 'regress_landing') WHERE table_name = 'customer_curated';
ALTER TABLE regress_zone.customer_curated FORCE ROW LEVEL SECURITY;
SET ROLE regress_owner;
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_landing'); -- ERROR
RESET ROLE;
ALTER TABLE regress_zone.customer_curated NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;

-- a trap set beforehand, a table of ours that belongs to somebody else, is none
CREATE SCHEMA regress_trapped;
GRANT ALL ON SCHEMA regress_trapped TO regress_stranger, regress_owner;
SET ROLE regress_stranger;
CREATE TABLE regress_trapped.stedi_rule (consent text NOT NULL, match text NOT NULL, since timestamptz NOT NULL);
RESET ROLE;
SET ROLE regress_owner;
SELECT count(*) FROM stedi.materialize('regress_trapped', 'regress_landing');
RESET ROLE;
DROP SCHEMA regress_trapped CASCADE;

-- credentials are those of the tables' owner
CREATE SERVER regress_bucket FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url 's3://regress-bucket', endpoint 'http://127.0.0.1:1', allow_http 'true', connect_timeout '100');
GRANT USAGE ON FOREIGN SERVER regress_bucket TO regress_owner;
CREATE USER MAPPING FOR CURRENT_USER SERVER regress_bucket OPTIONS (access_key_id 'mine', secret_access_key 'hush');
CREATE SCHEMA regress_bucket AUTHORIZATION regress_owner;
SET ROLE regress_owner;
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_bucket INTO regress_bucket;
SELECT * FROM regress_bucket.customer_landing; -- ERROR
RESET ROLE;
UPDATE stedi_books_regress_zone.stedi_rule SET landing = NULL; -- the next run may read another landing zone
SELECT count(*) FROM stedi.materialize('regress_zone', 'regress_bucket'); -- ERROR: the owner has no mapping
CREATE USER MAPPING FOR regress_owner SERVER regress_bucket OPTIONS (anonymous 'true');
CREATE FUNCTION regress_bucket.connects() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM stedi.materialize('regress_zone', 'regress_bucket');
EXCEPTION WHEN OTHERS THEN
    RETURN format('SQLSTATE %s, names keys: %s', sqlstate, sqlerrm ~ 'hush|mine');
END $$;
SELECT regress_bucket.connects(); -- nobody is at that port
-- a view reads with its owner's mapping
CREATE VIEW regress_bucket.viewed AS SELECT * FROM regress_bucket.customer_landing;
ALTER VIEW regress_bucket.viewed OWNER TO regress_owner;
DROP USER MAPPING FOR regress_owner SERVER regress_bucket;
SELECT * FROM regress_bucket.viewed; -- ERROR: again the owner has none
DROP SERVER regress_bucket CASCADE;

-- an analyst with the last table alone
GRANT USAGE ON SCHEMA regress_zone TO regress_analyst;
GRANT SELECT ON regress_zone.machine_learning_curated TO regress_analyst;
SET ROLE regress_analyst;
SELECT count(*) FROM regress_zone.machine_learning_curated;
SELECT count(*) FROM regress_zone.step_trainer_curated; -- ERROR
SELECT count(*) FROM regress_zone.customer_trusted; -- ERROR
SELECT count(*) FROM stedi_books_regress_zone.stedi_object; -- ERROR
SELECT count(*) FROM regress_landing.customer_landing; -- ERROR
SELECT count(*) FROM stedi.rejects((SELECT oid FROM pg_class WHERE relname = 'customer_landing' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'regress_landing'))); -- ERROR
DELETE FROM regress_zone.machine_learning_curated; -- ERROR
SELECT count(*) FROM stedi.materialize_machine_learning_curated('regress_zone'); -- ERROR
RESET ROLE;

-- ANALYZE of landing tables keeps no value of theirs
ANALYZE regress_landing.customer_landing;
ANALYZE regress_landing.accelerometer_landing;
ANALYZE regress_landing.step_trainer_landing;
SELECT attname, null_frac, avg_width > 0 AS width, n_distinct <> 0 AS distinct_values FROM pg_stats
    WHERE schemaname = 'regress_landing' AND tablename = 'customer_landing' AND attname IN ('email', 'phone', 'serialnumber') ORDER BY attname;
CREATE TEMP VIEW kept AS
    SELECT tablename, attname, unnest(coalesce(most_common_vals::text::text[], '{}') || coalesce(histogram_bounds::text::text[], '{}')) AS value
    FROM pg_stats WHERE schemaname = 'regress_landing';
SELECT count(*) > 20 AS some FROM kept;
CREATE TEMP TABLE landed AS
    SELECT value FROM (SELECT * FROM regress_landing.customer_landing) c, jsonb_each_text(to_jsonb(c))
    UNION SELECT "user" FROM regress_landing.accelerometer_landing
    UNION SELECT serialnumber FROM regress_landing.step_trainer_landing;
SELECT count(*) > 40 AS some FROM landed WHERE value IS NOT NULL;
-- text is hexadecimal digits; a short number may meet one by chance, a long text may not
SELECT kept.* FROM kept JOIN landed USING (value) WHERE length(value) > 4 AND value !~ '^[0-9.-]+$';
SELECT attname, value FROM kept WHERE attname IN ('customername', 'email', 'phone', 'birthday', 'serialnumber', 'user') AND value !~ '^[0-9a-f]*$';

SET client_min_messages = error;
DROP SERVER regress_privilege CASCADE;
DROP SCHEMA regress_zone CASCADE;
DROP SCHEMA regress_landing CASCADE;
DROP SCHEMA regress_bucket CASCADE;
DROP ROLE regress_member;
DROP ROLE regress_owner;
DROP ROLE regress_stranger;
DROP ROLE regress_analyst;
