"""A standby that follows the server, and what a run of materialize leaves on it.

Proves that the log alone rebuilds the pages that zone_heap.c writes around
the buffers: the standby has them from nowhere else.  So a server that crashed
and lost its files' last changes would have them, too.  Guards src/zone_heap.c
and the replacing of storage in src/zone_write.c.
"""
import contextlib
import os
import pathlib
import subprocess
import time
import unittest

import psycopg

from stedi_client import TABLES, ServerTest, make_folder

import landing

STANDBY_PORT = 5433
PATIENCE = 60  # seconds


def run(*command):
    """Run a program of the server; its output is told when it fails."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )
    if done.returncode != 0:
        raise AssertionError(f"{command[0]}: {done.stdout}")


class ReplayTest(ServerTest):
    @classmethod
    def programs(cls):
        """The folder of the server's programs, or None when that is not ours to look into."""
        data = pathlib.Path(cls.db.value("SHOW data_directory"))
        try:
            pid = (data / "postmaster.pid").read_text().split()[0]
            return pathlib.Path(os.readlink(f"/proc/{pid}/exe")).parent
        except PermissionError:
            return None

    @contextlib.contextmanager
    def standby(self):
        """A standby of the server, while it lasts: a connection to it."""
        programs = self.programs()
        if programs is None:
            self.skipTest("the server belongs to somebody else")
        info = self.db.conn.info
        folder = make_folder()
        copy = folder / "data"
        run(
            programs / "pg_basebackup", "-D", copy, "-R", "-X", "stream", "-c", "fast",
            "-h", info.host, "-p", str(info.port), "-U", info.user,
        )
        settings = (
            f"port = {STANDBY_PORT}\nunix_socket_directories = '{folder}'\n"
            "listen_addresses = ''\nhot_standby = on\nshared_buffers = 32MB\n"
        )
        with open(copy / "postgresql.auto.conf", "a", encoding="ascii") as file:
            file.write(settings)
        pg_ctl = (programs / "pg_ctl", "-D", copy, "-l", folder / "log", "-w")
        run(*pg_ctl, "start")
        try:
            with psycopg.connect(
                host=str(folder), port=STANDBY_PORT, user=info.user, dbname=self.dbname,
                autocommit=True,
            ) as conn:
                yield conn
        finally:
            run(*pg_ctl, "-m", "immediate", "stop")

    def wait_for_replay(self, standby):
        target = self.db.value("SELECT pg_current_wal_flush_lsn()")
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            reached = standby.execute(
                "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (target,)
            ).fetchone()[0]
            if reached:
                return
            time.sleep(0.05)
        self.fail("the standby does not follow")

    def assert_same(self, standby):
        """The standby's tables are the server's, row for row at the same place, and whole."""
        self.wait_for_replay(standby)
        for table in TABLES:
            rows = f"SELECT ctid::text, t::text FROM target.{table} t ORDER BY ctid"
            here = self.db.rows(rows)
            self.assertEqual(standby.execute(rows).fetchall(), here, table)
            self.assertTrue(here, table)
            wrong = standby.execute(
                "SELECT * FROM verify_heapam(%s, check_toast => true)", (f"target.{table}",)
            ).fetchall()
            self.assertEqual(wrong, [], table)

    def assert_found_by_index(self, standby):
        email, n = self.db.rows(
            "SELECT email, count(*) FROM target.accelerometer_trusted GROUP BY 1 ORDER BY 2 DESC"
        )[0]
        standby.execute("SET enable_seqscan = off")
        found = standby.execute(
            "SELECT count(*) FROM target.accelerometer_trusted WHERE email = %s", (email,)
        ).fetchone()[0]
        self.assertEqual(found, n)

    def test_standby(self):
        folder = self.folder / "zone"
        landing.main([str(folder), "--seed", "5", "--readings", "60"])
        self.db.run("CREATE EXTENSION amcheck")
        self.db.run(
            "SET max_parallel_maintenance_workers = 3; SET min_parallel_table_scan_size = 0"
        )
        with self.landing("lake", folder), self.schema("target"), self.standby() as standby:
            self.db.materialize("target", landing="lake")
            self.assert_same(standby)
            self.assert_found_by_index(standby)
            self.db.run("DELETE FROM target.machine_learning_curated WHERE x > 0")
            self.db.materialize("target", landing="lake")
            self.assert_same(standby)
            self.db.materialize("target", landing="lake", full_refresh=True)
            self.assert_same(standby)
            self.assert_found_by_index(standby)


if __name__ == "__main__":
    unittest.main()
