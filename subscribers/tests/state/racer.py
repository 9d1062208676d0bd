"""What one process of a race does. Imported before Django is set up there."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

# Requests in flight in one process, so that they meet in its writer.
THREADS = 4


def post_all(database: str, start_at: float, bodies: list[bytes], batch_size: int) -> list[int]:
    """Posts the bodies to the only account of that test database, from that moment on."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_site.settings")
    os.environ["CALLBACK_BATCH"] = str(batch_size)
    import django
    from django.conf import settings
    from django.db import connections
    from django.test.utils import setup_test_environment

    settings.DATABASES["default"]["NAME"] = database
    django.setup()
    setup_test_environment()
    from events.models import OfficialAccount
    from events.testing import FrontClient, push

    account = OfficialAccount.objects.get()
    connections.close_all()

    def post(body: bytes) -> int:
        try:
            return int(push(account, body, client=FrontClient()).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as threads:
        time.sleep(max(0.0, start_at - time.time()))
        return list(threads.map(post, bodies))
