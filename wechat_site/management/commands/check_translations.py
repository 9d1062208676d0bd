"""The command `check_translations`: fails if a text has no Chinese."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import django
import polib
import unfold
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

# The source is in English, so only Chinese needs a catalogue.
_LOCALE = "zh_Hans"
_THEME = Path(unfold.__file__).parent
# Folders without texts for users; the last ones are the theme's parts for packages that are not
# installed here.
_NOT_SOURCE = [
    *(".*", "var", "*locale", "__pycache__", "tests", "static"),
    *("constance", "crispy_forms", "forms", "guardian", "import_export", "inlines"),
    *("location_field", "simple_history"),
]
_DJANGO = Path(django.__file__).parent


class Command(BaseCommand):
    help = (
        "Fails when a text of this site or of the admin's theme, which ships no Chinese, is not "
        "translated, or when a catalogue is not compiled."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        site, theme = (_Catalogue(Path(path)) for path in settings.LOCALE_PATHS)
        problems = [*site.problems(), *theme.problems()]
        if shutil.which("xgettext"):
            problems += site.missing(_texts_in(settings.BASE_DIR))
            problems += theme.missing(_texts_in(_THEME) - _django_has())
        else:
            self.stderr.write("SKIPPED: the search for new texts, as gettext is not installed.")
        if problems:
            raise CommandError("\n".join(problems))
        self.stdout.write(
            f"{len(site.entries)} texts and {len(theme.entries)} of the theme: complete"
        )


class _Catalogue:
    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.po_file = folder / _LOCALE / "LC_MESSAGES" / "django.po"
        self.entries = [entry for entry in polib.pofile(str(self.po_file)) if not entry.obsolete]

    def problems(self) -> list[str]:
        compiled = polib.mofile(str(self.po_file.with_suffix(".mo")))
        problems = [
            f"{self.name}: not translated: {entry.msgid!r}"
            for entry in self.entries
            if not entry.translated()
        ]
        if not problems and _contents(self.entries) != _contents(compiled):
            problems.append(f"{self.name}: django.mo is not made from django.po; run make messages")
        return problems

    def missing(self, texts: set[tuple[str, str]]) -> list[str]:
        known = {(entry.msgctxt or "", entry.msgid) for entry in self.entries}
        return [f"{self.name}: no entry for {msgid!r}" for _, msgid in sorted(texts - known)]


def _contents(entries: Any) -> set[tuple[str, str, str]]:
    return {
        (entry.msgctxt or "", entry.msgid, entry.msgstr or "\0".join(entry.msgstr_plural.values()))
        for entry in entries
        if entry.msgid
    }


def _django_has() -> set[tuple[str, str]]:
    """The texts that Django itself translates into Chinese; the theme uses some of them."""
    return {
        (entry.msgctxt or "", entry.msgid)
        for folder in ("conf", "contrib/admin", "contrib/auth")
        for entry in polib.mofile(
            str(_DJANGO / folder / "locale" / _LOCALE / "LC_MESSAGES" / "django.mo")
        )
    }


def _texts_in(source: Path) -> set[tuple[str, str]]:
    """Context and text of all that makemessages collects from a copy of this source.

    It makes a copy, because makemessages writes into the source.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "source"
        ignored = shutil.ignore_patterns(*_NOT_SOURCE)
        shutil.copytree(source, copy, ignore=ignored)
        (copy / "locale").mkdir()
        subprocess.run(
            [sys.executable, "-m", "django", "makemessages", "--locale", _LOCALE, "--verbosity=0"],
            cwd=copy,
            check=True,
            env={"PATH": os.environ["PATH"]},
        )
        collected = polib.pofile(str(copy / "locale" / _LOCALE / "LC_MESSAGES" / "django.po"))
        return {(entry.msgctxt or "", entry.msgid) for entry in collected if not entry.obsolete}
