"""The fold of subscribers/fold/rules.py as SQL that both databases take.

Live traffic needs the expressions: they combine states inside the row's UPDATE, so no process has
to read a row before it writes. The statement for removed rows only saves time: it carries 17,000
events over in 0.7 to 1.4 s on SQLite, the fold in Python in 7.6 s.
"""

from __future__ import annotations

from events.db.upsert import FUNCTIONS
from events.kinds import Effect
from subscribers.fold.rules import STATE_COLUMNS

__all__ = ["FOLD_EXPRESSIONS", "REFRESH_REQUESTED_AT", "carry_over_statement"]


# On SQLite MAX() of two values is NULL if one of them is NULL; each COALESCE takes the other then.
def _extreme(function: str, name: str) -> str:
    return (
        f"{{{function}}}(COALESCE(old.{name}, excluded.{name}), "
        f"COALESCE(excluded.{name}, old.{name}))"
    )


def _scene_at(which: str, wins: str) -> dict[str, str]:
    better = (
        f"excluded.{which}_at IS NOT NULL AND (old.{which}_at IS NULL OR "
        f"(excluded.{which}_at, excluded.{which}_key) {wins} "
        f"(old.{which}_at, old.{which}_key))"
    )
    return {
        name: f"CASE WHEN {better} THEN excluded.{name} ELSE old.{name} END"
        for name in (which, f"{which}_at", f"{which}_key")
    }


_EXTREMES = {
    "first_followed_at": _extreme("least", "first_followed_at"),
    "last_followed_at": _extreme("greatest", "last_followed_at"),
    "last_unfollowed_at": _extreme("greatest", "last_unfollowed_at"),
    "last_seen_at": _extreme("greatest", "last_seen_at"),
}

# The new value of each State column when the row `old` is combined with `excluded`.
FOLD_EXPRESSIONS = (
    _EXTREMES
    | {
        name: f"old.{name} + excluded.{name}"
        for name in ("follow_count", "unfollow_count", "event_count")
    }
    | _scene_at("first_scene", "<")
    | _scene_at("last_scene", ">")
)

# If a proof of following and an unfollow have the same second, nobody knows their order: the
# profile is fetched from WeChat.
_LAST_PROOF = (
    f"{{greatest}}(COALESCE({_EXTREMES['last_followed_at']}, {_EXTREMES['last_seen_at']}), "
    f"COALESCE({_EXTREMES['last_seen_at']}, {_EXTREMES['last_followed_at']}))"
)
# A profile says how the last follow came about, so one from before that follow is fetched again.
REFRESH_REQUESTED_AT = (
    f"CASE WHEN {_EXTREMES['last_unfollowed_at']} = {_LAST_PROOF} "
    "OR excluded.last_followed_at > old.profile_synced_at "
    "THEN COALESCE(old.refresh_requested_at, excluded.updated_at) "
    "ELSE old.refresh_requested_at END"
)


def carry_over_statement(*, table: str, events: str, vendor: str) -> str:
    """The INSERT that adds many events to the carried-over state of their followers.

    `events` is a SELECT of account_id, openid, event_time, followed_at, dedup_key, effect (the name
    of an Effect in small letters) and counted_scene ("" for none).
    """
    columns = ", ".join(("account_id", "openid", *STATE_COLUMNS))
    assignments = ", ".join(
        f"{name} = {expression.format(**FUNCTIONS[vendor])}"
        for name, expression in FOLD_EXPRESSIONS.items()
    )

    def latest(*effects: Effect) -> str:
        return f"MAX(CASE WHEN {_is_of(*effects)} THEN event_time END)"

    def count(effect: Effect) -> str:
        return f"COUNT(CASE WHEN {_is_of(effect)} THEN 1 END)"

    first_followed_at = (
        f"MIN(CASE WHEN {_is_of(Effect.FOLLOW)} THEN event_time "
        f"WHEN {_is_of(Effect.FOUND_FOLLOWING)} THEN followed_at END)"
    )
    is_act = f"NOT {_is_of(Effect.FOUND_FOLLOWING, Effect.FOUND_GONE)}"
    # The first and last scene are those with the least and greatest (event_time, dedup_key).
    # SQLite needs WHERE before ON CONFLICT, or it reads ON as a part of the join.
    return f"""
        WITH spoken AS ({events}),
        totals AS (
            SELECT account_id, openid,
                {first_followed_at} AS first_followed_at,
                {latest(Effect.FOLLOW)} AS last_followed_at,
                {latest(Effect.UNFOLLOW, Effect.FOUND_GONE)} AS last_unfollowed_at,
                {latest(Effect.SEEN, Effect.FOUND_FOLLOWING)} AS last_seen_at,
                {count(Effect.FOLLOW)} AS follow_count,
                {count(Effect.UNFOLLOW)} AS unfollow_count,
                COUNT(CASE WHEN {is_act} THEN 1 END) AS event_count
            FROM spoken GROUP BY account_id, openid
        ),
        ranked AS (
            SELECT account_id, openid, counted_scene, event_time, dedup_key,
                ROW_NUMBER() OVER (
                    PARTITION BY account_id, openid ORDER BY event_time, dedup_key
                ) AS from_first,
                ROW_NUMBER() OVER (
                    PARTITION BY account_id, openid ORDER BY event_time DESC, dedup_key DESC
                ) AS from_last
            FROM spoken WHERE counted_scene <> '' AND {is_act}
        )
        INSERT INTO {table} AS old ({columns})
        SELECT totals.account_id, totals.openid, first_followed_at, last_followed_at,
            last_unfollowed_at, last_seen_at, follow_count, unfollow_count, event_count,
            COALESCE(earliest.counted_scene, ''), earliest.event_time,
            COALESCE(earliest.dedup_key, ''),
            COALESCE(latest.counted_scene, ''), latest.event_time, COALESCE(latest.dedup_key, '')
        FROM totals
        LEFT JOIN ranked AS earliest ON earliest.account_id = totals.account_id
            AND earliest.openid = totals.openid AND earliest.from_first = 1
        LEFT JOIN ranked AS latest ON latest.account_id = totals.account_id
            AND latest.openid = totals.openid AND latest.from_last = 1
        WHERE true
        ORDER BY totals.account_id, totals.openid
        ON CONFLICT (account_id, openid) DO UPDATE SET {assignments}
    """


def _is_of(*effects: Effect) -> str:
    names = ", ".join(f"'{effect.name.lower()}'" for effect in effects)
    return f"effect IN ({names})"
