"""The operators' pages for scenes without a QR code here, and for the tags of QR codes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display

from events.admin.access import AccountModelAdmin
from events.admin.changelist import KeysetModelAdmin, ReadOnly
from events.admin.html import moment
from events.admin.list_filters import AccountFilter
from events.models import OfficialAccount
from events.viewer import account_ids
from subscribers.admin.qr_codes.follower_counts import CountingKeysetList, FollowerCounts
from subscribers.admin.qr_codes.qr_code_filters import visible_tags
from subscribers.models import QRScene, SceneTag, SeenScene
from subscribers.qr_codes.create import NewQRCode, SceneTaken, create_qr_codes

__all__ = ["SceneTagAdmin", "SeenSceneAdmin"]

_MOST_ADOPTED = 1000


@admin.register(SeenScene)
class SeenSceneAdmin(ReadOnly, FollowerCounts, KeysetModelAdmin):
    """Lists scenes that came with events and have no code here. Adopting one gives it a code."""

    list_display = ["scene", "account", "seen_first", "came_first", "still_following"]
    list_display_links = None
    list_before_template = "admin/subscribers/seenscene/about.html"
    list_filter = [AccountFilter]
    search_help_text = _("scene; the whole value")
    actions = ["adopt"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[SeenScene]:
        unknown: QuerySet[SeenScene] = super().get_queryset(request).unknown()
        return unknown

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CountingKeysetList

    def search_exactly(self, queryset: Any, term: str) -> QuerySet[Any]:
        # The index begins with the account, so the condition names all accounts.
        accounts = list(OfficialAccount.objects.values_list("pk", flat=True))
        matching: QuerySet[Any] = queryset.filter(account__in=accounts, scene=term)
        return matching

    def has_adopt_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscribers.add_qrscene")

    @display(description=_("first seen"))
    def seen_first(self, seen: SeenScene) -> str:
        return moment(seen.first_seen_at, seen.account)

    @action(description=_("Adopt"), permissions=["adopt"])
    def adopt(self, request: HttpRequest, queryset: QuerySet[SeenScene]) -> HttpResponse | None:
        """Makes codes of these scenes; each is named like its scene until someone renames it."""
        of_account: dict[OfficialAccount, list[NewQRCode]] = {}
        for seen in queryset.select_related("account")[:_MOST_ADOPTED]:
            of_account.setdefault(seen.account, []).append(NewQRCode(seen.scene, seen.scene))
        adopted: list[QRScene] = []
        for account, codes in of_account.items():
            try:
                adopted += create_qr_codes(account, codes, adopt=True)
            except SceneTaken as taken:
                messages.error(request, _("A code with this scene exists already: %s") % taken)
        if adopted:
            text = ngettext("%s code adopted.", "%s codes adopted.", len(adopted))
            messages.success(request, text % len(adopted))
        if len(adopted) != 1:
            return None
        messages.info(request, _("Give the code a name that says where it hangs."))
        return HttpResponseRedirect(
            reverse("admin:subscribers_qrscene_change", args=[adopted[0].pk])
        )


@admin.register(SceneTag)
class SceneTagAdmin(AccountModelAdmin):
    """All accounts share the tags.

    Users with a limit see tags that codes of their accounts carry, or no code. They may change and
    delete a tag only if no code of another account carries it.
    """

    account_path = ""
    list_display = ["name", "codes"]
    search_fields = ["name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[SceneTag]:
        ids = account_ids(request.user)
        visible = Q() if ids is None else Q(qrscene__account__in=ids)
        tags = visible_tags(request.user, super().get_queryset(request))
        return tags.annotate(number=Count("qrscene", filter=visible))

    def has_change_permission(self, request: HttpRequest, obj: SceneTag | None = None) -> bool:
        may_change: bool = super().has_change_permission(request, obj)
        return may_change and not _is_carried_elsewhere(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: SceneTag | None = None) -> bool:
        may_delete: bool = super().has_delete_permission(request, obj)
        return may_delete and not _is_carried_elsewhere(request, obj)

    @display(description=_("QR codes"), ordering="number")
    def codes(self, tag: Any) -> str:
        return render_to_string("admin/subscribers/scenetag/codes.html", {"tag": tag})


def _is_carried_elsewhere(request: HttpRequest, tag: SceneTag | None) -> bool:
    """Whether codes of accounts that the user may not see carry the tag."""
    ids = account_ids(request.user)
    if tag is None or ids is None:
        return False
    return QRScene.objects.filter(tags=tag).exclude(account__in=ids).exists()
