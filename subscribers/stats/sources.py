"""By what people came to follow in some days, and how many of them stayed.

A follow's source is its QR code, or the way that WeChat tells of the person's last follow
(subscribe_scene). Of an earlier follow without a code WeChat tells nothing: its source is unknown.
The follows of all sources together are the follows of the log.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from events.db.cached_count import cached_count
from events.models import PeriodCount
from events.stats.overview import Days
from events.stats.periods import Period
from events.stats.series import FOLLOW
from subscribers.models import FollowingInterval, SceneAct, Subscriber
from subscribers.stats.queries import RETENTION_DAYS
from subscribers.stats.scene_results import LATER

__all__ = ["Source", "sources"]

# What became of one follow takes as long to find as so many rows take to count.
_ROWS_OF_ONE = 10


@dataclass(slots=True)
class Source:
    """One source: a QR code's `scene`, else the `way` in WeChat's word, both "" if unknown.

    `came` are the follows of the days, `came_before` those of as many days before. The people of
    these follows whose time is known still follow (`still_following`), or followed after a number
    of days (`retained`) of all who followed at least so long ago (`due`).
    """

    account_id: int
    scene: str
    way: str
    came: int = 0
    still_following: int = 0
    retained: dict[int, int] = field(default_factory=dict)
    due: dict[int, int] = field(default_factory=dict)
    came_before: int = 0


def sources(days: Days, *, retention_days: Sequence[int] = RETENTION_DAYS) -> list[Source]:
    """The sources of these days and as many before, the largest first.

    What became of many people takes long to find, so it is kept for a while.
    """
    if not days.accounts:
        return []
    return cached_count(
        f"sources {days.name} {retention_days}",
        lambda: _sources(days, retention_days),
        rows=lambda rows: _ROWS_OF_ONE * sum(row.came + row.came_before for row in rows),
    )


def _sources(days: Days, retention_days: Sequence[int]) -> list[Source]:
    zeros = dict.fromkeys(retention_days, 0)
    found = {}
    for key, (came, still, *numbers) in _known(days, _fates(retention_days)).items():
        retained = dict(zip(retention_days, numbers[::2], strict=True))
        due = dict(zip(retention_days, numbers[1::2], strict=True))
        found[key] = Source(*key, came, still, retained, due)
    for key, (came,) in _known(days.before, _COUNT).items():
        found.setdefault(
            key, Source(*key, retained=dict(zeros), due=dict(zeros))
        ).came_before = came
    known: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    for row in found.values():
        known[row.account_id][0] += row.came
        known[row.account_id][1] += row.came_before
    for account_id, came, past in _follows(days):
        key = account_id, "", ""
        unknown = found.setdefault(key, Source(*key, retained=dict(zeros), due=dict(zeros)))
        unknown.came += max(0, came - known[account_id][0])
        unknown.came_before += max(0, past - known[account_id][1])
    rows = [row for row in found.values() if row.came or row.came_before]
    return sorted(rows, key=lambda row: (-row.came, -row.came_before, row.scene, row.way))


def _follows(days: Days) -> Iterable[tuple[int, int, int]]:
    """All follows of each account, in these days and in as many before."""
    now, before = (each.within("series__account", "start") for each in (days, days.before))
    rows = PeriodCount.objects.filter(
        now | before, series__kind=FOLLOW, series__key="", period=Period.DAY.code
    )
    return (
        rows.order_by()
        .values_list("series__account")
        .annotate(
            came=Sum("events", filter=now, default=0),
            past=Sum("events", filter=before, default=0),
        )
    )


_Columns = tuple[Sequence[str], Sequence[Any], str]
_COUNT: _Columns = (["COUNT(*)"], [], "")


def _fates(retention_days: Sequence[int]) -> _Columns:
    """Columns for what became of the follows, their parameters, and the join that they need."""
    columns = [
        "COUNT(*)",
        "SUM(CASE WHEN spell.id > 0 AND spell.ended_at IS NULL THEN 1 ELSE 0 END)",
    ]
    parameters: list[Any] = []
    for number in retention_days:
        later = LATER[connection.vendor].format(column="followed.at", days=int(number))
        limit = _stored(timezone.now() - datetime.timedelta(days=number))
        stays = f"spell.id > 0 AND (spell.ended_at IS NULL OR spell.ended_at > {later})"
        columns += [
            f"SUM(CASE WHEN followed.at <= %s AND {stays} THEN 1 ELSE 0 END)",
            "SUM(CASE WHEN followed.at <= %s THEN 1 ELSE 0 END)",
        ]
        parameters += [limit, limit]
    spell = connection.ops.quote_name(FollowingInterval._meta.db_table)
    join = f"""
        LEFT JOIN {spell} AS spell
            ON spell.account_id = followed.account_id AND spell.openid = followed.openid
            AND spell.started_at <= followed.at
            AND (spell.ended_at IS NULL OR spell.ended_at > followed.at)
    """
    return columns, parameters, join


def _known(days: Days, wanted: _Columns) -> dict[tuple[int, str, str], list[int]]:
    """By source, what is known of follows with a code and of each person's last follow."""
    columns, parameters, join = wanted
    act, person = (
        connection.ops.quote_name(model._meta.db_table) for model in (SceneAct, Subscriber)
    )
    by_code, given = _within(days, "act.account_id", "act.at")
    by_way, _given = _within(days, "person.account_id", "person.last_followed_at")
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT followed.account_id, followed.scene, followed.way, {", ".join(columns)}
            FROM (
                SELECT act.account_id, act.openid, act.scene, '' AS way, act.at
                FROM {act} AS act WHERE act.is_follow AND {by_code}
                UNION ALL
                SELECT person.account_id, person.openid, '' AS scene,
                    person.subscribe_scene AS way, person.last_followed_at AS at
                FROM {person} AS person
                WHERE {by_way} AND NOT EXISTS (
                    SELECT 1 FROM {act} AS act
                    WHERE act.openid = person.openid AND act.account_id = person.account_id
                        AND act.at = person.last_followed_at AND act.is_follow
                )
            ) AS followed {join}
            GROUP BY 1, 2, 3
            """,
            [*parameters, *given, *given],
        )
        return {
            (account_id, scene, way): [int(number) for number in numbers]
            for account_id, scene, way, *numbers in cursor.fetchall()
        }


def _within(days: Days, account: str, column: str) -> tuple[str, list[Any]]:
    """The condition that a time is in these days, and its parameters."""
    conditions: list[str] = []
    parameters: list[Any] = []
    for name, ids in days.by_zone.items():
        places = ", ".join(["%s"] * len(ids))
        conditions.append(f"({account} IN ({places}) AND {column} >= %s AND {column} < %s)")
        begin, end = days.bounds(zoneinfo.ZoneInfo(name))
        parameters += [*ids, _stored(begin), _stored(end)]
    return f"({' OR '.join(conditions)})", parameters


def _stored(moment: datetime.datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)
