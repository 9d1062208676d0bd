"""Makes one HTTP request to another system, and only to an address that webhooks may reach.

This module resolves the name, checks every address, and connects to an address that it checked. So
an attacker gains nothing from a DNS answer that changes in between. It follows no redirects and
uses no proxy. `WEBHOOK_SECONDS` is the time from connecting to the end of the answer.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpcore
from django.conf import settings

__all__ = ["Answer", "NoAnswer", "is_allowed", "post"]

# How many bytes of the answer are kept.
_KEPT_BYTES = 2048
# How many connections one process may have at a time.
_CONNECTIONS = 64
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

# time.monotonic() at which the request of this thread ends.
_ends_at: ContextVar[float] = ContextVar("end of a webhook's request")


class NoAnswer(Exception):
    """The other system did not answer. `reason` is one of FAILURES of send_deliveries.py."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """The other system's answer; `text` is its beginning, names of `headers` are in lower case."""

    status: int
    text: str
    headers: Mapping[str, str]


def post(url: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """Sends the body and returns the answer, whatever its status; raises NoAnswer."""
    seconds = settings.WEBHOOK_SECONDS
    token = _ends_at.set(time.monotonic() + seconds)
    timeout = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
    try:
        with _connections().stream(
            "POST",
            url.encode(),
            headers=[(name.encode(), value.encode()) for name, value in headers.items()],
            content=body,
            extensions={"timeout": timeout},
        ) as response:
            return Answer(
                response.status,
                _beginning(response).decode("utf-8", errors="replace"),
                {
                    name.decode("latin-1").lower(): v.decode("latin-1")
                    for name, v in response.headers
                },
            )
    except NoAnswer:
        raise
    except httpcore.TimeoutException:
        raise NoAnswer("timeout", f"No answer within {seconds:g} seconds.") from None
    except (
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
        OSError,
    ) as error:
        raise NoAnswer("connection", f"{type(error).__name__}: {error}") from None
    finally:
        _ends_at.reset(token)


def _beginning(response: httpcore.Response) -> bytes:
    kept = b""
    try:
        for part in response.iter_stream():
            kept += part
            if len(kept) >= _KEPT_BYTES:
                break
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        pass  # the status has arrived, and it alone decides about success
    return kept[:_KEPT_BYTES]


def is_allowed(address: str) -> bool:
    """Whether a request may go to this IP address: a public one, or any if the site allows that."""
    if settings.WEBHOOK_PRIVATE_ADDRESSES:
        return True
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        # These IPv6 addresses lead to an IPv4 address, which is what counts.
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_allowed(str(inner))
    return ip.is_global and not ip.is_multicast


def _addresses(host: str, port: int) -> list[str]:
    """The addresses of a host. Raises NoAnswer if there is none, or if one is not allowed."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NoAnswer("name", f"The name {host} has no IP address.") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not all(is_allowed(address) for address in addresses):
        raise NoAnswer("address", f"{host} has a private address, which is not allowed here.")
    return addresses


def _seconds_left(timeout: float | None) -> float:
    left = _ends_at.get() - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left if timeout is None else min(left, timeout)


class _Stream(httpcore.NetworkStream):
    """A connection whose reads and writes end when the request's time is over."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _seconds_left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _seconds_left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _seconds_left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Network(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _addresses(host, port)
        for last, address in enumerate(addresses, start=1 - len(addresses)):
            try:
                return _Stream(
                    self._network.connect_tcp(
                        address, port, _seconds_left(timeout), local_address, socket_options
                    )
                )
            except httpcore.ConnectError:
                if last == 0:
                    raise
        raise NoAnswer("name", f"The name {host} has no IP address.")


def _connections() -> httpcore.ConnectionPool:
    with _pool_lock:
        return _pool()


# Without the lock, threads that start together would make one pool each.
_pool_lock = threading.Lock()


@functools.cache
def _pool() -> httpcore.ConnectionPool:
    return httpcore.ConnectionPool(
        ssl_context=ssl.create_default_context(),
        max_connections=_CONNECTIONS,
        max_keepalive_connections=_CONNECTIONS // 2,
        keepalive_expiry=30,
        network_backend=_Network(),
    )
