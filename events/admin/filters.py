"""Filters of the large lists. Each looks its choices up cheaply and filters by an index."""

from __future__ import annotations

import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.admin.access import visible_accounts
from events.kinds import KINDS, label
from events.models import EventLog, OfficialAccount
from events.viewer import account_ids

__all__ = ["AccountFilter", "AnswerFilter", "EventTimeFilter", "KindFilter", "StatusFilter"]


class AccountFilter(admin.SimpleListFilter):
    title = _("Official Account")
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return list(visible_accounts(request).values_list("slug", "name"))

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if not self.value():
            return queryset
        # Looked up first: in a join PostgreSQL could not tell how many rows this account has.
        accounts = OfficialAccount.objects.filter(slug=self.value())
        pk = accounts.values_list("pk", flat=True).first()
        return queryset.none() if pk is None else queryset.filter(account=pk)


class KindFilter(admin.SimpleListFilter):
    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        if account_ids(request.user) is not None:
            # What occurs is known of all accounts together only.
            return [(kind, label(kind)) for kind in KINDS]
        return [
            (kind, label(kind) if kind in KINDS else str(_("unknown: %s") % kind))
            for kind in EventLog.objects.kinds()
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(kind=self.value()) if self.value() else queryset


class StatusFilter(admin.SimpleListFilter):
    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return EventLog.Status.choices

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.with_status(self.value()) if self.value() else queryset


class AnswerFilter(admin.SimpleListFilter):
    """Unanswered events, and those whose answer took another way than the usual one."""

    title = _("answered by")
    parameter_name = "answered_by"
    UNANSWERED = "nobody"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        usual = EventLog.USUAL_ANSWERS
        ways = [(way, text) for way, text in EventLog.AnsweredBy.choices if way not in usual]
        return [(self.UNANSWERED, _("unanswered")), *ways]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if not self.value():
            return queryset
        if self.value() == self.UNANSWERED:
            return queryset.unanswered()
        return queryset.answered_by(self.value())


class EventTimeFilter(admin.SimpleListFilter):
    title = _("event time")
    parameter_name = "days"
    choices_of_days = (("1", _("today")), ("7", _("last 7 days")), ("30", _("last 30 days")))

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return self.choices_of_days

    @classmethod
    def is_chosen(cls, request: HttpRequest) -> bool:
        return request.GET.get(cls.parameter_name) in dict(cls.choices_of_days)

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if not self.is_chosen(request):
            return queryset
        today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        return queryset.filter(
            event_time__gte=today - datetime.timedelta(days=int(self.value() or 1) - 1)
        )
