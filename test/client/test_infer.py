"""Tables that are inferred read what they were inferred from, and nothing of it is told.

Records of random keys and values, hostile ones among them: of each, a table of
IMPORT FOREIGN SCHEMA inferred rejects none and loses nothing of a number, and
stedi.infer counts what an independent reader counts.  What is sampled is spread
and bounded, and what is left out is not read.  Guards src/fdw/sample.c, src/fdw/infer.c,
and in src/scan/scan.c and src/s3/fetch.c how an object is left in the middle.

STEDI_TEST_SEEDS     seeds of the records (3), ZONES folders each
"""
import collections
import contextlib
import decimal
import json
import pathlib
import random
import re
import shutil
import threading
import unittest

import psycopg
from psycopg import sql

from stedi_client import SEEDS, Database, ServerTest, connect, file_url, identifier, make_folder
from stedi_fake import FakeS3, listing, store
from test_cd0030 import DATA as CD0030
from test_s3 import ACCESS_KEY, SECRET_KEY, SERVERS, put

ZONES = 25
NUMERIC = ("bigint", "double precision", "numeric")

KEYS = (
    "a", "A", "b", "aB", "Ab", "user", "User", "select", "ctid", "xmin", "tableoid", "order by", "timestamp", "key",
    "1", "_", "__", "a_2", "a-b", "a_b", "a b", "été", "ÉTÉ", "ключ", "𝄞", "'", '"', "\\", "';--", '"; DROP SCHEMA x', "$$", "%s",
    "", "\n", "\r\n", "\t", "\x7f", "\u0001", "\0", "x\0", "\ud800", "x" * 63, "X" * 64, "x" * 65, "x" * 1024, "é" * 512,
)

STRINGS = ("", " ", "x", "5", "-1.5e3", "true", "null", "2000-01-01T", "NaN", "Infinity", "\u00e9", "\\", '"', "\b\f", "\U0001d11e", "a\nb")
DATES = ("2000-02-29", "0001-01-01", "9999-12-31", "1970-01-01")
TIMES = ("2000-01-01T00:00:00Z", "2023-08-06 18:00:00.123456+02:00", "0001-01-01T00:00-1530", "9999-12-31T23:59:60z")
UUIDS = ("0b2c7f6e-2f5b-4f0a-9a53-0d6a3e9d8f11", "0B2C7F6E-2F5B-4F0A-9A53-0D6A3E9D8F11")
NOT_QUITE = ("2000-02-30", "2001-02-29", "2000-01-01T00:00:00", "2000-01-01T24:00:00Z", "0000-01-01", "10000-01-01",
             "0b2c7f6e2f5b4f0a9a530d6a3e9d8f11", "0b2c7f6e-2f5b-4f0a-9a53-0d6a3e9d8f1g", "{0b2c7f6e-2f5b-4f0a-9a53-0d6a3e9d8f11}")

# kinds of values, as they are written
KINDS = {
    "null": ("null",),
    "boolean": ("true", "false"),
    "small": ("0", "-0", "7", "-2147483649", "1655564386000"),
    "large": ("9007199254740993", "9223372036854775807", "-9223372036854775808"),
    "beyond": ("9223372036854775808", "1" + "0" * 40),
    "decimal": ("0.1", "-0.0", "1.5", "5.0", "2e3", "1E-5", "123456789012.123"),
    "long": ("0.12345678901234567890", "9007199254740993.5", "4.9e-324", "1e308", "0." + "3" * 30),
    "extreme": ("1e400", "-1e-400", "1e131071"),
    "absurd": ("1e200000", "1e-20000", "1e99999999999"),
    "string": tuple(json.dumps(text) for text in STRINGS),
    "date": tuple(json.dumps(text) for text in DATES),
    "time": tuple(json.dumps(text) for text in TIMES),
    "uuid": tuple(json.dumps(text) for text in UUIDS),
    "not quite": tuple(json.dumps(text) for text in NOT_QUITE),
    "nested": ("{}", "[]", '{"a":{"b":[1,null]}}', '[[],{"x":"\\u00e9"}]', '{"a":1,"a":2}'),
    "no text": ('"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"'),
    "nested no text": ('{"a":"\\u0000"}', '["\\ud800"]', '[1e200000]'),
}
TYPES = ("nulls", "booleans", "integers", "numbers", "strings", "objects", "arrays")


def json_type(value):
    if value[0] in '"{[ntf':
        return {'"': "strings", "{": "objects", "[": "arrays", "n": "nulls", "t": "booleans", "f": "booleans"}[value[0]]
    return "numbers" if re.search("[.eE]", value) else "integers"


def fold(key):
    return re.sub("[A-Z]", lambda letter: letter[0].lower(), key)


def is_text(key):
    return "\0" not in key and not any(0xD800 <= ord(letter) < 0xE000 for letter in key)


class Zone:
    """Random records, as they are written, and what there is to say of them."""

    def __init__(self, seed):
        rng = random.Random(seed)
        self.keys = rng.sample(KEYS, rng.randint(1, 12))
        kinds = {}
        for key in self.keys:
            kinds[fold(key)] = rng.sample(sorted(KINDS), rng.choice((1, 1, 1, 2, 2, 3)))
        self.records = []
        for _ in range(rng.randint(1, 8)):
            members = []
            for key in rng.sample(self.keys, rng.randint(0, len(self.keys))):
                values = KINDS[rng.choice(kinds[fold(key)])]
                members.append((key, rng.choice(values)))
                if rng.random() < 0.05:
                    members.append((rng.choice((key, key.upper(), key.lower())), rng.choice(values)))
            self.records.append(members)

    def write(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = ("{" + ", ".join(f"{json.dumps(key)}:{value}" for key, value in members) + "}\n" for members in self.records)
        path.write_text("".join(lines), encoding="utf-8")

    def expected(self):
        """{folded key: [first spelling, values that count, one a record]}, in their order."""
        found = {}
        for members in self.records:
            seen = set()
            for key, value in members:
                entry = found.setdefault(fold(key), [key, []])
                if fold(key) not in seen:
                    entry[1].append(value)
                seen.add(fold(key))
        return {key: entry for key, entry in found.items() if is_text(key)}


class InferTest(ServerTest):
    def setUp(self):
        super().setUp()
        self.zone = make_folder()
        self.addCleanup(shutil.rmtree, self.zone, ignore_errors=True)
        self.db.conn.prepare_threshold = None

    def make_lake(self, url, **options):
        self.db.drop("lake")
        self.addCleanup(self.db.drop, "lake")
        self.db.make_server("lake", url, **options)
        self.db.run("CREATE SCHEMA lake")

    def fake_lake(self, objects):
        """Over a bucket of {key: body}; its server."""
        fake = FakeS3(self, store(objects))
        self.make_lake("s3://bucket", secrets={"anonymous": "true"}, endpoint=fake.endpoint, allow_http="true")
        return fake

    def import_inferred(self, only=""):
        self.db.run(f"IMPORT FOREIGN SCHEMA inferred {only} FROM SERVER lake INTO lake")
        return [name for (name,) in self.db.rows(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'lake'::regnamespace ORDER BY 1"
        )]

    def check_zone(self, zone, folder):
        """What infer says of a zone, and what its table reads."""
        infer = self.db.rows(f"SELECT key, records, {', '.join(TYPES)}, type::text, column_name FROM stedi.infer('lake', %s)"
                             " WHERE note IS DISTINCT FROM 'the key is no text'", folder)
        expected = zone.expected()
        counts = []
        for key, values in expected.values():
            types = collections.Counter(map(json_type, values))
            counts.append((key, len(values), *(types[name] for name in TYPES)))
        self.assertEqual([row[:9] for row in infer], counts)

        columns = [(row[0], row[-2], row[-1]) for row in infer if row[-1] is not None]
        self.assertEqual(len({name for _, _, name in columns}), len(columns))
        # names that need no quotes, but for those that are no more than types' names
        for _, _, name in columns:
            self.assertRegex(name, "^[a-z_][a-z0-9_]{0,62}$")
            self.db.run(f"SELECT {name} FROM lake.{folder}")
        self.assertEqual(self.db.rows(f"SELECT reason FROM stedi.rejects('lake.{folder}'::regclass)"), [])
        self.assertEqual(self.db.value(f"SELECT count(t.*) FROM lake.{folder} t"), len(zone.records))
        for key, type_name, name in columns:
            values = [value for value in expected[fold(key)][1] if value != "null"]
            shown = [text for (text,) in self.db.rows(f"SELECT {name}::text FROM lake.{folder} WHERE {name} IS NOT NULL")]
            self.assertEqual(len(shown), len(values), key)
            if type_name in NUMERIC:
                self.assertEqual(list(map(decimal.Decimal, shown)), list(map(decimal.Decimal, values)), key)
            elif type_name == "text":
                self.assertEqual(shown, [json.loads(value) if value[0] == '"' else value for value in values], key)

    def test_any_records(self):
        for seed in SEEDS:
            with self.subTest(seed=seed):
                shutil.rmtree(self.zone)
                zones = {f"z{number}": Zone(f"{seed} {number}") for number in range(ZONES)}
                for folder, zone in zones.items():
                    zone.write(self.zone / folder / "records.json")
                self.make_lake(file_url(self.zone))
                self.assertEqual(self.import_inferred(), sorted(zones))
                for folder, zone in zones.items():
                    with self.subTest(folder=folder):
                        self.check_zone(zone, folder)

    def test_sample_is_spread(self):
        lines = "".join(f'{{"n":{n}}}\n' for n in range(1000))
        objects = {f"p/{n:03}.json": f'{{"o{n}":1}}\n{lines}' for n in range(100)}
        fake = self.fake_lake(objects)
        keys = dict(self.db.rows("SELECT key, records FROM stedi.infer('lake', 'p')"))
        self.assertEqual(self.db.notices[-1], "sampled 32032 records of 32 of 100 objects")
        self.assertEqual(len(keys), 33)
        self.assertEqual(keys.pop("n"), 32000)
        self.assertTrue({"o0", "o99"} < set(keys))
        numbers = sorted(int(key[1:]) for key in keys)
        self.assertLessEqual(max(later - number for number, later in zip(numbers, numbers[1:])), 4)
        gets = [request.path for request in fake.requests if not request.lists]
        self.assertEqual(sorted(gets), [f"/bucket/p/{n:03}.json" for n in numbers])

    def test_sample_is_bounded(self):
        """Of bytes without a record, of one that never ends, and of one too deep, no more is read than of any other."""
        sizes = {"a.json": 1 << 30, "b.json": 1 << 30, "c.json": 1 << 30, "d.json": 8}
        heads = {"a.json": b" " * 65536, "b.json": b"[" * 65536, "c.json": b'{"a":[' + b"[" * 65530}
        sent = collections.Counter()

        def answer(request):
            if request.lists:
                return 200, {}, re.sub("<Size>.*?</Size>", lambda _: f"<Size>{next(told)}</Size>", listing(dict.fromkeys(sizes, "")))
            name = request.path.split("/")[-1]
            headers = {"ETag": f'"0-{abs(hash(""))}"', "Content-Length": str(sizes[name])}

            def body(file):
                if name == "d.json":
                    file.write(b'{"d":1}\n')
                    return
                with contextlib.suppress(OSError):
                    file.write(heads[name])
                    while sent[name] < sizes[name] - 65536:
                        file.write(b" " * 65536)
                        sent[name] += 65536

            return 200, headers, body

        told = iter(sizes.values())
        fake = FakeS3(self, answer)
        self.make_lake("s3://bucket", secrets={"anonymous": "true"}, endpoint=fake.endpoint, allow_http="true")
        self.assertEqual(self.db.rows("SELECT key FROM stedi.infer('lake')"), [("d",)])
        self.assertEqual(self.db.notices[-1], "sampled 1 record of 4 of 4 objects")
        # the server sends ahead of what is read, as much as the machine lets it
        for name in heads:
            self.assertLess(sent[name], 256 << 20, name)

    def test_left_out_is_not_read(self):
        fake = self.fake_lake({f"{folder}/{n}.json": '{"n":1}\n' for folder in "abc_" for n in range(3)})
        self.assertEqual(self.import_inferred("LIMIT TO (b)"), ["b"])
        read = {request.path.split("/")[2] for request in fake.requests if not request.lists}
        self.assertEqual(read, {"b"})
        fake.requests.clear()
        self.assertEqual(self.import_inferred("EXCEPT (b, c)"), ["a", "b"])
        read = {request.path.split("/")[2] for request in fake.requests if not request.lists}
        self.assertEqual(read, {"a"})

    def test_too_much(self):
        """Keys that nobody could name a column each of, and folders a table each."""
        keys = {f"k{n}": n for n in range(1601)} | {"x" * 1025: 1}
        self.zone.joinpath("many").mkdir()
        self.zone.joinpath("many/a.json").write_text(json.dumps(keys))
        self.make_lake(file_url(self.zone))
        details = []
        self.db.conn.add_notice_handler(lambda diag: details.append(diag.message_detail))
        self.assertEqual(len(self.db.rows("SELECT * FROM stedi.infer('lake', 'many')")), 1600)
        self.assertEqual(details, ["Keys too long, or too many, to be told apart were met 2 times."])
        self.assertEqual(self.import_inferred(), ["many"])
        self.assertEqual(self.db.value("SELECT k1599 FROM lake.many"), 1599)
        for n in range(1000):
            folder = self.zone / f"day={n}"
            folder.mkdir()
            (folder / "a.json").write_text('{"n":1}')
        with self.assertRaises(psycopg.errors.ProgramLimitExceeded):
            self.import_inferred("LIMIT TO (many)")

    def test_one_name_for_all(self):
        """Keys of which nothing can stand in a name get numbers, and in no time; none that is there already."""
        keys = ["key_3", "key_700", *(chr(0x4E00 + n) for n in range(1598))]
        self.zone.joinpath("p").mkdir()
        self.zone.joinpath("p/a.json").write_text(json.dumps(dict.fromkeys(keys, 1)))
        self.make_lake(file_url(self.zone))
        with self.db.conn.transaction():
            self.db.run("SET LOCAL statement_timeout = '2s'")
            names = [name for (name,) in self.db.rows("SELECT column_name FROM stedi.infer('lake', 'p')")]
        numbers = [n for n in range(2, 1601) if n not in (3, 700)]
        self.assertEqual(names, ["key_3", "key_700", "key", *(f"key_{n}" for n in numbers)])

    def test_tells_no_value(self):
        """Whatever a record's values are, and whichever types refuse them."""
        canary = "c4n4ry"
        values = [canary, f"2000-01-01T00:00:00{canary}", f"0b2c7f6e-2f5b-4f0a-9a53-{canary}0d6a3", f"9{canary}", f"{canary}\0",
                  {canary: canary}, [f"{canary}\0"]]
        lines = [json.dumps({"key": value}) for value in values]
        lines += [f'{{"key":"{canary}\\ud800"}}', f'{{"key":"{canary}', f'{canary}', f'{{"key":1,"KEY":"{canary}"}}']
        self.zone.joinpath("p").mkdir()
        for number, line in enumerate(lines):
            (self.zone / "p" / f"{number}.json").write_text(line + "\n")
        self.make_lake(file_url(self.zone))
        with contextlib.closing(self.connect()) as conn:
            told = []
            conn.add_notice_handler(lambda diag: told.extend(str(getattr(diag, name)) for name in dir(diag)))
            conn.execute("SET client_min_messages = debug5")
            told += map(str, conn.execute("SELECT * FROM stedi.infer('lake')").fetchall())
            conn.execute("IMPORT FOREIGN SCHEMA inferred FROM SERVER lake INTO lake")
            told += map(str, conn.execute("SELECT * FROM pg_attribute").fetchall())
        self.assertGreater(len(told), 100)
        self.assertNotIn(canary, "\n".join(told).replace("\0", ""))

    def test_encodings(self):
        """What the database's encoding does not have is no column, and no table."""
        for folder in ("größe", "ключ"):
            (self.zone / folder).mkdir()
            (self.zone / folder / "a.json").write_text('{"Größe":1,"ключ":2,"x":"ж"}\n', encoding="utf-8")
        name = f"{self.dbname}_latin1"
        with connect() as conn:
            conn.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
        self.addCleanup(self.drop_database_of, name)
        with contextlib.closing(connect(name, client_encoding="UTF8")) as conn:
            db = Database(conn)
            db.run("CREATE EXTENSION stedi")
            db.make_server("lake", file_url(self.zone))
            rows = db.rows("SELECT key, type::text, column_name, key_option FROM stedi.infer('lake', 'größe')")
            self.assertEqual(rows, [
                ("Größe", "bigint", "gr_e", True), ("%D0%BA%D0%BB%D1%8E%D1%87", None, None, None), ("x", None, None, None),
            ])
            db.notices.clear()
            db.run("IMPORT FOREIGN SCHEMA inferred FROM SERVER lake INTO public")
            self.assertEqual(db.notices, [
                'no foreign table is made of folder "%D0%BA%D0%BB%D1%8E%D1%87": option "prefix" cannot name it',
                'foreign table "gr_e": sampled 1 record of 1 of 1 objects',
            ])
            self.assertEqual(db.rows("SELECT * FROM gr_e"), [(1,)])

    @staticmethod
    def drop_database_of(name):
        with connect() as conn:
            conn.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def test_folders_of_odd_names(self):
        """One without a name, too: its keys begin with a /."""
        self.fake_lake({"/a.json": '{"n":1}\n', "//b.json": '{"n":1}\n', "ok/a.json": '{"n":1}\n', "./a.json": '{"n":1}\n'})
        self.assertEqual(self.import_inferred(), ["objects", "objects_2", "ok"])
        self.assertEqual(self.db.rows("TABLE lake.objects"), [(1,)])
        self.assertEqual(self.db.rows("TABLE lake.objects_2"), [(1,), (1,)])

    def test_cancel(self):
        """While the objects that are sampled do not come."""
        asked = threading.Event()
        over = threading.Event()
        self.addCleanup(over.set)

        def answer(request):
            if request.lists:
                return 200, {}, listing({"p/a.json": '{"n":1}\n'})
            asked.set()
            over.wait(60)
            return 404, {}, ""

        fake = FakeS3(self, answer)
        self.make_lake("s3://bucket", secrets={"anonymous": "true"}, endpoint=fake.endpoint, allow_http="true")

        def cancel():
            asked.wait(60)
            self.db.conn.cancel()

        for statement in ("SELECT * FROM stedi.infer('lake')", "IMPORT FOREIGN SCHEMA inferred FROM SERVER lake INTO lake"):
            asked.clear()
            thread = threading.Thread(target=cancel)
            thread.start()
            with self.assertRaises(psycopg.errors.QueryCanceled):
                self.db.run(statement)
            thread.join()

    @unittest.skipUnless(CD0030.is_dir(), f"{CD0030} is not there: set STEDI_CD0030")
    def test_cd0030(self):
        """The tables that are inferred of the real landing zone have the rows of the landing tables."""
        self.make_lake(file_url(CD0030))
        self.assertEqual(self.import_inferred(), ["accelerometer", "customers", "step_trainer"])
        self.db.run("CREATE SCHEMA landing")
        self.addCleanup(self.db.drop, "landing")
        self.db.run("IMPORT FOREIGN SCHEMA landing FROM SERVER lake INTO landing")
        for inferred, landing in (("customers", "customer"), ("accelerometer", "accelerometer"), ("step_trainer", "step_trainer")):
            columns = [name for (name,) in self.db.rows(
                "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0", f"landing.{landing}_landing"
            )]
            ours = ", ".join(f"{'user_' if name == 'user' else identifier(name)}::text" for name in columns)
            theirs = ", ".join(f"{identifier(name)}::text" for name in columns)
            with self.subTest(table=inferred):
                same = f"SELECT {ours} FROM lake.{inferred}", f"SELECT {theirs} FROM landing.{landing}_landing"
                self.assertGreater(self.db.value(f"SELECT count(*) FROM lake.{inferred}"), 900)
                for one, other in (same, same[::-1]):
                    self.assertEqual(self.db.rows(f"{one} EXCEPT ALL {other} LIMIT 1"), [])

    def test_types_hold_further_down(self):
        """What a type fails on in the last record of large objects is seen, or it is said that it was not looked at."""
        folder = self.zone / "deep"
        folder.mkdir()
        for number, size in enumerate((10, 60000, 300000)):
            (folder / f"{number}.json").write_text(
                '{"n":1,"d":"2020-01-01","f":1.5}\n' * size + '{"n":1.25,"d":"soon","f":12345678901234567890}\n')
        self.make_lake(file_url(self.zone))
        types = dict(self.db.rows("SELECT key, type::text FROM stedi.infer('lake', 'deep')"))
        self.assertEqual(types, {"n": "double precision", "d": "text", "f": "numeric"})
        self.assertEqual(self.db.notices[-1], "sampled 360013 records of 3 of 3 objects")

    @unittest.skipUnless(SERVERS, "no S3 server is named: run within test/s3/with_s3")
    def test_s3(self):
        """A bucket of any server; an object that is left in the middle keeps the next ones as they are."""
        for folder, n_objects in (("many", 40), ("step-trainer", 1)):
            (self.zone / folder).mkdir()
            for number in range(n_objects):
                (self.zone / folder / f"{number:02}.json").write_text(f'{{"o{number}":1}}\n' + '{"n":"%s"}\n' % ("x" * 500) * 5000)
        for name, endpoint in SERVERS.items():
            with self.subTest(server=name):
                put(endpoint, "make-bucket", f"infer-{name}")
                put(endpoint, "sync", self.zone, f"infer-{name}")
                self.make_lake(
                    f"s3://infer-{name}", secrets={"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY},
                    region="us-east-1", endpoint=endpoint, url_style="path", allow_http="true",
                )
                self.db.notices.clear()
                self.assertEqual(self.import_inferred(), ["many", "step_trainer"])
                self.assertEqual(self.db.notices, [
                    'foreign table "many": sampled 160032 records of 32 of 40 objects',
                    'foreign table "step_trainer": sampled 5001 records of 1 of 1 objects',
                ])
                self.assertEqual(self.db.value("SELECT count(*) FROM pg_attribute WHERE attrelid = 'lake.many'::regclass AND attnum > 0"), 33)
                self.assertEqual(self.db.value("SELECT count(n) FROM lake.step_trainer"), 5000)


if __name__ == "__main__":
    unittest.main()
