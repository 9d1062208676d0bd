"""The command `fake_platform`: plays WeChat's API for the site's accounts."""

from __future__ import annotations

import signal
import threading
from random import Random
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from events.models import OfficialAccount
from events.simulator.fake_api import (
    ORDINARY_LATENCY,
    FakeWeChatAPI,
    FakeWeChatAPIServer,
    Followers,
    ListedFollowers,
    NumberedFollowers,
)
from wechat_site.demo.known_state import add_account, known_followers
from wechat_site.serving.stop_signals import on_signals


class Command(BaseCommand):
    help = (
        "Plays WeChat's API on this machine for the site's accounts, with limits, errors and "
        "token lifetimes as WeChat has them, until Ctrl-C. Start the site with "
        "WECHAT_API_BASE=http://127.0.0.1:PORT. docs/demo.md says how to make it slow or fail."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=9000)
        parser.add_argument(
            "--followers",
            type=int,
            metavar="NUMBER",
            help="number of made-up followers of each account, instead of those the site knows",
        )
        parser.add_argument(
            "--latency",
            type=float,
            nargs=2,
            default=ORDINARY_LATENCY,
            metavar=("SHORTEST", "LONGEST"),
            help="seconds an answer takes",
        )
        parser.add_argument(
            "--failure-rate", type=float, default=0, help="share of calls that fail"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        shortest, longest = options["latency"]
        platform = FakeWeChatAPI(
            random=Random(), latency=(shortest, longest), failure_rate=options["failure_rate"]
        )
        for account in OfficialAccount.objects.exclude(app_id=""):
            if account.app_secret:
                followers = _followers(account, options["followers"])
                add_account(platform, account, followers)
                self.stdout.write(f"{account.slug}: {followers.total()} followers")
            else:
                self.stdout.write(f"{account.slug}: left out, it has no AppSecret (any will do)")
        stop = threading.Event()
        on_signals({signal.SIGTERM: stop.set, signal.SIGINT: stop.set})
        try:
            server = FakeWeChatAPIServer(platform, port=options["port"])
        except OSError as error:
            raise CommandError(f"Port {options['port']}: {error.strerror}.") from None
        with server:
            self.stdout.write(f"WECHAT_API_BASE={server.url} WECHAT_MP_BASE={server.url}")
            self.stdout.flush()
            stop.wait()


def _followers(account: OfficialAccount, number: int | None) -> Followers:
    if number is None:
        return ListedFollowers(known_followers(account))
    return NumberedFollowers(number)
