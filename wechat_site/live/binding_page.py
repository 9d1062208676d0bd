"""What the two pages that bind a WeChat share: the user's own page, and the one in other sites."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from events.media.account_picture import inline_picture
from events.models import OfficialAccount
from subscribers.binding.bind import start_binding
from subscribers.binding.standing import ON_THE_WAY, Standing, has_asked_too_often
from subscribers.models import BindingRequest
from wechat_site.live.tickets import progress_url

__all__ = ["ask_for_code", "state_of"]


def state_of(
    request: HttpRequest, account: OfficialAccount, user: Any, now: Standing
) -> dict[str, Any]:
    """The context of templates/me/state.html, without the picture of the code."""
    pending = now.request if now.progress in ON_THE_WAY else None
    code = pending.sent_code_for(user) if pending else ""
    return {
        "account": account,
        "account_picture": inline_picture(account),
        "owner": user,
        "binding": now.binding,
        "pending": pending,
        "code": code,
        # Reads the secret only if there is a code to send, because it must be decrypted.
        "may_scan": bool(code and account.app_secret),
        "progress": now.progress,
        "progress_url": progress_url(pending) if pending else "",
        "request_row": now.request,
        "in_wechat": "MicroMessenger" in request.headers.get("User-Agent", ""),
    }


def ask_for_code(request: HttpRequest, account: OfficialAccount, user: Any) -> bool:
    """Makes the fresh code that a form asks for; False if the user has asked too often."""
    if has_asked_too_often(user):
        return False
    by_code = request.POST.get("way") == "code" or not account.app_secret
    way = BindingRequest.Way.CODE if by_code else BindingRequest.Way.SCAN
    start_binding(account=account, user=user, way=way)
    return True
