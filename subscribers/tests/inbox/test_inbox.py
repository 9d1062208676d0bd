"""The inbox: who is in which list, what agents do, and what it costs."""

from __future__ import annotations

import datetime
import re
import time

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events.log.retention_hooks import announce_erasure
from events.media.lend import message_of_file
from events.models import AccountLimit, AuditEntry, EventLog, MediaFile, MessageText, UnmatchedDay
from events.search.fill import index_texts
from events.stats.update import update_statistics
from events.testing import make_account, make_rule, message_xml, push
from subscribers.models import (
    Conversation,
    ConversationNote,
    OutgoingMessage,
    SavedAnswer,
    Subscriber,
)
from subscribers.tests.locks import InAnotherThread, wait_for_a_lock
from wechat_site.tests.signin.people import browser_of, with_role

pytestmark = pytest.mark.django_db

INBOX = "/admin/subscribers/conversation/"
HOURS = 3600


@pytest.fixture
def account():
    shop = make_account(name="Birch")
    make_rule(shop, key="hours", content="9 to 18")
    return shop


@pytest.fixture
def agent(account) -> Client:
    return browser_of(with_role("anna", "agent"))


def says(account, openid: str, content: str = "?", *, ago: int = 0, kind: str = "text", **fields):
    at = int(time.time()) - ago
    fields = {"Content": content} | fields if kind == "text" else fields
    push(account, message_xml(kind, openid=openid, at=at, MsgId=str(time.time_ns()), **fields))
    update_statistics()
    return Conversation.objects.get(subscriber__openid=openid)


def listed(browser: Client, name: str, **query) -> list[str]:
    response = browser.get(INBOX, {"list": name} | query)
    assert response.status_code == 200
    return [
        Conversation.objects.get(pk=row["pk"]).subscriber.openid for row in response.context["rows"]
    ]


def test_lists_show_who_waits_by_the_end_of_the_window(account, agent):
    says(account, "oNew", "你没有回复我")
    says(account, "oSoon", "请问", ago=46 * HOURS)
    says(account, "oLate", "在吗", ago=49 * HOURS)
    says(account, "oAnswered", "hours")
    assert listed(agent, "waiting") == ["oSoon", "oNew"]
    assert listed(agent, "closing") == ["oSoon"]
    assert listed(agent, "mine") == []
    assert set(listed(agent, "all")) == {"oNew", "oSoon", "oLate", "oAnswered"}
    assert listed(agent, "all", account="hats") == []
    page = agent.get(INBOX).content.decode()
    assert "你没有回复我" in page
    assert "Birch" in page
    Subscriber.objects.filter(openid="oNew").update(last_unfollowed_at=timezone.now())
    assert "oNew" not in listed(agent, "waiting")


@pytest.mark.parametrize(
    "text", ["绑定码 ABCD-2345", "绑定码ABCD-2345", "码:abcd2345。", "kode x abcd 2345"]
)
def test_a_code_that_may_be_valid_is_shown_on_no_page(account, text):
    """Nobody can tell from it whose code it is; who reads it could bind a WeChat of their own."""
    says(account, "oNew", text)
    index_texts()
    browser = browser_of(User.objects.create_superuser("root"))
    today = timezone.now().astimezone(account.zone).date()
    pages = [
        INBOX,
        f"{INBOX}{Conversation.objects.get().pk}/change/",
        "/admin/events/messagetext/",
        f"/admin/events/replyrule/replay/?account={account.slug}",
        f"/admin/?days={today}..{today}",
    ]
    code = text.rpartition("x")[2][-9:].strip("码:。 ")

    def shown() -> list[bool]:
        return [code in browser.get(page, follow=True).content.decode() for page in pages]

    assert shown() == [False] * len(pages)
    # A text that is a code alone stays masked where it is kept for good; this is a sentence.
    EventLog.objects.update(received_at=timezone.now() - datetime.timedelta(minutes=11))
    late = timezone.now() - datetime.timedelta(minutes=11)
    Conversation.objects.update(last_at=late)
    MessageText.objects.update(event_time=late)
    UnmatchedDay.objects.update(last_at=late)
    assert shown() == [True] * len(pages)


def test_an_answer_ends_the_waiting_and_the_next_message_begins_it_anew(account, agent):
    talk = says(account, "oNew", "你没有回复我", ago=60)
    page = agent.post(f"{INBOX}{talk.pk}/write/?list=waiting", {"text": "您好\r\n请稍等"})
    assert page.url == f"{INBOX}{talk.pk}/change/?list=waiting#taken"
    message = OutgoingMessage.objects.get()
    assert (message.payload["content"], message.created_by.username) == ("您好\n请稍等", "anna")
    assert listed(agent, "waiting") == []
    assert listed(agent, "mine") == ["oNew"]
    talk.refresh_from_db()
    assert (talk.last_kind, talk.last_text) == ("", "您好 请稍等")
    OutgoingMessage.objects.update(created_at=timezone.now() - datetime.timedelta(seconds=30))
    says(account, "oNew", "还在吗")
    assert listed(agent, "waiting") == ["oNew"]


def test_a_conversation_goes_to_no_colleague_who_may_not_answer_any_more(account, agent):
    talk = says(account, "oNew", "请问")
    names = ["bert", "carl", "dora", "emil"]
    colleagues = {name: with_role(name, "agent") for name in names}
    for colleague in colleagues.values():
        browser_of(colleague).get(f"{INBOX}{talk.pk}/lines/")
    colleagues["bert"].groups.clear()
    User.objects.filter(username="carl").update(is_active=False)
    limit = AccountLimit.objects.create(user=colleagues["dora"])
    limit.accounts.set([make_account("other")])
    page = agent.get(f"{INBOX}{talk.pk}/change/")
    assert [user.username for user in page.context["agents"]] == ["anna", "emil"]
    for name in names[:3]:
        agent.post(f"{INBOX}{talk.pk}/assign/", {"to": colleagues[name].pk})
        assert Conversation.objects.get().assigned_to is None
    limit.accounts.add(account)
    agent.post(f"{INBOX}{talk.pk}/assign/", {"to": colleagues["dora"].pk})
    assert Conversation.objects.get().assigned_to == colleagues["dora"]


def test_agents_assign_end_reopen_and_note(account, agent):
    talk = says(account, "oNew", "请问", ago=60)
    other = browser_of(with_role("bert", "agent"))
    other.get(f"{INBOX}{talk.pk}/lines/")
    assert "bert" in agent.get(f"{INBOX}{talk.pk}/lines/").content.decode()
    bert = User.objects.get(username="bert")
    agent.post(f"{INBOX}{talk.pk}/assign/", {"to": bert.pk})
    assert listed(other, "mine") == ["oNew"]
    agent.post(f"{INBOX}{talk.pk}/note/", {"text": "wants his money back"})
    page = other.get(f"{INBOX}{talk.pk}/change/").content.decode()
    assert "wants his money back" in page
    agent.post(f"{INBOX}{talk.pk}/done/")
    assert listed(agent, "waiting") == listed(other, "mine") == []
    other.post(f"{INBOX}{talk.pk}/reopen/")
    assert listed(other, "mine") == ["oNew"]
    agent.post(f"{INBOX}{talk.pk}/done/")
    Conversation.objects.update(ended_at=timezone.now() - datetime.timedelta(seconds=5))
    says(account, "oNew", "我又来了")
    assert listed(agent, "waiting") == ["oNew"]
    acts = set(AuditEntry.objects.values_list("act", flat=True))
    assert {"assign", "note", "done", "reopen"} <= acts


@pytest.mark.parametrize("is_counted", [True, False])
def test_done_does_not_end_what_the_page_did_not_show_yet(account, agent, is_counted):
    talk = says(account, "oNew", "请问", ago=60)
    page = agent.get(f"{INBOX}{talk.pk}/change/").content.decode()
    [seen] = re.findall('name="seen" value="(.+?)" form="inbox-keep"', page)
    text = message_xml("text", openid="oNew", at=int(time.time()), Content="还有", MsgId="2")
    push(account, text)
    if is_counted:
        update_statistics()
    agent.post(f"{INBOX}{talk.pk}/done/", {"seen": seen})
    update_statistics()
    assert listed(agent, "waiting") == ["oNew"]
    agent.post(f"{INBOX}{talk.pk}/done/", {"seen": "no time"})
    assert listed(agent, "waiting") == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_who_writes_does_not_take_a_conversation_that_a_colleague_takes_meanwhile(account):
    talk = says(account, "oNew", "请问")
    bert = User.objects.create_superuser("bert")
    browser = browser_of(User.objects.create_superuser("anna"))
    writing = InAnotherThread(lambda: browser.post(f"{INBOX}{talk.pk}/write/", {"text": "您好"}))
    with transaction.atomic():
        Subscriber.objects.held().get()
        writing.start()
        wait_for_a_lock(writing)
        Conversation.objects.update(assigned_to=bert)
    writing.join()
    assert OutgoingMessage.objects.get().created_by.username == "anna"
    assert Conversation.objects.get().assigned_to == bert


def test_a_closed_window_refuses_with_the_reason_and_keeps_the_text(account, agent):
    talk = says(account, "oLate", "在吗", ago=49 * HOURS)
    response = agent.post(f"{INBOX}{talk.pk}/write/", {"text": "对不起"})
    page = response.content.decode()
    assert "too long ago" in page
    assert ">对不起</textarea>" in page
    assert not OutgoingMessage.objects.exists()


def test_a_file_that_is_refused_asks_for_no_text(account, agent):
    talk = says(account, "oLate", "在吗", ago=49 * HOURS)
    picture = MediaFile.objects.create(
        account=account, kind="image", title="Door", file="x.png", size=1, due_at=None
    )
    reference = message_of_file(picture).media_id
    page = agent.post(f"{INBOX}{talk.pk}/write/", {"file": reference}).content.decode()
    assert "too long ago" in page
    assert "This field is required" not in page


@pytest.mark.parametrize("act", ["write", "note", "assign", "done", "reopen"])
def test_who_signs_in_again_while_writing_is_back_at_the_conversation(account, agent, act):
    """The session ended, so the form led to the sign-in, and that leads to the form's address."""
    conversation = says(account, "oWaits")
    at = f"{INBOX}{conversation.pk}/{act}/?list=waiting"
    assert Client().post(at, {"text": "Hello"}).status_code == 302
    got = agent.get(at)
    assert got.status_code == 302
    assert got["Location"] == f"{INBOX}{conversation.pk}/change/?list=waiting"
    assert not OutgoingMessage.objects.exists()


def test_the_conversation_says_who_answered_and_what_came(account, agent):
    SavedAnswer.objects.create(account=account, title="Hello", text="您好")
    says(account, "oNew", "hours")
    says(account, "oNew", kind="image", PicUrl="http://elsewhere.example/x", MediaId="m")
    says(account, "oNew", kind="voice", MediaId="v", Recognition="我的快递")
    fields = {"Location_X": "23.1", "Location_Y": "113.2", "Scale": "1", "Label": "广州"}
    talk = says(account, "oNew", kind="location", **fields)
    page = agent.get(f"{INBOX}{talk.pk}/change/").content.decode()
    for words in ("rule “", "9 to 18", "[image]", "我的快递", "广州", "23.1, 113.2", ">Hello<"):
        assert words in page, words
    assert "elsewhere.example" not in page


def test_the_fragments_are_sent_once_until_they_change(account, agent):
    talk = says(account, "oNew", "请问", ago=60)
    for url in (f"{INBOX}rows/?list=all", f"{INBOX}{talk.pk}/lines/"):
        first = agent.get(url)
        same = agent.get(url, headers={"If-None-Match": first["ETag"]})
        assert (first.status_code, same.status_code) == (200, 304)
        weak = agent.get(url, headers={"If-None-Match": f"W/{first['ETag']}"})
        assert (weak.status_code, weak["ETag"]) == (304, first["ETag"])
        says(account, "oNew", f"again {url}")
        assert agent.get(url, headers={"If-None-Match": first["ETag"]}).status_code == 200


@pytest.mark.parametrize("opened", ["x", "²", "9" * 19, "9" * 5000])
def test_a_conversation_that_is_no_number_is_not_marked(account, agent, opened):
    says(account, "oNew", "请问")
    rows = agent.get(f"{INBOX}rows/", {"list": "all"})
    assert rows.status_code == 200
    marked = agent.get(f"{INBOX}rows/", {"list": "all", "open": opened})
    assert marked.content == rows.content


def test_it_costs_the_same_for_many_conversations(account, agent):
    says(account, "oNew", "请问")

    def statements() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert agent.get(INBOX, {"list": "waiting"}).status_code == 200
        return len(queries)

    statements()
    few = statements()
    now = timezone.now()
    people = Subscriber.objects.bulk_create(
        Subscriber(account=account, openid=f"o{n}", last_followed_at=now, updated_at=now)
        for n in range(300)
    )
    Conversation.objects.bulk_create(
        Conversation(
            account=account, subscriber=person, last_at=now, last_kind="text",
            waiting_since=now, window_until=now + datetime.timedelta(hours=40),
        )
        for person in people
    )  # fmt: skip
    assert statements() == few
    pages, query = 0, {"list": "waiting"}
    seen: set[int] = set()
    while query:
        response = agent.get(f"{INBOX}?{query}" if isinstance(query, str) else INBOX)
        seen |= {row["pk"] for row in response.context["rows"]}
        query, pages = response.context["more"], pages + 1
    assert (len(seen), pages) == (301, 7)


def test_nothing_of_an_erased_person_is_left(account):
    talk = says(account, "oNew", "我的地址")
    ConversationNote.objects.create(conversation=talk, text="lives there")
    announce_erasure(account.pk, "oNew", "erased-1")
    talk.refresh_from_db()
    assert (talk.last_text, talk.waiting_since, talk.notes.count()) == ("", None, 0)


def test_those_who_may_not_read_contents_have_no_inbox(account):
    says(account, "oNew", "请问")
    assert browser_of(with_role("op", "operator")).get(INBOX).status_code == 403


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("waiting", "Nobody waits for an answer."),
        ("closing", "within three hours"),
        ("mine", "No conversation is yours."),
        ("all", "No follower has written yet."),
    ],
)
def test_each_empty_list_says_why(operator, name, said):
    page = operator.get(reverse("admin:subscribers_conversation_changelist"), {"list": name})
    assert said in page.content.decode()
