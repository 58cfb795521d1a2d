"""Proves that of a person's hundreds of records the newest alone says whether they are in.

A landing zone like the original one: over days, each person appears in many
customer records, consents and withdraws, and the records stand one after the
other without a line end.  A filter that looks at each record by itself lets in
whoever has ever consented; how many that is, is told.  Guards src/run/people.c.

    STEDI_TEST_RECORDS    how many records of each person (default 70)
"""
import json
import os
import random
import unittest

from stedi_client import ServerTest

PEOPLE = 1000
RECORDS = int(os.environ.get("STEDI_TEST_RECORDS", "70"))
DELIVERIES = 5
OBJECTS = 4  # in each delivery
MOVES = 6  # accelerometer readings of each person
STEPS = 3  # step trainer readings

START = 1_600_000_000_000
HOUR = 3_600_000


class Person:
    def __init__(self, number):
        self.email = f"person{number}@test.com"
        self.serial = f"device-{number}"
        self.ever = False  # was there a record with a consent?
        self.newest = (0, False)  # the newest record's date, and whether it is one without

    def history(self, rng):
        """One after the other, dates of records with the consent that each has, or None.

        A tenth never consent; the others do and withdraw as they like.  Of two
        records at the same time, one may withdraw what the other one gives.
        """
        often = rng.choice([0] + 9 * [2 / RECORDS])
        consent = None
        time = START
        for _ in range(RECORDS):
            if rng.random() > 0.1:
                time += rng.randrange(1, 5) * HOUR
            if rng.random() < often:
                consent = None if consent else time
            yield time, consent

    def land(self, time, consent):
        """The record as it lands, which is remembered as the oracle would judge it."""
        if consent:
            self.ever = True
        self.newest = max(self.newest, (time, not consent))
        record = {
            "customerName": "Somebody",
            "email": self.email,
            "phone": "8015551212",
            "birthDay": "1970-01-01",
            "serialNumber": self.serial,
            "registrationDate": START,
            "lastUpdateDate": time,
        }
        if consent:
            record["shareWithResearchAsOfDate"] = consent
        return json.dumps(record)

    def consents(self):
        return not self.newest[1]


class ManyRecordsTest(ServerTest):
    def setUp(self):
        super().setUp()
        self.rng = random.Random(700)
        self.people = [Person(number) for number in range(PEOPLE)]
        for name in ("customers", "accelerometer", "step_trainer"):
            (self.folder / name).mkdir()

    def write(self, name, texts):
        (self.folder / name).write_text("".join(texts))

    def write_readings(self):
        moves, steps = [], []
        for person in self.people:
            for time in range(START, START + MOVES * HOUR, HOUR):
                move = {"user": person.email, "timestamp": time, "x": 1, "y": 2, "z": 3}
                moves.append(json.dumps(move))
            for time in range(START, START + STEPS * HOUR, HOUR):
                step = {
                    "sensorReadingTime": time,
                    "serialNumber": person.serial,
                    "distanceFromObject": 5,
                }
                steps.append(json.dumps(step))
        self.write("accelerometer/1.json", moves)
        self.write("step_trainer/1.json", steps)

    def deliveries(self):
        """The customer records in parts, by date, but for some that come late."""
        records = []
        for person in self.people:
            for time, consent in person.history(self.rng):
                arrives = time + self.rng.choice([0, 0, 0, 0, 30 * HOUR])
                records.append((arrives, self.rng.random(), person, time, consent))
        records.sort(key=lambda record: record[:2])
        size = -(-len(records) // DELIVERIES)
        for start in range(0, len(records), size):
            yield [record[2:] for record in records[start : start + size]]

    def test_many_records(self):
        self.write_readings()
        n_landed = 0
        with self.landing("lake", self.folder), self.schema("target"):
            for number, delivery in enumerate(self.deliveries()):
                texts = [person.land(time, consent) for person, time, consent in delivery]
                for part in range(OBJECTS):
                    self.write(f"customers/{number}-{part}.json", texts[part::OBJECTS])
                n_landed += len(texts)
                self.db.materialize("target", landing="lake")
                ever, now = self.compare()
        self.assertEqual(n_landed, PEOPLE * RECORDS)
        self.assertGreater(ever, now)
        print(
            f"of {PEOPLE} people with {RECORDS} records each, a filter record by record lets in"
            f" {ever} and {ever * MOVES} of their readings,"
            f" the newest record {now} and {now * MOVES}"
        )

    def compare(self):
        """What either way lets in, against our own count; gives both numbers of people."""
        ever = [person for person in self.people if person.ever]
        now = [person for person in self.people if person.consents()]
        by_record = self.db.rows(
            """WITH let_in AS (
                SELECT DISTINCT email, serialnumber FROM lake.customer_landing
                WHERE sharewithresearchasofdate > 0)
            SELECT
                (SELECT count(*) FROM let_in),
                (SELECT count(*) FROM lake.accelerometer_landing
                 WHERE "user" IN (SELECT email FROM let_in)),
                (SELECT count(*) FROM lake.step_trainer_landing
                 WHERE serialnumber IN (SELECT serialnumber FROM let_in))"""
        )
        self.assertEqual(by_record, [(len(ever), len(ever) * MOVES, len(ever) * STEPS)])
        self.assertEqual(
            self.db.counts("target"),
            [len(now), len(now) * MOVES, len(now), len(now) * STEPS, len(now) * STEPS],
        )
        for table in ("customer_trusted", "customer_curated"):
            emails = self.db.rows(f"SELECT email FROM target.{table}")
            self.assertCountEqual(emails, [(person.email,) for person in now])
        return len(ever), len(now)


if __name__ == "__main__":
    unittest.main()
