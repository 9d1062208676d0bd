"""An independent client, wechatpy, against the fake: what it takes for WeChat, is like WeChat."""

from __future__ import annotations

import datetime
import json
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from wechatpy import WeChatClient
from wechatpy.exceptions import APILimitedException, WeChatClientException

from events.simulator.fake_api import Fault
from events.simulator.pushes import event_push

from .conftest import ANNA, APP_ID, APP_SECRET, BERT, GONE, STRANGER


class Detour(HTTPAdapter):
    """Sends what is meant for WeChat's hosts to the fake; the client knows nothing of it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request, **options):
        parts = urlsplit(request.url)
        assert parts.hostname in {"api.weixin.qq.com", "mp.weixin.qq.com"}
        request.url = f"{self._url}{parts.path}?{parts.query}"
        return super().send(request, **options)


@pytest.fixture
def oracle(server, account):
    client = WeChatClient(APP_ID, APP_SECRET, timeout=60)
    client._http.mount("https://", Detour(server.url))
    yield client
    client._http.close()


def refused(call, *arguments):
    with pytest.raises(WeChatClientException) as caught:
        call(*arguments)
    assert "rid:" in caught.value.errmsg
    return caught.value.errcode


def test_it_fetches_a_token(oracle, fake):
    answer = oracle.fetch_access_token()
    assert answer["expires_in"] == 7200
    assert oracle.access_token == answer["access_token"]
    assert fake.calls == {"/cgi-bin/token": 1}


def test_it_takes_wrong_credentials_for_wrong(oracle):
    oracle.secret = "wrong"
    assert refused(oracle.fetch_access_token) == 40125
    oracle.appid = "wxother"
    assert refused(oracle.fetch_access_token) == 40013


def test_it_replaces_a_rejected_token(oracle, account, fake):
    oracle.user.get_followers()
    for errcode in (40001, 40014, 42001):
        account.expire_tokens(errcode)
        assert oracle.user.get_followers()["total"] == 2
    assert fake.calls["/cgi-bin/token"] == 4


def test_it_understands_quota_and_failure(oracle, account, fake):
    account.quotas.per_minute["/cgi-bin/user/get"] = 0
    assert refused(oracle.user.get_followers) == 45011
    account.exhaust_quota("/cgi-bin/user/get")
    with pytest.raises(APILimitedException):
        oracle.user.get_followers()
    fake.make_trouble("*", Fault(status=500))
    with pytest.raises(WeChatClientException):
        oracle.menu.get()
    fake.make_trouble("*", Fault(reset=True))
    with pytest.raises(requests.ConnectionError):
        oracle.menu.get()


def test_qr_codes(oracle, fake):
    made = oracle.qrcode.create(
        {
            "expire_seconds": 1800,
            "action_name": "QR_STR_SCENE",
            "action_info": {"scene": {"scene_str": "地铁海报"}},
        }
    )
    assert made["expire_seconds"] == 1800
    assert fake.scene_of(made["ticket"]) == "地铁海报"
    picture = oracle._http.get(oracle.qrcode.get_url(made))
    assert picture.content.startswith(b"\xff\xd8")
    permanent = oracle.qrcode.create(
        {"action_name": "QR_LIMIT_SCENE", "action_info": {"scene": {"scene_id": 123}}}
    )
    assert "expire_seconds" not in permanent
    assert fake.scene_of(permanent["ticket"]) == "123"
    unwrapped = oracle.qrcode.create(
        {"action_name": "QR_LIMIT_SCENE", "action_info": {"scene": {}, "scene_id": 123}}
    )
    assert fake.scene_of(unwrapped["ticket"]) == "0"


def test_users(oracle, account):
    bert, anna, gone = oracle.user.get_batch([BERT, ANNA, GONE])
    assert [bert["openid"], anna["openid"], gone["openid"]] == [BERT, ANNA, GONE]
    assert (anna["qr_scene_str"], bert["qr_scene"]) == ("poster-1", 100245)
    assert "subscribe_time" not in gone
    assert refused(oracle.user.get_batch, [ANNA, STRANGER]) == 40003
    account.page_size = 1
    assert oracle.user.get_followers()["total"] == 2
    assert list(oracle.user.iter_followers()) == [ANNA, BERT]


def test_tags(oracle):
    tag = oracle.tag.create("会员")
    oracle.tag.tag_user(tag["id"], [ANNA, BERT])
    assert oracle.user.get_batch([ANNA])[0]["tagid_list"] == [tag["id"]]
    assert oracle.tag.get()[-1] == {"id": tag["id"], "name": "会员", "count": 2}
    oracle.tag.untag_user(tag["id"], BERT)
    assert oracle.tag.get()[-1] == {"id": tag["id"], "name": "会员", "count": 1}
    assert refused(oracle.tag.create, "x" * 31) == 45158


def test_menus(oracle):
    assert oracle.menu.get() is None
    buttons = {
        "button": [
            {"type": "click", "name": "我的订单", "key": "MENU_MY_ORDERS"},
            {
                "name": "服务",
                "sub_button": [{"type": "view", "name": "商城", "url": "https://www.example.com/"}],
            },
        ]
    }
    oracle.menu.create(buttons)
    assert oracle.menu.get()["menu"]["button"][0]["name"] == "我的订单"
    current = oracle.menu.get_menu_info()
    assert current["is_menu_open"] == 1
    below = current["selfmenu_info"]["button"][1]["sub_button"]["list"]
    assert below[0]["url"] == "https://www.example.com/"
    assert refused(oracle.menu.create, {"button": []}) == 40016


def test_messages(oracle, account, write):
    assert refused(oracle.message.send_text, ANNA, "您好") == 45015
    write(ANNA)
    oracle.message.send_text(ANNA, "您好", account="kf2001@demoshop")
    oracle.message.send_image(ANNA, "m1")
    article = {"title": "标题", "description": "说明", "url": "https://x/", "image": "https://x/p"}
    assert refused(oracle.message.send_articles, ANNA, [article] * 2) == 45008
    oracle.message.send_articles(ANNA, [article])
    oracle.message.send_articles(ANNA, "m2")
    assert refused(oracle.message.send_text, ANNA, "字" * 683) == 45002
    oracle.message.send_text(ANNA, "last")
    assert refused(oracle.message.send_text, ANNA, "one too many") == 45047
    kinds = [sent.body["msgtype"] for sent in account.sent]
    assert kinds == ["text", "image", "news", "mpnews", "text"]
    assert account.sent[0].body["text"]["content"] == "您好"


def test_statistics(oracle, account, clock):
    clock.at = datetime.datetime(2026, 3, 10, 4, tzinfo=datetime.UTC).timestamp()
    account.note_push(event_push("gh", "o1", int(clock.at) - 24 * 3600, "subscribe"))
    [row] = oracle.datacube.get_user_summary("2026-03-09", datetime.date(2026, 3, 9))
    assert row == {"ref_date": "2026-03-09", "user_source": 1, "new_user": 1, "cancel_user": 0}
    rows = oracle.datacube.get_user_cumulate("2026-03-08", "2026-03-09")
    assert [row["cumulate_user"] for row in rows] == [1, 2]
    assert refused(oracle.datacube.get_user_summary, "2026-03-01", "2026-03-09") == 61501
    assert refused(oracle.datacube.get_user_summary, "9 March", "2026-03-09") == 61500


def test_escaped_characters_are_kept_as_they_stand(oracle, account, write):
    """As WeChat has shown them to followers: so a client must not escape."""
    write(ANNA)
    body = {"touser": ANNA, "msgtype": "text", "text": {"content": "您\n好"}}
    for data in (json.dumps(body), json.dumps(body, ensure_ascii=False).encode()):
        oracle.post("message/custom/send", data=data)
    shown = [sent.body["text"]["content"] for sent in account.sent]
    assert shown == ["\\u60a8\n\\u597d", "您\n好"]
