"""What a run asks the landing zone for: no more than it has to read.

Proves that an incremental run lists, and then gets the objects that are new or
have changed, and of all others only those that can hold readings, or records,
of the people whom that touches.  Over a folder the report says what was read;
over S3 a proxy before the server sees every request.  Guards src/books/objects.c,
src/run/customers.c and src/run/affected.c.
"""
import collections
import json
import os
import shutil
import subprocess
import sys
import unittest

from stedi_client import PROJECT, ServerTest
from fault_proxy import FaultProxy

FOLDERS = ("customers", "accelerometer", "step_trainer")
N_PEOPLE = 20
N_STEP_OBJECTS = 23  # over a folder: the report tells, however many there are


def customer(number, updated=10, consent=5, **changes):
    record = {
        "customerName": "N. N.",
        "email": f"p{number}@example.com",
        "serialNumber": f"S-{number}",
        "registrationDate": 1,
        "lastUpdateDate": updated,
        "shareWithResearchAsOfDate": consent,
    }
    return record | changes


def move(number, time):
    return {"user": f"p{number}@example.com", "timestamp": time, "x": 1, "y": 2, "z": 3}


def step(number, time):
    return {"sensorReadingTime": time, "serialNumber": f"S-{number}", "distanceFromObject": 7}


def lines(records):
    return "".join(json.dumps(record) + "\n" for record in records)


class Requests(unittest.TestCase):
    """The tests; a subclass says where the objects are, and how to see what is got."""

    n_step_objects = N_STEP_OBJECTS

    def put(self, key, *records):
        """Put an object; who is named in which is known."""
        self.objects[key] = records
        self.store(key, lines(records))

    def fill(self):
        """Twenty people, four to an object of customers, two to one of movements."""
        self.objects = {}
        for number in range(N_PEOPLE // 4):
            self.objects[f"customers/{number}.json"] = [
                customer(4 * number + i) for i in range(4)
            ]
        for number in range(N_PEOPLE // 2):
            self.objects[f"accelerometer/{number}.json"] = [
                move(2 * number + i, time) for i in range(2) for time in (100, 200, 300)
            ]
        for number in range(self.n_step_objects):
            self.objects[f"step_trainer/{number:04}.json"] = [step(number % N_PEOPLE, 100)]

    def naming(self, folder, *people):
        """The objects that name one of these people, or their devices."""
        names = {name for number in people for name in (f"p{number}@example.com", f"S-{number}")}
        return {
            key
            for key, records in self.objects.items()
            if key.startswith(folder + "/")
            and any(not names.isdisjoint(map(str, record.values())) for record in records)
        }

    def check_run(self, expected, mode="incremental", call=None):
        """A run gets these objects, each once; gives its report."""
        report, got = self.watch(call or (lambda: self.db.materialize("target", landing="lake")))
        if isinstance(expected, int):  # all that is there, how many that are
            self.assertEqual(got.total(), expected)
        elif self.sees_keys:
            self.assertEqual(got, collections.Counter(expected))
        else:
            by_folder = collections.Counter(key.partition("/")[0] for key in expected)
            self.assertEqual(got, by_folder)
        if mode is not None:
            self.assertEqual({line["mode"] for line in report}, {mode})
        if not self.sees_keys:  # an audit gets everything: once is enough
            self.assertEqual(self.db.rows("SELECT * FROM stedi.audit('target', 'lake')"), [])
        return report

    def rows_of(self, number):
        query = "SELECT count(*) FROM target.accelerometer_trusted WHERE email = %s"
        return self.db.value(query, f"p{number}@example.com")

    def follow(self):
        """Each thing that may land, and what is got for it."""
        self.check_run(len(self.objects), mode="full")
        self.check_run([])
        self.new_readings()
        self.new_records()
        self.changed_objects()
        self.forgotten()
        self.check_run([])

    def new_readings(self):
        self.put("accelerometer/new.json", move(3, 400), move(7, 400))
        self.check_run(["accelerometer/new.json"])
        self.assertEqual(self.rows_of(3), 4)
        self.put("step_trainer/new.json", step(3, 400), step(7, 400))
        self.check_run(["step_trainer/new.json"])
        # of nobody
        self.put("accelerometer/nobody.json", move(50, 400))
        self.check_run(["accelerometer/nobody.json"])

    def new_records(self):
        self.put("customers/withdrawn.json", customer(5, 20, 0))
        self.check_run(["customers/withdrawn.json"])
        self.assertEqual(self.rows_of(5), 0)
        self.put("customers/newcomer.json", customer(60))
        self.check_run(["customers/newcomer.json"])
        # a new date that decides nothing
        self.put("customers/again.json", customer(6, 20, 15))
        self.check_run(["customers/again.json"])
        # who comes in has records and readings of old, which nothing else has
        self.put("customers/back.json", customer(5, 30, 25))
        self.check_run(
            self.naming("customers", 5)
            | self.naming("accelerometer", 5)
            | self.naming("step_trainer", 5)
        )
        self.assertEqual(self.rows_of(5), 3)
        self.put("customers/stranger.json", customer(50))
        self.check_run({"customers/stranger.json", "accelerometer/nobody.json"})
        self.assertEqual(self.rows_of(50), 1)

    def changed_objects(self):
        self.put("accelerometer/4.json", move(8, 100), move(3, 500))
        self.check_run(self.naming("accelerometer", 8, 9))  # whom it named before
        self.assertEqual([self.rows_of(number) for number in (3, 8, 9)], [5, 1, 0])
        self.put("step_trainer/0002.json", step(2, 200))
        self.check_run(self.naming("step_trainer", 2))
        self.put("customers/0.json", *(customer(number, 15) for number in range(4)))
        people = range(4)  # whose devices might have been somebody else's
        self.check_run(self.naming("customers", *people) | self.naming("step_trainer", *people))
        # one that has vanished takes a look at those whom it named
        self.remove("accelerometer/new.json")
        self.check_run(self.naming("accelerometer", 3, 7))

    def forgotten(self):
        everything = {
            key for folder in FOLDERS for key in self.naming(folder, 11)
        }
        forget = "SELECT * FROM stedi.forget('target', %s, 'objection', 'lake')"

        def call():
            return self.db.rows(forget, "p11@example.com")

        # over a folder a call that is no run does not tell what it has read
        answer = self.check_run(everything if self.sees_keys else [], mode=None, call=call)
        self.assertEqual({name for source, name, _ in answer if source == "object"}, everything)
        self.check_run(self.naming("customers", 11))
        self.put("accelerometer/late.json", move(11, 600))
        self.check_run(["accelerometer/late.json"])
        self.assertEqual(self.rows_of(11), 0)


class FolderRequestsTest(ServerTest, Requests):
    """What the report says of a folder."""

    sees_keys = False

    def store(self, key, text):
        (self.zone / key).write_text(text)

    def remove(self, key):
        del self.objects[key]
        (self.zone / key).unlink()

    def watch(self, call):
        report = call()
        got = collections.Counter()
        for folder, line in zip(FOLDERS, (report[0], report[1], report[3])):
            if isinstance(line, dict):
                got[folder] = line["objects_read"]
        return report, +got

    def test_folder(self):
        self.zone = self.folder / "zone"
        self.fill()
        for folder in FOLDERS:
            (self.zone / folder).mkdir(parents=True)
        for key, records in self.objects.items():
            self.store(key, lines(records))
        with self.landing("lake", self.zone), self.schema("target"):
            self.follow()


SERVERS = {
    name: os.environ[variable]
    for name, variable in (("radosgw", "STEDI_S3_ENDPOINT"), ("swift", "STEDI_SWIFT_ENDPOINT"))
    if os.environ.get(variable)
}


@unittest.skipUnless(SERVERS, "no S3 server is named: run within test/s3/with_s3")
class S3RequestsTest(ServerTest, Requests):
    """What a proxy sees of the requests to a server."""

    sees_keys = True

    def s3put(self, *words):
        program = [sys.executable, PROJECT / "test/s3/s3put.py", "--endpoint", self.endpoint]
        subprocess.run([*program, *words], check=True)

    def store(self, key, text):
        file = self.folder / "object"
        file.write_text(text)
        self.s3put("put", self.bucket, key, file)

    def remove(self, key):
        del self.objects[key]
        self.s3put("delete", self.bucket, key)

    def watch(self, call):
        """The objects that were got; each table was listed, page by page, and once."""
        self.proxy.take()
        report = call()
        got, pages = collections.Counter(), collections.Counter()
        for request in self.proxy.take():
            self.assertEqual(request.method, "GET")
            key = request.path.removeprefix(f"/{self.bucket}").strip("/")
            if key:
                got[key] += 1
            else:
                pages[request.query["prefix"].strip("/")] += 1
        expected = {
            folder: -(-sum(key.startswith(folder + "/") for key in self.objects) // self.page_size)
            for folder in FOLDERS
        }
        self.assertEqual(pages, expected)
        return report, got

    def test_s3(self):
        for name, endpoint in SERVERS.items():
            with self.subTest(server=name):
                self.run_on(name, endpoint)

    def run_on(self, name, endpoint):
        """A thousand keys a page is what a listing has at most."""
        self.page_size = 1000 if name == "radosgw" else 100
        self.n_step_objects = self.page_size + 3
        self.bucket = f"requests-{name}"
        self.endpoint = endpoint
        self.s3put("make-bucket", self.bucket)
        self.fill()
        zone = self.folder / name
        for key, records in self.objects.items():
            (zone / key).parent.mkdir(parents=True, exist_ok=True)
            (zone / key).write_text(lines(records))
        self.s3put("sync", zone, self.bucket)
        shutil.rmtree(zone)
        with FaultProxy(endpoint) as self.proxy, self.schema("target"):
            self.db.drop("lake")
            self.db.make_landing(
                "lake",
                f"s3://{self.bucket}",
                secrets={
                    "access_key_id": os.environ["STEDI_S3_ACCESS_KEY"],
                    "secret_access_key": os.environ["STEDI_S3_SECRET_KEY"],
                },
                region="us-east-1",
                endpoint=self.proxy.endpoint,
                url_style="path",
                allow_http="true",
                page_size=self.page_size,
            )
            self.follow()
            self.db.drop("lake")


del Requests  # whose tests are its subclasses'


if __name__ == "__main__":
    unittest.main()
