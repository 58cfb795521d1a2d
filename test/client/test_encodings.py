"""Databases of other encodings than UTF8: the same rows, or a stated loss.

JSON is UTF-8, and so are the keys of S3.  What a database's encoding has, it
gets; a record with a text that it does not have is set aside, with a reason;
nothing is replaced by something else.  Guards src/scan/tuple.c, src/base/option.c,
src/consent/consent.c, src/scan/reject.c, src/net/trouble.c and src/books/objects.c.
"""
import json
import unittest

import psycopg
from psycopg import sql

from stedi_client import TABLES, Database, ServerTest, connect, file_url, make_folder
import oracle
from stedi_fake import FakeS3, error, store

# Who, and the encodings that can say so.
PEOPLE = {
    "plain@example.com": {"LATIN1", "EUC_JP", "SQL_ASCII"},
    "müller@example.com": {"LATIN1", "EUC_JP", "SQL_ASCII"},
    "山田@example.com": {"EUC_JP", "SQL_ASCII"},
    "\u0436\u0443\u043a@example.com": {"EUC_JP", "SQL_ASCII"},
    "𝄞@example.com": {"SQL_ASCII"},
    "ã«@example.com": {"LATIN1", "SQL_ASCII"},
}
ENCODINGS = ("LATIN1", "EUC_JP", "SQL_ASCII")
REASON = "not valid text in the encoding of the database"


def customer(email, since=5, updated=10, **more):
    return {
        "customerName": "Name of " + email,
        "email": email,
        "serialNumber": "SN " + email.partition("@")[0],
        "registrationDate": 1,
        "lastUpdateDate": updated,
        "shareWithResearchAsOfDate": since,
        **more,
    }


class EncodingTest(ServerTest):
    def setUp(self):
        super().setUp()
        self.zone = make_folder()
        for name in ("customers", "accelerometer", "step_trainer"):
            (self.zone / name).mkdir()
        self.write("customers/1.json", *map(customer, PEOPLE))
        self.write("accelerometer/1.json", *({"user": who, "timestamp": 100, "x": n, "y": 2, "z": 3} for n, who in enumerate(PEOPLE)))
        self.write("step_trainer/1.json", *(
            {"sensorReadingTime": 100, "serialNumber": "SN " + who.partition("@")[0], "distanceFromObject": n}
            for n, who in enumerate(PEOPLE)
        ))
        self.databases = {}
        for encoding in ENCODINGS:
            self.make_database(encoding)

    def make_database(self, encoding):
        name = f"{self.dbname}_{encoding.lower()}"
        with connect() as conn:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            conn.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C'").format(
                    sql.Identifier(name), sql.Literal(encoding)
                )
            )
        self.addCleanup(self.drop_database_of, name)
        # a client of SQL_ASCII says and gets bytes: those of UTF-8
        db = Database(connect(name, client_encoding="UTF8"))
        self.addCleanup(db.conn.close)
        db.run("CREATE EXTENSION stedi")
        db.make_landing("lake", file_url(self.zone))
        db.run("CREATE SCHEMA target")
        self.databases[encoding] = db

    def drop_database_of(self, name):
        with connect() as conn:
            conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def write(self, key, *records):
        (self.zone / key).write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")

    def sayable(self, encoding):
        return sorted(who for who, encodings in PEOPLE.items() if encoding in encodings)

    def emails(self, db, table="target.customer_trusted"):
        return sorted(row[0] for row in db.rows(f"SELECT email FROM {table}"))

    def test_rows_and_rejects(self):
        for encoding, db in self.databases.items():
            self.assertEqual(db.value("SHOW server_encoding"), encoding)
            sayable = self.sayable(encoding)
            self.assertEqual(self.emails(db, "lake.customer_landing"), sayable)
            rejects = db.rows("SELECT object, line, reason, record FROM stedi.rejects('lake.customer_landing')")
            self.assertEqual(len(rejects), len(PEOPLE) - len(sayable))
            for object_name, line, reason, record in rejects:
                self.assertEqual(object_name, "customers/1.json")
                self.assertIn(REASON, reason)
                # the bytes are there, and say who it is
                self.assertEqual(json.loads(bytes(record).decode())["email"], list(PEOPLE)[line - 1])
            db.materialize("target", landing="lake")
            for table in ("customer_trusted", "accelerometer_trusted", "customer_curated"):
                self.assertEqual(self.emails(db, f"target.{table}"), sayable)
            self.assertEqual(db.counts("target"), [len(sayable)] * 5)
            self.assertEqual(
                sorted(row[0] for row in db.rows("SELECT customername FROM target.customer_trusted")),
                sorted("Name of " + who for who in sayable),
            )
            self.assertEqual(db.rows("SELECT * FROM stedi.audit('target', 'lake')"), [])
            db.materialize("target", landing="lake", full_refresh=True)
            self.assertEqual(self.emails(db), sayable)

    def test_consent(self):
        """Who withdraws is out, also by a record that the encoding cannot say."""
        self.write("customers/2.json", customer("MÜLLER@example.com".replace("Ü", "ü"), 0, 20), customer("plain@example.com", 5, 20, customerName="𝄞"))
        for encoding, db in self.databases.items():
            db.materialize("target", landing="lake")
            gone = {"müller@example.com"} | ({"plain@example.com"} if encoding != "SQL_ASCII" else set())
            self.assertEqual(self.emails(db), [who for who in self.sayable(encoding) if who not in gone])
            self.assertEqual(db.rows("SELECT * FROM stedi.audit('target', 'lake')"), [])
            for who in self.sayable(encoding):
                self.assertEqual(
                    db.value("SELECT count(*) FROM lake.accelerometer_landing WHERE \"user\" = %s", who), 1, who)
                self.assertTrue(
                    db.value("SELECT stedi.consents(stedi.consent_set(%s, 1), %s, 5)", who, who), who)
            self.assertEqual(
                db.value("SELECT count(*) FROM lake.accelerometer_landing WHERE stedi.consents("
                         "(SELECT stedi.consent_set(email, 1) FROM target.customer_trusted), \"user\", \"timestamp\")"),
                len(self.emails(db)))

    def test_forget(self):
        for encoding, db in self.databases.items():
            db.materialize("target", landing="lake")
            for who in self.sayable(encoding):
                rows = db.rows("SELECT name, rows FROM stedi.forget('target', %s, 'objection', 'lake') WHERE source = 'table'", who)
                self.assertEqual([n for _, n in rows], [1] * 5, who)
                self.assertNotIn(who, self.emails(db))
                held = db.rows("SELECT source, record ->> 'email' FROM stedi.subject('target', %s, 'lake')", who)
                self.assertIn(("customer_landing", who), [(source.split(".")[-1], email) for source, email in held])
            self.assertEqual(self.emails(db), [])

    def test_normal_form(self):
        """E-mails have Unicode's form; one that the encoding does not have puts a record aside."""
        who = "MÜLLER@\uff25xample.com"
        forms = {
            "\u00a0MÜLLER@Example.com": {"LATIN1", "EUC_JP", "SQL_ASCII"},
            "MU\u0308LLER@\uff25xample.com\u200b": {"SQL_ASCII"},
            "½@example.com": {"SQL_ASCII"},
        }
        for encoding, db in self.databases.items():
            for n, (email, encodings) in enumerate(forms.items()):
                self.write("customers/2.json", customer(email, updated=20, since=0), customer("x" + email, updated=20))
                db.materialize("target", landing="lake")
                # JIS has no-break spaces where that of Unicode is none
                sayable = encoding in encodings and (encoding, n) != ("EUC_JP", 0)
                self.assertEqual("müller@example.com" in self.emails(db), n == 2 or not sayable, (encoding, email))
                self.assertEqual(oracle.normal("x" + email) in self.emails(db), sayable, (encoding, email))
                self.assertEqual(db.rows("SELECT * FROM stedi.audit('target', 'lake')"), [])
                self.assertEqual(
                    db.value("SELECT count(*) FROM stedi.rejects('lake.customer_landing') WHERE object = 'customers/2.json'"),
                    0 if sayable else 2)
            for spelling in {"LATIN1": [], "EUC_JP": [who], "SQL_ASCII": [who]}[encoding] + ["MÜLLER@example.com"]:
                self.assertEqual(db.value("SELECT stedi.normalize_email(%s)", spelling), "müller@example.com")
                self.assertEqual(db.value("SELECT encode(stedi.keyed_hash('k', %s), 'hex')", spelling),
                                 self.db.value("SELECT encode(stedi.keyed_hash('k', %s), 'hex')", who))
        self.assertIsNone(self.databases["LATIN1"].value("SELECT stedi.normalize_email('½@x')"))
        self.assertEqual(self.databases["SQL_ASCII"].value("SELECT stedi.normalize_email('½@x')"), "1\u20442@x")

    def test_names_of_objects(self):
        """Each has its own, in answers and in the bookkeeping."""
        names = {"plain.json": "plain.json", "ü.json": "ü.json", "日.json": "日.json", "本.json": "本.json", "𝄞.json": "𝄞.json"}
        for n, name in enumerate(names):
            self.write(f"customers/{name}", customer(f"n{n}@example.com"))
            self.write(f"accelerometer/{name}", {"user": f"n{n}@example.com", "timestamp": 200 + n, "x": 1, "y": 2, "z": 3})
        shown = {
            "LATIN1": {"日.json": "%E6%97%A5.json", "本.json": "%E6%9C%AC.json", "𝄞.json": "%F0%9D%84%9E.json"},
            "EUC_JP": {"𝄞.json": "%F0%9D%84%9E.json"},
            "SQL_ASCII": {},
        }
        for encoding, db in self.databases.items():
            wanted = {f"customers/{shown[encoding].get(name, name)}" for name in names} | {"customers/1.json"}
            db.run("DROP FOREIGN TABLE IF EXISTS lake.objects")
            db.run("CREATE FOREIGN TABLE lake.objects (email text, object text OPTIONS (source 'object')) SERVER lake OPTIONS (prefix 'customers')")
            self.assertEqual({row[0] for row in db.rows("SELECT DISTINCT object FROM lake.objects")}, wanted)
            db.materialize("target", landing="lake")
            booked = {row[0] for row in db.rows("SELECT key FROM stedi_books_target.stedi_object WHERE table_name = 'customer_landing'")}
            self.assertEqual(booked, wanted)
            # and nothing is read again for that
            report = db.materialize("target", landing="lake")
            self.assertEqual([row["objects_read"] for row in report if row["objects_read"]], [], report)
            self.assertEqual({row["mode"] for row in report}, {"incremental"})
        # a change of one of two that look alike to LATIN1
        self.write("customers/日.json", customer("n2@example.com", 0, 20))
        for encoding, db in self.databases.items():
            db.materialize("target", landing="lake")
            self.assertNotIn("n2@example.com", self.emails(db))
            self.assertIn("n3@example.com", self.emails(db))
            self.assertEqual(db.rows("SELECT * FROM stedi.audit('target', 'lake')"), [])

    def test_keys_and_prefixes(self):
        """Options are in the database's encoding, what they are compared with is UTF-8."""
        for folder in ("ordner_ü", "山"):
            (self.zone / folder).mkdir()
            self.write(f"{folder}/1.json", {"grüße": "gut", "山": 7})
        for encoding, db in self.databases.items():
            for prefix, key, value in (("ordner_ü", "grüße", "gut"), ("山", "山", "7")):
                if encoding == "LATIN1" and prefix == "山":
                    continue
                db.run(f"CREATE FOREIGN TABLE lake.odd (v text OPTIONS (key '{key}')) SERVER lake OPTIONS (prefix '{prefix}')")
                self.assertEqual(db.rows("SELECT v FROM lake.odd"), [(value,)])
                db.run("DROP FOREIGN TABLE lake.odd")
                # the name of a column is a key, too
                db.run(f'CREATE FOREIGN TABLE lake.odd ("{key}" text) SERVER lake OPTIONS (prefix \'{prefix}\')')
                self.assertEqual(db.rows("TABLE lake.odd"), [(value,)])
                db.run("DROP FOREIGN TABLE lake.odd")

    def test_messages(self):
        """An error names its object as queries do."""
        for name in ("ü", "日", "𝄞"):
            (self.zone / "bad").mkdir(exist_ok=True)
            for old in (self.zone / "bad").iterdir():
                old.unlink()
            (self.zone / f"bad/{name}.json").write_text('{"n": "x"}\n')
            for encoding, db in self.databases.items():
                shown = name
                if (encoding, name) in (("LATIN1", "日"), ("LATIN1", "𝄞"), ("EUC_JP", "𝄞")):
                    shown = "".join(f"%{byte:02X}" for byte in name.encode())
                db.run("CREATE FOREIGN TABLE lake.bad (n integer) SERVER lake OPTIONS (prefix 'bad', on_error 'stop')")
                with self.assertRaises(psycopg.errors.InvalidTextRepresentation) as raised:
                    db.rows("TABLE lake.bad")
                self.assertIn(f'object "bad/{shown}.json", line 1', raised.exception.diag.context)
                db.run("DROP FOREIGN TABLE lake.bad")

    def test_s3(self):
        """Keys and prefixes over S3, and what a server says."""
        objects = {"wörter/ü 日.json": '{"n": 1}\n', "wörter/𝄞.json": '{"n": 2}\n', "other.json": '{"n": 3}\n'}
        fake = FakeS3(self, store(objects))
        for encoding, db in self.databases.items():
            fake.answer = store(objects)
            db.make_server("bucket", "s3://bucket", {"anonymous": "true"}, endpoint=fake.endpoint, allow_http="true", max_tries="1")
            db.run("CREATE FOREIGN TABLE lake.words (n integer, object text OPTIONS (source 'object')) SERVER bucket OPTIONS (prefix 'wörter')")
            rows = dict(db.rows("SELECT n, object FROM lake.words"))
            self.assertEqual(rows.keys(), {1, 2})
            self.assertEqual(rows[2], {"SQL_ASCII": "wörter/𝄞.json", "EUC_JP": "w%C3%B6rter/%F0%9D%84%9E.json", "LATIN1": "w%C3%B6rter/%F0%9D%84%9E.json"}[encoding])
            self.assertEqual(rows[1], "w%C3%B6rter/%C3%BC %E6%97%A5.json" if encoding == "LATIN1" else "wörter/ü 日.json")
            plain = store(objects)
            fake.answer = lambda request: plain(request) if request.lists else (403, {}, error("AccessDenied", "nicht für 日"))
            with self.assertRaises(psycopg.errors.InvalidAuthorizationSpecification) as raised:
                db.rows("SELECT n FROM lake.words")
            self.assertIn("rter/", raised.exception.diag.message_primary)
            self.assertIn("nicht f", raised.exception.diag.message_detail)
            db.run("DROP SERVER bucket CASCADE")


if __name__ == "__main__":
    unittest.main()
