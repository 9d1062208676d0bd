"""What an authenticator app shows (RFC 6238), by an implementation of our own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import time

__all__ = ["totp"]


def totp(secret: str) -> str:
    """The six digits of this half minute for a secret in base 32."""
    counter = struct.pack(">Q", int(time.time()) // 30)
    digest = hmac.new(base64.b32decode(secret), counter, hashlib.sha1).digest()
    start = digest[-1] & 0xF
    (number,) = struct.unpack(">I", digest[start : start + 4])
    return f"{(number & 0x7FFFFFFF) % 10**6:06d}"
