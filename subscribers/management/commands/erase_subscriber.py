"""The command `erase_subscriber`: erases one person and prints the receipt."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from events.models import OfficialAccount
from events.retention.archive import ArchiveError
from subscribers.models import Erasure
from subscribers.personal_data.collect import collect
from subscribers.personal_data.erase import ArchivesBusy, erase, receipt
from subscribers.personal_data.requests import request_erasure


class Command(BaseCommand):
    help = (
        "Erases one person: profile, texts, messages, bindings; the OpenID becomes a pseudonym, "
        "and every count stays. Prints the receipt."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's handle")
        parser.add_argument("openid")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        account = OfficialAccount.objects.filter(slug=options["account"]).first()
        if account is None:
            raise CommandError(f"There is no account {options['account']!r}.")
        openid = options["openid"]
        known = {
            name: len(rows)
            for name, rows in collect(account, openid).items()
            if isinstance(rows, list) and rows
        }
        if not known:
            raise CommandError(f"Nothing is known of {openid!r} in this account.")
        if not options["yes"]:
            listed = ", ".join(f"{number} {name}" for name, number in known.items())
            self.stdout.write(f"To be erased for ever: {listed}.")
            if input("Type the OpenID to go on: ").strip() != openid:
                raise CommandError("Nothing was erased.")
        request = request_erasure(account, openid, reason=Erasure.Reason.REQUESTED)
        try:
            done = erase(request)
        except (ArchivesBusy, ArchiveError, DatabaseError) as error:
            raise CommandError(f"{error} The worker will try again.") from error
        said = receipt(done) | {"digest": done.digest}
        self.stdout.write(json.dumps(said, ensure_ascii=False, indent=2))
