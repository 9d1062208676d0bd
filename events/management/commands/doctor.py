"""Examines accounts from the command line."""

from __future__ import annotations

import contextlib
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import translation

from events.audit.record import record
from events.doctor import Examination, Line, Visit, examine, keep
from events.models import OfficialAccount


class Command(BaseCommand):
    help = (
        "Examines accounts: sends a signed test through the public address as WeChat would, asks "
        "WeChat about its side, and names what is wrong with its remedy. The test leaves no event. "
        "Says nothing but one line of an account that is well; exits with 1 otherwise."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", nargs="?", help="its handle; default: all active ones")
        parser.add_argument(
            "--url",
            default=settings.PUBLIC_URL,
            help="where WeChat reaches this site, https://wechat.example.com (default: PUBLIC_URL)",
        )
        parser.add_argument(
            "--connect",
            metavar="HOST:PORT",
            help="connect there instead, where this machine cannot reach its own public address",
        )
        parser.add_argument(
            "--language", choices=[code for code, _ in settings.LANGUAGES], help="zh-hans or en"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        accounts = OfficialAccount.objects.all()
        slug = options["account"]
        accounts = accounts.filter(slug=slug) if slug else accounts.filter(is_active=True)
        if slug and not accounts:
            raise CommandError(f"There is no account {slug!r}.")
        visit = Visit(_line(options["url"], options["connect"]))
        language = options["language"]
        ill = 0
        with translation.override(language) if language else contextlib.nullcontext():
            for account in accounts:
                examination = examine(account, visit)
                keep(examination)
                record("examine", account, name=account.name)
                self._say(examination)
                ill += not examination.is_well
        if ill:
            raise CommandError(f"{ill} of {len(accounts)} accounts need attention.")

    def _say(self, examination: Examination) -> None:
        account = examination.account
        if not examination.findings:
            self.stdout.write(self.style.SUCCESS(f"✓ {account.slug}"))
            return
        self.stdout.write(f"{account.slug}:")
        for finding in examination.findings:
            mark = {"error": "✗", "warning": "!", "note": "·"}[finding.severity]
            self.stdout.write(f"  {mark} {finding.what}\n    → {finding.remedy}")


def _line(url: str, connect: str | None) -> Line | None:
    if not url:
        return None
    connect_to = None
    if connect:
        host, _, port = connect.rpartition(":")
        if not (host and port.isdigit()):
            raise CommandError("--connect takes HOST:PORT.")
        connect_to = (host.strip("[]"), int(port))
    return Line(url.rstrip("/"), settings.CALLBACK_SECONDS, connect_to)
