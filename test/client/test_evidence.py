"""Proves that what stedi.audit, stedi.lineage and stedi.subject say of dirty zones is true.

Guards src/run/session.c, src/zone/landing.c, src/commands/audit.c,
src/commands/lineage.c and src/commands/subject.c, against test/oracle.py's reading of
the landing zone; and that a look at a large zone takes no more memory than one
at a small one.
"""
import collections
import contextlib
import functools
import itertools
import json
import pathlib
import random
import shutil
import threading
import time
import unittest

from stedi_client import COLUMNS, SEEDS, TABLES, ServerTest, connect, sort_key

import landing
import oracle

# consent, match
RULES = (("granted", "customer"), ("since_consent", "customer"), ("granted", "time"))

# What a look at the tables may take, in kB: some sorts and hash tables of 32 MB
# at one time.  Those of MemoryTest's zone would take several times that, if they
# did not spill.
MOST_MEMORY = 192 * 1024


def movement(record):
    return (oracle.normal(record.get("user")), *map(record.get, ("timestamp", "x", "y", "z")))


def step(record):
    return tuple(map(record.get, ("sensorreadingtime", "serialnumber", "distancefromobject")))


def customer(record):
    return oracle.customer_row(oracle.normal(record.get("email")), record)


# zone table -> the landing table that feeds it, what a record says as a row
FEEDS = {
    "customer_trusted": ("customer_landing", customer),
    "accelerometer_trusted": ("accelerometer_landing", movement),
    "customer_curated": ("customer_landing", customer),
    "step_trainer_curated": ("step_trainer_landing", step),
}


def for_each_zone(test):
    """Run a test of (folder, records) on tables of all seeds under all rules, as subtests."""

    @functools.wraps(test)
    def run(self):
        for seed, (consent, match) in itertools.product(SEEDS, RULES):
            folder, records = self.zone(seed)
            subtest = self.subTest(seed=seed, consent=consent, match=match)
            with subtest, self.landing("lake", folder):
                self.db.materialize("lake", consent=consent, match=match)
                test(self, folder, records)

    return run


class EvidenceTest(ServerTest):
    """Looks at the zones that test_oracle.py makes."""

    maxDiff = 4000

    @classmethod
    @functools.cache
    def zone(cls, seed):
        """The folder of a seed's zone, and what the oracle reads there."""
        folder = cls.folder / f"zone{seed}"
        landing.main([str(folder), "--seed", str(seed)])
        return folder, oracle.read_zone(folder)

    def audit(self):
        return self.db.rows("SELECT table_name, problem FROM stedi.audit('lake')")

    @for_each_zone
    def test_audit(self, folder, records):
        self.assertEqual(self.audit(), [])
        for table in TABLES:
            with self.db.conn.transaction(force_rollback=True):
                self.db.run(f"INSERT INTO lake.{table} SELECT * FROM lake.{table} LIMIT 1")
                self.assertEqual(self.audit(), [(table, "not covered")])
            with self.db.conn.transaction(force_rollback=True):
                self.db.run(
                    f"DELETE FROM lake.{table} WHERE ctid = (SELECT min(ctid) FROM lake.{table})"
                )
                self.assertEqual(self.audit(), [(table, "missing")])

    def test_audit_of_every_row(self):
        """All rows of all tables are uncovered when nobody consents any more."""
        folder = self.folder / "nobody"
        landing.main([str(folder), "--seed", "1"])
        with self.landing("lake", folder):
            self.db.materialize("lake")
            rows = sum(self.db.counts("lake"))
            for path in (folder / "customers").rglob("*"):
                if path.is_file():
                    path.unlink()
            (folder / "customers" / "none.json").write_text('{"email": "nobody@example.com"}')
            self.assertEqual(
                collections.Counter(problem for _, problem in self.audit()), {"not covered": rows}
            )

    def test_vanished(self):
        """Rows that a run has kept of objects that are no more are no trouble, as long as it keeps them."""
        for seed, (consent, match) in itertools.product(SEEDS, RULES):
            folder = self.folder / "vanishing"
            shutil.rmtree(folder, ignore_errors=True)
            landing.main([str(folder), "--seed", str(seed)])
            subtest = self.subTest(seed=seed, consent=consent, match=match)
            with subtest, self.landing("lake", folder):
                self.db.materialize("lake", consent=consent, match=match)
                for stream in ("accelerometer", "step_trainer"):
                    keys = oracle.list_objects(folder, stream)
                    (folder / keys[len(keys) // 2]).unlink()
                    self.db.materialize("lake", match=match, vanished="keep")
                    self.assertEqual(self.audit(), [])
                self.db.run("INSERT INTO lake.accelerometer_trusted VALUES ('nobody@x', now())")
                self.db.run("INSERT INTO lake.step_trainer_curated VALUES (now(), 'nobody')")
                self.assertEqual(
                    sorted(self.audit()),
                    [("accelerometer_trusted", "not covered"), ("step_trainer_curated", "not covered")],
                )
                self.db.run("UPDATE stedi_books_lake.stedi_object SET vanished = false")
                self.assertGreater(len(self.audit()), 2)

    def sources(self, records, table):
        """Row -> the records that say it."""
        found = collections.defaultdict(list)
        name, row_of = FEEDS[table]
        for record in records[name]:
            if not record.rejected:
                found[row_of(record)].append(record)
        return found

    def pair_sources(self, records, matched_by_time):
        """Functions of a row of machine_learning_curated: its steps and its movements."""
        steps = self.sources(records, "step_trainer_curated")
        movements = self.sources(records, "accelerometer_trusted")
        holders = collections.defaultdict(set)
        for row in self.db.table("lake", "customer_curated"):
            holders[row[4]].add(row[1])
        trusted = collections.defaultdict(set)
        for email, *rest in self.db.table("lake", "accelerometer_trusted"):
            trusted[tuple(rest)].add(email)

        def find(row):
            serial, at, distance, *xyz = row
            emails = trusted[(at, *xyz)]
            if not matched_by_time:
                emails = emails & holders[serial]
            found = list(steps[(at, serial, distance)])
            for email in emails:
                found += movements[(email, at, *xyz)]
            return found

        return find

    def finder(self, records, table):
        """A function of a row: the records that it comes from."""
        if table != "machine_learning_curated":
            return self.sources(records, table).__getitem__
        match = self.db.value("SELECT match FROM stedi_books_lake.stedi_rule")
        return self.pair_sources(records, match == "time")

    @for_each_zone
    def test_lineage(self, folder, records):
        etags = dict(self.db.rows("SELECT key, etag FROM stedi_books_lake.stedi_object"))
        for table in TABLES:
            find = self.finder(records, table)
            expected = collections.Counter()
            for row in self.db.table("lake", table):
                objects = {record.object for record in find(row)}
                self.assertTrue(objects, (table, row))
                expected.update(objects)
            found = self.db.rows("SELECT * FROM stedi.lineage(%s::regclass)", f"lake.{table}")
            self.assertEqual({key: rows for key, _, rows in found}, expected, table)
            self.assertEqual({key: etag for key, etag, _ in found} | etags, etags)

    @for_each_zone
    def test_lineage_of_a_row(self, folder, records):
        rng = random.Random(5)
        for table in TABLES:
            find = self.finder(records, table)
            rows = self.db.rows(f"SELECT ctid::text, {', '.join(COLUMNS[table])} FROM lake.{table}")
            for place, *row in rng.sample(rows, 4):
                found = self.db.rows(
                    "SELECT object, line, byte_offset, length"
                    " FROM stedi.lineage(%s::regclass, %s::text::tid)",
                    f"lake.{table}",
                    place,
                )
                sources = find(tuple(row))
                self.assertEqual(
                    sorted(found),
                    sorted((one.object, one.line, one.byte_offset, len(one.raw)) for one in sources),
                    (table, row),
                )
                for key, _, start, length in found:
                    content = oracle.read_object(folder, key)[0]
                    self.assertIn(content[start : start + length], {one.raw for one in sources})

    @for_each_zone
    def test_subject(self, folder, records):
        rng = random.Random(6)
        people = {oracle.normal(one.get("email")) for one in records["customer_landing"]}
        people |= {oracle.normal(one.get("user")) for one in records["accelerometer_landing"]}
        for email in rng.sample(sorted(people - {None}), 12):
            found = self.db.rows(
                "SELECT source, object, byte_offset, record FROM stedi.subject('lake', %s)",
                rng.choice((email, f" {email} ", email if "\u0131" in email else email.upper())),
            )
            self.assert_records(records, email, found)
            self.assert_rows(email, found)

    def assert_records(self, records, email, found):
        """Landing records: all that name the person, whole."""
        mine = [one for one in records["customer_landing"] if oracle.normal(one.get("email")) == email]
        devices = {one.get("serialnumber") for one in mine} - {None, ""}
        expected = {
            "customer_landing": mine,
            "accelerometer_landing": [
                one
                for one in records["accelerometer_landing"]
                if oracle.normal(one.get("user")) == email
            ],
            "step_trainer_landing": [
                one for one in records["step_trainer_landing"] if one.get("serialnumber") in devices
            ],
        }
        for source, landed in expected.items():
            contents = {(key, start): record for name, key, start, record in found if name == source}
            self.assertEqual(
                sorted(contents), sorted((one.object, one.byte_offset) for one in landed), source
            )
            for one in landed:
                self.assert_contents(one, contents[one.object, one.byte_offset])

    def assert_contents(self, record, contents):
        if record.rejected:
            self.assertIn("reject", contents)
        if record.rejected or set(contents) == {"text"}:
            raw = contents["text"].encode() if "text" in contents else bytes.fromhex(contents["hex"])
            self.assertEqual(raw, record.raw)
        else:
            self.assertEqual(contents, json.loads(record.raw))

    def assert_rows(self, email, found):
        """Zone rows: as many as the person has."""
        people = self.db.table("lake", "customer_curated")
        devices = {row[4] for row in people if row[1] == email}
        others = {row[4] for row in people if row[1] != email}
        counts = collections.Counter(source for source, *_ in found)
        self.assertLessEqual(counts["customer_trusted"], 1)
        for table, key, wanted in (
            ("customer_trusted", 1, {email}),
            ("accelerometer_trusted", 0, {email}),
            ("customer_curated", 1, {email}),
            ("step_trainer_curated", 1, devices),
            ("machine_learning_curated", 0, devices),
        ):
            rows = [row for row in self.db.table("lake", table) if row[key] in wanted]
            self.assertEqual(counts[table], len(rows), table)
            self.assertTrue(devices & others or all(row[key] in wanted for row in rows))


def resident(pid):
    """A process's own memory, in kB."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise RuntimeError("no RssAnon")


def peak_of(conn, query):
    """The most memory that a query's process has while it runs, in kB."""
    ended = threading.Event()
    peaks = [0]

    def watch():
        while not ended.is_set():
            peaks.append(resident(conn.info.backend_pid))
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        rows = conn.execute(query).fetchall()
    finally:
        ended.set()
        watcher.join()
    return max(peaks), rows


def write_zone(folder, n_people, n_readings):
    """A zone of people who consent, each with so many readings of each kind."""
    for name in ("customers", "accelerometer", "step_trainer"):
        (folder / name).mkdir(parents=True)
    with (
        (folder / "customers" / "a.json").open("w") as customers,
        (folder / "accelerometer" / "a.json").open("w") as movements,
        (folder / "step_trainer" / "a.json").open("w") as steps,
    ):
        for person in range(n_people):
            customers.write(
                f'{{"email":"somebody.{person}@example.com","serialNumber":"device-{person}-of-them",'
                '"registrationDate":1,"lastUpdateDate":1,"shareWithResearchAsOfDate":1}\n'
            )
            for at in range(n_readings):
                movements.write(
                    f'{{"user":"somebody.{person}@example.com","timeStamp":{at},"x":{at}.5,"y":1,"z":2}}\n'
                )
                steps.write(
                    f'{{"sensorReadingTime":{at},"serialNumber":"device-{person}-of-them",'
                    f'"distanceFromObject":{at % 7}}}\n'
                )


@unittest.skipUnless(pathlib.Path("/proc/self/status").exists(), "no /proc")
class MemoryTest(ServerTest):
    """The size of the zone does not tell the memory that a look at it takes."""

    QUERIES = {
        "audit": "SELECT * FROM stedi.audit('lake')",
        "lineage": "SELECT object, rows FROM stedi.lineage('lake.machine_learning_curated')",
        "subject": (
            "SELECT source FROM stedi.subject('lake', 'somebody.7@example.com')"
            " WHERE source NOT LIKE 'stedi%'"
        ),
    }

    def test_memory(self):
        n_readings = 800
        folder = self.folder / "large"
        write_zone(folder, 1000, n_readings)
        with self.landing("lake", folder):
            self.db.materialize("lake")
            for name, query in self.QUERIES.items():
                with self.subTest(name), contextlib.closing(connect(self.dbname)) as conn:
                    peak, rows = peak_of(conn, query)
                    self.assert_answer(name, rows, n_readings)
                    self.assertLess(peak, MOST_MEMORY)

    def assert_answer(self, name, rows, n_readings):
        n = 1000 * n_readings
        expected = {
            "audit": [],
            "lineage": [("accelerometer/a.json", n), ("step_trainer/a.json", n)],
            "subject": [
                *(("accelerometer_landing",), ("accelerometer_trusted",)) * n_readings,
                *(("step_trainer_landing",), ("step_trainer_curated",)) * n_readings,
                *(("machine_learning_curated",),) * n_readings,
                *(("customer_curated",), ("customer_landing",), ("customer_trusted",)),
            ],
        }
        self.assertEqual(sorted(rows, key=sort_key), sorted(expected[name]))


if __name__ == "__main__":
    unittest.main()
