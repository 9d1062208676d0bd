"""Brings a month back from its archives."""

from __future__ import annotations

import datetime
from pathlib import Path

from django.db import connection, transaction

from events.log.retention_hooks import announce_after_restoring, announce_before_restoring
from events.models import EventLog, OfficialAccount, PrunedMonth
from events.months import Month
from events.retention.archive.error import ArchiveError
from events.retention.archive.manifest import Archive, archives
from events.retention.archive.records import batched, event_of

__all__ = ["restore"]

_BATCH = 500


def restore(month: Month, folder: Path, *, keep_until: datetime.datetime | None = None) -> int:
    """Brings a month back from its archives, with the former ids; returns the number of rows.

    Rows that exist already stay as they are. Rows that this site removed before are marked as
    carried over, so that they count only once. Before it writes any row, it raises ArchiveError if
    a file does not match its manifest, a row's account does not exist here, or another event here
    has a row's id.
    """
    parts = [archive for archive in archives(folder) if archive.month == month]
    if not parts:
        raise ArchiveError(f"There is no archive of {month} in {folder}.")
    pruned, _ = PrunedMonth.objects.get_or_create(month=month.start.date())
    if pruned.is_under_way:
        raise ArchiveError(f"The removal of {month} is under way: run prune_events first.")
    for archive in parts:
        archive.verify()
        _check_rows(archive)
    # Set this before the rows exist, so that no worker removes them again.
    PrunedMonth.objects.filter(pk=pruned.pk).update(keep_until=keep_until)
    restored = 0
    for archive in parts:
        accounts = _local_accounts(archive)
        for records in batched(archive.records(), _BATCH):
            events = [
                event_of(record, accounts, was_removed=archive.part <= pruned.part)
                for record in records
            ]
            announce_before_restoring(events)
            restored += _insert(events, month)
    _advance_sequence()
    announce_after_restoring(EventLog.objects.in_month(month))
    return restored


def _local_accounts(archive: Archive) -> dict[int, int]:
    """Maps the archive's account ids to the ids of the accounts with the same handles here."""
    here = dict(OfficialAccount.objects.values_list("slug", "pk"))
    return {pk: here[slug] for pk, slug in archive.accounts.items() if slug in here}


def _check_rows(archive: Archive) -> None:
    """Raises ArchiveError if a row's account does not exist here, or another event has its id."""
    accounts = _local_accounts(archive)
    for records in batched(archive.records(), _BATCH):
        # The rows are read only to be checked, so it does not matter whether they were removed.
        _check_ids([event_of(record, accounts, was_removed=False) for record in records])


def _check_ids(events: list[EventLog]) -> None:
    times = {event.pk: event.event_time for event in events}
    taken = EventLog.objects.filter(pk__in=times).values_list("pk", "event_time")
    for pk, moment in taken:
        if moment != times[pk]:
            raise ArchiveError(f"The id {pk} belongs to another event here.")


def _insert(events: list[EventLog], month: Month) -> int:
    ids = [event.pk for event in events]
    with transaction.atomic():
        # An event may have taken an id since the check of the whole archive.
        _check_ids(events)
        before = EventLog.objects.in_month(month).filter(pk__in=ids).count()
        EventLog.objects.bulk_create(events, ignore_conflicts=True)
        return EventLog.objects.in_month(month).filter(pk__in=ids).count() - before


def _advance_sequence() -> None:
    """Makes new rows get ids above the restored ones, also in a database that never had them."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT setval(sequence, greatest(nextval(sequence), "
                "(SELECT max(id) FROM events_eventlog))) "
                "FROM CAST(pg_get_serial_sequence('events_eventlog', 'id') AS regclass) AS sequence"
            )
