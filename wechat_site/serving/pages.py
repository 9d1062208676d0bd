"""Runs the site's pages, a WSGI application, behind a front that speaks RSGI.

The pages have threads of their own, so slow pages do not delay the callback. A request takes a
thread only when its whole body has arrived, so a slow connection holds none. The body of a request
without a session or an API key must be small.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Any

from django.http import HttpRequest
from django.utils import translation
from granian.rsgi import ProtocolClosed

from events.api.requests.problems import CONTENT_TYPE, problem_content
from events.numbers import number_in

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from granian.rsgi import HTTPProtocol, Scope

__all__ = ["Pages"]

logger = logging.getLogger(__name__)

# Larger bodies are kept on disk, not in memory.
_IN_MEMORY = 256 * 1024
# Seconds within which a body must arrive, and a chunk of an answer must leave.
_BODY_SECONDS = 60
_CHUNK_SECONDS = 60
# Stands for the value of a header that the server did not read: Latin-1, as WSGI wants, not ASCII.
_NOT_ASCII = "\xff"
_PLAIN = [("content-type", "text/plain; charset=utf-8")]


class _Refused(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Pages:
    """An RSGI application that runs `application` in up to `threads` threads.

    A request without a session or an API key comes from a stranger. It may have `anonymous_body`
    bytes, any other `largest_body`; a larger body gets 413. At most `uploads` bodies that may not
    fit into memory are read at a time. POSTs of strangers take turns, since checking a wrong
    password costs as much as a hundred pushes; up to `turns` wait, others get 429. At the path
    `sign_in` everybody is a stranger, because anybody can send a cookie with a session's name.
    """

    def __init__(
        self,
        application: WSGIApplication,
        *,
        threads: int,
        anonymous_body: int,
        largest_body: int,
        session_cookie: str,
        sign_in: str = "",
        uploads: int = 4,
        turns: int = 50,
    ) -> None:
        self._application = application
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="page")
        self._anonymous_body = anonymous_body
        self._largest_body = largest_body
        self._session = f"{session_cookie}="
        self._sign_in = sign_in
        self._uploads = asyncio.Semaphore(uploads)
        self._strangers = asyncio.Semaphore(1)
        self._turns = turns
        self._in_turn = 0

    async def __call__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        try:
            await self._answer(scope, protocol)
        except _Refused as refused:
            _answer_refused(scope, protocol, refused)
        except ProtocolClosed:
            pass  # the client has closed the connection

    async def _answer(self, scope: Scope, protocol: HTTPProtocol) -> None:
        headers = _joined(scope)
        is_stranger = scope.path == self._sign_in or (
            self._session not in headers.get("cookie", "") and "authorization" not in headers
        )
        length = _declared_length(headers)
        if length is not None:
            self._refuse_larger(length, is_stranger)
        if scope.method == "POST" and is_stranger:
            if self._in_turn >= self._turns:
                raise _Refused(429, "too many requests")
            self._in_turn += 1
            try:
                with await self._body(protocol, headers, length, is_stranger) as body:
                    async with self._strangers:
                        await self._run(scope, protocol, headers, body)
            finally:
                self._in_turn -= 1
        elif _may_be_large(headers, length):
            async with self._uploads:
                with await self._body(protocol, headers, length, is_stranger) as body:
                    await self._run(scope, protocol, headers, body)
        else:
            with await self._body(protocol, headers, length, is_stranger) as body:
                await self._run(scope, protocol, headers, body)

    def _refuse_larger(self, size: int, is_stranger: bool) -> None:
        if size > (self._anonymous_body if is_stranger else self._largest_body):
            raise _Refused(413, "body too large")

    async def _body(
        self,
        protocol: HTTPProtocol,
        headers: dict[str, str],
        length: int | None,
        is_stranger: bool,
    ) -> IO[bytes]:
        body = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        try:
            if length or "transfer-encoding" in headers:
                size = 0
                async with asyncio.timeout(_BODY_SECONDS):
                    async for chunk in protocol:
                        size += len(chunk)
                        self._refuse_larger(size, is_stranger)
                        body.write(chunk)
                if length is not None and size != length:
                    raise _Refused(400, "the body ended early")
            body.seek(0)
        except TimeoutError:
            body.close()
            raise _Refused(408, "the body took too long") from None
        except BaseException:
            body.close()
            raise
        return body

    async def _run(
        self, scope: Scope, protocol: HTTPProtocol, headers: dict[str, str], body: IO[bytes]
    ) -> None:
        environ = _environ(scope, headers, body)
        loop = asyncio.get_running_loop()
        response = _Response(protocol, loop)
        await loop.run_in_executor(self._threads, response.make, self._application, environ)


class _Response:
    """Passes an answer of the application on from its thread to the event loop."""

    def __init__(self, protocol: HTTPProtocol, loop: asyncio.AbstractEventLoop) -> None:
        self._protocol = protocol
        self._loop = loop
        self._status = 500
        self._headers: list[tuple[str, str]] = []
        self._transport: Any = None

    def make(self, application: WSGIApplication, environ: dict[str, Any]) -> None:
        try:
            chunks = application(environ, self._start)
            try:
                self._send(chunks)
            finally:
                if hasattr(chunks, "close"):
                    chunks.close()
        except (ProtocolClosed, concurrent.futures.CancelledError):
            pass
        except Exception:
            logger.exception("%s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            if self._transport is None:
                self._protocol.response_str(500, _PLAIN, "internal server error")
        finally:
            # The stream ends only when nothing refers to it, and this object may live on until the
            # garbage collector runs.
            self._transport = None

    def _start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        if exc_info is not None and self._transport is not None:
            raise exc_info[1].with_traceback(exc_info[2])
        self._status = int(status.split(" ", 1)[0])
        self._headers = [(name.lower(), value) for name, value in headers]
        return self._write

    def _send(self, chunks: Iterable[bytes]) -> None:
        if isinstance(chunks, list) or getattr(chunks, "streaming", None) is False:
            body = b"".join(chunks)
            if self._transport is None:
                self._protocol.response_bytes(self._status, self._headers, body)
                return
            self._write(body)
            return
        for chunk in chunks:
            self._write(chunk)
        if self._transport is None:
            self._protocol.response_empty(self._status, self._headers)

    def _write(self, chunk: bytes) -> None:
        if not chunk:
            return
        if self._transport is None:
            self._transport = self._protocol.response_stream(self._status, self._headers)

        async def send() -> None:
            await self._transport.send_bytes(chunk)

        # Waits for the chunk to leave, so that a slow client does not fill this process's memory.
        asyncio.run_coroutine_threadsafe(send(), self._loop).result(_CHUNK_SECONDS)


def _answer_refused(scope: Scope, protocol: HTTPProtocol, refused: _Refused) -> None:
    if not scope.path.startswith("/api/"):
        headers = [*_PLAIN, ("connection", "close")]
        protocol.response_str(refused.status, headers, refused.text)
        return
    request = HttpRequest()
    request.META["HTTP_ACCEPT_LANGUAGE"] = _joined(scope).get("accept-language", "")
    language = translation.get_language_from_request(request)
    with translation.override(language):
        content = problem_content(refused.status).decode()
    headers = [
        ("content-type", CONTENT_TYPE),
        ("content-language", language),
        ("connection", "close"),
    ]
    protocol.response_str(refused.status, headers, content)


def _joined(scope: Scope) -> dict[str, str]:
    """The headers by name; values of a repeated header are joined, as in CGI."""
    joined: dict[str, str] = {}
    for name, value in scope.headers.items():
        if name in joined:
            value = joined[name] + ("; " if name == "cookie" else ",") + value
        joined[name] = value
    # If a value is not ASCII, granian gives the header's name without the value.
    joined.update(dict.fromkeys(set(scope.headers.keys()) - joined.keys(), _NOT_ASCII))
    return joined


def _declared_length(headers: dict[str, str]) -> int | None:
    text = headers.get("content-length")
    if text is None:
        return None
    length = number_in(text)
    if length is None:
        raise _Refused(400, "invalid Content-Length")
    return length


def _may_be_large(headers: dict[str, str], length: int | None) -> bool:
    """Whether the body may not fit into memory; one in chunks declares no length."""
    return "transfer-encoding" in headers if length is None else length > _IN_MEMORY


def _environ(scope: Scope, headers: dict[str, str], body: IO[bytes]) -> dict[str, Any]:
    address, _, port = scope.client.rpartition(":")
    server, _, server_port = scope.server.rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": server or "localhost",
        "SERVER_PORT": server_port or "0",
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": address.strip("[]") or scope.client,
        "REMOTE_PORT": port,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if scope.authority:
        environ["HTTP_HOST"] = scope.authority
    for name, value in headers.items():
        if "_" in name:
            # WSGI would take it for the header with a hyphen, which a proxy may have set.
            continue
        key = name.upper().replace("-", "_")
        environ[key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"] = value
    return environ
