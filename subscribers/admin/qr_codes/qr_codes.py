"""The operators' pages for QR codes: the list, a code's page, and the form that makes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import IntegrityError
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from events.admin.access import AccountModelAdmin, visible_accounts
from events.admin.hindered import NeedsRight
from events.admin.html import facts, moment
from events.admin.list_filters import AccountFilter
from events.models import MediaFile
from events.platform.client import client_for
from events.platform.hindrances import hindrance
from events.viewer import visible_to
from events.wechat.api.qr_codes import CREATE_PATH
from subscribers.admin.qr_codes.follower_counts import CountingList, FollowerCounts
from subscribers.admin.qr_codes.qr_code_downloads import WithDownloads
from subscribers.admin.qr_codes.qr_code_fetching import WithFetching, fetch_title
from subscribers.admin.qr_codes.qr_code_filters import (
    GroupFilter,
    QRCodeStateFilter,
    TagFilter,
)
from subscribers.admin.qr_codes.qr_code_forms import NewSceneForm, SceneForm
from subscribers.admin.qr_codes.qr_code_list import WithListOfCodes
from subscribers.admin.qr_codes.qr_code_results import WithResults
from subscribers.admin.qr_codes.qr_code_welcome import WithWelcome
from subscribers.models import QRScene, SceneTag
from subscribers.qr_codes.counts import count_followers
from subscribers.qr_codes.create import NEAR_THE_LIMIT
from subscribers.qr_codes.fetch_tickets import FAILURES
from subscribers.qr_codes.images import svg
from subscribers.qr_codes.logo import logo_of

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["QRSceneAdmin"]

# Seconds after which a code's page asks again: if the code is due, and if it is retried later.
_REFRESH_IF_DUE, _REFRESH_IF_LATER = 1, 10

_COLOURS = {
    QRScene.State.WAITING.value: "info",
    QRScene.State.READY.value: "success",
    QRScene.State.FAILED.value: "danger",
    QRScene.State.EXPIRED.value: "warning",
    QRScene.State.ELSEWHERE.value: "info",
}


@admin.register(QRScene)
class QRSceneAdmin(
    NeedsRight,
    FollowerCounts,
    WithFetching,
    WithListOfCodes,
    WithDownloads,
    WithResults,
    WithWelcome,
    AccountModelAdmin,
):
    needs_right = CREATE_PATH
    acts_of_right = ("try_again", "renew")
    list_display = [
        "name", "badge", "scene", "validity", "came_first", "still_following", "tag_list",
        "group", "owner", "account",
    ]  # fmt: skip
    list_filter = [
        AccountFilter, QRCodeStateFilter, GroupFilter, "is_permanent", ("tags", TagFilter),
    ]  # fmt: skip
    list_filter_sheet = False
    list_fullwidth = True
    list_before_template = "admin/subscribers/qrscene/waiting.html"
    search_fields = ["name", "scene", "tags__name", "group", "owner"]
    search_help_text = _("a part of the name, scene, tag, group or person in charge")
    ordering = ["-pk"]
    actions = ["compare", "download_sheet", "download_archive", "try_again", "renew"]
    actions_outside_transaction = ("compare",)
    actions_list = ["make_several", "all_results", "made_elsewhere"]

    class Media:
        js = ["wechat_site/live.js"]

    # --- What is shown -------------------------------------------------------------------------

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        return super().get_form(
            request, obj, **{"form": SceneForm if obj else NewSceneForm, **kwargs}
        )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            names = [
                "account", "name", "scene", "lifetime", ("group", "owner"), "tag_names",
                "note", "adopt",
            ]  # fmt: skip
            return [(None, {"fields": names})]
        tags = "tag_names" if self.has_change_permission(request, obj) else "tag_list"
        welcome = self.welcome_fields(request, obj)
        return [
            (None, {"fields": ["code"]}),
            (
                None,
                {
                    "fields": [
                        "name", ("scene", "account"), ("validity", "created"), tags, "note",
                        ("came_first", "still_following"),
                    ]
                },
            ),
            (
                _("Campaign"),
                {
                    "fields": [
                        ("group", "owner"), ("runs_from", "runs_until"), "follower_tags", "logo",
                    ]
                },
            ),
            *([(_("Welcome"), {"fields": welcome})] if welcome else []),
        ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None:
            return []
        return [
            "code", "account", "scene", "validity", "created", "came_first", "still_following",
            "tag_list", "welcome",
        ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[QRScene]:
        return super().get_queryset(request).prefetch_related("tags")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CountingList

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The list, and above it what waits, what failed, and accounts near WeChat's limit."""
        codes = visible_to(request.user, QRScene.objects.all())
        now = timezone.now()
        permanent = (
            visible_accounts(request)
            .filter(scenes__is_permanent=True)
            .annotate(number=Count("scenes"))
            .filter(number__gte=NEAR_THE_LIMIT)
        )
        return super().changelist_view(
            request,
            {
                **(extra_context or {}),
                "waiting": codes.in_state(QRScene.State.WAITING, now).count(),
                "failed": codes.in_state(QRScene.State.FAILED, now).count(),
                "near_the_limit": list(permanent),
            },
        )

    @display(description=_("status"), label=_COLOURS)
    def badge(self, scene: QRScene) -> tuple[str, str]:
        return scene.state.value, str(scene.state.label)

    @display(description=_("validity"), ordering="expires_at")
    def validity(self, scene: QRScene) -> str:
        if scene.expires_at is None or scene.is_expired:
            return str(scene.validity)
        return moment(scene.expires_at, scene.account)

    @display(description=_("tags"))
    def tag_list(self, scene: QRScene) -> str:
        return ", ".join(tag.name for tag in scene.tags.all()) or "–"

    @display(description=_("created"))
    def created(self, scene: QRScene) -> str:
        return moment(scene.created_at, scene.account)

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        scene = super().get_object(request, object_id, from_field)
        if scene is not None:
            count_followers([scene])
            # The page offers only what this user may do.
            scene.can_be_fetched = (
                self.has_change_permission(request)
                and (scene.is_renewable or scene.state == QRScene.State.FAILED)
                and hindrance(scene.account_id, CREATE_PATH) is None
            )
        return scene

    @display(description=_("QR code"))
    def code(self, scene: Any) -> str:
        """The picture, or why there is none yet; the page asks again until there is one."""
        state = scene.state
        links: list[tuple[StrOrPromise, str]] = []
        results = reverse("admin:subscribers_qrscene_results")
        links_to_results = [(_("Results"), f"{results}?ids={scene.pk}")]
        if scene.has_valid_code:
            links += [(_("PNG for print"), "png"), (_("SVG for any size"), "svg")]
        if scene.can_be_fetched:
            links.append((fetch_title(scene), "fetch"))
        return render_to_string(
            "admin/subscribers/qrscene/code.html",
            {
                "scene": scene,
                # Safe: this site draws the SVG of paths, and encodes the logo itself as a PNG.
                "picture": mark_safe(svg(scene.url, logo_of(scene)))
                if scene.has_valid_code
                else "",
                "state": state.label,
                "colour": _COLOURS[state.value],
                "refresh_seconds": _refresh_seconds(scene),
                "explanation": FAILURES.get(scene.failure, ""),
                "again_at": moment(scene.due_at, scene.account),
                "facts": facts(_facts(scene)) if scene.ticket else "",
                "picture_elsewhere": client_for(scene.account).qr_codes.picture_url(scene.ticket)
                if state == QRScene.State.ELSEWHERE and scene.ticket
                else "",
                "links": [
                    (title, reverse(f"admin:subscribers_qrscene_{name}", args=[scene.pk]))
                    for title, name in links
                ]
                + links_to_results,
            },
        )

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "logo" and field is not None:
            pictures = MediaFile.objects.filter(kind=MediaFile.Kind.IMAGE)
            number = (
                request.resolver_match.kwargs.get("object_id") if request.resolver_match else ""
            )
            own = QRScene.objects.filter(pk=number or 0).values("account")
            field.queryset = visible_to(request.user, pictures.filter(account__in=own))
        return field

    @action(description=_("Results"), url_path="all-results", permissions=["view"])
    def all_results(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:subscribers_qrscene_results"))

    # --- Making --------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: QRScene, form: Any, change: bool) -> None:
        if not change:
            super().save_model(request, obj, form, change)
            return
        # Saves only the form's columns, because the worker may fetch the ticket meanwhile. Saves
        # all of them, so that the code is locked before its tags even if only tags were changed.
        columns = {field.name for field in obj._meta.concrete_fields}
        obj.save(update_fields=columns.intersection(form.cleaned_data))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        form.instance.tags.set(SceneTag.named(form.cleaned_data["tag_names"]))
        if change:
            self.save_welcome(request, form)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> Any:
        try:
            return super().add_view(request, form_url, extra_context)
        except IntegrityError:
            # Another user made the code meanwhile; validating again puts that into the form.
            return super().add_view(request, form_url, extra_context)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        """Redirects to the code's own page, where the picture appears."""
        if "_addanother" in request.POST or "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        return HttpResponseRedirect(reverse("admin:subscribers_qrscene_change", args=[obj.pk]))

    def has_view_elsewhere_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscribers.view_seenscene")

    @action(
        description=_("Made elsewhere"),
        url_path="elsewhere",
        permissions=["view_elsewhere"],
    )
    def made_elsewhere(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:subscribers_seenscene_changelist"))


def _facts(scene: QRScene) -> list[tuple[StrOrPromise, StrOrPromise]]:
    known: list[tuple[StrOrPromise, StrOrPromise]] = []
    if scene.expires_at is not None:
        known.append((capfirst(_("expires")), moment(scene.expires_at, scene.account)))
    if scene.url:
        known.append(("URL", scene.url))
    return [*known, ("Ticket", scene.ticket)]


def _refresh_seconds(scene: QRScene) -> int | None:
    """Seconds after which the page asks for the code again; None if it need not."""
    if scene.due_at is None:
        return None
    return _REFRESH_IF_DUE if scene.due_at <= timezone.now() else _REFRESH_IF_LATER
