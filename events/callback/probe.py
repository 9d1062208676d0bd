"""Makes and answers the doctor's probe: a push that is answered but leaves no row.

A probe takes the same way as WeChat's pushes. Only this site can make one: it carries a signature
by SECRET_KEY that is valid for a minute. The web process that opens it answers with its clock and
its database, encrypted like any reply.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner

from events.models import OfficialAccount
from events.wechat import TextReply, WeChatError, parse_message, render
from events.wechat.xml import element, parse

__all__ = ["ProbeReport", "answer_to_probe", "make_probe", "read_report"]

_EVENT = "site_doctor"
_MARK = _EVENT.encode()
_SIGNER = TimestampSigner(salt="events.callback.probe")
_SECONDS = 60
# Bytes. A probe is as large as a push ever is, so that it finds a proxy with a lower limit.
_PADDING = 16 * 1024


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What the web process answered: its clock in Unix seconds, and a hash of its database."""

    at: float
    database: str


def make_probe(account: OfficialAccount, *, at: int) -> tuple[str, bytes]:
    """Returns a new random name, and the plain XML of a probe with this name."""
    name = secrets.token_hex(16)
    fields: dict[str, str | int] = {
        "ToUserName": account.original_id or "gh_0",
        "FromUserName": "doctor",
        "CreateTime": at,
        "MsgType": "event",
        "Event": _EVENT,
        "Probe": _SIGNER.sign(f"{account.pk}.{name}"),
        "Padding": "0" * _PADDING,
    }
    return name, element("xml", fields).encode()


def answer_to_probe(account: OfficialAccount, body: bytes, *, at: int) -> str | None:
    """Returns the reply's XML to a probe; None for a push of WeChat or another site's probe."""
    if _MARK not in body:
        return None
    try:
        fields = parse_message(body).fields
        signed = fields.get("Probe")
        name = _SIGNER.unsign(signed, max_age=_SECONDS) if isinstance(signed, str) else ""
    except (WeChatError, BadSignature):
        return None
    of_account, _, name = name.partition(".")
    if of_account != str(account.pk):
        return None
    report = json.dumps({"probe": name, "at": at, "database": database_fingerprint()})
    return render(
        TextReply(report),
        to_user_name="doctor",
        from_user_name=account.original_id or "gh_0",
        create_time=at,
    )


def read_report(reply_xml: bytes, name: str) -> ProbeReport | None:
    """Returns the report from a reply to the probe of this name; None if it is another reply."""
    try:
        content = parse(reply_xml).get("Content")
        report = json.loads(content) if isinstance(content, str) else {}
        if report["probe"] != name:
            return None
        return ProbeReport(float(report["at"]), str(report["database"]))
    except (WeChatError, ValueError, KeyError, TypeError):
        return None


def database_fingerprint() -> str:
    """Returns a hash that tells databases apart without showing their names."""
    database = settings.DATABASES["default"]
    named = [str(database.get(part, "")) for part in ("ENGINE", "NAME", "HOST", "PORT")]
    return hashlib.sha256("\0".join(named).encode()).hexdigest()[:12]
