"""What one process of a race for a token does. Imported before Django is set up there."""

from __future__ import annotations

import datetime
import os
from multiprocessing.synchronize import Barrier
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from events.models import OfficialAccount

_start: Barrier | None = None


def wait_at(start: Barrier) -> None:
    """Makes `ask` in this process wait until all others are ready too."""
    global _start
    _start = start


def _set_up(database: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_site.settings")
    import django
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = database
    django.setup()


def put(
    account: OfficialAccount,
    *,
    lease_holder: str = "",
    lease_until: datetime.datetime | None = None,
    **columns: object,
) -> None:
    """Gives the row of an account's token these columns."""
    from events.models import SharedAccessToken

    SharedAccessToken.objects.of(account.pk)
    SharedAccessToken.objects.filter(pk=account.pk).update(
        lease_holder=lease_holder, lease_until=lease_until, **columns
    )


def prepare(database: str, columns: dict[str, object]) -> int:
    """Makes the tables where they are missing, and one account; returns its id.

    `columns` are those of a SharedAccessToken that it begins with.
    """
    _set_up(database)
    from django.core.management import call_command
    from django.db import connections

    from events.models import OfficialAccount
    from events.testing import make_account

    call_command("migrate", verbosity=0)
    OfficialAccount.objects.all().delete()
    account = make_account(app_secret="secret")
    put(account, app_id=account.app_id, **columns)
    connections.close_all()
    return account.pk


def ask(database: str, api_base: str, lease: float, rejected: str = "") -> tuple[str, str]:
    """Asks for the account's token; returns it, or the name of the error.

    With `rejected`, it asks for another one than that.
    """
    _set_up(database)
    from django.db import connections

    from events.models import OfficialAccount
    from events.platform.tokens import SharedTokens
    from events.wechat.api import AccessToken, APIError, Wire

    wire = Wire(api_base=api_base)
    tokens = SharedTokens(
        OfficialAccount.objects.get(), wire, lease=datetime.timedelta(seconds=lease)
    )
    if _start is not None:
        _start.wait(timeout=60)
    try:
        token = tokens.refresh(AccessToken(rejected, 0, 0)) if rejected else tokens.get()
        return token.value, ""
    except APIError as error:
        return "", type(error).__name__
    finally:
        connections.close_all()
        wire.close()
