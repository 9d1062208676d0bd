"""A site in one file: its database, its archives and, if wanted, its keys."""

from __future__ import annotations

from .manifest import BackupError, Manifest, read_manifest
from .restore import Restored, restore
from .take import take

__all__ = ["BackupError", "Manifest", "Restored", "read_manifest", "restore", "take"]
