from __future__ import annotations

import contextlib
import csv
import datetime
import io
import zipfile
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.storage import storages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events.db.time_limit import TookTooLong
from events.models import AccountLimit, AuditEntry
from events.testing import make_account, message_xml, push
from subscribers.admin.followers import segments
from subscribers.models import (
    Conversation,
    Erasure,
    FollowerExport,
    FollowerTag,
    QRScene,
    Segment,
    Subscriber,
)
from subscribers.personal_data.erase import erase
from subscribers.segments import export as export_module
from subscribers.segments.conditions import in_segment
from subscribers.segments.export import remove_expired, write_exports

pytestmark = pytest.mark.django_db

LISTING = reverse("admin:subscribers_subscriber_changelist")
EXPORT = reverse("admin:subscribers_subscriber_export")


@pytest.fixture(autouse=True)
def files(settings, tmp_path):
    settings.STORAGES = {
        **settings.STORAGES,
        "private": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path / "files"},
        },
    }
    yield tmp_path / "files" / "exports"
    del storages._storages


@pytest.fixture
def account():
    return make_account(name="Spruce Books")


@pytest.fixture
def people(account):
    """One who came by a code and writes, one who left."""
    QRScene.objects.create(account=account, scene="shop-1", name="=Shop 1", due_at=None)
    push(account, message_xml("event.subscribe", openid="oStays", EventKey="qrscene_shop-1"))
    push(account, message_xml("event.subscribe", openid="oLeaves"))
    push(account, message_xml("event.unsubscribe", openid="oLeaves"))
    stays = Subscriber.objects.get(openid="oStays")
    Subscriber.objects.filter(pk=stays.pk).update(remark="@SUM(1)")
    now = timezone.now()
    Conversation.objects.create(
        account=account, subscriber=stays, last_at=now, window_until=now + datetime.timedelta(1)
    )
    return stays


def exported(client, **post):
    assert client.post(EXPORT, post).status_code == 302
    write_exports()
    export = FollowerExport.objects.latest("pk")
    url = reverse("admin:subscribers_followerexport_file", args=[export.pk])
    return b"".join(client.get(url).streaming_content)


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ({"following": "yes"}, ["oStays"]),
        ({"following": "no"}, ["oLeaves"]),
        ({"bound": "no"}, ["oLeaves", "oStays"]),
        ({"bound": "yes"}, []),
        ({"window": "open"}, ["oStays"]),
        ({"channel": "shop-1"}, ["oStays"]),
        ({"channel": "shop-1", "following": "no"}, []),
        ({"followed": "7"}, ["oLeaves", "oStays"]),
        ({"seen": "not-30"}, []),
        ({"seen": "30"}, ["oLeaves", "oStays"]),
        ({"nonsense": "1", "following": "yes"}, ["oStays"]),
    ],
)
def test_a_segment_lists_and_counts_whom_its_conditions_describe(
    operator, account, people, conditions, found
):
    segment = Segment.objects.create(account=account, name="Some", conditions=conditions)
    make_account("other")
    rows = in_segment(Subscriber.objects.all(), segment)
    assert sorted(rows.values_list("openid", flat=True)) == found
    listed = operator.get(LISTING, {"segment": segment.pk}).context["cl"].result_list
    assert sorted(row.openid for row in listed) == found
    page = operator.get(reverse("admin:subscribers_segment_changelist")).content.decode()
    assert f">{len(found)}</a>" in page


def test_the_counts_of_a_page_of_segments_share_a_time_limit(operator, account, monkeypatch):
    clock, limits = [0.0], []

    @contextlib.contextmanager
    def without_end(seconds):
        limits.append(seconds)
        clock[0] += seconds
        raise TookTooLong
        yield

    monkeypatch.setattr(segments, "time_limit", without_end)
    monkeypatch.setattr(segments, "monotonic", lambda: clock[0], raising=False)
    for number in range(30):
        Segment.objects.create(account=account, name=f"{number}", conditions={"following": "yes"})
    page = operator.get(reverse("admin:subscribers_segment_changelist")).content.decode()
    assert page.count("many</a>") == len(limits) == 30
    assert sum(limits) < 10
    # PostgreSQL takes 0 milliseconds for no limit.
    assert int(min(limits) * 1000) > 0


def test_a_page_of_segments_reads_the_names_of_tags_once(operator, account):
    for number in range(5):
        FollowerTag.objects.create(account=account, number=number + 100, name=f"tag {number}")
        Segment.objects.create(
            account=account, name=f"{number}", conditions={"tag": f"{number + 100}"}
        )
    with CaptureQueriesContext(connection) as queries:
        page = operator.get(reverse("admin:subscribers_segment_changelist")).content.decode()
    assert "tag 0" in page
    assert "tag 4" in page
    table = FollowerTag._meta.db_table
    assert len([query for query in queries.captured_queries if table in query["sql"]]) == 1


@pytest.mark.parametrize("right", ["view_segment", "view_subscriber"])
def test_a_segments_number_leads_only_those_to_the_followers_who_may_see_them(account, right):
    Segment.objects.create(account=account, name="poster", conditions={"channel": "poster"})
    user = User.objects.create_user("sees-segments", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_segment", right]))
    browser = Client()
    browser.force_login(user)
    page = browser.get(reverse("admin:subscribers_segment_changelist")).content.decode()
    assert (f'href="{LISTING}?' in page) == (right == "view_subscriber")


def test_filters_are_saved_under_a_name_and_changes_are_recorded(operator, account, people):
    shown = operator.get(LISTING, {"following": "yes"}).content.decode()
    assert "1 follower." in shown
    add = reverse("admin:subscribers_segment_add")
    assert f"{add}?following=yes" in shown
    form = operator.get(f"{add}?following=yes").context["adminform"].form
    assert (form["account"].value(), form["following"].value()) == (account.pk, "yes")
    operator.post(add, {"account": account.pk, "name": "Here", "following": "yes"})
    segment = Segment.objects.get()
    assert segment.conditions == {"following": "yes"}
    page = reverse("admin:subscribers_segment_change", args=[segment.pk])
    assert operator.post(page, {"name": "Here", "following": "no"}).status_code == 302
    entry = AuditEntry.objects.filter(model="subscribers.segment").latest("pk")
    assert entry.changes == {"conditions": [{"following": "yes"}, {"following": "no"}]}
    for wrong in ({}, {"channel": "nobody-came-by-this"}):
        form = operator.post(page, {"name": "Here", **wrong}).context["adminform"].form
        assert form.errors
    segment.refresh_from_db()
    assert segment.conditions == {"following": "no"}


@pytest.mark.parametrize(
    ("name", "source", "words"),
    [
        ("came", ":qr:shop-1", "=Shop 1 · 2020-01-01 – 2030-12-31"),
        ("came", ":ADD_SCENE_SEARCH", "search for the account · 2020-01-01 – 2030-12-31"),
        ("came", ":-", "unknown · 2020-01-01 – 2030-12-31"),
        ("came", "", "2020-01-01 – 2030-12-31"),
        ("code", ":people:shop-1", "=Shop 1 · people · 2020-01-01 – 2030-12-31"),
    ],
)
def test_a_filter_that_another_page_made_is_saved_with_the_others(
    operator, account, people, name, source, words
):
    wanted = {"following": "yes", name: f"2020-01-01..2030-12-31{source}"}
    assert words in operator.get(LISTING, wanted).content.decode()
    add = f"{reverse('admin:subscribers_segment_add')}?{urlencode(wanted)}"
    refused = operator.post(add, {"account": account.pk, "name": "", **wanted})
    form = refused.context["adminform"].form
    assert {each: form[each].value() for each in wanted} == wanted
    sent = {"account": account.pk, "name": "Came", "_continue": "", **wanted}
    page = operator.post(add, sent, follow=True)
    assert Segment.objects.get().conditions == wanted
    form = page.context["adminform"].form
    assert {each: form[each].value() for each in wanted} == wanted
    segments = operator.get(reverse("admin:subscribers_segment_changelist"))
    assert words in segments.content.decode()


def test_an_export_has_what_the_list_shows_and_no_formula(operator, account, people):
    operator.cookies["django_language"] = "zh-hans"
    text = exported(operator, format="csv", query="following=yes").decode("utf-8-sig")
    headings, row = csv.reader(io.StringIO(text))
    assert headings[0] == "OpenID"
    line = dict(zip(headings, row, strict=True))
    assert line["OpenID"] == "oStays"
    assert line["备注"] == "'@SUM(1)"
    assert "'=Shop 1" in row
    workbook = exported(operator, format="xlsx", query="")
    with zipfile.ZipFile(io.BytesIO(workbook)) as parts:
        sheet = ElementTree.fromstring(parts.read("xl/worksheets/sheet1.xml"))
    names = [element.tag.rpartition("}")[2] for element in sheet.iter()]
    assert names.count("row") == 3
    assert "f" not in names
    assert set(AuditEntry.objects.values_list("act", flat=True)) >= {"export", "download"}


def test_an_export_shows_no_more_than_its_user_may_see(account, people, operator):
    other = make_account("other")
    push(other, message_xml("event.subscribe", openid="oElsewhere1234"))
    user = User.objects.create_user("analyst", is_staff=True)
    names = ("view_subscriber", "add_followerexport", "view_followerexport", "view_segment")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    AccountLimit.objects.create(user=user).accounts.add(account)
    client = Client()
    client.force_login(user)
    text = exported(client, format="csv", query="bound=yes").decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == 3  # a condition that may not be seen is not applied
    assert "oStays" not in text
    assert "SUM(1)" not in text
    assert "oElsewhere" not in text
    assert client.post(EXPORT, {"format": "csv", "query": "account=other"}).status_code == 404
    assert client.post(EXPORT, {"format": "pdf", "query": ""}).status_code == 400
    # Who signs in again after pressing the button comes to this address.
    assert client.get(EXPORT)["Location"] == LISTING
    export = FollowerExport.objects.latest("pk")
    theirs = reverse("admin:subscribers_followerexport_file", args=[export.pk])
    assert operator.get(theirs).status_code == 404
    # A right that is taken away meanwhile counts.
    client.post(EXPORT, {"format": "csv", "query": ""})
    user.user_permissions.clear()
    write_exports()
    assert FollowerExport.objects.latest("pk").failure == "not_allowed"


def test_a_file_is_withheld_once_its_user_may_not_see_the_account_any_more(account, people):
    other = make_account("other")
    user = User.objects.create_user("analyst", is_staff=True)
    names = ("view_subscriber", "add_followerexport", "view_followerexport")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    limit = AccountLimit.objects.create(user=user)
    limit.accounts.set([account, other])
    client = Client()
    client.force_login(user)
    exported(client, format="csv", query=f"account={account.slug}")
    files = reverse("admin:subscribers_followerexport_changelist")
    file = reverse("admin:subscribers_followerexport_file", args=[FollowerExport.objects.get().pk])
    assert file in client.get(files).content.decode()
    limit.accounts.set([other])
    assert file not in client.get(files).content.decode()
    assert client.get(file).status_code == 404


@pytest.mark.parametrize("taken", ["account", "openids", "bindings"])
def test_a_file_of_all_accounts_is_withheld_while_its_user_may_not_see_all_of_it(
    account, people, taken
):
    other = make_account("other")
    user = User.objects.create_user("analyst", is_staff=True)
    names = (
        *("view_subscriber", "add_followerexport", "view_followerexport"),
        *("view_openids_in_clear", "view_binding"),
    )
    rights = list(Permission.objects.filter(codename__in=names))
    user.user_permissions.set(rights)
    limit = AccountLimit.objects.create(user=user)
    limit.accounts.set([account, other])
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(user)
    exported(client, format="csv")
    files = reverse("admin:subscribers_followerexport_changelist")
    file = reverse("admin:subscribers_followerexport_file", args=[FollowerExport.objects.get().pk])

    def offered():
        content = client.get(files).content.decode()
        assert ("withheld" in content) is (file not in content)
        answer = client.get(file)
        text = b"".join(answer.streaming_content) if answer.streaming else b""
        assert (answer.status_code, bool(text)) == (
            (200, True) if file in content else (404, False)
        )
        return file in content

    # More accounts and more rights than when it was written do no harm.
    limit.accounts.add(make_account("third"))
    assert offered()
    if taken == "account":
        limit.accounts.remove(other)
    else:
        lost = {"openids": "view_openids_in_clear", "bindings": "view_binding"}[taken]
        user.user_permissions.remove(*(right for right in rights if right.codename == lost))
    assert not offered()
    limit.accounts.add(other)
    user.user_permissions.set(rights)
    assert offered()


def test_the_name_of_another_accounts_code_is_not_told(operator, account, people):
    other = make_account("other", original_id="gh_other")
    QRScene.objects.create(account=other, scene="poster", name="Their secret campaign")
    user = User.objects.create_user("limited", is_staff=True)
    names = ("view_subscriber", "view_segment")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    AccountLimit.objects.create(user=user).accounts.add(account)
    client = Client()
    client.force_login(user)
    asked = {
        "code": "2026-11-01..2026-11-30:people:poster",
        "came": "2026-11-01..2026-11-30:qr:poster",
    }
    Segment.objects.create(account=account, name="Came", conditions=asked)
    segments = reverse("admin:subscribers_segment_changelist")
    for page, query in ((LISTING, asked), (segments, {})):
        assert "Their secret campaign" not in client.get(page, query).content.decode()
    for name, value in asked.items():
        told = operator.get(LISTING, {name: value, "account": "other"}).content.decode()
        assert "Their secret campaign" in told


def test_ids_that_are_no_numbers_choose_nobody(operator, people):
    page = reverse("admin:subscribers_subscriber_tag")
    assert operator.get(page, {"ids": "²,x,-1"}).status_code == 302


def test_a_person_who_is_erased_while_a_file_is_written_is_not_in_it(
    operator, account, people, files, monkeypatch
):
    """An erasure rewrites archives first, so it may have begun long before the file."""
    erasure = Erasure.objects.create(
        account=account, openid="oStays", openid_digest="x", pseudonym="gone", reason="requested",
        requested_at=timezone.now(),
    )  # fmt: skip
    operator.post(EXPORT, {"format": "csv", "query": ""})

    def erased_after(rows):
        yield from rows
        if erasure.erased_at is None:
            erase(erasure, now=timezone.now() - datetime.timedelta(minutes=5))

    written = export_module._rows
    monkeypatch.setattr(export_module, "_rows", lambda export: erased_after(written(export)))
    write_exports()
    (name,) = files.rglob("*.csv")
    assert "oStays" not in name.read_text()
    assert "gone" in name.read_text()


def test_files_go_in_time_and_with_a_person(
    operator, account, people, files, django_capture_on_commit_callbacks
):
    exported(operator, format="csv", query="")
    assert len(list(files.iterdir())) == 1
    erasure = Erasure.objects.create(
        account=account, openid="oStays", openid_digest="x", pseudonym="gone", reason="requested",
        requested_at=timezone.now(),
    )  # fmt: skip
    with django_capture_on_commit_callbacks(execute=True):
        erase(erasure)
    assert list(files.iterdir()) == []
    exported(operator, format="xlsx", query="")
    export = FollowerExport.objects.get()
    FollowerExport.objects.update(expires_at=timezone.now())
    url = reverse("admin:subscribers_followerexport_file", args=[export.pk])
    assert operator.get(url).status_code == 404
    with django_capture_on_commit_callbacks(execute=True):
        assert remove_expired() == 1
    assert list(files.iterdir()) == []
