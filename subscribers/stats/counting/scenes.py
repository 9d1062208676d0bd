"""Keeps the follows and scans by QR codes, from which the results of each code are counted."""

from __future__ import annotations

from events.models import EventLog
from events.models.event_log import EventLogQuerySet
from events.stats.changes import Batch, counter
from events.stats.series import FOLLOW, FOUND_FOLLOWING, SCAN, key_of
from subscribers.models import SceneAct
from subscribers.stats.counting.intervals import count_following
from subscribers.stats.counting.source_days import Act, refresh

__all__ = ["acts_of_log", "count_sources"]

_FOLLOWS = frozenset((FOLLOW, *FOUND_FOLLOWING))


@counter
def count_sources(batch: Batch) -> None:
    """Updates the intervals of following, then the days of codes and ways of following."""
    people = count_following(batch)
    arrivals = []
    for change in batch.changes:
        fact = change.fact
        if not fact.openid:
            continue
        # A follow that arrives late may be the person's first and still change no interval.
        if fact.kind in _FOLLOWS and fact.counted.is_folded and not change.before.is_folded:
            people.add((fact.account_id, fact.openid))
        if not (change.is_new_event and fact.kind in (FOLLOW, SCAN)):
            continue
        scene = key_of(fact.kind, "", fact.scene)
        if scene:
            arrivals.append(
                Act(
                    event_id=fact.pk,
                    account_id=fact.account_id,
                    at=fact.event_time,
                    scene=scene,
                    openid=fact.openid,
                    is_follow=fact.kind == FOLLOW,
                )
            )
    refresh(people, batch.zones, arrivals)


def acts_of_log(events: EventLogQuerySet) -> dict[int, SceneAct]:
    """The acts among these rows of the log, by the rows' ids."""
    rows = (
        events.filter(kind__in=(FOLLOW, SCAN))
        .exclude(scene="")
        .exclude(openid="")
        .exclude(status__in=[EventLog.Status.QUARANTINED, EventLog.Status.UNREADABLE])
        .values_list("pk", "account_id", "event_time", "kind", "scene", "openid")
    )
    return {
        pk: SceneAct(
            event_id=pk,
            account_id=account_id,
            at=at,
            scene=scene,
            openid=openid,
            is_follow=kind == FOLLOW,
        )
        for pk, account_id, at, kind, scene, openid in rows.iterator(chunk_size=2000)
        if key_of(kind, "", scene)
    }
