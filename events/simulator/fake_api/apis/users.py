"""Followers, their profiles and remarks."""

from __future__ import annotations

from typing import Any

from events.simulator.fake_api.apis.call import OK, Api, ApiCall, Fields
from events.simulator.fake_api.call_answers import Refusal
from events.simulator.fake_api.fake_account import FakeAccount

__all__ = ["USERS"]


def _user_infos(account: FakeAccount, call: ApiCall) -> Fields:
    asked = call.body.get("user_list")
    if not isinstance(asked, list) or not 1 <= len(asked) <= 100:
        raise Refusal(40032)
    return {"user_info_list": [_profile(account, _openid_in(entry)) for entry in asked]}


def _openid_in(entry: Any) -> str:
    """Returns the OpenID in a body; "" if there is none."""
    openid = entry.get("openid") if isinstance(entry, dict) else None
    return openid if isinstance(openid, str) else ""


def _profile(account: FakeAccount, openid: str) -> Fields:
    person = account.followers.find(openid)
    if person is None:
        raise Refusal(40003)
    if not person.is_following:
        return {"subscribe": 0, "openid": openid, "tagid_list": []}
    key = person.follow_key
    scene = key.removeprefix("qrscene_") if key.startswith("qrscene_") else ""
    if scene:
        way = "ADD_SCENE_QR_CODE"
    else:
        way = "ADD_SCENE_PAID" if key.startswith("last_trade_no_") else "ADD_SCENE_SEARCH"
    is_number = scene.isascii() and scene.isdecimal()
    return {
        "subscribe": 1,
        "openid": openid,
        "language": "",
        "subscribe_time": person.followed_at or person.last_act,
        "remark": account.remarks.get(openid, ""),
        "groupid": 0,
        "tagid_list": account.tags_of(openid),
        "subscribe_scene": way,
        "qr_scene": int(scene) if is_number else 0,
        "qr_scene_str": "" if is_number else scene,
    }


def _write_remark(account: FakeAccount, call: ApiCall) -> Fields:
    openid, remark = _openid_in(call.body), call.body.get("remark")
    if account.followers.find(openid) is None:
        raise Refusal(40003)
    if not isinstance(remark, str) or len(remark) >= 30:
        raise Refusal(47003)
    account.remarks[openid] = remark
    return OK


def _user_page(account: FakeAccount, call: ApiCall) -> Fields:
    after = call.query.get("next_openid", "")
    if after and account.followers.find(after) is None:
        raise Refusal(40003)
    openids = account.followers.page(after, account.page_size)
    total = {"total": account.followers.total()}
    if not openids:
        return {**total, "count": 0, "next_openid": ""}
    return {
        **total,
        "count": len(openids),
        "data": {"openid": openids},
        "next_openid": openids[-1],
    }


USERS: dict[str, Api] = {
    "/cgi-bin/user/info/batchget": Api("POST", _user_infos, needs_certification=True),
    "/cgi-bin/user/get": Api("GET", _user_page, needs_certification=True),
    "/cgi-bin/user/info/updateremark": Api("POST", _write_remark, needs_certification=True),
}
