"""Restores a backup into the database that the settings name."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from wechat_site.backup import postgresql, sqlite
from wechat_site.backup.files import remove_others, restore_files
from wechat_site.backup.manifest import (
    BackupError,
    Manifest,
    digest,
    fingerprint,
    read_manifest,
)

__all__ = ["Restored", "restore"]

_OWN = {"events", "subscribers", "wechat_site"}


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, and what the site still lacks: keys, by fingerprint, and archives."""

    manifest: Manifest
    missing_keys: Sequence[str]
    left_archives: int


def restore(file: Path, *, replace: bool = False, inactive: bool = False) -> Restored:
    """Verifies a backup, then puts its database, archives and files where the settings say.

    Without `replace` the database must be new. `inactive` switches off every account: the site then
    takes no push and sends nothing to WeChat. Raises BackupError; it verifies before it writes.
    """
    manifest = read_manifest(file)
    if manifest.engine != connection.vendor:
        raise BackupError(
            f"The backup is of {manifest.engine}, and DATABASE_URL names {connection.vendor}."
        )
    _refuse_newer(manifest)
    if connection.vendor == "postgresql":
        postgresql.refuse_others()
    vendor = postgresql if connection.vendor == "postgresql" else sqlite
    if not replace:
        vendor.refuse_rows()
    left = _restore_archives(file, manifest)
    restore_files(file, manifest)
    with tempfile.TemporaryDirectory(prefix="restore-", dir=_workplace()) as folder:
        database = Path(folder) / manifest.database
        _extract(file, manifest.database, database)
        vendor.load(database)
    _compare(manifest)
    if replace:
        remove_others(manifest)
    if inactive:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE events_officialaccount SET is_active = FALSE")
    known = {fingerprint(key) for key in settings.FIELD_ENCRYPTION_KEYS}
    return Restored(manifest, [key for key in manifest.keys if key not in known], left)


def _refuse_newer(manifest: Manifest) -> None:
    known = MigrationLoader(None).disk_migrations
    newer = [
        f"{app} {name}"
        for app, name in manifest.migrations.items()
        if app in _OWN and (app, name) not in known
    ]
    if newer:
        raise BackupError(
            f"A newer version of this site made the backup ({', '.join(newer)}): use that version."
        )


def _workplace() -> Path | None:
    """The folder for the unpacked database; None for the system's temporary folder."""
    if connection.vendor == "postgresql":
        return None
    folder = Path(settings.DATABASES["default"]["NAME"]).parent
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _restore_archives(file: Path, manifest: Manifest) -> int:
    """Writes the archives that are missing; returns how many were left out without a folder."""
    folder = settings.EVENT_ARCHIVE_DIR
    if folder is None:
        return len(manifest.archives)
    folder.mkdir(parents=True, exist_ok=True)
    for member in manifest.archives:
        target = folder / Path(member.path).name
        if target.exists():
            with target.open("rb") as stream:
                if digest(stream)[1] == member.sha256:
                    continue
            raise BackupError(
                f"{target} differs from the one in the backup. Set EVENT_ARCHIVE_DIR to another "
                "folder, or move that file away."
            )
        _extract(file, member.path, target)
    return 0


def _extract(file: Path, path: str, target: Path) -> None:
    with tarfile.open(file) as tar:
        source = tar.extractfile(path)
        assert source is not None  # read_manifest() has verified it
        with target.open("xb") as stream:
            os.fchmod(stream.fileno(), 0o600)
            shutil.copyfileobj(source, stream, 1 << 20)


def _compare(manifest: Manifest) -> None:
    with connection.cursor() as cursor:
        for table, rows in manifest.rows.items():
            cursor.execute(f'SELECT count(*) FROM "{table}"')
            (found,) = cursor.fetchone()
            if found != rows:
                raise BackupError(f"{table} has {found} rows; the backup says {rows}.")
