"""Reads and checks the manifests that stand beside the files of archives."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.utils import timezone

from events.months import Month
from events.retention.archive.error import ArchiveError
from events.retention.archive.records import COLUMNS

__all__ = [
    "Archive",
    "archives",
    "find",
    "manifest_of",
    "manifest_path",
    "stem",
]

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Archive:
    """The contents of a manifest. `contents` has numbers that identify the rows as they were."""

    folder: Path
    month: Month
    part: int
    file: str
    sha256: str
    content_sha256: str
    rows: int
    contents: dict[str, int]
    accounts: dict[int, str]

    def verify(self) -> None:
        """Reads the whole file. Raises ArchiveError if it does not match the manifest."""
        path = self.folder / self.file
        outer, inner, rows = hashlib.sha256(), hashlib.sha256(), 0
        try:
            with path.open("rb") as packed:
                while chunk := packed.read(1 << 20):
                    outer.update(chunk)
            if outer.hexdigest() == self.sha256:
                with gzip.open(path, "rb") as lines:
                    for line in lines:
                        inner.update(line)
                        rows += 1
        except (OSError, EOFError, zlib.error) as error:
            raise ArchiveError(f"{path} cannot be read: {error}") from error
        found = (outer.hexdigest(), inner.hexdigest(), rows)
        if found != (self.sha256, self.content_sha256, self.rows):
            raise ArchiveError(f"{path} is not what its manifest says.")

    def records(self) -> Iterator[dict[str, Any]]:
        """Yields the rows of the file, in the order of account and time."""
        with gzip.open(self.folder / self.file, "rb") as lines:
            for line in lines:
                yield json.loads(line)

    def ids(self) -> Iterator[int]:
        return (record["id"] for record in self.records())


def archives(folder: Path) -> list[Archive]:
    """Returns the archives in a folder, ordered by month and part.

    Raises ArchiveError for a broken manifest.
    """
    return sorted(
        (_read_manifest(path) for path in folder.glob("events-*.json")),
        key=lambda archive: (archive.month, archive.part),
    )


def find(month: Month, folder: Path, *, part: int) -> Archive | None:
    """Returns the archive of one part of a month, not verified; None if there is none."""
    path = manifest_path(folder, month, part)
    return _read_manifest(path) if path.exists() else None


def stem(month: Month, part: int) -> str:
    """Returns the beginning of the names of a part's files."""
    return f"events-{month}" if part == 1 else f"events-{month}.{part}"


def manifest_path(folder: Path, month: Month, part: int) -> Path:
    return folder / f"{stem(month, part)}.json"


def manifest_of(archive: Archive) -> dict[str, Any]:
    """Returns the manifest of an archive as JSON takes it."""
    data = asdict(archive)
    del data["folder"]
    return data | {
        "schema": _SCHEMA,
        "month": str(archive.month),
        "columns": COLUMNS,
        "created_at": timezone.now().isoformat(),
    }


def _read_manifest(path: Path) -> Archive:
    try:
        data = json.loads(path.read_bytes())
        if data["schema"] != _SCHEMA:
            raise ArchiveError(f"{path} is of schema {data['schema']}, not {_SCHEMA}.")
        # A name with a path in it would read a file from another folder.
        if Path(data["file"]).name != data["file"]:
            raise ArchiveError(f"{path} names a file outside its folder.")
        return Archive(
            folder=path.parent,
            month=Month.parse(data["month"]),
            part=data["part"],
            file=data["file"],
            sha256=data["sha256"],
            content_sha256=data["content_sha256"],
            rows=data["rows"],
            contents=data["contents"],
            accounts={int(pk): slug for pk, slug in data["accounts"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArchiveError(f"{path} is not a manifest: {error!r}") from error
