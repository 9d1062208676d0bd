"""The worker's entry to statistics: counts new events, then changed bindings and ways."""

from __future__ import annotations

import zoneinfo

from django.db import transaction

from events.log.settled import Unsettled, settled_sequence
from events.models import RowChange
from events.stats import update
from events.stats.counting.roll_up import held_progress, states_of_accounts
from subscribers.models import Binding, SceneAct, SourceProgress, Subscriber
from subscribers.stats.counting.growth import Person
from subscribers.stats.counting.source_days import recount_days, refresh

__all__ = ["count_changed_people", "update_statistics"]

_BATCH = 500


def update_statistics() -> int:
    """Counts new events and changed people; returns how many."""
    return update.update_statistics() + count_changed_people()


def count_changed_people() -> int:
    """Counts the sources anew for people whose binding or way of following changed.

    Triggers note such changes (`RowChange`). Returns how many people were counted.
    """
    if not SourceProgress.objects.exists():
        _begin()
    try:
        settled = {type_: settled_sequence(type_) for type_ in ("binding", "way")}
    except Unsettled:
        return 0
    counted = 0
    while some := _count_some(settled):
        counted += some
    return counted


def _count_some(settled: dict[str, int]) -> int:
    mark = SourceProgress.objects.get()
    found = {
        type_: list(
            RowChange.objects.filter(
                type=type_, seq__gt=getattr(mark, type_), seq__lte=settled[type_]
            )
            .order_by("seq")
            .values_list("seq", "object_id")[:_BATCH]
        )
        for type_ in settled
    }
    if not any(found.values()):
        return 0
    with transaction.atomic():
        held_progress()
        bound = Binding.objects.filter(pk__in=[pk for _, pk in found["binding"]])
        known = Subscriber.objects.filter(pk__in=[pk for _, pk in found["way"]])
        people: set[Person] = {
            *bound.values_list("account_id", "subscriber__openid"),
            *known.values_list("account_id", "openid"),
        }
        refresh(people, _zones())
        mark = SourceProgress.objects.get()
        for type_, rows in found.items():
            if rows:
                setattr(mark, type_, max(getattr(mark, type_), rows[-1][0]))
        mark.save()
    return len(people)


def _begin() -> None:
    """Counts all acts that were stored before the table SourceDay existed."""
    with transaction.atomic():
        held_progress()
        zones = _zones()
        for account_id, zone in zones.items():
            recount_days(account_id, zone)
        people = Subscriber.objects.filter(account__in=zones, last_followed_at__isnull=False)
        known = set(people.values_list("account_id", "openid"))
        known |= set(SceneAct.objects.filter(account__in=zones).values_list("account_id", "openid"))
        some = sorted(known)
        for place in range(0, len(some), _BATCH):
            refresh(some[place : place + _BATCH], zones)
        SourceProgress.objects.create(pk=1)


def _zones() -> dict[int, zoneinfo.ZoneInfo]:
    return {pk: state.zone for pk, state in states_of_accounts().items()}
