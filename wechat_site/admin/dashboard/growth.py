"""The part of the dashboard on growth: new and lost followers, and where they came from."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from events.numbers import percentage
from events.stats.reading.overview import people_by_day, people_by_hour
from events.stats.reading.rows import Totals
from events.stats.series import FOLLOW, UNFOLLOW
from events.viewer import may
from subscribers.admin.followers.follower_filters import CameFilter
from subscribers.models import QRScene
from subscribers.stats.reading.sources import Source, sources
from subscribers.stats.reading.summary import followers_at_end
from subscribers.sync.follow_channels import way_of_following
from wechat_site.admin.dashboard.choice import Choice
from wechat_site.admin.dashboard.figure import Figure, both
from wechat_site.admin.dashboard.links import list_url, log_url, past_days

__all__ = ["GrowthRow", "SourceRow", "follower_figures", "growth", "growth_chart", "source_rows"]


@dataclass(frozen=True, slots=True)
class GrowthRow:
    """New and lost followers of one day, or of one hour if the span is a single day."""

    label: str
    new: int
    left: int
    new_url: str = ""
    left_url: str = ""

    @property
    def net(self) -> int:
        return self.new - self.left


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source with its name; `scene` is "" for a way of following and for an unknown source."""

    account: str
    name: str
    scene: str
    source: Source
    url: str
    code_url: str = ""

    @property
    def difference(self) -> int:
        return self.source.came - self.source.came_before

    def kept(self) -> list[tuple[int, int, int, int | None]]:
        """For each number of days: it, who stayed that long, who could have, and the percentage."""
        return [
            (days, self.source.retained[days], due, percentage(self.source.retained[days], due))
            for days, due in self.source.due.items()
        ]


def follower_figures(choice: Choice, kinds: Mapping[str, tuple[Totals, Totals]]) -> list[Figure]:
    following, began_with = followers_at_end(choice.days)
    new, left = (both(kinds, [kind], "people") for kind in (FOLLOW, UNFOLLOW))
    account = choice.chosen.slug if choice.chosen else ""
    return [
        Figure(
            _("Followers"),
            following,
            began_with,
            list_url("subscribers", "subscriber", account=account, following="yes"),
        ),
        Figure(_("New"), *new, log_url(choice, kind=FOLLOW)),
        Figure(_("Cancelled"), *left, log_url(choice, kind=UNFOLLOW), fewer_is_better=True),
        Figure(
            _("Net"), new[0] - left[0], new[1] - left[1], choice.url() + "#growth", is_signed=True
        ),
    ]


def growth(choice: Choice) -> list[GrowthRow]:
    """New and lost followers by day, or by hour if the span is a single day."""
    if choice.is_one_day:
        by_hour = people_by_hour(choice.days, [FOLLOW, UNFOLLOW])
        return [
            GrowthRow(f"{hour:02}:00", by_hour[FOLLOW].get(hour, 0), by_hour[UNFOLLOW].get(hour, 0))
            for hour in range(24)
        ]
    by_day = people_by_day(choice.days, [FOLLOW, UNFOLLOW])
    return [
        GrowthRow(
            str(day),
            by_day[FOLLOW].get(day, 0),
            by_day[UNFOLLOW].get(day, 0),
            log_url(choice, kind=FOLLOW, days=past_days(day, day)),
            log_url(choice, kind=UNFOLLOW, days=past_days(day, day)),
        )
        for day in choice.days.dates
    ]


def growth_chart(choice: Choice, rows: Sequence[GrowthRow]) -> dict[str, Any]:
    """The data of the chart for dashboard.js, with its words, since the script has none."""
    return {
        "labels": [
            row.label
            if choice.is_one_day
            else date_format(datetime.date.fromisoformat(row.label), "MONTH_DAY_FORMAT")
            for row in rows
        ],
        "new": [row.new for row in rows],
        "left": [-row.left for row in rows],
        "net": [row.net for row in rows],
        "words": {
            "new": _("New"),
            "left": _("Cancelled"),
            "net": _("Net"),
            "x": _("Hour of the day") if choice.is_one_day else _("Day"),
            "y": _("People"),
        },
    }


def source_rows(choice: Choice) -> list[SourceRow]:
    """The sources with their names: QR codes, and ways of following that WeChat names."""
    found = sources(choice.days)
    scenes = {(row.account_id, row.scene) for row in found if row.scene}
    codes = {
        (account_id, scene): (pk, name)
        for pk, account_id, scene, name in QRScene.objects.filter(
            account__in={account_id for account_id, _scene in scenes},
            scene__in=[scene for _account, scene in scenes],
        ).values_list("pk", "account", "scene", "name")
    }
    names = {account.pk: account for account in choice.shown}
    may_see_codes = may("subscribers.view_qrscene")
    rows = []
    for row in found:
        account = names[row.account_id]
        came = CameFilter.written(
            past_days(choice.days.first, choice.days.last), row.scene, row.way
        )
        url = list_url("subscribers", "subscriber", account=account.slug, came=came)
        if row.scene:
            pk, name = codes.get((row.account_id, row.scene), (None, ""))
            code_url = (
                reverse("admin:subscribers_qrscene_change", args=[pk])
                if pk and may_see_codes
                else ""
            )
            rows.append(SourceRow(account.name, name or row.scene, row.scene, row, url, code_url))
            continue
        name = way_of_following(row.way) if row.way else _("unknown")
        rows.append(SourceRow(account.name, name, "", row, url))
    return rows
