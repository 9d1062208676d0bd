"""The site on a port, behind a proxy that does what proxies should not; certificates for it."""

from __future__ import annotations

import datetime
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.db import connections
from django.test import Client

__all__ = ["Answer", "Asked", "certificate", "crooked_proxy"]


@dataclass
class Asked:
    method: str
    path: str
    body: bytes


@dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Behaviour = Callable[[Asked, Callable[[Asked], Answer]], Answer]


@contextmanager
def crooked_proxy(behave: Behaviour, tls: Path | None = None) -> Iterator[tuple[str, int]]:
    """The address of a proxy that answers what `behave` makes of a request, given the site."""

    def ask(asked: Asked) -> Answer:
        try:
            response = Client().generic(asked.method, asked.path, asked.body, "text/xml")
        finally:
            # Those of this thread.
            connections.close_all()
        return Answer(
            response.status_code, response.content, {"Content-Type": response["Content-Type"]}
        )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            answer = behave(Asked(self.command, self.path, self.rfile.read(size)), ask)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        # The proxy ends when the last request is answered: its site is that of the test.
        daemon_threads = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A caller that refuses the certificate, or waits no longer, is no surprise."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield ("127.0.0.1", server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def certificate(
    folder: Path, *, name: str = "wechat.example.com", days: float = 90
) -> tuple[Path, ssl.SSLContext]:
    """A file with key and certificate, and what trusts it; `days` may be past."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(named)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=365))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "site.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=made.public_bytes(serialization.Encoding.PEM).decode())
    return file, context
