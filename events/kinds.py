"""The table of kinds of messages and events: one entry holds all that the site knows of a kind.

A new kind needs one entry in KINDS. Projections, message windows, menu names and pages read it. The
site stores and shows a kind without an entry as it came, and concludes nothing from it about a
follower. The kind of a push is `events.wechat.Message.kind`.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from events.wechat.message import SCENE_PREFIX

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from events.wechat import Message

__all__ = [
    "KINDS",
    "About",
    "Effect",
    "Key",
    "Kind",
    "kinds_where",
    "label",
    "openid_of",
    "scene_of",
    "window_length",
]


class Effect(enum.Enum):
    """What an event proves about the person it names."""

    FOLLOW = enum.auto()
    UNFOLLOW = enum.auto()
    # Only a follower can do this, so the person follows even if the log has no follow event.
    SEEN = enum.auto()
    # Other people than followers can do this too.
    ACTIVITY = enum.auto()
    # The next two are WeChat's answers to queries of this site. They are not acts, so nothing
    # counts them.
    FOUND_FOLLOWING = enum.auto()
    FOUND_GONE = enum.auto()


class About(enum.Enum):
    """Whom an event concerns."""

    SENDER = enum.auto()
    # FromUserName is a sender of WeChat's system: results of verification (微信认证), of mass
    # sending and of publishing, and audits of cards, stores and products.
    NOBODY = enum.auto()
    # The field OpenID names the user, FromUserName somebody else (授权用户信息变更).
    NAMED = enum.auto()


class Key(enum.Enum):
    """What EventKey holds, if it is not the key of a menu entry."""

    SCENE = enum.auto()
    # `qrscene_` and then the scene. Other keys (`last_trade_no_…`) are not scenes.
    PREFIXED_SCENE = enum.auto()


Window: TypeAlias = Literal["message", "menu", "follow", "scan"]


@dataclass(frozen=True, slots=True)
class Kind:
    """All facts about one kind; `name` is for people.

    `window` is the message window (客服消息) that the event opens, by its name in
    settings.MESSAGE_WINDOWS. `menu` maps each type of menu entry whose tap pushes this kind to the
    entry's field that WeChat repeats as EventKey.
    """

    name: StrOrPromise
    effect: Effect | None = None
    about: About = About.SENDER
    window: Window | None = None
    key: Key | None = None
    menu: Mapping[str, str] = field(default_factory=dict)


# Only a kind with an effect says anything about its sender. An unknown kind proves nothing, and the
# senders of WeChat's system and authorization events are not followers.
KINDS: dict[str, Kind] = {
    "text": Kind(_("text message"), Effect.SEEN, window="message"),
    "image": Kind(_("image"), Effect.SEEN, window="message"),
    "voice": Kind(_("voice message"), Effect.SEEN, window="message"),
    "video": Kind(_("video"), Effect.SEEN, window="message"),
    "shortvideo": Kind(_("short video"), Effect.SEEN, window="message"),
    "location": Kind(_("location message"), Effect.SEEN, window="message"),
    "link": Kind(_("link"), Effect.SEEN, window="message"),
    "file": Kind(_("file"), Effect.SEEN, window="message"),
    "miniprogrampage": Kind(_("mini program card"), Effect.SEEN, window="message"),
    "event.subscribe": Kind(_("follow"), Effect.FOLLOW, window="follow", key=Key.PREFIXED_SCENE),
    "event.unsubscribe": Kind(_("unfollow"), Effect.UNFOLLOW),
    "event.scan": Kind(_("QR scan"), Effect.SEEN, window="scan", key=Key.SCENE),
    "event.location": Kind(_("position report"), Effect.SEEN),
    "event.click": Kind(_("menu click"), Effect.SEEN, window="menu", menu={"click": "key"}),
    "event.view": Kind(_("menu link"), Effect.SEEN, menu={"view": "url", "miniprogram": "url"}),
    "event.view_miniprogram": Kind(
        _("menu mini program"), Effect.SEEN, menu={"miniprogram": "pagepath"}
    ),
    "event.scancode_push": Kind(
        _("menu code scan"), Effect.SEEN, window="menu", menu={"scancode_push": "key"}
    ),
    "event.scancode_waitmsg": Kind(
        _("menu code scan, waiting"), Effect.SEEN, window="menu", menu={"scancode_waitmsg": "key"}
    ),
    "event.pic_sysphoto": Kind(_("menu photo"), Effect.SEEN, menu={"pic_sysphoto": "key"}),
    "event.pic_photo_or_album": Kind(
        _("menu photo or album"), Effect.SEEN, menu={"pic_photo_or_album": "key"}
    ),
    "event.pic_weixin": Kind(_("menu album"), Effect.SEEN, menu={"pic_weixin": "key"}),
    "event.location_select": Kind(_("menu location"), Effect.SEEN, menu={"location_select": "key"}),
    "event.templatesendjobfinish": Kind(_("template message result")),
    "event.masssendjobfinish": Kind(_("mass message result"), about=About.NOBODY),
    "event.publishjobfinish": Kind(_("publishing result"), about=About.NOBODY),
    # One SDK has this spelling of publishjobfinish.
    "event.freepublishjobfinish": Kind(_("publishing result"), about=About.NOBODY),
    "event.subscribe_msg_popup_event": Kind(_("notice subscription answered"), Effect.ACTIVITY),
    "event.subscribe_msg_change_event": Kind(_("notice subscription changed"), Effect.ACTIVITY),
    "event.subscribe_msg_sent_event": Kind(_("notice result"), Effect.ACTIVITY),
    "event.user_info_modified": Kind(_("profile changed"), about=About.NAMED),
    "event.user_authorization_revoke": Kind(_("authorization withdrawn"), about=About.NAMED),
    "event.user_authorization_cancellation": Kind(_("WeChat account closed"), about=About.NAMED),
    "event.qualification_verify_success": Kind(_("qualification verified"), about=About.NOBODY),
    "event.qualification_verify_fail": Kind(_("qualification refused"), about=About.NOBODY),
    "event.naming_verify_success": Kind(_("name verified"), about=About.NOBODY),
    "event.naming_verify_fail": Kind(_("name refused"), about=About.NOBODY),
    "event.annual_renew": Kind(_("verification due for renewal"), about=About.NOBODY),
    "event.verify_expired": Kind(_("verification expired"), about=About.NOBODY),
    "event.wx_verify_pay_succ": Kind(_("verification fee paid"), about=About.NOBODY),
    "event.wx_verify_dispatch": Kind(_("verification assigned"), about=About.NOBODY),
    "event.wx_verify_refill": Kind(_("verification form sent back"), about=About.NOBODY),
    "event.wx_verify_fail": Kind(_("verification failed"), about=About.NOBODY),
    "event.kf_create_session": Kind(_("service session opened"), Effect.ACTIVITY),
    "event.kf_close_session": Kind(_("service session closed"), Effect.ACTIVITY),
    "event.kf_switch_session": Kind(_("service session handed over"), Effect.ACTIVITY),
    "event.card_pass_check": Kind(_("card approved"), about=About.NOBODY),
    "event.card_not_pass_check": Kind(_("card refused"), about=About.NOBODY),
    "event.user_get_card": Kind(_("card received"), Effect.ACTIVITY),
    "event.user_gifting_card": Kind(_("card given away"), Effect.ACTIVITY),
    "event.user_del_card": Kind(_("card deleted"), Effect.ACTIVITY),
    "event.user_consume_card": Kind(_("card used"), Effect.ACTIVITY),
    "event.user_pay_from_pay_cell": Kind(_("card payment"), Effect.ACTIVITY),
    "event.user_view_card": Kind(_("card viewed"), Effect.ACTIVITY),
    "event.user_enter_session_from_card": Kind(_("chat opened from a card"), Effect.ACTIVITY),
    "event.update_member_card": Kind(_("member card changed"), Effect.ACTIVITY),
    "event.card_sku_remind": Kind(_("card stock low"), about=About.NOBODY),
    "event.card_pay_order": Kind(_("card coin order"), about=About.NOBODY),
    "event.submit_membercard_user_info": Kind(_("member card activated"), Effect.ACTIVITY),
    "event.card_merchant_check_result": Kind(_("card merchant checked"), about=About.NOBODY),
    "event.giftcard_pay_done": Kind(_("gift card bought"), Effect.ACTIVITY),
    "event.giftcard_send_to_friend": Kind(_("gift card given"), Effect.ACTIVITY),
    "event.giftcard_user_accept": Kind(_("gift card accepted"), Effect.ACTIVITY),
    "event.user_authorize_invoice": Kind(_("invoice authorized")),
    "event.update_invoice_status": Kind(_("invoice status changed")),
    "event.submit_invoice_title": Kind(_("invoice title given")),
    "event.cloud_invoice_invoiceresult_event": Kind(_("invoice result")),
    "event.poi_check_notify": Kind(_("store checked"), about=About.NOBODY),
    "event.apply_merchant_audit_info": Kind(_("merchant audited"), about=About.NOBODY),
    "event.create_map_poi_audit_info": Kind(_("map location audited"), about=About.NOBODY),
    "event.add_store_audit_info": Kind(_("new store audited"), about=About.NOBODY),
    "event.modify_store_audit_info": Kind(_("store change audited"), about=About.NOBODY),
    "event.wificonnected": Kind(_("Wi-Fi connected")),
    "event.shakearoundusershake": Kind(_("shake")),
    "event.shakearoundlotterybind": Kind(_("shake lottery")),
    "event.merchant_order": Kind(_("shop order")),
    "event.user_scan_product": Kind(_("product scanned")),
    "event.user_scan_product_enter_session": Kind(_("chat opened from a product")),
    "event.user_scan_product_async": Kind(_("product scanned, region")),
    "event.user_scan_product_verify_action": Kind(_("product verified"), about=About.NOBODY),
    "event.guide_qrcode_scan_event": Kind(_("guide code scanned")),
    "event.guide_invite_result_event": Kind(_("guide invitation result")),
    "event.add_guide_buyer_relation_event": Kind(_("guide customer added")),
    "event.debug_demo": Kind(_("debugging push")),
    "event.enter": Kind(_("chat opened")),
    "device_text": Kind(_("device message")),
    "device_event.bind": Kind(_("device bound")),
    "device_event.unbind": Kind(_("device unbound")),
    "device_event.subscribe_status": Kind(_("device watched")),
    "device_event.unsubscribe_status": Kind(_("device no longer watched")),
    "import.follower": Kind(_("follower imported"), Effect.FOUND_FOLLOWING),
    "reconcile.follow": Kind(_("missed follow found"), Effect.FOUND_FOLLOWING),
    "reconcile.unfollow": Kind(_("missed unfollow found"), Effect.FOUND_GONE),
    "unreadable": Kind(_("unreadable push")),
}


def label(kind: str) -> str:
    """Returns the kind's name in the current language; an unknown kind as it was received."""
    return str(KINDS[kind].name) if kind in KINDS else kind


def kinds_where(condition: Callable[[Kind], bool]) -> tuple[str, ...]:
    """Returns the kinds whose entry meets the condition."""
    return tuple(kind for kind, entry in KINDS.items() if condition(entry))


def window_length(window: Window) -> datetime.timedelta:
    """Returns how long a message window stays open (settings.MESSAGE_WINDOWS)."""
    _messages, seconds = settings.MESSAGE_WINDOWS[window]
    return datetime.timedelta(seconds=seconds)


def openid_of(message: Message) -> str:
    """Returns the OpenID of the person whom the message concerns; "" if it concerns nobody."""
    kind = KINDS.get(message.kind)
    if kind is None or kind.about is About.SENDER:
        return message.from_user_name
    return message.named_openid if kind.about is About.NAMED else ""


def scene_of(message: Message) -> str:
    """Returns the scene of the scanned QR code, or "".

    In WeChat's documentation SCAN has the bare scene, but teaching material shows it with the
    prefix. So this function removes a prefix there too.
    """
    kind = KINDS.get(message.kind)
    if kind is None or kind.key is None:
        return ""
    if kind.key is Key.PREFIXED_SCENE and not message.event_key.startswith(SCENE_PREFIX):
        return ""
    return message.event_key.removeprefix(SCENE_PREFIX)
