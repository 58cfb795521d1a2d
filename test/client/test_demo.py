"""`make demo`: clean data first, dirt second, and figures that agree; and what is called after it.

Guards test/demo.
"""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from stedi_client import PROJECT

# In this order, whatever comes between.
HEADINGS = (
    "Making the landing tables",
    "What has landed",
    "Materialising",
    "What was left out",
    "The consent test runs inside the scan",
    "Then dirt lands",
    "What was left out",
    "What is wrong with the landing data",
    "Somebody withdraws",
    "The proof",
    "A few rows of machine_learning_curated",
    "A role for data scientists",
    "It stays",
)


def figures(text):
    """The report's lines: the numbers of each table, by the column's name."""
    lines = text.splitlines()
    head = next(n for n, line in enumerate(lines) if line.split("|")[0].strip() == "table" and "unknown" in line)
    names = [name.strip() for name in lines[head].split("|")]
    rows = {}
    for line in lines[head + 2 : head + 7]:
        values = [value.strip() for value in line.split("|")]
        rows[values[0]] = {name: int(value or 0) for name, value in zip(names[1:], values[1:])}
    return rows


class DemoTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="stedi-demo-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.dir = os.path.join(cls.folder, "demo")
        cls.output = cls.demo()
        cls.addClassCleanup(cls.demo, "stop")

    @classmethod
    def demo(cls, *words, status=0, text=""):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "AWS_", "STEDI_"))}
        done = subprocess.run(
            [PROJECT / "test/demo", *words], env={**environment, "DEMO_DIR": cls.dir}, input=text,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        if done.returncode != status:
            raise AssertionError(f"test/demo {words}: {done.returncode}\n{done.stdout}")
        return done.stdout

    def part(self, start, end):
        return self.output[self.output.index(f"== {start}") : self.output.index(f"== {end}")]

    def test_order(self):
        found = re.findall(r"^== (.*)$", self.output, re.M)
        place = 0
        for heading in HEADINGS:
            place = next((n for n in range(place, len(found)) if found[n].startswith(heading)), None)
            self.assertIsNotNone(place, f"{heading}: {found}")
            place += 1
        self.assertNotIn("ERROR", self.output)

    def test_clean_first(self):
        for table, line in figures(self.part("Materialising", "The consent test")).items():
            self.assertEqual((line["rejected"], line["duplicates"], line["ambiguous"]), (0, 0, 0), table)
        later = figures(self.part("Then dirt lands", "What is wrong"))
        self.assertTrue(all(later[table]["rejected"] for table in ("customer_trusted", "accelerometer_trusted")))

    def test_figures_agree(self):
        """The scan that the plan is of keeps as many readings as the table has."""
        report = figures(self.part("Materialising", "The consent test"))["accelerometer_trusted"]
        plan = self.part("The consent test", "Then dirt lands")
        counted = dict(re.findall(r"(Records [A-Z][A-Za-z ]*): (\d+)", plan))
        self.assertEqual(int(counted["Records Returned"]), report["rows"])
        self.assertEqual(int(counted["Records Not Consented"]), report["no_consent"])
        self.assertEqual(report["records"] - report["no_consent"] - report["unknown"], report["rows"])

    def test_psql(self):
        out = self.demo("psql", text="\\t\n\\a\nSELECT count(*) > 0 FROM project.customer_curated;\n")
        self.assertIn("\nt\n", f"\n{out}")

    def test_no_demo(self):
        kept, type(self).dir = self.dir, os.path.join(self.folder, "none")
        try:
            out = self.demo("psql", status=1)
        finally:
            type(self).dir = kept
        self.assertIn("no demo runs in", out)
        self.assertIn("make demo starts one", out)


if __name__ == "__main__":
    unittest.main()
