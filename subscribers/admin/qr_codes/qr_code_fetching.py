"""The actions on QR codes that fetch a ticket from WeChat: try again, renew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action

from events.admin.base import ModelAdmin
from events.admin.html import confirmation
from events.audit.record import record
from events.models import OfficialAccount
from events.platform.hindrances import abilities, hindrance, hindrances
from events.viewer import visible_to
from events.wechat.api.qr_codes import CREATE_PATH
from subscribers.admin.qr_codes.qr_code_downloads import bare
from subscribers.models import QRScene
from subscribers.models.qr_code import QRSceneQuerySet

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["WithFetching", "fetch_title"]


class WithFetching(ModelAdmin):
    """The part of the QR codes' admin that asks the worker to fetch tickets again."""

    def get_urls(self) -> list[Any]:
        fetch = path(
            "<int:pk>/fetch/",
            self.admin_site.admin_view(self.fetch_view),
            name="subscribers_qrscene_fetch",
        )
        return [fetch, *super().get_urls()]

    @action(description=_("Try again"), permissions=["change"])
    def try_again(self, request: HttpRequest, queryset: QRSceneQuerySet) -> None:
        able, is_whole = _fetchable(request, queryset)
        again = able.try_again(timezone.now())
        if again:
            _tell_fetching(request, again)
        elif is_whole:
            messages.info(request, _("Only failed codes can be tried again."))

    @action(description=_("Renew"), permissions=["change"])
    def renew(self, request: HttpRequest, queryset: QRSceneQuerySet) -> None:
        able, is_whole = _fetchable(request, queryset)
        renewed = able.renew(timezone.now())
        if renewed:
            _tell_fetching(request, renewed)
        elif is_whole:
            messages.info(
                request, _("Only temporary codes, and those made elsewhere, can be renewed.")
            )

    def fetch_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks to confirm, then queues the ticket: again after a failure, else a new one."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        scene = get_object_or_404(visible_to(request.user, QRScene.objects.all()), pk=pk)
        back = reverse("admin:subscribers_qrscene_change", args=[pk])
        if request.method != "POST":
            sentences: list[StrOrPromise] = [_("The worker asks WeChat for this code again.")]
            if not scene.failure:
                sentences = [
                    _("WeChat makes a new picture for the same scene."),
                    _("The present picture works until its own end."),
                ]
                if scene.is_permanent:
                    sentences.append(
                        _("The new picture is another of the account's 100,000 permanent codes.")
                    )
            return confirmation(
                request, self, title=fetch_title(scene), sentences=sentences, back=back
            )
        if (hindered := hindrance(scene.account_id, CREATE_PATH)) is not None:
            messages.error(request, str(hindered))
            return HttpResponseRedirect(back)
        this = QRScene.objects.filter(pk=pk)
        with transaction.atomic():
            record("try_again" if scene.failure else "renew", scene, name=str(scene))
            if scene.failure:
                self.try_again(request, this)
            else:
                self.renew(request, this)
        return HttpResponseRedirect(back)


def _fetchable(request: HttpRequest, chosen: QRSceneQuerySet) -> tuple[QRSceneQuerySet, bool]:
    """Returns the codes that this site can fetch from WeChat, and whether those are all.

    Tells the user why the others cannot be fetched.
    """
    codes = bare(chosen)
    accounts = OfficialAccount.objects.filter(pk__in=codes.order_by().values("account"))
    found = hindrances(abilities(accounts), CREATE_PATH)
    for each in found:
        messages.error(request, str(each))
    hindered = [account.pk for each in found for account in each.accounts]
    return codes.exclude(account__in=hindered), not found


def fetch_title(scene: QRScene) -> StrOrPromise:
    """The title of the action that fetches this code's ticket again."""
    if scene.failure:
        return _("Try again")
    return _("Renew") if scene.url else _("Fetch a picture of our own")


def _tell_fetching(request: HttpRequest, number: int) -> None:
    text = ngettext(
        "%s code is being fetched from WeChat.", "%s codes are being fetched from WeChat.", number
    )
    messages.success(request, text % number)
