"""What a user may not see is not told by a lookup, a neighbouring page or an export."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from events.models import ApiKey, EventLog
from events.people.scopes import SCOPES, scopes_of
from events.testing import make_account, message_xml, push
from subscribers.binding.bind import start_binding
from subscribers.models import BindingRequest, Subscriber
from subscribers.qr_codes.images import svg
from wechat_site.tests.signin.crawl import pages
from wechat_site.tests.signin.people import browser_of, with_rights, with_role
from wechat_site.tests.signin.world import Rows, make_rows, text_of

pytestmark = pytest.mark.django_db

CODE = "https://weixin.example/q/secret"


def get(key: str, path: str) -> Any:
    return Client().get(path, headers={"Authorization": f"Bearer {key}"})


@pytest.mark.parametrize(
    "query",
    [
        "openid__regex=(a%2B)%2B$",
        "scene__startswith=b",
        "raw__contains=x",
        "account__token__startswith=a",
        "reply__icontains=x",
        "subscriber__openid__regex=.*",
        "user__password__startswith=p",
        "created_by__password__startswith=p",
    ],
)
def test_the_admin_takes_no_lookup_that_its_pages_do_not_offer(query):
    client = browser_of(User.objects.create_superuser("root"))
    for table in (
        *("events/eventlog", "events/apikey", "events/replyrule", "events/menuversion"),
        *("events/officialaccount", "subscribers/subscriber", "subscribers/qrscene"),
        *("subscribers/binding", "subscribers/bindingrequest", "subscribers/bindingscan"),
        *("subscribers/outgoingmessage", "subscribers/followersync", "auth/user", "auth/group"),
    ):
        response = client.get(f"/admin/{table}/?{query}")
        refused = response.status_code == 400 or response.headers.get("Location", "").endswith(
            "?e=1"
        )
        assert refused, f"{table} took {query}"


# --- Neighbouring pages --------------------------------------------------------------------------


@pytest.fixture
def rows() -> Rows:
    return make_rows("hats", "Hemlock Hats", "oTHRk5QmZb7LwR2nVc9Ys0DfHj9Z", "otherwords")


def test_the_followers_page_shows_no_event_and_no_binding_to_those_who_may_see_neither(rows):
    browser = browser_of(with_rights("colleague", "subscribers.view_subscriber"))
    follower = rows.rows["subscribers.subscriber"]
    page = browser.get(f"/admin/subscribers/subscriber/{follower.pk}/change/").content.decode()
    assert "customer-of-hats" not in page
    assert "/admin/events/eventlog/" not in page
    for query in ("", "?q=customer-of-hats", "?bound=yes"):
        listed = browser.get(f"/admin/subscribers/subscriber/{query}", follow=True)
        text = listed.content.decode().replace("q=customer-of-hats", "")
        assert ">customer-of-hats<" not in text, query
    found = browser.get("/admin/subscribers/subscriber/?q=customer-of-hats")
    assert found.context["cl"].result_list == []


def test_the_api_tells_bindings_to_those_alone_who_may_see_them(rows):
    user = with_rights("colleague", "subscribers.view_subscriber")
    _, key = ApiKey.issue(user=user, scopes=["subscribers:read"])
    assert get(key, "/api/v1/subscribers/").json()["results"][0]["bound_user"] is None
    assert get(key, "/api/v1/subscribers/?bound=true").status_code == 403


def test_who_may_see_nothing_of_accounts_learns_no_name_of_one(rows):
    browser = browser_of(with_rights("clerk", "auth.view_user"))
    for page in ("/admin/", "/admin/auth/user/", "/admin/events/", "/admin/search/?s=Hemlock"):
        assert rows.account.name not in browser.get(page).content.decode(), page


def test_a_followers_remark_is_for_those_who_may_see_openids(rows):
    follower = rows.rows["subscribers.subscriber"]
    page = f"/admin/subscribers/subscriber/{follower.pk}/change/"
    remark = f"{rows.words}-remark"
    assert remark in browser_of(with_role("agent", "agent")).get(page).content.decode()
    auditor = browser_of(with_role("auditor", "auditor"))
    for path in (
        page,
        page.replace("change", "history"),
        f"{page[: -len('1/change/')]}?q={remark}",
    ):
        text = auditor.get(path, follow=True).content.decode()
        assert remark not in text.replace(f"q={remark}", "").replace(f'value="{remark}"', ""), path


@pytest.mark.parametrize(
    "page", ["mfa/authenticator", "account/emailaddress", "usersessions/usersession"]
)
def test_sessions_and_second_factors_have_no_page(page):
    browser = browser_of(User.objects.create_superuser("root"))
    assert browser.get(f"/admin/{page}/").status_code == 404


def test_who_reads_contents_without_openids_sees_nobodys_openid(rows):
    friend, sender = "oT3xk5FriendExample000000001", "oT3xk5SenderExample000000002"
    gift = message_xml("event.user_gifting_card", openid=sender, FriendUserName=friend, CardId="c")
    push(rows.account, gift)
    push(rows.account, gift.replace(b"</CreateTime>", b"x</CreateTime>"))
    events = list(EventLog.objects.order_by("-pk")[:2])
    assert {event.status for event in events} == {"processed", "unreadable"}
    reader = with_rights("reader", "events.view_eventlog", "events.view_message_contents")
    browser = browser_of(reader)
    _, key = ApiKey.issue(user=reader, scopes=["events:read"])
    shown = [
        *(text_of(get(key, f"/api/v1/events/{path}")) for path in ("", "export/")),
        *(text_of(get(key, f"/api/v1/events/{event.pk}/")) for event in events),
        browser.get("/admin/events/eventlog/").content.decode(),
        *(text_of(browser.get(f"/admin/events/eventlog/{row.pk}/change/")) for row in events),
    ]
    for text in shown:
        assert friend not in text
        assert sender not in text
    assert "••••0001" in shown[0]
    assert "••••0001" in shown[1]


@pytest.mark.slow
@pytest.mark.any_database
def test_no_page_of_the_admin_shows_an_openid_to_who_may_not_see_it(rows):
    user = User.objects.create_user("colleague", is_staff=True)
    user.user_permissions.set(Permission.objects.exclude(codename="view_openids_in_clear"))
    texts = {page.path: text_of(page.answer) for page in pages(browser_of(user))}
    assert len(texts) > 60
    assert [path for path, text in texts.items() if rows.openid in text] == []


# --- Exports and statistics ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "events/",
        "events/?after_id=0",
        "events/export/",
        "events/export/?format=csv",
        "subscribers/",
        "subscribers/export/",
        "subscribers/export/?format=csv",
        "messages/",
        "stats/top/?account=hats",
    ],
)
def test_the_auditors_key_gets_neither_contents_nor_openids(rows, path):
    auditor = with_role("auditor", "auditor")
    auditor.user_permissions.add(Permission.objects.get(codename="view_statistics"))
    auditor = User.objects.get(pk=auditor.pk)
    Subscriber.objects.update(event_count=3, unionid="uHTRk5QmZb7LwR2nVc9Ys0DfHj9Z")
    _, key = ApiKey.issue(user=auditor, scopes=scopes_of(auditor))
    response = get(key, f"/api/v1/{path}")
    assert response.status_code == 200
    text = text_of(response)
    assert "Hj9Z" in text, "a masked OpenID still tells rows apart"
    for hidden in (rows.openid, "uHTRk5", rows.words):
        assert hidden not in text, f"{path} shows {hidden}"


def test_the_code_of_a_binding_request_is_for_its_user_alone(rows):
    account = make_account("shop", mode="plaintext")
    alice, root = User.objects.create_user("alice"), User.objects.create_superuser("root")
    request = start_binding(account=account, user=alice)
    BindingRequest.objects.filter(pk=request.pk).update(url=CODE, due_at=None)
    _, key = ApiKey.issue(user=root, scopes=list(SCOPES))
    for path in (f"binding-requests/{request.pk}/", f"binding-requests/{request.pk}/qr.svg"):
        response = get(key, f"/api/v1/{path}")
        text = response.content.decode()
        assert CODE not in text
        assert svg(CODE) not in text
    page = f"/admin/subscribers/bindingrequest/{request.pk}/change/"
    assert svg(CODE) not in browser_of(root).get(page).content.decode()
    BindingRequest.objects.filter(pk=request.pk).update(user=root)
    assert svg(CODE) in browser_of(root).get(page).content.decode()
