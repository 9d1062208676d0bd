"""Temporary media (临时素材)."""

from __future__ import annotations

from events.simulator.fake_api.apis.call import FILE, Api, ApiCall, Fields
from events.simulator.fake_api.call_answers import Refusal
from events.simulator.fake_api.fake_account import MEDIA_SECONDS, FakeAccount

__all__ = ["MEDIA"]


_MEDIA_LIMITS = {"image": 10 << 20, "voice": 2 << 20, "video": 10 << 20, "thumb": 64 << 10}


def _upload(account: FakeAccount, call: ApiCall) -> Fields:
    kind = call.query.get("type", "")
    if kind not in _MEDIA_LIMITS:
        raise Refusal(40004)
    boundary, _, rest = call.raw.partition(b"\r\n")
    headers, _, body = rest.partition(b"\r\n\r\n")
    data = body.rpartition(b"\r\n" + boundary)[0]
    if b'name="media"' not in headers or b"filename=" not in headers or not data:
        raise Refusal(41005)
    if len(data) > _MEDIA_LIMITS[kind]:
        raise Refusal(45001)
    media_id = account.keep_media(kind, data, call.now + MEDIA_SECONDS)
    name = "thumb_media_id" if kind == "thumb" else "media_id"
    return {"type": kind, name: media_id, "created_at": int(call.now)}


def _download(account: FakeAccount, call: ApiCall) -> Fields:
    found = account.media.get(call.query.get("media_id", ""))
    if found is None or found.until <= call.now:
        raise Refusal(40007)
    return {FILE: found}


MEDIA: dict[str, Api] = {
    "/cgi-bin/media/upload": Api("POST", _upload, takes_file=True),
    "/cgi-bin/media/get": Api("GET", _download),
}
