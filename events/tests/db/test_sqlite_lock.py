"""Waiting for SQLite's write lock, while the garbage collector runs in the thread that has it."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler, OperationalError

from events.db import sqlite_lock

pytestmark = [pytest.mark.any_database, pytest.mark.django_db]

LIMIT = 60


@pytest.fixture
def open_database(tmp_path: Path):
    """Connections to one file, as the settings make them, each for the thread that asks."""
    options = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL;",
    }
    handler = ConnectionHandler(
        {
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": tmp_path / "lock.sqlite3",
                "OPTIONS": options,
            }
        }
    )
    opened: list[BaseDatabaseWrapper] = []

    def open_one() -> BaseDatabaseWrapper:
        connection = handler.create_connection("default")
        connection.inc_thread_sharing()
        opened.append(connection)
        return connection

    with open_one().cursor() as cursor:
        cursor.execute("CREATE TABLE line (words TEXT)")
    yield open_one
    for connection in opened:
        connection.close()


def forget_open_cursor(connection: BaseDatabaseWrapper) -> None:
    """Leaves an unfinished query to the garbage collector alone."""
    cursor = connection.cursor()
    cursor.execute("SELECT 1 UNION ALL SELECT 2")
    box = [cursor.cursor]
    box.append(box)


def test_the_writer_may_collect_a_cursor_of_who_waits(open_database, monkeypatch):
    holder, waiter = open_database(), open_database()
    waits = threading.Event()
    errors: list[BaseException] = []

    def sleep(seconds: float) -> None:
        waits.set()
        time.sleep(seconds)

    monkeypatch.setattr(sqlite_lock, "_sleep", sleep)

    def write() -> None:
        try:
            forget_open_cursor(waiter)
            with waiter.cursor() as cursor:
                cursor.execute("INSERT INTO line VALUES ('second')")
        except BaseException as error:
            errors.append(error)

    gc.disable()
    try:
        holder.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
        other = threading.Thread(target=write)
        other.start()
        assert waits.wait(LIMIT), "the other thread waits inside of SQLite"
        gc.collect()
        with holder.cursor() as cursor:
            cursor.execute("INSERT INTO line VALUES ('first')")
        holder.commit()
        other.join(LIMIT)
    finally:
        gc.enable()
    assert not errors
    with holder.cursor() as cursor:
        cursor.execute("SELECT words FROM line ORDER BY rowid")
        assert [words for (words,) in cursor.fetchall()] == ["first", "second"]


def test_nobody_waits_longer_than_he_said(open_database):
    holder, waiter = open_database(), open_database()
    holder.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    began = time.monotonic()
    with sqlite_lock.waiting_at_most(0.1), pytest.raises(OperationalError, match="locked"):
        waiter.cursor().execute("INSERT INTO line VALUES ('late')")
    assert time.monotonic() - began < waiter.settings_dict["OPTIONS"]["timeout"]
    holder.rollback()


def test_other_faults_are_not_tried_again(open_database):
    with pytest.raises(OperationalError, match="no such table"):
        open_database().cursor().execute("SELECT nonsense FROM nowhere")
