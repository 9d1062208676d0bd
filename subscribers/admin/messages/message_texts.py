"""The page that searches the words of followers and of the answers to them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from events.admin.changelist import KeysetChangeList, KeysetModelAdmin, ReadOnly
from events.admin.html import follower_link, moment
from events.admin.list_filters import AccountFilter, EventTimeFilter, span_of
from events.binding_scenes import mask_codes
from events.db.keyset import RowCursor
from events.models import MessageText
from events.search.find import find
from events.viewer import may_see_contents, may_see_openids, shown_openid

__all__ = ["MessageTextAdmin"]

_COLUMN = "event_time"


class FoundTexts(KeysetChangeList):
    """The newest texts, or those with the words of the search."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query:
            return
        older = RowCursor.parse(request.GET.get("older_than"), _COLUMN)
        rows = find(
            self.query,
            span_of(request),
            limit=self.list_per_page + 1,
            before=(older.at, older.pk) if older is not None and older.at is not None else None,
        )
        self.result_list = shown = rows[: self.list_per_page]
        self.result_count = self.full_result_count = len(shown)
        self.newer_url = self.newest_url if older is not None else None
        self.older_url = None
        if len(rows) > len(shown):
            cursor = RowCursor.of(shown[-1], _COLUMN)
            self.older_url = self.get_query_string({"older_than": cursor}, ["newer_than"])


@admin.register(MessageText)
class MessageTextAdmin(ReadOnly, KeysetModelAdmin):
    holds_personal_data = True
    list_display = ["time", "who", "text", "follower", "account"]
    list_display_links = ["time"]
    list_filter = [AccountFilter, EventTimeFilter]
    search_help_text = _("Words of a message or an answer, Chinese or Latin; all of them")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return FoundTexts

    def time_column(self, request: HttpRequest) -> str | None:
        return _COLUMN

    def search_exactly(self, queryset: Any, term: str) -> QuerySet[Any]:
        # FoundTexts searches instead, in get_results().
        found: QuerySet[Any] = queryset.none()
        return found

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may_view: bool = super().has_view_permission(request, obj)
        return may_view and may_see_contents()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Redirects to the event or message that has the text."""
        text = self.get_object(request, object_id)
        if text is None or not self.has_view_permission(request, text):
            return super().change_view(request, object_id, form_url, extra_context)
        is_message = text.said == MessageText.Said.MESSAGE
        table = "subscribers_outgoingmessage" if is_message else "events_eventlog"
        return HttpResponseRedirect(reverse(f"admin:{table}_change", args=[text.source_id]))

    @display(description=_("time"))
    def time(self, text: MessageText) -> str:
        return moment(text.event_time, text.account)

    @display(description=_("said by"))
    def who(self, text: MessageText) -> str:
        return text.get_said_display()

    @display(description=_("text"))
    def text(self, text: MessageText) -> str:
        content = mask_codes(text.content, text.event_time, now=timezone.now())
        if not may_see_openids():
            content = content.replace(text.openid, shown_openid(text.openid))
        return render_to_string("admin/pieces/words.html", {"text": content})

    @display(description=_("follower"))
    def follower(self, text: MessageText) -> str:
        return follower_link(text.openid)
