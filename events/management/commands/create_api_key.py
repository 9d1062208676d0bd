from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from events.api.authentication import READ_SCOPES, SCOPES, WRITE_SCOPES
from events.models import ApiKey


class Command(BaseCommand):
    help = (
        "Makes an API key for a user and prints it once, alone on the last line. Scopes: "
        f"{', '.join(SCOPES)}; `read` stands for all that read, `write` for all that write."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--scope",
            nargs="+",
            action="extend",
            metavar="SCOPE",
            help="may be repeated (default: read)",
        )
        parser.add_argument("--name", default="", help="what the key is for")

    def handle(self, *args: Any, **options: Any) -> None:
        user = get_user_model().objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['username']!r}.")
        scopes: set[str] = set()
        for scope in options["scope"] or ["read"]:
            match scope:
                case "read":
                    scopes.update(READ_SCOPES)
                case "write":
                    scopes.update(WRITE_SCOPES)
                case _ if scope in SCOPES:
                    scopes.add(scope)
                case _:
                    raise CommandError(
                        f"There is no scope {scope!r}. Choose from: {', '.join(SCOPES)}"
                    )
        made, key = ApiKey.issue(user=user, scopes=sorted(scopes), name=options["name"])
        self.stdout.write(
            f"Key {made.pk} of {user.get_username()}, for {', '.join(made.scopes)}. "
            "It is shown this once:"
        )
        self.stdout.write(key)
