"""Reads the environment, from which settings come, and prepares the folder ``var/`` for files."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VAR_DIR = BASE_DIR / "var"

_SWITCHES = {*environ.Env.BOOLEAN_TRUE_STRINGS, "false", "off", "no", "n", "0"}
_EXPECTED = {int: "a whole number", float: "a number", bool: "True or False"}


class _Environment(environ.Env):  # type: ignore[misc]  # has no types
    """Refuses a wrong number or switch with the variable's name; an empty one has the default.

    Without this, a wrong number is a traceback, and a misspelt switch is off.
    """

    def get_value(self, var: str, cast: Any = None, *defaults: Any, **options: Any) -> Any:
        written = self.ENVIRON.get(var)
        if written is None or cast not in _EXPECTED:
            return super().get_value(var, cast, *defaults, **options)
        if not written.strip():
            return options["default"]
        if cast is not bool or written.lower() in _SWITCHES:
            with contextlib.suppress(ValueError):
                return super().get_value(var, cast, *defaults, **options)
        raise ImproperlyConfigured(f"{var} must be {_EXPECTED[cast]}, not {written!r}.")


env = _Environment()

DEBUG = env.bool("DEBUG", default=True)

VAR_DIR.mkdir(mode=0o700, exist_ok=True)
if VAR_DIR.stat().st_mode & 0o077:
    # Other users of the machine must not read the databases and archives in there.
    with contextlib.suppress(PermissionError):
        VAR_DIR.chmod(0o700)
