"""`Idempotency-Key`: lets a client repeat a POST whose answer was lost; the POST acts once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from events.models import ApiKey, IdempotentRequest

__all__ = ["HEADER", "LONGEST", "IdempotentPosts"]

HEADER = "Idempotency-Key"
LONGEST = 255


class InvalidKey(APIException):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "idempotency_key_invalid"
    default_detail = _("An Idempotency-Key has 1 to 255 printable ASCII characters.")


class KeyReused(APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "idempotency_key_reused"
    default_detail = _("This Idempotency-Key came with another request before.")


class KeyInUse(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "idempotency_key_in_use"
    default_detail = _("The first request with this Idempotency-Key is not answered yet.")
    wait = 1  # seconds, for Retry-After


class IdempotentPosts:
    """For views: answers a repeated Idempotency-Key with the answer to the first POST that had it.

    Only a success is kept; after a refusal the key is free, since nothing happened. The changes of
    the POST and its answer are committed together, so a killed process leaves neither.
    """

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # type: ignore[misc]
        name = request.headers.get(HEADER)
        handler = getattr(self, "post", None)
        if request.method != "POST" or name is None or handler is None:
            return
        if not (0 < len(name) <= LONGEST and name.isascii() and name.isprintable()):
            raise InvalidKey

        def post(request: Request, *args: Any, **kwargs: Any) -> Any:
            return _run_once(name, handler, request, *args, **kwargs)

        self.post = post


def _run_once(
    name: str, handler: Callable[..., Any], request: Request, *args: Any, **kwargs: Any
) -> Any:
    key = request.auth
    assert isinstance(key, ApiKey)
    requests = IdempotentRequest.objects
    fingerprint = IdempotentRequest.fingerprint_of(request.get_full_path(), request.data)
    row, is_ours = requests.claim(key, name, fingerprint, timezone.now())
    if row.fingerprint != fingerprint:
        raise KeyReused
    if not is_ours:
        if row.status is None:
            raise KeyInUse
        return HttpResponse(
            row.content,
            status=row.status,
            content_type=JSONRenderer.media_type,
            headers={"Idempotency-Replayed": "true", "Cache-Control": "no-store"},
        )
    try:
        with transaction.atomic():
            response = handler(request, *args, **kwargs)
            content = JSONRenderer().render(response.data).decode()
            if not requests.running(row).update(status=response.status_code, content=content):
                raise KeyInUse  # this one took so long that another request has taken over
    except BaseException:
        requests.running(row).delete()
        raise
    return response
