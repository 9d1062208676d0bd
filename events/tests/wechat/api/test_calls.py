"""Each call, once as it should be and at its limits, over HTTP."""

from __future__ import annotations

import datetime
import json
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from events.simulator.fake_api import Fault
from events.simulator.pushes import event_push
from events.wechat import Article
from events.wechat.api import BadAnswer, RecipientRejected, RequestRejected, Wire
from events.wechat.api.custom_messages import (
    ArticleMessage,
    Choice,
    ChoiceMessage,
    ImageMessage,
    MaterialMessage,
    NewsMessage,
    TextMessage,
)
from events.wechat.api.datacube import UserCumulate, UserSummary
from events.wechat.api.diagnostics import Ping, Quota, Resolution
from events.wechat.api.tags import Tag
from events.wechat.api.users import Profile, Profiles

from .conftest import ANNA, BERT, GONE, STRANGER

# --- QR codes ---


def test_a_temporary_code(client, fake, clock):
    code = client.qr_codes.create_temporary("bind-7F3K", expire_seconds=600)
    assert code.expire_seconds == 600
    assert code.url.startswith("http://weixin.qq.com/q/")
    assert fake.scene_of(code.ticket) == "bind-7F3K"
    clock.at += 600
    assert fake.scene_of(code.ticket) is None


def test_a_code_whose_scene_is_a_number(client, fake):
    code = client.qr_codes.create_temporary(4_294_967_295, expire_seconds=2_592_000)
    assert fake.scene_of(code.ticket) == "4294967295"


@pytest.mark.parametrize("scene", ["地铁海报", 100_000])
def test_a_permanent_code(client, fake, scene):
    code = client.qr_codes.create_permanent(scene)
    assert code.expire_seconds is None
    assert fake.scene_of(code.ticket) == str(scene)


@pytest.mark.parametrize(
    ("scene", "seconds"), [("", 60), ("s" * 65, 60), (0, 60), (2**32, 60), ("s", 0), ("s", 2592001)]
)
def test_a_temporary_code_outside_the_limits_is_not_asked_for(client, fake, scene, seconds):
    with pytest.raises(ValueError, match="must"):
        client.qr_codes.create_temporary(scene, expire_seconds=seconds)
    assert fake.calls == {}


@pytest.mark.parametrize("scene", ["", "s" * 65, 0, 100_001])
def test_a_permanent_code_outside_the_limits_is_not_asked_for(client, fake, scene):
    with pytest.raises(ValueError, match="must"):
        client.qr_codes.create_permanent(scene)
    assert fake.calls == {}


def test_the_picture_of_a_code(client, account):
    # Some of these tickets have +, / and =, which must be escaped.
    tickets = [client.qr_codes.create_permanent(f"s{number}").ticket for number in range(20)]
    assert any("+" in ticket for ticket in tickets)
    url = client.qr_codes.picture_url(tickets[0])
    assert httpx.get(url).headers["Content-Type"] == "image/jpg"
    for ticket in tickets:
        url = client.qr_codes.picture_url(ticket)
        assert httpx.get(url).content.startswith(b"\xff\xd8")
        assert parse_qs(urlsplit(url).query) == {"ticket": [ticket]}


def test_a_wrong_ticket_has_no_picture(client, account):
    assert httpx.get(client.qr_codes.picture_url("gQwrong")).status_code == 404


# --- Users ---


def profile_of(client, openid):
    [profile] = client.users.infos([openid]).found
    return profile


def test_a_profile(client):
    assert profile_of(client, ANNA) == Profile(
        openid=ANNA,
        is_following=True,
        subscribe_time=1_767_225_661,
        subscribe_scene="ADD_SCENE_QR_CODE",
        qr_scene_str="poster-1",
    )
    assert profile_of(client, ANNA).scene == "poster-1"
    assert profile_of(client, BERT).scene == "100245"


def test_of_somebody_who_left_only_the_openid_comes_back(client):
    assert profile_of(client, GONE) == Profile(GONE, is_following=False)
    assert profile_of(client, GONE).scene == ""


def test_somebody_elses_follower_has_no_profile(client):
    assert client.users.infos([STRANGER]) == Profiles((), (STRANGER,))


def test_a_unionid_comes_without_its_stray_blank(client, fake):
    answer = {"subscribe": 1, "openid": ANNA, "unionid": " oU9x", "tagid_list": [2, "101"]}
    answer_with(fake, "/cgi-bin/user/info/batchget", {"user_info_list": [answer]})
    profile = profile_of(client, ANNA)
    assert (profile.unionid, profile.tag_ids) == ("oU9x", (2, 101))


def test_several_profiles(client):
    profiles = client.users.infos([ANNA, GONE, BERT])
    assert [profile.openid for profile in profiles.found] == [ANNA, GONE, BERT]
    assert [profile.is_following for profile in profiles.found] == [True, False, True]
    assert profiles.invalid == ()
    assert client.users.infos([]).found == ()


def test_invalid_openids_are_found_among_a_hundred(client, fake):
    openids = [ANNA, BERT] * 50
    openids[37] = openids[99] = STRANGER
    profiles = client.users.infos(openids)
    assert len(profiles.found) == 98
    assert profiles.invalid == (STRANGER, STRANGER)
    assert fake.calls["/cgi-bin/user/info/batchget"] < 30


def test_more_than_a_hundred_profiles_are_not_asked_for(client):
    with pytest.raises(ValueError, match="100"):
        client.users.infos([ANNA] * 101)


def test_all_followers_page_by_page(client, account):
    account.page_size = 1
    page = client.users.page()
    assert (page.total, page.openids, page.next_openid) == (2, (ANNA,), ANNA)
    assert client.users.page(ANNA).openids == (BERT,)
    assert client.users.page(BERT).openids == ()


# --- Tags ---


def test_tags(client, account):
    tag = client.tags.create("会员 & 朋友")
    assert tag == Tag(100, "会员 & 朋友")
    client.tags.add(tag.id, [ANNA, BERT])
    assert profile_of(client, ANNA).tag_ids == (100,)
    assert client.tags.all() == (Tag(2, "星标组"), Tag(100, "会员 & 朋友", 2))
    client.tags.remove(tag.id, [ANNA])
    assert profile_of(client, ANNA).tag_ids == ()
    assert client.tags.all() == (Tag(2, "星标组"), Tag(100, "会员 & 朋友", 1))


def test_what_the_platform_refuses_of_tags(client):
    client.tags.create("会员")
    for attempt, errcode in [
        (lambda: client.tags.create("会员"), 45157),
        (lambda: client.tags.add(555, [ANNA]), 45159),
    ]:
        with pytest.raises(RequestRejected) as caught:
            attempt()
        assert caught.value.errcode == errcode
    with pytest.raises(RecipientRejected):
        client.tags.add(100, [STRANGER])


def test_tags_outside_the_limits_are_not_asked_for(client, fake):
    for attempt in (
        lambda: client.tags.create("x" * 31),
        lambda: client.tags.create(""),
        lambda: client.tags.add(100, []),
        lambda: client.tags.add(100, [ANNA] * 51),
    ):
        with pytest.raises(ValueError, match=r"1 to"):
            attempt()
    assert fake.calls == {}


# --- Messages ---


def test_each_kind_of_message_arrives_as_wechat_documents_it(client, account, write):
    article = Article("标题", "说明", "https://www.example.com/p.jpg", "https://www.example.com/")
    choices = (Choice("101", "满意"), Choice("102", "不满意"))
    expected = {
        TextMessage("您好 😀"): ("text", {"content": "您好 😀"}),
        ImageMessage("m1"): ("image", {"media_id": "m1"}),
        NewsMessage(article): (
            "news",
            {
                "articles": [
                    {
                        "title": "标题",
                        "description": "说明",
                        "url": "https://www.example.com/",
                        "picurl": "https://www.example.com/p.jpg",
                    }
                ]
            },
        ),
        MaterialMessage("m2"): ("mpnews", {"media_id": "m2"}),
        ArticleMessage("a1"): ("mpnewsarticle", {"article_id": "a1"}),
        ChoiceMessage("满意吗？", choices, "谢谢"): (
            "msgmenu",
            {
                "head_content": "满意吗？",
                "list": [{"id": "101", "content": "满意"}, {"id": "102", "content": "不满意"}],
                "tail_content": "谢谢",
            },
        ),
    }
    for message, (msg_type, content) in expected.items():
        write(ANNA)
        client.custom_messages.send(ANNA, message)
        sent = account.sent[-1]
        assert sent.body == {"touser": ANNA, "msgtype": msg_type, msg_type: content}


@pytest.mark.parametrize("content", ["", " \n", "字" * 683])
def test_a_text_that_cannot_be_sent_is_no_message(content):
    with pytest.raises(ValueError, match="text message"):
        TextMessage(content)
    TextMessage("字" * 682)


def test_choices_are_needed():
    with pytest.raises(ValueError, match="at least one"):
        ChoiceMessage("?", ())


@pytest.mark.parametrize(
    ("kind", "allowed", "seconds"),
    [("text", 5, 48 * 3600), ("event.subscribe", 3, 60), ("event.SCAN", 3, 60)],
)
def test_a_window_has_its_number_and_its_time(client, clock, write, kind, allowed, seconds):
    def refused():
        with pytest.raises(RecipientRejected) as caught:
            client.custom_messages.send(ANNA, TextMessage("hi"))
        return caught.value.errcode

    assert refused() == 45015
    write(ANNA, kind)
    for _ in range(allowed):
        client.custom_messages.send(ANNA, TextMessage("hi"))
    assert refused() == 45047
    write(ANNA, kind)
    clock.at += seconds + 1
    assert refused() == 45015


def test_those_who_left_and_strangers_get_nothing(client):
    for openid, errcode in [(GONE, 45015), (STRANGER, 40003)]:
        with pytest.raises(RecipientRejected) as caught:
            client.custom_messages.send(openid, TextMessage("hi"))
        assert caught.value.errcode == errcode


# --- Statistics ---

NOON = int(datetime.datetime(2026, 3, 10, 4, 0, tzinfo=datetime.UTC).timestamp())  # in Beijing
DAY = datetime.date(2026, 3, 9)


def test_statistics_of_a_day(client, account, clock):
    clock.at = NOON
    yesterday = NOON - 24 * 3600
    for number, key in enumerate(["qrscene_a", "qrscene_b", "", "last_trade_no_42"]):
        account.note_push(event_push("gh", f"o{number}", yesterday, "subscribe", key))
    account.note_push(event_push("gh", ANNA, yesterday, "unsubscribe"))
    account.note_push(event_push("gh", "o9", NOON, "subscribe"))
    assert client.datacube.user_summary(DAY, DAY) == (
        UserSummary(DAY, 0, 1, 0),
        UserSummary(DAY, 1, 1, 0),
        UserSummary(DAY, 30, 2, 1),
    )
    before = DAY - datetime.timedelta(days=1)
    assert client.datacube.user_cumulate(before, DAY) == (
        UserCumulate(before, -2),
        UserCumulate(DAY, 1),
    )


def test_yesterday_is_missing_before_eight_in_the_morning(client, clock):
    clock.at = NOON - 4 * 3600 - 1
    assert client.datacube.user_cumulate(DAY, DAY) == ()
    clock.at += 1
    assert len(client.datacube.user_cumulate(DAY, DAY)) == 1


def test_a_day_that_is_not_ready_is_missing_whichever_way_it_is_said(client, fake, clock):
    answer_with(fake, "/datacube/getusersummary", {"errcode": 61503, "errmsg": "not ready"})
    assert client.datacube.user_summary(DAY, DAY) == ()


def test_today_is_refused(client, clock):
    clock.at = NOON
    today = DAY + datetime.timedelta(days=1)
    with pytest.raises(RequestRejected) as caught:
        client.datacube.user_summary(DAY, today)
    assert caught.value.errcode == 61501


@pytest.mark.parametrize("days", [-1, 7])
def test_more_than_a_week_is_not_asked_for(client, fake, days):
    with pytest.raises(ValueError, match="7 days"):
        client.datacube.user_summary(DAY, DAY + datetime.timedelta(days=days))
    assert fake.calls == {}


# --- Diagnostics ---


def test_diagnostics(client):
    check = client.diagnostics.check_callback()
    assert check.resolutions == (Resolution("192.0.2.10", "UNICOM"),)
    assert check.pings == (Ping("192.0.2.10", "UNICOM", "0%", "23.079ms"),)
    assert client.diagnostics.check_callback("dns", "CAP").pings == ()


def test_quota(client, account):
    path = "/cgi-bin/message/custom/send"
    assert client.diagnostics.quota(path) == Quota(500_000, 0, 500_000)
    account.quotas.per_minute[path] = 100
    account.exhaust_quota(path)
    assert client.diagnostics.quota(path) == Quota(500_000, 500_000, 0, 100, 60)
    with pytest.raises(RequestRejected):
        client.diagnostics.quota("cgi-bin/message/custom/send")


# --- What every call shares ---


@pytest.mark.parametrize(
    "content_type", ["text/plain", "text/plain; charset=iso-8859-1", "application/json"]
)
def test_answers_are_utf8_whatever_their_header_says(client, fake, content_type):
    fake.content_type = content_type
    client.tags.create("会员")
    assert client.tags.all()[-1].name == "会员"


def test_json_is_sent_with_real_characters_and_numbers():
    seen = []

    def respond(request):
        seen.append(request)
        return httpx.Response(200, json={"errcode": 0})

    wire = Wire(transport=httpx.MockTransport(respond))
    body = {"名": "中文😀", "n": 2**63, "b": True}
    wire.call("POST", "/x", query={"access_token": "t"}, body=body)
    assert seen[0].content == '{"名": "中文😀", "n": 9223372036854775808, "b": true}'.encode()
    assert str(seen[0].url) == "https://api.weixin.qq.com/x?access_token=t"
    assert seen[0].headers["Content-Length"] == str(len(seen[0].content))
    wire.close()


@pytest.mark.parametrize(
    ("path", "answer", "call"),
    [
        (
            "/cgi-bin/user/info/batchget",
            {"user_info_list": [{"subscribe": 1}]},
            lambda client: client.users.infos([ANNA]),
        ),
        ("/cgi-bin/user/get", {"data": []}, lambda client: client.users.page()),
        ("/cgi-bin/user/get", {"data": {"openid": [1]}}, lambda client: client.users.page()),
        ("/cgi-bin/user/get", {"total": "many"}, lambda client: client.users.page()),
        ("/cgi-bin/tags/get", {"tags": ["x"]}, lambda client: client.tags.all()),
        ("/cgi-bin/tags/get", {"tags": {}}, lambda client: client.tags.all()),
        ("/cgi-bin/qrcode/create", {}, lambda client: client.qr_codes.create_permanent("s")),
        (
            "/datacube/getusersummary",
            {"list": [{"ref_date": "soon"}]},
            lambda client: client.datacube.user_summary(DAY, DAY),
        ),
        ("/cgi-bin/menu/get", {"menu": {"button": "x"}}, lambda client: client.menus.get()),
    ],
)
def test_an_answer_of_another_shape_is_a_bad_answer(client, fake, path, answer, call):
    answer_with(fake, path, answer)
    with pytest.raises(BadAnswer):
        call(client)


def answer_with(fake, path, fields):
    fake.make_trouble(path, Fault(body=json.dumps(fields).encode()))
