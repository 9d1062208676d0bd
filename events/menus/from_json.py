"""Reads a pasted menu in any of the JSON forms of WeChat's calls.

These are menu/create, menu/get and get_current_selfmenu_info. Mistakes are described in words, with
their place in the JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from events.menus.menu_words import sentence
from events.wechat.api.menu_model import MENU_FIELDS, Menu, menu_from_json, problems

__all__ = ["LONGEST", "Pasted", "mistakes_in", "read_pasted"]

# Characters; WeChat's largest menu has far fewer.
LONGEST = 200_000
_BELOW = "sub_button"
# Fields that WeChat's answers contain, but that no entry needs.
_LEFT_OUT = frozenset({_BELOW, "news_info"})


@dataclass(frozen=True, slots=True)
class Pasted:
    """A menu, or the mistakes in the text; `notes` say what was left out."""

    menu: Menu | None = None
    mistakes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_pasted(text: str) -> Pasted:
    """Reads the menu in the text, even if WeChat would refuse it (see `mistakes_in`)."""
    if len(text) > LONGEST:
        return Pasted(mistakes=[_("This is too long for a menu.")])
    try:
        found = json.loads(text.removeprefix("\ufeff"))
    except (json.JSONDecodeError, RecursionError) as error:
        return Pasted(mistakes=[_not_json(error)])
    place, buttons, notes = _buttons_in(found)
    if buttons is None:
        return Pasted(
            mistakes=[_("There is no list “button” in it, which holds a menu's entries.")]
        )
    mistakes = list(_shape(place, buttons))
    if mistakes:
        return Pasted(mistakes=mistakes)
    notes += [
        _("%(place)s: the field “%(name)s” is unknown and left out.") % {"place": at, "name": name}
        for at, name in _unknown(place, buttons)
    ]
    return Pasted(menu_from_json({"button": buttons}), notes=notes)


def mistakes_in(menu: Menu) -> list[str]:
    """Returns the faults that WeChat would refuse, with their place in menu/create's JSON."""
    told = []
    for problem in problems(menu):
        where = "button"
        button = None
        for depth, number in enumerate(problem.place):
            button = (button.sub_buttons if button else menu.buttons)[number]
            where += f"[{number}]" if depth == 0 else f".{_BELOW}[{number}]"
        name = _BELOW if problem.field == "sub_buttons" else problem.field
        shown = f"{where}.{name}" if problem.place else where
        named = f" “{button.name}”" if button and button.name else ""
        told.append(f"{shown}{named}: {sentence(problem)}")
    return told


def _not_json(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return _("This is no JSON: see line %(line)s, character %(column)s.") % {
            "line": error.lineno,
            "column": error.colno,
        }
    return _("This is no menu: its parts are nested too deeply.")


def _buttons_in(found: Any) -> tuple[str, Any, list[str]]:
    """Returns the place of the entries, the entries (None for none), and notes on other parts."""
    if isinstance(found, list):
        return "button", found, []
    if not isinstance(found, dict):
        return "", None, []
    notes = []
    if found.get("conditionalmenu"):
        notes.append(_("Menus for some followers (个性化菜单) are left out."))
    for outer in ("menu", "selfmenu_info"):
        inner = found.get(outer)
        if isinstance(inner, dict) and "button" in inner:
            return f"{outer}.button", inner["button"], notes
    if "matchrule" in found:
        notes.append(_("Its rule for some followers (matchrule) is left out: all will see it."))
    return "button", found.get("button"), notes


def _shape(place: str, buttons: Any, depth: int = 0) -> Iterator[str]:
    """Yields the mistakes that make the JSON unreadable as a menu."""
    if not isinstance(buttons, list):
        yield _("%s: a list is wanted here.") % place
        return
    for number, button in enumerate(buttons):
        at = f"{place}[{number}]"
        if not isinstance(button, dict):
            yield _("%s: an object with name and type is wanted here.") % at
            continue
        for name in MENU_FIELDS:
            value = button.get(name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
                yield _("%s: a text is wanted here.") % f"{at}.{name}"
        below, inside = _entries_under(button)
        if below is not None and depth < 2:
            yield from _shape(f"{at}.{_BELOW}{inside}", below, depth + 1)


def _entries_under(button: dict[str, Any]) -> tuple[Any, str]:
    below = button.get(_BELOW)
    # get_current_selfmenu_info nests the list one level deeper.
    return (below.get("list"), ".list") if isinstance(below, dict) else (below, "")


def _unknown(place: str, buttons: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for number, button in enumerate(buttons):
        at = f"{place}[{number}]"
        yield from ((at, name) for name in button if name not in {*MENU_FIELDS, *_LEFT_OUT})
        below, inside = _entries_under(button)
        yield from _unknown(f"{at}.{_BELOW}{inside}", below or [])
