"""What one process of a race for a menu does. Imported before Django is set up there."""

from __future__ import annotations

import datetime
import os
from multiprocessing.synchronize import Barrier
from typing import Any

_start: Barrier | None = None


def wait_at(start: Barrier) -> None:
    """Makes what races in this process wait until all others are ready too."""
    global _start
    _start = start


def _set_up(database: str, api_base: str = "") -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_site.settings")
    import django
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = database
    settings.WECHAT_API_BASE = api_base
    django.setup()


def prepare(database: str, secret: str, menus: list[dict[str, Any]], are_due: bool) -> list[int]:
    """Makes the tables where they are missing, and one account with menus: due, or drafts."""
    _set_up(database)
    from django.core.management import call_command
    from django.db import connections
    from django.utils import timezone

    from events.models import MenuVersion, OfficialAccount
    from events.testing import make_account

    call_command("migrate", verbosity=0)
    OfficialAccount.objects.all().delete()
    account = make_account(app_secret=secret)
    due_at = timezone.now() if are_due else None
    versions = [
        MenuVersion.objects.create(account=account, menu=menu, due_at=due_at) for menu in menus
    ]
    connections.close_all()
    return [version.pk for version in versions]


def serve(database: str, api_base: str, lease: float = 120) -> int:
    """Serves what is due, once; returns how many rows that were. `lease` is in seconds."""
    _set_up(database, api_base)
    from django.db import connections

    from events.menus.publish import publish_menus

    _wait_for_others()
    try:
        return publish_menus(lease=datetime.timedelta(seconds=lease))
    finally:
        connections.close_all()


def ask_to_publish(database: str, pk: int) -> bool:
    """Asks as an operator does; returns whether that was possible."""
    _set_up(database)
    from django.db import connections

    from events.menus.publish import NotPossible, publish
    from events.models import MenuVersion

    version = MenuVersion.objects.get(pk=pk)
    _wait_for_others()
    try:
        publish(version, user=None)
    except NotPossible:
        return False
    finally:
        connections.close_all()
    return True


def states_of(database: str, pks: list[int]) -> list[tuple[str, int, bool]]:
    """Each version's state, how often it was taken in vain, and whether followers see it."""
    _set_up(database)
    from django.db import connections

    from events.models import LiveMenu, MenuVersion

    versions = MenuVersion.objects.in_bulk(pks)
    live = set(LiveMenu.objects.values_list("version", flat=True))
    connections.close_all()
    return [(versions[pk].state.value, versions[pk].attempts, pk in live) for pk in pks]


def _wait_for_others() -> None:
    if _start is not None:
        _start.wait(timeout=60)
