"""The command `simulate`: plays WeChat's side and checks every answer."""

from __future__ import annotations

import itertools
import json
import logging
import random
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TextIO

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from events.callback.callback_address import callback_path
from events.models import OfficialAccount
from events.simulator import Code, Population, Push, PushSender, acts, disturbed, paced
from events.simulator.fake_api import (
    FakeAccount,
    FakeWeChatAPI,
    FakeWeChatAPIServer,
    PopulationFollowers,
    acts_on,
)
from subscribers.binding.bind import start_binding
from wechat_site.demo.known_state import add_account, known_followers
from wechat_site.serving.stop_signals import on_signals


class Command(BaseCommand):
    help = (
        "Plays WeChat's side: pushes what a population of followers does to a site's callback, "
        "signed and encrypted by the account's secrets, and checks every answer. Without --rate it "
        "pushes as fast as it can, and the events lie one second apart in the past; with --rate "
        "they happen now. Ends with a tally; the exit code is 1 if a push was lost, or if WeChat "
        "would not take an answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", default="http://127.0.0.1:8000/", help="where the site is")
        parser.add_argument("--account", required=True, help="handle of the account")
        parser.add_argument(
            "--count", type=int, default=100, help="number of pushes, without duplicates"
        )
        parser.add_argument("--forever", action="store_true", help="runs until Ctrl-C or SIGTERM")
        parser.add_argument("--concurrency", type=int, default=4, help="pushes sent at one time")
        parser.add_argument("--rate", type=float, help="pushes per second")
        parser.add_argument("--seed", help="the same seed and --start give the same events")
        parser.add_argument(
            "--start", type=int, help="CreateTime of the first event, in Unix seconds"
        )
        parser.add_argument("--duplicates", type=float, default=0.05, help="share pushed twice")
        parser.add_argument("--reorder", type=float, default=0.1, help="share that comes later")
        parser.add_argument(
            "--bindings",
            type=int,
            default=0,
            help="binding requests to make, for users simulated-1, simulated-2, …, and to scan",
        )
        parser.add_argument(
            "--platform-port",
            type=int,
            metavar="PORT",
            help="plays WeChat's API too, on this port of this machine, with the same people: they "
            "scan the codes the site has made there, tap its menu and answer its messages. Start "
            "the site with WECHAT_API_BASE=http://127.0.0.1:PORT",
        )
        parser.add_argument(
            "--acknowledged",
            type=Path,
            metavar="FILE",
            help="writes one line of JSON for each acknowledged push",
        )
        parser.add_argument(
            "--tolerate-loss", action="store_true", help="lost pushes do not count as a failure"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        count = None if options["forever"] else options["count"]
        if count is None and options["rate"] is None:
            raise CommandError("--forever needs a --rate.")
        account = _account(options["account"])
        seed = options["seed"] or secrets.token_hex(4)
        chance = random.Random(f"delivery {seed}")
        stop = threading.Event()
        codes = _binding_codes(account, options["bindings"])
        has_fake_api = options["platform_port"] is not None
        population = Population(
            account.original_id,
            random=random.Random(f"people {seed}"),
            known=known_followers(account) if has_fake_api else (),
        )
        times = _times(options["start"], rate=options["rate"], count=count)
        pushes: Iterable[Push]
        if has_fake_api:
            server, there = _fake_api(account, population, options["platform_port"])
            pushes = acts_on(there, population, times)
        else:
            server = nullcontext()
            pushes = acts(
                population,
                times,
                next_code=lambda: next(codes, None),
                code_every=1 + (100 if count is None else count) // (options["bindings"] + 1),
            )
        if count is not None:
            pushes = itertools.islice(pushes, count)
        deliveries = disturbed(
            pushes,
            duplicates=options["duplicates"],
            reorder=options["reorder"],
            random=chance,
        )
        if options["rate"] is not None:
            deliveries = paced(deliveries, rate=options["rate"], stop=stop, random=chance)

        with server, _opened(options["acknowledged"]) as record:
            sender = PushSender(
                options["url"].rstrip("/") + callback_path(account),
                account.credentials(timezone.now()),
                original_id=account.original_id,
                on_acknowledged=lambda push: _write(push, record),
            )

            def end() -> None:
                stop.set()
                sender.stop()

            on_signals({signal.SIGTERM: end, signal.SIGINT: end})
            # Otherwise each attempt at an unreachable site would write a line and bury the rest.
            logging.getLogger("events.simulator").setLevel(logging.WARNING)
            started = time.monotonic()
            sender.deliver(deliveries, concurrency=options["concurrency"])
            seconds = time.monotonic() - started

        tally = sender.tally
        self.stdout.write(
            f"Seed {seed}. {tally}. {seconds:.1f} s, {tally.sent / max(seconds, 0.001):.0f}/s."
        )
        if tally.mismatches or (tally.lost and not options["tolerate_loss"]):
            sys.exit(1)


def _account(slug: str) -> OfficialAccount:
    account = OfficialAccount.objects.filter(slug=slug).first()
    if account is None:
        raise CommandError(f"There is no account {slug!r}. Add one with: manage.py add_account")
    if not account.token:
        raise CommandError(f"The account {slug!r} has no token yet.")
    return account


def _fake_api(
    account: OfficialAccount, population: Population, port: int
) -> tuple[AbstractContextManager[object], FakeAccount]:
    """The server of the fake API, and the account on it."""
    if not account.app_secret:
        raise CommandError(f"The account {account.slug!r} has no AppSecret yet; any will do.")
    fake_api = FakeWeChatAPI(random=random.Random())
    there = add_account(fake_api, account, PopulationFollowers(population))
    try:
        return FakeWeChatAPIServer(fake_api, port=port), there
    except OSError as error:
        raise CommandError(f"Port {port}: {error.strerror}.") from None


def _times(start: int | None, *, rate: float | None, count: int | None) -> Iterator[int]:
    """The CreateTime of each act: from `start` on; else now, or, without a rate, up to now."""
    if start is None and rate is not None:
        while True:
            yield int(time.time())
    if start is None:
        start = int(time.time()) - (count or 0)
    step = 1 / rate if rate else 1
    for number in itertools.count():
        yield start + int(number * step)


def _binding_codes(account: OfficialAccount, count: int) -> Iterator[Code]:
    """Codes of fresh binding requests, each for its own user."""
    users = get_user_model().objects
    codes = []
    for number in range(1, count + 1):
        user, is_new = users.get_or_create(username=f"simulated-{number}")
        if is_new:
            user.set_unusable_password()
            user.save(update_fields=["password"])
        request = start_binding(account=account, user=user)
        codes.append(
            Code(
                request.scene,
                ticket=f"g{secrets.token_urlsafe(60)}",
                made_at=int(request.created_at.timestamp()),
            )
        )
    return iter(codes)


def _opened(path: Path | None) -> AbstractContextManager[TextIO | None]:
    return nullcontext() if path is None else path.open("w", encoding="utf-8")


def _write(push: Push, record: TextIO | None) -> None:
    if record is not None:
        line = {
            "openid": push.openid,
            "create_time": push.create_time,
            "kind": push.kind,
            "msg_type": push.msg_type,
            "event": push.event,
            "event_key": push.event_key,
            "msg_id": push.msg_id,
        }
        record.write(json.dumps(line, ensure_ascii=False) + "\n")
        record.flush()
