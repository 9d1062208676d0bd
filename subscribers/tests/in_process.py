"""A client of the fake platform in the caller's own thread, so that a test decides what is when."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from events.simulator.fake_api import FakeWeChatAPI, Request
from events.testing import MemoryTokens
from events.wechat.api import AppCredentials, Client, Wire

__all__ = ["in_process_client"]


def in_process_client(
    fake: FakeWeChatAPI,
    credentials: AppCredentials,
    *,
    between: Callable[[], None] = lambda: None,
    now: Callable[[], float] | None = None,
) -> Client:
    """A client whose calls reach the fake directly; `between` is called before and after each."""
    wire = Wire(transport=_Transport(fake, between))
    tokens = MemoryTokens(wire, credentials, **({"now": now} if now else {}))
    return Client(wire, tokens)


class _Transport(httpx.BaseTransport):
    def __init__(self, fake: FakeWeChatAPI, between: Callable[[], None]) -> None:
        self._fake = fake
        self._between = between

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._between()
        answer = self._fake.handle(
            Request(request.method, request.url.path, dict(request.url.params), request.read())
        )
        self._between()
        return httpx.Response(answer.status, content=answer.body)
