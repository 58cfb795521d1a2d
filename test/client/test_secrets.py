"""Where people's values and the keys of S3 go: nowhere that they need not.

A server of its own logs everything that it can, with plans.  Canaries that
nothing else has go through calls with bound parameters, through runs and scans,
and through errors in the middle of both:

- SecretsTest: somebody who consents, and is forgotten, asked for and withdrawn;
- CanaryTest: people who never consented, and the keys of a user mapping, with an
  S3 server that repeats in its answers whatever it was sent.

Afterwards they are in no log, no view of what others run, no message, no plan,
no statistics, no dump and no file of the data directory, but for what PostgreSQL
keeps itself, which is looked for as well.  What is planted in a place is found
there by the same search.  The server's memory, its WAL and its log of statements
that somebody types are not looked at.

Guards src/commands/forget.c, src/commands/subject.c, src/commands/quality.c, src/storage/find.c,
src/storage/statistics.c, src/net/trouble.c, src/credential/credential.c and src/fdw/analyze.c.  STEDI_TEST_SECURITY=long has
each error of S3 in each place, and each format of plans.
"""
import base64
import contextlib
import json
import os
import re
import struct
import subprocess
import threading
import types
import unittest

import psycopg

from stedi_client import LANDING_TABLES, TABLES, ServerTest, file_url, make_folder, options_list
from stedi_cluster import Cluster, wait_until
from stedi_fake import FakeS3, error, store

LONG = os.environ.get("STEDI_TEST_SECURITY") == "long"

EMAIL = "canary.q7x@example.com"
SERIAL = "SN-canary-Q7X"
# A birthday, and a reading, of somebody who does not consent.
BIRTHDAY = "1877-03-14"
READING = 31337.4242
# Any of these tells: as text, as the bytes of one, and as a printed plan has them.
SIGNS = (
    "canary",
    "canary".encode().hex(),
    " ".join(str(byte) for byte in b"canary"),
    base64.b64encode(b"canary").decode().lower(),
    BIRTHDAY,
    str(READING),
)

# A server that says all that it can.
LOUD = {
    "log_min_messages": "debug5",
    "log_min_error_statement": "error",
    "log_statement": "none",
    "log_parameter_max_length": "-1",
    "log_lock_waits": "on",
    "deadlock_timeout": "10ms",
    "track_activity_query_size": "1MB",
    "shared_preload_libraries": "pg_stat_statements,auto_explain",
    "pg_stat_statements.track": "all",
    # else the plans of what a test calls have its own parameters, which is PostgreSQL's doing
    "plan_cache_mode": "force_generic_plan",
}

# What makes it print plans, too, which is slow.
PLANS = {
    "debug_print_parse": "on",
    "debug_print_rewritten": "on",
    "debug_print_plan": "on",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_verbose": "on",
    "auto_explain.log_triggers": "on",
    "auto_explain.log_nested_statements": "on",
}

OWN_PARAMETERS = re.compile(
    r"(Query Text: (?:SELECT (?:[^\n]* FROM )?stedi\.\w+\('target', \$1|INSERT INTO asked VALUES \()[^\n]*\n"
    r"\s*Query Parameters: )[^\n]*"
)

FORGET = "SELECT * FROM stedi.forget('target', %s, 'objection', 'lake')"
UNFORGET = "SELECT stedi.unforget('target', %s)"
SUBJECT = "SELECT * FROM stedi.subject('target', %s, 'lake')"


def customer(number, email=None, serial=None, updated=10, consent=5):
    return {
        "customerName": f"Name {number}",
        "email": email or f"p{number}@example.com",
        "serialNumber": serial or f"S-{number}",
        "registrationDate": 1,
        "lastUpdateDate": updated,
        "shareWithResearchAsOfDate": consent,
    }


def canary(updated=10, consent=5):
    return customer("of the canary", EMAIL, SERIAL, updated, consent)


def move(email, time):
    return {"user": email, "timestamp": time, "x": 1, "y": 2, "z": 3}


def step(serial, time):
    return {"sensorReadingTime": time, "serialNumber": serial, "distanceFromObject": 7}


ANY_SIGN = re.compile("|".join(re.escape(sign) for sign in SIGNS), re.IGNORECASE)


def signs(text):
    """The places of a text that tell, with what is about them."""
    return [text[max(match.start() - 60, 0) : match.end() + 60] for match in ANY_SIGN.finditer(text)]


def everything(error):
    """All that an error says to a client."""
    diag = error.diag
    names = [name for name in dir(diag) if not name.startswith("_")]
    return "\n".join(str(getattr(diag, name)) for name in names)


class SecretsTest(ServerTest):
    """Each test has a database of its own, on one server."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()

        def skip(reason):
            raise unittest.SkipTest(reason)

        cls.cluster = Cluster(
            types.SimpleNamespace(addCleanup=cls.addClassCleanup, skipTest=skip),
            **LOUD,
        ).make()

    def setUp(self):
        super().setUp()
        self.log_begins = len(self.whole_log())
        self.dbname = self._testMethodName
        self.db = self.cluster.make_database(self.dbname)
        self.addCleanup(self.db.conn.close)
        self.db.run("CREATE EXTENSION pg_stat_statements")
        self.db.run("SELECT pg_stat_statements_reset()")
        self.zone = make_folder()
        self.write("customers/1.json", canary(), *(customer(number) for number in range(9)))
        people = [EMAIL, *(f"p{number}@example.com" for number in range(9))]
        devices = [SERIAL, *(f"S-{number}" for number in range(9))]
        self.write("accelerometer/1.json", *(move(email, 100 + i) for email in people for i in range(3)))
        self.write("step_trainer/1.json", *(step(serial, 100) for serial in devices))
        self.db.make_landing("lake", file_url(self.zone))
        self.db.run("CREATE SCHEMA target")
        self.said = []  # what errors, plans and notices said

    def write(self, key, *records):
        (self.zone / key).parent.mkdir(exist_ok=True)
        (self.zone / key).write_text("".join(json.dumps(record) + "\n" for record in records))

    def run_zone(self, **named):
        return self.db.materialize("target", landing="lake", **named)

    def print_plans(self, conn=None):
        for name, value in PLANS.items():
            (conn or self.db.conn).execute(f"SET {name} = {value}")

    def fails(self, call, *arguments, **named):
        with self.assertRaises(psycopg.Error) as raised:
            call(*arguments, **named)
        self.said.append(everything(raised.exception))
        return raised.exception

    def whole_log(self):
        return (self.cluster.folder / "log").read_text(errors="replace")

    def log(self):
        """But for what the test's own statements were given, which auto_explain tells from 16 on."""
        return OWN_PARAMETERS.sub(r"\1", self.whole_log()[self.log_begins :])

    def statements(self, conn=None):
        """Whatever the server remembers of what was run, and by others at present."""
        query = (
            "SELECT string_agg(t, E'\\n') FROM ("
            "SELECT s::text AS t FROM pg_stat_statements s UNION ALL"
            " SELECT a::text FROM pg_stat_activity a WHERE pid <> pg_backend_pid() UNION ALL"
            " SELECT obj_description(oid, 'pg_class') FROM pg_class) u"
        )
        return (conn or self.db.conn).execute(query).fetchone()[0]

    def statistics(self):
        return self.db.value("SELECT string_agg(s::text, E'\\n') FROM pg_stats s WHERE schemaname = 'target'")

    def books(self):
        """The bookkeeping: it has no name either."""
        books = self.db.rows(
            "SELECT relname FROM pg_class WHERE relnamespace = 'stedi_books_target'::regnamespace"
            " AND relkind = 'r' AND relname LIKE 'stedi%'"
        )
        return "\n".join(
            self.db.value(f"SELECT coalesce(string_agg(b::text, E'\\n'), '') FROM stedi_books_target.{book} b")
            for (book,) in books
        )

    def places(self):
        return {
            "log": self.log(),
            "statements": self.statements(),
            "statistics": self.statistics(),
            "books": self.books(),
            "messages": "\n".join(self.said + self.db.notices),
        }

    def found(self, text):
        return signs(text)

    def assert_nowhere(self, *but):
        found = {place: self.found(text)[:3] for place, text in self.places().items()}
        self.assertEqual({place: found[place] for place in found if found[place] and place not in but}, {})

    def test_what_is_planted_is_found(self):
        self.run_zone()
        self.assertNotEqual(self.found(self.statistics()), [])
        self.db.run(f"COMMENT ON TABLE target.customer_trusted IS '{EMAIL}'")
        self.db.run(f"DO $$ BEGIN RAISE LOG '{SERIAL}'; END $$")
        self.db.run("UPDATE stedi_books_target.stedi_run SET head = encode(%s, 'hex')", EMAIL.encode())
        self.fails(self.db.run, f"SELECT '{EMAIL}'::int")
        with self.assertRaises(AssertionError):
            self.assert_nowhere()
        for place, text in self.places().items():
            self.assertNotEqual(self.found(text), [], place)
        # what others run is seen, too
        with self.cluster.connect(self.dbname) as conn:
            conn.execute(f"SELECT 1 -- {EMAIL}")
            self.db.run("SELECT pg_stat_statements_reset()")
            self.db.run("COMMENT ON TABLE target.customer_trusted IS NULL")
            self.assertNotEqual(self.found(self.statements()), [])

    def test_forget(self):
        self.print_plans()
        self.run_zone()
        rows = self.db.rows(FORGET, EMAIL.upper())
        self.assertEqual([n for source, _, n in rows if source == "table"], [1, 3, 1, 1, 1])
        self.assert_nowhere()
        self.assertNotEqual(self.db.rows(SUBJECT, EMAIL), [])
        self.assertEqual(self.db.rows("SELECT * FROM stedi.audit('target', 'lake')"), [])
        self.run_zone()
        self.run_zone(full_refresh=True)
        self.assert_nowhere()
        self.assertTrue(self.db.value(UNFORGET, EMAIL))
        self.db.rows("SELECT * FROM stedi.audit('target', 'lake')")
        self.assert_nowhere()

    def test_statistics_forget_who_withdraws(self):
        self.print_plans()
        self.run_zone()
        self.write("customers/2.json", canary(20, 0))
        self.run_zone()
        self.assert_nowhere()

    def test_statistics_of_ones_own(self):
        """Also those that somebody asked for, and of columns together."""
        self.print_plans()
        self.run_zone()
        self.db.run("CREATE STATISTICS target.both ON email, serialnumber FROM target.customer_trusted")
        self.db.run("ANALYZE")
        ext = "SELECT string_agg(s::text, E'\\n') FROM pg_stats_ext s"
        self.assertNotEqual(self.found(self.db.value(ext)), [])
        self.db.rows(FORGET, EMAIL)
        self.assertEqual(self.found(self.db.value(ext) or ""), [])
        self.assert_nowhere()

    def test_errors(self):
        """A trigger on each of the tables stops the call, or the run, in its middle."""
        if LONG:
            self.print_plans()
        self.run_zone()
        self.db.run(
            "CREATE FUNCTION target.stop() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'not now'; END $$"
        )
        self.write("customers/2.json", canary(20, 0))
        self.write("accelerometer/2.json", move(EMAIL, 200), {"user": EMAIL, "timestamp": "noon"})
        self.write("step_trainer/2.json", step(SERIAL, 200), {"serialNumber": SERIAL})
        for table in TABLES:
            for when in ("BEFORE", "AFTER"):
                self.db.run(
                    f"CREATE TRIGGER stop {when} INSERT OR DELETE ON target.{table}"
                    " FOR EACH ROW EXECUTE FUNCTION target.stop()"
                )
                self.fails(self.db.rows, FORGET, EMAIL)
                self.fails(self.run_zone)
                self.fails(self.run_zone, dry_run=True)
                self.db.run(f"DROP TRIGGER stop ON target.{table}")
        for table in ("stedi_forgotten", "stedi_history", "stedi_object", "stedi_state"):
            self.db.run(
                f"CREATE TRIGGER stop BEFORE INSERT OR UPDATE OR DELETE ON stedi_books_target.{table}"
                " FOR EACH ROW EXECUTE FUNCTION target.stop()"
            )
            if table != "stedi_object":
                self.fails(self.db.rows, FORGET, EMAIL)
            if table != "stedi_forgotten":
                self.fails(self.run_zone)
            self.db.run(f"DROP TRIGGER stop ON stedi_books_target.{table}")
        # a record that stops a run, wherever it is: only who has to go goes, and then it fails
        for table in LANDING_TABLES[1:]:
            self.db.run(f"ALTER FOREIGN TABLE lake.{table} OPTIONS (ADD on_error 'stop')")
            with self.db.conn.transaction(force_rollback=True):
                self.run_zone()
                self.assertEqual(self.db.value("SELECT mode FROM stedi_books_target.stedi_run ORDER BY run DESC LIMIT 1"), "withdrawals")
                self.fails(self.run_zone)
            self.db.run(f"ALTER FOREIGN TABLE lake.{table} OPTIONS (DROP on_error)")
        # a landing zone that is not there: a warning says so
        self.db.run("ALTER FOREIGN TABLE lake.step_trainer_landing OPTIONS (SET prefix 'nowhere')")
        with self.db.conn.transaction(force_rollback=True):
            self.db.rows(FORGET, EMAIL)
        self.fails(self.db.rows, SUBJECT, EMAIL)
        self.db.run("ALTER FOREIGN TABLE lake.step_trainer_landing OPTIONS (SET prefix 'step_trainer')")
        # arguments in the wrong places
        self.fails(self.db.rows, "SELECT * FROM stedi.forget('target', 'objection', %s, 'lake')", EMAIL)
        self.fails(self.db.rows, FORGET.replace("objection", "no reason"), EMAIL)
        self.assert_nowhere("statistics")
        self.run_zone()
        self.assert_nowhere()

    def waiting(self, query):
        """What others see of a call that waits for a lock."""
        with self.cluster.connect(self.dbname) as conn, self.cluster.connect(self.dbname) as locker:
            with locker.transaction():
                locker.execute("LOCK TABLE target.customer_trusted IN ACCESS EXCLUSIVE MODE")
                call = threading.Thread(target=lambda: conn.execute(query, (EMAIL,)))
                call.start()
                pid = conn.info.backend_pid
                wait_until(
                    lambda: locker.execute(
                        "SELECT cardinality(pg_blocking_pids(%s)) > 0", (pid,)
                    ).fetchone()[0],
                    f"{query} does not wait",
                )
                seen = self.statements(locker)
                self.assertIn(query.replace("%s", "$1"), seen)
            call.join()
        return seen

    def test_while_others_look(self):
        self.run_zone()
        for query in (SUBJECT, FORGET, UNFORGET):
            self.assertEqual(self.found(self.waiting(query)), [])
        self.run_zone()
        self.assert_nowhere("statistics")

    def test_plans(self):
        self.print_plans()
        self.run_zone()
        self.db.run("CREATE TABLE asked (email text)")
        self.db.run("INSERT INTO asked VALUES (%s)", EMAIL)
        for call in (
            "stedi.subject('target', email, 'lake')",
            "stedi.forget('target', email, 'objection', 'lake')",
            "CAST(stedi.unforget('target', email) AS text)",
        ):
            plan = self.db.rows(f"EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM asked, {call} c")
            self.said += [line for (line,) in plan]
        self.assert_nowhere()


SECRETS = {
    "access_key_id": "AKCANARYKEYOFTHETEST",
    "secret_access_key": "canary/secret+0123456789/0123456789abcdef",
    "session_token": "canary-token-0123456789-0123456789-0123456789-0123456789==",
}
WITHHELD = "canary.withheld@example.com"
# What an error of S3 may repeat, of a request.
ECHOES = {
    "authorization": lambda request: request.headers["authorization"],
    "token": lambda request: request.headers["x-amz-security-token"],
    "canonical request": lambda request: "GET\n" + "\n".join(f"{k}:{v}" for k, v in request.headers.items()),
    "all": lambda request: " ".join(f"{k}: {v}" for k, v in request.headers.items()),
    "end of the token": lambda request: "The provided token ..." + request.headers["x-amz-security-token"][-20:] + " is malformed",
    "signature": lambda request: "we calculated " + request.headers["authorization"].rpartition("=")[2] + ", sorry",
}
CODES = (
    (400, "AuthorizationHeaderMalformed"),
    (400, "ExpiredToken"),
    (400, "InvalidToken"),
    (403, "AccessDenied"),
    (403, "InvalidAccessKeyId"),
    (403, "RequestTimeTooSkewed"),
    (403, "SignatureDoesNotMatch"),
    (404, "NoSuchBucket"),
    (404, "NoSuchKey"),
    (412, "PreconditionFailed"),
    (403, "InvalidObjectState"),
    (301, "PermanentRedirect"),
    (307, "TemporaryRedirect"),
    (500, "InternalError"),
    (503, "SlowDown"),
    (418, "Teapot"),
)


class Sampler(threading.Thread):
    """What pg_stat_activity tells of others, again and again while a test runs."""

    def __init__(self, conn):
        super().__init__(daemon=True)
        self.conn = conn
        self.seen = set()
        self.n = 0
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(0.001):
            rows = self.conn.execute(
                "SELECT a::text FROM pg_stat_activity a WHERE pid <> pg_backend_pid()"
                " UNION ALL SELECT l::text FROM pg_stat_progress_create_index l"
                " UNION ALL SELECT l::text FROM pg_stat_progress_analyze l"
            )
            # without times, of which each is another
            self.seen.update(re.sub(r"20..-..-.. [0-9:.+]+", "", row[0]) for row in rows)
            self.n += 1

    def end(self):
        self.ended.set()
        self.join()
        return "\n".join(self.seen)


class CanaryTest(ServerTest):
    """Nobody here consents but some whom no sign tells of."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()

        def skip(reason):
            raise unittest.SkipTest(reason)

        cls.keeper = types.SimpleNamespace(addCleanup=cls.addClassCleanup, skipTest=skip)
        cls.cluster = Cluster(cls.keeper, **{**LOUD, "log_parameter_max_length_on_error": "-1",
                                             "max_parallel_workers_per_gather": "2", "min_parallel_table_scan_size": "0"}).make()

    def setUp(self):
        super().setUp()
        self.dbname = self._testMethodName
        self.db = self.cluster.make_database(self.dbname)
        self.addCleanup(self.db.conn.close)
        self.db.run("CREATE EXTENSION pg_stat_statements")
        self.said = []
        self.make_objects()
        self.fake = FakeS3(self, store(self.objects))
        self.make_lake()
        self.log_begins = self.log_size()
        self.db.run("SELECT pg_stat_statements_reset()")
        self.sampler = Sampler(self.cluster.connect(self.dbname))
        self.sampler.start()
        self.addCleanup(self.sampler.conn.close)
        self.addCleanup(self.sampler.end)
        for name, value in PLANS.items():
            self.db.run(f"SET {name} = {value}")

    def make_objects(self):
        withheld = {
            "customerName": "Canary the Withheld", "email": WITHHELD, "phone": "+canary-1", "birthDay": BIRTHDAY,
            "serialNumber": "SN-canary-W", "registrationDate": 1, "lastUpdateDate": 10, "shareWithResearchAsOfDate": 0,
        }
        lines = {
            "customers/1.json": [customer(number) for number in range(20)] + [withheld],
            "customers/2.json": ['{"email": "canary.cut@example.com", "phone": "+canary', {**withheld, "email": "canary.odd@x", "lastUpdateDate": "canary"}],
            "customers/3.json": [{**withheld, "birthDay": BIRTHDAY + "T99", "email": "canary.\u0000@x"}, "canary, no record"],
            "accelerometer/1.json": [move(f"p{number}@example.com", 100 + i) for number in range(20) for i in range(20)]
            + [{"user": WITHHELD, "timestamp": 100, "x": READING, "y": READING, "z": READING}],
            "accelerometer/2.json": [{"user": WITHHELD, "timestamp": "canary", "x": READING}, {"user": "canary.x", "timestamp": 1e400, "x": READING}],
            "step_trainer/1.json": [step(f"S-{number}", 100) for number in range(20)] + [step("SN-canary-W", 100)],
            "step_trainer/2.json": [{"serialNumber": "SN-canary-W", "sensorReadingTime": "canary"}, {"serialNumber": "SN-canary-X", "distanceFromObject": READING}],
        }
        self.objects = {
            key: "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in records).encode()
            for key, records in lines.items()
        }

    def make_lake(self):
        """The statement with the secrets is somebody's: nothing writes it down."""
        with self.cluster.connect(self.dbname) as conn:
            for setting in ("log_min_messages = panic", "log_min_error_statement = panic", "pg_stat_statements.track_utility = off"):
                conn.execute("SET " + setting)
            url = {"url": "s3://bucket", "endpoint": self.fake.endpoint, "allow_http": "true", "max_tries": "1", "region": "us-east-1"}
            conn.execute(psycopg.sql.SQL("CREATE SERVER lake FOREIGN DATA WRAPPER stedi_fdw OPTIONS ({})").format(options_list(**url)))
            conn.execute(psycopg.sql.SQL("CREATE USER MAPPING FOR CURRENT_USER SERVER lake OPTIONS ({})").format(options_list(**SECRETS)))
        self.db.run("CREATE SCHEMA lake")
        self.db.run("IMPORT FOREIGN SCHEMA landing FROM SERVER lake INTO lake")
        self.db.run("CREATE SCHEMA target")

    def log_size(self):
        return (self.cluster.folder / "log").stat().st_size

    def log(self):
        with open(self.cluster.folder / "log", "rb") as log:
            log.seek(self.log_begins)
            return log.read().decode(errors="replace")

    def call(self, query, outcome="ok", plan=True):
        """Call, and call it planned; what is told of an error is kept, what is answered is not."""
        try:
            cursor = self.db.run(query)
            got = "ok"
            cursor.fetchall() if cursor.description else None
        except psycopg.Error as failed:
            self.said.append(everything(failed))
            got = failed.sqlstate
        self.assertIn(got, outcome if isinstance(outcome, tuple) else (outcome,), f"{query}: {self.said[-1:]}")
        if plan and outcome == "ok":
            for form in ("text", "xml", "json", "yaml") if LONG else ("text", "json"):
                rows = self.db.rows(f"EXPLAIN (ANALYZE, VERBOSE, BUFFERS, SETTINGS, FORMAT {form}) {query}")
                self.said += [str(row[0]) for row in rows]

    def rows_as_text(self, query):
        return self.db.value(f"SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM ({query}) t")

    def statistics(self):
        """Also as the catalogs have them: an anyarray shows its values."""
        for name, value in PLANS.items():
            self.db.run(f"RESET {name}")
        text = "".join(
            self.rows_as_text(query)
            for query in (
                "SELECT * FROM pg_stats WHERE schemaname IN ('lake', 'target')",
                "SELECT * FROM pg_stats_ext WHERE schemaname IN ('lake', 'target')",
                "SELECT * FROM pg_stats_ext_exprs WHERE schemaname IN ('lake', 'target')",
                "SELECT stavalues1::text, stavalues2::text, stavalues3::text, stavalues4::text, stavalues5::text"
                " FROM pg_statistic WHERE starelid IN (SELECT oid FROM pg_class WHERE relnamespace IN ('lake'::regnamespace, 'target'::regnamespace))",
                "SELECT stxdndistinct::text, stxddependencies::text, stxdmcv::text, stxdexpr::text FROM pg_statistic_ext_data",
            )
        )
        return text

    def books(self):
        names = self.db.rows("SELECT relname FROM pg_class WHERE relnamespace = 'target'::regnamespace AND relkind = 'r'")
        return "".join(self.rows_as_text(f"SELECT * FROM target.{name}") for (name,) in names)

    def dump(self, user=None):
        info = self.db.conn.info
        done = subprocess.run(
            [self.cluster.programs / "pg_dump", "-h", str(self.cluster.folder), "-p", "5432", "-U", user or info.user, self.dbname],
            capture_output=True, check=True,
        )
        return done.stdout.decode()

    def files(self):
        """The files of the data directory that tell, but for WAL and what the log is."""
        self.db.run("CHECKPOINT")
        words = [sign.encode() for sign in SIGNS[:1]] + [BIRTHDAY.encode(), struct.pack("<d", READING), str(READING).encode()]
        found = []
        for path in sorted(self.cluster.data.rglob("*")):
            if not path.is_file() or path.relative_to(self.cluster.data).parts[0] == "pg_wal":
                continue
            with contextlib.suppress(FileNotFoundError):
                # PostgreSQL's own, of a collation
                bytes_there = path.read_bytes().lower().replace(b"(canary islands)", b"")
                if any(word.lower() in bytes_there for word in words):
                    found.append(str(path.relative_to(self.cluster.data)))
        return found

    def mapping_files(self):
        """Where PostgreSQL keeps user mappings: in this database, and in those of other tests."""
        name = self.db.value("SELECT relfilenode FROM pg_class WHERE oid = 'pg_user_mapping'::regclass")
        self.assertNotEqual(name, 0)
        toast = self.db.value("SELECT t.relfilenode FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.oid = 'pg_user_mapping'::regclass")
        return re.compile(rf"base/\d+/({name}|{toast})$")

    def places(self):
        found = {
            "activity": signs("\n".join(list(self.sampler.seen))),
            "statements": signs(self.rows_as_text("SELECT * FROM pg_stat_statements")),
            "log": signs(self.log()),
            "messages": signs("\n".join(self.said + self.db.notices)),
            "statistics": signs(self.statistics()),
            "books": signs(self.books()),
            "dump": signs(self.dump()),
            "owner's dump": signs(self.dump("regress_owner")) if self.owner_dumps else [],
            "files": self.files(),
        }
        return {place: some[:3] for place, some in found.items() if some}

    owner_dumps = False

    def assert_only_postgresql_has_it(self):
        """The mapping in a superuser's dump, and in its catalog's file: exactly that."""
        places = self.places()
        self.assertGreater(self.sampler.n, 0)
        mapping = self.mapping_files()
        files = places.pop("files")
        self.assertEqual([name for name in files if not mapping.match(name)], [])
        self.assertNotEqual(files, [])
        self.assertEqual(len(places.pop("dump", [])), 3)
        dumped = self.dump()
        statements = re.findall(r"CREATE USER MAPPING .*?\n\);\n", dumped, re.DOTALL)
        (statement,) = [statement for statement in statements if SECRETS["session_token"] in statement]
        for secret in SECRETS.values():
            self.assertEqual(dumped.count(secret), 1)
            self.assertIn(secret, statement)
        self.assertEqual(signs(dumped.replace(statement, "")), [])
        self.assertEqual(places, {})

    def test_what_is_planted_is_found(self):
        """In each place, and each kind of sign."""
        self.call("SELECT * FROM stedi.materialize('target', landing => 'lake')", plan=False)
        self.db.run("RESET plan_cache_mode")
        self.db.run("SET plan_cache_mode = auto")
        self.db.rows("SELECT 1 WHERE %s = current_user", "the canary's plan")
        self.fails_with(f"SELECT '{WITHHELD}'::int")
        self.db.run("UPDATE target.customer_trusted SET phone = 'canary' || email")
        self.db.run("ANALYZE target.customer_trusted")
        with self.cluster.connect(self.dbname) as conn:
            conn.execute("SELECT 1 AS canary")
            wait_until(lambda: any("1 AS canary" in row for row in list(self.sampler.seen)), "the sampler does not sample")
        self.db.run("CREATE ROLE regress_owner LOGIN SUPERUSER")
        self.owner_dumps = True
        places = self.places()
        self.owner_dumps = False
        self.db.run("DROP ROLE regress_owner")
        self.assertEqual(
            set(places),
            {"activity", "statements", "log", "messages", "statistics", "books", "dump", "owner's dump", "files"},
        )
        # the bytes of a parameter, as debug_print_plan has them
        self.assertRegex(self.log(), r"99 97 110 97 114 121")
        self.assertTrue(any(not self.mapping_files().match(name) for name in self.files()))
        for sign in SIGNS:
            self.assertNotEqual(signs("x" + sign.upper() + "y"), [])

    def fails_with(self, query):
        with self.assertRaises(psycopg.Error) as raised:
            self.db.run(query)
        self.said.append(everything(raised.exception))

    def test_runs(self):
        """Whoever does not consent is in nothing that a run leaves, whatever becomes of it."""
        self.call("SELECT * FROM stedi.materialize('target', landing => 'lake')", plan=False)
        self.objects["customers/4.json"] = (json.dumps({
            "customerName": "Canary", "email": WITHHELD, "phone": "+canary-2", "birthDay": BIRTHDAY, "serialNumber": "SN-canary-W",
            "registrationDate": 1, "lastUpdateDate": 20, "shareWithResearchAsOfDate": -5}) + "\n").encode()
        self.call("SELECT * FROM stedi.materialize('target', landing => 'lake')")
        self.call("SELECT * FROM stedi.materialize('target', landing => 'lake', full_refresh => true)", plan=False)
        self.call("SELECT * FROM stedi.materialize('target', landing => 'lake', consent => 'since_consent', dry_run => true)")
        # failing in the middle
        self.db.run("SET stedi.swap_timeout = '1ms'")
        self.db.run("ALTER TABLE target.accelerometer_trusted ADD UNIQUE (email, timestamp)")
        key = "accelerometer/3.json"
        self.objects[key] = (json.dumps({**move("p1@example.com", 100), "x": 5}) + "\n" + json.dumps(
            {"user": WITHHELD, "timestamp": 100, "x": READING, "y": 1, "z": 1}) + "\n").encode()
        self.call("SELECT * FROM stedi.materialize('target', landing => 'lake')", "23505")
        self.call("SELECT * FROM stedi.materialize('target', landing => 'lake', full_refresh => true)", "23505")
        del self.objects[key]
        self.db.run("SET statement_timeout = '15ms'")
        self.call("SELECT * FROM stedi.materialize('target', landing => 'lake', full_refresh => true)", "57014")
        self.db.run("RESET statement_timeout")
        for table in LANDING_TABLES:
            self.db.run(f"ALTER FOREIGN TABLE lake.{table} OPTIONS (ADD on_error 'stop')")
            self.call(f"SELECT * FROM lake.{table}", self.stops[table], plan=False)
            self.db.run(f"ALTER FOREIGN TABLE lake.{table} OPTIONS (DROP on_error)")
            self.call(f"SELECT count(*) FROM lake.{table}")
            self.call(f"SELECT * FROM lake.{table}", plan=False)
            self.call(f"SELECT reason FROM stedi.rejects('lake.{table}')")
            self.call(f"ANALYZE lake.{table}", plan=False)
            self.db.run(f"ALTER FOREIGN TABLE lake.{table} OPTIONS (ADD reject_limit '1')")
            self.call(f"SELECT * FROM lake.{table}", self.stops[table], plan=False)
            self.db.run(f"ALTER FOREIGN TABLE lake.{table} OPTIONS (DROP reject_limit)")
        self.call("SELECT count(*) FROM stedi.customer_records('lake.customer_landing')")
        self.call("SELECT count(*) FROM lake.accelerometer_landing WHERE stedi.consents("
                  "(SELECT stedi.consent_set(email, 1) FROM target.customer_trusted), \"user\", \"timestamp\")")
        self.call("SELECT email::int FROM target.customer_trusted WHERE false")
        self.call("SELECT count(*) FROM stedi.audit('target', 'lake')")
        self.call("SELECT count(*) FROM stedi.lineage('target.machine_learning_curated', landing => 'lake')")
        self.call("SELECT * FROM stedi.quality('target', landing => 'lake')")
        self.quality_has_none()
        self.call("SELECT count(*) FROM stedi.subject('target', 'p2@example.com', 'lake')")
        self.call("SELECT count(*) FROM stedi.forget('target', 'p3@example.com', 'objection', 'lake')")
        self.call("SELECT * FROM stedi.consent_history('target')")
        self.call("SELECT * FROM stedi.verify_history('target')")
        self.call("SELECT * FROM stedi.materialize('target', landing => 'lake')")
        self.key_is_nowhere()
        self.assert_only_postgresql_has_it()

    def quality_has_none(self):
        """What stedi.quality answers is nobody's who does not consent, and never a name."""
        answer = self.rows_as_text("SELECT * FROM stedi.quality('target', landing => 'lake')")
        self.said.append(answer)
        # rounded, as it would be shown
        self.assertNotIn(f"{READING:.6g}", answer)
        for person in ("p1", "S-1", "Name"):
            self.assertNotIn(person, answer)
        self.assertIn("accelerometer_landing,x,401,0,2,1,1,", answer)

    # of a record that is no JSON, or whose value does not fit its column
    stops = dict.fromkeys(LANDING_TABLES, ("22032", "22P02", "22003", "22007", "22P05", "22023", "42804"))

    def key_is_nowhere(self):
        """The key of the hashes: in its table alone."""
        key = bytes(self.db.value("SELECT key FROM stedi_books_target.stedi_key"))
        text = self.log() + "\n".join(self.said) + "\n".join(list(self.sampler.seen))
        for form in (key.hex(), " ".join(str(b if b < 128 else b - 256) for b in key)):
            self.assertNotIn(form, text)

    def test_owner(self):
        """A dump that the tables' owner makes has no keys, for these are a superuser's."""
        self.db.run("DROP SCHEMA target")
        self.db.run("CREATE ROLE regress_owner LOGIN")
        self.addCleanup(self.db.run, "DROP ROLE regress_owner")
        self.addCleanup(self.db.run, "DROP OWNED BY regress_owner CASCADE")
        self.db.run("CREATE SCHEMA target AUTHORIZATION regress_owner")
        self.db.run("CREATE USER MAPPING FOR regress_owner SERVER lake OPTIONS (anonymous 'true')")
        for schema in ("lake", "public"):
            self.db.run(f"ALTER SCHEMA {schema} OWNER TO regress_owner")
        for table in LANDING_TABLES:
            self.db.run(f"ALTER FOREIGN TABLE lake.{table} OWNER TO regress_owner")
        self.db.run("GRANT USAGE ON FOREIGN SERVER lake TO regress_owner")
        self.db.run("DROP EXTENSION pg_stat_statements CASCADE; CREATE EXTENSION pg_stat_statements")
        self.db.run("SET ROLE regress_owner")
        self.call("SELECT * FROM stedi.materialize('target', landing => 'lake')", plan=False)
        self.db.run("RESET ROLE")
        self.owner_dumps = True
        self.assertIn("p1@example.com", self.dump("regress_owner"))
        self.assert_only_postgresql_has_it()

    def test_errors_of_s3(self):
        """Whatever a server repeats of a request, with whatever status and code."""
        plain = self.fake.answer
        for where in ("list", "object"):
            for echo, repeat in ECHOES.items():
                for status, code in CODES if LONG or echo == "all" else CODES[::5]:
                    def answer(request):
                        if request.lists != (where == "list"):
                            return plain(request)
                        text = repeat(request)
                        return status, {"x-amz-bucket-region": text[:30].replace("\n", " "), "x-amz-request-id": text.replace("\n", " ")}, error(
                            code, text, f"<Token-0>{text}</Token-0><Region>{text[:32]}</Region><Endpoint>{text}</Endpoint>"
                            f"<CanonicalRequest>{text}</CanonicalRequest><StringToSign>{text}</StringToSign>")

                    self.fake.answer = answer
                    with self.subTest(where=where, echo=echo, code=code):
                        said = len(self.said)
                        with self.assertRaises(psycopg.Error) as raised:
                            self.db.rows("SELECT count(email) FROM lake.customer_landing")
                        self.said.append(everything(raised.exception))
                        self.assertEqual(signs(self.said[-1]), [])
                        self.assertNotRegex(self.said[-1], r"[0-9a-f]{64}|AKIA")
                        self.assertEqual(len(self.said), said + 1)
        # a code that is the token
        self.fake.answer = lambda request: (403, {}, error(request.headers["x-amz-security-token"], "no"))
        self.fails_with("SELECT count(email) FROM lake.customer_landing")
        self.fake.answer = plain
        # what a server has to say is told
        self.fake.answer = lambda request: (403, {}, error("AccessDenied", "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: s3:ListBucket"))
        self.fails_with("SELECT count(email) FROM lake.customer_landing")
        self.assertIn("It says: User: arn:aws:iam::123456789012:user/ada is not authorized to perform: s3:ListBucket.", self.said[-1])
        self.fake.answer = plain
        self.call("SELECT * FROM stedi.materialize('target', landing => 'lake')", plan=False)
        self.assert_only_postgresql_has_it()


if __name__ == "__main__":
    unittest.main()
