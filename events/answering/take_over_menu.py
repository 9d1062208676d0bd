"""Converts a menu from WeChat's console into one that this site can publish.

The console's own entries answer by themselves. Here an entry sends a key, and a rule answers it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from events.rules.data import Answer, AnswerKind, On, Rule, Trigger
from events.wechat.api.menu_model import CONSOLE_TYPES, Button, Menu

__all__ = ["TakenMenu", "taken_menu"]

_ANSWERS = {"text": AnswerKind.TEXT, "img": AnswerKind.IMAGE, "voice": AnswerKind.VOICE}


@dataclass(frozen=True, slots=True)
class TakenMenu:
    """The menu, the rules for its new keys, and the entries that cannot be taken over."""

    menu: Menu
    rules: tuple[Rule, ...]
    left: tuple[Button, ...]


def taken_menu(menu: Menu) -> TakenMenu:
    """Converts texts, pictures and voices into keys with rules, and articles into links."""
    rules: list[Rule] = []
    left: list[Button] = []

    def taken(button: Button, number: str, path: str) -> Button:
        if button.sub_buttons:
            below = tuple(
                taken(sub, f"{number}-{at}", f"{path} › {sub.name}")
                for at, sub in enumerate(button.sub_buttons, start=1)
            )
            return replace(button, sub_buttons=below)
        if button.type == "news" and button.url:
            return Button(button.name, "view", url=button.url)
        kind = _ANSWERS.get(button.type)
        if kind is None or not button.value:
            if button.type in CONSOLE_TYPES:
                left.append(button)
            return button
        key = f"menu-{number}"
        is_text = kind is AnswerKind.TEXT
        answer = Answer(
            kind,
            content=button.value if is_text else "",
            media_id="" if is_text else button.value,
        )
        rules.append(Rule(0, path[:100], Trigger(On.MENU, keys=(key,)), answers=(answer,)))
        return Button(button.name, "click", key=key)

    buttons = tuple(
        taken(button, str(at), button.name) for at, button in enumerate(menu.buttons, start=1)
    )
    return TakenMenu(Menu(buttons), tuple(rules), tuple(left))
