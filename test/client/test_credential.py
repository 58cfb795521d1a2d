"""Where keys come from, what is done with them, and that they are renewed.

A server of its own has, in its environment and in files, every source of
credentials at once; a user mapping says which one counts.  Small servers stand
for a container's endpoint, an instance's metadata, the token service and S3;
what they are asked is looked at, signatures are verified.  Guards
src/credential*.c, and how src/s3/fetch.c renews.
"""
import os
import shutil
import threading
import time
import types
import unittest

import psycopg

from stedi_client import ServerTest, make_folder, options_list, sql
from stedi_cluster import Cluster, wait_until
from stedi_loopback import HERE, STS_ERROR, Authority, Bucket, Credentials, iso

ENVIRONMENT_KEYS = ("AKIAENVIRONMENT0", "environment/secret", "environment/token")
PROFILE_KEYS = ("AKIAPROFILE00000", "profile/secret+")
RECORD = '{"sensorReadingTime":%d,"serialNumber":"s","distanceFromObject":1}\n'
N_OBJECTS = 24
OBJECTS = {f"step_trainer/{i:03}.json": RECORD % i for i in range(N_OBJECTS)}
COUNT = "SELECT count(*) FROM lake.step_trainer_landing"


def profile(name, key=PROFILE_KEYS[0], secret=PROFILE_KEYS[1], **more):
    """A section of a credentials file."""
    lines = [f"[{name}]", f"aws_access_key_id = {key}", f"aws_secret_access_key = {secret}"]
    return "\n".join(lines + [f"{name} = {value}" for name, value in more.items()]) + "\n"


class CredentialTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()

        def skip(reason):
            raise unittest.SkipTest(reason)

        shared = types.SimpleNamespace(addCleanup=cls.addClassCleanup, skipTest=skip)
        cls.cluster = Cluster(shared)
        cls.credentials = Credentials(shared)
        cls.files = make_folder()
        cls.variables = {
            "AWS_ACCESS_KEY_ID": ENVIRONMENT_KEYS[0],
            "AWS_SECRET_ACCESS_KEY": ENVIRONMENT_KEYS[1],
            "AWS_SESSION_TOKEN": ENVIRONMENT_KEYS[2],
            "AWS_SHARED_CREDENTIALS_FILE": cls.files / "credentials",
            "AWS_CONFIG_FILE": cls.files / "config",
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/web",
            "AWS_ROLE_SESSION_NAME": "a session",
            "AWS_WEB_IDENTITY_TOKEN_FILE": cls.files / "identity",
            "AWS_ENDPOINT_URL_STS": cls.credentials.url,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": cls.credentials.url + "/container",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": cls.files / "container",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": cls.credentials.url + "/",
        }
        cls.cluster.environment.update(cls.variables)
        cls.cluster.make()
        cls.lake = cls.cluster.make_database("lake")
        cls.addClassCleanup(cls.lake.conn.close)
        # who has these may read the bucket, whoever else gets some
        cls.keys = cls.credentials.keys
        cls.keys[ENVIRONMENT_KEYS[0]] = (ENVIRONMENT_KEYS[1], ENVIRONMENT_KEYS[2], None)
        cls.keys[PROFILE_KEYS[0]] = (PROFILE_KEYS[1], None, None)
        cls.bucket = Bucket(shared, OBJECTS, cls.keys)

    def setUp(self):
        super().setUp()
        self.db = self.cluster.database("lake")  # a backend that knows no keys yet
        self.addCleanup(self.db.conn.close)
        self.addCleanup(self.db.drop, "lake")
        self.credentials.life = 3600
        self.credentials.broken = None
        self.credentials.make = self.credentials.make_own
        self.credentials.requests.clear()
        self.bucket.requests.clear()
        self.bucket.refused = self.bucket.delay = 0
        self.bucket.expired = (400, "ExpiredToken")
        for name, text in (("credentials", ""), ("config", ""), ("identity", "identity-token\n"), ("container", "container-token")):
            self.write(name, text)

    def write(self, name, text):
        """A file that is never seen half."""
        (self.files / "new").write_text(text)
        os.rename(self.files / "new", self.files / name)

    def use(self, source, database=None, **more):
        """Landing tables with credentials of that source."""
        options = {"endpoint": self.bucket.url, "allow_http": "true", "connections": "2"}
        for name in ("proxy", "max_tries"):
            if name in more:
                options[name] = more.pop(name)
        self.db.drop("lake")
        self.db.make_landing("lake", "s3://bucket", {"credentials": source, **more}, **options)

    def set_mapping(self, **options):
        self.db.run("DROP USER MAPPING FOR CURRENT_USER SERVER lake")
        self.db.run(
            sql.SQL("CREATE USER MAPPING FOR CURRENT_USER SERVER lake OPTIONS ({})").format(
                options_list(**options)
            )
        )

    def shown(self):
        """(source, end of the access key, temporary, seconds left or None, detail)"""
        return self.db.rows(
            "SELECT source, access_key_id, temporary, extract(epoch FROM expires - now())::float, detail"
            " FROM stedi.credential('lake')"
        )[0]

    def failure(self, query="SELECT * FROM stedi.credential('lake')"):
        with self.assertRaises(psycopg.Error) as raised:
            self.db.run(query)
        diag = raised.exception.diag
        everything = " ".join(
            filter(None, (diag.message_primary, diag.message_detail, diag.message_hint, diag.context))
        )
        for _, (secret, token, _) in self.keys.items():
            self.assertNotIn(secret, everything)
            self.assertNotIn(token or secret, everything)
        for secret in ("identity-token", "container-token", self.credentials.METADATA_TOKEN):
            self.assertNotIn(secret, everything)
        return diag

    def assert_failure(self, code, words, query="SELECT * FROM stedi.credential('lake')"):
        diag = self.failure(query)
        self.assertEqual((diag.sqlstate, diag.message_primary), (code, words))
        return diag

    # each source: what is shown, and that requests are signed with it

    def assert_reads(self, access_key):
        self.assertEqual(self.db.value(COUNT), N_OBJECTS)
        self.assertEqual({request.access_key() for request in self.bucket.requests}, {access_key})
        self.assertEqual(self.bucket.refused, 0)

    def test_environment(self):
        self.use("environment")
        self.assertEqual(
            self.shown(), ("environment", "...ENT0", True, None, "environment of the database server")
        )
        self.assert_reads(ENVIRONMENT_KEYS[0])

    def test_profile(self):
        self.write("credentials", profile("default") + profile("other", "AKIAOTHER0000000"))
        self.write("config", "[profile other]\nregion = x\n[profile third]\naws_access_key_id = AKIATHIRD0000000\n"
                   "aws_secret_access_key = s # a comment\n")
        self.use("profile")
        source, key, temporary, left, detail = self.shown()
        self.assertEqual((source, key, temporary, left), ("profile", "...0000", False, None))
        self.assertEqual(detail, f'profile "default" of file "{self.files}/credentials"')
        self.assert_reads(PROFILE_KEYS[0])
        self.set_mapping(credentials="profile", profile="other")
        self.assertEqual(self.shown()[4], f'profile "other" of file "{self.files}/credentials"')
        self.set_mapping(credentials="profile", profile="third")
        self.assertEqual(self.shown()[4], f'profile "third" of file "{self.files}/config"')

    def test_profile_with_a_token(self):
        keys = ("ASIAPROFILE00001", "profile/secret1", "profile/token1")
        self.keys[keys[0]] = (keys[1], keys[2], None)
        self.write("credentials", profile("default", *keys[:2], aws_session_token=keys[2],
                                          x_security_token_expires=iso(time.time() + 600)))
        self.use("profile")
        _, key, temporary, left, _ = self.shown()
        self.assertEqual((key, temporary), ("...0001", True))
        self.assertAlmostEqual(left, 600, delta=60)
        self.assert_reads(keys[0])
        # a time that we do not know is none; without a token it is not heeded
        for more in ({"aws_session_token": "t", "expiration": "soon"}, {"expiration": iso(1)}):
            self.write("credentials", profile("default", **more))
            self.assertIsNone(self.shown()[3])

    def test_profile_files_are_read_again(self):
        self.write("credentials", profile("default", "AKIAFIRST0000001"))
        self.use("profile")
        self.assertEqual(self.shown()[1], "...0001")
        self.write("credentials", profile("default", "AKIASECOND000002"))
        self.assertEqual(self.shown()[1], "...0002")
        self.write("credentials", "")
        self.assert_failure("HV002",
                            'could not get credentials from a profile: there is no profile "default"')

    def test_profile_role(self):
        role = "arn:aws:iam::123456789012:role/analyst"
        self.write("credentials", profile("base"))
        self.write("config", f"[profile lake]\nrole_arn = {role}\nsource_profile = base\nexternal_id = a+b/c\n"
                   "role_session_name = me\nduration_seconds = 900\n")
        self.use("profile", profile="lake")
        source, key, temporary, left, detail = self.shown()
        self.assertEqual((source, key, temporary), ("profile", "...%04d" % self.credentials.n, True))
        self.assertAlmostEqual(left, 3600, delta=60)
        self.assertEqual(detail, f'role {role} by profile "lake"')
        (request,) = self.credentials.requests
        self.assertEqual(request.form(), {
            "Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": role, "RoleSessionName": "me",
            "ExternalId": "a+b/c", "DurationSeconds": "900",
        })
        self.assertEqual(request.access_key(), PROFILE_KEYS[0])
        self.assertTrue(request.signature_is(PROFILE_KEYS[1]))
        self.assertFalse(request.signature_is(PROFILE_KEYS[1] + "x"))
        self.assertIn("/us-east-1/sts/", request.headers["authorization"])
        self.assert_reads("ASIAFETCHED%05d" % self.credentials.n)
        self.assertEqual(len(self.credentials.requests), 1)
        # another region is another request
        self.db.run("ALTER SERVER lake OPTIONS (ADD region 'eu-central-1')")
        self.shown()
        self.assertIn("/eu-central-1/sts/", self.credentials.requests[1].headers["authorization"])

    def test_profile_role_of_others(self):
        """A role by a role, by the environment, by an instance, by a web identity, by its own keys."""
        self.write("config", """
[profile own]
role_arn = arn:own
source_profile = own
aws_access_key_id = AKIAOWN000000000
aws_secret_access_key = own
[profile chain]
role_arn = arn:chain
source_profile = own
[profile environment]
role_arn = arn:environment
credential_source = Environment
[profile instance]
role_arn = arn:instance
credential_source = Ec2InstanceMetadata
[profile container]
role_arn = arn:container
credential_source = EcsContainer
[profile identity]
role_arn = arn:identity
web_identity_token_file = %s
""" % (self.files / "identity"))
        for name, signers in (
            ("own", ["AKIAOWN000000000"]),
            ("chain", ["ASIAFETCHED"]),  # own is known by now
            ("environment", [ENVIRONMENT_KEYS[0]]),
            ("instance", ["ASIAFETCHED"]),
            ("container", ["ASIAFETCHED"]),
            ("identity", [None]),
        ):
            with self.subTest(profile=name):
                self.credentials.requests.clear()
                self.use("profile", profile=name)
                self.assertEqual(self.shown()[4], f'role arn:{name} by profile "{name}"')
                asked = [request for request in self.credentials.requests if request.method == "POST"]
                self.assertEqual([request.form()["RoleArn"] for request in asked], [f"arn:{name}"])
                self.assertEqual([(r.access_key() or "")[:len(s or "")] for r, s in zip(asked, signers)],
                                 [signer or "" for signer in signers])
                tokens = [r.headers.get("x-amz-security-token") for r in asked]
                self.assertEqual([bool(token) for token in tokens], [name not in ("own", "identity")])

    def test_profile_troubles(self):
        config = """
[profile half]
aws_access_key_id = AKIAHALF
[profile process]
credential_process = /bin/cat
[profile sso]
sso_session = x
[profile mfa]
role_arn = arn:x
source_profile = half
mfa_serial = 1
[profile nobody]
role_arn = arn:x
[profile odd]
role_arn = arn:x
credential_source = Elsewhere
[profile round]
role_arn = arn:x
source_profile = about
[profile about]
role_arn = arn:x
source_profile = round
[profile line]
aws_access_key_id = AKIALINE
aws_secret_access_key = s
aws_session_token = to\rx-amz-acl: ken
[profile bad]
region = x
no property
"""
        self.write("config", config)
        self.use("profile")
        start = "could not get credentials from a profile: "
        for name, code, words in (
            ("half", "HV002", 'profile "half" has no aws_secret_access_key'),
            ("process", "0A000", 'profile "process" needs credential_process, which is not supported'),
            ("sso", "0A000", 'profile "sso" needs sso_session, which is not supported'),
            ("mfa", "0A000", 'profile "mfa" needs mfa_serial, which is not supported'),
            ("nobody", "F0000", 'profile "nobody" has a role_arn, and nobody who assumes it'),
            ("odd", "F0000", 'credential_source of profile "odd" is not known'),
            ("round", "F0000", "source_profile leads from profile to profile without an end"),
            ("line", "F0000", "a key or token has a line end or another control character in it"),
            ("bad", "F0000", f'line {config.split(chr(10)).index("no property") + 1} of file "{self.files}/config" is no property'),
            ("absent", "HV002", 'there is no profile "absent"'),
        ):
            with self.subTest(profile=name):
                self.set_mapping(credentials="profile", profile=name)
                self.assert_failure(code, start + words)
                self.assert_failure(code, start + words, COUNT)
        # files that cannot be read
        os.chmod(self.files / "config", 0)
        self.addCleanup(lambda: os.path.exists(self.files / "config") and os.chmod(self.files / "config", 0o600))
        self.assert_failure("42501", f'{start}file "{self.files}/config" cannot be read')
        os.unlink(self.files / "config")
        os.mkfifo(self.files / "config")
        self.assert_failure("F0000", f'{start}"{self.files}/config" is no file of credentials')
        os.unlink(self.files / "config")
        self.assert_failure("HV002", start + 'there is no profile "absent"')
        self.write("config", "#" * (1024 * 1024 + 1))
        self.assert_failure("F0000", f'{start}"{self.files}/config" is no file of credentials')

    def test_web_identity(self):
        self.use("web_identity")
        source, key, temporary, left, detail = self.shown()
        self.assertEqual((source, key, temporary, detail),
                         ("web_identity", "...%04d" % self.credentials.n, True,
                          "role arn:aws:iam::123456789012:role/web"))
        self.assertAlmostEqual(left, 3600, delta=60)
        (request,) = self.credentials.requests
        self.assertEqual(request.form(), {
            "Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15",
            "RoleArn": "arn:aws:iam::123456789012:role/web", "RoleSessionName": "a session",
            "WebIdentityToken": "identity-token",
        })
        self.assertIsNone(request.access_key())
        self.assert_reads("ASIAFETCHED%05d" % self.credentials.n)

    def test_container(self):
        self.use("container")
        source, key, temporary, left, detail = self.shown()
        self.assertEqual((source, key, temporary, detail),
                         ("container", "...%04d" % self.credentials.n, True, "role of the container"))
        self.assertAlmostEqual(left, 3600, delta=60)
        (request,) = self.credentials.requests
        self.assertEqual((request.method, request.path), ("GET", "/container"))
        self.assertEqual(request.headers["authorization"], "container-token")
        self.assert_reads("ASIAFETCHED%05d" % self.credentials.n)

    def test_instance(self):
        self.use("instance")
        source, key, temporary, left, detail = self.shown()
        self.assertEqual((source, key, temporary, detail),
                         ("instance", "...%04d" % self.credentials.n, True, "role stedi-role of the instance"))
        self.assertAlmostEqual(left, 3600, delta=60)
        self.assertEqual(
            [(request.method, request.path) for request in self.credentials.requests],
            [
                ("PUT", "/latest/api/token"),
                ("GET", "/latest/meta-data/iam/security-credentials/"),
                ("GET", "/latest/meta-data/iam/security-credentials/stedi-role"),
            ],
        )
        self.assert_reads("ASIAFETCHED%05d" % self.credentials.n)

    # what is answered otherwise

    def test_answers_that_are_none(self):
        start = "could not get credentials from the {}: "
        for source, name, broken, code, words in (
            ("container", "container", (200, "{}"), "HV00M", "the answer has no credentials"),
            ("container", "container", (200, '{"Code":"Failed"}'), "HV00M", "the answer has no credentials"),
            ("container", "container", (200, "<html>"), "HV00M", "the answer has no credentials"),
            ("container", "container", (200, "x" * 100000), "54000", "the answer is too long"),
            ("container", "container", (403, "no"), "28000", "access denied"),
            ("container", "container", (404, "no"), "42704", "it is not there"),
            ("container", "container", (302, "", {"Location": "/x"}), "HV00M", "it is elsewhere, where it is not asked for"),
            ("container", "container", (307, "", {"Location": "/x"}), "HV00M", "it is elsewhere, where it is not asked for"),
            ("instance", "instance", (404, "no"), "42704", "it is not there"),
            ("instance", "instance", (200, "two\nlines"), "HV00M", "the metadata has no token"),
            ("instance", "instance", (200, "a/../role"), "HV00M", "the instance has no role"),
            ("instance", "instance", (200, "role"), "HV00M", "the answer has no credentials"),
        ):
            with self.subTest(source=source, broken=broken):
                self.credentials.broken = broken
                self.use(source)
                self.assert_failure(code, start.format(name) + words)
                self.assertNotIn("/x", [request.path for request in self.credentials.requests])
        self.use("web_identity")
        self.credentials.broken = (200, "<AssumeRoleWithWebIdentityResponse/>")
        self.assert_failure("HV00M", "could not get credentials from a web identity: the token service's answer has no credentials")
        self.credentials.broken = (403, STS_ERROR.format("AccessDenied", "Not authorized to perform sts:AssumeRole"))
        diag = self.assert_failure("28000", "could not get credentials from a web identity: access denied")
        self.assertEqual(diag.message_detail, "The server answered with HTTP status 403, code AccessDenied. It says: Not authorized to perform sts:AssumeRole.")
        self.assertIn("arn:aws:iam::123456789012:role/web", diag.message_hint)

    def test_trouble_that_passes(self):
        """A server that is busy is asked again; not for ever."""
        self.use("container")
        answers = [(503, "busy"), (500, "oops")]
        good = self.credentials.answer
        self.credentials.loopback.answer = lambda request: answers.pop() if answers else good(request)
        self.addCleanup(setattr, self.credentials.loopback, "answer", good)
        self.assertEqual(self.shown()[0], "container")
        self.assertEqual(len(self.credentials.requests), 3)
        self.credentials.requests.clear()
        self.set_mapping(credentials="instance")
        self.credentials.loopback.answer = lambda request: (503, "busy")
        self.assert_failure("HV00M", "could not get credentials from the instance: the server is busy")
        self.assertEqual(len(self.credentials.requests), 3)

    def test_cancelled(self):
        """Whoever waits for keys can be told to stop; the session works on."""
        answered = threading.Event()
        good = self.credentials.answer

        def silent(request):
            answered.wait(60)
            return good(request)

        self.addCleanup(setattr, self.credentials.loopback, "answer", good)
        self.addCleanup(answered.set)
        self.credentials.loopback.answer = silent
        for source in ("container", "instance", "web_identity"):
            for query in ("SELECT * FROM stedi.credential('lake')", COUNT):
                with self.subTest(source=source, query=query):
                    self.use(source)
                    self.db.run("SET statement_timeout = '300ms'")
                    began = time.monotonic()
                    self.assertEqual(self.failure(query).sqlstate, "57014")
                    self.assertLess(time.monotonic() - began, 2)
                    self.db.run("RESET statement_timeout")
        answered.set()
        self.assertEqual(self.db.value(COUNT), N_OBJECTS)

    def test_tokens_that_are_none(self):
        self.use("web_identity")
        start = "could not get credentials from a web identity: "
        for text in ("", "\n", "two\nlines", "a\0b"):
            self.write("identity", text)
            self.assert_failure("F0000", f'{start}file "{self.files}/identity" has no token')
        os.unlink(self.files / "identity")
        self.assert_failure("58P01", f'{start}file "{self.files}/identity" cannot be read')
        os.unlink(self.files / "container")
        self.set_mapping(credentials="container")
        self.assert_failure("58P01", f'could not get credentials from the container: file "{self.files}/container" cannot be read')
        self.assertEqual(self.credentials.requests, [])

    # keys that are kept, and given up

    def test_keys_are_kept(self):
        self.use("container")
        for _ in range(3):
            self.assertEqual(self.db.value(COUNT), N_OBJECTS)
        self.assertEqual(len(self.credentials.requests), 1)
        # for a session; and under another mapping there are others
        with self.cluster.connect("lake") as conn:
            conn.execute("SELECT * FROM stedi.credential('lake')")
        self.assertEqual(len(self.credentials.requests), 2)
        self.set_mapping(credentials="instance")
        self.assertEqual(self.shown()[0], "instance")
        self.assertEqual(len(self.credentials.requests), 5)
        self.set_mapping(credentials="container")
        self.assertEqual(self.shown()[0], "container")
        self.assertEqual(len(self.credentials.requests), 5)

    def test_many_mappings(self):
        """More roles than a session keeps: the first ones are asked for again."""
        n = 40
        self.write("config", profile("profile base") + "".join(
            f"[profile p{i}]\nrole_arn = arn:{i}\nsource_profile = base\n" for i in range(n)))
        self.use("profile")
        for i in list(range(n)) + [n - 1, 0]:
            self.set_mapping(credentials="profile", profile=f"p{i}")
            self.assertEqual(self.shown()[4], f'role arn:{i} by profile "p{i}"')
        self.assertEqual(len(self.credentials.requests), n + 1)

    def test_margin(self):
        """They are renewed before the end: at three quarters of a short life."""
        self.credentials.life = 4
        self.use("container")
        self.shown()
        began = time.monotonic()
        while len(self.credentials.requests) < 2:
            self.assertLess(time.monotonic() - began, 4)
            self.shown()
        self.assertGreater(time.monotonic() - began, 2.5)

    def test_old_keys_do_until_their_end(self):
        """Where there are no new ones, what is left of the old ones is used; then it is an error."""
        self.credentials.life = 3
        self.use("container", max_tries="1")
        self.shown()
        self.credentials.broken = (404, "gone")

        def fails():
            try:
                return self.shown()[1] != "...%04d" % self.credentials.n
            except psycopg.Error:
                return True

        began = time.monotonic()
        wait_until(fails, "keys are used that are over")
        self.assertGreater(time.monotonic() - began, 2)
        self.assertGreater(len(self.credentials.requests), 2)
        self.assert_failure("42704", "could not get credentials from the container: it is not there")

    # renewal in the middle of a scan

    def slow_scan(self):
        """The bucket's records, by a scan that takes some seconds; how many keys it took."""
        self.bucket.delay = 0.45  # 24 objects, two at a time
        began = time.monotonic()
        rows = self.db.rows("SELECT sensorreadingtime FROM lake.step_trainer_landing")
        self.assertGreater(time.monotonic() - began, 5)
        self.assertEqual(sorted(rows), [(i,) for i in range(N_OBJECTS)])
        return len({request.access_key() for request in self.bucket.requests})

    def test_renewed_before_the_end(self):
        """With four seconds a key, no request is even refused."""
        self.credentials.life = 4
        self.use("container")
        self.assertGreaterEqual(self.slow_scan(), 2)
        self.assertEqual(self.bucket.refused, 0)

    def test_renewed_when_refused(self):
        """The endpoint lies about the end, and S3 says ExpiredToken, or nothing but that access is denied."""
        lie = self.credentials.make_own

        def make():
            keys = lie()
            secret, token, _ = self.keys[keys["AccessKeyId"]]
            self.keys[keys["AccessKeyId"]] = (secret, token, time.time() + 1.5)
            return {**keys, "Expiration": told}

        self.credentials.make = make
        for told, expired in (
            (iso(time.time() + 3600), (400, "ExpiredToken")),
            (iso(time.time() + 3600), (400, "TokenRefreshRequired")),
            (None, (403, "AccessDenied")),
        ):
            with self.subTest(expired=expired):
                self.db = self.cluster.database("lake")  # which knows no keys
                self.addCleanup(self.db.conn.close)
                self.bucket.requests.clear()
                self.bucket.refused = 0
                self.bucket.expired = expired
                self.use("container")
                self.assertGreaterEqual(self.slow_scan(), 3)
                self.assertGreaterEqual(self.bucket.refused, 2)

    def test_renewed_once(self):
        """Keys that S3 never takes are not asked for over and over."""
        lie = self.credentials.make_own

        def make():
            keys = lie()
            self.keys[keys["AccessKeyId"]] = (*self.keys[keys["AccessKeyId"]][:2], 0)
            return keys

        self.credentials.make = make
        self.use("container")
        self.assertEqual(self.failure(COUNT).message_primary,
                         'could not list bucket "bucket": the session token has expired')
        self.assertEqual((len(self.credentials.requests), len(self.bucket.requests)), (2, 2))

    def test_renewed_in_a_file(self):
        """Somebody writes new keys into the file; the old ones are over."""
        n = 0

        def rotate():
            nonlocal n
            n += 1
            keys = (f"ASIAROTATED{n:05}", f"rotated/secret{n}", f"rotated/token{n}")
            for old in [key for key in self.keys if key.startswith("ASIAROTATED")]:
                self.keys[old] = (*self.keys[old][:2], 0)
            self.keys[keys[0]] = (keys[1], keys[2], None)
            self.write("credentials", profile("default", *keys[:2], aws_session_token=keys[2]))

        rotate()
        self.use("profile")
        answer = self.bucket.loopback.answer
        seen = []

        def rotates(request):
            seen.append(request)
            if len(seen) % 8 == 0:
                rotate()
            return answer(request)

        self.bucket.loopback.answer = rotates
        self.addCleanup(setattr, self.bucket.loopback, "answer", answer)
        self.assertEqual(self.db.value(COUNT), N_OBJECTS)
        self.assertGreaterEqual(n, 4)
        self.assertGreaterEqual(self.bucket.refused, 3)
        # keys that nobody renews are an error that says so, once asked for again
        self.bucket.loopback.answer = answer
        self.keys[f"ASIAROTATED{n:05}"] = (*self.keys[f"ASIAROTATED{n:05}"][:2], 0)
        self.bucket.requests.clear()
        diag = self.failure(COUNT)
        self.assertEqual(diag.message_primary, 'could not list bucket "bucket": the session token has expired')
        self.assertEqual(len(self.bucket.requests), 1)

    def test_static_keys_are_not_renewed(self):
        keys = ("ASIASTATIC000001", "static/secret", "static/token")
        self.keys[keys[0]] = (keys[1], keys[2], 0)
        self.db.drop("lake")
        self.db.make_landing(
            "lake", "s3://bucket",
            dict(zip(("access_key_id", "secret_access_key", "session_token"), keys)),
            endpoint=self.bucket.url, allow_http="true",
        )
        diag = self.failure(COUNT)
        self.assertEqual(diag.message_primary, 'could not list bucket "bucket": the session token has expired')
        self.assertEqual(len(self.bucket.requests), 1)

    def test_proxy(self):
        """The token service is asked through the server's proxy; what is near is not."""
        for source, proxied in (("web_identity", True), ("container", False), ("instance", False)):
            with self.subTest(source=source):
                self.use(source, proxy=self.credentials.url)
                self.credentials.requests.clear()
                self.shown()
                self.assertEqual({request.proxied for request in self.credentials.requests}, {proxied})

    def test_parallel_workers_have_them(self):
        self.use("container")
        for setting in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
            self.db.run(f"SET {setting} = 0")
        self.db.run("SET max_parallel_workers_per_gather = 2")
        plan = "\n".join(row[0] for row in self.db.rows("EXPLAIN (ANALYZE) " + COUNT))
        self.assertRegex(plan, "Workers Launched: [12]")
        self.assertEqual(self.bucket.refused, 0)
        self.assertGreater(len(self.credentials.requests), 1)


class OtherEnvironmentTest(ServerTest):
    """Servers that are started with other variables, one after the other."""

    def setUp(self):
        super().setUp()
        self.cluster = Cluster(self)
        self.plain = dict(self.cluster.environment)
        self.files = make_folder()
        self.cluster.environment["HOME"] = self.files
        self.cluster.make()
        self.db = self.cluster.make_database("lake")
        self.db.make_server("lake", "s3://bucket", {"credentials": "environment"})

    def restart(self, **variables):
        self.db.conn.close()
        self.cluster.stop()
        self.cluster.environment = {**self.plain, "HOME": self.files, **variables}
        self.cluster.start()
        self.db = self.cluster.database("lake")

    def told(self, credentials, **options):
        """What stedi.credential says of a source: its detail, or its error."""
        self.db.run("DROP USER MAPPING FOR CURRENT_USER SERVER lake")
        self.db.run(
            sql.SQL("CREATE USER MAPPING FOR CURRENT_USER SERVER lake OPTIONS ({})").format(
                options_list(credentials=credentials, **options)
            )
        )
        try:
            return self.db.value("SELECT detail FROM stedi.credential('lake')")
        except psycopg.Error as error:
            return error.diag.message_primary.partition(": ")[2]

    def test_variables(self):
        self.assertEqual(self.told("environment"), "AWS_ACCESS_KEY_ID is not set")
        self.assertEqual(self.told("web_identity"), "AWS_ROLE_ARN is not set")
        self.assertEqual(
            self.told("container"),
            "neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set",
        )
        (self.files / ".aws").mkdir()
        (self.files / ".aws/credentials").write_text(profile("default") + profile("named"))
        self.assertEqual(self.told("profile"), f'profile "default" of file "{self.files}/.aws/credentials"')

        credentials = Credentials(self)
        self.restart(
            AWS_ACCESS_KEY_ID="AKIA", AWS_SECRET_ACCESS_KEY="", AWS_PROFILE="named", AWS_ROLE_ARN="arn:x",
            AWS_CONTAINER_CREDENTIALS_FULL_URI="http://example.com/", AWS_EC2_METADATA_DISABLED="True",
            AWS_CONFIG_FILE="~/.aws/other",
        )
        self.assertEqual(self.told("environment"), "AWS_SECRET_ACCESS_KEY is not set")
        self.assertEqual(self.told("web_identity"), "AWS_WEB_IDENTITY_TOKEN_FILE is not set")
        self.assertEqual(
            self.told("container"), "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor of this machine"
        )
        self.assertEqual(self.told("instance"), "AWS_EC2_METADATA_DISABLED is true")
        self.assertEqual(self.told("profile"), f'profile "named" of file "{self.files}/.aws/credentials"')
        self.assertEqual(self.told("profile", profile="default"), f'profile "default" of file "{self.files}/.aws/credentials"')
        (self.files / ".aws/other").write_text(profile("profile elsewhere"))
        self.assertEqual(self.told("profile", profile="elsewhere"), f'profile "elsewhere" of file "{self.files}/.aws/other"')

        (self.files / "token").write_text("t")
        for uri in ("ftp://127.0.0.1/", "http://127.0.0.1@example.com/", "http://", "http://a b/", "http://[::1/"):
            self.restart(AWS_CONTAINER_CREDENTIALS_FULL_URI=uri, AWS_ENDPOINT_URL_STS=uri, AWS_ROLE_ARN="arn:x",
                         AWS_WEB_IDENTITY_TOKEN_FILE=self.files / "token", AWS_EC2_METADATA_SERVICE_ENDPOINT=uri)
            self.assertEqual(self.told("container"), "AWS_CONTAINER_CREDENTIALS_FULL_URI is no URI")
            self.assertEqual(self.told("web_identity"), "AWS_ENDPOINT_URL_STS is not a server's address")
            self.assertEqual(self.told("instance"), "AWS_EC2_METADATA_SERVICE_ENDPOINT is not a server's address")

        self.restart(
            AWS_CONTAINER_CREDENTIALS_FULL_URI=f"http://localhost:{credentials.loopback.port}/container",
            AWS_CONTAINER_AUTHORIZATION_TOKEN="from a variable",
            AWS_ENDPOINT_URL_STS="http://example.com", AWS_ROLE_ARN="arn:x",
            AWS_WEB_IDENTITY_TOKEN_FILE=self.files / "token",
        )
        self.assertEqual(self.told("container"), "role of the container")
        self.assertEqual(credentials.requests[0].headers["authorization"], "from a variable")
        self.assertEqual(self.told("web_identity"), "AWS_ENDPOINT_URL_STS is not encrypted")

    @unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
    def test_token_service_over_tls(self):
        """It is trusted as the S3 server is: by ca_file."""
        authority = Authority(self.files, "ours")
        credentials = Credentials(self, context=authority.sign("sts", HERE))
        (self.files / "token").write_text("t")
        self.restart(
            AWS_ENDPOINT_URL_STS=credentials.url, AWS_ROLE_ARN="arn:x",
            AWS_WEB_IDENTITY_TOKEN_FILE=self.files / "token",
        )
        self.assertEqual(
            self.told("web_identity"), "the server's certificate is signed by nobody who is trusted"
        )
        self.assertEqual(credentials.requests, [])
        self.db.run(f"ALTER SERVER lake OPTIONS (ADD ca_file '{authority.certificate}')")
        self.assertEqual(self.told("web_identity"), "role arn:x")


if __name__ == "__main__":
    unittest.main()
