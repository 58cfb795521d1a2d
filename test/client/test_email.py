"""E-mails that differ in nothing that can be seen are one person's.

Proves that the normal form of every code point is Unicode's, as Python and the
server itself have it; that a withdrawal takes somebody out under every
spelling, of every class of code points; that a scan and SQL agree on who is
meant; that what tables and books of stedi 1.0 know by its form of e-mails is
brought over; and that look-alikes, who stay apart, are told of.
Guards src/consent/email.c, src/consent/email_table.h, src/consent/consent.c, src/books/former.c,
src/commands/forget.c and src/commands/quality.c.
"""
import hashlib
import hmac
import json
import struct
import sys
import unicodedata
import unittest

from stedi_client import ServerTest, file_url, make_folder

import oracle

NOW = 1_700_000_000_000
LAST = sys.maxunicode


def is_known(code):
    """Is it in Unicode 14, and no surrogate?  (A later Python knows later ones.)"""
    char = chr(code)
    category = unicodedata.category(char)
    return code > 0 and category != "Cs" and (category != "Cn" or unicodedata.unidata_version == "14.0.0")


def in_pieces(values, size=20_000):
    values = list(values)
    return [values[pos : pos + size] for pos in range(0, len(values), size)]


def spellings():
    """Pairs of spellings of one e-mail, class by class: name, one, other."""
    for code in filter(is_known, range(1, LAST + 1)):
        char = chr(code)
        if oracle.seen(char) == "":
            yield "unseen", "an@x", f"a{char}n{char}@x{char}"
        elif oracle.seen(char) == " ":
            yield "space", "an@x", f"{char}an@x{char}"
            yield "space within", "a n@x", f"a{char}n@x"
        for other in {char.lower(), char.upper(), char.title(), char.casefold(), char.swapcase()} - {char}:
            # the capital of a dotless i is that of an i
            if char != "\u0131":
                yield "case", f"n{char}@x", f"n{other}@x"
        for form in ("NFC", "NFD", "NFKC", "NFKD"):
            other = unicodedata.normalize(form, char)
            if other != char and other.strip():
                yield form, f"n{char}@x", f"n{other}@x"
    yield "marks", "a\u0323\u0302@x", "a\u0302\u0323@x"
    yield "final sigma", "\u03bf\u03c2@x", "\u039f\u03a3@x"
    yield "soft dot", "ivan@x", "\u0130van@x"
    yield "soft dot", "jan@x", "j\u0307an@x"


def customer(email, serial, updated=10, research=5):
    return {
        "email": email, "customerName": "N", "serialNumber": serial, "registrationDate": 1,
        "lastUpdateDate": updated, "shareWithResearchAsOfDate": research,
    }


def reading(email, x=1):
    return {"user": email, "timestamp": 100, "x": x, "y": 2, "z": 3}


def step(serial):
    return {"sensorReadingTime": 100, "serialNumber": serial, "distanceFromObject": 7}


def siphash(seed, text):
    """SipHash-1-3 as a consent set has it, signed: the name of somebody in the books."""
    def rotate(word, n):
        return (word << n | word >> (64 - n)) & mask

    def sip_round():
        v[0] = (v[0] + v[1]) & mask
        v[2] = (v[2] + v[3]) & mask
        v[1] = rotate(v[1], 13) ^ v[0]
        v[3] = rotate(v[3], 16) ^ v[2]
        v[0] = rotate(v[0], 32)
        v[2] = (v[2] + v[1]) & mask
        v[0] = (v[0] + v[3]) & mask
        v[1] = rotate(v[1], 17) ^ v[2]
        v[3] = rotate(v[3], 21) ^ v[0]
        v[2] = rotate(v[2], 32)

    mask = (1 << 64) - 1
    v = [seed ^ 0x736F6D6570736575, 0x646F72616E646F6D, seed ^ 0x6C7967656E657261, 0x7465646279746573]
    data = text.encode()
    full = len(data) // 8 * 8
    words = [int.from_bytes(data[pos : pos + 8], "big") for pos in range(0, full, 8)]
    words.append(int.from_bytes(data[full:].ljust(8, b"\0"), "big") | len(data) & 0xFF)
    for word in words:
        v[3] ^= word
        sip_round()
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(3):
        sip_round()
    return struct.unpack("<q", struct.pack("<Q", v[0] ^ v[1] ^ v[2] ^ v[3]))[0]


class FormTest(ServerTest):
    def test_every_code_point(self):
        """Alone in a word, each has the form that Python's Unicode gives."""
        for codes in in_pieces(filter(is_known, range(1, LAST + 1))):
            words = [f"A{chr(code)}e\u0301 " for code in codes]
            got = self.db.rows(
                "SELECT stedi.normalize_email(w), stedi.normalize_email(stedi.normalize_email(w)),"
                " stedi.normalize_email(w) IS NFC NORMALIZED, stedi.normalize_email(w) IS NFKC NORMALIZED"
                " FROM unnest(%s::text[]) WITH ORDINALITY u (w, n) ORDER BY n", words)
            wrong = [(word, row) for word, row in zip(words, got) if row != (oracle.normal(word),) * 2 + (True, True)]
            self.assertEqual(wrong[:5], [])

    def test_spellings(self):
        """Two spellings of one person have one form, and two people's have not."""
        pairs = list(spellings())
        self.assertGreater(len(pairs), 20_000)
        for piece in in_pieces(pairs):
            got = self.db.rows(
                "SELECT stedi.normalize_email(a) = stedi.normalize_email(b)"
                " FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY u (a, b, n) ORDER BY n",
                [one for _, one, _ in piece], [other for _, _, other in piece])
            self.assertEqual([pair for pair, (same,) in zip(piece, got) if not same][:5], [])
        for other in ("\u0131van@x", "\u0456van@x", "iivan@x", "i van@x", "\u00edvan@x"):
            self.assertNotEqual(self.db.value("SELECT stedi.normalize_email(%s)", other), "ivan@x")


class TargetTest(ServerTest):
    """A landing zone, and a target that is made from it."""

    def setUp(self):
        super().setUp()
        self.zone = make_folder()
        for name in ("customers", "accelerometer", "step_trainer"):
            (self.zone / name).mkdir()
        self.db.drop("lake", "target")
        self.db.make_landing("lake", file_url(self.zone))
        self.db.run("CREATE SCHEMA target")

    def tearDown(self):
        self.db.drop("target", "lake")

    def write(self, key, *records, ascii_only=False):
        text = "".join(json.dumps(record, ensure_ascii=ascii_only) + "\n" for record in records)
        (self.zone / key).write_text(text, encoding="utf-8")

    def materialize(self, **named):
        report = self.db.materialize("target", landing="lake", **named)
        self.assertEqual(self.db.rows("SELECT * FROM stedi.audit('target', 'lake')"), [])
        return report

    def emails(self, table="target.customer_trusted"):
        return sorted(row[0] for row in self.db.rows(f"SELECT DISTINCT email FROM {table}"))


class WithdrawalTest(TargetTest):
    def test_withdrawals(self):
        """Consent under one spelling, and withdrawn under another: nobody is left, nor any reading."""
        chosen = {}
        for name, one, other in spellings():
            chosen.setdefault(name, []).append((one, other))
        pairs = [pair for of_class in chosen.values() for pair in (of_class if len(of_class) < 900 else of_class[::5])]
        # each pair is a person of its own
        pairs = [(f"{n}.{one}", f"{n}.{other}" if name != "space" else f"{other[0]}{n}.{other[1:]}")
                 for n, (one, other) in enumerate(pairs)
                 for name in (["space"] if oracle.seen(other[0]) == " " else [""])]
        self.write("customers/1.json", *(customer(one, f"S{n}") for n, (one, _) in enumerate(pairs)))
        self.write("accelerometer/1.json", *(reading(word) for pair in pairs for word in pair))
        self.write("step_trainer/1.json", step("S0"))
        self.materialize()
        self.assertEqual(self.emails(), sorted({oracle.normal(one) for one, _ in pairs}))
        self.assertEqual(self.db.value("SELECT count(*) FROM target.accelerometer_trusted"), len(pairs))

        # the scan decides as SQL does, and as the oracle
        query = (
            "SELECT {}, count(*) FROM (SELECT \"user\", \"timestamp\" FROM lake.accelerometer_landing {}) a"
            " WHERE stedi.consents((SELECT stedi.consent_set(email, 1) FROM lake.customer_landing), \"user\", \"timestamp\")"
        )
        scanned = self.db.rows(query.format("count(DISTINCT \"user\")", ""))
        self.assertEqual(scanned, self.db.rows(query.format("count(DISTINCT \"user\")", "OFFSET 0")))
        self.assertEqual(scanned[0][1], 2 * len(pairs))

        # escaped in JSON or not: the same
        for n, ascii_only in enumerate((True, False)):
            self.write(f"customers/{2 + n}.json", *(customer(other, f"S{n}", 20, 0) for n, (_, other) in enumerate(pairs)),
                       ascii_only=ascii_only)
            report = self.materialize()
            self.assertEqual(self.db.counts("target"), [0] * 5)
            self.assertEqual(report[0]["mode"], "incremental")
            (self.zone / f"customers/{2 + n}.json").unlink()
            self.materialize()
            self.assertEqual(self.db.value("SELECT count(*) FROM target.customer_trusted"), len(pairs))

    def test_forget(self):
        """Under any spelling; and the unknown are told of, without their e-mail."""
        self.write("customers/1.json", customer("Ren\u00e9@x.org", "S1"), customer("bob@x.org", "S2"))
        self.write("accelerometer/1.json", reading("rene\u0301@x.org"), reading("bob@x.org"))
        self.write("step_trainer/1.json", step("S1"), step("S2"))
        self.materialize()
        self.assertEqual(self.db.counts("target"), [2] * 5)
        self.db.notices.clear()
        self.db.rows("SELECT * FROM stedi.forget('target', %s, 'objection', 'lake')", "\ufeffRENE\u0301@\uff38.org\u00a0")
        self.assertEqual(self.db.notices, [])
        self.assertEqual(self.db.counts("target"), [1] * 5)
        self.materialize()
        self.assertEqual(self.emails(), ["bob@x.org"])
        found = self.db.rows("SELECT DISTINCT source FROM stedi.subject('target', 'REN\u00c9@x.org', 'lake')")
        self.assertLessEqual({("customer_landing",), ("accelerometer_landing",), ("stedi_forgotten",), ("stedi_history",)}, set(found))
        self.assertTrue(self.db.value("SELECT stedi.unforget('target', 'ren\u00c9@x.org')"))
        self.materialize()
        self.assertEqual(self.db.counts("target"), [2] * 5)

        # a Cyrillic letter: nobody's
        self.db.notices.clear()
        self.db.rows("SELECT * FROM stedi.forget('target', %s, 'objection', 'lake')", "b\u043eb@x.org")
        self.assertEqual(self.db.notices, ['no row of schema "target" and no landing record has that e-mail'])
        self.assertEqual(self.db.counts("target"), [2] * 5)

    def test_look_alikes(self):
        """They stay apart, and quality tells how many records there are, and of nobody's name."""
        self.write("customers/1.json", customer("ivan@x", "S1"), customer("\u0131van@x", "S2"), customer("IVAN@X", "S1", 20),
                   customer("ann1@x", "S3"), customer("annl@x", "S4", research=0), customer("bob@x", "S5"))
        self.write("accelerometer/1.json", reading("\u0456van@x"), reading("b\u043eb@x"), reading("bob@x"), reading("eve@x"))
        self.write("step_trainer/1.json", step("S1"))
        self.materialize()
        self.assertEqual(self.emails(), ["ann1@x", "bob@x", "ivan@x", "\u0131van@x"])
        rows = self.db.rows("SELECT table_name, column_name, records, smallest, largest FROM stedi.quality('target', 'lake')"
                            " WHERE problem = 'looks like another e-mail'")
        self.assertEqual(rows, [("customer_landing", "email", 5, None, None), ("accelerometer_landing", "user", 3, None, None)])


class FormerTest(TargetTest):
    """A target as stedi 1.0 has left it, which knew e-mails by ASCII's letters and white space alone."""

    ANN, REN, ZOE = "ann@x.org", "Ren\u00c9@x.org", "zo\u00eb@x.org"
    OLD = {"ren\u00e9@x.org": "ren\u00c9@x.org"}

    def setUp(self):
        super().setUp()
        self.write("customers/1.json", customer(self.ANN, "S1"), customer(self.REN, "S2"), customer(self.ZOE, "S3"))
        self.write("accelerometer/1.json", *map(reading, (self.ANN, self.REN, self.ZOE)))
        self.write("step_trainer/1.json", *map(step, ("S1", "S2", "S3")))
        self.materialize()
        self.assertEqual(self.db.counts("target"), [3] * 5)
        self.key = bytes(self.db.value("SELECT key FROM stedi_books_target.stedi_key"))
        for table in ("customer_trusted", "customer_curated", "accelerometer_trusted"):
            for new, old in self.OLD.items():
                self.db.run(f"UPDATE target.{table} SET email = %s WHERE email = %s", old, new)
        self.db.run("UPDATE stedi_books_target.stedi_state SET definition = regexp_replace(definition, '\\ne-mails of form [0-9]+', '')")
        self.db.run("UPDATE stedi_books_target.stedi_object SET people = '' WHERE people IS NOT NULL")

    def forget_formerly(self, email):
        """As 1.0 wrote it down: by the hashes of a form that ours is not."""
        who = hmac.digest(self.key, email.encode(), hashlib.sha256)
        name = siphash(struct.unpack("<Q", self.key[:8])[0], email)
        proof = hmac.digest(self.key, who, hashlib.sha256)
        self.db.run("INSERT INTO stedi_books_target.stedi_forgotten VALUES (%s, %s, %s, 'objection', now(), NULL, false)", who, name, proof)
        self.db.run("UPDATE stedi_books_target.stedi_state SET forgotten = forgotten + 1")
        self.assertEqual(who, self.db.value("SELECT stedi.keyed_hash(%s, %s, 1)", self.key, f" {email} "))

    def test_brought_over(self):
        """The first run says so, reads all, and leaves what a new target would have."""
        self.db.notices.clear()
        report = self.materialize()
        self.assertEqual(self.db.notices, ["reading the whole landing zone again: e-mails have another normal form than in the last run"])
        self.assertEqual([line["objects_read"] for line in report][:2], [1, 1])
        self.assertEqual(self.emails(), ["ann@x.org", "ren\u00e9@x.org", "zo\u00eb@x.org"])
        self.assertEqual(self.db.counts("target"), [3] * 5)
        # whom the tables had under another name has come and gone; the chain is whole
        said = self.db.rows("SELECT what, who FROM stedi.consent_history('target') WHERE run = 2 ORDER BY what")
        self.assertEqual([what for what, _ in said], ["given", "withdrawn"])
        self.assertEqual([bytes(who) for _, who in said], [
            hmac.digest(self.key, email.encode(), hashlib.sha256) for email in ("ren\u00e9@x.org", "ren\u00c9@x.org")])
        self.assertEqual(self.db.rows("SELECT * FROM stedi.verify_history('target')"), [])
        history = self.db.rows("SELECT record ->> 'what' FROM stedi.subject('target', 'rene\u0301@x.org', 'lake')"
                               " WHERE source = 'stedi_history'")
        self.assertEqual(len(history), 3)
        self.db.notices.clear()
        self.assertEqual(self.materialize()[1]["objects_read"], 0)
        self.assertEqual(self.db.notices, [])

    def test_two_who_are_one(self):
        """Of two people who are one now, the newest record decides, as of one."""
        self.write("customers/2.json", customer("ren\u00e9@x.org", "S2", 20, 0))
        self.materialize()
        self.assertEqual(self.emails(), ["ann@x.org", "zo\u00eb@x.org"])
        self.assertEqual(self.db.counts("target"), [2] * 5)

    def test_forgotten_before(self):
        """Who was forgotten by the former form stays out, by whatever spelling of a record."""
        self.forget_formerly("ren\u00c9@x.org")
        self.write("customers/2.json", customer("rene\u0301@x.org", "S2", 20))
        report = self.materialize()
        self.assertEqual(report[0]["forgotten"], 1)
        self.assertEqual(self.emails(), ["ann@x.org", "zo\u00eb@x.org"])
        # the record that was spelled so may go: the entry has the form of today
        self.write("customers/1.json", customer(self.ANN, "S1"), customer(self.ZOE, "S3"))
        self.materialize()
        self.materialize(full_refresh=True)
        self.assertEqual(self.emails(), ["ann@x.org", "zo\u00eb@x.org"])
        self.assertTrue(self.db.value("SELECT stedi.unforget('target', 'ren\u00e9@x.org')"))
        self.materialize()
        self.assertEqual(self.db.counts("target"), [3] * 5)

    def test_forgotten_and_landed_later(self):
        """The same of somebody who lands long after the update, in a run that renews."""
        self.forget_formerly("\u00c5sa@x.org")
        self.materialize()
        self.write("customers/2.json", customer("\u00c5SA@x.org", "S4"), customer("\u00c9va@x.org", "S5"))
        self.write("accelerometer/2.json", reading("\u00e5sa@x.org"))
        report = self.materialize()
        self.assertEqual((report[0]["mode"], report[0]["forgotten"]), ("incremental", 1))
        self.assertEqual(self.emails(), ["ann@x.org", "ren\u00e9@x.org", "zo\u00eb@x.org", "\u00e9va@x.org"])
        self.assertEqual(self.db.value("SELECT stedi.unforget('target', '\u00e5sa@x.org')"), True)
        self.materialize()
        self.assertIn("\u00e5sa@x.org", self.emails("target.accelerometer_trusted"))

    def test_audit_first(self):
        """Before any run, an audit knows who was forgotten by the former form."""
        self.forget_formerly("ren\u00c9@x.org")
        problems = self.db.rows("SELECT table_name, problem FROM stedi.audit('target', 'lake')")
        self.assertEqual(set(problem for _, problem in problems), {"not covered"})
        self.assertEqual(len(problems), 5)

    def test_forget_first(self):
        """Before any run, forget removes rows that are there under the former form, and finds the objects."""
        self.db.notices.clear()
        answer = self.db.rows("SELECT * FROM stedi.forget('target', 'rene\u0301@x.org', 'objection', 'lake')")
        self.assertEqual([rows for source, _, rows in answer if source == "table"], [1] * 5)
        self.assertEqual([name for source, name, _ in answer if source == "object"],
                         ["customers/1.json", "accelerometer/1.json", "step_trainer/1.json"])
        self.assertEqual(self.db.counts("target"), [2] * 5)
        self.assertEqual(self.db.notices, [])
        self.materialize()
        self.assertEqual(self.db.counts("target"), [2] * 5)

    def test_unforget_first(self):
        self.forget_formerly("ren\u00c9@x.org")
        self.assertTrue(self.db.value("SELECT stedi.unforget('target', 'REN\u00c9@x.org')"))
        self.materialize()
        self.assertEqual(self.db.counts("target"), [3] * 5)

    def test_one_table_alone(self):
        """Runs of single tables bring the others over as far as they go."""
        self.db.materialize("target", "materialize_customer_trusted", landing="lake")
        self.assertEqual(self.emails(), ["ann@x.org", "ren\u00e9@x.org", "zo\u00eb@x.org"])
        self.assertEqual(self.emails("target.accelerometer_trusted"), self.emails())
        self.db.rows("SELECT * FROM stedi.forget('target', 'ren\u00e9@x.org', 'objection', 'lake')")
        self.assertEqual(self.db.counts("target"), [2] * 5)
        self.materialize()


if __name__ == "__main__":
    unittest.main()
