from __future__ import annotations

import logging
import os
import sys
import threading
import time
from random import Random
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from events.models import EventLog, OfficialAccount
from events.simulator import Platform, Population, acts, believable_times, disturbed, paced
from wechat_site.demo_data import (
    REPERTOIRE,
    binding_codes,
    known_followers,
    make_account,
    make_operator,
)
from wechat_site.processes import Site, prepare, refuse_taken_port

_PAST_EVENTS = 1500
_PAST_SECONDS = 14 * 24 * 3600
_PER_SECOND = 1.5


class Command(BaseCommand):
    help = (
        "The whole product, running: site and worker on a database of their own, with simulated "
        "followers whose pushes arrive signed and encrypted over HTTP. Ctrl-C stops everything."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, **options: Any) -> None:
        if "DATABASE_URL" not in os.environ:
            # The settings are read by now, so the command begins again with its own database.
            os.environ["DATABASE_URL"] = f"sqlite:///{settings.VAR_DIR}/demo.sqlite3"
            os.execv(sys.executable, [sys.executable, *sys.argv])
        refuse_taken_port("127.0.0.1", options["port"])
        prepare()
        account = make_account()
        user_name, password = make_operator()
        site = Site("127.0.0.1", options["port"])
        with site.running():
            site.wait_until_ready()
            self.stdout.write(
                f"""
  管理后台 Admin       {site.url}/admin/
  用户名   User name   {user_name}
  密码     Password    {password}
  接口文档 API docs    {site.url}/api/docs/
  回调地址 Callback    {site.url}{account.callback_path}

  模拟粉丝正在活动，按 Ctrl-C 停止。  Simulated followers are busy; Ctrl-C stops everything.
"""
            )
            self.stdout.flush()
            traffic = _Traffic(account, site)
            traffic.start()
            try:
                site.wait()
            finally:
                site.stopping.set()
                traffic.stop()


class _Traffic(threading.Thread):
    """Two weeks of the past in a few seconds, the first time; then what happens now, gently."""

    def __init__(self, account: OfficialAccount, site: Site) -> None:
        super().__init__(daemon=True)
        self._site = site
        self._random = Random()
        self._population = Population(
            account.original_id,
            random=self._random,
            repertoire=REPERTOIRE,
            known=known_followers(account),
        )
        self._platform = Platform(
            site.url + account.callback_path,
            account.credentials(timezone.now()),
            original_id=account.original_id,
        )
        self._next_code = binding_codes(account)
        self._has_past = EventLog.objects.filter(account=account).exists()
        # While the site is being stopped the last pushes find nobody.
        logging.getLogger("events.simulator").setLevel(logging.ERROR)

    def run(self) -> None:
        now = int(time.time())
        if not self._has_past:
            past = believable_times(
                self._random, start=now - _PAST_SECONDS, end=now - 60, count=_PAST_EVENTS
            )
            self._platform.deliver(
                disturbed(
                    acts(self._population, past), duplicates=0.03, reorder=0.1, random=self._random
                ),
                concurrency=4,
            )
        present = acts(
            self._population, iter(lambda: int(time.time()), None), next_code=self._next_code
        )
        self._platform.deliver(
            paced(
                disturbed(present, duplicates=0.05, reorder=0.05, random=self._random),
                rate=_PER_SECOND,
                stop=self._site.stopping,
                random=self._random,
            ),
            concurrency=2,
        )

    def stop(self) -> None:
        self._platform.stop()
        self.join(timeout=6)
