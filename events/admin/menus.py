"""The operators' pages for menus: what followers see, its versions, and the form to write one."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.forms import Script
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action, display

from events.admin.changelist import KeysetModelAdmin, ReadOnly
from events.admin.filters import AccountFilter
from events.admin.html import confirmation, moment
from events.admin.menu_forms import MenuVersionForm
from events.menus.publish import (
    NotPossible,
    ask_wechat,
    last_published_here,
    publish,
    take_back,
    withdraw,
)
from events.menus.words import Entry, changes, entries, names, sentence
from events.models import ACCOUNT_SECRETS, LiveMenu, MenuVersion, OfficialAccount, with_account
from events.models.menu import MenuVersionQuerySet
from events.platform.failures import explanation
from events.wechat.api.menus import Menu, problems

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["LiveMenuAdmin", "MenuVersionAdmin"]

_COLOURS = {
    MenuVersion.State.DRAFT.value: "info",
    MenuVersion.State.WAITING.value: "warning",
    MenuVersion.State.PUBLISHED.value: "success",
    MenuVersion.State.FAILED.value: "danger",
}

# Digits of a version's number: more do not fit its column.
_LONGEST_NUMBER = 18

# Seconds after which a page that waits for the worker is loaded anew, and how long that goes on.
_REFRESH_SECONDS = 2
_WORTH_WAITING = datetime.timedelta(seconds=60)

_WHEN_SEEN = _(
    "Followers see the new menu when they open the chat again, at the latest within 24 hours; "
    "who follows anew sees it at once."
)

# What a call for a menu may fail with besides what any call may.
_EXPLANATIONS: dict[str, StrOrPromise] = {
    "request": _("WeChat does not take this menu, and says why:"),
    "refused": _("WeChat refuses, and says why:"),
}


class StateFilter(admin.SimpleListFilter):
    title = _("status")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return MenuVersion.State.choices

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() not in MenuVersion.State.values:
            return queryset
        return queryset.in_state(MenuVersion.State(str(self.value())))


@dataclass(frozen=True, slots=True)
class _AtWeChat:
    """What is known of the menu that followers of an account see, and what is to be said of it."""

    account: OfficialAccount
    live: LiveMenu | None
    here: MenuVersion | None
    waiting: MenuVersion | None

    @classmethod
    def of(cls, account: OfficialAccount) -> _AtWeChat:
        waiting = MenuVersion.objects.in_state(MenuVersion.State.WAITING)
        return cls(
            account=account,
            live=LiveMenu.objects.filter(account=account).select_related("version").first(),
            here=last_published_here(account.pk),
            waiting=waiting.filter(account=account).first(),
        )

    @property
    def version(self) -> MenuVersion | None:
        return self.live.version if self.live else None

    @property
    def is_known(self) -> bool:
        return self.live is not None and not (self.version is None and self.live.asked_at is None)

    @property
    def menu(self) -> Menu:
        return self.version.content if self.version else Menu(())

    @property
    def entries(self) -> list[Entry]:
        return list(entries(self.menu))

    @property
    def is_being_asked(self) -> bool:
        return self.live is not None and self.live.due_at is not None

    @property
    def drift(self) -> StrOrPromise:
        """How what WeChat shows differs from what was published here; "" if it does not."""
        if self.here is None or self.live is None or self.version == self.here:
            return ""
        if self.version is None:
            return _("WeChat shows no menu: it was deleted or switched off elsewhere.")
        if self.version.origin == MenuVersion.Origin.WECHAT:
            return _("WeChat shows a menu that was not published here.")
        return _("WeChat shows another version than the last one published here.")

    @property
    def drift_changes(self) -> list[str]:
        return changes(self.here.content, self.menu) if self.here and self.drift else []

    @property
    def conditional(self) -> str:
        """That other menus exist beside this one; "" if none do."""
        number = self.live.conditional_menus if self.live else 0
        if not number:
            return ""
        return (
            ngettext(
                "WeChat has %s more menu, which some followers see instead (个性化菜单). "
                "It was made elsewhere, and publishing here leaves it as it is.",
                "WeChat has %s more menus, which some followers see instead (个性化菜单). "
                "They were made elsewhere, and publishing here leaves them as they are.",
                number,
            )
            % number
        )

    @property
    def failure(self) -> str:
        return _reason(self.live) if self.live else ""

    @property
    def asked_at(self) -> str:
        return moment(self.live.asked_at, self.account) if self.live else "–"

    @property
    def is_changing(self) -> bool:
        return _is_due_soon(self.live) or _is_due_soon(self.waiting)

    def seen_with(self, version: MenuVersion) -> str:
        """What somebody who decides on this version has before him, to notice when it changes."""
        live = self.live.version_id if self.live else None
        waiting = self.waiting.pk if self.waiting else None
        return f"{version.revision}.{live or 0}.{waiting or 0}"


@admin.register(MenuVersion)
class MenuVersionAdmin(KeysetModelAdmin):
    """Versions are written while they are drafts, and never again once they are published."""

    form = MenuVersionForm
    list_display = [
        "number", "badge", "entry_names", "note", "account", "created_by", "published",
    ]  # fmt: skip
    list_display_links = ["number"]
    list_filter = [AccountFilter, StateFilter]
    list_before_template = "admin/events/menuversion/at_wechat.html"
    search_help_text = _("number of the version")
    change_form_template = "admin/events/menuversion/change_form.html"
    add_form_template = change_form_template
    warn_unsaved_form = True
    actions_detail = [
        "publish_version", "withdraw_version", "take_version_back", "copy_version"
    ]  # fmt: skip

    class Media:
        css = {"all": ["wechat_site/menu.css"]}
        js = [Script("wechat_site/menu.js", type="module")]

    # --- Who may do what -----------------------------------------------------------------------

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not super().has_change_permission(request, obj):
            return False
        # What was written while somebody else published the version must not be lost, so a form
        # that is sent is read in any case: save_model() makes a new draft of it.
        return obj is None or obj.is_editable or request.method == "POST"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not super().has_delete_permission(request, obj):
            return False
        return obj is not None and obj.is_editable

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("events.publish_menu")

    def has_copy_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_view_permission(request) and self.has_add_permission(request)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[UnfoldAction]:
        """Those that fit the version's state. Asked for all the same, they say why they do not."""
        version = self._version(request, object_id)
        fitting = _fitting(version) if version else ()
        actions: list[UnfoldAction] = super().get_actions_detail(request, object_id)
        return [action for action in actions if action.path in fitting]

    def _version(self, request: HttpRequest, object_id: Any) -> Any:
        return None if object_id is None else self.get_object(request, str(object_id))

    # --- The list ------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        versions: MenuVersionQuerySet = super().get_queryset(request)
        return with_account(versions.with_is_live().select_related("created_by", "published_by"))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        accounts = list(OfficialAccount.objects.defer(*ACCOUNT_SECRETS))
        slug = request.GET.get("account")
        chosen = next(
            (account for account in accounts if account.slug == slug),
            accounts[0] if len(accounts) == 1 else None,
        )
        at_wechat = _AtWeChat.of(chosen) if chosen else None
        response = super().changelist_view(
            request,
            {
                **(extra_context or {}),
                "accounts": accounts,
                "at_wechat": at_wechat,
                "may_write": self.has_add_permission(request),
                "may_ask": super().has_change_permission(request),
                "may_see_all": request.user.has_perm("events.view_livemenu"),
            },
        )
        if at_wechat and at_wechat.is_changing:
            response.headers["Refresh"] = str(_REFRESH_SECONDS)
        return response

    def get_urls(self) -> list[Any]:
        ask = require_POST(self.admin_site.admin_view(self.ask))
        return [
            path("ask/<int:account_id>/", ask, name="events_menuversion_ask"),
            *super().get_urls(),
        ]

    def ask(self, request: HttpRequest, account_id: int) -> HttpResponse:
        """Has the worker ask WeChat for the menu."""
        account = get_object_or_404(OfficialAccount.objects.defer(*ACCOUNT_SECRETS), pk=account_id)
        if not super().has_change_permission(request):
            raise Http404
        ask_wechat(account)
        messages.info(request, _("WeChat is being asked for the menu."))
        return HttpResponseRedirect(_listing(account))

    @display(description=_("version"))
    def number(self, version: MenuVersion) -> str:
        return str(version)

    @display(description=_("status"), label={**_COLOURS, "live": "success", "past": "info"})
    def badge(self, version: Any) -> tuple[str, str]:
        if version.is_live:
            return "live", str(_("what followers see"))
        if version.state == MenuVersion.State.PUBLISHED:
            return "past", str(_("published earlier"))
        return version.state.value, str(version.state.label)

    @display(description=_("entries"))
    def entry_names(self, version: MenuVersion) -> str:
        return names(version.content)

    @display(description=_("published"))
    def published(self, version: MenuVersion) -> str:
        at = moment(version.published_at, version.account)
        return format_html("{} {}", at, version.published_by or "")

    # --- One version ---------------------------------------------------------------------------

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        shown = ["status", "written", "published", "shown_origin", "reason"]
        return [*shown, "account"] if obj else shown

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return [(None, {"fields": ["account", "note"]})]
        facts: list[Any] = [("status", "account"), ("written", "shown_origin")]
        if obj.published_at is not None:
            facts.append("published")
        if obj.failure:
            facts.append("reason")
        return [(None, {"fields": [*facts, "note"]})]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """The menu of the version ``?from=``, or the one that followers of ``?account=`` see."""
        source = self._version(request, request.GET.get("from"))
        accounts = OfficialAccount.objects.defer(*ACCOUNT_SECRETS)
        if source is not None:
            return {"account": source.account_id, "menu": source.content}
        account = accounts.filter(slug=request.GET.get("account", "")).first()
        if account is None and len(found := list(accounts[:2])) == 1:
            account = found[0]
        if account is None:
            return {}
        return {"account": account.pk, "menu": _AtWeChat.of(account).menu}

    def render_change_form(
        self, request: HttpRequest, context: Any, add: bool = False, change: bool = False,
        form_url: str = "", obj: Any = None,
    ) -> Any:  # fmt: skip
        form = context["adminform"].form
        is_editor = add or self.has_change_permission(request, obj)
        menu = form.written
        response = super().render_change_form(
            request,
            {
                **context,
                "show_save_and_continue": False,
                "show_save_and_add_another": False,
                "editor": form if is_editor else None,
                "menu": menu,
                "entries": list(entries(menu)),
                "problems": [] if is_editor else [sentence(p) for p in problems(menu)],
                "phone_title": obj.account.name if obj else "",
                "next_step": self._next_step(request, obj),
            },
            add,
            change,
            form_url,
            obj,
        )
        if not is_editor and _is_due_soon(obj):
            response.headers["Refresh"] = str(_REFRESH_SECONDS)
        return response

    def _next_step(self, request: HttpRequest, version: Any) -> tuple[StrOrPromise, str] | None:
        """What is usually done with a version, and where: on a phone it stands behind a menu."""
        if version is None:
            return None
        if not self.has_publish_permission(request):
            return None
        fitting = _fitting(version)
        if "publish_version" in fitting:
            return _("Publish"), _action(version, "publish_version")
        if "take_version_back" in fitting:
            return _("Publish again"), _action(version, "take_version_back")
        return None

    @display(description=_("status"))
    def status(self, version: Any) -> str:
        return self.badge(version)[1]

    @display(description=_("written"))
    def written(self, version: MenuVersion) -> str:
        return format_html(
            "{} {}", moment(version.created_at, version.account), version.created_by or ""
        )

    @display(description=_("origin"))
    def shown_origin(self, version: MenuVersion) -> str:
        if version.based_on_id is None:
            return version.get_origin_display()
        url = reverse("admin:events_menuversion_change", args=[version.based_on_id])
        link = format_html('<a href="{}">#{}</a>', url, version.based_on_id)
        return format_html("{} {}", _("made from"), link)

    @display(description=_("reason"))
    def reason(self, version: MenuVersion) -> str:
        text = _reason(version)
        if version.due_at is not None:
            again = moment(version.due_at, version.account)
            return format_html("{}<br>{} {}", text, _("It is tried again at"), again)
        return text

    # --- Writing -------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: MenuVersion, form: Any, change: bool) -> None:
        user: Any = request.user
        if change:
            editable = MenuVersion.objects.editable().filter(pk=obj.pk)
            as_seen = editable.filter(revision=form.cleaned_data["seen_revision"])
            if as_seen.update(
                menu=obj.menu, note=obj.note, revision=F("revision") + 1, attempts=0, failure="",
                failure_text="", failed_at=None,
            ):  # fmt: skip
                return
            meanwhile = (
                _("Somebody has changed version %s meanwhile: this is kept as a new draft.")
                if editable.exists()
                else _("Version %s has been published meanwhile: this is kept as a new draft.")
            )
            messages.warning(request, meanwhile % obj)
            kept = MenuVersion.objects.create(
                account_id=obj.account_id,
                menu=obj.menu,
                note=obj.note,
                based_on_id=obj.pk,
                created_by=user,
                due_at=None,
            )
            obj.pk = kept.pk
        else:
            source = self._version(request, request.GET.get("from"))
            obj.based_on = source if source and source.account_id == obj.account_id else None
            obj.created_by = user
            obj.due_at = None
            obj.save(force_insert=True)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        return self._saved(request, obj)

    def response_change(self, request: HttpRequest, obj: Any) -> Any:
        return self._saved(request, obj)

    def _saved(self, request: HttpRequest, version: MenuVersion) -> HttpResponse:
        messages.success(
            request,
            _("Version %s is saved. Followers see it once it is published.") % version,
        )
        return HttpResponseRedirect(_page(version))

    def delete_model(self, request: HttpRequest, obj: MenuVersion) -> None:
        # Not one that was published since the page was asked for.
        MenuVersion.objects.editable().filter(pk=obj.pk).delete()

    # --- Publishing ----------------------------------------------------------------------------

    @action(description=_("Publish"), permissions=["publish"], icon="publish")
    def publish_version(self, request: HttpRequest, object_id: str) -> HttpResponse:
        version = self._version(request, object_id)
        if version is None:
            raise Http404
        if not version.is_editable:
            messages.error(
                request, _("Version %s is published already, or waits to be published.") % version
            )
            return HttpResponseRedirect(_page(version))
        if (page := self._asks(request, version, title=_("Publish"))) is not None:
            return page
        try:
            publish(version, user=request.user)
        except NotPossible as reason:
            messages.error(request, str(reason))
        else:
            self.log_change(request, version, "publishing asked for")
            messages.info(request, _("Version %s is on its way to WeChat.") % version)
        return HttpResponseRedirect(_page(version))

    @action(description=_("Publish again"), permissions=["publish"], icon="undo")
    def take_version_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        version = self._version(request, object_id)
        if version is None:
            raise Http404
        if (page := self._asks(request, version, title=_("Publish again"))) is not None:
            return page
        try:
            again = take_back(version, user=request.user, note=str(_("Version %s again") % version))
        except NotPossible as reason:
            messages.error(request, str(reason))
            return HttpResponseRedirect(_page(version))
        self.log_addition(request, again, f"version {version} published again")
        messages.info(request, _("Version %s is on its way to WeChat.") % again)
        return HttpResponseRedirect(_page(again))

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
                back=_page(version),
            )
        try:
            withdraw(version)
        except NotPossible as reason:
            messages.error(request, str(reason))
        else:
            self.log_change(request, version, "withdrawn")
            messages.success(request, _("Version %s is a draft again.") % version)
        return HttpResponseRedirect(_page(version))

    @action(description=_("Edit as a new draft"), permissions=["copy"], icon="edit")
    def copy_version(self, request: HttpRequest, object_id: str) -> HttpResponse:
        add = reverse("admin:events_menuversion_add")
        return HttpResponseRedirect(f"{add}?{urlencode({'from': object_id})}")

    def _asks(
        self, request: HttpRequest, version: MenuVersion, *, title: StrOrPromise
    ) -> HttpResponse | None:
        """The page that shows what publishing changes; None once its button was pressed.

        Shown again if what it shows has changed meanwhile.
        """
        at_wechat = _AtWeChat.of(version.account)
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
                "back": _page(version),
            },
        )


@admin.register(LiveMenu)
class LiveMenuAdmin(ReadOnly, KeysetModelAdmin):
    """What followers of each account see: the list that leads to the page of one of them."""

    list_display = ["shown_account", "shown_version", "shown_asked_at", "reason"]
    list_display_links = ["shown_account"]
    list_filter = [AccountFilter]
    search_help_text = _("number of the version")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        menus: QuerySet[Any] = super().get_queryset(request)
        return with_account(menus.select_related("version"))

    def search_exactly(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        number = term.removeprefix("#")
        is_number = number.isascii() and number.isdigit() and len(number) <= _LONGEST_NUMBER
        return queryset.filter(version=int(number)) if is_number else queryset.none()

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kw: Any) -> Any:
        menu = self.get_object(request, object_id)
        if menu is None or not self.has_view_permission(request, menu):
            raise Http404
        return HttpResponseRedirect(_listing(menu.account))

    @display(description=_("Official Account"))
    def shown_account(self, menu: LiveMenu) -> str:
        return menu.account.name

    @display(description=_("what followers see"))
    def shown_version(self, menu: LiveMenu) -> str:
        if menu.version is None:
            return str(_("WeChat shows no menu.") if menu.asked_at else "–")
        return f"{menu.version} {names(menu.version.content)}"

    @display(description=_("asked"))
    def shown_asked_at(self, menu: LiveMenu) -> str:
        return moment(menu.asked_at, menu.account)

    @display(description=_("reason"))
    def reason(self, menu: LiveMenu) -> str:
        return _reason(menu) or "–"


def _fitting(version: Any) -> set[str]:
    """The actions that a version's state allows."""
    match version.state:
        case MenuVersion.State.WAITING:
            return {"withdraw_version", "copy_version"}
        case MenuVersion.State.PUBLISHED if version.is_live:
            return {"copy_version"}
        case MenuVersion.State.PUBLISHED:
            return {"take_version_back", "copy_version"}
        case _:
            return {"publish_version"}


def _reason(row: MenuVersion | LiveMenu) -> str:
    """Why the platform did not do as it was asked: in our words, then in its own."""
    if not row.failure:
        return ""
    return render_to_string(
        "admin/events/menuversion/failure.html",
        {
            "sentence": _EXPLANATIONS.get(row.failure) or explanation(row.failure),
            "text": row.failure_text,
        },
    )


def _is_due_soon(row: MenuVersion | LiveMenu | None) -> bool:
    """Whether the worker is at it, or about to be."""
    if row is None or row.due_at is None:
        return False
    return abs(row.due_at - timezone.now()) <= _WORTH_WAITING


def _listing(account: OfficialAccount) -> str:
    """The page of an account's menus."""
    listing = reverse("admin:events_menuversion_changelist")
    return f"{listing}?{urlencode({'account': account.slug})}"


def _page(version: MenuVersion) -> str:
    return reverse("admin:events_menuversion_change", args=[version.pk])


def _action(version: MenuVersion, name: str) -> str:
    return reverse(f"admin:events_menuversion_{name}", args=[version.pk])
