"""Whoever waits for the network can be stopped, in every kind of wait, at once.

A server of its own reads from others that keep it waiting, each at another
moment.  Ctrl-C, statement_timeout and pg_terminate_backend end each of these
waits within LIMIT, the end of the server within two seconds; afterwards
sockets, threads and processes are where they were, and the session works on.
The worst times are printed.  Guards src/net/http.c and src/s3/fetch.c.
"""
import contextlib
import itertools
import os
import sys
import threading
import time
import types
import unittest

import psycopg

from stedi_client import ServerTest
from stedi_cluster import Cluster, kill, wait_until
from stedi_waits import BUSY, HALF_A_LISTING, NOTHING, FullListener, Process, Resolver, Server, listing, reply

LIMIT = 0.2  # seconds
PATIENCE = 20  # seconds, until it is a failure that nothing happens
RUNS = int(os.environ.get("STEDI_TEST_WAITS", "2"))
KINDS = ("cancel", "timeout", "terminate")

SCAN = "SELECT count(*) FROM {}.step_trainer_landing WHERE distancefromobject > 0"
EAGER = (
    "SET min_parallel_table_scan_size = 0",
    "SET parallel_setup_cost = 0",
    "SET parallel_tuple_cost = 0",
    "SET max_parallel_workers_per_gather = 2",
)
CUSTOMER = (
    '{"customerName":"A","email":"a@example.com","serialNumber":"s","registrationDate":1,'
    '"lastUpdateDate":1,"shareWithResearchAsOfDate":1}\n'
)
STEP = '{"sensorReadingTime":1,"serialNumber":"s","distanceFromObject":7}\n'
NUMBERS = itertools.count(1)
OBJECT_SIZE = 4 << 20  # more than is kept of one that nobody reads


class Place:
    """Where a query waits: what it is, and how one sees that it is there."""

    def __init__(self, test, name, server=None, endpoint=None, query=SCAN, secrets=None, **options):
        self.name = name
        self.server = server
        self.schema = f"place{next(NUMBERS)}"
        self.query = query.format(self.schema)
        self.settings = ()
        self.processes = 1  # that wait
        self.is_reached = lambda process: True
        test.lake.make_landing(
            self.schema,
            "s3://bucket",
            secrets or {"access_key_id": "AK", "secret_access_key": "SK"},
            endpoint=endpoint or f"http://127.0.0.1:{server.port}",
            allow_http="true",
            connect_timeout="600000",
            stall_timeout="3600",
            retry_timeout="3600",
            **options,
        )
        test.lake.run(f"CREATE SCHEMA {self.schema}_made")
        if server is not None and (server.asked or server.first_bytes):
            raise AssertionError("IMPORT asks the server")
        test.places[name] = self


class Run:
    """A query in a thread, and when and how it ended."""

    def __init__(self, conn, query):
        self.conn = conn
        self.error = self.ended = None
        self.began = time.monotonic()
        self.thread = threading.Thread(target=self.run, args=(query,), daemon=True)
        self.thread.start()

    def run(self, query):
        try:
            self.conn.execute(query)
        except psycopg.Error as error:
            self.error = error
        self.ended = time.monotonic()


def whole_or_less(path):
    """Of many objects one is silent, one breaks off, one is refused for now, and one is more than is kept."""
    if "list-type" in path:
        return listing({f"step_trainer/{i:02}.json": OBJECT_SIZE for i in range(40)})
    return (
        NOTHING,
        reply(STEP, length=OBJECT_SIZE),
        BUSY,
        reply(STEP * 3, length=OBJECT_SIZE) + STEP.encode() * (OBJECT_SIZE // len(STEP) - 3),
    )[int(path.split("/")[-1][:2]) % 4]


def silent_readings(path):
    """A zone of one customer, whose readings never come."""
    if "customers%2F" in path:
        return listing({"customers/a.json": len(CUSTOMER)})
    if "list-type" in path:
        table = "accelerometer" if "accelerometer%2F" in path else "step_trainer"
        return listing({f"{table}/{i:02}.json": OBJECT_SIZE for i in range(40)})
    return reply(CUSTOMER) if "customers" in path else NOTHING


class CancelTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()

        def skip(reason):
            raise unittest.SkipTest(reason)

        shared = types.SimpleNamespace(addCleanup=cls.addClassCleanup, skipTest=skip)
        cls.resolver = Resolver(cls.folder)
        cls.container = Server(shared, lambda path: NOTHING)
        cls.cluster = Cluster(shared)
        cls.cluster.environment.update(
            cls.resolver.environment,
            AWS_CONTAINER_CREDENTIALS_FULL_URI=f"http://127.0.0.1:{cls.container.port}/",
        )
        cls.cluster.make()
        cls.lake = cls.cluster.make_database("lake")
        cls.addClassCleanup(cls.close)
        cls.places = {}
        cls.make_places(shared)
        cls.worst = {}
        cls.addClassCleanup(cls.print_worst)

    @classmethod
    def close(cls):
        cls.resolver.answer()
        cls.lake.conn.close()

    @classmethod
    def make_places(cls, shared):
        def waits(name, answer, n=1, **more):
            """Until n requests are answered as far as they ever are."""
            server = Server(shared, answer)
            place = Place(cls, name, server, **more)
            place.is_reached = lambda process: len(server.answered) >= n
            return place

        place = Place(cls, "name", endpoint=f"http://{Resolver.NAME}:80")
        place.is_reached = lambda process: len(process.threads()) > 1
        full = FullListener(shared)
        place = Place(cls, "connection", endpoint=f"http://127.0.0.1:{full.port}")
        place.is_reached = lambda process: process.is_connecting(full.port)
        server = Server(shared)
        place = Place(cls, "TLS", server, endpoint=f"https://127.0.0.1:{server.port}")
        place.is_reached = lambda process: server.first_bytes
        waits("first byte", lambda path: NOTHING)
        waits("half a listing", lambda path: HALF_A_LISTING)
        waits("pause", lambda path: BUSY)
        place = waits("8 objects", whole_or_less, n=1 + 6, connections="8")
        place.settings = ("SET max_parallel_workers_per_gather = 0",)
        place = waits("24 objects, 3 processes", whole_or_less, n=1 + 3 * 6, connections="24")
        place.settings = EAGER
        place.processes = 3
        materialize = "SELECT stedi.materialize('{0}_made', landing => '{0}')"
        waits("materialize", lambda path: NOTHING, query=materialize)
        place = waits("materialize, 3 processes", silent_readings, n=4, query=materialize)
        place.settings = ("SET max_parallel_maintenance_workers = 2",)
        place.processes = 3
        for name, query in (
            ("credential()", "SELECT stedi.credential('{}')"),
            ("keys", SCAN),
        ):
            place = Place(
                cls, name, cls.container, query=query, secrets={"credentials": "container"},
            )
            place.is_reached = lambda process: cls.container.answered
            cls.container.forget()
        waits("ANALYZE", lambda path: NOTHING, query="ANALYZE {}.step_trainer_landing")
        waits("ANALYZE, objects", whole_or_less, n=1, query="ANALYZE {}.step_trainer_landing")
        waits("EXPLAIN", lambda path: NOTHING, query="EXPLAIN " + SCAN)

    @classmethod
    def print_worst(cls):
        """A table of the worst times, ms."""
        names = list(dict.fromkeys(name for name, _ in cls.worst))
        width = max(map(len, names), default=0)
        kinds = (*KINDS, "postmaster", "limit")
        print(f"\n{'ms, at worst':{width}}" + "".join(f"{kind:>12}" for kind in kinds), file=sys.stderr)
        for name in names:
            times = (cls.worst.get((name, kind)) for kind in kinds)
            print(
                f"{name:{width}}" + "".join(f"{'' if t is None else round(t * 1000):>12}" for t in times),
                file=sys.stderr,
            )

    def note(self, place, kind, took):
        key = place.name, kind
        self.worst[key] = max(took, self.worst.get(key, 0))

    def session(self, place):
        conn = self.cluster.connect("lake")
        self.addCleanup(conn.close)
        for setting in place.settings:
            conn.execute(setting)
        return conn

    def waiting(self, pid):
        """How many processes of a session wait in the extension, as the server says."""
        return self.lake.value(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE %s IN (pid, leader_pid) AND wait_event_type = 'Extension'",
            pid,
        )

    def start(self, place, conn):
        """The place's query, begun."""
        for server in (place.server, self.container):
            if server is not None:
                server.forget()
        return Run(conn, place.query)

    def has_reached(self, place, process, run):
        if run.ended is not None:
            raise AssertionError(f"ended before it waited: {run.error}")
        return place.is_reached(process) and self.waiting(run.conn.info.backend_pid) >= place.processes

    def wait(self, place, process, run):
        wait_until(lambda: self.has_reached(place, process, run), "the session does not get there")

    def stop(self, place, kind, conn, process):
        """Seconds from the stop to its answer, of a session that waits in the place."""
        if kind == "timeout":
            return self.time_out(place, conn, process)
        run = self.start(place, conn)
        self.wait(place, process, run)
        began = time.monotonic()
        if kind == "cancel":
            conn.cancel()
        else:
            self.lake.run("SELECT pg_terminate_backend(%s)", conn.info.backend_pid)
        self.check_error(run, "user request" if kind == "cancel" else "terminating connection")
        return run.ended - began

    def time_out(self, place, conn, process):
        """The same; the timeout is a longer one where the place was not reached before it was due."""
        for ms in (300, 1000, 3000, 9000):
            conn.execute(f"SET statement_timeout = {ms}")
            run = self.start(place, conn)
            with contextlib.suppress(AssertionError):
                self.wait(place, process, run)
            in_time = time.monotonic() < run.began + ms / 1000
            self.check_error(run, "statement timeout")
            conn.execute("RESET statement_timeout")
            if in_time:
                return run.ended - (run.began + ms / 1000)
        self.fail("the session does not get there in time")

    def check_error(self, run, words):
        run.thread.join(PATIENCE)
        self.assertIsNotNone(run.ended, f"not ended after {PATIENCE} s")
        self.assertIsNotNone(run.error, "the query succeeded")
        self.assertIn(words, str(run.error))

    def check_signals(self, process, main_thread):
        """What libcurl has made takes none of the process's signals."""
        for thread in set(process.threads()) - {main_thread}:
            # two cannot be blocked, two are the C library's
            self.assertGreaterEqual(process.blocked(thread), set(range(1, 65)) - {9, 19, 32, 33})

    def check_left(self, place, conn, process, before):
        """Nothing is left of the query; the session works."""
        pid = conn.info.backend_pid
        self.assertEqual(conn.execute("SELECT 1").fetchone(), (1,))
        if place.name == "name":
            # the thread that asks cannot be ended, nor what it would report to
            self.assertEqual(len(process.threads()), len(before[1]) + 1)
            self.assertLessEqual(len(process.descriptors()), len(before[0]) + 1)
            self.check_signals(process, str(pid))
            self.resolver.answer()
            wait_until(lambda: process.state() == before, "the resolver's thread stays")
        self.assertEqual(process.state(), before)
        self.assertEqual(
            self.lake.value("SELECT count(*) FROM pg_stat_activity WHERE leader_pid = %s", pid), 0
        )

    def check_place(self, place, kind):
        """Once."""
        conn = self.session(place)
        process = Process(conn.info.backend_pid, self.cluster.data)
        before = process.state()
        took = self.stop(place, kind, conn, process)
        self.note(place, kind, took)
        if kind == "terminate":
            self.assertTrue(conn.closed)
            wait_until(lambda: not process.exists(), "the process does not end")
        else:
            self.check_left(place, conn, process, before)
        conn.close()
        if place.server is not None:
            wait_until(lambda: not place.server.connections, "a connection is left")
        self.resolver.answer()
        return took

    def check(self, *names):
        for name in names:
            for kind in KINDS:
                with self.subTest(place=name, kind=kind):
                    self.check_often(self.check_place, self.places[name], kind)

    def check_often(self, check, place, kind):
        """A busy machine may be late by itself, but not always."""
        for _ in range(RUNS):
            took = check(place, kind)
            for _ in range(2):
                if took >= LIMIT:
                    took = check(place, kind)
            self.assertLess(took, LIMIT)

    def test_name(self):
        self.check("name")

    def test_connection(self):
        self.check("connection", "TLS")

    def test_answer(self):
        self.check("first byte", "half a listing", "pause")

    def test_several(self):
        self.check("8 objects", "24 objects, 3 processes")

    def test_materialize(self):
        self.check("materialize", "materialize, 3 processes")

    def test_keys(self):
        self.check("credential()", "keys")

    def test_planner(self):
        self.check("ANALYZE", "ANALYZE, objects", "EXPLAIN")

    def pids(self, conn):
        """Of a session's processes."""
        pid = conn.info.backend_pid
        rows = self.lake.rows("SELECT pid FROM pg_stat_activity WHERE %s IN (pid, leader_pid)", pid)
        return [pid for pid, in rows]

    def test_postmaster(self):
        """All of these waits at once."""
        pids = {}
        for place in self.places.values():
            conn = self.session(place)
            self.wait(place, Process(conn.info.backend_pid, self.cluster.data), self.start(place, conn))
            pids[place] = self.pids(conn)
            self.assertEqual(len(pids[place]), place.processes)
        began = time.monotonic()
        kill(self.cluster.postmaster.pid)
        while pids:
            for place in list(pids):
                if not any(Process(pid, self.cluster.data).exists() for pid in pids[place]):
                    self.note(place, "postmaster", time.monotonic() - began)
                    del pids[place]
            if time.monotonic() - began > PATIENCE:
                self.fail(f"outlive their server: {[place.name for place in pids]}")
        self.resolver.answer()
        self.cluster.kill()
        self.cluster.start()
        self.lake.conn.close()
        type(self).lake = self.cluster.database("lake")
        self.assertLess(max(took for (_, kind), took in self.worst.items() if kind == "postmaster"), 2)

    def test_stall_is_an_error(self):
        """Whoever stops nothing himself is not kept waiting for ever either."""
        place = self.places["half a listing"]
        name = place.schema
        self.lake.run(f"ALTER SERVER {name} OPTIONS (SET stall_timeout '1', ADD max_tries '1')")
        self.addCleanup(
            lambda: self.lake.run(f"ALTER SERVER {name} OPTIONS (SET stall_timeout '3600', DROP max_tries)")
        )
        with self.assertRaises(psycopg.errors.ConnectionFailure) as raised:
            self.session(place).execute(place.query)
        self.assertIn("stall_timeout", raised.exception.diag.message_hint)

    def limit_place(self, n_processes):
        """Where a row of the first object is enough, and no other ever comes."""

        def answer(path):
            if "list-type" in path:
                sizes = {f"step_trainer/{i:02}.json": 1000 for i in range(40)}
                return listing({**sizes, "step_trainer/00.json": OBJECT_SIZE})
            if len(server.asked) > n_processes * 8:  # the first object may be asked for last
                place.others.set()
            if not path.endswith("/00.json"):
                return NOTHING
            place.others.wait(PATIENCE)
            place.answered = time.monotonic()
            return reply(STEP, length=OBJECT_SIZE)

        server = Server(self, answer)
        place = Place(
            self, f"LIMIT, {n_processes} processes", server, connections=str(n_processes * 8),
            query="SELECT distancefromobject FROM {}.step_trainer_landing LIMIT 1",
        )
        place.others = threading.Event()
        place.settings = EAGER if n_processes > 1 else ("SET max_parallel_workers_per_gather = 0",)
        del self.places[place.name]  # it is none of those that wait for ever
        return place

    def check_limit(self, place, _):
        conn = self.session(place)
        process = Process(conn.info.backend_pid, self.cluster.data)
        before = process.state()
        place.others.clear()
        run = self.start(place, conn)
        run.thread.join(PATIENCE)
        self.assertIsNotNone(run.ended, "waits for objects that are not wanted any more")
        self.assertIsNone(run.error)
        self.check_left(place, conn, process, before)
        conn.close()
        wait_until(lambda: not place.server.connections, "a connection is left")
        took = run.ended - place.answered
        self.note(place, "limit", took)
        return took

    def test_limit(self):
        """Transfers in flight do not hold up a query that has its rows; workers that wait neither."""
        for n_processes in (1, 3):
            with self.subTest(n_processes=n_processes):
                self.check_often(self.check_limit, self.limit_place(n_processes), "limit")


if __name__ == "__main__":
    unittest.main()
