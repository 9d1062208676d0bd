from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from events.log.process import process, reopen
from events.models import EventLog


class Command(BaseCommand):
    help = (
        "Brings stored events to their outcome, once and at once: those with the given ids, the "
        "failed ones (given-up ones included), or the stuck ones, which nobody finished."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="*", type=int, help="ids of events")
        parser.add_argument(
            "--failed", action="store_true", help="all that failed or were given up"
        )
        parser.add_argument(
            "--stuck", action="store_true", help="all that were received, not finished"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not (options["ids"] or options["failed"] or options["stuck"]):
            raise CommandError("Say which: ids, --failed or --stuck.")
        wanted: set[EventLog] = set()
        if options["ids"]:
            chosen = EventLog.objects.filter(pk__in=options["ids"])
            known = set(chosen.only_key())
            for unknown in sorted(set(options["ids"]) - {event.pk for event in known}):
                self.stderr.write(f"There is no event {unknown}.")
            reopen(chosen)
            wanted |= known
        if options["failed"]:
            wanted |= set(reopen(EventLog.objects.all()))
        if options["stuck"]:
            stuck = EventLog.objects.filter(
                status=EventLog.Status.RECEIVED, next_attempt_at__lte=timezone.now()
            )
            wanted |= set(stuck.only_key())
        processed = failed = 0
        for key in sorted(wanted, key=lambda event: event.pk):
            event = process(key)
            if event is not None and event.status == EventLog.Status.PROCESSED:
                processed += 1
            else:
                failed += EventLog.objects.awaiting_outcome().with_key_of(key).exists()
        self.stdout.write(f"{processed} processed, {failed} failed again, {len(wanted)} looked at")
