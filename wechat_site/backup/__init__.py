"""Backups: a site in one file, with its database, archives, private files and, if wanted, keys."""

from __future__ import annotations

from .manifest import BackupError, Manifest, read_manifest
from .restore import Restored, restore
from .take import take

__all__ = ["BackupError", "Manifest", "Restored", "read_manifest", "restore", "take"]
