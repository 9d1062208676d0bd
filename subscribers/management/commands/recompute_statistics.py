"""The command `recompute_statistics`: counts months anew from the log."""

from __future__ import annotations

import argparse
import datetime
import math
from collections.abc import Iterator
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from events.models import OfficialAccount
from events.stats.counting.rebuild import Difference, follow_time_zones, rebuild
from events.stats.counting.roll_up import roll_up
from events.stats.periods import day_start
from subscribers.stats.counting.recount import recount_followers

_DAY = datetime.timedelta(days=1)
_MOMENT = datetime.timedelta(microseconds=1)


class Command(BaseCommand):
    help = "Counts the months that have these days anew from the log, and says what changed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", dest="first", type=_day, required=True, metavar="2026-11-01")
        parser.add_argument("--to", dest="last", type=_day, required=True, metavar="2026-11-30")
        parser.add_argument("--account", help="the handle of one account; all by default")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["last"] < options["first"]:
            raise CommandError("--to is before --from.")
        accounts = OfficialAccount.objects.order_by("slug")
        if options["account"]:
            accounts = accounts.filter(slug=options["account"])
            if not accounts:
                raise CommandError(f"There is no account {options['account']!r}.")
        follow_time_zones()
        roll_up(until=math.inf)
        changed = 0
        for account in accounts:
            for difference in _recompute(account, options["first"], options["last"]):
                changed += 1
                self.stdout.write(f"{account.slug}: {difference}")
        self.stdout.write(f"{changed} numbers changed.")


def _recompute(
    account: OfficialAccount, first: datetime.date, last: datetime.date
) -> Iterator[Difference]:
    begin, end = day_start(first, account.zone), day_start(last + _DAY, account.zone) - _MOMENT
    yield from rebuild(account.pk, begin, end)
    yield from recount_followers(account.pk, begin, end)


def _day(written: str) -> datetime.date:
    try:
        day = datetime.date.fromisoformat(written)
        day + _DAY  # the last day of the calendar has no next day, so it raises OverflowError
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{written!r} is not a day like 2026-11-01") from None
    return day
