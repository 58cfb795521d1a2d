"""Withdrawals go through, whatever landing object cannot be read.

Each way in which an object, or the listing of a prefix, can fail, for each of the
three landing tables, with somebody withdrawing in the same run and without.  After
the call no table has a row of whoever withdrew in a record that can be read; and when
the object is back, the next run leaves what a full rebuild makes.  Guards
src/run/withdraw.c and src/run/uncovered.c.
"""
import gzip
import json
import os
import time
import unittest

import psycopg

from stedi_client import TABLES, ServerTest
from stedi_fake import FakeS3, error, listing, store

NOW = 1_700_000_000_000
PEOPLE = ("ada", "bob", "cleo", "dan", "eve")

PREFIX = {
    "customer_landing": "customers",
    "accelerometer_landing": "accelerometer",
    "step_trainer_landing": "step_trainer",
}


def customer(name, updated=0, **more):
    return {
        "customerName": name,
        "email": f"{name}@example.com",
        "phone": "1",
        "birthDay": "1990-01-01",
        "serialNumber": f"s-{name}",
        "registrationDate": NOW,
        "lastUpdateDate": NOW + updated,
        "shareWithResearchAsOfDate": NOW,
    } | more


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def withdrawn(name, updated=1000):
    return customer(name, updated, shareWithResearchAsOfDate=0)


def movement(name, number):
    return {"user": f"{name}@example.com", "timestamp": NOW + number, "x": number, "y": 0, "z": 1}


def step(name, number):
    return {
        "sensorReadingTime": NOW + number,
        "serialNumber": f"s-{name}",
        "distanceFromObject": number,
    }


def zone():
    """What is there before: two customer objects, and one of each kind of reading a person."""
    objects = {
        "customers/1.json": lines(*(customer(name) for name in PEOPLE[:3])),
        "customers/2.json": lines(*(customer(name) for name in PEOPLE[3:])),
    }
    for name in PEOPLE:
        objects[f"accelerometer/{name}.json"] = lines(*(movement(name, i) for i in range(4)))
        objects[f"step_trainer/{name}.json"] = lines(*(step(name, i) for i in range(4)))
    return objects


# The objects that fail, of each table: an old one with news, and a new one.
FAILING = {
    "customer_landing": {
        "old": ("customers/2.json", lines(customer("dan", 5), customer("eve", 5, phone="2"))),
        "new": ("customers/0.json", lines(customer("fay"), customer("gus"))),
    },
    "accelerometer_landing": {
        "old": ("accelerometer/bob.json", lines(*(movement("bob", i) for i in range(6)))),
        "new": ("accelerometer/new.json", lines(movement("bob", 7), movement("ada", 7))),
    },
    "step_trainer_landing": {
        "old": ("step_trainer/bob.json", lines(*(step("bob", i) for i in range(6)))),
        "new": ("step_trainer/new.json", lines(step("bob", 7), step("ada", 7))),
    },
}

# What the server says in place of the object; and what the error is of.
KINDS = {
    "forbidden": ((403, "AccessDenied"), "28000"),
    "gone": ((404, "NoSuchKey"), "42704"),
    "archived": ((403, "InvalidObjectState"), "55000"),
    "busy": ((503, "SlowDown"), "HV00M"),
    "changed": ((412, "PreconditionFailed"), "55000"),
    "cut off": ("cut off", "08006"),
    "silent": ("silent", "08006"),
    "not JSON": (lambda body: b'{"email": }\n' + body, "22032"),
    "gzip cut off": (lambda body: gzip.compress(body)[:-4], "22032"),
    "listing": ((403, "AccessDenied"), "28000"),
}


class WithdrawalTest(ServerTest):
    def setUp(self):
        super().setUp()
        self.objects = {}
        self.broken = {}
        self.unlisted = None
        self.server = FakeS3(self, self.answer)
        self.warnings = []
        self.db.conn.add_notice_handler(self.note)
        self.addCleanup(self.db.conn.remove_notice_handler, self.note)
        self.db.drop("withdrawal", "rebuilt", "lake")
        self.addCleanup(self.db.drop, "withdrawal", "rebuilt", "lake")
        self.db.make_landing(
            "lake",
            "s3://zone",
            {"anonymous": "true"},
            endpoint=self.server.endpoint,
            allow_http="true",
            max_tries="1",
            stall_timeout="1",
        )
        for table in PREFIX:
            self.db.run(f"ALTER FOREIGN TABLE lake.{table} OPTIONS (ADD on_error 'stop')")

    def answer(self, request):
        prefix = request.query.get("prefix", [""])[0]
        if request.lists and self.unlisted is not None and prefix.startswith(self.unlisted):
            return 403, {}, error("AccessDenied")
        if request.lists:
            found = {k: v for k, v in sorted(self.objects.items()) if k.startswith(prefix)}
            return 200, {}, listing(found)
        fault = self.broken.get(request.path.removeprefix("/zone/"))
        right = store(self.objects, "zone")(request)
        if fault is None:
            return right
        if fault == "silent":
            time.sleep(3)
        if fault == "cut off":
            return right[0], right[1], right[2][:-10], len(right[2])
        return fault[0], {}, error(fault[1])

    def note(self, diag):
        if diag.severity_nonlocalized == "WARNING":
            self.warnings.append((diag.sqlstate, diag.message_primary, diag.message_detail or ""))

    def materialize(self, function="materialize", target="withdrawal", **named):
        self.warnings.clear()
        return self.db.materialize(target, function, landing="lake", **named)

    def break_object(self, table, kind, which):
        key, body = FAILING[table][which]
        fault = KINDS[kind][0]
        self.repaired = (key, body)
        if kind == "listing":
            self.unlisted = PREFIX[table]
            self.objects[key] = body
            return key
        self.objects[key] = fault(body) if callable(fault) else body
        if not callable(fault):
            self.broken[key] = fault
        return key

    def repair(self):
        self.broken.clear()
        self.unlisted = None
        key, body = self.repaired
        self.objects[key] = body

    def check_gone(self, name, tables=TABLES):
        for table in tables:
            rows = self.db.value(
                f"SELECT count(*) FROM withdrawal.{table} t WHERE t::text LIKE %s", f"%{name}%"
            )
            self.assertEqual(rows, 0, table)

    def check_rebuilt(self):
        """The next run makes what a full one does, and the audit has nothing to say."""
        self.materialize()
        self.db.drop("rebuilt")
        self.db.run("CREATE SCHEMA rebuilt")
        rule = self.db.value("SELECT consent FROM stedi_books_withdrawal.stedi_rule")
        self.materialize(target="rebuilt", consent=rule)
        self.assertEqual(self.db.tables("withdrawal"), self.db.tables("rebuilt"))
        self.assertEqual(self.db.rows("SELECT * FROM stedi.audit('withdrawal', 'lake')"), [])
        self.assertEqual(self.db.rows("SELECT * FROM stedi.verify_history('withdrawal')"), [])
        self.assertEqual(
            self.db.value("SELECT count(*) FROM stedi_books_withdrawal.stedi_forgotten"), 0, "pending"
        )

    def cases(self):
        for table in FAILING:
            for kind in KINDS:
                for which in ("new",) if kind in ("listing", "silent") else ("old", "new"):
                    if kind != "silent" or table == "accelerometer_landing":  # it takes its time
                        yield table, kind, which

    def test_withdrawal(self):
        for table, kind, which in self.cases():
            with self.subTest(table=table, kind=kind, which=which):
                self.make_zone()
                key = self.break_object(table, kind, which)
                self.objects["customers/9.json"] = lines(withdrawn("ada"), customer("hal"))
                if table == "customer_landing" and kind == "listing":
                    with self.assertRaises(psycopg.Error) as raised:
                        self.materialize()
                    self.assertEqual(raised.exception.diag.sqlstate, KINDS[kind][1])
                else:
                    self.check_withdrawal(table, kind, key)
                self.repair()
                self.check_rebuilt()
                self.check_gone("ada")

    def check_withdrawal(self, table, kind, key):
        before = self.db.tables("withdrawal")
        report = self.materialize()
        self.assertEqual({row["mode"] for row in report}, {"withdrawals"})
        (warning,) = [w for w in self.warnings if w[1].startswith("only withdrawals")]
        self.assertEqual(warning[0], KINDS[kind][1])
        self.assertIn(PREFIX[table] if kind == "listing" else key, warning[1] + warning[2])
        self.check_gone("ada")
        after = self.db.tables("withdrawal")
        for name, rows in before.items():
            kept = [row for row in rows if not any("ada" in str(value) for value in row)]
            self.assertEqual(after[name], kept, name)
        self.assertEqual([row["rows"] for row in report], [len(after[name]) for name in TABLES])
        what = self.db.rows(
            "SELECT what, object, rows_removed FROM stedi.consent_history('withdrawal')"
            " ORDER BY entry DESC LIMIT 1"
        )
        self.assertEqual(what, [("withdrawn", "customers/9.json", 1 + 4 + 1 + 4 + 4)])
        # once more: nobody is left to be taken out
        with self.assertRaises(psycopg.Error):
            self.materialize()
        self.assertEqual(self.db.tables("withdrawal"), after)

    def test_nobody(self):
        for table, kind, which in self.cases():
            with self.subTest(table=table, kind=kind, which=which):
                self.make_zone()
                self.break_object(table, kind, which)
                before = self.db.tables("withdrawal")
                with self.assertRaises(psycopg.Error) as raised:
                    self.materialize()
                diag = raised.exception.diag
                self.assertEqual(diag.sqlstate, KINDS[kind][1])
                if table != "customer_landing":
                    self.assertIn("stedi.materialize_customer_trusted(", diag.message_hint)
                self.assertEqual(self.db.tables("withdrawal"), before)
                self.repair()
                self.check_rebuilt()

    def make_zone(self, **named):
        self.broken.clear()
        self.unlisted = None
        self.objects.clear()
        self.objects.update(zone())
        self.db.drop("withdrawal", "rebuilt")
        self.db.run("CREATE SCHEMA withdrawal")
        self.materialize(**named)

    # Of customer objects that cannot be read.

    def test_unreadable_customers(self):
        """They let nobody in, and whom they named stays, unless a newer record withdraws."""
        self.make_zone()
        self.objects["customers/2.json"] += b" "
        self.objects["customers/1.json"] += b" "
        self.broken = {"customers/1.json": KINDS["archived"][0], "customers/2.json": "cut off"}
        self.objects["customers/9.json"] = lines(
            withdrawn("ada", -1000),  # older than what is known
            withdrawn("dan", 1000),
            customer("fay"),
        )
        report = self.materialize()
        self.assertEqual(report[0]["mode"], "withdrawals")
        self.assertEqual(self.emails(), ["ada", "bob", "cleo", "eve"])
        self.assertIn("2 customer objects cannot be read", self.warnings[0][2])
        self.check_gone("dan")
        self.check_gone("fay")
        self.broken.clear()
        self.check_rebuilt()
        self.assertEqual(self.emails(), ["ada", "bob", "cleo", "eve", "fay"])

    def test_moved_to_unreadable(self):
        """Who is in no record that is known any more is out."""
        self.make_zone()
        self.objects["customers/3.json"] = self.objects.pop("customers/2.json")
        self.broken = {"customers/3.json": KINDS["forbidden"][0]}
        self.materialize()
        self.assertEqual(self.emails(), ["ada", "bob", "cleo"])
        self.broken.clear()
        self.check_rebuilt()
        self.assertEqual(self.emails(), list(PEOPLE))

    def test_many_unreadable(self):
        """After some that cannot be read others that have not changed are not tried."""
        self.make_zone()
        for i in range(40):
            self.objects[f"customers/many{i:02}.json"] = lines(customer(f"p{i}"))
        self.materialize()
        for i in range(40):
            self.broken[f"customers/many{i:02}.json"] = KINDS["forbidden"][0]
        self.objects["customers/0.json"] = lines(withdrawn("ada"))
        self.server.requests.clear()
        self.materialize(full_refresh=True)
        self.check_gone("ada")
        tried = {r.path for r in self.server.requests if "/many" in r.path}
        self.assertLess(len(tried), 25)
        self.assertIn("40 customer objects", self.warnings[0][2])

    def test_unreadable_old_ones(self):
        """Eight old objects that cannot be read do not hide the new one behind them."""
        self.make_zone()
        for i in range(8):
            self.objects[f"customers/a{i}.json"] = lines(customer(f"p{i}"))
        self.materialize()
        for i in range(8):
            self.broken[f"customers/a{i}.json"] = KINDS["forbidden"][0]
        self.broken["customers/1.json"] = KINDS["forbidden"][0]
        self.objects["customers/z.json"] = lines(withdrawn("ada"))
        self.materialize(full_refresh=True)
        self.check_gone("ada")
        self.assertIn("customer objects cannot be read", self.warnings[0][2])
        self.broken.clear()
        self.check_rebuilt()

    def test_forgotten(self):
        """Somebody is forgotten, one customer object cannot be read, and in another somebody withdraws."""
        self.make_zone()
        self.db.rows("SELECT count(*) FROM stedi.forget('withdrawal', 'cleo@example.com', 'objection', 'lake')")
        self.objects["customers/2.json"] += b" "
        self.broken = {"customers/2.json": KINDS["archived"][0]}
        self.objects["customers/9.json"] = lines(withdrawn("ada"))
        self.materialize()
        self.check_gone("ada")
        self.check_gone("cleo")
        self.assertEqual(self.emails(), ["bob", "dan", "eve"])

    # Of readings that have vanished.

    def test_vanished(self):
        """More than half of the readings' objects are gone: that is asked about, and withdrawals go through."""
        for table in ("accelerometer", "step_trainer"):
            with self.subTest(table=table):
                self.make_zone()
                for name in PEOPLE[1:]:
                    del self.objects[f"{table}/{name}.json"]
                with self.assertRaises(psycopg.errors.ObjectNotInPrerequisiteState) as raised:
                    self.materialize()
                self.assertIn("withdrawals go through all the same", raised.exception.diag.message_hint)
                self.objects["customers/9.json"] = lines(withdrawn("ada"))
                report = self.materialize()
                self.assertEqual({row["mode"] for row in report}, {"withdrawals"})
                self.check_gone("ada")
                self.assertEqual(self.emails(), list(PEOPLE[1:]))
        self.make_zone()
        self.objects["customers/9.json"] = lines(withdrawn("ada"))
        del self.objects["customers/1.json"], self.objects["customers/2.json"]
        with self.assertRaises(psycopg.errors.ObjectNotInPrerequisiteState) as raised:
            self.materialize()
        self.assertIn("Withdrawals wait until then.", raised.exception.diag.message_hint)

    def test_other_errors(self):
        """An error that has nothing to do with what is read says how withdrawals go through."""
        self.make_zone()
        self.objects["customers/9.json"] = lines(withdrawn("ada"))
        self.objects["step_trainer/new.json"] = lines(step("bob", 9))
        self.db.run(
            "CREATE FUNCTION withdrawal.refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE 'no'; END$$"
        )
        self.db.run(
            "CREATE TRIGGER refuse BEFORE INSERT ON withdrawal.step_trainer_curated"
            " FOR EACH ROW EXECUTE FUNCTION withdrawal.refuse()"
        )
        with self.assertRaises(psycopg.Error) as raised:
            self.materialize()
        hint = raised.exception.diag.message_hint or ""
        self.assertEqual(hint.count("stedi.materialize_customer_trusted("), 1, raised.exception.diag.message_primary)
        self.materialize("materialize_customer_trusted")
        self.check_gone("ada")

    @unittest.skipIf(os.geteuid() == 0, "root reads everything")
    def test_folder(self):
        """A file that the server may not read, one that is gone, and a folder."""
        for key, body in zone().items():
            path = self.folder / "zone" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        with self.landing("files", self.folder / "zone"):
            for table, (key, _) in ((t, FAILING[t]["old"]) for t in FAILING):
                with self.subTest(table=table), self.schema("withdrawal"):
                    self.db.materialize("withdrawal", landing="files")
                    path = self.folder / "zone" / key
                    path.chmod(0)
                    new = self.folder / "zone/customers/9.json"
                    new.write_bytes(lines(withdrawn("ada"), customer("hal")))
                    report = self.db.materialize(
                        "withdrawal", landing="files", full_refresh=table != "customer_landing"
                    )
                    self.check_gone("ada")
                    path.chmod(0o644)
                    new.unlink()
                    # a change of rights is one of the file's ETag: it has to be read
                    self.assertEqual(report[0]["mode"], "withdrawals")

    # What is left is right, whatever comes next.

    def test_taken_back(self):
        """The record that withdrew is gone again before the next run sees it."""
        for rule in ("granted", "since_consent"):
            with self.subTest(rule=rule):
                self.make_zone(consent=rule)
                self.break_object("accelerometer_landing", "archived", "old")
                self.objects["customers/9.json"] = lines(
                    withdrawn("ada"),
                    customer("bob", 1000, shareWithResearchAsOfDate=NOW + 2, serialNumber="s-new"),
                    customer("hal", 1000, serialNumber="s-cleo"),
                )
                self.materialize()
                self.check_gone("ada")
                self.check_gone("s-cleo", TABLES[3:])  # two hold it now
                del self.objects["customers/9.json"]
                self.repair()
                self.check_rebuilt()
                self.assertEqual(self.emails(), list(PEOPLE))

    def test_later_date(self):
        """Who consents from a later date on loses the readings before it, by that rule."""
        self.make_zone(consent="since_consent")
        self.break_object("step_trainer_landing", "gone", "old")
        self.objects["customers/9.json"] = lines(
            customer("bob", 1000, shareWithResearchAsOfDate=NOW + 2, phone="3"),
            customer("cleo", 1000, shareWithResearchAsOfDate=NOW + 100),
            customer("dan", 1000, shareWithResearchAsOfDate=NOW - 100),
        )
        report = self.materialize()
        self.assertEqual([row["rows"] for row in report], self.db.counts("withdrawal"))
        self.assertEqual([row["rows"] for row in report], [5, 14, 4, 14, 14])
        self.check_gone("s-cleo", TABLES[2:])
        self.assertEqual(
            self.db.rows(
                "SELECT what, rows_removed, rows_added FROM stedi.consent_history('withdrawal')"
                " WHERE run = 2 ORDER BY byte_offset"
            ),
            [("date_changed", 1 + 2 + 1 + 2 + 2, 2), ("date_changed", 1 + 4 + 1 + 4 + 4, 1)],
        )
        self.repair()
        self.check_rebuilt()

    def test_one_table(self):
        """The calls for one table, too, and where not all five are there."""
        self.make_zone()
        self.broken = {"accelerometer/bob.json": KINDS["archived"][0]}
        self.objects["customers/9.json"] = lines(withdrawn("ada"))
        (row,) = self.materialize("materialize_accelerometer_trusted")
        self.assertEqual((row["mode"], row["rows"], row["rows_out"]), ("withdrawals", 16, 4))
        self.check_gone("ada")
        self.broken.clear()
        self.check_rebuilt()
        del self.objects["customers/9.json"]
        self.db.drop("withdrawal")
        self.db.run("CREATE SCHEMA withdrawal")
        self.materialize("materialize_customer_trusted")
        self.materialize("materialize_accelerometer_trusted")
        self.broken = {"accelerometer/bob.json": KINDS["archived"][0]}
        self.objects["customers/9.json"] = lines(withdrawn("ada"))
        (row,) = self.materialize("materialize_accelerometer_trusted")
        self.assertEqual((row["mode"], row["rows"]), ("withdrawals", 16))
        self.check_gone("ada", TABLES[:2])

    def test_match_time(self):
        """Pairs of anybody with anybody are made anew."""
        self.make_zone(match="time")
        self.broken = {"accelerometer/bob.json": KINDS["archived"][0]}
        self.objects["accelerometer/bob.json"] += b" "
        self.objects["customers/9.json"] = lines(withdrawn("ada"))
        report = self.materialize(match="time")
        self.assertEqual(report[4]["rows"], 4 * 4 * 4)
        self.assertEqual(self.db.counts("withdrawal")[4], 4 * 4 * 4)
        self.broken.clear()
        self.materialize(match="time")
        self.db.run("CREATE SCHEMA rebuilt")
        self.materialize(target="rebuilt", match="time")
        self.assertEqual(self.db.tables("withdrawal"), self.db.tables("rebuilt"))

    def test_parallel(self):
        """An object that a worker cannot read."""
        self.make_zone()
        self.db.run("SET max_parallel_maintenance_workers = 2")
        self.db.run("SET min_parallel_table_scan_size = 0")
        try:
            self.broken = {f"accelerometer/{name}.json": KINDS["gone"][0] for name in PEOPLE}
            self.objects["customers/9.json"] = lines(withdrawn("ada"))
            report = self.materialize(full_refresh=True)
            self.assertEqual(report[0]["mode"], "withdrawals")
            self.check_gone("ada")
            self.broken.clear()
            self.check_rebuilt()
        finally:
            self.db.run("RESET ALL")

    # What stays an error.

    def test_whole_or_not_at_all(self):
        """A cancel, another landing zone, a dry run and a first run."""
        self.make_zone()
        self.objects["customers/9.json"] = lines(withdrawn("ada"))
        self.broken = {"accelerometer/bob.json": KINDS["archived"][0]}
        before = self.db.tables("withdrawal")
        with self.assertRaises(psycopg.errors.ObjectNotInPrerequisiteState):
            self.materialize(dry_run=True, full_refresh=True)
        with self.schema("rebuilt"), self.assertRaises(psycopg.errors.ObjectNotInPrerequisiteState):
            self.materialize(target="rebuilt")
        self.db.run("ALTER FOREIGN TABLE lake.customer_landing OPTIONS (SET prefix 'other')")
        self.objects["other/1.json"] = lines(customer("ida"))
        with self.assertRaises(psycopg.errors.ObjectNotInPrerequisiteState):
            self.materialize()
        self.db.run("ALTER FOREIGN TABLE lake.customer_landing OPTIONS (SET prefix 'customers')")
        self.db.run("SET statement_timeout = 300")
        self.broken = {"accelerometer/bob.json": "silent"}
        try:
            with self.assertRaises(psycopg.errors.QueryCanceled):
                self.materialize(full_refresh=True)
        finally:
            self.db.run("RESET statement_timeout")
        self.assertEqual(self.db.tables("withdrawal"), before)

    def emails(self):
        found = self.db.rows("SELECT split_part(email, '@', 1) FROM withdrawal.customer_trusted")
        return sorted(name for (name,) in found)
