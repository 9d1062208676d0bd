"""Tags (标签)."""

from __future__ import annotations

from typing import Any

from events.simulator.fake_api.apis.call import OK, Api, ApiCall, Fields, object_in
from events.simulator.fake_api.call_answers import Refusal
from events.simulator.fake_api.fake_account import FakeAccount

__all__ = ["TAGS"]


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


def _add_tag(account: FakeAccount, call: ApiCall) -> Fields:
    tag_id, openids = _tag_and_openids(account, call)
    if any(len({*account.tags_of(openid), tag_id}) > 20 for openid in openids):
        raise Refusal(45059)
    account.tagged.setdefault(tag_id, set()).update(openids)
    return OK


def _remove_tag(account: FakeAccount, call: ApiCall) -> Fields:
    tag_id, openids = _tag_and_openids(account, call)
    account.tagged.get(tag_id, set()).difference_update(openids)
    return OK


def _tag_name(account: FakeAccount, call: ApiCall) -> str:
    name = object_in(call.body, "tag").get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= 30:
        raise Refusal(45158)
    if name in account.tags.values():
        raise Refusal(45157)
    return name


def _existing_tag(account: FakeAccount, tag_id: Any) -> int:
    if not isinstance(tag_id, int) or tag_id not in account.tags:
        raise Refusal(45159)
    return tag_id


def _tag_and_openids(account: FakeAccount, call: ApiCall) -> tuple[int, list[str]]:
    tag_id = _existing_tag(account, call.body.get("tagid"))
    openids = call.body.get("openid_list")
    if not isinstance(openids, list) or not 1 <= len(openids) <= 50:
        raise Refusal(40032)
    if any(account.followers.find(openid) is None for openid in openids):
        raise Refusal(40003)
    return tag_id, openids


TAGS: dict[str, Api] = {
    "/cgi-bin/tags/create": Api("POST", _create_tag, needs_certification=True),
    "/cgi-bin/tags/get": Api("GET", _all_tags, needs_certification=True),
    "/cgi-bin/tags/members/batchtagging": Api("POST", _add_tag, needs_certification=True),
    "/cgi-bin/tags/members/batchuntagging": Api("POST", _remove_tag, needs_certification=True),
}
