"""Ten thousand scans in one session, errors mixed in, and nothing is left of them.

Proves that after complete scans, scans that are given up, errors, cancels and
aborted subtransactions the session works on, and that descriptors, threads,
memory contexts and private memory are then what they were after the first few.
Guards whatever allocates: src/scan/scan.c, src/s3/fetch.c, src/record/inflate.c, src/s3/local.c.

STEDI_TEST_SCANS says how many scans, of each of the kinds in turn.
"""
import gzip
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import threading
import unittest
import urllib.parse

import psycopg
from psycopg import sql

from stedi_client import ServerTest, options_list
from stedi_cluster import Cluster, wait_until

SCANS = int(os.environ.get("STEDI_TEST_SCANS", "600"))
UNDER_VALGRIND = os.environ.get("STEDI_VALGRIND")  # which keeps books of its own about memory
WARM_ROUNDS = 3

# What a session may grow by after the first rounds, however many follow: the
# allocator's and PostgreSQL's caches settle late.  One kB a scan would be seen.
MOST_CONTEXTS = 64 * 1024
MOST_PRIVATE = 3 * 1024 * 1024


def lines(first, n, **more):
    return b"".join(
        json.dumps({"n": i, "who": f"p{i}@example.com", "x": i / 7, "more": {"a": [i]}} | more).encode() + b"\n"
        for i in range(first, first + n)
    )


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


ESCAPED = rb'{"n": 7, "who": "\u00e9\ud83d\ude00", "x": 1, "more": {"deep": [[[{}]]]}}' + b"\n"

# key -> bytes; of 12 kB each, so that a scan is short and a transfer is not one packet
OBJECTS = {
    "good/1.json": lines(1, 150) + ESCAPED,
    "good/2.json.gz": gzip.compress(lines(200, 150), mtime=0),
    "good/3.json.zst": zstd(lines(400, 150)),
    "good/4.json": b"[" + lines(600, 50).replace(b"\n", b",")[:-1] + b"]",
    "good/5.json": lines(700, 150),
    "broken/1.json": lines(1, 40) + b'{"n": "no number"}\nno record\n' + lines(41, 40) + b'{"n": 1, "n": 2}\n',
    "broken/2.json.gz": gzip.compress(lines(100, 3000), mtime=0)[:-500],
    "broken/3.json.zst": zstd(lines(100, 3000))[:-500],
    "gone/1.json": lines(1, 10),
    "gone/2.json": lines(1, 10),
    "reset/1.json": lines(1, 400),
    "silent/1.json": lines(1, 400),
}


class FakeS3:
    """Lists and gives objects over HTTP; what it does with a key, its first folder says."""

    def __init__(self, objects):
        self.objects = objects
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.endpoint = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self):
        self.listener.close()

    def serve(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.converse, args=(conn,), daemon=True).start()

    def converse(self, conn):
        try:
            with conn, conn.makefile("rb") as requests:
                while (line := requests.readline()) and self.answer(conn, line.split()[1].decode(), requests):
                    pass
        except OSError:
            pass

    def answer(self, conn, target, requests):
        """Answer one request; false when the connection is to end."""
        offset = 0
        while (header := requests.readline().strip()):
            found = re.match(rb"(?i)range: bytes=(\d+)-", header)
            offset = int(found[1]) if found else offset
        path, _, query = target.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        if "list-type" in query:
            return self.send(conn, "200 OK", self.listing(query["prefix"]))
        key = urllib.parse.unquote(path).split("/", 2)[2]
        kind = key.split("/")[0]
        if kind == "gone":
            return self.send(conn, "404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>")
        body = self.objects[key][offset:]
        status = "206 Partial Content" if offset else "200 OK"
        if kind not in ("reset", "silent"):
            return self.send(conn, status, body, etag_of(key))
        self.send(conn, status, body, etag_of(key), len(body) // 2)
        if kind == "silent":
            requests.read()
        else:
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    @staticmethod
    def send(conn, status, body, etag=None, most=None):
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n"
        if etag:
            head += f"ETag: {etag}\r\n"
        conn.sendall(head.encode() + b"\r\n" + body[:most])
        return True

    def listing(self, prefix):
        contents = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(body)}</Size>"
            f"<ETag>{etag_of(key)}</ETag><LastModified>2024-01-01T00:00:00Z</LastModified></Contents>"
            for key, body in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        return (
            "<ListBucketResult><IsTruncated>false</IsTruncated>" + contents + "</ListBucketResult>"
        ).encode()


def etag_of(key):
    return f'"{key.encode().hex()}"'


def process(pid):
    """(descriptors, sockets, threads, private bytes) of a process.

    Of its descriptors, those of the server's own files are PostgreSQL's to keep.
    """
    folder = pathlib.Path("/proc") / str(pid)
    data = os.readlink(folder / "cwd")
    links = []
    for name in os.listdir(folder / "fd"):
        link = os.readlink(folder / "fd" / name)
        if not link.startswith(data):
            links.append(link)
    private = re.search(r"^RssAnon:\s+(\d+) kB", (folder / "status").read_text(), re.M)
    return (
        len(links),
        sum(link.startswith("socket:") for link in links),
        len(os.listdir(folder / "task")),
        int(private[1]) * 1024,
    )


class Scans:
    """A session, and the kinds of scans that it makes of landing tables in its schemas."""

    def __init__(self, conn, watcher, schema):
        self.conn = conn
        self.watcher = watcher
        self.schema = schema
        self.kinds = [getattr(self, name) for name in dir(self) if name.startswith("scan_")]

    def round(self):
        """One scan or more of each kind; after each, the session works."""
        for kind in self.kinds:
            kind()
            if self.conn.execute("SELECT 42").fetchone() != (42,):
                raise AssertionError("the session does not work on")
        return len(self.kinds)

    def run(self, query, *params):
        return self.conn.execute(query.replace("{s}", self.schema), params or None)

    def fails(self, query, *sqlstates):
        try:
            self.run(query)
        except psycopg.Error as error:
            if error.sqlstate not in sqlstates:
                raise
            return
        raise AssertionError(f"no error: {query}")

    # what goes well

    def scan_whole(self):
        n, length = self.run("SELECT count(n), sum(length(who)) FROM {s}.good").fetchone()
        if (n, length is None) != (651, False):
            raise AssertionError(f"{n} records")

    def scan_count(self):
        self.run("SELECT count(*) FROM {s}.good")

    def scan_filter(self):
        self.run("SELECT n, more FROM {s}.good WHERE who = 'p7@example.com'")

    def scan_parallel(self):
        with self.conn.transaction():
            self.conn.execute("SET LOCAL parallel_setup_cost = 0")
            self.conn.execute("SET LOCAL parallel_tuple_cost = 0")
            self.conn.execute("SET LOCAL min_parallel_table_scan_size = 0")
            self.run("SELECT count(n) FROM {s}.good")

    def scan_again(self):
        self.run("SELECT (SELECT count(*) FROM {s}.good g WHERE g.n > i) FROM generate_series(1, 3) i")

    def scan_rejects(self):
        self.run("SELECT count(*) FROM stedi.rejects('{s}.broken')")

    def scan_analyze(self):
        self.run("ANALYZE {s}.good")

    # what is given up

    def scan_limit(self):
        self.run("SELECT n FROM {s}.good LIMIT 1")

    def scan_cursor_closed(self):
        with self.conn.transaction():
            self.run("DECLARE c CURSOR FOR SELECT n, who FROM {s}.good")
            self.run("FETCH 3 FROM c")
            self.run("CLOSE c")

    def scan_cursor_left(self):
        with self.conn.transaction():
            self.run("DECLARE c CURSOR FOR SELECT n, who FROM {s}.good")
            self.run("FETCH 170 FROM c")

    def scan_cursor_aborted(self):
        with self.conn.transaction(force_rollback=True):
            self.run("DECLARE c CURSOR FOR SELECT n, who FROM {s}.good")
            self.run("FETCH 320 FROM c")

    def scan_savepoint(self):
        with self.conn.transaction():
            self.run("DECLARE outer_one CURSOR FOR SELECT n FROM {s}.good")
            self.run("FETCH 2 FROM outer_one")
            with self.conn.transaction(force_rollback=True):
                self.run("DECLARE inner_one CURSOR FOR SELECT n, more FROM {s}.good")
                self.run("FETCH 200 FROM inner_one")
                self.run("FETCH 200 FROM outer_one")

    # what ends in an error

    def scan_division(self):
        self.fails("SELECT 1 / (n - 420) FROM {s}.good", "22012")

    def scan_division_parallel(self):
        with self.conn.transaction(force_rollback=True):
            self.conn.execute("SET LOCAL parallel_setup_cost = 0")
            self.conn.execute("SET LOCAL parallel_tuple_cost = 0")
            self.conn.execute("SET LOCAL min_parallel_table_scan_size = 0")
            self.fails("SELECT sum(1 / (n - 720)) FROM {s}.good", "22012")

    def scan_stop(self):
        self.fails("SELECT sum(n) FROM {s}.stop", "22P02", "22032")

    def scan_reject_limit(self):
        self.fails("SELECT sum(n) FROM {s}.limited", "22P02")

    def scan_damaged(self):
        self.run("SELECT sum(n) FROM {s}.broken")

    def scan_savepoint_error(self):
        with self.conn.transaction():
            self.run("SELECT n FROM {s}.good LIMIT 1")
            for query in ("SELECT 1 / (n - 3) FROM {s}.good", "SELECT sum(n) FROM {s}.stop"):
                try:
                    with self.conn.transaction():
                        self.run(query)
                except psycopg.Error:
                    pass
            self.run("SELECT n FROM {s}.good LIMIT 160")

    def scan_exception(self):
        self.run(
            """DO $$ DECLARE r record; BEGIN
                 FOR i IN 1 .. 3 LOOP
                   BEGIN
                     FOR r IN SELECT n, who FROM {s}.good LOOP
                       IF r.n = 100 + i * 110 THEN RAISE 'enough'; END IF;
                     END LOOP;
                   EXCEPTION WHEN raise_exception THEN NULL;
                   END;
                   BEGIN
                     PERFORM 1 / (n - 205) FROM {s}.good;
                   EXCEPTION WHEN division_by_zero THEN NULL;
                   END;
                 END LOOP;
               END $$"""
        )

    def scan_timeout(self):
        with self.conn.transaction(force_rollback=True):
            self.conn.execute("SET LOCAL statement_timeout = 15")
            self.fails("SELECT n, pg_sleep(0.004) FROM {s}.good", "57014")

    def scan_cancelled(self):
        pid = self.conn.info.backend_pid
        ended = threading.Event()

        def cancel():
            wait_until(
                lambda: ended.is_set()
                or self.watcher.execute(
                    "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = %s", (pid,)
                ).fetchone()[0],
                "the session does not sleep",
            )
            self.watcher.execute("SELECT pg_cancel_backend(%s)", (pid,))

        thread = threading.Thread(target=cancel)
        thread.start()
        try:
            self.fails("SELECT n, pg_sleep(10) FROM {s}.good", "57014")
        finally:
            ended.set()
            thread.join()


class S3Scans(Scans):
    """Those, and what only a server can do."""

    def scan_gone(self):
        self.fails("SELECT count(*) FROM {s}.gone", "42704")

    def scan_reset(self):
        self.fails("SELECT count(n) FROM {s}.reset", "08006", "08001")

    def scan_silent(self):
        with self.conn.transaction(force_rollback=True):
            self.conn.execute("SET LOCAL statement_timeout = 30")
            self.fails("SELECT count(n) FROM {s}.silent", "57014")

    def scan_silent_savepoint(self):
        with self.conn.transaction():
            self.run("DECLARE kept_open CURSOR FOR SELECT n FROM {s}.good")
            self.run("FETCH 5 FROM kept_open")
            with self.conn.transaction(force_rollback=True):
                self.conn.execute("SET LOCAL statement_timeout = 30")
                self.fails("SELECT count(n) FROM {s}.silent", "57014")
            self.run("FETCH 500 FROM kept_open")


def make_tables(db, schema, url, secrets=None, **options):
    """The landing tables of a source of OBJECTS, in a schema over a server of that name."""
    if db.value("SELECT count(*) FROM stedi.options() WHERE option = 'max_tries'") and secrets:
        options["max_tries"] = 1  # else a reset takes as long as its retries do
    db.make_server(schema, url, secrets, **options)
    db.run(f"CREATE SCHEMA {schema}")
    for name, prefix, more in (
        ("good", "good", {}),
        ("broken", "broken", {}),
        ("stop", "broken", {"on_error": "stop"}),
        ("limited", "broken", {"reject_limit": 1}),
        ("gone", "gone", {}),
        ("reset", "reset", {}),
        ("silent", "silent", {}),
    ):
        db.run(
            sql.SQL(
                "CREATE FOREIGN TABLE {}.{} (n integer, who text, x double precision, more jsonb)"
                " SERVER {} OPTIONS ({})"
            ).format(
                sql.Identifier(schema), sql.Identifier(name), sql.Identifier(schema),
                options_list(prefix=prefix, **more),
            )
        )


class LeakTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not shutil.which("zstd"):
            raise unittest.SkipTest("there is no zstd")
        for key, body in OBJECTS.items():
            path = cls.folder / key
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(body)
        cls.s3 = FakeS3(OBJECTS)
        cls.addClassCleanup(cls.s3.close)

    def make_sources(self, db, **options):
        make_tables(db, "from_files", f"file://{self.folder}")
        make_tables(
            db, "from_s3", "s3://bucket", {"access_key_id": "AK", "secret_access_key": "SK"},
            endpoint=self.s3.endpoint, allow_http="true", **options,
        )

    def measure(self, conn):
        contexts = conn.execute("SELECT sum(total_bytes) FROM pg_backend_memory_contexts").fetchone()[0]
        return (*process(conn.info.backend_pid), int(contexts))

    def check_flat(self, conn, watcher, kinds, n_scans):
        """Run that many scans, and compare the end with what it was after a few."""
        n = 0
        conn.execute("SET client_min_messages = error")
        for _ in range(WARM_ROUNDS):
            n += sum(scans.round() for scans in kinds)
        before = self.measure(conn)
        while n < n_scans or n < 2 * WARM_ROUNDS:
            n += sum(scans.round() for scans in kinds)
        after = self.measure(conn)
        names = ("descriptors", "sockets", "threads", "private", "contexts")
        print(f"{n} scans:", ", ".join(f"{k} {a} -> {b}" for k, a, b in zip(names, before, after)))
        self.assertEqual(after[:3], before[:3], "descriptors, sockets, threads")
        self.assertLess(after[4] - before[4], MOST_CONTEXTS, "memory contexts")
        if not UNDER_VALGRIND:
            self.assertLess(after[3] - before[3], MOST_PRIVATE, "private memory")

    def test_flat(self):
        try:
            process(self.db.conn.info.backend_pid)
        except OSError:
            self.skipTest("the server's processes belong to somebody else")
        self.make_sources(self.db)
        with self.connect() as conn, self.connect() as watcher:
            self.check_flat(
                conn, watcher,
                [Scans(conn, watcher, "from_files"), S3Scans(conn, watcher, "from_s3")], SCANS,
            )

    def test_few_descriptors(self):
        """With so few descriptors that a leak of a dozen would be an error."""
        cluster = Cluster(self, max_files_per_process=64).make()
        db = cluster.make_database("few")
        self.make_sources(db, connections=4)
        conn, watcher = cluster.connect("few"), cluster.connect("few")
        self.addCleanup(watcher.close)
        self.addCleanup(conn.close)
        self.check_flat(conn, watcher, [S3Scans(conn, watcher, "from_s3")], SCANS // 2)


if __name__ == "__main__":
    unittest.main()
