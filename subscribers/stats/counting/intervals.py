"""Keeps the intervals in which each person followed up to date.

An event of the log states that a person followed, or had left, at a time. Such statements may come
in any order. Most change nothing, such as an act of somebody who followed at that time anyway. A
follow or unfollow that is later than everything else of a person opens or ends the last interval.
For all others, the person's statements are read from the log anew. At the same second, an unfollow
comes after a follow.
"""

from __future__ import annotations

import datetime
import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from django.db import connection

from events.db.lookup import Lookup
from events.kinds import Effect, kinds_where
from events.models import EventLog
from events.models.event_log.expressions import Unindexed
from events.stats.changes import Batch
from subscribers.models import Subscriber
from subscribers.stats.counting.growth import Interval, Person, stored_intervals, write_intervals

__all__ = ["TELLING_KINDS", "count_following", "intervals_of", "statements_of_log"]

_FOLLOWS = frozenset(kinds_where(lambda kind: kind.effect in (Effect.FOLLOW, Effect.SEEN)))
_FOUND = frozenset(kinds_where(lambda kind: kind.effect is Effect.FOUND_FOLLOWING))
_LEAVES = frozenset(kinds_where(lambda kind: kind.effect in (Effect.UNFOLLOW, Effect.FOUND_GONE)))
TELLING_KINDS = tuple(_FOLLOWS | _FOUND | _LEAVES)

# A time, and whether the person followed from then on.
Statement: TypeAlias = "tuple[datetime.datetime, bool]"


def count_following(batch: Batch) -> set[Person]:
    """Updates the intervals of a batch's people; returns the people whose intervals changed."""
    spoken: defaultdict[Person, list[Statement]] = defaultdict(list)
    for change in batch.changes:
        fact = change.fact
        is_news = fact.counted.is_folded and not change.before.is_folded
        if is_news and fact.openid and not fact.is_carried_over:
            statements = list(_statements(fact.kind, fact.event_time, fact.followed_at))
            if statements:
                spoken[fact.account_id, fact.openid] += statements
    if not spoken:
        return set()
    stored = stored_intervals(spoken)
    wanted = {
        person: statements
        for person, statements in spoken.items()
        if not all(_is_known(statement, stored[person]) for statement in statements)
    }
    bounds = _bounds(wanted)
    after: dict[Person, list[Interval]] = {}
    to_read = []
    for person, statements in wanted.items():
        intervals = _extended(stored[person], statements, bounds.get(person))
        if intervals is None:
            to_read.append(person)
        else:
            after[person] = intervals
    if to_read:
        known = statements_of_log(
            {person: stored[person] for person in to_read},
            counted_to=batch.counted_to,
            frozen_before=batch.frozen_before,
        )
        for person in to_read:
            after[person] = intervals_of([*known[person], *spoken[person]])
    write_intervals({person: stored[person] for person in after}, after, batch.zones)
    return {person for person, intervals in after.items() if stored[person] != list(intervals)}


def _statements(
    kind: str, at: datetime.datetime, followed_at: datetime.datetime | None
) -> Iterator[Statement]:
    if kind in _LEAVES:
        yield at, False
    elif kind in _FOLLOWS:
        yield at, True
    elif kind in _FOUND:
        # WeChat says when the last follow was. From then until the second in which we asked, the
        # person followed.
        yield at, True
        if followed_at is not None and followed_at < at:
            yield followed_at, True


def intervals_of(statements: Iterable[Statement]) -> list[Interval]:
    """The intervals that follow from statements, which may be in any order."""
    intervals: list[Interval] = []
    since: datetime.datetime | None = None
    # In the same second, an unfollow is sorted after a follow.
    for at, follows in sorted(statements, key=lambda statement: (statement[0], not statement[1])):
        if follows and since is None:
            since = at
        elif not follows and since is not None:
            if at > since:
                intervals.append((since, at))
            since = None
    if since is not None:
        intervals.append((since, None))
    return intervals


def _is_known(statement: Statement, intervals: Sequence[Interval]) -> bool:
    """Whether a statement changes none of the intervals, whatever other statements there are."""
    at, follows = statement
    if follows:
        return any(start <= at and (end is None or at <= end) for start, end in intervals)
    return any(at == end for _, end in intervals)


def _extended(
    intervals: Sequence[Interval],
    statements: Sequence[Statement],
    bounds: tuple[datetime.datetime | None, datetime.datetime | None] | None,
) -> list[Interval] | None:
    """Adds statements to the end of the intervals; None if they do not belong at the end.

    `bounds` are the last proof of following and the last unfollow of the person, counted or not.
    """
    if bounds is None:
        return None
    proof, unfollow = bounds
    result = list(intervals)
    for at, follows in sorted(statements, key=lambda statement: (statement[0], not statement[1])):
        if _is_known((at, follows), result):
            continue
        last = result[-1] if result else None
        if follows:
            is_last = last is None or (last[1] is not None and at > last[1])
            if not is_last or (unfollow is not None and unfollow >= at):
                return None
            result.append((at, None))
        else:
            if proof is not None and proof > at:
                return None
            if last is not None and last[1] is None:
                if at <= last[0]:
                    return None
                result[-1] = (last[0], at)
            elif last is not None and at <= (last[1] or at):
                return None
    return result


def _bounds(
    people: Iterable[Person],
) -> dict[Person, tuple[datetime.datetime | None, datetime.datetime | None]]:
    rows = _followers().execute(connection, people)
    return {
        (account_id, openid): (
            max((at for at in (followed, seen) if at is not None), default=None),
            unfollowed,
        )
        for account_id, openid, followed, seen, unfollowed in rows
    }


@functools.cache
def _followers() -> Lookup:
    return Lookup(
        Subscriber,
        key=("account_id", "openid"),
        columns=(
            *("account_id", "openid", "last_followed_at", "last_seen_at", "last_unfollowed_at"),
        ),
    )


def statements_of_log(
    people: Mapping[Person, Sequence[Interval]],
    *,
    counted_to: int,
    frozen_before: Mapping[int, datetime.datetime],
) -> defaultdict[Person, list[Statement]]:
    """The statements of the log about these people, up to the id `counted_to`.

    Where retention has removed rows, the statements come from the stored intervals.
    """
    told: defaultdict[Person, list[Statement]] = defaultdict(list)
    for person, intervals in people.items():
        frozen = frozen_before.get(person[0])
        if frozen is not None:
            for start, end in intervals:
                told[person] += [
                    (at, follows)
                    for at, follows in ((start, True), (end, False))
                    if at is not None and at < frozen
                ]
    # The query must not filter by account or by the indexed kind, or SQLite would walk through all
    # events of those.
    rows = (
        EventLog.objects.not_carried_over()
        .alias(plain_kind=Unindexed("kind"))
        .filter(openid__in={openid for _, openid in people}, pk__lte=counted_to)
        .filter(plain_kind__in=TELLING_KINDS)
        .exclude(openid="")  # lets SQLite use the partial index on openid
        .values_list("account_id", "openid", "kind", "event_time", "followed_at")
    )
    for account_id, openid, kind, at, followed_at in rows.iterator(chunk_size=2000):
        if (account_id, openid) in people:
            told[account_id, openid] += _statements(kind, at, followed_at)
    return told
