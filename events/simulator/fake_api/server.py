"""Serves the fake API over HTTP, and lets other processes control it.

Control is JSON under `/__control__/`, with JSON answers; a caller's mistake gets status 400:

| POST | fields |
|---|---|
| `expire_tokens` | `appid`, `errcode` (default 42001) |
| `exhaust_quota` | `appid`, `path` |
| `make_trouble` | `path` and the fields of `Fault` (`body` as text) |
| `end_trouble` | |
| `behave` | `latency` [shortest, longest] and `failure_rate`, either or both |
| `allow` | `appid`, `addresses` (a list, null for all) |
| `act` | `appid`, `openid`, `kind` (`text`, `event.subscribe`, …): a person does this now |

| GET | answer |
|---|---|
| `calls` | how often each path was called |
| `sent?appid=` | the customer-service messages |
| `menu?appid=` | the menu |
| `scene?ticket=` | `scene`, null if there is none |
| `next_code?appid=` | `scene` and `ticket` of a code for one person, null if there is none |
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from events.simulator.pushes import Push

from .service import Answer, FakeWeChatAPI, Fault, Request

__all__ = ["FakeWeChatAPIServer"]

_CONTROL = "/__control__/"
# Seconds after which a connection without a request is closed.
_LONGEST_IDLE = 60


class FakeWeChatAPIServer:
    """Serves a `FakeWeChatAPI` on this machine only; port 0 means any free port.

    Use it as a context manager, or call `start` and `stop`.
    """

    def __init__(self, api: FakeWeChatAPI, *, port: int = 0) -> None:
        self.api = api
        self._stopping = threading.Event()
        self._server = _Server(api, port, self._stopping)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    @property
    def url(self) -> str:
        """The address to call instead of WeChat's, without a path."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Begins to serve, in its own threads."""
        self._thread.start()

    def stop(self) -> None:
        """Ends serving, and cuts open connections."""
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> FakeWeChatAPIServer:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, api: FakeWeChatAPI, port: int, stopping: threading.Event) -> None:
        self.api = api
        self.stopping = stopping
        self._open: set[socket.socket] = set()
        self._idle = threading.Condition()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._idle:
            self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._idle:
                self._open.discard(request)
                self._idle.notify_all()

    def server_close(self) -> None:
        super().server_close()
        with self._idle:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._idle.wait_for(lambda: not self._open, timeout=5)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Writes no traceback: usually the caller has only gone away."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _LONGEST_IDLE
    # Header and body are separate writes, between which Nagle's algorithm would wait 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Writes nothing, because the first line of a request contains the token."""

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if parts.path.startswith(_CONTROL):
            answer = self._control(parts.path.removeprefix(_CONTROL), query, body)
        else:
            answer = self.server.api.handle(
                Request(self.command, parts.path, query, body, self.client_address[0])
            )
        if answer.delay and self.server.stopping.wait(answer.delay):
            self.close_connection = True
            return
        if answer.reset:
            # With this option closing the connection sends RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def _control(self, name: str, query: Mapping[str, str], body: bytes) -> Answer:
        commands = _QUERIES if self.command == "GET" else _COMMANDS
        try:
            fields = query if self.command == "GET" else json.loads(body or b"{}")
            result = commands[name](self.server.api, fields)
        except (KeyError, TypeError, ValueError) as error:
            return Answer(400, body=json.dumps({"error": repr(error)}).encode())
        return Answer(body=json.dumps(result, ensure_ascii=False).encode())


def _behave(api: FakeWeChatAPI, fields: Mapping[str, Any]) -> None:
    if "latency" in fields:
        shortest, longest = fields["latency"]
        api.latency = (float(shortest), float(longest))
    if "failure_rate" in fields:
        api.failure_rate = float(fields["failure_rate"])


def _make_trouble(api: FakeWeChatAPI, fields: Mapping[str, Any]) -> None:
    fault = {name: value for name, value in fields.items() if name != "path"}
    if fault.get("body") is not None:
        fault["body"] = fault["body"].encode()
    api.make_trouble(fields["path"], Fault(**fault))


def _allow(api: FakeWeChatAPI, fields: Mapping[str, Any]) -> None:
    addresses = fields["addresses"]
    account = api.account(fields["appid"])
    account.allowed_addresses = None if addresses is None else frozenset(addresses)


def _act(api: FakeWeChatAPI, fields: Mapping[str, Any]) -> None:
    msg_type, _, event = fields["kind"].partition(".")
    push = Push(fields["openid"], int(time.time()), msg_type, event)
    api.account(fields["appid"]).note_push(push)


def _sent(api: FakeWeChatAPI, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"openid": message.openid, "at": message.at, "body": message.body}
        for message in api.account(fields["appid"]).sent
    ]


def _next_code(api: FakeWeChatAPI, fields: Mapping[str, Any]) -> dict[str, str] | None:
    code = api.account(fields["appid"]).next_code()
    return {"scene": code.scene, "ticket": code.ticket} if code else None


_COMMANDS: Mapping[str, Callable[[FakeWeChatAPI, Mapping[str, Any]], Any]] = {
    "expire_tokens": lambda api, fields: api.account(fields["appid"]).expire_tokens(
        fields.get("errcode", 42001)
    ),
    "exhaust_quota": lambda api, fields: api.account(fields["appid"]).exhaust_quota(fields["path"]),
    "make_trouble": _make_trouble,
    "end_trouble": lambda api, fields: api.end_trouble(),
    "behave": _behave,
    "allow": _allow,
    "act": _act,
}
_QUERIES: Mapping[str, Callable[[FakeWeChatAPI, Mapping[str, Any]], Any]] = {
    "calls": lambda api, fields: api.calls,
    "sent": _sent,
    "menu": lambda api, fields: api.account(fields["appid"]).menu,
    "scene": lambda api, fields: {"scene": api.scene_of(fields["ticket"])},
    "next_code": _next_code,
}
