"""What one worker of a race for tickets does. Imported before Django is set up there."""

from __future__ import annotations

import time

from wechat_site.tests.racing import set_up, wait_for_others


def prepare(database: str, secret: str, codes: int) -> None:
    """Makes an account, and codes that wait for their tickets."""
    set_up(database)
    from events.testing import make_account
    from subscribers.qr_codes.create import NewQRCode, create_qr_codes

    account = make_account(app_secret=secret)
    create_qr_codes(
        account, [NewQRCode(f"Poster {number}", f"s{number}") for number in range(codes)]
    )


def fetch_all(database: str, api_base: str, lease: float) -> int:
    """Fetches tickets until none waits; returns how many rows it served. `lease` is in seconds."""
    set_up(database, api_base)
    from datetime import timedelta

    from subscribers.models import QRScene
    from subscribers.qr_codes.fetch_tickets import fetch_scene_tickets

    wait_for_others()
    served = 0
    while QRScene.objects.waiting().exists():
        served += fetch_scene_tickets(lease=timedelta(seconds=lease))
        time.sleep(0.05)
    return served


def states(database: str) -> list[tuple[str, str]]:
    """Scene and state of each code."""
    set_up(database)
    from subscribers.models import QRScene

    return [(code.scene, code.state.value) for code in QRScene.objects.all()]
