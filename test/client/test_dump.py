"""A database that was dumped and restored: nothing is lost of what runs go by.

Proves that the forgotten stay forgotten, that the next run goes on from where
the last one was, and that the history of consent is whole and goes on, too, as do
expectations; also where the database is of another encoding than it was.
Consent sets that somebody stores come back, too, and answer as before.
Guards src/books/book.c, src/run/expect.c, src/consent/text.c, and the hashes of src/consent/consent.c and src/books/key.c.
"""
import json
import subprocess
import unittest

import psycopg
from psycopg import sql

from stedi_client import Database, ServerTest, connect, file_url, make_folder
from stedi_cluster import server_programs


def customer(number, updated=10, consent=5):
    return {
        "customerName": f"Name {number}",
        "email": f"p{number}@example.com",
        "serialNumber": f"S-{number}",
        "registrationDate": 1,
        "lastUpdateDate": updated,
        "shareWithResearchAsOfDate": consent,
    }


def move(number, time, x=1):
    return {"user": f"p{number}@example.com", "timestamp": time, "x": x, "y": 2, "z": 3}


def step(number, time):
    return {"sensorReadingTime": time, "serialNumber": f"S-{number}", "distanceFromObject": 7}


# What a user may make of consent sets; and what all sets of it answer.
SETS = """
    CREATE SCHEMA sets;
    CREATE TYPE sets.several AS (n integer, of stedi.consent_set[]);
    CREATE TABLE sets.kept (n integer, alone stedi.consent_set, listed stedi.consent_set[], several sets.several);
    INSERT INTO sets.kept SELECT n, s, ARRAY[NULL, s], (n, ARRAY[s])::sets.several FROM (
        SELECT n, stedi.consent_set('p' || i || 'ä@example.com', i * 10, i, CASE WHEN i % 7 > 0 THEN 'granted' END, n > 1, n > 2) AS s
        FROM generate_series(1, 3) n, generate_series(1, 100) i GROUP BY n) s;
    CREATE MATERIALIZED VIEW sets.held AS SELECT n, alone FROM sets.kept;
    CREATE VIEW sets.seen AS SELECT n, stedi.consents(alone, 'P3ä@EXAMPLE.com', 40) AS inside FROM sets.kept;
    CREATE FUNCTION sets.inside(who text, of stedi.consent_set DEFAULT stedi.consent_set_in('consent_set(0) 1 fold since 0000000000000000'))
        RETURNS boolean LANGUAGE sql AS 'SELECT stedi.consents(of, who, 40)';
"""
ANSWERS = """
    SELECT n, count(*) FILTER (WHERE stedi.consents(alone, who, t)), count(*) FILTER (WHERE stedi.consents(listed[2], who, t)),
        count(*) FILTER (WHERE stedi.consents((several).of[1], who, t)),
        count(*) FILTER (WHERE stedi.consents((SELECT alone FROM sets.held h WHERE h.n = k.n), who, t)),
        (SELECT inside FROM sets.seen s WHERE s.n = k.n), bool_or(sets.inside('p3ä@example.com', alone)), sets.inside('p3ä@example.com')
    FROM sets.kept k, (SELECT f || i || 'ä@example.com' AS who FROM unnest('{p,P,q}'::text[]) f, generate_series(1, 120, 3) i) w,
        unnest('{0,5,100,9000,19990,1000000}'::bigint[]) t
    GROUP BY n ORDER BY n
"""


class DumpTest(ServerTest):
    def write(self, key, *records):
        (self.zone / key).parent.mkdir(exist_ok=True)
        (self.zone / key).write_text("".join(json.dumps(record) + "\n" for record in records))

    def make_database(self, name, encoding):
        with connect() as conn:
            conn.execute(
                sql.SQL(
                    "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C'"
                ).format(sql.Identifier(name), sql.Literal(encoding))
            )
        self.addCleanup(self.drop, name)

    def restored(self, dumped, encoding="UTF8"):
        """A database once more, made from a dump of it."""
        programs = server_programs(dumped.conn)
        if programs is None:
            self.skipTest("the server belongs to somebody else")
        info = dumped.conn.info
        server = ["-h", info.host, "-p", str(info.port), "-U", info.user]
        name = info.dbname + "_restored"
        self.make_database(name, encoding)
        dump = subprocess.run(
            [programs / "pg_dump", *server, "-E", "UTF8", info.dbname], check=True, capture_output=True
        )
        subprocess.run(
            [programs / "psql", *server, "-qX", "-v", "ON_ERROR_STOP=1", "-d", name],
            input=dump.stdout, check=True, capture_output=True,
        )
        db = Database(connect(name))
        self.addCleanup(db.conn.close)
        return db, dump.stdout.decode()

    def drop(self, name):
        with connect() as conn:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def check(self, db, modes):
        report = db.materialize("target", landing="lake")
        self.assertEqual({line["mode"] for line in report}, modes)
        for query in ("audit('target', 'lake')", f"verify_history('target', '{self.head}')"):
            self.assertEqual(db.rows(f"SELECT * FROM stedi.{query}"), [], query)
        return report

    def test_dump(self):
        self.zone = make_folder()
        self.write("customers/1.json", *map(customer, range(6)))
        self.write("accelerometer/1.json", *(move(number, 100) for number in range(6)))
        self.write("step_trainer/1.json", *(step(number, 100) for number in range(6)))
        self.db.make_landing("lake", file_url(self.zone))
        self.addCleanup(self.db.drop, "lake", "target")
        self.write("accelerometer/dropped.json", *(move(number, 100, 30) for number in range(6)))
        self.db.run("CREATE SCHEMA target")
        self.db.run("SELECT stedi.expect('target', 'accelerometer_trusted', 'x', 'x < 20', 'drop')")
        self.db.materialize("target", landing="lake", consent="since_consent")
        forget = "SELECT * FROM stedi.forget('target', %s, 'objection', 'lake')"
        self.db.rows(forget, "p1@example.com")
        self.head = self.db.materialize("target", landing="lake")[0]["head"]
        self.db.rows(forget, "p2@example.com")  # which no run has followed yet

        db, text = self.restored(self.db)
        self.assertNotIn("p1@example.com", text)
        self.assertEqual(db.tables("target"), self.db.tables("target"))
        self.assertEqual(db.counts("target"), [4] * 5)
        expectations = "SELECT name, action, met, violated, run FROM stedi.expectations('target')"
        self.assertEqual(db.rows(expectations), [("x", "drop", 5, 0, 3)])
        self.assertEqual(db.rows(expectations), self.db.rows(expectations))
        report = self.check(db, {"incremental"})
        self.assertEqual([line["objects_read"] for line in report], [1, 0, None, 0, None])
        self.assertEqual({line["consent"] for line in report}, {"since_consent"})

        # what lands is followed in both, and whoever is forgotten stays so
        self.write("customers/2.json", customer(1, 20, 15), customer(2, 20, 15), customer(3, 20, 0))
        moves = [move(number, 200, x) for number in range(6) for x in (1, 30)]
        self.write("accelerometer/2.json", *moves)
        for database in (db, self.db):
            report = self.check(database, {"incremental"})
            self.assertEqual(report[0]["forgotten"], 2)
            self.assertEqual(report[1]["unexpected"], 3)
            self.assertEqual(database.counts("target"), [3, 6, 3, 3, 3])
        self.assertEqual(db.tables("target"), self.db.tables("target"))
        self.assertTrue(db.value("SELECT stedi.unforget('target', %s)", "p1@example.com"))
        self.check(db, {"incremental"})
        self.assertEqual(db.counts("target"), [4, 8, 4, 4, 4])

        # and without the key nobody is let in
        db.run("DROP TABLE stedi_books_target.stedi_key")
        with self.assertRaises(psycopg.errors.ObjectNotInPrerequisiteState):
            db.materialize("target", landing="lake")

    def test_consent_sets(self):
        self.db.run(SETS)
        self.addCleanup(self.db.run, "DROP SCHEMA sets CASCADE")
        answers = self.db.rows(ANSWERS)
        self.assertEqual([row[0] for row in answers], [1, 2, 3])
        self.assertGreater(min(row[1] for row in answers), 50)
        for encoding in ("UTF8", "LATIN1"):
            with self.subTest(encoding=encoding):
                db, text = self.restored(self.db, encoding)
                self.assertNotIn("p3ä@", text.lower().replace("'p3ä@example.com'", ""))
                self.assertEqual(db.rows(ANSWERS), answers)
                self.copy(self.db, db, answers)
                db.conn.close()
                self.drop(self.db.conn.info.dbname + "_restored")

    def copy(self, one, other, answers):
        """COPY, as text and binary, from one database into the other."""
        for form in ("text", "csv", "binary"):
            other.run("TRUNCATE sets.kept")
            with one.conn.cursor() as read, other.conn.cursor() as write:
                with read.copy(f"COPY sets.kept TO STDOUT (FORMAT {form})") as given:
                    with write.copy(f"COPY sets.kept FROM STDIN (FORMAT {form})") as taken:
                        for data in given:
                            taken.write(data)
            other.run("REFRESH MATERIALIZED VIEW sets.held")
            self.assertEqual(other.rows(ANSWERS), answers, form)

    def test_encoding(self):
        """From LATIN1 into UTF8, and back: e-mails are other bytes then, and the same people."""
        for encodings in (("LATIN1", "UTF8"), ("UTF8", "LATIN1")):
            with self.subTest(encodings):
                self.recode(*encodings)

    def recode(self, before, after):
        name = f"{self.dbname}_{before.lower()}"
        self.make_database(name, before)
        db = Database(connect(name))
        self.addCleanup(db.conn.close)
        self.zone = make_folder()
        people = ("jän@example.com", "bän@example.com", "ada@example.com")
        self.write("customers/1.json", *({**customer(n), "email": who} for n, who in enumerate(people)))
        self.write("accelerometer/1.json", *({**move(0, 100), "user": who} for who in people))
        self.write("step_trainer/1.json", *(step(n, 100) for n in range(3)))
        db.run("CREATE EXTENSION stedi")
        db.make_landing("lake", file_url(self.zone))
        db.run("CREATE SCHEMA target")
        db.materialize("target", landing="lake")
        forget = "SELECT * FROM stedi.forget('target', %s, 'objection', 'lake')"
        db.rows(forget, people[0])
        self.head = db.materialize("target", landing="lake")[0]["head"]
        self.assertEqual(db.counts("target"), [2] * 5)

        db, _ = self.restored(db, after)
        self.check(db, {"incremental"})
        self.assertEqual(db.counts("target"), [2] * 5)
        # the books still tell which objects a person is in: consent is withdrawn, another given
        self.write("customers/2.json", {**customer(1, 20, 0), "email": people[1]},
                   {**customer(0, 20, 15), "email": people[0]})
        report = self.check(db, {"incremental"})
        self.assertEqual((report[0]["forgotten"], db.counts("target")), (1, [1] * 5))
        db.materialize("target", landing="lake", full_refresh=True)
        self.assertEqual(db.counts("target"), [1] * 5)
        self.assertTrue(db.value("SELECT stedi.unforget('target', %s)", people[0]))
        self.check(db, {"incremental"})
        self.assertEqual(db.counts("target"), [2] * 5)


if __name__ == "__main__":
    unittest.main()
