"""The statistics API: days of one account in, rows out, as JSON or CSV."""

from __future__ import annotations

import dataclasses
import datetime
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from events.api.csv import CSVRenderer
from events.models import OfficialAccount
from events.stats.periods import Period
from events.stats.queries import (
    LONGEST_SPAN,
    EventRow,
    HealthRow,
    HourRow,
    MenuRow,
    Span,
    event_counts,
    health_counts,
    hours_of_week,
    menu_counts,
)
from events.viewer import visible_to

__all__ = [
    "ACCOUNT",
    "INTERVAL",
    "SPAN",
    "EventStatistics",
    "HealthStatistics",
    "HourStatistics",
    "MenuStatistics",
    "StatisticsView",
    "names_of",
    "statistics_schema",
]

ACCOUNT = OpenApiParameter("account", str, required=True, description="The account's handle.")
SPAN = (
    OpenApiParameter(
        "from",
        OpenApiTypes.DATE,
        required=True,
        description="First day, by the account's calendar.",
    ),
    OpenApiParameter(
        "to",
        OpenApiTypes.DATE,
        required=True,
        description="Last day, included; at most five years of days.",
    ),
)
_FORMAT = OpenApiParameter(
    "format", str, enum=["json", "csv"], description="Instead of the header Accept."
)
INTERVAL = OpenApiParameter(
    "interval",
    str,
    enum=[period.value for period in Period],
    default=Period.DAY.value,
    description="Weeks (from Monday) and months that have a part of the days are whole.",
)
_KIND = OpenApiParameter("kind", str, description="One kind, such as `event.click`.")

_F = TypeVar("_F", bound=Callable[..., Response])

_FIELDS: dict[str, type[serializers.Field[Any, Any, Any, Any]]] = {
    "datetime.datetime": serializers.DateTimeField,
    "str": serializers.CharField,
    "int": serializers.IntegerField,
    "bool": serializers.BooleanField,
}


def statistics_schema(
    row: type[Any], *parameters: OpenApiParameter, **more: Any
) -> Callable[[_F], _F]:
    """Describes a view's get() by the dataclass of its rows; `more` are further fields."""
    fields: dict[str, Any] = {}
    for each in dataclasses.fields(row):
        name, _bar, null = str(each.type).partition(" | ")
        if name in _FIELDS:
            fields[each.name] = _FIELDS[name](allow_null=bool(null))
    rows: Any = inline_serializer(row.__name__, fields | more, many=True)
    answer = inline_serializer(
        f"{row.__name__}s", {"time_zone": serializers.CharField(), "results": rows}
    )
    describe: Callable[[_F], _F] = extend_schema(
        parameters=[*parameters, _FORMAT],
        responses={200: answer, (200, "text/csv"): OpenApiTypes.STR},
    )
    return describe


class StatisticsView(APIView):
    """Statistics of one account. A view says which parameters it takes, and which fields it has."""

    scope = "stats"
    renderer_classes = [JSONRenderer, CSVRenderer]
    # Besides account and format.
    parameters: ClassVar[frozenset[str]] = frozenset({"from", "to", "interval"})
    fields: Sequence[str] = ()

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        with timezone.override(datetime.UTC):
            return super().dispatch(request, *args, **kwargs)

    def span(self, request: Request, interval: Period | None = None) -> Span:
        """What the parameters say. Raises ValidationError with a sentence."""
        self.check_parameters(request)
        account = self.account(request)
        first, last = (_day(request, name) for name in ("from", "to"))
        if last < first:
            raise ValidationError({"to": [_("This is before the first day.")]})
        if (last - first).days >= LONGEST_SPAN:
            raise ValidationError({"to": [_("Choose at most five years of days.")]})
        return Span(account, first, last, interval or _interval(request))

    def check_parameters(self, request: Request) -> None:
        known = self.parameters | {"account", "format"}
        unknown = sorted(set(request.query_params) - known)
        if unknown:
            sentence = _("There is no such parameter.")
            raise ValidationError({name: [sentence] for name in unknown}, code="unknown")
        twice = sorted(name for name in known if len(request.query_params.getlist(name)) > 1)
        if twice:
            raise ValidationError({name: [_("Give this once.")] for name in twice}, code="repeated")

    def account(self, request: Request) -> OfficialAccount:
        slug = request.query_params.get("account")
        if not slug:
            raise ValidationError({"account": [_("Say which account: its handle.")]})
        found = (
            None
            if "\0" in slug
            else visible_to(
                request.user,
                OfficialAccount.objects.filter(slug=slug).only("pk", "slug", "time_zone"),
                "pk",
            ).first()
        )
        if found is None:
            sentence = _("There is no such account.")
            raise ValidationError({"account": [sentence]}, code="does_not_exist")
        return found

    def answer(self, account: OfficialAccount, rows: Iterable[Any]) -> Response:
        """Rows of a dataclass, or mappings with the view's fields."""
        write = _Writer(self.fields)
        results = [row if isinstance(row, dict) else write(row) for row in rows]
        return Response({"time_zone": account.time_zone, "results": results})


def names_of(row: type[Any]) -> tuple[str, ...]:
    return tuple(each.name for each in dataclasses.fields(row))


class _Writer:
    """Writes rows as mappings. Many rows share a time, and to write one takes long."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = fields
        self._read = operator.attrgetter(*fields)
        # By id, and kept with the text, so that no other time gets that id.
        self._times: dict[int, tuple[datetime.datetime, str]] = {}

    def __call__(self, row: Any) -> dict[str, Any]:
        values = [
            self._text(value) if value.__class__ is datetime.datetime else value
            for value in self._read(row)
        ]
        return dict(zip(self._fields, values, strict=True))

    def _text(self, moment: datetime.datetime) -> str:
        known = self._times.get(id(moment))
        if known is None:
            known = self._times[id(moment)] = (moment, moment.isoformat())
        return known[1]


def _day(request: Request, name: str) -> datetime.date:
    written = request.query_params.get(name)
    if not written:
        raise ValidationError({name: [_("Give a day, such as 2026-11-23.")]})
    try:
        day = datetime.date.fromisoformat(written)
    except ValueError:
        day = None
    # Around the first and the last year of the calendar there is nothing to compare with.
    if day is None or not 1970 <= day.year <= 9000 or len(written) != 10:
        raise ValidationError({name: [_("Give a day, such as 2026-11-23.")]})
    return day


def _interval(request: Request) -> Period:
    try:
        return Period(request.query_params.get("interval", Period.DAY.value))
    except ValueError:
        raise ValidationError({"interval": [_("One of hour, day, week, month.")]}) from None


class EventStatistics(StatisticsView):
    """Events and distinct people, by kind or by kind and key."""

    parameters = StatisticsView.parameters | {"by", "kind"}
    fields = names_of(EventRow)

    @statistics_schema(
        EventRow,
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
        rows = event_counts(span, by_key=by == "key", kinds=kinds_in(request))
        return self.answer(span.account, rows)


class MenuStatistics(StatisticsView):
    """Taps on menu entries, people who tapped, and taps that nobody answered."""

    fields = names_of(MenuRow)

    @statistics_schema(MenuRow, ACCOUNT, *SPAN, INTERVAL)
    def get(self, request: Request) -> Response:
        span = self.span(request)
        return self.answer(span.account, menu_counts(span))


class HourStatistics(StatisticsView):
    """Events by weekday (1 is Monday) and hour of the account's clock."""

    parameters = frozenset({"from", "to", "kind"})
    fields = names_of(HourRow)

    @statistics_schema(HourRow, ACCOUNT, *SPAN, _KIND)
    def get(self, request: Request) -> Response:
        span = self.span(request, Period.DAY)
        return self.answer(span.account, hours_of_week(span, kinds=kinds_in(request)))


class HealthStatistics(StatisticsView):
    """How the pushes of each period fared, by the time they were received."""

    fields = names_of(HealthRow)

    @statistics_schema(HealthRow, ACCOUNT, *SPAN, INTERVAL)
    def get(self, request: Request) -> Response:
        span = self.span(request)
        return self.answer(span.account, health_counts(span))


def kinds_in(request: Request) -> list[str] | None:
    """The kinds in the parameter, with commas between them; None for all."""
    written = request.query_params.get("kind")
    if written is None:
        return None
    kinds = written.split(",")
    if not all(kinds) or "\0" in written:
        raise ValidationError({"kind": [_("Give a value, or leave this out.")]})
    return kinds
