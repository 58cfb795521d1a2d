"""Whoever owns the tables, or a schema in the search path, gets no power of who calls.

A villain owns the target and the landing tables, and hangs on them whatever
PostgreSQL lets an owner hang there: triggers, constraints, expressions of
indexes, statistics and partitions, rules, policies.  All of it calls a spy that
tells who it runs as, and tries to become more.  Then a superuser calls each
function.  The spy must find itself the villain, shut in, or not be called at
all.  Likewise a schema with traps of the names of all the functions, operators
and types that a query may mean, which comes first in the search path.

Guards src/run/target.c, src/run/session.c, src/zone/sql.c and src/fdw/fdw.c.
STEDI_TEST_SECURITY=long hangs each thing on each table alone.
"""
import json
import os
import re
import unittest

import psycopg

from stedi_client import LANDING_TABLES, TABLES, ServerTest, file_url, make_folder

LONG = os.environ.get("STEDI_TEST_SECURITY") == "long"
SPY = re.compile(r"^SPY (.*): as (\S+), gained: (.*)$")
PEOPLE = [f"p{n}@example.com" for n in range(4)]

# What the spy tries: each would work for a superuser, or be a way to one.
SPIES = """
CREATE FUNCTION trap.gained() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    attempt text;
    gained text := '';
BEGIN
    FOREACH attempt IN ARRAY ARRAY[
        'SET ROLE regress_super',
        'SET SESSION AUTHORIZATION regress_super',
        'RESET SESSION AUTHORIZATION',
        'ALTER ROLE regress_villain SUPERUSER',
        'SELECT rolpassword FROM pg_catalog.pg_authid',
        'CREATE TEMP TABLE later (n integer)',
        'DECLARE later CURSOR WITH HOLD FOR SELECT 1',
        'PREPARE later AS SELECT 1',
        'LISTEN later'
    ] LOOP
        BEGIN
            EXECUTE attempt;
            gained := gained || attempt || '; ';
            RAISE EXCEPTION 'undo';
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END LOOP;
    RETURN gained;
END $$;
CREATE FUNCTION trap.spy(what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'SPY %: as %, gained: %', what, current_user, trap.gained();
    PERFORM pg_catalog.set_config('search_path', 'trap, pg_catalog', false), pg_catalog.set_config('stedi.swap_timeout', '77', false);
    RETURN true;
END $$;
CREATE FUNCTION trap.keeps(what text, value text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM trap.spy(what);
    RETURN value;
END $$;
CREATE FUNCTION trap.fires() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM trap.spy(tg_name);
    IF tg_level = 'STATEMENT' OR tg_when = 'AFTER' THEN
        RETURN NULL;
    END IF;
    RETURN CASE tg_op WHEN 'DELETE' THEN old ELSE new END;
END $$;
"""

# What an owner can hang on a table, of which {column} is a column.
HANGS = {
    "row trigger": """CREATE TRIGGER before_row BEFORE INSERT OR UPDATE OR DELETE ON target.{table}
        FOR EACH ROW EXECUTE FUNCTION trap.fires();
        CREATE TRIGGER after_row AFTER INSERT OR UPDATE OR DELETE ON target.{table}
        FOR EACH ROW EXECUTE FUNCTION trap.fires()""",
    "statement trigger": """CREATE TRIGGER a_statement BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON target.{table}
        EXECUTE FUNCTION trap.fires()""",
    "condition of a trigger": """CREATE TRIGGER conditional BEFORE INSERT ON target.{table} FOR EACH ROW
        WHEN (trap.spy('when')) EXECUTE FUNCTION trap.fires()""",
    "deferred trigger": """CREATE CONSTRAINT TRIGGER deferred AFTER INSERT OR UPDATE OR DELETE ON target.{table}
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trap.fires()""",
    "index": "CREATE INDEX ON target.{table} (trap.keeps('index', {column}::text))",
    "predicate of an index": "CREATE INDEX ON target.{table} ({column}) WHERE trap.keeps('predicate', 'x') = {column}::text",
    # no two values are alike until the constraint is there; to be looked at again at the commit
    "deferred exclusion": """CREATE OR REPLACE FUNCTION trap.alike(value text) RETURNS text LANGUAGE plpgsql IMMUTABLE
            AS 'BEGIN RETURN pg_catalog.random(); END';
        ALTER TABLE target.{table} ADD EXCLUDE USING btree (trap.alike({column}::text) WITH =) DEFERRABLE INITIALLY DEFERRED;
        CREATE OR REPLACE FUNCTION trap.alike(value text) RETURNS text LANGUAGE plpgsql IMMUTABLE
            AS $$ BEGIN PERFORM trap.spy('exclusion'); RETURN 'x'; END $$""",
    "check constraint": "ALTER TABLE target.{table} ADD CHECK (trap.keeps('check', 'x') IS NOT NULL)",
    "default": "ALTER TABLE target.{table} ALTER {column} SET DEFAULT nullif(trap.spy('default')::text, 'true')::{type}",
    "rule": "CREATE RULE also_{event} AS ON {event} TO target.{table} DO ALSO SELECT trap.spy('rule')",
    "policy": """ALTER TABLE target.{table} ENABLE ROW LEVEL SECURITY;
        CREATE POLICY seen ON target.{table} USING (trap.spy('policy'))""",
    "forced policy": """ALTER TABLE target.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        CREATE POLICY seen ON target.{table} USING (trap.spy('policy'))""",
    "statistics": "CREATE STATISTICS target.{table}_seen ON (trap.keeps('statistics', {column}::text)), {column} FROM target.{table}",
    "child": """CREATE TABLE target.{table}_child () INHERITS (target.{table});
        CREATE TRIGGER of_child BEFORE INSERT OR UPDATE OR DELETE ON target.{table}_child
            FOR EACH ROW EXECUTE FUNCTION trap.fires();
        CREATE INDEX ON target.{table}_child (trap.keeps('index of a child', {column}::text));
        INSERT INTO target.{table}_child SELECT * FROM target.{table} LIMIT 1""",
    "column": "ALTER TABLE target.{table} ADD hung text GENERATED ALWAYS AS (trap.keeps('column', 'x')) STORED",
    "domain": """CREATE DOMAIN target.{table}_domain AS {type} CHECK (trap.keeps('domain', 'x') IS NOT NULL);
        ALTER TABLE target.{table} ALTER {column} TYPE target.{table}_domain""",
    "view": """ALTER TABLE target.{table} RENAME TO {table}_old;
        CREATE VIEW target.{table} AS SELECT * FROM target.{table}_old WHERE trap.spy('view')""",
    "partition": """ALTER TABLE target.{table} RENAME TO {table}_old;
        CREATE TABLE target.{table} (LIKE target.{table}_old INCLUDING DEFAULTS) PARTITION BY LIST (trap.keeps('partition', {column}::text));
        CREATE TABLE target.{table}_part PARTITION OF target.{table} DEFAULT;
        INSERT INTO target.{table} SELECT * FROM target.{table}_old""",
    "constraint of a partition": """ALTER TABLE target.{table} RENAME TO {table}_old;
        CREATE TABLE target.{table} (LIKE target.{table}_old INCLUDING DEFAULTS) PARTITION BY LIST ({column});
        CREATE TABLE target.{table}_part PARTITION OF target.{table} DEFAULT;
        ALTER TABLE target.{table}_part ADD CHECK (trap.keeps('constraint of a partition', 'x') IS NOT NULL);
        INSERT INTO target.{table} SELECT * FROM target.{table}_old""",
}
# These have other columns, or are no tables, and are refused; what else is, says so itself.
REFUSED = {"column", "domain", "view"}

CALLS = {
    "materialize": "SELECT * FROM stedi.materialize('target', landing => 'lake')",
    "dry run": "SELECT * FROM stedi.materialize('target', landing => 'lake', dry_run => true)",
    "rebuild": "SELECT * FROM stedi.materialize('target', landing => 'lake', full_refresh => true)",
    "other rule": "SELECT * FROM stedi.materialize('target', landing => 'lake', consent => 'since_consent')",
    "one table": "SELECT * FROM stedi.materialize_customer_trusted('target', landing => 'lake')",
    "forget": f"SELECT * FROM stedi.forget('target', '{PEOPLE[1]}', 'objection', 'lake')",
    "unforget": f"SELECT * FROM stedi.unforget('target', '{PEOPLE[1]}')",
    "materialize again": "SELECT * FROM stedi.materialize('target', landing => 'lake')",
    "audit": "SELECT * FROM stedi.audit('target', 'lake')",
    "lineage": "SELECT * FROM stedi.lineage('target.machine_learning_curated', landing => 'lake')",
    "lineage of a row": "SELECT * FROM stedi.lineage('target.customer_trusted', '(0,1)', landing => 'lake')",
    "subject": f"SELECT * FROM stedi.subject('target', '{PEOPLE[2]}', 'lake')",
    "consent_history": "SELECT * FROM stedi.consent_history('target')",
    "verify_history": "SELECT * FROM stedi.verify_history('target')",
    "expect": "SELECT * FROM stedi.expect('target', 'machine_learning_curated', 'paired', 'x < 1', 'warn')",
    "expectations": "SELECT name, condition FROM stedi.expectations('target')",
    "unexpect": "SELECT * FROM stedi.unexpect('target', 'machine_learning_curated', 'paired')",
}
LANDING_CALLS = {
    "rejects": "SELECT * FROM stedi.rejects('lake.customer_landing')",
    "customer_records": "SELECT * FROM stedi.customer_records('lake.customer_landing')",
    "analyze": "ANALYZE lake.customer_landing",
    "scan": "SELECT count(email) FROM lake.customer_landing",
}

# The types that traps are laid for.
TYPES = "'text', 'int4', 'int8', 'float8', 'bool', 'bytea', 'timestamptz', 'interval', 'jsonb', 'oid', 'regclass', 'name', 'anyelement'"
TRAPS = f"""
CREATE FUNCTION trap.sprung(what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'SPY %: as %, gained: ', what, current_user;
    RETURN NULL;
END $$;
DO $do$
DECLARE
    f record;
BEGIN
    -- functions, and aggregates as functions
    FOR f IN SELECT DISTINCT p.proname, pg_get_function_identity_arguments(p.oid) AS arguments,
            CASE WHEN p.prorettype = 'pg_catalog.trigger'::regtype THEN 'text' ELSE format_type(p.prorettype, NULL) END AS result
        FROM pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a') AND NOT p.proretset AND p.provariadic = 0
            AND p.proargmodes IS NULL AND p.pronargs BETWEEN 0 AND 4
            AND (SELECT count(*) FROM unnest(p.proargtypes) a JOIN pg_type t ON t.oid = a WHERE t.typname IN ({TYPES})) = p.pronargs
            AND (SELECT typname FROM pg_type WHERE oid = p.prorettype) IN ({TYPES})
            AND (p.pronargs > 0 OR p.proname IN ('now', 'clock_timestamp', 'random', 'gen_random_uuid', 'version'))
            AND p.prorettype <> 'anyelement'::regtype
    LOOP
        BEGIN
            EXECUTE format($$CREATE FUNCTION trap.%I(%s) RETURNS pg_catalog.%s LANGUAGE plpgsql AS
                $f$ BEGIN PERFORM trap.sprung('function %s'); RETURN NULL; END $f$ $$,
                f.proname, f.arguments, (SELECT quote_ident(typname) FROM pg_type WHERE oid = f.result::regtype), f.proname);
        EXCEPTION WHEN duplicate_function OR syntax_error THEN
            NULL;
        END;
    END LOOP;
    -- operators
    FOR f IN SELECT o.oprname, l.typname AS l, r.typname AS r, t.typname AS t
        FROM pg_operator o JOIN pg_type l ON l.oid = o.oprleft JOIN pg_type r ON r.oid = o.oprright
            JOIN pg_type t ON t.oid = o.oprresult
        WHERE l.typname IN ({TYPES}) AND r.typname IN ({TYPES}) AND t.typname IN ({TYPES})
            AND 'anyelement' NOT IN (l.typname, r.typname)
    LOOP
        EXECUTE format($$CREATE FUNCTION trap.%I(pg_catalog.%I, pg_catalog.%I) RETURNS pg_catalog.%I LANGUAGE plpgsql AS
            $f$ BEGIN PERFORM trap.sprung('operator'); RETURN NULL; END $f$ $$,
            'op ' || f.oprname, f.l, f.r, f.t);
        EXECUTE format($$CREATE OPERATOR trap.%s (FUNCTION = trap.%I, LEFTARG = pg_catalog.%I, RIGHTARG = pg_catalog.%I)$$,
            f.oprname, 'op ' || f.oprname, f.l, f.r);
    END LOOP;
    -- types: no value is any of them
    FOR f IN SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace
        AND typname IN ({TYPES}, 'date', 'tid', 'regnamespace', 'report', 'consent_set', 'varchar') AND typname <> 'anyelement'
    LOOP
        EXECUTE format('CREATE DOMAIN trap.%I AS pg_catalog.char CHECK (trap.sprung(%L))', f.typname, 'type ' || f.typname);
    END LOOP;
END $do$;
"""


def customer(email, since=5, updated=10):
    return {
        "customerName": "A name",
        "email": email,
        "serialNumber": "of " + email,
        "registrationDate": 1,
        "lastUpdateDate": updated,
        "shareWithResearchAsOfDate": since,
    }


class HostileOwnerTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.db.run("CREATE ROLE regress_villain")
        cls.db.run("CREATE ROLE regress_super SUPERUSER")
        cls.addClassCleanup(cls.drop_roles)

    @classmethod
    def drop_roles(cls):
        for role in ("regress_villain", "regress_super"):
            cls.db.run(f"DROP OWNED BY {role} CASCADE")
            cls.db.run(f"DROP ROLE {role}")

    def setUp(self):
        super().setUp()
        self.zone = make_folder()
        for name in ("customers", "accelerometer", "step_trainer"):
            (self.zone / name).mkdir()
        self.write("customers/1.json", *map(customer, PEOPLE))
        self.write("accelerometer/1.json", *({"user": email, "timestamp": 100, "x": 1, "y": 2, "z": 3} for email in PEOPLE))
        self.write(
            "step_trainer/1.json",
            *({"sensorReadingTime": 100, "serialNumber": "of " + email, "distanceFromObject": 7} for email in PEOPLE),
        )
        self.changes = 1
        self.db.make_server("lake", file_url(self.zone))
        self.db.run("GRANT USAGE ON FOREIGN SERVER lake TO regress_villain")
        for schema in ("lake", "target", "trap"):
            self.db.run(f"CREATE SCHEMA {schema} AUTHORIZATION regress_villain")
        self.addCleanup(self.db.drop, "lake", "target", "trap")
        self.as_villain(SPIES, "IMPORT FOREIGN SCHEMA landing FROM SERVER lake INTO lake")
        # what the spy has prepared in a test before stays, whatever is undone
        for (name,) in self.db.rows("SELECT name FROM pg_prepared_statements WHERE name = 'later'"):
            self.db.run(f"DEALLOCATE {name}")

    def write(self, key, *records):
        (self.zone / key).write_text("".join(json.dumps(record) + "\n" for record in records))

    def change(self):
        """Give the next run something to insert and to delete."""
        self.changes += 1
        self.write(
            f"customers/{self.changes}.json",
            customer(PEOPLE[0], self.changes % 2, 10 * self.changes),
            customer(f"new{self.changes}@example.com"),
        )

    def as_villain(self, *statements):
        self.db.run("SET ROLE regress_villain")
        try:
            for statement in statements:
                self.db.run(statement)
        finally:
            self.db.run("RESET ROLE")

    def make_zone(self):
        self.as_villain(
            "SELECT * FROM stedi.materialize('target', landing => 'lake')",
            f"SELECT * FROM stedi.forget('target', '{PEOPLE[3]}', 'objection', 'lake')",
        )

    def spied(self):
        found = [SPY.match(notice) for notice in self.db.notices]
        return [match.groups() for match in found if match]

    def session(self):
        """What a call must leave as it was."""
        return self.db.rows(
            "SELECT current_user, session_user, current_setting('search_path'), current_setting('stedi.swap_timeout'),"
            " current_setting('role'), (SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_villain'),"
            " (SELECT count(*) FROM pg_prepared_statements WHERE name = 'later'), (SELECT count(*) FROM pg_cursors WHERE name = 'later'),"
            " (SELECT count(*) FROM pg_class WHERE relname = 'later'), (SELECT count(*) FROM pg_listening_channels())"
        )

    def call(self, name, query):
        """Call as a superuser; the SQLSTATE, or ok; nothing may have been gained."""
        before = self.session()
        self.db.notices.clear()
        try:
            self.db.run(query)
            outcome = "ok"
        except psycopg.Error as error:
            outcome = error.sqlstate
        for what, user, gained in self.spied():
            self.assertEqual((user, gained), ("regress_villain", ""), f"{what}, in {name}")
        self.assertEqual(self.session(), before, name)
        return outcome

    def tables(self):
        """The tables of target with a column each, its type, and whether rows are but inserted there."""
        return self.db.rows(
            "SELECT DISTINCT ON (c.relname) c.relname, quote_ident(a.attname), format_type(a.atttypid, NULL)"
            " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
            " WHERE c.relnamespace = 'target'::regnamespace AND c.relkind = 'r'"
            " ORDER BY c.relname, a.atttypid <> 'text'::regtype, a.attnum"
        )

    def hang(self, kind, tables):
        """Hang it on the tables."""
        self.db.run("SET ROLE regress_villain")
        try:
            for table, column, type_name in tables:
                for event in ("INSERT", "DELETE") if "{event}" in HANGS[kind] else ("",):
                    self.db.run(HANGS[kind].format(table=table, column=column, type=type_name, event=event))
        finally:
            for undo in ("RESET search_path", "RESET stedi.swap_timeout", "RESET ROLE"):
                self.db.run(undo)

    def call_all(self):
        outcomes = {}
        everything = []
        for name, query in CALLS.items():
            self.change()
            outcomes[name] = self.call(name, query)
            everything += self.spied()
        return outcomes, everything

    def test_the_spy_finds_what_there_is_to_gain(self):
        """A call that is not shut in would be noticed."""
        self.db.run("SELECT trap.spy('control')")
        ((_, user, gained),) = self.spied()
        self.assertEqual(user, self.db.conn.info.user)
        for attempt in ("SET ROLE", "SET SESSION", "ALTER ROLE", "pg_authid", "TEMP TABLE", "CURSOR", "PREPARE", "LISTEN"):
            self.assertIn(attempt, gained)
        for undo in ("RESET search_path", "RESET stedi.swap_timeout"):
            self.db.run(undo)

    def test_what_hangs_on_the_tables(self):
        """Each kind, on the five tables, under each call; the bookkeeping is out of reach."""
        seen = {}
        self.make_zone()
        tables = self.tables()
        self.assertEqual(sorted(table[0] for table in tables), sorted(TABLES))
        for kind in HANGS:
            for some in [[table] for table in tables] if LONG else [tables]:
                with self.subTest(kind=kind, tables=[name for name, _, _ in some]):
                    self.db.drop("target")
                    self.db.run("CREATE SCHEMA target AUTHORIZATION regress_villain")
                    self.make_zone()
                    self.hang(kind, some)
                    outcomes, spied = self.call_all()
                    seen.setdefault(kind, set()).update(spied)
                    if kind in REFUSED and not LONG:
                        self.assertNotEqual(outcomes["materialize"], "ok")
                    self.assertNotIn("XX000", outcomes.values(), outcomes)
        # what is known to be called was called, or the test looks in the wrong place
        for kind in ("row trigger", "statement trigger", "condition of a trigger", "index", "check constraint", "rule", "statistics"):
            self.assertNotEqual(seen[kind], set(), kind)

    def test_what_hangs_on_the_landing_tables(self):
        self.as_villain(
            *(f"CREATE TRIGGER {when} {when} INSERT OR UPDATE OR DELETE ON lake.{table} EXECUTE FUNCTION trap.fires()"
              for table in LANDING_TABLES for when in ("BEFORE", "AFTER")),
            *(f"ALTER FOREIGN TABLE lake.{table} ADD CHECK (trap.keeps('check', 'x') IS NOT NULL)" for table in LANDING_TABLES),
            "ALTER FOREIGN TABLE lake.customer_landing ALTER email SET DEFAULT trap.keeps('default', 'x')",
            "CREATE STATISTICS lake.seen ON (trap.keeps('statistics', email)), email FROM lake.customer_landing",
            "CREATE TABLE lake.child () INHERITS (lake.customer_landing)",
            "INSERT INTO lake.child (email, serialnumber, lastupdatedate, sharewithresearchasofdate) VALUES ('child@x', 'of child@x', 1, 1)",
            "CREATE INDEX ON lake.child (trap.keeps('index of a child', email))",
        )
        for setting in ("partition", "on"):
            self.db.run(f"SET constraint_exclusion = {setting}")
            outcomes, _ = self.call_all()
            self.assertEqual(set(outcomes.values()), {"ok"}, outcomes)
            for name in ("rejects", "customer_records"):
                self.assertEqual(self.call(name, LANDING_CALLS[name]), "ok")
                self.assertEqual(self.spied(), [], name)
            self.assertEqual(self.call("analyze", LANDING_CALLS["analyze"]), "ok")
        self.db.run("RESET constraint_exclusion")
        # rows of other tables are not landing records
        self.db.run(CALLS["materialize"])
        self.assertEqual(self.db.rows("SELECT * FROM target.customer_trusted WHERE email = 'child@x'"), [])
        self.assertEqual(self.db.rows("SELECT * FROM stedi.audit('target', 'lake')"), [])
        self.db.run("DROP TABLE lake.child")

    def test_landing_tables_of_a_villain_under_a_superusers_tables(self):
        """The run is a superuser then: nothing of the landing tables' owner may be called at all."""
        self.db.run("DROP SCHEMA target")
        self.db.run("CREATE SCHEMA target")
        hangs = (
            "CREATE FUNCTION trap.constant() RETURNS integer LANGUAGE plpgsql IMMUTABLE AS"
            " 'BEGIN PERFORM trap.spy(''constant''); RETURN 1; END'",
            *(f"ALTER FOREIGN TABLE lake.{table} ADD CHECK (trap.constant() = 1)" for table in LANDING_TABLES),
            *(f"ALTER FOREIGN TABLE lake.{table} ADD CHECK (trap.keeps('check', 'x') IS NOT NULL)" for table in LANDING_TABLES),
            "ALTER FOREIGN TABLE lake.customer_landing ALTER email SET DEFAULT trap.keeps('default', 'x')",
            "CREATE STATISTICS lake.seen ON (trap.keeps('statistics', email)), email FROM lake.customer_landing",
            *(f"CREATE TABLE lake.child_of_{table} (CHECK (trap.constant() = 1)) INHERITS (lake.{table})" for table in LANDING_TABLES),
            *(f"CREATE INDEX ON lake.child_of_{table} ((trap.keeps('index', 'x'))) WHERE trap.constant() = 1" for table in LANDING_TABLES),
            *(f"ALTER TABLE lake.child_of_{table} ENABLE ROW LEVEL SECURITY" for table in LANDING_TABLES),
            *(f"CREATE POLICY seen ON lake.child_of_{table} USING (trap.spy('policy'))" for table in LANDING_TABLES),
        )
        self.as_villain(*hangs)
        for setting in ("partition", "on"):
            for name, query in {**CALLS, **LANDING_CALLS}.items():
                if name in ("analyze", "scan"):  # PostgreSQL's, of a table that somebody else owns
                    continue
                self.change()
                self.db.run("RESET search_path")
                self.db.run(f"SET constraint_exclusion = {setting}")
                self.assertEqual(self.call(name, query), "ok", name)
                self.assertEqual(self.spied(), [], name)
        # they are not hung on nothing
        self.db.notices.clear()
        self.db.run("EXPLAIN SELECT * FROM lake.customer_landing")
        self.assertNotEqual(self.spied(), [])
        for undo in ("RESET constraint_exclusion", "RESET search_path", "RESET stedi.swap_timeout"):
            self.db.run(undo)

    def test_types_of_landing_columns(self):
        """A domain's constraint would be the villain's code: no landing column is of one."""
        self.as_villain(
            "CREATE DOMAIN trap.domain AS text CHECK (trap.keeps('domain', 'x') IS NOT NULL)",
            "CREATE FOREIGN TABLE lake.odd (email trap.domain) SERVER lake OPTIONS (prefix 'customers')",
            "ALTER FOREIGN TABLE lake.accelerometer_landing ALTER \"user\" TYPE trap.domain",
        )
        self.assertEqual(self.call("scan", "SELECT email FROM lake.odd"), "HV004")
        self.assertEqual(self.call("rejects", "SELECT * FROM stedi.rejects('lake.odd')"), "HV004")
        self.assertEqual(self.call("materialize", CALLS["materialize"]), "42804")
        self.assertEqual(self.spied(), [])

    def test_views_as_landing_tables(self):
        self.as_villain(
            *(f"ALTER FOREIGN TABLE lake.{table} RENAME TO {table}_old" for table in LANDING_TABLES),
            *(f"CREATE VIEW lake.{table} AS SELECT * FROM lake.{table}_old WHERE trap.spy('view')" for table in LANDING_TABLES),
        )
        for name in ("materialize", "rebuild"):
            self.assertEqual(self.call(name, CALLS[name]), "42P01")
        self.assertEqual(self.call("rejects", LANDING_CALLS["rejects"]), "42809")
        self.assertEqual(self.spied(), [])

    def test_what_expectations_call(self):
        """Conditions are evaluated as the villain, shut in, and mean what they meant when they were set."""
        self.make_zone()
        tables = {
            "customer_trusted": ("email", "warn"),
            "accelerometer_trusted": ("email", "drop"),
            "step_trainer_curated": ("serialnumber", "fail"),
            "machine_learning_curated": ("serialnumber", "drop"),
        }
        self.as_villain(
            # types and an operator in the way of those that are meant, where the spy leaves its search_path
            *(f"CREATE DOMAIN trap.{name} AS integer" for name in ("text", "float8", "date")),
            "CREATE FUNCTION trap.never(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN false",
            "CREATE OPERATOR trap.= (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, FUNCTION = trap.never)",
            *(f"SELECT stedi.expect('target', '{table}', '{table}', $$trap.keeps('{table}', {column}) = {column}$$, '{action}')"
              for table, (column, action) in tables.items()),
        )
        for undo in ("RESET search_path", "RESET stedi.swap_timeout"):
            self.db.run(undo)
        outcomes, spied = self.call_all()
        self.assertEqual(set(outcomes.values()), {"ok"}, outcomes)
        self.assertEqual({what for what, _, _ in spied}, set(tables))
        found = self.db.rows("SELECT table_name, violated FROM stedi.expectations('target')")
        self.assertEqual(sorted(found), sorted((table, 0) for table in tables))

    def test_what_calls_back(self):
        """The villain's code calls the functions again, with whatever it is by then."""
        self.make_zone()
        calls = "; ".join("PERFORM * FROM " + query.split("FROM ", 1)[1] for query in CALLS.values())
        self.as_villain(
            f"CREATE FUNCTION trap.again() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN {calls.split(';')[8]}; {calls.split(';')[12]};"
            " PERFORM trap.spy('after a look'); RETURN NULL; END $f$",
            "CREATE TRIGGER again AFTER DELETE ON target.customer_trusted EXECUTE FUNCTION trap.again()",
        )
        self.change()
        self.assertEqual(self.call("materialize", CALLS["materialize"]), "ok")
        self.assertIn("after a look", {what for what, _, _ in self.spied()})

    def results(self, path=None, role="none"):
        """What all calls answer, but for times."""
        answers = {}
        notices = []
        for name, query in {**CALLS, **LANDING_CALLS}.items():
            self.db.run(f"SET ROLE {role}")
            if path:
                self.db.run(f"SET search_path = {path}")
            self.db.notices.clear()
            cursor = self.db.run(query)
            notices += self.spied()
            self.db.run("RESET search_path")
            self.db.run("RESET ROLE")
            if cursor.description and name not in ("consent_history",):
                skip = {i for i, column in enumerate(cursor.description) if column.name in ("elapsed", "head", "etag")}
                # the bookkeeping of a person has times and keys of the run
                answers[name] = sorted(
                    repr([value for i, value in enumerate(row) if i not in skip])
                    for row in cursor.fetchall() if not str(row[0]).startswith("stedi_")
                )
        self.assertEqual(notices, [])
        return answers

    def test_hostile_search_path(self):
        self.make_zone()
        expected = self.results()
        self.as_villain(TRAPS)
        traps = self.db.value(
            "SELECT count(*) FILTER (WHERE proname IN ('lower', 'count', 'max', 'md5', 'op =', 'op ||', 'now'))"
            " FROM (SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'trap'::regnamespace) p"
        )
        self.assertGreaterEqual(traps, 5)
        # the traps are traps
        self.db.notices.clear()
        self.db.run("SET search_path = trap, pg_catalog")
        self.db.run("SELECT lower('A'), 'a'::pg_catalog.text || 'b'::pg_catalog.text")
        with self.assertRaises(psycopg.Error):
            self.db.run("SELECT 'text'::text, trap.sprung('x')")
            raise psycopg.Error("no value of this type, and so no error") if self.spied() else AssertionError()
        self.db.run("RESET search_path")
        self.assertNotEqual(self.spied(), [])
        # what is temporary comes before everything, wherever it is not named
        self.db.run("CREATE DOMAIN pg_temp.text AS pg_catalog.int4")
        self.db.run("CREATE DOMAIN pg_temp.timestamptz AS pg_catalog.int4")
        for name in (*TABLES, *LANDING_TABLES, "pg_class", "pg_namespace", "pg_index", "stedi_rule", "stedi_key"):
            self.db.run(f'CREATE TEMP TABLE "{name}" (nothing pg_catalog.int4)')
        try:
            for role in ("none", "regress_villain"):
                self.db.drop("target")
                self.db.run("CREATE SCHEMA target AUTHORIZATION regress_villain")
                self.make_zone()
                self.assertEqual(self.results("trap, pg_catalog", role), expected, role)
            self.db.run("CREATE SCHEMA again AUTHORIZATION regress_villain")
            self.db.run("SET search_path = trap, pg_catalog")
            self.db.run("IMPORT FOREIGN SCHEMA landing FROM SERVER lake INTO again")
            self.db.run("RESET search_path")
            self.assertEqual(
                self.db.rows(
                    "SELECT a.attrelid::regclass::pg_catalog.text, attname, atttypid FROM pg_catalog.pg_attribute a"
                    " WHERE attrelid IN (SELECT oid FROM pg_catalog.pg_class WHERE relnamespace = 'again'::regnamespace)"
                    " AND attnum > 0 AND atttypid >= 16384"
                ),
                [],
            )
        finally:
            self.db.run("RESET search_path")
            self.db.run("DISCARD TEMP")
            self.db.drop("again")


if __name__ == "__main__":
    unittest.main()
