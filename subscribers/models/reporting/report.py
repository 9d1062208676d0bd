"""Makes the view `report_followers`, for readers of SQL (docs/reporting.md)."""

from __future__ import annotations

from typing import Any

from django.db import connections

from events.db.schema.report_views import drop_views, make_views

__all__ = ["drop_report_of_followers", "make_report_of_followers"]

_FOLLOWERS = """
    SELECT f.id, a.slug AS account, f.openid, f.unionid, f.is_following, f.first_followed_at,
        f.last_followed_at, f.last_unfollowed_at, f.last_seen_at, f.follow_count, f.unfollow_count,
        f.event_count, f.first_scene, f.last_scene, f.subscribe_scene,
        EXISTS (
            SELECT 1 FROM subscribers_binding b
            WHERE b.subscriber_id = f.id AND b.unbound_at IS NULL
        ) AS is_bound,
        f.updated_at
    FROM subscribers_subscriber f JOIN events_officialaccount a ON a.id = f.account_id
"""
_VIEWS = {"report_followers": {"postgresql": _FOLLOWERS, "sqlite": _FOLLOWERS}}


def make_report_of_followers(using: str, **_signal: Any) -> None:
    make_views(connections[using], _VIEWS)


def drop_report_of_followers(using: str, **_signal: Any) -> None:
    drop_views(connections[using], _VIEWS)
