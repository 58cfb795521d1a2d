"""A query that waits for a server which never answers can be cancelled.

Proves that Ctrl-C, statement_timeout and pg_terminate_backend are answered
while the scan waits, and that the session works on afterwards.  Guards
src/fetch.c.
"""
import socket
import threading
import time
import unittest

import psycopg

from stedi_client import ServerTest, connect

# Far more than the program's own polling, for busy machines; far less than its timeouts.
PATIENCE = 3.0


class SilentServer:
    """Takes connections, reads, and never says a word (or only `greeting`)."""

    def __init__(self, greeting=b""):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.greeting = greeting
        self.asked = threading.Event()
        self.open = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(conn)
            threading.Thread(target=self.listen, args=(conn,), daemon=True).start()

    def listen(self, conn):
        try:
            if conn.recv(65536):
                conn.sendall(self.greeting)
                self.asked.set()
        except OSError:
            pass

    def close(self):
        self.listener.close()
        for conn in self.open:
            conn.close()


# What a server says before it goes silent in the middle of its answer.
HALF_AN_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: 100000\r\n\r\n"
    b"<?xml version='1.0'?><ListBucketResult>"
)


class CancelTest(ServerTest):
    def silent_landing(self, greeting, **options):
        """Landing tables, in schema silent, over a server that goes silent."""
        server = SilentServer(greeting)
        self.addCleanup(server.close)
        self.addCleanup(self.db.drop, "silent")
        self.db.make_landing(
            "silent",
            "s3://bucket",
            secrets={"access_key_id": "AK", "secret_access_key": "SK"},
            endpoint=server.endpoint,
            allow_http="true",
            **options,
        )
        return server

    def wait(self, greeting):
        """A session that waits for the server; gives (session, thread, errors)."""
        server = self.silent_landing(greeting)
        conn = self.connect()
        self.addCleanup(conn.close)
        errors = []

        def query():
            try:
                conn.execute("SELECT count(*) FROM silent.customer_landing")
            except psycopg.Error as error:
                errors.append(error)

        thread = threading.Thread(target=query, daemon=True)
        thread.start()
        self.assertTrue(server.asked.wait(10), "the server was not asked")
        self.wait_for_event(conn.info.backend_pid)
        return conn, thread, errors

    def wait_for_event(self, pid):
        """Until the session waits in the extension, as pg_stat_activity says."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            event = self.db.value("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", pid)
            if event == "Extension":
                return
            time.sleep(0.01)
        self.fail("the session does not wait in the extension")

    def check_ended(self, thread, errors, started, sqlstate):
        thread.join(PATIENCE)
        self.assertFalse(thread.is_alive(), f"not ended after {PATIENCE} s")
        # of the end of a connection, psycopg 3.1 gives no SQLSTATE
        self.assertIn([error.sqlstate for error in errors], ([sqlstate], [None] * (sqlstate == "57P01")))
        self.assertLess(time.monotonic() - started, PATIENCE)

    def test_cancel(self):
        for greeting in (b"", HALF_AN_ANSWER):
            with self.subTest(greeting=greeting):
                conn, thread, errors = self.wait(greeting)
                started = time.monotonic()
                conn.cancel()
                self.check_ended(thread, errors, started, "57014")
                self.assertEqual(conn.execute("SELECT 1").fetchone(), (1,))
                self.db.drop("silent")

    def test_statement_timeout(self):
        conn, thread, errors = self.wait(b"")
        conn.cancel()
        thread.join(PATIENCE)
        conn.execute("SET statement_timeout = 200")
        started = time.monotonic()
        with self.assertRaises(psycopg.errors.QueryCanceled):
            conn.execute("SELECT count(*) FROM silent.customer_landing")
        self.assertLess(time.monotonic() - started, PATIENCE)

    def test_terminate(self):
        conn, thread, errors = self.wait(b"")
        started = time.monotonic()
        self.db.run("SELECT pg_terminate_backend(%s)", conn.info.backend_pid)
        self.check_ended(thread, errors, started, "57P01")
        self.assertIn("terminating connection", str(errors[0]))
        self.assertTrue(conn.closed)

    def test_stall_is_an_error(self):
        self.silent_landing(HALF_AN_ANSWER, stall_timeout="1")
        with self.assertRaises(psycopg.Error) as raised:
            self.db.run("SELECT count(*) FROM silent.customer_landing")
        self.assertTrue(raised.exception.sqlstate.startswith("08"), raised.exception.sqlstate)
        self.assertIn("stall_timeout", raised.exception.diag.message_hint)


if __name__ == "__main__":
    unittest.main()
