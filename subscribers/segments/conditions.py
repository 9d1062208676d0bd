"""Conditions on followers: the filters of their list; segments and exports store them by name.

The value of a condition is a text, the same as in the address of the list.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.numbers import number_in
from events.stats.periods import day_start, days_in
from subscribers.models import Binding, Conversation, SceneAct, Segment
from subscribers.segments.of_codes import people_of_code
from subscribers.tagging.tag_names import with_tag

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["CONDITIONS", "LONGEST", "UNKNOWN_WAY", "Condition", "in_segment", "matching", "taken"]

LONGEST = 128
# In the condition `came`: people who followed by a way that WeChat does not name.
UNKNOWN_WAY = "-"


@dataclass(frozen=True, slots=True)
class Condition:
    """`apply` narrows rows of followers by a value. Without `choices` any text is a value."""

    title: StrOrPromise
    apply: Callable[[Any, str, zoneinfo.ZoneInfo], Any]
    choices: Mapping[str, StrOrPromise] = field(default_factory=dict)

    def takes(self, value: str) -> bool:
        return value in self.choices if self.choices else 0 < len(value) <= LONGEST


def matching(rows: Any, conditions: Mapping[str, str], zone: zoneinfo.ZoneInfo) -> Any:
    """The rows that meet all conditions; days begin by the clock of `zone`."""
    for name, value in conditions.items():
        rows = CONDITIONS[name].apply(rows, value, zone)
    return rows


def in_segment(rows: Any, segment: Segment) -> Any:
    """The rows that are in the segment now."""
    own = rows.filter(account=segment.account_id)
    return matching(own, taken(segment.conditions), segment.account.zone)


def taken(given: Mapping[str, Any]) -> dict[str, str]:
    """The conditions in a mapping, such as the parameters of a list, that have a valid value."""
    return {
        name: str(given[name])
        for name, condition in CONDITIONS.items()
        if name in given and condition.takes(str(given[name]))
    }


def _following(rows: Any, value: str, zone: zoneinfo.ZoneInfo) -> Any:
    return rows.filter(is_following=value == "yes")


def _bound(rows: Any, value: str, zone: zoneinfo.ZoneInfo) -> Any:
    active = Binding.objects.active()
    if value == "yes":
        # Starts from the bindings, which are far fewer than the followers.
        return rows.filter(pk__in=active.values("subscriber"))
    return rows.filter(~Exists(active.filter(subscriber=OuterRef("pk"))))


def _window(rows: Any, value: str, zone: zoneinfo.ZoneInfo) -> Any:
    talks = Conversation.objects.all()
    if value == "wrote":
        return rows.filter(pk__in=talks.values("subscriber"))
    talks = talks.filter(window_until__gt=timezone.now())
    return rows.filter(pk__in=talks.values("subscriber"), is_following=True)


def _channel(rows: Any, value: str, zone: zoneinfo.ZoneInfo) -> Any:
    return rows.filter(first_scene=value).exclude(first_scene="")


def _tag(rows: Any, value: str, zone: zoneinfo.ZoneInfo) -> Any:
    number = number_in(value)
    return rows.none() if number is None else rows.filter(with_tag(number))


def _followed(rows: Any, value: str, zone: zoneinfo.ZoneInfo) -> Any:
    return rows.filter(last_followed_at__gte=_days_ago(int(value), zone))


def _seen(rows: Any, value: str, zone: zoneinfo.ZoneInfo) -> Any:
    since = _days_ago(int(value.removeprefix("not-")), zone)
    # last_seen_at does not count follows, but a follow is an act too.
    acted = Q(last_seen_at__gte=since) | Q(last_followed_at__gte=since)
    return rows.exclude(acted) if value.startswith("not-") else rows.filter(acted)


def _days_ago(days: int, zone: zoneinfo.ZoneInfo) -> datetime.datetime:
    """The start of the first of `days` days; the last one is today."""
    today = timezone.now().astimezone(zone).date()
    return day_start(today - datetime.timedelta(days=days - 1), zone)


def _came(rows: Any, value: str, zone: zoneinfo.ZoneInfo) -> Any:
    """Takes a span such as 2026-11-01..2026-11-30 and, after a colon, a source.

    A source is WeChat's word for a way of following, `-` for an unknown way, or `qr:` and the
    scene of a code.
    """
    written, _colon, source = value.partition(":")
    span = days_in(written)
    if span is None:
        return rows
    begin = day_start(span[0], zone)
    end = day_start(span[1] + datetime.timedelta(days=1), zone)
    acts = SceneAct.objects.filter(
        openid=OuterRef("openid"), account=OuterRef("account"), is_follow=True
    )
    if source.startswith("qr:"):
        scene = source.removeprefix("qr:")
        return rows.filter(Exists(acts.filter(scene=scene, at__gte=begin, at__lt=end)))
    people = rows.filter(last_followed_at__gte=begin, last_followed_at__lt=end)
    if not source:
        return people
    return people.filter(
        ~Exists(acts.filter(at=OuterRef("last_followed_at"))),
        subscribe_scene="" if source == UNKNOWN_WAY else source,
    )


CONDITIONS: dict[str, Condition] = {
    "following": Condition(
        _("follow status"), _following, {"yes": _("following"), "no": _("unfollowed")}
    ),
    "bound": Condition(
        _("binding status"), _bound, {"yes": _("bound to a user"), "no": _("not bound")}
    ),
    "window": Condition(
        _("messages"), _window, {"open": _("may be answered"), "wrote": _("has written")}
    ),
    "channel": Condition(_("first channel"), _channel),
    "tag": Condition(_("tag (标签)"), _tag),
    "followed": Condition(
        _("last followed"),
        _followed,
        {"1": _("today"), "7": _("last 7 days"), "30": _("last 30 days"), "90": _("last 90 days")},
    ),
    "seen": Condition(
        _("last seen"),
        _seen,
        {
            "7": _("last 7 days"),
            "30": _("last 30 days"),
            "not-30": _("not in the last 30 days"),
            "not-90": _("not in the last 90 days"),
        },
    ),
    "came": Condition(_("followed"), _came),
    "code": Condition(_("came by a QR code"), people_of_code),
}
