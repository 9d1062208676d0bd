"""The operators' pages for QR codes: made here, made elsewhere and adopted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from django.db.models import Count, QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import mark_safe
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from events.admin.changelist import KeysetChangeList, KeysetModelAdmin, ReadOnly
from events.admin.filters import AccountFilter
from events.admin.html import confirmation, facts, moment
from events.models import OfficialAccount
from events.platform.client import client_for
from subscribers.admin.qr_code_forms import NewSceneForm, SceneForm, SceneListForm, text_of_upload
from subscribers.models import QRScene, SceneTag, SeenScene
from subscribers.models.qr_code import QRSceneQuerySet
from subscribers.qr_codes.counts import CAME_FIRST, STILL_FOLLOWING, count_followers
from subscribers.qr_codes.create import (
    NEAR_THE_LIMIT,
    NewCode,
    PermanentCodesUsedUp,
    SceneTaken,
    make_codes,
)
from subscribers.qr_codes.fetch_tickets import FAILURES
from subscribers.qr_codes.images import png, svg
from subscribers.qr_codes.zip import archive, file_name

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["QRSceneAdmin", "SceneTagAdmin", "SeenSceneAdmin"]

_MOST_ADOPTED = 1000
# Seconds between two looks at a code that is being fetched, and at one that is tried again later.
_OFTEN, _SELDOM = 1, 10

_COLOURS = {
    QRScene.State.WAITING.value: "info",
    QRScene.State.READY.value: "success",
    QRScene.State.FAILED.value: "danger",
    QRScene.State.EXPIRED.value: "warning",
    QRScene.State.ELSEWHERE.value: "info",
}


class _Counting(ChangeList):
    """Counts the followers of the page that is shown, not of all that are listed."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        shown: list[Any] = list(self.result_list)
        count_followers(shown)
        self.result_list = shown


class _CountingByKey(_Counting, KeysetChangeList):
    pass


class _FollowerCounts:
    """The columns of `count_followers`."""

    @display(description=_("came through it first"), ordering=CAME_FIRST)
    def came_first(self, scene: Any) -> int:
        return scene.first_count

    @display(description=_("still following"), ordering=STILL_FOLLOWING)
    def still_following(self, scene: Any) -> int:
        return scene.following_count


class StateFilter(admin.SimpleListFilter):
    title = _("status")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return QRScene.State.choices

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() not in QRScene.State.values:
            return queryset
        return queryset.in_state(QRScene.State(str(self.value())), timezone.now())


@admin.register(QRScene)
class QRSceneAdmin(_FollowerCounts, ModelAdmin):
    list_display = [
        "name", "badge", "scene", "validity", "came_first", "still_following", "tag_list",
        "account",
    ]  # fmt: skip
    list_filter = ["account", StateFilter, "is_permanent", "tags"]
    list_filter_sheet = False
    list_fullwidth = True
    list_select_related = ["account"]
    list_before_template = "admin/subscribers/qrscene/waiting.html"
    search_fields = ["name", "scene", "tags__name"]
    search_help_text = _("a part of the name, scene or tag")
    ordering = ["-pk"]
    actions = ["download_archive", "try_again", "renew"]
    actions_list = ["make_several", "made_elsewhere"]

    class Media:
        js = ["wechat_site/live.js", "wechat_site/once.js"]

    # --- What is shown -------------------------------------------------------------------------

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        return super().get_form(
            request, obj, **{"form": SceneForm if obj else NewSceneForm, **kwargs}
        )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            names = ["account", "name", "scene", "lifetime", "tag_names", "note", "adopt"]
            return [(None, {"fields": names})]
        tags = "tag_names" if self.has_change_permission(request, obj) else "tag_list"
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
        ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None:
            return []
        return [
            "code", "account", "scene", "validity", "created", "came_first", "still_following",
            "tag_list",
        ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[QRScene]:
        return super().get_queryset(request).prefetch_related("tags")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _Counting

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The list, with what waits, what failed, and whose permanent codes run out, above it."""
        codes = QRScene.objects.all()
        now = timezone.now()
        permanent = (
            OfficialAccount.objects.filter(scenes__is_permanent=True)
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
            # The page offers what the user may do, and only the request knows that.
            scene.can_be_fetched = self.has_change_permission(request) and (
                scene.is_renewable or scene.state == QRScene.State.FAILED
            )
        return scene

    @display(description=_("QR code"))
    def code(self, scene: Any) -> str:
        """The picture and what is the matter with it; the page asks anew until it is there."""
        state = scene.state
        links: list[tuple[StrOrPromise, str]] = []
        if scene.has_valid_code:
            links += [(_("PNG for print"), "png"), (_("SVG for any size"), "svg")]
        if scene.can_be_fetched:
            links.append((_fetch_title(scene), "fetch"))
        return render_to_string(
            "admin/subscribers/qrscene/code.html",
            {
                "scene": scene,
                # Drawn by us, of paths alone.
                "picture": mark_safe(svg(scene.url)) if scene.has_valid_code else "",
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
                ],
            },
        )

    # --- Making --------------------------------------------------------------------------------

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        form.instance.tags.set(SceneTag.named(form.cleaned_data["tag_names"]))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> Any:
        try:
            return super().add_view(request, form_url, extra_context)
        except IntegrityError:
            # Somebody else was quicker; the form says so when it looks again.
            return super().add_view(request, form_url, extra_context)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        """On to the code's own page, where it appears as soon as it is there."""
        if "_addanother" in request.POST or "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        return HttpResponseRedirect(reverse("admin:subscribers_qrscene_change", args=[obj.pk]))

    @action(description=_("Several at once"), url_path="several", permissions=["add"])
    def make_several(self, request: HttpRequest) -> HttpResponse:
        back = reverse("admin:subscribers_qrscene_changelist")
        form = self._several_form(request)
        if request.method == "POST" and form.is_valid() and self._make(request, form):
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Several QR codes at once"),
            "form": form,
            "media": self.media,
            "back": back,
        }
        return TemplateResponse(request, "admin/subscribers/qrscene/several.html", context)

    def _several_form(self, request: HttpRequest) -> SceneListForm:
        if request.method != "POST":
            return SceneListForm()
        data = request.POST.copy()
        try:
            uploaded = text_of_upload(request.FILES)
        except forms.ValidationError as error:
            form = SceneListForm(data)
            form.add_error("upload", error)
            return form
        # Into the box, so that nothing is lost when a line has to be put right.
        typed = data.get("codes", "")
        data["codes"] = "\n".join(text for text in (typed, uploaded) if text.strip())
        return SceneListForm(data)

    def _make(self, request: HttpRequest, form: SceneListForm) -> bool:
        """Makes what the list says; False, with the reason in the form, if that cannot be."""
        given = form.cleaned_data
        try:
            made = make_codes(
                given["account"],
                form.new_codes,
                expire_seconds=given["lifetime"],
                tags=given["tag_names"],
                adopt=given["adopt"],
            )
        except (SceneTaken, PermanentCodesUsedUp):
            # Somebody else was quicker; the form says so when it looks again.
            form.full_clean()
            return False
        if given["adopt"]:
            text = ngettext("%s code adopted.", "%s codes adopted.", len(made))
        else:
            text = ngettext(
                "%s code is being fetched from WeChat.",
                "%s codes are being fetched from WeChat.",
                len(made),
            )
        messages.success(request, text % len(made))
        return True

    def has_view_elsewhere_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscribers.view_seenscene")

    @action(
        description=_("Made elsewhere"),
        url_path="elsewhere",
        permissions=["view_elsewhere"],
    )
    def made_elsewhere(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:subscribers_seenscene_changelist"))

    # --- Downloads -----------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        views = [("png", self.png_view), ("svg", self.svg_view), ("fetch", self.fetch_view)]
        return [
            path(
                f"<int:pk>/{name}/",
                self.admin_site.admin_view(view),
                name=f"subscribers_qrscene_{name}",
            )
            for name, view in views
        ] + super().get_urls()

    def png_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The picture for print."""
        scene = self._drawable(request, pk)
        return _download(png(scene.url, scene.name), "image/png", file_name(scene, set()))

    def svg_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The picture in any size."""
        scene = self._drawable(request, pk)
        name = file_name(scene, set(), ".svg")
        return _download(svg(scene.url).encode(), "image/svg+xml", name)

    def _drawable(self, request: HttpRequest, pk: int) -> QRScene:
        if not self.has_view_permission(request):
            raise PermissionDenied
        scene = get_object_or_404(QRScene, pk=pk)
        if not scene.has_valid_code:
            raise Http404
        return scene

    @action(description=_("Download as ZIP"), permissions=["view"])
    def download_archive(
        self, request: HttpRequest, queryset: QRSceneQuerySet
    ) -> StreamingHttpResponse | None:
        chosen = _bare(queryset)
        if not chosen.with_valid_code(timezone.now()).exists():
            messages.error(request, _("None of these codes has a picture that can be scanned."))
            return None
        ids = list(chosen.order_by("pk").values_list("pk", flat=True))
        response = StreamingHttpResponse(archive(ids), content_type="application/zip")
        response["Content-Disposition"] = 'attachment; filename="qr-codes.zip"'
        return response

    # --- Tickets -------------------------------------------------------------------------------

    @action(description=_("Try again"), permissions=["change"])
    def try_again(self, request: HttpRequest, queryset: QRSceneQuerySet) -> None:
        again = _bare(queryset).try_again(timezone.now())
        if again:
            _tell_fetching(request, again)
        else:
            messages.info(request, _("Only failed codes can be tried again."))

    @action(description=_("Renew"), permissions=["change"])
    def renew(self, request: HttpRequest, queryset: QRSceneQuerySet) -> None:
        renewed = _bare(queryset).renew(timezone.now())
        if renewed:
            _tell_fetching(request, renewed)
        else:
            messages.info(
                request, _("Only temporary codes, and those made elsewhere, can be renewed.")
            )

    def fetch_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks first, then has a ticket fetched once more: after a failure, or a new one."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        scene = get_object_or_404(QRScene, pk=pk)
        back = reverse("admin:subscribers_qrscene_change", args=[pk])
        if request.method != "POST":
            sentences: list[StrOrPromise] = [_("WeChat is asked for this code once more.")]
            if not scene.failure:
                sentences = [
                    _("WeChat makes a new picture for the same scene."),
                    _("The present picture goes on working for as long as it was made for."),
                ]
                if scene.is_permanent:
                    sentences.append(
                        _("The new one is permanent, and one of the 100,000 that WeChat makes.")
                    )
            return confirmation(
                request, self, title=_fetch_title(scene), sentences=sentences, back=back
            )
        this = QRScene.objects.filter(pk=pk)
        if scene.failure:
            self.try_again(request, this)
        else:
            self.renew(request, this)
        return HttpResponseRedirect(back)


def _facts(scene: QRScene) -> list[tuple[StrOrPromise, StrOrPromise]]:
    known: list[tuple[StrOrPromise, StrOrPromise]] = []
    if scene.expires_at is not None:
        known.append((capfirst(_("expires")), moment(scene.expires_at, scene.account)))
    if scene.url:
        known.append(("URL", scene.url))
    return [*known, ("Ticket", scene.ticket)]


def _refresh_seconds(scene: QRScene) -> int | None:
    """How often the page asks whether the code is there; None if nothing is waited for."""
    if scene.due_at is None:
        return None
    return _OFTEN if scene.due_at <= timezone.now() else _SELDOM


def _fetch_title(scene: QRScene) -> StrOrPromise:
    """What it is called to have this code's ticket fetched once more."""
    if scene.failure:
        return _("Try again")
    return _("Renew") if scene.url else _("Fetch a picture of our own")


def _bare(scenes: QRSceneQuerySet) -> QRSceneQuerySet:
    """The same rows, without what the list counts and fetches besides."""
    return QRScene.objects.filter(pk__in=scenes.order_by().values("pk"))


def _tell_fetching(request: HttpRequest, number: int) -> None:
    text = ngettext(
        "%s code is being fetched from WeChat.", "%s codes are being fetched from WeChat.", number
    )
    messages.success(request, text % number)


def _download(content: bytes, content_type: str, name: str) -> HttpResponse:
    disposition = f"attachment; filename*=utf-8''{quote(name)}"
    return HttpResponse(
        content, content_type=content_type, headers={"Content-Disposition": disposition}
    )


@admin.register(SeenScene)
class SeenSceneAdmin(ReadOnly, _FollowerCounts, KeysetModelAdmin):
    """Scenes that events came with and that have no code here; adopted, they leave this list."""

    list_display = ["scene", "account", "seen_first", "came_first", "still_following"]
    list_display_links = None
    list_before_template = "admin/subscribers/seenscene/about.html"
    list_filter = [AccountFilter]
    list_select_related = ["account"]
    search_help_text = _("QR scene; the whole value")
    actions = ["adopt"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[SeenScene]:
        unknown: QuerySet[SeenScene] = super().get_queryset(request).unknown()
        return unknown

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _CountingByKey

    def search_exactly(self, queryset: Any, term: str) -> QuerySet[Any]:
        # The index begins with the account.
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
        """Makes codes of them, called like their scenes until somebody gives them a name."""
        of_account: dict[OfficialAccount, list[NewCode]] = {}
        for seen in queryset.select_related("account")[:_MOST_ADOPTED]:
            of_account.setdefault(seen.account, []).append(NewCode(seen.scene, seen.scene))
        adopted: list[QRScene] = []
        for account, codes in of_account.items():
            try:
                adopted += make_codes(account, codes, adopt=True)
            except SceneTaken as taken:
                messages.error(request, _("There is a code already: %s") % taken)
        if adopted:
            text = ngettext("%s code adopted.", "%s codes adopted.", len(adopted))
            messages.success(request, text % len(adopted))
        if len(adopted) != 1:
            return None
        messages.info(request, _("Give it a name that says where it hangs."))
        return HttpResponseRedirect(
            reverse("admin:subscribers_qrscene_change", args=[adopted[0].pk])
        )


@admin.register(SceneTag)
class SceneTagAdmin(ModelAdmin):
    list_display = ["name", "codes"]
    search_fields = ["name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[SceneTag]:
        return super().get_queryset(request).annotate(number=Count("qrscene"))

    @display(description=_("QR scenes"), ordering="number")
    def codes(self, tag: Any) -> str:
        return format_html(
            '<a href="{}?tags__id__exact={}">{}</a>',
            reverse("admin:subscribers_qrscene_changelist"),
            tag.pk,
            tag.number,
        )
