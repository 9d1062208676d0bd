"""Checks of scenes, of names and tags of QR codes; and the table of these tags."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from events.wechat.api.qr_codes import LONGEST_SCENE

__all__ = [
    "SceneTag",
    "is_scene",
    "new_scene",
    "tag_names_in",
    "validate_one_line",
    "validate_scene",
    "validate_tag",
]

_RESERVED = ("qrscene_", "bind-")
_UNPRINTABLE = _("The text has a character that cannot be printed.")
# Unicode's general categories that a line must not have, and characters that pass nevertheless.
_NOT_IN_A_LINE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"
_BETWEEN_TAGS = frozenset(",，;；、\n")


def new_scene() -> str:
    """A random scene, for a code that gets none from its operator."""
    return f"c-{secrets.token_hex(6)}"


def validate_one_line(text: str) -> None:
    """Raises ValidationError for characters that do not fit in a line: line ends, tabs, NUL, …

    Invisible characters do not pass either, such as those that turn the direction of writing,
    except the joiners of emoji and of some scripts.
    """
    for character in text:
        if unicodedata.category(character) in _NOT_IN_A_LINE and character not in _JOINERS:
            raise ValidationError(_UNPRINTABLE)


def validate_tag(name: str) -> None:
    """Raises ValidationError for a name that has a separator of tags in it."""
    validate_one_line(name)
    if not _BETWEEN_TAGS.isdisjoint(name):
        raise ValidationError(_("A tag has no comma or semicolon in it."))


def tag_names_in(text: str) -> list[str]:
    """The tags in a text, separated by commas, semicolons or line ends; each tag once."""
    names = (" ".join(name.split()) for name in re.split(f"[{''.join(_BETWEEN_TAGS)}]", text))
    return list(dict.fromkeys(name for name in names if name))


def validate_scene(scene: str) -> None:
    """Raises ValidationError for a scene that is not 1 to 64 characters long, or is reserved.

    WeChat puts qrscene_ before a scene, and the scenes of account binding begin with bind-.
    """
    if not scene.isprintable():
        raise ValidationError(_UNPRINTABLE)
    if not scene or scene.startswith(_RESERVED):
        raise ValidationError(_("A scene must not be empty, nor begin with qrscene_ or bind-."))
    if len(scene) > LONGEST_SCENE:
        raise ValidationError(_("A scene has at most 64 characters."))


def is_scene(text: str) -> bool:
    """Whether `validate_scene` accepts the text."""
    try:
        validate_scene(text)
    except ValidationError:
        return False
    return True


class SceneTag(models.Model):
    """A word by which operators sort their QR codes."""

    name = models.CharField(_("name"), max_length=30, unique=True, validators=[validate_tag])

    class Meta:
        verbose_name = _("tag of QR codes")
        verbose_name_plural = _("tags of QR codes")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def named(names: Iterable[str]) -> list[SceneTag]:
        """The tags with these names; makes those that are missing."""
        wanted = sorted(set(names))
        tags = SceneTag.objects
        tags.bulk_create([SceneTag(name=name) for name in wanted], ignore_conflicts=True)
        return list(tags.filter(name__in=wanted))
