"""Writing archives: a month of the log, or an archive anew with records changed."""

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
# A month is closed once its pushes can no longer be under way.
_CLOSED_AFTER = datetime.timedelta(days=3)


def closed_months(now: datetime.datetime) -> list[Month]:
    """The months the log has rows of that ended some days ago, oldest first."""
    limit = Month.of(now - _CLOSED_AFTER).start
    return sorted(EventLog.objects.filter(event_time__lt=limit).months())


def ensure_archived(month: Month, folder: Path) -> Archive:
    """The verified archive of the rows the log has of a month; written when it is not there.

    An archive that is not of these rows, since some arrived later, is written again. Raises
    ArchiveError for a broken one: an operator should know before it is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _clear_away_halves(folder)
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
    """Numbers that change when a row comes, goes, is folded, answered or delivered again."""
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
    """Writes an archive anew with the records that `change` returns; None keeps a record.

    Returns how many changed. The new file is complete before the manifest names it.
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
        # Neither a name nor a time in the header: the same rows make the same file.
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
    # A rename is on the disk when its folder is.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return file


@contextmanager
def _temporary(folder: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """A new file in the folder, for its owner alone, that is gone afterwards unless renamed."""
    descriptor, name = tempfile.mkstemp(prefix=".events-", suffix=".partial", dir=folder)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file, Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _clear_away_halves(folder: Path) -> None:
    """Removes files of killed processes: a file of a day ago has no writer any more."""
    for path in folder.glob(".events-*.partial"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > 24 * 3600:
                path.unlink()
