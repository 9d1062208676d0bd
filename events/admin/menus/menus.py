"""The operators' pages for the versions of menus: the list, and the form to write one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F
from django.forms import Script
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import UnfoldAction
from unfold.decorators import display

from events.admin.access import chosen_account
from events.admin.changelist import KeysetModelAdmin
from events.admin.hindered import NeedsRight
from events.admin.html import done_by, moment
from events.admin.list_filters import AccountFilter
from events.admin.menus.menu_forms import MenuVersionForm
from events.admin.menus.menu_import import MenuImport
from events.admin.menus.menu_list import REFRESH_SECONDS, MenuList, StateFilter, answers_in
from events.admin.menus.menu_publishing import (
    PublishingActions,
    action_of,
    fitting_actions,
    page_of,
)
from events.admin.menus.menu_state import AtWeChat, failure_of, is_due_soon
from events.menus.menu_words import entries, sentence
from events.menus.publish import MENUS
from events.models import MenuVersion
from events.wechat.api.menu_model import problems

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["MenuVersionAdmin"]


@admin.register(MenuVersion)
class MenuVersionAdmin(NeedsRight, MenuList, MenuImport, PublishingActions, KeysetModelAdmin):
    """Operators edit drafts; a published version never changes."""

    form = MenuVersionForm
    needs_right = MENUS
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
        css = {"all": ["events/menu.css", "events/rules.css"]}
        js = [Script("events/menu.js", type="module")]

    # --- Who may do what -----------------------------------------------------------------------

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not super().has_change_permission(request, obj):
            return False
        # If another user publishes the version meanwhile, the written menu must not be lost. So
        # accept the form in any case: save_model() makes a new draft of it.
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
        """Returns the actions that fit the version's state. The others explain why they do not."""
        version = self._version(request, object_id)
        fitting = fitting_actions(version) if version else ()
        actions: list[UnfoldAction] = super().get_actions_detail(request, object_id)
        return [action for action in actions if action.path in fitting]

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
        """Takes the menu of the version ``?from=``, or the one that ``?account=`` shows now."""
        source = self._version(request, request.GET.get("from"))
        if source is not None:
            return {"account": source.account_id, "menu": source.content}
        account = chosen_account(request)
        if account is None:
            return {}
        return {"account": account.pk, "menu": AtWeChat.of(account).menu}

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
                **answers_in(request, obj.account if obj else None, menu),
            },
            add,
            change,
            form_url,
            obj,
        )
        if not is_editor and is_due_soon(obj):
            response.headers["Refresh"] = str(REFRESH_SECONDS)
        return response

    def _next_step(self, request: HttpRequest, version: Any) -> tuple[StrOrPromise, str] | None:
        """Returns the usual next action and its address; on phones the actions are in a menu."""
        if version is None:
            return None
        if not self.has_publish_permission(request):
            return None
        fitting = fitting_actions(version)
        if "publish_version" in fitting:
            return _("Publish"), action_of(version, "publish_version")
        if "take_version_back" in fitting:
            return _("Publish again"), action_of(version, "take_version_back")
        return None

    @display(description=_("status"))
    def status(self, version: Any) -> str:
        return self.badge(version)[1]

    @display(description=_("written"))
    def written(self, version: MenuVersion) -> str:
        return done_by(version.created_at, version.created_by, version.account)

    @display(description=_("origin"))
    def shown_origin(self, version: MenuVersion) -> str:
        if version.based_on_id is None:
            return version.get_origin_display()
        return render_to_string("admin/events/menuversion/origin.html", {"version": version})

    @display(description=_("reason"))
    def reason(self, version: MenuVersion) -> str:
        failure = failure_of(version)
        if version.due_at is None:
            return failure
        return render_to_string(
            "admin/events/menuversion/retry.html",
            {"failure": failure, "again_at": moment(version.due_at, version.account)},
        )

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
        return HttpResponseRedirect(page_of(version))

    def delete_model(self, request: HttpRequest, obj: MenuVersion) -> None:
        deleted, _rows = MenuVersion.objects.editable().filter(pk=obj.pk).delete()
        if not deleted:
            # It was published since this request read it. The error takes back Django's records of
            # the deletion.
            raise PermissionDenied
