"""Renders pieces of several pages: templates/admin/pieces, styled in wechat_site/admin.css."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse

from events.admin.base import ModelAdmin
from events.menus.names import MenuName
from events.models import OfficialAccount
from events.viewer import may_see_openids, shown_openid

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = [
    "confirmation",
    "done_by",
    "facts",
    "fold_out",
    "follower_link",
    "menu_name",
    "moment",
    "nested_table",
    "new_secret",
    "verbatim",
]


def follower_link(openid: str) -> str:
    """Shows the follower as a link to the list of followers."""
    if not openid:
        return "–"
    # The address of a link contains the OpenID, so make none if the viewer may not see it.
    return _piece("follower", openid=shown_openid(openid), is_link=may_see_openids())


def moment(at: datetime.datetime | None, account: OfficialAccount) -> str:
    """Shows a time to the second, in the account's time zone, on one line."""
    if at is None:
        return "–"
    return _piece("moment", time=f"{at.astimezone(account.zone):%Y-%m-%d %H:%M:%S}")


def done_by(at: datetime.datetime | None, user: Any, account: OfficialAccount) -> str:
    """Shows when a step was done, and by which user."""
    return _piece("done_by", at=moment(at, account), user=user)


def menu_name(name: MenuName | None) -> str:
    """Shows the menu's name for a key, to put before the key; "" if it has none."""
    return _piece("menu_name", name=name) if name else ""


def verbatim(text: str) -> str:
    """Shows a text unchanged, in a monospaced font."""
    return _piece("verbatim", text=text) if text else "–"


def fold_out(text: str) -> str:
    """Shows the last line of a traceback, which unfolds to the whole."""
    if not text:
        return "–"
    return _piece("fold_out", text=text, last_line=text.strip().rpartition("\n")[2])


def facts(rows: Iterable[tuple[Any, Any]]) -> str:
    """Shows a table of names and values."""
    return _piece("facts", rows=rows)


def new_secret(secret: str) -> str:
    """Shows a secret that was just made, for a message: no page shows it again."""
    return _piece("new_secret", secret=secret)


def nested_table(value: Any) -> str:
    """Shows nested mappings and lists of texts as nested tables."""
    rows = _rows(value)
    return str(value) if rows is None else _piece("nested_table", rows=rows)


def _rows(value: Any) -> list[tuple[Any, Any, Any]] | None:
    match value:
        case dict():
            return [(name, part, _rows(part)) for name, part in value.items()]
        case list():
            return [(number, part, _rows(part)) for number, part in enumerate(value, start=1)]
        case _:
            return None


def _piece(template: str, **context: Any) -> str:
    return render_to_string(f"admin/pieces/{template}.html", context)


def confirmation(
    request: HttpRequest,
    model_admin: ModelAdmin,
    *,
    title: StrOrPromise,
    sentences: list[StrOrPromise],
    back: str,
) -> HttpResponse:
    """Makes the page that asks before an action; its button posts to the action's address."""
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": title,
        "sentences": sentences,
        "back": back,
    }
    return TemplateResponse(request, "admin/confirm.html", context)
