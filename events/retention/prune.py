"""Removes events that are older than EVENT_RETENTION_DAYS, a whole month at a time.

A month is removed when all of it lies before the retention limit. If EVENT_ARCHIVE_DIR is set, the
rows are archived first (events/retention/archive/). Then one transaction runs the hooks of
events/log/retention_hooks.py, which carry the rows' contents over, and removes the rows. A month
stays in the log while rows of it await an outcome.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Iterator

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

from events.log.retention_hooks import announce_removal
from events.log.settled import Unsettled, settled_upper_bound
from events.models import EventLog, OfficialAccount, PrunedMonth
from events.models.event_log import EventLogQuerySet
from events.months import Month
from events.retention.archive import Archive, ArchiveError, batched, ensure_archived, find
from events.retention.partitions import alone, lock_limit, partitions

__all__ = ["Postponed", "months_due", "prune", "remove_month", "retention_limit"]

logger = logging.getLogger(__name__)

_BATCH = 500
_LOG = EventLog._meta.db_table
# The beginning of the name of a detached partition, until it is dropped.
_REMOVED = f"{_LOG}_removed"
# Callbacks queue behind a process that waits for a lock on the whole log. They wait two seconds, so
# each attempt is much shorter.
_DETACH_LOCK_LIMIT_MS = 250
_DETACH_ATTEMPTS = 20
_DETACH_PAUSE = 0.5
# The event_time of these rows is missing or may be false, so their received_at counts.
_UNDATED = (EventLog.Status.UNREADABLE, EventLog.Status.QUARANTINED)


class Postponed(Exception):
    """A month must stay for now; the text gives the reason."""


def retention_limit(now: datetime.datetime) -> datetime.datetime | None:
    """Returns the time before which events are removed: the first of a month. None keeps all."""
    if settings.EVENT_RETENTION_DAYS is None:
        return None
    horizon = now - datetime.timedelta(days=settings.EVENT_RETENTION_DAYS)
    return Month.of(horizon).start


def prune(
    now: datetime.datetime | None = None, *, report: Callable[[str], None] = logger.info
) -> int:
    """Removes events past retention; returns the number of rows.

    It logs a month that has to stay, and the next run tries again. One process does this at a time;
    others return at once.
    """
    now = now or timezone.now()
    limit = retention_limit(now)
    if limit is None:
        return 0
    with alone("retention") as mine:
        if not mine:
            report("Another process is removing rows.")
            return 0
        removed = 0
        for month in months_due(limit, now=now):
            try:
                rows = remove_month(month, received_before=limit, now=now)
            except (Postponed, ArchiveError) as reason:
                logger.warning("%s stays in the log for now: %s", month, reason)
                continue
            report(f"{month}: {rows} rows removed")
            removed += rows
        _drop_detached()
        return removed


def months_due(limit: datetime.datetime, *, now: datetime.datetime) -> list[Month]:
    """Returns the months that have rows to remove, oldest first."""
    found = {month for month in partitions() if month.end <= limit}
    dated = EventLog.objects.filter(event_time__lt=limit).exclude(
        status__in=_UNDATED, received_at__gte=limit
    )
    ahead = (
        EventLog.objects.filter(status__in=_UNDATED, received_at__lt=limit, event_time__gt=now)
        .exclude(status=EventLog.Status.PROCESSED)
        .values_list("event_time", flat=True)
    )
    return sorted(found | set(dated.months()) | {Month.of(moment) for moment in ahead})


def remove_month(
    month: Month,
    *,
    received_before: datetime.datetime | None = None,
    now: datetime.datetime | None = None,
) -> int:
    """Removes a month's rows, after archiving them if that is set; returns how many.

    If the month has no partition, rows without a reliable date are removed only if they were
    received before `received_before`. Raises Postponed if the month has to stay for now,
    ArchiveError if it cannot be archived.
    """
    now = now or timezone.now()
    rows = EventLog.objects.in_month(month)
    pruned = PrunedMonth.objects.filter(month=month.start.date()).first()
    if pruned and pruned.keep_until and pruned.keep_until > now:
        raise Postponed(f"it was brought back, to be kept until {pruned.keep_until:%Y-%m-%d}")
    waiting = _awaiting(rows).count()
    if waiting:
        raise Postponed(f"{waiting} of its rows still await an outcome")
    table = partitions().get(month)
    if table is not None:
        try:
            settled = settled_upper_bound()
        except Unsettled:
            raise Postponed("a transaction has been writing to the log for too long") from None
        archive = _archived(month) if rows.exists() else None
        return _remove_partition(month, table, settled, archive, now)
    if received_before is not None:
        rows = rows.exclude(status__in=_UNDATED, received_at__gte=received_before)
    if pruned and pruned.is_under_way:
        return _continue_removal(month, pruned, rows, now)
    if not rows.exists():
        return 0
    archive = _archived(month)
    return _remove_rows(_note_beginning(month, archive, rows=0, now=now), rows, archive, now)


def _archived(month: Month) -> Archive | None:
    folder = settings.EVENT_ARCHIVE_DIR
    return None if folder is None else ensure_archived(month, folder)


def _note_beginning(
    month: Month, archive: Archive | None, *, rows: int, now: datetime.datetime
) -> PrunedMonth:
    """Records that the removal of one more part of this month has begun."""
    pruned, _ = PrunedMonth.objects.get_or_create(month=month.start.date())
    pruned.part += 1
    pruned.is_archived = archive is not None
    pruned.rows += rows
    pruned.began_at, pruned.finished_at, pruned.keep_until = now, None, None
    pruned.save()
    return pruned


def _awaiting(rows: EventLogQuerySet) -> EventLogQuerySet:
    # SQLite needs the index's condition in the query too.
    return rows.awaiting_outcome().exclude(status=EventLog.Status.PROCESSED)


# --- Partitions ----------------------------------------------------------------------------------


def _remove_partition(
    month: Month, table: str, settled: int, archive: Archive | None, now: datetime.datetime
) -> int:
    """Runs the retention hooks on the month and detaches it, in one transaction.

    While the hooks read, others may write to the month. After the detaching nobody can. Then this
    function checks for writes since the beginning: rows above the settled id, newly folded rows,
    rows that await an outcome. If there are any, it rolls the transaction back, and the month stays
    for now.
    """
    rows = EventLog.objects.in_month(month)
    with transaction.atomic():
        unfolded = rows.filter(folded_at=None).exclude(status=EventLog.Status.PROCESSED).count()
        count = rows.count() if archive is None else archive.rows
        announce_removal(rows)
        pruned = _note_beginning(month, archive, rows=count, now=now)
        PrunedMonth.objects.filter(pk=pruned.pk).update(finished_at=now)
        with connection.cursor() as cursor:
            # Check the hooks' writes now, not at the end, when this transaction locks the log.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for _ in range(_DETACH_ATTEMPTS):
            try:
                with lock_limit(_DETACH_LOCK_LIMIT_MS):
                    _detach(month, table, settled, unfolded)
                break
            except OperationalError:
                # The savepoint has freed its locks, so callbacks go on during this pause.
                time.sleep(_DETACH_PAUSE)
        else:
            raise Postponed("the log is too busy to detach it")
    _drop_detached()
    return count


def _detach(month: Month, table: str, settled: int, unfolded: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {_LOG} DETACH PARTITION {table}")
        cursor.execute(
            f"SELECT EXISTS (SELECT FROM {table} WHERE id > %s), "
            f"(SELECT count(*) FROM {table} WHERE folded_at IS NULL AND status <> 'processed'), "
            f"EXISTS (SELECT FROM {table} WHERE status IN ('received', 'failed'))",
            [settled],
        )
        if cursor.fetchone() != (False, unfolded, False):
            raise Postponed("rows of it arrived or were processed meanwhile")
        cursor.execute(
            f"ALTER TABLE {table} RENAME TO {_REMOVED}_{month.year:04}_{month.month:02}_{settled}"
        )


def _drop_detached() -> None:
    """Drops detached partitions; a later run drops those that are locked now.

    Their contents are carried over, so they may stay for a while. The transaction that detaches
    does not drop, because dropping a table with a foreign key also locks the accounts.
    """
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE %s "
            "AND pg_table_is_visible(oid)",
            [_REMOVED.replace("_", r"\_") + r"\_%"],
        )
        for (name,) in cursor.fetchall():
            try:
                with lock_limit(_DETACH_LOCK_LIMIT_MS):
                    cursor.execute(f"DROP TABLE {name}")
            except OperationalError as error:
                logger.warning("%s is detached and will be dropped later: %s", name, error)


# --- Batches -------------------------------------------------------------------------------------


def _continue_removal(
    month: Month, pruned: PrunedMonth, rows: EventLogQuerySet, now: datetime.datetime
) -> int:
    """Continues a removal whose process was stopped."""
    folder = settings.EVENT_ARCHIVE_DIR
    if folder is None:
        return _remove_rows(pruned, rows, None, now)
    # A removal that began without an archive ends here: the remaining rows are the next part, and
    # get an archive.
    archive = find(month, folder, part=pruned.part) if pruned.is_archived else None
    if pruned.is_archived and archive is None:
        raise ArchiveError(f"part {pruned.part} of {month} is not in {folder}")
    if archive is None:
        return _remove_rows(pruned, rows.none(), None, now)
    archive.verify()
    return _remove_rows(pruned, rows, archive, now)


def _remove_rows(
    pruned: PrunedMonth, rows: EventLogQuerySet, archive: Archive | None, now: datetime.datetime
) -> int:
    """Removes these rows; with an archive, only those that it contains."""
    removed = 0
    for ids in batched(_ids(rows) if archive is None else archive.ids(), _BATCH):
        with transaction.atomic():
            removed += _remove_batch(rows.filter(pk__in=ids))
    PrunedMonth.objects.filter(pk=pruned.pk).update(rows=F("rows") + removed, finished_at=now)
    return removed


def _remove_batch(rows: EventLogQuerySet) -> int:
    # Lock the rows, so that nobody processes them from here on.
    states = rows.select_for_update().values_list("pk", "status")
    awaiting = {EventLog.Status.RECEIVED, EventLog.Status.FAILED}
    going = rows.filter(pk__in=[pk for pk, status in states if status not in awaiting])
    announce_removal(going)
    deleted, _ = going.delete()
    return deleted


def _ids(rows: EventLogQuerySet) -> Iterator[int]:
    """Yields the ids of rows page by page, because the caller removes rows meanwhile."""
    for account in OfficialAccount.objects.values_list("pk", flat=True):
        ordered = rows.filter(account=account).order_by("event_time", "pk")
        page = list(ordered.values_list("event_time", "pk")[:_BATCH])
        while page:
            yield from (pk for _, pk in page)
            moment, last = page[-1]
            later = ordered.filter(event_time__gte=moment).exclude(event_time=moment, pk__lte=last)
            page = list(later.values_list("event_time", "pk")[:_BATCH])
