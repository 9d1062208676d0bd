"""The view that says how far a request is; a page polls it, without a session."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.http import quote_etag
from django.views.decorators.http import condition, require_safe

from subscribers.binding.standing import Progress
from wechat_site.live.tickets import word_of

__all__ = ["progress"]


def _etag(request: HttpRequest, ticket: str) -> str | None:
    word = word_of(ticket)
    # Kept for the view below, so that one answer costs one query.
    request.progress = word  # type: ignore[attr-defined]
    return None if word is None else quote_etag(word.value)


@require_safe
@condition(etag_func=_etag)
def progress(request: HttpRequest, ticket: str) -> HttpResponse:
    """How far the ticket's request is, as one word; 304 if If-None-Match has that word."""
    word: Progress | None = request.progress  # type: ignore[attr-defined]
    if word is None:
        raise Http404
    return HttpResponse(word.value, content_type="text/plain")
