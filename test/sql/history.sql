-- Proves that the history of consent tells who came and went, and why, without a name; and that whatever is done to it afterwards is found.
-- Guards src/run/history.c and src/run/changes.c.

\set VERBOSITY terse
SET client_min_messages = error;
-- a landing zone that changes, below the server's data directory
COPY (SELECT WHERE false) TO PROGRAM 'rm -rf stedi_history && mkdir stedi_history && cd stedi_history && mkdir customers accelerometer step_trainer';
CREATE SCHEMA regress_history;
CREATE SCHEMA regress_history_landing;
DO $$
BEGIN
    EXECUTE format('CREATE SERVER regress_history FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url %L)', 'file://' || current_setting('data_directory') || '/stedi_history');
END $$;
IMPORT FOREIGN SCHEMA landing FROM SERVER regress_history INTO regress_history_landing;
SET search_path = regress_history, stedi_books_regress_history;
CREATE FUNCTION land(key text, VARIADIC records text[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COPY (SELECT unnest(%L::text[])) TO PROGRAM %L', records, format('cd stedi_history && cat >.new && mv .new %s.json', key));
    RETURN key;
END $$;
CREATE FUNCTION remove(key text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COPY (SELECT WHERE false) TO PROGRAM %L', format('rm stedi_history/%s.json', key));
    RETURN key;
END $$;
CREATE FUNCTION customer(who text, updated int, consent int) RETURNS text LANGUAGE sql AS $$
    SELECT json_build_object('customerName', who, 'email', who || '@x', 'serialNumber', who, 'registrationDate', 1, 'lastUpdateDate', updated, 'shareWithResearchAsOfDate', consent)
$$;
CREATE FUNCTION readings(OUT moves text[], OUT steps text[]) LANGUAGE sql AS $$
    SELECT array_agg(json_build_object('user', who || '@x', 'timestamp', at, 'x', 1, 'y', 2, 'z', 3)::text ORDER BY who, at),
        array_agg(json_build_object('serialNumber', who, 'sensorReadingTime', at, 'distanceFromObject', 200)::text ORDER BY who, at)
    FROM unnest('{ada,ben,cleo,dora}'::text[]) who, unnest('{100,200}'::int[]) at
$$;
-- the heads that runs have returned, kept elsewhere
CREATE TEMP TABLE kept (n serial, head text);
CREATE FUNCTION run(full_refresh boolean = false, consent text = NULL, OUT mode text, OUT rows_removed numeric, OUT rows_added numeric, OUT heads bigint, OUT newest boolean)
        LANGUAGE plpgsql SET search_path = regress_history, stedi_books_regress_history, pg_temp AS $$
DECLARE
    head text;
BEGIN
    SELECT min(r.mode), sum(rows_out), sum(rows_in), count(DISTINCT r.head), min(r.head)
        FROM stedi.materialize('regress_history', 'regress_history_landing', full_refresh => run.full_refresh, consent => run.consent) r
        INTO mode, rows_removed, rows_added, heads, head;
    INSERT INTO kept (head) VALUES (head);
    newest := head = (SELECT encode(hash, 'hex') FROM stedi.consent_history('regress_history') ORDER BY entry DESC LIMIT 1);
END $$;
SELECT land('customers/1', customer('ada', 10, 5), customer('ben', 10, 5), customer('cleo', 10, 5), customer('dora', 10, 0));
SELECT land('accelerometer/1', VARIADIC moves), land('step_trainer/1', VARIADIC steps) FROM readings();
SELECT * FROM stedi.verify_history('regress_history'); -- ERROR
SELECT * FROM run();
-- who is meant is known to whoever has the key, and the e-mail to ask about
CREATE VIEW history AS
    SELECT run, email, what, object, byte_offset, rows_removed, rows_added
    FROM stedi.consent_history('regress_history') h
        LEFT JOIN (SELECT stedi.keyed_hash(key, email) AS who, email FROM stedi_key, unnest('{ada@x,ben@x,cleo@x,dora@x}'::text[]) email) p USING (who)
    ORDER BY run, email;
SELECT * FROM history;
-- nothing new: the head stays
SELECT * FROM run();
SELECT count(DISTINCT head) FROM kept;
-- a new date, a withdrawal, a consent; in one object
SELECT land('customers/2', customer('ada', 20, 150), customer('ben', 20, 0), customer('dora', 20, 15));
SELECT count(*) FROM stedi.materialize('regress_history', 'regress_history_landing', dry_run => true);
SELECT count(*) FROM history;
SELECT * FROM run();
SELECT * FROM history WHERE run = 3;
-- another rule, under which a date decides
SELECT * FROM run(consent => 'since_consent');
SELECT land('customers/3', customer('ada', 30, 50));
SELECT * FROM run();
-- forgotten, and not forgotten any more
SELECT sum(rows) FROM stedi.forget('regress_history', 'ada@x', 'objection', 'regress_history_landing') WHERE source = 'table';
SELECT * FROM run();
SELECT stedi.unforget('regress_history', 'ada@x');
SELECT * FROM run();
-- a run that rebuilds has the same to tell
SELECT land('customers/4', customer('ada', 40, 0), customer('ben', 40, 35), customer('cleo', 40, 150));
SELECT * FROM run(full_refresh => true);
-- one table alone, too; and a customer of whom nothing is left has no record to point to
SELECT land('customers/5', customer('ben', 50, 0));
SELECT rows_out, head IS NOT NULL AS head FROM stedi.materialize_customer_trusted('regress_history', 'regress_history_landing');
SELECT remove('customers/4');
SELECT land('customers/1', customer('ada', 10, 5));
SELECT * FROM run();
SELECT * FROM history WHERE run > 3;
-- the place is that of the record
SELECT convert_from(pg_read_binary_file('stedi_history/' || h.object, h.byte_offset, 44), 'UTF8') AS record
    FROM history h WHERE object IN ('customers/2.json', 'customers/5.json') ORDER BY run, email;
-- as many rows as are there, but for three that the other rule took out
SELECT sum(rows_added) - sum(rows_removed) AS balance FROM history;
SELECT (SELECT count(*) FROM customer_trusted) + (SELECT count(*) FROM accelerometer_trusted) + (SELECT count(*) FROM customer_curated)
    + (SELECT count(*) FROM step_trainer_curated) + (SELECT count(*) FROM machine_learning_curated) AS rows;

-- it is whole, and each head that was kept is in it
SELECT * FROM stedi.verify_history('regress_history');
SELECT n, problem FROM kept, stedi.verify_history('regress_history', head);
SELECT count(*) FROM stedi.verify_history('regress_history', (SELECT upper(max(head)) FROM kept));
SELECT problem FROM stedi.verify_history('regress_history', repeat('0', 64));
SELECT problem FROM stedi.verify_history('regress_history', '');
SELECT * FROM stedi.verify_history(NULL); -- ERROR

-- what somebody does to it afterwards, and what verify_history says to that; then, too, when the newest head is known, and when a run went on from there
CREATE FUNCTION found(change text) RETURNS TABLE (asked text, problem text, entries text) LANGUAGE plpgsql SET search_path = regress_history, stedi_books_regress_history, pg_temp AS $$
DECLARE
    newest text := (SELECT head FROM kept ORDER BY n DESC LIMIT 1);
    expected text;
BEGIN
    BEGIN
        EXECUTE change;
        FOREACH asked IN ARRAY '{no head,the head,after a run}'::text[] LOOP
            IF asked = 'the head' THEN
                expected := newest;
            ELSIF asked = 'after a run' THEN
                expected := NULL;
                PERFORM land('customers/6', customer('dora', 60, 0));
                PERFORM FROM stedi.materialize('regress_history', 'regress_history_landing');
            END IF;
            FOR problem, entries IN SELECT v.problem, string_agg(v.entry::text, ' ' ORDER BY v.entry) FROM stedi.verify_history('regress_history', expected) v GROUP BY 1 ORDER BY 1 COLLATE "C" LOOP
                RETURN NEXT;
            END LOOP;
            problem := NULL;
            entries := NULL;
            IF NOT FOUND THEN
                RETURN NEXT;
            END IF;
        END LOOP;
        RAISE SQLSTATE 'YY000';
    EXCEPTION WHEN SQLSTATE 'YY000' THEN
        PERFORM remove('customers/6');
    END;
END $$;
SELECT column_name, f.problem, f.entries FROM (VALUES
        ('entry', '-entry'), ('run', 'run + 1'), ('at', 'at + ''1 microsecond'''), ('who', 'set_byte(who, 31, 255 - get_byte(who, 31))'), ('what', 'what || '' '''),
        ('object', 'NULL'), ('byte_offset', 'byte_offset - 1'), ('rows_removed', 'NULL'), ('rows_added', 'rows_added + 1'), ('hash', 'set_byte(hash, 0, 255 - get_byte(hash, 0))')) AS c (column_name, value),
    found(format('UPDATE stedi_history SET %s = %s WHERE entry = 4', column_name, value)) f WHERE asked = 'no head';
SELECT column_name, f.problem, f.entries FROM unnest('{run,at,who,what,object,byte_offset,rows_removed,rows_added,hash}'::text[]) column_name,
    found(format('UPDATE stedi_history SET %I = NULL WHERE entry = 4', column_name)) f WHERE asked = 'no head';
-- an empty text is not none, and what one column loses the next does not win
SELECT * FROM found('UPDATE stedi_history SET object = '''' WHERE object IS NULL AND what <> ''withdrawn''');
SELECT * FROM found('UPDATE stedi_history SET what = what || left(object, 1), object = substr(object, 2) WHERE entry = 4');
SELECT * FROM found('UPDATE stedi_history SET what = ''unforgotten'' WHERE what = ''forgotten''');
SELECT * FROM found('UPDATE stedi_history SET hash = substr(hash, 1, 31)');
-- entries that are gone, twice there, or in another order
SELECT * FROM found('DELETE FROM stedi_history WHERE entry = 4');
SELECT * FROM found('DELETE FROM stedi_history WHERE entry < 4');
SELECT * FROM found('INSERT INTO stedi_history SELECT * FROM stedi_history WHERE entry = 4');
SELECT * FROM found('UPDATE stedi_history SET entry = 9 - entry WHERE entry IN (4, 5)');
SELECT * FROM found('DELETE FROM stedi_history WHERE entry = 4; UPDATE stedi_history SET entry = entry - 1 WHERE entry > 4');
-- the end cut off
SELECT * FROM found('DELETE FROM stedi_history WHERE entry > 10');
SELECT * FROM found('TRUNCATE stedi_history');
SELECT * FROM found('DROP VIEW history; DROP TABLE stedi_history');
-- by somebody who knows where that is counted: then the head alone tells
SELECT * FROM found('DELETE FROM stedi_history WHERE entry > 10; UPDATE stedi_state SET entries = 10');
SELECT * FROM found('TRUNCATE stedi_history; UPDATE stedi_state SET entries = 0');
-- written anew from its beginning
SELECT * FROM found('DROP TABLE stedi_history, stedi_state, stedi_object CASCADE; DELETE FROM customer_trusted; SELECT count(*) FROM stedi.materialize(''regress_history'', ''regress_history_landing'')');
SELECT * FROM stedi.verify_history('regress_history');
-- a table of another shape is no history
ALTER TABLE stedi_history ADD COLUMN note text;
SELECT table_name FROM stedi.materialize('regress_history', 'regress_history_landing'); -- ERROR
ALTER TABLE stedi_history DROP COLUMN note;
SELECT * FROM run();

DROP SERVER regress_history CASCADE;
DROP SCHEMA regress_history, regress_history_landing CASCADE;
COPY (SELECT WHERE false) TO PROGRAM 'rm -r stedi_history';
