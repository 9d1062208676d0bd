"""Says above a page what cannot work for an account, and what to do, before somebody tries.

templates/admin/base.html shows the sentences.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from events.admin.access import visible_accounts
from events.platform.hindrances import Ability, abilities, hindrances

__all__ = ["NeedsRight", "can_anybody", "say_hindrances"]


class NeedsRight:
    """For the admin of what calls WeChat's API; comes before it in the order of classes.

    `needs_right` is the API's path. `acts_of_right` are bulk actions that are hidden where no
    account that the user sees can use it.
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
    """Has the page say what keeps this account from using the API.

    Without one: the account that the address names, or all that the user sees.
    """
    found = _abilities(request)
    if account_id is not None:
        found = [each for each in found if each.account.pk == account_id]
    elif slug := request.GET.get("account"):
        found = [each for each in found if each.account.slug == slug] or found
    request.hindrances = hindrances(found, path)  # type: ignore[attr-defined]


def can_anybody(request: HttpRequest, path: str) -> bool:
    """Whether any account that the user sees can use the API, as far as is known."""
    found = _abilities(request)
    return len(found) > sum(len(each.accounts) for each in hindrances(found, path))


def _abilities(request: HttpRequest) -> list[Ability]:
    """Of all accounts that the user sees, asked for once in each request."""
    if not hasattr(request, "abilities"):
        request.abilities = abilities(visible_accounts(request))  # type: ignore[attr-defined]
    found: list[Ability] = request.abilities  # type: ignore[attr-defined]
    return found
