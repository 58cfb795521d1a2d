"""A proxy before an S3 server that passes bytes on, and does what networks do to them.

    with FaultProxy(endpoint) as proxy:
        proxy.add(r"GET /bucket/key", Fault(at=1000, then="reset"), times=1)
        ...ask proxy.endpoint...
        for request in proxy.take(): ...

A request's bytes reach the server as they came, so that signatures hold.  Each
request is noted; the first rule whose pattern is found in "METHOD TARGET", and
that is not used up, has its fault done to it.  It is a part of the test's process,
listens on 127.0.0.1 alone, and needs Python alone.
"""
import contextlib
import dataclasses
import fcntl
import random
import re
import select
import socket
import struct
import termios
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable

# Bytes that are passed on at a time.
PIECE = 64 * 1024

# Seconds that a reset waits at most for the client to have what was sent before.
DRAIN_LIMIT = 5.0


@dataclasses.dataclass
class Request:
    """What a client asked for."""

    time: float  # of time.monotonic
    method: str
    target: str
    headers: dict  # of lower-case names
    fault: str = ""  # the name of what was done to it

    def __str__(self):
        return f"{self.method} {self.target}"

    @property
    def path(self):
        return urllib.parse.unquote(self.target.partition("?")[0])

    @property
    def query(self):
        return dict(urllib.parse.parse_qsl(self.target.partition("?")[2]))

    @property
    def region(self):
        """The one that it is signed for."""
        scope = self.headers.get("authorization", "").partition("Credential=")[2]
        return scope.split("/")[2] if scope else ""


@dataclasses.dataclass
class Fault:
    """What is done to a request and its answer; what is not given is left alone.

    Positions count from the start of the object, also in the answer to a Range.
    """

    name: str = ""
    before: Callable | None = None  # called with the request, before the server has it
    delay: float = 0  # seconds before the answer
    answer: bytes | None = None  # instead of the server's, which is not asked
    hang_up: bool = False  # behind that answer
    head: Callable | None = None  # changes the answer's head
    body: Callable | None = None  # changes bytes of the body: (position, bytes)
    pace: float = 0  # seconds that a body takes to come, in pieces
    at: int | None = None  # ends the answer before this position; -1: before its head
    after: int | None = None  # the same, so many bytes behind its beginning
    then: str = "reset"  # how it ends: reset, close, silence, pause (then it goes on)
    rest: float = 0  # seconds of a pause
    breaking: Callable | None = None  # called as it ends
    behind: bytes = b""  # sent behind the answer


@dataclasses.dataclass
class Rule:
    pattern: re.Pattern
    fault: Fault | Callable  # or what makes one of the request
    times: int | None
    skip: int
    p: float


class Gone(Exception):
    """The connection is over."""


def error_answer(status, code="", headers=(), message="A fault of the tests", more=""):
    """An answer as S3 has it; without a code, one without a body."""
    body = b""
    if code:
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
            f"<Message>{message}</Message>{more}<RequestId>1</RequestId></Error>"
        ).encode()
    lines = [f"HTTP/1.1 {status} Fault", f"Content-Length: {len(body)}"]
    if code:
        lines.append("Content-Type: application/xml")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def header(head, name):
    """The value of a header of a head, or None."""
    found = re.search(rb"(?im)^" + name.encode() + rb":[ \t]*(.*?)\r?$", head)
    return found.group(1).decode() if found else None


def with_header(head, name, value):
    """The head with this header, or without it where the value is None."""
    head = re.sub(rb"(?im)^" + name.encode() + rb":.*\r\n", b"", head)
    if value is None:
        return head
    return head.replace(b"\r\n", f"\r\n{name}: {value}\r\n".encode(), 1)


class Stream:
    """A socket, read by heads and pieces."""

    def __init__(self, sock):
        self.sock = sock
        self.data = b""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def more(self):
        piece = self.sock.recv(PIECE)
        if not piece:
            raise Gone
        self.data += piece

    def until(self, end):
        while end not in self.data:
            self.more()
        found, _, self.data = self.data.partition(end)
        return found + end

    def some(self, most):
        """At least one byte, and at most so many."""
        if not self.data:
            self.more()
        piece, self.data = self.data[:most], self.data[most:]
        return piece


class FaultProxy:
    def __init__(self, endpoint, seed=1):
        parts = urllib.parse.urlsplit(endpoint)
        self.server = (parts.hostname, parts.port)
        self.lock = threading.Lock()
        self.random = random.Random(seed)
        self.rules = []
        self.requests = []
        self.injected = Counter()  # faults by name, as they happen
        self.stopping = False
        self.sockets = set()
        self.timers = []
        self.listener = None
        self.port = 0
        self.listen()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def add(self, pattern, fault, times=None, skip=0, p=1.0):
        """Do a fault, or what a function makes of the request, to requests of a pattern.

        It passes over the first ones (skip), is done so many times, and with
        probability p.
        """
        with self.lock:
            self.rules.append(Rule(re.compile(pattern), fault, times, skip, p))

    def clear(self):
        """No more faults, and nothing seen."""
        with self.lock:
            self.rules = []
            self.requests = []
            self.injected.clear()

    def take(self):
        """The requests since the last call."""
        with self.lock:
            seen, self.requests = self.requests, []
            return seen

    # Connections.

    def listen(self):
        """Take connections; on the same port, where it did before."""
        with self.lock:
            if self.listener is not None or self.stopping:
                return
            self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
            self.port = self.listener.getsockname()[1]
            threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def refuse(self, seconds=None):
        """Take no more connections, for so long; those that are there go on."""
        with self.lock:
            listener, self.listener = self.listener, None
            if listener is not None:
                # a thread that waits in accept would hold it open
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                listener.close()
        if seconds is not None:
            timer = threading.Timer(seconds, self.listen)
            timer.daemon = True
            self.timers.append(timer)
            timer.start()

    def stop(self):
        self.stopping = True
        for timer in self.timers:
            timer.cancel()
        self.refuse()
        with self.lock:
            sockets = list(self.sockets)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        """All requests of a connection, over one connection to the server."""
        client = Stream(sock)
        server = None
        with self.lock:
            self.sockets.add(sock)
        try:
            while True:
                head = client.until(b"\r\n\r\n")
                request = self.note(head)
                fault = self.choose(request)
                length = int(request.headers.get("content-length", 0))
                if fault.before is not None:
                    fault.before(request)
                self.rest(client, fault.delay)
                if fault.at == -1:
                    self.end(client, fault)
                if fault.answer is not None:
                    while length > 0:
                        length -= len(client.some(length))
                    sock.sendall(fault.answer + fault.behind)
                    if fault.hang_up:
                        raise Gone
                    continue
                if server is None:
                    server = Stream(socket.create_connection(self.server))
                    with self.lock:
                        self.sockets.add(server.sock)
                server.sock.sendall(head)
                while length > 0:
                    piece = client.some(length)
                    length -= len(piece)
                    server.sock.sendall(piece)
                if self.answer(client, server, request, fault):
                    raise Gone
        except (Gone, OSError):
            pass
        finally:
            for stream in (client, server):
                if stream is not None:
                    with self.lock:
                        self.sockets.discard(stream.sock)
                    stream.sock.close()

    def note(self, head):
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        headers = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if colon:
                headers[name.lower()] = value.strip()
        request = Request(time.monotonic(), method, target, headers)
        with self.lock:
            self.requests.append(request)
        return request

    def choose(self, request):
        with self.lock:
            for rule in self.rules:
                if rule.times == 0 or not rule.pattern.search(str(request)):
                    continue
                if rule.skip > 0:
                    rule.skip -= 1
                    continue
                if self.random.random() >= rule.p:
                    continue
                if rule.times is not None:
                    rule.times -= 1
                fault = rule.fault if isinstance(rule.fault, Fault) else rule.fault(request)
                request.fault = fault.name
                if fault.at is None and fault.after is None:
                    self.injected[fault.name] += 1
                return fault
        return Fault()

    # Answers.

    def answer(self, client, server, request, fault):
        """Pass the server's answer on; true: it ends the connection."""
        head = server.until(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            client.sock.sendall(head)
            head = server.until(b"\r\n\r\n")
        passed = Body(self, client, fault, head)
        client.sock.sendall(fault.head(head) if fault.head else head)
        status = int(head.split(b" ", 2)[1])
        ends = (header(head, "connection") or "").lower() == "close"
        if request.method != "HEAD" and status not in (204, 304):
            ends = self.pass_body(server, head, passed) or ends
        client.sock.sendall(fault.behind)
        return ends

    @staticmethod
    def pass_body(server, head, passed):
        """As long as the head says; true: to the connection's end."""
        if "chunked" in (header(head, "transfer-encoding") or "").lower():
            while True:
                line = server.until(b"\r\n")
                length = int(line.split(b";")[0], 16)
                passed.frame(line)
                while length > 0:
                    piece = server.some(min(length, PIECE))
                    length -= len(piece)
                    passed.put(piece)
                passed.frame(server.until(b"\r\n"))
                if line.startswith(b"0"):
                    return False
        length = header(head, "content-length")
        if length is None:
            with contextlib.suppress(Gone):
                while True:
                    passed.put(server.some(PIECE))
            return True
        length = int(length)
        while length > 0:
            piece = server.some(min(length, PIECE))
            length -= len(piece)
            passed.put(piece)
        return False

    def rest(self, client, seconds):
        """Let time go by, unless the client leaves."""
        until = time.monotonic() + seconds
        while not self.stopping and (left := until - time.monotonic()) > 0:
            readable, _, _ = select.select([client.sock], [], [], min(left, 0.5))
            if readable and not client.sock.recv(1, socket.MSG_PEEK):
                raise Gone

    def end(self, client, fault):
        """End an answer where it is: not all are as long as that."""
        with self.lock:
            self.injected[fault.name] += 1
        if fault.breaking is not None:
            fault.breaking()
        if fault.then == "pause":
            self.rest(client, fault.rest)
            return
        if fault.then == "silence":
            self.rest(client, 3600)
        if fault.then == "reset":
            reset(client.sock)
        raise Gone


def reset(sock):
    """Close a connection with RST, after the other side has got what was sent."""
    limit = time.monotonic() + DRAIN_LIMIT
    while time.monotonic() < limit:
        (unsent,) = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))
        if unsent == 0:
            break
        time.sleep(0.001)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Body:
    """A body on its way to the client."""

    def __init__(self, proxy, client, fault, head):
        self.proxy, self.client, self.fault = proxy, client, fault
        content_range = re.match(r"bytes (\d+)-", header(head, "content-range") or "")
        self.position = int(content_range.group(1)) if content_range else 0
        self.at = fault.at
        if fault.after is not None:
            self.at = self.position + fault.after
        self.left = fault.pace
        self.length = int(header(head, "content-length") or PIECE)

    def frame(self, data):
        self.client.sock.sendall(data)

    def put(self, data):
        fault = self.fault
        if fault.body is not None:
            data = fault.body(self.position, data)
        while self.at is not None and self.position + len(data) > self.at:
            before = max(self.at - self.position, 0)
            self.send(data[:before])
            data = data[before:]
            self.at = None
            self.proxy.end(self.client, fault)
        self.send(data)

    def send(self, data):
        if not data:
            return
        self.position += len(data)
        if not self.left:
            self.client.sock.sendall(data)
            return
        n_pieces = 20
        step = -(-len(data) // n_pieces)
        wait = self.left * len(data) / self.length / n_pieces
        for start in range(0, len(data), step):
            self.proxy.rest(self.client, wait)
            self.client.sock.sendall(data[start : start + step])

