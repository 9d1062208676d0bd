"""Erasing one person: nothing of them is left, and every count stays."""

from __future__ import annotations

import gzip
import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Count
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from events.models import EventLog
from events.months import Month
from events.retention.archive import archives, ensure_archived, restore
from events.testing import make_account, message_xml, push
from events.wechat.api.custom_messages import TextMessage
from subscribers.admin.followers.personal_data import COUNTED
from subscribers.messages.send import send_message
from subscribers.models import Binding, Erasure, OutgoingMessage, Subscriber
from subscribers.personal_data.collect import collect
from subscribers.personal_data.erase import erase, receipt
from subscribers.personal_data.requests import erase_due, request_erasure, request_for_unfollowed
from subscribers.state.rebuild import compare

OPENID = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"
SECRET_TEXT = "my phone is 13800138000"
REMARK = "the lady with the red bicycle"

pytestmark = pytest.mark.usefixtures("state_is_the_fold")


@pytest.fixture
def account(db):
    return make_account(name="Spruce Books")


@pytest.fixture
def person(account):
    """A follower who has done all sorts of things."""
    push(account, message_xml("event.subscribe", openid=OPENID, EventKey="qrscene_poster"))
    push(account, message_xml("text", openid=OPENID, Content=SECRET_TEXT, MsgId="1"))
    push(account, message_xml("event.CLICK", openid=OPENID, EventKey="MENU"))
    push(account, message_xml("event.LOCATION", openid=OPENID, Latitude="23.137466"))
    push(account, message_xml("text", openid="oSomebodyElse", Content="hello", MsgId="2"))
    push(
        account,
        message_xml(
            "event.user_gifting_card", openid="oSomebodyElse", FriendUserName=OPENID, CardId="c"
        ),
    )
    follower = Subscriber.objects.get(openid=OPENID)
    Subscriber.objects.filter(pk=follower.pk).update(remark=REMARK, unionid="oUnion", tag_ids="1,2")
    send_message(follower, TextMessage("your order 4711 is on its way"))
    event = EventLog.objects.get(openid=OPENID, kind="event.subscribe")
    Binding.objects.create(
        account=account,
        subscriber=follower,
        user=User.objects.create_user("alice"),
        bound_at=event.event_time,
        event_id=event.pk,
        event_time=event.event_time,
    )
    LogEntry.objects.create(
        user=User.objects.get(),
        content_type=ContentType.objects.get_for_model(Subscriber),
        object_id=str(follower.pk),
        object_repr=str(follower),
        action_flag=CHANGE,
        change_message=f"remark {REMARK}",
    )
    return follower


def erased(account, openid=OPENID):
    return erase(request_erasure(account, openid, reason=Erasure.Reason.REQUESTED))


def dump(tmp_path) -> bytes:
    """All that is in the database, in the form in which it is backed up."""
    if connection.vendor == "sqlite":
        return "\n".join(connection.connection.iterdump()).encode()
    rows = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            rows += [
                bytes(value) if isinstance(value, memoryview) else str(value).encode()
                for row in cursor.fetchall()
                for value in row
            ]
    return b"\n".join(rows)


def counts(account):
    """What statistics are made of."""
    return sorted(
        (kind, scene, key, status, number)
        for kind, scene, key, status, number in EventLog.objects.filter(account=account)
        .values_list("kind", "scene", "event_key", "status")
        .annotate(number=Count("pk"))
    )


def test_nothing_of_the_person_is_left_and_every_count_stays(account, person, tmp_path):
    before, state = counts(account), person.state
    assert SECRET_TEXT.encode().hex().encode() in dump(tmp_path).lower() or (
        SECRET_TEXT.encode() in dump(tmp_path)
    )
    done = erased(account)
    left = dump(tmp_path)
    for text in (OPENID, SECRET_TEXT, REMARK, "oUnion", "23.137466", "order 4711"):
        assert text.encode() not in left
        assert text.encode().hex().encode() not in left.lower()
    assert counts(account) == before
    person.refresh_from_db()
    assert (person.state, person.openid) == (state, done.pseudonym)
    assert person.is_following
    assert Binding.objects.get().user is None
    message = OutgoingMessage.objects.get()
    assert message.state == "failed"
    assert message.reason != message.failure
    # Others keep what is theirs.
    assert EventLog.objects.get(openid="oSomebodyElse", kind="text").payload["Content"] == "hello"


def test_the_receipt_says_what_was_changed(account, person):
    user = User.objects.create_user("officer")
    request = request_erasure(account, OPENID, reason=Erasure.Reason.REQUESTED, by=user)
    done = erase(request)
    said = receipt(done)
    assert said["requested_by"] == "officer"
    assert said["changed_rows"] == {
        "bindings": 1,
        "events": 4,
        "followers": 1,
        "mentions": 1,
        "messages": 1,
        "operators' log": 1,
    }
    assert {*said["changed_rows"]} < {*COUNTED}
    stored = Erasure.objects.get()
    assert (stored.openid, stored.due_at, len(stored.digest)) == ("", None, 64)
    assert receipt(stored) == said


def test_what_comes_later_belongs_to_a_new_follower_who_can_be_erased_again(account, person):
    first = erased(account)
    push(account, message_xml("text", openid=OPENID, Content="me again", MsgId="9"))
    again = Subscriber.objects.get(openid=OPENID)
    assert (again.pk != person.pk, again.event_count) == (True, 1)
    second = erased(account)
    assert first.pseudonym != second.pseudonym
    assert not Subscriber.objects.filter(openid=OPENID).exists()


def test_a_repetition_of_an_erased_push_still_finds_its_row(account):
    body = message_xml("text", openid=OPENID, Content="once", MsgId="7")
    push(account, body)
    erased(account)
    push(account, body)
    row = EventLog.objects.get()
    assert (row.delivery_count, row.openid == OPENID, bytes(row.raw)) == (2, False, b"")


def test_one_request_at_a_time(account, person):
    first = request_erasure(account, OPENID, reason=Erasure.Reason.REQUESTED)
    assert request_erasure(account, OPENID, reason=Erasure.Reason.REVOKED) == first


@pytest.mark.parametrize(
    ("event", "reason"),
    [("user_authorization_revoke", "revoked"), ("user_authorization_cancellation", "cancelled")],
)
def test_an_authorization_that_ends_asks_for_erasure(account, person, event, reason):
    push(
        account,
        message_xml(f"event.{event}", openid="oSystem", OpenID=OPENID, AppID=account.app_id),
    )
    request = Erasure.objects.open().get()
    assert (request.openid, request.reason) == (OPENID, reason)
    erase(request)
    assert not EventLog.objects.filter(openid=OPENID).exists()


def test_those_who_left_long_ago_are_erased_where_a_setting_says_so(account, settings):
    push(account, message_xml("event.subscribe", openid=OPENID, CreateTime="1700000000"))
    push(account, message_xml("event.unsubscribe", openid=OPENID, CreateTime="1700000001"))
    push(account, message_xml("event.unsubscribe", openid="oJustNow"))
    assert request_for_unfollowed() == 0
    settings.ERASE_UNFOLLOWED_DAYS = 30
    assert request_for_unfollowed() == 1
    assert Erasure.objects.open().get().openid == OPENID


def test_the_worker_erases_what_is_due_and_tries_again_what_cannot_be_erased_now(
    account, person, monkeypatch
):
    request_erasure(account, OPENID, reason=Erasure.Reason.REVOKED)
    with monkeypatch.context() as busy:
        busy.setattr("subscribers.personal_data.erase.alone", lambda task: nullcontext(False))
        assert erase_due() == 0
    waiting = Erasure.objects.open().get()
    assert (waiting.failure, waiting.due_at > timezone.now()) == ("ArchivesBusy", True)
    assert erase_due() == 0
    Erasure.objects.update(due_at=timezone.now())
    assert erase_due() == 1
    assert not EventLog.objects.filter(openid=OPENID).exists()


# --- Archives ------------------------------------------------------------------------------------


def archived_person(account, folder):
    month = Month(2024, 11)
    at = int(month.start.timestamp()) + 5
    push(
        account,
        message_xml("text", openid=OPENID, Content=SECRET_TEXT, MsgId="1", CreateTime=str(at)),
    )
    push(
        account,
        message_xml("text", openid="oOther", Content="kept", MsgId="2", CreateTime=str(at + 1)),
    )
    ensure_archived(month, folder)
    return month


def archived_mentions(account, folder) -> Month:
    """Archived events of others, whose bodies name the person."""
    month = Month(2024, 11)
    gift = message_xml(
        "event.user_gifting_card", openid="oOther", at=int(month.start.timestamp()), CardId="c",
        FriendUserName=OPENID,
    )  # fmt: skip
    push(account, gift)
    row = EventLog.objects.get()
    columns = {name: getattr(row, name) for name in ("account", "event_time", "raw")}
    now = timezone.now()
    for number, status in enumerate(("unreadable", "set_aside")):
        EventLog.objects.create(
            **columns, kind="text", status=status, dedup_key=str(number), received_at=now,
            last_delivered_at=now,
        )  # fmt: skip
    ensure_archived(month, folder)
    return month


def contents(folder: Path) -> list[dict]:
    (archive,) = archives(folder)
    archive.verify()
    return list(archive.records())


def test_archives_are_written_anew(account, tmp_path, settings):
    settings.EVENT_ARCHIVE_DIR = tmp_path
    archived_person(account, tmp_path)
    done = erased(account)
    assert done.counts["archived events"] == 1
    packed = b"".join(gzip.decompress(path.read_bytes()) for path in tmp_path.glob("*.gz"))
    assert OPENID.encode() not in packed
    assert {record["openid"] for record in contents(tmp_path)} == {done.pseudonym, "oOther"}
    assert len(list(tmp_path.glob("*.gz"))) == 1


def test_a_copy_kept_elsewhere_is_changed_when_it_comes_back(account, tmp_path):
    month = archived_person(account, tmp_path)
    EventLog.objects.filter(account=account).delete()
    Subscriber.objects.all().delete()
    push(account, message_xml("event.subscribe", openid=OPENID))
    done = erased(account)
    restore(month, tmp_path)
    returned = EventLog.objects.get(msg_id="1")
    assert (returned.openid, bytes(returned.raw), returned.from_user) == (
        done.pseudonym, b"", done.pseudonym,
    )  # fmt: skip
    assert EventLog.objects.get(msg_id="2").payload["Content"] == "kept"


def test_what_a_person_wrote_is_shown_from_archives_as_from_the_log(account, tmp_path, settings):
    settings.EVENT_ARCHIVE_DIR = tmp_path
    archived_person(account, tmp_path)
    before = collect(account, OPENID)
    EventLog.objects.filter(account=account).delete()
    Subscriber.objects.all().delete()
    after = collect(account, OPENID)
    assert after["archived_events"] == before["events"]
    assert after["archived_events"][0]["payload"]["Content"] == SECRET_TEXT


def test_archived_bodies_of_others_that_name_the_person_go_too(account, tmp_path, settings):
    settings.EVENT_ARCHIVE_DIR = tmp_path
    archived_mentions(account, tmp_path)
    done = erased(account)
    assert done.counts["archived events"] == done.counts["mentions"] == 3
    assert [record["raw"] for record in contents(tmp_path)] == [""] * 3
    assert [record["openid"] for record in contents(tmp_path)] == ["oOther", "", ""]


def test_those_of_a_copy_kept_elsewhere_go_when_it_comes_back(account, tmp_path):
    month = archived_mentions(account, tmp_path)
    EventLog.objects.filter(account=account).delete()
    push(account, message_xml("event.subscribe", openid=OPENID))
    erased(account)
    restore(month, tmp_path)
    returned = EventLog.objects.in_month(month)
    assert {bytes(row.raw) for row in returned} == {b""}
    assert {row.openid for row in returned} == {"oOther", ""}


# --- The commands --------------------------------------------------------------------------------


def test_the_commands_show_and_erase(account, person, capsys):
    call_command("export_subscriber", "shop", OPENID)
    said = json.loads(capsys.readouterr().out)
    assert said["follower"][0]["remark"] == REMARK
    assert [event["payload"].get("Content") for event in said["events"]].count(SECRET_TEXT) == 1
    assert said["messages"][0]["payload"]["content"] == "your order 4711 is on its way"
    assert said["bindings"][0]["user"] == "alice"
    call_command("erase_subscriber", "shop", OPENID, "--yes")
    assert json.loads(capsys.readouterr().out)["changed_rows"]["events"] == 4
    for command in (["export_subscriber", "shop", OPENID], ["erase_subscriber", "shop", OPENID]):
        with pytest.raises(CommandError, match="Nothing is known"):
            call_command(*command)


def test_without_yes_the_command_asks(account, person, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda prompt: "no")
    with pytest.raises(CommandError, match="Nothing was erased"):
        call_command("erase_subscriber", "shop", OPENID)
    assert collect(account, OPENID)["follower"]


# --- Any history ---------------------------------------------------------------------------------

happenings = st.lists(
    st.tuples(
        st.sampled_from(
            ["event.subscribe", "event.unsubscribe", "event.SCAN", "event.CLICK", "text"]
        ),
        st.sampled_from(["o1", "o2"]),
        st.integers(0, 5),
        st.sampled_from(["", "a", "b"]),
    ),
    max_size=12,
)


class ErasureLaws(TestCase):
    @pytest.mark.slow
    @settings(max_examples=40, deadline=None)
    @given(happenings)
    def test_state_and_counts_are_equal_before_and_after(self, history):
        account = make_account()
        base = int(timezone.now().timestamp()) - 100
        for kind, openid, second, key in history:
            scene = f"qrscene_{key}" if kind == "event.subscribe" and key else key
            push(
                account,
                message_xml(kind, openid=openid, CreateTime=str(base + second), EventKey=scene),
            )
        before = counts(account)
        states = {row.pk: row.state for row in Subscriber.objects.all()}
        erased(account, "o1")
        assert counts(account) == before
        assert {row.pk: row.state for row in Subscriber.objects.all()} == states
        assert list(compare()) == []
        assert not EventLog.objects.filter(openid="o1").exists()
