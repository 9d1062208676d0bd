"""Processes chosen or failed events again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from events.audit.record import record
from events.callback.judge_again import judge, read_again
from events.log.process import process, reopen
from events.models import EventLog

_AT_ONCE = 500


class Command(BaseCommand):
    help = (
        "Brings stored events to their outcome, once and at once: those with the given ids, the "
        "failed ones (given-up ones included), the stuck ones, which nobody finished, or the "
        "unreadable ones, whose bodies are read anew."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="*", type=int, help="ids of events")
        parser.add_argument(
            "--failed", action="store_true", help="all that failed or were given up"
        )
        parser.add_argument(
            "--stuck", action="store_true", help="all that were received, not finished"
        )
        parser.add_argument(
            "--unreadable", action="store_true", help="all whose bodies could not be read"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not any(options[name] for name in ("ids", "failed", "stuck", "unreadable")):
            raise CommandError("Say which: ids, --failed, --stuck or --unreadable.")
        which = {name: options[name] for name in ("ids", "failed", "stuck", "unreadable")}
        record("try_again", EventLog, details={name: what for name, what in which.items() if what})
        if options["unreadable"]:
            self._read_again()
        wanted: set[EventLog] = set()
        if options["ids"]:
            chosen = EventLog.objects.filter(pk__in=options["ids"])
            known = set(chosen.only_key())
            for unknown in sorted(set(options["ids"]) - {event.pk for event in known}):
                self.stderr.write(f"There is no event {unknown}.")
            reopen(chosen)
            judge(chosen)
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
        if options["unreadable"] and not wanted:
            return
        self.stdout.write(f"{processed} processed, {failed} failed again, {len(wanted)} looked at")

    def _read_again(self) -> None:
        unreadable = EventLog.objects.with_status(EventLog.Status.UNREADABLE).order_by("id")
        looked_at = read = last = 0
        while keys := list(unreadable.filter(pk__gt=last).only_key()[:_AT_ONCE]):
            last = keys[-1].pk
            looked_at += len(keys)
            for event in filter(None, map(read_again, keys)):
                process(event)
                read += 1
        self.stdout.write(f"{read} read anew, {looked_at - read} still unreadable")
