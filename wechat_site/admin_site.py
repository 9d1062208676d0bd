"""The admin site of this project."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from unfold.sites import UnfoldAdminSite

__all__ = ["Site"]


class Site(UnfoldAdminSite):  # type: ignore[misc]
    """The admin site, which makes the list of all models only for pages that show it.

    Django makes that list for each page, which takes a fifth of the page's time. Most pages do not
    show it, because the sidebar has a list of its own.
    """

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        return SimpleLazyObject(partial(super().get_app_list, request, app_label))
