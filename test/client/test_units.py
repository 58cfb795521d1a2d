"""Proves that times of other units, birthdays that are none, missing keys and nulls are what doc/rules.md says.

Guards src/base/time.c, src/scan/required.c, src/base/birthday.c, src/run/lack.c and the options time_unit, time_zone and null_values.
"""
import itertools
import json
import re
import unittest

from stedi_client import ServerTest, file_url

DAY = 86400000
CONSENT = 1655564376361
LATER = CONSENT + 300 * DAY
READING = CONSENT + DAY
# How a number is written in a unit that is not milliseconds.
UNITS = {
    "s": lambda ms: ms // 1000,
    "text": lambda ms: str(ms // 1000),
    "float": lambda ms: f"{ms // 1000}.25",
    "us": lambda ms: ms * 1000 + 7,
    "ns": lambda ms: ms * 1000000,
}
COUNT = "SELECT count(*) FROM {}.customer_trusted"


def customer(who, updated, research, **more):
    return {"customerName": who, "email": f"{who}@example.com", "birthDay": "1990-01-01", "serialNumber": f"s-{who}",
            "registrationDate": CONSENT, "lastUpdateDate": updated, "shareWithResearchAsOfDate": research, **more}


class UnitTest(ServerTest):
    def setUp(self):
        super().setUp()
        self.zone = self.folder / self.id().split(".")[-1]
        for name in ("customers", "accelerometer", "step_trainer"):
            (self.zone / name).mkdir(parents=True, exist_ok=True)
        self.write("accelerometer/a.json", {"user": "nobody@x", "timestamp": READING, "x": 1, "y": 1, "z": 1})
        self.write("step_trainer/s.json", {"serialNumber": "nobody", "sensorReadingTime": READING, "distanceFromObject": 1})

    def write(self, key, *records):
        text = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in records) + "\n"
        (self.zone / key).write_text(text)

    def lake(self):
        self.db.run("DROP SCHEMA IF EXISTS lake, project CASCADE; DROP SERVER IF EXISTS lake CASCADE")
        self.db.run(f"CREATE SERVER lake FOREIGN DATA WRAPPER stedi_fdw OPTIONS (url '{file_url(self.zone)}')")
        self.db.run("CREATE SCHEMA lake; CREATE SCHEMA project; IMPORT FOREIGN SCHEMA landing FROM SERVER lake INTO lake")

    def run_zone(self, more=""):
        self.db.notices.clear()
        return {row[0]: row[1:] for row in self.db.rows(
            f"SELECT table_name, records_read, rejected, rows FROM stedi.materialize('project', 'lake'{more})")}

    def people(self):
        return {row[0].split("@")[0] for row in self.db.rows("SELECT email FROM project.customer_trusted")}

    def is_whole(self):
        """A rebuild and an audit change nothing."""
        before = self.people()
        self.assertEqual(self.db.rows("SELECT * FROM stedi.audit('project', 'lake')"), [])
        self.run_zone(", full_refresh => true")
        self.assertEqual(self.people(), before)

    def test_withdrawals_of_another_unit(self):
        """The person is out whatever unit it is, unless what is newer in any case consents again."""
        self.write("customers/1.json", *(customer(f"{unit}-{again}", CONSENT, CONSENT) for unit, again in itertools.product(UNITS, (0, 1))))
        self.lake()
        self.run_zone()
        self.assertEqual(len(self.people()), 2 * len(UNITS))
        self.write("customers/2.json", *(customer(f"{unit}-{again}", write(LATER), 0) for (unit, write), again in itertools.product(UNITS.items(), (0, 1))))
        self.run_zone()
        self.assertEqual(self.people(), set())
        self.assertTrue(any("can only be in another unit" in text for text in self.db.notices), self.db.notices)
        self.is_whole()
        self.write("customers/3.json", *(customer(f"{unit}-1", LATER + 1000, CONSENT) for unit in UNITS))
        self.run_zone()
        # a number with a fraction is no integer, and so of no time that could be older
        self.assertEqual(self.people(), {f"{unit}-1" for unit in UNITS if unit != "float"})
        self.is_whole()

    def test_withdrawals_of_no_time(self):
        """A number that is a time in no unit says as little as none: the person is out."""
        dates = (-9 * 10**18, -3 * 10**14, 9 * 10**18, -210866803200001, 9224318016000000)
        self.write("customers/1.json", *(customer(f"p{i}", CONSENT, CONSENT) for i in range(len(dates))), customer("good", CONSENT, CONSENT))
        self.lake()
        self.run_zone()
        self.write("customers/2.json", *(customer(f"p{i}", date, 0) for i, date in enumerate(dates)))
        self.run_zone()
        self.assertEqual(self.people(), {"good"})
        self.is_whole()
        self.assertEqual(self.db.value("SELECT count(*) FROM stedi.customer_records('lake.customer_landing') WHERE rejected AND lastupdatedate IS NULL"), len(dates))

    def test_consents_and_registrations_of_another_unit(self):
        names = [name for name in UNITS if name != "float"]
        self.write("customers/1.json",
                   *(customer(f"c-{unit}", LATER, UNITS[unit](CONSENT)) for unit in names),
                   *(customer(f"r-{unit}", LATER, CONSENT, registrationDate=UNITS[unit](CONSENT)) for unit in names),
                   *(customer(f"p-{unit}", LATER, CONSENT, shareWithPublicAsOfDate=UNITS[unit](CONSENT)) for unit in names if unit != "ns"))
        self.lake()
        report = self.run_zone()
        self.assertEqual(self.people(), {f"p-{unit}" for unit in names if unit != "ns"})
        self.assertEqual(report["customer_trusted"][1], 2 * len(names))
        self.is_whole()

    def test_bounds(self):
        """Which numbers are of another unit: the same in the scan, in quality and in the rejects."""
        first, last = 946684800, 4102444800
        for number, other in ((first - 1, False), (first, True), (last - 1, True), (last, False), (0, False), (100, False),
                              (-first, False), (first * 10**6 - 1, False), (first * 10**6, True), (last * 10**6 - 1, True),
                              (last * 10**6, False), (first * 10**9, True), (20230414, False)):
            with self.subTest(number=number):
                self.write("customers/1.json", customer("a", number, CONSENT))
                self.lake()
                reasons = [row[0] for row in self.db.rows("SELECT reason FROM stedi.rejects('lake.customer_landing')")]
                self.assertEqual(any("another unit" in reason for reason in reasons), other, reasons)
                problems = [row[0] for row in self.db.rows(
                    "SELECT problem FROM stedi.quality('project', 'lake') WHERE column_name = 'lastupdatedate' AND problem ~ '^in .*seconds'")]
                self.assertEqual(bool(problems), other, problems)

    def test_readings_of_another_unit(self):
        self.write("customers/1.json", customer("a", LATER, CONSENT))
        self.write("accelerometer/a.json", *({"user": "a@example.com", "timestamp": time, "x": 1, "y": 2, "z": 3}
                                             for time in (READING, READING // 1000, READING * 1000)))
        self.write("step_trainer/s.json", *({"serialNumber": "s-a", "sensorReadingTime": time, "distanceFromObject": 1}
                                            for time in (READING, str(READING // 1000))))
        self.lake()
        report = self.run_zone()
        self.assertEqual(report["accelerometer_trusted"], (3, 2, 1))
        self.assertEqual(report["step_trainer_curated"], (2, 1, 1))
        self.assertEqual(report["machine_learning_curated"][2], 1)
        self.assertEqual(sum("can only be in" in text for text in self.db.notices), 2, self.db.notices)

    def test_time_unit(self):
        """The same zone in each unit makes the same five tables, and queries ask in milliseconds."""
        answers = []
        for unit, write in (("ms", lambda ms: ms), ("s", lambda ms: ms / 1000), ("us", lambda ms: ms * 1000), ("s", lambda ms: f"{ms / 1000:.3f}")):
            self.write("customers/1.json", customer("a", write(LATER), write(CONSENT), registrationDate=write(CONSENT)),
                       customer("b", write(LATER), 0))
            self.write("accelerometer/a.json", *({"user": "a@example.com", "timestamp": write(READING + i), "x": i, "y": 2, "z": 3} for i in range(3)))
            self.write("step_trainer/s.json", {"serialNumber": "s-a", "sensorReadingTime": write(READING + 1), "distanceFromObject": 1})
            self.lake()
            for table in ("customer", "accelerometer", "step_trainer"):
                self.db.run(f"ALTER FOREIGN TABLE lake.{table}_landing OPTIONS (ADD time_unit '{unit}')")
            self.run_zone()
            self.is_whole()
            tables = ("customer_trusted", "accelerometer_trusted", "customer_curated", "step_trainer_curated", "machine_learning_curated")
            answers.append([
                *(sorted(map(str, self.db.rows(f"SELECT t::text FROM project.{table} t"))) for table in tables),
                self.db.value(f'SELECT count(*) FROM lake.accelerometer_landing WHERE "timestamp" > {READING}'),
                self.db.value("SELECT count(*) FROM lake.accelerometer_landing WHERE stedi.consents((SELECT stedi.consent_set(email, stedi.epoch_ms("
                              "sharewithresearchasofdate)) FROM project.customer_trusted), \"user\", \"timestamp\")"),
                self.db.rows("SELECT sum(rows) FROM stedi.lineage('project.accelerometer_trusted', landing => 'lake')"),
                self.db.value("SELECT count(*) FROM stedi.subject('project', 'a@example.com', 'lake')"),
            ])
        for answer in answers[1:]:
            self.assertEqual(answer, answers[0])

    def test_another_unit_reads_everything_anew(self):
        self.write("customers/1.json", customer("a", LATER // 1000, CONSENT // 1000, registrationDate=CONSENT // 1000))
        self.lake()
        self.run_zone()
        self.assertEqual(self.people(), set())
        hint = next(text for text in self.db.hints if "time_unit" in text) if hasattr(self.db, "hints") else None
        self.db.run("ALTER FOREIGN TABLE lake.customer_landing OPTIONS (ADD time_unit 's')")
        self.assertTrue(hint is None or "ADD time_unit 's'" in hint)
        self.run_zone()
        self.assertEqual(self.people(), {"a"})
        self.db.run("ALTER FOREIGN TABLE lake.customer_landing OPTIONS (DROP time_unit)")
        self.run_zone()
        self.assertEqual(self.people(), set())

    def test_time_zone(self):
        """ISO times without an offset; those that a clock showed twice or never are none."""
        times = {"2023-01-10T12:00:00": "2023-01-10 11:00:00+00", "2023-07-10 12:00:00.5": "2023-07-10 10:00:00.5+00",
                 "2023-07-10T12:00:00Z": "2023-07-10 12:00:00+00", "2023-03-26T02:30:00": None, "2023-10-29T02:30:00": None,
                 "2023-10-29T01:59:59": "2023-10-28 23:59:59+00", "2023-10-29T03:00:00": "2023-10-29 02:00:00+00"}
        self.write("step_trainer/s.json", *({"serialNumber": "s", "sensorReadingTime": time, "distanceFromObject": 1} for time in times))
        self.lake()
        table = "lake.step_trainer_landing"
        self.assertEqual(self.db.value(f"SELECT count(*) FROM stedi.rejects('{table}')"), len(times))
        self.db.run(f"ALTER FOREIGN TABLE {table} OPTIONS (ADD time_zone 'Europe/Berlin')")
        for zone in ("UTC", "Asia/Kolkata"):
            self.db.run(f"SET timezone = '{zone}'")
            for time, want in times.items():
                self.write("step_trainer/s.json", {"serialNumber": "s", "sensorReadingTime": time, "distanceFromObject": 1})
                got = self.db.rows(f"SELECT stedi.epoch_ms(sensorreadingtime) = '{want or 'epoch'}'::timestamptz FROM {table}")
                self.assertEqual(got, [(True,)] if want else [], time)
        for zone, good in (("+05:30", True), ("-00:30", True), ("UTC", True), ("Etc/GMT+5", True), ("+5", False), ("FOO+3", False),
                           ("EST5EDT4", False), ("Mars/Base", False), ("", False), ("+25:00", False)):
            with self.subTest(zone=zone):
                try:
                    self.db.run(f"ALTER FOREIGN TABLE {table} OPTIONS (SET time_zone '{zone}')")
                    done = True
                except Exception as error:
                    self.assertEqual(error.sqlstate, "22023")
                    done = False
                self.assertEqual(done, good)

    def test_null_values(self):
        good = customer("a", LATER, CONSENT)
        self.write("customers/1.json", good | {"registrationDate": ""}, customer("b", LATER, CONSENT, shareWithPublicAsOfDate="NaN"),
                   json.dumps(customer("c", LATER, CONSENT, shareWithFriendsAsOfDate=float("nan"))),
                   customer("d", "", CONSENT), customer("e", LATER, ""), customer("f", LATER, CONSENT, customerName="NaN"))
        self.lake()
        self.assertEqual(self.run_zone()["customer_trusted"][1:], (5, 1))
        self.db.run("""ALTER FOREIGN TABLE lake.customer_landing OPTIONS (ADD null_values '"", NaN')""")
        self.assertEqual(self.run_zone()["customer_trusted"][1:], (0, 4))
        self.assertEqual(self.people(), set("abcf"))
        self.assertEqual(self.db.value("SELECT customername FROM project.customer_trusted WHERE email ~ '^f'"), "NaN")
        self.is_whole()
        for words in ("", ",", "a,", 'a"b', '"a'):
            with self.assertRaises(Exception) as caught:
                self.db.run(f"ALTER FOREIGN TABLE lake.customer_landing OPTIONS (SET null_values '{words}')")
            self.assertEqual(caught.exception.sqlstate, "22023")

    def test_null_values_of_a_column(self):
        """A string of null_values is null for a time, and a text for a text column of the same key."""
        self.write("customers/1.json", customer("a", "", CONSENT), customer("b", LATER, CONSENT, shareWithPublicAsOfDate=""))
        self.write("accelerometer/a.json", {"user": "b@example.com", "timestamp": "7", "x": 1, "y": 1, "z": 1})
        self.lake()
        for table, null, key in (("customer", '""', "lastUpdateDate"), ("accelerometer", "7", "timestamp")):
            self.db.run(f"ALTER FOREIGN TABLE lake.{table}_landing ADD COLUMN raw text OPTIONS (key '{key}')")
            self.db.run(f"ALTER FOREIGN TABLE lake.{table}_landing OPTIONS (ADD null_values '{null}')")
        self.assertEqual(self.db.rows("SELECT raw, lastupdatedate FROM lake.customer_landing ORDER BY email"), [("", None), (str(LATER), LATER)])
        self.assertEqual(self.db.rows("SELECT reason ~ 'missing' FROM stedi.rejects('lake.accelerometer_landing')"), [(True,)])
        self.assertEqual(self.db.value("SELECT count(*) FROM lake.accelerometer_landing WHERE stedi.consents("
                                       "(SELECT stedi.consent_set('b@example.com', 0)), \"user\", \"timestamp\")"), 0)
        self.run_zone()
        self.assertEqual(self.people(), {"b"})
        self.is_whole()

    def test_keys_with_values_in_them(self):
        """What may be somebody's value is in no message, though it begins like a column."""
        whole = customer("a", LATER, CONSENT)
        for column in ("email", "serialNumber", "lastUpdateDate"):
            rest = {key: value for key, value in whole.items() if key != column}
            for key, shown in ((f"{column}: ada@example.com", False), (f"{column} ada lovelace of x", False), (f"{column}-5-11", False),
                               (f"{column}ada/x", False), (f"{column}_adress", True)):
                with self.subTest(key=key):
                    self.write("customers/1.json", *[rest | {key: 1}] * 3)
                    self.lake()
                    texts = []
                    self.db.conn.add_notice_handler(note := lambda diag: texts.append(f"{diag.message_primary} {diag.message_detail} {diag.message_hint}"))
                    self.run_zone()
                    self.db.conn.remove_notice_handler(note)
                    self.assertTrue(any(f'for column "{column.lower()}"' in text for text in texts) or column == "serialNumber", texts)
                    self.assertEqual(any(key in text for text in texts), shown, texts)
                    self.assertFalse(any("ada@" in text or "ada " in text for text in texts), texts)

    def test_keys_of_another_name(self):
        """What no record has is said, with the key that looks like it; the statement of the hint cures."""
        for style in (lambda key: re.sub("([A-Z])", r"_\1", key).lower(), lambda key: re.sub("([A-Z])", r"-\1", key)):
            self.write("customers/1.json", {style(key): value for key, value in customer("a", LATER, CONSENT).items()})
            self.lake()
            self.run_zone()
            for column in ("lastupdatedate", "sharewithresearchasofdate", "serialnumber", "registrationdate"):
                self.assertIn(f'no record of foreign table "customer_landing" has a value for column "{column}"', self.db.notices)
        self.write("customers/1.json", {"email": "a@example.com", "shareWithResearchAsOfDate": CONSENT})
        self.lake()
        self.run_zone()
        self.assertIn('no record of foreign table "customer_landing" has a value for column "lastupdatedate"', self.db.notices)

    def test_birthdays(self):
        """A birthday is the same under each DateStyle and TimeZone, or none, however it is written."""
        good = ("1999-01-31", "1999-01-31 00:00:00", "1999-01-31T10:11:12Z", " 1999-01-31 ", "31-Jan-1999", "January 31, 1999", "19990131",
                "1999.031", "Sunday January 31 1999 AD", "0099-01-31", "January 31, 1999 BC")
        bad = ("today", "TODAY", " Tomorrow ", "yesterday", "now", "now()", "today 04:05", "epoch", "infinity", "-infinity", "allballs",
               "1999-01-31 allballs", "31/1/1999", "1/31/1999", "1/8/1999", "01/02/03", "99-01-31", "990131", "31-Jan-99", "99-Jan-31",
               "31.12.1999", "J2451187", "1999-01-31 10:00 PST", "1999-01-31 10:00 Europe/Berlin", "1999-02-30", "", "soon", "x" * 1000)
        self.assertEqual(self.db.value("SELECT provolatile FROM pg_proc WHERE oid = 'stedi.birthday(text)'::regprocedure"), "i")
        answers = set()
        for style, zone in itertools.product(("ISO, YMD", "ISO, DMY", "ISO, MDY", "German", "SQL, MDY"), ("UTC", "Pacific/Auckland")):
            self.db.run(f"SET datestyle = '{style}'; SET timezone = '{zone}'")
            answers.add(tuple(self.db.value("SELECT to_char(stedi.birthday(%s), 'YYYY-MM-DD BC')", text) for text in good + bad))
            self.assertEqual(self.db.value("SHOW datestyle").split(",")[0], style.split(",")[0])
        self.db.run("RESET datestyle; RESET timezone")
        self.assertEqual(answers, {("1999-01-31 AD",) * 9 + ("0099-01-31 AD", "1999-01-31 BC") + (None,) * len(bad)})

    def test_older_than_consent(self):
        """The NOTICE counts what the table keeps."""
        self.write("customers/1.json", customer("a", LATER, CONSENT))
        for folder, record in (("accelerometer", {"user": "a@example.com", "timestamp": CONSENT - 1, "x": 1, "y": 1, "z": 1}),
                               ("step_trainer", {"serialNumber": "s-a", "sensorReadingTime": CONSENT - 1, "distanceFromObject": 1})):
            self.write(f"{folder}/1.json", *[record] * 5)
        self.lake()
        told = [f"{table} keeps 1 reading that is older than its customer's consent" for table in ("accelerometer_trusted", "step_trainer_curated")]
        for more, want in ((", dry_run => true", told), ("", told), ("", []), (", full_refresh => true", told)):
            self.run_zone(more)
            self.assertEqual([text for text in self.db.notices if "older" in text], want, more)
            (self.zone / "accelerometer/2.json").write_bytes((self.zone / "accelerometer/1.json").read_bytes())
        self.write("accelerometer/3.json", *({"user": "a@example.com", "timestamp": CONSENT - 2 - i // 2, "x": 1, "y": 1, "z": 1} for i in range(6)))
        self.run_zone()
        self.assertEqual([text for text in self.db.notices if "older" in text],
                         ["accelerometer_trusted keeps 3 readings that are older than their customer's consent"])


if __name__ == "__main__":
    unittest.main()
