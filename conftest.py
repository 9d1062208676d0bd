"""Fixtures for the tests of all apps."""

from __future__ import annotations

import functools
import gc
import os
import shutil
import sqlite3
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.cache import caches
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.test import Client, TransactionTestCase

from events import account_cache
from events.callback import refusals, reply_runs
from events.db import writer_connection
from events.log import registry
from events.models import OfficialAccount
from events.platform import client
from events.simulator.fake_api import FakeAccount, FakeWeChatAPI, FakeWeChatAPIServer
from events.testing import make_account
from subscribers.models import seen_scene
from subscribers.state.rebuild import compare
from wechat_site.tests.racing import Racers


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Replaces lone surrogates in reports: pytest-xdist cannot send them between processes."""
    report.sections = [
        (name, text.encode(errors="replace").decode()) for name, text in report.sections
    ]


def pytest_collection_finish() -> None:
    """Exempts the collected tests from garbage collection, and makes it run less often."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if connection.vendor != "postgresql":
        for item in items:
            if item.get_closest_marker("postgres"):
                item.add_marker(pytest.mark.skip(reason="needs PostgreSQL"))


@pytest.fixture
def state_is_the_fold(db: None) -> Iterator[None]:
    """Checks after the test that the followers' state is the fold of the log."""
    yield
    assert list(compare()) == []


@pytest.fixture(scope="session", autouse=True)
def rows_are_deleted() -> Iterator[None]:
    """After a test that commits, deletes rows only from tables that have some.

    Django instead truncates all tables and partitions, and makes all permissions anew. On
    PostgreSQL that takes longer than most tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: delete_all_rows())
        yield


@pytest.fixture(scope="session", autouse=True)
def static_files_are_looked_up() -> Iterator[None]:
    """Lets WhiteNoise look for a static file only when a test requests the file.

    By default WhiteNoise lists a thousand files at the start, once for each test's client.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "WHITENOISE_AUTOREFRESH", True, raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def authorities_are_read_once() -> Iterator[None]:
    """Lets all of httpx's clients share one list of certificate authorities.

    A process of the site has one client, but most tests that call WeChat make a new one, and
    reading the list takes longer than the call.
    """
    read = ssl.create_default_context
    read_once = functools.cache(read)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ssl,
            "create_default_context",
            lambda *purpose, **files: (read_once if files else read)(*purpose, **files),
        )
        yield


@pytest.fixture(scope="session", autouse=True)
def threads_close_their_connections() -> Iterator[None]:
    """Closes other threads' connections to an SQLite database in memory, as a site does.

    Django never closes such a connection, because the database ends with the last one. Here the
    connection of the main thread stays open, so the others may be closed.
    """

    def close(connection: DatabaseWrapper) -> None:
        if threading.current_thread() is not threading.main_thread():
            BaseDatabaseWrapper.close(connection)
        else:
            close_unless_in_memory(connection)

    close_unless_in_memory = DatabaseWrapper.close
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseWrapper, "close", close)
        yield


def delete_all_rows() -> None:
    """Deletes all rows except content types and permissions, which migrations made."""
    tables = {
        model._meta.db_table
        for model in apps.get_models(include_auto_created=True)
        if model not in {ContentType, Permission}
    }
    has_rows = " UNION ALL ".join(
        f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table})" for table in sorted(tables)
    )
    # Foreign keys are checked at the end of the transaction, when all rows are deleted.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(has_rows)
        full = [table for (table,) in cursor.fetchall()]
        # Without this row, a trigger forbids to delete entries of the audit list.
        cursor.execute("INSERT INTO events_auditremoval (before) VALUES ('2999-01-01 00:00:00')")
        for table in [*full, "events_auditremoval"]:
            cursor.execute(f"DELETE FROM {table}")
        # The triggers of other tables have written a row here for each deleted row.
        cursor.execute("DELETE FROM events_rowchange")


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clears what the process caches, so that no test sees the rows of an earlier one."""
    monkeypatch.setattr(account_cache, "_MAX_AGE", 0)
    monkeypatch.setattr(account_cache, "_MAX_AGE_OF_A_MISS", 0)
    monkeypatch.setattr(seen_scene, "_known", {})
    monkeypatch.setattr(reply_runs.runs, "_by_row", {})
    caches["process"].clear()
    refusals._noted.clear()


@pytest.fixture(scope="session", autouse=True)
def no_connection_of_the_writer_is_left(django_db_setup: None) -> Iterator[None]:
    """Closes the writer's connection, so that the test database can be removed."""
    yield
    writer_connection.close()


@pytest.fixture
def own_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes after the test what the test has registered."""
    monkeypatch.setattr(registry, "_projections", list(registry._projections))
    monkeypatch.setattr(registry, "_reply_handlers", dict(registry._reply_handlers))
    monkeypatch.setattr(registry, "_late_reply_senders", list(registry._late_reply_senders))


@pytest.fixture
def operator(client: Client, db: None) -> Client:
    """A browser in English, signed in as an operator who may do everything."""
    client.force_login(User.objects.create_superuser("operator"))
    client.cookies["django_language"] = "en"
    return client


# --- WeChat's platform: a fake on a port of this machine ---

APP_SECRET = "5d41402abc4b2a76b9719d911017c592"


@pytest.fixture
def shop(db: None) -> OfficialAccount:
    """An account of the site that can call the fake platform."""
    return make_account(name="Spruce Books", app_secret=APP_SECRET)


@pytest.fixture
def fake(settings: object) -> Iterator[FakeWeChatAPI]:
    """The fake platform, which the site under test calls."""
    fake = FakeWeChatAPI(random=Random(1))
    fake.add_account("wx3a9f0c27d81be645", APP_SECRET)
    with FakeWeChatAPIServer(fake) as server:
        settings.WECHAT_API_BASE = server.url  # type: ignore[attr-defined]
        yield fake
        client.close_wire()


@pytest.fixture
def at_wechat(fake: FakeWeChatAPI) -> FakeAccount:
    """The account `shop` on the fake platform."""
    return fake.account("wx3a9f0c27d81be645")


@pytest.fixture(scope="session")
def racers(django_db_setup: None) -> Iterator[Racers]:
    """Processes for tests of races; they end before the test database is removed."""
    with Racers() as racers:
        yield racers


@pytest.fixture(scope="session")
def empty_sqlite_file(
    django_db_setup: None,
    django_db_blocker: Any,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A database file with all tables and no rows, as the test database is between tests."""
    path = tmp_path_factory.mktemp("empty") / "empty.sqlite3"
    # pytest-django makes no test database if no test of the run needs one.
    is_made = connection.vendor == "sqlite" and connection.is_in_memory_db()  # type: ignore[attr-defined]
    if request.config.getoption("nomigrations") or not is_made:
        # The test database then has no triggers, or there is none in SQLite's memory.
        environment = {**os.environ, "DATABASE_URL": f"sqlite:///{path}"}
        command = [sys.executable, str(request.config.rootpath / "manage.py"), "migrate", "-v0"]
        subprocess.run(command, env=environment, check=True)
        return path
    with django_db_blocker.unblock(), closing(sqlite3.connect(path)) as file:
        connection.ensure_connection()
        connection.connection.backup(file)
        # Ids begin at 1 again, whatever earlier tests made.
        with file:
            file.execute("DELETE FROM sqlite_sequence")
    return path


@pytest.fixture
def race_database(request: pytest.FixtureRequest, transactional_db: None, tmp_path: Path) -> str:
    """The name of a database that the racers can open too: on SQLite, a file for this test."""
    if connection.vendor == "sqlite":
        empty = request.getfixturevalue("empty_sqlite_file")
        return str(shutil.copyfile(empty, tmp_path / "race.sqlite3"))
    return str(connection.settings_dict["NAME"])
