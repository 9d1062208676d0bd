"""The one statement on PostgreSQL stores and folds exactly what the general way does."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.db.models import Model
from hypothesis import given, settings
from hypothesis import strategies as st

from events.callback.build_event import build_event
from events.db import writer_connection
from events.log import process
from events.log.process import deliver
from events.models import EventLog, RuleHit
from events.testing import make_account, make_rule, message_xml
from subscribers.models import SeenScene, Subscriber, seen_scene

pytestmark = pytest.mark.postgres

START = 1767226105
NOW = datetime.datetime.fromtimestamp(START + 3600, datetime.UTC)
# What the database or another clock says, not the push.
_NOT_COMPARED = {"updated_at", "refresh_requested_at"}

openids = st.sampled_from(["oA", "ob", "o-C"])
seconds = st.integers(START, START + 5)
texts = st.sampled_from(["您好", "]]>", "a\\u0000b", "'\"\\", "{}", " 😀\n", "解绑", ""])
scenes = st.sampled_from(["", "qrscene_123", "qrscene_shop", "qrscene_bind_x", "last_trade_no_1"])


def _body(kind: str, openid: str, at: int, key: str) -> bytes:
    fields: dict[str, str | int]
    match kind:
        case "event.SCAN":
            fields = {"EventKey": key.removeprefix("qrscene_"), "Ticket": "gQ"}
        case "text":
            fields = {"MsgId": at, "Content": key}
        case "event.CLICK":
            fields = {"EventKey": key.removeprefix("qrscene_")}
        case "broken":
            return key.encode()
        case _:
            fields = {"EventKey": key}
    return message_xml(kind, openid=openid, at=at, **fields)


_KINDS = ["event.subscribe", "event.unsubscribe", "event.SCAN", "event.CLICK", "text", "broken"]
pushes = st.builds(_body, st.sampled_from(_KINDS), openids, seconds, scenes | texts)
batches = st.lists(st.lists(pushes, min_size=1, max_size=6), min_size=1, max_size=5)


def rows_of(model: type[Model]) -> list[dict[str, object]]:
    names = [
        field.attname
        for field in model._meta.concrete_fields
        if not field.primary_key and field.attname not in _NOT_COMPARED
    ]
    rows = [
        {name: bytes(v) if isinstance(v, memoryview) else v for name, v in row.items()}
        for row in model._default_manager.values(*names)
    ]
    return sorted(rows, key=str)


def what_is_left(account, history, monkeypatch, *, way) -> tuple[object, ...]:
    """What these batches lead to: which pushes were new, the rows, and those that a rule answered.

    Nothing stays in the database.
    """
    monkeypatch.setattr(process, "store_if_usual", way)
    monkeypatch.setattr(seen_scene, "_known", {})
    new = []
    with transaction.atomic():
        for batch in history:
            events = [build_event(account, body, NOW) for body in batch]
            new.append(deliver(events))
            assert all(EventLog.objects.filter(pk=event.pk).exists() for event in events)
        rows = [rows_of(model) for model in (EventLog, Subscriber, SeenScene)]
        times = RuleHit.objects.values_list("event_time", "rule_id")
        rows.append(sorted(times))
        transaction.set_rollback(True)
    return new, *rows


@pytest.mark.django_db
def test_both_ways_leave_the_same_rows(monkeypatch):
    account = make_account(mode="plaintext")
    make_rule(account, "text", "您好", "您好！")
    make_rule(account, "event.click", "123", "好")
    by_statement = process.store_if_usual
    used = []

    def counted(events):
        are_new = by_statement(events)
        used.append(are_new is not None)
        return are_new

    @settings(max_examples=60, deadline=None)
    @given(batches)
    def same(history):
        general = what_is_left(account, history, monkeypatch, way=lambda events: None)
        assert what_is_left(account, history, monkeypatch, way=counted) == general

    same()
    assert used.count(True) > 10


@pytest.fixture
def one_follow(transactional_db: None) -> Iterator[EventLog]:
    account = make_account(mode="plaintext")
    yield build_event(account, message_xml(openid="oA", at=START), NOW)
    writer_connection.close()


def backend() -> int:
    """The server process of the writer's own connection."""
    driver = writer_connection._writer._driver
    assert driver is not None
    return int(driver.info.backend_pid)


@pytest.mark.slow
def test_the_writer_comes_back_after_the_server_ended_its_connection(one_follow):
    assert deliver([one_follow]) == [True]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [backend()])
    assert deliver([one_follow]) == [False]
    assert EventLog.objects.get().delivery_count == 2
    assert Subscriber.objects.get().follow_count == 1


@pytest.mark.slow
def test_behind_a_pooler_of_transactions_nothing_is_prepared(one_follow, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    assert deliver([one_follow]) == [True]
    assert writer_connection._writer._driver is None
    assert Subscriber.objects.get().follow_count == 1


@pytest.mark.slow
def test_a_lock_ends_the_wait_and_stores_nothing(one_follow, monkeypatch):
    monkeypatch.setattr(writer_connection, "_LIMITS", "-c lock_timeout=50")
    assert deliver([one_follow]) == [True]
    with transaction.atomic():
        EventLog.objects.select_for_update().get()
        with ThreadPoolExecutor(1) as thread:
            with pytest.raises(OperationalError):
                thread.submit(deliver, [one_follow]).result()
            thread.submit(connections.close_all).result()
    assert EventLog.objects.get().delivery_count == 1


@pytest.mark.slow
def test_a_push_whose_follower_is_locked_is_stored_and_left_to_the_worker(one_follow, monkeypatch):
    monkeypatch.setattr(writer_connection, "_LIMITS", "-c lock_timeout=50")
    assert deliver([one_follow]) == [True]
    later = build_event(one_follow.account, message_xml(openid="oA", at=START + 1), NOW)
    with transaction.atomic():
        Subscriber.objects.select_for_update().get()
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(deliver, [later]).result() == [True]
            thread.submit(connections.close_all).result()
    row = EventLog.objects.get(event_time=later.event_time)
    assert row.folded_at is None
    process.process(row)
    assert Subscriber.objects.get().follow_count == 2
