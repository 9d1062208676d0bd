"""Asks WeChat about a `rid`, the number that it gives to a refused call."""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount
from events.platform.client import client_for
from events.platform.failures import explanation
from events.wechat.api import Refused
from events.wechat.api.transport.api_errors import refusal

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["RID_FAILURES", "CallOfRid", "ask_about_rid", "rid_in"]

_RID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{8}){2}\b", re.IGNORECASE)
# Explanations by errcode.
RID_FAILURES: dict[int, StrOrPromise] = {
    76001: _("WeChat knows no such rid."),
    76002: _("This is no rid."),
    76003: _("This rid is of another account's call."),
    76004: _("The rid is older than seven days: WeChat has forgotten it."),
}


@dataclass(frozen=True, slots=True)
class CallOfRid:
    """The call of a rid, without request and answer, which may name followers.

    `milliseconds` is the time that WeChat took. `errcode` is 0 if WeChat's answer cannot be read.
    """

    at: datetime.datetime
    address: str
    milliseconds: int
    errcode: int
    errmsg: str

    @property
    def words(self) -> str:
        """The explanation of the errcode; "" if it belongs to no known class."""
        return explanation(refusal("", self.errcode, "").label) if self.errcode else ""


def ask_about_rid(account: OfficialAccount, rid: str) -> CallOfRid:
    """Asks WeChat about a rid; raises APIError, such as `Refused` with a code of RID_FAILURES."""
    told = client_for(account).diagnostics.call_of_rid(rid)
    errcode, errmsg = 0, ""
    try:
        answer = json.loads(told.response_body)
        errcode, errmsg = int(answer["errcode"]), str(answer["errmsg"])
    except (ValueError, TypeError, KeyError):
        pass
    at = datetime.datetime.fromtimestamp(told.invoked_at, datetime.UTC)
    errmsg = Refused("", errcode, errmsg).errmsg
    return CallOfRid(at, told.client_ip, told.milliseconds, errcode, errmsg[:200])


def rid_in(text: str) -> str:
    """Finds the rid in a pasted text, which may be WeChat's whole message; "" if it has none."""
    found = _RID.search(text)
    return found.group().lower() if found else ""
