"""Small servers of what a test needs to be asked and answered: on this machine alone.

A Loopback hands every request to a function, which returns (status, body) or
(status, body, headers), and remembers what came.  Credentials hands keys out
as a container, an instance and the token service do, and says how often; a
Bucket is an S3 server of a few objects, which takes the keys of a set and no
others, and verifies signatures with a signer of its own.  An Authority signs
certificates for them.
"""
import datetime
import hashlib
import hmac
import http.client
import http.server
import json
import ssl
import subprocess
import threading
import time
import urllib.parse


def signature(method, path, query, headers, names, body, scope, secret):
    """The signature of a request: in hex, of the headers of these names."""
    canonical = "\n".join((
        method, path, query,
        *(f"{name}:{headers[name].strip()}" for name in names),
        "", ";".join(names), hashlib.sha256(body).hexdigest(),
    ))
    to_sign = "\n".join((
        "AWS4-HMAC-SHA256", headers["x-amz-date"], scope,
        hashlib.sha256(canonical.encode()).hexdigest(),
    ))
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


def sign(endpoint, method, path, body, service, access_key, secret):
    """Send a signed request; returns the answer's body."""
    host = endpoint.partition("://")[2]
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "host": host,
        "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
        "x-amz-date": date,
    }
    names = sorted(headers)
    scope = f"{date[:8]}/us-east-1/{service}/aws4_request"
    signed = signature(method, path, "", headers, names, body, scope, secret)
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={signed}"
    )
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    if answer.status != 200:
        raise AssertionError(f"{method} {endpoint}{path}: {answer.status} {content[:500]}")
    return content


class Request:
    """One request as it came."""

    def __init__(self, handler, body):
        self.method = handler.command
        self.proxied = handler.path.startswith("http://")
        path = handler.path
        if self.proxied:
            path = "/" + path.split("/", 3)[3]
        self.path, _, self.query = path.partition("?")
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.body = body
        self.time = time.monotonic()

    def form(self):
        return dict(urllib.parse.parse_qsl(self.body.decode()))

    def access_key(self):
        """Whose key it is signed with, or None."""
        _, found, rest = self.headers.get("authorization", "").partition("Credential=")
        return rest.split("/")[0] if found else None

    def signature_is(self, secret):
        """Is it signed with this secret?"""
        words = self.headers["authorization"].replace(",", "").split()
        parts = dict(word.split("=", 1) for word in words[1:])
        _, scope = parts["Credential"].split("/", 1)
        expected = signature(
            self.method, self.path, self.query, self.headers, parts["SignedHeaders"].split(";"),
            self.body, scope, secret,
        )
        return hmac.compare_digest(expected, parts["Signature"])


class Loopback:
    """A server at self.url; ends with the test."""

    def __init__(self, test, answer, context=None):
        self.answer = answer
        self.requests = []
        loopback = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_request(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self, body)
                loopback.requests.append(request)
                status, answer, *more = loopback.answer(request)
                answer = answer.encode() if isinstance(answer, str) else answer
                self.send_response(status)
                for name, value in (more[0] if more else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_PUT = do_POST = handle_request

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 128  # a run opens more connections at once than the 5 of the library

            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # a client that went away

        self.server = Server(("127.0.0.1", 0), Handler)
        scheme = "http"
        if context is not None:
            scheme = "https"
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self.server.server_address[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        test.addCleanup(self.server.server_close)
        test.addCleanup(self.server.shutdown)


def iso(epoch):
    """A time as AWS writes it, but with its fraction."""
    return datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).isoformat().replace("+00:00", "Z")


STS_ANSWER = """<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>
<AssumedRoleUser><Arn>{role}</Arn></AssumedRoleUser>
<Credentials><AccessKeyId>{AccessKeyId}</AccessKeyId><SecretAccessKey>{SecretAccessKey}</SecretAccessKey>
<SessionToken>{Token}</SessionToken><Expiration>{Expiration}</Expiration></Credentials>
</{action}Result></{action}Response>"""

STS_ERROR = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>{}</Code><Message>{}</Message></Error><RequestId>1</RequestId></ErrorResponse>"""


class Credentials:
    """Keys of `life` seconds, each time others, for whoever knows how to ask.

    broken is what is answered in their place; keys are those that are still
    good, by access key: (secret, token, until when).
    """

    ROLE = "stedi-role"
    METADATA_TOKEN = "metadata-token"

    def __init__(self, test, life=3600, context=None):
        self.life = life
        self.keys = {}
        self.n = 0
        self.broken = None
        self.make = self.make_own
        self.loopback = Loopback(test, self.answer, context)
        self.url = self.loopback.url

    @property
    def requests(self):
        return self.loopback.requests

    def make_own(self):
        """New keys, as JSON has them."""
        self.n += 1
        keys = {
            "AccessKeyId": f"ASIAFETCHED{self.n:05}",
            "SecretAccessKey": f"fetched/secret+{self.n:05}",
            "Token": f"fetched/token=={self.n:05}",
            "Expiration": iso(time.time() + self.life),
        }
        self.keys[keys["AccessKeyId"]] = (keys["SecretAccessKey"], keys["Token"], time.time() + self.life)
        return keys

    def answer(self, request):
        if self.broken is not None:
            return self.broken
        if request.path == "/container":
            return 200, json.dumps(self.make())
        if request.path.startswith("/latest/"):
            return self.instance(request)
        if request.method == "POST" and request.path == "/":
            form = request.form()
            return 200, STS_ANSWER.format(action=form["Action"], role=form["RoleArn"], **self.make())
        return 404, "nothing here"

    def instance(self, request):
        if (request.method, request.path) == ("PUT", "/latest/api/token"):
            if "x-aws-ec2-metadata-token-ttl-seconds" not in request.headers:
                return 400, ""
            return 200, self.METADATA_TOKEN
        if request.headers.get("x-aws-ec2-metadata-token") != self.METADATA_TOKEN:
            return 401, ""
        if request.path == "/latest/meta-data/iam/security-credentials/":
            return 200, self.ROLE
        if request.path == f"/latest/meta-data/iam/security-credentials/{self.ROLE}":
            return 200, json.dumps({"Code": "Success", "Type": "AWS-HMAC", **self.make()}, indent=2)
        return 404, ""


S3_ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>no</Message></Error>"


class Bucket:
    """An S3 server with one bucket; keys says who may read it: see Credentials."""

    def __init__(self, test, objects, keys, expired=(400, "ExpiredToken"), context=None):
        self.objects = objects
        self.keys = keys
        self.expired = expired
        self.delay = 0  # seconds, of every object
        self.refused = 0
        self.loopback = Loopback(test, self.answer, context)
        self.url = self.loopback.url

    @property
    def requests(self):
        return self.loopback.requests

    def trouble(self, request):
        """Why the request is refused, or None."""
        found = self.keys.get(request.access_key())
        if found is None:
            return 403, "InvalidAccessKeyId"
        secret, token, until = found
        if request.headers.get("x-amz-security-token") != token:
            return 400, "InvalidToken"
        if not request.signature_is(secret):
            return 403, "SignatureDoesNotMatch"
        if until is not None and time.time() >= until:
            return self.expired
        return None

    def answer(self, request):
        trouble = self.trouble(request)
        if trouble is not None:
            self.refused += 1
            return trouble[0], S3_ERROR.format(trouble[1])
        query = dict(urllib.parse.parse_qsl(request.query))
        if "list-type" in query:
            return 200, self.page(query.get("prefix", ""))
        time.sleep(self.delay)
        key = urllib.parse.unquote(request.path).split("/", 2)[2]
        if key not in self.objects:
            return 404, S3_ERROR.format("NoSuchKey")
        body = self.objects[key]
        return 200, body, {"ETag": self.etag(body)}

    @staticmethod
    def etag(body):
        return '"%s"' % hashlib.md5(body.encode()).hexdigest()

    def page(self, prefix):
        contents = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(body)}</Size>"
            f"<ETag>{self.etag(body).replace(chr(34), '&quot;')}</ETag>"
            "<LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
            for key, body in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        return (
            "<?xml version='1.0'?><ListBucketResult><IsTruncated>false</IsTruncated>"
            f"{contents}</ListBucketResult>"
        )


CA_CONFIG = """
[ca]
default_ca = ours
[ours]
database = {folder}/index
new_certs_dir = {folder}
serial = {folder}/serial
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
"""

# The names of this machine, for a certificate.
HERE = "DNS:localhost,IP:127.0.0.1"


def openssl(*words):
    subprocess.run(
        ["openssl", *map(str, words)], check=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, folder, name):
        self.folder = folder / name
        self.folder.mkdir()
        self.certificate = self.folder / "ca.pem"
        (self.folder / "index").write_text("")
        (self.folder / "serial").write_text("01\n")
        (self.folder / "config").write_text(CA_CONFIG.format(folder=self.folder))
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", self.folder / "ca.key", "-out", self.certificate, "-subj", f"/CN={name}",
            "-days", "3650", "-addext", "basicConstraints=critical,CA:TRUE",
        )

    def sign(self, name, hosts, begin="20200101000000Z", end="20991231235959Z"):
        """A TLS context with a certificate for these hosts."""
        key, request, certificate = (self.folder / f"{name}.{kind}" for kind in ("key", "csr", "pem"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName = {hosts}\n")
        openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
            "-out", request, "-subj", f"/CN={name}",
        )
        openssl(
            "ca", "-batch", "-notext", "-config", self.folder / "config", "-cert", self.certificate,
            "-keyfile", self.folder / "ca.key", "-in", request, "-out", certificate,
            "-startdate", begin, "-enddate", end, "-extfile", extensions,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def own_context(self):
        """A TLS context with the authority's own certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.folder / "ca.key")
        return context
