"""The database of the peers that have one, set as `django-admin startproject` sets it."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

__all__ = ["DATABASES"]


def _database(url: str, max_age: int | None) -> dict[str, Any]:
    parts = urlsplit(url)
    name = parts.path.removeprefix("/")
    if parts.scheme == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "CONN_MAX_AGE": max_age}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": parts.username,
        "PASSWORD": parts.password or "",
        "HOST": parts.hostname,
        "PORT": parts.port,
        "CONN_MAX_AGE": max_age,
    }


DATABASES = {
    # 0 is Django's default: a connection for each request. None keeps the connection.
    "default": _database(
        os.environ["DATABASE_URL"], None if os.environ.get("KEEP_CONNECTIONS") else 0
    )
}
