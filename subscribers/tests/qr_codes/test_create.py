"""QR codes: making them, fetching their tickets, reading lists of them, and packing them up."""

from __future__ import annotations

import contextlib
import csv
import datetime
import io
import time
import tracemalloc
import zipfile

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from events.simulator.fake_api import Fault
from events.testing import make_account, message_xml, push
from subscribers.admin.qr_codes import qr_code_list_form
from subscribers.binding.bind import end_expired_requests, start_binding
from subscribers.models import BindingRequest, QRScene, SceneTag, SeenScene
from subscribers.models.scene import is_scene, tag_names_in, validate_one_line
from subscribers.qr_codes import create, zip
from subscribers.qr_codes.create import (
    NewQRCode,
    PermanentCodesUsedUp,
    SceneTaken,
    create_qr_code,
    create_qr_codes,
    read_list,
)
from subscribers.qr_codes.fetch_tickets import fetch_binding_tickets, fetch_scene_tickets
from subscribers.qr_codes.zip import archive, file_name

pytestmark = pytest.mark.django_db

CREATE = "/cgi-bin/qrcode/create"
State = QRScene.State


def again(row):
    return type(row).objects.get(pk=row.pk)


# --- Making ------------------------------------------------------------------------------------


def test_a_code_waits_for_its_ticket_and_then_is_ready(shop, at_wechat):
    code = create_qr_code(shop, NewQRCode("地铁海报", "metro"), tags=["上海", "地铁"])
    assert code.state == State.WAITING
    assert fetch_scene_tickets() == 1
    code = again(code)
    assert code.state == State.READY
    [issued] = at_wechat.codes
    assert (issued.scene, issued.expires_at) == ("metro", None)
    assert (code.ticket, code.url, code.expires_at) == (issued.ticket, issued.url, None)
    assert sorted(tag.name for tag in code.tags.all()) == ["上海", "地铁"]
    assert fetch_scene_tickets() == 0


def test_a_temporary_code_expires_when_the_platform_says_and_can_be_renewed(shop, at_wechat):
    code = create_qr_code(shop, NewQRCode("Fair", "fair"), expire_seconds=3600)
    before = timezone.now()
    fetch_scene_tickets()
    code = again(code)
    assert code.state == State.READY
    lives = code.expires_at - before
    assert datetime.timedelta(seconds=3590) < lives < datetime.timedelta(seconds=3610)

    QRScene.objects.update(expires_at=before - datetime.timedelta(seconds=1))
    assert again(code).state == State.EXPIRED
    assert not again(code).has_valid_code
    assert QRScene.objects.filter(pk=code.pk).renew(timezone.now()) == 1
    assert again(code).state == State.WAITING
    fetch_scene_tickets()
    renewed = again(code)
    assert renewed.state == State.READY
    assert renewed.ticket == at_wechat.codes[-1].ticket != code.ticket
    assert renewed.scene == "fair"


def test_a_renewed_code_keeps_its_picture_until_the_new_one_is_there(shop, fake):
    code = create_qr_code(shop, NewQRCode("Fair"), expire_seconds=3600)
    fetch_scene_tickets()
    fetched = again(code)
    fake.make_trouble(CREATE, Fault(errcode=48001))
    QRScene.objects.renew(timezone.now())
    fetch_scene_tickets()
    failed = again(code)
    assert failed.state == State.FAILED
    assert (failed.url, failed.expires_at) == (fetched.url, fetched.expires_at)
    assert failed.has_valid_code


def test_a_permanent_code_is_not_made_twice(shop, at_wechat):
    create_qr_code(shop, NewQRCode("Poster"))
    fetch_scene_tickets()
    assert QRScene.objects.renew(timezone.now()) == 0
    assert fetch_scene_tickets() == 0
    assert len(at_wechat.codes) == 1


def test_a_scene_is_made_up_where_none_is_given(shop):
    made = create_qr_codes(shop, [NewQRCode("One"), NewQRCode("Two")])
    assert len({code.scene for code in made}) == 2
    for code in made:
        code.full_clean()


def test_all_codes_are_made_or_none(shop):
    create_qr_code(shop, NewQRCode("First", "taken"))
    with pytest.raises(SceneTaken) as raised:
        create_qr_codes(shop, [NewQRCode("New", "new"), NewQRCode("Second", "taken")], tags=["x"])
    assert raised.value.scenes == ["taken"]
    assert QRScene.objects.count() == 1
    assert create_qr_code(make_account("other"), NewQRCode("There", "taken")).pk


def test_permanent_codes_are_not_promised_beyond_wechats_limit(shop, monkeypatch):
    monkeypatch.setattr(create, "MOST_PERMANENT_CODES", 3)
    create_qr_codes(shop, [NewQRCode("a"), NewQRCode("b")])
    create_qr_code(shop, NewQRCode("c"), expire_seconds=60)
    with pytest.raises(PermanentCodesUsedUp) as raised:
        create_qr_codes(shop, [NewQRCode("d"), NewQRCode("e")])
    assert raised.value.left == 1
    assert create_qr_code(shop, NewQRCode("d")).pk


def test_a_worker_that_was_too_slow_changes_nothing(shop, at_wechat):
    code = create_qr_code(shop, NewQRCode("Poster", "poster"))
    over = datetime.timedelta(0)
    [slow] = QRScene.objects.claim(timezone.now(), limit=1, lease=over)
    assert fetch_scene_tickets() == 1
    fetched = again(code)
    assert not QRScene.objects.finish(slow, ticket="gQSLOW", url="http://weixin.qq.com/q/slow")
    assert not QRScene.objects.retry_later(
        slow, again_at=None, failure="busy", text="", now=timezone.now()
    )
    assert (again(code).url, again(code).state) == (fetched.url, State.READY)


def test_a_code_deleted_while_it_is_fetched_stays_deleted(shop, at_wechat):
    create_qr_code(shop, NewQRCode("Poster", "poster"))
    [claimed] = QRScene.objects.claim(timezone.now(), limit=1, lease=datetime.timedelta(seconds=60))
    QRScene.objects.get().delete()
    assert not QRScene.objects.finish(claimed, ticket="gQ", url="http://weixin.qq.com/q/1")
    assert not QRScene.objects.exists()


@pytest.mark.parametrize(
    "columns",
    [
        {"scene": ""},
        {"scene": "qrscene_x"},
        {"scene": "bind-x"},
        {"is_permanent": False},
        {"expire_seconds": 60},
        {"expires_at": timezone.now()},
        {"is_permanent": False, "expire_seconds": 0},
        {"is_permanent": False, "expire_seconds": 2_592_001},
    ],
)
def test_the_database_refuses_what_wechat_would(shop, columns):
    with pytest.raises(IntegrityError), transaction.atomic():
        QRScene.objects.create(**{"account": shop, "scene": "s", "name": "n"} | columns)


@pytest.mark.parametrize("state", State)
def test_a_state_is_found_by_the_query_for_it(shop, state):
    hour = datetime.timedelta(hours=1)
    now = timezone.now()
    temporary = {"is_permanent": False, "expire_seconds": 60}
    for number, columns in enumerate(
        [
            {},
            {"due_at": None, "url": "u"},
            {"due_at": None, "url": "u", "expires_at": now + hour, **temporary},
            {"due_at": None, "url": "u", "expires_at": now - hour, **temporary},
            {"due_at": None, "failure": "busy"},
            {"due_at": None, "failure": "busy", "expires_at": now - hour, **temporary},
            {"failure": "busy"},
            {"due_at": None},
        ]
    ):
        QRScene.objects.create(account=shop, scene=f"s{number}", name="n", **columns)
    found = set(QRScene.objects.in_state(state, now))
    assert found == {code for code in QRScene.objects.all() if code.state == state}
    assert found


# --- Failure -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("errcode", "failure"),
    [(48001, "permission"), (40035, "request"), (40164, "address"), (99999, "refused")],
)
def test_what_an_operator_must_put_right_waits_for_him(shop, fake, errcode, failure):
    code = create_qr_code(shop, NewQRCode("Poster"))
    fake.make_trouble(CREATE, Fault(errcode=errcode))
    fetch_scene_tickets()
    code = again(code)
    assert (code.state, code.failure) == (State.FAILED, failure)
    assert str(errcode) in code.failure_text
    assert "rid" in code.failure_text
    assert fetch_scene_tickets() == 0
    assert QRScene.objects.try_again(timezone.now()) == 1
    assert again(code).state == State.WAITING
    fetch_scene_tickets()
    code = again(code)
    assert (code.state, code.failure, code.failure_text) == (State.READY, "", "")


@pytest.mark.parametrize(
    ("fault", "failure", "seconds"),
    [
        (Fault(errcode=-1), "busy", 30),
        (Fault(status=500), "bad_answer", 30),
        (Fault(reset=True), "unreachable", 30),
        (Fault(errcode=45011), "rate_limit", 60),
        # A token just fetched: some other program has taken it away by fetching its own.
        (Fault(errcode=40001), "token", 30),
        (Fault(body=b'{"ticket": "gQ", "url": ""}'), "bad_answer", 30),
    ],
)
def test_what_may_pass_is_tried_again_later(shop, fake, fault, failure, seconds):
    code = create_qr_code(shop, NewQRCode("Poster"))
    fake.make_trouble(CREATE, fault)
    fetch_scene_tickets()
    code = again(code)
    assert (code.state, code.failure) == (State.WAITING, failure)
    assert seconds - 5 < (code.due_at - timezone.now()).total_seconds() <= seconds
    assert fetch_scene_tickets() == 0
    QRScene.objects.update(due_at=timezone.now())
    assert fetch_scene_tickets() == 1
    assert again(code).state == State.READY


def test_after_the_last_attempt_it_waits_for_an_operator(shop, fake):
    code = create_qr_code(shop, NewQRCode("Poster"))
    fake.make_trouble(CREATE, Fault(errcode=-1, times=None))
    attempts = 0
    while again(code).state == State.WAITING:
        QRScene.objects.update(due_at=timezone.now())
        attempts += fetch_scene_tickets()
    assert again(code).state == State.FAILED
    assert attempts == fake.calls[CREATE] == 5


def test_a_used_up_day_is_waited_out(shop, fake):
    code = create_qr_code(shop, NewQRCode("Poster"))
    fake.make_trouble(CREATE, Fault(errcode=45009))
    fetch_scene_tickets()
    beijing = datetime.timezone(datetime.timedelta(hours=8))
    due = again(code).due_at.astimezone(beijing)
    # Two minutes after midnight, when the day's calls count anew.
    assert (due.hour, due.minute) == (0, 2)
    assert datetime.timedelta(0) < due - timezone.now() <= datetime.timedelta(days=1, minutes=2)


def test_an_account_without_a_secret_says_so(fake, db):
    code = create_qr_code(make_account(), NewQRCode("Poster"))
    fetch_scene_tickets()
    assert (again(code).state, again(code).failure) == (State.FAILED, "no_app_secret")
    assert fake.calls == {}


def test_a_fault_of_ours_is_told_and_stops_nobody_else(shop, fake, caplog):
    odd = create_qr_code(shop, NewQRCode("Odd"))
    # An older version of this program may have let it pass.
    QRScene.objects.filter(pk=odd.pk).update(is_permanent=False, expires_at=timezone.now())
    QRScene.objects.filter(pk=odd.pk).update(expire_seconds=1)
    fake.make_trouble(CREATE, Fault(body=b'{"ticket": "gQ", "url": ["x"]}'))
    good = create_qr_code(shop, NewQRCode("Good"))
    fetch_scene_tickets()
    assert again(odd).failure
    assert again(good).state == State.READY


@pytest.mark.slow
def test_a_thousand_codes_leave_the_other_tasks_their_turn(shop, fake):
    fake.latency = (0.05, 0.05)
    create_qr_codes(shop, [NewQRCode(f"Poster {number}") for number in range(1000)])
    served = fetch_scene_tickets()
    assert 0 < served < 1000
    assert QRScene.objects.in_state(State.READY, timezone.now()).count() == served


# --- Codes made elsewhere ----------------------------------------------------------------------


def test_scenes_of_events_are_remembered_once_and_those_of_bindings_never(shop):
    binding = start_binding(account=shop, user=User.objects.create_user("li"))
    made = create_qr_code(shop, NewQRCode("Ours", "ours"))
    for key in ("qrscene_old-poster", "qrscene_ours", f"qrscene_{binding.scene}", "bind-odd", ""):
        push(shop, message_xml("event.subscribe", openid=f"o{key}"[:60], EventKey=key))
    push(shop, message_xml("event.SCAN", openid="oScan", EventKey="old-poster", Ticket="gQOLD"))
    push(shop, message_xml("event.CLICK", openid="oClick", EventKey="MENU"))
    assert sorted(SeenScene.objects.values_list("scene", flat=True)) == ["old-poster", "ours"]
    [unknown] = SeenScene.objects.unknown()
    assert unknown.scene == "old-poster"

    adopted = create_qr_code(shop, NewQRCode("Old poster", "old-poster"), adopt=True)
    assert (adopted.state, adopted.ticket) == (State.ELSEWHERE, "gQOLD")
    assert not SeenScene.objects.unknown().exists()
    assert made.state == State.WAITING


def test_an_adopted_code_can_be_given_a_picture_of_our_own(shop, at_wechat):
    adopted = create_qr_code(shop, NewQRCode("Old poster", "old-poster"), adopt=True)
    assert fetch_scene_tickets() == 0
    assert QRScene.objects.renew(timezone.now()) == 1
    fetch_scene_tickets()
    assert again(adopted).state == State.READY
    assert [code.scene for code in at_wechat.codes] == ["old-poster"]


def test_scenes_that_are_numbers_are_like_others(shop, at_wechat):
    push(shop, message_xml("event.subscribe", openid="o1", EventKey="qrscene_123"))
    push(shop, message_xml("event.SCAN", openid="o2", EventKey="4294967295", Ticket="gQN"))
    assert sorted(SeenScene.objects.values_list("scene", flat=True)) == ["123", "4294967295"]
    adopted = create_qr_code(shop, NewQRCode("Till 123", "123"), adopt=True)
    assert QRScene.objects.renew(timezone.now()) == 1
    fetch_scene_tickets()
    assert again(adopted).state == State.READY
    assert [code.scene for code in at_wechat.codes] == ["123"]


def test_the_first_sight_of_a_scene_is_the_earliest_whatever_came_first(shop):
    noon = timezone.now().replace(microsecond=0)
    for minutes in (0, -5, 5):
        at = noon + datetime.timedelta(minutes=minutes)
        SeenScene.objects.note({(shop.pk, "old"): at})
    assert SeenScene.objects.get().first_seen_at == noon - datetime.timedelta(minutes=5)


@pytest.mark.django_db(transaction=True)
def test_a_scene_that_was_seen_before_costs_no_question(shop, django_assert_num_queries):
    now = timezone.now()
    seen = {(shop.pk, "old"): now}
    SeenScene.objects.note(seen)
    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        SeenScene.objects.note(seen)
        raise ZeroDivisionError
    with django_assert_num_queries(1):  # what was read then is not relied upon
        SeenScene.objects.note(seen)
    with django_assert_num_queries(0):
        SeenScene.objects.note(seen)
    earlier = now - datetime.timedelta(days=1)
    SeenScene.objects.note({(shop.pk, "old"): earlier})
    assert SeenScene.objects.get().first_seen_at == earlier


# --- Names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "门店　一",
        "a\xa0b",
        "👨\u200d👩\u200d👧 ❤️",
        "می\u200cخواهم",
        "<b>&'\"/\\",
        "\ue000",
        "..",
        "=1+1",
    ],
)
def test_names_may_be_odd(name):
    validate_one_line(name)


@pytest.mark.parametrize(
    "name",
    ["a\nb", "a\rb", "a\tb", "a\0b", "\x7f", "a\u2028b", "\ud800", "a\u202eb", "\ufeffa", "\u2066"],
)
def test_what_is_no_line_is_no_name(name):
    with pytest.raises(ValidationError):
        validate_one_line(name)
    assert not is_scene(name)


# --- Lists -------------------------------------------------------------------------------------


def test_a_list_may_come_from_a_box_a_spreadsheet_or_a_csv(shop):
    box, sheet = "地铁海报\r\n", "Cashier\tcashier\tat the door\r\n\r\n"
    text = box + sheet + '"Fair, autumn",fair\nFlyer,,by the river\n'
    codes, problems = read_list(text, shop)
    assert problems == []
    assert codes == [
        NewQRCode("地铁海报"),
        NewQRCode("Cashier", "cashier", "at the door"),
        NewQRCode("Fair, autumn", "fair"),
        NewQRCode("Flyer", "", "by the river"),
    ]


def test_each_wrong_line_is_named_by_its_number(shop):
    create_qr_code(shop, NewQRCode("There", "taken"))
    lines = [
        "Good,good",
        "",
        ",nameless",
        "Twice,good",
        "Taken,taken",
        "Prefix,qrscene_x",
        "Binding,bind-x",
        f"Long,{'s' * 65}",
        "n" * 101,
        'Open,"quote',
        "a,b,c,d",
        "Odd\x07,x",
        "Also good,also-good",
    ]
    codes, problems = read_list("\n".join(lines), shop)
    assert [code.name for code in codes] == ["Good", "Also good"]
    assert [problem.line for problem in problems] == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert "line 1" in problems[1].text.lower() or "1" in problems[1].text


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_list_may_begin_with_a_mark_and_the_names_of_its_columns(shop, end):
    text = end.join(["\ufeff名称,场景值,备注", "门店一,store-1,靠窗", "Name,scene-2"])
    assert read_list(text, shop) == (
        [NewQRCode("门店一", "store-1", "靠窗"), NewQRCode("Name", "scene-2")],
        [],
    )
    codes, problems = read_list(f"\ufeffPoster{end}name,scene", shop)
    assert [code.name for code in codes] == ["Poster", "name"]
    assert problems == []


def test_a_chinese_comma_before_a_scene_is_asked_about(shop):
    codes, problems = read_list(
        '门店一，store-1\n门店二， s2，备注\n北京，上海店\n"甲，b"\n乙，b\tc', shop
    )
    assert [problem.line for problem in problems] == [1, 2]
    assert [(code.name, code.scene) for code in codes] == [
        ("北京，上海店", ""),
        ("甲，b", ""),
        ("乙，b", "c"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r"])
def test_a_list_of_half_a_million_lines_is_refused_unread(operator, shop, monkeypatch, end):
    def read(text, account):
        pytest.fail("it was read")

    monkeypatch.setattr(qr_code_list_form, "read_list", read)
    data = {"account": shop.pk, "codes": f"x{end}" * 500_000}
    accounts = type(shop).objects.all()
    form = qr_code_list_form.SceneListForm(data, accounts=accounts)
    assert not form.is_valid()
    assert list(form.errors) == ["codes"]


def test_tags_have_any_comma_between_them():
    assert tag_names_in(" 上海，地铁, spring  fair ;上海、") == ["上海", "地铁", "spring fair"]
    assert tag_names_in("") == []
    for name in ("a\tb", "a,b", "a，b", "a；b"):
        with pytest.raises(ValidationError):
            SceneTag(name=name).full_clean()


# --- ZIP ---------------------------------------------------------------------------------------


def unpacked(pks) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(archive(pks))))


def test_a_zip_holds_each_code_and_a_list_of_all(shop, at_wechat, decoded):
    create_qr_codes(
        shop,
        [
            NewQRCode("地铁海报", "metro"),
            NewQRCode("A/B\\C: ../../etc 🎉", "odd/../name"),
            NewQRCode("=1+1", "formula"),
        ],
    )
    fetch_scene_tickets()
    waiting = create_qr_code(shop, NewQRCode("Waiting", "waiting"))
    pks = list(QRScene.objects.order_by("pk").values_list("pk", flat=True))
    file = unpacked([*pks, 10**9])
    assert file.testzip() is None
    names = file.namelist()
    assert names == [
        "地铁海报 metro.png",
        "A_B_C_ ______etc _ odd____name.png",
        "_1_1 formula.png",
        zip.LIST_NAME,
    ]
    urls = {code.scene: code.url for code in at_wechat.codes}
    assert decoded(file.read(names[0])) == [urls["metro"]]
    table = file.read(zip.LIST_NAME).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["scene"] for row in rows] == ["metro", "odd/../name", "formula", "waiting"]
    assert rows[2]["name"] == "'=1+1"
    assert (rows[3]["file"], rows[3]["state"]) == ("", "waiting")
    assert again(waiting).state == State.WAITING


def test_names_in_a_zip_are_safe_and_different():
    taken: set[str] = set()
    names = [
        file_name(QRScene(name=name, scene=scene), taken)
        for name, scene in [
            ("Poster", "s"),
            ("poster", "S"),
            ("Poster", "s"),
            ("😀" * 100, "😀" * 64),
            ("鬱" * 100, "鬱" * 64),
            ("..", ".."),
        ]
    ]
    assert names[:3] == ["Poster s.png", "poster S (2).png", "Poster s (3).png"]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert len(name.encode()) <= 255
        assert not set(name.removesuffix(".png")) & set('/\\:*?"<>|.\0')


@pytest.mark.slow
@pytest.mark.any_database
def test_a_zip_of_many_needs_the_memory_of_a_few(shop):
    made = create_qr_codes(
        shop, [NewQRCode(f"门店 {number}", f"s{number}") for number in range(120)]
    )
    QRScene.objects.update(due_at=None, url="http://weixin.qq.com/q/02ExampleCodeExample")
    pks = [code.pk for code in made]
    list(archive(pks[:5]))  # font and texts are loaded once
    tracemalloc.start()
    size = sum(len(piece) for piece in archive(pks))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 120 * 4000
    assert peak < 0.75 * size


# --- Binding requests --------------------------------------------------------------------------


@pytest.fixture
def alice(db):
    return User.objects.create_user("alice")


def test_a_binding_request_gets_its_code_for_as_long_as_it_lives(shop, at_wechat, alice):
    request = start_binding(account=shop, user=alice)
    assert fetch_binding_tickets() == 1
    [issued] = at_wechat.codes
    fetched = again(request)
    assert issued.scene == request.scene
    assert (fetched.ticket, fetched.url) == (issued.ticket, issued.url)
    assert 590 < issued.expires_at - time.time() <= 600
    assert fetched.code_for(alice) == issued.url
    assert fetched.code_for(User.objects.create_user("bob")) == ""


def test_a_scanned_or_withdrawn_request_is_wiped_and_fetches_nothing(shop, fake, alice):
    first = start_binding(account=shop, user=alice)
    second = start_binding(account=shop, user=alice)
    fetch_binding_tickets()
    assert fake.calls[CREATE] == 1
    push(shop, message_xml("event.SCAN", EventKey=second.scene))
    for row in (again(first), again(second)):
        assert (row.scene, row.ticket, row.url, row.due_at) == ("", "", "", None)
    assert again(second).code_for(alice) == ""
    assert fetch_binding_tickets() == 0


def test_a_request_that_ends_while_its_ticket_is_fetched_stays_wiped(shop, fake, alice):
    request = start_binding(account=shop, user=alice)
    [claimed] = BindingRequest.objects.claim(
        timezone.now(), limit=1, lease=datetime.timedelta(seconds=60)
    )
    BindingRequest.objects.update(expires_at=timezone.now() - datetime.timedelta(minutes=5))
    end_expired_requests()
    assert not BindingRequest.objects.finish(claimed, ticket="gQ", url="http://weixin.qq.com/q/1")
    assert again(request).url == ""


def test_an_expired_request_is_not_fetched(shop, fake, alice):
    start_binding(account=shop, user=alice)
    BindingRequest.objects.update(expires_at=timezone.now())
    fetch_binding_tickets()
    assert fake.calls == {}
    assert BindingRequest.objects.get().due_at is None


def test_a_failure_is_kept_and_tells_no_secret(shop, fake, alice, caplog):
    request = start_binding(account=shop, user=alice)
    fake.make_trouble(CREATE, Fault(errcode=40035, errmsg=f"invalid scene {request.scene}"))
    fetch_binding_tickets()
    failed = again(request)
    assert (failed.failure, failed.due_at) == ("request", None)
    assert request.scene not in failed.failure_text
    assert "invalid scene" in caplog.text
    assert request.scene not in caplog.text
