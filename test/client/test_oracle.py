"""Proves that the five tables, their report and the rejects are what doc/rules.md says.

Guards the whole pipeline: a dirty landing zone of test/data/landing.py is
materialised and compared with test/oracle.py, for several seeds
(STEDI_TEST_SEEDS) and both rules of consent.
"""
import functools
import itertools
import json
import pathlib
import random
import shutil
import unittest

from stedi_client import LANDING_TABLES, SEEDS, TABLES, ServerTest, sort_key

import landing
import oracle

RULES = ("granted", "since_consent")

COUNTERS = (
    "records_read",
    "superseded",
    "no_consent",
    "before_consent",
    "unknown_owner",
    "without_readings",
    "ambiguous",
    "forgotten",
    "duplicates",
    "unchanged",
    "rejected",
)
OBJECT_COUNTERS = ("objects_listed", "objects_read", "bytes_read")

# Whose sum is records_read, by table; before_consent only under since_consent.
SUMS = {
    "customer_trusted": ("rejected", "superseded", "no_consent", "forgotten", "rows"),
    "accelerometer_trusted": (
        "rejected",
        "unknown_owner",
        "without_readings",
        "no_consent",
        "ambiguous",
        "forgotten",
        "duplicates",
        "rows",
    ),
}
SUMS["step_trainer_curated"] = SUMS["accelerometer_trusted"]

# A run in one process, and in as many as there are workers for.
ALONE = "SET max_parallel_maintenance_workers = 0"
TOGETHER = "SET max_parallel_maintenance_workers = 3; SET min_parallel_table_scan_size = 0"

# The folder that a table's landing records are in.
FOLDERS = {
    "customer_trusted": "customers",
    "accelerometer_trusted": "accelerometer",
    "step_trainer_curated": "step_trainer",
}


def withdraw(customer_row, now):
    """A customer record that takes a row's consent back."""
    return {
        "customerName": customer_row[0],
        "email": f" {customer_row[1].upper()} ",
        "serialNumber": customer_row[4],
        "lastUpdateDate": now,
        "shareWithResearchAsOfDate": 0,
    }


def has_one_capital(row):
    """The capital of a dotless i is that of an i, who is somebody else."""
    return "\u0131" not in row[1]


def for_each_zone(test):
    """Run a test of (folder, consent) on all seeds under all rules, alone and together, as subtests."""

    @functools.wraps(test)
    def run(self):
        for seed, consent, processes in itertools.product(SEEDS, RULES, (ALONE, TOGETHER)):
            with self.subTest(seed=seed, consent=consent, processes=processes):
                self.db.run(processes)
                test(self, self.zone(seed), consent)

    return run


class OracleTest(ServerTest):
    """Dirty zones, one a seed, each written and read by the oracle once."""

    maxDiff = 4000

    @classmethod
    @functools.cache
    def zone(cls, seed):
        """The folder of a seed's zone."""
        folder = cls.folder / f"zone{seed}"
        landing.main([str(folder), "--seed", str(seed)])
        return folder

    @classmethod
    @functools.cache
    def read(cls, folder):
        return oracle.read_zone(folder)

    def expected(self, folder, consent, now, match="customer"):
        return oracle.compute(folder, consent, now, match, landing=self.read(folder))

    def assert_same_rows(self, expected, actual, table):
        """Two multisets of rows; says what is missing and what is too much."""
        expected = sorted(expected, key=sort_key)
        actual = sorted(actual, key=sort_key)
        if expected == actual:
            return
        missing = list(actual)
        lost = [row for row in expected if not take(missing, row)]
        self.fail(
            f"{table}: {len(lost)} rows missing, {len(missing)} too many\n"
            f"missing: {lost[:5]}\ntoo many: {missing[:5]}"
        )

    def assert_tables(self, target, result):
        for table in TABLES:
            self.assert_same_rows(result.tables[table], self.db.table(target, table), table)

    def assert_report(self, report, result, consent):
        """Every counter of a run that built the tables anew."""
        self.assertEqual([row["table_name"] for row in report], list(TABLES))
        for row in report:
            table = row["table_name"]
            counts = result.report[table]
            self.assertEqual(row["consent"], consent)
            self.assertEqual(row["rows"], counts["rows"], table)
            if table in FOLDERS:
                actual = {name: row[name] for name in COUNTERS}
                self.assertEqual(actual, {name: counts[name] for name in COUNTERS}, table)
                names = SUMS[table]
                if consent == "since_consent" and table != "customer_trusted":
                    names += ("before_consent",)
                self.assertEqual(sum(row[name] for name in names), row["records_read"], table)
            else:
                for name in COUNTERS + OBJECT_COUNTERS:
                    self.assertIsNone(row[name], (table, name))

    def assert_changes(self, report, rows_in, rows_out):
        actual = {row["table_name"]: (row["rows_in"], row["rows_out"]) for row in report}
        self.assertEqual(actual, {table: (rows_in(table), rows_out(table)) for table in TABLES})

    @for_each_zone
    def test_tables_and_report(self, folder, consent):
        with self.landing("lake", folder), self.schema("target"):
            report, now = self.db.materialize_at("target", landing="lake", consent=consent)
            result = self.expected(folder, consent, now)
            self.assert_tables("target", result)
            self.assert_report(report, result, consent)
            self.assert_changes(report, lambda name: len(result.tables[name]), lambda _: 0)
            for row in report:
                if row["table_name"] in FOLDERS:
                    keys = oracle.list_objects(folder, FOLDERS[row["table_name"]])
                    sizes = sum((folder / key).stat().st_size for key in keys)
                    self.assertEqual(row["objects_read"], len(keys))
                    self.assertGreaterEqual(row["objects_listed"], len(keys))
                    self.assertEqual(row["bytes_read"], sizes)

    def test_processes(self):
        """Each phase of a run has the workers that it may have, also to ask what drops rows."""
        self.db.run(TOGETHER + "; SET client_min_messages = debug1")
        self.addCleanup(self.db.run, "RESET client_min_messages")
        # in a language from which the planner takes no expression out
        function = (
            "CREATE FUNCTION lake.{}(float8) RETURNS boolean IMMUTABLE PARALLEL {}"
            " LANGUAGE plpgsql AS 'BEGIN RETURN $1 > 0; END'"
        )
        expect = "SELECT stedi.expect('lake', 'accelerometer_trusted', 'x', %s, 'drop')"
        with self.landing("lake", self.zone(SEEDS[0])):
            self.assertEqual(self.parallel_phases(), 3)
            self.db.run(function.format("safe", "SAFE"))
            self.db.run(function.format("unsafe", "UNSAFE"))
            tables = []
            for condition, phases in (("lake.safe(x)", 3), ("lake.unsafe(x)", 0)):
                self.db.run(expect, condition)
                self.assertEqual(self.parallel_phases(), phases, condition)
                tables.append(self.db.tables("lake"))
        self.assertEqual(*tables)

    def parallel_phases(self):
        """How many phases of a run there are workers in."""
        self.db.notices.clear()
        self.db.materialize("lake")
        return sum("in 4 processes" in text for text in map(str, self.db.notices))

    @for_each_zone
    def test_second_run_changes_nothing(self, folder, consent):
        with self.landing("lake", folder):
            first = self.db.materialize("lake", consent=consent)
            before = self.db.rows(
                "SELECT xmin::text, ctid::text FROM lake.customer_trusted ORDER BY 2"
            )
            report, now = self.db.materialize_at("lake")
            self.assert_tables("lake", self.expected(folder, consent, now))
            for row in report:
                self.assertEqual((row["mode"], row["consent"]), ("incremental", consent))
                if row["table_name"] in FOLDERS:
                    self.assertGreater(row["objects_listed"], 0)
                    counts = {row[name] for name in COUNTERS + ("objects_read", "bytes_read", "kept")}
                    self.assertEqual(counts, {0}, row)
            self.assert_changes(report, lambda _: 0, lambda _: 0)
            self.assertEqual([row["rows"] for row in first], [row["rows"] for row in report])
            after = self.db.rows(
                "SELECT xmin::text, ctid::text FROM lake.customer_trusted ORDER BY 2"
            )
            self.assertEqual(before, after)

    @for_each_zone
    def test_match_time(self, folder, consent):
        with self.landing("lake", folder):
            self.db.notices.clear()
            _, now = self.db.materialize_at("lake", consent=consent, match="time")
            self.assert_tables("lake", self.expected(folder, consent, now, "time"))
            self.assertTrue(self.db.notices)

    @for_each_zone
    def test_order_of_objects(self, folder, consent):
        renamed = self.folder / "renamed"
        shutil.rmtree(renamed, ignore_errors=True)
        rename_objects(folder, renamed)
        with self.landing("lake", renamed):
            _, now = self.db.materialize_at("lake", consent=consent)
            self.assert_tables("lake", self.expected(folder, consent, now))

    def test_switch_of_rule(self):
        for seed in SEEDS:
            with self.subTest(seed=seed), self.landing("lake", self.zone(seed)):
                self.db.materialize("lake", consent="granted")
                for consent in ("since_consent", "granted"):
                    before = {name: len(rows) for name, rows in self.db.tables("lake").items()}
                    report, now = self.db.materialize_at("lake", consent=consent)
                    result = self.expected(self.zone(seed), consent, now)
                    self.assert_tables("lake", result)
                    self.assert_report(report, result, consent)
                    for row in report:
                        change = row["rows_in"] - row["rows_out"]
                        self.assertEqual(before[row["table_name"]] + change, row["rows"])

    @for_each_zone
    def test_dry_run(self, folder, consent):
        with self.landing("lake", folder), self.schema("target"):
            self.db.materialize("target", landing="lake", consent=consent, dry_run=True)
            made = "SELECT relname FROM pg_class WHERE relnamespace = 'target'::regnamespace"
            self.assertEqual(self.db.rows(made), [])
            self.db.materialize("target", landing="lake", consent=RULES[0])
            before = self.db.tables("target")
            report, now = self.db.materialize_at(
                "target", landing="lake", consent=RULES[1], dry_run=True
            )
            self.assertEqual(self.db.tables("target"), before)
            self.assert_report(report, self.expected(folder, RULES[1], now), RULES[1])
            # and the rule of the first run is kept
            report = self.db.materialize("target", landing="lake")
            self.assertEqual({row["consent"] for row in report}, {RULES[0]})

    @for_each_zone
    def test_full_refresh(self, folder, consent):
        with self.landing("lake", folder):
            self.db.materialize("lake", consent=consent)
            self.db.run("DELETE FROM lake.accelerometer_trusted WHERE random() < 0.5")
            report, now = self.db.materialize_at("lake", full_refresh=True)
            result = self.expected(folder, consent, now)
            self.assert_tables("lake", result)
            self.assert_report(report, result, consent)

    @for_each_zone
    def test_one_by_one(self, folder, consent):
        with self.landing("lake", folder):
            report = []
            for table in TABLES:
                rows, now = self.db.materialize_at(
                    "lake", function=f"materialize_{table}", consent=consent
                )
                report += rows
            result = self.expected(folder, consent, now)
            self.assert_tables("lake", result)
            self.assert_report(report, result, consent)

    @for_each_zone
    def test_withdrawal(self, folder, consent):
        changed = self.folder / "changed"
        shutil.rmtree(changed, ignore_errors=True)
        shutil.copytree(folder, changed)
        with self.landing("lake", changed):
            _, now = self.db.materialize_at("lake", consent=consent)
            steps = {row[1] for row in self.db.table("lake", "step_trainer_curated")}
            pairs = {row[0] for row in self.db.table("lake", "machine_learning_curated")}
            gone = [
                row
                for row in filter(has_one_capital, self.db.table("lake", "customer_curated"))
                if row[4] in steps & pairs
            ][::7]
            self.assertGreater(len(gone), 2)
            records = [json.dumps(withdraw(row, landing.NOW)) for row in gone]
            (changed / "customers" / "0 withdrawn.json").write_text("".join(records))

            self.db.materialize("lake")
            result = oracle.compute(changed, consent, now)
            self.assert_tables("lake", result)
            emails = {row[1] for row in gone}
            serials = {row[4] for row in gone}
            for table in TABLES:
                for row in self.db.table("lake", table):
                    self.assertFalse(emails & set(row), table)
                    if not table.startswith("customer"):
                        self.assertFalse(serials & set(row), table)

    def test_rejects(self):
        for seed in SEEDS:
            folder = self.zone(seed)
            with self.subTest(seed=seed), self.landing("lake", folder):
                for table in LANDING_TABLES:
                    self.assert_rejects(folder, table)

    def assert_rejects(self, folder, table):
        rejects = self.db.rejects("lake", table)
        expected = [one for one in self.read(folder)[table] if one.rejected]
        places = {(one.object, one.line, one.byte_offset): one.raw for one in expected}
        found = {tuple(row[:3]): bytes(row[3]) for row in rejects}
        self.assertEqual(len(found), len(rejects))
        self.assertEqual(
            (sorted(places.keys() - found.keys()), sorted(found.keys() - places.keys())),
            ([], []),
            f"{table}: rejects missing, and too many",
        )
        contents = {one.object: oracle.read_object(folder, one.object)[0] for one in expected}
        for place, record in found.items():
            content = contents[place[0]][place[2] :]
            self.assertEqual(record, content[: len(record)], place)
            self.assertEqual(record, places[place], place)


class SoupTest(ServerTest):
    """Objects of random tokens: the framing and the decoding that nobody thought of."""

    TOKENS = (
        '{"user": "a@b.c", "timestamp": 5}',
        '{"user":"a","timestamp":6,"x":1,"y":"2","z":null}',
        '"user": "A" ',
        '"timestamp": 7',
        '"x": {',
        '"x": 1',
        '"other": [',
        '"other": "',
        *"{}[],:\"\\0-.e \t\n\n\n\r",
        "\n{",
        "}\n{",
        "\r\n",
        "null",
        "tru",
        "\\u00e9",
        "\u00e9\ufeff",
    )

    def test_soup(self):
        rng = random.Random(7)
        for number in range(2000):
            path = self.folder / "accelerometer" / f"{number:04}.json"
            path.parent.mkdir(exist_ok=True)
            soup = "".join(rng.choices(self.TOKENS, k=rng.randrange(1, 30)))
            path.write_bytes(soup.encode())
        with self.landing("lake", self.folder):
            self.db.run(
                """CREATE FOREIGN TABLE lake.placed (
                    key text OPTIONS (source 'object'),
                    line bigint OPTIONS (source 'line'),
                    place bigint OPTIONS (source 'offset'),
                    "user" text, "timestamp" bigint, x float8, y float8, z float8)
                SERVER lake OPTIONS (prefix 'accelerometer')"""
            )
            kept = self.db.rows("SELECT * FROM lake.placed")
            rejects = self.db.rejects("lake", "placed")
            judged = self.db.rejects("lake", "accelerometer_landing")
        records = oracle.read_landing(self.folder, "accelerometer_landing", for_zone=False)
        self.assert_soup(records, [tuple(row[:3]) for row in rejects])
        names = ("user", "timestamp", "x", "y", "z")
        self.assertEqual(
            sorted(kept, key=sort_key),
            sorted(
                (
                    (one.object, one.line, one.byte_offset, *map(one.get, names))
                    for one in records
                    if not one.rejected
                ),
                key=sort_key,
            ),
        )
        records = oracle.read_landing(self.folder, "accelerometer_landing")
        self.assert_soup(records, [tuple(row[:3]) for row in judged])

    def assert_soup(self, records, places):
        expected = {(one.object, one.line, one.byte_offset) for one in records if one.rejected}
        self.assertEqual(len(set(places)), len(places))
        missing = sorted(expected - set(places))
        surplus = sorted(set(places) - expected)
        if missing or surplus:
            keys = sorted({place[0] for place in missing + surplus})[:5]
            contents = [f"{key}: {(self.folder / key).read_bytes()!r}" for key in keys]
            self.fail(
                f"{len(missing)} rejects missing, {len(surplus)} too many\n"
                f"missing: {missing[:5]}\ntoo many: {surplus[:5]}\n" + "\n".join(contents)
            )


def take(rows, row):
    """Take a row out of a list, if it is in it."""
    try:
        rows.remove(row)
    except ValueError:
        return False
    return True


def rename_objects(source, dest):
    """Copy a zone; its objects get other names, in random order."""
    rng = random.Random(3)
    for folder in FOLDERS.values():
        keys = oracle.list_objects(source, folder)
        rng.shuffle(keys)
        for number, key in enumerate(keys):
            path = pathlib.Path(dest, folder, f"{number:05}")
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(pathlib.Path(source, key), path)


if __name__ == "__main__":
    unittest.main()
