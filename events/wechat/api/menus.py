"""The calls about the account's menu (自定义菜单).

`menu/get` returns menus that were made through the API. `get_current_selfmenu_info` also returns
one that was made in WeChat's console, in another JSON form and with the console's own types.
"""

from __future__ import annotations

from .menu_model import ConditionalMenu, CurrentMenu, CustomMenu, Menu, menu_from_json, problems
from .transport.answer_fields import mapping, mappings, number
from .transport.api_errors import RequestRejected
from .transport.calls import Calls

__all__ = ["Menus"]

_NO_MENU = 46003


class Menus:
    """The calls about the menu. WeChat's app shows followers a changed menu after some minutes."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def create(self, menu: Menu) -> None:
        """Replaces the whole default menu. Raises ValueError if there are `problems`."""
        if found := problems(menu):
            raise ValueError(f"WeChat would refuse this menu: {found[0]}")
        self._calls.post("/cgi-bin/menu/create", menu.to_json())

    def get(self) -> CustomMenu | None:
        """Returns the menus that were made through the API; None if there are none."""
        try:
            answer = self._calls.get("/cgi-bin/menu/get")
        except RequestRejected as error:
            if error.errcode == _NO_MENU:
                return None
            raise
        default = mapping(answer, "menu")
        return CustomMenu(
            menu_from_json(default),
            number(default, "menuid"),
            tuple(
                ConditionalMenu(
                    menu_from_json(fields), number(fields, "menuid"), mapping(fields, "matchrule")
                )
                for fields in mappings(answer, "conditionalmenu")
            ),
        )

    def current(self) -> CurrentMenu:
        """Returns the menu that followers see, made through the API or in the console."""
        answer = self._calls.get("/cgi-bin/get_current_selfmenu_info")
        return CurrentMenu(
            menu_from_json(mapping(answer, "selfmenu_info")), number(answer, "is_menu_open") == 1
        )
