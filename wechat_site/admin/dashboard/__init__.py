"""The dashboard shows operators whether their work has an effect and whether the site works."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from events.admin.people.api_keys import ending_keys
from events.audit.record import record_look_at_list
from events.models import EventLog, TaskRun
from events.stats.reading.overview import kind_totals
from subscribers.models import Subscriber
from subscribers.stats.reading.queries import RETENTION_DAYS
from wechat_site.admin.dashboard import activity, alive, growth, latest
from wechat_site.admin.dashboard.choice import accounts_of, choice_of
from wechat_site.admin.dashboard.download import download, download_url
from wechat_site.admin.dashboard.figure import Figure

__all__ = ["accounts_of", "dashboard", "download"]

# How many rows a table on the page shows; the CSV file has all.
_SHOWN = 10


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Adds what the page shows: each part only for users who may see its rows."""
    now = timezone.now()
    choice = choice_of(request)
    context |= {"choice": choice, "before": choice.days.before, "now": now}
    may = request.user.has_perm
    sees_followers, sees_events = (
        may("subscribers.view_subscriber"), may("events.view_eventlog"),
    )  # fmt: skip
    kinds = kind_totals(choice.days) if sees_followers or sees_events else {}
    figures: list[Figure] = []
    if sees_followers:
        figures += growth.follower_figures(choice, kinds)
        rows = growth.growth(choice)
        context["growth"] = rows
        context["growth_chart"] = growth.growth_chart(choice, rows)
        context["has_growth"] = any(row.new or row.left for row in rows)
        sources = growth.source_rows(choice)
        context["sources"], context["more_sources"] = _cut(sources)
        context["retention_days"] = RETENTION_DAYS
    if sees_events:
        record_look_at_list(EventLog, ["dashboard"])
        figures += activity.event_figures(choice, kinds)
        context["entries"], context["more_entries"] = _cut(activity.entries(choice))
        context["hours"] = activity.hours(choice)
        context["has_hours"] = any(cell.events for _name, row in context["hours"] for cell in row)
        if may("events.view_message_contents"):
            context["texts"] = activity.texts(choice, limit=_SHOWN)
        context["latest"] = latest.latest_events(choice, now)
        context["attention"] = latest.attention(choice)
        context["unknown_kinds"] = latest.unknown_kinds(request.user)
    if sees_events and sees_followers:
        record_look_at_list(Subscriber, ["dashboard"])
        context["waiting"] = alive.waiting(choice, now)
    if may("subscribers.view_followersync"):
        context["attention"] = [*context.get("attention", []), *latest.syncs(choice, now)]
    if may("events.view_apikey"):
        context["attention"] = [*context.get("attention", []), *ending_keys(request.user)]
    sees_jobs = admin.site.get_model_admin(TaskRun).has_view_permission(request)
    if may("events.view_officialaccount"):
        last = latest.last_pushes(choice.shown, now)
        context["accounts"] = alive.account_rows(choice, last, now, sees_jobs=sees_jobs)
        context["refusals"] = alive.refusals(choice, request.user, now)
    if sees_jobs:
        context["worker"] = alive.worker(now)
    if figures:
        context["figures"] = figures
    context["download"] = download_url(choice)
    return context


def _cut(rows: list[Any]) -> tuple[list[Any], int]:
    """The rows that a table shows, and how many more there are."""
    return rows[:_SHOWN], max(0, len(rows) - _SHOWN)
