"""Describes menus to operators: what entries do, their mistakes, and changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from events.wechat.api.menu_model import BUTTON_TYPES, Button, Menu, MenuFault, MenuProblem

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["FIELD_NAMES", "TYPE_NAMES", "Entry", "changes", "entries", "names", "sentence"]

# Characters of a name in a line of all entries. WeChat's limit is lower, but menus from its console
# may have longer names.
_NAME_SHOWN = 20

TYPE_NAMES: dict[str, StrOrPromise] = {
    "click": gettext_lazy("send a key (点击推事件)"),
    "view": gettext_lazy("open a web page (跳转网页)"),
    "miniprogram": gettext_lazy("open a mini program (小程序)"),
    "scancode_push": gettext_lazy("scan a code (扫码推事件)"),
    "scancode_waitmsg": gettext_lazy("scan a code and wait (扫码带提示)"),
    "pic_sysphoto": gettext_lazy("take a photo (系统拍照发图)"),
    "pic_photo_or_album": gettext_lazy("photo or album (拍照或者相册发图)"),
    "pic_weixin": gettext_lazy("WeChat album (微信相册发图)"),
    "location_select": gettext_lazy("send a location (发送位置)"),
    "media_id": gettext_lazy("send a material (下发素材)"),
    "view_limited": gettext_lazy("open a material (跳转图文素材)"),
    "article_id": gettext_lazy("send a published article (下发已发布文章)"),
    "article_view_limited": gettext_lazy("open a published article (跳转已发布文章)"),
    "news": gettext_lazy("article, made in WeChat's console (图文)"),
    "video": gettext_lazy("video, made in WeChat's console (视频)"),
    "voice": gettext_lazy("voice, made in WeChat's console (语音)"),
    "img": gettext_lazy("image, made in WeChat's console (图片)"),
    "text": gettext_lazy("text, made in WeChat's console (文字)"),
}

FIELD_NAMES: dict[str, StrOrPromise] = {
    "name": gettext_lazy("name"),
    "type": gettext_lazy("what it does"),
    "key": gettext_lazy("key"),
    "url": gettext_lazy("address (URL)"),
    "appid": gettext_lazy("mini program's AppID"),
    "pagepath": gettext_lazy("mini program's page"),
    "media_id": gettext_lazy("material's media_id"),
    "article_id": gettext_lazy("article's article_id"),
    "value": gettext_lazy("content"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry with its place in the menu: `parent` is None for a top entry."""

    button: Button
    parent: Button | None

    @property
    def path(self) -> str:
        """The names that a follower taps to get there."""
        return f"{self.parent.name} › {self.button.name}" if self.parent else self.button.name

    @property
    def type_name(self) -> StrOrPromise:
        if self.button.sub_buttons:
            return _("opens its sub-entries")
        return TYPE_NAMES.get(self.button.type, self.button.type)

    @property
    def values(self) -> list[tuple[StrOrPromise, str]]:
        return _values(self.button)


def entries(menu: Menu) -> Iterator[Entry]:
    """Yields all entries, each top entry before its sub-entries."""
    for top in menu.buttons:
        yield Entry(top, None)
        for button in top.sub_buttons:
            yield Entry(button, top)


def names(menu: Menu) -> str:
    """Returns the top entries in one line, "–" if there are none."""
    shown = [Truncator(button.name).chars(_NAME_SHOWN) for button in menu.buttons]
    return " | ".join(shown) or "–"


def _values(button: Button) -> list[tuple[StrOrPromise, str]]:
    """Returns the names and values of the fields that the entry's type has."""
    if button.sub_buttons:
        return []
    fields = BUTTON_TYPES.get(button.type, ("key", "url", "media_id", "article_id", "value"))
    shown = [(FIELD_NAMES[name], getattr(button, name)) for name in fields]
    return [(name, value) for name, value in shown if value]


def sentence(problem: MenuProblem) -> str:
    """Returns a sentence about the fault, to show beside the field."""
    match problem.reason:
        case MenuFault.TOO_FEW:
            return _("A menu has at least one entry.")
        case MenuFault.TOO_MANY:
            return _("WeChat takes at most %(limit)s entries here; there are %(actual)s.") % {
                "limit": problem.limit,
                "actual": problem.actual,
            }
        case MenuFault.MISSING if problem.field == "type":
            return _("Choose what the entry does, or give it sub-entries.")
        case MenuFault.MISSING:
            return _("This is missing.")
        case MenuFault.TOO_LONG:
            return _(
                "WeChat takes at most %(limit)s bytes; this has %(actual)s. "
                "A Chinese character has three, most emoji four."
            ) % {"limit": problem.limit, "actual": problem.actual}
        case MenuFault.TYPE_UNKNOWN:
            return _("WeChat does not know this kind of entry.")
        case MenuFault.TYPE_OF_CONSOLE:
            return _("Only WeChat's console can make this kind of entry. Choose another.")
        case MenuFault.NOT_AN_ADDRESS:
            return _("An address begins with https:// or http:// and has no spaces.")
        case MenuFault.TOO_DEEP:
            return _("A sub-entry cannot have sub-entries.")


def changes(former: Menu, new: Menu) -> list[str]:
    """Returns a sentence for each entry that changes for followers; empty if none does."""
    before, after = _by_path(former), _by_path(new)
    told = [_("Gone: %s") % entry.path for where, entry in before.items() if where not in after]
    for where, entry in after.items():
        if where not in before:
            told.append(_("New: %s") % _described(entry))
        elif _act(before[where].button) != _act(entry.button):
            told.append(_("Changed: %s") % _described(entry))
    if list(before) != list(after) and before.keys() == after.keys():
        told.append(_("Changed: the order of the entries"))
    return told


def _by_path(menu: Menu) -> dict[tuple[str, int], Entry]:
    """Returns the entries by path, and a number that separates entries of the same path."""
    seen: Counter[str] = Counter()
    found = {}
    for entry in entries(menu):
        found[entry.path, seen[entry.path]] = entry
        seen[entry.path] += 1
    return found


def _act(button: Button) -> tuple[str, ...]:
    if button.sub_buttons:
        return ()
    return (button.type, *(value for _name, value in _values(button)))


def _described(entry: Entry) -> str:
    texts = [value for _name, value in entry.values]
    return f"{entry.path} – {', '.join([str(entry.type_name), *texts])}"
