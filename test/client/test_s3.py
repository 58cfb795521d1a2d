"""Landing tables over real S3 servers: radosgw, and Swift, which is stricter.

Proves that what a local folder shows a bucket shows too, whatever its keys
are called and however many there are, and that what is wrong is told with its
SQLSTATE and a hint, and no secret.  Guards src/s3/fetch.c, src/s3/request.c,
src/net/trouble.c, src/s3/list.c, src/net/sign.c and src/net/xml.c.
"""
import functools
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import psycopg

from stedi_client import PROJECT, ServerTest

SERVERS = {
    name: os.environ[variable]
    for name, variable in (("radosgw", "STEDI_S3_ENDPOINT"), ("swift", "STEDI_SWIFT_ENDPOINT"))
    if os.environ.get(variable)
}
ACCESS_KEY = os.environ.get("STEDI_S3_ACCESS_KEY")
SECRET_KEY = os.environ.get("STEDI_S3_SECRET_KEY")

# A name for every way in which a key can go wrong between listing and signature.
ODD_KEYS = (
    "plain.json",
    "a space.json",
    "plus+plus.json",
    "per%cent %41%2F.json",
    "ümlaut-→-😀.json",
    "and&question?hash#.json",
    "quotes'\"<>.json",
    "tilde~()*!$,;:@=.json",
    "deep/er/key.json",
    "double//slash.json",
    "dot/./segment.json",
    "back\\slash^{}|`[].json",
)
SKIPPED_KEYS = ("_SUCCESS", ".hidden.json", "_temporary/0/part.json", "folder/")


def on_each_server(test):
    """A test(self, name, endpoint) as a subtest of every server."""

    @functools.wraps(test)
    def tests(self):
        for name, endpoint in SERVERS.items():
            with self.subTest(server=name):
                test(self, name, endpoint)

    return tests


def put(endpoint, *words):
    subprocess.run(
        [sys.executable, PROJECT / "test/s3/s3put.py", "--endpoint", endpoint, *words], check=True
    )


def record(number):
    return '{"sensorReadingTime":%d,"serialNumber":"s%d","distanceFromObject":%d}\n' % (
        1655564444103 + number,
        number,
        number,
    )


@unittest.skipUnless(SERVERS, "no S3 server is named: run within test/s3/with_s3")
class S3Test(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        for name, endpoint in SERVERS.items():
            for bucket in (f"odd-{name}", f"many-{name}"):
                put(endpoint, "make-bucket", bucket)
            cls.put_odd(endpoint, f"odd-{name}")
            cls.put_many(endpoint, f"many-{name}", 1203 if name == "radosgw" else 130)

    @classmethod
    def put_odd(cls, endpoint, bucket):
        file = pathlib.Path(cls.scratch.name) / "record.json"
        for number, key in enumerate(ODD_KEYS + SKIPPED_KEYS):
            file.write_text(record(number))
            put(endpoint, "put", bucket, f"step_trainer/{key}", file)
        file.write_text(record(99))
        put(endpoint, "put", bucket, "step_trainer_old/other.json", file)

    @classmethod
    def put_many(cls, endpoint, bucket, n_objects):
        folder = pathlib.Path(cls.scratch.name) / bucket / "step_trainer"
        folder.mkdir(parents=True)
        for number in range(n_objects):
            (folder / f"{number:06}.json").write_text(record(number))
        put(endpoint, "sync", folder.parent, bucket)

    def lake(self, endpoint, bucket, secrets=None, **options):
        """Landing tables over a bucket, gone with the test."""
        self.addCleanup(self.db.drop, "lake")
        self.db.drop("lake")
        if secrets is None:
            secrets = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
        given = {"region": "us-east-1", "endpoint": endpoint, "url_style": "path", "allow_http": "true"}
        given.update(options)
        self.db.make_landing("lake", f"s3://{bucket}", secrets=secrets, **given)


    def failure(self, query="SELECT count(*) FROM lake.step_trainer_landing"):
        """The error of a query, which must not show the secret."""
        with self.assertRaises(psycopg.Error) as raised:
            self.db.run(query)
        diag = raised.exception.diag
        everything = " ".join(
            filter(None, (diag.message_primary, diag.message_detail, diag.message_hint, diag.context))
        )
        self.assertNotIn(SECRET_KEY, everything)
        self.assertNotIn("Signature=", everything)
        return diag

    @on_each_server
    def test_odd_keys(self, name, endpoint):
        self.lake(endpoint, f"odd-{name}")
        self.db.run("ALTER FOREIGN TABLE lake.step_trainer_landing ADD COLUMN object text OPTIONS (source 'object')")
        rows = self.db.rows("SELECT object, distancefromobject FROM lake.step_trainer_landing")
        expected = [(f"step_trainer/{key}", number) for number, key in enumerate(ODD_KEYS)]
        self.assertCountEqual(rows, expected)
        plan = "\n".join(
            row[0]
            for row in self.db.rows(
                "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT * FROM lake.step_trainer_landing"
            )
        )
        self.assertIn(f"Objects Listed: {len(ODD_KEYS)}", plan)
        self.assertIn(f"Objects Skipped: {len(SKIPPED_KEYS)}", plan)

    @on_each_server
    def test_prefix_with_odd_characters(self, name, endpoint):
        self.lake(endpoint, f"odd-{name}")
        self.db.run("ALTER FOREIGN TABLE lake.step_trainer_landing OPTIONS (SET prefix 'step_trainer/deep/er')")
        self.assertEqual(self.db.value("SELECT count(*) FROM lake.step_trainer_landing"), 1)
        self.db.run("ALTER FOREIGN TABLE lake.step_trainer_landing OPTIONS (SET prefix 'no + such/%prefix')")
        diag = self.failure()
        self.assertEqual(diag.sqlstate, "42704")
        self.assertIn("allow_empty", diag.message_hint)

    @on_each_server
    def test_slashes_at_the_ends(self, name, endpoint):
        """Each / of a key counts: what is named is read, and nothing else."""
        keys = ("/landing/customer/c.json", "landing/customer/c.json", "landing//customer/d.json",
                "landing/customer//e.json", "landing/customer/sub/f.json", "//g.json", "h.json")
        lead, mix = f"lead-{name}", f"mix-{name}"
        file = pathlib.Path(self.scratch.name) / "one.json"
        for bucket, names in ((lead, keys[:1]), (mix, keys)):
            put(endpoint, "make-bucket", bucket)
            for number, key in enumerate(names):
                file.write_text(record(number))
                put(endpoint, "put", bucket, key, file)
        for bucket, names in ((lead, keys[:1]), (mix, keys)):
            for url in ("", "/", "//", "//landing", "//landing/", "/landing", "/landing//", "/landing/customer//", "///"):
                for prefix in ("", "/", "customer", "/customer", "customer/", "customer//", "/landing/customer",
                               "landing/customer", "landing/customer/", "landing/customer//", "landing//customer",
                               "/landing", "//", "h.json", "/g.json", "//g.json", "c.json", "/e.json"):
                    with self.subTest(bucket=bucket, url=url, prefix=prefix):
                        base = url[1:] if url[1:] == "" or url.endswith("/") else url[1:] + "/"
                        folder = prefix if prefix == "" or prefix.endswith("/") else prefix + "/"
                        wanted = [key for key in names if key.startswith(base + folder)]
                        if not wanted and prefix and not prefix.endswith("/"):
                            wanted = [key for key in names if key == base + prefix]
                        self.lake(endpoint, bucket + url)
                        self.db.run("CREATE FOREIGN TABLE lake.one (object text OPTIONS (source 'object'), n int OPTIONS (key 'distanceFromObject'))"
                                    f" SERVER lake OPTIONS (prefix '{prefix}', allow_empty 'true')")
                        rows = self.db.rows("SELECT object, n FROM lake.one")
                        self.assertCountEqual(rows, [(key, names.index(key)) for key in wanted])

    @on_each_server
    def test_patterns(self, name, endpoint):
        """A pattern is that of a folder; its first letters are asked of the server."""
        self.lake(endpoint, f"odd-{name}")
        self.db.run("CREATE FOREIGN TABLE lake.odd (object text OPTIONS (source 'object')) SERVER lake"
                    " OPTIONS (prefix 'step_trainer', pattern '*', allow_empty 'true')")
        for pattern, matches in (
            ("*", lambda key: "/" not in key), ("**", lambda key: True), ("d*", lambda key: key.startswith("d") and "/" not in key),
            ("plain.json", lambda key: key == "plain.json"), ("**/key.json", lambda key: key.endswith("/key.json")),
            ("double//*", lambda key: key.startswith("double//")), ("\\umlaut*", lambda key: False), ("?mlaut*", lambda key: "mlaut" in key),
            ("*[*]*", lambda key: key == "tilde~()*!$,;:@=.json"), ("none", lambda key: False),
        ):
            with self.subTest(pattern):
                self.db.run("ALTER FOREIGN TABLE lake.odd OPTIONS (SET pattern '%s')" % pattern)
                rows = [row[0] for row in self.db.rows("SELECT object FROM lake.odd")]
                self.assertCountEqual(rows, [f"step_trainer/{key}" for key in ODD_KEYS if matches(key)])
        self.db.run("ALTER FOREIGN TABLE lake.odd OPTIONS (SET pattern 'p*')")
        plan = self.db.value("EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM lake.odd WHERE object LIKE '%plus%'")[0]["Plan"]
        self.assertEqual([plan[f"Objects {what}"] for what in ("Listed", "Skipped", "Pruned", "Read")], [3, 0, 2, 1])
        self.assertEqual(plan["Requests"], 2)

    @on_each_server
    def test_many_keys(self, name, endpoint):
        n_objects = 1203 if name == "radosgw" else 130
        for page_size in (1000, 100):
            self.lake(endpoint, f"many-{name}", page_size=page_size)
            counted, total = self.db.rows(
                "SELECT count(DISTINCT serialnumber), sum(distancefromobject) FROM lake.step_trainer_landing"
            )[0]
            self.assertEqual(counted, n_objects)
            self.assertEqual(total, n_objects * (n_objects - 1) // 2)
        plan = self.db.value("EXPLAIN (ANALYZE, FORMAT JSON) SELECT count(*) FROM lake.step_trainer_landing")
        scan = plan[0]["Plan"]  # which counts, too
        self.assertEqual(scan["Objects Read"], n_objects)
        # one LIST a page, one GET an object, nothing else
        self.assertEqual(scan["Requests"], -(-n_objects // 100) + n_objects)

    @on_each_server
    def test_many_processes(self, name, endpoint):
        n_objects = 1203 if name == "radosgw" else 130
        for setting, value in (
            ("min_parallel_table_scan_size", 0),
            ("parallel_setup_cost", 0),
            ("parallel_tuple_cost", 0),
            ("max_parallel_workers_per_gather", 3),
        ):
            self.db.run(f"SET {setting} = {value}")
            self.addCleanup(self.db.run, f"RESET {setting}")
        for connections in (1, 8):
            self.lake(endpoint, f"many-{name}", connections=connections)
            query = "SELECT count(DISTINCT serialnumber), sum(distancefromobject) FROM lake.step_trainer_landing"
            self.assertEqual(self.db.rows(query), [(n_objects, n_objects * (n_objects - 1) // 2)])
            node = self.db.value(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")[0]["Plan"]
            while node["Node Type"] != "Foreign Scan":
                node = node["Plans"][0]
            self.assertTrue(node["Parallel Aware"])
            self.assertEqual(node["Objects Read"], n_objects)
            # the processes share one listing, and one of them gets an object
            self.assertEqual(node["Requests"], -(-n_objects // 1000) + n_objects)
            self.assertEqual(len(self.db.rows("SELECT * FROM lake.step_trainer_landing LIMIT 3")), 3)

    @on_each_server
    def test_virtual_hosted(self, name, endpoint):
        port = endpoint.rsplit(":", 1)[1]
        self.lake(f"http://s3.localhost:{port}", f"odd-{name}", url_style="virtual")
        self.assertEqual(
            self.db.value("SELECT count(*) FROM lake.step_trainer_landing"), len(ODD_KEYS)
        )

    @on_each_server
    def test_wrong_credentials(self, name, endpoint):
        wrong = {"access_key_id": ACCESS_KEY, "secret_access_key": "not-the-secret"}
        self.lake(endpoint, f"odd-{name}", secrets=wrong)
        diag = self.failure()
        self.assertEqual(diag.sqlstate, "28000")
        self.assertIn("secret_access_key", diag.message_hint)
        self.assertNotIn("not-the-secret", str(diag.message_primary) + str(diag.message_detail))

        unknown = {"access_key_id": "AKIANOBODY", "secret_access_key": SECRET_KEY}
        self.lake(endpoint, f"odd-{name}", secrets=unknown)
        diag = self.failure()
        self.assertEqual(diag.sqlstate, "28000")
        self.assertIn("access_key", diag.message_hint)

        # Swift has no word for it: it answers 412 to a request without a signature
        self.lake(endpoint, f"odd-{name}", secrets={"anonymous": "true"})
        self.assertEqual(self.failure().sqlstate, "HV00M" if name == "swift" else "28000")

    @on_each_server
    def test_session_token_is_sent(self, name, endpoint):
        # a token that no server has given: radosgw without STS refuses or ignores it,
        # but the request stays well signed with it
        self.lake(
            endpoint,
            f"odd-{name}",
            secrets={
                "access_key_id": ACCESS_KEY,
                "secret_access_key": SECRET_KEY,
                "session_token": "some/token+with=signs",
            },
        )
        try:
            self.assertEqual(
                self.db.value("SELECT count(*) FROM lake.step_trainer_landing"), len(ODD_KEYS)
            )
        except psycopg.Error as error:
            self.assertEqual(error.sqlstate, "28000")
            self.assertNotIn("some/token", str(error))

    @on_each_server
    def test_no_mapping(self, name, endpoint):
        self.lake(endpoint, f"odd-{name}", secrets={})
        self.assertIn("CREATE USER MAPPING", self.failure().message_hint)

    @on_each_server
    def test_unknown_bucket(self, name, endpoint):
        self.lake(endpoint, "no-such-bucket")
        diag = self.failure()
        self.assertEqual(diag.sqlstate, "42704")
        self.assertIn("no-such-bucket", diag.message_primary)
        self.assertIn("url", diag.message_hint)

    def test_wrong_region(self):
        # radosgw does not look at the region; Swift does, as AWS does
        if "swift" in SERVERS:
            self.lake(SERVERS["swift"], "odd-swift", region="eu-north-1")
            self.assertEqual(self.db.value("SELECT count(*) FROM lake.step_trainer_landing"), len(ODD_KEYS))

    @on_each_server
    def test_plain_http_needs_leave(self, name, endpoint):
        self.lake(endpoint, f"odd-{name}", allow_http="false")
        self.assertIn("allow_http", self.failure().message_hint)

    def test_nobody_there(self):
        self.lake("http://127.0.0.1:1", "odd-nowhere", max_tries="2")
        diag = self.failure()
        self.assertIn("sent 2 times", diag.message_detail)
        self.assertEqual(diag.sqlstate, "HV00N")
        self.assertIn("endpoint", diag.message_hint)

    @on_each_server
    def test_environment_proxy_is_not_obeyed(self, name, endpoint):
        # the server would have to be started with it; its own option does count
        self.lake(endpoint, f"odd-{name}", proxy="http://127.0.0.1:1", max_tries="1")
        self.assertIn("proxy", self.failure().message_hint)

    @on_each_server
    def test_session_goes_on_after_an_error(self, name, endpoint):
        self.lake(endpoint, f"many-{name}")
        for _ in range(20):
            with self.assertRaises(psycopg.Error):
                self.db.run("SELECT 1 / (distancefromobject - 50) FROM lake.step_trainer_landing")
        self.assertGreater(self.db.value("SELECT count(*) FROM lake.step_trainer_landing"), 100)
        rows = self.db.rows("SELECT * FROM lake.step_trainer_landing LIMIT 3")
        self.assertEqual(len(rows), 3)


if __name__ == "__main__":
    unittest.main()
