"""Whom a foreign server trusts, and what is said of a certificate that is not right.

Authorities and certificates are made with openssl, for servers on this machine:
a right one, one of an authority that nobody knows, one that has expired, one
that is not valid yet, one for another host.  Guards stedi_trouble_tls and the
certificates' rows in src/net/trouble.c, and ca_file in src/net/http.c.
"""
import os
import shutil
import unittest

import psycopg

from stedi_client import ServerTest
from stedi_loopback import HERE, Authority, Bucket, Loopback

KEYS = ("AKIATLS000000000", "tls/secret")
OBJECTS = {"step_trainer/1.json": '{"sensorReadingTime":1,"serialNumber":"s","distanceFromObject":1}\n'}
COUNT = "SELECT count(*) FROM lake.step_trainer_landing"


@unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
class TlsTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ours = Authority(cls.folder, "ours")
        cls.other = Authority(cls.folder, "other")

    def setUp(self):
        super().setUp()
        self.addCleanup(self.db.drop, "lake")

    def lake(self, endpoint, **options):
        self.db.drop("lake")
        self.db.make_landing(
            "lake", "s3://bucket", {"access_key_id": KEYS[0], "secret_access_key": KEYS[1]},
            endpoint=endpoint, max_tries="1", **options,
        )

    def bucket(self, context):
        return Bucket(self, OBJECTS, {KEYS[0]: (KEYS[1], None, None)}, context=context)

    def assert_trouble(self, words, hint):
        with self.assertRaises(psycopg.Error) as raised:
            self.db.run(COUNT)
        diag = raised.exception.diag
        self.assertEqual(diag.message_primary, f'could not list bucket "bucket": {words}')
        self.assertEqual(diag.sqlstate, "HV00N")
        self.assertIn(hint, diag.message_hint)
        return diag

    def test_right_one(self):
        bucket = self.bucket(self.ours.sign("right", HERE))
        for host in ("localhost", "127.0.0.1"):
            self.lake(f"https://{host}:{bucket.loopback.port}", ca_file=self.ours.certificate)
            self.assertEqual(self.db.value(COUNT), 1)
        # several in one file, as a bundle has them
        bundle = self.folder / "bundle.pem"
        bundle.write_text(self.other.certificate.read_text() + self.ours.certificate.read_text())
        self.lake(bucket.url, ca_file=bundle)
        self.assertEqual(self.db.value(COUNT), 1)
        # one that is its own authority, and is named as such
        bucket = self.bucket(self.ours.own_context())
        self.lake(bucket.url, ca_file=self.ours.certificate)
        self.assert_trouble("the server's certificate is for another host", '"endpoint"')

    def test_unknown_authority(self):
        words = "the server's certificate is signed by nobody who is trusted"
        bucket = self.bucket(self.ours.sign("unknown", HERE))
        self.lake(bucket.url)
        self.assert_trouble(words, '"ca_file"')
        self.lake(bucket.url, ca_file=self.other.certificate)
        self.assert_trouble(words, '"ca_file"')
        # one that is for another host, too: OpenSSL and libcurl choose what they tell of it
        bucket = self.bucket(self.ours.own_context())
        for options in ({}, {"ca_file": self.other.certificate}):
            self.lake(bucket.url, **options)
            with self.assertRaises(psycopg.Error) as raised:
                self.db.run(COUNT)
            self.assertRegex(raised.exception.diag.message_primary,
                             f": ({words}|the server's certificate is for another host)$")
        self.assertEqual(bucket.requests, [])

    def test_expired(self):
        bucket = self.bucket(self.ours.sign("expired", HERE, end="20200201000000Z"))
        self.lake(bucket.url, ca_file=self.ours.certificate)
        self.assert_trouble("the server's certificate has expired", "clock")
        self.assertEqual(bucket.requests, [])

    def test_not_valid_yet(self):
        bucket = self.bucket(self.ours.sign("early", HERE, begin="20981231235959Z"))
        self.lake(bucket.url, ca_file=self.ours.certificate)
        self.assert_trouble("the server's certificate is not valid yet", "clock")

    def test_wrong_host(self):
        for hosts in ("DNS:s3.example.com", "DNS:*.localhost", "IP:127.0.0.2"):
            with self.subTest(hosts=hosts):
                bucket = self.bucket(self.ours.sign("wrong" + hosts[-1], hosts))
                for host in ("127.0.0.1", "localhost"):
                    self.lake(f"https://{host}:{bucket.loopback.port}", ca_file=self.ours.certificate)
                    self.assert_trouble("the server's certificate is for another host", '"endpoint"')
                self.assertEqual(bucket.requests, [])

    def test_ca_file_that_is_none(self):
        bucket = self.bucket(self.ours.sign("file", HERE))
        words = "there are no certificates to check with"
        self.lake(bucket.url, ca_file=self.folder / "nowhere.pem")
        self.assert_trouble(words, '"ca_file"')
        unreadable = self.folder / "unreadable.pem"
        shutil.copy(self.ours.certificate, unreadable)
        os.chmod(unreadable, 0)
        for name, text in (("empty.pem", ""), ("text.pem", "no certificate\n")):
            (self.folder / name).write_text(text)
        for name in ("unreadable.pem", "empty.pem", "text.pem", "."):
            with self.subTest(ca_file=name):
                self.lake(bucket.url, ca_file=self.folder / name)
                self.assert_trouble(words, '"ca_file"')
        # it counts for the next query when it has come
        (self.folder / "text.pem").write_text(self.ours.certificate.read_text())
        self.lake(bucket.url, ca_file=self.folder / "text.pem")
        self.assertEqual(self.db.value(COUNT), 1)

    def test_no_tls(self):
        plain = Loopback(self, lambda request: (200, ""))
        self.lake(plain.url.replace("http://", "https://"), ca_file=self.ours.certificate)
        self.assert_trouble("no TLS connection can be made", "https")


if __name__ == "__main__":
    unittest.main()
