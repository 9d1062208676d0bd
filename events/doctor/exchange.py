"""Makes one HTTP exchange as WeChat does: it follows no redirect, and has a short time limit."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from events.doctor.findings import Finding

__all__ = ["Answered", "Failed", "Line", "exchange"]

_LARGEST = 256 * 1024
_HEADERS = {"User-Agent": "Mozilla/4.0", "Accept": "*/*", "Connection": "close"}


class Failed(Exception):
    """There was no answer; `finding` says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.code)
        self.finding = finding


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer. `expires_at` is the certificate's end in Unix seconds, None without TLS."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class Line:
    """The way to a public address: `base` is its beginning, such as https://wechat.example.com.

    If a machine cannot reach its own public address, `connect_to` is the host and port to use
    instead. `seconds` is how long WeChat waits. `context` checks certificates.
    """

    base: str
    seconds: float
    connect_to: tuple[str, int] | None = None
    context: ssl.SSLContext | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.base).hostname or ""

    @property
    def is_tls(self) -> bool:
        return urlsplit(self.base).scheme == "https"

    @property
    def port(self) -> int:
        return urlsplit(self.base).port or (443 if self.is_tls else 80)


def exchange(line: Line, method: str, path: str, body: bytes = b"") -> Answered:
    """Sends one request; raises Failed if no whole answer comes in time."""
    began = time.monotonic()
    host, port = line.connect_to or (line.host, line.port)
    details = {"host": line.host, "address": f"{host}:{port}"}
    try:
        with _connected(host, port, line, details) as channel:
            connection = http.client.HTTPConnection(line.host)
            connection.sock = channel
            headers = {**_HEADERS, "Host": urlsplit(line.base).netloc}
            if body:
                headers["Content-Type"] = "text/xml"
            connection.request(method, path, body or None, headers)
            expires_at = _expiry(channel)
            with connection.getresponse() as response:
                content = _read(response, channel, began + line.seconds)
    except TimeoutError:
        raise Failed(Finding("too_slow", {"seconds": round(line.seconds)})) from None
    except (OSError, http.client.HTTPException) as error:
        raise Failed(Finding("unreachable", {**details, "reason": _reason(error)})) from None
    answered = {name.lower(): value for name, value in response.getheaders()}
    seconds = time.monotonic() - began
    return Answered(response.status, answered, content, seconds, expires_at)


@contextlib.contextmanager
def _connected(
    host: str, port: int, line: Line, details: Mapping[str, str]
) -> Iterator[socket.socket]:
    try:
        plain = socket.create_connection((host, port), timeout=line.seconds)
    except socket.gaierror as error:
        raise Failed(Finding("unresolved", {**details, "reason": _reason(error)})) from None
    except OSError as error:
        # This includes a timeout while connecting, which does not mean that the site is slow.
        raise Failed(Finding("unreachable", {**details, "reason": _reason(error)})) from None
    with plain:
        if not line.is_tls:
            yield plain
            return
        with _secured(plain, line, details) as channel:
            yield channel


def _secured(plain: socket.socket, line: Line, details: Mapping[str, str]) -> ssl.SSLSocket:
    context = line.context or ssl.create_default_context()
    try:
        return context.wrap_socket(plain, server_hostname=line.host)
    except ssl.SSLCertVerificationError as error:
        reason = error.verify_message or _reason(error)
        raise Failed(Finding("certificate", {**details, "reason": reason})) from None
    except (ssl.SSLError, ConnectionError) as error:
        raise Failed(Finding("tls", {**details, "reason": _reason(error)})) from None


def _expiry(connected: socket.socket) -> float | None:
    if not isinstance(connected, ssl.SSLSocket):
        return None
    end = (connected.getpeercert() or {}).get("notAfter")
    return ssl.cert_time_to_seconds(end) if isinstance(end, str) else None


def _read(response: http.client.HTTPResponse, connected: socket.socket, end: float) -> bytes:
    pieces: list[bytes] = []
    size = 0
    # Since Python 3.12 the last piece closes the response, and the connection with it.
    while size < _LARGEST and not response.isclosed():
        remaining = end - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        # A socket's timeout limits one piece, but WeChat's deadline limits the whole answer.
        connected.settimeout(remaining)
        piece = response.read1(_LARGEST)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
