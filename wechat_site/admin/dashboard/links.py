"""Addresses of the rows behind the dashboard's numbers; "" for pages that refuse the viewer."""

from __future__ import annotations

import datetime
import functools
from urllib.parse import urlencode

from django.urls import reverse

from events.admin.list_filters import AnswerFilter, EventTimeFilter
from events.viewer import may
from wechat_site.admin.dashboard.choice import Choice

__all__ = ["account_url", "follower_url", "jobs_url", "list_url", "log_url", "past_days"]


def list_url(app: str, model: str, **filters: str) -> str:
    """The address of an admin list with these filters; filters without a value are left out."""
    if not may(f"{app}.view_{model}"):
        return ""
    query = urlencode({name: value for name, value in filters.items() if value})
    return f"{_list_path(app, model)}{'?' if query else ''}{query}"


@functools.cache
def _list_path(app: str, model: str) -> str:
    return reverse(f"admin:{app}_{model}_changelist")


def log_url(choice: Choice, *, days: str | None = None, **filters: str) -> str:
    """The address of the events of the choice's account and days that match these filters."""
    span = past_days(choice.days.first, choice.days.last) if days is None else days
    account = choice.chosen.slug if choice.chosen else ""
    return list_url(
        "events",
        "eventlog",
        **{"account": account, EventTimeFilter.parameter_name: span} | filters,
    )


def past_days(first: datetime.date, last: datetime.date) -> str:
    """The span as a value of the filter by event time."""
    return EventTimeFilter.written(first, last)


def unanswered_url(choice: Choice, **filters: str) -> str:
    """The address of the choice's events that nobody answered."""
    return log_url(choice, **{AnswerFilter.parameter_name: AnswerFilter.NOT_ANSWERED} | filters)


def account_url(account_id: int) -> str:
    if not may("events.view_officialaccount"):
        return ""
    return reverse("admin:events_officialaccount_change", args=[account_id])


def jobs_url() -> str:
    """The address of the page of background jobs."""
    return reverse("admin:events_taskrun_changelist")


def follower_url(subscriber_id: int) -> str:
    return reverse("admin:subscribers_subscriber_change", args=[subscriber_id])
