"""Computes followers' state again from the log, to compare it with the rows or to correct them.

Removed rows leave carried-over state behind (`carried_over`); below, "the log says" means both.
Retention moves rows from one to the other in one transaction, so both must be read at one moment.
The fold here is the Python of subscribers.fold.rules; live traffic uses the SQL beside it. A
follower is never deleted, because bindings refer to the row and it has the profile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from events.db.consistent_read import read_snapshot
from events.models import EventLog
from subscribers.fold.rules import STATE_COLUMNS, STATE_KINDS, State, combine, state_of
from subscribers.models import CarriedOverState, Subscriber
from subscribers.models.clock import CHANGED_NOW

__all__ = ["Difference", "compare", "rebuild"]

_BATCH = 500
# The columns that state_of reads. The body is none of them, so an emptied body changes no state.
_FOLD_INPUTS = (
    *("account_id", "openid", "kind", "event_time", "scene", "dedup_key", "followed_at"),
)

_Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """A fold column of one follower that differs from what the log says."""

    account_id: int
    openid: str
    column: str
    stored: object
    folded: object

    def __str__(self) -> str:
        return (
            f"account {self.account_id}, {self.openid}: {self.column} is {self.stored!r}, "
            f"the log says {self.folded!r}"
        )


def compare() -> Iterator[Difference]:
    """The differences between the stored state and the log, both read at one moment."""
    with read_snapshot(_hold_partitions):
        for batch in _batches(Subscriber.objects.order_by("pk").iterator(chunk_size=_BATCH)):
            folded = _fold(batch)
            for subscriber in batch:
                yield from _differences(subscriber, folded[_key(subscriber)])
        for batch in _batches(_missing()):
            states = _fold(batch)
            for missing in batch:
                yield Difference(*_key(missing), "row", None, states[_key(missing)])


def rebuild() -> int:
    """Sets every fold column to what the log says; returns how many followers changed.

    It locks a follower's row before it reads the events. So a fold at the same time either has
    committed and is read, or waits and adds to the new state.
    """
    changed = 0
    # Keeps only keys: they can be many, and finding them reads the whole log.
    missing = sorted(_key(subscriber) for subscriber in _missing())
    for keys in _batches(missing):
        Subscriber.objects.bulk_create(
            [_empty(account_id, openid) for account_id, openid in keys], ignore_conflicts=True
        )
    last_pk = 0
    while ids := list(
        Subscriber.objects.filter(pk__gt=last_pk)
        .order_by("pk")
        .values_list("pk", flat=True)[:_BATCH]
    ):
        last_pk = ids[-1]
        with transaction.atomic():
            _hold_carried_over()
            batch = list(Subscriber.objects.select_for_update().filter(pk__in=ids).in_order())
            folded = _fold(batch)
            for subscriber in batch:
                state = folded[_key(subscriber)]
                if subscriber.state != state:
                    Subscriber.objects.filter(pk=subscriber.pk).update(
                        updated_at=CHANGED_NOW,
                        **state.columns(),
                    )
                    changed += 1
    return changed


def _key(subscriber: Subscriber) -> _Key:
    return subscriber.account_id, subscriber.openid


def _fold(subscribers: Iterable[Subscriber]) -> defaultdict[_Key, State]:
    """What the log says of these followers; State() for a follower whom it does not know."""
    wanted = {_key(subscriber) for subscriber in subscribers}
    openids = {openid for _, openid in wanted}
    states: defaultdict[_Key, State] = defaultdict(State)
    for carried in CarriedOverState.objects.filter(openid__in=openids):
        states[carried.account_id, carried.openid] = carried.state
    events = (
        EventLog.objects.not_carried_over()
        .filter(openid__in=openids, kind__in=STATE_KINDS)
        .exclude(openid="")  # lets SQLite use the partial index on openid
        .only(*_FOLD_INPUTS)
    )
    for event in events.iterator(chunk_size=2000):
        key = (event.account_id, event.openid)
        state = state_of(event)
        if key in wanted and state is not None:
            states[key] = combine(states[key], state)
    return states


def _missing() -> Iterator[Subscriber]:
    """Unsaved rows for followers who are in the log but have no row."""
    has_row = Subscriber.objects.filter(account=OuterRef("account"), openid=OuterRef("openid"))
    removed = CarriedOverState.objects.filter(~Exists(has_row)).values_list("account_id", "openid")
    orphans = (
        EventLog.objects.not_carried_over()
        .filter(~Exists(has_row), kind__in=STATE_KINDS)
        .exclude(openid="")
        .values_list("account_id", "openid")
        .union(removed)
        .order_by("account_id", "openid")
    )
    for account_id, openid in orphans.iterator(chunk_size=_BATCH):
        yield _empty(account_id, openid)


def _empty(account_id: int, openid: str) -> Subscriber:
    return Subscriber(account_id=account_id, openid=openid, updated_at=timezone.now())


def _hold_partitions() -> None:
    """Prevents the removal of partitions until the transaction ends.

    A removed partition is gone at once, even for older snapshots. So call this before the
    transaction takes its snapshot.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {EventLog._meta.db_table} IN ACCESS SHARE MODE")


def _hold_carried_over() -> None:
    """Prevents retention from moving rows out of the log until the transaction ends.

    Retention adds to the carried-over state first, then deletes. This call waits for it, so it must
    come before any lock that a callback may need.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {CarriedOverState._meta.db_table} IN SHARE MODE")


def _differences(subscriber: Subscriber, folded: State) -> Iterator[Difference]:
    account_id, openid = _key(subscriber)
    for name in STATE_COLUMNS:
        stored, expected = getattr(subscriber, name), getattr(folded, name)
        if stored != expected:
            yield Difference(account_id, openid, name, stored, expected)
    if subscriber.is_following != folded.is_following:
        yield Difference(
            account_id, openid, "is_following", subscriber.is_following, folded.is_following
        )


_T = TypeVar("_T")


def _batches(items: Iterable[_T]) -> Iterator[list[_T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
