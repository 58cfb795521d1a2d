-- Proves that the counts of a run add up, and what must hold of the five tables, whatever the data and the rule.
-- Guards report_readings and report_customers in src/zone/tables.c, and the standings that src/scan/filter.c counts.

\set root `pwd`
\set day file:// :root /test/data/zone
\set later file:// :root /test/data/zone_later

BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS stedi;
SET LOCAL client_min_messages = error;
CREATE SERVER tap_day FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'day');
CREATE SERVER tap_later FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'later');
CREATE SCHEMA tap_day;
CREATE SCHEMA tap_later;
IMPORT FOREIGN SCHEMA landing FROM SERVER tap_day INTO tap_day;
IMPORT FOREIGN SCHEMA landing FROM SERVER tap_later INTO tap_later;
CREATE SCHEMA tap_zone;

-- runs one after the other on one target: first, changed by the difference, and filled anew
CREATE TEMP TABLE run (n serial, landing regnamespace, consent text, full_refresh boolean);
INSERT INTO run (landing, consent, full_refresh)
    SELECT l, c, f FROM unnest('{tap_day,tap_later}'::regnamespace[]) l, unnest('{granted,since_consent}'::text[]) c, unnest('{false,true}'::boolean[]) f;

-- One run, and a line for each thing that does not hold of it.
CREATE FUNCTION pg_temp.wrong(run) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    r stedi.report;
    n bigint;
    kept bigint;
BEGIN
    DELETE FROM stedi_books_tap_zone.stedi_state; -- so that all is read
    UPDATE stedi_books_tap_zone.stedi_rule SET landing = NULL; -- from wherever
    FOR r IN SELECT * FROM stedi.materialize('tap_zone', $1.landing, consent => $1.consent, full_refresh => $1.full_refresh) LOOP
        EXECUTE format('SELECT count(*) FROM tap_zone.%I', r.table_name) INTO n;
        IF r.rows <> n THEN
            RETURN NEXT r.table_name || ': rows are not what is reported';
        END IF;
        IF r.consent <> $1.consent THEN
            RETURN NEXT r.table_name || ': another rule';
        END IF;
        CONTINUE WHEN r.records_read IS NULL;
        IF r.records_read <> (r.rejected + r.superseded + r.no_consent + r.unknown_owner + r.without_readings + r.ambiguous + r.forgotten + coalesce(r.unexpected, 0) + r.duplicates + r.unchanged + r.kept
            + CASE r.consent WHEN 'since_consent' THEN r.before_consent ELSE 0 END) THEN
            RETURN NEXT r.table_name || ': the records do not add up';
        END IF;
        EXECUTE format('SELECT count(*) FROM stedi.rejects(%L)', format('%s.%s', $1.landing,
            replace(replace(r.table_name, '_trusted', '_landing'), '_curated', '_landing'))) INTO n;
        IF r.rejected <> n THEN
            RETURN NEXT r.table_name || ': rejects are not those of stedi.rejects';
        END IF;
        SELECT sum(records), sum(rejects) INTO n, kept FROM stedi_books_tap_zone.stedi_object
            WHERE table_name = replace(replace(r.table_name, '_trusted', '_landing'), '_curated', '_landing');
        IF n <> r.records_read OR kept <> r.rejected THEN
            RETURN NEXT r.table_name || ': the objects do not add up';
        END IF;
    END LOOP;
    RETURN QUERY SELECT 'a customer twice' FROM tap_zone.customer_trusted GROUP BY email HAVING count(*) > 1;
    RETURN QUERY SELECT 'an e-mail not in its form' FROM tap_zone.customer_trusted WHERE email <> stedi.normalize_email(email);
    RETURN QUERY SELECT 'consent not in force' FROM tap_zone.customer_trusted
        WHERE (sharewithresearchasofdate > '1970-01-01 00:00:00+00' AND sharewithresearchasofdate <= now()) IS NOT TRUE OR lastupdatedate > now();
    RETURN QUERY SELECT 'a curated customer who is not trusted' FROM (TABLE tap_zone.customer_curated EXCEPT TABLE tap_zone.customer_trusted) c;
    RETURN QUERY SELECT 'a trusted customer with readings who is not curated' FROM tap_zone.customer_trusted t
        WHERE EXISTS (SELECT FROM tap_zone.accelerometer_trusted a WHERE a.email = t.email) <> EXISTS (SELECT FROM tap_zone.customer_curated c WHERE c.email = t.email);
    RETURN QUERY SELECT 'a reading of nobody' FROM tap_zone.accelerometer_trusted a WHERE NOT EXISTS (SELECT FROM tap_zone.customer_trusted t WHERE t.email = a.email);
    RETURN QUERY SELECT 'a reading twice' FROM tap_zone.accelerometer_trusted a GROUP BY a HAVING count(*) > 1;
    RETURN QUERY SELECT 'a step twice' FROM tap_zone.step_trainer_curated s GROUP BY s HAVING count(*) > 1;
    RETURN QUERY SELECT 'a step of nobody, or of two' FROM tap_zone.step_trainer_curated s
        WHERE (SELECT count(*) FROM tap_zone.customer_curated c WHERE c.serialnumber = s.serialnumber) <> 1;
    RETURN QUERY SELECT 'a reading before the consent' FROM tap_zone.accelerometer_trusted a JOIN tap_zone.customer_trusted t USING (email)
        WHERE $1.consent = 'since_consent' AND a."timestamp" < t.sharewithresearchasofdate;
    RETURN QUERY SELECT 'a step before the consent' FROM tap_zone.step_trainer_curated s JOIN tap_zone.customer_trusted t USING (serialnumber)
        WHERE $1.consent = 'since_consent' AND s.sensorreadingtime < t.sharewithresearchasofdate;
    RETURN QUERY SELECT 'other pairs' FROM (
        (TABLE tap_zone.machine_learning_curated EXCEPT ALL TABLE pg_temp.pair) UNION ALL (TABLE pg_temp.pair EXCEPT ALL TABLE tap_zone.machine_learning_curated)) d;
    RETURN QUERY SELECT 'the run is not written down' WHERE (SELECT count(*) FROM stedi_books_tap_zone.stedi_run WHERE run = $1.n AND consent = $1.consent) <> 5;
END $$;

-- the pairs, by their definition; the tables are there after a first run
SELECT count(*) AS tables FROM stedi.materialize('tap_zone', 'tap_day', dry_run => false) \gset
CREATE TEMP VIEW pair AS
    SELECT s.serialnumber, s.sensorreadingtime, s.distancefromobject, a.x, a.y, a.z
    FROM tap_zone.step_trainer_curated s, tap_zone.customer_trusted t, tap_zone.accelerometer_trusted a
    WHERE t.serialnumber = s.serialnumber AND a.email = t.email AND a."timestamp" = s.sensorreadingtime;
UPDATE run SET n = n + 1;

SELECT plan((SELECT count(*)::integer + 3 FROM run));

SELECT is((SELECT string_agg(w, '; ') FROM pg_temp.wrong(r) w), NULL,
        format('all holds of run %s: %s, %s, %s', r.n, r.landing, r.consent, CASE WHEN r.full_refresh THEN 'anew' ELSE 'by the difference' END))
    FROM run r ORDER BY r.n;

UPDATE stedi_books_tap_zone.stedi_rule SET landing = NULL;
-- under 'granted' before_consent counts what is kept
SELECT is((SELECT before_consent FROM stedi.materialize('tap_zone', 'tap_day', consent => 'granted', dry_run => true) WHERE table_name = 'accelerometer_trusted'),
    (SELECT before_consent FROM stedi.materialize('tap_zone', 'tap_day', consent => 'since_consent', dry_run => true) WHERE table_name = 'accelerometer_trusted'),
    'both rules count the same readings as older than their consent');
-- by the difference or anew, the result is one
SELECT is((SELECT consent FROM stedi_books_tap_zone.stedi_rule), 'since_consent', 'dry runs changed no rule');
CREATE SCHEMA tap_fresh;
SELECT count(*) AS tables FROM stedi.materialize('tap_fresh', 'tap_later', consent => 'since_consent') \gset
SELECT bag_eq('TABLE tap_zone.machine_learning_curated', 'TABLE tap_fresh.machine_learning_curated', 'many runs come to the same as one');

SELECT * FROM finish();
ROLLBACK;
