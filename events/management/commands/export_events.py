"""Writes the log as Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from events.months import Month


class Command(BaseCommand):
    help = (
        "Writes the log as Parquet, one file for each month (events-2026-11.parquet), which DuckDB "
        "and pandas read as they are. Needs the extra [parquet]."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", type=Path, required=True, metavar="FOLDER")
        parser.add_argument(
            "--month",
            action="append",
            metavar="YYYY-MM",
            help="this month only; may be given several times",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            from events.api.files.parquet import months_in_log, write_month
        except ImportError as error:
            raise CommandError("This needs pyarrow: pip install 'wechat-site[parquet]'") from error
        chosen = options["month"]
        try:
            months = [Month.parse(each) for each in chosen] if chosen else months_in_log()
        except ValueError:
            raise CommandError("A month is written like 2026-11.") from None
        folder: Path = options["to"]
        folder.mkdir(parents=True, exist_ok=True)
        for month in months:
            path, rows = write_month(month, folder)
            self.stdout.write(f"{path}: {rows} events")
