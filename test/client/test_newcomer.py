"""What a newcomer gets wrong, over a real S3 server: each error's hint cures it.

The statement is taken out of the hint as it stands; only where it says '...'
does the test write what its reader knows: keys, and the name of the bucket.
Then the same query has to work.  Guards src/base/cure.c, src/s3/suggest.c and the
cures in src/net/trouble.c.
"""
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import psycopg

from stedi_client import PROJECT, ServerTest, file_url
from stedi_cluster import Cluster

from fault_proxy import Fault, FaultProxy, error_answer

ENDPOINT = os.environ.get("STEDI_S3_ENDPOINT")
ACCESS_KEY = os.environ.get("STEDI_S3_ACCESS_KEY")
STRANGER_KEY = os.environ.get("STEDI_S3_STRANGER_KEY")
SECRET_KEY = os.environ.get("STEDI_S3_SECRET_KEY")
KEYS = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
BUCKET = "newcomer"

STATEMENT = re.compile(r"\b(?:ALTER|CREATE|GRANT) [^;]*;")
READ = "SELECT count(*) FROM lake.customer_landing"

# What their reader fills in.
KNOWN = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY, "url": BUCKET, "region": "us-east-1"}


def put(*words):
    subprocess.run(
        [sys.executable, PROJECT / "test/s3/s3put.py", "--endpoint", ENDPOINT, *words], check=True
    )


def filled_in(statement):
    """The statement with what its reader knows in place of each '...'."""
    return re.sub(
        r"(\w+) ('[^']*?)\.\.\.", lambda found: f"{found[1]} {found[2]}{KNOWN[found[1]]}", statement
    )


@unittest.skipUnless(ENDPOINT, "no S3 server is named: run within test/s3/with_s3")
class NewcomerTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with tempfile.TemporaryDirectory() as scratch:
            file = pathlib.Path(scratch) / "record.json"
            file.write_text('{"email": "ada@example.com", "lastUpdateDate": 1, "shareWithResearchAsOfDate": 1}\n')
            put("make-bucket", BUCKET)
            for folder in ("customers", "accelerometer", "step_trainer", "it's/deep er/customers", "_hidden"):
                put("put", BUCKET, f"{folder}/1.json", file)
                path = cls.folder / "local" / folder
                path.mkdir(parents=True)
                shutil.copy(file, path / "1.json")

    def lake(self, secrets=None, url=f"s3://{BUCKET}", **options):
        self.addCleanup(self.db.drop, "lake")
        self.db.drop("lake")
        given = {"endpoint": ENDPOINT, "allow_http": "true", "max_tries": "1", **options}
        given = {name: value for name, value in given.items() if value is not None}
        self.db.make_landing("lake", url, secrets=KEYS if secrets is None else secrets, **given)

    def failure(self, db, query):
        with self.assertRaises(psycopg.Error) as raised:
            db.run(query)
        diag = raised.exception.diag
        for part in (diag.message_primary, diag.message_detail, diag.message_hint, diag.context):
            for secret in (SECRET_KEY, ACCESS_KEY, STRANGER_KEY, "wrong-secret", "Signature="):
                self.assertNotIn(secret, part or "")
        return diag

    def cure(self, message, statement, query=READ, expected=1, db=None):
        """The query fails with that message, whose hint has that statement, which cures it."""
        db = db or self.db
        diag = self.failure(db, query)
        self.assertIn(message, diag.message_primary)
        found = STATEMENT.findall(diag.message_hint)
        self.assertEqual(found[:1], [statement], diag.message_hint)
        self.db.run(filled_in(statement))
        if expected is not None:
            self.assertEqual(db.value(query), expected)
        return diag

    def options(self, table):
        return self.db.value(f"SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = '{table}'::regclass")

    def test_no_mapping(self):
        self.lake({})
        self.cure(
            "no S3 access without a user mapping",
            "CREATE USER MAPPING FOR postgres SERVER lake"
            " OPTIONS (access_key_id '...', secret_access_key '...');",
        )

    def test_mapping_without_keys(self):
        self.lake({"anonymous": "false"})
        self.cure(
            "no S3 access without a user mapping",
            "ALTER USER MAPPING FOR postgres SERVER lake"
            " OPTIONS (DROP anonymous, ADD access_key_id '...', ADD secret_access_key '...');",
        )

    def test_wrong_keys(self):
        set_keys = ("ALTER USER MAPPING FOR postgres SERVER lake"
                    " OPTIONS (SET access_key_id '...', SET secret_access_key '...');")
        self.lake({"access_key_id": ACCESS_KEY, "secret_access_key": "wrong-secret"})
        self.cure("the secret does not go with the access key", set_keys)
        self.lake({"access_key_id": "AKIANOBODY", "secret_access_key": SECRET_KEY})
        self.cure("the access key is not known", set_keys)

    def test_names_that_need_quotes(self):
        """Server, schema, table and user, and a mapping for everybody."""
        self.db.run('DROP OWNED BY "regress_O\'Neil ""x"""') if self.has_role() else None
        self.db.run('DROP ROLE IF EXISTS "regress_O\'Neil ""x"""')
        self.addCleanup(self.db.run, 'DROP ROLE "regress_O\'Neil ""x"""')
        self.addCleanup(self.db.drop, 'My "Lake"', "lake")
        self.db.run('CREATE ROLE "regress_O\'Neil ""x"""')
        self.db.drop('My "Lake"')
        self.db.make_landing('My "Lake"', f"s3://{BUCKET}", endpoint=ENDPOINT)
        query = 'SELECT count(*) FROM "My ""Lake""".customer_landing'
        other = self.connect()
        self.addCleanup(other.close)
        other = type(self.db)(other)
        other.run('SET ROLE "regress_O\'Neil ""x"""')
        schema, server, role = '"My ""Lake"""', '"My ""Lake"""', '"regress_O\'Neil ""x"""'
        self.db.run(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        self.cure(
            "permission denied for foreign table customer_landing",
            f"GRANT SELECT ON {schema}.customer_landing TO {role};", query, None, other,
        )
        self.cure("is not encrypted", f"ALTER SERVER {server} OPTIONS (ADD allow_http 'true');", query, None, other)
        self.cure(
            "no S3 access without a user mapping",
            f"CREATE USER MAPPING FOR {role} SERVER {server} OPTIONS (access_key_id '...', secret_access_key '...');",
            query, 1, other,
        )
        self.db.run(f"DROP USER MAPPING FOR {role} SERVER {server}")
        self.db.run(f"CREATE USER MAPPING FOR PUBLIC SERVER {server} OPTIONS (anonymous 'true')")
        self.cure(
            "access denied",
            f"ALTER USER MAPPING FOR PUBLIC SERVER {server}"
            " OPTIONS (DROP anonymous, ADD access_key_id '...', ADD secret_access_key '...');",
            query, 1, other,
        )

    def has_role(self):
        return self.db.value("SELECT count(*) FROM pg_roles WHERE rolname = 'regress_O''Neil \"x\"'")

    def test_http(self):
        self.lake(allow_http=None)
        self.cure("is not encrypted", "ALTER SERVER lake OPTIONS (ADD allow_http 'true');")
        self.lake(allow_http="off")
        self.cure("is not encrypted", "ALTER SERVER lake OPTIONS (SET allow_http 'true');")

    def test_region(self):
        """A server that says which region is right is asked there; one that does not, cannot be."""
        proxy = self.enterContext(FaultProxy(ENDPOINT))

        told = {"eu-north-1": "", "eu-west-1": "eu-west-2", "eu-west-2": "us-east-1", "eu-west-3": "us-east-1"}

        def judge(request):
            if request.region not in told:
                return Fault()
            more = f"<Region>{told[request.region]}</Region>"
            return Fault("region", answer=error_answer(400, "AuthorizationHeaderMalformed", more=more))

        proxy.add("GET", judge)
        self.lake(endpoint=proxy.endpoint, region="eu-west-3")
        self.assertEqual(self.db.value(READ), 1)
        self.lake(endpoint=proxy.endpoint, region="eu-north-1")
        self.cure("it was asked for in the wrong region", "ALTER SERVER lake OPTIONS (SET region '...');")
        self.lake(endpoint=proxy.endpoint, region="eu-west-1")
        self.cure("it was asked for in the wrong region", "ALTER SERVER lake OPTIONS (SET region 'us-east-1');")

    def test_bucket(self):
        self.lake(url="s3://newcomers")
        self.cure("there is no such bucket", "ALTER SERVER lake OPTIONS (SET url 's3://...');")
        self.lake(url="s3://newcomers/it's/deep er")
        diag = self.cure("there is no such bucket", "ALTER SERVER lake OPTIONS (SET url 's3://.../it''s/deep er');")
        self.assertIn("newcomers", diag.message_primary)

    def test_access_denied(self):
        self.lake({"access_key_id": STRANGER_KEY, "secret_access_key": SECRET_KEY})
        diag = self.cure(
            "access denied",
            "ALTER USER MAPPING FOR postgres SERVER lake"
            " OPTIONS (SET access_key_id '...', SET secret_access_key '...');",
        )
        self.assertIn("s3:ListBucket", diag.message_hint)

    def check_prefixes(self):
        table = "lake.customer_landing"
        for wrong, right in (
            ("custmers", "customers"), ("Customers", "customers"), ("costumers/", "customers"),
            ("its/deep er/customers", "it's/deep er/customers"),
            ("it's/deeper/customers", "it's/deep er/customers"),
            ("it's/deep er/customer", "it's/deep er/customers"),
        ):
            with self.subTest(wrong):
                self.db.run(f"ALTER FOREIGN TABLE {table} OPTIONS (SET prefix '{wrong.replace(chr(39), chr(39) * 2)}')")
                quoted = right.replace("'", "''")
                diag = self.cure("no object under", f"ALTER FOREIGN TABLE {table} OPTIONS (SET prefix '{quoted}');")
                self.assertIn(f'Perhaps you meant prefix "{right}"', diag.message_hint)

        # nothing like it: what there is
        self.db.run(f"ALTER FOREIGN TABLE {table} OPTIONS (SET prefix 'people')")
        KNOWN["prefix"] = "customers"
        diag = self.cure("no object under", f"ALTER FOREIGN TABLE {table} OPTIONS (SET prefix '...');")
        self.assertIn('What is there: "accelerometer", "customers", "it\'s", "step_trainer".', diag.message_hint)

        # it may be right
        self.db.run(f"ALTER FOREIGN TABLE {table} OPTIONS (SET prefix 'it''s/deep er/customers/2.json')")
        self.assertNotIn("Perhaps", self.failure(self.db, READ).message_hint)
        # the key of one object
        self.db.run(f"ALTER FOREIGN TABLE {table} OPTIONS (SET prefix 'it''s/deep er/customers/1.json')")
        self.assertEqual(self.db.value(READ), 1)

        # through a view or a function, its user does not learn what there is
        self.db.run(f"ALTER FOREIGN TABLE {table} OPTIONS (SET prefix 'custmers')")
        self.db.run("CREATE OR REPLACE VIEW public.seen AS SELECT email FROM lake.customer_landing")
        self.addCleanup(self.db.run, "DROP VIEW IF EXISTS public.seen")
        self.db.run("DROP ROLE IF EXISTS regress_reader")
        self.db.run("CREATE ROLE regress_reader")
        self.addCleanup(self.db.run, "DROP ROLE regress_reader")
        self.db.run("GRANT SELECT ON public.seen TO regress_reader")
        self.db.run(
            "CREATE OR REPLACE FUNCTION public.look() RETURNS bigint SECURITY DEFINER"
            f" LANGUAGE plpgsql AS $$ BEGIN RETURN ({READ}); END $$"
        )
        for query in ("SELECT * FROM public.seen", "SELECT public.look()"):
            self.assertIn('"customers"', self.failure(self.db, query).message_hint)
            self.db.run("SET ROLE regress_reader")
            try:
                diag = self.failure(self.db, query)
            finally:
                self.db.run("RESET ROLE")
            self.assertIn("no object under", diag.message_primary)
            self.assertNotIn("customers", diag.message_hint)
        self.db.run("DROP VIEW public.seen")

    def test_prefix(self):
        self.lake()
        self.check_prefixes()

    def test_prefix_of_a_folder(self):
        self.addCleanup(self.db.drop, "lake")
        self.db.drop("lake")
        self.db.make_landing("lake", file_url(self.folder / "local"))
        self.check_prefixes()

    def check_layouts(self, make):
        """Landing data beside what was made of it: the hint names the landing data."""
        table = "lake.customer_landing"
        for layout, right in (
            (("customer/landing", "customer/trusted", "accelerometer/landing"), "customer/landing"),
            (("landing/customer", "trusted/customer", "curated/customers_"), "landing/customer"),
            (("landing/customers", "trusted/customers"), "landing/customers"),
            (("customer_landing", "customer_trusted", "step"), "customer_landing"),
            (("stedi/customer/Landing", "stedi/customer/trusted", "stedi/step/landing"), "stedi/customer/Landing"),
            (("customer/raw", "customer/trusted"), "customer"),
            (("people/landing", "people/trusted"), None),
        ):
            with self.subTest(layout):
                make(layout)
                if right is None:
                    self.assertNotIn("Perhaps", self.failure(self.db, READ).message_hint)
                    continue
                expected = 2 if right == "customer" else 1
                self.cure("no object under", f"ALTER FOREIGN TABLE {table} OPTIONS (SET prefix '{right}');", expected=expected)

    def test_layouts_of_a_bucket(self):
        with tempfile.TemporaryDirectory() as scratch:
            file = pathlib.Path(scratch) / "record.json"
            file.write_text('{"email": "ada@example.com"}\n')

            def make(layout, number=iter(range(100))):
                bucket = f"layout-{next(number)}"
                put("make-bucket", bucket)
                for folder in layout:
                    put("put", bucket, f"{folder}/1.json", file)
                self.lake(url=f"s3://{bucket}")

            self.check_layouts(make)

    def test_layouts_of_a_folder(self):
        def make(layout):
            root = self.folder / f"layout{random.randrange(1 << 30)}"
            for folder in (*layout, "customers"):
                if folder == "customers" and any(name.startswith("landing") for name in layout):
                    continue
                (root / folder).mkdir(parents=True)
            for folder in layout:
                (root / folder / "1.json").write_text('{"email": "ada@example.com"}\n')
            self.addCleanup(self.db.drop, "lake")
            self.db.drop("lake")
            self.db.make_landing("lake", file_url(root))

        self.check_layouts(make)

    def test_a_slash_too_many(self):
        """In a bucket it is part of the key; the hint has what is meant."""
        self.lake()
        for wrong in ("/customers", "//customers/", "customers//"):
            self.db.run(f"ALTER FOREIGN TABLE lake.customer_landing OPTIONS (SET prefix '{wrong}')")
            self.cure("no object under", "ALTER FOREIGN TABLE lake.customer_landing OPTIONS (SET prefix 'customers');")

    def test_prefix_below_a_url(self):
        self.lake(url=f"s3://{BUCKET}/it's/deep er")
        self.db.run("ALTER FOREIGN TABLE lake.customer_landing OPTIONS (SET prefix 'custmers')")
        self.cure("no object under", "ALTER FOREIGN TABLE lake.customer_landing OPTIONS (SET prefix 'customers');")

    def test_prefixes_that_cannot_be_listed(self):
        """As with the least IAM policy: the error is still that of the prefix."""
        proxy = self.enterContext(FaultProxy(ENDPOINT))
        proxy.add("delimiter", Fault("denied", answer=error_answer(403, "AccessDenied")))
        self.lake(endpoint=proxy.endpoint)
        self.db.run("ALTER FOREIGN TABLE lake.customer_landing OPTIONS (SET prefix 'custmers')")
        diag = self.failure(self.db, READ)
        self.assertIn("no object under prefix", diag.message_primary)
        self.assertIn('option "prefix"', diag.message_hint)
        self.assertEqual(proxy.injected["denied"], 1)

    def test_privileges(self):
        """From nothing to a run of materialize, by what the hints say alone."""
        self.lake({})
        self.db.run("DROP ROLE IF EXISTS regress_etl")
        self.db.run("CREATE ROLE regress_etl")
        self.addCleanup(self.db.run, "DROP ROLE regress_etl")
        self.addCleanup(self.db.run, "DROP OWNED BY regress_etl")
        self.addCleanup(self.db.drop, "zone")
        self.db.drop("zone")
        self.db.run("CREATE SCHEMA zone")
        other = type(self.db)(self.connect())
        self.addCleanup(other.conn.close)
        other.run("SET ROLE regress_etl")
        run = "SELECT rows FROM stedi.materialize('zone', landing => 'lake')"
        said = []
        for _ in range(10):
            try:
                other.run(run)
                break
            except psycopg.Error as error:
                (statement, *_) = STATEMENT.findall(error.diag.message_hint)
                said.append(statement)
                self.db.run(filled_in(statement))
        self.assertEqual(said, [
            "GRANT USAGE, CREATE ON SCHEMA zone TO regress_etl;",
            "GRANT USAGE ON SCHEMA lake TO regress_etl;",
            "GRANT SELECT ON lake.customer_landing TO regress_etl;",
            "GRANT SELECT ON lake.accelerometer_landing TO regress_etl;",
            "GRANT SELECT ON lake.step_trainer_landing TO regress_etl;",
            "CREATE USER MAPPING FOR regress_etl SERVER lake OPTIONS (access_key_id '...', secret_access_key '...');",
        ])
        self.assertEqual(self.db.value("SELECT count(*) FROM zone.customer_trusted"), 1)
        self.cure(
            "permission denied for foreign server lake",
            "GRANT USAGE ON FOREIGN SERVER lake TO regress_etl;",
            "SELECT source FROM stedi.credential('lake')", "static", other,
        )
        self.db.run("REVOKE SELECT ON lake.customer_landing FROM regress_etl")
        self.cure(
            "permission denied for foreign table customer_landing",
            "GRANT SELECT ON lake.customer_landing TO regress_etl;",
            "SELECT count(*) FROM stedi.rejects('lake.customer_landing')", 0, other,
        )

        # somebody else's tables
        self.db.run("DROP ROLE IF EXISTS regress_other")
        self.db.run("CREATE ROLE regress_other")
        self.addCleanup(self.db.run, "DROP ROLE regress_other")
        other.run("RESET ROLE")
        other.run("SET ROLE regress_other")
        self.cure('must be owner of the tables in schema "zone"', "GRANT regress_etl TO regress_other;",
                  "SELECT count(*) FROM stedi.materialize('zone', landing => 'lake')", 5, other)

        # nor is a superuser's role given away for them
        self.db.run("CREATE SCHEMA ours")
        self.addCleanup(self.db.drop, "ours")
        self.db.run("CREATE TABLE ours.customer_trusted (LIKE zone.customer_trusted)")
        hint = self.failure(other, "SELECT stedi.materialize('ours', landing => 'lake')").message_hint
        self.assertEqual(hint, "Have that role run it.")

    @unittest.skipUnless(shutil.which("gcc"), "gcc is not installed")
    def test_clock(self):
        """No SQL can set it: the message says whose clock differs by how much."""
        cluster = Cluster(self)
        shim = cluster.folder / "clock.so"
        source = pathlib.Path(__file__).with_name("clock.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", shim, source], check=True)
        right = dict(cluster.environment)
        for off, side in (("-3600", "ahead of"), ("7200", "behind")):
            cluster.stop()
            cluster.environment = {**right, "LD_PRELOAD": str(shim), "STEDI_TEST_CLOCK": off}
            if not cluster.data.exists():
                cluster.make()
                db = cluster.make_database("lake")
                db.make_landing("lake", f"s3://{BUCKET}", KEYS, endpoint=ENDPOINT, allow_http="true")
            else:
                cluster.start()
                db = cluster.database("lake")
            with db.conn:
                diag = self.failure(db, READ)
            self.assertIn("the clocks differ too much", diag.message_primary)
            found = re.search(rf"Its clock is (\d+) seconds {side} that of the database server", diag.message_detail)
            self.assertAlmostEqual(int(found[1]), abs(int(off)), delta=60)
            self.assertIn("timedatectl set-ntp true", diag.message_hint)
        cluster.stop()
        cluster.environment = right
        cluster.start()
        with cluster.connect("lake") as conn:
            self.assertEqual(conn.execute(READ).fetchone(), (1,))


if __name__ == "__main__":
    unittest.main()
