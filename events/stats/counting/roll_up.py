"""Brings the statistics up to date with the log. The worker does this every few seconds.

One transaction for each batch counts rows of the settled range of ids (events/log/settled.py), and
stores the id up to which all rows are counted. So a killed worker counts nothing twice, and the
cost depends only on new rows. `OpenEvent` keeps each counted event whose outcome is open. The
worker checks it again, less and less often, until it has an outcome.
"""

from __future__ import annotations

import datetime
import functools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from django.db import connection
from django.db.models import Max, Min
from django.utils import timezone

from events.db.transactions import short_transaction
from events.db.upsert import Upsert
from events.log.settled import Unsettled, settled_upper_bound
from events.models import (
    AccountStatistics,
    EventLog,
    OfficialAccount,
    OpenEvent,
    StatisticsProgress,
)
from events.models.event_log import EventLogQuerySet
from events.stats.changes import Batch, Change, count_changes
from events.stats.counting import counts, health, unanswered  # noqa: F401  (registers the counters)
from events.stats.facts import NOT_COUNTED, Counted, Fact, facts

__all__ = [
    "batch_of",
    "catch_up",
    "counted_before",
    "extent",
    "held_progress",
    "look_again",
    "roll_up",
    "states_of_accounts",
]

# Rows in one transaction. In a larger batch more rows share a person, an hour and a key. A
# transaction takes a second; on SQLite a fifth of that, because pushes wait meanwhile.
_BATCHES = {"postgresql": 10_000, "sqlite": 2000}
# Seconds to wait for a lock, long enough to let callbacks go first.
_LOCK_TIMEOUT = 10
# Seconds after which the task ends, so that others run.
_SLICE = 20
# How often repetitions are counted, and for how old pushes: WeChat repeats within seconds.
_REPEATS_EVERY = datetime.timedelta(minutes=1)
_REPEATS_OF = datetime.timedelta(hours=2)
# The shortest and the longest pause between two checks of an open event.
_SOONEST, _LATEST = datetime.timedelta(seconds=5), datetime.timedelta(hours=1)


def roll_up(*, until: float | None = None) -> int:
    """Counts new and changed rows; returns how many.

    It begins no further batch after `until` (a time.monotonic()), by default after 20 seconds.
    """
    until = time.monotonic() + _SLICE if until is None else until
    try:
        bound = settled_upper_bound()
    except Unsettled:
        return 0
    served = 0
    while True:
        rows = _next_facts(StatisticsProgress.objects.first() or StatisticsProgress(), bound)
        # A batch that a slow database could not count in time would stop the statistics for ever.
        with short_transaction(_LOCK_TIMEOUT, statements_are_limited=False):
            taken, is_last = _take(rows, bound)
        served += taken
        if is_last or time.monotonic() > until:
            return served


def catch_up(highest: int) -> None:
    """Counts every row up to that id, in the caller's transaction.

    Raises Unsettled if a transaction writes to the log for too long.
    """
    if held_progress().last_id >= highest:
        return
    bound = settled_upper_bound()
    is_last = False
    while not is_last:
        _, is_last = _take(_next_facts(held_progress(), bound), bound)


def held_progress() -> StatisticsProgress:
    """Returns the row of the progress, locked until the end of the transaction."""
    found = StatisticsProgress.objects.select_for_update().first()
    if found is None:
        StatisticsProgress.objects.bulk_create([StatisticsProgress(pk=1)], ignore_conflicts=True)
        found = StatisticsProgress.objects.select_for_update().get()
    return found


def states_of_accounts() -> dict[int, AccountStatistics]:
    """Returns the rows of AccountStatistics by account id; makes those of new accounts."""
    states = {state.account_id: state for state in AccountStatistics.objects.all()}
    new = OfficialAccount.objects.exclude(pk__in=states).values_list("pk", "time_zone")
    made = [AccountStatistics(account_id=pk, time_zone=time_zone) for pk, time_zone in new]
    if made:
        AccountStatistics.objects.bulk_create(made, ignore_conflicts=True)
        states |= {
            state.account_id: state
            for state in AccountStatistics.objects.filter(
                account__in=[state.account_id for state in made]
            )
        }
    return states


def batch_of(
    changes: Sequence[Change], counted_to: int, states: Mapping[int, AccountStatistics]
) -> Batch:
    """Makes a batch of changes with the zones and limits of their accounts' statistics."""
    return Batch(
        changes=changes,
        counted_to=counted_to,
        zones={pk: state.zone for pk, state in states.items()},
        seen_since={pk: state.seen_since for pk, state in states.items() if state.seen_since},
        frozen_before={
            pk: state.frozen_before for pk, state in states.items() if state.frozen_before
        },
    )


def look_again(opened: Sequence[OpenEvent], now: datetime.datetime) -> list[Change]:
    """Returns the changes of open events; forgets those that are final or left the log."""
    if not opened:
        return []
    by_pk = {row.event_id: row for row in opened}
    times = [row.event_time for row in opened]
    rows = EventLog.objects.filter(
        pk__in=by_pk, event_time__gte=min(times), event_time__lte=max(times)
    )
    found = {fact.pk: fact for fact in facts(rows)}
    over = [pk for pk in by_pk if pk not in found or found[pk].counted.is_final]
    OpenEvent.objects.filter(pk__in=over).delete()
    changes = []
    for pk, fact in found.items():
        row = by_pk[pk]
        before = counted_before(row, fact.counted)
        if fact.counted != before:
            changes.append(Change(fact, before))
    _keep_open(found.values(), now)
    return changes


def counted_before(row: OpenEvent, now: Counted) -> Counted:
    """Returns how an open event was counted; the time that an answer took never changes."""
    waited_ms = now.waited_ms if row.outcome == now.outcome else 0
    return Counted(row.status, row.is_folded, row.outcome, waited_ms, now.is_open)


def _next_facts(progress: StatisticsProgress, bound: int) -> tuple[StatisticsProgress, list[Fact]]:
    """Reads the rows to count next; returns them and the progress to which they belong.

    It reads before the transaction begins, because on SQLite a transaction blocks all writers.
    """
    rows = EventLog.objects.filter(pk__gt=progress.last_id, pk__lte=bound).order_by("pk")
    return progress, list(facts(rows[: _BATCHES[connection.vendor]]))


def _take(read: tuple[StatisticsProgress, Sequence[Fact]], bound: int) -> tuple[int, bool]:
    """Counts rows and open events; returns how many, and whether no row up to `bound` is left.

    It counts nothing if another process has counted these rows meanwhile, or has renamed a person.
    """
    before, found = read
    progress = held_progress()
    if (progress.last_id, progress.turn) != (before.last_id, before.turn):
        return 0, progress.last_id >= bound
    last_id = progress.last_id
    now = timezone.now()
    states = states_of_accounts()
    most = _BATCHES[connection.vendor]
    is_last = len(found) < most
    due = OpenEvent.objects.filter(look_again_at__lte=now).order_by("look_again_at")
    batch = batch_of(
        [
            *(Change(fact, NOT_COUNTED) for fact in found if _is_counted(fact, states)),
            *(
                change
                for change in look_again(list(due[:most]), now)
                if _is_counted(change.fact, states)
            ),
        ],
        last_id,
        states,
    )
    count_changes(batch)
    _keep_open(found, now)
    progress.last_id = bound if is_last else found[-1].pk
    progress.turn += 1
    if is_last and (progress.repeats_until is None or progress.repeats_until <= now):
        since = (now - _REPEATS_OF).replace(minute=0, second=0, microsecond=0)
        health.count_repeats(since, progress.last_id, batch.zones)
        progress.repeats_until = now + _REPEATS_EVERY
    progress.save()
    return len(batch.changes), is_last


def _is_counted(fact: Fact, states: dict[int, AccountStatistics]) -> bool:
    """Whether a row belongs to a time whose numbers may still change."""
    frozen_before = states[fact.account_id].frozen_before
    return frozen_before is None or fact.event_time >= frozen_before or not fact.counted.is_event


def _keep_open(found: Iterable[Fact], now: datetime.datetime) -> None:
    """Stores in OpenEvent how events were counted whose outcome can still change."""
    still_open = []
    for fact in found:
        counted = fact.counted
        if counted.is_final:
            continue
        pause = min(max((now - fact.received_at) / 10, _SOONEST), _LATEST)
        shown = (counted.status, counted.is_folded, counted.outcome, now + pause)
        still_open.append((fact.pk, fact.event_time, *shown))
    if still_open:
        _open_event_upsert().execute(connection, sorted(still_open))


@functools.cache
def _open_event_upsert() -> Upsert:
    names = ("status", "is_folded", "outcome", "look_again_at")
    return Upsert(
        OpenEvent,
        key=("event_id",),
        values=("event_time", *names),
        update={name: f"excluded.{name}" for name in names},
    )


def extent(rows: EventLogQuerySet) -> Iterator[tuple[int, datetime.datetime, datetime.datetime]]:
    """Yields each account of these rows, with the times of its first and last event."""
    dated = rows.exclude(status__in=[EventLog.Status.UNREADABLE, EventLog.Status.QUARANTINED])
    found = dated.order_by().values_list("account_id")
    yield from found.annotate(first=Min("event_time"), last=Max("event_time"))
