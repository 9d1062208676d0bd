"""Fields that the form of one QR code and the form of a list share."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from subscribers.models.scene import tag_names_in, validate_tag
from subscribers.qr_codes.create import LONGEST_SCENE_TAG

__all__ = ["TAGS", "AdoptField", "LifetimeField", "TagsField", "only_account"]

# A code that tags followers needs this right too, besides the right to make codes.
TAGS = "/cgi-bin/tags/get"

_HOUR = 3600
_DAY = 24 * _HOUR
_LIFETIMES = [
    ("", _("permanent")),
    (_HOUR, _("1 hour")),
    (_DAY, _("1 day")),
    (3 * _DAY, _("3 days")),
    (7 * _DAY, _("7 days")),
    (14 * _DAY, _("14 days")),
    (30 * _DAY, _("30 days")),
]


def only_account(accounts: Any) -> int | None:
    """The only account of `accounts`, to choose it beforehand; None if there are more."""
    found = list(accounts.values_list("pk", flat=True)[:2])
    return found[0] if len(found) == 1 else None


class TagsField(forms.CharField):
    """Tags separated by commas. The cleaned value is a list of names."""

    def __init__(self) -> None:
        super().__init__(
            label=capfirst(_("tags")),
            required=False,
            max_length=500,
            widget=UnfoldAdminTextInputWidget(),
            help_text=_("Words, separated by commas."),
        )

    def clean(self, value: Any) -> list[str]:
        names = tag_names_in(super().clean(value))
        for name in names:
            if len(name) > LONGEST_SCENE_TAG:
                raise forms.ValidationError(_("A tag has at most 30 characters."))
            validate_tag(name)
        return names


class LifetimeField(forms.TypedChoiceField):
    """A code's lifetime. The cleaned value is seconds, or None for a permanent code."""

    def __init__(self) -> None:
        super().__init__(
            label=capfirst(_("lifetime")),
            required=False,
            choices=_LIFETIMES,
            coerce=int,
            empty_value=None,
            widget=UnfoldAdminSelectWidget(),
            help_text=_(
                "From the moment the code is fetched. A temporary code can be renewed; WeChat "
                "makes 100,000 permanent ones for an account, and none can be deleted there."
            ),
        )


class AdoptField(forms.BooleanField):
    def __init__(self, label: Any) -> None:
        super().__init__(
            label=label,
            required=False,
            widget=UnfoldBooleanSwitchWidget(),
            help_text=_("Nothing is fetched from WeChat; the printed picture keeps working."),
        )
