"""A site user binds their WeChat, sees what it is bound to, and ends it.

A page that waits asks `progress` every other second. That needs no session: a signed ticket in its
address names the request, and the answer is one word.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core import signing
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import quote_etag
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.http import condition, require_safe

from events.audit.record import record
from events.models import ACCOUNT_SECRETS, OfficialAccount
from subscribers.binding.bind import LIFETIME, start_binding, unbind
from subscribers.binding.standing import (
    Progress,
    Standing,
    has_asked_too_often,
    progress_of,
    standing,
)
from subscribers.models import Binding, BindingRequest
from subscribers.qr_codes.images import png

__all__ = ["End", "Page", "accounts", "picture", "progress"]

_SALT = "my_wechat_progress"
_ON_THE_WAY = {Progress.WAITING, Progress.READY}


def _active_accounts() -> Any:
    return OfficialAccount.objects.filter(is_active=True).defer(*ACCOUNT_SECRETS)


@login_required
@require_safe
def accounts(request: HttpRequest) -> HttpResponse:
    """The accounts one may bind to; straight to the only one."""
    found = list(_active_accounts().order_by("name", "slug"))
    if len(found) == 1:
        return HttpResponseRedirect(reverse("my_wechat", args=[found[0].slug]))
    bound = set(
        Binding.objects.active().filter(user=request.user.pk).values_list("account", flat=True)
    )
    rows = [(account, account.pk in bound) for account in found]
    return render(request, "me/accounts.html", {"rows": rows})


class _OfAccount(LoginRequiredMixin, View):
    """A page about the signed-in user and one account."""

    account: OfficialAccount
    request: Any

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.user.is_authenticated:
            self.account = get_object_or_404(_active_accounts(), slug=kwargs["slug"])
        return super().dispatch(request, *args, **kwargs)

    def standing(self) -> Standing:
        return standing(self.request.user, self.account)

    def to_page(self) -> HttpResponse:
        return HttpResponseRedirect(reverse("my_wechat", args=[self.account.slug]))


class Page(_OfAccount):
    """The code with its state; a POST makes a fresh code."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        now = self.standing()
        pending = now.request if now.progress in _ON_THE_WAY else None
        context: dict[str, Any] = {
            "account": self.account,
            "binding": now.binding,
            "pending": pending,
            "code": pending.sent_code_for(request.user) if pending else "",
            "progress": now.progress,
            "request_row": now.request,
            "in_wechat": "MicroMessenger" in request.headers.get("User-Agent", ""),
        }
        if pending is not None:
            ticket = signing.dumps(pending.pk, salt=_SALT)
            context["progress_url"] = reverse("my_wechat_progress", args=[ticket])
        return render(request, "me/wechat.html", context)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        if self.standing().binding is None:
            if has_asked_too_often(self.request.user):
                messages.error(request, _("You asked for many codes. Try again in an hour."))
            else:
                by_code = request.POST.get("way") == "code" or not self.account.app_secret
                way = BindingRequest.Way.CODE if by_code else BindingRequest.Way.SCAN
                start_binding(account=self.account, user=self.request.user, way=way)
        return self.to_page()


class End(_OfAccount):
    """Asks, and then ends the user's binding."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        binding = self.standing().binding
        if binding is None:
            return self.to_page()
        return render(request, "me/end.html", {"account": self.account, "binding": binding})

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        binding = self.standing().binding
        if binding is not None:
            with transaction.atomic():
                if unbind(binding):
                    record("unbind", binding, account=self.account)
            messages.success(request, _("Your WeChat is no longer bound."))
        return self.to_page()


@login_required
@require_safe
def picture(request: HttpRequest, pk: int) -> HttpResponse:
    """The QR code of the user's own request. WeChat reads no SVG when it is pressed, so a PNG."""
    row = get_object_or_404(BindingRequest, pk=pk, user=request.user.pk)
    code = row.code_for(request.user)
    if not code:
        raise Http404
    return HttpResponse(png(code, ""), content_type="image/png")


def _word(request: HttpRequest, ticket: str) -> Progress | None:
    try:
        request_id = signing.loads(ticket, salt=_SALT, max_age=2 * LIFETIME)
    except signing.BadSignature:
        return None
    return progress_of(request_id)


def _etag(request: HttpRequest, ticket: str) -> str | None:
    word = _word(request, ticket)
    # The view below reads it, so that one answer costs one query.
    request.progress = word  # type: ignore[attr-defined]
    return None if word is None else quote_etag(word.value)


@require_safe
@condition(etag_func=_etag)
def progress(request: HttpRequest, ticket: str) -> HttpResponse:
    """How far the ticket's request is, as one word."""
    word: Progress | None = request.progress  # type: ignore[attr-defined]
    if word is None:
        raise Http404
    return HttpResponse(word.value, content_type="text/plain")
