"""Keeps the unanswered messages and menu taps of the last months, texts with their words.

So an operator finds texts that no rule matches, and followers who wait for an answer, without a
search of the log. A row is removed when its event is answered or leaves the log; its text is
removed with the event's body.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from django.db import connection
from django.utils import timezone

from events import binding_scenes
from events.db.upsert import Upsert
from events.log.retention_hooks import on_erasure
from events.models import EventLog, OpenEvent, UnansweredEvent, UnmatchedDay
from events.stats.changes import Batch, counter
from events.stats.counting.unmatched import add_texts, recount_days_of, recounted_texts
from events.stats.facts import Fact, facts
from events.wechat import Unreadable, mending, xml
from events.wechat.api.transport.answer_fields import storable

__all__ = [
    "KEPT",
    "forget_old",
    "keep_unanswered",
    "recount_unanswered",
    "rename_person",
]

KEPT = datetime.timedelta(days=100)
_DAY = datetime.timedelta(days=1)
_UNANSWERED, _TEXT = "unanswered", "text"


@counter
def keep_unanswered(batch: Batch) -> None:
    """Adds the unanswered events of a batch, and removes those that got an answer."""
    new = [
        change.fact
        for change in batch.changes
        if change.fact.counted.outcome == _UNANSWERED and change.before.outcome != _UNANSWERED
    ]
    over = [
        change.fact
        for change in batch.changes
        if change.before.outcome == _UNANSWERED and change.fact.counted.outcome != _UNANSWERED
    ]
    texts = _texts(new)
    if not over:
        add_texts(
            [
                (fact.account_id, fact.openid, fact.event_time, texts[fact.pk])
                for fact in new
                if texts.get(fact.pk)
            ]
        )
        _keep(new, texts)
        return
    rows = UnansweredEvent.objects.filter(pk__in=[fact.pk for fact in over])
    people = {(fact.account_id, fact.openid) for fact in new if fact.kind == _TEXT}
    people.update(rows.exclude(text="").values_list("account_id", "openid"))
    with recounted_texts(people, [fact.event_time for fact in (*new, *over)]):
        rows.delete()
        _keep(new, texts)


def _keep(new: Sequence[Fact], texts: Mapping[int, str]) -> None:
    if not new:
        return
    rows = sorted(
        (
            *(fact.pk, fact.account_id, fact.event_time, fact.kind, fact.openid),
            texts.get(fact.pk, ""),
        )
        for fact in new
    )
    _unanswered_upsert().execute(connection, rows)


@functools.cache
def _unanswered_upsert() -> Upsert:
    """Returns the statement that adds unanswered events; it takes a third of the ORM's time."""
    return Upsert(
        UnansweredEvent,
        key=("event_id",),
        values=("account_id", "event_time", "kind", "openid", "text"),
        update={"text": "excluded.text"},
    )


def _texts(found: Iterable[Fact]) -> dict[int, str]:
    """Returns the words of the text messages without a reply, by the ids of their events."""
    times = {fact.pk: fact.event_time for fact in found if fact.kind == _TEXT}
    if not times:
        return {}
    rows = EventLog.objects.filter(
        pk__in=times,
        # With these PostgreSQL reads only the partitions that can hold the rows.
        event_time__gte=min(times.values()),
        event_time__lte=max(times.values()),
        reply="",
    )
    return {
        pk: _words(bytes(raw), mended=mended)
        for pk, raw, mended in rows.values_list("pk", "raw", "mended")
    }


def _words(raw: bytes, *, mended: bool) -> str:
    """Returns the masked beginning of a text; "" if its body was removed."""
    if not raw:
        return ""
    try:
        fields = mending.read(raw).fields if mended else xml.parse(raw)
    except Unreadable:
        return ""
    content = fields.get("Content")
    if not isinstance(content, str):
        return ""
    words = " ".join(storable(binding_scenes.mask(content)).split())
    return words[: UnansweredEvent.TEXT_LENGTH]


def forget_old(now: datetime.datetime) -> int:
    """Removes rows older than 100 days; returns how many."""
    forgotten, _ = UnansweredEvent.objects.filter(event_time__lt=now - KEPT).delete()
    # Keep the whole numbers of a day of which some rows stay.
    UnmatchedDay.objects.filter(start__lt=now - KEPT - _DAY).delete()
    return forgotten


def recount_unanswered(
    account_id: int,
    first: datetime.datetime,
    end: datetime.datetime,
    *,
    counted_to: int,
    frozen: datetime.datetime | None,
) -> Iterator[tuple[datetime.datetime, int, int]]:
    """Makes the rows from `first` to before `end` match the log, in the caller's transaction.

    If they differed, it yields the time, the stored number and the counted one.
    """
    first = max(first, timezone.now() - KEPT, frozen or first)
    if first >= end:
        return
    rows = EventLog.objects.filter(
        account=account_id, event_time__gte=first, event_time__lt=end, pk__lte=counted_to
    )
    opened = dict(OpenEvent.objects.values_list("pk", "outcome"))
    unanswered = {
        fact.pk: fact
        for fact in facts(rows)
        if opened.get(fact.pk, fact.counted.outcome) == _UNANSWERED
    }
    kept = UnansweredEvent.objects.filter(
        account=account_id, event_time__gte=first, event_time__lt=end
    )
    known = set(kept.values_list("pk", flat=True))
    over = known - unanswered.keys()
    new = [fact for pk, fact in unanswered.items() if pk not in known]
    gone = UnansweredEvent.objects.filter(pk__in=over)
    changed = list(gone.values_list("event_time", flat=True))
    gone.delete()
    _keep(new, _texts(new))
    if over or new:
        recount_days_of(
            {(account_id, at) for at in changed}
            | {(fact.account_id, fact.event_time) for fact in new}
        )
        yield first, len(known), len(unanswered)


@on_erasure
def rename_person(account_id: int, openid: str, pseudonym: str) -> None:
    """Gives a person another name, and removes what the person wrote."""
    with recounted_texts([(account_id, openid)]):
        rows = UnansweredEvent.objects.filter(account=account_id, openid=openid)
        rows.update(openid=pseudonym, text="")
