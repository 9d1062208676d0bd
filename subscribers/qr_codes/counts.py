"""Counts the followers who came by a scene first, and those of them who stayed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count, IntegerField, OuterRef, Subquery
from django.db.models.functions import Coalesce

from events.db.cached_count import cached_count
from subscribers.models import Subscriber

__all__ = ["CAME_FIRST", "STILL_FOLLOWING", "count_followers"]


def _counted(followers: Any) -> Coalesce:
    number = followers.order_by().values("first_scene").annotate(number=Count("pk"))
    return Coalesce(Subquery(number.values("number"), output_field=IntegerField()), 0)


_of_scene = Subscriber.objects.filter(
    account=OuterRef("account"), first_scene=OuterRef("scene")
).exclude(first_scene="")

# Expressions for a scene's row, to annotate it and to sort by.
CAME_FIRST = _counted(_of_scene)
STILL_FOLLOWING = _counted(_of_scene.filter(is_following=True))


def count_followers(scenes: Sequence[Any]) -> None:
    """Sets first_count and following_count on rows that are all `QRScene` or all `SeenScene`.

    Counts of millions of followers come from a cache (`cached_count`).
    """
    if not scenes:
        return
    model = type(scenes[0])
    keys = sorted(scene.pk for scene in scenes)
    counts = cached_count(
        f"{model.__name__} {keys}",
        lambda: {
            pk: (first, following)
            for pk, first, following in model._default_manager.filter(pk__in=keys)
            .annotate(first_count=CAME_FIRST, following_count=STILL_FOLLOWING)
            .values_list("pk", "first_count", "following_count")
        },
        rows=lambda counts: sum(first for first, _following in counts.values()),
    )
    for scene in scenes:
        scene.first_count, scene.following_count = counts.get(scene.pk, (0, 0))
