"""Scans in several processes over generated, dirty landing zones.

Proves that what they read, count and warn of is what one process does, on
zones of many objects, and that a query that fails in one of them leaves the
session as it was.  Guards src/scan/share.c and the parallel callbacks of
src/fdw/fdw.c.
"""
import pathlib
import unittest

import psycopg

from stedi_client import LANDING_TABLES, SEEDS, ServerTest

import landing  # in a folder that stedi_client adds to the path

EAGER = (
    "SET min_parallel_table_scan_size = 0",
    "SET parallel_setup_cost = 0",
    "SET parallel_tuple_cost = 0",
)
CONSENT = (
    "stedi.consents((SELECT stedi.consent_set(email, sharewithresearchasofdate)"
    ' FROM lake.customer_landing), "user", "timestamp")'
)
QUERIES = (
    *(f"SELECT t::text FROM lake.{table} t" for table in LANDING_TABLES),
    *(f"SELECT 1 FROM lake.{table}" for table in LANDING_TABLES),
    'SELECT "user", x FROM lake.accelerometer_landing WHERE x > 0 AND "user" > \'m\'',
    f"SELECT t::text FROM lake.accelerometer_landing t WHERE {CONSENT}",
    f"SELECT y FROM lake.accelerometer_landing t WHERE {CONSENT} AND y IS NOT NULL",
)
FIGURES = (
    "Objects Listed",
    "Objects Skipped",
    "Objects Read",
    "Bytes Read",
    "Requests",
    "Records Read",
    "Records Returned",
    "Records Filtered",
    "Records Not Consented",
    "Records Rejected",
)


def nodes(plan):
    """All nodes of a plan."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def scatter(folder):
    """Cut each object at line ends into five, which changes no record but what spans lines."""
    for path in sorted(pathlib.Path(folder).rglob("*.json")):
        lines = path.read_bytes().splitlines(keepends=True)
        if len(lines) < 10:
            continue
        step = -(-len(lines) // 5)
        path.unlink()
        for part in range(0, len(lines), step):
            path.with_name(f"{path.stem}.{part:06}.json").write_bytes(
                b"".join(lines[part : part + step])
            )


class ParallelTest(ServerTest):
    def setUp(self):
        super().setUp()
        for setting in EAGER:
            self.db.run(setting)

    def use(self, n_workers, leader="on"):
        self.db.run(f"SET max_parallel_workers_per_gather = {n_workers}")
        self.db.run(f"SET parallel_leader_participation = {leader}")

    def answers(self, query):
        """Its rows, sorted; the scans' figures; the warnings."""
        self.db.notices.clear()
        rows = sorted(self.db.rows(query))
        warnings = list(self.db.notices)
        plan = self.db.value(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")[0]["Plan"]
        scans = [node for node in nodes(plan) if node["Node Type"] == "Foreign Scan"]
        figures = sorted(tuple(scan[name] for name in FIGURES) for scan in scans)
        return (rows, figures, warnings), any(scan["Parallel Aware"] for scan in scans)

    def test_same_as_alone(self):
        for seed in SEEDS:
            folder = self.folder / f"zone{seed}"
            landing.main([str(folder), "--seed", str(seed), "--customers", "20"])
            scatter(folder)
            with self.landing("lake", folder):
                for query in QUERIES:
                    self.use(0)
                    alone, parallel = self.answers(query)
                    self.assertFalse(parallel)
                    for n_workers, leader in ((1, "on"), (4, "on"), (4, "off")):
                        with self.subTest(
                            seed=seed, query=query, n_workers=n_workers, leader=leader
                        ):
                            self.use(n_workers, leader)
                            together, parallel = self.answers(query)
                            self.assertTrue(parallel)
                            self.assertEqual(together, alone)

    def test_errors_leave_nothing(self):
        folder = self.folder / "errors"
        (folder / "step_trainer").mkdir(parents=True)
        for n in range(20):
            records = ('{"distanceFromObject":%d}\n' % (n * 100 + i) for i in range(100))
            (folder / "step_trainer" / f"{n:02}.json").write_text("".join(records))
        table = "lake.step_trainer_landing"
        with self.landing("lake", folder):
            self.use(4)
            for _ in range(5):
                with self.assertRaises(psycopg.errors.DivisionByZero):
                    self.db.run(f"SELECT sum(1 / (distancefromobject - 1050)) FROM {table}")
                with self.db.conn.transaction():
                    with self.assertRaises(psycopg.errors.DivisionByZero):
                        with self.db.conn.transaction():
                            self.db.run(f"SELECT sum(1 / (distancefromobject - 7)) FROM {table}")
                    self.assertEqual(self.db.value(f"SELECT count(*) FROM {table}"), 2000)
                self.assertEqual(len(self.db.rows(f"SELECT * FROM {table} LIMIT 150")), 150)
            (folder / "step_trainer" / "13.json").write_text("{}{}{]")
            self.db.run(f"ALTER FOREIGN TABLE {table} OPTIONS (ADD on_error 'stop')")
            with self.assertRaises(psycopg.errors.InvalidJsonText) as raised:
                self.db.run(f"SELECT count(*) FROM {table}")
            self.assertIn('object "step_trainer/13.json", line 1', raised.exception.diag.context)


if __name__ == "__main__":
    unittest.main()
