"""Proves doc/reliability.md: what each fault of a network or S3 server comes to.

Its tables are read from there, row by row: the words in which they tell a fault are
done by the proxy before a real radosgw, and what a query, or a run, then comes to
must be what they tell, in SQLSTATE, words and number of requests.  No message has
a secret in it, pauses are as long as the server said, and what is resumed asks for
the missing bytes of the version that was listed.  Guards src/s3/fetch.c, src/net/http.c,
src/net/trouble.c, src/s3/list.c, src/net/checksum.c and src/s3/request.c.

    STEDI_TEST_FAULTS    all: every row (some)
    STEDI_TEST_DOC       a copy of the document, whose last columns are filled
"""
import contextlib
import datetime
import email.utils
import hashlib
import json
import os
import pathlib
import re
import socket
import time
import unittest

import psycopg

from stedi_client import PROJECT, ServerTest
import s3put
from fault_proxy import Fault, FaultProxy, error_answer, header, with_header

ENDPOINT = os.environ.get("STEDI_S3_ENDPOINT")
SECRET_KEY = os.environ.get("STEDI_S3_SECRET_KEY", "")
ALL = os.environ.get("STEDI_TEST_FAULTS") == "all"
DOC = os.environ.get("STEDI_TEST_DOC")

# What is tried where not everything is: the kinds whose ways through the code differ.
SOME = {
    ("503 SlowDown", "list", "once"),
    ("503 SlowDown, Retry-After: 1", "first byte", "once"),
    ("500", "middle", "always"),
    ("connection refused for 0.2 s, max_tries 20", "first byte", "once"),
    ("reset", "middle", "once"),
    ("truncated", "last byte", "once"),
    ("truncated", "list", "always"),
    ("silence", "middle", "once"),
    ("200 to a request for the rest", "middle", "always"),
    ("a corrupt digit, checksum on", "last byte", "once"),
    ("403 SignatureDoesNotMatch", "first byte", "once"),
    ("301 PermanentRedirect", "list", "once"),
    ("400 AuthorizationHeaderMalformed, the region told", "list", "once"),
    ("replaced", "first byte", "once"),
    ("replaced", "middle", "once"),
    ("a page without the next one's token", "list", "once"),
}

BUCKET = "faults"
KEY = "step_trainer/b.json"
OTHER_KEYS = ("step_trainer/a.json", "step_trainer/c.json")
LIST = rf"GET /{BUCKET}/?\?.*prefix=step_trainer"
GET = rf"GET /{BUCKET}/{KEY}"

RECORD_SIZE = 80
N_RECORDS = 5000
SIZE = N_RECORDS * RECORD_SIZE
MIDDLE = SIZE // 2
POSITION = {"list": 600, "first byte": 0, "middle": MIDDLE, "last byte": SIZE - 1}

# The record that is spoiled at a moment.
RECORD_AT = {"first byte": 0, "middle": N_RECORDS // 2, "last byte": N_RECORDS - 1}

OPTIONS = {"max_tries": 3, "stall_timeout": 1, "retry_timeout": 60, "checksum": "false"}

# Seconds after which a connection is taken again.
MOMENT = 0.2

CANARY = "what-the-signature-should-have-been"


def record(number, distance):
    text = f'{{"sensorReadingTime":{1655564444103 + number},"serialNumber":"S-1","distanceFromObject":{distance}'
    return text.ljust(RECORD_SIZE - 2) + "}\n"


def records(first, n, distance=1):
    """A part of the zone; no reading comes twice."""
    return "".join(record(first + number, distance) for number in range(n)).encode()


def etag_of(data):
    return hashlib.md5(data).hexdigest()


DATA = records(1000, N_RECORDS)
NEWER = {
    "replaced": records(100_000, N_RECORDS, 3),
    "replaced by a shorter one": records(100_000, 10, 3),
    "replaced by a longer one": records(100_000, 2 * N_RECORDS, 3),
    "replaced by an empty one": b"",
}
NEWEST = records(200_000, N_RECORDS, 7)


class Row:
    """A line of a table of the document."""

    def __init__(self, number, cells):
        self.number = number
        self.fault, self.moment, self.often, self.expected, self.measured = cells

    def __str__(self):
        return f"{self.fault} / {self.moment} / {self.often}"

    @property
    def times(self):
        return {"once": 1, "always": None}[self.often]

    @property
    def pattern(self):
        return LIST if self.moment == "list" else GET

    @property
    def is_late(self):
        return self.moment in ("middle", "last byte")


class Document:
    """doc/reliability.md, line by line."""

    def __init__(self, path=PROJECT / "doc/reliability.md"):
        self.lines = pathlib.Path(path).read_text().splitlines()

    def rows(self, n_cells=5):
        for number, line in enumerate(self.lines):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if line.startswith("| ") and len(cells) == n_cells and cells[-1] != "measured":
                yield number, cells

    @classmethod
    def note(cls, number, measured):
        """Write a measured cell into the copy that is to be filled, if there is one."""
        if not DOC:
            return
        document = cls(DOC)
        document.lines[number] = re.sub(r"\|[^|]*\|$", lambda _: f"| {measured} |", document.lines[number])
        pathlib.Path(DOC).write_text("\n".join(document.lines) + "\n")


# What is done.  Each kind makes of a row (pattern, fault, times), in order.


def at_position(**fault):
    """The answer breaks at the moment."""

    def make(row, test):
        yield row.pattern, Fault(at=POSITION[row.moment], **fault), row.times

    return make


def instead(fault):
    """A fault of a whole answer; later than its start, of the one to the request for the rest."""

    def make(row, test):
        if row.is_late:
            yield row.pattern, Fault(at=POSITION[row.moment], then="close"), 1
        yield row.pattern, fault(row, test) if callable(fault) else fault, row.times

    return make


def status(number, code="", headers=(), more=""):
    return instead(Fault(answer=error_answer(number, code, headers, more=more)))


def whole(status_line, data, *headers):
    lines = [f"HTTP/1.1 {status_line}", f"Content-Length: {len(data)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def listed(data, *headers, status_line="200 OK"):
    return Fault(answer=whole(status_line, data, f'ETag: "{etag_of(DATA)}"', *headers))


def page(body, token=None, truncated=False):
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult '
        f'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{BUCKET}</Name>'
        f"<IsTruncated>{str(truncated).lower()}</IsTruncated>{more}{body}</ListBucketResult>"
    )
    return Fault(answer=whole("200 OK", xml.encode(), "Content-Type: application/xml"))


def contents(key):
    return (
        f'<Contents><Key>{key}</Key><Size>{SIZE}</Size><ETag>"{etag_of(DATA)}"</ETag>'
        "<LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>"
    )


def changed_byte(position, make):
    """A body of which one byte is another."""

    def body(start, data):
        place = position - start
        if 0 <= place < len(data):
            data = data[:place] + make(data[place : place + 1]) + data[place + 1 :]
        return data

    return body


def corrupt(word, to):
    """The first byte of a word in a record changes on its way."""

    def make(row, test):
        start = RECORD_AT[row.moment] * RECORD_SIZE
        place = start + DATA[start:].index(word) + len(word) - 1
        yield row.pattern, Fault(body=changed_byte(place, lambda _: to)), row.times

    return make


def changed_head(name, value):
    return instead(Fault(head=lambda head: with_header(head, name, value)))


def date_ahead(row, test):
    """The server says when, by the second."""

    def make(request):
        test.not_before = int(time.time()) + 2
        date = email.utils.formatdate(test.not_before, usegmt=True)
        return Fault(answer=error_answer(503, "SlowDown", [("Retry-After", date)]))

    yield row.pattern, make, row.times


def refused(seconds):
    def make(row, test):
        def refuse(*_):
            test.proxy.refuse(seconds)

        if row.is_late:
            yield row.pattern, Fault(at=POSITION[row.moment], then="close", breaking=refuse), 1
        elif row.moment == "list":
            refuse()
        else:  # the listing's own connection goes on
            yield LIST, Fault(before=refuse), 1

    return make


def resets_after(n):
    def make(row, test):
        yield row.pattern, Fault(after=n, then="reset"), None

    return make


def elsewhere(number, code):
    """A redirect to an address that nobody may go to."""

    def fault(row, test):
        return Fault(answer=error_answer(number, code, [("Location", test.elsewhere)]))

    return instead(fault)


def token_in_turn(row, test):
    tokens = []

    def make(request):
        tokens.append(request)
        return page("", "ab"[len(tokens) % 2], True)

    yield row.pattern, make, None


def replaced(row, test):
    newer = NEWER[row.fault]
    if row.is_late:
        yield row.pattern, Fault(at=POSITION[row.moment], then="close", breaking=lambda: test.put(newer)), 1
    else:
        yield row.pattern, Fault(before=lambda _: test.put(newer)), 1


def replaced_and_broken(newest):
    def make(row, test):
        yield row.pattern, Fault(before=lambda _: test.put(NEWER["replaced"])), 1
        breaking = (lambda: test.put(newest)) if newest else None
        yield row.pattern, Fault(at=MIDDLE, then="close", breaking=breaking), 1

    return make


def removed(row, test):
    if row.is_late:
        yield row.pattern, Fault(at=POSITION[row.moment], then="close", breaking=test.delete), 1
    else:
        yield row.pattern, Fault(before=lambda _: test.delete()), 1


def other_etag(row, test):
    return Fault(head=lambda head: with_header(head, "etag", '"0123456789abcdef0123456789abcdef"'))


def break_and_corrupt(row, test):
    yield row.pattern, Fault(at=MIDDLE, then="close"), 1
    start = (N_RECORDS - 1) * RECORD_SIZE
    place = start + DATA[start:].index(b'Object":1') + 8
    yield row.pattern, Fault(body=changed_byte(place, lambda _: b"5")), 1


def nothing_but_a_break(row, test):
    yield row.pattern, Fault(at=MIDDLE, then="close"), 1


def only(fault):
    def make(row, test):
        yield row.pattern, fault, row.times

    return make


REGION = "<Region>eu-north-1</Region>"
DIGIT = (b'Object":1', b"5")

FAULTS = {
    "500": status(500, "InternalError"),
    "502": status(502),
    "504": status(504),
    "503 without a code": status(503),
    "503 SlowDown": status(503, "SlowDown"),
    "503 SlowDown, Retry-After: 1": status(503, "SlowDown", [("Retry-After", "1")]),
    "429": status(429),
    "400 RequestTimeout": status(400, "RequestTimeout"),
    "503, retry_timeout 0": status(503),
    "503, retry_timeout 1, max_tries 100": status(503),
    "503, Retry-After: 9, retry_timeout 5": status(503, "", [("Retry-After", "9")]),
    "503, Retry-After: a date 2 s ahead": date_ahead,
    "503, max_tries 1": status(503),
    "503, max_tries 5": status(503),
    "reset after every 70,000 bytes": resets_after(70_000),
    "reset after every 10,000 bytes": resets_after(10_000),
    "connection refused for 0.2 s, max_tries 20": refused(MOMENT),
    "connection refused": refused(None),
    "reset before the answer": instead(Fault(at=-1, then="reset")),
    "closed before the answer": instead(Fault(at=-1, then="close")),
    "reset": at_position(then="reset"),
    "truncated": at_position(then="close"),
    "silence": at_position(then="silence"),
    "no answer": instead(Fault(at=-1, then="silence")),
    "half a head, then closed": only(Fault(answer=b"HTTP/1.1 200 OK\r\nContent-Le", hang_up=True)),
    "first byte after 0.7 s": only(Fault(delay=0.7)),
    "in pieces, for 2 s": only(Fault(pace=2)),
    "longer than listed": only(listed(DATA + DATA[:RECORD_SIZE])),
    "shorter than listed": only(listed(DATA[:-RECORD_SIZE])),
    "bytes behind the end of the answer": only(Fault(behind=b"HTTP/1.1 200 OK\r\n\r\n{}")),
    "200 to a request for the rest": instead(listed(DATA)),
    "Content-Range of other bytes": changed_head("content-range", f"bytes 100-{SIZE - 1}/{SIZE}"),
    "Content-Range of another length": instead(
        Fault(
            head=lambda head: with_header(
                head, "content-range", header(head, "content-range").replace(f"/{SIZE}", f"/{SIZE + 1}")
            )
        )
    ),
    "206 without Content-Range": changed_head("content-range", None),
    "206 of a part, unasked": only(
        listed(DATA[100:], f"Content-Range: bytes 100-{SIZE - 1}/{SIZE}", status_line="206 Partial")
    ),
    "no HTTP": instead(Fault(answer=b"SSH-2.0-Server ready for you\r\n", hang_up=True)),
    "a listing that ends in the middle": only(
        Fault(answer=whole("200 OK", b"<ListBucketResult><IsTruncated>false</IsTruncated>" + contents("step_trainer/a").encode()))
    ),
    "a listing of which a byte is corrupt": only(Fault(body=changed_byte(600, lambda _: b"\0"))),
    "a page without the next one's token": only(page(contents(KEY), truncated=True)),
    "the same token twice": only(page("", "again", True)),
    "two tokens in turn": token_in_turn,
    "a key outside the prefix": only(page(contents("customers/a.json"))),
    "a page that is no XML": only(Fault(answer=whole("200 OK", b"It works!"))),
    "a corrupt digit": corrupt(*DIGIT),
    "a corrupt brace": corrupt(b"{", b"["),
    "a corrupt brace, on_error stop": corrupt(b"{", b"["),
    "a corrupt digit, checksum on": corrupt(*DIGIT),
    "a corrupt digit, checksum on, after a break": break_and_corrupt,
    "nothing but a break, checksum on": nothing_but_a_break,
    "403 AccessDenied": status(403, "AccessDenied"),
    "403 without a code": status(403),
    "403 SignatureDoesNotMatch": status(
        403, "SignatureDoesNotMatch", more=f"<StringToSign>{CANARY}</StringToSign>"
    ),
    "403 InvalidAccessKeyId": status(403, "InvalidAccessKeyId"),
    "403 RequestTimeTooSkewed": status(403, "RequestTimeTooSkewed"),
    "400 ExpiredToken": status(400, "ExpiredToken"),
    "400 InvalidToken": status(400, "InvalidToken"),
    "400 InvalidRequest": status(400, "InvalidRequest"),
    "404 NoSuchBucket": status(404, "NoSuchBucket"),
    "404 NoSuchKey": status(404, "NoSuchKey"),
    "404 without a code": status(404),
    "403 InvalidObjectState": status(403, "InvalidObjectState"),
    "501 NotImplemented": status(501, "NotImplemented"),
    "301 PermanentRedirect": elsewhere(301, "PermanentRedirect"),
    "307 TemporaryRedirect": elsewhere(307, "TemporaryRedirect"),
    "302 without a code": elsewhere(302, ""),
    "301 PermanentRedirect, the region told": status(
        301, "PermanentRedirect", [("x-amz-bucket-region", "eu-north-1")]
    ),
    "400 AuthorizationHeaderMalformed, the region told": status(
        400, "AuthorizationHeaderMalformed", more=REGION
    ),
    "400 AuthorizationHeaderMalformed, no region told": status(400, "AuthorizationHeaderMalformed"),
    **dict.fromkeys(NEWER, replaced),
    "replaced, and then a break in the middle": replaced_and_broken(None),
    "replaced, and again at a break in the middle": replaced_and_broken(NEWEST),
    "412 to every request": status(412, "PreconditionFailed"),
    "another ETag than listed": instead(other_etag),
    "another ETag to the request for the rest": instead(other_etag),
    "removed": removed,
    "replaced during a run, a new object": lambda row, test: [
        (GET, Fault(before=lambda _: test.put(NEWER["replaced"])), 1)
    ],
    "removed during a run": removed,
    "503 SlowDown during a run": status(503, "SlowDown"),
}


def options_of(fault):
    """The options that its words tell."""
    found = dict(re.findall(r"(max_tries|retry_timeout) (\d+)", fault))
    if "checksum on" in fault:
        found["checksum"] = "true"
    return OPTIONS | found


def resumed_at(row):
    """Where the requests for the rest may begin; None: there are none."""
    if row.fault.startswith("reset after every"):
        step = int(re.sub(r"\D", "", row.fault))
        return set(range(step, SIZE, step))
    if "break" in row.fault:
        return {MIDDLE}
    return {POSITION[row.moment]} if row.is_late else None


def requests_are(words, n):
    """Does a number of requests fit its words?"""
    found = re.fullmatch(r"(\d+)( or more| or fewer)? requests?", words)
    told = int(found.group(1))
    return {None: n == told, " or more": n >= told, " or fewer": n <= told}[found.group(2)]


@unittest.skipUnless(ENDPOINT, "no radosgw is named: run within test/s3/with_s3")
class FaultsTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        client = s3put.from_environment(ENDPOINT)
        client.make_bucket(BUCKET)
        customer = {
            "customerName": "N. N.",
            "email": "p1@example.com",
            "serialNumber": "S-1",
            "registrationDate": 1,
            "lastUpdateDate": 2,
            "shareWithResearchAsOfDate": 1,
        }
        move = {"user": "p1@example.com", "timestamp": 1655564444103, "x": 1, "y": 2, "z": 3}
        for key, value in (("customers/a.json", customer), ("accelerometer/a.json", move)):
            client.put(BUCKET, key, json.dumps(value).encode())
        for number, key in enumerate(OTHER_KEYS):
            client.put(BUCKET, key, records(10 * number, 10))
        cls.put(DATA)
        cls.proxy = FaultProxy(ENDPOINT)
        cls.addClassCleanup(cls.proxy.stop)
        cls.db.make_landing(
            "lake",
            f"s3://{BUCKET}",
            secrets={
                "access_key_id": os.environ["STEDI_S3_ACCESS_KEY"],
                "secret_access_key": SECRET_KEY,
            },
            endpoint=cls.proxy.endpoint,
            url_style="path",
            allow_http="true",
            **OPTIONS,
        )
        for name in ("object", "etag"):
            cls.db.run(
                f"ALTER FOREIGN TABLE lake.step_trainer_landing ADD COLUMN {name} text OPTIONS (source '{name}')"
            )
        cls.db.run("ALTER FOREIGN TABLE lake.step_trainer_landing OPTIONS (ADD on_error 'reject')")
        cls.trap = socket.create_server(("127.0.0.1", 0))
        cls.addClassCleanup(cls.trap.close)
        cls.trap.setblocking(False)
        cls.elsewhere = f"http://127.0.0.1:{cls.trap.getsockname()[1]}/{BUCKET}/{KEY}"

    @classmethod
    def put(cls, data):
        cls.data = data
        s3put.from_environment(ENDPOINT).put(BUCKET, KEY, data)

    @classmethod
    def delete(cls):
        cls.data = None
        s3put.from_environment(ENDPOINT).delete(BUCKET, KEY)

    def ready(self, row):
        """All is well again; then the fault's rules."""
        self.proxy.listen()
        self.proxy.clear()
        if self.data is not DATA:
            self.put(DATA)
        self.not_before = None
        options = ", ".join(f"SET {name} '{value}'" for name, value in options_of(row.fault).items())
        self.db.run(f"ALTER SERVER lake OPTIONS ({options})")
        on_error = "stop" if "on_error stop" in row.fault else "reject"
        self.db.run(f"ALTER FOREIGN TABLE lake.step_trainer_landing OPTIONS (SET on_error '{on_error}')")
        self.db.notices.clear()
        for pattern, fault, times in FAULTS[row.fault](row, self):
            self.proxy.add(pattern, fault, times)

    def test_document(self):
        """Every fault of the document can be done, and every one that can be is in it."""
        rows = [Row(number, cells) for number, cells in Document().rows()]
        self.assertEqual({row.fault for row in rows}, set(FAULTS))
        triples = [(row.fault, row.moment, row.often) for row in rows]
        self.assertEqual(len(triples), len(set(triples)))
        self.assertLessEqual(SOME, set(triples))

    def test_faults(self):
        for number, cells in Document().rows():
            row = Row(number, cells)
            if not ALL and (row.fault, row.moment, row.often) not in SOME:
                continue
            with self.subTest(str(row)):
                self.check(row)

    def check(self, row):
        self.ready(row)
        began = time.monotonic()
        try:
            words = self.run_outcome() if "during a run" in row.fault else self.query_outcome(row)
            error = None
        except psycopg.Error as raised:
            error = raised.diag
            words = self.words(error)
        self.took = time.monotonic() - began
        seen = self.proxy.take()
        hit = [request for request in seen if re.search(row.pattern, str(request))]
        n = self.number(row, hit, error)
        resumed = ""
        if any("range" in request.headers for request in hit):
            resumed = ", resumed" if error is None else ""
        measured = f"{words}, {n} request{'' if n == 1 else 's'}{resumed}"
        Document.note(row.number, measured)

        expected = row.expected.removesuffix(", resumed")
        expected_words, _, expected_requests = expected.rpartition(", ")
        self.assertEqual(words, expected_words)
        self.assertTrue(requests_are(expected_requests, n), measured)
        self.assertEqual(bool(resumed), row.expected.endswith(", resumed"), measured)
        self.check_requests(row, hit)
        self.check_pauses(row, hit)
        if error is None:
            self.check_others(row, seen)
        with self.assertRaises(BlockingIOError):  # nobody came where a redirect led
            self.trap.accept()
        # the session goes on, and no byte of it is left
        self.proxy.listen()
        self.proxy.clear()
        if self.data is None:
            self.put(DATA)
        self.assertEqual(self.answer(), self.right(self.data))

    # What it comes to.

    def answer(self):
        return self.db.rows(
            "SELECT count(*), count(DISTINCT sensorreadingtime), sum(distancefromobject)"
            " FROM lake.step_trainer_landing"
        )[0]

    @staticmethod
    def right(data):
        n = len(data) // RECORD_SIZE
        distance = int(data.split(b":")[-1].rstrip(b" }\n")) if n else 0
        return (20 + n, 20 + n, 20 + n * distance)

    def query_outcome(self, row):
        rows = self.db.rows(
            "SELECT sensorreadingtime, distancefromobject, object, etag FROM lake.step_trainer_landing"
        )
        answer = (len(rows), len({row[0] for row in rows}), sum(row[1] for row in rows))
        etags = {row[3].strip('"') for row in rows if row[2] == KEY}
        if self.db.notices:
            self.assertRegex(" ".join(self.db.notices), r"^\d+ records? of foreign table .* set aside$")
            return "a WARNING and the other rows"
        if answer != self.right(self.data):
            return "wrong"
        if "another ETag" not in row.fault:
            self.assertLessEqual(etags, {etag_of(self.data)})
        return "right" if self.data is DATA else "right, the new version"

    def run_outcome(self):
        """Of two runs: the second one knows what the first has read."""
        with self.schema("target"):
            self.db.materialize("target", landing="lake")
            answer = self.db.rows(
                "SELECT count(*), count(DISTINCT sensorreadingtime), sum(distancefromobject)"
                " FROM target.step_trainer_curated"
            )[0]
            seen = self.proxy.take()
            self.db.materialize("target", landing="lake")
            again = self.proxy.take()
            self.assertEqual([str(request) for request in again if "prefix=" not in str(request)], [])
            with self.proxy.lock:
                self.proxy.requests = seen
        if answer != self.right(self.data):
            return "wrong"
        return "right" if self.data is DATA else "right, the new version"

    def words(self, error):
        """SQLSTATE, and how the message ends; where it does not say of what, how it begins."""
        everything = " ".join(
            filter(None, (error.message_primary, error.message_detail, error.message_hint, error.context))
        )
        for secret in (SECRET_KEY, "Signature=", CANARY, "AWS4-HMAC"):
            self.assertNotIn(secret, everything)
        message = error.message_primary
        found = re.match(r'could not (?:fetch object ".*" of|list) bucket ".*": (.*)', message)
        return f"{error.sqlstate} {found.group(1) if found else message.partition(' ' + chr(34))[0]}"

    def number(self, row, hit, error):
        """Of the requests; those that did not reach the server are told of by the error alone."""
        told = re.search(r"sent (\d+) times", (error and error.message_detail) or "")
        if row.fault == "connection refused":
            self.assertIsNotNone(told, f"{error.message_primary} {error.message_detail}")
            return int(told.group(1))
        if told:  # it counts from when the request last got on
            count = len(hit) - ("and again" in row.fault)
            self.assertEqual(int(told.group(1)), count)
        return len(hit)

    # How it was asked.

    def check_requests(self, row, hit):
        """The rest is asked for from where it broke, and of one version."""
        places = resumed_at(row)
        etags = {f'"{etag_of(DATA)}"'}
        if "ETag" in row.fault or "replaced" in row.fault or "412" in row.fault:
            return
        for number, request in enumerate(hit):
            self.assertEqual(request.method, "GET")
            if row.moment != "list":
                self.assertIn(request.headers.get("if-match"), etags)
            if places is None or number == 0:
                self.assertNotIn("range", request.headers)
            else:
                self.assertRegex(request.headers["range"], r"^bytes=\d+-$")
                self.assertIn(int(request.headers["range"][6:-1]), places)
        if "the region told" in row.fault:
            self.assertEqual({request.region for request in hit[:-1]} - {"eu-north-1"}, {"us-east-1"})
            self.assertEqual(hit[-1].region, "eu-north-1")

    def check_pauses(self, row, hit):
        """No sooner than the server says, and no longer than it may take."""
        if "Retry-After: 1" in row.fault:
            for before, after in zip(hit[row.is_late :], hit[1 + row.is_late :]):
                self.assertGreaterEqual(after.time - before.time, 0.99)
        if self.not_before is not None:
            wall = time.time() - time.monotonic() + hit[-1].time
            self.assertGreaterEqual(wall, self.not_before - 0.01)
        if "retry_timeout 1" in row.fault or "retry_timeout 5" in row.fault:
            self.assertLess(self.took, 4)

    def check_others(self, row, seen):
        """What was not hit was asked for once."""
        for pattern in (LIST, *(rf"GET /{BUCKET}/{key}" for key in OTHER_KEYS)):
            if pattern != row.pattern:
                self.assertEqual(sum(bool(re.search(pattern, str(request))) for request in seen), 1)


if __name__ == "__main__":
    unittest.main()
