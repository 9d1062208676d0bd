"""The page that makes a draft of a menu from pasted JSON or from a file."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
)

from events.admin.access import chosen_account, visible_accounts
from events.admin.base import ModelAdmin
from events.admin.menus.menu_publishing import page_of
from events.answering.take_over import add_rules, new_rules
from events.answering.take_over_menu import TakenMenu, taken_menu
from events.menus.from_json import LONGEST, mistakes_in, read_pasted
from events.models import MenuVersion, OfficialAccount

__all__ = ["MenuImport"]


class MenuJSONForm(forms.Form):
    """The form for the JSON. If it is valid, `taken` has the menu and `notes` the omissions."""

    account = forms.ModelChoiceField(
        label=capfirst(_("Official Account")), queryset=OfficialAccount.objects.none(),
        widget=UnfoldAdminSelectWidget(),
    )  # fmt: skip
    text = forms.CharField(
        label="JSON", required=False, max_length=LONGEST,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 14, "spellcheck": "false"}),
        help_text=_(
            "As menu/create takes it, or as menu/get and get_current_selfmenu_info answer."
        ),
    )  # fmt: skip
    upload = forms.FileField(
        label=capfirst(_("or a file")), required=False,
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".json,.txt,application/json"}),
    )  # fmt: skip

    taken: TakenMenu
    notes: list[str]

    def __init__(self, *args: Any, accounts: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["account"].queryset = accounts  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        text = cleaned.get("text", "").strip() or self._uploaded(cleaned.get("upload"))
        if self.errors:
            return cleaned
        if not text:
            self.add_error("text", _("Paste the JSON of a menu, or choose a file."))
            return cleaned
        found = read_pasted(text)
        mistakes = found.mistakes
        if found.menu is not None:
            self.taken, self.notes = taken_menu(found.menu), found.notes
            mistakes = mistakes_in(self.taken.menu)
        if mistakes:
            self.add_error("text", forms.ValidationError(mistakes))
        return cleaned

    def _uploaded(self, upload: Any) -> str:
        if upload is None:
            return ""
        # Read one byte over the limit, so that a longer file is noticed.
        content: bytes = upload.read(4 * LONGEST + 1)
        try:
            return content.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            self.add_error("upload", _("The file is no text in UTF-8."))
            return ""


class MenuImport(ModelAdmin):
    """A base class of the admin of MenuVersion."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.import_menu)
        return [path("import/", view, name="events_menuversion_import"), *super().get_urls()]

    def import_menu(self, request: HttpRequest) -> HttpResponse:
        """Makes a draft, and rules for the keys that replace texts of WeChat's console."""
        if not (self.has_add_permission(request) and self.has_view_permission(request)):
            raise PermissionDenied
        form = MenuJSONForm(
            request.POST or None, request.FILES or None, accounts=visible_accounts(request),
            initial={"account": chosen_account(request)},
        )  # fmt: skip
        if request.method == "POST" and form.is_valid():
            return self._store(request, form)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Import a menu from JSON"),
            "media": self.media,
            "form": form,
        }
        return TemplateResponse(request, "admin/events/menuversion/import.html", context)

    def _store(self, request: HttpRequest, form: MenuJSONForm) -> HttpResponse:
        account: OfficialAccount = form.cleaned_data["account"]
        user: Any = request.user
        wanted = form.taken.rules if request.user.has_perm("events.add_replyrule") else ()
        rules = new_rules(account, wanted)
        # Without its rules the menu has keys that nothing answers.
        with transaction.atomic():
            version = MenuVersion.objects.create(
                account=account,
                menu=form.taken.menu.to_json(),
                note=gettext("Imported from JSON"),
                created_by=user,
                due_at=None,
            )
            self.log_addition(request, version, [{"added": {}}])
            added = add_rules(account, rules)
        for note in form.notes:
            messages.warning(request, note)
        if added:
            text = ngettext(
                "%s rule for its keys is added to the draft of the reply rules.",
                "%s rules for its keys are added to the draft of the reply rules.",
                len(added),
            )
            messages.info(request, text % len(added))
        messages.success(
            request, _("Version %s is saved. Followers see it once it is published.") % version
        )
        return HttpResponseRedirect(page_of(version))
