"""Tests the way in: a verification and a push through the public address, as WeChat makes them."""

from __future__ import annotations

import datetime
import secrets
import time
from collections.abc import Callable, Generator, Iterator
from urllib.parse import urlencode

from django.db.models import Sum
from django.utils import timezone

from events.callback.callback_address import callback_path
from events.callback.probe import ProbeReport, database_fingerprint, make_probe, read_report
from events.callback.refusals import UNKNOWN_ACCOUNT, store_refusals
from events.doctor.exchange import Answered, Failed, Line, exchange
from events.doctor.findings import Finding
from events.models import CallbackRefusal, OfficialAccount
from events.wechat import NotAuthentic, SecurityMode
from events.wechat.sender import open_reply, seal_push
from events.wechat.signature import sign

__all__ = ["try_the_door"]

# Seconds until a web process has stored its refusals.
_REFUSALS_STORED = 7
_CERTIFICATE_DAYS = 14
_SLOW_SHARE = 0.6
# Seconds by which clocks may differ.
CLOCK = 60
_DAY = 24 * 3600
# The doctor's finding for the reason of a refusal (events/wechat/errors.py).
_REFUSED = {
    "SignatureMismatch": "secrets_differ",
    "DecryptionFailed": "secrets_differ",
    "InvalidParameters": "query_lost",
}


def try_the_door(
    account: OfficialAccount, line: Line, clock: Callable[[], datetime.datetime]
) -> Iterator[Finding]:
    """Yields faults that keep WeChat's pushes from the site, or soon will."""
    if line.port != (443 if line.is_tls else 80):
        yield Finding("port", {"port": line.port})
    try:
        seconds = yield from _verify(account, line, clock())
        seconds = max(seconds, (yield from _push(account, line, clock())))
    except Failed as failed:
        yield failed.finding
        return
    if seconds > line.seconds * _SLOW_SHARE:
        yield Finding("slow", {"seconds": f"{seconds:.1f}", "limit": round(line.seconds)})


def _verify(
    account: OfficialAccount, line: Line, now: datetime.datetime
) -> Generator[Finding, None, float]:
    """Makes WeChat's GET; returns the seconds that it took."""
    timestamp, nonce = str(int(now.timestamp())), str(secrets.randbelow(10**10))
    # As long as WeChat's own echostr, and all digits, so that a proxy may take it for a number.
    echostr = str(secrets.randbelow(9 * 10**18) + 10**18)
    query = {
        "signature": sign(account.token, timestamp, nonce),
        "timestamp": timestamp,
        "nonce": nonce,
        "echostr": echostr,
    }
    answered = _ask(account, line, "GET", query)
    if answered.body != echostr.encode():
        is_near = echostr.encode() in answered.body and len(answered.body) < 2 * len(echostr)
        raise Failed(Finding("altered") if is_near else _not_this_site(answered))
    if answered.expires_at is not None:
        days = int((answered.expires_at - now.timestamp()) / _DAY)
        if days < _CERTIFICATE_DAYS:
            yield Finding("certificate_expiring", {"host": line.host, "days": days})
    return answered.seconds


def _push(
    account: OfficialAccount, line: Line, now: datetime.datetime
) -> Generator[Finding, None, float]:
    """Makes WeChat's POST; returns the seconds that it took."""
    name, body = make_probe(account, at=int(now.timestamp()))
    query, sealed = seal_push(
        body,
        credentials=account.credentials(now),
        mode=SecurityMode(account.security_mode),
        timestamp=int(now.timestamp()),
        nonce=str(secrets.randbelow(10**10)),
        random=secrets.token_bytes(16),
    )
    answered = _ask(account, line, "POST", query, sealed)
    report = _report_in(account, answered, name, now)
    if report.database != database_fingerprint():
        yield Finding("other_database")
    apart = abs(report.at - now.timestamp()) - answered.seconds
    if apart > CLOCK:
        yield Finding("clocks_differ", {"seconds": round(apart)})
    return answered.seconds


def _ask(
    account: OfficialAccount, line: Line, method: str, query: dict[str, str], body: bytes = b""
) -> Answered:
    """Sends a request; returns the answer with status 200, raises Failed for any other."""
    began = timezone.now().replace(second=0, microsecond=0)
    before = _refusals_since(account, began)
    answered = exchange(line, method, f"{callback_path(account)}?{urlencode(query)}", body)
    status = answered.status
    if status == 200:
        return answered
    if 300 <= status < 400:
        location = answered.headers.get("location", "")
        raise Failed(Finding("redirect", {"status": status, "location": location[:200]}))
    if status == 413:
        raise Failed(Finding("body_limit", {"size": round(len(body) / 1024)}))
    if status == 503 and answered.body == b"try again":
        raise Failed(Finding("not_stored"))
    if status in {502, 503, 504}:
        raise Failed(Finding("proxy", {"status": status}))
    if status == 403 and answered.body == b"forbidden":
        raise Failed(Finding(_why_refused(account, began, before)))
    raise Failed(_not_this_site(answered))


def _why_refused(account: OfficialAccount, since: datetime.datetime, before: dict[str, int]) -> str:
    """Returns the fault behind a 403: waits until a web process has stored the refusal."""
    give_up_at = time.monotonic() + _REFUSALS_STORED
    while True:
        # The web process may be this one, so store its own refusals.
        store_refusals()
        found = _refusals_since(account, since)
        new = {reason for reason, number in found.items() if number > before.get(reason, 0)}
        # Strangers may try unknown addresses at any time, so only refusals of this account decide.
        own = new - {UNKNOWN_ACCOUNT}
        if own:
            return next((code for reason, code in _REFUSED.items() if reason in own), "refused")
        if time.monotonic() > give_up_at:
            return "unknown_to_web" if new else "other_database"
        time.sleep(0.2)


def _refusals_since(account: OfficialAccount, since: datetime.datetime) -> dict[str, int]:
    rows = CallbackRefusal.objects.filter(minute__gte=since, account__in=["", account.slug])
    counted = rows.order_by().values_list("reason").annotate(number=Sum("number"))
    return dict(counted)


def _report_in(
    account: OfficialAccount, answered: Answered, name: str, now: datetime.datetime
) -> ProbeReport:
    reply_xml = answered.body
    if reply_xml == b"success":
        # The other side did not recognize the probe, and took it for a push of WeChat.
        raise Failed(Finding("other_site"))
    if account.security_mode != SecurityMode.PLAINTEXT.value:
        try:
            reply_xml = open_reply(reply_xml, credentials=account.credentials(now))
        except NotAuthentic:
            raise Failed(Finding("altered")) from None
    report = read_report(reply_xml, name)
    if report is None:
        raise Failed(Finding("altered"))
    return report


def _not_this_site(answered: Answered) -> Finding:
    kind = answered.headers.get("content-type", "").partition(";")[0] or "?"
    return Finding("not_this_site", {"status": answered.status, "kind": kind[:60]})
