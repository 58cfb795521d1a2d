"""S3 servers that say what a test wants, and listeners that nobody must come to.

Both listen on 127.0.0.1.  A FakeS3 keeps all requests, as they came.
"""
import http.server
import socket
import threading
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class Canary:
    """A listener that counts who comes; it answers nothing."""

    def __init__(self, test):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.visits = []
        test.addCleanup(self.close)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                visitor, _ = self.socket.accept()
            except OSError:
                return
            visitor.settimeout(1)
            try:
                self.visits.append(visitor.recv(65536))
            except OSError:
                self.visits.append(b"")
            visitor.close()

    def close(self):
        # shutdown wakes up who waits in accept
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class Request:
    def __init__(self, handler):
        self.method = handler.command
        self.target = handler.path
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.path = unquote(urlsplit("//x" + handler.path if handler.path.startswith("/") else handler.path).path)
        self.query = parse_qs(urlsplit(handler.path).query, keep_blank_values=True)
        self.lists = "list-type" in self.query


class FakeS3:
    """Answers each request with what answer(request) gives: (status, headers, body).

    A length behind these is told instead of the body's; the connection ends there.
    """

    def __init__(self, test, answer):
        fake = self
        self.answer = answer
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                request = Request(self)
                fake.requests.append(request)
                status, headers, body, *length = fake.answer(request)
                body = body.encode() if isinstance(body, str) else body
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if callable(body):
                    self.end_headers()
                    self.close_connection = True
                    body(self.wfile)
                    return
                self.send_header("Content-Length", str(*length or [len(body)]))
                self.close_connection = self.close_connection or bool(length)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 128  # a run opens more connections at once than the 5 of the library

            def handle_error(self, request, client_address):
                """A client that leaves in the middle is none."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        test.addCleanup(self.close)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def listing(objects, before=""):
    """A page of a listing, of {key: body}."""
    entries = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;{len(body)}-{abs(hash(body))}&quot;</ETag><Size>{len(body)}</Size></Contents>"
        for key, body in objects.items()
    )
    return f"{before}<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"


def store(objects, bucket="bucket"):
    """An answer function of a bucket that holds {key: body}, in its path."""

    def answer(request):
        if request.lists:
            prefix = request.query.get("prefix", [""])[0]
            return 200, {}, listing({key: body for key, body in objects.items() if key.startswith(prefix)})
        body = objects.get(request.path[len(bucket) + 2 :])
        if body is None:
            return 404, {}, error("NoSuchKey")
        return 200, {"ETag": f'"{len(body)}-{abs(hash(body))}"'}, body

    return answer


def error(code, message="no", more=""):
    return f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message>{more}</Error>"
