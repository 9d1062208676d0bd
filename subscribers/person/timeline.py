"""The latest acts of one person and of a company's accounts, in one timeline."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from events.kinds import label
from events.models import EventLog
from subscribers.messages.conversation import Utterance, conversation_with
from subscribers.messages.window import ACT_KINDS
from subscribers.models import Binding, Subscriber

__all__ = ["Moment", "timeline"]

# The moments read for each follower and each part; the page shows the latest of them all.
_READ_OF_EACH = 20
_SHOWN = 100

Part = Literal["words", "events", "bindings"]


@dataclass(frozen=True, slots=True)
class Moment:
    """What happened under one account: something said, an event, or a binding's start or end."""

    subscriber: Subscriber
    at: datetime.datetime
    said: Utterance | None = None
    event: EventLog | None = None
    binding: Binding | None = None

    @property
    def act(self) -> str:
        return label(self.event.kind) if self.event is not None else ""

    @property
    def ends_binding(self) -> bool:
        return self.binding is not None and self.binding.unbound_at == self.at


def timeline(followers: Iterable[Subscriber], parts: frozenset[Part]) -> list[Moment]:
    """The latest moments of these followers, newest first.

    The part `words` has messages and the acts that open a window, `events` has all other events.
    Without `words`, `events` has all events.
    """
    moments = [moment for each in followers for moment in _moments(each, parts)]
    return sorted(moments, key=lambda moment: moment.at, reverse=True)[:_SHOWN]


def _moments(subscriber: Subscriber, parts: frozenset[Part]) -> Iterator[Moment]:
    if "words" in parts:
        for said in conversation_with(subscriber, length=_READ_OF_EACH):
            yield Moment(subscriber, said.at, said=said)
    if "events" in parts:
        events = EventLog.objects.with_openid(subscriber.openid).filter(
            account=subscriber.account_id
        )
        if "words" in parts:
            events = events.exclude(kind__in=ACT_KINDS)
        for event in events.newest_first()[:_READ_OF_EACH]:
            yield Moment(subscriber, event.event_time, event=event)
    if "bindings" in parts:
        bindings = subscriber.bindings.select_related("user").order_by("-bound_at")
        for binding in bindings[:_READ_OF_EACH]:
            yield Moment(subscriber, binding.bound_at, binding=binding)
            if binding.unbound_at is not None:
                yield Moment(subscriber, binding.unbound_at, binding=binding)
