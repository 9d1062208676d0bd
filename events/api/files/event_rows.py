"""Shows events in an export in the same way as the list, but from plain values.

Nearly every body is in WeChat's usual form and needs no mask. `_Usual` shows these in a tenth of
the time of `EventSerializer`; the serializer shows all others.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.utils import timezone

from events.api.serializers import EventSerializer
from events.binding_scenes import CODE_MAY_BE_VALID, SHAPE
from events.models import EventLog, OfficialAccount
from events.models.event_log.table import ENVELOPE
from events.viewer import (
    HIDDEN,
    may_see_contents,
    may_see_openids,
    shown_openid,
    without_openids,
)
from events.wechat import xml

__all__ = ["EventRows"]

# The beginning of every secret scene. In a body of the usual form texts are not escaped.
_SECRET = SHAPE.partition("[")[0]
_FIELDS = EventSerializer.Meta.fields


class EventRows:
    """The rows of the list of events for exports."""

    fields: Sequence[str] = _FIELDS
    columns: Sequence[str] = ("pk", "account__slug", *_FIELDS[2:-1], "from_user", "raw")

    def shown(self, rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        usual = _Usual()
        for row in rows:
            yield usual.shown(row) or _general(row)


class _Usual:
    """Shows the usual rows to one viewer."""

    def __init__(self) -> None:
        self._sees_openids = may_see_openids()
        self._sees_contents = may_see_contents()
        self._codes_since = timezone.now() - CODE_MAY_BE_VALID

    def shown(self, row: Sequence[Any]) -> Sequence[Any] | None:
        """Returns the row's fields; None if the row is not a usual one."""
        (
            pk, account, source, kind, msg_type, event, event_key, scene, ticket, msg_id, openid,
            event_time, received_at, delivery_count, status, error, mended, from_user, raw,
        ) = row  # fmt: skip
        if error or mended or (kind == "text" and received_at > self._codes_since):
            return None
        payload: Any = None
        if raw:
            try:
                text = bytes(raw).decode()
            except UnicodeDecodeError:
                return None
            payload = xml.flat_fields(text)
            if payload is None or _SECRET in text:
                return None
        if _SECRET in event_key or _SECRET in scene or _SECRET in ticket or _SECRET in openid:
            return None
        if not (self._sees_openids and self._sees_contents):
            if from_user != openid and from_user and openid:
                return None
            name = openid or from_user
            if not (self._sees_openids or name):
                return None
            if not self._sees_openids:
                mask = shown_openid(name)
                openid, event_key, scene, ticket = (
                    without_openids(text.replace(name, mask))
                    for text in (openid, event_key, scene, ticket)
                )
            if payload is not None:
                if not all(type(value) is str for value in payload.values()):
                    return None
                if not self._sees_contents:
                    for key in payload.keys() - ENVELOPE:
                        payload[key] = HIDDEN
                if not self._sees_openids:
                    payload = {
                        key: without_openids(value.replace(name, mask))
                        for key, value in payload.items()
                    }
        return (
            pk, account, source, kind, msg_type, event, event_key, scene, ticket, msg_id, openid,
            event_time.isoformat()[:-6] + "Z", received_at.isoformat()[:-6] + "Z",
            delivery_count, status, error, mended, payload,
        )  # fmt: skip


def _general(row: Sequence[Any]) -> Sequence[Any]:
    """Returns the row's fields as the list's serializer shows them."""
    values = dict(zip(EventRows.columns, row, strict=True))
    account = OfficialAccount(slug=values.pop("account__slug"))
    # A stream is read after the request, whose time zone no longer holds.
    with timezone.override(datetime.UTC):
        data = EventSerializer(EventLog(account=account, **values)).data
    return [data[name] for name in _FIELDS]
