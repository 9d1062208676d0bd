"""The reply rules of the demo's account."""

from __future__ import annotations

import datetime

from events.answering.publish_rules import publish
from events.models import OfficialAccount, ReplyRule
from events.rules.data import (
    Answer,
    AnswerChoice,
    AnswerKind,
    Conditions,
    Follow,
    Hours,
    How,
    MessageKind,
    On,
    Rule,
    Trigger,
)

__all__ = ["MENU_KEYS", "make_rules"]


def _text(content: str) -> Answer:
    return Answer(AnswerKind.TEXT, content=content)


_WELCOME = "感谢关注！点击下方菜单查看订单和优惠，回复“营业时间”了解门店信息。"
_HOURS = Hours(datetime.time(9), datetime.time(21))
_MENU = {
    "MENU_MY_ORDERS": ("我的订单", "您有 1 个订单正在配送，预计今天 18:00 前送达。"),
    "MENU_COUPONS": ("优惠券", "您有 2 张优惠券，满 100 减 20，月底前有效。"),
}
MENU_KEYS = (*_MENU, "MENU_CONTACT")

_RULES = (
    Rule(0, "重新关注", Trigger(On.FOLLOW, follow=Follow.AGAIN), answers=(_text("欢迎回来！"),)),
    Rule(0, "关注欢迎", Trigger(On.FOLLOW), answers=(_text(_WELCOME),)),
    Rule(
        0,
        "门店扫码",
        Trigger(On.SCAN, keys=("cashier",)),
        answers=(_text("欢迎光临{code}，出示会员码即可积分。"),),
    ),
    *(
        Rule(0, name, Trigger(On.MENU, keys=(key,)), answers=(_text(content),))
        for key, (name, content) in _MENU.items()
    ),
    Rule(
        0,
        "联系客服（下班后）",
        Trigger(On.MENU, keys=("MENU_CONTACT",)),
        Conditions(hours=Hours(_HOURS.since, _HOURS.until, is_outside=True)),
        answers=(_text("现在是下班时间，客服工作时间为 {hours}，请留言，我们明早回复。"),),
    ),
    Rule(
        0,
        "联系客服",
        Trigger(On.MENU, keys=("MENU_CONTACT",)),
        answers=(_text("客服电话：021-5555 0000，每天 9:00–21:00。"),),
    ),
    Rule(
        0,
        "营业时间",
        Trigger(
            On.MESSAGE,
            kind=MessageKind.TEXT,
            how=How.CONTAINS_ANY,
            words=("营业时间", "几点开门", "几点关门"),
        ),
        answers=(_text("每天 10:00–22:00，节假日照常营业。"),),
    ),
    Rule(
        0,
        "优惠",
        Trigger(On.MESSAGE, kind=MessageKind.TEXT, how=How.EQUAL, words=("优惠", "优惠券")),
        answers=(
            _text("本周会员日：全场 8.8 折。"),
            _text("会员日优惠进行中，点击菜单“优惠券”查看您的券。"),
        ),
        choice=AnswerChoice.ONE,
    ),
)


def make_rules(account: OfficialAccount) -> None:
    """Writes and publishes the rules, unless the account has rules already."""
    if ReplyRule.objects.filter(account=account).exists():
        return
    for position, rule in enumerate(_RULES, start=1):
        row = ReplyRule(account=account, position=position)
        row.take(rule)
        row.save()
    publish(account.pk, user=None)
