"""The site's front: an RSGI application that answers pushes without Django.

Django's handler, middleware and routing cost more than all the work that a push needs. The front
checks account and signature before it reads the body, gives the body a deadline, and holds no
thread while a push waits for a slow reply. It hands all other requests to the application behind
it. Where a site runs without the front, Django's view (events/callback/views.py) answers pushes by
the same functions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from django.conf import settings
from django.db import Error
from django.urls import reverse
from django.utils import timezone
from granian.rsgi import ProtocolClosed

from events import account_cache
from events.callback import receive
from events.callback.awaiting import Awaiting, begin_reply
from events.callback.group_commit import LoopCommit
from events.callback.receive import TRY_AGAIN, Answer, Push
from events.numbers import number_in

if TYPE_CHECKING:
    from granian.rsgi import HTTPProtocol, Scope

    from events.models import OfficialAccount

__all__ = ["CallbackFront", "Threads"]

_T = TypeVar("_T")

_Application = Callable[["Scope", "HTTPProtocol"], Awaitable[None]]


class Threads(Protocol):
    """The threads that wait for the database, because the front's event loop must not."""

    def write(self, function: Callable[[], None], /) -> object:
        """Runs the function in the one thread that stores pushes."""

    def ask(self, function: Callable[[], None], /) -> object:
        """Runs the function in one of the other threads."""

    def release(self) -> None:
        """Gives back the calling thread's database connection, or closes it if it is broken."""


class CallbackFront:
    """Answers GET and POST of the callback URLs; hands all other requests to `pages`."""

    def __init__(self, pages: _Application, threads: Threads) -> None:
        self._pages = pages
        self._threads = threads
        self._prefix = reverse("events:callback", args=["-"]).removesuffix("-/")
        self._writer = LoopCommit(
            receive.open_push,
            receive.store_pushes,
            batch_size=settings.CALLBACK_BATCH,
            submit=threads.write,
            release=threads.release,
        )
        self._refreshing: asyncio.Future[None] | None = None

    async def __call__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        path = scope.path
        if not path.startswith(self._prefix) or scope.method not in {"GET", "POST"}:
            await self._pages(scope, protocol)
            return
        callback_key = path[len(self._prefix) :].removesuffix("/")
        if not callback_key or "/" in callback_key:
            await self._pages(scope, protocol)
            return
        try:
            answer = await self._answer(callback_key, scope, protocol)
            headers = _HEADERS[answer.content_type]
            if answer.closes:
                headers = [*headers, ("connection", "close")]
            protocol.response_str(answer.status, headers, answer.body)
        except ProtocolClosed:
            pass  # the client has gone

    async def _answer(self, callback_key: str, scope: Scope, protocol: HTTPProtocol) -> Answer:
        now = timezone.now()
        try:
            account = await self._account(callback_key)
        except Exception as error:
            return receive.accounts_unreadable(error)
        if scope.method == "GET":
            return receive.verify(account, callback_key, scope.query_string, now=now)
        admitted = receive.admit(account, callback_key, scope.query_string, now=now)
        if isinstance(admitted, Answer):
            return admitted
        body = await _body(admitted, scope, protocol)
        if isinstance(body, Answer):
            return body
        admitted.body = body
        try:
            arrival, is_new = await self._writer.store(admitted)
        except Exception as error:
            if not isinstance(error, Error):
                return receive.not_stored(admitted, error)
            found = await self._in_thread(partial(receive.stored_all_the_same, admitted))
            if found is None:
                return receive.not_stored(admitted, error)
            arrival, is_new = found, False
        else:
            answer = receive.quick_answer(arrival, is_new)
            if answer is not None:
                return answer
        reply = await self._in_thread(partial(begin_reply, arrival, is_new))
        if isinstance(reply, Awaiting):
            return await self._wait_for_reply(reply, protocol)
        return reply

    async def _wait_for_reply(self, awaiting: Awaiting, protocol: HTTPProtocol) -> Answer:
        """Waits for a reply almost as long as WeChat does, without holding a thread."""
        gone: asyncio.Future[Any] = asyncio.ensure_future(_disconnected(protocol))
        try:
            while True:
                reply: asyncio.Future[Any] = asyncio.wrap_future(awaiting.future)
                await asyncio.wait(
                    {reply, gone},
                    timeout=awaiting.seconds_left(),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if gone.done():
                    await self._in_thread(awaiting.leave)
                    raise ProtocolClosed
                step = await self._in_thread(awaiting.step)
                if step is None:
                    continue
                if step is TRY_AGAIN:
                    # WeChat tries again only if no answer comes in time, so let its time pass.
                    await asyncio.wait({gone}, timeout=awaiting.seconds_to_the_end())
                return step
        finally:
            gone.cancel()

    async def _account(self, callback_key: str) -> OfficialAccount | None:
        known = account_cache.known_account(callback_key)
        if known.is_old and self._refreshing is None:
            self._refreshing = self._in_thread(account_cache.refresh)
            self._refreshing.add_done_callback(self._finish_refresh)
        if not known.is_usable:
            assert self._refreshing is not None  # what is not usable is old
            await asyncio.shield(self._refreshing)
            known = account_cache.known_account(callback_key)
        return known.account()

    def _finish_refresh(self, reading: asyncio.Future[None]) -> None:
        self._refreshing = None
        # A caller served from the cache does not await this: mark its exception as seen.
        reading.exception()

    def _in_thread(self, function: Callable[[], _T]) -> asyncio.Future[_T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()

        def resolve(value: _T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)  # type: ignore[arg-type]

        def run() -> None:
            try:
                value = function()
            except BaseException as error:
                loop.call_soon_threadsafe(resolve, None, error)
            else:
                loop.call_soon_threadsafe(resolve, value, None)
            finally:
                self._threads.release()

        self._threads.ask(run)
        return future


_HEADERS = {
    content_type: [
        ("content-type", f"{content_type}; charset=utf-8"),
        ("x-content-type-options", "nosniff"),
    ]
    for content_type in ("text/plain", "application/xml")
}


async def _disconnected(protocol: HTTPProtocol) -> None:
    await protocol.client_disconnect()


async def _body(push: Push, scope: Scope, protocol: HTTPProtocol) -> bytes | Answer:
    """Returns the whole body, or the answer to a request whose body is refused."""
    declared = scope.headers.get("content-length")
    limit = settings.CALLBACK_MAX_BODY
    if declared is None:
        return await _chunked_body(push, scope, protocol, limit)
    length = number_in(declared)
    if length is None:
        return receive.cut_short(push)
    if length > limit:
        return receive.too_large(push)
    try:
        async with asyncio.timeout(settings.CALLBACK_SECONDS):
            body = await protocol()
    except TimeoutError:
        return receive.too_slow(push)
    except ProtocolClosed:
        return receive.cut_short(push)
    return body if len(body) == length else receive.cut_short(push)


async def _chunked_body(
    push: Push, scope: Scope, protocol: HTTPProtocol, limit: int
) -> bytes | Answer:
    # In HTTP/2 a body needs neither a length nor a Transfer-Encoding.
    if scope.http_version.startswith("1") and "transfer-encoding" not in scope.headers:
        return b""
    body = bytearray()
    try:
        async with asyncio.timeout(settings.CALLBACK_SECONDS):
            async for chunk in protocol:
                body += chunk
                if len(body) > limit:
                    return receive.too_large(push)
    except TimeoutError:
        return receive.too_slow(push)
    except ProtocolClosed:
        return receive.cut_short(push)
    # granian also ends the iteration if the connection breaks, so check for the last tag.
    if body and not body.rstrip().endswith(b"</xml>"):
        return receive.cut_short(push)
    return bytes(body)
