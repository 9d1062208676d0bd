"""What each API does, and what it refuses."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .account import FakeAccount, beijing_day
from .answers import Refusal

__all__ = ["APIS", "Api", "ApiCall"]

Fields: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call that was let through; `now` is in Unix seconds."""

    query: Mapping[str, str]
    body: Fields
    now: float


@dataclass(frozen=True, slots=True)
class Api:
    """`needs_certification`: without, the account is answered 48001."""

    method: str
    answer: Callable[[FakeAccount, ApiCall], Fields]
    needs_certification: bool = False


_OK: Fields = {"errcode": 0, "errmsg": "ok"}

# Addresses are those that documentation is written with.
_PUSH_ADDRESSES = ["203.0.113.0/25", "203.0.113.130", "198.51.100.7"]

_KEY_TYPES = frozenset(
    {
        "click",
        "scancode_push",
        "scancode_waitmsg",
        "pic_sysphoto",
        "pic_photo_or_album",
        "pic_weixin",
        "location_select",
    }
)
_URL_TYPES = frozenset({"view", "miniprogram"})
_OTHER_TYPES = frozenset({"media_id", "view_limited", "article_id", "article_view_limited"})
_TEXT_LIMIT = 2048
_MESSAGE_TYPES = frozenset(
    {
        "text", "image", "voice", "video", "music", "news", "mpnews", "mpnewsarticle", "msgmenu",
        "miniprogrampage", "wxcard",
    }
)  # fmt: skip


# --- QR codes ---


def _create_code(account: FakeAccount, call: ApiCall) -> Fields:
    scene = _object(_object(call.body, "action_info"), "scene")
    action = call.body.get("action_name")
    if action in {"QR_STR_SCENE", "QR_LIMIT_STR_SCENE"}:
        text = scene.get("scene_str")
        if not isinstance(text, str) or not 1 <= len(text) <= 64:
            raise Refusal(40035)
    elif action in {"QR_SCENE", "QR_LIMIT_SCENE"}:
        # Outside its wrapper the id is not seen, and the code has scene 0.
        number = scene.get("scene_id", 0)
        highest = 100_000 if action == "QR_LIMIT_SCENE" else 2**32 - 1
        if not isinstance(number, int) or not 0 <= number <= highest:
            raise Refusal(40035)
        text = str(number)
    else:
        raise Refusal(40035)
    if "LIMIT" in action:
        if account.count_permanent_codes() >= 100_000:
            raise Refusal(45009)
        issued = account.issue_code(text, None)
        return {"ticket": issued.ticket, "url": issued.url}
    seconds = call.body.get("expire_seconds", 60)
    if not isinstance(seconds, int) or not 1 <= seconds <= 2_592_000:
        raise Refusal(40035)
    issued = account.issue_code(text, seconds)
    return {"ticket": issued.ticket, "expire_seconds": seconds, "url": issued.url}


# --- Users ---


def _user_info(account: FakeAccount, call: ApiCall) -> Fields:
    return _profile(account, call.query.get("openid", ""))


def _user_infos(account: FakeAccount, call: ApiCall) -> Fields:
    asked = call.body.get("user_list")
    if not isinstance(asked, list) or not 1 <= len(asked) <= 100:
        raise Refusal(40032)
    return {"user_info_list": [_profile(account, _openid(entry)) for entry in asked]}


def _openid(entry: Any) -> str:
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
        "remark": "",
        "groupid": 0,
        "tagid_list": account.tags_of(openid),
        "subscribe_scene": way,
        "qr_scene": int(scene) if is_number else 0,
        "qr_scene_str": "" if is_number else scene,
    }


def _user_page(account: FakeAccount, call: ApiCall) -> Fields:
    after = call.query.get("next_openid", "")
    if after and account.followers.find(after) is None:
        raise Refusal(40003)
    openids = account.followers.page(after, account.page_size)
    return _page(openids, {"total": account.followers.total()})


def _page(openids: list[str], fields: Fields) -> Fields:
    if not openids:
        return {**fields, "count": 0, "next_openid": ""}
    return {
        **fields,
        "count": len(openids),
        "data": {"openid": openids},
        "next_openid": openids[-1],
    }


# --- Tags ---


def _create_tag(account: FakeAccount, call: ApiCall) -> Fields:
    name = _tag_name(account, call)
    if len(account.tags) >= 100:
        raise Refusal(45056)
    tag_id = max(99, *account.tags) + 1
    account.tags[tag_id] = name
    return {"tag": {"id": tag_id, "name": name}}


def _all_tags(account: FakeAccount, call: ApiCall) -> Fields:
    return {
        "tags": [
            {"id": tag_id, "name": name, "count": len(account.tagged.get(tag_id, ()))}
            for tag_id, name in account.tags.items()
        ]
    }


def _rename_tag(account: FakeAccount, call: ApiCall) -> Fields:
    tag_id = _changeable_tag(account, _object(call.body, "tag").get("id"))
    account.tags[tag_id] = _tag_name(account, call)
    return _OK


def _delete_tag(account: FakeAccount, call: ApiCall) -> Fields:
    tag_id = _changeable_tag(account, _object(call.body, "tag").get("id"))
    del account.tags[tag_id]
    account.tagged.pop(tag_id, None)
    return _OK


def _add_tag(account: FakeAccount, call: ApiCall) -> Fields:
    tag_id, openids = _tag_and_openids(account, call)
    if any(len({*account.tags_of(openid), tag_id}) > 20 for openid in openids):
        raise Refusal(45059)
    account.tagged.setdefault(tag_id, set()).update(openids)
    return _OK


def _remove_tag(account: FakeAccount, call: ApiCall) -> Fields:
    tag_id, openids = _tag_and_openids(account, call)
    account.tagged.get(tag_id, set()).difference_update(openids)
    return _OK


def _tags_of(account: FakeAccount, call: ApiCall) -> Fields:
    openid = _openid(call.body)
    if account.followers.find(openid) is None:
        raise Refusal(40003)
    return {"tagid_list": account.tags_of(openid)}


def _tagged_page(account: FakeAccount, call: ApiCall) -> Fields:
    tag_id = _existing_tag(account, call.body.get("tagid"))
    after = call.body.get("next_openid") or ""
    later = sorted(openid for openid in account.tagged.get(tag_id, ()) if openid > after)
    return _page(later[: account.page_size], {})


def _tag_name(account: FakeAccount, call: ApiCall) -> str:
    name = _object(call.body, "tag").get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= 30:
        raise Refusal(45158)
    if name in account.tags.values():
        raise Refusal(45157)
    return name


def _existing_tag(account: FakeAccount, tag_id: Any) -> int:
    if not isinstance(tag_id, int) or tag_id not in account.tags:
        raise Refusal(45159)
    return tag_id


def _changeable_tag(account: FakeAccount, tag_id: Any) -> int:
    if tag_id in (0, 1, 2):
        raise Refusal(45058)
    return _existing_tag(account, tag_id)


def _tag_and_openids(account: FakeAccount, call: ApiCall) -> tuple[int, list[str]]:
    tag_id = _existing_tag(account, call.body.get("tagid"))
    openids = call.body.get("openid_list")
    if not isinstance(openids, list) or not 1 <= len(openids) <= 50:
        raise Refusal(40032)
    if any(account.followers.find(openid) is None for openid in openids):
        raise Refusal(40003)
    return tag_id, openids


# --- Menu ---


def _create_menu(account: FakeAccount, call: ApiCall) -> Fields:
    buttons = call.body.get("button")
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= 3:
        raise Refusal(40016)
    account.menu = {"button": [_top_button(button) for button in buttons]}
    account.console_menu = None
    return _OK


def _get_menu(account: FakeAccount, call: ApiCall) -> Fields:
    if account.menu is None:
        raise Refusal(46003)
    if not account.conditional_menus:
        return {"menu": account.menu}
    return {
        "menu": {**account.menu, "menuid": 208396938},
        "conditionalmenu": account.conditional_menus,
    }


def _delete_menu(account: FakeAccount, call: ApiCall) -> Fields:
    account.menu = account.console_menu = None
    account.conditional_menus = []
    return _OK


def _current_menu(account: FakeAccount, call: ApiCall) -> Fields:
    if account.console_menu is not None:
        return {"is_menu_open": 1, "selfmenu_info": account.console_menu}
    if account.menu is None:
        return {"is_menu_open": 0, "selfmenu_info": {"button": []}}
    buttons = [
        {"name": button["name"], "sub_button": {"list": button["sub_button"]}}
        if button["sub_button"]
        else {name: value for name, value in button.items() if name != "sub_button"}
        for button in account.menu["button"]
    ]
    return {"is_menu_open": 1, "selfmenu_info": {"button": buttons}}


def _current_auto_replies(account: FakeAccount, call: ApiCall) -> Fields:
    return account.auto_replies or {"is_add_friend_reply_open": 0, "is_autoreply_open": 0}


def _top_button(button: Any) -> dict[str, Any]:
    if not isinstance(button, dict):
        raise Refusal(47001)
    below = button.get("sub_button")
    if not below:
        return {**_button(button, 16, (40017, 40018, 40019, 40020, 40055)), "sub_button": []}
    if not isinstance(below, list) or len(below) > 5:
        raise Refusal(40023)
    return {
        "name": _name(button, 16, 40018),
        "sub_button": [
            {**_button(sub_button, 60, (40024, 40025, 40026, 40027, 40054)), "sub_button": []}
            for sub_button in below
        ],
    }


def _button(button: Any, longest_name: int, codes: tuple[int, int, int, int, int]) -> Fields:
    """The button as it is kept; codes are for a wrong type, name, key, url size and url."""
    if not isinstance(button, dict) or button.get("sub_button"):
        raise Refusal(codes[0])
    name = _name(button, longest_name, codes[1])
    kept: dict[str, Any] = {"type": button.get("type"), "name": name}
    if kept["type"] in _KEY_TYPES:
        return kept | {"key": _sized(button, "key", 128, codes[2])}
    if kept["type"] in _URL_TYPES:
        kept["url"] = _sized(button, "url", 1024, codes[3])
        if not kept["url"].startswith(("http://", "https://")):
            raise Refusal(codes[4])
        if kept["type"] == "miniprogram":
            kept |= {field: _sized(button, field, 1024, 40035) for field in ("appid", "pagepath")}
        return kept
    if kept["type"] in _OTHER_TYPES:
        material = "article_id" if "article" in kept["type"] else "media_id"
        return kept | {material: _sized(button, material, 256, 40007)}
    raise Refusal(codes[0])


def _name(button: Fields, longest: int, errcode: int) -> str:
    return _sized(button, "name", longest, errcode)


def _sized(fields: Fields, name: str, longest: int, errcode: int) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 1 <= len(value.encode()) <= longest:
        raise Refusal(errcode)
    return value


# --- Messages ---


def _send(account: FakeAccount, call: ApiCall) -> Fields:
    msg_type = call.body.get("msgtype")
    if msg_type not in _MESSAGE_TYPES:
        raise Refusal(40035)
    content = _object(call.body, msg_type)
    if msg_type == "text":
        text = content.get("content")
        if not isinstance(text, str) or not text:
            raise Refusal(44002)
        if len(text.encode()) > _TEXT_LIMIT:
            raise Refusal(45002)
    elif msg_type == "news" and len(content.get("articles", [])) != 1:
        raise Refusal(45008)
    elif msg_type in {"image", "voice", "mpnews"} and not content.get("media_id"):
        raise Refusal(40007)
    account.send(_recipient(account, call), call.body)
    return _OK


def _typing(account: FakeAccount, call: ApiCall) -> Fields:
    if call.body.get("command") not in {"Typing", "CancelTyping"}:
        raise Refusal(45072)
    if not account.has_window(_recipient(account, call)):
        raise Refusal(45080)
    return _OK


def _recipient(account: FakeAccount, call: ApiCall) -> str:
    openid = call.body.get("touser")
    person = account.followers.find(openid) if isinstance(openid, str) else None
    if person is None:
        raise Refusal(40003)
    if not person.is_following:
        raise Refusal(45015)
    return person.openid


# --- Statistics ---


def _user_summary(account: FakeAccount, call: ApiCall) -> Fields:
    return {
        "list": [
            {
                "ref_date": day.isoformat(),
                "user_source": source,
                "new_user": new,
                "cancel_user": cancelled,
            }
            for day in _days(call)
            for source, new, cancelled in account.summary(day)
        ]
    }


def _user_cumulate(account: FakeAccount, call: ApiCall) -> Fields:
    return {
        "list": [
            {"ref_date": day.isoformat(), "user_source": 0, "cumulate_user": account.cumulate(day)}
            for day in _days(call)
        ]
    }


def _days(call: ApiCall) -> list[datetime.date]:
    """The days that were asked for and are ready: yesterday's is from eight in the morning."""
    try:
        begin, end = (
            datetime.date.fromisoformat(call.body.get(name, ""))
            for name in ("begin_date", "end_date")
        )
    except (TypeError, ValueError):
        raise Refusal(61500) from None
    if not 0 <= (end - begin).days < 7 or end >= beijing_day(call.now):
        raise Refusal(61501)
    last_ready = beijing_day(call.now - 8 * 3600) - datetime.timedelta(days=1)
    days = (begin + datetime.timedelta(days=number) for number in range((end - begin).days + 1))
    return [day for day in days if day <= last_ready]


# --- Diagnostics ---


def _push_addresses(account: FakeAccount, call: ApiCall) -> Fields:
    return {"ip_list": _PUSH_ADDRESSES}


def _check_callback(account: FakeAccount, call: ApiCall) -> Fields:
    action = call.body.get("action")
    if action not in {"dns", "ping", "all"}:
        raise Refusal(40202)
    if call.body.get("check_operator") not in {"DEFAULT", "CHINANET", "UNICOM", "CAP"}:
        raise Refusal(40203)
    found: dict[str, Any] = {}
    if action != "ping":
        found["dns"] = [{"ip": "192.0.2.10", "real_operator": "UNICOM"}]
    if action != "dns":
        ping = {
            "ip": "192.0.2.10",
            "from_operator": "UNICOM",
            "package_loss": "0%",
            "time": "23.079ms",
        }
        found["ping"] = [ping]
    return found


def _quota(account: FakeAccount, call: ApiCall) -> Fields:
    path = _known_path(call)
    if APIS[path].needs_certification and not account.is_certified:
        raise Refusal(76022)
    limit, used = account.quotas.limit(path), account.quotas.used(path, call.now)
    answer: dict[str, Any] = {
        **_OK,
        "quota": {"daily_limit": limit, "used": used, "remain": max(0, limit - used)},
    }
    if path in account.quotas.per_minute:
        rate = account.quotas.per_minute[path]
        answer["rate_limit"] = {"call_count": rate, "refresh_second": 60}
    return answer


def _clear_quota(account: FakeAccount, call: ApiCall) -> Fields:
    account.quotas.clear(_known_path(call))
    return _OK


def _clear_all_quotas(account: FakeAccount, call: ApiCall) -> Fields:
    if call.body.get("appid") != account.app_id:
        raise Refusal(40013)
    account.quotas.clear_all(call.now)
    return _OK


def _known_path(call: ApiCall) -> str:
    path = call.body.get("cgi_path")
    if not isinstance(path, str) or path not in APIS:
        raise Refusal(76021)
    return path


def _object(fields: Fields, name: str) -> Fields:
    value = fields.get(name)
    if not isinstance(value, dict):
        raise Refusal(47001)
    return value


APIS: dict[str, Api] = {
    "/cgi-bin/qrcode/create": Api("POST", _create_code, needs_certification=True),
    "/cgi-bin/user/info": Api("GET", _user_info, needs_certification=True),
    "/cgi-bin/user/info/batchget": Api("POST", _user_infos, needs_certification=True),
    "/cgi-bin/user/get": Api("GET", _user_page, needs_certification=True),
    "/cgi-bin/tags/create": Api("POST", _create_tag, needs_certification=True),
    "/cgi-bin/tags/get": Api("GET", _all_tags, needs_certification=True),
    "/cgi-bin/tags/update": Api("POST", _rename_tag, needs_certification=True),
    "/cgi-bin/tags/delete": Api("POST", _delete_tag, needs_certification=True),
    "/cgi-bin/tags/members/batchtagging": Api("POST", _add_tag, needs_certification=True),
    "/cgi-bin/tags/members/batchuntagging": Api("POST", _remove_tag, needs_certification=True),
    "/cgi-bin/tags/getidlist": Api("POST", _tags_of, needs_certification=True),
    "/cgi-bin/user/tag/get": Api("POST", _tagged_page, needs_certification=True),
    "/cgi-bin/menu/create": Api("POST", _create_menu),
    "/cgi-bin/menu/get": Api("GET", _get_menu),
    "/cgi-bin/menu/delete": Api("GET", _delete_menu),
    "/cgi-bin/get_current_selfmenu_info": Api("GET", _current_menu),
    "/cgi-bin/get_current_autoreply_info": Api("GET", _current_auto_replies),
    "/cgi-bin/message/custom/send": Api("POST", _send, needs_certification=True),
    "/cgi-bin/message/custom/typing": Api("POST", _typing, needs_certification=True),
    "/datacube/getusersummary": Api("POST", _user_summary, needs_certification=True),
    "/datacube/getusercumulate": Api("POST", _user_cumulate, needs_certification=True),
    "/cgi-bin/getcallbackip": Api("GET", _push_addresses),
    "/cgi-bin/callback/check": Api("POST", _check_callback),
    "/cgi-bin/openapi/quota/get": Api("POST", _quota),
    "/cgi-bin/openapi/quota/clear": Api("POST", _clear_quota),
    "/cgi-bin/clear_quota": Api("POST", _clear_all_quotas),
}
