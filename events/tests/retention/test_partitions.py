"""The log's partitions: converting the plain table and back, months ahead, and stray rows."""

from __future__ import annotations

import datetime
import threading
import time
from importlib import import_module

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, connections, models, transaction
from django.utils import timezone

from events.models import EventLog, OfficialAccount
from events.months import Month
from events.retention import partitions as module
from events.retention.partitions import (
    DEFAULT_PARTITION,
    alone,
    make_partition,
    make_partitions_ahead,
    partitions,
    rows_in_default_partition,
)
from events.testing import make_account, message_xml, push

pytestmark = pytest.mark.django_db(transaction=True)

NOW = timezone.now()
THIS = Month.of(NOW)
AHEAD = [THIS.plus(number) for number in range(4)]


@pytest.fixture
def postgres():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no partitions")
    there = set(partitions())
    yield
    # The tables outlive a test, and another one begins with what the migration made.
    with connection.cursor() as cursor:
        for month, table in partitions().items():
            if month not in there:
                cursor.execute(f"DROP TABLE {table}")


def query(sql: str, *parameters: object) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def store(account: OfficialAccount, moment: datetime.datetime, key: str = "k") -> EventLog:
    return EventLog.objects.create(
        account=account,
        dedup_key=key,
        kind="text",
        event_time=moment,
        followed_at=moment - datetime.timedelta(days=400),
        received_at=NOW,
        last_delivered_at=NOW,
        raw=b"\x00\xff",
        status="processed",
        folded_at=NOW,
    )


def table_of(event: EventLog):
    found = query("SELECT tableoid::regclass::text FROM events_eventlog WHERE id = %s", event.pk)
    return found[0][0]


def no_partition(month: Month) -> None:
    query(f"DROP TABLE IF EXISTS {partitions().get(month, 'no_such_table')}")


# --- Months --------------------------------------------------------------------------------------


def test_a_month_is_one_of_utc():
    shanghai = datetime.timezone(datetime.timedelta(hours=8))
    assert Month.of(datetime.datetime(2026, 1, 1, 7, 59, tzinfo=shanghai)) == Month(2025, 12)
    assert Month(2025, 12).end == datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    assert (str(Month(987, 1)), Month.parse("2026-11").plus(-23)) == ("0987-01", Month(2024, 12))


@pytest.mark.parametrize("written", ["2026-13", "2026-1", "2026-00", "26-11", "2026-11-01", ""])
def test_what_is_no_month_is_refused(written):
    with pytest.raises(ValueError, match="not a month"):
        Month.parse(written)


def test_the_months_that_occur_are_found():
    account, other = make_account("one", mode="plaintext"), make_account("two", mode="plaintext")
    times = [Month(1973, 5).start, THIS.start, THIS.start + datetime.timedelta(hours=1)]
    for number, moment in enumerate(times):
        store(account, moment, str(number))
    store(other, THIS.plus(-1).end - datetime.timedelta(microseconds=1))
    assert sorted(set(EventLog.objects.months())) == [Month(1973, 5), THIS.plus(-1), THIS]


def test_nothing_is_done_on_sqlite():
    if connection.vendor == "postgresql":
        pytest.skip("this is PostgreSQL")
    assert (partitions(), make_partitions_ahead(), rows_in_default_partition()) == ({}, 0, 0)


# --- The migration -------------------------------------------------------------------------------


def migrate(*target: str) -> None:
    """To a migration of an app, or without one to the newest of all, as an engineer would."""
    call_command("migrate", *target, verbosity=0)


def definitions() -> dict[str, list]:
    """What the log's columns, constraints and indexes are, apart from how it is stored."""
    return {
        "columns": query(
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull, attidentity, "
            "pg_get_expr(adbin, adrelid) FROM pg_attribute LEFT JOIN pg_attrdef "
            "ON adrelid = attrelid AND adnum = attnum "
            "WHERE attrelid = 'events_eventlog'::regclass AND attnum > 0 AND NOT attisdropped "
            "ORDER BY attnum"
        ),
        "constraints": query(
            "SELECT conname, contype, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE conrelid = 'events_eventlog'::regclass AND contype <> 'p' ORDER BY conname"
        ),
        # PostgreSQL writes the casts of a condition in another way once it was read anew.
        "indexes": query(
            "SELECT regexp_replace(replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON '), "
            "'::(character varying|text)([[][]])?|[()]', '', 'g') FROM pg_index "
            "WHERE indrelid = 'events_eventlog'::regclass AND NOT indisprimary ORDER BY 1"
        ),
        "sequence": query("SELECT pg_get_serial_sequence('events_eventlog', 'id')"),
        "grants": query("SELECT relacl::text FROM pg_class WHERE relname = 'events_eventlog'"),
    }


def digest() -> list[tuple]:
    """Every column of every row."""
    return query(
        "SELECT count(*), md5(string_agg(md5(row::text), '' ORDER BY id)) "
        "FROM events_eventlog AS row"
    )


@pytest.fixture
def plain(postgres):
    """The table as migration 0001 made it; put back to the newest afterwards."""
    migrate("events", "0001_initial")
    yield
    migrate()


@pytest.mark.postgres
@pytest.mark.slow
def test_a_filled_table_is_converted_and_back_without_losing_anything(plain):
    query("SET CONSTRAINTS ALL IMMEDIATE")
    query("CREATE ROLE growth_reader")
    query("GRANT SELECT ON events_eventlog TO growth_reader")
    account = make_account(mode="plaintext")
    # Three a minute back to some seventy days ago, and some of 2099, 1973 and four years ago.
    query(
        "INSERT INTO events_eventlog (account_id, source, dedup_key, msg_type, event, kind, "
        "from_user, openid, event_time, received_at, last_delivered_at, delivery_count, raw, "
        "folded_at, status, attempts, error, reply, event_key, scene, ticket, msg_id) "
        "SELECT %s, 'callback', md5(n::text), 'text', '', 'text', 'o' || n %% 999, "
        "'o' || n %% 999, CASE n %% 1000 WHEN 1 THEN timestamptz '2099-05-05 00:00+00' "
        "WHEN 2 THEN timestamptz '1973-01-31 23:59:59.123456+00' "
        "WHEN 3 THEN now() - interval '4 years' ELSE now() - n * interval '1 minute' END, "
        "now(), now(), 1 + n %% 3, convert_to('<xml>' || n, 'UTF8'), now(), 'processed', 0, '', "
        "'', '', CASE n %% 5 WHEN 0 THEN 'poster' ELSE '' END, '', '' "
        "FROM generate_series(1, 100000) AS n",
        account.pk,
    )
    ((highest,),) = query("SELECT max(id) FROM events_eventlog")
    query("DELETE FROM events_eventlog WHERE id > %s", highest - 10)
    before, rows = definitions(), digest()
    assert rows[0][0] == 99990

    migrate("events", "0002_partition_log_by_month")
    assert digest() == rows
    assert definitions() == before
    assert [month for month in partitions() if month >= THIS] == AHEAD
    assert min(partitions()) == Month.of(NOW - datetime.timedelta(minutes=100000))
    assert rows_in_default_partition() == 300
    # Ids go on where they were, though the last ones are gone.
    next_id = "SELECT nextval(pg_get_serial_sequence('events_eventlog', 'id'))"
    assert query(next_id) == [(highest + 1,)]

    migrate("events", "0001_initial")
    assert partitions() == {}
    assert digest() == rows
    assert definitions() == before
    assert query(next_id) == [(highest + 2,)]
    query("REVOKE ALL ON events_eventlog FROM growth_reader")
    migrate()
    query("DROP ROLE growth_reader")
    assert EventLog.objects.count() == 99990


@pytest.mark.postgres
def test_an_empty_table_gets_this_month_and_the_next(plain):
    migrate("events", "0002_partition_log_by_month")
    assert list(partitions()) == AHEAD
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.postgres
def test_later_migrations_of_django_work_on_the_partitioned_table(postgres):
    account = make_account(mode="plaintext")
    here, stray = store(account, THIS.start), store(account, Month(1973, 1).start)
    index = models.Index(fields=["msg_id", "id"], name="event_msg_id_growth")
    field = models.CharField(max_length=10, default="x", db_default="x")
    field.set_attributes_from_name("extra")
    field.model = EventLog
    constraint = models.CheckConstraint(
        name="event_growth_kind", condition=~models.Q(kind="nonsense")
    )
    with connection.schema_editor() as editor:
        editor.add_index(EventLog, index)
        editor.add_field(EventLog, field)
        editor.add_constraint(EventLog, constraint)
    try:
        assert query("SELECT id, extra FROM events_eventlog ORDER BY id") == [
            (here.pk, "x"),
            (stray.pk, "x"),
        ]
        # A partition made after them has them too.
        no_partition(AHEAD[3])
        assert make_partition(AHEAD[3])
        (table,) = {partitions()[AHEAD[3]]}
        names = query("SELECT indexdef FROM pg_indexes WHERE tablename = %s", table)
        assert any("(msg_id, id)" in definition for (definition,) in names)
        assert query(
            "SELECT count(*) FROM pg_constraint WHERE conname = 'event_growth_kind' "
            "AND conrelid = %s::regclass",
            table,
        ) == [(1,)]
    finally:
        with connection.schema_editor() as editor:
            editor.remove_constraint(EventLog, constraint)
            editor.remove_field(EventLog, field)
            editor.remove_index(EventLog, index)


@pytest.mark.postgres
def test_the_conversion_takes_along_what_later_migrations_added(postgres):
    conversion = import_module("events.migrations.0002_partition_log_by_month")
    account = make_account(mode="plaintext")
    for month in (THIS, Month(1973, 1)):
        store(account, month.start)
    before, rows = definitions(), digest()
    with connection.schema_editor(atomic=True) as editor:
        conversion.unpartition(apps, editor)
    plain = (partitions(), definitions(), digest())
    with connection.schema_editor(atomic=True) as editor:
        conversion.partition(apps, editor)
    assert plain == ({}, before, rows)
    assert (definitions(), digest()) == (before, rows)
    assert set(AHEAD) <= set(partitions())
    assert EventLog.objects.filter(followed_at=None).count() == 0
    migrate()  # makes the triggers and views of the new table


@pytest.mark.postgres
def test_a_month_is_found_in_its_partition_and_no_other(postgres):
    with connection.cursor() as cursor:
        rows = EventLog.objects.in_month(THIS)
        cursor.execute(
            f"EXPLAIN {rows.query.sql_with_params()[0]}", rows.query.sql_with_params()[1]
        )
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert partitions()[THIS] in plan
    assert plan.count("events_eventlog_") == plan.count(partitions()[THIS])
    assert DEFAULT_PARTITION not in plan


# --- Months ahead --------------------------------------------------------------------------------


@pytest.mark.postgres
def test_missing_months_are_made_once(postgres):
    for month in AHEAD[1:3]:
        no_partition(month)
    assert make_partitions_ahead() == 2
    assert [month for month in partitions() if month >= THIS] == AHEAD
    assert make_partitions_ahead() == 0
    # Nothing of how it was done is left.
    left = query(
        "SELECT conname FROM pg_constraint WHERE conname LIKE 'without%%' "
        "OR conname = 'only_its_month'"
    )
    assert left == []


@pytest.mark.postgres
def test_a_push_of_this_month_lies_in_its_partition_and_odd_ones_in_the_default(postgres):
    account = make_account(mode="plaintext")
    assert push(account, message_xml("text", at=int(time.time()))).status_code == 200
    assert push(account, message_xml("text", at=100_000_000)).status_code == 200
    assert push(account, message_xml("text", at=4_070_908_800)).status_code == 200
    assert push(account, b"<xml>broken").status_code == 200
    tables = [table_of(event) for event in EventLog.objects.order_by("pk")]
    assert tables == [partitions()[THIS], *[DEFAULT_PARTITION] * 3]
    assert rows_in_default_partition() == 3


@pytest.mark.postgres
def test_the_metrics_say_how_many_rows_are_stray(postgres, client):
    store(make_account(mode="plaintext"), Month(2099, 1).start)
    assert b"wechat_log_default_partition_rows 1.0" in client.get("/metrics").content


@pytest.mark.postgres
@pytest.mark.parametrize("month", [Month(2099, 5), Month(1973, 1), AHEAD[2]])
def test_a_month_that_has_stray_rows_is_made_with_them(postgres, month):
    no_partition(month)
    account = make_account(mode="plaintext")
    inside = [month.start, month.end - datetime.timedelta(microseconds=1)]
    outside = [Month(2098, 1).start, Month(1973, 2).start]
    events = [store(account, moment, str(n)) for n, moment in enumerate(inside + outside)]
    before = digest()
    assert make_partition(month)
    assert digest() == before
    table = partitions()[month]
    assert [table_of(event) for event in events] == [table] * 2 + [DEFAULT_PARTITION] * 2
    # Their push is still recognised.
    again = EventLog(
        **{
            field.attname: getattr(events[0], field.attname)
            for field in EventLog._meta.concrete_fields
            if not field.primary_key
        }
    )
    assert EventLog.objects.deliver([again]) == [False]
    assert again.pk == events[0].pk
    query(f"DELETE FROM {table}")


@pytest.mark.postgres
def test_a_broken_off_making_is_finished_by_the_next(postgres):
    """A process that ends between the steps leaves a table and a constraint behind."""
    month = AHEAD[3]
    no_partition(month)
    with module.lock_limit():
        module._create(month)
        query(
            f"ALTER TABLE {DEFAULT_PARTITION} ADD CONSTRAINT "
            f"without_{month.year:04}_{month.month:02} CHECK (NOT ({module._within(month)})) "
            "NOT VALID"
        )
    assert month not in partitions()
    assert make_partitions_ahead() == 1
    assert month in partitions()
    assert query("SELECT conname FROM pg_constraint WHERE conname LIKE 'without%%'") == []


# --- Others at the same time ---------------------------------------------------------------------


def in_thread(work) -> tuple[threading.Thread, list]:
    results: list = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:
            results.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


@pytest.mark.postgres
def test_workers_that_race_make_each_month_once(postgres):
    for month in AHEAD:
        no_partition(month)
    racing = [in_thread(make_partitions_ahead) for _ in range(6)]
    for thread, _ in racing:
        thread.join()
    made = [results[0] for _, results in racing]
    assert sum(made) == 4
    assert [month for month in partitions() if month >= THIS] == AHEAD


def test_the_lease_is_held_by_one_and_given_back():
    with alone("something") as mine:
        assert mine
        thread, results = in_thread(lambda: alone("something").__enter__())
        thread.join()
        assert results == [False]
        thread, results = in_thread(lambda: alone("another").__enter__())
        thread.join()
        assert results == [True]
    with alone("something") as mine:
        assert mine


@pytest.mark.postgres
def test_somebody_at_the_stray_rows_puts_it_off_and_nobody_waits_long(postgres):
    month = Month(2099, 5)
    account = make_account(mode="plaintext")
    stray = store(account, month.start)
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            EventLog.objects.filter(pk=stray.pk).update(error="held")
            held.set()
            go_on.wait(timeout=300)

    holder, _ = in_thread(hold)
    assert held.wait(timeout=60)
    assert not make_partition(month)
    assert holder.is_alive()
    assert table_of(stray) == DEFAULT_PARTITION
    assert push(account, message_xml("text", at=int(time.time()))).status_code == 200
    go_on.set()
    holder.join()
    assert make_partition(month)
    assert table_of(stray) == partitions()[month]
    query(f"DELETE FROM {partitions()[month]}")


@pytest.mark.postgres
@pytest.mark.slow
def test_callbacks_go_on_while_months_are_made(postgres):
    account = make_account(mode="plaintext")
    for number in range(200):
        store(account, AHEAD[2].start + datetime.timedelta(seconds=number), str(number))
    stop, codes = threading.Event(), []

    def traffic() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            body = message_xml("event.CLICK", at=int(time.time()), EventKey=str(number))
            codes.append(push(account, body).status_code)

    thread, results = in_thread(traffic)
    for _ in range(3):
        for month in AHEAD[1:]:
            # Moved out, so that making the month has rows to move.
            table = partitions()[month]
            with transaction.atomic():
                query(f"ALTER TABLE events_eventlog DETACH PARTITION {table}")
                query(f"INSERT INTO events_eventlog SELECT * FROM {table}")
            query(f"DROP TABLE {table}")
            deadline = time.monotonic() + 120
            while not make_partition(month):
                assert time.monotonic() < deadline
                time.sleep(0.05)
    stop.set()
    thread.join()
    assert results == [None]
    # A push that waits too long for a lock is answered with 503.
    assert set(codes) == {200}
    assert EventLog.objects.count() == 200 + len(codes)
    assert EventLog.objects.in_month(AHEAD[2]).count() == 200
