"""Downloads of the dashboard's tables as CSV files, with all rows."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from events.audit.record import record
from events.models import EventLog
from events.spreadsheets import harmless
from subscribers.stats.reading.queries import RETENTION_DAYS
from wechat_site.admin.dashboard import activity, growth
from wechat_site.admin.dashboard.choice import Choice, choice_of

__all__ = ["download", "download_url"]

_MOST_TEXTS = 5000

_Table = tuple[Sequence[str], Iterable[Sequence[Any]]]


def download(request: HttpRequest) -> HttpResponse:
    """One table of the dashboard, chosen by ``?table=``, with the choice of the page."""
    table = request.GET.get("table", "")
    if table not in _TABLES:
        raise Http404
    permissions, rows_of = _TABLES[table]
    if not request.user.has_perms(permissions):
        raise PermissionDenied
    if table == "texts":
        record("export", EventLog, details={"filters": ["dashboard", table]})
    choice = choice_of(request)
    names, rows = rows_of(choice)
    days = choice.days
    response = HttpResponse(
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{table}-{days.first}-{days.last}.csv"'
        },
    )
    # Excel takes a file for UTF-8 only if it begins with this mark.
    response.write("\ufeff")
    writer = csv.writer(response)
    writer.writerow(names)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return response


def download_url(choice: Choice) -> str:
    """The address of the downloads; the template adds the name of a table."""
    return f"{reverse('dashboard_download')}{choice.url()}&table="


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return harmless(value)
    return "" if value is None else value


def _growth(choice: Choice) -> _Table:
    first = _("Hour of the day") if choice.is_one_day else _("Day")
    names = (first, _("New"), _("Cancelled"), _("Net"))
    return names, ((row.label, row.new, row.left, row.net) for row in growth.growth(choice))


def _sources(choice: Choice) -> _Table:
    names = [
        _("Official Account"), _("Source"), _("Scene"), _("Came"), _("Difference"),
        _("Still following"),
    ]  # fmt: skip
    for days in RETENTION_DAYS:
        names += [_("Stayed %s days") % days, _("Came %s days ago or more") % days]
    rows = (
        (
            *(row.account, row.name, row.scene, row.source.came, row.difference),
            row.source.still_following,
            *(number for _days, stayed, due, _share in row.kept() for number in (stayed, due)),
        )
        for row in growth.source_rows(choice)
    )
    return names, rows


def _menu(choice: Choice) -> _Table:
    names = (
        _("Official Account"), _("Menu entry"), _("Key"), _("Taps"), _("People by day"),
        _("Difference"), _("Unanswered"),
    )  # fmt: skip
    rows = (
        (
            *(row.account, row.name.path if row.name else "", row.key, row.taps, row.people),
            *(row.difference, row.unanswered),
        )
        for row in activity.entries(choice)
    )
    return names, rows


def _hours(choice: Choice) -> _Table:
    names = (_("Weekday"), _("Hour"), _("Events"))
    return names, (
        (weekday, cell.hour, cell.events) for weekday, row in activity.hours(choice) for cell in row
    )


def _texts(choice: Choice) -> _Table:
    names = (_("Official Account"), _("Text"), _("Times"), _("People by day"), _("Last"))
    rows = (
        (row.account, row.text.text, row.text.messages, row.text.people, row.text.last_at)
        for row in activity.texts(choice, limit=_MOST_TEXTS)
    )
    return names, rows


_TABLES: dict[str, tuple[Sequence[str], Callable[[Choice], _Table]]] = {
    "growth": (["subscribers.view_subscriber"], _growth),
    "sources": (["subscribers.view_subscriber"], _sources),
    "menu": (["events.view_eventlog"], _menu),
    "hours": (["events.view_eventlog"], _hours),
    "texts": (["events.view_eventlog", "events.view_message_contents"], _texts),
}
