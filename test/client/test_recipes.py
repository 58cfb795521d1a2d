"""The recipes of doc/recipes.md, as the page has them.

Each test runs the statements of a section, in their order, and looks at what
came of them.  Statements that no test runs are a failure, so the page has none
that do not work.
"""
import json
import re
import subprocess
import unittest

import psycopg

from stedi_client import DSN, PROJECT, TABLES, Database, connect, file_url
from stedi_cluster import Cluster, wait_until
from stedi_pages import Runner, blocks

import landing

PAGE = (PROJECT / "doc/recipes.md").read_text(encoding="utf-8")

# What stands for the reader's own on the page.
THEIR_URL = "url 's3://cd0030bucket', region 'us-east-1'"
THEIR_HOST = "lake.example.com"

LANDING = ("customer_landing", "accelerometer_landing", "step_trainer_landing")
ML = "machine_learning_curated"


def section(name):
    """The statements of a section: (sql or sh, text)."""
    (text,) = (
        part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)
        if part.startswith(name + "\n")
    )
    return [(block.kind, block.code) for block in blocks(text)]


@unittest.skipUnless(DSN, "STEDI_DSN names no server")
class RecipeTest(unittest.TestCase):
    """Each has a server of its own, as roles and databases are called as on the page."""

    def setUp(self):
        self.cluster = Cluster(self, wal_level="logical").make()
        self.scratch = self.cluster.folder / "scratch"
        self.scratch.mkdir()
        self.zone = self.cluster.folder / "zone"
        landing.main([str(self.zone), "--clean", "--seed", "3", "--customers", "20", "--readings", "5"])
        with self.cluster.connect("postgres") as conn:
            conn.execute("CREATE DATABASE lake TEMPLATE template0")
        self.runner = Runner(
            self.cluster, self.scratch,
            {THEIR_URL: f"url '{file_url(self.zone)}'", THEIR_HOST: str(self.cluster.folder)},
        )
        self.left = section("Who owns what")
        self.run_next()

    def begin(self, name):
        """The first section is done; its last statements are the engineer's first run."""
        self.run_next()
        self.assertEqual(self.left, [])
        self.left = section(name)
        self.db = self.connect()

    def end(self):
        self.assertEqual(self.left, [], "statements of the page that were not run")

    def run_next(self, n=1):
        """Run the next blocks; what the last of them printed."""
        for _ in range(n):
            output = self.run_block(*self.left.pop(0))
        return output

    def run_block(self, kind, code):
        return self.runner.run(kind, code)[0]

    def connect(self, role=None, dbname="lake"):
        db = Database(
            connect(dbname, host=str(self.cluster.folder), port=5432, user=role or self.cluster.user)
        )
        self.addCleanup(db.conn.close)
        return db

    def materialize(self, db=None, **named):
        return (db or self.db).materialize("project", landing="landing", **named)

    def assert_right(self, db=None):
        """The five tables hold what they should."""
        audit = "SELECT * FROM stedi.audit('project', landing => 'landing')"
        self.assertEqual((db or self.db).rows(audit), [])

    def tables(self):
        """The five, and the bookkeeping."""
        names = [name for (name,) in self.db.rows(
            "SELECT oid::regclass::text FROM pg_class WHERE relnamespace IN ('project'::regnamespace, 'stedi_books_project'::regnamespace)"
            " AND relkind = 'r'"
        )]
        self.assertGreater(len(names), 2 * len(TABLES))
        return names

    def people(self, n=1):
        return [who for (who,) in self.db.rows(
            "SELECT email FROM project.customer_curated ORDER BY email COLLATE \"C\" LIMIT %s", n
        )]

    def write(self, key, *records):
        (self.zone / key).write_text("".join(json.dumps(record) + "\n" for record in records))

    def withdraw(self, who, key="customers/withdrawn.json"):
        self.write(key, {"email": who, "lastUpdateDate": landing.NOW, "shareWithResearchAsOfDate": 0})

    def assert_denied(self, db, query, *params):
        with self.assertRaises(psycopg.errors.InsufficientPrivilege, msg=query):
            db.run(query, *params)

    def test_reader(self):
        self.begin("A reader of one table")
        self.run_next()
        readers = f"project.{ML}|scientist\n"
        self.assertEqual(self.run_next(), readers)
        self.end()
        # who finds nothing has not looked: what is granted shows
        self.db.run("GRANT SELECT (email) ON project.customer_trusted TO scientist")
        self.left = section("A reader of one table")[1:]
        self.assertIn("project.customer_trusted|scientist", self.run_next())
        self.db.run("REVOKE SELECT (email) ON project.customer_trusted FROM scientist")

        scientist = self.connect("scientist")
        for full_refresh in (False, True):
            self.materialize(full_refresh=full_refresh)
            self.assertGreater(scientist.value(f"SELECT count(*) FROM project.{ML}"), 0)
            closed = [name for name in self.tables() if name != f"project.{ML}"]
            for table in (*closed, *(f"landing.{name}" for name in LANDING)):
                self.assert_denied(scientist, f"SELECT FROM {table}")
        for call in (
            "rejects('landing.customer_landing')", "customer_records('landing.customer_landing')",
            f"lineage('project.{ML}', landing => 'landing')", "audit('project', 'landing')",
            "subject('project', 'a@example.com', 'landing')", "consent_history('project')",
            "materialize('project', 'landing')", "credential('lake')",
            "forget('project', 'a@example.com', 'objection', 'landing')",
        ):
            self.assert_denied(scientist, f"SELECT FROM stedi.{call}")
        for statement in (
            "INSERT INTO project.machine_learning_curated DEFAULT VALUES",
            "CREATE TABLE project.mine ()",
            "CREATE USER MAPPING FOR scientist SERVER lake",
            "IMPORT FOREIGN SCHEMA landing FROM SERVER lake INTO pg_temp",
        ):
            self.assert_denied(scientist, statement)
        self.assertEqual(
            scientist.rows("SELECT DISTINCT tablename FROM pg_stats WHERE schemaname IN ('project', 'landing')"),
            [(ML,)],
        )

    def test_row_level_security(self):
        self.begin("Row-level security")
        self.run_next(2)
        self.end()
        caller = self.connect("callcentre")
        tables = ("customer_trusted", "customer_curated")
        public = "sharewithpublicasofdate BETWEEN '1970-01-02' AND now()"

        def assert_sees():
            for table in tables:
                expected = self.db.rows(f"SELECT email FROM project.{table} WHERE {public} ORDER BY 1")
                everybody = self.db.value(f"SELECT count(*) FROM project.{table}")
                seen = caller.rows(f"SELECT email FROM project.{table} ORDER BY 1")
                self.assertEqual(seen, expected)
                self.assertTrue(0 < len(seen) < everybody, table)
            self.assert_denied(caller, "SELECT FROM project.accelerometer_trusted")

        engineer = self.connect("engineer")
        assert_sees()
        shown = caller.value("SELECT min(email) FROM project.customer_curated")
        self.withdraw(shown)
        self.assertEqual(self.materialize(engineer)[0]["rows_out"], 1)
        assert_sees()
        self.assertNotIn((shown,), caller.rows("SELECT email FROM project.customer_trusted"))
        self.assertEqual({row["mode"] for row in self.materialize(engineer, full_refresh=True)}, {"full"})
        assert_sees()
        self.assert_right(engineer)

        # FORCE binds the owner: refused, nothing changed
        self.db.run("ALTER TABLE project.customer_curated FORCE ROW LEVEL SECURITY")
        self.withdraw(caller.value("SELECT min(email) FROM project.customer_curated"), "customers/more.json")
        before = self.db.tables("project")
        for full_refresh in (False, True):
            with self.assertRaisesRegex(psycopg.Error, "row-level security of table \"customer_curated\" holds for its owner, too"):
                self.materialize(engineer, full_refresh=full_refresh)
        self.assertEqual(self.db.tables("project"), before)
        self.db.run("ALTER ROLE engineer BYPASSRLS")
        self.assertEqual(self.materialize(engineer)[0]["rows_out"], 1)
        self.db.run("ALTER ROLE engineer NOBYPASSRLS")
        self.db.run("ALTER TABLE project.customer_curated NO FORCE ROW LEVEL SECURITY")
        self.materialize(engineer)
        assert_sees()

    def test_cron(self):
        with connect() as conn:
            if not conn.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_cron'").fetchone():
                self.skipTest("there is no pg_cron")
        settings = dict(
            line.split(" = ") for line in re.search(r"```conf\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()
        )
        settings = {name: value.strip("'") for name, value in settings.items()}
        self.cluster.stop()
        self.cluster.start(**settings)
        self.begin("Every 15 minutes")
        self.run_next(2)
        who = self.people()[0]
        self.withdraw(who)
        self.start_job(settings)
        wait_until(lambda: self.ended("succeeded"), "the job has not run")
        self.assertNotIn((who,), self.db.rows("SELECT email FROM project.customer_trusted"))
        self.assertEqual(
            self.db.rows("SELECT schedule, username, database FROM cron.job"),
            [("@reboot", "engineer", "lake")],
        )

        # a run that fails
        saved = self.zone / "customers"
        saved.rename(self.zone / "elsewhere")
        self.start_job(settings)
        wait_until(lambda: self.ended("failed"), "the job has not failed")
        log = self.run_next()
        self.assertRegex(log, r"^[^\n]*\|failed\|ERROR: [^\n]*no object under folder")
        self.assertIn("|succeeded|", log)
        (self.zone / "elsewhere").rename(saved)
        self.run_next()
        self.end()
        self.assertEqual(self.db.value("SELECT count(*) FROM cron.job"), 2)

    def start_job(self, settings):
        """pg_cron's shortest time is a minute, or now, when the server starts."""
        self.db.run("SELECT cron.alter_job(jobid, schedule => '@reboot') FROM cron.job")
        self.db.conn.close()
        self.cluster.stop()
        self.cluster.start(**settings)
        self.db = self.connect()

    def ended(self, status):
        return self.db.value("SELECT count(*) FROM cron.job_run_details WHERE status = %s", status)

    def test_monitoring(self):
        self.begin("Monitoring")
        self.run_next(2)
        view = "SELECT {} FROM monitoring.stedi"
        monitor = self.connect("monitor")
        problems, dry = self.left[0], self.left[1]
        self.assertEqual(self.run_block(*problems), "")
        self.assertEqual(self.run_block(*dry), "")
        for table in self.tables():
            self.assert_denied(monitor, f"SELECT FROM {table}")
        self.assertEqual(
            monitor.value(view.format("rows")), sum(self.db.counts("project"))
        )
        self.assertEqual(
            monitor.value(view.format("records")),
            sum(self.db.value(f"SELECT count(*) FROM landing.{name}") for name in LANDING),
        )

        # a withdrawal is pending, then followed
        self.withdraw(self.people()[0])
        self.assertIn("customer_trusted|0|1\n", self.run_block(*dry))
        self.materialize()
        self.assertEqual(self.run_block(*dry), "")
        self.assertGreaterEqual(monitor.value(view.format("rows_out")), 2)

        # nothing new is a run, too: what is told is of that one
        self.connect().run("UPDATE stedi_books_project.stedi_run SET started = started - interval '1 h', finished = finished - interval '1 h'")
        self.assertRegex(self.run_block(*problems), r"^no run has ended for 01:00:00\n$")
        self.materialize()
        self.assertEqual(self.run_block(*problems), "")
        self.assertEqual(monitor.value(view.format("rows_out")), 0)

        # rejects, and most rows gone
        (self.zone / "customers/broken.json").write_text("nonsense\n")
        self.materialize()
        self.assertRegex(self.run_block(*problems), r"^\d+ new records cannot be read")
        self.assertEqual(monitor.rows(view.format("new_rejects, rejects")), [(1, 1)])
        for number, who in enumerate(self.people(5)):
            self.withdraw(who, f"customers/withdrawn-{number}.json")
        self.materialize()
        self.assertIn("a run has removed", self.run_block(*problems))
        self.connect().run("TRUNCATE stedi_books_project.stedi_run")
        self.assertIn("no run has ended for ever", self.run_block(*problems))
        self.run_next(2)
        self.end()

    def test_partitions(self):
        # the tables are there before the first run
        self.run_block("sql", "-- as engineer\n" + re.search(
            r"^IMPORT.*?;", self.left.pop(0)[1], re.MULTILINE | re.DOTALL)[0])
        self.left = section("Partitions")
        self.db = self.connect("engineer")
        printed = self.run_next()
        self.end()
        self.assertIn(f"{ML}|difference|", printed)
        self.assertIn("accelerometer_trusted|difference|", printed)
        self.check_partitions()
        self.assertEqual(self.db.rows("SELECT consent FROM stedi_books_project.stedi_rule"), [("granted",)])

        who, other = self.people(2)
        self.withdraw(who)
        report = self.materialize()
        self.assertEqual({row["mode"] for row in report}, {"incremental"})
        for row in report:
            self.assertGreater(row["rows_out"], 0, row["table_name"])
        self.check_partitions()

        self.write("customers/new.json", {
            "email": "new@example.com", "serialNumber": "new", "registrationDate": 1,
            "lastUpdateDate": 5, "shareWithResearchAsOfDate": 5})
        times = (landing.NOW, landing.NOW - 3 * 365 * 86_400_000, 1000)
        self.write("accelerometer/new.json", *(
            {"user": "new@example.com", "timestamp": time, "x": 1, "y": 2, "z": 3} for time in times))
        self.write("step_trainer/new.json", *(
            {"sensorReadingTime": time, "serialNumber": "new", "distanceFromObject": 4} for time in times))
        self.assertEqual([row["rows_in"] for row in self.materialize()], [1, 3, 1, 3, 3])
        self.check_partitions()
        forget = "SELECT name, rows FROM stedi.forget('project', %s, 'objection', 'landing') WHERE source = 'table'"
        self.assertGreater(dict(self.db.rows(forget, other))["accelerometer_trusted"], 0)
        self.check_partitions()
        (self.zone / "accelerometer/new.json").unlink()
        self.assertEqual(self.materialize()[1]["rows_out"], 3)
        self.check_partitions()
        report = self.materialize(full_refresh=True)
        modes = {row["table_name"]: row["mode"] for row in report}
        self.assertEqual((modes[ML], modes["customer_trusted"]), ("difference", "full"))
        self.materialize(consent="since_consent")
        self.check_partitions()

        # somebody drops a partition: the next whole run brings back what was in it
        self.db.run("DROP TABLE project.accelerometer_rest")
        self.db.run("CREATE TABLE project.accelerometer_rest PARTITION OF project.accelerometer_trusted DEFAULT")
        self.materialize(full_refresh=True)
        self.check_partitions()

    def check_partitions(self):
        self.assert_right()
        for parent in ("accelerometer_trusted", ML):
            placed = self.db.rows(f"SELECT tableoid::regclass::text, count(*) FROM project.{parent} GROUP BY 1")
            self.assertEqual(len(placed), 2, placed)

    def test_replication(self):
        self.begin("Logical replication")
        self.run_next(2)
        # the second server is the same one, so the page's last point holds
        self.db.run("SELECT pg_create_logical_replication_slot('curated', 'pgoutput')")
        kind, code = self.left.pop(0)
        self.run_block(kind, code.replace("PUBLICATION curated;", "PUBLICATION curated WITH (create_slot = false);"))
        self.end()
        copy = self.connect(dbname="copy")
        wait_until(
            lambda: copy.value("SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel"),
            "the tables are not copied",
        )
        followed = ("step_trainer_curated", ML)

        def assert_follows():
            here = self.db.value("SELECT pg_current_wal_flush_lsn()")
            wait_until(
                lambda: self.db.value("SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots", here),
                "the subscriber does not follow",
            )
            for table in followed:
                self.assertEqual(copy.table("project", table), self.db.table("project", table))

        assert_follows()
        who, other = self.people(2)
        self.withdraw(who)
        self.assertGreater(self.materialize()[4]["rows_out"], 0)
        assert_follows()
        self.db.rows("SELECT * FROM stedi.forget('project', %s, 'objection', 'landing')", other)
        assert_follows()
        self.materialize(full_refresh=True)
        assert_follows()
        self.assertEqual(
            copy.rows("SELECT relname FROM pg_class WHERE relnamespace = 'project'::regnamespace AND relkind = 'r' ORDER BY 1"),
            [(ML,), ("step_trainer_curated",)],
        )
        copy.run("DROP SUBSCRIPTION curated")

    def test_backup(self):
        self.begin("Backup")
        withdrawn, forgotten = self.people(2)
        before = sum(self.db.counts("project"))
        self.run_next()
        # what comes after the dump: both are in the copy of the whole server, neither may come back
        restore, run_again, copy, bring_up = self.left
        self.run_block(*copy)
        self.withdraw(withdrawn)
        self.db.rows("SELECT * FROM stedi.forget('project', %s, 'objection', 'landing')", forgotten)
        self.run_block("sh", "psql -d lake -c \"\\copy stedi_books_project.stedi_forgotten TO 'forgotten.csv' CSV\"")
        self.materialize()
        self.assertLess(sum(self.db.counts("project")), before)
        expected = self.db.tables("project")
        history = self.db.value("SELECT count(*) FROM stedi.consent_history('project')")
        self.assertGreater(history, 0)

        # nobody is in the dump
        dump = subprocess.run(
            [self.cluster.programs / "pg_restore", "-f", "-", self.scratch / "lake.dump"],
            stdout=subprocess.PIPE, check=True,
        ).stdout.decode()
        self.assertIn("COPY stedi_books_project.stedi_object", dump)
        self.assertIn("COPY stedi_books_project.stedi_forgotten", dump)
        self.assertNotIn("COPY project.accelerometer_trusted", dump)
        for who in (withdrawn, forgotten):
            self.assertNotIn(who, dump)

        # the whole server, as it was
        (self.scratch / "restore.sql").write_text(run_again[1])
        look = 'psql -XAt -h "$PWD/closed" -d lake -c "SELECT email FROM project.customer_trusted"\n'
        stop = "pg_ctl -D copied -w stop\n"
        self.assertIn(stop, bring_up[1])
        printed = self.run_block("sh", bring_up[1].replace(stop, look + stop))
        self.assertIn("@example.com", printed)
        for who in (withdrawn, forgotten):
            self.assertNotIn(who, printed)

        # the dump, into an empty server
        self.db.conn.close()
        with self.cluster.connect("postgres") as conn:
            conn.execute("DROP DATABASE lake WITH (FORCE)")
            conn.execute("DROP ROLE engineer")
            conn.execute("DROP ROLE scientist")
        self.run_block(*restore)
        with self.assertRaisesRegex(psycopg.OperationalError, "too many connections"):
            self.connect("scientist")
        self.assertEqual(self.run_block(*run_again).splitlines()[-1], "0")
        self.db = self.connect()
        self.assertEqual(self.db.tables("project"), expected)
        self.assertEqual(self.db.rows("SELECT * FROM stedi.verify_history('project')"), [])
        self.assertEqual(self.materialize()[0]["mode"], "incremental")
        self.assert_right()
        self.connect("scientist")


if __name__ == "__main__":
    unittest.main()
