"""What one process of a race does. Imported before Django is set up there."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from wechat_site.tests.racing import set_up, wait_for_others

# Requests in flight in one process, so that they meet in its writer.
THREADS = 4
# Seconds. WeChat brings a push three times only, but a race is of what is stored, not of how fast.
PAUSE = 1.0
LIMIT = 300


def post_all(database: str, bodies: list[bytes], batch_size: int = 500) -> list[int]:
    """Posts the bodies to the only account of that test database; returns the last status codes.

    What is refused comes again.
    """
    set_up(database)
    from django.db import connections

    from events.callback import views
    from events.models import OfficialAccount
    from events.testing import push

    views._writer._batch_size = batch_size
    account = OfficialAccount.objects.get()

    def post(body: bytes) -> int:
        until = time.monotonic() + LIMIT
        try:
            while (code := int(push(account, body).status_code)) != 200:
                if time.monotonic() > until:
                    break
                time.sleep(PAUSE)
            return code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as threads:
        wait_for_others()
        return list(threads.map(post, bodies))
