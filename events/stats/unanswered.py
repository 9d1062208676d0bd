"""Keeps the messages and menu taps of the last months that nobody answered, texts with their words.

So an operator finds what no rule matches, and who waits for an answer, without a walk through the
log. A row goes when its event is answered or leaves the log; its text goes with the body.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import Count, Max
from django.utils import timezone

from events import binding_scenes
from events.db.cached_count import cached_count
from events.db.upsert import Upsert
from events.log.registry import on_erasure
from events.models import EventLog, OpenEvent, UnansweredEvent
from events.stats.changes import Batch, counter
from events.stats.facts import Fact, facts
from events.stats.overview import Days
from events.wechat import Unreadable, mending, xml
from events.wechat.api.fields import storable

__all__ = [
    "KEPT",
    "UnmatchedText",
    "forget_old",
    "keep_unanswered",
    "recount_unanswered",
    "rename_person",
    "unmatched_texts",
]

# To group one text takes as long as to count so many rows.
_ROWS_OF_ONE = 5
KEPT = datetime.timedelta(days=100)
_UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class UnmatchedText:
    """A text that followers wrote and no rule matched; `last_at` is when it came last."""

    account_id: int
    text: str
    messages: int
    people: int
    last_at: datetime.datetime


@counter
def keep_unanswered(batch: Batch) -> None:
    new = [
        change.fact
        for change in batch.changes
        if change.fact.counted.outcome == _UNANSWERED and change.before.outcome != _UNANSWERED
    ]
    over = [
        change.fact.pk
        for change in batch.changes
        if change.before.outcome == _UNANSWERED and change.fact.counted.outcome != _UNANSWERED
    ]
    if over:
        UnansweredEvent.objects.filter(pk__in=over).delete()
    _keep(new)


def _keep(new: Sequence[Fact]) -> None:
    if not new:
        return
    texts = _texts(new)
    rows = sorted(
        (
            *(fact.pk, fact.account_id, fact.event_time, fact.kind, fact.openid),
            texts.get(fact.pk, ""),
        )
        for fact in new
    )
    _keeping().execute(connection, rows)


@functools.cache
def _keeping() -> Upsert:
    """A third of the time that the ORM takes."""
    return Upsert(
        UnansweredEvent,
        key=("event_id",),
        values=("account_id", "event_time", "kind", "openid", "text"),
        update={"text": "excluded.text"},
    )


def _texts(found: Iterable[Fact]) -> dict[int, str]:
    """The words of those texts for which no answer was made, by the ids of their events."""
    times = {fact.pk: fact.event_time for fact in found if fact.kind == "text"}
    if not times:
        return {}
    rows = EventLog.objects.filter(
        pk__in=times,
        # Leads PostgreSQL to the partitions that can hold them.
        event_time__gte=min(times.values()),
        event_time__lte=max(times.values()),
        reply="",
    )
    return {
        pk: _words(bytes(raw), mended=mended)
        for pk, raw, mended in rows.values_list("pk", "raw", "mended")
    }


def _words(raw: bytes, *, mended: bool) -> str:
    """How a text begins, without what must not be shown; "" if its body was removed."""
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


def unmatched_texts(days: Days, *, limit: int) -> list[UnmatchedText]:
    """The texts of these days that no rule matched, the most frequent first.

    Those of many messages are kept for a while.
    """
    rows = UnansweredEvent.objects.filter(days.within("account", "event_time")).order_by()
    texts = rows.exclude(text="")

    def count() -> list[UnmatchedText]:
        # The index has all that this reads; whose the texts were is asked for those that are shown.
        found = list(
            texts.values_list("account", "text")
            .annotate(messages=Count("pk"), last_at=Max("event_time"))
            .order_by("-messages", "-last_at", "text")[:limit]
        )
        shown = rows.filter(text__in={text for _, text, *_ in found})
        counted = shown.values_list("account", "text").annotate(
            people=Count("openid", distinct=True)
        )
        people = {(account_id, text): number for account_id, text, number in counted}
        return [
            UnmatchedText(account_id, text, messages, people[account_id, text], last_at)
            for account_id, text, messages, last_at in found
            if (account_id, text) in people
        ]

    name = f"unmatched texts {days.name} {limit}"
    return cached_count(name, count, rows=lambda _: _ROWS_OF_ONE * texts.count())


def forget_old(now: datetime.datetime) -> int:
    """Removes rows of more than 100 days ago; returns how many."""
    return UnansweredEvent.objects.filter(event_time__lt=now - KEPT).delete()[0]


def recount_unanswered(
    account_id: int,
    first: datetime.datetime,
    end: datetime.datetime,
    *,
    counted_to: int,
    frozen: datetime.datetime | None,
) -> Iterator[tuple[datetime.datetime, int, int]]:
    """Keeps what the log says is unanswered from `first` to before `end`, in the caller's
    transaction; gives the time, stored and counted number where they differed.
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
    UnansweredEvent.objects.filter(pk__in=over).delete()
    _keep(new)
    if over or new:
        yield first, len(known), len(unanswered)


@on_erasure
def rename_person(account_id: int, openid: str, pseudonym: str) -> None:
    """Lets another name stand for a person from now on, and removes what the person wrote."""
    rows = UnansweredEvent.objects.filter(account=account_id, openid=openid)
    rows.update(openid=pseudonym, text="")
