"""Adds or changes an Official Account from the command line."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from events.callback.callback_address import callback_path
from events.models import OfficialAccount


class Command(BaseCommand):
    help = (
        "Adds an Official Account, or changes the one with this handle. Secrets come from the "
        "options or, better, from WECHAT_TOKEN, WECHAT_AES_KEY and WECHAT_APP_SECRET: what stands "
        "on a command line is seen by every user of the machine. The callback URL is the last line."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="handle of the account in the API and in commands")
        parser.add_argument("--name", help="name shown to operators (default: the handle)")
        parser.add_argument(
            "--original-id",
            help="gh_…, the 原始ID; may be left out, the first encrypted push tells it",
        )
        parser.add_argument("--app-id", help="wx…")
        parser.add_argument(
            "--mode",
            choices=OfficialAccount.Mode.values,
            help="消息加解密方式 (default for a new account: safe)",
        )
        parser.add_argument("--time-zone", help="default for a new account: Asia/Shanghai")
        parser.add_argument("--token", default=os.environ.get("WECHAT_TOKEN"))
        parser.add_argument("--aes-key", default=os.environ.get("WECHAT_AES_KEY"))
        parser.add_argument("--app-secret", default=os.environ.get("WECHAT_APP_SECRET"))
        parser.add_argument(
            "--site-url",
            default="",
            help="beginning of the printed callback URL, such as https://wechat.example.com",
        )

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["slug"]
        account = OfficialAccount.objects.filter(slug=slug).first()
        is_new = account is None
        if account is None:
            account = OfficialAccount(slug=slug, name=slug)
        now = timezone.now()
        for option, field in [
            ("name", "name"),
            ("original_id", "original_id"),
            ("app_id", "app_id"),
            ("mode", "security_mode"),
            ("time_zone", "time_zone"),
            ("app_secret", "app_secret"),
        ]:
            if options[option] is not None:
                setattr(account, field, options[option])
        if options["token"] is not None:
            account.set_token(options["token"], now=now)
        if options["aes_key"] is not None:
            account.set_encoding_aes_key(options["aes_key"], now=now)
        try:
            account.full_clean()
        except ValidationError as error:
            mistakes = error.message_dict.items()
            raise CommandError(
                "; ".join(f"{field}: {' '.join(messages)}" for field, messages in mistakes)
            ) from None
        account.save()
        if not account.original_id and account.security_mode == OfficialAccount.Mode.PLAINTEXT:
            self.stderr.write(
                "The account has no original ID yet. The first pushes are quarantined; the admin's "
                "page of the account then offers the ID that they name."
            )
        if not account.token:
            self.stderr.write("The account has no token yet, so its callback refuses everything.")
        self.stdout.write(f"{'Added' if is_new else 'Changed'} {account.slug} ({account.name}).")
        self.stdout.write(_site_url(options["site_url"]) + callback_path(account))


def _site_url(given: str) -> str:
    if given:
        return given.rstrip("/")
    hosts = [host for host in settings.ALLOWED_HOSTS if not host.startswith((".", "*"))]
    if settings.DEBUG or not hosts:
        return "http://localhost:8000"
    return f"https://{hosts[0]}"
