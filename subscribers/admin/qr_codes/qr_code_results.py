"""The page with results of QR codes: of one, of chosen ones or of a group; also as CSV."""

from __future__ import annotations

import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from events.admin.base import ModelAdmin
from events.admin.list_filters import EventTimeFilter
from events.models import with_account
from events.numbers import numbers_in, percentage
from events.spreadsheets import csv_parts
from events.stats.periods import day_in
from events.viewer import visible_to
from subscribers.admin.followers.follower_filters import may_see_bindings
from subscribers.campaigns.results import DAYS, CodeResult, by_day, results, total
from subscribers.models import QRScene
from subscribers.segments.of_codes import STEPS, written

__all__ = ["WithResults"]

# The most codes that a page compares, and the most days.
_MOST_CODES = 500
_MOST_DAYS = 366
_DAYS_DRAWN = 92
_USUAL_DAYS = 30


class WithResults(ModelAdmin):
    """The part of the QR codes' admin that shows the results of codes."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.results_view)
        return [path("results/", view, name="subscribers_qrscene_results"), *super().get_urls()]

    @action(description=_("Compare results"), permissions=["view"])
    def compare(self, request: HttpRequest, queryset: QuerySet[QRScene]) -> HttpResponse:
        # One more than the page compares, so that the page can say that these are too many.
        pks = queryset.order_by().values_list("pk", flat=True)[: _MOST_CODES + 1]
        ids = ",".join(str(pk) for pk in pks)
        return HttpResponseRedirect(f"{reverse('admin:subscribers_qrscene_results')}?ids={ids}")

    def results_view(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """Shows the results of the codes in `ids`, of the group `group`, or of all codes.

        `days` chooses the days.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        codes = self._codes(request)
        if len(codes) > _MOST_CODES:
            messages.error(request, _("Choose 500 codes at most."))
            return HttpResponseRedirect(reverse("admin:subscribers_qrscene_changelist"))
        first, last = _span(request, codes)
        rows = results(codes, first, last)
        if request.GET.get("format") == "csv":
            return _csv(rows)
        shown = [_shown(row, first, last) for row in rows]
        return TemplateResponse(
            request,
            "admin/subscribers/qrscene/results.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": self._title(request, codes),
                "first": first,
                "last": last,
                "days": DAYS,
                "rows": shown,
                "total": _shown(total(rows, str(_("total"))), first, last)
                if len(rows) > 1
                else None,
                # Links only for a single code: a list shows a person who came by two codes once,
                # a total counts them twice.
                "funnel": _funnel(total(rows, ""), shown[0]["links"] if len(rows) == 1 else {})
                if rows
                else [],
                "chart": _chart(codes, first, last),
                "query": _without(request, "days"),
                "csv": f"?{_without(request, 'format')}&format=csv",
            },
        )

    def _codes(self, request: HttpRequest) -> list[QRScene]:
        codes = visible_to(request.user, with_account(QRScene.objects.all()))
        if "ids" in request.GET:
            codes = codes.filter(pk__in=numbers_in(request.GET["ids"].split(",")))
        elif group := request.GET.get("group"):
            codes = codes.filter(group=group)
        return list(codes.order_by("pk")[: _MOST_CODES + 1])

    def _title(self, request: HttpRequest, codes: list[QRScene]) -> str:
        if len(codes) == 1:
            return codes[0].name
        return request.GET.get("group") or str(_("Results of QR codes"))


def _span(request: HttpRequest, codes: list[QRScene]) -> tuple[datetime.date, datetime.date]:
    """The chosen days; by default thirty that end today, by the clock of the codes' account."""
    chosen = EventTimeFilter.span(request)
    zones = {code.account.zone for code in codes}
    last = timezone.localdate(timezone=zones.pop() if len(zones) == 1 else None)
    if chosen is None:
        last = day_in(request.GET.get("to", "")) or last
        usual = last - datetime.timedelta(days=_USUAL_DAYS - 1)
        chosen = (day_in(request.GET.get("from", "")) or usual, last)
    first, last = min(chosen), max(chosen)
    return max(first, last - datetime.timedelta(days=_MOST_DAYS - 1)), last


def _shown(row: CodeResult, first: datetime.date, last: datetime.date) -> dict[str, Any]:
    links = _people(row.code, first, last) if row.code is not None else {}
    return {
        "row": row,
        "links": links,
        "retained": [
            (
                day,
                row.retained[day],
                percentage(row.retained[day], row.due[day]),
                links.get(f"after-{day}"),
            )
            for day in DAYS
        ],
    }


def _people(code: QRScene, first: datetime.date, last: datetime.date) -> dict[str, str]:
    """Addresses of the code's page and, for each step, of the list of followers it counts."""
    people = reverse("admin:subscribers_subscriber_changelist")
    span = EventTimeFilter.written(first, last)

    def link(step: str, **more: str) -> str:
        chosen = {"account": code.account.slug, "code": written(span, step, code.scene)}
        return f"{people}?{urlencode(chosen | more)}"

    return {
        "page": reverse("admin:subscribers_qrscene_change", args=[code.pk]),
        **{step: link(step) for step in STEPS},
        "still": link("followed", following="yes"),
        "bound": link("followed", bound="yes") if may_see_bindings() else "",
    }


def _funnel(row: CodeResult, links: dict[str, str]) -> list[tuple[Any, int, int, str]]:
    """Each step: its name, its number, its bar's length in percent, the address of its people."""
    steps = [
        (_("scans and follows"), row.scans, "people"),
        (_("people"), row.people, "people"),
        (_("new followers"), row.new, "new"),
        *((STEPS[f"after-{day}"], row.retained[day], f"after-{day}") for day in DAYS),
        (_("bound"), row.bound, "bound"),
    ]
    most = max(number for _name, number, _step in steps) or 1
    return [
        (name, number, round(100 * number / most), links.get(step, ""))
        for name, number, step in steps
    ]


def _chart(
    codes: list[QRScene], first: datetime.date, last: datetime.date
) -> list[tuple[datetime.date, int, int]]:
    """Each day: its date, its number, its bar's height in percent. Empty for several accounts."""
    if not codes or len({code.account_id for code in codes}) > 1:
        return []
    start = max(first, last - datetime.timedelta(days=_DAYS_DRAWN - 1))
    days = list(by_day(codes, start, last))
    most = max((number for _day, number in days), default=0) or 1
    return [(day, number, round(100 * number / most)) for day, number in days]


def _without(request: HttpRequest, name: str) -> str:
    kept = request.GET.copy()
    kept.pop(name, None)
    return kept.urlencode()


def _csv(rows: list[CodeResult]) -> StreamingHttpResponse:
    columns = ["name", "scene", "account", "group", "owner", "scans", "people", "new"]
    columns += [f"still_after_{day}_days" for day in DAYS]
    columns += [f"came_{day}_days_ago" for day in DAYS] + ["still_following", "bound"]

    def record(row: CodeResult) -> dict[str, Any]:
        assert row.code is not None
        return {
            "name": row.name, "scene": row.code.scene, "account": row.code.account.slug,
            "group": row.code.group, "owner": row.code.owner, "scans": row.scans,
            "people": row.people, "new": row.new, "still_following": row.still,
            "bound": row.bound,
            **{f"still_after_{day}_days": row.retained[day] for day in DAYS},
            **{f"came_{day}_days_ago": row.due[day] for day in DAYS},
        }  # fmt: skip

    def parts() -> Any:
        # Excel takes a file for UTF-8 only if it begins with this mark.
        yield "\ufeff".encode()
        yield from csv_parts(map(record, rows), columns)

    response = StreamingHttpResponse(parts(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="qr-code-results.csv"'
    return response
