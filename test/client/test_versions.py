"""Servers that do less than S3 does, and bytes of one version of an object that stay alone.

A server may list no ETags, ignore If-Match, or send a part when asked for the
whole; a query then has rows of one version, all of them, or an error.  Guards
src/s3/fetch.c.
"""
import unittest

import psycopg

from stedi_client import ServerTest
from stedi_fake import FakeS3

KEY = "a.json"
OLD = "".join(f'{{"n": {n:5}, "v": 1}}\n' for n in range(1000))
NEW = OLD.replace('"v": 1', '"v": 2')
HALF = len(OLD) // 2


def listing(etag):
    return (
        f"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>{KEY}</Key>"
        f"<LastModified>2026-01-01T00:00:00.000Z</LastModified>{etag}<Size>{len(OLD)}</Size>"
        "</Contents></ListBucketResult>"
    )


class VersionsTest(ServerTest):
    def read(self, answer, etag='<ETag>"old"</ETag>'):
        """Rows and versions of a query, or the SQLSTATE; and what was asked."""

        def answers(request):
            if request.lists:
                return 200, {}, listing(etag)
            return answer(sum(not other.lists for other in fake.requests), request.headers)

        fake = FakeS3(self, answers)
        self.db.run("DROP SERVER IF EXISTS versions CASCADE")
        self.db.make_server(
            "versions", "s3://bucket", {"access_key_id": "AK", "secret_access_key": "SK"},
            endpoint=fake.endpoint, allow_http="true", max_tries="3",
        )
        self.addCleanup(self.db.run, "DROP SERVER IF EXISTS versions CASCADE")
        self.db.run("CREATE FOREIGN TABLE versions_landed (n integer, v integer) SERVER versions")
        try:
            result = self.db.rows("SELECT count(*), min(v), max(v) FROM versions_landed")[0]
        except psycopg.Error as error:
            result = error.sqlstate
        return result, [request for request in fake.requests if not request.lists]

    def rest_of(self, body, headers, etag):
        """The answer to a request for the rest."""
        start = int(headers["range"].removeprefix("bytes=").removesuffix("-"))
        told = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}", **etag}
        return 206, told, body[start:]

    def test_part_of_newer(self):
        """Asked for the newer version as a whole, a server sends half of it."""

        def answer(number, headers):
            if "if-match" in headers:
                return 412, {}, ""
            told = {"ETag": '"new"', "Content-Range": f"bytes 0-{HALF - 1}/{len(NEW)}"}
            return 206, told, NEW[:HALF]

        result, asked = self.read(answer)
        self.assertEqual(len(asked), 2)
        self.assertEqual(result, "HV00M")

    def test_newer(self):
        """The same with all of it."""

        def answer(number, headers):
            return (412, {}, "") if "if-match" in headers else (200, {"ETag": '"new"'}, NEW)

        self.assertEqual(self.read(answer)[0], (1000, 2, 2))

    def test_listed_without_etag(self):
        """What is known of an object's version is what came with its first bytes."""

        def answer(number, headers):
            if number == 1:
                return 200, {"ETag": '"old"'}, OLD[:HALF], len(OLD)
            if headers.get("if-match", '"old"') == '"old"' and not replaced:
                return self.rest_of(OLD, headers, {"ETag": '"old"'})
            if "if-match" in headers and heeds:
                return 412, {}, ""
            return self.rest_of(NEW, headers, {"ETag": '"new"'})

        for replaced, heeds in ((False, True), (True, True), (True, False)):
            with self.subTest(replaced=replaced, heeds=heeds):
                result, asked = self.read(answer, etag="")
                self.assertEqual(result, "55000" if replaced else (1000, 1, 1))
                self.assertEqual(len(asked), 2)
                self.assertNotIn("if-match", asked[0].headers)
                self.assertEqual(asked[1].headers.get("if-match"), '"old"')


if __name__ == "__main__":
    unittest.main()
