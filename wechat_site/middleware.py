from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

_COMMON = (
    "default-src 'self'; img-src 'self' data:; font-src 'self'; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'; "
    "style-src 'self' 'unsafe-inline'; "
)
_POLICY = _COMMON + "script-src 'self'"
# The admin theme's Alpine.js evaluates the expressions in its templates, and its pages as well as
# the API documentation page carry small inline scripts.
_ADMIN_POLICY = _COMMON + "script-src 'self' 'unsafe-inline' 'unsafe-eval'"
_DOCS_POLICY = _COMMON + "script-src 'self' 'unsafe-inline'"


class ContentSecurityPolicyMiddleware:
    """Sets a Content-Security-Policy on every page: only this site, wider under /admin/."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path.startswith("/admin/"):
            policy = _ADMIN_POLICY
        elif request.path.startswith("/api/docs/"):
            policy = _DOCS_POLICY
        else:
            policy = _POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        return response
