"""The statistics API of events: kinds, menu entries, hours, health."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from events.api.name_filters import check_kinds
from events.api.statistics_view import (
    ACCOUNT,
    INTERVAL,
    NAMES,
    SPAN,
    StatisticsView,
    names_of,
    statistics_schema,
)
from events.models import OfficialAccount, Series
from events.stats.periods import Period
from events.stats.reading.queries import (
    EventRow,
    HealthRow,
    HourRow,
    MenuRow,
    event_counts,
    health_counts,
    hours_of_week,
    menu_counts,
)

__all__ = ["EventStatistics", "HealthStatistics", "HourStatistics", "MenuStatistics"]

_KIND = OpenApiParameter(
    "kind",
    NAMES,
    explode=False,
    style="form",
    description="Kinds such as `event.click`, with commas between them.",
)


class EventStatistics(StatisticsView):
    """Events and distinct people, by kind or by kind and key."""

    parameters = StatisticsView.parameters | {"by", "kind"}
    fields = names_of(EventRow)

    @statistics_schema(
        EventRow,
        {"kind": "event.click", "key": "", "events": 41, "people": 17},
        ACCOUNT,
        *SPAN,
        INTERVAL,
        OpenApiParameter(
            "by",
            str,
            enum=["kind", "key"],
            default="kind",
            description="`key`: by menu key or scene, for the kinds that have one.",
        ),
        _KIND,
    )
    def get(self, request: Request) -> Response:
        span = self.span(request)
        by = request.query_params.get("by", "kind")
        if by not in {"kind", "key"}:
            raise ValidationError({"by": [_("One of kind, key.")]})
        rows = event_counts(span, by_key=by == "key", kinds=kinds_in(request, span.account))
        return self.answer(span.account, rows)


class MenuStatistics(StatisticsView):
    """Taps on menu entries, people who tapped, and taps that nobody answered."""

    fields = names_of(MenuRow)

    @statistics_schema(
        MenuRow,
        {
            "kind": "event.click",
            "key": "NEW_BOOKS",
            "name": "Books › New",
            "clicks": 41,
            "clickers": 17,
            "unanswered": 2,
        },
        ACCOUNT,
        *SPAN,
        INTERVAL,
    )
    def get(self, request: Request) -> Response:
        span = self.span(request)
        return self.answer(span.account, menu_counts(span))


class HourStatistics(StatisticsView):
    """Events by weekday (1 is Monday) and hour of the account's clock."""

    parameters = frozenset({"from", "to", "kind"})
    fields = names_of(HourRow)

    @statistics_schema(HourRow, {"weekday": 1, "hour": 20, "events": 88}, ACCOUNT, *SPAN, _KIND)
    def get(self, request: Request) -> Response:
        span = self.span(request, Period.DAY)
        return self.answer(span.account, hours_of_week(span, kinds=kinds_in(request, span.account)))


class HealthStatistics(StatisticsView):
    """What became of the pushes of each period, by the time of their receipt."""

    fields = names_of(HealthRow)

    @statistics_schema(
        HealthRow,
        {
            "received": 512,
            "answered": 96,
            "within_1s": 95,
            "within_5s": 96,
            "unanswered": 0,
            "repeated": 3,
            "failed": 0,
            "mended": 0,
            "unreadable": 0,
            "quarantined": 0,
        },
        ACCOUNT,
        *SPAN,
        INTERVAL,
    )
    def get(self, request: Request) -> Response:
        span = self.span(request)
        return self.answer(span.account, health_counts(span))


def kinds_in(request: Request, account: OfficialAccount) -> list[str] | None:
    """Returns the kinds in the parameter, which has commas between them; None for all."""
    written = request.query_params.get("kind")
    if written is None:
        return None
    kinds = written.split(",")
    if not all(kinds) or "\0" in written:
        raise ValidationError({"kind": [_("Give a value, or leave this out.")]})
    counted = Series.objects.filter(account=account)
    check_kinds("kind", kinds, lambda kind: counted.filter(kind=kind).exists())
    return kinds
