"""One call to WeChat's API: JSON over HTTPS there, JSON or an error back.

httpx writes every URL into its log and keeps it in its exceptions, and WeChat wants the access
token, OpenIDs and tickets in the query. So httpx is given URLs without a query; the query is added
below it, in the transport, where nothing is logged.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx

from .errors import BadAnswer, Unreachable, refusal
from .fields import storable

__all__ = ["API_BASE", "MP_BASE", "Answer", "Timeouts", "Wire"]

logger = logging.getLogger(__name__)

API_BASE = "https://api.weixin.qq.com"
MP_BASE = "https://mp.weixin.qq.com"

Answer: TypeAlias = Mapping[str, Any]

# Bytes. The largest real answer, 10,000 OpenIDs, has a third of a megabyte.
_LARGEST_ANSWER = 8 * 1024 * 1024
_QUERY = "wechat_query"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, between two pieces of the answer, and for the whole call."""

    connect: float = 5
    read: float = 10
    total: float = 20


class Wire:
    """The way to WeChat's API, shared by all accounts and threads of a process.

    `api_base` and `mp_base` (QR pictures) are addresses without a path. `proxy` is the address of
    an outgoing proxy, where the account's list of IP addresses names one. `transport` replaces the
    network.
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
        secrets: tuple[str, ...] = (),
    ) -> Answer:
        """Return the JSON object that WeChat answers.

        `secrets` are kept out of error texts. Raises `Unreachable`, `BadAnswer`, or the subclass
        of `Refused` for the errcode.
        """
        url = self._api_base + path
        status, content = self._exchange(method, url, path, query, body)
        if status != 200:
            raise BadAnswer(path, f"status {status}")
        try:
            # The Content-Type is no guide: JSON comes as text/plain too. Texts may hold raw
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

    def picture(self, path: str, query: Mapping[str, str]) -> bytes | None:
        """Return what the MP host has at a path; None if it answers 404."""
        status, content = self._exchange("GET", self.mp_base + path, path, query, None)
        if status == 404:
            return None
        if status != 200:
            raise BadAnswer(path, f"status {status}")
        return content

    def _exchange(
        self,
        method: str,
        url: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
    ) -> tuple[int, bytes]:
        end = time.monotonic() + self._timeouts.total
        # WeChat has shown escaped characters to followers as they stood in the JSON.
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        request = self._http.build_request(
            method,
            url,
            content=content,
            headers={"Content-Type": "application/json"} if body is not None else None,
            extensions={_QUERY: dict(query or {})},
        )
        try:
            response = self._http.send(request, stream=True)
            try:
                return response.status_code, _read(response, path, end)
            finally:
                response.close()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unreachable(path, _reason(error), may_have_arrived=False) from error
        except httpx.DecodingError as error:
            raise BadAnswer(path, _reason(error)) from error
        except httpx.TransportError as error:
            raise Unreachable(path, _reason(error), may_have_arrived=True) from error


class _QueryTransport(httpx.BaseTransport):
    """Adds the query to requests on their way out."""

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


def _read(response: httpx.Response, path: str, end: float) -> bytes:
    """The whole answer; httpx's own limit is for one piece, so a slow drip would never end."""
    pieces = []
    size = 0
    for piece in response.iter_bytes():
        size += len(piece)
        if size > _LARGEST_ANSWER:
            raise BadAnswer(path, f"more than {_LARGEST_ANSWER} bytes")
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
