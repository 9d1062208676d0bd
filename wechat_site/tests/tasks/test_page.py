"""What operators and metrics see of the background work."""

from __future__ import annotations

import datetime

import pytest
from django.contrib.auth.models import Permission, User
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events.jobs.queues import EventQueue
from events.models import EventLog, LiveMenu, MenuVersion, TaskRun
from events.testing import make_account, message_xml, push
from events.wechat.api.custom_messages import TextMessage
from subscribers.messages.send import send_message
from subscribers.models import FollowerEdit, FollowerSync, OutgoingMessage, QRScene, Subscriber
from wechat_site.admin.tasks import _list_url
from wechat_site.tasks import TASKS
from wechat_site.tests.signin.people import browser_of, with_rights, with_role

pytestmark = pytest.mark.django_db

PAGE = "/admin/events/taskrun/"
AGAIN = f"{PAGE}try-again/?task=messages&reason=busy"
RUN_NOW = f"{PAGE}run-now/?task=binding+requests"


@pytest.fixture
def subscriber():
    push(make_account(), message_xml("text", Content="x", MsgId=1))
    return Subscriber.objects.get()


def fail(subscriber, failure="busy", **columns):
    message = send_message(subscriber, TextMessage("x"))
    values = {"state": "failed", "failure": failure, "failed_at": timezone.now(), "due_at": None}
    OutgoingMessage.objects.filter(pk=message.pk).update(**(values | columns))
    return message


def queue_on(response, name="messages"):
    index = [task.name for task in TASKS if task.queue].index(name)
    return response.context["queues"][index]


def test_depth_age_and_failures_are_shown(operator, subscriber):
    for _ in range(2):
        send_message(subscriber, TextMessage("x"))
    OutgoingMessage.objects.update(due_at=timezone.now() - datetime.timedelta(minutes=7))
    for _ in range(2):
        fail(subscriber)
    fail(subscriber, "permission")
    response = operator.get(PAGE)
    queue = queue_on(response)
    assert queue["waiting"] == "2"
    assert queue["oldest"] == "7\xa0minutes"
    assert [(f["number"], str(f["reason"])) for f in queue["failures"]] == [
        (2, "WeChat is busy."),
        (1, "The account has no right to send customer-service messages."),
    ]
    listed = operator.get(queue["failures"][0]["url"]).context["cl"].result_list
    assert len(listed) == 2


def test_what_is_known_of_a_kind_of_work_is_said_of_it(operator, subscriber):
    failed = {"due_at": None, "failure": "permission", "failed_at": timezone.now()}
    QRScene.objects.create(account=subscriber.account, scene="a", name="A", **failed)
    FollowerSync.objects.create(account=subscriber.account, requested_at=timezone.now(), **failed)
    page = operator.get(PAGE)
    (of_codes,) = queue_on(page, "QR codes")["failures"]
    assert "QR codes with a scene" in of_codes["reason"]
    (of_syncs,) = queue_on(page, "follower sync")["failures"]
    assert "ask for its followers" in of_syncs["reason"]


def test_menus_that_failed_are_told_listed_and_tried_again(operator, subscriber):
    failed = {"due_at": None, "failure": "permission", "failed_at": timezone.now()}
    account = subscriber.account
    version = MenuVersion.objects.create(account=account, **failed)
    LiveMenu.objects.create(account=account, **failed)
    for name, row in (("menus to publish", version), ("menus at WeChat", account.live_menu)):
        (failure,) = queue_on(operator.get(PAGE), name)["failures"]
        sentence = "WeChat does not let this account call this API (接口未授权)."
        assert (str(failure["reason"]), failure["number"]) == (sentence, 1)
        assert sentence in operator.get(failure["again"]).content.decode()
        assert list(operator.get(failure["url"]).context["cl"].result_list) == [row]
        operator.post(failure["again"])
        row.refresh_from_db()
        assert row.due_at is not None
        queue = queue_on(operator.get(PAGE), name)
        assert (queue["waiting"], queue["failures"]) == ("1", [])


def test_each_queue_has_a_list_of_what_failed(operator):
    for task in TASKS:
        if task.queue is not None:
            assert operator.get(_list_url(task.queue, "busy")).status_code == 200, task.name


def test_events_are_counted_by_their_exception(operator, subscriber):
    error = "Traceback …\n  File …\nshop.errors.OutOfStock: none left\n"
    EventLog.objects.update(status="dead", error=error, next_attempt_at=None)
    (failure,) = queue_on(operator.get(PAGE), "events")["failures"]
    assert (failure["reason"], failure["number"]) == ("OutOfStock", 1)
    operator.post(failure["again"])
    event = EventLog.objects.get()
    assert (event.status, event.attempts) == ("failed", 0)
    assert EventQueue().waiting() == 1
    assert EventQueue().due_since(timezone.now()) is not None


def test_events_that_failed_long_ago_are_not_counted(operator, subscriber):
    long_ago = timezone.now() - datetime.timedelta(days=31)
    EventLog.objects.update(
        status="dead", error="KeyError: 'x'", next_attempt_at=None, received_at=long_ago
    )
    assert queue_on(operator.get(PAGE), "events")["failures"] == []
    assert EventQueue().try_again("KeyError", timezone.now()) == 0


def test_trying_again_asks_first(operator, subscriber):
    fail(subscriber)
    fail(subscriber, "permission")
    assert "1 row" in operator.get(AGAIN).content.decode()
    assert OutgoingMessage.objects.waiting().count() == 0
    assert "1 row queued." in operator.post(AGAIN, follow=True).content.decode()
    assert OutgoingMessage.objects.waiting().get().failure == "busy"
    assert "None of these rows" in operator.post(AGAIN, follow=True).content.decode()


def test_running_now_asks_first(operator):
    later = timezone.now() + datetime.timedelta(hours=1)
    TaskRun.objects.create(name="binding requests", next_run_at=later)
    assert operator.get(RUN_NOW).status_code == 200
    assert TaskRun.objects.get().next_run_at == later
    assert operator.post(RUN_NOW).status_code == 302
    assert TaskRun.objects.get().next_run_at <= timezone.now()


def test_the_last_run_is_shown(operator):
    now = timezone.now()
    TaskRun.objects.create(
        name="binding requests", finished_at=now, duration_ms=1500, error="OSError: no <disk>",
        failures=1, next_run_at=now,
    )  # fmt: skip
    TaskRun.objects.create(name="events", finished_at=now, served=3, served_in_all=70)
    TaskRun.objects.create(name="no more", finished_at=now, error="gone")
    page = operator.get(PAGE).content.decode()
    assert "(1.5 s)" in page
    assert "OSError: no &lt;disk&gt;" in page
    assert "3 served, 70 in all" in page
    assert "gone" not in page


def test_a_task_whose_worker_was_killed_does_not_run(operator):
    now = timezone.now()
    minute = datetime.timedelta(minutes=1)
    TaskRun.objects.create(name="retention", lease="x", leased_until=now + minute)
    assert ">running<" in operator.get(PAGE).content.decode()
    TaskRun.objects.update(leased_until=now - minute)
    assert ">running<" not in operator.get(PAGE).content.decode()


def test_a_silence_of_all_workers_is_noticed(operator):
    assert "No worker has run" in operator.get(PAGE).content.decode()
    TaskRun.objects.create(name="events", finished_at=timezone.now())
    assert "No worker has run" not in operator.get(PAGE).content.decode()
    TaskRun.objects.update(finished_at=timezone.now() - datetime.timedelta(minutes=5))
    assert "No worker has run" in operator.get(PAGE).content.decode()


def test_rights(client, subscriber):
    def allow(*names):
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client.force_login(User.objects.get(pk=user.pk))

    fail(subscriber)
    TaskRun.objects.create(name="binding requests")
    user = User.objects.create_user("clerk", is_staff=True)
    allow("view_eventlog")
    assert client.get(PAGE).status_code == 404
    allow("view_taskrun")
    page = client.get(PAGE).content.decode()
    assert "try-again" not in page
    assert "run-now" not in page
    for url in (AGAIN, RUN_NOW):
        assert client.post(url).status_code == 404
    allow("view_taskrun", "change_outgoingmessage")
    assert "try-again" in client.get(PAGE).content.decode()
    assert client.post(AGAIN).status_code == 302
    assert client.post(RUN_NOW).status_code == 404


def test_an_administrator_may_try_everything_again(subscriber):
    browser = browser_of(with_role("lin", "administrator"))
    for task in TASKS:
        if task.queue is not None:
            asked = browser.get(f"{PAGE}try-again/", {"task": task.name, "reason": "busy"})
            assert asked.status_code == 200, task.name
    edit = FollowerEdit.objects.create(
        account=subscriber.account, act="tag", tag_name="x", people=[subscriber.pk], due_at=None,
        failure="busy", failed_at=timezone.now(),
    )  # fmt: skip
    viewer = browser_of(with_rights("wei", "events.view_taskrun"))
    (failure,) = queue_on(viewer.get(PAGE), "changes of followers")["failures"]
    assert failure["again"] == ""
    (failure,) = queue_on(browser.get(PAGE), "changes of followers")["failures"]
    assert browser.post(failure["again"]).status_code == 302
    edit.refresh_from_db()
    assert edit.due_at is not None


@pytest.mark.parametrize(
    "url", [f"{PAGE}try-again/?task=x", f"{PAGE}run-now/?task=messages", f"{PAGE}try-again/"]
)
def test_what_there_is_not_is_not_found(operator, url):
    assert operator.get(url).status_code == 404


# --- Metrics -----------------------------------------------------------------------------------


def metrics(client):
    lines = client.get("/metrics").content.decode().splitlines()
    return dict(
        line.rsplit(" ", 1) for line in lines if line.startswith(("wechat_jobs", "wechat_task"))
    )


def test_queues_and_tasks_are_metrics(client, subscriber):
    send_message(subscriber, TextMessage("x"))
    OutgoingMessage.objects.update(due_at=timezone.now() - datetime.timedelta(minutes=7))
    fail(subscriber)
    TaskRun.objects.create(name="events", finished_at=timezone.now(), failures=2)
    read = metrics(client)
    assert read['wechat_jobs_waiting{task="messages"}'] == "1.0"
    assert 420 <= float(read['wechat_jobs_oldest_seconds{task="messages"}']) < 440
    assert read['wechat_jobs_failed{reason="busy",task="messages"}'] == "1.0"
    assert read['wechat_jobs_waiting{task="events"}'] == "0.0"
    assert read['wechat_task_failures{task="events"}'] == "2.0"
    assert 'wechat_task_last_run_timestamp_seconds{task="events"}' in read


def test_metrics_of_this_process_are_there_without_the_database(client, monkeypatch, caplog):
    def away(*args):
        raise OperationalError("gone")

    monkeypatch.setattr(EventQueue, "waiting", away)
    body = client.get("/metrics").content.decode()
    assert "wechat_callbacks_total" in body
    assert "wechat_jobs_waiting" not in body


def test_the_page_costs_the_same_however_long_the_queues(
    operator, subscriber, django_assert_num_queries
):
    fail(subscriber)
    with CaptureQueriesContext(connection) as with_one:
        operator.get(PAGE)
    for _ in range(30):
        fail(subscriber)
    with django_assert_num_queries(len(with_one)):
        operator.get(PAGE)
