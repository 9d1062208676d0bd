"""Makes an API key for a user from the command line."""

from __future__ import annotations

import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from events.models import ApiKey, OfficialAccount
from events.people.scopes import READ_SCOPES, SCOPES, WRITE_SCOPES, scopes_of


class Command(BaseCommand):
    help = (
        "Makes an API key for a user and prints it, once: only its digest is kept. By default it "
        "may read what the user may, and change nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--scope",
            action="extend",
            nargs="+",
            dest="scopes",
            metavar="SCOPE",
            help=f"read, write, or one of {', '.join(SCOPES)}; may be repeated",
        )
        parser.add_argument(
            "--account",
            action="append",
            dest="accounts",
            metavar="HANDLE",
            help="limits the key to this Official Account; may be repeated",
        )
        parser.add_argument(
            "--days", type=int, help="how long it lasts (default: API_KEY_DAYS, a year)"
        )
        parser.add_argument("--name", default="", help="what it is for")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        user = get_user_model().objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['username']!r}.")
        if not user.is_active:
            raise CommandError(f"The user {user} is not active: a key would not work.")
        allowed = scopes_of(user)
        scopes = _named(options["scopes"] or ["read"], allowed)
        if beyond := sorted(set(scopes) - set(allowed)):
            raise CommandError(
                f"The user {user} has not the rights for {', '.join(beyond)}. Give a role first."
            )
        if not scopes:
            raise CommandError(f"The user {user} has no right to read anything. Give a role first.")
        days = options["days"]
        if days is not None and days < 1:
            raise CommandError("--days must be 1 at least.")
        made, key = ApiKey.issue(
            user=user,
            scopes=scopes,
            name=options["name"],
            accounts=[_account(slug) for slug in options["accounts"] or []],
            expires_at=None if days is None else timezone.now() + datetime.timedelta(days=days),
        )
        self.stdout.write(
            f"Key {made.pk} of {user.get_username()}, for {', '.join(made.scopes)}, until "
            f"{made.expires_at:%Y-%m-%d}. It is shown this once:"
        )
        self.stdout.write(key)


def _named(words: list[str], allowed: list[str]) -> list[str]:
    """Returns the scopes; `read` and `write` stand for all such scopes that the user may have."""
    scopes: set[str] = set()
    for word in words:
        match word:
            case "read":
                scopes |= set(READ_SCOPES) & set(allowed)
            case "write":
                scopes |= set(WRITE_SCOPES) & set(allowed)
            case _ if word in SCOPES:
                scopes.add(word)
            case _:
                known = ", ".join(SCOPES)
                raise CommandError(f"There is no scope {word!r}. Choose from: {known}")
    return sorted(scopes)


def _account(slug: str) -> OfficialAccount:
    account = OfficialAccount.objects.filter(slug=slug).first()
    if account is None:
        raise CommandError(f"There is no account {slug!r}.")
    return account
