"""Names of the ways to follow (subscribe_scene). WeChat may add others at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["way_of_following"]

_WAYS: dict[str, StrOrPromise] = {
    "ADD_SCENE_SEARCH": _("search for the account"),
    "ADD_SCENE_ACCOUNT_MIGRATION": _("moved with the account"),
    "ADD_SCENE_PROFILE_CARD": _("shared contact card"),
    "ADD_SCENE_QR_CODE": _("QR code"),
    "ADD_SCENE_PROFILE_LINK": _("name above an article"),
    "ADD_SCENE_PROFILE_ITEM": _("menu of an article"),
    "ADD_SCENE_PAID": _("after a payment"),
    "ADD_SCENE_WECHAT_ADVERTISEMENT": _("advertisement in WeChat"),
    "ADD_SCENE_REPRINT": _("reprinted article"),
    "ADD_SCENE_LIVESTREAM": _("Channels live stream"),
    "ADD_SCENE_CHANNELS": _("Channels"),
    "ADD_SCENE_WXA": _("mini program"),
    "ADD_SCENE_OTHERS": _("some other way"),
}


def way_of_following(subscribe_scene: str) -> str:
    """The way's name in the current language; an unknown way as WeChat sent it."""
    return str(_WAYS.get(subscribe_scene, subscribe_scene))
