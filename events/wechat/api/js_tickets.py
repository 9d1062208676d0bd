"""Tickets for pages in WeChat's browser (jsapi_ticket), and the signature of such a page."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from .transport.answer_fields import number, text
from .transport.api_errors import BadAnswer
from .transport.calls import Calls

__all__ = ["JsTicket", "JsTickets", "signature_of_page"]

_GET = "/cgi-bin/ticket/getticket"


@dataclass(frozen=True, slots=True)
class JsTicket:
    """A ticket, and for how many seconds it is valid."""

    value: str = field(repr=False)
    expires_in: int


class JsTickets:
    """Fetches tickets. WeChat limits how often, so keep a ticket as long as it is valid."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def fetch(self) -> JsTicket:
        answer = self._calls.get(_GET, {"type": "jsapi"})
        value, expires_in = text(answer, "ticket"), number(answer, "expires_in")
        if not value or expires_in <= 0:
            raise BadAnswer(_GET, "no ticket in the answer")
        return JsTicket(value, expires_in)


def signature_of_page(ticket: str, *, nonce: str, timestamp: int, url: str) -> str:
    """Returns the `signature` for `wx.config` (JS-SDK使用权限签名算法); `url` without `#…`."""
    signed = f"jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={url}"
    return hashlib.sha1(signed.encode()).hexdigest()
