"""The base of all views of statistics, which answer days of an account with rows in JSON or CSV."""

from __future__ import annotations

import dataclasses
import datetime
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from events.api.files.csv import CSVRenderer, csv_text
from events.api.openapi.examples import CSV, answer
from events.api.strict_filters import check_parameters
from events.models import OfficialAccount
from events.stats.periods import Period, day_in
from events.stats.reading.queries import LONGEST_SPAN, Span
from events.viewer import visible_to

__all__ = [
    "ACCOUNT",
    "INTERVAL",
    "NAMES",
    "SPAN",
    "StatisticsView",
    "names_of",
    "statistics_schema",
]

ACCOUNT = OpenApiParameter(
    "account",
    str,
    required=True,
    description="The account's handle.",
    examples=[OpenApiExample("account", "shop")],
)
SPAN = (
    OpenApiParameter(
        "from",
        OpenApiTypes.DATE,
        required=True,
        description="First day, by the account's calendar.",
        examples=[OpenApiExample("first", "2026-11-17")],
    ),
    OpenApiParameter(
        "to",
        OpenApiTypes.DATE,
        required=True,
        description="Last day, included; at most five years of days.",
        examples=[OpenApiExample("last", "2026-11-23")],
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
NAMES = {"type": "array", "items": {"type": "string", "pattern": "^[^,]+$"}}
_PERIOD = {"start": "2026-11-23T00:00:00+08:00", "complete": True}
_F = TypeVar("_F", bound=Callable[..., Response])
_FIELDS: dict[str, type[serializers.Field[Any, Any, Any, Any]]] = {
    "datetime.datetime": serializers.DateTimeField,
    "str": serializers.CharField,
    "int": serializers.IntegerField,
    "bool": serializers.BooleanField,
}


def statistics_schema(
    row: type[Any], example: dict[str, Any], *parameters: OpenApiParameter, **more: Any
) -> Callable[[_F], _F]:
    """Describes a view's get() by the dataclass of its rows; `more` are further fields.

    A row with a period gets `start` and `complete` in its example.
    """
    fields: dict[str, Any] = {}
    for each in dataclasses.fields(row):
        name, _bar, null = str(each.type).partition(" | ")
        if name in _FIELDS:
            fields[each.name] = _FIELDS[name](allow_null=bool(null))
    rows: Any = inline_serializer(row.__name__, fields | more, many=True)
    rows_of_zone = inline_serializer(
        f"{row.__name__}s", {"time_zone": serializers.CharField(), "results": rows}
    )
    in_order = {name: (_PERIOD | example)[name] for name in fields}
    table = f"{','.join(in_order)}\r\n{','.join(map(csv_text, in_order.values()))}\r\n"
    describe: Callable[[_F], _F] = extend_schema(
        parameters=[*parameters, _FORMAT],
        responses={
            (200, "application/json"): answer(
                rows_of_zone, {"time_zone": "Asia/Shanghai", "results": [in_order]}
            ),
            (200, CSV): answer(OpenApiTypes.STR, table),
        },
    )
    return describe


class StatisticsView(APIView):
    """Statistics of one account. A view says which parameters it takes, and which fields it has."""

    scope = "stats"
    renderer_classes = [JSONRenderer, CSVRenderer]
    # The view's parameters besides account and format.
    parameters: ClassVar[frozenset[str]] = frozenset({"from", "to", "interval"})
    fields: Sequence[str] = ()

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        with timezone.override(datetime.UTC):
            return super().dispatch(request, *args, **kwargs)

    def span(self, request: Request, interval: Period | None = None) -> Span:
        """Returns the account's days and period from the parameters; raises ValidationError."""
        self.check_parameters(request)
        account = self.account(request)
        return Span(account, *_days(request), interval or _interval(request))

    def accounts_and_days(
        self, request: Request
    ) -> tuple[list[OfficialAccount], datetime.date, datetime.date]:
        """Returns the accounts in the parameters, by default all that the user sees, and the days.

        For statistics of several accounts together. Raises ValidationError.
        """
        self.check_parameters(request)
        rows = OfficialAccount.objects.only("pk", "slug", "time_zone").order_by("slug")
        seen = {account.slug: account for account in visible_to(request.user, rows, "pk")}
        written = request.query_params.get("account")
        chosen = list(seen) if written is None else written.split(",")
        if not seen.keys() >= set(chosen):
            sentence = _("There is no such account.")
            raise ValidationError({"account": [sentence]}, code="does_not_exist")
        return [seen[slug] for slug in dict.fromkeys(chosen)], *_days(request)

    def check_parameters(self, request: Request) -> None:
        check_parameters(request._request, self.parameters | {"account", "format"})

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

    def answer(
        self, account: OfficialAccount | Sequence[OfficialAccount], rows: Iterable[Any]
    ) -> Response:
        """Returns the answer; `rows` are of a dataclass, or mappings with the view's fields.

        `time_zone` is "" if the accounts have different time zones.
        """
        write = _Writer(self.fields)
        results = [row if row.__class__ is dict else write(row) for row in rows]
        accounts = [account] if isinstance(account, OfficialAccount) else account
        zones = {each.time_zone for each in accounts}
        zone = zones.pop() if len(zones) == 1 else ""
        return Response({"time_zone": zone, "results": results})


def names_of(row: type[Any]) -> tuple[str, ...]:
    """Returns the names of a dataclass's fields."""
    return tuple(each.name for each in dataclasses.fields(row))


class _Writer:
    """Converts rows into mappings. It caches written times, because many rows share one."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = fields
        self._read = operator.attrgetter(*fields)
        # The fields with times, which are the same in all rows of a view.
        self._with_times: Sequence[str] | None = None
        # By id(). The cache keeps the time object too, so that no other object gets its id.
        self._times: dict[int, tuple[datetime.datetime, str]] = {}

    def __call__(self, row: Any) -> dict[str, Any]:
        values = dict(zip(self._fields, self._read(row), strict=True))
        if self._with_times is None:
            self._with_times = [
                name for name, value in values.items() if isinstance(value, datetime.datetime)
            ]
        for name in self._with_times:
            values[name] = self._text(values[name])
        return values

    def _text(self, moment: datetime.datetime) -> str:
        known = self._times.get(id(moment))
        if known is None:
            known = self._times[id(moment)] = (moment, moment.isoformat())
        return known[1]


def _days(request: Request) -> tuple[datetime.date, datetime.date]:
    first, last = (_day(request, name) for name in ("from", "to"))
    if last < first:
        raise ValidationError({"to": [_("This is before the first day.")]})
    if (last - first).days >= LONGEST_SPAN:
        raise ValidationError({"to": [_("Choose at most five years of days.")]})
    return first, last


def _day(request: Request, name: str) -> datetime.date:
    day = day_in(request.query_params.get(name, ""))
    if day is None:
        raise ValidationError({name: [_("Give a day, such as 2026-11-23.")]})
    return day


def _interval(request: Request) -> Period:
    try:
        return Period(request.query_params.get("interval", Period.DAY.value))
    except ValueError:
        raise ValidationError({"interval": [_("One of hour, day, week, month.")]}) from None
