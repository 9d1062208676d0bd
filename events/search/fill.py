"""Takes the words of events over into the index, in the worker.

The statistics read each new event once, and each event once more whose outcome changes; they note
the events with words here (`EventToIndex`), in their own transaction. A task of its own reads the
bodies, so the callback does nothing for the search, and statistics wait for no text.
"""

from __future__ import annotations

import datetime
import functools
import time
from collections.abc import Iterator

from django.db import connection, transaction
from django.utils import timezone

from events import binding_scenes
from events.db.upsert import Upsert
from events.log.retention_hooks import after_restoring, before_removal, on_erasure
from events.models import EventLog, EventToIndex, MessageText
from events.models.event_log import EventLogQuerySet
from events.retention.bodies import body_limit
from events.search.index import Text, put, remove
from events.stats.changes import Batch, counter
from events.stats.counting.roll_up import held_progress
from events.stats.series import ANSWERABLE
from events.wechat import Unreadable, xml
from events.wechat.api.transport.answer_fields import storable

__all__ = ["forget_old_texts", "index_texts", "note_all", "words_in"]

_BATCH = 200
# Seconds after which the task gives its turn back.
_TURN = 20.0
_NO_EVENTS = (EventLog.Status.UNREADABLE, EventLog.Status.QUARANTINED)
# How a reply itself reached the follower; one that became a message is found as this.
_HEARD = (EventLog.AnsweredBy.REPLY, EventLog.AnsweredBy.NEXT)
# Fields of a message in which somebody's words stand.
_WORDS = ("Content", "Recognition", "Label", "Title", "Description")


@counter
def note_texts(batch: Batch) -> None:
    """Notes the events of a batch that have words, or a reply."""
    rows = {
        change.fact.pk: change.fact.event_time
        for change in batch.changes
        if change.fact.kind in ANSWERABLE and change.fact.counted.is_event
    }
    if rows:
        _noting().execute(connection, sorted(rows.items()))


@functools.cache
def _noting() -> Upsert:
    """A third of the time that the ORM takes."""
    return Upsert(
        EventToIndex,
        key=("event_id",),
        values=("event_time",),
        update={"event_time": "excluded.event_time"},
    )


def note_all() -> int:
    """Notes every event that may have words, for an index that is to be filled anew."""
    return _note(EventLog.objects.all())


def _note(rows: EventLogQuerySet) -> int:
    with_words = rows.filter(kind__in=sorted(ANSWERABLE)).exclude(status__in=_NO_EVENTS)
    noted = 0
    keys = with_words.order_by().values_list("pk", "event_time")
    batch: list[EventToIndex] = []
    for pk, event_time in keys.iterator(chunk_size=2000):
        batch.append(EventToIndex(event_id=pk, event_time=event_time))
        if len(batch) == 2000:
            EventToIndex.objects.bulk_create(batch, ignore_conflicts=True)
            noted, batch = noted + len(batch), []
    EventToIndex.objects.bulk_create(batch, ignore_conflicts=True)
    return noted + len(batch)


def index_texts() -> int:
    """Takes over the words of the events that are noted; returns how many events."""
    until = time.monotonic() + _TURN
    served = 0
    while time.monotonic() < until:
        if not EventToIndex.objects.exists():
            break
        with transaction.atomic():
            # An erasure takes the same lock, and then removes what these rows brought.
            held_progress()
            batch = list(EventToIndex.objects.order_by("pk")[:_BATCH])
            if not batch:
                break
            times = [row.event_time for row in batch]
            events = EventLog.objects.filter(
                pk__in=[row.pk for row in batch],
                # Leads PostgreSQL to the partitions that can hold them.
                event_time__gte=min(times),
                event_time__lte=max(times),
            )
            put([text for event in events for text in _texts_of(event)])
            EventToIndex.objects.filter(pk__in=[row.pk for row in batch]).delete()
        served += len(batch)
    return served


def _texts_of(event: EventLog) -> Iterator[Text]:
    if event.body_removed_at is not None or not event.openid:
        return
    said = MessageText.Said
    common = (event.pk, event.event_time, event.openid)
    words = words_in(event)
    if words:
        yield Text(event.account_id, said.FOLLOWER.value, *common, words)
    if event.reply and event.answered_by in _HEARD:
        replied = _clean(_content_of(event.passive_reply))
        if replied:
            yield Text(event.account_id, said.REPLY.value, *common, replied)


def words_in(event: EventLog) -> str:
    """What the follower wrote, or what a voice message was recognised as; "" for all else."""
    payload = event.payload or {}
    words = (payload.get(name) for name in _WORDS)
    return _clean("\n".join(word for word in words if isinstance(word, str) and word))


def _content_of(reply: str) -> str:
    try:
        content = xml.parse(reply.encode()).get("Content")
    except Unreadable:
        return ""
    return content if isinstance(content, str) else ""


def _clean(words: str) -> str:
    return storable(binding_scenes.mask_shown_code(binding_scenes.mask(words))).strip()


def forget_old_texts() -> int:
    """Removes texts of bodies that are past EVENT_BODY_RETENTION_DAYS; returns how many."""
    limit = body_limit(timezone.now())
    if limit is None:
        return 0
    # A text that came late goes a day early at the most.
    return remove(MessageText.objects.filter(event_time__lt=limit + datetime.timedelta(days=1)))


@before_removal
def forget_removed(events: EventLogQuerySet) -> None:
    """Removes the texts of events that leave the log."""
    ids = events.order_by().values("pk")
    of_events = (MessageText.Said.FOLLOWER, MessageText.Said.REPLY)
    remove(MessageText.objects.filter(said__in=of_events, source_id__in=ids))
    EventToIndex.objects.filter(pk__in=ids).delete()


@after_restoring
def index_restored(events: EventLogQuerySet) -> None:
    """Has the words of events found again that an archive brought back."""
    _note(events)


@on_erasure
def forget_person(account_id: int, openid: str, pseudonym: str) -> None:
    """Removes all that an erased person wrote and was answered."""
    held_progress()
    remove(MessageText.objects.filter(account=account_id, openid=openid))
