"""The admin's own sign-in address, which redirects to the site's one sign-in page."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

__all__ = ["admin_login"]


def admin_login(request: HttpRequest) -> HttpResponse:
    """Redirects to the sign-in; 403 for a signed-in user without staff rights."""
    if request.user.is_authenticated:
        if not request.user.is_staff:
            raise PermissionDenied
        return HttpResponseRedirect(reverse("admin:index"))
    next_page = request.GET.get(REDIRECT_FIELD_NAME) or reverse("admin:index")
    query = urlencode({REDIRECT_FIELD_NAME: next_page})
    return HttpResponseRedirect(f"{reverse('account_login')}?{query}")
