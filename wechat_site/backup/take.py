"""Takes a backup while the site receives pushes."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from wechat_site.backup import postgresql, sqlite
from wechat_site.backup.files import hold_files
from wechat_site.backup.manifest import (
    KEYS,
    MANIFEST,
    BackupError,
    Manifest,
    Member,
    digest,
    fingerprint,
)

__all__ = ["take"]

_TRIES = 5


def take(
    file: Path, *, with_keys: bool = False, with_archives: bool = True, with_files: bool = True
) -> Manifest:
    """Writes a backup of the site to a new file, which only its owner may read.

    It has every push that the site acknowledged before the backup began. Raises BackupError.
    """
    if file.exists():
        raise BackupError(f"{file} exists already. Choose another name.")
    file.parent.mkdir(parents=True, exist_ok=True)
    vendor = postgresql if connection.vendor == "postgresql" else sqlite
    with tempfile.TemporaryDirectory(prefix=f".{file.name}.", dir=file.parent) as name:
        folder = Path(name)
        taken_at = timezone.now()
        # The database before the archives: retention writes an archive first and then removes
        # rows, so rows that leave the log meanwhile are in both.
        rows = vendor.dump(folder / vendor.FILE)
        sources = {vendor.FILE: folder / vendor.FILE}
        if with_archives:
            sources |= {f"archives/{path.name}": path for path in _hold_archives(folder)}
        if with_files:
            # The files after the database, because a file is stored before the row that names it.
            sources |= hold_files(folder / "files")
        if with_keys:
            sources[KEYS] = folder / KEYS
            sources[KEYS].write_text(_keys())
        manifest = Manifest(
            taken_at=taken_at.isoformat(),
            engine=connection.vendor,
            server_version=vendor.server_version(),
            database=vendor.FILE,
            rows=rows,
            migrations=_migrations(),
            keys=[fingerprint(key) for key in settings.FIELD_ENCRYPTION_KEYS],
            members=[_member(path, source) for path, source in sources.items()],
        )
        whole = folder / "whole.tar"
        with whole.open("xb") as stream:
            os.fchmod(stream.fileno(), 0o600)
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
                _add(tar, MANIFEST, io.BytesIO(manifest.as_json()), len(manifest.as_json()))
                for member in manifest.members:
                    with sources[member.path].open("rb") as source:
                        _add(tar, member.path, source, member.bytes)
            stream.flush()
            os.fsync(stream.fileno())
        whole.rename(file)
    return manifest


def _hold_archives(folder: Path) -> list[Path]:
    """Links or copies the archives as they are now: the worker may replace and remove some."""
    archives = settings.EVENT_ARCHIVE_DIR
    if archives is None or not archives.is_dir():
        return []
    place = folder / "archives"
    for _try in range(_TRIES):
        place.mkdir()
        try:
            # Each manifest before the file that it names, because that file never changes.
            for path in sorted(archives.glob("events-*"), key=lambda path: path.suffix != ".json"):
                _hold(path, place / path.name)
        except FileNotFoundError:
            shutil.rmtree(place)
        else:
            return sorted(place.iterdir())
    raise BackupError(f"The archives in {archives} changed during each try. Try again later.")


def _hold(path: Path, name: Path) -> None:
    if path.suffix != ".json":
        with suppress(OSError):
            os.link(path, name)
            return
    shutil.copyfile(path, name)


def _member(path: str, source: Path) -> Member:
    with source.open("rb") as stream:
        return Member(path, *digest(stream))


def _add(tar: tarfile.TarFile, path: str, stream: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode, entry.mtime = size, 0o600, int(timezone.now().timestamp())
    tar.addfile(entry, stream)


def _keys() -> str:
    return (
        f"SECRET_KEY={settings.SECRET_KEY}\n"
        f"FIELD_ENCRYPTION_KEYS={','.join(settings.FIELD_ENCRYPTION_KEYS)}\n"
    )


def _migrations() -> dict[str, str]:
    applied = MigrationRecorder(connection).applied_migrations()
    return {app: max(name for of, name in applied if of == app) for app in {a for a, _ in applied}}
