"""Proves what stedi.quality says of a landing zone, by an independent computation, and that it estimates well.

Guards src/commands/quality.c: a dirty landing zone of test/data/landing.py is
looked at before and after a run, and compared with what test/oracle.py reads
and with what consent covers by it; STEDI_TEST_SEEDS as in test_oracle.py.
"""
import collections
import datetime
import json
import time
import unittest

from stedi_client import LANDING_TABLES, SEEDS, ServerTest, file_url, sort_key

import landing
import oracle

# 2000-01-01
EARLIEST = 946684800000
UNITS = {"in seconds": 1000, "in microseconds": 1 / 1000, "in nanoseconds": 1 / 1000000}
MEASURES = ("x", "y", "z", "distancefromobject")
# How far an estimate of distinct values may be off.
TOLERANCE = 0.03


def trouble(column, value, now):
    """What is wrong with a time, or None."""
    if EARLIEST <= value <= now or (column.startswith("sharewith") and value <= 0):
        return None
    for unit, factor in UNITS.items():
        # rounded as whole milliseconds are
        if EARLIEST <= int(value * factor if factor >= 1 else value // round(1 / factor)) <= now:
            return unit
    if not oracle.FIRST_MS <= value < oracle.END_MS:
        return "out of range"
    return "in the future" if value > now else "before 2000"


def show(column, value):
    if column in MEASURES:
        return f"{value:.6g}" if column != "distancefromobject" else str(value)
    # Python's dates end in 9999; every 400 years are as many days
    cycles, days = divmod(value // 86400000, 146097)
    day = datetime.date(1970, 1, 1) + datetime.timedelta(days=days)
    year = day.year + 400 * cycles
    return f"{year if year > 0 else 1 - year:04}{day:-%m-%d}{'' if year > 0 else ' BC'}"


class Covered:
    """The values that may be shown, by table and column: of records that consent covers."""

    def __init__(self, zone, consent, now):
        result = oracle.compute(None, consent, now, landing=zone)
        self.values = collections.defaultdict(list)
        self.note("customer_landing", (dict(zip(oracle.LANDING["customer_landing"][1], row)) for row in result.tables["customer_trusted"]))
        moves = [dict(zip(("user", "timestamp", "x", "y", "z"), row)) for row in result.tables["accelerometer_trusted"]]
        self.note("accelerometer_landing", moves)
        rules = oracle.Rules(now)
        customers = rules.customers(zone["customer_landing"])
        devices = rules.devices(customers)
        self.note("step_trainer_landing", (
            record.values for record in zone["step_trainer_landing"]
            if not record.rejected and self.covers(rules, customers, devices, consent, record)))

    @staticmethod
    def covers(rules, customers, devices, consent, record):
        """A step counts also of somebody who has no movements."""
        device = devices.get(record.get("serialnumber"), oracle.Device())
        since = customers[device.owner()].consent if device.owner() else None
        at = record.get("sensorreadingtime")
        return since is not None and not rules.ambiguous(device, at) and (consent == "granted" or at >= since)

    def note(self, table, records):
        for values in records:
            for column, value in values.items():
                if value is not None and not (column.startswith("sharewith") and value <= 0):
                    self.values[table, column].append(value)

    def ends(self, table, column):
        values = self.values[table, column]
        is_shown = column in MEASURES or column in oracle.LANDING[table][2]
        return tuple(show(column, end(values) + 0) for end in (min, max)) if is_shown and values else (None, None)


def duplicates(table, records):
    """How many records say what others have said."""
    columns = oracle.LANDING[table][1]
    said = set()
    for record in records:
        row = {column: record.get(column) for column in columns}
        for column in ("email", "user"):
            if column in row:
                row[column] = oracle.normal(row[column])
        said.add(tuple(row.values()))
    return len(records) - len(said)


# How what the generator writes looks, of that which is somebody else's.
LOOKS = str.maketrans({"0": "o", "1": "l", "\u0430": "a", "\u03b1": "a", "\u0131": "i"})


def look_alikes(zone, table):
    """The column of e-mails, and how many records have one that looks like another's there or of a customer."""
    column = {"customer_landing": "email", "accelerometer_landing": "user"}.get(table)
    if column is None:
        return None, 0

    def emails(of_table, of_column):
        return [oracle.normal(record.get(of_column)) for record in zone[of_table] if not record.rejected]

    alike = collections.defaultdict(set)
    mine = emails(table, column)
    for email in mine + emails("customer_landing", "email"):
        alike[email.translate(LOOKS)].add(email)
    return column, sum(len(alike[email.translate(LOOKS)]) > 1 for email in mine)


def shared(zone, now):
    """Rows of devices with more than one holder, and of their readings."""
    rules = oracle.Rules(now)
    devices = rules.devices(rules.customers(zone["customer_landing"]))
    found = {serial: device for serial, device in devices.items() if len(device.holders) > 1}
    named = collections.Counter(record.get("serialnumber") for record in zone["customer_landing"])
    for serial, device in found.items():
        yield ("customer_landing", "serialnumber", named[serial], None, len(device.holders), None, None,
               "device with more than one holder, first named")
    n = sum(record.get("serialnumber") in found for record in zone["step_trainer_landing"] if not record.rejected)
    if n:
        yield ("step_trainer_landing", "serialnumber", n, None, None, None, None,
               "of a device with more than one holder")


def expected(zone, consent, now):
    """The rows of stedi.quality, but for the reasons of rejects: all are 'rejected'."""
    covered = Covered(zone, consent, now)
    rows = []
    for table, (_, columns, times) in oracle.LANDING.items():
        records = [record for record in zone[table] if not record.rejected]
        rows.append((table, None, len(zone[table]), None, None, None, None, None))
        problems = collections.Counter({(None, "duplicate"): duplicates(table, records)})
        column, n_alike = look_alikes(zone, table)
        problems[column, "looks like another e-mail"] = n_alike
        problems[None, "rejected"] = len(zone[table]) - len(records)
        for column in columns:
            values = [record.get(column) for record in records if record.get(column) is not None]
            rows.append((table, column, len(records), len(records) - len(values), len(set(values)), *covered.ends(table, column), None))
            if column in times:
                known = (record.get(column) for record in zone[table])
                problems.update((column, trouble(column, value, now)) for value in known if value is not None)
        rows += [(table, column, n, None, None, None, None, problem)
                 for (column, problem), n in problems.items() if n and problem]
    return sorted(rows + list(shared(zone, now)), key=sort_key)


class QualityTest(ServerTest):
    maxDiff = None

    def quality(self, target, lake):
        """Its rows, with all rejects of a table as one, and the now that it went by."""
        with self.db.conn.transaction():
            now = self.db.value("SELECT floor(extract(epoch FROM now()) * 1000)::bigint")
            rows = self.db.rows("SELECT * FROM stedi.quality(%s, %s)", target, lake)
        # where a device is named first is test/sql/share.sql's
        rows = [(*row[:7], row[7] and row[7].partition(" in object ")[0]) for row in rows]
        rejected = collections.Counter()
        for row in rows:
            if (row[7] or "").startswith("rejected: "):
                rejected[row[0]] += row[2]
        rows = [row for row in rows if not (row[7] or "").startswith("rejected: ")]
        rows += [(table, None, n, None, None, None, None, "rejected") for table, n in rejected.items()]
        return sorted(rows, key=sort_key), now

    def check(self, zone, consent):
        rows, now = self.quality("target", "lake")
        self.assertEqual(rows, expected(zone, consent, now))

    def test_dirt(self):
        for seed in SEEDS:
            folder = self.folder / f"zone{seed}"
            landing.main([str(folder), "--seed", str(seed)])
            self.spoil(folder)
            zone = oracle.read_zone(folder)
            with self.landing("lake", folder), self.schema("target"):
                with self.subTest(seed=seed, after="nothing"):
                    self.check(zone, "since_consent")
                for consent in ("granted", "since_consent"):
                    with self.subTest(seed=seed, after=consent):
                        self.db.materialize("target", landing="lake", consent=consent)
                        self.check(zone, consent)

    @staticmethod
    def spoil(folder):
        """Times of each kind, and duplicates."""
        now = int(time.time() * 1000)
        times = [0, -1, 5, now // 1000, now * 1000, now * 1000000, now + 10**9, EARLIEST, EARLIEST - 1, EARLIEST // 1000 - 1, 2**63 - 1]
        moves = [{"user": "spoilt@example.com", "timestamp": at, "x": 1e300, "y": -1e300, "z": -0.0} for at in times + times]
        steps = [{"serialNumber": "spoilt", "sensorReadingTime": at, "distanceFromObject": 2**31 - 1} for at in times]
        customers = [
            {"email": " Spoilt@example.com", "serialNumber": "spoilt", "registrationDate": at, "lastUpdateDate": EARLIEST,
             "shareWithResearchAsOfDate": EARLIEST, "shareWithPublicAsOfDate": at} for at in times]
        for name, records in (("accelerometer", moves), ("step_trainer", steps), ("customers", customers)):
            (folder / name / "spoilt.json").write_text("".join(json.dumps(record) + "\n" for record in records))

    def test_estimate(self):
        """Exact for as many as are kept, and close for more."""
        for n in (65536, 250000):
            folder = self.folder / f"many{n}"
            for name, record in (("customers", {"email": "a@x"}), ("accelerometer", {"user": "a@x", "timestamp": EARLIEST})):
                (folder / name).mkdir(parents=True)
                (folder / name / "1.json").write_text(json.dumps(record))
            (folder / "step_trainer").mkdir()
            (folder / "step_trainer" / "1.json").write_text("".join(
                f'{{"sensorReadingTime":{EARLIEST + i},"serialNumber":"a{i}","distanceFromObject":{i // 10}}}\n' for i in range(n)))
            with self.landing("lake", folder), self.schema("target"):
                found = {row[1]: row[4] for row in self.quality("target", "lake")[0] if row[0] == "step_trainer_landing"}
            for column, distinct in (("sensorreadingtime", n), ("serialnumber", n), ("distancefromobject", (n + 9) // 10)):
                tolerance = TOLERANCE * distinct if distinct > 65536 else 0
                self.assertAlmostEqual(found[column], distinct, delta=tolerance, msg=column)


if __name__ == "__main__":
    unittest.main()
