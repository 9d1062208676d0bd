"""The operators' page of applications."""

from __future__ import annotations

import re

import pytest
from allauth.idp.oidc.models import Client as Application
from django.contrib.auth.models import Group, User
from django.test import Client

from events.models import AccountLimit, AuditEntry
from events.testing import make_account
from wechat_site.openid.claims import accounts_of

pytestmark = pytest.mark.django_db

LIST = "/admin/allauth_idp_oidc/client/"
GIVEN = {
    "name": "Grafana",
    "type": "confidential",
    "redirect_uris": "https://grafana.example.com/login/generic_oauth",
    "scopes": ["profile", "wechat"],
}


def shown_secret(page):
    [secret] = re.findall(r"<code>([\w-]{40,})</code>", page.content.decode())
    return secret


@pytest.mark.parametrize(
    ("language", "name", "protocols"),
    [("en", "pplication", r"\b[Cc]lients?\b(?! ID)"), ("zh-hans", "应用", "客户端(?! ID)")],
)
def test_the_pages_say_applications(operator, language, name, protocols):
    operator.cookies["django_language"] = language
    Application.objects.create(id="app-grafana", name="Grafana", redirect_uris="https://a.example")
    for page in ("", "add/", "app-grafana/change/", "app-grafana/history/", "app-grafana/delete/"):
        text = operator.get(f"{LIST}{page}").content.decode()
        assert name in text
        assert re.findall(f">[^<]*{protocols}[^<]*<", text) == []


def test_the_secret_is_shown_once_stored_as_a_digest_and_can_be_changed(operator):
    account = make_account()
    page = operator.post(f"{LIST}add/", {**GIVEN, "accounts": [account.pk]}, follow=True)
    application = Application.objects.get()
    first = shown_secret(page)
    assert application.check_secret(first)
    assert first not in application.secret
    assert application.get_scopes() == ["openid", "profile", "wechat"]
    assert application.get_grant_types() == ["authorization_code", "refresh_token"]
    assert accounts_of(application) == [account.pk]
    change = f"{LIST}{application.pk}/change/"
    assert "<code>" not in operator.get(change).content.decode()
    operator.post(change, {**GIVEN, "name": "Grafana 2"})
    application.refresh_from_db()
    assert (application.name, accounts_of(application)) == ("Grafana 2", None)
    assert application.check_secret(first)
    rotate = f"{LIST}{application.pk}/rotate_secret"
    rotate = operator.get(f"{rotate}/").request["PATH_INFO"]
    second = shown_secret(operator.post(rotate, follow=True))
    application.refresh_from_db()
    assert application.check_secret(second)
    assert not application.check_secret(first)
    operator.post(f"{LIST}{application.pk}/delete/", {"post": "yes"})
    entries = AuditEntry.objects.filter(model="allauth_idp_oidc.client").order_by("pk")
    assert [entry.act for entry in entries] == ["add", "change", "rotate_secret", "delete"]
    stored = "".join(str(entry.changes) for entry in entries)
    assert "random_sha256" not in stored


@pytest.mark.parametrize(
    "uri",
    [
        "http://grafana.example.com/",
        "grafana.example.com",
        "https://*.example.com/",
        "https://grafana.example.com/#x",
        "javascript:alert(1)",
        "https://[",
    ],
)
def test_codes_go_to_whole_addresses_over_tls_alone(operator, uri):
    page = operator.post(f"{LIST}add/", {**GIVEN, "redirect_uris": uri})
    assert page.status_code == 200
    assert not Application.objects.exists()


def test_a_public_application_is_shown_no_secret(operator):
    given = {**GIVEN, "type": "public", "redirect_uris": "org.example.app:/back http://127.0.0.1/"}
    page = operator.post(f"{LIST}add/", given, follow=True)
    assert Application.objects.get().type == "public"
    assert "<code>" not in page.content.decode()


def test_a_limit_stays_though_its_accounts_are_deleted(operator):
    account, kept = make_account(), make_account("kept")
    deleted = account.pk
    operator.post(f"{LIST}add/", {**GIVEN, "accounts": [account.pk]})
    account.delete()
    change = f"{LIST}{Application.objects.get().pk}/change/"
    operator.post(change, {**GIVEN, "name": "Grafana 2"})
    application = Application.objects.get()
    assert (application.name, accounts_of(application)) == ("Grafana 2", [deleted])
    operator.post(change, {**GIVEN, "accounts": [kept.pk]})
    assert accounts_of(Application.objects.get()) == [kept.pk]


def test_users_with_a_limit_see_no_application(db):
    user = User.objects.create_user("north", is_staff=True)
    user.groups.add(Group.objects.get(made_as__key="administrator"))
    Application.objects.create(id="app-x", name="Grafana")
    browser = Client()
    browser.force_login(user)
    assert browser.get(f"{LIST}app-x/change/").status_code == 200
    AccountLimit.objects.create(user=user)
    assert browser.get(LIST).status_code == 403
    assert browser.get(f"{LIST}app-x/change/").status_code in {302, 403}
    assert browser.post(f"{LIST}add/", GIVEN).status_code == 403
