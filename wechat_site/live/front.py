"""Lets pages wait for a change of their request: a few queries for all of them, twice a second.

Each poll of a page would cost a request of Django: 2,000 open pages would leave the processors of a
small machine no time for pushes. Here a waiting page holds a connection but no thread. The page
gets an answer when its word changes, which says how far its request is. `benchmarks/live_pages.py`
measures both.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

from django.urls import reverse
from django.utils.http import parse_etags
from granian.rsgi import ProtocolClosed

from wechat_site.live.tickets import name_in, words_of

if TYPE_CHECKING:
    from granian.rsgi import HTTPProtocol, Scope

__all__ = ["LiveFront"]

logger = logging.getLogger(__name__)

_Application = Callable[["Scope", "HTTPProtocol"], Awaitable[None]]

# Seconds between two polls, and seconds after which a waiting page gets a 304 for no change.
# Proxies give up after 60 seconds, and a server that stops must not wait long for open requests.
_POLL_EVERY = 0.5
_LONGEST_WAIT = 8.0
# How many pages may wait in one process; others are answered at once.
_MOST_WAITING = 5000


class _Threads(Protocol):
    def ask(self, function: Callable[[], None], /) -> object: ...

    def release(self) -> None: ...


class LiveFront:
    """Holds a request while its word is the one in If-None-Match; passes all others to `pages`.

    A page that can wait says `Prefer: wait`.
    """

    def __init__(
        self, pages: _Application, threads: _Threads, *, longest: float = _LONGEST_WAIT
    ) -> None:
        self._pages = pages
        self._threads = threads
        self._longest = longest
        self._prefix = reverse("my_wechat_progress", args=["-"]).removesuffix("-/")
        self._waiting: dict[str, set[asyncio.Future[str]]] = defaultdict(set)
        self._known: dict[asyncio.Future[str], str] = {}
        self._polling: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        name, known = self._asked(scope)
        if not name or len(self._known) >= _MOST_WAITING:
            await self._pages(scope, protocol)
            return
        try:
            word = await self._changed(name, known, protocol)
            headers = [*_HEADERS, ("etag", f'"{word or known}"')]
            if word is None:
                protocol.response_empty(304, headers)
            else:
                protocol.response_str(200, headers, word)
        except ProtocolClosed:
            pass  # the browser has closed the page

    def _asked(self, scope: Scope) -> tuple[str, str]:
        """The request that the page asks about, and the word that it knows; "" for all others."""
        path = scope.path
        if scope.method != "GET" or not path.startswith(self._prefix):
            return "", ""
        etags = parse_etags(scope.headers.get("if-none-match") or "")
        if len(etags) != 1 or "wait" not in (scope.headers.get("prefer") or ""):
            return "", ""
        # A proxy that compresses makes an ETag weak.
        known = etags[0].removeprefix("W/").strip('"')
        return name_in(path[len(self._prefix) :].removesuffix("/")), known

    async def _changed(self, name: str, known: str, protocol: HTTPProtocol) -> str | None:
        """Waits for the request's new word; None if the word stays the same."""
        changed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        gone = asyncio.ensure_future(_disconnected(protocol))
        self._waiting[name].add(changed)
        self._known[changed] = known
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        try:
            either: set[asyncio.Future[Any]] = {changed, gone}
            await asyncio.wait(either, timeout=self._longest, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise ProtocolClosed
            return changed.result() if changed.done() else None
        finally:
            gone.cancel()
            del self._known[changed]
            self._waiting[name].discard(changed)
            if not self._waiting[name]:
                del self._waiting[name]

    async def _poll(self) -> None:
        """Polls the requests that pages wait for, while there are any."""
        while self._waiting:
            try:
                words = await self._words(list(self._waiting))
            except Exception:
                # The pages go on waiting, and later ask anew.
                logger.exception("The state of open pages could not be read")
                words = {}
            for name, word in words.items():
                for changed in self._waiting.get(name, ()):
                    if not changed.done() and self._known[changed] != word:
                        changed.set_result(word)
            await asyncio.sleep(_POLL_EVERY)

    async def _words(self, names: list[str]) -> dict[str, str]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[dict[str, str]] = loop.create_future()

        def resolve(words: dict[str, str], error: Exception | None) -> None:
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(words)

        def run() -> None:
            try:
                words, error = words_of(names), None
            except Exception as raised:
                words, error = {}, raised
            finally:
                self._threads.release()
            # The loop may have ended meanwhile, with the server.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(resolve, words, error)

        self._threads.ask(run)
        return await future


_HEADERS = [
    ("content-type", "text/plain; charset=utf-8"),
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
]


async def _disconnected(protocol: HTTPProtocol) -> None:
    await protocol.client_disconnect()
