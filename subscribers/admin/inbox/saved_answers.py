"""The operators' page of saved answers (快捷回复)."""

from __future__ import annotations

from django.contrib import admin

from events.admin.access import AccountModelAdmin
from subscribers.models import SavedAnswer

__all__ = ["SavedAnswerAdmin"]


@admin.register(SavedAnswer)
class SavedAnswerAdmin(AccountModelAdmin):
    list_display = ["title", "text", "account"]
    list_display_links = ["title"]
    fields = ["account", "title", "text"]
