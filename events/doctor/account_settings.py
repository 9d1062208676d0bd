"""Checks the account's own settings, and whether pushes failed lately because of them."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from django.db.models import Max, Sum

from events.callback.refusals import store_refusals
from events.doctor.findings import Finding
from events.models import CallbackRefusal, EventLog, OfficialAccount
from events.models.account_rules import is_original_id
from events.wechat import InvalidKey, SecurityMode
from events.wechat.beijing_time import BEIJING
from events.wechat.crypto import decode_aes_key

__all__ = ["addressed_to", "look_at_pushes", "look_at_settings"]

# How many of the newest quarantined pushes to read.
_LATEST = 50
_LATELY = datetime.timedelta(days=1)
# The doctor's finding for the reason of a refusal (events/wechat/errors.py).
_REFUSED = {
    "SignatureMismatch": "wrong_token",
    "DecryptionFailed": "wrong_aes_key",
    "AppIdMismatch": "wrong_app_id",
    "Downgraded": "wrong_mode",
}


def look_at_settings(account: OfficialAccount, now: datetime.datetime) -> Iterator[Finding]:
    """Yields mistakes in the account's settings."""
    if not account.is_active:
        yield Finding("inactive")
    if not account.token:
        yield Finding("no_token")
    if account.app_id.startswith("gh_") or account.original_id.startswith("wx"):
        ids = {"app_id": account.app_id, "original_id": account.original_id}
        yield Finding("ids_exchanged", ids)
    if account.security_mode == SecurityMode.PLAINTEXT.value:
        yield Finding("weak_mode")
    else:
        try:
            decode_aes_key(account.encoding_aes_key)
        except InvalidKey:
            yield Finding("aes_key_invalid")
    if now.astimezone(account.zone).utcoffset() != now.astimezone(BEIJING).utcoffset():
        yield Finding("time_zone", {"zone": account.time_zone})


def look_at_pushes(account: OfficialAccount, now: datetime.datetime) -> Iterator[Finding]:
    """Yields why pushes were refused or quarantined since the last good one."""
    # Store the refusals that this process has only counted yet.
    store_refusals()
    ours = EventLog.objects.filter(account=account, source=EventLog.Source.CALLBACK)
    last_good = (
        ours.exclude(status=EventLog.Status.QUARANTINED)
        .order_by("-pk")
        .values_list("received_at", flat=True)
        .first()
    )
    refused = (
        CallbackRefusal.objects.filter(account=account.slug, minute__gte=now - _LATELY)
        .order_by()
        .values_list("reason")
        .annotate(number=Sum("number"), last=Max("minute"))
    )
    for reason, number, last in refused:
        # Refusals count by minute, so a good push in the same minute does not prove an end.
        is_over = last_good is not None and last_good.replace(second=0, microsecond=0) > last
        if reason in _REFUSED and not is_over:
            yield Finding(_REFUSED[reason], {"number": number})
    told = addressed_to(account, since=last_good)
    if told:
        own = account.original_id or "–"
        yield Finding("wrong_original_id", {"told": told[0], "own": own})


def addressed_to(account: OfficialAccount, *, since: datetime.datetime | None = None) -> list[str]:
    """Returns the original IDs in the latest quarantined pushes, the most frequent first."""
    quarantined = EventLog.objects.with_status(EventLog.Status.QUARANTINED).filter(account=account)
    counts: dict[str, int] = {}
    for event in quarantined.order_by("-pk")[:_LATEST]:
        if since is not None and event.received_at < since:
            break
        told = (event.payload or {}).get("ToUserName")
        if isinstance(told, str) and is_original_id(told) and told != account.original_id:
            counts[told] = counts.get(told, 0) + 1
    return sorted(counts, key=lambda told: -counts[told])
