-- Proves what stedi.consent_set and stedi.consents answer, in the scan and outside of it.
-- Guards src/consent/consent.c, src/consent/text.c, and the consent test in src/fdw/plan.c and src/scan/filter.c.

\getenv abs_srcdir PG_ABS_SRCDIR
\set data file:// :abs_srcdir /data
\set VERBOSITY terse
CREATE SCHEMA regress_consent;
SET search_path = regress_consent;

-- a set says how many it has, and names nobody
SELECT split_part(stedi.consent_set(who, since)::text, ' ', 1) FROM (VALUES ('ann@x', 100::bigint), ('bob@x', 200), ('cat@x', NULL), (NULL, 1)) v (who, since);
SELECT stedi.consent_set(who, since) FROM (VALUES ('ann@x', 100::bigint)) v (who, since) WHERE false;
SELECT split_part(stedi.consent_set(NULL, NULL)::text, ' ', 1);

-- who, when: since is the first moment that is covered; NULL is no consent
CREATE TABLE person (who text, since bigint);
INSERT INTO person VALUES ('ann@x', 100), ('bob@x', 0), ('cat@x', NULL), (NULL, 1), ('', 5), ('dora@x', -9223372036854775808), ('eve@x', 9223372036854775807);
SELECT who, reading_time, stedi.consents((SELECT stedi.consent_set(p.who, since) FROM person p), who, reading_time)
    FROM (VALUES ('ann@x', 99), ('ann@x', 100), ('ann@x', 101), ('bob@x', -1), ('bob@x', 0), ('cat@x', 100), ('nobody@x', 100), (NULL, 100),
        ('ann@x', NULL), ('', 5), ('dora@x', -9223372036854775808), ('eve@x', 9223372036854775806), ('eve@x', 9223372036854775807)) v (who, reading_time);
SELECT stedi.consents(NULL, 'ann@x', 100), stedi.consents(stedi.consent_set('ann@x', 1) FILTER (WHERE false), 'ann@x', 100);

-- e-mails have their normal form on both sides
SELECT right(translate(who, E'\r\n', '..'), 9) AS who, stedi.consents((SELECT stedi.consent_set(w, 1) FROM unnest(ARRAY[' Ann@X', E'BOB@x\t', 'ÄNNE@X', 'a b']) w), who, 1)
    FROM unnest(ARRAY['ann@x', 'ANN@X  ', E'\r\nbob@x', 'Änne@x', 'ÄNNE@x', 'änne@x', 'ab', 'a b', E'ann@x\u00a0', repeat(' ', 300) || 'Bob@x']) who;
SELECT stedi.consents(stedi.consent_set(repeat('ÄX', 1000), 1), repeat('Äx', 1000), 1);

-- of two rows for one e-mail the stricter holds, in either order
SELECT t, stedi.consents(a, 'ann@x', t) AS later, stedi.consents(b, 'ann@x', t) AS later_again, stedi.consents(c, 'ann@x', t) AS none, stedi.consents(d, 'ann@x', t) AS none_again
    FROM (VALUES (100), (200)) v (t),
    (SELECT stedi.consent_set(w, s) a FROM (VALUES ('ann@x', 100), ('Ann@x', 200)) v (w, s)) a,
    (SELECT stedi.consent_set(w, s) b FROM (VALUES ('ann@x ', 200), ('ANN@x', 100)) v (w, s)) b,
    (SELECT stedi.consent_set(w, s) c FROM (VALUES ('ann@x', 100), ('ann@x', NULL)) v (w, s)) c,
    (SELECT stedi.consent_set(w, s) d FROM (VALUES ('ann@x', NULL), ('ann@x', 100)) v (w, s)) d;

-- the full form: standing, readings of before one had the device, the rule, keys byte by byte
CREATE TABLE device (who text, since bigint, owned_since bigint, standing text);
INSERT INTO device VALUES ('granted', 100, NULL, 'granted'), ('none', 100, NULL, 'none'), ('ambiguous', 100, NULL, 'ambiguous'),
    ('forgotten', 100, NULL, 'forgotten'), ('unknown', 100, NULL, 'unknown'), ('null', 100, NULL, NULL), ('undated', NULL, NULL, 'granted'),
    ('owned late', 100, 300, 'granted'), ('owned early', 100, 50, 'granted'),
    ('twice', 100, NULL, 'granted'), ('twice', 200, 50, 'granted'), ('twice no', 100, NULL, 'granted'), ('twice no', 0, NULL, 'unknown');
SELECT w AS who, string_agg(CASE WHEN stedi.consents(since_consent, w, t) THEN t::text END, ' ') AS since_consent,
        string_agg(CASE WHEN stedi.consents(granted, w, t) THEN t::text END, ' ') AS granted
    FROM (SELECT DISTINCT who AS w FROM device) w, (VALUES (1), (99), (100), (299), (300)) v (t),
    (SELECT stedi.consent_set(who, since, owned_since, standing, true, false) AS since_consent,
        stedi.consent_set(who, since, owned_since, standing, false, false) AS granted FROM device) s
    GROUP BY w ORDER BY w COLLATE "C";
SELECT w, stedi.consents(bytes, w, 1) AS bytes, stedi.consents(folds, w, 1) AS folds
    FROM unnest(ARRAY['Dev 1', 'dev 1', ' Dev 1', '']) w,
    (SELECT stedi.consent_set(d, 0, NULL, 'granted', true, false) AS bytes, stedi.consent_set(d, 0, NULL, 'granted', NULL, NULL) AS folds FROM unnest(ARRAY['Dev 1', '']) d) s;
SELECT stedi.consent_set('d', 0, NULL, 'maybe', true, true); -- ERROR

-- a set can be stored, copied and sent
CREATE TABLE stored AS SELECT stedi.consent_set('p' || i || '@x', i) AS people FROM generate_series(1, 100000) i;
SELECT split_part(people::text, ' ', 1) AS text, people::text ~ '[@pP]' AS tells FROM stored;
SELECT stedi.consents(people, 'P77777@X', 77777) AS inside, stedi.consents(people, 'p77777@x', 77776) AS before, stedi.consents(people, 'p0@x', 77777) AS others
    FROM stored;
SELECT count(*) FILTER (WHERE stedi.consents(people, 'P' || i || '@X', i)) AS inside,
        count(*) FILTER (WHERE stedi.consents(people, 'p' || i || '@x', i - 1)) AS before,
        count(*) FILTER (WHERE stedi.consents(people, 'q' || i || '@x', i)) AS others
    FROM (SELECT stedi.consent_set('p' || i || '@x', i) AS people FROM generate_series(1, 100000) i OFFSET 0) s, generate_series(1, 100000, 7) i;
SELECT count(*) FROM (SELECT stedi.consent_set(w::text, 1) FROM generate_series(1, 10) w GROUP BY w % 3) s;
SELECT stedi.consent_set(w, 1) OVER (ORDER BY w) FROM unnest(ARRAY['a', 'b', 'b']) w; -- ERROR: it is finished in place

-- a plan that is run again asks for a group's set once more
BEGIN;
SET LOCAL enable_material = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_sort = off;
SELECT v.n, split_part(s.people::text, ' ', 1) AS people FROM generate_series(1, 3) v (n)
    LEFT JOIN (SELECT g, stedi.consent_set('p' || g || '@x', 1) AS people FROM generate_series(1, 5) g GROUP BY g) s ON s.g = v.n ORDER BY v.n;
COMMIT;

CREATE FUNCTION pg_temp.attempt(given text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM given::stedi.consent_set;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate;
END $$;
-- its text is read back as a set that answers alike: of any kind of member, of both rules, folded or not, alone, in arrays and in rows
CREATE TYPE several AS (n integer, sets stedi.consent_set[]);
CREATE TABLE kept (of_rule boolean, folded boolean, people stedi.consent_set);
INSERT INTO kept SELECT of_rule, folded, stedi.consent_set(who, since, owned_since, standing, of_rule, folded)
    FROM (VALUES ('Ann@x', 100::bigint, NULL::bigint, 'granted'), ('ann@x', 150, -5, 'granted'), ('bob@x', 100, 200, 'granted'), ('cat@x', 100, NULL, 'none'),
        ('dan@x', 100, NULL, 'ambiguous'), ('eve@x', 100, NULL, 'forgotten'), ('fay@x', 100, NULL, 'unknown'), ('gus@x', NULL, NULL, NULL),
        ('', 9223372036854775807, NULL, 'granted'), ('ÄNNE ; @x', -9223372036854775808, 9223372036854775807, 'granted'), (repeat('long', 100), 1, NULL, 'granted')) v (who, since, owned_since, standing),
        unnest('{t,f}'::boolean[]) of_rule, unnest('{t,f}'::boolean[]) folded GROUP BY of_rule, folded;
INSERT INTO kept SELECT true, true, stedi.consent_set('nobody', 1) FILTER (WHERE false);
CREATE VIEW probe AS SELECT who, t FROM unnest(ARRAY['Ann@x', 'ann@x ', 'bob@x', 'cat@x', 'dan@x', 'eve@x', 'fay@x', 'gus@x', '', 'änne ; @x', 'ÄNNE ; @x', repeat('long', 100), 'zoe@x']) who,
    unnest(ARRAY[-9223372036854775808, -6, 0, 99, 100, 150, 199, 200, 9223372036854775807]) t;
CREATE FUNCTION differ(one stedi.consent_set, other stedi.consent_set) RETURNS bigint LANGUAGE sql AS
    'SELECT count(*) FROM probe WHERE stedi.consents(one, who, t) IS DISTINCT FROM stedi.consents(other, who, t)';
SELECT of_rule, folded, (SELECT count(*) FROM probe WHERE stedi.consents(people, who, t)) AS inside,
        differ(people, people::text::stedi.consent_set) AS once, differ(people, people::text::stedi.consent_set::text::stedi.consent_set) AS twice,
        people::text = people::text::stedi.consent_set::text AS same_text,
        differ(people, (ARRAY[NULL, people]::text::stedi.consent_set[])[2]) AS in_array,
        differ(people, (((1, ARRAY[people])::several)::text::several).sets[1]) AS in_row,
        people::text ~* 'ann|@|long' AS tells
    FROM kept ORDER BY of_rule, folded, people::text LIKE '%(0)%';
-- each word of a standing
SELECT word, people::text ~ (' ' || word || ' 100$') AS has_word, people::text::stedi.consent_set::text = people::text AS same_text, differ(people, people::text::stedi.consent_set) AS differ
    FROM (SELECT word, n, stedi.consent_set('ann@x', 100, NULL, word, true, true) AS people
        FROM unnest('{granted,none,ambiguous,forgotten,unknown,without_readings}'::text[]) WITH ORDINALITY w (word, n) GROUP BY word, n) s ORDER BY n;
-- nothing else is: every text that is cut off, has one character more or another one, is refused or is that of a set
SELECT 'consent_set(1)'::stedi.consent_set; -- ERROR: as 1.0 had it
SELECT count(*) FILTER (WHERE answer = '22P02') > 300 AS refused, count(*) FILTER (WHERE answer NOT IN ('22P02', 'ok')) AS others
    FROM (SELECT people::text AS whole FROM kept WHERE of_rule AND NOT folded) k, generate_series(1, 250) i,
        LATERAL (VALUES (left(whole, i)), (overlay(whole PLACING ' ' FROM i FOR 1)), (overlay(whole PLACING ';' FROM i FOR 0)), (overlay(whole PLACING 'g' FROM i FOR 1)),
            (overlay(whole PLACING '' FROM i FOR 1)), (whole || chr(i)), (overlay(whole PLACING '-' FROM i FOR 1)), (overlay(whole PLACING '99999999999999999999' FROM i FOR 0))) v (text),
        LATERAL (SELECT pg_temp.attempt(text) AS answer) a;

-- in a scan: the same answers in the scan and above it
SET client_min_messages = error;
CREATE SERVER regress_consent FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url :'data');
CREATE FOREIGN TABLE readings (id integer, owner text, taken bigint, x double precision)
    SERVER regress_consent OPTIONS (prefix 'readings');
CREATE TABLE consent (who text, since bigint);
INSERT INTO consent VALUES ('ANN', 200), ('cat', 1), ('bob', 200);
SELECT id, owner, taken, x FROM readings WHERE stedi.consents((SELECT stedi.consent_set(who, since) FROM consent), owner, taken) ORDER BY id;
SELECT id FROM (SELECT * FROM readings OFFSET 0) r WHERE stedi.consents((SELECT stedi.consent_set(who, since) FROM consent), owner, taken) ORDER BY id;
SELECT id FROM readings WHERE NOT stedi.consents((SELECT stedi.consent_set(who, since) FROM consent), owner, taken) ORDER BY id;
SELECT id FROM readings, stored WHERE stedi.consents(people, owner, taken);
SELECT id FROM readings WHERE stedi.consents((SELECT people FROM stored WHERE false), owner, taken);
-- decided in the scan only where it has the plain columns
CREATE FUNCTION inside(condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) SELECT id FROM readings WHERE ' || condition LOOP
        IF line ~ 'Consent Test|Filter:' THEN
            RETURN substring(line FROM 'Consent Test|Filter');
        END IF;
    END LOOP;
END $$;
SELECT c, inside('stedi.consents((SELECT stedi.consent_set(who, since) FROM consent), ' || c || ')')
    FROM unnest(ARRAY['owner, taken', 'lower(owner), taken', 'owner, taken + 1', 'owner, id', '''ann'', taken', 'owner, 300']) c;
SELECT inside('NOT stedi.consents((SELECT stedi.consent_set(who, since) FROM consent), owner, taken)');
ALTER FOREIGN TABLE readings ALTER owner TYPE varchar(3);
SELECT inside('stedi.consents((SELECT stedi.consent_set(who, since) FROM consent), owner, taken)');
SELECT id, owner FROM readings WHERE stedi.consents((SELECT stedi.consent_set(who, since) FROM consent), owner, taken) ORDER BY id;
ALTER FOREIGN TABLE readings ALTER owner TYPE text;
CREATE FOREIGN TABLE places (n bigint, object text OPTIONS (source 'object'), line bigint OPTIONS (source 'line')) SERVER regress_consent OPTIONS (prefix 'framing');
SELECT n, line FROM places WHERE stedi.consents((SELECT stedi.consent_set('framing/crlf.json', 2)), object, line);
-- a record without consent is not looked at any further: it is no reject, and in no message
SET client_min_messages = warning;
SELECT id, x FROM readings WHERE stedi.consents((SELECT stedi.consent_set('ann', 1)), owner, taken) ORDER BY id;
SELECT id, x FROM readings WHERE stedi.consents((SELECT stedi.consent_set('cat', 1)), owner, taken) ORDER BY id;
-- prepared, with the set as a parameter
PREPARE of_set (stedi.consent_set) AS SELECT id FROM readings WHERE stedi.consents($1, owner, taken) ORDER BY id;
SET plan_cache_mode = force_generic_plan;
EXECUTE of_set (NULL);
RESET plan_cache_mode;
DO $$
DECLARE
    people stedi.consent_set := (SELECT stedi.consent_set(who, since) FROM consent);
    ids text;
BEGIN
    FOR i IN 1 .. 7 LOOP    -- the sixth time with a generic plan
        SELECT string_agg(id::text, ' ' ORDER BY id) INTO ids FROM readings WHERE stedi.consents(people, owner, taken);
    END LOOP;
    RAISE WARNING 'ids %', ids;
END $$;

DROP SERVER regress_consent CASCADE;
SET client_min_messages = error;
DROP SCHEMA regress_consent CASCADE;
