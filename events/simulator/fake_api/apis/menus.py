"""Menus, and automatic replies (自定义菜单, 自动回复)."""

from __future__ import annotations

from typing import Any

from events.simulator.fake_api.apis.call import OK, Api, ApiCall, Fields
from events.simulator.fake_api.call_answers import Refusal
from events.simulator.fake_api.fake_account import FakeAccount

__all__ = ["MENUS"]

_KEY_TYPES = frozenset(
    {
        "click",
        "scancode_push",
        "scancode_waitmsg",
        "pic_sysphoto",
        "pic_photo_or_album",
        "pic_weixin",
        "location_select",
    }
)
_URL_TYPES = frozenset({"view", "miniprogram"})
_OTHER_TYPES = frozenset({"media_id", "view_limited", "article_id", "article_view_limited"})


def _create_menu(account: FakeAccount, call: ApiCall) -> Fields:
    buttons = call.body.get("button")
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= 3:
        raise Refusal(40016)
    account.menu = {"button": [_top_button(button) for button in buttons]}
    account.console_menu = None
    return OK


def _get_menu(account: FakeAccount, call: ApiCall) -> Fields:
    if account.menu is None:
        raise Refusal(46003)
    if not account.conditional_menus:
        return {"menu": account.menu}
    return {
        "menu": {**account.menu, "menuid": 208396938},
        "conditionalmenu": account.conditional_menus,
    }


def _current_menu(account: FakeAccount, call: ApiCall) -> Fields:
    if account.console_menu is not None:
        return {"is_menu_open": 1, "selfmenu_info": account.console_menu}
    if account.menu is None:
        return {"is_menu_open": 0, "selfmenu_info": {"button": []}}
    buttons = [
        {"name": button["name"], "sub_button": {"list": button["sub_button"]}}
        if button["sub_button"]
        else {name: value for name, value in button.items() if name != "sub_button"}
        for button in account.menu["button"]
    ]
    return {"is_menu_open": 1, "selfmenu_info": {"button": buttons}}


def _current_auto_replies(account: FakeAccount, call: ApiCall) -> Fields:
    return account.auto_replies or {"is_add_friend_reply_open": 0, "is_autoreply_open": 0}


def _top_button(button: Any) -> dict[str, Any]:
    if not isinstance(button, dict):
        raise Refusal(47001)
    below = button.get("sub_button")
    if not below:
        return {**_button(button, 16, (40017, 40018, 40019, 40020, 40055)), "sub_button": []}
    if not isinstance(below, list) or len(below) > 5:
        raise Refusal(40023)
    return {
        "name": _name(button, 16, 40018),
        "sub_button": [
            {**_button(sub_button, 60, (40024, 40025, 40026, 40027, 40054)), "sub_button": []}
            for sub_button in below
        ],
    }


def _button(button: Any, longest_name: int, codes: tuple[int, int, int, int, int]) -> Fields:
    """Returns the button to store; `codes` are for a wrong type, name, key, url size and url."""
    if not isinstance(button, dict) or button.get("sub_button"):
        raise Refusal(codes[0])
    name = _name(button, longest_name, codes[1])
    kept: dict[str, Any] = {"type": button.get("type"), "name": name}
    if kept["type"] in _KEY_TYPES:
        return kept | {"key": _sized(button, "key", 128, codes[2])}
    if kept["type"] in _URL_TYPES:
        kept["url"] = _sized(button, "url", 1024, codes[3])
        if not kept["url"].startswith(("http://", "https://")):
            raise Refusal(codes[4])
        if kept["type"] == "miniprogram":
            kept |= {field: _sized(button, field, 1024, 40035) for field in ("appid", "pagepath")}
        return kept
    if kept["type"] in _OTHER_TYPES:
        material = "article_id" if "article" in kept["type"] else "media_id"
        return kept | {material: _sized(button, material, 256, 40007)}
    raise Refusal(codes[0])


def _name(button: Fields, longest: int, errcode: int) -> str:
    return _sized(button, "name", longest, errcode)


def _sized(fields: Fields, name: str, longest: int, errcode: int) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 1 <= len(value.encode()) <= longest:
        raise Refusal(errcode)
    return value


MENUS: dict[str, Api] = {
    "/cgi-bin/menu/create": Api("POST", _create_menu),
    "/cgi-bin/menu/get": Api("GET", _get_menu),
    "/cgi-bin/get_current_selfmenu_info": Api("GET", _current_menu),
    "/cgi-bin/get_current_autoreply_info": Api("GET", _current_auto_replies),
}
