"""The form for a menu: three entries, each with up to five sub-entries."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from events.menus.menu_words import FIELD_NAMES, TYPE_NAMES, sentence
from events.models import MenuVersion
from events.wechat.api.menu_model import (
    BUTTON_TYPES,
    MOST_BUTTONS,
    MOST_SUB_BUTTONS,
    Button,
    Menu,
    byte_limit,
    problems,
)

__all__ = ["EntryForm", "MenuVersionForm"]

# The fields in the order of the form.
_FIELDS = ("key", "url", "appid", "pagepath", "media_id", "article_id")

_HINTS = {
    "key": _("Comes back in the event when a follower taps; reply rules answer by it."),
    "url": _("Of a mini program: what old versions of WeChat open instead."),
    "pagepath": _("For instance pages/index/index"),
}


def _types(*, is_top: bool) -> list[tuple[str, Any]]:
    nothing = _("nothing: opens its sub-entries") if is_top else _("(choose)")
    return [("", nothing), *((name, TYPE_NAMES[name]) for name in BUTTON_TYPES)]


class EntryForm(forms.Form):
    """One entry. The form of the whole menu checks whether WeChat would accept it."""

    def __init__(self, button: Button | None, *, place: tuple[int, ...], data: Any) -> None:
        prefix = "button" + "-".join(map(str, place))
        super().__init__(data, prefix=prefix)
        self.place = place
        self.number = place[-1] + 1
        self.subs: list[EntryForm] = []
        is_top = len(place) == 1
        choices = _types(is_top=is_top)
        shown = button.type if button else ""
        if data is not None:
            shown = data.get(f"{prefix}-type", "")
        if shown and shown not in BUTTON_TYPES:
            # Offer an unknown type, so that the form shows it; checking the menu refuses it.
            choices.append((shown, TYPE_NAMES.get(shown, shown)))
        for name in ("name", "type", *_FIELDS):
            label = capfirst(FIELD_NAMES[name])
            initial = getattr(button, name) if button else ""
            if name == "type":
                self.fields[name] = forms.ChoiceField(
                    label=label, initial=initial, required=False, choices=choices,
                    widget=UnfoldAdminSelectWidget(attrs={"data-field": name}),
                )  # fmt: skip
                continue
            limit = byte_limit(name, is_top=is_top)
            self.fields[name] = forms.CharField(
                label=label, initial=initial, required=False, help_text=_HINTS.get(name, ""),
                widget=UnfoldAdminTextInputWidget(
                    attrs={
                        "data-field": name,
                        "data-limit": limit,
                        "autocomplete": "off",
                        "spellcheck": "false",
                    }
                ),
            )  # fmt: skip

    @property
    def rows(self) -> list[tuple[str, forms.BoundField, int]]:
        """Name, field and limit in bytes (0 for no limit) of each row."""
        is_top = len(self.place) == 1
        return [(name, self[name], byte_limit(name, is_top=is_top)) for name in self.fields]

    @property
    def is_filled(self) -> bool:
        """Whether the entry or one of its sub-entries has a value to show."""
        return bool(self["name"].value() or self["type"].value()) or any(
            sub.is_filled for sub in self.subs
        )

    def button(self) -> Button | None:
        """Returns the written entry; None if it is empty. Call it only after validation."""
        texts = {name: str(self.cleaned_data.get(name) or "") for name in self.fields}
        subs = tuple(button for sub in self.subs if (button := sub.button()) is not None)
        # Without name and type the page shows no other field, so the others hold old values.
        if not (subs or texts["name"] or texts["type"]):
            return None
        kept = BUTTON_TYPES.get(texts["type"], ())
        return Button(
            name=texts["name"],
            type=texts["type"],
            **{name: texts[name] for name in kept},
            sub_buttons=subs,
        )


class MenuVersionForm(forms.ModelForm):  # type: ignore[type-arg]
    """A version with its menu. `tops` are the forms of the entries; `initial` may have a `menu`.

    `seen_revision` is the revision that the user saw.
    """

    seen_revision = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = MenuVersion
        fields = ["account", "note"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["seen_revision"] = self.instance.revision
        given = self.initial.get("menu")
        self.written = given if isinstance(given, Menu) else self.instance.content
        data = self.data if self.is_bound else None
        self.tops = []
        for at in range(MOST_BUTTONS):
            button = _at(self.written.buttons, at)
            top = EntryForm(button, place=(at,), data=data)
            below = button.sub_buttons if button else ()
            top.subs = [
                EntryForm(_at(below, sub), place=(at, sub), data=data)
                for sub in range(MOST_SUB_BUTTONS)
            ]
            self.tops.append(top)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        forms_of_entries = [form for top in self.tops for form in (top, *top.subs)]
        are_valid = [form.is_valid() for form in forms_of_entries]
        # The menu has no gaps, but a form may be empty. So map places in the menu to forms. Do it
        # before the first error is added, because a form forgets a value that has an error.
        written = [(top, button) for top in self.tops if (button := top.button()) is not None]
        written_subs = [[sub for sub in top.subs if sub.button()] for top, _button in written]
        menu = Menu(tuple(button for _, button in written))
        for problem in problems(menu):
            if not problem.place:
                self.add_error(None, sentence(problem))
                continue
            form = written[problem.place[0]][0]
            if len(problem.place) > 1:
                form = written_subs[problem.place[0]][problem.place[1]]
            if problem.field not in form.errors:
                form.add_error(problem.field, sentence(problem))
        for top, button in written:
            if button.sub_buttons and button.type:
                top.add_error(
                    "type",
                    _(
                        "An entry with sub-entries does nothing itself. "
                        "Remove the sub-entries, or what it does."
                    ),
                )
        if not all(are_valid) or any(form.errors for form in forms_of_entries):
            self.add_error(None, _("WeChat would not take this menu. See beside the entries."))
        else:
            self.instance.menu = menu.to_json()
        return cleaned

    @cached_property
    def changed_data(self) -> list[str]:
        """The changed fields for the history, including the menu."""
        changed: list[str] = super().changed_data
        is_changed = self.is_bound and self.instance.content != self.written
        return [*changed, "menu"] if is_changed else changed


def _at(buttons: tuple[Button, ...], index: int) -> Button | None:
    return buttons[index] if index < len(buttons) else None
