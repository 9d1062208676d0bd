"""Middleware: refusals of the API, compression, final slashes, NUL in queries."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.middleware.gzip import GZipMiddleware
from django.urls import is_valid_path
from django.utils import translation
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.translation import gettext as _

from events.api.requests.encodings import takes_gzip
from events.api.requests.problems import CONTENT_TYPE, problem_response


class ProblemMiddleware:
    """Gives every refusal under /api/ the API's own form, even if Django or middleware made it.

    It comes before all other middleware, because one of those refuses unknown hosts.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_refusal = response.status_code >= 400 and request.path.startswith("/api/")
        if not is_refusal or response.headers.get("Content-Type", "") == CONTENT_TYPE:
            return response
        # The refusal may come from before the middleware that finds the language.
        with translation.override(translation.get_language_from_request(request)):
            problem = problem_response(response.status_code, *_bad_host(request, response))
        for name, value in response.headers.items():
            if name not in _OF_CONTENT:
                problem.headers.setdefault(name, value)
        return problem


_OF_CONTENT = {"Content-Type", "Content-Length", "Content-Encoding", "Content-Language"}


def _bad_host(request: HttpRequest, response: HttpResponse) -> tuple[str, Any]:
    """The code and sentence of a refusal because of the host name; two empty texts for others."""
    if response.status_code == 400:
        try:
            request.get_host()
        except DisallowedHost:
            return "bad_host", _("This site does not answer to the host name in the request.")
    return "", ""


_PAGES = ("/admin/", "/account/")


class TransferMiddleware:
    """Compresses pages and answers of the API; answers 304 if an API client has the same content.

    The ETag is that of the content before compression, so it is a weak one.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._gzip = GZipMiddleware(get_response)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not response.streaming and request.path.startswith(_PAGES):
            if not response.headers.get("Content-Type", "").startswith("text/html"):
                return response
            # Django adds a few random bytes, so the length does not reveal secrets of the page.
            return self._packed(request, response)
        # Exports are streams, and compress themselves; PNG pictures are compressed already.
        if (
            not request.path.startswith("/api/")
            or response.streaming
            or response.headers.get("Content-Type", "") == "image/png"
        ):
            return response
        if request.method in {"GET", "HEAD"} and response.status_code == 200:
            digest = hashlib.sha256(response.content).hexdigest()[:32]
            response.headers.setdefault("ETag", f'W/"{digest}"')
            conditional = get_conditional_response(
                request, etag=response.headers["ETag"], response=response
            )
            if conditional is not None and conditional.status_code == 304:
                return conditional
        return self._packed(request, response)

    def _packed(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        # Django's middleware sends gzip to `gzip;q=0` too.
        if not takes_gzip(request.headers.get("Accept-Encoding", "")):
            patch_vary_headers(response, ["Accept-Encoding"])
            return response
        packed: Any = self._gzip.process_response(request, response)
        return packed  # type: ignore[no-any-return]


class EitherSlashMiddleware:
    """Serves each address of the API with and without its final slash.

    Django would redirect, and a client that follows a redirect turns a POST into a GET.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = request.path_info
        if path.startswith("/api/") and not is_valid_path(path):
            other = path[:-1] if path.endswith("/") else f"{path}/"
            if is_valid_path(other):
                request.path_info = other
        return self.get_response(request)


class StorableQueryMiddleware:
    """Answers 400 to a query with a NUL, which PostgreSQL cannot search for."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        has_nul = "%00" in request.META.get("QUERY_STRING", "")
        # The API names the parameter in its own answer.
        if has_nul and not request.path.startswith("/api/"):
            return HttpResponseBadRequest("NUL in the query", content_type="text/plain")
        return self.get_response(request)
