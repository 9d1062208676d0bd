"""Followers as WeChat knows them (用户管理)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .transport.answer_fields import mapping, mappings, number, numbers, text, texts
from .transport.api_errors import BadAnswer, RecipientRejected
from .transport.calls import Calls

__all__ = ["BATCH_SIZE", "LONGEST_REMARK", "FollowerPage", "Profile", "Profiles", "Users"]

# OpenIDs in one user/info/batchget.
BATCH_SIZE = 100
# Characters of a remark.
LONGEST_REMARK = 29

_INVALID_OPENID = 40003


@dataclass(frozen=True, slots=True)
class Profile:
    """What WeChat tells about one person; only the OpenID if the person does not follow.

    Since 2021 WeChat no longer gives nickname, picture, sex and place. `subscribe_time` is the last
    follow in Unix seconds, 0 if unknown. `subscribe_scene` is from an open list (ADD_SCENE_…).
    """

    openid: str
    is_following: bool
    subscribe_time: int = 0
    unionid: str = ""
    remark: str = ""
    group_id: int = 0
    tag_ids: tuple[int, ...] = ()
    subscribe_scene: str = ""
    qr_scene: int = 0
    qr_scene_str: str = ""
    language: str = ""

    @property
    def scene(self) -> str:
        """The scene of the QR code by which the person followed, as in events; "" if none."""
        return self.qr_scene_str or (str(self.qr_scene) if self.qr_scene else "")


@dataclass(frozen=True, slots=True)
class Profiles:
    """The profiles that were `found`, and the OpenIDs that WeChat refuses."""

    found: tuple[Profile, ...]
    invalid: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FollowerPage:
    """Up to 10,000 OpenIDs; `total` is the account's number of followers at that moment."""

    total: int
    openids: tuple[str, ...]
    next_openid: str


class Users:
    """The calls about followers and their profiles."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def infos(self, openids: Sequence[str]) -> Profiles:
        """Returns the profiles of up to 100 people, else ValueError.

        One invalid OpenID makes the whole call fail. Then this method halves the list until it has
        found the invalid ones, which takes about 14 calls for each.
        """
        if len(openids) > BATCH_SIZE:
            raise ValueError(f"at most {BATCH_SIZE} OpenIDs in one call")
        if not openids:
            return Profiles(())
        user_list = [{"openid": openid, "lang": "zh_CN"} for openid in openids]
        try:
            answer = self._calls.post("/cgi-bin/user/info/batchget", {"user_list": user_list})
        except RecipientRejected as error:
            if error.errcode != _INVALID_OPENID:
                raise
            if len(openids) == 1:
                return Profiles((), tuple(openids))
        else:
            return Profiles(tuple(map(_profile, mappings(answer, "user_info_list"))))
        middle = len(openids) // 2
        first, second = self.infos(openids[:middle]), self.infos(openids[middle:])
        return Profiles(first.found + second.found, first.invalid + second.invalid)

    def remark(self, openid: str, text: str) -> None:
        """Writes the operators' note about a person: up to 29 characters, else ValueError."""
        if len(text) > LONGEST_REMARK:
            raise ValueError(f"a remark has at most {LONGEST_REMARK} characters")
        self._calls.post("/cgi-bin/user/info/updateremark", {"openid": openid, "remark": text})

    def page(self, next_openid: str = "") -> FollowerPage:
        """Returns the followers after `next_openid`; the page after the last has no OpenIDs."""
        query = {"next_openid": next_openid} if next_openid else None
        answer = self._calls.get("/cgi-bin/user/get", query)
        return FollowerPage(
            number(answer, "total"),
            # After the last page `data` is left out.
            texts(mapping(answer, "data"), "openid"),
            text(answer, "next_openid"),
        )


def _profile(fields: Mapping[str, Any]) -> Profile:
    openid = text(fields, "openid")
    if not openid:
        raise BadAnswer("/cgi-bin/user/info/batchget", "a profile without OpenID")
    return Profile(
        openid=openid,
        is_following=number(fields, "subscribe") == 1,
        subscribe_time=number(fields, "subscribe_time"),
        unionid=text(fields, "unionid"),
        remark=text(fields, "remark"),
        group_id=number(fields, "groupid"),
        tag_ids=numbers(fields, "tagid_list"),
        subscribe_scene=text(fields, "subscribe_scene"),
        qr_scene=number(fields, "qr_scene"),
        qr_scene_str=text(fields, "qr_scene_str"),
        language=text(fields, "language"),
    )
