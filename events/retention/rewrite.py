"""Changes rows in existing archives: for an erased person, or for bodies past their time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from events.retention.archive import Archive, archives, replace_records

__all__ = ["Change", "rewrite_archives"]

# Takes an archive and one of its records; returns the changed record, or None to keep it.
Change = Callable[[Archive, dict[str, Any]], "dict[str, Any] | None"]


def rewrite_archives(folder: Path, change: Change) -> int:
    """Rewrites every archive in which `change` changes a record; returns how many records.

    The new file replaces the old one when its manifest names it. If the process is killed before,
    the old archive is still complete. Raises ArchiveError for a broken archive.
    """
    changed = 0
    for archive in archives(folder):
        if any(change(archive, record) is not None for record in archive.records()):
            archive.verify()
            changed += replace_records(archive, partial(change, archive))
    return changed
