"""The command `serve`: runs web server and worker."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from events.callback.callback_address import callback_path
from events.models import OfficialAccount
from wechat_site.serving.supervisor import (
    Site,
    hold_database,
    prepare,
    refuse_taken_port,
    refuse_taken_socket,
)

_LOCAL = {"127.0.0.1", "localhost", "::1"}


class Command(BaseCommand):
    help = (
        "Brings the database up to date, then runs web server and worker. Ctrl-C stops them, "
        "SIGUSR1 loads their code anew without refusing a request."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument(
            "--uds", default="", help="listen on this Unix socket instead, for a proxy beside it"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["host"], options["port"]
        if settings.DEBUG and not options["uds"] and host not in _LOCAL:
            raise CommandError(
                f"DEBUG is on, which is for this machine alone: --host {host} would show error "
                "pages with their data to others. Set DEBUG=False; the next start names the other "
                "settings that it needs."
            )
        if options["uds"]:
            refuse_taken_socket(options["uds"])
        else:
            refuse_taken_port(host, port)
        with hold_database():
            prepare()
            self._run(Site(host, port, options["uds"]))

    def _run(self, site: Site) -> None:
        with site.running():
            site.wait_until_ready()
            self.stdout.write(f"Admin       {site.url}/admin/")
            self.stdout.write(f"API docs    {site.url}/api/docs/")
            for account in OfficialAccount.objects.filter(is_active=True):
                self.stdout.write(
                    f"Callback    {site.url}{callback_path(account)}  ({account.slug})"
                )
            if not get_user_model().objects.filter(is_superuser=True).exists():
                self.stdout.write(
                    "Nobody can sign in yet: .venv/bin/python manage.py createsuperuser"
                )
            if not OfficialAccount.objects.exists():
                self.stdout.write("No account yet:  .venv/bin/python manage.py add_account --help")
            self.stdout.flush()
            site.wait()
