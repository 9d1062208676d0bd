"""Checks an account's settings: one set of rules for form, command and demo.

A value is trimmed and checked. If it is wrong, the error says in words what is wrong, because most
mistakes come from copying: an operator takes the value beside it in WeChat's console, or copies an
invisible or full-width character, which looks right.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["RULES", "checked", "is_original_id"]

_ORIGINAL_ID = re.compile(r"gh_[A-Za-z0-9_-]{1,61}")
_APP_ID = re.compile(r"wx[0-9a-f]{16}")
_TOKEN = re.compile(r"[A-Za-z0-9]{3,32}")
_AES_KEY = re.compile(r"[A-Za-z0-9]{43}")
_APP_SECRET = re.compile(r"[\x21-\x7e]+")

# The form of each setting, and the message for a value of another form.
RULES: Mapping[str, tuple[re.Pattern[str], StrOrPromise]] = {
    "original_id": (
        _ORIGINAL_ID,
        _("The original ID (原始ID) begins with gh_, followed by letters and digits."),
    ),
    "app_id": (_APP_ID, _("An AppID is wx and 16 hexadecimal digits.")),
    "token": (_TOKEN, _("A token has 3 to 32 letters and digits.")),
    "encoding_aes_key": (_AES_KEY, _("An EncodingAESKey has exactly 43 letters and digits.")),
    "app_secret": (_APP_SECRET, _("An AppSecret has letters and digits alone.")),
}
# For each setting, the form of the value with which operators confuse it, and the message for that.
_EXCHANGED: Mapping[str, tuple[re.Pattern[str], StrOrPromise]] = {
    "original_id": (
        _APP_ID,
        _("This is an AppID. The original ID (原始ID) begins with gh_: are the two exchanged?"),
    ),
    "app_id": (
        _ORIGINAL_ID,
        _("This is an original ID (原始ID). The AppID begins with wx: are the two exchanged?"),
    ),
    "token": (
        _AES_KEY,
        _("This is an EncodingAESKey, with 43 characters: is it exchanged with the token?"),
    ),
    "encoding_aes_key": (
        _TOKEN,
        _(
            "An EncodingAESKey has exactly 43 letters and digits. This has %(count)s: is it the "
            "token?"
        ),
    ),
}


def checked(setting: str, value: str) -> str:
    """Return the trimmed value of a setting; raise ValidationError if it has another form.

    An empty value is accepted: the caller decides whether the setting is required.
    """
    value = value.strip()
    if setting == "app_id":
        value = value.lower() if value.isascii() else value
    if not value:
        return value
    form, message = RULES[setting]
    if form.fullmatch(value):
        return value
    _refuse_lookalikes(value)
    other, exchanged = _EXCHANGED.get(setting, (None, ""))
    if other is not None and other.fullmatch(value):
        raise ValidationError(exchanged, code="exchanged", params={"count": len(value)})
    raise ValidationError(message, code="invalid")


def is_original_id(value: str) -> bool:
    return bool(_ORIGINAL_ID.fullmatch(value))


def _refuse_lookalikes(value: str) -> None:
    """Raises ValidationError for the first character that is invisible or full-width."""
    for place, character in enumerate(value, start=1):
        named = {
            "place": place,
            "character": character,
            "code": f"U+{ord(character):04X}",
            "name": unicodedata.name(character, ""),
        }
        if unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp", "Zs", "Cn", "Co"}:
            raise ValidationError(
                _("Character %(place)s is a space or invisible: %(code)s %(name)s. Type it anew."),
                code="invisible",
                params=named,
            )
        if unicodedata.east_asian_width(character) in {"F", "H"}:
            raise ValidationError(
                _(
                    "Character %(place)s is full-width: %(character)s (%(code)s). Switch the "
                    "input method to half-width and type it anew."
                ),
                code="full_width",
                params=named,
            )
