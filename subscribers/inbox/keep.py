"""Keeps the rows of the inbox up to date, in the worker.

It runs as a counter, when the statistics count new events, so it costs the callback nothing. What
it writes follows from the tables, not from the order of its calls: the newest message, and the
oldest message of the follower that nobody has answered since the last answer.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from django.db import connection, transaction
from django.utils import timezone

from events.db.lookup import Lookup
from events.db.upsert import Upsert
from events.kinds import window_length
from events.log.retention_hooks import on_erasure
from events.models import EventLog, UnansweredEvent
from events.retention.bodies import body_limit
from events.search.fill import words_in
from events.stats.changes import Batch, counter
from events.stats.facts import Fact
from events.stats.series import MESSAGE_KINDS
from subscribers.models import Conversation, OutgoingMessage, Subscriber

__all__ = ["Said", "empty_conversations", "keep_conversations", "note_messages"]

_KINDS = frozenset(MESSAGE_KINDS)
_Person = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Said:
    """The last thing that was said. `kind` is the kind of a follower's message, "" for ours."""

    at: datetime.datetime
    kind: str
    text: str


@counter
def keep_conversations(batch: Batch) -> None:
    """Updates the conversations of followers who wrote in a batch of events."""
    latest: dict[_Person, Fact] = {}
    for change in batch.changes:
        fact = change.fact
        is_message = fact.kind in _KINDS and fact.counted.is_event
        if not (is_message and fact.openid and fact.source == EventLog.Source.CALLBACK):
            continue
        person = fact.account_id, fact.openid
        before = latest.get(person)
        if before is None or (before.event_time, before.pk) < (fact.event_time, fact.pk):
            latest[person] = fact
    if not latest:
        return
    words = _words_of(latest.values())
    rows = _followers().execute(connection, latest)
    people = {
        pk: (account_id, openid) for pk, account_id, openid, erased_at in rows if erased_at is None
    }
    said = {}
    for pk, person in people.items():
        fact = latest[person]
        said[pk] = Said(fact.event_time, fact.kind, words.get(fact.pk, ""))
    _write(said, people)


def note_messages(messages: Iterable[OutgoingMessage], text: str) -> None:
    """Updates the conversations of followers to whom messages were just queued, sent or refused."""
    said = {
        message.subscriber_id: Said(message.sent_at or message.created_at, "", text)
        for message in messages
    }
    with transaction.atomic():
        # The locks keep an erasure out: what it empties must stay empty.
        held = Subscriber.objects.filter(pk__in=said, erased_at=None).held()
        people = held.in_order()
        _write(said, {person.pk: (person.account_id, person.openid) for person in people})


def empty_conversations() -> int:
    """Empties the texts that are past EVENT_BODY_RETENTION_DAYS; returns how many."""
    limit = body_limit(timezone.now())
    if limit is None:
        return 0
    old = Conversation.objects.filter(last_at__lt=limit).exclude(last_text="")
    return old.update(last_text="")


@dataclass(slots=True)
class _Row:
    """The columns of a Conversation; it takes a tenth of the time of a model instance."""

    last_at: datetime.datetime
    last_kind: str = ""
    last_text: str = ""
    waiting_since: datetime.datetime | None = None
    window_until: datetime.datetime | None = None
    is_done: bool = False
    # Users write this column; it is only read here.
    ended_at: datetime.datetime | None = None


def _write(said: Mapping[int, Said], people: Mapping[int, _Person]) -> None:
    """Brings the conversations of these followers up to date; the keys are followers' ids."""
    with transaction.atomic():
        stored = (
            Conversation.objects.filter(subscriber__in=people)
            .select_for_update(of=("self",))
            .order_by("pk")
        )
        kept = {
            pk: _Row(*values)
            for pk, *values in stored.values_list("subscriber", *_KEPT, "ended_at")
        }
        answered = _last_messages(people)
        unanswered = _unanswered(people.values())
        rows = []
        for pk, (account_id, openid) in sorted(people.items()):
            new = said[pk]
            # A message to a follower who never wrote begins no conversation.
            if pk not in kept and not new.kind:
                continue
            row = kept.get(pk) or _Row(new.at)
            if new.at >= row.last_at:
                row.last_at, row.last_kind = new.at, new.kind
                row.last_text = " ".join(new.text.split())[: Conversation.TEXT_LENGTH]
            if new.kind:
                until = new.at + window_length("message")
                row.window_until = max(until, row.window_until or until)
            since = max(filter(None, (row.ended_at, answered.get(pk))), default=None)
            waits = [
                at for at in unanswered.get((account_id, openid), ()) if since is None or at > since
            ]
            row.waiting_since = min(waits, default=None)
            row.is_done = row.is_done and not waits
            rows.append((pk, account_id, *_columns(row)))
        if rows:
            _write_statement().execute(connection, rows)


_KEPT = ("last_at", "last_kind", "last_text", "waiting_since", "window_until", "is_done")
_columns = attrgetter(*_KEPT)


@functools.cache
def _write_statement() -> Upsert:
    """The statement that writes conversations, in a third of the ORM's time."""
    return Upsert(
        Conversation,
        key=("subscriber_id",),
        values=("account_id", *_KEPT),
        update={name: f"excluded.{name}" for name in _KEPT},
    )


@functools.cache
def _followers() -> Lookup:
    return Lookup(
        Subscriber,
        key=("account_id", "openid"),
        columns=("id", "account_id", "openid", "erased_at"),
    )


def _words_of(found: Collection[Fact]) -> dict[int, str]:
    times = {fact.pk: fact.event_time for fact in found}
    rows = EventLog.objects.filter(
        pk__in=times,
        # Lets PostgreSQL read only the partitions that can have these events.
        event_time__gte=min(times.values()),
        event_time__lte=max(times.values()),
    ).only("pk", "raw", "mended")
    return {event.pk: words_in(event) for event in rows}


def _last_messages(people: Collection[int]) -> dict[int, datetime.datetime]:
    """For each follower, when the last message to them that did not fail was written."""
    since = timezone.now() - window_length("message")
    rows = OutgoingMessage.objects.filter(subscriber__in=people, created_at__gt=since)
    sent = rows.exclude(state=OutgoingMessage.State.FAILED).order_by("created_at")
    return dict(sent.values_list("subscriber_id", "created_at"))


def _unanswered(people: Iterable[_Person]) -> dict[_Person, list[datetime.datetime]]:
    """The times of each follower's unanswered messages, as far back as a message window lasts."""
    rows = UnansweredEvent.objects.filter(
        event_time__gt=timezone.now() - window_length("message"),
        openid__in=[openid for _, openid in people],
        kind__in=MESSAGE_KINDS,
    )
    times: dict[_Person, list[datetime.datetime]] = {}
    for account_id, openid, at in rows.values_list("account_id", "openid", "event_time"):
        times.setdefault((account_id, openid), []).append(at)
    return times


@on_erasure
def empty_conversation(account_id: int, openid: str, pseudonym: str) -> None:
    """Removes what an erased person wrote, and what colleagues noted about the person."""
    names = (openid, pseudonym)
    rows = Conversation.objects.filter(subscriber__account=account_id, subscriber__openid__in=names)
    for row in rows.select_for_update(of=("self",)):
        row.notes.all().delete()
        row.last_text, row.waiting_since, row.window_until, row.is_done = "", None, None, True
        row.save()
