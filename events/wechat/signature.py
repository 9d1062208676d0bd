"""WeChat's signature: SHA-1 over the token and the other parts, sorted as strings and joined."""

from __future__ import annotations

import hashlib
import hmac

__all__ = ["sign", "verify"]


def sign(*parts: str) -> str:
    """Return the signature of `parts` (in any order) as 40 lower-case hexadecimal digits.

    The parts are Token, timestamp, nonce for `signature`, and these with the Base64 ciphertext
    for `msg_signature`. They are sorted as strings, never as numbers: nonce "486452656" comes
    after timestamp "1714037059" (接入概述; 消息加解密说明).
    """
    return hashlib.sha1(_encode("".join(sorted(parts)))).hexdigest()


def verify(signature: str, token: str, *parts: str) -> bool:
    """Return whether `signature` was made with `token` over `parts`, in constant time.

    An empty token never verifies, because anyone can sign with it.
    """
    if not token:
        return False
    return hmac.compare_digest(_encode(sign(token, *parts)), _encode(signature))


def _encode(text: str) -> bytes:
    # A query string can decode to lone surrogates; these must mismatch, not raise.
    return text.encode("utf-8", "surrogatepass")
