from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from events.models import ReplyRule

__all__ = ["ReplyRuleAdmin"]

_SHOWN_OF_A_REPLY = 60


@admin.register(ReplyRule)
class ReplyRuleAdmin(ModelAdmin):
    list_display = ["account", "trigger", "shown_key", "content_start", "is_active"]
    list_display_links = ["trigger"]
    list_filter = ["account", "trigger", "is_active"]
    list_select_related = ["account"]
    search_fields = ["key", "content"]

    @display(description=_("key"))
    def shown_key(self, rule: ReplyRule) -> str:
        return rule.key or str(_("(any)"))

    @display(description=_("reply"))
    def content_start(self, rule: ReplyRule) -> str:
        start = rule.content[:_SHOWN_OF_A_REPLY]
        return start if start == rule.content else start + "…"
