"""Servers that keep whoever asks them waiting, each at another moment; and a look into a process.

All listen on this machine alone, and end with the test.
"""
import os
import pathlib
import re
import socket
import subprocess
import threading

from stedi_client import CLIENT

HEAD = "HTTP/1.1 {} X\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n{}\r\n"


def reply(body, status=200, length=None, headers=""):
    """An answer; a length that is more than the body has leaves it unfinished."""
    body = body.encode()
    return HEAD.format(status, len(body) if length is None else length, headers).encode() + body


def listing(sizes):
    """What S3 says to whoever lists a bucket of these keys."""
    contents = "".join(
        f"<Contents><Key>{key}</Key><Size>{size}</Size><ETag>&quot;e&quot;</ETag>"
        "<LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
        for key, size in sizes.items()
    )
    return reply(f"<?xml version='1.0'?><ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>")


NOTHING = b""
HALF_A_LISTING = reply("<?xml version='1.0'?><ListBucketResult>", length=100000)
BUSY = reply("<Error><Code>SlowDown</Code></Error>", 503, headers="Retry-After: 60\r\n")


class Server:
    """Answers what answer(path) says, and then waits for more, saying nothing.

    Without answer, it takes a connection's first bytes, and no more.
    """

    def __init__(self, test, answer=None):
        self.answer = answer
        self.lock = threading.Lock()
        self.asked = []
        self.answered = []  # as far as it goes
        self.first_bytes = []
        self.connections = set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        test.addCleanup(self.close)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections.add(connection)
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        """Until the other side closes it."""
        request = b""
        try:
            while True:
                received = connection.recv(65536)
                if not received:
                    break
                request += received
                if self.answer is None:
                    self.first_bytes.append(received)
                elif b"\r\n\r\n" in request:
                    path = request.split(b" ")[1].decode()
                    request = b""
                    self.asked.append(path)
                    connection.sendall(self.answer(path))
                    self.answered.append(path)
        except OSError:
            pass
        connection.close()
        with self.lock:
            self.connections.discard(connection)

    def forget(self):
        """Whatever was asked."""
        for memory in (self.asked, self.answered, self.first_bytes):
            memory.clear()

    def close(self):
        # a thread that waits in accept keeps the socket open, but for this
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for connection in self.connections:
                connection.shutdown(socket.SHUT_RDWR)


class FullListener:
    """Listens, but its queue is full: whoever connects is not answered."""

    def __init__(self, test):
        self.listener = socket.socket()
        test.addCleanup(self.listener.close)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        for _ in range(2):  # one is queued; the second finds out that no other is
            client = socket.socket()
            test.addCleanup(client.close)
            client.setblocking(False)
            client.connect_ex(self.listener.getsockname())


class Resolver:
    """Makes a server wait for the address of one name, in a library that is loaded before the system's."""

    NAME = "unanswered.invalid"

    def __init__(self, folder):
        self.fifo = folder / "resolver.fifo"
        library = folder / "resolver.so"
        os.mkfifo(self.fifo)
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-o", library, CLIENT / "resolver.c", "-ldl"], check=True
        )
        self.environment = {"LD_PRELOAD": library, "STEDI_TEST_RESOLVER": self.fifo}

    def answer(self):
        """Let those who wait go on."""
        try:
            os.close(os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # nobody waits
            pass


class Process:
    """What the kernel knows of a process."""

    def __init__(self, pid, data):
        self.folder = pathlib.Path("/proc") / str(pid)
        self.data = str(data)  # whose files are PostgreSQL's own business

    def exists(self):
        try:
            return "State:\tZ" not in (self.folder / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False

    def descriptors(self):
        found = []
        for name in (self.folder / "fd").iterdir():
            try:
                target = os.readlink(name)
            except FileNotFoundError:
                continue
            if not target.startswith(self.data):
                found.append(f"{name.name} {target}")
        return sorted(found)

    def threads(self):
        return sorted(thread.name for thread in (self.folder / "task").iterdir())

    def state(self):
        return self.descriptors(), self.threads()

    def blocked(self, thread):
        """The signals that one of its threads does not take."""
        status = (self.folder / "task" / thread / "status").read_text()
        mask = int(re.search(r"^SigBlk:\s*(\w+)", status, re.M)[1], 16)
        return {signal for signal in range(1, 65) if mask >> (signal - 1) & 1}

    def is_connecting(self, port):
        """Does it (or another one of this machine's) wait for that port to take a connection?"""
        lines = (self.folder / "net" / "tcp").read_text().splitlines()[1:]
        wanted = "0100007F:%04X" % port
        inodes = {line.split()[9] for line in lines if line.split()[2:4] == [wanted, "02"]}
        return any(f"socket:[{inode}]" in descriptor for inode in inodes for descriptor in self.descriptors())
