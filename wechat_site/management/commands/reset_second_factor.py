"""The command `reset_second_factor`: lets a user in who lost every second factor."""

from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from events.audit.record import record


class Command(BaseCommand):
    help = (
        "Removes all second factors and recovery codes of a user who lost them, and ends the "
        "user's sessions. The next sign-in demands a new second factor. First check who asks you."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        user = get_user_model().objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['username']!r}.")
        with transaction.atomic():
            removed, _ = Authenticator.objects.filter(user=user).delete()
            ended = 0
            for session in UserSession.objects.filter(user=user):
                session.end()
                ended += 1
            if ended:
                name = user.get_username()
                record("end_sessions", user, name=name, details={"sessions": ended})
        self.stdout.write(f"{removed} second factors removed, {ended} sessions ended.")
