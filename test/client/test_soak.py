"""Proves that no fault of the network gets into a table, however many there are.

Runs, in full and incrementally in turn, over a landing zone that changes between
them; a proxy does to the requests all that may pass by itself, each kind with a
probability of 0.05.  After each run the five tables equal those that a full run
makes without the proxy, and no run fails.  Guards src/s3/fetch.c, src/net/http.c and
src/books/objects.c.

    STEDI_SOAK_SECONDS    how long (4)
    STEDI_SOAK_SEED       of the zone, its changes and the faults (1)
    STEDI_TEST_DOC        a copy of doc/reliability.md that the figures are written into
"""
import collections
import os
import pathlib
import random
import re
import shutil
import sys
import time
import unittest

from stedi_client import TABLES, ServerTest
import landing
import s3put
from fault_proxy import Fault, FaultProxy, error_answer

ENDPOINT = os.environ.get("STEDI_S3_ENDPOINT")
SECONDS = float(os.environ.get("STEDI_SOAK_SECONDS", "4"))
SEED = int(os.environ.get("STEDI_SOAK_SEED", "1"))
DOC = os.environ.get("STEDI_TEST_DOC")

PROBABILITY = 0.05
LONGEST = 40_000  # bytes; hardly an answer has more
BUCKET = "soak"
FOLDERS = ("customers", "accelerometer", "step_trainer")
SIZE = ("--customers", "120", "--readings", "30", "--steps", "30")

# Tries are enough for faults in a row to be no matter of chance: less than a
# third of the requests fail, and 0.3 ** 20 is nothing.
SETTINGS = {"max_tries": 20, "stall_timeout": 1, "connections": 8}


def faults(rng):
    """What is done to a request, by name; where it breaks off is drawn each time."""

    def anywhere(**rest):
        return lambda: Fault(after=int(rng.random() ** 2 * LONGEST), **rest)

    busy = error_answer(503, "SlowDown")
    trouble = error_answer(500, "InternalError")
    return {
        "503": Fault(answer=busy, name="503"),
        "500": Fault(answer=trouble, name="500"),
        "reset before the answer": Fault(at=-1, name="reset before the answer"),
        "reset within it": anywhere(then="reset", name="reset within it"),
        "truncated": anywhere(then="close", name="truncated"),
        "silence": anywhere(then="pause", rest=1.5, name="silence"),
        "slow first byte": Fault(delay=0.3, name="slow first byte"),
    }


class Zone:
    """A bucket with objects of two generated landing zones, now of the one, now of the other."""

    def __init__(self, folder, rng):
        self.rng = rng
        self.client = s3put.from_environment(ENDPOINT)
        self.client.make_bucket(BUCKET)
        self.versions = collections.defaultdict(list)  # of each key; the first is put first
        for seed in (SEED, SEED + 1):
            root = folder / str(seed)
            landing.main([str(root), "--seed", str(seed), *SIZE])
            for file in sorted(path for path in root.rglob("*") if path.is_file()):
                self.versions[file.relative_to(root).as_posix()].append(file.read_bytes())
            shutil.rmtree(root)
        for key, versions in self.versions.items():
            self.client.put(BUCKET, key, versions[0])
        self.there = set(self.versions)

    def change(self):
        """A few objects come, change or go; some of each folder stay."""
        for _ in range(self.rng.choice((0, 1, 1, 2, 5))):
            key = self.rng.choice(sorted(self.versions))
            folder = key.partition("/")[0]
            others = sum(other.startswith(f"{folder}/") for other in self.there)
            if key in self.there and others > 40 and self.rng.random() < 0.4:
                self.client.delete(BUCKET, key)
                self.there.remove(key)
            else:
                self.client.put(BUCKET, key, self.rng.choice(self.versions[key]))
                self.there.add(key)


@unittest.skipUnless(ENDPOINT, "no radosgw is named: run within test/s3/with_s3")
class SoakTest(ServerTest):
    def lake(self, name, endpoint, **options):
        self.db.make_landing(
            name,
            f"s3://{BUCKET}",
            secrets={
                "access_key_id": os.environ["STEDI_S3_ACCESS_KEY"],
                "secret_access_key": os.environ["STEDI_S3_SECRET_KEY"],
            },
            endpoint=endpoint,
            url_style="path",
            allow_http="true",
            **options,
        )
        self.addCleanup(self.db.drop, name)

    def test_soak(self):
        rng = random.Random(SEED)
        zone = Zone(self.folder, rng)
        figures = collections.Counter()
        injected = collections.Counter()
        self.lake("plain", ENDPOINT)
        end = time.monotonic() + SECONDS
        with FaultProxy(ENDPOINT, SEED) as proxy, self.schema("target"), self.schema("fresh"):
            self.lake("faulty", proxy.endpoint, **SETTINGS)
            kinds = faults(random.Random(f"faults {SEED}"))
            draw = random.Random(f"kinds {SEED}")

            def any_of(request):
                kind = draw.choice(list(kinds.values()))
                return kind if isinstance(kind, Fault) else kind()

            proxy.add("", any_of, p=PROBABILITY * len(kinds))
            while figures["runs"] < 3 or time.monotonic() < end:
                full = figures["runs"] % 2 == 0
                report = self.db.materialize(
                    "target", landing="faulty", full_refresh=str(full).lower()
                )
                figures["runs"] += 1
                figures[report[0]["mode"]] += 1
                figures["requests"] += len(proxy.take())
                self.db.materialize("fresh", landing="plain", full_refresh="true")
                self.compare(figures["runs"])
                zone.change()
            injected.update(proxy.injected)
        figures["rows"] = sum(self.counts)
        self.assertGreater(figures["incremental"], 0)
        if SECONDS > 10:  # each kind was done, or the test has shown little
            self.assertEqual(set(injected), set(kinds))
        self.tell(figures, injected)

    def compare(self, run):
        self.counts = self.db.counts("target")
        for table in TABLES:
            there = self.db.table("target", table)
            self.assertEqual(there, self.db.table("fresh", table), f"{table}, run {run}, seed {SEED}")
        self.assertGreater(min(self.counts), 0)

    def tell(self, figures, injected):
        lines = [
            f"{figures['runs']:,} runs, {figures['full']:,} of them in full, in {SECONDS:,.0f} s;"
            f" {figures['rows']:,} rows in the five tables at the end;",
            f"{figures['requests']:,} requests, {sum(injected.values()):,} of them with a fault: "
            + ", ".join(f"{name} {number:,}" for name, number in sorted(injected.items()))
            + ";",
            "no run failed, and no table differed.",
        ]
        print("\n" + "\n".join(lines), file=sys.stderr)
        if DOC and SECONDS > 1000:  # less is no soak
            doc = pathlib.Path(DOC)
            text = "\n".join(["<!-- soak -->", *lines, "<!-- /soak -->"])
            old = doc.read_text()
            new = re.sub(r"(?s)<!-- soak -->.*<!-- /soak -->", lambda _: text, old)
            doc.write_text(new)


if __name__ == "__main__":
    unittest.main()
