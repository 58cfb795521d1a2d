#!/usr/bin/python3
"""Put objects into a bucket: for tests and the demo.

    s3put.py [--endpoint URL] make-bucket BUCKET
    s3put.py [--endpoint URL] put BUCKET KEY FILE
    s3put.py [--endpoint URL] delete BUCKET KEY
    s3put.py [--endpoint URL] sync DIR BUCKET [PREFIX]

The endpoint is $STEDI_S3_ENDPOINT unless given; the account is
$STEDI_S3_ACCESS_KEY and $STEDI_S3_SECRET_KEY.  sync puts every file below DIR,
under its path there, behind PREFIX; it removes nothing.

It needs Python alone, and signs by itself: it is not the extension's signer
that the tests of the extension's signer rely on.
"""

import argparse
import concurrent.futures
import datetime
import hashlib
import hmac
import http.client
import os
import pathlib
import sys
import threading
import urllib.parse

REGION = "us-east-1"

# Enough to hide the round trips to a server on the same machine.
CONNECTIONS = 4


class S3Error(Exception):
    """An answer that is not 2xx."""


class Client:
    """One account on one server; each thread has a connection of its own."""

    def __init__(self, endpoint, access_key, secret_key):
        parts = urllib.parse.urlsplit(endpoint)
        self.https = parts.scheme == "https"
        self.host = parts.netloc
        self.access_key = access_key
        self.secret_key = secret_key
        self.local = threading.local()

    def sign(self, method, path, date, payload_hash):
        """The Authorization header's value; the query is empty."""
        names = "host;x-amz-content-sha256;x-amz-date"
        canonical = "\n".join((
            method, path, "",
            f"host:{self.host}",
            f"x-amz-content-sha256:{payload_hash}",
            f"x-amz-date:{date}",
            "", names, payload_hash,
        ))
        scope = f"{date[:8]}/{REGION}/s3/aws4_request"
        to_sign = "\n".join((
            "AWS4-HMAC-SHA256", date, scope,
            hashlib.sha256(canonical.encode()).hexdigest(),
        ))
        key = b"AWS4" + self.secret_key.encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        return (f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, "
                f"SignedHeaders={names}, Signature={signature}")

    def request(self, method, bucket, key="", body=b""):
        """Send one request; returns the answer's body."""
        path = "/" + urllib.parse.quote(bucket, safe="-._~")
        if key:
            path += "/" + urllib.parse.quote(key, safe="/-._~")
        date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        payload_hash = hashlib.sha256(body).hexdigest()
        headers = {
            "Host": self.host,
            "x-amz-content-sha256": payload_hash,
            "x-amz-date": date,
            "Authorization": self.sign(method, path, date, payload_hash),
        }
        try:
            answer, content = self.send(method, path, body, headers)
        except (ConnectionError, http.client.RemoteDisconnected):
            # the server has closed it meanwhile
            self.local.connection.close()
            answer, content = self.send(method, path, body, headers)
        if not 200 <= answer.status < 300:
            raise S3Error(f"{method} {path}: {answer.status} {content[:500].decode(errors='replace')}")
        return content

    def send(self, method, path, body, headers):
        """Send it over this thread's connection; returns the answer and its body."""
        if not hasattr(self.local, "connection"):
            kind = http.client.HTTPSConnection if self.https else http.client.HTTPConnection
            self.local.connection = kind(self.host, timeout=60)
        self.local.connection.request(method, path, body, headers)
        answer = self.local.connection.getresponse()
        return answer, answer.read()

    def make_bucket(self, bucket):
        self.request("PUT", bucket)

    def put(self, bucket, key, body):
        self.request("PUT", bucket, key, body)

    def delete(self, bucket, key):
        self.request("DELETE", bucket, key)

    def sync(self, folder, bucket, prefix=""):
        """Put every file below folder; returns how many there were."""
        root = pathlib.Path(folder)
        files = sorted(path for path in root.rglob("*") if path.is_file())

        def put_file(path):
            self.put(bucket, prefix + path.relative_to(root).as_posix(), path.read_bytes())

        with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
            for _ in pool.map(put_file, files):
                pass
        return len(files)


def from_environment(endpoint=None):
    """A client for the server and account that with_s3 exports."""
    try:
        return Client(endpoint or os.environ["STEDI_S3_ENDPOINT"],
                      os.environ["STEDI_S3_ACCESS_KEY"],
                      os.environ["STEDI_S3_SECRET_KEY"])
    except KeyError as missing:
        sys.exit(f"{missing.args[0]} is not set: run this under test/s3/with_s3")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("make-bucket")
    command.add_argument("bucket")
    command = commands.add_parser("put")
    command.add_argument("bucket")
    command.add_argument("key")
    command.add_argument("file", type=pathlib.Path)
    command = commands.add_parser("delete")
    command.add_argument("bucket")
    command.add_argument("key")
    command = commands.add_parser("sync")
    command.add_argument("folder", metavar="dir")
    command.add_argument("bucket")
    command.add_argument("prefix", nargs="?", default="")
    args = parser.parse_args()

    client = from_environment(args.endpoint)
    try:
        if args.command == "make-bucket":
            client.make_bucket(args.bucket)
        elif args.command == "put":
            client.put(args.bucket, args.key, args.file.read_bytes())
        elif args.command == "delete":
            client.delete(args.bucket, args.key)
        else:
            client.sync(args.folder, args.bucket, args.prefix)
    except (S3Error, OSError, http.client.HTTPException) as error:
        sys.exit(f"s3put.py: {error}")


if __name__ == "__main__":
    main()
