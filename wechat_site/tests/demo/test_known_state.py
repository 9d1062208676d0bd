"""What the fake platform is told of the site's accounts, so that a later run goes on."""

from __future__ import annotations

import time
from random import Random

import pytest
from django.contrib.auth.models import User

from events.menus.publish import ask_wechat, look_at_menus, publish, publish_menus
from events.models import LiveMenu, MenuVersion
from events.simulator.fake_api import FakeWeChatAPI, ListedFollowers
from events.testing import message_xml, push
from events.wechat.api import AppCredentials, RecipientRejected
from events.wechat.api.custom_messages import TextMessage
from events.wechat.api.menu_model import Button, Menu
from subscribers.binding.bind import start_binding
from subscribers.models import Binding, BindingRequest, QRScene
from subscribers.qr_codes.create import NewQRCode, create_qr_codes
from subscribers.qr_codes.fetch_tickets import fetch_binding_tickets, fetch_scene_tickets
from subscribers.tests.in_process import in_process_client
from wechat_site.demo.known_state import add_account, known_followers

pytestmark = pytest.mark.django_db

LI, WANG = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E", "oT3xk5QmZb7LwR2nVc9Ys0DfHj4F"
MENU = Menu(
    (
        Button("订单", "click", key="ORDERS"),
        Button("更多", sub_buttons=(Button("门店", "view", url="https://a.cn/"),)),
    )
)


@pytest.fixture
def begun_anew(shop):
    """The account on a platform that began after the site did."""

    def begin(**options):
        fake = FakeWeChatAPI(random=Random(2))
        return add_account(fake, shop, ListedFollowers(known_followers(shop)), **options)

    return begin


def test_it_knows_the_codes_it_made_and_those_seen_only_in_events(shop, fake, begun_anew):
    create_qr_codes(shop, [NewQRCode("海报", "metro"), NewQRCode("传单", "flyer")])
    create_qr_codes(shop, [NewQRCode("市集", "market")], expire_seconds=7 * 24 * 3600)
    fetch_scene_tickets()
    create_qr_codes(shop, [NewQRCode("还没有", "waiting")])
    push(shop, message_xml("event.scan", EventKey="brochure", Ticket="gQold"))
    start_binding(account=shop, user=User.objects.create_user("zhangwei"))
    fetch_binding_tickets()
    request = BindingRequest.objects.get()

    there = begun_anew()
    assert {(poster.scene, poster.ticket) for poster in there.posters()} == {
        *QRScene.objects.exclude(ticket="").values_list("scene", "ticket"),
        ("brochure", "gQold"),
    }
    assert len(there.posters()) == 4
    code = there.next_code()
    assert (code.scene, code.ticket) == (request.scene, request.ticket)
    assert there.next_code() is None


def test_it_shows_the_menu_that_was_published_last(shop, fake, at_wechat, begun_anew):
    former = Menu((Button("旧", "click", key="OLD"),))
    assert [entry["key"] for entry in begun_anew(menu=former).entries()] == ["OLD"]
    assert begun_anew().entries() == []

    version = MenuVersion.objects.create(account=shop, menu=MENU.to_json(), due_at=None)
    publish(version, user=None)
    publish_menus()
    look_at_menus()
    there = begun_anew(menu=former)
    assert [entry.get("key") or entry["url"] for entry in there.entries()] == [
        "ORDERS",
        "https://a.cn/",
    ]

    # And when the site asks, it finds the version it knows.
    at_wechat.menu, at_wechat.console_menu = None, there.console_menu
    ask_wechat(shop)
    look_at_menus()
    assert LiveMenu.objects.get().version == version
    assert MenuVersion.objects.count() == 1


def test_it_knows_who_may_be_written_to(shop):
    now = int(time.time())
    push(shop, message_xml("event.subscribe", openid=LI, at=now - 3600))
    push(shop, message_xml("event.subscribe", openid=WANG, at=now - 3600))
    push(shop, message_xml("text", openid=LI, at=now - 1800, Content="你好", MsgId=1))
    fake = FakeWeChatAPI(random=Random(2))
    there = add_account(fake, shop, ListedFollowers(known_followers(shop)))
    credentials = AppCredentials(shop.app_id, shop.app_secret)
    messages = in_process_client(fake, credentials).custom_messages
    messages.send(LI, TextMessage("您好"))
    with pytest.raises(RecipientRejected):
        messages.send(WANG, TextMessage("您好"))
    assert [sent.openid for sent in there.sent] == [LI]


def test_people_go_on_where_they_were(shop):
    push(shop, message_xml("event.subscribe", openid=LI, at=1000, EventKey="qrscene_metro"))
    push(shop, message_xml("event.click", openid=LI, at=2000, EventKey="ORDERS"))
    push(shop, message_xml("event.subscribe", openid=WANG, at=1500, EventKey=""))
    push(shop, message_xml("event.unsubscribe", openid=WANG, at=1600, EventKey=""))
    li, wang = known_followers(shop)
    assert (li.openid, li.is_following, li.last_act, li.followed_at, li.follow_key) == (
        *(LI, True, 2000, 1000),
        "qrscene_metro",
    )
    assert (wang.openid, wang.is_following, wang.follow_key) == (WANG, False, "")
    assert not li.has_scanned_code

    request = start_binding(account=shop, user=User.objects.create_user("zhangwei"))
    push(shop, message_xml("event.scan", openid=LI, EventKey=request.scene, Ticket="gQ"))
    assert Binding.objects.active().count() == 1
    [li, _] = known_followers(shop)
    assert li.has_scanned_code
