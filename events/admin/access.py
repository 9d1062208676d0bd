"""Limits the admin to the accounts that a user may see, and reads none of their secrets."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from events.admin.base import ModelAdmin
from events.models import ACCOUNT_SECRETS, OfficialAccount, with_account
from events.viewer import visible_to

__all__ = ["AccountModelAdmin", "visible_accounts"]


def visible_accounts(request: HttpRequest) -> QuerySet[OfficialAccount]:
    """Returns the accounts that the user may see, without their secrets."""
    return visible_to(request.user, OfficialAccount.objects.defer(*ACCOUNT_SECRETS), "pk")


class AccountModelAdmin(ModelAdmin):
    """Shows only rows of the accounts that the user may see, each with its account."""

    # The path from a row to its account; "" for tables that belong to no account.
    account_path = "account"

    # The type is Any, because each table has its own class of queries.
    def get_queryset(self, request: HttpRequest) -> Any:
        rows: QuerySet[Any] = super().get_queryset(request)
        if not self.account_path:
            return rows
        if self.account_path == "account":
            rows = with_account(rows)
        return visible_to(request.user, rows, self.account_path)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and db_field.related_model is OfficialAccount:
            accounts = field.queryset.defer(*ACCOUNT_SECRETS)
            field.queryset = visible_to(request.user, accounts, "pk")
        return field
