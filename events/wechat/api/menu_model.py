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
    "MenuFault",
    "MenuProblem",
    "byte_limit",
    "menu_from_json",
    "problems",
]

# The types of a button, with the fields that each type needs.
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
# Types that only the console can make.
CONSOLE_TYPES = frozenset({"news", "video", "voice", "img", "text"})
MOST_BUTTONS = 3
MOST_SUB_BUTTONS = 5
# Bytes of UTF-8.
_LONGEST_NAME = 16
_LONGEST_SUB_NAME = 60
_LONGEST = {"key": 128, "url": 1024}
# The fields of `Button` besides name and type.
_TEXTS = ("key", "url", "appid", "pagepath", "media_id", "article_id", "value")
# The fields of an entry in WeChat's JSON, without its sub-entries.
MENU_FIELDS = ("name", "type", *_TEXTS)


@dataclass(frozen=True, slots=True)
class Button:
    """An entry. It has either a `type` or `sub_buttons`; absent texts are "".

    The console's types use `value`: a text, a media id or an address.
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
    """A menu: one to three entries, each with an action or with up to five sub-entries."""

    buttons: tuple[Button, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON that menu/create accepts, if the menu has no `problems`.

        `menu_from_json` makes the same menu from it again, whatever its entries are.
        """
        return {"button": [_to_json(button) for button in self.buttons]}


@dataclass(frozen=True, slots=True)
class ConditionalMenu:
    """A menu that only some followers see (个性化菜单); `match_rule` is as WeChat sent it."""

    menu: Menu
    menu_id: int
    match_rule: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CustomMenu:
    """The menus that were made through the API: the default one and the conditional ones."""

    menu: Menu
    menu_id: int
    conditional: tuple[ConditionalMenu, ...]


@dataclass(frozen=True, slots=True)
class CurrentMenu:
    """The menu that followers see now; `is_open` is false if it is switched off."""

    menu: Menu
    is_open: bool


class MenuFault(enum.Enum):
    """Why WeChat would refuse a menu."""

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
    """One fault for which WeChat would refuse a menu.

    `place` leads to the button: () is the menu itself, (0, 2) the third entry under the first.
    `field` is a field of `Button`. `limit` and `actual` are bytes of UTF-8 or a number of buttons;
    they are 0 if the fault is of another kind.
    """

    place: tuple[int, ...]
    field: str
    reason: MenuFault
    limit: int = 0
    actual: int = 0


def byte_limit(field: str, *, is_top: bool) -> int:
    """Returns the limit of a `Button` field in bytes of UTF-8; 0 if WeChat sets none."""
    if field == "name":
        return _LONGEST_NAME if is_top else _LONGEST_SUB_NAME
    return _LONGEST.get(field, 0)


def problems(menu: Menu) -> list[MenuProblem]:
    """Returns all faults of a menu, in the menu's order; empty if WeChat would accept it."""
    found = list(_count_problems((), "buttons", menu.buttons, MOST_BUTTONS))
    for index, button in enumerate(menu.buttons):
        found.extend(_problems((index,), button))
    return found


def menu_from_json(fields: Mapping[str, Any]) -> Menu:
    """Reads a menu in either of WeChat's two JSON forms; raises `BadAnswer` for another form."""
    return Menu(tuple(_button(button) for button in mappings(fields, "button")))


def _button(fields: Mapping[str, Any]) -> Button:
    below = fields.get("sub_button")
    # get_current_selfmenu_info nests the list one level deeper.
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
        # The console made this entry. Keep all its fields, though menu/create would refuse it.
        texts = {name: getattr(button, name) for name in _TEXTS}
        fields = {name: value for name, value in texts.items() if value}
    return {"type": button.type, "name": button.name, **fields}


def _problems(place: tuple[int, ...], button: Button) -> Iterator[MenuProblem]:
    is_top = len(place) == 1
    yield from _text_problems(place, "name", button.name, byte_limit("name", is_top=is_top))
    if button.sub_buttons:
        if not is_top:
            yield MenuProblem(place, "sub_buttons", MenuFault.TOO_DEEP)
            return
        yield from _count_problems(place, "sub_buttons", button.sub_buttons, MOST_SUB_BUTTONS)
        for index, sub_button in enumerate(button.sub_buttons):
            yield from _problems((*place, index), sub_button)
    elif not button.type:
        yield MenuProblem(place, "type", MenuFault.MISSING)
    elif button.type in CONSOLE_TYPES:
        yield MenuProblem(place, "type", MenuFault.TYPE_OF_CONSOLE)
    elif button.type not in BUTTON_TYPES:
        yield MenuProblem(place, "type", MenuFault.TYPE_UNKNOWN)
    else:
        for name in BUTTON_TYPES[button.type]:
            limit = byte_limit(name, is_top=is_top)
            yield from _text_problems(place, name, getattr(button, name), limit)
            if name == "url" and button.url and not _is_address(button.url):
                yield MenuProblem(place, "url", MenuFault.NOT_AN_ADDRESS)


def _count_problems(
    place: tuple[int, ...], field: str, buttons: tuple[Button, ...], most: int
) -> Iterator[MenuProblem]:
    if not buttons:
        yield MenuProblem(place, field, MenuFault.TOO_FEW, 1, 0)
    elif len(buttons) > most:
        yield MenuProblem(place, field, MenuFault.TOO_MANY, most, len(buttons))


def _text_problems(
    place: tuple[int, ...], field: str, value: str, longest: int
) -> Iterator[MenuProblem]:
    size = len(value.encode())
    if not value.strip():
        yield MenuProblem(place, field, MenuFault.MISSING)
    elif longest and size > longest:
        yield MenuProblem(place, field, MenuFault.TOO_LONG, longest, size)


def _is_address(url: str) -> bool:
    return url.startswith(("https://", "http://")) and not any(map(str.isspace, url))
