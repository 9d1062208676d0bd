"""The log's partitions on PostgreSQL: one per month of event_time, and a default one for the rest.

A row goes into the partition of its month, or into the default partition when its month has none:
a date of 1970 or 2099, an import of years ago. Months are made ahead, so that rows of now never
have to go there. SQLite has one plain table, and nothing here does anything there.

What is done here takes its locks with a short timeout and gives up rather than let the callbacks
queue behind it; the worker tries again. PostgreSQL's manual on ATTACH PARTITION (ddl-partitioning,
sql-altertable) says which locks are needed and how a CHECK constraint saves reading a table.
"""

from __future__ import annotations

import datetime
import fcntl
import logging
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from events import metrics
from events.models import EventLog
from events.months import Month

__all__ = [
    "DEFAULT_PARTITION",
    "alone",
    "lock_limit",
    "make_partition",
    "make_partitions_ahead",
    "partitions",
    "rows_in_default_partition",
]

logger = logging.getLogger(__name__)

_LOG = EventLog._meta.db_table
DEFAULT_PARTITION = f"{_LOG}_default"
_NAME = re.compile(rf"{_LOG}_(\d{{4}})_(\d{{2}})")
# Enough for a worker that stands still for weeks.
_MONTHS_AHEAD = 3
# Advisory locks by two numbers are apart from those by one, which are ids of events
# (events/log/process.py). The first number stands for the log.
_LOCK_SPACE = 0x1093
# A callback waits two seconds for a lock, so this wait does no harm.
_LOCK_LIMIT_MS = 500
_MOST_COUNTED = 10_000


def partitions() -> dict[Month, str]:
    """The tables of the months that have a partition, oldest first."""
    if connection.vendor != "postgresql":
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
            "WHERE inhparent = %s::regclass",
            [_LOG],
        )
        names = [name for (name,) in cursor.fetchall()]
    found = {Month(int(m[1]), int(m[2])): m[0] for m in map(_NAME.fullmatch, names) if m}
    return dict(sorted(found.items()))


def make_partitions_ahead(now: datetime.datetime | None = None) -> int:
    """Makes the missing partitions of this month and the next ones; returns their number.

    What could not be made now is logged and left for the next time: its rows go to the default
    partition meanwhile, and are moved then.
    """
    if connection.vendor != "postgresql":
        return 0
    this = Month.of(now or timezone.now())
    there = partitions()
    wanted = [this.plus(number) for number in range(_MONTHS_AHEAD + 1)]
    return sum(make_partition(month) for month in wanted if month not in there)


def make_partition(month: Month) -> bool:
    """Makes a month's partition, with the rows of that month the default partition holds.

    Returns whether it was made: not if it exists, another process changes partitions, or the locks
    were held too long.
    """
    with alone("partitions") as mine:
        if not mine or month in partitions():
            return False
        try:
            if _default_holds(month):
                _attach_with_rows(month)
            else:
                _attach_empty(month)
        except DatabaseError as error:
            logger.warning("The partition of %s could not be made now: %s", month, error)
            return False
    logger.info("The log has a partition for %s", month)
    return True


def rows_in_default_partition() -> int:
    """How many rows lie in the default partition; counted to ten thousand and no further."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM (SELECT FROM {DEFAULT_PARTITION} LIMIT {_MOST_COUNTED}) AS rows"
        )
        return int(cursor.fetchone()[0])


@contextmanager
def alone(task: str) -> Iterator[bool]:
    """Whether this process has that task on the log for itself; the others get False.

    The lease ends with the connection, and so with the process if that is killed.
    """
    if connection.vendor != "postgresql":
        with _alone_on_this_machine(task) as granted:
            yield granted
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_LOCK_SPACE, task])
        (granted,) = cursor.fetchone()
    if not granted:
        yield False
        return
    try:
        yield True
    finally:
        if connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [_LOCK_SPACE, task])


# Of the threads of this process, by task.
_locks: dict[str, threading.Lock] = {}


@contextmanager
def _alone_on_this_machine(task: str) -> Iterator[bool]:
    """The same on SQLite, where a file beside the database is locked as long as the process lives.

    Transactions will not do: archives are files.
    """
    lock = _locks.setdefault(task, threading.Lock())
    if not lock.acquire(blocking=False):
        yield False
        return
    try:
        if connection.is_in_memory_db():  # type: ignore[attr-defined]
            yield True
            return
        with Path(f"{connection.settings_dict['NAME']}.{task}.lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                granted = False
            else:
                granted = True
            yield granted
    finally:
        lock.release()


@contextmanager
def lock_limit(milliseconds: int = _LOCK_LIMIT_MS) -> Iterator[None]:
    """A transaction, or a savepoint in one, that waits no longer than this for a lock.

    Raises OperationalError when it would have to; what it had locked is free again by then.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{milliseconds}ms"])
        yield


def _table(month: Month) -> str:
    return f"{_LOG}_{month.year:04}_{month.month:02}"


def _default_holds(month: Month) -> bool:
    # Account by account, since there is no index on event_time alone.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM events_officialaccount AS account WHERE EXISTS ("
            f"SELECT FROM {DEFAULT_PARTITION} WHERE account_id = account.id "
            "AND event_time >= %s AND event_time < %s))",
            [month.start, month.end],
        )
        return bool(cursor.fetchone()[0])


def _within(month: Month) -> str:
    """A condition that holds in the month. Definitions take no parameters, so it has them in it."""
    return f"event_time >= '{month.start.isoformat()}' AND event_time < '{month.end.isoformat()}'"


def _create(month: Month) -> None:
    # CREATE TABLE … PARTITION OF would lock the whole log; a table made by itself and attached
    # does not. The identity is the parent's.
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE IF NOT EXISTS {_table(month)} "
            f"(LIKE {_LOG} INCLUDING ALL EXCLUDING IDENTITY, "
            f"CONSTRAINT only_its_month CHECK ({_within(month)}))"
        )


def _attach(month: Month) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"ALTER TABLE {_LOG} ATTACH PARTITION {_table(month)} "
            f"FOR VALUES FROM ('{month.start.isoformat()}') TO ('{month.end.isoformat()}')"
        )
        cursor.execute(f"ALTER TABLE {_table(month)} DROP CONSTRAINT only_its_month")


def _attach_empty(month: Month) -> None:
    """Attaches a month of which the default partition holds no row, however many it holds.

    PostgreSQL makes sure of that by reading the default partition with everybody locked out, unless
    a constraint says so already; validating one locks out nobody. Until the month is attached a
    stray row of it is refused, and WeChat pushes it again five seconds later.
    """
    constraint = f"without_{month.year:04}_{month.month:02}"
    with lock_limit():
        _create(month)
        _forget(constraint)
        with connection.cursor() as cursor:
            cursor.execute(
                f"ALTER TABLE {DEFAULT_PARTITION} ADD CONSTRAINT {constraint} "
                f"CHECK (NOT ({_within(month)})) NOT VALID"
            )
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {DEFAULT_PARTITION} VALIDATE CONSTRAINT {constraint}")
        with lock_limit():
            _attach(month)
            _forget(constraint)
    except DatabaseError:
        with lock_limit(10 * _LOCK_LIMIT_MS):
            _forget(constraint)
        raise


def _forget(constraint: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {DEFAULT_PARTITION} DROP CONSTRAINT IF EXISTS {constraint}")


def _attach_with_rows(month: Month) -> None:
    """Moves a month's rows out of the default partition and attaches them, in one transaction.

    Every user of the default partition waits for it, so it ends after two seconds at most.
    """
    with lock_limit():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', '2s', true)")
            # In the order in which all others take these locks.
            cursor.execute(f"LOCK TABLE ONLY {_LOG} IN SHARE UPDATE EXCLUSIVE MODE")
            cursor.execute(f"LOCK TABLE {DEFAULT_PARTITION} IN ACCESS EXCLUSIVE MODE")
            _create(month)
            cursor.execute(
                f"WITH moved AS (DELETE FROM {DEFAULT_PARTITION} WHERE {_within(month)} "
                f"RETURNING *) INSERT INTO {_table(month)} SELECT * FROM moved"
            )
            moved = cursor.rowcount
        _attach(month)
    logger.info("%s rows of %s left the default partition", moved, month)


class _StrayRows(Collector):
    def collect(self) -> Iterable[Metric]:
        try:
            rows: float = rows_in_default_partition()
        except Exception:
            # A reader of the metrics gets the other ones even if the database is away.
            rows = float("nan")
        yield GaugeMetricFamily(
            "wechat_log_default_partition_rows",
            "Rows of the log outside the months' partitions, counted to 10000; NaN if not known",
            value=rows,
        )


metrics.FROM_DATABASE.register(_StrayRows())
