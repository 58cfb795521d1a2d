"""Proves that the statements of README.md and of the pages of doc work, and print what they say.

Each page has a server of its own, on which its blocks are run in their order; but for
doc/connect.md, those of the README's worked example come first.  stedi_pages.py says how a page
marks what is not run or compared.  doc/recipes.md and doc/python.md have tests of their own.
"""
import unittest

from stedi_client import DSN, PROJECT, connect, file_url
from stedi_cluster import Cluster
from stedi_pages import Runner, blocks, plain

import landing

try:
    import pandas
except ImportError:
    pandas = None

# What stands for the reader's own on a page.
THEIR_URL = "url 's3://cd0030bucket', region 'us-east-1'"
THEIR_FOLDER = "/srv/cd0030bucket"

CREDENTIALS = "[lake]\naws_access_key_id = key\naws_secret_access_key = its secret\n"

# Blocks of the pages that are not run, whose output is not compared, and whose is: a change
# of these numbers wants a thought.
NOT_RUN = 0
OUTPUT_DIFFERS = 1
COMPARED = 6


def page(name):
    return blocks((PROJECT / name).read_text(encoding="utf-8"))


@unittest.skipUnless(DSN, "STEDI_DSN names no server")
class PageTest(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster(self)
        scratch = self.cluster.folder / "scratch"
        scratch.mkdir()
        (self.cluster.folder / "credentials").write_text(CREDENTIALS)
        self.cluster.environment["AWS_SHARED_CREDENTIALS_FILE"] = self.cluster.folder / "credentials"
        self.cluster.make()
        zone = self.cluster.folder / "zone"
        landing.main([str(zone), "--clean", "--customers", "200", "--readings", "50"])
        with self.cluster.connect("postgres") as conn:
            conn.execute("CREATE DATABASE lake TEMPLATE template0")
        replaced = {THEIR_URL: f"url '{file_url(zone)}'", THEIR_FOLDER: str(zone)}
        self.runner = Runner(self.cluster, scratch, replaced, ("-Xq",))

    def run_page(self, name):
        for block in page(name):
            if block.mark == "not run" or (block.kind == "python" and pandas is None):
                continue
            with self.subTest(page=name, code=block.code):
                stdout, stderr = self.runner.run(block.kind, block.code)
                if block.printed is not None:
                    self.assertEqual(plain(stderr + stdout), block.printed)

    def test_readme(self):
        self.run_page("README.md")

    def test_connect(self):
        self.runner.replaced.pop(THEIR_URL)  # nothing of the page reads that bucket
        self.run_page("doc/connect.md")

    def after_readme(self, name):
        self.run_page("README.md")
        self.run_page(name)

    def test_landing(self):
        self.after_readme("doc/landing.md")

    def test_materialize(self):
        self.after_readme("doc/materialize.md")

    def test_privacy(self):
        self.after_readme("doc/privacy.md")

    def test_privileges(self):
        self.after_readme("doc/privileges.md")

    def test_short_pages(self):
        self.after_readme("doc/errors.md")
        self.run_page("doc/limits.md")
        self.run_page("doc/changes.md")


class CompleteTest(unittest.TestCase):
    def test_marks(self):
        """Few blocks are not run or compared, and no page with code is without a test."""
        tests = "".join(
            (PROJECT / f"test/client/test_{name}.py").read_text(encoding="utf-8")
            for name in ("pages", "recipes", "python")
        )
        marks, n_compared = [], 0
        for path in (PROJECT / "README.md", *sorted((PROJECT / "doc").glob("*.md"))):
            found = blocks(path.read_text(encoding="utf-8"))
            marks += [block.mark for block in found]
            n_compared += sum(block.printed is not None for block in found)
            if found:
                self.assertIn(path.name, tests)
        self.assertEqual((marks.count("not run"), marks.count("output differs")), (NOT_RUN, OUTPUT_DIFFERS))
        self.assertEqual(n_compared, COMPARED)


if __name__ == "__main__":
    unittest.main()
