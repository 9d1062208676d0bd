"""Says which changes of bindings, messages and QR codes triggers note for readers of the API.

For followers, `updated_at` says what changed. The statistics of sources read the notes of bindings
too, and those of ways of following.
"""

from __future__ import annotations

from typing import Any

from django.db import connections

from events.db.schema.change_triggers import Watched, drop_triggers, make_triggers
from subscribers.models.binding import Binding
from subscribers.models.outgoing_message import OutgoingMessage
from subscribers.models.qr_code import QRScene
from subscribers.models.subscriber import Subscriber

__all__ = ["forget_changes", "note_changes"]

_TABLES = (
    Watched(Binding, "binding", ("subscriber_id", "user_id", "bound_at", "unbound_at", "event_id")),
    # A worker's claim is no change that readers see, so its columns are left out.
    Watched(
        OutgoingMessage,
        "message",
        ("subscriber_id", "kind", "payload", "state", "failure", "failure_text", "sent_at"),
    ),
    Watched(
        QRScene,
        "scene",
        (
            *("name", "note", "is_permanent", "expire_seconds", "expires_at", "failure"),
            *("failure_text", "ticket", "url"),
        ),
        nullness=("due_at",),
    ),
    # Readers see the tags with their code.
    Watched(QRScene.tags.through, "scene", (), id_column="qrscene_id"),
    # No event sets this column, so the trigger costs the callback nothing.
    Watched(Subscriber, "way", ("subscribe_scene",), inserts=False, deletes=False),
)


def note_changes(using: str, **_signal: Any) -> None:
    make_triggers(connections[using], _TABLES)


def forget_changes(using: str, **_signal: Any) -> None:
    drop_triggers(connections[using], _TABLES)
