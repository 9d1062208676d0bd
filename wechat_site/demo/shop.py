"""The shop of the demo's account: its codes, menus and replies, and the people who work there."""

from __future__ import annotations

import secrets

from django.contrib.auth.models import User
from django.utils import timezone

from events.models import OfficialAccount, SharedAccessToken
from events.simulator import Poster, Repertoire
from events.wechat.api.custom_messages import (
    Choice,
    ChoiceMessage,
    CustomMessage,
    NewsMessage,
    TextMessage,
)
from events.wechat.api.menu_model import Button, Menu
from events.wechat.replies import Article
from subscribers.models import QRScene
from subscribers.qr_codes.create import NewQRCode, create_qr_codes, taken_scenes
from wechat_site.demo.rules import MENU_KEYS, make_rules

__all__ = [
    "ANSWERS",
    "FORMER_MENU",
    "MENU",
    "SCENE_ELSEWHERE",
    "USER_NAMES",
    "make_account",
    "make_colleague",
    "make_operator",
    "repertoire",
    "ticket_elsewhere",
]

_OUTDOORS, _IN_SHOP = "户外", "门店"
_DAY = 24 * 3600
# Scene, name, note, tags, lifetime in days (None: permanent), and weight: how often it is scanned.
_CODES: tuple[tuple[str, str, str, tuple[str, ...], int | None, float], ...] = (
    ("metro-2026", "地铁海报", "二号线六个车站，设计稿第三版", (_OUTDOORS,), None, 4),
    ("cashier", "门店收银台", "", (_IN_SHOP,), None, 3),
    ("parcel", "快递箱单", "印在箱内的卡片上", (), None, 2),
    ("flyer", "社区传单", "", (_OUTDOORS,), None, 1),
    ("market-week", "周末市集", "摊位前的立牌", (_OUTDOORS, "活动"), 7, 1),
    ("launch", "新品发布会", "签到处", ("活动",), 30, 1),
)
# A code made in WeChat's console years ago; operators find it under “made elsewhere”.
SCENE_ELSEWHERE = "2023-brochure"

_SHOP_URL = "https://www.example.com/shop?from=menu&v=2"
_STORES_URL = "https://www.example.com/stores"
# The menu made in WeChat's console, before this site began.
FORMER_MENU = Menu(
    (
        Button("我的订单", "click", key="MENU_MY_ORDERS"),
        Button("进入商城", "view", url=_SHOP_URL),
        Button("联系我们", "click", key="MENU_CONTACT"),
    )
)
MENU = Menu(
    (
        Button(
            "我的",
            sub_buttons=(
                Button("我的订单", "click", key="MENU_MY_ORDERS"),
                Button("优惠券", "click", key="MENU_COUPONS"),
                Button("扫码查商品", "scancode_waitmsg", key="MENU_SCAN_GOODS"),
            ),
        ),
        Button(
            "商城",
            sub_buttons=(
                Button("进入商城", "view", url=_SHOP_URL),
                Button("附近门店", "view", url=_STORES_URL),
                Button(
                    "小程序商城",
                    "miniprogram",
                    url=_SHOP_URL,
                    appid="wx3a9f0c27d81be645",
                    pagepath="pages/index/index?src=menu",
                ),
            ),
        ),
        Button("联系客服", "click", key="MENU_CONTACT"),
    )
)

# A colleague's answers, by the followers' texts.
ANSWERS: dict[str, CustomMessage] = {
    "人工客服": ChoiceMessage(
        "您好，我是客服小李。请问想咨询什么？",
        (Choice("101", "订单和配送"), Choice("102", "退换货"), Choice("103", "其他问题")),
    ),
    "请问今天还能发货吗？": TextMessage("可以的，今天 17:00 前付款的订单当天发出。"),
    "Where is my order?": TextMessage("Your parcel left our warehouse this morning."),
    "可以开发票吗？": TextMessage("可以，下单时填写抬头和税号，电子发票会发到您的邮箱。"),
    "衣服尺码偏大吗？": TextMessage("这款偏大半码，建议按平时的小一码选。"),
    "怎么申请退货？": TextMessage("签收 7 天内，在“我的订单”里点“申请退货”，运费由我们承担。"),
    "👨‍👩‍👧 周末一起来": NewsMessage(
        Article(
            "周末市集：带上家人来逛",
            "周六、周日 10:00–18:00，门店前广场",
            "https://www.example.com/static/market.jpg",
            "https://www.example.com/market",
        )
    ),
}

USER_NAMES = (
    *("zhangwei", "wangfang", "lina", "liuyang", "chenjing", "yangmin", "zhaolei", "sunli"),
    *("zhoujie", "wuting", "xujing", "zhuhong", "hujun", "guoyan", "heping", "gaolei"),
    *("linxue", "luobin", "songjia", "tangyi", "hanmei", "fengtao", "dongli", "xiaoyu"),
)


def make_account() -> OfficialAccount:
    """The demo account with its codes and rules; the first start makes it."""
    account = OfficialAccount.objects.filter(slug="demo").first()
    if account is None:
        account = OfficialAccount(
            slug="demo",
            name="演示公众号",
            original_id=f"gh_{secrets.token_hex(6)}",
            app_id=f"wx{secrets.token_hex(8)}",
            app_secret=secrets.token_hex(16),
            token=secrets.token_hex(12),
            encoding_aes_key=secrets.token_hex(22)[:43],
            security_mode=OfficialAccount.Mode.SAFE,
        )
        account.full_clean()
        account.save()
    # The fake API starts empty with the demo, so it knows no former token.
    SharedAccessToken.objects.filter(account=account).delete()
    _make_codes(account)
    make_rules(account)
    return account


def _make_codes(account: OfficialAccount) -> None:
    """Creates the codes that are missing; the worker fetches them."""
    scenes = [scene for scene, *_ in _CODES]
    there = taken_scenes(account, scenes)
    for scene, name, note, tags, days, _weight in _CODES:
        if scene not in there:
            lifetime = None if days is None else days * _DAY
            create_qr_codes(
                account, [NewQRCode(name, scene, note)], expire_seconds=lifetime, tags=tags
            )
    # Renews codes of a demo that stopped before the worker fetched them.
    QRScene.objects.filter(account=account, scene__in=scenes, url="").renew(timezone.now())


def repertoire(account: OfficialAccount) -> Repertoire:
    """What the shop offers to followers, even if operators have changed it since."""
    tickets = dict(
        QRScene.objects.filter(account=account).exclude(ticket="").values_list("scene", "ticket")
    )
    return Repertoire(
        posters=(
            *(Poster(scene, tickets.get(scene, ""), weight) for scene, *_, weight in _CODES),
            Poster(SCENE_ELSEWHERE, ticket_elsewhere(account), 0.5),
        ),
        menu_keys=MENU_KEYS,
        texts=tuple(dict.fromkeys([*Repertoire().texts, *ANSWERS])),
    )


def ticket_elsewhere(account: OfficialAccount) -> str:
    """The ticket of the code from the console; it is the same in each run."""
    return f"gQ{account.original_id.encode().hex()}AAAAAAAAAS5odHRwOi8vd2VpeGluLnFxLmNvbS9xLzAy"


def make_operator() -> tuple[str, str]:
    """Makes the operator; returns the user name and a password that is new at each start."""
    password = secrets.token_urlsafe(9)
    operator, _ = User.objects.get_or_create(
        username="operator", defaults={"is_staff": True, "is_superuser": True}
    )
    operator.set_password(password)
    operator.save(update_fields=["password"])
    return operator.username, password


def make_colleague() -> User:
    """The user who answers followers; nobody signs in with this name."""
    colleague, is_new = User.objects.get_or_create(username="kefu", defaults={"is_staff": True})
    if is_new:
        colleague.set_unusable_password()
        colleague.save(update_fields=["password"])
    return colleague
