"""What the client tests share: a database of their own, landing zones, calls.

The environment says where the server is: STEDI_DSN, a libpq connection string
of a superuser on a scratch server; and STEDI_TEST_DIR, a folder that server
and tests both read (default: the system's folder for temporary files).
"""
import contextlib
import os
import pathlib
import random
import shutil
import sys
import tempfile
import unittest

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

CLIENT = pathlib.Path(__file__).resolve().parent
PROJECT = CLIENT.parents[1]
sys.path[:0] = [str(CLIENT.parent), str(CLIENT.parent / "data"), str(CLIENT.parent / "s3")]

DSN = os.environ.get("STEDI_DSN")
SEEDS = range(1, 1 + int(os.environ.get("STEDI_TEST_SEEDS", "3")))

LANDING_TABLES = ("customer_landing", "accelerometer_landing", "step_trainer_landing")

# One expression for each column of each table: times as epoch milliseconds, a
# birthday as text, so that nothing is lost on the way to Python.
MS = "(extract(epoch FROM {}) * 1000)::bigint"


def ms(column):
    return MS.format(column)


COLUMNS = {
    "customer_trusted": (
        "customername",
        "email",
        "phone",
        "to_char(birthday, 'YYYY-MM-DD')",
        "serialnumber",
        ms("registrationdate"),
        ms("lastupdatedate"),
        ms("sharewithresearchasofdate"),
        ms("sharewithpublicasofdate"),
        ms("sharewithfriendsasofdate"),
    ),
    "accelerometer_trusted": ("email", ms('"timestamp"'), "x", "y", "z"),
    "step_trainer_curated": (ms("sensorreadingtime"), "serialnumber", "distancefromobject"),
    "machine_learning_curated": (
        "serialnumber",
        ms("sensorreadingtime"),
        "distancefromobject",
        "x",
        "y",
        "z",
    ),
}
COLUMNS["customer_curated"] = COLUMNS["customer_trusted"]

# In the order in which they are made.
TABLES = (
    "customer_trusted",
    "accelerometer_trusted",
    "customer_curated",
    "step_trainer_curated",
    "machine_learning_curated",
)


def connect(dbname=None, **options):
    """A connection in autocommit mode."""
    if dbname is not None:
        options["dbname"] = dbname
    return psycopg.connect(make_conninfo(DSN, **options), autocommit=True)


def identifier(name):
    """A schema's name, quoted."""
    return '"' + name.replace('"', '""') + '"'


class Database:
    """A connection to the tests' database, with the calls that they make."""

    def __init__(self, conn):
        self.conn = conn
        self.notices = []
        conn.add_notice_handler(lambda diag: self.notices.append(diag.message_primary))

    def run(self, query, *params):
        return self.conn.execute(query, params or None)

    def rows(self, query, *params):
        return self.run(query, *params).fetchall()

    def value(self, query, *params):
        return self.rows(query, *params)[0][0]

    def make_server(self, name, url, secrets=None, **options):
        """A foreign server; options as in CREATE SERVER, secrets for a user mapping."""
        self.run(
            sql.SQL("CREATE SERVER {} FOREIGN DATA WRAPPER stedi_fdw OPTIONS ({})").format(
                sql.Identifier(name), options_list(url=url, **options)
            )
        )
        if secrets:
            self.run(
                sql.SQL("CREATE USER MAPPING FOR CURRENT_USER SERVER {} OPTIONS ({})").format(
                    sql.Identifier(name), options_list(**secrets)
                )
            )

    def make_landing(self, schema, url, secrets=None, **options):
        """A schema with the landing tables of a url, over a server of the same name."""
        self.make_server(schema, url, secrets, **options)
        self.run(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        self.run(
            sql.SQL("IMPORT FOREIGN SCHEMA landing FROM SERVER {} INTO {}").format(
                sql.Identifier(schema), sql.Identifier(schema)
            )
        )

    def drop(self, *schemas):
        """Schemas, and the servers of the same names."""
        for schema in schemas:
            self.run(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
            self.run(sql.SQL("DROP SERVER IF EXISTS {} CASCADE").format(sql.Identifier(schema)))

    def materialize(self, target, function="materialize", **named):
        """The report of a run as a list of dicts, one a table."""
        words = [sql.SQL("{}::regnamespace").format(sql.Literal(identifier(target)))]
        for name, value in named.items():
            value = identifier(value) if name == "landing" else value
            words.append(sql.SQL("{} => {}").format(sql.Identifier(name), sql.Literal(value)))
        query = sql.SQL("SELECT * FROM stedi.{}({})").format(
            sql.Identifier(function), sql.SQL(", ").join(words)
        )
        with self.conn.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query).fetchall()

    def materialize_at(self, target, **named):
        """The same, and the `now` that it went by, in epoch milliseconds."""
        with self.conn.transaction():
            now = self.value("SELECT floor(extract(epoch FROM now()) * 1000)::bigint")
            return self.materialize(target, **named), now

    def table(self, schema, table):
        """The rows of one of the five tables, as the oracle gives them; sorted."""
        query = f"SELECT {', '.join(COLUMNS[table])} FROM {identifier(schema)}.{table}"
        return sorted(self.rows(query), key=sort_key)

    def tables(self, schema):
        return {table: self.table(schema, table) for table in TABLES}

    def counts(self, schema):
        return [
            self.value(f"SELECT count(*) FROM {identifier(schema)}.{table}") for table in TABLES
        ]

    def rejects(self, schema, table):
        """(object, line, byte_offset, record), sorted by place."""
        return self.rows(
            "SELECT object, line, byte_offset, record FROM stedi.rejects(%s::regclass)"
            ' ORDER BY object COLLATE "C", byte_offset',
            f"{identifier(schema)}.{table}",
        )


def options_list(**options):
    return sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.Literal(str(value)))
        for name, value in options.items()
    )


def sort_key(row):
    """Any order that takes None; -0 is 0."""
    return tuple((value is None, 0 if value is None else value) for value in row)


def file_url(folder):
    return f"file://{folder}"


@unittest.skipUnless(DSN, "STEDI_DSN names no server")
class ServerTest(unittest.TestCase):
    """Tests with a database of their own (db), and a folder that the server reads."""

    @classmethod
    def setUpClass(cls):
        cls.dbname = f"stedi_{cls.__name__.lower()}_{os.getpid()}_{random.randrange(1 << 30)}"
        with connect() as conn:
            conn.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(
                    sql.Identifier(cls.dbname)
                )
            )
        cls.addClassCleanup(cls.drop_database)
        cls.db = Database(cls.connect())
        cls.addClassCleanup(cls.db.conn.close)
        cls.db.run("CREATE EXTENSION stedi")
        cls.folder = make_folder()
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)

    @classmethod
    def drop_database(cls):
        with connect() as conn:
            name = sql.Identifier(cls.dbname)
            conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))

    @classmethod
    def connect(cls):
        return connect(cls.dbname)

    def setUp(self):
        self.db.notices.clear()

    @contextlib.contextmanager
    def landing(self, schema, folder, **options):
        """A schema with the landing tables of a local folder, while it lasts."""
        self.db.drop(schema)
        self.db.make_landing(schema, file_url(folder), **options)
        try:
            yield schema
        finally:
            self.db.drop(schema)

    @contextlib.contextmanager
    def schema(self, name):
        """An empty schema, while it lasts."""
        self.db.drop(name)
        self.db.run(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        try:
            yield name
        finally:
            self.db.drop(name)


def make_folder():
    """A scratch folder that the server may read."""
    parent = os.environ.get("STEDI_TEST_DIR")
    if parent:
        os.makedirs(parent, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="stedi-", dir=parent)
    os.chmod(folder, 0o755)
    return pathlib.Path(folder)
