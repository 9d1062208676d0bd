"""Copies the words of events into the search index, in the worker.

The statistics read each new event once, and again if its outcome changes. In the same transaction
they note the events with words (`EventToIndex`). A separate task reads the bodies of noted events.
So the callback does no work for the search, and statistics do not wait for texts.
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
# Seconds after which the task ends, so that others can run.
_TURN = 20.0
_NO_EVENTS = (EventLog.Status.UNREADABLE, EventLog.Status.QUARANTINED)
# The ways by which a reply itself reached the follower. A reply that went out as a message is in
# the index as that message.
_HEARD = (EventLog.AnsweredBy.REPLY, EventLog.AnsweredBy.NEXT)
# Fields of a message that contain words.
_WORDS = ("Content", "Recognition", "Label", "Title", "Description")


@counter
def note_texts(batch: Batch) -> None:
    """Notes the events of a batch that may have words or a reply."""
    rows = {
        change.fact.pk: change.fact.event_time
        for change in batch.changes
        if change.fact.kind in ANSWERABLE and change.fact.counted.is_event
    }
    if rows:
        _noted_event_upsert().execute(connection, sorted(rows.items()))


@functools.cache
def _noted_event_upsert() -> Upsert:
    """Returns the statement that notes events; it takes a third of the ORM's time."""
    return Upsert(
        EventToIndex,
        key=("event_id",),
        values=("event_time",),
        update={"event_time": "excluded.event_time"},
    )


def note_all() -> int:
    """Notes every event that may have words, to fill the index again; returns how many."""
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
    """Puts the words of the noted events into the index; returns how many events."""
    until = time.monotonic() + _TURN
    served = 0
    while time.monotonic() < until:
        if not EventToIndex.objects.exists():
            break
        with transaction.atomic():
            # An erasure takes the same lock. It then removes the texts that this transaction added.
            held_progress()
            batch = list(EventToIndex.objects.order_by("pk")[:_BATCH])
            if not batch:
                break
            times = [row.event_time for row in batch]
            events = EventLog.objects.filter(
                pk__in=[row.pk for row in batch],
                # With these PostgreSQL reads only the partitions that can hold the rows.
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
    """Returns the follower's words, or the recognised words of a voice message; else ""."""
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
    """Removes the texts of bodies older than EVENT_BODY_RETENTION_DAYS; returns how many."""
    limit = body_limit(timezone.now())
    if limit is None:
        return 0
    # Texts count from event_time, which may lie up to a day after the receipt. So remove a text a
    # day early, never later than its body.
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
    """Notes events that an archive brought back, so that the search finds their words again."""
    _note(events)


@on_erasure
def forget_person(account_id: int, openid: str, pseudonym: str) -> None:
    """Removes all texts that an erased person wrote or received."""
    held_progress()
    remove(MessageText.objects.filter(account=account_id, openid=openid))
