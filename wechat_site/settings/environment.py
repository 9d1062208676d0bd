"""Where settings come from, the environment, and where files lie: in ``var/``."""

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
    # Databases and archives in there are for nobody else.
    with contextlib.suppress(PermissionError):
        VAR_DIR.chmod(0o700)
