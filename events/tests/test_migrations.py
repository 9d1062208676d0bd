"""The log's migrations on a table that has rows. The one to partitions: test_partitions.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from events.models import EventLog, OfficialAccount
from events.testing import make_account

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = [("events", "0008_menu_versions")]


def migrate(targets: list[tuple[str, str]]) -> None:
    MigrationExecutor(connection).migrate(targets)


@pytest.fixture
def latest() -> Iterator[list[tuple[str, str]]]:
    latest = MigrationExecutor(connection).loader.graph.leaf_nodes()
    yield latest
    migrate(latest)


def store(account: OfficialAccount, key: str) -> EventLog:
    now = timezone.now()
    return EventLog.objects.create(
        account=account,
        dedup_key=key,
        kind="text",
        event_time=now,
        received_at=now,
        last_delivered_at=now,
        raw=b"<xml/>",
        status=EventLog.Status.PROCESSED,
        folded_at=now,
    )


def unique_keys() -> list[list[str]]:
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, EventLog._meta.db_table)
    keys = [constraint["columns"] for constraint in found.values() if constraint["unique"]]
    return [columns for columns in keys if "dedup_key" in columns]


def test_the_key_is_turned_round_and_no_id_is_given_twice(latest):
    account = make_account()
    for turn, (target, columns) in enumerate(
        [
            (BEFORE, ["account_id", "dedup_key", "event_time"]),
            (latest, ["account_id", "event_time", "dedup_key"]),
        ]
    ):
        kept = store(account, f"kept {turn}")
        removed = store(account, f"removed {turn}")
        last_id = removed.pk
        removed.delete()
        migrate(target)
        assert unique_keys() == [columns]
        assert EventLog.objects.latest("pk") == kept
        assert store(account, f"new {turn}").pk == last_id + 1


def test_an_empty_log_begins_with_the_next_id(latest):
    removed = store(make_account(), "removed")
    last_id = removed.pk
    removed.delete()
    migrate(BEFORE)
    migrate(latest)
    assert store(OfficialAccount.objects.get(), "new").pk == last_id + 1
