"""Proves that neither many objects nor large ones take memory, or lose a record.

200,000 objects under one prefix, and an object of more than 4 GB that breaks off
behind 4 GB, from a server in this process that makes them as they are asked for;
1,203 keys in 13 pages, an empty object and an empty prefix from a real radosgw.
The rows of the section on size of doc/reliability.md.  Guards src/s3/list.c,
src/s3/fetch.c and src/scan/source.c.

    STEDI_TEST_FAULTS    all, or nothing of this is done
    STEDI_TEST_DOC       a copy of the document, whose last column is filled
"""
import asyncio
import os
import re
import threading
import time
import unittest
import urllib.parse

import psycopg

from stedi_client import ServerTest
from test_faults import ALL, ENDPOINT, Document
import s3put
from fault_proxy import FaultProxy

PAGE = 1000
N_SMALL = 200_000
BIG_RECORD = 400
BIG_RECORDS = 10_500_000
BIG_SIZE = BIG_RECORDS * BIG_RECORD
BREAK = 4_100_000_000  # behind what 32 bits hold, and in a record
ETAG = '"0123456789abcdef0123456789abcdef"'


def record(number, distance, size=0):
    text = f'{{"sensorReadingTime":{1655564444103 + number},"serialNumber":"S-1","distanceFromObject":{distance}'
    return text.ljust(size - 2).encode() + b"}\n"


# The records of the large object are alike, so that a block of them can be sent over and over.
BLOCK = record(1, 7, BIG_RECORD) * 2500


class Server(asyncio.Protocol):
    """An S3 server of a bucket `many`, and one `big`; it trusts everybody."""

    broken = False
    gets = lists = 0

    def connection_made(self, transport):
        self.transport = transport
        self.data = b""
        self.writable = asyncio.Event()
        self.writable.set()

    def pause_writing(self):
        self.writable.clear()

    def resume_writing(self):
        self.writable.set()

    def connection_lost(self, _):
        self.writable.set()

    def data_received(self, data):
        self.data += data
        while b"\r\n\r\n" in self.data:
            head, _, self.data = self.data.partition(b"\r\n\r\n")
            path, _, query = head.split(b" ", 2)[1].decode().partition("?")
            bucket, _, key = path.lstrip("/").partition("/")
            if not key:
                Server.lists += 1
                self.page(bucket, dict(urllib.parse.parse_qsl(query)))
            elif bucket == "many":
                Server.gets += 1
                self.send(record(int(key[-11:-5]), 1))
            else:
                Server.gets += 1
                found = re.search(rb"(?i)\r\nrange: bytes=(\d+)-", head)
                self.task = asyncio.ensure_future(self.big(int(found.group(1)) if found else None))

    def send(self, body):
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nETag: {ETAG}\r\n\r\n"
        self.transport.write(head.encode() + body)

    def page(self, bucket, query):
        first = int(query.get("continuation-token", 0))
        last = min(first + PAGE, N_SMALL) if bucket == "many" else 1
        if bucket == "many":
            objects = [(f"step_trainer/{n:06}.json", len(record(n, 1))) for n in range(first, last)]
        else:
            objects = [("step_trainer/big.json", BIG_SIZE)]
        more = bucket == "many" and last < N_SMALL
        token = f"<NextContinuationToken>{last}</NextContinuationToken>" if more else ""
        self.send(
            (
                f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}"
                + "".join(
                    f"<Contents><Key>{key}</Key><Size>{size}</Size><ETag>{ETAG}</ETag>"
                    "<LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>"
                    for key, size in objects
                )
                + "</ListBucketResult>"
            ).encode()
        )

    async def big(self, start):
        """From a place on; the first time it ends at BREAK."""
        lines = ["200 OK"]
        if start is not None:
            lines = ["206 Partial Content", f"Content-Range: bytes {start}-{BIG_SIZE - 1}/{BIG_SIZE}"]
        place = start or 0
        lines += [f"Content-Length: {BIG_SIZE - place}", f"ETag: {ETAG}"]
        self.transport.write(("HTTP/1.1 " + "\r\n".join(lines) + "\r\n\r\n").encode())
        end = BIG_SIZE if Server.broken else BREAK
        while place < end and not self.transport.is_closing():
            offset = place % len(BLOCK)
            piece = BLOCK[offset : offset + end - place]
            self.transport.write(piece)
            place += len(piece)
            await self.writable.wait()
        if end == BREAK:
            Server.broken = True
            self.transport.close()


class Memory:
    """The private memory of a backend while it works, in kB."""

    def __init__(self, pid):
        self.file = f"/proc/{pid}/status"
        self.most = 0
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.end.wait(0.05):
            with open(self.file) as status:
                found = re.search(r"RssAnon:\s+(\d+) kB", status.read())
            self.most = max(self.most, int(found.group(1)))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()


@unittest.skipUnless(ALL and ENDPOINT, "a part of make check-faults")
class ScaleTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.loop = asyncio.new_event_loop()
        server = cls.loop.run_until_complete(cls.loop.create_server(Server, "127.0.0.1", 0))
        cls.fake = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        threading.Thread(target=cls.loop.run_forever, daemon=True).start()
        cls.addClassCleanup(cls.loop.call_soon_threadsafe, cls.loop.stop)
        cls.client = s3put.from_environment(ENDPOINT)
        cls.client.make_bucket("scale")
        cls.rows = {cells[0]: (number, cells[1]) for number, cells in Document().rows(3)}

    def lake(self, bucket, endpoint, **options):
        self.db.drop("lake")
        self.addCleanup(self.db.drop, "lake")
        self.db.make_landing(
            "lake",
            f"s3://{bucket}",
            secrets={
                "access_key_id": os.environ["STEDI_S3_ACCESS_KEY"],
                "secret_access_key": os.environ["STEDI_S3_SECRET_KEY"],
            },
            endpoint=endpoint,
            url_style="path",
            allow_http="true",
            **options,
        )

    def answer(self):
        return self.db.rows("SELECT count(*), sum(distancefromobject) FROM lake.step_trainer_landing")[0]

    def tell(self, what, measured, most=None):
        """Note what was measured; it must be as the document says, in no more memory."""
        number, expected = self.rows[what]
        found = re.fullmatch(r"(.*?)(?:; below (\d+) MB)?", expected)
        told = measured
        if most is not None:
            told += f"; {most / 1024:.0f} MB"
        print(f"\n{what}: {told}")
        Document.note(number, told)
        self.assertEqual(measured, found.group(1))
        if most is not None:
            self.assertLess(most, int(found.group(2)) * 1024)

    def test_many_objects(self):
        self.lake("many", self.fake)
        Server.gets = Server.lists = 0
        with Memory(self.db.conn.info.backend_pid) as memory:
            answer = self.answer()
        right = "right" if answer == (N_SMALL, N_SMALL) else "wrong"
        self.tell(
            "200,000 objects of one record",
            f"{right}, {Server.lists:,} pages, {Server.gets:,} objects",
            memory.most,
        )

    def test_large_object(self):
        self.lake("big", self.fake)
        Server.gets, Server.broken = 0, False
        began = time.monotonic()
        with Memory(self.db.conn.info.backend_pid) as memory:
            answer = self.answer()
        print(f"\n{time.monotonic() - began:.0f} s", end="")
        right = "right" if answer == (BIG_RECORDS, 7 * BIG_RECORDS) else "wrong"
        self.tell("an object of 4.2 GB that breaks behind 4 GB", f"{right}, {Server.gets} requests", memory.most)

    def test_pages(self):
        for number in range(1203):
            self.client.put("scale", f"step_trainer/{number:04}.json", record(number, 1))
        with FaultProxy(ENDPOINT) as proxy:
            self.lake("scale", proxy.endpoint, page_size=100)
            right = "right" if self.answer() == (1203, 1203) else "wrong"
            seen = proxy.take()
        pages = sum("list-type=2" in request.target for request in seen)
        self.tell("1,203 keys in 13 pages", f"{right}, {pages} pages, {len(seen) - pages:,} objects")

    def test_empty(self):
        self.client.put("scale", "customers/empty.json", b"")
        self.client.put("scale", "customers/one.json", b'{"email":"a"}\n')
        self.lake("scale", ENDPOINT)
        n = self.db.value("SELECT count(*) FROM lake.customer_landing")
        self.tell("an empty object beside others", "right" if n == 1 else "wrong")
        with self.assertRaises(psycopg.Error) as raised:
            self.db.value("SELECT count(*) FROM lake.accelerometer_landing")
        message = raised.exception.diag.message_primary
        self.tell("an empty prefix", f"{raised.exception.sqlstate} {message.partition(' ' + chr(34))[0]}")
        self.db.run("ALTER FOREIGN TABLE lake.accelerometer_landing OPTIONS (ADD allow_empty 'true')")
        n = self.db.value("SELECT count(*) FROM lake.accelerometer_landing")
        self.tell("an empty prefix, allow_empty", "no row" if n == 0 else "wrong")


if __name__ == "__main__":
    unittest.main()
