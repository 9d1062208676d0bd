"""What one worker of a race for tickets does. Imported before Django is set up there."""

from __future__ import annotations

import os
import time

# Where nobody listens, for what calls nobody.
_NOWHERE = "http://127.0.0.1:9"


def set_up(database: str, api_base: str = _NOWHERE) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_site.settings")
    import django
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = database
    settings.WECHAT_API_BASE = api_base
    django.setup()


def prepare(database: str, secret: str, codes: int) -> None:
    """Makes tables where they are missing, an account, and codes that wait for their tickets."""
    set_up(database)
    from django.core.management import call_command
    from django.db import connections

    from events.testing import make_account
    from subscribers.qr_codes.create import NewCode, make_codes

    call_command("migrate", verbosity=0)
    account = make_account(app_secret=secret)
    make_codes(account, [NewCode(f"Poster {number}", f"s{number}") for number in range(codes)])
    connections.close_all()


def fetch_all(database: str, api_base: str, lease: float, start_at: float) -> int:
    """Fetches tickets from that moment on until none waits; returns how many rows it served."""
    set_up(database, api_base)
    from datetime import timedelta

    from django.db import connections

    from subscribers.models import QRScene
    from subscribers.qr_codes.fetch_tickets import fetch_scene_tickets

    time.sleep(max(0.0, start_at - time.time()))
    served = 0
    deadline = time.monotonic() + 60
    while QRScene.objects.waiting().exists() and time.monotonic() < deadline:
        served += fetch_scene_tickets(lease=timedelta(seconds=lease))
        time.sleep(0.05)
    connections.close_all()
    return served


def states(database: str) -> list[tuple[str, str]]:
    """Scene and state of each code."""
    set_up(database)
    from django.db import connections

    from subscribers.models import QRScene

    found = [(code.scene, code.state.value) for code in QRScene.objects.all()]
    connections.close_all()
    return found
