"""The operators' page of WeChat's daily figures beside ours, with the reason for a difference."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from events.admin.access import AccountModelAdmin
from events.admin.changelist import ReadOnly
from events.admin.hindered import NeedsRight
from events.admin.list_filters import AccountFilter
from subscribers.datacube.compare_figures import REASONS, compare
from subscribers.models import WeChatDay

__all__ = ["WeChatDayAdmin"]


@admin.register(WeChatDay)
class WeChatDayAdmin(NeedsRight, ReadOnly, AccountModelAdmin):
    needs_right = "/datacube/getusersummary"
    list_display = ["date", "account", "follows", "unfollows", "followers", "reason"]
    list_display_links = None
    list_filter = [AccountFilter]
    list_per_page = 31
    ordering = ["-date", "-pk"]
    show_full_result_count = False

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Compares the days of this page with our figures, account by account."""
        changelist = super().get_changelist_instance(request)
        by_account = defaultdict(list)
        for day in changelist.result_list:
            by_account[day.account].append(day)
        for account, days in by_account.items():
            for compared in compare(account, days):
                row: Any = compared.theirs
                row.compared = compared
        return changelist

    @display(description=_("follows: WeChat's, ours"))
    def follows(self, day: Any) -> str:
        return _beside(day.new, day.compared.ours.new)

    @display(description=_("unfollows: WeChat's, ours"))
    def unfollows(self, day: Any) -> str:
        return _beside(day.cancelled, day.compared.ours.cancelled)

    @display(description=_("followers: WeChat's, ours"))
    def followers(self, day: Any) -> str:
        return _beside(day.cumulative, day.compared.ours.cumulative)

    @display(description=_("reason"))
    def reason(self, day: Any) -> str:
        reasons = day.compared.reasons
        return " ".join(str(REASONS[reason]) for reason in reasons) or str(_("alike"))


def _beside(theirs: int, ours: int) -> str:
    difference = theirs - ours
    return f"{theirs} · {ours}" + (f" ({difference:+})" if difference else "")
