"""The admin site of this project."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.http import url_has_allowed_host_and_scheme
from unfold.sites import UnfoldAdminSite

__all__ = ["Site"]


class Site(UnfoldAdminSite):  # type: ignore[misc]
    """The admin site; it differs from Django's in two things.

    It makes the list of all models only for pages that show it. Django makes that list for each
    page, which takes a fifth of the page's time. Most pages do not show it, because the sidebar has
    a list of its own.

    A user whose session ended while writing comes back to the page of the form after signing in.
    Django redirects to the address to which the form was sent, and some of these answer only POST.
    """

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        return SimpleLazyObject(partial(super().get_app_list, request, app_label))

    def admin_view(
        self, view: Callable[..., HttpResponseBase], cacheable: bool = False
    ) -> Callable[..., HttpResponseBase]:
        protected: Callable[..., HttpResponseBase] = super().admin_view(view, cacheable)

        @wraps(view)
        def signed_in(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method == "POST" and not self.has_permission(request):
                return redirect_to_login(_page_of_form(request), reverse("admin:login"))
            return protected(request, *args, **kwargs)

        return signed_in


def _page_of_form(request: HttpRequest) -> str:
    page = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(
        page, {request.get_host()}, require_https=request.is_secure()
    )
    return page if is_ours else request.get_full_path()
