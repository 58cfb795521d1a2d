"""A real S3 server's tokens of three seconds, over scans that take longer.

Proves that scans go over several renewals without losing a record, whoever
renews: our own AssumeRole, a container's endpoint that hands tokens out, a file
that somebody rewrites.  The token service is radosgw's, which verifies tokens
and denies access to one that has run out (AWS says ExpiredToken:
test_credential.py has that).  Guards src/credential*.c and src/s3/fetch.c.
"""
import os
import subprocess
import sys
import threading
import time
import types
import unittest
import urllib.parse
import xml.etree.ElementTree

import psycopg

from stedi_client import PROJECT, ServerTest, make_folder
from stedi_cluster import Cluster
from stedi_loopback import Loopback, sign

STS = os.environ.get("STEDI_STS_ENDPOINT")
ROLE = os.environ.get("STEDI_STS_ROLE")
KEYS = (os.environ.get("STEDI_S3_ACCESS_KEY"), os.environ.get("STEDI_S3_SECRET_KEY"))
LIFE = 3  # seconds of a token
N_OBJECTS = 60
N_RECORDS = 5  # of each
SCAN = "SELECT sensorreadingtime FROM lake.step_trainer_landing"


def assume_role(seconds=LIFE):
    """(access key, secret, token, end) of the token service, asked by ourselves."""
    body = urllib.parse.urlencode({
        "Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": ROLE,
        "RoleSessionName": "test", "DurationSeconds": seconds,
    }).encode()
    answer = sign(STS, "POST", "/", body, "sts", *KEYS)
    tree = xml.etree.ElementTree.fromstring(answer)
    found = {element.tag.rpartition("}")[2]: element.text for element in tree.iter()}
    return tuple(found[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"))


@unittest.skipUnless(STS, "no token service is named: run within test/s3/with_s3")
class RenewalTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()

        def skip(reason):
            raise unittest.SkipTest(reason)

        shared = types.SimpleNamespace(addCleanup=cls.addClassCleanup, skipTest=skip)
        cls.files = make_folder()
        cls.answer = None
        cls.container = Loopback(shared, lambda request: cls.answer(request))
        cls.cluster = Cluster(shared)
        cls.cluster.environment.update(
            AWS_ENDPOINT_URL_STS=STS,
            AWS_CONFIG_FILE=cls.files / "config",
            AWS_SHARED_CREDENTIALS_FILE=cls.files / "credentials",
            AWS_CONTAINER_CREDENTIALS_FULL_URI=cls.container.url,
        )
        cls.cluster.make()
        cls.cluster.make_database("lake").conn.close()
        folder = cls.folder / "objects" / "step_trainer"
        folder.mkdir(parents=True)
        for number in range(N_OBJECTS):
            (folder / f"{number:03}.json").write_text("".join(
                '{"sensorReadingTime":%d,"serialNumber":"s","distanceFromObject":1}\n' % (number * N_RECORDS + i)
                for i in range(N_RECORDS)
            ))
        put = [sys.executable, PROJECT / "test/s3/s3put.py"]
        subprocess.run([*put, "make-bucket", "renewal"], check=True)
        subprocess.run([*put, "sync", folder.parent, "renewal"], check=True)

    def setUp(self):
        super().setUp()
        self.db = self.cluster.database("lake")
        self.addCleanup(self.db.conn.close)
        self.addCleanup(self.db.drop, "lake")

    def use(self, source, **options):
        self.db.make_landing(
            "lake", "s3://renewal", {"credentials": source, **options},
            endpoint=STS, allow_http="true", connections="1",
        )

    def slow_scan(self):
        """All records, read object by object over three lives of a token."""
        until = time.monotonic() + 3 * LIFE
        rows = []
        with self.db.conn.transaction(), self.db.conn.cursor(name="slow") as cursor:
            cursor.itersize = N_RECORDS
            cursor.execute(SCAN)
            for number in range(N_OBJECTS):
                rows += cursor.fetchmany(N_RECORDS)
                # no faster than that
                rest = until - time.monotonic()
                threading.Event().wait(max(rest, 0) / (N_OBJECTS - number))
            rows += cursor.fetchall()
        self.assertGreaterEqual(time.monotonic(), until)
        self.assertEqual(sorted(rows), [(i,) for i in range(N_OBJECTS * N_RECORDS)])

    def test_tokens_are_verified(self):
        """What this rests on: a token of other keys, or one that is altered, does not do."""
        key, secret, *_ = assume_role(60)
        good = assume_role(60)
        for keys, works in (
            (good[:3], True),
            ((key, secret, good[2]), False),
            (good[:2] + (good[2][:-8] + "AAAAAAA=",), False),
        ):
            self.db.drop("lake")
            self.db.make_landing(
                "lake", "s3://renewal",
                dict(zip(("access_key_id", "secret_access_key", "session_token"), keys)),
                endpoint=STS, allow_http="true",
            )
            if works:
                self.assertEqual(len(self.db.rows(SCAN)), N_OBJECTS * N_RECORDS)
                continue
            with self.assertRaises(psycopg.Error) as raised:
                self.db.rows(SCAN)
            self.assertEqual(raised.exception.diag.sqlstate, "28000")
            self.assertNotIn(keys[2], str(raised.exception.diag.message_detail))

    def test_role_of_a_profile(self):
        (self.files / "credentials").write_text(
            f"[base]\naws_access_key_id = {KEYS[0]}\naws_secret_access_key = {KEYS[1]}\n"
        )
        (self.files / "config").write_text(
            f"[profile lake]\nrole_arn = {ROLE}\nsource_profile = base\nduration_seconds = {LIFE}\n"
        )
        self.use("profile", profile="lake")
        before = self.db.rows("SELECT * FROM stedi.credential('lake')")[0]
        self.assertEqual((before[0], before[2], before[4]), ("profile", True, f'role {ROLE} by profile "lake"'))
        self.slow_scan()
        after = self.db.rows("SELECT * FROM stedi.credential('lake')")[0]
        self.assertGreater((after[3] - before[3]).total_seconds(), 2 * LIFE)

    def test_container(self):
        """Its tokens are told with their end: no request is to be refused."""
        given = []

        def answer(request):
            given.append(assume_role())
            key, secret, token, end = given[-1]
            return 200, (
                f'{{"AccessKeyId":"{key}","SecretAccessKey":"{secret}","Token":"{token}","Expiration":"{end}"}}'
            )

        type(self).answer = staticmethod(answer)
        self.use("container")
        self.slow_scan()
        self.assertGreaterEqual(len(given), 4)

    def test_container_that_does_not_tell_the_end(self):
        """Then the server's AccessDenied is what there is to go by."""
        given = []

        def answer(request):
            given.append(assume_role())
            return 200, '{"AccessKeyId":"%s","SecretAccessKey":"%s","Token":"%s"}' % given[-1][:3]

        type(self).answer = staticmethod(answer)
        self.use("container")
        self.slow_scan()
        self.assertGreaterEqual(len(given), 3)

    def test_file_that_is_rewritten(self):
        """Somebody renews the keys in a file, each time shortly before they run out."""
        stop = threading.Event()
        n = 0

        def rewrite():
            nonlocal n
            key, secret, token, end = assume_role()
            n += 1
            (self.files / "new").write_text(
                f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
                f"aws_session_token = {token}\nx_security_token_expires = {end}\n"
            )
            os.rename(self.files / "new", self.files / "credentials")

        def renew():
            while not stop.wait(LIFE - 1):
                rewrite()

        rewrite()
        thread = threading.Thread(target=renew)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(stop.set)
        self.use("profile")
        self.slow_scan()
        self.assertGreaterEqual(n, 4)

    def test_tokens_that_nobody_renews(self):
        """The scan ends with an error: the server's word."""
        token = assume_role()
        type(self).answer = staticmethod(lambda request: (
            200, '{"AccessKeyId":"%s","SecretAccessKey":"%s","Token":"%s","Expiration":"%s"}' % token
        ))
        self.use("container")
        with self.assertRaises(psycopg.Error) as raised:
            self.slow_scan()
        self.assertEqual(raised.exception.diag.sqlstate, "28000")
        self.assertIn("access denied", raised.exception.diag.message_primary)


if __name__ == "__main__":
    unittest.main()
