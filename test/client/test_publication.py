"""A subscriber of the five tables follows the runs of materialize.

Proves that new readings, withdrawals, changed and removed objects, another
rule and full_refresh reach a subscriber of whatever kind of publication, row
for row; and that a table is refused whose rows could not be deleted there.
Guards src/storage/write.c.
"""
import shutil
import unittest

import psycopg

from stedi_client import DSN, TABLES, file_url, identifier, make_folder
from stedi_cluster import Cluster, run_program, wait_until

import landing

# The bookkeeping, where it is published.
BOOKS = (
    "SELECT tablename FROM pg_publication_tables"
    " WHERE pubname = 'zone' AND schemaname = 'project' AND tablename LIKE 'stedi%'"
)


@unittest.skipUnless(DSN, "STEDI_DSN names no server")
class PublicationTest(unittest.TestCase):
    """Publisher and subscriber are two databases of one server."""

    @classmethod
    def setUpClass(cls):
        cls.zone = make_folder()
        cls.addClassCleanup(shutil.rmtree, cls.zone, ignore_errors=True)
        landing.main([str(cls.zone), "--seed", "11", "--customers", "2"])

    def setUp(self):
        self.cluster = Cluster(self, wal_level="logical").make()
        self.folder = shutil.copytree(self.zone, self.cluster.folder / "zone")
        self.db = self.cluster.make_database("publisher")
        self.addCleanup(self.db.conn.close)
        self.db.make_landing("lake", file_url(self.folder))
        self.db.run("CREATE SCHEMA project")
        self.materialize()

    def materialize(self, **named):
        return self.db.materialize("project", landing="lake", **named)

    def subscribe(self):
        """A database with the tables, and a subscription to what is published."""
        info = self.db.conn.info
        dump = self.cluster.folder / "schema.sql"
        server = ("-h", info.host, "-p", str(info.port), "-U", info.user)
        run_program(
            self.cluster.programs / "pg_dump", *server, "-d", "publisher", "-s", "-f", dump,
            "--no-publications", "-n", "project", "-n", "stedi_books_project",
        )
        self.copy = self.cluster.make_database("subscriber")
        self.addCleanup(self.copy.conn.close)
        run_program(
            self.cluster.programs / "psql", *server, "-d", "subscriber", "-qX", "-f", dump,
            "-v", "ON_ERROR_STOP=1",
        )
        # on one server, CREATE SUBSCRIPTION would wait for itself if it made the slot
        self.db.run("SELECT pg_create_logical_replication_slot('zone', 'pgoutput')")
        self.copy.run(
            f"CREATE SUBSCRIPTION zone CONNECTION '{info.dsn} dbname=publisher' PUBLICATION zone"
            " WITH (create_slot = false, slot_name = zone)"
        )
        wait_until(self.all_copied, "the tables are not copied")

    def all_copied(self):
        return self.copy.value("SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel")

    def assert_follows(self):
        here = self.db.value("SELECT pg_current_wal_flush_lsn()")
        wait_until(
            lambda: self.db.value(
                "SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots"
                " WHERE slot_name = 'zone'", here
            ),
            "the subscriber does not follow",
        )
        expected = self.db.tables("project")
        copied = self.copy.tables("project")
        for table in TABLES:
            self.assertTrue(expected[table], table)
            self.assertEqual(copied[table], expected[table], table)
        for (table,) in self.db.rows(BOOKS):
            rows = f"SELECT t::text FROM project.{table} t ORDER BY 1"
            self.assertEqual(self.copy.rows(rows), self.db.rows(rows), table)

    def write(self, key, *lines):
        path = self.folder / key
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")

    def write_customers(self, key, people, consent, updated=landing.NOW):
        self.write(
            key,
            *(f'{{"email": "{email}", "serialNumber": "{serial}", "registrationDate": 1,'
              f' "lastUpdateDate": {updated}, "shareWithResearchAsOfDate": {consent}}}'
              for email, serial in people),
        )

    def people(self):
        """Some customers who are in: e-mail, serial number."""
        return self.db.rows(
            "SELECT email, serialnumber FROM project.customer_curated"
            " WHERE serialnumber IS NOT NULL ORDER BY email COLLATE \"C\" LIMIT 6"
        )

    def change_and_follow(self):
        """All that can happen to a zone, each followed by a run."""
        people = self.people()
        self.write_customers("customers/withdrawn.json", people, 0)
        withdrawn = self.materialize()
        self.assertGreaterEqual(withdrawn[0]["rows_out"], len(people))
        self.assertGreater(withdrawn[4]["rows_out"], 0)
        self.assert_follows()

        self.write_customers("customers/new.json", [("new@example.com", "new")], 1)
        times = range(100)
        self.write(
            "accelerometer/new.json",
            *(f'{{"user": "new@example.com", "timestamp": {time}, "x": -0.0, "y": 2}}' for time in times),
        )
        self.write(
            "step_trainer/new.json",
            *(f'{{"sensorReadingTime": {time}, "serialNumber": "new"}}' for time in times),
        )
        new = self.materialize()
        self.assertEqual([row["rows_in"] for row in new], [1, 100, 1, 100, 100])
        self.assert_follows()

        self.write_customers("customers/again.json", people[:2], 1, landing.NOW + 1)
        self.write("step_trainer/new.json", '{"sensorReadingTime": 5, "serialNumber": "new"}')
        (self.folder / "accelerometer/new.json").rename(self.folder / "accelerometer/newer.json")
        changed = self.materialize()
        self.assertEqual(changed[3]["rows_out"], 99)
        self.assert_follows()

        call = "SELECT source, name, rows FROM stedi.forget('project', %s, 'objection', 'lake')"
        forgotten = {name: rows for source, name, rows in self.db.rows(call, "new@example.com")}
        self.assertEqual(forgotten["accelerometer_trusted"], 100)
        self.assert_follows()
        self.materialize()
        self.db.run("SELECT stedi.unforget('project', 'new@example.com')")
        self.assert_follows()
        self.materialize()
        self.assert_follows()

        (self.folder / "customers/withdrawn.json").unlink()
        self.materialize()
        self.assert_follows()
        self.materialize(consent="since_consent")
        self.assert_follows()
        self.materialize(full_refresh=True)
        self.assert_follows()

    def test_tables(self):
        names = ", ".join(f"project.{identifier(table)}" for table in TABLES)
        self.db.run(f"CREATE PUBLICATION zone FOR TABLE {names}")
        self.subscribe()
        self.assert_follows()
        self.change_and_follow()

    def test_all_tables_from_the_first_run_on(self):
        """A first run under a publication fills its tables by INSERT."""
        self.db.run("CREATE PUBLICATION zone FOR ALL TABLES")
        self.subscribe()
        self.db.run("SET client_min_messages = warning")
        for (table,) in self.db.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'project'"):
            self.db.run(f"DROP TABLE project.{table}")
            self.copy.run(f"TRUNCATE project.{table}")
        self.materialize()
        self.assert_follows()
        self.change_and_follow()

    def assert_refused(self, table):
        """Nothing is changed, and the message says what to do."""
        before = self.db.tables("project"), self.db.rows("TABLE stedi_books_project.stedi_run")
        with self.assertRaises(psycopg.errors.ObjectNotInPrerequisiteState) as raised:
            self.materialize()
        diag = raised.exception.diag
        self.assertEqual((self.db.tables("project"), self.db.rows("TABLE stedi_books_project.stedi_run")), before)
        self.assertIn(f'cannot materialize table "{table}": it is published', diag.message_primary)
        self.assertIn("REPLICA IDENTITY", diag.message_hint)

    def test_no_replica_identity(self):
        """Refused before anything is changed; but only where deletions are published."""
        self.write_customers("customers/withdrawn.json", self.people(), 0)
        self.db.run("CREATE PUBLICATION inserts FOR ALL TABLES WITH (publish = 'insert')")
        self.db.run("ALTER TABLE project.step_trainer_curated REPLICA IDENTITY DEFAULT")
        self.materialize()
        self.db.run("CREATE PUBLICATION zone FOR TABLE project.step_trainer_curated")
        for kind in ("DEFAULT", "NOTHING"):
            self.db.run(f"ALTER TABLE project.step_trainer_curated REPLICA IDENTITY {kind}")
            self.assert_refused("step_trainer_curated")
        self.db.run("ALTER TABLE project.step_trainer_curated REPLICA IDENTITY FULL")
        self.db.run("DROP PUBLICATION zone")
        self.db.run("CREATE PUBLICATION zone FOR TABLES IN SCHEMA project")
        self.db.run("ALTER TABLE project.customer_trusted REPLICA IDENTITY NOTHING")
        self.assert_refused("customer_trusted")
        self.db.run("ALTER TABLE project.customer_trusted REPLICA IDENTITY FULL")
        self.materialize()


if __name__ == "__main__":
    unittest.main()
