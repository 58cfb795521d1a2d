"""Answers that would have no end have one, and those that are whole are taken.

Proves that a page of a listing which always breaks off is not asked for more
often than max_tries says, however much of it came before; that an error's body
without an end is not listened to for ever; and that silence behind the last
byte of an object is no trouble; nor is the time that a cursor is not fetched from
a part of retry_timeout.  Guards src/s3/fetch.c and src/net/http.c.
"""
import threading
import unittest

import psycopg

from stedi_client import ServerTest
from stedi_fake import FakeS3, error, listing, store

KEYS = {"access_key_id": "id", "secret_access_key": "secret"}
PATIENCE = 30  # seconds, for what takes one


class EndlessTest(ServerTest):
    def lake(self, answer, **options):
        fake = FakeS3(self, answer)
        self.addCleanup(self.db.run, "DROP SERVER IF EXISTS lake CASCADE")
        options = {"endpoint": fake.endpoint, "allow_http": "true", **options}
        self.db.make_server("lake", "s3://bucket", KEYS, **options)
        self.db.run("CREATE FOREIGN TABLE landed (n integer) SERVER lake")
        self.db.run(f"SET statement_timeout = '{PATIENCE}s'")
        return fake

    def test_a_long_page_that_always_breaks_off(self):
        page = listing({f"{'k' * 200}{n}": "{}" for n in range(1000)}).encode()
        self.assertGreater(len(page), 200_000)

        def cut(out):
            out.write(page[:-1])

        fake = self.lake(lambda request: (200, {"Content-Length": str(len(page))}, cut), max_tries="3")
        with self.assertRaises(psycopg.errors.ConnectionFailure):
            self.db.rows("SELECT * FROM landed")
        self.assertEqual(len(fake.requests), 3)

    def test_an_error_without_an_end(self):
        ended = threading.Event()
        body = error("AccessDenied").encode()

        def go_on(out):
            out.write(body)
            try:
                while not ended.is_set():
                    out.write(b" " * 65536)
            except OSError:
                pass

        self.addCleanup(ended.set)
        fake = self.lake(lambda request: (403, {}, go_on))
        with self.assertRaises(psycopg.errors.InvalidAuthorizationSpecification):
            self.db.rows("SELECT * FROM landed")
        self.assertEqual(len(fake.requests), 1)

    def test_silence_behind_the_last_byte(self):
        ended = threading.Event()
        self.addCleanup(ended.set)
        stored = store({"a.json": '{"n": 7}\n'})

        def answer(request):
            status, headers, body = stored(request)
            if request.lists:
                return status, headers, body

            def last_chunk_missing(out):
                out.write(b"%x\r\n%s\r\n" % (len(body), body.encode()))
                out.flush()
                ended.wait()

            return status, {**headers, "Transfer-Encoding": "chunked"}, last_chunk_missing

        fake = self.lake(answer, stall_timeout="1")
        self.assertEqual(self.db.rows("SELECT n FROM landed"), [(7,)])
        self.assertEqual(len(fake.requests), 2)

    def test_a_cursor_that_is_left_alone(self):
        refused = threading.Event()
        refusals = []
        stored = store({"a.json": '{"n": 1}\n', "b.json": '{"n": 2}\n'})

        def answer(request):
            if request.path.endswith("a.json"):
                refused.wait(PATIENCE)
            if request.path.endswith("b.json") and len(refusals) < 3:
                refusals.append(request)
                if len(refusals) == 2:
                    refused.set()
                return 503, {}, error("SlowDown")
            return stored(request)

        fake = self.lake(answer, retry_timeout="2", max_tries="100")
        with self.db.conn.transaction():
            self.db.run("DECLARE c CURSOR FOR SELECT n FROM landed")
            self.assertEqual(self.db.rows("FETCH 1 FROM c"), [(1,)])
            self.db.run("SELECT pg_sleep(2.1)")
            self.assertEqual(self.db.rows("FETCH 1 FROM c"), [(2,)])
        self.assertEqual(len(refusals), 3, fake.requests)


if __name__ == "__main__":
    unittest.main()
