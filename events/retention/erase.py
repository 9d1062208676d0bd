"""Removes one person from the log: a pseudonym replaces the OpenID, and the bodies become empty.

Every row stays, with its kind, time, scene, menu key and outcome, so state and statistics do not
change. The dedup_key stays too, because it orders the events of one second, and because a late
repetition of an erased push must still find its row.
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

# The bodies of these kinds name a second person: the giver or the receiver of a card.
KINDS_WITH_TWO_PEOPLE = (
    "event.user_get_card",
    "event.user_gifting_card",
    "event.giftcard_send_to_friend",
    "event.giftcard_user_accept",
)
# The bodies of these rows may name any person.
_UNTRUSTED = (EventLog.Status.UNREADABLE, EventLog.Status.QUARANTINED)
# OpenIDs have 28 characters today, and begin with o.
_OPENID = re.compile(rb"(?<![A-Za-z0-9_-])o[A-Za-z0-9_-]{20,63}(?![A-Za-z0-9_-])")
_BATCH = 500


def may_mention(kind: str, status: str) -> bool:
    """Whether a body of this kind may contain another OpenID than the column `openid`."""
    return kind in KINDS_WITH_TWO_PEOPLE or status in _UNTRUSTED


def people_mentioned(body: bytes) -> set[str]:
    """Returns all texts in a body that look like OpenIDs; the body may be malformed."""
    return {found.decode() for found in _OPENID.findall(body)}


def pseudonymise_log(
    account_id: int, openid: str, pseudonym: str, *, now: datetime.datetime
) -> Counter[str]:
    """Renames a person in the log and empties the bodies of their events.

    Other events that mention the person lose their body too. Returns how many rows it changed:
    `events` of the person, and `mentions` in other events. Runs inside the caller's transaction.
    """
    of_person = EventLog.objects.filter(account=account_id).with_openid(openid)
    no_body = {"raw": b"", "reply": "", "error": "", "body_removed_at": now}
    events = of_person.update(
        openid=pseudonym,
        from_user=Case(When(from_user=openid, then=Value(pseudonym)), default=F("from_user")),
        # Without its body a folded row can no longer be answered.
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
        # Without a lease, a reply handler that runs now cannot save its answer in the row.
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
    """Makes SQLite overwrite deleted data of this connection; in PostgreSQL vacuum removes it."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA secure_delete = ON")


def _rows_that_may_mention(account_id: int) -> models.QuerySet[EventLog]:
    """Selects rows that may contain an OpenID outside the column `openid`."""
    rows = EventLog.objects.filter(account=account_id)
    untrusted = (rows.with_status(status).values("pk") for status in _UNTRUSTED)
    ids = rows.filter(kind__in=KINDS_WITH_TWO_PEOPLE).values("pk").union(*untrusted)
    return EventLog.objects.filter(pk__in=ids).only("pk", "event_time", "raw")
