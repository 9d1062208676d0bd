"""Measures each part of the inbox with few and with many open conversations: time and statements.

    DATABASE_URL=sqlite:////tmp/inbox.sqlite3 python -m benchmarks.inbox --conversations 100,10000

Each line has milliseconds (median, longest, and of the processor) and the number of statements. The
database must be migrated. Before each measurement, conversations are added up to the number.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import time
from typing import Any

__all__ = ["conversation_to_open", "fill", "main", "paths"]

_LOOKS = 15
_MESSAGES = 60


def main() -> None:
    parser = argparse.ArgumentParser(description="The inbox with many open conversations.")
    parser.add_argument("--conversations", default="100,10000")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_site.settings")
    import django
    from django.conf import settings

    django.setup()
    # As on a public site, so that Django keeps no statements but keeps templates; set here, because
    # the settings would ask for a public site's keys.
    settings.DEBUG = False
    settings.ALLOWED_HOSTS = ["testserver"]
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client

    user, _ = User.objects.get_or_create(
        username="agent", defaults={"is_staff": True, "is_superuser": True}
    )
    client = Client()
    client.force_login(user)
    for number in map(int, options.conversations.split(",")):
        fill(number, user.pk)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        for name, path in paths(conversation_to_open()).items():
            times, own = [], []
            statements: list[str] = []

            def count(execute: Any, sql: str, *rest: Any, to: list[str] = statements) -> Any:
                to.append(sql)
                return execute(sql, *rest)

            with connection.execute_wrapper(count):
                response = client.get(path, secure=True)
                assert response.status_code == 200, (path, response.status_code)
            for _look in range(_LOOKS):
                began, began_own = time.perf_counter(), time.process_time()
                client.get(path, secure=True)
                times.append(1000 * (time.perf_counter() - began))
                own.append(1000 * (time.process_time() - began_own))
            print(
                f"| {connection.vendor} | {number} | {name} | {statistics.median(times):.0f} | "
                f"{max(times):.0f} | {statistics.median(own):.0f} | {len(statements)} |"
            )


def conversation_to_open() -> int:
    """The id of the conversation whose window closes first; it is the one with a long past."""
    from subscribers.models import Conversation

    return Conversation.objects.order_by("window_until").values_list("pk", flat=True)[0]


def paths(conversation: int) -> dict[str, str]:
    """The address of each part of the inbox by its name, with this conversation open."""
    inbox = "/admin/subscribers/conversation/"
    return {
        "all": f"{inbox}?list=all",
        "waiting": f"{inbox}?list=waiting",
        "closing": f"{inbox}?list=closing",
        "mine": f"{inbox}?list=mine",
        "one conversation": f"{inbox}{conversation}/change/",
        "rows alone": f"{inbox}rows/?list=waiting",
        "lines alone": f"{inbox}{conversation}/lines/",
    }


def fill(number: int, user: int) -> None:
    """Adds conversations up to this number; a third of them are assigned to this user."""
    from django.utils import timezone

    from events.models import OfficialAccount
    from events.testing import make_account, message_xml, push
    from subscribers.models import Conversation, Subscriber

    account = OfficialAccount.objects.filter(slug="inbox").first() or make_account("inbox")
    now = timezone.now()
    there = Conversation.objects.filter(account=account).count()
    if not there:
        # The first conversation has a long past, and its window closes first.
        for minute in range(_MESSAGES):
            at = int(now.timestamp()) - 47 * 3600 + 60 * minute
            push(
                account, message_xml("text", openid="o0", at=at, Content="在吗？", MsgId=minute + 1)
            )
    known = set(Subscriber.objects.filter(account=account).values_list("openid", flat=True))
    Subscriber.objects.bulk_create(
        [
            Subscriber(
                account=account, openid=f"o{place}", last_seen_at=now, first_followed_at=now,
                last_followed_at=now, updated_at=now,
            )
            for place in range(there, number)
            if f"o{place}" not in known
        ],
        batch_size=500,
    )  # fmt: skip
    ids = dict(Subscriber.objects.filter(account=account).values_list("openid", "pk"))
    Conversation.objects.bulk_create(
        [
            Conversation(
                account=account, subscriber_id=ids[f"o{place}"], last_kind="text",
                last_at=now - datetime.timedelta(seconds=15 * place), last_text="请问几点关门？",
                waiting_since=now - datetime.timedelta(seconds=15 * place),
                window_until=now + datetime.timedelta(hours=1, seconds=16 * place),
                assigned_to_id=user if place % 3 == 0 else None,
            )
            for place in range(there, number)
        ],
        batch_size=500,
    )  # fmt: skip


if __name__ == "__main__":
    main()
