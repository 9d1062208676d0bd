"""The model of a menu (自定义菜单), its JSON, and WeChat's limits."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .transport.answer_fields import mapping, mappings, text

__all__ = [
    "BUTTON_TYPES",
    "CONSOLE_TYPES",
    "MENU_FIELDS",
    "MOST_BUTTONS",
    "MOST_SUB_BUTTONS",
    "Button",
    "ConditionalMenu",
    "CurrentMenu",
    "CustomMenu",
    "Menu",
    "MenuProblem",
    "Reason",
    "byte_limit",
    "menu_from_json",
    "problems",
]

# What a button does, and the fields that it needs for it.
BUTTON_TYPES: Mapping[str, tuple[str, ...]] = {
    "click": ("key",),
    "view": ("url",),
    "scancode_push": ("key",),
    "scancode_waitmsg": ("key",),
    "pic_sysphoto": ("key",),
    "pic_photo_or_album": ("key",),
    "pic_weixin": ("key",),
    "location_select": ("key",),
    "media_id": ("media_id",),
    "view_limited": ("media_id",),
    "article_id": ("article_id",),
    "article_view_limited": ("article_id",),
    "miniprogram": ("url", "appid", "pagepath"),
}
# What only the console can make.
CONSOLE_TYPES = frozenset({"news", "video", "voice", "img", "text"})
MOST_BUTTONS = 3
MOST_SUB_BUTTONS = 5
# Bytes of UTF-8.
_LONGEST_NAME = 16
_LONGEST_SUB_NAME = 60
_LONGEST = {"key": 128, "url": 1024}
# The fields of `Button` beside name and type.
_TEXTS = ("key", "url", "appid", "pagepath", "media_id", "article_id", "value")
# What an entry may have in WeChat's JSON, without those under it.
MENU_FIELDS = ("name", "type", *_TEXTS)


@dataclass(frozen=True, slots=True)
class Button:
    """An entry. It has a `type`, or it opens `sub_buttons`; texts are "" where absent.

    `value` belongs to the console's types: a text, a media id or an address.
    """

    name: str
    type: str = ""
    key: str = ""
    url: str = ""
    appid: str = ""
    pagepath: str = ""
    media_id: str = ""
    article_id: str = ""
    value: str = ""
    sub_buttons: tuple[Button, ...] = ()


@dataclass(frozen=True, slots=True)
class Menu:
    """A menu: one to three entries, each of them an act or up to five more."""

    buttons: tuple[Button, ...]

    def to_json(self) -> dict[str, Any]:
        """The menu as menu/create takes it, if it has no `problems`.

        `menu_from_json` makes the same menu of it again, whatever its entries are.
        """
        return {"button": [_to_json(button) for button in self.buttons]}


@dataclass(frozen=True, slots=True)
class ConditionalMenu:
    """A menu that only some followers see (个性化菜单); `match_rule` as WeChat gives it."""

    menu: Menu
    menu_id: int
    match_rule: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CustomMenu:
    """What was made through the API."""

    menu: Menu
    menu_id: int
    conditional: tuple[ConditionalMenu, ...]


@dataclass(frozen=True, slots=True)
class CurrentMenu:
    """What followers see now; `is_open` is false if the menu is switched off."""

    menu: Menu
    is_open: bool


class Reason(enum.Enum):
    """Why WeChat would not take a menu."""

    TOO_FEW = "too_few"
    TOO_MANY = "too_many"
    MISSING = "missing"
    TOO_LONG = "too_long"
    TYPE_UNKNOWN = "type_unknown"
    TYPE_OF_CONSOLE = "type_of_console"
    NOT_AN_ADDRESS = "not_an_address"
    TOO_DEEP = "too_deep"


@dataclass(frozen=True, slots=True)
class MenuProblem:
    """One thing WeChat would refuse.

    `place` leads to the button: () is the menu itself, (0, 2) the third entry under the first.
    `field` is a field of `Button`. `limit` and `actual` are bytes of UTF-8, or a number of
    buttons; 0 where neither applies.
    """

    place: tuple[int, ...]
    field: str
    reason: Reason
    limit: int = 0
    actual: int = 0


def byte_limit(field: str, *, is_top: bool) -> int:
    """The most bytes of UTF-8 in a field of `Button`; 0 where WeChat gives no limit."""
    if field == "name":
        return _LONGEST_NAME if is_top else _LONGEST_SUB_NAME
    return _LONGEST.get(field, 0)


def problems(menu: Menu) -> list[MenuProblem]:
    """All that WeChat would refuse, in the order of the menu; empty if it would take it."""
    found = list(_count_problems((), "buttons", menu.buttons, MOST_BUTTONS))
    for index, button in enumerate(menu.buttons):
        found.extend(_problems((index,), button))
    return found


def menu_from_json(fields: Mapping[str, Any]) -> Menu:
    """A menu in either of WeChat's shapes. Raises `BadAnswer` if it is in neither."""
    return Menu(tuple(_button(button) for button in mappings(fields, "button")))


def _button(fields: Mapping[str, Any]) -> Button:
    below = fields.get("sub_button")
    # get_current_selfmenu_info puts the list one level deeper.
    listed = below if isinstance(below, dict) else {"list": below}
    return Button(
        name=text(fields, "name"),
        type=text(fields, "type"),
        key=text(fields, "key"),
        url=text(fields, "url") or _first_article(fields),
        appid=text(fields, "appid"),
        pagepath=text(fields, "pagepath"),
        media_id=text(fields, "media_id"),
        article_id=text(fields, "article_id"),
        value=text(fields, "value"),
        sub_buttons=tuple(_button(button) for button in mappings(listed, "list")),
    )


def _first_article(fields: Mapping[str, Any]) -> str:
    """The address of the console's article; "" for other entries."""
    if text(fields, "type") != "news":
        return ""
    articles = mappings(mapping(fields, "news_info"), "list")
    return text(articles[0], "content_url") if articles else ""


def _to_json(button: Button) -> dict[str, Any]:
    if button.sub_buttons:
        below = [_to_json(sub_button) for sub_button in button.sub_buttons]
        return {"name": button.name, "sub_button": below}
    if button.type in BUTTON_TYPES:
        fields = {name: getattr(button, name) for name in BUTTON_TYPES[button.type]}
    else:
        # Made in the console: kept as it was found, though menu/create would not take it.
        texts = {name: getattr(button, name) for name in _TEXTS}
        fields = {name: value for name, value in texts.items() if value}
    return {"type": button.type, "name": button.name, **fields}


def _problems(place: tuple[int, ...], button: Button) -> Iterator[MenuProblem]:
    is_top = len(place) == 1
    yield from _text_problems(place, "name", button.name, byte_limit("name", is_top=is_top))
    if button.sub_buttons:
        if not is_top:
            yield MenuProblem(place, "sub_buttons", Reason.TOO_DEEP)
            return
        yield from _count_problems(place, "sub_buttons", button.sub_buttons, MOST_SUB_BUTTONS)
        for index, sub_button in enumerate(button.sub_buttons):
            yield from _problems((*place, index), sub_button)
    elif not button.type:
        yield MenuProblem(place, "type", Reason.MISSING)
    elif button.type in CONSOLE_TYPES:
        yield MenuProblem(place, "type", Reason.TYPE_OF_CONSOLE)
    elif button.type not in BUTTON_TYPES:
        yield MenuProblem(place, "type", Reason.TYPE_UNKNOWN)
    else:
        for name in BUTTON_TYPES[button.type]:
            limit = byte_limit(name, is_top=is_top)
            yield from _text_problems(place, name, getattr(button, name), limit)
            if name == "url" and button.url and not _is_address(button.url):
                yield MenuProblem(place, "url", Reason.NOT_AN_ADDRESS)


def _count_problems(
    place: tuple[int, ...], field: str, buttons: tuple[Button, ...], most: int
) -> Iterator[MenuProblem]:
    if not buttons:
        yield MenuProblem(place, field, Reason.TOO_FEW, 1, 0)
    elif len(buttons) > most:
        yield MenuProblem(place, field, Reason.TOO_MANY, most, len(buttons))


def _text_problems(
    place: tuple[int, ...], field: str, value: str, longest: int
) -> Iterator[MenuProblem]:
    size = len(value.encode())
    if not value.strip():
        yield MenuProblem(place, field, Reason.MISSING)
    elif longest and size > longest:
        yield MenuProblem(place, field, Reason.TOO_LONG, longest, size)


def _is_address(url: str) -> bool:
    return url.startswith(("https://", "http://")) and not any(map(str.isspace, url))
