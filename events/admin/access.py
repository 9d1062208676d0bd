"""Limits the admin to the accounts that a user may see, and reads none of their secrets."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from events.admin.base import ModelAdmin
from events.models import ACCOUNT_SECRETS, OfficialAccount, with_account
from events.viewer import account_ids, visible_to

__all__ = ["AccountModelAdmin", "OfAllAccounts", "chosen_account", "visible_accounts"]


def visible_accounts(request: HttpRequest) -> QuerySet[OfficialAccount]:
    """Returns the accounts that the user may see, without their secrets."""
    return visible_to(request.user, OfficialAccount.objects.defer(*ACCOUNT_SECRETS), "pk")


def chosen_account(request: HttpRequest) -> OfficialAccount | None:
    """Returns the account in the address, or the only one."""
    accounts = list(visible_accounts(request))
    slug = request.GET.get("account")
    found = next((account for account in accounts if account.slug == slug), None)
    return found or (accounts[0] if len(accounts) == 1 and not slug else None)


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


class OfAllAccounts:
    """Hides a page about all accounts from users who see only some accounts."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _sees_all(request) and bool(
            super().has_module_permission(request)  # type: ignore[misc]
        )

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _sees_all(request) and bool(
            super().has_view_permission(request, obj)  # type: ignore[misc]
        )

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _sees_all(request) and bool(
            super().has_add_permission(request)  # type: ignore[misc]
        )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _sees_all(request) and bool(
            super().has_change_permission(request, obj)  # type: ignore[misc]
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _sees_all(request) and bool(
            super().has_delete_permission(request, obj)  # type: ignore[misc]
        )


def _sees_all(request: HttpRequest) -> bool:
    return account_ids(request.user) is None
