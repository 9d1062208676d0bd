"""What the demo shows: an account, its posters and replies, some site users, an operator."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable

from django.contrib.auth.models import User
from django.db import connection

from events.models import OfficialAccount, ReplyRule
from events.simulator import Code, Follower, Poster, Repertoire
from subscribers.binding import start_binding
from subscribers.models import QRScene, Subscriber

__all__ = ["REPERTOIRE", "binding_codes", "known_followers", "make_account", "make_operator"]

_POSTERS = {
    "metro-2026": "地铁海报",
    "cashier": "门店收银台",
    "parcel": "快递箱单",
    "flyer": "社区传单",
}
_MENU = {
    "MENU_MY_ORDERS": "您有 1 个订单正在配送，预计今天 18:00 前送达。",
    "MENU_COUPONS": "您有 2 张优惠券，满 100 减 20，月底前有效。",
    "MENU_CONTACT": "客服电话：021-5555 0000，每天 9:00–21:00。",
}
_KEYWORDS = {"营业时间": "每天 10:00–22:00，节假日照常营业。", "优惠": "本周会员日：全场 8.8 折。"}
_USERS = ("zhangwei", "wangfang", "lina", "liuyang", "chenjing", "yangmin", "zhaolei", "sunli")

REPERTOIRE = Repertoire(
    posters=tuple(
        Poster(
            scene, f"gQ{scene.encode().hex()}AAAAAAAAAS5odHRwOi8vd2VpeGluLnFxLmNvbS9xLzAy", weight
        )
        for scene, weight in zip(_POSTERS, (4, 3, 2, 1), strict=True)
    ),
    menu_keys=tuple(_MENU),
)


def make_account() -> OfficialAccount:
    """The demo account with its posters and rules; made once, kept afterwards."""
    account, _ = OfficialAccount.objects.get_or_create(
        slug="demo",
        defaults={
            "name": "演示公众号",
            "original_id": f"gh_{secrets.token_hex(6)}",
            "app_id": f"wx{secrets.token_hex(8)}",
            "token": secrets.token_hex(12),
            "encoding_aes_key": secrets.token_hex(22)[:43],
            "security_mode": OfficialAccount.Mode.SAFE,
        },
    )
    for scene, name in _POSTERS.items():
        QRScene.objects.get_or_create(account=account, scene=scene, defaults={"name": name})
    welcome = "感谢关注！点击下方菜单查看订单和优惠，回复“营业时间”了解门店信息。"
    for trigger, key, content in [
        (ReplyRule.Trigger.FOLLOW, "", welcome),
        (ReplyRule.Trigger.SCAN, "cashier", "欢迎光临门店，出示会员码即可积分。"),
        *((ReplyRule.Trigger.CLICK, key, content) for key, content in _MENU.items()),
        *((ReplyRule.Trigger.TEXT, key, content) for key, content in _KEYWORDS.items()),
    ]:
        ReplyRule.objects.get_or_create(
            account=account, trigger=trigger, key=key, defaults={"content": content}
        )
    return account


def make_operator() -> tuple[str, str]:
    """The operator's user name, and the password that is set anew at each start."""
    password = secrets.token_urlsafe(9)
    operator, _ = User.objects.get_or_create(
        username="operator", defaults={"is_staff": True, "is_superuser": True}
    )
    operator.set_password(password)
    operator.save(update_fields=["password"])
    return operator.username, password


def known_followers(account: OfficialAccount) -> list[Follower]:
    """The people of an earlier run, so that they go on rather than begin anew."""
    return [
        Follower(openid, is_following=following, last_act=int(seen.timestamp()) if seen else 0)
        for openid, following, seen in Subscriber.objects.filter(account=account)
        .order_by("-id")
        .values_list("openid", "is_following", "last_seen_at")[:5000]
    ]


def binding_codes(account: OfficialAccount) -> Callable[[], Code | None]:
    """Makes a binding request for one site user after the other, and gives its code."""
    users = itertools.cycle([User.objects.get_or_create(username=name)[0] for name in _USERS])

    def next_code() -> Code | None:
        request = start_binding(account=account, user=next(users))
        # The traffic runs in a thread of its own, which keeps no connection while it waits.
        connection.close()
        ticket = f"gQ{secrets.token_urlsafe(60)}"
        return Code(request.scene, ticket=ticket, made_at=int(time.time()))

    return next_code
