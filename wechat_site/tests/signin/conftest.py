from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def quick_hashes(settings: object) -> None:
    """These tests try hundreds of passwords; how slow one is to check is Django's matter."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # type: ignore[attr-defined]
