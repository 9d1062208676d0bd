"""What tests need that start the site in processes of its own."""

from __future__ import annotations

import base64
import socket
from pathlib import Path

__all__ = ["PRODUCTION", "ROOT", "free_port", "is_free"]

ROOT = Path(__file__).resolve().parents[2]

# The least that a start with DEBUG off asks for.
PRODUCTION = {
    "DEBUG": "False",
    "SECRET_KEY": "k3y-" * 4 + "abcdefghijklmnopqrstuvwxyz0123456789-ABCDEFGH",
    "FIELD_ENCRYPTION_KEYS": base64.urlsafe_b64encode(bytes(range(32))).decode(),
    "ALLOWED_HOSTS": "wechat.example.com",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether nobody listens there any more."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
