"""Takes one person out of the log: the OpenID becomes a pseudonym, and what they wrote goes.

Every row stays, with its kind, time, scene, menu key and outcome, so state and statistics do not
change. The dedup_key stays too: it orders events of one second, and a late repetition of an erased
push must still find its row.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter

from django.db import connection, models
from django.db.models import Case, F, Value, When

from events.models import EventLog

__all__ = [
    "KINDS_WITH_TWO_PEOPLE",
    "may_mention",
    "overwrite_deleted",
    "people_mentioned",
    "pseudonymise_log",
]

# Their body names a second person beside the sender: who gave a card, who received it.
KINDS_WITH_TWO_PEOPLE = (
    "event.user_get_card",
    "event.user_gifting_card",
    "event.giftcard_send_to_friend",
    "event.giftcard_user_accept",
)
# Rows whose body may name anybody.
_UNTRUSTED = (EventLog.Status.UNREADABLE, EventLog.Status.QUARANTINED)
# OpenIDs have 28 characters today, and begin with o.
_OPENID = re.compile(rb"(?<![A-Za-z0-9_-])o[A-Za-z0-9_-]{20,63}(?![A-Za-z0-9_-])")
_BATCH = 500


def may_mention(kind: str, status: str) -> bool:
    """Whether an OpenID may stand in a body of this kind besides that of the column `openid`."""
    return kind in KINDS_WITH_TWO_PEOPLE or status in _UNTRUSTED


def people_mentioned(body: bytes) -> set[str]:
    """What may be OpenIDs in a body, however it is written."""
    return {found.decode() for found in _OPENID.findall(body)}


def pseudonymise_log(
    account_id: int, openid: str, pseudonym: str, *, now: datetime.datetime
) -> Counter[str]:
    """Renames a person in the log and empties the bodies of their events.

    Returns how many rows it changed: `events` of the person, and `mentions` in the bodies of other
    events, which lose their body. Runs inside the caller's transaction.
    """
    of_person = EventLog.objects.filter(account=account_id).with_openid(openid)
    no_body = {"raw": b"", "reply": "", "error": "", "body_removed_at": now}
    events = of_person.update(
        openid=pseudonym,
        from_user=Case(When(from_user=openid, then=Value(pseudonym)), default=F("from_user")),
        # A folded row has lost what a reply could be made of.
        next_attempt_at=Case(
            When(folded_at__isnull=False, then=Value(None)), default=F("next_attempt_at")
        ),
        status=Case(
            When(
                folded_at__isnull=False,
                status__in=[EventLog.Status.RECEIVED, EventLog.Status.FAILED],
                then=Value(EventLog.Status.PROCESSED.value),
            ),
            default=F("status"),
            output_field=models.CharField(),
        ),
        # A reply handler that runs at this moment must not write its answer here.
        lease="",
        leased_until=None,
        **no_body,
    )
    mentions = 0
    for row in _rows_that_may_mention(account_id).iterator(chunk_size=_BATCH):
        if openid.encode() in bytes(row.raw):
            mentions += EventLog.objects.with_key_of(row).update(**no_body)
    return Counter(events=events, mentions=mentions)


def overwrite_deleted() -> None:
    """Makes SQLite overwrite what this connection deletes; PostgreSQL leaves it to vacuum."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA secure_delete = ON")


def _rows_that_may_mention(account_id: int) -> models.QuerySet[EventLog]:
    """Rows whose column `openid` is not the only place where an OpenID may stand."""
    rows = EventLog.objects.filter(account=account_id)
    untrusted = (rows.with_status(status).values("pk") for status in _UNTRUSTED)
    ids = rows.filter(kind__in=KINDS_WITH_TWO_PEOPLE).values("pk").union(*untrusted)
    return EventLog.objects.filter(pk__in=ids).only("pk", "event_time", "raw")
