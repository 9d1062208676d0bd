"""Pieces of HTML that several pages show. Their look is in wechat_site/admin.css."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from events.menus.names import MenuName
from events.models import OfficialAccount

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = [
    "confirmation",
    "facts",
    "fold_out",
    "follower_link",
    "menu_name",
    "moment",
    "nested_table",
    "verbatim",
]


def follower_link(openid: str) -> str:
    """The follower as a link to the followers' list, which is another app's."""
    if not openid:
        return "–"
    return format_html(
        '<a class="openid" href="{}?{}">{}</a>',
        reverse("admin:subscribers_subscriber_changelist"),
        urlencode({"q": openid}),
        openid,
    )


def moment(at: datetime.datetime | None, account: OfficialAccount) -> str:
    """A time to the second, by the account's clocks, on one line."""
    if at is None:
        return "–"
    # Formatted first: format_html() escapes, and so makes a text of, whatever it is given.
    local = f"{at.astimezone(account.zone):%Y-%m-%d %H:%M:%S}"
    return format_html('<span class="one-line">{}</span>', local)


def menu_name(name: MenuName | None) -> str:
    """What the menu calls a key, to be shown beside it; "" if it has no name."""
    if name is None:
        return ""
    if not name.is_former:
        return format_html('<span class="menu-name">{}</span> ', name.path)
    return format_html(
        '<span class="menu-name menu-name-former" title="{}">{} <small>({})</small></span> ',
        _("This entry is not in the menu any more."),
        name.path,
        _("former"),
    )


def verbatim(text: str) -> str:
    """A text as it is, in letters of one width."""
    return format_html('<pre class="verbatim">{}</pre>', text) if text else "–"


def fold_out(text: str) -> str:
    """A traceback behind its last line."""
    if not text:
        return "–"
    return format_html(
        "<details><summary>{}</summary>{}</details>",
        text.strip().rpartition("\n")[2],
        verbatim(text),
    )


def facts(rows: Iterable[tuple[Any, Any]]) -> str:
    """A table of names and values."""
    return format_html(
        '<table class="facts">{}</table>',
        format_html_join("", "<tr><th>{}</th><td>{}</td></tr>", rows),
    )


def nested_table(value: Any) -> str:
    """Nested mappings and lists of texts, as tables in tables."""
    match value:
        case dict():
            rows: list[tuple[Any, Any]] = [
                (name, nested_table(part)) for name, part in value.items()
            ]
        case list():
            rows = [(number, nested_table(part)) for number, part in enumerate(value, start=1)]
        case _:
            return str(value)
    return facts(rows)


def confirmation(
    request: HttpRequest,
    model_admin: ModelAdmin,
    *,
    title: StrOrPromise,
    sentences: list[StrOrPromise],
    back: str,
) -> HttpResponse:
    """A page that asks before an action is done: its button posts to the action's own address."""
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": title,
        "sentences": sentences,
        "back": back,
    }
    return TemplateResponse(request, "admin/confirm.html", context)
