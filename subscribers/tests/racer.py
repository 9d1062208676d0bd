"""What one process of a race does. Imported before Django is set up there."""

from __future__ import annotations

import os
import time


def post_all(database: str, start_at: float, bodies: list[bytes]) -> list[int]:
    """Posts the bodies to the only account of that test database, from that moment on."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_site.settings")
    import django
    from django.conf import settings
    from django.db import connections
    from django.test.utils import setup_test_environment

    settings.DATABASES["default"]["NAME"] = database
    django.setup()
    setup_test_environment()
    from events.models import OfficialAccount
    from events.testing import push

    account = OfficialAccount.objects.get()
    time.sleep(max(0.0, start_at - time.time()))
    codes = [push(account, body).status_code for body in bodies]
    connections.close_all()
    return codes
