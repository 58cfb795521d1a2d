"""Where keys and tokens go: nowhere.

A server of its own logs everything that it can.  Whatever is secret of any
source of credentials has a canary in it, and goes through queries and through
errors whose answers repeat it; afterwards it is in no log, no view of what
others run, no message and no plan.  When a query has ended, keys are not even
in the process's memory.  What is planted there is found by the same search.
Guards src/credential*.c and src/base/secret.c.
"""
import json
import types
import unittest

import psycopg

from stedi_client import ServerTest, make_folder
from stedi_cluster import Cluster
from stedi_loopback import S3_ERROR, STS_ERROR, Bucket, Credentials


def everything(error):
    """All that an error says to a client."""
    names = [name for name in dir(error.diag) if not name.startswith("_")]
    return "\n".join(str(getattr(error.diag, name)) for name in names)


def record(number):
    return json.dumps({"sensorReadingTime": number, "serialNumber": "s", "distanceFromObject": 7}) + "\n"


def memory(pid, canary):
    """How often a canary is in the memory of a process."""
    found = 0
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            place, rights = line.split()[:2]
            begin, end = (int(part, 16) for part in place.split("-"))
            if not rights.startswith("rw") or "[v" in line:
                continue
            mem.seek(begin)
            try:
                found += mem.read(end - begin).count(canary.encode())
            except OSError:  # a hole
                pass
    return found


class KeysTest(ServerTest):
    """Every secret that there is has a canary in it."""

    SIGN = "canary"
    SOURCES = ("environment", "profile", "web_identity", "container", "instance")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()

        def skip(reason):
            raise unittest.SkipTest(reason)

        shared = types.SimpleNamespace(addCleanup=cls.addClassCleanup, skipTest=skip)
        cls.credentials = Credentials(shared)
        cls.credentials.METADATA_TOKEN = "metadata-canary"
        cls.credentials.make = cls.make_keys
        cls.keys = {
            "AKIAENVIRONMENT0": ("environment/canary", "environment-token/canary", None),
            "AKIAPROFILE00000": ("profile/canary", "profile-token/canary", None),
        }
        files = make_folder()
        (files / "identity").write_text("identity-canary\n")
        (files / "credentials").write_text(
            "[default]\naws_access_key_id = AKIAPROFILE00000\naws_secret_access_key = profile/canary\n"
            "aws_session_token = profile-token/canary\n"
            "[role]\nrole_arn = arn:x\nsource_profile = default\nexternal_id = external-canary\n"
            "[broken]\naws_secret_access_key canary\n"
        )
        cls.cluster = Cluster(shared, shared_preload_libraries="pg_stat_statements", **{"pg_stat_statements.track": "all"})
        cls.cluster.environment.update(
            AWS_ACCESS_KEY_ID="AKIAENVIRONMENT0",
            AWS_SECRET_ACCESS_KEY="environment/canary",
            AWS_SESSION_TOKEN="environment-token/canary",
            AWS_SHARED_CREDENTIALS_FILE=files / "credentials",
            AWS_CONFIG_FILE=files / "config",
            AWS_ROLE_ARN="arn:aws:iam::1:role/x",
            AWS_WEB_IDENTITY_TOKEN_FILE=files / "identity",
            AWS_ENDPOINT_URL_STS=cls.credentials.url,
            AWS_CONTAINER_CREDENTIALS_FULL_URI=cls.credentials.url + "/container",
            AWS_CONTAINER_AUTHORIZATION_TOKEN="container-canary",
            AWS_EC2_METADATA_SERVICE_ENDPOINT=cls.credentials.url,
        )
        cls.cluster.make()
        cls.bucket = Bucket(shared, {f"step_trainer/{i}.json": record(i) for i in range(9)}, cls.keys)
        # PostgreSQL itself writes its environment into the log at debug3, when it starts
        with cls.cluster.connect("postgres") as conn:
            conn.execute("ALTER SYSTEM SET log_min_messages = debug5")
            conn.execute("ALTER SYSTEM SET log_min_error_statement = error")
            conn.execute("SELECT pg_reload_conf()")
        db = cls.cluster.make_database("lake")
        db.run("CREATE EXTENSION pg_stat_statements")
        db.conn.close()

    @classmethod
    def make_keys(cls):
        """Fetched keys, as JSON has them."""
        number = len(cls.keys)
        keys = {
            "AccessKeyId": f"ASIAFETCHED{number:05}",
            "SecretAccessKey": f"fetched/canary{number}",
            "Token": f"fetched-token/canary{number}",
            "Expiration": "2999-01-01T00:00:00Z",
        }
        cls.keys[keys["AccessKeyId"]] = (keys["SecretAccessKey"], keys["Token"], None)
        return keys

    def setUp(self):
        super().setUp()
        self.db = self.cluster.database("lake")
        self.addCleanup(self.db.conn.close)
        self.addCleanup(self.db.drop, "lake")
        self.db.run("SELECT pg_stat_statements_reset()")
        self.log_begins = len(self.whole_log())
        self.said = []
        self.credentials.broken = None

    def whole_log(self):
        return (self.cluster.folder / "log").read_text(errors="replace")

    def use(self, source, **more):
        self.db.drop("lake")
        self.db.make_landing("lake", "s3://bucket", {"credentials": source, **more},
                             endpoint=self.bucket.url, allow_http="true", max_tries="1")

    def says(self, query):
        """What a query says, rows and errors; True when it is no error."""
        try:
            self.said += [str(row) for row in self.db.rows(query)]
            return True
        except psycopg.Error as error:
            self.said.append(everything(error))
            return False

    def say_all(self):
        """Everything that may tell of credentials; True when nothing of it is an error."""
        return all([
            self.says("SELECT * FROM stedi.credential('lake')"),
            self.says("SELECT * FROM lake.step_trainer_landing"),
            self.says("EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM lake.step_trainer_landing"),
            self.says("SELECT * FROM pg_user_mappings"),
        ])

    def places(self):
        with self.cluster.connect("lake") as conn:
            statements = conn.execute(
                "SELECT string_agg(t, E'\\n') FROM (SELECT s::text AS t FROM pg_stat_statements s"
                " UNION ALL SELECT a::text FROM pg_stat_activity a) u"
            ).fetchone()[0]
        return {
            "log": self.whole_log()[self.log_begins:],
            "statements": statements,
            "messages": "\n".join(self.said + self.db.notices),
        }

    def found(self):
        return {
            place: [line for line in text.splitlines() if self.SIGN in line.lower() or "Signature=" in line][:3]
            for place, text in self.places().items()
        }

    def assert_nowhere(self):
        self.assertEqual(self.found(), {"log": [], "statements": [], "messages": []})
        self.assertIn("DEBUG", self.places()["log"])

    def test_what_is_planted_is_found(self):
        self.db.run("DO $$ BEGIN RAISE LOG 'canary'; END $$")
        self.db.run("SELECT 1 AS canary")
        self.says("SELECT 'canary'::int")
        for place, lines in self.found().items():
            self.assertNotEqual(lines, [], place)

    def test_good(self):
        for source in self.SOURCES:
            with self.subTest(source=source):
                self.use(source)
                self.assertTrue(self.say_all())
        self.use("profile", profile="role")
        self.assertTrue(self.say_all())
        self.assert_nowhere()

    def test_bad(self):
        """What S3, the token service, the container and the instance answer has the secrets in it."""
        echo = (
            "<Error><Code>SignatureDoesNotMatch</Code><Message>canary</Message>"
            "<StringToSign>canary</StringToSign><SignatureProvided>canary</SignatureProvided></Error>"
        )
        token = S3_ERROR.format("InvalidToken").replace("</Error>", "<Token-0>canary</Token-0></Error>")
        good = self.bucket.loopback.answer
        self.addCleanup(setattr, self.bucket.loopback, "answer", good)
        for source in self.SOURCES:
            self.use(source)
            for answer in ((403, echo), (400, token), (403, "canary"), (200, "<canary/>"), (500, "canary")):
                self.bucket.loopback.answer = lambda request, answer=answer: answer
                self.assertFalse(self.say_all())
        self.bucket.loopback.answer = good
        for source in self.SOURCES[2:]:
            for broken in (
                (200, '{"SecretAccessKey":"canary"'),
                (200, '{"AccessKeyId":"a","SecretAccessKey":"canary","Expiration":"canary"}'),
                (200, "canary"),
                (200, "canary\ncanary"),
                (200, "<AssumeRoleResponse><AssumeRoleResult><Credentials><SecretAccessKey>canary"),
                (403, STS_ERROR.format("InvalidIdentityToken", "no").replace("</Error>", "<Token>canary</Token></Error>")),
                (400, '{"message":"canary"}'),
            ):
                with self.subTest(source=source, broken=broken):
                    self.credentials.broken = broken
                    self.db = self.cluster.database("lake")  # which has no keys
                    self.addCleanup(self.db.conn.close)
                    self.use(source)
                    self.assertFalse(self.say_all())
        self.use("profile", profile="broken")
        self.assertFalse(self.say_all())
        self.assert_nowhere()

    def test_wiped(self):
        """A secret of a file is in memory while a query runs, and not any more when it has ended."""
        canary = "profile/canary"
        self.use("profile")
        pid = self.db.conn.info.backend_pid
        try:
            self.assertEqual(memory(pid, canary), 0)
        except PermissionError:
            self.skipTest("the kernel lets nobody look into a process")
        with self.db.conn.transaction():
            self.db.run("DECLARE c CURSOR FOR SELECT * FROM lake.step_trainer_landing")
            self.db.run("FETCH 1 FROM c")
            self.assertGreater(memory(pid, canary), 0)
            self.db.run("CLOSE c")
            self.assertEqual(memory(pid, canary), 0)
            # an error ends it as well
            self.db.run("DECLARE c CURSOR FOR SELECT 1 / (distancefromobject - 7) FROM lake.step_trainer_landing")
            with self.assertRaises(psycopg.Error), self.db.conn.transaction():
                self.db.run("FETCH 1 FROM c")
        self.assertEqual(memory(pid, canary), 0)
        # the secret that signs for a role, too; the role's own is kept for the session
        self.use("profile", profile="role")
        self.assertTrue(self.say_all())
        self.assertEqual(memory(pid, canary), 0)
        fetched = "fetched/canary%d" % (len(self.keys) - 1)
        self.assertEqual(memory(pid, fetched), 1)


if __name__ == "__main__":
    unittest.main()
