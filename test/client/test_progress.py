"""What runs is seen from other sessions, by those who may, and by nobody else's leave.

An S3 server holds back the rest of objects, so that scans and runs stand still
at a known point while another session looks at stedi.progress and
stedi.running().  Proves that figures add up, over processes too; that they go
on after commands that have the slot meanwhile; that COPY keeps its own; and
that the slot is free again after an end, an error and a cancel.  Guards
src/base/progress.c.
"""
import contextlib
import re
import subprocess
import threading

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from stedi_client import DSN, ServerTest, connect
from stedi_cluster import wait_until
from stedi_fake import FakeS3, store

SIZE = 300_000  # bytes of an object
SENT = 200_000  # of one that is held back
CHUNK = 64 * 1024  # a process may have read so much more than it has told
WIDTH = 120  # columns of a terminal
EAGER = (
    "SET min_parallel_table_scan_size = 0",
    "SET parallel_setup_cost = 0",
    "SET parallel_tuple_cost = 0",
    "SET max_parallel_workers_per_gather = 2",
)
SCAN = "SELECT count(*) FROM lake.step_trainer_landing WHERE distancefromobject > 0"


def fill(line, size=SIZE):
    """An object of that many bytes, of a line and spaces."""
    text = line * (size // len(line))
    return (text + " " * (size - len(text) - 1) + "\n").encode()


CUSTOMER = (
    b'{"customerName":"A","email":"a@example.com","serialNumber":"s","registrationDate":1,'
    b'"lastUpdateDate":1,"shareWithResearchAsOfDate":1}\n'
)
OBJECTS = {
    "customers/a.json": CUSTOMER,
    **{
        f"accelerometer/{i}.json": fill('{"user":"a@example.com","timestamp":%d,"x":1,"y":2,"z":3}\n' % i)
        for i in range(3)
    },
    **{
        f"step_trainer/{i}.json": fill('{"sensorReadingTime":%d,"serialNumber":"s","distanceFromObject":7}\n' % i)
        for i in range(6)
    },
}


class HeldS3(FakeS3):
    """A bucket of OBJECTS; of those that hold() names only the first bytes come, until release()."""

    def __init__(self, test):
        self.store = store(OBJECTS)
        self.held = ()
        self.gate = threading.Event()
        self.gate.set()
        super().__init__(test, self.answer_held)
        test.addCleanup(self.gate.set)

    def answer_held(self, request):
        status, headers, body = self.store(request)
        if request.lists or not request.path.endswith(self.held or "-"):
            return status, headers, body

        def send(wfile):
            wfile.write(body[:SENT])
            wfile.flush()
            self.gate.wait()
            wfile.write(body[SENT:])

        return status, headers | {"Content-Length": str(len(body))}, send

    @contextlib.contextmanager
    def hold(self, *keys):
        self.held = keys
        self.gate.clear()
        try:
            yield
        finally:
            self.release()

    def release(self):
        self.held = ()
        self.gate.set()


class ProgressTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(cls.drop_roles)
        cls.db.run("CREATE ROLE regress_etl LOGIN")
        cls.db.run("CREATE ROLE regress_other LOGIN")
        cls.db.run("CREATE ROLE regress_monitor LOGIN IN ROLE pg_read_all_stats")
        cls.db.run(f'GRANT CREATE ON DATABASE "{cls.dbname}" TO regress_etl')

    @classmethod
    def drop_roles(cls):
        cls.db.run("DROP OWNED BY regress_etl CASCADE")
        cls.db.run("DROP ROLE regress_etl, regress_other, regress_monitor")

    def setUp(self):
        super().setUp()
        self.s3 = HeldS3(self)
        self.addCleanup(self.db.drop, "lake", "made")
        self.db.make_landing(
            "lake", "s3://bucket", {"anonymous": "true"}, endpoint=self.s3.endpoint, allow_http="true", connections=1
        )
        self.db.run("CREATE USER MAPPING FOR regress_etl SERVER lake OPTIONS (anonymous 'true')")
        self.db.run("GRANT USAGE ON SCHEMA lake TO regress_etl")
        self.db.run("GRANT SELECT ON ALL TABLES IN SCHEMA lake TO regress_etl")
        self.db.run("CREATE SCHEMA made AUTHORIZATION regress_etl")
        self.runner = self.open("regress_etl")
        self.pid = self.runner.info.backend_pid

    def open(self, role):
        conn = connect(self.dbname, user=role)
        self.addCleanup(conn.close)
        return conn

    def running(self, conn=None):
        """The rows of stedi.running(), as dicts."""
        with (conn or self.db.conn).cursor(row_factory=dict_row) as cursor:
            return cursor.execute("SELECT * FROM stedi.running() ORDER BY phase_began").fetchall()

    def reaches(self, test):
        """Wait until there is one row and the test holds of it; the row."""
        found = []

        def holds():
            found[:] = self.running()
            return len(found) == 1 and test(found[0])

        wait_until(holds, f"the last of it was {found}")
        return found[0]

    @contextlib.contextmanager
    def during(self, query, conn=None):
        """While a query runs in another thread; its end is waited for, and is an error of the test's."""
        errors = []

        def run():
            try:
                with (conn or self.runner).cursor() as cursor:
                    if query.startswith("COPY"):
                        with cursor.copy(query) as copy:
                            for _ in copy:
                                pass
                    else:
                        cursor.execute(query)
            except psycopg.Error as error:
                errors.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield errors
        finally:
            self.s3.release()
            thread.join()

    def assert_free(self):
        self.assertEqual(self.running(), [])
        self.assertEqual(self.db.rows("SELECT * FROM pg_stat_progress_copy"), [])

    def held_scan(self, done, total=6, parts=1):
        """A test of a row: the objects before are read, and of so many more what was sent."""

        def test(row):
            most = done * SIZE + parts * SENT
            return (
                row["phase"] == "reading"
                and (row["objects_done"], row["objects_total"]) == (done, total)
                and most - parts * CHUNK < row["bytes_done"] <= most
                and row["bytes_total"] == total * SIZE
            )

        return test

    def test_scan_is_seen_by_those_who_may(self):
        with self.s3.hold("step_trainer/2.json"), self.during(SCAN) as errors:
            row = self.reaches(self.held_scan(2))
            self.assertEqual((row["pid"], row["database"], row["username"]), (self.pid, self.dbname, "regress_etl"))
            self.assertEqual((row["action"], row["relation"]), ("scan", "lake.step_trainer_landing"))
            self.assertEqual(row["began"], row["phase_began"])
            self.assertEqual(self.running(self.open("regress_monitor")), [row])
            self.assertEqual(self.running(self.open("regress_etl")), [row])
            self.assertEqual(self.running(self.open("regress_other")), [])
            other = self.open("regress_other")
            self.assertEqual(other.execute("SELECT * FROM stedi.progress").fetchall(), [])
            copy = self.db.rows("SELECT pid, relid, command, type, bytes_processed, bytes_total FROM pg_stat_progress_copy")
            self.assertEqual(copy, [(self.pid, 0, None, None, row["bytes_done"], row["bytes_total"])])
        self.assertEqual(errors, [])
        self.assert_free()

    def test_view_fits_a_terminal(self):
        with self.s3.hold("step_trainer/2.json"), self.during(SCAN) as errors:
            self.reaches(self.held_scan(2))
            command = ["psql", "-X", "-d", make_conninfo(DSN, dbname=self.dbname), "-c", "SELECT * FROM stedi.progress"]
            shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
            cells = [cell.strip() for cell in shown[2].split("|")]
            self.assertEqual(cells[:5], [str(self.pid), "regress_etl", "scanning", "step_trainer_landing", "2/6"])
            self.assertRegex(cells[5], "^4[0-4]% of 1758 kB$")
            self.assertRegex(cells[6], "^[0-9]+ (bytes|kB|MB)/s$")
            self.assertRegex(cells[7], "^00:0[0-9]:[0-9]{2}$")
            self.assertRegex(cells[8], "^[0-9]{2}:[0-9]{2}:[0-9]{2}$")
            self.assertLessEqual(max(map(len, shown)), WIDTH)

            # no table of that number is meant in another database
            with connect("postgres") as conn:
                conn.execute("DROP EXTENSION IF EXISTS stedi")
                conn.execute("CREATE EXTENSION stedi")
                try:
                    found = conn.execute("SELECT pid, session, table_name FROM stedi.progress").fetchall()
                    self.assertEqual(found, [(self.pid, f"regress_etl@{self.dbname}", None)])
                finally:
                    conn.execute("DROP EXTENSION stedi")
        self.assertEqual(errors, [])

    def test_next_to_nothing_done(self):
        """The time that is left of it is one that an interval can be."""
        answer = store({"step_trainer/0.json": b"{}\n", "step_trainer/1.json": b"[]"})
        size = 8 * 10**18

        def vast(request):
            status, headers, body = answer(request)
            if request.lists:
                return status, headers, body.replace("<Size>2<", f"<Size>{size}<")
            if body == b"[]":
                return status, headers | {"Content-Length": str(size)}, lambda wfile: self.s3.gate.wait()
            return status, headers, body

        self.s3.store = vast
        self.db.run("ALTER SERVER lake OPTIONS (ADD max_tries '1')")
        self.runner.execute("SET max_parallel_workers_per_gather = 0")
        with self.s3.hold(), self.during(SCAN):
            self.reaches(lambda row: row["phase"] == "reading" and row["objects_done"] == 1)
            self.assertEqual(self.db.value("SELECT extract(epoch FROM time_left) FROM stedi.progress"), 10**9)

    def test_listing_is_seen(self):
        listed = threading.Event()
        answer = self.s3.store

        def late(request):
            if request.lists:
                listed.wait()
            return answer(request)

        self.s3.store = late
        self.addCleanup(listed.set)
        with self.during(SCAN) as errors:
            row = self.reaches(lambda row: row["phase"] == "listing")
            self.assertEqual((row["relation"], row["objects_total"]), ("lake.step_trainer_landing", None))
            listed.set()
        self.assertEqual(errors, [])
        self.assert_free()

    def test_copy_keeps_its_own(self):
        for settings in ((), EAGER):
            for setting in settings:
                self.runner.execute(setting)
            query = "COPY (SELECT * FROM lake.step_trainer_landing) TO STDOUT"
            held = [f"step_trainer/{i}.json" for i in range(1, 6)]
            with self.s3.hold(*held), self.during(query) as errors:
                rows = "SELECT pid, command, type, bytes_total FROM pg_stat_progress_copy WHERE tuples_processed > 100"
                wait_until(lambda: self.db.rows(rows), "COPY shows nothing")
                self.assertEqual(self.db.rows(rows), [(self.pid, "COPY TO", "PIPE", 0)])
                self.assertEqual(self.db.value("SELECT count(*) FROM pg_stat_progress_copy"), 1)
                self.assertEqual(self.running(), [])
            self.assertEqual(errors, [])
            self.assert_free()

    def test_slot_is_free_after_a_cancel_and_an_error(self):
        with self.s3.hold("step_trainer/2.json"), self.during(SCAN) as errors:
            self.reaches(self.held_scan(2))
            self.db.run("SELECT pg_cancel_backend(%s)", self.pid)
            wait_until(lambda: errors, "the cancel is not answered")
        self.assertIsInstance(errors[0], psycopg.errors.QueryCanceled)
        self.assert_free()

        # a scan that goes on is seen again after a subtransaction has lost the slot
        with self.runner.transaction():
            cursor = self.runner.cursor("held")
            cursor.execute("SELECT * FROM lake.step_trainer_landing")
            cursor.fetchone()
            self.assertEqual(len(self.running()), 1)
            with self.assertRaises(psycopg.errors.DivisionByZero), self.runner.transaction():
                self.runner.execute("SELECT 1 / (count(*) - count(*)) FROM lake.accelerometer_landing")
            self.assertEqual(self.running(), [])
            self.assert_goes_on(cursor)

            # nor is anything shown that was written into it meanwhile, as by making an index anew
            self.runner.execute("CREATE TEMP TABLE made_anew (a integer PRIMARY KEY) ON COMMIT DROP")
            self.assert_goes_on(cursor)
            self.runner.execute("TRUNCATE made_anew")
            self.assertEqual(self.running(), [])
            self.assert_goes_on(cursor)
            cursor.close()
            self.assert_free()

    def assert_goes_on(self, cursor):
        """The scan of a cursor is shown once it has read on."""
        before = self.running()
        cursor.fetchmany(SIZE // 60)  # more records than an object has
        row = self.reaches(lambda row: row not in before)
        self.assertEqual((row["pid"], row["relation"]), (self.pid, "lake.step_trainer_landing"))

    def test_processes_add_up(self):
        for setting in EAGER:
            self.runner.execute(setting)
        self.db.run("ALTER SERVER lake OPTIONS (SET connections '3')")
        held = [f"step_trainer/{i}.json" for i in range(6)]
        for leader, n_processes in (("on", 3), ("off", 2)):
            self.runner.execute(f"SET parallel_leader_participation = {leader}")
            with self.s3.hold(*held), self.during(SCAN) as errors:
                row = self.reaches(self.held_scan(0, parts=n_processes))
                self.assertEqual((row["pid"], row["action"]), (self.pid, "scan"))
            self.assertEqual(errors, [])
            self.assert_free()

    def held_run(self, shared=False):
        """A test of a row: a run is at the object of the accelerometer that is held back."""

        def test(row):
            done = (1, 2) if shared else (1,)
            return row["relation"] == "lake.accelerometer_landing" and any(self.held_scan(n, 3)(row) for n in done)

        return test

    def test_scan_is_seen_to_the_end_of_all_processes(self):
        """Whichever of two that wait for their first bytes goes first."""
        for setting in (*EAGER, "SET max_parallel_workers_per_gather = 1"):
            self.runner.execute(setting)
        objects = {f"step_trainer/{i}.json": OBJECTS[f"step_trainer/{i}.json"] for i in range(2)}
        answer = store(objects)
        gates = {}

        def late(request):
            if not request.lists:
                gates[request.path].wait()
            return answer(request)

        self.s3.store = late
        one_done = ("SELECT count(*) = 1 FROM pg_stat_activity WHERE %s IN (pid, leader_pid) AND state = 'active'"
                    " AND wait_event <> 'ExecuteGather'")
        for first in range(2):
            gates.update({f"/bucket/{key}": threading.Event() for key in objects})
            self.s3.requests.clear()
            with self.during(SCAN) as errors:
                try:
                    wait_until(lambda: sum(not request.lists for request in self.s3.requests) == 2, "not both are asked for")
                    gates[f"/bucket/step_trainer/{first}.json"].set()
                    wait_until(lambda: self.db.value(one_done, self.pid), "none is done")
                    self.assertEqual([row["pid"] for row in self.running()], [self.pid])
                finally:
                    for gate in gates.values():
                        gate.set()
            self.assertEqual(errors, [])
            self.assert_free()

    def test_run_goes_on_after_commands_of_the_server(self):
        """CREATE INDEX and ANALYZE of customer_trusted come before the accelerometer is read."""
        held = ("accelerometer/1.json", "step_trainer/3.json")
        run = "SELECT count(*) FROM stedi.materialize('made', 'lake', full_refresh => true)"
        for n_workers in (0, 2):
            self.runner.execute(f"SET max_parallel_maintenance_workers = {n_workers}")
            self.runner.execute("SET min_parallel_table_scan_size = 0")
            with self.s3.hold(*held), self.during(run) as errors:
                row = self.reaches(self.held_run(n_workers > 0))
                self.assertEqual((row["pid"], row["action"], row["phase"]), (self.pid, "materialize", "reading"))
                self.assertLess(row["began"], row["phase_began"])
                (shown,) = self.db.rows("SELECT doing, table_name FROM stedi.progress")
                self.assertEqual(shown, ("reading", "accelerometer_landing"))
                self.assertEqual(self.running(self.open("regress_other")), [])
            self.assertEqual(errors, [])
            self.assert_free()

    def test_run_that_waits_for_another(self):
        run = "SELECT count(*) FROM stedi.materialize('made', 'lake')"
        second = self.open("regress_etl")
        with self.s3.hold("accelerometer/1.json"), self.during(run) as errors:
            self.reaches(self.held_run())
            wanted = [(self.pid, "materialize", "reading"), (second.info.backend_pid, "materialize", "waiting")]
            with self.during(run, second) as more_errors:
                wait_until(
                    lambda: [(row["pid"], row["action"], row["phase"]) for row in self.running()] == wanted,
                    "the second run is not seen to wait",
                )
        self.assertEqual((errors, more_errors), ([], []))
        self.assert_free()

        # after a run that failed, a scan is a scan
        with self.assertRaises(psycopg.errors.UndefinedTable):
            self.runner.execute("SELECT stedi.materialize('made', 'public', full_refresh => true)")
        with self.s3.hold("step_trainer/2.json"), self.during(SCAN):
            self.assertEqual(self.reaches(self.held_scan(2))["action"], "scan")

    def test_phases_on_request(self):
        notices = []
        self.runner.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        self.runner.execute("SELECT stedi.materialize('made', 'lake')")
        timed = re.compile(r" \(after [0-9]+\.[0-9]{3} s\)$")
        self.assertFalse(any(map(timed.search, notices)), notices)
        notices.clear()
        self.runner.execute("SET stedi.report_phases = on")
        self.runner.execute("SELECT stedi.materialize('made', 'lake', full_refresh => true)")
        phases = [timed.sub("", notice) for notice in notices if timed.search(notice)]
        wanted = [
            "listing customer_landing",
            f"reading customer_landing: 1 object, {len(CUSTOMER)} bytes",
            "deciding customer_landing",
            "reading accelerometer_landing: 3 objects, 879 kB",
            "reading step_trainer_landing: 6 objects, 1758 kB",
            "building: 1264 kB",
            "recording",
            "swapping accelerometer_trusted",
            "analyzing accelerometer_trusted",
        ]
        self.assertEqual([phase for phase in phases if phase in wanted], wanted, phases)
