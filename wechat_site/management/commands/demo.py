"""The command `demo`: runs the whole product with simulated followers."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from events.callback.callback_address import callback_path
from events.simulator.fake_api import FakeWeChatAPIServer
from wechat_site.demo import PAST_EVENTS, PER_SECOND, Demonstration, make_account, make_operator
from wechat_site.serving.supervisor import Site, hold_database, prepare, refuse_taken_port


class Command(BaseCommand):
    help = (
        "Runs the whole product: site and worker on a database of their own, simulated followers "
        "whose pushes arrive signed and encrypted over HTTP, and a fake WeChat platform that both "
        "use. Ctrl-C stops everything."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument(
            "--platform-port",
            type=int,
            default=0,
            help="where the fake platform listens (default: a free port)",
        )
        parser.add_argument(
            "--past", type=int, default=PAST_EVENTS, help="number of events in the two weeks before"
        )
        parser.add_argument(
            "--rate", type=float, default=PER_SECOND, help="pushes per second from now on"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("The demo needs DEBUG=True, because its platform has no TLS.")
        if "DATABASE_URL" not in os.environ:
            # The settings are loaded already, so start again with the demo's own database.
            os.environ["DATABASE_URL"] = f"sqlite:///{settings.VAR_DIR}/demo.sqlite3"
            os.execv(sys.executable, [sys.executable, *sys.argv])
        refuse_taken_port("127.0.0.1", options["port"])
        refuse_taken_port("127.0.0.1", options["platform_port"])
        with hold_database():
            self._run(options)

    def _run(self, options: dict[str, Any]) -> None:
        prepare()
        account = make_account()
        user_name, password = make_operator()
        life = Demonstration(account, past_events=options["past"], per_second=options["rate"])
        with FakeWeChatAPIServer(life.platform, port=options["platform_port"]) as platform:
            # The site's processes, which start below, call this platform instead of WeChat.
            os.environ |= {
                "WECHAT_API_BASE": platform.url,
                "WECHAT_MP_BASE": platform.url,
                "WECHAT_API_PROXY": "",
            }
            site = Site("127.0.0.1", options["port"])
            with site.running():
                site.wait_until_ready()
                self.stdout.write(
                    f"""
  管理后台 Admin       {site.url}/admin/
  用户名   User name   {user_name}
  密码     Password    {password}
  接口文档 API docs    {site.url}/api/docs/
  回调地址 Callback    {site.url}{callback_path(account)}
  模拟平台 Platform    {platform.url}  (docs/demo.md)

  模拟粉丝正在活动，按 Ctrl-C 停止。  Simulated followers are busy; Ctrl-C stops everything.
"""
                )
                self.stdout.flush()
                life.start(site.url)
                try:
                    site.wait()
                finally:
                    site.stopping.set()
                    life.stop()
