"""Filters of the large lists. Each finds its choices cheaply and filters by an index."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from events.admin.access import visible_accounts
from events.kinds import KINDS, label
from events.models import EventLog, OfficialAccount, UnansweredEvent
from events.models.event_log.choices import USUAL_ANSWERS
from events.search.find import Span
from events.stats.periods import Period, day_start, days_in, next_start, starts_between
from events.stats.series import MENU_KINDS, MESSAGE_KINDS
from events.viewer import account_ids, may_see_contents

__all__ = [
    "AccountFilter",
    "AnswerFilter",
    "EventTimeFilter",
    "KindFilter",
    "MendedFilter",
    "StatusFilter",
    "UnmatchedTextFilter",
    "WeekHourFilter",
    "span_of",
    "zone_of",
]

# The most days of a span in which an hour of the week can be chosen.
_LONGEST = 366
_A_MONDAY = datetime.date(2026, 11, 23)


class AccountFilter(admin.SimpleListFilter):
    title = _("Official Account")
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return list(visible_accounts(request).values_list("slug", "name"))

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if not self.value():
            return queryset
        # Look the account up first: in a join PostgreSQL could not estimate how many rows it has.
        account = _account_in(request)
        return queryset.none() if account is None else queryset.filter(account=account.pk)


class KindFilter(admin.SimpleListFilter):
    """A kind, or a group of kinds that the dashboard counts together.

    The filter lists a group only while it is chosen.
    """

    title = _("kind")
    parameter_name = "kind"
    MESSAGES, MENU = "messages", "menu"
    groups = {
        MESSAGES: (_("messages of all kinds"), MESSAGE_KINDS),
        MENU: (_("menu taps of all kinds"), MENU_KINDS),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        chosen = request.GET.get(self.parameter_name, "")
        group = [(chosen, str(self.groups[chosen][0]))] if chosen in self.groups else []
        if account_ids(request.user) is not None:
            # kinds() would show kinds of accounts that this user may not see.
            return group + [(kind, label(kind)) for kind in KINDS]
        return group + [
            (kind, label(kind) if kind in KINDS else str(_("unknown: %s") % kind))
            for kind in EventLog.objects.kinds()
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        kind = self.value()
        if not kind:
            return queryset
        if kind in self.groups:
            return queryset.with_kinds(list(self.groups[kind][1]))
        return queryset.filter(kind=kind)


class StatusFilter(admin.SimpleListFilter):
    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return EventLog.Status.choices

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.with_status(self.value()) if self.value() else queryset


class AnswerFilter(admin.SimpleListFilter):
    """Unanswered events, and those whose answer did not go out in the usual way."""

    title = _("answered by")
    parameter_name = "answered_by"
    # An answer was made, but has not reached the follower.
    UNANSWERED = "nobody"
    # Messages and menu taps without an answer, whether one was made or not.
    NOT_ANSWERED = "not"
    # The answer came after WeChat's first try had ended.
    LATE = "late"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        usual = USUAL_ANSWERS
        ways = [(way, text) for way, text in EventLog.AnsweredBy.choices if way not in usual]
        return [
            (self.UNANSWERED, _("unanswered")),
            (self.NOT_ANSWERED, _("nobody, in the last 100 days")),
            (self.LATE, _("after five seconds")),
            *ways,
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if not self.value():
            return queryset
        match self.value():
            case self.UNANSWERED:
                return queryset.unanswered()
            case self.NOT_ANSWERED:
                return queryset.filter(pk__in=UnansweredEvent.objects.values("pk"))
            case self.LATE:
                return queryset.answered_late()
            case way:
                return queryset.answered_by(way)


class UnmatchedTextFilter(admin.SimpleListFilter):
    """One text that no rule matched, from a link of the dashboard; listed only while chosen."""

    title = _("text without a rule")
    parameter_name = "text"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        text = request.GET.get(self.parameter_name)
        return [(text, text)] if text else []

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if not self.value():
            return queryset
        if not may_see_contents():
            return queryset.none()
        return queryset.filter(
            pk__in=UnansweredEvent.objects.filter(text=self.value()).values("pk")
        )


class MendedFilter(admin.SimpleListFilter):
    """Events that had a broken field."""

    title = _("mended")
    parameter_name = "mended"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [("yes", _("yes"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(mended=True) if self.value() == "yes" else queryset


class EventTimeFilter(admin.SimpleListFilter):
    """The last days, or a span such as 2026-11-01..2026-11-30, by the chosen account's calendar."""

    title = _("event time")
    parameter_name = "days"
    choices_of_days = (("1", _("today")), ("7", _("last 7 days")), ("30", _("last 30 days")))

    @staticmethod
    def written(first: datetime.date, last: datetime.date) -> str:
        """Writes a span as the parameter's value."""
        return f"{first}..{last}"

    @classmethod
    def span(cls, request: HttpRequest) -> tuple[datetime.date, datetime.date] | None:
        """Returns the first and last day of the chosen span; None if none is chosen."""
        return days_in(request.GET.get(cls.parameter_name, ""))

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        span = self.span(request)
        chosen = [(self.written(*span), f"{span[0]} – {span[1]}")] if span else []
        return [*self.choices_of_days, *chosen]

    @classmethod
    def is_chosen(cls, request: HttpRequest) -> bool:
        chosen = request.GET.get(cls.parameter_name) in dict(cls.choices_of_days)
        return chosen or cls.span(request) is not None

    @classmethod
    def bounds(cls, request: HttpRequest) -> tuple[Any, Any]:
        """Returns the first moment and the one after the last; None if there is no such limit."""
        if not cls.is_chosen(request):
            return None, None
        zone = zone_of(request)
        span = cls.span(request)
        if span is not None:
            return day_start(span[0], zone), day_start(span[1] + datetime.timedelta(days=1), zone)
        today = timezone.now().astimezone(zone).date()
        days = int(request.GET[cls.parameter_name])
        return day_start(today - datetime.timedelta(days=days - 1), zone), None

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        start, end = self.bounds(request)
        if start is not None:
            queryset = queryset.filter(event_time__gte=start)
        return queryset if end is None else queryset.filter(event_time__lt=end)


class WeekHourFilter(admin.SimpleListFilter):
    """One hour of one weekday in a span, such as 1-13 for Mondays from 13 o'clock."""

    title = _("hour of the week")
    parameter_name = "hour"

    @classmethod
    def _place(cls, request: HttpRequest) -> tuple[int, int] | None:
        weekday, _dash, hour = request.GET.get(cls.parameter_name, "").partition("-")
        if not (weekday.isascii() and weekday.isdigit() and hour.isascii() and hour.isdigit()):
            return None
        place = int(weekday[:2]), int(hour[:3])
        return place if 1 <= place[0] <= 7 and place[1] <= 23 else None

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        place = self._place(request)
        if place is None:
            return []
        weekday = date_format(_A_MONDAY + datetime.timedelta(days=place[0] - 1), "l")
        return [(f"{place[0]}-{place[1]}", f"{weekday} {place[1]:02}:00")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        place, span = self._place(request), EventTimeFilter.span(request)
        if place is None or span is None or (span[1] - span[0]).days > _LONGEST:
            return queryset
        zone = zone_of(request)
        hours = Q(pk__in=[])
        for start in starts_between(*span, Period.HOUR, zone):
            local = start.astimezone(zone)
            if (local.isoweekday(), local.hour) == place:
                end = next_start(start, Period.HOUR, zone)
                hours |= Q(event_time__gte=start, event_time__lt=end)
        return queryset.filter(hours)


def span_of(request: HttpRequest) -> Span:
    """Returns the texts that a list with these filters searches: accounts and days."""
    accounts = visible_accounts(request)
    if slug := request.GET.get(AccountFilter.parameter_name):
        accounts = accounts.filter(slug=slug)
    start, end = EventTimeFilter.bounds(request)
    return Span(list(accounts.values_list("pk", flat=True)), start, end)


def zone_of(request: HttpRequest) -> zoneinfo.ZoneInfo:
    """Returns the time zone of the list's account; the site's for a list of all accounts."""
    account = _account_in(request)
    return zoneinfo.ZoneInfo(settings.TIME_ZONE) if account is None else account.zone


def _account_in(request: HttpRequest) -> OfficialAccount | None:
    """Returns the account in the list's address, read once in each request."""
    if not hasattr(request, "account_of_list"):
        slug = request.GET.get(AccountFilter.parameter_name)
        accounts = OfficialAccount.objects.only("pk", "time_zone")
        found = accounts.filter(slug=slug).first() if slug else None
        request.account_of_list = found  # type: ignore[attr-defined]
    account: OfficialAccount | None = request.account_of_list  # type: ignore[attr-defined]
    return account
