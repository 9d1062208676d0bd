"""WeChat's end of the wire as it keeps time: seconds for an answer, three tries, then never.

Bodies are plain. Everything runs in one event loop, so many followers may wait at a time.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

from events.wechat import Unreadable, xml

__all__ = ["Told", "WeChat"]

TOKEN = "Rk7mWechatTok2026"
_TRIES = 3
_numbers = itertools.count(1)


@dataclass(slots=True)
class Told:
    """What came of one push: the answer's text ("" for `success`), and on which try."""

    tries: int = 0
    text: str | None = None
    statuses: list[int | str] = field(default_factory=list)
    seconds: float = 0.0


class WeChat:
    """Pushes to one account's callback, `seconds` being what it waits for each answer.

    With more `tries` than WeChat's, a push is taken in the end however slow the machine is.
    """

    def __init__(
        self, port: int, path: str, original_id: str, *, seconds: float, tries: int = _TRIES
    ) -> None:
        self._port = port
        self._path = path
        self._original_id = original_id
        self._seconds = seconds
        self._tries = tries

    async def text(self, openid: str, content: str) -> Told:
        return await self.push(openid, MsgType="text", Content=content, MsgId=next(_numbers))

    async def follow(self, openid: str) -> Told:
        return await self.push(openid, MsgType="event", Event="subscribe", EventKey="")

    async def push(self, openid: str, **fields: str | int) -> Told:
        """Tries until it is answered 200, at most so often as it may."""
        body = xml.element(
            "xml",
            {
                "ToUserName": self._original_id,
                "FromUserName": openid,
                "CreateTime": int(time.time()),
                **fields,
            },
        ).encode()
        told = Told()
        began = time.monotonic()
        for number in range(self._tries):
            told.tries = number + 1
            try:
                async with asyncio.timeout(self._seconds):
                    status, answer = await self._ask(body)
            except TimeoutError:
                told.statuses.append("timeout")
                continue
            except OSError as error:
                told.statuses.append(type(error).__name__)
                await asyncio.sleep(0.05)
                continue
            told.statuses.append(status)
            if status == 200:
                told.text = _text_of(answer)
                break
        told.seconds = time.monotonic() - began
        return told

    def request(self, body: bytes) -> bytes:
        """A signed request with this body, as it goes over the wire."""
        timestamp, nonce = str(int(time.time())), str(next(_numbers))
        signed = "".join(sorted((TOKEN, timestamp, nonce))).encode()
        query = urlencode(
            {
                "signature": hashlib.sha1(signed).hexdigest(),
                "timestamp": timestamp,
                "nonce": nonce,
            }
        )
        head = (
            f"POST {self._path}?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def _ask(self, body: bytes) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(self.request(body))
            head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
        if not head:
            raise ConnectionResetError
        return int(head.split(b" ", 2)[1]), answer


def _text_of(answer: bytes) -> str:
    if answer == b"success":
        return ""
    try:
        return str(xml.parse(answer).get("Content"))
    except Unreadable:
        return f"not a reply: {answer[:200]!r}"
