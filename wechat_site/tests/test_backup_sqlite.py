"""What a restore does with the SQLite database that it replaces."""

from __future__ import annotations

import gzip
import shutil
import sqlite3
from contextlib import closing
from unittest import mock

import pytest
from django.conf import settings

from wechat_site.backup import sqlite
from wechat_site.backup.manifest import BackupError


@pytest.fixture
def former(tmp_path, monkeypatch):
    """A database as a killed site leaves it: its only row is in the write-ahead log."""
    with closing(sqlite3.connect(tmp_path / "live.sqlite3")) as live:
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("CREATE TABLE word (word TEXT)")
        live.execute("INSERT INTO word VALUES ('former')")
        live.commit()
        for ending in ("", "-wal"):
            shutil.copy(tmp_path / f"live.sqlite3{ending}", tmp_path / f"site.sqlite3{ending}")
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", tmp_path / "site.sqlite3")
    monkeypatch.setattr(sqlite, "connection", mock.Mock())
    return tmp_path / "site.sqlite3"


@pytest.fixture
def backup(tmp_path):
    with closing(sqlite3.connect(tmp_path / "backup.sqlite3")) as database:
        database.execute("CREATE TABLE word (word TEXT)")
        database.execute("INSERT INTO word VALUES ('backup')")
        database.commit()
    packed = tmp_path / sqlite.FILE
    packed.write_bytes(gzip.compress((tmp_path / "backup.sqlite3").read_bytes()))
    return packed


def words_in(file):
    with closing(sqlite3.connect(file)) as database:
        return [word for (word,) in database.execute("SELECT word FROM word")]


def test_the_former_log_does_not_reach_the_restored_database(former, backup):
    sqlite.load(backup)
    assert words_in(former) == ["backup"]


def test_a_restore_that_stops_before_it_replaces_loses_nothing(former, backup, monkeypatch):
    monkeypatch.setattr(sqlite.Path, "replace", mock.Mock(side_effect=OSError("disk is full")))
    with pytest.raises(OSError, match="disk is full"):
        sqlite.load(backup)
    assert words_in(former) == ["former"]


def test_a_database_in_use_is_not_replaced(former, backup, monkeypatch):
    monkeypatch.setattr(sqlite, "_WAIT", 0)
    with closing(sqlite3.connect(former)) as site:
        site.execute("SELECT word FROM word").fetchone()
        with pytest.raises(BackupError, match="stop the site"):
            sqlite.load(backup)
        assert words_in(former) == ["former"]


@pytest.mark.parametrize("content", [b"no database" * 1000, None])
def test_a_damaged_or_missing_database_is_replaced(former, backup, content):
    if content is None:
        former.unlink()
    else:
        former.write_bytes(content)
    sqlite.load(backup)
    assert words_in(former) == ["backup"]
