"""Changes rows in archives that are written already: an erased person, a body past its time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from events.retention.archive import Archive, archives, replace_records

__all__ = ["Change", "rewrite_archives"]

# Takes an archive and a record of it; returns the record changed, or None where it stays as it is.
Change = Callable[[Archive, dict[str, Any]], "dict[str, Any] | None"]


def rewrite_archives(folder: Path, change: Change) -> int:
    """Writes every archive anew in which `change` changes a record; returns how many records.

    A new file replaces the old one as a whole, and its manifest says so; killed in between, the old
    archive is still complete. Raises ArchiveError for an archive that is broken.
    """
    changed = 0
    for archive in archives(folder):
        if any(change(archive, record) is not None for record in archive.records()):
            archive.verify()
            changed += replace_records(archive, partial(change, archive))
    return changed
