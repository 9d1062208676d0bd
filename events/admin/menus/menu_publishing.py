"""The actions on one version of a menu: publish, publish again, withdraw, copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from events.admin.base import ModelAdmin
from events.admin.html import confirmation
from events.admin.menus.menu_state import AtWeChat
from events.menus.menu_words import changes, sentence
from events.menus.publish import MENUS, NotPossible, publish, take_back, withdraw
from events.models import MenuVersion
from events.platform.hindrances import hindrance
from events.wechat.api.menu_model import problems

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["PublishingActions", "action_of", "fitting_actions", "page_of"]

_WHEN_SEEN = _(
    "Followers see the new menu when they open the chat again, at the latest within 24 hours; "
    "who follows anew sees it at once."
)
_TO_WECHAT = {"publish_version", "take_version_back"}


class PublishingActions(ModelAdmin):
    """A base class of the admin of MenuVersion."""

    def _version(self, request: HttpRequest, object_id: Any) -> Any:
        return None if object_id is None else self.get_object(request, str(object_id))

    @action(description=_("Publish"), permissions=["publish"], icon="publish")
    def publish_version(self, request: HttpRequest, object_id: str) -> HttpResponse:
        version = self._version(request, object_id)
        if version is None:
            raise Http404
        if not version.is_editable:
            messages.error(
                request, _("Version %s is published already, or waits to be published.") % version
            )
            return HttpResponseRedirect(page_of(version))
        if (page := self._confirmation_page(request, version, title=_("Publish"))) is not None:
            return page
        try:
            with transaction.atomic():
                publish(version, user=request.user)
                self.log_change(request, version, "publish")
        except NotPossible as reason:
            messages.error(request, str(reason))
        else:
            messages.info(request, _("Version %s is on its way to WeChat.") % version)
        return HttpResponseRedirect(page_of(version))

    @action(description=_("Publish again"), permissions=["publish"], icon="undo")
    def take_version_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        version = self._version(request, object_id)
        if version is None:
            raise Http404
        if (
            page := self._confirmation_page(request, version, title=_("Publish again"))
        ) is not None:
            return page
        try:
            with transaction.atomic():
                again = take_back(
                    version, user=request.user, note=str(_("Version %s again") % version)
                )
                self.log_change(request, again, "take_back")
        except NotPossible as reason:
            messages.error(request, str(reason))
            return HttpResponseRedirect(page_of(version))
        messages.info(request, _("Version %s is on its way to WeChat.") % again)
        return HttpResponseRedirect(page_of(again))

    @action(description=_("Withdraw"), permissions=["publish"], icon="block")
    def withdraw_version(self, request: HttpRequest, object_id: str) -> HttpResponse:
        version = self._version(request, object_id)
        if version is None:
            raise Http404
        if request.method != "POST":
            return confirmation(
                request,
                self,
                title=_("Withdraw"),
                sentences=[_("The version is not published, and becomes a draft again.")],
                back=page_of(version),
            )
        try:
            with transaction.atomic():
                withdraw(version)
                self.log_change(request, version, "withdraw")
        except NotPossible as reason:
            messages.error(request, str(reason))
        else:
            messages.success(request, _("Version %s is a draft again.") % version)
        return HttpResponseRedirect(page_of(version))

    @action(description=_("Edit as a new draft"), permissions=["copy"], icon="edit")
    def copy_version(self, request: HttpRequest, object_id: str) -> HttpResponse:
        add = reverse("admin:events_menuversion_add")
        return HttpResponseRedirect(f"{add}?{urlencode({'from': object_id})}")

    def _confirmation_page(
        self, request: HttpRequest, version: MenuVersion, *, title: StrOrPromise
    ) -> HttpResponse | None:
        """Returns the page that shows what publishing changes; None after its button is pressed.

        Returns the page again if the menu has changed since the user saw it.
        """
        at_wechat = AtWeChat.of(version.account)
        seen = at_wechat.seen_with(version)
        if request.method == "POST":
            if request.POST.get("seen") == seen:
                return None
            messages.warning(
                request, _("Something has changed meanwhile. Look at it once more, then publish.")
            )
        return TemplateResponse(
            request,
            "admin/events/menuversion/publish.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "media": self.media,
                "title": title,
                "version": version,
                "menu": version.content,
                "at_wechat": at_wechat,
                "changes": changes(at_wechat.menu, version.content),
                "problems": [sentence(problem) for problem in problems(version.content)],
                "seen": seen,
                "when_seen": _WHEN_SEEN,
                "back": page_of(version),
            },
        )


def fitting_actions(version: Any) -> set[str]:
    """Returns the actions that the version's state and the account's rights allow."""
    fitting = _actions_of_state(version)
    if not fitting & _TO_WECHAT or hindrance(version.account_id, MENUS) is None:
        return fitting
    return fitting - _TO_WECHAT


def _actions_of_state(version: Any) -> set[str]:
    match version.state:
        case MenuVersion.State.WAITING:
            return {"withdraw_version", "copy_version"}
        case MenuVersion.State.PUBLISHED if version.is_live:
            return {"copy_version"}
        case MenuVersion.State.PUBLISHED:
            return {"take_version_back", "copy_version"}
        case _:
            return {"publish_version"}


def page_of(version: MenuVersion) -> str:
    return reverse("admin:events_menuversion_change", args=[version.pk])


def action_of(version: MenuVersion, name: str) -> str:
    return reverse(f"admin:events_menuversion_{name}", args=[version.pk])
