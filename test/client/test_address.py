"""The server fetches nothing from an address that its foreign server does not name.

Canaries listen where redirects, answers, keys, names and the environment point
to; nobody may come there.  That they notice who comes is shown, too.  And a
server that does name an address of the host's own link is refused, however the
address is written and whichever name leads to it.  Guards src/net/address.c,
src/net/http.c, src/s3/request.c, src/net/xml.c, src/net/trouble.c and src/base/option.c.
"""
import pathlib
import shutil
import subprocess
import time
import types
import unittest

import psycopg

from stedi_client import ServerTest, make_folder
from stedi_cluster import Cluster
from stedi_fake import Canary, FakeS3, error, listing, store
from stedi_loopback import HERE, Authority, Bucket

RECORD = '{"n": 1}\n'
KEYS = {"access_key_id": "AKCANARYADDRESS", "secret_access_key": "hush"}


class AddressTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()

        def skip(reason):
            raise unittest.SkipTest(reason)

        keeper = types.SimpleNamespace(addCleanup=cls.addClassCleanup, skipTest=skip)
        cls.tempter = Canary(keeper)
        cls.cluster = Cluster(keeper, log_min_messages="warning")
        cls.cluster.environment.update(cls.temptation(cls.tempter.port))
        cls.cluster.make()
        cls.db = cls.cluster.make_database("address")
        cls.addClassCleanup(cls.db.conn.close)

    @classmethod
    def temptation(cls, port):
        """An environment of the server that points to a canary, in every way."""
        folder = make_folder()
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        url = f"http://127.0.0.1:{port}"
        (folder / ".curlrc").write_text(f"proxy = {url}\n")
        (folder / ".netrc").write_text("default login me password netrc-canary\n")
        environment = {name: url for name in (
            "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
            "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE")}
        if shutil.which("openssl"):
            cls.authority = Authority(folder, "tempting")
            certificate = str(cls.authority.certificate)
            environment.update(SSL_CERT_FILE=certificate, SSL_CERT_DIR=str(folder), CURL_CA_BUNDLE=certificate)
        environment.update(HOME=str(folder), CURL_HOME=str(folder), AWS_REGION="evil", AWS_DEFAULT_REGION="evil")
        if shutil.which("gcc"):
            shim = folder / "resolve.so"
            source = pathlib.Path(__file__).with_name("resolve.c")
            subprocess.run(["gcc", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
            environment["LD_PRELOAD"] = str(shim)
        cls.resolves = "LD_PRELOAD" in environment
        return environment

    def setUp(self):
        super().setUp()
        self.canary = Canary(self)
        self.evil = f"127.0.0.1:{self.canary.port}"
        self.objects = {"a.json": RECORD}

    def lake(self, endpoint, url="s3://bucket", **options):
        options = {"endpoint": endpoint, "allow_http": "true", "max_tries": "1", "connect_timeout": "2000", **options}
        self.db.run("DROP SERVER IF EXISTS lake CASCADE")
        self.db.make_server("lake", url, KEYS, **options)
        self.db.run("CREATE FOREIGN TABLE landed (n integer, object text OPTIONS (source 'object')) SERVER lake")

    def read(self):
        """The SQLSTATE of a query, or ok."""
        try:
            self.db.rows("SELECT * FROM landed")
            return "ok"
        except psycopg.Error as failed:
            self.failed = failed
            return failed.sqlstate

    def assert_nobody_came(self):
        self.assertEqual(self.canary.visits, [])
        self.assertEqual(self.tempter.visits, [])

    def test_the_canary_notices(self):
        self.lake(f"http://{self.evil}")
        self.assertNotEqual(self.read(), "ok")
        self.assertNotEqual(self.canary.visits, [])

    def test_the_environment_says_nothing(self):
        self.fake = FakeS3(self, store(self.objects))
        self.lake(self.fake.endpoint)
        self.assertEqual(self.read(), "ok")
        self.assertEqual(len(self.fake.requests), 2)
        for request in self.fake.requests:
            self.assertTrue(request.target.startswith("/bucket"), request.target)
            self.assertIn("/us-east-1/s3/", request.headers["authorization"])
            self.assertNotIn("netrc-canary", str(request.headers))
        self.assert_nobody_came()
        # that the environment is one which is obeyed elsewhere
        environ = pathlib.Path(f"/proc/{self.cluster.postmaster.pid}/environ").read_text()
        self.assertIn(f"http_proxy=http://127.0.0.1:{self.tempter.port}", environ)

    @unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
    def test_the_environment_trusts_nobody(self):
        """Authorities are the system's, or those of ca_file."""
        keys = (KEYS["access_key_id"], (KEYS["secret_access_key"], None, None))
        bucket = Bucket(self, self.objects, dict([keys]), context=self.authority.sign("right", HERE))
        self.lake(bucket.url)
        self.assertEqual(self.read(), "HV00N")
        self.assertIn("signed by nobody who is trusted", str(self.failed))
        self.lake(bucket.url, ca_file=self.authority.certificate)
        self.assertEqual(self.read(), "ok", getattr(self, "failed", ""))

    def test_the_owners_proxy(self):
        self.fake = FakeS3(self, store(self.objects))
        self.lake("http://10.255.255.1", proxy=f"http://{self.evil}")
        self.assertNotEqual(self.read(), "ok")
        self.assertTrue(self.canary.visits[0].startswith(b"GET http://10.255.255.1/bucket"), self.canary.visits)

    def test_redirects(self):
        for status in (300, 301, 302, 303, 305, 307, 308):
            for what in ("list", "object"):
                for location in (f"http://{self.evil}/bucket/", f"//{self.evil}/", f"file:///etc/passwd", f"gopher://{self.evil}/"):
                    def answer(request):
                        if request.lists == (what == "list"):
                            return status, {
                                "Location": location, "Refresh": f"0; url={location}", "Content-Location": location,
                                "Alt-Svc": f'h2="{self.evil}", h3="{self.evil}"', "Proxy": f"http://{self.evil}",
                                "x-amz-bucket-region": "eu-west-1"}, error(
                                    "PermanentRedirect", "elsewhere", f"<Endpoint>{self.evil}</Endpoint>")
                        return store(self.objects)(request)

                    fake = FakeS3(self, answer)
                    self.lake(fake.endpoint)
                    with self.subTest(status=status, what=what, location=location):
                        self.assertNotEqual(self.read(), "ok")
                        self.assertNotIn(self.evil, str(self.failed))
                        self.assert_nobody_came()
                    fake.close()

    def test_regions_that_a_server_tells(self):
        """Only a name is one, and it changes the signature, not the place."""
        for region, followed in (
            ("eu-west-1", True),
            (f"{self.evil}/", False),
            ("x@evil.test", False),
            ("x.evil.test", False),
            ("x" * 33, False),
            ("a\rb", False),
        ):
            for how in ("header", "body"):
                if how == "header" and "\r" in region:
                    continue

                def answer(request):
                    if region in request.headers["authorization"]:
                        return store(self.objects)(request)
                    headers = {"x-amz-bucket-region": region} if how == "header" else {}
                    more = f"<Region>{region.replace(chr(13), '&#13;')}</Region>" if how == "body" else ""
                    return 400, headers, error("AuthorizationHeaderMalformed", "wrong region", more)

                fake = FakeS3(self, answer)
                self.lake(fake.endpoint)
                with self.subTest(region=region, how=how):
                    self.assertEqual(self.read(), "ok" if followed else "28000")
                    if not followed:
                        self.assertEqual(len(fake.requests), 1)
                        self.assertNotIn(region, str(self.failed))
                    self.assert_nobody_came()
                fake.close()

    def test_keys(self):
        """A key is a path, whatever it looks like."""
        keys = [
            f"http://{self.evil}/x",
            f"//{self.evil}/x",
            f"@{self.evil}/x",
            f"a?x=http://{self.evil}/#b",
            "../../../other/x",
            "./..",
            "a\\..\\b",
            "a%2e%2e%2fb",
            "a b\tc",
            "x\nHost: evil.test",
            "x\r\nHost: evil.test\r\n\r\nGET /evil HTTP/1.1",
            "ä/é",
        ]
        self.objects = dict.fromkeys(keys, RECORD)
        fake = FakeS3(self, store(self.objects))
        # a line end must be written as a reference
        plain = fake.answer
        fake.answer = lambda request: (
            plain(request) if not request.lists
            else (200, {}, plain(request)[2].replace("\r", "&#13;"))
        )
        self.lake(fake.endpoint)
        self.assertEqual(self.read(), "ok", getattr(self, "failed", ""))
        self.assertEqual({row[1] for row in self.db.rows("SELECT * FROM landed")}, set(keys))
        for request in fake.requests:
            self.assertEqual(request.headers["host"], f"127.0.0.1:{fake.port}")
            if not request.lists:
                self.assertIn(request.path.removeprefix("/bucket/"), keys)
        self.assert_nobody_came()

    def test_etags_that_would_end_a_header(self):
        bad = listing(self.objects).replace("&quot;", "&#13;&#10;X-Evil: 1&#13;&#10;", 1)
        fake = FakeS3(self, lambda request: (200, {}, bad if request.lists else RECORD))
        self.lake(fake.endpoint)
        self.assertEqual(self.read(), "HV00M")
        self.assertEqual(len(fake.requests), 1)

    def test_documents(self):
        """Entities are not followed, nor blown up."""
        laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
        for before, key in (
            (f'<!DOCTYPE x SYSTEM "http://{self.evil}/x.dtd">', "a.json"),
            (f'<!DOCTYPE x PUBLIC "-//W3C//DTD XHTML 1.0//EN" "http://{self.evil}/x.dtd">', "a.json"),
            (f'<!DOCTYPE x [<!ENTITY e SYSTEM "http://{self.evil}/e">]>', "&e;"),
            (f'<!DOCTYPE x [<!ENTITY % e SYSTEM "http://{self.evil}/e"> %e;]>', "a.json"),
            ('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>', "&e;"),
            (f'<!DOCTYPE x [<!ENTITY l0 "laugh">{laughs}]>', "&l11;"),
            (f'<?xml-stylesheet href="http://{self.evil}/s.xsl"?>', "a.json"),
        ):
            for what in ("list", "error"):
                page = listing(self.objects, before).replace("<Key>a.json", f"<Key>{key}")
                body = page if what == "list" else before + "<Error><Code>" + key + "</Code></Error>"
                fake = FakeS3(self, lambda request: (200 if what == "list" else 403, {}, body)
                              if request.lists else (200, {}, RECORD))
                self.lake(fake.endpoint)
                with self.subTest(before=before[:40], what=what):
                    began = time.monotonic()
                    outcome = self.read()
                    self.assertLess(time.monotonic() - began, 5)
                    stylesheet = before.startswith("<?xml")
                    self.assertEqual(outcome, ("ok" if stylesheet else "HV00M") if what == "list" else "28000")
                    self.assert_nobody_came()
                fake.close()
        # XInclude is an element like any other
        page = listing(self.objects).replace(
            "<Contents>", f'<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="http://{self.evil}/"/><Contents>')
        fake = FakeS3(self, lambda request: (200, {}, page if request.lists else RECORD))
        self.lake(fake.endpoint)
        self.assertEqual(self.read(), "ok")
        self.assert_nobody_came()

    def refused(self, **options):
        self.lake(**options)
        self.assertEqual(self.read(), "42501", options)
        self.assertIn("allow_link_local", self.failed.diag.message_hint)

    def test_link_local_addresses(self):
        port = self.canary.port
        for host in (
            "169.254.169.254",
            "169.254.170.2",
            "2852039166",
            "0xA9FEA9FE",
            "0251.0376.0251.0376",
            "169.254.43518",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[64:ff9b::a9fe:a9fe]",
            "[fe80::1]",
            "[fd00:ec2::254]",
        ):
            with self.subTest(host=host):
                self.refused(endpoint=f"http://{host}:{port}")
                self.refused(endpoint="http://10.255.255.1", proxy=f"http://{host}:{port}")
        # it was the address: no packet leaves for one without its link's number, and so it fails otherwise
        self.lake("http://[fe80::1]:80", allow_link_local="true")
        self.assertEqual(self.read(), "HV00N")

    def test_loopback_is_no_link(self):
        for host in ("127.0.0.1", "2130706433", "[::ffff:127.0.0.1]"):
            with self.subTest(host=host):
                came = len(self.canary.visits)
                self.lake(f"http://{host}:{self.canary.port}")
                self.assertNotEqual(self.read(), "42501")
                self.assertGreater(len(self.canary.visits), came)

    def test_names_that_lead_there(self):
        if not self.resolves:
            self.skipTest("no gcc")
        self.refused(endpoint=f"http://link-local.test:{self.canary.port}")
        self.refused(endpoint="http://10.255.255.1", proxy=f"http://link-local.test:{self.canary.port}")
        self.assert_nobody_came()
        # of several addresses the others may serve
        fake = FakeS3(self, store(self.objects))
        self.lake(f"http://mixed.test:{fake.port}")
        self.assertEqual(self.read(), "ok")

    def test_buckets_in_the_hosts_name(self):
        """Dots of a bucket make no other host than one below the endpoint's."""
        if not self.resolves:
            self.skipTest("no gcc")
        for bucket in ("plain", "with.dots.in.it", "127.0.0.1", "169.254.169.254", "-", "a..b", "localhost"):
            fake = FakeS3(self, lambda request: (200, {}, listing(self.objects) if request.lists else RECORD))
            self.lake(f"http://x.s3.test:{fake.port}", url=f"s3://{bucket}", url_style="virtual")
            with self.subTest(bucket=bucket):
                if self.read() == "ok":
                    hosts = {request.headers["host"] for request in fake.requests}
                    self.assertEqual(hosts, {f"{bucket}.x.s3.test:{fake.port}"})
                else:
                    self.assertEqual(fake.requests, [])
            fake.close()

    def test_who_may_set_an_address(self):
        """No option of a mapping, a table or a column holds one."""
        names = self.db.rows("SELECT option, belongs_to FROM stedi.options()")
        self.assertEqual(
            {name for name, belongs_to in names if belongs_to == "server"}
            & {"url", "region", "endpoint", "proxy", "allow_http", "allow_link_local"},
            {"url", "region", "endpoint", "proxy", "allow_http", "allow_link_local"},
        )
        self.lake("http://127.0.0.1:1")
        self.db.run("CREATE FOREIGN TABLE other (n integer) SERVER lake")
        for name in ("endpoint", "proxy", "region", "url", "allow_http", "allow_link_local", "url_style"):
            for statement in (
                f"ALTER FOREIGN TABLE landed OPTIONS (ADD {name} 'x')",
                f"ALTER FOREIGN TABLE landed ALTER n OPTIONS (ADD {name} 'x')",
                f"ALTER USER MAPPING FOR CURRENT_USER SERVER lake OPTIONS (ADD {name} 'x')",
                f"ALTER FOREIGN DATA WRAPPER stedi_fdw OPTIONS (ADD {name} 'x')",
            ):
                with self.assertRaises(psycopg.errors.FdwInvalidOptionName, msg=statement):
                    self.db.run(statement)


if __name__ == "__main__":
    unittest.main()
