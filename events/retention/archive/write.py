"""Writes archives of months of the log, and rewrites archives with changed records."""

from __future__ import annotations

import datetime
import gzip
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from django.db.models import Count, Max, Min, Sum

from events.db.consistent_read import read_snapshot
from events.models import EventLog, OfficialAccount, PrunedMonth
from events.models.event_log import EventLogQuerySet
from events.months import Month
from events.retention.archive.error import ArchiveError
from events.retention.archive.manifest import (
    Archive,
    find,
    manifest_of,
    manifest_path,
    stem,
)
from events.retention.archive.records import COLUMNS, line_of, packed

__all__ = ["closed_months", "ensure_archived", "replace_records"]

_BATCH = 500
# After this time no push of a month can still be on its way.
_CLOSED_AFTER = datetime.timedelta(days=3)


def closed_months(now: datetime.datetime) -> list[Month]:
    """Returns the months in the log that ended at least three days ago, oldest first."""
    limit = Month.of(now - _CLOSED_AFTER).start
    return sorted(EventLog.objects.filter(event_time__lt=limit).months())


def ensure_archived(month: Month, folder: Path) -> Archive:
    """Returns the verified archive of a month's rows in the log; writes it if it is missing.

    If the rows have changed since, for example because some arrived later, it writes the archive
    again. Raises ArchiveError for a broken archive, so that an operator knows before it is
    replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_partial_files(folder)
    pruned = PrunedMonth.objects.filter(month=month.start.date()).first()
    part = 1 if pruned is None else pruned.part + 1
    rows = EventLog.objects.in_month(month)
    archive = find(month, folder, part=part)
    if archive is not None:
        archive.verify()
        if archive.contents == _contents(rows):
            return archive
    _write(rows, month, part, folder)
    written = find(month, folder, part=part)
    if written is None:
        raise ArchiveError(f"The manifest of {month} has vanished from {folder}.")
    written.verify()
    if archive is not None and archive.file != written.file:
        (folder / archive.file).unlink(missing_ok=True)
    return written


def _contents(rows: EventLogQuerySet) -> dict[str, int]:
    """Returns numbers that change if a row comes or goes, is folded, answered or pushed again."""
    found = rows.aggregate(
        rows=Count("pk"),
        first_id=Min("pk"),
        last_id=Max("pk"),
        ids=Sum("pk"),
        folded=Count("folded_at"),
        processed=Count("processed_at"),
        deliveries=Sum("delivery_count"),
        attempts=Sum("attempts"),
    )
    return {name: int(value or 0) for name, value in found.items()}


def replace_records(
    archive: Archive, change: Callable[[dict[str, Any]], dict[str, Any] | None]
) -> int:
    """Rewrites an archive with the records that `change` returns; None keeps a record as it is.

    Returns how many records changed. The new file is complete before the manifest names it.
    """
    changed = 0

    def lines() -> Iterator[bytes]:
        nonlocal changed
        for record in archive.records():
            other = change(record)
            changed += other is not None
            yield packed(record if other is None else other)

    written = _store(
        lines(), archive.month, archive.part, archive.folder, archive.contents, archive.accounts
    )
    if written != archive.file:
        (archive.folder / archive.file).unlink(missing_ok=True)
    return changed


def _write(rows: EventLogQuerySet, month: Month, part: int, folder: Path) -> None:
    with read_snapshot():
        contents = _contents(rows)
        accounts = dict(OfficialAccount.objects.order_by("pk").values_list("pk", "slug"))
        _store(_lines_of(rows, accounts), month, part, folder, contents, accounts)


def _lines_of(rows: EventLogQuerySet, accounts: Iterable[int]) -> Iterator[bytes]:
    for account in accounts:
        ordered = rows.filter(account=account).order_by("event_time", "pk")
        for values in ordered.values_list(*COLUMNS).iterator(chunk_size=_BATCH):
            yield line_of(values)


def _store(
    lines: Iterable[bytes],
    month: Month,
    part: int,
    folder: Path,
    contents: dict[str, int],
    accounts: dict[int, str],
) -> str:
    """Writes an archive and its manifest; returns the file's name."""
    inner = hashlib.sha256()
    count = 0
    with _temporary(folder) as (packed, path):
        # Without name and time in the header, the same rows make the same file.
        with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as file_of_lines:
            for line in lines:
                inner.update(line)
                file_of_lines.write(line)
                count += 1
        packed.flush()
        os.fsync(packed.fileno())
        outer = hashlib.sha256()
        packed.seek(0)
        while chunk := packed.read(1 << 20):
            outer.update(chunk)
        file = f"{stem(month, part)}.{outer.hexdigest()[:16]}.ndjson.gz"
        os.replace(path, folder / file)
    archive = Archive(
        folder=folder,
        month=month,
        part=part,
        file=file,
        sha256=outer.hexdigest(),
        content_sha256=inner.hexdigest(),
        rows=count,
        contents=contents,
        accounts=accounts,
    )
    with _temporary(folder) as (manifest, path):
        manifest.write(json.dumps(manifest_of(archive), ensure_ascii=False, indent=2).encode())
        manifest.flush()
        os.fsync(manifest.fileno())
        os.replace(path, manifest_path(folder, month, part))
    # A rename is on the disk only after fsync of its folder.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return file


@contextmanager
def _temporary(folder: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """Yields a new file that only its owner can read; removes it afterwards unless renamed."""
    descriptor, name = tempfile.mkstemp(prefix=".events-", suffix=".partial", dir=folder)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file, Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _remove_partial_files(folder: Path) -> None:
    """Removes the partial files of killed processes: after a day a file has no writer any more."""
    for path in folder.glob(".events-*.partial"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > 24 * 3600:
                path.unlink()
