"""The state of an account's menu at WeChat, for pages: unknown, different, failed or waiting."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from events.admin.html import moment
from events.menus.menu_words import Entry, changes, entries
from events.menus.publish import last_published_here
from events.models import LiveMenu, MenuVersion, OfficialAccount
from events.platform.failures import explanation
from events.wechat.api.menu_model import Menu

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["AtWeChat", "failure_of", "is_due_soon", "listing_of"]

# How long a page that waits for the worker reloads itself.
_WORTH_WAITING = datetime.timedelta(seconds=60)

# Explanations of failures that are special for menus.
_EXPLANATIONS: dict[str, StrOrPromise] = {
    "request": _("WeChat does not take this menu, and says why:"),
    "refused": _("WeChat refuses, and says why:"),
}


@dataclass(frozen=True, slots=True)
class AtWeChat:
    """The menu that followers of an account see, as far as the site knows, with notes on it."""

    account: OfficialAccount
    live: LiveMenu | None
    here: MenuVersion | None
    waiting: MenuVersion | None

    @classmethod
    def of(cls, account: OfficialAccount) -> AtWeChat:
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
        """How WeChat's menu differs from the last one published here; "" if it does not."""
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
        """A sentence about menus for only some followers; "" if there are none."""
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
        return failure_of(self.live) if self.live else ""

    @property
    def asked_at(self) -> str:
        return moment(self.live.asked_at, self.account) if self.live else "–"

    @property
    def is_changing(self) -> bool:
        return is_due_soon(self.live) or is_due_soon(self.waiting)

    def seen_with(self, version: MenuVersion) -> str:
        """A text that changes if the state changes that a user sees before publishing."""
        live = self.live.version_id if self.live else None
        waiting = self.waiting.pk if self.waiting else None
        return f"{version.revision}.{live or 0}.{waiting or 0}"


def failure_of(row: MenuVersion | LiveMenu) -> str:
    """Explains why a job failed: in our words, then in WeChat's."""
    if not row.failure:
        return ""
    return render_to_string(
        "admin/events/menuversion/failure.html",
        {
            "sentence": _EXPLANATIONS.get(row.failure) or explanation(row.failure),
            "text": row.failure_text,
        },
    )


def is_due_soon(row: MenuVersion | LiveMenu | None) -> bool:
    """Whether the worker handles the row now, or soon will."""
    if row is None or row.due_at is None:
        return False
    return abs(row.due_at - timezone.now()) <= _WORTH_WAITING


def listing_of(account: OfficialAccount) -> str:
    """Returns the address of the page of an account's menus."""
    listing = reverse("admin:events_menuversion_changelist")
    return f"{listing}?{urlencode({'account': account.slug})}"
