"""Reads the columns of the log that the roll-ups need, and works out how each row counts."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.db.models import BooleanField, ExpressionWrapper, Q
from django.utils import timezone

from events.models import EventLog
from events.models.event_log import EventLogQuerySet
from events.stats.series import ANSWERABLE, SeriesKey, series_of

__all__ = ["MEASURES", "NOT_COUNTED", "PEOPLE", "Counted", "Fact", "facts"]

# The columns of PeriodCount that hold numbers, and the position of the people among them.
MEASURES = ("events", "people", "answered", "unanswered", "waited_ms")
PEOPLE = MEASURES.index("people")

_COLUMNS = (
    *("pk", "account_id", "source", "kind", "openid", "event_key", "scene", "event_time"),
    *("received_at", "status", "is_folded", "followed_at", "is_carried_over", "mended"),
    *("answered_by", "answered_at", "has_reply"),
)
_HAS_REPLY = ExpressionWrapper(~Q(reply=""), output_field=BooleanField())
_IS_FOLDED = ExpressionWrapper(Q(folded_at__isnull=False), output_field=BooleanField())
_NO_EVENTS = frozenset((EventLog.Status.UNREADABLE, EventLog.Status.QUARANTINED))
_FINAL = frozenset((EventLog.Status.PROCESSED, EventLog.Status.UNREADABLE))
By = EventLog.AnsweredBy
_REACHED = frozenset((By.REPLY, By.MESSAGE, By.NEXT))
# A reply may be taken back within this time, if it turns out that no connection took it.
_TAKEN_BACK_WITHIN = datetime.timedelta(seconds=30)
_AWAITING = frozenset((EventLog.Status.RECEIVED, EventLog.Status.FAILED))


# A tuple is made in a third of the time of a frozen dataclass, and can be a key of a dict.
class Counted(NamedTuple):
    """How an event counts. `outcome` is answered, unanswered, or "" (open, or no answer expected).

    `is_open` says that the answer is still on its way, or may be taken back.
    """

    status: str
    is_folded: bool
    outcome: str
    waited_ms: int = 0
    is_open: bool = False

    @property
    def is_event(self) -> bool:
        """Whether the row counts as an event of the account."""
        return bool(self.status) and self.status not in _NO_EVENTS

    @property
    def is_final(self) -> bool:
        """Whether the row can no longer change."""
        return self.status in _FINAL and not self.is_open and (self.is_folded or not self.is_event)


# A row before it is counted for the first time.
NOT_COUNTED = Counted("", False, "")


class Fact(NamedTuple):
    """A row of the log, as it counts now."""

    pk: int
    account_id: int
    source: str
    kind: str
    openid: str
    event_key: str
    scene: str
    event_time: datetime.datetime
    received_at: datetime.datetime
    followed_at: datetime.datetime | None
    is_carried_over: bool
    is_mended: bool
    counted: Counted

    @property
    def series(self) -> tuple[SeriesKey, ...]:
        return series_of(self.account_id, self.kind, self.event_key, self.scene)


def facts(rows: EventLogQuerySet) -> Iterator[Fact]:
    """Reads these rows of the log, in their order."""
    values = rows.annotate(has_reply=_HAS_REPLY, is_folded=_IS_FOLDED).values_list(*_COLUMNS)
    return (_fact(row) for row in values.iterator(chunk_size=2000))


def _fact(row: tuple[Any, ...]) -> Fact:
    # fmt: off
    (
        pk, account_id, source, kind, openid, event_key, scene, event_time, received_at, status,
        is_folded, followed_at, is_carried_over, mended, answered_by, answered_at, has_reply,
    ) = row
    # fmt: on
    outcome, waited, is_open = "", 0, False
    if kind in ANSWERABLE and status not in _AWAITING and status not in _NO_EVENTS:
        is_open = _is_open(answered_by, answered_at, received_at, has_reply)
        # Count a reply only when it can no longer be taken back.
        if answered_at is not None and answered_by in _REACHED and not is_open:
            outcome = "answered"
            waited = max(0, round((answered_at - received_at).total_seconds() * 1000))
        elif not is_open or answered_by == By.KEPT:
            outcome = "unanswered"
    return Fact(
        pk, account_id, source, kind, openid, event_key, scene, event_time, received_at,
        followed_at, is_carried_over, mended,
        Counted(status, is_folded, outcome, waited, is_open),
    )  # fmt: skip


def _is_open(
    answered_by: str,
    answered_at: datetime.datetime | None,
    received_at: datetime.datetime,
    has_reply: bool,
) -> bool:
    match answered_by:
        case By.NOBODY_YET:
            return has_reply
        case By.KEPT:
            return True
        case By.MESSAGE:
            return answered_at is None
        case By.REPLY:
            # A reply with answered_at equal to received_at went out at once, so it is final.
            return (
                answered_at is not None
                and answered_at != received_at
                and abs(timezone.now() - answered_at) < _TAKEN_BACK_WITHIN
            )
        case _:
            return False
