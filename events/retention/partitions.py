"""Makes the log's partitions on PostgreSQL: one per month of event_time, and a default one.

A row goes into the partition of its month. If its month has none, it goes into the default
partition: for example a row dated 1970 or 2099, or imported from years ago. The worker makes months
ahead, so that present rows never go there. SQLite has one plain table, and this module does nothing
there.

All functions take locks with a short timeout and give up, so that callbacks do not queue behind
them; the worker tries again. PostgreSQL's manual on ATTACH PARTITION (ddl-partitioning,
sql-altertable) says which locks are needed, and how a CHECK constraint saves reading a table.
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
# Enough even if no worker runs for weeks.
_MONTHS_AHEAD = 3
# The first number of this module's advisory locks, which stands for the log.
_LOCK_SPACE = 0x1093
# A callback waits two seconds for a lock, so this wait does no harm.
_LOCK_LIMIT_MS = 500
_MOST_COUNTED = 10_000


def partitions() -> dict[Month, str]:
    """Returns the partitions' months and tables, oldest first."""
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

    It logs a partition that it cannot make now, and the next run tries again. Meanwhile the month's
    rows go to the default partition; the next run moves them.
    """
    if connection.vendor != "postgresql":
        return 0
    this = Month.of(now or timezone.now())
    there = partitions()
    wanted = [this.plus(number) for number in range(_MONTHS_AHEAD + 1)]
    return sum(make_partition(month) for month in wanted if month not in there)


def make_partition(month: Month) -> bool:
    """Makes a month's partition, and moves the month's rows there from the default partition.

    Returns whether it was made. It is not made if it exists, if another process changes partitions,
    or if others hold the locks too long.
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
    """Returns how many rows the default partition holds, at most ten thousand."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM (SELECT FROM {DEFAULT_PARTITION} LIMIT {_MOST_COUNTED}) AS rows"
        )
        return int(cursor.fetchone()[0])


@contextmanager
def alone(task: str) -> Iterator[bool]:
    """Yields whether this process got the task's lock on the log, which it holds in the block.

    The lock ends with the connection, and so with the process if it is killed.
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


# Locks between the threads of this process, by task.
_locks: dict[str, threading.Lock] = {}


@contextmanager
def _alone_on_this_machine(task: str) -> Iterator[bool]:
    """Does the same on SQLite, by a lock on a file beside the database.

    The lock ends with the process. A transaction is not enough, because archives are files.
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
    """A transaction or savepoint that raises OperationalError if a lock takes longer than this.

    When it has raised, its own locks are free again.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{milliseconds}ms"])
        yield


def _table(month: Month) -> str:
    return f"{_LOG}_{month.year:04}_{month.month:02}"


def _default_holds(month: Month) -> bool:
    # Account by account, by the index that begins with account and event_time.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM events_officialaccount AS account WHERE EXISTS ("
            f"SELECT FROM {DEFAULT_PARTITION} WHERE account_id = account.id "
            "AND event_time >= %s AND event_time < %s))",
            [month.start, month.end],
        )
        return bool(cursor.fetchone()[0])


def _within(month: Month) -> str:
    """SQL for the month's rows, with the times in it, because definitions take no parameters."""
    return f"event_time >= '{month.start.isoformat()}' AND event_time < '{month.end.isoformat()}'"


def _create(month: Month) -> None:
    # CREATE TABLE … PARTITION OF would lock the whole log. Making a table and attaching it does
    # not. The ids come from the identity column of the log itself.
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
    """Attaches a month of which the default partition holds no row.

    PostgreSQL checks that by reading the whole default partition, and locks all others out
    meanwhile. It skips the check if a constraint on that partition excludes the month, and
    validating a constraint locks nobody out. While the constraint holds and the month is not yet
    attached, PostgreSQL refuses a row of the month; WeChat pushes it again five seconds later.
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
    """Moves a month's rows from the default partition to the month's, in one transaction.

    All others that use the default partition wait meanwhile, so it ends after at most two seconds.
    """
    with lock_limit():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', '2s', true)")
            # Take the locks in the same order as everybody else, against deadlocks.
            cursor.execute(f"LOCK TABLE ONLY {_LOG} IN SHARE UPDATE EXCLUSIVE MODE")
            cursor.execute(f"LOCK TABLE {DEFAULT_PARTITION} IN ACCESS EXCLUSIVE MODE")
            _create(month)
            cursor.execute(
                f"WITH moved AS (DELETE FROM {DEFAULT_PARTITION} WHERE {_within(month)} "
                f"RETURNING *) INSERT INTO {_table(month)} SELECT * FROM moved"
            )
            moved = cursor.rowcount
        _attach(month)
    logger.info("%s rows of %s were moved out of the default partition", moved, month)


class _StrayRows(Collector):
    def collect(self) -> Iterable[Metric]:
        try:
            rows: float = rows_in_default_partition()
        except Exception:
            # Readers must get the other metrics even if the database is away.
            rows = float("nan")
        yield GaugeMetricFamily(
            "wechat_log_default_partition_rows",
            "Rows of the log outside the months' partitions, counted to 10000; NaN if not known",
            value=rows,
        )


metrics.FROM_DATABASE.register(_StrayRows())
