"""Copies and restores a SQLite database; a copy is possible while the site writes."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from django.conf import settings
from django.db import connection

from wechat_site.backup.manifest import BackupError

__all__ = ["FILE", "dump", "load", "refuse_rows", "server_version"]

FILE = "database.sqlite3.gz"
# This level compresses a log to a fifth, as fast as disks write.
_LEVEL = 1
# Seconds to wait for a process that still has the database open.
_WAIT = 5


def server_version() -> str:
    """The version of SQLite."""
    return sqlite3.sqlite_version


def dump(target: Path) -> Mapping[str, int]:
    """Writes the database, compressed; returns how many rows each table of the copy has.

    One reading transaction makes the copy, so no writer has to wait.
    """
    copy = target.with_suffix(".copy")
    try:
        with (
            closing(sqlite3.connect(f"{_file().absolute().as_uri()}?mode=rw", uri=True)) as site,
            closing(sqlite3.connect(copy)) as backup,
        ):
            site.backup(backup)
            # Puts all into one file, without the write-ahead log that the site's database has.
            backup.execute("PRAGMA journal_mode=DELETE")
            _check(backup)
            rows = _count(backup)
        with copy.open("rb") as plain, gzip.open(target, "wb", compresslevel=_LEVEL) as packed:
            shutil.copyfileobj(plain, packed, 1 << 20)
    except sqlite3.Error as error:
        raise BackupError(f"{_file()} cannot be copied: {error}") from error
    finally:
        copy.unlink(missing_ok=True)
    return rows


def refuse_rows() -> None:
    """Raises BackupError if the database file exists already."""
    if _file().exists():
        raise BackupError(
            f"{_file()} exists already. Set DATABASE_URL to another file, or use --replace."
        )


def load(packed: Path) -> None:
    """Replaces the site's database, which no process may have open."""
    target = _file()
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f"{target.name}.restoring")
    try:
        with gzip.open(packed, "rb") as source, fresh.open("wb") as plain:
            os.fchmod(plain.fileno(), 0o600)
            shutil.copyfileobj(source, plain, 1 << 20)
            plain.flush()
            os.fsync(plain.fileno())
        with closing(sqlite3.connect(fresh)) as database:
            _check(database)
        connection.close()
        _end_log_of(target)
        fresh.replace(target)
    except sqlite3.Error as error:
        raise BackupError(f"The database in the backup cannot be read: {error}") from error
    finally:
        fresh.unlink(missing_ok=True)


def _end_log_of(former: Path) -> None:
    """Moves the write-ahead log of the database that is to be replaced into its file.

    SQLite would apply such a log to the restored database. If the restore stops before it has
    replaced the file, the former database still has all its rows. Raises BackupError if a process
    has the database open.
    """
    try:
        url = f"{former.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(url, timeout=_WAIT, uri=True)) as database:
            database.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise BackupError(f"{former} is open in another process: stop the site.") from error
        # There is no former database, or it is damaged.
        for ending in ("-wal", "-shm"):
            former.with_name(former.name + ending).unlink(missing_ok=True)


def _file() -> Path:
    return Path(settings.DATABASES["default"]["NAME"])


def _check(database: sqlite3.Connection) -> None:
    (answer,) = database.execute("PRAGMA quick_check").fetchone()
    if answer != "ok":
        raise BackupError(f"The database is damaged: {answer}")


def _count(database: sqlite3.Connection) -> Mapping[str, int]:
    tables = database.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' "
        "ESCAPE '\\' ORDER BY name"
    ).fetchall()
    return {
        name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for (name,) in tables
    }
