"""What one process of a race for a menu does. Imported before Django is set up there."""

from __future__ import annotations

import datetime
from typing import Any

from wechat_site.tests.racing import set_up, wait_for_others


def prepare(database: str, secret: str, menus: list[dict[str, Any]], are_due: bool) -> list[int]:
    """Makes an account with menus: due, or drafts."""
    set_up(database)
    from django.utils import timezone

    from events.models import MenuVersion
    from events.testing import make_account

    account = make_account(app_secret=secret)
    due_at = timezone.now() if are_due else None
    versions = [
        MenuVersion.objects.create(account=account, menu=menu, due_at=due_at) for menu in menus
    ]
    return [version.pk for version in versions]


def serve(database: str, api_base: str, lease: float = 120) -> int:
    """Serves what is due, once; returns how many rows that were. `lease` is in seconds."""
    set_up(database, api_base)
    from events.menus.publish import publish_menus

    wait_for_others()
    return publish_menus(lease=datetime.timedelta(seconds=lease))


def ask_to_publish(database: str, pk: int) -> bool:
    """Asks as an operator does; returns whether that was possible."""
    set_up(database)
    from events.menus.publish import NotPossible, publish
    from events.models import MenuVersion

    version = MenuVersion.objects.get(pk=pk)
    wait_for_others()
    try:
        publish(version, user=None)
    except NotPossible:
        return False
    return True


def states_of(database: str, pks: list[int]) -> list[tuple[str, int, bool]]:
    """Each version's state, how often it was taken in vain, and whether followers see it."""
    set_up(database)
    from events.models import LiveMenu, MenuVersion

    versions = MenuVersion.objects.in_bulk(pks)
    live = set(LiveMenu.objects.values_list("version", flat=True))
    return [(versions[pk].state.value, versions[pk].attempts, pk in live) for pk in pks]
