"""Counts how often each rule answered lately, and finds the rule that answered an event."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Max
from django.utils import timezone

from events.models import ReplyRule, RuleHit

__all__ = ["LATELY", "Hits", "hits_of", "rules_that_answered"]

LATELY = datetime.timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Hits:
    """The answers of the last seven days, and when the rule answered last."""

    lately: int = 0
    last_at: datetime.datetime | None = None


def hits_of(rule_ids: Iterable[int]) -> dict[int, Hits]:
    """Returns the hits by rule, without rules that never answered."""
    rows = RuleHit.objects.filter(rule_id__in=list(rule_ids))
    last = dict(rows.values_list("rule_id").annotate(last_at=Max("event_time")))
    since = timezone.now() - LATELY
    recent = rows.filter(event_time__gte=since)
    lately = dict(recent.values_list("rule_id").annotate(number=Count("pk")))
    return {pk: Hits(lately.get(pk, 0), last_at) for pk, last_at in last.items()}


def rules_that_answered(event_ids: Iterable[int]) -> dict[int, tuple[int, str]]:
    """Returns for each event its rule's id and present name; "" for a deleted rule."""
    hits = RuleHit.objects.filter(event_id__in=list(event_ids))
    by_event = dict(hits.values_list("event_id", "rule_id"))
    names = dict(ReplyRule.objects.filter(pk__in=by_event.values()).values_list("pk", "name"))
    return {event: (rule, names.get(rule, "")) for event, rule in by_event.items()}
