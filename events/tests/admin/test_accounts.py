"""The settings of an account: what is entered, what is kept, what pushes tell."""

from __future__ import annotations

import io
import re

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone, translation

from events.callback.judge_again import judge_pending
from events.log.process import process_due
from events.models import EventLog, OfficialAccount, PendingJudgement
from events.models.account_rules import RULES, checked
from events.testing import AES_KEY, make_account, message_xml, push
from events.tests.admin.test_admin import account_url, form_of

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

OTHER = "gh_0123456789ab"
GOOD = {
    "original_id": "gh_5f2c81d0a7be",
    "app_id": "wx3a9f0c27d81be645",
    "token": "Rk7mWechatTok2026",
    "encoding_aes_key": AES_KEY,
    "app_secret": "5d41402abc4b2a76b9719d911017c592",
}
BAD = [
    ("token", "ab", "3 to 32 letters and digits"),
    ("token", "a" * 33, "3 to 32 letters and digits"),
    ("token", "with-dash", "3 to 32 letters and digits"),
    ("token", AES_KEY, "This is an EncodingAESKey"),
    ("token", "abc\u200bdef", "Character 4 is a space or invisible: U+200B ZERO WIDTH SPACE"),
    ("token", "abc def", "Character 4 is a space or invisible: U+0020 SPACE"),
    ("token", "abcＤef", "Character 4 is full-width: Ｄ (U+FF24)"),
    ("encoding_aes_key", "short", "This has 5: is it the token?"),
    ("encoding_aes_key", AES_KEY + "x", "exactly 43 letters and digits"),
    ("encoding_aes_key", AES_KEY[:-1] + "\ufeff", "invisible: U+FEFF"),
    ("app_id", "gh_5f2c81d0a7be", "are the two exchanged?"),
    ("app_id", "wx123", "wx and 16 hexadecimal digits"),
    ("app_id", "wx3a9f0c27d81be64g", "wx and 16 hexadecimal digits"),
    ("app_id", "ｗx3a9f0c27d81be645", "Character 1 is full-width"),
    ("original_id", "wx3a9f0c27d81be645", "are the two exchanged?"),
    ("original_id", "5f2c81d0a7be", "begins with gh_"),
    ("original_id", "gh_", "begins with gh_"),
    ("original_id", "gh＿5f2c81d0a7be", "full-width"),
]


@pytest.fixture(autouse=True)
def english():
    with translation.override("en"):
        yield


def test_every_setting_has_an_example():
    assert set(GOOD) == set(RULES)


@pytest.mark.parametrize("setting", GOOD)
@pytest.mark.parametrize("around", ["{}", "  {}\n", "\u3000{}\u00a0", "\t{}\r\n"])
def test_values_are_trimmed(setting, around):
    assert checked(setting, around.format(GOOD[setting])) == GOOD[setting]
    assert checked(setting, around.format("")) == ""


@pytest.mark.parametrize(("setting", "value", "said"), BAD)
def test_what_is_wrong_is_said(setting, value, said):
    with pytest.raises(ValidationError) as refused:
        checked(setting, value)
    assert said in " ".join(refused.value.messages)


@pytest.mark.parametrize(("setting", "value", "said"), BAD)
def test_form_and_command_say_the_same(operator, setting, value, said):
    account = make_account()
    field = setting if setting in {"original_id", "app_id"} else f"new_{setting}"
    page = operator.post(account_url(account), form_of(account, **{field: value}))
    assert page.status_code == 200
    assert said in page.content.decode()
    option = {"encoding_aes_key": "aes_key"}.get(setting, setting)
    with pytest.raises(CommandError, match=re.escape(said)):
        call_command("add_account", "shop", **{option: value})
    stored = OfficialAccount.objects.get()
    assert getattr(stored, setting) == getattr(account, setting)


def test_a_command_trims(settings):
    call_command(
        "add_account", "new", original_id=" gh_5f2c81d0a7be ", app_id="wx3A9F0c27d81be645\n",
        token=" Rk7mWechatTok2026", aes_key=f"{AES_KEY} ", stdout=io.StringIO(),
    )  # fmt: skip
    account = OfficialAccount.objects.get()
    assert (account.original_id, account.app_id) == (GOOD["original_id"], GOOD["app_id"])
    assert (account.token, account.encoding_aes_key) == (GOOD["token"], AES_KEY)


# --- A form with one wrong field ---


def kept_in(page):
    found = re.search(r'name="kept_secrets" value="([^"]+)"', page) or re.search(
        r'value="([^"]+)"[^>]*name="kept_secrets"', page
    )
    return found[1]


def test_a_refused_form_loses_none_of_the_other_fields(operator):
    account = make_account()
    typed = form_of(
        account, name="Renamed", app_id="wrong", new_token="TypedToken42",
        new_app_secret="TypedSecret",
    )  # fmt: skip
    page = operator.post(account_url(account), typed).content.decode()
    assert "Renamed" in page
    assert "TypedToken42" not in page
    assert "kept from your last attempt" in page
    again = form_of(account, name="Renamed", kept_secrets=kept_in(page))
    assert operator.post(account_url(account), again).status_code == 302
    stored = OfficialAccount.objects.get()
    assert (stored.name, stored.token, stored.app_secret) == (
        "Renamed", "TypedToken42", "TypedSecret",
    )  # fmt: skip
    assert stored.credentials(timezone.now()).tokens == ("TypedToken42", account.token)


def test_a_wrong_secret_keeps_the_right_ones_through_two_attempts(operator):
    url = reverse("admin:events_officialaccount_add")
    form = form_of(OfficialAccount(app_id=GOOD["app_id"]), name="New", slug="new")
    typed = form | {"new_token": "no good", "new_encoding_aes_key": AES_KEY}
    page = operator.post(url, typed).content.decode()
    typed = form | {"new_token": "no", "kept_secrets": kept_in(page)}
    page = operator.post(url, typed).content.decode()
    typed = form | {"new_token": "FirstToken", "kept_secrets": kept_in(page)}
    assert operator.post(url, typed).status_code == 302
    stored = OfficialAccount.objects.get()
    assert (stored.token, stored.encoding_aes_key) == ("FirstToken", AES_KEY)


@pytest.mark.parametrize("kept", ["nonsense", "é", "gAAAA" + "A" * 100])
def test_what_the_form_did_not_make_is_no_secret(operator, kept):
    account = make_account()
    form = form_of(account, kept_secrets=kept)
    assert operator.post(account_url(account), form).status_code == 302
    assert OfficialAccount.objects.get().token == account.token


def test_a_column_of_the_database_is_no_kept_secret(operator):
    from django.db import connection

    account = make_account()
    with connection.cursor() as cursor:
        cursor.execute("SELECT encoding_aes_key FROM events_officialaccount")
        (stored,) = cursor.fetchone()
    operator.post(account_url(account), form_of(account, kept_secrets=stored))
    assert OfficialAccount.objects.get().token == account.token


# --- The original ID ---


@pytest.mark.parametrize("mode", ["safe", "compatible"])
def test_the_first_sealed_push_tells_the_original_id(mode):
    account = make_account(mode=mode, original_id="")
    push(account, message_xml("event.subscribe", to=OTHER))
    assert OfficialAccount.objects.get().original_id == OTHER
    assert EventLog.objects.get().status == "processed"
    push(account, message_xml("event.SCAN", to="gh_ffffffffffff", EventKey="s"))
    assert OfficialAccount.objects.get().original_id == OTHER
    assert EventLog.objects.order_by("-pk").first().status == "set_aside"


def test_in_plaintext_it_is_offered_for_one_click(operator):
    account = make_account(mode="plaintext", original_id="")
    push(account, message_xml("event.subscribe", to=OTHER))
    assert EventLog.objects.get().status == "set_aside"
    assert OfficialAccount.objects.get().original_id == ""
    assert OTHER in operator.get(account_url(account)).content.decode()
    url = reverse("admin:events_officialaccount_original_id", args=[account.pk])
    assert operator.get(url).status_code == 405
    operator.post(url, {"told": "gh_nobodynamed"})
    assert OfficialAccount.objects.get().original_id == ""
    page = operator.post(url, form_of(account) | {"told": OTHER}, follow=True).content.decode()
    assert "The original ID is set" in page
    assert OfficialAccount.objects.get().original_id == OTHER
    judge_pending()
    process_due()
    assert EventLog.objects.get().status == "processed"


# --- Judged anew ---


def wrong(**columns):
    return make_account(original_id="gh_entered_wrongly", **columns)


def statuses():
    return list(EventLog.objects.order_by("pk").values_list("status", flat=True))


def test_a_corrected_account_has_its_pushes_judged_anew(operator, monkeypatch):
    monkeypatch.setattr("events.callback.judge_again._PORTION", 2)
    account = wrong()
    other = make_account("other", original_id="gh_also_wrong")
    for number in range(5):
        push(account, message_xml("event.subscribe", openid=f"o{number}", at=1767225661 + number))
    push(other, message_xml("event.subscribe"))
    assert statuses() == ["set_aside"] * 6
    assert judge_pending() == 0
    operator.post(account_url(account), form_of(account, original_id="gh_5f2c81d0a7be"))
    assert judge_pending() == 5
    due = EventLog.objects.due(timezone.now()).values_list("openid", flat=True)
    assert list(due) == [f"o{number}" for number in range(5)]
    process_due()
    assert statuses() == ["processed"] * 5 + ["set_aside"]
    assert EventLog.objects.filter(folded_at=None).count() == 1


def test_pushes_stored_by_what_another_process_remembers_are_found_the_second_time():
    account = wrong()
    push(account, message_xml("event.subscribe"))
    account.original_id = "gh_5f2c81d0a7be"
    account.save()
    assert judge_pending() == 1
    EventLog.objects.update(status="set_aside")
    assert judge_pending() == 0
    pending = PendingJudgement.objects.get()
    assert pending.is_last
    PendingJudgement.objects.update(due_at=timezone.now())
    assert judge_pending() == 1
    assert not PendingJudgement.objects.exists()


def test_pushes_of_another_account_stay_quarantined_and_say_why():
    account = wrong()
    push(account, message_xml("event.subscribe", to=OTHER))
    account.original_id = "gh_5f2c81d0a7be"
    account.save()
    judge_pending()
    event = EventLog.objects.get()
    assert event.status == "set_aside"
    assert "gh_5f2c81d0a7be" in event.error


def test_saving_an_account_without_a_new_original_id_judges_nothing():
    account = wrong()
    account.name = "Renamed"
    account.save()
    assert not PendingJudgement.objects.exists()


@pytest.mark.parametrize("by", ["admin", "command"])
def test_try_again_judges_anew(operator, by):
    account = wrong()
    push(account, message_xml("event.subscribe"))
    OfficialAccount.objects.update(original_id="gh_5f2c81d0a7be")
    event = EventLog.objects.get()
    if by == "admin":
        url = reverse("admin:events_eventlog_try_this_again", args=[event.pk])
        assert "1 event is with" in operator.post(url, follow=True).content.decode()
        process_due()
    else:
        call_command("process_events", str(event.pk), stdout=io.StringIO())
    assert statuses() == ["processed"]


def test_a_push_that_was_ahead_of_its_receipt_stays_quarantined():
    account = wrong()
    ahead = int(timezone.now().timestamp()) + 3 * 86400
    push(account, message_xml("event.subscribe", at=ahead))
    account.original_id = "gh_5f2c81d0a7be"
    account.save()
    judge_pending()
    assert "a day ahead" in EventLog.objects.get().error
