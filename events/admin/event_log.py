"""The operators' pages of the event log: the list, one event, trying again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action

from events.admin.changelist import KeysetModelAdmin, ReadOnly
from events.admin.event_columns import EventColumns
from events.admin.html import confirmation
from events.admin.list_filters import (
    AccountFilter,
    AnswerFilter,
    EventTimeFilter,
    KindFilter,
    MendedFilter,
    StatusFilter,
    UnmatchedTextFilter,
    WeekHourFilter,
    span_of,
)
from events.answering.people_slot import scene_names
from events.audit.record import record
from events.callback.judge_again import judge, read_again
from events.log.process import fold_if_missing, reopen
from events.menus.names import MenuNames
from events.models import EventLog, MessageText
from events.models.event_log import EventLogQuerySet
from events.search.find import find
from events.viewer import may_see_contents, may_see_openids

__all__ = ["EventLogAdmin"]

# The most events that one request tries again, because it reads and folds them itself.
_TRY_AGAIN_AT_ONCE = 100

# The most messages that a search by words lists; the page of texts lists all.
_MOST_FOUND = 500

_RETRIABLE = {
    EventLog.Status.FAILED,
    EventLog.Status.DEAD,
    EventLog.Status.QUARANTINED,
    EventLog.Status.UNREADABLE,
}


@admin.register(EventLog)
class EventLogAdmin(EventColumns, ReadOnly, KeysetModelAdmin):
    """The log, read-only. Pages mask binding codes, because a valid one works like a key."""

    holds_personal_data = True
    # Reply handlers run outside every transaction.
    actions_outside_transaction = ("try_again",)
    list_display = ["time", "kind_label", "follower", "key", "badge", "delivery_count", "account"]
    list_display_links = ["time"]
    list_filter = [
        AccountFilter, KindFilter, StatusFilter, AnswerFilter, MendedFilter, EventTimeFilter,
        WeekHourFilter, UnmatchedTextFilter,
    ]  # fmt: skip
    search_help_text = _(
        "OpenID, scene, menu key or URL, or number of the event, as a whole; or words of a message"
    )
    actions = ["try_again"]
    actions_detail = ["try_this_again"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("kind_label", "status"), ("account", "source"), ("time", "received"),
                    "follower", "whole_key", "shown_ticket", "msg_id",
                ]
            },
        ),
        (_("Content"), {"fields": ["shown_payload", "mended"]}),
        (
            _("Answer"),
            {
                "fields": [
                    ("answered", "answered_by", "is_cut"), "rule", "shown_reply", "shown_error",
                ]
            },
        ),
        (
            _("Delivery and processing"),
            {
                "fields": [
                    ("delivery_count", "last_delivery"), ("folded", "outcome"),
                    ("attempts", "next_attempt"), "duration_ms",
                ]
            },
        ),
        (_("As received"), {"fields": ["shown_raw"], "classes": ["collapse"]}),
    ]  # fmt: skip
    readonly_fields = [
        "kind_label", "status", "account", "source", "time", "received", "follower", "whole_key",
        "shown_ticket", "msg_id", "shown_payload", "mended", "answered", "answered_by", "is_cut",
        "rule", "shown_reply", "shown_error", "delivery_count",
        "last_delivery", "folded", "outcome", "attempts", "next_attempt", "duration_ms",
        "shown_raw",
    ]  # fmt: skip

    def time_column(self, request: HttpRequest) -> str | None:
        return "event_time" if EventTimeFilter.is_chosen(request) else None

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        _name_keys(changelist.result_list)
        return changelist

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        event = super().get_object(request, object_id, from_field)
        if event is not None:
            _name_keys([event])
        return event

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leaves out the fields "mended" and "answer cut short" if they are false."""
        hidden = {name for name in ("mended", "is_cut") if not getattr(obj, name, False)}
        shown = []
        for title, options in super().get_fieldsets(request, obj):
            rows = [
                row if isinstance(row, str) else tuple(name for name in row if name not in hidden)
                for row in options["fields"]
                if row not in hidden
            ]
            shown.append((title, {**options, "fields": rows}))
        return shown

    def get_list_display(self, request: HttpRequest) -> Any:
        columns = list(super().get_list_display(request))
        if may_see_contents():
            columns.insert(columns.index("key"), "words")
        return columns

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Finds rows with exactly this term; if there are none, the newest texts with its words."""
        found, is_doubled = super().get_search_results(request, queryset, search_term)
        if not (found.query.is_empty() and may_see_contents()):
            return found, is_doubled
        texts = find(search_term, span_of(request), limit=_MOST_FOUND)
        of_events = [text.source_id for text in texts if text.said != MessageText.Said.MESSAGE]
        return queryset.filter(pk__in=of_events), is_doubled

    def has_retry_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whether the user may try events again, and whether the given event has failed."""
        if not request.user.has_perm("events.change_eventlog"):
            return False
        if object_id is None:
            return True
        event = self.get_object(request, object_id)
        return event is not None and event.status in _RETRIABLE

    def search_exactly(self, queryset: Any, term: str) -> QuerySet[Any]:
        for matching in (
            queryset.with_openid(term) if may_see_openids() else queryset.none(),
            queryset.with_scene(term),
            queryset.with_event_key(term),
            super().search_exactly(queryset, term),
        ):
            if matching.order_by().exists():
                return matching
        none: QuerySet[Any] = queryset.none()
        return none

    @action(description=_("Try again"), permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: EventLogQuerySet) -> None:
        chosen = EventLog.objects.filter(
            pk__in=list(queryset.values_list("pk", flat=True)[:_TRY_AGAIN_AT_ONCE])
        )
        tried = chosen.filter(status__in=_RETRIABLE).count()
        unreadable = list(chosen.with_status(EventLog.Status.UNREADABLE).only_key())
        again = [*reopen(chosen), *judge(chosen), *filter(None, map(read_again, unreadable))]
        for event in again:
            fold_if_missing(event)
        # A reply handler may be slow, so the worker runs it: these rows are due.
        folded = EventLog.objects.filter(pk__in=[event.pk for event in again]).folded().count()
        if folded:
            messages.success(
                request,
                ngettext(
                    "%s event is with the worker, which answers it. Reload the page in a moment.",
                    "%s events are with the worker, which answers them. Reload the page in a "
                    "moment.",
                    folded,
                )
                % folded,
            )
        if failed := tried - folded:
            messages.error(
                request,
                ngettext("%s event failed again.", "%s events failed again.", failed) % failed,
            )
        if not tried:
            messages.info(request, _("Only failed events can be tried again."))

    @action(description=_("Try again"), permissions=["retry"])
    def try_this_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        back = reverse("admin:events_eventlog_change", args=[object_id])
        if request.method != "POST":
            return confirmation(
                request,
                self,
                title=_("Try again"),
                sentences=[_("The event is folded if it has not been, and answered again.")],
                back=back,
            )
        record("try_again", self.get_object(request, object_id) or EventLog)
        self.try_again(request, self.get_queryset(request).filter(pk=object_id))
        if not EventLog.objects.filter(pk=object_id).exists():
            # It was unreadable, and became another row.
            back = reverse("admin:events_eventlog_changelist")
        return HttpResponseRedirect(back)


def _name_keys(events: list[Any]) -> None:
    """Sets `menu_name` and `code_name` on each event of a page, with one query for each name."""
    entries = MenuNames.for_events(events)
    codes = scene_names((event.account_id for event in events), (event.scene for event in events))
    for event in events:
        event.menu_name = entries.of(event)
        event.code_name = codes.get((event.account_id, event.scene), "")
