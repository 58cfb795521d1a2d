"""Whatever an owner writes into the tables, or does while a run is under way.

The owner of the five tables is no superuser.  Each case happens in a
transaction that is rolled back: a value put into a column, a trigger that
alters a relation in the middle of a run, a trigger or rule that keeps rows.
Then the owner calls each function.  The server must live, no error may be an
internal one, nothing of the server's memory may be shown, and a run that says
success has taken out whoever withdrew.

Guards src/zone/hold.c, src/storage/delete.c, src/books/schema.c, src/books/grant.c,
src/books/adopt.c,
src/zone/rows.c and src/storage/write.c.  STEDI_TEST_SECURITY=long tries every
column with every value, and every statement at every moment.
"""
import collections
import itertools
import json
import os
import random
import unittest

import psycopg

from stedi_client import COLUMNS, LANDING_TABLES, TABLES, ServerTest, file_url, make_folder

LONG = os.environ.get("STEDI_TEST_SECURITY") == "long"

TYPES = {
    "text": ("customername", "email", "phone", "serialnumber"),
    "date": ("birthday",),
    "timestamptz": (
        "registrationdate",
        "lastupdatedate",
        "sharewithresearchasofdate",
        "sharewithpublicasofdate",
        "sharewithfriendsasofdate",
        '"timestamp"',
        "sensorreadingtime",
    ),
    "float8": ("x", "y", "z"),
    "integer": ("distancefromobject",),
}
TYPE_OF = {column: name for name, columns in TYPES.items() for column in columns}
VALUES = {
    "text": ("NULL", "''", "repeat('x', 3000000)", "repeat(md5('a') || random(), 90000)", "' Ada@X '", "E'\\u00A0'", "'p1@example.com'"),
    "date": ("NULL", "'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'"),
    "timestamptz": ("NULL", "'infinity'", "'-infinity'", "'4713-01-01 BC'", "'294276-12-31'", "'1970-01-01Z'"),
    "float8": ("NULL", "'NaN'", "'Infinity'", "'-0'", "1e308"),
    "integer": ("NULL", "2147483647", "-2147483648"),
}
CUSTOMER = (
    "customername",
    "email",
    "phone",
    "birthday",
    "serialnumber",
    "registrationdate",
    "lastupdatedate",
    "sharewithresearchasofdate",
    "sharewithpublicasofdate",
    "sharewithfriendsasofdate",
)
TABLE_COLUMNS = {
    "customer_trusted": CUSTOMER,
    "customer_curated": CUSTOMER,
    "accelerometer_trusted": ("email", '"timestamp"', "x", "y", "z"),
    "step_trainer_curated": ("sensorreadingtime", "serialnumber", "distancefromobject"),
    "machine_learning_curated": ("serialnumber", "sensorreadingtime", "distancefromobject", "x", "y", "z"),
}
RUNS = (
    "SELECT count(*) FROM stedi.materialize('target')",
    "SELECT count(*) FROM stedi.materialize('target', full_refresh => true)",
    "SELECT count(*) FROM stedi.materialize('target', consent => 'since_consent')",
    "SELECT count(*) FROM stedi.materialize('target', vanished => 'keep')",
    "SELECT count(*) FROM stedi.materialize_customer_trusted('target')",
    "SELECT count(*) FROM stedi.forget('target', 'p1@example.com', 'objection')",
)
LOOKS = (
    "SELECT count(*) FROM stedi.audit('target')",
    "SELECT count(*) FROM stedi.quality('target')",
    "SELECT count(*) FROM stedi.subject('target', 'p1@example.com')",
    "SELECT count(*) FROM stedi.lineage('target.accelerometer_trusted')",
    "SELECT count(*) FROM stedi.lineage('target.machine_learning_curated', '(0,1)'::tid)",
)
# What a trigger does to a relation, %s, in the middle of a run.
DEEDS = (
    "ALTER TABLE %s ALTER {column} TYPE {other} USING NULL",
    "ALTER TABLE %s DROP COLUMN {column}",
    "ALTER TABLE %s RENAME COLUMN {column} TO gone",
    "ALTER TABLE %s RENAME TO gone",
    "ALTER TABLE %s SET SCHEMA elsewhere",
    "ALTER TABLE %s ADD COLUMN hung text",
    "ALTER TABLE %s ALTER {column} SET STORAGE MAIN",
    "ALTER TABLE %s SET UNLOGGED",
    "DROP TABLE %s CASCADE",
    "TRUNCATE %s",
    "DELETE FROM %s",
    "INSERT INTO %s DEFAULT VALUES",
    "UPDATE %s SET {column} = NULL",
    "CREATE INDEX ON %s ({column})",
    "CREATE RULE \"_RETURN\" AS ON SELECT TO %s DO INSTEAD SELECT * FROM %s",
    "ALTER TABLE %s RENAME TO gone; CREATE TABLE %s ({column} bigint)",
    "CLUSTER %s",
    "ALTER SCHEMA target RENAME TO elsewhere2",
)
# Ways in which a row stays that has to go.
KEEPERS = {
    "returns nothing": """CREATE FUNCTION target.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER keeper BEFORE DELETE ON target.{table} FOR EACH ROW EXECUTE FUNCTION target.keep()""",
    "rule": "CREATE RULE keeper AS ON DELETE TO target.{table} DO INSTEAD NOTHING",
    "conditional rule": "CREATE RULE keeper AS ON DELETE TO target.{table} WHERE true DO INSTEAD NOTHING",
    "moves the row": """CREATE FUNCTION target.keep() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN EXECUTE format(''UPDATE target.{table} t SET {column} = {column} WHERE ctid = %L'', old.ctid); RETURN NULL; END';
        CREATE TRIGGER keeper BEFORE DELETE ON target.{table} FOR EACH ROW EXECUTE FUNCTION target.keep()""",
    "puts it back": """CREATE FUNCTION target.keep() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN INSERT INTO target.{table} SELECT old.*; RETURN old; END';
        CREATE TRIGGER keeper AFTER DELETE ON target.{table} FOR EACH ROW EXECUTE FUNCTION target.keep()""",
    "puts all back": """CREATE FUNCTION target.keep() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN INSERT INTO target.{table} SELECT * FROM was; RETURN NULL; END';
        CREATE TRIGGER keeper AFTER DELETE ON target.{table} REFERENCING OLD TABLE AS was FOR EACH STATEMENT
        EXECUTE FUNCTION target.keep()""",
    "puts it back later": """CREATE TABLE target.was AS SELECT * FROM target.{table};
        CREATE FUNCTION target.keep() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN INSERT INTO target.{table} SELECT * FROM target.was w WHERE NOT EXISTS (SELECT FROM target.{table} t WHERE t = w); RETURN NULL; END';
        CREATE TRIGGER keeper AFTER DELETE ON target.{last} FOR EACH STATEMENT EXECUTE FUNCTION target.keep()""",
}


def customer(email, since=5, updated=10, serial=None):
    return {
        "customerName": "A name",
        "email": email,
        "serialNumber": serial or "of " + email,
        "registrationDate": 1,
        "lastUpdateDate": updated,
        "shareWithResearchAsOfDate": since,
    }


def movement(email, time):
    return {"user": email, "timestamp": time, "x": 1, "y": 2, "z": 3}


def step(serial, time):
    return {"sensorReadingTime": time, "serialNumber": serial, "distanceFromObject": 7}


class SweepTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.db.run("CREATE ROLE regress_sweeper")
        cls.addClassCleanup(cls.drop_roles)

    @classmethod
    def drop_roles(cls):
        with cls.connect() as conn:
            conn.execute("DROP OWNED BY regress_sweeper CASCADE")
            conn.execute("DROP ROLE regress_sweeper")

    def setUp(self):
        super().setUp()
        self.zone = make_folder()
        people = [f"p{n}@example.com" for n in range(4)]
        for name in ("customers", "accelerometer", "step_trainer"):
            (self.zone / name).mkdir()
        self.write("customers/1.json", *map(customer, people), customer("q@x", serial="shared"), customer("r@x", serial="shared"))
        self.write("accelerometer/1.json", *(movement(p, t) for p in people for t in (100, 101)))
        self.write("step_trainer/1.json", *(step("of " + p, t) for p in people for t in (100, 101)), step("shared", 100))
        self.db.make_server("lake", file_url(self.zone))
        self.db.run("GRANT USAGE ON FOREIGN SERVER lake TO regress_sweeper")
        for schema in ("lake", "target", "elsewhere"):
            self.db.run(f"CREATE SCHEMA {schema} AUTHORIZATION regress_sweeper")
        self.addCleanup(self.db.drop, "lake", "target", "elsewhere")
        self.addCleanup(self.db.run, "RESET ROLE")
        self.db.run("SET ROLE regress_sweeper")
        self.db.run("IMPORT FOREIGN SCHEMA landing FROM SERVER lake INTO lake")
        self.db.materialize("target", landing="lake")
        # each run has something to insert and to delete: p0 withdraws
        self.write("customers/2.json", customer(people[0], 0, 20), customer("new@x"))
        self.write("accelerometer/2.json", movement("new@x", 100), movement(people[2], 100), movement(people[2], 102))
        self.write("step_trainer/2.json", step("of new@x", 100), step("of " + people[2], 102))

    def write(self, key, *records):
        (self.zone / key).write_text("".join(json.dumps(record) + "\n" for record in records))

    def attempt(self, *statements):
        """The SQLSTATE of the first error, or ok; the connection lives."""
        try:
            for statement in statements:
                self.db.run(statement)
        except psycopg.Error as error:
            self.assertFalse(self.db.conn.broken or self.db.conn.closed, f"the server ended at {statements}: {error}")
            self.assertNotEqual(error.sqlstate[:2], "XX", f"{statements}: {error}")
            return error.sqlstate
        return "ok"

    def undone(self, before, run, check=None):
        """What the run comes to after `before`, in a transaction that is rolled back."""
        self.db.run("BEGIN")
        try:
            if self.attempt(before) != "ok":
                return "refused"
            outcome = self.attempt(run)
            if outcome == "ok" and check is not None:
                check()
            return outcome
        finally:
            self.db.run("ROLLBACK")
            self.db.run("SET ROLE regress_sweeper")

    def bounded(self, *arguments):
        """The same; a deed that does itself over and over, for each row once more, is cancelled."""
        self.db.run("SET statement_timeout = '15s'")
        try:
            return self.undone(*arguments)
        finally:
            self.db.run("RESET statement_timeout")

    def check_nobody_out(self, what, tables=TABLES):
        """Whoever withdrew is in no table, and no value is longer than any that was written."""
        for table in tables:
            columns = TABLE_COLUMNS[table]
            name = "email" if "email" in columns else "serialnumber"
            who = "p0@example.com" if name == "email" else "of p0@example.com"
            self.assertEqual(self.db.rows(f"SELECT count(*) FROM target.{table} WHERE {name} = '{who}'"), [(0,)], (what, table))

    def test_values(self):
        """Any value in any column of any table, in each kind of run and look."""
        cases = [
            (table, column, value, how)
            for table in TABLES
            for column in TABLE_COLUMNS[table]
            for value in VALUES[TYPE_OF[column]]
            for how in ("INSERT INTO target.{t} ({c}) VALUES ({v})", "UPDATE target.{t} SET {c} = {v}")
        ]
        calls = RUNS + LOOKS
        if not LONG:
            nulls = [case for case in cases if case[2] == "NULL"]
            cases = nulls + random.Random(1).sample([case for case in cases if case[2] != "NULL"], 40)
        for number, (table, column, value, how) in enumerate(cases):
            before = how.format(t=table, c=column, v=value)
            for call in calls if LONG else (RUNS[number % len(RUNS)], RUNS[(number + 1) % 2], LOOKS[number % len(LOOKS)]):
                check = (lambda: self.check_nobody_out((before, call))) if call in RUNS[:4] and "p1@" not in value else None
                with self.subTest(before=before, call=call):
                    self.undone(before, call, check)

    def test_statements(self):
        """Any statement on any relation from a trigger, a rule's function or a condition, in mid-run."""
        relations = [f"target.{table}" for table in TABLES] + [f"lake.{table}" for table in LANDING_TABLES] + ["storage", "books"]
        moments = [(table, event) for table in TABLES for event in ("BEFORE INSERT", "BEFORE DELETE", "AFTER INSERT", "AFTER DELETE")]
        moments += [("condition", "x"), ("index", "x")]
        cases = list(itertools.product(moments, relations, DEEDS))
        if not LONG:
            cases = random.Random(2).sample(cases, 160)
        outcomes = collections.Counter()
        self.db.run("CREATE SEQUENCE elsewhere.deeds MINVALUE 0")
        for number, ((table, event), relation, deed) in enumerate(cases):
            run = RUNS[number % 4]
            with self.subTest(at=(table, event), relation=relation, deed=deed, run=run):
                outcomes[self.bounded(self.hang(table, event, relation, deed), run, self.check_readable)] += 1
        self.assertLess(outcomes["57014"], len(cases) / 20)
        # no sequence is rolled back: the deeds were done
        self.assertGreater(self.db.value("SELECT nextval('elsewhere.deeds')"), len(cases) / 2)

    def hang(self, table, event, relation, deed):
        """Statements that have the deed done to the relation when a run comes by."""
        column = "email"
        for name in TABLES:
            if relation == f"target.{name}":
                column = TABLE_COLUMNS[name][0]
        if relation.startswith("lake."):
            column = {"c": "email", "a": '"user"', "s": "serialnumber"}[relation[5]]
        other = "bytea" if column == "sensorreadingtime" else "bigint"
        deed = deed.format(column=column, other=other).replace("TABLE", "FOREIGN TABLE" if relation.startswith("lake.") else "TABLE", 1)
        names = {
            "storage": "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = 'stedi_books_target' AND relname LIKE 'stedi\\_staged\\_%' AND relkind = 'r'",
            "books": "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = 'stedi_books_target' AND relkind = 'r'",
        }.get(relation, f"SELECT '{relation}'")
        statement = deed.replace("%s", "%1$s").replace("'", "''")
        body = f"""DECLARE name text; names text[]; BEGIN
            PERFORM pg_catalog.nextval('elsewhere.deeds');
            IF pg_catalog.pg_trigger_depth() > 2 THEN names := ARRAY[]::text[]; ELSE names := ARRAY({names}); END IF;
            FOREACH name IN ARRAY names LOOP
                BEGIN EXECUTE format('{statement}', name); EXCEPTION WHEN OTHERS THEN NULL; END;
            END LOOP;"""
        if table == "condition":
            return f"""CREATE FUNCTION elsewhere.does() RETURNS void LANGUAGE plpgsql AS $f$ {body} END $f$;
                CREATE FUNCTION elsewhere.deed(float8) RETURNS boolean LANGUAGE plpgsql STABLE AS $f$
                BEGIN PERFORM elsewhere.does(); RETURN true; END $f$;
                SELECT stedi.expect('target', 'accelerometer_trusted', 'deed', 'elsewhere.deed(x)', 'warn')"""
        if table == "index":
            return f"""CREATE FUNCTION elsewhere.does() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN END $f$;
                CREATE FUNCTION elsewhere.deed(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $f$
                BEGIN PERFORM elsewhere.does(); RETURN $1; END $f$;
                CREATE INDEX ON target.customer_trusted (elsewhere.deed(email));
                CREATE OR REPLACE FUNCTION elsewhere.does() RETURNS void LANGUAGE plpgsql AS $f$ {body} END $f$"""
        level = "ROW" if event.startswith("BEFORE") else "STATEMENT"
        answer = "RETURN CASE tg_op WHEN 'DELETE' THEN old ELSE new END;" if level == "ROW" else "RETURN NULL;"
        return f"""CREATE FUNCTION elsewhere.deed() RETURNS trigger LANGUAGE plpgsql AS $f$ {body} {answer} END $f$;
            CREATE TRIGGER deed {event} ON target.{table} FOR EACH {level} EXECUTE FUNCTION elsewhere.deed()"""

    def check_readable(self):
        """Every value of every table can be read, and none is larger than what was written."""
        for table in TABLES:
            self.attempt(f"SELECT max(length(t::text)) FROM target.{table} t")
            try:
                (longest,) = self.db.rows(f"SELECT coalesce(max(octet_length(t::text)), 0) FROM target.{table} t")[0]
                self.assertLess(longest, 1000, table)
            except psycopg.Error:
                return

    def test_landing_columns(self):
        """A landing column that is renamed or dropped before it is read is an error, and no memory is read in its place."""
        self.db.run("CREATE SEQUENCE elsewhere.deeds MINVALUE 0")
        outcomes = set()
        deeds = ("ALTER TABLE %s RENAME COLUMN {column} TO gone", "ALTER TABLE %s DROP COLUMN {column}")
        for table, run, deed in itertools.product(TABLES[:2], RUNS[:4], deeds):
            with self.subTest(table=table, run=run, deed=deed):
                outcome = self.undone(self.hang(table, "BEFORE INSERT", "lake.step_trainer_landing", deed), run)
                self.assertIn(outcome, ("42804", "ok"))
                outcomes.add(outcome)
        self.assertIn("42804", outcomes)

    def test_type_confusion(self):
        """A column's type changed in storage that is swapped in would show the server's memory."""
        for moment in TABLES:
            before = f"""CREATE FUNCTION elsewhere.deed() RETURNS trigger LANGUAGE plpgsql AS $f$ DECLARE name text; BEGIN
                FOR name IN SELECT oid::regclass::text FROM pg_class WHERE relname LIKE 'pg\\_temp\\_%' LOOP
                    EXECUTE format('ALTER TABLE %s ALTER COLUMN email TYPE int USING 4000000', name);
                END LOOP; RETURN NULL; END $f$;
                CREATE TRIGGER deed AFTER INSERT OR DELETE ON target.{moment} FOR EACH STATEMENT EXECUTE FUNCTION elsewhere.deed()"""
            with self.subTest(moment=moment):
                self.undone(before, RUNS[1], self.check_readable)

    def test_rows_that_stay(self):
        """A run that says success has taken out what had to go, whatever hangs on the tables."""
        runs = RUNS[:3] + RUNS[4:5]
        for table in TABLES:
            for how, keeper in KEEPERS.items():
                last = "machine_learning_curated" if table != "machine_learning_curated" else "customer_trusted"
                before = keeper.format(table=table, column=TABLE_COLUMNS[table][0], last=last)
                for run in runs if LONG else random.Random(table + how).sample(runs, 1):
                    with self.subTest(table=table, how=how, run=run):
                        outcome = self.undone(before, run, lambda: self.check_nobody_out((table, how)))
                        self.assertIn(outcome, ("27000", "ok", "0A000"))
                with self.subTest(table=table, how=how, run="forget"):
                    outcome = self.undone(
                        before,
                        "SELECT count(*) FROM stedi.forget('target', 'p0@example.com', 'objection')",
                        lambda: self.check_nobody_out((table, how)),
                    )
                    self.assertIn(outcome, ("27000", "ok"))
        self.db.run("BEGIN")
        self.db.run(KEEPERS["returns nothing"].format(table="customer_trusted"))
        with self.assertRaises(psycopg.errors.TriggeredDataChangeViolation) as caught:
            self.db.run(RUNS[0])
        self.assertIn("trigger keeper on target.customer_trusted", caught.exception.diag.message_detail)
        self.db.run("ROLLBACK")

    def test_rows_that_come_back(self):
        """Functions of indexes, deeds that keep the count, triggers that are made in mid-run."""
        was = """CREATE TABLE elsewhere.was AS SELECT * FROM target.accelerometer_trusted WHERE email = 'p0@example.com';
            CREATE FUNCTION elsewhere.deed(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN PERFORM elsewhere.does(); RETURN $1; END $f$;
            """
        cases = {
            "index": was + """CREATE FUNCTION elsewhere.does() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN
                IF NOT EXISTS (SELECT FROM target.accelerometer_trusted WHERE email = 'p0@example.com') THEN
                INSERT INTO target.accelerometer_trusted SELECT * FROM elsewhere.was; END IF; END $f$;
                CREATE INDEX ON target.machine_learning_curated (elsewhere.deed(serialnumber))""",
            "another goes": """CREATE FUNCTION elsewhere.keep() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
                IF old.email = 'p0@example.com' THEN DELETE FROM target.accelerometer_trusted WHERE ctid =
                (SELECT ctid FROM target.accelerometer_trusted WHERE email = 'p1@example.com' LIMIT 1); RETURN NULL; END IF; RETURN old; END $f$;
                CREATE TRIGGER keeper BEFORE DELETE ON target.accelerometer_trusted FOR EACH ROW EXECUTE FUNCTION elsewhere.keep()""",
            "trigger in mid-run": was + """CREATE FUNCTION elsewhere.back() RETURNS trigger LANGUAGE plpgsql AS
                $f$ BEGIN INSERT INTO target.accelerometer_trusted SELECT old.*; RETURN old; END $f$;
                CREATE FUNCTION elsewhere.does() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN
                IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'back') AND current_setting('a.b', true) = 'on' THEN
                CREATE TRIGGER back AFTER DELETE ON target.accelerometer_trusted FOR EACH ROW EXECUTE FUNCTION elsewhere.back(); END IF; END $f$;
                CREATE INDEX ON target.customer_trusted (elsewhere.deed(email)); SET a.b = 'on'""",
        }
        for how, before in cases.items():
            for run in (RUNS[0], "SELECT count(*) FROM stedi.forget('target', 'p0@example.com', 'objection')"):
                with self.subTest(how=how, run=run):
                    outcome = self.undone(before, run, lambda: self.check_nobody_out(how))
                    self.assertIn(outcome, ("ok", "27000"))

    def test_settings(self):
        """A search_path that the owner's code sets in mid-run leads no statement astray."""
        lures = """CREATE TABLE elsewhere.log (who text);
            CREATE FUNCTION elsewhere.inc(bigint) RETURNS bigint LANGUAGE plpgsql AS
            $f$ BEGIN INSERT INTO elsewhere.log VALUES (current_user); RETURN 0::pg_catalog.int8; END $f$;
            CREATE AGGREGATE elsewhere.count(*) (sfunc = elsewhere.inc, stype = bigint, initcond = 0);
            CREATE FUNCTION elsewhere.alike(bytea, bytea) RETURNS boolean LANGUAGE plpgsql AS
            $f$ BEGIN INSERT INTO elsewhere.log VALUES (current_user); RETURN false; END $f$;
            CREATE OPERATOR elsewhere.= (leftarg = bytea, rightarg = bytea, function = elsewhere.alike);
            CREATE DOMAIN elsewhere.text AS pg_catalog.text;
            CREATE FUNCTION elsewhere.does() RETURNS void LANGUAGE plpgsql AS
            $f$ BEGIN PERFORM pg_catalog.set_config('search_path', 'elsewhere, pg_catalog', false); END $f$;
            CREATE FUNCTION elsewhere.path() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM elsewhere.does(); RETURN NULL; END $f$;
            CREATE FUNCTION elsewhere.pred(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN PERFORM elsewhere.does(); RETURN true; END $f$;
            CREATE INDEX ON target.customer_trusted (email) WHERE elsewhere.pred(1);"""
        lures += "".join(
            f"CREATE TRIGGER path AFTER INSERT OR DELETE ON target.{table} FOR EACH STATEMENT EXECUTE FUNCTION elsewhere.path();" for table in TABLES
        )

        def check():
            self.db.run("SET search_path = pg_catalog")
            self.assertEqual(self.db.rows("SELECT DISTINCT who FROM elsewhere.log"), [])
            self.check_nobody_out("path", TABLES if run in RUNS[:4] else ())

        for run in RUNS + LOOKS + ("SELECT stedi.expect('target', 'accelerometer_trusted', 'e', 'x > 0', 'warn')",):
            with self.subTest(run=run):
                self.assertEqual(self.undone(lures, run, check), "ok")

    def test_handed_over(self):
        """Nobody gets the bookkeeping by making the tables, whoever calls then."""
        self.db.run("RESET ROLE")
        self.db.run("CREATE ROLE regress_sweep_guest")
        self.addCleanup(self.db.run, "RESET ROLE; DROP OWNED BY regress_sweep_guest CASCADE; DROP ROLE regress_sweep_guest")
        self.db.run("GRANT ALL ON SCHEMA target, lake TO regress_sweep_guest; GRANT SELECT ON ALL TABLES IN SCHEMA lake TO regress_sweep_guest")
        self.db.run("DROP TABLE " + ", ".join(f"target.{table}" for table in TABLES))
        columns = ", ".join(f"{column} {TYPE_OF[column]}" for column in CUSTOMER)
        self.db.run(f"SET ROLE regress_sweep_guest; CREATE TABLE target.customer_trusted ({columns}); RESET ROLE")
        for call in (RUNS[0], LOOKS[1]):
            with self.assertRaises(psycopg.errors.InsufficientPrivilege) as caught:
                self.db.run(call)
        # a superuser who means it says so
        self.db.run(caught.exception.diag.message_hint.split(": ", 1)[1])
        self.db.run(RUNS[0])
        self.assertTrue(self.db.value("SELECT has_table_privilege('regress_sweep_guest', 'stedi_books_target.stedi_key', 'SELECT')"))

    def test_refused(self):
        """What cannot be right is refused, and the hint's statement cures."""
        self.db.run("RESET ROLE")
        self.db.run("CREATE COLLATION elsewhere.blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
        self.db.run("SET ROLE regress_sweeper")
        child = "CREATE FOREIGN TABLE target.{t}_far () INHERITS (target.{t}) SERVER lake OPTIONS (prefix 'customers')"
        parent = (
            "CREATE FOREIGN TABLE target.{t}_above () SERVER lake OPTIONS (prefix 'customers');"
            " ALTER TABLE target.{t} INHERIT target.{t}_above"
        )
        for table in TABLES if LONG else TABLES[:2]:
            text = "email" if "email" in TABLE_COLUMNS[table] else "serialnumber"
            cases = {
                child: None,
                parent: True,
                "ALTER TABLE target.{t} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY": True,
                f"ALTER TABLE target.{{t}} ALTER {text} TYPE text COLLATE elsewhere.blind": True,
                f"ALTER TABLE target.{{t}} DROP {text}, ADD {text} text GENERATED ALWAYS AS ('x') STORED": None,
            }
            for case, cures in cases.items():
                for call in RUNS[:2] + LOOKS[:1]:
                    with self.subTest(case=case.format(t=table), call=call):
                        self.db.run("ROLLBACK; BEGIN")
                        self.db.run(case.format(t=table))
                        self.db.run("SAVEPOINT hung")
                        with self.assertRaises(psycopg.Error) as caught:
                            self.db.run(call)
                        self.assertIn(caught.exception.sqlstate, ("0A000", "42804"))
                        self.assertTrue(caught.exception.diag.message_hint)
                        self.db.run("ROLLBACK TO hung")
                        if cures:
                            self.db.run(caught.exception.diag.message_hint)
                            self.db.run(call)
                        self.db.run("ROLLBACK")

    def test_out_of_reach(self):
        """The owner reads the bookkeeping, and can do nothing else to it."""
        names = [name for (name,) in self.db.rows("SELECT relname FROM pg_class WHERE relnamespace = 'stedi_books_target'::regnamespace AND relkind = 'r'")]
        self.assertEqual(len(names), 9)
        for name in names:
            self.assertGreaterEqual(self.db.value(f"SELECT count(*) FROM stedi_books_target.{name}"), 0)
            for deed in DEEDS + ("CREATE TRIGGER t BEFORE INSERT ON %s EXECUTE FUNCTION suppress_redundant_updates_trigger()",):
                with self.subTest(name=name, deed=deed):
                    statement = deed.format(column="run", other="text").replace("%s", f"stedi_books_target.{name}")
                    if "SCHEMA target" in statement:
                        continue
                    self.db.run("BEGIN")
                    with self.assertRaises(psycopg.Error) as caught:
                        self.db.run(statement)
                    self.assertIn(caught.exception.sqlstate, ("42501", "42703", "42601"))
                    self.db.run("ROLLBACK")
        self.assertEqual(
            [row for row in self.db.rows("SELECT relname FROM pg_class WHERE relnamespace = 'target'::regnamespace AND relkind = 'r' ORDER BY 1")],
            [(table,) for table in sorted(TABLES)],
        )

    def test_damaged_books(self):
        """NULL in any column of the bookkeeping, by a superuser: an error, or everything is read anew."""
        columns = self.db.rows(
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = 'stedi_books_target'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 ORDER BY 1, 2"
        )
        calls = RUNS + LOOKS + (
            "SELECT count(*) FROM stedi.consent_history('target')",
            "SELECT count(*) FROM stedi.verify_history('target')",
            "SELECT count(*) FROM stedi.expectations('target')",
        )
        for number, (name, column) in enumerate(columns):
            for call in calls if LONG else (calls[0], calls[1 + number % (len(calls) - 1)]):
                with self.subTest(name=name, column=column, call=call):
                    before = (
                        f"RESET ROLE; ALTER TABLE stedi_books_target.{name} DROP CONSTRAINT {name}_valid;"
                        f" UPDATE stedi_books_target.{name} SET {column} = NULL; SET ROLE regress_sweeper"
                    )
                    check = (lambda: self.check_nobody_out((name, column))) if call in RUNS[:4] else None
                    self.undone(before, call, check)

    def test_names(self):
        """Schemas that are no zones are errors in every function, as OIDs that name nothing are."""
        self.db.run("CREATE TEMP TABLE stedi_history (entry int8, run int8, at timestamptz, who bytea, what text, object text,"
                    " byte_offset int8, rows_removed int8, rows_added int8, hash bytea)")
        for schema, states in {"999999::regnamespace": ("3F000",), "'elsewhere'": ("42P01",), "'pg_temp'": ("0A000", "3F000", "42P01", "42501")}.items():
            for function in ("verify_history", "consent_history", "expectations"):
                with self.subTest(schema=schema, function=function):
                    with self.assertRaises(psycopg.Error) as caught:
                        self.db.rows(f"SELECT * FROM stedi.{function}({schema})")
                    self.assertIn(caught.exception.sqlstate, states)

    def test_summaries(self):
        """EXPLAIN does not tell whether somebody who is out was once in."""
        self.write("accelerometer/3.json", *(movement(f"p{n % 4}@example.com", 1000 + n) for n in range(60000)))
        self.db.materialize("target")
        def blocks(email):
            self.db.run("SET enable_seqscan = off")
            plan = "\n".join(line for (line,) in self.db.rows(
                f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT FROM target.accelerometer_trusted WHERE email = '{email}'"))
            self.db.run("RESET enable_seqscan")
            return plan.replace(email, "?")
        self.assertNotEqual(blocks("p1@example.com"), blocks("nobody@example.com"))
        self.db.run("SELECT count(*) FROM stedi.forget('target', 'p1@example.com', 'objection')")
        self.assertEqual(blocks("p1@example.com"), blocks("nobody@example.com"))
        # a later run makes the summary anew, without them
        self.db.materialize("target")
        self.db.materialize("target")
        self.assertEqual(blocks("p1@example.com"), blocks("nobody@example.com"))
        self.assertNotEqual(blocks("p2@example.com"), blocks("nobody@example.com"))

    def test_privileges_first(self):
        """Whoever may not run learns nothing of who does, and cannot stand in the way."""
        other = self.connect()
        self.addCleanup(other.close)
        self.db.run("RESET ROLE")
        self.db.run("CREATE ROLE regress_sweep_guest")
        self.addCleanup(self.db.run, "RESET ROLE; DROP OWNED BY regress_sweep_guest CASCADE; DROP ROLE regress_sweep_guest")
        self.db.run("GRANT ALL ON SCHEMA target TO regress_sweep_guest")
        relid = self.db.value("SELECT 'target.accelerometer_trusted'::regclass::oid")
        self.db.run("SET ROLE regress_sweep_guest")
        self.db.run(f"CREATE TABLE target.stedi_staged_{relid} ()")
        self.db.run("CREATE TABLE target.stedi_key (key bytea)")
        self.db.run("RESET ROLE; SET ROLE regress_sweeper")
        self.db.run("BEGIN")
        self.db.run(RUNS[0])
        other.execute("SET ROLE regress_sweep_guest; SET lock_timeout = '5s'")
        with self.assertRaises(psycopg.errors.InsufficientPrivilege):
            other.execute(RUNS[0])
        self.db.run("COMMIT")

    def make_roles(self, *names):
        """Roles regress_sweep_... of one test; the session is a superuser's afterwards."""
        self.db.run("RESET ROLE")
        for name in names:
            self.db.run(f"CREATE ROLE regress_sweep_{name}")
            self.addCleanup(self.db.run, f"DROP OWNED BY regress_sweep_{name} CASCADE; DROP ROLE regress_sweep_{name}")
        # no DROP OWNED takes what others than an object's owner granted
        self.addCleanup(self.db.drop, "lake", "target", "elsewhere")
        self.addCleanup(self.db.run, "RESET ROLE")

    def as_role(self, role, *statements):
        self.db.run(f"SET ROLE {role}")
        outcome = self.attempt(*statements)
        self.db.run("RESET ROLE")
        return outcome

    def grants(self):
        """Grantor and grantee of all that is granted on the bookkeeping, but to its owner."""
        return {
            tuple(row)
            for row in self.db.rows(
                """WITH acls AS (
                    SELECT nspowner AS owner, nspacl AS acl FROM pg_namespace WHERE nspname = 'stedi_books_target'
                    UNION ALL SELECT relowner, relacl FROM pg_class WHERE relnamespace = 'stedi_books_target'::regnamespace
                    UNION ALL SELECT relowner, attacl FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
                        WHERE relnamespace = 'stedi_books_target'::regnamespace)
                SELECT DISTINCT CASE grantor WHEN owner THEN 'owner' ELSE grantor::regrole::text END,
                    CASE grantee WHEN 0 THEN 'public' ELSE grantee::regrole::text END
                FROM acls, aclexplode(acl) WHERE grantee <> owner"""
            )
        }

    def test_handover(self):
        """Nothing that a former owner granted of the bookkeeping survives a handover: table, column, schema."""
        self.make_roles("mallory", "eve", "heir", "auditor")
        self.db.run("GRANT USAGE ON FOREIGN SERVER lake TO regress_sweep_heir")
        self.db.run("GRANT ALL ON SCHEMA target, lake TO regress_sweep_heir")
        self.db.run("GRANT SELECT ON ALL TABLES IN SCHEMA lake TO regress_sweep_heir")
        self.db.run("GRANT ALL ON SCHEMA elsewhere TO regress_sweep_mallory, regress_sweep_eve")
        columns = dict(self.db.rows("""SELECT c.relname, string_agg(quote_ident(attname), ', ') FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid
            WHERE relnamespace = 'stedi_books_target'::regnamespace AND relkind = 'r' AND attnum > 0 GROUP BY 1"""))
        books = "stedi_books_target"
        # a superuser's grant is no former owner's
        self.db.run(f"GRANT USAGE ON SCHEMA {books} TO regress_sweep_auditor; GRANT SELECT (run) ON {books}.stedi_run TO regress_sweep_auditor")
        column_grants = [f"GRANT SELECT ({names}, ctid) ON {books}.{name} TO regress_sweep_mallory" for name, names in columns.items()]
        self.assertEqual(
            self.as_role(
                "regress_sweeper",
                f"GRANT USAGE ON SCHEMA {books} TO regress_sweep_mallory WITH GRANT OPTION",
                f"GRANT SELECT ON {books}.stedi_object TO PUBLIC",
                f"GRANT SELECT ON {books}.stedi_run TO regress_sweep_mallory WITH GRANT OPTION",
                *column_grants,
            ),
            "ok",
        )
        self.assertEqual(
            self.as_role(
                "regress_sweep_mallory",
                f"GRANT USAGE ON SCHEMA {books} TO regress_sweep_eve",
                f"GRANT SELECT (run) ON {books}.stedi_run TO regress_sweep_eve",
                f"CREATE VIEW elsewhere.m AS SELECT key FROM {books}.stedi_key",
            ),
            "ok",
        )
        self.assertEqual(self.as_role("regress_sweep_eve", f"CREATE VIEW elsewhere.e AS SELECT run FROM {books}.stedi_run"), "ok")
        self.assertEqual(self.as_role("regress_sweep_mallory", "SELECT * FROM elsewhere.m"), "ok")
        # without a handover they stay
        self.db.materialize("target")
        self.assertIn(("regress_sweeper", "regress_sweep_mallory"), self.grants())
        for table in TABLES:
            self.db.run(f"ALTER TABLE target.{table} OWNER TO regress_sweep_heir")
        self.assertEqual(self.as_role("regress_sweep_heir", RUNS[0]), "42501")
        self.db.run(f"GRANT USAGE ON SCHEMA {books} TO regress_sweep_heir WITH GRANT OPTION")
        self.db.run("SELECT count(*) FROM stedi.materialize('target', dry_run => true)")
        self.assertIn(("regress_sweeper", "regress_sweep_mallory"), self.grants())
        # a grant that is not committed yet is waited for, and not missed
        late = self.connect()
        self.addCleanup(late.close)
        late.execute("SET ROLE regress_sweeper")
        late.execute("BEGIN")
        late.execute(f"GRANT SELECT (xmin) ON {books}.stedi_object TO regress_sweep_eve")
        self.db.run("SET lock_timeout = '300ms'")
        self.assertEqual(self.attempt(RUNS[0]), "55P03")
        self.db.run("RESET lock_timeout")
        late.execute("ROLLBACK")
        self.db.materialize("target")
        self.assertEqual(self.grants(), {("owner", "regress_sweep_heir"), ("owner", "regress_sweep_auditor")})
        for role, view in (("regress_sweep_mallory", "m"), ("regress_sweep_eve", "e")):
            self.assertEqual(self.as_role(role, f"SELECT * FROM elsewhere.{view}"), "42501")
        # roles of which nothing is left can be dropped: the dependencies are gone, too
        self.assertEqual(
            self.db.rows("""SELECT DISTINCT refobjid::regrole::text FROM pg_shdepend WHERE deptype = 'a' AND refobjid::regrole::text LIKE 'regress_sweep%'
                AND ((classid = 'pg_class'::regclass AND objid IN (SELECT oid FROM pg_class WHERE relnamespace = 'stedi_books_target'::regnamespace))
                    OR (classid = 'pg_namespace'::regclass AND objid = 'stedi_books_target'::regnamespace)) ORDER BY 1"""),
            [("regress_sweep_auditor",), ("regress_sweep_heir",)],
        )
        self.assertEqual(self.as_role("regress_sweep_heir", RUNS[0]), "ok")

    def test_two_readers(self):
        """A second role that may hand on USAGE by a superuser's grant loses it in the owner's next run."""
        self.make_roles("auditor")
        self.db.run("GRANT USAGE ON SCHEMA stedi_books_target TO regress_sweep_auditor WITH GRANT OPTION")
        self.assertEqual(self.as_role("regress_sweeper", RUNS[0]), "ok")
        self.assertFalse(self.db.value("SELECT has_schema_privilege('regress_sweep_auditor', 'stedi_books_target', 'USAGE')"))
        self.assertEqual(self.as_role("regress_sweeper", "SELECT count(*) FROM stedi_books_target.stedi_key"), "ok")

    def test_name_taken(self):
        """Whoever may make relations in the target does not stand in the way of new storage."""
        self.make_roles("guest")
        self.db.run("GRANT ALL ON SCHEMA target TO regress_sweep_guest")
        relids = [relid for (relid,) in self.db.rows("SELECT oid FROM pg_class WHERE relnamespace = 'target'::regnamespace AND relkind = 'r'")]
        for prefix in ("pg_temp", "stedi_staged"):
            self.assertEqual(self.as_role("regress_sweep_guest", *(f"CREATE TABLE target.{prefix}_{relid} ()" for relid in relids)), "ok")
        self.assertEqual(self.as_role("regress_sweeper", RUNS[1]), "ok")
        # a first run makes tables whose OIDs the guest foresees, near the next one
        self.db.run("DROP TABLE " + ", ".join(f"target.{table}" for table in TABLES))
        ahead = max(relids) + 300
        names = "DO $$ BEGIN FOR n IN {} .. {} LOOP EXECUTE format('CREATE TYPE target.pg_temp_%s AS ()', n); END LOOP; END $$"
        newest = self.db.value("SELECT max(oid::int8) FROM pg_class")
        self.assertEqual(self.as_role("regress_sweep_guest", names.format(newest + 1000, max(ahead, newest) + 2500)), "ok")
        self.assertEqual(self.as_role("regress_sweeper", "SELECT count(*) FROM stedi.materialize('target', 'lake', consent => 'since_consent')"), "ok")

    def test_new_storage(self):
        """full_refresh keeps what storage a table has: TOAST, dropped columns, options, persistence, owner."""
        who = random.Random(3).randbytes(150000).hex()
        self.write("customers/3.json", {**customer("long@x"), "customerName": who})
        self.db.run(
            "ALTER TABLE target.customer_trusted SET (fillfactor = 60, toast.autovacuum_enabled = off);"
            " ALTER TABLE target.customer_trusted ADD COLUMN gone text; ALTER TABLE target.customer_trusted DROP COLUMN gone;"
            " ALTER TABLE target.customer_curated ALTER customername SET STORAGE EXTERNAL;"
            " ALTER TABLE target.accelerometer_trusted SET UNLOGGED"
        )
        self.db.run("RESET ROLE; SET allow_in_place_tablespaces = on")
        self.db.run("CREATE TABLESPACE regress_sweep_place LOCATION ''")
        self.addCleanup(self.db.run, "DROP TABLESPACE regress_sweep_place")
        self.addCleanup(self.db.drop, "lake", "target", "elsewhere")
        self.addCleanup(self.db.run, "RESET ROLE")
        self.db.run("ALTER TABLE target.customer_trusted SET TABLESPACE regress_sweep_place")
        self.db.run("SET ROLE regress_sweeper")
        storage = """SELECT c.relname, c.relowner::regrole::text, c.relpersistence, c.reloptions::text, c.reltablespace,
                t.relname = 'pg_toast_' || c.oid, t.relowner::regrole::text, t.relpersistence, t.reloptions::text, t.reltablespace,
                t.relnamespace::regnamespace::text, c.relacl::text, (SELECT string_agg(attname || attstorage::text, ' ' ORDER BY attnum)
                FROM pg_attribute WHERE attrelid = c.oid)
            FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.relnamespace = 'target'::regnamespace ORDER BY 1"""
        before = self.db.rows(storage)
        self.assertEqual({(row[1], row[5], row[6], row[10]) for row in before}, {("regress_sweeper", True, "regress_sweeper", "pg_toast")})
        staged = """SELECT count(*) FROM pg_class WHERE relname LIKE 'stedi\\_staged\\_%' OR relname LIKE 'pg\\_temp\\_%'"""
        files = "SELECT array_agg(pg_relation_filenode(oid) ORDER BY oid) FROM pg_class WHERE relnamespace = 'target'::regnamespace AND relkind = 'r'"
        node = self.db.value(files)
        self.db.run("SELECT count(*) FROM stedi.materialize('target', full_refresh => true, dry_run => true)")
        self.assertEqual((self.db.value(files), self.db.value(staged)), (node, 0))
        for _ in range(2):
            self.db.materialize("target", full_refresh=True)
            self.assertEqual(self.db.rows(storage), before)
            self.assertEqual(self.db.value("SELECT customername FROM target.customer_trusted WHERE email = 'long@x'"), who)
            self.assertEqual(self.db.value(staged), 0)
            self.assertTrue(all(one != other for one, other in zip(node, self.db.value(files))))
        self.db.run("VACUUM FULL target.customer_trusted")
        self.assertEqual(self.db.rows(storage), before)
        self.assertEqual(self.db.value("SELECT customername FROM target.customer_trusted WHERE email = 'long@x'"), who)
        self.check_nobody_out("full_refresh")


if __name__ == "__main__":
    unittest.main()
