"""Reads the environment, from which settings come, and prepares the folder ``var/`` for files."""

from __future__ import annotations

import contextlib
from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VAR_DIR = BASE_DIR / "var"

env = environ.Env()

DEBUG = env.bool("DEBUG", default=True)

VAR_DIR.mkdir(mode=0o700, exist_ok=True)
if VAR_DIR.stat().st_mode & 0o077:
    # Other users of the machine must not read the databases and archives in there.
    with contextlib.suppress(PermissionError):
        VAR_DIR.chmod(0o700)
