"""The operators' page of saved answers (快捷回复)."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from events.admin.access import AccountModelAdmin
from events.models import with_account
from subscribers.models import SavedAnswer

__all__ = ["SavedAnswerAdmin"]


@admin.register(SavedAnswer)
class SavedAnswerAdmin(AccountModelAdmin):
    list_display = ["title", "text", "account"]
    list_display_links = ["title"]
    list_select_related = ["account"]
    fields = ["account", "title", "text"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return with_account(super().get_queryset(request))
