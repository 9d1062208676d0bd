from __future__ import annotations

import datetime
import html
import itertools
import re
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events.callback.callback_address import callback_path
from events.callback.refusals import store_refusals
from events.models import (
    AccountLimit,
    AlertLimits,
    CallbackRefusal,
    EventLog,
    HealthCount,
    MenuVersion,
    SharedAccessToken,
)
from events.stats.counting.roll_up import roll_up
from events.testing import make_account, message_xml, push
from events.wechat.errors import NotAuthentic
from subscribers.models import OutgoingMessage, ProfileFetch, QRScene, Subscriber
from subscribers.stats.reading.waiting import waiting_followers
from wechat_site.admin.dashboard import alive, latest
from wechat_site.admin.dashboard.latest import last_pushes
from wechat_site.tests.signin.people import browser_of, with_rights

pytestmark = pytest.mark.django_db

DASHBOARD = "/admin/"
DAY = datetime.timedelta(days=1)


@pytest.fixture
def account():
    return make_account(name="Spruce Books")


def midnight(account, days_ago=0):
    """The beginning of a business day of the account, in Unix seconds."""
    today = timezone.now().astimezone(account.zone).replace(hour=0, minute=0, second=0)
    return int((today - datetime.timedelta(days=days_ago)).timestamp())


def figures(client, **query):
    """By name in English, each figure and the same of the days before; the worker has counted."""
    roll_up()
    response = client.get(DASHBOARD, query)
    assert response.status_code == 200
    return {figure.name: (figure.value, figure.before) for figure in response.context["figures"]}


def store(account, number, **columns):
    now = timezone.now()
    defaults = {
        "kind": "event.click", "openid": "o1", "event_time": now, "received_at": now,
        "last_delivered_at": now, "dedup_key": f"{number:032x}", "raw": b"<xml/>",
        "status": "processed",
    }  # fmt: skip
    return EventLog.objects.create(account=account, **(defaults | columns))


def test_people_are_counted_once_a_day(operator, account):
    moments = [midnight(account), midnight(account, 3), midnight(account, 10)]
    for number, at in enumerate(moments):
        push(account, message_xml(openid=f"o{number}", at=at))
    # One leaves and comes back, another leaves: two acts of one person count as one person each.
    push(account, message_xml("event.unsubscribe", openid="o0", at=midnight(account) + 1))
    push(account, message_xml(openid="o0", at=midnight(account) + 2))
    push(account, message_xml("event.unsubscribe", openid="o2", at=midnight(account, 2)))
    assert figures(operator) == {
        "Followers": (2, 1), "New": (2, 1), "Cancelled": (2, 0), "Net": (0, 1),
        "Messages of followers": (0, 0), "Menu taps": (0, 0), "Unanswered": (0, 0),
    }  # fmt: skip
    assert figures(operator, period="today")["New"] == (1, 0)
    assert figures(operator, period="yesterday")["New"] == (0, 0)
    assert figures(operator, period="30")["New"] == (3, 0)
    day = str(timezone.localtime(timezone.now(), account.zone).date() - 3 * DAY)
    assert figures(operator, **{"from": day, "to": day})["New"] == (1, 0)


def test_more_unfollows_and_unanswered_messages_are_shown_as_worse(operator, account):
    noon = midnight(account, 1)
    for number in range(2):
        push(account, message_xml(openid=f"o{number}", at=noon + number))
    push(account, message_xml("event.unsubscribe", openid="o0", at=noon + 9))
    push(account, message_xml("text", openid="o1", at=noon + 9))
    roll_up()
    cards = operator.get(DASHBOARD).content.decode().split("dashboard-figure")
    seen = {
        name: "better" if 'class="better"' in card else "worse" if 'class="worse"' in card else "-"
        for before, card in itertools.pairwise(cards)
        for name in re.findall("<h2>(.+?)</h2>", before)[-1:]
    }
    assert seen["New"] == "better"
    assert seen["Cancelled"] == seen["Unanswered"] == "worse"


def test_a_day_begins_when_it_begins_for_the_account(operator):
    account = make_account(time_zone="Pacific/Kiritimati")
    other = make_account("other", time_zone="Pacific/Pago_Pago")
    push(account, message_xml(openid="before", at=midnight(account) - 1))
    push(account, message_xml(openid="after", at=midnight(account)))
    push(other, message_xml(openid="there", at=midnight(other) - 1))
    assert figures(operator, account="shop", period="today")["New"] == (1, 1)
    assert figures(operator, account="other", period="today")["New"] == (0, 1)


def test_one_account_or_all_together(operator, account):
    other = make_account("other", name="Morning News")
    push(account, message_xml(openid="o1"))
    push(other, message_xml(openid="o2"))
    push(other, message_xml(openid="o3"))
    assert figures(operator)["Followers"] == (3, 0)
    assert figures(operator, account="other")["Followers"] == (2, 0)
    assert figures(operator, account="nonsense")["Followers"] == (3, 0)
    assert len(operator.get(DASHBOARD).context["latest"]) == 3
    latest = operator.get(DASHBOARD, {"account": "other"}).context["latest"]
    assert {event["openid"] for event in latest} == {"o2", "o3"}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"from": "2026-02-30", "to": "2026-03-01"}, "Give a first and a last day."),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "The last day is before the first one."),
        ({"from": "2020-01-01", "to": "2026-01-01"}, "Choose at most a year of days."),
        ({"to": "2026-01-01"}, "Give a first and a last day."),
        ({"period": "1000"}, ""),
    ],
)
def test_days_that_are_none_are_refused_with_a_sentence(operator, account, query, sentence):
    choice = operator.get(DASHBOARD, query).context["choice"]
    assert (str(choice.error), choice.period) == (sentence, "7")


def test_every_number_leads_to_as_many_rows(operator, account):
    """The history has each thing that the page counts, in these days and before."""
    QRScene.objects.create(account=account, scene="poster", name="Poster", due_at=None)
    noon = midnight(account, 1) + 3600
    for number in range(3):
        code = {"EventKey": "qrscene_poster", "Ticket": "T"} if number else {}
        push(account, message_xml(openid=f"o{number}", at=noon + number, **code))
    push(account, message_xml("event.unsubscribe", openid="o1", at=noon + 10))
    push(account, message_xml(openid="early", at=midnight(account, 9)))
    push(account, message_xml("event.CLICK", openid="o0", at=noon + 20, EventKey="HOURS"))
    for number in range(2):
        words = {"Content": " What  is open? ", "MsgId": str(number)}
        push(account, message_xml("text", openid="o2", at=noon + 30 + number, **words))
    roll_up()
    context = operator.get(DASHBOARD, {"account": "shop"}).context
    rows = {figure.name: figure for figure in context["figures"]}
    assert {name: rows_behind(operator, figure.url) for name, figure in rows.items()} == {
        name: figure.value for name, figure in rows.items()
    } | {"Net": None}
    poster, unknown = context["sources"]
    assert (poster.name, poster.source.came, poster.source.still_following) == ("Poster", 2, 1)
    assert (unknown.name, unknown.source.came, unknown.difference) == ("unknown", 1, 0)
    assert [rows_behind(operator, row.url) for row in (poster, unknown)] == [2, 1]
    (entry,) = context["entries"]
    assert (entry.key, entry.taps, entry.people, entry.unanswered) == ("HOURS", 1, 1, 1)
    assert [rows_behind(operator, url) for url in (entry.url, entry.unanswered_url)] == [1, 1]
    (text,) = context["texts"]
    assert (text.text.text, text.text.messages, text.text.people) == ("What is open?", 2, 1)
    assert rows_behind(operator, text.url) == 2
    cells = [cell for _name, row in context["hours"] for cell in row if cell.events]
    assert sum(cell.events for cell in cells) == 7
    assert [rows_behind(operator, cell.url) for cell in cells] == [cell.events for cell in cells]
    assert sum(row.new for row in context["growth"]) == 3
    for row in context["growth"]:
        assert rows_behind(operator, row.new_url) == row.new
        assert rows_behind(operator, row.left_url) == row.left
    (alive,) = context["accounts"]
    # By the time of receipt, so the early one is among them.
    assert (alive.received, alive.unanswered) == (8, 3)
    assert rows_behind(operator, alive.received_url) == 7
    assert rows_behind(operator, alive.unanswered_url) == 3
    assert context["waiting"]["number"] == "1"
    assert operator.get(context["waiting"]["oldest"][0]["url"]).status_code == 200


def rows_behind(client, url):
    """How many rows the list has; None where the address is a place on the page."""
    if url.startswith("?"):
        return None
    response = client.get(url)
    assert response.status_code == 200, url
    return len(response.context["cl"].result_list)


def test_the_tables_come_as_csv(operator, account):
    at = midnight(account)
    push(account, message_xml("event.CLICK", openid="o0", at=at, EventKey="=HYPERLINK()"))
    push(account, message_xml("text", openid="o0", at=at, Content="+1", MsgId="1"))
    push(account, message_xml(openid="o0", at=at))
    roll_up()
    for table, rows in {"growth": 7, "sources": 1, "menu": 1, "hours": 168, "texts": 1}.items():
        response = operator.get("/admin/dashboard.csv", {"table": table, "account": "shop"})
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        text = response.content.decode("utf-8-sig")
        assert len(text.strip().splitlines()) == rows + 1
        assert not re.search(r"(^|,)[=+@]", text, re.MULTILINE)
    assert operator.get("/admin/dashboard.csv", {"table": "users"}).status_code == 404
    user = User.objects.create_user("clerk", is_staff=True)
    operator.force_login(user)
    assert operator.get("/admin/dashboard.csv", {"table": "menu"}).status_code == 403


def test_an_account_is_silent_by_its_own_rhythm(operator, account):
    quiet = make_account("quiet", name="Quiet")
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    for hours in range(28 * 24):
        start = now - datetime.timedelta(hours=hours)
        HealthCount.objects.create(account=account, start=start, received=60)
        if hours % 24 == 0:
            HealthCount.objects.create(account=quiet, start=start, received=1)
    for other in (account, quiet):
        store(other, other.pk, event_time=timezone.now() - datetime.timedelta(hours=1))
    rows = {row.name: row for row in operator.get(DASHBOARD).context["accounts"]}
    assert (rows["Spruce Books"].state, rows["Spruce Books"].colour) == ("silent", "danger")
    assert (rows["Quiet"].state, rows["Quiet"].colour) == ("as usual", "success")
    store(account, 9, event_time=timezone.now() - datetime.timedelta(minutes=8))
    rows = {row.name: row for row in operator.get(DASHBOARD).context["accounts"]}
    assert rows["Spruce Books"].state == "quieter than usual"
    AlertLimits.objects.create(account=account, limits={"silence_late": 20, "silence_down": 50})
    rows = {row.name: row for row in operator.get(DASHBOARD).context["accounts"]}
    assert rows["Spruce Books"].state == "as usual"


def test_the_last_push_is_known_after_a_large_sync(account, monkeypatch):
    monkeypatch.setattr(latest, "_OBSERVATIONS", 2)
    push(account, message_xml(at=int((timezone.now() - DAY).timestamp())))
    roll_up()
    for number in range(3):
        store(account, number, kind="import.follower", source="import")
    assert last_pushes([account], timezone.now())[account.pk] == HealthCount.objects.get().start


def test_each_reason_for_refusals_has_its_own_last_time(operator, account):
    now = timezone.now()
    for reason, minutes in (("SignatureMismatch", 40), ("StaleTimestamp", 10)):
        CallbackRefusal.objects.create(
            minute=now - datetime.timedelta(minutes=minutes), account="shop", reason=reason,
            number=minutes,
        )  # fmt: skip
    told = operator.get(DASHBOARD).context["refusals"]
    ages = [round((now - row.last_at).total_seconds() / 60) for row in told]
    assert ages == [40, 10]


def test_refusals_say_why_and_where_to_mend_it(operator, client, account):
    other = make_account("other", name="Morning News", token="anothertoken")
    for _ in range(3):
        wrong = client.post(
            callback_path(other) + "?signature=x&timestamp=1&nonce=2",
            b"<xml/>",
            content_type="text/xml",
        )
        assert wrong.status_code == 403
    client.post("/wechat/nowhere/?signature=x&timestamp=1&nonce=2", b"", content_type="text/xml")
    store_refusals()
    store_refusals()
    told = operator.get(DASHBOARD).context["refusals"]
    assert [(row.account, row.number) for row in told] == [("Morning News", 3), ("no account", 1)]
    for row in told:
        assert len(str(row.words)) > 30
        assert operator.get(row.url).status_code == 200
    only = operator.get(DASHBOARD, {"account": "shop"}).context["refusals"]
    assert only == []


def test_trouble_with_the_api_is_told_by_account(operator, account):
    SharedAccessToken.objects.create(
        account=account, failure="address", failed_at=timezone.now(), failures=1
    )
    ProfileFetch.objects.create(
        account=account, failure="daily_quota", failed_at=timezone.now(), due_at=timezone.now()
    )
    (row,) = operator.get(DASHBOARD).context["accounts"]
    words = " ".join(trouble.words for trouble in row.troubles)
    assert "IP白名单" in words
    assert "used up until midnight" in words
    assert all(operator.get(trouble.url).status_code == 200 for trouble in row.troubles)


@pytest.mark.parametrize("limited", [False, True])
def test_only_viewers_of_background_jobs_are_linked_there(client, account, limited):
    failed = {"account": account, "failed_at": timezone.now()}
    SharedAccessToken.objects.create(failure="address", failures=1, **failed)
    ProfileFetch.objects.create(failure="fault", due_at=timezone.now(), **failed)
    user = User.objects.create_user("clerk", is_staff=True)
    rights = {"view_officialaccount", "view_taskrun"} if limited else {"view_officialaccount"}
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    if limited:
        AccountLimit.objects.create(user=user).accounts.add(account)
    client.force_login(user)
    client.cookies["django_language"] = "en"
    page = client.get(DASHBOARD)
    (row,) = page.context["accounts"]
    urls = {"IP" in trouble.words: trouble.url for trouble in row.troubles}
    assert urls == {True: row.url, False: ""}
    assert "A fault of this site" in page.content.decode()
    assert "taskrun" not in page.content.decode()
    assert "worker" not in page.context


def test_who_was_answered_does_not_wait(operator, account):
    push(account, message_xml(openid="o1", at=midnight(account)))
    push(account, message_xml("text", openid="o1", Content="Hello", MsgId="1"))
    roll_up()
    waiting = operator.get(DASHBOARD).context["waiting"]
    assert [person["openid"] for person in waiting["oldest"]] == ["o1"]
    assert rows_behind(operator, waiting["url"]) == 1
    OutgoingMessage.objects.create(
        account=account, subscriber=Subscriber.objects.get(), kind="text",
        payload={"content": "Yes"}, window_until=timezone.now(),
    )  # fmt: skip
    assert operator.get(DASHBOARD).context["waiting"]["number"] == "0"


def test_who_left_does_not_wait_and_hides_nobody(account):
    for number in range(30):
        openid = f"o{number:02}"
        push(account, message_xml(openid=openid))
        push(account, message_xml("text", openid=openid, Content="?", MsgId=f"1{number}"))
        if number not in {3, 28}:
            push(account, message_xml("event.unsubscribe", openid=openid))
    roll_up()
    found = waiting_followers([account.pk], timezone.now(), limit=2)
    assert [(row.openid, row.messages) for row in found] == [("o03", 1), ("o28", 1)]
    found = waiting_followers([account.pk], timezone.now(), limit=1)
    assert [row.openid for row in found] == ["o03"]


def test_who_waits_is_who_may_still_be_answered(operator, account, settings):
    push(account, message_xml("text", at=int(timezone.now().timestamp()) - 7200, Content="?"))
    roll_up()
    assert operator.get(DASHBOARD).context["waiting"]["number"] == "1"
    settings.MESSAGE_WINDOWS = settings.MESSAGE_WINDOWS | {"message": (5, 3600)}
    cache.clear()
    assert operator.get(DASHBOARD).context["waiting"]["number"] == "0"


def test_the_number_of_questions_is_fixed_and_none_counts_the_log(operator, account):
    def statements(**query):
        operator.get(DASHBOARD, query)
        with CaptureQueriesContext(connection) as queries:
            assert operator.get(DASHBOARD, query).status_code == 200
        return [query["sql"] for query in queries.captured_queries]

    push(account, message_xml())
    push(account, message_xml("text", Content="Hello", MsgId="1"))
    store(account, 1, event_key="KEY")
    roll_up()
    few = statements()
    make_account("other", time_zone="America/Havana")
    for number in range(2, 60):
        at = timezone.now() - datetime.timedelta(hours=number)
        store(account, number, event_key=f"KEY{number}", event_time=at)
        store(account, 100 + number, kind="text", raw=message_xml("text", Content=str(number)))
    roll_up()
    many = statements()
    assert len(many) == len(few) <= 45
    # None more for the days of three months, or for one account.
    assert len(statements(period="90")) == len(few)
    assert len(statements(account="shop")) <= len(few)
    of_log = [sql for sql in many if 'FROM "events_eventlog"' in sql]
    assert of_log
    # The kinds that occur are found by the smallest after each one, as a test of plans makes sure.
    bounds = ("LIMIT", "MIN(KIND)")
    assert not [
        sql
        for sql in of_log
        if "COUNT(" in sql.upper() or not any(bound in sql.upper() for bound in bounds)
    ]


def test_what_needs_attention_is_counted_up_to_a_bound_and_linked(operator, account):
    for number in range(120):
        store(account, number, status="dead")
    store(account, 200, status="set_aside")
    store(account, 201)
    attention = operator.get(DASHBOARD).context["attention"]
    assert [(item["status"], item["number"]) for item in attention] == [
        ("given up", "99+"),
        ("quarantined", "1"),
    ]
    log = reverse("admin:events_eventlog_changelist")
    assert attention[0]["url"] == f"{log}?status=dead"
    (link,) = {
        item["url"]
        for item in operator.get(DASHBOARD, {"account": "shop"}).context["attention"]
        if item["number"] == "1"
    }
    assert len(operator.get(link).context["cl"].result_list) == 1
    assert "account=shop" in link


def test_unknown_kinds_are_named_and_linked(operator, account):
    store(account, 1)
    event = store(account, 2, kind="event.from_the_future")
    ((kind, url),) = operator.get(DASHBOARD).context["unknown_kinds"]
    assert kind == "event.from_the_future"
    assert list(operator.get(url).context["cl"].result_list) == [event]


def test_every_account_says_when_its_last_event_came(operator, account):
    now = timezone.now()
    make_account("silent", name="Silent")
    make_account("off", name="Off", is_active=False)
    make_account("half", name="Half", token="")
    store(account, 1, event_time=now - datetime.timedelta(hours=3))
    # A push dated 2100 is quarantined and must not look like a sign of life for decades.
    store(account, 2, event_time=now + datetime.timedelta(days=9999), status="set_aside")
    response = operator.get(DASHBOARD)
    states = {row.name: (str(row.state), row.last_event_at) for row in response.context["accounts"]}
    assert states == {
        "Spruce Books": ("too new to tell", now - datetime.timedelta(hours=3)),
        "Silent": ("no event yet", None),
        "Off": ("inactive", None),
        "Half": ("no token is set", None),
    }
    text = re.sub(r"\s+", " ", response.content.decode().replace("\xa0", " "))
    assert "3 hours ago" in text
    assert "no event yet" in text


def test_the_last_event_of_a_silent_account_is_found_by_an_index_that_begins_with_it(account):
    """Through the other one by time, ten million events of others take seconds."""
    store(account, 1)
    with CaptureQueriesContext(connection) as captured:
        last_pushes([account], timezone.now())
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # A partition of one row is quicker read whole, or sorted; a real one is not.
            for other in ("seqscan", "bitmapscan", "sort"):
                cursor.execute(f"SET LOCAL enable_{other} = off")
            # The index on account and time, or the unique key, which begins like it.
            explain, index = "EXPLAIN", r"account_id_event_time_(dedup_key_key|idx)"
        else:
            explain, index = "EXPLAIN QUERY PLAN", r"event_account_time|autoindex_events_eventlog"
        cursor.execute(f"{explain} {captured[0]['sql']}")
        plan = " ".join(str(row) for row in cursor.fetchall())
    assert len(re.findall(index, plan)) >= 3, plan
    by_time_alone = r"event_by_time|(?<!account_id_)event_time_id_idx"
    assert not re.search(rf"{by_time_alone}|Seq Scan on events_eventlog", plan), plan
    assert not re.search(r"\bSort  ?\(|TEMP B-TREE", plan), plan


def test_what_wechat_was_asked_is_no_sign_of_life_of_its_pushes(operator, account):
    def last_event_at():
        (row,) = operator.get(DASHBOARD).context["accounts"]
        return row.last_event_at

    now = timezone.now()
    store(account, 1, event_time=now, kind="import.follower", source="import")
    assert last_event_at() is None
    store(account, 2, event_time=now - datetime.timedelta(hours=3))
    assert last_event_at() == now - datetime.timedelta(hours=3)


def test_operators_see_what_they_may_see(client, account):
    push(account, message_xml(openid="oSomebody"))
    user = User.objects.create_user("clerk", is_staff=True)
    client.force_login(user)
    client.cookies["django_language"] = "en"
    page = client.get(DASHBOARD)
    assert page.status_code == 200
    assert "oSomebody" not in page.content.decode()
    for part in (
        *("figures", "growth", "sources", "entries", "hours", "texts", "latest", "attention"),
        *("unknown_kinds", "waiting", "accounts", "refusals", "worker"),
    ):
        assert part not in page.context
    user.user_permissions.add(Permission.objects.get(codename="view_subscriber"))
    QRScene.objects.create(account=account, scene="poster", name="Poster", due_at=None)
    push(account, message_xml(openid="oByCode", EventKey="qrscene_poster", Ticket="T"))
    roll_up()
    page = client.get(DASHBOARD)
    assert "Poster" in page.content.decode()
    assert "/qrscene/" not in page.content.decode()
    assert "Followers" in {figure.name for figure in page.context["figures"]}
    assert "Menu taps" not in {figure.name for figure in page.context["figures"]}
    assert "latest" not in page.context
    assert "oSomebody" not in page.content.decode()


def test_a_limited_person_sees_his_accounts_without_contents_and_openids(client, account):
    other = make_account("other", name="Morning News")
    for each in (account, other):
        push(each, message_xml(openid="oSomebody-of-some-length", at=midnight(each)))
        words = {"Content": f"Words to {each.name}", "MsgId": "1"}
        push(each, message_xml("text", openid="oSomebody-of-some-length", **words))
    client.post("/wechat/nowhere/?signature=x&timestamp=1&nonce=2", b"", content_type="text/xml")
    store_refusals()
    roll_up()
    user = User.objects.create_user("clerk", is_staff=True)
    for right in ("view_subscriber", "view_eventlog", "view_officialaccount"):
        user.user_permissions.add(Permission.objects.get(codename=right))
    AccountLimit.objects.create(user=user).accounts.add(account)
    client.force_login(user)
    client.cookies["django_language"] = "en"
    for query in ({}, {"account": "other"}):
        page = client.get(DASHBOARD, query)
        text = page.content.decode()
        assert "Morning News" not in text
        assert "Words to" not in text
        assert "oSomebody" not in text
        assert "texts" not in page.context
        assert page.context["refusals"] == []
        numbers = {figure.name: figure.value for figure in page.context["figures"]}
        assert (numbers["Followers"], numbers["Messages of followers"]) == (1, 1)
        assert page.context["waiting"]["number"] == "1"
    for table in ("growth", "sources", "menu", "hours"):
        csv = client.get("/admin/dashboard.csv", {"table": table, "account": "other"})
        assert "Morning News" not in csv.content.decode()
    assert client.get("/admin/dashboard.csv", {"table": "texts"}).status_code == 403
    # Whether somebody wrote these words is not to be found out by a filter.
    asked = client.get(log_url_of(text="Words to Spruce Books"))
    assert not asked.context["cl"].result_list


@pytest.mark.parametrize(
    "right",
    ["events.view_officialaccount", "subscribers.view_subscriber", "subscribers.view_followersync"],
)
def test_each_link_leads_to_a_page_that_admits_its_reader(account, right):
    push(account, message_xml(openid="oSomebody", at=midnight(account)))
    refused = {"failure": "permission", "failed_at": timezone.now(), "due_at": None}
    ProfileFetch.objects.update_or_create(account=account, defaults=refused)
    roll_up()
    browser = browser_of(with_rights("clerk", right))
    page = browser.get(DASHBOARD)
    shown = page.content.decode().partition('id="dashboard-live"')[2]
    assert {
        "events.view_officialaccount": "Answered late",
        "subscribers.view_subscriber": "As a table",
        "subscribers.view_followersync": "Followers not accessible (48001): Spruce Books",
    }[right] in shown
    links = {html.unescape(link) for link in re.findall(r'<a href="(/[^"]+)"', shown)}
    assert [link for link in links if browser.get(link).status_code != 200] == []


def log_url_of(**filters):
    return f"{reverse('admin:events_eventlog_changelist')}?{urlencode(filters)}"


def test_an_empty_site_says_how_to_begin(operator):
    assert "Add an Official Account" in operator.get(DASHBOARD).content.decode()


def test_the_live_part_is_refreshed_by_a_script_of_our_own(operator, account):
    page = operator.get(DASHBOARD)
    assert 'id="dashboard-live"' in page.content.decode()
    assert "wechat_site/live.js" in page.content.decode()
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_of_the_admin_opens_in_both_languages(operator, account, language):
    operator.cookies["django_language"] = language
    push(account, message_xml())
    group = Group.objects.create(name="Night shift")
    roll_up()
    page = operator.get(DASHBOARD, {"period": "today"}).content.decode()
    for words in {
        "en": ("Where followers came from", "Nothing was refused."),
        "zh-hans": ("粉丝来源", "没有被拒绝的请求。"),
    }[language]:
        assert words in page
    for model in ("eventlog", "officialaccount", "replyrule", "apikey"):
        assert operator.get(reverse(f"admin:events_{model}_changelist")).status_code == 200
    for model in ("subscriber", "qrscene", "binding", "bindingrequest", "bindingscan"):
        assert operator.get(reverse(f"admin:subscribers_{model}_changelist")).status_code == 200
    for row in (User.objects.get(), group, Subscriber.objects.get(), account):
        meta = row._meta
        url = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
        assert operator.get(url).status_code == 200


def test_signing_in_leads_to_the_dashboard(client):
    User.objects.create_superuser("operator", password="a password")
    form = {"username": "operator", "password": "a password"}
    page = client.get(DASHBOARD, follow=True)
    assert client.post(page.request["PATH_INFO"], form).headers["Location"] == DASHBOARD


def test_the_latest_events_name_menu_entries(operator, account):
    menu = {"button": [{"type": "click", "name": "我的订单", "key": "MENU_MY_ORDERS"}]}
    MenuVersion.objects.create(account=account, menu=menu, published_at=timezone.now(), due_at=None)
    push(account, message_xml("event.CLICK", EventKey="MENU_MY_ORDERS"))
    shown = operator.get(DASHBOARD).content.decode()
    assert "我的订单 <small>(former)</small>" in shown
    assert "MENU_MY_ORDERS" in shown


def test_each_reason_of_a_refusal_has_words():
    reasons = {kind.__name__ for kind in (NotAuthentic, *NotAuthentic.__subclasses__())}
    assert reasons <= alive._REASONS.keys()
