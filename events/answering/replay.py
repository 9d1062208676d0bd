"""Shows how given rules would answer past messages and taps, and what answered them really."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from events.answering.answer import incoming_of
from events.answering.people_slot import followers_of
from events.models import EventLog, OfficialAccount, RuleHit
from events.rules.data import EVENT_KINDS, Rule
from events.rules.decide import NeedsFollower, RuleSet

__all__ = ["MOST", "Replay", "Replayed", "replay"]

DAYS = 7
# The most events to decide again; each takes a fraction of a millisecond.
MOST = 2000
_SHOWN = 200
_KINDS = tuple(dict.fromkeys(kind for kinds in EVENT_KINDS.values() for kind in kinds))


@dataclass(frozen=True, slots=True)
class Replayed:
    """Events with the same text: the rule that answered them, and the one that would; 0 is none."""

    kind: str
    said: str
    former: int
    now: int
    events: int
    last_at: datetime.datetime

    @property
    def is_changed(self) -> bool:
        return self.former != self.now


@dataclass(frozen=True, slots=True)
class Replay:
    """The result: changed rows first, then frequent ones; `events` and `changed` count events."""

    rows: list[Replayed]
    events: int
    changed: int
    is_all: bool


def replay(account: OfficialAccount, rules: Sequence[Rule]) -> Replay:
    """Decides the account's events of the last seven days again, at most the newest two thousand.

    It decides each event at the event's time, but with today's tags, remark and binding. It leaves
    out scans that bind, because no rule answers them.
    """
    since = timezone.now() - datetime.timedelta(days=DAYS)
    rows = EventLog.objects.filter(
        account=account.pk, kind__in=_KINDS, event_time__gte=since, source=EventLog.Source.CALLBACK
    ).exclude(status__in=[EventLog.Status.QUARANTINED, EventLog.Status.UNREADABLE])
    events = list(rows.order_by("-event_time", "-pk")[: MOST + 1])
    is_all = len(events) <= MOST
    events = [event for event in events[:MOST] if not event.is_binding_scan]
    former = dict(
        RuleHit.objects.filter(event_id__in=[event.pk for event in events]).values_list(
            "event_id", "rule_id"
        )
    )
    for event in events:
        event.account = account
    winners = _winners(RuleSet(rules), events)
    groups: dict[tuple[str, str, int, int], list[EventLog]] = {}
    for event in events:
        key = (event.kind, _said(event), former.get(event.pk, 0), winners.get(event.pk, 0))
        groups.setdefault(key, []).append(event)
    found = [
        Replayed(*key, events=len(same), last_at=same[0].event_time) for key, same in groups.items()
    ]
    found.sort(key=lambda row: (not row.is_changed, -row.events, row.said))
    changed = sum(row.events for row in found if row.is_changed)
    return Replay(found[:_SHOWN], len(events), changed, is_all)


def _winners(rules: RuleSet, events: Sequence[EventLog]) -> dict[int, int]:
    """Returns the id of the rule that wins each event, by the events' ids.

    It reads all followers at once, but only those on whom a decision depends.
    """
    won: dict[int, Rule | None] = {}
    open_ones = []
    for event in events:
        try:
            won[event.pk] = rules.winner(incoming_of(event), None)
        except NeedsFollower:
            open_ones.append(event)
    for event, follower in zip(open_ones, followers_of(open_ones), strict=True):
        won[event.pk] = rules.winner(incoming_of(event), follower)
    return {pk: rule.id for pk, rule in won.items() if rule is not None}


def _said(event: EventLog) -> str:
    incoming = incoming_of(event)
    return " ".join(event.masked(incoming.text or incoming.key).split())[:100]
