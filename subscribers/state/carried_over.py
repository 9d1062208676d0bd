"""Keeps what rows of the log say about followers when retention removes these rows."""

from __future__ import annotations

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import Case, Value, When

from events.binding_scenes import SHAPE
from events.kinds import Effect
from events.log.retention_hooks import after_restoring, before_removal
from events.models.event_log import EventLogQuerySet
from subscribers.fold.rules import STATE_KINDS, kinds_of
from subscribers.fold.sql import carry_over_statement
from subscribers.models import CarriedOverState
from subscribers.state.rebuild import rebuild

__all__ = ["carry_over", "fold_restored"]


@before_removal
def carry_over(events: EventLogQuerySet) -> None:
    """Adds these rows, which may be a whole month, to the carried-over state in one statement."""
    spoken = (
        events.not_carried_over()
        .filter(kind__in=STATE_KINDS)
        .exclude(openid="")
        .annotate(
            effect=Case(
                *(
                    When(kind__in=kinds_of(effect), then=Value(effect.name.lower()))
                    for effect in Effect
                )
            ),
            # A binding scene is a secret of one user, not a place where the follower came from.
            counted_scene=Case(When(scene__regex=rf"^{SHAPE}\Z", then=Value("")), default="scene"),
        )
        .order_by()
        .values(
            *("account_id", "openid", "event_time", "followed_at", "dedup_key"),
            *("effect", "counted_scene"),
        )
    )
    connection = connections[events.db]
    try:
        sql, parameters = spoken.query.get_compiler(events.db).as_sql()
    except EmptyResultSet:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            carry_over_statement(
                table=connection.ops.quote_name(CarriedOverState._meta.db_table),
                events=sql,
                vendor=connection.vendor,
            ),
            parameters,
        )


@after_restoring
def fold_restored(events: EventLogQuerySet) -> None:
    """Rebuilds the followers if some restored rows are not in the carried-over state."""
    if events.not_carried_over().exists():
        rebuild()
