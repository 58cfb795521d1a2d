"""The code of a page of documentation, and how it is run: with psql, sh or Python.

A block of code runs as it stands.  In SQL, a comment `-- as ROLE` or `-- in DATABASE` on a
line of its own says who runs it, and where; else it is a superuser in the database `lake`.
A comment of HTML before a block marks what is not to be tested:

    <!-- not run: REASON -->            the block is not run
    <!-- output differs: REASON -->     what it prints is not compared with the page

Indented lines right behind a block are what it prints, and are compared.
"""
import os
import re
import subprocess
import sys

from stedi_client import PROJECT

BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>not run|output differs): [^\n]*-->\n+)?"
    r"(?P<indent> *)```(?P<kind>sql|sh|python)\n(?P<code>.*?)^ *```$"
    r"(?:\n\n(?P<printed>(?:    [^\n]*\n|\n(?=    ))+))?",
    re.MULTILINE | re.DOTALL,
)
SOURCE = re.compile(r"^psql:<stdin>:\d+: ", re.MULTILINE)


class Block:
    def __init__(self, found):
        self.kind = found["kind"]
        self.code = re.sub(f"^{found['indent']}", "", found["code"], flags=re.MULTILINE)
        self.mark = found["mark"]
        self.printed = None
        if found["printed"] and self.mark is None and not found["indent"]:
            self.printed = plain(re.sub("^    ", "", found["printed"], flags=re.MULTILINE))


def plain(text):
    """Without spaces at the ends of lines, and empty lines at the end of all."""
    return re.sub(" +$", "", text, flags=re.MULTILINE).rstrip("\n")


def blocks(text):
    return [Block(found) for found in BLOCK.finditer(text)]


class Runner:
    """Runs blocks on a cluster, which has roles and databases as pages call them."""

    def __init__(self, cluster, folder, replaced, words=("-XqAt",)):
        self.cluster = cluster
        self.folder = folder
        self.replaced = replaced  # what stands for the reader's own on the page
        self.words = words

    def environment(self):
        return {
            **os.environ,
            "PATH": f"{self.cluster.programs}:{os.environ['PATH']}",
            "PGHOST": str(self.cluster.folder),
            "PGPORT": "5432",
            "PGUSER": self.cluster.user,
            "PGDATABASE": "lake",
            "PGTZ": "UTC",
            "PYTHONPATH": str(PROJECT / "doc"),
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "its secret",
        }

    def run(self, kind, code):
        """What it printed: notices first."""
        for theirs, ours in self.replaced.items():
            code = code.replace(theirs, ours)
        command = {"sh": ["bash", "-euo", "pipefail"], "python": [sys.executable, "-B", "-"]}.get(kind)
        if kind == "sql":
            role = re.search(r"^-- as (\w+)$", code, re.MULTILINE)
            place = re.search(r"^-- in (\w+)$", code, re.MULTILINE)
            command = ["psql", *self.words, "-v", "ON_ERROR_STOP=1"]
            command += ["-d", place[1]] if place else []
            command += ["-U", role[1]] if role else []
        done = subprocess.run(
            command, input=code, cwd=self.folder, env=self.environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
        )
        if done.returncode != 0:
            raise AssertionError(code + done.stdout + done.stderr)
        return done.stdout, SOURCE.sub("", done.stderr)
