"""Makes one call to WeChat's API: sends JSON over HTTPS, and returns JSON or raises an error.

httpx writes every URL into its log and keeps it in its exceptions, but WeChat wants the access
token, OpenIDs and tickets in the query. So this module gives httpx URLs without a query. A
transport below httpx adds the query, and logs nothing.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import httpx

from .answer_fields import storable
from .api_errors import BadAnswer, Unreachable, refusal

__all__ = ["API_BASE", "MP_BASE", "Answer", "Timeouts", "Wire"]

logger = logging.getLogger(__name__)

API_BASE = "https://api.weixin.qq.com"
MP_BASE = "https://mp.weixin.qq.com"

Answer: TypeAlias = Mapping[str, Any]

# Bytes. The largest real answer, 10,000 OpenIDs, has a third of a megabyte.
_LARGEST_ANSWER = 8 * 1024 * 1024
_QUERY = "wechat_query"
# How many times longer a call with a file may take.
_FOR_FILES = 2
# WeChat's videos have these schemes and hosts.
_SCHEMES = frozenset({"http", "https"})
_HOSTS = (".qq.com", ".qpic.cn")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, between two pieces of the answer, and for the whole call."""

    connect: float = 5
    read: float = 10
    total: float = 20


class Wire:
    """The way to WeChat's API, shared by all accounts and threads of a process.

    `api_base` and `mp_base` (for QR pictures) are addresses without a path. `proxy` is the address
    of an outgoing proxy, if the account's IP list contains the proxy's address. `transport`
    replaces the network in tests.
    """

    def __init__(
        self,
        *,
        api_base: str = API_BASE,
        mp_base: str = MP_BASE,
        timeouts: Timeouts | None = None,
        proxy: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._api_base = api_base.rstrip("/")
        self.mp_base = mp_base.rstrip("/")
        self._timeouts = timeouts or Timeouts()
        self._http = httpx.Client(
            transport=_QueryTransport(transport or httpx.HTTPTransport(proxy=proxy)),
            timeout=httpx.Timeout(self._timeouts.read, connect=self._timeouts.connect),
        )

    def close(self) -> None:
        """Closes all connections; the object cannot be used afterwards."""
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        file: tuple[str, str, bytes, str] | None = None,
        secrets: tuple[str, ...] = (),
    ) -> Answer:
        """Return the JSON object that WeChat answers.

        `file` (form field, name, content, type) is sent instead of `body`. Error texts hide
        `secrets`. Raises `Unreachable`, `BadAnswer`, or the subclass of `Refused` for the errcode.
        """
        url = self._api_base + path
        status, content, _type = self._exchange(method, url, path, query, body, file=file)
        return self._answer(path, status, content, secrets)

    def file(
        self, path: str, query: Mapping[str, str], *, most: int, secrets: tuple[str, ...] = ()
    ) -> tuple[str, bytes]:
        """Return type and content of a file; raise `BadAnswer` for more than `most` bytes.

        If WeChat answers with the address of a video, this method fetches the video, but only from
        a host of WeChat or from the API's own address.
        """
        url = self._api_base + path
        status, content, kind = self._exchange("GET", url, path, query, None, most=most)
        if "json" not in kind and not kind.startswith("text/"):
            if status != 200:
                raise BadAnswer(path, f"status {status}")
            return kind, content
        address = str(self._answer(path, status, content, secrets).get("video_url", ""))
        parts = urlsplit(address)
        host = parts.hostname or ""
        is_ours = address.startswith(f"{self._api_base}/")
        if not (is_ours or (parts.scheme in _SCHEMES and host.endswith(_HOSTS))):
            raise BadAnswer(path, "neither a file nor the address of a video")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        bare = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
        status, content, kind = self._exchange("GET", bare, path, query, None, most=most)
        if status != 200:
            raise BadAnswer(path, f"status {status}")
        return kind, content

    def _answer(self, path: str, status: int, content: bytes, secrets: tuple[str, ...]) -> Answer:
        if status != 200:
            raise BadAnswer(path, f"status {status}")
        try:
            # The Content-Type does not help: JSON also comes as text/plain. Texts may hold raw
            # control characters, which strict parsing refuses.
            answer = json.loads(content.decode("utf-8", "replace"), strict=False)
        except ValueError:
            raise BadAnswer(path, "not JSON") from None
        if not isinstance(answer, dict):
            raise BadAnswer(path, "not a JSON object")
        errcode = _errcode(path, answer)
        if errcode:
            errmsg = storable(str(answer.get("errmsg", "")))
            error = refusal(path, errcode, errmsg, secrets=secrets)
            logger.warning("Refused: %s", error)
            raise error
        return answer

    def _exchange(
        self,
        method: str,
        url: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        *,
        file: tuple[str, str, bytes, str] | None = None,
        most: int = _LARGEST_ANSWER,
    ) -> tuple[int, bytes, str]:
        # A file of ten megabytes takes longer than JSON.
        is_file = file is not None or most != _LARGEST_ANSWER
        end = time.monotonic() + self._timeouts.total * (_FOR_FILES if is_file else 1)
        # Send characters unescaped: WeChat has shown JSON escapes to followers as plain text.
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        request = self._http.build_request(
            method,
            url,
            content=content,
            headers={"Content-Type": "application/json"} if body is not None else None,
            files={file[0]: file[1:]} if file is not None else None,
            extensions={_QUERY: dict(query or {})},
        )
        try:
            response = self._http.send(request, stream=True)
            try:
                kind = response.headers.get("Content-Type", "").lower()
                return response.status_code, _read(response, path, end, most), kind
            finally:
                response.close()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unreachable(path, _reason(error), may_have_arrived=False) from error
        except httpx.DecodingError as error:
            raise BadAnswer(path, _reason(error)) from error
        except httpx.TransportError as error:
            raise Unreachable(path, _reason(error), may_have_arrived=True) from error


class _QueryTransport(httpx.BaseTransport):
    """Adds the query to a request just before it is sent."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        extensions = dict(request.extensions)
        query = extensions.pop(_QUERY)
        return self._inner.handle_request(
            httpx.Request(
                request.method,
                request.url.copy_merge_params(query),
                headers=request.headers,
                stream=request.stream,
                extensions=extensions,
            )
        )

    def close(self) -> None:
        self._inner.close()


def _read(response: httpx.Response, path: str, end: float, most: int) -> bytes:
    """Reads the whole answer until `end`. httpx limits only the wait for each single piece."""
    pieces = []
    size = 0
    for piece in response.iter_bytes():
        size += len(piece)
        if size > most:
            raise BadAnswer(path, f"more than {most} bytes")
        if time.monotonic() > end:
            raise Unreachable(path, "the answer took too long", may_have_arrived=True)
        pieces.append(piece)
    return b"".join(pieces)


def _errcode(path: str, answer: Mapping[str, Any]) -> int:
    try:
        return int(answer.get("errcode") or 0)
    except (TypeError, ValueError):
        raise BadAnswer(path, "errcode is not a number") from None


def _reason(error: httpx.HTTPError) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
