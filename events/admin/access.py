"""Limits the admin to the accounts that a user may see."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from events.admin.base import ModelAdmin
from events.models import ACCOUNT_SECRETS, OfficialAccount
from events.viewer import visible_to

__all__ = ["AccountModelAdmin", "visible_accounts"]


def visible_accounts(request: HttpRequest) -> QuerySet[OfficialAccount]:
    """Returns the accounts that the user may see, without their secrets."""
    return visible_to(request.user, OfficialAccount.objects.defer(*ACCOUNT_SECRETS), "pk")


class AccountModelAdmin(ModelAdmin):
    """Shows only rows of the accounts that the user may see."""

    # The path from a row to its account; "" for tables that belong to no account.
    account_path = "account"

    # The type is Any, because each table has its own class of queries.
    def get_queryset(self, request: HttpRequest) -> Any:
        rows: QuerySet[Any] = super().get_queryset(request)
        return visible_to(request.user, rows, self.account_path) if self.account_path else rows

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and db_field.related_model is OfficialAccount:
            field.queryset = visible_to(request.user, field.queryset, "pk")
        return field
