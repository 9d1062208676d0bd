"""Codes, answers and unbindings that arrive together come out as if each had come alone."""

from __future__ import annotations

import datetime
import itertools

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from events.callback.build_event import build_event
from events.log.process import deliver
from events.log.registry import reply_handler_for
from events.models import EventLog, RuleHit
from events.testing import make_account, make_rule, message_xml, push
from events.wechat import parse_reply
from subscribers.binding import codes
from subscribers.binding.bind import start_binding
from subscribers.models import Binding, BindingRequest, BindingScan, SignInRequest
from subscribers.signing_in.start import start_sign_in

pytestmark = pytest.mark.django_db

CODE = BindingRequest.Way.CODE
# What stands for a code that was given out, in these accounts.
GIVEN = ["{alice}", "{bob}", "{elsewhere}", "{sign_in}"]
WORDS = ["ABCD-2345", "WXYZ-6789", "SAMSUNG9", "yes", "no", "登录", "解绑", "hello"]

texts = st.tuples(st.sampled_from(["o1", "o2", "o3"]), st.sampled_from(GIVEN + WORDS))
batches = st.lists(st.lists(texts, min_size=1, max_size=6), min_size=1, max_size=3)


@pytest.fixture(autouse=True)
def on(settings, monkeypatch):
    settings.SCAN_SIGN_IN = settings.SCAN_REGISTRATION = True
    settings.LANGUAGE_CODE = "en"
    monkeypatch.setattr(codes, "MOST_BY_FOLLOWER", 2)


@pytest.fixture
def given_out():
    """The accounts' codes that somebody may send, by the names above; the first account."""
    account = make_account(ask_before_binding=True)
    make_rule(account, key="SAMSUNG9", content="in stock")
    make_rule(account, key="no", content="as you like")
    alice, bob = (User.objects.create_user(name) for name in ("alice", "bob"))
    other = make_account(slug="other")
    found = {
        "{alice}": start_binding(account=account, user=alice, way=CODE).code,
        "{bob}": start_binding(account=account, user=bob, way=CODE).code,
        "{elsewhere}": start_binding(account=other, user=alice, way=CODE).code,
        "{sign_in}": start_sign_in(account=account, site="shop", way=SignInRequest.Way.CODE)[
            0
        ].code,
    }
    return account, found


def test_a_rule_does_nothing_for_a_text_that_something_else_answers(given_out):
    account, found = given_out
    account.late_answers = "next"
    account.save()
    make_rule(account, "text", content="any text")
    text = message_xml("text", openid="o1", Content=found["{sign_in}"], MsgId="1")
    response = push(account, text)
    assert "any text" not in response.content.decode()
    assert BindingScan.objects.get().sign_in_id
    assert not RuleHit.objects.exists()


_numbers = itertools.count(1)
NOW = timezone.now()


def unsaved(account, batch, found, number):
    """The rows of texts that arrive together, as the callback makes them."""
    return [
        build_event(
            account,
            message_xml(
                "text", openid=openid, at=int(NOW.timestamp()) + number, MsgId=next(_numbers),
                Content=found.get(text, text),
            ),
            NOW + datetime.timedelta(seconds=number),
        )
        for openid, text in batch
    ]  # fmt: skip


def answered(event):
    """The answer to a stored event, by its handler if it went out with no commit."""
    row = EventLog.objects.select_related("account").get(pk=event.pk)
    if row.status == "processed":
        return parse_reply(row.reply) if row.reply else None
    return reply_handler_for("text")(row)


def tried(account, batches, found, *, together):
    """What came of each event, its answer, and the bindings, in a run that is undone."""
    with transaction.atomic():
        events, answers = [], []
        for number, batch in enumerate(batches):
            rows = unsaved(account, batch, found, number)
            events += rows
            for stored in [rows] if together else [[row] for row in rows]:
                deliver(stored, are_heard=together)
                answers += map(answered, stored)
        scans = {
            scan.event_id: (scan.outcome, scan.refused_reason, scan.request_id, scan.sign_in_id)
            for scan in BindingScan.objects.all()
        }
        hits = dict(RuleHit.objects.values_list("event_id", "rule_id"))
        bindings = [
            (openid, ended is None, name.partition("-")[0])
            for openid, ended, name in Binding.objects.order_by("pk").values_list(
                "subscriber__openid", "unbound_at", "user__username"
            )
        ]
        transaction.set_rollback(True)
    each = [(scans.get(event.pk), hits.get(event.pk)) for event in events]
    return each, [answer and answer.content for answer in answers], bindings


@pytest.mark.slow
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches)
@example([[("o1", "ABCD-2345"), ("o1", "WXYZ-6789"), ("o1", "{alice}"), ("o2", "{alice}")]])
@example([[("o1", "{alice}"), ("o1", "yes"), ("o2", "yes")], [("o1", "no"), ("o1", "解绑")]])
@example([[("o1", "{alice}"), ("o1", "解绑"), ("o1", "yes")], [("o1", "{bob}"), ("o1", "no")]])
@example([[("o1", "{sign_in}"), ("o2", "SAMSUNG9"), ("o2", "no")], [("o1", "登录")]])
def test_together_as_one_by_one(given_out, batches):
    account, found = given_out
    *one_by_one, answers_alone, bindings_alone = tried(account, batches, found, together=False)
    *at_once, answers, bindings = tried(account, batches, found, together=True)
    assert (at_once, bindings) == (one_by_one, bindings_alone)
    # An answer speaks of what holds by then, so it may know what its sender did a moment later.
    if all(len({openid for openid, _ in batch}) == len(batch) for batch in batches):
        assert answers == answers_alone


@pytest.mark.parametrize("unbinds_first", [True, False])
def test_a_scan_and_an_unbinding_that_arrive_together_keep_their_order(unbinds_first):
    account = make_account()

    def scan(name, second):
        scene = start_binding(account=account, user=User.objects.create_user(name)).scene
        xml = message_xml(
            "event.SCAN", openid="o1", at=int(NOW.timestamp()) + second, EventKey=scene
        )
        return build_event(account, xml, NOW + datetime.timedelta(seconds=second))

    deliver([scan("bob", -1)])
    both = [scan("alice", 0), *unsaved(account, [("o1", "解绑")], {}, 0)]
    deliver(both[::-1] if unbinds_first else both, are_heard=True)
    active = Binding.objects.active().values_list("user__username", flat=True)
    assert [*active] == (["alice"] if unbinds_first else [])


def test_many_wrong_codes_cost_as_many_statements_as_few(given_out):
    account, found = given_out

    def statements(number, first):
        guesses = [(f"o{first + n}", f"AB{n % 8 + 2}D-{n // 8 + 22}EF") for n in range(number)]
        rows = unsaved(account, guesses, found, 0)
        with CaptureQueriesContext(connection) as queries:
            deliver(rows, are_heard=True)
        assert {(row.status, row.answered_by) for row in rows} == {("processed", "reply")}
        return len(queries)

    statements(10, 0)
    few = statements(10, 1000)
    assert statements(60, 2000) == few
    assert BindingScan.objects.filter(refused_reason="unknown").count() == 80


@pytest.mark.slow
def test_among_a_thousand_guesses_the_right_one_finds_nothing(given_out):
    account, found = given_out
    letters = itertools.islice(itertools.product("ABCDEFGH", repeat=4), 1000)
    guesses = [(f"o{n % 300}", f"2{a}{b}C-{c}{d}EF") for n, (a, b, c, d) in enumerate(letters)]
    guesses[700] = (guesses[700][0], found["{alice}"])
    for number in range(0, len(guesses), 100):
        deliver(unsaved(account, guesses[number : number + 100], found, 0), are_heard=True)
    assert not BindingRequest.objects.exclude(asked=None).exists()
    assert BindingScan.objects.filter(refused_reason="unknown").count() <= 100 + 300
    true = unsaved(account, [("true", found["{alice}"])], found, 0)
    deliver(true, are_heard=True)
    assert "alice" in true[0].reply
    assert BindingRequest.objects.get(user__username="alice", asked__openid="true")
