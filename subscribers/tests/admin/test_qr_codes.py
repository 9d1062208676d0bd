"""The operators' pages for QR codes."""

from __future__ import annotations

import io
import re
import zipfile

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events.models import AccountLimit
from events.platform.rights import Right, keep_rights
from events.simulator.fake_api import Fault
from events.testing import make_account, message_xml, push
from subscribers.admin.qr_codes import qr_codes
from subscribers.models import QRScene, SceneTag, SeenScene
from subscribers.qr_codes import create
from subscribers.qr_codes.create import NewQRCode, create_qr_code, create_qr_codes
from subscribers.qr_codes.fetch_tickets import fetch_scene_tickets

pytestmark = pytest.mark.django_db

CREATE = "/cgi-bin/qrcode/create"
LIST = reverse("admin:subscribers_qrscene_changelist")
ADD = reverse("admin:subscribers_qrscene_add")
SEVERAL = f"{LIST}several/"
TAGS = reverse("admin:subscribers_scenetag_changelist")
ELSEWHERE = reverse("admin:subscribers_seenscene_changelist")


def page_of(code, name="change"):
    return reverse(f"admin:subscribers_qrscene_{name}", args=[code.pk])


def text_of(response):
    return response.content.decode()


def form(account, **change):
    return {
        "account": account.pk, "name": "Poster", "scene": "poster", "lifetime": "",
        "tag_names": "", "note": "", **change,
    }  # fmt: skip


# --- One code ----------------------------------------------------------------------------------


def test_a_code_is_made_shown_and_downloaded(operator, shop, at_wechat, decoded):
    sent = form(shop, name="地铁海报", tag_names="上海，地铁", note="Line 2")
    page = operator.post(ADD, sent, follow=True)
    code = QRScene.objects.get()
    assert page.request["PATH_INFO"] == page_of(code)
    assert 'data-refresh-seconds="1"' in text_of(page)
    assert "waiting for WeChat" in text_of(page)
    assert page_of(code, "png") not in text_of(page)

    fetch_scene_tickets()
    page = text_of(operator.get(page_of(code)))
    [issued] = at_wechat.codes
    assert "data-refresh-seconds" not in page
    assert '<div class="qr-picture"><svg ' in page
    assert issued.url in page

    png = operator.get(page_of(code, "png"))
    assert png["Content-Type"] == "image/png"
    assert png["Content-Disposition"].endswith("%20poster.png")
    assert decoded(png.content) == [issued.url]
    svg = operator.get(page_of(code, "svg"))
    assert svg["Content-Type"] == "image/svg+xml"
    assert text_of(svg).startswith("<svg ")
    assert [tag.name for tag in code.tags.all()] == ["上海", "地铁"]


def test_a_temporary_code_with_a_scene_made_up(operator, shop, at_wechat):
    operator.post(ADD, form(shop, scene="", lifetime=str(7 * 86400)))
    fetch_scene_tickets()
    code = QRScene.objects.get()
    assert re.fullmatch(r"c-[0-9a-f]{12}", code.scene)
    assert (code.is_permanent, code.expire_seconds) == (False, 7 * 86400)
    [issued] = at_wechat.codes
    assert issued.expires_at - issued.made_at == 7 * 86400


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scene": "qrscene_x"}, "nor begin with qrscene_ or bind-"),
        ({"scene": "bind-x"}, "nor begin with qrscene_ or bind-"),
        ({"scene": "s" * 65}, "at most 64 characters"),
        ({"scene": "taken"}, "already exists"),
        ({"name": ""}, "required"),
        ({"name": "a\tb"}, "cannot be printed"),
        ({"lifetime": "5"}, "valid choice"),
        ({"tag_names": "t" * 31}, "at most 30 characters"),
        ({"adopt": "on", "scene": ""}, "Which scene does the code carry?"),
        ({"adopt": "on", "lifetime": "86400"}, "keeps the lifetime"),
    ],
)
def test_what_is_wrong_is_said_in_the_form_and_nothing_is_lost(operator, shop, change, said):
    create_qr_code(shop, NewQRCode("Other", "taken"))
    page = operator.post(ADD, form(shop, note="Keep me", **change))
    assert page.status_code == 200
    assert said in text_of(page)
    assert "Keep me" in text_of(page)
    assert QRScene.objects.count() == 1
    assert operator.post(ADD, form(shop)).status_code == 302


def test_a_failure_is_shown_with_its_reason_and_tried_again(operator, shop, fake):
    code = create_qr_code(shop, NewQRCode("Poster", "poster"))
    fake.make_trouble(CREATE, Fault(errcode=48001, errmsg="api unauthorized"))
    fetch_scene_tickets()
    page = text_of(operator.get(page_of(code)))
    assert "only for certified service accounts" in page
    assert "48001 api unauthorized" in page
    assert "rid" in page
    # Not before the account has the right.
    assert page_of(code, "fetch") not in page
    keep_rights(shop, [Right(CREATE, True)])
    assert page_of(code, "fetch") in text_of(operator.get(page_of(code)))

    question = text_of(operator.get(page_of(code, "fetch")))
    assert "asks WeChat for this code again" in question
    assert QRScene.objects.get().state == QRScene.State.FAILED
    page = text_of(operator.post(page_of(code, "fetch"), follow=True))
    assert "1 code is being fetched from WeChat." in page
    fetch_scene_tickets()
    assert QRScene.objects.get().state == QRScene.State.READY


@pytest.mark.parametrize(
    ("errcode", "said"),
    [(40035, "does not accept this code"), (99999, "refused to make this code")],
)
def test_what_wechat_says_is_explained_and_is_text(operator, shop, fake, errcode, said):
    code = create_qr_code(shop, NewQRCode("Poster", "poster"))
    fake.make_trouble(CREATE, Fault(errcode=errcode, errmsg="<img src=x onerror=alert(1)>"))
    fetch_scene_tickets()
    page = text_of(operator.get(page_of(code)))
    assert said in page
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_what_operators_write_is_text_everywhere(operator, shop, at_wechat):
    hostile = "<script>alert('x')</script>"
    operator.post(ADD, form(shop, name=hostile, scene="</title><b>", note=hostile, tag_names="<i>"))
    fetch_scene_tickets()
    code = QRScene.objects.get()
    assert code.state == QRScene.State.READY
    push(shop, message_xml("event.SCAN", openid="o1", EventKey="<u>elsewhere</u>"))
    pages = [LIST, page_of(code), page_of(code, "fetch"), ELSEWHERE, SEVERAL]
    for url in [*pages, TAGS]:
        page = text_of(operator.get(url))
        assert not re.search(r"<script>alert|</title><b>|<i>,|<u>elsewhere", page), url
    page = text_of(
        operator.post(SEVERAL, several(shop, f"{hostile},</title><b>\n{hostile},</textarea>"))
    )
    assert "<script>alert" not in page
    assert "Line 1: " in page
    for name in ("png", "svg"):
        disposition = operator.get(page_of(code, name))["Content-Disposition"]
        assert re.fullmatch(r"attachment; filename\*=utf-8''[\w%.~-]+", disposition)


def test_two_who_choose_the_same_scene_at_once_lose_no_form(operator, shop, monkeypatch):
    create_qr_code(shop, NewQRCode("First", "poster"))
    check = QRScene.validate_constraints
    blind = iter([True])
    # The first look comes before the other's row is there.
    monkeypatch.setattr(
        QRScene,
        "validate_constraints",
        lambda code, **kwargs: None if next(blind, False) else check(code, **kwargs),
    )
    page = operator.post(ADD, form(shop, note="Keep me"))
    assert page.status_code == 200
    assert "already exists" in text_of(page)
    assert "Keep me" in text_of(page)
    assert QRScene.objects.count() == 1


def test_two_who_send_the_same_list_at_once_lose_no_list(operator, shop, monkeypatch):
    create_qr_code(shop, NewQRCode("First", "poster"))
    taken = create.taken_scenes
    blind = iter([True])
    monkeypatch.setattr(
        create,
        "taken_scenes",
        lambda *args: set() if next(blind, False) else taken(*args),
    )
    page = operator.post(SEVERAL, several(shop, "Second,poster\nThird,third"))
    assert page.status_code == 200
    assert "Line 1: A code with the scene “poster” exists already." in text_of(page)
    assert page.context["form"]["codes"].value() == "Second,poster\nThird,third"
    assert QRScene.objects.count() == 1


def test_a_failure_that_may_pass_says_when_it_is_tried_again(operator, shop, fake):
    code = create_qr_code(shop, NewQRCode("Poster", "poster"))
    fake.make_trouble(CREATE, Fault(errcode=-1))
    fetch_scene_tickets()
    page = text_of(operator.get(page_of(code)))
    due = QRScene.objects.get().due_at.astimezone(shop.zone)
    assert "busy" in page
    assert f"{due:%Y-%m-%d %H:%M:%S}" in page
    assert 'data-refresh-seconds="10"' in page


def test_an_expired_code_is_marked_and_has_no_picture(operator, shop, at_wechat):
    code = create_qr_code(shop, NewQRCode("Fair", "fair"), expire_seconds=3600)
    fetch_scene_tickets()
    QRScene.objects.update(expires_at=timezone.now())
    for page in (operator.get(LIST), operator.get(page_of(code))):
        assert "expired" in text_of(page)
        assert "qr-picture" not in text_of(page)
    assert operator.get(page_of(code, "png")).status_code == 404
    assert "Renew" in text_of(operator.get(page_of(code)))
    operator.post(page_of(code, "fetch"))
    fetch_scene_tickets()
    assert QRScene.objects.get().state == QRScene.State.READY


def test_name_tags_and_note_can_be_changed_and_nothing_else(operator, shop, at_wechat):
    code = create_qr_code(shop, NewQRCode("Poster", "poster"), tags=["old"])
    fetch_scene_tickets()
    before = QRScene.objects.get()
    sent = {"name": "New name", "note": "", "tag_names": "new", "scene": "x", "lifetime": "3600"}
    assert operator.post(page_of(code), sent).status_code == 302
    after = QRScene.objects.get()
    assert (after.name, [tag.name for tag in after.tags.all()]) == ("New name", ["new"])
    assert (after.scene, after.url, after.is_permanent) == ("poster", before.url, True)


# --- The list ----------------------------------------------------------------------------------


def listed(response):
    return {row.name for row in response.context["cl"].result_list}


def test_the_list_says_what_waits_and_what_failed(operator, shop, fake):
    create_qr_codes(shop, [NewQRCode("One"), NewQRCode("Two")], tags=["spring"])
    fake.make_trouble(CREATE, Fault(errcode=40035))
    fetch_scene_tickets()
    create_qr_code(shop, NewQRCode("Three"))
    page = operator.get(LIST)
    assert "waiting for WeChat: 1" in text_of(page)
    assert "failed: 1" in text_of(page)
    assert listed(operator.get(LIST, {"state": "failed"})) == {"One"}
    assert listed(operator.get(LIST, {"state": "ready"})) == {"Two"}
    assert listed(operator.get(LIST, {"state": "waiting"})) == {"Three"}
    tag = SceneTag.objects.get()
    assert listed(operator.get(LIST, {"tags__id__exact": tag.pk})) == {"One", "Two"}
    assert listed(operator.get(LIST, {"q": "spring"})) == {"One", "Two"}

    choice = {"action": "try_again", "_selected_action": list(_pks())}
    assert "1 code is being fetched" in text_of(operator.post(LIST, choice, follow=True))
    fetch_scene_tickets()
    page = operator.get(LIST)
    assert "failed:" not in text_of(page)
    assert "data-refresh-seconds" not in text_of(page)


def _pks():
    return QRScene.objects.values_list("pk", flat=True)


def test_a_limited_user_sees_and_changes_only_tags_of_his_accounts(client, shop):
    hats = make_account("hats")
    create_qr_code(shop, NewQRCode("One"), tags=["ours", "shared"])
    create_qr_code(hats, NewQRCode("Two"), tags=["theirs", "shared"])
    SceneTag.named(["free"])
    tags = {tag.name: tag for tag in SceneTag.objects.all()}
    user = User.objects.create_user("lin", is_staff=True)
    models = ("qrscene", "scenetag")
    user.user_permissions.set(Permission.objects.filter(content_type__model__in=models))
    AccountLimit.objects.create(user=user).accounts.add(shop)
    client.force_login(user)
    client.cookies["django_language"] = "en"

    assert listed(client.get(TAGS)) == {"ours", "shared", "free"}
    page = client.get(LIST)
    (offered,) = [spec for spec in page.context["cl"].filter_specs if spec.title == "tags"]
    assert [name for _pk, name in offered.lookup_choices] == ["free", "ours", "shared"]
    assert "theirs" not in text_of(page)

    def taken(name, act, sent):
        url = reverse(f"admin:subscribers_scenetag_{act}", args=[tags[name].pk])
        return client.post(url, sent).headers.get("Location") == TAGS

    for name in ("theirs", "shared"):
        assert not taken(name, "change", {"name": "new"})
        assert not taken(name, "delete", {"post": "yes"})
    chosen = {"action": "delete_selected", "post": "yes"}
    assert client.post(TAGS, chosen | {"_selected_action": [tags["shared"].pk]}).status_code == 403
    client.post(TAGS, chosen | {"_selected_action": [tags["theirs"].pk]})
    assert set(SceneTag.objects.all()) == set(tags.values())
    assert set(SceneTag.objects.values_list("name", flat=True)) == tags.keys()

    assert taken("ours", "change", {"name": "new"})
    assert taken("free", "delete", {"post": "yes"})
    client.post(TAGS, chosen | {"_selected_action": [tags["ours"].pk]})
    assert set(SceneTag.objects.values_list("name", flat=True)) == {"shared", "theirs"}


def test_the_list_costs_the_same_however_long_it_is(operator, shop):
    def statements():
        with CaptureQueriesContext(connection) as queries:
            assert operator.get(LIST).status_code == 200
        return len(queries)

    create_qr_codes(shop, [NewQRCode("One")], tags=["a"])
    few = statements()
    create_qr_codes(shop, [NewQRCode(f"Poster {number}") for number in range(60)], tags=["a", "b"])
    assert statements() == few


def test_permanent_codes_are_counted_when_the_limit_is_near(operator, shop, monkeypatch):
    create_qr_codes(shop, [NewQRCode("One"), NewQRCode("Two")])
    assert "permanent codes" not in text_of(operator.get(LIST))
    monkeypatch.setattr(qr_codes, "NEAR_THE_LIMIT", 2)
    assert "Spruce Books: 2 of 100,000 permanent codes" in text_of(operator.get(LIST))
    monkeypatch.setattr(create, "MOST_PERMANENT_CODES", 2)
    page = text_of(operator.post(ADD, form(shop)))
    assert "WeChat makes no more permanent codes for this account." in page
    assert operator.post(ADD, form(shop, lifetime="3600")).status_code == 302


def test_scenes_show_who_came_through_them_first_and_who_stayed(operator, shop):
    create_qr_code(shop, NewQRCode("Poster", "poster"))
    create_qr_code(make_account("other"), NewQRCode("Same word", "poster"))
    for openid in ("o1", "o2", "o3"):
        push(shop, message_xml("event.subscribe", openid=openid, EventKey="qrscene_poster"))
    push(shop, message_xml("event.unsubscribe", openid="o2"))
    rows = operator.get(LIST).context["cl"].result_list
    counted = {row.name: (row.first_count, row.following_count) for row in rows}
    assert counted == {"Poster": (3, 2), "Same word": (0, 0)}


def test_the_time_a_code_expires_is_shown_by_the_accounts_clocks(operator):
    account = make_account(time_zone="America/New_York")
    QRScene.objects.create(
        account=account, scene="fair", name="Fair", is_permanent=False,
        expires_at="2099-07-01T02:30:00Z",
    )  # fmt: skip
    assert "2099-06-30 22:30:00" in text_of(operator.get(LIST))


def test_chosen_codes_come_as_one_zip(operator, shop, at_wechat):
    made = create_qr_codes(
        shop, [NewQRCode("One", "s1"), NewQRCode("Two", "s2"), NewQRCode("Three", "s3")]
    )
    fetch_scene_tickets()
    choice = {"action": "download_archive", "_selected_action": [made[0].pk, made[2].pk]}
    response = operator.post(LIST, choice)
    assert response.streaming
    assert response["Content-Type"] == "application/zip"
    file = zipfile.ZipFile(io.BytesIO(response.getvalue()))
    assert file.namelist() == ["One s1.png", "Three s3.png", "codes.csv"]
    QRScene.objects.update(url="")
    page = text_of(operator.post(LIST, choice, follow=True))
    assert "None of these codes has a picture" in page


# --- Several at once ---------------------------------------------------------------------------


def several(account, codes, **change):
    return {"account": account.pk, "lifetime": "", "tag_names": "", "codes": codes, **change}


def test_a_thousand_lines_are_a_thousand_codes(operator, shop, at_wechat):
    lines = "\n".join(f"门店 {number},store-{number}" for number in range(1000))
    page = operator.post(SEVERAL, several(shop, lines, tag_names="门店"), follow=True)
    assert "1000 codes are being fetched from WeChat." in text_of(page)
    assert QRScene.objects.filter(tags__name="门店").count() == 1000
    assert QRScene.objects.waiting().count() == 1000
    served = fetch_scene_tickets()
    assert len(at_wechat.codes) == served > 0
    ready = QRScene.objects.in_state(QRScene.State.READY, timezone.now())
    assert ready.count() == 1000 - QRScene.objects.waiting().count() == served


def test_of_a_thousand_lines_the_wrong_ones_are_named_and_nothing_is_lost(operator, shop):
    good = [f"门店 {number},store-{number}" for number in range(998)]
    lines = [*good[:500], "Bad,qrscene_x", *good[500:], ",no-name"]
    page = operator.post(SEVERAL, several(shop, "\n".join(lines), tag_names="门店"))
    assert page.status_code == 200
    text = text_of(page)
    assert "Line 501: " in text
    assert "Line 1000: " in text
    assert text.count("Line ") == 2
    assert "Nothing was made yet" in text
    box = page.context["form"]["codes"].value()
    assert box.splitlines() == lines
    assert page.context["form"]["tag_names"].value() == "门店"
    assert not QRScene.objects.exists()

    lines[500], lines[999] = "Good,good", "Named,no-name"
    operator.post(SEVERAL, several(shop, "\n".join(lines)))
    assert QRScene.objects.count() == 1000


def test_many_wrong_lines_do_not_fill_the_page(operator, shop):
    text = text_of(operator.post(SEVERAL, several(shop, ",x\n" * 100)))
    assert text.count("Line ") == 20
    assert "80 more lines are wrong." in text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_file_as_spreadsheets_save_it(operator, shop, encoding):
    content = '名称 甲,jia,备注\r\n"乙, 二",yi,\r\n'.encode(encoding)
    upload = SimpleUploadedFile("codes.csv", content)
    operator.post(SEVERAL, several(shop, "First", upload=upload))
    names = list(QRScene.objects.order_by("pk").values_list("name", "note"))
    assert names == [("First", ""), ("名称 甲", "备注"), ("乙, 二", "")]


def test_what_was_uploaded_stands_in_the_box_when_a_line_is_wrong(operator, shop):
    upload = SimpleUploadedFile("codes.csv", "好,good\n坏,bind-x\n".encode())
    page = operator.post(SEVERAL, several(shop, "", upload=upload))
    assert "Line 2: " in text_of(page)
    assert page.context["form"]["codes"].value() == "好,good\n坏,bind-x\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04\x00\x00\x00spreadsheet", "save the table as CSV"),
        (b"\xff\xfe\x00\xd8x", "save the table as CSV"),
        (b"\xed\xa0\x80,surrogate\xff", "save the table as CSV"),
        (b"x" * (1024 * 1024 + 1), "larger than 1 MB"),
    ],
)
def test_a_file_that_is_no_list(operator, shop, content, said):
    upload = SimpleUploadedFile("codes.xlsx", content)
    page = operator.post(SEVERAL, several(shop, "Typed", upload=upload))
    assert said in text_of(page)
    assert page.context["form"]["codes"].value() == "Typed"
    assert not QRScene.objects.exists()


@pytest.mark.parametrize(
    ("codes", "change", "said"),
    [
        ("", {}, "The list is empty"),
        ("x\n" * 5001, {}, "more than 5,000 lines"),
        ("x\n" * 10_000, {}, "more than 5,000 lines"),
        ("a\0b", {}, "Null characters are not allowed"),
        ('"Note\nin two lines",x', {}, "Line 1: Put quotation marks"),
        ("Name alone", {"adopt": "on"}, "needs its scene"),
        ("A,a", {"adopt": "on", "lifetime": "3600"}, "keeps the lifetime"),
        ("A\nB\nC", {}, "only 2 more permanent codes"),
    ],
)
def test_lists_that_cannot_be_made(operator, shop, monkeypatch, codes, change, said):
    monkeypatch.setattr(create, "MOST_PERMANENT_CODES", 2)
    page = operator.post(SEVERAL, several(shop, codes, **change))
    assert said in text_of(page)
    assert not QRScene.objects.exists()


def test_a_list_of_printed_codes_is_adopted(operator, shop, fake):
    operator.post(SEVERAL, several(shop, "A,a\nB,b", adopt="on"))
    assert {code.state for code in QRScene.objects.all()} == {QRScene.State.ELSEWHERE}
    assert fetch_scene_tickets() == 0


# --- Codes made elsewhere ----------------------------------------------------------------------


def test_codes_made_elsewhere_are_listed_and_adopted(operator, shop, fake):
    for openid in ("o1", "o2"):
        body = message_xml(
            "event.subscribe", openid=openid, EventKey="qrscene_old", Ticket="gQ/OLD="
        )
        push(shop, body)
    create_qr_code(shop, NewQRCode("Ours", "ours"))
    push(shop, message_xml("event.SCAN", openid="o3", EventKey="ours"))
    page = operator.get(ELSEWHERE)
    [seen] = page.context["cl"].result_list
    assert (seen.scene, seen.first_count) == ("old", 2)
    assert operator.get(f"{LIST}elsewhere/").url == ELSEWHERE

    choice = {"action": "adopt", "_selected_action": [seen.pk]}
    page = operator.post(ELSEWHERE, choice, follow=True)
    code = QRScene.objects.get(scene="old")
    assert page.request["PATH_INFO"] == page_of(code)
    assert "1 code adopted." in text_of(page)
    assert "ticket=gQ%2FOLD%3D" in text_of(page)
    assert listed_scenes(operator) == []
    assert fetch_scene_tickets() == 1  # that of ours alone
    assert "Fetch a picture of our own" in text_of(operator.get(page_of(code)))
    assert "The new picture is another of" in text_of(operator.get(page_of(code, "fetch")))
    operator.post(page_of(code, "fetch"))
    fetch_scene_tickets()
    assert QRScene.objects.get(scene="old").state == QRScene.State.READY


def listed_scenes(operator):
    return [row.scene for row in operator.get(ELSEWHERE).context["cl"].result_list]


def test_several_are_adopted_together(operator, shop):
    other = make_account("other")
    SeenScene.objects.note(
        {(shop.pk, "a"): timezone.now(), (shop.pk, "b"): timezone.now()}
        | {(other.pk, "a"): timezone.now()}
    )
    pks = list(SeenScene.objects.values_list("pk", flat=True))
    page = operator.post(ELSEWHERE, {"action": "adopt", "_selected_action": pks}, follow=True)
    assert "3 codes adopted." in text_of(page)
    assert QRScene.objects.count() == 3


# --- Who may -----------------------------------------------------------------------------------


@pytest.fixture
def viewer(client, db):
    """An operator who may look at codes, and nothing else."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(codename__in=["view_qrscene", "view_seenscene"])
    )
    client.force_login(user)
    client.cookies["django_language"] = "en"
    return client


def test_who_may_look_looks_and_downloads_and_does_nothing_else(viewer, shop, at_wechat):
    code = create_qr_code(shop, NewQRCode("Poster", "poster"), tags=["spring"])
    fetch_scene_tickets()
    QRScene.objects.update(failure="busy")
    page = text_of(viewer.get(page_of(code)))
    assert "qr-picture" in page
    assert "spring" in page
    assert page_of(code, "fetch") not in page
    assert viewer.get(page_of(code, "png")).status_code == 200
    for url in (ADD, SEVERAL, page_of(code, "fetch")):
        assert viewer.get(url).status_code == 403, url
        assert viewer.post(url, form(shop)).status_code == 403, url
    viewer.post(LIST, {"action": "try_again", "_selected_action": [code.pk]})
    viewer.post(LIST, {"action": "renew", "_selected_action": [code.pk]})
    SeenScene.objects.note({(shop.pk, "old"): timezone.now()})
    viewer.post(ELSEWHERE, {"action": "adopt", "_selected_action": [SeenScene.objects.get().pk]})
    assert QRScene.objects.get().due_at is None


def test_who_may_not_look_sees_no_picture(client, shop, at_wechat):
    client.force_login(User.objects.create_user("clerk", is_staff=True))
    code = create_qr_code(shop, NewQRCode("Poster"))
    fetch_scene_tickets()
    for name in ("change", "png", "svg", "fetch"):
        assert client.get(page_of(code, name)).status_code == 403
    client.logout()
    assert client.get(page_of(code, "png")).status_code == 302
