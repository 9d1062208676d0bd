"""A storage of its own for the files of a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

__all__ = ["private_storage"]


@pytest.fixture
def private_storage(settings: Any, tmp_path: Path) -> Path:
    """The folder in which the storage `private` keeps its files."""
    folder = tmp_path / "files"
    settings.STORAGES = {
        **settings.STORAGES,
        "private": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": folder},
        },
    }
    return folder
