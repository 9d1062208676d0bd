"""Archives months of the log, verifies archives, or brings a month back."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from events.months import Month
from events.retention.archive import ArchiveError, archives, closed_months, ensure_archived, restore
from events.retention.partitions import alone


class Command(BaseCommand):
    help = (
        "Writes the months of the log that are over to files, one archive with a manifest each, "
        "where that was not done yet; or verifies such archives, or brings a month back."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--to", type=Path, metavar="FOLDER", help="instead of EVENT_ARCHIVE_DIR"
        )
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--month", metavar="YYYY-MM", help="this month only, over or not")
        what.add_argument("--restore", metavar="YYYY-MM", help="brings a month back")
        what.add_argument(
            "--verify", action="store_true", help="reads every archive and checks its digests"
        )
        parser.add_argument(
            "--keep-days",
            type=int,
            default=30,
            help="with --restore: how long retention leaves the month alone (30)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path | None = options["to"] or settings.EVENT_ARCHIVE_DIR
        if folder is None:
            raise CommandError("Say where: --to FOLDER, or EVENT_ARCHIVE_DIR.")
        try:
            if options["verify"]:
                self._verify(folder)
                return
            # An erasure at the same time would miss the file that is being written.
            with alone("retention") as granted:
                if not granted:
                    raise CommandError(
                        "Another process archives or removes months, or erases a person, at this "
                        "moment. Try again in a minute."
                    )
                if options["restore"]:
                    self._restore(_month(options["restore"]), folder, options["keep_days"])
                elif options["month"]:
                    self._archive([_month(options["month"])], folder)
                else:
                    self._archive(closed_months(timezone.now()), folder)
        except ArchiveError as error:
            raise CommandError(str(error)) from error

    def _archive(self, months: list[Month], folder: Path) -> None:
        for month in months:
            archive = ensure_archived(month, folder)
            self.stdout.write(f"{month}: {archive.rows} rows in {archive.file}")

    def _restore(self, month: Month, folder: Path, keep_days: int) -> None:
        until = timezone.now() + datetime.timedelta(days=keep_days)
        restored = restore(month, folder, keep_until=until)
        self.stdout.write(f"{month}: {restored} rows brought back, to stay until {until:%Y-%m-%d}")

    def _verify(self, folder: Path) -> None:
        broken = 0
        for archive in archives(folder):
            try:
                archive.verify()
            except ArchiveError as error:
                broken += 1
                self.stdout.write(f"{archive.month} part {archive.part}: {error}")
            else:
                self.stdout.write(
                    f"{archive.month} part {archive.part}: {archive.rows} rows, whole"
                )
        if broken:
            raise CommandError(f"{broken} archives are broken")


def _month(written: str) -> Month:
    try:
        return Month.parse(written)
    except ValueError as error:
        raise CommandError(str(error)) from error
