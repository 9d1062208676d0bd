"""Takes over the replies of WeChat's console as a draft."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from events.answering.take_over import take_over
from events.models import OfficialAccount
from events.wechat.api import APIError


class Command(BaseCommand):
    help = (
        "Takes over the automatic replies that were set in WeChat's console, as a draft: they are "
        "reviewed and published under “Reply rules”. Run again, it adds what is new."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="handle of the account")

    def handle(self, *args: Any, **options: Any) -> None:
        account = OfficialAccount.objects.filter(slug=options["slug"]).first()
        if account is None:
            raise CommandError(f"There is no account {options['slug']!r}.")
        try:
            added = take_over(account)
        except APIError as error:
            raise CommandError(f"WeChat could not be asked: {error}") from error
        for rule in added:
            off = "" if rule.is_on else " (switched off: it has a mistake)"
            self.stdout.write(f"{rule.name}{off}")
        self.stdout.write(f"{len(added)} rules added to the draft.")
