"""Where people's values and the keys of S3 go: nowhere that they need not.

A server of its own logs everything that it can, with plans.  Canaries that
nothing else has go through calls with bound parameters, through runs and scans,
and through errors in the middle of both:

- SecretsTest: somebody who consents, and is forgotten, asked for and withdrawn;
- CanaryTest: people who never consented, and the keys of a user mapping, with an
  S3 server that repeats in its answers whatever it was sent.

Afterwards they are in no log, no view of what others run, no message, no plan,
no statistics, no dump and no file of the data directory, but for what PostgreSQL
keeps itself, which is looked for as well.  What is planted in a place is found
there by the same search.  The server's memory, its WAL and its log of statements
that somebody types are not looked at.

Guards src/zone_forget.c, src/zone_subject.c, src/zone_find.c, src/zone_stats.c,
src/trouble.c, src/credential.c and src/analyze.c.  STEDI_TEST_SECURITY=long has
each error of S3 in each place, and each format of plans.
"""
import base64
import contextlib
import json
import os
import re
import struct
import subprocess
import threading
import types
import unittest

import psycopg

from stedi_client import LANDING_TABLES, TABLES, ServerTest, file_url, make_folder, options_list
from stedi_cluster import Cluster, wait_until
from stedi_fake import FakeS3, error, store

LONG = os.environ.get("STEDI_TEST_SECURITY") == "long"

EMAIL = "canary.q7x@example.com"
SERIAL = "SN-canary-Q7X"
# A birthday, and a reading, of somebody who does not consent.
BIRTHDAY = "1877-03-14"
READING = 31337.4242
# Any of these tells: as text, as the bytes of one, and as a printed plan has them.
SIGNS = (
    "canary",
    "canary".encode().hex(),
    " ".join(str(byte) for byte in b"canary"),
    base64.b64encode(b"canary").decode().lower(),
    BIRTHDAY,
    str(READING),
)

# A server that says all that it can.
LOUD = {
    "log_min_messages": "debug5",
    "log_min_error_statement": "error",
    "log_statement": "none",
    "log_parameter_max_length": "-1",
    "log_lock_waits": "on",
    "deadlock_timeout": "10ms",
    "debug_print_parse": "on",
    "debug_print_rewritten": "on",
    "debug_print_plan": "on",
    "track_activity_query_size": "1MB",
    "shared_preload_libraries": "pg_stat_statements,auto_explain",
    "pg_stat_statements.track": "all",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_verbose": "on",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_settings": "on",
    "auto_explain.log_triggers": "on",
    "auto_explain.log_nested_statements": "on",
    # else the plans of what a test calls have its own parameters, which is PostgreSQL's doing
    "plan_cache_mode": "force_generic_plan",
}

FORGET = "SELECT * FROM stedi.forget('target', %s, 'objection', 'lake')"
UNFORGET = "SELECT stedi.unforget('target', %s)"
SUBJECT = "SELECT * FROM stedi.subject('target', %s, 'lake')"


def customer(number, email=None, serial=None, updated=10, consent=5):
    return {
        "customerName": f"Name {number}",
        "email": email or f"p{number}@example.com",
        "serialNumber": serial or f"S-{number}",
        "registrationDate": 1,
        "lastUpdateDate": updated,
        "shareWithResearchAsOfDate": consent,
    }


def canary(updated=10, consent=5):
    return customer("of the canary", EMAIL, SERIAL, updated, consent)


def move(email, time):
    return {"user": email, "timestamp": time, "x": 1, "y": 2, "z": 3}


def step(serial, time):
    return {"sensorReadingTime": time, "serialNumber": serial, "distanceFromObject": 7}


def everything(error):
    """All that an error says to a client."""
    diag = error.diag
    names = [name for name in dir(diag) if not name.startswith("_")]
    return "\n".join(str(getattr(diag, name)) for name in names)


class SecretsTest(ServerTest):
    """Each test has a database of its own, on one server."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()

        def skip(reason):
            raise unittest.SkipTest(reason)

        cls.cluster = Cluster(
            types.SimpleNamespace(addCleanup=cls.addClassCleanup, skipTest=skip),
            **LOUD,
        ).make()

    def setUp(self):
        super().setUp()
        self.log_begins = len(self.whole_log())
        self.dbname = self._testMethodName
        self.db = self.cluster.make_database(self.dbname)
        self.addCleanup(self.db.conn.close)
        self.db.run("CREATE EXTENSION pg_stat_statements")
        self.db.run("SELECT pg_stat_statements_reset()")
        self.zone = make_folder()
        self.write("customers/1.json", canary(), *(customer(number) for number in range(9)))
        people = [EMAIL, *(f"p{number}@example.com" for number in range(9))]
        devices = [SERIAL, *(f"S-{number}" for number in range(9))]
        self.write("accelerometer/1.json", *(move(email, 100 + i) for email in people for i in range(3)))
        self.write("step_trainer/1.json", *(step(serial, 100) for serial in devices))
        self.db.make_landing("lake", file_url(self.zone))
        self.db.run("CREATE SCHEMA target")
        self.said = []  # what errors, plans and notices said

    def write(self, key, *records):
        (self.zone / key).parent.mkdir(exist_ok=True)
        (self.zone / key).write_text("".join(json.dumps(record) + "\n" for record in records))

    def run_zone(self, **named):
        return self.db.materialize("target", landing="lake", **named)

    def fails(self, call, *arguments, **named):
        with self.assertRaises(psycopg.Error) as raised:
            call(*arguments, **named)
        self.said.append(everything(raised.exception))
        return raised.exception

    def whole_log(self):
        return (self.cluster.folder / "log").read_text(errors="replace")

    def log(self):
        return self.whole_log()[self.log_begins :]

    def statements(self, conn=None):
        """Whatever the server remembers of what was run, and by others at present."""
        query = (
            "SELECT string_agg(t, E'\\n') FROM ("
            "SELECT s::text AS t FROM pg_stat_statements s UNION ALL"
            " SELECT a::text FROM pg_stat_activity a WHERE pid <> pg_backend_pid() UNION ALL"
            " SELECT obj_description(oid, 'pg_class') FROM pg_class) u"
        )
        return (conn or self.db.conn).execute(query).fetchone()[0]

    def statistics(self):
        return self.db.value("SELECT string_agg(s::text, E'\\n') FROM pg_stats s WHERE schemaname = 'target'")

    def books(self):
        """The bookkeeping: it has no name either."""
        books = self.db.rows(
            "SELECT relname FROM pg_class WHERE relnamespace = 'target'::regnamespace"
            " AND relkind = 'r' AND relname LIKE 'stedi%'"
        )
        return "\n".join(
            self.db.value(f"SELECT coalesce(string_agg(b::text, E'\\n'), '') FROM target.{book} b")
            for (book,) in books
        )

    def places(self):
        return {
            "log": self.log(),
            "statements": self.statements(),
            "statistics": self.statistics(),
            "books": self.books(),
            "messages": "\n".join(self.said + self.db.notices),
        }

    def found(self, text):
        return [line for line in text.splitlines() if any(sign in line.lower() for sign in SIGNS)]

    def assert_nowhere(self, *but):
        found = {place: self.found(text)[:3] for place, text in self.places().items()}
        self.assertEqual({place: found[place] for place in found if found[place] and place not in but}, {})

    def test_what_is_planted_is_found(self):
        self.run_zone()
        self.assertNotEqual(self.found(self.statistics()), [])
        self.db.run(f"COMMENT ON TABLE target.customer_trusted IS '{EMAIL}'")
        self.db.run(f"DO $$ BEGIN RAISE LOG '{SERIAL}'; END $$")
        self.db.run("UPDATE target.stedi_run SET head = encode(%s, 'hex')", EMAIL.encode())
        self.fails(self.db.run, f"SELECT '{EMAIL}'::int")
        with self.assertRaises(AssertionError):
            self.assert_nowhere()
        for place, text in self.places().items():
            self.assertNotEqual(self.found(text), [], place)
        # what others run is seen, too
        with self.cluster.connect(self.dbname) as conn:
            conn.execute(f"SELECT 1 -- {EMAIL}")
            self.db.run("SELECT pg_stat_statements_reset()")
            self.db.run("COMMENT ON TABLE target.customer_trusted IS NULL")
            self.assertNotEqual(self.found(self.statements()), [])

    def test_forget(self):
        self.run_zone()
        rows = self.db.rows(FORGET, EMAIL.upper())
        self.assertEqual([n for source, _, n in rows if source == "table"], [1, 3, 1, 1, 1])
        self.assert_nowhere()
        self.assertNotEqual(self.db.rows(SUBJECT, EMAIL), [])
        self.assertEqual(self.db.rows("SELECT * FROM stedi.audit('target', 'lake')"), [])
        self.run_zone()
        self.run_zone(full_refresh=True)
        self.assert_nowhere()
        self.assertTrue(self.db.value(UNFORGET, EMAIL))
        self.db.rows("SELECT * FROM stedi.audit('target', 'lake')")
        self.assert_nowhere()

    def test_statistics_forget_who_withdraws(self):
        self.run_zone()
        self.write("customers/2.json", canary(20, 0))
        self.run_zone()
        self.assert_nowhere()

    def test_statistics_of_ones_own(self):
        """Also those that somebody asked for, and of columns together."""
        self.run_zone()
        self.db.run("CREATE STATISTICS target.both ON email, serialnumber FROM target.customer_trusted")
        self.db.run("ANALYZE")
        ext = "SELECT string_agg(s::text, E'\\n') FROM pg_stats_ext s"
        self.assertNotEqual(self.found(self.db.value(ext)), [])
        self.db.rows(FORGET, EMAIL)
        self.assertEqual(self.found(self.db.value(ext) or ""), [])
        self.assert_nowhere()

    def test_errors(self):
        """A trigger on each of the tables stops the call, or the run, in its middle."""
        self.run_zone()
        self.db.run(
            "CREATE FUNCTION target.stop() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'not now'; END $$"
        )
        self.write("customers/2.json", canary(20, 0))
        self.write("accelerometer/2.json", move(EMAIL, 200), {"user": EMAIL, "timestamp": "noon"})
        self.write("step_trainer/2.json", step(SERIAL, 200), {"serialNumber": SERIAL})
        for table in TABLES:
            for when in ("BEFORE", "AFTER"):
                self.db.run(
                    f"CREATE TRIGGER stop {when} INSERT OR DELETE ON target.{table}"
                    " FOR EACH ROW EXECUTE FUNCTION target.stop()"
                )
                self.fails(self.db.rows, FORGET, EMAIL)
                self.fails(self.run_zone)
                self.fails(self.run_zone, dry_run=True)
                self.db.run(f"DROP TRIGGER stop ON target.{table}")
        for table in ("stedi_forgotten", "stedi_history", "stedi_object", "stedi_state"):
            self.db.run(
                f"CREATE TRIGGER stop BEFORE INSERT OR UPDATE OR DELETE ON target.{table}"
                " FOR EACH ROW EXECUTE FUNCTION target.stop()"
            )
            if table != "stedi_object":
                self.fails(self.db.rows, FORGET, EMAIL)
            if table != "stedi_forgotten":
                self.fails(self.run_zone)
            self.db.run(f"DROP TRIGGER stop ON target.{table}")
        # a record that stops a run, wherever it is
        for table in LANDING_TABLES[1:]:
            self.db.run(f"ALTER FOREIGN TABLE lake.{table} OPTIONS (ADD on_error 'stop')")
            self.fails(self.run_zone)
            self.db.run(f"ALTER FOREIGN TABLE lake.{table} OPTIONS (DROP on_error)")
        # a landing zone that is not there: a warning says so
        self.db.run("ALTER FOREIGN TABLE lake.step_trainer_landing OPTIONS (SET prefix 'nowhere')")
        with self.db.conn.transaction(force_rollback=True):
            self.db.rows(FORGET, EMAIL)
        self.fails(self.db.rows, SUBJECT, EMAIL)
        self.db.run("ALTER FOREIGN TABLE lake.step_trainer_landing OPTIONS (SET prefix 'step_trainer')")
        # arguments in the wrong places
        self.fails(self.db.rows, "SELECT * FROM stedi.forget('target', 'objection', %s, 'lake')", EMAIL)
        self.fails(self.db.rows, FORGET.replace("objection", "no reason"), EMAIL)
        self.assert_nowhere("statistics")
        self.run_zone()
        self.assert_nowhere()

    def waiting(self, query):
        """What others see of a call that waits for a lock."""
        with self.cluster.connect(self.dbname) as conn, self.cluster.connect(self.dbname) as locker:
            with locker.transaction():
                locker.execute("LOCK TABLE target.customer_trusted IN ACCESS EXCLUSIVE MODE")
                call = threading.Thread(target=lambda: conn.execute(query, (EMAIL,)))
                call.start()
                pid = conn.info.backend_pid
                wait_until(
                    lambda: locker.execute(
                        "SELECT cardinality(pg_blocking_pids(%s)) > 0", (pid,)
                    ).fetchone()[0],
                    f"{query} does not wait",
                )
                seen = self.statements(locker)
                self.assertIn(query.replace("%s", "$1"), seen)
            call.join()
        return seen

    def test_while_others_look(self):
        self.run_zone()
        for query in (SUBJECT, FORGET, UNFORGET):
            self.assertEqual(self.found(self.waiting(query)), [])
        self.run_zone()
        self.assert_nowhere("statistics")

    def test_plans(self):
        self.run_zone()
        self.db.run("CREATE TABLE asked (email text)")
        self.db.run("INSERT INTO asked VALUES (%s)", EMAIL)
        for call in (
            "stedi.subject('target', email, 'lake')",
            "stedi.forget('target', email, 'objection', 'lake')",
            "CAST(stedi.unforget('target', email) AS text)",
        ):
            plan = self.db.rows(f"EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM asked, {call} c")
            self.said += [line for (line,) in plan]
        self.assert_nowhere()


if __name__ == "__main__":
    unittest.main()
