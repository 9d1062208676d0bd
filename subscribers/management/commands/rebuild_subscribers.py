"""The command `rebuild_subscribers`: computes followers anew from the log, or compares."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from subscribers.state.rebuild import compare, rebuild


class Command(BaseCommand):
    help = "Computes every follower's state anew from the log; with --check, only compares."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="change nothing; list the differences and exit with 1 when there are any",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["check"]:
            self.stdout.write(f"{rebuild()} followers changed")
            return
        found = 0
        for difference in compare():
            self.stdout.write(str(difference))
            found += 1
        if found:
            raise CommandError(f"{found} differences between the followers and the log")
        self.stdout.write("The followers' state is what the log says.")
