"""Shows above a page what cannot work for an account, and the remedy, before anybody tries.

templates/admin/base.html shows the sentences.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from events.admin.access import visible_accounts
from events.platform.hindrances import Ability, abilities, hindrances

__all__ = ["NeedsRight", "can_anybody", "say_hindrances"]


class NeedsRight:
    """A mixin for the admin of a model whose jobs call WeChat's API; list it before ModelAdmin.

    `needs_right` is the API's path. `acts_of_right` are bulk actions; they are hidden if none of
    the user's accounts can use the API.
    """

    needs_right: str
    acts_of_right: tuple[str, ...] = ()

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        say_hindrances(request, self.needs_right)
        return super().changelist_view(request, extra_context)  # type: ignore[misc]

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = context.get("original")
        say_hindrances(request, self.needs_right, row.account_id if row else None)
        response: HttpResponse = super().render_change_form(  # type: ignore[misc]
            request, context, *args, **kwargs
        )
        return response

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)  # type: ignore[misc]
        if not actions.keys() & set(self.acts_of_right) or can_anybody(request, self.needs_right):
            return actions
        return {name: act for name, act in actions.items() if name not in self.acts_of_right}


def say_hindrances(request: HttpRequest, path: str, account_id: int | None = None) -> None:
    """Makes the page show what keeps an account from using the API.

    Without `account_id` it looks at the account in the address, or at all that the user sees.
    """
    found = _abilities(request)
    if account_id is not None:
        found = [each for each in found if each.account.pk == account_id]
    elif slug := request.GET.get("account"):
        found = [each for each in found if each.account.slug == slug] or found
    request.hindrances = hindrances(found, path)  # type: ignore[attr-defined]


def can_anybody(request: HttpRequest, path: str) -> bool:
    """Whether any account that the user sees can use the API, as far as the site knows."""
    found = _abilities(request)
    return len(found) > sum(len(each.accounts) for each in hindrances(found, path))


def _abilities(request: HttpRequest) -> list[Ability]:
    """Returns the abilities of all accounts that the user sees, read once in each request."""
    if not hasattr(request, "abilities"):
        request.abilities = abilities(visible_accounts(request))  # type: ignore[attr-defined]
    found: list[Ability] = request.abilities  # type: ignore[attr-defined]
    return found
