"""How the followers' lists and counts find their rows; events/tests/db has the log's."""

from __future__ import annotations

import datetime
import re

import pytest
from django.contrib.auth.models import User
from django.core.cache import caches
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events.db import cached_count
from events.models import ApiKey
from events.people.scopes import READ_SCOPES
from events.testing import make_account
from subscribers.models import OutgoingMessage, QRScene, SeenScene, Subscriber

pytestmark = pytest.mark.django_db

NOW = datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.UTC)
TABLE = Subscriber._meta.db_table


@pytest.fixture
def followers():
    """Two thousand of two accounts; every hundredth has left, every twentieth came by a poster."""
    accounts = [make_account("shop"), make_account("retired")]
    QRScene.objects.create(account=accounts[0], scene="poster", name="Poster")

    def follower(number: int) -> Subscriber:
        at = NOW - datetime.timedelta(minutes=2000 - number)
        poster = "" if number % 20 else "poster"
        return Subscriber(
            account=accounts[number < 20], openid=f"o{number}", last_followed_at=at,
            last_unfollowed_at=None if number % 100 else at, first_scene=poster,
            last_scene=poster, updated_at=at,
        )  # fmt: skip

    Subscriber.objects.bulk_create(follower(number) for number in range(2000))
    analyze()


def analyze() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def plan_of(sql: str) -> str:
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
            cursor.execute(f"EXPLAIN {sql}")
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        lines = [str(row[-1]) for row in cursor.fetchall()]
        # What was set is for this statement alone.
        transaction.set_rollback(True)
    return "\n".join(lines)


# A walk along the list soon meets these: PostgreSQL may prefer it.
FREQUENT = [{"account": "shop"}, {"first_scene": "poster"}, {"last_scene": "poster"}]
LED_BY: list[tuple[dict[str, str], str]] = [
    ({"account": "shop"}, "subscriber_account"),
    ({"account": "retired"}, "subscriber_account"),
    ({"is_following": "false"}, "subscriber_left"),
    ({"first_scene": "poster"}, "subscriber_first_poster"),
    ({"last_scene": "poster"}, "subscriber_last_poster"),
    ({"unionid": "u1"}, "subscriber_unionid"),
    ({"followed_after": "2026-11-01T11:00:00Z"}, "subscriber_followed_at"),
    ({"followed_before": "2020-11-01T11:00:00Z"}, "subscriber_followed_at"),
    ({"updated_after": "2030-11-01T11:00:00Z"}, "subscriber_updated"),
]


def test_each_filter_leads_through_its_index_in_the_lists_order(followers, subtests):
    _, key = ApiKey.issue(user=User.objects.create_superuser("analyst"), scopes=list(READ_SCOPES))
    for query, index in LED_BY:
        with subtests.test(query=query):
            with CaptureQueriesContext(connection) as queries:
                answer = Client().get(
                    "/api/v1/subscribers/", query, headers={"Authorization": f"Token {key}"}
                )
            assert answer.status_code == 200
            plan = plan_of(
                next(q["sql"] for q in queries.captured_queries if f'FROM "{TABLE}"' in q["sql"])
            )
            walked = query in FREQUENT and "pkey" in plan
            assert walked or re.search(rf"\b{index}\b", plan), plan
            # The index has the hour of a change: the changes within it are sorted.
            if index != "subscriber_updated":
                assert not re.search(r"(?<!Incremental )\bSort  ?\(", plan), plan
            assert "USE TEMP B-TREE FOR ORDER BY" not in plan, plan


def test_the_counts_of_a_scene_are_read_from_its_own_part_of_the_index(followers, operator):
    with CaptureQueriesContext(connection) as queries:
        page = operator.get(reverse("admin:subscribers_qrscene_changelist"))
    (scene,) = page.context["cl"].result_list
    assert (scene.first_count, scene.following_count) == (99, 80)
    (sql,) = [q["sql"] for q in queries.captured_queries if "following_count" in q["sql"]]
    assert plan_of(sql).count("subscriber_first_poster") == 2


def test_the_scenes_can_be_put_in_the_order_of_their_counts(followers, operator):
    QRScene.objects.create(account_id=QRScene.objects.get().account_id, scene="x", name="None yet")
    for order, names in (("-5", ["Poster", "None yet"]), ("5", ["None yet", "Poster"])):
        page = operator.get(reverse("admin:subscribers_qrscene_changelist"), {"o": order})
        assert [scene.name for scene in page.context["cl"].result_list] == names


def test_the_list_of_scenes_made_elsewhere_counts_its_page_alone(followers, operator, monkeypatch):
    account = QRScene.objects.get().account
    SeenScene.objects.note({(account.pk, f"visitor-{n}"): NOW for n in range(120)})
    Subscriber.objects.filter(openid__in=["o101", "o102"]).update(first_scene="visitor-99")
    with CaptureQueriesContext(connection) as queries:
        page = operator.get(reverse("admin:subscribers_seenscene_changelist"))
    seen = page.context["cl"].result_list
    assert [(row.scene, row.first_count) for row in seen if row.first_count] == [("visitor-99", 2)]
    (sql,) = [q["sql"] for q in queries.captured_queries if "following_count" in q["sql"]]
    assert plan_of(sql).count("subscriber_first_poster") == 2
    assert len(re.search(r'"id" IN \(([^)]*)\)', sql)[1].split(",")) == len(seen) == 50

    monkeypatch.setattr(cached_count, "_ROWS_A_SECOND", 0.1)
    for number in (2, 2):
        page = operator.get(reverse("admin:subscribers_seenscene_changelist"))
        assert max(row.first_count for row in page.context["cl"].result_list) == number
        Subscriber.objects.filter(openid="o101").delete()
    caches["process"].clear()


def test_a_scene_made_elsewhere_is_found_by_its_index(followers, operator):
    account = QRScene.objects.get().account
    SeenScene.objects.note({(account.pk, f"visitor-{n}"): NOW for n in range(2000)})
    analyze()
    with CaptureQueriesContext(connection) as queries:
        url = reverse("admin:subscribers_seenscene_changelist")
        page = operator.get(url, {"q": "visitor-7"})
    assert [row.scene for row in page.context["cl"].result_list] == ["visitor-7"]
    sql = next(q["sql"] for q in queries.captured_queries if "'visitor-7'" in q["sql"])
    plan = plan_of(sql)
    assert "seen_scene_once" in plan or "sqlite_autoindex_subscribers_seenscene" in plan, plan
    assert "SCAN subscribers_seenscene" not in plan


def test_messages_whose_window_closes_are_found_among_many_that_wait(followers):
    subscriber = Subscriber.objects.first()
    now = timezone.now()
    OutgoingMessage.objects.bulk_create(
        OutgoingMessage(
            account_id=subscriber.account_id, subscriber=subscriber, kind="text",
            payload={"content": "x"}, due_at=now, window_until=now + datetime.timedelta(hours=40),
        )
        for _ in range(2000)
    )  # fmt: skip
    analyze()
    with CaptureQueriesContext(connection) as queries:
        lease = datetime.timedelta(seconds=60)
        assert OutgoingMessage.objects.urgent(now).claim(now, limit=1, lease=lease) == []
    chosen = next(query["sql"] for query in queries if query["sql"].startswith("SELECT"))
    assert "outgoing_urgent" in plan_of(chosen)
