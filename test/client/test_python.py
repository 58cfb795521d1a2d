"""Proves that doc/python.md does what it says: its code, its figures, and its bounds on memory.

Guards doc/frames.py, doc/step_detector.py and the labels of test/data/landing.py.
"""
import contextlib
import datetime
import io
import json
import os
import re
import subprocess
import sys
import unittest
from unittest import mock

import psycopg
from psycopg.conninfo import make_conninfo

from stedi_client import DSN, PROJECT, TABLES, ServerTest, connect

import landing

sys.path.insert(0, str(PROJECT / "doc"))
try:
    import frames
    import numpy as np
    import pandas as pd
    import step_detector
    from matplotlib.image import imread
except ImportError as missing:
    raise unittest.SkipTest(f"not installed: {missing.name}")

PAGE = (PROJECT / "doc" / "python.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^( *)```(sql|python)\n(.*?)^ *```", re.M | re.S)

TYPES = {
    "text": str,
    "integer": int,
    "double precision": float,
    "timestamp with time zone": datetime.datetime,
    "date": datetime.date,
}

# Reads 5,000 rows, then ten times as many, in each way; tells by how many kB its peak of
# memory is higher the second time.
READER = """
import re, sys
import frames, psycopg

def peak(way, times):
    query = (
        "SELECT m.* FROM (SELECT * FROM project.machine_learning_curated LIMIT 5000) AS m,"
        f" generate_series(1, {times})"
    )
    with psycopg.connect(sys.argv[1]) as connection:
        if way == "fetchall":
            n = len(connection.execute(query).fetchall())
        else:
            n = sum(len(frame) for frame in getattr(frames, way)(connection, query, rows=1000))
    assert n == 5000 * times
    with open("/proc/self/status") as status:
        return int(re.search("VmHWM:(.*) kB", status.read())[1])

for way in "by_copy", "by_cursor", "fetchall":
    print(-peak(way, 1) + peak(way, 10))
"""


def blocks(language, text):
    """The code of a page, as it stands there, but for the role's name."""
    for indent, found, code in BLOCK.findall(text):
        if found == language:
            code = re.sub(f"^{indent}", "", code, flags=re.M)
            yield code.replace("scientist", "regress_scientist")


def drop_role():
    with connect() as conn:
        conn.execute("DROP ROLE IF EXISTS regress_scientist")


class PythonTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(drop_role)  # when its database is gone
        drop_role()
        super().setUpClass()
        cls.zone = cls.folder / "zone"
        cls.labels = cls.folder / "zone.labels.csv"
        landing.main([str(cls.zone), "--customers", "40", "--gait", "30"])
        cls.db.make_landing("landing", f"file://{cls.zone}")
        cls.db.run("CREATE SCHEMA project")
        cls.db.materialize("project", landing="landing")
        for code in blocks("sql", PAGE.partition("## Connecting")[0]):
            cls.db.run(code)
        cls.scientist_dsn = make_conninfo(DSN, dbname=cls.dbname, user="regress_scientist")

    def scientist(self):
        conn = psycopg.connect(self.scientist_dsn)
        self.addCleanup(conn.close)
        return conn

    def withdraw_one(self):
        """Somebody who has readings takes consent back, and the tables follow."""
        email, serial = self.db.rows("SELECT email, serialnumber FROM project.customer_curated")[0]
        customers = self.zone / "customers"
        lines = (customers / "customers-0001.json").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        [record] = [record for record in records if record["email"] == email]
        record["lastUpdateDate"] += 1
        del record["shareWithResearchAsOfDate"]
        (customers / "later.json").write_text(json.dumps(record))
        self.addCleanup(self.db.materialize, "project", landing="landing")
        self.addCleanup((customers / "later.json").unlink)
        self.db.materialize("project", landing="landing")
        return serial

    def test_page(self):
        """All its code, in order; somebody withdraws where it says so."""
        services = self.folder / "services"
        services.write_text("[lake]\n" + self.scientist_dsn.replace(" ", "\n") + "\n")
        found = {}
        out = io.StringIO()
        before, _, after = PAGE.partition("## When somebody withdraws")
        with contextlib.redirect_stdout(out):
            with mock.patch.dict(os.environ, PGSERVICEFILE=str(services)):
                for code in blocks("python", before):
                    exec(code, found)
        self.addCleanup(found["connection"].close)
        self.assertIn(str(found["frame"].columns[0]), out.getvalue())
        n_rows, farthest = self.db.rows(
            "SELECT count(*), max(distancefromobject) FROM project.machine_learning_curated"
        )[0]
        devices = self.db.rows("SELECT DISTINCT serialnumber FROM project.machine_learning_curated")
        self.assertEqual((found["n_rows"], found["farthest"]), (n_rows, farthest))
        self.assertEqual(found["devices"], {device for (device,) in devices})
        report = self.db.materialize("project", landing="landing")
        self.assertEqual(found["head"], report[-1]["head"])
        types = str(pd.concat(frames.by_copy(found["connection"], found["READINGS"])).dtypes)
        said = re.sub("^    ", "", before, flags=re.M)
        self.assertIn(types.partition("\ndtype:")[0], said)
        found["connection"].rollback()

        serial = self.withdraw_one()
        with contextlib.redirect_stdout(out):
            for code in blocks("python", after):
                exec(code, found)
        self.assertEqual(found["left"], [(serial,)])
        self.assertIn("consent has changed 1 times since", out.getvalue())
        [history] = blocks("sql", after)
        changes = self.db.rows(history.replace("214", str(found["entry"])))
        self.assertEqual([what for _, what, _ in changes], ["withdrawn"])

    def test_scientist_sees_nothing_else(self):
        conn = self.scientist()
        conn.autocommit = True
        books = [f"stedi_books_project.stedi_{name}" for name in ("history", "key", "run")]
        for table in [f"project.{table}" for table in TABLES[:-1]] + books:
            with self.assertRaises(psycopg.errors.InsufficientPrivilege):
                conn.execute(f"SELECT FROM {table}")
        with self.assertRaises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT FROM landing.customer_landing")

    def test_one_moment(self):
        """Neither an incremental run nor full_refresh comes between the state and the rows."""
        conn = self.scientist()
        step_detector.begin(conn)
        state = step_detector.consent_state(conn)
        serial = self.withdraw_one()
        self.db.run("SET stedi.swap_timeout = 0")
        with self.assertRaises(psycopg.errors.LockNotAvailable):
            self.db.materialize("project", landing="landing", full_refresh=True)
        self.db.run("RESET stedi.swap_timeout")
        seen = pd.concat(frames.by_copy(conn, step_detector.IN_ORDER))
        self.assertIn(serial, set(seen.serialnumber))
        self.assertEqual(step_detector.consent_state(conn), state)
        conn.rollback()
        self.assertEqual(step_detector.consent_state(conn)[0], state[0] + 1)

    def test_step_detector(self):
        """As a user runs it."""
        plot = self.folder / "step_detector.png"
        script = PROJECT / "doc" / "step_detector.py"
        out = subprocess.run(
            [sys.executable, "-B", script, self.scientist_dsn, self.labels, plot],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        figures = dict(line.split(None, 1) for line in out.splitlines())
        for name in figures:
            self.assertRegex(PAGE, f"(?m)^    {name}  ")
        entry, head = re.fullmatch(
            "as of entry (.*) of the history, head (.*)", figures["consent"]
        ).groups()
        self.assertEqual(
            (int(entry), head), self.db.rows("SELECT * FROM project.consent_state")[0]
        )
        n_people = self.db.value(
            "SELECT count(DISTINCT serialnumber) FROM project.machine_learning_curated"
        )
        self.assertRegex(figures["windows"], f"^[0-9]+ of {n_people} people$")
        self.assertGreater(float(figures["score"]), 0.8)
        mean, most = map(float, re.findall("0[.][0-9]+", figures["shuffled"]))
        self.assertAlmostEqual(mean, 0.5, delta=0.05)
        self.assertLess(most, 0.65)

        self.assertTrue(10_000 < plot.stat().st_size < 100_000)
        pixels = imread(plot)[..., :3]
        self.assertGreater(pixels.shape[1], 500)
        self.assertTrue(0.02 < (pixels.min(axis=2) < 0.9).mean() < 0.9)

    def test_nobody_is_in_both_sets(self):
        conn = self.scientist()
        table = step_detector.labelled_windows(
            frames.by_copy(conn, step_detector.IN_ORDER, rows=777),
            step_detector.read_labels(self.labels),
        )
        whole = step_detector.labelled_windows(
            frames.by_copy(conn, step_detector.IN_ORDER), step_detector.read_labels(self.labels)
        )
        pd.testing.assert_frame_equal(table, whole)  # wherever chunks end

        scored = []
        for train, test in step_detector.folds(table):
            people = set(table.serialnumber[train]), set(table.serialnumber[test])
            self.assertFalse(people[0] & people[1])
            scored += list(test)
        self.assertEqual(sorted(scored), list(range(len(table))))

        used = []
        model = step_detector.model()

        class Spy(type(model)):
            def fit(self, X, y, **more):
                used.append(set(X.index))
                return super().fit(X, y, **more)

        trained = [set(train) for train, _ in step_detector.folds(table)]
        with mock.patch.object(step_detector, "model", lambda: Spy(model.steps)):
            with mock.patch.object(step_detector, "SHUFFLES", 1):
                step_detector.score(table)
            step_detector.predict(table)
        self.assertEqual(len(used), 15)
        for rows in used:
            self.assertIn(rows, trained)

        rng = np.random.default_rng(1)
        table["stepping"] = rng.permutation(table.stepping)
        with mock.patch.object(step_detector, "SHUFFLES", 1):
            self.assertAlmostEqual(step_detector.score(table)[0], 0.5, delta=0.1)

    def test_types(self):
        """Columns come as the page says, and no name needs quotes."""
        for binary in False, True:
            conn = self.connect()
            self.addCleanup(conn.close)
            for table in TABLES:
                columns = self.db.rows(
                    "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
                    " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
                    f"project.{table}",
                )
                for name, type_name in columns:
                    with self.subTest(table=table, column=name, binary=binary):
                        cursor = conn.cursor(binary=binary)
                        cursor.execute(
                            f"SELECT {name}, t.{name} FROM project.{table} AS t"
                            f" WHERE {name} IS NOT NULL ORDER BY {name} LIMIT 1"
                        )
                        self.assertEqual([column.name for column in cursor.description], [name] * 2)
                        for value in cursor.fetchone():
                            self.assertIs(type(value), TYPES[type_name])
                            if type_name == "timestamp with time zone":
                                self.assertIsNotNone(value.utcoffset())

    def test_frames(self):
        """by_copy gives what by_cursor gives: numbers, times, texts, NULLs, none."""
        conn = self.scientist()
        conn.execute("SET TIME ZONE 'UTC'")
        query = step_detector.IN_ORDER
        copied = pd.concat(frames.by_copy(conn, query, rows=1000), ignore_index=True)
        fetched = pd.concat(frames.by_cursor(conn, query, rows=1000), ignore_index=True)
        self.assertEqual(str(copied.distancefromobject.dtype), "Int32")
        copied["distancefromobject"] = copied.distancefromobject.astype("int64")
        pd.testing.assert_frame_equal(copied, fetched, check_exact=True)
        self.assertEqual(
            len(copied), self.db.value("SELECT count(*) FROM project.machine_learning_curated")
        )

        query = """
            SELECT * FROM (VALUES
                (1, -9000000000, 'é', '1700-01-01 00:00:00.000001+00'::timestamptz, 1e308::float8),
                (NULL, NULL, NULL, NULL, NULL),
                (-2147483648, 0, '', '2262-01-01+00', '-0')) AS v (a, b, c, d, e)
            WHERE a IS DISTINCT FROM %s"""
        [frame] = frames.by_copy(conn, query, [7])
        dtypes = ["Int32", "Int64", "object", "datetime64[ns, UTC]", "float64"]
        self.assertEqual(list(map(str, frame.dtypes)), dtypes)
        [other] = frames.by_cursor(conn, query, [7])
        self.assertTrue(frame.loc[1].isna().all() and other.loc[1].isna().all())
        for row in 0, 2:
            self.assertEqual(list(frame.loc[row]), list(other.loc[row]))
        [one] = frames.by_copy(conn, "SELECT NULL::float8 AS a")
        self.assertTrue(np.isnan(one.a[0]))
        self.assertEqual(list(frames.by_copy(conn, "SELECT 1 AS a WHERE false")), [])

        for time in "2263-01-01", "294276-12-31", "1399-01-01", "infinity", "-infinity":
            with self.assertRaises((OverflowError, ValueError)):
                list(frames.by_copy(conn, "SELECT %s::timestamptz AS t", [time]))
            conn.rollback()
        with self.assertRaisesRegex(TypeError, 'column "d" .* cast'):
            next(frames.by_copy(conn, "SELECT current_date AS d"))
        conn.rollback()

        rest = frames.by_copy(conn, step_detector.IN_ORDER, rows=10)
        self.assertEqual(len(next(rest)), 10)
        rest.close()
        conn.rollback()
        self.assertEqual(conn.execute("SELECT 1").fetchone(), (1,))

    def test_memory(self):
        """The peak does not grow with the rows; that of fetchall does, so it would be seen."""
        out = subprocess.run(
            [sys.executable, "-B", "-c", READER, self.scientist_dsn],
            env={**os.environ, "PYTHONPATH": str(PROJECT / "doc")},
            check=True,
            capture_output=True,
        ).stdout
        by_copy, by_cursor, fetchall = map(int, out.split())
        self.assertLess(by_copy, 2000)
        self.assertLess(by_cursor, 2000)
        self.assertGreater(fetchall, 8000, (by_copy, by_cursor))


if __name__ == "__main__":
    unittest.main()
