"""The pages on which a site user binds their WeChat, sees the binding, and ends it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.http import require_safe

from events.audit.record import record
from events.models import ACCOUNT_SECRETS, OfficialAccount
from subscribers.binding.bind import unbind
from subscribers.binding.standing import Standing, standing
from subscribers.models import Binding, BindingRequest
from subscribers.qr_codes.images import png
from wechat_site.live.binding_page import ask_for_code, state_of

__all__ = ["End", "Page", "accounts", "picture"]


def _active_accounts() -> Any:
    return OfficialAccount.objects.filter(is_active=True).defer(*ACCOUNT_SECRETS)


@login_required
@require_safe
def accounts(request: HttpRequest) -> HttpResponse:
    """The accounts that a user may bind to; with only one, a redirect to its page."""
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
        context = state_of(request, self.account, request.user, now)
        context["end_url"] = reverse("my_wechat_end", args=[self.account.slug])
        if pending := context["pending"]:
            context["picture"] = reverse("my_wechat_picture", args=[pending.pk])
        return render(request, "me/wechat.html", context)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        if self.standing().binding is None and not ask_for_code(
            request, self.account, request.user
        ):
            messages.error(request, _("You asked for many codes. Try again in an hour."))
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
    """The QR code of the user's own request, as a PNG: a long press in WeChat reads no SVG."""
    row = get_object_or_404(BindingRequest, pk=pk, user=request.user.pk)
    code = row.code_for(request.user)
    if not code:
        raise Http404
    return HttpResponse(png(code, ""), content_type="image/png")
