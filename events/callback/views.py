from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from events.callback.receive import answer_push, answer_verification

__all__ = ["callback"]


# The receiver commits before it answers, so no transaction may be open around it.
@transaction.non_atomic_requests
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def callback(request: HttpRequest, callback_key: str) -> HttpResponse:
    """WeChat's entrance for an account: GET verifies the URL, POST pushes a message or event."""
    query_string = request.META.get("QUERY_STRING", "")
    now = timezone.now()
    if request.method == "POST":
        body = request.read(settings.CALLBACK_MAX_BODY + 1)
        answer = answer_push(callback_key, query_string, body, now=now)
    else:
        answer = answer_verification(callback_key, query_string, now=now)
    return HttpResponse(
        answer.body,
        status=answer.status,
        content_type=f"{answer.content_type}; charset=utf-8",
        headers={"X-Content-Type-Options": "nosniff"},
    )
