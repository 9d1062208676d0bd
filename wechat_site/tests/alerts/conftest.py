from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest


class Received(list[dict[str, Any]]):
    """What arrived, oldest first; `path` says at which channel."""

    url = ""
    status = 200


@pytest.fixture
def received() -> Iterator[Received]:
    """What arrives at a webhook; `.url` is its address for apprise, `.status` what it answers."""
    got = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if got.status == 200:
                got.append({**body, "path": self.path})
            self.send_response(got.status)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    got.url = f"json://user:pass-word@127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield got
    server.shutdown()
    thread.join()
    server.server_close()
