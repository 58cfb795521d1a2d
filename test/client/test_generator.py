"""Proves that the landing generator makes dirt that every rule of doc/rules.md matters for.

Guards test/data/landing.py and test/oracle.py; needs no server.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

TEST = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST), str(TEST / "data")]

import landing  # noqa: E402
import oracle  # noqa: E402

SEEDS = range(1, 1 + int(os.environ.get("STEDI_TEST_SEEDS", "3")))
NOW = 1_700_000_000_000


def tables(result):
    """The tables as multisets; repr tells -0.0 from 0.0."""
    return {name: sorted(map(repr, rows)) for name, rows in result.tables.items()}


def files(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(pathlib.Path(folder).rglob("*"))
        if path.is_file()
    }


class GeneratorTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def write(self, name, *words):
        landing.main([str(self.folder / name), *map(str, words)])
        return self.folder / name

    def test_same_arguments_same_bytes(self):
        one = self.write("one", "--seed", 5)
        two = self.folder / "two"
        subprocess.run(
            [sys.executable, TEST / "data" / "landing.py", two, "--seed", "5"],
            env={**os.environ, "PYTHONHASHSEED": "99"},
            check=True,
        )
        self.assertEqual(files(one), files(two))
        self.assertNotEqual(files(one), files(self.write("three", "--seed", 6)))

    def test_every_rule_matters(self):
        for seed in SEEDS:
            zone = self.write(f"zone{seed}", "--seed", seed)
            read = oracle.read_zone(zone)
            for consent in ("granted", "since_consent"):
                right = tables(oracle.compute(zone, consent, NOW, landing=read))
                for rule in oracle.RULES:
                    with self.subTest(seed=seed, consent=consent, rule=rule):
                        wrong = oracle.compute(
                            zone, consent, NOW, without=[rule], landing=read
                        )
                        self.assertNotEqual(right, tables(wrong))

    def test_every_count_occurs(self):
        zone = self.write("zone", "--customers", 1, "--readings", 4, "--steps", 4)
        granted = oracle.compute(zone, "granted", NOW).report
        since = oracle.compute(zone, "since_consent", NOW).report
        sums = {
            "customer_trusted": ("rejected", "superseded", "no_consent", "rows"),
            "accelerometer_trusted": (
                "rejected",
                "unknown_owner",
                "no_consent",
                "before_consent",
                "duplicates",
                "rows",
            ),
        }
        sums["step_trainer_curated"] = sums["accelerometer_trusted"] + (
            "ambiguous",
            "without_readings",
        )
        for table, names in sums.items():
            for name in names:
                self.assertGreater(granted[table][name], 5, (table, name))
            total = sum(since[table][name] for name in names)
            self.assertEqual(total, since[table]["records_read"])

    def test_clean_zone_is_clean(self):
        zone = self.write("clean", "--clean", "--customers", 50, "--readings", 10, "--steps", 5)
        report = oracle.compute(zone, "granted", NOW).report
        self.assertEqual(report["customer_trusted"]["rows"], 25)
        self.assertEqual(report["accelerometer_trusted"]["rows"], 250)
        self.assertEqual(report["step_trainer_curated"]["rows"], 125)
        for table in report.values():
            self.assertEqual(table["rejected"] + table["duplicates"] + table["superseded"], 0)

    def test_gait_has_labels_beside(self):
        zone = self.write("gait", "--gait", 20, "--customers", 10)
        names = sorted(path.name for path in self.folder.iterdir())
        self.assertEqual(names, ["gait", "gait.labels.csv"])
        folders = sorted(path.name for path in zone.iterdir())
        self.assertEqual(folders, ["accelerometer", "customers", "step_trainer"])
        report = oracle.compute(zone, "granted", NOW).report
        self.assertEqual(report["customer_trusted"]["rows"], 5)
        for table in report.values():
            self.assertEqual(table["rejected"] + table["duplicates"], 0)

        head, *lines = (self.folder / "gait.labels.csv").read_text().splitlines()
        self.assertEqual(head, "serialnumber,start,end,stepping")
        labels = [line.split(",") for line in lines]
        self.assertEqual({stepping for *_, stepping in labels}, {"0", "1"})
        self.assertEqual(sum(int(end) - int(start) for _, start, end, _ in labels), 10 * 20_000)
        spans = [(serial, int(start), int(end)) for serial, start, end, _ in labels]
        for path in (zone / "step_trainer").iterdir():
            for record in map(json.loads, path.read_text().splitlines()[::50]):
                serial, time = record["serialNumber"], record["sensorReadingTime"]
                of_one = [span for span in spans if span[0] == serial]
                self.assertTrue(any(start <= time < end for _, start, end in of_one))
        before = files(self.folder)
        self.write("gait", "--gait", 20, "--customers", 10)
        self.assertEqual(before, files(self.folder))


class FrameTest(unittest.TestCase):
    """The oracle's own framing, on the examples that doc/rules.md gives in words."""

    def check(self, text, *pieces):
        """pieces are the texts of records, those of rejects behind a !"""
        found = [
            ("" if piece.whole else "!") + text[piece.start : piece.end]
            for piece in oracle.frame(text)
        ]
        self.assertEqual(found, list(pieces), text)

    def test_separators(self):
        self.check("", *())
        self.check("\xef\xbb\xbf {}\r\n\n{}{},{}", *["{}"] * 4)
        self.check("[{},{}] [ {}\n{},] {}", *["{}"] * 5)
        self.check("[]", *())
        self.check("[\n", "!")
        self.check("[{}", "{}", "!")

    def test_garbage(self):
        self.check("{} x {}\n{}", "{}", "!x {}", "{}")
        self.check("{},,{}\r\n{}", "{}", "!,{}\r", "{}")
        self.check("}\n]\n[[\n]{}", "!}", "!]", "![", "{}")
        self.check("1,2", "!1,2")

    def test_cut(self):
        self.check('{"a": "b\n{}', '!{"a": "b', "{}")
        self.check('{"a": "b\\\n{}', '!{"a": "b\\', "{}")
        self.check('{"a": 1,\r\n{}', '!{"a": 1,\r', "{}")
        self.check('{"a":\n{}\n{}\n{}', '!{"a":\n{}', "{}", "{}")
        self.check('{"a":\n{\n}}\n{"b": [1,\n{}]}', '{"a":\n{\n}}', '{"b": [1,\n{}]}')
        self.check('{"a": 1,\n {}\n', '!{"a": 1,\n {}\n')
        self.check('[{}, {"a": ', "{}", '!{"a": ')

    def test_depth(self):
        just = '{"a": ' + "[" * 255 + "]" * 255 + "}"
        self.check(just + "{}", just, "{}")
        deep = '{"a": ' + "[" * 256 + "]" * 256 + "}{}\n{}"
        self.check("{}" + deep, "{}", "!" + deep)

    def test_whole_members(self):
        cases = (
            ('{"a": 1', []),
            ('{"a": 1,', ["1"]),
            ('{"a": 1 x', ["1"]),
            ('{"a": 1x', []),
            ('{"a": "b"', ["b"]),
            ('{"a": "b', []),
            ('{"a": null, "b": tru', [None]),
            ('{"a": 01, "b": 2}', []),
            ('{"a": 1 "b": 2}', ["1"]),
            ('{"a": 1, , "b": 2}', ["1"]),
            ('{"a": 1,}', ["1"]),
        )
        for text, values in cases:
            self.assertEqual([value for _, value in oracle.whole_members(text)], values, text)


if __name__ == "__main__":
    unittest.main()
