"""The error of archives."""

from __future__ import annotations

__all__ = ["ArchiveError"]


class ArchiveError(Exception):
    """An archive is missing, broken, or does not fit the database; the text gives the reason."""
