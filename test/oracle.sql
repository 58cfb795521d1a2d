-- What the five tables must hold: doc/rules.md once more, in SQL over jsonb.
--
-- Proves nothing by itself; test/client/test_incremental.py compares the
-- database with it.  It is written to use nothing of the extension, neither its
-- scan nor a function of it: whoever asks fills oracle.landing, one row a record
-- or reject, and tells who is forgotten, the rule, the time of the run, and which
-- of the tables drop rows: a condition of its own is written here for each of three.
--
--     SELECT * FROM oracle.zone('{a@b.c}', 'granted', 1700000000000,
--                               '{accelerometer_trusted}');
--
-- It covers match => 'customer'.  Records are taken to have no key twice, and to
-- be written as Python's json does; times are epoch milliseconds throughout.

CREATE SCHEMA oracle;

CREATE TABLE oracle.landing (
    object text,
    place bigint,
    kind text CHECK (kind IN ('customer', 'accelerometer', 'step_trainer')),
    record jsonb,       -- NULL: a reject of framing; the object ends inside it
    raw text
);

-- ASCII letters in lower case, whatever the locale.
CREATE FUNCTION oracle.lower(words text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN translate(words, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz');

-- A text without what nobody sees, white space of any kind as a space, and its
-- letters compatible ones without case: what lower makes of upper; the capital
-- of a dotless i would be another one's.
CREATE FUNCTION oracle.fold(words text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN replace(translate(
        lower(upper(translate(
            normalize(
                regexp_replace(
                    regexp_replace(
                        words,
                        '[\u0001-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f\u00ad\u034f\u061c\u115f\u1160'
                        '\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f'
                        '\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]',
                        '', 'g'),
                    '[\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u2800\u3000]',
                    ' ', 'g'),
                NFKC),
            U&'\0131', U&'\E000') COLLATE "und-x-icu") COLLATE "und-x-icu"),
        U&'\03C2\E000', U&'\03C3\0131'), U&'i\0307', 'i');

-- A customer's e-mail in its one form; NULL when nothing is left.  ASCII's alone
-- is a matter of its own, for speed.
CREATE FUNCTION oracle.email(words text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN NULLIF(
        CASE
            WHEN words ~ '^[\u0009-\u000d -~]*$' THEN oracle.lower(btrim(words, E' \t\n\x0b\f\r'))
            ELSE btrim(normalize(oracle.fold(oracle.fold(words)), NFKC), ' ')
        END,
        '');

-- The values of a record by key, in lower case; of one that is cut off, those
-- that were whole before.  A number or null that touches the cut is not.
CREATE FUNCTION oracle.fields(record jsonb, raw text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN COALESCE(
        CASE
            WHEN record IS NOT NULL THEN
                (SELECT jsonb_object_agg(oracle.lower(key), value) FROM jsonb_each(record))
            ELSE
                (SELECT jsonb_object_agg(oracle.lower(member[1]), member[2]::jsonb)
                 FROM regexp_matches(
                     raw,
                     '"(\w+)": ?("(?:[^"\\]|\\.)*"|[-+.e0-9]+(?=[,}])|null(?=[,}]))',
                     'g') AS member)
        END,
        '{}');

-- Fields to values: NULL where the value is missing or null, or does not fit.
CREATE FUNCTION oracle.to_text(value jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN jsonb_typeof(value) IN ('string', 'number') THEN value #>> '{}' END;

CREATE FUNCTION oracle.to_number(value jsonb) RETURNS numeric
    LANGUAGE sql IMMUTABLE
    RETURN CASE
        WHEN oracle.to_text(value) ~ '^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$'
        THEN oracle.to_text(value)::numeric
    END;

CREATE FUNCTION oracle.to_integer(value jsonb, lowest numeric, highest numeric) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    RETURN CASE
        WHEN oracle.to_number(value) = trunc(oracle.to_number(value))
            AND oracle.to_number(value) BETWEEN lowest AND highest
        THEN oracle.to_number(value)::bigint
    END;

-- What PostgreSQL's timestamptz can hold, in milliseconds.
CREATE FUNCTION oracle.to_time(value jsonb) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    RETURN oracle.to_integer(value, -210866803200000, 9224318015999999);

-- A time that can only be of seconds, micro- or nanoseconds: the latest that it
-- means in milliseconds, from 2000 up to 2100; else NULL.
CREATE FUNCTION oracle.other_unit(value jsonb) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    RETURN (
        SELECT CASE
            WHEN given BETWEEN 946684800 AND 4102444799 THEN given * 1000 + 999
            WHEN given BETWEEN 946684800000000 AND 4102444799999999 THEN given / 1000
            WHEN given BETWEEN 946684800000000000 AND 4102444799999999999 THEN given / 1000000
        END
        FROM oracle.to_integer(value, -9223372036854775808, 9223372036854775807) AS given);

-- A landing birthday as a date; NULL where there is no such day.
CREATE FUNCTION oracle.birthday(words text) RETURNS date
    LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF words !~ '^\d{4}-\d\d-\d\d$' THEN
        RETURN NULL;
    END IF;
    RETURN words::date;
EXCEPTION
    WHEN data_exception THEN
        RETURN NULL;
END
$$;

-- How many of the wanted fields have a value, fitting or not.
CREATE FUNCTION oracle.given(field jsonb, VARIADIC wanted text[]) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    RETURN (SELECT count(*) FROM jsonb_each(field) WHERE key = ANY (wanted) AND value <> 'null');

-- Each row of the five tables (what is 'row', contents an array), and for the
-- three that are made from landing tables the counts of a full run (what is
-- 'counts', contents an object).
CREATE FUNCTION oracle.zone(forgotten text[], rule text, now bigint, dropping text[])
    RETURNS TABLE (table_name text, what text, contents jsonb)
    LANGUAGE sql STABLE
    SET enable_nestloop = off
    SET jit = off
AS $$
WITH
landed AS (
    SELECT kind, record IS NULL AS cut, oracle.fields(record, raw) AS field FROM oracle.landing
),

-- "Customers"

-- A record's fields; those that could be read of a rejected one.
customer_value AS MATERIALIZED (
    SELECT
        row_number() OVER () AS id,
        cut,
        field,
        oracle.to_text(field -> 'customername') AS customername,
        oracle.to_text(field -> 'email') AS landed_email,
        oracle.email(oracle.to_text(field -> 'email')) AS email,
        oracle.to_text(field -> 'phone') AS phone,
        oracle.to_text(field -> 'birthday') AS birthday,
        oracle.to_text(field -> 'serialnumber') AS serialnumber,
        oracle.to_time(field -> 'registrationdate') AS registered,
        oracle.to_time(field -> 'lastupdatedate') AS updated,
        oracle.other_unit(field -> 'lastupdatedate') AS otherwise_updated,
        oracle.to_time(field -> 'sharewithresearchasofdate') AS research,
        oracle.to_time(field -> 'sharewithpublicasofdate') AS public,
        oracle.to_time(field -> 'sharewithfriendsasofdate') AS friends
    FROM landed
    WHERE kind = 'customer'
),
customer_record AS (
    SELECT
        *,
        COALESCE(research > 0 AND research <= now, false) AS in_force,
        cut OR email IS NULL
            OR oracle.other_unit(field -> 'registrationdate') IS NOT NULL
            OR otherwise_updated IS NOT NULL
            OR oracle.other_unit(field -> 'sharewithresearchasofdate') IS NOT NULL
            OR num_nonnulls(customername, landed_email, phone, birthday, serialnumber,
                            registered, updated, research, public, friends)
            <> oracle.given(field, 'customername', 'email', 'phone', 'birthday', 'serialnumber',
                            'registrationdate', 'lastupdatedate', 'sharewithresearchasofdate',
                            'sharewithpublicasofdate', 'sharewithfriendsasofdate') AS rejected
    FROM customer_value
),

-- Rules 3 and 4, each record for itself.  Where no record could be read, a
-- rejected one is not older than any.
judged AS (
    SELECT
        *,
        NOT rejected AND (updated IS NULL OR updated > now) AS out_by_rule_3,
        rejected AND (
            COALESCE(otherwise_updated, updated) IS NULL
            OR NOT EXISTS (
                SELECT FROM customer_record AS other
                WHERE other.email = one.email
                    AND NOT other.rejected
                    AND other.updated > COALESCE(one.otherwise_updated, one.updated))
        ) AS out_by_rule_4
    FROM customer_record AS one
    WHERE email IS NOT NULL
),

-- Rule 1.  A record without a date is not the newest; what sorts DESC has NULL first.
deciding AS (
    SELECT DISTINCT ON (email) *
    FROM judged
    WHERE NOT rejected
    ORDER BY
        email,
        updated DESC NULLS LAST,
        in_force,
        research DESC,
        serialnumber COLLATE "C" DESC,
        registered DESC,
        customername COLLATE "C" DESC,
        phone COLLATE "C" DESC,
        birthday COLLATE "C" DESC,
        public DESC,
        friends DESC
),
customer AS (
    SELECT
        email,
        bool_or(out_by_rule_3 OR out_by_rule_4) AS is_out,
        bool_or(out_by_rule_4) AS out_by_rule_4,
        email IN (SELECT oracle.email(who) FROM unnest(forgotten) AS who) AS forgotten
    FROM judged
    GROUP BY email
),
customer_trusted AS (
    SELECT deciding.*
    FROM deciding
    JOIN customer USING (email)
    WHERE deciding.in_force AND NOT customer.is_out AND NOT customer.forgotten
),

-- "Devices"

claim AS (
    SELECT
        email,
        serialnumber,
        bool_or(out_by_rule_3 OR out_by_rule_4 OR id IN (SELECT id FROM deciding)) AS holds
    FROM judged
    WHERE serialnumber <> ''
    GROUP BY email, serialnumber
),
device AS (
    SELECT
        serialnumber,
        count(*) FILTER (WHERE holds) AS holders,
        count(*) > 1 AS had_others,
        min(email) FILTER (WHERE holds) AS holder
    FROM claim
    GROUP BY serialnumber
),

-- "The five tables"

move_value AS MATERIALIZED (
    SELECT
        cut,
        field,
        oracle.to_text(field -> 'user') AS landed_email,
        oracle.to_time(field -> 'timestamp') AS taken,
        oracle.to_number(field -> 'x')::float8 + 0 AS x,
        oracle.to_number(field -> 'y')::float8 + 0 AS y,
        oracle.to_number(field -> 'z')::float8 + 0 AS z
    FROM landed
    WHERE kind = 'accelerometer'
),
move_record AS (
    SELECT
        oracle.email(landed_email) AS email, taken, x, y, z,
        cut OR oracle.email(landed_email) IS NULL OR taken IS NULL
            OR oracle.other_unit(field -> 'timestamp') IS NOT NULL
            OR num_nonnulls(landed_email, taken, x, y, z)
            <> oracle.given(field, 'user', 'timestamp', 'x', 'y', 'z') AS rejected
    FROM move_value
),
move AS (
    SELECT
        m.email, m.taken, m.x, m.y, m.z,
        CASE
            WHEN m.rejected THEN 'rejected'
            WHEN customer.email IS NULL THEN 'unknown_owner'
            WHEN customer.forgotten THEN 'forgotten'
            WHEN trusted.email IS NULL THEN 'no_consent'
            WHEN rule = 'since_consent' AND m.taken < trusted.research THEN 'before_consent'
            WHEN 'accelerometer_trusted' = ANY (dropping) AND (m.y = 0.25) IS NOT TRUE
            THEN 'unexpected'
            ELSE 'kept'
        END AS fate,
        m.taken < trusted.research AS early
    FROM move_record AS m
    LEFT JOIN customer ON customer.email = m.email
    LEFT JOIN customer_trusted AS trusted ON trusted.email = m.email
),
accelerometer_trusted AS (
    SELECT DISTINCT email, taken, x, y, z FROM move WHERE fate = 'kept'
),
customer_curated AS (
    SELECT * FROM customer_trusted WHERE email IN (SELECT email FROM accelerometer_trusted)
),
step_value AS MATERIALIZED (
    SELECT
        cut,
        field,
        oracle.to_time(field -> 'sensorreadingtime') AS taken,
        oracle.to_text(field -> 'serialnumber') AS serialnumber,
        oracle.to_integer(field -> 'distancefromobject', -2147483648, 2147483647) AS distance
    FROM landed
    WHERE kind = 'step_trainer'
),
step_record AS (
    SELECT
        taken, serialnumber, distance,
        cut OR taken IS NULL OR COALESCE(serialnumber, '') = ''
            OR oracle.other_unit(field -> 'sensorreadingtime') IS NOT NULL
            OR num_nonnulls(taken, serialnumber, distance)
            <> oracle.given(field, 'sensorreadingtime', 'serialnumber', 'distancefromobject')
            AS rejected
    FROM step_value
),
step AS (
    SELECT
        s.taken, s.serialnumber, s.distance,
        CASE
            WHEN s.rejected THEN 'rejected'
            WHEN device.holder IS NULL THEN 'unknown_owner'
            WHEN device.holders > 1 THEN 'ambiguous'
            WHEN device.had_others AND COALESCE(s.taken < deciding.registered, true)
            THEN 'ambiguous'
            WHEN customer.forgotten THEN 'forgotten'
            WHEN trusted.email IS NULL THEN 'no_consent'
            WHEN curated.email IS NULL THEN 'without_readings'
            WHEN rule = 'since_consent' AND s.taken < trusted.research THEN 'before_consent'
            WHEN 'step_trainer_curated' = ANY (dropping) AND (s.distance > 1) IS NOT TRUE
            THEN 'unexpected'
            ELSE 'kept'
        END AS fate,
        s.taken < curated.research AS early
    FROM step_record AS s
    LEFT JOIN device ON device.serialnumber = s.serialnumber
    LEFT JOIN customer ON customer.email = device.holder
    LEFT JOIN deciding ON deciding.email = device.holder
    LEFT JOIN customer_trusted AS trusted ON trusted.email = device.holder
    LEFT JOIN customer_curated AS curated ON curated.email = device.holder
),
step_trainer_curated AS (
    SELECT DISTINCT taken, serialnumber, distance FROM step WHERE fate = 'kept'
),
pair AS (
    SELECT
        s.serialnumber, s.taken, s.distance, a.x, a.y, a.z,
        'machine_learning_curated' = ANY (dropping) AND (a.x <= 0 AND a.z = 1) IS NOT TRUE
            AS unexpected
    FROM step_trainer_curated AS s
    JOIN device ON device.serialnumber = s.serialnumber
    JOIN accelerometer_trusted AS a ON a.email = device.holder AND a.taken = s.taken
),
machine_learning_curated AS (
    SELECT serialnumber, taken, distance, x, y, z FROM pair WHERE NOT unexpected
),

-- "What is counted"

customer_fate AS (
    SELECT
        CASE
            WHEN r.rejected THEN 'rejected'
            WHEN customer.out_by_rule_4 THEN 'superseded'
            WHEN deciding.id IS NULL THEN 'superseded'
            WHEN customer.forgotten THEN 'forgotten'
            WHEN trusted.id IS NULL THEN 'no_consent'
            ELSE 'kept'
        END AS fate
    FROM customer_record AS r
    LEFT JOIN customer ON customer.email = r.email
    LEFT JOIN deciding ON deciding.id = r.id
    LEFT JOIN customer_trusted AS trusted ON trusted.id = r.id
),
fate (table_name, fate) AS (
    SELECT 'customer_trusted', fate FROM customer_fate
    UNION ALL
    SELECT 'accelerometer_trusted', fate FROM move
    UNION ALL
    SELECT 'step_trainer_curated', fate FROM step
    UNION ALL
    SELECT 'accelerometer_trusted', 'early' FROM move WHERE fate = 'kept' AND early
    UNION ALL
    SELECT 'step_trainer_curated', 'early' FROM step WHERE fate = 'kept' AND early
    UNION ALL
    SELECT 'customer_trusted', 'row' FROM customer_trusted
    UNION ALL
    SELECT 'accelerometer_trusted', 'row' FROM accelerometer_trusted
    UNION ALL
    SELECT 'step_trainer_curated', 'row' FROM step_trainer_curated
),
counted AS (
    SELECT
        table_name,
        jsonb_build_object(
            'records_read', count(*) FILTER (WHERE fate NOT IN ('early', 'row')),
            'rejected', count(*) FILTER (WHERE fate = 'rejected'),
            'superseded', count(*) FILTER (WHERE fate = 'superseded'),
            'no_consent', count(*) FILTER (WHERE fate = 'no_consent'),
            'before_consent', count(*) FILTER (WHERE fate IN ('before_consent', 'early')),
            'unknown_owner', count(*) FILTER (WHERE fate = 'unknown_owner'),
            'without_readings', count(*) FILTER (WHERE fate = 'without_readings'),
            'ambiguous', count(*) FILTER (WHERE fate = 'ambiguous'),
            'forgotten', count(*) FILTER (WHERE fate = 'forgotten'),
            'unexpected',
            CASE
                WHEN table_name <> 'customer_trusted'
                THEN count(*) FILTER (WHERE fate = 'unexpected')
            END,
            'duplicates',
            count(*) FILTER (WHERE fate = 'kept') - count(*) FILTER (WHERE fate = 'row'),
            'rows', count(*) FILTER (WHERE fate = 'row')) AS counts
    FROM (VALUES ('customer_trusted'), ('accelerometer_trusted'), ('step_trainer_curated'))
        AS made (table_name)
    LEFT JOIN fate USING (table_name)
    GROUP BY table_name
)

SELECT 'customer_trusted', 'row', jsonb_build_array(
    customername, email, phone, to_char(oracle.birthday(birthday), 'YYYY-MM-DD'), serialnumber,
    registered, updated, research, public, friends)
FROM customer_trusted
UNION ALL
SELECT 'accelerometer_trusted', 'row', jsonb_build_array(email, taken, x, y, z)
FROM accelerometer_trusted
UNION ALL
SELECT 'customer_curated', 'row', jsonb_build_array(
    customername, email, phone, to_char(oracle.birthday(birthday), 'YYYY-MM-DD'), serialnumber,
    registered, updated, research, public, friends)
FROM customer_curated
UNION ALL
SELECT 'step_trainer_curated', 'row', jsonb_build_array(taken, serialnumber, distance)
FROM step_trainer_curated
UNION ALL
SELECT 'machine_learning_curated', 'row', jsonb_build_array(serialnumber, taken, distance, x, y, z)
FROM machine_learning_curated
UNION ALL
SELECT table_name, 'counts', counts FROM counted
UNION ALL
SELECT 'machine_learning_curated', 'counts', jsonb_build_object(
    'unexpected', count(*) FILTER (WHERE unexpected))
FROM pair
$$;
