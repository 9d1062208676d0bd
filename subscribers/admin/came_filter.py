"""The people behind a source on the dashboard: who followed in some days, and by what."""

from __future__ import annotations

import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from events.admin.filters import span_in, zone_of
from events.stats.periods import day_start
from subscribers.models import SceneAct

__all__ = ["CameFilter"]


class CameFilter(admin.SimpleListFilter):
    """A span such as 2026-11-01..2026-11-30 and, after a colon, a source; shown where chosen.

    A source is WeChat's word for a way of following, `qr` and the scene of a code after a further
    colon, or `-` for an unknown one.
    """

    title = _("followed")
    parameter_name = "came"
    UNKNOWN = "-"

    @staticmethod
    def written(span: str, scene: str, way: str) -> str:
        """The parameter's value for a source."""
        return f"{span}:qr:{scene}" if scene else f"{span}:{way or CameFilter.UNKNOWN}"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        chosen = request.GET.get(self.parameter_name, "")
        span = span_in(chosen.partition(":")[0])
        return [(chosen, f"{span[0]} – {span[1]}")] if span else []

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        written, _colon, source = (self.value() or "").partition(":")
        span = span_in(written)
        if span is None:
            return queryset
        zone = zone_of(request)
        begin = day_start(span[0], zone)
        end = day_start(span[1] + datetime.timedelta(days=1), zone)
        acts = SceneAct.objects.filter(
            openid=OuterRef("openid"), account=OuterRef("account"), is_follow=True
        )
        if source.startswith("qr:"):
            scene = source.removeprefix("qr:")
            return queryset.filter(Exists(acts.filter(scene=scene, at__gte=begin, at__lt=end)))
        people = queryset.filter(last_followed_at__gte=begin, last_followed_at__lt=end)
        if not source:
            return people
        return people.filter(
            ~Exists(acts.filter(at=OuterRef("last_followed_at"))),
            subscribe_scene="" if source == self.UNKNOWN else source,
        )
