from __future__ import annotations

import pytest

from events.simulator.fake_api import Fault
from events.wechat.api import RequestRejected
from events.wechat.api.menu_model import (
    BUTTON_TYPES,
    Button,
    CurrentMenu,
    CustomMenu,
    Menu,
    MenuFault,
    MenuProblem,
    menu_from_json,
    problems,
)
from events.wechat.api.transport.calls import Calls

MENU = Menu(
    (
        Button("我的订单", "click", key="MENU_MY_ORDERS"),
        Button(
            "服务",
            sub_buttons=(
                Button("商城", "view", url="https://www.example.com/shop?a=1&b=2"),
                Button("扫码核验", "scancode_waitmsg", key="SCAN_CHECK"),
                Button(
                    "小程序",
                    "miniprogram",
                    url="https://www.example.com/",
                    appid="wx0000000000000000",
                    pagepath="pages/index/index",
                ),
            ),
        ),
    )
)


def one(**fields: str) -> Menu:
    return Menu((Button(**{"name": "x", "type": "click", "key": "K"} | fields),))


def test_a_menu_goes_there_and_comes_back(client):
    assert client.menus.get() is None
    assert client.menus.current() == CurrentMenu(Menu(()), is_open=False)
    client.menus.create(MENU)
    assert client.menus.get() == CustomMenu(MENU, 0, ())
    assert client.menus.current() == CurrentMenu(MENU, is_open=True)


def test_a_menu_with_every_type(client):
    fields = {
        "key": "K",
        "url": "https://www.example.com/",
        "appid": "wx0000000000000000",
        "pagepath": "pages/index",
        "media_id": "M",
        "article_id": "A",
    }
    buttons = [
        Button(kind, kind, **{name: fields[name] for name in needed})
        for kind, needed in BUTTON_TYPES.items()
    ]
    tops = [Button(str(at), sub_buttons=tuple(buttons[at : at + 5])) for at in (0, 5, 10)]
    menu = Menu(tuple(tops))
    client.menus.create(menu)
    assert client.menus.current().menu == menu


def test_a_menu_made_in_the_console_is_read(client, account):
    account.console_menu = {
        "button": [
            {"name": "今日文章", "type": "news", "value": "M1", "news_info": {"list": [{}]}},
            {
                "name": "更多",
                "sub_button": {
                    "list": [
                        {"name": "留言", "type": "text", "value": "您好"},
                        {"name": "官网", "type": "view", "url": "https://www.example.com/"},
                    ]
                },
            },
        ]
    }
    menu = client.menus.current().menu
    assert menu.buttons[0] == Button("今日文章", "news", value="M1")
    assert [button.name for button in menu.buttons[1].sub_buttons] == ["留言", "官网"]
    assert problems(menu) == [
        MenuProblem((0,), "type", MenuFault.TYPE_OF_CONSOLE),
        MenuProblem((1, 0), "type", MenuFault.TYPE_OF_CONSOLE),
    ]


def test_conditional_menus_are_read(client, fake):
    answer = (
        b'{"menu":{"button":[{"type":"click","name":"a","key":"K","sub_button":[]}],"menuid":208},'
        b'"conditionalmenu":[{"button":[{"type":"click","name":"b","key":"L"}],'
        b'"matchrule":{"tag_id":"2"},"menuid":209}]}'
    )
    fake.make_trouble("/cgi-bin/menu/get", Fault(body=answer))
    menu = client.menus.get()
    assert menu is not None
    assert (menu.menu_id, menu.menu.buttons[0].name) == (208, "a")
    [conditional] = menu.conditional
    assert (conditional.menu_id, conditional.match_rule) == (209, {"tag_id": "2"})
    assert conditional.menu.buttons[0].key == "L"


def test_a_menu_wechat_would_refuse_is_not_sent(client, fake):
    with pytest.raises(ValueError, match="TOO_FEW"):
        client.menus.create(Menu(()))
    assert fake.calls == {}


@pytest.mark.parametrize(
    ("menu", "expected"),
    [
        (Menu(()), MenuProblem((), "buttons", MenuFault.TOO_FEW, 1, 0)),
        (Menu(one().buttons * 4), MenuProblem((), "buttons", MenuFault.TOO_MANY, 3, 4)),
        (
            Menu((Button("x", sub_buttons=one().buttons * 6),)),
            MenuProblem((0,), "sub_buttons", MenuFault.TOO_MANY, 5, 6),
        ),
        (
            Menu((Button("x", sub_buttons=(Button("y", sub_buttons=one().buttons),)),)),
            MenuProblem((0, 0), "sub_buttons", MenuFault.TOO_DEEP),
        ),
        (one(name=""), MenuProblem((0,), "name", MenuFault.MISSING)),
        # Six Chinese characters have eighteen bytes.
        (one(name="六个汉字名称"), MenuProblem((0,), "name", MenuFault.TOO_LONG, 16, 18)),
        (
            Menu((Button("x", sub_buttons=one(name="字" * 21).buttons),)),
            MenuProblem((0, 0), "name", MenuFault.TOO_LONG, 60, 63),
        ),
        (one(type=""), MenuProblem((0,), "type", MenuFault.MISSING)),
        (one(type="dance"), MenuProblem((0,), "type", MenuFault.TYPE_UNKNOWN)),
        (one(key=""), MenuProblem((0,), "key", MenuFault.MISSING)),
        (one(key="k" * 129), MenuProblem((0,), "key", MenuFault.TOO_LONG, 128, 129)),
        (one(type="view", url=""), MenuProblem((0,), "url", MenuFault.MISSING)),
        (
            one(type="view", url=f"https://{'x' * 1017}"),
            MenuProblem((0,), "url", MenuFault.TOO_LONG, 1024, 1025),
        ),
        (
            one(type="view", url="www.example.com"),
            MenuProblem((0,), "url", MenuFault.NOT_AN_ADDRESS),
        ),
        (one(type="view", url="https://a b"), MenuProblem((0,), "url", MenuFault.NOT_AN_ADDRESS)),
        (one(type="media_id"), MenuProblem((0,), "media_id", MenuFault.MISSING)),
        (
            one(type="miniprogram", url="https://x/", appid="wx"),
            MenuProblem((0,), "pagepath", MenuFault.MISSING),
        ),
    ],
)
def test_each_limit_is_told_exactly(menu, expected):
    assert problems(menu) == [expected]


def test_what_is_just_inside_the_limits_is_taken(client):
    menu = Menu(
        (
            Button("五个汉字x", sub_buttons=(Button("字" * 20, "click", key="k" * 128),) * 5),
            Button("y", "view", url=f"https://{'x' * 1016}"),
            Button("z", "click", key="K"),
        )
    )
    assert problems(menu) == []
    client.menus.create(menu)


@pytest.mark.parametrize(
    ("button", "errcode"),
    [
        ({"name": "六个汉字名称", "type": "click", "key": "K"}, 40018),
        ({"name": "x", "type": "click", "key": "k" * 129}, 40019),
        ({"name": "x", "type": "view", "url": "https://" + "x" * 1017}, 40020),
        ({"name": "x", "type": "view", "url": "ftp://x"}, 40055),
        ({"name": "x", "type": "dance"}, 40017),
        ({"name": "x", "sub_button": [{"name": "y", "type": "click", "key": "K"}] * 6}, 40023),
        ({"name": "x", "sub_button": [{"name": "字" * 21, "type": "click", "key": "K"}]}, 40025),
    ],
)
def test_the_fake_refuses_what_our_own_check_would_have_stopped(client, fake, button, errcode):
    assert problems(menu_from_json({"button": [button]}))
    calls: Calls = client.menus._calls
    with pytest.raises(RequestRejected) as caught:
        calls.post("/cgi-bin/menu/create", {"button": [button]})
    assert caught.value.errcode == errcode
