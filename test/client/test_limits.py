"""Every buffer has a bound, and the error at the bound names the option that raises it.

Proves what becomes of objects that inflate to thousands of times their size, of
deep nesting, of long listings and of wide windows: an error, soon, with memory
flat; and that the option does raise the bound.  Guards src/scan/source.c,
src/record/frame.c, src/record/json.c, src/s3/list.c, src/s3/local.c and src/record/inflate.c.
"""
import gzip
import json
import shutil
import socket
import subprocess
import threading
import time
import unittest
import zlib

import psycopg
from psycopg import sql

from stedi_client import ServerTest, file_url, options_list
from test_leak import FakeS3, process

MB = 1 << 20
PATIENCE = 20  # seconds, for what takes one


def zeros_gzip(megabytes):
    """A gzip of so many MB of zeros: 1030 times smaller."""
    piece = bytes(MB)
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(piece) for _ in range(megabytes)) + packer.flush()


def zeros_zstd(megabytes, *options):
    return subprocess.run(
        ["zstd", "-q", "-c", *options], input=bytes(megabytes * MB), stdout=subprocess.PIPE, check=True
    ).stdout


def deep(levels, opening, closing):
    """A record whose value x is nested: with the record itself, so many levels."""
    return b'{"n":1,"x":' + opening * (levels - 1) + b"1" + closing * (levels - 1) + b"}\n"


class LimitsTest(ServerTest):
    def make_table(self, name, objects, server=None, **options):
        """A foreign table of these objects, key -> bytes, in a folder."""
        folder = self.folder / name
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        for key, data in objects.items():
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            (folder / key).write_bytes(data)
        self.addCleanup(self.db.run, f"DROP SERVER IF EXISTS {name} CASCADE")
        self.db.make_server(name, file_url(folder), **(server or {}))
        self.db.run(
            sql.SQL("CREATE FOREIGN TABLE {} (n bigint, x jsonb, s text OPTIONS (key 'y')) SERVER {} OPTIONS ({})").format(
                sql.Identifier(name + "_t"), sql.Identifier(name), options_list(prefix="", **options)
            )
        )

    def refused(self, query, *words):
        """The query ends with 54000; the message, its detail and its hint have these words."""
        with self.assertRaises(psycopg.errors.ProgramLimitExceeded) as raised:
            self.db.run(query)
        diag = raised.exception.diag
        self.assertEqual(diag.sqlstate, "54000")
        text = "\n".join(filter(None, (diag.message_primary, diag.message_detail, diag.message_hint)))
        for word in words:
            self.assertIn(word, text)

    def bombed(self, name, data):
        """It is an error, in a moment, and takes no memory."""
        self.make_table(name, {"bomb": data, "good.json": b'{"n":1}\n'})
        self.db.run(f"SELECT count(*) FROM {name}_t LIMIT 0")
        before = process(self.db.conn.info.backend_pid)[3]
        started = time.monotonic()
        self.refused(
            f"SELECT count(n) FROM {name}_t", 'object "bomb"', "max_inflate_ratio", f'"{name}_t"'
        )
        self.assertLess(time.monotonic() - started, PATIENCE)
        self.assertLess(process(self.db.conn.info.backend_pid)[3] - before, 64 * MB)
        self.refused(f"SELECT * FROM stedi.rejects('{name}_t')", "max_inflate_ratio")

    def test_gzip_bomb(self):
        """Ten MB that would be ten GB; they are told by the first MB."""
        data = zeros_gzip(1024)
        self.assertGreater(len(data), MB * 0.9)
        self.bombed("gzip_bomb", data * 10)  # members, one after the other

    def test_zstd_bomb(self):
        self.bombed("zstd_bomb", zeros_zstd(512) * 2)

    def test_ratio(self):
        """The option raises it; what is below it, or small, is read."""
        record = b'{"n":1,"s":"' + b"a" * 1000 + b'"}\n'
        n = 70 * MB // len(record)
        packed = gzip.compress(record * n, 9, mtime=0)
        ratio = n * len(record) // len(packed)
        self.assertGreater(ratio, 200)
        self.make_table("ratio", {"1": packed})
        # just above what is free: allowed by what its own bytes allow
        self.assertEqual(self.db.value("SELECT count(n) FROM ratio_t"), n)
        self.db.run("ALTER FOREIGN TABLE ratio_t OPTIONS (ADD max_inflate_ratio '1')")
        self.refused("SELECT count(n) FROM ratio_t", 'option "max_inflate_ratio" (1)')
        self.db.run("ALTER FOREIGN TABLE ratio_t OPTIONS (SET max_inflate_ratio '2000')")
        self.assertEqual(self.db.value("SELECT count(n) FROM ratio_t"), n)

    def test_ratio_of_each_object(self):
        """Many objects of what is free are not one that is too large."""
        packed = zeros_gzip(40)
        self.make_table("each", {str(i): packed + gzip.compress(b'\n{"n":1}', mtime=0) for i in range(5)},
                        max_inflate_ratio=1)
        self.assertEqual(self.db.value("SELECT count(n) FROM each_t"), 5)

    def test_window(self):
        """A zstd frame that wants a window beyond 128 MB is damage: no memory is taken for it."""
        record = b'{"n":1}\n'
        block = (len(record) << 3 | 1).to_bytes(3, "little") + record  # raw, and the last one
        for log, kept in ((27, 1), (28, 0), (41, 0)):
            name = f"window{log}"
            self.make_table(name, {"1": b"\x28\xb5\x2f\xfd\0" + bytes([log - 10 << 3]) + block})
            self.db.run("SET client_min_messages = error")
            with self.subTest(log=log):
                self.assertEqual(self.db.value(f"SELECT count(n) FROM {name}_t"), kept)
                self.assertEqual(self.db.value(f"SELECT count(*) FROM stedi.rejects('{name}_t')"), 1 - kept)

    def test_header_bombs(self):
        """Headers of any length hold nothing, and need no memory."""
        name = b"\x1f\x8b\x08\x08\0\0\0\0\0\xff" + b"n" * (20 * MB) + b"\0" + gzip.compress(b'{"n":1}\n', mtime=0)[10:]
        frame = b"\x50\x2a\x4d\x18" + (20 * MB).to_bytes(4, "little") + bytes(20 * MB) + zeros_zstd(1)
        empty = gzip.compress(b"", mtime=0) * 200_000
        before = process(self.db.conn.info.backend_pid)[3]
        self.make_table("headers", {"1": name, "2": frame, "3": empty})
        self.db.run("SET client_min_messages = error")
        self.assertEqual(self.db.value("SELECT count(n) FROM headers_t"), 1)
        self.assertLess(process(self.db.conn.info.backend_pid)[3] - before, 64 * MB)

    def test_depth(self):
        self.db.run("SET client_min_messages = error")
        for number, (levels, options, kept) in enumerate((
            (256, {}, [1, 2]),
            (257, {}, None),
            (257, {"max_depth": 257}, [1, 2]),
            (10_000, {"max_depth": 10_000}, [1, 2]),
            (10_001, {"max_depth": 10_000}, None),
            (3, {"max_depth": 3}, [1, 2]),
            (4, {"max_depth": 3}, None),
        )):
            for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
                name = f"deep{number}_{len(opening)}"
                self.make_table(name, {"1": deep(levels, opening, closing) + b'{"n":2}\n'}, **options)
                with self.subTest(levels=levels, opening=opening, **options):
                    self.assertEqual(self.db.value(f"SELECT array_agg(n ORDER BY n) FROM {name}_t"), kept)

    def test_deep_jsonb(self):
        """Values as deep as PostgreSQL's stack takes; beyond that the error is its own."""
        self.make_table("nested", {"1": deep(2_000, b"[", b"]")}, max_depth=10_000)
        self.assertEqual(self.db.value("SELECT length(x::text) FROM nested_t"), 2 * 1999 + 1)

    def test_listing_of_a_folder(self):
        self.make_table("files", {f"{i}/{k}.json": b'{"n":1}\n' for i in range(3) for k in range(4)},
                        server={"max_objects": 12})
        self.assertEqual(self.db.value("SELECT count(*) FROM files_t"), 12)
        self.db.run("ALTER SERVER files OPTIONS (SET max_objects '11')")
        self.refused("SELECT count(*) FROM files_t", 'option "max_objects" (11)', "prefix")
        self.db.run("ALTER SERVER files OPTIONS (SET max_objects '3')")
        self.refused("SELECT count(*) FROM files_t", 'option "max_objects" (3)')

    def test_listing_of_a_bucket(self):
        server = FakeS3({f"good/{i}.json": b'{"n":1}\n' for i in range(12)})
        self.addCleanup(server.close)
        self.addCleanup(self.db.run, "DROP SERVER IF EXISTS listed CASCADE")
        self.db.make_server(
            "listed", "s3://bucket", {"access_key_id": "AK", "secret_access_key": "SK"},
            endpoint=server.endpoint, allow_http="true", max_objects=12,
        )
        self.db.run("CREATE FOREIGN TABLE listed_t (n bigint) SERVER listed OPTIONS (prefix 'good')")
        self.assertEqual(self.db.value("SELECT count(*) FROM listed_t"), 12)
        self.db.run("ALTER SERVER listed OPTIONS (SET max_objects '11')")
        self.refused("SELECT count(*) FROM listed_t", 'bucket "bucket"', '"good/"', 'option "max_objects" (11)')

    def test_pages_that_always_break(self):
        """A page that breaks off is sent from its start again: however far it came, that is no progress."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        asked = []

        def run():
            while len(asked) < 20:
                try:
                    visitor, _ = server.accept()
                except OSError:
                    return
                with visitor:
                    asked.append(visitor.recv(65536))
                    visitor.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n<ListBucketResult>" + b" " * 200_000)

        threading.Thread(target=run, daemon=True).start()
        self.addCleanup(self.db.run, "DROP SERVER IF EXISTS broken CASCADE")
        self.db.make_server(
            "broken", "s3://bucket", {"access_key_id": "AK", "secret_access_key": "SK"},
            endpoint=f"http://127.0.0.1:{server.getsockname()[1]}", allow_http="true", max_tries=3,
        )
        self.db.run("CREATE FOREIGN TABLE broken_t (n bigint) SERVER broken")
        self.db.run(f"SET statement_timeout = '{PATIENCE}s'")
        with self.assertRaises(psycopg.errors.ConnectionFailure) as raised:
            self.db.run("SELECT count(*) FROM broken_t")
        self.assertIn("The request was sent 3 times", raised.exception.diag.message_detail)
        self.assertEqual(len(asked), 3)


if __name__ == "__main__":
    unittest.main()
