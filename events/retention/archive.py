"""Archives of the log, month by month, as files that can be restored.

An archive is a gzip file with one JSON object per row and line, and beside it a manifest that names
the file, its digests and what is in it. The manifest is written last and takes effect by its
rename, so the file it names is complete; the file's name contains its digest, so a new archive of
a month never touches the one before. Rows of a month that arrive after its removal are the month's
next part, with a manifest of its own.

Columns stand under their own names: times in ISO 8601 with microseconds, the body in base64. The
format needs nothing but gunzip and a JSON reader.
"""

from __future__ import annotations

import base64
import datetime
import gzip
import hashlib
import itertools
import json
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from django.db import connection, models, transaction
from django.db.models import Count, Max, Min, Sum
from django.utils import timezone

from events.db.consistent_read import read_snapshot
from events.log.registry import announce_restoring, announce_return
from events.models import EventLog, OfficialAccount, PrunedMonth
from events.models.event_log import EventLogQuerySet
from events.months import Month

__all__ = [
    "Archive",
    "ArchiveError",
    "archives",
    "batched",
    "closed_months",
    "ensure_archived",
    "find",
    "replace_records",
    "restore",
]

_SCHEMA = 1
_BATCH = 500
# A month is closed once its pushes can no longer be under way.
_CLOSED_AFTER = datetime.timedelta(days=3)
_FIELDS = EventLog._meta.concrete_fields
_COLUMNS = [field.attname for field in _FIELDS]

_T = TypeVar("_T")


class ArchiveError(Exception):
    """An archive is missing, broken, or does not fit the database; the text gives the reason."""


@dataclass(frozen=True, slots=True)
class Archive:
    """What a manifest says. `contents` is what identifies the rows as they were."""

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
        """Reads the file through. Raises ArchiveError when it is not what the manifest says."""
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
        """The rows as they stand in the file, in the order of account and time."""
        with gzip.open(self.folder / self.file, "rb") as lines:
            for line in lines:
                yield json.loads(line)

    def ids(self) -> Iterator[int]:
        return (record["id"] for record in self.records())


def archives(folder: Path) -> list[Archive]:
    """The archives in a folder, by month and part. Raises ArchiveError for a broken manifest."""
    return sorted(
        (_read_manifest(path) for path in folder.glob("events-*.json")),
        key=lambda archive: (archive.month, archive.part),
    )


def find(month: Month, folder: Path, *, part: int) -> Archive | None:
    """The archive of one part of a month, if there is one; not verified."""
    path = _manifest_path(folder, month, part)
    return _read_manifest(path) if path.exists() else None


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


def restore(month: Month, folder: Path, *, keep_until: datetime.datetime | None = None) -> int:
    """Brings a month back from its archives, with the ids it had; returns how many rows came.

    Rows that are there already stay as they are. What was removed here before is marked as being in
    the base, so that it counts once. Raises ArchiveError, before any row is written, when a file is
    not what its manifest says or its accounts are not here.
    """
    parts = [archive for archive in archives(folder) if archive.month == month]
    if not parts:
        raise ArchiveError(f"There is no archive of {month} in {folder}.")
    pruned, _ = PrunedMonth.objects.get_or_create(month=month.start.date())
    if pruned.is_under_way:
        raise ArchiveError(f"The removal of {month} is under way: run prune_events first.")
    for archive in parts:
        archive.verify()
    # Before the rows are there, so that no worker takes them away again.
    PrunedMonth.objects.filter(pk=pruned.pk).update(keep_until=keep_until)
    restored = 0
    for archive in parts:
        accounts = _local_accounts(archive)
        for records in batched(archive.records(), _BATCH):
            events = [
                _event(record, accounts, was_removed=archive.part <= pruned.part)
                for record in records
            ]
            announce_return(events)
            restored += _insert(events, month)
    _advance_sequence()
    announce_restoring(EventLog.objects.in_month(month))
    return restored


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


# --- Writing -------------------------------------------------------------------------------------


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
            yield _packed(record if other is None else other)

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
        for values in ordered.values_list(*_COLUMNS).iterator(chunk_size=_BATCH):
            yield _line(values)


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
        file = f"{_stem(month, part)}.{outer.hexdigest()[:16]}.ndjson.gz"
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
        manifest.write(json.dumps(_manifest(archive), ensure_ascii=False, indent=2).encode())
        manifest.flush()
        os.fsync(manifest.fileno())
        os.replace(path, _manifest_path(folder, month, part))
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


def _stem(month: Month, part: int) -> str:
    return f"events-{month}" if part == 1 else f"events-{month}.{part}"


def _manifest_path(folder: Path, month: Month, part: int) -> Path:
    return folder / f"{_stem(month, part)}.json"


def _manifest(archive: Archive) -> dict[str, Any]:
    said = asdict(archive)
    del said["folder"]
    return said | {
        "schema": _SCHEMA,
        "month": str(archive.month),
        "columns": _COLUMNS,
        "created_at": timezone.now().isoformat(),
    }


def _read_manifest(path: Path) -> Archive:
    try:
        said = json.loads(path.read_bytes())
        if said["schema"] != _SCHEMA:
            raise ArchiveError(f"{path} is of schema {said['schema']}, not {_SCHEMA}.")
        # A name with a path in it would read a file from elsewhere.
        if Path(said["file"]).name != said["file"]:
            raise ArchiveError(f"{path} names a file outside its folder.")
        return Archive(
            folder=path.parent,
            month=Month.parse(said["month"]),
            part=said["part"],
            file=said["file"],
            sha256=said["sha256"],
            content_sha256=said["content_sha256"],
            rows=said["rows"],
            contents=said["contents"],
            accounts={int(pk): slug for pk, slug in said["accounts"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArchiveError(f"{path} is not a manifest: {error!r}") from error


def _line(values: tuple[Any, ...]) -> bytes:
    return _packed({name: _written(value) for name, value in zip(_COLUMNS, values, strict=True)})


def _packed(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _written(value: Any) -> Any:
    match value:
        case datetime.datetime():
            return value.astimezone(datetime.UTC).isoformat(timespec="microseconds")
        case bytes() | memoryview():
            return base64.b64encode(value).decode()
        case _:
            return value


# --- Restoring -----------------------------------------------------------------------------------


def _local_accounts(archive: Archive) -> dict[int, int]:
    """From the accounts' ids when it was written to those of the same handles here."""
    here = dict(OfficialAccount.objects.values_list("slug", "pk"))
    return {pk: here[slug] for pk, slug in archive.accounts.items() if slug in here}


_READ: dict[type[models.Field[Any, Any]], Callable[[Any], Any]] = {
    models.DateTimeField: datetime.datetime.fromisoformat,
    models.BinaryField: base64.b64decode,
}


def _event(record: dict[str, Any], accounts: dict[int, int], *, was_removed: bool) -> EventLog:
    values = {}
    for field in _FIELDS:
        # A column that is younger than the archive has its default.
        if field.attname in record:
            value = record[field.attname]
            read = _READ.get(type(field))
            values[field.attname] = value if value is None or read is None else read(value)
    event = EventLog(**values)
    if event.account_id not in accounts:
        raise ArchiveError(f"Event {event.pk} is of an account that is not here.")
    event.account_id = accounts[event.account_id]
    # A row that was not folded before its removal is not carried over, and may still be folded.
    event.is_carried_over = event.is_carried_over or (was_removed and event.folded_at is not None)
    return event


def _insert(events: list[EventLog], month: Month) -> int:
    times = {event.pk: event.event_time for event in events}
    with transaction.atomic():
        taken = dict(EventLog.objects.filter(pk__in=times).values_list("pk", "event_time"))
        for pk, moment in taken.items():
            if moment != times[pk]:
                raise ArchiveError(f"The id {pk} belongs to another event here.")
        before = EventLog.objects.in_month(month).filter(pk__in=times).count()
        EventLog.objects.bulk_create(events, ignore_conflicts=True)
        return EventLog.objects.in_month(month).filter(pk__in=times).count() - before


def _advance_sequence() -> None:
    """Lets new rows have ids above the restored ones, in a database that never knew them."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT setval(sequence, greatest(nextval(sequence), "
                "(SELECT max(id) FROM events_eventlog))) "
                "FROM CAST(pg_get_serial_sequence('events_eventlog', 'id') AS regclass) AS sequence"
            )
