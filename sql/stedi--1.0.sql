/* sql/stedi--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION stedi" to load this file. \quit

CREATE SCHEMA stedi;
COMMENT ON SCHEMA stedi IS
    'landing JSON as consent-filtered tables: start with stedi.materialize, see \df+ stedi.*';
GRANT USAGE ON SCHEMA stedi TO PUBLIC;

/* ---- the foreign data wrapper ---- */

CREATE FUNCTION stedi.stedi_fdw_handler() RETURNS fdw_handler
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.stedi_fdw_handler() IS
    'handler of foreign-data wrapper stedi_fdw; not to be called';

CREATE FUNCTION stedi.stedi_fdw_validator(options text[], catalog oid) RETURNS void
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.stedi_fdw_validator(text[], oid) IS
    'checks the options of stedi_fdw, offline; not to be called';

CREATE FOREIGN DATA WRAPPER stedi_fdw
    HANDLER stedi.stedi_fdw_handler
    VALIDATOR stedi.stedi_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER stedi_fdw IS
    'landing JSON in an S3 bucket or a local folder as foreign tables; SELECT * FROM stedi.options() lists the options';

CREATE FUNCTION stedi.options(OUT option text, OUT belongs_to text, OUT initial text, OUT description text)
    RETURNS SETOF record
    LANGUAGE C STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'options_list';
COMMENT ON FUNCTION stedi.options() IS
    'the options of servers, user mappings, foreign tables and columns of stedi_fdw, with their defaults';

CREATE FUNCTION stedi.credential(server name,
        OUT source text, OUT access_key_id text, OUT temporary boolean, OUT expires timestamptz, OUT detail text)
    RETURNS record
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.credential(name) IS
    'who the caller is to the S3 server of a foreign server, and until when: where the keys come from, the end of the access key, never a secret; gets them, and says why if it cannot; needs USAGE on the server';

CREATE FUNCTION stedi.rejects(landing_table regclass,
        OUT object text, OUT line bigint, OUT byte_offset bigint, OUT reason text, OUT record bytea)
    RETURNS SETOF record
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.rejects(regclass) IS
    'the records of a landing table that cannot be read, with place and reason; reads the objects again, needs SELECT on the table; line from 1, byte_offset from 0, in decompressed bytes';

CREATE FUNCTION stedi.customer_records(landing_table regclass,
        OUT email text, OUT customername text, OUT phone text, OUT birthday text, OUT serialnumber text,
        OUT registrationdate bigint, OUT lastupdatedate bigint, OUT sharewithresearchasofdate bigint,
        OUT sharewithpublicasofdate bigint, OUT sharewithfriendsasofdate bigint,
        OUT rejected boolean, OUT may_hide_others boolean)
    RETURNS SETOF record
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.customer_records(regclass) IS
    'every record of a customer landing table, rejected ones with what can be read of them, and whether their bytes may hold other records: what materialize decides by; needs SELECT on the table';

/* ---- times and e-mails ---- */

CREATE FUNCTION stedi.epoch_ms(bigint) RETURNS timestamptz
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'epoch_ms_to_timestamptz';
COMMENT ON FUNCTION stedi.epoch_ms(bigint) IS
    'the time of epoch milliseconds, as landing records have them';

CREATE FUNCTION stedi.epoch_ms(timestamptz) RETURNS bigint
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'epoch_ms_from_timestamptz';
COMMENT ON FUNCTION stedi.epoch_ms(timestamptz) IS
    'the epoch milliseconds of a time, rounded down';

CREATE FUNCTION stedi.normalize_email(text) RETURNS text
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.normalize_email(text) IS
    'an e-mail as it names a customer: ASCII white space trimmed, ASCII letters in lower case; NULL when nothing is left';

CREATE FUNCTION stedi.birthday(text) RETURNS date
    LANGUAGE C STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.birthday(text) IS
    'a landing birthday as a date; NULL where PostgreSQL''s date refuses it';

/* ---- consent ---- */

CREATE TYPE stedi.consent_set;

CREATE FUNCTION stedi.consent_set_in(cstring) RETURNS stedi.consent_set
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.consent_set_in(cstring) IS 'refuses: a consent set is made by its aggregate';

CREATE FUNCTION stedi.consent_set_out(stedi.consent_set) RETURNS cstring
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.consent_set_out(stedi.consent_set) IS 'how many a consent set has, and nobody''s name';

CREATE TYPE stedi.consent_set (
    INPUT = stedi.consent_set_in,
    OUTPUT = stedi.consent_set_out,
    INTERNALLENGTH = VARIABLE,
    ALIGNMENT = double,
    STORAGE = external
);
COMMENT ON TYPE stedi.consent_set IS
    'who consented, as of when: a hash table in one value, made by the aggregate stedi.consent_set and probed by stedi.consents';

CREATE FUNCTION stedi.consent_set_add(internal, who text, since bigint) RETURNS internal
    LANGUAGE C IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.consent_set_add(internal, text, bigint) IS 'transition of stedi.consent_set';

CREATE FUNCTION stedi.consent_set_add(internal, who text, since bigint, owned_since bigint,
        standing text, since_rule boolean, fold boolean) RETURNS internal
    LANGUAGE C IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'consent_set_add_standing';
COMMENT ON FUNCTION stedi.consent_set_add(internal, text, bigint, bigint, text, boolean, boolean) IS
    'transition of stedi.consent_set';

CREATE FUNCTION stedi.consent_set_final(internal) RETURNS stedi.consent_set
    LANGUAGE C IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.consent_set_final(internal) IS 'final function of stedi.consent_set';

CREATE AGGREGATE stedi.consent_set(who text, since bigint) (
    SFUNC = stedi.consent_set_add,
    STYPE = internal,
    FINALFUNC = stedi.consent_set_final,
    FINALFUNC_MODIFY = READ_WRITE,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE stedi.consent_set(text, bigint) IS
    'the set of those who consent, by e-mail, each since an epoch millisecond; NULL, 0 and less are no consent, and of two rows for one e-mail the stricter holds';

CREATE AGGREGATE stedi.consent_set(who text, since bigint, owned_since bigint,
        standing text, since_rule boolean, fold boolean) (
    SFUNC = stedi.consent_set_add,
    STYPE = internal,
    FINALFUNC = stedi.consent_set_final,
    FINALFUNC_MODIFY = READ_WRITE,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE stedi.consent_set(text, bigint, bigint, text, boolean, boolean) IS
    'the full form: owned_since, before which it is not known whose readings are; standing granted, none, ambiguous, forgotten or unknown; since_rule false keeps readings older than the consent; fold false compares keys byte by byte';

CREATE FUNCTION stedi.consents(set stedi.consent_set, who text, reading_time bigint) RETURNS boolean
    LANGUAGE C IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.consents(stedi.consent_set, text, bigint) IS
    'does the set''s consent cover a reading of who, taken at that epoch millisecond? NULL is false; in a WHERE clause over a landing table the scan decides it before a row is made';

/* ---- the zone tables ---- */

CREATE TYPE stedi.report AS (
    table_name text,
    mode text,
    consent text,
    objects_listed bigint,
    objects_read bigint,
    bytes_read bigint,
    records_read bigint,
    superseded bigint,
    no_consent bigint,
    before_consent bigint,
    unknown_owner bigint,
    ambiguous bigint,
    forgotten bigint,
    duplicates bigint,
    unchanged bigint,
    kept bigint,
    rejected bigint,
    rows_in bigint,
    rows_out bigint,
    rows bigint,
    head text,
    elapsed interval
);
COMMENT ON TYPE stedi.report IS
    'what a run of stedi.materialize did to one table; the counts of doc/rules.md, NULL where they do not apply';

CREATE FUNCTION stedi.materialize(target regnamespace, landing regnamespace DEFAULT NULL,
        consent text DEFAULT NULL, full_refresh boolean DEFAULT false, dry_run boolean DEFAULT false,
        match text DEFAULT NULL, vanished text DEFAULT NULL)
    RETURNS SETOF stedi.report
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.materialize(regnamespace, regnamespace, text, boolean, boolean, text, text) IS
    'makes the five zone tables in schema target from the landing tables in schema landing (default target), or brings them up to date, in one transaction; consent ''granted'' or ''since_consent'' (default: as before), match ''customer'' or ''time'', vanished ''remove'' or ''keep'': what becomes of readings whose objects are gone';

CREATE FUNCTION stedi.materialize_customer_trusted(target regnamespace, landing regnamespace DEFAULT NULL,
        consent text DEFAULT NULL, full_refresh boolean DEFAULT false, dry_run boolean DEFAULT false)
    RETURNS SETOF stedi.report
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.materialize_customer_trusted(regnamespace, regnamespace, text, boolean, boolean) IS
    'makes or updates customer_trusted alone: customers whose newest record consents to research';

CREATE FUNCTION stedi.materialize_accelerometer_trusted(target regnamespace, landing regnamespace DEFAULT NULL,
        consent text DEFAULT NULL, full_refresh boolean DEFAULT false, dry_run boolean DEFAULT false)
    RETURNS SETOF stedi.report
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.materialize_accelerometer_trusted(regnamespace, regnamespace, text, boolean, boolean) IS
    'makes or updates accelerometer_trusted alone: readings of the customers in customer_trusted';

CREATE FUNCTION stedi.materialize_customer_curated(target regnamespace, landing regnamespace DEFAULT NULL,
        consent text DEFAULT NULL, full_refresh boolean DEFAULT false, dry_run boolean DEFAULT false)
    RETURNS SETOF stedi.report
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.materialize_customer_curated(regnamespace, regnamespace, text, boolean, boolean) IS
    'makes or updates customer_curated alone: customers of customer_trusted who have accelerometer readings';

CREATE FUNCTION stedi.materialize_step_trainer_curated(target regnamespace, landing regnamespace DEFAULT NULL,
        consent text DEFAULT NULL, full_refresh boolean DEFAULT false, dry_run boolean DEFAULT false)
    RETURNS SETOF stedi.report
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.materialize_step_trainer_curated(regnamespace, regnamespace, text, boolean, boolean) IS
    'makes or updates step_trainer_curated alone: step readings of the devices of customer_curated';

CREATE FUNCTION stedi.materialize_machine_learning_curated(target regnamespace, landing regnamespace DEFAULT NULL,
        consent text DEFAULT NULL, full_refresh boolean DEFAULT false, dry_run boolean DEFAULT false,
        match text DEFAULT NULL)
    RETURNS SETOF stedi.report
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.materialize_machine_learning_curated(regnamespace, regnamespace, text, boolean, boolean, text) IS
    'makes or updates machine_learning_curated alone: step readings with accelerometer readings of the same customer at the same time';

/* ---- evidence: what the zone tables hold, and why ---- */

CREATE FUNCTION stedi.audit(target regnamespace, landing regnamespace DEFAULT NULL)
    RETURNS TABLE(table_name text, problem text, contents jsonb)
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.audit(regnamespace, regnamespace) IS
    'holds the five zone tables against the rules, worked out anew from the landing zone: rows that consent does not cover or that are there too often (''not covered''), and those that are ''missing''; no rows when all is well';

CREATE FUNCTION stedi.lineage(zone_table regclass, landing regnamespace DEFAULT NULL)
    RETURNS TABLE(object text, etag text, rows bigint)
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.lineage(regclass, regnamespace) IS
    'the landing objects that the contents of a zone table came from, with how many of its rows each has a record of; a row with several sources counts for each';

CREATE FUNCTION stedi.lineage(zone_table regclass, place tid, landing regnamespace DEFAULT NULL)
    RETURNS TABLE(object text, etag text, line bigint, byte_offset bigint, length bigint)
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'lineage_of_row';
COMMENT ON FUNCTION stedi.lineage(regclass, tid, regnamespace) IS
    'the landing records that the row of a zone table with that ctid came from; line from 1, byte_offset from 0, in decompressed bytes';

CREATE FUNCTION stedi.subject(target regnamespace, email text, landing regnamespace DEFAULT NULL)
    RETURNS TABLE(source text, object text, byte_offset bigint, record jsonb)
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.subject(regnamespace, text, regnamespace) IS
    'everything that the zone tables, the landing objects and the bookkeeping hold on the person of an e-mail and on their devices: what a request for access asks for';

/* ---- consent: who gave it and took it back ---- */

CREATE FUNCTION stedi.keyed_hash(key bytea, email text) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.keyed_hash(bytea, text) IS
    'HMAC-SHA256 of an e-mail in its normal form: who is meant in the bookkeeping of a target with that stedi_key; NULL when the e-mail names nobody';

CREATE FUNCTION stedi.consent_history(target regnamespace,
        OUT entry bigint, OUT run bigint, OUT at timestamptz, OUT who bytea, OUT what text,
        OUT object text, OUT byte_offset bigint, OUT rows_removed bigint, OUT rows_added bigint, OUT hash bytea)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.consent_history(regnamespace) IS
    'whose consent came and went, in order: who is a keyed hash; what is given, withdrawn, date_changed, forgotten, unforgotten or rule_changed; object and byte_offset are the record that decided; each hash covers the entry and the hash before it';

CREATE FUNCTION stedi.verify_history(target regnamespace, expected_head text DEFAULT NULL,
        OUT entry bigint, OUT problem text)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.verify_history(regnamespace, text) IS
    'entries of the consent history that were changed, are missing or were cut off; no rows: it is whole; expected_head is a head that an earlier run returned and that was kept elsewhere';

CREATE FUNCTION stedi.forget(target regnamespace, email text, reason text, landing regnamespace DEFAULT NULL,
        OUT source text, OUT name text, OUT rows bigint)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.forget(regnamespace, text, text, regnamespace) IS
    'removes a person''s rows from all five tables, and keeps them out until stedi.unforget; reason: not_needed, consent_withdrawn, objection, unlawful, legal_obligation or child; returns rows removed by table, and the landing objects that still hold records of theirs; call it with bound parameters';

CREATE FUNCTION stedi.unforget(target regnamespace, email text) RETURNS boolean
    LANGUAGE C VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stedi.unforget(regnamespace, text) IS
    'undoes stedi.forget: the next stedi.materialize brings back what consent covers; false when the person was not forgotten';
