"""Each fault made on purpose: the doctor names it, in both languages, and no other."""

from __future__ import annotations

import datetime
import json
import shutil
import time
from collections import namedtuple
from contextlib import ExitStack

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone, translation

from events.callback import probe
from events.doctor import Line, Visit, door, examine
from events.doctor import at_wechat as wechats_side
from events.doctor.findings import FAULTS
from events.models import CallbackRefusal, EventLog, LastExamination, OfficialAccount, TaskRun
from events.simulator.fake_api import Fault
from events.testing import AES_KEY, message_xml, push
from events.tests.doctor.crooked import Answer, certificate, crooked_proxy
from wechat_site.tests.launch import free_port

BASE = "http://wechat.example.com"


class Patient:
    """A good site; a test breaks one thing of it."""

    def __init__(self, account, fake, at_wechat, settings, monkeypatch, folder):
        self.account, self.fake, self.at_wechat = account, fake, at_wechat
        self.settings, self.monkeypatch, self.folder = settings, monkeypatch, folder
        self.stack = ExitStack()
        self.site = self.stack.enter_context(crooked_proxy(passes_on))
        self.line = Line(BASE, 60, self.site)
        self.ahead = datetime.timedelta()

    def behind(self, behave, **of_certificate):
        """Puts a proxy before the site; with facts of a certificate, one that speaks TLS."""
        file, context = None, None
        if of_certificate:
            file, context = certificate(self.folder, **of_certificate)
        address = self.stack.enter_context(crooked_proxy(behave, file))
        base = BASE.replace("http:", "https:") if file else BASE
        self.line = Line(base, 60, address, context)

    def set(self, **columns):
        OfficialAccount.objects.filter(pk=self.account.pk).update(**columns)

    def refuse(self, reason):
        now = timezone.now().replace(second=0, microsecond=0)
        CallbackRefusal.objects.create(
            minute=now, account=self.account.slug, reason=reason, number=160
        )

    def examined(self):
        self.account = OfficialAccount.objects.get(pk=self.account.pk)
        visit = Visit(self.line, now=lambda: timezone.now() + self.ahead)
        return examine(self.account, visit)


@pytest.fixture
def patient(transactional_db, shop, fake, at_wechat, settings, monkeypatch, tmp_path):
    TaskRun.objects.create(name="events", finished_at=timezone.now())
    monkeypatch.setattr(door, "_REFUSALS_STORED", 0.5)
    patient = Patient(shop, fake, at_wechat, settings, monkeypatch, tmp_path)
    with patient.stack:
        yield patient


# --- What is broken, by the name of the finding ---


def passes_on(asked, site):
    return site(asked)


def redirects(asked, site):
    return Answer(301, headers={"Location": f"https://www.example.com{asked.path}"})


def strips_the_query(asked, site):
    asked.path = asked.path.partition("?")[0]
    return site(asked)


def signs_otherwise(asked, site):
    before, _, after = asked.path.partition("signature=")
    asked.path = f"{before}signature={'0' * 40}{after[40:]}"
    return site(asked)


def leads_to_another_account(asked, site):
    asked.path = f"/wechat/another/?{asked.path.partition('?')[2]}"
    return site(asked)


def adds_a_line(asked, site):
    answer = site(asked)
    answer.body += b"\n"
    return answer


def opens_bodies(asked, site):
    if asked.method == "POST":
        asked.body = message_xml()
    return site(asked)


def is_found_by_strangers(asked, site):
    path = asked.path
    answer = opens_bodies(asked, site)
    leads_to_another_account(asked, site)
    asked.path = path
    return answer


def takes_small_bodies(asked, site):
    return Answer(413) if asked.method == "POST" else site(asked)


def acknowledges_pushes(asked, site):
    return Answer(200, b"success") if asked.method == "POST" else site(asked)


def is_slow(asked, site):
    time.sleep(2.5)
    return site(asked)


def answers(status, body=b"<html>", kind="text/html"):
    return lambda asked, site: Answer(status, body, {"Content-Type": kind})


def hurry(patient):
    patient.behind(is_slow)
    patient.line = Line(BASE, 1, patient.line.connect_to)


def speak_no_tls(patient):
    patient.line = Line("https://wechat.example.com", 60, patient.site)


def seal_with_another_key(patient):
    other = OfficialAccount.objects.get(pk=patient.account.pk)
    other.encoding_aes_key = AES_KEY[::-1]
    push(other, message_xml())


def be_addressed_otherwise(patient):
    push(patient.account, message_xml(to="gh_another"))


def check_callback(patient, **answer):
    fault = Fault(body=json.dumps(answer).encode(), times=None)
    patient.fake.make_trouble("/cgi-bin/callback/check", fault)


def refuse_calls(patient, path, errcode):
    patient.fake.make_trouble(path, Fault(errcode=errcode, times=None))


def lead_elsewhere_for_wechat(patient):
    # Without another way to connect: names of this machine's network say nothing.
    patient.line = Line("http://{}:{}".format(*patient.site), 60)
    patient.monkeypatch.setattr(wechats_side, "_public_addresses", lambda line: {"203.0.113.9"})


def take_no_writes(patient):
    on, off = {
        "sqlite": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
        "postgresql": (
            "SET default_transaction_read_only = on", "SET default_transaction_read_only = off",
        ),
    }[connection.vendor]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(on)
    patient.stack.callback(lambda: connection.cursor().execute(off))


def fill_the_disk(patient):
    usage = namedtuple("usage", "total used free")
    patient.monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100 << 30, 99 << 30, 1 << 30))


def use_another_database(patient):
    patient.monkeypatch.setattr(door, "database_fingerprint", lambda: "another")


def turn_back_the_web_clock(patient):
    def reports(body, name):
        report = probe.read_report(body, name)
        return probe.ProbeReport(report.at - 600, report.database)

    patient.monkeypatch.setattr(door, "read_report", reports)


FAULTS_MADE = {
    # settings
    "inactive": lambda p: p.set(is_active=False),
    "no_token": lambda p: p.set(token=""),
    "ids_exchanged": lambda p: p.set(app_id="gh_5f2c81d0a7be", original_id="wx3a9f0c27d81be645"),
    "aes_key_invalid": lambda p: p.set(encoding_aes_key="short"),
    "weak_mode": lambda p: p.set(security_mode="plaintext"),
    "time_zone": lambda p: p.set(time_zone="America/New_York"),
    # the public address
    "no_public_url": lambda p: setattr(p, "line", None),
    "port": lambda p: setattr(p, "line", Line(f"{BASE}:8080", 60, p.site)),
    "unresolved": lambda p: setattr(p, "line", Line("http://no-such-host.invalid", 60)),
    "unreachable": lambda p: setattr(p, "line", Line(BASE, 60, ("127.0.0.1", free_port()))),
    "redirect": lambda p: p.behind(redirects),
    "proxy": lambda p: p.behind(answers(502)),
    "body_limit": lambda p: p.behind(takes_small_bodies),
    "query_lost": lambda p: p.behind(strips_the_query),
    "secrets_differ": lambda p: p.behind(signs_otherwise),
    "unknown_to_web": lambda p: p.behind(leads_to_another_account),
    "altered": lambda p: p.behind(adds_a_line),
    "not_this_site": lambda p: p.behind(answers(200)),
    "not_stored": lambda p: p.behind(answers(503, b"try again", "text/plain")),
    "other_site": lambda p: p.behind(acknowledges_pushes),
    "other_database": use_another_database,
    "too_slow": hurry,
    # Any answer takes longer than no time.
    "slow": lambda p: p.monkeypatch.setattr(door, "_SLOW_SHARE", 0.0),
    "refused": lambda p: p.behind(opens_bodies),
    "certificate": lambda p: p.behind(passes_on, days=-1),
    "certificate ": lambda p: p.behind(passes_on, name="www.example.com"),
    "certificate_expiring": lambda p: p.behind(passes_on, days=3.5),
    "tls": speak_no_tls,
    "clocks_differ": turn_back_the_web_clock,
    # what WeChat's pushes met
    "wrong_token": lambda p: p.refuse("SignatureMismatch"),
    "wrong_aes_key": seal_with_another_key,
    "wrong_app_id": lambda p: p.refuse("AppIdMismatch"),
    "wrong_mode": lambda p: p.refuse("Downgraded"),
    "wrong_original_id": be_addressed_otherwise,
    # WeChat's API
    "no_app_secret": lambda p: p.set(app_secret=""),
    "credentials": lambda p: p.set(app_secret="0" * 32),
    "api_unreachable": lambda p: setattr(
        p.settings, "WECHAT_API_BASE", f"http://127.0.0.1:{free_port()}"
    ),
    "ip_list": lambda p: setattr(p.at_wechat, "allowed_addresses", frozenset({"192.0.2.1"})),
    "uncertified": lambda p: setattr(p.at_wechat, "is_certified", False),
    "quota_low": lambda p: p.at_wechat.exhaust_quota("/cgi-bin/user/get"),
    "token_refused": lambda p: refuse_calls(p, "/cgi-bin/callback/check", 40001),
    "api_refused": lambda p: refuse_calls(p, "/cgi-bin/openapi/quota/get", 65400),
    "wechat_resolves_otherwise": lead_elsewhere_for_wechat,
    "wechat_resolves_not": lambda p: check_callback(p, dns=[], ping=[]),
    "wechat_loses_packets": lambda p: check_callback(
        p, dns=[{"ip": "192.0.2.10"}], ping=[{"ip": "192.0.2.10", "package_loss": "50%"}]
    ),
    "clock": lambda p: setattr(p, "ahead", datetime.timedelta(minutes=10)),
    # the site
    "no_worker": lambda p: TaskRun.objects.all().delete(),
    "disk": fill_the_disk,
    "database": take_no_writes,
}
# What follows from a fault by itself.
FOLLOWS = {
    "ids_exchanged": {"credentials"},
    "clock": {"clocks_differ", "no_worker"},
    "wechat_resolves_otherwise": {"port"},
}


@pytest.mark.slow
@pytest.mark.parametrize("code", FAULTS_MADE)
def test_a_fault_is_named_with_its_remedy_in_both_languages(code, patient):
    FAULTS_MADE[code](patient)
    examination = patient.examined()
    code = code.strip()
    assert {finding.code for finding in examination.findings} - FOLLOWS.get(code, set()) == {code}
    texts = {}
    for language in ("en", "zh-hans"):
        with translation.override(language):
            (finding,) = (found for found in examination.findings if found.code == code)
            texts[language] = finding.what, finding.remedy
    for english, chinese in zip(texts["en"], texts["zh-hans"], strict=True):
        assert "%(" not in english + chinese
        assert english != chinese
        assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese)
    if code == "ip_list":
        assert "127.0.0.1" in texts["en"][1]


@pytest.mark.slow
def test_what_strangers_try_meanwhile_is_not_taken_for_the_reason(patient):
    patient.behind(is_found_by_strangers)
    assert [finding.code for finding in patient.examined().findings] == ["refused"]


def test_a_long_wait_is_not_taken_for_a_wrong_clock(patient):
    def lasts(asked, site):
        if asked.method == "GET":
            patient.ahead = datetime.timedelta()
        return site(asked)

    patient.ahead = -datetime.timedelta(seconds=90)
    patient.behind(lasts)
    assert [finding.code for finding in patient.examined().findings] == []


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["safe", "compatible"])
def test_on_a_good_site_nothing_is_found_and_nothing_is_left(mode, patient):
    patient.set(security_mode=mode)
    patient.behind(passes_on, days=90)
    examination = patient.examined()
    assert [finding.what for finding in examination.findings] == []
    assert {right.path: right.is_granted for right in examination.rights} == dict.fromkeys(
        [right.path for right in examination.rights], True
    )
    assert not EventLog.objects.exists()
    assert not CallbackRefusal.objects.exists()


@pytest.mark.slow
def test_the_command_names_the_fault_and_the_page_keeps_it(patient, capsys, operator):
    url = {"url": BASE, "connect": "{}:{}".format(*patient.site), "language": "en"}
    call_command("doctor", "shop", **url)
    assert capsys.readouterr().out == "✓ shop\n"
    patient.set(token="")
    with pytest.raises(CommandError, match="1 of 1 accounts need attention"):
        call_command("doctor", **url)
    assert "→ Enter the token" in capsys.readouterr().out
    page = f"/admin/events/officialaccount/{patient.account.pk}/doctor/"
    text = operator.get(page).content.decode()
    assert "every push is refused" in text
    assert "customer-service messages" in text
    patient.set(token="Rk7mWechatTok2026")
    patient.settings.PUBLIC_URL = f"http://127.0.0.1:{patient.site[1]}"
    assert "leads" not in operator.post(page, follow=True).content.decode()
    (found,) = LastExamination.objects.get().findings
    assert found["code"] == "port"
    with pytest.raises(CommandError, match="no account"):
        call_command("doctor", "nobody")


@pytest.mark.any_database
def test_every_fault_is_made_here():
    assert set(FAULTS) == {code.strip() for code in FAULTS_MADE}
