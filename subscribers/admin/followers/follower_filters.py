"""The filters of the list of followers; segments and exports use them too."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.http import Http404, HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from events.admin.access import visible_accounts
from events.admin.list_filters import AccountFilter, zone_of
from events.models import OfficialAccount, with_account
from events.numbers import number_in
from events.stats.periods import days_in
from events.viewer import may, visible_to
from subscribers.models import FollowerTag, QRScene, Segment
from subscribers.segments.conditions import CONDITIONS, UNKNOWN_WAY, in_segment, taken
from subscribers.segments.of_codes import STEPS, parts_of
from subscribers.sync.follow_channels import way_of_following

__all__ = [
    "FILTERS",
    "CameFilter",
    "CodeFilter",
    "SegmentFilter",
    "asked_for",
    "came_in_words",
    "code_in_words",
    "may_see_bindings",
    "usable_segments",
]

# With more codes than this, the filter offers no list: only the chosen code.
_MOST_CODES = 50


def may_see_bindings() -> bool:
    """Whether the user of this request may see bindings."""
    return may("subscribers.view_binding")


class ConditionFilter(admin.SimpleListFilter):
    """Filters by one of CONDITIONS.

    A subclass for values without a fixed list offers only the chosen value.
    """

    condition: ClassVar[str]

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return list(CONDITIONS[self.condition].choices.items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        condition, value = CONDITIONS[self.condition], self.value() or ""
        if not condition.takes(value):
            return queryset
        return condition.apply(queryset, value, zone_of(request))


def _filter(name: str) -> type[ConditionFilter]:
    return type(
        f"{name.title()}Filter",
        (ConditionFilter,),
        {"condition": name, "title": CONDITIONS[name].title, "parameter_name": name},
    )


class ChannelFilter(ConditionFilter):
    """Filters by a follower's first code, and offers the codes by name."""

    condition = parameter_name = "channel"
    title = CONDITIONS["channel"].title

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        chosen = request.GET.get(self.parameter_name, "")
        codes = _codes_listed(request).order_by("name", "pk")
        found = dict(codes.values_list("scene", "name")[: _MOST_CODES + 1])
        if len(found) > _MOST_CODES:
            found = dict(codes.filter(scene=chosen).values_list("scene", "name")[:1])
        if chosen:
            found.setdefault(chosen, chosen)
        return [(scene, name or scene) for scene, name in found.items()]


class TagFilter(ConditionFilter):
    """Filters by a tag. It offers names for one account only: tag numbers differ by account."""

    condition = parameter_name = "tag"
    title = CONDITIONS["tag"].title

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        accounts = visible_accounts(request)
        if slug := request.GET.get(AccountFilter.parameter_name):
            accounts = accounts.filter(slug=slug)
        ids = list(accounts.values_list("pk", flat=True)[:2])
        chosen = request.GET.get(self.parameter_name, "")
        names: dict[str, str] = {}
        if len(ids) == 1:
            tags = FollowerTag.objects.filter(account=ids[0])
            names = {str(number): name for number, name in tags.values_list("number", "name")}
        if chosen:
            names.setdefault(chosen, f"#{chosen}")
        return list(names.items())


class CameFilter(ConditionFilter):
    """Filters by a source on the dashboard: who followed in a span of days, and in which way."""

    condition = parameter_name = "came"
    title = CONDITIONS["came"].title

    @staticmethod
    def written(span: str, scene: str, way: str) -> str:
        """The parameter's value for a source."""
        return f"{span}:qr:{scene}" if scene else f"{span}:{way or UNKNOWN_WAY}"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        chosen = request.GET.get(self.parameter_name, "")
        if days_in(chosen.partition(":")[0]) is None:
            return []
        return [(chosen, came_in_words(chosen, _codes_listed(request)))]


class CodeFilter(ConditionFilter):
    """Filters by the people that one of a code's results counts; offers only the chosen value."""

    condition = parameter_name = "code"
    title = CONDITIONS["code"].title

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        chosen = request.GET.get(self.parameter_name, "")
        if not parts_of(chosen):
            return []
        return [(chosen, code_in_words(chosen, _codes_listed(request)))]


def _codes_listed(request: HttpRequest) -> Any:
    """The codes of the accounts whose followers the list shows."""
    codes = visible_to(request.user, QRScene.objects.all())
    if slug := request.GET.get(AccountFilter.parameter_name):
        codes = codes.filter(account__slug=slug)
    return codes


def came_in_words(value: str, codes: Any) -> str:
    """Says the condition `came` in words, with the code's name if it is one of `codes`.

    Returns the value unchanged if it cannot be read.
    """
    written, _colon, source = value.partition(":")
    span = days_in(written)
    if span is None:
        return value
    days = f"{span[0]} – {span[1]}"
    if source.startswith("qr:"):
        source = _name_of(source.removeprefix("qr:"), codes)
    elif source == UNKNOWN_WAY:
        source = gettext("unknown")
    else:
        source = way_of_following(source)
    return f"{source} · {days}" if source else days


def code_in_words(value: str, codes: Any) -> str:
    """Says the condition `code` in words, with the code's name if it is one of `codes`.

    Returns the value unchanged if it cannot be read.
    """
    parts = parts_of(value)
    if parts is None:
        return value
    (first, last), step, scene = parts
    return f"{_name_of(scene, codes)} · {STEPS[step]} · {first} – {last}"


def _name_of(scene: str, codes: Any) -> str:
    named = codes.filter(scene=scene).order_by("pk")
    return named.values_list("name", flat=True).first() or scene


class SegmentFilter(admin.SimpleListFilter):
    title = _("segment")
    parameter_name = "segment"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        segments = usable_segments(request)
        if slug := request.GET.get(AccountFilter.parameter_name):
            segments = segments.filter(account__slug=slug)
        return [(str(pk), name) for pk, name in segments.values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if not self.value():
            return queryset
        number = number_in(self.value())
        segment = usable_segments(request).filter(pk=number).first()
        return queryset.none() if segment is None else in_segment(queryset, segment)


def usable_segments(request: HttpRequest) -> Any:
    """The segments in which the user may see every condition."""
    segments = visible_to(request.user, with_account(Segment.objects.all()))
    if not request.user.has_perm("subscribers.view_segment"):
        return segments.none()
    return segments if may_see_bindings() else segments.exclude(conditions__has_key="bound")


def asked_for(
    request: HttpRequest, asked: Mapping[str, Any]
) -> tuple[OfficialAccount | None, dict[str, str], zoneinfo.ZoneInfo]:
    """Returns account, conditions and time zone that the parameters of a list's address choose.

    A segment adds its conditions. Conditions that the user may not see are left out.
    Raises Http404 for an unknown account or segment.
    """
    account = None
    conditions = taken(asked)
    if slug := asked.get(AccountFilter.parameter_name):
        account = visible_accounts(request).filter(slug=slug).first()
        if account is None:
            raise Http404
    if written := str(asked.get(SegmentFilter.parameter_name, "")):
        segment = usable_segments(request).filter(pk=number_in(written)).first()
        if segment is None or account not in (None, segment.account):
            raise Http404
        account = segment.account
        conditions = {**taken(segment.conditions), **conditions}
    if not may_see_bindings():
        conditions.pop("bound", None)
    zone = account.zone if account is not None else zoneinfo.ZoneInfo(settings.TIME_ZONE)
    return account, conditions, zone


FILTERS: list[Any] = [
    SegmentFilter,
    _filter("following"),
    _filter("bound"),
    _filter("window"),
    ChannelFilter,
    TagFilter,
    _filter("followed"),
    _filter("seen"),
    CameFilter,
    CodeFilter,
]
