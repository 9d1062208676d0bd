"""Fixtures for the tests of this app."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def decoded(tmp_path: Path) -> Callable[[bytes], list[str]]:
    """Reads the QR codes in a PNG, as a phone would: an independent decoder."""
    if shutil.which("zbarimg") is None:
        without = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        without("there is no zbarimg (Debian: apt-get install zbar-tools)")

    def decode(picture: bytes) -> list[str]:
        path = tmp_path / "code.png"
        path.write_bytes(picture)
        found = subprocess.run(
            ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", str(path)],
            capture_output=True,
            text=True,
            check=True,
            # It would tell a desktop about what it found.
            env={"PATH": os.environ["PATH"], "DBUS_SESSION_BUS_ADDRESS": "disabled:"},
        )
        return found.stdout.splitlines()

    return decode
