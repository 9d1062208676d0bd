"""What became of the people who followed by each QR code: one statement over the roll-ups."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import connection
from django.utils import timezone

from subscribers.models import Binding, FollowingInterval, SceneAct, Subscriber

__all__ = ["LATER", "SceneResult", "results_of_scenes"]

# How a time some days later is written, so that it compares with a stored one.
LATER = {
    "postgresql": "{column} + INTERVAL '{days} days'",
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%S', {column}, '+{days} days')",
}


@dataclass(frozen=True, slots=True)
class SceneResult:
    """Numbers of the people who followed by one code; see SceneRow."""

    follows: int
    first_followers: int
    still_following: int
    bound: int
    retained: dict[int, int]
    due: dict[int, int]

    @classmethod
    def nothing(cls, days: Sequence[int]) -> SceneResult:
        return cls(0, 0, 0, 0, dict.fromkeys(days, 0), dict.fromkeys(days, 0))


def results_of_scenes(
    account_id: int, begin: datetime.datetime, end: datetime.datetime, days: Sequence[int]
) -> Mapping[str, SceneResult]:
    """By scene, what became of those who followed by it from `begin` to before `end`."""
    tables = {
        name: connection.ops.quote_name(model._meta.db_table)
        for name, model in (
            ("act", SceneAct),
            ("interval", FollowingInterval),
            ("subscriber", Subscriber),
            ("binding", Binding),
        )
    }
    now = timezone.now()
    retained, parameters = [], []
    for number in days:
        later = LATER[connection.vendor].format(column="followed.at", days=int(number))
        is_due = "followed.at <= %s"
        stays = (
            f"spell.started_at IS NOT NULL AND (spell.ended_at IS NULL OR spell.ended_at > {later})"
        )
        retained += [
            f"SUM(CASE WHEN {is_due} AND {stays} THEN 1 ELSE 0 END)",
            f"SUM(CASE WHEN {is_due} THEN 1 ELSE 0 END)",
        ]
        limit = connection.ops.adapt_datetimefield_value(now - datetime.timedelta(days=number))
        parameters += [limit, limit]
    columns = "".join(f", {expression}" for expression in retained)
    span = [connection.ops.adapt_datetimefield_value(moment) for moment in (begin, end)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH followed AS (
                SELECT scene, openid, MIN(at) AS at, COUNT(*) AS follows
                FROM {tables["act"]}
                WHERE account_id = %s AND at >= %s AND at < %s AND is_follow
                GROUP BY scene, openid
            )
            SELECT followed.scene, SUM(followed.follows),
                SUM(CASE WHEN person.first_followed_at = followed.at THEN 1 ELSE 0 END),
                SUM(CASE WHEN person.is_following THEN 1 ELSE 0 END),
                COUNT(binding.id){columns}
            FROM followed
            LEFT JOIN {tables["subscriber"]} AS person
                ON person.account_id = %s AND person.openid = followed.openid
            LEFT JOIN {tables["interval"]} AS spell
                ON spell.account_id = %s AND spell.openid = followed.openid
                AND spell.started_at <= followed.at
                AND (spell.ended_at IS NULL OR spell.ended_at > followed.at)
            LEFT JOIN {tables["binding"]} AS binding
                ON binding.subscriber_id = person.id AND binding.unbound_at IS NULL
            GROUP BY followed.scene
            """,
            [account_id, *span, *parameters, account_id, account_id],
        )
        rows = cursor.fetchall()
    return {
        scene: SceneResult(
            int(follows),
            int(first),
            int(still),
            int(bound),
            {number: int(rest[2 * place]) for place, number in enumerate(days)},
            {number: int(rest[2 * place + 1]) for place, number in enumerate(days)},
        )
        for scene, follows, first, still, bound, *rest in rows
    }
