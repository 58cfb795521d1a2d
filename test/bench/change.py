"""A landing zone that changes: what the part `change` of `make bench` reads.

It is the generated zone up to a time, as hard links.  What came later arrives
in stretches of time, as it would: an object of accelerometer and one of
step_trainer with the readings of the same sessions, each with its copies of
earlier ones.  The generated objects of step_trainer span longer stretches, and
are cut for it.
"""
import json
import os
import shutil

import landing

TABLES = landing.TABLES


def end_of(path):
    """When the sessions of an object of readings end, but for the jitter: its name tells."""
    return int(path.stem.rpartition("-")[2]) - landing.JITTER


def link(path, folder):
    try:
        os.link(path, folder / path.name)
    except OSError:  # another file system
        shutil.copy(path, folder)


def count(paths):
    """What manifest.json says of a table; reads it all into the page cache."""
    counts = {"objects": 0, "records": 0, "bytes": 0}
    for path in paths:
        counts["objects"] += 1
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(1 << 20):
                counts["records"] += chunk.count(b"\n")
                counts["bytes"] += len(chunk)
    return counts


class ChangingZone:
    """In the end there are at most n_arrivals stretches of time to arrive."""

    def __init__(self, zone, folder, n_arrivals):
        self.folder = folder
        self.n_records_added = 0
        shutil.rmtree(folder, ignore_errors=True)
        for table in TABLES:
            (folder / table).mkdir(parents=True)
        moves = sorted((zone / "accelerometer").iterdir())
        steps = sorted((zone / "step_trainer").iterdir())

        # The last object is seldom full: it is left out, and its stretch of time with it.
        first = max(1, len(moves) - 1 - n_arrivals)
        cuts = [end_of(path) for path in moves[first - 1:-1]]
        whole = [path for path in steps if end_of(path) <= cuts[0]] if cuts else steps
        rest, *pieces = self.cut(steps[len(whole):], cuts)
        self.arrivals = list(zip(moves[first:-1], cuts[1:], pieces))

        for path in (zone / "customers").iterdir():
            link(path, folder / "customers")
        for path in moves[:first]:
            link(path, folder / "accelerometer")
        for path in whole:
            link(path, folder / "step_trainer")
        if rest:
            self.write_steps(cuts[0], rest)

    @staticmethod
    def cut(steps, cuts):
        """The lines of objects, parted where the first reading of each time is."""
        pieces = [[]]
        for path in steps:
            with path.open() as file:
                for line in file:
                    if (len(pieces) <= len(cuts) and
                            json.loads(line)["sensorReadingTime"] >= cuts[len(pieces) - 1]):
                        pieces.append([])
                    pieces[-1].append(line)
        return pieces

    def write(self, table, name, lines):
        path = self.folder / table / f"{name}.json"
        path.write_text("".join(lines))
        return path

    def write_steps(self, end, lines):
        return self.write("step_trainer", f"step_trainer-{end + landing.JITTER}", lines)

    def arrive(self):
        """The next stretch of time; returns what is new, by table."""
        moves, end, steps = self.arrivals.pop(0)
        link(moves, self.folder / "accelerometer")
        return {"customers": count([]), "accelerometer": count([moves]),
                "step_trainer": count([self.write_steps(end, steps)])}

    def add_customer(self, person, days_later, consents):
        """An object with one record of a customer, newer than what customer_curated has."""
        self.n_records_added += 1
        updated = person["updated"] + days_later * landing.DAY
        record = {"customerName": person["customername"], "email": person["email"],
                  "phone": person["phone"], "birthDay": person["birthday"],
                  "serialNumber": person["serialnumber"], "registrationDate": person["registered"],
                  "lastUpdateDate": updated}
        if consents:
            record["shareWithResearchAsOfDate"] = updated
        self.write("customers", f"customer-{updated}-{self.n_records_added}", [json.dumps(record), "\n"])

    def manifest(self):
        return {table: count((self.folder / table).iterdir()) for table in TABLES}
