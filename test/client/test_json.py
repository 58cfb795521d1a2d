"""What JSON is: the cases of RFC 8259, sizes and depths, and PostgreSQL's jsonb as a judge.

Every record that is no row is a reject with a reason, never a NULL.  A record
that both we and jsonb take has the same value for both.  Which of them may
refuse what the other takes is written down in ONLY_OURS and ONLY_JSONB.
Guards src/record/json.c, src/record/plain.c, src/record/value.c and src/scan/tuple.c.

STEDI_TEST_SEEDS     seeds of the changed records (3), 400 records each
"""
import json
import pathlib
import random
import re
import shutil
import unittest
import zipfile

import psycopg

from stedi_client import PROJECT, SEEDS, ServerTest, file_url, make_folder

CASES = PROJECT / "test" / "data" / "json" / "cases.tsv"
CORPUS = PROJECT / "test" / "fuzz" / "corpus" / "decode.zip"
HEADER = 8  # bytes of an input of the corpus before the object
N_CHANGED = 400

KIND = "a JSON value of another kind"


def read_cases():
    """name -> the object's bytes, and name -> [(outcome, text)], of cases.tsv."""
    objects = {}
    cases = {}
    for line in CASES.read_text(encoding="utf-8").split("\n"):
        if line and not line.startswith("#"):
            name, outcome, text = line.split("\t")
            if outcome == "object":
                objects[name] = unescape(text)
                cases[name] = []
            elif outcome != "nothing":
                cases[name].append((outcome, unescape(text).decode()))
    return objects, cases


def unescape(text):
    marks = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"\\": b"\\"}

    def unescape_one(m):
        code, times, repeated, mark = m.groups()
        if code:
            return bytes.fromhex(code.decode())
        return repeated * int(times) if times else marks[mark]

    return re.sub(rb"\\(?:x(..)|#(\d+)(.)|(.))", unescape_one, text.encode())


class JsonTest(ServerTest):
    """A folder of its own, and tables over it."""

    def setUp(self):
        super().setUp()
        self.db.conn.prepare_threshold = None  # the table has another type each time
        self.zone = make_folder()
        self.addCleanup(shutil.rmtree, self.zone, ignore_errors=True)
        self.db.drop("json")
        self.db.make_server("json", file_url(self.zone))
        self.addCleanup(self.db.drop, "json")

    def table(self, columns, **options):
        given = "".join(f", {name} '{value}'" for name, value in options.items())
        self.db.run("DROP FOREIGN TABLE IF EXISTS landed")
        self.db.run(
            f"CREATE FOREIGN TABLE landed ({columns}, object text OPTIONS (source 'object'),"
            f" byte_offset bigint OPTIONS (source 'offset')) SERVER json OPTIONS (prefix ''{given})"
        )

    def rejects(self):
        """(object, offset, reason); without the column that it names."""
        return [
            (name, offset, re.sub(r'^column ".*?": ', "", reason))
            for name, offset, reason in self.db.rows(
                "SELECT object, byte_offset, reason FROM stedi.rejects('landed'::regclass)"
            )
        ]

    def read_one(self, column, record, **options):
        """The only row's value, or the only reject's reason."""
        (self.zone / "one.json").write_bytes(record if isinstance(record, bytes) else record.encode())
        self.table(column, **options)
        rows = self.db.rows(f"SELECT {column.split()[0]} FROM landed")
        reasons = [row[2] for row in self.rejects()]
        self.assertEqual(len(rows) + len(reasons), 1, record[:100])
        return ("row", rows[0][0]) if rows else ("reject", reasons[0])


class CasesTest(JsonTest):
    def setUp(self):
        super().setUp()
        objects, self.cases = read_cases()
        for name, content in objects.items():
            (self.zone / f"{name}.json").write_bytes(content)

    def outcomes(self, value):
        """name -> [("row", value) or ("reject", reason)], in order."""
        found = {name: [] for name in self.cases}
        for name, offset, read in self.db.rows(f"SELECT object, byte_offset, {value} FROM landed"):
            found[pathlib.Path(name).stem].append((offset, "row", read))
        for name, offset, reason in self.rejects():
            found[pathlib.Path(name).stem].append((offset, "reject", reason))
        return {name: [item[1:] for item in sorted(items)] for name, items in found.items()}

    def compare(self, expect, value="v"):
        found = self.outcomes(value)
        self.assertEqual(
            sum(map(len, found.values())), sum(map(len, self.cases.values())), "rows + rejects = cases"
        )
        for name, items in self.cases.items():
            with self.subTest(name):
                self.assertEqual(found[name], [expect(*item) for item in items])

    def test_text(self):
        def expect(outcome, text):
            if outcome == "reject":
                return "reject", text
            if outcome in ("string", "number"):
                return "row", text
            return ("row", None) if outcome in ("missing", "null") else ("reject", KIND)

        self.table("v text")
        self.compare(expect)

    def test_jsonb(self):
        def expect(outcome, text):
            if outcome == "reject":
                return "reject", text
            if outcome in ("missing", "null"):
                return "row", None
            text = {"string": json.dumps(text), "true": "true", "false": "false"}.get(outcome, text)
            try:
                return "row", self.db.value("SELECT %s::text::jsonb::text", text)
            except psycopg.Error:
                return "reject", "not a value of the column's type"

        self.table("v jsonb")
        self.compare(expect, "v::text")


class ValuesTest(JsonTest):
    def check(self, *cases):
        for column, written, expected in cases:
            with self.subTest(column=column, written=written):
                self.assertEqual(self.read_one(column, '{"v": %s}' % written), expected)

    def test_numbers(self):
        span = ("reject", "out of range")
        self.check(
            ("v float8", "1e400", span),
            ("v float8", "-1e400", span),
            ("v float8", "1e-400", span),
            ("v float8", "-0", ("row", -0.0)),
            ("v real", "1e39", ("reject", "not a value of the column's type")),
            ("v numeric", "1e400", ("row", 10**400)),
            ("v numeric", "-0", ("row", 0)),
            ("v numeric", "1e999999", ("reject", "not a value of the column's type")),
            ("v bigint", "9223372036854775807", ("row", 2**63 - 1)),
            ("v bigint", "9223372036854775808", span),
            ("v bigint", "-9223372036854775808", ("row", -(2**63))),
            ("v bigint", "1e400", span),
            ("v bigint", "-0", ("row", 0)),
            ("v bigint", "1e-400", ("reject", "not an integer")),
            ("v bigint", '"9223372036854775807"', ("row", 2**63 - 1)),
            ("v integer", "2147483648", span),
            ("v smallint", "32768", span),
            ("v text", "1e400", ("row", "1e400")),
            ("v text", "-0", ("row", "-0")),
            ("v timestamptz", "9223372036854775807", span),
        )

    def test_text_that_is_none(self):
        self.check(
            ("v text", '"\\u0000"', ("reject", "text contains \\u0000")),
            ("v text", '"\\ud800"', ("reject", "not valid text in the encoding of the database")),
            ("v jsonb", '["\\u0000"]', ("reject", "not a value of the column's type")),
            ("v jsonb", '["\\ud800"]', ("reject", "not a value of the column's type")),
        )
        for record in (b'{"v":"\xff"}', b'{"v":1,"w":"\xc0\x80"}'):
            self.assertEqual(
                self.read_one("v text", record), ("reject", "not valid text in the encoding of the database")
            )
        self.assertEqual(self.read_one("v text", b'{"v":"a\0b"}'), ("reject", "not valid JSON"))

    def test_sizes(self):
        key = "k" * 1_000_000
        self.assertEqual(self.read_one("v bigint", '{"%s": 1, "v": 2}' % key), ("row", 2))
        self.assertEqual(self.read_one("v bigint", '{"%s\\n": 1, "v": 2}' % key), ("row", 2))
        self.assertEqual(self.read_one("v text", '{"v": "%s"}' % key), ("row", key))
        self.assertEqual(
            self.read_one("v bigint", '{"%s": 1, "v": 2}' % key, max_record_size="900kB"),
            ("reject", 'longer than option "max_record_size" allows'),
        )
        keys = ", ".join(f'"k{n}": {n}' for n in range(10_000))
        self.assertEqual(self.read_one("v bigint", '{%s, "v": 2}' % keys), ("row", 2))
        self.assertEqual(self.read_one("k9999 bigint", '{%s, "x": "\\n"}' % keys), ("row", 9999))
        twice = ", ".join(['"v": 7'] * 10_000)
        self.assertEqual(self.read_one("v bigint", "{%s}" % twice), ("row", 7))

    def test_depth(self):
        deep = "[" * 5000 + "]" * 5000
        too_deep = ("reject", 'nested deeper than option "max_depth" allows')
        self.assertEqual(self.read_one("v bigint", '{"w": %s, "v": 1}' % deep), too_deep)
        self.assertEqual(self.read_one("v bigint", '{"w": %s, "v": 1}' % deep, max_depth=5001), ("row", 1))
        self.assertEqual(self.read_one("v bigint", '{"w": %s, "v": 1}' % deep, max_depth=5000), too_deep)
        self.assertEqual(self.read_one("v bigint", '{"w": ' + "[" * 100_000, max_depth=10000), too_deep)


# What is read of a record, and how jsonb has it: of a column's type, and of a
# text that jsonb gives for the key.
COLUMNS = {
    "a": "text",
    "email": "text",
    "timestamp": "numeric",
    "x": "float8",
    "n": "bigint",
    "é": "jsonb",
}

# Records that we take and jsonb refuses: what stands under keys that nobody
# asked for is JSON by its grammar, and no more is asked of it.
ONLY_OURS = re.compile(
    r"\\u0000|\\ud[89ab]|\\ud[c-f]"  # \u0000, surrogates alone
    r"|[eE][+-]?\d{5,}|\d{1000}",  # numbers that numeric has no room for
    re.IGNORECASE,
)

# Reasons for which we refuse what jsonb takes: nesting beyond max_depth, two
# keys of a column with other values (in jsonb the last one counts), and values
# that are not of the column's type (of another kind, or out of its range).
ONLY_JSONB = {
    'nested deeper than option "max_depth" allows',
    "two keys match and their values differ",
    KIND,
    "not a number",
    "not an integer",
    "out of range",
    "not a value of the column's type",
}


class JsonbTest(JsonTest):
    def records(self):
        """Lines of the corpus and of the cases, each of which may be a record."""
        with zipfile.ZipFile(CORPUS) as corpus:
            for name in corpus.namelist():
                yield from corpus.read(name)[HEADER:].split(b"\n")
        for _, content in sorted(read_cases()[0].items()):
            for key in (b'"v"', b'"a"', b'"x"', b'"timestamp"', b'"n"', '"é"'.encode()):
                yield content.replace(b'"v"', key).replace(b"\n", b" ")

    def changed(self, seed, records):
        """Records made of what records are made of; half of them changed in a place."""
        chance = random.Random(seed)
        keys = ['"a"', '"A"', '"email"', '"timestamp"', '"x"', '"n"', '"N"', '"é"', '"other"', '""', '"\\u0061"', '"\\u00e9"']
        values = ["0", "-0", "1", "-1.50", "1e3", "12345678901234567890", "9007199254740993", "0.1", "1E-7", "true", "false"]
        values += ["null", '""', '"a"', '"5"', '"1e2"', '"\\u0041\\n"', '"\\ud83d\\ude00"', '"é€😀"', '"\\"\\\\\\/"', "[]", "{}"]
        values += ['[1, {"a": null}]', '{"a": "b", "a": "c"}', '"\\u0000"', '"\\udc00"', "1e400", "1e-400"]
        spaces = ["", "", "", " ", "\t", "\r"]
        pieces = [b'"', b"\\", b"{", b"}", b"[1]", b",", b":", b"0", b"-", b".", b"e5", b"true", b"null", b" ", b"\xff", b"\t"]
        for _ in range(N_CHANGED):
            members = [
                chance.choice(spaces).join(("", chance.choice(keys), ":", chance.choice(values), ""))
                for _ in range(chance.randint(0, 5))
            ]
            record = bytearray(("{" + ",".join(members) + "}").encode())
            if chance.random() < 0.2:
                record = bytearray(chance.choice(records))
            if chance.random() < 0.5:
                at = chance.randint(0, len(record))
                record[at : at + chance.choice((0, 0, 1, 5))] = chance.choice(pieces)
            yield bytes(record)

    def judge(self, record):
        """jsonb's values of the record, by lower-cased key; None when it refuses it."""
        try:
            text = record.decode("utf-8")
        except UnicodeDecodeError:
            return None
        if "\0" in text:
            return None
        try:
            return dict(
                self.db.rows(
                    "SELECT key, CASE jsonb_typeof(value) WHEN 'string' THEN value #>> '{}'"
                    " WHEN 'null' THEN NULL ELSE value::text END FROM jsonb_each(%s::text::jsonb)",
                    text,
                )
            )
        except psycopg.Error:
            return None

    def compare(self, records):
        """Count what both take, we alone, and jsonb alone; every value is compared."""
        counts = {"both": 0, "ours": 0, "jsonb": 0, "neither": 0}
        records = [record for record in records if record.strip(b" \t\r\n") and b"\n" not in record]
        for n, record in enumerate(records):
            (self.zone / f"{n:06}.json").write_bytes(record)
        self.table(", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items()))
        rows = {}
        for row in self.db.rows(
            'SELECT object, byte_offset, a, email, "timestamp"::text, x::text, n::text, "é"::text FROM landed'
        ):
            rows.setdefault(int(row[0].split(".")[0]), []).append(row[2:])
        reasons = {}
        for name, _, reason in self.rejects():
            reasons.setdefault(int(name.split(".")[0]), []).append(reason)
        for n, record in enumerate(records):
            if len(rows.get(n, [])) + len(reasons.get(n, [])) != 1:
                continue  # several records, or junk beside one: an object, but no text of jsonb's
            want = self.judge(record)
            got = rows[n][0] if n in rows else None
            with self.subTest(record=record[:300]):
                if got is not None and want is not None:
                    counts["both"] += 1
                    self.compare_values(record, got, want)
                elif got is not None:
                    counts["ours"] += 1
                    # a byte-order mark, or commas and an array around it, are the object's
                    bare = record.strip(b" \t\r\n\xef\xbb\xbf[],")
                    if self.judge(bare) is None:
                        self.assertRegex(bare.decode(), ONLY_OURS)
                elif want is not None:
                    counts["jsonb"] += 1
                    self.assertIn(reasons[n][0], ONLY_JSONB | {"not a JSON object"} if record.lstrip()[:1] != b"{" else ONLY_JSONB)
                else:
                    counts["neither"] += 1
        for file in self.zone.glob("*.json"):
            file.unlink()
        return counts

    def compare_values(self, record, got, want):
        for (name, kind), value in zip(COLUMNS.items(), got):
            matching = [item for key, item in want.items() if fold(key) == name]
            if not matching:
                self.assertIsNone(value, name)
            elif kind == "jsonb":
                self.assertIn(value, [self.jsonb_text(record, name)], name)
            elif matching[0] is None:
                self.assertIsNone(value, name)
            elif kind == "text":
                # a number is text as it was written; jsonb has made it a numeric
                if value != matching[0]:
                    self.assertEqual(self.number(value), self.number(matching[0]), name)
            else:
                # a number too small for the double is refused by both of ours and float8
                self.assertEqual(
                    self.db.value(f"SELECT %s::numeric::{kind} = %s::{kind}", matching[0], value), True, name
                )

    def number(self, text):
        return self.db.value("SELECT %s::numeric", text)

    def jsonb_text(self, record, name):
        return self.db.value(
            "SELECT max(nullif(value, 'null')::text) FROM jsonb_each(%s::text::jsonb) WHERE key = %s",
            record.decode(),
            name,
        )

    def test_corpus(self):
        counts = self.compare(list(self.records()))
        self.assertGreater(counts["both"], 300, counts)
        self.assertGreater(counts["neither"], 300, counts)
        self.assertGreater(counts["ours"], 0, counts)
        self.assertGreater(counts["jsonb"], 0, counts)

    def test_changed(self):
        records = [record for record in self.records() if record.startswith(b"{") and len(record) < 400]
        for seed in SEEDS:
            counts = self.compare(self.changed(seed, records))
            self.assertGreater(counts["both"], N_CHANGED // 10, counts)


def fold(key):
    """The ASCII letters in lower case, the others as they are."""
    return "".join(c.lower() if c < "\x80" else c for c in key)


if __name__ == "__main__":
    unittest.main()
