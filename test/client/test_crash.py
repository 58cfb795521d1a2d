"""Processes killed at any moment of a run of materialize.

Proves that afterwards the tables and their bookkeeping are as before the run
or as after it, whole; that nothing of it is left in the catalog or among the
temporary files; and that the next run makes the tables equal to new ones.
Guards src/commands/materialize.c, src/storage/write.c, src/storage/heap.c and src/books/book.c.

STEDI_TEST_KILLS says how often each of the two servers here is killed.
"""
import json
import os
import random
import shutil
import time
import unittest

from psycopg.pq import ExecStatus

from stedi_client import DSN, TABLES, file_url, make_folder
from stedi_cluster import Cluster

import landing

KILLS = int(os.environ.get("STEDI_TEST_KILLS", "5"))

# What the killed process's client may be told: nothing any more (None), that
# the server goes down or has crashed, or that a worker of the run is gone.
MAY_BE_TOLD = (None, "57P01", "57P02", "55000")

CONTENTS = (
    "SELECT md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\"), ''))"
    " FROM {schema}.{table} t"
)


class Landing:
    """A copy of a landing zone, in which something happens before each run."""

    def __init__(self, zone, folder, rng):
        self.folder = shutil.copytree(zone, folder)
        self.rng = rng
        self.n_changes = 0
        self.newcomers = []

    def write(self, key, records):
        path = self.folder / key
        text = "".join(json.dumps(record) + "\n" for record in records)
        path.write_text(text, encoding="utf-8")

    def customer(self, email, serial, consent):
        return {
            "email": email,
            "serialNumber": serial,
            "registrationDate": 1,
            "lastUpdateDate": landing.NOW + self.n_changes,
            "shareWithResearchAsOfDate": consent,
        }

    def change(self, granted):
        """Objects come, change and go; granted are (email, serial number) of those who are in."""
        self.n_changes += 1
        n = self.n_changes
        withdrawn = self.rng.sample(granted, min(20, len(granted)))
        self.newcomers.append((f"newcomer-{n}@example.com", f"device of newcomer {n}"))
        self.write(
            f"customers/change-{n}.json",
            [self.customer(*person, 0) for person in withdrawn]
            + [self.customer(*person, 1) for person in self.newcomers],
        )
        times = range(1000 * n, 1000 * n + 300)
        email, serial = self.newcomers[-1]
        self.write(
            f"accelerometer/change-{n}.json",
            [{"user": email, "timestamp": time, "x": 1, "y": 2, "z": 3} for time in times],
        )
        self.write(
            f"step_trainer/change-{n}.json",
            [{"sensorReadingTime": time, "serialNumber": serial, "distanceFromObject": 4}
             for time in times],
        )
        for kind in ("accelerometer", "step_trainer"):
            self.rewrite(kind)

    def rewrite(self, kind):
        """One object goes, another loses its end."""
        objects = sorted(
            path for path in (self.folder / kind).rglob("*") if path.is_file()
            and not path.name.startswith((".", "_"))
        )
        gone, cut = self.rng.sample(objects, 2)
        gone.unlink()
        data = cut.read_bytes()
        cut.write_bytes(data[: len(data) * 2 // 3])


class Crash:
    """One server, which is killed again and again."""

    RUN = "SELECT * FROM stedi.materialize('{schema}', landing => 'lake'{more})"
    MORE = {"first": "", "next": "", "full_refresh": ", full_refresh => true"}
    FORGET = "SELECT * FROM stedi.forget('{schema}', '{email}', 'objection', landing => 'lake')"

    def __init__(self, test, zone, rng, **settings):
        self.test = test
        self.rng = rng
        self.cluster = Cluster(test, **settings).make()
        self.db = self.cluster.make_database("crash")
        self.landing = Landing(zone, self.cluster.folder / "zone", rng)
        self.db.make_landing("lake", file_url(self.landing.folder))
        self.db.run("CREATE SCHEMA target")
        self.forgotten = []
        self.elapsed = {}
        for kind in self.MORE:
            if kind == "next":
                self.change()
            self.run_again(kind)
        self.elapsed["forget"] = self.elapsed["next"]

    def connect(self):
        """Anew, after a crash."""
        self.db.conn.close()
        self.db = self.cluster.database("crash")

    def granted(self):
        return self.db.rows(
            'SELECT email, serialnumber FROM target.customer_trusted ORDER BY email COLLATE "C"'
        )

    def change(self):
        self.landing.change(self.granted())

    def run(self, kind, schema="target"):
        """The statement of a run."""
        return self.RUN.format(schema=schema, more=self.MORE[kind])

    def forget(self, email, schema="target"):
        return self.FORGET.format(schema=schema, email=email)

    def run_again(self, kind):
        """A run that nobody disturbs; how long it takes is how long the next of its kind may."""
        started = time.monotonic()
        self.db.run(self.run(kind))
        self.elapsed[kind] = time.monotonic() - started

    def state(self, schema):
        """All that the schema has, as {relation: contents}."""
        relations = self.db.rows(
            "SELECT relname, relkind = 'r' FROM pg_class WHERE relnamespace = %s::regnamespace", schema
        )
        return {
            name: self.db.value(CONTENTS.format(schema=schema, table=name)) if is_table else ""
            for name, is_table in relations
        }

    def n_runs(self):
        if self.db.value("SELECT to_regclass('stedi_books_target.stedi_run') IS NULL"):
            return 0
        return self.db.value("SELECT count(DISTINCT run) FROM stedi_books_target.stedi_run")

    def books(self, schema):
        """What the bookkeeping says of landing zone and tables; its hashes are each schema's own."""
        return [
            self.db.rows(query.format(schema))
            for query in (
                "SELECT table_name, key, etag, size, records, rejects, first_reading::text, last_reading::text,"
                " vanished, length(people), length(devices)"
                ' FROM stedi_books_{}.stedi_object ORDER BY table_name, key COLLATE "C"',
                "SELECT standing, owned_since, count(*) FROM stedi_books_{}.stedi_device GROUP BY 1, 2 ORDER BY 1, 2",
                "SELECT consent, match FROM stedi_books_{}.stedi_rule",
                "SELECT complete, rows FROM stedi_books_{}.stedi_state",
            )
        ]

    def assert_equals_new(self, state, books=True):
        """The five tables, and what is written down of them, are what a rebuild elsewhere gives."""
        self.db.run("CREATE SCHEMA fresh")
        self.db.run(self.run("first", "fresh"))
        for email in self.forgotten:
            self.db.run(self.forget(email, "fresh"))
        if self.forgotten:
            self.db.run(self.run("full_refresh", "fresh"))
        fresh = self.state("fresh")
        for table in TABLES:
            self.test.assertEqual(state[table], fresh[table], table)
        if books:
            self.test.assertEqual(self.books("target"), self.books("fresh"))
        self.test.assertEqual(state.keys(), fresh.keys())
        self.test.assertEqual(self.db.rows("SELECT * FROM stedi.verify_history('target')"), [])
        self.db.drop("fresh")

    def assert_nothing_left(self):
        """No relation that belongs to nobody, no temporary file."""
        left = self.db.rows(
            "SELECT oid::regclass::text FROM pg_class c WHERE relpersistence <> 'p'"
            " OR relnamespace = 'pg_toast'::regnamespace AND relkind = 't'"
            "  AND NOT EXISTS (SELECT FROM pg_class o WHERE o.reltoastrelid = c.oid)"
        )
        self.test.assertEqual(left, [])
        temporary = self.cluster.data / "base" / "pgsql_tmp"
        if temporary.exists():
            self.test.assertEqual(os.listdir(temporary), [])

    def kill_meanwhile(self, victim, statement, delay):
        """Kill somebody while a statement runs.  Has it ended well?"""
        conn = self.db.conn
        pid = conn.info.backend_pid
        conn.pgconn.send_query(statement.encode())
        time.sleep(delay)
        processes = self.cluster.processes()
        if victim in ("server", "all"):
            self.cluster.kill(everybody=victim == "all")
            self.cluster.start()
        else:
            workers = [one for one, command in processes.items()
                       if f"parallel worker for PID {pid}" in command]
            self.cluster.crash(*workers[: victim == "worker"], pid)
        result = conn.pgconn.get_result()
        if result.status == ExecStatus.TUPLES_OK:
            return True
        told = result.error_field(ord("C"))
        self.test.assertIn(told and told.decode(), MAY_BE_TOLD, result.error_message)
        return False

    def begin_again(self):
        self.db.run("SET client_min_messages = warning")
        self.db.run("DROP SCHEMA target CASCADE")
        self.db.run("CREATE SCHEMA target")
        self.forgotten = []

    def round(self, victim, kind):
        person = None
        if kind == "first":
            self.begin_again()
        elif kind == "forget":
            person = self.rng.choice(self.granted())[0]
        else:
            self.change()
        statement = self.forget(person) if person else self.run(kind)
        old = self.state("target")
        runs = self.n_runs()
        delay = self.rng.uniform(0, 1.1) * self.elapsed[kind]
        done = self.kill_meanwhile(victim, statement, delay)
        self.connect()
        state = self.state("target")
        if done:
            self.test.assertNotEqual(state, old)
        if state != old:
            self.forgotten += [person] * bool(person)
            self.test.assertEqual(self.n_runs(), runs + (person is None))
            self.assert_equals_new(state, books=person is None)
        self.assert_nothing_left()
        self.run_again(kind if state == old and not person else "next")
        self.assert_equals_new(self.state("target"))
        return state != old


@unittest.skipUnless(DSN, "STEDI_DSN names no server")
class CrashTest(unittest.TestCase):
    VICTIMS = ("backend", "all", "worker", "server")

    @classmethod
    def setUpClass(cls):
        cls.zone = make_folder()
        cls.addClassCleanup(shutil.rmtree, cls.zone, ignore_errors=True)
        landing.main([str(cls.zone), "--seed", "7", "--customers", "500", "--readings", "60"])

    def kill_often(self, seed, **settings):
        rng = random.Random(seed)
        crash = Crash(
            self, self.zone, rng, min_parallel_table_scan_size=0, max_parallel_maintenance_workers=2, **settings
        )
        outcomes = []
        for number in range(KILLS):
            victim = self.VICTIMS[number % len(self.VICTIMS)]
            kind = rng.choice(("next", "next", "first", "full_refresh", "forget"))
            try:
                outcomes.append((victim, kind, crash.round(victim, kind)))
            except Exception as error:
                raise AssertionError(f"round {number}: {victim} killed meanwhile: {kind}") from error
        return outcomes

    def test_open_transactions(self):
        """A run that is undone as its server is gone: recovery does not stumble over what it made."""
        crash = Crash(self, self.zone, random.Random(3))
        old = crash.state("target")
        for undo, everybody in (("SELECT 1", False), ("ROLLBACK TO s", True), ("ROLLBACK", True)):
            crash.db.run("BEGIN; SAVEPOINT s")
            crash.db.run(crash.RUN.format(schema="target", more=", consent => 'since_consent'"))
            crash.db.run(undo)
            crash.cluster.kill(everybody)
            crash.cluster.start()
            crash.connect()
            self.assertEqual(crash.state("target"), old)

    def test_kills(self):
        self.kill_often(1)

    def test_kills_where_new_tables_are_not_logged(self):
        self.kill_often(2, wal_level="minimal", max_wal_senders=0)


if __name__ == "__main__":
    unittest.main()
