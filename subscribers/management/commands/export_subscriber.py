"""The command `export_subscriber`: prints all that is known of one person."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from events.audit.record import record
from events.models import OfficialAccount
from subscribers.models import Subscriber
from subscribers.personal_data.collect import collect


class Command(BaseCommand):
    help = "Prints all that is known of one person, as JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's handle")
        parser.add_argument("openid")

    def handle(self, *args: Any, **options: Any) -> None:
        account = OfficialAccount.objects.filter(slug=options["account"]).first()
        if account is None:
            raise CommandError(f"There is no account {options['account']!r}.")
        said = collect(account, options["openid"])
        if not any(said[name] for name in said if isinstance(said[name], list)):
            raise CommandError(f"Nothing is known of {options['openid']!r} in this account.")
        subscriber = Subscriber.objects.filter(account=account, openid=options["openid"]).first()
        record("export", subscriber or Subscriber, account=account)
        self.stdout.write(json.dumps(said, ensure_ascii=False, indent=2))
