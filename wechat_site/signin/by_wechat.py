"""Signing in with WeChat: the page shows a code, the phone asks, and after a yes the page goes on.

The session holds a secret, and only with that can a browser go on with the request. The site makes
it together with a new session, so a session that an attacker planted in this browser is useless.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from allauth.core.internal import ratelimit
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from events.models import ACCOUNT_SECRETS, OfficialAccount
from subscribers.binding.standing import ON_THE_WAY, Progress
from subscribers.models import Refusal, SignInRequest
from subscribers.qr_codes.images import png
from subscribers.signing_in.start import (
    own_request,
    progress_of_request,
    start_sign_in,
    take,
    withdraw,
)
from wechat_site.live.tickets import progress_url
from wechat_site.signin.journal import note_refusal

__all__ = ["accounts", "go_on", "page", "picture"]

_KEY = "wechat_sign_in"
# The limits for one address, since each code may cost a call to WeChat.
_RATES = {"wechat_sign_in": "20/5m/ip,200/d/ip"}

_View = Callable[..., HttpResponse]


def _for_strangers(view: _View) -> _View:
    """Wraps a view: 404 if SCAN_SIGN_IN is off; a signed-in user is redirected."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not settings.SCAN_SIGN_IN:
            raise Http404
        if request.user.is_authenticated:
            return HttpResponseRedirect(_next(request) or reverse("account_login"))
        return view(request, *args, **kwargs)

    return guarded


def _active() -> Any:
    # The app secret is read, because without one an account can only take codes in the chat.
    hidden = [name for name in ACCOUNT_SECRETS if name != "app_secret"]
    return OfficialAccount.objects.filter(is_active=True).defer(*hidden)


def _next(request: HttpRequest) -> str:
    """The page after the sign-in; "" for an address outside this site."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    return wanted if wanted and get_adapter().is_safe_url(wanted) else ""


@_for_strangers
@require_http_methods(["GET", "HEAD", "POST"])
def accounts(request: HttpRequest) -> HttpResponse:
    """The accounts to sign in with. If there is only one, a POST makes a code at once."""
    found = list(_active().order_by("name", "slug"))
    if request.method == "POST" and len(found) == 1:
        return _start(request, found[0])
    context = {"accounts": found, "next": _next(request)}
    return render(request, "account/wechat_accounts.html", context)


@_for_strangers
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, slug: str) -> HttpResponse:
    """The code with its state; a POST makes a fresh code."""
    account = get_object_or_404(_active(), slug=slug)
    if request.method == "POST":
        return _start(request, account)
    row, next_page = _own(request)
    if row is None or row.account_id != account.pk:
        row, next_page = None, _next(request)
    progress = Progress.NONE if row is None else progress_of_request(row)
    if row is not None and progress is Progress.REFUSED:
        _note_once(request, row)
    back = reverse("my_wechat", args=[slug])
    context = {
        "account": account,
        "row": row,
        "progress": progress,
        "on_the_way": progress in ON_THE_WAY,
        "progress_url": progress_url(row) if row and progress in ON_THE_WAY else "",
        "next": next_page,
        "to_binding": f"{reverse('account_login')}?{urlencode({'next': back})}",
        "may_register": settings.SCAN_REGISTRATION,
        "in_wechat": "MicroMessenger" in request.headers.get("User-Agent", ""),
    }
    return render(request, "account/wechat.html", context)


def _start(request: HttpRequest, account: OfficialAccount) -> HttpResponse:
    to_page = reverse("wechat_sign_in", args=[account.slug])
    allowed = ratelimit.consume(
        request, app="wechat_site", action="wechat_sign_in", config=_RATES, limit_get=True
    )
    if not allowed:
        messages.error(request, _("There were many codes from your network. Try again later."))
        return HttpResponseRedirect(to_page)
    next_page = _next(request)
    if former := request.session.get(_KEY):
        withdraw(former["id"], former["key"])
    by_code = request.POST.get("way") == "code"
    row, key = start_sign_in(
        account=account,
        site=request.get_host(),
        way=SignInRequest.Way.CODE if by_code else SignInRequest.Way.SCAN,
    )
    # A new session, because an attacker may have planted the former one, and know it.
    request.session.flush()
    request.session[_KEY] = {"id": row.pk, "key": key, "next": next_page}
    return HttpResponseRedirect(to_page)


def _own(request: HttpRequest) -> tuple[SignInRequest | None, str]:
    """This browser's request, and the page after the sign-in."""
    kept = request.session.get(_KEY)
    if not kept:
        return None, ""
    return own_request(kept["id"], kept["key"]), kept["next"]


@_for_strangers
@require_POST
def go_on(request: HttpRequest) -> HttpResponse:
    """Signs in the user whom the follower allowed; asks for a second factor as after a password."""
    kept = request.session.get(_KEY)
    row, next_page = _own(request)
    if not kept or row is None:
        return HttpResponseRedirect(reverse("account_login"))
    user = take(kept["id"], kept["key"])
    if user is None:
        if row.allowed_at is not None and row.used_at is None:
            note_refusal(request, _name(row), _why_nobody(row), row.account)
        messages.error(request, _("Nobody was signed in: the code is not valid any more."))
        return HttpResponseRedirect(reverse("wechat_sign_in", args=[row.account.slug]))
    if _is_staff_without_second_factor(user):
        note_refusal(request, user.get_username(), "no-second-factor", row.account)
        del request.session[_KEY]
        messages.error(
            request,
            _(
                "With WeChat you sign in only with a second factor. Sign in with your password, "
                "and set one up."
            ),
        )
        return HttpResponseRedirect(reverse("account_login"))
    request.session.flush()
    record_authentication(request, user, "wechat", account=row.account_id)
    if not get_adapter().is_safe_url(next_page):
        next_page = ""
    answer: HttpResponse = perform_login(request, Login(user=user, redirect_url=next_page or None))
    return answer


def _note_once(request: HttpRequest, row: SignInRequest) -> None:
    """Records that this browser's request was refused, the first time that its page shows it."""
    kept = request.session[_KEY]
    if kept.get("noted") or row.refused_reason == Refusal.WITHDRAWN:
        return
    request.session[_KEY] = kept | {"noted": True}
    note_refusal(request, _name(row), row.refused_reason, row.account)


def _why_nobody(row: SignInRequest) -> Refusal:
    """Why nobody is signed in although the follower allowed it."""
    if row.is_over:
        return Refusal.EXPIRED
    is_inactive = row.user is not None and not row.user.is_active
    return Refusal.USER_INACTIVE if is_inactive else Refusal.NOT_BOUND


def _name(row: SignInRequest) -> str:
    return row.user.get_username() if row.user is not None else ""


def _is_staff_without_second_factor(user: Any) -> bool:
    """Whether the user has staff rights but no second factor.

    Such users may not sign in without a password, whatever REQUIRE_SECOND_FACTOR says.
    """
    has_rights = user.is_staff or user.is_superuser
    factors = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]
    return bool(has_rights and not is_mfa_enabled(user, factors))


@_for_strangers
@require_safe
def picture(request: HttpRequest) -> HttpResponse:
    """The QR code of this browser's request."""
    row, _next_page = _own(request)
    if row is None or not row.url or row.is_over:
        raise Http404
    return HttpResponse(png(row.url, ""), content_type="image/png")
