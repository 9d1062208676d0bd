"""The binding page of one user in another site's frame, without a session."""

from __future__ import annotations

import base64
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from subscribers.binding.standing import standing
from subscribers.qr_codes.images import png
from wechat_site.embedding.signed_links import Expired, NotValid, read
from wechat_site.headers import policy_for_frames
from wechat_site.live.binding_page import ask_for_code, state_of

__all__ = ["embedded_binding"]


# No CSRF check: the link proves who the user is, and no cookie does, so nobody can forge a request.
@csrf_exempt
@xframe_options_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def embedded_binding(request: HttpRequest, token: str) -> HttpResponse:
    """The code with its state; a POST makes a fresh code. 403 for a link that is not valid."""
    if not settings.EMBEDDING_ORIGINS:
        raise Http404
    try:
        account, user = read(token)
    except NotValid as error:
        why = {"is_expired": isinstance(error, Expired)}
        return _framed(render(request, "me/embedded_refused.html", why, status=403))
    now = standing(user, account)
    asked_too_often = False
    if request.method == "POST" and now.binding is None:
        if ask_for_code(request, account, user):
            return _framed(HttpResponseRedirect(request.path))
        asked_too_often = True
    context = state_of(request, account, user, now)
    text = context["pending"].code_for(user) if context["pending"] else ""
    context["picture"] = _inline(text) if text else ""
    context["asked_too_often"] = asked_too_often
    return _framed(render(request, "me/embedded.html", context))


def _inline(text: str) -> str:
    """The QR code as a data URL, because a request for a picture would need the link again."""
    return f"data:image/png;base64,{base64.b64encode(png(text, '')).decode()}"


def _framed(response: Any) -> HttpResponse:
    response.headers["Content-Security-Policy"] = policy_for_frames(settings.EMBEDDING_ORIGINS)
    # The address has the secret link, so browsers must not send it to other sites.
    response.headers["Referrer-Policy"] = "no-referrer"
    return response  # type: ignore[no-any-return]
