"""Finds the people behind the numbers of a code's results: who came by it, and who stayed.

The value of the condition has a span such as 2026-11-01..2026-11-30, a step of STEPS and the code's
scene, with colons between them. `subscribers.stats.reading.scene_results` counts the same people.
"""

from __future__ import annotations

import datetime
import zoneinfo
from typing import TYPE_CHECKING, Any

from django.db.models import DateTimeField, Exists, ExpressionWrapper, F, OuterRef, Q, Subquery
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount
from events.stats.periods import day_start, days_in
from subscribers.models import FollowingInterval, SceneAct

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["STEPS", "parts_of", "people_of_code", "written"]

_AFTER = "after-"

STEPS: dict[str, StrOrPromise] = {
    "people": _("people"),
    "followed": _("followed"),
    "new": _("new followers"),
    "after-1": _("still there after 1 day"),
    "after-7": _("still there after 7 days"),
    "after-30": _("still there after 30 days"),
}


def written(span: str, step: str, scene: str) -> str:
    """The value of the condition for these parts."""
    return f"{span}:{step}:{scene}"


def parts_of(value: str) -> tuple[tuple[datetime.date, datetime.date], str, str] | None:
    """Span, step and scene of a value; None if it is not valid."""
    days, _colon, rest = value.partition(":")
    step, _colon, scene = rest.partition(":")
    span = days_in(days)
    return (span, step, scene) if span and step in STEPS and scene else None


def people_of_code(rows: Any, value: str, zone: zoneinfo.ZoneInfo) -> Any:
    """The rows of followers that the value describes; all rows if the value is not valid."""
    parts = parts_of(value)
    if parts is None:
        return rows
    span, step, scene = parts
    acts = SceneAct.objects.filter(
        # Names all accounts, so that the index of accounts and times can be used in any case.
        account__in=OfficialAccount.objects.values("pk"),
        scene=scene,
        at__gte=day_start(span[0], zone),
        at__lt=day_start(span[1] + datetime.timedelta(days=1), zone),
    )
    if step != "people":
        acts = acts.filter(is_follow=True)
    own = acts.filter(account=OuterRef("account"), openid=OuterRef("openid"))
    people = rows.filter(Exists(own), openid__in=acts.values("openid"))
    if step in {"people", "followed"}:
        return people
    people = people.alias(came_at=Subquery(own.order_by("at").values("at")[:1]))
    if step == "new":
        return people.filter(first_followed_at=F("came_at"))
    days = datetime.timedelta(days=int(step.removeprefix(_AFTER)))
    later = ExpressionWrapper(OuterRef("came_at") + days, output_field=DateTimeField())
    stays = FollowingInterval.objects.filter(
        Q(ended_at=None) | Q(ended_at__gt=later),
        account=OuterRef("account"),
        openid=OuterRef("openid"),
        started_at__lte=OuterRef("came_at"),
    )
    return people.filter(Exists(stays), came_at__lte=timezone.now() - days)
