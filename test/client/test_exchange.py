"""Nothing from outside of a file:// folder is read, whoever exchanges what in it.

Proves that while another process exchanges a part of a path for a symbolic
link that leads out, for a pipe or for another folder, every query shows what
lies below the folder or ends with an error, and none waits.  The other way to
open files, which is for systems without openat2, is held against the kernel's
in test/unit/test_beneath.c.  Guards src/s3/local.c and src/s3/beneath.c.
"""
import collections
import ctypes
import multiprocessing
import os
import random
import time
import unittest

import psycopg

from stedi_client import ServerTest, file_url, make_folder

LONG = os.environ.get("STEDI_TEST_SECURITY") == "long"
QUERIES = 1500 if LONG else 60
N_FILES = 12

AT_FDCWD = -100
RENAME_EXCHANGE = 2

# What may be said in place of rows: changed since listed, no permission, nothing there.
EXPECTED = ("55000", "42501", "42704", "58P01", "42809")


def swap(one, other, stop, count):
    """Exchange two names until told to stop."""
    libc = ctypes.CDLL(None, use_errno=True)
    one, other = os.fsencode(one), os.fsencode(other)
    draw = random.Random(1)
    while not stop.is_set():
        libc.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE)
        count.value += 1
        if draw.random() < 0.5:
            time.sleep(draw.random() * 0.0005)


class ExchangeTest(ServerTest):
    def setUp(self):
        super().setUp()
        self.zone = make_folder()
        # who runs this may be root, whose links are trusted where nobody else can exchange them
        self.zone.chmod(0o777)
        self.root = self.zone / "root"
        self.outside = self.zone / "outside"
        for folder, text in ((self.root / "t", "inside"), (self.root / "t/sub", "inside"),
                             (self.outside, "OUTSIDE"), (self.outside / "t", "OUTSIDE"), (self.outside / "sub", "OUTSIDE"),
                             (self.outside / "t/sub", "OUTSIDE")):
            folder.mkdir(parents=True, exist_ok=True)
            for n in range(N_FILES):
                (folder / f"s{n}.json").write_text(f'{{"a":"{text}"}}\n' * 3)
        self.db.drop("lake")
        self.db.make_server("lake", file_url(self.root))
        self.addCleanup(self.db.drop, "lake")
        self.db.run("CREATE SCHEMA lake")
        self.db.run("CREATE FOREIGN TABLE lake.t (a text, o text OPTIONS (source 'object')) SERVER lake"
                    " OPTIONS (prefix 't', allow_empty 'true')")
        self.db.run("SET statement_timeout = '20s'")
        self.addCleanup(self.db.run, "RESET statement_timeout")

    def look(self, query):
        """One query while names are exchanged: how it ended."""
        try:
            rows = self.db.rows(query)
        except psycopg.Error as error:
            self.assertIn(error.sqlstate, EXPECTED, str(error))
            self.assertNotIn("OUTSIDE", str(error))
            return error.sqlstate
        for row in rows:
            self.assertNotIn("OUTSIDE", repr(row))
        return "rows" if rows else "no rows"

    def exchange(self, one, other, *queries):
        """The queries, over and over, while two names are exchanged; at least some find what is inside."""
        stop, count = multiprocessing.Event(), multiprocessing.Value("Q", 0)
        child = multiprocessing.Process(target=swap, args=(one, other, stop, count), daemon=True)
        child.start()
        ends = collections.Counter()
        try:
            while count.value == 0:
                time.sleep(0.001)
            for n in range(QUERIES):
                ends[self.look(queries[n % len(queries)])] += 1
        finally:
            stop.set()
            child.join()
        self.assertGreater(count.value, 20)
        self.assertGreater(ends["rows"], 0, ends)
        return ends

    ROWS = "SELECT a, o FROM lake.t"
    REJECTS = "SELECT object, convert_from(record, 'UTF8') FROM stedi.rejects('lake.t')"

    def test_a_folder(self):
        (self.root / "evil").symlink_to(self.outside)
        self.exchange(self.root / "t", self.root / "evil", self.ROWS, self.REJECTS, self.ROWS)

    def test_a_folder_below(self):
        (self.root / "evil").symlink_to(self.outside)
        self.exchange(self.root / "t/sub", self.root / "evil", self.ROWS)

    def test_a_file(self):
        (self.root / "evil").symlink_to(self.outside / "s3.json")
        self.exchange(self.root / "t/s3.json", self.root / "evil", self.ROWS, self.ROWS + " WHERE o = 't/s3.json'")

    def test_the_folder_itself(self):
        (self.zone / "evil").symlink_to(self.outside)
        ends = self.exchange(self.root, self.zone / "evil", self.ROWS)
        self.assertTrue(set(ends) <= {"rows", "no rows", "42501", "55000"}, ends)

    def test_in_several_processes(self):
        (self.root / "evil").symlink_to(self.outside)
        for setting in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
            self.db.run(f"SET {setting} = 0")
            self.addCleanup(self.db.run, f"RESET {setting}")
        plan = "\n".join(row[0] for row in self.db.rows("EXPLAIN " + self.ROWS))
        self.assertIn("Workers Planned", plan)
        self.exchange(self.root / "t", self.root / "evil", self.ROWS)

    def test_a_pipe(self):
        os.mkfifo(self.root / "pipe")
        self.exchange(self.root / "t/s3.json", self.root / "pipe", self.ROWS)

    def test_pipes_and_sockets_are_no_objects(self):
        os.mkfifo(self.root / "t/pipe.json")
        (self.root / "t/link.json").symlink_to("pipe.json")
        (self.root / "t/null.json").symlink_to("/dev/null")
        with self.assertRaises(psycopg.errors.InsufficientPrivilege):
            self.db.rows(self.ROWS)
        (self.root / "t/null.json").unlink()
        self.assertEqual(len(self.db.rows(self.ROWS)), 2 * N_FILES * 3)
        self.db.run("ALTER FOREIGN TABLE lake.t OPTIONS (SET prefix 't/pipe.json')")
        self.assertEqual(self.db.rows(self.ROWS), [])

    def test_links_that_stay_below(self):
        (self.root / "u").mkdir()
        (self.root / "u/relative.json").symlink_to("../t/s1.json")
        (self.root / "u/absolute.json").symlink_to(self.root / "t/s2.json")
        (self.root / "u/folder").symlink_to("../t/sub")
        self.db.run("ALTER FOREIGN TABLE lake.t OPTIONS (SET prefix 'u')")
        self.assertEqual(len(self.db.rows(self.ROWS)), (2 + N_FILES) * 3)
        (self.root / "u/evil.json").symlink_to(self.outside / "s1.json")
        with self.assertRaisesRegex(psycopg.errors.InsufficientPrivilege, 'object "u/evil.json" is not inside folder'):
            self.db.rows(self.ROWS)

    def test_links_on_the_way_to_the_folder(self):
        (self.zone / "alias").symlink_to("root")
        self.db.run(f"ALTER SERVER lake OPTIONS (SET url '{file_url(self.zone / 'alias')}')")
        with self.assertRaisesRegex(psycopg.errors.InsufficientPrivilege, "others than root can exchange"):
            self.db.rows(self.ROWS)


if __name__ == "__main__":
    unittest.main()
