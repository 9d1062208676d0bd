from __future__ import annotations

import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events.binding_scenes import MASK, new_binding_scene
from events.callback.build_event import build_event
from events.kinds import KINDS
from events.log.process import process_due
from events.log.registry import projection, reply_handler
from events.models import EventLog
from events.testing import make_account, message_xml, push

pytestmark = pytest.mark.django_db

LOG = "admin:events_eventlog_changelist"


@pytest.fixture
def account():
    return make_account(name="Spruce Books")


def store(account, number, **columns):
    now = timezone.now()
    defaults = {
        "kind": "event.click",
        "msg_type": "event",
        "event": "CLICK",
        "event_key": f"KEY_{number}",
        "openid": f"o{number}",
        "event_time": now,
        "received_at": now,
        "last_delivered_at": now,
        "dedup_key": f"{number:032x}",
        "raw": b"<xml><A>1</A></xml>",
        "status": "processed",
    }
    return EventLog.objects.create(account=account, **(defaults | columns))


def listed(response):
    return [event.pk for event in response.context["cl"].result_list]


def detail(operator, event):
    return operator.get(reverse("admin:events_eventlog_change", args=[event.pk])).content.decode()


# --- Pages -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"kind": "event.click"},
        {"account": "shop", "days": "7"},
        {"q": "o1"},
        {"_facets": "True"},
    ],
)
def test_a_page_of_the_log_costs_the_same_however_long_the_log(operator, account, query):
    def statements():
        with CaptureQueriesContext(connection) as queries:
            assert operator.get(reverse(LOG), query).status_code == 200
        return [query["sql"] for query in queries.captured_queries]

    store(account, 1)
    statements()  # notes in the audit list that somebody looks
    few = statements()
    for number in range(2, 130):
        store(account, number)
    many = statements()
    assert len(many) == len(few) <= 10
    of_log = [sql for sql in many if "events_eventlog" in sql]
    assert of_log
    assert not [sql for sql in of_log if "COUNT(" in sql.upper() or "OFFSET" in sql.upper()]


def test_older_and_newer_lead_through_the_whole_log_and_back(operator, account):
    ids = [store(account, number).pk for number in range(120)][::-1]
    page = operator.get(reverse(LOG))
    assert (listed(page), page.context["cl"].newer_url) == (ids[:50], None)
    store(account, 999)  # what arrives meanwhile moves nothing
    second = operator.get(reverse(LOG) + page.context["cl"].older_url)
    assert listed(second) == ids[50:100]
    third = operator.get(reverse(LOG) + second.context["cl"].older_url)
    assert (listed(third), third.context["cl"].older_url) == (ids[100:], None)
    back = operator.get(reverse(LOG) + third.context["cl"].newer_url)
    assert listed(back) == ids[50:100]
    assert 'rel="next"' in page.content.decode()


def test_the_links_keep_the_filters(operator, account):
    for number in range(60):
        store(account, number)
    page = operator.get(reverse(LOG), {"kind": "event.click", "account": "shop"})
    query = parse_qs(urlsplit(page.context["cl"].older_url).query)
    assert (query["kind"], query["account"]) == (["event.click"], ["shop"])


@pytest.mark.parametrize("nonsense", ["x", "-1", "9" * 40, "²", ""])
def test_a_malformed_place_shows_the_newest(operator, account, nonsense):
    event = store(account, 1)
    assert listed(operator.get(reverse(LOG), {"older_than": nonsense})) == [event.pk]


# --- Finding -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ({"q": "o2"}, 2),
        ({"q": " o2 "}, 2),
        ({"q": "KEY_3"}, 3),
        ({"q": "poster"}, 4),
        ({"account": "other"}, 5),
        ({"kind": "text"}, 6),
        ({"status": "dead"}, 7),
        ({"q": "KEY_2", "account": "other"}, None),
        ({"q": "KEY"}, None),
    ],
)
def test_search_is_exact_and_filters_narrow_it(operator, account, query, number):
    events = {
        2: store(account, 2),
        3: store(account, 3),
        4: store(account, 4, kind="event.scan", scene="poster", event_key="poster"),
        5: store(make_account("other"), 5),
        6: store(account, 6, kind="text", event_key=""),
        7: store(account, 7, status="dead", kind="event.view"),
    }
    found = listed(operator.get(reverse(LOG), query))
    assert found == ([events[number].pk] if number else [])


@pytest.mark.parametrize("form", ["{}", "#{}"])
def test_an_event_is_found_by_its_number(operator, account, form):
    store(account, 1)
    event = store(account, 2)
    store(account, 3)
    assert listed(operator.get(reverse(LOG), {"q": form.format(event.pk)})) == [event.pk]


def test_the_time_filter_begins_with_the_sites_day(operator, account):
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    this = store(account, 1, event_time=today)
    last = store(account, 2, event_time=today - datetime.timedelta(seconds=1))
    week = store(account, 3, event_time=today - datetime.timedelta(days=6))
    store(account, 4, event_time=today - datetime.timedelta(days=30))
    assert listed(operator.get(reverse(LOG), {"days": "1"})) == [this.pk]
    assert listed(operator.get(reverse(LOG), {"days": "7"})) == [this.pk, last.pk, week.pk]
    assert len(listed(operator.get(reverse(LOG), {"days": "30"}))) == 3


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_time_filter_begins_with_the_chosen_accounts_day(operator, zone):
    account = make_account(time_zone=zone)
    today = (
        timezone.now().astimezone(account.zone).replace(hour=0, minute=0, second=0, microsecond=0)
    )
    this = store(account, 1, event_time=today)
    store(account, 2, event_time=today - datetime.timedelta(seconds=1))
    query = {"account": account.slug, "days": "1"}
    assert listed(operator.get(reverse(LOG), query)) == [this.pk]


def test_kinds_that_occur_can_be_chosen_and_unknown_ones_are_marked(operator, account):
    store(account, 1)
    store(account, 2, kind="event.from_the_future")
    page = operator.get(reverse(LOG))
    (choices,) = [
        spec.lookup_choices
        for spec in page.context["cl"].filter_specs
        if spec.parameter_name == "kind"
    ]
    assert choices == [
        ("event.click", "menu click"),
        ("event.from_the_future", "unknown: event.from_the_future"),
    ]
    assert "(unknown)" in page.content.decode()


def test_every_documented_payload_has_a_name():
    payloads = sorted((Path(__file__).parents[1] / "wechat" / "payloads").glob("*.xml"))
    account = make_account()
    kinds = {build_event(account, path.read_bytes(), timezone.now()).kind for path in payloads}
    assert len(kinds) > 50
    assert not kinds - set(KINDS)


def test_times_are_those_of_the_account(operator):
    account = make_account(time_zone="America/New_York")
    at = datetime.datetime(2026, 7, 1, 2, 30, tzinfo=datetime.UTC)
    event = store(account, 1, event_time=at)
    assert "2026-06-30 22:30:00" in operator.get(reverse(LOG)).content.decode()
    assert "2026-06-30 22:30:00" in detail(operator, event)


# --- One event ---------------------------------------------------------------------------------


def test_the_page_of_an_event_shows_what_arrived_and_what_became_of_it(operator, account):
    body = message_xml(
        "event.scancode_waitmsg", EventKey="SCAN", Content="<script>alert(1)</script>"
    ).replace(b"</xml>", b"<ScanCodeInfo><ScanType>qrcode</ScanType></ScanCodeInfo></xml>")
    push(account, body)
    page = detail(operator, EventLog.objects.get())
    assert "<th>ScanCodeInfo</th><td><table" in page
    assert "<th>ScanType</th><td>qrcode</td>" in page
    assert "&lt;ScanType&gt;qrcode" in page  # the body as received
    assert "<script>alert(1)" not in page
    assert "q=oT3xk5QmZb7LwR2nVc9Ys0DfHj4E" in page


def test_an_unreadable_body_is_shown_as_received(operator, account):
    push(account, b"<xml><broken")
    page = detail(operator, EventLog.objects.get())
    assert "The body cannot be read." in page
    assert "&lt;broken" in page


def test_the_error_is_folded_behind_its_last_line(operator, account):
    event = store(account, 1, status="dead", error="Traceback\n  File x\nValueError: no <b>luck\n")
    assert "<summary>ValueError: no &lt;b&gt;luck</summary>" in detail(operator, event)


@pytest.mark.parametrize(
    "body", ["<EventKey>{}</EventKey><Ticket>gQSECRET</Ticket>", "<broken {} gQSECRET"]
)
def test_a_binding_code_is_shown_nowhere(operator, account, body):
    scene = new_binding_scene()
    event = store(
        account,
        1,
        kind="event.scan",
        scene=scene,
        event_key=scene,
        ticket="gQSECRET",
        raw=f"<xml>{body.format(scene)}</xml>".encode(),
        reply=f"<xml>{scene}</xml>",
        error=f"ValueError: {scene} gQSECRET",
        status="failed",
    )
    history = reverse("admin:events_eventlog_history", args=[event.pk])
    for page in (
        operator.get(reverse(LOG)).content.decode(),
        detail(operator, event),
        operator.get(history).content.decode(),
        operator.get(reverse("admin:index")).content.decode(),
    ):
        assert scene not in page
        assert "gQSECRET" not in page
    assert MASK in detail(operator, event)


@pytest.mark.parametrize("view", ["add", "delete"])
def test_the_log_cannot_be_written(operator, account, view):
    event = store(account, 1)
    args = [] if view == "add" else [event.pk]
    assert operator.post(reverse(f"admin:events_eventlog_{view}", args=args)).status_code == 403
    change = reverse("admin:events_eventlog_change", args=[event.pk])
    assert operator.post(change, {"status": "dead"}).status_code == 403
    assert EventLog.objects.get().status == "processed"


# --- Trying again ------------------------------------------------------------------------------


@pytest.fixture
def failed(account, own_registries):
    """An event whose reply handler fails until the returned list is emptied."""
    trouble = ["the service is down"]

    @reply_handler("image")
    def handler(event):
        if trouble:
            raise RuntimeError(trouble[0])

    push(account, message_xml("image", MsgId=1, PicUrl="http://p", MediaId="m"))
    event = EventLog.objects.get()
    assert event.status == "failed"
    return event, trouble


def test_a_failed_event_is_tried_again_from_its_page(operator, failed):
    event, trouble = failed
    url = reverse("admin:events_eventlog_try_this_again", args=[event.pk])
    assert url in detail(operator, event)
    assert operator.get(url).status_code == 200
    assert EventLog.objects.get().attempts == 1  # looking at the question does nothing
    page = operator.post(url, follow=True).content.decode()
    assert "1 event is with the worker" in page
    # The page runs no handler, which may take its time.
    assert EventLog.objects.get().attempts == 0
    process_due()
    assert EventLog.objects.get().attempts == 1
    trouble.clear()
    operator.post(url)
    process_due()
    assert EventLog.objects.get().status == "processed"
    assert url not in detail(operator, event)


def test_what_cannot_be_folded_fails_again_at_once(operator, account, own_registries):
    @projection("image")
    def fails(event):
        raise RuntimeError

    push(account, message_xml("image", MsgId=1, PicUrl="http://p", MediaId="m"))
    EventLog.objects.update(status="dead", attempts=6, next_attempt_at=None)
    event = EventLog.objects.get()
    url = reverse("admin:events_eventlog_try_this_again", args=[event.pk])
    assert "1 event failed again." in operator.post(url, follow=True).content.decode()


def test_mended_events_are_found(operator, account):
    store(account, 1)
    mended = store(account, 2, mended=True)
    assert listed(operator.get(reverse(LOG), {"mended": "yes"})) == [mended.pk]


def test_chosen_events_are_tried_again_and_processed_ones_left_alone(operator, account, failed):
    event, trouble = failed
    trouble.clear()
    fine = store(account, 5)
    choice = {"action": "try_again", "_selected_action": [event.pk, fine.pk]}
    page = operator.post(reverse(LOG), choice, follow=True).content.decode()
    assert "1 event is with the worker" in page
    process_due()
    assert EventLog.objects.get(pk=event.pk).status == "processed"
    assert EventLog.objects.get(pk=fine.pk).processed_at is None


def test_who_may_only_look_sees_the_log_and_cannot_try_again(client, failed):
    event, trouble = failed
    trouble.clear()
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_eventlog"))
    client.force_login(viewer)
    assert listed(client.get(reverse(LOG))) == [event.pk]
    url = reverse("admin:events_eventlog_try_this_again", args=[event.pk])
    page = client.get(reverse("admin:events_eventlog_change", args=[event.pk]))
    assert page.status_code == 200
    assert url not in page.content.decode()
    assert client.post(url).status_code == 403
    client.post(reverse(LOG), {"action": "try_again", "_selected_action": [event.pk]})
    assert EventLog.objects.get().status == "failed"


def test_who_may_not_look_sees_nothing(client, account):
    store(account, 1)
    client.force_login(User.objects.create_user("clerk", is_staff=True))
    assert client.get(reverse(LOG)).status_code == 403
