"""Every URL of the site, for every role, of one's own account and of another, read and written.

The URLs come from the resolver: a new one fails here until it has a rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from events.models import AccountLimit, ApiKey
from events.people.scopes import scopes_of
from wechat_site import urls
from wechat_site.signin.roles import ROLES
from wechat_site.tests.signin.world import Rows, make_rows, text_of

pytestmark = pytest.mark.django_db

# Pages for everybody, or for everybody about himself.
OPEN = re.compile(
    r"^($|wechat/|account/|me/|openid/|i18n/|api/schema/|api/docs/|healthz|readyz|metrics)"
)
# Of the admin, for all staff: they name nothing that belongs to an account.
STAFF = re.compile(
    r"^admin/($|dashboard\.csv$|login/|logout/|password_change/|search/|autocomplete/|jsi18n/|r/<path|\^|\()"
)
# Django redirects every user from here to the page for changes.
OLD_ADDRESS = re.compile(r"^admin/\w+/\w+/<path:object_id>/$")
# What can be done to the rows of each table, on Django's own pages.
TABLES = {
    "events.alert": "view",
    "events.alertchannel": "view add change delete",
    "events.alertlimits": "view add change delete",
    "events.alertmessage": "view",
    "events.auditentry": "view",
    "events.apikey": "view add",
    "events.eventlog": "view",
    "events.livemenu": "view",
    "events.mediafile": "view add change delete",
    "events.messagetext": "view",
    "events.menuversion": "view add change delete",
    "events.officialaccount": "view add change delete",
    "events.replyrule": "view add change delete",
    "events.ruleversion": "view",
    "events.taskrun": "",
    "auth.user": "view add change delete",
    "auth.group": "view add change delete",
    "allauth_idp_oidc.client": "view add change delete",
    "subscribers.binding": "view",
    "subscribers.bindingrequest": "view add",
    "subscribers.bindingscan": "view",
    "subscribers.bindingtext": "view add change delete",
    "subscribers.conversation": "view",
    "subscribers.erasure": "view",
    "subscribers.followeredit": "view",
    "subscribers.followerexport": "view",
    "subscribers.followersync": "view add",
    "subscribers.outgoingmessage": "view",
    "subscribers.profilefetch": "view",
    "subscribers.qrscene": "view add change delete",
    "subscribers.receivedmedia": "view",
    "subscribers.savedanswer": "view add change delete",
    "subscribers.scenetag": "view add change delete",
    "subscribers.seenscene": "view",
    "subscribers.segment": "view add change delete",
    "subscribers.subscriber": "view",
    "subscribers.webhookdelivery": "view",
    "subscribers.webhookendpoint": "view add change delete",
    "subscribers.tagread": "view",
    "subscribers.wechatday": "view",
}
# The right that each other page of a table needs.
PAGES = {
    "events.alertchannel send_a_test": "events.change_alertchannel",
    "events.auditentry export": "events.view_auditentry",
    "events.eventlog try_this_again": "events.change_eventlog",
    "events.mediafile file": "events.view_mediafile",
    "events.mediafile poster": "events.view_mediafile",
    "events.menuversion import": "events.add_menuversion",
    "events.menuversion ask": "events.change_menuversion",
    "events.menuversion publish_version": "events.publish_menu",
    "events.menuversion withdraw_version": "events.publish_menu",
    "events.menuversion take_version_back": "events.publish_menu",
    "events.menuversion copy_version": "events.add_menuversion",
    "events.officialaccount doctor": "events.change_officialaccount",
    "events.officialaccount see_doctor": "events.change_officialaccount",
    "events.officialaccount original-id": "events.change_officialaccount",
    "events.officialaccount renew_callback_key": "events.change_officialaccount",
    "events.officialaccount sync_followers": "subscribers.add_followersync",
    "events.replyrule discard": "events.change_replyrule",
    "events.replyrule order": "events.change_replyrule",
    "events.replyrule publish": "events.publish_rules",
    "events.replyrule put-back": "events.change_replyrule",
    "events.replyrule replay": "events.view_replyrule",
    "events.replyrule take-over": "events.add_replyrule",
    "events.replyrule test": "events.view_replyrule",
    "events.ruleversion take_version_back": "events.publish_rules",
    "events.taskrun ": "events.view_taskrun",
    "events.taskrun try-again": "events.view_taskrun",
    "events.taskrun run-now": "events.change_taskrun",
    "auth.user password": "auth.change_user",
    "allauth_idp_oidc.client rotate_secret": "allauth_idp_oidc.change_client",
    "subscribers.segment put-back": "subscribers.change_segment",
    "subscribers.conversation assign": "subscribers.change_conversation",
    "subscribers.conversation done": "subscribers.change_conversation",
    "subscribers.conversation file": "subscribers.view_conversation",
    "subscribers.conversation lines": "subscribers.view_conversation",
    "subscribers.conversation poster": "subscribers.view_conversation",
    "subscribers.conversation note": "subscribers.change_conversation",
    "subscribers.conversation reopen": "subscribers.change_conversation",
    "subscribers.conversation rows": "subscribers.view_conversation",
    "subscribers.conversation write": "subscribers.add_outgoingmessage",
    "subscribers.erasure receipt": "subscribers.view_erasure",
    "subscribers.followerexport file": "subscribers.view_followerexport",
    "subscribers.followersync try_this_again": "subscribers.add_followersync",
    "subscribers.outgoingmessage try_this_again": "subscribers.change_outgoingmessage",
    "subscribers.qrscene elsewhere": "subscribers.view_seenscene",
    "subscribers.qrscene fetch": "subscribers.change_qrscene",
    "subscribers.qrscene png": "subscribers.view_qrscene",
    "subscribers.qrscene all-results": "subscribers.view_qrscene",
    "subscribers.qrscene results": "subscribers.view_qrscene",
    "subscribers.qrscene several": "subscribers.add_qrscene",
    "subscribers.qrscene svg": "subscribers.view_qrscene",
    "subscribers.subscriber erase": "subscribers.erase_personal_data",
    "subscribers.subscriber export": "subscribers.add_followerexport",
    "subscribers.subscriber edit-profile": "subscribers.change_subscriber",
    "subscribers.subscriber person": "subscribers.view_subscriber",
    "subscribers.subscriber profile": "subscribers.change_subscriber",
    "subscribers.subscriber tag": "subscribers.change_subscriber",
    "subscribers.subscriber personal-data": "subscribers.export_personal_data",
    "subscribers.subscriber sync_followers": "subscribers.add_followersync",
    "subscribers.subscriber write": "subscribers.add_outgoingmessage",
    "subscribers.webhookendpoint activate": "subscribers.change_webhookendpoint",
    "subscribers.webhookendpoint deliveries": "subscribers.view_webhookendpoint",
    "subscribers.webhookendpoint rotate_secret": "subscribers.change_webhookendpoint",
    "subscribers.webhookendpoint send_a_test": "subscribers.change_webhookendpoint",
    "subscribers.webhookendpoint send_again": "subscribers.change_webhookendpoint",
}
# The table behind each part of the API, and the right that reading it needs.
API = {
    "accounts": "events.officialaccount",
    "binding-links": "subscribers.bindingrequest",
    "binding-requests": "subscribers.bindingrequest",
    "bindings": "subscribers.binding",
    "changes": "",
    "events": "events.eventlog",
    "messages": "subscribers.outgoingmessage",
    "scenes": "subscribers.qrscene",
    "stats": "",
    "subscribers": "subscribers.subscriber",
    "webhooks": "subscribers.webhookendpoint",
}


# What opens an account at WeChat, which no test's account is known to.
BROKER = {
    "access-token": "events.use_access_token",
    "js-config": "events.use_js_ticket",
    "js-ticket": "events.use_js_ticket",
}
# Pages of the API that take POST alone.
ACTS = ("binding-links", "renew", "rotate-secret", "/test", "activate", "redeliver")
# The same for what reads several tables; changes of followers are for all who see followers.
NO_TABLE = {"changes": "subscribers.view_subscriber", "stats": "events.view_statistics"}


def every_route(patterns: list[Any], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from every_route(pattern.url_patterns, route)
        else:
            assert isinstance(pattern, URLPattern)
            yield route


@dataclass(frozen=True)
class Page:
    """A page of the admin or the API, its table and the right that it needs; "" for nobody."""

    route: str
    table: str
    right: str

    def path(self, rows: Rows) -> str | None:
        """Its address for a row of that account; None where it needs none."""
        row = rows.rows.get(self.table)
        key = {"accounts": rows.account.slug}.get(self.route.split("^")[-1].split("/")[0])
        pk = str(key or (row.pk if row is not None else 1))
        path = self.route.replace(r"\.", ".")
        if "(?P<format>" in path:
            return None
        path = re.sub(r"<[a-z]+:\w+>|<id>|\(\?P<\w+>[^)]*\)", pk, path)
        days = {"from": "2026-11-01", "to": "2026-11-03"}
        query = f"?{urlencode({'account': rows.account.slug, **days})}" if self.is_numbers else ""
        return "/" + path.replace("^", "").replace("$", "") + query

    @property
    def is_numbers(self) -> bool:
        return self.route.startswith("api/v1/stats/")


def page_of(route: str) -> Page | None:
    """The page with its rule; None for open ones. Fails for a page that nobody has thought of."""
    if OPEN.match(route) or STAFF.match(route) or OLD_ADDRESS.match(route):
        return None
    lends = re.match(r"api/v1/\^accounts/.+/([a-z-]+)/\$", route)
    if lends and lends[1] in BROKER:
        return Page(route, "", BROKER[lends[1]])
    if found := re.match(r"api/v1/\^?([a-z-]+)", route):
        assert found[1] in API, f"API has no rule for {route}"
        table = API[found[1]]
        if not table:
            return Page(route, "", NO_TABLE[found[1]])
        app, name = table.split(".")
        right = "view_binding" if found[1].startswith("binding-") else f"view_{name}"
        return Page(route, table, f"{app}.{right}")
    found = re.match(r"admin/(\w+)/(\w+)/(?:<\w+:?\w*>/)?([^/<]*)/?(?:<int:\w+>/)?$", route)
    assert found, f"a rule for {route} is missing"
    app, name, page = found.groups()
    table = f"{app}.{name}"
    if f"{table} {page}" in PAGES:
        return Page(route, table, PAGES[f"{table} {page}"])
    assert table in TABLES, f"TABLES has no rule for {route}"
    acts = TABLES[table].split()
    act = {"": "view", "change": "view", "history": "view"}.get(page, page)
    assert act in {"view", "add", "delete"}, f"PAGES has no rule for {route}"
    return Page(route, table, f"{app}.{act}_{name}" if act in acts else "")


@pytest.fixture(autouse=True)
def plain_refusals(monkeypatch):
    """Refusals without the theme's page, which takes longer than all the rest."""

    def refuse(status: int) -> Any:
        return lambda request, exception=None: HttpResponse(status=status)

    for status in (400, 403, 404):
        monkeypatch.setattr(urls, f"handler{status}", refuse(status), raising=False)


@pytest.fixture
def files_of_tests(settings, tmp_path):
    private = settings.STORAGES["private"]
    options = private["OPTIONS"] | {"location": tmp_path}
    settings.STORAGES = {**settings.STORAGES, "private": {**private, "OPTIONS": options}}


@pytest.fixture
def own(files_of_tests: None) -> Rows:
    return make_rows("books", "Birch Books", "oOWNk5QmZb7LwR2nVc9Ys0DfHj4E", "ownwords")


@pytest.fixture
def other(files_of_tests: None) -> Rows:
    return make_rows("hats", "Hemlock Hats", "oTHRk5QmZb7LwR2nVc9Ys0DfHj9Z", "otherwords")


def person_with(role: str, own: Rows) -> User:
    user = User.objects.create_user(f"person-{role}", is_staff=True)
    if role in ROLES:
        user.groups.add(Group.objects.get(made_as__key=role))
    AccountLimit.objects.create(user=user).accounts.add(own.account)
    return User.objects.get(pk=user.pk)


def check_masked(text: str, user: User, own: Rows, other: Rows, where: str) -> None:
    for mark in other.marks:
        assert mark not in text, f"{where} tells of another account: {mark}"
    if not user.has_perm("events.view_message_contents"):
        for words in (f"{own.words}-sent", f"{own.words}-reply", f">{own.words}<"):
            assert words not in text, f"{where} shows contents"
    if not user.has_perm("events.view_openids_in_clear"):
        assert own.openid not in text, f"{where} shows an OpenID"
        assert f"{own.words}-remark" not in text, f"{where} shows a remark"


START_PAGES = (
    *("/admin/", "/admin/?account=hats", "/admin/events/", "/admin/subscribers/"),
    *(f"/admin/dashboard.csv?account=hats&table={table}" for table in ("sources", "menu", "texts")),
)
OTHER_ROLES = [role for role in ROLES if role != "administrator"]
REFUSALS = {302, 403, 404, 405}
ROUTES = sorted(set(every_route(get_resolver().url_patterns)))
PAGES_WITH_RULES = [page for route in ROUTES if (page := page_of(route))]


def on_one_database(*case: str) -> Any:
    """A case that shows what its role may see: the administrator's has every page read its rows."""
    return pytest.param(*case, marks=pytest.mark.any_database)


@pytest.mark.slow
@pytest.mark.parametrize(
    "role", ["administrator", *map(on_one_database, [*OTHER_ROLES, "nothing"])]
)
def test_the_admin_shows_and_takes_what_the_role_says(role: str, own: Rows, other: Rows):
    user = person_with(role, own)
    client = Client(raise_request_exception=True)
    client.force_login(user)
    for start in START_PAGES:
        check_masked(text_of(client.get(start)), user, own, other, start)
    # Who is limited to some accounts changes no users, and sees no work of all accounts together.
    limited = {"auth.add_user", "auth.change_user", "auth.delete_user", "auth.add_group"}
    limited |= {"auth.delete_group", "events.view_taskrun", "events.change_taskrun"}
    limited |= {f"allauth_idp_oidc.{act}_client" for act in ("view", "add", "change", "delete")}
    before = own.fingerprint(), other.fingerprint()
    for page in PAGES_WITH_RULES:
        if not page.route.startswith("admin/"):
            continue
        may = bool(page.right) and user.has_perm(page.right) and page.right not in limited
        mine, theirs = page.path(own), page.path(other)
        assert mine is not None
        assert theirs is not None
        where = f"{role} GET {mine}"
        got = client.get(mine)
        check_masked(text_of(got), user, own, other, where)
        if not may:
            assert got.status_code in REFUSALS, where
            assert client.post(mine, {"post": "yes"}).status_code in REFUSALS, f"{where} POST"
            continue
        if page.right.split(".")[1].startswith("view") and page.table in own.rows:
            assert got.status_code in {200, 302}, where
        if theirs != mine:
            got = client.get(theirs)
            assert got.status_code in REFUSALS, f"{role} GET {theirs}"
            check_masked(text_of(got), user, own, other, f"{role} GET {theirs}")
            taken = client.post(theirs, {"post": "yes"})
            assert taken.status_code in REFUSALS, f"{role} POST {theirs}"
    assert (own.fingerprint(), other.fingerprint()) == before


@pytest.mark.slow
@pytest.mark.parametrize("role", ["administrator", on_one_database("auditor")])
def test_bulk_actions_and_searches_reach_ones_own_account_alone(role: str, own: Rows, other: Rows):
    user = person_with(role, own)
    client = Client()
    client.force_login(user)
    before = other.fingerprint()
    for table, row in other.rows.items():
        # Some tables have no page here: only the API shows them.
        if not admin.site.is_registered(type(row)):
            continue
        if not user.has_perm(f"{table.replace('.', '.view_')}"):
            continue
        listing = f"/admin/{table.replace('.', '/')}/"
        for term in (other.openid, f"{other.account.slug}-poster", "customer-of-hats"):
            text = text_of(client.get(listing, {"q": term})).replace(term, "")
            check_masked(text, user, own, other, f"{role} {listing}?q={term}")
        for action in admin.site.get_model_admin(type(row)).actions or ():
            chosen = {"action": action, "_selected_action": [row.pk], "post": "yes"}
            text_of(client.post(listing, chosen))
    assert other.fingerprint() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("role", "limited_by"),
    [
        ("administrator", "user"),
        ("administrator", "key"),
        *(on_one_database(role, "user") for role in OTHER_ROLES),
    ],
)
def test_the_api_shows_and_takes_what_the_role_says(
    role: str, limited_by: str, own: Rows, other: Rows
):
    user = person_with(role, own)
    accounts = []
    if limited_by == "key":
        AccountLimit.objects.all().delete()
        accounts = [own.account]
        user = User.objects.get(pk=user.pk)
    _, key = ApiKey.issue(user=user, scopes=scopes_of(user), accounts=accounts)
    client = Client(headers={"Authorization": f"Bearer {key}"})
    before = other.fingerprint()
    for page in PAGES_WITH_RULES:
        if not page.route.startswith("api/") or page.path(own) is None:
            continue
        mine, theirs = page.path(own), page.path(other)
        got = client.get(mine)
        where = f"{role} {mine}"
        may = user.has_perm(page.right)
        if any(act in page.route for act in ACTS):
            assert got.status_code in {403, 405}, where
        elif "binding-requests" in page.route and "qr" in page.route:
            assert got.status_code in {403, 404}, where
        elif page.right in BROKER.values():
            assert got.status_code in ({400, 503} if may else {403}), where
        else:
            assert got.status_code == (200 if may else 403), where
        check_masked(text_of(got), user, own, other, where)
        if theirs != mine:
            got = client.get(theirs)
            assert got.status_code in {400, 403, 404, 405}, f"{role} {theirs}"
            taken = client.post(theirs, {}, content_type="application/json")
            assert taken.status_code in {403, 404, 405}, f"{role} {theirs}"
        body = {
            "account": "hats", "user": user.username, "openid": other.openid, "name": "x",
            "kind": "text", "payload": {"content": "x"},
        }  # fmt: skip
        got = client.post(mine, body, content_type="application/json")
        assert got.status_code in {400, 403, 404, 405}, f"{role} POST {mine}"
        if not (may and page.table) or theirs != mine:
            continue
        for query in ({"account": "hats"}, {"openid": other.openid}, {"openid": own.openid}):
            got = client.get(mine, query)
            check_masked(text_of(got).replace("hats", ""), user, own, other, f"{where} {query}")
            if "openid" in query and got.status_code == 200:
                assert user.has_perm("events.view_openids_in_clear")
    assert other.fingerprint() == before


@pytest.mark.parametrize("path", ["/admin/", "/admin/events/eventlog/", "/account/sessions/"])
def test_strangers_are_led_to_the_sign_in(client, path):
    assert client.get(path).status_code == 302
    assert client.get("/api/v1/events/").status_code == 401
