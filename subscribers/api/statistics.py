"""The statistics API of followers, codes and messages."""

from __future__ import annotations

import dataclasses
from itertools import chain
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from events.api.openapi.examples import OPENID
from events.api.statistics_view import (
    ACCOUNT,
    INTERVAL,
    NAMES,
    SPAN,
    StatisticsView,
    names_of,
    statistics_schema,
)
from events.api.views import TooSlow
from events.audit.record import record_look_at_list
from events.db.time_limit import TookTooLong, time_limit
from events.stats.days import Days
from events.stats.periods import Period
from events.stats.reading.queries import MessageRow, messages_in
from events.viewer import shown_openid
from subscribers.models import Subscriber
from subscribers.stats.reading.distinct_people import PeopleRow, distinct_people
from subscribers.stats.reading.messages_out import messages_out
from subscribers.stats.reading.queries import (
    RETENTION_DAYS,
    FollowerRow,
    SceneRow,
    follower_counts,
    scene_counts,
)
from subscribers.stats.reading.summary import SummaryRow, summary
from subscribers.stats.reading.top import TopRow, top_followers

__all__ = [
    "FollowerStatistics",
    "MessageStatistics",
    "PeopleStatistics",
    "SceneStatistics",
    "SummaryStatistics",
    "TopStatistics",
]

_LONGEST_RETENTION = 365
_MOST_RETENTIONS = 10
_MOST_TOP = 100


class FollowerStatistics(StatisticsView):
    """New, cancelled and cumulative followers, and those a comparison with WeChat found."""

    fields = names_of(FollowerRow)

    @statistics_schema(
        FollowerRow,
        {
            "new": 12,
            "cancelled": 4,
            "net": 8,
            "cumulative": 3071,
            "found_following": 0,
            "found_gone": 1,
        },
        ACCOUNT,
        *SPAN,
        INTERVAL,
    )
    def get(self, request: Request) -> Response:
        span = self.span(request)
        return self.answer(span.account, follower_counts(span))


_RETAINED = {f"{what}_{number}": 31 for number in RETENTION_DAYS for what in ("retained", "due")}


class SceneStatistics(StatisticsView):
    """The results of each QR code that was scanned in these days."""

    parameters = frozenset({"from", "to", "retention_days"})
    fields = tuple(
        each.name for each in dataclasses.fields(SceneRow) if each.name not in {"retained", "due"}
    )

    @statistics_schema(
        SceneRow,
        {
            "scene": "poster-spring",
            "name": "Spring poster",
            "scans": 60,
            "people": 48,
            "follows": 31,
            "first_followers": 29,
            "still_following": 26,
            "bound": 5,
            **_RETAINED,
        },
        ACCOUNT,
        *SPAN,
        OpenApiParameter(
            "retention_days",
            {
                "type": "array",
                "items": {"type": "integer", "minimum": 1, "maximum": _LONGEST_RETENTION},
                "minItems": 1,
                "maxItems": _MOST_RETENTIONS,
            },
            explode=False,
            style="form",
            default=list(RETENTION_DAYS),
            description="Numbers of days, with commas between them. For each there is a field "
            "`retained_…`, those who still followed after so long, and `due_…`, those who could.",
        ),
        **{name: serializers.IntegerField(required=False) for name in _RETAINED},
    )
    def get(self, request: Request) -> Response:
        span = self.span(request, Period.DAY)
        days = _retention_days(request)
        plain = self.fields
        self.fields = (
            *plain,
            *(f"{what}_{number}" for number in days for what in ("retained", "due")),
        )
        rows = [_scene_row(row, plain) for row in scene_counts(span, retention_days=days)]
        return self.answer(span.account, rows)


def _scene_row(row: SceneRow, names: tuple[str, ...]) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in names}
    for number, retained in row.retained.items():
        values |= {f"retained_{number}": retained, f"due_{number}": row.due[number]}
    return values


def _retention_days(request: Request) -> list[int]:
    written = request.query_params.get("retention_days")
    if written is None:
        return list(RETENTION_DAYS)
    parts = written.split(",")
    usable = all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts)
    days = sorted({int(part) for part in parts}) if usable else []
    if not days or days[0] < 1 or days[-1] > _LONGEST_RETENTION or len(days) > _MOST_RETENTIONS:
        sentence = _("Up to %(most)s numbers of days from 1 to %(longest)s, such as 1,7,30.")
        raise ValidationError(
            {
                "retention_days": [
                    sentence % {"most": _MOST_RETENTIONS, "longest": _LONGEST_RETENTION}
                ]
            }
        )
    return days


class MessageStatistics(StatisticsView):
    """Messages of followers with their answers, and customer-service messages to followers."""

    parameters = StatisticsView.parameters | {"direction"}
    fields = names_of(MessageRow)

    @statistics_schema(
        MessageRow,
        {
            "direction": "in",
            "messages": 73,
            "people": 40,
            "answered": 70,
            "unanswered": 3,
            "mean_wait_ms": 180,
        },
        ACCOUNT,
        *SPAN,
        INTERVAL,
        OpenApiParameter("direction", str, enum=["in", "out"], description="Both by default."),
    )
    def get(self, request: Request) -> Response:
        span = self.span(request)
        match request.query_params.get("direction"):
            case None:
                rows = chain(messages_in(span), messages_out(span))
            case "in":
                rows = chain(messages_in(span))
            case "out":
                rows = chain(messages_out(span))
            case _unknown:
                raise ValidationError({"direction": [_("One of in, out.")]})
        return self.answer(span.account, rows)


class PeopleStatistics(StatisticsView):
    """Distinct people of several accounts, joined by UnionID.

    A follower without a UnionID counts as one person. The three rows are `following` (when the days
    ended), and `began_following` and `left` (during the days).
    """

    parameters = frozenset({"from", "to"})
    fields = names_of(PeopleRow)

    @statistics_schema(
        PeopleRow,
        {"measure": "following", "followers": 4120, "people": 3866, "unknown": 12},
        OpenApiParameter(
            "account",
            NAMES,
            explode=False,
            style="form",
            description="Handles with commas between them; all accounts that the key sees "
            "without it. The days are those of each account's calendar.",
        ),
        *SPAN,
    )
    def get(self, request: Request) -> Response:
        accounts, first, last = self.accounts_and_days(request)
        try:
            with time_limit():
                rows = distinct_people(Days(accounts, first, last))
        except TookTooLong:
            raise TooSlow from None
        return self.answer(accounts, rows)


class TopStatistics(StatisticsView):
    """The most active followers of some days, or of all time without `from` and `to`."""

    parameters = frozenset({"from", "to", "limit"})
    fields = names_of(TopRow)

    @statistics_schema(
        TopRow,
        {"openid": OPENID, "events": 127},
        ACCOUNT,
        *(OpenApiParameter(each.name, each.type, description=each.description) for each in SPAN),
        OpenApiParameter(
            "limit",
            {"type": "integer", "minimum": 1, "maximum": _MOST_TOP},
            default=20,
            description=f"At most {_MOST_TOP}.",
        ),
    )
    def get(self, request: Request) -> Response:
        limit = _limit(request)
        if {"from", "to"} & set(request.query_params):
            span = self.span(request, Period.DAY)
            account = span.account
        else:
            self.check_parameters(request)
            span, account = None, self.account(request)
        try:
            with time_limit():
                rows = top_followers(span, account.pk, limit=limit)
        except TookTooLong:
            raise TooSlow from None
        record_look_at_list(Subscriber, ["top"])
        shown = [dataclasses.replace(row, openid=shown_openid(row.openid)) for row in rows]
        return self.answer(account, shown)


def _limit(request: Request) -> int:
    written = request.query_params.get("limit", "20")
    usable = written.isascii() and written.isdigit() and len(written) <= 3
    if not usable or not 1 <= int(written) <= _MOST_TOP:
        raise ValidationError({"limit": [_("A whole number from 1 to %s.") % _MOST_TOP]})
    return int(written)


class SummaryStatistics(StatisticsView):
    """The main numbers of these days, and those of as many days before."""

    parameters = frozenset({"from", "to"})
    fields = names_of(SummaryRow)

    @statistics_schema(
        SummaryRow,
        {"measure": "new", "value": 84, "previous": 77, "difference": 7},
        ACCOUNT,
        *SPAN,
    )
    def get(self, request: Request) -> Response:
        span = self.span(request, Period.DAY)
        return self.answer(span.account, summary(span))
