"""Landing bytes, settings and neighbours that mean no good.

Proves what a review found: each test failed once.  Guards src/scan/scan.c,
src/commands/materialize.c, src/run/people.c, src/storage/write.c, src/books/book.c and
src/scan/filter.c.
"""
import gzip
import json
import os
import random
import unittest

import psycopg
from psycopg import sql

from stedi_client import ServerTest, connect, file_url, make_folder


def customer(email, since=5, updated=10, serial=None, **more):
    record = {
        "customerName": "A name of " + email,
        "email": email,
        "serialNumber": serial or "of " + email,
        "registrationDate": 1,
        "lastUpdateDate": updated,
        "shareWithResearchAsOfDate": since,
    }
    return json.dumps({**record, **more}, ensure_ascii=False) + "\n"


def reading(email, time=100):
    return json.dumps({"user": email, "timestamp": time, "x": 1, "y": 2, "z": 3}, ensure_ascii=False) + "\n"


def step(serial, time=100):
    return json.dumps({"sensorReadingTime": time, "serialNumber": serial, "distanceFromObject": 7}, ensure_ascii=False) + "\n"


class HostileTest(ServerTest):
    def setUp(self):
        super().setUp()
        self.zone = make_folder()
        for name in ("customers", "accelerometer", "step_trainer"):
            (self.zone / name).mkdir()
        self.people = [f"p{n}@example.com" for n in range(3)]
        self.write("customers/1.json", *(customer(email) for email in self.people))
        self.write("accelerometer/1.json", *(reading(email) for email in self.people))
        self.write("step_trainer/1.json", *(step("of " + email) for email in self.people))
        self.db.drop("lake")
        self.db.make_landing("lake", file_url(self.zone))
        self.addCleanup(self.db.drop, "lake")

    def write(self, key, *records):
        (self.zone / key).write_text("".join(records), encoding="utf-8")

    def trusted(self, db=None):
        return sorted(row[0] for row in (db or self.db).rows("SELECT email FROM lake.customer_trusted"))

    def test_packed_object_after_a_long_record(self):
        # the buffer has grown to 2 MB when the first bytes of the next object are read
        self.write("step_trainer/1.json", json.dumps({"serialNumber": "x" * 1_500_000, "sensorReadingTime": 1}) + "\n")
        noise = random.Random(1)
        records = [step("%032x" % noise.getrandbits(128), n) for n in range(120_000)]
        (self.zone / "step_trainer/2.json.gz").write_bytes(gzip.compress("".join(records).encode(), 1))
        self.assertGreater((self.zone / "step_trainer/2.json.gz").stat().st_size, 2_000_000)
        self.assertEqual(self.db.value("SELECT count(serialnumber) FROM lake.step_trainer_landing"), 120_001)

    def test_many_customers_take_no_longer_each(self):
        many = [f"many{n}@example.com" for n in range(40_000)]
        self.write("customers/1.json", *(customer(email) for email in many))
        self.write("accelerometer/1.json", *(reading(email) for email in many))
        self.write("step_trainer/1.json", *(step("of " + email) for email in many))
        limit = 900 if os.environ.get("STEDI_VALGRIND") else 45
        self.db.run(f"SET statement_timeout = '{limit}s'")
        self.addCleanup(self.db.run, "RESET statement_timeout")
        report = self.db.materialize("lake")
        self.assertEqual([row["rows"] for row in report], [40_000] * 5)
        # and what withdrawal takes out, one step alone
        self.write("customers/2.json", *(customer(email, 0, 20) for email in many[:100]))
        self.db.materialize("lake", function="materialize_customer_trusted")
        self.assertEqual(self.db.counts("lake"), [39_900] * 5)

    def test_database_of_another_encoding(self):
        name = self.dbname + "_latin1"
        with connect() as conn:
            conn.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'").format(
                    sql.Identifier(name)
                )
            )
        self.addCleanup(self.drop_other, name)
        # é@x in UTF-8 is, byte by byte, the Latin-1 of the one who does consent
        self.write("customers/1.json", customer("Ã©@x"), customer("é@x", 0), customer("ü@x"))
        self.write("accelerometer/1.json", reading("Ã©@x"), reading("é@x"), reading("ü@x"))
        other = type(self.db)(connect(name))
        self.addCleanup(other.conn.close)
        other.run("CREATE EXTENSION stedi")
        other.make_landing("lake", file_url(self.zone))
        other.materialize("lake")
        self.assertEqual(self.trusted(other), ["ã©@x", "ü@x"])
        rows = other.rows("SELECT email FROM lake.accelerometer_trusted ORDER BY email")
        self.assertEqual([row[0] for row in rows], ["ã©@x", "ü@x"])

    def drop_other(self, name):
        with connect() as conn:
            conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def statistics(self):
        rows = self.db.rows(
            "SELECT coalesce(most_common_vals::text, '') || coalesce(histogram_bounds::text, '')"
            " FROM pg_stats WHERE schemaname = 'lake'"
        )
        return " ".join(row[0] for row in rows)

    def test_statistics_forget_who_withdraws(self):
        self.db.materialize("lake")
        self.assertIn(self.people[0], self.statistics())
        self.write("customers/2.json", customer(self.people[0], 0, 20))
        self.db.materialize("lake", function="materialize_customer_trusted")
        self.assertNotIn(self.people[0], self.statistics())
        self.assertIn(self.people[1], self.statistics())
        self.write("customers/2.json", *(customer(email, 0, 20) for email in self.people))
        self.db.materialize("lake")
        self.assertEqual(self.statistics(), "")

    def test_dry_run_leaves_no_trace(self):
        self.db.materialize("lake")
        query = "SELECT relname, relpages, reltuples FROM pg_class WHERE relnamespace = 'lake'::regnamespace ORDER BY 1"
        before = self.db.rows(query), self.statistics(), self.db.tables("lake")
        self.write("customers/2.json", *(customer(email, 0, 20) for email in self.people))
        report = self.db.materialize("lake", dry_run=True)
        self.assertEqual([row["rows"] for row in report], [0] * 5)
        self.assertEqual((self.db.rows(query), self.statistics(), self.db.tables("lake")), before)

    def test_a_reject_that_may_hide_a_withdrawal_is_told(self):
        deep = customer("old@example.com", deep="DEEP").replace('"DEEP"', "[" * 300 + "]" * 300)
        self.write("customers/2.json", deep, customer(self.people[0], 0, 20))
        self.db.materialize("lake")
        told = [notice for notice in self.db.notices if "may hold more than one record" in notice]
        self.assertEqual(len(told), 1, self.db.notices)

    def test_a_rule_that_nobody_wrote_is_the_stricter_one(self):
        self.write("accelerometer/2.json", reading(self.people[0], 3))
        self.db.materialize("lake", consent="since_consent")
        self.assertEqual(self.db.counts("lake")[1], 3)
        for change in (
            "ALTER TABLE stedi_books_lake.stedi_rule DROP CONSTRAINT stedi_rule_valid;"
            " UPDATE stedi_books_lake.stedi_rule SET consent = 'since_consent '",
            "INSERT INTO stedi_books_lake.stedi_rule SELECT 'granted', match, since, landing FROM stedi_books_lake.stedi_rule",
            "DELETE FROM stedi_books_lake.stedi_rule",
        ):
            with self.subTest(change=change):
                self.db.run(change)
                report = self.db.materialize("lake")
                self.assertEqual({row["consent"] for row in report}, {"since_consent"})
                self.assertEqual(self.db.counts("lake")[1], 3)

    def test_settings_of_the_caller_change_nothing(self):
        self.db.materialize("lake")
        for setting in (
            "quote_all_identifiers = on",
            "search_path = lake",
            "datestyle = 'German'",
            "timezone = 'Asia/Kolkata'",
            "extra_float_digits = -10",
            "enable_hashagg = off",
            "work_mem = '64kB'",
            "transform_null_equals = on",
        ):
            with self.subTest(setting=setting):
                self.db.run("SET " + setting)
                report = self.db.materialize("lake")
                self.assertEqual([(row["rows_in"], row["rows_out"]) for row in report], [(0, 0)] * 5)
                self.db.run("RESET ALL")

    def test_published_tables_can_lose_rows(self):
        self.db.materialize("lake")
        self.db.run("CREATE PUBLICATION regress_all FOR ALL TABLES")
        self.addCleanup(self.db.run, "DROP PUBLICATION regress_all")
        self.write("customers/2.json", customer(self.people[0], 0, 20))
        report = self.db.materialize("lake")
        self.assertEqual([row["rows_out"] for row in report], [1] * 5)
        # swapped storage would reach no subscriber
        report = self.db.materialize("lake", full_refresh=True)
        self.assertEqual({row["mode"] for row in report}, {"difference"})

    def test_a_run_inside_a_run_is_refused(self):
        self.db.materialize("lake")
        self.db.run(
            "CREATE FUNCTION lake.again() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM * FROM stedi.materialize(''lake''); RETURN NULL; END'"
        )
        self.db.run("CREATE TRIGGER again AFTER DELETE ON lake.customer_trusted EXECUTE FUNCTION lake.again()")
        self.write("customers/2.json", customer(self.people[0], 0, 20))
        with self.assertRaises(psycopg.errors.ObjectInUse):
            self.db.materialize("lake")
        self.db.run("DROP TRIGGER again ON lake.customer_trusted")
        self.db.materialize("lake")
        self.assertEqual(self.trusted(), self.people[1:])

    def test_landing_tables_of_others_are_refused(self):
        self.db.run("ALTER FOREIGN TABLE lake.accelerometer_landing RENAME TO kept")
        self.db.run('CREATE VIEW lake.accelerometer_landing AS SELECT * FROM lake.kept')
        with self.assertRaises(psycopg.errors.UndefinedTable):
            self.db.materialize("lake")

    def test_bookkeeping_of_others_is_refused(self):
        self.db.materialize("lake")
        self.db.run("CREATE ROLE regress_squatter")
        self.addCleanup(self.db.run, "DROP ROLE regress_squatter")
        self.db.run("ALTER TABLE stedi_books_lake.stedi_run OWNER TO regress_squatter")
        with self.assertRaises(psycopg.errors.ObjectNotInPrerequisiteState):
            self.db.materialize("lake")
        self.db.run("DROP TABLE stedi_books_lake.stedi_run")
        self.db.materialize("lake")


if __name__ == "__main__":
    unittest.main()
